r"""Small integer laws by the alias method, exact to the last bit: what 64 bits cannot hold is an ESCAPE symbol.

A symmetric law with P(\|X\| ≥ k) = T(k) is cut into integer weights w_k ≤ 2⁶⁴·P(X = k), and the missing mass,
2⁶⁴ − Σ w_k, becomes the weight of ESCAPE. Walker's method (*ACM TOMS* 3, 1977) in Vose's form lays these weights out
in 2^L columns of 2^(64−L) each, in integers and so without error: the top L bits of a word choose a column, the
others one of its two values. A word that says ESCAPE (of probability about 2⁻⁵³ for a thousand values) is followed by
an exact draw from the *residual* law, P(X = k) − w_k·2⁻⁶⁴ over the mass that is missing; its thresholds

    S(k) = (T(k) − 2·Σ_{j ≥ k} w_j·2⁻⁶⁴) / (missing mass)

make it a law like any other for :mod:`dpframe.kernels.refine`, without an end. Together they have the law's exact mass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dpframe.kernels.chacha import CHUNK, stretch
from dpframe.kernels.jit import inlined, kernel, noted
from dpframe.kernels.refine import Law, clamp, context, refine
from dpframe.kernels.sampler import Hashed, Place

WORD = 64
ESCAPE = np.int64(-(1 << 31))


class MassLaw(Law, Protocol):
    """A symmetric law, by its magnitude: ``threshold(mp, k)`` = P(±X ≥ k) for k ≥ 1."""

    def masses(self, mp: Any, reach: int) -> list[Any]:
        """P(X = 0), …, P(X = reach), each with a relative error below 2**(60 - mp.prec)."""
        ...


@dataclass(frozen=True)
class Residual:
    """The magnitude of the residual law: what ``law`` has beyond the weights ``beyond``/2**bits.

    ``beyond[k]`` is Σ w_j over |j| ≥ k, the weight of both signs from k on; after its end there is none.

    Examples
    --------
    >>> from dpframe.kernels.laws import DiscreteLaplace
    >>> Residual(DiscreteLaplace(0.5), (3, 0), 2).threshold(context(), 0) > 1
    True
    """

    law: Law
    beyond: tuple[int, ...]
    bits: int = WORD

    def _weight(self, k: int) -> int:
        return self.beyond[k] if k < len(self.beyond) else 0

    def threshold(self, mp: Any, k: int) -> Any:
        """S(k), or 2 for "always"."""
        if k <= 0:
            return mp.mpf(2)
        precision = mp.prec
        mp.prec = precision + 2 * self.bits  # both differences below may cancel down to 2^-bits
        missing = 1 - mp.ldexp(self.beyond[0], -self.bits)
        share = (self.law.threshold(mp, k) - mp.ldexp(self._weight(k), -self.bits)) / missing
        mp.prec = precision
        return +share

    def guess(self, mp: Any, u: Any) -> int:
        """The last k whose S(k) is at least u, by bisection over the weights, then by the law's own tail."""
        end = len(self.beyond)
        if self.threshold(mp, end) >= u:
            return max(end, self.law.guess(mp, u * (1 - mp.ldexp(self.beyond[0], -self.bits))))
        low, high = 0, end
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self.threshold(mp, middle) >= u else (low, middle)
        return low


@dataclass(frozen=True, eq=False)
class AliasTable:
    """Columns of an alias table: limits (uint64) and value pairs (two 32-bit values in an int64).

    Examples
    --------
    >>> from dpframe.kernels.gaussian_integers import DiscreteGaussian
    >>> table = alias_table(DiscreteGaussian(1.0), reach=12)
    >>> table.limits.size, table.columns_log2
    (32, 5)
    """

    columns_log2: int
    bits: int
    limits: NDArray[np.uint64]
    pairs: NDArray[np.int64]
    residual: Residual

    def escaped(self, place: Place | Hashed, i: int) -> int:
        """The value of a cell whose word says ESCAPE, from keyed bits of its own."""
        first = place.more(i, 0)
        size = refine(self.residual, first >> 1, lambda turn: place.more(i, turn + 1))
        return clamp(-size if first & 1 else size)


def alias_table(law: MassLaw, reach: int, bits: int = WORD) -> AliasTable:
    """The table of a symmetric law with weights on -reach … reach.

    Parameters
    ----------
    law
        The law of the magnitude, with its masses.
    reach
        Beyond which weights are zero, below 2**30.
    bits
        Resolution of the weights, at most 64. Fewer make ESCAPE frequent, so that tests can see it.

    Examples
    --------
    >>> from dpframe.kernels.gaussian_integers import DiscreteGaussian
    >>> alias_table(DiscreteGaussian(1.0), reach=2, bits=10).residual.beyond  # masses .399, .242, .054
    (1012, 604, 110)
    """
    weights = _weights(law, reach, bits)
    symbols = [(k, weights[abs(k)]) for k in range(-reach, reach + 1) if weights[abs(k)]]
    total = sum(weight for _, weight in symbols)
    symbols.append((int(ESCAPE), (1 << bits) - total))
    log2 = max(1, (len(symbols) - 1).bit_length())
    limits, values, aliases = _columns(symbols, log2, bits)
    beyond = [total]
    for weight in [weights[0], *(2 * weight for weight in weights[1:])]:
        beyond.append(beyond[-1] - weight)
    packed = np.array([(value << 32) | (other & 0xFFFFFFFF) for value, other in zip(values, aliases, strict=True)])
    return AliasTable(
        log2, bits, np.array(limits, np.uint64), packed.astype(np.int64), Residual(law, tuple(beyond[:-1]), bits)
    )


def _weights(law: MassLaw, reach: int, bits: int) -> list[int]:
    """w_0 … w_reach. The 2⁻⁴⁰ keeps each below its share whatever the last bits of the arithmetic."""
    mp = context()
    mp.prec = bits + 120
    return [max(0, int(mp.floor(mp.ldexp(mass, bits) - mp.ldexp(1, -40)))) for mass in law.masses(mp, reach)]


def _columns(symbols: list[tuple[int, int]], log2: int, bits: int) -> tuple[list[int], list[int], list[int]]:
    """Vose's pairing of light and heavy symbols, in integers: limits, values, aliases."""
    full = 1 << (bits - log2)
    padded = symbols + [(0, 0)] * ((1 << log2) - len(symbols))
    values = [value for value, _ in padded]
    left = [weight for _, weight in padded]
    limits, aliases = [full] * len(padded), list(values)
    light = [i for i, weight in enumerate(left) if weight < full]
    heavy = [i for i, weight in enumerate(left) if weight >= full]
    while light:
        low, high = light.pop(), heavy[-1]
        limits[low], aliases[low] = left[low], values[high]
        left[high] -= full - left[low]
        if left[high] < full:
            light.append(heavy.pop())
    return limits, values, aliases


@inlined
def pick(w: Any, shift: Any, mask: Any, limits: Any, pairs: Any) -> Any:
    """The value that a word chooses."""
    column = w >> shift
    pair = pairs[column]
    return pair >> np.int64(32) if (w & mask) < limits[column] else (pair << np.int64(32)) >> np.int64(32)


@kernel
def fill_alias(
    key: Any,
    stream: Any,
    start: Any,
    given: Any,
    out: Any,
    doubtful: Any,
    log2: Any,
    bits: Any,
    limits: Any,
    pairs: Any,
) -> Any:
    """Fill ``out`` from a table; cells that drew ESCAPE are the doubtful ones."""
    buffer = np.empty(CHUNK, np.uint64)
    lanes = buffer.view(np.uint32)
    unused = np.uint64(64 - bits)
    shift = np.uint64(bits - log2)
    mask = (np.uint64(1) << shift) - np.uint64(1)
    found = 0
    done = 0
    while done < out.size:
        offset = (start + done) & 255
        count = min(CHUNK - offset, out.size - done)
        if not given.size:
            stretch(key, stream, start + done, count, lanes)
        words = given[done : done + count] if given.size else buffer[offset : offset + count]
        escaped = False
        for j in range(count):
            value = pick(words[j] >> unused, shift, mask, limits, pairs)
            out[done + j] = value
            escaped |= value == ESCAPE
        if escaped:
            for j in range(count):
                if out[done + j] == ESCAPE:
                    found = noted(done + j, doubtful, found)
        done += count
    return found
