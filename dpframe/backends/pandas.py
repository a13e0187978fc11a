"""pandas frames: columns become Arrow, DuckDB runs the steps, numba kernels aggregate."""

from __future__ import annotations

import datetime
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from dpframe.backends import exact
from dpframe.backends.base import Choose, Keep, NoiseTask, Request, Sums
from dpframe.backends.bounds import bound, needed
from dpframe.backends.calls import applied
from dpframe.backends.distinct import everything
from dpframe.backends.found import Known
from dpframe.backends.keeping import staying
from dpframe.backends.table import noisy
from dpframe.errors import PlanError
from dpframe.keys import ARROW
from dpframe.plan import Column, Define, Filter, Join, Schema, Type
from dpframe.stages import Apply, KeepGroups, KeepRows, Match, Stage

FIRST_DAY, LAST_DAY = (pa.scalar(day, pa.date32()) for day in (datetime.date.min, datetime.date.max))

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
WORDS: dict[type, Callable[[Any], str | None]] = {
    bool: lambda value: "true" if value else "false",
    int: str,
    float: lambda value: repr(value + 0.0) if np.isfinite(value) else None,
    Decimal: lambda value: str(value) if value.is_finite() else None,
    datetime.date: datetime.date.isoformat,
    datetime.datetime: lambda value: value.isoformat(" "),
    pd.Timestamp: lambda value: value.isoformat(" "),
}
"""How what is not text is written in an object column."""

YEARS = (-62_135_596_800, 253_402_300_800)
"""The seconds since 1970 at which year 1 begins and year 9999 ends."""

spreads = None
"""No answer is finished elsewhere: the rows are here."""

THREADS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
"""How many kernels run at once: one on each core that this process may use."""

ATTRIBUTE = "dpframe"
"""The key of ``DataFrame.attrs`` under which a released frame carries its metadata."""


def schema(frame: pd.DataFrame) -> Schema:
    """The columns of a frame from its dtypes. An object column is read as text."""
    columns = []
    for at, (name, dtype) in enumerate(zip(frame.columns, frame.dtypes, strict=True)):
        if not isinstance(name, str):
            raise PlanError(f"Column names must be text, but one is {name!r}: rename it before .dp.")
        never_missing = isinstance(dtype, np.dtype) and dtype.kind in "iub"
        columns.append(Column(name, f"c{at}", _type(dtype), nullable=not never_missing))
    return Schema(tuple(columns), len(columns))


def _type(dtype: Any) -> Type:
    if isinstance(dtype, pd.CategoricalDtype):
        return _type(dtype.categories.dtype)
    if isinstance(dtype, pd.ArrowDtype):
        return arrow_type(dtype.pyarrow_dtype)
    if pd.api.types.is_bool_dtype(dtype):
        return Type.BOOLEAN
    if pd.api.types.is_integer_dtype(dtype):
        return Type.INTEGER
    if pd.api.types.is_float_dtype(dtype):
        return Type.FLOAT
    if pd.api.types.is_datetime64_any_dtype(dtype):
        return Type.TIMESTAMP
    if pd.api.types.is_object_dtype(dtype) or isinstance(dtype, pd.StringDtype):
        return Type.STRING
    return Type.OTHER


def arrow_type(type_: pa.DataType) -> Type:
    """What a column of an Arrow type holds."""
    tests = {
        Type.BOOLEAN: pa.types.is_boolean,
        Type.INTEGER: pa.types.is_integer,
        Type.FLOAT: lambda t: pa.types.is_floating(t) or pa.types.is_decimal(t),
        Type.STRING: lambda t: pa.types.is_string(t) or pa.types.is_large_string(t),
        Type.DATE: pa.types.is_date,
        Type.TIMESTAMP: pa.types.is_timestamp,
    }
    if pa.types.is_dictionary(type_):
        return arrow_type(type_.value_type)
    return next((kind for kind, test in tests.items() if test(type_)), Type.OTHER)


def check(frame: pd.DataFrame) -> None:
    """A pandas frame can always be read."""


def sends(function: Callable[..., Any]) -> None:
    """A function is where the rows are."""


def aggregate(frame: pd.DataFrame, request: Request, keep: Keep | None = None, known: Known | None = None) -> Sums:
    """The exact statistics of a frame; of groups that are found, by their numbers in ``known``, which learns them."""
    series = {ref: frame.iloc[:, int(ref[1:])] for ref in request.sources}
    table = prepared(series, len(frame), request)
    cell = exact.locate(request.keys, table)
    cell = cell if known is None else known.numbers(table, cell)
    if request.id is not None:
        # What was made of the key columns is not needed any more, and a bound needs memory.
        table = table.select(needed(request))
        bound(table, cell, request, THREADS)
    if request.distinct or request.lines:
        return everything([(table, cell)], request, THREADS, None if known is None else lambda: known.groups)
    return exact.add_up(table, cell, request, THREADS)


def find(frame: pd.DataFrame, request: Request, choose: Choose) -> pa.Table:
    """The rows of the answer of groups that no public key names."""
    known = Known(request)
    sums = aggregate(frame, request, known=known)
    return choose(known.groups.take(pa.array(sums.cells)), sums.values)


def prepared(series: Mapping[str, pd.Series], rows: int, request: Request) -> pa.Table:
    """The columns that a request reads, after its steps, in canonical form.

    Parameters
    ----------
    series
        The source columns, by ref.
    rows
        How many rows they have.
    """
    arrays = {ref: canonical(series[ref], type_) for ref, type_ in request.sources.items()}
    # A count of all rows reads no column, but a table without columns has no length.
    table = pa.table({**arrays, "rows": np.zeros(rows, np.int8)})
    return run(table, request) if request.steps else table


def run(table: pa.Table, request: Request) -> pa.Table:
    """Run the steps in DuckDB, over that table and the public ones that it is joined with, stage by stage."""
    import duckdb

    stage = next((at for at, step in enumerate(request.steps) if isinstance(step, Stage)), None)
    if stage is not None:
        return _staged(table, request, stage)
    query, tables = "SELECT * FROM source", {"source": table}
    for at, step in enumerate(request.steps):
        if isinstance(step, Filter):
            query = f"SELECT * FROM ({query}) WHERE {step.condition.duckdb}"
        elif isinstance(step, Join):
            equal = " AND ".join(f"{ours} IS NOT DISTINCT FROM {theirs}" for ours, theirs in step.on)
            query = f"SELECT * FROM ({query}) {step.how.upper()} JOIN public{at} ON {equal}"
            tables[f"public{at}"] = step.table
        elif isinstance(step, Define):
            query = f"SELECT *, {step.value.duckdb} AS {step.ref} FROM ({query})"
    wanted = ", ".join(["rows", *request.types])
    with duckdb.connect(":memory:", config={"enable_external_access": "false", "temp_directory": ""}) as engine:
        for name, each in tables.items():
            engine.register(name, each)
        done = engine.sql(f"SELECT {wanted} FROM ({query})").to_arrow_table()
    return exact.canonical(done, request)


def _staged(table: pa.Table, request: Request, at: int) -> pa.Table:
    """Run the steps before a stage, the stage, and the steps after it."""
    before, step, after = request.steps[:at], request.steps[at], request.steps[at + 1 :]
    if isinstance(step, Match):
        theirs = {name: step.frame.iloc[:, int(name[1:])] for name in step.sources}
        part = request.of(sources=step.sources, steps=step.steps, types=step.types)
        joined = met(step, prepared(theirs, len(step.frame), part))
        return run(table, replace(request, steps=(*before, joined, *after)))
    assert isinstance(step, Apply | KeepRows | KeepGroups)
    table = run(table, request.of(steps=before, types=step.keeps))
    # A function gives rows, and what few rows of a key there may be is a mask.
    done = applied(step, table) if isinstance(step, Apply) else table.filter(staying(step, table, request))
    return run(done, replace(request, steps=after))


def met(step: Match, other: pa.Table) -> Join:
    """A private join as one with a table whose rows are at hand: the other's, after its own steps."""
    if step.id is not None:  # or those without an id would meet all others without one, in vain
        other = other.filter(other[step.id].is_valid())
    named = pa.table({ours: other[ref] for ref, ours, _ in step.brings})
    return Join(step.on, "inner", named, 0, step.text, {})


def canonical(series: pd.Series, type_: Type) -> pa.Array:
    """A column in the physical form of its type. NaN is null; what does not fit the type is null."""
    if isinstance(series.dtype, pd.CategoricalDtype):
        codes = series.cat.codes.to_numpy()
        return canonical(pd.Series(series.cat.categories), type_).take(pa.array(codes, mask=codes < 0))
    if isinstance(series.dtype, pd.SparseDtype):
        # Asked for no type, pandas takes unsigned integers through doubles.
        series = pd.Series(np.asarray(series.array, dtype=series.dtype.subtype))
    if type_ is Type.STRING:
        return _text(series)
    if type_ is Type.INTEGER and str(series.dtype).lower().startswith("uint64"):
        series = series.clip(upper=2**63 - 1)
    if type_ is Type.OTHER:
        present = series.notna().to_numpy()
        return pa.array(present, mask=~present)
    if series.dtype == np.longdouble:
        with np.errstate(over="ignore"):
            series = series.astype(np.float64)
    values = pa.array(series, from_pandas=True)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if type_ is Type.TIMESTAMP:
        return _moments(values)
    if pa.types.is_decimal(values.type):
        # Arrow takes 0.3 to the double above it; by way of text, every decimal becomes the nearest.
        values = values.cast(pa.string())
    values = pc.cast(values, ARROW[type_], safe=False)
    if type_ is Type.FLOAT:
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    if type_ is Type.DATE:
        # Both engines' calendars end here; Arrow's do not.
        known = pc.and_(pc.greater_equal(values, FIRST_DAY), pc.less_equal(values, LAST_DAY))
        values = pc.if_else(known, values, pa.scalar(None, pa.date32()))
    return values


def _moments(values: pa.Array) -> pa.Array:
    """Timestamps of any unit in microseconds, cut off downwards; null outside of years 1 to 9999. Zones become UTC."""
    per_second = UNITS[values.type.unit]
    counts = np.frombuffer(values.buffers()[1] or b"", np.int64)[values.offset : values.offset + len(values)]
    limits = np.iinfo(np.int64)
    first, end = (min(max(second * per_second, limits.min), limits.max) for second in YEARS)
    known = (counts >= first) & (counts < end) & values.is_valid().to_numpy(zero_copy_only=False)
    within = np.where(known, counts, 0)
    micros = within // (per_second // 10**6) if per_second > 10**6 else within * (10**6 // per_second)
    return pa.array(micros, mask=~known).view(ARROW[Type.TIMESTAMP])


def _text(series: pd.Series) -> pa.Array:
    """Text; of an object column each value by itself, whatever stands beside it: :func:`_word`."""
    try:
        if series.dtype != object:
            text = pa.array(series, ARROW[Type.STRING], from_pandas=True)
            return (text.combine_chunks() if isinstance(text, pa.ChunkedArray) else text).dictionary_encode()
        # Python's strings keep their hashes, so this is quicker than to write them all out.
        codes, values = pd.factorize(series.to_numpy())
        if not all(isinstance(value, str) for value in values):
            raise TypeError  # values that are equal, as 1 and True, have one code, and may be written differently
    except (pa.ArrowException, ValueError, TypeError):  # half a surrogate pair; what has no hash
        return pa.array([_word(value) for value in series], ARROW[Type.STRING]).dictionary_encode()
    words = [_word(value) for value in values]
    if None in words:
        known = np.array([word is not None for word in words] + [False])
        codes = np.where(known, np.cumsum(known) - 1, -1)[codes]
        words = [word for word in words if word is not None]
    absent = codes < 0
    indices = pa.array(codes, mask=absent if absent.any() else None)
    return pa.DictionaryArray.from_arrays(indices, pa.array(words, ARROW[Type.STRING]))


def _word(value: object) -> str | None:
    """A value of an object column as text: numbers, booleans, dates and times as they are written; all else is null."""
    value = value.item() if isinstance(value, np.generic) else value
    write = WORDS.get(type(value))
    try:
        text = value if isinstance(value, str) else None if write is None else write(value)
        return text if text is not None and text.encode() is not None else None
    except (UnicodeEncodeError, ValueError):  # half a surrogate pair; an integer of thousands of digits
        return None


def noise(frame: pd.DataFrame, tasks: Sequence[NoiseTask], drop: Sequence[str], info: str) -> pd.DataFrame:
    """The frame with noise on some columns and without others; row ``i`` is cell ``i``. The index stays."""
    out = frame.drop(columns=list(drop))
    for task in tasks:
        type_ = Type.INTEGER if task.integer else Type.FLOAT
        values = canonical(frame[task.column], type_).fill_null(0).to_numpy()
        of = task.mechanism.sensitivity
        sensitivity = None
        if isinstance(of, str):
            sensitivity = canonical(frame[of], Type.FLOAT).fill_null(float("nan")).to_numpy()
        out[task.column] = noisy(task, values, sensitivity, 0)
    out.attrs[ATTRIBUTE] = info
    return out


def freeze(table: pa.Table, info: str, like: pd.DataFrame) -> pd.DataFrame:
    """An ordinary pandas frame; pandas is eager, so nothing of it is ever computed again."""
    frame: pd.DataFrame = table.to_pandas()
    for field in table.schema:
        # Arrow would turn integers with a null among them (a public null key) into floats, and booleans into another
        # type with one than without.
        if field.nullable and pa.types.is_integer(field.type):
            frame[field.name] = pd.array(table[field.name].to_pylist(), dtype="Int64")
        if field.nullable and pa.types.is_boolean(field.type):
            frame[field.name] = frame[field.name].astype(object)
    frame.attrs[ATTRIBUTE] = info
    return frame


def info(frame: pd.DataFrame) -> str | None:
    """The metadata that :func:`freeze` attached."""
    return frame.attrs.get(ATTRIBUTE)
