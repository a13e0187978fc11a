"""From clipping bounds to an exact integer sum: the checks and the grids that sum, mean and variance share."""

from __future__ import annotations

import math
import numbers
from decimal import Decimal

from dpframe.errors import BoundsError, ColumnTypeError
from dpframe.lines import Line
from dpframe.plan import Column, Number, Schema, Squares, Sum, Type

LARGEST_STEP = 2**30
"""One row moves a sum by at most this many grid steps, so 2**32 rows of a group stay below 2**62: a 64-bit
sum cannot wrap around, whatever the data."""

LONGEST = 2**44
"""Steps of a line on which quantiles are chosen: finer than bounds and data call for, and many to a double."""


def clipped(schema: Schema, name: str, low: object, high: object, *, centered: bool) -> tuple[Column, Sum]:
    """The exact sum of a column between bounds; ``centered`` sums deviations from the midpoint.

    Raises
    ------
    BoundsError
        For missing, reversed or infinite bounds, and for bounds whose sum could overflow 64 bits.
    ColumnTypeError
        For a column that is not a number.
    """
    column, bottom, top = _bounded(schema, name, low, high)
    if column.type is Type.FLOAT:
        return column, _floats(column, float(bottom), float(top), centered=centered)
    first, end = int(bottom), int(top)  # integers are their own grid
    statistic = Sum(column.ref, first, end, (first + end) // 2 if centered else 0, 1.0, integer=True)
    if statistic.reach > LARGEST_STEP:
        raise BoundsError(
            f"The bounds ({low}, {high}) of {column.name!r} could overflow an exact 64-bit sum: one row may move "
            f"it by at most {LARGEST_STEP:,}. Tighten the bounds, or use coarser units, as in "
            f".assign({_word(column.name)}='{column.name} / 1000')."
        )
    return column, statistic


def line(schema: Schema, name: str, low: object, high: object) -> Line:
    """The finest line of at most ``LONGEST`` steps of a power of two between the bounds of a column.

    Raises
    ------
    BoundsError, ColumnTypeError
        As :func:`clipped`, but for bounds that are wide.
    """
    column, bottom, top = _bounded(schema, name, low, high)
    if column.type is Type.FLOAT:
        width = float(top) - float(bottom)
        step = math.ldexp(1.0, math.frexp(width / LONGEST)[1])
        return Line(column.ref, float(bottom), float(top), step, integer=False)
    first, end = int(bottom), int(top)
    if end - first >= 2**62:
        raise BoundsError(f"The bounds ({low}, {high}) of {name!r} are too far apart: tighten them.")
    bits = max(0, (end - first - 1).bit_length() - (LONGEST.bit_length() - 1))
    return Line(column.ref, first, end, math.ldexp(1.0, bits), integer=True)


def _bounded(schema: Schema, name: str, low: object, high: object) -> tuple[Column, Number, Number]:
    """A number column and its bounds, given or declared; whole ones of an integer column."""
    column = schema[name]
    if column.type not in (Type.INTEGER, Type.FLOAT):
        raise ColumnTypeError(
            f"{name!r} is a {column.type.value} column; only numbers have a sum, a mean, a variance or a quantile. "
            f"Turn it into one first, for instance .assign({_word(name)}='cast({name} as double)')."
        )
    if low is None and high is None and column.bounds is not None:
        low, high = column.bounds
    bottom, top = bounds(name, low, high)
    if column.type is Type.FLOAT and not float(bottom) < float(top):
        raise BoundsError(f"The bounds of {name!r} are ({low}, {high}), which are one and the same double: widen them.")
    if column.type is Type.INTEGER:
        bottom, top = math.ceil(bottom), math.floor(top)
        if bottom >= top:
            raise BoundsError(f"No two integers of {name!r} lie between {low} and {high}: widen the bounds.")
        if bottom < -(2**63) or top >= 2**63:
            raise BoundsError(f"The bounds ({low}, {high}) of {name!r} leave the range of 64-bit integers.")
    return column, bottom, top


def bounds(name: str, low: object, high: object) -> tuple[Number, Number]:
    """Two finite numbers, low < high, or a :class:`BoundsError` that says how to give them."""
    call = f"give finite numbers low < high, as in dp.mean({name!r}, 0, 100) or protect(bounds={{{name!r}: (0, 100)}})"
    if low is None or high is None:
        raise BoundsError(f"{name!r} needs clipping bounds: {call}.")
    bottom, top = _number(name, low, call), _number(name, high, call)
    if not bottom < top:
        raise BoundsError(f"The bounds of {name!r} are ({low}, {high}), but low must be less than high: {call}.")
    return bottom, top


def _number(name: str, value: object, call: str) -> Number:
    if isinstance(value, bool) or not isinstance(value, numbers.Real | Decimal):
        raise BoundsError(f"The bound {value!r} of {name!r} is not a number: {call}.")
    try:
        number = int(value) if isinstance(value, numbers.Integral) else float(value)
    except (ValueError, OverflowError):  # a signalling NaN, a fraction beyond every double
        number = math.nan
    # Beyond these sizes the grid itself would leave the range of doubles.
    if not (number == 0 or 1e-250 < abs(number) < 1e250):
        raise BoundsError(f"A bound of {name!r} is not a finite number of ordinary size: {call}.")
    return number


def _floats(column: Column, low: float, high: float, *, centered: bool) -> Sum:
    """The finest power-of-two grid on which one row is at most ``LARGEST_STEP`` steps."""
    center = low + (high - low) / 2 if centered else 0.0
    furthest = max(abs(low - center), abs(high - center))
    grid = math.ldexp(1.0, math.frexp(furthest)[1] - LARGEST_STEP.bit_length() + 1)
    return Sum(column.ref, low, high, center, grid, integer=False)


def squares(column: Column, deviations: Sum) -> Squares:
    """The exact sum of the squares of those deviations, on the finest grid that keeps to ``LARGEST_STEP``.

    Shifted by half of the largest square, a row's square reaches half as far; so it may have twice the steps.

    Raises
    ------
    BoundsError
        For bounds whose squares would leave the range of doubles.
    """
    low, high, center = deviations.low, deviations.high, deviations.center
    if deviations.integer:
        largest = deviations.reach**2
        bits = max(0, (largest - 1).bit_length() - LARGEST_STEP.bit_length())
        steps = largest + (1 << bits >> 1) >> bits
        return Squares(deviations.ref, low, high, center, math.ldexp(1.0, bits), steps // 2, integer=True)
    furthest = max(abs(float(end) - float(center)) for end in (low, high))
    if not 1e-120 < furthest < 1e120:
        raise BoundsError(
            f"The bounds ({low}, {high}) of {column.name!r} are no numbers of ordinary size once they are squared: "
            f"use other units, as in .assign({_word(column.name)}='{column.name} / 1e100')."
        )
    grid = math.ldexp(1.0, math.frexp(furthest * furthest)[1] - LARGEST_STEP.bit_length())
    return Squares(deviations.ref, low, high, center, grid, round(furthest * furthest / grid) // 2, integer=False)


def _word(name: str) -> str:
    return name if name.isidentifier() else "x"
