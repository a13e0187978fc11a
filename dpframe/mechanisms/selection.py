r"""Truncated geometric selection: which groups to show, by their counts, with the highest chance that (ε, δ) allows.

A group with n rows is shown with chance π(n), and one without any, never: π(0) = 0. When one unit moves the count of a
group by at most one step, the choice is (ε, δ)-differentially private exactly if for all n ≥ 1 ::

    π(n) ≤ e^ε·π(n−1) + δ        and        1 − π(n−1) ≤ e^ε·(1 − π(n)) + δ

(the two other inequalities hold for every π that does not decrease), so the largest is

    π(n) = min(1, e^ε·π(n−1) + δ, 1 − e^(−ε)·(1 − π(n−1) − δ))

(Desfontaines, Voss, Gipson and Mandayam, *Differentially private partition selection*, PoPETs 2022, Theorem 1, whose
closed form is noise of a geometric law cut off at both ends, and a threshold).

*What is drawn is what is proved.* Here π(n) is a multiple of 2⁻⁶³ and one word of 63 bits decides, so the chances are
these very numbers. They are computed in integers by the recurrence itself, every step rounded towards less, with a
number E ≤ e^ε in the place of e^ε: both inequalities then hold exactly, for E, and so for e^ε.

*Several groups, several steps.* A unit that moves L steps in all, at most m of them in one group, is in the worst case
protected by basic composition over groups and by group privacy inside of one: m steps are (m·ε, δ·h) with h = 1 + e^ε
+ … + e^((m−1)ε), convex in m and 0 for none, so L steps are (L·ε, δ·h·L/m). A step is a row, or as many rows as one
unit may have in a group: then ⌈n/step⌉ moves by at most one.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

import numpy as np
import numpy.typing as npt

from dpframe.errors import MechanismError
from dpframe.kernels.chacha import cell_key, words_at
from dpframe.kernels.refine import context, floor

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

BITS = 63
ONE = 1 << BITS

MOST_STEPS = 1 << 20
"""A chance that takes more steps than this to become certain is refused: its table would be large."""


@dataclass(frozen=True)
class TruncatedGeometric:
    """The best chances of showing a group, by its count.

    Parameters
    ----------
    epsilon, delta
        The guarantee for one step in one group.
    step
        How many rows are a step.

    Examples
    --------
    >>> law = TruncatedGeometric(Fraction(1), Fraction(1, 100_000), 1)
    >>> law.chance(0), law.chance(1) <= 1e-5, law.even, law.certain
    (0.0, True, 12, 23)
    """

    epsilon: Fraction
    delta: Fraction
    step: int = 1
    name = "truncated geometric"

    @classmethod
    def calibrate(cls, epsilon: Fraction, delta: Fraction, groups: int, rows: int, total: int) -> TruncatedGeometric:
        """The law for a unit with rows in at most ``groups`` groups, at most ``rows`` in each and ``total`` in all.

        Examples
        --------
        >>> TruncatedGeometric.calibrate(Fraction(1), Fraction(1, 100), groups=10, rows=3, total=30)
        TruncatedGeometric(epsilon=Fraction(1, 10), delta=Fraction(1, 1000), step=3)
        """
        if total >= groups * rows:
            return cls(epsilon / groups, delta / groups, rows)
        each, mp = epsilon / total, context()
        mp.prec = 128
        power = mp.exp(mp.mpf(each.numerator) / each.denominator)
        weight = mp.fsum(power**m for m in range(rows)) if rows < 64 else (power**rows - 1) / (power - 1)
        # Above the weight, so that what a step may have of δ is below.
        least = Fraction(floor(mp, weight * (1 << 64)) + (1 << 32), 1 << 64)
        return cls(each, delta * rows / (total * least), 1)

    @cached_property
    def chances(self) -> Words:
        """Of 0, 1, … steps in multiples of 2⁻⁶³, up to the first that is certain.

        Raises
        ------
        MechanismError
            When no group would be shown, or none of up to a million steps with certainty.
        """
        mp = context()
        mp.prec = 192
        grows = floor(mp, mp.exp(mp.mpf(self.epsilon.numerator) / self.epsilon.denominator) * (1 << 64)) - 1
        extra = int(self.delta * ONE)
        if extra < 1:
            raise MechanismError("So small a delta selects no group at all: it must be above 1e-18 for one step.")
        chances = [0]
        while chances[-1] < ONE:
            last = chances[-1]
            rest = -(-max(0, ONE - last - extra << 64) // grows)
            chances.append(min(ONE, (last * grows >> 64) + extra, ONE - rest))
            if len(chances) > MOST_STEPS:
                raise MechanismError(
                    "The cost is so small that only groups of more than a million rows could be shown: spend more, or "
                    "bound the rows of one unit more tightly."
                )
        return np.array(chances, np.uint64)

    def chance(self, count: int) -> float:
        """The chance of a group with so many rows."""
        return int(self.chances[min(-(-count // self.step), len(self.chances) - 1)]) / ONE

    @property
    def even(self) -> int:
        """The least count that is shown with a chance of one half or more."""
        return int(np.searchsorted(self.chances, np.uint64(ONE >> 1))) * self.step

    @property
    def certain(self) -> int:
        """The least count that is always shown."""
        return (len(self.chances) - 2) * self.step + 1

    def shows(self, counts: Ints, key: bytes, stream: int, names: Words) -> npt.NDArray[np.bool_]:
        """Which groups come out.

        Parameters
        ----------
        counts
            (n,) exact counts.
        key, stream
            The release's secret key, and a stream that serves nothing else.
        names
            (n, 2) the groups' addresses: the same group draws the same word, whatever other groups there are.
        """
        steps = np.minimum(-(-counts // self.step), len(self.chances) - 1)
        drawn: Words = words_at(cell_key(key, stream), names) >> np.uint64(1)
        return drawn < self.chances[steps]
