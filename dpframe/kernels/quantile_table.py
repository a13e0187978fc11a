r"""Tables of quantiles: piecewise quintics over the float bits of a tail word, with a proved error bound.

``python -m dpframe.kernels.quantile_table`` rebuilds ``tables/gaussian.npy`` (some seconds).

Layout
------
A tail word v in [2²⁰, 2⁶³) stands for u = v·2⁻⁶³, and y = RN(v) = 2^e·m with 1 ≤ m < 2. Each octave
e = 20 … 62 is cut into 64 bins of m of width h = 2⁻⁶; row (e − 20)·64 + ⌊64(m − 1)⌋ holds six coefficients,
lowest first, of a polynomial in r = (m − bin's left end) − h/2, |r| ≤ 2⁻⁷, that approximates Q(2^(e−63)·m).
One more row is for y = 2⁶³, that is u = 1, Q = 0.

Bound
-----
Q is the quantile of \|N(0, 1)\| at tail probability u: erfc(Q/√2) = u. For every y of a row,
**|computed polynomial − Q(y·2⁻⁶³)| ≤ 2⁻⁵⁰ + 2⁻⁵¹·Q**, by the sum of

1. *Interpolation* at the six Chebyshev nodes: max|f⁽⁶⁾|/6! · 2·(h/4)⁶ for f(m) = Q(2^(e−63)·m). With
   w = −dQ/du = √(π/2)·e^(Q²/2), the derivatives of the inverse function are dⁿQ/duⁿ = (−w)ⁿ·Pₙ(Q), P₁ = 1,
   Pₙ₊₁ = Pₙ′ + n·z·Pₙ (differentiate once, dw/du = −Q·w², to see it). Pₙ has no negative coefficient, so
   |f⁽⁶⁾| is largest at the bin's left end, where :func:`row_bound` evaluates it; P₆ = 120z⁵ + 326z³ + 127z.
2. *Rounding* of the coefficients and of Horner's rule: at most Σⱼ (2j + 2)·2⁻⁵³·|cⱼ|·2^(−7j), to first order.

:func:`row_bound` gives their sum; the tests evaluate it for all 2,752 rows, against the shipped file.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpframe.kernels.refine import context

LOWEST_OCTAVE = 20
OCTAVES = 43
BINS = 64
TERMS = 6
_PRECISION = 160


def normal_quantile(mp: Any, u: Any) -> Any:
    """z ≥ 0 with erfc(z/√2) = u, for 0 < u ≤ 1, to about the context's precision.

    Newton's method on ln erfc(z/√2), which is concave, so that it converges from anywhere right of the root.

    Examples
    --------
    >>> mp = context()
    >>> mp.prec = 100
    >>> z = normal_quantile(mp, mp.mpf("0.05"))
    >>> bool(abs(mp.erfc(z / mp.sqrt(2)) - 0.05) < 1e-17)
    True
    """
    if u >= 1:
        return mp.mpf(0)
    precision = mp.prec
    z = _start(mp, u)
    working = 53
    while working < 2 * precision:
        working *= 2
        mp.prec = min(working, precision) + 20
        tail = mp.erfc(z / mp.sqrt(2))
        slope = mp.sqrt(2 / mp.pi) * mp.exp(-z * z / 2)
        z += tail * mp.log(tail / u) / slope
    mp.prec = precision
    return +z


def _start(mp: Any, u: Any) -> Any:
    """A first value good to about 2⁻²⁰ relative, whatever the size of u."""
    if u > 1e-300:
        return mp.mpf(-NormalDist().inv_cdf(float(u) / 2)) if u < 0.999 else (1 - u) * mp.sqrt(mp.pi / 2)
    z = mp.sqrt(-2 * mp.log(u))
    for _ in range(6):
        z = mp.sqrt(-2 * mp.log(u * z * mp.sqrt(mp.pi / 2) / (1 - 1 / z**2 + 3 / z**4)))
    return z


def build() -> NDArray[np.float64]:
    """The whole table, shape (2753, 6) float64.

    Examples
    --------
    >>> row(0).shape  # one of the 2752 that it stacks
    (6,)
    """
    last = np.zeros(TERMS)
    return np.array([*(row(index) for index in range(OCTAVES * BINS)), last])


def row(index: int) -> NDArray[np.float64]:
    """One row: the Chebyshev interpolant of its bin as monomials, rounded to nearest. Shape (6,).

    Examples
    --------
    >>> abs(row(42 * 64)[0] - 0.6684) < 1e-3  # Q near u = 0.504
    np.True_
    """
    mp = context()
    mp.prec = _PRECISION
    left, width, scale = _bin(mp, index)
    middle = left + width / 2
    nodes = [width / 2 * mp.cos(mp.pi * (2 * k + 1) / (2 * TERMS)) for k in range(TERMS)]
    values = [normal_quantile(mp, (middle + node) * scale) for node in nodes]
    coefficients = mp.lu_solve(mp.matrix([[node**j for j in range(TERMS)] for node in nodes]), mp.matrix(values))
    return np.array([float(c) for c in coefficients])


def row_bound(index: int, coefficients: NDArray[np.float64]) -> tuple[float, float]:
    """The proved error bound of a row, and the least Q in its bin.

    Examples
    --------
    >>> bound, z = row_bound(0, row(0))
    >>> bound <= 2.0**-50 + 2.0**-51 * z
    True
    """
    mp = context()
    mp.prec = 80
    left, width, scale = _bin(mp, index)
    z = normal_quantile(mp, left * scale)
    slope = scale * mp.sqrt(mp.pi / 2) * mp.exp(z * z / 2)
    sixth = slope**6 * (120 * z**5 + 326 * z**3 + 127 * z)
    interpolation = sixth / mp.factorial(TERMS) * 2 * (width / 4) ** TERMS
    rounding = sum((2 * j + 2) * abs(float(c)) * 2.0 ** (-7 * j) for j, c in enumerate(coefficients)) * 2.0**-53
    least = normal_quantile(mp, min((left + width) * scale, mp.mpf(1)))
    return float(interpolation) + 1.001 * rounding, float(least)


def _bin(mp: Any, index: int) -> tuple[Any, Any, Any]:
    """Left end and width in m, and 2^(e−63)."""
    octave, step = divmod(index, BINS)
    return 1 + mp.mpf(step) / BINS, mp.mpf(1) / BINS, mp.ldexp(1, octave + LOWEST_OCTAVE - 63)


@cache
def table(name: str) -> NDArray[np.float64]:
    """A shipped table, flat and read-only: 132 kB.

    Examples
    --------
    >>> table("gaussian").shape
    (16518,)
    """
    values: NDArray[np.float64] = np.load(_path(name)).ravel()
    values.flags.writeable = False
    return values


def _path(name: str) -> Path:
    return Path(__file__).with_name("tables") / f"{name}.npy"


if __name__ == "__main__":
    np.save(_path("gaussian"), build())
