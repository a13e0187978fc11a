"""Accounting: exact costs, events and the budget that refuses past its total."""

from dpframe.accounting.budget import Budget, ambient
from dpframe.accounting.events import Cost, PureDP, ZeroConcentratedDP, cost
from dpframe.accounting.exact import Exact, exact

__all__ = ["Budget", "Cost", "Exact", "PureDP", "ZeroConcentratedDP", "ambient", "cost", "exact"]
