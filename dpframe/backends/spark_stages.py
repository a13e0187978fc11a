"""Stages on Spark: Python inside the tasks, on Arrow batches, with the code that serves pandas.

A stage that must see all rows of a key or an id has them brought together by a shuffle, and a task then holds the
columns that pass of its partition. What only looks at a row goes batch by batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, assert_never

import pyarrow as pa

from dpframe.backends import exact
from dpframe.backends.base import Request
from dpframe.backends.calls import BATCH, applied
from dpframe.backends.keeping import staying
from dpframe.backends.spark_tasks import tasks
from dpframe.keys import ARROW
from dpframe.plan import Type
from dpframe.stages import Apply, KeepGroups, KeepRows

SPARK = {
    Type.INTEGER: "bigint",
    Type.FLOAT: "double",
    Type.BOOLEAN: "boolean",
    Type.STRING: "string",
    Type.DATE: "date",
    Type.TIMESTAMP: "timestamp",
}

TAKEN = {pa.large_string(): pa.string(), ARROW[Type.TIMESTAMP]: pa.timestamp("us", "UTC")}
"""The forms that Spark takes in the place of others."""

Batches = Iterable[pa.RecordBatch]


def staged(rows: Any, step: Apply | KeepRows | KeepGroups, request: Request) -> Any:
    """The rows after a stage; lazy."""
    types = dict(step.keeps)
    rows = rows.select(*types) if types else rows.selectExpr("true AS rows")  # a batch of no columns has no length
    if isinstance(step, Apply):
        types = {ref: type_ for ref, type_ in types.items() if ref in step.passes} | dict(step.adds)
        if step.id is None:
            return tasks(rows, partial(_mapped, step), _fields(types))
        rows = rows.where(f"{step.id} IS NOT NULL").repartition(step.id)
        return tasks(rows, partial(_mapped_together, step), _fields(types))
    if isinstance(step, KeepRows):
        rows = rows.repartition(*(column.ref for column in step.by))
    elif isinstance(step, KeepGroups):
        rows = rows.repartition(step.id.ref)
    else:
        assert_never(step)
    narrow = request.of(types=types, sources={})
    return tasks(rows, partial(_kept, step, narrow), _fields(types))


def _fields(types: dict[str, Type]) -> str:
    # Of a column of unknown type dpframe knows only whether a value is there.
    return ", ".join(f"{ref} {SPARK.get(type_, 'boolean')}" for ref, type_ in types.items())


def _mapped(step: Apply, batches: Batches) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield from _handed_over(applied(step, pa.Table.from_batches([batch])))


def _mapped_together(step: Apply, batches: Batches) -> Iterator[pa.RecordBatch]:
    together = list(batches)
    if together:
        yield from _handed_over(applied(step, pa.Table.from_batches(together)))


def _kept(step: KeepRows | KeepGroups, request: Request, batches: Batches) -> Iterator[pa.RecordBatch]:
    together = list(batches)
    if together:
        table = pa.Table.from_batches(together)
        stays = staying(step, exact.canonical(table, request), request)
        yield from table.filter(pa.array(stays)).to_batches(max_chunksize=BATCH)


def _handed_over(table: pa.Table) -> list[pa.RecordBatch]:
    """The rows in batches, as Spark takes them."""
    table = table.drop_columns(["rows"]) if "rows" in table.column_names else table
    batches: list[pa.RecordBatch] = for_spark(table).to_batches(BATCH)
    return batches


def for_spark(table: pa.Table) -> pa.Table:
    """A table with text and times as Spark takes them."""
    types = [TAKEN.get(type_, type_) for type_ in table.schema.types]
    return table.cast(pa.schema(zip(table.column_names, types, strict=True)))
