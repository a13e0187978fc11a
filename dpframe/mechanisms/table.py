"""Noise for tables that are already aggregated: the caller vouches for the sensitivity.

A mechanism here turns sensitivities into noise scales, one for each cell, and draws through the exact samplers. Those
of this module have one sensitivity for all cells; :mod:`dpframe.mechanisms.smooth` has those of a sensitivity per cell.

What :meth:`TableMechanism.scale` and :meth:`TableMechanism.add` get may be private, so no entry makes them raise.
The least scale that a mechanism ever uses is ``scale(np.zeros(1))``, and public. The samplers hold the scale of a cell
to 2⁵⁰ grid steps, and count a missing value as 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from dpframe.accounting import Event, Exact, GaussianDP, Joint, PureDP, ZeroConcentratedDP, exact
from dpframe.accounting.events import Laplace
from dpframe.errors import InvalidCostError, MechanismError
from dpframe.kernels.exponential_tails import laplace
from dpframe.kernels.laws import EXPONENTIAL, NORMAL, Continuous
from dpframe.kernels.normal import gaussian
from dpframe.kernels.refine import context

Parameter = int | float | Decimal | Fraction | str
Floats = NDArray[np.float64]
Sampler = Callable[..., NDArray[np.int64]]

MOST = 2.0**100
"""The least noise scale lies between 1/MOST and MOST, so that every grid fits it."""


class TableMechanism(Protocol):
    """What ``df.dp.noise(column=mechanism)`` takes."""

    @property
    def name(self) -> str:
        """For people: "smooth Laplace"."""
        ...

    @property
    def sensitivity(self) -> float | str:
        """A number, or the name of the column that holds what :meth:`scale` takes, cell by cell."""
        ...

    @property
    def event(self) -> Event:
        """What the accountant must know of one noised column."""
        ...

    @property
    def floor(self) -> float:
        """The least sensitivity that any cell is given: public."""
        ...

    def scale(self, sensitivity: Floats) -> Floats:
        """The noise scale of each cell, never below that of the floor, whatever the entries."""
        ...

    def accuracy(self, alpha: float) -> float:
        """The least ``w`` with P(|noise| ≤ w·scale) ≥ 1 − alpha."""
        ...

    def add(
        self, values: Floats, scale: Floats | float, grid: float, *, key: bytes, stream: int, start: int
    ) -> NDArray[np.int64]:
        """The noisy values in grid steps: round((values + scale·Z)/grid), exactly."""
        ...


def parameter(value: Parameter, name: str) -> Exact:
    """A positive parameter, exactly; one that has been read is itself.

    Raises
    ------
    InvalidCostError
        When it is not a positive finite number.

    Examples
    --------
    >>> parameter(parameter(0.1, "epsilon"), "epsilon")
    0.1
    """
    return value if isinstance(value, Exact) else exact(value, name)


def number(value: Parameter, name: str, call: str) -> float:
    """A positive number, rounded up to a float.

    Raises
    ------
    MechanismError
        When it is not a positive finite number, or far from any that noise can be drawn for.

    Examples
    --------
    >>> number("0.5", "sensitivity", "LaplaceNoise(sensitivity=1, epsilon=0.5)")
    0.5
    """
    try:
        return up(parameter(value, name), name, call)
    except InvalidCostError as error:
        raise MechanismError(f"{error} For example {call}.") from None


def up(value: Fraction, name: str, call: str) -> float:
    """The least float that is not below the value, which must lie within 1/MOST … MOST.

    Examples
    --------
    >>> up(Fraction(1, 10), "sensitivity", "") >= Fraction(1, 10)
    True
    """
    if not 1 / MOST <= value <= MOST:
        raise MechanismError(
            f"{name} must lie between 2**-100 and 2**100, which {float(value):.3g} does not; try {call}."
        )
    rounded = float(value)
    return rounded if Fraction(rounded) >= value else math.nextafter(rounded, math.inf)


def quantile(law: Continuous, alpha: float) -> float:
    """The least ``w`` with P(Z > w) ≤ alpha, for the magnitude Z of a law; rounded up.

    Raises
    ------
    MechanismError
        Unless ``alpha`` is a positive number.

    Examples
    --------
    >>> quantile(EXPONENTIAL, 0.05)
    2.9957322735539913
    """
    check_alpha(alpha)
    if alpha >= 1:
        return 0.0
    mp = context()
    mp.prec = 160
    exactly = law.quantile(mp, mp.mpf(alpha))
    rounded = float(exactly)
    return rounded if rounded >= exactly else math.nextafter(rounded, math.inf)


def check_alpha(alpha: float) -> None:
    """Raise :class:`MechanismError` unless ``alpha`` is a positive number."""
    if not alpha > 0:
        raise MechanismError(f"alpha is the chance of noise beyond the width, above 0, not {alpha!r}; try alpha=0.05.")


@dataclass(frozen=True)
class Noise:
    """What mechanisms for tables have in common: a law and its sampler.

    Parameters
    ----------
    sensitivity
        A number, or the name of a column.
    """

    sensitivity: float | str
    name: ClassVar[str]
    law: ClassVar[Continuous]
    sampler: ClassVar[Sampler]

    def settle(self, **values: object) -> None:
        """Set fields once, at construction."""
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def accuracy(self, alpha: float) -> float:
        """The least ``w`` with P(|noise| ≤ w·scale) ≥ 1 − alpha, before rounding to the grid."""
        return quantile(self.law, alpha)

    def add(
        self, values: Floats, scale: Floats | float, grid: float, *, key: bytes, stream: int, start: int
    ) -> NDArray[np.int64]:
        """Noisy values in grid steps: round((values + scale·Z)/grid), exactly.

        Parameters
        ----------
        values
            (n,), any entries.
        scale
            From :meth:`scale`, (n,) or one number.
        grid
            A power of two that depends on public parameters only.
        key, stream, start
            Cell i reads word ``start + i`` of this stream of the key, so a retry draws the same noise.
        """
        sampler = type(self).sampler
        return sampler(values.size, scale, grid=grid, values=values, key=key, stream=stream, start=start)


@dataclass(frozen=True)
class SameForAll(Noise):
    """One sensitivity for every cell: the scale does not depend on what :meth:`scale` is given."""

    least: float = field(init=False, repr=False)
    """The scale."""

    @property
    def floor(self) -> float:
        """The sensitivity."""
        return float(self.sensitivity)

    def scale(self, sensitivity: Floats) -> Floats:
        """The one scale, for each cell."""
        return np.full(np.shape(sensitivity), self.least)

    def _sensitivity(self, call: str) -> Exact:
        """The sensitivity as it was typed, once it is known to be a number."""
        try:
            sensitivity = parameter(self.sensitivity, "sensitivity")
        except InvalidCostError as error:
            column = (
                " One that differs by cell, in a column, takes a smooth mechanism, such as "
                f"SmoothLaplace(sensitivity={self.sensitivity!r}, alpha=0.05, epsilon=0.4, delta=0.05)."
            )
            told = column if isinstance(self.sensitivity, str) else ""
            raise MechanismError(f"{error} For example {call}.{told}") from None
        number(sensitivity, "sensitivity", call)
        return sensitivity


@dataclass(frozen=True)
class LaplaceNoise(SameForAll):
    """Laplace noise in real numbers, rounded once to the grid: ε-DP with scale Δ/ε.

    Source: Dwork, McSherry, Nissim and Smith, *Calibrating noise to sensitivity*, TCC 2006.

    Parameters
    ----------
    sensitivity
        Δ: how far the whole column can move between neighbours, in L1.
    epsilon
        ε.

    Raises
    ------
    MechanismError, InvalidCostError
        When a parameter is not a positive number.

    Examples
    --------
    >>> noise = LaplaceNoise(sensitivity=3, epsilon=0.5)
    >>> noise.scale(np.zeros(2))
    array([6., 6.])
    >>> print(noise.event)
    epsilon=0.5
    """

    epsilon: Parameter
    name = "Laplace"
    law = EXPONENTIAL
    sampler = laplace

    def __post_init__(self) -> None:
        call = "LaplaceNoise(sensitivity=1, epsilon=0.5)"
        epsilon, sensitivity = parameter(self.epsilon, "epsilon"), self._sensitivity(call)
        least = up(sensitivity / epsilon, "the noise scale sensitivity/epsilon", call)
        self.settle(epsilon=epsilon, sensitivity=number(sensitivity, "sensitivity", call), least=least)

    @property
    def event(self) -> Joint:
        """ε-DP, by Laplace noise."""
        moves = Exact(Fraction(self.floor))
        return Joint(PureDP(parameter(self.epsilon, "epsilon")), (Laplace(moves, self.least),))


@dataclass(frozen=True)
class GaussianNoise(SameForAll):
    """Gaussian noise in real numbers, rounded once to the grid: ρ-zCDP with σ = Δ/√(2ρ).

    Source: Bun and Steinke, *Concentrated Differential Privacy*, TCC 2016, Proposition 1.6.

    Parameters
    ----------
    sensitivity
        Δ: how far the whole column can move between neighbours, in L2.
    rho
        ρ.

    Raises
    ------
    MechanismError, InvalidCostError
        When a parameter is not a positive number.

    Examples
    --------
    >>> GaussianNoise(sensitivity=3, rho=0.125).scale(np.zeros(1))
    array([6.])
    """

    rho: Parameter
    name = "Gaussian"
    law = NORMAL
    sampler = gaussian

    def __post_init__(self) -> None:
        call = "GaussianNoise(sensitivity=1, rho=0.1)"
        rho, sensitivity = parameter(self.rho, "rho"), self._sensitivity(call)
        least = root_up(sensitivity**2 / (2 * rho), "the noise scale sensitivity/sqrt(2 rho)", call)
        self.settle(rho=rho, sensitivity=number(sensitivity, "sensitivity", call), least=least)

    @property
    def event(self) -> Joint:
        """ρ-zCDP, by Gaussian noise: √(2ρ)-Gaussian DP."""
        rho = parameter(self.rho, "rho")
        return Joint(ZeroConcentratedDP(rho), (GaussianDP(Exact(2 * rho)),))


def root_up(square: Fraction, name: str, call: str) -> float:
    """The least float, or the one above it, that is not below the square root.

    Examples
    --------
    >>> root_up(Fraction(9), "scale", ""), root_up(Fraction(2), "scale", "") ** 2 >= 2
    (3.0, True)
    """
    if not 1 / MOST**2 <= square <= MOST**2:
        raise MechanismError(f"{name} must lie between 2**-100 and 2**100; try {call}.")
    root = math.sqrt(square)
    while Fraction(root) ** 2 < square:
        root = math.nextafter(root, math.inf)
    return root


__all__ = ["GaussianNoise", "LaplaceNoise", "Noise", "TableMechanism"]
