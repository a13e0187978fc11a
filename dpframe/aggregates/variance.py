"""The sample variance of a clipped column, and its root.

With deviations d from the midpoint and their squares shifted by c, half of the largest one, a group of n rows has

    D = Σ d,   S = Σ (d² − c),   variance = (S + n·c − D²/n) / (n − 1).

The shift halves the sensitivity of S, for a row's square lies in [0, 2c]. Of n values between two bounds R apart the
variance is at most R²/4 · n/(n − 1): Σ (x − mean)² is at most Σ (x − midpoint)² ≤ n·R²/4.

The split. To first order noises δD, δS, δn move the answer by (δS − 2m·δD + (c − q + 2m²)·δn)/n, where m and q are
the means of d and of d². For values spread by 30 beta laws between the bounds, 4 : 4 : 3 has on average 16 % more
error than the best split of each (ε; ρ: 9 %) and never twice as much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpframe.aggregates.base import Answer, Noisy, Prepared
from dpframe.aggregates.clip import clipped, squares
from dpframe.plan import Count, Number, Schema, Squares, Sum

Floats = npt.NDArray[np.float64]

DEVIATIONS, SQUARES, ROWS = 4, 4, 3


@dataclass(frozen=True)
class Variance:
    """The sample variance of a column clipped to [low, high], or its ``root``; missing values do not count."""

    column: str
    low: Number | None = None
    high: Number | None = None
    root: bool = False

    @property
    def name(self) -> str:
        return "std" if self.root else "var"

    @property
    def label(self) -> str:
        return f"{self.column}_{self.name}"

    def prepare(self, schema: Schema) -> Prepared:
        column, deviations = clipped(schema, self.column, self.low, self.high, centered=True)
        squared = squares(column, deviations)
        rows = Count(column.ref if column.nullable else None)
        statistics, weights = (deviations, squared, rows), (DEVIATIONS, SQUARES, ROWS)
        if self.root:
            return Prepared(statistics, weights, lambda parts: _root(finish(deviations, squared, parts)))
        return Prepared(statistics, weights, lambda parts: finish(deviations, squared, parts))

    def __str__(self) -> str:
        return f"{self.name}({self.column}, {self.low}, {self.high})"


def finish(deviations: Sum, squared: Squares, parts: Sequence[Noisy]) -> Answer:
    """The variance from noisy parts, clamped to what values between the bounds can have.

    A noisy count below 2 is read as 2. The interval holds whenever all noises are within their half-widths: a group
    that has a variance has at least two rows. A group whose count is exactly known to be below 2 has none: NaN.
    """
    sums, squares_, rows = parts
    shift, spread = squared.shift * squared.grid, float(deviations.high - deviations.low)
    count, fewest, most = (
        np.maximum(rows.values + step, 2).astype(float) for step in (0, -rows.half_width, rows.half_width)
    )
    ends = [(sums.values + step) * deviations.grid for step in (-sums.half_width, sums.half_width)]
    around = [end * end for end in ends]
    nearest = np.where(np.signbit(ends[0]) != np.signbit(ends[1]), 0.0, np.minimum(*around))
    total = sums.values * deviations.grid
    low, middle, high = (
        (squares_.values + step).astype(float) * squared.grid for step in (-squares_.half_width, 0, squares_.half_width)
    )
    found = (
        _clamped(_variance(count, middle, total * total, shift), spread, count),
        _clamped(_extreme(np.minimum, fewest, most, low, np.maximum(*around), shift), spread, fewest),
        _clamped(_extreme(np.maximum, fewest, most, high, nearest, shift), spread, fewest),
    )
    if rows.half_width == 0:
        values, bottom, top = (np.where(rows.values < 2, np.nan, each) for each in found)
        return Answer(values, bottom, top, rows.clear)
    return Answer(*found, rows.clear)


def _variance(count: Floats, total: Floats, square: Floats, shift: float) -> Floats:
    """The formula of this module, of S and D²."""
    variance: Floats = (total + count * shift - square / count) / (count - 1)
    return variance


def _extreme(extreme: np.ufunc, fewest: Floats, most: Floats, total: Floats, square: Floats, shift: float) -> Floats:
    """The least or largest variance over the counts between two.

    As a function of n it is c + (S + c)/(n − 1) − D²/(n(n − 1)), whose derivative is 0 where
    (S + c)·n² − 2·D²·n + D² = 0: an extreme is there or at an end.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        leading = total + shift
        root = np.sqrt(square * (square - leading))
        flat = [np.nan_to_num((square + sign * root) / leading, nan=2.0) for sign in (-1, 1)]
    counts = [fewest, most, *(np.clip(each, fewest, most) for each in flat)]
    found: Floats = extreme.reduce([_variance(count, total, square, shift) for count in counts])
    return found


def _clamped(variance: Floats, spread: float, count: Floats) -> Floats:
    return np.clip(variance, 0.0, spread * spread / 4 * (count / (count - 1)))


def _root(answer: Answer) -> Answer:
    assert answer.low is not None and answer.high is not None
    return Answer(np.sqrt(answer.values), np.sqrt(answer.low), np.sqrt(answer.high), answer.reliable)


def var(column: str, low: Number | None = None, high: Number | None = None) -> Variance:
    """The sample variance (n − 1) of ``column`` in each group, every value clipped to [low, high].

    Parameters
    ----------
    column
        A number column. Rows where it is null or NaN do not count; infinities count as the nearer bound.
    low, high
        Clipping bounds in the column's units, low < high; left out, those of ``protect(bounds=)``; without them, bounds
        that the release finds for a fifth of its cost (:func:`dpframe.bounds`).

    Returns
    -------
    Variance
        For ``.agg()``; the answer is float64, at least 0 and at most ``(high − low)²/4 · n/(n − 1)`` of the noisy
        count n, which is read as 2 where it is less. It shares its parts with ``dp.mean`` of the same column and
        bounds. Without noise, a group of fewer than two rows has NaN. Squares are rounded to a power-of-two grid of
        at most ``(high − low)² / 2**32``; for integers to none, while ``high − low`` is at most 2**16.

    Examples
    --------
    >>> print(var("books", 0, 22))
    var(books, 0, 22)
    >>> import pandas as pd, dpframe as dp
    >>> private = pd.DataFrame({"books": [0, 10]}).dp.protect()
    >>> private.agg(dp.var("books", 0, 10)).release(budget=dp.Budget.unlimited())
       books_var
    0       50.0
    """
    return Variance(column, low, high)


def std(column: str, low: Number | None = None, high: Number | None = None) -> Variance:
    """The sample standard deviation of ``column`` in each group: the root of :func:`var`, of the same parts.

    Parameters
    ----------
    column, low, high
        As for :func:`var`.

    Returns
    -------
    Variance
        For ``.agg()``; the answer is float64, within the roots of what :func:`var` keeps to.

    Examples
    --------
    >>> print(std("books", 0, 22))
    std(books, 0, 22)
    """
    return Variance(column, low, high, root=True)
