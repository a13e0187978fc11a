"""Figures of budgets and their ledgers: ``python -m benchmarks.budgets``, or ``python -m benchmarks.budgets kills``.

Writes ``benchmarks/results/budgets.json`` and ``budgets.md``; figures that were measured before and are not asked for
now stay there as they were. Each is a function that measures and returns a mapping of what it found. Those of the
ledger need POSIX, and write to a directory of their own under ``--directory``: on which disk that is decides what a
durable charge costs.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks import pages
from benchmarks.budgets.bars import BARS

MODULES = ("memory", "ledger", "faults", "damage", "filters")
"""Each has ``FIGURES``, by name."""

PACKAGES = ("dpframe", "mpmath", "sqlalchemy", "dp-accounting", "numpy", "pandas")


def figures() -> dict[str, Callable[[Path], dict[str, Any]]]:
    """Every figure there is."""
    found: dict[str, Callable[[Path], dict[str, Any]]] = {}
    for module in MODULES:
        try:
            found |= import_module(f"benchmarks.budgets.{module}").FIGURES
        except ImportError as missing:
            print(f"figures of {module} need {missing.name}, which is not installed")
    return found


def measured(figure: Callable[[Path], dict[str, Any]], directory: Path) -> dict[str, Any]:
    """What a figure finds, in a directory of its own."""
    with tempfile.TemporaryDirectory(dir=directory) as home:
        return figure(Path(home))


def main() -> None:
    """Measure what was asked for, and write the page."""
    known = figures()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.budgets", description=__doc__.partition("\n")[0])
    parser.add_argument("figures", nargs="*", help=f"of {', '.join(known)}; none is all")
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()), help="where ledgers are written")
    parser.add_argument("--results", type=Path, default=pages.RESULTS, help="where the results go")
    asked = parser.parse_args()
    if unknown := set(asked.figures) - set(known):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    work = {name: partial(measured, figure, asked.directory) for name, figure in known.items()}
    page = pages.Page("budgets", "Budgets and ledgers", work, BARS, PACKAGES)
    pages.run(page, asked.figures or known, asked.results)


if __name__ == "__main__":
    main()
