"""Bad input is refused by a typed error that names the fix, before data is read and before anything is charged."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engines import Engine

import dpframe as dp
from dpframe import errors


@pytest.fixture(scope="module")
def frame(engine: Engine) -> Any:
    return engine.frame(
        pd.DataFrame(
            {"user": ["u", "v"], "level": ["a", "b"], "x": [1.5, 2.5], "i": [1, 2], "when": pd.Timestamp("2024-01-01")}
        )
    )


LEVELS = pd.DataFrame({"level": ["a"], "land": ["CH"]})
SAME = pd.DataFrame({"i": [1], "x": [2.0]})

STEPS: list[tuple[str, Callable[[Any], Any], type[errors.DPFrameError], str]] = [
    ("unknown column", lambda p: p.filter("lvel = 'a'"), errors.UnknownColumnError, "Did you mean 'level'"),
    ("unknown in assign", lambda p: p.assign(y="z + 1"), errors.UnknownColumnError, "columns are: user, level"),
    ("unknown in select", lambda p: p.select("nope"), errors.UnknownColumnError, "nope"),
    ("unknown in rename", lambda p: p.rename({"nope": "x"}), errors.UnknownColumnError, "nope"),
    ("unknown in groupby", lambda p: p.groupby("nope", keys=["a"]), errors.UnknownColumnError, "nope"),
    ("unknown in mean", lambda p: p.mean("nope", 0, 1), errors.UnknownColumnError, "nope"),
    ("rename onto another", lambda p: p.rename({"x": "i"}), errors.PlanError, "'i'"),
    ("rename to nothing", lambda p: p.rename({"x": None}), errors.PlanError, "None"),
    ("aggregate in filter", lambda p: p.filter("sum(x) > 3"), errors.ExpressionError, r"\.agg"),
    ("rand", lambda p: p.assign(y="rand()"), errors.ExpressionError, "rand"),
    ("sub-query", lambda p: p.filter("x in (select 1)"), errors.ExpressionError, "list of values"),
    ("scalar sub-query", lambda p: p.filter("x > (select 1)"), errors.ExpressionError, "sub-query"),
    ("window", lambda p: p.assign(y="row_number() over (order by x)"), errors.ExpressionError, "window"),
    ("no condition", lambda p: p.filter("x + 1"), errors.ExpressionError, "boolean|condition"),
    ("syntax", lambda p: p.filter("x >"), errors.ExpressionError, "x >"),
    ("type in expression", lambda p: p.filter("level > 3"), errors.PlanError, "mixes"),
    ("assign an object", lambda p: p.assign(y=3), errors.PlanError, "SQL text"),
    ("mean of text", lambda p: p.mean("level", 0, 1), errors.ColumnTypeError, "only numbers"),
    ("sum of a timestamp", lambda p: p.sum("when", 0, 1), errors.ColumnTypeError, "timestamp"),
    ("low = high", lambda p: p.mean("x", 1, 1), errors.BoundsError, "low must be less"),
    ("low > high", lambda p: p.sum("x", 2, 1), errors.BoundsError, "low must be less"),
    ("no bounds, no keys", lambda p: p.groupby("level").mean("x"), errors.BoundsError, "low and high"),
    ("half the bounds", lambda p: p.mean("x", 0), errors.BoundsError, "clipping bounds"),
    ("NaN bound", lambda p: p.mean("x", 0, math.nan), errors.BoundsError, "finite"),
    ("infinite bound", lambda p: p.mean("x", -math.inf, 1), errors.BoundsError, "finite"),
    ("boolean bound", lambda p: p.mean("x", False, True), errors.BoundsError, "number"),
    ("text bound", lambda p: p.mean("x", "0", "1"), errors.BoundsError, "number"),
    ("overflowing bounds", lambda p: p.sum("i", 0, 2**60), errors.BoundsError, "overflow"),
    ("no integer between", lambda p: p.sum("i", 0.2, 0.8), errors.BoundsError, "widen"),
    ("float keys", lambda p: p.groupby("x", keys=[1.5]), errors.KeysError, r"dp\.cut"),
    ("float column as key", lambda p: p.groupby("x", keys=[1]), errors.ColumnTypeError, r"dp\.cut"),
    ("duplicate keys", lambda p: p.groupby("level", keys=["a", "a"]), errors.KeysError, "twice"),
    ("keys of the wrong type", lambda p: p.groupby("level", keys=[1]), errors.ColumnTypeError, "column's type"),
    ("no keys", lambda p: p.groupby("level").count().release(epsilon=1), errors.KeysError, "no public keys"),
    ("empty keys", lambda p: p.groupby("level", keys=[]), errors.KeysError, "at least one"),
    ("keys of another column", lambda p: p.groupby("level", keys={"i": [1]}), errors.KeysError, "exactly"),
    ("text as keys", lambda p: p.groupby("level", keys="a"), errors.KeysError, "mapping"),
    ("grouped twice", lambda p: p.groupby("i", "i", keys=[1]), errors.PlanError, "twice"),
    ("no group", lambda p: p.groupby(), errors.PlanError, "at least one"),
    ("timestamp key", lambda p: p.groupby("when", keys=[None]), errors.ColumnTypeError, "timestamp"),
    ("no aggregate", lambda p: p.agg(), errors.PlanError, r"dp\.count"),
    ("text as aggregate", lambda p: p.agg(n="count"), errors.PlanError, r"dp\.count"),
    ("answer named twice", lambda p: p.agg(dp.count(), count=dp.count()), errors.PlanError, "'count'"),
    ("bound without id", lambda p: p.bound(rows=1), errors.PlanError, r"protect\(id"),
    ("one edge", lambda p: p.assign(b=dp.cut("x", [1])), errors.PlanError, "two edges"),
    ("falling edges", lambda p: p.assign(b=dp.cut("x", [2, 1])), errors.PlanError, "increas"),
    ("edges as a number", lambda p: p.assign(b=dp.cut("i", 3)), errors.PlanError, "two edges"),
    ("edges as text", lambda p: p.assign(b=dp.cut("i", "0123")), errors.PlanError, "two edges"),
    ("labels as text", lambda p: p.assign(b=dp.cut("i", [0, 1, 2], labels="ab")), errors.PlanError, "list of texts"),
    ("labels as a number", lambda p: p.assign(b=dp.cut("i", [0, 1], labels=3)), errors.PlanError, "list of texts"),
    ("a bin for NaN", lambda p: p.assign(b=dp.cut("i", [0, 1], nan=math.nan)), errors.PlanError, "name of a bin"),
    ("cut of times", lambda p: p.assign(b=dp.cut("when", [1, 2])), errors.ColumnTypeError, "unix_seconds"),
    ("cut at no time", lambda p: p.assign(b=dp.cut("when", ["noon", "2024"])), errors.ExpressionError, "timestamp"),
    ("cut of text", lambda p: p.assign(b=dp.cut("level", [1, 2])), errors.PlanError, "level"),
    ("too few labels", lambda p: p.assign(b=dp.cut("x", [1, 2, 3], labels=["a"])), errors.PlanError, "label"),
    ("unknown in drop_null", lambda p: p.drop_null("nope"), errors.UnknownColumnError, "nope"),
    ("a list in drop_null", lambda p: p.drop_null(["x"]), errors.PlanError, "one by one"),
    ("unknown in fill_null", lambda p: p.fill_null(nope=1), errors.UnknownColumnError, "nope"),
    ("fill a float", lambda p: p.fill_null(x="0"), errors.ColumnTypeError, "finite number"),
    ("fill a float with NaN", lambda p: p.fill_null(x=math.nan), errors.ColumnTypeError, "finite number"),
    ("fill a float with inf", lambda p: p.fill_null(x=math.inf), errors.ColumnTypeError, "finite number"),
    ("fill a float with 1e400", lambda p: p.fill_null(x=10**400), errors.ColumnTypeError, "finite number"),
    ("fill a float with sNaN", lambda p: p.fill_null(x=Decimal("sNaN")), errors.ColumnTypeError, "finite number"),
    ("fill an integer", lambda p: p.fill_null(i=0.5), errors.ColumnTypeError, "64-bit integer"),
    ("fill an integer with 2^63", lambda p: p.fill_null(i=2**63), errors.ColumnTypeError, "64-bit integer"),
    ("fill an integer with True", lambda p: p.fill_null(i=True), errors.ColumnTypeError, "64-bit integer"),
    ("fill text with a number", lambda p: p.fill_null(level=0), errors.ColumnTypeError, "give text"),
    ("fill with None", lambda p: p.fill_null(level=None), errors.ColumnTypeError, "give text"),
    ("fill with a type", lambda p: p.fill_null(level=str), errors.ColumnTypeError, "give text"),
    ("fill with an array", lambda p: p.fill_null(i=np.array([1, 2])), errors.ColumnTypeError, "64-bit integer"),
    ("fill with NUL", lambda p: p.fill_null(level="\0"), errors.ExpressionError, "NUL"),
    ("fill with half a character", lambda p: p.fill_null(level="\ud800"), errors.ExpressionError, "surrogate"),
    ("fill a timestamp", lambda p: p.fill_null(when="2024-01-01"), errors.ColumnTypeError, "timestamp"),
    ("drop_inf of text", lambda p: p.drop_inf("level"), errors.ColumnTypeError, "only numbers"),
    ("fill_inf of text", lambda p: p.fill_inf(level=(0, 1)), errors.ColumnTypeError, "only numbers"),
    ("fill_inf reversed", lambda p: p.fill_inf(x=(1, 0)), errors.BoundsError, "in order"),
    ("fill_inf with one", lambda p: p.fill_inf(x=1), errors.BoundsError, "two finite numbers"),
    ("fill_inf with inf", lambda p: p.fill_inf(x=(0, math.inf)), errors.BoundsError, "two finite numbers"),
    ("join with no table", lambda p: p.join_public([1]), errors.FrameError, "public table"),
    ("join with a released name", lambda p: p.join_public("level"), errors.FrameError, "public table"),
    ("join with no rows", lambda p: p.join_public(LEVELS.iloc[:0]), errors.PlanError, "no rows"),
    ("join on nothing", lambda p: p.join_public(pd.DataFrame({"z": [1]})), errors.PlanError, "join on"),
    ("join on unknown", lambda p: p.join_public(LEVELS, on="nope"), errors.UnknownColumnError, "nope"),
    ("join on theirs", lambda p: p.join_public(LEVELS, on="land"), errors.UnknownColumnError, "land"),
    ("join on twice", lambda p: p.join_public(LEVELS, on=["level", "level"]), errors.PlanError, "once each"),
    ("join on a number", lambda p: p.join_public(LEVELS, on=3), errors.PlanError, "text"),
    ("join outer", lambda p: p.join_public(LEVELS, how="outer"), errors.PlanError, "inner"),
    ("join on floats", lambda p: p.join_public(pd.DataFrame({"x": [1.5]})), errors.ColumnTypeError, "join needs"),
    ("join of types", lambda p: p.join_public(pd.DataFrame({"i": ["1"]})), errors.ColumnTypeError, "both sides"),
    ("join to one name", lambda p: p.assign(x_left="1").join_public(SAME, "i"), errors.PlanError, "x_left"),
    ("join with names twice", lambda p: p.join_public(pd.concat([LEVELS, LEVELS], axis=1)), errors.PlanError, "level"),
    ("join with a public table", lambda p: p.join(LEVELS, unique=True), errors.FrameError, "join_public"),
    ("map with text", lambda p: p.map("x + 1", {"x": int}), errors.PlanError, "Python function"),
    ("map without columns", lambda p: p.map(dict, {}), errors.PlanError, "schema="),
    ("map to a list", lambda p: p.map(dict, ["x"]), errors.PlanError, "schema="),
    ("map to a column 3", lambda p: p.map(dict, {3: int}), errors.PlanError, "called by text"),
    ("map to lists", lambda p: p.map(dict, {"x": list}), errors.ColumnTypeError, "datetime.date"),
    ("map to times of day", lambda p: p.map(dict, {"x": "time"}), errors.ColumnTypeError, "datetime.date"),
    ("map with a wrong default", lambda p: p.map(dict, {"x": (int, 0.5)}), errors.ColumnTypeError, "64-bit integer"),
    ("map to three", lambda p: p.map(dict, {"x": (int, 0, 0)}), errors.ColumnTypeError, "such a type"),
    ("flat_map of none", lambda p: p.flat_map(list, {"x": int}, 0), errors.PlanError, "at least 1"),
    ("flat_map of half", lambda p: p.flat_map(list, {"x": int}, 1.5), errors.PlanError, "whole number"),
    ("flat_map_by_id of rows", lambda p: p.flat_map_by_id(list, {"x": int}), errors.PlanError, r"protect\(id"),
    ("partition by unknown", lambda p: p.partition("nope", ["a"]), errors.UnknownColumnError, "nope"),
    ("partition by a float", lambda p: p.partition("x", [1]), errors.ColumnTypeError, "partition by"),
    ("partition without values", lambda p: p.partition("level"), errors.KeysError, "no public values"),
    ("fill_inf of nothing", lambda p: p.fill_inf(), errors.PlanError, "no column has bounds"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "says"), [step[1:] for step in STEPS], ids=[step[0] for step in STEPS])
def test_a_bad_step_is_refused(frame: Any, make: Callable[[Any], Any], kind: type[Exception], says: str) -> None:
    with dp.Budget(epsilon=1) as budget:
        with pytest.raises(kind, match=says):
            make(frame.dp.protect())
        assert budget.spent == 0


BOUNDS: list[tuple[dict[str, Any], str]] = [
    ({}, "two forms|one of"),
    ({"groups": 1}, "both"),
    ({"rows_per_group": 1}, "both"),
    ({"groups": 1, "rows_per_group": 1, "rows": 1}, "one of"),
    ({"rows": 0}, "at least 1"),
    ({"rows": 1.5}, "whole number"),
    ({"rows": True}, "whole number"),
    ({"rows": 1, "by": "level"}, "by="),
    ({"groups": -1, "rows_per_group": 1}, "at least 1"),
    ({"groups": 1, "rows_per_group": 1, "by": "x"}, "grouped by"),
    ({"groups": 1, "rows_per_group": 1, "by": "nope"}, "nope"),
]


@pytest.mark.parametrize(("bounds", "says"), BOUNDS)
def test_a_bad_bound_is_refused(frame: Any, bounds: dict[str, Any], says: str) -> None:
    with pytest.raises(errors.PlanError, match=says):
        frame.dp.protect(id="user").bound(**bounds)


PROTECT: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"id": "nope"}, errors.UnknownColumnError, "nope"),
    ({"id": "x"}, errors.ColumnTypeError, "cannot be an id"),
    ({"id": "when"}, errors.ColumnTypeError, "cannot be an id"),
    ({"id": "user", "rows": 2}, errors.PlanError, "one of them"),
    ({"rows": 0}, errors.PlanError, "at least 1"),
    ({"groups": 2}, errors.PlanError, "go together"),
    ({"grouping": "level"}, errors.PlanError, "go together"),
    ({"groups": 0, "grouping": "level"}, errors.PlanError, "at least 1"),
    ({"groups": True, "grouping": "level"}, errors.PlanError, "whole number"),
    ({"groups": 2, "rows": 1.5, "grouping": "level"}, errors.PlanError, "whole number"),
    ({"groups": 2, "grouping": "nope"}, errors.UnknownColumnError, "nope"),
    ({"groups": 2, "grouping": "x"}, errors.ColumnTypeError, "grouped by"),
    ({"groups": 2, "grouping": "when"}, errors.ColumnTypeError, "grouped by"),
    ({"space": "readers"}, errors.PlanError, "with id="),
    ({"id": "user", "space": 3}, errors.PlanError, "text"),
    ({"groups": 2, "grouping": "level", "id": "user"}, errors.PlanError, "one of them"),
    ({"bounds": {"x": (1, 0)}}, errors.BoundsError, "less"),
    ({"bounds": {"x": 3}}, errors.PlanError, "pair"),
    ({"bounds": {"nope": (0, 1)}}, errors.UnknownColumnError, "nope"),
    ({"keys": {"level": ["a", "a"]}}, errors.KeysError, "twice"),
    ({"keys": {"level": [1]}}, errors.ColumnTypeError, "column's type"),
    ({"keys": {"x": [1.0]}}, errors.KeysError, "float"),
]


@pytest.mark.parametrize(("options", "kind", "says"), PROTECT)
def test_a_bad_protect_is_refused(frame: Any, options: dict[str, Any], kind: type[Exception], says: str) -> None:
    with pytest.raises(kind, match=says):
        frame.dp.protect(**options)


COSTS = [{"epsilon": bad} for bad in (math.nan, math.inf, -1, 0, True, "much", None, np.float64("nan"), 1j)]


@pytest.mark.parametrize("cost", [*COSTS, {}, {"epsilon": 1, "rho": 1}, {"rho": -1}, {"rho": 1}])
def test_a_bad_cost_is_refused(frame: Any, cost: dict[str, Any]) -> None:
    with dp.Budget(epsilon=10) as budget:
        with pytest.raises(errors.InvalidCostError):
            frame.dp.protect().count().release(**cost)
        assert budget.spent == 0


def test_refusals_at_the_release_charge_nothing(frame: Any) -> None:
    with dp.Budget(epsilon=1) as budget:
        by_user = frame.dp.protect(id="user").groupby("level", keys=["a"]).count()
        with pytest.raises(errors.MissingBoundError, match=r"\.bound\(groups=10, rows_per_group=1\)"):
            by_user.release(epsilon=0.1)
        with pytest.raises(errors.BudgetExceededError, match=r"epsilon=1\.5, but 1 of 1 is left"):
            frame.dp.protect().count().release(epsilon=1.5)
        for ci in (0, 1, 95, True, "0.9", math.nan):
            with pytest.raises(errors.PlanError, match=r"0\.95"):
                frame.dp.protect().count().release(epsilon=0.1, ci=ci)
        with pytest.raises(errors.PlanError, match="n_low"):
            frame.dp.protect().agg(n=dp.count(), n_low=dp.count()).release(epsilon=0.1, ci=0.9)
        with pytest.raises(errors.MechanismError, match="64 bits"):
            frame.dp.protect().sum("x", 0, 1).release(epsilon="1e-40")
        assert budget.spent == 0
    with pytest.raises(errors.NoBudgetError, match=r"with dp\.Budget"):
        frame.dp.protect().count().release(epsilon=1)


def test_keys_of_no_column_are_refused(frame: Any) -> None:
    with pytest.raises(errors.UnknownColumnError, match="Did you mean 'level'"):
        frame.dp.keys("lvel")


def test_columns_that_share_a_name_are_refused(engine: Engine, frame: Any) -> None:
    if engine.name == "pandas":
        twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    else:
        twice = frame.select(frame["i"].alias("a"), frame["x"].alias("a"))
    with pytest.raises(errors.PlanError, match="'a'"):
        twice.dp.protect()


def test_messages_never_hold_a_data_value(engine: Engine) -> None:
    frame = engine.frame(pd.DataFrame({"user": ["CANARY-1"], "level": ["CANARY-2"], "x": [4711.5]}))
    private = frame.dp.protect(id="user")
    for make in [step[1] for step in STEPS] + [lambda p: p.count().release(epsilon=9, budget=dp.Budget(epsilon=1))]:
        with pytest.raises(errors.DPFrameError) as refusal:
            make(private)
            private.count().release(epsilon=2, budget=dp.Budget(epsilon=1))
        assert "CANARY" not in str(refusal.value)
        assert "4711" not in str(refusal.value)
