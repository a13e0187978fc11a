"""Whole releases beside the plain query and beside peers: ``python -m benchmarks.scale``.

Writes ``benchmarks/results/scale.json``, ``scale.md`` (tables) and ``scale.svg`` (plot). A release is timed with
everything that it does: the charge, the exact part, the noise, the freeze. Every contender has a process of its own,
is run once to compile and warm up, and then measured; dpframe and the plain query take turns, round by round, and the
median round counts. The tables are invented by fixed generators and kept outside the repository (``--data DIR``), as
are the peers' virtual environments (``--peers DIR``); both are made at the first run.

Lines measured before and not selected now stay in the results as they were.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import environments, pages
from benchmarks.machine import machine
from benchmarks.scale.chart import plot
from benchmarks.scale.lines import FULL, GROUPS, QUICK, Line, lines
from benchmarks.scale.report import markdown
from benchmarks.scale.runner import Limits, run


def options() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", choices=GROUPS, action="append", help="these lines only; may be given again")
    parser.add_argument("--line", action="append", help="the line of this name only; may be given again")
    parser.add_argument("--big", action="store_true", help="the lines of 50 and 200 million rows too")
    parser.add_argument("--quick", action="store_true", help="small tables, to try the harness; keeps no results")
    parser.add_argument("--report", action="store_true", help="measure nothing, and make the tables and the plot anew")
    parser.add_argument("--data", type=Path, default=Path(tempfile.gettempdir()) / "dpframe-data", help="the tables")
    parser.add_argument("--peers", type=Path, default=environments.HOME, help="the peers' environments")
    parser.add_argument("--results", type=Path, default=pages.RESULTS, help="where the results go")
    parser.add_argument("--rounds", type=int, default=7, help="at most so many rounds of each")
    parser.add_argument("--seconds", type=float, default=15, help="no round of a case begins after so many seconds")
    return parser.parse_args()


def selected(asked: argparse.Namespace) -> list[Line]:
    """The lines that were asked for."""
    found = lines(QUICK if asked.quick else FULL)
    if asked.report:
        return []
    if asked.line:
        return [line for line in found if line.name in asked.line]
    wanted = set(asked.only or GROUPS)
    return [line for line in found if line.groups & wanted and (asked.big or asked.quick or not line.big)]


def main() -> None:
    """Run the lines and write the three files after each."""
    asked = options()
    limits = Limits(2, 5, 300) if asked.quick else Limits(asked.rounds, asked.seconds, 3600 if asked.big else 1800)
    found: dict[str, Any] = {"lines": {}}
    if not asked.quick:
        found |= pages.read("scale", asked.results)
    order = lines(QUICK if asked.quick else FULL)
    for line in selected(asked):
        print(f"{line.title} ...", file=sys.stderr, flush=True)
        stamp = machine()
        found["lines"][line.name] = run(line, asked.data.resolve(), asked.peers.resolve(), limits) | {"machine": stamp}
        if not asked.quick:
            write(asked.results, order, found)
    if asked.report:
        write(asked.results, order, found)
    print(markdown(order, found["lines"]))


def write(results: Path, order: list[Line], found: dict[str, Any]) -> None:
    """What was measured, the tables and the plot."""
    pages.write("scale", found, markdown(order, found["lines"]), results)
    (results / "scale.svg").write_text(plot(found["lines"]))


if __name__ == "__main__":
    main()
