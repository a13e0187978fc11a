"""The budget: a filter that refuses past a fixed total, ambient inside its ``with`` block."""

from __future__ import annotations

import datetime
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, cast

from dpframe.accounting.blocks import begin, end, innermost
from dpframe.accounting.costs import Exact, cost
from dpframe.accounting.events import Event
from dpframe.accounting.filters import NOTHING, Amounts, Filter, Gaussians, Renyi, filter_of, first, share, take
from dpframe.accounting.history import Charge, Kept, charged, said, table
from dpframe.accounting.ledger_chain import Account, Once, Reckoned, other_plan
from dpframe.accounting.split import Split
from dpframe.errors import InvalidCostError, LedgerError, NoBudgetError, PlanError

if TYPE_CHECKING:
    from dpframe.accounting.ledger import Ledger

Reckon = Callable[[Filter, Amounts], tuple[Filter, Amounts, Amounts]]
"""From a filter and what is spent of it: to the filter that counts from now on, what is taken, what is spent then."""


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
    ledger, name
        The address of a database, such as ``sqlite:///privacy.db``, and the budget's name there: a budget that outlives
        the process, and that all who open it share. Needs ``dpframe[ledger]``.
    anchor
        A file kept elsewhere, by which a ledger that was put back to an older copy is refused.

    Raises
    ------
    InvalidCostError
        Unless exactly one of ε, ρ and μ is given as a positive finite number, with a δ and a filter only beside ε.
    LedgerError
        When a ledger cannot be kept there, is not what was written, or has another total under that name.

    Notes
    -----
    Sums are exact rationals, so three times 0.1 fits 0.3 and a fourth is refused; amounts that are irrational, as μ² of
    an (ε, δ), are rounded up first. A release is charged before any data is read, and a failure after that keeps the
    charge. The sums may be of adaptively chosen releases: :mod:`dpframe.accounting.filters`.

    A budget can be entered again, and used before, after and without a block; a :meth:`part` refuses after its block.
    New threads begin outside every block (``with budget:`` works in them), asyncio tasks where they were started.

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
        ledger: object = None,
        name: str | None = None,
        anchor: str | os.PathLike[str] | None = None,
    ) -> None:
        if sum(each is None for each in (epsilon, rho, mu)) != 2:
            raise InvalidCostError(
                "Open a budget with one total: dp.Budget(epsilon=1.1), dp.Budget(epsilon=1, delta=1e-6), "
                "dp.Budget(rho=0.5) or dp.Budget(mu=1)."
            )
        self._start(filter_of(cost(epsilon, rho, delta=delta, mu=mu), filter))
        if ledger is not None:
            self._open_in(ledger, name, anchor)
        elif name is not None or anchor is not None:
            raise LedgerError("name= and anchor= go with ledger=, as in ledger='sqlite:///privacy.db', name='members'.")

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
        self._answers: dict[str, Kept] = {}
        self._lineage: tuple[Budget, ...] = (self,)
        self._ledger: Ledger | None = None
        self._account = 0
        self._usable = True
        self._lock = threading.Lock()
        self._process = os.getpid()

    def _open_in(self, address: object, name: str | None, anchor: str | os.PathLike[str] | None) -> None:
        """Share the budget of that name with all who open it, opening it when there is none."""
        from dpframe.accounting.ledger import Ledger

        if not isinstance(name, str) or not 0 < len(name) <= 200 or not name.isprintable():
            raise LedgerError(f"A budget in a ledger has a name, as in name='members', not {name!r}.")
        filter = cast(Filter, self._filter)
        counts = "" if filter.name == filter_of(filter.opened).name else f", filter={filter.name!r}"
        self._ledger = Ledger(address, None if anchor is None else Path(anchor).absolute())
        self._account = self._ledger.budget(name, f"{filter.opened}{counts}", filter.name, filter.totals, _now())

    def __copy__(self) -> Budget:
        """The budget itself: two that each had the whole total would spend it twice."""
        return self

    def __deepcopy__(self, memo: object) -> Budget:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "A budget cannot be pickled: its copy would spend the total again. Release where it was opened; to share "
            "one with other processes, open it in each, as in dp.Budget(..., ledger='sqlite:///privacy.db')."
        )

    @property
    def private(self) -> bool:
        """Whether releases are noisy. Only an unlimited budget's are not."""
        return self._filter is not None

    @property
    def filter(self) -> str:
        """How it counts: ``sum``, ``gaussian``, ``renyi`` or ``rho``; ``unsettled`` before that is known."""
        filter, _ = self._now()
        return "unlimited" if filter is None else filter.name

    @property
    def adds_epsilon(self) -> bool:
        """Whether pure ε costs its ε, and not what it amounts to in another measure."""
        if self._ledger is not None:
            self._now()  # another process may have settled it since
        return self._filter is None or self._filter.measure == "epsilon"

    @property
    def total(self) -> Exact | float:
        """The total ε, ρ or μ, exactly; infinity for an unlimited budget."""
        return float("inf") if self._filter is None else first(self._filter.opened)

    @property
    def spent(self) -> Exact:
        """What has been charged so far, or is set aside in a part.

        Exactly, where the budget's own ε or ρ add up. Of Gaussian releases, the μ that all of them are together, or
        their ε at the budget's δ, rounded up.
        """
        filter, spent = self._now()
        return Exact(0 if filter is None else filter.used(spent)[0])

    @property
    def remaining(self) -> Exact | float:
        """What is left; infinity for an unlimited budget.

        Exactly, where the budget's own ε or ρ add up. Otherwise what one more Gaussian release could ask for, its μ, or
        its ε beside ``delta=budget.remaining_delta``, rounded down.
        """
        filter, spent = self._now()
        return float("inf") if filter is None else Exact(filter.left(spent)[0])

    @property
    def remaining_delta(self) -> Exact:
        """What is left of δ, or the δ that goes with ``remaining``; 0 for a budget without."""
        filter, spent = self._now()
        return Exact(0 if filter is None else filter.left(spent)[1])

    def _now(self) -> tuple[Filter | None, Amounts]:
        """The filter and what is spent of it; with a ledger, by whomever."""
        if self._ledger is None or self._filter is None:
            return self._filter, self._spent
        return self._as_counted(self._ledger.account(self._account))

    def _as_counted(self, held: Account) -> tuple[Filter, Amounts]:
        """The filter of an account of a ledger, and what is spent of it."""
        filter = cast(Filter, self._filter)
        if filter.name != held.unit:
            self._filter = filter = filter_of(filter.opened, held.unit)
        totals = filter.totals
        return filter, (totals[0] - held.left[0], totals[1] - held.left[1])

    def charge(
        self,
        events: Sequence[Event],
        query: str,
        mechanism: str,
        *,
        label: str = "",
        once: Once | None = None,
        due: Callable[[Amounts], Amounts] | None = None,
    ) -> bytes | None:
        """Take the costs of a release, all or none; or nothing, when it is stored under its key.

        Parameters
        ----------
        due
            What is due of what the events cost, where a part of a private table shares it with its siblings.

        Returns
        -------
        bytes or None
            The stored answer. None when the costs were taken.

        Raises
        ------
        BudgetExceededError
            When less than the cost is left; the text says asked, left and total.
        InvalidCostError
            When the cost is of a kind that this budget cannot pay for.
        LedgerError
            When the ledger cannot be written.
        NoBudgetError
            For a part outside its block; and in a forked child of the process that opened it: the parent has the same
            total.
        OnceError
            When the key stands for another release.
        """
        if not self._usable or os.getpid() != self._process:
            raise self._refusal()
        if not isinstance(label, str) or len(label) > 500 or not label.isprintable():
            raise PlanError(f"label= is a short text for the budget's history, such as 'nightly', not {label!r:.80}.")
        now = datetime.datetime.now(datetime.UTC)
        if self._ledger is not None:
            texts = {"label": label, "query": query, "mechanism": mechanism, "cost": said(events), "time": str(now)}
            reckon = self._reckoned(lambda filter, spent: take(filter, spent, events, due))
            return self._ledger.charge(self._account, reckon, once, **texts)
        with self._lock:
            if not self._usable:
                raise self._refusal()  # its block has ended while this charge waited
            answers = self._lineage[-1]._answers
            if once is not None and (kept := answers.get(once.key)) is not None:
                if kept.plan != once.plan:
                    raise other_plan(once.key, query=kept.charge.query, cost=kept.charge.cost)
                if kept.answer is not None:
                    return kept.answer
            asked = NOTHING
            if self._filter is not None:
                self._filter, asked, self._spent = take(self._filter, self._spent, events, due)
            charge = Charge(now, label, query, mechanism, tuple(events), asked[0])
            for budget in self._lineage:
                budget._charges.append(charge)
            if once is not None:
                answers.setdefault(once.key, Kept(once.plan, charge))
        return None

    def keep(self, once: Once, answer: bytes) -> bytes:
        """Store the answer of a key that was charged. The first one stored is the answer; it is what comes back.

        Raises
        ------
        LedgerError
            When the ledger cannot be written. The charge stands.
        """
        if self._ledger is not None:
            return self._ledger.keep(self._account, once, answer, _now())
        with self._lock:
            kept = self._lineage[-1]._answers[once.key]
            kept.answer = answer if kept.answer is None else kept.answer
            return kept.answer

    def _reckoned(self, reckon: Reckon) -> Callable[[Account], Reckoned]:
        """What is taken of an account of a ledger, as its turn comes."""

        def of(held: Account) -> Reckoned:
            if held.closed:  # since this charge began
                raise self._refusal()
            known, spent = self._as_counted(held)
            filter, amounts, _ = reckon(known, spent)
            return Reckoned(filter.name, held.total if filter.name == held.unit else filter.totals, amounts)

        return of

    def _refusal(self) -> NoBudgetError:
        return NoBudgetError(
            "This budget was opened in another process: open one here, with a part of its total, or open the same one "
            "in each process, of a ledger: dp.Budget(..., ledger='sqlite:///privacy.db', name='members')."
        )

    def part(self, epsilon: object = None, delta: object = 0, *, rho: object = None, mu: object = None) -> Part:
        """A part of what is left, set aside for a block; what the block does not spend returns at its end.

        Parameters
        ----------
        epsilon, delta, rho, mu
            How much, as a release would ask for it.

        Raises
        ------
        BudgetExceededError, InvalidCostError
            When the block begins: less is left, or the budget does not count such a cost.

        Examples
        --------
        >>> budget = Budget(epsilon=1)
        >>> with budget.part(epsilon=0.3) as part:
        ...     part.remaining, budget.remaining
        (0.3, 0.7)
        >>> budget.remaining
        1
        """
        wanted = cost(epsilon, rho, delta=delta, mu=mu)
        return Part(self, lambda filter, spent: take(filter, spent, [wanted]), str(wanted))

    def split(self, parts: int) -> Split[Part]:
        """What is left in equal parts, for a block; what the block does not spend returns at its end.

        Within the block the parts are used by name, ``release(budget=a)`` or ``with a:``. An (ε, δ) budget of which
        nothing was charged yet counts by ``filter="sum"`` from then on, unless it was opened with another.

        Raises
        ------
        InvalidCostError
            For a number of parts that is not a whole number of 1 to 1000.

        Examples
        --------
        >>> with Budget(epsilon=1).split(2) as (a, b):
        ...     a.remaining, b.remaining
        (0.5, 0.5)
        """
        if isinstance(parts, bool) or not isinstance(parts, int) or not 0 < parts <= 1000:
            raise InvalidCostError(f"split() takes a number of parts from 1 to 1000, not {parts!r}.")
        shares = [lambda filter, spent, of=of: share(filter, spent, of) for of in range(parts, 0, -1)]
        return Split([Part(self, each, f"1/{parts}") for each in shares])

    def history(self) -> object:
        """Every charge so far, to the budget and to parts of it, oldest first, as a pandas frame.

        Returns
        -------
        pandas.DataFrame
            Columns ``time`` (UTC), ``label`` (the caller's), ``query``, ``mechanism``, ``cost`` (text, exact) and
            ``spent`` (the running total in what adds up: ε, ρ, μ² or a Rényi divergence; float64, for plotting).
        """
        ours = self._charges if self._ledger is None else map(charged, self._ledger.history(self._account))
        return table(list(ours)).to_pandas()

    def __enter__(self) -> Budget:
        begin(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        end(self)

    def __repr__(self) -> str:
        if self._filter is None:
            return "Budget.unlimited(): exact answers, NOT private"
        counts = f", filter={self._filter.name!r}" if isinstance(self._filter, Gaussians | Renyi) else ""
        return f"Budget({self._filter.opened}{counts}, spent={self.spent}, remaining={self.remaining})"


class Part(Budget):
    """A part of a budget, set aside while its block is open; see :meth:`Budget.part`."""

    def __init__(self, whole: Budget, reckon: Reckon, words: str) -> None:
        self._start(whole._filter)
        self._whole, self._reckon, self._words = whole, reckon, words
        self._lineage = (self, *whole._lineage)
        self._lock, self._process, self._ledger = whole._lock, whole._process, whole._ledger
        self._aside = NOTHING
        self._usable = self._closed = False
        self._blocks = 0
        self._entering = threading.Lock()

    @property
    def total(self) -> Exact | float:
        """What was set aside."""
        return float("inf") if self._filter is None else Exact(self._filter.used(self._aside)[0])

    @property
    def spent(self) -> Exact:
        """What of it has been charged."""
        filter, spent = self._now()
        if filter is None:
            return Exact(0)
        before = [whole - aside for whole, aside in zip(filter.totals, self._aside, strict=True)]
        return Exact(filter.used((spent[0] - before[0], spent[1] - before[1]))[0])

    def hold(self) -> None:
        """Set it aside, or hold it once more."""
        if os.getpid() != self._process:  # where another thread may hold the lock for ever
            raise self._refusal()
        with self._entering:
            if not self._whole._usable or self._closed:
                raise self._refusal()
            if self._blocks == 0:
                self._set_aside()
            self._usable = True
            self._blocks += 1

    def _set_aside(self) -> None:
        whole = self._whole
        if self._ledger is not None:
            reckon = whole._reckoned(self._reckon)
            self._account, held = self._ledger.part(whole._account, reckon, self._words, _now())
            self._filter, self._aside = self._as_counted(held)[0], (held.total[0], held.total[1])
        elif whole._filter is not None:
            with self._lock:
                if not whole._usable:  # its block has ended while this waited
                    raise self._refusal()
                self._filter, self._aside, whole._spent = self._reckon(whole._filter, whole._spent)
                whole._filter, totals = self._filter, self._filter.totals
                # Counted by the same filter, of which all but this part is spent.
                self._spent = totals[0] - self._aside[0], totals[1] - self._aside[1]

    def release(self) -> None:
        """Hold it no more; when nobody does, what is left of it returns."""
        if os.getpid() != self._process:
            return
        with self._entering:
            self._blocks -= 1
            if self._blocks:
                return
            with self._lock:  # a charge is made before this, of what is then not left, or refused after it
                self._usable, self._closed = False, True
                if self._ledger is None and self._filter is not None and self._whole._usable:
                    whole, totals = self._whole, self._filter.totals
                    left = totals[0] - self._spent[0], totals[1] - self._spent[1]
                    whole._spent = whole._spent[0] - left[0], whole._spent[1] - left[1]
            if self._ledger is not None:
                self._ledger.close(self._account, _now())

    def __enter__(self) -> Budget:
        self.hold()
        return super().__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self.release()

    def _refusal(self) -> NoBudgetError:
        if os.getpid() != self._process:
            return super()._refusal()
        when = "has ended, and what was left of it went back" if self._closed else "has not begun"
        return NoBudgetError(
            f"This part of a budget is for its block, which {when}: release inside `with budget.part(...) as part:`."
        )

    def __repr__(self) -> str:
        return f"Part({self._words} of {self._whole!r})"


def _now() -> str:
    """For people to read in a ledger; nothing is decided by it."""
    return str(datetime.datetime.now(datetime.UTC))


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
    return cast(Budget, innermost())
