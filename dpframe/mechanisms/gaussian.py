"""The rounded Gaussian mechanism: ρ-zCDP for integer statistics.

The noise is round(N(0, σ²)). For integer statistics, x + round(Z) = round(x + Z), so the answer is a
post-processing of the continuous Gaussian mechanism and inherits its guarantee with no loss:
ρ = Δ₂²/(2σ²) (Bun and Steinke, *Concentrated Differential Privacy*, TCC 2016, Proposition 1.6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from dpframe.kernels.gaussian import rounded_gaussian
from dpframe.kernels.refine import context
from dpframe.mechanisms.scale import safe_scale


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

    def accuracy(self, alpha: float) -> int:
        """The least ``w`` with P(|noise| ≤ w) ≥ 1 − alpha: P(|noise| > w) = erfc((w + ½)/(σ√2))."""
        if alpha >= 1:
            return 0
        mp = context()
        mp.prec = 128 + math.ceil(-math.log2(alpha))  # enough to tell 1 - alpha from 1
        return max(0, int(mp.ceil(self.scale * mp.sqrt(2) * mp.erfinv(1 - mp.mpf(alpha)) - 0.5)))

    def add(self, exact: npt.NDArray[np.int64], key: bytes, stream: int) -> npt.NDArray[np.int64]:
        """Noisy values: cell ``i`` takes word ``i`` of the stream, so a retry draws the same noise.

        Parameters
        ----------
        exact
            (n,) exact statistics, cell by cell.
        key
            The release's secret key, 32 bytes, used for this release only.
        stream
            The statistic's number within the release.
        """
        return exact + rounded_gaussian(exact.size, self.scale, key=key, stream=stream)
