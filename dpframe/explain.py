"""What a query would do, in words: a function of the plan alone."""

from __future__ import annotations

import html
from collections.abc import Mapping

from dpframe.accounting import ApproximateDP
from dpframe.accounting import cost as read_cost
from dpframe.errors import MissingBoundError
from dpframe.lines import Quantile
from dpframe.mechanisms import RankChoice
from dpframe.openbounds import decidable, depends
from dpframe.plan import Distinct, Squares, Sum
from dpframe.privacy import Calibrated, analyse, calibrate
from dpframe.privacy.analyse import FOR_BOUNDS
from dpframe.privacy.selection import select
from dpframe.query import Question
from dpframe.release import CONFIDENCE, reach, words
from dpframe.selection import in_words, price


class Shown:
    """Shows its text in a notebook as anywhere else."""

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(repr(self))}</pre>"


def explanation(question: Question, at_least: object = None, mechanism: str = "auto", **parameters: object) -> str:
    """Plan, sensitivities, and with the parameters of a cost the noise of each statistic."""
    plan, cost, refused = question.plan, None, None
    named = {name: value for name, value in parameters.items() if value is not None}
    if named:
        cost = price(question, named) if question.finds else read_cost(**named)
    calibrated: tuple[Calibrated, ...] = ()
    found = ""
    try:
        if question.finds:
            chosen = select(question, cost if isinstance(cost, ApproximateDP) else None, mechanism)
            calibrated, found = chosen.calibrated, f": {in_words(question, chosen)}" if cost else ""
        else:
            calibrated = calibrate(analyse(question), cost, mechanism)
    except MissingBoundError as refusal:
        refused = f"  cannot be released: {refusal}"
    lines = [f"{name} = {text}" for name, text, _ in question.answers]
    lines += str(plan).split("\n")[1:]
    if question.finds:
        lines.append(f"  groups  found in the release{found}")
    elif question.by:
        groups = (
            f"{len(question.keys):,} public key{'' if len(question.keys) == 1 else 's'} of {', '.join(question.by)}"
        )
        lines.append(f"  groups  {groups}; rows of other groups are dropped")
    if plan.unit.id is not None:
        lines.append(f"  policy  rows without {plan.unit.id.name} are dropped")
    statistics = [each for _, _, prepared in question.answers for each in prepared.statistics]
    if any(isinstance(each, Sum | Squares) for each in statistics):
        lines.append("  policy  missing values (null, NaN) add nothing; infinities count as the nearer bound")
    if any(isinstance(each, Quantile) for each in statistics):
        lines.append("  policy  missing values (null, NaN) have no rank; infinities count as the nearer bound")
    if question.open:
        lines.append(f"  bounds  of {', '.join(question.open)} are found for {FOR_BOUNDS} of the cost; scales follow")
    if any(isinstance(each, Distinct) for each in statistics):
        lines.append("  policy  missing (null, NaN) is one distinct value")
    if refused is not None:
        return "\n".join([*lines, refused])
    if at_least is not None:
        decidable(question, at_least)
        least, shown = reach(question, {each.measured.statistic: each.mechanism for each in calibrated}, at_least)
        lines.append(f"  shown   {least if cost is None or question.finds else shown}")
    lines.append("  noise" if cost is None else f"  noise of {cost}")
    names = {column.ref: column.name for column in plan.schema}
    for each in calibrated:
        told = _open_noise if depends(question, each.measured.statistic) else _noise
        lines.append(told(each, names, cost is not None))
    return "\n".join(lines)


def _open_noise(each: Calibrated, names: Mapping[str, str], priced: bool) -> str:
    """One statistic that is clipped to bounds that are not known yet."""
    statistic, mechanism, noise = each.measured.statistic, each.mechanism, ""
    what = "sum of squares" if isinstance(statistic, Squares) else "sum"
    what = "rank of a quantile" if isinstance(statistic, Quantile) else what
    if priced and mechanism.scale:
        times = "" if isinstance(statistic, Quantile) else " times what one row may move it by"
        noise = f"{mechanism.name} of scale {mechanism.scale / statistic.reach:.6g}{times}; "
    return f"    {what} of {names[statistic.refs[0]]}, clipped to the bounds found: {noise}share {each.measured.share}"


def _noise(each: Calibrated, names: Mapping[str, str], priced: bool) -> str:
    """One statistic: its noise, where there is any, and its sensitivities."""
    mechanism, grid = each.mechanism, each.measured.statistic.grid
    noise = (
        f"{mechanism.name} of scale {mechanism.scale * grid:.6g}, "
        f"within ±{mechanism.accuracy(1 - CONFIDENCE) * grid:.6g} at {CONFIDENCE:.0%}; "
    )
    if isinstance(mechanism, RankChoice):
        noise += f"typically within ±{mechanism.typical(1 - CONFIDENCE):.6g}; "
    sensitivity = f"L1 sensitivity {each.measured.l1 * grid:.6g}"
    if each.measured.l2_squared != each.measured.l1**2:
        sensitivity += f", L2 sensitivity {each.measured.l2_squared**0.5 * grid:.6g}"
    noise = noise if priced and mechanism.scale else ""
    return f"    {words(each.measured.statistic, names)}: {noise}{sensitivity}, share {each.measured.share}"
