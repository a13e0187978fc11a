"""Public group keys: which groups a release shows, known without looking at private data.

A key set is a product of *factors*, each a small table of distinct rows, and stays one: 1,000 pages times
1,000,000 users is two small factors. Every key has a *cell*, its position in the product, by which rows find
their group, noise finds its word, and answers find their row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from dpframe.errors import ColumnTypeError, KeysError, UnknownColumnError
from dpframe.keys import algebra
from dpframe.keys.factor import ARROW, MOST_KEYS, Cells, Factor
from dpframe.plan import Schema, Type, Value, misnamed

MOST_FOUND = 16
"""Columns of groups that are found: their addresses are chains of hashes over all of them."""

SHOWN = 1 << 16
"""Keys that are written down at a time, where all are."""


@dataclass(frozen=True, eq=False)
class Keys:
    """A set of public group keys, with an algebra that leaves products apart. Make one by :func:`dpframe.keys`.

    ``*`` is the product, ``-`` takes away keys by some columns' values, ``|`` is the union, ``&`` the natural join,
    ``keys["a", "b"]`` the projection, ``==`` whether two sets are the same; ``len()`` counts without listing. Null is
    a value like any other, equal to itself. Factors that a step does not need are not multiplied out; where it must,
    more than 50,000,000 keys are refused.

    Examples
    --------
    >>> import dpframe as dp
    >>> pages = dp.keys({"page": range(1000)}) * dp.keys({"day": range(1000), "land": ["CH", "DE", None]})
    >>> pages
    Keys(page, day, land: 3,000,000 keys)
    >>> pages - dp.keys({"land": [None]}) == pages.filter("land is not null")
    True
    >>> pages["page", "land"] | dp.keys([(2000, "CH"), (1, "DE")], columns=["page", "land"])
    Keys(page, land: 3,001 keys)
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

    def __iter__(self) -> Iterator[tuple[Value, ...]]:
        """The keys in order, one after the other, as tuples of plain values."""
        for start in range(0, self.size, SHOWN):
            rows = self.rows(np.arange(start, min(start + SHOWN, self.size)))
            yield from zip(*(column.to_pylist() for column in rows.values()), strict=True)

    def __eq__(self, other: object) -> bool:
        """Whether both have the same keys; neither the order of columns nor what is a factor matters."""
        return algebra.equal(self.factors, other.factors) if isinstance(other, Keys) else NotImplemented

    def __hash__(self) -> int:
        return hash((frozenset(self.columns), self.size))

    def __mul__(self, other: Keys) -> Keys:
        """Every key of one with every key of the other; raises :class:`KeysError` on a shared column."""
        if not isinstance(other, Keys):
            return NotImplemented
        shared = set(self.columns) & set(other.columns)
        if shared:
            raise KeysError(
                f"Both key sets have the column {min(shared)!r}: a product needs distinct columns. A join on what both "
                "have is `&`."
            )
        return Keys(self.factors + other.factors)

    def __sub__(self, other: Keys) -> Keys:
        """The keys whose values are not those of a key of the other set, which may have some of the columns only.

        Raises
        ------
        KeysError
            When the other has a column that these keys have not, or more than 50,000,000 keys must be multiplied out.
        ColumnTypeError
            When a column holds values of two types.
        """
        if not isinstance(other, Keys):
            return NotImplemented
        if not set(other.columns) <= set(self.columns):
            alien = next(name for name in other.columns if name not in self.columns)
            raise KeysError(
                f"The keys to take away have the column {alien!r}, which these keys of {', '.join(self.columns)} do "
                "not have: take away a projection, as in keys - other['a', 'b']."
            )
        return Keys(algebra.minus(self.factors, other.factors))

    def __or__(self, other: Keys) -> Keys:
        """The keys of either set, over the same columns in any order; raises as ``-`` does."""
        if not isinstance(other, Keys):
            return NotImplemented
        if set(other.columns) != set(self.columns):
            raise KeysError(
                f"A union needs the same columns, not ({', '.join(self.columns)}) and ({', '.join(other.columns)})."
            )
        return Keys(algebra.union(self.factors, other.factors))

    def __and__(self, other: Keys) -> Keys:
        """The natural join: every pair of keys that agree in the columns that both sets have, of which there is one.

        Over the same columns that is the intersection. Raises as ``-`` does.
        """
        if not isinstance(other, Keys):
            return NotImplemented
        if set(other.columns).isdisjoint(self.columns):
            raise KeysError("A join needs a column that both key sets have. Every key with every key is `*`.")
        return Keys(algebra.join(self.factors, other.factors))

    def __getitem__(self, columns: str | Sequence[str]) -> Keys:
        """The distinct keys over some of the columns, in that order: ``keys["a"]``, ``keys["a", "b"]``.

        Raises
        ------
        UnknownColumnError
            For a column that the keys do not have.
        KeysError
            For no column, or one twice; and for an order of columns in which more than 50,000,000 keys are no product.
        """
        names = [columns] if isinstance(columns, str) else list(columns)
        if not names or len(set(names)) < len(names):
            raise KeysError("Name the columns to keep once each, as in keys['a', 'b'].")
        self._know(names)
        return Keys(algebra.project(self.factors, names)).arranged(names)

    def filter(self, condition: str) -> Keys:
        """The keys for which a SQL condition is true, as ``.filter`` of a private chain reads it.

        Parts that ``and`` connects are looked at one by one, each over the factors of its own columns alone.

        Raises
        ------
        ExpressionError, ColumnTypeError, UnknownColumnError
            For a condition that a chain would refuse.
        KeysError
            When a part compares columns of factors with more than 50,000,000 keys together.

        Examples
        --------
        >>> import dpframe as dp
        >>> dp.keys({"page": range(65536), "user": range(65536)}).filter("page >= 65534 and user % 2 = 0")
        Keys(page, user: 65,536 keys)
        """
        return Keys(algebra.keep(self.factors, condition))

    def rename(self, columns: Mapping[str, str]) -> Keys:
        """The same keys, with other names for some columns.

        Raises
        ------
        UnknownColumnError
            For a column that the keys do not have.
        KeysError
            When two columns would share a name.

        Examples
        --------
        >>> import dpframe as dp
        >>> dp.keys({"page": [1, 2]}).rename({"page": "target"})
        Keys(target: 2 keys)
        """
        if not isinstance(columns, Mapping):
            raise KeysError(f".rename() takes a mapping from old to new names, not {columns!r}.")
        self._know(columns)
        bad = misnamed([columns.get(name, name) for name in self.columns])
        if bad is not None:
            raise KeysError(f"After the rename {bad} would not be one column's name: choose another.")
        return Keys(
            tuple(
                replace(factor, domains={columns.get(name, name): domain for name, domain in factor.domains.items()})
                for factor in self.factors
            )
        )

    def _know(self, names: Iterable[str]) -> None:
        unknown = next((name for name in names if name not in self.columns), None)
        if unknown is not None:
            raise UnknownColumnError(f"These keys have no column {unknown!r}, but {', '.join(self.columns)}.")

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
        >>> import dpframe as dp
        >>> dp.keys({"a": [1, 2], "b": ["x", "y"]}).arranged(["b", "a"]).rows(np.arange(3))["b"].to_pylist()
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
                arranged[-1] = arranged[-1].times(factor, "The group-by takes columns of several factors in turn")
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


def grouping(schema: Schema, by: tuple[str, ...], given: Keys | None) -> Keys:
    """Public keys of the grouping columns: those given, and the declared ones of the others. Some may have none.

    Raises
    ------
    KeysError
        For keys of columns that are not grouped by, and for no keys at all.
    ColumnTypeError
        For columns that cannot be keys, and keys of another type than their column.
    """
    sets = [] if given is None else [given]
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
            _typed(pa.nulls(0), name, schema[name].type)
        else:
            sets.append(declared(name, known))
    product = math.prod(sets, start=Keys(()))
    if len(by) > MOST_FOUND and len(product.columns) < len(by):
        raise KeysError(f"Groups without public keys may be of at most {MOST_FOUND} columns, not of {len(by)}.")
    arranged = product.arranged([name for name in by if name in product.columns])
    if not arranged.size:
        raise KeysError("The key set has no keys left: nothing would come out of a release.")
    arranged.fit(schema)
    return arranged


def declared(name: str, values: tuple[Value, ...]) -> Keys:
    """The keys of one column in the order in which they were declared, as a cut declares its bins."""
    return Keys((Factor({name: domain_of(values)}),))


def domain_of(values: Iterable[Value]) -> pa.Array:
    """Key values in canonical form; an array of null alone has no type yet."""
    array = pa.array(values)
    return array.cast(ARROW[Type.STRING]) if pa.types.is_string(array.type) else array


def _typed(domain: pa.Array, name: str, type_: Type) -> pa.Array:
    """One column's key values in the column's own type."""
    if type_ is Type.FLOAT:
        raise ColumnTypeError(
            f"{name!r} is a float column and cannot be a group key: group by dp.cut({name!r}, edges), "
            f"or by an integer such as .assign(k='cast(floor({name}) as bigint)')."
        )
    if type_ is Type.TIMESTAMP:
        raise ColumnTypeError(
            f"{name!r} is a timestamp column and cannot be a group key: group by dp.cut({name!r}, edges), or by a day "
            f"or an hour such as .assign(k='cast({name} as date)', h='hour({name})')."
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
