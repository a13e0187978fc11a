"""Quantiles on Spark: the positions of a cell's rows meet in one task, which chooses from them.

Every row becomes one of sums and, for each line, one of a position. Equal positions of a cell are counted in the
shuffle that adds up the sums; a second shuffle brings what there is of a cell into one task, which makes the choices.
What goes on from there are sums and chosen positions by cell, as for any other statistic: no row reaches the driver.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa

from dpframe.backends import exact
from dpframe.backends.base import Ints, Request, Sums
from dpframe.backends.distinct import BATCH, CELL, put_together, value_types
from dpframe.backends.runs import choices, counted, runs_of, standing
from dpframe.backends.spark_tasks import tasks
from dpframe.keys import Keys
from dpframe.lines import Line
from dpframe.plan import Type
from dpframe.sql import spark_literal

FIELDS = ["line bigint", "position bigint", "n bigint"]
"""Beside sums and distinct values: how many rows stand at a position of a line, or −1 for a row of sums."""


def apart(rows: Any, added: Sequence[str], request: Request) -> Any:
    """The rows of sums, with what ``added`` says, and beside them those of positions, by cell or found group; lazy."""
    structs = [f"struct({', '.join(['-1L AS line', '-1L AS position', '0L AS n', *added])})"]
    names = (text.rpartition(" AS ")[2] for text in added)
    nothing = [f"{'NULL' if name.startswith('v') else '0L'} AS {name}" for name in names]
    for at, line in enumerate(request.lines):
        position = _position(line, request.types[line.ref])
        structs.append(f"struct({', '.join([f'{at}L AS line', f'{position} AS position', '1L AS n', *nothing])})")
    by = list(request.by) or [CELL]
    return rows.selectExpr(*by, f"inline(array({', '.join(structs)}))").where("position IS NOT NULL")


def _position(line: Line, type_: Type) -> str:
    """The position of a row, null where its value is missing: the operations of :func:`standing`, in their order."""
    missing = f"{line.ref} IS NULL" + (f" OR isnan({line.ref})" if type_ is Type.FLOAT else "")
    if line.powers:
        missing += f" OR abs({line.ref}) = CAST('Infinity' AS double)" if type_ is Type.FLOAT else ""
        # A logarithm may be rounded across a whole number; whole powers are exact.
        x = f"abs(CAST({line.ref} AS double))"
        k = f"CAST(floor(log2(least(greatest({x}, 1e-20D), 1e20D))) AS int)"
        k = f"({k} + CAST(pow(2D, {k} + 1) <= {x} AS int) - CAST(pow(2D, {k}) > {x} AS int))"
        size = f"CASE WHEN {x} = 0 THEN 0L ELSE least(greatest(CAST({k} AS bigint) + 65L, 0L), 128L) END"
        return f"CASE WHEN {missing} THEN NULL WHEN {line.ref} < 0 THEN 128L - {size} ELSE 128L + {size} END"
    kind = int if line.integer else float
    low, high = spark_literal(kind(line.low)), spark_literal(kind(line.high))
    off = f"(least(greatest({line.ref}, {low}), {high}) - {low})"
    steps = f"CAST(rint({off} / {spark_literal(line.step)}) AS bigint)"
    at = f"shiftright({off}, {line.bits})" if line.integer else steps
    return f"CASE WHEN {missing} THEN NULL ELSE {at} END"


def beside(
    batches: Iterable[pa.RecordBatch], table: pa.Table, cell: Ints, request: Request
) -> Iterator[pa.RecordBatch]:
    """What a task hands over of sums and distinct values, and beside it the positions of its rows."""
    for batch in batches:
        here = [pa.array(np.full(batch.num_rows, value)) for value in (-1, -1, 0)]
        yield pa.RecordBatch.from_arrays([*batch.columns, *here], [*batch.schema.names, "line", "position", "n"])
    names = [f"s{at}" for at in range(len(request.statistics))]
    types = value_types(request)
    for at, line in enumerate(request.lines):
        cells, positions, counts = counted(*standing(line, table, cell))
        for begin in range(0, len(cells), BATCH):
            few = slice(begin, begin + BATCH)
            number = len(cells[few])
            zeros = [pa.array(np.zeros(number, np.int64))] * len(names)
            nothing = [pa.nulls(number, type_) for type_ in types.values()]
            runs = [np.full(number, at), positions[few], counts[few]]
            columns = [pa.array(cells[few]), *zeros, *nothing, *map(pa.array, runs)]
            yield pa.RecordBatch.from_arrays(columns, [CELL, *names, *types, "line", "position", "n"])


def met(rows: Any, request: Request) -> Any:
    """The exact sums and the chosen positions of every cell, once each: columns ``cell``, ``s0``, …; lazy."""
    fields = ", ".join(f"{name} bigint" for name in [CELL, *put_together(request)])
    return tasks(gathered(rows, request), partial(_task, narrow(request)), fields)


def narrow(request: Request) -> Request:
    """What the tasks must know of a request where all of a cell is."""
    return replace(request, sources={}, steps=(), bounds=(), keys=Keys(()))


def gathered(rows: Any, request: Request) -> Any:
    """Sums and numbers of rows at positions, all of a cell or of a found group in one task; lazy."""
    from pyspark.sql import functions as F

    by = list(request.by) or [CELL]
    counted_ = rows.groupBy(*by, "line", "position").agg(
        F.expr("sum(n)").alias("n"), *(F.expr(text).alias(name) for name, text in put_together(request).items())
    )
    return counted_.repartition(*by)


def _task(request: Request, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The sums and choices of the cells of one task."""
    together = list(batches)
    if not together:
        return
    table = pa.Table.from_batches(together)
    found = chosen(table, table[CELL].to_numpy(), request)
    names = [CELL, *(f"s{at}" for at in range(len(request.statistics)))]
    yield pa.RecordBatch.from_arrays([pa.array(found.cells), *map(pa.array, found.values)], names)


def chosen(table: pa.Table, cell: Ints, request: Request, groups: pa.Table | None = None) -> Sums:
    """The sums and choices of the cells of a table that has all of them.

    Parameters
    ----------
    table, cell
        Rows of sums and of positions, and the cell of each.
    groups
        As for :func:`dpframe.backends.runs.choices`.
    """
    names = [f"s{at}" for at in range(len(request.statistics))]
    line, position, n = (table[name].to_numpy() for name in ("line", "position", "n"))
    sums = line < 0
    order = np.argsort(cell[sums])
    values = np.array([table[name].to_numpy()[sums][order] for name in names], np.int64)
    runs = {
        each: runs_of(*counted(cell[line == at], position[line == at], n[line == at]))
        for at, each in enumerate(request.lines)
    }
    return exact.merged([Sums(cell[sums][order], values), *choices(runs, request, groups)])
