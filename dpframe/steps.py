"""What checks and builds the row-wise steps of a chain: functions from plan to plan. Never holds a frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from dpframe import sql
from dpframe.errors import PlanError
from dpframe.plan import Column, Cut, Define, Expression, Filter, Schema
from dpframe.query import Plan


def names(call: str, given: Any) -> tuple[str, ...]:
    """Column names; a :class:`PlanError` for anything else, such as a list where names stand one by one."""
    for name in given if isinstance(given, Iterable) else [given]:
        if not isinstance(name, str):
            raise PlanError(f".{call}() takes column names as text, one by one, not {name!r}.")
    return tuple(given)


def mappings(**given: object) -> None:
    """A :class:`PlanError` for an argument that does not map column names."""
    for name, value in given.items():
        if not isinstance(value, Mapping):
            raise PlanError(f"{name}= takes a mapping from column names, such as {{'a': ...}}, not {value!r}.")


def keep(plan: Plan, condition: str) -> Plan:
    """The plan with only the rows for which a condition is true, and what that proves to be present."""
    schema = plan.schema
    expression = sql.predicate(condition, schema)
    present = sql.proves_present(condition, schema)
    for column in schema:
        if column.ref in present and column.nullable:
            schema = schema.put(replace(column, nullable=False))
    return replace(plan, schema=schema, steps=(*plan.steps, Filter(expression)))


def define(plan: Plan, name: str, value: str | Cut) -> Plan:
    """The plan with one more column, from SQL text or a cut."""
    schema = plan.schema
    if isinstance(value, Cut):
        how = (value.edges, value.labels, value.right, value.include_both)
        return put(plan, name, sql.cut_expression(schema[value.column], *how), keys=sql.cut_labels(*how))
    if isinstance(value, str):
        return put(plan, name, sql.scalar(value, schema))
    raise PlanError(f".assign({name}=...) takes SQL text or dp.cut(...), not {type(value).__name__}.")


def put(plan: Plan, name: str, value: Expression, **known: Any) -> Plan:
    """The plan with ``value`` as a column under a ref of its own, of which only ``known`` is known."""
    ref = f"c{plan.schema.width}"
    column = Column(name, ref, value.type, value.nullable, **known)
    schema = Schema(plan.schema.columns, plan.schema.width + 1).put(column)
    return replace(plan, schema=schema, steps=(*plan.steps, Define(name, ref, value)))
