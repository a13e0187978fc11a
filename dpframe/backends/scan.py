"""Parquet files larger than memory: batches stream through, and under a bound each unit's rows are brought together.

Rows of a unit may lie anywhere in the files, and a bound needs all of them at once. So the rows that count, reduced to
id, cell and what bounds and statistics read, are dealt out by a keyed hash of their id into parts of a temporary
directory, which only this user can read and which is removed at the end; and the parts are bounded one after another.
Without a bound, or when all rows make one part, nothing is written.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dpframe.backends import exact, pandas
from dpframe.backends.base import Choose, Keep, Request, Sums
from dpframe.backends.bounds import bound, id_words, needed
from dpframe.backends.distinct import everything
from dpframe.backends.found import Known
from dpframe.errors import FrameError
from dpframe.keys import ARROW
from dpframe.plan import Column, Filter, Schema
from dpframe.progress import progress

spreads = None
"""No answer is finished elsewhere: the rows come here."""

whole = False
"""Rows come in batches, and those of an id or a key in several of them."""

sends = pandas.sends

BATCH = 1 << 20
"""Rows that are read at a time."""

PART = 1 << 23
"""Rows of one part, about: so many are held in memory at once under a bound."""

CELL = "cell"

COMPARE: dict[str, Callable[[Any, list[Any]], Any]] = {
    "=": lambda column, values: column == values[0],
    "<": lambda column, values: column < values[0],
    "<=": lambda column, values: column <= values[0],
    ">": lambda column, values: column > values[0],
    ">=": lambda column, values: column >= values[0],
    "in": lambda column, values: column.isin(values),
}

Located = tuple[pa.Table, exact.Ints]


def schema(frame: Any) -> Schema:
    """The columns of the files, from the metadata of the first."""
    fields = enumerate(frame.dataset.schema)
    columns = tuple(Column(field.name, f"c{at}", pandas.arrow_type(field.type)) for at, field in fields)
    return Schema(columns, len(columns))


def check(frame: Any) -> None:
    """Refuse files that are no longer there."""
    gone = next((name for name in frame.dataset.files if not Path(name).exists()), None)
    if gone is not None:
        raise FrameError(f"{gone} is no longer there: make the scan anew.")


def aggregate(frame: Any, request: Request, keep: Keep | None = None) -> Sums:
    """The exact statistics of all rows of the files."""
    return _sums(frame, request, _located(frame, request))


def find(frame: Any, request: Request, choose: Choose) -> pa.Table:
    """The rows of the answer of groups that no public key names."""
    known = Known(request)
    sums = _sums(frame, request, ((table, known.numbers(table, cell)) for table, cell in _located(frame, request)))
    return choose(known.groups.take(pa.array(sums.cells)), sums.values)


def _sums(frame: Any, request: Request, located: Iterable[Located]) -> Sums:
    rows = frame.dataset.count_rows()
    located = progress(located, -(-rows // BATCH), "reading")
    if request.id is None:
        return everything(located, request, pandas.THREADS)
    parts = max(1, -(-rows // PART))
    with ExitStack() as stack:
        dealt = _dealt(located, request, parts, stack)
        bounded = (_bounded(*each, request) for each in progress(dealt, parts, "bounding"))
        return everything(bounded, request, pandas.THREADS)


def _located(frame: Any, request: Request) -> Iterator[Located]:
    """The rows in canonical form after the steps, and their cells, a batch at a time."""
    names = [frame.columns[int(ref[1:])] for ref in request.sources]
    scanner = frame.dataset.scanner(
        columns=names, filter=_skip(frame, request), batch_size=BATCH, batch_readahead=2, fragment_readahead=1
    )
    for batch in scanner.to_batches():
        series = {
            ref: pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([column])))
            for ref, column in zip(request.sources, batch.columns, strict=True)
        }
        table = pandas.prepared(series, batch.num_rows, request)
        yield table, exact.locate(request.keys, table)


def _skip(frame: Any, request: Request) -> Any:
    """What the files may leave out, by their statistics or row by row: rows that some filter drops anyway."""
    fields = list(frame.dataset.schema)
    kept = None
    for limit in (limit for step in request.steps if isinstance(step, Filter) for limit in step.condition.limits):
        if limit.ref not in request.sources:
            continue
        field = fields[int(limit.ref[1:])]
        column = pc.field(field.name)
        if pa.types.is_signed_integer(field.type):
            fits = all(abs(int(value)) < 2 ** (field.type.bit_width - 1) for value in limit.values)
        else:
            fits = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        if fits:
            holds = COMPARE[limit.operator](column, [pa.scalar(value, field.type) for value in limit.values])
            kept = holds if kept is None else kept & holds
    return kept


def _bounded(table: pa.Table, cell: exact.Ints, request: Request) -> Located:
    bound(table, cell, request, pandas.THREADS)
    return table, cell


def _dealt(located: Iterable[Located], request: Request, parts: int, stack: ExitStack) -> Iterator[Located]:
    """The rows that count in parts, each with all rows of its units."""
    narrowed = (_narrow(*each, request) for each in located)
    if parts == 1:
        yield from _joined(list(narrowed), request)
        return
    home = stack.enter_context(tempfile.TemporaryDirectory(prefix="dpframe-"))
    paths = [os.path.join(home, f"{part}.arrow") for part in range(parts)]
    with ExitStack() as writing:
        writers: list[Any] = []
        for table in narrowed:
            if not writers:
                writers = [writing.enter_context(pa.ipc.new_stream(path, table.schema)) for path in paths]
            part = (id_words(table[request.id].combine_chunks(), request.salt) % np.uint64(parts)).astype(np.int64)
            order = np.argsort(part, kind="stable")
            ends = np.searchsorted(part[order], np.arange(parts + 1))
            table = table.take(pa.array(order))
            for writer, begin, end in zip(writers, ends[:-1].tolist(), ends[1:].tolist(), strict=True):
                writer.write_table(table.slice(begin, end - begin))
    for path in paths if writers else ():
        with pa.ipc.open_stream(path) as reader:
            yield from _joined([reader.read_all()], request)
        os.unlink(path)


def _narrow(table: pa.Table, cell: exact.Ints, request: Request) -> pa.Table:
    """The rows with an id and a cell, and of their columns those that bounding and adding up read; text is plain."""
    columns = {ref: table[ref].cast(ARROW[request.types[ref]]) for ref in needed(request)}
    narrow = pa.table({**columns, CELL: cell})
    counts = (cell >= 0) & table[request.id].is_valid().to_numpy()
    return narrow if counts.all() else narrow.filter(pa.array(counts))


def _joined(tables: Sequence[pa.Table], request: Request) -> Iterator[Located]:
    """One table of several, if there is any row, in canonical form again, and its cells."""
    if not tables:
        return
    table = pa.concat_tables(tables)
    yield exact.canonical(table, request), table[CELL].to_numpy().copy()


def freeze(table: pa.Table, info: str, like: Any) -> pd.DataFrame:
    """An ordinary pandas frame: an answer is small beside the files."""
    return pandas.freeze(table, info, like)


def info(frame: Any) -> str | None:
    """Nothing: files carry no release."""
    return None
