"""The law that privacy rests on: one unit more or less moves every exact statistic by at most its sensitivity.

Random tables, random chains of every step that exists; the unit is removed, and the move is measured in exact integers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from chains import KEYS, SCHEMA, Asked, Tables, asked, below, bounds, chains, questions, sent, small, tables
from engines import Engine
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from dpframe import parts
from dpframe.backends import backend_of, pandas
from dpframe.plan import Distinct
from dpframe.privacy import Measured, analyse, calibrate
from dpframe.privacy.selection import reach, select
from dpframe.release import request

KEY = bytes(range(32))
HERE = Engine("pandas", lambda frame, schema=None: frame, lambda frame: frame)

Frames = tuple[pd.DataFrame, pd.DataFrame]
"""The table that a chain begins with, and one to join it with."""

Values = dict[Any, list[int]]
"""Exact statistics by group, where any is not 0."""


@pytest.fixture(autouse=True)
def one_choice_of_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """A partition draws its key when it is made: the same one for both neighbours."""
    monkeypatch.setattr(parts, "fresh_salt", lambda size: KEY[:size])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """To open DuckDB takes longer than all else that an example does, and threads for a few rows take long as well.

    So DuckDB is opened once, with a connection of its own for each use, and one thread does.
    """
    monkeypatch.setattr(pandas, "THREADS", 1)
    with duckdb.connect(":memory:", config={"enable_external_access": "false", "temp_directory": ""}) as engine:
        monkeypatch.setattr(duckdb, "connect", lambda *_, **__: engine.cursor())
        yield


@dataclass(frozen=True)
class Found:
    """A query, what it measures, and its exact statistics under one fixed key."""

    query: Any
    measured: tuple[Measured, ...]
    values: Values

    def moves(self, other: Found) -> Iterator[tuple[Measured, list[int]]]:
        """How far each statistic is from another table's, in every group where it is another."""
        nothing = [0] * len(self.measured)
        pairs = [
            zip(self.values.get(key, nothing), other.values.get(key, nothing), strict=True)
            for key in self.values.keys() | other.values.keys()
        ]
        for each, cells in zip(self.measured, zip(*pairs, strict=True) if pairs else [()] * len(nothing), strict=True):
            yield each, [abs(a - b) for a, b in cells if a != b]


@sent
def handed_over(groups: pa.Table, exact: Any) -> pa.Table:
    """All groups with their exact statistics: what enters a selection, in the place of what comes out."""
    return pa.table(
        {**{name: groups[name] for name in groups.column_names}, **{f"s{at}": row for at, row in enumerate(exact)}}
    )


def exact(engine: Engine, frames: Frames, queries_of: Callable[[Any, Any], list[Any]]) -> list[Found]:
    """What a chain finds in two tables."""
    ours, theirs = (engine.frame(frame, SCHEMA) for frame in frames)
    return [found(ours, query) for query in queries_of(ours.dp, theirs.dp)]


def found(frame: Any, query: Any) -> Found:
    question, backend = query.question, backend_of(frame)
    calibrated = select(question, None).calibrated if question.finds else calibrate(analyse(question), None)
    measured = tuple(each.measured for each in calibrated)
    asked = request(question, calibrated, KEY)
    if question.finds:
        columns = backend.find(frame, asked, handed_over).to_pydict()
        keys = zip(*(columns.pop(ref) for ref in asked.by), strict=True)
        values = dict(zip(keys, zip(*columns.values(), strict=True), strict=True))
    else:
        ranking = partial(below, [each.statistic for each in measured]) if asked.ranking else None
        sums = backend.aggregate(frame, replace(asked, ranking=ranking))
        values = dict(zip(sums.cells.tolist(), sums.values.T.tolist(), strict=True))
    return Found(query, measured, {key: list(value) for key, value in values.items() if any(value)})


def check(engine: Engine, frames: Frames, fewer: Frames, queries_of: Callable[[Any, Any], list[Any]]) -> None:
    """No statistic is further from that of the neighbour than declared; and every engine finds the same."""
    here, there = exact(engine, frames, queries_of), exact(engine, fewer, queries_of)
    if engine.name != "pandas":
        also = exact(HERE, frames, queries_of)
        assert [(each.measured, each.values) for each in here] == [(each.measured, each.values) for each in also]
    moved = [(one.query.question, list(one.moves(other))) for one, other in zip(here, there, strict=True)]
    for question, moves in moved:
        for each, cells in moves:
            assert sum(cells) <= each.l1
            assert sum(move * move for move in cells) <= each.l2_squared
            assert each.cells is None or max(cells, default=0) <= each.l1 // each.cells
        if question.finds:
            within_reach(question, moves)
    together(moved)


def within_reach(question: Any, moves: Any) -> None:
    """The count by which groups are selected reaches no more of them than the threshold is made for."""
    private = question.plan
    unit = reach(private.moves, private.bounds, {private.schema[name].ref for name in question.by})
    decides = select(question, None).statistic
    unit = unit.once if isinstance(decides, Distinct) else unit
    (cells,) = (cells for each, cells in moves if each.statistic == decides)
    assert len(cells) <= unit.groups and max(cells, default=0) <= unit.rows and sum(cells) <= unit.total


def together(moved: Any) -> None:
    """A unit reaches no more parts of a table than are charged; and where one is, no more of all than of one."""
    reached: dict[Any, set[int]] = {}
    whole = Fraction(0)
    for question, moves in moved:
        part = max(Fraction(sum(cells), each.l1) for each, cells in moves)
        child = question.plan.child
        while part and child is not None:
            reached.setdefault(child.family, set()).add(child.number)
            child = child.family.within
        whole += part
    assert all(len(numbers) <= family.reach for family, numbers in reached.items())
    assert whole <= 1 or not all(family.even for family in reached)


def by_id(
    engine: Engine, ours: Any, theirs: Any, chain: Any, limits: Any, late: bool, declared: Any, asked: Asked, at: int
) -> None:
    """One id more or less, in both tables."""
    ids = [*ours["user"], *theirs["user"]]
    id_ = ids[at % len(ids)]
    fewer = [table[table["user"] != id_ if isinstance(id_, str) else table["user"].notna()] for table in (ours, theirs)]
    steps = [*chain, *limits] if late else [*limits, *chain]

    def queries_of(*doors: Any) -> Any:
        return questions(Tables(*(door.protect(id="user", keys=declared) for door in doors)), steps, asked)

    check(engine, (ours, theirs), (fewer[0], fewer[1]), queries_of)


def by_row(
    engine: Engine, ours: Any, theirs: Any, chain: Any, rows: Any, sides: Any, declared: Any, asked: Asked, at: int
) -> None:
    """Some rows more or less, of one table or both."""

    def fewer(table: pd.DataFrame, rows: int) -> pd.DataFrame:
        start = at % len(table)
        return pd.concat([table[:start], table[start + rows :]])

    def queries_of(*doors: Any) -> Any:
        private = (door.protect(rows=many, keys=declared) for door, many in zip(doors, rows, strict=True))
        return questions(Tables(*private), chain, asked)

    frames = (ours, theirs)
    neighbour = [fewer(t, k) if side else t for t, k, side in zip(frames, rows, sides, strict=True)]
    check(engine, frames, (neighbour[0], neighbour[1]), queries_of)


def by_rows_in_groups(
    engine: Engine, ours: Any, theirs: Any, chain: Any, unit: Any, sides: Any, declared: Any, asked: Asked, at: int
) -> None:
    """Some rows in each of some groups more or less, of one table or both."""
    groups, rows = unit

    def fewer(table: pd.DataFrame) -> pd.DataFrame:
        here = table["h"].fillna("null")
        # A unit of the largest size, from anywhere in the table.
        turned = np.roll(np.arange(len(table)), at)
        some = list(dict.fromkeys(here.iloc[turned]))[:groups]
        taken = [i for each in some for i in turned[(here.iloc[turned] == each).to_numpy()][:rows]]
        return table.drop(index=table.index[taken])

    def queries_of(*doors: Any) -> Any:
        private = (door.protect(rows=rows, groups=groups, grouping="h", keys=declared) for door in doors)
        return questions(Tables(*private), chain, asked)

    frames = (ours, theirs)
    neighbour = [fewer(table) if side else table for table, side in zip(frames, sides, strict=True)]
    check(engine, frames, (neighbour[0], neighbour[1]), queries_of)


frames = (tables(25), tables(12))
last = (st.sampled_from([{}, {"h": KEYS["h"]}]), asked, st.integers(0, 100))
limits = st.lists(bounds, min_size=1, max_size=3)
sides = st.sampled_from([(True, True), (True, False), (False, True)])
pairs = st.tuples(small, small)
LAWS: dict[str, Callable[..., tuple[Any, ...]]] = {
    "id": lambda *certain: (by_id, *frames, chains(True, *certain), limits, st.booleans(), *last),
    "rows": lambda *certain: (by_row, *frames, chains(False, *certain), pairs, sides, *last),
    "groups": lambda *certain: (by_rows_in_groups, *frames, chains(False, *certain), pairs, sides, *last),
}

QUICK = settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
# On Spark an example is several jobs: a few of them, and none spent on making a failure smaller.
FEW = settings(QUICK, max_examples=3, phases=[Phase.generate])
MANY = {"pandas": settings(QUICK, max_examples=3_500), "spark": settings(FEW, max_examples=100)}


def hold(law: str, engine: Engine, setting: settings, *certain: str) -> None:
    check_one, *drawn = LAWS[law](*certain)
    setting(given(st.tuples(*drawn))(lambda one: check_one(engine, *one)))()


@pytest.mark.slow
@pytest.mark.parametrize("law", LAWS)
def test_ten_thousand_chains_move_no_statistic_further_than_declared(engine: Engine, law: str) -> None:
    hold(law, engine, MANY["pandas" if engine.name == "pandas" else "spark"])


@pytest.mark.parametrize("law", LAWS)
def test_a_unit_moves_no_statistic_further_than_declared(engine: Engine, law: str) -> None:
    hold(law, engine, QUICK if engine.name == "pandas" else FEW)


FAULTS: dict[str, Callable[[Any], Any]] = {
    "no bound": lambda bound: lambda table, cell, *more: None,
    "found: no bound": lambda bound: (
        lambda table, cell, asked, *more: None if asked.by else bound(table, cell, asked, *more)
    ),
}
"""What bounds could do wrong."""

SEEN = settings(QUICK, max_examples=500, phases=[Phase.generate], report_multiple_bugs=False)


@pytest.mark.parametrize("fault", FAULTS)
def test_the_law_would_notice_a_missing_bound(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The law has teeth: an example says so when rows of an id are not bounded."""
    monkeypatch.setattr(pandas, "bound", FAULTS[fault](pandas.bound))
    with pytest.raises(AssertionError):
        hold("id", HERE, SEEN)


def test_the_choice_of_rows_ignores_order_and_other_units(engine: Engine) -> None:
    draw = np.random.default_rng(1)
    table = pd.DataFrame(
        {
            "user": draw.choice(["u", "v"], 60),
            "g": draw.choice(["a", "b", "c"], 60),
            "h": "p",
            "x": draw.normal(size=60),
        }
    ).assign(n=range(60))

    def values(frame: pd.DataFrame) -> Any:
        def queries_of(door: Any, _: Any) -> Any:
            return [Asked(("g",), 1, "")(door.protect(id="user").bound(groups=2, rows_per_group=2))]

        (one,) = exact(engine, (frame, frame), queries_of)
        return {key: np.array(values) for key, values in one.values.items()}

    here = values(table)
    reversed_ = values(table[::-1].reset_index(drop=True))
    assert here.keys() == reversed_.keys() and all((here[key] == reversed_[key]).all() for key in here)
    alone = [values(table[table["user"] == user]) for user in ("u", "v")]
    added = {key: sum(each.get(key, 0) for each in alone) for key in here}
    assert all((here[key] == added[key]).all() for key in here)
