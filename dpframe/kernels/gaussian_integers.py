r"""The discrete Gaussian law, P(X = k) ∝ exp(−k²/2σ²) on the integers, for every σ.

Up to σ = 256 an alias table (:mod:`dpframe.kernels.alias`), above that inversion: \|X\| = ⌊σ′·Q(u) + ½⌋ with the
normal quantile Q and σ′ = σ·(1 − 1/(24σ²)), right but for words so close to a threshold that the filter refines them.

How close: the bound
--------------------
Let a = k − ½, z = a/σ, and T(k) = P(\|X\| ≥ k). By the Euler–Maclaurin formula about the midpoint a, for
f(x) = e^(−x²/2σ²),

    Σ_{j ≥ k} f(j) = ∫_a^∞ f − z/(24σ)·e^(−z²/2) + R,
    \|R\| ≤ σ⁻³·e^(−z²/2)·( 7/5760·\|He₃(z)\| + m(z)/720 ),   m(z) = e^(z²/2)·∫_z^∞ \|He₄(t)\|·e^(−t²/2) dt,

the first part being the next term, and the second its remainder with \|B̃₄\|/4! ≤ 1/720. With h = z/(24σ²), moving the
integral's lower end from z to z + h takes off h·e^(−z²/2) up to h²/2·(z + h)·e^(−z²/2). The sum over all integers is
σ√(2π) up to a factor 1 + 2⁻¹⁰⁰⁰ for σ ≥ 128 (Poisson). So Q(T(k)) = z + h + Δ, where Δ is the sum of those errors over
the density there, and σ′·Q(T(k)) + ½ misses k by at most

    D(z)/σ³,   D(z) = z/576 + 1.02·( 7/5760·\|He₃(z)\| + m(z)/720 + z³/1152 ).

Up to z = 8, beyond which no word is decided by floats (v ≥ 2²⁰ means z < 7.9), D(z) ≤ 0.2·(z + 1), which the tests
check. As the value changes only at thresholds, it is enough to widen the filter by twice that: E = 2⁻⁴⁸ + 0.4/σ⁴.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpframe.kernels.alias import AliasTable, alias_table, fill_alias
from dpframe.kernels.arguments import check_out, check_scale, check_scales
from dpframe.kernels.gaussian_cells import fill_gaussians
from dpframe.kernels.inversion import fill_shared
from dpframe.kernels.laws import NORMAL
from dpframe.kernels.quantile_table import table
from dpframe.kernels.refine import floor
from dpframe.kernels.sampler import Hashed, Place, Scaled, Shared, exact_cell, sample

LARGEST_ALIAS = 256.0
_MOST_TERMS = 200
_FEW_TERMS = 16.0
"""Below this σ, plain summation is the quicker way."""


@dataclass(frozen=True)
class DiscreteGaussian:
    """The magnitude of the discrete Gaussian law: T(k) = 2·Σ_{j ≥ k} e^(−j²/2σ²) / Σ_j e^(−j²/2σ²).

    Examples
    --------
    >>> from dpframe.kernels.refine import context
    >>> DiscreteGaussian(1.0).guess(context(), context().mpf("0.001"))
    3
    """

    sigma: float

    def threshold(self, mp: Any, k: int) -> Any:
        """P(|X| ≥ k), or 2 for "always"."""
        if k <= 0:
            return mp.mpf(2)
        precision = mp.prec
        mp.prec = precision + 32
        share = 2 * self._beyond(mp, k) / self._all(mp)
        mp.prec = precision
        return +share

    def guess(self, mp: Any, u: Any) -> int:
        """⌊σ′·Q(u) + ½⌋."""
        sigma = mp.mpf(self.sigma)
        narrowed = sigma - 1 / (24 * sigma) if self.sigma > 1 else sigma
        return floor(mp, narrowed * NORMAL.quantile(mp, u) + mp.mpf(0.5))

    def masses(self, mp: Any, reach: int) -> list[Any]:
        """P(X = 0), …, P(X = reach), each from the one before."""
        rate = 1 / (2 * mp.mpf(self.sigma) ** 2)
        factor, shrink = mp.exp(-rate), mp.exp(-2 * rate)
        masses = [1 / self._all(mp)]
        for _ in range(reach):
            masses.append(masses[-1] * factor)
            factor *= shrink
        return masses

    def _all(self, mp: Any) -> Any:
        """The sum over all integers; by Poisson's formula for σ ≥ 1, σ√(2π)·Σ e^(−2π²σ²m²)."""
        sigma = mp.mpf(self.sigma)
        if self.sigma < 1:
            return 1 + 2 * self._direct(mp, 1)
        dual = DiscreteGaussian.decay(mp, 2 * mp.pi**2 * sigma**2)
        return sigma * mp.sqrt(2 * mp.pi) * (1 + 2 * dual)

    @staticmethod
    def decay(mp: Any, rate: Any, k: int = 1) -> Any:
        """Σ_{j ≥ k} e^(−rate·j²), term by term; each is the last times a factor that itself shrinks."""
        term = mp.exp(-rate * k * k)
        factor, shrink = mp.exp(-rate * (2 * k + 1)), mp.exp(-2 * rate)
        total, enough = term, mp.ldexp(1, -mp.prec - 8)
        while term > total * enough:
            term *= factor
            factor *= shrink
            total += term
        return total

    def _direct(self, mp: Any, k: int) -> Any:
        return self.decay(mp, 1 / (2 * mp.mpf(self.sigma) ** 2), k)

    def _beyond(self, mp: Any, k: int) -> Any:
        r"""Σ_{j ≥ k} e^(−j²/2σ²), by Euler–Maclaurin where it reaches the precision, else term by term.

        After P terms the remainder is at most 3.3·(2πσ)^(−2P)·σ·∫_z^∞ \|He_2P\|·e^(−t²/2) dt, as
        \|B̃_2P\|/(2P)! ≤ 2ζ(2)/(2π)^(2P); and by Cramér's inequality, \|He_n(t)\| ≤ 1.09·√(n!)·e^(t²/4), the integral
        is at most 1.09·√(2P)!·√π·erfc(z/2).
        """
        if self.sigma < _FEW_TERMS:
            return self._direct(mp, k)
        sigma = mp.mpf(self.sigma)
        z = (k - mp.mpf(0.5)) / sigma
        main = sigma * mp.sqrt(mp.pi / 2) * mp.erfc(z / mp.sqrt(2))
        allowed = mp.ldexp(main, -mp.prec)
        remainder = 3.6 * sigma * mp.sqrt(mp.pi) * mp.erfc(z / 2)
        height = mp.exp(-z * z / 2)
        total, hermite, before = main, z, mp.mpf(1)  # He₁ and He₀
        for p in range(1, _MOST_TERMS):
            n = 2 * p - 1
            at_half = -(1 - mp.ldexp(1, 1 - 2 * p)) * mp.bernoulli(2 * p)
            total += at_half / mp.factorial(2 * p) * hermite * height / sigma**n
            remainder *= mp.sqrt(2 * p * n) / (2 * mp.pi * sigma) ** 2
            if remainder < allowed:
                return total
            even = z * hermite - n * before
            hermite, before = z * even - (n + 1) * hermite, even
        return self._direct(mp, k)


@lru_cache(maxsize=64)
def _alias(sigma: float) -> AliasTable:
    """The table of a small σ: up to 8192 columns of 16 bytes, made in some hundredths of a second."""
    return alias_table(DiscreteGaussian(sigma), reach=int(9.6 * sigma) + 3)


def discrete_gaussian(
    n: int,
    scale: float | ArrayLike,
    *,
    key: bytes | None = None,
    stream: int = 0,
    start: int = 0,
    cells: NDArray[np.uint64] | None = None,
    out: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Exact samples of the discrete Gaussian law, P(X = k) ∝ exp(−k²/2σ²).

    Parameters
    ----------
    n
        How many cells.
    scale
        σ, from 2**-10 to 2**50; close to, but not exactly, the standard deviation. Or a vector of shape (n,), whose
        entries, which may depend on private data, are held to that range without a word (NaN to its upper end); whoever
        passes one sees to a public floor. A vector is drawn by a method of its own: under one key, a number and a
        vector of that number give different samples. Above σ = 64 it takes about twice as long as a number; below, ten
        to forty times, the longer the larger σ: some three to ten million samples a second.
    key
        32 bytes; a fresh one from the operating system if None. The same key, stream and cell must never
        serve two releases.
    stream, start
        Cell i reads the word at position ``start + i`` of this stream, and nothing else.
    cells
        Instead of ``start``: a 128-bit hash for each cell, shape (n, 2) of uint64, low half first. Cell i then reads
        the word that its hash names, so that its noise does not depend on the order or partition of cells.
    out
        Where to write: int64, shape (n,), contiguous. A new array if None.

    Returns
    -------
    ndarray of int64, shape (n,)
        The same on every CPU. Values past ±(2**63 − 1), of probability below 2**-1000, are clamped.

    Raises
    ------
    MechanismError
        If an argument is out of range.

    Notes
    -----
    Law: Canonne, Kamath, Steinke, *The discrete Gaussian for differential privacy*, NeurIPS 2020.
    Method and proof: the module's docstring.

    Examples
    --------
    >>> key = bytes(32)
    >>> noise = discrete_gaussian(1000, 2.5, key=key)
    >>> bool((noise[400:] == discrete_gaussian(600, 2.5, key=key, start=400)).all())
    True
    """
    if np.ndim(scale):
        return _each_its_own(n, scale, Place.of(key, stream, start, n, cells), out)
    sigma = check_scale("scale", scale)
    place = Place.of(key, stream, start, n, cells)
    out = check_out(out, n)
    if sigma <= LARGEST_ALIAS:
        columns = _alias(sigma)
        layout = (columns.columns_log2, columns.bits, columns.limits, columns.pairs)
        return sample(fill_alias, lambda i: columns.escaped(place, i), place, out, *layout)
    shared = Shared(DiscreteGaussian(sigma))
    parameters = (table(NORMAL), *inversion_parameters(sigma))
    return sample(fill_shared, lambda i: exact_cell(shared, place, i), place, out, *parameters)


def _each_its_own(n: int, scale: ArrayLike, place: Place | Hashed, out: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Samples at a vector of σ: see :mod:`dpframe.kernels.gaussian_cells`."""
    out = check_out(out, n)
    scales = check_scales("scale", scale, n, 1.0)
    cells = Scaled(DiscreteGaussian, scales)
    parameters = (table(NORMAL), NORMAL.e, NORMAL.k, scales)
    return sample(fill_gaussians, lambda i: exact_cell(cells, place, i), place, out, *parameters)


def inversion_parameters(sigma: float) -> tuple[float, float, np.uint64, float, float]:
    """E, K, signs, σ′ and ½ for :func:`dpframe.kernels.inversion.fill_shared`.

    Examples
    --------
    >>> inversion_parameters(1000.0)[3]
    999.9999583333333
    """
    return NORMAL.e + 0.4 / sigma**4, NORMAL.k, np.uint64(1), sigma - 1 / (24 * sigma), 0.5
