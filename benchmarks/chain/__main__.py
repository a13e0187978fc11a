"""What a chain of ten steps costs over the same work by hand in DuckDB and numpy, in milliseconds.

``python -m benchmarks.chain`` writes ``benchmarks/results/chain.json`` and ``chain.md``.

Both make the chain, or the query, anew in every round, and take turns. By hand means: one DuckDB query over the pandas
frame, group sums by numpy, and noise of the same law by numpy's generator. dpframe also parses and checks the SQL,
charges a budget, draws exact noise, and writes down what the release says of itself.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import duckdb
import numpy as np
import pandas as pd

import dpframe as dp
from benchmarks.pages import Bar, Found, Page, run

ROUNDS = 15
BANDS = [0, 20, 40, 60, 80, 100]
TOWNS = pd.DataFrame({"town": [f"t{at}" for at in range(50)], "region": [f"r{at % 7}" for at in range(50)]})
REGIONS = [f"r{at}" for at in range(7)]


def table(rows: int) -> pd.DataFrame:
    """Invented members of a library."""
    draw = np.random.default_rng(rows)
    return pd.DataFrame(
        {
            "town": draw.choice(TOWNS["town"].to_numpy(), rows),
            "age": draw.integers(0, 110, rows),
            "books": draw.normal(8, 5, rows),
            "fee": np.where(draw.random(rows) < 0.1, np.nan, draw.exponential(3, rows)),
        }
    )


def chain(frame: pd.DataFrame, budget: dp.Budget) -> Any:
    """Ten steps and a release."""
    return (
        frame.dp.protect()
        .filter("age BETWEEN 5 AND 99")
        .drop_null("fee")
        .fill_null(books=0.0)
        .assign(due="fee * 1.1 + 0.5")
        .assign(reads="greatest(books, 0)")
        .filter("due < 20")
        .join_public(TOWNS, on="town")
        .rename({"region": "area"})
        .assign(band=dp.cut("age", BANDS))
        .select("area", "band", "reads", "due")
        .groupby("area", "band", keys={"area": REGIONS})
        .agg(n=dp.count(), reads=dp.mean("reads", 0, 25), due=dp.sum("due", 0, 20))
        .release(epsilon=1, budget=budget)
    )


def by_hand(frame: pd.DataFrame) -> pd.DataFrame:
    """The same answer by hand."""
    cut = " ".join(f"WHEN age <= {high} THEN {at}" for at, high in enumerate(BANDS[1:]))
    query = f"""
        WITH kept AS (SELECT *, fee * 1.1 + 0.5 AS due, greatest(coalesce(books, 0.0), 0) AS reads FROM frame
                      WHERE age BETWEEN 5 AND 99 AND fee IS NOT NULL AND NOT isnan(fee)),
             cell AS (SELECT CAST(substr(region, 2) AS INT) * 5 + CASE {cut} END AS cell, reads, due
                      FROM kept JOIN towns USING (town) WHERE due < 20)
        SELECT * FROM cell WHERE cell IS NOT NULL
    """
    with duckdb.connect() as engine:
        engine.register("frame", frame)
        engine.register("towns", TOWNS)
        rows = engine.sql(query).fetchnumpy()
    cell, cells = rows["cell"], len(REGIONS) * 5
    noise = np.random.default_rng().laplace
    n = np.bincount(cell, minlength=cells) + noise(0, 3, cells)
    reads = np.bincount(cell, np.clip(rows["reads"], 0, 25) - 12.5, cells) + noise(0, 40, cells)
    due = np.bincount(cell, np.clip(rows["due"], 0, 20), cells) + noise(0, 60, cells)
    keys = pd.MultiIndex.from_product([REGIONS, range(5)], names=["area", "band"])
    mean = np.clip(reads / np.maximum(n, 1) + 12.5, 0, 25)
    return pd.DataFrame({"n": n, "reads": mean, "due": due}, index=keys).reset_index()


def milliseconds(work: Callable[[], object]) -> float:
    """The time of one round."""
    begin = time.perf_counter()
    work()
    return 1e3 * (time.perf_counter() - begin)


def overhead(rows: int) -> Found:
    """Medians over the rounds, in which both take turns."""
    frame, budget = table(rows), dp.Budget(epsilon=10**6)
    kinds: dict[str, Callable[[], object]] = {
        "dpframe, ms": lambda: chain(frame, budget),
        "by hand, ms": lambda: by_hand(frame),
    }
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for at in range(ROUNDS + 2):  # the first two warm up
        for name, work in kinds.items():
            took = milliseconds(work)
            if at > 1:
                times[name].append(took)
    more = statistics.median(a - b for a, b in zip(*times.values(), strict=True))
    return {name: statistics.median(each) for name, each in times.items()} | {"more than by hand, ms": more}


def _bar(rows: int) -> Bar:
    return Bar(
        figure=f"{rows:,} rows",
        what=f"ten steps and a release of {rows:,} rows on pandas",
        asked="at most 150 ms more than by hand",
        measured=lambda found: f"{found['more than by hand, ms']:.0f} ms more than {found['by hand, ms']:.0f} ms",
        met=lambda found: found["more than by hand, ms"] <= 150,
    )


SIZES = (1_000, 100_000, 1_000_000)
PAGE = Page(
    name="chain",
    title="A chain of ten steps",
    figures={f"{rows:,} rows": partial(overhead, rows) for rows in SIZES},
    bars=[_bar(rows) for rows in SIZES],
    packages=("dpframe", "numpy", "pandas", "duckdb"),
)

if __name__ == "__main__":
    run(PAGE, sys.argv[1:] or PAGE.figures)
