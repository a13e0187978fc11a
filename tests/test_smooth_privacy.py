"""Privacy of the smooth mechanisms: every pair of neighbours on a grid loses no more than is paid for."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

from dpframe.mechanisms import smooth_bounds as bounds
from dpframe.mechanisms.smooth import SmoothArsinhNormal, SmoothCauchy, SmoothGamma, SmoothLaplace, SmoothStudentT

SIGMA = 2 / math.sqrt(3)
Z = np.concatenate([-np.geomspace(30, 1e9, 2000)[::-1], np.linspace(-30, 30, 120_001), np.geomspace(30, 1e9, 2000)])


def student(d: float) -> Callable[[np.ndarray], np.ndarray]:
    return lambda z: (d + 1) / 2 * np.log1p(z * z / d)


def quartic(z: np.ndarray) -> np.ndarray:
    return np.log1p(z**4)


def largest_loss(minus_log: Callable[[np.ndarray], np.ndarray], eta: float, b: float) -> float:
    """The largest |log of a ratio of densities|, both ways round, over a grid of outputs, shifts and scale ratios."""
    largest = 0.0
    for x in np.linspace(0, b, 7):
        for sign in (-1, 1):
            r = math.exp(sign * x)
            for share in (0, 0.5, 0.9, 1):
                shift = share * eta * min(1, r)
                loss = minus_log((Z - shift) / r) + math.log(r) - minus_log(Z)
                largest = max(largest, float(np.abs(loss).max()))
    return largest


PURE = [
    (SmoothGamma("x", math.expm1(0.05), 1), quartic, 0.05),
    (SmoothGamma("x", math.expm1(0.001), 0.1), quartic, 0.001),
    (SmoothGamma("x", math.expm1(0.3), 1), quartic, 0.3),
    (SmoothGamma("x", math.expm1(0.5), 6), quartic, 0.5),
    (SmoothCauchy("x", 0.05, 1), student(1), 0.05),
    (SmoothCauchy("x", 0.9, 1), student(1), 0.9),
    (SmoothCauchy("x", 0.01, 0.1), student(1), 0.01),
    (SmoothCauchy("x", 0.5, 5), student(1), 0.5),
    (SmoothStudentT("x", 0.05, 1), student(3), 0.05),
    (SmoothStudentT("x", 0.3, 1), student(3), 0.3),
    (SmoothStudentT("x", 0.01, 0.1), student(3), 0.01),
    (SmoothStudentT("x", 0.5, 5), student(3), 0.5),
    (SmoothStudentT("x", 0.1, 1, df=6.5), student(6.5), 0.1),
]


@pytest.mark.parametrize(("mechanism", "minus_log", "b"), PURE, ids=lambda each: str(each)[:70])
def test_no_pair_of_neighbours_loses_more_than_epsilon_and_some_lose_just_that(
    mechanism: SmoothGamma, minus_log: Callable[[np.ndarray], np.ndarray], b: float
) -> None:
    epsilon, eta = float(mechanism.epsilon), 1 / mechanism.factor
    assert 0.999 * epsilon < largest_loss(minus_log, eta, b) <= epsilon
    assert largest_loss(minus_log, 1.1 * eta, b) > epsilon


def test_the_least_scales_at_no_smoothing_are_those_of_the_largest_slopes() -> None:
    tiny, epsilon = Fraction(1, 10**9), Fraction(1, 1000)
    assert bounds.quartic_eta(epsilon, tiny) == pytest.approx(1e-3 / 3**0.75, rel=1e-3)
    for d in (1.0, 3.0, 8.0):
        assert bounds.student_eta(epsilon, tiny, d) == pytest.approx(1e-3 * 2 * math.sqrt(d) / (d + 1), rel=1e-3)


def hockey_stick(epsilon: float, shift: float, r: float) -> float:
    """∫ (p − e^ε·q)₊ for p = Lap(0, 1) and q = Lap(shift, r), by quadrature between the kinks and crossings."""

    def gap(z: np.ndarray) -> np.ndarray:
        return np.exp(-np.abs(z)) / 2 - np.exp(epsilon - np.abs(z - shift) / r) / (2 * r)

    ends = np.union1d(np.linspace(-80, 80, 200_001), [0, shift])
    return float(np.trapezoid(np.maximum(gap(ends), 0), ends))


@pytest.mark.parametrize(
    ("alpha", "epsilon", "delta"),
    [(0.05, 0.4, 0.05), (0.02, 1, 1e-6), (0.1, 0.25, 0.05), (2.8, 8, 0.05), (0.3, 1, 1e-2), (1.2, 0.5, 0.4)],
)
def test_smooth_laplace_spends_delta_and_no_more(alpha: float, epsilon: float, delta: float) -> None:
    mechanism = SmoothLaplace("x", alpha, epsilon, delta)
    eta, b = 1 / mechanism.factor, math.log1p(alpha)
    found = {
        (r, share): hockey_stick(epsilon, share * eta * min(1, r), r)
        for x in np.linspace(0, b, 7)
        for r in (math.exp(x), math.exp(-x))
        for share in (0, 0.5, 1)
    }
    worst = max(found.values())
    assert worst <= delta + 1e-7
    assert worst == pytest.approx(float(bounds.laplace_delta(Fraction(epsilon), eta, Fraction(b))), abs=1e-7)
    if eta < epsilon * (1 - 1e-9):  # else a plain Laplace mechanism of that sensitivity would need as much
        assert worst > 0.99 * delta - 1e-7
    r, share = max(found, key=lambda pair: found[pair])
    assert share == 1 and abs(math.log(r)) == pytest.approx(b)


def test_the_usual_condition_for_smooth_laplace_is_not_enough() -> None:
    alpha, epsilon = 2.8, 8
    assert 2 * math.log(1 / 0.05) * math.log1p(alpha) <= epsilon
    exact = float(bounds.laplace_delta(Fraction(epsilon), epsilon / 2, bounds.smoothing_of(Fraction("2.8"))))
    assert exact == pytest.approx(0.0580, abs=5e-5) == pytest.approx(hockey_stick(8, 4 / 3.8, 1 / 3.8), abs=5e-5)
    assert SmoothLaplace("x", alpha, epsilon, 0.05).factor > 2 / epsilon


def test_smooth_laplace_takes_no_more_noise_than_usual_where_that_is_private() -> None:
    for epsilon in (0.1, 0.4, 1, 4):
        for delta in (0.05, 1e-3, 1e-6):
            alpha = math.expm1(epsilon / (2 * math.log(1 / delta)))
            assert SmoothLaplace("x", alpha, epsilon, delta).factor <= 2 / epsilon


def arsinh_loss(n: np.ndarray, shift: float, x: float) -> np.ndarray:
    """Of Z = sinh(σn)/σ against shift + e^x·Z."""
    other = np.arcsinh((np.sinh(SIGMA * n) - SIGMA * shift) * math.exp(-x)) / SIGMA
    return (other**2 - n**2) / 2 + np.log(np.cosh(SIGMA * other)) - np.log(np.cosh(SIGMA * n)) + x


def renyi(order: float, shift: float, x: float) -> float:
    """D_order of Z against shift + e^x·Z, as an integral over n."""
    near = np.linspace(-20, 20, 4001)
    slope = 1.05 * np.abs(np.gradient(arsinh_loss(near, shift, x), near)).max() + 1e-6
    n = np.linspace(-1, 1, 20_001) * (12 + order * slope)
    loss = arsinh_loss(n, shift, x)
    assert np.abs(np.gradient(loss, n)).max() <= slope  # so what lies further out is about e^-72 of the whole
    powers = (order - 1) * loss - n * n / 2
    top = powers.max()
    return float(top + math.log(np.trapezoid(np.exp(powers - top), n) / math.sqrt(2 * math.pi))) / (order - 1)


@pytest.mark.parametrize(("smoothing", "rho"), [(0.05, 0.5), (0.001, 0.01), (0.02, 0.02), (0.3, 0.5), (0.1, 2)])
def test_smooth_arsinh_normal_is_concentrated(smoothing: float, rho: float) -> None:
    eta = 1 / SmoothArsinhNormal("x", smoothing, rho).factor

    def worst(size: float, orders: tuple[float, ...]) -> float:
        return max(
            renyi(order, share * size * min(1, math.exp(x)), x) / order
            for order in orders
            for x in (-smoothing, -smoothing / 2, 0, smoothing / 2, smoothing)
            for share in (0, 1)
        )

    assert 0.6 * rho < worst(eta, (1.01, 1.1, 1.5, 2, 4, 8, 16, 32, 64)) <= rho
    assert worst(1.5 * eta, (1.01, 2)) > rho


def test_the_scores_of_the_arsinh_normal_law_have_the_tails_that_its_proof_asks() -> None:
    n = np.linspace(-20, 20, 2001)  # the trapezoidal rule on what falls like this is right to the last digits
    weights = stats.norm.pdf(n) * (n[1] - n[0])
    tanh = np.tanh(SIGMA * n)
    shift, size = (n + SIGMA * tanh) / np.cosh(SIGMA * n), n / SIGMA * tanh + tanh**2
    assert np.abs(shift).max() < 1.14
    steps = 0.02 * 1.002 ** np.arange(2655)
    assert steps[-1] > 4
    for score, c in ((shift, bounds.ARSINH_SHIFT), (size - 1, bounds.ARSINH_DILATION)):
        assert (weights * score).sum() == pytest.approx(0, abs=1e-12)
        assert (weights * score**2 * np.exp(0.02 * np.abs(score))).sum() < c * c
        for sign in (-1, 1):
            cumulants = np.log([(weights * np.exp(sign * step * score)).sum() for step in steps])
            assert (cumulants[1:] < c * c * steps[:-1] ** 2 / 2).all()
    beyond = steps[-1]
    assert 1.14 * beyond < bounds.ARSINH_SHIFT**2 * beyond**2 / 2  # and so for every larger one
    assert beyond < bounds.ARSINH_DILATION**2 * beyond**2 / 2  # T − 1 ≥ −1
    # T − 1 ≤ |n|/σ, and E e^(s|n|) ≤ 2·e^(s²/2).
    assert math.log(2) + (beyond / SIGMA) ** 2 / 2 < bounds.ARSINH_DILATION**2 * beyond**2 / 2
    assert (size - 1 <= np.abs(n) / SIGMA + 1e-12).all() and SIGMA**-2 < bounds.ARSINH_DILATION**2
