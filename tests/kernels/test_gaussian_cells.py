"""The discrete Gaussian with a σ for each cell: no decision at a threshold is wrong, and sums are good enough."""

import math

import numpy as np
import pytest
from test_exactness import near_thresholds

from dpframe.kernels import discrete_gaussian
from dpframe.kernels.gaussian_cells import _CLOSE, LARGEST_SUM, _search, _sum, decide_gaussians
from dpframe.kernels.gaussian_integers import DiscreteGaussian
from dpframe.kernels.inversion import quantiles
from dpframe.kernels.laws import NORMAL
from dpframe.kernels.quantile_table import table
from dpframe.kernels.refine import context
from dpframe.kernels.sampler import Place, Scaled, exact_cell

KEY = bytes(range(32))
SIGMAS = [2.0**-10, 0.2, 0.7, 1.0, 3.7, 10.0, 33.3, LARGEST_SUM, np.nextafter(LARGEST_SUM, 65), 256.5, 1e6, 2.0**24]


def decide(tails, sigma, sign=0):
    """Values of tail words, and which of them are in doubt."""
    words = (np.asarray(tails, np.uint64) << np.uint64(1)) | np.uint64(sign)
    q, out, unsure = np.empty(words.size), np.empty(words.size, np.int64), np.empty(words.size, np.uint8)
    quantiles(words, table(NORMAL), np.empty(words.size, np.int64), q)
    decide_gaussians(words, q, np.full(words.size, float(sigma)), NORMAL.e, NORMAL.k, out, unsure)
    return out, unsure.astype(bool)


@pytest.mark.parametrize("sigma", SIGMAS)
@pytest.mark.parametrize("sign", [0, 1])
def test_no_sure_decision_at_a_threshold_is_wrong(sigma, sign):
    near = near_thresholds(DiscreteGaussian(sigma), sigma, np.random.default_rng(5))
    tails, edges, ks = (np.array(column, np.int64) for column in zip(*near, strict=True))
    out, unsure = decide(tails, sigma, sign)
    sizes = -out if sign else out
    assert unsure[tails == edges].all()
    assert (sizes >= ks)[~unsure & (tails < edges)].all()
    assert (sizes < ks)[~unsure & (tails > edges)].all()
    if 0.5 < sigma <= LARGEST_SUM or sigma > 1e5:  # elsewhere what is sure is further off than the words here
        assert (~unsure).any()


@pytest.mark.parametrize("sigma", SIGMAS)
def test_words_of_the_far_tail_are_never_sure(sigma):
    tails = np.concatenate([np.arange(4096), (1 << 20) - 1 - np.arange(4096)])
    assert decide(tails, sigma)[1].all()


@pytest.mark.parametrize("sigma", [sigma for sigma in SIGMAS if sigma <= LARGEST_SUM])
def test_sums_are_far_within_their_bound(sigma):
    """S, and every C(k) by where the search changes its mind: bisected to the word, and compared in 200 bits."""
    law, mp = DiscreteGaussian(sigma), context()
    mp.prec = 200
    whole = law._all(mp)
    assert abs(_sum(sigma) / whole - 1) < 2.0**-44
    for k in sorted({1, 2, math.ceil(sigma), math.ceil(3 * sigma), math.ceil(6 * sigma)}):
        edge = law.threshold(mp, k)
        if edge < 2.0**-30:
            continue
        low, high = 0, (1 << 63) - 1  # |X| ≥ k at low, below it at high
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if _search(np.uint64(middle), sigma)[0] >= k else (low, middle)
        assert abs(mp.ldexp(low, -63) - edge) < _CLOSE / 4


def test_few_bits_at_first_change_nothing():
    sigmas = np.array([0.3, 1.0, 5.0, 40.0, 100.0, 1e5] * 4)
    cells, place = Scaled(DiscreteGaussian, sigmas), Place(KEY, 2, 0)
    drawn = discrete_gaussian(24, sigmas, key=KEY, stream=2).tolist()
    for shown in (1, 8, 40):
        assert [exact_cell(cells, place, i, shown=shown) for i in range(24)] == drawn


def test_cells_named_by_hash_keep_their_noise_in_any_order():
    rng = np.random.default_rng(3)
    cells, sigmas = rng.integers(0, 1 << 64, (90, 2), dtype=np.uint64), np.exp(rng.normal(2, 3, 90))
    whole = discrete_gaussian(90, sigmas, key=KEY, cells=cells)
    order = rng.permutation(90)
    assert (discrete_gaussian(90, sigmas[order], key=KEY, cells=cells[order]) == whole[order]).all()
    exact, place = Scaled(DiscreteGaussian, sigmas), Place.of(KEY, 0, 0, 90, cells)
    assert whole.tolist() == [exact_cell(exact, place, i) for i in range(90)]
