"""Noise of whole numbers, for integer columns of tables that are already aggregated."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from dpframe.accounting import Exact, Joint, PureDP, ZeroConcentratedDP, events
from dpframe.errors import MechanismError
from dpframe.kernels.exponential_tails import discrete_laplace
from dpframe.kernels.gaussian_integers import DiscreteGaussian, discrete_gaussian
from dpframe.kernels.refine import context
from dpframe.mechanisms.integer import Laplace as DiscreteLaplace
from dpframe.mechanisms.table import Floats, Parameter, SameForAll, check_alpha, number, parameter, root_up


@dataclass(frozen=True)
class Whole(SameForAll):
    """One scale for every cell, and noise that is a whole number whatever the scale.

    A value that is not whole is rounded first, halves upwards, which moves no two values further apart than the
    next whole number, and so keeps to a whole sensitivity.
    """

    sampler: ClassVar[Any]

    def add(
        self, values: Floats, scale: Floats | float, grid: float, *, key: bytes, stream: int, start: int
    ) -> NDArray[np.int64]:
        """Noisy whole values; as :meth:`Noise.add`, but the grid must be 1 and the scale is always the own one.

        Raises
        ------
        MechanismError
            When the grid is not 1: it is for integer columns.
        """
        if grid != 1:
            raise MechanismError(
                f"{type(self).__name__} is for integer columns, in steps of 1, not {grid!r}; "
                "for others try LaplaceNoise or GaussianNoise."
            )
        whole = whole_numbers(np.asarray(values))
        noise: NDArray[np.int64] = type(self).sampler(whole.size, self.least, key=key, stream=stream, start=start)
        # Noise of 62 bits at a scale of at most 50 has a chance under 2**-1000, where the sampler clamps as well.
        held: NDArray[np.int64] = np.clip(noise, 1 - 2**62, 2**62 - 1)
        return whole + held

    def _whole(self, call: str) -> Exact:
        """The sensitivity, once it is known to be a whole number."""
        sensitivity = self._sensitivity(call)
        if sensitivity.denominator != 1:
            raise MechanismError(f"sensitivity must be a whole number for whole values, not {sensitivity}; try {call}.")
        return sensitivity


@dataclass(frozen=True)
class GeometricNoise(Whole):
    """Discrete Laplace (two-sided geometric) noise for integer columns: ε-DP with P(k) ∝ e^(−ε·|k|/Δ).

    Source: Ghosh, Roughgarden and Sundararajan, *Universally utility-maximizing privacy mechanisms*, STOC 2009.
    A value that is not whole is rounded first, halves upwards, which moves no two values further apart than the
    next whole number, and so keeps to a whole Δ.

    Parameters
    ----------
    sensitivity
        Δ: how far the whole column can move between neighbours, in L1: a whole number.
    epsilon
        ε.

    Raises
    ------
    MechanismError, InvalidCostError
        When a parameter is not a positive number, or the sensitivity not whole.

    Examples
    --------
    >>> GeometricNoise(sensitivity=1, epsilon=0.5).add(np.zeros(3), 2.0, 1.0, key=bytes(32), stream=0, start=0).dtype
    dtype('int64')
    """

    epsilon: Parameter
    name = "geometric"
    sampler = discrete_laplace

    def __post_init__(self) -> None:
        call = "GeometricNoise(sensitivity=1, epsilon=0.5)"
        epsilon, sensitivity = parameter(self.epsilon, "epsilon"), self._whole(call)
        if sensitivity > 2**50 * epsilon:
            raise MechanismError(f"sensitivity/epsilon may be at most 2**50, for the noise to fit 64 bits; try {call}.")
        least = DiscreteLaplace.calibrate(int(sensitivity), epsilon).scale
        self.settle(epsilon=epsilon, sensitivity=number(sensitivity, "sensitivity", call), least=least)

    @property
    def event(self) -> Joint:
        """ε-DP, by discrete Laplace noise."""
        moves = int(self.floor)
        noise = events.DiscreteLaplace(moves, self.least, moves)
        return Joint(PureDP(parameter(self.epsilon, "epsilon")), (noise,))

    def accuracy(self, alpha: float) -> float:
        """The least ``w`` with P(|noise| ≤ w·scale) ≥ 1 − alpha: a whole number over the scale."""
        check_alpha(alpha)
        return _in_scales(DiscreteLaplace(self.least).accuracy(alpha), self.least)


@dataclass(frozen=True)
class DiscreteGaussianNoise(Whole):
    """Discrete Gaussian noise for integer columns: ρ-zCDP with P(k) ∝ e^(−k²/2σ²), σ = Δ/√(2ρ).

    Source: Canonne, Kamath and Steinke, *The discrete Gaussian for differential privacy*, NeurIPS 2020, Theorem 4.

    Parameters
    ----------
    sensitivity
        Δ: how far the whole column can move between neighbours, in L2: a whole number.
    rho
        ρ.

    Raises
    ------
    MechanismError, InvalidCostError
        When a parameter is not a positive number, or the sensitivity not whole.

    Examples
    --------
    >>> DiscreteGaussianNoise(sensitivity=3, rho=0.125).scale(np.zeros(1))
    array([6.])
    """

    rho: Parameter
    name = "discrete Gaussian"
    sampler = discrete_gaussian

    def __post_init__(self) -> None:
        call = "DiscreteGaussianNoise(sensitivity=1, rho=0.1)"
        rho, sensitivity = parameter(self.rho, "rho"), self._whole(call)
        least = root_up(sensitivity**2 / (2 * rho), "the noise scale sensitivity/sqrt(2 rho)", call)
        if not 2.0**-10 <= least <= 2.0**50:
            raise MechanismError(f"sensitivity/sqrt(2 rho) must lie between 2**-10 and 2**50; try {call}.")
        self.settle(rho=rho, sensitivity=number(sensitivity, "sensitivity", call), least=least)

    @property
    def event(self) -> ZeroConcentratedDP:
        """ρ-zCDP."""
        return ZeroConcentratedDP(parameter(self.rho, "rho"))

    def accuracy(self, alpha: float) -> float:
        """The least ``w`` with P(|noise| ≤ w·scale) ≥ 1 − alpha: a whole number over the scale."""
        check_alpha(alpha)
        law, mp = DiscreteGaussian(self.least), context()
        wanted = mp.mpf(min(alpha, 1))
        whole = max(0, law.guess(mp, wanted)) if alpha < 1 else 0
        while law.threshold(mp, whole + 1) > wanted:
            whole += 1
        while whole > 0 and law.threshold(mp, whole) <= wanted:
            whole -= 1
        return _in_scales(whole, self.least)


def _in_scales(whole: int, scale: float) -> float:
    """A whole number over the scale, rounded so that times the scale it is no less."""
    width = whole / scale
    return width if width * scale >= whole else math.nextafter(width, math.inf)


def whole_numbers(values: NDArray[Any]) -> NDArray[np.int64]:
    """The nearest whole numbers, halves upwards; NaN counts as 0, and ±2**62 is as far as they go.

    Examples
    --------
    >>> whole_numbers(np.array([0.5, -0.5, 1.4999, np.nan, np.inf]))
    array([                  1,                   0,                   1,
                             0, 4611686018427387904])
    """
    if values.dtype.kind in "iu":
        least, most = max(int(np.iinfo(values.dtype).min), -(2**62)), min(int(np.iinfo(values.dtype).max), 2**62)
        held: NDArray[np.int64] = np.clip(values, least, most).astype(np.int64)
        return held
    known = np.clip(np.where(np.isnan(values), 0.0, values), -(2.0**62), 2.0**62)
    below = np.floor(known)
    nearest: NDArray[np.int64] = (below + (known - below >= 0.5)).astype(np.int64)
    return nearest
