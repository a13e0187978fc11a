"""Noise for the integer statistics of a release, calibrated to the cost.

*Discrete Laplace*, ε-DP: noise ``k`` has probability ∝ exp(−|k|/b) with b = Δ₁/ε, where Δ₁ is the L1 sensitivity
(Ghosh, Roughgarden and Sundararajan, *Universally utility-maximizing privacy mechanisms*, STOC 2009).

*Rounded Gaussian*, ρ-zCDP: the noise is round(N(0, σ²)). For integer statistics, x + round(Z) = round(x + Z), so the
answer is a post-processing of the continuous Gaussian mechanism and inherits its guarantee with no loss:
ρ = Δ₂²/(2σ²) (Bun and Steinke, *Concentrated Differential Privacy*, TCC 2016, Proposition 1.6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from dpframe.errors import MechanismError
from dpframe.kernels.arguments import LARGEST_SCALE, SMALLEST_SCALE
from dpframe.kernels.exceeding import GaussianTail, LaplaceTail, Tail, exceeding
from dpframe.kernels.exponential_tails import discrete_laplace
from dpframe.kernels.normal import gaussian
from dpframe.kernels.refine import context

Ints = npt.NDArray[np.int64]
Cells = Ints | npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Laplace:
    """Discrete Laplace noise of scale ``b``, in grid steps.

    Examples
    --------
    >>> Laplace.calibrate(sensitivity=3, epsilon=Fraction(1, 2)).scale
    6.0
    """

    scale: float
    name = "discrete Laplace"
    pure = True

    @classmethod
    def calibrate(cls, sensitivity: int, epsilon: Fraction) -> Laplace:
        """The least noise for ε-DP at that L1 sensitivity; the scale is rounded up, never down.

        Raises
        ------
        MechanismError
            When the scale would leave the samplers' range.
        """
        return cls(safe_scale(Fraction(sensitivity) / epsilon, f"epsilon={float(epsilon):.3g}"))

    @property
    def variance(self) -> float:
        """2q/(1 − q)², q = e^(−1/b)."""
        return 2 * math.exp(-1 / self.scale) / math.expm1(-1 / self.scale) ** 2

    def accuracy(self, alpha: float) -> int:
        """The least ``w`` with P(|noise| ≤ w) ≥ 1 − alpha: the exact quantile of the law.

        P(|noise| > w) = 2·e^(−(w+1)/b) / (1 + e^(−1/b)).
        """
        if alpha >= 1:
            return 0
        least = self.scale * (math.log(2 / alpha) - math.log1p(math.exp(-1 / self.scale))) - 1
        return max(0, math.ceil(least))

    def add(self, exact: Ints, key: bytes, stream: int, start: int = 0, cells: Cells | None = None) -> Ints:
        """Noisy values: every cell has a word of its own in the stream, so a retry draws the same noise.

        Parameters
        ----------
        exact
            (n,) exact statistics of the cells ``start``, ``start + 1``, …
        key
            The release's secret key, 32 bytes, used for this release only.
        stream
            The statistic's number within the release.
        cells
            (n,) the cells, where they are scattered: they take words of another stream than the run of cells does.
            Or (n, 2) uint64, addresses of 128 bits.
        """
        named = None if cells is None else hashes(cells)
        return exact + discrete_laplace(exact.size, self.scale, key=key, stream=stream, start=start, cells=named)

    def chance(self, least: int) -> float:
        """P(noise ≥ least), for least ≥ 1."""
        return _chance(LaplaceTail(self.scale), least)

    def exceeding(self, cells: int, least: int, key: bytes, streams: tuple[int, int]) -> tuple[Ints, Ints]:
        """The cells, of so many, in which noise alone is at least ``least``, and that noise: :func:`exceeding`."""
        return exceeding(LaplaceTail(self.scale), cells, least, key=key, gaps=streams[0], values=streams[1])


@dataclass(frozen=True)
class Gaussian:
    """Rounded Gaussian noise of standard deviation ``sigma`` before rounding, in grid steps.

    Examples
    --------
    >>> Gaussian.calibrate(sensitivity_squared=4, rho=Fraction(1, 2)).scale
    2.0
    """

    scale: float
    name = "rounded Gaussian"
    pure = False

    @classmethod
    def calibrate(cls, sensitivity_squared: int, rho: Fraction) -> Gaussian:
        """The least noise for ρ-zCDP at that squared L2 sensitivity; σ is rounded up, never down.

        Raises
        ------
        MechanismError
            When σ would leave the samplers' range.
        """
        variance = Fraction(sensitivity_squared) / (2 * rho)
        sigma = math.sqrt(variance)
        while Fraction(sigma) ** 2 < variance:
            sigma = math.nextafter(sigma, math.inf)
        return cls(safe_scale(sigma, f"rho={float(rho):.3g}"))

    @property
    def variance(self) -> float:
        """σ² + 1/12 but for what rounding a narrow law loses: Σ (2k − 1)·P(|noise| ≥ k)."""
        if self.scale >= 1:  # beyond 2e-8 of it no difference is left
            return self.scale**2 + 1 / 12
        return math.fsum((2 * k - 1) * math.erfc((k - 0.5) / (self.scale * math.sqrt(2))) for k in range(1, 13))

    def accuracy(self, alpha: float) -> int:
        """The least ``w`` with P(|noise| ≤ w) ≥ 1 − alpha: P(|noise| > w) = erfc((w + ½)/(σ√2))."""
        if alpha >= 1:
            return 0
        mp = context()
        mp.prec = 128 + math.ceil(-math.log2(alpha))  # enough to tell 1 - alpha from 1
        return max(0, int(mp.ceil(self.scale * mp.sqrt(2) * mp.erfinv(1 - mp.mpf(alpha)) - 0.5)))

    def add(self, exact: Ints, key: bytes, stream: int, start: int = 0, cells: Cells | None = None) -> Ints:
        """Noisy values: every cell has a word of its own in the stream; see :meth:`Laplace.add`."""
        named = None if cells is None else hashes(cells)
        return exact + gaussian(exact.size, self.scale, key=key, stream=stream, start=start, cells=named)

    def chance(self, least: int) -> float:
        """P(noise ≥ least), for least ≥ 1."""
        return _chance(GaussianTail(self.scale), least)

    def exceeding(self, cells: int, least: int, key: bytes, streams: tuple[int, int]) -> tuple[Ints, Ints]:
        """The cells, of so many, in which noise alone is at least ``least``, and that noise: :func:`exceeding`."""
        return exceeding(GaussianTail(self.scale), cells, least, key=key, gaps=streams[0], values=streams[1])


@dataclass(frozen=True)
class Exact:
    """Adds nothing. Not private: it exists for tests and for prototyping on synthetic data."""

    name = "none"
    pure = False
    scale = 0.0
    variance = 0.0

    def accuracy(self, alpha: float) -> int:
        """The noise is never larger than 0."""
        return 0

    def add(self, exact: Ints, key: bytes, stream: int, start: int = 0, cells: Cells | None = None) -> Ints:
        """The values as they are."""
        return exact

    def chance(self, least: int) -> float:
        """Without noise, nothing is lifted."""
        return 0.0

    def exceeding(self, cells: int, least: int, key: bytes, streams: tuple[int, int]) -> tuple[Ints, Ints]:
        """No cell at all."""
        return np.empty(0, np.int64), np.empty(0, np.int64)


def _chance(tail: Tail, least: int) -> float:
    mp = context()
    mp.prec = 64
    return float(tail.beyond(mp, least))


def hashes(cells: Cells) -> npt.NDArray[np.uint64]:
    """Cell numbers as the 128-bit names that the samplers take: distinct ones, so no two cells share a word.

    Such names stay as they are.

    Examples
    --------
    >>> hashes(np.array([5, 7])).tolist()
    [[5, 0], [7, 0]]
    """
    if cells.ndim == 2:
        return cells.astype(np.uint64, copy=False)
    named = np.zeros((cells.size, 2), np.uint64)
    named[:, 0] = cells
    return named


def safe_scale(scale: Fraction | float, cost: str) -> float:
    """The least double that is not below the scale, within the samplers' range.

    Noise may be larger than asked, never smaller: rounding is upwards, and a scale below the least one
    becomes that.

    Raises
    ------
    MechanismError
        For a scale that could leave 64 bits: the bounds are too wide for so small a cost.
    """
    if scale > LARGEST_SCALE:
        raise MechanismError(
            f"The noise would not fit 64 bits: the clipping and contribution bounds are too wide for {cost}. "
            "Tighten the bounds or spend more on this release."
        )
    rounded = float(scale)
    if Fraction(rounded) < scale:
        rounded = math.nextafter(rounded, math.inf)
    return max(rounded, SMALLEST_SCALE)
