"""How far one release walks through the project: what a reader must follow to understand it.

Counted are the functions and methods that run, by the files they stand in. Not counted: properties and ``__methods__``,
which read like data; and what happens inside ``sql`` and ``kernels``, two rooms that stand for themselves (text to
expression, arrays to arrays) and are entered by one call each.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pandas as pd

import dpframe as dp

HOME = str(Path(dp.__file__).parent) + "/"
LEAVES = ("sql/", "kernels/")


def properties() -> set[CodeType]:
    """The code of every property of the project."""
    modules = [module for name, module in sys.modules.items() if name.startswith("dpframe")]
    classes = {value for module in modules for value in vars(module).values() if isinstance(value, type)}
    return {
        value.fget.__code__
        for each in classes
        for value in vars(each).values()
        if isinstance(value, property) and hasattr(value.fget, "__code__")
    }


def walk(work: Callable[[], Any]) -> tuple[set[str], set[str], int]:
    """The files and functions that ``work`` runs through, and how deep it goes (everything counts for depth)."""
    work()  # imports and compiles
    seen: dict[tuple[str, str], CodeType] = {}
    depth = deepest = 0

    def step(frame: FrameType, event: str, argument: object) -> None:
        nonlocal depth, deepest
        code = frame.f_code
        if event not in ("call", "return") or not code.co_filename.startswith(HOME) or code.co_name.startswith("<"):
            return
        depth += 1 if event == "call" else -1
        deepest = max(deepest, depth)
        seen[code.co_filename.removeprefix(HOME), code.co_qualname] = code

    sys.setprofile(step)
    try:
        work()
    finally:
        sys.setprofile(None)
    assert depth == 0
    plain = properties()
    walked = {
        (file, name)
        for (file, name), code in seen.items()
        if code not in plain and not name.split(".")[-1].startswith("__") and not file.startswith(LEAVES)
    }
    return {file for file, _ in walked}, {f"{file}: {name}" for file, name in walked}, deepest


def query(members: pd.DataFrame) -> Any:
    """Readers and mean books by age band."""
    banded = members.dp.protect().assign(age_band=dp.cut("age", range(0, 101, 10)))
    return banded.groupby("age_band").agg(readers=dp.count(), books=dp.mean("books_borrowed", 0, 22))


MEMBERS = pd.DataFrame({"age": [15, 34, 68], "books_borrowed": [3, 9, 27]})


def test_the_walk_of_one_release() -> None:
    asked, budget = query(MEMBERS), dp.Budget(epsilon=9)
    files, functions, depth = walk(lambda: asked.release(epsilon=0.4, budget=budget))
    assert len(files) <= 14, sorted(files)
    assert len(functions) <= 45, "\n".join(sorted(functions))
    assert depth <= 9
    # What must be on every honest walk: if these are missing, nothing was traced.
    assert {"release.py: release", "accounting/budget.py: Budget.charge", "backends/exact.py: locate"} <= functions


def test_the_whole_chain_from_the_door() -> None:
    budget = dp.Budget(epsilon=9)
    files, functions, depth = walk(lambda: query(MEMBERS).release(epsilon=0.4, budget=budget))
    # Checking every argument of every step is most of the difference to the release alone.
    assert len(files) <= 18, sorted(files)
    assert len(functions) <= 70, "\n".join(sorted(functions))
    assert depth <= 9
