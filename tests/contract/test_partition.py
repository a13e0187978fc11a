"""Parts of a table: disjoint rows, the charge of the dearest, and an id's rows in no more parts than its bounds say."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engines import Engine, exactly
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

import dpframe as dp
from dpframe import errors, parts
from dpframe.backends import backend_of
from dpframe.privacy import analyse, calibrate
from dpframe.release import request

TABLE = pd.DataFrame(
    {
        "user": ["u", "u", "u", "v", "v", None, "w", "w"],
        "region": ["a", "b", "c", "a", "a", "b", None, "z"],
        "n": [1, 2, 3, 4, 5, 6, 7, 8],
    }
)
SCHEMA = "user string, region string, n bigint"


def total(engine: Engine, query: Any) -> Any:
    return engine.rows(exactly(query)).iloc[0, -1]


def test_parts_are_the_rows_of_each_value(engine: Engine) -> None:
    private = engine.frame(TABLE, SCHEMA).dp.protect(keys={"region": ["a", "b", None]})
    found = private.partition("region", ["a", "b", "nobody", None])
    assert {value: total(engine, part.sum("n", 0, 9)) for value, part in found.items()} == {
        "a": 10,
        "b": 8,
        "nobody": 0,
        None: 7,
    }
    assert list(private.partition("region")) == [None, "a", "b"]
    assert [total(engine, part.count()) for part in private.partition("n", [8, -1]).values()] == [1, 0]
    sums = found["a"].filter("n > 1").assign(m="n * 2").groupby("region").sum("m", 0, 99)
    assert engine.rows(exactly(sums)).values.tolist() == [["a", 18]]
    days = [datetime.date(2024, 2, 29), None]
    dates = pd.DataFrame({"d": pd.array(days, "date32[pyarrow]" if engine.name == "pandas" else "object"), "p": True})
    by = engine.frame(dates, "d date, p boolean").dp.protect()
    assert [total(engine, part.count()) for part in by.partition("d", days).values()] == [1, 1]
    assert [total(engine, part.count()) for part in by.partition("p", [True, False]).values()] == [2, 0]


def test_the_dearest_part_is_charged(engine: Engine) -> None:
    private = engine.frame(TABLE, SCHEMA).dp.protect()
    with dp.Budget(epsilon=1) as budget:
        found = private.partition("region", ["a", "b", "c"])
        found["a"].count().release(epsilon=0.5)
        found["b"].count().release(epsilon=0.25)
        assert budget.spent == 0.5
        found["b"].sum("n", 0, 9).release(epsilon=0.5)
        assert budget.spent == 0.75
        private.count().release(epsilon=0.125)
        assert budget.spent == 0.875
        with pytest.raises(errors.BudgetExceededError, match=r"epsilon=0\.25, but 0\.125"):
            found["b"].count().release(epsilon=0.25)
        found["a"].count().release(epsilon=0.25)
        found["c"].count().release(epsilon=0.75)
        assert budget.spent == 0.875
        # Another partition of the same table is another's charge.
        with pytest.raises(errors.BudgetExceededError):
            private.partition("n", [1, 2])[1].count().release(epsilon=0.25)
        nested = found["a"].partition("n", [1, 4])
        nested[1].count().release(epsilon=0.125)
        nested[4].count().release(epsilon=0.125)
        assert budget.spent == 1 and budget.remaining == 0
    assert "region = 'b'" in str(list(budget.history()["query"]))
    assert "region = 'a', n = 1" in str(nested[1].plan)


def test_what_units_of_several_parts_cost() -> None:
    def spent(private: Any, *costs: float, **how: Any) -> Any:
        budget = dp.Budget(**(how or {"epsilon": 9}))
        found = private.partition("region", ["a", "b", "c"])
        for cost, part in zip(costs, found.values(), strict=True):
            part.count().release(**({"rho": cost} if how else {"epsilon": cost}), budget=budget)
        return budget.spent

    costs = 0.5, 0.25, 0.125
    assert spent(TABLE.dp.protect(), *costs) == 0.5
    assert spent(TABLE.dp.protect(rows=2), *costs) == 0.5  # noise is for both rows, wherever they are
    assert spent(TABLE.dp.protect(), *costs, rho=9) == 0.5
    assert spent(TABLE.dp.protect(rows=2, groups=2, grouping="region"), *costs) == 0.75
    assert spent(TABLE.dp.protect(rows=1, groups=2, grouping="n"), *costs) == 0.75
    ids = TABLE.dp.protect(id="user")
    assert spent(ids.bound(groups=1, rows_per_group=9, by="region"), *costs) == 0.5
    assert spent(ids.bound(groups=2, rows_per_group=9, by=["n", "region"]), *costs) == 0.75
    assert spent(ids.bound(rows=2), *costs) == 0.75
    assert spent(ids.bound(rows=4), *costs) == 0.875
    assert spent(ids.bound(groups=2, rows_per_group=2), *costs) == 0.875
    assert spent(ids.bound(groups=2, rows_per_group=2, by="n"), *costs) == 0.875
    assert spent(ids.bound(rows=4).bound(groups=1, rows_per_group=9, by="region"), *costs) == 0.5
    with pytest.raises(errors.MissingBoundError, match=r"by='region'"):
        ids.partition("region", ["a"])


def test_an_id_has_rows_in_few_parts_and_always_the_same(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(2)
    rows = pd.DataFrame({"user": draw.choice([f"u{i}" for i in range(30)], 400), "n": 1})
    rows["region"] = draw.choice(["a", "b", "c", "d", "other"], 400)
    rows = rows[["user", "region", "n"]]
    monkeypatch.setattr(parts, "fresh_salt", lambda size: bytes(size))

    def counts(frame: Any, read: Any) -> list[int]:
        private = frame.dp.protect(id="user").bound(groups=2, rows_per_group=1, by="region")
        found = private.partition("region", ["a", "b", "c", "d"])
        several = [[exactly(part.agg(n=dp.count_distinct("user"))) for part in found.values()] for _ in range(2)]
        once, again = ([int(read(each)["n"][0]) for each in counted] for counted in several)
        assert once == again
        return once

    here = counts(engine.frame(rows, SCHEMA), engine.rows)
    # Who has rows in two or more listed regions is counted in two, whatever other rows there are.
    listed = rows[rows["region"] != "other"].groupby("user")["region"].nunique()
    assert sum(here) == listed.clip(upper=2).sum()
    assert here == counts(rows, lambda answer: answer)


rows_of_ids = st.lists(
    st.tuples(st.sampled_from(["u", "v", "w", None]), st.sampled_from(["a", "b", "c", None, "z"]), st.integers(-2, 9)),
    min_size=1,
    max_size=20,
).map(lambda listed: pd.DataFrame(listed, columns=["user", "region", "n"]).astype({"user": object, "region": object}))
bounds = st.one_of(
    st.builds(lambda g, r: [{"groups": g, "rows_per_group": r, "by": "region"}], st.integers(1, 3), st.integers(1, 2)),
    st.builds(lambda k: [{"rows": k}], st.integers(1, 3)),
    st.just([{"rows": 4}, {"groups": 1, "rows_per_group": 2, "by": ["region", "n"]}]),
)


def test_an_id_moves_no_more_parts_than_are_charged(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The law that the charge rests on, at a unit's every part, with the partition's one choice of groups."""
    monkeypatch.setattr(parts, "fresh_salt", lambda size: bytes(range(size)))

    def exact(frame: pd.DataFrame, limits: Any) -> Any:
        private = engine.frame(frame, SCHEMA).dp.protect(id="user")
        for limit in limits:
            private = private.bound(**limit)
        for part in private.partition("region", ["a", "b", "c", None]).values():
            query = part.agg(n=dp.count(), s=dp.sum("n", -1, 5))
            measured = analyse(query.question)
            asked = request(query.question, calibrate(measured, None), bytes(32))
            yield part.plan.child.family.reach, measured, backend_of(query.source).aggregate(query.source, asked)

    def law(frame: pd.DataFrame, limits: Any, at: int) -> None:
        id_ = frame["user"].iloc[at % len(frame)]
        fewer = frame[frame["user"] != id_]
        if not isinstance(id_, str) or not len(fewer):
            return
        moved, reach = 0, set()
        for (of, measured, here), (_, _, there) in zip(exact(frame, limits), exact(fewer, limits), strict=True):
            reach.add(of)
            moves = abs(here.dense(1) - there.dense(1))[:, 0].tolist()
            assert all(move <= each.l1 for move, each in zip(moves, measured, strict=True))
            moved += any(moves)
        assert len(reach) == 1 and moved <= reach.pop() <= 4

    many = settings(max_examples=50, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    few = settings(many, max_examples=2, phases=[Phase.generate])
    (many if engine.name == "pandas" else few)(given(rows_of_ids, bounds, st.integers(0, 99))(law))()


def test_parts_that_are_refused(engine: Engine) -> None:
    private = engine.frame(TABLE, SCHEMA).dp.protect()
    wrong: list[tuple[Any, type[Exception], str]] = [
        (lambda: private.partition("nope", ["a"]), errors.UnknownColumnError, "nope"),
        (lambda: private.partition("region"), errors.KeysError, "no public values"),
        (lambda: private.partition("region", []), errors.KeysError, "at least one"),
        (lambda: private.partition("region", "ab"), errors.KeysError, "list of values"),
        (lambda: private.partition("region", ["a", "a"]), errors.KeysError, "twice"),
        (lambda: private.partition("region", [1]), errors.ColumnTypeError, "column's type"),
        (lambda: private.assign(x="n / 2").partition("x", [1]), errors.ColumnTypeError, "partition by"),
    ]
    for make, kind, says in wrong:
        with pytest.raises(kind, match=says):
            make()


def test_files_that_stream_have_parts(tmp_path: Any) -> None:
    TABLE.to_parquet(tmp_path / "log.parquet")
    scan = dp.scan(tmp_path / "log.parquet").dp
    found = scan.protect().partition("region", ["a", "b"])
    assert [exactly(part.count())["count"][0] for part in found.values()] == [3, 2]
    by_id = scan.protect(id="user").bound(rows=1).partition("region", ["a", "b"])
    assert sum(exactly(part.count())["count"][0] for part in by_id.values()) == 2
