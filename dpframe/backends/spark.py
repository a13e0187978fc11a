"""Spark frames: classic, Connect and pandas-on-Spark.

Rows stay on the executors: :mod:`dpframe.backends.spark_rows` makes exact sums of them. What reaches the driver are the
sums of the public groups that have any row, or, of many groups, nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dpframe.backends.base import Choose, Keep, NoiseTask, Request, Rows, Sums
from dpframe.backends.spark_found import find as find_rows
from dpframe.backends.spark_rows import local, on_spark, plain, sums
from dpframe.backends.spark_spread import finished
from dpframe.backends.spark_tasks import handed_quickly
from dpframe.backends.table import noisy
from dpframe.errors import PlanError, StoppedSessionError
from dpframe.plan import Column, Schema, Type

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

FEW = 1_000_000
FEW_ON_CONNECT = 100_000
"""Up to so many groups a release is collected and finished on the driver, more by the executors. By measurement: where
it is as quick; see ``docs/decisions/0010-where-an-answer-is-finished.md``."""


def schema(frame: Any) -> Schema:
    """The columns of a frame from its Spark schema."""
    fields = plain(frame).schema.fields
    return Schema(
        tuple(
            Column(field.name, f"c{at}", kind, nullable=field.nullable or kind is Type.FLOAT)  # NaN counts as missing
            for at, (field, kind) in enumerate((field, _type(field.dataType)) for field in fields)
        ),
        len(fields),
    )


def _type(type_: Any) -> Type:
    return TYPES.get(type_.simpleString().partition("(")[0].partition(" ")[0], Type.OTHER)


def check(frame: Any) -> None:
    """Refuse a frame whose session has ended."""
    session = plain(frame).sparkSession
    stopped = session.is_stopped if hasattr(session, "is_stopped") else session._jsc.sc().isStopped()
    if stopped:
        raise StoppedSessionError(
            "The Spark session of this frame has been stopped. Make the frame anew from a running session."
        )


def sends(function: Callable[..., Any]) -> None:
    """Refuse a function that cannot be written down for the executors."""
    from pyspark import cloudpickle

    try:
        cloudpickle.dumps(function)
        return
    except Exception as error:
        kind = type(error).__name__
    raise PlanError(
        f"The function cannot be sent to Spark's executors ({kind} when it was pickled): let it hold plain values, and "
        "no frames, sessions, files or locks."
    )


def aggregate(frame: Any, request: Request, keep: Keep | None = None) -> Sums:
    """The exact statistics of a frame, on the driver: those of public groups that have any row, or of fewer."""
    rows = plain(frame)
    with handed_quickly(rows.sparkSession, request):
        found = sums(rows, request, keep).toArrow().sort_by("cell")
    values = [found[f"s{at}"].to_numpy() for at in range(len(request.statistics))]
    return Sums(found["cell"].to_numpy(), np.array(values, np.int64).reshape(len(values), -1))


def spreads(frame: Any, cells: int) -> bool:
    """Whether an answer of so many cells is finished by the executors."""
    return cells > (FEW if hasattr(plain(frame).sparkSession, "_jsc") else FEW_ON_CONNECT)


def spread(frame: Any, request: Request, rows: Rows, info: str) -> Any:
    """The frozen answer, finished by the executors and kept there; see :mod:`dpframe.backends.spark_spread`."""
    ours = plain(frame)
    with handed_quickly(ours.sparkSession, request):
        answer = finished(sums(ours, request), len(request.statistics), len(request.keys), rows)
    answer = _carrying(answer, answer.columns, info)
    return answer.pandas_api() if on_spark(frame) else answer


def find(frame: Any, request: Request, choose: Choose) -> pa.Table:
    """The rows of the answer of groups that no public key names; see :mod:`dpframe.backends.spark_found`."""
    return find_rows(plain(frame), request, choose)


def noise(frame: Any, tasks: Sequence[NoiseTask], drop: Sequence[str], info: str) -> Any:
    """The frame with noise on some columns and without others, drawn in the tasks and checkpointed.

    The rows are fixed first: then a row's number, and with it the word it takes, is the same in every retry. The
    answer is fixed after, and a block of it that is lost is an error, never a second draw.
    """
    from pyspark.sql import functions as F

    refs = {name: f"c{at}" for at, name in enumerate(frame.columns)}
    rows = plain(frame).toDF(*refs.values()).localCheckpoint(eager=True)
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
    return noised.pandas_api() if on_spark(frame) else noised


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
    table = table.cast(pa.schema([field.with_nullable(True) for field in table.schema]))  # as Spark's own answers are
    session = plain(like).sparkSession
    if len(table):
        rows = local(session, table)
    else:  # of which Spark Connect makes no frame: the columns of one row, without it
        rows = local(session, pa.table({field.name: pa.nulls(1, field.type) for field in table.schema})).limit(0)
    frame = _carrying(rows, table.column_names, info)
    return frame.pandas_api() if on_spark(like) else frame


def info(frame: Any) -> str | None:
    """The metadata that :func:`freeze` attached, from any column that still has it."""
    found = (field.metadata.get(METADATA) for field in plain(frame).schema.fields)
    return next((text for text in found if text is not None), None)
