"""Pages of results: ``benchmarks/results/NAME.json`` holds what was measured, ``NAME.md`` says whether it is enough.

A benchmark of several figures is a :class:`Page`: its figures, which measure and return plain values by name, and its
bars, which say what is asked of those. :func:`run` measures some figures and leaves the others as they were, each with
its own day, load and versions. A benchmark with tables of its own makes them itself, and uses :func:`write`,
:func:`verdict` and :func:`conditions`.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.machine import machine
from benchmarks.versions import versions

RESULTS = Path(__file__).parent / "results"
Found = Mapping[str, Any]


@dataclass(frozen=True)
class Bar:
    """What is asked of one figure.

    Parameters
    ----------
    figure
        Its name.
    what, asked
        What is looked at, and what must be true of it, in words.
    measured, met
        From what the figure found: the same in words, and whether it is enough.
    """

    figure: str
    what: str
    asked: str
    measured: Callable[[Found], str]
    met: Callable[[Found], bool]


@dataclass(frozen=True)
class Page:
    """A benchmark of several figures: ``python -m benchmarks.NAME``, and the files it writes.

    Parameters
    ----------
    name, title
        Of the package and the files, and of the page.
    figures
        By name, what measures each. Of values whose name is ``skipped``, the text says why there are no others.
    bars
        What is asked, in the order of the page.
    packages
        Whose versions matter.
    notes
        What a reader must know of the figures.
    """

    name: str
    title: str
    figures: Mapping[str, Callable[[], Found]]
    bars: Sequence[Bar]
    packages: Sequence[str] = ("dpframe", "numpy", "pandas")
    notes: str = ""


def read(name: str, results: Path = RESULTS) -> dict[str, Any]:
    """What was found before; nothing where nothing was."""
    kept = results / f"{name}.json"
    found: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    return found


def write(name: str, found: Found, text: str, results: Path = RESULTS) -> None:
    """Keep what was found, and the page made of it."""
    results.mkdir(parents=True, exist_ok=True)
    (results / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
    (results / f"{name}.md").write_text(text)


def run(page: Page, names: Iterable[str], results: Path = RESULTS) -> None:
    """Measure some figures of a page, print each, and write the page after each."""
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        stamp, load, began = machine(), os.getloadavg()[0], time.perf_counter()
        found = dict(page.figures[name]())
        taken = {
            "found": found,
            "seconds": round(time.perf_counter() - began, 1),
            "load": [load, os.getloadavg()[0]],
            "machine": stamp,
            "versions": versions(page.packages),
        }
        print("\n".join(details(name, taken)))
        kept = read(page.name, results) | {name: taken}  # read again: other figures may be running beside
        write(page.name, kept, markdown(page, kept), results)


def markdown(page: Page, kept: Mapping[str, Found]) -> str:
    """The page: under which conditions, what is asked and whether it is met, and all that was found."""
    present = {name: kept[name] for name in dict.fromkeys((*page.figures, *kept)) if name in kept}
    text = [
        f"# {page.title}",
        "",
        f"`python -m benchmarks.{page.name}`: [how to run it](../../docs/benchmarks.md).",
        "",
    ]
    text += [*conditions(list(present.values())), "", "## The bar", ""]
    text += ["| what | asked | measured | | day | load |", "|---|---|---|---|---|---|"]
    for bar in page.bars:
        text.append("| " + " | ".join(_row(bar, present.get(bar.figure))) + " |")
    text += ["", "## Everything measured", ""] + ([page.notes, ""] if page.notes else [])
    for name, taken in present.items():
        text += [*details(name, taken, mark="### "), ""]
    used = sorted(
        {", ".join(f"{package} {number}" for package, number in each["versions"].items()) for each in present.values()}
    )
    return "\n".join([*text, "## Versions", "", *(f"* {each}" for each in used)]) + "\n"


def _row(bar: Bar, taken: Found | None) -> list[str]:
    if taken is None:
        return [bar.what, bar.asked, "", "not measured", "", ""]
    found, when = taken["found"], [taken["machine"]["day"], f"{max(taken['load']):.1f}"]
    if "skipped" in found:
        return [bar.what, bar.asked, "", f"not measured: {found['skipped']}", *when]
    return [bar.what, bar.asked, bar.measured(found), verdict(bar.met(found)), *when]


def details(name: str, taken: Found, mark: str = "") -> list[str]:
    """Everything that a figure found, line by line."""
    values = {what: f"{value:,.4g}" if isinstance(value, float) else value for what, value in taken["found"].items()}
    loads = " to ".join(f"{load:.1f}" for load in taken["load"])
    lines = [f"{mark}{name}", "", f"{taken['seconds']:.0f} s on {taken['machine']['day']}, load {loads}.", ""]
    return [*lines, *(f"* {what}: {value}" for what, value in values.items())]


def verdict(met: bool) -> str:
    """Whether it is enough, for a table."""
    return "met" if met else "**missed**"


def conditions(present: Sequence[Found]) -> list[str]:
    """On which machines and days these were measured, and how busy the machine was."""
    stamps = {(each["machine"]["cpu"], each["machine"]["cores"], each["machine"]["python"]) for each in present}
    text = [f"{cpu}, {cores} cores, Python {python}." for cpu, cores, python in sorted(stamps)]
    loads = [load for each in present for load in each["load"]]
    days = sorted({each["machine"]["day"] for each in present})
    revisions = sorted({each["machine"].get("revision", "") for each in present} - {""})
    if loads:
        text.append(
            f"Measured {' and '.join(days[:1] + days[1:][-1:])}; load average between {min(loads):.1f} and "
            f"{max(loads):.1f} at the beginnings and ends of the lines, this benchmark's own work included."
            + f" On top of {', '.join(revisions)}."
            * bool(revisions)
        )
        if max(loads) > 2 * max(cores for _, cores, _ in stamps):
            text.append(
                "That is more than it makes by itself: other programs were busy. Seconds are then too long, times that "
                "were not taken in turns are hard to compare, and ratios of CPU seconds tell more."
            )
    return text
