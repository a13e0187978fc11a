"""Functions of Arrow batches in Spark's tasks, and settings of a session while they run.

Two things cost more than the kernels do, by default. Spark hands rows to Python 10,000 at a time and asks after each
of them how many bytes the batch has; and its Python worker collects garbage after every task, through all that numba
and pandas hold. ``docs/decisions/0009-rows-carry-their-cells-on-spark.md`` has what both come to.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import Any

import pyarrow as pa

from dpframe.backends.base import Request
from dpframe.backends.bounds import needed
from dpframe.keys import MOST_CELLS
from dpframe.plan import Type
from dpframe.stages import Apply, Stage

ROWS = "spark.sql.execution.arrow.maxRecordsPerBatch"
BYTES = "spark.sql.execution.arrow.maxBytesPerBatch"

Run = Callable[[Iterable[pa.RecordBatch]], Iterable[pa.RecordBatch]]


@dataclass(frozen=True)
class Task:
    """A function of a task's batches that leaves little for the worker to look through afterwards."""

    run: Run

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield from self.run(batches)
        # What has outlived a collection are modules and compiled code: the next collections need not visit them.
        gc.collect()
        gc.freeze()


def tasks(rows: Any, run: Run, fields: Any) -> Any:
    """The batches that a function returns of those of every task, with the columns ``fields``; lazy."""
    return rows.mapInArrow(Task(run), fields)


@contextmanager
def handed_quickly(session: Any, request: Request) -> Iterator[None]:
    """Let Spark hand the narrow rows of a request to Python in large batches, while an action runs.

    Rows of fixed width cannot fill the memory, so their bytes are not counted either. What a user's function is called
    on comes in batches of the session's own size.
    """
    wanted = dict[str, str]()
    in_python = request.bounds or request.keys.size > MOST_CELLS  # else Spark adds up
    if in_python and not any(isinstance(step, Apply) for step in request.steps):
        wanted[ROWS] = "65536"
        if not any(isinstance(step, Stage) for step in request.steps) and all(
            request.types[ref] is not Type.STRING for ref in needed(request)
        ):
            wanted[BYTES] = str(2**31 - 1)
    with settings(session, wanted):
        yield


@dataclass
class Held:
    """A setting that differs for a while: what it was, and how many wish it otherwise."""

    before: str | None
    wishes: int = 0


_held: dict[tuple[object, str], Held] = {}
_lock = Lock()


@contextmanager
def settings(session: Any, wanted: Mapping[str, str]) -> Iterator[None]:
    """Settings of a session for the time of a block; with the last of several threads' blocks, they are as before."""
    with _lock:
        for name, value in wanted.items():
            held = _held.setdefault((_same(session), name), Held(session.conf.get(name, None)))
            held.wishes += 1
            session.conf.set(name, value)
    try:
        yield
    finally:
        with _lock:
            for name in wanted:
                held = _held[_same(session), name]
                held.wishes -= 1
                if not held.wishes:
                    del _held[_same(session), name]
                    session.conf.unset(name) if held.before is None else session.conf.set(name, held.before)


def _same(session: Any) -> object:
    """What Python objects of one session have in common."""
    return session._jsparkSession.hashCode() if hasattr(session, "_jsc") else session.session_id
