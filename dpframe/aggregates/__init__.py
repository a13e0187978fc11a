"""Aggregates: which exact statistics an answer needs, and how to finish it from noisy ones.

Each is a frozen dataclass in a module of its own with three parts: ``label`` (its column's name when the
caller gives none), ``prepare(schema)`` (statistics, weights and finish, checked against the schema) and a
public constructor.
"""

from dpframe.aggregates.base import Aggregate, Answer, Noisy, Prepared
from dpframe.aggregates.clip import bounds
from dpframe.aggregates.count import CountRows, count
from dpframe.aggregates.count_distinct import CountDistinct, count_distinct
from dpframe.aggregates.find_bounds import BoundOf, Bounds
from dpframe.aggregates.histogram import Histogram, histogram
from dpframe.aggregates.mean import Mean, mean
from dpframe.aggregates.quantile import QuantileOf, Quantiles, max, median, min, quantile
from dpframe.aggregates.sum import SumOf, sum
from dpframe.aggregates.variance import Variance, std, var

__all__ = [
    "Aggregate",
    "Answer",
    "BoundOf",
    "Bounds",
    "CountDistinct",
    "CountRows",
    "Histogram",
    "Mean",
    "Noisy",
    "Prepared",
    "QuantileOf",
    "Quantiles",
    "SumOf",
    "Variance",
    "bounds",
    "count",
    "count_distinct",
    "histogram",
    "max",
    "mean",
    "median",
    "min",
    "quantile",
    "std",
    "sum",
    "var",
]
