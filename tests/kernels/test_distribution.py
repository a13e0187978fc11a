"""Samples against the exact mass function; the same test must reject a scale that is 30 % off."""

import numpy as np
import pytest
from laws import BY_CELL, SAMPLERS, each_sampler
from scipy import stats

from dpframe.kernels import fresh_key

CHUNK = 10**6


def counts(case, scale: float, n: int, reach: int) -> np.ndarray:
    """How often each value from -reach to reach came up, with one bin at each end for the rest.

    Of a law without negative values, how often each from 0 to reach did, and the rest.
    """
    key, out = fresh_key(), np.empty(CHUNK, np.int64)
    total = np.zeros(2 * reach + 3, np.int64)
    for start in range(0, n, CHUNK):
        case.draw(CHUNK, scale, key=key, start=start, out=out)
        np.clip(out, -reach - 1, reach + 1, out=out)
        total += np.bincount(out + reach + 1, minlength=total.size)
    if case.signs:
        return total
    assert not total[: reach + 1].any()
    return total[reach + 1 :]


def masses(case, scale: float, reach: int) -> np.ndarray:
    """The exact probabilities of those bins."""
    tails = case.tail(np.arange(1, reach + 2, dtype=float), scale)
    sizes = np.append(tails[:-1] - tails[1:], tails[-1])
    if not case.signs:
        return np.append(1 - tails[0], sizes)
    return np.concatenate([sizes[::-1] / 2, [1 - tails[0]], sizes / 2])


def reach_of(case, scale: float, n: int) -> int:
    """The last k, up to 1000, where the bins of k and of what lies beyond each expect some dozens of samples."""
    ks = np.arange(1, min(1000, int(40 * scale) + 2), dtype=float)
    beyond = case.tail(ks + 1, scale)
    return max(1, int((n * np.minimum(case.tail(ks, scale) - beyond, beyond) > 100).sum()))


def p_value(seen: np.ndarray, expected: np.ndarray) -> float:
    return float(stats.chi2.sf(((seen - expected) ** 2 / expected).sum(), seen.size - 1))


def check(case, scale: float, n: int) -> None:
    reach = reach_of(case, scale, n)
    seen = counts(case, scale, n, reach)
    expected = n * masses(case, scale, reach)
    assert p_value(seen, expected) > 1e-9
    # the largest log-ratio to the mass function, in standard deviations
    assert (np.abs(np.log(seen / expected)) * np.sqrt(expected)).max() < 8
    for wrong in (0.7, 1.3):
        assert p_value(seen, n * masses(case, scale * wrong, reach)) < 1e-9


@pytest.mark.parametrize(
    ("case", "scale"),
    [(case, scale) for case in SAMPLERS for scale in ((1.0, 20.0) if case.heavy else (0.5, 1.0, 10.0, 64.0))],
    ids=lambda value: getattr(value, "name", value),
)
def test_chi_square_at_ten_million(case, scale):
    check(case, scale, 10**7)


@pytest.mark.parametrize("case", BY_CELL, ids=lambda case: case.name)
def test_chi_square_of_scales_by_cell_at_ten_million(case):
    check(case, 10.0, 10**7)


@pytest.mark.slow
@pytest.mark.parametrize("case", SAMPLERS + BY_CELL, ids=lambda case: case.name)
@pytest.mark.parametrize("scale", [0.5, 1.0, 10.0, 64.0, 300.0])
def test_chi_square_at_a_hundred_million(case, scale):
    check(case, scale, 10**8)


@each_sampler
def test_large_scales_in_wide_bins(case):
    """At scale 10⁶ each value is rare, so bins of 10⁵ values stand for them."""
    scale, n, width = 1e6, 10**6, 100_000
    samples = case.draw(n, scale)
    edges = np.arange(1, 31) * width + 1
    tails = np.concatenate([[1.0], case.tail(edges.astype(float), scale)])
    expected = n * np.append(tails[:-1] - tails[1:], tails[-1])
    seen = np.bincount(np.minimum((np.abs(samples) - 1).clip(0) // width, 30), minlength=31)
    assert p_value(seen, expected) > 1e-9
    if case.signs:
        assert abs((samples > 0).sum() - (samples < 0).sum()) < 8 * np.sqrt(n)
    assert stats.chisquare(np.bincount(samples & 15, minlength=16)).pvalue > 1e-9


@pytest.mark.parametrize("case", [case for case in SAMPLERS if case.signs], ids=lambda case: case.name)
def test_signs_and_sizes_do_not_know_each_other(case):
    samples = case.draw(10**6, 5.0)
    ups, downs = samples[samples > 0], -samples[samples < 0]
    seen = np.array([np.bincount(side.clip(max=12), minlength=13)[1:] for side in (ups, downs)])
    assert stats.chi2_contingency(seen).pvalue > 1e-9
