"""Figures of budgets in memory: how quick, how linear, how exact."""

from __future__ import annotations

import random
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

import dpframe as dp
from dpframe.accounting import cost
from dpframe.errors import BudgetExceededError


def charges(_: Path, count: int = 100_000) -> dict[str, Any]:
    """So many charges, and twice as many: the best of three runs each, of the process's own time."""

    def seconds(times: int) -> float:
        best = float("inf")
        for _ in range(3):
            budget, asked = dp.Budget(epsilon=10**6), [cost(epsilon="0.001")]
            began = time.process_time()
            for _ in range(times):
                budget.charge(asked, "count()", "discrete Laplace")
            best = min(best, time.process_time() - began)
            assert budget.spent == Fraction(times, 1000)
        return best

    once, twice = seconds(count), seconds(2 * count)
    return {"charges": count, "a second": count / once, "t(2n)/t(n)": twice / once}


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
    return {"budgets": budgets, "granted": granted, "refused": refused, "mismatches": wrong}


FIGURES = {"charges": charges, "rationals": rationals}
