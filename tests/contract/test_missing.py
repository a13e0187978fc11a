"""drop_null, fill_null, drop_inf, fill_inf: what they do to every awkward value, the same on every engine."""

from __future__ import annotations

import datetime
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engines import Engine, exactly

import dpframe as dp

SCHEMA = "user string, x double, y double, n bigint, s string, p boolean, d date"
DAY = datetime.date(2024, 2, 29)
ROWS = [
    ("u", 1.5, math.nan, 3, "a", True, DAY),
    ("u", math.nan, -0.0, None, None, None, None),
    (None, math.inf, 2.0, -(2**63), "", False, datetime.date(1, 1, 1)),
    ("v", -math.inf, math.nan, 2**63 - 1, "b", True, None),
    ("v", 5e-324, 1.7976931348623157e308, 0, None, None, DAY),
    (None, None, -math.inf, None, "a", False, datetime.date(9999, 12, 31)),
]


@pytest.fixture
def frame(engine: Engine) -> Any:
    if engine.name != "pandas":
        return engine.frame(ROWS, SCHEMA)
    kinds = {"user": "object", "x": "Float64", "y": "float64", "n": "Int64", "s": "object", "p": "boolean"}
    kinds["d"] = "date32[pyarrow]"
    columns = dict(zip(kinds, map(list, zip(*ROWS, strict=True)), strict=True))
    return pd.DataFrame({name: pd.array(values, dtype=kinds[name]) for name, values in columns.items()})


def numbers(engine: Engine, query: Any) -> list[Any]:
    return [value.item() if hasattr(value, "item") else value for value in engine.rows(exactly(query)).iloc[0]]


def missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


@pytest.mark.parametrize("names", [("x",), ("y",), ("n",), ("s", "p"), ("d", "user"), ("x", "y", "n"), ()])
def test_drop_null_keeps_the_rows_with_a_value(engine: Engine, frame: Any, names: tuple[str, ...]) -> None:
    at = [["user", "x", "y", "n", "s", "p", "d"].index(name) for name in names or ["user", *"xynspd"]]
    left = [row for row in ROWS if not any(missing(row[i]) for i in at)]
    assert numbers(engine, frame.dp.protect().drop_null(*names).count()) == [len(left)]


def test_what_is_dropped_or_filled_is_missing_no_more(frame: Any) -> None:
    private = frame.dp.protect()
    for step in (private.drop_null("x", "s"), private.fill_null(x=0, s="")):
        assert not step.plan.schema["x"].nullable and not step.plan.schema["s"].nullable
        assert step.plan.schema["n"].nullable
        # The mean's count is then the very one of the rows.
        assert len(step.agg(n=dp.count(), x=dp.mean("x", 0, 1)).question.answers[1][2].statistics) == 2
        statistics = step.agg(n=dp.count(), x=dp.mean("x", 0, 1)).question.answers
        assert statistics[0][2].statistics[0] == statistics[1][2].statistics[1]


def test_fill_null_fills_null_and_nan(engine: Engine, frame: Any) -> None:
    private = frame.dp.protect().fill_null(x=7, n=np.int8(5), s="it's $x ${y}", p=True, d=DAY)
    assert numbers(engine, private.filter("x is null or n is null or s is null or p is null or d is null").count()) == [
        0
    ]
    assert numbers(engine, private.filter("x = 7").count()) == [2]
    assert numbers(engine, private.filter("n = 5").count()) == [2]
    assert numbers(engine, private.groupby("s", keys=["it's $x ${y}"]).count())[1] == 2
    assert numbers(engine, private.filter("p").count()) == [4]
    assert numbers(engine, private.filter("d = '2024-02-29'").count()) == [4]
    assert numbers(engine, private.filter("y is null").count()) == [2]


def test_fill_null_of_everything(engine: Engine, frame: Any) -> None:
    private = frame.dp.protect(id="user").fill_null().bound(rows=9)
    found = numbers(
        engine,
        private.agg(n=dp.count(), x=dp.sum("x", -1, 1), i=dp.sum("n", -9, 9)),
    )
    # Rows without an id are dropped, and no value stands in for one: the id stays the unit.
    assert found == [4, 1 + 0 - 1 + 0, 3 + 0 + 9 + 0]
    assert numbers(engine, private.filter("s = ''").count()) == [2]
    assert numbers(engine, private.filter("d = '1970-01-01'").count()) == [2]
    assert private.plan.schema["user"].nullable


def test_a_filled_id_stays_the_unit_that_it_was(engine: Engine, frame: Any) -> None:
    private = frame.dp.protect(id="user").fill_null(user="nobody").bound(rows=1)
    assert numbers(engine, private.count()) == [2]
    assert numbers(engine, private.groupby("user", keys=["nobody"]).count())[1] == 0


def test_infinities_are_dropped_or_filled(engine: Engine, frame: Any) -> None:
    private = frame.dp.protect()
    for names, left in ((("x",), 4), (("y",), 5), ((), 3), (("x", "y", "n"), 3)):
        assert numbers(engine, private.drop_inf(*names).count()) == [left]
    filled = private.fill_inf(x=(-3, 4), n=(0, 1))
    assert numbers(engine, filled.sum("x", -100, 100)) == [1.5 + 4 - 3]
    assert numbers(engine, filled.filter("x is null").count()) == [2]
    assert numbers(engine, filled.filter("n = 9223372036854775807").count()) == [1]
    assert numbers(engine, frame.dp.protect(bounds={"y": (-1, 1)}).fill_inf().filter("y = -1").count()) == [1]


def test_a_declaration_stays_where_the_new_value_fits_it() -> None:
    table = pd.DataFrame({"x": [1.0], "s": ["a"], "i": [1]})
    private = table.dp.protect(bounds={"x": (1, 5), "i": (1, 5)}, keys={"s": ["a", "b", None]})
    for step, bounds in (
        (private.fill_null(x=1), (1, 5)),
        (private.fill_null(x=0), None),
        (private.fill_inf(x=(1, 5)), (1, 5)),
        (private.fill_inf(x=(1, 6)), None),
        (private.drop_null().drop_inf(), (1, 5)),
        (private.assign(x="x + 0"), None),
    ):
        assert step.plan.schema["x"].bounds == bounds
    # What cannot be missing in pandas may be on Spark: the rule looks at the type alone.
    assert private.fill_null(i=0).plan.schema["i"].bounds is None
    assert private.fill_null(s="b").plan.schema["s"].keys == ("a", "b")
    assert private.fill_null(s="c").plan.schema["s"].keys is None


def test_steps_that_nothing_rests_on_are_not_run(engine: Engine, frame: Any) -> None:
    from dpframe.privacy import analyse, calibrate
    from dpframe.release import request

    private = frame.dp.protect().fill_null().assign(z="n + 1", w="z * 2", v="x").filter("w > 3")
    question = private.sum("v", 0, 1).question
    asked = request(question, calibrate(analyse(question), None), bytes(32))
    assert [step.name for step in asked.steps[:-1]] == ["x", "n", "z", "w", "v"]
    assert set(asked.sources) == {"c1", "c3"}
    assert numbers(engine, private.sum("v", 0, 1)) == [1]


def test_odd_names(engine: Engine) -> None:
    frame = engine.frame(pd.DataFrame({"a `b`.c": [1.0, None], "": [None, "x"]}))
    private = frame.dp.protect()
    assert numbers(engine, private.drop_null("a `b`.c").count()) == [1]
    assert numbers(engine, private.fill_null(**{"a `b`.c": 3, "": "y"}).sum("a `b`.c", 0, 9)) == [4]
    assert "`a ``b``.c` is not null" in repr(private.drop_null("a `b`.c"))
