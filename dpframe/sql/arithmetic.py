"""Numbers and days: total on both engines.

Integers are 64-bit and an overflow is null: Spark has the ``try_`` functions for it, DuckDB computes in 128
bits and casts back. Floats are IEEE doubles, one rounding per operation. Dates run from year 1 to year 9999.
"""

from __future__ import annotations

from dpframe.errors import ColumnTypeError
from dpframe.plan import Type
from dpframe.sql.terms import MIN_INTEGER, Term, common, derive, kind, literal_term, shorten, typed, usable

FIRST_DAY, LAST_DAY = -719_162, 2_932_896
"""0001-01-01 and 9999-12-31 in days since 1970-01-01."""

TRY = {"+": "try_add", "-": "try_subtract", "*": "try_multiply"}


def number(term: Term, where: str) -> Term:
    """The term, unless it is no number."""
    usable(term, where)
    if term.type is None:
        return typed(term, Type.INTEGER)
    if term.type not in (Type.INTEGER, Type.FLOAT):
        fix = {
            Type.STRING: f"Write cast({term.shown} as double)",
            Type.BOOLEAN: f"Write cast({term.shown} as bigint)",
            Type.DATE: f"Write date_add({term.shown}, 7) or datediff({term.shown}, date '2024-01-01')",
            Type.TIMESTAMP: f"Write unix_seconds({term.shown}) or hour({term.shown})",
        }[term.type]
        raise ColumnTypeError(f"{where} takes numbers, and {term.shown} is {kind(term)}. {fix}.")
    return term


def operate(symbol: str, left: Term, right: Term) -> Term:
    """``left symbol right`` for one of ``+ - * / % div``."""
    shown = shorten(f"{left.shown} {symbol} {right.shown}")
    pair = [number(left, f"`{symbol}`"), number(right, f"`{symbol}`")]
    if symbol == "/":
        a, b = (typed(term, Type.FLOAT) for term in pair)
        spark, duckdb = f"try_divide({a.spark}, {b.spark})", f"({a.duckdb} / {_nonzero(b)})"
        return derive(shown, Type.FLOAT, spark, duckdb, [a, b], nullable=True)
    type, (a, b) = common(pair, f"`{symbol}`")
    if symbol == "div":
        return _div(shown, a, b)
    if type is Type.FLOAT:
        spark, duckdb = f"({a.spark} {symbol} {b.spark})", f"({a.duckdb} {symbol} {b.duckdb})"
        if symbol == "%":
            spark, duckdb = f"try_mod({a.spark}, {b.spark})", f"({a.duckdb} % {_nonzero(b)})"
        return derive(shown, Type.FLOAT, spark, duckdb, [a, b], nullable=True)
    if symbol == "%":
        spark, wide = f"try_mod({a.spark}, {b.spark})", f"{_wide(a)} % {_nonzero(b)}"
    else:
        spark, wide = f"{TRY[symbol]}({a.spark}, {b.spark})", f"{_wide(a)} {symbol} {_wide(b)}"
    return derive(shown, Type.INTEGER, spark, f"TRY_CAST({wide} AS BIGINT)", [a, b], nullable=True)


def _div(shown: str, a: Term, b: Term) -> Term:
    if a.type is not Type.INTEGER:
        raise ColumnTypeError(f"`div` takes integers, and {shown} divides floats. Write floor(x / y).")
    if isinstance(b.literal, int) and b.literal not in (0, -1):
        spark = f"({a.spark} div {b.spark})"
    else:
        # -2^63 div -1 raises, so that divisor never reaches div, not even while constants are folded.
        safe = f"(CASE WHEN {b.spark} NOT IN (0L, -1L) THEN {b.spark} END)"
        negated = f"try_subtract(0L, {a.spark})"
        spark = f"(CASE WHEN {b.spark} = -1L THEN {negated} ELSE {a.spark} div {safe} END)"
    duckdb = f"TRY_CAST({_wide(a)} // {_nonzero(b)} AS BIGINT)"
    return derive(shown, Type.INTEGER, spark, duckdb, [a, b], nullable=True)


def _wide(term: Term) -> str:
    if isinstance(term.literal, int):
        return f"CAST({term.literal} AS HUGEINT)"
    return f"CAST({term.duckdb} AS HUGEINT)"


def _nonzero(term: Term) -> str:
    if isinstance(term.literal, int | float) and term.literal != 0:
        return term.duckdb
    return f"(CASE WHEN {term.duckdb} <> 0 THEN {term.duckdb} END)"


def opposite(term: Term) -> Term:
    """``- term``."""
    term = number(term, "`-`")
    if isinstance(term.literal, int | float) and term.literal != MIN_INTEGER:
        return literal_term(-term.literal)
    if term.type is Type.FLOAT:
        return derive(f"-{term.shown}", Type.FLOAT, f"(- {term.spark})", f"(- {term.duckdb})", [term], nullable=False)
    spark, duckdb = f"try_subtract(0L, {term.spark})", f"TRY_CAST(- {_wide(term)} AS BIGINT)"
    return derive(f"-{term.shown}", Type.INTEGER, spark, duckdb, [term], nullable=True)


def absolute(term: Term) -> Term:
    """``abs(term)``; null for -2^63, whose opposite does not fit."""
    term = number(term, "abs")
    if term.type is Type.FLOAT:
        return derive("abs(...)", Type.FLOAT, f"abs({term.spark})", f"abs({term.duckdb})", [term], nullable=False)
    least = literal_term(MIN_INTEGER).spark
    spark = f"abs((CASE WHEN {term.spark} > {least} THEN {term.spark} END))"
    duckdb = f"TRY_CAST(abs({_wide(term)}) AS BIGINT)"
    return derive("abs(...)", Type.INTEGER, spark, duckdb, [term], nullable=True)


def whole(term: Term, function: str) -> Term:
    """``floor`` or ``ceil``, as an integer; null where a float does not fit one."""
    term = number(term, function)
    if term.type is Type.INTEGER:
        return term
    name = "floor" if function == "floor" else "ceil"
    low, high = "-9.223372036854775808E18D", "9.223372036854775808E18D"
    fits = f"(CASE WHEN {term.spark} >= {low} AND {term.spark} < {high} THEN {term.spark} END)"
    duckdb = f"TRY_CAST({name}({term.duckdb}) AS BIGINT)"
    return derive(f"{function}(...)", Type.INTEGER, f"{name}({fits})", duckdb, [term], nullable=True)


def rounded(term: Term) -> Term:
    """``round(term)`` to the nearest whole number, halves away from zero."""
    term = number(term, "round")
    if term.type is Type.INTEGER:
        return term
    # Spark gives 0.0 for -0.4 and DuckDB -0.0; adding 0.0 makes both 0.0.
    spark, duckdb = f"(round({term.spark}) + 0D)", f"(round({term.duckdb}) + CAST('0.0' AS DOUBLE))"
    return derive("round(...)", Type.FLOAT, spark, duckdb, [term], nullable=False)


def shift(day: Term, days: Term, sign: int) -> Term:
    """The date ``days`` later (``sign`` 1) or earlier (-1); null outside year 1 to 9999."""
    if sign > 0:
        spark = f"try_add(CAST(unix_date({day.spark}) AS BIGINT), {days.spark})"
        duckdb = f"(CAST({day.duckdb} - DATE '1970-01-01' AS HUGEINT) + {_wide(days)})"
    else:
        spark = f"try_subtract(CAST(unix_date({day.spark}) AS BIGINT), {days.spark})"
        duckdb = f"(CAST({day.duckdb} - DATE '1970-01-01' AS HUGEINT) - {_wide(days)})"
    return derive(
        "date_add(...)" if sign > 0 else "date_sub(...)",
        Type.DATE,
        f"date_from_unix_date(CAST({_within(spark)} AS INT))",
        f"(DATE '1970-01-01' + CAST({_within(duckdb)} AS INTEGER))",
        [day, days],
        nullable=True,
    )


def _within(text: str) -> str:
    return f"(CASE WHEN {text} >= {FIRST_DAY} AND {text} <= {LAST_DAY} THEN {text} END)"
