"""The first, coarse look at a chunk of words, and integer laws with a scale for each cell."""

import mpmath
import numpy as np
import pytest
from laws import CASES, at_scales
from test_exactness import near_thresholds

from dpframe.errors import MechanismError
from dpframe.kernels import discrete_gaussian, discrete_laplace, geometric
from dpframe.kernels.exponential_tails import _shift, _shifts
from dpframe.kernels.gaussian_integers import LARGEST_ALIAS, DiscreteGaussian
from dpframe.kernels.inversion import (
    LOGARITHM,
    glance_logarithms,
    glance_logarithms_cells,
    glance_quantiles,
    glance_quantiles_cells,
    quantiles,
)
from dpframe.kernels.jit import nearest
from dpframe.kernels.laws import EXPONENTIAL, DiscreteLaplace, Geometric, Rounded
from dpframe.kernels.quantile_table import table
from dpframe.kernels.sampler import Place, Scaled, exact_cell

KEY = bytes(range(32))
INTEGER_LAWS = {
    "discrete_laplace": (discrete_laplace, DiscreteLaplace, 1),
    "geometric": (geometric, Geometric, 0),
    "discrete_gaussian": (discrete_gaussian, DiscreteGaussian, 1),
}
each_integer_law = pytest.mark.parametrize(("draw", "law", "signs"), INTEGER_LAWS.values(), ids=INTEGER_LAWS)


def test_nearest_is_exact():
    rng = np.random.default_rng(3)
    numbers = [*rng.normal(0, 1e3, 500), *rng.normal(0, 2.0**48, 500), 0.0, 0.5, -0.5, 2.0**51 - 0.5, 1e-300]
    for y in numbers:
        integer, distance = nearest(y)
        assert integer == round(y)
        assert distance == abs(y - round(y))


def test_first_reciprocal():
    """|1 − x·r| ≤ 0.015 on [1.7069, 2.4144]: a parabola, so by its ends and its vertex."""
    a, b = mpmath.mpf(0.98505), mpmath.mpf(0.239)
    for x in (mpmath.mpf("1.7069"), a / (2 * b), mpmath.mpf("2.4144")):
        assert abs(1 - x * (a - b * x)) <= 0.015


@at_scales(0.5, 3.7, 10.0, 256.5, 1000.0, 1e6, 2.0**24)
@pytest.mark.parametrize("sign", [0, 1])
def test_no_glance_at_a_threshold_is_wrong(case, scale, sign):
    law = case.law(scale)
    source = LOGARITHM if case.noise is EXPONENTIAL else table(case.noise)
    e, k, signs, size, shift = case.parameters(scale)
    sign &= case.signs
    row, q, out = np.empty(1, np.int64), np.empty(1), np.empty(1, np.int64)
    decided = 0
    for tail, edge, threshold in near_thresholds(law, scale, np.random.default_rng(8)):
        words = np.array([2 * tail + sign], np.uint64)
        if case.noise is EXPONENTIAL:
            sure = glance_logarithms(words, q, size, shift, e, k, signs, out)
        else:
            quantiles(words, source, row, q)
            sure = glance_quantiles(words, q, size, shift, e, k, signs, out)
        if sure:
            value = -out[0] if sign else out[0]
            assert tail != edge
            assert tail >= 1 << 46
            assert value >= threshold if tail < edge else value < threshold
            decided += 1
    assert decided > 100


@pytest.mark.parametrize("x", [2.3, -0.7, 1e-12, 0.5, 12345.678, -3.5])
@pytest.mark.parametrize("case", [case for case in CASES if case.on_a_grid], ids=lambda case: case.name)
@pytest.mark.parametrize("sign", [0, 1])
def test_no_glance_at_a_threshold_around_a_value_is_wrong(case, x, sign):
    sign &= case.signs
    scale, base = 37.5, int(np.floor(x))
    law = Rounded(case.noise, scale, x, base, bool(sign))
    e, k, signs = case.noise.e, case.noise.k, np.uint64(case.signs)
    scales, shifts, values = np.array([scale]), np.array([0.5]), np.array([x])
    row, q, out = np.empty(1, np.int64), np.empty(1), np.empty(1, np.int64)
    decided = 0
    for tail, edge, threshold in near_thresholds(law, scale, np.random.default_rng(9)):
        words = np.array([2 * tail + sign], np.uint64)
        if case.noise is EXPONENTIAL:
            sure = glance_logarithms_cells(words, q, scales, shifts, values, 1.0, e, k, signs, out)
        else:
            quantiles(words, table(case.noise), row, q)
            sure = glance_quantiles_cells(words, q, scales, shifts, values, 1.0, e, k, signs, out)
        if sure:
            value = base - out[0] if sign else out[0] - base
            assert tail != edge
            assert value >= threshold if tail < edge else value < threshold
            decided += 1
    assert decided > 100


@pytest.mark.parametrize("x", [np.nan, np.inf, -np.inf, 2.0**51, -(2.0**60)])
def test_a_glance_leaves_values_out_of_range(x):
    words, one = np.array([1 << 63], np.uint64), np.ones(1)
    out, e, k = np.empty(1, np.int64), EXPONENTIAL.e, EXPONENTIAL.k
    assert not glance_logarithms_cells(words, one, one, one / 2, np.array([x]), 1.0, e, k, np.uint64(1), out)


@each_integer_law
def test_scales_of_their_own_equal_exact_inversion(draw, law, signs):
    rng = np.random.default_rng(1)
    odd = [np.nan, np.inf, -1.0, 0.0, -np.inf, 5e-324, 2.0**60, 2.0**-10, 2.0**50]
    scales = np.concatenate([np.exp(rng.normal(0, 4, 300)), odd])
    fast = draw(scales.size, scales, key=KEY, stream=6, start=11)
    cells, place = Scaled(law, scales), Place(KEY, 6, 11)
    assert fast.tolist() == [exact_cell(cells, place, i, signs=signs) for i in range(scales.size)]


@each_integer_law
@pytest.mark.parametrize("scale", [2.0**-10, 0.3, 0.5, 1.0, 17.0, 1e6, 2.0**40])
def test_one_scale_for_all_or_the_same_for_each(draw, law, signs, scale):
    whole = draw(3000, np.full(3000, scale), key=KEY, start=5)
    if draw is not discrete_gaussian or scale > LARGEST_ALIAS:  # which has a method of its own for small numbers
        assert (whole == draw(3000, scale, key=KEY, start=5)).all()
    assert (whole[:1] == draw(1, [scale], key=KEY, start=5)).all()
    assert (whole[1700:2100] == draw(400, [scale] * 400, key=KEY, start=1705)).all()
    assert draw(0, []).shape == (0,)


@each_integer_law
def test_refuses_vectors_of_another_shape(draw, law, signs):
    for scale in ([1.0, 2.0], [[1.0] * 3], np.array(["1"] * 3)):
        with pytest.raises(MechanismError, match="scale must be a vector of 3 numbers"):
            draw(3, scale)


def test_shifts_are_within_their_bound():
    scales = np.concatenate([2.0 ** np.linspace(-10, 50, 2000), [0.5, np.nextafter(0.5, 0)]])
    for scale, found in zip(scales.tolist(), _shifts(scales).tolist(), strict=True):
        with mpmath.workprec(200):
            assert abs(DiscreteLaplace(scale).shift(mpmath.mp) - found) <= mpmath.ldexp(1, -50)
        assert abs(_shift(scale) - found) <= 2.0**-50
