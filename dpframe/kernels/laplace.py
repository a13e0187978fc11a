r"""Discrete Laplace noise (the two-sided geometric law), one keyed word per cell.

A word gives a sign bit and a 63-bit tail v, u = (v + fraction)·2⁻⁶³. For scale b, q = e^(−1/b),

    P(|X| ≥ k) = 2·q^k / (1 + q)  for k ≥ 1,   hence   |X| = ⌊b·L + C⌋,  L = −ln u,  C = b·ln(2/(1 + q)),

with 0 < C < ½, and a random sign makes P(X = k) ∝ exp(−|k|/b). The float filter computes t ≈ b·L + C and
keeps ⌊t⌋ if t is further than a bound from every integer; other words go to :mod:`dpframe.kernels.refine`.

The bound
---------
Let T = neglog(v) and ε = 2⁻⁵³; then |T − L(v)| ≤ 4ε·L + 4ε (:mod:`dpframe.kernels.logarithm`). Over the
word's interval L falls from L(v) by at most ln(1 + 1/v) ≤ 1/v. The product b·T and the sum with c = RN(C)
round by ε·t each, and |c − C| ≤ ε·C ≤ ε·t. So, for every u in the word's interval,

    |t − (b·L + C)| ≤ b·(4ε + 1/v) + 8ε·t.

The filter asks for twice that: **d > b·(2⁻⁵⁰ + 2·W) + 2⁻⁴⁹·t**, with W = 2^-⌊log₂ RN(v)⌋ ≥ (1 − 2ε)/v and d
the distance from t to the nearest integer. The factor 2 pays for what is left: the right side is itself
rounded (relative 6ε); d comes as ½ − \|(t − ⌊t⌋) − ½\|, where t − ⌊t⌋ is exact and the rest rounds by at
most 1.5ε, against a right side of at least 2⁻⁵⁰ = 8ε near any integer ≥ 1. The integer 0 is no threshold, because
b·L + C > 0 and t ≥ c > 0.

Overflow: T < 800 for every v, so t < 2⁶⁰ for b ≤ 2⁵⁰ and ⌊t⌋ always fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpframe.kernels.arguments import check_out, check_scale
from dpframe.kernels.chacha import superblock
from dpframe.kernels.jit import inlined, kernel, relative_width
from dpframe.kernels.logarithm import LOWEST, neglog
from dpframe.kernels.refine import context, floor
from dpframe.kernels.sampler import Place, sample

RELATIVE = 2.0**-49
ABSOLUTE = 2.0**-50


@dataclass(frozen=True)
class DiscreteLaplace:
    """The magnitude of the discrete Laplace law, for exact refinement: T(k) = 2·q^k/(1 + q).

    Examples
    --------
    >>> DiscreteLaplace(2.0).guess(context(), context().mpf("0.001"))
    14
    """

    scale: float

    def shift(self, mp: Any) -> Any:
        """C = b·ln(2/(1 + e^(−1/b)))."""
        scale = mp.mpf(self.scale)
        return scale * mp.log(2 / (1 + mp.exp(-1 / scale)))

    def threshold(self, mp: Any, k: int) -> Any:
        """P(|X| ≥ k), or 2 for "always"."""
        if k <= 0:
            return mp.mpf(2)
        scale = mp.mpf(self.scale)
        return 2 * mp.exp(-k / scale) / (1 + mp.exp(-1 / scale))

    def guess(self, mp: Any, u: Any) -> int:
        """⌊C − b·ln u⌋."""
        return floor(mp, self.shift(mp) - mp.mpf(self.scale) * mp.log(u))


@lru_cache(maxsize=4096)
def _shift(scale: float) -> float:
    mp = context()
    mp.prec = 160
    return float(DiscreteLaplace(scale).shift(mp))


@inlined
def _magnitude(v: Any, scale: Any, shift: Any, fixed: Any, width: Any) -> Any:
    """⌊t⌋ and whether it is in doubt."""
    t = scale * neglog(v) + shift
    k = np.floor(t)
    bound = RELATIVE * t + (fixed + width * relative_width(v))
    return np.int64(k), (abs((t - k) - 0.5) > 0.5 - bound) | (v < LOWEST)


@inlined
def _block(words: Any, scale: Any, shift: Any, out: Any, first: Any, doubtful: Any, found: Any) -> Any:
    """Samples for some words; appends ``first`` + their index to ``doubtful`` where in doubt.

    The second loop decides and writes anew: the compiler may have rounded the first one differently, and a
    value counts only together with its own test.
    """
    fixed = scale * ABSOLUTE
    width = scale * 2.0
    doubt = False
    for j in range(words.size):
        w = words[j]
        k, unsure = _magnitude(np.int64(w >> np.uint64(1)), scale, shift, fixed, width)
        sign = -np.int64(w & np.uint64(1))
        out[j] = (k ^ sign) - sign
        doubt |= unsure
    if doubt:
        for j in range(words.size):
            w = words[j]
            k, unsure = _magnitude(np.int64(w >> np.uint64(1)), scale, shift, fixed, width)
            sign = -np.int64(w & np.uint64(1))
            out[j] = (k ^ sign) - sign
            if unsure:
                if found < doubtful.size:
                    doubtful[found] = first + j
                found += 1
    return found


@kernel
def _fill(key: Any, stream: Any, start: Any, out: Any, doubtful: Any, scale: Any, shift: Any) -> Any:
    buffer = np.empty(256, np.uint64)
    lanes = buffer.view(np.uint32)
    found = 0
    done = 0
    while done < out.size:
        position = start + done
        superblock(key, stream, np.uint64(position >> 8), lanes)
        offset = position & 255
        count = min(256 - offset, out.size - done)
        found = _block(buffer[offset : offset + count], scale, shift, out[done : done + count], done, doubtful, found)
        done += count
    return found


def discrete_laplace(
    n: int,
    scale: float,
    *,
    key: bytes | None = None,
    stream: int = 0,
    start: int = 0,
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
    Law: Ghosh, Roughgarden, Sundararajan, *Universally utility-maximizing privacy mechanisms*, STOC 2009.
    Method and proof: the module's docstring.

    Examples
    --------
    >>> key = bytes(32)
    >>> noise = discrete_laplace(1000, 2.5, key=key)
    >>> bool((noise[400:] == discrete_laplace(600, 2.5, key=key, start=400)).all())
    True
    """
    scale = check_scale("scale", scale)
    place = Place.of(key, stream, start, n)
    return sample(_fill, DiscreteLaplace(scale), place, check_out(out, n), scale, _shift(scale))
