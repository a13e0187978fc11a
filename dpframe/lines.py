"""Lines of public positions, on which quantiles are chosen: nouns of the plan."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Line:
    """A public line of whole positions, on which every row of a column has one; a missing value has none.

    A row stands at ``rint((clip(x, low, high) - low) / step)``. Where the column is ``integer``, the step is a power of
    two from 1 on, and what lies between two positions counts as the lower.

    With ``powers`` a row stands at its power of two instead: at 128 + s·a, s its sign and a = 65 + ⌊log₂ abs(x)⌋, held
    to 0 … 128. So 128 is what is smaller than 2⁻⁶⁴, and the ends hold all from 2⁶³ on but infinities, which have none.
    """

    ref: str
    low: int | float
    high: int | float
    step: float
    integer: bool
    powers: bool = False

    @property
    def bits(self) -> int:
        """The binary logarithm of the step."""
        return math.frexp(self.step)[1] - 1

    @property
    def last(self) -> int:
        """The last position; the first is 0."""
        if self.powers:
            return 256
        if self.integer:
            return int(self.high) - int(self.low) >> self.bits
        return round((float(self.high) - float(self.low)) / self.step)

    def edges(self, positions: npt.NDArray[np.float64], upper: bool) -> npt.NDArray[np.float64]:
        """The lower or the upper edge of powers of two.

        Examples
        --------
        >>> powers = Line("c0", -(2.0**64), 2.0**64, 1.0, integer=False, powers=True)
        >>> powers.edges(np.array([128.0, 193.0, 62.0]), upper=False), powers.edges(np.array([194.0, 62.0]), upper=True)
        (array([ 0.,  1., -4.]), array([ 4., -2.]))
        """
        size = np.abs(positions - 128)
        far = upper == (positions >= 128)
        edge = np.exp2(size - np.where(far, 64, 65)) * np.where(positions >= 128, 1.0, -1.0)
        found: npt.NDArray[np.float64] = np.where((size == 0) & (not upper), 0.0, edge)
        return found


BILLION = 10**9
"""Parts of a whole in which quantiles are counted."""


@dataclass(frozen=True)
class Quantile:
    """The position on a line below which a part of a group's rows lies: no sum over rows, but a choice by their ranks.

    Statistics that differ in ``at`` alone are chosen together, one after another: ``parts``, increasing billionths.
    """

    line: Line
    parts: tuple[int, ...]
    at: int

    @property
    def refs(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return (self.line.ref,)

    @property
    def levels(self) -> int:
        """How many choices are made one after another, each after a middle one: ⌊log₂ m⌋ + 1."""
        return len(self.parts).bit_length()

    @property
    def reach(self) -> int:
        """The furthest that one row moves a rank."""
        return 1

    @property
    def grid(self) -> float:
        """Ranks are counted in rows."""
        return 1.0


def written(positions: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Positions, or places between two, as bits that stand in an array of integers; none is 0.

    Examples
    --------
    >>> read(written(np.array([0.0, 2.5, np.nan])))
    array([0. , 2.5, nan])
    """
    return (positions + 1.0).view(np.int64)


def read(bits: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """What :func:`written` wrote."""
    return np.ascontiguousarray(bits).view(np.float64) - 1.0
