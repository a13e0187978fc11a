"""Noise on tables that are already aggregated: the same on every engine, charged, fixed, and described."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from engines import Engine

import dpframe as dp
from dpframe import errors

SMOOTH: dict[str, Any] = {"alpha": 0.05, "epsilon": 0.4, "delta": 0.05}


@pytest.fixture
def cells() -> pd.DataFrame:
    """Eight cells of a table of establishments, the largest establishment beside each."""
    draw = np.random.default_rng(8)
    return pd.DataFrame(
        {
            "state": list("abcdefgh"),
            "jobs": draw.integers(0, 3000, 8),
            "pay": draw.normal(50, 9, 8),
            "ssmax": draw.integers(1, 900, 8),
        }
    )


def test_columns_get_noise_and_the_rest_stays(engine: Engine, cells: pd.DataFrame) -> None:
    with dp.Budget(epsilon=1, delta=0.1) as budget:
        noisy = engine.frame(cells).dp.noise(
            jobs=dp.SmoothLaplace("ssmax", **SMOOTH), pay=dp.LaplaceNoise(sensitivity=10, epsilon=0.5)
        )
        assert (budget.spent, budget.remaining_delta) == (0.9, 0.05)
    table = engine.rows(noisy)
    assert list(table.columns) == ["state", "jobs", "pay"]
    assert list(table["state"]) == list(cells["state"])
    assert (str(table["jobs"].dtype), str(table["pay"].dtype)) == ("int64", "float64")
    assert (table["jobs"] != cells["jobs"]).any()
    assert (table["pay"] != cells["pay"]).all()
    # A float answer is a multiple of a grid that the mechanism alone decides.
    assert (table["pay"] * 2.0**16 % 1 == 0).all()


def test_noise_is_drawn_once(engine: Engine, cells: pd.DataFrame) -> None:
    noisy = engine.frame(cells).dp.noise(jobs=dp.LaplaceNoise(1, 0.001), budget=dp.Budget(epsilon=1))
    assert len({engine.rows(noisy).to_csv() for _ in range(4)}) == 1
    if engine.name != "pandas":
        noisy.unpersist()
        noisy.sparkSession.catalog.clearCache()
        assert noisy.alias("l").join(noisy.alias("r"), ["state", "jobs"]).count() == 8


def test_cells_and_columns_share_no_word(engine: Engine) -> None:
    flat = engine.frame(pd.DataFrame({"state": range(200), "a": 0, "b": 0}))
    noisy = engine.rows(
        flat.dp.noise(a=dp.LaplaceNoise(1, 1e-6), b=dp.LaplaceNoise(1, 1e-6), budget=dp.Budget(epsilon=1))
    )
    # 400 draws of scale 10**6: twenty coincidences would be a wonder, a shared word makes 200.
    assert len(set(noisy["a"]) | set(noisy["b"])) > 380


def test_the_scale_follows_each_cell(engine: Engine) -> None:
    frame = pd.DataFrame({"cell": range(600), "x": 0.0, "ssmax": [40.0] * 300 + [40000.0] * 300})
    noisy = engine.frame(frame).dp.noise(
        x=dp.SmoothLaplace("ssmax", **SMOOTH), keep="ssmax", budget=dp.Budget(epsilon=1, delta=0.1)
    )
    table = engine.rows(noisy).sort_values("cell")
    small, large = (np.median(np.abs(table["x"][table["ssmax"] == size])) for size in (40, 40000))
    # The medians of 300 draws lie within a quarter of their scale's; the scales are 1000 apart.
    assert 500 < large / small < 2000


def test_awkward_cells_are_no_error(engine: Engine) -> None:
    frame = pd.DataFrame({"x": [np.nan, np.inf, -np.inf, 1e300, 0.0], "s": [np.nan, -5.0, np.inf, 0.0, 1.0]})
    noisy = engine.rows(
        engine.frame(frame).dp.noise(x=dp.SmoothLaplace("s", **SMOOTH), budget=dp.Budget(epsilon=1, delta=0.1))
    )
    assert np.isfinite(noisy["x"]).all()


def test_an_unlimited_budget_adds_nothing_and_says_so(engine: Engine, cells: pd.DataFrame) -> None:
    noisy = engine.frame(cells).dp.noise(jobs=dp.LaplaceNoise(1, 0.1), budget=dp.Budget.unlimited())
    assert list(engine.rows(noisy)["jobs"]) == list(cells["jobs"])
    assert not noisy.dp.release_info().private


def test_the_answer_says_what_was_vouched_for(engine: Engine, cells: pd.DataFrame) -> None:
    noisy = engine.frame(cells).dp.noise(
        jobs=dp.SmoothLaplace("ssmax", **SMOOTH), budget=dp.Budget(epsilon=1, delta=0.1)
    )
    info = noisy.dp.release_info()
    assert (info.unit, info.groups, info.private) == ("as the caller vouches", None, True)
    assert "ssmax" in info["jobs"].statistics[0].statistic
    assert "epsilon=0.4, delta=0.05" in str(info)


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({}, errors.PlanError, "at least one"),
    ({"nope": dp.LaplaceNoise(1, 0.1)}, errors.UnknownColumnError, "nope"),
    ({"state": dp.LaplaceNoise(1, 0.1)}, errors.ColumnTypeError, "numbers"),
    ({"jobs": 3}, errors.PlanError, "LaplaceNoise"),
    ({"jobs": dp.SmoothLaplace("nope", **SMOOTH)}, errors.UnknownColumnError, "nope"),
    ({"jobs": dp.SmoothLaplace("state", **SMOOTH)}, errors.ColumnTypeError, "state"),
    ({"jobs": dp.SmoothLaplace("jobs", **SMOOTH)}, errors.PlanError, "both"),
    ({"pay": dp.GeometricNoise(1, 0.1)}, errors.MechanismError, "LaplaceNoise"),
    ({"jobs": dp.LaplaceNoise(1, 0.1), "keep": "pay"}, errors.PlanError, "keep="),
    ({"jobs": dp.LaplaceNoise(1, 3)}, errors.BudgetExceededError, "epsilon=3"),
    ({"jobs": dp.SmoothLaplace("ssmax", **SMOOTH)}, errors.BudgetExceededError, "delta=0.05"),
    ({"jobs": dp.LaplaceNoise(1, 0.6), "pay": dp.LaplaceNoise(1, 0.6)}, errors.BudgetExceededError, "1.2"),
]


@pytest.mark.parametrize(("asked", "kind", "says"), BAD)
def test_bad_input_is_refused_and_costs_nothing(
    engine: Engine, cells: pd.DataFrame, asked: dict[str, Any], kind: type[Exception], says: str
) -> None:
    with dp.Budget(epsilon=1) as budget:
        with pytest.raises(kind, match=says):
            engine.frame(cells).dp.noise(**asked)
        assert (budget.spent, budget.remaining_delta) == (0, 0)


def test_columns_that_share_a_name_are_refused_before_the_charge(engine: Engine, cells: pd.DataFrame) -> None:
    frame = engine.frame(cells)
    if engine.name == "pandas":
        twice = pd.DataFrame([[1, 2]], columns=["a", "a"])
    else:
        twice = frame.select(frame["jobs"].alias("a"), frame["ssmax"].alias("a"))
    with dp.Budget(epsilon=1) as budget:
        with pytest.raises(errors.PlanError, match="'a'"):
            twice.dp.noise(a=dp.LaplaceNoise(1, 0.1))
        assert budget.spent == 0
