r"""From one kind of guarantee to another, always towards less: what is rounded is rounded so that no one gains by it.

*Gaussian DP and (ε, δ)*: exact. N(0, 1) and N(μ, 1) are (ε, δ)-close for

    δ(ε) = Φ(μ/2 − ε/μ) − e^ε·Φ(−μ/2 − ε/μ)

and no less (Balle and Wang, *Improving the Gaussian mechanism*, ICML 2018, Theorem 8).

*Rényi and (ε, δ)*: for the privacy loss L of a pair of (α, τ)-Rényi-close laws, E e^((α − 1)·L) ≤ e^((α − 1)·τ), and
δ(ε) = E max(0, 1 − e^(ε − L)). The largest ratio of max(0, 1 − e^(−y)) and e^((α − 1)·y) is where e^(−y) = 1 − 1/α, so
δ ≤ e^((α − 1)(τ − ε))·(1 − 1/α)^α/(α − 1) (Canonne, Kamath and Steinke, *The discrete Gaussian for differential
privacy*, NeurIPS 2020, Proposition 12). Of ρ-zCDP, τ = α·ρ for every α, and the best α is taken.

*Pure ε*: no ε-DP mechanism is easier to tell apart than randomised response with odds e^ε. Its trade-off function is
two lines that meet where both errors are 1/(1 + e^ε). A Gaussian's is convex with the same ends: the one through that
point lies below, and its Φ(−μ/2) = 1/(1 + e^ε).

Numbers are evaluated with so many bits that cancellation leaves at least 64 to spare, and then rounded to 15 digits, up
or down. That rests on mpmath's ``exp``, ``log``, ``erfc`` and ``erfinv`` being good to half of their working precision.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from fractions import Fraction
from functools import lru_cache
from typing import Any

from mpmath.ctx_mp import MPContext

from dpframe.accounting.costs import Exact, root

DIGITS = 15
"""Of every irrational amount, so that sums stay short, and what is 0.2 but for the last place becomes 0.2."""

_local = threading.local()


def context() -> Any:
    """This thread's own mpmath context; precision is its mutable state."""
    if not hasattr(_local, "mp"):
        _local.mp = MPContext()
    return _local.mp


def precision(*values: Fraction) -> int:
    """Bits enough for any formula here: e^x is as much less exact as x is large, and terms cancel by a few powers of
    the parameters.
    """
    return 192 + 4 * sum(abs(value.numerator.bit_length() - value.denominator.bit_length()) for value in values)


def up(value: Any, digits: int = DIGITS) -> Exact:
    """The least number of so many digits that is not below a positive one, which is a Fraction or an mpmath number.

    Examples
    --------
    >>> up(Fraction(1, 3), 4), up(Fraction(1, 4), 4)
    (0.3334, 0.25)
    """
    return _digits(value, digits, 1)


def down(value: Any, digits: int = DIGITS) -> Exact:
    """The largest number of so many digits that is not above a positive one.

    Examples
    --------
    >>> down(Fraction(2, 3), 4)
    0.6666
    """
    return _digits(value, digits, -1)


def _digits(value: Any, digits: int, sign: int) -> Exact:
    if not isinstance(value, Fraction):
        # What was computed is off by less than this, on the wrong side perhaps.
        mantissa, exponent = (value * (1 + sign * context().ldexp(1, -64))).man_exp
        value = Fraction(int(mantissa)) * Fraction(2) ** exponent
    if not value:
        return Exact(0)
    least = math.floor((value.numerator.bit_length() - value.denominator.bit_length() - 1) * 0.30103)
    unit = Fraction(10) ** (least - digits)
    while value / unit >= 10**digits:
        unit *= 10
    return Exact((math.ceil(value / unit) if sign > 0 else math.floor(value / unit)) * unit)


def root_up(value: Fraction) -> Exact:
    """The square root, or 15 digits that are not below it."""
    exactly = root(value)
    return up(_sqrt(value)) if exactly is None else exactly


def root_down(value: Fraction) -> Exact:
    """The square root, or 15 digits that are not above it."""
    exactly = root(value)
    return down(_sqrt(value)) if exactly is None else exactly


def _sqrt(value: Fraction) -> Any:
    mp = context()
    mp.prec = precision(value)
    return mp.sqrt(_number(mp, value))


def _number(mp: Any, value: Fraction) -> Any:
    return mp.mpf(value.numerator) / value.denominator


def gaussian_delta(mp: Any, mu: Any, epsilon: Any) -> Any:
    """δ(ε) of N(0, 1) and N(μ, 1), to half of the context's precision or better."""
    bits, first = mp.prec, None
    while True:
        far, near = epsilon / mu + mu / 2, epsilon / mu - mu / 2
        first = mp.erfc(near / mp.sqrt(2)) / 2
        found = first - mp.exp(epsilon) * mp.erfc(far / mp.sqrt(2)) / 2
        if found > 0 and found > mp.ldexp(first, bits // 2 - mp.prec):
            mp.prec = bits
            return +found
        mp.prec *= 2


@lru_cache(maxsize=1024)
def gaussian_within(epsilon: Fraction, delta: Fraction) -> Exact:
    """The largest μ², of 15 digits, for which μ-Gaussian DP implies (ε, δ)-DP.

    Examples
    --------
    >>> gaussian_within(Fraction(1), Fraction(1, 100_000))
    0.0718514046548364
    """
    mp = context()
    mp.prec = precision(epsilon, delta, 1 - delta)
    e, d = _number(mp, epsilon), _number(mp, delta)
    return down(_turn(lambda m: gaussian_delta(mp, mp.sqrt(m), e) <= d, mp)[0])


@lru_cache(maxsize=1024)
def gaussian_epsilon(mu_squared: Fraction, delta: Fraction) -> Exact:
    """The least ε, of 15 digits, for which μ-Gaussian DP implies (ε, δ)-DP; 0 where δ alone is enough.

    Examples
    --------
    >>> float(gaussian_epsilon(gaussian_within(Fraction(1), Fraction(1, 100_000)), Fraction(1, 100_000)))
    1.0
    """
    mp = context()
    mp.prec = precision(mu_squared, delta, 1 - delta)
    mu, d = mp.sqrt(_number(mp, mu_squared)), _number(mp, delta)
    if mp.erf(mu / mp.sqrt(8)) <= d:  # δ(0)
        return Exact(0)
    return up(_turn(lambda e: gaussian_delta(mp, mu, e) > d, mp)[1])


def _turn(holds: Callable[[Any], bool], mp: Any) -> tuple[Any, Any]:
    """Where something that holds of small numbers ceases to: one of which it does, and one of which it does not."""
    low = high = mp.mpf(1)
    while holds(high):
        low, high = high, high * 4
    while not holds(low):
        low, high = low / 4, low
    for _ in range(56):
        middle = mp.sqrt(low * high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low, high


def renyi_within(order: Fraction, epsilon: Fraction, delta: Fraction) -> Exact:
    """The largest τ, of 15 digits, for which an (order, τ)-Rényi bound implies (ε, δ)-DP; 0 where none does.

    Examples
    --------
    >>> renyi_within(Fraction(24), Fraction(1), Fraction(1, 100_000))
    0.680173891174348
    """
    mp = context()
    mp.prec = precision(order, epsilon, delta)
    a = _number(mp, order)
    found = _number(mp, epsilon) - mp.log1p(-1 / a) + mp.log(_number(mp, delta) * a) / (a - 1)
    return down(found) if found > 0 else Exact(0)


def renyi_epsilon(order: Fraction, loss: Fraction, delta: Fraction) -> Exact:
    """The least ε, of 15 digits, that an (order, loss)-Rényi bound implies at δ; 0 where δ alone is enough.

    Examples
    --------
    >>> float(renyi_epsilon(Fraction(24), Fraction("0.680173891174348"), Fraction(1, 100_000)))
    1.0
    """
    mp = context()
    mp.prec = precision(order, loss or Fraction(1), delta)
    a = _number(mp, order)
    found = _number(mp, loss) + mp.log1p(-1 / a) - mp.log(_number(mp, delta) * a) / (a - 1)
    return up(found) if found > 0 else Exact(0)


@lru_cache(maxsize=1024)
def best_order(epsilon: Fraction, delta: Fraction) -> Exact:
    """The order at which a Rényi bound allows the most ρ under (ε, δ): a function of these two alone.

    Any order is sound; this one is searched for in floats, on a scale of its logarithm, and rounded to five digits.

    Examples
    --------
    >>> best_order(Fraction(1), Fraction(1, 100_000))
    17.809
    """
    return _order(lambda a: (float(epsilon) - math.log1p(-1 / a) + (_log(delta) + math.log(a)) / (a - 1)) / a)


def _order(worth: Callable[[float], float]) -> Exact:
    """The order of the most worth, above 1."""
    low, high = -8.0, 250.0
    for _ in range(6):  # a grid, and finer ones around its best: no shape is assumed
        steps = [low + (high - low) * at / 256 for at in range(257)]
        best = max(steps, key=lambda x: worth(1 + math.exp(x)))
        low, high = max(-8.0, best - (high - low) / 64), best + (high - low) / 64
    return Exact(1 + up(Fraction(math.exp(best)), 5))


def _log(value: Fraction) -> float:
    return math.log(value.numerator) - math.log(value.denominator)


@lru_cache(maxsize=1024)
def rho_within(epsilon: Fraction, delta: Fraction) -> Exact:
    """A ρ, of 15 digits, for which ρ-zCDP implies (ε, δ)-DP: the largest that the bound above gives.

    Examples
    --------
    >>> rho_within(Fraction(1), Fraction(1, 100_000))
    0.0305565951885558
    """
    order = best_order(epsilon, delta)
    return down(Fraction(renyi_within(order, epsilon, delta)) / order)


@lru_cache(maxsize=1024)
def rho_epsilon(rho: Fraction, delta: Fraction) -> Exact:
    """An ε, of 15 digits, that ρ-zCDP implies at δ: the least that the bound above gives.

    Examples
    --------
    >>> rho_epsilon(rho_within(Fraction(1), Fraction(1, 100_000)), Fraction(1, 100_000))
    0.999999999999998
    """
    r = float(rho)
    order = _order(lambda a: -(r * a + math.log1p(-1 / a) - (_log(delta) + math.log(a)) / (a - 1)))
    return renyi_epsilon(order, order * rho, delta)


@lru_cache(maxsize=1024)
def gaussian_of_pure(epsilon: Fraction) -> Exact:
    """The least μ², of 15 digits, for which ε-DP implies μ-Gaussian DP; 8ε beyond ε = 1000.

    Φ(−μ/2) ≤ e^(−μ²/8)/2, and e^(−ε)/2 ≤ 1/(1 + e^ε): so μ² = 8ε is always enough.

    Examples
    --------
    >>> gaussian_of_pure(Fraction(1))
    1.51791119074196
    """
    if epsilon > 1000:
        return up(8 * epsilon)
    mp = context()
    mp.prec = precision(epsilon) + 4 * math.ceil(epsilon)
    # Φ(μ/2) = (1 + erf(μ/√8))/2 and e^ε/(1 + e^ε) = (1 + tanh(ε/2))/2.
    return up(8 * mp.erfinv(mp.tanh(_number(mp, epsilon) / 2)) ** 2)


@lru_cache(maxsize=1024)
def pure_within_gaussian(mu_squared: Fraction) -> Exact:
    """The largest ε, of 15 digits, for which ε-DP implies μ-Gaussian DP.

    Examples
    --------
    >>> pure_within_gaussian(gaussian_of_pure(Fraction(1, 2)))
    0.5
    """
    mp = context()
    mp.prec = precision(mu_squared)
    mu = mp.sqrt(_number(mp, mu_squared))
    return down(mp.log(mp.erfc(-mu / mp.sqrt(8)) / mp.erfc(mu / mp.sqrt(8))))


@lru_cache(maxsize=1024)
def renyi_of_pure(order: Fraction, epsilon: Fraction) -> Exact:
    """The Rényi divergence of randomised response with odds e^ε, the most that ε-DP allows; rounded up.

    Its moment is (e^(αε) + e^((1 − α)ε))/(1 + e^ε) (Mironov, *Rényi differential privacy*, CSF 2017, Proposition 5).

    Examples
    --------
    >>> renyi_of_pure(Fraction(2), Fraction(1, 10)) < Fraction(1, 100)
    True
    """
    mp = context()
    mp.prec = precision(order, epsilon)
    a, e = _number(mp, order), _number(mp, epsilon)
    return up(mp.log((mp.exp(a * e) + mp.exp((1 - a) * e)) / (1 + mp.exp(e))) / (a - 1))
