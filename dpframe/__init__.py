"""Differential privacy for the frames you have: ``.dp`` on pandas, PySpark and pandas-on-Spark.

>>> import pandas as pd
>>> import dpframe as dp
>>> members = pd.DataFrame({"level": ["a", "b", "a"], "books": [3, 5, 8]})
>>> with dp.Budget(epsilon=1) as budget:
...     released = (
...         members.dp.protect()
...         .groupby("level", keys=["a", "b"])
...         .agg(readers=dp.count(), books=dp.mean("books", 0, 22))
...         .release(epsilon=0.4)
...     )
...     budget.remaining
0.6
>>> list(released.columns), len(released)
(['level', 'readers', 'books'], 2)
"""

from __future__ import annotations

from typing import Any

from dpframe import errors
from dpframe.accessor import attach
from dpframe.accounting import Budget
from dpframe.aggregates import count, mean, sum
from dpframe.keys import Keys, keys
from dpframe.plan import cut
from dpframe.result import ReleaseInfo
from dpframe.version import __version__

__all__ = [
    "Budget",
    "Keys",
    "ReleaseInfo",
    "__version__",
    "count",
    "cut",
    "errors",
    "keys",
    "mean",
    "sum",
]


def __getattr__(name: str) -> Any:
    # The kernels bring numba, which a program that only plans queries need not wait for.
    if name == "kernels":
        from importlib import import_module

        return import_module("dpframe.kernels")
    raise AttributeError(f"module 'dpframe' has no attribute {name!r}")


attach()
