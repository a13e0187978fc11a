"""The one place where exact becomes noisy, in this order: analyse, charge, read, noise, freeze."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import replace
from functools import partial
from types import MappingProxyType
from typing import Any

from dpframe.accounting import Budget, Event, Once, PureDP, ambient
from dpframe.accounting import cost as read_cost
from dpframe.answer import Finish, Ranks
from dpframe.backends import Request, backend_of
from dpframe.errors import DataPlaneError, KeysError, PlanError
from dpframe.keys import MOST_CELLS
from dpframe.lines import BILLION, Quantile
from dpframe.mechanisms import Mechanism, RankChoice
from dpframe.once import only, packed, unpacked
from dpframe.plan import Bound, Column, Define, Distinct, GroupBound, Squares, Statistic, Step, Sum
from dpframe.privacy import Calibrated, analyse, calibrate, joint
from dpframe.query import Question
from dpframe.result import AtLeast, ColumnInfo, ReleaseInfo, StatisticInfo
from dpframe.stages import Stage, needed
from dpframe.threshold import Threshold, threshold

CONFIDENCE = 0.95
"""Of the half-widths in the metadata, when the caller asks for no other."""

operator = logging.getLogger("dpframe.operator")
"""Full engine errors, which may quote private values. Silent unless whoever operates the engine, and may see
private data, adds a handler to this very logger; it passes nothing on to the root logger."""
operator.propagate = False
operator.addHandler(logging.NullHandler())

collecting: ContextVar[Callable[..., Any] | None] = ContextVar("dpframe_batch", default=None)
"""Within a batch, what takes a release and answers later."""

fresh_key = os.urandom
"""Where a release's secret key comes from: the operating system, 32 bytes for each release, kept nowhere."""


def release(
    frame: Any,
    question: Question,
    parameters: Mapping[str, object],
    mechanism: str = "auto",
    *,
    budget: Budget | None = None,
    ci: float | None = None,
    at_least: object = None,
    label: str = "",
    once: str | None = None,
) -> Any:
    """Answer a question once, with noise, as a frozen frame of the same kind; see ``Query.release``."""
    options: dict[str, Any] = {"ci": ci, "at_least": at_least, "label": label, "once": once}
    if (declare := collecting.get()) is not None:
        return declare(frame, question, parameters, mechanism, budget, options)
    budget = ambient(budget)
    named = {name: value for name, value in parameters.items() if value is not None}
    cost = read_cost(**named) if budget.private or named else None
    calibrated = calibrate(analyse(question), cost if budget.private else None, mechanism, pure=budget.adds_epsilon)
    event: Event | None = cost
    if cost is not None and budget.private and not (isinstance(cost, PureDP) and budget.adds_epsilon):
        event = joint(cost, calibrated)  # where ε is what adds up, it is all that such a budget must know
    asked = {"cost": cost, "noise": mechanism}
    return answered(frame, question, calibrated, budget, event, str(event), asked=asked, **options)


def answered(
    frame: Any,
    question: Question,
    calibrated: Sequence[Calibrated],
    budget: Budget,
    event: Event | None,
    spent: str,
    *,
    ci: float | None,
    at_least: object,
    label: str,
    once: str | None,
    asked: Mapping[str, object] = MappingProxyType({}),
) -> Any:
    """The answer with noise that was calibrated for it.

    Parameters
    ----------
    event
        What to charge the budget before anything is read; None where a batch was charged.
    spent
        What it cost, in words.
    asked
        What tells apart two releases of one question, for ``once``.
    """
    confidence = CONFIDENCE if ci is None else confidence_of(ci)
    presentable(question, intervals=ci is not None, all_cells=at_least is None)
    mechanisms = {each.measured.statistic: each.mechanism for each in calibrated}
    least, shown = (None, None) if at_least is None else reach(question, mechanisms, at_least)
    key = fresh_key(32)
    sought = request(question, calibrated, key)
    backend = backend_of(frame)
    backend.check(frame)
    spread = least is None and backend.spreads is not None and backend.spreads(frame, sought.keys.size)
    single = None if once is None else only(once, question, stored=not spread, ci=ci, at_least=least, **asked)
    if event is not None:
        asked_for = str(question) if least is None else f"{question}, {least}"
        noises = [each.mechanism.name for each in calibrated]
        stored = pay(budget, question, event, asked_for, noises, label=label, once=single)
        if stored is not None:
            return backend.freeze(*unpacked(stored), frame)
    finish = Finish(
        by=question.by,
        keys=sought.keys,
        answers=tuple((name, prepared) for name, _, prepared in question.answers),
        mechanisms=mechanisms,
        key=key,
        confidence=confidence,
        intervals=ci is not None,
    )
    cost = spent if budget.private else "nothing"
    info = describe(question, calibrated, cost, budget.private, confidence, shown).json
    if spread:
        return guarded(lambda: backend.spread(frame, sought, finish.rows, info))
    reaching = None if least is None else finish.reach(least)
    keep = reaching if reaching is not None and reaching.light else None
    sums = guarded(lambda: backend.aggregate(frame, sought, keep))
    rows = finish.rows(sums.dense(len(sought.keys))) if reaching is None else finish.reaching(sums, reaching)
    if single is not None and budget.private:
        rows, info = unpacked(budget.keep(single, packed(rows, info)))
    return backend.freeze(rows, info, frame)


def pay(
    budget: Budget,
    question: Question,
    event: Event,
    about: str,
    noises: Sequence[str],
    *,
    label: str,
    once: Once | None = None,
) -> bytes | None:
    """Charge a release, beside its siblings' where it is of a part of a private table; see :meth:`Budget.charge`."""
    child = question.plan.child
    charge = budget.charge if child is None else partial(child.charge, budget)
    return charge([event], about, ", ".join(dict.fromkeys(noises)), label=label, once=once)


def guarded(read: Callable[[], Any]) -> Any:
    """What an engine finds. A failure is reported by its kind alone: its message may quote a private value."""
    try:
        return read()
    except Exception as error:
        operator.debug("the engine failed", exc_info=True)
        condition = getattr(error, "getCondition", lambda: None)()
        kind = type(error).__name__ + (f" [{condition}]" if condition else "")
        workers = " On Spark, check that every worker has dpframe." if "pyspark" in type(error).__module__ else ""
    # Raised out here, so that the withheld error is not this one's context either.
    raise DataPlaneError(
        f"The engine failed with {kind} while reading private data. The charge stands, and details are withheld "
        "because they may quote the data; whoever operates the engine can read them by adding a handler to the "
        f"logger 'dpframe.operator' at level DEBUG.{workers}"
    )


def request(question: Question, calibrated: Sequence[Calibrated], key: bytes) -> Request:
    """What the engine must compute, in refs."""
    plan, schema = question.plan, question.plan.schema
    statistics = tuple(each.measured.statistic for each in calibrated)
    keyed = [schema[name] for name in question.by]
    columns = list(keyed)
    chosen = any(isinstance(each, Quantile) for each in statistics)
    columns += [column for bound in plan.bounds if isinstance(bound, GroupBound) for column in bound.by or ()]
    columns += [] if plan.unit.id is None else [plan.unit.id]
    columns += [column for column in schema if column.ref in {ref for each in statistics for ref in each.refs}]
    types = {column.ref: column.type for column in columns}
    read, steps = set(types), list[Step | Stage]()
    for step in reversed(plan.steps):  # only those that something rests on
        if not isinstance(step, Define) or step.ref in read:
            steps.insert(0, step)
            read |= step.reads
    if any(isinstance(step, Stage) for step in steps):  # which must know what to let pass
        steps, read = needed(steps, {column.ref: column.type for column in plan.source}, types.keys())
    return Request(
        sources={column.ref: column.type for column in plan.source if column.ref in read},
        steps=tuple(steps),
        types=types,
        id=None if plan.unit.id is None else plan.unit.id.ref,
        bounds=_by_value(plan.bounds, keyed) if question.finds else plan.bounds,
        keys=question.keys.fit(schema),
        statistics=statistics,
        salt=hashlib.blake2b(b"bounding", key=key, digest_size=16).digest(),
        by=tuple(column.ref for column in keyed) if question.finds else (),
        ranking=Ranks({each.measured.statistic: each.mechanism for each in calibrated}, key) if chosen else None,
    )


def _by_value(bounds: Sequence[Bound], keyed: Sequence[Column]) -> tuple[Bound, ...]:
    """The bounds with the query's grouping spelled out: groups that are found have no cells of their own to go by."""
    return tuple(
        replace(bound, by=tuple(keyed)) if isinstance(bound, GroupBound) and bound.by is None else bound
        for bound in bounds
    )


def reach(question: Question, mechanisms: Mapping[Statistic, Mechanism], at_least: object) -> tuple[Threshold, AtLeast]:
    """Which cells may come out, for the engine and in the metadata."""
    least = threshold(question, at_least)
    return least, AtLeast(least.answer, least.value, least.by_noise(question, mechanisms[least.statistic]))


def describe(
    question: Question,
    calibrated: Sequence[Calibrated],
    cost: str,
    private: bool,
    confidence: float,
    at_least: AtLeast | None,
) -> ReleaseInfo:
    """The metadata of a release: a function of the plan and the cost alone."""
    by_statistic = {each.measured.statistic: each for each in calibrated}
    names = {column.ref: column.name for column in question.plan.schema}
    columns = []
    for name, text, prepared in question.answers:
        alpha = (1 - confidence) / len(prepared.statistics)
        parts = [
            StatisticInfo(
                statistic=words(statistic, names),
                mechanism=noise.name,
                scale=noise.scale * statistic.grid,
                half_width=noise.accuracy(alpha) * statistic.grid,
                share=str(by_statistic[statistic].measured.share),
                typical=noise.typical(alpha) if isinstance(noise, RankChoice) else None,
            )
            for statistic in prepared.statistics
            for noise in [by_statistic[statistic].mechanism]
        ]
        columns.append(ColumnInfo(name, text, tuple(parts)))
    return ReleaseInfo(
        private=private,
        cost=cost,
        unit=str(question.plan.unit),
        bounds=tuple(map(str, question.plan.bounds)),
        by=question.by,
        groups=len(question.keys),
        confidence=confidence,
        columns=tuple(columns),
        at_least=at_least,
        found=question.found,
    )


def words(statistic: Statistic, names: Mapping[str, str]) -> str:
    """A statistic in words, over the user's column names."""
    if isinstance(statistic, Sum):
        shift = f" - {statistic.center:g}" if statistic.center else ""
        return f"sum of clip({names[statistic.ref]}, {statistic.low:g}, {statistic.high:g}){shift}"
    if isinstance(statistic, Squares):
        clip = f"clip({names[statistic.ref]}, {statistic.low:g}, {statistic.high:g}) - {statistic.center:g}"
        return f"sum of ({clip})^2 - {statistic.shift * statistic.grid:g}"
    if isinstance(statistic, Distinct):
        return f"distinct values of {', '.join(names[ref] for ref in statistic.refs)}"
    if isinstance(statistic, Quantile):
        line, part = statistic.line, statistic.parts[statistic.at] / BILLION
        if line.powers:
            return f"rank of quantile {part:g} of the power of two of {names[line.ref]}"
        return f"rank of quantile {part:g} of clip({names[line.ref]}, {line.low:g}, {line.high:g})"
    return "count of rows" if statistic.ref is None else f"count of rows with {names[statistic.ref]}"


def confidence_of(ci: object) -> float:
    if isinstance(ci, bool) or not isinstance(ci, float) or not 0 < ci < 1:
        raise PlanError(f"ci is a confidence between 0 and 1, such as 0.95, not {ci!r}.")
    return float(ci)


def presentable(question: Question, *, intervals: bool, all_cells: bool) -> None:
    """Not too many cells for a table of all; and no two columns share a name, the ends of intervals included."""
    if all_cells and question.keys.size > MOST_CELLS:
        raise KeysError(
            f"{question.keys.size:,} keys are too many for a row each, of which there may be {MOST_CELLS:,}: ask for "
            "the large ones only, as in .release(..., at_least=40)."
        )
    names = [*question.by, *(name for name, _, _ in question.answers)]
    if intervals:
        names += [f"{name}{end}" for name, _, _ in question.answers for end in ("_low", "_high", "_reliable")]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise PlanError(f"Two columns of the answer would be called {twice!r}: name one otherwise in .agg().")
    for name in [*names, *(column.name for column in question.plan.schema)]:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise PlanError(f"The name {name!r} holds half a surrogate pair, which is not a character.") from None
