"""From the rows of a Spark frame to exact sums by cell: a lazy frame, and no row of it on the driver.

Spark SQL runs the steps and gives every row its cell, by arithmetic, by its place in a literal array or by
a join with the public keys.
What is left of a row is narrow. Without bounds Spark SQL also rounds and adds up: integer sums have no order. With
bounds, one shuffle brings a unit's rows together, and the kernels that serve pandas choose and add up inside the tasks.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any, assert_never

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from dpframe.backends import exact
from dpframe.backends.base import Keep, Request
from dpframe.backends.bounds import Parts, bound, id_words, part_of, thin
from dpframe.backends.distinct import put_together, rows_of, value_fields
from dpframe.backends.spark_packets import PACKET, narrowed, packed, unpacked
from dpframe.backends.spark_runs import FIELDS as RUNS
from dpframe.backends.spark_runs import apart, beside, met
from dpframe.backends.spark_stages import SPARK, staged
from dpframe.backends.spark_tasks import ROWS, settings, tasks
from dpframe.backends.spark_totals import added_up, kept, totals
from dpframe.errors import ExpressionError
from dpframe.keys import MOST_CELLS, Factor, Keys
from dpframe.lines import Quantile
from dpframe.plan import Count, Distinct, Filter, Join, Squares, Statistic, Sum, Type
from dpframe.sql import spark_literal
from dpframe.stages import Match, Stage

HEAVY = 2
"""A part with more than so many times its share of a chunk's rows is thinned out before it is sent."""

INLINE = 32
"""Up to so many values of a key column are looked up in a literal array; more are joined, a job of its own."""

BROADCAST = 1_000_000
"""Up to so many listed keys are sent whole to every executor; how more are joined is left to Spark."""

SCATTERED = 10_000
"""Bounded sums of more cells than this are added up in packets: every task has some of nearly all of them."""

FIRST, LAST = -62_135_596_800_000_000, 253_402_300_799_999_999
"""The microseconds since 1970 of the first and the last moment of the calendar that both engines share."""

LOCAL = 1_000
"""Up to so many rows of Arrow become rows of the plan; more stay Arrow, on classic, until they are read."""


def sums(frame: Any, request: Request, keep: Keep | None = None) -> Any:
    """The exact statistics of a frame: columns ``cell``, ``s0``, ``s1``, …, each cell that has rows once; lazy.

    Parameters
    ----------
    keep
        Of the totals, those that are wanted.
    """
    from pyspark.sql import functions as F

    rows = located(columns(frame, request), request.keys)
    alone = not request.distinct and not request.lines
    if request.bounds:
        rows, narrow, schema = by_unit(rows, request)
        work = partial(_task, narrow, schema, request.keys.size)
        if alone and request.keys.size > SCATTERED:
            return totals(rows, work, len(request.statistics), keep)
        names = [f"{name} bigint" for name in ["cell", *(f"s{at}" for at in range(len(request.statistics)))]]
        rows = tasks(rows, work, ", ".join([*names, *value_fields(request), *(RUNS if request.lines else [])]))
    elif alone and request.keys.size > MOST_CELLS:
        narrow, schema = narrowed(request)
        work = partial(added_up, narrow, schema, request.keys.size)
        return totals(rows.select(*schema.names), work, len(request.statistics), keep)
    else:
        rows = apart(rows, added(request), request) if request.lines else rows.selectExpr("cell", *added(request))
    if request.lines:
        found = met(rows, request)
    else:
        found = rows.groupBy("cell").agg(*(F.expr(text).alias(name) for name, text in put_together(request).items()))
    return found if keep is None else tasks(found, partial(kept, keep), found.schema)


def added(request: Request) -> list[str]:
    """What each row adds to the statistics of its group."""
    names = (f"v{at}" if at in request.distinct else f"s{at}" for at in range(len(request.statistics)))
    return [f"{_added(each, request.types)} AS {name}" for each, name in zip(request.statistics, names, strict=True)]


def plain(frame: Any) -> Any:
    """The Spark frame of a pandas-on-Spark frame; a Spark frame as it is."""
    if not on_spark(frame):
        return frame
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the pandas-like index is not kept: releases have none
        return frame.to_spark()


def on_spark(frame: Any) -> bool:
    """Whether it is a pandas-on-Spark frame. Asked of the class: a Spark frame has an attribute per column."""
    return type(frame).__module__.startswith("pyspark.pandas")


def columns(frame: Any, request: Request) -> Any:
    """The columns that a request reads, after its steps, in canonical form; rows without an id are gone; lazy."""
    from pyspark.sql import functions as F

    kinds = [field.dataType.simpleString() for field in frame.schema.fields]
    sources = [f"{_source(ref, type_, kinds[int(ref[1:])])} AS {ref}" for ref, type_ in request.sources.items()]
    rows = frame.toDF(*(f"c{at}" for at in range(len(frame.columns)))).selectExpr(*sources)
    for step in request.steps:
        if isinstance(step, Filter):
            rows = rows.where(step.condition.spark)
        elif isinstance(step, Join):
            equal = " AND ".join(f"{ours} <=> {theirs}" for ours, theirs in step.on)
            rows = rows.join(F.broadcast(local(rows.sparkSession, step.table)), F.expr(equal), step.how)
        elif isinstance(step, Match):
            part = request.of(sources=step.sources, steps=step.steps, types=step.types, id=step.id)
            theirs = columns(plain(step.frame), part).selectExpr(*(f"{ref} AS {new}" for ref, new, _ in step.brings))
            equal = " AND ".join(f"{ours} <=> {key}" for ours, key in step.on)
            rows = rows.join(theirs, F.expr(equal), "inner")
        elif isinstance(step, Stage):
            rows = staged(rows, step, request)
        else:
            rows = rows.selectExpr("*", f"{step.value.spark} AS {step.ref}")
    return rows if request.id is None else rows.where(f"{request.id} IS NOT NULL")


def _source(ref: str, type_: Type, kind: str) -> str:
    """A column of the frame in canonical form; ``kind`` is Spark's name of its type."""
    if type_ is Type.OTHER:
        return f"nullif({ref} IS NOT NULL, false)"
    value = f"CAST({ref} AS {SPARK[type_]})"
    if type_ is Type.FLOAT:
        # −0.0 and 0.0 are one value, also where rows are brought together by it.
        return f"nanvl({value} + 0D, CAST(NULL AS double))"
    if type_ is Type.DATE:  # the calendar that both engines share
        return f"CASE WHEN {value} BETWEEN DATE '0001-01-01' AND DATE '9999-12-31' THEN {value} END"
    if type_ is Type.TIMESTAMP:
        if kind == "timestamp_ntz":
            # As it stands, whatever the session's time zone: by the time that has passed since 1970 without a zone.
            passed = f"CAST({ref} - TIMESTAMP_NTZ '1970-01-01 00:00:00' AS INTERVAL SECOND)"
            value = f"timestamp_micros(CAST(CAST({passed} AS DECIMAL(20, 6)) * 1000000 AS BIGINT))"
        return f"CASE WHEN unix_micros({value}) BETWEEN ({FIRST}L) AND {LAST}L THEN {value} END"
    return value


def located(rows: Any, keys: Keys) -> Any:
    """The rows whose key is public, with a column ``cell``; lazy."""
    position, cell = [], "0L"
    for at, factor in enumerate(keys.factors):
        if factor.codes is not None:
            rows = _joined(rows, factor, f"k{at}")
            position.append((f"k{at}", len(factor)))
            continue
        for ref, domain in factor.domains.items():
            text = _position(ref, domain)
            if text is None:
                rows, text = _joined(rows, Factor({ref: domain}), f"k{ref}"), f"k{ref}"
            position.append((text, len(domain)))
    for text, size in position:
        cell = text if cell == "0L" else f"({cell}) * {size}L + ({text})"
    rows = rows.selectExpr("*", f"{cell} AS cell")
    return rows if cell == "0L" else rows.where("cell IS NOT NULL")


def _position(ref: str, domain: pa.Array) -> str | None:
    """The position of a column's value in a domain as an expression, null where it is not in it; None if that is long.

    Integers without a gap need no look-up at all.
    """
    if pa.types.is_integer(domain.type) and not domain.null_count and len(domain) > 2:
        first, last = domain[0].as_py(), domain[-1].as_py()
        if last - first + 1 == len(domain) and pc.all(pc.greater(domain[1:], domain[:-1])).as_py():
            first, last = spark_literal(first), spark_literal(last)
            return f"CASE WHEN {ref} BETWEEN {first} AND {last} THEN {ref} - {first} END"
    if len(domain) > INLINE or (domain.null_count and domain[0].is_valid):
        return None
    try:
        values = [spark_literal(value) for value in domain.to_pylist()]
    except ExpressionError:  # text that no literal may hold
        return None
    if len(domain) == domain.null_count:
        return f"CASE WHEN {ref} IS NULL THEN 0L END"
    # A column may stand for a long expression, which Spark writes out wherever it is named: so name it once.
    known = f"nullif(array_position(array({', '.join(values[domain.null_count :])}), {ref}), 0L)"
    return f"CASE WHEN {ref} IS NULL THEN 0L ELSE {known} END" if domain.null_count else f"{known} - 1L"


def _joined(rows: Any, factor: Factor, name: str) -> Any:
    """The rows that are in a factor, with their position in it as column ``name``."""
    from pyspark.sql import functions as F

    listed = Keys((factor,)).rows(np.arange(len(factor)))
    table = pa.table({**{f"{ref}_{name}": values for ref, values in listed.items()}, name: np.arange(len(factor))})
    public = local(rows.sparkSession, table)
    equal = (f"{ref} {'<=>' if values.null_count else '='} {ref}_{name}" for ref, values in listed.items())
    joined = rows.join(F.broadcast(public) if len(factor) <= BROADCAST else public, F.expr(" AND ".join(equal)))
    return joined.select(*rows.columns, name)


def _added(statistic: Statistic, types: Mapping[str, Type]) -> str:
    """What each row adds to a statistic, in grid steps; a missing value adds 0. Of distinct values: the values.

    The same IEEE operations in the same order as in the kernels: a difference, its square, a quotient by a power of
    two, a rounding to the even neighbour; of integers, a shift that rounds halves up.
    """
    if isinstance(statistic, Distinct):
        return f"struct({', '.join(_value(ref, types[ref]) for ref in statistic.refs)})"
    if isinstance(statistic, Quantile):
        return "0L"
    ref = statistic.ref
    if ref is None:
        return "1L"
    missing = f"{ref} IS NULL"
    if types[ref] is Type.FLOAT:  # no source is NaN, but a step may have made it
        missing += f" OR isnan({ref})"
    if isinstance(statistic, Count):
        return f"CASE WHEN {missing} THEN 0L ELSE 1L END"
    kind = int if statistic.integer else float
    low, high, center = (spark_literal(kind(end)) for end in (statistic.low, statistic.high, statistic.center))
    off = f"(least(greatest({ref}, {low}), {high}) - {center})"
    grid = spark_literal(float(statistic.grid))
    if isinstance(statistic, Sum):
        steps = off if statistic.integer else f"CAST(rint({off} / {grid}) AS bigint)"
    elif isinstance(statistic, Squares):
        if statistic.integer:
            steps = f"shiftright({off} * {off} + {(1 << statistic.bits) >> 1}L, {statistic.bits}) - {statistic.shift}L"
        else:
            steps = f"CAST(rint({off} * {off} / {grid}) AS bigint) - {statistic.shift}L"
    else:
        assert_never(statistic)
    return f"CASE WHEN {missing} THEN 0L ELSE {steps} END"


def _value(ref: str, type_: Type) -> str:
    """A value that is equal to others as on the other engines: what a step has made may be NaN or −0.0."""
    return f"CASE WHEN NOT isnan({ref}) THEN {ref} + 0D END" if type_ is Type.FLOAT else ref


def by_unit(rows: Any, request: Request) -> tuple[Any, Request, pa.Schema]:
    """Packets of what is left of the rows, a unit's rows in one partition; and what tasks must know to unpack them."""
    narrow, schema = narrowed(request)
    return packed(rows.select(*schema.names), partial(_deal, narrow, schema), schema), narrow, schema


def _deal(request: Request, schema: pa.Schema, rows: pa.Table, parts: int) -> tuple[pa.Table, Parts]:
    """The rows that go on to the tasks that bound, and the part of each: that of its unit."""
    table = rows.cast(schema)
    part = part_of(id_words(table[request.id].combine_chunks(), request.salt), parts)
    heavy = np.bincount(part, minlength=parts) > max(HEAVY * len(part) // parts, PACKET)
    if heavy.any():
        # Some unit has a good part of the rows: most of them need not be sent.
        stays = ~heavy[part]
        at = np.flatnonzero(~stays)
        few = table.take(pa.array(at))
        stays[at] = thin(exact.canonical(few, request), few["cell"].to_numpy(), request)
        table, part = table.filter(pa.array(stays)), part[stays]
    return table, part


def _task(
    request: Request, schema: pa.Schema, cells: int, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """What one task does: partial sums of the rows that stay. A unit's rows are all here, in any of the packets."""
    together = unpacked(batches, schema)
    if not len(together):
        return
    cell = together["cell"].to_numpy().copy()
    table = exact.canonical(together, request)
    bound(table, cell, request)
    batches = rows_of(exact.add_up(table, cell, request, n=cells), table, cell, request)
    yield from beside(batches, table, cell, request) if request.lines else batches


def local(session: Any, table: pa.Table) -> Any:
    """A Spark frame of a table's rows: fixed values, which no action computes again. Timestamps are in UTC."""
    zoned = [pa.field(f.name, pa.timestamp("us", "UTC")) if pa.types.is_timestamp(f.type) else f for f in table.schema]
    table = table.cast(pa.schema(zoned))
    if table.num_rows <= LOCAL or not hasattr(session, "_jsc"):
        return session.createDataFrame(table)
    # Classic Spark holds a table as Arrow, in few slices, rather than turn every row into one of the plan.
    with settings(session, {"spark.sql.execution.arrow.localRelationThreshold": "0b", ROWS: "100000"}):
        return session.createDataFrame(table)
