"""Public group keys: which groups a release shows, known without looking at private data.

A key set is a product of *factors*, each a small table of distinct rows, and stays one: 1,000 pages times
1,000,000 users is two small factors. Every key has a *cell*, its position in the product, by which rows find
their group, noise finds its word, and answers find their row.
"""

from __future__ import annotations

import datetime
import math
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dpframe.errors import ColumnTypeError, KeysError
from dpframe.plan import Schema, Type, Value

Cells = npt.NDArray[np.int64]

ARROW: dict[Type, pa.DataType] = {
    Type.INTEGER: pa.int64(),
    Type.FLOAT: pa.float64(),
    Type.BOOLEAN: pa.bool_(),
    Type.STRING: pa.large_string(),  # 64-bit offsets: a column may hold more than 2 GB of text
    Type.DATE: pa.date32(),
    Type.TIMESTAMP: pa.timestamp("us"),
}
"""The one physical form of each type, in which both engines hand over their columns."""

MOST_CELLS = 50_000_000
"""No more cells than this are written down."""

MOST_KEYS = 2**62
"""A key set is smaller, so that cells and sums of them fit 64 bits."""


@dataclass(frozen=True, eq=False)
class Factor:
    """Distinct rows over some columns.

    Parameters
    ----------
    domains
        For every column its distinct values, in the order in which answers are sorted.
    codes
        The rows, as sorted positions in the product of the domains; None when every combination is a row.
    """

    domains: dict[str, pa.Array]
    codes: Cells | None = None

    def __len__(self) -> int:
        """The number of rows."""
        return math.prod(map(len, self.domains.values())) if self.codes is None else len(self.codes)

    def apart(self) -> tuple[Factor, ...]:
        """The factor as a product of the smallest ones."""
        if self.codes is not None:
            return (self,)
        return tuple(Factor({name: domain}) for name, domain in self.domains.items())

    def times(self, other: Factor) -> Factor:
        """Every row of one with every row of the other, multiplied out."""
        if len(self) * len(other) > MOST_CELLS:
            raise KeysError(
                f"The columns {', '.join(self.domains)} and {', '.join(other.domains)} of the keys interleave in the "
                f"group-by, and {len(self) * len(other):,} keys are too many to multiply out: group by them in the "
                "order of the keys."
            )
        ours, theirs = (np.arange(len(f)) if f.codes is None else f.codes for f in (self, other))
        width = math.prod(map(len, other.domains.values()))
        if math.prod(map(len, self.domains.values())) * width >= MOST_KEYS:
            raise KeysError("The key frame has too many distinct values; give independent columns as a product.")
        return Factor(self.domains | other.domains, np.add.outer(ours * width, theirs).ravel())

    def ordered(self, names: Sequence[str]) -> Factor:
        """The same rows over the columns in that order, sorted by them."""
        if list(self.domains) == list(names):
            return self
        domains = {name: self.domains[name] for name in names}
        if self.codes is None:
            return Factor(domains)
        of, rest = {}, self.codes
        for name, domain in reversed(self.domains.items()):
            of[name], rest = rest % len(domain), rest // len(domain)
        code = np.zeros(len(self), np.int64)
        for name, domain in domains.items():
            code = code * len(domain) + of[name]
        return Factor(domains, np.sort(code))


@dataclass(frozen=True, eq=False)
class Keys:
    """A set of public group keys. ``*`` is the product, ``len()`` counts without listing.

    Examples
    --------
    >>> levels = keys({"level": ["a", "b"]}) * keys({"year": [2024, 2025, 2026]})
    >>> levels
    Keys(level, year: 6 keys)
    >>> len(levels)
    6
    """

    factors: tuple[Factor, ...]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the key columns."""
        return tuple(name for factor in self.factors for name in factor.domains)

    @property
    def nullable(self) -> tuple[bool, ...]:
        """Of each key column, whether null is among its keys."""
        return tuple(domain.null_count > 0 for factor in self.factors for domain in factor.domains.values())

    @property
    def size(self) -> int:
        """The number of keys. ``len()`` is the same, but Python's own ends at 2**63 - 1."""
        return math.prod(map(len, self.factors))

    def __len__(self) -> int:
        return self.size

    def __mul__(self, other: Keys) -> Keys:
        """Every key of one with every key of the other; raises :class:`KeysError` on a shared column."""
        if not isinstance(other, Keys):
            return NotImplemented
        shared = set(self.columns) & set(other.columns)
        if shared:
            raise KeysError(f"Both key sets have the column {min(shared)!r}: a product needs distinct columns.")
        return Keys(self.factors + other.factors)

    def __repr__(self) -> str:
        return f"Keys({', '.join(self.columns)}: {self.size:,} keys)"

    def rows(self, cells: Cells) -> dict[str, pa.Array]:
        """The key columns of those cells."""
        columns: dict[str, pa.Array] = {}
        for factor in reversed(self.factors):
            cells, code = cells // len(factor), cells % len(factor)
            code = code if factor.codes is None else factor.codes[code]
            for name, domain in reversed(factor.domains.items()):
                columns[name] = domain.take(pa.array(code % len(domain)))
                code = code // len(domain)
        return {name: columns[name] for name in self.columns}

    def arranged(self, by: Sequence[str]) -> Keys:
        """The same keys with the columns in that order, so that cells are numbered in the order of answers.

        Factors stay apart as far as the order allows: one with columns on both sides of another's is multiplied out
        with it.

        Raises
        ------
        KeysError
            When the columns are not exactly ``by``, or multiplying out is too much.

        Examples
        --------
        >>> keys({"a": [1, 2], "b": ["x", "y"]}).arranged(["b", "a"]).rows(np.arange(3))["b"].to_pylist()
        ['x', 'x', 'y']
        """
        if set(by) != set(self.columns):
            raise KeysError(
                f"The keys are of ({', '.join(self.columns)}), the group-by is of ({', '.join(by)}): "
                "give keys for exactly the columns that are grouped by."
            )
        if tuple(by) == self.columns:
            return self
        place = {name: at for at, name in enumerate(by)}

        def ends(factor: Factor) -> tuple[int, int]:
            return min(place[name] for name in factor.domains), max(place[name] for name in factor.domains)

        arranged: list[Factor] = []
        for factor in sorted((part for whole in self.factors for part in whole.apart()), key=ends):
            if arranged and ends(factor)[0] < ends(arranged[-1])[1]:
                arranged[-1] = arranged[-1].times(factor)
            else:
                arranged.append(factor)
        return Keys(tuple(factor.ordered([name for name in by if name in factor.domains]) for factor in arranged))

    def fit(self, schema: Schema) -> Keys:
        """The key set over the refs of ``schema``, in the columns' own types.

        Raises
        ------
        KeysError
            When there are 2**62 keys or more.
        ColumnTypeError
            When a column cannot be a key, or its keys are of another type.
        """
        if self.size >= MOST_KEYS:
            raise KeysError(f"{self.size:,} keys are too many: their number must be below 2**62.")
        return Keys(
            tuple(
                replace(
                    factor,
                    domains={
                        schema[name].ref: _typed(domain, name, schema[name].type)
                        for name, domain in factor.domains.items()
                    },
                )
                for factor in self.factors
            )
        )


def keys(source: Any) -> Keys:
    """Public group keys from a mapping of column to values, or from the rows of a public frame.

    Parameters
    ----------
    source
        A mapping ``{column: values}``, of which every combination is a key, or a *public* frame (pandas,
        Arrow or Spark), whose distinct rows are the keys. The values must be known without looking at
        private data: documentation, a code list, a published table.

    Raises
    ------
    KeysError
        For no values, duplicate values, floats and nested values.

    Examples
    --------
    >>> keys({"level": ["a", "b", None]})
    Keys(level: 3 keys)
    """
    if isinstance(source, Keys):
        return source
    if isinstance(source, Mapping):
        return Keys(tuple(_listed(str(name), values) for name, values in source.items()))
    return Keys((_rows(_as_arrow(source)),))


def grouping(schema: Schema, by: tuple[str, ...], given: Any) -> Keys:
    """Public keys for exactly the grouping columns: those given, and the declared ones of the others.

    Raises
    ------
    KeysError
        For columns without public keys, and for keys of columns that are not grouped by.
    """
    if given is None:
        sets = []
    elif isinstance(given, list | tuple | range | set | frozenset) or getattr(given, "ndim", 0) == 1 or _arrow(given):
        if len(by) != 1:
            raise KeysError("A list of keys serves a single column: give dp.keys({column: values, ...}).")
        sets = [keys({by[0]: given.to_pylist() if _arrow(given) else given})]
    else:
        sets = [keys(given)]
    covered = {name for each in sets for name in each.columns}
    if not covered <= set(by):
        raise KeysError(
            f"There are keys of {min(covered - set(by))!r}, which is not grouped by: "
            f"give keys of exactly the grouping columns, {', '.join(by)}."
        )
    for name in by:
        known = schema[name].keys
        if name in covered:
            continue
        if known is None:
            raise KeysError(
                f"{name!r} has no public keys. List them, as in .groupby({name!r}, keys={{{name!r}: [...]}}), "
                f"declare them with protect(keys={{{name!r}: [...]}}), or make bins with dp.cut."
            )
        sets.append(declared(name, known))
    arranged = math.prod(sets, start=Keys(())).arranged(by)
    arranged.fit(schema)
    return arranged


def _arrow(values: object) -> bool:
    """Whether it is one column of Arrow."""
    return isinstance(values, pa.Array | pa.ChunkedArray)


def declared(name: str, values: tuple[Value, ...]) -> Keys:
    """The keys of one column in the order in which they were declared, as a cut declares its bins."""
    return Keys((Factor({name: _domain(values)}),))


def _listed(name: str, values: Iterable[object]) -> Factor:
    """One column's listed values, sorted, nulls first."""
    return Factor({name: _sorted(_domain(listed_values(name, values)))})


def listed_values(name: str, values: Iterable[object]) -> list[Value]:
    """The values of one key column, checked: text, integers, booleans, dates or null, of one kind, once each.

    Raises
    ------
    KeysError
        For no values, duplicates, floats, and values of different kinds.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise KeysError(f"The keys of {name!r} must be a list of values, not {values!r}.")
    plain = [_plain(name, value) for value in values]
    if not plain:
        raise KeysError(f"The keys of {name!r} are empty: list at least one value.")
    if len({type(value) for value in plain if value is not None}) > 1:
        raise KeysError(f"The keys of {name!r} mix types: give text, integers, booleans or dates, not several.")
    seen: set[Value] = set()
    for value in plain:
        if value in seen:
            raise KeysError(f"The key {value!r} of {name!r} is listed twice: list every key once.")
        seen.add(value)
    return plain


def _plain(name: str, value: object) -> Value:
    """A Python value that can be a key."""
    # numpy gives an instant in nanoseconds as a bare integer.
    value = value.astype("datetime64[us]") if isinstance(value, np.datetime64) else value
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, datetime.datetime):
        if type(value).__name__ == "NaTType":
            return None
        if value.tzinfo is None and value.time() == datetime.time():
            return value.date()
        raise KeysError(f"The key {value!s} of {name!r} has a time of day: keys may be dates, not timestamps.")
    if value is None or isinstance(value, str | bool | int | datetime.date):
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise KeysError(f"The key {value} of {name!r} does not fit 64 bits.")
        if isinstance(value, str) and not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            raise KeysError(f"The key {value!r} of {name!r} holds half a surrogate pair, which is not a character.")
        return value
    raise KeysError(
        f"The key {value!r} of {name!r} is a {type(value).__name__}: keys may be text, integers, booleans, dates "
        "or None. Group a number by dp.cut(column, edges)."
    )


def _domain(values: Iterable[Value]) -> pa.Array:
    """Key values in canonical form; an array of null alone has no type yet."""
    array = pa.array(values)
    return array.cast(ARROW[Type.STRING]) if pa.types.is_string(array.type) else array


def _sorted(values: pa.Array) -> pa.Array:
    return values.take(pc.array_sort_indices(values, null_placement="at_start"))


def _as_arrow(frame: Any) -> pa.Table:
    """The rows of a public frame of any kind."""
    if isinstance(frame, pa.Table):
        return frame
    home = type(frame).__module__
    if home.startswith("pyspark.pandas"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the pandas-like index is not kept: keys have none
            frame, home = frame.to_spark(), "pyspark.sql"
    if home.startswith("pyspark.sql"):
        return frame.distinct().toArrow()
    if home.startswith("pandas") and hasattr(frame, "columns"):
        try:
            return pa.Table.from_pandas(frame, preserve_index=False)
        except (ValueError, TypeError) as error:
            raise KeysError(
                f"The key frame cannot be read, {error}: give columns of one type and distinct names."
            ) from error
    raise KeysError(f"dp.keys takes a mapping of column to values or a public frame, not {type(frame).__name__}.")


def _rows(table: pa.Table) -> Factor:
    """The distinct rows of a public table."""
    if not table.num_columns or not table.num_rows:
        raise KeysError("The key frame is empty: it needs at least one column and one row.")
    if len(set(table.column_names)) < table.num_columns:
        raise KeysError("Two columns of the key frame share a name: rename one.")
    domains: dict[str, pa.Array] = {}
    code = np.zeros(table.num_rows, np.int64)
    for name in table.column_names:
        column = table[name].combine_chunks()
        column = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        try:
            distinct = _sorted(column.unique())
        except pa.ArrowNotImplementedError:
            raise KeysError(f"The keys of {name!r} are of type {column.type}, which has no order.") from None
        domain = _domain(listed_values(name, distinct.to_pylist()))
        domains[name] = domain
        if not pa.types.is_null(domain.type):  # of nulls alone there is one
            code = code * len(domain) + pc.index_in(column.cast(domain.type), value_set=domain).to_numpy()
        if math.prod(map(len, domains.values())) >= MOST_KEYS:
            raise KeysError("The key frame has too many distinct values; give independent columns as a product.")
    return Factor(domains, np.unique(code))


def _typed(domain: pa.Array, name: str, type_: Type) -> pa.Array:
    """One column's key values in the column's own type."""
    if type_ is Type.FLOAT:
        raise ColumnTypeError(
            f"{name!r} is a float column and cannot be a group key: group by dp.cut({name!r}, edges), "
            f"or by an integer such as .assign(k='cast(floor({name}) as bigint)')."
        )
    if type_ not in (Type.INTEGER, Type.BOOLEAN, Type.STRING, Type.DATE):
        raise ColumnTypeError(f"{name!r} is a {type_.value} column and cannot be a group key.")
    if pa.types.is_null(domain.type):
        return domain.cast(ARROW[type_])
    if domain.type != ARROW[type_]:
        example = next(value for value in domain.to_pylist() if value is not None)
        raise ColumnTypeError(
            f"The keys of {name!r} are like {example!r}, but the column holds {type_.value} values: "
            "give keys of the column's type."
        )
    return domain
