"""Sums by cell where cells are many, on Spark: of key sets too large to write down, and of bounded rows.

Spark's own aggregation keeps a hash table of all cells before the shuffle, where little meets, and another one after
it. Here a task adds up a chunk of rows at a time, or the rows that stay within bounds, and sends the sums on in
packets, by cell; what meets is added up by the kernels, and of that only cells that may come out are handed over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from dpframe.backends import exact
from dpframe.backends.base import Keep, Request, Sums
from dpframe.backends.bounds import Parts
from dpframe.backends.distinct import rows_of
from dpframe.backends.spark_packets import chunks, packed, unpacked
from dpframe.backends.spark_tasks import Run, tasks
from dpframe.kernels.codes import Table

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2⁶⁴ over the golden ratio, as in Fibonacci hashing (Knuth, volume 3, section 6.4)."""


def totals(rows: Any, work: Run, statistics: int, keep: Keep | None) -> Any:
    """The exact statistics by cell, as :func:`dpframe.backends.spark_rows.sums` gives them; lazy.

    Parameters
    ----------
    rows, work
        A Spark frame, and the partial sums of the batches that a task has of it: batches of ``cell``, ``s0``, ….
    """
    sums = pa.schema(dict.fromkeys(["cell", *(f"s{at}" for at in range(statistics))], pa.int64()))
    dealt = packed(rows, _by_cell, sums, work)
    return tasks(dealt, partial(_total, sums, keep), ", ".join(f"{name} bigint" for name in sums.names))


def added_up(
    request: Request, schema: pa.Schema, cells: int, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Partial sums of the rows of a task, a chunk at a time."""
    for rows in chunks(batches):
        table, cell = exact.canonical(rows.cast(schema), request), rows["cell"].to_numpy()
        yield from rows_of(exact.add_up(table, cell, request, n=cells), table, cell, request)


def _by_cell(sums: pa.Table, parts: int) -> tuple[pa.Table, Parts]:
    """The sums, and the part of each: that of its cell."""
    mixed = (sums["cell"].to_numpy().view(np.uint64) * _GOLDEN) >> np.uint64(32)
    return sums, ((mixed * np.uint64(parts)) >> np.uint64(32)).astype(np.min_scalar_type(parts))


def _total(sums: pa.Schema, keep: Keep | None, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """What one task hands over: the totals of its cells, or of those that may come out. All of a cell is here."""
    cells, *values = (column.to_numpy() for column in unpacked(batches, sums).columns)
    found, code = Table.of(cells)
    added = np.zeros((len(values), len(found.known)), np.int64)
    for sum_, value in zip(added, values, strict=True):
        np.add.at(sum_, code, value)
    total = Sums(found.known, added)
    yield _handed(total if keep is None else keep(total), sums)


def kept(keep: Keep, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Of totals, those of cells that may come out."""
    for batch in batches:
        cells, *values = (column.to_numpy() for column in batch.columns)
        yield _handed(keep(Sums(cells, np.array(values, np.int64))), batch.schema)


def _handed(sums: Sums, schema: pa.Schema) -> pa.RecordBatch:
    """The sums as Spark takes them."""
    return pa.RecordBatch.from_arrays([pa.array(sums.cells), *(pa.array(row) for row in sums.values)], schema.names)
