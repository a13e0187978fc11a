"""The lemmas that the filters' proofs cite, checked in arbitrary precision."""

import mpmath
import numpy as np
import pytest

from dpframe.kernels import logarithm
from dpframe.kernels.heavy_laws import SHIPPED, Quartic, StudentT
from dpframe.kernels.inversion import quantiles
from dpframe.kernels.jit import relative_width
from dpframe.kernels.laws import NORMAL
from dpframe.kernels.quantile_table import BINS, OCTAVES, build, certify, row, table

each_table = pytest.mark.parametrize("law", SHIPPED, ids=SHIPPED.get)

COEFFICIENTS = (  # fdlibm's Lg1 … Lg7
    6.666666666666735130e-01,
    3.999999999940941908e-01,
    2.857142874366239149e-01,
    2.222219843214978396e-01,
    1.818357216161805012e-01,
    1.531383769920937332e-01,
    1.479819860511658591e-01,
)


def tail_words(count: int) -> np.ndarray:
    """Random v, every binary order from 2**20 to 2**63 equally likely, and the ends of each."""
    rng = np.random.default_rng(11)
    orders = rng.integers(20, 63, count).astype(np.uint64)
    mantissas = rng.integers(1 << 63, 1 << 64, count, dtype=np.uint64)
    ends = [(1 << e) + d for e in range(21, 63) for d in (-1, 0, 1)] + [1 << 20, 2**63 - 1, 2**63 - 600]
    return np.concatenate([mantissas >> (np.uint64(63) - orders), np.array(ends, np.uint64)])


def evaluate(coefficients: list, x: mpmath.mpf) -> mpmath.mpf:
    """The polynomial with these coefficients, lowest first."""
    value = mpmath.mpf(0)
    for c in reversed(coefficients):
        value = value * x + c
    return value


def test_logarithm_polynomial():
    """|R − R∞| ≤ 2⁻⁵⁸ on [0, 0.02945]: its values on a grid, and a bound on what it can do between them."""
    with mpmath.workprec(200):
        exact = [mpmath.mpf(2) / (2 * k + 1) for k in range(30)]
        used = [0, *map(mpmath.mpf, COEFFICIENTS), *([0] * 22)]
        difference = [0, *(a - b for a, b in zip(used[1:], exact[1:], strict=True))]
        slopes = [k * c for k, c in enumerate(difference)][1:]
        end, points = mpmath.mpf("0.02945"), 8000
        step = end / points
        highest = max(abs(evaluate(difference, step * i)) for i in range(points + 1))
        steepest = max(abs(evaluate(slopes, step * i)) for i in range(points + 1))
        curvature = sum(k * (k - 1) * abs(c) * end ** (k - 2) for k, c in enumerate(difference) if k > 1)
        beyond_degree_29 = end**30
        bound = highest + step / 2 * (steepest + step / 2 * curvature) + beyond_degree_29
        assert bound <= mpmath.ldexp(1, -58)


def test_logarithm_bound():
    words = tail_words(6000)
    with mpmath.workprec(150):
        for v in words.tolist():
            exact = -mpmath.log(mpmath.ldexp(v, -63))
            error = abs(logarithm.neglog(np.int64(v)) - exact)
            assert error <= mpmath.ldexp(exact + 1, -51)


@pytest.mark.parametrize("v", [0, 1, 2, 3, 1000, (1 << 20) - 1])
def test_logarithm_stays_finite_below_its_range(v):
    assert 0 < logarithm.neglog(np.int64(v)) < 800


def test_relative_width():
    for v in tail_words(2000).tolist():
        width = relative_width(np.int64(v))
        assert (1 - 2.0**-52) / v <= width <= 2.0 / v


@each_table
def test_shipped_tables_are_within_their_bounds(law):
    certify(law, table(law).reshape(-1, 6), every=11)


@each_table
@pytest.mark.slow
def test_every_row_of_the_shipped_tables_is_within_its_bounds_and_as_generated(law):
    shipped = table(law).reshape(-1, 6)
    certify(law, shipped)
    assert (build(law) == shipped).all()


def test_a_wrong_row_is_found():
    values = table(NORMAL).reshape(-1, 6).copy()
    values[700, 0] *= 1e6
    with pytest.raises(ArithmeticError, match="row 700"):
        certify(NORMAL, values, every=700)


@each_table
def test_shipped_rows_are_what_the_generator_makes(law):
    shipped = table(law).reshape(-1, 6)
    assert shipped.shape == (OCTAVES * BINS + 1, 6)
    assert not shipped[-1].any()
    for index in [*np.random.default_rng(4).integers(0, OCTAVES * BINS, 20).tolist(), 0, OCTAVES * BINS - 1]:
        assert (shipped[index] == row(law, index)).all()


@each_table
def test_looked_up_quantiles_are_within_the_bound(law):
    words = tail_words(300)
    q = np.empty(words.size)
    quantiles(words << np.uint64(1), table(law), np.empty(words.size, np.int64), q)
    with mpmath.workprec(140):
        for v, found in zip(words.tolist(), q.tolist(), strict=True):
            exact = law.quantile(mpmath.mp, mpmath.ldexp(v, -63))
            assert abs(found - exact) <= (exact + 1) * (law.e - 5 * 2.0**-53) / 2


@each_table
def test_taylor_series_and_their_signs(law):
    """The series against numerical derivatives; in −u, no derivative is negative."""
    with mpmath.workprec(400):
        for u in (mpmath.mpf("0.7"), mpmath.mpf("0.03")):
            series = law.series(mpmath.mp, u, mpmath.mpf(1), 8)
            numeric = mpmath.taylor(lambda x: law.quantile(mpmath.mp, x), u, 7)
            assert all(abs(a - b) <= 1e-12 * abs(b) for a, b in zip(series, numeric, strict=True))
            assert all((-1) ** n * a >= 0 for n, a in enumerate(series))


@each_table
@pytest.mark.parametrize("exponent", [-1, -4, -50, -1000, -5000])
def test_quantiles_solve_their_equation(law, exponent):
    with mpmath.workprec(200):
        for u in (mpmath.ldexp(1, exponent), mpmath.ldexp(1.9, exponent), 1 - mpmath.ldexp(1, max(exponent, -60))):
            y = law.quantile(mpmath.mp, u)
            assert abs(law.tail(mpmath.mp, y) - u) <= mpmath.ldexp(u, -110)


@pytest.mark.parametrize("law", [StudentT(2.0), StudentT(3.0), Quartic()], ids=str)
def test_tails_are_the_integrals_of_their_densities(law):
    with mpmath.workdps(30):
        for y in ("0.01", "0.9", "1.5", "40"):
            whole = mpmath.quad(lambda z: law.density(mpmath.mp, z), [mpmath.mpf(y), 2 * mpmath.mpf(y), mpmath.inf])
            assert abs(law.tail(mpmath.mp, mpmath.mpf(y)) / whole - 1) < 1e-15


@pytest.mark.parametrize("df", [1, 2, 3, 4, 5, 8, 13])
def test_finite_sums_of_students_tail(df):
    with mpmath.workprec(200):
        for y in map(mpmath.mpf, ("0.001", "0.5", "1", "7.25", "1e6")):
            w = df / (df + y * y)
            beta = mpmath.betainc(mpmath.mpf(df) / 2, 0.5, 0, w, regularized=True)
            assert abs(StudentT(float(df)).tail(mpmath.mp, y) / beta - 1) < mpmath.ldexp(1, -170)
