"""Joins with public tables: what pandas' own merge finds, on every engine, at the stability that the table gives."""

from __future__ import annotations

import datetime
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from engines import Engine, exactly

import dpframe as dp
from dpframe.errors import KeysError
from dpframe.privacy import analyse

PRIVATE = pd.DataFrame(
    {
        "user": ["u", "u", "v", None, "w", "v"],
        "level": ["a", "b", None, "a", "z", None],
        "year": [1, 2, 1, 2, 1, 2],
        "x": [1.0, 2.0, 4.0, 8.0, 16.0, 32.0],
    }
)
PUBLIC = pd.DataFrame(
    {
        "level": ["a", "a", "b", None, "c"],
        "year": [1, 2, 2, 1, 1],
        "land": ["CH", "LI", None, "CH", "AT"],
        "x": [0.5, float("nan"), 2.0, 3.0, 4.0],
    }
)


def cells(engine: Engine, query: Any) -> dict[Any, float]:
    rows = engine.rows(exactly(query)).itertuples(index=False)
    plain = [[None if value is None or value != value else value for value in row] for row in rows]
    return {tuple(row[:-1]) if len(row) > 2 else row[0]: row[-1] for row in plain}


@pytest.mark.parametrize("how", ["inner", "left"])
@pytest.mark.parametrize("on", ["level", ["year", "level"]])
def test_a_join_is_that_of_pandas(engine: Engine, on: Any, how: Any) -> None:
    joined = engine.frame(PRIVATE).dp.protect().join_public(PUBLIC, on, how)
    merged = PRIVATE.merge(PUBLIC, on=on, how=how, suffixes=("_left", "_right"))  # nulls are equal there too
    found = cells(engine, joined.groupby("land").agg(s=dp.sum("x_left", 0, 64)))
    hand = merged.assign(land=merged["land"].astype(object).where(merged["land"].notna(), None))
    expected = hand.groupby("land", dropna=False)["x_left"].sum()
    expected = {None if key != key else key: value for key, value in expected.items()}
    lands = {"CH", "LI", "AT", None}
    assert found == {land: expected.get(land, 0) for land in lands}
    assert cells(engine, joined.agg(s=dp.sum("x_right", 0, 64), n=dp.count())) == {merged["x_right"].sum(): len(merged)}


def test_every_kind_of_public_table(engine: Engine, request: pytest.FixtureRequest) -> None:
    session = request.getfixturevalue("spark_connect" if engine.name == "connect" else "spark_classic")
    private = engine.frame(PRIVATE).dp.protect()
    tables = [PUBLIC, pa.Table.from_pandas(PUBLIC), session.createDataFrame(PUBLIC)]
    tables.append(PUBLIC.astype({"level": "category", "land": "string[pyarrow]", "year": "Int8"}))
    answers = [cells(engine, private.join_public(table, "level").groupby("land").count()) for table in tables]
    assert answers == [{"CH": 4, "LI": 2, "AT": 0, None: 1}] * 4


def test_every_type_of_key(engine: Engine) -> None:
    days = [datetime.date(2024, 2, 29), datetime.date(1, 1, 1)]
    frame = pd.DataFrame({"p": [True, False], "d": days, "i": [2**62, -1], "s": ["ä", ""]})
    if engine.name == "pandas":
        frame = frame.astype({"d": "date32[pyarrow]"})
    private = engine.frame(frame).dp.protect()
    public = pa.table({"p": [True, None], "d": [days[1], None], "i": [-1, 5], "s": ["", None]})
    for name in frame.columns:
        assert cells(engine, private.join_public(public.select([name])).agg(n=dp.count(), m=dp.count())) == {1: 1}


def test_names_and_refs(engine: Engine) -> None:
    joined = engine.frame(PRIVATE).dp.protect().join_public(PUBLIC, "level")
    assert joined.columns == ["user", "level", "year_left", "x_left", "year_right", "land", "x_right"]
    again = joined.select("level", "land").join_public(PUBLIC[["land", "x"]], how="left").join_public(PUBLIC, "level")
    assert again.columns == ["level", "land_left", "x_left", "year", "land_right", "x_right"]
    here = PRIVATE.merge(PUBLIC, on="level")[["level", "land"]].merge(PUBLIC[["land", "x"]], how="left")
    rows = len(here.merge(PUBLIC, on="level"))
    assert cells(engine, again.agg(n=dp.count(), m=dp.count())) == {rows: rows}


def test_noise_grows_with_the_multiplicity_for_rows_and_not_for_ids() -> None:
    def reach(private: Any, by: str | None = None) -> tuple[int, int]:
        query = private.groupby(by, keys=["a"]).count() if by else private.count()
        (part,) = analyse(query.question)
        return part.l1, part.l2_squared

    once = PUBLIC.drop_duplicates("level")
    for how in ("inner", "left"):
        assert reach(PRIVATE.dp.protect().join_public(once, "level", how)) == (1, 1)
        assert reach(PRIVATE.dp.protect().join_public(PUBLIC.iloc[2:3], "level", how)) == (1, 1)
        assert reach(PRIVATE.dp.protect(rows=3).join_public(PUBLIC, "level", how)) == (6, 36)
    twice = PRIVATE.dp.protect().join_public(PUBLIC, "level").select("level").join_public(PUBLIC, "level")
    assert reach(twice) == (4, 16)
    unit = PRIVATE.dp.protect(rows=2, groups=3, grouping="level").join_public(PUBLIC, "level")
    assert reach(unit) == (12, 144) and reach(unit, "level") == (4, 16)
    ids = PRIVATE.dp.protect(id="user")
    assert reach(ids.bound(rows=3).join_public(PUBLIC, "level")) == (3, 9)
    assert reach(ids.join_public(PUBLIC, "level").bound(groups=2, rows_per_group=1), "level") == (1, 1)


def test_bounds_of_an_id_count_the_rows_after_the_join(engine: Engine) -> None:
    private = engine.frame(PRIVATE).dp.protect(id="user").bound(rows=1).join_public(PUBLIC, "level")
    assert cells(engine, private.agg(n=dp.count(), m=dp.count())) == {2: 2}


def test_public_values_are_keys(engine: Engine) -> None:
    private = engine.frame(PRIVATE).dp.protect()
    inner, left = (private.join_public(PUBLIC, "level", how) for how in ("inner", "left"))
    assert cells(engine, inner.groupby("level").count()) == {"a": 4, "b": 1, None: 2, "c": 0}
    assert inner.plan.schema["year_right"].keys == (1, 2) and left.plan.schema["year_right"].keys == (None, 1, 2)
    assert inner.plan.schema["x_right"].keys is None
    with pytest.raises(KeysError, match="no public keys"):
        left.groupby("level").count().release(epsilon=1, budget=dp.Budget(epsilon=1))
    declared = engine.frame(PRIVATE).dp.protect(keys={"level": ["a"]}).join_public(PUBLIC, "level")
    assert cells(engine, declared.groupby("level").count()) == {"a": 4}


def test_a_scan_joins_too(tmp_path: Any) -> None:
    PRIVATE.to_parquet(tmp_path / "log.parquet")
    private = dp.scan(tmp_path / "log.parquet").dp.protect().filter("year <= 1").join_public(PUBLIC, "level", "left")
    answer = exactly(private.filter("land is null or land = 'CH'").count())
    assert answer["count"].tolist() == [3]
