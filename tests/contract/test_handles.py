"""A budget does not travel to Spark's workers: each would have the whole total."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest
from engines import Engine

import dpframe as dp
from dpframe.accounting import cost


@pytest.mark.parametrize("kind", ["whole", "part"])
def test_a_budget_in_a_closure_is_refused(engine: Engine, members: pd.DataFrame, kind: str) -> None:
    if engine.name == "pandas":
        pytest.skip("pandas has no workers")
    whole = dp.Budget(1)
    with whole.part(epsilon=1) as part:
        budget = whole if kind == "whole" else part

        def spend(batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
            budget.charge([cost(epsilon=1)], "q", "m")
            yield from batches

        with pytest.raises(Exception, match=r"cannot be pickled|serialize"):
            engine.rows(engine.frame(members[["age"]]).mapInPandas(spend, "age long"))
        assert part.remaining == 1
    assert whole.remaining == 1 and len(whole.history()) == 0  # type: ignore[arg-type]
