"""The float filter is never wrong: it agrees with exact inversion, and at a threshold it yields."""

import numpy as np
import pytest
from laws import CASES

from dpframe.kernels.refine import context, refine
from dpframe.kernels.sampler import exact_cell

KEY = bytes(range(32))
SCALES = [2.0**-10, 0.3, 0.5, 1.0, 10.0, 1e3, 123456.789, 1e6, 2.0**40, 2.0**50]
each_law = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@each_law
@pytest.mark.parametrize("scale", SCALES)
def test_fast_path_equals_exact_inversion(case, scale):
    fast = case.draw(120, scale, key=KEY, stream=9, start=1000)
    law = case.law(scale)
    assert fast.tolist() == [exact_cell(law, KEY, 9, 1000 + i) for i in range(120)]


@each_law
@pytest.mark.parametrize("scale", [0.5, 10.0, 1e6])
def test_few_bits_at_first_change_nothing(case, scale):
    law = case.law(scale)
    for shown in (1, 8, 40):
        few = [exact_cell(law, KEY, 2, i, shown=shown) for i in range(30)]
        assert few == case.draw(30, scale, key=KEY, stream=2).tolist()


def around_thresholds(law, scale, rng):
    """Tail words at and near exact thresholds: (word, the threshold's integer part, its k)."""
    mp = context()
    mp.prec = 300
    ks = np.unique(np.floor(np.exp(rng.uniform(0, np.log(35 * scale + 2), 250)))).astype(int)
    steps = [0, 1, -1, 2, -2, *(sign << e for e in range(2, 45) for sign in (1, -1))]
    for k in ks.tolist():
        edge = int(mp.floor(mp.ldexp(law.threshold(mp, k), 63)))
        for step in steps:
            if 0 <= edge + step < 1 << 63 and edge < 1 << 63:
                yield edge + step, edge, k


@each_law
@pytest.mark.parametrize("scale", [0.5, 1.0, 3.7, 10.0, 1000.0, 1e6, 2.0**24])
def test_no_sure_decision_at_a_threshold_is_wrong(case, scale):
    rng = np.random.default_rng(5)
    tails, edges, ks = (
        np.array(column, np.int64) for column in zip(*around_thresholds(case.law(scale), scale, rng), strict=True)
    )
    words = tails.astype(np.uint64) << np.uint64(1)
    out, doubtful = np.empty(words.size, np.int64), np.empty(words.size, np.int64)
    found = case.filter(scale)(words, out, doubtful)
    sure = np.ones(words.size, bool)
    sure[doubtful[:found]] = False
    # The interval [v, v+1) lies in u ≤ T(k) if v < edge, above T(k) if v > edge, and astride if v = edge.
    assert not sure[tails == edges].any()
    assert (out >= ks)[sure & (tails < edges)].all()
    assert (out < ks)[sure & (tails > edges)].all()
    assert sure.sum() > tails.size // 2


@each_law
def test_words_of_the_far_tail_are_never_decided_by_floats(case):
    tails = np.concatenate([np.arange(4096), (1 << 20) - 1 - np.arange(4096)]).astype(np.uint64)
    out, doubtful = np.empty(tails.size, np.int64), np.empty(tails.size, np.int64)
    for scale in (2.0**-10, 1.0, 2.0**50):
        assert case.filter(scale)(tails << np.uint64(1), out, doubtful) == tails.size


@each_law
def test_the_tail_is_open_ended(case):
    law = case.law(1.0)
    zeros = 0
    sizes = []
    for zeros in (0, 1, 3):  # 63, 127 and 255 leading zero bits of u
        sizes.append(refine(law, 0, lambda turn, zeros=zeros: 0 if turn < zeros else 1 << 63))
    mp = context()
    mp.prec = 400
    for size, bits in zip(sizes, (64, 128, 256), strict=True):
        u = mp.ldexp(1, -bits)
        assert law.threshold(mp, size + 1) < u <= law.threshold(mp, size)


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
