"""The nouns of steps that SQL cannot take row by row: *stages*, which run in Python or read a second private table.

A query reads few of the columns that a chain has made. What must pass a stage is known only once the query is, so
:func:`needed` gives every stage the columns that something later rests on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from dpframe.plan import Column, Define, Step, Type

Types = Mapping[str, Type]


@dataclass(frozen=True)
class Gives:
    """A column that a function declares: what it is called, what it holds, and what stands where the function fails."""

    name: str
    ref: str
    type: Type
    default: Any = None


@dataclass(frozen=True, eq=False)
class Apply:
    """Call a Python function on every row, or on all rows of one id, and go on with the rows that it returns.

    Parameters
    ----------
    function
        From a dict of a row's values, or a list of them for an ``id``, to a dict, or an iterable of them if ``flat``.
    takes
        The name and ref of each column that it sees.
    gives
        The columns that it declares.
    most
        The stability: how many rows one call may return. Of the rows of an id there is no limit but its bounds.
    flat, id
        Whether it returns several rows; the id whose rows it is called on together.
    text
        The step in words.
    keeps, passes
        The columns that it is given, and those of them that go on beside what it returns.
    """

    function: Callable[[Any], Any]
    takes: tuple[tuple[str, str], ...]
    gives: tuple[Gives, ...]
    most: int
    flat: bool
    id: str | None
    text: str
    keeps: Types = field(default_factory=dict)
    passes: frozenset[str] = frozenset()

    @property
    def adds(self) -> Types:
        """The columns it adds."""
        return {gives.ref: gives.type for gives in self.gives}

    @property
    def reads(self) -> frozenset[str]:
        """Refs it reads."""
        return frozenset([ref for _, ref in self.takes] + ([] if self.id is None else [self.id]))


@dataclass(frozen=True, eq=False)
class KeepRows:
    """Keep few rows of each key: a keyed hash of a row alone decides, and its number among equal ones.

    One row more or less moves the rows that stay by at most two, itself and the one whose place it takes; where only
    keys of a single row stay (``unique``), by one.

    Parameters
    ----------
    by
        The columns of the key; nulls are equal.
    rows
        At most so many rows of a key stay; None is no row of a key that has several.
    role
        What sets this choice apart from others of the same release.
    keeps
        The columns that pass: all that tells rows apart for the query.
    """

    by: tuple[Column, ...]
    rows: int | None
    role: str
    keeps: Types = field(default_factory=dict)

    @property
    def adds(self) -> Types:
        """None."""
        return {}

    @property
    def reads(self) -> frozenset[str]:
        """Refs it reads."""
        return frozenset(column.ref for column in self.by)


@dataclass(frozen=True, eq=False)
class KeepGroups:
    """Keep the rows of at most ``groups`` values of a column for each id, chosen by keyed hashes of id and value alone.

    Parameters
    ----------
    keys
        The public values, over the ref: rows of any other go first, and use up none of an id's groups.
    salt
        The key of the hashes: several releases must choose alike, for together they show no more than so many groups.
    """

    id: Column
    column: Column
    groups: int
    keys: Any
    salt: bytes = field(repr=False)
    keeps: Types = field(default_factory=dict)

    @property
    def adds(self) -> Types:
        """None."""
        return {}

    @property
    def reads(self) -> frozenset[str]:
        """Refs it reads."""
        return frozenset([self.id.ref, self.column.ref])


@dataclass(frozen=True, eq=False)
class Match:
    """Every row with every row of another private table that has the same key; nulls are equal.

    Parameters
    ----------
    on
        Pairs of a ref of ours and the ref that the other's equal column gets here.
    frame, sources, steps, id
        The other table: its frame, the columns to read of it, its own steps, and its id if that is what is protected.
    brings
        Of each column of the other: its ref there, the one that it gets here, and its type.
    moved
        How many rows one unit moves at most, of those that come out; 0 for an id, whose bounds say it.
    text
        The step in words.
    """

    on: tuple[tuple[str, str], ...]
    frame: Any = field(repr=False)
    sources: Types
    steps: tuple[Step | Stage, ...]
    id: str | None
    brings: tuple[tuple[str, str, Type], ...]
    moved: int
    text: str

    @property
    def reads(self) -> frozenset[str]:
        """Refs it reads."""
        return frozenset(ours for ours, _ in self.on)

    @property
    def adds(self) -> Types:
        """The columns it adds."""
        return {ours: type_ for _, ours, type_ in self.brings}

    @property
    def types(self) -> Types:
        """The other's columns, by their refs there."""
        return {theirs: type_ for theirs, _, type_ in self.brings}


Stage = Apply | KeepRows | KeepGroups | Match


def needed(steps: Sequence[Step | Stage], sources: Types, read: Set[str]) -> tuple[list[Step | Stage], set[str]]:
    """Those of the steps that the refs ``read`` rest on, each stage with what must pass it, and all refs they read.

    Parameters
    ----------
    sources
        The columns before the first step.
    """
    before, types = [], dict(sources)
    for step in steps:
        before.append(dict(types) if isinstance(step, Stage) else types)
        types |= step.adds
    kept, read = list[Step | Stage](), set(read)
    for step, known in zip(reversed(steps), reversed(before), strict=True):
        if isinstance(step, Define) and step.ref not in read:
            continue
        used = _given(step, known, read) if isinstance(step, Stage) else step
        kept.insert(0, used)
        read |= used.reads
    return kept, read


def _given(stage: Stage, types: Types, read: Set[str]) -> Stage:
    """A stage with what it must let pass for a query that reads those refs later; ``types`` are of what there is."""
    if isinstance(stage, Match):
        brings = tuple(column for column in stage.brings if column[1] in read | {key for _, key in stage.on})
        theirs = {column[0] for column in brings} | ({stage.id} if stage.id is not None else set())
        steps, theirs = needed(stage.steps, stage.sources, theirs)
        sources = {ref: type_ for ref, type_ in stage.sources.items() if ref in theirs}
        return replace(stage, brings=brings, steps=tuple(steps), sources=sources)
    keeps = {ref: type_ for ref, type_ in types.items() if ref in read | stage.reads}
    if isinstance(stage, Apply):
        return replace(stage, keeps=keeps, passes=frozenset(keeps) & read)
    return replace(stage, keeps=keeps)
