r"""Tables of quantiles: piecewise quintics over the float bits of a tail word, with a proved error bound.

``python -m dpframe.kernels.quantile_table`` rebuilds the shipped ``tables/*.npy`` (some seconds each).

Layout
------
A tail word v in [2²⁰, 2⁶³) stands for u = v·2⁻⁶³, and y = RN(v) = 2^e·m with 1 ≤ m < 2. Each octave
e = 20 … 62 is cut into 64 bins of m of width h = 2⁻⁶; row (e − 20)·64 + ⌊64(m − 1)⌋ holds six coefficients,
lowest first, of a polynomial in r = (m − bin's left end) − h/2, |r| ≤ 2⁻⁷, that approximates Q(2^(e−63)·m).
One more row is for y = 2⁶³, that is u = 1, Q = 0. A table takes 132 kB, of which half of all words read 3 kB.

Bound
-----
As functions of −u, the tabled quantiles have no negative derivative (:class:`dpframe.kernels.laws.Tabled`). So every
derivative is largest, in size, at a bin's left end, and the Taylor coefficients qₙ of f(m) = Q(2^(e−63)·m) there bound
those in the whole bin. For any u of a word's interval, |computed − Q(u)| is at most the sum of

1. interpolation at the six Chebyshev nodes: |q₆|·2·(h/4)⁶;
2. the values at the nodes, from ten terms of the Taylor series at the bin's middle: |q₁₀|·(h/2)¹⁰ times the Lebesgue
   constant 2.11 of six nodes;
3. rounding of the coefficients and of Horner's rule: Σⱼ (2j + 2)·ε·|cⱼ|·2^(−7j)·1.001;
4. y in place of v: ε·u·|dQ/du|, and the width of the interval: u·|dQ/du|/v; and u·|dQ/du| ≤ (1 + (s + 1)h)·|q₁| in
   the s-th bin of an octave.

:func:`row_bounds` divides them by the bin's least Q + 1: 1, 2, 3 and the first part of 4 make up the E₀ of
:mod:`dpframe.kernels.inversion`, the second part of 4 its K₀. Every table is checked against its law's E and K, row by
row: those that are shipped in the tests, others when they are made.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpframe.kernels.heavy_laws import SHIPPED
from dpframe.kernels.laws import Tabled
from dpframe.kernels.refine import context

LOWEST_OCTAVE = 20
OCTAVES = 43
BINS = 64
TERMS = 6
_TAYLOR = 10
_PRECISION = 120
_EPSILON = 2.0**-53


def build(law: Tabled) -> NDArray[np.float64]:
    """The whole table of a law, shape (2753, 6) float64.

    Examples
    --------
    >>> from dpframe.kernels.laws import NORMAL
    >>> row(NORMAL, 0).shape  # one of the 2752 that it stacks
    (6,)
    """
    return np.array([*(row(law, index) for index in range(OCTAVES * BINS)), np.zeros(TERMS)])


def row(law: Tabled, index: int) -> NDArray[np.float64]:
    """One row: the Chebyshev interpolant of its bin as monomials, rounded to nearest. Shape (6,).

    Examples
    --------
    >>> from dpframe.kernels.laws import NORMAL
    >>> abs(row(NORMAL, 42 * 64)[0] - 0.6684) < 1e-3  # Q near u = 0.504
    np.True_
    """
    mp = context()
    mp.prec = _PRECISION
    left, width, scale = _bin(mp, index)
    series = law.series(mp, (left + width / 2) * scale, scale, _TAYLOR)
    # Economisation: the interpolant of the Taylor polynomial, by the fixed matrix that maps r^n to its own.
    # Its entries are made over into this thread's context, lest the product take another's precision.
    lines = [[mp.mpf(entry) for entry in line] for line in _interpolation()]
    return np.array([float(sum(a * b for a, b in zip(line, series, strict=True))) for line in lines])


@lru_cache(maxsize=1)
def _interpolation() -> list[list[Any]]:
    """``[j][n]``: coefficient of rʲ in the interpolant of rⁿ at the Chebyshev nodes of a bin."""
    mp = context()
    mp.prec = 2 * _PRECISION
    half = mp.ldexp(1, -7)
    nodes = [half * mp.cos(mp.pi * (2 * k + 1) / (2 * TERMS)) for k in range(TERMS)]
    inverse = mp.matrix([[node**j for j in range(TERMS)] for node in nodes]) ** -1
    powers = [[node**n for node in nodes] for n in range(_TAYLOR)]
    return [[sum(inverse[j, k] * powers[n][k] for k in range(TERMS)) for n in range(_TAYLOR)] for j in range(TERMS)]


def row_bounds(law: Tabled, index: int, coefficients: NDArray[np.float64]) -> tuple[float, float]:
    """The E₀ and K₀ that hold in a row, by the sum in the module's docstring.

    Examples
    --------
    >>> from dpframe.kernels.laws import NORMAL
    >>> e, k = row_bounds(NORMAL, 0, row(NORMAL, 0))
    >>> 2 * e + 5 * 2.0**-53 <= NORMAL.e and 2.01 * k <= NORMAL.k
    True
    """
    mp = context()
    mp.prec = 80
    left, width, scale = _bin(mp, index)
    least = law.quantile(mp, (left + width) * scale)
    taylor = law.series(mp, left * scale, scale, _TAYLOR + 1)
    mills = (left + width) * abs(taylor[1])
    error = abs(taylor[TERMS]) * 2 * (width / 4) ** TERMS + 2.11 * abs(taylor[_TAYLOR]) * (width / 2) ** _TAYLOR
    error += 1.001 * _EPSILON * sum((2 * j + 2) * abs(float(c)) * 2.0 ** (-7 * j) for j, c in enumerate(coefficients))
    error += _EPSILON * mills
    return float(error / (least + 1)), float(mills / (least + 1))


def _bin(mp: Any, index: int) -> tuple[Any, Any, Any]:
    """Left end and width in m, and 2^(e−63)."""
    octave, step = divmod(index, BINS)
    return 1 + mp.mpf(step) / BINS, mp.mpf(1) / BINS, mp.ldexp(1, octave + LOWEST_OCTAVE - 63)


def certify(law: Tabled, values: NDArray[np.float64], every: int = 1) -> None:
    """Raise ArithmeticError unless the rows of a table hold their law's E and K.

    Parameters
    ----------
    law, values
        The law and its table, shape (2753, 6).
    every
        Look at one row in so many.

    Examples
    --------
    >>> from dpframe.kernels.laws import NORMAL
    >>> certify(NORMAL, table(NORMAL).reshape(-1, 6), every=500)
    """
    for index in range(0, OCTAVES * BINS, every):
        e, k = row_bounds(law, index, values[index])
        if 2 * e + 5 * _EPSILON > law.e or 2.01 * k > law.k:
            raise ArithmeticError(f"row {index} of the table of {law} is outside its bound")


@lru_cache(maxsize=16)
def table(law: Tabled) -> NDArray[np.float64]:
    """The table of a law, flat and read-only: shipped, or made and checked at first use, in a few seconds.

    Examples
    --------
    >>> from dpframe.kernels.laws import NORMAL
    >>> table(NORMAL).shape
    (16518,)
    """
    if law in SHIPPED:
        values: NDArray[np.float64] = np.load(_path(law))
    else:
        values = build(law)
        certify(law, values)
    values = values.ravel()
    values.flags.writeable = False
    return values


def _path(law: Tabled) -> Path:
    return Path(__file__).with_name("tables") / f"{SHIPPED[law]}.npy"


if __name__ == "__main__":
    for shipped in SHIPPED:
        rebuilt = build(shipped)
        certify(shipped, rebuilt)
        np.save(_path(shipped), rebuilt)
