"""What tests of budgets share: a table of two people, a query, and a charge by itself."""

from __future__ import annotations

import pandas as pd

import dpframe as dp
from dpframe.accounting import cost

TABLE = pd.DataFrame({"user": ["u", "v"], "x": [1.0, 2.0]})
COUNT = TABLE.dp.protect().count()


def charge(budget: dp.Budget, **named: object) -> None:
    budget.charge([cost(**named)], "query", "mechanism")
