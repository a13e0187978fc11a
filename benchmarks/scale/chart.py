"""The scaling plot: rows of the log against seconds, both axes logarithmic, as SVG."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, floor, log10
from typing import Any

from benchmarks.scale.report import value

LEFT, TOP, WIDTH, HEIGHT = 70, 40, 560, 380
COLOURS = {
    "dpframe on pandas": "#1f6f8b",
    "plain pandas": "#7fb3c4",
    "dpframe on Spark": "#8b1f5c",
    "plain Spark": "#d08fb4",
}
OTHERS = ("#c98b2b", "#a33", "#5a7d2a", "#777", "#4b4bb0", "#2aa198", "#b58900")


def series(found: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[int, float]]:
    """For each contender on the log's count its seconds by rows."""
    curves: dict[str, dict[int, float]] = {}
    for line in found.values():
        for who, outcome in line["contenders"].items():
            seconds = value(outcome, "time")
            if not line["rows"] or seconds is None:
                continue
            engine = "Spark" if line["base"] == "plain Spark" else "pandas"
            curves.setdefault(f"dpframe on {engine}" if who == "dpframe" else who, {}).setdefault(line["rows"], seconds)
    return curves


def plot(found: Mapping[str, Mapping[str, Any]]) -> str:
    """The plot of every contender that ran at two sizes or more."""
    curves = {who: points for who, points in series(found).items() if len(points) > 1}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 230}" height="{TOP + HEIGHT + 60}" '
        'font-family="sans-serif" font-size="12">',
        f'<text x="{LEFT}" y="20" font-size="14">Seconds of a count by page and country, by rows of the log</text>',
    ]
    if not curves:
        return "\n".join([*parts, "</svg>"]) + "\n"
    x = _Axis([rows for points in curves.values() for rows in points], WIDTH)
    y = _Axis([seconds for points in curves.values() for seconds in points.values()], HEIGHT)
    for power in x.powers:
        at = LEFT + x.at(10.0**power)
        parts.append(f'<line x1="{at:.1f}" y1="{TOP}" x2="{at:.1f}" y2="{TOP + HEIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{at:.1f}" y="{TOP + HEIGHT + 18}" text-anchor="middle">{10**power:,} rows</text>')
    for power in y.powers:
        at = TOP + HEIGHT - y.at(10.0**power)
        parts.append(f'<line x1="{LEFT}" y1="{at:.1f}" x2="{LEFT + WIDTH}" y2="{at:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{10.0**power:g} s</text>')
    others = iter(OTHERS * len(curves))
    for row, (who, points) in enumerate(sorted(curves.items(), key=lambda curve: -max(curve[1].values()))):
        colour = COLOURS.get(who) or next(others)
        places = [(LEFT + x.at(rows), TOP + HEIGHT - y.at(seconds)) for rows, seconds in sorted(points.items())]
        path = " ".join(f"{across:.1f},{down:.1f}" for across, down in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{across:.1f}" cy="{down:.1f}" r="3" fill="{colour}"/>' for across, down in places]
        down = TOP + 14 + 18 * row
        parts.append(f'<rect x="{LEFT + WIDTH + 16}" y="{down - 10}" width="14" height="10" fill="{colour}"/>')
        parts.append(f'<text x="{LEFT + WIDTH + 36}" y="{down}">{who}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


class _Axis:
    """A logarithmic axis over whole powers of ten."""

    def __init__(self, values: list[float] | list[int], length: int) -> None:
        self._low, self._length = floor(log10(min(values))), length
        self._high = max(ceil(log10(max(values))), self._low + 1)
        self.powers = range(self._low, self._high + 1)

    def at(self, number: float) -> float:
        """Pixels from the axis' beginning."""
        return (log10(number) - self._low) / (self._high - self._low) * self._length
