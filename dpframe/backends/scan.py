"""Parquet files larger than memory: batches stream through, and rows that must be together are brought together.

Rows of a unit may lie anywhere in the files, and a bound needs all of them at once. So the rows that count, reduced to
id, cell and what bounds and statistics read, are dealt out by a keyed hash of their id into parts of a temporary
directory, which only this user can read and which is removed at the end; and the parts are bounded one after another.
Private joins, functions of ids and partitions need all rows of a key or an id, too: before such a step the rows are
dealt out in the same way, those of both tables of a join alike, and the chain goes on part by part. Without any of
these, or when all rows make one part, nothing is written.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dpframe.backends import exact, pandas
from dpframe.backends.base import Choose, Keep, Request, Sums
from dpframe.backends.bounds import bound, by_part, needed, part_of, row_words
from dpframe.backends.distinct import everything
from dpframe.backends.found import Known
from dpframe.errors import FrameError
from dpframe.keys import ARROW
from dpframe.plan import Column, Filter, Schema, Step
from dpframe.progress import progress
from dpframe.stages import Apply, KeepGroups, KeepRows, Match, Stage

spreads = None
"""No answer is finished elsewhere: the rows come here."""

sends = pandas.sends

BATCH = 1 << 20
"""Rows that are read at a time."""

PART = 1 << 23
"""Rows of one part, about: so many are held in memory at once where rows must be together."""

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


@dataclass(frozen=True)
class Dealing:
    """How rows are dealt out: into how many parts, by hashes under which key, and what removes their files."""

    parts: int
    salt: bytes
    stack: ExitStack


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
    with _dealing(frame, request) as dealing:
        return _sums(request, _located(frame, request, dealing), dealing)


def find(frame: Any, request: Request, choose: Choose) -> pa.Table:
    """The rows of the answer of groups that no public key names."""
    known = Known(request)
    with _dealing(frame, request) as dealing:
        located = ((table, known.numbers(table, cell)) for table, cell in _located(frame, request, dealing))
        sums = _sums(request, located, dealing, lambda: known.groups)
    return choose(known.groups.take(pa.array(sums.cells)), sums.values)


@contextmanager
def _dealing(frame: Any, request: Request) -> Iterator[Dealing]:
    """How the rows of a request are dealt out, as long as its files are there."""
    with ExitStack() as stack:
        yield Dealing(-(-_rows(frame, request.steps) // PART), request.salt, stack)


def _rows(frame: Any, steps: Sequence[Step | Stage]) -> int:
    """The rows of the largest of the tables that meet, at least one."""
    others = [_rows(step.frame, step.steps) for step in steps if isinstance(step, Match)]
    return max(int(frame.dataset.count_rows()), *others, 1)


def _sums(
    request: Request, located: Iterable[Located], dealing: Dealing, groups: Callable[[], pa.Table] | None = None
) -> Sums:
    if request.id is None:
        return everything(located, request, pandas.THREADS, groups)
    dealt = _dealt((_narrow(*each, request) for each in located), (request.id,), dealing)
    bounded = (_bounded(table, request) for table in progress(dealt, dealing.parts, "bounding") if table is not None)
    return everything(bounded, request, pandas.THREADS, groups)


def _located(frame: Any, request: Request, dealing: Dealing) -> Iterator[Located]:
    """The rows after the steps, in canonical form, and their cells, some at a time."""
    for table in _stepped(frame, request, dealing):
        yield table, exact.locate(request.keys, table)


def _stepped(frame: Any, request: Request, dealing: Dealing) -> Iterator[pa.Table]:
    """The rows after the steps, in canonical form: a batch at a time, or a part after a step that needs whole keys."""
    ends = [at for at, step in enumerate(request.steps) if _whole(step)] + [len(request.steps)]
    tables = _batches(frame, _part(request, 0, ends[0]))
    for begin, end in pairwise(ends):
        tables = _together(tables, _part(request, begin, end), dealing)
    return tables


def _whole(step: Step | Stage) -> tuple[str, ...]:
    """The columns of the key of which a step needs all rows at once, if it needs any."""
    if isinstance(step, KeepRows):
        return tuple(column.ref for column in step.by)
    if isinstance(step, KeepGroups):
        return (step.id.ref,)
    if isinstance(step, Match):
        return tuple(ours for ours, _ in step.on)
    return (step.id,) if isinstance(step, Apply) and step.id is not None else ()


def _part(request: Request, begin: int, end: int) -> Request:
    """Some of the steps, and the columns that the rest needs of them."""
    known = dict(request.sources)
    for step in request.steps[:end]:
        known |= step.adds
    read = set(request.types).union(*(step.reads for step in request.steps[end:]))
    types = {ref: type_ for ref, type_ in known.items() if ref in read}
    return request.of(steps=request.steps[begin:end], types=types)


def _batches(frame: Any, request: Request) -> Iterator[pa.Table]:
    """The rows of the files after steps that look at one row at a time."""
    names = [frame.columns[int(ref[1:])] for ref in request.sources]
    scanner = frame.dataset.scanner(
        columns=names, filter=_skip(frame, request), batch_size=BATCH, batch_readahead=2, fragment_readahead=1
    )
    for batch in progress(scanner.to_batches(), -(-frame.dataset.count_rows() // BATCH), "reading"):
        series = {
            ref: pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([column])))
            for ref, column in zip(request.sources, batch.columns, strict=True)
        }
        yield pandas.prepared(series, batch.num_rows, request)


def _together(tables: Iterable[pa.Table], request: Request, dealing: Dealing) -> Iterator[pa.Table]:
    """The rows after steps of which the first needs whole keys, a part at a time."""
    stage = request.steps[0]
    ours = _dealt(map(_plain, tables), _whole(stage), dealing)
    if not isinstance(stage, Match):
        yield from (pandas.run(table, request) for table in ours if table is not None)
        return
    there = {here: there for there, here, _ in stage.brings}
    other = request.of(sources=stage.sources, steps=stage.steps, types=stage.types)
    others = map(_plain, _stepped(stage.frame, other, dealing))
    theirs = _dealt(others, tuple(there[key] for _, key in stage.on), dealing)
    for table, matching in zip(ours, theirs, strict=True):
        if table is not None and matching is not None:
            yield pandas.run(table, replace(request, steps=(pandas.met(stage, matching), *request.steps[1:])))


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


def _bounded(table: pa.Table, request: Request) -> Located:
    cell = table[CELL].to_numpy().copy()
    table = exact.canonical(table, request)
    bound(table, cell, request, pandas.THREADS)
    return table, cell


def _dealt(tables: Iterable[pa.Table], by: Sequence[str], dealing: Dealing) -> Iterator[pa.Table | None]:
    """The rows in parts, each with all rows of its keys, or None where there are no tables; nulls are equal."""
    parts = dealing.parts
    if parts == 1:
        every = list(tables)
        yield pa.concat_tables(every) if every else None
        return
    home = dealing.stack.enter_context(tempfile.TemporaryDirectory(prefix="dpframe-"))
    paths = [os.path.join(home, f"{part}.arrow") for part in range(parts)]
    with ExitStack() as writing:
        writers: list[Any] = []
        for table in tables:
            if not writers:
                writers = [writing.enter_context(pa.ipc.new_stream(path, table.schema)) for path in paths]
            # Keys are told apart by their values alone, for the other table of a join has names of its own.
            columns = ((str(at), table[ref].combine_chunks()) for at, ref in enumerate(by))
            words = row_words(np.zeros(len(table), np.uint64), columns, dealing.salt)
            order, ends = by_part(part_of(words, parts), parts)
            table = table.take(pa.array(order))
            for writer, (begin, end) in zip(writers, ends, strict=True):
                writer.write_table(table.slice(begin, end - begin))
    for path in paths:
        if not writers:
            yield None
            continue
        with pa.ipc.open_stream(path) as reader:
            yield reader.read_all()
        os.unlink(path)


def _plain(table: pa.Table) -> pa.Table:
    """The table with its texts written out, as files hold them."""
    return pa.table([exact.decoded(column) for column in table.columns], names=table.column_names)


def _narrow(table: pa.Table, cell: exact.Ints, request: Request) -> pa.Table:
    """The rows with an id and a cell, and of their columns those that bounding and adding up read; text is plain."""
    columns = {ref: table[ref].cast(ARROW[request.types[ref]]) for ref in needed(request)}
    narrow = pa.table({**columns, CELL: cell})
    counts = (cell >= 0) & table[request.id].is_valid().to_numpy()
    return narrow if counts.all() else narrow.filter(pa.array(counts))


def freeze(table: pa.Table, info: str, like: Any) -> pd.DataFrame:
    """An ordinary pandas frame: an answer is small beside the files."""
    return pandas.freeze(table, info, like)


def info(frame: Any) -> str | None:
    """Nothing: files carry no release."""
    return None
