"""The products of two words: the lemmas that their filter's proof cites, words at thresholds, tails, refinement."""

import mpmath
import numpy as np
import pytest
from laws import PRODUCTS, laplace_lognormal_tail, uniform_lognormal_tail
from test_bounds import tail_words

from dpframe.errors import MechanismError
from dpframe.kernels import laplace_lognormal, uniform_lognormal, words
from dpframe.kernels.antilogarithm import antilog
from dpframe.kernels.chacha import second_key
from dpframe.kernels.inversion import load_values, quantiles
from dpframe.kernels.laws import NORMAL
from dpframe.kernels.lognormal import Places, exact_product
from dpframe.kernels.lognormal_laws import Bits, LaplaceLogNormal, UniformLogNormal, _decide, refine_product
from dpframe.kernels.products import CLEAR_NORMAL, NORMAL_E, NORMAL_K, E, K, decide, multipliers, sizes
from dpframe.kernels.quantile_table import table
from dpframe.kernels.refine import context
from dpframe.kernels.sampler import PerCell

KEY = bytes(range(32))
EPSILON = 2.0**-53

each_product = pytest.mark.parametrize("case", PRODUCTS, ids=lambda case: case.name)
each_sigma = pytest.mark.parametrize("sigma", [2.0**-10, 0.3, 1.0, 4.0])


def computed(first: np.ndarray, second: np.ndarray, sigma: float, uniform: bool) -> tuple[np.ndarray, ...]:
    """|X|, |Y| and e^(σY) as the kernel has them, for words."""
    n = first.size
    q, y, m = np.empty(n), np.empty(n), np.empty(n)
    sizes(first, uniform, q)
    quantiles(second, table(NORMAL), np.empty(n, np.int64), y)
    multipliers(second, y, sigma, m)
    return q, y, m


def test_the_bound_of_the_antilogarithm():
    rng = np.random.default_rng(2)
    near = np.outer(np.arange(-92, 93) + 0.5, np.log(2)).ravel()  # where the reduction changes over
    points = np.concatenate([rng.uniform(-64, 64, 4000), rng.uniform(-0.4, 0.4, 2000), near[abs(near) < 64], [0.0, 64]])
    with mpmath.workprec(120):
        worst = max(abs(antilog(a) / mpmath.exp(mpmath.mpf(a)) - 1) for a in points.tolist())
    assert worst <= 9 * EPSILON
    assert antilog(0.0) == 1


def test_the_numbers_that_the_proof_quotes():
    with mpmath.workprec(100):
        mp = mpmath.mp
        assert NORMAL.quantile(mp, mpmath.ldexp(1, -17)) + 1 < CLEAR_NORMAL - 0.1
        assert NORMAL.quantile(mp, mpmath.ldexp(1, -43)) < 7.9
        assert 2 * (17.2 * EPSILON + 1e-18) * 1.0003 <= E and 2 * 14.6 * EPSILON * 1.0003 <= NORMAL_E
        assert K >= 2 * 1.0003 and NORMAL_K >= 2 * 1.0003 * 1.294
        assert (NORMAL.e - 5 * EPSILON) / 2 <= 13.5 * EPSILON and NORMAL.k / 2.01 <= 1.294
        r = mpmath.mpf("0.3467")
        assert 1.03 * r**13 / mpmath.factorial(13) <= 1.6 * EPSILON
        assert 2.002 * (1 + r) * mpmath.exp(r) <= 3.82


@each_product
@each_sigma
def test_computed_products_are_within_half_the_bound(case, sigma):
    rng = np.random.default_rng(8)
    first, second = tail_words(250), tail_words(250)
    rng.shuffle(second)
    second = (second << np.uint64(1)) | rng.integers(0, 2, second.size, dtype=np.uint64)
    q, y, m = computed(first << np.uint64(1), second, sigma, case.noise.uniform)
    law = type(case.noise)(sigma)
    with mpmath.workprec(160):
        mp = mpmath.mp
        for v, other, size, normal, factor in zip(first.tolist(), second.tolist(), q, y, m, strict=True):
            w, sign = other >> 1, -1 if other & 1 else 1
            t = size * factor
            spread = sigma * (normal + 1) * (NORMAL_E + NORMAL_K / w)
            allowed = (t + factor + 2) * (E + K / v + spread) / 2
            for u in (mpmath.ldexp(v, -63), mpmath.ldexp(v + 1, -63)):
                exact_size = law.size(mp, u, u)[0]
                for also in (mpmath.ldexp(w, -63), mpmath.ldexp(w + 1, -63)):
                    exact = exact_size * mpmath.exp(sigma * sign * NORMAL.quantile(mp, also))
                    assert abs(t - exact) <= allowed


def near_thresholds(law, scale, part, rng):
    """Pairs of words: the first at, and powers of two beside, where a value changes for the second."""
    mp = context()
    mp.prec = 300
    steps = [0, 1, -1, 2, -2, *(sign << e for e in range(2, 45, 2) for sign in (1, -1))]
    for other in rng.integers(0, 1 << 64, 40, dtype=np.uint64).tolist():
        u = mp.ldexp((other >> 1) + mp.mpf(0.5), -63)
        m = mp.exp((-law.sigma if other & 1 else law.sigma) * NORMAL.quantile(mp, u))
        k = int(np.exp(rng.uniform(0, np.log(scale + 2))))
        size = (k - 0.5 - part) / (scale * m)  # with a positive sign
        edge = int(mp.floor(mp.ldexp(size if law.uniform else mp.exp(-size), 63)))
        for step in steps:
            if 0 <= edge + step < 1 << 63:
                yield (edge + step) << 1, other


@each_product
@each_sigma
@pytest.mark.parametrize(("scale", "x"), [(0.5, 0.0), (37.5, 2.3), (1000.0, -0.7), (1e6, 1e-12), (2.0**24, 12345.678)])
def test_no_sure_decision_at_a_threshold_is_wrong(case, sigma, scale, x):
    """What the filter is sure of is what refinement says of the same 63 bits; it is not sure where that needs more."""
    law = type(case.noise)(sigma)
    parts, bases = np.empty(1), np.empty(1, np.int64)
    load_values(np.array([x]), 1.0, parts, bases)
    near = near_thresholds(law, scale, parts[0], np.random.default_rng(5))
    first, second = (np.array(column, np.uint64) for column in zip(*near, strict=True))
    n = first.size
    q, y, m = computed(first, second, sigma, law.uniform)
    out, doubtful = np.empty(n, np.int64), np.empty(n, np.int64)
    numbers = (np.full(n, scale), np.full(n, parts[0]), np.full(n, bases[0]))
    found = decide(first, second, q, y, m, sigma, *numbers, out, 0, doubtful, 0)
    sure = np.ones(n, bool)
    sure[doubtful[:found]] = False
    at = PerCell(law, 1.0, np.array([scale]), np.array([x])).law(0, negative=False)[0]
    for v, w, value, certain in zip(first.tolist(), second.tolist(), out.tolist(), sure, strict=True):
        if certain:
            assert _decide(law, scale, at.shift, v >> 1, w >> 1, bool(w & 1), 63) == value - bases[0]
    assert sure.sum() > n // 6 and not sure.all()


@each_product
@pytest.mark.parametrize("scale", [0.5, 20.0, 1e6])
@pytest.mark.parametrize("x", [0.0, 0.5 - 1e-9, -3.7, 2.0**51])
def test_the_glance_says_what_the_filter_says(case, scale, x):
    """A cell that is drawn among many is what the slow filter makes of its words, where that is sure."""
    n, sigma = 100_000, case.noise.sigma
    drawn = case.draw(n, scale, values=np.full(n, x), key=KEY, stream=5)
    first, second = words(KEY, 5, 0, n), words(second_key(KEY), 5, 0, n)
    q, y, m = computed(first, second, sigma, case.noise.uniform)
    parts, bases = np.empty(n), np.empty(n, np.int64)
    load_values(np.full(n, x), 1.0, parts, bases)
    out, doubtful = np.empty(n, np.int64), np.empty(n, np.int64)
    found = decide(first, second, q, y, m, sigma, np.full(n, scale), parts, bases, out, 0, doubtful, 0)
    assert found < n // 100
    assert (np.delete(drawn, doubtful[:found]) == np.delete(out, doubtful[:found])).all()


@each_product
def test_words_of_the_far_tails_are_never_decided_by_floats(case):
    small = np.concatenate([np.arange(4096), (1 << 20) - 1 - np.arange(4096)]).astype(np.uint64) << np.uint64(1)
    plain = np.full(small.size, 1 << 63, np.uint64)
    sigma = case.noise.sigma
    for scale in (2.0**-10, 1.0, 2.0**50):
        numbers = (np.full(small.size, scale), np.zeros(small.size), np.zeros(small.size, np.int64))
        for first, second in ((small, plain), (plain, small)):
            q, y, m = computed(first, second, sigma, case.noise.uniform)
            out, doubtful = np.empty(small.size, np.int64), np.empty(small.size, np.int64)
            assert decide(first, second, q, y, m, sigma, *numbers, out, 0, doubtful, 0) == small.size


@each_product
def test_the_tail_is_open_ended(case):
    """|Y| at u′ = 2⁻¹²⁹ with |X| at u = ½: 13.2 standard deviations, where a word ends at 9.1."""
    law, half = case.noise, Bits(1 << 62, lambda turn: 0)
    far = Bits(0, lambda turn: 1 << 62 if turn == 1 else 0)
    value = refine_product(law, 1e6, lambda mp: mp.mpf(0.5), half, far, down=False)
    with mpmath.workprec(200):
        normal = NORMAL.quantile(mpmath.mp, mpmath.ldexp(1, -129))
        size = mpmath.mpf(0.5) if law.uniform else mpmath.log(2)
        assert value == int(mpmath.floor(1e6 * size * mpmath.exp(law.sigma * normal) + 0.5))
    nothing = refine_product(law, 1e6, lambda mp: mp.mpf(0.5), half, far, down=True)
    assert 0 <= nothing < 1e6 * 0.7 * np.exp(-13 * law.sigma)


@each_product
def test_a_bad_guess_of_the_normal_quantile_is_seen(case, monkeypatch):
    """With guesses that are off until 191 bits are asked for, cells are refined further and come out the same."""
    law, places = case.noise, Places.of(KEY, 0, 0, 20)
    cells = PerCell(law, 1.0, np.array([1000.0]), np.empty(0))
    right = [exact_product(law, cells, places, i) for i in range(20)]
    guess, asked = type(NORMAL).quantile, []

    def off(self, mp, u):
        asked.append(mp.prec)
        return guess(self, mp, u) * (1 + (mp.mpf(2) ** -30 if mp.prec < 300 else 0))

    monkeypatch.setattr(type(NORMAL), "quantile", off)
    assert [exact_product(law, cells, places, i) for i in range(20)] == right
    assert max(asked) >= 300


@each_product
def test_results_past_64_bits_are_clamped(case):
    """At scale 2⁵⁰ and σ = 4 noise is past 2⁶³ where e^(4Y) is some thousands."""
    drawn = case.draw(3000, 2.0**50, sigma=4.0, key=KEY)
    assert {2**63 - 1, -(2**63 - 1)} <= set(drawn.tolist())
    assert drawn.min() >= -(2**63 - 1)
    q, _, m = computed(words(KEY, 0, 0, 3000), words(second_key(KEY), 0, 0, 3000), 4.0, case.noise.uniform)
    assert ((np.abs(drawn) == 2**63 - 1) == (q * m * 2.0**50 > 2.0**63)).all()


def test_second_words_are_those_of_a_key_of_their_own():
    other = second_key(KEY)
    assert other != KEY and len(other) == 32 and second_key(other) not in (KEY, other)
    places = Places.of(KEY, 3, 10, 5)
    assert [places.second.word(i) for i in range(5)] == words(other, 3, 10, 5).tolist()
    assert places.first.more(0, 0) != places.second.more(0, 0)
    with pytest.raises(MechanismError, match="32 bytes"):
        second_key(b"short")


@pytest.mark.parametrize("draw", [laplace_lognormal, uniform_lognormal])
def test_both_words_matter_and_neither_knows_the_other(draw):
    """Of two draws with one X each, the ratio is the log-normal one."""
    n, unit = 20_000, 2.0**30
    narrow, wide = (draw(n, unit, sigma=sigma, key=KEY).astype(float) for sigma in (2.0**-10, 1.0))
    logs = np.log(np.abs(wide / narrow))
    assert abs(logs.mean()) < 6 / np.sqrt(n) and abs(logs.std() - 1) < 0.03
    assert abs(np.corrcoef(logs, np.log(np.abs(narrow)))[0, 1]) < 6 / np.sqrt(n)
    assert (np.sign(wide) == np.sign(narrow)).all()


@pytest.mark.parametrize("sigma", [0.0, 2.0**-11, 4.5, float("nan"), float("inf"), True, "1", None])
@pytest.mark.parametrize("draw", [laplace_lognormal, uniform_lognormal])
def test_refuses_sigmas(draw, sigma):
    with pytest.raises(MechanismError, match=r"sigma must be a number from 2\*\*-10 to 4.*try sigma="):
        draw(3, 1.0, sigma=sigma)


@pytest.mark.parametrize("sigma", [0.05, 0.5, 2.0])
@pytest.mark.parametrize(
    ("law", "tail"), [(LaplaceLogNormal, laplace_lognormal_tail), (UniformLogNormal, uniform_lognormal_tail)]
)
def test_tails_and_quantiles(law, tail, sigma):
    with mpmath.workprec(120):
        mp = mpmath.mp
        for y in (0.01, 0.7, 1.0, 1.1, 6.0, 40.0):
            exact = law(sigma).tail(mp, mpmath.mpf(y))
            assert float(exact) == pytest.approx(float(tail(np.array([y]), sigma)[0]), rel=1e-9, abs=1e-14)
            slope = mpmath.diff(lambda z: law(sigma).tail(mp, z), mpmath.mpf(y))
            assert float(law(sigma).density(mp, mpmath.mpf(y))) == pytest.approx(float(-slope), rel=1e-9, abs=1e-30)
        for u in map(mpmath.mpf, ("0.999999", "0.9", "0.5", "0.05", "1e-12")):
            y = law(sigma).quantile(mp, u)
            assert abs(law(sigma).tail(mp, y) / u - 1) < 1e-20
        assert law(sigma).quantile(mp, mpmath.mpf(1)) == 0
