"""The measured side: a process that prepares one case, then runs it as often as the measuring side says.

Of the standard library only, because peers' environments hold little else. Both sides talk in lines: JSON out, ``run``
or the end of input in. The measuring side (:mod:`benchmarks.scale.meter`) looks at CPU time and memory between them.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from benchmarks.versions import versions

PACKAGES = (
    *("dpframe", "pandas", "numpy", "numba", "pyarrow", "duckdb", "polars", "pyspark"),
    *("opendp", "diffprivlib", "pipeline-dp", "tmlt.analytics"),
)


@dataclass(frozen=True)
class Prepared:
    """A case ready to run: the call that is timed, and the bytes of the columns it reads from memory."""

    run: Callable[[], object]
    columns: int = 0


def main(cases: Mapping[str, Callable[..., Prepared]]) -> None:
    """``python -m benchmarks.scale.cases.X CASE OPTIONS``."""
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints is no message

    def say(**message: object) -> None:
        print(json.dumps(message), file=channel)

    try:
        prepared = cases[sys.argv[1]](**json.loads(sys.argv[2]))
        _give_back()
        say(said="ready", columns=prepared.columns, versions=versions(PACKAGES))
        for _ in iter(sys.stdin.readline, ""):
            begin = time.perf_counter()
            result = prepared.run()
            say(said="done", seconds=time.perf_counter() - begin, rows=_rows(result))
            del result
            _give_back()
            say(said="idle")
    except Exception as error:
        say(said="failed", reason=f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")
        raise


def _rows(result: Any) -> int | None:
    """The length of a result that has one at no cost."""
    try:
        return len(result)
    except TypeError:
        return None


def _give_back() -> None:
    """Return freed memory to the system, so that the next peak is the next run's own."""
    gc.collect()
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    if sys.platform == "linux":
        import ctypes

        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none
        if trim is not None:
            trim(0)
