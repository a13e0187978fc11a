"""Tumult Analytics on a local Spark, with the settings that dpframe's Spark gets."""

from __future__ import annotations

import tempfile
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from tmlt.analytics import (
    AddOneRow,
    AddRowsWithID,
    BinningSpec,
    KeySet,
    MaxGroupsPerID,
    MaxRowsPerGroupPerID,
    PureDPBudget,
    QueryBuilder,
    RhoZCDPBudget,
    Session,
)

from benchmarks.scale import data
from benchmarks.scale.stage import Prepared, main


def session() -> SparkSession:
    """A local session."""
    home = str(Path(tempfile.mkdtemp(prefix="spark-", dir=".")).resolve())
    builder = SparkSession.builder.master("local[*]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.memory", "6g").config("spark.ui.showConsoleProgress", "false")
    builder = builder.config("spark.sql.shuffle.partitions", "8").config("spark.local.dir", home)
    spark = builder.config("spark.sql.warehouse.dir", f"{home}/warehouse").getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def views(path: str, pages: int) -> Prepared:
    """Count by project, page and country, zero-concentrated, ten groups of each user, one row in each.

    It bounds the groups of one column only, which the table has ready as ``place``.
    """
    spark = session()
    frame: DataFrame = spark.read.parquet(path)
    places = [(*page, country) for page in data.view_pages()[:pages] for country in data.COUNTRIES]
    rows = [(*place, " ".join(map(str, place))) for place in places]
    columns = ["project", "pageid", "country", "place"]
    keys = KeySet.from_dataframe(spark.createDataFrame(rows, columns).cache())
    budget = RhoZCDPBudget(10**6)
    private = Session.from_dataframe(budget, "views", frame, protected_change=AddRowsWithID("actor"))
    bounded = QueryBuilder("views").enforce(MaxGroupsPerID("place", 10)).enforce(MaxRowsPerGroupPerID("place", 1))
    count = bounded.groupby(keys).count()
    return Prepared(lambda: private.evaluate(count, RhoZCDPBudget(0.43)))


def members(path: str) -> Prepared:
    """Mean books by age band."""
    frame = session().read.parquet(path)
    bins = BinningSpec(data.AGE_EDGES)
    private = Session.from_dataframe(PureDPBudget(10**6), "members", frame, protected_change=AddOneRow())
    keys = KeySet.from_dict({"age_binned": bins.bins()})
    mean = QueryBuilder("members").bin_column("age", bins).groupby(keys).average("books_borrowed", 0, 22)
    return Prepared(lambda: private.evaluate(mean, PureDPBudget(0.1)))


if __name__ == "__main__":
    main({"views": views, "members": members})
