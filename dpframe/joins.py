"""What checks and builds joins, with public tables and with private ones: functions from plans to plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from dpframe.errors import ColumnTypeError, PlanError, UnknownColumnError
from dpframe.plan import Bound, Column, GroupBound, Join, Schema, Type, at_least_one, misnamed
from dpframe.query import Plan
from dpframe.stages import KeepRows, Match, Stage
from dpframe.steps import GROUPED, names

UNIQUE = "unique"
"""What stands for a number of rows where keys of a single row stay, and no others."""

Matches = tuple[int | None, int | None]

MOST_LISTED = 100_000
"""A public column with more values than this brings no keys along."""


def join_public(plan: Plan, table: Any, on: Any, how: str) -> Plan:
    """The plan with the columns of a public table; see ``PrivateFrame.join_public``."""
    from dpframe.backends.public import public

    if how not in ("inner", "left"):
        raise PlanError(f"how is 'inner' or 'left', not {how!r}.")
    types, rows = public(table)
    if not len(rows):
        raise PlanError("The public table has no rows: nothing could come of a join with it.")
    ours = plan.schema
    keys = _on("join_public", ours, types, on)
    refs = _refs(ours, types, keys)
    most = max([1, *rows.select(keys).group_by(list(keys)).aggregate([([], "count_all")])["count_all"].to_pylist()])
    brought = [
        Column(name, refs[name], type_, how == "left" or rows[name].null_count > 0)
        for name, type_ in types.items()
        if name not in keys
    ]
    known = keys if how == "inner" else ()
    columns = tuple(_knowing(column, rows, refs, known) for column in _beside(ours, types, brought, keys))
    text = f"{how}, {len(brought)} public columns by {', '.join(keys)}; one row becomes at most {most:,}"
    named = rows.rename_columns([refs[name] for name in rows.column_names])
    step = Join(_pairs(ours, keys, refs), how, named, most, text, {refs[name]: types[name] for name in types})
    return replace(plan, schema=Schema(columns, ours.width + len(types)), steps=(*plan.steps, step))


def join(plan: Plan, other: Plan, frame: Any, on: Any, how: Any, max_matches: Any, unique: bool) -> Plan:
    """The plan joined with another private table's, which lies in ``frame``; see ``PrivateFrame.join``."""
    if how != "inner":
        raise PlanError(
            f"A private join is 'inner' only, not {how!r}: rows that match come out, and no others. A public table has "
            ".join_public(table, on='key', how='left')."
        )
    ours, theirs = plan.schema, other.schema
    types = {column.name: column.type for column in theirs}
    keys = _on("join", ours, types, on)
    most = _matches(plan, other, keys, max_matches, unique)
    width, refs = ours.width, _refs(ours, types, keys)
    left = steps = tuple[Stage, ...]()
    if most is not None:
        left = (KeepRows(tuple(ours[name] for name in keys), most[0], f"left of {width}"),)
        steps = (KeepRows(tuple(theirs[name] for name in keys), most[1], f"right of {width}"),)
    rows = plan.unit.id is None
    moved = _moved(plan.moves.rows_in_all, other.moves.rows_in_all, most) if rows and most else 0
    brought = [replace(column, ref=refs[column.name]) for column in theirs if column.name not in keys]
    columns = _beside(ours, types, brought, keys)
    stays = "all rows" if most is None else " and ".join(_stay(rows) for rows in most)
    match = Match(
        on=_pairs(ours, keys, refs),
        frame=frame,
        sources={column.ref: column.type for column in other.source},
        steps=(*other.steps, *steps),
        id=None if other.unit.id is None else other.unit.id.ref,
        brings=tuple((column.ref, refs[column.name], column.type) for column in theirs),
        moved=moved,
        text=f"private, {len(brought)} columns by {', '.join(keys)}; of a key, {stays} on either side"
        + (f"; one unit moves at most {moved:,} rows" if moved else ""),
    )
    at = {column.ref: replace(column, ref=refs[column.name]) for column in theirs}
    at |= {theirs[name].ref: ours[name] for name in keys}
    return replace(
        plan,
        schema=Schema(columns, width + len(types)),
        steps=(*plan.steps, *left, match),
        unit=replace(plan.unit, beside=(*plan.unit.beside, replace(other.unit, beside=()), *other.unit.beside))
        if rows
        else plan.unit,
        bounds=(*plan.bounds, *(_brought(bound, at) for bound in other.bounds)),
    )


def _stay(rows: int | None) -> str:
    return "the only row" if rows is None else f"at most {rows} row" + ("s" if rows > 1 else "")


def _moved(left: int, right: int, most: Matches) -> int:
    """How many rows of a join move at most when ``left`` and ``right`` rows of its tables come or go.

    One row more or less of a table moves its rows that stay by 2 where few rows of a key stay, the row and the one
    whose place it takes, and by 1 where only unique keys do. Each of those meets at most as many rows as stay of a key
    on the other side. First one table moves, then the other: the sum. It is reached where both tables are one.
    """
    swaps = [1 if rows is None else 2 for rows in most]
    stay = [1 if rows is None else rows for rows in most]
    return swaps[0] * left * stay[1] + swaps[1] * right * stay[0]


def _matches(plan: Plan, other: Plan, keys: Sequence[str], max_matches: Any, unique: bool) -> Matches | None:
    """How many rows of a key may stay on either side, or None of a side where only unique keys do; None for both is
    all, of ids. Refuses tables that do not go together.
    """
    ours, theirs = plan.unit, other.unit
    if plan.child is not None or other.child is not None:
        raise PlanError("Join before .partition(): what children read must not overlap, and they would share a table.")
    if (ours.id is None) != (theirs.id is None):
        raise PlanError("One table protects rows and the other ids: protect both by the same kind of unit.")
    if ours.id is None and max_matches is None and not unique:
        raise PlanError(
            "One row may meet any number of rows: limit how many rows of a key stay on either side, as in "
            ".join(other, on='key', max_matches=(1, 5)), or keep unique keys only, by unique=True."
        )
    if ours.id is not None and theirs.id is not None:
        _same_people(plan, other, keys)
    if not isinstance(unique, bool) or (unique and max_matches is not None):
        raise PlanError("Give max_matches= or unique=True: with unique=True one row of a key stays anyway.")
    if unique or max_matches is None:
        return (None, None) if unique else None
    if not isinstance(max_matches, tuple | list) or len(max_matches) != 2:
        raise PlanError(
            f"max_matches= is a pair, of our rows and the other's, as in (1, 5) or (1, 'unique'), not {max_matches!r}."
        )
    left, right = (
        None if rows == UNIQUE else at_least_one(rows, f"max_matches[{at}]") for at, rows in enumerate(max_matches)
    )
    return left, right


def _same_people(plan: Plan, other: Plan, keys: Sequence[str]) -> None:
    """Refuse a join of ids that are not the same people's, or that is not by the id."""
    ours, theirs = plan.unit, other.unit
    assert ours.id is not None and theirs.id is not None
    if ours.space != theirs.space:
        raise PlanError(
            f"Ids of {ours.space!r} and of {theirs.space!r} are not the same people: protect both with one space=."
        )
    if not any(plan.schema[n].ref == ours.id.ref and other.schema[n].ref == theirs.id.ref for n in keys):
        raise PlanError(
            f"A join of ids is by the id, so that each row stays one person's: name it in on=, under one name in both "
            f"tables. The ids are {ours.id.name!r} and {theirs.id.name!r}; .rename() makes names equal."
        )


def _brought(bound: Bound, at: Mapping[str, Column]) -> Bound:
    """A bound of the other table, over the columns as they are after the join."""
    if not isinstance(bound, GroupBound) or bound.by is None:
        return bound
    gone = next((column for column in bound.by if column.ref not in at), None)
    if gone is not None:
        raise PlanError(f"The other table is bounded by {gone.name!r}, which it no longer has: bound after the join.")
    return replace(bound, by=tuple(at[column.ref] for column in bound.by))


def _on(call: str, ours: Schema, types: Mapping[str, Type], on: Any) -> tuple[str, ...]:
    """The names to join on, of columns that both tables have and whose equal values are the same value."""
    shared = tuple(column.name for column in ours if column.name in types)
    keys = shared if on is None else names(call, (on,) if isinstance(on, str) else on)
    if not keys or len(set(keys)) < len(keys):
        raise PlanError(f"Name the columns to join on once each, as in .{call}(table, on='country').")
    whose = "public" if call == "join_public" else "other"
    for name in keys:
        if name not in types:
            raise UnknownColumnError(f"The {whose} table has no column {name!r}. Its columns are: {', '.join(types)}.")
        if ours[name].type not in GROUPED or types[name] is not ours[name].type:
            raise ColumnTypeError(
                f"{name!r} is a {ours[name].type.value} column, and a {types[name].value} column in the {whose} table: "
                "a join needs text, integers, booleans or dates, the same on both sides."
            )
    return keys


def _refs(ours: Schema, types: Mapping[str, Type], keys: Sequence[str]) -> dict[str, str]:
    """The ref that each column of the other table gets: a key, which the user does not see again, one apart."""
    refs = {name: f"k{ours.width}_{at}" for at, name in enumerate(keys)}
    return refs | {name: f"c{ours.width + at}" for at, name in enumerate(types) if name not in keys}


def _pairs(ours: Schema, keys: Sequence[str], refs: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((ours[name].ref, refs[name]) for name in keys)


def _beside(
    ours: Schema, types: Mapping[str, Type], brought: Sequence[Column], keys: Sequence[str]
) -> tuple[Column, ...]:
    """The columns of both tables, with suffixes for those that share a name and are not joined on."""
    columns = [replace(c, name=f"{c.name}_left") if c.name in types and c.name not in keys else c for c in ours]
    columns += [replace(c, name=f"{c.name}_right") if c.name in ours else c for c in brought]
    bad = misnamed([column.name for column in columns])
    if bad is not None:
        raise PlanError(f"After the join two columns would be called {bad}: rename one before it.")
    return tuple(columns)


def _knowing(column: Column, rows: Any, refs: Mapping[str, str], keys: tuple[str, ...]) -> Column:
    """A column after a join, with the public values that it can have as its keys, if they are few enough to list."""
    of = {ref: name for name, ref in refs.items()}.get(column.ref, column.name if column.name in keys else None)
    if of is None or column.keys is not None or column.type not in GROUPED:
        return column
    distinct = rows[of].unique()
    if len(distinct) > MOST_LISTED:
        return column
    values = {*distinct.to_pylist(), *([None] if column.ref in refs.values() and column.nullable else [])}
    return replace(column, keys=tuple(sorted(values, key=lambda value: (value is not None, value))) or None)
