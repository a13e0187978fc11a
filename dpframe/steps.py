"""What checks and builds the beginning and the steps of a chain: functions from plan to plan. Never holds a frame."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

from dpframe import aggregates, sql
from dpframe.accounting import Exact
from dpframe.accounting.costs import exact
from dpframe.errors import ColumnTypeError, PlanError
from dpframe.keys import declared, listed_values
from dpframe.plan import Column, Cut, Define, Expression, Filter, Number, Schema, Type, Unit, at_least_one
from dpframe.query import Plan

GROUPED = (Type.INTEGER, Type.STRING, Type.DATE, Type.BOOLEAN)
"""The types whose equal values are the same value: of ids, keys and joins."""


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


def begin(
    schema: Schema,
    id: str | None,
    rows: int,
    groups: int | None,
    grouping: str | None,
    space: str,
    bounds: Mapping[str, tuple[Number, Number]],
    keys: Mapping[str, Iterable[object]],
) -> Plan:
    """The plan of a frame before any step; see :meth:`dpframe.accessor.Accessor.protect`."""
    if (groups is None) != (grouping is None):
        raise PlanError('groups= and grouping= go together, as in protect(rows=2, groups=5, grouping="day").')
    if not isinstance(space, str) or (id is None and space != "default"):
        raise PlanError('space= names what ids are of, as in protect(id="user", space="readers"): text, and with id=.')
    if id is not None:
        if rows != 1 or groups is not None:
            raise PlanError("The privacy unit is either rows=k rows or all rows of one id: give one of them.")
        if schema[id].type not in GROUPED:
            raise ColumnTypeError(
                f"{id!r} is a {schema[id].type.value} column and cannot be an id: two equal ids must be the same "
                "value. Turn it into text or an integer before .dp."
            )
    mappings(bounds=bounds, keys=keys)
    for name, pair in bounds.items():
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise PlanError(f"bounds= takes a pair for each column, as in {{{name!r}: (0, 100)}}, not {pair!r}.")
        schema = schema.put(replace(schema[name], bounds=aggregates.bounds(name, *pair)))
    for name, values in keys.items():
        listed = tuple(sorted(listed_values(name, values), key=lambda v: (v is not None, v)))
        declared(name, listed).fit(schema)
        schema = schema.put(replace(schema[name], keys=listed))
    unit = Unit(None if id is None else schema[id], at_least_one(rows, "rows"), space=space)
    if grouping is not None:
        column = schema[grouping]
        if column.type not in GROUPED:
            raise ColumnTypeError(f"{column.name!r} is {column.type.value} and cannot be grouped by.")
        unit = replace(unit, groups=at_least_one(groups, "groups"), grouping=column)
    return Plan(schema, schema, unit)


def keep(plan: Plan, condition: str) -> Plan:
    """The plan with only the rows for which a condition is true, and what that proves to be present."""
    expression = sql.predicate(condition, plan.schema)
    return only(plan, expression, sql.proves_present(condition, plan.schema))


def only(plan: Plan, condition: Expression, present: Set[str] = frozenset()) -> Plan:
    """The plan with only the rows for which a condition is true, in which the refs ``present`` are never missing."""
    schema = plan.schema
    for column in schema:
        if column.ref in present and column.nullable:
            schema = schema.put(replace(column, nullable=False))
    return replace(plan, schema=schema, steps=(*plan.steps, Filter(condition)))


def drop_null(plan: Plan, given: tuple[str, ...]) -> Plan:
    """The plan with only the rows that have a value in those columns, or in all."""
    for column in [plan.schema[name] for name in given] or plan.schema:
        if column.nullable:
            plan = only(plan, sql.is_present(column), {column.ref})
    return plan


def fill_null(plan: Plan, values: Mapping[str, object]) -> Plan:
    """The plan with values for what is missing; without any, the empty value of every column that can have one."""
    unit = plan.unit.id
    everything = {
        column.name: sql.EMPTY[column.type]
        for column in plan.schema
        # An id in the place of missing ones would make one person of many.
        if column.type in sql.EMPTY and not (unit and column.ref == unit.ref)
    }
    for name, value in (values or everything).items():
        column = plan.schema[name]
        keys = None if column.keys is None else tuple(key for key in column.keys if key is not None)
        value_of = sql.filled(column, value)
        plan = replenish(plan, replace(column, keys=keys), value_of, [sql.fitting(column, value)])
    return plan


def drop_inf(plan: Plan, given: tuple[str, ...]) -> Plan:
    """The plan without the rows that have an infinity in those columns, or in any."""
    numbers = [column for column in plan.schema if column.type is Type.FLOAT]
    for column in [plan.schema[name] for name in given] or numbers:
        condition = sql.is_not_infinite(column)
        if column.type is Type.FLOAT:
            plan = only(plan, condition)
    return plan


def fill_inf(plan: Plan, pairs: Mapping[str, object]) -> Plan:
    """The plan with finite numbers for infinities; without any pair, the declared bounds of every float column."""
    declared = {c.name: c.bounds for c in plan.schema if c.type is Type.FLOAT and c.bounds is not None}
    if not pairs and not declared:
        raise PlanError("fill_inf needs numbers for infinities, as in .fill_inf(x=(0, 100)): no column has bounds.")
    for name, pair in (pairs or declared).items():
        column = plan.schema[name]
        low, high = sql.infinities(column, pair)
        value = sql.clamped(column, low, high)
        if column.type is Type.FLOAT:
            plan = replenish(plan, column, value, [low, high])
    return plan


def replenish(plan: Plan, old: Column, value: Expression, new: Sequence[object]) -> Plan:
    """The plan with values of a column replaced by ``new`` ones: what is declared of it stays if it holds of them."""
    bounds, keys = old.bounds, old.keys
    if bounds is not None and not all(bounds[0] <= each <= bounds[1] for each in new):  # type: ignore[operator]
        bounds = None
    if keys is not None and not all(each in keys for each in new):
        keys = None
    return put(plan, old.name, value, bounds=bounds, keys=keys)


def define(plan: Plan, name: str, value: str | Cut) -> Plan:
    """The plan with one more column, from SQL text or a cut."""
    schema = plan.schema
    if isinstance(value, Cut):
        how = (value.edges, value.labels, value.right, value.include_both, value.nan)
        column = schema[value.column]
        cut = sql.cut_expression(column, *how)
        return put(plan, name, cut, keys=sql.cut_labels(*how, type=column.type))
    if isinstance(value, str):
        return put(plan, name, sql.scalar(value, schema))
    raise PlanError(f".assign({name}=...) takes SQL text or dp.cut(...), not {type(value).__name__}.")


def put(plan: Plan, name: str, value: Expression, **known: Any) -> Plan:
    """The plan with ``value`` as a column under a ref of its own, of which only ``known`` is known."""
    ref = f"c{plan.schema.width}"
    column = Column(name, ref, value.type, value.nullable, **known)
    schema = Schema(plan.schema.columns, plan.schema.width + 1).put(column)
    return replace(plan, schema=schema, steps=(*plan.steps, Define(name, ref, value)))


def shares(asked: object, names: Sequence[str]) -> dict[str, Exact]:
    """How many times the part of any other answer some have of a release's cost.

    Raises
    ------
    PlanError, InvalidCostError
        For what is no mapping of answers, and for what is no positive number.
    """
    if not isinstance(asked, Mapping):
        raise PlanError(f"share= says of which answers, as in share={{{names[0]!r}: 2}}, not {asked!r}.")
    for name in asked:
        if name not in names:
            raise PlanError(f"share= names {name!r}, which is none of the answers: {', '.join(names)}.")
    return {name: exact(weight, f"share of {name!r}") for name, weight in asked.items()}
