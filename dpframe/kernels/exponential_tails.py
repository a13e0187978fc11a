r"""Noise of exponential tails: discrete Laplace, geometric, and Laplace and exponential on a grid.

For scale b and q = e^(−1/b), all with L = −ln u (:mod:`dpframe.kernels.inversion`):

* discrete Laplace, P(X = k) ∝ q^\|k\|: P(\|X\| ≥ k) = 2·q^k/(1 + q) for k ≥ 1, so \|X\| = ⌊b·L + C⌋ with
  C = b·ln(2/(1 + q)) ∈ (0, ½), and a random sign;
  With a scale for each cell, C comes from numpy as ½ − b·ln cosh(1/(2b)), ln cosh y = log1p(2·sinh²(y/2)), for b ≥ ½,
  where the second part is at most 0.217, and as b·(ln 2 − log1p(q)) below, where q ≤ 0.14 and q/b ≤ 0.28. If numpy's
  exp, log1p and sinh are good to 2⁻⁴⁷ = 64ε (they claim 4 units in the last place), then the former is off by at
  most 0.217·(3.1·64ε + 6ε) + ε and the latter by ½·(0.28·64ε + 3ε), which are below 2⁻⁴⁷. The filter's bound of
  (t₀ + s + 2)·E ≥ 2E makes up for it with E wider by 2⁻⁴⁸;
* geometric, P(X = k) = (1 − q)·q^k for k ≥ 0: X = ⌊b·L⌋;
* Laplace on a grid: the Laplace mechanism in real numbers, x ± b·L, rounded to the nearest grid point;
* exponential on a grid: x + b·L, rounded likewise.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpframe.kernels.arguments import check_out, check_scale, check_scales
from dpframe.kernels.inversion import LARGEST, LOGARITHM, SMALLEST, fill_cells, fill_shared
from dpframe.kernels.laws import EXPONENTIAL, DiscreteLaplace, Geometric
from dpframe.kernels.refine import Law, context
from dpframe.kernels.sampler import Hashed, Place, Scaled, Shared, exact_cell, rounded, sample


@lru_cache(maxsize=4096)
def _shift(scale: float) -> float:
    """C, rounded to nearest."""
    mp = context()
    mp.prec = 160
    return float(DiscreteLaplace(scale).shift(mp))


def _shifts(scales: NDArray[np.float64]) -> NDArray[np.float64]:
    """C of each scale, to 2⁻⁴⁷: see the module's docstring."""
    b = np.where(scales <= LARGEST, np.maximum(scales, SMALLEST), LARGEST)
    wide = np.maximum(b, 0.5)
    narrow = np.minimum(b, 0.5)
    shifts: NDArray[np.float64] = narrow * (np.log(2) - np.log1p(np.exp(-1 / narrow)))
    return np.where(b >= 0.5, 0.5 - wide * np.log1p(2 * np.sinh(0.25 / wide) ** 2), shifts)


def _each_its_own(
    of: Callable[[float], Law],
    n: int,
    scale: ArrayLike,
    shifts: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    e: float,
    signs: int,
    place: Place | Hashed,
    out: NDArray[np.int64] | None,
) -> NDArray[np.int64]:
    """Samples of a law of integers at a vector of scales."""
    out = check_out(out, n)
    scales = check_scales("scale", scale, n, 1.0)
    cells = Scaled(of, scales)
    parameters = (LOGARITHM, e, EXPONENTIAL.k, np.uint64(signs), 1.0, scales, shifts(scales), np.empty(0))
    return sample(fill_cells, lambda i: exact_cell(cells, place, i, signs=signs), place, out, *parameters)


def discrete_laplace(
    n: int,
    scale: float | ArrayLike,
    *,
    key: bytes | None = None,
    stream: int = 0,
    start: int = 0,
    cells: NDArray[np.uint64] | None = None,
    out: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Exact samples of the discrete Laplace law, P(X = k) ∝ exp(−|k|/scale).

    Parameters
    ----------
    n
        How many cells.
    scale
        b, from 2**-10 to 2**50, in units of the output; the variance is 2q/(1−q)², q = exp(−1/b). Up to about
        2**34 the cost does not depend on it; above, more and more cells need exact refinement.
        Or a vector of shape (n,), whose entries, which may depend on private data, are held to that range without a
        word (NaN to its upper end); whoever passes one sees to a public floor.
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
    Law: Ghosh, Roughgarden, Sundararajan, *Universally utility-maximizing privacy mechanisms*, STOC 2009.
    Method and proof: :mod:`dpframe.kernels.inversion`.

    Examples
    --------
    >>> key = bytes(32)
    >>> noise = discrete_laplace(1000, 2.5, key=key)
    >>> bool((noise[400:] == discrete_laplace(600, 2.5, key=key, start=400)).all())
    True
    """
    if np.ndim(scale):
        place = Place.of(key, stream, start, n, cells)
        return _each_its_own(DiscreteLaplace, n, scale, _shifts, EXPONENTIAL.e + 2.0**-48, 1, place, out)
    one = check_scale("scale", scale)
    place = Place.of(key, stream, start, n, cells)
    shared = Shared(DiscreteLaplace(one))
    parameters = (LOGARITHM, EXPONENTIAL.e, EXPONENTIAL.k, np.uint64(1), one, _shift(one))
    return sample(fill_shared, lambda i: exact_cell(shared, place, i), place, check_out(out, n), *parameters)


def geometric(
    n: int,
    scale: float | ArrayLike,
    *,
    key: bytes | None = None,
    stream: int = 0,
    start: int = 0,
    cells: NDArray[np.uint64] | None = None,
    out: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Exact samples of the geometric law on 0, 1, 2, …: P(X = k) ∝ exp(−k/scale).

    Parameters
    ----------
    n
        How many cells.
    scale
        b, from 2**-10 to 2**50, in units of the output; the mean is q/(1−q), q = exp(−1/b). Or a vector, as for
        :func:`discrete_laplace`.
    key, stream, start, cells, out
        As for :func:`discrete_laplace`.

    Returns
    -------
    ndarray of int64, shape (n,)
        The same on every CPU. Values past 2**63 − 1, of probability below 2**-1000, are clamped.

    Raises
    ------
    MechanismError
        If an argument is out of range.

    Examples
    --------
    >>> bool((geometric(1000, 2.5) >= 0).all())
    True
    """
    if np.ndim(scale):
        place = Place.of(key, stream, start, n, cells)
        return _each_its_own(Geometric, n, scale, lambda scales: np.zeros(1), EXPONENTIAL.e, 0, place, out)
    one = check_scale("scale", scale)
    place = Place.of(key, stream, start, n, cells)
    shared = Shared(Geometric(one))
    parameters = (LOGARITHM, EXPONENTIAL.e, EXPONENTIAL.k, np.uint64(0), one, 0.0)
    return sample(fill_shared, lambda i: exact_cell(shared, place, i, signs=0), place, check_out(out, n), *parameters)


def laplace(
    n: int,
    scale: float | ArrayLike,
    *,
    grid: float = 1.0,
    values: ArrayLike | None = None,
    key: bytes | None = None,
    stream: int = 0,
    start: int = 0,
    cells: NDArray[np.uint64] | None = None,
    out: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """The Laplace mechanism in real numbers, rounded once: round((values + scale·Lap(1))/grid), exactly.

    Parameters
    ----------
    n
        How many cells.
    scale
        b, a number or a vector of shape (n,), in units of ``values``. A number must be 2**-10 to 2**50 grid steps.
        Entries of a vector, which may depend on private data, are held to that range without a word (NaN to its
        upper end); whoever passes one sees to a public floor.
    grid
        A power of two. It and the shape must depend on public parameters only.
    values
        What to add the noise to, shape (n,); zeros if None. NaN counts as 0; entries are held to ±2**62 steps.
    key, stream, start, cells, out
        As for :func:`discrete_laplace`.

    Returns
    -------
    ndarray of int64, shape (n,)
        In grid steps: multiply by ``grid``. The same on every CPU.

    Raises
    ------
    MechanismError
        If an argument is out of range.

    Notes
    -----
    Rounding is a function of the ideal mechanism's output, so that mechanism's analysis holds for it.
    Method and proof: :mod:`dpframe.kernels.inversion`.

    Examples
    --------
    >>> steps = laplace(3, [1.0, 2.0, 50.0], grid=2.0**-10, values=[0.1, 0.2, 0.3])
    >>> (steps * 2.0**-10).shape
    (3,)
    """
    return rounded(EXPONENTIAL, n, scale, grid, values, Place.of(key, stream, start, n, cells), out)


def exponential(
    n: int,
    scale: float | ArrayLike,
    *,
    grid: float = 1.0,
    values: ArrayLike | None = None,
    key: bytes | None = None,
    stream: int = 0,
    start: int = 0,
    cells: NDArray[np.uint64] | None = None,
    out: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Values plus one-sided exponential noise, rounded once: round((values + scale·Exp(1))/grid), exactly.

    Parameters
    ----------
    n
        How many cells.
    scale, grid, values
        As for :func:`laplace`.
    key, stream, start, cells, out
        As for :func:`discrete_laplace`.

    Returns
    -------
    ndarray of int64, shape (n,)
        In grid steps. The same on every CPU.

    Raises
    ------
    MechanismError
        If an argument is out of range.

    Examples
    --------
    >>> bool((exponential(1000, 3.0, grid=0.5) >= 0).all())
    True
    """
    return rounded(EXPONENTIAL, n, scale, grid, values, Place.of(key, stream, start, n, cells), out, signs=0)
