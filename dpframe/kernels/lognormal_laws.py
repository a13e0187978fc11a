r"""The log-normal products X·e^(σY), Y standard normal: their laws, and exact values where floats did not decide.

Refinement
----------
Of both uniform variates of a cell, u for \|X\| and u′ for \|Y\|, the first n bits are known: u lies in [v, v+1]·2⁻ⁿ and
u′ in [w, w+1]·2⁻ⁿ. \|X\| is −ln u or u itself, and monotone. \|Y\| is the tail quantile of u′ (P(\|Y\| > y) = T(y) =
erfc(y/√2)), of which two numbers around it are found by *guessing* y at the middle and moving by 1.26/w, and
*checked*: T(y − 1.26/w) ≥ (w+1)·2⁻ⁿ and T(y + 1.26/w) ≤ w·2⁻ⁿ. (The density at y is at least T(y)/1.2534, which is
why so large a move does; a bad guess only fails the check.) As the product rises with \|X\| and with Y, that bounds it
from both sides; a value is taken if its floor is the same at both ends, widened by a guard of 2^-(n+64), relative and
absolute. Everything is computed with n + 128 bits, of which 2³² units in the last place times the condition numbers (at
most some 2·n) are far less than the guard.

With every turn both variates get 64 more bits, and the ends approach each other. A cell is undecided at n bits only if
the product is within some 2⁻ⁿ, relatively, of a threshold, or u or u′ is below some 2^(3−n). As the product has a
density, the walk ends with probability one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from dpframe.kernels.heavy_laws import log_newton
from dpframe.kernels.laws import NORMAL
from dpframe.kernels.products import E, K
from dpframe.kernels.refine import WORD_BITS, context, floor

_ROUND_BITS = 64


@dataclass(frozen=True)
class LaplaceLogNormal:
    r"""The magnitude of X·e^(σY), X standard Laplace.

    T(y) = E exp(−y·e^(−σY)), by the trapezoidal rule: the integrand f(n) = φ(n)·exp(−y·e^(−σn)) is entire, and where
    \|Im n\| ≤ a ≤ π/(2σ), \|f\| ≤ φ(Re n)·e^(a²/2), so that a step of h errs by at most 2·e^(a²/2)/(e^(2πa/h) − 1)
    (Trefethen and Weideman, *The exponentially convergent trapezoidal rule*, SIAM Review 2014, Theorem 5.1).

    ln T falls with ln y along a concave curve, since ln \|X\| and σY have log-concave densities, and so has their sum.

    Examples
    --------
    >>> from dpframe.kernels.refine import context
    >>> round(float(LaplaceLogNormal(0.25).quantile(context(), context().mpf("0.05"))), 9)
    3.183854433
    """

    sigma: float
    e = E
    k = K
    uniform = False

    def size(self, mp: Any, low: Any, high: Any) -> tuple[Any, Any]:
        """The least and the largest |X| for u from ``low`` to ``high``."""
        return -mp.log(high), -mp.log(low)

    def tail(self, mp: Any, y: Any) -> Any:
        """P(|Z| > y)."""
        return self._mean(mp, y, 0)

    def density(self, mp: Any, y: Any) -> Any:
        """−T′(y)."""
        return self._mean(mp, y, 1)

    def _mean(self, mp: Any, y: Any, power: int) -> Any:
        """E W^power·exp(−y·W), W = e^(−σY)."""
        precision = mp.prec
        # T(y) is at least P(σY > ln y)/e, and at least e^(−y)/2: no more leading bits than these are zero.
        normal = -int(mp.mag(NORMAL.tail(mp, max(mp.log(y), 0) / self.sigma)))
        lost = max(0, min(normal, int(2 * y)))
        mp.prec = precision + lost + 16
        total = mp.fsum(
            weight * (w if power else 1) * mp.exp(-y * w) for w, weight in _nodes(self.sigma, -(-mp.prec // 64) * 64)
        )
        mp.prec = precision
        return +total

    def quantile(self, mp: Any, u: Any) -> Any:
        """By Newton's method."""
        if u >= 1:
            return mp.mpf(0)
        return log_newton(mp, self, u, -mp.log(u) * mp.exp(self.sigma * NORMAL.quantile(mp, u)))


@lru_cache(maxsize=8)
def _nodes(sigma: float, bits: int) -> list[tuple[Any, Any]]:
    """e^(−σn) and h·φ(n) at the nodes n of a rule that is good to 2^−bits."""
    mp = context()
    before, mp.prec = mp.prec, bits + 32
    digits = (bits + 2) * mp.log(2)
    a = min(mp.pi / (2 * mp.mpf(sigma)), mp.sqrt(2 * digits))
    h = 2 * mp.pi * a / (digits + a * a / 2)
    reach = int(mp.sqrt(2 * digits) / h) + 1
    at = [h * j for j in range(-reach, reach + 1)]
    nodes = [(mp.exp(-mp.mpf(sigma) * n), h * mp.npdf(n)) for n in at]
    mp.prec = before
    return nodes


@dataclass(frozen=True)
class UniformLogNormal:
    """The magnitude of X·e^(σY), X uniform on [−1, 1]: T(y) = P(W > y) − y·E(1/W; W > y), W = e^(σY).

    Examples
    --------
    >>> from dpframe.kernels.refine import context
    >>> round(float(UniformLogNormal(0.5).quantile(context(), context().mpf("0.05"))), 9)
    1.47588568
    """

    sigma: float
    e = E
    k = K
    uniform = True

    def size(self, mp: Any, low: Any, high: Any) -> tuple[Any, Any]:
        """The least and the largest |X| for u from ``low`` to ``high``."""
        return low, high

    def tail(self, mp: Any, y: Any) -> Any:
        """P(|Z| > y)."""
        precision = mp.prec
        sigma, root = mp.mpf(self.sigma), mp.sqrt(2)
        mp.prec = 2 * precision + 8 * abs(int(mp.mag(sigma)))  # the two parts are close to each other far out
        at = mp.log(y) / sigma
        tail = (mp.erfc(at / root) - y * mp.exp(sigma**2 / 2) * mp.erfc((at + sigma) / root)) / 2
        mp.prec = precision
        return +tail

    def density(self, mp: Any, y: Any) -> Any:
        """E(1/W; W > y)."""
        sigma = mp.mpf(self.sigma)
        return mp.exp(sigma**2 / 2) * mp.erfc((mp.log(y) / sigma + sigma) / mp.sqrt(2)) / 2

    def quantile(self, mp: Any, u: Any) -> Any:
        """By Newton's method; ln T falls with ln y along a concave curve, as of :class:`LaplaceLogNormal`."""
        if u >= 1:
            return mp.mpf(0)
        return log_newton(mp, self, u, (1 - u) * mp.exp(self.sigma * NORMAL.quantile(mp, u)))


LogNormal = LaplaceLogNormal | UniformLogNormal


@dataclass(frozen=True)
class Bits:
    """The bits of one uniform variate: those of its word, and as many more as are asked for.

    Examples
    --------
    >>> Bits(1 << 62, lambda turn: 3).first(127) == (1 << 126) + 3
    True
    """

    tail: int
    more: Callable[[int], int]

    def first(self, bits: int) -> int:
        """The first so many bits."""
        have, turn, number = WORD_BITS, 0, self.tail
        while have < bits:
            number = (number << _ROUND_BITS) | self.more(turn)
            have += _ROUND_BITS
            turn += 1
        return number >> (have - bits)


def refine_product(
    law: LogNormal,
    scale: float,
    shift: Callable[[Any], Any],
    size: Bits,
    normal: Bits,
    down: bool,
    *,
    shown: int = WORD_BITS,
) -> int:
    """⌊scale·|X|·e^(σY) + shift⌋, exactly: see the module's docstring.

    Parameters
    ----------
    law
        The law of the product.
    scale, shift
        In grid steps; ``shift(mp)`` is a number of that context, at its precision.
    size, normal
        The bits of |X| and of |Y|.
    down
        Whether Y is negative.
    shown
        How many bits to look at first. The value does not depend on it.

    Examples
    --------
    >>> half = Bits(1 << 62, lambda turn: 0)  # |X| = ½, |Y| = 0.674
    >>> refine_product(UniformLogNormal(1.0), 100.0, lambda mp: mp.mpf(0.5), half, half, down=False)
    98
    """
    bits = shown
    while True:
        value = _decide(law, scale, shift, size.first(bits), normal.first(bits), down, bits)
        if value is not None:
            return value
        bits = WORD_BITS if bits < WORD_BITS else bits + _ROUND_BITS


def _decide(
    law: LogNormal, scale: float, shift: Callable[[Any], Any], v: int, w: int, down: bool, bits: int
) -> int | None:
    """The value on the whole of both intervals, or None if it is not one value for certain."""
    if v == 0 or w == 0:
        return None
    mp = context()
    mp.prec = bits + 128
    guard = mp.ldexp(1, -bits - 64)
    normal = _normal_size(mp, w, bits, guard)
    if normal is None:
        return None
    least, most = (-normal[1], -normal[0]) if down else normal
    small, large = law.size(mp, mp.ldexp(v, -bits), mp.ldexp(v + 1, -bits))
    sigma = mp.mpf(law.sigma)
    low = scale * small * mp.exp(sigma * least) * (1 - guard) - guard
    high = scale * large * mp.exp(sigma * most) * (1 + guard) + guard
    value = floor(mp, low + shift(mp))
    return value if value == floor(mp, high + shift(mp)) else None


def _normal_size(mp: Any, w: int, bits: int, guard: Any) -> tuple[Any, Any] | None:
    """Numbers for certain below and above |Y| on the interval of w, or None if the guess is not good enough."""
    low, high = mp.ldexp(w, -bits), mp.ldexp(w + 1, -bits)
    y = NORMAL.quantile(mp, (low + high) / 2)
    move = mp.mpf(1.26) / w
    below, above = max(y - move, 0), y + move
    if below and NORMAL.tail(mp, below) * (1 - guard) < high:
        return None
    return (below, above) if NORMAL.tail(mp, above) * (1 + guard) <= low else None
