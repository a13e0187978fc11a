"""A key that stands for a release, and labels: the same on every engine, and the same frame from the store."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from engines import Engine

import dpframe as dp
from dpframe.errors import OnceError


@pytest.fixture(params=["memory", "ledger"])
def budget(request: pytest.FixtureRequest, tmp_path: Path) -> dp.Budget:
    if request.param == "memory":
        return dp.Budget(1)
    pytest.importorskip("sqlalchemy")
    return dp.Budget(1, ledger=f"sqlite:///{tmp_path}/p.db", name="members")


def test_the_stored_answer_is_the_answer_bit_for_bit(engine: Engine, members: pd.DataFrame, budget: dp.Budget) -> None:
    frame = engine.frame(members)
    grouped = frame.dp.protect().groupby("level", keys=["a", "b", None])
    query = grouped.agg(n=dp.count(), income=dp.mean("income", 0, 10))
    first = query.release(epsilon=0.5, ci=0.9, once="k", label="nightly", budget=budget)
    again = query.release(epsilon=0.5, ci=0.9, once="k", budget=budget)
    assert type(first) is type(again) is type(frame)
    assert first.dp.release_info() == again.dp.release_info()
    assert budget.spent == 0.5 and budget.history()["label"].tolist() == ["nightly"]
    pd.testing.assert_frame_equal(engine.rows(first), engine.rows(again), check_exact=True)
    assert [str(kind) for kind in first.dtypes] == [str(kind) for kind in again.dtypes]
    with pytest.raises(OnceError):
        query.release(epsilon=0.4, ci=0.9, once="k", budget=budget)
    fresh = query.release(epsilon=0.5, ci=0.9, once="another", budget=budget)
    assert not engine.rows(fresh)["income"].equals(engine.rows(first)["income"])


def test_few_cells_of_many_can_be_stored(engine: Engine, members: pd.DataFrame, budget: dp.Budget) -> None:
    keys = dp.keys({"level": ["a", "b"]}) * dp.keys({"age": range(100)})
    query = engine.frame(members).dp.protect().groupby("level", "age", keys=keys).count()
    first = query.release(epsilon=0.5, at_least=2, once="k", budget=budget)
    again = query.release(epsilon=0.5, at_least=2, once="k", budget=budget)
    pd.testing.assert_frame_equal(engine.rows(first), engine.rows(again))
    assert again.dp.release_info().at_least == first.dp.release_info().at_least
    with pytest.raises(OnceError):
        query.release(epsilon=0.5, at_least=3, once="k", budget=budget)


def test_what_the_executors_keep_is_not_stored(
    engine: Engine, members: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dpframe.backends import spark

    monkeypatch.setattr(spark, "FEW", 1)
    monkeypatch.setattr(spark, "FEW_ON_CONNECT", 1)
    query = engine.frame(members).dp.protect().groupby("level", keys=["a", "b"]).count()
    budget = dp.Budget(1)
    if engine.name == "pandas":
        query.release(epsilon=0.5, once="k", budget=budget)
        return
    with pytest.raises(dp.errors.PlanError, match="executors"):
        query.release(epsilon=0.5, once="k", budget=budget)
    assert budget.spent == 0
