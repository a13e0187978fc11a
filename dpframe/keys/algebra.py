"""The algebra of key sets, on their factors: what a step does not need stays apart, and is not multiplied out.

A set that is not empty is a product of factors over disjoint columns in many ways, of which one is finest, and any two
of them have a common refinement. So two sets can be compared without a look at their products: see :func:`equal`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import partial, reduce

import numpy as np
import pyarrow as pa

from dpframe.keys.factor import ARROW, Factor, Mask, agree, both, meet
from dpframe.plan import Column, Expression, Schema, Type

Factors = tuple[Factor, ...]


def size(factors: Iterable[Factor]) -> int:
    """The number of keys."""
    return math.prod(map(len, factors))


def names(factors: Iterable[Factor]) -> list[str]:
    """The columns, in order."""
    return [name for factor in factors for name in factor.domains]


def project(factors: Factors, columns: Sequence[str]) -> Factors:
    """The distinct keys over some columns: factors without any of them go."""
    if not size(factors):
        factors = nothing(factors)
    parts = [factor.onto([name for name in columns if name in factor.domains]) for factor in touching(factors, columns)]
    apart = [each for part in parts for each in part.apart()]
    return tuple(sorted(apart, key=lambda part: columns.index(next(iter(part.domains)))))


def minus(ours: Factors, theirs: Factors) -> Factors:
    """The keys of ours of which theirs, over some of the columns, do not hold the values."""
    _agreeing(ours, theirs)
    if not size(ours) or not size(theirs):
        return ours
    limits = [factor for factor in theirs if not covers(factor, ours)]
    if not limits:
        return nothing(ours)
    present = [_possible(factor, ours) for factor in limits]
    if not all(map(len, present)):
        return ours

    def left(whole: Factor) -> Factor:
        positions = whole.positions
        held = [factor.holds(whole.domains, positions) for factor in present]
        return whole.where(~np.logical_and.reduce(held))

    return replaced(ours, names(present), left, "What is left of a product is no product")


def union(ours: Factors, theirs: Factors) -> Factors:
    """The keys of either, over the same columns."""
    _agreeing(ours, theirs)
    if not size(theirs) or (size(ours) and all(covers(factor, theirs) for factor in ours)):
        return ours
    if not size(ours) or all(covers(factor, ours) for factor in theirs):
        return project(theirs, names(ours))
    groups = [_parts(ours, theirs, group) for group in _components([*ours, *theirs])]
    unlike = [parts for parts in groups if not equal(*parts)]
    columns = [name for name in names(ours) for parts in unlike if name in names(parts[0])]
    why = "Sets that differ in several columns have no product as their union"
    other = _whole(touching(theirs, columns), why)
    return replaced(ours, columns, lambda whole: both(whole, other.ordered(list(whole.domains))), why)


def join(ours: Factors, theirs: Factors) -> Factors:
    """The natural join: combinations of a key of each that agree in the columns that both have."""
    _agreeing(ours, theirs)
    factors = ours
    for factor in theirs:
        touched = sorted(touching(factors, factor.domains), key=len)
        if not touched:
            factors = (*factors, factor)
            continue
        joined = reduce(lambda done, each: meet(each, done), touched, factor)
        order = [name for name in names(factors) if name in joined.domains]
        joined = joined.ordered([*order, *(name for name in joined.domains if name not in order)])
        factors = _in_place(factors, touched, joined)
    return factors


def equal(ours: Factors, theirs: Factors) -> bool:
    """Whether both have the same keys, whatever their factors and the order of their columns.

    If they have, each factor F of one is the product of its projections on the columns that it shares with each factor
    G of the other, and so is G, by the common refinement; and the projections of F and G are the same. If for all F
    these are the same and their sizes multiply to that of F, ours is the product of all of them, and theirs is within
    that product: so they are equal when their sizes are.
    """
    if set(names(ours)) != set(names(theirs)) or size(ours) != size(theirs):
        return False
    return not size(ours) or all(_split_alike(factor, theirs) for factor in ours)


def _split_alike(factor: Factor, theirs: Factors) -> bool:
    """Whether a factor is the product of its projections on those of theirs, which are the same."""
    combinations = 1
    for other in touching(theirs, factor.domains):
        shared = [name for name in factor.domains if name in other.domains]
        part, same = factor.onto(shared), other.onto(shared)
        if len(part) != len(same) or _kinds(part, same) or not same.holds(part.domains, part.positions).all():
            return False
        combinations *= len(part)
    return combinations == len(factor)


def _kinds(one: Factor, other: Factor) -> bool:
    """Whether a column holds values of two types."""
    types = [(one.domains[name].type, other.domains[name].type) for name in one.domains]
    return any(a != b and not pa.types.is_null(a) and not pa.types.is_null(b) for a, b in types)


def keep(factors: Factors, condition: str) -> Factors:
    """The keys for which a SQL condition is true; each part of it looks at the factors of its own columns alone."""
    from dpframe import sql  # with sqlglot, for which whoever filters no keys need not wait

    kinds = {form: type_ for type_, form in ARROW.items()}
    domains = {name: domain for factor in factors for name, domain in factor.domains.items()}
    columns = [
        Column(name, f"c{at}", kinds.get(domain.type, Type.OTHER), nullable=domain.null_count > 0)
        for at, (name, domain) in enumerate(domains.items())
    ]
    for each in sql.conjuncts(condition, Schema(tuple(columns), len(columns))):
        refs = {column.name: column.ref for column in columns if column.ref in each.reads}
        if not refs:
            one = Factor({"": pa.array([0])})
            factors = factors if _true(one, each, {}).all() else nothing(factors)
            continue
        why = f"The condition compares columns of several factors, {', '.join(refs)}"
        factors = replaced(factors, refs, partial(_kept, condition=each, refs=refs), why)
    return factors


def _kept(factor: Factor, condition: Expression, refs: Mapping[str, str]) -> Factor:
    """The rows of a factor for which a condition is true, which looks at each combination of its columns once."""
    read = factor.onto(refs)
    true = read.where(_true(read, condition, refs))
    return factor.where(true.holds(factor.domains, factor.positions))


def _true(factor: Factor, condition: Expression, refs: Mapping[str, str]) -> Mask:
    """In which rows of a factor a condition is true."""
    import duckdb

    mask = np.zeros(len(factor), bool)
    rows = factor.rows()
    table = pa.table({**{ref: rows[name] for name, ref in refs.items()}, "place": np.arange(len(factor))})
    with duckdb.connect(":memory:", config={"enable_external_access": "false", "temp_directory": ""}) as engine:
        engine.register("keys", table)
        true = engine.sql(f"SELECT place FROM keys WHERE {condition.duckdb}").to_arrow_table()
    mask[true["place"].to_numpy()] = True
    return mask


def nothing(factors: Factors) -> Factors:
    """No keys, over the same columns."""
    return tuple(Factor({name: domain[:0]}) for factor in factors for name, domain in factor.domains.items())


def touching(factors: Factors, columns: Iterable[str]) -> Factors:
    """The factors of some columns."""
    wanted = set(columns)
    return tuple(factor for factor in factors if not wanted.isdisjoint(factor.domains))


def replaced(factors: Factors, columns: Iterable[str], change: Callable[[Factor], Factor], why: str) -> Factors:
    """The factors with those of some columns multiplied out and changed; all others stay as they are."""
    touched = touching(factors, columns)
    return _in_place(factors, touched, change(_whole(touched, why)))


def _in_place(factors: Factors, old: Sequence[Factor], new: Factor) -> Factors:
    """The factors with one in the place of the first of the old ones, in its smallest parts."""
    if not len(new):
        return nothing((*(factor for factor in factors if factor not in old), new))
    first = min(factors.index(factor) for factor in old)
    before, after = factors[:first], factors[first:]
    return (*before, *new.apart(), *(factor for factor in after if factor not in old))


def _whole(factors: Sequence[Factor], why: str) -> Factor:
    """The factors multiplied out."""
    return reduce(lambda one, other: one.times(other, why), factors)


def covers(factor: Factor, keys: Factors) -> bool:
    """Whether the values of all keys, in the columns of the factor, are among its rows."""
    parts = _within(keys, factor)
    if size(parts) > len(factor):
        return False
    whole = _whole(parts, "")
    return bool(factor.holds(whole.domains, whole.positions).all())


def _possible(factor: Factor, keys: Factors) -> Factor:
    """The rows of a factor whose values the keys' own factors have, each by itself."""
    positions, mask = factor.positions, np.ones(len(factor), bool)
    for part in _within(keys, factor):
        mask &= part.holds(factor.domains, positions)
    return factor.where(mask)


def _within(keys: Factors, factor: Factor) -> list[Factor]:
    """The factors of keys, each over those of its columns that another factor has too."""
    return [part.onto([n for n in part.domains if n in factor.domains]) for part in touching(keys, factor.domains)]


def _agreeing(ours: Factors, theirs: Factors) -> None:
    for one in ours:
        for other in touching(theirs, one.domains):
            agree(one, other)


def _components(factors: Sequence[Factor]) -> list[Set[str]]:
    """The columns in the least groups that no factor is divided by."""
    groups: list[set[str]] = []
    for factor in factors:
        own = set(factor.domains)
        met = [group for group in groups if group & own]
        groups = [group for group in groups if not group & own] + [own.union(*met)]
    return list(groups)


def _parts(ours: Factors, theirs: Factors, group: Set[str]) -> tuple[Factors, Factors]:
    return touching(ours, group), touching(theirs, group)
