"""Hostile values in every public method: no error, no leak, and an answer whose shape is that of ordinary data."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from engines import Engine
from hostile import CANARY, FAMILIES, Family

import dpframe as dp

Chain = Callable[[Any], Any]

NAMES = pd.DataFrame({"c": ["p", None], "z": [1, 2]})


def kept(frame: Any, groups: int, rows: int, **options: Any) -> Any:
    """Rows of an id within bounds."""
    return frame.dp.protect(id=options.pop("id", "user")).bound(groups=groups, rows_per_group=rows, **options)


ANY: dict[str, Chain] = {
    "count": lambda f: f.dp.protect().count(),
    "distinct": lambda f: f.dp.protect().count_distinct("c"),
    "filter": lambda f: f.dp.protect().filter("c IS NOT NULL").count(),
    "drop_null": lambda f: f.dp.protect().drop_null("c").count(),
    "drop_inf": lambda f: f.dp.protect().drop_inf().count(),
    "rename": lambda f: f.dp.protect().rename({"c": "d"}).select("d", "level").groupby("level", keys=["a"]).count(),
    "bound": lambda f: kept(f, 1, 2).groupby("level", keys=["a"]).count(),
    "several bounds": lambda f: kept(f, 1, 2, by=["level"]).bound(rows=3).count(),
    "distinct ids": lambda f: kept(f, 2, 2).count_distinct("user"),
    "found": lambda f: f.dp.protect().groupby("level").count(),
    "map": lambda f: f.dp.protect().map(lambda row: {"y": len(str(row["c"]))}, {"y": int}).sum("y", 0, 9),
    "failing map": lambda f: f.dp.protect().map(lambda row: {"y": 1 // row["c"]}, {"y": (int, 3)}).sum("y", 0, 9),
    "flat_map": lambda f: f.dp.protect().flat_map(lambda row: [{"y": row["c"]}] * 3, {"y": str}, max_rows=2).count(),
    "partition": lambda f: f.dp.protect().partition("level", ["a", "b"])["a"].count(),
}
KINDS: dict[str, dict[str, Chain]] = {
    "number": {
        "statistics": lambda f: f.dp.protect().agg(
            n=dp.count(), s=dp.sum("c", -3, 5), m=dp.mean("c", 0, 9), v=dp.var("c", 0, 9), d=dp.std("c", 0, 9)
        ),
        "grouped": lambda f: f.dp.protect(id="user").bound(rows=3).groupby("level", keys=["a", None]).mean("c", 0, 9),
        "cut": lambda f: f.dp.protect().assign(b=dp.cut("c", [-10, 0, 2, 2**40])).groupby("b").count(),
        "quantiles": lambda f: f.dp.protect().agg(
            q=dp.quantile("c", [0.1, 0.5], 0, 9), low=dp.min("c", 0, 9), high=dp.max("c", 0, 9)
        ),
        "found quantiles": lambda f: f.dp.protect().groupby("level").quantile("c", [0.1, 0.5], 0, 9),
        "histogram": lambda f: f.dp.protect().histogram("c", [0, 1, 5]),
        "arithmetic": lambda f: f.dp.protect().assign(y="c * c + 1 / c - c % 3").sum("y", 0, 5),
        "casts": lambda f: f.dp.protect().assign(y="CAST(CAST(CAST(c AS BIGINT) AS STRING) AS BIGINT)").sum("y", 0, 5),
        "functions": lambda f: f.dp.protect().assign(y="sqrt(abs(c)) + floor(c) + round(c)").sum("y", 0, 5),
        "filled": lambda f: f.dp.protect().fill_null(c=1).drop_inf().sum("c", 0, 5),
        "comparison": lambda f: f.dp.protect().filter("c BETWEEN 0 AND 5 OR c IN (7, 9)").count(),
    },
    "text": {
        "keys": lambda f: f.dp.protect().groupby("c", keys=["p", "q", None]).count(),
        "found text": lambda f: f.dp.protect().groupby("c").count(),
        "id": lambda f: kept(f, 1, 1, id="c").groupby("level", keys=["a"]).count(),
        "by": lambda f: kept(f, 1, 1, by=["c"]).count(),
        "functions": lambda f: (
            f.dp.protect().assign(y="length(concat(trim(c), c)) + length(left(c, 2))").sum("y", 0, 9)
        ),
        "casts": lambda f: f.dp.protect().assign(y="CAST(c AS DOUBLE) + CAST(c AS BIGINT)").sum("y", 0, 5),
        "dates": lambda f: f.dp.protect().assign(y="year(CAST(c AS DATE))").sum("y", 0, 3000),
        "like": lambda f: f.dp.protect().filter("c LIKE 'p%' OR c > 'q'").count(),
        "public": lambda f: f.dp.protect().join_public(NAMES, on="c").sum("z", 0, 2),
        "join": lambda f: f.dp.protect().join(f.dp.protect(), on="c", max_matches=(2, 2)).count(),
        "cut": lambda f: f.dp.protect().assign(b=dp.cut("c", ["a", "n", "z"])).groupby("b").count(),
        "filled": lambda f: f.dp.protect().fill_null(c="p").groupby("c", keys=["p"]).count(),
    },
    "boolean": {
        "keys": lambda f: f.dp.protect().groupby("c", keys=[True, False, None]).count(),
        "filter": lambda f: f.dp.protect().filter("c AND NOT (x > 2)").count(),
    },
    "date": {
        "keys": lambda f: f.dp.protect().groupby("c", keys=[datetime.date(2024, 1, 2), None]).count(),
        "parts": lambda f: f.dp.protect().assign(y="year(c) + month(c) + day(c)").sum("y", 0, 3000),
        "compare": lambda f: f.dp.protect().filter("c >= DATE '2024-01-01'").count(),
        "cut": lambda f: f.dp.protect().assign(b=dp.cut("c", ["2023-01-01", "2024-06-01"])).groupby("b").count(),
        "text": lambda f: f.dp.protect().assign(y="length(CAST(c AS STRING))").sum("y", 0, 20),
    },
    "stamp": {
        "null": lambda f: f.dp.protect().filter("c IS NULL").count(),
        "parts": lambda f: f.dp.protect().assign(y="hour(c) + unix_seconds(c) % 9").sum("y", 0, 30),
        "cut": lambda f: f.dp.protect().assign(b=dp.cut("c", ["2023-01-01", "2024-06-01 12:00"])).groupby("b").count(),
        "map": lambda f: f.dp.protect().map(lambda row: {"y": row["c"]}, {"y": datetime.datetime}).count_distinct("y"),
        "filled": lambda f: f.dp.protect().fill_null().filter("c >= timestamp '1970-01-01'").count(),
    },
    "other": {"null": lambda f: f.dp.protect().filter("c IS NULL").count()},
}


def chains(family: Family) -> dict[str, Chain]:
    """The methods that a column of this kind can be put to."""
    every = {name: chain for name, chain in ANY.items() if (family.kind, name) != ("other", "distinct")}
    return every | {f"{family.kind}: {name}": chain for name, chain in KINDS[family.kind].items()}


def shape(engine: Engine, chain: Chain, frame: pd.DataFrame) -> tuple[Any, ...]:
    """What anyone may know of the answer before it is there; that nothing tells of a value; and its public keys."""
    query = chain(engine.frame(frame))
    text = f"{query!r} {query.question.plan}"
    assert CANARY not in text
    found = query.question.finds
    cost = {"epsilon": 3, "delta": 1e-4} if found else {"epsilon": 3}
    options = {} if found else {"ci": 0.9}
    released = query.release(**cost, **options, budget=dp.Budget(epsilon=3, delta=1e-4))
    rows = engine.rows(released)
    keys = None if found else rows[list(query.question.by)].astype(object).values.tolist()
    return list(rows.columns), [str(dtype) for dtype in rows.dtypes], repr(keys), released.dp.release_info().json


def ids(family: Family) -> str:
    return family.name


def test_the_catalogue_is_as_large_as_it_says() -> None:
    assert sum(len(family.hostile) for family in FAMILIES) >= 300


def disturbs(engine: Engine, family: Family, tables: dict[str, list[Any]]) -> list[tuple[str, str]]:
    """The methods whose answers have another shape over some table than over an ordinary one."""
    found = []
    for name, chain in chains(family).items():
        ordinary = shape(engine, chain, family.frame(family.plain * 3))
        found += [
            (name, which) for which, values in tables.items() if shape(engine, chain, family.frame(values)) != ordinary
        ]
    return found


@pytest.mark.parametrize("family", FAMILIES, ids=ids)
def test_no_value_of_any_kind_changes_more_than_values(
    engine: Engine, family: Family, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    if engine.name != "pandas":
        pytest.skip("on Spark among the slow tests: a release for each method and table takes minutes")
    caplog.set_level(logging.DEBUG, "dpframe")
    tables = {"all": family.plain + family.hostile, "none": [], "hostile alone": family.hostile * 2}
    assert disturbs(engine, family, tables) == []
    assert CANARY not in caplog.text
    assert CANARY not in "".join(capfd.readouterr())


@pytest.mark.slow
@pytest.mark.parametrize("family", [family for family in FAMILIES if family.spark], ids=ids)
def test_nor_on_spark(engine: Engine, family: Family) -> None:
    if engine.name == "pandas":
        pytest.skip("on pandas among the quick tests")
    assert disturbs(engine, family, {"all": family.plain + family.hostile}) == []


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES, ids=ids)
def test_no_single_value_changes_more_than_values(engine: Engine, family: Family) -> None:
    if engine.name != "pandas":
        pytest.skip("a release for each value and method takes too long on Spark; there all are in one table")
    assert disturbs(engine, family, {repr(value)[:40]: [*family.plain, value] for value in family.hostile}) == []
