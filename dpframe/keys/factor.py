"""A factor of a key set: distinct rows over a few columns, and what relations do with one or two of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dpframe.errors import ColumnTypeError, KeysError
from dpframe.plan import Type

Cells = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

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

ABSENT = -1


@dataclass(frozen=True, eq=False)
class Factor:
    """Distinct rows over some columns.

    Parameters
    ----------
    domains
        For every column its distinct values, in the order in which answers are sorted; each is in some row.
    codes
        The rows, as sorted positions in the product of the domains; None when every combination is a row.
    """

    domains: dict[str, pa.Array]
    codes: Cells | None = None

    def __len__(self) -> int:
        """The number of rows."""
        return math.prod(map(len, self.domains.values())) if self.codes is None else len(self.codes)

    @property
    def positions(self) -> dict[str, Cells]:
        """For every column the position of each row's value among its domain."""
        rest = np.arange(len(self)) if self.codes is None else self.codes
        of: dict[str, Cells] = {}
        for name, domain in reversed(self.domains.items()):
            rest, of[name] = np.divmod(rest, len(domain)) if len(self.domains) > 1 else (rest, rest)
        return {name: of[name] for name in self.domains}

    def apart(self) -> tuple[Factor, ...]:
        """The factor as a product of the smallest ones."""
        if self.codes is not None:
            return (self,)
        return tuple(Factor({name: domain}) for name, domain in self.domains.items())

    def times(self, other: Factor, why: str = "These keys are no product any more") -> Factor:
        """Every row of one with every row of the other, multiplied out.

        Raises
        ------
        KeysError
            When that is more than ``MOST_CELLS``; ``why`` says what asked for it.
        """
        size = len(self) * len(other)
        if size > MOST_CELLS:
            raise KeysError(
                f"{why}, and {size:,} keys are too many to multiply out: at most {MOST_CELLS:,} may be, of the columns "
                f"{', '.join([*self.domains, *other.domains])}."
            )
        ours, theirs = (np.arange(len(f)) if f.codes is None else f.codes for f in (self, other))
        width = math.prod(map(len, other.domains.values()))
        if math.prod(map(len, self.domains.values())) * width >= MOST_KEYS:
            raise KeysError("The keys have too many distinct values; give independent columns as a product.")
        return Factor(self.domains | other.domains, np.add.outer(ours * width, theirs).ravel())

    def ordered(self, names: Sequence[str]) -> Factor:
        """The same rows over the columns in that order, sorted by them."""
        if list(self.domains) == list(names):
            return self
        domains = {name: self.domains[name] for name in names}
        if self.codes is None:
            return Factor(domains)
        of, code = self.positions, np.zeros(len(self), np.int64)
        for name, domain in domains.items():
            code = code * len(domain) + of[name]
        return Factor(domains, np.sort(code))

    def onto(self, names: Iterable[str]) -> Factor:
        """The distinct rows over some of the columns, in that order."""
        domains = {name: self.domains[name] for name in names}
        if self.codes is None:
            return Factor(domains)
        return self.ordered(list(domains)) if len(domains) == len(self.domains) else listed(domains, self.positions)

    def where(self, mask: Mask) -> Factor:
        """The rows that a mask of all rows keeps."""
        return self if mask.all() else listed(self.domains, {name: at[mask] for name, at in self.positions.items()})

    def rows(self) -> dict[str, pa.Array]:
        """The rows, a column for every name."""
        return {name: self.domains[name].take(pa.array(at)) for name, at in self.positions.items()}

    def holds(self, domains: Mapping[str, pa.Array], positions: Mapping[str, Cells]) -> Mask:
        """Which rows, given by the positions of their values in domains of their own, are rows here; nulls are equal.

        Parameters
        ----------
        domains, positions
            Of each column here, and perhaps of others: its values, and (n,) where each row's is among them.
        """
        code: Any = np.int64(0)
        known: Any = np.True_
        for name, domain in self.domains.items():
            place = places(domains[name], domain)[positions[name]]
            known, code = known & (place != ABSENT), code * len(domain) + place
        if self.codes is not None and len(self.codes):
            at = np.minimum(np.searchsorted(self.codes, code), len(self.codes) - 1)
            known = known & (self.codes[at] == code)
        return np.asarray(known)


def listed(domains: Mapping[str, pa.Array], positions: Mapping[str, Cells]) -> Factor:
    """The distinct ones of rows given by the positions of their values; values that no row has are left out.

    Raises
    ------
    KeysError
        When the values that there are have 2**62 combinations.
    """
    kept: dict[str, pa.Array] = {}
    code: Cells = np.zeros(len(next(iter(positions.values()))), np.int64)
    for name, domain in domains.items():
        at, used = positions[name], np.zeros(len(domain), bool)
        used[at] = True
        if not used.all():
            at, domain = (np.cumsum(used) - 1)[at], domain.filter(pa.array(used))
        kept[name] = domain
        if math.prod(map(len, kept.values())) >= MOST_KEYS:
            raise KeysError("The keys have too many distinct values; give independent columns as a product.")
        code = code * len(domain) + at
    code = np.unique(code)
    return Factor(kept, None if len(code) == math.prod(map(len, kept.values())) else code)


def places(values: pa.Array, domain: pa.Array) -> Cells:
    """Where each value is in a domain, or −1; null is a value like any other."""
    if pa.types.is_null(domain.type) or pa.types.is_null(values.type):
        type_ = values.type if pa.types.is_null(domain.type) else domain.type
        values, domain = values.cast(type_), domain.cast(type_)
    found: Cells = pc.index_in(values, value_set=domain).fill_null(ABSENT).to_numpy(zero_copy_only=False)
    return found.astype(np.int64, copy=False)


def sort(values: pa.Array) -> pa.Array:
    """The values in the order of answers: sorted, null first."""
    return values.take(pc.array_sort_indices(values, null_placement="at_start"))


def agree(ours: Factor, theirs: Factor) -> list[str]:
    """The columns that both have, which hold values of one type.

    Raises
    ------
    ColumnTypeError
        When they do not; a column of null alone goes with every type.
    """
    shared = [name for name in ours.domains if name in theirs.domains]
    for name in shared:
        pair = ours.domains[name], theirs.domains[name]
        if pair[0].type != pair[1].type and not any(pa.types.is_null(domain.type) for domain in pair):
            left, right = (next(value for value in domain.to_pylist() if value is not None) for domain in pair)
            raise ColumnTypeError(
                f"The keys of {name!r} are like {left!r} in one set and like {right!r} in the other: give both as one "
                "type."
            )
    return shared


def both(ours: Factor, theirs: Factor) -> Factor:
    """The rows of either, over the same columns."""
    domains, positions = {}, {}
    there = theirs.positions
    for name, here in ours.positions.items():
        mine, other = ours.domains[name], theirs.domains[name]
        if pa.types.is_null(mine.type):
            mine = mine.cast(other.type)
        new = other.filter(pa.array(places(other, mine) == ABSENT)).cast(mine.type)
        # An order of its own, as of the bins of a cut, stays where nothing is added to it.
        domains[name] = all_values = sort(pa.concat_arrays([mine, new])) if len(new) else mine
        positions[name] = np.concatenate([places(mine, all_values)[here], places(other, all_values)[there[name]]])
    return listed(domains, positions)


def meet(ours: Factor, theirs: Factor) -> Factor:
    """The natural join of two factors: rows that agree in the columns that both have, of which there is one at least.

    Raises
    ------
    KeysError
        When more than ``MOST_CELLS`` rows come out.
    """
    shared = agree(ours, theirs)
    if len(shared) == len(theirs.domains):
        return ours.where(theirs.holds(ours.domains, ours.positions))
    if len(shared) == len(ours.domains):
        return theirs.where(ours.holds(theirs.domains, theirs.positions))
    here, there = ours.positions, theirs.positions
    left, right = np.zeros(len(ours), np.int64), np.zeros(len(theirs), np.int64)
    known = np.ones(len(theirs), bool)
    for name in shared:
        place = places(theirs.domains[name], ours.domains[name])[there[name]]
        left, right = left * len(ours.domains[name]) + here[name], right * len(ours.domains[name]) + place
        known &= place != ABSENT
    order = np.flatnonzero(known)[np.argsort(right[known], kind="stable")]
    begin, end = (np.searchsorted(right[order], left, side) for side in ("left", "right"))
    count = end - begin
    if count.sum() > MOST_CELLS:
        raise KeysError(f"{count.sum():,} keys would come of this join: at most {MOST_CELLS:,} may.")
    row = np.repeat(np.arange(len(ours)), count)
    other = order[np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count) + begin[row]]
    domains = ours.domains | {name: domain for name, domain in theirs.domains.items() if name not in ours.domains}
    return listed(domains, {n: here[n][row] if n in here else there[n][other] for n in domains})
