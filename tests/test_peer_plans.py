"""What Tumult Analytics, the peer, does with keys, noise, errors and budgets, as tables of cases.

None of it looks at data, so none depends on the engine; what does is in tests/contract/test_peer_cases.py.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

import dpframe as dp
from dpframe import errors
from dpframe.accounting import cost
from dpframe.privacy import analyse, calibrate

DAY, NEXT = datetime.date(2024, 2, 29), datetime.date(2024, 3, 1)
NOON = datetime.datetime(2024, 2, 29, 12)

AB = dp.keys({"a": ["x", "y", None], "b": [1, 2]})
DATES = dp.keys({"d": [DAY, NEXT, None]})

ALGEBRA: dict[str, tuple[Callable[[], Any], Any]] = {
    "from_dict is a product": (lambda: set(AB), {(a, b) for a in ("x", "y", None) for b in (1, 2)}),
    "from_tuples": (lambda: set(dp.keys([("x", 1), ("y", None)], columns=["a", "b"])), {("x", 1), ("y", None)}),
    "tuples are distinct": (lambda: len(dp.keys([("x", 1), ("x", 1)], columns=["a", "b"])), 1),
    "from_dataframe is distinct": (lambda: len(dp.keys(pd.DataFrame({"a": ["x", "x", "y"]}))), 2),
    "null keys are equal": (lambda: len(dp.keys([(None, 1), (None, 1)], columns=["a", "b"])), 1),
    "dates": (lambda: set(DATES), {(DAY,), (NEXT,), (None,)}),
    "product": (lambda: len(AB * DATES), 18),
    "product of columns": (lambda: (AB * DATES).columns, ("a", "b", "d")),
    "3^20": (lambda: len(dp.keys({f"c{i}": [1, 2, 3] for i in range(20)})), 3**20),
    "65536^2": (lambda: len(dp.keys({"a": range(65536), "b": range(65536)})), 2**32),
    "difference by some columns": (lambda: set(AB - dp.keys({"a": ["x", None]})), {("y", 1), ("y", 2)}),
    "difference by all columns": (lambda: len(AB - dp.keys([("x", 1), ("z", 1)], columns=["a", "b"])), 5),
    "difference with itself": (lambda: len(AB - AB), 0),
    "projection is distinct": (lambda: set(AB["a"]), {("x",), ("y",), (None,)}),
    "projection reorders": (lambda: AB["b", "a"].columns, ("b", "a")),
    "projection reorders what was joined": (
        lambda: (AB & dp.keys([("x", 9), (None, 8)], columns=["a", "c"]))["a", "b", "c"].columns,
        ("a", "b", "c"),
    ),
    "projection of a projection": (lambda: AB["a", "b"]["b"] == dp.keys({"b": [1, 2]}), True),
    "join on what both have, nulls too": (
        lambda: AB & dp.keys([("x", 9), (None, 8), ("z", 7)], columns=["a", "c"]),
        dp.keys([("x", 1, 9), ("x", 2, 9), (None, 1, 8), (None, 2, 8)], columns=["a", "b", "c"]),
    ),
    "join of the same columns is the intersection": (lambda: len(AB & AB.filter("b = 1")), 3),
    "filter": (lambda: set(AB.filter("a = 'x' or b = 2")), {("x", 1), ("x", 2), ("y", 2), (None, 2)}),
    "filter of null": (lambda: len(AB.filter("a is null")), 2),
    "filter of nothing": (lambda: len(AB.filter("b > 9")), 0),
    "union": (lambda: len(AB | dp.keys([("z", 1), ("x", 1)], columns=["a", "b"])), 7),
    "union in another order": (lambda: AB | AB["b", "a"] == AB, True),
    "equal, whatever the order": (lambda: dp.keys({"b": [2, 1], "a": [None, "y", "x"]}) == AB, True),
    "not equal": (lambda: AB.filter("b = 1") == AB, False),
    "not equal by type": (lambda: dp.keys({"a": [1]}) == dp.keys({"a": ["1"]}), False),
    "equal, however it was made": (lambda: (AB - dp.keys({"b": [2]})) | (AB - dp.keys({"b": [1]})) == AB, True),
    "rename": (lambda: AB.rename({"a": "z"}).columns, ("z", "b")),
    "booleans, not so for the peer": (lambda: set(dp.keys({"p": [True, False]})), {(True,), (False,)}),
}  # fmt: skip


@pytest.mark.parametrize("case", ALGEBRA)
def test_key_algebra(case: str) -> None:
    make, expected = ALGEBRA[case]
    assert make() == expected


NO_KEYS: dict[str, tuple[Callable[[], Any], type[errors.DPFrameError], str]] = {
    "floats": (lambda: dp.keys({"a": [1.5]}), errors.KeysError, r"dp\.cut"),
    "timestamps": (lambda: dp.keys({"a": [NOON]}), errors.KeysError, "dates, not timestamps"),
    "two types": (lambda: dp.keys({"a": [1, "x"]}), errors.KeysError, "mix types"),
    # The peer takes such a list as a set; here it is a slip that is noticed. Tuples and frames may repeat.
    "one value twice": (lambda: dp.keys({"a": [1, 1]}), errors.KeysError, "twice"),
    "no values": (lambda: dp.keys({"a": []}), errors.KeysError, "at least one"),
    "too short a tuple": (lambda: dp.keys([(1,)], columns=["a", "b"]), errors.KeysError, "2 values"),
    "a product with a shared column": (lambda: AB * AB["a"], errors.KeysError, "distinct columns"),
    "a difference by other columns": (lambda: AB - DATES, errors.KeysError, "'d'"),
    "a union of other columns": (lambda: AB | AB["a"], errors.KeysError, "same columns"),
    "a join without a common column": (lambda: AB & DATES, errors.KeysError, "both key sets have"),
    "an unknown column": (lambda: AB["c"], errors.UnknownColumnError, "'c'"),
    "no column": (lambda: AB[[]], errors.KeysError, "at least|once each"),
    "a bad condition": (lambda: AB.filter("c > 1"), errors.UnknownColumnError, "'c'"),
    "a condition of another type": (lambda: AB.filter("b = 'x'"), errors.ColumnTypeError, "mixes"),
}


@pytest.mark.parametrize("case", NO_KEYS)
def test_what_is_no_key_set(case: str) -> None:
    make, kind, says = NO_KEYS[case]
    with pytest.raises(kind, match=says):
        make()


PLAN = pd.DataFrame({"id": ["u"], "g": ["a"], "n": [1], "x": [1.0]})
OTHER = pd.DataFrame({"g": ["a"], "m": [1]})
TWO = pd.DataFrame({"g": ["a", "a", "b"], "name": ["x", "y", "z"]})
GROUP = {"keys": ["a", "b", "c", "d", "e"]}


def rows(k: int) -> Any:
    return PLAN.dp.protect(rows=k)


def ids(**bound: Any) -> Any:
    return PLAN.dp.protect(id="id").bound(**bound)


def joined(**how: Any) -> Any:
    return rows(1).join(OTHER.dp.protect(), "g", **how)


GROUPED = {"groups": 4, "rows_per_group": 2}

SCALES: dict[str, tuple[Callable[[], Any], list[float], list[float]]] = {
    # What the peer's _noise_info says: b for epsilon = 1, and sigma squared for rho = 0.5.
    "AddOneRow count": (lambda: rows(1).count(), [1], [1]),
    "AddMaxRows(3) count": (lambda: rows(3).count(), [3], [9]),
    "AddMaxRows(3) grouped count": (lambda: rows(3).groupby("g", **GROUP).count(), [3], [9]),
    "AddMaxRows(3) count_distinct": (lambda: rows(3).count_distinct("n"), [3], [9]),
    "AddMaxRows(3) sum of integers in [-2, 5]": (lambda: rows(3).sum("n", -2, 5), [15], [225]),
    "AddMaxRows(3) sum of doubles in [-2, 5]": (lambda: rows(3).sum("x", -2, 5), [15], [225]),
    "AddMaxRowsInMaxGroups(g, 4, 2) by g": (
        lambda: PLAN.dp.protect(rows=2, groups=4, grouping="g").groupby("g", **GROUP).count(),
        [8],
        [16],
    ),
    # The peer refuses a query that does not group by g.
    "AddMaxRowsInMaxGroups(g, 4, 2) total": (
        lambda: PLAN.dp.protect(rows=2, groups=4, grouping="g").count(),
        [8],
        [64],
    ),
    "MaxRowsPerID(9) by g": (lambda: ids(rows=9).groupby("g", **GROUP).count(), [9], [81]),
    "MaxGroups(g, 4) MaxRowsPerGroup(g, 2) by g": (lambda: ids(**GROUPED).groupby("g", **GROUP).count(), [8], [16]),
    "MaxGroups(g, 4) MaxRowsPerGroup(g, 2) total": (lambda: ids(**GROUPED, by="g").count(), [8], [64]),
    # 16 for the peer: of five rows, at most two in a group, squares add up to no more than ten.
    "the same and MaxRowsPerID(5), by g": (
        lambda: ids(**GROUPED).bound(rows=5).groupby("g", **GROUP).count(),
        [5],
        [10],
    ),
    "the same, sum in [0, 10]": (lambda: ids(**GROUPED).groupby("g", **GROUP).sum("n", 0, 10), [80], [1600]),
    "count_distinct(id)": (lambda: PLAN.dp.protect(id="id").count_distinct("id"), [1], [1]),
    "MaxGroups(g, 4) count_distinct(id) by g": (
        lambda: ids(groups=4, rows_per_group=9).groupby("g", **GROUP).count_distinct("id"),
        [4],
        [4],
    ),
    "AddMaxRows(3) flat_map(max_rows=5)": (
        lambda: rows(3).flat_map(lambda row: [], {"m": int}, 5).count(),
        [15],
        [225],
    ),
    "AddMaxRows(3) join_public, two rows of a key": (lambda: rows(3).join_public(TWO, "g").count(), [6], [36]),
    "ids are not moved by join_public": (lambda: ids(rows=3).join_public(TWO, "g").count(), [3], [9]),
    "DropExcess(2), DropExcess(3)": (lambda: joined(max_matches=(2, 3)).count(), [10], [100]),
    "DropNonUnique(), DropNonUnique()": (lambda: joined(unique=True).count(), [2], [4]),
    "DropExcess(5), DropNonUnique()": (lambda: joined(max_matches=(5, "unique")).count(), [7], [49]),
    "DropNonUnique(), DropExcess(5)": (lambda: joined(max_matches=("unique", 5)).count(), [7], [49]),
    # The peer: 66 and 6 (half each), sigma squared 2178 and 18; here four fifths go to the deviations.
    "AddMaxRows(3) mean of integers in [0, 21]": (
        lambda: rows(3).mean("n", 0, 21),
        [33 * 5 / 4, 3 * 5],
        [33**2 * 5 / 4, 9 * 5],
    ),
    # The peer: 63 and 6.
    "AddMaxRows(3) mean of doubles in [0, 21]": (
        lambda: rows(3).drop_null("x").mean("x", 0, 21),
        [31.5 * 5 / 4, 3 * 5],
        [31.5**2 * 5 / 4, 9 * 5],
    ),
}


def scales(query: Any, **spent: float) -> list[float]:
    """The scale of each statistic's noise in the column's units."""
    measured = analyse(query.question)
    return [float(c.mechanism.scale * c.measured.statistic.grid) for c in calibrate(measured, cost(**spent))]


@pytest.mark.parametrize("case", SCALES)
def test_the_scale_of_the_noise(case: str) -> None:
    make, pure, squared = SCALES[case]
    # A scale is rounded up, and a grid's half step counts.
    assert sorted(scales(make(), epsilon=1)) == pytest.approx(sorted(pure), rel=1e-6)
    assert sorted(s * s for s in scales(make(), rho=0.5)) == pytest.approx(sorted(squared), rel=1e-6)


def test_a_variance_spends_no_more_than_the_peers() -> None:
    """The peer: a third each, for deviations 45, squares 450 and the count 9; half of the squares' reach is enough."""
    for low in (0, -10):
        query = rows(3).drop_null("x").var("x", low, 10)
        measured = analyse(query.question)
        assert sum(each.share for each in measured) == 1
        reach = sorted(float(m.l1 * m.statistic.grid) for m in measured)
        middle = 10 - (low + 10) / 2
        assert reach == pytest.approx(sorted([3, 3 * middle, 3 * middle**2 / 2]), rel=1e-6)


REFUSED: dict[str, tuple[Callable[[Any], Any], type[errors.DPFrameError], str]] = {
    # name: what is asked, here's error, and what it says; the peer raises RuntimeError, ValueError or TypeError.
    "more than there is": (
        lambda f: f.bound(rows=1).count().release(epsilon=3),
        errors.BudgetExceededError,
        "epsilon=3, but 1 of 1",
    ),
    "another kind of budget": (
        lambda f: f.bound(rows=1).count().release(rho=1),
        errors.InvalidCostError,
        "no pure epsilon",
    ),
    "no constraint": (lambda f: f.count().release(epsilon=1), errors.MissingBoundError, r"\.bound\(groups="),
    "MaxGroupsPerID alone": (lambda f: f.bound(groups=3), errors.PlanError, "either alone"),
    "MaxRowsPerGroupPerID alone": (lambda f: f.bound(rows_per_group=3), errors.PlanError, "either alone"),
    "MaxRowsPerID(0)": (lambda f: f.bound(rows=0), errors.PlanError, "at least 1"),
    "a constraint without ids": (
        lambda f: PLAN.dp.protect().bound(rows=1),
        errors.PlanError,
        r"protect\(id",
    ),
    "a group-by without keys or delta": (
        lambda f: f.bound(rows=1).groupby("g").count().release(epsilon=1),
        errors.KeysError,
        "delta=1e-6",
    ),
    "groups that are found, of pure epsilon": (
        lambda f: f.bound(rows=1).groupby("g").count().release(epsilon=0.5, delta=1e-6),
        errors.BudgetExceededError,
        r"has none.*open the budget with dp\.Budget\(epsilon=\.\.\., delta",
    ),
    "groups that are found, of rho": (
        lambda f: f.bound(rows=1).groupby("g").count().release(epsilon=1, delta=1e-6, budget=dp.Budget(rho=1)),
        errors.InvalidCostError,
        r"filter='sum'",
    ),
    "text keys of integers": (lambda f: f.groupby("n", keys=["1"]), errors.ColumnTypeError, "column's type"),
    "keys of doubles": (lambda f: f.groupby("x", keys=[1]), errors.ColumnTypeError, r"dp\.cut"),
    "keys of times": (lambda f: f.groupby("t", keys=[None]), errors.ColumnTypeError, r"cast\(t as date\)"),
    "low = high": (lambda f: f.sum("n", 1, 1), errors.BoundsError, "less"),
    "a quantile beyond 1": (lambda f: f.quantile("n", 1.5, 0, 9), errors.PlanError, "1.5"),
    "sums that wrap around": (lambda f: f.sum("n", 0, 2**62), errors.BoundsError, "overflow"),
    "Gaussian noise of pure epsilon": (
        lambda f: f.bound(rows=1).count().release(epsilon=1, mechanism="gaussian"),
        errors.MechanismError,
        "give it a delta",
    ),
    "an unknown column": (lambda f: f.filter("m > 1"), errors.UnknownColumnError, "columns are"),
    "an outer join": (lambda f: f.join(f, "id", "outer"), errors.PlanError, "'inner' only"),
    "a join of ids without the id": (lambda f: f.join(f, "g"), errors.PlanError, "by the id"),
    "a join of rows without truncation": (
        lambda f: PLAN.dp.protect().join(OTHER.dp.protect(), "g"),
        errors.PlanError,
        "max_matches",
    ),
    "DropExcess(0)": (
        lambda f: PLAN.dp.protect().join(OTHER.dp.protect(), "g", max_matches=(0, 1)),
        errors.PlanError,
        "at least 1",
    ),
    "falling edges": (lambda f: f.assign(b=dp.cut("n", [2, 1])), errors.BoundsError, "increase"),
    "too few names": (lambda f: f.assign(b=dp.cut("n", [0, 1, 2], labels=["a"])), errors.ExpressionError, "one label"),
    "a timestamp as id": (lambda f: PLAN.assign(t=NOON).dp.protect(id="t"), errors.ColumnTypeError, "cannot be an id"),
    "a negative epsilon": (lambda f: dp.Budget(epsilon=-1), errors.InvalidCostError, "positive"),
    "a delta of 1": (lambda f: dp.Budget(epsilon=1, delta=1), errors.InvalidCostError, "below 1"),
    "an infinite epsilon": (lambda f: dp.Budget(epsilon=math.inf), errors.InvalidCostError, "unlimited"),
    "NaN": (lambda f: dp.Budget(rho=np.nan), errors.InvalidCostError, "positive"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_kinds_of_errors(case: str) -> None:
    ask, kind, says = REFUSED[case]
    with dp.Budget(epsilon=1) as budget:
        with pytest.raises(kind, match=says):
            ask(PLAN.assign(t=NOON).dp.protect(id="id"))
        assert budget.spent == 0


def test_ten_tenths_are_one() -> None:
    with dp.Budget(epsilon=1) as budget:
        for _ in range(10):
            rows(1).count().release(epsilon=0.1)
        assert budget.remaining == 0
        with pytest.raises(errors.BudgetExceededError, match="0 of 1 is left"):
            rows(1).count().release(epsilon=1e-12)


def test_parts_are_charged_once() -> None:
    """In any order, and beside the whole; the peer's sessions must be used in turn."""
    with dp.Budget(epsilon=2) as budget:
        parts = rows(1).partition("g", ["a", "b"])
        for part in (parts["b"], parts["a"], parts["b"]):
            part.count().release(epsilon=0.5)
        assert budget.spent == 1
    with dp.Budget(rho=2) as budget:  # an id in at most two parts: twice the rho, where the peer has √2 in sensitivity
        for part in ids(groups=2, rows_per_group=3, by="g").partition("g", ["a", "b", None]).values():
            part.count().release(rho=0.5)
        assert budget.spent == 1


def test_a_chain_does_not_change() -> None:
    """The peer's builder does: it counts filtered rows ever after."""
    private = rows(1)
    before = repr(private)
    private.filter("g = 'b'").assign(n="n + 1").count()
    assert repr(private) == before
