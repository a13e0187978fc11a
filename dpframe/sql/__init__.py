"""Scalar SQL text, checked and rendered for both engines. The only place that reads SQL.

An expression is one value per row, in Spark's dialect: deterministic, over the columns of the frame, made of
a whitelist of functions that mean the same in Spark and in DuckDB. It is *total*: what cannot be computed (a
division by zero, an overflow, text that is no number, a day after year 9999) is null, never an exception.

* Integers are 64-bit and every float is a double, whatever a cast calls them; ``0.1`` is a double.
* Null and NaN are one and the same *missing*: ``x is null`` is true for both, no comparison with either is
  true, and ``coalesce``, ``greatest`` and ``least`` pass over both. Infinities are values.
* Text is compared by code point. Date literals may be written as plain ISO text next to a date.
"""

from __future__ import annotations

from dataclasses import replace

from dpframe.errors import ExpressionError
from dpframe.plan import Expression, Schema, Type
from dpframe.sql import grammar
from dpframe.sql.cut import cut_expression, cut_labels
from dpframe.sql.grammar import read
from dpframe.sql.limits import limits
from dpframe.sql.missing import EMPTY, clamped, equals, filled, fitting, infinities, is_not_infinite, is_present
from dpframe.sql.terms import article, expressed, spark_literal, usable

__all__ = [
    "EMPTY",
    "clamped",
    "conjuncts",
    "cut_expression",
    "cut_labels",
    "equals",
    "filled",
    "fitting",
    "infinities",
    "is_not_infinite",
    "is_present",
    "predicate",
    "proves_present",
    "scalar",
    "spark_literal",
]


def scalar(text: str, schema: Schema) -> Expression:
    """Check one scalar SQL expression and render it for both engines.

    Parameters
    ----------
    text
        The expression, in Spark's dialect, over the names of ``schema``.
    schema
        The columns that it may read.

    Raises
    ------
    ExpressionError
        The text is not one scalar, deterministic expression made of known functions.
    ColumnTypeError
        An operand is of a type that its operator cannot use.
    UnknownColumnError
        A name is not a column of the schema.

    Examples
    --------
    >>> from dpframe.plan import Column, Schema, Type
    >>> schema = Schema((Column("age", "c0", Type.INTEGER),), width=1)
    >>> value = scalar("age + 1", schema)
    >>> value.spark, value.duckdb
    ('try_add(c0, 1L)', 'TRY_CAST(CAST(c0 AS HUGEINT) + CAST(1 AS HUGEINT) AS BIGINT)')
    """
    term = usable(read(text, schema), "An expression")
    if term.type is None:
        raise ExpressionError(f"{text!r} is null and has no type. Give it one: cast(null as bigint).")
    return expressed(text, term)


def predicate(text: str, schema: Schema) -> Expression:
    """Check one condition and render it for both engines.

    Raises
    ------
    ExpressionError
        As for :func:`scalar`, and where the expression is no truth value.
    ColumnTypeError, UnknownColumnError
        As for :func:`scalar`.

    Examples
    --------
    >>> from dpframe.plan import Column, Schema, Type
    >>> schema = Schema((Column("age", "c0", Type.INTEGER),), width=1)
    >>> predicate("age between 18 and 65", schema).spark
    '(c0 >= 18L AND c0 <= 65L)'
    """
    expression = scalar(text, schema)
    if expression.type is not Type.BOOLEAN:
        example = {Type.STRING: "= 'yes'", Type.DATE: ">= date '2020-01-01'"}.get(expression.type, "> 0")
        raise ExpressionError(
            f"{text!r} is {article(expression.type)}, and a condition must be true or false. "
            f"Compare it: {text} {example}."
        )
    return replace(expression, limits=limits(text, schema))


def conjuncts(text: str, schema: Schema) -> tuple[Expression, ...]:
    """Check one condition and take it apart at its outermost ``and``: true wherever all parts are.

    Raises
    ------
    ExpressionError, ColumnTypeError, UnknownColumnError
        As for :func:`predicate`.

    Examples
    --------
    >>> from dpframe.plan import Column, Schema, Type
    >>> schema = Schema((Column("age", "c0", Type.INTEGER), Column("land", "c1", Type.STRING)), width=2)
    >>> [part.duckdb for part in conjuncts("age > 3 and land = 'CH'", schema)]
    ['(c0 > CAST(3 AS BIGINT))', "(c1 = 'CH')"]
    """
    predicate(text, schema)
    return tuple(expressed(term.shown, term) for term in grammar.conjuncts(text, schema))


def proves_present(text: str, schema: Schema) -> frozenset[str]:
    """The refs that are certainly not missing in the rows that the condition ``text`` keeps.

    Not only ``x is not null`` proves it: so does every comparison that is true, since a comparison with a
    missing value is not. Present means neither null nor NaN.

    Raises
    ------
    ExpressionError, ColumnTypeError, UnknownColumnError
        As for :func:`predicate`.

    Examples
    --------
    >>> from dpframe.plan import Column, Schema, Type
    >>> schema = Schema((Column("age", "c0", Type.INTEGER), Column("pay", "c1", Type.FLOAT)), width=2)
    >>> sorted(proves_present("pay is not null and age + 1 > 18", schema))
    ['c0', 'c1']
    >>> sorted(proves_present("pay is not null or age > 18", schema))
    []
    """
    predicate(text, schema)
    return read(text, schema).when_true
