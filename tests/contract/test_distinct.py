"""Numbers of distinct values: exact answers against sets, on every engine."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engines import Engine, exactly

import dpframe as dp

LEVELS = [None, "a", "b", "c", "none"]


def only(value: Any) -> Any:
    """One value for every missing one."""
    return None if value is None or (isinstance(value, float) and math.isnan(value)) else value


@pytest.mark.parametrize("columns", [("user",), ("age",), ("income",), ("user", "income"), ("level", "age"), ()])
def test_exact_answers_are_the_sizes_of_sets(engine: Engine, members: pd.DataFrame, columns: tuple[str, ...]) -> None:
    query = engine.frame(members).dp.protect().groupby("level", keys=LEVELS).agg(dp.count_distinct(*columns))
    answer = engine.rows(exactly(query))
    assert list(answer.columns) == ["level", "count_distinct"]
    for level, found in answer.itertuples(index=False):
        mine = members[members["level"].isna()] if not isinstance(level, str) else members[members["level"] == level]
        listed = list(columns) or list(members.columns)
        assert found == len({tuple(map(only, row)) for row in mine[listed].itertuples(index=False)})


def test_missing_is_one_value_and_minus_zero_is_zero(engine: Engine) -> None:
    frame = engine.frame(pd.DataFrame({"x": [0.0, -0.0, np.nan, np.nan, np.inf], "s": [None, "", "", "ä", "ä"]}))
    query = frame.dp.protect().agg(x=dp.count_distinct("x"), s=dp.count_distinct("s"), both=dp.count_distinct("s", "x"))
    assert engine.rows(exactly(query)).iloc[0].tolist() == [3, 3, 5]


def test_every_kind_of_value(engine: Engine) -> None:
    days = [pd.Timestamp("2024-02-29").date(), pd.Timestamp("1970-01-01").date(), pd.Timestamp("1970-01-01").date()]
    frame = pd.DataFrame({"i": [-(2**63), 2**63 - 1, 0], "p": [True, True, True]})
    frame["t"] = pd.to_datetime(
        ["2024-02-29 10:00:00.000001", "2024-02-29 10:00:00.000002", "2024-02-29 10:00:00.000000"]
    )
    frame["d"] = pd.array(days, dtype="date32[pyarrow]" if engine.name == "pandas" else "object")
    private = engine.frame(frame).dp.protect()
    query = private.agg(**{name: dp.count_distinct(name) for name in "iptd"})
    assert engine.rows(exactly(query)).iloc[0].tolist() == [3, 1, 3, 2]


def test_values_that_tasks_and_units_share_count_once(engine: Engine) -> None:
    frame = pd.DataFrame({"user": [f"u{at}" for at in range(400)], "x": [at % 7 for at in range(400)]})
    native = engine.frame(frame) if engine.name == "pandas" else engine.frame(frame).repartition(5)
    bounded = native.dp.protect(id="user").bound(rows=2)
    query = bounded.agg(n=dp.count(), x=dp.count_distinct("x"), users=dp.count_distinct("user"), s=dp.sum("x", 0, 9))
    assert engine.rows(exactly(query)).iloc[0].tolist() == [400, 7, 400, int(frame["x"].sum())]


def test_the_id_alone_needs_no_bound(engine: Engine) -> None:
    frame = pd.DataFrame({"user": ["u", "u", "v", None, "w", "u"], "g": ["a", "a", "a", "a", "b", "b"]})
    native = engine.frame(frame) if engine.name == "pandas" else engine.frame(frame).repartition(4)
    private = native.dp.protect(id="user")
    assert engine.rows(exactly(private.agg(dp.count_distinct("user")))).iloc[0].tolist() == [3]
    grouped = private.groupby("g", keys=["a", "b", "c"]).agg(dp.count_distinct("user"))
    assert engine.rows(exactly(grouped))["count_distinct"].tolist() == [2, 2, 0]
    with pytest.raises(dp.errors.MissingBoundError):
        private.agg(dp.count_distinct("g")).release(epsilon=1, budget=dp.Budget(epsilon=1))


def test_one_release_key_gives_the_same_bits_on_every_engine(
    engine: Engine, members: pd.DataFrame, fixed_key: bytes
) -> None:
    def ask(frame: Any) -> Any:
        grouped = frame.dp.protect(id="user").bound(groups=2, rows_per_group=3).groupby("level", keys=LEVELS)
        query = grouped.agg(x=dp.count_distinct("income"), n=dp.count(), ages=dp.count_distinct("age", "user"))
        return query.release(budget=dp.Budget(rho=9), ci=0.9, rho=0.5)

    there = ask(members.astype({"age": "Int64"}))
    pd.testing.assert_frame_equal(engine.rows(ask(engine.frame(members))), there, check_dtype=False, check_exact=True)


def test_what_cannot_be_counted_is_refused(engine: Engine) -> None:
    private = engine.frame(pd.DataFrame({"x": [1], "b": [b"bytes"]})).dp.protect()
    with pytest.raises(dp.errors.PlanError, match="one by one"):
        private.agg(dp.count_distinct(["x"]))  # type: ignore[arg-type]
    with pytest.raises(dp.errors.UnknownColumnError):
        private.agg(dp.count_distinct("y"))
    if engine.name != "pandas":  # an object column of pandas is text
        with pytest.raises(dp.errors.ColumnTypeError, match="cannot be compared"):
            private.agg(dp.count_distinct())
