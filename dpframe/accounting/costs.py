"""Costs: exact rationals with the kind of guarantee that they measure. What a person types is what is counted."""

from __future__ import annotations

import math
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

    _hash: int

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

    def __hash__(self) -> int:  # type: ignore[override]
        # That of a Fraction costs a modular inverse, and prices are looked up by events that hold several of these.
        try:
            return self._hash
        except AttributeError:
            self._hash = Fraction.__hash__(self)
            return self._hash


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


def probability(delta: object) -> Exact:
    """Read δ exactly: 0, or a positive number below 1.

    Raises
    ------
    InvalidCostError
        For anything else.

    Examples
    --------
    >>> probability(1e-6), probability(0)
    (0.000001, 0)
    """
    signalling = isinstance(delta, Decimal) and delta.is_snan()  # which cannot even be compared
    if isinstance(delta, numbers.Real | Decimal) and not isinstance(delta, bool) and not signalling and delta == 0:
        return Exact(0)
    allowed = exact(delta, "delta")
    if allowed >= 1:
        raise InvalidCostError(f"delta must be below 1, such as 1e-6, not {delta!r}.")
    return allowed


def root(value: Fraction) -> Exact | None:
    """The square root of a rational number, if it is one.

    Examples
    --------
    >>> root(Fraction(9, 100)), root(Fraction(2))
    (0.3, None)
    """
    found = Fraction(math.isqrt(value.numerator), math.isqrt(value.denominator))
    return Exact(found) if found * found == value else None


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


@dataclass(frozen=True)
class GaussianDP:
    """A release that is μ-Gaussian-DP: no easier to tell from its neighbour's than N(0, 1) from N(μ, 1).

    Dong, Roth and Su, *Gaussian differential privacy*, JRSS-B 2022. Squares of μ add up, so μ² is what is kept.
    """

    mu_squared: Exact

    def __str__(self) -> str:
        mu = root(self.mu_squared)
        return f"mu^2={self.mu_squared}" if mu is None else f"mu={mu}"


Declared = PureDP | ApproximateDP | ZeroConcentratedDP | GaussianDP


def cost(epsilon: object = None, rho: object = None, *, delta: object = None, mu: object = None) -> Declared:
    """Read the cost of a release: exactly one of ε, ρ and μ, and a δ only beside ε.

    Raises
    ------
    InvalidCostError
        For none or several, and for what is not a positive finite number, or a δ not below 1.

    Examples
    --------
    >>> print(cost(epsilon=0.1))
    epsilon=0.1
    >>> print(cost(epsilon=1, delta=1e-6))
    epsilon=1, delta=0.000001
    """
    if sum(each is None for each in (epsilon, rho, mu)) != 2:
        raise InvalidCostError(
            "Name the cost of the release once: release(epsilon=0.5), release(epsilon=0.5, delta=1e-6), "
            "release(rho=0.1) or release(mu=0.4)."
        )
    allowed = None if delta is None else probability(delta)
    if epsilon is not None:
        pure = exact(epsilon, "epsilon")
        return ApproximateDP(pure, allowed) if allowed else PureDP(pure)
    if allowed:
        raise InvalidCostError("delta= goes with epsilon=, as in epsilon=1, delta=1e-6; rho= and mu= need none.")
    return GaussianDP(Exact(exact(mu, "mu") ** 2)) if rho is None else ZeroConcentratedDP(exact(rho, "rho"))
