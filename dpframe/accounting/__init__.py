"""Accounting: exact costs, events, filters, and the budget that refuses past its total."""

from dpframe.accounting.budget import Budget, ambient
from dpframe.accounting.costs import (
    ApproximateDP,
    Declared,
    Exact,
    GaussianDP,
    PureDP,
    ZeroConcentratedDP,
    cost,
    exact,
)
from dpframe.accounting.events import Event, Joint
from dpframe.accounting.ledger_chain import Once
from dpframe.accounting.parallel import Child, Children

__all__ = [
    "ApproximateDP",
    "Budget",
    "Child",
    "Children",
    "Declared",
    "Event",
    "Exact",
    "GaussianDP",
    "Joint",
    "Once",
    "PureDP",
    "ZeroConcentratedDP",
    "ambient",
    "cost",
    "exact",
]
