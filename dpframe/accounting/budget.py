"""The budget: a filter that refuses past a fixed total, ambient inside its ``with`` block."""

from __future__ import annotations

import datetime
import os
import threading
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import accumulate
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

from dpframe.accounting.costs import Exact, cost
from dpframe.accounting.events import Event
from dpframe.accounting.filters import (
    NOTHING,
    Amounts,
    Filter,
    Gaussians,
    Renyi,
    Unsettled,
    excess,
    filter_of,
    first,
    price,
)
from dpframe.errors import BudgetExceededError, InvalidCostError, NoBudgetError

if TYPE_CHECKING:
    import pyarrow as pa

_open: ContextVar[tuple[Budget, ...]] = ContextVar("dpframe_budgets", default=())


@dataclass(frozen=True)
class Charge:
    """One line of the history: when, for what, at which cost. ``amounts`` are the filter's."""

    time: datetime.datetime
    query: str
    mechanism: str
    events: tuple[Event, ...]
    amounts: Amounts

    @property
    def cost(self) -> str:
        """What was asked, in words."""
        return " and ".join(map(str, self.events))


class Budget:
    """An exact privacy budget: a filter that refuses any release past its total.

    Parameters
    ----------
    epsilon
        Total ε of a budget of pure ε, or with ``delta`` of an (ε, δ) budget.
    delta
        Total δ, below 1; 0 for a budget of pure ε.
    rho
        Total of a zero-concentrated (zCDP) budget.
    mu
        Total of a Gaussian-DP budget. Squares add up: μ = 3 and then μ = 4 are μ = 5.
    filter
        How an (ε, δ) budget counts. ``"sum"`` adds up ε and δ; ``"gaussian"`` adds up μ², which lets Gaussian releases
        have more than their ε and δ would; ``"renyi"`` adds up a Rényi divergence, the best of the three for many
        releases of both kinds. Left out, the first charge decides, once and for all: ``"gaussian"`` if all of its noise
        is Gaussian, ``"sum"`` if it was asked in ε or in ε and δ, else ``"renyi"``.

    Raises
    ------
    InvalidCostError
        Unless exactly one of ε, ρ and μ is given as a positive finite number, with a δ and a filter only beside ε.

    Notes
    -----
    Sums are exact rationals, so three times 0.1 fits 0.3 and a fourth is refused; amounts that are irrational, as μ² of
    an (ε, δ), are rounded up first. A release is charged before any data is read, and a failure after that keeps the
    charge. The sums may be of adaptively chosen releases: :mod:`dpframe.accounting.filters`.

    Examples
    --------
    >>> with Budget(epsilon=1.1) as budget:
    ...     budget.remaining
    1.1
    """

    def __init__(
        self,
        epsilon: object = None,
        delta: object = 0,
        *,
        rho: object = None,
        mu: object = None,
        filter: object = None,
    ) -> None:
        if sum(each is None for each in (epsilon, rho, mu)) != 2:
            raise InvalidCostError(
                "Open a budget with one total: dp.Budget(epsilon=1.1), dp.Budget(epsilon=1, delta=1e-6), "
                "dp.Budget(rho=0.5) or dp.Budget(mu=1)."
            )
        self._start(filter_of(cost(epsilon, rho, delta=delta, mu=mu), filter))

    @classmethod
    def unlimited(cls) -> Budget:
        """A budget without a total, whose releases are exact and marked as not private.

        For tests, and for prototyping on synthetic or public data only.

        Examples
        --------
        >>> Budget.unlimited().private
        False
        """
        budget = cls.__new__(cls)
        budget._start(None)
        return budget

    def _start(self, filter: Filter | None) -> None:
        self._filter = filter
        self._spent = NOTHING
        self._charges: list[Charge] = []
        self._lock = threading.Lock()
        self._process = os.getpid()

    def __copy__(self) -> Budget:
        """The budget itself: two that each had the whole total would spend it twice."""
        return self

    def __deepcopy__(self, memo: object) -> Budget:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "A budget cannot be pickled: its copy would spend the total again. Release where it was opened."
        )

    @property
    def private(self) -> bool:
        """Whether releases are noisy. Only an unlimited budget's are not."""
        return self._filter is not None

    @property
    def filter(self) -> str:
        """How it counts: ``sum``, ``gaussian``, ``renyi`` or ``rho``; ``unsettled`` before that is known."""
        return "unlimited" if self._filter is None else self._filter.name

    @property
    def adds_epsilon(self) -> bool:
        """Whether pure ε costs its ε, and not what it amounts to in another measure."""
        return self._filter is None or self._filter.measure == "epsilon"

    @property
    def total(self) -> Exact | float:
        """The total ε, ρ or μ, exactly; infinity for an unlimited budget."""
        return float("inf") if self._filter is None else first(self._filter.opened)

    @property
    def spent(self) -> Exact:
        """What has been charged so far.

        Exactly, where the budget's own ε or ρ add up. Of Gaussian releases, the μ that all of them are together, or
        their ε at the budget's δ, rounded up.
        """
        return Exact(0 if self._filter is None else self._filter.used(self._spent)[0])

    @property
    def remaining(self) -> Exact | float:
        """What is left; infinity for an unlimited budget.

        Exactly, where the budget's own ε or ρ add up. Otherwise what one more Gaussian release could ask for, its μ, or
        its ε beside ``delta=budget.remaining_delta``, rounded down.
        """
        return float("inf") if self._filter is None else Exact(self._filter.left(self._spent)[0])

    @property
    def remaining_delta(self) -> Exact:
        """What is left of δ, or the δ that goes with ``remaining``; 0 for a budget without."""
        return Exact(0 if self._filter is None else self._filter.left(self._spent)[1])

    def charge(self, events: Sequence[Event], query: str, mechanism: str) -> None:
        """Take the costs of a release, all or none.

        Raises
        ------
        BudgetExceededError
            When less than the cost is left; the text says asked, left and total.
        InvalidCostError
            When the cost is of a kind that this budget cannot pay for.
        NoBudgetError
            In a forked child of the process that opened it: the parent has the same total.
        """
        if os.getpid() != self._process:
            raise NoBudgetError("This budget was opened in another process: open one here, with a part of its total.")
        now = datetime.datetime.now(datetime.UTC)
        with self._lock:
            filter, asked, spent = self._filter, NOTHING, NOTHING
            if isinstance(filter, Unsettled):
                filter = filter.settled(events)
            if filter is not None:
                for event in events:
                    main, delta = price(filter, event)
                    asked = asked[0] + main, asked[1] + delta
                spent = self._spent[0] + asked[0], self._spent[1] + asked[1]
                if spent[0] > filter.totals[0] or spent[1] > filter.totals[1]:
                    raise BudgetExceededError(excess(filter, asked, self._spent))
            self._filter, self._spent = filter, spent
            self._charges.append(Charge(now, query, mechanism, tuple(events), asked))

    def history(self) -> object:
        """Every charge so far, oldest first, as a pandas frame.

        Returns
        -------
        pandas.DataFrame
            Columns ``time`` (UTC), ``query``, ``mechanism``, ``cost`` (text, exact) and ``spent`` (the running total
            in what adds up: ε, ρ, μ² or a Rényi divergence; float64, for plotting).
        """
        return self._history_table().to_pandas()

    def _history_table(self) -> pa.Table:
        import pyarrow as pa

        charges = list(self._charges)
        running = [float(spent) for spent in accumulate(c.amounts[0] for c in charges)]
        return pa.table(
            {
                "time": pa.array([c.time for c in charges], pa.timestamp("us", "UTC")),
                "query": pa.array([c.query for c in charges], pa.string()),
                "mechanism": pa.array([c.mechanism for c in charges], pa.string()),
                "cost": pa.array([c.cost for c in charges], pa.string()),
                "spent": pa.array(running, pa.float64()),
            }
        )

    def __enter__(self) -> Budget:
        _open.set((*_open.get(), self))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        stack = list(_open.get())
        # The last of this very budget: a budget may be entered twice, and blocks of tasks may interleave.
        for i in reversed(range(len(stack))):
            if stack[i] is self:
                del stack[i]
                break
        _open.set(tuple(stack))

    def __repr__(self) -> str:
        if self._filter is None:
            return "Budget.unlimited(): exact answers, NOT private"
        counts = f", filter={self._filter.name!r}" if isinstance(self._filter, Gaussians | Renyi) else ""
        return f"Budget({self._filter.opened}{counts}, spent={self.spent}, remaining={self.remaining})"


def ambient(budget: Budget | None = None) -> Budget:
    """The budget that a release is charged to: the one given, else the innermost open ``with`` block's.

    Raises
    ------
    NoBudgetError
        Outside every budget.
    """
    if budget is not None:
        if not isinstance(budget, Budget):
            raise NoBudgetError(f"budget= takes a dp.Budget, as in budget=dp.Budget(epsilon=1), not {budget!r}.")
        return budget
    if not _open.get():
        raise NoBudgetError(
            "A release needs a budget: put it inside `with dp.Budget(epsilon=1):`, "
            "or pass one as release(..., budget=b)."
        )
    return _open.get()[-1]
