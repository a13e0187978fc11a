r"""Which of very many cells noise alone lifts to a threshold, and how high, in time that follows what comes out.

Every one of N cells draws noise X of its own, and only those with X ≥ t, t ≥ 1, matter: each with chance
p = P(X ≥ t), independently, at a value of the law of X given X ≥ t. To draw all N and keep those is too much work when
N is 10¹² and p is 10⁻⁹. The same law comes out of two streams of words:

1. *Candidates by skipping.* The gaps between the successes of independent trials of chance p′ are independent and
   geometric, P(gap ≥ g) = (1 − p′)^g. So positions 0 + G₀, G₀ + 1 + G₁, … below N, each Gⱼ from word j of the stream of
   gaps, are a set that holds each cell with chance p′, independently. The kernel's geometric law has
   P(G ≥ g) = e^(−g/b′), so p′ = 1 − e^(−1/b′), and b′ is a double *below* −1/ln(1 − p), so p′ > p; at most 2⁵⁰, the
   sampler's range.
2. *One word decides a candidate.* Let T(k) = P(X ≥ t + k − 1)/p′ for k ≥ 1, T(1) = p/p′ < 1. Candidate j takes
   u from word j of the stream of values, and is k = max{k : u ≤ T(k)}, or 0 if there is none. It is dropped if k = 0:
   so it stays with chance p/p′, and the cell is in with chance p′·p/p′ = p. Else its value is t + k − 1, for
   p′·P(k or more) = P(X ≥ t + k − 1), which is the law of X on the values from t on.

Positions do not look at data, and whoever drops some of them by their position (those of cells that have rows, and
noise of their own) leaves the others as they were, since cells are independent.

Step 2 is inversion (:mod:`dpframe.kernels.refine`), and like every sampler here it has a filter in floats, which either
proves its answer or leaves the word to arbitrary precision. Let ε = 2⁻⁵³; v ≥ 2⁴⁷ are the word's 63 bits, so
v·2⁻⁶³ ≤ u ≤ (v + 1)·2⁻⁶³, and 1/v ≤ 64ε; words below (one in 2¹⁶) are always left.

*Discrete Laplace.* P(X ≥ k) = q^k/(1 + q), q = e^(−1/b), for k ≥ 1. With c = ln(p′/p) ≥ 0 and L = −ln u, u ≤ T(k) means
k − 1 ≤ b·(L − c), so k = ⌊b·(L − c)⌋ + 1, or 0 if L < c. The computed L is off by 4ε(L + 1)
(:mod:`dpframe.kernels.logarithm`) and 64ε for u's interval, c by ε·c, difference and product by ε each: in all by
less than 71ε·b·(L + c + 1). The filter decides outside of 2⁻⁴⁶ = 128ε of that.

*Rounded Gaussian.* P(X ≥ k) = ½·erfc(x_k), x_k = (k − ½)/(σ√2), so that u ≤ T(k) means w ≤ erfc(x_k) for w = 2p′u. A
few steps of Newton's method on the concave function ln erfc guess k, by whatever floats they like: what counts is the
check that erfc(x_{k+1}) < w < erfc(x_k). The computed w is off by 3ε and 64ε for u's interval, relatively; x_k by 4ε,
which moves erfc by the factor x·2e^(−x²)/(√π·erfc(x)) ≤ x·(x + √(x² + 2)) ≤ 2x² + 1 of that (Abramowitz and Stegun,
7.1.13); and the C library's erfc is taken to be good to 64ε (glibc claims 10ε). Together (8x² + 135)ε; the filter asks
for a margin of (x² + 24)·2⁻⁴⁹ = (16x² + 384)ε, rounding of the margin included. Where erfc underflows it is below every
w, as w > 2⁻⁶⁶: p′ > 2⁻⁵¹ and v ≥ 2⁴⁷.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dpframe.errors import MechanismError
from dpframe.kernels.arguments import LARGEST_SCALE, check_scale
from dpframe.kernels.chacha import CHUNK, stretch
from dpframe.kernels.exponential_tails import geometric
from dpframe.kernels.jit import inlined, kernel, noted
from dpframe.kernels.laws import NORMAL
from dpframe.kernels.logarithm import neglog
from dpframe.kernels.refine import context, floor
from dpframe.kernels.sampler import Place, Shared, exact_cell, sample

Ints = NDArray[np.int64]

MOST_POSITIONS = 1 << 62
"""More cells than this are refused: positions are summed in 64 bits."""

_BATCH = 1 << 20
_CLEAR = np.int64(1 << 47)
_FAR = 2.0**50
_HALF_ROOT_PI = math.sqrt(math.pi) / 2
_NEWTON = 8


class Tail(Protocol):
    """The upper tail of a law of integers that is symmetric about 0."""

    @property
    def scale(self) -> float:
        """In steps."""
        ...

    def beyond(self, mp: Any, k: int) -> Any:
        """P(X ≥ k) for k ≥ 1, to a few units in the last place."""
        ...

    def most(self, mp: Any, p: Any) -> int:
        """About the largest k with P(X ≥ k) ≥ p."""
        ...

    def filter(self, mp: Any, least: int, rate: Any) -> tuple[Any, ...]:
        """What the float filter must know: whether the law is normal, and three numbers."""
        ...


def _enough(mp: Any, k: int, scale: float) -> int:
    """A precision at which the tail at k is good to a few units of the present one: its condition is below 2(k/b)²."""
    return int(mp.prec) + 2 * max(0, k.bit_length() - math.frexp(scale)[1] + 2) + 8


@dataclass(frozen=True)
class LaplaceTail:
    """P(X ≥ k) = q^k/(1 + q), q = e^(−1/scale): the discrete Laplace law.

    Examples
    --------
    >>> from dpframe.kernels.refine import context
    >>> round(float(LaplaceTail(1.0).beyond(context(), 1)), 6)  # 1/(1 + e)
    0.268941
    """

    scale: float

    def beyond(self, mp: Any, k: int) -> Any:
        """q^k/(1 + q)."""
        with mp.workprec(_enough(mp, k, self.scale)):
            scale = mp.mpf(self.scale)
            p = mp.exp(-k / scale) / (1 + mp.exp(-1 / scale))
        return +p

    def most(self, mp: Any, p: Any) -> int:
        """⌊−b·ln(p·(1 + q))⌋."""
        scale = mp.mpf(self.scale)
        return floor(mp, -scale * mp.log(p * (1 + mp.exp(-1 / scale))))

    def filter(self, mp: Any, least: int, rate: Any) -> tuple[Any, ...]:
        """b and c."""
        return False, self.scale, float(mp.log(rate / self.beyond(mp, least))), 0.0


@dataclass(frozen=True)
class GaussianTail:
    """P(X ≥ k) = ½·erfc((k − ½)/(scale·√2)): a Gaussian rounded to the nearest integer.

    Examples
    --------
    >>> from dpframe.kernels.refine import context
    >>> round(float(GaussianTail(0.5).beyond(context(), 1)), 6)  # one standard deviation
    0.158655
    """

    scale: float

    def beyond(self, mp: Any, k: int) -> Any:
        """½·erfc((k − ½)/(σ√2))."""
        with mp.workprec(_enough(mp, k, self.scale)):
            p = mp.erfc((k - mp.mpf(0.5)) / (mp.mpf(self.scale) * mp.sqrt(2))) / 2
        return +p

    def most(self, mp: Any, p: Any) -> int:
        """⌊σ·Q(2p) + ½⌋."""
        return floor(mp, mp.mpf(self.scale) * NORMAL.quantile(mp, 2 * p) + mp.mpf(0.5))

    def filter(self, mp: Any, least: int, rate: Any) -> tuple[Any, ...]:
        """σ√2, 2p′·2⁻⁶³ and t."""
        return True, float(mp.mpf(self.scale) * mp.sqrt(2)), float(mp.ldexp(rate, -62)), float(least)


@dataclass(frozen=True)
class Decision:
    """What becomes of a candidate: 0 is dropped, k is the value ``least + k − 1``; T(k) = P(X ≥ least + k − 1)/p′.

    Examples
    --------
    >>> from dpframe.kernels.refine import refine
    >>> refine(Decision(LaplaceTail(1.0), 1, 2.0), 1 << 60, more=lambda turn: 0)
    2
    """

    tail: Tail
    least: int
    skip: float

    def rate(self, mp: Any) -> Any:
        """p′ = 1 − e^(−1/skip)."""
        return -mp.expm1(-1 / mp.mpf(self.skip))

    def threshold(self, mp: Any, k: int) -> Any:
        """P(the candidate comes to k or more), or 2 for "always"."""
        return self.tail.beyond(mp, self.least + k - 1) / self.rate(mp) if k > 0 else mp.mpf(2)

    def guess(self, mp: Any, u: Any) -> int:
        """The value itself, up to the accuracy of the tail's inverse."""
        return max(0, self.tail.most(mp, u * self.rate(mp)) - self.least + 1)


def skip_below(mp: Any, p: Any) -> float:
    """A double b′ < −1/ln(1 − p), by at least half a unit in the last place, and at most 2⁵⁰.

    Examples
    --------
    >>> skip_below(context(), context().mpf("0.25")) < 3.476059496782207
    True
    """
    ideal = -1 / mp.log1p(-p)
    return LARGEST_SCALE if ideal > 2 * LARGEST_SCALE else min(LARGEST_SCALE, math.nextafter(float(ideal), 0))


@inlined
def _laplace(v: Any, scale: Any, c: Any) -> Any:
    """k and whether it is certain."""
    q = neglog(v)
    t = scale * (q - c)
    bound = scale * ((q + c + 1.0) * 2.0**-46)
    if t < -bound:
        return np.int64(0), True
    f = np.floor(min(t, 2.0 * _FAR))
    return np.int64(f) + 1, (abs((t - f) - 0.5) < 0.5 - bound) & (t < _FAR)


@inlined
def _margin(x: Any) -> Any:
    return (x * x + 24.0) * 2.0**-49


@inlined
def _gaussian(v: Any, spread: Any, unit: Any, least: Any) -> Any:
    """k and whether it is certain."""
    w = np.float64(v) * unit
    deep = max(-math.log(w), 0.0)
    x = math.sqrt(deep) if deep > 1.0 else deep * _HALF_ROOT_PI
    for _ in range(_NEWTON):
        e = math.erfc(x)
        step = (math.log(e) + deep) * e * math.exp(x * x) * _HALF_ROOT_PI
        x += step
        if abs(step) <= 1e-15 * x:
            break
    value = np.floor(spread * x + 0.5)
    if value < least:
        x = (least - 0.5) / spread
        return np.int64(0), w > math.erfc(x) * (1.0 + _margin(x))
    x, above = (value - 0.5) / spread, (value + 0.5) / spread
    sure = (w > math.erfc(above) * (1.0 + _margin(above))) & (w < math.erfc(x) * (1.0 - _margin(x)))
    return np.int64(min(value - least, _FAR)) + 1, sure & (value < _FAR)


@kernel
def _decide(
    key: Any,
    stream: Any,
    start: Any,
    given: Any,
    out: Any,
    doubtful: Any,
    normal: Any,
    scale: Any,
    a: Any,
    least: Any,
) -> Any:
    """The float filter; see :func:`dpframe.kernels.sampler.sample`."""
    buffer = np.empty(CHUNK, np.uint64)
    lanes = buffer.view(np.uint32)
    found = 0
    done = 0
    while done < out.size:
        offset = (start + done) & 255
        count = min(CHUNK - offset, out.size - done)
        stretch(key, stream, start + done, count, lanes)
        for j in range(count):
            v = np.int64(buffer[offset + j] >> np.uint64(1))
            k, sure = np.int64(0), False
            if v >= _CLEAR:
                k, sure = _gaussian(v, scale, a, least) if normal else _laplace(v, scale, a)
            out[done + j] = k
            if not sure:
                found = noted(done + j, doubtful, found)
        done += count
    return found


def exceeding(tail: Tail, cells: int, least: int, *, key: bytes, gaps: int, values: int) -> tuple[Ints, Ints]:
    """The cells in which noise alone is at least ``least``, and that noise.

    Parameters
    ----------
    tail
        The law of the noise.
    cells
        How many cells there are, up to 2**62; none is visited.
    least
        The threshold t ≥ 1.
    key
        32 bytes, which serve one call only.
    gaps, values
        Two streams of the key that serve nothing else.

    Returns
    -------
    positions, values : ndarray of int64, shape (n,)
        n is random, of mean cells·P(X ≥ least). Positions increase.

    Raises
    ------
    MechanismError
        If a number is out of range.

    Examples
    --------
    >>> positions, values = exceeding(LaplaceTail(1.0), 10**12, 20, key=bytes(32), gaps=0, values=1)
    >>> positions.size, int(values.min())
    (1540, 20)
    """
    check_scale("scale", tail.scale)
    if not 0 <= cells <= MOST_POSITIONS or least < 1:
        raise MechanismError(f"cells must be from 0 to 2**62 and least at least 1, not {cells} and {least}.")
    mp = context()
    mp.prec = 256
    law = Decision(tail, least, skip_below(mp, tail.beyond(mp, least)))
    parameters = tail.filter(mp, least, law.rate(mp))
    found: list[tuple[Ints, Ints]] = []
    start = at = 0
    while at < cells:
        positions, at, drawn = _skip(at, cells, law.skip, key, gaps, start)
        place = Place(key, values, start)
        k = np.empty(positions.size, np.int64)
        sample(_decide, partial(exact_cell, Shared(law), place, signs=0), place, k, *parameters)
        found.append((positions[k > 0], k[k > 0] + (least - 1)))
        start += drawn
    none = np.empty(0, np.int64)
    return np.concatenate([none, *(p for p, _ in found)]), np.concatenate([none, *(v for _, v in found)])


def _skip(at: int, cells: int, skip: float, key: bytes, stream: int, start: int) -> tuple[Ints, int, int]:
    """Some candidates from cell ``at`` on, the cell to go on from, and how many gaps were drawn."""
    left = cells - at
    count = min(_BATCH, int(1.02 * left / skip) + 64)
    gaps = geometric(count, skip, key=key, stream=stream, start=start)
    # Sums in floats are good enough to see where those in integers, which are exact, would leave 64 bits.
    inside = int(np.searchsorted(np.cumsum(gaps + 1.0), 1.5 * left))
    positions = at - 1 + np.cumsum(gaps[:inside] + 1)
    if inside == count and positions[-1] < cells:
        return positions, int(positions[-1]) + 1, count
    return positions[positions < cells], cells, count
