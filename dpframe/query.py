"""A finished question: what to ask of the rows, of which groups, for which answers. Never holds a frame."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dpframe.aggregates import Prepared
from dpframe.keys import Keys
from dpframe.plan import Bound, Filter, Join, Schema, Step, Unit


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
    """

    source: Schema
    schema: Schema
    unit: Unit
    steps: tuple[Step, ...] = ()
    bounds: tuple[Bound, ...] = ()

    @property
    def stability(self) -> int:
        """How many rows one row of the source becomes at most."""
        return math.prod(step.most for step in self.steps if isinstance(step, Join))

    def __str__(self) -> str:
        columns = ", ".join(f"{column.name} {column.type.value}" for column in self.schema)
        lines = [f"PrivateFrame({columns})", f"  unit    {self.unit}"]
        lines += [f"  bounds  {bound}" for bound in self.bounds]
        for step in self.steps:
            if isinstance(step, Filter):
                lines.append(f"  filter  {step.condition.text}")
            elif isinstance(step, Join):
                lines.append(f"  join    {step.text}")
            else:
                lines.append(f"  assign  {step.name} = {step.value.text}")
        return "\n".join(lines)


@dataclass(frozen=True)
class Question:
    """A plan, a grouping and the answers wanted of each group.

    Parameters
    ----------
    by, keys
        The grouping columns and their public keys, arranged by them, over the user's names; of no columns, one group.
    answers
        Output name, the aggregate's text, and the prepared aggregate.
    """

    plan: Plan
    by: tuple[str, ...]
    keys: Keys
    answers: tuple[tuple[str, str, Prepared], ...]

    def __str__(self) -> str:
        answers = ", ".join(f"{name}={text}" for name, text, _ in self.answers)
        return f"groupby({', '.join(self.by)}): {answers}" if self.by else answers
