"""What a contract test is given: one engine, and the exact answer of a query on it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pandas as pd

import dpframe as dp


@dataclass(frozen=True)
class Engine:
    """One kind of frame: how to make it from pandas, and how to read it back."""

    name: str
    frame: Callable[..., Any]  # of a pandas frame and, where its values do not tell, a Spark schema
    rows: Callable[[Any], pd.DataFrame]


def exactly(query: Any, **options: Any) -> Any:
    """The exact answer of a query, by an unlimited budget."""
    return query.release(budget=dp.Budget.unlimited(), **options)
