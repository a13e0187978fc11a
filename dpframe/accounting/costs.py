"""Costs: exact rationals with the kind of guarantee that they measure.

What a person types is what is counted. A cost of one kind pays for another only from the stronger guarantee to the
weaker: ε-DP implies (ε²/2)-zCDP (Bun and Steinke, *Concentrated Differential Privacy*, TCC 2016, Proposition 1.4).
"""

from __future__ import annotations

import numbers
import re
from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from typing import Any

from dpframe.errors import InvalidCostError

SMALLEST, LARGEST = Fraction(1, 10**100), Fraction(10**100)
"""Outside this range a parameter is a slip of the keyboard, and exact arithmetic on it would be slow."""

_DIGITS = r"\d{1,120}"
_TEXT = re.compile(rf"\+?({_DIGITS}(\.\d{{0,120}})?|\.{_DIGITS})(e[+-]?\d{{1,3}})?|\+?{_DIGITS}/{_DIGITS}", re.I | re.A)


class Exact(Fraction):
    """A rational that shows and compares like the decimal a person typed.

    >>> Exact(7, 10)
    0.7
    >>> Exact(7, 10) == 0.7, Exact(1, 3)
    (True, 1/3)
    """

    def __repr__(self) -> str:
        """The finite decimal if there is one, else the fraction."""
        rest = self.denominator
        for prime in (2, 5):
            while rest % prime == 0:
                rest //= prime
        if rest != 1:
            return f"{self.numerator}/{self.denominator}"
        with localcontext() as context:
            context.prec = self.denominator.bit_length() + self.numerator.bit_length() + 8
            return f"{Decimal(self.numerator) / Decimal(self.denominator):f}"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        # From Python 3.12 on a Fraction formats itself, as 7/10.
        return format(float(self), spec) if spec else repr(self)

    def __eq__(self, other: object) -> bool:
        return Fraction.__eq__(self, _shortest(other))

    def __lt__(self, other: Any) -> bool:
        return Fraction.__lt__(self, _shortest(other))

    def __le__(self, other: Any) -> bool:
        return Fraction.__le__(self, _shortest(other))

    def __gt__(self, other: Any) -> bool:
        return Fraction.__gt__(self, _shortest(other))

    def __ge__(self, other: Any) -> bool:
        return Fraction.__ge__(self, _shortest(other))

    __hash__ = Fraction.__hash__


def _shortest(value: object) -> Fraction | float:
    """A finite float as the decimal it prints as; anything else as it is."""
    if isinstance(value, float) and value - value == 0:
        return Fraction(float.__repr__(value))
    return value  # type: ignore[return-value]


def exact(value: object, what: str) -> Exact:
    """Read a positive privacy parameter exactly; a float counts as its shortest decimal text.

    Parameters
    ----------
    value
        An int, float, :class:`~decimal.Decimal`, :class:`~fractions.Fraction` or text (``"0.1"``, ``"1/3"``).
    what
        The parameter's name, for the message.

    Raises
    ------
    InvalidCostError
        For booleans, NaN, infinities, zero, negative numbers and anything that is not a number.

    Examples
    --------
    >>> 3 * exact(0.1, "epsilon") == exact("0.3", "epsilon")
    True
    """
    try:
        text = str(value).strip() if isinstance(value, numbers.Real | Decimal | str) else ""
        shown = repr(value)
    except ValueError:  # Python writes no integer of more than 4,300 digits
        text, shown = "", f"a {type(value).__name__} of thousands of digits"
    if isinstance(value, bool) or not _TEXT.fullmatch(text):
        raise InvalidCostError(
            f"{what} must be a positive finite number such as 0.5, '1/3' or Decimal('0.1'), not {shown}."
            + (" For exact answers use dp.Budget.unlimited()." if text.strip("+") in ("inf", "Infinity") else "")
        )
    try:
        number = Fraction(text)
    except ZeroDivisionError:
        number = Fraction(0)
    if not SMALLEST <= number <= LARGEST:
        raise InvalidCostError(f"{what} must be positive, from 1e-100 to 1e100, not {shown}.")
    return Exact(number)


@dataclass(frozen=True)
class PureDP:
    """A release that is ε-differentially private."""

    epsilon: Exact

    def __str__(self) -> str:
        return f"epsilon={self.epsilon}"


@dataclass(frozen=True)
class ApproximateDP:
    """A release that is (ε, δ)-differentially private."""

    epsilon: Exact
    delta: Exact

    def __str__(self) -> str:
        return f"epsilon={self.epsilon}, delta={self.delta}"


@dataclass(frozen=True)
class ZeroConcentratedDP:
    """A release that is ρ-zero-concentrated differentially private."""

    rho: Exact

    def __str__(self) -> str:
        return f"rho={self.rho}"


Cost = PureDP | ApproximateDP | ZeroConcentratedDP


def cost(epsilon: object = None, rho: object = None) -> Cost:
    """Read the cost of a release: exactly one of ε and ρ.

    Raises
    ------
    InvalidCostError
        For none or both, and for what is not a positive finite number.

    Examples
    --------
    >>> print(cost(epsilon=0.1))
    epsilon=0.1
    """
    if (epsilon is None) == (rho is None):
        raise InvalidCostError("Name the cost of the release once: release(epsilon=0.5) or release(rho=0.1).")
    if epsilon is not None:
        return PureDP(exact(epsilon, "epsilon"))
    return ZeroConcentratedDP(exact(rho, "rho"))


def in_epsilon(event: Cost) -> tuple[Fraction, Fraction]:
    """What the event takes of an (ε, δ) budget, by basic composition: its ε and its δ."""
    if isinstance(event, PureDP):
        return event.epsilon, Fraction(0)
    if isinstance(event, ApproximateDP):
        return event.epsilon, event.delta
    raise InvalidCostError(
        f"A release({event}) has no pure epsilon, so a dp.Budget(epsilon=...) cannot pay for it. "
        "Use release(epsilon=...), or open the budget with dp.Budget(rho=...)."
    )


def in_rho(event: Cost) -> tuple[Fraction, Fraction]:
    """What the event takes of a zCDP budget: its ρ, and no δ."""
    if isinstance(event, ZeroConcentratedDP):
        return event.rho, Fraction(0)
    if isinstance(event, PureDP):
        return event.epsilon**2 / 2, Fraction(0)
    raise InvalidCostError(
        f"A release of {event} is not zero-concentrated, so a dp.Budget(rho=...) cannot pay for it. "
        "Open the budget with dp.Budget(epsilon=..., delta=...)."
    )
