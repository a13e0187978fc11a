"""Filters: amounts that count alike, are never too small, and stay sound under whoever chooses what comes next."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import dpframe as dp
from dpframe.accounting import ApproximateDP, Exact, GaussianDP, Joint, PureDP, ZeroConcentratedDP, cost
from dpframe.accounting import conversions as to
from dpframe.accounting.events import (
    DiscreteGaussian,
    DiscreteLaplace,
    Event,
    Exponential,
    Laplace,
    PermuteAndFlip,
    RoundedGaussian,
)
from dpframe.accounting.filters import (
    NOTHING,
    Amounts,
    Concentrated,
    Filter,
    Gaussians,
    Renyi,
    Sums,
    Unsettled,
    compose,
    filter_of,
    price,
    total,
)
from dpframe.errors import BudgetExceededError, InvalidCostError

BOTH = ApproximateDP(Exact(2), Exact(1, 10**5))
FILTERS: list[Filter] = [
    Sums(PureDP(Exact(3))),
    Sums(BOTH),
    Concentrated(ZeroConcentratedDP(Exact(1))),
    Gaussians(GaussianDP(Exact(1))),
    Gaussians(BOTH),
    Renyi(BOTH),
]
NUMBERS = st.fractions(Fraction(1, 100), Fraction(3), max_denominator=1000).map(Exact)
WHOLE, SCALES = st.integers(1, 9), st.floats(0.25, 40)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(PureDP, NUMBERS),
    st.builds(ApproximateDP, NUMBERS, st.just(Exact(1, 10**7))),
    st.builds(ZeroConcentratedDP, NUMBERS),
    st.builds(GaussianDP, NUMBERS),
    st.builds(lambda most, cells, scale: DiscreteLaplace(most * cells, scale, most, cells), WHOLE, WHOLE, SCALES),
    st.builds(Laplace, NUMBERS, SCALES),
    st.builds(RoundedGaussian, WHOLE, SCALES),
    st.builds(DiscreteGaussian, WHOLE, SCALES),
    st.builds(PermuteAndFlip, NUMBERS),
    st.builds(Exponential, NUMBERS),
    st.builds(lambda epsilon: Exponential(epsilon, Exact(epsilon**2 / 3)), NUMBERS),
    st.builds(lambda rho: Joint(ZeroConcentratedDP(rho), (GaussianDP(Exact(2 * rho)),)), NUMBERS),
    st.builds(lambda scale: Joint(PureDP(Exact(1 / Fraction(scale))), (DiscreteLaplace(1, scale, 1, 1),)), SCALES),
)


@pytest.mark.parametrize("filter", FILTERS, ids=lambda each: f"{each.name} of {each.opened}")
@settings(max_examples=60, deadline=None)
@given(event=EVENTS, times=st.integers(1, 50))
def test_so_many_at_once_are_so_many_one_by_one(filter: Filter, event: Event, times: int) -> None:
    try:
        once = price(filter, event)
    except InvalidCostError:
        with pytest.raises(InvalidCostError):
            compose(filter, event, times)
        return
    assert compose(filter, event, times) == total([once] * times)
    budget = budget_of(filter)
    fit = min(times, *(int(all_ // part) for all_, part in zip(filter.totals, once, strict=True) if part))
    for _ in range(fit):
        budget.charge([event], "", "")
    assert budget._spent == compose(filter, event, fit)
    if fit < times:
        with pytest.raises(BudgetExceededError):
            budget.charge([event], "", "")
        assert budget._spent == compose(filter, event, fit)


def budget_of(filter: Filter) -> dp.Budget:
    budget = dp.Budget(1)
    budget._filter = filter
    return budget


def test_every_filter_pays_for_what_it_should_and_no_more() -> None:
    kinds: dict[str, Event] = {
        "epsilon": PureDP(Exact(1)),
        "delta": ApproximateDP(Exact(1), Exact(1, 100)),
        "rho": ZeroConcentratedDP(Exact(1)),
        "mu": GaussianDP(Exact(1)),
        "rho by Gaussian noise": Joint(ZeroConcentratedDP(Exact(1)), (GaussianDP(Exact(2)),)),
        "delta by Gaussian noise": Joint(ApproximateDP(Exact(1), Exact(1, 100)), (GaussianDP(Exact(1)),)),
    }
    paid = {}
    for filter in FILTERS:
        paid[filter.name, str(filter.opened)] = set()
        for name, event in kinds.items():
            try:
                price(filter, event)
                paid[filter.name, str(filter.opened)].add(name)
            except InvalidCostError as refusal:
                assert "dp.Budget(" in str(refusal)
    everything = set(kinds)
    assert list(paid.values()) == [
        {"epsilon", "delta", "delta by Gaussian noise"},
        {"epsilon", "delta", "delta by Gaussian noise"},
        everything - {"delta"},
        everything - {"delta", "rho"},
        everything - {"delta", "rho"},
        everything - {"delta"},
    ]


def test_what_spends_delta_is_refused_by_what_counts_no_delta_with_a_way_to_release_it() -> None:
    event = ApproximateDP(Exact(1), Exact(1, 100))
    for filter in (Gaussians(BOTH), Renyi(BOTH), Concentrated(ZeroConcentratedDP(Exact(1)))):
        with pytest.raises(InvalidCostError, match=r"budget=dp\.Budget\(epsilon=1, delta=0\.01\)") as refusal:
            price(filter, event)
        assert "filter='sum'" in str(refusal.value)
    for filter in (Gaussians(BOTH), Renyi(BOTH)):
        with pytest.raises(InvalidCostError, match="for all of its delta"):
            price(filter, event)
    dp.Budget(epsilon=1, delta=0.01).charge([event], "", "")  # as it says


def test_a_release_of_which_no_noise_is_known_is_not_free() -> None:
    for filter in (Gaussians(BOTH), Renyi(BOTH)):
        with pytest.raises(InvalidCostError):
            price(filter, Joint(BOTH, ()))
        assert price(filter, Joint(PureDP(Exact(1)), ())) == price(filter, PureDP(Exact(1)))


# Conversions, against brute force in arithmetic of their own.


def profile(mu: float, epsilon: float) -> mpmath.mpf:
    """δ(ε) of two unit Gaussians μ apart, integrated over where one is more likely by e^ε."""
    with mpmath.workdps(40):
        m, e = mpmath.mpf(mu), mpmath.mpf(epsilon)

        def excess(x: mpmath.mpf) -> mpmath.mpf:
            return mpmath.npdf(x, m) - mpmath.exp(e) * mpmath.npdf(x, 0)

        start = e / m + m / 2
        return mpmath.quad(excess, [start, start + 1, start + 4, start + 12, start + 40])


@pytest.mark.parametrize("delta", [Fraction(1, 2), Fraction(1, 100), Fraction(1, 10**5), Fraction(1, 10**9)])
@pytest.mark.parametrize("epsilon", [Fraction(1, 1000), Fraction(1, 2), Fraction(2), Fraction(12)])
def test_the_gaussian_profile_is_exact_and_on_the_safe_side(epsilon: Fraction, delta: Fraction) -> None:
    squared = to.gaussian_within(epsilon, delta)
    with mpmath.workdps(40):
        here = profile(mpmath.sqrt(mpmath.mpf(squared.numerator) / squared.denominator), mpmath.mpf(float(epsilon)))
        more = profile(
            mpmath.sqrt(mpmath.mpf(squared.numerator) / squared.denominator) * (1 + 1e-14), mpmath.mpf(float(epsilon))
        )
        if Fraction(float(epsilon)) == epsilon:
            assert here <= mpmath.mpf(delta.numerator) / delta.denominator < more
        assert float(here) == pytest.approx(float(delta), rel=1e-12)
    back = to.gaussian_epsilon(squared, delta)
    assert back <= epsilon and float(back) == pytest.approx(float(epsilon), rel=1e-11)


def test_extreme_parameters_are_converted_too() -> None:
    small, large = Fraction(1, 10**100), Fraction(10**100)
    for epsilon, delta in [(small, small), (small, 1 - small), (Fraction(1), small), (large, small)]:
        squared = to.gaussian_within(epsilon, delta)
        assert squared > 0
        order = to.best_order(epsilon, delta)
        assert order > 1 and to.renyi_within(order, epsilon, delta) >= 0
    assert to.gaussian_of_pure(large) == 8 * large and 0 < to.gaussian_of_pure(small) < small
    assert to.gaussian_of_pure(Fraction(1001)) > to.gaussian_of_pure(Fraction(1000))
    assert to.pure_within_gaussian(small) > 0 and large < to.pure_within_gaussian(1000 * large)


@pytest.mark.parametrize("epsilon", [Fraction(1, 100), Fraction(1, 2), Fraction(3), Fraction(30), Fraction(400)])
def test_randomised_response_is_within_its_gaussian(epsilon: Fraction) -> None:
    squared = to.gaussian_of_pure(epsilon)
    with mpmath.workdps(400):
        mu, e = mpmath.sqrt(mpmath.mpf(squared.numerator) / squared.denominator), mpmath.mpf(epsilon.numerator)
        e /= epsilon.denominator
        corner = 1 / (1 + mpmath.exp(e))
        assert mpmath.ncdf(-mu / 2) <= corner < mpmath.ncdf(-mu / 2 * (1 - mpmath.mpf("1e-13")))
        for k in range(1, 40):  # its trade-off function is never above that of randomised response
            alpha = corner * k / 20 if k < 20 else corner + (1 - corner) * (k - 20) / 20
            response = max(0, 1 - mpmath.exp(e) * alpha, mpmath.exp(-e) * (1 - alpha))
            if epsilon <= 30:
                quantile = mpmath.sqrt(2) * mpmath.erfinv(1 - 2 * alpha)
                assert mpmath.ncdf(quantile - mu) <= response * (1 + mpmath.mpf("1e-30"))
    assert to.pure_within_gaussian(squared) >= epsilon * (1 - Fraction(1, 10**13))
    assert to.gaussian_of_pure(to.pure_within_gaussian(squared)) <= squared * (1 + Fraction(1, 10**14))


def renyi(p: np.ndarray, q: np.ndarray, order: float) -> float:
    return float(np.log(np.sum(np.exp(order * np.log(p) + (1 - order) * np.log(q)))) / (order - 1))


@pytest.mark.parametrize("order", [1.25, 2.0, 7.5, 23.0])
@pytest.mark.parametrize("scale", [0.6, 2.0, 9.0])
def test_renyi_divergences_are_those_of_the_laws(scale: float, order: float) -> None:
    k = np.arange(-400, 401)
    law = np.exp(-np.abs(k) / scale) * math.tanh(1 / (2 * scale))
    for shift in range(1, 6):
        said = float(DiscreteLaplace(shift, scale, shift).renyi(Fraction(order)))
        assert said == pytest.approx(renyi(np.roll(law, shift)[9:-9], law[9:-9], order), rel=1e-9)
        # A vector that moves by as much in all, in parts: no more, and exactly as much in equal parts of the most.
        for parts in ([1] * shift, [shift - 1, 1][: shift if shift < 2 else 2]):
            summed = sum(float(DiscreteLaplace(part, scale, part).renyi(Fraction(order))) for part in parts if part)
            assert summed <= said * (1 + 1e-12)
        assert float(DiscreteLaplace(shift, scale, 1).renyi(Fraction(order))) == pytest.approx(
            shift * float(DiscreteLaplace(1, scale, 1).renyi(Fraction(order))), rel=1e-12
        )
    response = np.array([math.e**scale, 1]) / (1 + math.e**scale)
    said = float(to.renyi_of_pure(Fraction(order), Fraction(scale)))
    assert said == pytest.approx(renyi(response, response[::-1], order), rel=1e-12)
    fine = np.linspace(-60, 60, 1_200_001)
    loss = np.abs(fine - scale) - np.abs(fine)
    moment = np.sum(np.exp((order - 1) * loss - np.abs(fine))) / np.sum(np.exp(-np.abs(fine)))
    measured = math.log(moment) / (order - 1)
    assert float(Laplace(Exact(Fraction(scale)), 1.0).renyi(Fraction(order))) == pytest.approx(measured, rel=1e-6)


def test_an_exponential_choice_keeps_to_its_rho() -> None:
    draw = np.random.default_rng(3)
    for _ in range(300):
        epsilon, order = draw.uniform(0.1, 4), draw.uniform(1.05, 20)
        utilities = draw.uniform(0, 3, draw.integers(2, 6))
        moved = utilities + draw.choice([-1, 0, 1], utilities.size)
        laws = [np.exp(epsilon * each / 2) / np.exp(epsilon * each / 2).sum() for each in (utilities, moved)]
        said = Exponential(Exact(Fraction(epsilon)))
        assert renyi(*laws, order) <= float(said.renyi(Fraction(order))) + 1e-12
        assert renyi(*laws, order) <= order * float(said.rho) + 1e-12


@pytest.mark.parametrize("epsilon", [1e-3, 0.1, 0.5, 1.0, 3.0, 8.0, 30.0])
def test_an_exponential_choice_has_its_profile_and_is_as_gaussian_as_half_of_its_epsilon(epsilon: float) -> None:
    def profile(x: Any) -> Any:
        return (math.exp(epsilon / 2) - np.exp(x / 2)) ** 2 / math.expm1(epsilon)

    def gaussian(mu: float, x: Any) -> Any:
        return stats.norm.cdf(mu / 2 - x / mu) - np.exp(x) * stats.norm.cdf(-mu / 2 - x / mu)

    x = np.linspace(0, epsilon, 2001)
    mu = math.sqrt(Exponential(Exact(Fraction(epsilon))).mu_squared)
    assert (gaussian(mu, x) >= profile(x) - 1e-13).all()
    assert gaussian(mu, 0.0) == pytest.approx(profile(0.0), rel=1e-9) and gaussian(0.999 * mu, 0.0) < profile(0.0)
    assert mu**2 <= math.pi / 8 * epsilon**2
    # No choice is told apart more easily, and one comes near: equal utilities, of which a part gains.
    draw, nearest = np.random.default_rng(4), 0.0
    for _ in range(200):
        utilities = draw.choice([0.0, 1.0, 3.0], 400)
        moved = utilities + draw.choice([0, 1], utilities.size, p=[(p := draw.uniform()), 1 - p])
        one, other = (np.exp(epsilon * (each - each.max())) for each in (utilities, moved))
        one, other = one / one.sum(), other / other.sum()
        for at in (0.0, epsilon / 3, epsilon / 2):
            delta = max(np.maximum(a - math.exp(at) * b, 0).sum() for a, b in [(one, other), (other, one)])
            assert delta <= profile(at) + 1e-12
            nearest = max(nearest, delta / profile(at))
    assert nearest > 0.9


def test_several_exponential_choices_keep_to_their_sums() -> None:
    several = Exponential(Exact(1), Exact(3, 10))
    assert several.rho == Fraction(3, 80) and several.guarantee == PureDP(Exact(1))
    parts = [Exponential(Exact(each, 10)) for each in (1, 2, 5)]
    assert sum(each.epsilon**2 for each in parts) == several.squares
    assert sum(each.mu_squared for each in parts) <= several.mu_squared <= to.gaussian_of_pure(Fraction(1))
    assert sum(each.rho for each in parts) == several.rho


def test_the_bound_from_renyi_to_delta_is_reached_by_no_loss() -> None:
    """E max(0, 1 − e^(ε − L)) over losses L of two points: never above the bound, and once close to it."""
    for order, epsilon in itertools.product([1.5, 4.0, 20.0], [0.5, 2.0]):
        closest = 0.0
        for loss in np.linspace(epsilon + 1e-3, epsilon + 3, 400):
            for chance in (0.5, 0.01, 1e-4):
                # P(L = loss) = chance, and otherwise the loss is so negative that it adds nothing to the moment.
                tau = (math.log(chance) + (order - 1) * loss) / (order - 1)
                delta = chance * (1 - math.exp(epsilon - loss))
                within = float(to.renyi_epsilon(Fraction(order), Fraction(max(tau, 1e-9)), Fraction(delta)))
                if tau > 1e-9 and within > 0:
                    assert within >= epsilon * (1 - 1e-12)
                    closest = max(closest, epsilon / within)
        assert closest > 0.999


def test_best_order_and_rho() -> None:
    for epsilon, delta in [
        (Fraction(1), Fraction(1, 10**5)),
        (Fraction(5), Fraction(1, 10**6)),
        (Fraction(1, 10), Fraction(1, 10**9)),
    ]:
        order, rho = to.best_order(epsilon, delta), to.rho_within(epsilon, delta)
        assert all(
            Fraction(to.renyi_within(other, epsilon, delta)) / other <= rho * (1 + Fraction(1, 10**6))
            for other in (1 + (order - 1) * Fraction(k, 20) for k in range(10, 31))
        )
        assert float(to.rho_epsilon(rho, delta)) == pytest.approx(float(epsilon), rel=1e-6)
        assert to.rho_epsilon(rho, delta) >= to.gaussian_epsilon(
            2 * rho, delta
        )  # Gaussian noise is one that has this ρ


# Soundness under an adaptive adversary, by dynamic programming over everything that one could do.


def worst(costs: dict[Fraction, Amounts], totals: Amounts, epsilon: Fraction) -> float:
    """The largest δ(ε) that an adaptive choice among randomised responses reaches while sums keep to the totals."""

    @cache
    def value(loss: Fraction, left: Amounts) -> float:
        best = max(0.0, 1 - math.exp(float(epsilon - loss)))
        for response, (main, delta) in costs.items():
            if main <= left[0] and delta <= left[1]:
                odds = math.exp(float(response))
                rest = left[0] - main, left[1] - delta
                best = max(best, (odds * value(loss + response, rest) + value(loss - response, rest)) / (1 + odds))
        return best

    return value(Fraction(0), totals)


@pytest.mark.parametrize("make", [Gaussians, Renyi, Sums], ids=lambda make: make.name)
def test_no_adaptive_choice_breaks_a_filter(make: Callable[[ApproximateDP], Filter]) -> None:
    opened = ApproximateDP(Exact(2), Exact(1, 20))
    filter = make(opened)
    responses = [Fraction(1, 4), Fraction(1, 2), Fraction(1)]
    costs = {each: price(filter, PureDP(Exact(each))) for each in responses}
    assert worst(costs, filter.totals, opened.epsilon) <= 0.05
    # The test has teeth: at a third of the price, an adversary wins.
    cheap = {each: (main / 3, delta) for each, (main, delta) in costs.items()}
    assert worst(cheap, filter.totals, opened.epsilon) > 0.05


def test_a_filter_by_privacy_loss_distributions_would_be_broken() -> None:
    """Why there is none: to stop when the exact δ of all noise so far is reached protects less, if noise is chosen."""
    epsilon, delta, responses = Fraction(2), 0.01, (Fraction(1, 8), Fraction(1, 2))

    @cache
    def exactly(counts: tuple[int, int]) -> float:
        law = {Fraction(0): 1.0}
        for times, response in zip(counts, responses, strict=True):
            odds = math.exp(float(response))
            for _ in range(times):
                after: dict[Fraction, float] = {}
                for loss, chance in law.items():
                    after[loss + response] = after.get(loss + response, 0) + chance * odds / (1 + odds)
                    after[loss - response] = after.get(loss - response, 0) + chance / (1 + odds)
                law = after
        return sum(chance * max(0.0, 1 - math.exp(float(epsilon - loss))) for loss, chance in law.items())

    @cache
    def value(loss: Fraction, counts: tuple[int, int]) -> float:
        best = max(0.0, 1 - math.exp(float(epsilon - loss)))
        for more, response in (((1, 0), responses[0]), ((0, 1), responses[1])):
            after = counts[0] + more[0], counts[1] + more[1]
            if exactly(after) <= delta:
                odds = math.exp(float(response))
                best = max(best, (odds * value(loss + response, after) + value(loss - response, after)) / (1 + odds))
        return best

    assert value(Fraction(0), (0, 0)) > 1.6 * delta


# (ε, δ) budgets settle once.


def gaussian(epsilon: object, delta: object) -> Joint:
    asked = cost(epsilon, delta=delta)
    assert isinstance(asked, ApproximateDP)
    return Joint(asked, (GaussianDP(to.gaussian_within(asked.epsilon, asked.delta)),))


def test_the_first_charge_settles_how_a_budget_counts() -> None:
    cases: list[tuple[Event, str]] = [
        (PureDP(Exact(1, 2)), "sum"),
        (ApproximateDP(Exact(1, 2), Exact(1, 10**6)), "sum"),
        (gaussian(0.5, 1e-6), "gaussian"),
        (GaussianDP(Exact(1, 100)), "gaussian"),
        (ZeroConcentratedDP(Exact(1, 1000)), "renyi"),
    ]
    for event, name in cases:
        budget = dp.Budget(2, 1e-5)
        assert (budget.filter, budget.spent, budget.remaining, budget.remaining_delta) == ("unsettled", 0, 2, 1e-5)
        budget.charge([event], "", "")
        assert budget.filter == name
        budget.charge([gaussian(0.1, 1e-7)], "", "")
        assert budget.filter == name
    refused = dp.Budget(2, 1e-5)
    with pytest.raises(BudgetExceededError):
        refused.charge([gaussian(2.5, 1e-5)], "", "")
    assert refused.filter == "unsettled"  # nothing was charged, so nothing is settled


def test_gaussian_releases_get_at_least_what_adds_up_and_mostly_more() -> None:
    draw = random.Random(4)
    for _ in range(8):
        parts = [Fraction(draw.randint(1, 100), 100) for _ in range(draw.randint(2, 6))]
        epsilons = [2 * part / sum(parts) for part in parts]
        deltas = [part / sum(parts) / 10**5 for part in reversed(parts)]
        deltas = [delta * Fraction(1, 10**5) / sum(deltas) for delta in deltas]
        budget = dp.Budget(2, 1e-5)
        for epsilon, delta in zip(epsilons, deltas, strict=True):
            budget.charge([gaussian(epsilon, delta)], "", "")
        assert budget.filter == "gaussian" and 0 < budget.spent < 2 and budget.remaining > 0
    halves, fits = dp.Budget(2, 1e-5, filter="gaussian"), 0
    while True:
        try:
            halves.charge([gaussian(1, 5e-6)], "", "")
            fits += 1
        except BudgetExceededError as refusal:
            assert "release(epsilon=" in str(refusal) and "mu^2" in str(refusal)
            break
    assert fits == 3  # basic composition admits two


@pytest.mark.parametrize("name", ["gaussian", "renyi"])
def test_what_remains_can_be_asked_for_and_hardly_more(name: str) -> None:
    draw = random.Random(5)
    for _ in range(5):
        budget = dp.Budget(2, 1e-5, filter=name)
        for _ in range(draw.randint(0, 3)):
            budget.charge([gaussian(Fraction(draw.randint(1, 90), 100), Fraction(1, 10**6))], "", "")
        left, delta = budget.remaining, budget.remaining_delta
        assert 0 < left <= 2 and delta == 1e-5
        with pytest.raises(BudgetExceededError):
            budget.charge([gaussian(Fraction(left) * Fraction(1001, 1000), delta)], "", "")
        budget.charge([gaussian(left, delta)], "", "")
        assert budget.remaining < Fraction(1, 20)


def test_mu_adds_up_in_squares() -> None:
    budget = dp.Budget(mu=5)
    budget.charge([cost(mu=3)], "", "")
    assert (budget.spent, budget.remaining, budget.total, budget.filter) == (3, 4, 5, "gaussian")
    with pytest.raises(BudgetExceededError, match=r"release\(mu=4\)"):
        budget.charge([cost(mu="4.001")], "", "")
    budget.charge([Joint(ZeroConcentratedDP(Exact(8)), (GaussianDP(Exact(16)),))], "", "")
    assert (budget.spent, budget.remaining) == (5, 0)
    with pytest.raises(InvalidCostError, match="rho"):
        dp.Budget(mu=5).charge([ZeroConcentratedDP(Exact(1))], "", "")
    assert "mu=5" in repr(dp.Budget(mu=5))


@pytest.mark.parametrize(
    "bad",
    [
        {"epsilon": 1, "filter": "gaussian"},
        {"epsilon": 1, "filter": "pld"},
        {"epsilon": 1, "delta": 1e-5, "filter": "pld"},
        {"epsilon": 1, "delta": 1e-5, "filter": 3},
        {"rho": 1, "filter": "sum"},
        {"mu": 1, "filter": "renyi"},
        {"mu": 1, "delta": 1e-5},
        {"rho": 1, "delta": 1e-5},
        {"mu": 1, "rho": 1},
        {"mu": 1, "epsilon": 1},
        {"epsilon": 1, "delta": 1},
        {"epsilon": 1, "delta": 1.5},
        {"epsilon": 1, "delta": -0.1},
        {"epsilon": 1, "delta": math.nan},
        {"epsilon": 1, "delta": True},
        {"mu": 0},
        {"mu": math.inf},
        {},
    ],
    ids=str,
)
def test_budgets_that_are_none(bad: dict[str, object]) -> None:
    with pytest.raises(InvalidCostError):
        dp.Budget(**bad)  # type: ignore[arg-type]


def test_mechanisms_for_tables_are_counted_by_their_noise() -> None:
    filter = Renyi(BOTH)
    for mechanism in (dp.LaplaceNoise(3, 0.1), dp.GeometricNoise(3, 0.1)):
        pure = PureDP(Exact(1, 10))
        assert price(Sums(BOTH), mechanism.event) == price(Sums(BOTH), pure)
        assert 0 < price(filter, mechanism.event)[0] < price(filter, pure)[0]
    assert price(Gaussians(BOTH), dp.GaussianNoise(3, 0.1).event)[0] == Fraction(1, 5)


def test_a_ledger_can_name_the_filter_again() -> None:
    for filter in [*FILTERS, Unsettled(BOTH)]:
        assert filter_of(filter.opened, filter.name) == filter
        assert filter.used(NOTHING) == (0, 0)
