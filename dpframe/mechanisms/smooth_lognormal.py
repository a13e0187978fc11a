r"""Smooth noise of log-normal products: S/η·X·e^(σY), Y standard normal, X Laplace or uniform on [−1, 1]; ρ-zCDP.

The laws are those of Bun and Steinke (*Average-case averages: private algorithms for smooth sensitivity and mean
estimation*, NeurIPS 2019). Neighbours and sensitivities are as in :mod:`dpframe.mechanisms.smooth`: two neighbours give
a cell the values f, f′ and the sensitivities S, S′, with \|f − f′\| ≤ min(S, S′) and S′/S = e^(±x), 0 ≤ x ≤ b.

The guarantee
-------------
**For every order α > 1, D_α ≤ α·ε²/2 with ε = max(c·η, c·η·e^(−b) + b/σ)**, both ways round: that is ε²/2-zCDP. Let h
be the density of Z = X·e^(σY), and g = −ln h. Then c may be the steepest slope of g, which is

* e^(1.5·σ²) for Laplace X,
* e^(σ² − aσ)·(a + σ)/σ for uniform X, where a is the number with φ(a)/Φ(−a) = a + σ;

and for uniform X and some σ, less: any c with E e^(λ·g′(Z)) ≤ e^(λ²c²/2) for every λ, such as those of :data:`SHIFTS`.

*Proof.* One neighbour's law becomes the other's by a dilation and a shift.

1. *A dilation costs x/σ.* e^x·X·e^(σY) = X·e^(σ(Y + x/σ)): it is one function of X and Y for both neighbours, where Y
   has moved by x/σ. For two normal laws of variance 1, D_α = α·(x/σ)²/2 for every α, and a function of both, with X
   independent, has no more.
2. *A shift by t costs c·t.* If c is the steepest slope, g changes by at most c·t, so the densities of Z and t + Z
   differ by a factor of at most e^(ct) (pure DP), and D_α ≤ α·(ct)²/2 for every α (Bun and Steinke, *Concentrated
   differential privacy*, TCC 2016, Proposition 1.4). If it is of the second kind, and g″ bounded, that holds
   in the limit of many short shifts, by the last part of :mod:`dpframe.mechanisms.smooth_bounds`.
3. *Together* they cost the sum: if D_α ≤ α·ε₁²/2 from P to R and D_α ≤ α·ε₂²/2 from R to Q for every α, then
   D_α ≤ α·(ε₁ + ε₂)²/2 from P to Q (Hölder's inequality, as there). R has the centre of the one neighbour and the scale
   of the other, such that the shift is at the larger scale, where it is at most η·e^(−x). So ε ≤ c·η·e^(−x) + x/σ,
   convex in x, and largest at x = 0 or x = b. ∎

*The slopes.* With W = e^(−σY), Laplace X has h(z) = E[W·e^(−\|z\|W)]/2 and, for z > 0, g′ is the mean of W under
weights W·e^(−zW). These move to smaller W as z grows, so it is largest for z → 0, where it is E W²/E W =
e^(2σ² − σ²/2). For uniform X, h(z) = E[W; W < 1/z]/2 = e^(σ²/2)·Φ(−a)/2 at z = e^(σ(a − σ)), so that

    g′(z) = e^(1.5·σ²)·φ(a + σ)/(σ·Φ(−a)).

The slope in a of the logarithm of that is φ(a)/Φ(−a) − a − σ, which falls strictly from ∞ to −σ, because the hazard
rate of the normal law has a slope below 1 (Sampford, *Annals of Mathematical Statistics*, 1953). So its root, for which
−σ < a < 1/σ, is the one place of the largest slope. Both densities are continuous, also at 0. And for uniform X
g″(z) = g′(z)·(φ(a)/Φ(−a) − a − σ)/(σz) is bounded: for z → 0 it falls with φ(a + σ), faster than any power of z, and
for z → ∞ as g′(z)/z.

*The shifts.* No c below √(E g′²), the root of Fisher's information, would do. For uniform X, where g′ is small in the
middle and far out, that is much less than the steepest slope, and for the σ of :data:`SHIFTS` three in a thousand more
do. As Z is symmetric, the claim is that of E cosh(λ·g′) for λ ≥ 0. The tests check it: up to λ = .02 through
Λ″(s) ≤ E g′²·cosh(s·g′), Λ the logarithm; up to where the steepest slope is λc²/2 on a grid, Λ rising with λ; beyond
there is nothing to show, as Λ ≤ λ·max g′.

Bun and Steinke state ε = c·η + b/σ, with the same c for Laplace X, and c = e^(1.5·σ²)·√(2/(πσ²)) for uniform X and
σ ≥ √2. It is the smaller σ, of which that says nothing, that have little noise.

Which σ
-------
Any σ that is fixed beforehand is private. If none is given, it is the one of the least standard deviation,
√2·e^(σ²)/η or e^(σ²)/√3/η per unit of S: for Laplace X from 1/16 to 2.5 in steps of two in a hundred, for uniform X
among those of :data:`SHIFTS`, 1.5, 2 and 2.5.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dpframe.accounting import ZeroConcentratedDP
from dpframe.errors import MechanismError
from dpframe.kernels.lognormal import laplace_lognormal, uniform_lognormal
from dpframe.kernels.lognormal_laws import LaplaceLogNormal, UniformLogNormal
from dpframe.mechanisms import smooth_bounds as bounds
from dpframe.mechanisms.smooth import BySmoothness, read_smoothing
from dpframe.mechanisms.table import Floats, Parameter, number, parameter, quantile

LEAST_SIGMA, MOST_SIGMA = 1 / 16, 2.5
SHIFTS = {
    0.4: 1.537,
    0.45: 1.484,
    0.5: 1.448,
    0.55: 1.427,
    0.6: 1.418,
    0.65: 1.422,
    0.7: 1.436,
    0.8: 1.496,
    0.9: 1.601,
    1.0: 1.756,
    1.25: 2.449,
}
"""σ and a c that does for uniform X, by the second way of the proof."""


def laplace_slope(sigma: float) -> float:
    """c of the Laplace log-normal law.

    Examples
    --------
    >>> round(laplace_slope(0.5), 6)
    1.454991
    """
    return math.exp(1.5 * sigma**2)


def uniform_slope(sigma: float) -> float:
    """c of the uniform log-normal law, 1/16 ≤ σ ≤ 2.5.

    The slope is evaluated, and not the closed form, because it does not mind a small error in a.

    Examples
    --------
    >>> round(uniform_slope(0.5), 6)
    2.379422
    """
    low, high = -sigma, 1 / sigma
    for _ in range(60):
        middle = (low + high) / 2
        rises = _density(middle) > (middle + sigma) * _beyond(middle)
        low, high = (middle, high) if rises else (low, middle)
    return math.exp(1.5 * sigma**2) * _density(low + sigma) / (sigma * _beyond(low))


def _density(a: float) -> float:
    return math.exp(-a * a / 2) / math.sqrt(2 * math.pi)


def _beyond(a: float) -> float:
    """Φ(−a)."""
    return math.erfc(a / math.sqrt(2)) / 2


def uniform_shift(sigma: float) -> float:
    """What a shift costs under the uniform log-normal law: the least c that is proved for this σ.

    Examples
    --------
    >>> uniform_shift(0.5), uniform_shift(0.51) == uniform_slope(0.51)
    (1.448, True)
    """
    return SHIFTS.get(sigma, uniform_slope(sigma))


def lognormal_eta(rho: Fraction, b: Fraction, sigma: float, c: float) -> float:
    """The η at which smooth noise of a log-normal product is ρ-zCDP, by the module's docstring; 0 if there is none.

    Examples
    --------
    >>> round(lognormal_eta(Fraction(1, 2), Fraction(1, 20), 0.25, laplace_slope(0.25)), 6)
    0.765755
    """
    whole = min(math.sqrt(2 * min(rho, Fraction(bounds.ENOUGH**2, 2))), float(bounds.ENOUGH))
    left = whole - float(b) / sigma
    eta = min(whole, left * math.exp(float(b))) / c * bounds.SAFETY if left > 0 else 0.0
    return eta if eta >= bounds.LEAST * whole else 0.0


@dataclass(frozen=True)
class _LogNormal(BySmoothness):
    """Noise S/η·X·e^(σY); see the module's docstring."""

    rho: Parameter
    sigma: float | None = None
    floor: float = 1.0

    shift: ClassVar[staticmethod[[float], float]]
    """c, of σ."""
    candidates: ClassVar[tuple[float, ...]]
    """The σ of which one is taken if none is given."""
    product: ClassVar[type[LaplaceLogNormal | UniformLogNormal]]
    """The law of X·e^(σY), of σ."""

    def __post_init__(self) -> None:
        rho = parameter(self.rho, "rho")
        smoothing, b = read_smoothing(self.smoothing, self._call)
        given = None if self.sigma is None else self._given(self.sigma)
        sigma = self._best(rho, b) if given is None else given
        floor = number(self.floor, "floor", self._call)
        self.settle(floor=floor, sigma=sigma)

        def refusal() -> str:
            most = math.sqrt(2 * min(rho, Fraction(bounds.ENOUGH**2, 2))) * (MOST_SIGMA if given is None else given)
            where = "" if given is None else f" and sigma={given}"
            return f"smoothing={smoothing} is too much for rho={rho}{where}, which hides up to about {most:.3g}"

        eta = self._eta(rho, b, sigma)
        self._settle(eta, floor, refusal, smoothing=smoothing, rho=rho)

    def _given(self, sigma: float) -> float:
        read = number(sigma, "sigma", self._call)
        if not LEAST_SIGMA <= read <= MOST_SIGMA:
            raise MechanismError(f"sigma must be a number from 1/16 to 2.5, not {sigma!r}; try {self._call}.")
        return read

    def _eta(self, rho: Fraction, b: Fraction, sigma: float) -> float:
        return lognormal_eta(rho, b, sigma, type(self).shift(sigma))

    def _best(self, rho: Fraction, b: Fraction) -> float:
        """The σ of the least standard deviation: that of X is left out, as it does not depend on σ."""

        def deviation(sigma: float) -> float:
            eta = self._eta(rho, b, sigma)
            return math.exp(sigma**2) / eta if eta else math.inf

        return min(self.candidates, key=deviation)

    @property
    def _sigma(self) -> float:
        """σ, which construction has settled."""
        assert self.sigma is not None
        return self.sigma

    @property
    def event(self) -> ZeroConcentratedDP:
        """ρ-zCDP."""
        return ZeroConcentratedDP(parameter(self.rho, "rho"))

    def add(
        self, values: Floats, scale: Floats | float, grid: float, *, key: bytes, stream: int, start: int
    ) -> NDArray[np.int64]:
        """Noisy values in grid steps; as for every mechanism."""
        place = {"key": key, "stream": stream, "start": start}
        return type(self).sampler(values.size, scale, sigma=self._sigma, grid=grid, values=values, **place)

    def accuracy(self, alpha: float) -> float:
        """The least ``w`` with P(|noise| ≤ w·scale) ≥ 1 − alpha, before rounding to the grid."""
        return quantile(self.product(self._sigma), alpha)


@dataclass(frozen=True)
class SmoothLaplaceLogNormal(_LogNormal):
    """Noise S/η·X·e^(σY), X standard Laplace and Y standard normal: ρ-zCDP.

    η is the lesser of √(2ρ) and e^b·(√(2ρ) − b/σ), over e^(1.5·σ²); the proof is in the module's docstring.
    :class:`SmoothUniformLogNormal` has less variance at the same cost, whatever the smoothing.

    Parameters
    ----------
    sensitivity
        The column of the smooth sensitivities, or a public number.
    smoothing
        b: neighbours' sensitivities differ by a factor of at most e^b; b < σ·√(2ρ).
    rho
        The cost.
    sigma
        σ, from 1/16 to 2.5: public. The one of the least variance if None.
    floor
        The least sensitivity of any cell: public.

    Raises
    ------
    MechanismError
        When the smoothing is more than this cost can hide, or ``sigma`` or ``floor`` out of range.
    InvalidCostError
        When ρ is not a positive number.

    Examples
    --------
    >>> noise = SmoothLaplaceLogNormal(sensitivity="smooth", smoothing=0.01, rho=0.5)
    >>> noise.sigma, noise.scale(np.array([10.0])).round(3)
    (0.13, array([11.001]))
    """

    name = "smooth Laplace log-normal"
    example = "SmoothLaplaceLogNormal({column!r}, smoothing=0.05, rho=0.5)"
    shift = staticmethod(laplace_slope)
    candidates = tuple(float(f"{LEAST_SIGMA * 1.02**j:.3g}") for j in range(187))
    product, sampler = LaplaceLogNormal, laplace_lognormal


@dataclass(frozen=True)
class SmoothUniformLogNormal(_LogNormal):
    """Noise S/η·X·e^(σY), X uniform on [−1, 1] and Y standard normal: ρ-zCDP.

    η is the lesser of √(2ρ) and e^b·(√(2ρ) − b/σ), over c: 1.448 for σ = 0.5 and so on (:data:`SHIFTS`), and the
    steepest slope of the law's −ln h for a σ that is not listed. The proof is in the module's docstring. For little
    smoothing the standard deviation is 1.04·S/√(2ρ), where Gaussian noise of that sensitivity would have S/√(2ρ).

    Parameters
    ----------
    sensitivity
        The column of the smooth sensitivities, or a public number.
    smoothing
        b: neighbours' sensitivities differ by a factor of at most e^b; b < σ·√(2ρ).
    rho
        The cost.
    sigma
        σ, from 1/16 to 2.5: public. The one of the least variance, of those listed and some larger ones, if None.
    floor
        The least sensitivity of any cell: public.

    Raises
    ------
    MechanismError
        When the smoothing is more than this cost can hide, or ``sigma`` or ``floor`` out of range.
    InvalidCostError
        When ρ is not a positive number.

    Examples
    --------
    >>> noise = SmoothUniformLogNormal(sensitivity="smooth", smoothing=0.05, rho=0.5)
    >>> noise.sigma, noise.scale(np.array([10.0])).round(3)
    (0.45, array([15.881]))
    """

    name = "smooth uniform log-normal"
    example = "SmoothUniformLogNormal({column!r}, smoothing=0.05, rho=0.5)"
    shift = staticmethod(uniform_shift)
    candidates = (*SHIFTS, 1.5, 2.0, 2.5)
    product, sampler = UniformLogNormal, uniform_lognormal


__all__ = ["SmoothLaplaceLogNormal", "SmoothUniformLogNormal"]
