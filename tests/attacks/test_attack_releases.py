"""Releases under attack: counts, sums and means, on pandas and on Spark; and the grids that they lie on."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from attack import COSTS, FEW, MANY, SCORES, N, answers, certified, columns, epsilon_at, gaussian_mu, lowest_bit

import dpframe as dp
from dpframe.accounting.conversions import gaussian_within

STATISTICS: dict[str, Any] = {
    "count": dp.count(),
    "sum": dp.sum("x", 0, 1),
    "sum of integers": dp.sum("i", 0, 1),
    "mean": dp.mean("x", 0, 1),
}


def attack_release(make: Callable[[pd.DataFrame], Any], n: int, statistic: str, cost: str) -> float:
    """D has no row in a group, D′ has one. ε and μ are claimed to be 1."""
    one, other = (
        answers(make(pd.DataFrame(columns(n, rows))), n, {"a": STATISTICS[statistic]}, **COSTS[cost])["a"].to_numpy()
        for rows in (0, n)
    )
    return certified(one, other, SCORES[cost])


# A mean hides some of what it is made of, so less can be certified; the others spend all of the claim.
LEAST = {"count": 0.85, "sum": 0.85, "sum of integers": 0.85, "mean": 0.2}

each_statistic = pytest.mark.parametrize("statistic", STATISTICS)
each_cost = pytest.mark.parametrize("cost", COSTS)


@each_cost
@each_statistic
def test_releases_keep_their_claim(statistic: str, cost: str) -> None:
    assert LEAST[statistic] < attack_release(lambda frame: frame, N, statistic, cost) <= 1


@each_cost
@each_statistic
@pytest.mark.slow
def test_releases_keep_their_claim_at_a_million(statistic: str, cost: str) -> None:
    assert LEAST[statistic] < attack_release(lambda frame: frame, MANY, statistic, cost) <= 1


@pytest.mark.parametrize(("statistic", "cost"), [("count", "epsilon"), ("sum", "rho"), ("mean", "epsilon")])
def test_releases_keep_their_claim_on_spark(spark_classic: Any, statistic: str, cost: str) -> None:
    def make(frame: pd.DataFrame) -> Any:
        return spark_classic.createDataFrame(frame, "k bigint, x double, i bigint")

    # So few draws certify .84 of what plain noise loses.
    assert LEAST[statistic] - 0.15 < attack_release(make, FEW, statistic, cost) <= 1


@each_cost
def test_answers_together_keep_the_claim_of_the_release(cost: str) -> None:
    """A count and a sum of one release, seen together: both large is the event that a row makes likelier."""
    parts = {"n": dp.count(), "s": dp.sum("x", 0, 1)}
    tables = [answers(pd.DataFrame(columns(N, rows)), N, parts, **COSTS[cost]) for rows in (0, N)]
    for joined in (np.minimum, np.add):
        one, other = (joined(table["n"], table["s"]).to_numpy() for table in tables)
        assert 0.3 < certified(one, other, SCORES[cost]) <= 1


def test_gaussian_noise_keeps_to_epsilon_and_delta() -> None:
    """Noise for exactly (1, 0.05): no event certifies an ε above 1 at that δ, and one nearly all of its μ."""
    one, other = (
        pd.DataFrame(columns(N, rows))
        .dp.protect()
        .groupby("k", keys=dp.keys({"k": range(N)}))
        .count()
        .release(epsilon=1, delta=0.05, mechanism="gaussian", budget=dp.Budget(epsilon=1, delta=0.05))["count"]
        .to_numpy()
        for rows in (0, N)
    )
    assert certified(one, other, epsilon_at(0.05)) <= 1
    assert 0.85 < certified(one, other, gaussian_mu) / gaussian_within(Fraction(1), Fraction(1, 20)) ** 0.5 <= 1


@pytest.mark.parametrize("mechanism", ["gaussian", "laplace"])
def test_releases_of_a_batch_keep_the_claim_together(mechanism: str) -> None:
    """Three counts of the same rows in one batch, seen by what tells most of them: sums, or how many are above 0."""
    if mechanism == "laplace":
        pytest.importorskip("dp_accounting")
    sums = []
    for rows in (0, N):
        private = pd.DataFrame(columns(N, rows)).dp.protect().groupby("k", keys=dp.keys({"k": range(N)}))
        with dp.Budget(epsilon=1, delta=0.05), dp.batch(epsilon=1, delta=0.05):
            parts = [private.count().release(mechanism=mechanism) for _ in range(3)]
        counts = np.array([part.value["count"].to_numpy() for part in parts])
        sums.append(np.sum(counts if mechanism == "gaussian" else counts > 0, axis=0))
    assert 0.6 < certified(*sums, epsilon_at(0.05)) <= 1
    if mechanism == "gaussian":
        assert 0.85 < certified(*sums, gaussian_mu) / gaussian_within(Fraction(1), Fraction(1, 20)) ** 0.5 <= 1


@each_cost
@pytest.mark.parametrize("least", [1, 3])
def test_what_reaches_a_threshold_keeps_the_claim(least: int, cost: str) -> None:
    """Whether a cell comes out, and how large: without a row it is found by skipping, with one it is noised by name."""
    outcomes = []
    for rows in (0, N):
        private = pd.DataFrame(columns(N, rows)).dp.protect().groupby("k", keys=dp.keys({"k": range(N)}))
        table = private.agg(n=dp.count()).release(**COSTS[cost], at_least=least, budget=dp.Budget(rho=9))
        outcome = np.zeros(N)
        outcome[table["k"]] = table["n"]
        outcomes.append(outcome)
    # The rarer it is to come out, the less so many draws can certify.
    assert 0.7 < certified(*outcomes, SCORES[cost]) <= 1


# -- grids -----------------------------------------------------------------------------------------------------------


def test_the_grid_of_a_sum_depends_on_the_plan_alone() -> None:
    plain = pd.DataFrame({"k": np.arange(500), "x": np.zeros(500)})
    wild = pd.DataFrame({"k": np.arange(500) % 7, "x": [0.1, np.nan, np.inf, -1e300, 5e-324] * 100})
    for bounds in ((0, 1), (-3, 1000), (0.1, 0.3)):
        grids = set()
        for frame in (plain, wild):
            query = frame.dp.protect().groupby("k", keys=dp.keys({"k": range(500)})).agg(s=dp.sum("x", *bounds))
            grid = query.question.answers[0][2].statistics[0].grid
            table = query.release(epsilon=1, ci=0.95, budget=dp.Budget(epsilon=1))
            for column in ("s", "s_low", "s_high"):
                steps = table[column].to_numpy() / grid  # exact: the grid is a power of two
                assert (steps == np.rint(steps)).all()
                assert (np.abs(steps) < 2.0**53).all()  # so turning the integer into a double lost nothing
            # Of 500 noisy numbers of steps all but surely one is odd: the grid shows, and no finer one.
            grids.add((grid, 2.0 ** lowest_bit(table["s"].to_numpy()).min()))
        assert grids == {(grid, grid)}


def test_a_mean_is_a_function_of_noisy_whole_numbers() -> None:
    frame = pd.DataFrame({"k": np.arange(200_000) % 100, "i": 10})
    query = frame.dp.protect().groupby("k", keys=dp.keys({"k": range(100)})).agg(n=dp.count(), m=dp.mean("i", 0, 100))
    table = query.release(epsilon=1, budget=dp.Budget(epsilon=1))
    deviations = (table["m"] - 50) * table["n"]
    assert (table["m"] != 10).sum() > 50
    assert table["m"].between(1, 99).all()  # not held at a bound, which would be no quotient
    assert (deviations - deviations.round()).abs().max() < 1e-6
