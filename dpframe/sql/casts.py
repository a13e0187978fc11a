"""Casts. ``cast`` and ``try_cast`` are one: what cannot be converted is null.

Text is first matched by a grammar of ours and only what matches is given to the engine, because the engines'
own grammars differ (``'1.5'`` as an integer, ``'1d'`` as a double, ``'2024-2-9'`` as a date).
"""

from __future__ import annotations

from typing import NamedTuple

from dpframe.errors import ColumnTypeError, ExpressionError
from dpframe.plan import Type
from dpframe.sql.terms import Term, article, day_of, derive, kind, midnight, typed, usable

TYPES = {
    "INT": Type.INTEGER,
    "INTEGER": Type.INTEGER,
    "BIGINT": Type.INTEGER,
    "LONG": Type.INTEGER,
    "DOUBLE": Type.FLOAT,
    "BOOLEAN": Type.BOOLEAN,
    "STRING": Type.STRING,
    "TEXT": Type.STRING,
    "DATE": Type.DATE,
    "TIMESTAMP": Type.TIMESTAMP,
    "TIMESTAMPTZ": Type.TIMESTAMP,  # what sqlglot makes of Spark's `timestamp`
}
"""The types that a cast may name. Every integer is 64-bit and every float a double, whatever it is called."""

NEAREST = {
    "SMALLINT": "bigint",
    "TINYINT": "bigint",
    "FLOAT": "double",
    "REAL": "double",
    "DECIMAL": "double",
}

_INTEGER = "([+-]?[0-9]+)"
_FLOAT = "([+-]?(?:(?:[0-9]+[.]?[0-9]*|[.][0-9]+)(?:E[+-]?[0-9]+)?|inf(?:inity)?)|nan)"
_DATE = "((?:[1-9][0-9][0-9]|0[1-9][0-9]|00[1-9])[0-9]-[0-9][0-9]-[0-9][0-9]|000[1-9]-[0-9][0-9]-[0-9][0-9])"


class Cast(NamedTuple):
    """One conversion: the text on each engine and whether it may lose a value that was there."""

    spark: str
    duckdb: str
    lossy: bool


def _parse(grammar: str, physical: str) -> Cast:
    # (?!.) rather than $, which in Java also matches before a final line feed.
    return Cast(
        f"try_cast(regexp_extract({{0}}, '(?is)^ *{grammar} *(?!.)', 1) AS {physical})",
        f"TRY_CAST(regexp_extract({{0}}, '(?is)^ *{grammar} *$', 1) AS {physical})",
        True,
    )


def _plain(physical: str, duckdb: str | None = None) -> Cast:
    return Cast(f"CAST({{0}} AS {physical})", f"CAST({{0}} AS {duckdb or physical})", False)


CASTS = {
    (Type.STRING, Type.INTEGER): _parse(_INTEGER, "BIGINT"),
    (Type.STRING, Type.FLOAT): _parse(_FLOAT, "DOUBLE"),
    (Type.STRING, Type.DATE): _parse(_DATE, "DATE"),
    # Spark turns 2^63 itself, alone among the doubles out of range, into the largest integer.
    (Type.FLOAT, Type.INTEGER): Cast(
        "try_cast((CASE WHEN {0} < 9.223372036854775808E18D THEN {0} END) AS BIGINT)",
        "TRY_CAST(trunc({0}) AS BIGINT)",
        True,
    ),
    (Type.INTEGER, Type.FLOAT): _plain("DOUBLE"),
    (Type.INTEGER, Type.STRING): _plain("STRING", "VARCHAR"),
    (Type.INTEGER, Type.BOOLEAN): Cast("({0} <> 0L)", "({0} <> 0)", False),
    (Type.BOOLEAN, Type.INTEGER): _plain("BIGINT"),
    (Type.BOOLEAN, Type.FLOAT): _plain("DOUBLE"),
    (Type.BOOLEAN, Type.STRING): _plain("STRING", "VARCHAR"),
    (Type.DATE, Type.STRING): _plain("STRING", "VARCHAR"),
}

WHY_NOT = {
    (Type.FLOAT, Type.STRING): "the engines write floats differently. Write "
    "cast(cast({0} as bigint) as string), or dp.cut(...) for intervals",
    (Type.FLOAT, Type.BOOLEAN): "what a fraction should mean is not clear. Write {0} <> 0",
    (Type.STRING, Type.BOOLEAN): "the words for true differ. Write {0} in ('true', 'yes')",
    (Type.DATE, Type.INTEGER): "a date is not a number. Write datediff({0}, date '1970-01-01') or year({0})",
    (Type.DATE, Type.FLOAT): "a date is not a number. Write datediff({0}, date '1970-01-01') or year({0})",
    (Type.TIMESTAMP, Type.INTEGER): "a timestamp is not a number. Write unix_seconds({0}) or hour({0})",
    (Type.TIMESTAMP, Type.FLOAT): "a timestamp is not a number. Write unix_seconds({0}) or hour({0})",
    (Type.TIMESTAMP, Type.STRING): "the engines write times differently. Write cast(cast({0} as date) as string)",
    (Type.STRING, Type.TIMESTAMP): "times are written in many ways. Write cast({0} as date), or turn it into a "
    "timestamp before .dp",
    (Type.INTEGER, Type.TIMESTAMP): "an integer is not a time. Write timestamp_seconds({0}) or timestamp_micros({0})",
}


def cast(term: Term, name: str) -> Term:
    """The term converted to the type called ``name``; null where that cannot be done.

    Raises
    ------
    ExpressionError
        The type is not one of :data:`TYPES`, or a literal is no date.
    ColumnTypeError
        No conversion between the two types means the same on both engines.
    """
    target = TYPES.get(name.upper())
    if target is None:
        near = NEAREST.get(name.upper())
        fix = f" Write cast({term.shown} as {near})." if near else ""
        raise ExpressionError(
            f"cast(... as {name.lower()}) is not supported.{fix} "
            "A cast may name bigint (or int), double, string, boolean, date or timestamp."
        )
    usable(term, "cast")
    if term.type in (target, None):
        return typed(term, target)
    if isinstance(term.literal, str) and target in (Type.DATE, Type.TIMESTAMP):
        return typed(term, target)
    if target is Type.TIMESTAMP and term.type is Type.DATE:
        return midnight(term)
    if target is Type.DATE and term.type is Type.TIMESTAMP:
        return day_of(term)
    return convert(term, target)


def convert(term: Term, target: Type) -> Term:
    """The term converted by the table of casts."""
    assert term.type is not None
    rule = CASTS.get((term.type, target))
    if rule is None:
        why = WHY_NOT.get((term.type, target), "the two have nothing in common").format(term.shown)
        raise ColumnTypeError(f"{term.shown} is {kind(term)} and cannot be cast to {article(target)}: {why}.")
    return derive(
        f"cast({term.shown} as {target.value})",
        target,
        rule.spark.format(term.spark),
        rule.duckdb.format(term.duckdb),
        [term],
        nullable=rule.lossy,
    )
