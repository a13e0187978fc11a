"""What dpframe asks of classic Spark: the plans it makes, and the settings it leaves as they were."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import dpframe as dp
from dpframe.backends import spark_packets, spark_rows, spark_tasks
from dpframe.privacy import analyse, calibrate
from dpframe.release import request


def test_settings_of_the_session_are_as_they_were(spark_classic: Any) -> None:
    names = ["spark.sql.execution.arrow.localRelationThreshold", spark_tasks.ROWS, spark_tasks.BYTES]
    spark_classic.conf.set(spark_tasks.ROWS, "777")
    before = [spark_classic.conf.get(name, None) for name in names]
    try:
        many = pa.table({"x": np.arange(spark_rows.LOCAL + 1)})
        assert spark_rows.local(spark_classic, many).count() == spark_rows.LOCAL + 1
        assert [spark_classic.conf.get(name, None) for name in names] == before
        frame = spark_classic.createDataFrame([(1,)], "user int")
        with dp.Budget.unlimited():
            frame.dp.protect(id="user").bound(rows=1).count().release()
        assert [spark_classic.conf.get(name, None) for name in names] == before
    finally:
        spark_classic.conf.unset(spark_tasks.ROWS)


def test_of_two_blocks_that_overlap_the_last_puts_settings_back(spark_classic: Any) -> None:
    before = spark_classic.conf.get(spark_tasks.ROWS)
    first = spark_tasks.settings(spark_classic, {spark_tasks.ROWS: "1000"})
    second = spark_tasks.settings(spark_classic, {spark_tasks.ROWS: "2000"})
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert spark_classic.conf.get(spark_tasks.ROWS) == "2000"
    second.__exit__(None, None, None)
    assert spark_classic.conf.get(spark_tasks.ROWS) == before and not spark_tasks._held


def test_bytes_of_a_batch_go_uncounted_only_where_rows_are_of_fixed_width(spark_classic: Any) -> None:
    def settings(frame: Any) -> list[Any]:
        query = frame.dp.protect(id="user").bound(rows=1).count()
        asked = request(query.question, calibrate(analyse(query.question), None), bytes(32))
        with spark_tasks.handed_quickly(spark_classic, asked):
            return [spark_classic.conf.get(name, None) for name in (spark_tasks.ROWS, spark_tasks.BYTES)]

    bytes_before = spark_classic.conf.get(spark_tasks.BYTES, None)
    assert settings(spark_classic.createDataFrame([(1,)], "user int")) == ["65536", str(2**31 - 1)]
    text = spark_classic.createDataFrame([("u",)], "user string")
    assert settings(text) == ["65536", bytes_before]
    called = text.dp.protect(id="user").map(lambda row: {"x": 1}, {"x": int}).bound(rows=1).sum("x", 0, 1)
    asked = request(called.question, calibrate(analyse(called.question), None), bytes(32))
    before = spark_classic.conf.get(spark_tasks.ROWS)
    with spark_tasks.handed_quickly(spark_classic, asked):
        assert spark_classic.conf.get(spark_tasks.ROWS) == before


def test_what_a_task_leaves_behind_is_not_looked_through_again() -> None:
    batch = pa.RecordBatch.from_pydict({"x": [1, 2]})
    try:
        assert list(spark_tasks.Task(iter)([batch])) == [batch]
        assert gc.get_freeze_count() > 0
    finally:
        gc.unfreeze()


def test_bounded_sums_are_the_same_in_packets(spark_classic: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(3)
    rows = pd.DataFrame({"user": draw.integers(0, 200, 3000), "page": draw.integers(0, 60, 3000)})
    rows["x"] = draw.normal(size=3000)
    frame = spark_classic.createDataFrame(rows).repartition(5)
    private = frame.dp.protect(id="user").bound(groups=9, rows_per_group=2)
    query = private.groupby("page", keys=list(range(50))).agg(dp.count(), total=dp.sum("x", -1, 1))
    asked = request(query.question, calibrate(analyse(query.question), None), bytes(32))
    by_spark = spark_rows.sums(frame, asked).toArrow().sort_by("cell")
    monkeypatch.setattr(spark_rows, "SCATTERED", 0)
    in_packets = spark_rows.sums(frame, asked)
    assert "sum(" not in in_packets._jdf.queryExecution().executedPlan().toString()
    assert in_packets.toArrow().sort_by("cell").to_pydict() == by_spark.to_pydict()
    assert len(by_spark) == 50 and sum(by_spark["s0"].to_pylist()) > 1000


def test_the_plan_reads_the_columns_that_it_needs_and_pushes_filters_down(spark_classic: Any, tmp_path: Any) -> None:
    rows = pd.DataFrame(
        {"user": ["u", "v"], "page": [1, 2], "x": [1.0, 2.0], "secret": ["s", "s"], "year": [2024, 2025]}
    )
    spark_classic.createDataFrame(rows).write.parquet(str(tmp_path / "rows"))
    frame = spark_classic.read.parquet(str(tmp_path / "rows"))
    private = frame.dp.protect(id="user").filter("year > 2024").bound(groups=1, rows_per_group=1)
    query = private.groupby("page", keys=list(range(50))).agg(dp.count())
    asked = request(query.question, calibrate(analyse(query.question), None), bytes(32))
    plan = spark_rows.sums(frame, asked)._jdf.queryExecution().executedPlan().toString()
    scan = next(line for line in plan.splitlines() if "FileScan" in line)
    assert "secret" not in scan and "x#" not in scan
    assert "IsNotNull(user)" in scan and "GreaterThan(year,2024)" in scan
    # One shuffle by unit, one by cell.
    assert plan.count("Exchange hashpartitioning") == 2


def test_places_send_every_run_to_its_partition(spark_classic: Any) -> None:
    for partitions in (1, 2, 7, 100):
        numbers = ", ".join(map(str, spark_packets.places(partitions)))
        sent = spark_classic.sql(f"SELECT explode(array({numbers})) AS n").repartition(partitions, "n")
        arrived = sent.selectExpr("spark_partition_id() AS p", "n").toPandas().sort_values("p")
        assert list(arrived["n"]) == list(spark_packets.places(partitions))
