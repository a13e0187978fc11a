r"""Noise of heavy tails on a grid, a scale for each cell: Student's t, Cauchy, 1/(1 + z⁴), sinh of a normal.

All are x ± s·\|Z\| in real numbers, rounded to the nearest grid point, with the quantile of \|Z\| from a table
(:mod:`dpframe.kernels.quantile_table`; the laws and their proofs are in :mod:`dpframe.kernels.heavy_laws`).

With tails this heavy, values past 64 bits have a probability that is small but no longer negligible: with Cauchy
noise of scale s grid steps it is about s·2⁻⁶⁴. They are clamped to ±(2**63 − 1), which, like rounding, is a function
of the ideal mechanism's output.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpframe.errors import MechanismError
from dpframe.kernels.heavy_laws import ARSINH_SIGMA, ArsinhNormal, Quartic, StudentT
from dpframe.kernels.sampler import Place, rounded


def student_t(
    n: int,
    scale: float | ArrayLike,
    *,
    df: float = 3.0,
    grid: float = 1.0,
    values: ArrayLike | None = None,
    key: bytes | None = None,
    stream: int = 0,
    start: int = 0,
    cells: NDArray[np.uint64] | None = None,
    out: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Values plus Student's t noise, rounded once: round((values + scale·t_df)/grid), exactly.

    Parameters
    ----------
    n
        How many cells.
    scale, grid, values
        As for :func:`dpframe.kernels.laplace`.
    df
        Degrees of freedom, from 1 to 64. The tables for 1 and 3 come with the package; any other is made, and its
        bounds checked, at the first use in a process, which takes some ten seconds.
    key, stream, start, cells, out
        As for :func:`dpframe.kernels.discrete_laplace`.

    Returns
    -------
    ndarray of int64, shape (n,)
        In grid steps. The same on every CPU. Clamped to ±(2**63 − 1).

    Raises
    ------
    MechanismError
        If an argument is out of range.

    Notes
    -----
    Law for smooth noise: Bun and Steinke, *Average-case averages*, NeurIPS 2019.

    Examples
    --------
    >>> student_t(4, [1.0, 2.0, 3.0, 4.0], grid=0.125).shape
    (4,)
    """
    if isinstance(df, bool) or not isinstance(df, int | float | np.integer | np.floating) or not 1 <= df <= 64:
        raise MechanismError(f"df must be a number from 1 to 64, not {df!r}; try df=3.")
    return rounded(StudentT(float(df)), n, scale, grid, values, Place.of(key, stream, start, n, cells), out)


def cauchy(
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
    """Values plus Cauchy noise, rounded once: round((values + scale·C)/grid), C of density ∝ 1/(1 + z²), exactly.

    Parameters
    ----------
    n
        How many cells.
    scale, grid, values
        As for :func:`dpframe.kernels.laplace`.
    key, stream, start, cells, out
        As for :func:`dpframe.kernels.discrete_laplace`.

    Returns
    -------
    ndarray of int64, shape (n,)
        In grid steps. The same on every CPU. Clamped to ±(2**63 − 1).

    Raises
    ------
    MechanismError
        If an argument is out of range.

    Notes
    -----
    Law for smooth noise: Nissim, Raskhodnikova, Smith, *Smooth sensitivity*, STOC 2007, γ = 2.

    Examples
    --------
    >>> cauchy(4, 10.0).dtype
    dtype('int64')
    """
    return rounded(StudentT(1.0), n, scale, grid, values, Place.of(key, stream, start, n, cells), out)


def gamma4(
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
    """Values plus noise of density ∝ 1/(1 + z⁴), rounded once: round((values + scale·Z)/grid), exactly.

    Parameters
    ----------
    n
        How many cells.
    scale, grid, values
        As for :func:`dpframe.kernels.laplace`. Z has variance 1.
    key, stream, start, cells, out
        As for :func:`dpframe.kernels.discrete_laplace`.

    Returns
    -------
    ndarray of int64, shape (n,)
        In grid steps. The same on every CPU. Clamped to ±(2**63 − 1).

    Raises
    ------
    MechanismError
        If an argument is out of range.

    Notes
    -----
    Law for smooth noise: Nissim, Raskhodnikova, Smith, *Smooth sensitivity*, STOC 2007, γ = 4.

    Examples
    --------
    >>> gamma4(4, 10.0).dtype
    dtype('int64')
    """
    return rounded(Quartic(), n, scale, grid, values, Place.of(key, stream, start, n, cells), out)


def arsinh_normal(
    n: int,
    scale: float | ArrayLike,
    *,
    sigma: float = ARSINH_SIGMA,
    grid: float = 1.0,
    values: ArrayLike | None = None,
    key: bytes | None = None,
    stream: int = 0,
    start: int = 0,
    cells: NDArray[np.uint64] | None = None,
    out: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Values plus noise sinh(σN)/σ, N standard normal, rounded once: round((values + scale·Z)/grid), exactly.

    Parameters
    ----------
    n
        How many cells.
    scale, grid, values
        As for :func:`dpframe.kernels.laplace`.
    sigma
        σ, from 1/8 to 2. The table for 2/√3 comes with the package; any other is made, and its bounds checked, at
        the first use in a process, which takes some ten seconds.
    key, stream, start, cells, out
        As for :func:`dpframe.kernels.discrete_laplace`.

    Returns
    -------
    ndarray of int64, shape (n,)
        In grid steps. The same on every CPU. Clamped to ±(2**63 − 1).

    Raises
    ------
    MechanismError
        If an argument is out of range.

    Notes
    -----
    Law for smooth noise: Bun and Steinke, *Average-case averages*, NeurIPS 2019.

    Examples
    --------
    >>> arsinh_normal(4, 10.0).dtype
    dtype('int64')
    """
    if isinstance(sigma, bool) or not isinstance(sigma, float | int) or not 0.125 <= sigma <= 2.0:
        raise MechanismError(f"sigma must be a number from 1/8 to 2, not {sigma!r}; try sigma={2 / math.sqrt(3)!r}.")
    return rounded(ArsinhNormal(float(sigma)), n, scale, grid, values, Place.of(key, stream, start, n, cells), out)
