"""Batches: one total, exactly kept by all releases together; less noise than one by one; charged once or not at all."""

from __future__ import annotations

import builtins
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest

import dpframe as dp
import dpframe.release
from dpframe.accounting import ApproximateDP, Exact, GaussianDP, Joint, PureDP, cost
from dpframe.accounting.conversions import gaussian_within
from dpframe.accounting.events import DiscreteLaplace, Event, Exponential
from dpframe.accounting.filters import Concentrated, Gaussians, Renyi, price
from dpframe.backends import pandas as backend
from dpframe.errors import BudgetExceededError, DataPlaneError, InvalidCostError, MechanismError, PlanError
from dpframe.privacy import analyse
from dpframe.privacy.together import Part, events, pld_delta, together

pld = pytest.importorskip("dp_accounting.pld.privacy_loss_distribution")

LOG = pd.DataFrame({"user": ["u", "v"], "page": ["a", "b"], "x": [1.0, 2.0]})
PAGES = [str(at) for at in range(30)]
TOTAL = ApproximateDP(Exact(2), Exact(1, 10**5))


def views(groups: int = 1) -> Any:
    return LOG.dp.protect(id="user").bound(groups=groups, rows_per_group=1).groupby("page", keys=PAGES)


def parts(groups: list[int], mechanism: str = "auto", total: ApproximateDP = TOTAL) -> list[Part]:
    own = ApproximateDP(Exact(total.epsilon / len(groups)), Exact(total.delta / len(groups)))
    return [Part(analyse(views(each).count().question), own, mechanism) for each in groups]


def law(event: Event, reach: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Losses and chances of the pair of laws that an event is no easier to tell apart than, by brute force."""
    assert isinstance(event, DiscreteLaplace)
    k = np.arange(-int(reach * event.scale) - event.most, int(reach * event.scale) + event.most + 1)
    mass = np.exp(-np.abs(k) / event.scale) * math.tanh(1 / (2 * event.scale))
    losses = (np.abs(k - event.most) - np.abs(k)) / event.scale
    values, at = np.unique(losses.round(12), return_inverse=True)
    one = values, np.bincount(at, mass)
    found = one
    for _ in range((event.cells or 1) - 1):
        found = convolve(found, one)
    return found


def convolve(one: Any, other: Any) -> Any:
    losses, at = np.unique(np.add.outer(one[0], other[0]).round(9), return_inverse=True)
    return losses, np.bincount(at.ravel(), np.multiply.outer(one[1], other[1]).ravel())


def brute_delta(noises: list[Event], epsilon: float) -> float:
    losses, chances = law(noises[0])
    for each in noises[1:]:
        losses, chances = convolve((losses, chances), law(each))
    return float((chances * np.maximum(0, 1 - np.exp(epsilon - losses))).sum())


@pytest.mark.parametrize("epsilon", [0.2, 1.0, 2.5])
def test_composed_distributions_are_those_of_the_laws(epsilon: float) -> None:
    cases: list[list[Event]] = [
        [DiscreteLaplace(1, 2.0, 1, 1)] * 6,
        [DiscreteLaplace(3, 4.0, 1, 3), DiscreteLaplace(5, 6.0, 5, 1)],
        [DiscreteLaplace(6, 5.0, 2, 3), DiscreteLaplace(1, 1.5, 1, 1)],
    ]
    for noises in cases:
        exact, said = brute_delta(noises, epsilon), pld_delta(noises, epsilon)
        assert exact <= said * (1 + 1e-8)  # losses above are rounded to nine places
        assert said <= exact * 1.01 + 1e-12


def test_a_vector_of_which_no_more_is_known_is_randomised_response() -> None:
    for noise in (DiscreteLaplace(5, 4.0, 5), DiscreteLaplace(5, 4.0, 2, 3)):
        odds = math.exp(5 / 4)
        assert pld_delta([noise], 0.5) == pytest.approx((odds - math.exp(0.5)) / (1 + odds), rel=1e-4)


def test_large_moves_are_taken_in_fewer_steps_and_never_cost_less() -> None:
    for most in (1999, 2001, 7001, 10**6, 2**30, 2**50):
        said = pld_delta([DiscreteLaplace(most, most * 2.0, most, 1)], 0.25)
        continuous = 1 - math.exp((0.25 - 0.5) / 2)
        assert continuous * (1 - 1e-9) <= said <= continuous * 1.01


@pytest.mark.parametrize("ranges", [[0.7], [0.5] * 4, [0.3, 0.9, 1.6]])
def test_choices_of_one_range_are_composed_as_their_profiles_say_and_no_choices_lose_more(ranges: list[float]) -> None:
    noises = [Exponential(Exact(Fraction(each))) for each in ranges]
    step = 1e-3
    loss, chance = np.zeros(1), np.ones(1)
    for each in ranges:  # the losses of density e^(l/2)/(4 sinh(η/2)), in bins of a step, at their lower ends
        edges = np.arange(round(-each / step), round(each / step) + 1) * step
        mass = np.diff(np.exp(edges / 2)) / (2 * math.sinh(each / 2))
        loss, chance = loss[0] + edges[0] + np.arange(len(mass) + len(chance) - 1) * step, np.convolve(chance, mass)
    draw = np.random.default_rng(len(ranges))
    for epsilon in (0.0, 0.2, 0.5 * sum(ranges)):
        said = pld_delta(noises, epsilon)
        least = float((chance * np.maximum(0, 1 - np.exp(epsilon - loss))).sum())
        most = float((chance * np.maximum(0, 1 - np.exp(epsilon - loss - len(ranges) * step))).sum())
        assert least <= said <= most * (1 + 1e-6)
        for _ in range(50):  # choices with two outcomes: losses t and t - range
            pair = np.zeros(1), np.ones(1)
            for each in ranges:
                t = draw.uniform(0, each)
                first = (math.exp(each) - math.exp(t)) / math.expm1(each)
                pair = convolve(pair, (np.array([t, t - each]), np.array([first, 1 - first])))
            assert float((pair[1] * np.maximum(0, 1 - np.exp(epsilon - pair[0]))).sum()) <= said


def test_quantiles_in_a_batch_keep_to_its_total_and_lose_noise_with_it() -> None:
    private = LOG.dp.protect()
    asked = [
        private.agg(n=dp.count()),
        private.agg(dp.quantile("x", [0.1, 0.3, 0.5, 0.7, 0.9], 0, 3)),
        private.agg(dp.median("x", 0, 3), dp.max("x", 0, 3)),
    ] * 4
    own = ApproximateDP(Exact(TOTAL.epsilon / len(asked)), Exact(TOTAL.delta / len(asked)))
    for mechanism in ("laplace", "gaussian"):
        named = [Part(analyse(query.question), own, mechanism) for query in asked]
        noised = together(named, TOTAL)
        assert 0.5e-5 < pld_delta(events(noised), 2.0) <= 1e-5 * (1 + 1e-9)
        for part, each in zip(noised, named, strict=True):
            alone = dpframe.privacy.calibrate(each.measured, own, mechanism)
            if len(part) != 5:  # a batch takes a level's share for every choice of a list
                assert all(a.mechanism.variance < b.mechanism.variance for a, b in zip(part, alone, strict=True))
    best = together([Part(each.measured, own, "auto") for each in named], TOTAL)
    kinds = {each.mechanism.name for part in best for each in part}
    assert "exponential mechanism" in kinds and len(kinds) == 2


@pytest.mark.parametrize("groups", [[1] * 2, [1] * 8, [1] * 20, [3, 3, 10], [10, 10], [1, 2, 30]])
def test_a_batch_spends_all_of_its_total_and_no_more(groups: list[int]) -> None:
    for mechanism in ("auto", "gaussian", "laplace"):
        noised = together(parts(groups, mechanism), TOTAL)
        delta = pld_delta(events(noised), 2.0)
        assert delta <= 1e-5 * (1 + 1e-9)
        if sum(groups) > 4 or mechanism == "gaussian":
            assert pld_delta(events(noised), 2.0 * 0.99) > 1e-5  # within a hundredth of ε
        alone = together([Part(each.measured, each.cost, mechanism) for each in parts(groups, mechanism)][:1], TOTAL)
        assert len(noised) == len(groups) and len(alone) == 1


def spread(noised: Any) -> float:
    return sum(math.log(each.mechanism.variance) for part in noised for each in part)


def test_a_batch_takes_the_mechanism_of_less_noise() -> None:
    taken = []
    for n in range(1, 16):
        by = {name: together(parts([1] * n, name), TOTAL) for name in ("laplace", "gaussian")}
        best = together(parts([1] * n), TOTAL)
        assert spread(best) == min(map(spread, by.values()))
        taken.append(best == by["laplace"])
        dear = together(parts([1] * n), TOTAL, pure=False)
        assert dear == by["gaussian"]
    assert taken[0] and not taken[-1] and taken == sorted(taken, reverse=True)


def test_twenty_counts_have_the_noise_that_research_found() -> None:
    gaussian = together(parts([1] * 20, "gaussian"), TOTAL)
    assert gaussian[0][0].mechanism.scale == pytest.approx(8.917, abs=0.001)
    laplace = together(parts([1] * 20, "laplace"), TOTAL)
    assert math.sqrt(laplace[0][0].mechanism.variance) == pytest.approx(11.68, abs=0.02)  # and 14.14 one by one


def test_mixed_noise_is_in_proportion_to_what_each_would_have_alone() -> None:
    asked = parts([1, 1, 10])
    names = ["laplace", "laplace", "gaussian"]
    mixed = [Part(each.measured, each.cost, name) for each, name in zip(asked, names, strict=True)]
    noised = together(mixed, TOTAL)
    assert [type(part[0].mechanism).__name__ for part in noised] == ["Laplace", "Laplace", "Gaussian"]
    own = float(gaussian_within(asked[0].cost.epsilon, asked[0].cost.delta))
    factors = [
        noised[0][0].mechanism.scale / float(1 / asked[0].cost.epsilon),
        noised[2][0].mechanism.scale / math.sqrt(10 / own),
    ]
    assert factors[0] == pytest.approx(factors[1], rel=1e-9) and factors[0] < 0.97
    delta = pld_delta(events(noised), 2.0)
    assert 0.9e-5 < delta <= 1e-5


def test_what_a_batch_costs_its_budget() -> None:
    noised = together(parts([1, 1, 10], "gaussian"), TOTAL)
    together_ = Joint(TOTAL, events(noised))
    squares = sum(each.mu_squared for each in events(noised) if isinstance(each, GaussianDP))
    assert price(Gaussians(cost(mu=9)), together_)[0] == squares  # type: ignore[arg-type]
    assert price(Concentrated(cost(rho=9)), together_)[0] == squares / 2  # type: ignore[arg-type]
    assert squares == pytest.approx(float(gaussian_within(TOTAL.epsilon, TOTAL.delta)), rel=1e-9)
    laplace = Joint(TOTAL, events(together(parts([1] * 5, "laplace"), TOTAL)))
    # Not what it is by its distribution, 2: that is no measure that adds up.
    assert price(Concentrated(cost(rho=9)), laplace)[0] == pytest.approx(5 * (1 / 2.5) ** 2 / 2, rel=0.02)  # type: ignore[arg-type]
    assert price(Renyi(TOTAL), laplace)[0] > Renyi(TOTAL).totals[0]


def test_releases_of_a_batch_come_at_its_end() -> None:
    with dp.Budget(epsilon=2, delta=1e-5) as budget:
        with dp.batch(epsilon=2, delta=1e-5) as batch:
            pending = [views().count().release(ci=0.9), views(2).sum("x", 0, 4).release(label="sums")]
            assert budget.spent == 0 and "2 releases declared" in repr(batch)
            for each in pending:
                assert "not released" in repr(each)
                with pytest.raises(PlanError, match="block has ended"):
                    _ = each.value
            assert len(budget.history()) == 0
        first, second = (each.value for each in pending)
    assert (budget.remaining, budget.remaining_delta, budget.filter) == (0, 0, "sum")
    assert list(first.columns) == ["page", "count", "count_low", "count_high", "count_reliable"] and len(second) == len(
        PAGES
    )
    assert first.dp.release_info().cost == "epsilon=2, delta=0.00001, for 2 releases together"
    history = budget.history()
    assert history["query"].tolist() == ["batch of 2: groupby(page): count=count(); groupby(page): x_sum=sum(x, 0, 4)"]


def test_costs_in_a_batch_are_parts_of_their_sum() -> None:
    with dp.Budget(epsilon=3, delta=1e-5) as budget:
        with dp.batch():
            small = views(10).count().release(epsilon=0.5, delta=5e-6)
            large = views(10).count().release(epsilon=1, delta=5e-6)
        assert budget.remaining == pytest.approx(2.33, abs=0.2) and budget.filter == "gaussian"
        scales = [each.value.dp.release_info()["count"].statistics[0].scale for each in (small, large)]
        assert 1.9 < scales[0] / scales[1] < 2.1
        mu_squared = sum(10 / scale**2 for scale in scales)
        assert mu_squared == pytest.approx(float(gaussian_within(Fraction(3, 2), Fraction(1, 10**5))), rel=1e-9)


REFUSED: list[tuple[Any, type[Exception], str]] = [
    (lambda: views().count().release(), InvalidCostError, "Name what"),
    (lambda: views().count().release(rho=0.1), InvalidCostError, "epsilon="),
    (lambda: views().count().release(epsilon=1, delta=1e-6, budget=dp.Budget(1)), PlanError, "budget once"),
    (lambda: views().count().release(epsilon=1, delta=1e-6, once="key"), PlanError, "once="),
    (lambda: views().count().release(epsilon=math.nan), InvalidCostError, "epsilon"),
    (lambda: LOG.dp.protect(id="user").count().release(epsilon=1), dp.errors.MissingBoundError, "bound"),
    (lambda: views().count().release(epsilon=1), InvalidCostError, "delta"),  # at the block's end
    (lambda: views().count().release(epsilon=9, delta=1e-6), BudgetExceededError, "epsilon=9"),
    (lambda: views().count().release(epsilon=1, delta=1e-6, mechanism="normal"), MechanismError, "normal"),
    (lambda: views().count().release(epsilon=1, delta=1e-6, at_least="many"), PlanError, "at_least"),
    (lambda: views().count().release(epsilon=1e-90, delta=1e-6), MechanismError, "64 bits"),
    (lambda: dp.batch(epsilon=1, delta=1e-6).__enter__(), PlanError, "within a batch"),
]


@pytest.mark.parametrize(("ask", "kind", "says"), REFUSED, ids=lambda each: str(each) if isinstance(each, str) else "")
def test_what_cannot_be_in_a_batch_is_refused_and_costs_nothing(
    ask: Any, kind: type[Exception], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backend, "aggregate", lambda *arguments: pytest.fail("the data were read"))
    budget = dp.Budget(epsilon=2, delta=1e-3)
    with pytest.raises(kind, match=says), budget, dp.batch():
        ask()
    assert (budget.spent, len(budget.history()), dpframe.release.collecting.get()) == (0, 0, None)


@pytest.mark.parametrize(
    "named", [{"epsilon": 1}, {"delta": 1e-5}, {"epsilon": 1, "delta": 0}, {"epsilon": "x"}], ids=str
)
def test_what_is_no_total_of_a_batch_is_refused(named: dict[str, Any]) -> None:
    with pytest.raises(InvalidCostError):
        dp.batch(**named)


def test_named_costs_and_equal_parts_do_not_mix() -> None:
    budget = dp.Budget(epsilon=2, delta=1e-3)
    with pytest.raises(InvalidCostError, match="of none"), budget, dp.batch(epsilon=1, delta=1e-5):
        views().count().release()
        views().count().release(epsilon=0.5)
    assert budget.spent == 0


def test_a_block_that_fails_releases_nothing() -> None:
    budget = dp.Budget(epsilon=2, delta=1e-3)
    with pytest.raises(ZeroDivisionError), budget, dp.batch(epsilon=1, delta=1e-5) as batch:
        pending = views().count().release()
        raise ZeroDivisionError
    with pytest.raises(PlanError):
        _ = pending.value
    assert budget.spent == 0
    with pytest.raises(PlanError, match="one block"), batch:
        pass
    with pytest.raises(dp.errors.NoBudgetError), dp.batch(epsilon=1, delta=1e-5):
        pass
    with budget, dp.batch():  # of nothing
        pass
    assert budget.spent == 0


def test_an_engine_that_fails_keeps_the_charge(monkeypatch: pytest.MonkeyPatch) -> None:
    aggregate, calls = backend.aggregate, []

    def second_fails(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise ValueError("SECRET")
        return aggregate(*arguments)

    monkeypatch.setattr(backend, "aggregate", second_fails)
    budget = dp.Budget(epsilon=2, delta=1e-3)
    with pytest.raises(DataPlaneError), budget, dp.batch(epsilon=1, delta=1e-5):
        pending = [views().count().release() for _ in range(3)]
    assert len(pending[0].value) == len(PAGES) and budget.spent == 1
    for each in pending[1:]:
        with pytest.raises(PlanError):
            _ = each.value


def test_without_dp_accounting_a_gaussian_batch_is_still_one(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def missing(name: str, *rest: Any, **named: Any) -> Any:
        if name.startswith("dp_accounting"):
            raise ImportError(name)
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", missing)
    budget = dp.Budget(epsilon=2, delta=1e-3)
    with budget, dp.batch(epsilon=1, delta=1e-5):
        pending = views().count().release(mechanism="gaussian")
    assert len(pending.value) == len(PAGES) and budget.filter == "gaussian"
    budget = dp.Budget(epsilon=2, delta=1e-3)
    with pytest.raises(MechanismError, match=r"dpframe\[pld\]"), budget, dp.batch(epsilon=0.1, delta=1e-5):
        views().count().release()


def test_an_unlimited_budget_is_exact_in_a_batch_too() -> None:
    with dp.Budget.unlimited(), dp.batch():
        pending = LOG.dp.protect().sum("x", 0, 8).release()
    assert pending.value["x_sum"].tolist() == [3.0] and not pending.value.dp.release_info().private


def test_pure_cost_in_a_batch_has_gaussian_noise_where_that_is_less() -> None:
    with dp.Budget(epsilon=9, delta=1e-3), dp.batch():
        many = [views(10).count().release(epsilon=0.2, delta=1e-6), views(10).count().release(epsilon=0.2)]
    kinds = {each.value.dp.release_info()["count"].statistics[0].mechanism for each in many}
    assert kinds == {"rounded Gaussian"}
    assert isinstance(cost(1), PureDP)
