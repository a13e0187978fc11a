"""Real data: every flight out of New York City in 2013, protected by aircraft."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from engines import Engine, exactly
from flights import flights

import dpframe as dp

COLUMNS = ["tailnum", "carrier", "origin", "dest", "arr_delay"]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return flights(COLUMNS)


@pytest.fixture(scope="module")
def frame(engine: Engine, table: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Any:
    if engine.name == "pandas":
        return table
    path = str(tmp_path_factory.mktemp("flights") / "flights.parquet")
    table.to_parquet(path)
    session = engine.frame(pd.DataFrame({"x": [1]})).sparkSession
    return session.read.parquet(path)


def carrier_by_origin(frame: Any, table: pd.DataFrame) -> Any:
    carriers = dp.keys({"carrier": sorted(table["carrier"].unique())}) * dp.keys({"origin": ["EWR", "JFK", "LGA"]})
    private = frame.dp.protect(id="tailnum").bound(groups=3, rows_per_group=20)
    grouped = private.groupby("carrier", "origin", keys=carriers)
    return grouped.agg(flights=dp.count(), delay=dp.mean("arr_delay", -60, 180))


def test_carrier_by_origin(engine: Engine, frame: Any, table: pd.DataFrame) -> None:
    query = carrier_by_origin(frame, table)
    exact = engine.rows(exactly(query))
    assert len(exact) == 16 * 3
    # The bounds keep at most 3 groups × 20 rows of an aircraft, and rows without a tail number are dropped.
    by_plane = table.dropna(subset="tailnum").groupby(["tailnum", "carrier", "origin"]).size()
    most = by_plane.clip(upper=20).groupby("tailnum").nlargest(3).sum()
    least = by_plane.clip(upper=20).groupby("tailnum").nsmallest(3).sum()
    assert least <= exact["flights"].sum() <= most
    released = engine.rows(query.release(epsilon=2, budget=dp.Budget(epsilon=2), ci=0.99))
    assert released["delay"].between(-60, 180).all()
    held = (released["flights_low"] <= exact["flights"]) & (exact["flights"] <= released["flights_high"])
    assert held.sum() >= 40  # of 48 at 99 %: fewer has a chance below 1e-8


def test_both_engines_keep_the_same_rows(engine: Engine, frame: Any, table: pd.DataFrame, fixed_key: bytes) -> None:
    here = carrier_by_origin(frame, table).release(rho=0.5, budget=dp.Budget(rho=1))
    there = carrier_by_origin(table, table).release(rho=0.5, budget=dp.Budget(rho=1))
    pd.testing.assert_frame_equal(engine.rows(here), there, check_exact=True)


def test_by_destination(engine: Engine, frame: Any, table: pd.DataFrame) -> None:
    destinations = sorted(table["dest"].unique())
    private = frame.dp.protect(id="tailnum").bound(rows=500)
    grouped = private.groupby("dest", keys=destinations)
    exact = engine.rows(exactly(grouped.agg(n=dp.count(), delay=dp.mean("arr_delay", -60, 180))))
    known = table.dropna(subset="tailnum")
    kept = known.groupby("tailnum").size().clip(upper=500).sum()
    assert exact["n"].sum() == kept
    # 25 aircraft fly more than 500 times: the rest is untouched, so are all but the busiest means.
    delays = known.assign(d=known["arr_delay"].clip(-60, 180)).groupby("dest")["d"].mean().reindex(destinations)
    both = ~(np.isnan(delays.to_numpy()) | np.isnan(exact["delay"].to_numpy()))
    assert np.abs(delays.to_numpy() - exact["delay"].to_numpy())[both].max() < 3
    assert both.sum() >= 100
