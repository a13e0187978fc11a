"""Clipping bounds that an aggregate leaves out and no column declares: found by the release, for a part of its cost.

A release of cost c finds them first, by the two choices of :func:`dpframe.bounds` for each column that needs any, over
all rows as one group, for ``FOR_BOUNDS`` of c; then it answers with those bounds for the rest. Both are calibrated to
shares that sum to 1, of one ε (noise that is pure) or one μ² or ρ (noise that is not). Each of these adds up, also if
what the first said is what the second is made of. So it is one release, charged whole before anything is read.

What can be refused is refused before the charge: everything is prepared and calibrated at the widest bounds there are,
whose sensitivity no others exceed.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from dpframe import release
from dpframe.accounting import Budget, Declared, Event, Exact, PureDP, ambient
from dpframe.accounting import cost as read_cost
from dpframe.accounting.events import DiscreteLaplace
from dpframe.answer import Finish
from dpframe.backends import backend_of
from dpframe.errors import PlanError
from dpframe.lines import Quantile
from dpframe.plan import Column, Number, Schema, Squares, Statistic, Sum, Type
from dpframe.privacy import Calibrated, analyse, calibrate, joint
from dpframe.privacy.analyse import FOR_BOUNDS, bounding, in_part, pure_epsilon
from dpframe.query import Question
from dpframe.release import CONFIDENCE, answered, confidence_of, guarded, pay, presentable, reach, request
from dpframe.threshold import threshold

WIDEST = {Type.INTEGER: 2**30, Type.FLOAT: 2.0**64 - 2.0**12}
"""No bounds are found beyond these, in whole numbers: 64-bit sums cannot wrap around. On the grid of the floats' a row
has 2**30 steps, as many as on any."""


def widest(schema: Schema, names: Sequence[str]) -> Schema:
    """The schema in which these columns have the widest bounds that can be found."""
    for name in names:
        most = WIDEST.get(schema[name].type, 1)  # of what is no number, the aggregate says so
        schema = schema.put(replace(schema[name], bounds=(-most, most)))
    return schema


def depends(question: Question, statistic: Statistic) -> bool:
    """Whether a statistic is of a column whose bounds are to be found, clipped to them."""
    clipped = isinstance(statistic, Sum | Squares) or (isinstance(statistic, Quantile) and not statistic.line.powers)
    return clipped and statistic.refs[0] in {question.plan.schema[name].ref for name in question.open}


def remedy(question: Question) -> str:
    """How to do without bounds that are found."""
    name = question.open[0]
    return f"give {name!r} low and high, or declare them with protect(bounds={{{name!r}: (0, 100)}})"


def decidable(question: Question, at_least: object) -> None:
    """Refuse to let an answer decide which cells come out whose grid and noise are not known yet.

    Raises
    ------
    PlanError
        For such an answer, and for what :func:`dpframe.threshold.threshold` refuses.
    """
    least = threshold(question, at_least)
    if depends(question, least.statistic):
        raise PlanError(
            f"{least.answer!r} cannot decide which cells come out before its bounds are found: {remedy(question)}."
        )


def release_open(
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
    """Find the bounds that a question leaves open and answer it with them, once; see ``Query.release``."""
    if release.collecting.get() is not None:
        raise PlanError(f"A batch finds no bounds: {remedy(question)}; or release it outside of the batch.")
    if once is not None:
        raise PlanError(f"once= stores no release that finds bounds: {remedy(question)}.")
    budget = ambient(budget)
    named = {name: value for name, value in parameters.items() if value is not None}
    cost = read_cost(**named) if budget.private or named else None
    cost = cost if budget.private else None
    presentable(question, intervals=ci is not None, all_cells=at_least is None)
    confidence_of(CONFIDENCE if ci is None else ci)
    calibrated = calibrate(analyse(question), cost, mechanism, pure=budget.adds_epsilon)
    if at_least is not None:
        decidable(question, at_least)
        reach(question, {each.measured.statistic: each.mechanism for each in calibrated}, at_least)
    backend_of(frame).check(frame)
    if cost is not None:
        event: Event = cost
        if not (isinstance(cost, PureDP) and budget.adds_epsilon):
            event = joint(cost, promised(question, calibrated, cost))
        pay(budget, question, event, str(question), [each.mechanism.name for each in calibrated], label=label)
    asked = closed(question, find(frame, question, calibrated[: 2 * len(question.open)]))
    kind = "laplace" if all(each.mechanism.pure for each in calibrated) else "gaussian"
    rest = calibrate(in_part(analyse(asked), 1 - FOR_BOUNDS), cost, kind)
    options: dict[str, Any] = {"ci": ci, "at_least": at_least, "label": label, "once": None}
    return answered(frame, asked, rest, budget, None, str(cost), **options)


def promised(question: Question, calibrated: Sequence[Calibrated], cost: Declared) -> list[Calibrated]:
    """With what is true at any bounds in the place of the law of Laplace noise, which they are part of: its ε."""
    return [
        replace(each, event=PureDP(Exact(pure_epsilon(cost) * each.measured.share)))
        if isinstance(each.event, DiscreteLaplace) and depends(question, each.measured.statistic)
        else each
        for each in calibrated
    ]


def find(frame: Any, question: Question, calibrated: Sequence[Calibrated]) -> dict[str, tuple[Number, Number]]:
    """The bounds of each open column, in a release of their own that is paid for."""
    asked, key = bounding(question), release.fresh_key(32)
    sought = request(asked, calibrated, key)
    finish = Finish(
        by=(),
        keys=sought.keys,
        answers=tuple((str(at), prepared) for at, (_, _, prepared) in enumerate(asked.answers)),
        mechanisms={each.measured.statistic: each.mechanism for each in calibrated},
        key=key,
        confidence=CONFIDENCE,
        intervals=False,
    )
    sums = guarded(lambda: backend_of(frame).aggregate(frame, sought, None))
    (ends,) = finish.rows(sums.dense(1)).to_pylist()
    return {
        name: usable(question.plan.schema[name], ends[str(2 * at)], ends[str(2 * at + 1)])
        for at, name in enumerate(question.open)
    }


def usable(column: Column, low: float, high: float) -> tuple[Number, Number]:
    """Two bounds that any aggregate takes, of two that were chosen apart: in order, distinct, and not too wide.

    Examples
    --------
    >>> age = Column("age", "c0", Type.INTEGER)
    >>> usable(age, 16.0, 128.0), usable(age, 0.5, 2.0**-9), usable(age, -(2.0**40), 2.0**40), usable(age, 8.0, 8.0)
    ((16, 128), (0, 1), (-1073741824, 1073741824), (0, 8))
    """
    if math.isnan(low) or math.isnan(high):  # of no rows, without noise
        low, high = 0.0, 1.0
    ends: list[Number] = sorted((low, high))
    if column.type is Type.INTEGER:
        ends = [math.floor(ends[0]), math.ceil(ends[1])]
    most = WIDEST[column.type]
    first, last = (max(-most, min(end, most)) for end in ends)
    if first == last:
        first, last = (min(first, 0), max(last, 0)) if first else (0, 1)
    return first, last


def closed(question: Question, found: Mapping[str, tuple[Number, Number]]) -> Question:
    """The question at the bounds that were found."""
    schema = question.plan.schema
    for name, pair in found.items():
        schema = schema.put(replace(schema[name], bounds=pair))
    answers = tuple(
        (name, text, replace(aggregate.prepare(schema), part=prepared.part))
        for (name, text, prepared), aggregate in zip(question.answers, question.aggregates, strict=True)
    )
    part = Fraction(FOR_BOUNDS, len(found))
    words = tuple(
        f"{name} to ({low:.17g}, {high:.17g}), found for {part} of the cost" for name, (low, high) in found.items()
    )
    plan = replace(question.plan, schema=schema)
    return replace(question, plan=plan, answers=answers, open=(), aggregates=(), found=words)
