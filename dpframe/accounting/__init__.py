"""Accounting: exact costs, events and the budget that refuses past its total."""

from dpframe.accounting.budget import Budget, ambient
from dpframe.accounting.costs import ApproximateDP, Cost, Exact, PureDP, ZeroConcentratedDP, cost, exact
from dpframe.accounting.ledger_chain import Once

__all__ = [
    "ApproximateDP",
    "Budget",
    "Cost",
    "Exact",
    "Once",
    "PureDP",
    "ZeroConcentratedDP",
    "ambient",
    "cost",
    "exact",
]
