"""Runs the lines: each contender in a process of its own, the first two taking turns."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.environments import Unavailable, interpreter
from benchmarks.scale.lines import Contender, Line
from benchmarks.scale.meter import Case, CaseFailed, Outcome


@dataclass(frozen=True)
class Limits:
    """How long to go on: at most so many rounds, none begun after so many seconds, and when to give up on a case."""

    rounds: int = 7
    seconds: float = 15
    deadline: float = 900


def run(line: Line, directory: Path, peers: Path, limits: Limits) -> dict[str, Any]:
    """Measure one line; plain values, for JSON."""
    table = line.table(directory)
    load = os.getloadavg()[0]
    outcomes: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory(prefix="dpframe-scale-") as scratch:
        # Two that are compared closely take turns, so that another program's load falls on both alike.
        for together in (line.contenders[:2], *([each] for each in line.contenders[2:])):
            outcomes |= _take_turns(together, table, peers, Path(scratch), limits)
    return {
        "title": line.title,
        "base": line.base,
        "rows": line.rows,
        "load": [load, os.getloadavg()[0]],
        "contenders": {who: outcome.as_json() for who, outcome in outcomes.items()},
    }


def _take_turns(
    contenders: Sequence[Contender], table: Path, peers: Path, scratch: Path, limits: Limits
) -> dict[str, Outcome]:
    outcomes = {each.who: Outcome() for each in contenders}
    cases: dict[str, Case] = {}
    try:
        for each in contenders:
            case = _begin(each, outcomes[each.who], table, peers, scratch, limits)
            if case is not None:
                cases[each.who] = case
        spent = 0.0
        for number in range(limits.rounds + 1):
            for who in list(cases):
                outcome = outcomes[who]
                try:
                    found = cases[who].run()
                except CaseFailed as error:
                    outcome.reason = str(error)
                    cases.pop(who).close()
                    continue
                outcome.rows = cases[who].rows
                if number:  # the first compiles, and warms caches
                    outcome.rounds.append(found)
                    spent += found.seconds
                print(f"    {who}: {found.seconds:.3f} s{'' if number else ' (warm-up)'}", file=sys.stderr, flush=True)
            if spent > limits.seconds * len(contenders):
                break
    finally:
        for case in cases.values():
            case.close()
    return outcomes


def _begin(
    contender: Contender, outcome: Outcome, table: Path, peers: Path, scratch: Path, limits: Limits
) -> Case | None:
    """Start a case and fill in what is known of it then; None when it cannot be had, with the reason."""
    try:
        python = Path(sys.executable) if contender.peer is None else interpreter(contender.peer, peers)
        options = {"path": str(table), **contender.options}
        log = scratch / f"{contender.module}-{contender.case}.log"
        case = Case(python, contender.module, contender.case, options, limits.deadline, log)
    except (Unavailable, CaseFailed) as error:
        outcome.reason = str(error)
        print(f"    {contender.who}: {outcome.reason}", file=sys.stderr, flush=True)
        return None
    outcome.columns, outcome.versions = case.columns, case.versions
    return case
