"""A release that is made once: what tells two releases apart, and the bytes in which an answer is stored."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import singledispatch
from typing import Any

import numpy as np
import pyarrow as pa

from dpframe.accounting import Once
from dpframe.accounting.parallel import Child
from dpframe.errors import PlanError
from dpframe.plan import Expression
from dpframe.query import Question
from dpframe.stages import Apply

INFO = b"dpframe"
"""The key of an answer's Arrow metadata under which it carries what it says of itself."""


def only(key: object, question: Question, *, stored: bool, **options: object) -> Once:
    """The key of a release, with a digest of everything that makes it this release: its plan, cost and options.

    Raises
    ------
    PlanError
        For a key that is no text of 1 to 200 characters, and for an answer that cannot be ``stored``.
    """
    if not stored:
        raise PlanError(
            f"An answer of {len(question.keys):,} groups is made and kept by Spark's executors, and once= stores what "
            "the driver holds: ask for the large ones only, as in at_least=40, or leave once= out and write it down."
        )
    if not isinstance(key, str) or not 0 < len(key) <= 200 or not key.isprintable():
        raise PlanError(f"once= is a short text that stands for this release, such as '2026-11-22', not {key!r}.")
    answers = [(name, text, prepared.statistics) for name, text, prepared in question.answers]
    whole = plain((question.plan, question.by, question.keys, answers, options))
    return Once(key, hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest())


@singledispatch
def plain(value: Any) -> Any:
    """A noun of the plan as JSON knows it; equal ones, and no others, become equal.

    Examples
    --------
    >>> plain((1, 0.5, "a", frozenset({2, 1})))
    [1, 0.5, 'a', [1, 2]]
    """
    if is_dataclass(value):
        # What is not shown is data, the frame of a joined table, or a secret.
        return [type(value).__name__, *(plain(getattr(value, each.name)) for each in fields(value) if each.repr)]
    if isinstance(value, int | float | str | None):
        return value
    # Of anything else its kind alone: a private table of a join must not leave a trace here.
    return [type(value).__name__, str(value) if isinstance(value, Fraction | Decimal) else ""]


@plain.register(tuple)
@plain.register(list)
def _(value: Any) -> Any:
    return [plain(each) for each in value]


@plain.register(frozenset)
@plain.register(set)
def _(value: Any) -> Any:
    return sorted(plain(each) for each in value)


@plain.register
def _(value: Mapping) -> Any:  # type: ignore[type-arg]
    return [[plain(key), plain(each)] for key, each in value.items()]


@plain.register
def _(value: Enum) -> Any:
    return str(value.value)


@plain.register
def _(value: datetime.date) -> Any:
    return ["date", value.isoformat()]


@plain.register
def _(value: Expression) -> Any:
    # What the engine runs, over refs: how its text was spaced makes no difference.
    return ["Expression", value.type.value, value.nullable, value.spark]


@plain.register
def _(value: Apply) -> Any:
    raise PlanError(
        "once= tells plans apart, and Python functions cannot be: leave it out, or write the step in SQL, by .assign()."
    )


@plain.register
def _(value: Child) -> Any:
    # Which part of which partition, and not what its siblings have been charged.
    family = value.family
    return ["Child", value.text, value.number, family.reach, family.even, plain(family.within)]


@plain.register
def _(value: pa.Array) -> Any:
    return ["values", str(value.type), hashlib.sha256(repr(value.to_pylist()).encode()).hexdigest()]


@plain.register
def _(value: np.ndarray) -> Any:
    return ["values", str(value.dtype), hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]


@plain.register
def _(value: pa.Table) -> Any:
    return [[name, plain(value[name].combine_chunks())] for name in value.column_names]


def packed(table: pa.Table, info: str) -> bytes:
    """An answer and its metadata as bytes of an Arrow stream."""
    sink = pa.BufferOutputStream()
    whole = table.replace_schema_metadata({INFO: info.encode()})
    with pa.ipc.new_stream(sink, whole.schema) as stream:
        stream.write_table(whole)
    return bytes(sink.getvalue())


def unpacked(answer: bytes) -> tuple[pa.Table, str]:
    """An answer and its metadata from their bytes.

    Examples
    --------
    >>> table, info = unpacked(packed(pa.table({"count": [3]}), "{}"))
    >>> table["count"].to_pylist(), info
    ([3], '{}')
    """
    table = pa.ipc.open_stream(answer).read_all()
    return table.replace_schema_metadata(None), table.schema.metadata[INFO].decode()
