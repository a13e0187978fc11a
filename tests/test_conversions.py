"""Conversions between measures of privacy, against brute force in arithmetic of their own."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy import stats

from dpframe.accounting import Exact, PureDP
from dpframe.accounting import conversions as to
from dpframe.accounting.events import (
    DiscreteLaplace,
    Exponential,
    Laplace,
)


def profile(mu: float, epsilon: float) -> mpmath.mpf:
    """δ(ε) of two unit Gaussians μ apart, integrated over where one is more likely by e^ε."""
    with mpmath.workdps(40):
        m, e = mpmath.mpf(mu), mpmath.mpf(epsilon)

        def excess(x: mpmath.mpf) -> mpmath.mpf:
            return mpmath.npdf(x, m) - mpmath.exp(e) * mpmath.npdf(x, 0)

        start = e / m + m / 2
        return mpmath.quad(excess, [start, start + 1, start + 4, start + 12, start + 40])


@pytest.mark.parametrize("delta", [Fraction(1, 2), Fraction(1, 100), Fraction(1, 10**5), Fraction(1, 10**9)])
@pytest.mark.parametrize("epsilon", [Fraction(1, 1000), Fraction(1, 2), Fraction(2), Fraction(12)])
def test_the_gaussian_profile_is_exact_and_on_the_safe_side(epsilon: Fraction, delta: Fraction) -> None:
    squared = to.gaussian_within(epsilon, delta)
    with mpmath.workdps(40):
        here = profile(mpmath.sqrt(mpmath.mpf(squared.numerator) / squared.denominator), mpmath.mpf(float(epsilon)))
        more = profile(
            mpmath.sqrt(mpmath.mpf(squared.numerator) / squared.denominator) * (1 + 1e-14), mpmath.mpf(float(epsilon))
        )
        if Fraction(float(epsilon)) == epsilon:
            assert here <= mpmath.mpf(delta.numerator) / delta.denominator < more
        assert float(here) == pytest.approx(float(delta), rel=1e-12)
    back = to.gaussian_epsilon(squared, delta)
    assert back <= epsilon and float(back) == pytest.approx(float(epsilon), rel=1e-11)


def test_extreme_parameters_are_converted_too() -> None:
    small, large = Fraction(1, 10**100), Fraction(10**100)
    for epsilon, delta in [(small, small), (small, 1 - small), (Fraction(1), small), (large, small)]:
        squared = to.gaussian_within(epsilon, delta)
        assert squared > 0
        order = to.best_order(epsilon, delta)
        assert order > 1 and to.renyi_within(order, epsilon, delta) >= 0
    assert to.gaussian_of_pure(large) == 8 * large and 0 < to.gaussian_of_pure(small) < small
    assert to.gaussian_of_pure(Fraction(1001)) > to.gaussian_of_pure(Fraction(1000))
    assert to.pure_within_gaussian(small) > 0 and large < to.pure_within_gaussian(1000 * large)


@pytest.mark.parametrize("epsilon", [Fraction(1, 100), Fraction(1, 2), Fraction(3), Fraction(30), Fraction(400)])
def test_randomised_response_is_within_its_gaussian(epsilon: Fraction) -> None:
    squared = to.gaussian_of_pure(epsilon)
    with mpmath.workdps(400):
        mu, e = mpmath.sqrt(mpmath.mpf(squared.numerator) / squared.denominator), mpmath.mpf(epsilon.numerator)
        e /= epsilon.denominator
        corner = 1 / (1 + mpmath.exp(e))
        assert mpmath.ncdf(-mu / 2) <= corner < mpmath.ncdf(-mu / 2 * (1 - mpmath.mpf("1e-13")))
        for k in range(1, 40):  # its trade-off function is never above that of randomised response
            alpha = corner * k / 20 if k < 20 else corner + (1 - corner) * (k - 20) / 20
            response = max(0, 1 - mpmath.exp(e) * alpha, mpmath.exp(-e) * (1 - alpha))
            if epsilon <= 30:
                quantile = mpmath.sqrt(2) * mpmath.erfinv(1 - 2 * alpha)
                assert mpmath.ncdf(quantile - mu) <= response * (1 + mpmath.mpf("1e-30"))
    assert to.pure_within_gaussian(squared) >= epsilon * (1 - Fraction(1, 10**13))
    assert to.gaussian_of_pure(to.pure_within_gaussian(squared)) <= squared * (1 + Fraction(1, 10**14))


def renyi(p: np.ndarray, q: np.ndarray, order: float) -> float:
    return float(np.log(np.sum(np.exp(order * np.log(p) + (1 - order) * np.log(q)))) / (order - 1))


@pytest.mark.parametrize("order", [1.25, 2.0, 7.5, 23.0])
@pytest.mark.parametrize("scale", [0.6, 2.0, 9.0])
def test_renyi_divergences_are_those_of_the_laws(scale: float, order: float) -> None:
    k = np.arange(-400, 401)
    law = np.exp(-np.abs(k) / scale) * math.tanh(1 / (2 * scale))
    for shift in range(1, 6):
        said = float(DiscreteLaplace(shift, scale, shift).renyi(Fraction(order)))
        assert said == pytest.approx(renyi(np.roll(law, shift)[9:-9], law[9:-9], order), rel=1e-9)
        # A vector that moves by as much in all, in parts: no more, and exactly as much in equal parts of the most.
        for parts in ([1] * shift, [shift - 1, 1][: shift if shift < 2 else 2]):
            summed = sum(float(DiscreteLaplace(part, scale, part).renyi(Fraction(order))) for part in parts if part)
            assert summed <= said * (1 + 1e-12)
        assert float(DiscreteLaplace(shift, scale, 1).renyi(Fraction(order))) == pytest.approx(
            shift * float(DiscreteLaplace(1, scale, 1).renyi(Fraction(order))), rel=1e-12
        )
    response = np.array([math.e**scale, 1]) / (1 + math.e**scale)
    said = float(to.renyi_of_pure(Fraction(order), Fraction(scale)))
    assert said == pytest.approx(renyi(response, response[::-1], order), rel=1e-12)
    fine = np.linspace(-60, 60, 1_200_001)
    loss = np.abs(fine - scale) - np.abs(fine)
    moment = np.sum(np.exp((order - 1) * loss - np.abs(fine))) / np.sum(np.exp(-np.abs(fine)))
    measured = math.log(moment) / (order - 1)
    assert float(Laplace(Exact(Fraction(scale)), 1.0).renyi(Fraction(order))) == pytest.approx(measured, rel=1e-6)


def test_an_exponential_choice_keeps_to_its_rho() -> None:
    draw = np.random.default_rng(3)
    for _ in range(300):
        epsilon, order = draw.uniform(0.1, 4), draw.uniform(1.05, 20)
        utilities = draw.uniform(0, 3, draw.integers(2, 6))
        moved = utilities + draw.choice([-1, 0, 1], utilities.size)
        laws = [np.exp(epsilon * each / 2) / np.exp(epsilon * each / 2).sum() for each in (utilities, moved)]
        said = Exponential(Exact(Fraction(epsilon)))
        assert renyi(*laws, order) <= float(said.renyi(Fraction(order))) + 1e-12
        assert renyi(*laws, order) <= order * float(said.rho) + 1e-12


@pytest.mark.parametrize("epsilon", [1e-3, 0.1, 0.5, 1.0, 3.0, 8.0, 30.0])
def test_an_exponential_choice_has_its_profile_and_is_as_gaussian_as_half_of_its_epsilon(epsilon: float) -> None:
    def profile(x: Any) -> Any:
        return (math.exp(epsilon / 2) - np.exp(x / 2)) ** 2 / math.expm1(epsilon)

    def gaussian(mu: float, x: Any) -> Any:
        return stats.norm.cdf(mu / 2 - x / mu) - np.exp(x) * stats.norm.cdf(-mu / 2 - x / mu)

    x = np.linspace(0, epsilon, 2001)
    mu = math.sqrt(Exponential(Exact(Fraction(epsilon))).mu_squared)
    assert (gaussian(mu, x) >= profile(x) - 1e-13).all()
    assert gaussian(mu, 0.0) == pytest.approx(profile(0.0), rel=1e-9) and gaussian(0.999 * mu, 0.0) < profile(0.0)
    assert mu**2 <= math.pi / 8 * epsilon**2
    # No choice is told apart more easily, and one comes near: equal utilities, of which a part gains.
    draw, nearest = np.random.default_rng(4), 0.0
    for _ in range(200):
        utilities = draw.choice([0.0, 1.0, 3.0], 400)
        moved = utilities + draw.choice([0, 1], utilities.size, p=[(p := draw.uniform()), 1 - p])
        one, other = (np.exp(epsilon * (each - each.max())) for each in (utilities, moved))
        one, other = one / one.sum(), other / other.sum()
        for at in (0.0, epsilon / 3, epsilon / 2):
            delta = max(np.maximum(a - math.exp(at) * b, 0).sum() for a, b in [(one, other), (other, one)])
            assert delta <= profile(at) + 1e-12
            nearest = max(nearest, delta / profile(at))
    assert nearest > 0.9


def test_several_exponential_choices_keep_to_their_sums() -> None:
    several = Exponential(Exact(1), Exact(3, 10))
    assert several.rho == Fraction(3, 80) and several.guarantee == PureDP(Exact(1))
    parts = [Exponential(Exact(each, 10)) for each in (1, 2, 5)]
    assert sum(each.epsilon**2 for each in parts) == several.squares
    assert sum(each.mu_squared for each in parts) <= several.mu_squared <= to.gaussian_of_pure(Fraction(1))
    assert sum(each.rho for each in parts) == several.rho


def test_the_bound_from_renyi_to_delta_is_reached_by_no_loss() -> None:
    """E max(0, 1 − e^(ε − L)) over losses L of two points: never above the bound, and once close to it."""
    for order, epsilon in itertools.product([1.5, 4.0, 20.0], [0.5, 2.0]):
        closest = 0.0
        for loss in np.linspace(epsilon + 1e-3, epsilon + 3, 400):
            for chance in (0.5, 0.01, 1e-4):
                # P(L = loss) = chance, and otherwise the loss is so negative that it adds nothing to the moment.
                tau = (math.log(chance) + (order - 1) * loss) / (order - 1)
                delta = chance * (1 - math.exp(epsilon - loss))
                within = float(to.renyi_epsilon(Fraction(order), Fraction(max(tau, 1e-9)), Fraction(delta)))
                if tau > 1e-9 and within > 0:
                    assert within >= epsilon * (1 - 1e-12)
                    closest = max(closest, epsilon / within)
        assert closest > 0.999


def test_best_order_and_rho() -> None:
    for epsilon, delta in [
        (Fraction(1), Fraction(1, 10**5)),
        (Fraction(5), Fraction(1, 10**6)),
        (Fraction(1, 10), Fraction(1, 10**9)),
    ]:
        order, rho = to.best_order(epsilon, delta), to.rho_within(epsilon, delta)
        assert all(
            Fraction(to.renyi_within(other, epsilon, delta)) / other <= rho * (1 + Fraction(1, 10**6))
            for other in (1 + (order - 1) * Fraction(k, 20) for k in range(10, 31))
        )
        assert float(to.rho_epsilon(rho, delta)) == pytest.approx(float(epsilon), rel=1e-6)
        assert to.rho_epsilon(rho, delta) >= to.gaussian_epsilon(
            2 * rho, delta
        )  # Gaussian noise is one that has this ρ
