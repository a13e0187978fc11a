"""Cells that noise alone lifts to a threshold: the law of drawing all of them, to the bit of exact inversion."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from dpframe.errors import MechanismError
from dpframe.kernels import exceeding as module
from dpframe.kernels import fresh_key
from dpframe.kernels.exceeding import (
    Decision,
    GaussianTail,
    LaplaceTail,
    Tail,
    _gaussian,
    _laplace,
    exceeding,
    skip_below,
)
from dpframe.kernels.laws import Geometric
from dpframe.kernels.refine import context, refine
from dpframe.kernels.sampler import Place, Shared, exact_cell

KEY = bytes(range(32))

SIZES = [
    (1.0, 1),
    (0.01, 1),
    (2.5, 4),
    (1000.0, 1),
    (1000.0, 3000),
    (2.0**20, 2**21),
    (2.0**33, 2**35),
    (2.0**50, 2**50),
]
"""Scales and thresholds from the commonest tail to one in 10⁹, and to the edge of what samplers take."""

each_tail = pytest.mark.parametrize("of", [LaplaceTail, GaussianTail])
at_sizes = pytest.mark.parametrize(("scale", "least"), SIZES, ids=str)


def beyond(tail: Tail, k: np.ndarray) -> np.ndarray:
    """P(X ≥ k) in floats, written independently of the sampler."""
    if isinstance(tail, LaplaceTail):
        return np.exp(-k / tail.scale) / (1 + np.exp(-1 / tail.scale))
    return special.ndtr(-(k - 0.5) / tail.scale)


def law_of(tail: Tail, least: int) -> Decision:
    mp = context()
    mp.prec = 256
    return Decision(tail, least, skip_below(mp, tail.beyond(mp, least)))


def test_the_tails_are_what_they_say() -> None:
    mp = context()
    mp.prec = 100
    for scale, k in [(1.0, 1), (3.7, 2), (3.7, 30), (1e6, 4_000_000)]:
        for tail in (LaplaceTail(scale), GaussianTail(scale)):
            p = tail.beyond(mp, k)
            assert float(p) == pytest.approx(float(beyond(tail, np.float64(k))), rel=1e-11)
            assert tail.most(mp, p * (1 - mp.mpf(2) ** -90)) == k
            assert tail.most(mp, p * (1 + mp.mpf(2) ** -90)) == k - 1


def test_the_laplace_tail_is_that_of_the_mass_function() -> None:
    k, q = np.arange(-400, 401), np.exp(-1 / 7.0)
    masses = q ** np.abs(k) / (q ** np.abs(k)).sum()
    for least in (1, 2, 9, 40):
        assert masses[k >= least].sum() == pytest.approx(float(beyond(LaplaceTail(7.0), np.float64(least))), rel=1e-12)


@settings(max_examples=200, deadline=None)
@given(st.floats(2.0**-10, 2.0**50), st.floats(1e-3, 40.0), st.sampled_from([LaplaceTail, GaussianTail]))
def test_candidates_come_at_least_as_often_as_cells(scale: float, far: float, of: type) -> None:
    mp = context()
    mp.prec = 400
    least = max(1, int(scale * far))
    law = law_of(of(scale), least)
    mp.prec = 400
    p, rate = law.tail.beyond(mp, least), law.rate(mp)
    assert p < rate
    # And hardly more often, unless that is seldom anyway.
    assert rate < p * (1 + mp.mpf(2) ** -40) or law.skip == 2.0**50


@each_tail
@at_sizes
def test_the_filter_equals_exact_inversion(of: type, scale: float, least: int) -> None:
    tail = of(scale)
    law = law_of(tail, least)
    cells = int(40 / -np.expm1(-1 / law.skip))
    positions, values = exceeding(tail, cells, least, key=KEY, gaps=5, values=6)
    at, by_hand = -1, []
    for j in itertools.count():
        at += 1 + exact_cell(Shared(Geometric(law.skip)), Place(KEY, 5, 0), j, signs=0)
        if at >= cells:
            break
        k = exact_cell(Shared(law), Place(KEY, 6, 0), j, signs=0)
        by_hand += [(at, least + k - 1)] if k else []
    assert list(zip(positions.tolist(), values.tolist(), strict=True)) == by_hand
    assert j > 10


@each_tail
@pytest.mark.parametrize(("scale", "least"), [*SIZES[:-1], (300.0, 7), (5.0, 60)], ids=str)
def test_no_sure_decision_at_a_threshold_is_wrong(of: type, scale: float, least: int) -> None:
    """Words at and beside exact thresholds: sure ones are right, and the one astride is never sure."""
    law = law_of(of(scale), least)
    mp = context()
    mp.prec = 300
    rng = np.random.default_rng(3)
    kind, *parameters = law.tail.filter(mp, least, law.rate(mp))
    decide = (lambda v: _gaussian(v, *parameters)) if kind else (lambda v: _laplace(v, *parameters[:2]))
    sure_ones = wrong = 0
    for k in sorted({1, 2, 3, *np.exp(rng.uniform(0, np.log(4 * scale + 2), 40)).astype(int).tolist()}):
        edge = int(mp.floor(mp.ldexp(law.threshold(mp, k), 63)))
        for step in [0, *(sign << e for e in range(45) for sign in (1, -1))]:
            v = edge + step
            if not 1 << 47 <= v < 1 << 63:
                continue
            got, sure = decide(np.int64(v))
            if step == 0:
                assert not sure
            elif sure:
                sure_ones += 1
                wrong += got != refine(law, v, more=lambda turn: 1 << 63)
            mp.prec = 300
    assert wrong == 0
    reached = law.threshold(mp, 1) > 0.5  # else all thresholds are below the words that floats decide
    assert sure_ones > 50 or scale > 2.0**30 or not reached


def test_the_c_librarys_erfc_is_as_good_as_the_filter_takes_it_to_be() -> None:
    mp = context()
    mp.prec = 120
    for x in np.random.default_rng(9).uniform(0, 10, 2000).tolist():
        assert abs(math.erfc(x) / mp.erfc(mp.mpf(x)) - 1) < 64 * 2.0**-53


@each_tail
def test_the_filter_decides_nearly_all(of: type) -> None:
    law = law_of(of(1000.0), 3000)
    mp = context()
    mp.prec = 256
    kind, *parameters = law.tail.filter(mp, 3000, law.rate(mp))
    decide = (lambda v: _gaussian(v, *parameters)) if kind else (lambda v: _laplace(v, *parameters[:2]))
    words = np.random.default_rng(7).integers(1 << 47, 1 << 63, 2000)
    assert all(decide(v)[1] for v in words)


def test_few_bits_at_first_change_nothing() -> None:
    for tail in (LaplaceTail(50.0), GaussianTail(50.0)):
        shared, place = Shared(law_of(tail, 100)), Place(KEY, 6, 0)
        all_bits = [exact_cell(shared, place, i, signs=0) for i in range(15)]
        for shown in (1, 8, 40):
            assert [exact_cell(shared, place, i, signs=0, shown=shown) for i in range(15)] == all_bits


@pytest.mark.parametrize("batch", [1, 7, 100])
def test_batches_change_nothing(monkeypatch: pytest.MonkeyPatch, batch: int) -> None:
    whole = exceeding(GaussianTail(2.0), 10_000, 4, key=KEY, gaps=0, values=1)
    monkeypatch.setattr(module, "_BATCH", batch)
    parts = exceeding(GaussianTail(2.0), 10_000, 4, key=KEY, gaps=0, values=1)
    assert whole[0].size > 100
    assert all(np.array_equal(a, b) for a, b in zip(whole, parts, strict=True))
    # A prefix of the grid has the prefix of its cells.
    short = exceeding(GaussianTail(2.0), 5_000, 4, key=KEY, gaps=0, values=1)
    assert short[0].tolist() == [at for at in whole[0].tolist() if at < 5_000]


CELLS = 300_000


def p_value(positions: np.ndarray, values: np.ndarray, tail: Tail, least: int, cells: int = CELLS) -> float:
    """χ² of every cell's outcome: left out, or lifted to ``least``, ``least + 1``, …, against noise on all cells."""
    edges = [least]
    expected = []
    while cells * beyond(tail, np.float64(edges[-1])) > 60 and len(edges) < 60:
        step = max(1, int(tail.scale / 10))
        expected.append(cells * (beyond(tail, np.float64(edges[-1])) - beyond(tail, np.float64(edges[-1] + step))))
        edges.append(edges[-1] + step)
    expected.append(cells * beyond(tail, np.float64(edges[-1])))
    expected = np.array([cells - sum(expected), *expected])
    seen = np.histogram(values, [*edges, np.inf])[0]
    seen = np.array([cells - positions.size, *seen])
    return float(stats.chi2.sf(((seen - expected) ** 2 / np.maximum(expected, 1e-9)).sum(), seen.size - 1))


LAWS = [
    (of, scale, least)
    for of in (LaplaceTail, GaussianTail)
    for scale, least in [(1.0, 1), (2.0, 3), (40.0, 30), (40.0, 100)]
]


@pytest.mark.parametrize(("of", "scale", "least"), LAWS, ids=str)
def test_the_law_is_that_of_noise_on_every_cell(of: type, scale: float, least: int) -> None:
    drawn = exceeding(of(scale), CELLS, least, key=fresh_key(), gaps=0, values=1)
    assert p_value(*drawn, of(scale), least) > 1e-9
    for wrong in (0.7 * scale, 1.3 * scale):
        assert p_value(*drawn, of(wrong), least) < 1e-9
    if scale < 10:  # a threshold that is off by one
        positions, values = drawn
        assert p_value(positions, values + 1, of(scale), least + 1) < 1e-9
        assert p_value(positions[values > least], values[values > least], of(scale), least) < 1e-9


@pytest.mark.parametrize("tail", [LaplaceTail(1.0), GaussianTail(1.0)], ids=str)
def test_cells_are_lifted_independently(tail: Tail) -> None:
    positions, values = exceeding(tail, CELLS, 1, key=fresh_key(), gaps=0, values=1)
    lifted = np.zeros(CELLS, np.int64)
    lifted[positions] = np.minimum(values, 3)
    # Triples of neighbours, and of cells far apart: 4³ outcomes against the product of one cell's chances.
    one = np.append(-np.diff(beyond(tail, np.arange(1.0, 4.0))), beyond(tail, np.float64(3)))
    one = np.append(1 - one.sum(), one)
    for triples in (lifted.reshape(-1, 3), lifted.reshape(3, -1).T):
        seen = np.bincount(triples @ [16, 4, 1], minlength=64)
        expected = len(triples) * np.einsum("i,j,k->ijk", one, one, one).ravel()
        statistic = ((seen - expected) ** 2 / expected).sum()
        assert stats.chi2.sf(statistic, 63) > 1e-9
    # The test has teeth: cells that come in pairs are seen.
    paired = np.repeat(lifted[::2], 2)
    seen = np.bincount(paired[: CELLS // 3 * 3].reshape(-1, 3) @ [16, 4, 1], minlength=64)
    assert stats.chi2.sf(((seen - expected) ** 2 / expected).sum(), 63) < 1e-9


@each_tail
def test_very_many_cells_cost_what_comes_out(of: type) -> None:
    for cells in (2**40, 2**62):
        for least in (10**4, 10**9, 2**62 - 1):
            positions, values = exceeding(of(1.0), cells, least, key=KEY, gaps=0, values=1)
            assert positions.size == values.size == 0
    scale = 10.0
    mp = context()
    mp.prec = 256
    least = of(scale).most(mp, mp.mpf(2) ** -52)
    positions, values = exceeding(of(scale), 2**62, least, key=KEY, gaps=0, values=1)
    expected = 2.0**62 * float(of(scale).beyond(mp, least))
    assert 500 < expected < 3000 and abs(positions.size - expected) < 6.5 * expected**0.5
    assert (np.diff(positions) > 0).all() and positions[0] >= 0 and positions[-1] < 2**62
    assert stats.kstest(positions / 2.0**62, "uniform").pvalue > 1e-9
    assert values.min() >= least


def test_no_cells_and_bad_numbers() -> None:
    assert exceeding(LaplaceTail(1.0), 0, 1, key=KEY, gaps=0, values=1)[0].size == 0
    for cells, least, scale in [(-1, 1, 1.0), (2**62 + 1, 1, 1.0), (5, 0, 1.0), (5, 1, 2.0**51), (5, 1, float("nan"))]:
        with pytest.raises(MechanismError):
            exceeding(LaplaceTail(scale), cells, least, key=KEY, gaps=0, values=1)
