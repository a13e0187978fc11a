r"""Quantiles by the exponential mechanism, one after another: a float filter with a bound, as for all noise here.

What is drawn
-------------
A cell's rows stand at positions of a line 0 … last, given as runs of equal ones. A *node* looks at a stretch lo … hi of
the line, the rows on it, n of them, and a target of T rows below. A position p that has A rows of the stretch before it
and B at it or before is at the distance d = max(0, A − T, T − B) from the target, and is taken with probability
∝ e^(−γ·d). Distances are whole: rows and targets are multiplied by the denominator of the quantile. All positions
between two runs are alike, so the candidates are *buckets*: the positions before the first run, the first run, those
between it and the next, and so on, each of a size k and a weight k·e^(−γ·d).

One word u ∈ [0, 1) takes the bucket in which u·W falls, W the sum of all weights; a second takes one of its positions.
The rows below the position then belong to the left, those above to the right, those at it to the left where the target
is less than half of the rows, and the nodes on either side go on there.

The filter
----------
Distances fall to 0, which some position has, and rise again: so weights are added up outwards from there, until all
that is left of the line could add at most 2⁻⁶⁰ < 2⁻⁶⁰·W. A term's relative error is below 2⁻⁴⁰: γ·d rounds by ε = 2⁻⁵³
of at most 42 + 60·ln 2 < 2⁷, and exp, of which 4 units in the last place are asked, and the product, by little more.
Sums of N terms, in whatever order, add N·ε. So each partial sum is within W·(2⁻³⁹ + N·2⁻⁵²) of its true value, which
is also room for what was left out; u is known to 2⁻⁶³ and its product with W rounds by ε. The filter decides if u·W is
further than this from both ends of the bucket. The position ⌊v·k⌋ of the 64-bit word v/2⁶⁴ is decided unless more bits
of v could carry into it: unless the low half of the product is above 2⁶⁴ − k.

A cell in which anything is undecided is left, as a whole, to :func:`dpframe.mechanisms.ranks.exactly`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from dpframe.kernels.jit import inlined, kernel

REST = 2.0**-60
"""What is left of the line may add so much to a sum of weights that is at least 1."""

_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@inlined
def _product(a: Any, b: Any) -> tuple[Any, Any]:
    """The high and the low half of a product of two 64-bit words."""
    a0, a1, b0, b1 = a & _LOW, a >> _HALF, b & _LOW, b >> _HALF
    low, left, right = a0 * b0, a1 * b0, a0 * b1
    middle = (low >> _HALF) + (left & _LOW) + (right & _LOW)
    high = a1 * b1 + (left >> _HALF) + (right >> _HALF) + (middle >> _HALF)
    return high, (middle << _HALF) | (low & _LOW)


@inlined
def _bucket(b: Any, ra: Any, rb: Any, lo: Any, hi: Any, positions: Any, before: Any, den: Any, target: Any) -> Any:
    """First position, size and distance of a bucket: 2·r is what lies before run r, and 2·r + 1 is the run."""
    r = b >> 1
    below = den * (before[r] - before[ra])
    if b & 1:
        upto = den * (before[r + 1] - before[ra])
        return positions[r], np.int64(1), max(np.int64(0), below - target, target - upto)
    first = lo if r == ra else positions[r - 1] + 1
    end = hi + 1 if r == rb else positions[r]
    return first, max(np.int64(0), end - first), abs(below - target)


@kernel
def choose(
    begin: Any,
    positions: Any,
    before: Any,
    last: int,
    nodes: Any,
    gamma: Any,
    words: Any,
    out: Any,
    cut: Any,
    sure: Any,
) -> None:
    """The chosen positions of some cells.

    Parameters
    ----------
    begin
        (cells + 1,) where a cell's runs begin among all.
    positions, before
        (runs,) positions, increasing in a cell; (runs + 1,) how many rows all runs before have.
    last
        The last position.
    nodes, gamma
        (m, 6) quantile, the chosen ones to its left and right or −1, numerator, denominator and shift of its target,
        in an order in which those on both sides come first; (m,) γ of each.
    words
        (cells, m, 2) uint64.
    out, cut
        (cells, m) where the positions go, and the run with which the right side begins.
    sure
        (cells,) whether all was decided.
    """
    for c in range(begin.size - 1):
        sure[c] = True
        for t in range(nodes.shape[0]):
            at, left, right, num, den, shift = nodes[t]
            lo, ra = (np.int64(0), begin[c]) if left < 0 else (out[c, left], cut[c, left])
            hi, rb = (np.int64(last), begin[c + 1]) if right < 0 else (out[c, right], cut[c, right])
            rows = before[rb] - before[ra]
            target = num * rows
            inwards = min(shift, den * rows // 2)
            target += inwards if num == 0 else -inwards
            # The first run that reaches the target.
            r, end = ra, rb
            while r < end:
                middle = (r + end) >> 1
                if den * (before[middle + 1] - before[ra]) >= target:
                    end = middle
                else:
                    r = middle + 1
            start = 2 * r + 1 if r < rb else 2 * rb
            width = np.float64(hi - lo + 1)
            total, lowest, highest = 0.0, start, start
            for b in range(start, 2 * rb + 1):
                _, size, distance = _bucket(b, ra, rb, lo, hi, positions, before, den, target)
                chance = math.exp(-gamma[t] * np.float64(distance))
                if width * chance < REST:
                    break
                total += np.float64(size) * chance
                highest = b
            for b in range(start - 1, 2 * ra - 1, -1):
                _, size, distance = _bucket(b, ra, rb, lo, hi, positions, before, den, target)
                chance = math.exp(-gamma[t] * np.float64(distance))
                if width * chance < REST:
                    break
                total += np.float64(size) * chance
                lowest = b
            slack = total * (2.0**-38 + np.float64(highest - lowest + 1) * 2.0**-51)
            goal = np.float64(words[c, at, 0] >> np.uint64(1)) * 2.0**-63 * total
            so_far, b = 0.0, lowest
            while True:
                first, size, distance = _bucket(b, ra, rb, lo, hi, positions, before, den, target)
                weight = np.float64(size) * math.exp(-gamma[t] * np.float64(distance))
                if so_far + weight > goal or b == highest:
                    break
                so_far += weight
                b += 1
            high, low = _product(words[c, at, 1], np.uint64(size))
            inside = goal - so_far > slack and so_far + weight - goal > slack
            if not inside or low > np.uint64(0) - np.uint64(size):
                sure[c] = False
                break
            out[c, at], cut[c, at] = first + np.int64(high), (b + 1 if 2 * num < den else b) >> 1
