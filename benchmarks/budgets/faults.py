"""Figures of a ledger whose system calls fail: EIO, ENOSPC, and a kill before, after or halfway through each of them.

A small shared object, :download:`faults.c`, stands between SQLite and the C library. It is loaded into a process that
forks a child for every fault: the child opens a ledger, charges, stores and answers, and one system call of all that
fails. Then the ledger is opened without faults, and held against what the child had seen. Needs Linux and a C compiler.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections import Counter
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).with_name("faults.c")
KINDS = {"EIO": errno.EIO, "ENOSPC": errno.ENOSPC, "killed before": -1, "killed after": -2, "killed halfway": -3}
TEXT = "/kept/"
"""In the paths of the ledger, its journal and its anchor, and in no other."""

UNITS = 20


def compiler() -> str | None:
    """A C compiler, if there is one."""
    return next(filter(None, map(shutil.which, ("cc", "gcc", "clang"))), None) if sys.platform == "linux" else None


def faults(home: Path, most: int = 10**6) -> dict[str, Any]:
    """Every fault at every system call, in a process of its own that has the shared object loaded."""
    with_c = compiler()
    if with_c is None:
        return {"skipped": "this needs Linux and a C compiler (cc, gcc or clang)"}
    shared = home / f"faults{sysconfig.get_config_var('EXT_SUFFIX') or '.so'}"
    subprocess.run([with_c, "-shared", "-fPIC", "-O1", "-o", str(shared), str(SOURCE), "-ldl"], check=True)
    run = subprocess.run(
        [sys.executable, "-m", "benchmarks.budgets.faults", str(shared), str(home), str(most)],
        env={**os.environ, "LD_PRELOAD": str(shared)},
        capture_output=True,
        text=True,
    )
    if run.returncode:
        raise RuntimeError(run.stderr)
    found: dict[str, Any] = json.loads(run.stdout.splitlines()[-1])
    return found


def scenario(home: Path) -> None:
    """Open a ledger, charge five times, store two answers, spend in a part; tell what was seen after each."""
    import dpframe as dp
    from benchmarks.budgets.ledger import UNIT, log, opened
    from dpframe.accounting import Once

    budget = opened(home / "kept", UNITS, anchor=True)
    for at in range(3):
        budget.charge(UNIT, "count()", "m", label=f"c{at}")
        log(home / "seen", f"c{at}")
    once = Once("key", "plan")
    stored = budget.charge(UNIT, "count()", "m", label="k", once=once)
    answer = stored if stored is not None else budget.keep(once, os.urandom(3000))
    log(home / "answers", hashlib.sha256(answer).hexdigest())
    with budget.part(epsilon=4) as part:
        part.charge(UNIT, "count()", "m", label="p")
        log(home / "seen", "p")
    assert isinstance(budget, dp.Budget)


def tried(shim: ctypes.CDLL, home: Path, at: int, kind: int) -> int:
    """One run of the scenario in a child with one fault; how many calls there were, or -1 if the child was stopped."""
    from dpframe.errors import LedgerError

    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        told = b"unclear"
        try:
            shim.fault_arm(TEXT.encode(), ctypes.c_long(at), ctypes.c_int(kind))
            scenario(home)
            told = str(shim.fault_seen()).encode()
        except LedgerError:
            told = b"refused"
        except BaseException as error:
            told = f"unclear: {error!r}".encode()
        finally:
            shim.fault_arm(b"", ctypes.c_long(-1), ctypes.c_int(0))
            os.write(writer, told)
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        told_text = pipe.read()
    os.waitpid(child, 0)
    if told_text.startswith("unclear"):
        raise RuntimeError(f"fault {kind} at call {at}: {told_text}")
    return int(told_text) if told_text.isdigit() else -1


def violations(home: Path) -> tuple[list[str], str]:
    """What is wrong with a ledger after a fault, and whether it opens or refuses."""
    from benchmarks.budgets.ledger import opened
    from dpframe.errors import LedgerError

    def lines(name: str) -> list[str]:
        return (home / name).read_text().split() if (home / name).exists() else []

    seen, answers = lines("seen"), lines("answers")
    try:
        budget = opened(home / "kept", UNITS, anchor=True)
        assert budget._ledger is not None
        budget._ledger.verify()
    except LedgerError as error:
        # A line of the anchor that was cut in half says so, and is taken out by hand: that is one clear error.
        return [], f"refuses: {str(error).split(str(home))[0].strip()}"
    charged = [record.label for record in budget._ledger.records() if record.kind == "charge"]
    found = [f"{label} was seen and not charged" for label in seen if label not in charged]
    found += ["charged twice"] if len(set(charged)) < len(charged) else []
    spent, least = int(budget.spent), len(set(seen)) + bool(answers)
    # A part of a process that died stays set aside as a whole.
    if not least <= spent <= len([label for label in charged if label != "p"]) + 4:
        found.append(f"{spent} spent, {charged} charged, {seen} seen")
    kept = [kept.answer.plan for kept in budget._ledger.chain.kept.values() if kept.answer is not None]
    found += ["an answer that was seen is not the stored one"] if answers and answers != kept[: len(answers)] else []
    scenario_again(budget, answers)
    return found, "opens"


def scenario_again(budget: Any, answers: list[str]) -> None:
    """The next process can go on, and gets the answer that was seen."""
    from benchmarks.budgets.ledger import UNIT
    from dpframe.accounting import Once

    once, before = Once("key", "plan"), budget.spent
    stored = budget.charge(UNIT, "count()", "m", once=once)
    answer = stored if stored is not None else budget.keep(once, b"the next process's")
    if answers:
        assert hashlib.sha256(answer).hexdigest() == answers[0] and budget.spent == before


def run(shim: ctypes.CDLL, home: Path, most: int) -> dict[str, Any]:
    """Every kind of fault at every call that the scenario makes."""
    (home / "counting" / "kept").mkdir(parents=True)
    calls = tried(shim, home / "counting", -1, 0)
    step = max(1, calls * len(KINDS) // most)
    points, states, wrong, stopped = 0, Counter[str](), list[str](), 0
    for number in range(0, calls * len(KINDS), step):
        at, (name, kind) = number // len(KINDS), list(KINDS.items())[number % len(KINDS)]
        place = home / f"{at}-{kind}"
        (place / "kept").mkdir(parents=True)
        stopped += tried(shim, place, at, kind) == -1
        found, state = violations(place)
        wrong += [f"{name} at call {at}: {each}" for each in found]
        states[state] += 1
        points += 1
        shutil.rmtree(place)
    return {
        "system calls on the ledger's files": calls,
        "faults": points,
        "that stopped the process or were refused": stopped,
        **{f"the next process {state}": times for state, times in sorted(states.items())},
        "violations": len(wrong),
        "of them": wrong[:5],
    }


FIGURES = {"faults": faults}

if __name__ == "__main__":
    print(json.dumps(run(ctypes.CDLL(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]))))
