"""The number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dpframe.aggregates.base import Answer, Noisy, Prepared
from dpframe.plan import Count, Schema


@dataclass(frozen=True)
class CountRows:
    """The number of rows of a group, whatever they hold."""

    label = "count"

    def prepare(self, schema: Schema) -> Prepared:
        return Prepared((Count(),), (1,), finish, decides=True)

    def __str__(self) -> str:
        return "count()"


def finish(parts: Sequence[Noisy]) -> Answer:
    """A noisy count is unbiased and may be negative; clamping it would bias every sum of counts."""
    (rows,) = parts
    return Answer(rows.values, rows.values - rows.half_width, rows.values + rows.half_width, rows.clear)


def count() -> CountRows:
    """The number of rows of each group, as int64.

    Examples
    --------
    >>> print(count())
    count()
    """
    return CountRows()
