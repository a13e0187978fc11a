"""The benchmark's tables."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.pages import conditions, verdict
from benchmarks.scale.lines import Bar, Line

GIB = 2**30
Found = Mapping[str, Mapping[str, Any]]
UNITS = {"time": "×", "cpu": "× CPU", "columns": "× the columns", "peak": "GiB"}


def value(outcome: Mapping[str, Any] | None, measure: str) -> float | None:
    """The median over the rounds of ``time``, ``cpu``, ``peak`` or ``columns``; None when there are no rounds."""
    if outcome is None or not outcome["rounds"]:
        return None
    rounds = outcome["rounds"]
    if measure == "columns":
        taken = median(each["peak"] - each["before"] for each in rounds)
        return (outcome["columns"] + taken) / outcome["columns"] if outcome["columns"] else None
    key = {"time": "seconds", "cpu": "cpu", "peak": "peak"}[measure]
    return float(median(each[key] for each in rounds))


def measured(bar: Bar, line: Line, found: Found) -> float | None:
    """What a bar limits, on this line; None when one of its sides was not measured."""
    here = found[line.name]["contenders"]
    own = value(here.get(line.contenders[0].who), bar.measure)
    if own is None or not bar.against:
        return own if own is None or bar.measure != "peak" else own / GIB
    there = found[bar.line]["contenders"] if bar.line in found else {} if bar.line else here
    other = value(there.get(bar.against), bar.measure)
    return own / other if other else None


def verdicts(lines: Sequence[Line], found: Found) -> list[str]:
    """The bar, line by line: what was measured, what is asked, and whether it is met."""
    rows = ["| work | against | measured | at most | |", "|---|---|---|---|---|"]
    for line in lines:
        for bar in line.bars:
            against = bar.against + (f", {found[bar.line]['title']}" if bar.line in found else "")
            unit = UNITS[bar.measure]
            most = f"1/{1 / bar.at_most:.0f} {unit}" if bar.at_most < 0.5 else f"{bar.at_most:g} {unit}"
            if line.name not in found:
                rows.append(f"| {line.title} | {against} | | {most} | not measured |")
                continue
            got = measured(bar, line, found)
            if got is None:
                rows.append(f"| {line.title} | {against} | | {most} | {_reason(bar, line, found)} |")
                continue
            shown = f"1/{1 / got:.1f}" if bar.at_most < 0.5 and 0 < got < 1 else f"{got:.2f}"
            rows.append(f"| {line.title} | {against} | {shown} {unit} | {most} | {verdict(got <= bar.at_most)} |")
    return rows


def _reason(bar: Bar, line: Line, found: Found) -> str:
    """Why a comparison was not to be had: one of its sides has no figures."""
    here = found[line.name]["contenders"]
    sides = {line.contenders[0].who: here, bar.against: found.get(bar.line, {}).get("contenders", here)}
    reasons = [f"{who} {_why(there[who])}" for who, there in sides.items() if who in there and there[who]["reason"]]
    return reasons[0] if reasons else "not measured"


def _why(outcome: Mapping[str, Any]) -> str:
    return f"did not run: {outcome['reason']}".replace("|", "\\|")


def details(line: Mapping[str, Any]) -> list[str]:
    """One row for each contender of a line: its figures, and their ratios to the base."""
    contenders = line["contenders"]
    base = contenders.get(line["base"])
    rows = []
    for who, outcome in sorted(contenders.items(), key=lambda each: each[0] != line["base"]):
        title = line["title"] if who == line["base"] else ""
        if not outcome["rounds"]:
            rows.append(f"| {title} | {who} | {_why(outcome)} | | | | | | |")
            continue
        figures = [value(outcome, measure) or 0.0 for measure in ("time", "cpu", "peak")]
        bases = [value(base, measure) for measure in ("time", "cpu", "peak")]
        ratios = [f"{a / b:.3g}" if b else "" for a, b in zip(figures, bases, strict=True)]
        cells = [f"{figures[0]:.3g}", f"{figures[1]:.3g}", f"{figures[2] / GIB:.2f}", *ratios]
        rows.append(f"| {title} | {who} | {' | '.join(cells)} | {len(outcome['rounds'])} |")
    return rows


def markdown(lines: Sequence[Line], found: Found) -> str:
    """The page of results."""
    present = [found[line.name] for line in lines if line.name in found]
    text = ["# Whole releases", "", "`python -m benchmarks.scale`: [how to run it](../../docs/benchmarks.md).", ""]
    text += [*conditions(present), "", "## The bar", "", *verdicts(lines, found)]
    text += ["", "## Everything measured", "", NOTES, ""]
    text += [
        "| work | who | s | CPU s | peak GiB | × time | × CPU | × peak | rounds |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for line in present:
        text += details(line)
    text += ["", "![rows against seconds](scale.svg)", "", "## Versions", "", *versions(present)]
    return "\n".join(text) + "\n"


def versions(present: Sequence[Mapping[str, Any]]) -> list[str]:
    """The versions that each contender ran with."""
    found: dict[str, str] = {}
    for line in present:
        for who, outcome in line["contenders"].items():
            if outcome["versions"]:
                found[who] = ", ".join(f"{name} {number}" for name, number in outcome["versions"].items())
    return [f"* {who}: {packages}" for who, packages in sorted(found.items())]


NOTES = """\
Seconds and CPU seconds (the whole tree of processes: a JVM and Python workers too) are medians of the rounds; peak is
the resident memory of the tree at its highest during a round, the loaded table and the interpreter included. A warm
JVM keeps what it once took, so Spark's peaks say little more than the session's settings. Ratios are to the first row
of each block. In-memory engines start from a table in memory; Spark and `dp.scan` read Parquet within the time. A plain
query neither bounds nor adds noise, and plain Spark computes its groups and throws them away, unless the line says that
they are written; `bounded by hand` bounds, without noise. OpenDP's default bounding fails in this version, so it keeps
the first groups, nine of each user; nothing in diffprivlib bounds, pandas does by hand."""
