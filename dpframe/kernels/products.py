r"""The float filter for noise that is a product, X·e^(σY), Y standard normal: two words to one integer, with a proof.

A cell has two words here. The first gives X, a sign and a magnitude Q(u) as in :mod:`dpframe.kernels.inversion`; the
second gives Y likewise. With M = e^(σY) the value is ::

    ± ⌊s·M·Q(u) + ½ ± (x − ⌊x⌋)⌋ + ⌊x⌋,

that of the sampler of X at the scale s·M. Each word stands for an interval: v·2⁻⁶³ ≤ u ≤ (v + 1)·2⁻⁶³, and likewise w
of the second. All that is shown here holds for every pair of numbers in them.

Two laws of X have an exact magnitude: the Laplace law, Q(u) = −ln u, and the uniform law on [−1, 1], Q(u) = u. What is
computed for Q is, with ε = 2⁻⁵³, within (Q + 1)·(4ε + 1/v): of the logarithm that is shown in
:mod:`dpframe.kernels.logarithm`; RN(v)·2⁻⁶³ is off by ε·u, and the interval is 2⁻⁶³ wide.

The bound
---------
Let y be what is computed for \|Y\|. From the normal law's E = 2⁻⁴⁸ and K = 2.6 (:mod:`dpframe.kernels.laws`, which
has twice what is needed) \|y − \|Y\|\| ≤ (\|Y\| + 1)·(13.5ε + 1.294/w).

1. a = RN(σ·y), with the sign of Y, rounds by ε·σ·y.
2. m = antilog(a) has a relative error of 9ε, as \|a\| ≤ 4·8 (:mod:`dpframe.kernels.antilogarithm`). So m = M·e^θ with
   \|θ\| ≤ σ·(\|Y\| + 1)·(14.6ε + 1.294/w) + 9.01ε, which is below 2⁻¹⁴ for σ ≤ 4 and w ≥ 2²⁰.
3. z = RN(s·m) and t₀ = RN(z·q) round by a relative ε each. Hence

    \|t₀ − s·M·Q\| ≤ ε·t₀ + z·(Q + 1)·(4ε + 1/v) + z·Q·(1.0001·\|θ\| + 1.001ε).

4. The steps after t₀ are those of :mod:`dpframe.kernels.inversion`, and round by at most ε·(t₀ + 3.6).

With z·(Q + 1) replaced by t₀ + z, which costs less than one part in 2¹³, all of it is at most

    (t₀ + z + 2)·1.0003·( 17.2ε + 1/v + σ·(y + 1)·(14.6ε + 1.294/w) ).

The filter decides only if d > B = (t₀ + z + 2)·( E + K·V + σ·(y + 1)·(E′ + K′·W) ), d the distance from t to the
nearest integer, V ≥ (1 − 2ε)/v and W ≥ (1 − 2ε)/w as there, with **E = 2⁻⁴⁷ = 64ε, K = 2.01, E′ = 2⁻⁴⁸ = 32ε,
K′ = 2.6**: all at least twice what is needed. The factor 2 pays for the rounding of B (relative 12ε)
and of d (2ε). Words with v < 2²⁰ or w < 2²⁰ are never decided here. A fused multiply-add leaves out a rounding.

Overflow: z ≤ 2⁵⁰·e³² and q < 800, so that everything is finite; nothing is decided with t₀ ≥ 2⁵², because there B > ½;
⌊t⌋ is held below 2⁶¹ before it becomes an integer, and ⌊x⌋ to ±2⁶².

The glance
----------
A coarser filter decides most chunks of cells in one loop, as in :mod:`dpframe.kernels.inversion`, where c is ½ and so
c − ½ is nothing: y = (x − r) ± t₀, and the value is r + the integer nearest to y. It asks for v ≥ 2⁴⁶ and w ≥ 2⁴⁶,
hence for y + 1 ≤ 5.6 (the normal quantile at 2⁻¹⁷ is below 4.5), and decides if

    d < ½ − (t₀ + z + 3)·C,   C = E + K·2⁻⁴⁶ + 5.6·σ·(E′ + K′·2⁻⁴⁶).

At least half of C, and so 32ε for each of the t₀ + z + 3 units, is there for the sum with x − r, at most
ε·(t₀ + 1)·(1 + ε)², and for the rounding of the bound itself, at most 4ε. Nothing is decided if t₀ ≥ 2⁴⁸, or if
\|x\| ≥ 2⁵¹ or x is NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dpframe.kernels.antilogarithm import antilog
from dpframe.kernels.chacha import CHUNK, stretch
from dpframe.kernels.inversion import held, load_scales, load_values, quantiles
from dpframe.kernels.jit import bits_float, float_bits, inlined, kernel, nearest, noted, relative_width, wide_vectors
from dpframe.kernels.logarithm import LOWEST, neglog

E = 2.0**-47
K = 2.01
NORMAL_E = 2.0**-48
NORMAL_K = 2.6
CLEAR_NORMAL = 5.6
"""No less than the quantile of |Y| at a word that the glance may decide, plus 1."""

_CLEAR = np.uint64(1 << 47)
_CLEAR_WIDTH = 2.0**-46
_NEAR = 2.0**51
_FAR = 2.0**61
_UNIT = 2.0**-63


@inlined
def sizes(words: Any, uniform: Any, q: Any) -> None:
    """``q[j]`` ≈ |X| of words[j]: u where ``uniform``, else −ln u."""
    wide_vectors()
    if uniform:
        for j in range(words.size):
            q[j] = np.float64(words[j] >> np.uint64(1)) * _UNIT
    else:
        for j in range(words.size):
            q[j] = neglog(np.int64(words[j] >> np.uint64(1)))


@inlined
def multipliers(words: Any, y: Any, sigma: Any, m: Any) -> None:
    """``m[j]`` ≈ e^(±σ·y[j]), the sign that of the word."""
    wide_vectors()
    for j in range(words.size):
        m[j] = antilog(bits_float(float_bits(sigma * y[j]) ^ (np.int64(words[j]) << 63)))


@inlined
def _glance(words: Any, others: Any, q: Any, m: Any, sigma: Any, scales: Any, values: Any, steps: Any, out: Any) -> Any:
    wide_vectors()
    c = E + K * _CLEAR_WIDTH + CLEAR_NORMAL * sigma * (NORMAL_E + NORMAL_K * _CLEAR_WIDTH)
    most = 0.5 - 3.0 * c
    sure = True
    for j in range(words.size):
        z = held(scales[j] * steps) * m[j]
        x = values[j] * steps
        base, _ = nearest(x)
        t = z * q[j]
        y = (x - np.float64(base)) + bits_float(float_bits(t) ^ (np.int64(words[j]) << 63))
        value, distance = nearest(y)
        out[j] = value + base
        clear = (words[j] >= _CLEAR) & (others[j] >= _CLEAR) & (abs(x) < _NEAR)
        sure &= (distance < (most - c * z) - c * t) & clear
    return sure


@inlined
def _one(word: Any, other: Any, q: Any, y: Any, m: Any, sigma: Any, scale: Any, part: Any) -> Any:
    """⌊t⌋ and whether it is in doubt; see the module's docstring."""
    v, w = np.int64(word >> np.uint64(1)), np.int64(other >> np.uint64(1))
    z = scale * m
    t = z * q
    spread = sigma * (y + 1.0) * (NORMAL_E + NORMAL_K * relative_width(max(w, LOWEST)))
    bound = (t + (z + 2.0)) * (E + K * relative_width(max(v, LOWEST)) + spread)
    t += 0.5 + bits_float(float_bits(part) ^ (np.int64(word) << 63))
    f = np.floor(t)
    return np.int64(min(f, _FAR)), (abs((t - f) - 0.5) > 0.5 - bound) | (v < LOWEST) | (w < LOWEST)


@inlined
def decide(
    words: Any,
    others: Any,
    q: Any,
    y: Any,
    m: Any,
    sigma: Any,
    scales: Any,
    parts: Any,
    bases: Any,
    out: Any,
    first: Any,
    doubtful: Any,
    found: Any,
) -> Any:
    """Values of some cells; lists ``first`` + index where in doubt, and returns the new count."""
    for j in range(words.size):
        value, unsure = _one(words[j], others[j], q[j], y[j], m[j], sigma, scales[j], parts[j])
        sign = -np.int64(words[j] & np.uint64(1))
        out[j] = (value ^ sign) - sign + bases[j]
        if unsure:
            found = noted(first + j, doubtful, found)
    return found


@kernel
def fill_products(
    key: Any,
    stream: Any,
    start: Any,
    given: Any,
    out: Any,
    doubtful: Any,
    other_key: Any,
    other_given: Any,
    table: Any,
    uniform: Any,
    sigma: Any,
    steps: Any,
    given_scales: Any,
    given_values: Any,
) -> Any:
    """Fill ``out``; see :func:`dpframe.kernels.sampler.sample` for the first six arguments.

    ``other_key`` and ``other_given`` are where the second words come from, and ``table`` is that of the normal
    quantile. ``given_scales`` has shape (n,) or (1,), ``given_values`` (n,) or (0,); both are multiplied by ``steps``,
    a power of two.
    """
    buffer, other_buffer = np.empty(CHUNK, np.uint64), np.empty(CHUNK, np.uint64)
    lanes, other_lanes = buffer.view(np.uint32), other_buffer.view(np.uint32)
    rows = np.empty(CHUNK, np.int64)
    q, y, m = np.empty(CHUNK, np.float64), np.empty(CHUNK, np.float64), np.empty(CHUNK, np.float64)
    one_scale, no_values = np.full(CHUNK, given_scales[0]), np.zeros(CHUNK, np.float64)
    scales, parts = np.empty(CHUNK, np.float64), np.empty(CHUNK, np.float64)
    bases = np.empty(CHUNK, np.int64)
    found = 0
    done = 0
    while done < out.size:
        offset = (start + done) & 255
        count = min(CHUNK - offset, out.size - done)
        if not given.size:
            stretch(key, stream, start + done, count, lanes)
            stretch(other_key, stream, start + done, count, other_lanes)
        words = given[done : done + count] if given.size else buffer[offset : offset + count]
        others = other_given[done : done + count] if given.size else other_buffer[offset : offset + count]
        s = given_scales[done : done + count] if given_scales.size > 1 else one_scale[:count]
        x = given_values[done : done + count] if given_values.size > 0 else no_values[:count]
        part = out[done : done + count]
        sizes(words, uniform, q)
        quantiles(others, table, rows, y)
        multipliers(others, y, sigma, m)
        if not _glance(words, others, q, m, sigma, s, x, steps, part):
            load_scales(s, steps, scales)
            load_values(x, steps, parts, bases)
            found = decide(words, others, q, y, m, sigma, scales, parts, bases, part, done, doubtful, found)
        done += count
    return found
