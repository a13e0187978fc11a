"""Key sets on every engine: keys of frames of its kind, and every public key in the answer."""

from __future__ import annotations

import datetime
from typing import Any

import pandas as pd
import pytest
from engines import Engine, exactly

import dpframe as dp

DAY = datetime.date(2024, 2, 29)
FRAME = pd.DataFrame(
    {
        "level": ["a", "b", None, "a", "zz"],
        "n": pd.array([1, None, 2, 1, 3], "Int64"),
        "day": pd.array([DAY, DAY, None, DAY, None], "object"),
    }
)
SCHEMA = "level string, n bigint, day date"


@pytest.fixture
def frame(engine: Engine) -> Any:
    return engine.frame(FRAME.astype({"day": "date32[pyarrow]"}) if engine.name == "pandas" else FRAME, SCHEMA)


def test_the_algebra_of_keys_of_frames(engine: Engine, frame: Any) -> None:
    rows = frame.dp.keys("level", "n", "day")
    assert len(rows) == 4
    assert rows == dp.keys(frame)
    assert rows["level"] == dp.keys({"level": ["a", "b", "zz", None]})
    assert set(rows - dp.keys({"day": [None]})) == {("a", 1, DAY), ("b", None, DAY)}
    assert rows.filter("n >= 2") == dp.keys([(None, 2, None), ("zz", 3, None)], columns=["level", "n", "day"])
    product = frame.dp.keys("level") * frame.dp.keys("n", "day")
    assert len(product) == 16
    assert product & rows == rows


def test_every_public_key_is_in_the_answer(engine: Engine, frame: Any) -> None:
    product = dp.keys({"level": ["a", "b", "c", None], "n": [None, 1, 2]})
    for keys in (
        product,
        product - dp.keys([("a", 1), (None, 1)], columns=["level", "n"]),
        product | dp.keys([("zz", 3)], columns=["level", "n"]),
        product & dp.keys(frame)["n", "level"],
        product.filter("level <> 'a' or n = 1"),
        product[["n", "level"]],
    ):
        answer = engine.rows(exactly(frame.dp.protect().groupby("level", "n", keys=keys).count()))
        found = [tuple(None if pd.isna(v) else v for v in row) for row in answer.itertuples(index=False, name=None)]
        counts = {("a", 1): 2, ("b", None): 1, (None, 2): 1, ("zz", 3): 1}
        arranged = list(keys.arranged(["level", "n"]))
        assert found == [(*key, counts.get(key, 0)) for key in arranged]


def test_a_release_of_keys_is_a_frame_of_keys(engine: Engine, frame: Any) -> None:
    released = exactly(frame.dp.protect().groupby("level", keys=["a", None, "c"]).count())
    assert dp.keys(released, columns=["level"]) == dp.keys({"level": ["a", None, "c"]})
