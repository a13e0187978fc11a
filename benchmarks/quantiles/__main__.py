"""The rank error of several quantiles, of one list and one by one, and the time of releases.

``python -m benchmarks.quantiles`` writes ``benchmarks/results/quantiles.json`` and ``quantiles.md``; with names, only
those figures are measured anew.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

import dpframe as dp
from benchmarks.pages import Bar, Found, Page, run

Values = npt.NDArray[np.float64] | npt.NDArray[np.int64]
ROUNDS = 1000
"""Pairs of releases behind each figure: the ratio of the medians of such errors is then known to some 3 per cent."""

LAWS: Mapping[str, Callable[[np.random.Generator, int], Values]] = {
    "log-normal": lambda draw, rows: draw.lognormal(3, 0.8, rows),
    "uniform": lambda draw, rows: draw.uniform(100, 900, rows),
    "two normals": lambda draw, rows: np.where(draw.random(rows) < 0.3, 1, 15) * draw.normal(50, 5, rows),
    "Pareto": lambda draw, rows: 5 * (1 + draw.pareto(1.2, rows)),
    "whole years": lambda draw, rows: (100 * draw.beta(2, 3, rows)).astype(np.int64),
}
"""What the rows are drawn from, anew for every round; all are clipped to 0 … 1000."""

COSTS: Mapping[str, tuple[dict[str, float], dict[str, float]]] = {
    "epsilon": ({"epsilon": 1}, {"epsilon": 1}),
    "rho": ({"rho": 0.05}, {"rho": 0.05}),
    "delta": ({"epsilon": 1, "delta": 1e-6}, {"epsilon": 1, "delta": 1e-6}),
}
"""The cost of a release, and the budget."""


def off(values: Values, answer: Values, parts: list[float]) -> float:
    """How far the ranks of an answer are off on average, in per cent of the rows; equal rows have a range of ranks."""
    below, upto = (np.searchsorted(values, answer, side) / len(values) for side in ("left", "right"))  # type: ignore[call-overload]
    return 100 * float(np.maximum(0, np.maximum(below - parts, parts - upto)).mean())


def rank_errors(law: str, rows: int, several: int, cost: str) -> Found:
    """The medians over the rounds, of one list and one by one."""
    draw = np.random.default_rng(rows + several)
    parts = [float(Fraction(i + 1, several + 1)) for i in range(several)]
    (named, whole), errors = COSTS[cost], []
    for _ in range(ROUNDS):
        values = np.sort(np.clip(LAWS[law](draw, rows), 0, 1000))
        private = pd.DataFrame({"x": values}).dp.protect()
        apart = private.agg(**{f"q{at}": dp.quantile("x", part, 0, 1000) for at, part in enumerate(parts)})
        answers = (
            query.release(budget=dp.Budget(**whole), **named).iloc[0].to_numpy()
            for query in (private.quantile("x", parts, 0, 1000), apart)
        )
        errors.append([off(values, answer, parts) for answer in answers])
    together, one_by_one = np.median(errors, axis=0).tolist()
    return {"one list, %": together, "one by one, %": one_by_one, "ratio": one_by_one / together}


def seconds() -> Found:
    """The least time of three releases of a million rows on pandas, nine quantiles."""
    draw, n, parts = np.random.default_rng(0), 1_000_000, [at / 10 for at in range(1, 10)]
    frame = pd.DataFrame({"x": draw.lognormal(3, 0.8, n), "n": draw.integers(0, 23, n), "g": draw.integers(0, 1000, n)})
    grouped = frame.dp.protect().groupby("g", keys=list(range(1000)))
    queries = {
        "one group, all different, s": frame.dp.protect().quantile("x", parts, 0, 1000),
        "one group, 23 integers, s": frame.dp.protect().quantile("n", parts, 0, 22),
        "1000 groups, all different, s": grouped.quantile("x", parts, 0, 1000),
    }
    return {what: min(_seconds(query) for _ in range(3)) for what, query in queries.items()}


def _seconds(query: Any) -> float:
    begin = time.perf_counter()
    query.release(epsilon=1, budget=dp.Budget(epsilon=1))
    return time.perf_counter() - begin


CASES = [
    *((law, 1000, 9, "epsilon") for law in LAWS),
    *(("log-normal", rows, 9, "epsilon") for rows in (100, 300, 10_000)),
    *(("log-normal", 1000, several, "epsilon") for several in (3, 19)),
    *(("log-normal", rows, 9, cost) for cost in ("rho", "delta") for rows in (100, 1000, 10_000)),
]


def _name(law: str, rows: int, several: int, cost: str) -> str:
    return f"{several} of {rows:,} rows, {law}, {cost}"


def _bar(case: tuple[str, int, int, str]) -> Bar:
    return Bar(
        figure=_name(*case),
        what=f"{case[2]} quantiles of 1000 rows, {case[0]}, ε = 1",
        asked="one list is 3 times as close as one by one",
        measured=lambda found: f"{found['ratio']:.2f}: {found['one list, %']:.2f} % for {found['one by one, %']:.2f} %",
        met=lambda found: found["ratio"] >= 3,
    )


NOTES = f"""\
Errors are of ranks, in per cent of the rows: the median over {ROUNDS} pairs of releases of new rows from the law named,
between bounds 0 and 1000. *epsilon* is ε = 1, *rho* ρ = 0.05, *delta* (ε, δ) = (1, 10⁻⁶). One by one, each of m
quantiles has a part 1/m of the cost. Of ε that is a slope of 1/m, and one list has some 1/log m; under ρ it is 1/√m, so
there is less to gain. Were all errors Laplace variates of the scales of the choices, one by one nine would be 2.87
times as far off. Whole years are a column of integers: one list finds the right value nearly always."""

PAGE = Page(
    name="quantiles",
    title="Quantiles",
    figures={**{_name(*case): partial(rank_errors, *case) for case in CASES}, "seconds": seconds},
    bars=[_bar(case) for case in CASES if case[1] == 1000 and case[2] in (9, 19) and case[3] == "epsilon"],
    notes=NOTES,
)

if __name__ == "__main__":
    run(PAGE, sys.argv[1:] or PAGE.figures)
