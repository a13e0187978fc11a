r"""How little noise smooth sensitivities allow: the least noise scales of :mod:`dpframe.mechanisms.smooth`, proved.

Two neighbours give a cell the values f, f′ and the sensitivities S, S′, with

    \|f − f′\| ≤ min(S, S′)   and   S′/S = e^(±x), 0 ≤ x ≤ b.

The noise is (S/η)·Z, Z of density h = e^(−g), symmetric and falling in \|z\|. The larger η, the less noise: this module
finds the largest η for a cost. In units of the first neighbour's noise, the two answers have the laws of Z and of
t + rZ with r = e^(±x) and \|t\| ≤ η·min(1, r).

**The worst shift is the largest.** For every λ, ∫ min(h, λ·h_{t,r}) is the integral over s of the length that two
intervals have in common, one centred at 0 and one at t (the points where h > s, and λ·h_{t,r} > s); it can only fall
as \|t\| grows. So every hockey-stick divergence, and with them the largest loss, rises with \|t\|. Left to find is the
worst x. As swapping the neighbours swaps both signs, and g is even, the pairs to look at are those of

    W(z) = g(e^x·z − η) − g(z) − x,   the loss of Z against e^(−x)·(η + Z)   (S′ ≤ S),

where −W is the loss the other way round.

Student's t, d degrees of freedom; the Cauchy law is d = 1
----------------------------------------------------------
With u = z/√d, τ = η/√d the largest ratio of (1 + (e^x·u − τ)²) to (1 + u²) is the larger eigenvalue of two quadratic
forms with determinant ratio e^(2x) and trace 1 + τ² + e^(2x), that is e^(x + D), and the least is e^(x − D), where

    cosh D = cosh x + τ²·e^(−x)/2.

(D is the distance in the hyperbolic half-plane: for d = 1 the loss is D itself.) With the power (d + 1)/2, the largest
loss is (d + 1)/2·D + (d − 1)/2·x, attained, and not less the other way round. It is at most ε exactly if, with
l = (2ε − (d − 1)·x)/(d + 1),

    τ² ≤ C(x) = 2e^x·(cosh l − cosh x) = (e^(l + x) − 1)·(1 − e^(x − l)).

With p = e^(2x/(d+1)) and a = e^(2ε/(d+1)), C′(x) has the sign of a + (d/a)·p^(d−1) − (d + 1)·p^d, whose coefficients
change sign once, so that by Descartes' rule C rises and then falls, and its least value is C(0) or C(b): η² is d times
that. C(b) > 0 exactly if ε > d·b.

The law of 1/(1 + z⁴)
---------------------
For fixed z, W rises or falls with x as (y + η)·g′(y) − 1 at y = e^x·z − η, the sign of 3y⁴ + 4η·y³ − 1. For z > 0, y
rises with x and that changes sign at most once, from − to +; for z < 0, with w = −y ≥ η rising in x, it is
3w⁴ − 4η·w³ − 1, of which the same holds, its slope being 12w²·(w − η) ≥ 0. So W is largest at x = 0 or x = b. The other
way round, with y = e^(−x)·(z − η), the loss g(y) − g(z) + x rises or falls as 1 − y·g′(y), which changes sign at most
once, from − to +, as \|y\| falls. So, again, the ends suffice. There, the extremes of W are at the real roots of a
polynomial of degree six, and at infinity, where W = 3b.

Laplace
-------
Let η ≤ ε. The hockey-stick divergence at e^ε of Z against e^(−x)·(η + Z) is, with D = e^x − 1,

    δ₁(x) = (1 − e^(−x))/2·( e^((η − x − ε)/D) + e^(−(η + x + ε)/D) ),

every factor of which rises with x. That of Z against η + e^x·Z is 0 if c = η·e^(−x) + x − ε ≤ 0. Else, with r = e^x,
Z is e^ε times more likely exactly on [l, u], l = −c/(1 − 1/r), and u = c/(1 + 1/r) if that is at most η, else
u = (x − ε − η/r)/(1 − 1/r), and the divergence is

    δ₂(x) = (1 + r)/2·(1 − e^(−u)) − (r − 1)/2·(1 − e^l)          if u ≤ η,
            1 − e^ε + (r − 1)/2·(e^l + e^(−u))                    if u > η.

It rises with x too. As [l, u] is the best event, only its probability under η + e^x·Z matters to the slope (envelope
theorem): if it holds η, that falls as the law spreads. If u < η, its slope is that of
(η + \|l\|)·e^(−\|l\|) − (η − u)·e^(−u) with the sign turned. With T = tanh(x/2), κ = η + \|l\|, u = (κ − η)·T, consider

    F(η) = ln κ − κ + η − ln(η − (κ − η)·T) + (κ − η)·T

for fixed κ: it is convex, F(κ) = 0 and F′(κ) = (1 − T)·(1 − e^x/κ) < 0, because c ≤ x − η·(1 − e^(−x)) gives
κ ≤ x/(1 − e^(−x)) < e^x. So F ≥ 0, which is the claim. The worst x is b, and the mechanism is (ε, δ)-DP exactly if
max(δ₁(b), δ₂(b)) ≤ δ.

sinh(σN)/σ, N standard normal
-----------------------------
A long way is made of short steps. By Hölder's inequality D_α(P‖Q) ≤ kα/(kα − 1)·D_β(P‖R) + D_kα(R‖Q) with
β = (kα − 1)/(k − 1). If the steps of a chain have D_α ≤ α·εᵢ²/2 + eᵢ for every α > 1, then, taking them one by one with
k = (εᵢ + … + ε_n)/(εᵢ₊₁ + … + ε_n), the whole has D_α ≤ α·(ε₁ + … + ε_n)²/2 + α/(α − 1)·(e₁ + … + e_n).

A shift by h has the loss −h·g′(Z) + O(h²), a dilation by e^h the loss −h·(T − 1) + O(h²), T = Z·g′(Z); both O are
bounded, as g″ and z·dT/dz are. So if ln E e^(λ·g′) ≤ λ²·c²/2 for every λ, a step has D_α ≤ (α − 1)·h²c²/2 + O(h²), and
likewise for T − 1. In the limit of short steps the errors vanish: a shift by t and a dilation by e^x come to
α·(c·t + c′·x)²/2. With n = arsinh(σz)/σ,

    g′ = (n + σ·tanh σn)/cosh σn,   T = (n/σ)·tanh σn + tanh² σn,

and for σ = 2/√3 the inequalities hold with c = .87 and c′ = .95, which the tests check: for \|λ\| ≤ .02 through
Λ″(s) ≤ E f²·e^(s·\|f\|), Λ the logarithm and f the score; up to \|λ\| = 4 on a grid, Λ being convex with its least
value at 0; and above that by \|g′\| ≤ 1.14 and −1 ≤ T − 1 ≤ \|n\|/σ. (No c below .859 would do, the root of Fisher's
information.)

Shifting where the scale is larger, by at most η·e^(−x), the whole is at most c·η·e^(−x) + c′·x: convex in x, so
largest at x = 0 or x = b. This is ρ-zCDP if that is at most √(2ρ).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from dpframe.kernels.refine import context

SAFETY = 1 - 1e-9
"""On every η, for the rounding of what is computed here: some 1e-12."""
LEAST = 1e-6
"""An η below this share of the cost is none: the noise would be a million times the sensitivity."""
ENOUGH = 20
"""A larger ε, or √(2ρ), counts as this, for the sake of the arithmetic: more noise, never less."""

ARSINH_SHIFT, ARSINH_DILATION = 0.87, 0.95
"""c and c′ for σ = 2/√3."""


def smoothing_of(alpha: Fraction) -> Fraction:
    """ln(1 + alpha), rounded up.

    Examples
    --------
    >>> float(smoothing_of(Fraction(1, 20)))
    0.048790164169432
    """
    mp = context()
    mp.prec = 400
    logarithm = mp.log1p(mp.mpf(alpha.numerator) / alpha.denominator)
    return _fraction(mp, logarithm * (1 + mp.ldexp(1, -300)))


def padded(b: Fraction) -> Fraction:
    """A smoothing with room for sensitivities, of both neighbours, that were rounded to floats.

    Examples
    --------
    >>> float(padded(Fraction(1, 4)))
    0.2500000000000284
    """
    return b + Fraction(1, 2**45)


def student_eta(epsilon: Fraction, b: Fraction, d: float) -> float:
    """The largest η at which smooth Student's t noise is ε-DP; 0 if there is none.

    Examples
    --------
    >>> round(student_eta(Fraction(1), Fraction(1, 20), 3.0), 6)
    0.846861
    """
    mp = context()
    mp.prec = 200
    epsilon = min(epsilon, Fraction(ENOUGH))
    gap = epsilon - Fraction(d) * b
    if gap <= 0:
        return 0.0
    d, x = mp.mpf(d), _mpf(mp, b)
    at_zero = 4 * mp.sinh(_mpf(mp, epsilon) / (d + 1)) ** 2
    below = 2 * _mpf(mp, gap) / (d + 1)  # l − b
    at_b = mp.expm1(below + 2 * x) * -mp.expm1(-below)
    return _settled(float(mp.sqrt(d * min(at_zero, at_b))), epsilon)


def quartic_loss(eta: float, b: float) -> float:
    """The largest loss of noise of density ∝ 1/(1 + z⁴) at that η, over every pair of neighbours.

    Examples
    --------
    >>> round(quartic_loss(0.4, 0.05), 6)
    0.981434
    """
    largest = 3 * b
    for x in (0.0, b):
        a, kappa = np.exp(x), np.expm1(4 * x) / eta
        # The extremes of W: a·y³·(1 + z⁴) = z³·(1 + y⁴) at y = az − η, over η. Complex roots do no harm: at their real
        # parts W is no more than its largest value, and a double root that came out as a pair of them is not missed.
        polynomial = [a**3, -3 * a**2 * eta, 3 * a * eta**2, kappa - eta**3, -3 * a**3, 3 * a**2 * eta, -a * eta**2]
        z = np.roots(polynomial).real
        y = a * z - eta
        rise = (z * np.expm1(x) - eta) * (y + z) * (y * y + z * z)  # y⁴ − z⁴ without cancellation
        largest = max(largest, float(np.abs(np.log1p(rise / (1 + z**4)) - x).max()))
    return largest


def quartic_eta(epsilon: Fraction, b: Fraction) -> float:
    """The largest η at which smooth noise of density ∝ 1/(1 + z⁴) is ε-DP; 0 if there is none.

    Examples
    --------
    >>> round(quartic_eta(Fraction(1), Fraction(1, 20)), 6)
    0.408704
    """
    epsilon = min(epsilon, Fraction(ENOUGH))
    if epsilon <= 3 * b:
        return 0.0
    target, smoothing = float(epsilon), float(b)
    # W at z = 0 and x = 0 is ln(1 + η⁴), so no more than this can do.
    most = float(np.expm1(target) ** 0.25) if target > 1 else target
    return _settled(_largest(lambda eta: quartic_loss(eta, smoothing) <= target, most), epsilon)


def laplace_delta(epsilon: Fraction, eta: float, b: Fraction) -> Any:
    """The exact δ at ε of smooth Laplace noise at that η ≤ ε, as a number of the thread's mpmath context.

    Examples
    --------
    >>> round(float(laplace_delta(Fraction(8), 4.0, smoothing_of(Fraction(14, 5)))), 4)  # das.md calls for .0580
    0.058
    """
    mp = context()
    mp.prec = 700
    e, x, shift = _mpf(mp, epsilon), _mpf(mp, b), mp.mpf(eta)
    r, grown = mp.exp(x), mp.expm1(x)
    narrower = -mp.expm1(-x) / 2 * (mp.exp((shift - x - e) / grown) + mp.exp(-(shift + x + e) / grown))
    c = shift / r + x - e
    if c <= 0:
        return narrower
    low, high = -c / (1 - 1 / r), c / (1 + 1 / r)
    if high <= shift:
        wider = (1 + r) / 2 * -mp.expm1(-high) + grown / 2 * mp.expm1(low)
    else:
        high = (x - e - shift / r) / (1 - 1 / r)
        wider = 1 - mp.exp(e) + grown / 2 * (mp.exp(low) + mp.exp(-high))
    return max(narrower, wider)


def laplace_eta(epsilon: Fraction, delta: Fraction, b: Fraction) -> float:
    """The largest η ≤ ε at which smooth Laplace noise is (ε, δ)-DP; 0 if there is none.

    Examples
    --------
    >>> round(laplace_eta(Fraction(2, 5), Fraction(1, 20), smoothing_of(Fraction(1, 20))), 6)
    0.4
    """
    epsilon = min(epsilon, Fraction(ENOUGH))
    mp = context()
    mp.prec = 700
    allowed, most = _mpf(mp, delta), float(epsilon)
    most = most if Fraction(most) <= epsilon else math.nextafter(most, 0.0)
    largest = _largest(lambda eta: bool(laplace_delta(epsilon, eta, b) <= allowed), most)
    return largest if largest >= LEAST * epsilon else 0.0  # checked as it is, in arithmetic that needs no safety


def arsinh_eta(rho: Fraction, b: Fraction) -> float:
    """An η at which smooth noise sinh(σN)/σ, σ = 2/√3, is ρ-zCDP; 0 if none is proved.

    Examples
    --------
    >>> round(arsinh_eta(Fraction(1, 2), Fraction(1, 20)), 6)
    1.149425
    """
    whole = min(math.sqrt(2 * min(rho, Fraction(ENOUGH**2, 2))), float(ENOUGH))
    left = whole - ARSINH_DILATION * float(b)
    return _settled(min(whole, left * math.exp(float(b))) / ARSINH_SHIFT, Fraction(whole)) if left > 0 else 0.0


def _largest(allowed: Callable[[float], bool], most: float) -> float:
    """The largest number up to ``most`` that is allowed, as far as floats tell, if all smaller ones are; else 0."""
    if allowed(most):
        return most
    low, high = 0.0, most
    for _ in range(60):
        middle = (low + high) / 2
        if allowed(middle):
            low = middle
        else:
            high = middle
    return low


def _settled(eta: float, cost: Fraction) -> float:
    """η a little smaller, for rounding; 0 if it is next to nothing."""
    return eta * SAFETY if eta >= LEAST * cost else 0.0


def _mpf(mp: Any, value: Fraction) -> Any:
    return mp.mpf(value.numerator) / value.denominator


def _fraction(mp: Any, value: Any) -> Fraction:
    """An mpmath number, exactly."""
    mantissa, exponent = mp.frexp(value)
    whole, power = int(mp.ldexp(mantissa, mp.prec)), int(exponent) - int(mp.prec)
    return Fraction(whole) * (Fraction(2**power) if power >= 0 else Fraction(1, 2**-power))
