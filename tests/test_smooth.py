"""Noise for aggregated tables: scales, the laws, the stated widths, and refusals."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, special, stats

from dpframe.accounting import ApproximateDP, GaussianDP, PureDP, ZeroConcentratedDP
from dpframe.accounting.events import DiscreteLaplace, Laplace
from dpframe.errors import DPFrameError, InvalidCostError, MechanismError
from dpframe.mechanisms.smooth import SmoothArsinhNormal, SmoothCauchy, SmoothGamma, SmoothLaplace, SmoothStudentT
from dpframe.mechanisms.smooth_lognormal import SmoothLaplaceLogNormal, SmoothUniformLogNormal
from dpframe.mechanisms.table import GaussianNoise, LaplaceNoise
from dpframe.mechanisms.whole import DiscreteGaussianNoise, GeometricNoise

KEY = bytes(range(32))
N = 100_000
SIGMA = 2 / math.sqrt(3)


def quartic_tail(z: float) -> float:
    """P(|Z| > z) for the density √2/π/(1 + z⁴), by quadrature."""
    return float(integrate.quad(lambda y: 2 * math.sqrt(2) / math.pi / (1 + y**4), z, math.inf, epsabs=0)[0])


def quartic_cdf(z: np.ndarray) -> np.ndarray:
    """P(Z ≤ z), in closed form."""
    root = math.sqrt(2)
    logs = np.log((z * z + root * z + 1) / (z * z - root * z + 1)) / 2
    return 0.5 + (logs + np.arctan(root * z + 1) + np.arctan(root * z - 1)) / (2 * math.pi)


def laplace_lognormal_tail(w: np.ndarray) -> np.ndarray:
    """P(|X|·e^(Y/4) > w), X standard Laplace, by the trapezoidal rule over ln |X|."""
    t = np.arange(-45, 7, 0.01)
    masses = 0.01 * np.exp(t - np.exp(t))
    return np.array([(masses * special.ndtr(4 * (t - at))).sum() for at in np.log(w)])


def uniform_lognormal_tail(w: np.ndarray) -> np.ndarray:
    """P(U·e^(Y/2) > w), by the trapezoidal rule over Y."""
    n = np.arange(-12, 12, 1e-3)
    masses = 1e-3 * stats.norm.pdf(n)
    return np.array([(masses * np.maximum(1 - at * np.exp(-n / 2), 0)).sum() for at in w])


def cdf(z: np.ndarray, tail: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """P(Z ≤ z) of a symmetric law, interpolated between a few thousand points."""
    points = np.concatenate([[1e-12], np.geomspace(1e-6, 1e3, 4000)])
    above = np.interp(np.abs(z), points, tail(points)) / 2
    return np.where(z > 0, 1 - above, above)


def discrete_gaussian(sigma: float, reach: int) -> np.ndarray:
    """P(|X| = 0), …, P(|X| = reach), from the law's own formula."""
    with mpmath.workdps(40):
        masses = [mpmath.exp(-(mpmath.mpf(k) ** 2) / (2 * sigma**2)) * (2 if k else 1) for k in range(reach + 1)]
        total = mpmath.fsum(masses)
        return np.array([mass / total for mass in masses], dtype=object)


EXAMPLES = [
    LaplaceNoise(3, 0.5),
    GaussianNoise(3, 0.125),
    GeometricNoise(3, 0.5),
    DiscreteGaussianNoise(3, "1/8"),
    SmoothLaplace("x", 0.05, 0.4, 0.05),
    SmoothGamma("x", 0.05, 1),
    SmoothCauchy("x", 0.05, 1),
    SmoothStudentT("x", 0.05, 1),
    SmoothArsinhNormal("x", 0.05, 0.5),
    SmoothLaplaceLogNormal("x", 0.05, 0.5, sigma=0.25),
    SmoothUniformLogNormal("x", 0.05, 0.5, sigma=0.5),
]
LAWS = {
    LaplaceNoise: stats.laplace.cdf,
    GaussianNoise: stats.norm.cdf,
    SmoothLaplace: stats.laplace.cdf,
    SmoothGamma: quartic_cdf,
    SmoothCauchy: stats.cauchy.cdf,
    SmoothStudentT: stats.t(3).cdf,
    SmoothArsinhNormal: lambda z: stats.norm.cdf(np.arcsinh(SIGMA * z) / SIGMA),
    SmoothLaplaceLogNormal: lambda z: cdf(z, laplace_lognormal_tail),
    SmoothUniformLogNormal: lambda z: cdf(z, uniform_lognormal_tail),
}
names = [type(each).__name__ for each in EXAMPLES]


# --- Sensitivities and scales ----------------------------------------------------------------------------------------


def test_scales() -> None:
    engine = 2 / 0.4 * 10  # the Census engine at alpha=.05, ssmax=200, epsilon=.4: S = 10, scale 50
    mine = SmoothLaplace("ssmax", 0.05, 0.4, 0.05).scale(np.array([200.0]))[0]
    assert mine == pytest.approx(25) and mine >= 25 and mine < engine
    assert LaplaceNoise(3, 0.5).scale(np.zeros(2)).tolist() == [6, 6]
    assert GaussianNoise(3, 0.125).scale(np.zeros(1)).tolist() == [6]
    assert GeometricNoise(3, "0.5").scale(np.ones(1)).tolist() == [6]
    for sensitivity, cost in ((0.1, 0.3), ("0.7", "1/3"), (1, 0.1), (5, "0.7")):
        exact = Fraction(str(sensitivity)) / Fraction(str(cost))
        assert Fraction(LaplaceNoise(sensitivity, cost).scale(np.zeros(1))[0]) >= exact
        square = Fraction(str(sensitivity)) ** 2 / (2 * Fraction(str(cost)))
        assert Fraction(GaussianNoise(sensitivity, cost).scale(np.zeros(1))[0]) ** 2 >= square


@pytest.mark.parametrize("mechanism", EXAMPLES, ids=names)
def test_no_entry_raises_and_none_gets_less_than_the_floor(mechanism: SmoothCauchy) -> None:
    entries = np.array([0, -0.0, -1, -math.inf, 5e-324, 1e-300, math.nan, math.inf, 1e300, 1, 7])
    with np.errstate(all="raise", under="ignore", over="ignore"):
        scales = mechanism.scale(entries)
        drawn = mechanism.add(entries, scales, 1.0, key=KEY, stream=1, start=0)
    assert scales.shape == entries.shape and np.isfinite(scales).all()
    least = mechanism.scale(np.zeros(1))[0]
    assert (scales >= least).all() and (scales[:6] == least).all()
    assert drawn.dtype == np.int64 and drawn.shape == entries.shape
    assert mechanism.scale(np.empty(0)).size == 0
    assert mechanism.add(np.empty(0), np.empty(0), 1.0, key=KEY, stream=1, start=0).size == 0
    if isinstance(mechanism.sensitivity, str):
        assert scales[7] == scales[8] > 1e11
        assert scales[6] == (least if hasattr(mechanism, "alpha") else scales[7])
    else:
        assert (scales == least).all()


def test_the_floor_is_what_it_is_called() -> None:
    for kind, cost in ((SmoothCauchy, 1), (SmoothStudentT, 1), (SmoothArsinhNormal, 0.5)):
        mechanism = kind("x", 0.05, cost, floor=0.25)
        assert mechanism.floor == 0.25
        assert mechanism.scale(np.array([0.1]))[0] == pytest.approx(0.25 * mechanism.factor)
        assert mechanism.scale(np.array([0.5]))[0] == pytest.approx(0.5 * mechanism.factor)
    assert SmoothGamma("x", 0.05, 1).floor == 1 and LaplaceNoise(2, 1).floor == 2


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.integers(0, 2000), min_size=1, max_size=6),
    st.data(),
    st.sampled_from([Fraction(1, 100), Fraction(1, 20), Fraction(3, 10), Fraction(1), Fraction(5, 2)]),
)
def test_the_sensitivity_by_largest_contribution_is_smooth(
    cell: list[int], data: st.DataObject, alpha: Fraction
) -> None:
    which = data.draw(st.integers(0, len(cell) - 1))
    most = max(math.floor((1 + alpha) * cell[which]), cell[which] + 1)
    other = list(cell)
    other[which] = data.draw(st.integers(cell[which], most))
    one, two = (max(alpha * max(each), Fraction(1)) for each in (cell, other))
    assert abs(sum(cell) - sum(other)) <= min(one, two)
    assert max(one, two) <= (1 + alpha) * min(one, two)
    mechanism = SmoothGamma("x", alpha, 4)
    scales = mechanism.scale(np.array([max(cell), max(other)], np.float64))
    assert scales == pytest.approx([float(one) * mechanism.factor, float(two) * mechanism.factor], rel=1e-12)


# --- Laws and widths -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mechanism", EXAMPLES, ids=names)
def test_the_stated_width_is_the_quantile(mechanism: LaplaceNoise) -> None:
    tails = {
        LaplaceNoise: lambda w: math.exp(-w),
        GaussianNoise: lambda w: 2 * stats.norm.sf(w),
        GeometricNoise: lambda w: 2 * math.exp(-(round(6 * w) + 1) / 6) / (1 + math.exp(-1 / 6)),
        DiscreteGaussianNoise: lambda w: 1 - float(discrete_gaussian(6, 200)[: round(6 * w) + 1].sum()),
        SmoothLaplace: lambda w: math.exp(-w),
        SmoothGamma: quartic_tail,
        SmoothCauchy: lambda w: 2 * stats.cauchy.sf(w),
        SmoothStudentT: lambda w: 2 * stats.t(3).sf(w),
        SmoothArsinhNormal: lambda w: 2 * stats.norm.sf(np.arcsinh(SIGMA * w) / SIGMA),
        SmoothLaplaceLogNormal: lambda w: float(laplace_lognormal_tail(np.array([w]))[0]),
        SmoothUniformLogNormal: lambda w: (
            stats.norm.sf(2 * math.log(w)) - w * math.exp(1 / 8) * stats.norm.sf(2 * math.log(w) + 0.5)
        ),
    }
    tail = tails[type(mechanism)]
    for alpha in (0.9, 0.5, 0.2, 0.05, 1e-3, 1e-9):
        width = mechanism.accuracy(alpha)
        if isinstance(mechanism, GeometricNoise | DiscreteGaussianNoise):
            assert tail(width) <= alpha < tail(width - 1 / 6)
            assert round(6 * width) == pytest.approx(6 * width)
        else:
            assert tail(width) == pytest.approx(alpha, rel=1e-9)
    assert mechanism.accuracy(1) == mechanism.accuracy(2) == 0
    for bad in (0, -1, math.nan):
        with pytest.raises(MechanismError, match="alpha"):
            mechanism.accuracy(bad)


def test_the_census_engines_quantiles() -> None:
    gamma = SmoothGamma("x", 0.05, 1)
    assert gamma.accuracy(0.2) == pytest.approx(1.045219196776023, abs=1e-12)
    assert gamma.accuracy(0.6) == pytest.approx(0.4478116975318562, abs=1e-12)
    root = mpmath.findroot(lambda z: mpmath.quad(lambda y: mpmath.sqrt(2) / mpmath.pi / (1 + y**4), [0, z]) - 0.4, 1)
    assert gamma.accuracy(0.2) == pytest.approx(float(root), abs=1e-12)


@pytest.mark.parametrize("mechanism", [each for each in EXAMPLES if type(each) in LAWS], ids=lambda m: type(m).__name__)
def test_noise_follows_its_law_and_no_other(mechanism: SmoothCauchy) -> None:
    values = np.linspace(-5, 900, N)
    scales = mechanism.scale(np.linspace(0, 500, N))
    grid = 2.0**-20
    noise = mechanism.add(values, scales, grid, key=KEY, stream=3, start=0) * grid - values
    law = LAWS[type(mechanism)]
    assert stats.kstest(noise / scales, law).pvalue > 1e-9
    for factor in (0.7, 1.3):
        assert stats.kstest(noise / (factor * scales), law).pvalue < 1e-9


def test_geometric_noise_follows_its_law_and_no_other() -> None:
    mechanism = GeometricNoise(3, 0.5)
    values = np.arange(N) - 777.0
    noise = mechanism.add(values, mechanism.scale(values), 1.0, key=KEY, stream=3, start=0) - values.astype(np.int64)

    def p_value(scale: float) -> float:
        inner = np.tanh(0.5 / scale) * np.exp(-np.abs(np.arange(-30, 31)) / scale)
        tail = (1 - inner.sum()) / 2
        expected = N * np.array([tail, *inner, tail])
        seen = np.bincount(np.clip(noise, -31, 31) + 31, minlength=63)
        return float(stats.chi2.sf(((seen - expected) ** 2 / expected).sum(), 62))

    assert p_value(6) > 1e-9
    assert p_value(0.7 * 6) < 1e-9 and p_value(1.3 * 6) < 1e-9


def test_discrete_gaussian_noise_follows_its_law_and_no_other() -> None:
    mechanism = DiscreteGaussianNoise(3, "1/8")
    values = np.arange(N) - 777.0
    noise = mechanism.add(values, mechanism.scale(values), 1.0, key=KEY, stream=3, start=0) - values.astype(np.int64)

    def p_value(sigma: float) -> float:
        masses = discrete_gaussian(sigma, 120).astype(float)
        expected = N * np.append(masses[:20], masses[20:].sum())
        seen = np.bincount(np.minimum(np.abs(noise), 20), minlength=21)
        return float(stats.chi2.sf(((seen - expected) ** 2 / expected).sum(), 20))

    assert p_value(6) > 1e-9
    assert p_value(0.7 * 6) < 1e-9 and p_value(1.3 * 6) < 1e-9
    assert abs((noise < 0).sum() - (noise > 0).sum()) < 6 * math.sqrt(N)


@pytest.mark.parametrize("mechanism", EXAMPLES, ids=names)
def test_noise_is_a_function_of_key_stream_and_cell(mechanism: LaplaceNoise) -> None:
    values = np.arange(400.0)
    scales = mechanism.scale(np.full(400, 500.0))

    def draw(part: slice = slice(None), moved: float = 0.0, key: bytes = KEY, stream: int = 0) -> np.ndarray:
        start = part.start or 0
        return mechanism.add(values[part] + moved, scales[part], 1.0, key=key, stream=stream, start=start)

    whole = draw()
    assert (draw() == whole).all() and (draw(slice(150, 400)) == whole[150:]).all()
    assert (draw(moved=64.0) == whole + 64).all()
    assert (mechanism.add(values, float(scales[0]), 1.0, key=KEY, stream=0, start=0) == whole).all()
    for other in (draw(stream=1), draw(key=KEY[::-1])):
        assert (other == whole).mean() < 0.5


def test_geometric_noise_on_what_is_not_whole() -> None:
    mechanism = GeometricNoise(1, 1)
    place = {"key": KEY, "stream": 0, "start": 0}
    base = mechanism.add(np.zeros(6), 1.0, 1.0, **place)
    values = np.array([0.5, -0.5, 1.4999, math.nan, -(2.0**62), 2.0**62])
    assert (mechanism.add(values, 1.0, 1.0, **place) - base).tolist() == [1, 0, 1, 0, -(2**62), 2**62]
    assert (mechanism.add(np.array([1, 2, 3], np.int8), 1.0, 1.0, **place) - base[:3]).tolist() == [1, 2, 3]
    with pytest.raises(MechanismError, match="LaplaceNoise"):
        mechanism.add(values, 1.0, 0.5, **place)


# --- Construction ----------------------------------------------------------------------------------------------------

REFUSALS = [
    (lambda: SmoothLaplace("x", 0.05, 0.4, 1e-6), MechanismError, "alpha=0.05 needs delta above 6e-06"),
    (lambda: SmoothLaplace("x", 0.05, 0.4, 1), InvalidCostError, "delta must be below 1"),
    (lambda: SmoothLaplace("x", 0.05, 0.4, 0), InvalidCostError, "delta"),
    (lambda: SmoothLaplace("x", 0, 0.4, 0.05), MechanismError, "alpha"),
    (lambda: SmoothLaplace("", 0.05, 0.4, 0.05), MechanismError, "name of a column"),
    (lambda: SmoothGamma("x", 0.4, 1), MechanismError, r"alpha=0.4 is too much for epsilon=1.*0\.396"),
    (lambda: SmoothGamma("x", "1e-60", 1), MechanismError, "alpha"),
    (lambda: SmoothGamma("x", 0.05, math.nan), InvalidCostError, "epsilon"),
    (lambda: SmoothGamma("x", 0.05, True), InvalidCostError, "epsilon"),
    (lambda: SmoothGamma(0, 0.05, 1), MechanismError, "sensitivity"),
    (lambda: SmoothGamma(None, 0.05, 1), MechanismError, "sensitivity"),
    (lambda: SmoothCauchy("x", 1, 1), MechanismError, "smoothing=1 is too much for epsilon=1"),
    (lambda: SmoothCauchy("x", -0.1, 1), MechanismError, "smoothing"),
    (lambda: SmoothCauchy("x", 0.1, 1, floor=0), MechanismError, "floor"),
    (lambda: SmoothCauchy("x", 0.1, 1, floor=math.inf), MechanismError, "floor"),
    (lambda: SmoothStudentT("x", Fraction(1, 3), 1), MechanismError, "smoothing=1/3 is too much"),
    (lambda: SmoothStudentT("x", 0.1, 1, df=0.5), MechanismError, "df must be a number from 1 to 64"),
    (lambda: SmoothStudentT("x", 0.1, 1, df=65), MechanismError, "df must be a number from 1 to 64"),
    (lambda: SmoothArsinhNormal("x", 1.1, 0.5), MechanismError, r"smoothing=1.1 is too much for rho=0.5.*1\.05"),
    (lambda: SmoothArsinhNormal("x", 0.1, -1), InvalidCostError, "rho"),
    (lambda: SmoothLaplaceLogNormal("x", 2.6, 0.5), MechanismError, r"smoothing=2.6 is too much for rho=0.5, .*2\.5"),
    (lambda: SmoothUniformLogNormal("x", 2.6, 0.5), MechanismError, r"smoothing=2.6 is too much for rho=0.5, .*2\.5"),
    (lambda: SmoothUniformLogNormal("x", 0.5, 0.5, 0.5), MechanismError, r"rho=0.5 and sigma=0.5, .* about 0\.5;"),
    (lambda: SmoothLaplaceLogNormal("x", 0.1, 0.5, 3), MechanismError, "sigma must be a number from 1/16 to 2.5"),
    (lambda: SmoothLaplaceLogNormal("x", 0.1, 0.5, math.nan), MechanismError, "sigma"),
    (lambda: SmoothLaplaceLogNormal("x", 0.1, 0.5, floor=-1), MechanismError, "floor"),
    (lambda: SmoothUniformLogNormal("x", -0.1, 0.5), MechanismError, "smoothing"),
    (lambda: SmoothUniformLogNormal("x", 0.1, 0), InvalidCostError, "rho"),
    (lambda: LaplaceNoise("x", 1), MechanismError, "SmoothLaplace"),
    (lambda: LaplaceNoise(math.inf, 1), MechanismError, "sensitivity"),
    (lambda: LaplaceNoise(1, "1e-90"), MechanismError, "scale"),
    (lambda: GaussianNoise(-1, 1), MechanismError, "sensitivity"),
    (lambda: GaussianNoise(1, 0), InvalidCostError, "rho"),
    (lambda: GeometricNoise(1.5, 1), MechanismError, "whole"),
    (lambda: GeometricNoise(1, "1e-20"), MechanismError, r"2\*\*50"),
]


@pytest.mark.parametrize(("make", "error", "text"), REFUSALS)
def test_refusals(make: Callable[[], object], error: type[DPFrameError], text: str) -> None:
    with pytest.raises(error, match=text) as caught:
        make()
    if caught.type is MechanismError:  # the message ends with a call that works
        message = str(caught.value)
        call = min((message[message.index(each) :] for each in names if each in message), key=len).rstrip(".")
        assert eval(call, dict(globals()))


def test_the_borders_are_where_they_should_be() -> None:
    assert SmoothCauchy("x", 0.999, 1) and SmoothStudentT("x", 0.333, 1) and SmoothArsinhNormal("x", 1.05, 0.5)
    assert SmoothGamma("x", 0.39, 1) and SmoothLaplace("x", 0.05, 0.4, 6.1e-6)


@pytest.mark.parametrize("mechanism", EXAMPLES, ids=names)
def test_what_a_mechanism_says_of_itself(mechanism: SmoothLaplace) -> None:
    assert pickle.loads(pickle.dumps(mechanism)) == mechanism
    assert pickle.loads(pickle.dumps(mechanism)).scale(np.ones(1)) == mechanism.scale(np.ones(1))
    assert repr(mechanism).startswith(type(mechanism).__name__) and "factor" not in repr(mechanism)
    assert eval(repr(mechanism)) == mechanism
    assert mechanism.name and hash(mechanism) == hash(eval(repr(mechanism)))


def test_events_are_what_was_typed() -> None:
    assert SmoothLaplace("x", 0.05, 0.4, "0.05").event == ApproximateDP(Fraction(2, 5), Fraction(1, 20))
    for pure in (SmoothGamma("x", 0.01, 0.1), SmoothCauchy("x", 0.01, 0.1), SmoothStudentT("x", 0.01, 0.1)):
        assert pure.event == PureDP(Fraction(1, 10))
    laplace, geometric = LaplaceNoise(1, 0.1).event, GeometricNoise(1, "1/10").event
    assert laplace.asked == geometric.asked == PureDP(Fraction(1, 10))
    assert (laplace.noises, geometric.noises) == ((Laplace(1, 10.0),), (DiscreteLaplace(1, 10.0, 1),))
    gaussian, smooth = GaussianNoise(1, 0.1), SmoothArsinhNormal("x", 0.01, 0.1)
    assert smooth.event == gaussian.event.asked == ZeroConcentratedDP(Fraction(1, 10))
    assert gaussian.event.noises == (GaussianDP(Fraction(1, 5)),)  # which a budget of mu can pay for, too


def test_more_epsilon_never_means_more_noise() -> None:
    for make in (
        lambda e: SmoothLaplace("x", 0.01, e, 1e-3),
        lambda e: SmoothGamma("x", 0.01, e),
        lambda e: SmoothCauchy("x", 0.01, e),
        lambda e: SmoothStudentT("x", 0.01, e),
        lambda e: SmoothArsinhNormal("x", 0.01, e),
        lambda e: SmoothLaplaceLogNormal("x", 0.01, e, sigma=0.3),
        lambda e: SmoothUniformLogNormal("x", 0.01, e, sigma=0.5),
    ):
        factors = [make(e).factor for e in (0.1, 0.5, 1, 2, 5, 10, 19, 30, 1000)]
        assert factors == sorted(factors, reverse=True)
