"""Groups that no public key names, on Spark: told apart, noised and chosen on the executors.

The key columns stay beside their sums, and equal ones meet in the shuffle, as values and not as hashes. What a task
then hands over are rows of the answer: no group that does not come out leaves the executors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from dpframe.backends import exact
from dpframe.backends.base import Choose, Request
from dpframe.backends.bounds import bound
from dpframe.backends.distinct import CELL, put_together, rows_of, value_fields
from dpframe.backends.found import empty, numbered, plain
from dpframe.backends.spark_packets import unpacked
from dpframe.backends.spark_rows import added, by_unit, columns, located
from dpframe.backends.spark_runs import FIELDS as RUNS
from dpframe.backends.spark_runs import apart, beside, chosen, gathered, narrow
from dpframe.backends.spark_spread import fields, handed_over
from dpframe.backends.spark_stages import SPARK, for_spark
from dpframe.backends.spark_tasks import handed_quickly, tasks


def find(frame: Any, request: Request, choose: Choose) -> pa.Table:
    """The rows of the answer of the groups that come out, collected: what the release shows, and nothing else."""
    from pyspark.sql import functions as F

    rows = located(columns(frame, request), request.keys)
    if request.bounds:
        found = [f"{ref} {SPARK[request.types[ref]]}" for ref in request.by]
        found += [f"s{at} bigint" for at in range(len(request.statistics))] + value_fields(request)
        found += RUNS if request.lines else []
        dealt, inner, schema = by_unit(rows, request)
        rows = tasks(dealt, partial(_task, inner, schema), ", ".join(found))
    else:
        rows = apart(rows, added(request), request) if request.lines else rows.selectExpr(*request.by, *added(request))
    if request.lines:
        sums, task = gathered(rows, request), _meet
    else:
        together = (F.expr(text).alias(name) for name, text in put_together(request).items())
        sums, task = rows.groupBy(*request.by).agg(*together), _choose
    nothing = choose(empty(request), np.zeros((len(request.statistics), 0), np.int64))
    # Only what a task needs: a step may hold a frame, which cannot be sent.
    with handed_quickly(frame.sparkSession, request):
        shown = tasks(sums, partial(task, choose, narrow(request)), fields(nothing)).toArrow()
    return shown.rename_columns(nothing.column_names).cast(nothing.schema)


def _task(request: Request, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What one task hands over: by the groups of its rows, partial sums of those that stay within bounds."""
    together = unpacked(batches, schema)
    if not len(together):
        return
    cell = together[CELL].to_numpy().copy()
    table = exact.canonical(together, request)
    groups, number = numbered(table, cell, request)
    bound(table, number, request)
    batches = rows_of(exact.add_up(table, number, request), table, number, request)
    for batch in beside(batches, table, number, request) if request.lines else batches:
        keys = for_spark(groups.take(batch.column(CELL)))
        named = {ref: keys[ref].combine_chunks() for ref in request.by}
        named |= {name: batch.column(name) for name in batch.schema.names if name != CELL}
        yield pa.RecordBatch.from_arrays(list(named.values()), list(named))


def _choose(choose: Choose, request: Request, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The rows of the answer of those groups of a task that come out."""
    for batch in batches:
        groups = pa.table(plain(pa.Table.from_batches([batch.select(list(request.by))])))
        sums = [batch.column(f"s{at}").to_numpy() for at in range(len(request.statistics))]
        yield from handed_over(choose(groups, np.array(sums, np.int64)))


def _meet(choose: Choose, request: Request, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same where quantiles are chosen first: all rows of a group, and their positions, are in this task."""
    together = list(batches)
    if not together:
        return
    table = pa.Table.from_batches(together)
    keys = exact.canonical(table.select(list(request.by)), request)
    groups, number = numbered(keys, np.zeros(len(table), np.int64), request)
    found = chosen(table, number, request, groups)
    yield from handed_over(choose(groups.take(pa.array(found.cells)), found.values))
