"""Spark frames: classic, Connect and pandas-on-Spark.

Rows stay on the executors. Spark SQL runs the steps, one shuffle brings the rows of a unit together where
bounds need it, and the exact kernels run on Arrow batches inside the tasks. What reaches the driver are exact
sums of the public groups that have any row.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from dpframe.backends import exact
from dpframe.backends.base import NoiseTask, Request, Sums
from dpframe.backends.bounds import bound
from dpframe.backends.table import noisy
from dpframe.errors import StoppedSessionError
from dpframe.plan import Column, Filter, Schema, Type

METADATA = "dpframe"
"""The key of every column's metadata under which a released frame carries its own."""

ROW = "__dpframe_row"
"""A column of row numbers, while noise is drawn."""

TYPES = {
    "tinyint": Type.INTEGER,
    "smallint": Type.INTEGER,
    "int": Type.INTEGER,
    "bigint": Type.INTEGER,
    "float": Type.FLOAT,
    "double": Type.FLOAT,
    "decimal": Type.FLOAT,
    "boolean": Type.BOOLEAN,
    "string": Type.STRING,
    "char": Type.STRING,
    "varchar": Type.STRING,
    "date": Type.DATE,
    "timestamp": Type.TIMESTAMP,
    "timestamp_ntz": Type.TIMESTAMP,
}
"""By the head of Spark's own name of a type, as in ``decimal(10,2)`` or ``string collate UTF8_LCASE``."""

SPARK = {
    Type.INTEGER: "bigint",
    Type.FLOAT: "double",
    Type.BOOLEAN: "boolean",
    Type.STRING: "string",
    Type.DATE: "date",
    Type.TIMESTAMP: "timestamp",
}


def schema(frame: Any) -> Schema:
    """The columns of a frame from its Spark schema."""
    fields = _spark(frame).schema.fields
    return Schema(
        tuple(
            Column(field.name, f"c{at}", kind, nullable=field.nullable or kind is Type.FLOAT)  # NaN counts as missing
            for at, (field, kind) in enumerate((field, _type(field.dataType)) for field in fields)
        ),
        len(fields),
    )


def _type(type_: Any) -> Type:
    return TYPES.get(type_.simpleString().partition("(")[0].partition(" ")[0], Type.OTHER)


def _spark(frame: Any) -> Any:
    """The Spark frame of a pandas-on-Spark frame; a Spark frame as it is."""
    if not _on_spark(frame):
        return frame
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the pandas-like index is not kept: releases have none
        return frame.to_spark()


def _on_spark(frame: Any) -> bool:
    """Whether it is a pandas-on-Spark frame. Asked of the class: a Spark frame has an attribute per column."""
    return type(frame).__module__.startswith("pyspark.pandas")


def check(frame: Any) -> None:
    """Refuse a frame whose session has ended."""
    session = _spark(frame).sparkSession
    stopped = session.is_stopped if hasattr(session, "is_stopped") else session._jsc.sc().isStopped()
    if stopped:
        raise StoppedSessionError(
            "The Spark session of this frame has been stopped. Make the frame anew from a running session."
        )


def aggregate(frame: Any, request: Request) -> Sums:
    """The exact statistics of a frame."""
    from pyspark.sql import functions as F

    rows = columns(_spark(frame), request)
    if request.id is not None:
        # Before the shuffle, in which all rows without an id would meet in one task.
        rows = rows.where(F.col(request.id).isNotNull())
    if request.bounds:
        rows = rows.repartition(F.col(request.id))
    names = [f"s{at}" for at in range(len(request.statistics))]
    fields = ", ".join(f"{name} bigint" for name in ("cell", *names))
    parts = rows.mapInArrow(partial(_task, request), fields)
    sums = parts.groupBy("cell").agg(*(F.sum(name).alias(name) for name in names)).toArrow()
    sums = sums.sort_by("cell")
    values = [sums[name].to_numpy() for name in names]
    return Sums(sums["cell"].to_numpy(), np.array(values, np.int64).reshape(len(names), -1))


def columns(frame: Any, request: Request) -> Any:
    """The columns that a request reads, after its steps, in canonical form; lazy."""
    sources = [f"{_source(ref, type_)} AS {ref}" for ref, type_ in request.sources.items()]
    # A count of all rows reads no column, but Arrow batches need one to have a length.
    rows = frame.toDF(*(f"c{at}" for at in range(len(frame.columns)))).selectExpr(*sources, "0Y AS rows")
    for step in request.steps:
        if isinstance(step, Filter):
            rows = rows.where(step.condition.spark)
        else:
            rows = rows.selectExpr("*", f"{step.value.spark} AS {step.ref}")
    return rows.select("rows", *request.types)


def _source(ref: str, type_: Type) -> str:
    if type_ is Type.OTHER:
        return f"nullif({ref} IS NOT NULL, false)"
    value = f"CAST({ref} AS {SPARK[type_]})"
    if type_ is Type.FLOAT:
        return f"nanvl({value}, CAST(NULL AS double))"
    if type_ is Type.DATE:  # the calendar that both engines share
        return f"CASE WHEN {value} BETWEEN DATE '0001-01-01' AND DATE '9999-12-31' THEN {value} END"
    return value


def _task(request: Request, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What one Spark task does: exact statistics of its rows, by cell."""
    if not request.bounds:
        for batch in batches:
            yield _sums(pa.Table.from_batches([batch]), request)
        return
    # A unit's rows are all in this task, but may be in several of its batches.
    together = list(batches)
    if together:
        yield _sums(pa.Table.from_batches(together), request)


def _sums(table: pa.Table, request: Request) -> pa.RecordBatch:
    table = exact.canonical(table, request)
    cell = exact.locate(request.keys, table)
    if request.id is not None:
        bound(table, cell, request)
    sums = exact.add_up(table, cell, request)
    names = [f"s{at}" for at in range(len(sums.values))]
    touched = sums.values.any(axis=0)
    columns = [pa.array(sums.cells[touched]), *(pa.array(row[touched]) for row in sums.values)]
    return pa.RecordBatch.from_arrays(columns, ["cell", *names])


def noise(frame: Any, tasks: Sequence[NoiseTask], drop: Sequence[str], info: str) -> Any:
    """The frame with noise on some columns and without others, drawn in the tasks and checkpointed.

    The rows are fixed first: then a row's number, and with it the word it takes, is the same in every retry. The
    answer is fixed after, and a block of it that is lost is an error, never a second draw.
    """
    from pyspark.sql import functions as F

    refs = {name: f"c{at}" for at, name in enumerate(frame.columns)}
    rows = _spark(frame).toDF(*refs.values()).localCheckpoint(eager=True)
    rows = rows.withColumn(ROW, F.monotonically_increasing_id())
    answers = {
        refs[task.column]: _draw(task)(
            F.col(ROW),
            F.coalesce(F.col(refs[task.column]).cast("bigint" if task.integer else "double"), F.lit(0)),
            F.col(refs[of]).cast("double") if isinstance(of := task.mechanism.sensitivity, str) else F.lit(0.0),
        )
        for task in tasks
    }
    left = [name for name in frame.columns if name not in drop]
    noised = rows.withColumns(answers).select(*(refs[name] for name in left)).localCheckpoint(eager=True)
    noised = _carrying(noised, left, info)
    return noised.pandas_api() if _on_spark(frame) else noised


def _draw(task: NoiseTask) -> Any:
    """The UDF that noises the cells of one column, a batch at a time."""
    import pandas as pd
    from pyspark.sql.functions import pandas_udf

    def cells(row: pd.Series, value: pd.Series, sensitivity: pd.Series) -> pd.Series:
        # A batch is a run of rows of one partition, so its numbers have no gap.
        by_cell = sensitivity.to_numpy() if isinstance(task.mechanism.sensitivity, str) else None
        return pd.Series(noisy(task, value.to_numpy(), by_cell, int(row.iloc[0]) if len(row) else 0))

    cells.__annotations__ = dict.fromkeys(("row", "value", "sensitivity", "return"), pd.Series)
    return pandas_udf(cells, "bigint" if task.integer else "double")


def _carrying(frame: Any, names: Sequence[str], info: str) -> Any:
    """The frame under the user's column names, with the metadata on each column, so that a selection still has it."""
    from pyspark.sql import functions as F

    # By position: a name may hold anything, and Spark would read dots and backticks in it.
    columns = frame.toDF(*(f"c{at}" for at in range(len(names))))
    return columns.select(*(F.col(f"c{at}").alias(name, metadata={METADATA: info}) for at, name in enumerate(names)))


def freeze(table: pa.Table, info: str, like: Any) -> Any:
    """A Spark frame over local rows: fixed values in the plan itself, which no action computes again."""
    session = _spark(like).sparkSession
    table = table.cast(pa.schema([field.with_nullable(True) for field in table.schema]))  # as Spark's own answers are
    if len(table):
        local = session.createDataFrame(table)
    else:  # of which Spark Connect makes no frame: the columns of one row, without it
        local = session.createDataFrame(pa.table({f.name: pa.nulls(1, f.type) for f in table.schema})).limit(0)
    frame = _carrying(local, table.column_names, info)
    return frame.pandas_api() if _on_spark(like) else frame


def info(frame: Any) -> str | None:
    """The metadata that :func:`freeze` attached, from any column that still has it."""
    found = (field.metadata.get(METADATA) for field in _spark(frame).schema.fields)
    return next((text for text in found if text is not None), None)
