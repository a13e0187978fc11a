"""What checks and builds calls of Python functions of rows: functions from plan to plan."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from dpframe import sql
from dpframe.errors import ColumnTypeError, PlanError
from dpframe.plan import Column, GroupBound, Schema, Type
from dpframe.query import Plan
from dpframe.stages import Apply, Gives

TYPES: dict[object, Type] = {
    int: Type.INTEGER,
    float: Type.FLOAT,
    bool: Type.BOOLEAN,
    str: Type.STRING,
    datetime.date: Type.DATE,
    datetime.datetime: Type.TIMESTAMP,
}
TYPES |= {kind.__name__: type_ for kind, type_ in TYPES.items() if isinstance(kind, type)}
TYPES |= {type_.value: type_ for type_ in TYPES.values()}
"""What a declared column may hold, as Python's type or by name."""

SEEN = frozenset(TYPES.values())
"""The types that a function sees: all that dpframe reads."""


def called(
    plan: Plan, function: Callable[[Any], Any], schema: object, *, call: str, most: int, augment: bool = False
) -> Plan:
    """The plan with the rows that a function returns; see ``PrivateFrame.map`` and its kin."""
    if not callable(function):
        raise PlanError(f".{call}() takes a Python function of a row, not {function!r}.")
    together = call == "flat_map_by_id"
    unit = plan.unit.id
    if together and unit is None:
        raise PlanError("flat_map_by_id calls a function on all rows of one id: protect(id=...) first.")
    ours = plan.schema
    gives = _declared(call, schema, ours.width)
    for bound in plan.bounds if together else ():
        if isinstance(bound, GroupBound) and bound.by is not None:
            raise PlanError("flat_map_by_id leaves no column but the id, and a bound names others: bound after it.")
    given = [Column(each.name, each.ref, each.type) for each in gives]
    stay = list(ours) if augment else [column for column in ours if unit is not None and column.ref == unit.ref]
    left = Schema(tuple(stay), ours.width + len(given))
    for column in given:
        left = left.put(column)
    name = getattr(function, "__name__", type(function).__name__)
    step = Apply(
        function=function,
        takes=tuple((column.name, column.ref) for column in ours if column.type in SEEN),
        gives=gives,
        most=most,
        flat=call != "map",
        id=unit.ref if together and unit is not None else None,
        text=f"{call}({name}), {len(gives)} columns"
        + (f"; one row becomes at most {most:,}" if call == "flat_map" else ""),
    )
    return replace(plan, schema=left, steps=(*plan.steps, step))


def _declared(call: str, schema: object, width: int) -> tuple[Gives, ...]:
    """The columns of a declared schema."""
    if not isinstance(schema, Mapping) or not schema:
        raise PlanError(
            f".{call}() takes the columns that the function returns, as in schema={{'words': int}}, not {schema!r}."
        )
    gives = []
    for at, (name, declared) in enumerate(schema.items()):
        if not isinstance(name, str):
            raise PlanError(f"The columns of schema= are called by text, not {name!r}.")
        kind, default = declared if isinstance(declared, tuple) and len(declared) == 2 else (declared, None)
        type_ = TYPES.get(kind) if isinstance(kind, type | str) else None
        if type_ is None:
            raise ColumnTypeError(
                f"The column {name!r} of schema= is int, float, bool, str, datetime.date or datetime.datetime, or "
                f"such a type with what stands where the function fails, as in (int, 0); not {declared!r}."
            )
        if default is not None:
            default = sql.fitting(Column(name, "", type_), default)
        gives.append(Gives(name, f"c{width + at}", type_, default))
    return tuple(gives)
