"""The law that privacy rests on: one unit more or less moves every exact statistic by at most its sensitivity.

Random tables, random chains, every step that exists; the unit is removed, and the move is measured in exact integers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from engines import Engine
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import dpframe as dp
from dpframe.backends import backend_of
from dpframe.privacy import analyse, calibrate
from dpframe.release import request

KEY = bytes(range(32))
SCHEMA = "user string, g string, h string, x double, n bigint"

rows = st.tuples(
    st.sampled_from(["u", "v", "w", None]),
    st.sampled_from(["a", "b", "c", "d", None]),
    st.sampled_from(["p", "q", None]),
    st.one_of(st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 1e300, 5e-324]), st.floats(-20, 20)),
    st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 30),
)
tables = st.lists(rows, min_size=1, max_size=25).map(
    lambda listed: pd.DataFrame(listed, columns=["user", "g", "h", "x", "n"]).astype(
        {"user": object, "g": object, "h": object, "x": float, "n": "int64"}
    )
)
PUBLIC = pd.DataFrame({"h": ["p", "p", "p", "q", None, None], "tag": [1, 2, 3, 4, 5, 6]})
COLUMNS = ["g", "h", "x", "n", "user"]


def two(row: Any) -> Any:
    """Two rows, or none where x is missing, or an error."""
    return [{"x": row["x"], "n": 4}, {"x": 1 / row["n"], "n": row["n"]}][: 2 if row["x"] else 0]


two.__module__ = "__main__"  # so that Spark is sent the function itself, and not where it stands
steps = st.lists(
    st.sampled_from(
        [
            lambda p: p.filter("x > 0 or n < 3"),
            lambda p: p.filter("n is not null and h is not null"),
            lambda p: p.assign(x="x * n", m="n / 2"),
            lambda p: p.assign(g="case when n > 10 then 'a' else g end"),
            lambda p: p.assign(band=dp.cut("x", [-5, 0, 5, 20])),
            lambda p: p.assign(user="concat(g, 'x')"),
            lambda p: p.rename({"g": "h", "h": "g"}),
            lambda p: p.select("g", "h", "x", "n", "user"),
            lambda p: p.drop_null("h", "x"),
            lambda p: p.fill_null(),
            lambda p: p.fill_null(user="u", g="a", x=-2.5),
            lambda p: p.drop_inf(),
            lambda p: p.fill_inf(x=(-1, 2)),
            lambda p: p.join_public(PUBLIC).select(*COLUMNS),
            lambda p: p.flat_map(two, {"x": (float, -3.0), "n": int}, max_rows=2, augment=True),
            lambda p: p.map(lambda row: {"g": row["h"]}, {"g": (str, "a")}, augment=True),
            lambda p: p.join_public(PUBLIC.iloc[1:], "h", "left").filter("tag is null or tag < 6").select(*COLUMNS),
        ]
    ),
    max_size=6,
)
small = st.integers(1, 3)
limits = st.lists(
    st.one_of(
        st.builds(lambda rows: {"rows": rows}, small),
        st.builds(
            lambda groups, rows, by: {"groups": groups, "rows_per_group": rows, "by": by},
            small,
            small,
            st.sampled_from([None, "g", "h", ["g", "h"], "n"]),
        ),
    ),
    min_size=1,
    max_size=3,
)
groupings = st.sampled_from([(), ("g",), ("h",), ("g", "h")])
KEYS = {"g": ["a", "b", "c", None], "h": ["p", None, "q"]}


def ask(private: Any, chain: list[Any], grouping: tuple[str, ...]) -> Any:
    for step in chain:
        private = step(private)
    answers = {
        "c": dp.count(),
        "s": dp.sum("x", -7.5, 3),
        "i": dp.sum("n", -3, 20),
        "m": dp.mean("x", 1, 2.5),
        "k": dp.mean("n", 0, 9),
        "d": dp.count_distinct("x"),
        "e": dp.count_distinct("user"),
        "f": dp.count_distinct("n", "h"),
        "v": dp.var("x", 1, 2.5),
        "w": dp.std("n", -(2**20), 2**20 + 3),
    }
    if not grouping:
        return private.agg(**answers)
    return private.groupby(*grouping, keys=dp.keys({name: KEYS[name] for name in grouping})).agg(**answers)


def exact(engine: Engine, frame: pd.DataFrame, query_of: Any) -> tuple[Any, npt.NDArray[np.int64]]:
    """A question's measures and their exact statistics, (statistics, cells), under one fixed key."""
    native = engine.frame(frame, SCHEMA)
    query = query_of(native.dp)
    measured = analyse(query.question)
    asked = request(query.question, calibrate(measured, None), KEY)
    return measured, backend_of(native).aggregate(native, asked).dense(len(asked.keys))


def check(engine: Engine, table: pd.DataFrame, neighbour: pd.DataFrame, query_of: Any) -> None:
    measured, here = exact(engine, table, query_of)
    if engine.name != "pandas":
        # What both engines compute is the same; pandas knows of more columns that nothing is missing from them.
        there = {each.statistic: values for each, values in zip(*exact(HERE, table, query_of), strict=True)}
        shared = [
            (there[each.statistic], values)
            for each, values in zip(measured, here, strict=True)
            if each.statistic in there
        ]
        assert len(shared) >= 5 and all((one == other).all() for one, other in shared)
    _, there = exact(engine, neighbour, query_of)
    for each, before, after in zip(measured, here.tolist(), there.tolist(), strict=True):
        moves = [abs(a - b) for a, b in zip(before, after, strict=True)]
        assert sum(moves) <= each.l1
        assert sum(move * move for move in moves) <= each.l2_squared


def neighbours_by_id(table: pd.DataFrame, at: int) -> pd.DataFrame:
    id_ = table["user"].iloc[at % len(table)]
    return table[table["user"] != id_] if isinstance(id_, str) else table[table["user"].notna()]


QUICK = settings(max_examples=150, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
# On Spark an example is several jobs: a few of them, and none spent on making a failure smaller.
FEW = settings(QUICK, max_examples=5, phases=[Phase.generate])
MANY = {"pandas": settings(QUICK, max_examples=3_500), "spark": settings(FEW, max_examples=100)}
HERE = Engine("pandas", lambda frame, schema=None: frame, lambda frame: frame)


def by_id(engine: Engine, table: pd.DataFrame, chain: Any, bounds: Any, grouping: Any, at: int) -> None:
    def query_of(door: Any) -> Any:
        private = door.protect(id="user")
        for bound in bounds:
            private = private.bound(**bound)
        return ask(private, chain, grouping)

    check(engine, table, neighbours_by_id(table, at), query_of)


def by_row(engine: Engine, table: pd.DataFrame, chain: Any, grouping: Any, rows: int, at: int) -> None:
    start = at % len(table)
    kept = pd.concat([table[:start], table[start + rows :]])
    check(engine, table, kept, lambda door: ask(door.protect(rows=rows), chain, grouping))


def by_rows_in_groups(
    engine: Engine, table: pd.DataFrame, chain: Any, grouping: Any, groups: int, rows: int, at: int
) -> None:
    here = table["h"].fillna("null")
    # A unit of the largest size, from anywhere in the table.
    turned = np.roll(np.arange(len(table)), at)
    some = list(dict.fromkeys(here.iloc[turned]))[:groups]
    taken = [i for each in some for i in turned[(here.iloc[turned] == each).to_numpy()][:rows]]
    kept = table.drop(index=table.index[taken])

    def query_of(door: Any) -> Any:
        return ask(door.protect(rows=rows, groups=groups, grouping="h"), chain, grouping)

    check(engine, table, kept, query_of)


def hold(law: Any, engine: Engine, *strategies: Any) -> None:
    (QUICK if engine.name == "pandas" else FEW)(given(*strategies)(law))(engine)


@pytest.mark.slow
@pytest.mark.parametrize("law", ["id", "rows", "groups"])
def test_ten_thousand_chains_move_no_statistic_further_than_declared(engine: Engine, law: str) -> None:
    strategies = {
        "id": (by_id, tables, steps, limits, groupings, st.integers(0, 100)),
        "rows": (by_row, tables, steps, groupings, st.integers(1, 3), st.integers(0, 100)),
        "groups": (by_rows_in_groups, tables, steps, groupings, small, small, st.integers(0, 100)),
    }
    law_of, *drawn = strategies[law]
    MANY["pandas" if engine.name == "pandas" else "spark"](given(*drawn)(law_of))(engine)


def test_an_id_moves_no_statistic_further_than_declared(engine: Engine) -> None:
    hold(by_id, engine, tables, steps, limits, groupings, st.integers(0, 100))


def test_rows_move_no_statistic_further_than_declared(engine: Engine) -> None:
    hold(by_row, engine, tables, steps, groupings, st.integers(1, 3), st.integers(0, 100))


def test_rows_in_groups_move_no_statistic_further_than_declared(engine: Engine) -> None:
    hold(by_rows_in_groups, engine, tables, steps, groupings, small, small, st.integers(0, 100))


def test_the_law_would_notice_a_missing_bound(engine: Engine) -> None:
    """The check itself has teeth: without the bounds that were declared, a heavy id breaks it."""
    if engine.name != "pandas":
        return
    table = pd.DataFrame({"user": ["u"] * 9, "g": ["a"] * 9, "h": ["p"] * 9, "x": 1.0, "n": 1})
    measured, here = exact(engine, table, lambda door: ask(door.protect(id="user").bound(rows=9), [], ("g",)))
    declared, _ = exact(engine, table, lambda door: ask(door.protect(id="user").bound(rows=8), [], ("g",)))
    assert max(here[0]) > declared[0].l1
    assert len(measured) == len(declared)


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

    def query_of(door: Any) -> Any:
        return ask(door.protect(id="user").bound(groups=2, rows_per_group=2), [], ("g",))

    _, here = exact(engine, table, query_of)
    _, reversed_ = exact(engine, table[::-1].reset_index(drop=True), query_of)
    assert (here == reversed_).all()
    alone = [exact(engine, table[table["user"] == user], query_of)[1] for user in ("u", "v")]
    assert (alone[0] + alone[1] == here).all()
