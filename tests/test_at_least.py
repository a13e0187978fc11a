"""``release(at_least=T)``: the law is that of noising every cell and dropping those below T, on any key set."""

from __future__ import annotations

import dataclasses
import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

import dpframe as dp
import dpframe.release
from dpframe.answer import STREAMS
from dpframe.errors import KeysError, PlanError
from dpframe.kernels import cell_key, words, words_at
from dpframe.mechanisms.integer import hashes
from dpframe.result import loads

SIDE = 300
COUNTS = (0, 0, 3, 0, 7, 0, 0, 1)
"""Rows of cells 0, 1, …, over and over: one true count for each class of cells."""


def table() -> pd.DataFrame:
    """90,000 cells with those counts."""
    cells = np.repeat(np.arange(SIDE**2), np.resize(COUNTS, SIDE**2))
    return pd.DataFrame({"a": cells // SIDE, "b": cells % SIDE, "x": np.ones(cells.size)})


def grid(frame: pd.DataFrame, **aggregates: Any) -> Any:
    keys = dp.keys({"a": range(SIDE)}) * dp.keys({"b": range(SIDE)})
    return frame.dp.protect().groupby("a", "b", keys=keys).agg(**(aggregates or {"n": dp.count()}))


def beyond(k: np.ndarray, scale: float, gaussian: bool) -> np.ndarray:
    """P(noise ≥ k) for any integer k."""
    if gaussian:
        return special.ndtr(-(k - 0.5) / scale)
    up = np.exp(-np.abs(k) / scale) / (1 + np.exp(-1 / scale))
    return np.where(k >= 1, up, 1 - np.exp(-(1 - k) / scale) / (1 + np.exp(-1 / scale)))


def p_value(released: pd.DataFrame, least: int, scale: float, gaussian: bool) -> float:
    """χ² over true count × outcome, an outcome being "left out" or the noisy count, against noise on every cell."""
    truth = np.resize(COUNTS, SIDE**2)
    outcome = np.zeros(SIDE**2, np.int64)
    reach = 12
    outcome[released["a"] * SIDE + released["b"]] = np.minimum(released["n"] - least, reach) + 1
    statistic, freedom = 0.0, 0
    for count in sorted(set(COUNTS)):
        seen = np.bincount(outcome[truth == count], minlength=reach + 2).astype(float)
        above = beyond(np.arange(least, least + reach + 1) - count, scale, gaussian)
        expected = seen.sum() * np.concatenate([[1 - above[0]], above[:-1] - above[1:], above[-1:]])
        # Outcomes that are hardly expected go together with the one before.
        while len(expected) > 2 and expected[-1] < 20:
            seen, expected = (np.append(each[:-2], each[-2:].sum()) for each in (seen, expected))
        statistic += ((seen - expected) ** 2 / np.maximum(expected, 1e-9)).sum()
        freedom += len(expected) - 1
    return float(stats.chi2.sf(statistic, freedom))


COSTS = [("epsilon", 0.5, 2.0), ("rho", 0.125, 2.0)]
"""A cost and the scale of the noise of a count at it."""


@pytest.mark.parametrize(("kind", "cost", "scale"), COSTS)
@pytest.mark.parametrize("least", [1, 3, 8])
def test_the_law_is_that_of_noising_all_cells_and_dropping_some(
    kind: str, cost: float, scale: float, least: int
) -> None:
    gaussian = kind == "rho"
    released = grid(table()).release(**{kind: cost}, at_least=least, budget=dp.Budget(rho=9))
    assert released["n"].min() == least
    assert p_value(released, least, scale, gaussian) > 1e-9
    for wrong in (0.7 * scale, 1.3 * scale):
        assert p_value(released, least, wrong, gaussian) < 1e-9
    # A threshold that is off by one, either way.
    assert p_value(released[released["n"] > least], least, scale, gaussian) < 1e-9
    assert p_value(released.assign(n=released["n"] + 1), least + 1, scale, gaussian) < 1e-9


def test_the_same_test_passes_what_it_describes() -> None:
    """All cells, noised and filtered by hand."""
    released = grid(table()).release(epsilon=0.5, budget=dp.Budget(epsilon=9))
    assert p_value(released[released["n"] >= 3], 3, 2.0, False) > 1e-9


def test_whether_an_empty_cell_comes_out_tells_nothing_of_its_neighbours() -> None:
    released = grid(table()).release(epsilon=0.5, at_least=1, budget=dp.Budget(epsilon=9))
    out = np.zeros(SIDE**2, np.int64)
    out[released["a"] * SIDE + released["b"]] = 1
    by_eight = out.reshape(-1, 8)
    p = {count: beyond(np.int64(1 - count), 2.0, False) for count in set(COUNTS)}
    # Two empty cells, an empty one and one with rows, and so on, in a block of eight and across two.
    for i, j, shift in [(0, 1, 0), (1, 2, 0), (2, 3, 0), (5, 6, 0), (3, 5, 0), (6, 0, 1), (7, 0, 1), (4, 4, 1)]:
        left, right = by_eight[: len(by_eight) - shift, i], by_eight[shift:, j]
        seen = np.bincount(2 * left + right, minlength=4)
        one, other = p[COUNTS[i]], p[COUNTS[j]]
        expected = left.size * np.outer([1 - one, one], [1 - other, other]).ravel()
        assert stats.chi2.sf(((seen - expected) ** 2 / expected).sum(), 3) > 1e-9


@pytest.mark.parametrize(("kind", "cost", "scale"), [("epsilon", 1, 2.0), ("rho", 0.25, 2.0)])
def test_the_other_answers_have_noise_of_their_own(kind: str, cost: float, scale: float) -> None:
    gaussian = kind == "rho"
    query = grid(table(), n=dp.count(), s=dp.sum("x", 0, 1))
    released = query.release(**{kind: cost}, at_least={"n": 3}, budget=dp.Budget(rho=9))
    truth = np.resize(COUNTS, SIDE**2)[released["a"] * SIDE + released["b"]]
    for count in (0, 3):
        # Of float sums the grid is fine: bins of the continuous law. Each share is a half, so the scale is twice.
        noise = released["s"][truth == count] - count
        law = stats.norm(scale=scale) if gaussian else stats.laplace(scale=scale)
        assert stats.kstest(noise, law.cdf).pvalue > 1e-9
        for wrong in (0.7, 1.3):
            assert stats.kstest(noise / wrong, law.cdf).pvalue < 1e-9
    empty = released[truth == 0]
    assert stats.spearmanr(empty["n"], empty["s"]).pvalue > 1e-9


@pytest.mark.parametrize(
    ("least", "steps"), [(2, 2), (2.5, 3), (Fraction(5, 2), 3), (Decimal("2.000001"), 3), (1e-9, 1)]
)
def test_a_threshold_between_whole_numbers_is_the_next(least: Any, steps: int) -> None:
    released = grid(table()).release(epsilon=1, at_least=least, budget=dp.Budget(epsilon=9))
    assert released["n"].min() == steps


def test_a_sum_of_floats_decides_on_its_own_grid() -> None:
    query = grid(table().assign(x=0.3), s=dp.sum("x", 0, 1))
    released = query.release(epsilon=2, at_least=1.25, budget=dp.Budget(epsilon=9))
    assert 1.25 <= released["s"].min() < 1.26
    assert len(released) == pytest.approx(
        sum(beyond_float(1.25 - 0.3 * count, 0.5) for count in COUNTS) * SIDE**2 / len(COUNTS), rel=0.05
    )
    exact = query.release(budget=dp.Budget.unlimited(), at_least=0.9 - 2**-20)
    assert len(exact) == SIDE**2 * 2 // len(COUNTS)


def beyond_float(x: float, scale: float) -> float:
    return float(stats.laplace(scale=scale).sf(x))


def test_without_noise_exactly_the_large_cells_come_out() -> None:
    released = grid(table()).release(budget=dp.Budget.unlimited(), at_least=3)
    everything = grid(table()).release(budget=dp.Budget.unlimited())
    large = everything[everything["n"] >= 3].reset_index(drop=True)
    pd.testing.assert_frame_equal(released, large)
    assert not released.dp.release_info().private


def ungrouped(frame: pd.DataFrame) -> Any:
    return frame.dp.protect().agg(n=dp.count(), x=dp.sum("x", 0, 1), m=dp.mean("x", 0, 1))


BAD: list[tuple[Any, str]] = [
    (0, "above 0"),
    (-3, "filter the released frame"),
    (-1e-300, "above 0"),
    (math.nan, "positive number"),
    (math.inf, "positive number"),
    (-math.inf, "positive number"),
    (Decimal("NaN"), "positive number"),
    (True, "positive number"),
    (np.True_, "positive number"),
    ("40", "positive number"),
    ([40], "positive number"),
    (3j, "positive number"),
    (1e30, "more than any answer"),
    (10**400, "more than any answer"),
]


@pytest.mark.parametrize(("bad", "says"), BAD, ids=lambda value: repr(value)[:20])
def test_what_is_no_threshold_is_refused_before_the_charge(bad: Any, says: str) -> None:
    query = ungrouped(table())
    with dp.Budget(epsilon=1) as budget:
        for attempt in (query.release, query.explain):
            with pytest.raises(PlanError, match=says):
                attempt(epsilon=1, at_least={"n": bad})
        assert budget.spent == 0


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (40, "which one decides"),
        ({}, "one answer"),
        ({"n": 1, "x": 1}, "one answer"),
        ({"m": 0.5}, "only a count or a sum"),
        ({"y": 1}, "none of the answers: n, x, m"),
        ({3: 1}, "none of the answers"),
    ],
    ids=str,
)
def test_what_cannot_decide_is_refused_before_the_charge(bad: Any, says: str) -> None:
    with dp.Budget(epsilon=1) as budget:
        with pytest.raises(PlanError, match=says):
            ungrouped(table()).release(epsilon=1, at_least=bad)
        assert budget.spent == 0


def wide(side: int) -> Any:
    keys = dp.keys({"a": range(side)}) * dp.keys({"b": range(side)})
    return pd.DataFrame({"a": [1, 2, 2], "b": [3, 4, 4]}).dp.protect().groupby("a", "b", keys=keys)


def test_too_many_cells_are_refused_before_the_charge_with_what_would_do() -> None:
    query = wide(20_000).count()
    with dp.Budget(epsilon=1) as budget:
        with pytest.raises(KeysError, match=r"400,000,000 keys .*at_least=40"):
            query.release(epsilon=1)
        with pytest.raises(KeysError, match=r"about 107,576,569 of 400,000,000 .*at_least=2 or more") as refused:
            query.release(epsilon=1, at_least=1)
        assert "spend more" in str(refused.value)
        assert budget.spent == 0
        for cost in ({"epsilon": 0.01}, {"rho": 1e-4}):
            with pytest.raises(KeysError) as refused:
                query.release(**cost, at_least=3)
            enough = int(str(refused.value).split("at_least=")[1].split()[0])
            query.explain(**cost, at_least=enough)
            with pytest.raises(KeysError):
                query.explain(**cost, at_least=enough - 1)
        assert budget.spent == 0


def test_key_sets_beyond_any_table_are_grouped_counted_and_released() -> None:
    for side in (2**16, 2**20):
        grouped = wide(side)
        assert len(grouped.keys) == side**2
        released = grouped.agg(n=dp.count()).release(epsilon=1, at_least=200, budget=dp.Budget(epsilon=1))
        assert list(released.columns) == ["a", "b", "n"] and len(released) == 0
        exact = grouped.agg(n=dp.count()).release(at_least=2, budget=dp.Budget.unlimited())
        assert exact.to_dict("list") == {"a": [2], "b": [4], "n": [2]}
    names = list("abcd")
    private = pd.DataFrame(np.zeros((1, 4), np.int64), columns=names).dp.protect()
    with pytest.raises(KeysError, match=r"must be below 2\*\*62"):
        private.groupby(*names, keys={name: range(2**16) for name in names})


def test_the_metadata_say_what_came_out_and_how_much_of_it_is_noise(capsys: pytest.CaptureFixture[str]) -> None:
    query = grid(table(), n=dp.count(), s=dp.sum("x", 0, 1))
    with dp.Budget(epsilon=1) as budget:
        info = query.release(epsilon=1, at_least={"n": 15}).dp.release_info()
        assert (info.at_least.answer, info.at_least.value) == ("n", 15)
        assert info.at_least.by_noise == pytest.approx(SIDE**2 * float(beyond(np.int64(15), 2.0, False)))
        assert "shown   n of at least 15; about 31 of them by noise alone" in str(info)
        assert "n of at least 15" in budget.history()["query"].iloc[0]
    assert loads(info.json) == info
    plain = dataclasses.replace(info, at_least=None)
    assert loads(plain.json) == plain and "shown" not in str(plain)
    # What was written before there was a threshold is still read.
    assert loads(plain.json.replace(', "at_least": null', "")) == plain
    query.explain(epsilon=1, at_least={"n": 15})
    query.explain(at_least={"n": 15})
    shown = capsys.readouterr().out
    assert shown.count("shown   n of at least 15") == 2 and shown.count("about 31 of them by noise alone") == 1


def test_types_do_not_depend_on_which_keys_came_out() -> None:
    frame = pd.DataFrame({"i": pd.array([1, 1, None], "Int64"), "b": pd.array([True, True, None], "boolean")})
    keys = dp.keys({"i": [1, 2, None]}) * dp.keys({"b": [True, False, None]})
    query = frame.dp.protect().groupby("i", "b", keys=keys).agg(n=dp.count())
    types = [
        dict(query.release(budget=dp.Budget.unlimited(), **options).dtypes.astype(str))
        for options in ({}, {"at_least": 1}, {"at_least": 2}, {"at_least": 3})
    ]
    assert types == [{"i": "Int64", "b": "object", "n": "int64"}] * 4


@st.composite
def questions(draw: st.DrawFn) -> tuple[pd.DataFrame, Any]:
    """A few rows, and a factored key set over two or three of their columns in some order."""
    names = draw(st.permutations(["a", "b", "c"]))[: draw(st.integers(2, 3))]
    values = st.lists(st.integers(0, 5), min_size=1, max_size=5, unique=True)
    if draw(st.booleans()):
        pairs = draw(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=6))
        keys = dp.keys(pd.DataFrame(pairs, columns=names[:2]))
        for name in names[2:]:
            keys = keys * dp.keys({name: draw(values)})
    else:
        keys = dp.keys({name: draw(values) for name in names})
    rows = draw(st.lists(st.tuples(*[st.integers(0, 5)] * 3), max_size=30))
    frame = pd.DataFrame(rows, columns=["a", "b", "c"], dtype=np.int64)
    return frame, frame.dp.protect().groupby(*draw(st.permutations(names)), keys=keys).agg(n=dp.count())


@settings(max_examples=60, deadline=None)
@given(questions(), st.integers(1, 4), st.sampled_from([{"epsilon": 1.0}, {"rho": 0.5}]))
def test_rows_are_keys_in_order_and_reach_the_threshold(question: Any, least: int, cost: Any) -> None:
    _, query = question
    everything = query.release(budget=dp.Budget.unlimited())
    exact = query.release(budget=dp.Budget.unlimited(), at_least=least)
    pd.testing.assert_frame_equal(exact, everything[everything["n"] >= least].reset_index(drop=True))
    noisy = query.release(**cost, at_least=least, budget=dp.Budget(rho=9))
    assert (noisy["n"] >= least).all() and list(noisy.dtypes) == list(everything.dtypes)
    by = list(everything.columns[:-1])
    # A subsequence of all keys, in their order.
    place = everything.reset_index().set_index(by)["index"]
    at = [int(place.loc[tuple(row)]) for row in noisy[by].itertuples(index=False)]
    assert at == sorted(set(at))


def test_no_word_is_read_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams of a release by position, and the keys under which its cells are named, have no word in common."""
    key, n = bytes(range(32)), 100_000
    runs = [words(key, stream, 0, n) for stream in (*STREAMS, 0, 1, 2)]
    runs += [words_at(cell_key(key, stream), hashes(np.arange(n))) for stream in (0, 1, 2)]
    together = np.concatenate(runs)
    assert np.unique(together).size == together.size

    # What a release reads: two streams by position, and for each statistic names of its own.
    read: list[tuple[Any, ...]] = []
    place = dpframe.kernels.sampler.Place

    def spy(*arguments: Any) -> Any:
        read.append(arguments[1:])
        return place(*arguments)

    of = place.of

    def spy_of(key: Any, stream: int, start: int, n: int, cells: Any = None) -> Any:
        read.append((stream, "by name" if cells is not None else "by position"))
        return of(key, stream, start, n, cells)

    monkeypatch.setattr("dpframe.kernels.exceeding.Place", spy)
    monkeypatch.setattr(place, "of", staticmethod(spy_of))
    query = grid(table(), n=dp.count(), s=dp.sum("x", 0, 1))
    query.release(epsilon=1, at_least={"s": 9}, budget=dp.Budget(epsilon=1))
    assert read == [(STREAMS[0], "by position"), (STREAMS[1], 0), (1, "by name"), (0, "by name")]


def test_two_releases_differ_and_one_key_repeats(monkeypatch: pytest.MonkeyPatch) -> None:
    query, budget = grid(table()), dp.Budget(epsilon=9)
    first, second = (query.release(epsilon=1, at_least=5, budget=budget) for _ in range(2))
    assert not first.equals(second)
    monkeypatch.setattr(dpframe.release, "fresh_key", lambda size: bytes(size))
    first, second = (query.release(epsilon=1, at_least=5, budget=budget) for _ in range(2))
    pd.testing.assert_frame_equal(first, second)
    # More rows in some cells move no other cell.
    more = grid(pd.concat([table(), table().query("a < 10")])).release(epsilon=1, at_least=5, budget=budget)
    pd.testing.assert_frame_equal(
        more[more["a"] >= 10].reset_index(drop=True), first[first["a"] >= 10].reset_index(drop=True)
    )
