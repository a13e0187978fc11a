"""The absence of noise, for unlimited budgets only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Exact:
    """Adds nothing. Not private: it exists for tests and for prototyping on synthetic data."""

    name = "none"
    scale = 0.0

    def accuracy(self, alpha: float) -> int:
        """The noise is never larger than 0."""
        return 0

    def add(self, exact: npt.NDArray[np.int64], key: bytes, stream: int) -> npt.NDArray[np.int64]:
        """The values as they are."""
        return exact
