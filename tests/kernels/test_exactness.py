"""The float filter is never wrong: it agrees with exact inversion, and at a threshold it yields."""

import numpy as np
import pytest
from laws import CASES, SAMPLERS, at_scales, each_grid_sampler, each_law

from dpframe.kernels.inversion import LOGARITHM, decide_cells, load_values, quantiles
from dpframe.kernels.laws import EXPONENTIAL, Rounded
from dpframe.kernels.quantile_table import table
from dpframe.kernels.refine import context, refine

KEY = bytes(range(32))


@at_scales(2.0**-10, 0.3, 1.0, 10.0, 300.0, 123456.789, 2.0**40, 2.0**50, cases=SAMPLERS)
def test_fast_path_equals_exact_inversion(case, scale):
    fast = case.draw(60, scale, key=KEY, stream=9, start=1000)
    assert fast.tolist() == case.exact(scale, case.places(KEY, 9, 1000, 60), 60)


@at_scales(0.5, 1e6, cases=SAMPLERS)
def test_few_bits_at_first_change_nothing(case, scale):
    for shown in (1, 8, 40):
        few = case.exact(scale, case.places(KEY, 2, 0, 15), 15, shown=shown)
        assert few == case.draw(15, scale, key=KEY, stream=2).tolist()


@each_grid_sampler
def test_scales_and_values_of_their_own_equal_exact_inversion(case):
    rng = np.random.default_rng(1)
    scales = np.exp(rng.normal(0, 4, 200))
    values = np.concatenate(
        [rng.normal(0, 100, 180), [-1e-20, 1e-20, -0.5, 0.5, 2.0**60, -(2.0**60), 0, -3] + 12 * [7.5]]
    )
    for grid in (1.0, 2.0**-10, 8.0):
        fast = case.draw(200, scales, grid=grid, values=values, key=KEY, stream=6, start=11)
        assert fast.tolist() == case.exact_around(scales, values, grid, case.places(KEY, 6, 11, 200))


def near_thresholds(law, scale, rng):
    """Tail words at and near exact thresholds: (word, the threshold's integer part, its k)."""
    mp = context()
    mp.prec = 300
    ks = np.unique(np.floor(np.exp(rng.uniform(0, np.log(35 * scale + 2), 120)))).astype(int)
    steps = [0, 1, -1, 2, -2, *(sign << e for e in range(2, 45) for sign in (1, -1))]
    for k in ks.tolist():
        edge = int(mp.floor(mp.ldexp(law.threshold(mp, k), 63)))
        for step in steps:
            if 0 <= edge + step < 1 << 63 and edge < 1 << 63:
                yield edge + step, edge, k


@at_scales(0.5, 3.7, 10.0, 256.5, 1000.0, 1e6, 2.0**24)
def test_no_sure_decision_at_a_threshold_is_wrong(case, scale):
    near = near_thresholds(case.law(scale), scale, np.random.default_rng(5))
    tails, edges, ks = (np.array(column, np.int64) for column in zip(*near, strict=True))
    out, doubtful = np.empty(tails.size, np.int64), np.empty(tails.size, np.int64)
    found = case.filter(scale, tails.astype(np.uint64) << np.uint64(1), out, doubtful)
    sure = np.ones(tails.size, bool)
    sure[doubtful[:found]] = False
    # The interval [v, v+1) lies in u ≤ T(k) if v < edge, above T(k) if v > edge, and astride if v = edge.
    assert not sure[tails == edges].any()
    assert (out >= ks)[sure & (tails < edges)].all()
    assert (out < ks)[sure & (tails > edges)].all()
    assert sure.sum() > tails.size // 3


@pytest.mark.parametrize("x", [2.3, -0.7, 1e-12, -1e-12, 0.5, 12345.678])
@pytest.mark.parametrize(
    ("case", "sign"),
    [(case, sign) for case in CASES if case.on_a_grid for sign in range(case.signs + 1)],
    ids=lambda value: getattr(value, "name", value),
)
def test_no_sure_decision_at_a_threshold_around_a_value_is_wrong(case, x, sign):
    scale, base = 37.5, int(np.floor(x))
    law = Rounded(case.noise, scale, x, base, bool(sign))
    near = near_thresholds(law, scale, np.random.default_rng(6))
    tails, edges, ks = (np.array(column, np.int64) for column in zip(*near, strict=True))
    n = tails.size
    source = LOGARITHM if case.noise is EXPONENTIAL else table(case.noise)
    words = (tails.astype(np.uint64) << np.uint64(1)) | np.uint64(sign)
    q = np.empty(n)
    quantiles(words, source, np.empty(n, np.int64), q)
    scales, shifts, values = np.full(n, scale), np.full(n, 0.5), np.full(n, x)
    parts, bases = np.empty(n), np.empty(n, np.int64)
    load_values(values, 1.0, parts, bases)
    assert (bases == base).all()
    out, doubtful = np.empty(n, np.int64), np.empty(n, np.int64)
    e, k, signs = case.noise.e, case.noise.k, np.uint64(case.signs)
    found = decide_cells(words, q, scales, shifts, parts, bases, e, k, signs, out, 0, doubtful, 0)
    sure = np.ones(n, bool)
    sure[doubtful[:found]] = False
    sizes = (base - out) if sign else (out - base)
    assert not sure[tails == edges].any()
    assert (sizes >= ks)[sure & (tails < edges)].all()
    assert (sizes < ks)[sure & (tails > edges)].all()
    assert sure.sum() > n // 3


@each_law
def test_words_of_the_far_tail_are_never_decided_by_floats(case):
    tails = np.concatenate([np.arange(4096), (1 << 20) - 1 - np.arange(4096)]).astype(np.uint64)
    out, doubtful = np.empty(tails.size, np.int64), np.empty(tails.size, np.int64)
    for scale in (2.0**-10, 1.0, 2.0**50):
        assert case.filter(scale, tails << np.uint64(1), out, doubtful) == tails.size


@each_law
def test_the_tail_is_open_ended(case):
    law, mp = case.law(1.0), context()
    for turns, bits in ((0, 64), (1, 128), (3, 256)):  # u = 2⁻ᵇⁱᵗˢ
        size = refine(law, 0, lambda turn, turns=turns: 1 << 63 if turn == turns else 0)
        mp.prec = 600
        assert law.threshold(mp, size + 1) < mp.ldexp(1, -bits) <= law.threshold(mp, size)


@each_law
def test_refinement_moves_from_a_bad_guess(case):
    law = case.law(10.0)
    right = refine(law, 1 << 50, lambda turn: 0)
    for offset in (-7, 5):

        class Misled:
            threshold = law.threshold

            def guess(self, mp, u, offset=offset):
                return law.guess(mp, u) + offset

        assert refine(Misled(), 1 << 50, lambda turn: 0) == right
