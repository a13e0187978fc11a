"""The chain means the same on every engine: exact answers against brute force, released bits against pandas."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
import pytest
from engines import Engine, exactly

import dpframe as dp

LEVELS = ["a", "b", "z", None]


def chain(frame: Any) -> Any:
    return (
        frame.dp.protect()
        .filter("age >= 18 and age < 90")
        .assign(band=dp.cut("age", range(0, 101, 20)), months="age * 12")
        .rename({"level": "class"})
        .select("class", "band", "income", "months")
        .groupby("class", "band", keys=dp.keys({"class": LEVELS}))
        .agg(n=dp.count(), income=dp.mean("income", 0, 10), months=dp.sum("months", 0, 900))
    )


def by_hand(frame: pd.DataFrame) -> list[tuple[Any, ...]]:
    """The chain's exact answers by a loop over rows."""
    bands = ["[0, 20]", "(20, 40]", "(40, 60]", "(60, 80]", "(80, 100]"]
    rows = []
    for level in (None, "a", "b", "z"):
        for at, band in enumerate(bands):
            mine = [
                (row.income, row.age)
                for row in frame.itertuples()
                if 18 <= row.age < 90
                and (row.level == level or (level is None and not isinstance(row.level, str)))
                and max(0, math.ceil(row.age / 20) - 1) == at
            ]
            incomes = [min(max(income, 0.0), 10.0) for income, _ in mine if not math.isnan(income)]
            mean = sum(incomes) / len(incomes) if incomes else math.nan
            rows.append((level, band, len(mine), mean, sum(min(age * 12, 900) for _, age in mine)))
    return rows


def test_exact_answers_are_what_a_loop_over_rows_finds(engine: Engine, members: pd.DataFrame) -> None:
    answer = engine.rows(exactly(chain(engine.frame(members))))
    assert list(answer.columns) == ["class", "band", "n", "income", "months"]
    for got, expected in zip(answer.itertuples(index=False), by_hand(members), strict=True):
        assert (got[0] if isinstance(got[0], str) else None, *got[1:3], got[4]) == (*expected[:3], expected[4])
        assert got[3] == pytest.approx(expected[3], abs=1e-8, nan_ok=True)


def test_one_release_key_gives_the_same_bits_on_every_engine(
    engine: Engine, members: pd.DataFrame, fixed_key: bytes
) -> None:
    budget = dp.Budget(epsilon=9)
    here = engine.rows(chain(engine.frame(members)).release(epsilon=1, ci=0.9, budget=budget))
    # Spark's columns may all be null, which the noise of a mean must not depend on; pandas' integers may not.
    nullable = members.astype({"age": "Int64"})
    there = chain(nullable).release(epsilon=1, ci=0.9, budget=budget)
    pd.testing.assert_frame_equal(here, there, check_dtype=False, check_exact=True)


@pytest.mark.parametrize("cost", [{"epsilon": 1}, {"rho": 0.5}])
@pytest.mark.parametrize(
    "bound",
    [
        lambda private: private.bound(groups=2, rows_per_group=3),
        lambda private: private.bound(rows=5),
        lambda private: private.bound(groups=2, rows_per_group=4).bound(rows=6),
        lambda private: private.bound(groups=1, rows_per_group=7, by="age"),
    ],
    ids=["groups", "rows", "both", "other grouping"],
)
def test_bounded_releases_have_the_same_bits_too(
    engine: Engine, members: pd.DataFrame, fixed_key: bytes, bound: Any, cost: dict[str, float]
) -> None:
    def ask(frame: Any) -> Any:
        grouped = bound(frame.dp.protect(id="user")).groupby("level", keys=LEVELS)
        query = grouped.agg(n=dp.count(), income=dp.mean("income", 0, 10), age=dp.sum("age", 0, 99))
        return query.release(budget=dp.Budget(rho=9), **cost), exactly(query)

    members["age"] = members["age"].astype("Int64")
    for here, there in zip(ask(engine.frame(members)), ask(members), strict=True):
        pd.testing.assert_frame_equal(engine.rows(here), there, check_dtype=False, check_exact=True)


def test_bounds_keep_every_id_to_its_limits(engine: Engine) -> None:
    frame = pd.DataFrame(
        {
            "user": ["u"] * 40 + ["v"] * 3 + [None] * 7,
            "page": [f"p{i % 8}" for i in range(40)] + ["p1", "p1", "q"] + ["p1"] * 7,
        }
    )
    private = engine.frame(frame).dp.protect(id="user")
    pages = [f"p{i}" for i in range(8)]

    def counts(bounded: Any) -> list[int]:
        return sorted(engine.rows(exactly(bounded.groupby("page", keys=pages).count()))["count"])

    # v adds at most two rows to p1, of which some bounds keep one; the row of page q is no public key's.
    assert sum(counts(private.bound(rows=5))) == 5 + 2
    assert sum(counts(private.bound(groups=3, rows_per_group=2))) == 3 * 2 + 2
    assert max(counts(private.bound(groups=8, rows_per_group=1))) == 2
    assert sum(counts(private.bound(groups=8, rows_per_group=1))) == 8 + 1
    assert sum(counts(private.bound(groups=3, rows_per_group=2).bound(rows=4))) == 4 + 2


def test_rows_of_unlisted_groups_use_up_no_bound(engine: Engine) -> None:
    frame = pd.DataFrame({"user": ["u"] * 101, "page": [f"other{i}" for i in range(100)] + ["listed"]})
    query = engine.frame(frame).dp.protect(id="user").bound(groups=1, rows_per_group=1)
    answer = engine.rows(exactly(query.groupby("page", keys=["listed"]).count()))
    assert list(answer["count"]) == [1]


def test_the_direct_forms_and_their_names(engine: Engine, members: pd.DataFrame) -> None:
    private = engine.frame(members).dp.protect(bounds={"age": (0, 50)}, keys={"level": ["a", "b"]})
    grouped = private.groupby("level")
    names = [
        list(engine.rows(exactly(query)).columns)
        for query in (grouped.count(), grouped.sum("age"), grouped.mean("age"), private.count(), private.sum("age"))
    ]
    assert names == [["level", "count"], ["level", "age_sum"], ["level", "age_mean"], ["count"], ["age_sum"]]
    ungrouped = engine.rows(exactly(private.mean("age")))
    assert ungrouped["age_mean"][0] == pytest.approx(members["age"].clip(0, 50).mean())


def test_every_step_is_a_new_object_and_changes_none(engine: Engine, members: pd.DataFrame) -> None:
    start = engine.frame(members).dp.protect(id="user")
    before = repr(start)
    later = start.filter("age > 50").assign(age="age + 1").rename({"level": "l"}).select("l", "age").bound(rows=1)
    grouped = later.groupby("l", keys=["a"])
    grouped.count()
    assert repr(start) == before
    assert "bounds" not in repr(start) and "filter" in repr(grouped)


def test_nothing_private_shows_rows(engine: Engine) -> None:
    frame = engine.frame(pd.DataFrame({"user": ["CANARY"], "level": ["CANARY"], "x": [123456789.25]}))
    private = frame.dp.protect(id="user").filter("x > 1").bound(rows=1)
    grouped = private.groupby("level", keys=["a"])
    query = grouped.mean("x", 0, 1)
    for thing in (frame.dp, private, grouped, query, private.plan, query.question):
        text = repr(thing) + str(thing) + getattr(thing, "_repr_html_", str)()
        assert "CANARY" not in text
        assert "123456789" not in text


def test_a_redefined_column_forgets_what_was_known(engine: Engine) -> None:
    frame = engine.frame(pd.DataFrame({"x": [1, 2], "level": ["a", "b"]}))
    private = frame.dp.protect(bounds={"x": (0, 5)}, keys={"level": ["a"]})
    private.mean("x")
    private.groupby("level").count()
    budget = dp.Budget(epsilon=1)
    assert (private.mean("x").question.open, private.assign(x="x + 1").mean("x").question.open) == ((), ("x",))
    with pytest.raises(dp.errors.KeysError, match="no public keys"):
        private.assign(level="concat(level, 'x')").groupby("level").count().release(epsilon=1, budget=budget)
    cut = private.assign(x=dp.cut("x", [0, 1, 2]))
    assert list(engine.rows(exactly(cut.groupby("x").count()))["x"]) == ["[0, 1]", "(1, 2]"]
    with pytest.raises(dp.errors.KeysError):
        cut.assign(x="concat(x, '')").groupby("x").count().release(epsilon=1, budget=budget)
    # Non-nullness: the count of a nullable column is a statistic of its own.
    known = private.filter("x is not null")
    assert str(known.mean("x")).count("count of rows:") == 1
    assert "count of rows with x" in str(known.assign(x="cast(level as int)").mean("x", 0, 1))


def test_the_unit_survives_a_redefined_or_dropped_id(engine: Engine) -> None:
    frame = engine.frame(pd.DataFrame({"user": ["u"] * 6, "g": ["a"] * 6, "n": range(6)}))
    private = frame.dp.protect(id="user").assign(user="cast(n as string)").select("g").rename({"g": "h"})
    answer = engine.rows(exactly(private.bound(rows=2).groupby("h", keys=["a"]).count()))
    assert list(answer["count"]) == [2]


def test_explain_reads_nothing_and_costs_nothing(
    engine: Engine, members: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    with dp.Budget(epsilon=1) as budget:
        chain(engine.frame(members)).explain(epsilon=0.5)
        chain(engine.frame(members)).explain()
        assert budget.spent == 0
    shown = capsys.readouterr().out
    for word in (
        "one row",
        "filter  age >= 18",
        "20 public keys",
        "discrete Laplace of scale",
        "L1 sensitivity",
        "share",
    ):
        assert word in shown


def test_output_types_and_order_are_the_plans(engine: Engine, members: pd.DataFrame) -> None:
    with dp.Budget(epsilon=100) as budget:
        shapes = set()
        for rows in (members, members[:1], members[:0], members.assign(income=math.nan, level=None)):
            rows = rows.astype({"income": "float64", "level": "object"})
            if engine.name != "pandas" and not len(rows):
                rows = members  # Spark cannot make a frame of no rows from pandas: it is filtered empty instead
                released = chain(engine.frame(rows).filter("false")).release(epsilon=1, budget=budget)
            elif engine.name != "pandas":
                schema = engine.frame(members).schema
                frame = engine.frame(members).sparkSession.createDataFrame(rows, schema)
                released = chain(frame).release(epsilon=1, budget=budget)
            else:
                released = chain(rows).release(epsilon=1, budget=budget)
            answer = engine.rows(released)
            keys = tuple(map(tuple, answer[["class", "band"]].fillna("").to_numpy()))
            shapes.add((tuple(answer.columns), tuple(map(str, answer.dtypes)), keys))
        assert len(shapes) == 1
