"""``dp.batch()``: releases that are declared together, calibrated together, and released at the end of a block."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Token
from dataclasses import dataclass
from fractions import Fraction
from types import TracebackType
from typing import Any

from dpframe.accounting import ApproximateDP, Budget, Declared, Exact, Joint, PureDP, ambient
from dpframe.accounting import cost as read_cost
from dpframe.backends import backend_of
from dpframe.errors import InvalidCostError, PlanError
from dpframe.privacy import analyse, calibrate
from dpframe.privacy.together import Noised, Part, events, together
from dpframe.query import Question
from dpframe.release import answered, collecting, presentable, reach


class Pending:
    """A release that was declared in a batch. Its ``value`` is there when the block has ended."""

    def __init__(self, question: str) -> None:
        self._question = question
        self._value: Any = None
        self._done = False

    @property
    def value(self) -> Any:
        """The released frame.

        Raises
        ------
        PlanError
            Before the block has ended, and when it ended with an error before this was released.
        """
        if not self._done:
            raise PlanError(f"{self._question} is not released: its value is there when the batch's block has ended.")
        return self._value

    def __repr__(self) -> str:
        return f"Pending({self._question}, {'released' if self._done else 'not released'})"


@dataclass(frozen=True)
class _Declared:
    """One release of a batch, as it was asked."""

    frame: Any
    question: Question
    cost: Declared | None
    mechanism: str
    options: Mapping[str, Any]
    pending: Pending


class Batch:
    """Releases that are calibrated and charged together; see :func:`batch`."""

    def __init__(self, total: ApproximateDP | None, budget: Budget | None) -> None:
        self._total, self._budget = total, budget
        self._declared: list[_Declared] = []
        self._outer: Token[Any] | None = None
        self._over = False

    def __enter__(self) -> Batch:
        if self._outer is not None:
            raise PlanError("A batch is for one block: begin another with dp.batch().")
        if collecting.get() is not None:
            raise PlanError("A batch within a batch is one batch: declare its releases in the outer block.")
        self._budget = ambient(self._budget)
        self._outer = collecting.set(self._declare)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._outer is not None
        collecting.reset(self._outer)
        self._over = True  # a task that outlives the block has its own copy of the context
        if kind is None and self._declared:
            self._release()

    def _declare(
        self,
        frame: Any,
        question: Question,
        parameters: Mapping[str, object],
        mechanism: str,
        budget: Budget | None,
        options: Mapping[str, Any],
    ) -> Pending:
        """What a release does within the block: nothing is read and nothing is charged."""
        if self._over:
            raise PlanError("The block of this batch has ended: declare its releases before that.")
        if budget is not None and budget is not self._budget:
            raise PlanError("The releases of a batch are charged together: name the budget once, dp.batch(budget=b).")
        if options["once"] is not None:
            raise PlanError(
                "once= stores one release, and a batch is paid for as a whole: make this release outside of the batch, "
                "or leave once= out and keep what the batch released."
            )
        if question.plan.child is not None:
            raise PlanError("Parts of a partition cost what the dearest of them does: release them outside of a batch.")
        named = {name: value for name, value in parameters.items() if value is not None}
        cost = read_cost(**named) if named else None
        if cost is not None and not isinstance(cost, PureDP | ApproximateDP):
            raise InvalidCostError("Releases of a batch cost epsilon= and delta=, which the batch adds up.")
        others = {each.cost is None for each in self._declared}
        if cost is None and self._total is None and _private(self._budget):
            raise InvalidCostError("Name what a release costs, or what all do, as in dp.batch(epsilon=1, delta=1e-6).")
        if others and others != {cost is None}:
            raise InvalidCostError("In one batch, name what each release costs, or of none: all have equal parts then.")
        presentable(question, intervals=options["ci"] is not None, all_cells=options["at_least"] is None)
        analyse(question)
        backend_of(frame).check(frame)
        pending = Pending(str(question))
        self._declared.append(_Declared(frame, question, cost, mechanism, options, pending))
        return pending

    def _release(self) -> None:
        budget = self._budget
        assert budget is not None
        if budget.private:
            total = self._sum()
            noised = together(self._parts(total), total, pure=budget.adds_epsilon)
            spent = f"{total}, for {len(noised)} releases together"
            self._charge(budget, total, noised)
        else:
            noised, spent = tuple(calibrate(analyse(each.question), None) for each in self._declared), "nothing"
        for each, calibrated in zip(self._declared, noised, strict=True):
            value = answered(each.frame, each.question, calibrated, budget, None, spent, **each.options)
            each.pending._value, each.pending._done = value, True

    def _sum(self) -> ApproximateDP:
        """What the batch costs: what was said of it, or else the sum of its releases."""
        if self._total is not None:
            return self._total
        epsilon = sum((each.cost.epsilon for each in self._declared), Fraction(0))  # type: ignore[union-attr]
        delta = sum((each.cost.delta for each in self._declared if isinstance(each.cost, ApproximateDP)), Fraction(0))
        if not delta:
            raise InvalidCostError("A batch saves noise by its delta: name one, as in release(epsilon=1, delta=1e-6).")
        return ApproximateDP(Exact(epsilon), Exact(delta))

    def _parts(self, total: ApproximateDP) -> list[Part]:
        """Each release with its part of the total: equal ones, or in proportion to the costs that were named."""
        asked = [each.cost for each in self._declared]
        epsilon = sum((cost.epsilon for cost in asked if cost is not None), Fraction(0))  # type: ignore[union-attr]
        parts = []
        for each, cost in zip(self._declared, asked, strict=True):
            share = Fraction(1, len(asked)) if cost is None else cost.epsilon / epsilon  # type: ignore[union-attr]
            own = ApproximateDP(Exact(total.epsilon * share), Exact(total.delta * share))
            parts.append(Part(analyse(each.question), own, each.mechanism))
        return parts

    def _charge(self, budget: Budget, total: ApproximateDP, noised: Noised) -> None:
        for each, calibrated in zip(self._declared, noised, strict=True):
            if each.options["at_least"] is not None:  # too many cells by noise alone are refused before the charge
                mechanisms = {part.measured.statistic: part.mechanism for part in calibrated}
                reach(each.question, mechanisms, each.options["at_least"])
        asked_for = "; ".join(str(each.question) for each in self._declared)
        names = ", ".join(dict.fromkeys(each.mechanism.name for part in noised for each in part))
        labels = "; ".join(
            dict.fromkeys(str(each.options["label"]) for each in self._declared if each.options["label"])
        )
        about = f"batch of {len(noised)}: {asked_for}"
        budget.charge([Joint(total, events(noised))], about, names, label=labels[:500])

    def __repr__(self) -> str:
        return f"Batch({self._total or 'the sum of its releases'}, {len(self._declared)} releases declared)"


def _private(budget: Budget | None) -> bool:
    return budget is None or budget.private


def batch(epsilon: object = None, delta: object = None, *, budget: Budget | None = None) -> Batch:
    """Releases declared in this block get less noise than the same ones by themselves.

    Within the block, ``release`` returns a :class:`Pending`, reads nothing and charges nothing. At the block's end all
    of them are calibrated together to one ε and δ, charged as one, and released; their ``value`` is then there. If the
    block raises, nothing is.

    Parameters
    ----------
    epsilon, delta
        What all releases cost together. Left out, the sum of what each names.
    budget
        The budget to charge; None is the innermost one's where the block begins.

    Notes
    -----
    Releases are accounted for by privacy loss distributions, with the optional package dp-accounting
    (``pip install 'dpframe[pld]'``); where all noise is Gaussian, exactly and without it. Each release has a part of
    the total, equal or in proportion to the ε that it names, and all noise is less than for its part alone by the same
    factor; of a list of quantiles, each level has an equal part. Releases that name no mechanism all have Gaussian or
    all Laplace noise, whichever is less. See :mod:`dpframe.privacy.together`, and ``docs/decisions/0011`` for what a
    batch costs its budget.

    Raises
    ------
    InvalidCostError
        For what is not a positive ε beside a positive δ below 1.

    Examples
    --------
    >>> import pandas as pd, dpframe as dp
    >>> private = pd.DataFrame({"level": ["a", "b"], "books": [3, 5]}).dp.protect().groupby("level", keys=["a", "b"])
    >>> with dp.Budget(epsilon=1, delta=1e-6) as budget:
    ...     with dp.batch(epsilon=1, delta=1e-6):
    ...         readers = private.count().release(mechanism="gaussian")
    ...         books = private.sum("books", 0, 22).release(mechanism="gaussian")
    >>> readers.value.columns.to_list(), round(float(budget.spent), 6)
    (['level', 'count'], 1.0)
    """
    if epsilon is None and delta is None:
        return Batch(None, budget)
    total = read_cost(epsilon, delta=delta)
    if not isinstance(total, ApproximateDP):
        raise InvalidCostError("A batch saves noise by its delta: name one, as in dp.batch(epsilon=1, delta=1e-6).")
    return Batch(total, budget)
