"""Parts of a budget, and the blocks, threads and tasks that spend them."""

from __future__ import annotations

import asyncio
import contextvars
import random
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from typing import Any

import pytest
from budgets import COUNT, charge

import dpframe as dp
from dpframe.accounting import ambient
from dpframe.errors import BudgetExceededError, InvalidCostError, NoBudgetError


def test_what_a_part_does_not_spend_returns(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(1)
    with budget.part(epsilon=0.3) as part:
        assert (part.total, part.spent, part.remaining) == (0.3, 0, 0.3)
        assert (budget.spent, budget.remaining) == (0.3, 0.7)
        COUNT.release(epsilon=0.1)  # the innermost block is the part's
        assert (part.spent, part.remaining, budget.remaining) == (0.1, 0.2, 0.7)
        with pytest.raises(BudgetExceededError, match=r"0\.2"):
            COUNT.release(epsilon=0.21)
        with pytest.raises(BudgetExceededError):
            COUNT.release(epsilon=0.71, budget=budget)
        COUNT.release(epsilon=0.7, budget=budget)
    assert (budget.spent, budget.remaining) == (0.8, 0.2)
    assert budget.history()["cost"].tolist() == ["epsilon=0.1", "epsilon=0.7"]
    assert part.history()["cost"].tolist() == ["epsilon=0.1"]


def test_a_part_is_set_aside_with_its_block_and_refused_when_it_does_not_fit(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(1)
    part = budget.part(epsilon=0.9)
    assert budget.remaining == 1
    with budget.part(epsilon=0.2), pytest.raises(BudgetExceededError), part:
        pytest.fail("more was set aside than there was")
    assert budget.remaining == 1
    with part:
        assert budget.remaining == 0.1


def test_a_part_outside_its_block_refuses(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(1)
    part = budget.part(epsilon=0.3)
    with pytest.raises(NoBudgetError, match="has not begun"):
        COUNT.release(epsilon=0.1, budget=part)
    with part:
        with part, part:  # held already: the same part, once more
            assert ambient() is part and budget.remaining == 0.7
        COUNT.release(epsilon=0.1, budget=part)
    for attempt in (lambda: COUNT.release(epsilon=0.1, budget=part), part.__enter__):
        with pytest.raises(NoBudgetError, match="has ended"):
            attempt()
    assert budget.spent == 0.1 and len(budget.history()) == 1
    # A whole budget has no such end.
    with budget:
        pass
    COUNT.release(epsilon=0.1, budget=budget)


def test_an_exception_returns_what_was_not_spent_and_no_more(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(1)
    with pytest.raises(ZeroDivisionError), budget.part(epsilon=0.5):
        COUNT.release(epsilon=0.2)
        raise ZeroDivisionError
    assert budget.spent == 0.2
    with pytest.raises(NoBudgetError):
        ambient()


def test_parts_of_parts(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(1)
    with budget.part(epsilon=0.6) as half:
        with half.part(epsilon=0.4) as inner, inner.split(4) as (_, second, *_):
            charge(second, epsilon=0.1)
            with pytest.raises(BudgetExceededError):
                charge(second, epsilon="1e-9")
            assert (budget.remaining, half.remaining, inner.remaining) == (0.4, 0.2, 0)
        assert (budget.remaining, half.remaining) == (0.4, 0.5)
        with pytest.raises(NoBudgetError):
            charge(inner, epsilon=0.01)
    assert budget.spent == 0.1
    assert len(budget.history()) == len(half.history()) == len(inner.history()) == 1


def test_a_split_is_equal_parts_of_what_is_left(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(1)
    charge(budget, epsilon=0.1)
    with budget.split(3) as parts:
        assert [part.remaining for part in parts] == [Fraction(3, 10)] * 3
        assert budget.remaining == 0
        with pytest.raises(NoBudgetError):
            ambient()  # no one of the parts is the innermost
        with parts[1]:
            COUNT.release(epsilon=0.3)
        charge(parts[0], epsilon=0.2)
    assert (budget.spent, budget.remaining) == (0.6, 0.4)
    for bad in (0, -1, True, 2.0, "2", 1001):
        with pytest.raises(InvalidCostError):
            budget.split(bad)  # type: ignore[arg-type]


def test_a_split_that_cannot_be_set_aside_leaves_nothing_aside(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(1)
    with budget.part(epsilon=1) as part:
        split = part.split(2)
    with pytest.raises(NoBudgetError), split:
        pytest.fail("a part that has ended was split")
    assert budget.remaining == 1


@pytest.mark.parametrize(("total", "asked", "left"), [
    ({"rho": 1}, {"rho": 0.25}, 0.75),
    ({"rho": 1}, {"epsilon": 1}, 0.5),
    ({"epsilon": 1, "delta": 1e-6}, {"epsilon": 0.25, "delta": "1e-7"}, 0.75),
    ({"epsilon": 1, "delta": 1e-6}, {"epsilon": 0.25}, 0.75),
    ({"mu": 5}, {"mu": 4}, 3),
])  # fmt: skip
def test_parts_of_every_kind_of_budget(
    opened: Callable[..., dp.Budget], total: dict[str, Any], asked: dict[str, Any], left: float
) -> None:
    budget = opened(**total)
    with budget.part(**asked) as part:
        charge(part, **asked)
        assert (float(part.remaining), float(budget.remaining)) == (0, left)
    assert float(budget.remaining) == left
    with budget.split(2) as (a, b):
        assert a.remaining == b.remaining > 0
    assert float(budget.remaining) == left


def test_a_renyi_budget_has_parts_too(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(epsilon=1, delta=1e-6, filter="renyi")
    with budget.split(2) as (a, b):
        charge(a, rho="0.001")
        assert 0 < a.remaining < b.remaining and a.spent > 0 == b.spent
    with pytest.raises(BudgetExceededError), budget.part(rho=1):
        pass


def test_random_parts_against_fractions() -> None:
    draw = random.Random(11)
    budget, spent = dp.Budget(1000), Fraction(0)
    for _ in range(300):
        aside, takes = Fraction(draw.randint(1, 90), draw.randint(7, 60)), Fraction(0)
        with budget.part(epsilon=aside) as part:
            for _ in range(draw.randint(0, 4)):
                amount = Fraction(draw.randint(1, 30), draw.randint(7, 60))
                if takes + amount <= aside:
                    charge(part, epsilon=amount)
                    takes += amount
                else:
                    with pytest.raises(BudgetExceededError):
                        charge(part, epsilon=amount)
            assert Fraction(budget.remaining) == 1000 - spent - aside
        spent += takes
        assert Fraction(budget.spent) == spent
    assert spent > 100


def test_an_unlimited_budget_has_parts_that_are_unlimited() -> None:
    with dp.Budget.unlimited() as budget, budget.part(epsilon=1) as part, budget.split(2) as (a, _):
        assert not part.private and not a.private
        assert COUNT.release(budget=a)["count"].tolist() == [2]
        assert COUNT.release(epsilon=9, once="k")["count"].tolist() == [2]


def test_threads_within_a_part_fill_it_to_the_unit(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(100)
    with budget.part(epsilon=20) as part:

        def work(_: int) -> int:
            with part:  # a new thread begins outside every block
                done = 0
                for _ in range(6):
                    try:
                        charge(ambient(), epsilon=1)
                        done += 1
                    except BudgetExceededError:
                        pass
                return done

        with ThreadPoolExecutor(5) as pool:
            assert sum(pool.map(work, range(5))) == 20
        assert part.remaining == 0 and budget.remaining == 80
    assert budget.spent == 20


def test_what_a_new_thread_sees_and_how_to_give_it_a_budget() -> None:
    with dp.Budget(1) as budget:
        with ThreadPoolExecutor(1) as pool, pytest.raises(NoBudgetError, match="new thread begins outside every block"):
            pool.submit(COUNT.release, epsilon=0.1).result()
        for pool in (ThreadPoolExecutor(1, initializer=budget.__enter__), ThreadPoolExecutor(1)):
            context = contextvars.copy_context()
            run = context.run if pool._initializer is None else lambda work, **named: work(**named)
            with pool:
                pool.submit(run, COUNT.release, epsilon=0.1).result()

        async def main() -> None:
            await asyncio.to_thread(COUNT.release, epsilon=0.1)
            await asyncio.gather(*(asyncio.create_task(asyncio.to_thread(COUNT.release, epsilon=0.1)) for _ in "ab"))

        asyncio.run(main())
    assert budget.spent == 0.5


def test_a_task_that_outlives_a_part_is_refused() -> None:
    budget = dp.Budget(1)

    async def late() -> None:
        await asyncio.sleep(0.01)
        charge(ambient(), epsilon=0.1)

    async def main() -> None:
        with budget.part(epsilon=0.5):
            task = asyncio.create_task(late())
        with pytest.raises(NoBudgetError, match="has ended"):
            await task

    asyncio.run(main())
    assert budget.spent == 0
