r"""The discrete Gaussian law with a σ for each cell: no table serves, so small σ are added up and large ones inverted.

Above σ = 64 the value is ⌊σ′·Q(u) + ½⌋ as in :mod:`dpframe.kernels.gaussian_integers`, whose bound holds from there
on (its sum over all integers is σ√(2π) up to a factor 1 + 2⁻¹⁰⁰⁰ for σ ≥ 6), with E = 2⁻⁴⁸ + 0.4/σ⁴ for each cell.
Up to σ = 64 the masses are added up from the middle until they pass 1 − u.

How close: the bound of the sum
-------------------------------
Let q = e^(−1/2σ²), C(k) = Σ_{\|j\| < k} q^(j²) and S = C(∞), so that 1 − T(k) = C(k)/S, and \|X\| is the k with
C(k) ≤ y < C(k + 1), y = (1 − u)·S. With ε = 2⁻⁵³ and an exponential that is good to a relative δ = 2⁻⁴⁷ (the usual ones
are good to one or two units in the last place):

1. The exponent rounds by a relative 2ε, so q is off by a relative δ + ε/σ². The j-th term is a product of j² factors q
   with fewer than j² + j roundings, so it is off by at most j²·(δ + ε/σ² + 2ε). As Σ j²·q^(j²) ≤ σ²·S (the variance is
   at most σ²: Canonne, Kamath and Steinke, NeurIPS 2020), all terms together by S·(σ²·(δ + 2ε) + ε) ≤ 2⁻³⁴·⁹·S.
2. The sum stops at a term below 2⁻⁶⁰, before the 600-th, and rounds by 600·ε·S ≤ 2⁻⁴³·S.
3. S itself: for σ ≥ 1, σ√(2π)·(1 + 2e^(−2π²σ²)) by Poisson's formula, where e^(−8π²σ²) < 2⁻¹¹³ is left out; for less,
   the sum up to j = 9, which leaves out less than 2⁻⁷⁰. With the rounding of 1 − u and the word's width, y is off by
   less than 2⁻⁴⁴·S.

A term that underflows is off by less than 2⁻¹⁰²². Altogether less than 2⁻³⁴·S, and a word is decided only if y is
further than **2⁻³²·S** from C(k) and C(k + 1). Words that are not are as rare as one in 2²² at σ = 64, and the far
tail, u < 2⁻³², is always among them, so none is cut off.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dpframe.kernels.chacha import CHUNK, stretch
from dpframe.kernels.inversion import held, quantiles
from dpframe.kernels.jit import inlined, kernel, noted, relative_width, wide_vectors
from dpframe.kernels.logarithm import LOWEST

LARGEST_SUM = 64.0
"""Up to this σ, a cell's masses are added up: about one multiplication for each unit of σ."""
_FAR = 2.0**61
_CLOSE = 2.0**-32
_LAST = 2.0**-60
_UNIT = 2.0**-63
_ROOT = math.sqrt(2 * math.pi)
_DUAL = -2 * math.pi**2


@inlined
def _sum(sigma: Any) -> Any:
    """S."""
    if sigma >= 1.0:
        return sigma * _ROOT * (1.0 + 2.0 * math.exp(_DUAL * sigma * sigma))
    q = math.exp(-0.5 / (sigma * sigma))
    shrink, factor, term, total = q * q, q, 1.0, 1.0
    for _ in range(9):
        term *= factor
        factor *= shrink
        total += 2.0 * term
    return total


@inlined
def _search(v: Any, sigma: Any) -> Any:
    """k, and whether it is in doubt."""
    whole = _sum(sigma)
    y = (1.0 - np.float64(v) * _UNIT) * whole
    close = _CLOSE * whole
    q = math.exp(-0.5 / (sigma * sigma))
    shrink, factor, term = q * q, q, 1.0
    below, upto, k = -1.0 - close, 1.0, np.int64(0)
    while upto <= y and term > _LAST:
        k += 1
        term *= factor
        factor *= shrink
        below = upto
        upto += 2.0 * term
    return k, (upto - y < close) | (y - below < close)


@inlined
def decide_gaussians(words: Any, q: Any, sigmas: Any, e: Any, k: Any, out: Any, unsure: Any) -> None:
    """The value of each word at its own σ, which is within the samplers' range, and whether it is in doubt.

    Each value is written by the loop that also writes the doubt about it.
    """
    wide_vectors()
    for j in range(words.size):
        v = np.int64(words[j] >> np.uint64(1))
        sigma = sigmas[j]
        square = sigma * sigma
        narrowed = sigma - 1.0 / (24.0 * sigma)
        t = narrowed * q[j]
        bound = (t + (narrowed + 2.0)) * (e + 0.4 / (square * square) + k * relative_width(v))
        t += 0.5
        f = np.floor(t)
        sign = -np.int64(words[j] & np.uint64(1))
        out[j] = (np.int64(min(f, _FAR)) ^ sign) - sign
        unsure[j] = (abs((t - f) - 0.5) > 0.5 - bound) | (v < LOWEST)
    for j in range(words.size):
        if sigmas[j] <= LARGEST_SUM:
            size, doubt = _search(words[j] >> np.uint64(1), sigmas[j])
            out[j] = -size if words[j] & np.uint64(1) else size
            unsure[j] = doubt


@kernel
def fill_gaussians(
    key: Any,
    stream: Any,
    start: Any,
    given: Any,
    out: Any,
    doubtful: Any,
    table: Any,
    e: Any,
    k: Any,
    scales: Any,
) -> Any:
    """Fill ``out``; see :func:`dpframe.kernels.sampler.sample` for the first six arguments.

    ``table`` is that of the normal law, ``e`` and ``k`` are its E and K, ``scales`` has shape (n,).
    """
    buffer = np.empty(CHUNK, np.uint64)
    lanes = buffer.view(np.uint32)
    rows = np.empty(CHUNK, np.int64)
    q = np.empty(CHUNK, np.float64)
    sigmas = np.empty(CHUNK, np.float64)
    unsure = np.empty(CHUNK, np.uint8)
    found = 0
    done = 0
    while done < out.size:
        offset = (start + done) & 255
        count = min(CHUNK - offset, out.size - done)
        if not given.size:
            stretch(key, stream, start + done, count, lanes)
        words = given[done : done + count] if given.size else buffer[offset : offset + count]
        for j in range(count):
            sigmas[j] = held(scales[done + j])
        quantiles(words, table, rows, q)
        decide_gaussians(words, q, sigmas[:count], e, k, out[done : done + count], unsure)
        for j in range(count):
            if unsure[j]:
                found = noted(done + j, doubtful, found)
        done += count
    return found
