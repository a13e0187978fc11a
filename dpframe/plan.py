"""The nouns of a query: frozen data that says what was asked. Imports nothing of a dataframe library.

Columns are known by two names. The *name* is the user's and may be anything, twice redefined or ``"a b"``;
the *ref* (``c0``, ``c1``, …) is the engine's, unique for the life of a chain, so a redefined column is a new
ref and can never inherit what was known of the old one.
"""

from __future__ import annotations

import datetime
import difflib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from dpframe.errors import PlanError, UnknownColumnError
from dpframe.lines import Quantile

Value = str | int | bool | datetime.date | None
"""A group key: text, integer, boolean, date or null."""

Number = int | float
"""A clipping bound."""


class Type(Enum):
    """What a column holds, in the one vocabulary that both engines share."""

    INTEGER = "integer"  # 64-bit signed
    FLOAT = "float"  # IEEE double; NaN counts as missing
    BOOLEAN = "boolean"
    STRING = "string"
    DATE = "date"
    TIMESTAMP = "timestamp"
    OTHER = "other"  # carried along, usable in no expression


@dataclass(frozen=True)
class Column:
    """One column of a private frame and what is publicly known of it.

    Parameters
    ----------
    name, ref
        The user's name and the engine's.
    type
        What it holds.
    nullable
        Whether a value may be missing. A float column always may: NaN counts as missing.
    bounds
        Declared clipping bounds, used where an aggregate names none.
    keys
        Declared public values, used where a group-by names none.
    """

    name: str
    ref: str
    type: Type
    nullable: bool = True
    bounds: tuple[Number, Number] | None = None
    keys: tuple[Value, ...] | None = None


@dataclass(frozen=True)
class Schema:
    """The columns of a private frame, in order. ``width`` is the number of refs handed out so far."""

    columns: tuple[Column, ...]
    width: int

    def __post_init__(self) -> None:
        names = [column.name for column in self.columns]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise PlanError(f"Two columns are called {twice!r}: rename one before .dp.")

    def __getitem__(self, name: str) -> Column:
        """The column of that name; raises :class:`UnknownColumnError` with the nearest names."""
        for column in self.columns:
            if column.name == name:
                return column
        names = [column.name for column in self.columns]
        near = difflib.get_close_matches(str(name), names, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise UnknownColumnError(f"There is no column {name!r}.{hint} The columns are: {', '.join(names)}.")

    def __contains__(self, name: object) -> bool:
        return any(column.name == name for column in self.columns)

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def put(self, column: Column) -> Schema:
        """The schema with ``column`` in the place of its namesake, or at the end."""
        if column.name in self:
            columns = tuple(column if old.name == column.name else old for old in self.columns)
        else:
            columns = (*self.columns, column)
        return Schema(columns, self.width)

    def keep(self, names: Iterable[str]) -> Schema:
        """The schema with the named columns only, in the order given."""
        return replace(self, columns=tuple(self[name] for name in names))


def misnamed(names: Sequence[object]) -> str | None:
    """The first name, as Python writes it, that is no text or that two columns have.

    Examples
    --------
    >>> misnamed(["a", "b", None]), misnamed(["a", "b", "b"]), misnamed(["a", "b"])
    ('None', "'b'", None)
    """
    return next((repr(name) for name in names if not isinstance(name, str) or names.count(name) > 1), None)


@dataclass(frozen=True)
class Limit:
    """A comparison of a column with literals, ``ref operator values``: =, <, <=, >, >= or in."""

    ref: str
    operator: str
    values: tuple[int | str, ...]


@dataclass(frozen=True)
class Expression:
    """A checked scalar SQL expression, rendered for both engines over refs.

    Parameters
    ----------
    text
        What the user wrote.
    type, nullable
        The type of its value and whether the value may be missing.
    reads
        Refs it reads.
    spark, duckdb
        The same meaning in each engine's dialect: total, deterministic, refs for columns.
    limits
        Of a condition: what holds of single columns wherever it is true, for files to skip by.
    """

    text: str
    type: Type
    nullable: bool
    reads: frozenset[str]
    spark: str
    duckdb: str
    limits: tuple[Limit, ...] = ()


@dataclass(frozen=True)
class Filter:
    """Keep the rows for which the condition is true (null is not true). Stability 1."""

    condition: Expression

    @property
    def adds(self) -> Mapping[str, Type]:
        """The columns it adds: none."""
        return {}

    @property
    def reads(self) -> frozenset[str]:
        """Refs it reads."""
        return self.condition.reads


@dataclass(frozen=True)
class Define:
    """Give every row a new value under a new ref, which the user knows as ``name``. Stability 1."""

    name: str
    ref: str
    value: Expression

    @property
    def adds(self) -> Mapping[str, Type]:
        """The column it adds."""
        return {self.ref: self.value.type}

    @property
    def reads(self) -> frozenset[str]:
        """Refs it reads."""
        return self.value.reads


@dataclass(frozen=True, eq=False)
class Join:
    """Put the columns of a public table beside every row, once for each row of the table with the same key.

    Parameters
    ----------
    on
        Pairs of a ref of ours and the name of the table's column that must equal it; nulls are equal.
    how
        ``inner``, or ``left``: rows without a match stay, with null in the new columns.
    table
        The public table in Arrow, with its keys under the names of ``on`` and all else under refs of their own.
    most
        The stability: how many rows one row becomes at most, the largest multiplicity of a key and at least 1.
    text
        The step in words.
    adds
        The table's columns by the refs that they get.
    """

    on: tuple[tuple[str, str], ...]
    how: str
    table: Any
    most: int
    text: str
    adds: Mapping[str, Type]

    @property
    def reads(self) -> frozenset[str]:
        """Refs it reads."""
        return frozenset(ours for ours, _ in self.on)


Step = Filter | Define | Join


@dataclass(frozen=True)
class Cut:
    """Intervals of one column, as :func:`dpframe.cut` describes them."""

    column: str
    edges: tuple[Number | datetime.date | str, ...]
    labels: tuple[str, ...] | None
    right: bool
    include_both: bool
    nan: str | None = None

    def __str__(self) -> str:
        return f"cut({self.column}, {len(self.edges)} edges from {self.edges[0]} to {self.edges[-1]})"


def cut(
    column: str,
    edges: Iterable[Number | datetime.date | str],
    *,
    right: bool = True,
    include_both: bool = True,
    labels: Iterable[str] | None = None,
    nan: str | None = None,
) -> Cut:
    """Intervals of a number, date, time or text column, for ``.assign``; their labels become the column's public keys.

    Parameters
    ----------
    column
        The column to cut. Values outside the edges are null, and so are null and NaN unless ``nan`` names them.
    edges
        At least two increasing numbers, dates, times (in UTC where they have a zone; a date is its midnight), or texts
        in the order of their code points.
    right
        Whether intervals are closed on the right, ``(10, 20]``, or on the left, ``[10, 20)``, as suits times.
    include_both
        Whether the outermost interval that would be open at its end is closed there: ``[0, 10]`` first.
    labels
        Names for the bins, one fewer than edges, instead of ``(10, 20]``. Bins of one name are one.
    nan
        The name of a last bin, for null and NaN, which are one and the same.

    Raises
    ------
    PlanError
        For edges or labels that are no lists, fewer than two edges, and a ``nan`` that is not text.

    Examples
    --------
    >>> print(cut("age", range(0, 101, 10)))
    cut(age, 11 edges from 0 to 100)
    """
    points = () if isinstance(edges, str) or not isinstance(edges, Iterable) else tuple(edges)
    if len(points) < 2:
        raise PlanError(f"dp.cut({column!r}, ...) needs at least two edges, as in dp.cut({column!r}, [0, 10, 20]).")
    if isinstance(labels, str) or not isinstance(labels, Iterable | None):
        raise PlanError(f"The labels of dp.cut({column!r}, ...) are a list of texts, not {labels!r}.")
    if not isinstance(nan, str | None):
        raise PlanError(f"nan= of dp.cut({column!r}, ...) is the name of a bin, such as 'unknown', not {nan!r}.")
    return Cut(column, points, None if labels is None else tuple(labels), bool(right), bool(include_both), nan)


@dataclass(frozen=True)
class Unit:
    """The privacy unit: what one neighbour adds or removes.

    Either ``rows`` rows (``id is None``), or ``rows`` rows in each of ``groups`` groups of the column ``grouping``, or
    all rows that share one value of the column ``id``. Both columns stay what they are whatever becomes of their names.
    Ids of one ``space`` are the same people in every table; ``beside`` are the units of tables that were joined.
    """

    id: Column | None = None
    rows: int = 1
    groups: int | None = None
    grouping: Column | None = None
    space: str = "default"
    beside: tuple[Unit, ...] = ()

    @property
    def rows_in_all(self) -> int:
        """How many rows it has, if it is not an id."""
        return self.rows * (self.groups or 1)

    def __str__(self) -> str:
        if self.beside:
            tables = [replace(self, beside=()), *self.beside]
            return " and ".join(f"{unit} of table {at}" for at, unit in enumerate(tables, 1))
        if self.id is not None:
            return f"all rows of one {self.id.name}" + (f" of {self.space}" if self.space != "default" else "")
        rows = "one row" if self.rows == 1 else f"{self.rows} rows"
        if self.grouping is None:
            return rows
        return f"{rows} in each of at most {self.groups} groups of {self.grouping.name}"


@dataclass(frozen=True)
class GroupBound:
    """At most ``groups`` groups per id and ``rows_per_group`` rows in each: an L0 and an L∞ bound.

    ``by`` are the columns whose groups are meant; None means the query's own grouping.
    """

    groups: int
    rows_per_group: int
    by: tuple[Column, ...] | None = None

    def __str__(self) -> str:
        of = f" of {', '.join(column.name for column in self.by)}" if self.by else ""
        rows = "1 row" if self.rows_per_group == 1 else f"{self.rows_per_group} rows"
        return f"at most {self.groups} groups{of} per id, {rows} per group"


@dataclass(frozen=True)
class RowBound:
    """At most ``rows`` rows per id: an L1 bound."""

    rows: int

    def __str__(self) -> str:
        return f"at most {self.rows} rows per id"


Bound = GroupBound | RowBound


@dataclass(frozen=True)
class Count:
    """The number of rows of a group; with ``ref``, of those where that column is not missing."""

    ref: str | None = None

    @property
    def refs(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return () if self.ref is None else (self.ref,)

    @property
    def reach(self) -> int:
        """The furthest that one row moves the statistic."""
        return 1

    @property
    def grid(self) -> float:
        return 1.0


@dataclass(frozen=True)
class Sum:
    """The sum over a group of ``rint((clip(x, low, high) - center) / grid)``: an exact integer.

    ``grid`` is a power of two fixed by public bounds. Each row is rounded before it is summed, so the sum
    has no order and no floating-point error, and one row moves it by at most ``reach`` grid steps.
    Rows whose value is missing add nothing.
    """

    ref: str
    low: Number
    high: Number
    center: Number
    grid: float
    integer: bool

    @property
    def refs(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return (self.ref,)

    @property
    def reach(self) -> int:
        """The furthest that one row moves the statistic, in grid steps, by the arithmetic of every row."""
        if self.integer:
            return max(abs(int(end) - int(self.center)) for end in (self.low, self.high))
        return max(abs(round((float(end) - float(self.center)) / self.grid)) for end in (self.low, self.high))


@dataclass(frozen=True)
class Squares:
    """The sum over a group of ``rint((clip(x, low, high) - center)**2 / grid) - shift``: an exact integer.

    ``grid`` is a power of two and ``shift`` about half of the largest square, both fixed by public bounds: so one
    row, rounded before it is summed, moves the sum by at most ``reach`` grid steps, half of what a square may be.
    Halves are rounded up where the column is ``integer``. Rows whose value is missing add nothing.
    """

    ref: str
    low: Number
    high: Number
    center: Number
    grid: float
    shift: int
    integer: bool

    @property
    def refs(self) -> tuple[str, ...]:
        """The columns that it reads."""
        return (self.ref,)

    @property
    def bits(self) -> int:
        """The binary logarithm of the grid."""
        return math.frexp(self.grid)[1] - 1

    @property
    def reach(self) -> int:
        """The furthest that one row moves the statistic, in grid steps, by the arithmetic of every row."""
        largest = max(self._square(end) for end in (self.low, self.high))
        return max(self.shift, largest - self.shift)

    def _square(self, value: Number) -> int:
        if self.integer:
            return (int(value) - int(self.center)) ** 2 + (1 << self.bits >> 1) >> self.bits
        deviation = float(value) - float(self.center)
        return round(deviation * deviation / self.grid)


@dataclass(frozen=True)
class Distinct:
    """The number of distinct values of the columns ``refs`` in a group; a missing value is one of its own.

    No sum over rows: equal values must meet before they are counted. A row adds at most one.
    """

    refs: tuple[str, ...]

    @property
    def reach(self) -> int:
        """The furthest that one row moves the statistic."""
        return 1

    @property
    def grid(self) -> float:
        return 1.0


Statistic = Count | Sum | Squares | Distinct | Quantile


def at_least_one(value: object, what: str) -> int:
    """A positive whole number, or a :class:`PlanError` that names the argument."""
    if isinstance(value, bool) or not hasattr(value, "__index__") or value.__index__() < 1:
        raise PlanError(f"{what} must be a whole number of at least 1, not {value!r}.")
    if value.__index__() >= 2**63:
        raise PlanError(f"{what} must fit 64 bits: with so many, no release would be private and useful.")
    return int(value.__index__())


def in_utc(moment: datetime.datetime) -> datetime.datetime:
    """A plain time without a zone: in UTC where it had one, and otherwise as it stands; nanoseconds are cut off.

    Raises
    ------
    OverflowError
        UTC has no such time, before year 1 or after 9999.
    """
    utc = moment if moment.tzinfo is None else moment.astimezone(datetime.UTC)
    return datetime.datetime(*utc.timetuple()[:6], utc.microsecond)
