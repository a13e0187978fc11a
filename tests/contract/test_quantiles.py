"""Quantiles: exact answers against pandas, the same bits on every engine, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engines import Engine, exactly

import dpframe as dp

LEVELS = [None, "a", "b", "c", "none"]
PARTS = [0, 0.1, 0.25, 0.5, 0.9, 1]


def by_hand(values: pd.Series, low: float, high: float) -> list[float]:
    return values.astype(float).clip(low, high).quantile(PARTS).tolist()


@pytest.mark.parametrize(
    ("column", "low", "high"), [("income", 0, 10), ("income", -1e3, 1e5), ("age", 20, 70), ("age", -(2**61), 2**61 - 1)]
)
def test_exact_answers_are_those_of_pandas(
    engine: Engine, members: pd.DataFrame, column: str, low: float, high: float
) -> None:
    grouped = engine.frame(members).dp.protect().groupby("level", keys=LEVELS)
    answer = engine.rows(exactly(grouped.quantile(column, PARTS, low, high)))
    assert list(answer.columns) == ["level", *(f"{column}_quantile_{part}" for part in PARTS)]
    for level, *found in answer.itertuples(index=False):
        mine = members[members["level"].isna()] if not isinstance(level, str) else members[members["level"] == level]
        assert found == pytest.approx(by_hand(mine[column], low, high), nan_ok=True, abs=2 * (high - low) * 2.0**-43)


def test_names_and_direct_forms(engine: Engine) -> None:
    private = engine.frame(pd.DataFrame({"x": [0.0, 10.0, np.nan, np.inf], "n": [0, 10, 3, 4]})).dp.protect()
    query = private.agg(dp.median("n", 0, 10), dp.min("n", 0, 9), dp.max("n", 0, 9), dp.quantile("x", 0.5, 0, 20))
    answer = engine.rows(exactly(query))
    assert answer.iloc[0].to_dict() == {"n_median": 3.5, "n_min": 0, "n_max": 9, "x_quantile_0.5": 10}
    assert list(engine.rows(exactly(private.median("n", 0, 10))).columns) == ["n_median"]
    for form, name in [(private.min, "n_min"), (private.max, "n_max")]:
        assert list(engine.rows(exactly(form("n", 0, 10))).columns) == [name]
    named = private.agg(p=dp.quantile("n", [0.75, 0.25], 0, 10), rows=dp.count())
    assert list(engine.rows(exactly(named)).columns) == ["p_0.25", "p_0.75", "rows"]
    only = engine.frame(pd.DataFrame({"n": [0, 10]})).dp.protect(bounds={"n": (0, 10)})
    assert engine.rows(exactly(only.median("n")))["n_median"].tolist() == [5]


@pytest.mark.parametrize("cost", [{"epsilon": 3}, {"rho": 0.5}])
@pytest.mark.parametrize("bounded", [False, True])
def test_one_release_key_gives_the_same_bits_on_every_engine(
    engine: Engine, members: pd.DataFrame, fixed_key: bytes, cost: dict[str, float], bounded: bool
) -> None:
    def ask(frame: Any) -> Any:
        private = frame.dp.protect(id="user").bound(groups=2, rows_per_group=4) if bounded else frame.dp.protect()
        query = private.groupby("level", keys=LEVELS).agg(
            p=dp.quantile("income", PARTS[1:-1], -5, 10),
            old=dp.max("age", 0, 120),
            half=dp.median("age", 0, 120),
            n=dp.count(),
            kinds=dp.count_distinct("income", "user"),
            total=dp.sum("age", 0, 120),
        )
        return query.release(budget=dp.Budget(rho=9), ci=0.9, **cost)

    there = ask(members.astype({"age": "Int64"}))
    native = engine.frame(members) if engine.name == "pandas" else engine.frame(members).repartition(3)
    found = engine.rows(ask(native))
    pd.testing.assert_frame_equal(found, there, check_dtype=False, check_exact=True)
    assert (found[[f"p_{part}" for part in PARTS[1:-1]]].diff(axis=1).iloc[:, 1:] >= 0).all(axis=None)
    assert found["half"].between(0, 120).all() and "half_low" not in found and "total_low" in found


def test_groups_without_rows_and_at_least(engine: Engine, fixed_key: bytes) -> None:
    frame = pd.DataFrame({"g": ["a"] * 60 + ["b"] * 2, "x": range(62)})
    query = (
        engine.frame(frame).dp.protect().groupby("g", keys=["a", "b", "z"]).agg(n=dp.count(), m=dp.median("x", 0, 100))
    )
    exact = engine.rows(exactly(query))
    assert exact["m"].tolist()[:2] == [29.5, 60.5] and math.isnan(exact["m"].iloc[2])
    budget = dp.Budget(epsilon=200)
    every = engine.rows(query.release(epsilon=100, budget=budget))
    assert every["m"].between(0, 100).all() and every["m"].iloc[0] in (29, 30) and budget.remaining == 100
    few = engine.rows(query.release(epsilon=100, budget=budget, at_least={"n": 40}))
    assert few["g"].tolist() == ["a"] and few["m"].iloc[0] in (29, 30)


def test_quantiles_in_a_batch(engine: Engine) -> None:
    private = engine.frame(pd.DataFrame({"g": ["a", "b"] * 500, "n": list(range(1000))})).dp.protect()
    with dp.Budget(epsilon=300, delta=1e-6) as budget:
        with dp.batch(epsilon=300, delta=1e-6):
            asked = [
                private.groupby("g", keys=["a", "b"])
                .agg(n=dp.count(), p=dp.quantile("n", [0.1, 0.5], 0, 999))
                .release(),
                private.agg(dp.min("n", 0, 999)).release(),
            ]
        assert budget.spent == 300
    first, second = (engine.rows(each.value) for each in asked)
    assert first["p_0.1"].between(90, 110).all() and first["p_0.5"].between(490, 510).all()
    assert second["n_min"].between(0, 20).all()


def test_what_is_no_quantile_is_refused(engine: Engine) -> None:
    private = engine.frame(pd.DataFrame({"x": [1.0], "n": [1], "s": ["a"]})).dp.protect()
    for q in (-0.1, 1.5, "0.5", None, True, math.nan, math.inf, [0.5, "x"]):
        with pytest.raises(dp.errors.PlanError, match="from 0 to 1"):
            private.quantile("x", q, 0, 1)
    for q in ([], [0.5, 0.5], [i / 2000 for i in range(1500)]):
        with pytest.raises(dp.errors.PlanError, match="distinct quantiles"):
            private.quantile("x", q, 0, 1)
    with pytest.raises(dp.errors.ColumnTypeError, match="quantile"):
        private.median("s", 0, 1)
    with pytest.raises(dp.errors.BoundsError):
        private.median("n", -(2**63), 2**63 - 1)
    with pytest.raises(dp.errors.PlanError, match="cannot decide"):
        private.agg(m=dp.median("x", 0, 1)).release(epsilon=1, budget=dp.Budget(epsilon=1), at_least=3)
    by_id = engine.frame(pd.DataFrame({"x": [1.0], "s": ["a"]})).dp.protect(id="s")
    with pytest.raises(dp.errors.MissingBoundError):
        by_id.median("x", 0, 1).release(epsilon=1, budget=dp.Budget(epsilon=1))


EDGES = [
    0.0,
    -0.0,
    5e-324,
    2.0**-65,
    2.0**-64,
    0.49999999999999994,
    0.5,
    1.0,
    1.5,
    2.0,
    7.999999999999999,
    8.0,
    2.0**62,
]
EDGES += [2.0**63, 1e300, math.inf, math.nextafter(2.0**40, 0), 2.0**40, 3e-7, 1e-15, 1e17]


def test_bounds_are_powers_of_two_around_the_rows(engine: Engine, fixed_key: bytes) -> None:
    values = sorted({sign * value for value in EDGES for sign in (-1, 1)})
    keys = list(range(len(values)))
    grouped = engine.frame(pd.DataFrame({"g": keys, "x": values})).dp.protect().groupby("g", keys=keys)
    exact = engine.rows(exactly(grouped.bounds("x")))
    assert list(exact.columns) == ["g", "x_low", "x_high"]
    for value, low, high in zip(values, exact["x_low"], exact["x_high"], strict=True):
        size = abs(value)
        if math.isinf(value):
            assert math.isnan(low) and math.isnan(high)  # none of them counts
            continue
        if size < 2.0**-64:
            assert (low, high) == (0, 2.0**-64)
            continue
        near, far = sorted((abs(low), abs(high)))
        assert far == 2 * near and (low > 0) == (value > 0)
        # The edge that counts holds the value, but for what is beyond the ends.
        assert near <= size < far or (size >= 2.0**63 and far == 2.0**64)
    draw = np.random.default_rng(3)
    frame = pd.DataFrame({"age": draw.integers(18, 91, 4000), "loss": draw.normal(-40, 5, 4000)})
    query = engine.frame(frame).dp.protect().agg(dp.bounds("age"), b=dp.bounds("loss"))
    found = engine.rows(query.release(epsilon=2, budget=dp.Budget(epsilon=2)))
    assert found.iloc[0].tolist() == [16, 128, -64, -16]
    with pytest.raises(dp.errors.ColumnTypeError, match="bounds"):
        engine.frame(pd.DataFrame({"s": ["a"]})).dp.protect().bounds("s")
