"""Error bars hold: counted over many releases of one question."""

from __future__ import annotations

import numpy as np
import pandas as pd

import dpframe as dp


def test_intervals_hold_the_exact_answer_as_often_as_they_say() -> None:
    draw = np.random.default_rng(3)
    members = pd.DataFrame({"level": draw.choice(["a", "b"], 60), "age": draw.integers(0, 99, 60)})
    answers = {"n": dp.count(), "age": dp.mean("age", 0, 99), "var": dp.var("age", 0, 99), "std": dp.std("age", 0, 99)}
    query = members.dp.protect().groupby("level", keys=["a", "b"]).agg(**answers)
    exact = query.release(budget=dp.Budget.unlimited())
    held = dict.fromkeys(answers, 0)
    draws = 300
    for _ in range(draws):
        answer = query.release(epsilon=0.5, ci=0.8, budget=dp.Budget(epsilon=1))
        for name in held:
            held[name] += ((answer[f"{name}_low"] <= exact[name]) & (exact[name] <= answer[f"{name}_high"])).sum()
    # 600 intervals of at least 80 %: 421 or fewer has a chance below 1e-9. Those of a count are hardly wider.
    assert min(held.values()) > 421
    assert held["n"] < 570
