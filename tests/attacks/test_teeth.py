"""The attack has teeth: it finds planted faults, and breaks floating-point noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from attack import Draws, N, certified, epsilon_at, gaussian_mu, lowest_bit

rng = np.random.default_rng(20)
"""For floating-point noise that is to be broken, and for planted faults. Nothing of dpframe draws from it."""


def whole() -> Draws:
    """Discrete Laplace noise of scale 1."""
    up, down = rng.geometric(1 - np.exp(-1), (2, N))
    return (up - down).astype(float)


def fine(scale: float = 1.0) -> Draws:
    """Laplace noise without the flaw of floats: on a grid of 2^-20."""
    return np.rint(rng.laplace(scale=scale, size=N) * 2**20) / 2**20


FAULTS: dict[str, tuple[Callable[[float], Draws], float]] = {
    "float Laplace": (lambda x: x + rng.laplace(size=N), 4.0),
    "scale a sixth too small": (lambda x: x + fine(5 / 6), 1.02),
    "cut off at four scales": (lambda x: x + np.clip(fine(), -4, 4), 3.0),
    "zero goes out as it is": (lambda x: x + whole() if x else np.zeros(N), 5.0),
    "one-sided": (lambda x: x + np.abs(whole()), 5.0),
    "even noise": (lambda x: x + 2 * whole(), 5.0),
}
"""What is wrong, draws for a true value, and what must be certified at least: the claim would be ε = 1.

The scale comes out at about 1.1 of 1.2, five standard errors above its limit, the others far above theirs.
"""


@pytest.mark.parametrize("fault", FAULTS)
def test_the_attack_finds_planted_faults(fault: str) -> None:
    draw, least = FAULTS[fault]
    assert certified(draw(0.0), draw(1.0), epsilon_at(0)) > least


def test_the_attack_breaks_float_gaussian_noise() -> None:
    one, other = (x + rng.normal(size=N) for x in (0.0, 1.0))
    assert certified(one, other, gaussian_mu) > 2  # the claim would be μ = 1


def test_lowest_bits() -> None:
    y = np.array([1.0, -0.75, 96.0, 2.0**-30 + 1, 0.0, 5e-324])
    assert lowest_bit(y).tolist() == [0, -2, 5, -30, 2000, -1074]
