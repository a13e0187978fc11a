r"""The laws behind the samplers, in arbitrary precision: tails, quantiles and exact thresholds.

A *continuous* law here is that of a magnitude Z ≥ 0, given by its tail T(y) = P(Z > y) and the inverse of that,
the tail quantile Q. An *integer* law is given by its thresholds (:class:`dpframe.kernels.refine.Law`).
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Protocol

from dpframe.kernels.refine import floor


class Continuous(Protocol):
    """The law of a magnitude Z ≥ 0."""

    @property
    def e(self) -> float:
        """E of :mod:`dpframe.kernels.inversion`."""
        ...

    @property
    def k(self) -> float:
        """K of :mod:`dpframe.kernels.inversion`."""
        ...

    def tail(self, mp: Any, y: Any) -> Any:
        """P(Z > y) for y > 0, to a few units in the last place times the condition number."""
        ...

    def quantile(self, mp: Any, u: Any) -> Any:
        """Q(u) for 0 < u ≤ 1, to most of the context's precision."""
        ...


class Tabled(Continuous, Protocol):
    """A law whose quantile is tabled. As a function of −u, all derivatives of Q are ≥ 0 (proved law by law)."""

    def __hash__(self) -> int: ...

    def series(self, mp: Any, u: Any, step: Any, terms: int) -> list[Any]:
        """The first Taylor coefficients of Q(u + step·r) in r."""
        ...


@dataclass(frozen=True)
class Exponential:
    """T(y) = e^(−y), the magnitude of the Laplace law.

    E and K: E₀ = 4ε by :mod:`dpframe.kernels.logarithm`, and −ln u falls by at most ln(1 + 1/v) ≤ 1/v over a
    word's interval, so K₀ = 1. Then E = 2⁻⁴⁹ = 16ε ≥ 2E₀ + 5ε.

    Examples
    --------
    >>> from dpframe.kernels.refine import context
    >>> float(EXPONENTIAL.quantile(context(), context().mpf(0.5)))
    0.6931471805599453
    """

    e = 2.0**-49
    k = 2.01

    def tail(self, mp: Any, y: Any) -> Any:
        """e^(−y)."""
        return mp.exp(-y)

    def quantile(self, mp: Any, u: Any) -> Any:
        """−ln u."""
        return -mp.log(u)


@dataclass(frozen=True)
class Normal:
    r"""T(y) = erfc(y/√2), the magnitude of N(0, 1).

    With w = −dQ/du = √(π/2)·e^(Q²/2): dw/du = −Q·w², so by induction (−1)ⁿ·dⁿQ/duⁿ = wⁿ·Pₙ(Q), where P₁ = 1 and
    Pₙ₊₁ = Pₙ′ + n·Q·Pₙ have no negative coefficient.

    Examples
    --------
    >>> from dpframe.kernels.refine import context
    >>> round(float(NORMAL.quantile(context(), context().mpf("0.05"))), 12)
    1.95996398454
    """

    e = 2.0**-48
    k = 2.6

    def tail(self, mp: Any, y: Any) -> Any:
        """erfc(y/√2)."""
        return mp.erfc(y / mp.sqrt(2))

    def quantile(self, mp: Any, u: Any) -> Any:
        """By Newton's method on ln T, which is concave, so that it converges from anywhere."""
        if u >= 1:
            return mp.mpf(0)
        precision = mp.prec
        z = self._start(mp, u)
        working = 53
        while working < 2 * precision:
            working *= 2
            mp.prec = min(working, precision) + 20
            tail = self.tail(mp, z)
            density = mp.sqrt(2 / mp.pi) * mp.exp(-z * z / 2)
            z += tail * mp.log(tail / u) / density
        mp.prec = precision
        return +z

    def _start(self, mp: Any, u: Any) -> Any:
        """A first value good to about 2⁻²⁰ relative, whatever the size of u."""
        if u > 0.999:
            return (1 - u) * mp.sqrt(mp.pi / 2)
        if u > 1e-300:
            return mp.mpf(-NormalDist().inv_cdf(float(u) / 2))
        z = mp.sqrt(-2 * mp.log(u))
        for _ in range(6):
            z = mp.sqrt(-2 * mp.log(u * z * mp.sqrt(mp.pi / 2) / (1 - 1 / z**2 + 3 / z**4)))
        return z

    def series(self, mp: Any, u: Any, step: Any, terms: int) -> list[Any]:
        """From Q′ = −w and w′ = Q·Q′·w."""
        q = [self.quantile(mp, u)]
        w = [step * mp.sqrt(mp.pi / 2) * mp.exp(q[0] ** 2 / 2)]
        halves: list[Any] = []  # the coefficients of (Q²/2)′ = Q·Q′
        for n in range(terms - 1):
            q.append(-w[n] / (n + 1))
            halves.append(sum(q[i] * q[n + 1 - i] * (n + 1 - i) for i in range(n + 1)))
            w.append(sum(halves[i] * w[n - i] for i in range(n + 1)) / (n + 1))
        return q


EXPONENTIAL = Exponential()
NORMAL = Normal()


@dataclass(frozen=True)
class Rounded:
    """⌊scale·Z ± (x − base) + ½⌋: rounding of x ± scale·Z to the nearest integer, less base, sign apart.

    T(k) = P(Z > (k − ½ ∓ (x − base))/scale).

    Examples
    --------
    >>> from dpframe.kernels.refine import context
    >>> Rounded(EXPONENTIAL, 10.0).guess(context(), context().mpf("0.05"))
    30
    """

    noise: Continuous
    scale: float
    x: float = 0.0
    base: int = 0
    negative: bool = False

    def shift(self, mp: Any) -> Any:
        """½ ± (x − base)."""
        part = mp.mpf(self.x) - self.base
        return mp.mpf(0.5) + (-part if self.negative else part)

    def threshold(self, mp: Any, k: int) -> Any:
        """P(value ≥ k), or 2 for "always"."""
        above = k - self.shift(mp)
        return self.noise.tail(mp, above / mp.mpf(self.scale)) if above > 0 else mp.mpf(2)

    def guess(self, mp: Any, u: Any) -> int:
        """The value itself, up to the accuracy of the quantile."""
        return floor(mp, mp.mpf(self.scale) * self.noise.quantile(mp, u) + self.shift(mp))


@dataclass(frozen=True)
class DiscreteLaplace:
    """The magnitude of the discrete Laplace law: T(k) = 2·q^k/(1 + q), q = e^(−1/scale).

    Examples
    --------
    >>> from dpframe.kernels.refine import context
    >>> DiscreteLaplace(2.0).guess(context(), context().mpf("0.001"))
    14
    """

    scale: float

    def shift(self, mp: Any) -> Any:
        """C = b·ln(2/(1 + q)), for which |X| = ⌊C − b·ln u⌋."""
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


@dataclass(frozen=True)
class Geometric:
    """P(X ≥ k) = e^(−k/scale) for k ≥ 0.

    Examples
    --------
    >>> from dpframe.kernels.refine import context
    >>> Geometric(2.0).guess(context(), context().mpf("0.001"))
    13
    """

    scale: float

    def threshold(self, mp: Any, k: int) -> Any:
        """P(X ≥ k), or 2 for "always"."""
        return mp.exp(-k / mp.mpf(self.scale)) if k > 0 else mp.mpf(2)

    def guess(self, mp: Any, u: Any) -> int:
        """⌊−b·ln u⌋."""
        return floor(mp, -mp.mpf(self.scale) * mp.log(u))
