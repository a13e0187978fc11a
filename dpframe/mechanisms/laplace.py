"""The discrete Laplace mechanism: ε-DP for integer statistics.

Noise ``k`` has probability ∝ exp(−|k|/b) with b = Δ₁/ε, where Δ₁ is the L1 sensitivity (Ghosh, Roughgarden
and Sundararajan, *Universally utility-maximizing privacy mechanisms*, STOC 2009).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from dpframe.kernels.laplace import discrete_laplace
from dpframe.mechanisms.scale import safe_scale


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

    @classmethod
    def calibrate(cls, sensitivity: int, epsilon: Fraction) -> Laplace:
        """The least noise for ε-DP at that L1 sensitivity; the scale is rounded up, never down.

        Raises
        ------
        MechanismError
            When the scale would leave the samplers' range.
        """
        return cls(safe_scale(Fraction(sensitivity) / epsilon, f"epsilon={float(epsilon):.3g}"))

    def accuracy(self, alpha: float) -> int:
        """The least ``w`` with P(|noise| ≤ w) ≥ 1 − alpha: the exact quantile of the law.

        P(|noise| > w) = 2·e^(−(w+1)/b) / (1 + e^(−1/b)).
        """
        if alpha >= 1:
            return 0
        least = self.scale * (math.log(2 / alpha) - math.log1p(math.exp(-1 / self.scale))) - 1
        return max(0, math.ceil(least))

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
        return exact + discrete_laplace(exact.size, self.scale, key=key, stream=stream)
