"""Parallel composition: children that read disjoint rows together cost as much as the few that one unit can reach.

Let ``a_i`` be what child ``i`` has been charged, in the exact amounts that a filter adds up. Of two neighbours, only
the children that hold a row of the unit see any difference, ``g`` of them at most: the releases of all others have one
and the same law on both, whatever was released before. So the loss of all releases together, interleaved in any order
and each chosen after seeing the others, is that of some ``g`` children, and at most the sum of the ``g`` largest
``a_i``. With one row as the unit ``g`` is 1, and the sum is the maximum (McSherry, *Privacy Integrated Queries*, SIGMOD
2009, Theorem 4). It is adaptive because a filter is: the others' losses are 0, whoever chooses them.

**Several rows as the unit.** A unit of ``k`` rows reaches up to ``k`` children. But the noise of a release is
calibrated to all ``k`` rows of the unit, and where ``c`` of them are in a child the loss is at most ``c/k`` of ε and of
a Rényi divergence, which are convex in how far a statistic moves and 0 at 0, and ``(c/k)²`` of ρ and μ². With ``c_i``
rows in child ``i`` and Σ c_i ≤ k, Σ (c_i/k)·a_i ≤ max a_i. So what costs no δ is *even*, and the children's maximum is
charged. What costs δ is not known to be, and the ``g`` largest are added up.

A budget is charged the increase of that sum, before anything is read.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any
from weakref import WeakKeyDictionary

from dpframe.accounting.budget import Budget
from dpframe.accounting.events import Event
from dpframe.accounting.filters import NOTHING, Amounts, total

Spent = Mapping[int, tuple[Amounts, Amounts]]
"""Of each child, what it was charged of even costs and of others."""


@dataclass(eq=False)
class Children:
    """The children of one partition, and what each has been charged of every budget.

    Parameters
    ----------
    reach
        How many children one unit can reach.
    even
        Whether a unit's loss is shared among the children as its rows are: true of units of rows.
    within
        The child that was itself partitioned, if it was one.
    """

    reach: int
    even: bool
    within: Child | None = None
    _spent: WeakKeyDictionary[Budget, Spent] = field(default_factory=WeakKeyDictionary, repr=False)
    _locks: dict[int, Any] = field(default_factory=dict, repr=False)

    def turn(self) -> Any:
        """The lock of this family and of all that it is within. A forked process has its own: its parent's may be held
        by a thread that the child does not have.
        """
        if self.within is not None:
            return self.within.family.turn()
        return self._locks.setdefault(os.getpid(), threading.RLock())

    def cost(self, spent: Spent) -> Amounts:
        """What the children together cost."""
        even, other = ([each[at] for each in spent.values()] for at in (0, 1))
        largest = [max(amounts[at] for amounts in even) for at in (0, 1)]
        added = [sum(sorted(amounts[at] for amounts in other)[-self.reach :], start=Fraction(0)) for at in (0, 1)]
        return largest[0] + added[0], largest[1] + added[1]


@dataclass(frozen=True, eq=False)
class Child:
    """One child of a partition, and how a budget is charged for it.

    Examples
    --------
    >>> from dpframe.accounting import cost
    >>> family = Children(reach=1, even=True)
    >>> ours, theirs = Child(family, 0, "first"), Child(family, 1, "second")
    >>> budget = Budget(epsilon=1)
    >>> for child, epsilon in ((ours, 0.3), (theirs, 0.2), (theirs, 0.2), (ours, 0.1)):
    ...     _ = child.charge(budget, [cost(epsilon=epsilon)], "count", "Laplace")
    ...     print(budget.spent)
    0.3
    0.3
    0.4
    0.4
    """

    family: Children
    number: int
    text: str

    def __str__(self) -> str:
        return self.text

    def charge(self, budget: Budget, events: Sequence[Event], query: str, mechanism: str, **how: Any) -> Any:
        """Charge a budget what the events add to the children's cost; else as :meth:`Budget.charge`."""
        priced = list[Amounts]()

        def due(amounts: Amounts) -> Amounts:
            priced.append(amounts)
            return self._more(budget, amounts)

        # Between what is due and that it was paid no sibling may be charged, in whichever thread.
        with self.family.turn():
            charge: Callable[..., Any] = budget.charge
            answer = charge(events, query, mechanism, due=due, **how)
            if priced:
                self._pay(budget, priced[-1])
        return answer

    def _more(self, budget: Budget, amounts: Amounts) -> Amounts:
        """What the budget must pay more when this child is charged the amounts."""
        before, after = (self.family.cost(spent) for spent in self._spending(budget, amounts))
        more = after[0] - before[0], after[1] - before[1]
        return more if self.family.within is None else self.family.within._more(budget, more)

    def _pay(self, budget: Budget, amounts: Amounts) -> None:
        """Remember that this child was charged the amounts."""
        before, after = self._spending(budget, amounts)
        if self.family.within is not None:
            was, now = self.family.cost(before), self.family.cost(after)
            self.family.within._pay(budget, (now[0] - was[0], now[1] - was[1]))
        self.family._spent[budget] = after

    def _spending(self, budget: Budget, amounts: Amounts) -> tuple[Spent, Spent]:
        """What every child was charged, without and with the amounts."""
        before = {self.number: (NOTHING, NOTHING), **self.family._spent.get(budget, {})}
        even, other = before[self.number]
        if self.family.even and not amounts[1]:
            even = total([even, amounts])
        else:
            other = total([other, amounts])
        return before, {**before, self.number: (even, other)}
