"""Sensitivity: declared once in closed form, found here by trying every unit there could be."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pandas as pd
import pytest

import dpframe as dp
from dpframe.accounting import PureDP, ZeroConcentratedDP
from dpframe.accounting.costs import Exact
from dpframe.errors import MissingBoundError
from dpframe.mechanisms import Gaussian, Laplace
from dpframe.plan import Bound, Column, GroupBound, RowBound, Type, Unit
from dpframe.privacy import Contribution, Measured, analyse, calibrate, contribution
from dpframe.privacy.analyse import split, touched

USER, A, B, C = (Column(name, f"c{at}", Type.INTEGER) for at, name in enumerate(["user", "a", "b", "c"]))
ID = Unit(id=USER)
CELLS = list(itertools.product((0, 1), repeat=3))
"""Where a row can lie: its values of a, b and c."""

GROUPINGS: dict[str, tuple[Column, ...] | None] = {
    "the query's own": None,
    "one group": (),
    "a": (A,),
    "c": (C,),
    "a, b": (A, B),
    "b, c": (B, C),
    "a, b, c": (A, B, C),
}


def place(cell: tuple[int, int, int], by: tuple[Column, ...]) -> tuple[int, ...]:
    return tuple(cell[int(column.ref[1:]) - 1] for column in by)


def allowed(counts: Counter[tuple[int, int, int]], bound: Bound, by: tuple[Column, ...]) -> bool:
    """Whether one unit's rows keep to a bound, straight from its words."""
    if isinstance(bound, RowBound):
        return counts.total() <= bound.rows
    groups: Counter[tuple[int, ...]] = Counter()
    for cell, rows in counts.items():
        groups[place(cell, by if bound.by is None else bound.by)] += rows
    return len(groups) <= bound.groups and max(groups.values(), default=0) <= bound.rows_per_group


def units(most: int, bounds: list[Bound], by: tuple[Column, ...]) -> Iterator[Counter[tuple[int, int, int]]]:
    """Every set of at most ``most`` rows that one unit may have. A bound on a part of a set holds for the set's
    parts, so a row is only ever added to sets that are allowed."""

    def grow(counts: Counter[tuple[int, int, int]], start: int) -> Iterator[Counter[tuple[int, int, int]]]:
        yield counts
        if counts.total() < most:
            for at in range(start, len(CELLS)):
                larger = counts + Counter([CELLS[at]])
                if all(allowed(larger, bound, by) for bound in bounds):
                    yield from grow(larger, at)

    return grow(Counter(), 0)


def furthest(bounds: list[Bound], by: tuple[Column, ...], most: int = 8) -> Contribution:
    """By brute force, how far one unit moves the row counts of the query's groups."""
    l1 = l2_squared = 0
    for counts in units(most, bounds, by):
        groups: Counter[tuple[int, ...]] = Counter()
        for cell, rows in counts.items():
            groups[place(cell, by)] += rows
        l1 = max(l1, groups.total())
        l2_squared = max(l2_squared, sum(rows**2 for rows in groups.values()))
    return Contribution(l1, l2_squared)


def declared(bounds: list[Bound], by: tuple[Column, ...]) -> Contribution:
    return contribution(ID, bounds, {column.ref for column in by}, 2 ** len(by))


@pytest.mark.parametrize("by", [(), (A,), (A, B), (A, B, C)], ids=lambda by: ",".join(c.name for c in by) or "all")
@pytest.mark.parametrize("grouping", GROUPINGS)
@pytest.mark.parametrize(("groups", "rows"), [(1, 1), (1, 3), (2, 1), (2, 2), (3, 2)])
def test_a_group_bound_holds(grouping: str, groups: int, rows: int, by: tuple[Column, ...]) -> None:
    of = GROUPINGS[grouping]
    bounds: list[Bound] = [GroupBound(groups, rows, of)]
    found, said = furthest(bounds, by), declared(bounds, by)
    assert found.l1 <= said.l1 and found.l2_squared <= said.l2_squared
    refined = of is None or set(of) <= set(by)
    there_are = 2 ** len(by if of is None else of)
    if refined and groups <= there_are:
        assert found == said == Contribution(groups * rows, groups * rows**2)
    if not refined and groups <= there_are:
        # All rows may lie in one group of the query, if that holds enough groups of the bound.
        assert said == Contribution(groups * rows, (groups * rows) ** 2)
        assert found.l1 == said.l1
        if groups <= 2 ** len(set(of or ()) - set(by)):
            assert found == said


@pytest.mark.parametrize("by", [(), (A,), (A, B), (A, B, C)], ids=lambda by: ",".join(c.name for c in by) or "all")
@pytest.mark.parametrize("grouping", GROUPINGS)
@pytest.mark.parametrize(("groups", "rows"), [(1, 1), (1, 3), (2, 1), (2, 2), (3, 2)])
def test_a_unit_touches_no_more_groups_than_declared(
    grouping: str, groups: int, rows: int, by: tuple[Column, ...]
) -> None:
    bounds: list[Bound] = [GroupBound(groups, rows, GROUPINGS[grouping])]
    found = max(len({place(cell, by) for cell in counts}) for counts in units(8, bounds, by))
    said = touched(ID, bounds, {column.ref for column in by}, 2 ** len(by))
    assert said.l1 == said.l2_squared >= found
    if grouping == "the query's own":
        assert said.l1 == found


@pytest.mark.parametrize("by", [(), (A,), (A, B)], ids=len)
@pytest.mark.parametrize("rows", [1, 2, 5])
def test_a_row_bound_holds(rows: int, by: tuple[Column, ...]) -> None:
    assert furthest([RowBound(rows)], by) == declared([RowBound(rows)], by) == Contribution(rows, rows**2)


@pytest.mark.parametrize("seed", range(60))
def test_several_bounds_hold(seed: int) -> None:
    draw = random.Random(seed)
    by = draw.choice([(A,), (A, B), (A, B, C)])
    bounds: list[Bound] = [
        RowBound(draw.randint(1, 6))
        if draw.random() < 0.4
        else GroupBound(draw.randint(1, 3), draw.randint(1, 3), draw.choice(list(GROUPINGS.values())))
        for _ in range(draw.randint(2, 3))
    ]
    found, said = furthest(bounds, by, most=7), declared(bounds, by)
    assert found.l1 <= said.l1 and found.l2_squared <= said.l2_squared
    for bound in bounds:
        alone = declared([bound], by)
        assert said.l1 <= alone.l1 and said.l2_squared <= alone.l2_squared


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_rows_as_the_unit(rows: int) -> None:
    assert contribution(Unit(rows=rows), (), {"c1"}, 8) == Contribution(rows, rows**2)


@pytest.mark.parametrize("by", [(), (A,), (B,), (A, B), (B, C), (A, B, C)], ids=lambda by: ",".join(c.name for c in by))
@pytest.mark.parametrize(("groups", "rows"), [(1, 1), (1, 3), (2, 1), (2, 2), (2, 4)])
def test_rows_in_groups_as_the_unit(groups: int, rows: int, by: tuple[Column, ...]) -> None:
    """Every unit that keeps the promise, tried out; both groups of the column may hold rows of any other group."""
    found = furthest([GroupBound(groups, rows, (A,))], by)
    said = contribution(Unit(rows=rows, groups=groups, grouping=A), (), {column.ref for column in by}, 2 ** len(by))
    assert found == said
    assert said == Contribution(groups * rows, groups * rows**2 if A in by else (groups * rows) ** 2)


def test_more_groups_than_there_are_keys_count_as_those() -> None:
    unit = Unit(rows=2, groups=9, grouping=A)
    assert contribution(unit, (), {"c1"}, 2) == furthest([GroupBound(9, 2, (A,))], (A,)) == Contribution(4, 8)


def test_an_id_without_a_bound_is_refused() -> None:
    with pytest.raises(MissingBoundError, match=r"\.bound\("):
        contribution(ID, (), set(), 1)


TABLE = pd.DataFrame({"user": ["u"], "g": ["x"], "n": [1], "x": [1.0]})
KEYS = [str(at) for at in range(10)]


def measured(private: Any, *aggregates: Any, grouped: bool = True) -> list[tuple[int | float, float]]:
    """Of each statistic, L1 and squared L2 sensitivity in the column's units."""
    frame = private.groupby("g", keys=KEYS) if grouped else private
    parts = analyse(frame.agg(*aggregates).question)
    return [(part.l1 * part.statistic.grid, part.l2_squared * part.statistic.grid**2) for part in parts]


ROWS3 = TABLE.dp.protect(rows=3)
ROWS_3X2 = TABLE.dp.protect(rows=2, groups=3, grouping="g")
ID_4X2 = TABLE.dp.protect(id="user").bound(groups=4, rows_per_group=2, by="g")

SCALES: dict[str, tuple[Any, list[Any], bool, list[tuple[float, float]]]] = {
    "one row: count": (TABLE.dp.protect(), [dp.count()], False, [(1, 1)]),
    "3 rows: count": (ROWS3, [dp.count()], False, [(3, 9)]),
    "3 rows: grouped count": (ROWS3, [dp.count()], True, [(3, 9)]),
    "3 rows: sum of integers": (ROWS3, [dp.sum("n", -2, 5)], False, [(15, 225)]),
    "3 rows: sum of floats": (ROWS3, [dp.sum("x", -2, 5)], True, [(15, 225)]),
    "3 rows: mean of integers": (ROWS3, [dp.mean("n", 0, 21)], False, [(33, 1089), (3, 9)]),
    "3 rows: mean of floats": (ROWS3, [dp.mean("x", 0, 21)], False, [(31.5, 992.25), (3, 9)]),
    "3 rows: variance of integers": (ROWS3, [dp.var("n", 0, 10)], False, [(15, 225), (39, 1521), (3, 9)]),
    "3 rows: deviation of floats": (ROWS3, [dp.std("x", -10, 10)], True, [(30, 900), (150, 22500), (3, 9)]),
    "3 × 2 rows of g: grouped count": (ROWS_3X2, [dp.count()], True, [(6, 12)]),
    "3 × 2 rows of g: total count": (ROWS_3X2, [dp.count()], False, [(6, 36)]),
    "3 × 2 rows of g: sum": (ROWS_3X2, [dp.sum("n", -2, 5)], True, [(30, 300)]),
    "3 × 2 rows of g, renamed": (
        ROWS_3X2.rename({"g": "h", "n": "g"}).rename({"g": "n", "h": "g"}),
        [dp.count()],
        True,
        [(6, 12)],
    ),
    "3 × 2 rows of g, redefined": (ROWS_3X2.assign(g="'a'"), [dp.count()], True, [(6, 36)]),
    "3 × 2 rows of g, filled": (ROWS_3X2.fill_null(g="a"), [dp.count()], True, [(6, 36)]),
    "3 rows: distinct": (ROWS3, [dp.count_distinct("n")], True, [(3, 9)]),
    "id, no bound: distinct ids": (TABLE.dp.protect(id="user"), [dp.count_distinct("user")], False, [(1, 1)]),
    "id, no bound: grouped distinct ids": (TABLE.dp.protect(id="user"), [dp.count_distinct("user")], True, [(10, 10)]),
    "id, 4 × 2 of g: distinct ids": (ID_4X2, [dp.count_distinct("user")], True, [(4, 4)]),
    "id, 4 × 2 of g: all distinct ids": (ID_4X2, [dp.count_distinct("user")], False, [(1, 1)]),
    "id, 4 × 2 of g: distinct with others": (ID_4X2, [dp.count_distinct("user", "n")], True, [(8, 16)]),
    "id, 9 rows: grouped count": (TABLE.dp.protect(id="user").bound(rows=9), [dp.count()], True, [(9, 81)]),
    "id, 4 × 2: grouped count": (ID_4X2, [dp.count()], True, [(8, 16)]),
    "id, 4 × 2 of g: total count": (ID_4X2, [dp.count()], False, [(8, 64)]),
    "id, 4 × 2 and 5 rows: grouped count": (ID_4X2.bound(rows=5), [dp.count()], True, [(5, 10)]),
    "id, 4 × 2 of g, sum": (ID_4X2, [dp.sum("n", -2, 5)], True, [(40, 400)]),
}


@pytest.mark.parametrize("case", SCALES)
def test_known_sensitivities(case: str) -> None:
    private, aggregates, grouped, expected = SCALES[case]
    assert measured(private, *aggregates, grouped=grouped) == expected


def test_known_scales() -> None:
    """A count over ids in 4 groups of 2 rows, at ε = 1 and ρ = ½: scale 8, variance 16, and 64 for a total."""
    grouped, total = analyse(ID_4X2.groupby("g", keys=KEYS).count().question), analyse(ID_4X2.count().question)
    pure, concentrated = PureDP(Exact(1)), ZeroConcentratedDP(Exact(1, 2))
    assert [calibrate(parts, pure)[0].mechanism for parts in (grouped, total)] == [Laplace(8.0), Laplace(8.0)]
    assert [calibrate(parts, concentrated)[0].mechanism for parts in (grouped, total)] == [Gaussian(4.0), Gaussian(8.0)]


def test_a_redefined_or_regrouped_column_loses_its_bound() -> None:
    # The bound is of the old g. In the new one all of an id's rows may lie in one group.
    renewed = ID_4X2.assign(g="concat(g, '')")
    assert measured(renewed, dp.count()) == [(8, 64)]
    assert measured(ID_4X2.rename({"g": "h"}).assign(g="h"), dp.count()) == [(8, 64)]
    assert measured(ID_4X2.rename({"g": "h"}).rename({"h": "g"}), dp.count()) == [(8, 16)]


def test_shares_are_all_of_the_cost() -> None:
    draw = random.Random(2)
    makers = [dp.count, lambda: dp.sum("n", 0, draw.randint(1, 3)), lambda: dp.mean("x", 0, draw.randint(1, 3))]
    makers.append(lambda: dp.mean("n", 0, draw.randint(2, 3)))
    for _ in range(100):
        named = {f"answer{at}": draw.choice(makers)() for at in range(draw.randint(1, 6))}
        shares = split(ROWS3.agg(**named).question)
        assert sum(shares.values()) == 1 and min(shares.values()) > 0
        parts = analyse(ROWS3.agg(**named).question)
        assert [part.share for part in parts] == list(shares.values())
        assert len({part.statistic for part in parts}) == len(parts)


def test_one_count_serves_all_that_need_it() -> None:
    parts = analyse(ROWS3.agg(n=dp.count(), a=dp.mean("n", 0, 2), s=dp.sum("n", 0, 2)).question)
    assert [part.share for part in parts] == [Fraction(1, 3) + Fraction(1, 15), Fraction(4, 15), Fraction(1, 3)]


def test_a_variance_shares_its_parts_with_mean_count_and_deviation() -> None:
    together = ROWS3.agg(dp.var("n", 0, 9), dp.std("n", 0, 9), dp.mean("n", 0, 9), dp.count())
    parts = analyse(together.question)
    assert [part.share for part in parts] == [
        Fraction(4, 22) + Fraction(4, 20),
        Fraction(4, 22),
        Fraction(3, 22) + Fraction(1, 20) + Fraction(1, 4),
    ]


def test_noise_is_never_rounded_down() -> None:
    draw = random.Random(3)
    for _ in range(2000):
        part = Measured(
            dp.count().prepare(TABLE.dp.protect().plan.schema).statistics[0],
            Fraction(1, draw.randint(1, 15)),
            draw.randint(1, 2 ** draw.randint(1, 40)),
            draw.randint(1, 2 ** draw.randint(1, 60)),
        )
        cost = Exact(draw.randint(1, 10**9), draw.randint(1, 10**9))
        laplace = calibrate([part], PureDP(cost))[0].mechanism if part.l1 / (cost * part.share) < 2**50 else None
        if laplace is not None:
            needed = Fraction(part.l1) / (cost * part.share)
            assert needed <= Fraction(laplace.scale) <= max(needed * (1 + Fraction(1, 2**50)), Fraction(1, 2**10))
        variance = Fraction(part.l2_squared) / (2 * cost * part.share)
        gaussian = calibrate([part], ZeroConcentratedDP(cost))[0].mechanism
        assert Fraction(gaussian.scale) ** 2 >= variance
        assert Fraction(gaussian.scale) ** 2 <= max(variance * (1 + Fraction(1, 2**50)), Fraction(1, 2**20))


def test_no_cost_is_no_noise() -> None:
    assert [each.mechanism.scale for each in calibrate(analyse(ROWS3.count().question), None)] == [0.0]
