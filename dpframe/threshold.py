"""``at_least``: only cells whose noisy answer reaches a threshold come out, and what that means in grid steps.

Dropping the rest is post-processing of an answer for every cell, so it costs no privacy; and the key set may be so
large that an answer for every cell could never be written down.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from dpframe.errors import KeysError, PlanError
from dpframe.keys import MOST_CELLS
from dpframe.mechanisms import ExactRank, Mechanism, RankChoice
from dpframe.plan import Statistic
from dpframe.query import Question

LARGEST_STEPS = 2**62
"""No answer has as many grid steps."""


@dataclass(frozen=True)
class Threshold:
    """Cells come out whose noisy ``statistic`` has at least so many ``steps``.

    Parameters
    ----------
    answer, value
        The answer that decides, and what the caller asked of it, in its own units.
    """

    answer: str
    value: int | float
    statistic: Statistic
    steps: int

    def __str__(self) -> str:
        return f"{self.answer} of at least {self.value:,}"

    def by_noise(self, question: Question, mechanism: Mechanism) -> float:
        """How many cells come out by noise alone, in expectation and at most: were all cells empty.

        Raises
        ------
        KeysError
            When they are more than ``MOST_CELLS``; the text names a threshold that would do.
        """
        assert not isinstance(mechanism, RankChoice | ExactRank)  # only a count or a sum decides
        keys = question.keys.size
        expected = keys * mechanism.chance(self.steps)
        if expected > MOST_CELLS:
            high = self.steps  # the least threshold that would do, by doubling and then halving
            while keys * mechanism.chance(high) > MOST_CELLS:
                high *= 2
            low = high // 2
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if keys * mechanism.chance(middle) > MOST_CELLS else (low, middle)
            raise KeysError(
                f"Noise alone would lift about {expected:,.0f} of {keys:,} cells to {self}: at most {MOST_CELLS:,} can "
                f"be released. Ask for at_least={_plain(high * Fraction(self.statistic.grid))!r} or more, or spend "
                "more on this release."
            )
        return expected


def threshold(question: Question, at_least: object) -> Threshold:
    """The threshold that a caller asked for.

    Parameters
    ----------
    at_least
        A positive number in the units of the only answer, or ``{"readers": 40}``.

    Raises
    ------
    PlanError
        For what is not a positive number, and for an answer that is not one count or sum.
    """
    if isinstance(at_least, Mapping):
        if len(at_least) != 1:
            raise PlanError(f"at_least takes one answer that decides, as in {{'readers': 40}}, not {at_least!r}.")
        ((name, value),) = at_least.items()
    else:
        name, value = question.answers[0][0], at_least
        if len(question.answers) > 1:
            raise PlanError(f"There are several answers: say which one decides, as in at_least={{{name!r}: 40}}.")
    _, text, prepared = next((answer for answer in question.answers if answer[0] == name), (None, None, None))
    if prepared is None:
        names = ", ".join(name for name, _, _ in question.answers)
        raise PlanError(f"at_least names {name!r}, which is none of the answers: {names}.")
    if not prepared.decides:
        raise PlanError(
            f"{name} = {text} cannot decide which cells come out: only a count or a sum can, as in "
            ".agg(n=dp.count(), ...).release(at_least={'n': 40})."
        )
    exact, (statistic,) = _exact(value), prepared.statistics
    steps = math.ceil(exact / Fraction(statistic.grid))
    if steps >= LARGEST_STEPS:
        raise PlanError(f"at_least={value!r} is more than any answer can be.")
    return Threshold(name, _plain(exact), statistic, steps)


def _exact(value: object) -> Fraction:
    """The number as it is."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real | Decimal):
        raise PlanError(f"at_least must be a positive number, such as 40, not {value!r}.")
    try:
        exact = Fraction(value if isinstance(value, numbers.Rational | Decimal) else float(value))
    except (ValueError, OverflowError):  # NaN, an infinity
        raise PlanError(f"at_least must be a positive number, such as 40, not {value!r}.") from None
    if exact <= 0:
        raise PlanError(
            f"at_least must be above 0, not {value!r}: noise alone lifts half of all empty cells that far. "
            "Leave it out, and filter the released frame."
        )
    return exact


def _plain(exact: Fraction) -> int | float:
    """As a plain number, for texts and metadata."""
    return int(exact) if exact.denominator == 1 else float(exact)
