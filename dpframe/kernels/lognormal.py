r"""Noise X·e^(σY) on a grid, a scale for each cell: Laplace or uniform X, standard normal Y.

Both are x + s·X·e^(σY) in real numbers, rounded to the nearest grid point, from two words a cell: the filter and its
proof are in :mod:`dpframe.kernels.products`, refinement is in :mod:`dpframe.kernels.lognormal_laws`. No table depends
on σ, so any σ is as quick as any other.

The tails are log-normal: values past 64 bits are rare, but for the largest scales not negligibly so. They are clamped
to ±(2**63 − 1), which, like rounding, is a function of the ideal mechanism's output.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpframe.errors import MechanismError
from dpframe.kernels.arguments import check_grid, check_out, check_scales, check_values
from dpframe.kernels.chacha import fresh_key, key_words, second_key
from dpframe.kernels.laws import NORMAL
from dpframe.kernels.lognormal_laws import Bits, LaplaceLogNormal, LogNormal, UniformLogNormal, refine_product
from dpframe.kernels.products import fill_products
from dpframe.kernels.quantile_table import table
from dpframe.kernels.refine import WORD_BITS, clamp
from dpframe.kernels.sampler import Hashed, PerCell, Place, sample

SMALLEST_SIGMA = 2.0**-10
LARGEST_SIGMA = 4.0


def laplace_lognormal(
    n: int,
    scale: float | ArrayLike,
    *,
    sigma: float,
    grid: float = 1.0,
    values: ArrayLike | None = None,
    key: bytes | None = None,
    stream: int = 0,
    start: int = 0,
    cells: NDArray[np.uint64] | None = None,
    out: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Values plus Laplace times log-normal noise, rounded once: round((values + scale·X·e^(σY))/grid), exactly.

    Parameters
    ----------
    n
        How many cells.
    scale, grid, values
        As for :func:`dpframe.kernels.laplace`. X is standard Laplace, Y standard normal: the variance of
        X·e^(σY) is 2·e^(2σ²).
    sigma
        σ, from 2**-10 to 4: public.
    key, stream, start, cells, out
        As for :func:`dpframe.kernels.discrete_laplace`. Each cell has a second word at the same place under a key
        that is derived from this one.

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
    >>> key = bytes(32)
    >>> noise = laplace_lognormal(1000, 10.0, sigma=0.25, key=key)
    >>> bool((noise[400:] == laplace_lognormal(600, 10.0, sigma=0.25, key=key, start=400)).all())
    True
    """
    law = LaplaceLogNormal(_sigma(sigma))
    return _rounded(law, n, scale, grid, values, Places.of(key, stream, start, n, cells), out)


def uniform_lognormal(
    n: int,
    scale: float | ArrayLike,
    *,
    sigma: float,
    grid: float = 1.0,
    values: ArrayLike | None = None,
    key: bytes | None = None,
    stream: int = 0,
    start: int = 0,
    cells: NDArray[np.uint64] | None = None,
    out: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Values plus uniform times log-normal noise, rounded once: round((values + scale·X·e^(σY))/grid), exactly.

    Parameters
    ----------
    n
        How many cells.
    scale, grid, values
        As for :func:`dpframe.kernels.laplace`. X is uniform on [−1, 1], Y standard normal: the variance of
        X·e^(σY) is e^(2σ²)/3.
    sigma
        σ, from 2**-10 to 4: public.
    key, stream, start, cells, out
        As for :func:`laplace_lognormal`.

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
    >>> uniform_lognormal(4, [1.0, 2.0, 3.0, 4.0], sigma=0.5, grid=0.125).shape
    (4,)
    """
    law = UniformLogNormal(_sigma(sigma))
    return _rounded(law, n, scale, grid, values, Places.of(key, stream, start, n, cells), out)


def _sigma(sigma: object) -> float:
    if isinstance(sigma, bool) or not isinstance(sigma, int | float | np.integer | np.floating):
        raise MechanismError(f"sigma must be a number from 2**-10 to 4, not {sigma!r}; try sigma=0.5.")
    if not SMALLEST_SIGMA <= sigma <= LARGEST_SIGMA:
        raise MechanismError(f"sigma must be a number from 2**-10 to 4, not {sigma!r}; try sigma=0.5.")
    return float(sigma)


@dataclass(frozen=True)
class Places:
    """Where the first and the second words of the cells of a call are.

    Examples
    --------
    >>> places = Places.of(bytes(32), stream=7, start=100, n=10)
    >>> places.first.start == places.second.start, places.first.key == places.second.key
    (True, False)
    """

    first: Place | Hashed
    second: Place | Hashed

    @staticmethod
    def of(key: bytes | None, stream: int, start: int, n: int, cells: NDArray[np.uint64] | None = None) -> Places:
        """The checked places of ``n`` cells; under a fresh key from the operating system if ``key`` is None."""
        key = fresh_key() if key is None else key
        first = Place.of(key, stream, start, n, cells)
        return Places(first, Place.of(second_key(key), stream, start, n, cells))


def exact_product(law: LogNormal, cells: PerCell, places: Places, i: int, *, shown: int = WORD_BITS) -> int:
    """The value of cell i by refinement: what the float kernel must agree with.

    Parameters
    ----------
    law, cells, places, i
        What the cell draws from, at which scale and around which value, and where it reads.
    shown
        How many bits of each word to look at first; the value does not depend on it.

    Examples
    --------
    >>> law, places = LaplaceLogNormal(0.5), Places.of(bytes(32), 0, 0, 4)
    >>> cells = PerCell(law, 1.0, np.array([10.0]), np.empty(0))
    >>> exact_product(law, cells, places, 3) == laplace_lognormal(4, 10.0, sigma=0.5, key=bytes(32))[3]
    np.True_
    """
    word, other = places.first.word(i), places.second.word(i)
    negative = bool(word & 1)
    at, base = cells.law(i, negative)
    size = Bits(word >> 1, lambda turn: places.first.more(i, turn))
    normal = Bits(other >> 1, lambda turn: places.second.more(i, turn))
    value = refine_product(law, at.scale, at.shift, size, normal, bool(other & 1), shown=shown)
    return clamp((-value if negative else value) + base)


def _rounded(
    law: LogNormal,
    n: int,
    scale: float | ArrayLike,
    grid: float,
    values: ArrayLike | None,
    places: Places,
    out: NDArray[np.int64] | None,
) -> NDArray[np.int64]:
    """round((values + scale·Z)/grid)."""
    steps = 1.0 / check_grid(grid)
    out = check_out(out, n)
    scales, around = check_scales("scale", scale, n, steps), check_values(values, n)
    cells = PerCell(law, steps, scales, around)
    second = (key_words(places.second.key), places.second.given, table(NORMAL))
    parameters = (*second, law.uniform, law.sigma, steps, scales, around)
    return sample(fill_products, lambda i: exact_product(law, cells, places, i), places.first, out, *parameters)
