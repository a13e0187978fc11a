"""``at_least`` on every engine: the same cells with the same bits, in the same order, of the same types."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from engines import Engine, exactly

import dpframe as dp

PAGES, LEVELS = range(1_000_000), ["a", "b", None]
"""3,000,000 cells, of which a handful have rows."""


def query(frame: Any) -> Any:
    private = frame.dp.protect(id="user").bound(groups=2, rows_per_group=3)
    keys = dp.keys({"level": LEVELS}) * dp.keys({"age": PAGES})
    return private.groupby("age", "level", keys=keys).agg(
        n=dp.count(), income=dp.mean("income", 0, 10), income_sum=dp.sum("income", 0, 10)
    )


@pytest.mark.parametrize(
    ("cost", "least"),
    [({"epsilon": 1}, {"n": 150}), ({"rho": 0.5}, {"n": 30}), ({"rho": 0.5}, {"income_sum": 250})],
    ids=str,
)
def test_one_release_key_gives_the_same_bits_on_every_engine(
    engine: Engine, members: pd.DataFrame, fixed_key: bytes, cost: dict[str, float], least: dict[str, int]
) -> None:
    # Cells whose rows add nothing to any answer are empty to every engine, whether it lists them or not.
    members = members.assign(age=members["age"].astype("Int64"))
    here = engine.rows(query(engine.frame(members)).release(**cost, at_least=least, ci=0.9, budget=dp.Budget(rho=9)))
    there = query(members).release(**cost, at_least=least, ci=0.9, budget=dp.Budget(rho=9))
    assert 20 < len(there) < 100_000
    pd.testing.assert_frame_equal(here, there, check_dtype=False, check_exact=True)
    (name,) = least
    assert (here[name] >= least[name]).all()
    assert here["age"].is_monotonic_increasing


@pytest.mark.parametrize(("least", "cost"), [({"n": 14}, {"epsilon": 4}), ({"x_sum": 40}, {"rho": 1})], ids=str)
def test_rows_without_bounds_in_more_cells_than_can_be_written_down(
    engine: Engine, fixed_key: bytes, least: dict[str, int], cost: dict[str, float]
) -> None:
    draw = np.random.default_rng(3)
    frame = pd.DataFrame(
        {
            "i": draw.integers(0, 40, 3000) * 7_000,
            "j": draw.choice(["a", "b", "c"], 3000),
            "x": np.where(draw.random(3000) < 0.1, np.nan, draw.normal(2, 3, 3000)),
        }
    )
    keys = dp.keys({"i": range(2**19)}) * dp.keys({"j": [*"abc", *map(str, range(100))]})

    def ask(frame: Any) -> Any:
        grouped = frame.dp.protect().groupby("i", "j", keys=keys)
        asked = grouped.agg(n=dp.count(), x_sum=dp.sum("x", -1, 5), x=dp.mean("x", -1, 5))
        return asked.release(
            **cost, at_least=least, budget=dp.Budget(epsilon=4) if "epsilon" in cost else dp.Budget(rho=1)
        )

    here, there = engine.rows(ask(engine.frame(frame))), ask(frame)
    assert 40 < len(there) < 3000
    pd.testing.assert_frame_equal(here, there, check_dtype=False, check_exact=True)


def test_cells_whose_rows_add_nothing_count_as_empty_on_every_engine(engine: Engine, fixed_key: bytes) -> None:
    frame = pd.DataFrame({"i": [0, 0, 1, 5, 5], "x": [0.0, 0.0, 0.0, 2.0, 0.0]})

    def ask(frame: Any) -> Any:
        grouped = frame.dp.protect().groupby("i", keys=range(5000))
        return grouped.agg(s=dp.sum("x", 0, 2)).release(epsilon=1, at_least=3, budget=dp.Budget(epsilon=1))

    here, there = engine.rows(ask(engine.frame(frame))), ask(frame)
    assert len(there) > 100
    pd.testing.assert_frame_equal(here, there, check_dtype=False, check_exact=True)


def test_without_noise_the_large_cells_come_out(engine: Engine, members: pd.DataFrame) -> None:
    keys = dp.keys({"level": LEVELS}) * dp.keys({"user": ["ann", "bob", "cho"]})
    grouped = engine.frame(members).dp.protect().groupby("level", "user", keys=keys)
    asked = grouped.agg(n=dp.count(), income=dp.mean("income", 0, 10))
    everything = engine.rows(exactly(asked))
    for least in (1, 4, 1000):
        large = everything[everything["n"] >= least].reset_index(drop=True)
        pd.testing.assert_frame_equal(engine.rows(exactly(asked, at_least={"n": least})), large)


def test_a_release_of_no_rows_has_the_columns_of_any_other(engine: Engine, members: pd.DataFrame) -> None:
    released = query(engine.frame(members)).release(epsilon=1, at_least={"n": 10**9}, budget=dp.Budget(epsilon=1))
    full = query(engine.frame(members)).release(epsilon=1, at_least={"n": 200}, budget=dp.Budget(epsilon=1))
    assert len(engine.rows(released)) == 0 < len(engine.rows(full))
    assert [str(type_) for type_ in released.dtypes] == [str(type_) for type_ in full.dtypes]
    assert released.dp.release_info().at_least.value == 10**9


def test_a_key_set_beyond_any_table_is_released(engine: Engine) -> None:
    side = 2**16
    frame = engine.frame(pd.DataFrame({"a": np.repeat([7, side - 1, side], 50), "b": np.repeat([9, side - 1, 0], 50)}))
    grouped = frame.dp.protect().groupby("a", "b", keys=dp.keys({"a": range(side), "b": range(side)}))
    released = engine.rows(grouped.count().release(epsilon=2, at_least=35, budget=dp.Budget(epsilon=2)))
    assert released[["a", "b"]].to_numpy().tolist() == [[7, 9], [side - 1, side - 1]]
    with pytest.raises(dp.errors.KeysError, match="4,294,967,296 keys are too many for a row each"):
        grouped.count().release(epsilon=2, budget=dp.Budget(epsilon=2))
