"""Groups that are found, on every engine: the same groups with the same bits, sorted, whatever the order of rows."""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engines import Engine, exactly

import dpframe as dp

SCHEMA = "user string, town string, day date, n bigint, open boolean, x double, age bigint"
DAYS = [None, *(datetime.date(2024, 2, day) for day in (28, 29)), datetime.date(1, 1, 1)]
COST: dict[str, float] = {"epsilon": 2, "delta": 1e-4}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    """3,000 rows of 400 users in towns of very different sizes, with every nuisance."""
    draw = np.random.default_rng(11)
    n = 3000
    return pd.DataFrame(
        {
            "user": [None if u > 395 else f"u{u}" for u in draw.integers(0, 400, n)],
            "town": [None if t == 5 else f"té{t}'" for t in draw.zipf(1.6, n)],
            "day": pd.array([DAYS[at] for at in draw.integers(0, 4, n)], "object"),
            "n": pd.array([None if at == 3 else int(at) - 5 for at in draw.integers(0, 9, n)], "Int64"),
            "open": pd.array([None if at == 2 else bool(at) for at in draw.integers(0, 3, n)], "boolean"),
            "x": draw.choice([0.25, 1.5, np.nan, np.inf, -0.0], n),
            "age": draw.integers(-10, 120, n),
        }
    )


def native(engine: Engine, table: pd.DataFrame, parts: int = 3) -> Any:
    if engine.name == "pandas":
        return table.astype({"day": "date32[pyarrow]", "age": "Int64"})
    rows = table.astype(object).where(table.notna(), None)
    return engine.frame(list(rows.itertuples(index=False, name=None)), SCHEMA).repartition(parts)


def queries(frame: Any) -> dict[str, Any]:
    rows = frame.dp.protect(rows=2)
    users = frame.dp.protect(id="user").bound(groups=2, rows_per_group=2)
    everything = {"n": dp.count(), "x": dp.mean("x", 0, 2), "users": dp.count_distinct("user")}
    return {
        "rows": rows.groupby("town").agg(**everything),
        "two columns": rows.groupby("open", "town").agg(total=dp.sum("n", -4, 4)),
        "days": users.groupby("day").agg(**everything),
        "rows of users": frame.dp.protect(id="user").bound(rows=2).groupby("n", "town").count(),
        "units": users.groupby("town").agg(people=dp.count_distinct("user"), s=dp.sum("x", 0, 2)),
        "another grouping": users.bound(groups=1, rows_per_group=3, by="day").groupby("town").agg(**everything),
        "bins": users.assign(band=dp.cut("age", [0, 9, 10, 100])).groupby("band", "town").count(),
        "given": users.groupby("town", "n", keys={"n": [3, None, 7, -2]}).count(),
        "steps": rows.filter("n > 0").assign(town="left(town, 2)", big="n > 2").groupby("big", "town").count(),
        "quantiles": rows.groupby("town").agg(n=dp.count(), q=dp.quantile("x", [0.2, 0.5, 0.9], 0, 2)),
        "quantiles of units": users.groupby("open", "day").agg(
            people=dp.count_distinct("user"), half=dp.median("age", 0, 120), low=dp.min("n", -5, 4), s=dp.sum("x", 0, 2)
        ),
        "quantiles of nothing": rows.groupby("n").agg(dp.median("n", -5, 4), dp.max("n", -5, 4)),
        "groups": users.groupby("town").groups(),
        "groups of rows": rows.groupby("town", "open").groups(),
    }


NAMES = ["rows", "two columns", "days", "rows of users", "units", "another grouping", "bins", "given", "steps"]
NAMES += ["quantiles", "quantiles of units", "quantiles of nothing", "groups", "groups of rows"]


@pytest.mark.parametrize("name", NAMES)
def test_one_release_key_gives_the_same_bits_on_every_engine(
    engine: Engine, table: pd.DataFrame, fixed_key: bytes, name: str
) -> None:
    def release(frame: Any) -> Any:
        return queries(frame)[name].release(**COST, ci=0.9, budget=dp.Budget(epsilon=9, delta=1e-3))

    there = release(table.astype({"day": "date32[pyarrow]", "age": "Int64"}))
    assert 1 <= len(there) < 200
    for rows, parts in ((table, 3), (table.sample(frac=1, random_state=4), 5)):
        here = engine.rows(release(native(engine, rows, parts)))
        pd.testing.assert_frame_equal(here, there, check_dtype=False, check_exact=True)


def plain(values: Any) -> tuple[Any, ...]:
    return tuple(None if pd.isna(value) else value for value in values)


def test_without_noise_every_group_comes_out_sorted(engine: Engine, table: pd.DataFrame) -> None:
    frame = native(engine, table)
    by = ["town", "n"]
    answer = engine.rows(exactly(frame.dp.protect().groupby(*by).count()))
    sizes = table.groupby(by, dropna=False).size()
    counts = {plain(key): count for key, count in sizes.items()}
    found = {plain(row[:2]): row[2] for row in answer.itertuples(index=False, name=None)}
    assert found == counts and len(answer) == len(counts)
    keys = [plain(row[:2]) for row in answer.itertuples(index=False, name=None)]
    assert keys == sorted(keys, key=lambda key: [(value is not None, value) for value in key])
    bands = frame.dp.protect().assign(band=dp.cut("age", [0, 9, 10, 100])).groupby("band", "open")
    answer = engine.rows(exactly(bands.count()))
    # Rows outside of the bins are in no group; bins stay in their order.
    assert list(dict.fromkeys(answer["band"])) == ["[0, 9]", "(9, 10]", "(10, 100]"]
    assert answer["count"].sum() == table["age"].between(0, 100).sum()
    alone = engine.rows(exactly(frame.dp.protect(id="user").bound(rows=99).groupby("town").groups()))
    assert [plain([town])[0] for town in alone["town"]] == sorted(
        {plain([town])[0] for town in table[table["user"].notna()]["town"]}, key=lambda town: (town is not None, town)
    )


def test_quantiles_of_groups_that_are_found(engine: Engine, table: pd.DataFrame) -> None:
    frame, by = native(engine, table), ["town", "open"]
    private = frame.dp.protect().groupby(*by)
    exact = engine.rows(exactly(private.agg(p=dp.quantile("age", [0, 0.3, 1], -9, 100), n=dp.count())))
    held = table.assign(age=table["age"].clip(-9, 100)).groupby(by, dropna=False)["age"]
    wanted = {plain(key): values.quantile([0, 0.3, 1]).tolist() for key, values in held}
    assert len(exact) == len(wanted)
    for *key, low, some, high, _ in exact.itertuples(index=False, name=None):
        assert [low, some, high] == pytest.approx(wanted[plain(key)], abs=1e-9)
    # With much budget, a median is between the rows around it.
    near = {
        plain(key): (values.quantile(0.4, interpolation="lower"), values.quantile(0.6, interpolation="higher"))
        for key, values in held
    }
    released = engine.rows(private.median("age", -9, 100).release(epsilon=60, delta=1e-4, budget=dp.Budget(60, 1e-3)))
    assert len(released) > 5
    for *key, half in released.itertuples(index=False, name=None):
        low, high = near[plain(key)]
        assert low <= half <= high


def test_dtypes_depend_on_the_plan_alone(engine: Engine, table: pd.DataFrame) -> None:
    asked = queries(native(engine, table))
    assert list(asked) == NAMES
    for name, query in asked.items():
        released = query.release(**COST, budget=dp.Budget(epsilon=9, delta=1e-3))
        none = queries(native(engine, table[:1]))[name].release(**COST, budget=dp.Budget(epsilon=9, delta=1e-3))
        assert len(engine.rows(none)) == 0
        assert [str(type_) for type_ in none.dtypes] == [str(type_) for type_ in released.dtypes]
        assert none.dp.release_info() == released.dp.release_info()


def test_what_is_found_may_be_asked_for(engine: Engine, table: pd.DataFrame) -> None:
    frame = native(engine, table)
    with dp.Budget(epsilon=4, delta=1e-3) as budget:
        towns = frame.dp.protect().groupby("town").groups().release(**COST)
        keys = dp.keys(towns)
        counted = engine.rows(frame.dp.protect().groupby("town", keys=keys).count().release(epsilon=1))
        assert budget.spent == 3 and budget.remaining_delta == dp.accounting.exact("0.0009", "delta")
    assert len(counted) == len(keys) > 5


def test_at_least_shows_fewer_groups(engine: Engine, table: pd.DataFrame, fixed_key: bytes) -> None:
    def release(**options: Any) -> pd.DataFrame:
        query = native(engine, table).dp.protect().groupby("town").agg(n=dp.count(), s=dp.sum("n", 0, 3))
        return engine.rows(query.release(**COST, budget=dp.Budget(epsilon=9, delta=1e-3), **options))

    everything = release()
    for name, least in (("n", 60), ("s", 40)):
        some = release(at_least={name: least})
        expected = everything[everything[name] >= least].reset_index(drop=True)
        assert 0 < len(expected) < len(everything)
        pd.testing.assert_frame_equal(some, expected, check_exact=True)


def test_no_group_below_the_threshold_leaves_the_engine(engine: Engine, table: pd.DataFrame, monkeypatch: Any) -> None:
    """What a backend hands over holds the rows of the answer and nothing else."""
    from dpframe import selection

    seen: list[Any] = []
    order = selection.in_order

    def watch(rows: Any, question: Any) -> Any:
        seen.append(rows)
        return order(rows, question)

    monkeypatch.setattr(selection, "in_order", watch)
    query = native(engine, table).dp.protect().groupby("town").count()
    released = engine.rows(query.release(**COST, budget=dp.Budget(epsilon=9, delta=1e-3)))
    assert len(seen) == 1 and seen[0].num_rows == len(released) < table["town"].nunique(dropna=False)
    assert released["count"].min() >= 6


def test_files_give_the_bits_of_frames(table: pd.DataFrame, fixed_key: bytes, tmp_path: Path, monkeypatch: Any) -> None:
    from dpframe.backends import scan

    monkeypatch.setattr(scan, "BATCH", 257)
    monkeypatch.setattr(scan, "PART", 1000)
    frame = table.astype({"day": "date32[pyarrow]", "age": "Int64"})
    for part in range(3):
        frame[part::3].to_parquet(tmp_path / f"{part}.parquet")
    for name in NAMES:
        cost = {**COST, "budget": dp.Budget(epsilon=9, delta=1e-3)}
        here = queries(dp.scan(str(tmp_path / "*.parquet")))[name].release(**cost)
        there = queries(frame)[name].release(**{**cost, "budget": dp.Budget(epsilon=9, delta=1e-3)})
        pd.testing.assert_frame_equal(here, there, check_dtype=False, check_exact=True)
