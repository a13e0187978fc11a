"""What awkward values do: a policy of the plan, the same on every engine, never an error."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from engines import Engine, exactly

import dpframe as dp


def table(engine: Engine, **columns: Any) -> Any:
    return engine.frame(pd.DataFrame(columns)).dp.protect()


def answers(engine: Engine, query: Any) -> list[Any]:
    return [value.item() if hasattr(value, "item") else value for value in engine.rows(exactly(query)).iloc[:, -1]]


def test_missing_measures_are_dropped_and_infinities_clamped(engine: Engine) -> None:
    private = table(engine, x=[1.0, np.nan, np.inf, -np.inf, -0.0, 5.0])
    assert answers(engine, private.sum("x", -1, 2)) == [1 + 2 - 1 + 0 + 2]
    assert answers(engine, private.mean("x", -1, 2)) == [pytest.approx(4 / 5)]
    assert answers(engine, private.count()) == [6]


def test_missing_integers(engine: Engine) -> None:
    private = table(engine, x=pd.array([1, None, 7, -3], dtype="Int64"))
    assert answers(engine, private.sum("x", 0, 5)) == [6]
    assert answers(engine, private.mean("x", 0, 5)) == [pytest.approx(2)]


def test_an_all_missing_measure(engine: Engine) -> None:
    private = table(engine, x=pd.array([None, None], dtype="Float64"))
    assert answers(engine, private.sum("x", 0, 1)) == [0]
    assert np.isnan(answers(engine, private.mean("x", 0, 1))).all()


def test_an_empty_table(engine: Engine) -> None:
    private = table(engine, x=[1.0], g=["a"]).filter("x > 2")
    query = private.groupby("g", keys=["a", "b"]).agg(n=dp.count(), x=dp.mean("x", 0, 1))
    assert list(engine.rows(exactly(query))["n"]) == [0, 0]
    bounded = engine.frame(pd.DataFrame({"x": [1.0], "g": ["a"]})).dp.protect(id="g").filter("x > 2").bound(rows=1)
    assert answers(engine, bounded.count()) == [0]


def test_null_is_one_group_key_and_minus_zero_is_zero(engine: Engine) -> None:
    private = table(engine, g=["a", None, None, "b"], x=[0.0, -0.0, 1.0, 2.0])
    grouped = private.groupby("g", keys=["b", None])
    assert answers(engine, grouped.count()) == [2, 1]
    assert answers(engine, private.filter("x = 0").count()) == [2]
    cut = private.assign(sign=dp.cut("x", [0, 1, 2], right=False)).groupby("sign").count()
    assert answers(engine, cut) == [2, 2]


def test_a_missing_number_is_in_no_interval_and_meets_no_condition(engine: Engine) -> None:
    private = table(engine, x=[np.nan, 1.0, 3.0])
    assert answers(engine, private.assign(b=dp.cut("x", [0, 2, 4])).groupby("b").count()) == [1, 1]
    assert answers(engine, private.filter("x > 0").count()) == [2]
    assert answers(engine, private.filter("not (x > 0)").count()) == [0]
    assert answers(engine, private.filter("x is null").count()) == [1]


@pytest.mark.parametrize(
    "expression",
    [
        "CAST('x' AS INT)",
        "CAST(word AS INT)",
        "1/0",
        "i / 0",
        "i % 0",
        "i div 0",
        "9223372036854775807 + i",
        "big * big",
        "-big - big - 1",
        "cast(1e300 as bigint)",
        "cast(x * 1e300 as int)",
        "date_add(date '9999-12-31', i)",
    ],
)
def test_what_fails_is_null_and_never_an_error(engine: Engine, expression: str) -> None:
    private = table(engine, i=[1, 2], big=[2**62, 2**62], x=[1e10, 2e10], word=["x", "١"])
    assert answers(engine, private.assign(y=expression).filter("y is null").count()) == [2]
    assert answers(engine, private.filter(f"({expression}) is not null").count()) == [0]


def test_rows_without_an_id_are_dropped(engine: Engine) -> None:
    frame = engine.frame(pd.DataFrame({"user": ["u", None, None, "v"], "x": [1, 2, 3, 4]}))
    assert answers(engine, frame.dp.protect(id="user").bound(rows=3).sum("x", 0, 10)) == [5]


@pytest.mark.parametrize("ids", [[1, 1, 2], ["a", "a", "b"], [True, True, False]])
def test_every_kind_of_id(engine: Engine, ids: list[Any]) -> None:
    frame = engine.frame(pd.DataFrame({"user": ids}))
    assert answers(engine, frame.dp.protect(id="user").bound(rows=1).count()) == [2]


def test_group_keys_of_every_kind(engine: Engine) -> None:
    days = [pd.Timestamp("2024-02-29").date(), pd.Timestamp("1970-01-01").date()]
    frame = pd.DataFrame({"i": [1, -(2**63)], "s": ["ä", ""], "p": [True, False]})
    frame["d"] = pd.array(days, dtype="date32[pyarrow]" if engine.name == "pandas" else "object")
    private = engine.frame(frame).dp.protect()
    for column, keys in {"i": [1, -(2**63), 5], "s": ["ä", "", "z"], "p": [True, False], "d": [*days, None]}.items():
        assert sum(answers(engine, private.groupby(column, keys=keys).count())) == 2


def test_missing_values_have_the_bin_that_nan_names(engine: Engine) -> None:
    private = table(engine, x=[np.nan, 1.0, 3.0, 9.0])
    assert answers(engine, private.assign(b=dp.cut("x", [0, 2, 4], nan="none")).groupby("b").count()) == [1, 1, 1]


def test_keys_in_any_one_column(engine: Engine) -> None:
    private = table(engine, g=["a", "b", "a"], i=[1, 2, 3])
    for listed in (pd.Series(["a", "b"]), np.array(["a", "b"]), pd.Index(["a", "b"]), pa.array(["a", "b"])):
        assert len(private.groupby("g", keys=listed).keys) == 2
    assert answers(engine, private.groupby("i", keys=np.arange(1, 3)).count()) == [1, 1]
