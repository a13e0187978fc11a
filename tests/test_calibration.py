"""Calibration: a release of (ε, δ) has the least noise that exactly keeps to it, whatever else is released with it."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import dpframe as dp
from dpframe.accounting import ApproximateDP, Exact, GaussianDP, Joint, PureDP, cost
from dpframe.accounting import conversions as to
from dpframe.accounting.events import DiscreteLaplace
from dpframe.accounting.filters import Concentrated, Gaussians, Renyi, Sums, price
from dpframe.errors import InvalidCostError, MechanismError
from dpframe.mechanisms import Gaussian, Laplace
from dpframe.privacy import Measured, analyse, calibrate, joint

LOG = pd.DataFrame({"user": ["u", "v"], "page": ["a", "b"], "n": [3, 5], "x": [1.0, 2.0]})
PAGES = [str(at) for at in range(50)]


def views(groups: int, rows: int = 1) -> Any:
    private = LOG.dp.protect(id="user").bound(groups=groups, rows_per_group=rows)
    return private.groupby("page", keys=PAGES)


def noise(query: Any, mechanism: str = "auto", **named: object) -> Any:
    (each,) = calibrate(analyse(query.question), cost(**named), mechanism)
    return each.mechanism


def deviation(mechanism: Laplace | Gaussian) -> float:
    return math.sqrt(mechanism.variance)


@pytest.mark.parametrize(("epsilon", "most"), [(1, 11.81), (2, 6.31), (5, 2.83)])
def test_the_noise_of_ten_groups_is_as_little_as_it_can_be(epsilon: int, most: float) -> None:
    query = views(10).count()
    gaussian = noise(query, "gaussian", epsilon=epsilon, delta=1e-5)
    assert isinstance(gaussian, Gaussian) and gaussian.scale <= most
    best = noise(query, epsilon=epsilon, delta=1e-5)
    assert deviation(best) <= deviation(gaussian)
    assert isinstance(best, Laplace) == (epsilon == 5)  # of 2.80 instead of 2.84


@pytest.mark.parametrize("epsilon", [0.5, 1, 2, 5])
def test_the_mechanism_of_least_variance_is_taken(epsilon: float) -> None:
    taken = []
    for groups in range(1, 31):
        query = views(groups).count()
        both = {name: noise(query, name, epsilon=epsilon, delta=1e-5) for name in ("laplace", "gaussian")}
        best = noise(query, epsilon=epsilon, delta=1e-5)
        assert best == min(both.values(), key=deviation)
        taken.append(isinstance(best, Laplace))
    assert taken[0] and not taken[-1] and taken == sorted(taken, reverse=True)


@pytest.mark.parametrize("scale", [0.004, 0.2, 0.5, 0.99, 1.0, 1.4, 3.0, 40.0])
def test_the_variance_is_that_of_the_law(scale: float) -> None:
    k = np.arange(-2000, 2001)
    laplace = np.exp(-np.abs(k) / scale) * math.tanh(1 / (2 * scale))
    assert Laplace(scale).variance == pytest.approx(float(laplace @ k**2), rel=1e-9, abs=1e-300)
    gaussian = stats.norm.cdf((np.abs(k) + 0.5) / scale) - stats.norm.cdf((np.abs(k) - 0.5) / scale)
    assert Gaussian(scale).variance == pytest.approx(float(gaussian @ k**2), rel=3e-8, abs=1e-12)


def exact_delta(mu: float, epsilon: float) -> float:
    """δ(ε) of Gaussians μ apart, in arithmetic of its own."""
    with mpmath.workdps(50):
        m, e = mpmath.mpf(mu), mpmath.mpf(epsilon)
        return float(mpmath.ncdf(m / 2 - e / m) - mpmath.exp(e) * mpmath.ncdf(-m / 2 - e / m))


@pytest.mark.parametrize("epsilon", [0.3, 1, 4])
def test_several_statistics_keep_to_the_guarantee_together(epsilon: float) -> None:
    answers = {"n": dp.count(), "m": dp.mean("n", 0, 20), "v": dp.var("x", -3, 9), "d": dp.count_distinct("n")}
    parts = calibrate(analyse(views(7, 2).agg(**answers).question), cost(epsilon, delta=1e-6), "gaussian")
    assert len(parts) > 4
    together = sum(Fraction(p.measured.l2_squared) / Fraction(p.mechanism.scale) ** 2 for p in parts)
    assert exact_delta(math.sqrt(together), epsilon) == pytest.approx(1e-6, rel=1e-9)
    assert together <= to.gaussian_within(Fraction(str(epsilon)), Fraction(1, 10**6))
    laplace = calibrate(analyse(views(7, 2).agg(**answers).question), cost(epsilon, delta=1e-6), "laplace")
    assert 1 - 1e-9 < float(sum(p.measured.l1 / Fraction(p.mechanism.scale) for p in laplace)) / epsilon <= 1
    assert [p.measured for p in parts] == [p.measured for p in laplace]


@pytest.mark.parametrize(("epsilon", "delta"), [(0.5, 0.01), (1, 1e-5), (6, 1e-3)])
def test_the_law_that_is_drawn_keeps_to_epsilon_and_delta(epsilon: float, delta: float) -> None:
    """By adding up the masses of the noise itself, rounding included; and not at 0.9 times the scale."""
    for shift in (1, 2, 7):
        part = Measured(dp.count().prepare(None).statistics[0], Fraction(1), shift, shift**2, 1)  # type: ignore[arg-type]
        (chosen,) = calibrate([part], cost(epsilon, delta=delta), "gaussian")

        def reached(sigma: float, shift: int = shift) -> float:
            k = np.arange(-int(40 * sigma) - 50, int(40 * sigma) + 50)
            ends = [stats.norm.sf(k - 0.5, moved, sigma) for moved in (0, shift)]
            low = [stats.norm.cdf(k + 0.5, moved, sigma) for moved in (0, shift)]
            mass = [
                np.where(k > moved, upper - np.append(upper[1:], 0), lower - np.append(0, lower[:-1]))
                for moved, upper, lower in zip((0, shift), ends, low, strict=True)
            ]
            return float(np.maximum(0, mass[1] - math.exp(epsilon) * mass[0]).sum())

        sigma = chosen.mechanism.scale
        assert reached(sigma) <= delta * (1 + 1e-9)
        assert reached(0.9 * sigma) > delta or sigma < 1  # rounding hides a little where the noise is narrow


def test_each_cost_has_its_noise_and_each_name_is_heeded() -> None:
    query = views(4).count()
    kinds = {
        (name, mechanism): type(noise(query, mechanism, **named)).__name__
        for name, named in {
            "epsilon": {"epsilon": 1},
            "rho": {"rho": 0.5},
            "mu": {"mu": 1},
            "delta": {"epsilon": 1, "delta": 1e-5},
        }.items()
        for mechanism in ("auto", "laplace", "gaussian")
        if (name, mechanism) != ("epsilon", "gaussian")
    }
    assert {key for key, kind in kinds.items() if kind == "Gaussian"} == {
        ("rho", "auto"), ("rho", "gaussian"), ("mu", "auto"), ("mu", "gaussian"), ("delta", "gaussian"),
    }  # fmt: skip
    with pytest.raises(MechanismError, match="delta"):
        noise(query, "gaussian", epsilon=1)
    assert noise(query, rho=0.5) == noise(query, mu=1) == Gaussian(2.0)
    # ε-DP is ε²/2-zCDP, and within the Gaussian that randomised response with odds e^ε is within.
    assert noise(query, "laplace", rho=0.5) == Laplace(4.0)
    epsilon = to.pure_within_gaussian(Fraction(1))
    assert noise(query, "laplace", mu=1).scale == pytest.approx(4 / float(epsilon), rel=1e-12)
    # Where ε is dear, so is Laplace noise: a budget of another measure gets Gaussian noise unless Laplace is named.
    (dear,) = calibrate(analyse(query.question), cost(1, delta=1e-5), pure=False)
    assert isinstance(dear.mechanism, Gaussian)


BOTH = ApproximateDP(Exact(2), Exact(1, 10**5))


def test_what_a_release_costs_in_each_budget() -> None:
    question = views(4).agg(n=dp.count(), s=dp.sum("n", 0, 9)).question
    asked = cost(1, delta=1e-5)
    squared = to.gaussian_within(Fraction(1), Fraction(1, 10**5))
    gaussian = joint(asked, calibrate(analyse(question), asked, "gaussian"))
    laplace = joint(asked, calibrate(analyse(question), asked, "laplace"))
    sums, rho, mu, renyi = Sums(BOTH), Concentrated(cost(rho=9)), Gaussians(cost(mu=9)), Renyi(BOTH)  # type: ignore[arg-type]
    assert (str(gaussian), str(laplace)) == ("epsilon=1, delta=0.00001", "epsilon=1")
    assert [price(each, gaussian)[0] for each in (sums, rho, mu, renyi)] == [
        1, squared / 2, squared, renyi.order * squared / 2,
    ]  # fmt: skip
    assert price(sums, gaussian)[1] == Fraction(1, 10**5) and price(sums, laplace) == (1, 0)
    assert price(rho, laplace) == (Fraction(1, 2), 0) and price(mu, laplace)[0] == to.gaussian_of_pure(Fraction(1))
    noises = [part.event for part in calibrate(analyse(question), asked, "laplace")]
    assert price(renyi, laplace)[0] == sum(each.renyi(renyi.order) for each in noises)
    assert price(renyi, laplace)[0] < price(renyi, PureDP(Exact(1)))[0]
    # By name in other costs: what was asked is what it takes of a budget of that kind.
    for named, filter in (({"rho": Exact(1, 10)}, rho), ({"mu": Exact(1, 2)}, mu)):
        asked = cost(**named)  # type: ignore[arg-type]
        by_name = joint(asked, calibrate(analyse(question), asked, "laplace"))
        assert price(filter, by_name) == price(filter, asked)
        assert price(sums, by_name)[1] == 0  # Laplace noise has a pure ε
        assert isinstance(by_name.noises[0], Joint) and by_name.noises[0].noises[0] == noises[0].__class__(
            **{**vars(noises[0]), "scale": by_name.noises[0].noises[0].scale}
        )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (LOG.dp.protect().count(), (1, 1, 1)),
        (LOG.dp.protect().sum("n", -2, 5), (5, 5, 1)),
        (LOG.dp.protect(rows=3).count(), (3, 3, None)),
        (views(4, 2).count(), (8, 2, 4)),
        (views(4, 2).sum("n", -2, 5), (40, 10, 4)),
        (LOG.dp.protect(id="user").bound(rows=5).count(), (5, 5, None)),
        (LOG.dp.protect(id="user").bound(groups=3, rows_per_group=2, by="page").count(), (6, 6, None)),
        (views(3).count_distinct("user"), (3, 1, 3)),
        (LOG.dp.protect(rows=2, groups=3, grouping="page").groupby("page", keys=PAGES).count(), (6, 2, 3)),
    ],
    ids=str,
)
def test_a_laplace_event_says_how_far_each_entry_moves(query: Any, expected: tuple[int, int, int | None]) -> None:
    (part,) = calibrate(analyse(query.question), cost(1))
    assert isinstance(part.event, DiscreteLaplace)
    assert (part.event.l1, part.event.most, part.event.cells) == expected


def test_releases_are_charged_and_described_as_they_are() -> None:
    with dp.Budget(epsilon=2, delta=1e-5) as budget:
        released = views(10).count().release(epsilon=1, delta=5e-6, ci=0.95)
        info = released.dp.release_info()
        assert (budget.filter, info.cost) == ("gaussian", "epsilon=1, delta=0.000005")
        (part,) = info["count"].statistics
        assert part.mechanism == "rounded Gaussian" and part.half_width == Gaussian(part.scale).accuracy(0.05)
        assert ((released["count_high"] - released["count_low"]) == 2 * part.half_width).all()
        # One group: Laplace noise would be less, and dearer. By name it is had, if it is paid for.
        again = views(1).count().release(epsilon=0.5, delta=1e-6).dp.release_info()
        assert again["count"].statistics[0].mechanism == "rounded Gaussian"
        with pytest.raises(dp.errors.BudgetExceededError, match=r"release\(epsilon="):
            views(1).count().release(epsilon=1, delta=1e-6, mechanism="laplace")
    with dp.Budget(epsilon=2, delta=1e-5) as budget:
        info = views(1).count().release(epsilon=1, delta=5e-6).dp.release_info()
        assert (budget.filter, budget.remaining, budget.remaining_delta, info.cost) == ("sum", 1, 1e-5, "epsilon=1")
        views(10).count().release(epsilon=1, delta=1e-5)
        assert (budget.remaining, budget.remaining_delta) == (0, 0)
    with dp.Budget(mu=1) as budget:
        views(10).count().release(rho=0.18)
        views(10).count().release(mu=0.8)
        assert budget.remaining == 0
    with dp.Budget(rho=1) as budget:
        views(10).count().release(mu=1)
        views(10).count().release(rho=0.5, mechanism="laplace")
        assert budget.remaining == 0


@pytest.mark.parametrize(
    "named",
    [
        {"delta": 1e-5},
        {"rho": 1, "delta": 1e-5},
        {"epsilon": 1, "mu": 1},
        {"epsilon": 1, "delta": 1.0},
        {"epsilon": 1, "delta": -1e-5},
        {"epsilon": 1, "delta": "1e"},
        {"mu": -1},
        {"mu": math.nan},
        {"epsilon": 1, "mechanism": "gaussian"},
        {"epsilon": 1, "mechanism": "normal"},
        {"epsilon": 1, "mechanism": None},
    ],
    ids=str,
)
def test_what_is_no_cost_is_refused_and_costs_nothing(named: dict[str, Any]) -> None:
    budget = dp.Budget(epsilon=5, delta=0.1)
    query = views(2).count()
    for call in (lambda: query.release(**named, budget=budget), lambda: query.explain(**named)):
        with pytest.raises((InvalidCostError, MechanismError)):
            call()
    assert (budget.spent, budget.filter, len(budget.history())) == (0, "unsettled", 0)


def test_the_noise_of_a_release_is_that_of_its_law() -> None:
    n = 20_000
    private = pd.DataFrame({"k": [0]}).dp.protect().groupby("k", keys=range(1, n + 1))
    with dp.Budget(epsilon=3, delta=1e-5):
        released = private.count().release(epsilon=3, delta=1e-5, mechanism="gaussian")
    (part,) = released.dp.release_info()["count"].statistics
    draws = released["count"].to_numpy()

    def chance(scale: float) -> float:
        edges = np.array([-2, -1, 0, 1, 2])
        expected = n * np.diff(stats.norm.cdf(np.concatenate([[-np.inf], edges + 0.5, [np.inf]]) / scale))
        counts = np.histogram(draws, np.concatenate([[-np.inf], edges + 0.5, [np.inf]]))[0]
        return float(stats.chisquare(counts, expected).pvalue)

    sigma = 1 / math.sqrt(to.gaussian_within(Fraction(3), Fraction(1, 10**5)))
    assert part.scale == pytest.approx(sigma, rel=1e-12)
    assert chance(sigma) > 1e-9
    assert max(chance(0.7 * sigma), chance(1.3 * sigma)) < 1e-9


def test_gaussian_events_are_shares_of_one() -> None:
    parts = calibrate(analyse(views(3).agg(dp.count(), dp.mean("x", 0, 1)).question), cost(mu="1/3"))
    assert sum(part.event.mu_squared for part in parts) == Fraction(1, 9)
    for part in parts:
        assert isinstance(part.event, GaussianDP)
        assert Fraction(part.measured.l2_squared) / Fraction(part.mechanism.scale) ** 2 <= part.event.mu_squared
