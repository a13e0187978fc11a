"""An aggregate as a method: ``.mean("books", 0, 22)`` for ``.agg(dp.mean("books", 0, 22))``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, TypeVar

from dpframe import aggregates
from dpframe.aggregates import Aggregate
from dpframe.aggregates.find_bounds import bounds as find_bounds
from dpframe.plan import Number

Asked = TypeVar("Asked", covariant=True)


class Asks(Protocol[Asked]):
    """What answers aggregates."""

    def agg(self, *unnamed: Aggregate, **named: Aggregate) -> Asked: ...


class Direct:
    """One aggregate of the frame, or of each of its groups, under its own name."""

    def count(self: Asks[Asked]) -> Asked:
        """The number of rows; see :func:`dpframe.count`."""
        return self.agg(aggregates.count())

    def count_distinct(self: Asks[Asked], *columns: str) -> Asked:
        """The number of distinct values; see :func:`dpframe.count_distinct`."""
        return self.agg(aggregates.count_distinct(*columns))

    def histogram(self: Asks[Asked], column: str, edges: Iterable[Any], **how: Any) -> Asked:
        """The number of rows in each interval of a column; see :func:`dpframe.histogram`."""
        return self.agg(aggregates.histogram(column, edges, **how))

    def sum(self: Asks[Asked], column: str, low: Number | None = None, high: Number | None = None) -> Asked:
        """The sum of a clipped column; see :func:`dpframe.sum`."""
        return self.agg(aggregates.sum(column, low, high))

    def mean(self: Asks[Asked], column: str, low: Number | None = None, high: Number | None = None) -> Asked:
        """The mean of a clipped column; see :func:`dpframe.mean`."""
        return self.agg(aggregates.mean(column, low, high))

    def var(self: Asks[Asked], column: str, low: Number | None = None, high: Number | None = None) -> Asked:
        """The sample variance of a clipped column; see :func:`dpframe.var`."""
        return self.agg(aggregates.var(column, low, high))

    def std(self: Asks[Asked], column: str, low: Number | None = None, high: Number | None = None) -> Asked:
        """The sample standard deviation of a clipped column; see :func:`dpframe.std`."""
        return self.agg(aggregates.std(column, low, high))

    def quantile(
        self: Asks[Asked], column: str, q: Any, low: Number | None = None, high: Number | None = None
    ) -> Asked:
        """Quantiles of a clipped column; see :func:`dpframe.quantile`."""
        return self.agg(aggregates.quantile(column, q, low, high))

    def bounds(self: Asks[Asked], column: str) -> Asked:
        """Bounds of a column, found privately; see :func:`dpframe.bounds`."""
        return self.agg(find_bounds(column))

    def median(self: Asks[Asked], column: str, low: Number | None = None, high: Number | None = None) -> Asked:
        """The median of a clipped column; see :func:`dpframe.median`."""
        return self.agg(aggregates.median(column, low, high))

    def min(self: Asks[Asked], column: str, low: Number | None = None, high: Number | None = None) -> Asked:
        """The least value of a clipped column; see :func:`dpframe.min`."""
        return self.agg(aggregates.min(column, low, high))

    def max(self: Asks[Asked], column: str, low: Number | None = None, high: Number | None = None) -> Asked:
        """The largest value of a clipped column; see :func:`dpframe.max`."""
        return self.agg(aggregates.max(column, low, high))
