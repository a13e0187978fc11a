"""Numbers of distinct values: no sums over rows, for equal values must meet wherever their rows are.

In one table codes find them (:func:`combinations`). Of several tables the distinct values of each are kept and met at
the end (:func:`everything`); on Spark, tasks hand them over as they are, not as hashes, and ``count(DISTINCT …)`` does
the rest in the shuffle that adds up the sums.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa

from dpframe.backends.base import Ints, Request, Sums
from dpframe.backends.bounds import integers
from dpframe.backends.exact import Mask, absent, add_up, missing, total
from dpframe.backends.runs import Standing, choices
from dpframe.kernels.codes import ABSENT, Table
from dpframe.plan import Type

CELL = "cell"

BATCH = 1 << 16
"""Rows that a Spark task hands over at a time."""


def combinations(columns: Sequence[pa.Array], cell: Ints) -> tuple[Ints, Ints]:
    """The distinct combinations of a cell and values, numbered as they appear; missing values are equal.

    Returns
    -------
    number : ndarray of int64, shape (n,)
        The combination of each row, or −1 for a row without a cell.
    first : ndarray of int64
        The first row of each combination.
    """
    if (cell < 0).any():
        rows = np.flatnonzero(cell >= 0)
        number = np.full(len(cell), ABSENT)
        number[rows], first = combinations([column.take(pa.array(rows)) for column in columns], cell[rows])
        return number, rows[first]
    codes = Table.of(cell)[1]
    for column in columns:
        found, own = Table.of(integers(column), _gone(column))
        # Fewer than 2**31 rows are in memory, so codes of pairs fit 64 bits; a missing value has the code −1.
        codes = Table.of(codes * (len(found.known) + 1) + own + 1)[1]
    # Codes count first appearances: a new one is larger than all before it.
    return codes, np.flatnonzero(codes > np.maximum.accumulate(np.append(-1, codes[:-1])))


def _gone(column: pa.Array) -> Mask:
    """Which values are missing, NaN among them; or nothing, when none can be."""
    return absent(column) if pa.types.is_floating(column.type) else missing(column)


def everything(
    parts: Iterable[tuple[pa.Table, Ints]],
    request: Request,
    threads: int,
    groups: Callable[[], pa.Table] | None = None,
) -> Sums:
    """The statistics of tables that hold all rows together.

    Parameters
    ----------
    parts
        Tables in canonical form, and the cell of each of their rows, or −1.
    groups
        Of groups that are found: the key columns of the cells, known when all parts are.
    """
    seen = {at: Seen(request.statistics[at].refs) for at in request.distinct}
    lines = {line: Standing(line) for line in request.lines}

    def added() -> Iterator[Sums]:
        for table, cell in parts:
            for values in seen.values():
                values.add(table, cell)
            for standing in lines.values():
                standing.add(table, cell)
            yield add_up(table, cell, request, threads)
        for at, values in seen.items():
            cells, numbers = np.unique(values.cells(), return_counts=True)
            sums = np.zeros((len(request.statistics), len(cells)), np.int64)
            sums[at] = numbers
            yield Sums(cells, sums)
        keys = groups() if groups is not None and lines else None
        yield from choices({line: standing.runs() for line, standing in lines.items()}, request, keys)

    return total(added(), request)


class Seen:
    """The distinct values of some columns by cell, over several tables.

    What tables bring is put together whenever it is as much again as what is known.
    """

    def __init__(self, refs: Sequence[str]) -> None:
        self.refs, self.tables, self.known = refs, list[pa.Table](), 0

    def add(self, table: pa.Table, cell: Ints) -> None:
        """Take in a table."""
        self.tables.append(values(table, cell, self.refs))
        if sum(len(each) for each in self.tables) > 2 * self.known + BATCH:
            self._put_together()

    def cells(self) -> Ints:
        """The cell of each distinct combination of a cell and values, once for each."""
        if not self.tables:
            return np.empty(0, np.int64)
        self._put_together()
        return np.asarray(self.tables[0][CELL], np.int64)

    def _put_together(self) -> None:
        if len(self.tables) > 1:
            table = pa.concat_tables(self.tables)
            plain = [table[ref].combine_chunks() for ref in self.refs]
            coded = [each.dictionary_encode() if pa.types.is_large_string(each.type) else each for each in plain]
            _, first = combinations(coded, np.asarray(table[CELL], np.int64))
            self.tables = [table.take(pa.array(first))]
        self.known = len(self.tables[0])


def values(table: pa.Table, cell: Ints, refs: Sequence[str]) -> pa.Table:
    """The distinct combinations of a cell and values: text as it is, everything else as integers, equal as it is."""
    columns = [table[ref].chunk(0) for ref in refs]
    _, rows = combinations(columns, cell)
    out = {}
    for ref, column in zip(refs, columns, strict=True):
        column = column.take(pa.array(rows))
        if pa.types.is_dictionary(column.type):
            out[ref] = column.cast(pa.large_string())
        else:
            gone = _gone(column)
            out[ref] = pa.array(integers(column), mask=gone if gone.size else None)
    return pa.table({**out, CELL: cell[rows]})


def value_fields(request: Request) -> list[str]:
    """The columns beside sums, as Spark writes a schema, in which tasks hand over distinct values."""
    return [
        f"v{at} struct<{', '.join(f'{ref}: {_plain(request.types[ref])}' for ref in each.refs)}>"
        for at, each in request.distinct.items()
    ]


def _plain(type_: Type) -> str:
    return "string" if type_ is Type.STRING else "bigint"


def put_together(request: Request) -> dict[str, str]:
    """How Spark puts together what tasks hand over, for each statistic. A struct of nulls counts too."""
    distinct = request.distinct
    return {
        f"s{at}": f"count(DISTINCT v{at})" if at in distinct else f"sum(s{at})" for at in range(len(request.statistics))
    }


def rows_of(sums: Sums, table: pa.Table, cell: Ints, request: Request) -> Iterator[pa.RecordBatch]:
    """What a Spark task hands over: its sums that are not 0, and beside them its distinct values, which then meet."""
    names = [CELL, *(f"s{at}" for at in range(len(request.statistics)))]
    touched = sums.values.any(axis=0)
    columns = [pa.array(row) for row in (sums.cells[touched], *sums.values[:, touched])]
    types = value_types(request)
    nothing = {name: pa.nulls(len(columns[0]), type_) for name, type_ in types.items()}
    yield pa.RecordBatch.from_arrays([*columns, *nothing.values()], [*names, *nothing])
    for at, each in request.distinct.items():
        found = values(table, cell, each.refs)
        for begin in range(0, len(found), BATCH):
            few = found.slice(begin, BATCH)
            mine = [few[ref].combine_chunks() for ref in each.refs]
            type_ = types[f"v{at}"]
            struct = pa.StructArray.from_arrays(
                [column.cast(field.type) for column, field in zip(mine, type_, strict=True)], fields=list(type_)
            )
            zeros = pa.array(np.zeros(len(few), np.int64))
            structs = {name: struct if name == f"v{at}" else pa.nulls(len(few), other) for name, other in types.items()}
            columns = [few[CELL].combine_chunks(), *[zeros] * len(request.statistics), *structs.values()]
            yield pa.RecordBatch.from_arrays(columns, [*names, *structs])


def value_types(request: Request) -> dict[str, pa.StructType]:
    """Those columns, as Arrow has them."""
    return {f"v{at}": _struct(request, each.refs) for at, each in request.distinct.items()}


def _struct(request: Request, refs: Sequence[str]) -> pa.StructType:
    return pa.struct([pa.field(ref, pa.string() if request.types[ref] is Type.STRING else pa.int64()) for ref in refs])
