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
            answer = self.rows(exact, run * self.length)
            plain = [pa.string() if pa.types.is_large_string(type_) else type_ for type_ in answer.schema.types]
            refs = _refs(answer)
            yield from answer.rename_columns(refs).cast(pa.schema(zip(refs, plain, strict=True))).to_batches()

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
    fields = ", ".join(f"{ref} {FIELDS[type_]}" for ref, type_ in zip(_refs(empty), empty.schema.types, strict=True))
    placed = sums.union(every).repartition(runs, place)
    answer = placed.mapInArrow(Run(rows, statistics, cells, RUN), fields).localCheckpoint(eager=True)
    return answer.toDF(*empty.column_names)


def _refs(answer: pa.Table) -> list[str]:
    return [f"c{at}" for at in range(answer.num_columns)]


def places(partitions: int) -> list[int]:
    """For each of so many partitions an integer that Spark's hash partitioning sends there.

    ``repartition(n, x)`` puts a row in the partition ``hash(x) mod n``, so run *p* becomes partition *p* when its rows
    carry the *p*-th of these numbers: the answer is then in order. Were Spark to hash otherwise, runs would come in
    another order, and several to a task, and nothing else would change.
    """
    found: dict[int, int] = {}
    number = 0
    while len(found) < partitions:
        found.setdefault(murmur3(number) % partitions, number)
        number += 1
    return [found[partition] for partition in range(partitions)]


def murmur3(number: int) -> int:
    """Spark's hash of an ``int``: Murmur3 (x86, 32 bits) of its four bytes with seed 42, as a signed integer."""
    word = 0xFFFFFFFF
    k = number * 0xCC9E2D51 & word
    k = (k << 15 | k >> 17) * 0x1B873593 & word
    h = 42 ^ k
    h = (h << 13 | h >> 19) * 5 + 0xE6546B64 & word
    h ^= 4
    h = (h ^ h >> 16) * 0x85EBCA6B & word
    h = (h ^ h >> 13) * 0xC2B2AE35 & word
    h ^= h >> 16
    return h - (1 << 32) if h >> 31 else h
