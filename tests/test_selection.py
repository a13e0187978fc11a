"""Private partition selection: (ε, δ) on exact laws for all small neighbours, and the law of what comes out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

import dpframe as dp
from dpframe.accounting.conversions import gaussian_within
from dpframe.backends import pandas as engine
from dpframe.errors import KeysError, MechanismError, MissingBoundError
from dpframe.kernels.exceeding import GaussianTail, LaplaceTail
from dpframe.mechanisms.selection import ONE, TruncatedGeometric
from dpframe.plan import Column, Count, Distinct, GroupBound, RowBound, Type, Unit
from dpframe.privacy.selection import SAME_ADDRESS, Reach, least_count, reach, select
from dpframe.release import request

REACHES = [
    Reach(1, 1, 1),
    Reach(1, 3, 3),
    Reach(2, 1, 2),
    Reach(2, 2, 4),
    Reach(2, 2, 3),
    Reach(3, 1, 3),
    Reach(2, 2, 2),
]
BEYOND = 60
"""Values above the threshold that are told apart; the rest of both tails is below 1e-10."""


def beyond(k: np.ndarray, scale: float, gaussian: bool) -> np.ndarray:
    """P(noise ≥ k) for any integer k."""
    if gaussian:
        return special.ndtr(-(k - 0.5) / scale)
    up = np.exp(-np.abs(k) / scale) / (1 + np.exp(-1 / scale))
    return np.where(k >= 1, up, 1 - np.exp(-(1 - k) / scale) / (1 + np.exp(-1 / scale)))


def shown(count: int, least: int, scale: float, gaussian: bool) -> np.ndarray:
    """The law of what a release says of one group: nothing, or a noisy count of at least ``least``."""
    if not count:
        return np.eye(1, BEYOND + 2)[0]
    above = beyond(np.arange(least, least + BEYOND + 1) - count, scale, gaussian)
    return np.concatenate([[1 - above[0]], above[:-1] - above[1:], above[-1:]])


def units(of: Reach) -> Iterator[tuple[int, ...]]:
    """All that one unit may have in three groups, or in as many as it reaches."""
    for rows in itertools.product(range(of.rows + 1), repeat=max(2, of.groups)):
        if 0 < sum(rows) <= of.total and sum(map(bool, rows)) <= of.groups:
            yield rows


def distance(one: np.ndarray, other: np.ndarray, epsilon: float) -> float:
    """The least δ for which both laws are (ε, δ)-close."""
    odds = math.exp(epsilon)
    return float(max(np.maximum(one - odds * other, 0).sum(), np.maximum(other - odds * one, 0).sum()))


def worst(of: Reach, law: Any, epsilon: float, counts: range) -> float:
    """The most δ that any pair of neighbours needs, over all tables with those counts of rows."""
    found = 0.0
    for unit in units(of):
        for table in itertools.product(counts, repeat=len(unit)):
            both = []
            for rows in (table, tuple(a + b for a, b in zip(table, unit, strict=True))):
                joint = np.ones(1)
                for count in rows:
                    joint = np.multiply.outer(joint, law(count)).ravel()
                both.append(joint)
            found = max(found, distance(*both, epsilon))
    return found


@pytest.mark.parametrize("of", REACHES, ids=str)
@pytest.mark.parametrize(("epsilon", "delta"), [(1.0, 0.05), (2.5, 0.01)])
def test_a_laplace_threshold_is_private_and_the_least(of: Reach, epsilon: float, delta: float) -> None:
    scale = of.total / epsilon
    least = least_count(LaplaceTail(scale), of, Fraction(delta))
    counts = range(3 if of.groups < 3 else 2)
    assert worst(of, lambda count: shown(count, least, scale, False), epsilon, counts) <= delta + 1e-9
    if of.total == of.groups * of.rows or of.rows == 1:
        # One less, and a unit all of whose groups are its own is seen too often.
        assert worst(of, lambda count: shown(count, least - 1, scale, False), epsilon, range(1)) > delta


@pytest.mark.parametrize("of", REACHES, ids=str)
@pytest.mark.parametrize(("epsilon", "delta"), [(1.0, 0.05), (2.5, 0.01)])
def test_a_gaussian_threshold_is_private_and_the_least(of: Reach, epsilon: float, delta: float) -> None:
    squared = max(sum(rows**2 for rows in unit) for unit in units(of))
    scale = math.sqrt(squared / float(gaussian_within(Fraction(epsilon), Fraction(delta) / 2)))
    least = least_count(GaussianTail(scale), of, Fraction(delta) / 2)
    counts = range(3 if of.groups < 3 else 2)
    assert worst(of, lambda count: shown(count, least, scale, True), epsilon, counts) <= delta + 1e-9
    if of.total == of.groups * of.rows or of.rows == 1:
        lone = 1 - (1 - beyond(np.int64(least - 1 - of.rows), scale, True)) ** of.groups
        assert lone > delta / 2


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 12)),
    st.floats(0.4, 20),
    st.floats(1e-9, 0.3),
    st.booleans(),
)
def test_no_unit_is_seen_by_its_own_groups_alone(
    limits: tuple[int, int, int], scale: float, delta: float, gaussian: bool
) -> None:
    """Every way to spread the rows of one unit over groups that are its own."""
    groups, rows, total = limits
    of = Reach(min(groups, total), min(rows, total), min(total, groups * rows))
    tail = GaussianTail(scale) if gaussian else LaplaceTail(scale)
    least = least_count(tail, of, Fraction(delta))
    for count in range(1, of.groups + 1):
        for spread in itertools.combinations_with_replacement(range(1, of.rows + 1), count):
            if sum(spread) <= of.total:
                seen = 1 - np.prod([1 - beyond(np.int64(least - v), scale, gaussian) for v in spread])
                assert seen <= delta * (1 + 1e-9)


@pytest.mark.parametrize("of", REACHES, ids=str)
@pytest.mark.parametrize(("epsilon", "delta"), [(1.0, 0.05), (3.0, 0.001), (0.5, 0.2)])
def test_truncated_geometric_choices_are_private(of: Reach, epsilon: float, delta: float) -> None:
    law = TruncatedGeometric.calibrate(Fraction(epsilon), Fraction(delta), of.groups, of.rows, of.total)

    def choice(count: int) -> np.ndarray:
        return np.array([1 - law.chance(count), law.chance(count)])

    most = law.certain + of.rows + 1
    counts = range(most) if of.groups == 1 else range(0, most, max(1, most // 7))
    assert worst(of, choice, epsilon, counts) <= delta + 1e-9
    assert law.chance(law.certain - 1) < 1 == law.chance(law.certain) == law.chance(10**9)
    assert law.chance(law.even) >= 0.5


@pytest.mark.parametrize(("epsilon", "delta"), [("1", "1e-5"), ("0.01", "1e-9"), ("3.7", "0.1"), ("1/3", "1e-17")])
def test_truncated_geometric_chances_are_exact_and_the_best(epsilon: str, delta: str) -> None:
    """The very numbers that decide keep to the inequalities, by rational arithmetic; any more would break one."""
    law = TruncatedGeometric(Fraction(epsilon), Fraction(delta))
    chances = [int(each) for each in law.chances]
    # e^ε from below, by its series.
    odds, term = Fraction(0), Fraction(1)
    for n in range(1, 60):
        odds, term = odds + term, term * law.epsilon / n
    slack = Fraction(1, 2**40)
    few = {*range(1, min(len(chances), 200)), *range(max(1, len(chances) - 200), len(chances))}
    for n in few:
        before, now = Fraction(chances[n - 1], ONE), Fraction(chances[n], ONE)
        assert now <= odds * before + law.delta
        assert 1 - before <= odds * (1 - now) + law.delta
        if now < 1:
            more = now + max(slack * now, slack * (1 - now), Fraction(8, ONE))
            assert more > odds * before + law.delta or 1 - before > odds * (1 - more) + law.delta
    assert chances[0] == 0
    assert sorted(chances) == chances
    assert chances[-1] == ONE


def test_what_is_too_small_to_choose_by_is_refused() -> None:
    with pytest.raises(MechanismError, match="too small to select groups"):
        least_count(LaplaceTail(1.0), Reach(1, 1, 1), 2 * SAME_ADDRESS)
    assert least_count(LaplaceTail(1.0), Reach(1, 1, 1), 3 * SAME_ADDRESS) > 30
    with pytest.raises(MechanismError, match="no group at all"):
        _ = TruncatedGeometric(Fraction(1), Fraction(1, 10**20)).chances
    with pytest.raises(MechanismError, match="more than a million rows"):
        _ = TruncatedGeometric(Fraction(1, 10**9), Fraction(1, 10**12)).chances


USER, DAY, TOWN = (Column(name, f"c{at}", Type.STRING) for at, name in enumerate(("user", "day", "town")))


@pytest.mark.parametrize(
    ("unit", "bounds", "by", "expected"),
    [
        (Unit(rows=3), [], {"c1"}, Reach(3, 3, 3)),
        (Unit(rows=2, groups=5, grouping=DAY), [], {"c1"}, Reach(5, 2, 10)),
        (Unit(rows=2, groups=5, grouping=DAY), [], {"c2"}, Reach(10, 10, 10)),
        (Unit(rows=2, groups=5, grouping=DAY), [], {"c1", "c2"}, Reach(10, 2, 10)),
        (Unit(USER), [RowBound(7)], {"c1"}, Reach(7, 7, 7)),
        (Unit(USER), [GroupBound(4, 2)], {"c1"}, Reach(4, 2, 8)),
        (Unit(USER), [GroupBound(4, 2), RowBound(5)], {"c1"}, Reach(4, 2, 5)),
        (Unit(USER), [GroupBound(4, 2, (DAY, TOWN))], {"c1"}, Reach(4, 8, 8)),
        (Unit(USER), [GroupBound(4, 2, (DAY,))], {"c1", "c2"}, Reach(8, 2, 8)),
        (Unit(USER), [GroupBound(4, 2, (DAY,)), GroupBound(3, 3)], {"c2"}, Reach(3, 3, 8)),
    ],
    ids=str,
)
def test_the_reach_of_a_unit(unit: Unit, bounds: list[Any], by: set[str], expected: Reach) -> None:
    assert reach(unit, bounds, by) == expected


def question(frame: pd.DataFrame, **unit: Any) -> Any:
    return frame.dp.protect(**unit).groupby("town")


def test_what_decides_and_by_which_noise() -> None:
    frame = pd.DataFrame({"user": ["u"], "town": ["a"], "x": [1]})
    cost = dp.accounting.cost(epsilon=1, delta=1e-6)
    rows = question(frame)
    for query, decides, mechanism, shares in (
        (rows.count(), Count(), "discrete Laplace", [1]),
        (rows.agg(n=dp.count(), x=dp.sum("x", 0, 1)), Count(), "discrete Laplace", [Fraction(1, 2)] * 2),
        (rows.agg(x=dp.sum("x", 0, 1), y=dp.sum("x", 0, 2)), Count(), "rounded Gaussian", [Fraction(1, 3)] * 3),
        (question(frame, rows=50).count(), Count(), "discrete Laplace", [1]),
    ):
        chosen = select(query.question, cost)
        assert chosen.statistic == decides
        assert [each.measured.share for each in chosen.calibrated] == shares
        assert {each.mechanism.name for each in chosen.calibrated} == {mechanism}
    by_user = frame.dp.protect(id="user").bound(groups=30, rows_per_group=2).groupby("town")
    units = Distinct(("c0",))
    for query, decides, mechanism in (
        (by_user.count(), Count(), "rounded Gaussian"),
        (by_user.agg(dp.count_distinct("user")), units, "rounded Gaussian"),
        (by_user.agg(dp.count(), dp.count_distinct("user")), Count(), "rounded Gaussian"),
        (by_user.groups(), units, "rounded Gaussian"),
    ):
        chosen = select(query.question, cost)
        assert chosen.statistic == decides
        assert {each.mechanism.name for each in chosen.calibrated} == {mechanism}
    for mechanism, name in (("laplace", "discrete Laplace"), ("gaussian", "rounded Gaussian")):
        for query in (rows.count(), by_user.groups()):
            assert select(query.question, cost, mechanism).calibrated[-1].mechanism.name == name
            assert select(query.question, cost, mechanism).law is None
    few = frame.dp.protect(id="user").bound(groups=1, rows_per_group=9).groupby("town").groups()
    assert select(few.question, cost).law == TruncatedGeometric(Fraction(1), Fraction("1e-6") - SAME_ADDRESS, 1)


SIZES = [1, 5, 12, 16, 18, 20, 23, 60]


def towns(each: int) -> pd.DataFrame:
    """So many groups of each size."""
    sizes = np.repeat(SIZES, each)
    return pd.DataFrame({"town": np.repeat(np.arange(sizes.size), sizes)})


@pytest.mark.parametrize("gaussian", [False, True])
def test_the_law_of_what_comes_out(gaussian: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    each = 4000
    if gaussian:
        monkeypatch.setattr("dpframe.privacy.selection.lowest", lambda pure, normal: normal)
    query = question(towns(each)).count()
    chosen = select(query.question, dp.accounting.cost(epsilon=1, delta=1e-5))
    scale = chosen.calibrated[0].mechanism.scale
    released = query.release(epsilon=1, delta=1e-5, budget=dp.Budget(epsilon=1, delta=1e-5))
    assert released["count"].min() >= chosen.least

    def p_value(scale: float, least: int) -> float:
        """χ² over group size × outcome, an outcome being "left out" or the noisy count."""
        statistic, freedom = 0.0, 0
        for at, size in enumerate(SIZES):
            mine = released[(released["town"] >= at * each) & (released["town"] < (at + 1) * each)]["count"]
            high = np.bincount(np.minimum(mine - least, BEYOND), minlength=BEYOND + 1) if len(mine) else np.zeros(61)
            seen = np.concatenate([[each - len(mine)], high]).astype(float)
            expected = each * shown(size, least, scale, gaussian)
            for step in (1, -1):  # outcomes that are hardly expected go together with a neighbour
                seen, expected = seen[::step], expected[::step]
                while len(expected) > 2 and expected[-1] < 20:
                    seen, expected = (np.append(v[:-2], v[-2:].sum()) for v in (seen, expected))
                seen, expected = seen[::step], expected[::step]
            statistic += ((seen - expected) ** 2 / np.maximum(expected, 1e-9)).sum()
            freedom += len(expected) - 1
        return float(stats.chi2.sf(statistic, freedom))

    assert p_value(scale, chosen.least) > 1e-9
    assert p_value(0.7 * scale, chosen.least) < 1e-9
    assert p_value(1.3 * scale, chosen.least) < 1e-9


def test_the_law_of_keys_alone() -> None:
    each = 4000
    released = question(towns(each)).groups().release(epsilon=1, delta=1e-5, budget=dp.Budget(epsilon=1, delta=1e-5))
    assert list(released.columns) == ["town"] and released["town"].is_monotonic_increasing
    out = np.bincount(released["town"] // each, minlength=len(SIZES))

    def p_value(epsilon: float) -> float:
        law = TruncatedGeometric(Fraction(epsilon), Fraction(1, 100_000))
        chance = np.array([law.chance(size) for size in SIZES])
        low, high = stats.binom.cdf(out, each, chance), stats.binom.sf(out - 1, each, chance)
        return float(min(low.min(), high.min()))

    assert p_value(1.0) > 1e-9
    assert p_value(1 / 0.7) < 1e-9
    assert p_value(1 / 1.3) < 1e-9


def raw(frame: pd.DataFrame, query: Any, key: bytes) -> dict[Any, list[int]]:
    """The exact statistics of the groups that would be chosen among, by key."""
    chosen = select(query.question, None)
    found: dict[Any, list[int]] = {}

    def keep(groups: Any, exact: np.ndarray) -> Any:
        for row, values in zip(groups.to_pylist(), exact.T.tolist(), strict=True):
            if any(values):
                found[tuple(row.values())] = values
        return groups

    engine.find(frame, request(query.question, chosen.calibrated, key), keep)
    return found


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_one_unit_moves_the_groups_by_no_more_than_its_reach(data: st.DataObject) -> None:
    """Which rows of the others stay does not change, whatever groups a unit brings, and whatever their order."""
    row = st.tuples(st.sampled_from("uvw"), st.sampled_from(["a", "b", "c", None]), st.sampled_from([1, 2, None]))
    rows = data.draw(st.lists(row, max_size=14))
    own = data.draw(st.lists(st.tuples(st.just("new"), row.map(lambda r: r[1]), row.map(lambda r: r[2])), max_size=8))
    both = data.draw(st.permutations(rows + own))
    bounds = data.draw(
        st.sampled_from(
            [
                {"groups": 2, "rows_per_group": 1},
                {"rows": 2},
                {"groups": 1, "rows_per_group": 2, "by": "town"},
                {"groups": 1, "rows_per_group": 3, "by": ["town", "n", "user"]},
            ]
        )
    )

    def query(rows: list[Any]) -> tuple[pd.DataFrame, Any]:
        columns = zip(*rows, strict=True) if rows else ((), (), ())
        kinds = ("object", "object", "Int64")
        series = {c: pd.array(v, dtype=k) for c, v, k in zip(("user", "town", "n"), columns, kinds, strict=True)}
        frame = pd.DataFrame(series)
        grouped = frame.dp.protect(id="user").bound(**bounds).groupby("town", "n")
        return frame, grouped.agg(dp.count(), u=dp.count_distinct("user"), s=dp.sum("n", 0, 3))

    key = bytes(range(32))
    before, after = raw(*query(rows), key), raw(*query(both), key)
    assert list(raw(*query(rows[::-1]), key).items()) and raw(*query(rows[::-1]), key) == before if rows else True
    moved = {
        group: [a - b for a, b in zip(after.get(group, [0] * 3), before.get(group, [0] * 3), strict=True)]
        for group in {*before, *after}
    }
    changed = [delta for delta in moved.values() if any(delta)]
    _, asked = query(rows)
    plan = asked.question.plan
    of = reach(plan.unit, plan.bounds, {plan.schema[name].ref for name in ("town", "n")})
    assert len(changed) <= of.groups
    counts = [abs(delta[0]) for delta in changed]
    assert max(counts, default=0) <= of.rows and sum(counts) <= of.total
    assert all(abs(delta[1]) <= 1 for delta in changed)


def test_a_group_has_the_same_noise_whatever_other_groups_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dpframe.release.fresh_key", lambda size: bytes(range(size)))
    frame = pd.DataFrame({"town": np.repeat(np.arange(300), 60), "x": 1.0})

    def release(rows: pd.DataFrame) -> pd.DataFrame:
        query = question(rows).agg(n=dp.count(), x=dp.sum("x", 0, 1))
        return query.release(epsilon=1, delta=1e-6, budget=dp.Budget(epsilon=1, delta=1e-6)).set_index("town")

    everything = release(frame)
    assert 200 < len(everything) <= 300
    some = release(frame[frame["town"] % 3 == 1].sample(frac=1, random_state=1))
    pd.testing.assert_frame_equal(some, everything[everything.index % 3 == 1])
    assert everything["n"].nunique() > 10


BAD = {
    "no delta": ({"epsilon": 1}, KeysError),
    "a delta of nothing": ({"epsilon": 1, "delta": 0}, KeysError),
    "rho": ({"rho": 1}, KeysError),
    "rho and delta": ({"rho": 1, "delta": 1e-6}, dp.errors.InvalidCostError),
    "nothing at all": ({}, dp.errors.InvalidCostError),
    "a delta of one": ({"epsilon": 1, "delta": 1}, dp.errors.InvalidCostError),
    "a delta below collisions": ({"epsilon": 1, "delta": 1e-17}, MechanismError),
    "too much delta": ({"epsilon": 1, "delta": 0.1}, dp.errors.BudgetExceededError),
}


@pytest.mark.parametrize(("cost", "error"), BAD.values(), ids=list(BAD))
def test_what_cannot_be_released_is_not_charged(cost: dict[str, Any], error: type[Exception]) -> None:
    frame = pd.DataFrame({"town": ["a"]})
    with dp.Budget(epsilon=9, delta=1e-3) as budget:
        for query in (question(frame).count(), question(frame).groups()):
            with pytest.raises(error):
                query.release(**cost)
        assert not budget.spent and budget.remaining_delta == 1e-3


def test_what_cannot_be_found_is_refused() -> None:
    frame = pd.DataFrame({"town": ["a"], "user": ["u"], "x": [0.5], "when": pd.Timestamp("2024-01-01")})
    private = frame.dp.protect()
    for name in ("x", "when"):
        with pytest.raises(dp.errors.ColumnTypeError, match="cannot be a group key"):
            private.groupby(name)
    with pytest.raises(KeysError, match="These groups are public"):
        private.groupby("town", keys=["a"]).groups()
    unbounded = frame.dp.protect(id="user").groupby("town")
    for query in (unbounded.count(), unbounded.groups(), unbounded.agg(dp.count_distinct("user"))):
        with pytest.raises(MissingBoundError):
            query.release(epsilon=1, delta=1e-6, budget=dp.Budget(epsilon=1, delta=1e-6))
        assert "cannot be released" in repr(query)
    wide = pd.DataFrame({f"c{at}": [1] for at in range(17)})
    with pytest.raises(KeysError, match="at most 16"):
        wide.dp.protect().groupby(*wide.columns)
    outside = pytest.raises(dp.errors.PlanError, match="outside of the batch")
    with dp.Budget(epsilon=1, delta=1e-6), dp.batch(epsilon=1, delta=1e-6), outside:
        private.groupby("town").count().release(epsilon=1, delta=1e-6)
    with pytest.raises(MechanismError, match="mechanism is"):
        private.groupby("town").count().explain(epsilon=1, delta=1e-6, mechanism="cauchy")


def test_what_a_release_and_a_query_say_of_their_groups() -> None:
    frame = towns(3)
    query = question(frame).count()
    assert "found" in repr(question(frame))
    assert "found in the release" in repr(query)
    released = query.release(epsilon=1, delta=1e-5, budget=dp.Budget(epsilon=1, delta=1e-5))
    info = released.dp.release_info()
    assert info.groups is None and info.cost == "epsilon=1, delta=0.00001"
    assert info.selection == "those with rows whose noisy count of rows is at least 13"
    assert info.selection in str(info)
    alone = question(frame).groups().release(epsilon=1, delta=1e-5, budget=dp.Budget(epsilon=1, delta=1e-5))
    assert "by truncated geometric chances of their count of rows: 76% at 12, 100% from 23 on" in str(
        alone.dp.release_info()
    )
    assert dp.keys(alone).columns == ("town",)


def test_explain_says_how_groups_are_found(capsys: pytest.CaptureFixture[str]) -> None:
    query = question(towns(1)).count()
    query.explain(epsilon=1, delta=1e-5)
    said = capsys.readouterr().out
    assert "groups  found in the release: those with rows whose noisy count of rows is at least 13" in said
    assert "noise of epsilon=1, delta=0.00001" in said
    question(towns(1)).groups().explain(epsilon=1, delta=1e-5)
    assert "by truncated geometric chances" in capsys.readouterr().out
