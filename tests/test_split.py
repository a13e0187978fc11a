"""How a release's cost is divided by default: near the split that would minimise the answers' squared errors.

The objective and its least value in closed form are derived in docs/decisions/0017.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pandas as pd
import pytest

import dpframe as dp
from dpframe.privacy.analyse import split

FRAME = pd.DataFrame({"n": [1], "k": [1], "x": [1.0]}).dp.protect()
N, X = ("n", 0, 10), ("x", 0.0, 10.0)
MIXES: dict[str, list[Any]] = {
    "count, sum": [dp.count(), dp.sum(*N)],
    "count, mean, nothing missing": [dp.count(), dp.mean(*N)],
    "count, mean": [dp.count(), dp.mean(*X)],
    "sum, mean": [dp.sum(*N), dp.mean(*N)],
    "mean, std": [dp.mean(*X), dp.std(*X)],
    "count, mean, std": [dp.count(), dp.mean(*X), dp.std(*X)],
    "count, sum, mean, var": [dp.count(), dp.sum(*N), dp.mean(*N), dp.var(*N)],
    "count, sum, two means": [dp.count(), dp.sum(*N), dp.mean("k", 0, 10), dp.mean(*X)],
}
LAWS = list(itertools.product([0.5, 1, 2, 4, 8], repeat=2))
"""Beta laws of the values between two bounds."""


def moments(a: float, b: float) -> tuple[float, float]:
    """The mean deviation from the midpoint and the mean squared one, bounds 1 apart."""
    mean, variance = a / (a + b), a * b / ((a + b) ** 2 * (a + b + 1))
    return mean - 0.5, variance + (mean - 0.5) ** 2


def slopes(text: str, m: float, q: float) -> list[float]:
    """How far each statistic's noise, of one row's reach, moves an answer: to first order, times the rows."""
    kind = text.split("(")[0]
    if kind in ("var", "std"):
        return [abs(m), 1 / 8, abs(1 / 8 - q + 2 * m * m)]
    return [1 / 2, abs(m)] if kind == "mean" else [1.0]


def weighed(aggregates: list[Any], laws: list[tuple[float, float]], power: int) -> dict[Any, float]:
    """b_j of each statistic: by how much of 1/share**power the mean objective over laws grows with its noise."""
    question = FRAME.agg(*aggregates).question
    weights = dict.fromkeys(split(question), 0.0)
    for law in laws:
        for _, text, prepared in question.answers:
            squares = np.square(slopes(text, *moments(*law)))
            alone = np.sum(squares / (np.array(prepared.weights) / sum(prepared.weights)) ** power)
            for statistic, square in zip(prepared.statistics, squares, strict=True):
                weights[statistic] += square / alone / len(laws)
    return weights


def objective(weights: dict[Any, float], shares: Any, power: int) -> float:
    return float(np.sum(np.array(list(weights.values())) / np.asarray(shares, float) ** power))


def least(weights: dict[Any, float], power: int) -> float:
    return float(np.sum(np.array(list(weights.values())) ** (1 / (power + 1))) ** (power + 1))


def above(aggregates: list[Any], laws: list[tuple[float, float]], power: int, **share: Any) -> float:
    """The objective at the default split, or at another, in parts of its least value over all splits."""
    weights = weighed(aggregates, laws, power)
    used = split(FRAME.agg(*aggregates, **share).question)
    return objective(weights, [used[statistic] for statistic in weights], power) / least(weights, power)


@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize(("power", "factor"), [(1, 1.05), (2, 1.2)], ids=["gaussian", "laplace"])
def test_the_default_split_is_near_the_best(mix: str, power: int, factor: float) -> None:
    assert 1 - 1e-9 <= above(MIXES[mix], LAWS, power) <= factor
    assert all(1 - 1e-9 <= above(MIXES[mix], [law], power) <= 2.3 for law in LAWS)


@pytest.mark.parametrize("power", [1, 2], ids=["gaussian", "laplace"])
def test_other_splits_are_worse(power: int) -> None:
    for first in (dp.sum(*N), dp.mean(*N), dp.std(*X)):
        for share in ({"first": 4}, {"count": 4}):
            question = [dp.count(), first]
            named = FRAME.agg(dp.count(), first=first, share=share).question
            weights = weighed(question, LAWS, power)
            shares = [split(named)[statistic] for statistic in weights]
            assert objective(weights, shares, power) > 1.2 * least(weights, power)


def test_equal_answers_of_their_own_statistics_have_equal_parts() -> None:
    several = [dp.sum(*N), dp.sum("k", 0, 10), dp.count()]
    assert [above(several, LAWS, power) for power in (1, 2)] == pytest.approx([1, 1])
    assert above(several, LAWS, 2, share={"count": 2}) > 1.1


@pytest.mark.parametrize("power", [1, 2])
def test_the_least_value_is_one(power: int) -> None:
    """The closed form is reached where it says, and no split of many has less."""
    weights = weighed(MIXES["count, sum, mean, var"], LAWS, power)
    best = np.array(list(weights.values())) ** (1 / (power + 1))
    assert objective(weights, best / best.sum(), power) == pytest.approx(least(weights, power))
    for shares in np.random.default_rng(4).dirichlet(np.full(len(weights), 2.0), 5000):
        assert objective(weights, shares, power) >= least(weights, power)
