"""Quantiles of a clipped column, one or several at once; the median, the least and the largest value."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

import numpy as np

from dpframe.aggregates.base import Answer, Noisy, Prepared
from dpframe.aggregates.clip import line
from dpframe.errors import PlanError
from dpframe.lines import BILLION, Line, Quantile, read
from dpframe.plan import Number, Schema

MOST = 1000
"""Quantiles of one call."""


@dataclass(frozen=True)
class QuantileOf:
    """One of the ``parts`` of a column, in billionths, chosen together with the others."""

    column: str
    parts: tuple[int, ...]
    at: int
    low: Number | None = None
    high: Number | None = None
    word: str = "quantile"

    @property
    def label(self) -> str:
        part = f"_{_text(self.parts[self.at])}" if self.word == "quantile" else ""
        return f"{self.column}_{self.word}{part}"

    def prepare(self, schema: Schema) -> Prepared:
        of = line(schema, self.column, self.low, self.high)
        statistic = Quantile(of, self.parts, self.at)
        return Prepared((statistic,), (1,), lambda parts: finish(of, parts), part=Fraction(1, len(self.parts)))

    def __str__(self) -> str:
        part = f"{_text(self.parts[self.at])}, " if self.word == "quantile" else ""
        return f"{self.word}({self.column}, {part}{self.low}, {self.high})"


@dataclass(frozen=True)
class Quantiles:
    """Several quantiles of a column, each an answer of its own."""

    column: str
    parts: tuple[int, ...]
    low: Number | None = None
    high: Number | None = None

    @property
    def label(self) -> str:
        return f"{self.column}_quantile"

    def prepare(self, schema: Schema) -> Prepared:
        raise PlanError(f"{self} is several answers: hand it to .agg(), which makes a column of each.")

    def each(self, name: str) -> list[tuple[str, QuantileOf]]:
        """The answers one by one, under a name that ends with the part."""
        return [
            (f"{name}_{_text(part)}", QuantileOf(self.column, self.parts, at, self.low, self.high))
            for at, part in enumerate(self.parts)
        ]

    def __str__(self) -> str:
        return f"quantile({self.column}, [{', '.join(map(_text, self.parts))}], {self.low}, {self.high})"


def finish(of: Line, parts: Sequence[Noisy]) -> Answer:
    """From a position to a value. There is no interval: how far a value is off depends on how far apart values are."""
    (chosen,) = parts
    values = float(of.low) + read(chosen.values) * of.step
    return Answer(np.clip(values, float(of.low), float(of.high)), None, None)


def _text(part: int) -> str:
    return format((Decimal(part) / BILLION).normalize(), "f")


def _part(q: object) -> int:
    """A part of a whole in billionths; a float counts as its shortest decimal text."""
    if not isinstance(q, bool) and isinstance(q, numbers.Real | Decimal):
        try:
            exact = Fraction(repr(float(q)) if isinstance(q, float | np.floating) else q)  # type: ignore[arg-type]
        except (ValueError, OverflowError, TypeError):  # NaN, an infinity
            exact = Fraction(-1)
        if 0 <= exact <= 1:
            return round(exact * BILLION)
    raise PlanError(f"A quantile is a number from 0 to 1, as in dp.quantile('age', 0.25, 0, 100), not {q!r}.")


def quantile(column: str, q: object, low: Number | None = None, high: Number | None = None) -> QuantileOf | Quantiles:
    """The value of ``column`` below which the part ``q`` of each group's rows lies; of a list, several at once.

    Parameters
    ----------
    column
        A number column. Rows where it is null or NaN do not count; infinities count as the nearer bound.
    q
        A number from 0 to 1, or a list of distinct ones, chosen by one recursion: nine quantiles of one list have about
        a third of the error of nine that are asked one by one. They come out in order.
    low, high
        Clipping bounds in the column's units, low < high; left out, those of ``protect(bounds=)``; without them, bounds
        that the release finds for a fifth of its cost (:func:`dpframe.bounds`).

    Returns
    -------
    QuantileOf or Quantiles
        For ``.agg()``; the answer is float64, within [low, high], on a line of at most 2⁴⁴ steps between them, whole
        ones for an integer column. A list is a column for each, ``<name>_0.25``; it counts as one answer where the
        budget is divided. A value between rows is as good as another: without noise it is the one that pandas gives,
        on the straight line between the two, and NaN in a group without rows.

    Raises
    ------
    PlanError
        For what is no number from 0 to 1, and for a list with none, with the same twice, or with more than 1000.

    Examples
    --------
    >>> print(quantile("books", [0.25, 0.5], 0, 22))
    quantile(books, [0.25, 0.5], 0, 22)
    >>> import pandas as pd, dpframe as dp
    >>> private = pd.DataFrame({"books": [0, 2, 3, 10]}).dp.protect()
    >>> private.agg(dp.quantile("books", [0.25, 0.5], 0, 22)).release(budget=dp.Budget.unlimited())
       books_quantile_0.25  books_quantile_0.5
    0                  1.5                 2.5
    """
    if isinstance(q, Iterable) and not isinstance(q, str | bytes):
        parts = sorted(_part(each) for each in q)
        if not 0 < len(parts) <= MOST or len(set(parts)) < len(parts):
            raise PlanError(f"dp.quantile({column!r}, ...) takes 1 to {MOST:,} distinct quantiles, as [0.1, 0.5].")
        return Quantiles(column, tuple(parts), low, high)
    return QuantileOf(column, (_part(q),), 0, low, high)


def median(column: str, low: Number | None = None, high: Number | None = None) -> QuantileOf:
    """The median of ``column`` in each group: :func:`quantile` of 0.5.

    Parameters
    ----------
    column, low, high
        As for :func:`quantile`.

    Returns
    -------
    QuantileOf
        For ``.agg()``; float64. Without noise, {0, 10} has the median 5, as in pandas.

    Examples
    --------
    >>> print(median("books", 0, 22))
    median(books, 0, 22)
    """
    return QuantileOf(column, (BILLION // 2,), 0, low, high, "median")


def min(column: str, low: Number | None = None, high: Number | None = None) -> QuantileOf:
    """The least value of ``column`` in each group, or with noise one some rows further inside.

    Parameters
    ----------
    column, low, high
        As for :func:`quantile`.

    Returns
    -------
    QuantileOf
        For ``.agg()``; float64. The private answer aims at the row about ``18/epsilon`` from the least, but never
        beyond the median: any nearer, it would most often be some value between ``low`` and the least row.

    Examples
    --------
    >>> print(min("books", 0, 22))
    min(books, 0, 22)
    """
    return QuantileOf(column, (0,), 0, low, high, "min")


def max(column: str, low: Number | None = None, high: Number | None = None) -> QuantileOf:
    """The largest value of ``column`` in each group, or with noise one some rows further inside; see :func:`min`.

    Parameters
    ----------
    column, low, high
        As for :func:`quantile`.

    Returns
    -------
    QuantileOf
        For ``.agg()``; float64.

    Examples
    --------
    >>> print(max("books", 0, 22))
    max(books, 0, 22)
    """
    return QuantileOf(column, (BILLION,), 0, low, high, "max")
