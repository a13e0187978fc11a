"""An answer of many groups, noised and kept by the executors.

The cells are cut into runs, a run is a task, and every run begins with a row of zeros, so that the number of tasks and
of rows in each is a function of the plan. A task adds up its run densely and draws cell *i* from word *i* of the
release's stream, so a retry or a speculative copy draws the same bits. The answer is then fixed by a checkpoint on the
executors: a block of it that is lost is an error, never a second draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from dpframe.backends.base import Ints, Rows
from dpframe.backends.spark_packets import places
from dpframe.backends.spark_stages import for_spark
from dpframe.backends.spark_tasks import tasks

RUN = 1 << 19
"""Cells of one task: 4 MB a statistic."""

FIELDS = {
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.large_string(): "string",
    pa.date32(): "date",
}
"""What Spark calls the types that an answer may have."""


@dataclass(frozen=True)
class Run:
    """What a task needs to finish its run of cells; all that travels to a worker."""

    rows: Rows
    statistics: int
    cells: int
    length: int

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        dense: dict[int, Ints] = {}
        for batch in batches:
            cells, *values = (column.to_numpy() for column in batch.columns)
            runs = cells // self.length
            for run in np.unique(runs).tolist():
                mine = runs == run
                if run not in dense:
                    dense[run] = np.zeros((self.statistics, self.of(run)), np.int64)
                for sums, value in zip(dense[run], values, strict=True):
                    np.add.at(sums, cells[mine] - run * self.length, value[mine])
        for run, exact in sorted(dense.items()):
            yield from handed_over(self.rows(exact, run * self.length))

    def of(self, run: int) -> int:
        """The number of cells in a run."""
        return min(self.length, self.cells - run * self.length)


def finished(sums: Any, statistics: int, cells: int, rows: Rows) -> Any:
    """The rows of all cells in their order, fixed.

    Parameters
    ----------
    sums
        A lazy frame of ``cell`` and its statistics, as :func:`dpframe.backends.spark_rows.sums` makes it.
    """
    from pyspark.sql import functions as F

    empty = rows(np.zeros((statistics, 0), np.int64), 0)
    runs = -(-cells // RUN)
    every = sums.sparkSession.range(0, runs, 1, 1).selectExpr(f"id * {RUN}L AS cell", *["0L"] * statistics)
    place = F.expr(f"array({', '.join(map(str, places(runs)))})[CAST(cell DIV {RUN}L AS int)]")
    placed = sums.union(every).repartition(runs, place)
    answer = tasks(placed, Run(rows, statistics, cells, RUN), fields(empty)).localCheckpoint(eager=True)
    return answer.toDF(*empty.column_names)


def handed_over(answer: pa.Table) -> list[pa.RecordBatch]:
    """Rows of the answer as a task hands them over, in columns ``c0``, ``c1``, …: users' names may be anything."""
    batches: list[pa.RecordBatch] = for_spark(answer.rename_columns(_refs(answer))).to_batches()
    return batches


def fields(answer: pa.Table) -> str:
    """Those columns, as Spark writes a schema."""
    return ", ".join(f"{ref} {FIELDS[type_]}" for ref, type_ in zip(_refs(answer), answer.schema.types, strict=True))


def _refs(answer: pa.Table) -> list[str]:
    return [f"c{at}" for at in range(answer.num_columns)]
