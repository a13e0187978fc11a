"""Exact statistics of an Arrow table: the one piece of arithmetic that every engine runs.

pandas runs it over the whole table, Spark over the Arrow batches of its tasks, so both give the same integers.
:func:`locate` finds the cell of each row, :mod:`dpframe.backends.bounds` takes it from rows beyond their unit's bounds,
and :func:`add_up` adds up what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dpframe.backends.base import Request, Sums
from dpframe.kernels.bounding import add_float_squares, add_floats, add_integer_squares, add_integers, add_rows
from dpframe.kernels.codes import ABSENT, NONE, Table, fold, span
from dpframe.keys import ARROW, Factor, Keys
from dpframe.lines import Quantile
from dpframe.plan import Count, Distinct, Squares, Statistic, Type

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
Whole = npt.NDArray[np.signedinteger[Any]]

SPARSE = 8
"""A domain whose values span more than this many times their number is looked up by a hash table, not by position."""

SPREAD = 2
"""Groups are added up in a dense array when there are at most this many times as many as rows (or a few), and otherwise
only those that have rows."""
FEW = 1 << 16

MANY = 1 << 24
"""Up to so many groups, sums of several tables are added up in a dense array."""


def canonical(table: pa.Table, request: Request) -> pa.Table:
    """The columns of a request in the physical form of their types; ``rows`` only gives the table its length.

    Text is dictionary-encoded: every use of it but the count of its values looks at distinct texts. Every column is one
    chunk, which uses of it need not copy.
    """
    forms = {ref: ARROW.get(type_, pa.bool_()) for ref, type_ in request.types.items()} | {"rows": pa.int8()}
    columns = {ref: table[ref].cast(form) for ref, form in forms.items() if ref in table.column_names}
    for ref, column in columns.items():
        coded = column.dictionary_encode() if forms[ref] == ARROW[Type.STRING] else column
        columns[ref] = coded.chunk(0) if coded.num_chunks == 1 else coded.combine_chunks()
    return pa.table(columns)


def decoded(column: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """A column in canonical form with text as text again, and not as codes."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def locate(keys: Keys, table: pa.Table) -> Ints:
    """The cell of each row, (rows,) int64, or −1 when its key is not in the set. Nulls are equal.

    Parameters
    ----------
    table
        The key columns in canonical form, and others.
    """
    cell = np.zeros(table.num_rows, np.int64)
    for factor in keys.factors:
        position = cell if factor.codes is None else np.zeros(table.num_rows, np.int64)
        for name, domain in factor.domains.items():
            _fold(position, table[name].chunk(0), domain)
        if factor.codes is not None:
            _fold_listed(cell, position, factor)
    return cell


def _fold(cell: Ints, column: pa.Array, domain: pa.Array) -> None:
    """Fold the position of each value among the values of a domain into the cells."""
    null = pc.index(domain.is_null(), True).as_py()
    if pa.types.is_dictionary(column.type):
        positions = pc.index_in(column.dictionary, value_set=domain).fill_null(ABSENT)
        fold(cell, numbers(column.indices), missing(column.indices), 0, numbers(positions), null, len(domain))
        return
    at = np.flatnonzero(domain.is_valid())
    known = numbers(domain)[at].astype(np.int64)
    _fold_known(cell, numbers(column), missing(column), known, at, null, len(domain))


def _fold_listed(cell: Ints, position: Ints, factor: Factor) -> None:
    """Fold the position of each row among the listed rows of a factor into the cells."""
    assert factor.codes is not None
    _fold_known(cell, position, NONE, factor.codes, np.arange(len(factor)), ABSENT, len(factor))


def _fold_known(cell: Ints, values: Whole, skip: Mask, known: Ints, at: Ints, null: int, width: int) -> None:
    """Fold the place ``at`` of each value among known ones into the cells: by position, or by a hash table."""
    least, largest = span(known, NONE)
    if largest - least < SPARSE * len(known) + 1024:
        places = np.full(largest - least + 1, ABSENT, np.int64)
        places[known - least] = at
        fold(cell, values, skip, least, places, null, width)
    else:
        table, _ = Table.of(known)
        fold(cell, table.look_up(values.astype(np.int64, copy=False), skip), skip, 0, at, null, width)


def add_up(table: pa.Table, cell: Ints, request: Request, threads: int = 1, n: int | None = None) -> Sums:
    """Every statistic of the cells that is a sum over rows: integer sums, so in no order. Others stay 0.

    Parameters
    ----------
    cell
        (n,) the cell of each row of the table, or −1.
    threads
        How many may work at once.
    n
        The number of cells, where the request is without its keys.
    """
    n = request.cells if n is None else n
    if n <= SPREAD * len(cell) + FEW:
        cells = rank = np.arange(n)
    else:
        found, cell = Table.of(cell, cell < 0)
        rank = np.argsort(found.known)
        cells = found.known[rank]
    out = np.zeros((len(request.statistics), len(cells)), np.int64)
    work = [partial(_add, table, cell, each, row) for row, each in zip(out, request.statistics, strict=True)]
    list(at_once(threads, work))
    return Sums(cells, out if cells is rank else out[:, rank])


def total(parts: Iterable[Sums], request: Request) -> Sums:
    """The sums of several tables added up."""
    n, added = request.cells, len(request.statistics)
    if n <= MANY:
        dense = np.zeros((added, n), np.int64)
        for part in parts:
            dense[:, part.cells] += part.values
        return Sums(np.arange(n), dense)
    so_far = Sums(np.empty(0, np.int64), np.empty((added, 0), np.int64))
    for part in parts:
        so_far = merged([so_far, part])
    return so_far


def merged(parts: Sequence[Sums]) -> Sums:
    """The parts added up, over the cells of any."""
    cells, at = np.unique(np.concatenate([part.cells for part in parts]), return_inverse=True)
    values = np.zeros((len(parts[0].values), len(cells)), np.int64)
    for sums, added in zip(values, np.concatenate([part.values for part in parts], axis=1), strict=True):
        np.add.at(sums, at, added)
    return Sums(cells, values)


def _add(table: pa.Table, cell: Ints, statistic: Statistic, out: Ints) -> None:
    """Add what each row has to one statistic; a missing value adds nothing."""
    if isinstance(statistic, Distinct | Quantile):
        return
    if statistic.ref is None:
        add_rows(cell, NONE, out)
        return
    column = table[statistic.ref].chunk(0)
    if isinstance(statistic, Count):
        add_rows(cell, absent(column), out)
        return
    rows = cell, numbers(column), missing(column)
    if statistic.integer:
        limits = int(statistic.low), int(statistic.high), int(statistic.center)
        if isinstance(statistic, Squares):
            add_integer_squares(*rows, *limits, statistic.bits, statistic.shift, out)
        else:
            add_integers(*rows, *limits, out)
    else:
        floats = float(statistic.low), float(statistic.high), float(statistic.center), statistic.grid
        if isinstance(statistic, Squares):
            add_float_squares(*rows, *floats, statistic.shift, out)
        else:
            add_floats(*rows, *floats, out)


def at_once(threads: int, work: Sequence[Callable[[], Any]]) -> Iterator[Any]:
    """The results of some pieces of work, in order; the kernels let go of the interpreter."""
    if threads == 1 or len(work) == 1:
        yield from (each() for each in work)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from pool.map(lambda each: each(), work)


def numbers(column: pa.Array) -> npt.NDArray[np.signedinteger]:
    """The values of an integer, boolean, date or timestamp column as integers of their own width; null is anything."""
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    elif pa.types.is_date32(column.type):
        column = column.view(pa.int32())
    elif pa.types.is_timestamp(column.type):
        column = column.view(pa.int64())
    buffer = column.buffers()[1]
    width = np.dtype(column.type.to_pandas_dtype())
    return np.frombuffer(buffer or b"", width)[column.offset : column.offset + len(column)]


def missing(column: pa.Array) -> Mask:
    """Which values are null, (n,) bool; or nothing, when none is."""
    return column.is_null().to_numpy(zero_copy_only=False) if column.null_count else NONE


def absent(column: pa.Array) -> npt.NDArray[np.bool_]:
    """Which values are null or NaN, (n,) bool."""
    absent: npt.NDArray[np.bool_] = pc.is_null(column, nan_is_null=True).to_numpy(zero_copy_only=False)
    return absent
