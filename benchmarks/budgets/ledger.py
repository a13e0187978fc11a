"""Figures of a ledger: how quick, and whether it holds while processes are killed, and while many want the last units.

Workers are forked before any ledger is open, so that starting one costs little. What a worker was granted it writes to
a log of its own *after* the charge returned, which stands for the answer that its user saw.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import dpframe as dp
from dpframe.accounting import Once, cost
from dpframe.accounting.ledger import Ledger
from dpframe.errors import BudgetExceededError, LedgerError

UNIT = [cost(epsilon=1)]


def opened(home: Path, units: int, anchor: bool = False) -> dp.Budget:
    """The budget of so many units in a ledger there."""
    named = {"anchor": home / "anchor"} if anchor else {}
    return dp.Budget(epsilon=units, ledger=f"sqlite:///{home}/privacy.db", name="members", **named)


def forked(work: Callable[[], None]) -> int:
    """The id of a child that does some work and ends; at the latest soon after its parent has, however that ended."""
    sys.stdout.flush()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
        try:
            work()
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    return child


def _end_with(parent: int) -> None:
    """End this process when it has another parent: its own is gone."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


@contextmanager
def crowd() -> Iterator[set[int]]:
    """Children by their ids; those that still run at the end of the block are killed, however it ends."""
    running = set[int]()
    try:
        yield running
    finally:
        for child in running:
            with suppress(ProcessLookupError, ChildProcessError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


def log(path: Path, line: str) -> None:
    """Append a line, whole or not at all as far as a kill is concerned."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, f"{line}\n".encode())
    os.close(file)


def durable(home: Path, count: int = 600) -> dict[str, Any]:
    """Charges a second by one process, each durable before the next; with and without an anchor."""
    found: dict[str, Any] = {}
    for name, anchor in (("", False), (" with an anchor", True)):
        (home / f"d{anchor}").mkdir()
        budget = opened(home / f"d{anchor}", 10**6, anchor)
        laps = []
        for _ in range(6):
            began = time.perf_counter()
            for _ in range(count // 6):
                budget.charge(UNIT, "count()", "discrete Laplace")
            laps.append((count // 6) / (time.perf_counter() - began))
        found[f"charges a second{name}"] = sorted(laps)[len(laps) // 2]
        found[f"slowest and quickest hundred{name}"] = f"{min(laps):.0f} and {max(laps):.0f}"
    file = os.open(home / "plain", os.O_CREAT | os.O_WRONLY)
    os.write(file, bytes(4096))
    began = time.perf_counter()
    for _ in range(200):
        os.pwrite(file, os.urandom(4096), 0)
        os.fdatasync(file)
    found["flushes a second of this disk"] = 200 / (time.perf_counter() - began)
    return found


def exhaustion(home: Path, units: int = 3000, threads: int = 8, processes: int = 4) -> dict[str, Any]:
    """Threads and processes that together want more units than there are."""
    opened(home, units)
    go = home / "go"

    def spend(budget: dp.Budget, who: str) -> int:
        granted = 0
        while not go.exists():
            time.sleep(0.01)
        while True:
            try:
                budget.charge(UNIT, "count()", "m", label=who)
            except BudgetExceededError:
                return granted
            granted += 1

    def alone(at: int) -> None:
        log(home / "granted", str(spend(opened(home, units), f"p{at}")))

    with crowd() as children, ThreadPoolExecutor(threads) as pool:
        children |= {forked(partial(alone, at)) for at in range(processes)}
        shared = opened(home, units)
        ours = [pool.submit(spend, shared, f"t{at}") for at in range(threads)]
        try:
            time.sleep(0.5)
        finally:
            began = time.perf_counter()
            go.touch()
        by_threads = sum(each.result() for each in ours)
        failed = sum(os.waitpid(child, 0)[1] != 0 for child in children)
        children.clear()
        seconds = time.perf_counter() - began
    by_processes = sum(map(int, (home / "granted").read_text().split()))
    budget = opened(home, units)
    return {
        "threads, processes, units": f"{threads}, {processes}, {units}",
        "granted": by_threads + by_processes,
        "granted to threads": by_threads,
        "charged": len(budget.history()),  # type: ignore[arg-type]
        "left": int(budget.remaining),
        "processes that failed": failed,
        "seconds": seconds,
    }


def worker(home: Path, units: int, seed: int) -> None:
    """Charge until nothing is left: most for itself, some under keys that all workers share."""
    draw, budget = random.Random(seed), opened(home, units, anchor=True)
    me = f"{os.getpid()}-{seed}"
    for at in range(10**9):
        key = f"k{draw.randint(0, 400)}" if draw.random() < 0.2 else ""
        cost_ = [cost(epsilon=draw.randint(1, 3))]
        try:
            if not key:
                budget.charge(cost_, "count()", "m", label=f"{me}-{at}")
                log(home / "seen", f"{me}-{at} {cost_[0]}")
                continue
            once = Once(key, "plan")
            stored = budget.charge(UNIT, "count()", "m", label=f"{me}-{at}", once=once)
            answer = stored if stored is not None else budget.keep(once, os.urandom(32))
        except BudgetExceededError:
            if key or cost_[0] == UNIT[0]:
                return
        else:
            log(home / "answers", f"{key} {hashlib.sha256(answer).hexdigest()}")


def kills(home: Path, kills: int = 300, units: int = 22_000, processes: int = 4) -> dict[str, Any]:
    """Processes that charge, store and answer are killed at random moments until the budget is spent."""
    opened(home, units, anchor=True)
    with crowd() as running:
        killed, broken = until_spent(home, running, kills, units, processes)
    return {"kills": killed, "workers that saw an error": broken} | audited(home, units)


def until_spent(home: Path, running: set[int], kills: int, units: int, processes: int) -> tuple[int, int]:
    """How many were killed until nothing was left, and how many ended with an error."""
    draw, killed, started, broken, due = random.Random(13), 0, 0, 0, 0.0
    every = units / 2 / kills * 0.9  # at most so many charges between two kills, so that none is left at the end
    while True:
        while len(running) < processes:
            started += 1
            running.add(forked(partial(worker, home, units, started)))
        time.sleep(draw.uniform(0.01, 0.05))
        for child in list(running):
            done, status = os.waitpid(child, os.WNOHANG)
            if done:
                running.remove(child)
                broken += os.WEXITSTATUS(status) != 0
                if os.WEXITSTATUS(status) == 0 and not opened(home, units, anchor=True).remaining:
                    for other in running:
                        broken += os.WEXITSTATUS(os.waitpid(other, 0)[1]) != 0
                    running.clear()
                    return killed, broken
        seen = (home / "seen").read_bytes().count(b"\n") if (home / "seen").exists() else 0
        if running and killed < kills and seen >= due:
            child = draw.choice(sorted(running))
            os.kill(child, signal.SIGKILL)
            running.remove(child)
            os.waitpid(child, 0)
            killed, due = killed + 1, seen + draw.uniform(0, every)


def audited(home: Path, units: int) -> dict[str, Any]:
    """What a ledger says, against what was seen outside it."""
    budget = opened(home, units, anchor=True)
    ledger = budget._ledger
    assert ledger is not None
    charged = {record.label: record for record in ledger.records() if record.kind == "charge"}
    seen = [line.split(" ") for line in (home / "seen").read_text().splitlines()]
    answers: dict[str, set[str]] = {}
    for line in (home / "answers").read_text().splitlines():
        key, digest = line.split(" ")
        answers.setdefault(key, set()).add(digest)
    total = sum(int(record.amount.split(" ")[0]) for record in charged.values())
    doubled = sum(count > 1 for count in Counter(label for label, _ in seen).values())
    return {
        "charges": len(charged),
        "seen": len(seen),
        "seen and not charged": sum(label not in charged or charged[label].cost != cost_ for label, cost_ in seen),
        "seen twice": doubled,
        "charged and never seen, as their process was killed": sum(
            not record.key and label not in {label for label, _ in seen} for label, record in charged.items()
        ),
        "keys with an answer": len(answers),
        "keys with two answers": sum(len(each) > 1 for each in answers.values()),
        "answers that are not the stored one": sum(
            {kept.answer.plan} != answers[key]
            for (_, key), kept in ledger.chain.kept.items()
            if kept.answer is not None and key in answers
        ),
        "units charged": total,
        "units in all": units,
        "units left": int(budget.remaining),
        "integrity": integrity(ledger),
    }


def integrity(ledger: Ledger) -> str:
    """Whether a ledger is what was written, by everything that can be checked; or what is wrong."""
    try:
        ledger.verify()
    except LedgerError as error:
        return str(error)
    return "ok"


def clocks(home: Path) -> dict[str, Any]:
    """The clock jumps by ten years at every charge, there and back: nothing may depend on it."""
    import datetime

    from dpframe.accounting import budget as module

    class Jumping(datetime.datetime):
        years = 0

        @classmethod
        def now(cls, tz: Any = None) -> datetime.datetime:
            cls.years = -cls.years or 10
            return datetime.datetime(2026 + cls.years, 3, 29, 1, 59, 59, tzinfo=tz)

    budget = opened(home, 50)
    granted, real = 0, module.datetime
    module.datetime = type("clock", (), {"datetime": Jumping, "UTC": datetime.UTC})  # type: ignore[assignment]
    try:
        for at in range(60):
            try:
                (budget if at % 2 else opened(home, 50)).charge(UNIT, "count()", "m")
                granted += 1
            except BudgetExceededError:
                pass
    finally:
        module.datetime = real
    return {"granted of 50 units": granted, "left": int(opened(home, 50).remaining)}


FIGURES = {"durable": durable, "exhaustion": exhaustion, "kills": kills, "clocks": clocks}
