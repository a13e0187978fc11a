"""Quantiles: the law that is drawn, what it costs between neighbours, and how well it ranks."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import dpframe as dp
from dpframe.lines import BILLION, Line, read
from dpframe.mechanisms import ranks
from dpframe.mechanisms.ranks import RankChoice, Runs, exactly
from dpframe.mechanisms.recursion import divided, epsilon, slopes_of_range, slopes_within, squares, tree

KEY = bytes(range(32))


def runs(rows: list[int], cells: int = 1) -> Runs:
    """The same rows in so many cells."""
    found = sorted(Counter(rows).items())
    positions, counts = (np.array([each[i] for each in found] * cells, np.int64) for i in (0, 1))
    return Runs(np.arange(cells), np.arange(cells + 1) * len(found), positions, counts)


def choice(last: int, parts: list[float], eta: float, epsilon: float | None = None) -> RankChoice:
    """Of the range η at each level, or of ε in all."""
    whole = tuple(round(part * BILLION) for part in parts)
    slopes = slopes_of_range(whole, Fraction(eta)) if epsilon is None else slopes_within(whole, Fraction(epsilon))
    return RankChoice(Line("c0", 0, last, 1.0, integer=True), whole, 0, slopes, True)


def law(of: RankChoice, rows: list[int]) -> dict[tuple[int, ...], float]:
    """The joint law by its definition: every position of every node, one after another."""
    positions, _, counts = ranks._spread(runs(rows), of.fine) if rows else ([], None, [])
    stood = sorted(p for p, n in zip(positions, counts, strict=True) for _ in range(int(n)))
    last = (of.line.last + 1) * of.fine - 1
    nodes, gamma = ranks._nodes(of.parts, of.slopes)
    left_of = {-1: False, **{at: 2 * num < den for at, _, _, num, den, _ in nodes.tolist()}}
    so_far: dict[tuple[tuple[int, int], ...], float] = {(): 1.0}
    for (at, left, right, num, den, shift), g in zip(nodes.tolist(), gamma.tolist(), strict=True):
        after: dict[tuple[tuple[int, int], ...], float] = {}
        for chosen, chance in so_far.items():
            known = dict(chosen)
            lo, hi = known.get(left, 0), known.get(right, last) if right >= 0 else last
            mine = [
                p
                for p in stood
                if (left < 0 or p > known[left] or (p == known[left] and not left_of[left]))
                and (right < 0 or p < known[right] or (p == known[right] and left_of[right]))
            ]
            target = num * len(mine) + (1 if num == 0 else -1) * min(shift, den * len(mine) // 2)
            weights = []
            for p in range(lo, hi + 1):
                under, upto = den * sum(q < p for q in mine), den * sum(q <= p for q in mine)
                weights.append(math.exp(-g * max(0, under - target, target - upto)))
            for p, weight in zip(range(lo, hi + 1), weights, strict=True):
                key = (*chosen, (at, p))
                after[key] = after.get(key, 0.0) + chance * weight / sum(weights)
        so_far = after
    out: dict[tuple[int, ...], float] = {}
    for chosen, chance in so_far.items():
        answer = tuple(p for _, p in sorted(chosen))
        out[answer] = out.get(answer, 0.0) + chance
    return out


SEVERAL = [[0.25, 0.5], [0, 0.5, 1], [0.9, 1], [0.1, 0.2, 0.3], [0.5, 0.8, 0.9], [0.2, 0.4, 0.6, 0.8]]


@pytest.mark.parametrize("fine", [1, 2])
@pytest.mark.parametrize("parts", [[0.5], [0.1], [0.7], [0], [1], *SEVERAL])
@pytest.mark.parametrize("eta", [0.3, 1.5])
def test_between_neighbours_no_chance_moves_by_more_than_it_costs(
    monkeypatch: pytest.MonkeyPatch, parts: list[float], eta: float, fine: int
) -> None:
    monkeypatch.setattr(ranks, "FINE", fine)
    last = 3 if len(parts) > 1 else 5
    levels = len(parts).bit_length()
    draw = np.random.default_rng(1)
    tables = [[], [0], [3], [1] * 6, [last] * 5, [0] * 5, *(draw.integers(0, 4, n).tolist() for n in (3, 5, 8))]
    for of, most in [(choice(last, parts, eta), eta * levels), (choice(last, parts, 0, eta), eta)]:
        worst = 0.0
        for rows in tables:
            here = law(of, rows)
            for more in itertools.chain(([v] for v in range(4)), [[0, 3], [2, 2]]):
                there = law(of, rows + more)
                losses = [math.log(there[each] / here[each]) for each in here]
                assert max(map(abs, losses)) <= most * len(more) * (1 + 1e-9)
                # The bounded range, by which a single choice costs eta**2/8 of rho.
                if levels == 1:
                    assert max(losses) - min(losses) <= eta * len(more) * (1 + 1e-9)
                worst = max(worst, max(map(abs, losses)) / len(more))
        assert worst > most / 4  # the check has teeth: much less noise would not pass it


@pytest.mark.parametrize("m", [1, 2, 3, 9, 19, 100, 1000])
def test_a_budget_is_divided_exactly_along_every_path(m: int) -> None:
    draw = np.random.default_rng(m)
    for parts in [np.arange(1, m + 1) / (m + 1), np.sort(draw.choice(10**6, m, replace=False)) / 10**6]:
        whole = tuple(round(part * BILLION) for part in parts)
        slopes = dict(zip((node.at for node in tree(whole)), divided(whole), strict=True))
        nodes = {node.at: node for node in tree(whole)}
        costs, ranges = [], []
        for gap in range(m + 1):  # a row between two quantiles, or at an end
            spent, squared, sides = Fraction(0), Fraction(0), (0, m)
            while sides[0] < sides[1]:
                node = nodes[(sides[0] + sides[1]) // 2]
                right = gap > node.at
                spent += slopes[node.at] * node.costs[right]
                squared += (slopes[node.at] * node.range) ** 2
                sides = node.sides[right]
            costs.append(spent)
            ranges.append(squared)
        assert max(costs) == 1 and max(ranges) == squares(whole, divided(whole)) and min(slopes.values()) > 0


@pytest.mark.parametrize("m", [1, 2, 3, 5, 9, 19, 40])
def test_no_other_division_of_a_budget_has_less_error(m: int) -> None:
    parts = tuple(round(i * BILLION / (m + 1)) for i in range(1, m + 1))
    slopes = divided(parts)

    def error(slopes: Any) -> float:
        scaled = [float(c / epsilon(parts, slopes)) for c in slopes]
        return sum(node.weight / c**2 for node, c in zip(tree(parts), scaled, strict=True))

    least = error(slopes)
    draw = np.random.default_rng(m)
    for size in (0.001, 0.01, 0.1, 0.5):
        for _ in range(10):
            moved = [Fraction(round(c * 2**40 * (1 + size * draw.uniform(-1, 1))), 2**40) for c in slopes]
            assert error(moved) >= least * (1 - 1e-7)
    levels = [Fraction(1, m.bit_length()) / node.range for node in tree(parts)]
    equal = sum(node.weight / float(c) ** 2 for node, c in zip(tree(parts), levels, strict=True))
    assert equal >= least * (1 - 1e-9) and (m < 9 or equal > 1.1 * least)  # what an equal range for every level has


@pytest.mark.parametrize("named", ["numbers", "addresses"])
@pytest.mark.parametrize(("parts", "rows"), [([0.5], [0, 2, 2, 5, 9]), ([0.2], []), ([0], [3, 4, 4, 6] * 3)])
def test_what_is_drawn_has_the_law_and_no_other(parts: list[float], rows: list[int], named: str) -> None:
    of, n = choice(9, parts, 0.8), 40_000
    addresses = None if named == "numbers" else np.random.default_rng(0).integers(0, 2**64, (n, 2), np.uint64)
    drawn = read(of.choose(runs(rows, n), KEY, 3, addresses)[0]).astype(int)
    seen = np.bincount(drawn, minlength=10)

    def p(scale: float) -> float:
        expected = law(choice(9, parts, 0.8 * scale), rows)
        return float(stats.chisquare(seen, [n * expected[position,] for position in range(10)]).pvalue)

    assert p(1) > 1e-9
    if rows:
        assert p(1.3) < 1e-9 and p(0.7) < 1e-9


def test_several_at_once_have_the_joint_law(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "FINE", 2)
    of, n, rows = choice(3, [0.25, 0.5, 0.9], 1.0), 60_000, [0, 1, 1, 1, 2, 3, 3]
    drawn = np.stack([read(each).astype(int) for each in of.choose(runs(rows, n), KEY, 0)], axis=1)

    def p(scale: float) -> float:
        expected: Counter[tuple[int, ...]] = Counter()
        for answer, chance in law(choice(3, [0.25, 0.5, 0.9], scale), rows).items():
            expected[tuple(position // 2 for position in answer)] += chance  # type: ignore[assignment]
        seen = Counter(map(tuple, drawn.tolist()))
        assert set(seen) <= set(expected)
        keys = sorted(expected)
        return float(stats.chisquare([seen[key] for key in keys], [n * expected[key] for key in keys]).pvalue)

    assert p(1) > 1e-9 and p(1.3) < 1e-9 and p(0.7) < 1e-9


@pytest.mark.parametrize("last", [1, 100, 2**20, 2**44])
@pytest.mark.parametrize("eta", [1e-3, 0.5, 40.0])
def test_the_filter_and_arbitrary_precision_agree(monkeypatch: pytest.MonkeyPatch, last: int, eta: float) -> None:
    draw = np.random.default_rng(last % 97)
    of = choice(last, [0, 0.1, 1 / 3, 0.5, 0.99], eta)
    n = 40
    tables = [np.sort(draw.integers(0, min(last, 50) + 1, draw.integers(0, 40))) for _ in range(n)]
    each = [np.unique(rows, return_counts=True) for rows in tables]
    begin = np.append(0, np.cumsum([len(positions) for positions, _ in each]))
    positions, counts = (np.concatenate([one[i] for one in each]).astype(np.int64) for i in (0, 1))
    addresses = draw.integers(0, 2**64, (n, 2), np.uint64)
    fast = [of.choose(Runs(np.arange(n) * 7, begin, positions, counts), KEY, 1, cells) for cells in (None, addresses)]

    def undecided(begin: Any, positions: Any, before: Any, last: Any, nodes: Any, gamma: Any, *rest: Any) -> None:
        rest[-1][:] = False

    monkeypatch.setattr(ranks, "choose", undecided)
    slow = [of.choose(Runs(np.arange(n) * 7, begin, positions, counts), KEY, 1, cells) for cells in (None, addresses)]
    for one, other in zip(fast, slow, strict=True):
        assert [a.tolist() for a in one] == [b.tolist() for b in other]
    assert any((a != b).any() for a, b in zip(*fast, strict=True)) or last == 1


def test_a_choice_at_an_address_is_the_same_among_others_and_without_rows() -> None:
    of, draw = choice(100, [0.1, 0.5], 0.5), np.random.default_rng(6)
    addresses = draw.integers(0, 2**64, (6, 2), np.uint64)
    every = of.choose(runs([3, 50, 70], 6), KEY, 2, addresses)
    for at in range(6):
        alone = of.choose(runs([3, 50, 70]), KEY, 2, addresses[[at]])
        assert [each[0] for each in alone] == [each[at] for each in every]
    # Of groups with no value the second pass chooses, of the words of the quantile's place.
    second = replace(of, at=1)
    unset = np.array([ranks.UNSET, 7, ranks.UNSET])
    done = second.add(unset, KEY, 2 + 1, cells=addresses[:3])
    nothing = of.choose(runs([], 3), KEY, 2, addresses[:3])[1]
    assert done.tolist() == [nothing[0], 7, nothing[2]]


def test_more_bits_are_drawn_until_a_choice_is_certain() -> None:
    nodes = ranks._nodes((BILLION // 2,), (1.0,))
    asked = []

    def more(place: int, turn: int) -> int:
        asked.append((place, turn))
        return 0 if turn < 2 else 12345

    words = np.array([[0, (1 << 64) // 3]], np.uint64)
    found = exactly(np.array([4]), np.array([1]), 8, nodes, words, more)
    assert 0 <= found[0] <= 8
    # A third of the first word's range is where one of three positions ends: more bits decide.
    assert exactly(np.empty(0, int), np.empty(0, int), 2, nodes, words, more)[0] in (0, 1) and asked


def test_a_shift_of_the_rows_and_the_scale_of_the_answer() -> None:
    """With plenty of budget a quantile lies between the rows around it; and a cell's number decides its words."""
    of = choice(1000, [0.5], 30.0)
    found = read(of.choose(runs([100, 200, 300, 400, 500], 500), KEY, 0)[0])
    assert ((found >= 300) & (found <= 300)).mean() > 0.99
    assert len(set(read(of.choose(runs([], 500), KEY, 0)[0]).tolist())) > 300


@pytest.mark.parametrize(("cost", "ratio"), [({"epsilon": 1}, 2.7), ({"rho": 0.05}, 1.3)])
def test_nine_of_one_list_are_closer_than_nine_one_by_one(cost: dict[str, float], ratio: float) -> None:
    draw = np.random.default_rng(2)
    values = np.sort(np.clip(draw.lognormal(3, 0.8, 1000), 0, 1000))
    private = pd.DataFrame({"x": values}).dp.protect()
    parts = [i / 10 for i in range(1, 10)]
    joint = private.agg(dp.quantile("x", parts, 0, 1000))
    apart = private.agg(**{f"q{part}": dp.quantile("x", part, 0, 1000) for part in parts})

    def error(query: Any) -> float:
        off = []
        for _ in range(60):
            answer = query.release(budget=dp.Budget(rho=9), **cost).iloc[0].to_numpy()
            off.append(np.abs(np.searchsorted(values, answer) / 1000 - parts).mean())
        return float(np.median(off))

    together = error(joint)
    assert error(apart) / together > ratio
    assert together < 0.007  # less than half a per cent of 1000 rows, with room for 60 draws


def test_equal_rows_do_not_pull_the_others_along() -> None:
    """Half of the rows are one value: the quantiles on both sides of it are still where they should be."""
    rows = np.repeat([0, 5, 9], [3000, 5000, 2000])
    private = pd.DataFrame({"x": rows}).dp.protect()
    query = private.agg(dp.quantile("x", [0.25, 0.35, 0.5, 0.75, 0.85], 0, 10))
    answer = query.release(epsilon=2, budget=dp.Budget(epsilon=2)).iloc[0].tolist()
    assert answer == [0, 5, 5, 5, 9]


def test_a_least_value_is_one_of_the_least_rows() -> None:
    draw = np.random.default_rng(5)
    ages = draw.integers(18, 91, 2000)
    query = pd.DataFrame({"age": ages}).dp.protect().agg(dp.min("age", 0, 150), dp.max("age", 0, 150))
    ends = np.array([query.release(epsilon=2, budget=dp.Budget(epsilon=2)).iloc[0] for _ in range(60)])
    # Some 60 years of each 10,000 are above all rows, and as many weigh as one near the target.
    assert ((ends[:, 0] >= 18) & (ends[:, 0] <= 21)).mean() > 0.85
    assert ((ends[:, 1] >= 87) & (ends[:, 1] <= 90)).mean() > 0.85


@pytest.mark.parametrize(("law", "cost"), [("even", {"epsilon": 1}), ("log-normal", {"rho": 0.05})])
def test_ranks_are_typically_as_far_off_as_is_said(law: str, cost: dict[str, float]) -> None:
    draw, parts, rows, off = np.random.default_rng(7), [i / 10 for i in range(1, 10)], 3000, []
    values = np.sort(draw.uniform(0, 1000, rows) if law == "even" else np.clip(draw.lognormal(3, 0.8, rows), 0, 1000))
    query = pd.DataFrame({"x": values}).dp.protect().quantile("x", parts, 0, 1000)
    for _ in range(300):
        released = query.release(budget=dp.Budget(rho=9), ci=0.9, **cost)
        off.append(np.abs(np.searchsorted(values, released.iloc[0].to_numpy()) - rows * np.array(parts)))
    said = [released.dp.release_info()[name].statistics[0] for name in released.columns]
    within = [float((np.array(off) <= [scale * each.typical for each in said]).mean()) for scale in (0.6, 1, 2.2)]
    assert within[0] < 0.84 < within[1] < 0.965 < within[2]
    assert (np.array(off) <= [each.half_width for each in said]).all()
    assert query.error(ci=0.9, **cost)["ranks"].tolist() == [each.typical for each in said]


def test_costs_add_up_to_what_was_asked() -> None:
    from dpframe.accounting.costs import cost
    from dpframe.privacy import analyse, calibrate

    private = pd.DataFrame({"x": [1.0], "u": ["a"]}).dp.protect(id="u").bound(groups=3, rows_per_group=2)
    query = private.agg(q=dp.quantile("x", [0.1, 0.2, 0.3, 0.4], 0, 1), n=dp.count(), m=dp.median("x", 0, 1))
    measured = analyse(query.question)
    for asked in (cost(epsilon=1), cost(rho=0.5), cost(mu=1), cost(epsilon=1, delta=1e-6)):
        calibrated = calibrate(measured, asked)
        chosen = [each for each in calibrated if isinstance(each.mechanism, RankChoice) and each.event is not None]
        assert len(chosen) == 2  # the list, and the median
        slopes = [tuple(map(Fraction, each.mechanism.slopes)) for each in chosen]  # type: ignore[union-attr]
        if "epsilon" in str(asked):
            spent = sum(
                epsilon(each.measured.statistic.parts, own) * each.measured.l1  # type: ignore[union-attr]
                for each, own in zip(chosen, slopes, strict=True)
            )
            assert spent <= Fraction(2, 3) and float(spent) == pytest.approx(2 / 3)
        if "rho" in str(asked):
            spent = sum(
                squares(each.measured.statistic.parts, own) * each.measured.l2_squared / 8  # type: ignore[union-attr]
                for each, own in zip(chosen, slopes, strict=True)
            )
            assert spent <= Fraction(1, 3) and float(spent) == pytest.approx(1 / 3)
        assert calibrated[0].mechanism.slopes == calibrated[3].mechanism.slopes
