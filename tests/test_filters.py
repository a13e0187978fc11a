"""Filters: amounts that count alike, are never too small, and stay sound under whoever chooses what comes next."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from fractions import Fraction
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
