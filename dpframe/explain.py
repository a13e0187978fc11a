"""What a query would do, in words: a function of the plan alone."""

from __future__ import annotations

from dpframe.accounting import cost as read_cost
from dpframe.errors import MissingBoundError
from dpframe.plan import Distinct, Squares, Sum
from dpframe.privacy import analyse, calibrate
from dpframe.query import Question
from dpframe.release import CONFIDENCE, reach, words


def explanation(question: Question, at_least: object = None, mechanism: str = "auto", **parameters: object) -> str:
    """Plan, sensitivities, and with the parameters of a cost the noise of each statistic."""
    plan = question.plan
    lines = [f"{name} = {text}" for name, text, _ in question.answers]
    lines += str(plan).split("\n")[1:]
    if question.by:
        groups = (
            f"{len(question.keys):,} public key{'' if len(question.keys) == 1 else 's'} of {', '.join(question.by)}"
        )
        lines.append(f"  groups  {groups}; rows of other groups are dropped")
    if plan.unit.id is not None:
        lines.append(f"  policy  rows without {plan.unit.id.name} are dropped")
    statistics = [each for _, _, prepared in question.answers for each in prepared.statistics]
    if any(isinstance(each, Sum | Squares) for each in statistics):
        lines.append("  policy  missing values (null, NaN) add nothing; infinities count as the nearer bound")
    if any(isinstance(each, Distinct) for each in statistics):
        lines.append("  policy  missing (null, NaN) is one distinct value")
    try:
        measured = analyse(question)
    except MissingBoundError as refusal:
        return "\n".join([*lines, f"  cannot be released: {refusal}"])
    names = {column.ref: column.name for column in plan.schema}
    named = {name: value for name, value in parameters.items() if value is not None}
    cost = read_cost(**named) if named else None
    calibrated = calibrate(measured, cost, mechanism)
    if at_least is not None:
        least, shown = reach(question, {each.measured.statistic: each.mechanism for each in calibrated}, at_least)
        lines.append(f"  shown   {least if cost is None else shown}")
    lines.append("  noise" if cost is None else f"  noise of {cost}")
    for each in calibrated:
        statistic, noised = each.measured.statistic, each.mechanism
        grid = statistic.grid
        noise = (
            ""
            if cost is None
            else (
                f"{noised.name} of scale {noised.scale * grid:.6g}, "
                f"within ±{noised.accuracy(1 - CONFIDENCE) * grid:.6g} at {CONFIDENCE:.0%}; "
            )
        )
        sensitivity = f"L1 sensitivity {each.measured.l1 * grid:.6g}"
        if each.measured.l2_squared != each.measured.l1**2:
            sensitivity += f", L2 sensitivity {each.measured.l2_squared**0.5 * grid:.6g}"
        lines.append(f"    {words(statistic, names)}: {noise}{sensitivity}, share {each.measured.share}")
    return "\n".join(lines)
