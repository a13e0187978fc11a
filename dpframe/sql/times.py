"""Functions of dates and timestamps whose meaning follows their arguments; :mod:`dpframe.sql.functions` names them."""

from __future__ import annotations

from collections.abc import Sequence

from dpframe.errors import ExpressionError
from dpframe.plan import Type
from dpframe.sql import arithmetic
from dpframe.sql.arguments import argument, literal_text
from dpframe.sql.terms import DAY, Term, day_of, derive, literal_term, midnight, since

INTEGER, DATE, TIMESTAMP = Type.INTEGER, Type.DATE, Type.TIMESTAMP

UNITS = {
    "year": ("YEAR", "year"),
    "yyyy": ("YEAR", "year"),
    "quarter": ("QUARTER", "quarter"),
    "month": ("MONTH", "month"),
    "mm": ("MONTH", "month"),
    "week": ("WEEK", "week"),
}


def trunc(name: str, args: Sequence[Term]) -> Term:
    day = argument(args[0], DATE, name)
    unit = literal_text(args[1], name, "trunc(d, 'month')").lower()
    if unit not in UNITS:
        raise ExpressionError(f"trunc cannot cut a date to {unit!r}. Write 'year', 'quarter', 'month' or 'week'.")
    spark, duckdb = UNITS[unit]
    return derive(
        "trunc(...)",
        DATE,
        f"trunc({day.spark}, '{spark}')",
        f"CAST(date_trunc('{duckdb}', {day.duckdb}) AS DATE)",
        [day],
        nullable=False,
    )


CLOCK = {"second": 1_000_000, "minute": 60_000_000, "hour": 3_600_000_000, "day": DAY}
"""Microseconds of what a day is made of."""


def clock(name: str, args: Sequence[Term]) -> Term:
    """The hour, minute or second of a timestamp."""
    moment = argument(args[0], TIMESTAMP, name)
    spark, duckdb = since(moment, {"hour": DAY, "minute": CLOCK["hour"], "second": CLOCK["minute"]}[name])
    spark, duckdb = f"({spark} div {CLOCK[name]}L)", f"({duckdb} // CAST({CLOCK[name]} AS BIGINT))"
    return derive(f"{name}(...)", INTEGER, spark, duckdb, [moment], nullable=False)


UNIX = {"seconds": 1_000_000, "millis": 1_000, "micros": 1}


def unix(name: str, args: Sequence[Term]) -> Term:
    """Whole seconds, milliseconds or microseconds since 1970."""
    moment, unit = argument(args[0], TIMESTAMP, name), UNIX[name.split("_")[1]]
    spark, duckdb = since(moment, unit)
    spark = f"(({moment.spark} - {spark}) div {unit}L)"
    duckdb = f"(({moment.duckdb} - {duckdb}) // CAST({unit} AS BIGINT))"
    return derive(f"{name}(...)", INTEGER, spark, duckdb, [moment], nullable=False)


def of_unix(name: str, args: Sequence[Term]) -> Term:
    """The timestamp of so many seconds, milliseconds or microseconds since 1970; null outside year 1 to 9999."""
    count, unit = argument(args[0], INTEGER, name), UNIX[name.split("_")[1]]
    first, last = arithmetic.FIRST_DAY * DAY // unit, (arithmetic.LAST_DAY + 1) * DAY // unit - 1
    spark = f"(CASE WHEN {count.spark} >= ({first}L) AND {count.spark} <= {last}L THEN {count.spark} * {unit}L END)"
    ends = f"CAST({first} AS BIGINT)", f"CAST({last} AS BIGINT)"
    duckdb = f"(CASE WHEN {count.duckdb} >= {ends[0]} AND {count.duckdb} <= {ends[1]} "
    duckdb += f"THEN {count.duckdb} * CAST({unit} AS BIGINT) END)"
    return derive(f"{name}(...)", TIMESTAMP, spark, duckdb, [count], nullable=True)


def date_trunc(name: str, args: Sequence[Term]) -> Term:
    """A timestamp cut off to a whole unit."""
    unit = literal_text(args[0], name, "date_trunc('hour', x)").lower()
    moment = argument(args[1], TIMESTAMP, name)
    if unit in CLOCK:
        spark, duckdb = since(moment, CLOCK[unit])
        texts = f"({moment.spark} - {spark})", f"({moment.duckdb} - {duckdb})"
        return derive(f"{name}(...)", TIMESTAMP, *texts, [moment], nullable=False)
    if unit not in UNITS:
        units = ", ".join(map(repr, [*CLOCK, "week", "month", "quarter"]))
        raise ExpressionError(f"date_trunc cannot cut a timestamp to {unit!r}. Write {units} or 'year'.")
    return midnight(trunc(name, [day_of(moment), literal_term(unit)]))


def date_add(name: str, args: Sequence[Term]) -> Term:
    day = argument(args[0], DATE, name)
    days = argument(args[1], INTEGER, name)
    return arithmetic.shift(day, days, -1 if name == "date_sub" else 1)
