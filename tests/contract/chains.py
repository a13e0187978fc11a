"""Random tables, random chains of every step of the public surface, and random questions of what comes out.

A step is a name in :data:`STEPS`, a dict, which is a bound, or one of the classes below, which hold what was drawn for
it. After every step all of :data:`COLUMNS` are there with their types, so that any step may follow any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

import dpframe as dp
from dpframe.lines import Quantile

COLUMNS = ["user", "g", "h", "x", "n"]
SCHEMA = "user string, g string, h string, x double, n bigint not null"
KEYS: dict[str, list[Any]] = {
    "user": ["u", "v", None],
    "g": ["a", "b", "c", None],
    "h": ["p", None, "q"],
    "n": [0, 1, 2, 3],
}
PUBLIC = pd.DataFrame({"h": ["p", "p", "p", "q", None, None], "tag": [1, 2, 3, 4, 5, 6]})

rows = st.tuples(
    st.sampled_from(["u", "v", "w", None]),
    st.sampled_from(["a", "b", "c", "d", None]),
    st.sampled_from(["p", "q", None]),
    st.one_of(st.sampled_from([math.nan, math.inf, -math.inf, -0.0, 1e300, 5e-324]), st.floats(-20, 20)),
    st.integers(-(2**63), 2**63 - 1) | st.integers(-5, 30) | st.integers(0, 3),
)
small = st.integers(1, 3)


def tables(most: int) -> st.SearchStrategy[pd.DataFrame]:
    return st.lists(rows, min_size=1, max_size=most).map(
        lambda listed: pd.DataFrame(listed, columns=COLUMNS).astype(
            {"user": object, "g": object, "h": object, "x": float, "n": "int64"}
        )
    )


def sent(function: Any) -> Any:
    """So that Spark is sent the function itself, and not where it stands."""
    function.__module__ = "__main__"
    return function


@sent
def two(row: Any) -> Any:
    """Two rows, or none where x is missing, or an error."""
    return [{"x": row["x"], "n": 4}, {"x": 1 / row["n"], "n": row["n"]}][: 2 if row["x"] else 0]


@sent
def met(rows: Any) -> Any:
    """As many rows as there are texts in g, or an error, each with something of all rows of the id."""
    first, texts = rows[0], sorted({row["g"] for row in rows if row["g"] is not None})
    return [{"g": g, "h": first["h"], "x": len(rows) / (first["n"] - 3), "n": len(rows)} for g in texts]


EVERYTHING = {"g": (str, "c"), "h": str, "x": (float, -3.0), "n": int}


def again(private: Any) -> Any:
    """With a column called user, where a function that leaves out what is not the id has left out that."""
    return private if "user" in private.columns else private.assign(user="concat(g, 'x')")


def together(private: Any) -> Any:
    """A function of ids, where it is not refused: of rows it is, and after bounds that name columns."""
    named = any(getattr(bound, "by", None) is not None for bound in private.plan.bounds)
    return private if private.plan.unit.id is None or named else again(private.flat_map_by_id(met, EVERYTHING))


STEPS: dict[str, Callable[[Any], Any]] = {
    "filter": lambda p: p.filter("x > 0 or n < 3"),
    "present": lambda p: p.filter("n is not null and h is not null"),
    "assign": lambda p: p.assign(x="x * n", m="n / 2"),
    "case": lambda p: p.assign(g="case when n > 10 then 'a' else g end"),
    "no id": lambda p: p.assign(user="concat(g, 'x')"),
    "cut": lambda p: p.assign(band=dp.cut("x", [-5, 0, 5, 20])),
    "cut named": lambda p: p.assign(g=dp.cut("x", [-5, 0, 5, 20], labels=["a", "b", "a"], nan="c", right=False)),
    "cut text": lambda p: p.assign(h=dp.cut("g", ["a", "b", "d"], labels=["p", "q"], include_both=False)),
    "cut dates": lambda p: p.assign(day="date_add(date '2024-02-28', n)").assign(
        g=dp.cut("day", ["2024-02-28", "2024-02-29", "2024-03-05"], labels=["a", "b"])
    ),
    "rename": lambda p: p.rename({"g": "h", "h": "g"}),
    "select": lambda p: p.select("g", "h", "x", "n", "user"),
    "drop_null": lambda p: p.drop_null("h", "x"),
    "drop_null all": lambda p: p.drop_null(),
    "fill_null all": lambda p: p.fill_null(),
    "fill_null": lambda p: p.fill_null(user="u", g="a", x=-2.5),
    "drop_inf": lambda p: p.drop_inf(),
    "fill_inf": lambda p: p.fill_inf(x=(-1, 2)),
    "join_public": lambda p: p.join_public(PUBLIC).select(*COLUMNS),
    "join_public left": lambda p: (
        p.join_public(PUBLIC.iloc[1:], "h", "left").filter("tag is null or tag < 6").select(*COLUMNS)
    ),
    "map": lambda p: p.map(lambda row: {"g": row["h"]}, {"g": (str, "a")}, augment=True),
    "map anew": lambda p: again(p.map(lambda row: {**row, "x": 9 / row["n"]}, EVERYTHING)),
    "flat_map": lambda p: p.flat_map(two, {"x": (float, -3.0), "n": int}, max_rows=2, augment=True),
    "flat_map anew": lambda p: again(p.flat_map(lambda row: [row] * (row["n"] % 5), EVERYTHING, max_rows=3)),
    "flat_map_by_id": together,
}


@dataclass(frozen=True)
class Tables:
    """The private table that a chain begins with, and one to join it with."""

    ours: Any
    theirs: Any


@dataclass(frozen=True)
class Join:
    """A join with the other private table, or with the table itself, after steps of its own.

    Parameters
    ----------
    itself, steps, bound
        Which table, what it goes through, and its own bounds.
    on, how
        The columns, of ids besides the id, and ``max_matches=`` or ``unique=``.
    right
        The columns to go on with that are the other table's; the rest are ours.
    """

    itself: bool
    steps: tuple[str, ...]
    bound: dict[str, Any] | None
    on: tuple[str, ...]
    how: dict[str, Any]
    right: tuple[str, ...]

    def __call__(self, private: Any, tables: Tables) -> Any:
        theirs = tables.ours if self.itself else tables.theirs
        for step in self.steps:
            theirs = STEPS[step](theirs)
        theirs = theirs if self.bound is None else theirs.bound(**self.bound)
        on, sides = self.on, (private, theirs)
        if private.plan.unit.id is not None:
            on = tuple(dict.fromkeys(["user", *on]))
            if any(side.plan.schema["user"].ref != side.plan.unit.id.ref for side in sides):
                return private  # for it is by the id or not at all
        if private.plan.child is not None:
            return private  # parts are not joined
        joined = private.select(*COLUMNS).join(theirs.select(*COLUMNS), on, **self.how)
        taken = {f"{c}_{'right' if c in self.right else 'left'}": c for c in COLUMNS if c not in on}
        return joined.select(*on, *taken).rename(taken)


@dataclass(frozen=True)
class Parts:
    """A partition, of which all parts go on; of a part that is partitioned again, one."""

    column: str
    values: tuple[Any, ...]

    def __call__(self, private: Any) -> list[Any]:
        if private.plan.unit.id is not None and not private.plan.bounds:
            private = private.bound(rows=2)
        values = self.values if private.plan.child is None else self.values[:1]
        return list(private.partition(self.column, values).values())


@dataclass(frozen=True)
class Asked:
    """What is asked of the last table, or of each part of it.

    Parameters
    ----------
    by
        The grouping columns.
    listed
        For how many of them keys are given. Those of others are declared, or come from bins; or groups are found.
    found
        Of groups that are found, what is asked: it decides what the selection goes by.
    """

    by: tuple[str, ...]
    listed: int
    found: str

    def __call__(self, private: Any) -> Any:
        answers: dict[str, Any] = {
            "c": dp.count(),
            "s": dp.sum("x", -7.5, 3),
            "i": dp.sum("n", -3, 20),
            "m": dp.mean("x", 1, 2.5),
            "k": dp.mean("n", 0, 9),
            "d": dp.count_distinct("x"),
            "e": dp.count_distinct("user"),
            "f": dp.count_distinct("n", "h"),
            "v": dp.var("x", 1, 2.5),
            "w": dp.std("n", -(2**20), 2**20 + 3),
        }
        ranks = {"q": dp.quantile("x", [0.25, 0.5], -7.5, 3), "r": dp.median("n", -3, 20), "b": dp.bounds("x")}
        if not self.by:
            return private.agg(**answers, **ranks)
        keys = {name: KEYS[name] for name in self.by[: self.listed]}
        grouped = private.groupby(*self.by, keys=dp.keys(keys) if keys else None)
        if len(grouped.keys.columns) == len(self.by):
            return grouped.agg(**answers, **ranks)
        few = {"all": answers, "sum": {"s": answers["s"]}, "units": {"e": answers["e"], "i": answers["i"]}}
        return grouped.groups() if self.found == "groups" else grouped.agg(**few[self.found])


def questions(tables: Tables, chain: Sequence[Any], asked: Asked) -> list[Any]:
    """A query of each part that the chain ends with; without a partition there is one."""
    parts = [tables.ours]
    for step in chain:
        if isinstance(step, Parts):
            parts = [part for private in parts for part in step(private)]
        elif isinstance(step, Join):
            parts = [step(private, tables) for private in parts]
        else:
            parts = [p.bound(**step) if isinstance(step, dict) else STEPS[step](p) for p in parts]
    return [asked(private) for private in parts]


bounds = st.one_of(
    st.fixed_dictionaries({"rows": small}),
    st.fixed_dictionaries(
        {
            "groups": small,
            "rows_per_group": small,
            "by": st.sampled_from([None, "g", "h", ["g", "h"], "n"]),
        }
    ),
)
stay = small | st.just("unique")
few_rows = st.fixed_dictionaries({"max_matches": st.tuples(stay, stay)}) | st.just({"unique": True})
named = st.sampled_from(list(STEPS))
parts = st.builds(
    lambda column, values: Parts(column, tuple(values[column])),
    st.sampled_from(list(KEYS)),
    st.fixed_dictionaries({name: st.lists(st.sampled_from(KEYS[name]), min_size=1, unique=True) for name in KEYS}),
)


def joins(ids: bool) -> st.SearchStrategy[Join]:
    return st.builds(
        Join,
        itself=st.booleans(),
        steps=st.lists(named, max_size=2).map(tuple),
        bound=st.none() | bounds if ids else st.none(),
        on=st.sampled_from([("h",), ("g",), ("g", "h"), ("n",), ("user",)]),
        how=few_rows | st.just({}) if ids else few_rows,
        right=st.lists(st.sampled_from(COLUMNS), unique=True).map(tuple),
    )


def chains(ids: bool, certain: str | None = None) -> st.SearchStrategy[list[Any]]:
    """Up to six steps; with one that is certain, ``join``, ``partition`` or a name in :data:`STEPS`, up to seven."""
    others = {"join": joins(ids), "partition": parts} | ({"bound": bounds} if ids else {})
    drawn = st.lists(st.one_of(named, named, *others.values()), max_size=6)
    if certain is None:
        return drawn
    step = others.get(certain, st.just(certain))
    return st.builds(lambda one, chain, at: [*chain[:at], one, *chain[at:]], step, drawn, st.integers(0, 6))


asked = st.builds(
    Asked,
    st.sampled_from([(), ("g",), ("h",), ("g", "h"), ("n", "g"), ("user",)]),
    st.integers(0, 2),
    st.sampled_from(["all", "groups", "sum", "units"]),
)


@sent
def below(statistics: Sequence[Any], line: Any, runs: Any, groups: Any = None) -> dict[int, Any]:
    """In the place of what chooses quantiles: how many rows of each cell stand in the lower part of a line."""
    found = {}
    for at, each in enumerate(statistics):
        if isinstance(each, Quantile) and each.line == line:
            under = np.where(runs.positions <= line.last * (each.at + 1) // 3, runs.counts, 0)
            so_far = np.append(0, np.cumsum(under))
            found[at] = so_far[runs.begin[1:]] - so_far[runs.begin[:-1]]
    return found
