"""Costs and mechanisms on every engine: one release key gives the same bits, and the release says what it cost."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from engines import Engine

import dpframe as dp

CASES: list[tuple[dict[str, Any], str, str]] = [
    ({"epsilon": 1, "delta": 1e-5}, "rounded Gaussian", "epsilon=1, delta=0.00001"),
    ({"epsilon": 1, "delta": 1e-5, "mechanism": "laplace"}, "discrete Laplace", "epsilon=1"),
    ({"mu": 0.5}, "rounded Gaussian", "mu=0.5"),
    ({"rho": 0.1, "mechanism": "laplace"}, "discrete Laplace", "rho=0.1"),
    ({"rho": 0.1, "mechanism": "gaussian"}, "rounded Gaussian", "rho=0.1"),
]


@pytest.mark.parametrize(("named", "mechanism", "cost"), CASES, ids=lambda case: str(case))
def test_one_release_key_gives_the_same_bits_on_every_engine(
    engine: Engine, members: pd.DataFrame, fixed_key: bytes, named: dict[str, Any], mechanism: str, cost: str
) -> None:
    members = members.assign(age=members["age"].astype("Int64"))

    def ask(frame: Any) -> Any:
        private = frame.dp.protect(id="user").bound(groups=9, rows_per_group=2, by="age")
        grouped = private.groupby("age", keys=range(100)).agg(n=dp.count(), income=dp.mean("income", 0, 10))
        return grouped.release(**named, ci=0.9, budget=dp.Budget(epsilon=3, delta=1e-4, filter="renyi"))

    here, there = ask(engine.frame(members)), ask(members)
    pd.testing.assert_frame_equal(engine.rows(here), there, check_dtype=False, check_exact=True)
    info = here.dp.release_info()
    assert info == there.dp.release_info() and info.cost == cost
    assert {part.mechanism for column in info.columns for part in column.statistics} == {mechanism}


def test_a_batch_gives_the_same_bits_on_every_engine(engine: Engine, members: pd.DataFrame, fixed_key: bytes) -> None:
    members = members.assign(age=members["age"].astype("Int64"))

    def ask(frame: Any) -> list[Any]:
        private = frame.dp.protect(id="user").bound(groups=2, rows_per_group=1)
        with dp.Budget(epsilon=2, delta=1e-5) as budget:
            with dp.batch(epsilon=2, delta=1e-5):
                pending = [
                    private.groupby("age", keys=range(100)).count().release(ci=0.9),
                    private.groupby("level", keys=["a", "b", None]).sum("income", 0, 10).release(),
                ]
            assert budget.remaining == 0
        return [each.value for each in pending]

    for here, there in zip(ask(engine.frame(members)), ask(members), strict=True):
        pd.testing.assert_frame_equal(engine.rows(here), there, check_dtype=False, check_exact=True)
        assert here.dp.release_info() == there.dp.release_info()
        assert here.dp.release_info().cost == "epsilon=2, delta=0.00001, for 2 releases together"
