"""An answer of many groups is finished by Spark's executors: the same bits, in the same order, as fixed."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engines import Engine, exactly

import dpframe as dp
from dpframe.backends import spark_spread

LEVELS = [None, *"abcdefghij"]
"""With five bands 55 cells, in runs of seven: the last run is a short one."""


@pytest.fixture
def spreading(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Engine:
    """An engine that lets its executors finish every answer."""
    if engine.name == "pandas":
        pytest.skip("pandas has no executors")
    from dpframe.backends import spark

    monkeypatch.setattr(spark, "FEW", 0)
    monkeypatch.setattr(spark, "FEW_ON_CONNECT", 0)
    monkeypatch.setattr(spark_spread, "RUN", 7)
    return engine


def ask(frame: Any, **options: Any) -> Any:
    private = frame.dp.protect(id="user").bound(groups=3, rows_per_group=2)
    grouped = private.assign(band=dp.cut("age", range(0, 101, 20))).groupby("level", "band", keys={"level": LEVELS})
    answers = {"n": dp.count(), "income": dp.mean("income", 0, 10), "age": dp.sum("age", 0, 99)}
    query = grouped.agg(**answers, low=dp.quantile("income", 0.25, 0, 10), half=dp.median("age", 0, 99))
    return query.release(epsilon=1, budget=dp.Budget(epsilon=1), **options)


def test_the_executors_draw_the_bits_that_the_driver_would(
    spreading: Engine, members: pd.DataFrame, fixed_key: bytes
) -> None:
    members["age"] = members["age"].astype("Int64")
    for options in ({}, {"ci": 0.9}):
        here = spreading.rows(ask(spreading.frame(members), **options))
        pd.testing.assert_frame_equal(here, ask(members, **options), check_dtype=False, check_exact=True)


def test_a_spread_answer_has_the_shape_of_the_plan(spreading: Engine, members: pd.DataFrame) -> None:
    def batch_sizes(batches: Iterator[Any]) -> Iterator[Any]:
        import pyarrow as pa

        yield pa.RecordBatch.from_pydict({"rows": [sum(batch.num_rows for batch in batches)]})

    for rows in (members, members[:0], members[members["level"].isna()]):
        answer = ask(spreading.frame(rows, "user string, level string, age bigint, income double"))
        assert len(spreading.rows(answer)) == 55
        assert answer.dp.release_info().groups == 55
        sizes = answer.mapInArrow(batch_sizes, "rows bigint").toPandas()["rows"]
        assert list(sizes) == [7] * 7 + [6]


def test_a_spread_answer_is_fixed(spreading: Engine, members: pd.DataFrame) -> None:
    answer = ask(spreading.frame(members))
    before = spreading.rows(answer)
    answer.persist().count()
    answer.unpersist()
    answer.sparkSession.catalog.clearCache()
    pd.testing.assert_frame_equal(spreading.rows(answer), before)
    twice = answer.alias("l").join(answer.alias("r"), on="n").count()
    assert twice == sum(count**2 for count in before["n"].value_counts())


def test_two_spread_answers_differ(spreading: Engine, members: pd.DataFrame) -> None:
    first, second = (spreading.rows(ask(spreading.frame(members))) for _ in range(2))
    assert list(first["n"]) != list(second["n"])


def test_keys_are_found_by_arithmetic_by_comparison_and_by_joins(engine: Engine) -> None:
    """Each way to a cell, with null among the keys and without, on rows of which a third have no public key."""
    draw = np.random.default_rng(3)
    n = 900
    texts = np.array([f"t{i}" for i in range(60)] + ["", "é\u0000'\\$", None], dtype=object)
    frame = pd.DataFrame(
        {
            "run": pd.array(draw.integers(-5, 60, n), "Int64"),
            "gaps": pd.array(draw.integers(0, 90, n), "Int64"),
            "text": draw.choice(texts, n),
            "few": draw.choice(np.array(["a", "b", "é\u0000'\\$", None], dtype=object), n),
        }
    )
    frame.loc[draw.random(n) < 0.1, ["run", "gaps"]] = pd.NA
    listed = {
        "run": [list(range(-2, 50)), [None, *range(-2, 50)]],
        "gaps": [[g for g in range(80) if g % 3], [None, *(g for g in range(80) if g % 3)]],
        "text": [list(texts[5:62]), list(texts[5:63])],
        "few": [["a", "é\u0000'\\$"], ["b", None]],
    }
    public = [{name: values} for name, lists in listed.items() for values in lists]
    public += [{"few": listed["few"][1], "gaps": listed["gaps"][1], "run": [3, 4, 5]}]
    for keys in public:
        query = engine.frame(frame, "run bigint, gaps bigint, text string, few string").dp.protect()
        got = engine.rows(exactly(query.groupby(*keys, keys=dp.keys(keys)).count()))
        counts = frame.groupby(list(keys), dropna=False).size()
        tidy = {plain(key if isinstance(key, tuple) else (key,)): count for key, count in counts.items()}
        for *key, count in got.itertuples(index=False):
            assert count == tidy.get(plain(key), 0)
    # Listed rows of two columns are one factor, and joined as one.
    pairs = frame[["few", "gaps"]].drop_duplicates()[:40]
    rows = engine.frame(frame, "run bigint, gaps bigint, text string, few string")
    got = engine.rows(exactly(rows.dp.protect().groupby("few", "gaps", keys=dp.keys(pairs)).count()))
    assert len(got) == 40
    assert got["count"].sum() == len(frame.merge(pairs, on=["few", "gaps"]))


def plain(key: Any) -> tuple[Any, ...]:
    """A key with None for everything that pandas has for it."""
    return tuple(None if pd.isna(value) else value for value in key)


def test_halves_and_extremes_are_rounded_alike(engine: Engine) -> None:
    """Spark SQL clips and rounds by the operations of the kernels: to the even neighbour, null and NaN to nothing."""
    grid = 7.5 / 2**29
    steps = np.arange(-40, 40) / 2
    values = [*(steps * 2.0**-26), *(steps * grid), *(1.5 + steps * 2.0**-27), 1e300, -1e300, 5e-324, -0.0]
    values += [math.inf, -math.inf, math.nan, *np.random.default_rng(8).normal(0, 5, 500)]
    frame = pd.DataFrame({"x": values, "g": [f"g{i % 3}" for i in range(len(values))], "n": 1})
    frame["n"] = [(-1) ** i * 3 ** (i % 39) for i in range(len(values))]

    def sums(frame: Any) -> Any:
        private = frame.dp.protect().assign(y="x * 3 / x", m="n % 7").groupby("g", keys=["g0", "g1", "g2"])
        return exactly(
            private.agg(
                a=dp.sum("x", -7.5, 3.25),
                b=dp.mean("x", 1, 2.5),
                c=dp.sum("n", -(10**6), 10**8),
                d=dp.mean("n", -5, 8),
                e=dp.sum("y", 0, 3),
                f=dp.sum("m", -3, 3),
                vx=dp.var("x", -7.5, 3.25),
                vn=dp.var("n", -(10**6), 10**8),
                vm=dp.var("m", -3, 2),
            )
        )

    here = engine.rows(sums(engine.frame(frame, "x double, g string, n bigint")))
    pd.testing.assert_frame_equal(here, sums(frame.astype({"n": "Int64"})), check_dtype=False, check_exact=True)
