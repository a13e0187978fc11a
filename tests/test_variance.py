"""The formulas of a variance, against every table and every noise that they speak of."""

from __future__ import annotations

import itertools
import statistics

import numpy as np
import pandas as pd
import pytest

import dpframe as dp
from dpframe.aggregates import Noisy
from dpframe.plan import Squares, Sum

FRAME = pd.DataFrame({"n": [1], "x": [1.0]})
SCHEMA = FRAME.dp.protect().plan.schema


def answers(low: int, high: int, parts: list[tuple[int, int]]) -> tuple[float, float, float]:
    noisy = [Noisy(np.array([value]), width) for value, width in parts]
    answer = dp.var("n", low, high).prepare(SCHEMA).finish(noisy)
    return float(answer.values[0]), float(answer.low[0]), float(answer.high[0])


@pytest.mark.parametrize(("low", "high"), [(0, 4), (-1, 2), (-3, 3)])
def test_every_small_table_has_its_variance_and_keeps_to_the_clamp(low: int, high: int) -> None:
    deviations, squares, _ = dp.var("n", low, high).prepare(SCHEMA).statistics
    assert isinstance(deviations, Sum) and isinstance(squares, Squares)
    center, most = deviations.center, {}
    for n in range(2, 6):
        for values in itertools.combinations_with_replacement(range(low, high + 1), n):
            moved = [value - center for value in values]
            exact = [(sum(moved), 0), (sum(each**2 - squares.shift for each in moved), 0), (n, 0)]
            variance = statistics.variance(values)
            assert answers(low, high, exact) == pytest.approx((variance,) * 3, abs=1e-12)
            most[n] = max(most.get(n, 0), variance)
    # The clamp is the largest variance of an even number of values, and is not below that of an odd one.
    for n, largest in most.items():
        clamp = (high - low) ** 2 / 4 * n / (n - 1)
        assert largest == pytest.approx(clamp) if n % 2 == 0 else largest < clamp


@pytest.mark.parametrize("seed", range(40))
def test_the_interval_is_that_of_every_noise_within_its_half_widths(seed: int) -> None:
    draw = np.random.default_rng(seed)
    low, high = 0, 8
    _, squares, _ = dp.var("n", low, high).prepare(SCHEMA).statistics
    assert isinstance(squares, Squares)
    d, s, n = (int(draw.integers(*span)) for span in ((-40, 41), (-90, 91), (-3, 15)))
    widths = [int(each) for each in draw.integers(0, 7, 2)] + [int(draw.integers(1, 7))]
    value, bottom, top = answers(low, high, list(zip((d, s, n), widths, strict=True)))
    counts = np.unique(np.maximum(np.linspace(n - widths[2], n + widths[2], 20 * widths[2] + 1), 2))
    sums = np.linspace(d - widths[0], d + widths[0], 20 * widths[0] + 1)
    totals = np.array([s - widths[1], s + widths[1]])
    count, one, two = np.meshgrid(counts, sums, totals)
    found = (two + count * squares.shift - one**2 / count) / (count - 1)
    most = (high - low) ** 2 / 4 * counts[0] / (counts[0] - 1)
    found = np.clip(found, 0, most)
    assert bottom <= found.min() + 1e-9 and found.max() <= top + 1e-9  # sound
    assert found.min() - bottom < 0.5 and top - found.max() < 0.5  # and no wider than those noises need
    assert bottom <= value <= top


def test_a_noisy_count_below_two_is_read_as_two() -> None:
    assert answers(0, 10, [(0, 5), (26, 5), (-7, 4)])[0] == answers(0, 10, [(0, 5), (26, 5), (2, 4)])[0] == 50
    assert answers(0, 10, [(0, 5), (10**9, 5), (1, 4)])[0] == 50
    assert answers(0, 10, [(10**9, 5), (0, 5), (9, 4)])[0] == 0


def test_a_row_reaches_no_further_than_declared() -> None:
    draw = np.random.default_rng(4)
    for low, high in [(-3, 8), (0, 2**17 + 1), (-(2**30), 2**30), (2**40, 2**40 + 99999)]:
        values = np.append(draw.integers(low, high, 200, endpoint=True), [low, high, (low + high) // 2])
        check(pd.DataFrame({"n": values}), "n", low, high)
    for bottom, top in [(-1.5, 0.1), (1e-100, 1e100), (1, 1 + 2**-52), (0, 1 / 3)]:
        values = np.append(draw.uniform(bottom, top, 200), [bottom, top, bottom + (top - bottom) / 2])
        check(pd.DataFrame({"x": values}), "x", bottom, top)


def check(frame: pd.DataFrame, column: str, low: float, high: float) -> None:
    from dpframe.backends import pandas
    from dpframe.privacy import analyse, calibrate
    from dpframe.release import request

    found = []
    for at in range(len(frame)):
        row = frame[at : at + 1]
        question = row.dp.protect().agg(dp.var(column, low, high)).question
        asked = request(question, calibrate(analyse(question), None), bytes(32))
        found.append(pandas.aggregate(row, asked).values[:, 0].tolist())
    for statistic, moves in zip(asked.statistics, zip(*found, strict=True), strict=True):
        assert max(map(abs, moves)) == statistic.reach <= 2**30  # some row reaches it: no end is left out


@pytest.mark.parametrize("bounds", [(0, 1e130), (1e-200, 2e-200), (0, 2**32)])
def test_bounds_whose_squares_leave_doubles_or_64_bits_are_refused(bounds: tuple[float, float]) -> None:
    with pytest.raises(dp.errors.BoundsError):
        FRAME.dp.protect().agg(dp.var("n" if bounds[1] == 2**32 else "x", *bounds))


def test_noise_moves_a_variance_as_its_split_assumes() -> None:
    """(δS − 2m·δD + (c − q + 2m²)·δn)/n, to first order in 1/n."""
    n, m, q, c = 10**6, -3, 20, 12  # integers between 0 and 10: c is half of 25
    exact = [n * m, n * (q - c), n]
    at = answers(0, 10, [(each, 0) for each in exact])[0]
    for part, slope in enumerate([-2 * m, 1, c - q + 2 * m**2]):
        moved = [each + 1000 * (part == place) for place, each in enumerate(exact)]
        assert answers(0, 10, [(each, 0) for each in moved])[0] - at == pytest.approx(slope * 1e-3, rel=0.01)


@pytest.mark.parametrize(("power", "usual"), [(2, 1.17), (1, 1.10)], ids=["epsilon", "rho"])
def test_the_split_is_near_the_best_of_many_laws(power: int, usual: float) -> None:
    """A part of weight w has noise of variance 1/w² or 1/w: the best weights are roots of the coefficients."""
    weights = np.array(dp.var("n", 0, 2).prepare(SCHEMA).weights) / 11
    worse = []
    for a, b in itertools.product((0.7, 1, 2, 4, 8), (0.7, 1, 2, 4, 8, 16)):
        m, v = 2 * a / (a + b) - 1, 4 * a * b / ((a + b) ** 2 * (a + b + 1))  # a beta law between −1 and 1
        q = v + m * m
        squares = np.array([4 * m * m, 0.25, (0.5 - q + 2 * m * m) ** 2])  # of slope times sensitivity
        best = (squares ** (1 / (power + 1))).sum() ** (power + 1)
        worse.append(np.sqrt((squares / weights**power).sum() / best))
    assert np.exp(np.log(worse).mean()) < usual and max(worse) < 2
