"""What every aggregate is made of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dpframe.plan import Schema, Statistic

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Noisy:
    """A statistic after noise.

    Parameters
    ----------
    values
        (cells,) noisy integers, in grid steps.
    half_width
        The noise is at most this many steps with the confidence that was asked for; 0 when exact.
    """

    values: Ints
    half_width: int

    @property
    def clear(self) -> npt.NDArray[np.bool_]:
        """Where it is further from 0 than its noise goes, (cells,); everywhere when it is exact."""
        return (np.abs(self.values) > self.half_width) | (self.half_width == 0)


@dataclass(frozen=True)
class Answer:
    """An output column: values with the ends of their confidence intervals, each (cells,), where they have any.

    ``reliable`` is False where the number of rows, or the answer itself, is within its own noise.
    """

    values: npt.NDArray[Any]
    low: npt.NDArray[Any] | None
    high: npt.NDArray[Any] | None
    reliable: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class Prepared:
    """An aggregate checked against a schema.

    Parameters
    ----------
    statistics
        The exact integers it needs.
    weights
        How it would split its share of the budget over them.
    finish
        From noisy statistics, in that order, to the answer. Post-processing: it costs nothing.
    decides
        Whether the answer is its one statistic times the grid, so that "at least T" is a threshold for that one.
    part
        How many answers it counts for where a release's cost is divided.
    """

    statistics: tuple[Statistic, ...]
    weights: tuple[int, ...]
    finish: Callable[[Sequence[Noisy]], Answer]
    decides: bool = False
    part: Fraction = Fraction(1)


class Aggregate(Protocol):
    """Anything that ``.agg()`` accepts."""

    @property
    def label(self) -> str:
        """The output column's name when the caller gives none."""

    def prepare(self, schema: Schema) -> Prepared:
        """Check against the schema and say which statistics are needed."""
