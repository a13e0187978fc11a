r"""Gaussian noise on a grid: the Gaussian mechanism in real numbers, x ± σ·\|Z\|, rounded to the nearest grid point.

This is *not* the discrete Gaussian P(k) ∝ exp(−k²/2σ²), which is :func:`dpframe.kernels.discrete_gaussian`.
The quantile of \|Z\| comes from a table (:mod:`dpframe.kernels.quantile_table`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpframe.kernels.laws import NORMAL
from dpframe.kernels.sampler import Place, rounded


def gaussian(
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
    """The Gaussian mechanism in real numbers, rounded once: round((values + N(0, σ²))/grid), exactly.

    Parameters
    ----------
    n
        How many cells.
    scale
        σ, the standard deviation before rounding, a number or a vector of shape (n,), in units of ``values``. A number
        must be 2**-10 to 2**50 grid steps. Entries of a vector, which may depend on private data, are held to that
        range without a word (NaN to its upper end); whoever passes one sees to a public floor. Up to about 2**30
        steps the cost does not depend on it; above, more and more cells need exact refinement.
    grid
        A power of two. It and the shape must depend on public parameters only.
    values
        What to add the noise to, shape (n,); zeros if None. NaN counts as 0; entries are held to ±2**62 steps.
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
        In grid steps: multiply by ``grid``. The same on every CPU. Noise past ±(2**63 − 1) steps, of probability
        below 2**-1000, is clamped.

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
    >>> key = bytes(32)
    >>> noise = gaussian(1000, 2.5, key=key)
    >>> bool((noise[400:] == gaussian(600, 2.5, key=key, start=400)).all())
    True
    >>> steps = gaussian(3, [1.0, 2.0, 50.0], grid=2.0**-10, values=[0.1, 0.2, 0.3])
    >>> (steps * 2.0**-10).shape
    (3,)
    """
    return rounded(NORMAL, n, scale, grid, values, Place.of(key, stream, start, n, cells), out)
