"""pandas-on-Spark frames: the accessor, and a release that comes back as one of them."""

from __future__ import annotations

import pandas as pd
import pytest
from engines import Engine, exactly

import dpframe as dp


def test_a_chain_on_a_pandas_on_spark_frame(engine: Engine, members: pd.DataFrame, fixed_key: bytes) -> None:
    if engine.name == "pandas":
        pytest.skip("pandas-on-Spark needs a Spark session")
    pytest.importorskip("pyspark.pandas", exc_type=ImportError, reason="pyspark.pandas needs pandas < 3")
    frame = engine.frame(members).pandas_api()
    private = frame.dp.protect(id="user").filter("age > 20").bound(groups=2, rows_per_group=3)
    query = private.groupby("level", keys=frame.dp.keys("level")).agg(n=dp.count(), age=dp.mean("age", 0, 99))
    released = query.release(epsilon=1, budget=dp.Budget(epsilon=1))
    assert type(released) is type(frame)
    assert released.dp.release_info().cost == "epsilon=1"
    assert released.to_pandas().equals(released.to_pandas())
    nullable = members.astype({"age": "Int64"}).dp.protect(id="user").filter("age > 20")
    same = nullable.bound(groups=2, rows_per_group=3).groupby("level", keys=members[["level"]])
    exact = exactly(same.agg(n=dp.count(), age=dp.mean("age", 0, 99)))
    assert list(exactly(query).to_pandas()["n"]) == list(exact["n"])
    assert "CANARY" not in repr(frame.assign(user="CANARY").dp)


def test_two_pandas_on_spark_frames_are_joined_and_functions_called(engine: Engine) -> None:
    if engine.name == "pandas":
        pytest.skip("pandas-on-Spark needs a Spark session")
    pytest.importorskip("pyspark.pandas", exc_type=ImportError, reason="pyspark.pandas needs pandas < 3")
    ours, theirs = (engine.frame(pd.DataFrame({"k": [1, 2, 2], "x": [3, 4, at]})).pandas_api() for at in (5, 6))
    joined = ours.dp.protect().join(theirs.dp.protect(), "k", max_matches=(2, 2))
    mapped = joined.map(lambda row: {"y": row["x_left"] * row["x_right"]}, {"y": int})
    assert exactly(mapped.sum("y", 0, 99)).to_pandas()["y_sum"][0] == 9 + 16 + 20 + 24 + 30
    with pytest.raises(dp.errors.FrameError, match="same engine"):
        ours.dp.protect().join(engine.frame(pd.DataFrame({"k": [1]})).dp.protect(), unique=True)


def test_a_column_called_dp_stays_reachable(engine: Engine) -> None:
    frame = engine.frame(pd.DataFrame({"dp": [1, 2]}))
    assert type(frame["dp"]).__name__ in ("Series", "Column")
    answer = engine.rows(exactly(frame.dp.protect().sum("dp", 0, 5)))
    assert list(answer["dp_sum"]) == [3]


def test_public_keys_from_a_frame_of_the_engine(engine: Engine) -> None:
    public = engine.frame(pd.DataFrame({"project": ["en", "en", "de"], "page": [1, 1, 2]}))
    keys = public.dp.keys("project", "page") * dp.keys({"country": ["CH"]})
    assert (len(keys), keys.columns) == (2, ("project", "page", "country"))
