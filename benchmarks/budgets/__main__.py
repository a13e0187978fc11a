"""Figures of budgets and their ledgers: ``python -m benchmarks.budgets``, or ``python -m benchmarks.budgets kills``.

Each figure is a function that measures and returns a mapping of what it found. Those of the ledger need POSIX, and
write to a directory of their own under ``--directory``: on which disk that is decides what a durable charge costs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

MODULES = ("memory", "ledger", "faults", "damage", "filters")
"""Each has ``FIGURES``, by name."""


def figures() -> dict[str, Callable[[Path], dict[str, Any]]]:
    """Every figure there is."""
    found: dict[str, Callable[[Path], dict[str, Any]]] = {}
    for module in MODULES:
        try:
            found |= import_module(f"benchmarks.budgets.{module}").FIGURES
        except ImportError as missing:
            print(f"figures of {module} need {missing.name}, which is not installed")
    return found


def main() -> None:
    """Measure what was asked for, and print it."""
    known = figures()
    parser = argparse.ArgumentParser(prog="python -m benchmarks.budgets", description=__doc__.partition("\n")[0])
    parser.add_argument("figures", nargs="*", help=f"of {', '.join(known)}; none is all")
    parser.add_argument("--directory", type=Path, default=Path(tempfile.gettempdir()), help="where ledgers are written")
    asked = parser.parse_args()
    if unknown := set(asked.figures) - set(known):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    for name in asked.figures or known:
        with tempfile.TemporaryDirectory(dir=asked.directory) as home:
            began = time.perf_counter()
            result = known[name](Path(home))
        print(f"{name} ({time.perf_counter() - began:.0f} s)")
        for what, value in result.items():
            print(f"  {what}: {f'{value:,.3g}' if isinstance(value, float) else value}")


if __name__ == "__main__":
    main()
