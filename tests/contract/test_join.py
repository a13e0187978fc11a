"""Joins of two private tables: what pandas' own merge finds, the same rows on every engine, and how far they move."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pytest
from engines import Engine, exactly
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import dpframe as dp
from dpframe import errors
from dpframe.backends import backend_of
from dpframe.privacy import analyse, calibrate
from dpframe.release import request

KEY = bytes(range(32))
LEFT = pd.DataFrame(
    {
        "user": ["u", "u", "v", None, "w", "v", None],
        "page": pd.array([1, 2, 1, 2, None, 3, None], dtype="Int64"),
        "x": [1.0, 2.0, 4.0, np.nan, 16.0, 32.0, -0.0],
    }
)
RIGHT = pd.DataFrame(
    {
        "user": ["u", "v", "v", None, "z", None],
        "page": pd.array([1, 1, 3, 2, 2, None], dtype="Int64"),
        "x": [0.5, 0.25, 8.0, 1.0, 2.0, 3.0],
        "land": ["CH", None, "LI", "CH", "AT", "AT"],
    }
)
SCHEMA = "user string, page bigint, x double"


def frames(engine: Engine, left: pd.DataFrame = LEFT, right: pd.DataFrame = RIGHT) -> tuple[Any, Any]:
    return engine.frame(left, SCHEMA), engine.frame(right, SCHEMA + ", land string")


def both(engine: Engine, left: pd.DataFrame = LEFT, right: pd.DataFrame = RIGHT, **unit: Any) -> tuple[Any, Any]:
    ours, theirs = frames(engine, left, right)
    return ours.dp.protect(**unit), theirs.dp.protect(**unit)


def answers(engine: Engine, query: Any) -> list[Any]:
    return [value.item() if hasattr(value, "item") else value for value in engine.rows(exactly(query)).iloc[:, -1]]


@pytest.mark.parametrize("on", ["page", "user", ["user", "page"], None])
def test_a_join_of_rows_is_that_of_pandas(engine: Engine, on: Any) -> None:
    ours, theirs = both(engine)
    on = on or ["user", "page"]
    if on == ["user", "page"]:
        ours = ours.rename({"x": "y"})  # None is every name that both have
    joined = ours.join(theirs, None if on == ["user", "page"] else on, max_matches=(9, 9))
    merged = LEFT.merge(RIGHT, on=on, suffixes=("_left", "_right"))  # nulls are equal there too
    assert answers(engine, joined.count()) == [len(merged)]
    counts = merged["land"].value_counts(dropna=False)
    assert answers(engine, joined.groupby("land", keys=["AT", "CH", "LI"]).count()) == [
        counts.get(land, 0) for land in ("AT", "CH", "LI")
    ]
    left, right = ("y", "x") if on == ["user", "page"] else ("x_left", "x_right")
    names = {"x_left": left, "x_right": right}
    for name, mine in names.items():
        assert answers(engine, joined.sum(mine, 0, 64)) == [merged[name].sum()]


def test_steps_before_and_after(engine: Engine) -> None:
    ours, theirs = both(engine)
    ours = ours.filter("x >= 1").assign(double="x * 2").select("page", "double")
    lands = pd.DataFrame({"land": ["CH", "LI"], "name": ["Schweiz", "Liechtenstein"]})
    theirs = theirs.join_public(lands, "land").filter("land = 'CH'").rename({"name": "country"})
    joined = ours.join(theirs.select("page", "country"), max_matches=(3, 3)).assign(more="double + 1")
    assert joined.columns == ["page", "double", "country", "more"]
    left = LEFT[LEFT["x"] >= 1]
    merged = left.merge(RIGHT[RIGHT["land"] == "CH"], on="page")
    assert answers(engine, joined.groupby("country", keys=["Schweiz"]).sum("more", 0, 99)) == [
        (2 * merged["x_x"] + 1).sum()
    ]
    twice = joined.join(both(engine)[1].select("page", "land"), "page", max_matches=(9, 9))
    again = merged.merge(RIGHT[["page", "land"]], on="page")
    assert answers(engine, twice.count()) == [len(again)]


def test_few_rows_of_a_key_stay_and_the_same_on_every_engine(engine: Engine, fixed_key: bytes) -> None:
    draw = np.random.default_rng(3)
    left, right = (
        pd.DataFrame(
            {
                "user": draw.choice(["u", "v", None], rows),
                "page": pd.array(draw.choice(np.array([1, 2, 3, None], object), rows), dtype="Int64"),
                "x": draw.choice([0.0, -0.0, np.nan, 1.5, 2.25, 7.0], rows),
                "land": draw.choice(["CH", "LI", None], rows),
            }
        )
        for rows in (40, 30)
    )

    def ask(left: Any, right: Any, **how: Any) -> pd.DataFrame:
        ours, theirs = left.dp.protect(), right.dp.protect()
        joined = ours.join(theirs, ["page"], **how)
        query = joined.groupby("page", keys=[1, 2, 3, None]).agg(
            n=dp.count(), x=dp.sum("x_left", 0, 9), y=dp.mean("x_right", 0, 9), d=dp.count_distinct("user_left", "land")
        )
        return query.release(epsilon=1, budget=dp.Budget(epsilon=1)), exactly(query)

    for how in ({"max_matches": (2, 3)}, {"max_matches": (1, 1)}, {"max_matches": (4, 1)}):
        here = ask(engine.frame(left.drop(columns="land"), SCHEMA), frames(engine, right=right)[1], **how)
        there = ask(left.drop(columns="land"), right, **how)
        for a, b in zip(here, there, strict=True):
            pd.testing.assert_frame_equal(engine.rows(a), b, check_dtype=False, check_exact=True)
        ours, theirs = how["max_matches"]
        assert list(there[1]["n"]) == [ours * theirs] * 4


def test_only_unique_keys(engine: Engine) -> None:
    ours, theirs = both(engine)
    joined = ours.join(theirs, "user", unique=True)
    # Of the left only w is unique, of the right u and z.
    assert answers(engine, joined.count()) == [0]
    left, right = LEFT.drop_duplicates("user"), RIGHT.drop_duplicates("page")
    ours, theirs = both(engine, left, right)
    assert answers(engine, ours.join(theirs, "user", unique=True).count()) == [2]
    assert answers(engine, ours.join(theirs.filter("land is null or land <> 'AT'"), "user", unique=True).count()) == [3]


def test_a_join_of_ids(engine: Engine) -> None:
    ours, theirs = both(engine, id="user", space="readers")
    joined = ours.join(theirs, "user")
    assert joined.columns == ["user", "page_left", "x_left", "page_right", "x_right", "land"]
    merged = LEFT.merge(RIGHT.dropna(subset="user"), on="user")
    assert answers(engine, joined.bound(rows=9).count()) == [len(merged)]
    assert answers(engine, joined.bound(rows=9).sum("x_right", 0, 9)) == [merged["x_y"].sum()]
    assert answers(engine, ours.join(theirs, "user", max_matches=(1, 1)).bound(rows=9).count()) == [2]
    assert answers(engine, ours.join(theirs, "user", max_matches=(1, 9)).bound(rows=9).count()) == [3]
    assert answers(engine, ours.join(theirs, "user", unique=True).bound(rows=9).count()) == [0]
    # Bounds of both hold, over the columns as they are.
    assert answers(engine, ours.bound(rows=9).join(theirs.bound(rows=1), "user").count()) == [2]
    by = theirs.bound(groups=1, rows_per_group=2, by=["page", "land"])
    assert answers(engine, ours.join(by, ["user", "page"]).count()) == [2]
    renamed = theirs.rename({"user": "reader"}).assign(user="land")
    with pytest.raises(errors.PlanError, match="by the id"):
        ours.join(renamed, "user")
    assert answers(engine, ours.rename({"user": "reader"}).join(renamed, "reader").bound(rows=9).count()) == [
        len(merged)
    ]


def test_a_table_with_itself(engine: Engine) -> None:
    frame, _ = frames(engine)
    private = frame.dp.protect()
    joined = private.join(private.filter("x > 1").rename({"x": "y"}), "page", max_matches=(9, 9))
    merged = LEFT.merge(LEFT[LEFT["x"] > 1], on="page")
    assert answers(engine, joined.count()) == [len(merged)]


def test_groups_that_are_found_after_a_join(engine: Engine) -> None:
    merged = LEFT.merge(RIGHT, on="page")["land"].fillna("none").value_counts()
    ours, theirs = both(engine)
    found = exactly(ours.join(theirs, "page", max_matches=(9, 9)).groupby("land").count())
    assert dict(engine.rows(found).fillna("none").values.tolist()) == merged.to_dict()
    ids, others = both(engine, id="user")
    joined = ids.join(others.select("user", "land"), "user").bound(rows=9).groupby("page").groups()
    assert list(engine.rows(exactly(joined))["page"]) == [1, 2, 3]


def test_several_tables_share_a_budget(engine: Engine) -> None:
    ours, theirs = both(engine, id="user", space="readers")
    with dp.Budget(epsilon=1) as budget:
        ours.bound(rows=1).count().release(epsilon=0.25)
        theirs.bound(rows=1).count().release(epsilon=0.25)
        released = ours.bound(rows=1).join(theirs, "user").count().release(epsilon=0.5)
        assert budget.remaining == 0
        with pytest.raises(errors.BudgetExceededError):
            theirs.bound(rows=1).count().release(epsilon=0.25)
    assert released.dp.release_info().unit == "all rows of one user of readers"


def reach(private: Any) -> tuple[int, int]:
    (part,) = analyse(private.count().question)
    return part.l1, part.l2_squared


def test_how_far_a_unit_moves() -> None:
    ours, theirs = LEFT.dp.protect(), RIGHT.dp.protect()
    on = {"on": "page"}
    assert reach(ours.join(theirs, **on, max_matches=(1, 1))) == (4, 16)
    assert reach(ours.join(theirs, **on, unique=True)) == (2, 4)
    assert reach(ours.join(theirs, **on, max_matches=("unique", "unique"))) == (2, 4)
    assert reach(ours.join(theirs, **on, max_matches=(5, "unique"))) == (2 + 5, 49)
    assert reach(LEFT.dp.protect(rows=3).join(theirs, **on, max_matches=("unique", 2))) == (3 * 2 + 2, 64)
    assert "at most 5 rows and the only row" in str(ours.join(theirs, **on, max_matches=(5, "unique")).plan)
    assert reach(ours.join(theirs, **on, max_matches=(2, 5))) == (2 * (5 + 2), 14**2)
    assert reach(LEFT.dp.protect(rows=3).join(theirs, **on, max_matches=(2, 5))) == (2 * (3 * 5 + 2), 34**2)
    assert reach(LEFT.dp.protect(rows=3).join(RIGHT.dp.protect(rows=2), **on, unique=True)) == (5, 25)
    grouped = LEFT.dp.protect(rows=2, groups=4, grouping="user").join(theirs, **on, max_matches=(1, 1))
    assert reach(grouped) == (2 * (8 + 1), 18**2)
    public = pd.DataFrame({"land": ["CH", "CH", "LI"], "tag": [1, 2, 3]})
    assert reach(ours.join(theirs.join_public(public), **on, max_matches=(1, 1))) == (2 * (1 + 2), 36)
    assert reach(ours.join(theirs, **on, max_matches=(1, 1)).join_public(public)) == (8, 64)
    thrice = ours.join(theirs, **on, max_matches=(1, 1)).select("page").join(theirs, **on, max_matches=(1, 1))
    assert reach(thrice) == (2 * (4 + 1), 100)
    assert "one row of table 1 and one row of table 2" in str(ours.join(theirs, **on, unique=True).plan)
    right = theirs.rename({"x": "y"}).join(RIGHT.dp.protect(rows=3).select("page"), unique=True)
    three = ours.select("page").join(right, **on, unique=True)
    assert "one row of table 1 and one row of table 2 and 3 rows of table 3" in str(three.plan)
    assert reach(three) == (1 + (1 + 3), 25)
    ids = LEFT.dp.protect(id="user").bound(rows=3).join(RIGHT.dp.protect(id="user"), "user")
    assert reach(ids) == (3, 9)


small = st.tuples(st.sampled_from(["a", "b", None]), st.integers(0, 2), st.sampled_from([0.0, 1.5, np.nan]))
tables = st.lists(small, min_size=1, max_size=9).map(
    lambda listed: pd.DataFrame(listed, columns=["k", "n", "x"]).astype({"k": object, "n": "int64", "x": float})
)
QUICK = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
FEW = settings(QUICK, max_examples=4, phases=[Phase.generate])


def exact(engine: Engine, left: pd.DataFrame, right: pd.DataFrame, ask: Any) -> tuple[Any, npt.NDArray[np.int64]]:
    ours, theirs = (engine.frame(frame, "k string, n bigint, x double").dp.protect(rows=2) for frame in (left, right))
    query = ask(ours, theirs)
    measured = analyse(query.question)
    asked = request(query.question, calibrate(measured, None), KEY)
    return measured, backend_of(query.source).aggregate(query.source, asked).dense(len(asked.keys))


def test_units_move_no_statistic_further_than_declared(engine: Engine) -> None:
    stay = st.sampled_from(["unique", 1, 2, 3])
    matches = st.one_of(st.just({"unique": True}), st.tuples(stay, stay))

    def law(left: pd.DataFrame, right: pd.DataFrame, how: Any, at: int, too: int) -> None:
        options = how if isinstance(how, dict) else {"max_matches": how}

        def ask(ours: Any, theirs: Any) -> Any:
            joined = ours.join(theirs, "k", **options)
            grouped = joined.groupby("k", "n_left", keys=dp.keys({"k": ["a", "b", None], "n_left": [0, 1, 2]}))
            return grouped.agg(n=dp.count(), s=dp.sum("n_right", -1, 2), d=dp.count_distinct("x_right", "n_right"))

        measured, here = exact(engine, left, right, ask)
        for frames in (
            (_without(left, at), right),
            (left, _without(right, too)),
            (_without(left, at), _without(right, too)),
        ):
            _, there = exact(engine, *frames, ask)
            for each, before, after in zip(measured, here.tolist(), there.tolist(), strict=True):
                moves = [abs(a - b) for a, b in zip(before, after, strict=True)]
                assert sum(moves) <= each.l1
                assert sum(move * move for move in moves) <= each.l2_squared

    setting = QUICK if engine.name == "pandas" else FEW
    setting(given(tables, tables, matches, st.integers(0, 100), st.integers(0, 100))(law))()


def _without(table: pd.DataFrame, at: int) -> pd.DataFrame:
    """A neighbour, two rows fewer; one row of a kind stays, for Spark makes no frame of none."""
    start = at % len(table)
    left = pd.concat([table[:start], table[start + 2 :]])
    return left if len(left) else table.assign(k="z")


def test_the_most_that_a_row_moves_is_reached() -> None:
    """By brute force over small tables: no smaller number would do for one row of either of two equal tables."""
    rows = [("a", n) for n in range(4)]

    def kept(table: list[tuple[str, int]], most: int | None) -> set[tuple[str, int]]:
        if most is None:
            return set(table) if len(table) == 1 else set()
        return set(sorted(table, key=lambda row: row[1])[:most])  # the row's number stands for its hash

    def joined(left: Any, right: Any, most: tuple[int | None, int | None]) -> set[Any]:
        return set(itertools.product(kept(left, most[0]), kept(right, most[1])))

    others = [other for many in (1, 4) for other in itertools.combinations(rows, many)]
    for most in ((1, 1), (1, 2), (2, 1), (2, 2), (None, None), (None, 2), (2, None)):
        furthest = 0
        for many in range(1, 5):
            for table in itertools.combinations(rows, many):
                for other in others:
                    for gone in table:
                        fewer = [row for row in table if row != gone]
                        furthest = max(furthest, len(joined(table, other, most) ^ joined(fewer, other, most)))
        assert furthest == (1 if most[0] is None else 2) * (most[1] or 1)


def test_refusals(engine: Engine) -> None:
    ours, theirs = both(engine)
    ids, others = both(engine, id="user")
    wrong: list[tuple[Any, type[Exception], str]] = [
        (lambda: ours.join(theirs, "page"), errors.PlanError, "max_matches"),
        (lambda: ours.join(theirs, "page", max_matches=(1, 1), unique=True), errors.PlanError, "max_matches"),
        (lambda: ours.join(theirs, "page", max_matches=3), errors.PlanError, "pair"),
        (lambda: ours.join(theirs, "page", max_matches=(1, "one")), errors.PlanError, "whole number"),
        (lambda: ours.join(theirs, "page", "left", max_matches=(1, 1)), errors.PlanError, "'inner' only"),
        (lambda: ours.join(theirs, "page", max_matches=(0, 1)), errors.PlanError, "at least 1"),
        (lambda: ours.join(theirs, "x", max_matches=(1, 1)), errors.ColumnTypeError, "join needs"),
        (lambda: ours.join(theirs, "nope", max_matches=(1, 1)), errors.UnknownColumnError, "nope"),
        (lambda: ours.join(theirs, "land", max_matches=(1, 1)), errors.UnknownColumnError, "land"),
        (lambda: ours.join(theirs, [], max_matches=(1, 1)), errors.PlanError, "once each"),
        (lambda: ours.join(RIGHT, "page", max_matches=(1, 1)), errors.FrameError, "join_public"),
        (lambda: ours.join(others, "user", max_matches=(1, 1)), errors.PlanError, "same kind"),
        (lambda: ids.join(others, "user", max_matches=(1, -1)), errors.PlanError, "at least 1"),
        (lambda: ours.join(theirs, "page", unique=1), errors.PlanError, "unique=True"),
        (lambda: ids.join(others, "page"), errors.PlanError, "by the id"),
        (lambda: ids.join(both(engine, id="user", space="z")[1], "user"), errors.PlanError, "same people"),
        (lambda: ids.join(others.bound(groups=1, rows_per_group=1, by="x"), "user"), errors.ColumnTypeError, "grouped"),
        (
            lambda: ours.join(theirs.partition("land", ["CH"])["CH"], "page", unique=True),
            errors.PlanError,
            "before .partition",
        ),
    ]
    with dp.Budget(epsilon=1) as budget:
        for make, kind, says in wrong:
            with pytest.raises(kind, match=says):
                make()
        with pytest.raises(errors.MissingBoundError):
            ids.join(others, "user").count().release(epsilon=1)
        assert budget.spent == 0
    with pytest.raises(errors.PlanError, match="space="):
        LEFT.dp.protect(space="z")


def test_tables_of_two_engines_are_refused(engine: Engine, tmp_path: Any) -> None:
    LEFT.to_parquet(tmp_path / "log.parquet")
    scan = dp.scan(tmp_path / "log.parquet").dp.protect()
    ours, theirs = both(engine)
    with pytest.raises(errors.FrameError, match="same engine"):
        ours.join(scan, "page", unique=True)
    if engine.name != "pandas":
        with pytest.raises(errors.FrameError, match="same engine"):
            LEFT.dp.protect().join(theirs, "page", unique=True)


def test_nothing_of_the_other_table_shows(engine: Engine) -> None:
    canary = pd.DataFrame({"user": ["CANARY"], "page": pd.array([1], dtype="Int64"), "x": [4711.5], "land": ["CANARY"]})
    ours, theirs = both(engine, right=canary)
    joined = ours.join(theirs, "page", max_matches=(1, 1))
    query = joined.count()
    for thing in (joined, joined.plan, query, query.question):
        text = repr(thing) + str(thing)
        assert "CANARY" not in text and "4711" not in text
