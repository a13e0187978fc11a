"""Smooth noise of log-normal products: what each pair of neighbours can learn, σ, the law of the noise, refusals."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from scipy import interpolate, special, stats

from dpframe.mechanisms.smooth import SmoothArsinhNormal
from dpframe.mechanisms.smooth_lognormal import (
    SHIFTS,
    SmoothLaplaceLogNormal,
    SmoothUniformLogNormal,
    laplace_slope,
    uniform_slope,
)

KINDS = (SmoothLaplaceLogNormal, SmoothUniformLogNormal)
Curve = Callable[[np.ndarray], np.ndarray]
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


def log_density(kind: type, sigma: float, reach: float) -> Curve:
    """ln h of Z = X·e^(σY) over ln |z|, up to ``reach``: an integral for Laplace X, in closed form for uniform X."""
    if kind is SmoothUniformLogNormal:  # E[1/W; W > |z|]/2, W = e^(σY)
        return lambda w: special.log_ndtr(-(w / sigma + sigma)) + sigma**2 / 2 - math.log(2)
    at = np.arange(-45, reach + 0.01, 0.02)
    n = np.arange(-25, reach / sigma + 25, 0.05)
    inner = -(n**2) / 2 - sigma * n + math.log(0.05 / math.sqrt(2 * math.pi) / 2)  # E[e^(−|z|/W)/W]/2
    logs = np.concatenate(
        [special.logsumexp(inner - np.exp(w[:, None] - sigma * n), axis=1) for w in np.array_split(at, 9)]
    )
    return interpolate.CubicSpline(at, logs)


def renyi(log_h: Curve, order: float, shift: float, x: float, reach: float) -> float:
    """D_order of Z against shift + e^x·Z, by the trapezoidal rule over points that crowd at 0 and at the shift."""
    steps = np.exp(np.arange(-40, reach, 0.01))
    z = np.unique(np.concatenate([-steps, steps, shift - steps, shift + steps, np.linspace(-3, 3, 6001)]))
    z = z[(np.abs(z) > 1e-17) & (np.abs(z - shift) > 1e-17)]

    def at(points: np.ndarray) -> np.ndarray:
        return log_h(np.log(np.abs(points)))

    p, q = at(z), at((z - shift) * math.exp(-x)) - x
    powers = order * p + (1 - order) * q
    top = powers.max()
    return float(top + math.log(np.trapezoid(np.exp(powers - top), z))) / (order - 1)


@pytest.mark.parametrize("sigma", [0.1, 0.3, 1.0, 2.0])
@each_kind
def test_densities_and_their_steepest_slopes(kind: type, sigma: float) -> None:
    reach = 12 * sigma + 5
    log_h = log_density(kind, sigma, reach)
    w = np.arange(-44, reach - 0.1, 0.02)
    z = np.exp(w)
    assert 2 * np.trapezoid(np.exp(log_h(w)) * z, w) == pytest.approx(1, abs=1e-6)
    slopes = -np.diff(log_h(w)) / np.diff(z)
    steepest = {SmoothLaplaceLogNormal: laplace_slope, SmoothUniformLogNormal: uniform_slope}[kind](sigma)
    near = w[1:] > -19  # below, differences are lost in rounding
    assert (slopes[near] > -1e-9).all()
    assert 0.999 * steepest < slopes[near].max() < 1.001 * steepest


@pytest.mark.parametrize("sigma", [1 / 16, 0.25, 0.6, 1.0, math.sqrt(2), 2.5])
def test_slopes_of_the_uniform_law_in_closed_form(sigma: float) -> None:
    a = np.linspace(-sigma, 1 / sigma, 200_001)
    logs = stats.norm.logpdf(a + sigma) - stats.norm.logsf(a) + 1.5 * sigma**2 - math.log(sigma)
    assert math.log(uniform_slope(sigma)) == pytest.approx(logs.max(), abs=1e-9)
    assert math.log(uniform_slope(sigma)) >= logs.max() - 1e-12
    root = a[logs.argmax()]
    assert uniform_slope(sigma) == pytest.approx(math.exp(sigma**2 - root * sigma) * (root + sigma) / sigma, rel=1e-3)
    if sigma >= math.sqrt(2):  # Bun and Steinke's
        ratio = math.exp(1.5 * sigma**2) * math.sqrt(2 / math.pi) / sigma / uniform_slope(sigma)
        assert 1.8 < ratio < 2


@pytest.mark.parametrize("sigma", SHIFTS)
def test_shifts_of_the_uniform_law_cost_what_is_listed(sigma: float) -> None:
    """E cosh(λ·g′) ≤ e^(λ²c²/2), the integral by the trapezoidal rule over a, right to the last digits."""
    c, step = SHIFTS[sigma], 0.01
    a = np.arange(-45, 45, step)
    weights = np.exp(special.log_ndtr(-a) + sigma**2 / 2 + sigma * (a - sigma)) * sigma * step
    slopes = np.exp(1.5 * sigma**2 + stats.norm.logpdf(a + sigma) - special.log_ndtr(-a)) / sigma
    assert weights.sum() == pytest.approx(1, abs=1e-7)  # what is missing lies near 0, where g′ is nothing
    for thinner in (weights[::2] * 2, weights[1::2] * 2):  # the rule with steps twice as long
        coarse = (thinner * slopes[(0 if thinner[0] == weights[0] * 2 else 1) :: 2] ** 2).sum()
        assert coarse == pytest.approx((weights * slopes**2).sum(), rel=1e-12)
    assert (weights * slopes**2 * np.cosh(0.02 * slopes)).sum() < c * c
    assert (weights * slopes**2).sum() > (c / 1.004) ** 2  # Fisher's information: not much less would do
    steepest = uniform_slope(sigma)
    assert (slopes <= steepest * (1 + 1e-12)).all()
    steps = 0.02 * 1.001 ** np.arange(1 + math.ceil(math.log(100 * steepest / c**2) / math.log(1.001)))
    assert steepest <= steps[-1] * c * c / 2
    cumulants = np.array([math.log1p((weights * (np.cosh(at * slopes) - 1)).sum()) for at in steps])
    assert (cumulants[1:] < c * c * steps[:-1] ** 2 / 2).all()


def test_uniform_x_has_the_least_noise() -> None:
    """Standard deviations per unit of S, at ρ = ½."""

    def deviation(mechanism: SmoothLaplaceLogNormal | SmoothUniformLogNormal | SmoothArsinhNormal) -> float:
        if isinstance(mechanism, SmoothArsinhNormal):
            return mechanism.factor * math.sqrt(math.expm1(8 / 3) / (8 / 3))
        return (
            mechanism.factor
            * math.exp(mechanism.sigma**2)
            * math.sqrt(2 if isinstance(mechanism, SmoothLaplaceLogNormal) else 1 / 3)
        )

    for b in (1e-4, 0.01, 0.05, 0.1, 0.2, 0.3):
        uniform, laplace, arsinh = (deviation(kind("x", b, 0.5)) for kind in (*KINDS[::-1], SmoothArsinhNormal))
        assert uniform < laplace and uniform < arsinh
    assert deviation(SmoothUniformLogNormal("x", 1e-4, 0.5)) < 1.05
    for kind in KINDS:
        for b in (0.001, 0.05, 0.3):
            best = deviation(kind("x", b, 0.5))
            assert best <= 1.001 * min(
                deviation(kind("x", b, 0.5, sigma)) for sigma in np.arange(0.31, 1.6, 0.01).round(2)
            )


SETTINGS = [
    (0.001, 0.01, None),
    (0.05, 0.5, None),
    (0.02, 0.02, None),
    (0.3, 0.5, None),
    (0.1, 2, None),
    (0.1, 0.5, 0.2),
    (0.1, 0.5, 1.0),
    (0.4, 0.5, 0.8),
]


@pytest.mark.parametrize(("smoothing", "rho", "sigma"), SETTINGS)
@each_kind
def test_every_pair_of_neighbours_is_concentrated(kind: type, smoothing: float, rho: float, sigma: float) -> None:
    mechanism = kind("x", smoothing, rho, sigma)
    eta, sigma = 1 / mechanism.factor, mechanism.sigma
    orders = (1.01, 1.1, 1.5, 2, 4, 8, 16, 32, 64)
    reach = 64 * smoothing + 12 * sigma + 6
    log_h = log_density(kind, sigma, reach + smoothing + 1)

    def worst(size: float, orders: tuple[float, ...]) -> float:
        return max(
            renyi(log_h, order, share * size * min(1, math.exp(x)), x, reach) / order
            for order in orders
            for x in (-smoothing, -smoothing / 2, 0, smoothing / 2, smoothing)
            for share in (0, 0.5, 1)
        )

    found = worst(eta, orders)
    assert 0.1 * rho < found <= rho
    assert worst(20 * eta, (1.01, 2)) > rho
