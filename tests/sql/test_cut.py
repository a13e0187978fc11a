"""Intervals: labels as pandas writes them, values where pandas puts them, on both engines."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest
from nasty import SCHEMA, TABLE, on_duckdb, on_spark

from dpframe.errors import BoundsError, ColumnTypeError, ExpressionError, PlanError
from dpframe.plan import Column, Type
from dpframe.sql import cut_expression, cut_labels

DAYS = ["0004-02-29", "1970-01-01", datetime.date(2024, 2, 29), "9999-12-31"]
CUTS: list[tuple[str, list[Any], list[str] | None]] = [
    ("i", [0, 10], None),
    ("i", [-7, 0, 1, 2, 7, 10], None),
    ("i", [-(2**63), 0, 2**53, 2**53 + 1, 2**63 - 1], None),
    ("i", [-0.5, 0.5, 1.5, 6.999, 1e18], None),
    ("i", list(range(-40, 41)), None),
    ("i", [-8, 0, 8, 16], ["low's", "high ${x}", "low's"]),
    ("x", [0, 0.1, 0.5, 2.5], None),
    ("x", [-1.7976931348623157e308, -4, -0.0, 5e-324, 2**53, 1.7976931348623157e308], None),
    ("x", [edge / 8 for edge in range(-40, 41)], None),
    ("x", [edge / 8 for edge in range(-40, 41)], [str(edge // 7) for edge in range(80)]),
    ("d", DAYS, None),
    ("d", [datetime.date(1960 + year, 1, 1) for year in range(80)], None),
    ("when", [*DAYS[:2], "2024-02-29 23:59:59.999999", "2024-03-10 02:30", "9999-12-31"], None),
    ("when", ["1969-12-31 23:59:59.999999", "1970-01-01"], ["before"]),
    ("when", [f"{1960 + year}-03-10 02:30" for year in range(80)], None),
    ("s", ["", "A", "a", "it's", "z", "ä"], None),
    ("s", ["1999-12-31", "2024-02-29", "nan"], ["early", "late ${x}"]),
    ("s", [chr(code) for code in range(40, 120)], None),
]
SIDES = [(right, both) for right in (True, False) for both in (True, False)]


def expected(values: list[Any], edges: list[Any], labels: list[str] | None, right: bool, both: bool) -> list[Any]:
    """Interval by interval, with exact comparisons."""
    text = any(isinstance(value, str) for value in values)
    times = any(isinstance(value, datetime.datetime) for value in values)
    type_ = Type.STRING if text else Type.TIMESTAMP if times else None
    read = datetime.datetime.fromisoformat if times else datetime.date.fromisoformat
    points = [read(edge) if isinstance(edge, str) and not text else edge for edge in edges]
    names = labels or list(cut_labels(edges, None, right, both, type=type_))
    answer = []
    for value in values:
        place = None
        for number, (low, high) in enumerate(pairwise(points)):
            if value is None or (isinstance(value, float) and math.isnan(value)):
                continue
            first, last = number == 0, number == len(points) - 2
            inside = (low < value <= high) if right else (low <= value < high)
            if inside or (both and right and first and value == low) or (both and not right and last and value == high):
                place = names[number]
        answer.append(place)
    return answer


def test_both_engines_put_every_value_in_its_interval(spark_classic: Any) -> None:
    cases = [(*cut, *sides) for cut in CUTS for sides in SIDES]
    expressions = [cut_expression(SCHEMA[name], edges, labels, *sides) for name, edges, labels, *sides in cases]
    on_both = zip(on_duckdb(expressions), on_spark(spark_classic, expressions), strict=True)
    for (name, edges, labels, *sides), (duckdb, spark) in zip(cases, on_both, strict=True):
        values = TABLE.column(SCHEMA[name].ref).to_pylist()
        assert duckdb == expected(values, edges, labels, *sides), (name, edges, sides)
        assert spark == duckdb, (name, edges, sides)


def test_missing_values_have_a_bin_of_their_own(spark_classic: Any) -> None:
    cases = [("i", [0, 10], ["low"]), ("x", [0, 0.5, 2.5], None), ("d", DAYS, None), ("i", list(range(-40, 41)), None)]
    expressions = [cut_expression(SCHEMA[name], edges, labels, nan="it's $x") for name, edges, labels in cases]
    on_both = zip(on_duckdb(expressions), on_spark(spark_classic, expressions), strict=True)
    for (name, edges, labels), (duckdb, spark) in zip(cases, on_both, strict=True):
        values = TABLE.column(SCHEMA[name].ref).to_pylist()
        missing = [value is None or value != value for value in values]
        bins = expected(values, edges, labels, True, True)
        assert any(missing) and None in bins
        hand = ["it's $x" if gone else label for gone, label in zip(missing, bins, strict=True)]
        assert duckdb == spark == hand, (name, edges)
    assert cut_labels([0, 1, 2], nan="none") == ("[0, 1]", "(1, 2]", "none")
    assert cut_labels([0, 1, 2], ["a", "b"], nan="a") == ("a", "b")


@pytest.mark.parametrize(("right", "both"), SIDES)
def test_a_thousand_intervals_are_quick(spark_classic: Any, right: bool, both: bool) -> None:
    edges = [edge / 128 for edge in range(-500, 501)]
    expression = cut_expression(SCHEMA["x"], edges, None, right, both)
    assert len(expression.spark) < 100_000 and len(expression.duckdb) < 150_000
    assert on_duckdb([expression]) == [expected(TABLE.column("c2").to_pylist(), edges, None, right, both)]
    assert on_spark(spark_classic, [expression]) == on_duckdb([expression])


@pytest.mark.parametrize("right", [True, False])
def test_intervals_are_those_of_pandas(right: bool) -> None:
    edges = [0, 1, 4.5, 10]
    values = pd.Series([0, 0.5, 1, 4.5, 9.99, 10, -1, 11])
    ours = on_duckdb([cut_expression(SCHEMA["x"], edges, None, right, False)])[0]
    codes = pd.cut(values, edges, right=right).cat.codes
    labels = cut_labels(edges, None, right, False)
    theirs = [labels[code] if code >= 0 else None for code in codes]
    assert expected(list(values), edges, None, right, False) == theirs
    assert set(ours) <= {*labels, None}


@pytest.mark.parametrize(
    ("arguments", "labels"),
    [
        (([0, 10, 20],), ("[0, 10]", "(10, 20]")),
        (([0, 10, 20], None, False), ("[0, 10)", "[10, 20]")),
        (([0, 10, 20], None, True, False), ("(0, 10]", "(10, 20]")),
        (([0, 10, 20], None, False, False), ("[0, 10)", "[10, 20)")),
        ((range(0, 30, 10),), ("[0, 10]", "(10, 20]")),
        ((np.arange(0, 30, 10),), ("[0, 10]", "(10, 20]")),
        ((np.array([0.0, 0.1, 1e22]),), ("[0.0, 0.1]", "(0.1, 1e+22]")),
        (([-0.0, 1],), ("[0.0, 1]",)),
        ((DAYS[1:3],), ("[1970-01-01, 2024-02-29]",)),
        ((pd.date_range("2024-01-01", periods=2),), ("[2024-01-01, 2024-01-02]",)),
        ((np.array(["2024-01", "2024-02"], "datetime64"),), ("[2024-01-01, 2024-02-01]",)),
        (([0, 1, 2, 3], ["a", "b", "a"]), ("a", "b")),
        (([Fraction(1, 2), Decimal("1.5")],), ("[0.5, 1.5]",)),
    ],
)
def test_labels(arguments: tuple[Any, ...], labels: tuple[str, ...]) -> None:
    assert cut_labels(*arguments) == labels


TIMES: list[tuple[list[Any], str]] = [
    (["2024-01-01", datetime.date(2024, 1, 2)], "[2024-01-01, 2024-01-02]"),
    ([datetime.datetime(2024, 1, 1), "2024-01-01 12:00"], "[2024-01-01 00:00, 2024-01-01 12:00]"),
    (["2024-01-01 12:00", "2024-01-01T12:00:01"], "[2024-01-01 12:00:00, 2024-01-01 12:00:01]"),
    (["2024-01-01", "2024-01-01 12:00:00.5"], "[2024-01-01 00:00:00.000000, 2024-01-01 12:00:00.500000]"),
    (["2024-01-01 01:00+01:00", "2024-01-01 00:00-01:00"], "[2024-01-01 00:00, 2024-01-01 01:00]"),
    (list(pd.date_range("2024-01-01", periods=2, tz="Europe/Zurich")), "[2023-12-31 23:00, 2024-01-01 23:00]"),
    (list(np.array(["2024-01-01T10", "2024-01-01T11"], "datetime64[h]")), "[2024-01-01 10:00, 2024-01-01 11:00]"),
    ([pd.Timestamp("2024-01-01 00:00:00.000000999"), pd.Timestamp("2024-01-02")], "[2024-01-01, 2024-01-02]"),
]


@pytest.mark.parametrize(("edges", "label"), TIMES)
def test_labels_of_times_are_as_short_as_they_can_be(edges: list[Any], label: str) -> None:
    assert cut_labels(edges, type=Type.TIMESTAMP) == (label,)


@pytest.mark.parametrize(
    ("name", "edges", "labels", "error", "says"),
    [
        ("i", [0], None, BoundsError, "at least two edges"),
        ("i", [], None, BoundsError, "at least two edges"),
        ("i", [0, 0], None, BoundsError, "must increase"),
        ("i", [1, 0], None, BoundsError, "0 follows 1"),
        ("i", [0, math.inf], None, BoundsError, "not finite"),
        ("i", [0, math.nan], None, BoundsError, "not finite"),
        ("i", [0, 2**63], None, BoundsError, "64-bit"),
        ("x", [0, 2**53 + 1], None, BoundsError, "no double"),
        ("x", [0, 10**400], None, BoundsError, "too large"),
        ("i", [0, True], None, ColumnTypeError, "boolean"),
        ("i", [0, np.True_], None, ColumnTypeError, "boolean"),
        ("i", [0, "ten"], None, ColumnTypeError, "neither a number nor a date"),
        ("i", [0, None], None, ColumnTypeError, "neither a number nor a date"),
        ("i", [0, "2024-01-01"], None, ColumnTypeError, "mix numbers and dates"),
        ("i", "2024-01-01", None, ColumnTypeError, "list of edges"),
        ("i", 5, None, ColumnTypeError, "list of edges"),
        ("i", ["2024-01-01", "2024-02-01"], None, ColumnTypeError, "cast it to a date"),
        ("d", [0, 1], None, ColumnTypeError, "cast it to bigint"),
        ("s", [0, 1], None, ColumnTypeError, "is text"),
        ("s", ["a", 1], None, ColumnTypeError, "neither a number nor a date"),
        ("s", ["b", "a"], None, BoundsError, "must increase"),
        ("s", ["a", "b\0"], None, ExpressionError, "NUL"),
        ("d", [np.datetime64("NaT"), "2024-02-01"], None, ColumnTypeError, "neither a number nor a date"),
        ("when", [0, 1], None, ColumnTypeError, "unix_seconds"),
        ("when", ["2024-01-01", 1], None, ColumnTypeError, "mix numbers and dates"),
        ("when", ["2024-01-01", pd.NaT], None, ColumnTypeError, "neither a number nor a date"),
        ("when", ["2024-01-01", "noon"], None, ExpressionError, "not a timestamp"),
        ("when", ["2024-01-01", "2024-01-01 00:00"], None, BoundsError, "must increase"),
        (
            "when",
            [datetime.datetime.min.replace(tzinfo=ZoneInfo("Asia/Tokyo")), "2024-01-01"],
            None,
            BoundsError,
            "years",
        ),
        ("d", [datetime.datetime(2024, 1, 1, 5), "2024-02-01"], None, ColumnTypeError, "time of day"),
        ("i", [0, 1, 2], ["a"], ExpressionError, "one label per interval"),
        ("i", [0, 1], "a", ExpressionError, "list of texts"),
        ("i", [0, 1], [1], ExpressionError, "list of texts"),
        ("i", [0, 1], ["a\0"], ExpressionError, "NUL"),
    ],
)
def test_refusals(name: str, edges: Any, labels: Any, error: type[PlanError], says: str) -> None:
    with pytest.raises(error, match=says):
        cut_expression(SCHEMA[name], edges, labels)


def test_an_edge_on_an_integer_column_is_compared_exactly() -> None:
    column = Column("n", "c0", Type.INTEGER)
    assert "9007199254740993L" in cut_expression(column, [0, 2**53 + 1]).spark
