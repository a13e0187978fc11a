"""The budget: a filter that refuses past a fixed total, ambient inside its ``with`` block."""

from __future__ import annotations

import datetime
import os
import threading
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn

from dpframe.accounting.costs import Cost, Exact, exact, in_epsilon, in_rho
from dpframe.errors import BudgetExceededError, InvalidCostError, NoBudgetError

if TYPE_CHECKING:
    import pyarrow as pa

_open: ContextVar[tuple[Budget, ...]] = ContextVar("dpframe_budgets", default=())


@dataclass(frozen=True)
class Charge:
    """One line of the history: when, for what, at which cost."""

    time: datetime.datetime
    query: str
    mechanism: str
    cost: str
    amount: Exact
    delta: Exact


class Budget:
    """An exact privacy budget: a filter that refuses any release past its total.

    Parameters
    ----------
    epsilon
        Total of an (ε, δ) budget. Releases cost their ε, and their δ if they have one.
    delta
        Total δ, below 1; 0 for a budget of pure ε.
    rho
        Total of a zero-concentrated (zCDP) budget. Releases cost their ρ, or ε²/2.

    Raises
    ------
    InvalidCostError
        Unless exactly one of ε and ρ is given as a positive finite number.

    Notes
    -----
    Sums of costs are exact rationals, so three times 0.1 fits 0.3 and a fourth is refused. A release is
    charged before any data is read, and a failure after that keeps the charge. Composition of adaptively
    chosen releases is additive in ε, in δ and in ρ (Rogers et al., *Privacy Odometers and Filters*, NeurIPS 2016;
    Whitehouse et al., *Fully Adaptive Composition*, ICML 2023).

    Examples
    --------
    >>> with Budget(epsilon=1.1) as budget:
    ...     budget.remaining
    1.1
    """

    def __init__(self, epsilon: object = None, delta: object = 0, *, rho: object = None) -> None:
        if (epsilon is None) == (rho is None):
            raise InvalidCostError("Open a budget with one total: dp.Budget(epsilon=1.1) or dp.Budget(rho=0.5).")
        no_delta = not isinstance(delta, bool) and delta == 0
        allowed = Exact(0) if no_delta else exact(delta, "delta")
        if not no_delta and (rho is not None or allowed >= 1):
            raise InvalidCostError("delta= is below 1 and goes with epsilon=, as in dp.Budget(epsilon=1, delta=1e-6).")
        self._name, self._price = ("epsilon", in_epsilon) if rho is None else ("rho", in_rho)
        self._start(exact(epsilon if rho is None else rho, self._name), allowed)

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
        budget._name, budget._price = "unlimited", lambda event: (Fraction(0), Fraction(0))
        budget._start(None, Exact(0))
        return budget

    _name: str
    _price: Callable[[Cost], tuple[Fraction, Fraction]]

    def _start(self, total: Exact | None, delta: Exact) -> None:
        self._total, self._delta = total, delta
        self._spent = self._spent_delta = Fraction(0)
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
        return self._total is not None

    @property
    def total(self) -> Exact | float:
        """The total, exactly; infinity for an unlimited budget."""
        return float("inf") if self._total is None else self._total

    @property
    def spent(self) -> Exact:
        """What has been charged so far, exactly."""
        return Exact(self._spent)

    @property
    def remaining(self) -> Exact | float:
        """What is left, exactly; infinity for an unlimited budget."""
        return float("inf") if self._total is None else Exact(self._total - self._spent)

    @property
    def remaining_delta(self) -> Exact:
        """What is left of δ, exactly; 0 for a budget without."""
        return Exact(self._delta - self._spent_delta)

    def charge(self, costs: Sequence[Cost], query: str, mechanism: str) -> None:
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
        amount, delta = (Exact(sum(parts)) for parts in zip(*map(self._price, costs), strict=True))
        with self._lock:
            for name, asked, spent, total in (
                (self._name, amount, self._spent, self._total),
                ("delta", delta, self._spent_delta, self._delta),
            ):
                if total is not None and self.private and spent + asked > Fraction(total):
                    left = Exact(total - spent)
                    raise BudgetExceededError(
                        f"This release asks for {name}={asked}, but {left} of {total} is left. "
                        + (f"Lower it to {name}={left} or less, or " if left > 0 else "Nothing more can be released: ")
                        + "open a larger budget."
                    )
            self._spent += amount
            self._spent_delta += delta
            now = datetime.datetime.now(datetime.UTC)
            self._charges.append(Charge(now, query, mechanism, " and ".join(map(str, costs)), amount, delta))

    def history(self) -> object:
        """Every charge so far, oldest first, as a pandas frame.

        Returns
        -------
        pandas.DataFrame
            Columns ``time`` (UTC), ``query``, ``mechanism``, ``cost`` (text, exact) and ``spent`` (the
            running total in the budget's unit, float64, for plotting).
        """
        return self._history_table().to_pandas()

    def _history_table(self) -> pa.Table:
        import pyarrow as pa

        charges = list(self._charges)
        running = [float(spent) for spent in accumulate(c.amount for c in charges)]
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
        if self._total is None:
            return "Budget.unlimited(): exact answers, NOT private"
        delta = f", delta={self._delta}" if self._delta else ""
        return f"Budget({self._name}={self._total}{delta}, spent={self.spent}, remaining={self.remaining})"


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
