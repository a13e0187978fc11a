"""Variance and standard deviation: exact answers against a loop over rows, on every engine."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engines import Engine, exactly

import dpframe as dp

LEVELS = [None, "a", "b", "c", "none"]


def by_hand(values: list[float], low: float, high: float) -> float:
    clipped = [min(max(value, low), high) for value in values if not math.isnan(value)]
    return statistics.variance(clipped) if len(clipped) > 1 else math.nan


def test_zero_and_ten_have_variance_fifty(engine: Engine) -> None:
    private = engine.frame(pd.DataFrame({"n": [0, 10], "x": [0.0, 10.0]})).dp.protect()
    query = private.agg(dp.var("n", 0, 10), dp.std("n", 0, 10), dp.var("x", 0, 10), dp.std("x", 0, 10))
    answer = engine.rows(exactly(query))
    assert list(answer.columns) == ["n_var", "n_std", "x_var", "x_std"]
    assert answer.iloc[0].tolist() == [50, math.sqrt(50), 50, math.sqrt(50)]


BOUNDS = [("income", 0, 10), ("income", -1e5, 1e-3), ("age", 20, 70), ("age", -(2**25), 2**25 + 1), ("age", 3, 4.5)]


@pytest.mark.parametrize(("column", "low", "high"), BOUNDS)
def test_exact_answers_are_what_a_loop_over_rows_finds(
    engine: Engine, members: pd.DataFrame, column: str, low: float, high: float
) -> None:
    grouped = engine.frame(members).dp.protect().groupby("level", keys=LEVELS)
    answer = engine.rows(exactly(grouped.agg(var=dp.var(column, low, high), std=dp.std(column, low, high))))
    for level, var, std in answer.itertuples(index=False):
        mine = members[members["level"].isna()] if not isinstance(level, str) else members[members["level"] == level]
        top = math.floor(high) if column == "age" else high
        expected = by_hand(mine[column].astype(float).tolist(), low, top)
        # A row's square is within half a step of the grid, at most 2**−33 of the squared range.
        assert var == pytest.approx(expected, rel=1e-9, abs=2 * (top - low) ** 2 * 2.0**-33, nan_ok=True)
        assert std == pytest.approx(math.sqrt(var), nan_ok=True)


def test_missing_values_do_not_count_and_a_single_row_has_none(engine: Engine) -> None:
    frame = pd.DataFrame({"g": ["a", "a", "a", "b", "b"], "x": [1.0, np.nan, 3.0, 5.0, np.nan]})
    grouped = engine.frame(frame).dp.protect().groupby("g", keys=["a", "b", "c"])
    assert engine.rows(exactly(grouped.agg(dp.var("x", 0, 8))))["x_var"].tolist() == [
        2,
        pytest.approx(math.nan, nan_ok=True),
        pytest.approx(math.nan, nan_ok=True),
    ]


@pytest.mark.parametrize("cost", [{"epsilon": 1}, {"rho": 0.5}])
def test_one_release_key_gives_the_same_bits_on_every_engine(
    engine: Engine, members: pd.DataFrame, fixed_key: bytes, cost: dict[str, float]
) -> None:
    def ask(frame: Any) -> Any:
        grouped = frame.dp.protect(id="user").bound(groups=2, rows_per_group=4).groupby("level", keys=LEVELS)
        query = grouped.agg(v=dp.var("income", 0, 10), s=dp.std("age", 0, 2**20))
        return query.release(budget=dp.Budget(rho=9), ci=0.9, **cost)

    there = ask(members.astype({"age": "Int64"}))
    pd.testing.assert_frame_equal(engine.rows(ask(engine.frame(members))), there, check_dtype=False, check_exact=True)
