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

from importlib import import_module
from typing import Any

from dpframe import errors
from dpframe.accessor import attach
from dpframe.accounting import Budget
from dpframe.aggregates import count, count_distinct, histogram, max, mean, median, min, quantile, std, sum, var
from dpframe.aggregates.find_bounds import bounds
from dpframe.keys import Keys, keys
from dpframe.plan import cut
from dpframe.result import ReleaseInfo
from dpframe.version import __version__

__all__ = [
    "Budget",
    "Keys",
    "ReleaseInfo",
    "__version__",
    "bounds",
    "count",
    "count_distinct",
    "cut",
    "errors",
    "histogram",
    "keys",
    "max",
    "mean",
    "median",
    "min",
    "quantile",
    "std",
    "sum",
    "var",
]


_LAZY = {
    "batch": "dpframe.batches",
    "ExponentialChoice": "dpframe.mechanisms.exponential",
    "GaussianNoise": "dpframe.mechanisms.table",
    "DiscreteGaussianNoise": "dpframe.mechanisms.whole",
    "GeometricNoise": "dpframe.mechanisms.whole",
    "LaplaceNoise": "dpframe.mechanisms.table",
    "scan": "dpframe.parquet",
    "SmoothArsinhNormal": "dpframe.mechanisms.smooth",
    "SmoothCauchy": "dpframe.mechanisms.smooth",
    "SmoothGamma": "dpframe.mechanisms.smooth",
    "SmoothLaplace": "dpframe.mechanisms.smooth",
    "SmoothLaplaceLogNormal": "dpframe.mechanisms.smooth_lognormal",
    "SmoothStudentT": "dpframe.mechanisms.smooth",
    "SmoothUniformLogNormal": "dpframe.mechanisms.smooth_lognormal",
}
"""Public names that bring numba or pyarrow's data sets, for which a program that only plans queries need not wait."""


def __getattr__(name: str) -> Any:
    if name == "kernels":
        return import_module("dpframe.kernels")
    if name not in _LAZY:
        raise AttributeError(f"module 'dpframe' has no attribute {name!r}")
    return getattr(import_module(_LAZY[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_LAZY, "kernels"])


attach()
