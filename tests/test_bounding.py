"""Bounding of Arrow tables: as many rows as the bounds allow, the same ones in any order, part and thread."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

import dpframe as dp
from dpframe.backends import Request, bounds
from dpframe.backends.exact import add_up, locate
from dpframe.kernels.codes import Table, fold, span
from dpframe.plan import Bound, Column, Count, GroupBound, RowBound, Sum, Type

KEYS = dp.keys({"c1": range(6)})
ROWS = (Count(),)
X = Sum("c2", low=0, high=9, center=0, grid=1.0, integer=True)
HOUR = Column("hour", "c3", Type.INTEGER)


def request(*limits: Bound, statistics: Any = ROWS, salt: bytes = bytes(16)) -> Request:
    types = dict.fromkeys(("c0", "c1", "c2", "c3"), Type.INTEGER)
    return Request(types, (), types, "c0", limits, KEYS, statistics, salt)


def bounded(rows: list[tuple[int, ...]], asked: Request, threads: int = 1) -> list[tuple[int, ...]]:
    table = pa.table({f"c{at}": pa.array([row[at] for row in rows], pa.int64()) for at in range(4)})
    cell = locate(KEYS, table)
    bounds.bound(table, cell, asked, threads)
    assert (cell >= -1).all()
    # What stays keeps its cell.
    assert all(row[1] == at for row, at in zip(rows, cell, strict=True) if at >= 0)
    return [row for row, at in zip(rows, cell, strict=True) if at >= 0]


ROW = st.tuples(st.integers(0, 4), st.integers(0, 7), st.integers(0, 3), st.integers(0, 2))
LIMIT = st.one_of(
    st.builds(RowBound, st.integers(1, 5)),
    st.builds(GroupBound, st.integers(1, 4), st.integers(1, 3), st.sampled_from([None, (HOUR,)])),
)
SEVERAL = st.lists(LIMIT, min_size=1, max_size=3)
STATISTICS = st.sampled_from([(Count(),), (Count(), X)])


@settings(max_examples=150, deadline=None)
@given(st.lists(ROW, max_size=60), SEVERAL, STATISTICS, st.randoms(use_true_random=False))
def test_the_same_rows_stay_whatever_their_order_and_the_number_of_parts(
    rows: list[tuple[int, ...]], limits: list[Bound], statistics: Any, random: Any
) -> None:
    asked = request(*limits, statistics=statistics)

    def sums(kept: list[tuple[int, ...]]) -> Any:
        return Counter((row[0], row[1]) for row in kept), Counter(row[:3] for row in kept) if len(statistics) > 1 else 0

    once = sums(bounded(rows, asked))
    random.shuffle(rows)
    assert sums(bounded(rows, asked, threads=2)) == once
    with mock.patch.object(bounds, "PART", 7):
        assert sums(bounded(rows, asked)) == once


@settings(max_examples=150, deadline=None)
@given(st.lists(ROW, max_size=60), SEVERAL)
def test_bounds_hold_and_leave_no_more_out_than_they_must(rows: list[tuple[int, ...]], limits: list[Bound]) -> None:
    kept = bounded(rows, request(*limits, statistics=(X,)))
    for limit in limits:
        for unit in {row[0] for row in kept}:
            mine = [row for row in kept if row[0] == unit]
            if isinstance(limit, RowBound):
                assert len(mine) <= limit.rows
            else:
                groups = Counter(row[1] if limit.by is None else row[3] for row in mine)
                assert len(groups) <= limit.groups and max(groups.values()) <= limit.rows_per_group
    inside = [row for row in rows if row[1] < 6]
    if len(limits) == 1:
        limit = limits[0]
        for unit in {row[0] for row in inside}:
            mine = [row for row in inside if row[0] == unit]
            if isinstance(limit, RowBound):
                most = min(len(mine), limit.rows)
                assert sum(row[0] == unit for row in kept) == most
            else:
                of = 1 if limit.by is None else 3
                left = Counter(row[of] for row in kept if row[0] == unit)
                there = Counter(row[of] for row in mine)
                assert len(left) == min(len(there), limit.groups)
                assert all(n == min(there[group], limit.rows_per_group) for group, n in left.items())


@settings(max_examples=200, deadline=None)
@given(st.lists(ROW, max_size=60), SEVERAL, STATISTICS, st.lists(st.integers(0, 60), max_size=3))
def test_rows_that_parts_of_them_do_without_change_nothing(
    rows: list[tuple[int, ...]], limits: list[Bound], statistics: Any, cuts: list[int]
) -> None:
    asked = request(*limits, statistics=statistics)

    def thinned(part: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
        table = pa.table({f"c{at}": pa.array([row[at] for row in part], pa.int64()) for at in range(4)})
        return [row for row, stays in zip(part, bounds.thin(table, locate(KEYS, table), asked), strict=True) if stays]

    ends = [0, *sorted(cuts), len(rows)]
    left = [row for a, b in pairwise(ends) for row in thinned(rows[a:b])]
    what = 2 if len(statistics) == 1 else 3
    assert Counter(row[:what] for row in bounded(left, asked)) == Counter(row[:what] for row in bounded(rows, asked))


def test_of_a_unit_of_many_rows_few_are_left() -> None:
    rows = [(1, group % 6, 0, 0) for group in range(3_000)] + [(2, 1, 0, 0)]
    table = pa.table({f"c{at}": pa.array([row[at] for row in rows], pa.int64()) for at in range(4)})
    cell = locate(KEYS, table)
    alike, told_apart = (request(GroupBound(2, 3), statistics=each) for each in ((Count(),), (X,)))
    assert bounds.thin(table, cell, alike).sum() == 2 * 3 + 1
    assert bounds.thin(table, cell, told_apart).sum() == 2 * 500 + 1
    assert bounds.thin(table, cell, request(RowBound(5))).all()
    assert (cell >= 0).all()


def test_a_unit_of_many_rows_and_one_of_many_groups() -> None:
    """More rows and groups than any small table of the kernels holds."""
    rows = [(0, at % 6, at % 4, at) for at in range(5000)]
    kept = bounded(rows, request(GroupBound(3, 100), GroupBound(70, 1, (HOUR,)), statistics=(X,)))
    assert len(kept) == 70 and len({row[1] for row in kept}) <= 3
    assert len(bounded(rows, request(GroupBound(200, 1, (HOUR,)), statistics=(X,)))) == 200


def test_one_bound_given_twice_is_that_bound() -> None:
    rows = [(at % 2, at % 6, at % 4, at) for at in range(60)]
    for limit in (RowBound(4), GroupBound(2, 3), GroupBound(2, 3, (HOUR,))):
        assert bounded(rows, request(limit, limit, statistics=(X,))) == bounded(rows, request(limit, statistics=(X,)))


def test_each_group_of_a_unit_is_as_likely_to_stay() -> None:
    rows = [(0, at, 0, 0) for at in range(6)]
    times: Counter[int] = Counter()
    for at in range(3000):
        times.update(row[1] for row in bounded(rows, request(GroupBound(2, 1), salt=at.to_bytes(16, "little"))))
    # Two of six: 1000 each. Within 6 standard deviations, of √(3000·⅓·⅔) = 26.
    assert sum(times.values()) == 6000 and all(abs(n - 1000) < 156 for n in times.values())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 3), max_size=80))
def test_codes_of_integers(values: list[int]) -> None:
    given_, skip = np.array(values, np.int64), np.array([value == 1 for value in values], np.bool_)
    table, codes = Table.of(given_, skip)
    seen = list(dict.fromkeys(value for value in values if value != 1))
    assert codes.tolist() == [-1 if value == 1 else seen.index(value) for value in values]
    assert table.known.tolist() == seen and table.look_up(given_, skip).tolist() == codes.tolist()
    assert table.look_up(np.array([1])).tolist() == [-1]
    least, largest = span(given_, skip)
    assert (least, largest) == ((min(seen), max(seen)) if seen else (0, -1))


def test_a_table_of_codes_grows() -> None:
    values = np.arange(100_000) * 2**40
    table, codes = Table.of(values)
    assert (codes == np.arange(100_000)).all() and (table.known == values).all()


def test_values_beyond_a_domain_have_no_cell_even_at_the_ends_of_64_bits() -> None:
    cell = np.zeros(5, np.int64)
    values = np.array([-(2**63), -1, 0, 2, 2**63 - 1])
    fold(cell, values, np.empty(0, np.bool_), -1, np.array([0, -1, 1, 2]), -1, 3)
    assert cell.tolist() == [-1, 0, -1, 2, -1]


def test_few_rows_in_a_vast_key_set_are_added_up_by_their_cells_alone() -> None:
    keys = dp.keys({"c1": range(1000)}) * dp.keys({"c3": range(1_000_000)})
    types = {"c1": Type.INTEGER, "c3": Type.INTEGER}
    asked = Request(types, (), types, None, (), keys, (Count(),), bytes(16))
    table = pa.table({"c1": [999, 0, 999, 5000], "c3": [7, 3, 7, 1]})
    sums = add_up(table, locate(keys, table), asked)
    assert sums.cells.tolist() == [3, 999_000_007] and sums.values.tolist() == [[1, 2]]
