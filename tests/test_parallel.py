"""Parallel composition: what a budget is charged for parts, against the definition, in any order and from threads."""

from __future__ import annotations

import itertools
import threading
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpframe.accounting import ApproximateDP, Budget, Child, Children, PureDP, cost, exact
from dpframe.accounting.events import DiscreteLaplace, Exponential, PermuteAndFlip, RoundedGaussian
from dpframe.errors import BudgetExceededError


def pure(tenths: int) -> PureDP:
    return PureDP(exact(Fraction(tenths, 10), "epsilon"))


def rough(tenths: int) -> ApproximateDP:
    return ApproximateDP(exact(Fraction(tenths, 10), "epsilon"), exact(Fraction(tenths, 1000), "delta"))


charges = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 9), st.booleans()), max_size=12)


@settings(max_examples=200, deadline=None)
@given(charges, st.integers(1, 4), st.booleans())
def test_the_largest_sums_of_parts_are_charged(listed: list[tuple[int, int, bool]], reach: int, even: bool) -> None:
    family, budget = Children(reach, even), Budget(epsilon=1000, delta=0.5, filter="sum")
    parts = [Child(family, at, str(at)) for at in range(4)]
    for at, tenths, is_rough in listed:
        parts[at].charge(budget, [rough(tenths) if is_rough else pure(tenths)], "", "")
    evens, others, deltas = ([Fraction(0)] * 4 for _ in range(3))
    for at, tenths, is_rough in listed:
        own = evens if even and not is_rough else others
        own[at] += Fraction(tenths, 10)
        deltas[at] += Fraction(tenths, 1000) if is_rough else 0
    assert budget.spent == max(evens) + sum(sorted(others)[-reach:])
    assert Fraction(1, 2) - budget.remaining_delta == sum(sorted(deltas)[-reach:])
    # What any `reach` parts have seen together is paid for, and of even costs what shares of one unit add up to.
    for some in itertools.combinations(range(4), reach):
        assert sum(others[at] for at in some) <= budget.spent
        assert max(evens[at] for at in some) + sum(others[at] for at in some) <= budget.spent


def test_a_refused_charge_changes_nothing() -> None:
    family, budget = Children(1, True), Budget(epsilon=1)
    ours, theirs = Child(family, 0, "a"), Child(family, 1, "b")
    ours.charge(budget, [pure(6)], "", "")
    budget.charge([pure(4)], "", "")
    with pytest.raises(BudgetExceededError):
        theirs.charge(budget, [pure(7)], "", "")
    theirs.charge(budget, [pure(6)], "", "")
    assert budget.remaining == 0
    with pytest.raises(BudgetExceededError):
        ours.charge(budget, [pure(1)], "", "")


def test_parts_within_a_part() -> None:
    outer, budget = Children(1, True), Budget(epsilon=10)
    left, right = Child(outer, 0, "left"), Child(outer, 1, "right")
    inner = Children(1, True, within=left)
    a, b = Child(inner, 0, "a"), Child(inner, 1, "b")
    for part, tenths, spent in ((a, 3, 3), (b, 2, 3), (left, 1, 4), (right, 5, 5), (b, 2, 5), (a, 2, 6)):
        part.charge(budget, [pure(tenths)], "", "")
        assert budget.spent == Fraction(spent, 10)


def test_budgets_are_charged_apart_and_in_their_own_unit() -> None:
    family = Children(1, True)
    ours, theirs = Child(family, 0, "a"), Child(family, 1, "b")
    first, second = Budget(epsilon=1), Budget(rho=1)
    ours.charge(first, [pure(5)], "", "")
    ours.charge(second, [pure(5)], "", "")
    theirs.charge(second, [cost(rho=0.25)], "", "")
    assert first.spent == 0.5 and second.spent == 0.25


def test_threads_pay_for_the_dearest_part() -> None:
    family, budget = Children(1, True), Budget(epsilon=1000)
    parts = [Child(family, at, str(at)) for at in range(8)]

    def work(part: Any) -> None:
        for _ in range(50):
            part.charge(budget, [pure(1)], "", "")

    threads = [threading.Thread(target=work, args=(part,)) for part in parts for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert budget.spent == 10


ROWS = 6


@pytest.mark.parametrize(
    "opened",
    [{"epsilon": 9}, {"rho": 9}, {"mu": 9}]
    + [{"epsilon": 9, "delta": 1e-6, "filter": name} for name in ("sum", "gaussian", "renyi")],
    ids=str,
)
@pytest.mark.parametrize("scale", [0.3, 1.0, 7.5, 300.0])
def test_what_costs_no_delta_is_even(opened: dict[str, Any], scale: float) -> None:
    """A part that holds c of the k rows for which noise is calibrated has at most c/k of the loss that was paid for."""
    filter = Budget(**opened)._filter
    assert filter is not None

    def amounts(rows: int) -> list[Any]:
        epsilon = exact(Fraction(rows) / Fraction(scale), "epsilon")
        events = [
            DiscreteLaplace(rows, scale, rows),
            RoundedGaussian(rows**2, scale),
            Exponential(epsilon),
            Exponential(epsilon, exact(epsilon**2 / 3, "epsilon")),
            PermuteAndFlip(epsilon),
            PureDP(epsilon),
        ]
        return [filter.amounts(event) for event in events]

    whole = amounts(ROWS)
    for rows in range(1, ROWS):
        for few, all_rows in zip(amounts(rows), whole, strict=True):
            if all_rows is not None and not all_rows[1]:
                assert few[0] * ROWS <= all_rows[0] * rows * (1 + Fraction(1, 10**12))
