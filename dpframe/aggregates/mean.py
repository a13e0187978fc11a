"""The mean of a clipped column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dpframe.aggregates.base import Answer, Noisy, Prepared
from dpframe.aggregates.clip import clipped
from dpframe.plan import Count, Number, Schema, Sum

DEVIATIONS, ROWS = 4, 1
"""How a mean splits its share: a mean near the midpoint hardly depends on the count's noise, so most goes to
the deviations (35 % less error than halves at 500 rows)."""


@dataclass(frozen=True)
class Mean:
    """The mean of a column clipped to [low, high], over the rows where it is not missing."""

    column: str
    low: Number | None = None
    high: Number | None = None

    @property
    def label(self) -> str:
        return f"{self.column}_mean"

    def prepare(self, schema: Schema) -> Prepared:
        column, deviations = clipped(schema, self.column, self.low, self.high, centered=True)
        # Where nothing can be missing, the rows with a value are all rows: one noisy count serves both.
        rows = Count(column.ref if column.nullable else None)
        return Prepared((deviations, rows), (DEVIATIONS, ROWS), lambda parts: finish(deviations, parts))

    def __str__(self) -> str:
        return f"mean({self.column}, {self.low}, {self.high})"


def finish(statistic: Sum, parts: Sequence[Noisy]) -> Answer:
    """Midpoint + noisy deviations ÷ noisy count, clamped to the bounds.

    The interval holds whenever both noises are within their half-widths: a group that has a mean has at
    least one row, so the true count lies between max(1, n − w) and n + w. A group whose count is exactly
    known to be 0 has no mean: NaN.
    """
    deviations, rows = parts
    below, above = deviations.values - deviations.half_width, deviations.values + deviations.half_width
    fewest = np.maximum(rows.values - rows.half_width, 1)
    most = np.maximum(rows.values + rows.half_width, 1)
    steps = np.stack([deviations.values, below, below, above, above])
    counts = np.stack([np.maximum(rows.values, 1), fewest, most, fewest, most])
    means = float(statistic.center) + steps * statistic.grid / counts
    means = np.clip(means, float(statistic.low), float(statistic.high))
    values, bottom, top = means[0], means[1:3].min(axis=0), means[3:5].max(axis=0)
    if rows.half_width == 0:
        empty = rows.values == 0
        values, bottom, top = (np.where(empty, np.nan, column) for column in (values, bottom, top))
    return Answer(values, bottom, top, rows.clear)


def mean(column: str, low: Number | None = None, high: Number | None = None) -> Mean:
    """The mean of ``column`` in each group, every value clipped to [low, high].

    Parameters
    ----------
    column
        A number column. Rows where it is null or NaN do not count; infinities count as the nearer bound.
    low, high
        Clipping bounds in the column's units, low < high; left out, those of ``protect(bounds=)``; without them, bounds
        that the release finds for a fifth of its cost (:func:`dpframe.bounds`).

    Returns
    -------
    Mean
        For ``.agg()``; the answer is float64 and always within [low, high]. The noisy count that it
        divides by is the very one that ``dp.count()`` beside it shows, when the column has no missing
        values by its type (or after ``.filter("column is not null")``).

    Examples
    --------
    >>> print(mean("books", 0, 22))
    mean(books, 0, 22)
    """
    return Mean(column, low, high)
