"""What a release costs: one frozen event per kind of guarantee.

Conversions are one way, from the stronger guarantee to the weaker: ε-DP implies (ε²/2)-zCDP
(Bun and Steinke, *Concentrated Differential Privacy*, TCC 2016, Proposition 1.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from dpframe.accounting.exact import Exact, exact
from dpframe.errors import InvalidCostError


@dataclass(frozen=True)
class PureDP:
    """A release that is ε-differentially private."""

    epsilon: Exact

    def __str__(self) -> str:
        return f"epsilon={self.epsilon}"


@dataclass(frozen=True)
class ZeroConcentratedDP:
    """A release that is ρ-zero-concentrated differentially private."""

    rho: Exact

    def __str__(self) -> str:
        return f"rho={self.rho}"


Cost = PureDP | ZeroConcentratedDP


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


def in_epsilon(event: Cost) -> Fraction:
    """What the event takes of a pure-ε budget."""
    if isinstance(event, PureDP):
        return event.epsilon
    raise InvalidCostError(
        f"A release({event}) has no pure epsilon, so a dp.Budget(epsilon=...) cannot pay for it. "
        "Use release(epsilon=...), or open the budget with dp.Budget(rho=...)."
    )


def in_rho(event: Cost) -> Fraction:
    """What the event takes of a zCDP budget."""
    return event.rho if isinstance(event, ZeroConcentratedDP) else event.epsilon**2 / 2
