"""The laws under test: how to draw, the exact law behind, the float filter alone, and the mass function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from dpframe.kernels import gaussian, laplace
from dpframe.kernels.gaussian import RoundedGaussian, rounded_gaussian
from dpframe.kernels.laplace import DiscreteLaplace, discrete_laplace
from dpframe.kernels.quantile_table import table


@dataclass(frozen=True)
class Case:
    """One sampler.

    ``filter(scale)`` gives ``run(words, out, doubtful) -> found``: the compiled decision for given words.
    ``tail(k, scale)`` is P(|X| ≥ k) in floats, for k ≥ 1, written independently of the sampler.
    """

    name: str
    draw: Callable[..., np.ndarray]
    law: Callable[[float], Any]
    filter: Callable[[float], Callable[..., int]]
    tail: Callable[[np.ndarray, float], np.ndarray]


def _laplace_filter(scale: float) -> Callable[..., int]:
    def run(words: np.ndarray, out: np.ndarray, doubtful: np.ndarray) -> int:
        return laplace._block(words, scale, laplace._shift(scale), out, 0, doubtful, 0)

    return run


def _gaussian_filter(scale: float) -> Callable[..., int]:
    def run(words: np.ndarray, out: np.ndarray, doubtful: np.ndarray) -> int:
        q = np.empty(words.size)
        gaussian.quantiles(words, table("gaussian"), np.empty(words.size, np.int64), q)
        return gaussian._block(words, q, scale, out, 0, doubtful, 0)

    return run


def _laplace_tail(k: np.ndarray, scale: float) -> np.ndarray:
    return 2 * np.exp(-k / scale) / (1 + np.exp(-1 / scale))


def _gaussian_tail(k: np.ndarray, sigma: float) -> np.ndarray:
    return special.erfc((k - 0.5) / (sigma * np.sqrt(2)))


CASES = [
    Case("discrete_laplace", discrete_laplace, DiscreteLaplace, _laplace_filter, _laplace_tail),
    Case("rounded_gaussian", rounded_gaussian, RoundedGaussian, _gaussian_filter, _gaussian_tail),
]
