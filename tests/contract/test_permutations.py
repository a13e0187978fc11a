"""Rows in any order and any number of partitions: under one release key the answer is the same, to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from engines import Engine

import dpframe as dp


def table() -> pd.DataFrame:
    draw = np.random.default_rng(11)
    n = 300
    return pd.DataFrame(
        {
            "user": draw.choice([*(f"u{at}" for at in range(25)), None], n),
            "town": draw.choice(["x", "y", "z", None], n, p=[0.5, 0.3, 0.1, 0.1]),
            "day": draw.integers(0, 6, n),
            "spent": draw.choice([0.1, -0.0, 7.25, np.nan, np.inf, 1e300, 3.3], n),
        }
    )


def releases(frame: Any) -> list[Any]:
    budget = dp.Budget(epsilon=9, delta=1e-3, filter="sum")
    private = frame.dp.protect(id="user").bound(groups=3, rows_per_group=2)
    grouped = private.groupby("town", "day", keys=dp.keys({"town": ["x", "y", None]}) * dp.keys({"day": range(5)}))
    asked = grouped.agg(
        n=dp.count(),
        people=dp.count_distinct("user"),
        mean=dp.mean("spent", 0, 8),
        std=dp.std("spent", 0, 8),
        mid=dp.median("spent", 0, 8),
    )
    found = private.assign(late="day > 3").groupby("town", "late").agg(n=dp.count(), spent=dp.sum("spent", 0, 8))
    return [
        asked.release(epsilon=2, ci=0.9, budget=budget),
        grouped.count().release(epsilon=2, at_least=2, budget=budget),
        found.release(epsilon=2, delta=1e-3, budget=budget),
    ]


def partitions(released: Any) -> int:
    return (
        1
        if isinstance(released, pd.DataFrame)
        else len(released.selectExpr("spark_partition_id()").distinct().toArrow())
    )


def seen(engine: Engine, frame: Any) -> list[tuple[pd.DataFrame, int]]:
    return [(engine.rows(released), partitions(released)) for released in releases(frame)]


def same(found: list[tuple[pd.DataFrame, int]], expected: list[tuple[pd.DataFrame, int]]) -> None:
    for (rows, parts), (others, other_parts) in zip(found, expected, strict=True):
        pd.testing.assert_frame_equal(rows, others, check_exact=True)
        assert parts == other_parts


def test_the_order_of_rows_is_not_in_the_answer(engine: Engine, fixed_key: bytes) -> None:
    rows = table()
    expected = seen(engine, engine.frame(rows))
    assert all(len(answer) for answer, _ in expected)
    for seed in range(100 if engine.name == "pandas" else 1):
        same(seen(engine, engine.frame(rows.sample(frac=1, random_state=seed))), expected)


@pytest.mark.slow
def test_nor_is_the_number_of_partitions(engine: Engine, fixed_key: bytes) -> None:
    if engine.name == "pandas":
        pytest.skip("a pandas frame is in one piece")
    rows = table()
    expected = seen(engine, engine.frame(rows))
    for seed in range(100):
        frame = engine.frame(rows.sample(frac=1, random_state=seed)).repartition(1 + seed % 16)
        same(seen(engine, frame), expected)
