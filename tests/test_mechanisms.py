"""Mechanisms: the law they draw from, the width they state, and what they refuse."""

from __future__ import annotations

from fractions import Fraction

import mpmath
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import dpframe as dp
from dpframe.errors import MechanismError
from dpframe.mechanisms import Exact, Gaussian, Laplace

KEY = bytes(range(32))
N = 100_000

exactly = mpmath.mp.clone()
"""A context of our own, wide enough that every sum below is exact for our purpose."""
exactly.dps = 60


def laplace_mass(k: int, scale: float) -> mpmath.mpf:
    """P(noise = k) of the discrete Laplace law."""
    q = exactly.exp(-1 / exactly.mpf(scale))
    return (1 - q) / (1 + q) * q ** abs(k)


def gaussian_mass(k: int, sigma: float) -> mpmath.mpf:
    """P(round(N(0, σ²)) = k)."""
    width = exactly.mpf(sigma) * exactly.sqrt(2)
    low, high = ((abs(k) + shift) / width for shift in (exactly.mpf("-0.5"), exactly.mpf("0.5")))
    return (exactly.erfc(low) - exactly.erfc(high)) / 2


LAWS = [(Laplace, laplace_mass), (Gaussian, gaussian_mass)]


def quantile(mass: object, scale: float, alpha: float) -> int:
    """The least w for which the mass within ±w is at least 1 − α, by adding it up."""
    missing = 1 - mass(0, scale) - exactly.mpf(alpha)
    w = 0
    while missing > 0:
        w += 1
        missing -= 2 * mass(w, scale)
    return w


@pytest.mark.parametrize("scale", [2.0**-10, 0.01, 0.3, 1.0, 2.0, 7.7, 100.0, 1234.5])
@pytest.mark.parametrize(("mechanism", "mass"), LAWS, ids=["Laplace", "Gaussian"])
def test_the_stated_width_is_the_quantile(
    mechanism: type[Laplace] | type[Gaussian], mass: object, scale: float
) -> None:
    for alpha in (0.999, 0.5, 0.2, 0.05, 0.025, 0.01, 1e-3, 1e-6, 1e-9, 1e-12):
        if scale > 10 and alpha < 1e-6:
            continue  # thousands of terms in sixty digits
        assert mechanism(scale).accuracy(alpha) == quantile(mass, scale, alpha), alpha


@pytest.mark.parametrize("mechanism", [Laplace, Gaussian])
def test_the_stated_width_at_the_ends(mechanism: type[Laplace] | type[Gaussian]) -> None:
    assert mechanism(5.0).accuracy(1.0) == mechanism(5.0).accuracy(2.0) == 0
    widths = [mechanism(5.0).accuracy(alpha) for alpha in (0.1, 1e-9, 1e-15, 1e-17, 1e-30, 1e-300)]
    assert widths == sorted(set(widths))  # none infinite, each wider than the one before
    assert mechanism(2.0**50).accuracy(0.05) > 2**50


def test_the_stated_width_is_not_the_programs_own_precision() -> None:
    before = mpmath.mp.dps
    try:
        mpmath.mp.dps = 3
        rough = Gaussian(1000.0).accuracy(1e-6)
    finally:
        mpmath.mp.dps = before
    assert rough == 4892 == Gaussian(1000.0).accuracy(1e-6)


def p_value(noise: np.ndarray, mass: object, scale: float) -> float:
    """χ² of the noise against the law: bins of at least 20 expected draws, one bin for each tail."""
    edge = 0
    while N * float(mass(edge + 1, scale)) >= 20:
        edge += 1
    inner = np.array([float(mass(k, scale)) for k in range(-edge, edge + 1)])
    tail = (1 - inner.sum()) / 2
    expected = N * np.array([tail, *inner, tail])
    seen = np.bincount(np.clip(noise, -edge - 1, edge + 1) + edge + 1, minlength=expected.size)
    statistic = ((seen - expected) ** 2 / expected).sum()
    return float(stats.chi2.sf(statistic, expected.size - 1))


@pytest.mark.parametrize("scale", [0.8, 5.0, 40.0])
@pytest.mark.parametrize(("mechanism", "mass"), LAWS, ids=["Laplace", "Gaussian"])
def test_noise_follows_its_law_and_no_other(
    mechanism: type[Laplace] | type[Gaussian], mass: object, scale: float
) -> None:
    exact = np.arange(N) - 12345
    noise = mechanism(scale).add(exact, KEY, 3) - exact
    assert p_value(noise, mass, scale) > 1e-9
    for factor in (0.7, 1.3):
        assert p_value(noise, mass, factor * scale) < 1e-9


@pytest.mark.parametrize("mechanism", [Laplace, Gaussian])
def test_noise_is_a_function_of_key_stream_and_cell(mechanism: type[Laplace] | type[Gaussian]) -> None:
    zeros, draw = np.zeros(1000, np.int64), mechanism(1000.0).add
    noise = draw(zeros, KEY, 0)
    assert (draw(zeros, KEY, 0) == noise).all()
    assert (draw(zeros + 7, KEY, 0) == noise + 7).all()
    assert (draw(zeros[:100], KEY, 0) == noise[:100]).all()
    for other in (draw(zeros, KEY, 1), draw(zeros, KEY[::-1], 0), np.roll(noise, 1)):
        assert (other == noise).sum() < 20  # two draws at this scale are equal once in thousands
        assert abs(np.corrcoef(other, noise)[0, 1]) < 0.2


def test_statistics_of_one_release_share_no_noise() -> None:
    table = pd.DataFrame({"k": [0], "a": [1], "b": [1]})
    query = table.dp.protect().groupby("k", keys=range(2000)).agg(
        a=dp.sum("a", 0, 100), b=dp.sum("b", 0, 100), n=dp.count()
    )  # fmt: skip
    noise = query.release(epsilon=0.3, budget=dp.Budget(1))[["a", "b", "n"]]
    correlations = noise.corr().to_numpy()[np.triu_indices(3, 1)]
    assert np.abs(correlations).max() < 0.2  # some nine standard deviations
    again = query.release(epsilon=0.3, budget=dp.Budget(1))[["a", "b", "n"]]
    assert (noise == again).to_numpy().mean() < 0.1


@pytest.mark.parametrize(
    ("bounds", "cost"),
    [((0, 2**30), {"epsilon": "1e-9"}), ((0, 2**30), {"rho": "1e-18"}), ((0, 1), {"epsilon": "1e-90"})],
)
def test_noise_beyond_64_bits_is_refused_and_free(bounds: tuple[int, int], cost: dict[str, str]) -> None:
    budget = dp.Budget(1) if "epsilon" in cost else dp.Budget(rho=1)
    query = pd.DataFrame({"x": [1]}).dp.protect().sum("x", *bounds)
    with pytest.raises(MechanismError, match="Tighten the bounds"):
        query.release(budget=budget, **cost)
    with pytest.raises(MechanismError):
        query.explain(**cost)
    assert budget.spent == 0


@pytest.mark.parametrize("rows", [2**600, 2**64])
def test_a_unit_of_absurd_size_is_refused_and_free(rows: int) -> None:
    for cost in ("epsilon", "rho"):
        budget = dp.Budget(**{cost: 1})
        with pytest.raises(dp.errors.DPFrameError):
            pd.DataFrame({"x": [1]}).dp.protect(rows=rows).count().release(budget=budget, **{cost: 1})
        assert budget.spent == 0


def test_calibration() -> None:
    assert Laplace.calibrate(3, Fraction(1, 2)).scale == 6
    assert Gaussian.calibrate(16, Fraction(1, 2)).scale == 4
    assert Laplace.calibrate(1, Fraction(10**30)).scale == Gaussian.calibrate(1, Fraction(10**30)).scale == 2.0**-10
    assert Laplace.calibrate(2**50, Fraction(1)).scale == 2.0**50
    for too_much in (
        lambda: Laplace.calibrate(2**50 + 1, Fraction(1)),
        lambda: Gaussian.calibrate(2**101, Fraction(1, 2)),
    ):
        with pytest.raises(MechanismError):
            too_much()


def test_no_noise_is_no_noise() -> None:
    exact = np.arange(5)
    assert Exact().add(exact, KEY, 0) is exact
    assert (Exact().scale, Exact().accuracy(1e-9)) == (0, 0)


TABLES = [
    dp.LaplaceNoise(1, 1),
    dp.GaussianNoise(1, 1),
    dp.GeometricNoise(1, 1),
    dp.DiscreteGaussianNoise(1, 1),
    dp.SmoothLaplace("s", 0.05, 0.4, 0.05),
    dp.SmoothGamma("s", 0.05, 1),
    dp.SmoothCauchy("s", 0.05, 1),
    dp.SmoothStudentT("s", 0.05, 1),
    dp.SmoothArsinhNormal("s", 0.05, 0.5),
    dp.SmoothUniformLogNormal("s", 0.05, 0.5),
    dp.SmoothLaplaceLogNormal("s", 0.05, 0.5),
]


@pytest.mark.parametrize("mechanism", TABLES, ids=lambda mechanism: type(mechanism).__name__)
def test_mechanisms_for_tables_take_any_layout_and_refuse_places(mechanism: dp.LaplaceNoise) -> None:
    every = np.arange(-5.0, 5.0)
    plain = every[::2].copy()
    plain.flags.writeable = False
    place: dict[str, object] = {"key": KEY, "stream": 0, "start": 0}
    expected = mechanism.add(plain, mechanism.scale(plain), 1.0, **place)
    for given in (every[::2], plain.astype(">f8"), plain.astype(np.float32), plain[::-1].copy()[::-1]):
        assert (mechanism.add(given, mechanism.scale(given), 1.0, **place) == expected).all()
    for wrong in (
        {"key": bytes(31)},
        {"key": "x" * 32},
        {"stream": -1},
        {"stream": True},
        {"start": -1},
        {"start": 0.5},
    ):
        with pytest.raises(MechanismError):
            mechanism.add(plain, mechanism.scale(plain), 1.0, **(place | wrong))
