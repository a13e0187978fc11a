"""What dpframe asks of classic Spark: the plans it makes, and the settings it leaves as they were."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

import dpframe as dp
from dpframe.backends import spark_packets, spark_rows
from dpframe.privacy import analyse, calibrate
from dpframe.release import request


def test_settings_of_the_session_are_as_they_were(spark_classic: Any) -> None:
    names = ["spark.sql.execution.arrow.localRelationThreshold", "spark.sql.execution.arrow.maxRecordsPerBatch"]
    spark_classic.conf.set(names[1], "777")
    before = [spark_classic.conf.get(name, None) for name in names]
    try:
        many = pa.table({"x": np.arange(spark_rows.LOCAL + 1)})
        assert spark_rows.local(spark_classic, many).count() == spark_rows.LOCAL + 1
        assert [spark_classic.conf.get(name, None) for name in names] == before
    finally:
        spark_classic.conf.unset(names[1])


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
