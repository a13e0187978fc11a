r"""Gaussian noise rounded to integers, one keyed word per cell.

The law is that of round(N(0, σ²)): a word gives a sign bit and a 63-bit tail v, u = (v + fraction)·2⁻⁶³, and

    |X| = ⌊σ·Q(u) + ½⌋,    Q the quantile of |N(0, 1)|: erfc(Q(u)/√2) = u.

This is the ideal Gaussian mechanism followed by rounding, so the analysis of the former carries over to the
latter as post-processing. It is *not* the discrete Gaussian P(k) ∝ exp(−k²/2σ²).

The float filter computes t ≈ σ·Q + ½ from a table and keeps ⌊t⌋ if t is further than a bound from every
integer; other words go to :mod:`dpframe.kernels.refine`.

The bound
---------
Let ε = 2⁻⁵³, y = RN(v) and P the polynomial computed from the table; |P − Q(y·2⁻⁶³)| ≤ 2⁻⁵⁰ + 2⁻⁵¹·Q
(:mod:`dpframe.kernels.quantile_table`). Since −u·dQ/du = u·√(π/2)·e^(Q²/2) is Mills' ratio of the normal
law, at most √(π/2) < 1.2534, replacing v by y moves Q by at most 1.26ε, and over the word's interval
[v, v+1)·2⁻⁶³, Q, whose slope is steepest at the left end, falls by at most 1.2534/v. The product and the sum
round by ε·t each. So, for every u in the word's interval,

    |t − (σ·Q(u) + ½)| ≤ σ·(1.2·2⁻⁵⁰ + 1.2534/v) + 2⁻⁵⁰·t.

The filter asks for at least twice that: **d > σ·(2⁻⁴⁷ + 2.6·W) + 2⁻⁴⁷·t**, with W = 2^-⌊log₂ y⌋ ≥ (1 − 2ε)/v
and d the distance from t to the nearest integer, computed to within 1.5ε; near any integer ≥ 1 the right side
is at least 2⁻⁴⁸ = 32ε, and 0 is no threshold because t ≥ ½.

Overflow: the table's values are below 10, so t < 2⁵⁴ for σ ≤ 2⁵⁰ and ⌊t⌋ always fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpframe.kernels.arguments import check_out, check_scale
from dpframe.kernels.chacha import superblock
from dpframe.kernels.jit import bits_float, float_bits, inlined, kernel, relative_width
from dpframe.kernels.logarithm import LOWEST
from dpframe.kernels.quantile_table import normal_quantile, table
from dpframe.kernels.refine import floor
from dpframe.kernels.sampler import Place, sample

BOUND = 2.0**-47
_FIRST_ROW = np.int64((1023 + 20) << 6)
_IN_BIN = np.int64((1 << 46) - 1)
_ONE = np.int64(0x3FF0000000000000)
_MIDDLE = 1.0 + 2.0**-7


@dataclass(frozen=True)
class RoundedGaussian:
    """The magnitude of the rounded Gaussian law, for exact refinement: T(k) = erfc((k − ½)/(σ√2)).

    Examples
    --------
    >>> from dpframe.kernels.refine import context
    >>> RoundedGaussian(10.0).guess(context(), context().mpf("0.05"))
    20
    """

    sigma: float

    def threshold(self, mp: Any, k: int) -> Any:
        """P(|X| ≥ k), or 2 for "always"."""
        if k <= 0:
            return mp.mpf(2)
        return mp.erfc((mp.mpf(k) - mp.mpf(0.5)) / (mp.mpf(self.sigma) * mp.sqrt(2)))

    def guess(self, mp: Any, u: Any) -> int:
        """⌊σ·Q(u) + ½⌋."""
        return floor(mp, mp.mpf(self.sigma) * normal_quantile(mp, u) + mp.mpf(0.5))


@inlined
def quantiles(words: Any, table: Any, rows: Any, values: Any) -> None:
    """Look up Q for every word: ``values[j]`` ≈ Q(v·2⁻⁶³), v = words[j] >> 1.

    Two passes, because the first vectorises and the look-up does not.

    Parameters
    ----------
    words
        Shape (m,), m ≤ 256.
    table
        Flat, six coefficients a row.
    rows, values
        Scratch and result, shape (256,), int64 and float64.
    """
    for j in range(words.size):
        bits = float_bits(np.float64(np.int64(words[j] >> np.uint64(1))))
        rows[j] = max((bits >> 46) - _FIRST_ROW, np.int64(0)) * np.int64(6)
        values[j] = bits_float((bits & _IN_BIN) | _ONE) - _MIDDLE
    for j in range(words.size):
        i = rows[j]
        r = values[j]
        high = table[i + 3] + r * (table[i + 4] + r * table[i + 5])
        values[j] = table[i] + r * (table[i + 1] + r * (table[i + 2] + r * high))


@inlined
def _magnitude(v: Any, q: Any, sigma: Any, fixed: Any, width: Any) -> Any:
    """⌊t⌋ and whether it is in doubt."""
    t = sigma * q + 0.5
    k = np.floor(t)
    bound = BOUND * t + (fixed + width * relative_width(v))
    return np.int64(k), (abs((t - k) - 0.5) > 0.5 - bound) | (v < LOWEST)


@inlined
def _block(words: Any, q: Any, sigma: Any, out: Any, first: Any, doubtful: Any, found: Any) -> Any:
    """Samples for some words; appends ``first`` + their index to ``doubtful`` where in doubt.

    The second loop decides and writes anew: the compiler may have rounded the first one differently, and a
    value counts only together with its own test.
    """
    fixed = sigma * BOUND
    width = sigma * 2.6
    doubt = False
    for j in range(words.size):
        w = words[j]
        k, unsure = _magnitude(np.int64(w >> np.uint64(1)), q[j], sigma, fixed, width)
        sign = -np.int64(w & np.uint64(1))
        out[j] = (k ^ sign) - sign
        doubt |= unsure
    if doubt:
        for j in range(words.size):
            w = words[j]
            k, unsure = _magnitude(np.int64(w >> np.uint64(1)), q[j], sigma, fixed, width)
            sign = -np.int64(w & np.uint64(1))
            out[j] = (k ^ sign) - sign
            if unsure:
                if found < doubtful.size:
                    doubtful[found] = first + j
                found += 1
    return found


@kernel
def _fill(key: Any, stream: Any, start: Any, out: Any, doubtful: Any, sigma: Any, table: Any) -> Any:
    buffer = np.empty(256, np.uint64)
    lanes = buffer.view(np.uint32)
    rows = np.empty(256, np.int64)
    q = np.empty(256, np.float64)
    found = 0
    done = 0
    while done < out.size:
        position = start + done
        superblock(key, stream, np.uint64(position >> 8), lanes)
        offset = position & 255
        count = min(256 - offset, out.size - done)
        part = buffer[offset : offset + count]
        quantiles(part, table, rows, q)
        found = _block(part, q, sigma, out[done : done + count], done, doubtful, found)
        done += count
    return found


def rounded_gaussian(
    n: int,
    sigma: float,
    *,
    key: bytes | None = None,
    stream: int = 0,
    start: int = 0,
    out: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """Exact samples of round(N(0, σ²)).

    Parameters
    ----------
    n
        How many cells.
    sigma
        Standard deviation of the normal law before rounding, from 2**-10 to 2**50, in units of the output.
        Up to about 2**30 the cost does not depend on it; above, more and more cells need exact refinement.
    key
        32 bytes; a fresh one from the operating system if None. The same key, stream and cell must never
        serve two releases.
    stream, start
        Cell i reads the word at position ``start + i`` of this stream, and nothing else.
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
    Method and proof: the module's docstring.

    Examples
    --------
    >>> key = bytes(32)
    >>> noise = rounded_gaussian(1000, 2.5, key=key)
    >>> bool((noise[400:] == rounded_gaussian(600, 2.5, key=key, start=400)).all())
    True
    """
    sigma = check_scale("sigma", sigma)
    place = Place.of(key, stream, start, n)
    return sample(_fill, RoundedGaussian(sigma), place, check_out(out, n), sigma, table("gaussian"))
