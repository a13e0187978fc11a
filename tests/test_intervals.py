"""Error bars hold: counted over many releases of one question."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import dpframe as dp


@pytest.mark.parametrize("epsilon", [0.5, 30])
def test_intervals_hold_the_exact_answer_as_often_as_they_say(epsilon: float) -> None:
    draw = np.random.default_rng(3)
    members = pd.DataFrame({"level": draw.choice(["a", "b"], 60), "age": draw.integers(0, 99, 60)})
    answers = {
        "n": dp.count(),
        "ages": dp.count_distinct("age"),
        "age": dp.mean("age", 0, 99),
        "var": dp.var("age", 0, 99),
        "std": dp.std("age", 0, 99),
    }
    query = members.dp.protect().groupby("level", keys=["a", "b"]).agg(**answers)
    exact = query.release(budget=dp.Budget.unlimited())
    held = dict.fromkeys(answers, 0)
    draws = 300
    for _ in range(draws):
        answer = query.release(epsilon=epsilon, ci=0.8, budget=dp.Budget(epsilon=30))
        for name in held:
            held[name] += ((answer[f"{name}_low"] <= exact[name]) & (exact[name] <= answer[f"{name}_high"])).sum()
    # 600 intervals of at least 80 %: 421 or fewer has a chance below 1e-9. Those of a count are hardly wider,
    # unless its noise has but a few values.
    assert min(held.values()) > 421
    assert epsilon > 1 or max(held["n"], held["ages"]) < 570
    # With little noise an interval says something: that of a variance is not all that a variance can be.
    assert epsilon < 1 or (answer["var_high"] - answer["var_low"]).max() < 99**2 / 4
