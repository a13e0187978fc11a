"""The sum of a clipped column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dpframe.aggregates.base import Answer, Noisy, Prepared
from dpframe.aggregates.clip import clipped
from dpframe.plan import Number, Schema, Sum


@dataclass(frozen=True)
class SumOf:
    """The sum of a column clipped to [low, high]; missing values add nothing."""

    column: str
    low: Number | None = None
    high: Number | None = None

    @property
    def label(self) -> str:
        return f"{self.column}_sum"

    def prepare(self, schema: Schema) -> Prepared:
        _, statistic = clipped(schema, self.column, self.low, self.high, centered=False)
        return Prepared((statistic,), (1,), lambda parts: finish(statistic, parts), decides=True)

    def __str__(self) -> str:
        return f"sum({self.column}, {self.low}, {self.high})"


def finish(statistic: Sum, parts: Sequence[Noisy]) -> Answer:
    """Grid steps back to the column's units: int64 for an integer column, else float64."""
    (total,) = parts
    low, high = total.values - total.half_width, total.values + total.half_width
    if statistic.integer:
        return Answer(total.values, low, high, total.clear)
    return Answer(total.values * statistic.grid, low * statistic.grid, high * statistic.grid, total.clear)


def sum(column: str, low: Number | None = None, high: Number | None = None) -> SumOf:
    """The sum of ``column`` in each group, every value clipped to [low, high].

    Parameters
    ----------
    column
        A number column. Null and NaN add nothing; infinities count as the nearer bound.
    low, high
        Clipping bounds in the column's units, low < high; left out, those of ``protect(bounds=)``; without them, bounds
        that the release finds for a fifth of its cost (:func:`dpframe.bounds`).

    Returns
    -------
    SumOf
        For ``.agg()``; the answer is int64 for an integer column and float64 otherwise, a multiple of a
        power-of-two grid of at most ``max(|low|, |high|) / 2**29``.

    Examples
    --------
    >>> print(sum("books", 0, 22))
    sum(books, 0, 22)
    """
    return SumOf(column, low, high)
