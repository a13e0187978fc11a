"""The budget: exact sums, refusals that change nothing, and charges that stay."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import math
import os
import pickle
import random
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from budgets import TABLE, charge

import dpframe as dp
from dpframe.accounting import Exact, ambient, cost
from dpframe.backends import pandas as backend
from dpframe.errors import BudgetExceededError, DataPlaneError, InvalidCostError, MissingBoundError, NoBudgetError


def number(draw: random.Random) -> tuple[object, Fraction]:
    """A cost as a person may write it, and what it is."""
    digits = draw.randint(1, 10**6)
    places = draw.randint(0, 6)
    exact = Fraction(digits, 10**places)
    decimal = Decimal(digits).scaleb(-places)
    written: list[object] = [decimal, str(decimal), exact, f"{digits}/{10**places}", f"{digits}e-{places}"]
    # So few digits survive the way through a double and back.
    written += [float(exact), np.float64(float(exact)), digits if places == 0 else exact]
    return draw.choice(written), exact


def test_sums_are_exact() -> None:
    draw = random.Random(1)
    refused = 0
    for _ in range(400):
        total, exact_total = number(draw)
        budget, spent = dp.Budget(total), Fraction(0)
        for _ in range(5):
            asked, exact_asked = number(draw)
            if spent + exact_asked > exact_total:
                with pytest.raises(BudgetExceededError):
                    charge(budget, epsilon=asked)
                refused += 1
            else:
                charge(budget, epsilon=asked)
                spent += exact_asked
            assert Fraction(budget.spent) == spent
            assert Fraction(budget.remaining) == exact_total - spent
    assert 200 < refused < 1900  # both ways were walked


@pytest.mark.parametrize(("part", "total", "times"), [(0.1, 0.3, 3), (0.1, 1, 10), ("1/3", 1, 3), (0.7, 4.9, 7)])
def test_parts_fill_a_total_exactly(part: object, total: object, times: int) -> None:
    budget = dp.Budget(total)
    for _ in range(times):
        charge(budget, epsilon=part)
    assert budget.remaining == 0
    with pytest.raises(BudgetExceededError):
        charge(budget, epsilon="1e-100")


def test_a_float_is_its_shortest_decimal() -> None:
    assert str(dp.Budget(0.1).total) == "0.1"
    assert Fraction(dp.Budget(0.1).total) == Fraction(1, 10) != Fraction(0.1)
    assert Fraction(dp.Budget(1e-17).total) == Fraction(1, 10**17)
    assert Fraction(dp.Budget(np.float32(0.1)).total) == Fraction(1, 10)
    assert Exact(7, 10) == 0.7 and Exact(7, 10) < 0.70000001 and str(Exact(1, 3)) == "1/3"
    # Every way to write it, which Python 3.12 would write as a fraction.
    assert f"{Exact(7, 10)} {Exact(7, 10)!s} {Exact(7, 10)!r} {Exact(7, 10):.3f}" == "0.7 0.7 0.7 0.700"


BAD: dict[str, Any] = {
    "nan": math.nan, "inf": math.inf, "-inf": -math.inf, "zero": 0, "zero float": 0.0, "minus zero": -0.0,
    "negative": -1, "negative float": -0.1, "true": True, "false": False, "numpy true": np.True_,
    "half an exponent": "1e", "empty": "", "blank": "  ", "text": "a lot", "nan text": "nan", "inf text": "inf",
    "Infinity text": "Infinity", "huge text": "1e400", "huge float text": "1e101", "tiny text": "1e-101",
    "underscore": "1_0", "hex": "0x1p3", "two points": "1.2.3", "over zero": "1/0", "signed half": "-1/2",
    "other digits": "١", "subnormal": 5e-324, "Decimal NaN": Decimal("NaN"), "Decimal sNaN": Decimal("sNaN"),
    "Decimal inf": Decimal("Infinity"), "Decimal zero": Decimal("-0"), "numpy nan": np.float64("nan"),
    "numpy inf": np.float32("inf"), "numpy zero": np.int64(0), "complex": 1 + 0j, "numpy complex": np.complex128(1),
    "bytes": b"1", "list": [1], "tuple": (1,), "dict": {}, "array": np.array(1.0), "object": object(),
    "long integer": 10**5000, "long fraction": Fraction(1, 10**5000), "type": float,
}  # fmt: skip


@pytest.mark.parametrize("bad", BAD.values(), ids=list(BAD))
def test_what_is_no_budget_is_refused(bad: object) -> None:
    budget = dp.Budget(1)
    count = TABLE.dp.protect().count()
    attempts: list[Callable[[], object]] = [
        lambda: dp.Budget(bad),
        lambda: dp.Budget(rho=bad),
        lambda: count.release(epsilon=bad, budget=budget),
        lambda: count.release(rho=bad, budget=budget),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidCostError):
            attempt()
    assert budget.spent == 0


@pytest.mark.parametrize("parts", [(), (None,), (1, 1)])
def test_nothing_and_both_are_no_cost(parts: tuple[object, ...]) -> None:
    with pytest.raises(InvalidCostError):
        cost(*parts)


def test_an_overspend_says_asked_left_and_total_and_changes_nothing() -> None:
    budget = dp.Budget(1.1)
    charge(budget, epsilon=0.6)
    before = (budget.spent, budget.remaining, repr(budget), len(budget.history()))
    with pytest.raises(BudgetExceededError, match=r"epsilon=0\.7\b.*\b0\.5 of 1\.1\b"):
        TABLE.dp.protect().count().release(epsilon=0.7, budget=budget)
    assert before == (budget.spent, budget.remaining, repr(budget), len(budget.history()))
    charge(budget, epsilon=0.5)
    with pytest.raises(BudgetExceededError, match="Nothing more"):
        charge(budget, epsilon=0.1)


def test_rho_pays_for_epsilon_and_not_the_other_way() -> None:
    budget = dp.Budget(rho=0.5)
    charge(budget, epsilon=0.4)
    charge(budget, rho=0.02)
    assert budget.spent == 0.1
    with pytest.raises(InvalidCostError, match=r"dp\.Budget\(rho="):
        charge(dp.Budget(5), rho=0.1)


def test_the_innermost_budget_is_the_ambient_one() -> None:
    with pytest.raises(NoBudgetError):
        ambient()
    outer, inner = dp.Budget(1), dp.Budget(2)
    with outer:
        with inner, outer, inner:
            assert ambient() is inner
        assert ambient() is outer
        with pytest.raises(ZeroDivisionError), inner:
            raise ZeroDivisionError
        assert ambient() is outer
        assert ambient(inner) is inner
        TABLE.dp.protect().count().release(epsilon=0.25)
    assert (outer.spent, inner.spent) == (0.25, 0)
    with pytest.raises(NoBudgetError):
        ambient()


def test_what_is_no_budget_object_is_refused_by_name() -> None:
    with pytest.raises(NoBudgetError, match="Budget"):
        TABLE.dp.protect().count().release(epsilon=1, budget=1.0)


def test_a_new_thread_has_no_ambient_budget() -> None:
    def look() -> None:
        with pytest.raises(NoBudgetError):
            ambient()

    with dp.Budget(1), ThreadPoolExecutor() as pool:
        pool.submit(look).result()


def test_threads_exhaust_a_budget_to_the_unit() -> None:
    units, workers = 2000, 8
    budget = dp.Budget(units)
    start = threading.Barrier(workers)

    def spend(worker: int) -> int:
        start.wait()
        accepted = 0
        for _ in range(units // 4):  # twice as many attempts as units
            with contextlib.suppress(BudgetExceededError):
                charge(budget, epsilon=1)
                accepted += 1
        return accepted

    with ThreadPoolExecutor(workers) as pool:
        assert sum(pool.map(spend, range(workers))) == units == len(budget.history())
    assert budget.remaining == 0


def test_tasks_have_their_own_ambient_budgets() -> None:
    async def work(budget: dp.Budget, epsilon: float) -> bool:
        with budget:
            await asyncio.sleep(0)
            charge(ambient(), epsilon=epsilon)
            await asyncio.sleep(0)
            return ambient() is budget

    async def main() -> list[bool]:
        return await asyncio.gather(*(work(budget, 0.1 * at) for at, budget in enumerate(budgets, start=1)))

    budgets = [dp.Budget(1) for _ in range(5)]
    assert all(asyncio.run(main()))
    assert [float(budget.spent) for budget in budgets] == [0.1, 0.2, 0.1 * 3, 0.4, 0.5]


def test_a_budget_cannot_be_copied_into_two() -> None:
    budget = dp.Budget(1)
    assert copy.copy(budget) is budget
    assert copy.deepcopy({"budget": budget})["budget"] is budget
    with pytest.raises(TypeError, match="budget"):
        pickle.dumps(budget)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_cannot_spend_its_parents_budget_again() -> None:
    budget = dp.Budget(1)
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            charge(budget, epsilon=1)
            os.write(writer, b"spent")
        except NoBudgetError:
            os.write(writer, b"refused")
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 99) == b"refused"
    charge(budget, epsilon=1)


def test_unlimited_is_exact_and_says_so() -> None:
    budget = dp.Budget.unlimited()
    assert (budget.private, budget.total, budget.remaining) == (False, math.inf, math.inf)
    with budget:
        released = TABLE.dp.protect().sum("x", 0, 8).release(epsilon=5)
    assert released["x_sum"].tolist() == [3.0]
    assert released.dp.release_info().private is False
    assert budget.spent == 0 and "NOT private" in repr(budget)


def test_history_is_a_frame_with_a_running_total() -> None:
    with dp.Budget(1) as budget:
        assert len(budget.history()) == 0
        TABLE.dp.protect().count().release(epsilon=0.25)
        TABLE.dp.protect().agg(n=dp.count(), x=dp.sum("x", 0, 1)).release(epsilon="1/3")
    history = budget.history()
    assert list(history.columns) == ["time", "label", "query", "mechanism", "cost", "spent"]
    assert history["query"].tolist() == ["count=count()", "n=count(), x=sum(x, 0, 1)"]
    assert history["mechanism"].tolist() == ["discrete Laplace", "discrete Laplace"]
    assert history["cost"].tolist() == ["epsilon=0.25", "epsilon=1/3"]
    assert history["spent"].tolist() == [0.25, float(Fraction(7, 12))]
    assert history["time"].is_monotonic_increasing and str(history["time"].dt.tz) == "UTC"


def test_a_failing_engine_keeps_the_charge_and_tells_no_value(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*arguments: object) -> None:
        try:
            raise KeyError("SECRET-4711")
        except KeyError:
            raise ValueError("could not convert 'SECRET-4711'") from None

    monkeypatch.setattr(backend, "aggregate", fail)
    budget = dp.Budget(1)
    with pytest.raises(DataPlaneError, match="ValueError") as caught:
        TABLE.dp.protect().count().release(epsilon=0.75, budget=budget)
    error = caught.value
    assert error.__cause__ is None and error.__context__ is None
    told = [str(error), repr(error), *map(str, error.args), *traceback.format_exception(error), *capfd.readouterr()]
    assert not any("4711" in text for text in told)
    assert budget.remaining == 0.25 and len(budget.history()) == 1


def test_a_refusal_before_reading_charges_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backend, "aggregate", lambda *arguments: pytest.fail("the data were read"))
    budget = dp.Budget(1)
    private = TABLE.dp.protect()
    refused: list[tuple[Callable[[], object], type[Exception]]] = [
        (lambda: TABLE.dp.protect(id="user").count().release(epsilon=1, budget=budget), MissingBoundError),
        (lambda: private.count().release(epsilon=1e-60, budget=budget), dp.errors.MechanismError),
        (lambda: private.count().release(rho=0.1, budget=budget), InvalidCostError),
        (lambda: private.count().release(epsilon=0.1, budget=budget, ci=2.0), dp.errors.PlanError),
        (lambda: private.count().release(epsilon=1.01, budget=budget), BudgetExceededError),
        (lambda: private.agg(x=dp.count(), x_low=dp.count()).release(epsilon=1, budget=budget, ci=0.9), ValueError),
    ]
    for attempt, kind in refused:
        with pytest.raises(kind):
            attempt()
    assert budget.spent == 0 and len(budget.history()) == 0
