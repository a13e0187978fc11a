"""The measuring side: starts a case in a process of its own and looks at all its processes from outside.

Wall time is the case's own clock. CPU seconds are those of the whole tree (a JVM's and Python workers' too), in ticks
of 10 ms. Peak memory is the resident memory of the tree, sampled every 20 ms; of one process alone the kernel's own
high water mark is exact. Pages that processes share count once for each. Both need Linux's ``/proc``; elsewhere they
are 0.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent.parent
PROC = Path("/proc")
LINUX = PROC.joinpath("self/statm").exists()
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
EVERY = 0.02
"""Seconds between two looks at the memory."""

AGAIN = 10
"""Every so many looks, the list of processes is made anew."""

Process = tuple[int, int]
"""A process' number, and when it began: numbers are used again."""

PATIENCE = 10
"""Seconds that a case's processes get to end by themselves."""


@dataclass(frozen=True)
class Round:
    """One measured run: wall and CPU seconds, bytes before it and at its peak."""

    seconds: float
    cpu: float
    before: int
    peak: int


@dataclass
class Outcome:
    """What became of a case: its rounds, or the reason why there are none."""

    rounds: list[Round] = field(default_factory=list)
    columns: int = 0
    rows: int | None = None
    versions: dict[str, str] = field(default_factory=dict)
    reason: str | None = None
    """Why it did not run; None when it did."""

    def as_json(self) -> dict[str, Any]:
        """A dictionary of plain values."""
        return asdict(self)


class CaseFailed(Exception):
    """The case ended early; the message says why, in a line."""


def tree(root: int) -> list[int]:
    """A process and all its descendants."""
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir() if LINUX else ():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields:
                children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, ())
    return found


def _stat(pid: int) -> list[str]:
    """The fields of a process from its state on; empty when it is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []


def look(pids: Iterable[int]) -> dict[Process, tuple[float, int]]:
    """CPU seconds of each process that is there, without its children's, and its resident bytes."""
    seen = {}
    for pid in pids:
        fields = _stat(pid)
        if fields:
            seen[pid, int(fields[19])] = (sum(map(int, fields[11:13])) / TICK, int(fields[21]) * PAGE)
    return seen


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU seconds of the processes that are there, and of their children that have ended and were waited for."""
    return sum(sum(map(int, fields[11:15])) for pid in pids if (fields := _stat(pid))) / TICK


def resident(pids: Iterable[int]) -> int:
    """Resident bytes, summed over the processes."""
    return sum(size for _, size in look(pids).values())


def _forget_peak(pid: int) -> None:
    try:
        (PROC / str(pid) / "clear_refs").write_text("5")
    except OSError:
        return


def _own_peak(pid: int) -> int:
    """The most resident bytes of one process since its peak was forgotten."""
    try:
        status = (PROC / str(pid) / "status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)


class Case:
    """One running case, which must be closed. When it cannot be made ready, it closes itself."""

    def __init__(
        self, python: Path | str, module: str, name: str, options: dict[str, Any], deadline: float, log: Path
    ) -> None:
        self._deadline = time.monotonic() + deadline
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        environment = os.environ | {
            "PYTHONPATH": path,
            "PYSPARK_PYTHON": str(python),
            "PYSPARK_DRIVER_PYTHON": str(python),
            "SPARK_LOCAL_IP": os.environ.get("SPARK_LOCAL_IP", "127.0.0.1"),
        }
        self._log = log.open("w")
        self._process = subprocess.Popen(
            [str(python), "-m", f"benchmarks.scale.cases.{module}", name, json.dumps(options)],
            cwd=log.parent,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._listen, daemon=True).start()
        try:
            ready = self._hear("ready")
        except CaseFailed:
            self.close()
            raise
        self.columns: int = ready["columns"]
        self.versions: dict[str, str] = ready["versions"]
        self.rows: int | None = None

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def _hear(self, wanted: str) -> dict[str, Any]:
        try:
            line = self._lines.get(timeout=max(0.0, self._deadline - time.monotonic()))
        except queue.Empty:
            raise CaseFailed("stopped: it took longer than this benchmark waits") from None
        if line is None:  # as when a package is not installed, or the system is out of memory
            last = ["", *Path(self._log.name).read_text(errors="replace").split("\n")][-2:][0]
            raise CaseFailed(f"the process ended with exit code {self._process.wait()}. {last[:200]}".strip())
        message: dict[str, Any] = json.loads(line)
        if message["said"] != wanted:
            raise CaseFailed(message["reason"])
        return message

    def run(self) -> Round:
        """Run it once and measure that."""
        assert self._process.stdin is not None
        pids = tree(self._process.pid)
        for pid in pids:
            _forget_peak(pid)
        before, waited = resident(pids), cpu_seconds(pids)
        with watching(self._process.pid) as watch:
            print("run", file=self._process.stdin, flush=True)
            done = self._hear("done")
        pids = tree(self._process.pid)
        peak = max(watch.peak, *map(_own_peak, pids))
        # Each falls short of the truth somewhere: see Watch.
        spent = max(watch.spent(), cpu_seconds(pids) - waited)
        self.rows = done["rows"]
        self._hear("idle")
        return Round(done["seconds"], spent, before, peak)

    def close(self) -> None:
        """End its processes and wait for them: politely first, so that Spark clears up behind itself."""
        pids = tree(self._process.pid)
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        patience = time.monotonic() + PATIENCE
        while time.monotonic() < patience and any(_alive(pid) for pid in pids):
            time.sleep(EVERY)
            self._process.poll()
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._log.close()


def _alive(pid: int) -> bool:
    fields = _stat(pid)
    return bool(fields) and fields[0] != "Z"


@dataclass
class Watch:
    """What was seen of a tree of processes while it was watched.

    Of children that have ended, the system adds up the CPU time only if somebody waits for them. Spark's daemon of
    Python workers does not: what they used is known because they were seen using it. (What is not seen are children
    that live for less than some looks; of those, most are waited for.)
    """

    peak: int = 0
    first: dict[Process, float] = field(default_factory=dict)
    last: dict[Process, float] = field(default_factory=dict)

    def see(self, pids: Iterable[int], *, begun: bool = True) -> None:
        """Look once. What the first look finds was there before; what comes later began at nothing."""
        seen = look(pids)
        self.peak = max(self.peak, sum(size for _, size in seen.values()))
        for process, (seconds, _) in seen.items():
            self.first.setdefault(process, 0.0 if begun else seconds)
            self.last[process] = seconds

    def spent(self) -> float:
        """CPU seconds of all processes while they were watched."""
        return sum(seconds - self.first[process] for process, seconds in self.last.items())


@contextmanager
def watching(root: int) -> Iterator[Watch]:
    """Watch a tree of processes while the block runs."""
    watch, over = Watch(), threading.Event()
    watch.see(tree(root), begun=False)

    def keep_looking() -> None:
        pids = tree(root)
        for looks in count(1):
            watch.see(pids)
            if over.wait(EVERY):
                return
            if looks % AGAIN == 0:
                pids = tree(root)

    watcher = threading.Thread(target=keep_looking, daemon=True)
    watcher.start()
    try:
        yield watch
    finally:
        over.set()
        watcher.join()
        watch.see(tree(root))
