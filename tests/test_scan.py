"""Parquet files that stream: the same answers as the frame that they hold, and what is refused."""

from __future__ import annotations

import datetime
import os
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import dpframe as dp
from dpframe import parts, release
from dpframe.backends import distinct, exact, scan
from dpframe.errors import BudgetError, FrameError, UnknownColumnError

RNG = np.random.default_rng(5)
ROWS = 3000


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "user": [f"u{i}" if i else None for i in RNG.integers(0, 200, ROWS)],
            "page": RNG.integers(0, 12, ROWS),
            "country": RNG.choice(np.array(["CH", "DE", None], object), ROWS),
            "x": np.where(RNG.random(ROWS) < 0.1, np.nan, RNG.normal(5, 3, ROWS)),
            "a.b": RNG.integers(0, 9, ROWS).astype(np.int8),
        }
    )


@pytest.fixture(scope="module")
def home(table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The table in three files of small row groups."""
    home = tmp_path_factory.mktemp("log")
    for at in range(3):
        table.iloc[at::3].to_parquet(home / f"{at}.parquet", index=False, row_group_size=300)
    return home


def question(frame: Any, **bounds: Any) -> Any:
    private = frame.dp.protect(id="user").bound(**bounds).filter("page < 11").assign(n="`a.b` + 1")
    keys = dp.keys({"page": range(10)}) * dp.keys({"country": ["CH", None]})
    return private.groupby("page", "country", keys=keys).agg(
        c=dp.count(),
        n=dp.sum("n", 0, 8),
        x=dp.sum("x", 0, 10),
        m=dp.mean("x", 0, 10),
        d=dp.count_distinct("n", "country"),
        u=dp.count_distinct("user"),
        v=dp.var("x", 0, 10),
    )


def test_values_that_parts_share_count_once(table: pd.DataFrame, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "PART", 700)
    monkeypatch.setattr(scan, "BATCH", 100)
    monkeypatch.setattr(distinct, "BATCH", 64)

    def ask(frame: Any) -> Any:
        answers = {
            "x": dp.count_distinct("x"),
            "user": dp.count_distinct("user"),
            "of": dp.count_distinct("page", "country"),
        }
        private = frame.dp.protect()
        return [
            private.groupby("page", keys=range(10)).agg(n=dp.count(), **answers).release(budget=dp.Budget.unlimited()),
            private.agg(**answers).release(budget=dp.Budget.unlimited()),
        ]

    for found, expected in zip(ask(dp.scan(home)), ask(table), strict=True):
        pd.testing.assert_frame_equal(found, expected)
    assert expected["x"].item() == table["x"].nunique() + 1
    assert expected["of"].item() == 12 * 3


BOUNDS: list[dict[str, Any]] = [
    {"groups": 3, "rows_per_group": 2},
    {"rows": 5},
    {"groups": 2, "rows_per_group": 3, "by": ["country"]},
]


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("part", [10**6, 700])
def test_one_key_gives_the_bits_of_the_frame(
    table: pd.DataFrame, home: Path, bounds: dict[str, Any], part: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release, "fresh_key", bytes)
    monkeypatch.setattr(scan, "PART", part)
    monkeypatch.setattr(scan, "BATCH", 256)
    budget = dp.Budget(epsilon=10**6)
    expected = question(table, **bounds).release(epsilon=10**5, budget=budget)
    found = question(dp.scan(home), **bounds).release(epsilon=10**5, budget=budget)
    pd.testing.assert_frame_equal(found, expected)
    assert found.dp.release_info().cost == "epsilon=100000"


def test_one_key_gives_the_same_large_cells(table: pd.DataFrame, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(release, "fresh_key", bytes)
    monkeypatch.setattr(scan, "BATCH", 256)
    keys = dp.keys({"page": range(10**5)}) * dp.keys({"a.b": range(10**4)})
    frames = []
    for frame in (table, dp.scan(home)):
        grouped = frame.dp.protect(id="user").bound(rows=3).groupby("page", "a.b", keys=keys)
        query = grouped.agg(n=dp.count(), x=dp.sum("x", 0, 10))
        frames.append(query.release(epsilon=1, at_least={"n": 75}, budget=dp.Budget(epsilon=1)))
    assert len(frames[0]) > 100
    pd.testing.assert_frame_equal(*frames)


def test_rows_as_units_stream_without_a_bound(table: pd.DataFrame, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "BATCH", 256)
    keys = {"page": range(12)}
    with dp.Budget.unlimited():
        found = dp.scan(home / "*.parquet").dp.protect().groupby("page", keys=keys).count().release()
        monkeypatch.setattr(exact, "MANY", 0)
        sparse = dp.scan([str(home / f"{at}.parquet") for at in range(3)]).dp.protect()
        again = sparse.groupby("page", keys=keys).count().release()
    assert found["count"].tolist() == table.groupby("page").size().tolist() == again["count"].tolist()


def test_what_is_spilled_is_only_what_is_needed_and_goes_away(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "PART", 500)
    spilled: list[Any] = []
    bounded = scan._bounded

    def spy(table: Any, request: Any) -> Any:
        [where] = [name for name in os.listdir(home) if name.startswith("dpframe-")]
        assert os.stat(home / where).st_mode & 0o077 == 0
        spilled.append(table)
        return bounded(table, request)

    monkeypatch.setattr(scan, "_bounded", spy)
    with mock.patch.object(tempfile, "tempdir", str(home)), dp.Budget.unlimited():
        private = dp.scan(home).dp.protect(id="user").bound(rows=2)
        answer = private.groupby("page", keys={"page": [1, 2]}).sum("x", 0, 10).release()
    assert len(answer) == 2 and len(spilled) == 6
    assert all(set(part.column_names) == {"c0", "c3", "cell"} for part in spilled)
    assert not [name for name in os.listdir(home) if name.startswith("dpframe-")]
    # All rows of a unit are in one part.
    ids = [set(part["c0"].to_pylist()) for part in spilled]
    assert sum(map(len, ids)) == len(set().union(*ids))


def test_the_types_of_files(tmp_path: Path) -> None:
    day = datetime.date(2024, 2, 29)
    columns = {
        "small": pa.array([1, None], pa.uint8()),
        "huge": pa.array([2**64 - 1, 0], pa.uint64()),
        "single": pa.array([1.5, float("nan")], pa.float32()),
        "exact": pa.array([1, 2], pa.decimal128(10, 2)),
        "text": pa.array(["a", "b"]).dictionary_encode(),
        "day": pa.array([day, None]),
        "flag": pa.array([True, None]),
        "moment": pa.array([datetime.datetime(2024, 1, 1), None], pa.timestamp("ns", "UTC")),
        "items": pa.array([[1], []]),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    private = dp.scan(tmp_path / "t.parquet").dp.protect()
    assert [str(c.type.value) for c in private.plan.schema] == [
        "integer", "integer", "float", "float", "string", "date", "boolean", "timestamp", "other",
    ]  # fmt: skip
    with dp.Budget.unlimited():
        answer = private.agg(
            s=dp.sum("small", 0, 9), h=dp.sum("huge", 0, 5), f=dp.sum("single", 0, 4), d=dp.sum("exact", 0, 8)
        ).release()
        assert answer.values.tolist() == [[1, 5, 1.5, 3.0]]
        for name, keys in {"text": ["a", "b"], "day": [day, None], "flag": [True, None]}.items():
            assert private.groupby(name, keys=keys).count().release()["count"].tolist() == [1, 1]
        for name in ("moment", "items"):
            assert private.filter(f"{name} is not null").count().release()["count"].tolist() == [1 + (name == "items")]


def tables_that_meet(frame: Any, other: Any) -> dict[str, Any]:
    """Questions of which a step needs all rows of a key or an id at once."""
    rows, few = frame.dp.protect().filter("page < 11"), other.dp.protect().select("user", "country", "x")
    people = frame.dp.protect(id="user", space="people")
    both = people.join(other.dp.protect(id="user", space="people").filter("page = 3").select("user", "x"), "user")
    keys = dp.keys({"country": ["CH", "DE", None]})
    asked = {"n": dp.count(), "x": dp.sum("x_left", 0, 9), "d": dp.count_distinct("x_right")}
    return {
        "rows": rows.join(few, ["user", "country"], max_matches=(2, 3)).groupby("country", keys=keys).agg(n=dp.count()),
        "unique": rows.join(few, "user", max_matches=(9, "unique")).filter("x_left > 5").agg(**asked),
        "twice": rows.join(few, "user", max_matches=(1, 1))
        .assign(country="country_left")
        .join(few.select("country"), "country", max_matches=(5, 2))
        .groupby("country", keys=keys)
        .count(),
        "ids": both.filter("x_right > 2").bound(rows=4).groupby("country", keys=keys).agg(**asked),
        "ids and a function": both.flat_map_by_id(many, {"many": int}).bound(rows=2).agg(n=dp.sum("many", 0, 99)),
        "a function": people.flat_map_by_id(many, {"many": int}).bound(rows=1).agg(n=dp.mean("many", 0, 20)),
        "a part": people.bound(groups=2, rows_per_group=2, by="page").partition("page", [1, 2, 3])[2].count(),
        "found": both.bound(rows=3).groupby("country").agg(n=dp.count()),
    }


def many(rows: Any) -> Any:
    return [{"many": len(rows)}, {"many": len({row["page"] for row in rows if "page" in row})}]


@pytest.mark.parametrize("part", [10**6, 700])
def test_rows_of_a_key_meet_wherever_they_lie(
    table: pd.DataFrame, home: Path, part: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(release, "fresh_key", bytes)
    monkeypatch.setattr(parts, "fresh_salt", bytes)
    monkeypatch.setattr(scan, "PART", part)
    monkeypatch.setattr(scan, "BATCH", 256)
    few = table[:900]
    few.to_parquet(tmp_path / "few.parquet", index=False, row_group_size=200)
    here, there = tables_that_meet(table, few), tables_that_meet(dp.scan(home), dp.scan(tmp_path / "few.parquet"))
    with mock.patch.object(tempfile, "tempdir", str(tmp_path)):
        for name in here:
            cost = {"epsilon": 10, "delta": 1e-4} if name == "found" else {"epsilon": 10}
            expected, found = (each[name].release(**cost, budget=dp.Budget(**cost)) for each in (here, there))
            assert len(expected) and name
            pd.testing.assert_frame_equal(found, expected)
    assert os.listdir(tmp_path) == ["few.parquet"]


def test_a_filter_after_a_join_skips_no_rows_before_it(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    skip = scan._skip
    monkeypatch.setattr(scan, "_skip", lambda frame, request: seen.append(skip(frame, request)) or seen[-1])
    private = dp.scan(home).dp.protect()
    joined = private.filter("page > 2").join(private.select("page"), "page", max_matches=(1, 1)).filter("page > 5")
    with dp.Budget.unlimited():
        joined.count().release()
    assert [None if each is None else str(each) for each in seen] == ["(page > 2)", None]


CONDITIONS = [
    "page = 3",
    "3 < page and page <= 7",
    "page between 2 and 5 and country = 'CH'",
    "page in (1, 2, 99) and user >= 'u5'",
    "(`a.b` < 3) and page > -1",
    "`a.b` < 300 and `a.b` > -300",
    "page > 3 or country = 'CH'",
    "not page > 3",
    "page not in (1, 2) and page not between 5 and 7",
    "page + 1 > 3 and x > 4",
    "country <> 'CH' and page >= 2 and page >= 4",
]


@pytest.mark.parametrize("condition", CONDITIONS)
def test_what_files_skip_is_what_a_filter_drops(table: pd.DataFrame, home: Path, condition: str) -> None:
    def count(frame: Any) -> Any:
        private = frame.dp.protect().filter(condition).assign(page="page + 1")
        with dp.Budget.unlimited():
            return private.groupby("page", keys={"page": range(14)}).count().release()["count"].tolist()

    assert count(dp.scan(home)) == count(table)


def test_a_filter_reaches_the_files(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    skip = scan._skip

    def spy(frame: Any, request: Any) -> Any:
        seen.append(str(skip(frame, request)))
        return skip(frame, request)

    monkeypatch.setattr(scan, "_skip", spy)
    private = dp.scan(home).dp.protect().filter("page >= 2 and country in ('CH') and x > 1")
    with dp.Budget.unlimited():
        # A column that is computed is none of the files', whatever its name.
        private.assign(page="page - 10").filter("page = 0").count().release()
    [expression] = seen
    assert "page >= 2" in expression and "country" in expression
    assert "x" not in expression and "== 0" not in expression


def test_what_is_refused(tmp_path: Path, home: Path) -> None:
    with pytest.raises(FrameError, match="no Parquet file"):
        dp.scan(tmp_path / "none.parquet")
    with pytest.raises(FrameError, match="no Parquet file"):
        dp.scan(tmp_path / "*.parquet")
    (tmp_path / "text.parquet").write_text("not Parquet")
    with pytest.raises(FrameError, match="cannot be read"):
        dp.scan(tmp_path)
    log = dp.scan(home)
    assert "3 Parquet files" in repr(log) and repr(log.dp).startswith("<.dp of a Scan")
    with pytest.raises(UnknownColumnError):
        log.dp.protect(id="usr")
    with pytest.raises(FrameError, match=r"pandas\.read_parquet"), dp.Budget(epsilon=1) as budget:
        log.dp.noise(page=dp.LaplaceNoise(1, 0.5))
    assert budget.spent == 0
    with pytest.raises(FrameError, match="carries no release"):
        log.dp.release_info()
    with pytest.raises(BudgetError):
        log.dp.protect().count().release(epsilon=1)


def test_files_that_vanish_are_noticed_before_the_charge(tmp_path: Path) -> None:
    pd.DataFrame({"x": [1]}).to_parquet(tmp_path / "gone.parquet")
    query = dp.scan(tmp_path).dp.protect().count()
    (tmp_path / "gone.parquet").unlink()
    with pytest.raises(FrameError, match="no longer there"), dp.Budget(epsilon=1) as budget:
        query.release(epsilon=1)
    assert budget.spent == 0


def test_a_scan_without_rows(tmp_path: Path) -> None:
    pq.write_table(
        pa.table({"user": pa.array([], pa.string()), "x": pa.array([], pa.float64())}), tmp_path / "e.parquet"
    )
    with dp.Budget.unlimited():
        answer = dp.scan(tmp_path).dp.protect(id="user").bound(rows=2).sum("x", 0, 1).release()
    assert answer["x_sum"].tolist() == [0.0]
