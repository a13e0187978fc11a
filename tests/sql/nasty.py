"""A table of values that expressions trip over, and how to run one expression on both engines over it."""

from __future__ import annotations

import datetime
import math
import struct
from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa

from dpframe.plan import Column, Expression, Schema, Type

SIDE = 16
"""Every type has up to 16 values; the 256 rows hold every pair of them."""

INTEGERS = [None, 0, 1, -1, 2, -7, 7, 10, 2**31, -(2**31) - 1, 2**53 + 1, -(2**53) - 1, 2**62, 2**63 - 1, -(2**63)]
FLOATS = [
    *(None, math.nan, math.inf, -math.inf, 0.0, -0.0, 0.5, -0.4, 2.5, -3.7, 0.1, 5e-324),
    *(9007199254740993.0, 2.0**63, -(2.0**63), 1.7976931348623157e308),
]
TEXTS = [
    *(None, "", " ", "a", "A", "ab", "abcabc", "  a b\t", "50%_x", 'it\'s "q" \\ $x ${y}', "line\nfeed\r"),
    *("e\u0301é", "👍🏽a👍", "\u00a0ß", "ǅİıſ", "中文字"),
]
DATES = [
    None,
    *map(
        datetime.date.fromisoformat,
        "0001-01-01 0004-02-29 0999-12-31 1582-10-04 1582-10-15 1900-03-01 1969-12-31 1970-01-01 2000-02-29 "
        "2021-01-03 2023-12-31 2024-02-29 2024-12-30 9999-12-01 9999-12-31".split(),
    ),
]
NUMBERS = [
    *("0", "-0", "+5", " 12 ", "007", "1.5", ".5", "5.", "-.5e-3", "1e3", "1E+03", "1e", "e5", ".", "+", "-", "--1"),
    *("+-1", "1 2", "1_000", "1,5", "0x10", "1d", "1L", "NaN", "nan", "-nan", "+NaN", "inf", "-INF", "Infinity"),
    *("+infinity", "infinit", "1e400", "-1e400", "1e-400", "4.9e-324", "2.2250738585072011e-308", "0e99999999999"),
    *("9007199254740993", "9223372036854775807", "-9223372036854775808", "9223372036854775808", "1e99999999999"),
    *("0" * 400 + "1", "9" * 400, "0." + "1" * 800, "123456789012345678901234567890", "12\n", "\n12", "\t12"),
    *("１２", "٣", "12\u00a0", "", " ", "true", "1", "0.1", "1.7976931348623159e308", "3.14abc"),
    *("8.98846567431158e307", "0.000000000000000000000000000000000000000000001e45", "ınf", "1e5.5", "in f"),
]
CALENDAR = [
    *("2024-02-29", "2023-02-29", "2024-2-9", "20240229", " 2024-02-29 ", "2024-02-30", "2024-13-01", "2024-00-10"),
    *("0000-01-01", "0001-01-01", "9999-12-31", "10000-01-01", "-0001-01-01", "2024-02-29T00:00:00", "2024-02-29x"),
    *(
        "2024-02-29\n",
        "0010-04-31",
        "0100-12-01",
        "1582-10-10",
        "1900-02-29",
        "epoch",
        "infinity",
        "",
        "２０２４-01-01",
    ),
    *("2024/02/29", "2024-02-29 BC", "2024-02-29 00:00", "now", "today", "2024-W01"),
]

TIMES = [
    None,
    *(datetime.datetime(1970, 1, 1), datetime.datetime(1969, 12, 31, 23, 59, 59, 999_999)),
    *(datetime.datetime.min, datetime.datetime.max, datetime.datetime(1, 1, 1, 0, 0, 0, 1)),
    *(datetime.datetime(2024, 2, 29, 23, 59, 59, 999_999), datetime.datetime(2024, 3, 1)),
    # An hour that New York has not, one that it has twice; a day that no calendar but this one has.
    *(
        datetime.datetime(2024, 3, 10, 2, 30),
        datetime.datetime(2024, 11, 3, 5, 30),
        datetime.datetime(1582, 10, 10, 12),
    ),
    *(datetime.datetime(1883, 11, 18, 12, 3, 58), datetime.datetime(2024, 12, 30)),
]

COLUMNS = {
    "i": (Type.INTEGER, pa.int64(), INTEGERS),
    "x": (Type.FLOAT, pa.float64(), FLOATS),
    "s": (Type.STRING, pa.string(), TEXTS),
    "d": (Type.DATE, pa.date32(), DATES),
    "p": (Type.BOOLEAN, pa.bool_(), [None, True, False]),
}
PARTNERS = {"i": "j", "x": "y", "s": "t", "d": "e", "p": "q"}


def _table() -> tuple[pa.Table, Schema]:
    rows = range(SIDE * SIDE)
    arrays, columns = [pa.array(rows, pa.int64())], []

    def add(name: str, type: Type, array: pa.Array) -> None:
        columns.append(Column(name, f"c{len(columns)}", type))
        arrays.append(array)

    for name, (type, arrow, values) in COLUMNS.items():
        add(name, type, pa.array([values[row // SIDE % len(values)] for row in rows], arrow))
        add(PARTNERS[name], type, pa.array([values[row % SIDE % len(values)] for row in rows], arrow))
    add("number", Type.STRING, pa.array([NUMBERS[row % len(NUMBERS)] for row in rows], pa.string()))
    add("calendar", Type.STRING, pa.array([CALENDAR[row % len(CALENDAR)] for row in rows], pa.string()))
    add('odd `name`, c1."x"', Type.INTEGER, pa.array([row - 9 for row in rows], pa.int64()))
    add("when", Type.TIMESTAMP, pa.array([TIMES[row // SIDE % len(TIMES)] for row in rows], pa.timestamp("us")))
    add("until", Type.TIMESTAMP, pa.array([TIMES[row % SIDE % len(TIMES)] for row in rows], pa.timestamp("us")))
    return pa.table(arrays, ["row", *(column.ref for column in columns)]), Schema(tuple(columns), len(columns))


TABLE, SCHEMA = _table()


NAN = ("NaN",)
"""How :func:`bits` writes every NaN."""


def bits(value: Any) -> Any:
    """A value that equals another exactly when the two are the same bits; every NaN is one."""
    if isinstance(value, float):
        return NAN if math.isnan(value) else struct.pack(">d", value).hex()
    if isinstance(value, datetime.datetime) and value.tzinfo is not None:
        return value.astimezone(datetime.UTC).replace(tzinfo=None)
    return value


def on_duckdb(expressions: Sequence[Expression]) -> list[list[Any]]:
    with duckdb.connect() as connection:
        connection.register("nasty", TABLE)
        names = ", ".join(f"{expression.duckdb} AS v{i}" for i, expression in enumerate(expressions))
        result = connection.sql(f"SELECT row, {names} FROM nasty ORDER BY row").to_arrow_table()
    return [[bits(value) for value in result.column(f"v{i}").to_pylist()] for i in range(len(expressions))]


def on_spark(session: Any, expressions: Sequence[Expression]) -> list[list[Any]]:
    fields = [f.with_type(pa.timestamp("us", "UTC")) if pa.types.is_timestamp(f.type) else f for f in TABLE.schema]
    frame = session.createDataFrame(TABLE.cast(pa.schema(fields))).coalesce(1)
    texts = [f"{expression.spark} AS v{i}" for i, expression in enumerate(expressions)]
    result = frame.selectExpr("row", *texts).toArrow().sort_by("row")
    return [[bits(value) for value in result.column(f"v{i}").to_pylist()] for i in range(len(expressions))]
