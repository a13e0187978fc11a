"""dpframe on Spark frames, and plain Spark, both from Parquet in a warm session.

A release is read where it is kept: it has been collected, or checkpointed, by the time it is there.
Its plain counterpart is computed in full and thrown away (Spark's ``noop`` sink), collected, or written.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

import dpframe as dp
from benchmarks.scale import data
from benchmarks.scale.stage import Prepared, main
from dpframe import kernels

MUCH = 10**9


def session() -> SparkSession:
    """A local session, the same for every contender but for what it must set itself."""
    home = tempfile.mkdtemp(prefix="spark-", dir=".")
    builder = SparkSession.builder.master("local[*]").config("spark.ui.enabled", "false")
    builder = builder.config("spark.driver.memory", "6g").config("spark.ui.showConsoleProgress", "false")
    builder = builder.config("spark.sql.shuffle.partitions", "8").config("spark.local.dir", str(Path(home).resolve()))
    spark = builder.getOrCreate()
    spark.sparkContext.setLogLevel("ERROR")
    return spark


def computed(frame: Any) -> None:
    """Compute all of a frame and keep nothing."""
    frame.write.format("noop").mode("overwrite").save()


def release_log(path: str) -> Prepared:
    """dpframe on the log: at most ten groups of each user, one row in each."""
    frame = session().read.parquet(path)
    budget = dp.Budget(epsilon=MUCH)
    keys = dp.keys({"page": data.PAGES}) * dp.keys({"country": data.COUNTRIES})
    private = frame.dp.protect(id="user").bound(groups=10, rows_per_group=1)
    count = private.groupby("page", "country", keys=keys).agg(n=dp.count())
    return Prepared(lambda: count.release(epsilon=1, budget=budget))


def plain_log(path: str) -> Prepared:
    """The same groups in plain Spark, with neither bounds nor noise."""
    frame = session().read.parquet(path)
    return Prepared(lambda: computed(frame.groupBy("page", "country").count()))


def release_views(path: str, pages: int) -> Prepared:
    """dpframe on the page views, zero-concentrated."""
    frame = session().read.parquet(path)
    budget = dp.Budget(rho=MUCH)
    public = dp.keys(pd.DataFrame(data.view_pages()[:pages], columns=["project", "pageid"]))
    places = public * dp.keys({"country": data.COUNTRIES})
    private = frame.dp.protect(id="actor").bound(groups=10, rows_per_group=1)
    count = private.groupby("project", "pageid", "country", keys=places).count()
    return Prepared(lambda: count.release(rho="0.43", budget=budget))


def plain_views(path: str) -> Prepared:
    """The same groups in plain Spark."""
    frame = session().read.parquet(path)
    return Prepared(lambda: computed(frame.groupBy("project", "pageid", "country").count()))


def release_members(path: str) -> Prepared:
    """dpframe on the members: mean books by age band."""
    frame = session().read.parquet(path)
    budget = dp.Budget(epsilon=MUCH)
    banded = frame.dp.protect().assign(band=dp.cut("age", data.AGE_EDGES))
    mean = banded.groupby("band").agg(books=dp.mean("books_borrowed", 0, 22))
    return Prepared(lambda: mean.release(epsilon="0.1", budget=budget))


def plain_members(path: str) -> Prepared:
    """The same means in plain Spark."""
    frame = session().read.parquet(path)
    band = F.ceil(F.col("age") / 10).alias("band")
    books = F.least(F.col("books_borrowed"), F.lit(22))
    return Prepared(lambda: frame.groupBy(band).agg(F.avg(books)).toArrow())


def release_sparse(path: str, cells: int, at_least: int) -> Prepared:
    """dpframe on a key set that is mostly empty, with a least answer."""
    frame = session().read.parquet(path)
    budget = dp.Budget(epsilon=MUCH)
    side = int(cells**0.5)
    keys = dp.keys({"item": range(side)}) * dp.keys({"region": range(side)})
    count = frame.dp.protect().groupby("item", "region", keys=keys).count()
    return Prepared(lambda: count.release(epsilon=1, at_least=at_least, budget=budget))


def dense_sparse(path: str, cells: int, at_least: int) -> Prepared:
    """Noise on every cell of that key set by dpframe's kernels in Spark's tasks."""
    spark = session()
    frame = spark.read.parquet(path)
    side = int(cells**0.5)
    key = bytes(range(32))  # nothing here is private

    @F.arrow_udf("long")
    def noisy(cell: pa.Array, count: pa.Array) -> pa.Array:
        places = np.zeros((len(cell), 2), np.uint64)
        places[:, 0] = cell.to_numpy(zero_copy_only=False)
        noise = kernels.discrete_laplace(len(cell), 1.0, key=key, cells=places)
        return pa.array(noise + count.to_numpy(zero_copy_only=False))

    def dense() -> Any:
        counts = frame.groupBy((F.col("item") * side + F.col("region")).alias("cell")).count()
        every = spark.range(cells).withColumnRenamed("id", "cell").join(F.broadcast(counts), "cell", "left")
        answers = every.select("cell", noisy("cell", F.coalesce("count", F.lit(0))).alias("n"))
        return answers.where(F.col("n") >= at_least).toArrow()

    return Prepared(dense)


def release_crowded(path: str, cells: int, written: bool) -> Prepared:
    """dpframe on many groups, of which each comes out; written to Parquet as well, or not."""
    frame = session().read.parquet(path)
    budget = dp.Budget(epsilon=MUCH)
    keys = dp.keys({"item": range(-(-cells // 1_000))}) * dp.keys({"region": range(1_000)})
    count = frame.dp.protect().groupby("item", "region", keys=keys).count()

    def released() -> Any:
        answer = count.release(epsilon=1, budget=budget)
        if written:
            answer.write.mode("overwrite").parquet("released.parquet")
        return answer

    return Prepared(released)


def plain_crowded(path: str) -> Prepared:
    """The same groups in plain Spark, written to Parquet."""
    frame = session().read.parquet(path)
    return Prepared(lambda: frame.groupBy("item", "region").count().write.mode("overwrite").parquet("counted.parquet"))


if __name__ == "__main__":
    main(
        {
            each.__name__: each
            for each in (
                *(release_log, plain_log, release_views, plain_views, release_members, plain_members),
                *(release_sparse, dense_sparse, release_crowded, plain_crowded),
            )
        }
    )
