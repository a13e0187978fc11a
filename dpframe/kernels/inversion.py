r"""The float filter: one word to one integer by inversion, with a proof for every word it decides.

A word gives a sign bit and a 63-bit tail v, standing for all u with v·2⁻⁶³ ≤ u ≤ (v+1)·2⁻⁶³. Every sampler of this
room that works by inversion has the form ::

    value = ± ⌊s·Q(u) + c ± (x − ⌊x⌋)⌋ + ⌊x⌋,      s > 0,  0 ≤ c ≤ ½,

with Q ≥ 0 the decreasing tail quantile of a continuous law: rounding of x ± s·Q to the nearest integer if c = ½, an
exactly discrete law for other c and x = 0. (Flooring the magnitude and then taking the sign differs from flooring the
signed sum only where that is an integer, which has probability zero.) The filter computes t for the bracket's content,
keeps ⌊t⌋ where t is further from every integer than its error can be, and reports the other words.

The bound
---------
Let ε = 2⁻⁵³, and let the computed quantile q satisfy, for *every* u of the word's interval,

    |q − Q(u)| ≤ (Q(u) + 1)·(E₀ + K₀/v)            (E₀ ≥ 4ε, K₀ ≤ 4; proved for each law where it is defined).

With t₀ = RN(s·q), o = ±(x − ⌊x⌋), the steps after q round as follows: the product by ε·t₀; x − ⌊x⌋ by ε/2; c by ε/2;
o + c, of size at most 3/2, by ε; the last sum by ε·(t₀ + 3/2)(1 + ε). Since v ≥ 2²⁰, replacing Q by q on the right
side changes it by less than one part in 2¹⁷. Altogether

    |t − (s·Q(u) + c + o)| ≤ (t₀ + s + 2)·(1.0001·E₀ + 1.0001·K₀/v + 2.1ε).

The filter decides only if d > B = (t₀ + s + 2)·(E + K·W), with **E ≥ 2E₀ + 5ε, K ≥ 2.01·K₀**, d the distance from t to
the nearest integer, and W = 2^-⌊log₂ RN(v)⌋ ≥ (1 − 2ε)/v. What the factor 2 pays for: B is itself rounded (relative
6ε), and d comes as ½ − \|(t − ⌊t⌋) − ½\|, which rounds by at most 2ε in all, while B/2 ≥ E ≥ 13ε. Words with v < 2²⁰
(probability 2⁻⁴³) are never decided here, so no tail is cut off. A fused multiply-add leaves out a rounding.

Overflow: ⌊t⌋ is held below 2⁶¹ before it becomes an integer, and a word with t₀ ≥ 2⁵² is never decided, because there
B > ½. ⌊x⌋ is held to ±2⁶². So no sum leaves 64 bits.

The glance
----------
Nearly all chunks of cells are decided by a coarser filter in one loop, and never meet the one above. It computes

    y = (x − r) ± (s·q + (c − ½)),   r the integer nearest to x,   value = r + the integer nearest to y,

which is the same function: to round to the nearest is to add ½ and floor, and rounding is symmetric, but for ties,
which are never decided. x − r is exact, c is off by ε/4 and c − ½ rounds by ε/4; the product rounds by ε·t₀, the sum by
ε·(t₀ + ½)(1 + ε), that with x − r, of size at most ½, by ε·(t₀ + 1)(1 + ε)². For t = s·q + (c − ½) as computed,
t ≥ t₀ − 0.51. Its distance d to the nearest integer is exact (:func:`dpframe.kernels.jit.nearest`), and it decides if

    d < ½ − (t + s + 3)·(E + K·2⁻⁴⁶)   and   v ≥ 2⁴⁶.

Indeed 1/v ≤ 2⁻⁴⁶, and E leaves E₀ + 4.9ε ≥ 8.9ε for each of the t₀ + s + 2.4 units, against 3.1ε·t₀ + 2.1ε of these
steps and 3ε for the rounding of the bound itself: (s + 3)·(E + …), its difference from ½, (E + …)·t and the last
difference, none above ½ where anything is decided. Nothing is decided if t ≥ 2⁴⁸, as E ≥ 2⁻⁴⁹, or if \|x\| ≥ 2⁵¹ or x
is NaN. A chunk with an undecided word (one in 64, up to scales of about 2²⁵) goes through the filter above whole.

The loops run over 1024 cells at a time, which stay in the level-1 cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpframe.kernels.chacha import CHUNK, stretch
from dpframe.kernels.jit import bits_float, float_bits, inlined, kernel, nearest, noted, relative_width, wide_vectors
from dpframe.kernels.lanes import quintics
from dpframe.kernels.logarithm import LOWEST, neglog

LOGARITHM: NDArray[np.float64] = np.empty(0)
"""In place of a table: Q(u) = −ln u."""
LOGARITHM.flags.writeable = False
SMALLEST = 2.0**-10
LARGEST = 2.0**50

_FIRST_ROW = np.int64((1023 + 20) << 6)
_IN_BIN = np.int64((1 << 46) - 1)
_ONE = np.int64(0x3FF0000000000000)
_MIDDLE = 1.0 + 2.0**-7
_FAR = 2.0**61
_FARTHER = 2.0**62
_CLEAR = np.uint64(1 << 47)
_CLEAR_WIDTH = 2.0**-46
_NEAR = 2.0**51
_LOWEST = float(LOWEST)


@inlined
def _logarithms(words: Any, q: Any) -> None:
    wide_vectors()
    for j in range(words.size):
        q[j] = neglog(np.int64(words[j] >> np.uint64(1)))


@inlined
def _look_up(words: Any, table: Any, rows: Any, q: Any) -> None:
    """Piecewise quintics (:mod:`dpframe.kernels.quantile_table`); LLVM vectorises only the first pass by itself."""
    wide_vectors()
    for j in range(words.size):
        bits = float_bits(max(np.float64(words[j] >> np.uint64(1)), _LOWEST))
        rows[j] = ((bits >> 46) - _FIRST_ROW) * np.int64(6)
        q[j] = bits_float((bits & _IN_BIN) | _ONE) - _MIDDLE
    eights = words.size & ~7
    for j in range(0, eights, 8):
        quintics(table, rows, q, j)
    for j in range(eights, words.size):
        i = rows[j]
        r = q[j]
        high = table[i + 3] + r * (table[i + 4] + r * table[i + 5])
        q[j] = table[i] + r * (table[i + 1] + r * (table[i + 2] + r * high))


@inlined
def quantiles(words: Any, table: Any, rows: Any, q: Any) -> None:
    """``q[j]`` ≈ Q(v·2⁻⁶³) for v = words[j] >> 1; ``rows`` is scratch, int64. Both hold as many."""
    if table.size == 0:
        _logarithms(words, q)
    else:
        _look_up(words, table, rows, q)


@inlined
def _one(w: Any, q: Any, scale: Any, shift: Any, e: Any, k: Any) -> Any:
    """⌊t⌋ and whether it is in doubt; see the module's docstring."""
    v = np.int64(w >> np.uint64(1))
    t = scale * q
    bound = (t + (scale + 2.0)) * (e + k * relative_width(v))
    t += shift
    f = np.floor(t)
    return np.int64(min(f, _FAR)), (abs((t - f) - 0.5) > 0.5 - bound) | (v < LOWEST)


@inlined
def decide_shared(
    words: Any,
    q: Any,
    scale: Any,
    shift: Any,
    e: Any,
    k: Any,
    signs: Any,
    out: Any,
    first: Any,
    doubtful: Any,
    found: Any,
) -> Any:
    """Values of some words at one scale; lists ``first`` + index where in doubt, and returns the new count.

    The second loop decides and writes anew: the compiler may have rounded the first one differently, and a
    value counts only together with its own test.
    """
    wide_vectors()
    doubt = False
    for j in range(words.size):
        value, unsure = _one(words[j], q[j], scale, shift, e, k)
        sign = -np.int64(words[j] & signs)
        out[j] = (value ^ sign) - sign
        doubt |= unsure
    if doubt:
        for j in range(words.size):
            value, unsure = _one(words[j], q[j], scale, shift, e, k)
            sign = -np.int64(words[j] & signs)
            out[j] = (value ^ sign) - sign
            if unsure:
                found = noted(first + j, doubtful, found)
    return found


@inlined
def decide_cells(
    words: Any,
    q: Any,
    scales: Any,
    shifts: Any,
    parts: Any,
    bases: Any,
    e: Any,
    k: Any,
    signs: Any,
    out: Any,
    first: Any,
    doubtful: Any,
    found: Any,
) -> Any:
    """As :func:`decide_shared` with a scale, a shift, x − ⌊x⌋ and ⌊x⌋ for each cell."""
    wide_vectors()
    doubt = False
    for j in range(words.size):
        turn = np.int64(words[j] & signs) << 63
        shift = shifts[j] + bits_float(float_bits(parts[j]) ^ turn)
        value, unsure = _one(words[j], q[j], scales[j], shift, e, k)
        sign = -np.int64(words[j] & signs)
        out[j] = (value ^ sign) - sign + bases[j]
        doubt |= unsure
    if doubt:
        for j in range(words.size):
            turn = np.int64(words[j] & signs) << 63
            shift = shifts[j] + bits_float(float_bits(parts[j]) ^ turn)
            value, unsure = _one(words[j], q[j], scales[j], shift, e, k)
            sign = -np.int64(words[j] & signs)
            out[j] = (value ^ sign) - sign + bases[j]
            if unsure:
                found = noted(first + j, doubtful, found)
    return found


def _at_a_glance(quantile: Any) -> tuple[Any, Any]:
    """Both of the first looks at a chunk, over ``quantile(word, q, j)``."""

    @inlined
    def glance_shared(words: Any, q: Any, scale: Any, shift: Any, e: Any, k: Any, signs: Any, out: Any) -> Any:
        wide_vectors()
        turn = np.int64(signs) << 63
        c = e + k * _CLEAR_WIDTH
        most = 0.5 - (scale + 3.0) * c
        off = shift - 0.5
        sure = True
        for j in range(words.size):
            t = scale * quantile(words[j], q, j) + off
            y = bits_float(float_bits(t) ^ ((np.int64(words[j]) << 63) & turn))
            out[j], distance = nearest(y)
            sure &= (distance < most - c * t) & (words[j] >= _CLEAR)
        return sure

    @inlined
    def glance_cells(
        words: Any, q: Any, scales: Any, shifts: Any, values: Any, steps: Any, e: Any, k: Any, signs: Any, out: Any
    ) -> Any:
        wide_vectors()
        turn = np.int64(signs) << 63
        c = e + k * _CLEAR_WIDTH
        most = 0.5 - 3.0 * c
        sure = True
        for j in range(words.size):
            s = held(scales[j] * steps)
            x = values[j] * steps
            base, _ = nearest(x)
            t = s * quantile(words[j], q, j) + (shifts[j] - 0.5)
            y = (x - np.float64(base)) + bits_float(float_bits(t) ^ ((np.int64(words[j]) << 63) & turn))
            value, distance = nearest(y)
            out[j] = value + base
            sure &= (distance < (most - c * s) - c * t) & (words[j] >= _CLEAR) & (abs(x) < _NEAR)
        return sure

    return glance_shared, glance_cells


@inlined
def held(s: Any) -> Any:
    """A scale in grid steps, held to the samplers' range; NaN counts as the largest."""
    s = s if s < LARGEST else LARGEST
    return s if s > SMALLEST else SMALLEST


@inlined
def _of_logarithm(word: Any, q: Any, j: Any) -> Any:
    return neglog(word >> np.uint64(1))


@inlined
def _looked_up(word: Any, q: Any, j: Any) -> Any:
    return q[j]


glance_logarithms, glance_logarithms_cells = _at_a_glance(_of_logarithm)
glance_quantiles, glance_quantiles_cells = _at_a_glance(_looked_up)


@inlined
def load_scales(given: Any, steps: Any, scales: Any) -> None:
    """Scales in grid steps; see :func:`held`."""
    wide_vectors()
    for j in range(given.size):
        scales[j] = held(given[j] * steps)


@inlined
def load_values(given: Any, steps: Any, parts: Any, bases: Any) -> None:
    """x in grid steps as ⌊x⌋ and x − ⌊x⌋; NaN counts as 0, and x is held to ±2⁶²."""
    wide_vectors()
    for j in range(given.size):
        x = given[j] * steps
        x = x if x == x else 0.0
        x = min(max(x, -_FARTHER), _FARTHER)
        f = np.floor(x)
        parts[j] = x - f
        bases[j] = np.int64(f)


@kernel
def fill_shared(
    key: Any,
    stream: Any,
    start: Any,
    given: Any,
    out: Any,
    doubtful: Any,
    table: Any,
    e: Any,
    k: Any,
    signs: Any,
    scale: Any,
    shift: Any,
) -> Any:
    """Fill ``out`` at one scale; see :func:`dpframe.kernels.sampler.sample` for the first six arguments.

    ``table`` is a quantile table or :data:`LOGARITHM`, ``e`` and ``k`` are the law's E and K, ``signs`` is 1
    for a law of both signs and 0 for one of non-negative values.
    """
    buffer = np.empty(CHUNK, np.uint64)
    lanes = buffer.view(np.uint32)
    rows = np.empty(CHUNK, np.int64)
    q = np.empty(CHUNK, np.float64)
    found = 0
    done = 0
    while done < out.size:
        offset = (start + done) & 255
        count = min(CHUNK - offset, out.size - done)
        if not given.size:
            stretch(key, stream, start + done, count, lanes)
        words = given[done : done + count] if given.size else buffer[offset : offset + count]
        part = out[done : done + count]
        if table.size == 0:
            sure = glance_logarithms(words, q, scale, shift, e, k, signs, part)
        else:
            quantiles(words, table, rows, q)
            sure = glance_quantiles(words, q, scale, shift, e, k, signs, part)
        if not sure:
            quantiles(words, table, rows, q)
            found = decide_shared(words, q, scale, shift, e, k, signs, part, done, doubtful, found)
        done += count
    return found


@kernel
def fill_cells(
    key: Any,
    stream: Any,
    start: Any,
    given: Any,
    out: Any,
    doubtful: Any,
    table: Any,
    e: Any,
    k: Any,
    signs: Any,
    steps: Any,
    given_scales: Any,
    given_shifts: Any,
    given_values: Any,
) -> Any:
    """Fill ``out`` with a scale and a value for each cell.

    ``given_scales`` and ``given_shifts`` have shape (n,) or (1,), ``given_values`` (n,) or (0,). Scales and
    values are multiplied by ``steps``, a power of two.
    """
    buffer = np.empty(CHUNK, np.uint64)
    lanes = buffer.view(np.uint32)
    rows = np.empty(CHUNK, np.int64)
    q = np.empty(CHUNK, np.float64)
    one_scale = np.full(CHUNK, given_scales[0])
    one_shift = np.full(CHUNK, given_shifts[0])
    no_values = np.zeros(CHUNK, np.float64)
    scales = np.empty(CHUNK, np.float64)
    parts = np.empty(CHUNK, np.float64)
    bases = np.empty(CHUNK, np.int64)
    found = 0
    done = 0
    while done < out.size:
        offset = (start + done) & 255
        count = min(CHUNK - offset, out.size - done)
        if not given.size:
            stretch(key, stream, start + done, count, lanes)
        words = given[done : done + count] if given.size else buffer[offset : offset + count]
        s = given_scales[done : done + count] if given_scales.size > 1 else one_scale[:count]
        c = given_shifts[done : done + count] if given_shifts.size > 1 else one_shift[:count]
        x = given_values[done : done + count] if given_values.size > 0 else no_values[:count]
        part = out[done : done + count]
        if table.size == 0:
            sure = glance_logarithms_cells(words, q, s, c, x, steps, e, k, signs, part)
        else:
            quantiles(words, table, rows, q)
            sure = glance_quantiles_cells(words, q, s, c, x, steps, e, k, signs, part)
        if not sure:
            quantiles(words, table, rows, q)
            load_scales(s, steps, scales)
            load_values(x, steps, parts, bases)
            found = decide_cells(words, q, scales, c, parts, bases, e, k, signs, part, done, doubtful, found)
        done += count
    return found
