"""Calls of Python functions on the rows of an Arrow table: total, silent, and the same on every engine."""

from __future__ import annotations

import datetime
import logging
import os
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from itertools import islice, pairwise
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dpframe.backends.exact import decoded
from dpframe.keys import ARROW
from dpframe.plan import Type, in_utc
from dpframe.stages import Apply

BATCH = 1 << 16
"""Rows that are Python objects at a time."""

Row = dict[str, Any]

_alone = threading.RLock()


def applied(step: Apply, table: pa.Table) -> pa.Table:
    """The rows that a function makes of a table's, with the columns that pass it.

    Parameters
    ----------
    table
        The columns that the step takes and keeps. Where it is called on all rows of an id: all of those.
    """
    if step.id is not None:
        return _applied(step, table, _by_id(step, table))
    parts = [table.slice(at, BATCH) for at in range(0, max(1, len(table)), BATCH)]
    return pa.concat_tables(_applied(step, part, enumerate(_rows(step, part))) for part in parts)


def _applied(step: Apply, table: pa.Table, calls: Iterator[tuple[int, Any]]) -> pa.Table:
    """One row for each that a call returns, beside the row, or the first of the rows, that it was called on."""
    at: list[int] = []
    columns: list[list[Any]] = [[] for _ in step.gives]
    with silence():
        for place, argument in calls:
            for values in _call(step, argument):
                at.append(place)
                for column, value in zip(columns, values, strict=True):
                    column.append(value)
    # Of a column of no rows but their number, a pandas table has one called "rows".
    passing = [name for name in table.column_names if name in step.passes or name == "rows"]
    given = {gives.ref: pa.array(column, ARROW[gives.type]) for gives, column in zip(step.gives, columns, strict=True)}
    return pa.table({name: table[name].take(pa.array(at, pa.int64())) for name in passing} | given)


def _rows(step: Apply, table: pa.Table) -> list[Row]:
    """Rows as dicts of plain Python values under the user's names."""
    columns = {name: _plain(table[ref]) for name, ref in step.takes}
    rows: list[Row] = pa.table(columns).to_pylist() if columns else [{} for _ in range(len(table))]
    return rows


def _plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """A column in which null and NaN are null, −0.0 is 0.0, text is text, and a time in a zone is in UTC."""
    if pa.types.is_timestamp(values.type):
        return values.cast(ARROW[Type.TIMESTAMP])
    if not pa.types.is_floating(values.type):
        return decoded(values)
    return pc.add(pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values), 0.0)


def _by_id(step: Apply, table: pa.Table) -> Iterator[tuple[int, list[Row]]]:
    """All rows of each id, in an order that they alone decide, and where the first of them stands."""
    refs = list(dict.fromkeys([step.id, *(ref for _, ref in step.takes)]))
    by_value = pa.table({ref: _plain(table[ref]) for ref in refs})
    order = pc.sort_indices(by_value, sort_keys=[(ref, "ascending") for ref in refs], null_placement="at_start")
    ids, rows = by_value[step.id].take(order).to_pylist(), _rows(step, by_value.take(order))
    ends = [at for at in range(1, len(ids)) if ids[at] != ids[at - 1]] + [len(ids)]
    for begin, end in pairwise([0, *ends]):
        if end > begin and ids[begin] is not None:
            yield order[begin].as_py(), rows[begin:end]


def _call(step: Apply, argument: Any) -> list[tuple[Any, ...]]:
    """The rows that one call returns, or one row of the declared constants when anything at all is wrong with them."""
    try:
        found = step.function(argument)
        if not step.flat:
            return [_values(step, found)]
        most = None if step.id is not None else step.most
        rows = [_values(step, row) for row in islice(found, None if most is None else most + 1)]
        if most is not None and len(rows) > most:
            raise ValueError
        return rows
    except BaseException:  # SystemExit and KeyboardInterrupt too: whatever a row can raise would tell of it
        return [tuple(gives.default for gives in step.gives)]


def _values(step: Apply, row: Any) -> tuple[Any, ...]:
    if type(row) is not dict and not isinstance(row, Mapping):
        raise TypeError
    return tuple([_fitting(row[gives.name], gives.type) for gives in step.gives])


def _fitting(value: Any, type_: Type) -> Any:
    """The value as its type holds it, as a plain Python object; raises for what does not fit."""
    if value is None:
        return None
    if type_ is Type.FLOAT and type(value) is float:  # as most values are, and what follows is slower
        return value + 0.0 if value == value else None
    if getattr(value, "shape", None) == () and hasattr(value, "item"):  # a numpy scalar
        return _fitting(value.item(), type_)
    if type_ is Type.BOOLEAN and isinstance(value, bool):
        return value
    if type_ is Type.INTEGER and isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63:
        return int.__index__(value)
    if type_ is Type.FLOAT and isinstance(value, int | float) and not isinstance(value, bool):
        return _fitting(float(value), type_)
    if type_ is Type.STRING and isinstance(value, str):
        text = str.__str__(value)
        text.encode()  # half a surrogate pair is no text
        return text
    if type_ is Type.DATE and isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return datetime.date(value.year, value.month, value.day)
    if type_ is Type.TIMESTAMP and isinstance(value, datetime.datetime):
        return in_utc(value) if value == value else None
    raise TypeError


@contextmanager
def silence() -> Iterator[None]:
    """Nothing that Python code prints, warns of or logs is seen. One thread at a time: all of it is the process's."""
    with _alone, open(os.devnull, "w") as nowhere, redirect_stdout(nowhere), redirect_stderr(nowhere):
        before = logging.root.manager.disable
        logging.disable(sys.maxsize)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                yield
        finally:
            logging.disable(before)
