"""A finished question: what to ask of the rows, of which groups, for which answers. Never holds a frame."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dpframe.accounting import Child
from dpframe.aggregates import Aggregate, Prepared
from dpframe.keys import MOST_KEYS, Keys
from dpframe.plan import Bound, Filter, Join, Schema, Step, Unit
from dpframe.stages import Apply, KeepGroups, KeepRows, Match, Stage


@dataclass(frozen=True)
class Plan:
    """A private table: its columns, the steps that made them, and what is protected.

    Parameters
    ----------
    source
        The columns of the frame that the chain began with.
    schema
        The columns as the user sees them now.
    steps
        Row-wise steps from the source frame, in order.
    unit, bounds
        The privacy unit, and the contribution bounds on it.
    child
        Which child of a partition it is, if it is one: what it costs is charged beside the others'.
    """

    source: Schema
    schema: Schema
    unit: Unit
    steps: tuple[Step | Stage, ...] = ()
    bounds: tuple[Bound, ...] = ()
    child: Child | None = None

    @property
    def moves(self) -> Unit:
        """The unit after all steps: how many of the rows that come out one unit moves at most. Of ids, bounds say."""
        unit = self.unit
        for step in self.steps:
            if isinstance(step, Join | Apply):
                unit = replace(unit, rows=unit.rows * step.most)
            elif isinstance(step, Match) and unit.id is None:
                unit = Unit(rows=step.moved)
        return unit

    def __str__(self) -> str:
        columns = ", ".join(f"{column.name} {column.type.value}" for column in self.schema)
        lines = [f"PrivateFrame({columns})", f"  unit    {self.unit}"]
        lines += [f"  bounds  {bound}" for bound in self.bounds]
        for step in self.steps:
            if isinstance(step, Filter):
                lines.append(f"  filter  {step.condition.text}")
            elif isinstance(step, Join | Match):
                lines.append(f"  join    {step.text}")
            elif isinstance(step, Apply):
                lines.append(f"  map     {step.text}")
            elif isinstance(step, KeepGroups):
                lines.append(f"  keep    at most {step.groups} of {step.column.name} per id")
            elif isinstance(step, KeepRows):
                continue
            else:
                lines.append(f"  assign  {step.name} = {step.value.text}")
        lines += [] if self.child is None else [f"  part    {self.child}"]
        return "\n".join(lines)


@dataclass(frozen=True)
class Question:
    """A plan, a grouping and the answers wanted of each group.

    Parameters
    ----------
    by, keys
        The grouping columns and their public keys, arranged by them, over the user's names; of no columns, one group.
        Where some of the columns have no keys, groups are found among the rows, by a private selection.
    answers
        Output name, the aggregate's text, and the prepared aggregate.
    open, aggregates
        The columns whose clipping bounds the release is to find, and then what each answer was prepared from: at the
        widest bounds that can be found. See :mod:`dpframe.openbounds`.
    found
        The bounds that were, in words.
    """

    plan: Plan
    by: tuple[str, ...]
    keys: Keys
    answers: tuple[tuple[str, str, Prepared], ...]
    open: tuple[str, ...] = ()
    aggregates: tuple[Aggregate, ...] = ()
    found: tuple[str, ...] = ()

    @property
    def finds(self) -> bool:
        """Whether groups are found, not public."""
        return len(self.keys.columns) < len(self.by)

    @property
    def groups(self) -> int:
        """The most groups that there may be."""
        return MOST_KEYS if self.finds else self.keys.size

    def __str__(self) -> str:
        answers = ", ".join(f"{name}={text}" for name, text, _ in self.answers)
        asked = f"groupby({', '.join(self.by)}): {answers or 'groups'}" if self.by else answers
        asked += f", bounds of {', '.join(self.open)} found" if self.open else ""
        return asked if self.plan.child is None else f"{asked} of {self.plan.child}"
