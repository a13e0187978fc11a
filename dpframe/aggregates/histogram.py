"""Counts by bin: a grouping by intervals, and the number of rows in each."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from dpframe.aggregates.base import Prepared
from dpframe.errors import PlanError
from dpframe.plan import Cut, Number, Schema, cut


@dataclass(frozen=True)
class Histogram:
    """The number of rows in each interval of a cut. It groups, so ``.agg`` takes it by itself."""

    cut: Cut
    bins: str
    label = "count"

    def prepare(self, schema: Schema) -> Prepared:
        raise PlanError(
            f"A histogram groups by its bins, so it is the only aggregate of its .agg(). For others beside it cut the "
            f"column yourself: .assign({self.bins}=dp.cut({self.cut.column!r}, [...])).groupby({self.bins!r})."
        )

    def __str__(self) -> str:
        return f"histogram({str(self.cut).removeprefix('cut(')}"


def histogram(
    column: str,
    edges: Iterable[Number | datetime.date | str],
    *,
    right: bool = True,
    include_both: bool = True,
    labels: Iterable[str] | None = None,
    nan: str | None = None,
    bins: str | None = None,
) -> Histogram:
    """The number of rows in each interval of a column, as a grouping of its own: the only aggregate of its ``.agg()``.

    ``.agg(dp.histogram("age", edges))`` is ``.assign(age_binned=dp.cut("age", edges)).groupby("age_binned").count()``,
    with the columns of a grouping that there is before ``age_binned``.

    Parameters
    ----------
    column, edges, right, include_both, labels, nan
        As for :func:`dpframe.cut`. Values outside the edges are in no interval; null and NaN only in that of ``nan``.
    bins
        The name of the column of intervals; ``<column>_binned`` when left out.

    Returns
    -------
    Histogram
        For ``.agg()``; the answer has one row for each interval, of each group, and an int64 column ``count``.

    Raises
    ------
    PlanError
        For fewer than two edges, and for bins without a name.

    Examples
    --------
    >>> import pandas as pd, dpframe as dp
    >>> private = pd.DataFrame({"age": [31, 45, 52]}).dp.protect()
    >>> private.agg(dp.histogram("age", [0, 40, 80])).release(budget=dp.Budget.unlimited())
      age_binned  count
    0    [0, 40]      1
    1   (40, 80]      2
    """
    if not isinstance(bins, str | None):
        raise PlanError(f"bins= is the name of the column of intervals, not {bins!r}.")
    intervals = cut(column, edges, right=right, include_both=include_both, labels=labels, nan=nan)
    return Histogram(intervals, f"{column}_binned" if bins is None else bins)
