"""Alias tables hold their law exactly: weights recounted, what is missing accounted for, ESCAPE sampled."""

import numpy as np
import pytest
from scipy import stats

from dpframe.kernels import discrete_gaussian, gaussian_integers
from dpframe.kernels.alias import ESCAPE, alias_table, fill_alias
from dpframe.kernels.gaussian_integers import DiscreteGaussian
from dpframe.kernels.refine import context
from dpframe.kernels.sampler import Place, sample

KEY = bytes(range(32))


def recount(table) -> dict[int, int]:
    """The weight of every symbol, from the columns alone."""
    full = 1 << (table.bits - table.columns_log2)
    weights: dict[int, int] = {}
    for limit, pair in zip(table.limits.tolist(), table.pairs.tolist(), strict=True):
        first, second = pair >> 32, np.int64(pair & 0xFFFFFFFF).astype(np.int32).item()
        weights[first] = weights.get(first, 0) + limit
        weights[second] = weights.get(second, 0) + full - limit
    return {symbol: weight for symbol, weight in weights.items() if weight}


@pytest.mark.parametrize("sigma", [2.0**-10, 0.2, 0.5, 1.0, 3.3, 10.0, 64.0, 256.0])
def test_columns_hold_the_weights(sigma):
    table = gaussian_integers._alias(sigma)
    weights = recount(table)
    mp = context()
    mp.prec = 300
    masses = DiscreteGaussian(sigma).masses(mp, int(12 * sigma) + 5)
    assert sum(weights.values()) == 1 << 64
    assert weights.pop(int(ESCAPE)) == (1 << 64) - table.residual.beyond[0]
    for k, mass in enumerate(masses):
        exact = mp.ldexp(mass, 64)
        for weight in (weights.get(k, 0), weights.get(-k, 0)):
            assert 0 <= exact - weight < 1.001
    assert table.limits.size <= 8192


@pytest.mark.parametrize(("sigma", "bits"), [(0.5, 64), (10.0, 64), (256.0, 64), (1.0, 12), (3.0, 10)])
def test_weights_and_residual_make_up_the_law(sigma, bits):
    """2·w_k/2^bits + missing mass · (S(k) − S(k+1)) = P(|X| = k), past the end of the weights too."""
    law = DiscreteGaussian(sigma)
    table = alias_table(law, reach=int(9.6 * sigma) + 3, bits=bits)
    beyond = [*table.residual.beyond, 0, 0, 0, 0, 0, 0]
    mp = context()
    mp.prec = 400
    missing = 1 - mp.ldexp(beyond[0], -bits)
    for k in [1, 2, 3, int(sigma) + 1, int(5 * sigma) + 1, len(beyond) - 7, len(beyond) - 5, len(beyond) - 3]:
        held = mp.ldexp(beyond[k] - beyond[k + 1], -bits)
        escaped = missing * (table.residual.threshold(mp, k) - table.residual.threshold(mp, k + 1))
        exact = law.threshold(mp, k) - law.threshold(mp, k + 1)
        assert escaped >= 0
        assert abs(held + escaped - exact) <= mp.ldexp(exact, -250)


@pytest.mark.parametrize("bits", [8, 11])
def test_every_word_of_a_small_table(bits):
    """All 2^bits words, through the kernel's own choice."""
    from dpframe.kernels.alias import pick

    table = alias_table(DiscreteGaussian(1.5), reach=12, bits=bits)
    shift = np.uint64(bits - table.columns_log2)
    mask = np.uint64((1 << int(shift)) - 1)
    values = [int(pick(np.uint64(w), shift, mask, table.limits, table.pairs)) for w in range(1 << bits)]
    assert {value: values.count(value) for value in set(values)} == recount(table)


@pytest.mark.parametrize(("sigma", "bits"), [(0.5, 10), (3.0, 12)])
def test_escapes_follow_the_law(sigma, bits):
    """With coarse weights ESCAPE comes up all the time, and the samples still have the exact mass function."""
    law, n = DiscreteGaussian(sigma), 120_000
    table = alias_table(law, reach=int(9.6 * sigma) + 3, bits=bits)
    escapes = []

    def escaped(i: int) -> int:
        escapes.append(i)
        return table.escaped(place, i)

    place = Place(KEY, 5, 0)
    layout = (table.columns_log2, table.bits, table.limits, table.pairs)
    samples = sample(fill_alias, escaped, place, np.empty(n, np.int64), *layout)
    assert len(escapes) > 50
    reach = int(3.5 * sigma)
    mp = context()
    mp.prec = 80
    masses = [float(mass) for mass in law.masses(mp, reach)]
    expected = n * np.array([*masses[:0:-1], *masses])
    seen = np.bincount(samples[abs(samples) <= reach] + reach, minlength=2 * reach + 1)
    rest = n - expected.sum()
    chi = ((seen - expected) ** 2 / expected).sum() + (n - seen.sum() - rest) ** 2 / rest
    assert stats.chi2.sf(chi, 2 * reach + 1) > 1e-9
    of_escapes = np.abs(samples[escapes])
    shares = [float(table.residual.threshold(mp, k)) for k in range(1, reach + 2)]
    shares = -np.diff([1.0, *shares, 0.0])
    counts = np.bincount(of_escapes.clip(max=reach + 1), minlength=reach + 2)
    kept = shares * len(escapes) > 5
    assert stats.chisquare(counts[kept], shares[kept] / shares[kept].sum() * counts[kept].sum()).pvalue > 1e-9


def test_an_escape_may_leave_the_table():
    """Keyed bits that say "further than every weight" get a value from the open end."""
    table = gaussian_integers._alias(1.0)
    mp = context()
    mp.prec = 200
    end = len(table.residual.beyond)
    u = table.residual.threshold(mp, end + 2)
    assert table.residual.guess(mp, u * 0.999) == end + 2


def test_both_methods_have_the_same_law_where_they_meet():
    low, high = (discrete_gaussian(10**6, sigma) for sigma in (256.0, 256.0 * (1 + 2.0**-50)))
    edges = np.arange(-1000, 1001, 50)
    seen = np.array([np.histogram(samples, edges)[0] for samples in (low, high)])
    assert stats.chi2_contingency(seen[:, seen.sum(0) > 50]).pvalue > 1e-9


@pytest.mark.parametrize("sigma", [1.0, 8.0, 30.0, 300.0])
@pytest.mark.parametrize("bits", [100, 400, 900])
def test_sums_agree_term_by_term(sigma, bits):
    """Euler–Maclaurin and Poisson against plain summation, at several precisions."""
    law, mp = DiscreteGaussian(sigma), context()
    for k in (1, int(sigma) + 1, int(7 * sigma)):
        mp.prec = bits
        fast = law.threshold(mp, k)
        mp.prec = bits + 40
        slow = 2 * law._direct(mp, k) / (1 + 2 * law._direct(mp, 1))
        assert abs(fast / slow - 1) < mp.ldexp(1, 6 - bits)


def test_displacement_bound():
    """D(z) ≤ 0.2·(z + 1) on [0, 8], and the displacement itself stays below D(z)/σ³."""
    from scipy import integrate

    from dpframe.kernels.laws import NORMAL

    def d(z: float) -> float:
        tail = integrate.quad(lambda t: abs(t**4 - 6 * t * t + 3) * np.exp((z * z - t * t) / 2), z, z + 14, limit=400)
        third = abs(z**3 - 3 * z)
        return z / 576 + 1.02 * (7 / 5760 * third + tail[0] / 720 + z**3 / 1152)

    for z in np.linspace(0, 8, 161):
        assert d(z) <= 0.2 * (z + 1)
    mp = context()
    for sigma in (64.0, 257.0, 1000.0):
        for z in np.linspace(0.01, 7.8, 12):
            k = int(z * sigma) + 1
            mp.prec = 160
            q = NORMAL.quantile(mp, DiscreteGaussian(sigma).threshold(mp, k))
            missed = (sigma - mp.mpf(1) / (24 * mp.mpf(sigma))) * q + 0.5 - k
            assert abs(missed) <= d((k - 0.5) / sigma) / sigma**3
