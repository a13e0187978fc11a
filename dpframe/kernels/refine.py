"""What happens to a word that the float filter could not decide: exact inversion in arbitrary precision.

A cell's uniform variate u has infinitely many bits: 63 from its word, then 64 at a time from a keyed hash. A
law is known here by its *thresholds* T(k), the exact probabilities for which "the value is at least k" means
"u ≤ T(k)". With the first bits of u in hand, v·2⁻ⁿ ≤ u ≤ (v+1)·2⁻ⁿ, the value is k for certain as soon as the
whole interval lies in (T(k+1), T(k)]; otherwise more bits are drawn.

Why it ends, and is right
-------------------------
With n bits shown, everything is computed at n + 128 bits of precision, so a threshold carries a relative
error of a few units in the last place times its condition number (at most about 2·n for the laws here, where
u ≥ 2⁻ⁿ), far below the relative guard 2^-(n+64) that a decision leaves beside it. The interval and the guard
both shrink to nothing as n grows: a cell is undecided at n bits only if a threshold lies within about 2⁻ⁿ of
u or if u < 2⁻ⁿ, so the walk ends with probability one. It relies on mpmath's ``exp``, ``log``, ``erfc``, ``atan``,
``asinh`` and ``betainc`` being good to 2**32 units in the last place at their working precision.

Contexts of mpmath carry their precision as mutable state, so each thread has its own.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from typing import Any, Protocol

from mpmath.ctx_mp import MPContext

WORD_BITS = 63
"""Bits of u in a cell's word; the lowest bit of the word is the sign."""
INT64_MAX = (1 << 63) - 1
_ROUND_BITS = 64
_local = threading.local()


class Law(Protocol):
    """A law of integers, decreasing in the uniform variate u."""

    def threshold(self, mp: Any, k: int) -> Any:
        """T(k): the value is at least k exactly if u ≤ T(k). Any number above 1 stands for "always"."""
        ...

    def guess(self, mp: Any, u: Any) -> int:
        """About the value at u; right to within a few units."""
        ...


def context() -> Any:
    """This thread's own mpmath context.

    Examples
    --------
    >>> mp = context()
    >>> mp.prec = 200
    >>> mp is context()
    True
    """
    if not hasattr(_local, "mp"):
        _local.mp = MPContext()
    return _local.mp


def keyed_bits(key: bytes, stream: int, cell: int, turn: int) -> int:
    """The 64 bits of u that follow those of earlier turns, for one cell of one stream.

    BLAKE2b (RFC 7693) keyed with the sampler's key, personalised ``dpframe-refine``, over stream, cell, turn.

    Examples
    --------
    >>> keyed_bits(bytes(32), 0, 0, 0) == keyed_bits(bytes(32), 0, 0, 1)
    False
    """
    message = stream.to_bytes(8, "little") + cell.to_bytes(16, "little") + turn.to_bytes(8, "little")
    digest = hashlib.blake2b(message, key=key, digest_size=_ROUND_BITS // 8, person=b"dpframe-refine")
    return int.from_bytes(digest.digest(), "little")


def refine(law: Law, tail: int, more: Callable[[int], int], *, shown: int = WORD_BITS) -> int:
    """The value that ``law`` takes at the u whose bits begin with ``tail``.

    Parameters
    ----------
    law
        The thresholds.
    tail
        The first 63 bits of u.
    more
        ``more(turn)`` gives the next 64 bits, turn = 0, 1, ….
    shown
        How many bits to look at first. The value does not depend on it.

    Returns
    -------
    int
        Exact, of any size.

    Examples
    --------
    >>> from dpframe.kernels.exponential_tails import DiscreteLaplace
    >>> refine(DiscreteLaplace(10.0), 1 << 53, more=lambda turn: 0)
    69
    """
    have, turn, bits = WORD_BITS, 0, shown
    while True:
        while have < bits:
            tail = (tail << _ROUND_BITS) | more(turn)
            have += _ROUND_BITS
            turn += 1
        value = _decide(law, tail >> (have - bits), bits)
        if value is not None:
            return value
        bits = WORD_BITS if bits < WORD_BITS else bits + _ROUND_BITS


def _decide(law: Law, v: int, bits: int) -> int | None:
    """The value on the whole interval [v, v+1]·2^-bits, or None if it is not one value for certain."""
    if v == 0:
        return None
    mp = context()
    mp.prec = bits + 128
    low, high = mp.ldexp(v, -bits), mp.ldexp(v + 1, -bits)
    guard = mp.ldexp(1, -bits - 64)
    value = law.guess(mp, (low + high) / 2)
    while True:
        at, above = law.threshold(mp, value), law.threshold(mp, value + 1)
        if low > at * (1 + guard):
            value -= 1
        elif high < above * (1 - guard):
            value += 1
        elif high < at * (1 - guard) and low > above * (1 + guard):
            return value
        else:
            return None


def clamp(value: int) -> int:
    """``value`` held inside int64. With scales up to 2**50 this happens with probability below 2**-1000.

    Examples
    --------
    >>> clamp(-(1 << 70)) == -(2**63 - 1)
    True
    """
    return max(-INT64_MAX, min(INT64_MAX, value))


def floor(mp: Any, x: Any) -> int:
    """⌊x⌋ as a Python integer.

    Examples
    --------
    >>> floor(context(), context().mpf("-1.5"))
    -2
    """
    return int(mp.floor(x))
