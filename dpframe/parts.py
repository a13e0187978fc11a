"""What checks and builds the children of a partition: a function from a plan to one plan for each value."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

from dpframe import sql
from dpframe.accounting import Child, Children
from dpframe.errors import ColumnTypeError, KeysError, MissingBoundError
from dpframe.keys import Keys, declared, listed_values
from dpframe.plan import Column, Filter, GroupBound, RowBound, Value
from dpframe.query import Plan
from dpframe.stages import KeepGroups
from dpframe.steps import GROUPED

fresh_salt = os.urandom
"""Where the secret key of a partition's choice of groups comes from: the operating system."""


def partition(plan: Plan, name: str, values: Iterable[object] | None) -> dict[Value, Plan]:
    """A plan for each value of a column, of the rows that have it; see ``PrivateFrame.partition``."""
    column = plan.schema[name]
    if column.type not in GROUPED:
        raise ColumnTypeError(f"{name!r} is a {column.type.value} column: partition by text, integers or dates.")
    known = column.keys if values is None else listed_values(name, values)
    if known is None:
        raise KeysError(f"{name!r} has no public values: list them, as in .partition({name!r}, ['a', 'b']).")
    keys = declared(name, tuple(known)).fit(plan.schema)
    plan, reach = _reached(plan, column, keys)
    unit = plan.moves
    family = Children(min(reach, len(known)), unit.id is None and unit.grouping is None, plan.child)
    within = "" if plan.child is None else f"{plan.child}, "
    return {
        value: _child(plan, column, value, Child(family, at, f"{within}{name} = {value!r}"))
        for at, value in enumerate(known)
    }


def _child(plan: Plan, column: Column, value: Value, child: Child) -> Plan:
    schema = plan.schema.put(replace(column, keys=(value,), nullable=value is None))
    return replace(plan, schema=schema, steps=(*plan.steps, Filter(sql.equals(column, value))), child=child)


def _reached(plan: Plan, column: Column, keys: Keys) -> tuple[Plan, int]:
    """The plan, in which one unit has rows of no more values of a column than are then said.

    Rows of a unit are promised to be few, and those of an id are not: at most so many values as its bounds allow stay.
    """
    unit = plan.moves
    if unit.id is None:
        of_groups = unit.grouping is not None and unit.grouping.ref == column.ref
        return plan, unit.groups if of_groups and unit.groups is not None else unit.rows_in_all
    if unit.id.ref == column.ref:
        return plan, 1
    limits = [
        bound.rows if isinstance(bound, RowBound) else bound.groups * _within(bound, column) for bound in plan.bounds
    ]
    if not limits:
        raise MissingBoundError(
            f"One {unit.id.name} may have rows of every {column.name}, and the parts would cost their sum. Bound it "
            f"first: .bound(groups=1, rows_per_group=10, by={column.name!r}) or .bound(rows=10)."
        )
    step = KeepGroups(unit.id, column, min(limits), keys, fresh_salt(16))
    return replace(plan, steps=(*plan.steps, step)), min(limits)


def _within(bound: GroupBound, column: Column) -> int:
    """How many values of a column the rows of one group of a bound may have."""
    return 1 if column.ref in {each.ref for each in bound.by or ()} else bound.rows_per_group
