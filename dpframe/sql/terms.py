"""A term: one sub-expression with its type, its text on both engines and what it proves of its columns.

Null and NaN are one and the same *missing*. Arithmetic lets both pass, since NaN spreads through it exactly
as null does; wherever a value is looked at (a comparison, ``is null``, ``coalesce``, ``greatest``, …) a NaN is
first turned into null by :func:`present`. So a frame that holds NaN and a frame that holds null in the same
places give the same answer.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from dpframe.errors import ColumnTypeError, ExpressionError
from dpframe.plan import Column, Expression, Type, in_utc

Literal = str | int | float | bool | datetime.date | datetime.datetime | None

MAX_TEXT = 1_000_000
"""Characters of one rendered expression; forms that repeat an argument grow fast when they are nested."""

MAX_DEPTH = 120
"""Brackets within brackets of one rendered expression. Spark's parser gives up between 200 and 300."""

MAX_INTEGER = 2**63 - 1
MIN_INTEGER = -(2**63)

EPOCH = datetime.datetime(1970, 1, 1)
DAY = 86_400_000_000
"""Microseconds. A timestamp is a number of them since 1970, in every expression: integers mean one thing everywhere."""

PHYSICAL = {
    Type.INTEGER: "BIGINT",
    Type.TIMESTAMP: "BIGINT",
    Type.FLOAT: "DOUBLE",
    Type.BOOLEAN: "BOOLEAN",
    Type.DATE: "DATE",
}

ISO_TIME = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}(:\d{2}([.]\d{1,6})?)?(Z|[+-]\d{2}:\d{2})?)?", re.ASCII)
ISO_DATE = re.compile(r" *(\d{4}-\d{2}-\d{2}) *", re.ASCII)
NUMERIC = re.compile(r" *[+-]?[0-9]+([.][0-9]+)? *")
NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Term:
    """One sub-expression.

    Parameters
    ----------
    shown
        How an error message calls it.
    type
        What it holds; None is the bare ``null``, which takes the type of its company.
    spark, duckdb
        Its text on each engine: total, deterministic, refs for columns, safe inside any brackets.
    nullable
        Whether its value may be missing.
    nan
        Whether its value may be NaN.
    reads
        Refs it reads.
    when_true, when_false
        Refs that are certainly present in a row where it is true, and where it is false. For a term that is
        not boolean the two are equal: the refs present wherever the term is present.
    literal, is_literal
        The value of a literal.
    """

    shown: str
    type: Type | None
    spark: str
    duckdb: str
    nullable: bool = True
    nan: bool = False
    reads: frozenset[str] = NOTHING
    when_true: frozenset[str] = NOTHING
    when_false: frozenset[str] = NOTHING
    literal: Literal = None
    is_literal: bool = False

    def __post_init__(self) -> None:
        if len(self.spark) + len(self.duckdb) > MAX_TEXT:
            raise ExpressionError(
                f"The expression grows too large at {self.shown}: some functions need their argument more "
                "than once. Split it into several .assign(...) steps."
            )

    @property
    def when_present(self) -> frozenset[str]:
        """Refs that are certainly present wherever the term is."""
        return self.when_true & self.when_false


def derive(shown: str, type: Type, spark: str, duckdb: str, parts: Sequence[Term], *, nullable: bool) -> Term:
    """A term made of ``parts`` that is missing wherever one of them is."""
    present = union(part.when_present for part in parts)
    nullable = nullable or any(part.nullable for part in parts)
    return Term(
        shown,
        type,
        spark,
        duckdb,
        nullable=nullable,
        nan=type is Type.FLOAT and nullable,
        reads=union(part.reads for part in parts),
        when_true=present,
        when_false=present,
    )


def choose(shown: str, type: Type, spark: str, duckdb: str, parts: Sequence[Term], *, nullable: bool) -> Term:
    """A term that takes the value of one of its ``parts``: it may be present where some are missing."""
    return Term(
        shown,
        type,
        spark,
        duckdb,
        nullable=nullable,
        nan=type is Type.FLOAT and nullable,
        reads=union(part.reads for part in parts),
    )


def union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    return NOTHING.union(*sets)


def column_term(column: Column) -> Term:
    """A column, read under its ref; a timestamp as microseconds."""
    ref = frozenset([column.ref])
    moment = column.type is Type.TIMESTAMP
    return Term(
        column.name if column.name.isidentifier() else "`" + column.name.replace("`", "``") + "`",
        column.type,
        f"unix_micros({column.ref})" if moment else column.ref,
        f"epoch_us({column.ref})" if moment else column.ref,
        nullable=column.nullable,
        nan=column.type is Type.FLOAT and column.nullable,
        reads=ref,
        when_true=ref,
        when_false=ref,
    )


def literal_term(value: Literal) -> Term:
    """A literal, written so that no setting of either engine can change its meaning."""
    if value is None:
        return Term("null", None, "NULL", "NULL", is_literal=True)
    if isinstance(value, bool):
        text = "TRUE" if value else "FALSE"
        return _literal(value, Type.BOOLEAN, text, text)
    if isinstance(value, int):
        if not MIN_INTEGER <= value <= MAX_INTEGER:
            raise ExpressionError(
                f"{value} does not fit a 64-bit integer. Write {value}.0 for a floating-point number."
            )
        return _literal(value, Type.INTEGER, f"({value}L)" if value < 0 else f"{value}L", f"CAST({value} AS BIGINT)")
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ExpressionError("A number is too large for a double, whose largest is about 1.8e308.")
        text = repr(value)
        return _literal(value, Type.FLOAT, f"({text}D)" if text[0] == "-" else f"{text}D", f"CAST('{text}' AS DOUBLE)")
    if isinstance(value, datetime.datetime):
        moment = literal_term((value - EPOCH) // datetime.timedelta(microseconds=1))
        return _literal(value, Type.TIMESTAMP, moment.spark, moment.duckdb)
    if isinstance(value, datetime.date):
        return _literal(value, Type.DATE, f"DATE '{value.isoformat()}'", f"DATE '{value.isoformat()}'")
    return _literal(value, Type.STRING, spark_string(value), duckdb_string(value))


def _literal(value: Literal, type: Type, spark: str, duckdb: str) -> Term:
    shown = repr(value) if isinstance(value, str) else f"date '{value}'" if type is Type.DATE else spark.lower()
    if type in (Type.INTEGER, Type.FLOAT):
        shown = str(value)
    if type is Type.TIMESTAMP:
        shown = f"timestamp '{value}'"
    return Term(shorten(shown), type, spark, duckdb, nullable=False, literal=value, is_literal=True)


def spark_literal(value: Literal) -> str:
    """A value in Spark's dialect; raises :class:`ExpressionError` for text that no expression may hold."""
    return literal_term(value).spark


def spark_string(text: str) -> str:
    """A Spark string literal that no escape setting and no ``${...}`` substitution can reach."""
    if text.isprintable() and not set(text) & set("'\\$"):
        return f"'{text}'"
    return f"CAST(X'{_utf8(text).hex()}' AS STRING)"


def duckdb_string(text: str) -> str:
    """A DuckDB string literal: a doubled quote is its only escape."""
    _utf8(text)
    return "'" + text.replace("'", "''") + "'"


def _utf8(text: str) -> bytes:
    if "\0" in text:
        raise ExpressionError("A text literal holds the character NUL, which DuckDB cannot read. Leave it out.")
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise ExpressionError("A text literal holds half a surrogate pair, which is not a character.") from error


def present(term: Term) -> Term:
    """The term with null in the place of NaN."""
    if not term.nan:
        return term
    return replace(
        term,
        spark=f"nanvl({term.spark}, CAST(NULL AS DOUBLE))",
        duckdb=f"(CASE WHEN isnan({term.duckdb}) THEN NULL ELSE {term.duckdb} END)",
        nan=False,
    )


def typed(term: Term, type: Type) -> Term:
    """The term as ``type``, by what need not be asked for: null, integer to float, ISO text to date."""
    if term.type is type:
        return term
    if term.type is None:
        physical = PHYSICAL.get(type)
        return replace(
            term,
            type=type,
            spark=f"CAST(NULL AS {physical or 'STRING'})",
            duckdb=f"CAST(NULL AS {physical or 'VARCHAR'})",
        )
    if term.type is Type.INTEGER and type is Type.FLOAT:
        if isinstance(term.literal, int):
            return literal_term(float(term.literal))
        return replace(term, type=type, spark=f"CAST({term.spark} AS DOUBLE)", duckdb=f"CAST({term.duckdb} AS DOUBLE)")
    if type is Type.DATE and isinstance(term.literal, str):
        return date_literal(term.literal)
    if type is Type.TIMESTAMP and isinstance(term.literal, str):
        return timestamp_literal(term.literal)
    if type is Type.TIMESTAMP and term.type is Type.DATE:
        return midnight(term)
    raise ColumnTypeError(f"{term.shown} is {kind(term)}, not {article(type)}. {remedy(term, type)}")


def date_literal(text: str) -> Term:
    """The date that ``text`` writes, or an :class:`ExpressionError`."""
    match = ISO_DATE.fullmatch(text)
    try:
        if match is None:
            raise ValueError(text)
        return literal_term(datetime.date.fromisoformat(match[1]))
    except ValueError as error:
        raise ExpressionError(f"{text!r} is not a date. Write it as year-month-day: date '2024-02-29'.") from error


def timestamp_literal(text: str) -> Term:
    """The timestamp that ``text`` writes, in UTC where it names a zone, or an :class:`ExpressionError`."""
    try:
        if ISO_TIME.fullmatch(text.strip(" ")) is None:
            raise ValueError(text)
        return literal_term(in_utc(datetime.datetime.fromisoformat(text.strip(" "))))
    except (ValueError, OverflowError) as error:
        raise ExpressionError(
            f"{text!r} is not a timestamp. Write it as year-month-day hours:minutes: timestamp '2024-02-29 10:00'."
        ) from error


def midnight(day: Term) -> Term:
    """The timestamp at which a day begins."""
    if isinstance(day.literal, datetime.date):
        return literal_term(datetime.datetime.combine(day.literal, datetime.time()))
    days = f"CAST({day.duckdb} - DATE '1970-01-01' AS BIGINT)"
    spark, duckdb = f"(CAST(unix_date({day.spark}) AS BIGINT) * {DAY}L)", f"({days} * CAST({DAY} AS BIGINT))"
    return derive(f"timestamp({day.shown})", Type.TIMESTAMP, spark, duckdb, [day], nullable=False)


def since(moment: Term, unit: int) -> tuple[str, str]:
    """How many microseconds have passed since the last whole ``unit`` of them, on both engines; never negative."""
    whole = f"CAST({unit} AS BIGINT)"
    return f"pmod({moment.spark}, {unit}L)", f"(({moment.duckdb} % {whole} + {whole}) % {whole})"


def day_of(moment: Term) -> Term:
    """The day of a timestamp."""
    if isinstance(moment.literal, datetime.datetime):
        return literal_term(moment.literal.date())
    spark, duckdb = since(moment, DAY)
    return derive(
        f"date({moment.shown})",
        Type.DATE,
        f"date_from_unix_date(CAST((({moment.spark} - {spark}) div {DAY}L) AS INT))",
        f"(DATE '1970-01-01' + CAST(({moment.duckdb} - {duckdb}) // CAST({DAY} AS BIGINT) AS INTEGER))",
        [moment],
        nullable=False,
    )


def expressed(text: str, term: Term) -> Expression:
    """What a step of the plan is told of a typed term that ``text`` writes: of microseconds, the timestamp itself."""
    if term.type is Type.TIMESTAMP:
        term = replace(term, spark=f"timestamp_micros({term.spark})", duckdb=f"make_timestamp({term.duckdb})")
    assert term.type is not None
    return Expression(text, term.type, term.nullable, term.reads, term.spark, term.duckdb)


def common(terms: Sequence[Term], where: str) -> tuple[Type | None, list[Term]]:
    """The one type that all ``terms`` take, and the terms as that type."""
    types = {term.type for term in terms} - {None}
    if not types:
        return None, list(terms)
    if types == {Type.INTEGER, Type.FLOAT}:
        target = Type.FLOAT
    elif types == {Type.DATE, Type.STRING}:
        target = Type.DATE
    elif Type.TIMESTAMP in types and types <= {Type.TIMESTAMP, Type.DATE, Type.STRING}:
        target = Type.TIMESTAMP
    else:
        target = next(term.type for term in terms if term.type is not None)
    for term in terms:
        usable(term, where)
        if term.type not in (target, None) and not converts(term, target):
            other = next(each for each in terms if each.type is target)
            raise ColumnTypeError(
                f"{where} mixes {other.shown}, {kind(other)}, with {term.shown}, {kind(term)}. {remedy(term, target)}"
            )
    return target, [typed(term, target) for term in terms]


def converts(term: Term, type: Type) -> bool:
    written = type in (Type.DATE, Type.TIMESTAMP) and isinstance(term.literal, str)
    whole = term.type is Type.INTEGER and type is Type.FLOAT
    return whole or written or (term.type is Type.DATE and type is Type.TIMESTAMP)


def usable(term: Term, where: str) -> Term:
    """The term itself, unless it is of a type that no expression may look into."""
    if term.type is Type.OTHER:
        raise ColumnTypeError(
            f"{where} cannot use {term.shown}, whose type dpframe does not know: only `is null` and "
            "`is not null` can. Turn it into text, a number, a boolean or a date before .dp."
        )
    return term


def boolean(term: Term, where: str) -> Term:
    """The term as a truth value."""
    if term.type in (Type.BOOLEAN, None):
        return typed(term, Type.BOOLEAN)
    usable(term, where)
    compared = {
        Type.STRING: f"{term.shown} = 'yes'",
        Type.DATE: f"{term.shown} >= date '2020-01-01'",
        Type.TIMESTAMP: f"{term.shown} >= timestamp '2020-01-01 00:00'",
    }.get(term.type or Type.INTEGER, f"{term.shown} <> 0")
    raise ColumnTypeError(f"{where} needs a truth value, and {term.shown} is {kind(term)}. Compare it: {compared}.")


def kind(term: Term) -> str:
    return "null" if term.type is None else article(term.type)


def article(type: Type) -> str:
    words = {
        Type.INTEGER: "an integer",
        Type.FLOAT: "a float",
        Type.BOOLEAN: "a boolean",
        Type.STRING: "text",
        Type.DATE: "a date",
        Type.TIMESTAMP: "a timestamp",
        Type.OTHER: "of an unknown type",
    }
    return words[type]


def remedy(term: Term, type: Type) -> str:
    """What to write to get ``type`` out of ``term``."""
    if isinstance(term.literal, str) and type in (Type.INTEGER, Type.FLOAT) and NUMERIC.fullmatch(term.literal):
        return f"Write {term.literal.strip()} without quotes."
    if type is Type.STRING and term.type is Type.INTEGER and term.is_literal:
        return f"Write '{term.literal}'."
    if type is Type.BOOLEAN and term.is_literal:
        return "Write true or false."
    fixes = {
        (Type.FLOAT, Type.INTEGER): "Write floor({0}) or cast({0} as bigint).",
        (Type.FLOAT, Type.STRING): "Write cast(cast({0} as bigint) as string), or dp.cut(...) for intervals.",
        (Type.BOOLEAN, Type.INTEGER): "Write cast({0} as bigint).",
        (Type.BOOLEAN, Type.FLOAT): "Write cast({0} as double).",
        (Type.BOOLEAN, Type.STRING): "Write cast({0} as string).",
        (Type.INTEGER, Type.STRING): "Write cast({0} as string).",
        (Type.INTEGER, Type.BOOLEAN): "Write {0} <> 0.",
        (Type.FLOAT, Type.BOOLEAN): "Write {0} <> 0.",
        (Type.STRING, Type.BOOLEAN): "Write {0} in ('true', 'yes').",
        (Type.STRING, Type.INTEGER): "Write cast({0} as bigint).",
        (Type.STRING, Type.FLOAT): "Write cast({0} as double).",
        (Type.STRING, Type.DATE): "Write cast({0} as date).",
        (Type.DATE, Type.STRING): "Write cast({0} as string).",
        (Type.DATE, Type.INTEGER): "Write year({0}) or datediff({0}, date '1970-01-01').",
        (Type.DATE, Type.FLOAT): "Write year({0}) or datediff({0}, date '1970-01-01').",
        (Type.TIMESTAMP, Type.DATE): "Write cast({0} as date).",
        (Type.TIMESTAMP, Type.STRING): "Write cast(cast({0} as date) as string), or hour({0}).",
        (Type.TIMESTAMP, Type.INTEGER): "Write unix_seconds({0}) or hour({0}).",
        (Type.TIMESTAMP, Type.FLOAT): "Write unix_seconds({0}) or hour({0}).",
        (Type.INTEGER, Type.TIMESTAMP): "Write timestamp_seconds({0}).",
    }
    assert term.type is not None
    fix = fixes.get((term.type, type), "Use another column, or compute the value before .dp.")
    return fix.format(term.shown)


def shorten(text: str, most: int = 60) -> str:
    """The text, cut where it would fill an error message."""
    return text if len(text) <= most else text[:most] + "…"


def nesting(text: str) -> int:
    """How deep the brackets of a rendered expression go."""
    depth = deepest = 0
    for bracket in re.finditer(r"[()]", re.sub(r"'[^']*'", "", text)):
        depth += 1 if bracket[0] == "(" else -1
        deepest = max(deepest, depth)
    return deepest
