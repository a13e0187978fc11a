"""Missing values and infinities: which rows lack them, and what stands in their place.

Everything here is made of the terms that SQL text is made of, so it means the same on both engines.
"""

from __future__ import annotations

import datetime
import math
import sys
from decimal import Decimal
from numbers import Real

from dpframe.errors import BoundsError, ColumnTypeError
from dpframe.plan import Column, Expression, Number, Type, Value, in_utc
from dpframe.sql.functions import branches, call, is_missing, negate
from dpframe.sql.grammar import compare
from dpframe.sql.terms import EPOCH, article, column_term, expressed, literal_term, usable

EMPTY: dict[Type, Value | float] = {
    Type.INTEGER: 0,
    Type.FLOAT: 0.0,
    Type.BOOLEAN: False,
    Type.STRING: "",
    Type.DATE: EPOCH.date(),
    Type.TIMESTAMP: EPOCH,
}
"""What fills a column of a type when no value is given."""


def is_present(column: Column) -> Expression:
    """Whether the column's value is neither null nor NaN.

    Examples
    --------
    >>> is_present(Column("age", "c0", Type.INTEGER)).spark
    '(NOT (c0 IS NULL))'
    """
    term = column_term(column)
    return expressed(f"{term.shown} is not null", negate(is_missing(term)))


def equals(column: Column, value: Value) -> Expression:
    """Whether the column has that very value; null is one.

    Raises
    ------
    ColumnTypeError
        The value is not of the column's type.

    Examples
    --------
    >>> equals(Column("level", "c0", Type.STRING), "a").spark
    "(c0 = 'a')"
    """
    term = usable(column_term(column), "=")
    if value is None:
        return expressed(f"{term.shown} is null", is_missing(term))
    literal = literal_term(fitting(column, value))
    return expressed(f"{term.shown} = {literal.shown}", compare("=", term, literal))


def is_not_infinite(column: Column) -> Expression:
    """Whether a number column's value is finite or missing.

    Raises
    ------
    ColumnTypeError
        The column holds no numbers.
    """
    term = column_term(_number(column))
    finite = compare("<=", call("abs", [term]), literal_term(sys.float_info.max))
    return expressed(f"{term.shown} is not infinite", call("coalesce", [finite, literal_term(True)]))


def filled(column: Column, value: object) -> Expression:
    """The column with ``value`` in the place of null and NaN.

    Raises
    ------
    ColumnTypeError
        The value is not of the column's type, or nothing can fill a column of that type.
    ExpressionError
        The value is text that an engine cannot hold.

    Examples
    --------
    >>> filled(Column("age", "c0", Type.INTEGER), 18).spark
    'coalesce(c0, 18L)'
    """
    term, standing = usable(column_term(column), "fill_null"), literal_term(fitting(column, value))
    return expressed(f"coalesce({term.shown}, {standing.shown})", call("coalesce", [term, standing]))


def clamped(column: Column, low: Number, high: Number) -> Expression:
    """The number column with ``low`` in the place of -inf and ``high`` in that of inf.

    Raises
    ------
    ColumnTypeError
        The column holds no numbers.
    """
    term, most = column_term(_number(column)), sys.float_info.max
    if column.type is Type.INTEGER:
        return expressed(term.shown, term)
    infinite = [compare(">", term, literal_term(most)), compare("<", term, literal_term(-most))]
    value = branches("case", infinite, [literal_term(float(high)), literal_term(float(low)), term])
    return expressed(f"{term.shown}, infinities as {low:g} and {high:g}", value)


def fitting(column: Column, value: object) -> Value | float:
    """The value as the column's type holds it.

    Raises
    ------
    ColumnTypeError
        The value is of another type, missing, infinite or too large.
    """
    if getattr(value, "shape", None) == ():  # a numpy scalar
        value = value.item()  # type: ignore[attr-defined]
    number = isinstance(value, Real | Decimal) and not isinstance(value, bool)
    if column.type is Type.INTEGER and isinstance(value, int) and number and -(2**63) <= value < 2**63:
        return value
    if column.type is Type.FLOAT and number:
        try:
            double = float(value)  # type: ignore[arg-type]
        except (ValueError, OverflowError):  # a signalling NaN, an integer beyond every double
            double = math.nan
        if math.isfinite(double):
            return double
    if column.type is Type.BOOLEAN and isinstance(value, bool):
        return value
    if column.type is Type.STRING and isinstance(value, str):
        return value
    if column.type is Type.TIMESTAMP and isinstance(value, datetime.datetime) and value == value:
        try:
            return in_utc(value)
        except OverflowError:
            pass
    if column.type is Type.DATE and isinstance(value, str):
        try:
            return datetime.date.fromisoformat(value)
        except ValueError:
            pass
    if column.type is Type.DATE and isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value
    kinds = {Type.INTEGER: "a 64-bit integer", Type.FLOAT: "a finite number", Type.BOOLEAN: "True or False"}
    wanted = kinds.get(column.type, article(column.type))
    raise ColumnTypeError(f"{column.name!r} is {article(column.type)}, and {value!r} does not fit it: give {wanted}.")


def infinities(column: Column, pair: object) -> tuple[Number, Number]:
    """What stands for -inf and for inf, two finite numbers in order.

    Raises
    ------
    BoundsError
        For anything else.
    """
    if isinstance(pair, tuple | list) and len(pair) == 2:
        try:
            low, high = (fitting(Column(column.name, "", Type.FLOAT), each) for each in pair)
        except ColumnTypeError:
            low, high = math.nan, math.nan
        if low <= high:  # type: ignore[operator]
            return low, high  # type: ignore[return-value]
    raise BoundsError(
        f"fill_inf takes two finite numbers for {column.name!r}, in order, as in (0, 100): what stands for -inf and "
        f"for inf. It was given {pair!r}."
    )


def _number(column: Column) -> Column:
    if column.type not in (Type.INTEGER, Type.FLOAT):
        raise ColumnTypeError(f"{column.name!r} is {article(column.type)}: only numbers can be infinite.")
    return column
