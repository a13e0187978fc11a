"""Figures of budgets in memory: how quick, how linear, how exact."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from fractions import Fraction
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import dpframe as dp
from dpframe.accounting import Event, GaussianDP, Joint, cost
from dpframe.accounting.conversions import gaussian_within
from dpframe.accounting.events import DiscreteLaplace
from dpframe.errors import BudgetExceededError


def work() -> dict[str, tuple[Callable[[], dp.Budget], list[list[Event]]]]:
    """What is charged: the budget, and the releases that take turns."""
    small, delta = cost(epsilon="0.001"), cost("0.001", delta="1e-9")
    gaussian = Joint(delta, (GaussianDP(gaussian_within(Fraction(1, 1000), Fraction(1, 10**9))),))
    laplace = Joint(small, (DiscreteLaplace(2, 4000.0, 1, 2), DiscreteLaplace(1, 2000.0, 1, 1)))
    large = {"epsilon": 10**6, "delta": 0.5}
    return {
        "pure ε": (lambda: dp.Budget(epsilon=10**6), [[small]]),
        "(ε, δ) by 'sum'": (lambda: dp.Budget(**large, filter="sum"), [[gaussian], [laplace]]),
        "Gaussian by 'gaussian'": (lambda: dp.Budget(**large, filter="gaussian"), [[gaussian]]),
        "mixed by 'renyi'": (lambda: dp.Budget(**large, filter="renyi"), [[gaussian], [laplace], [small]]),
        "mixed by ρ": (lambda: dp.Budget(rho=10**6), [[gaussian], [laplace], [cost(rho="0.001")]]),
    }


def seconds(opened: Callable[[], dp.Budget], releases: list[list[Event]], times: int) -> float:
    """The process's own time for so many charges of a new budget."""
    budget, asked = opened(), list(islice(cycle(releases), times))
    began = time.process_time()
    for events in asked:
        budget.charge(events, "count()", "discrete Laplace")
    taken = time.process_time() - began
    assert len(budget._charges) == times
    assert budget._spent[0] == sum(charge.amount for charge in budget._charges) > 0
    return taken


def charges(_: Path, count: int = 100_000, rounds: int = 5) -> dict[str, Any]:
    """So many charges, and twice as many, in turns: the best round of each."""
    found: dict[str, Any] = {"charges": count}
    for name, (opened, releases) in work().items():
        laps = [[seconds(opened, releases, times) for times in (count, 2 * count)] for _ in range(rounds)]
        once, twice = map(min, zip(*laps, strict=True))
        found |= {f"{name}, a second": count / once, f"{name}, t(2n)/t(n)": twice / once}
    return found


def rationals(_: Path, budgets: int = 10_000) -> dict[str, Any]:
    """Random rational budgets with random charges, in parts and not, against ``fractions.Fraction``."""
    draw = random.Random(7)
    wrong = granted = refused = 0

    def number() -> Fraction:
        return Fraction(draw.randint(1, 10**6), draw.choice([1, 7, 1000, 10**6, draw.randint(1, 10**6)]))

    for _ in range(budgets):
        total, spent = number(), Fraction(0)
        budget = dp.Budget(epsilon=total)
        for _ in range(draw.randint(1, 6)):
            asked = total / draw.randint(1, 4) if draw.random() < 0.5 else number()
            try:
                budget.charge([cost(epsilon=asked)], "q", "m")
            except BudgetExceededError:
                refused += 1
                wrong += spent + asked <= total
            else:
                granted += 1
                spent += asked
                wrong += spent > total
            wrong += Fraction(budget.spent) != spent or Fraction(budget.remaining) != total - spent
    return {
        "budgets": budgets,
        "granted": granted,
        "refused": refused,
        "mismatches": wrong,
        "charges of 0.1 that 0.3 holds": held(dp.Budget(epsilon=0.3), 0.1),
    }


def held(budget: dp.Budget, epsilon: float) -> int:
    """How often a budget can be charged so much."""
    times = 0
    while True:
        try:
            budget.charge([cost(epsilon=epsilon)], "q", "m")
        except BudgetExceededError:
            return times
        times += 1


FIGURES = {"charges": charges, "rationals": rationals}
