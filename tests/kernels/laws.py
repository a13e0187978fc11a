"""The laws under test: how to draw, the exact law behind, the float filter's parameters, and the tail in floats.

``CASES`` are those of one word a cell, by inversion; ``PRODUCTS`` take two words; ``SAMPLERS`` are both.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import special, stats

from dpframe import kernels
from dpframe.kernels.exponential_tails import _shift
from dpframe.kernels.gaussian_integers import LARGEST_ALIAS, DiscreteGaussian, inversion_parameters
from dpframe.kernels.heavy_laws import ARSINH_SIGMA, ArsinhNormal, Quartic, StudentT
from dpframe.kernels.inversion import LOGARITHM, decide_shared, quantiles
from dpframe.kernels.laws import EXPONENTIAL, NORMAL, DiscreteLaplace, Geometric, Rounded
from dpframe.kernels.lognormal import Places, exact_product
from dpframe.kernels.lognormal_laws import LaplaceLogNormal, UniformLogNormal
from dpframe.kernels.quantile_table import table
from dpframe.kernels.sampler import PerCell, Place, Shared, exact_cell


def half(scale: float) -> float:
    return 0.5


@dataclass(frozen=True)
class Case:
    """One sampler.

    ``noise`` is the continuous law, ``law(scale)`` the integer law of the magnitude and ``shift(scale)`` its c.
    ``tail(k, scale)`` is P(|X| ≥ k) in floats, for k ≥ 1, written independently of the sampler.
    """

    name: str
    draw: Callable[..., np.ndarray]
    noise: Any
    law: Callable[[float], Any]
    tail: Callable[[np.ndarray, float], np.ndarray]
    shift: Callable[[float], float] = half
    signs: int = 1
    heavy: bool = False
    inverts_above: float = 0.0

    def exact(self, scale: float, places: Any, n: int, **options: Any) -> list[int]:
        """The exact values of n cells; ``places`` are those of :meth:`places`."""
        return [exact_cell(Shared(self.law(scale)), places, i, signs=self.signs, **options) for i in range(n)]

    def exact_around(self, scales: Any, values: Any, grid: float, places: Any) -> list[int]:
        """Likewise with a scale and a value of each cell's own."""
        cells = PerCell(self.noise, 1 / grid, scales, values)
        return [exact_cell(cells, places, i, signs=self.signs) for i in range(len(scales))]

    @property
    def places(self) -> Callable[..., Any]:
        """Where the cells of a call read, from key, stream, start, n and hashes."""
        return Place.of

    @property
    def on_a_grid(self) -> bool:
        """Whether the sampler takes ``grid=``, ``values=`` and a scale for each cell."""
        return self.shift is half

    def filter(self, scale: float, words: np.ndarray, out: np.ndarray, doubtful: np.ndarray) -> int:
        """The float filter's decisions for given words."""
        source = LOGARITHM if self.noise is EXPONENTIAL else table(self.noise)
        q = np.empty(words.size)
        quantiles(words, source, np.empty(words.size, np.int64), q)
        e, k, signs, size, shift = self.parameters(scale)
        return decide_shared(words, q, size, shift, e, k, signs, out, 0, doubtful, 0)

    def parameters(self, scale: float) -> tuple[float, float, np.uint64, float, float]:
        """E, K, signs, scale and shift, as the sampler passes them to its kernel."""
        if self.inverts_above:
            return inversion_parameters(scale)
        return self.noise.e, self.noise.k, np.uint64(self.signs), scale, self.shift(scale)


@dataclass(frozen=True)
class Product(Case):
    """A sampler of two words a cell."""

    def exact(self, scale: float, places: Any, n: int, **options: Any) -> list[int]:
        cells = PerCell(self.noise, 1.0, np.array([scale]), np.empty(0))
        return [exact_product(self.noise, cells, places, i, **options) for i in range(n)]

    def exact_around(self, scales: Any, values: Any, grid: float, places: Any) -> list[int]:
        cells = PerCell(self.noise, 1 / grid, scales, values)
        return [exact_product(self.noise, cells, places, i) for i in range(len(scales))]

    @property
    def places(self) -> Callable[..., Any]:
        return Places.of


def on_grid(name: str, draw: Callable[..., np.ndarray], noise: Any, tail: Any, **kind: Any) -> Case:
    """A sampler that rounds a continuous law with tail ``tail(y)``."""
    return Case(name, draw, noise, partial(Rounded, noise), lambda k, s: tail((k - 0.5) / s), **kind)


def product(name: str, draw: Callable[..., np.ndarray], noise: Any, tail: Any) -> Case:
    """A log-normal product with tail ``tail(y)``."""
    draw = partial(draw, sigma=noise.sigma)
    return Product(name, draw, noise, partial(Rounded, noise), lambda k, s: tail((k - 0.5) / s), heavy=True)


def laplace_lognormal_tail(y: np.ndarray, sigma: float) -> np.ndarray:
    """∫ over t of P(X ∈ e^dt)·P(σY > ln y − t), by the trapezoidal rule."""
    t = np.arange(-45, 7, 0.01)
    return np.array([0.01 * (np.exp(t - np.exp(t)) * special.ndtr((t - at) / sigma)).sum() for at in np.log(y)])


def uniform_lognormal_tail(y: np.ndarray, sigma: float) -> np.ndarray:
    """∫ from 0 of e^(−t)·P(σY > ln y + t), by Gauss and Legendre's rule on short stretches."""
    nodes, weights = np.polynomial.legendre.leggauss(20)
    ends = np.arange(0, 45, 0.25)
    t, weight = (ends[:, None] + 0.125 * (nodes + 1)).ravel(), 0.125 * np.tile(weights, ends.size)
    return np.array([(weight * np.exp(-t) * special.ndtr(-(t + at) / sigma)).sum() for at in np.log(y)])


def quartic_tail(y: np.ndarray) -> np.ndarray:
    """√8/π·∫ from y of 1/(1 + z⁴), by the hypergeometric series in 1/y⁴ or in y⁴."""
    far = np.maximum(y, 1.0)
    near = np.minimum(y, 1.0)
    beyond = far**-3 / 3 * special.hyp2f1(1, 0.75, 1.75, -(far**-4.0))
    within = near * special.hyp2f1(1, 0.25, 1.25, -(near**4.0))
    return np.where(y > 1, np.sqrt(8) / np.pi * beyond, 1 - np.sqrt(8) / np.pi * within)


def discrete_gaussian_tail(k: np.ndarray, sigma: float) -> np.ndarray:
    """Summed from the far end, so that small terms come first."""
    far = np.arange(int(k.min()), int(k.max() + 12 * sigma) + 20, dtype=float)
    masses = np.exp(-(far**2) / (2 * sigma**2))
    whole = 1 + 2 * np.exp(-(np.arange(1, int(12 * sigma) + 20) ** 2) / (2 * sigma**2))[::-1].sum()
    return 2 * np.cumsum(masses[::-1])[::-1][(k - far[0]).astype(int)] / whole


CASES = [
    Case(
        "discrete_laplace",
        kernels.discrete_laplace,
        EXPONENTIAL,
        DiscreteLaplace,
        lambda k, s: 2 * np.exp(-k / s) / (1 + np.exp(-1 / s)),
        shift=_shift,
    ),
    Case(
        "geometric",
        kernels.geometric,
        EXPONENTIAL,
        Geometric,
        lambda k, s: np.exp(-k / s),
        shift=lambda scale: 0.0,
        signs=0,
    ),
    Case(
        "discrete_gaussian",
        kernels.discrete_gaussian,
        NORMAL,
        DiscreteGaussian,
        discrete_gaussian_tail,
        shift=lambda scale: 0.5,
        inverts_above=LARGEST_ALIAS,
    ),
    on_grid("laplace", kernels.laplace, EXPONENTIAL, lambda y: np.exp(-y)),
    on_grid("exponential", kernels.exponential, EXPONENTIAL, lambda y: np.exp(-y), signs=0),
    on_grid("gaussian", kernels.gaussian, NORMAL, lambda y: special.erfc(y / np.sqrt(2))),
    on_grid("student_t", kernels.student_t, StudentT(3.0), lambda y: 2 * stats.t.sf(y, 3), heavy=True),
    on_grid("cauchy", kernels.cauchy, StudentT(1.0), lambda y: 2 / np.pi * np.arctan(1 / y), heavy=True),
    on_grid("gamma4", kernels.gamma4, Quartic(), quartic_tail, heavy=True),
    on_grid(
        "arsinh_normal",
        kernels.arsinh_normal,
        ArsinhNormal(ARSINH_SIGMA),
        lambda y: special.erfc(np.arcsinh(ARSINH_SIGMA * y) / (ARSINH_SIGMA * np.sqrt(2))),
        heavy=True,
    ),
]

PRODUCTS = [
    product(
        "laplace_lognormal",
        kernels.laplace_lognormal,
        LaplaceLogNormal(0.5),
        partial(laplace_lognormal_tail, sigma=0.5),
    ),
    product(
        "uniform_lognormal",
        kernels.uniform_lognormal,
        UniformLogNormal(0.625),
        partial(uniform_lognormal_tail, sigma=0.625),
    ),
]
SAMPLERS = [*CASES, *PRODUCTS]


def by_cell(case: Case) -> Case:
    """The same law drawn with a scale for each cell, every other of which has three times the scale."""

    def draw(n: int, scale: float, *, start: int = 0, out: np.ndarray | None = None, **place: Any) -> np.ndarray:
        scales = np.full(2 * n, scale)
        scales[1::2] *= 3
        drawn = case.draw(2 * n, scales, start=2 * start, **place)[::2]
        if out is None:
            return drawn
        out[:] = drawn
        return out

    return replace(case, name=f"{case.name}_by_cell", draw=draw)


BY_CELL = [by_cell(case) for case in SAMPLERS]

each_sampler = pytest.mark.parametrize("case", SAMPLERS, ids=lambda case: case.name)
each_grid_sampler = pytest.mark.parametrize("case", [c for c in SAMPLERS if c.on_a_grid], ids=lambda case: case.name)
each_law = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
each_grid_law = pytest.mark.parametrize("case", [c for c in CASES if c.on_a_grid], ids=lambda case: case.name)


def at_scales(*scales: float, cases: list[Case] = CASES) -> pytest.MarkDecorator:
    """Every law at every one of these scales at which it is sampled by inversion."""
    pairs = [(case, scale) for case in cases for scale in scales if scale > case.inverts_above]
    return pytest.mark.parametrize(("case", "scale"), pairs, ids=lambda value: getattr(value, "name", value))
