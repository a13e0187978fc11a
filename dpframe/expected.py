"""The error of every answer before anything is spent: a function of the plan and the cost alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from dpframe.accounting import cost as read_cost
from dpframe.aggregates import Noisy, Prepared
from dpframe.lines import Quantile
from dpframe.mechanisms import Mechanism, RankChoice
from dpframe.openbounds import depends
from dpframe.plan import Squares, Statistic, Sum, at_least_one
from dpframe.privacy import analyse, calibrate
from dpframe.privacy.analyse import bounding
from dpframe.privacy.selection import select
from dpframe.query import Question
from dpframe.release import CONFIDENCE, confidence_of
from dpframe.selection import price


def errors(question: Question, mechanism: str, ci: float | None, rows: object = None, **parameters: object) -> pa.Table:
    """One row for each answer: see ``Query.error``."""
    named = {name: value for name, value in parameters.items() if value is not None}
    confidence = CONFIDENCE if ci is None else confidence_of(ci)
    n = None if rows is None else at_least_one(rows, "rows")
    if question.finds:
        calibrated = select(question, price(question, named), mechanism).calibrated
    else:
        calibrated = calibrate(analyse(question), read_cost(**named), mechanism)
    lines: dict[str, list[Any]] = {
        name: [] for name in ("answer", "aggregate", "noise", "share", "half_width", "ranks")
    }
    first = 2 * len(question.open)  # what finds bounds has its own lines, at the end
    for asked, of in [(question, calibrated[first:]), *([(bounding(question), calibrated[:first])] if first else [])]:
        known = {each.measured.statistic: each for each in of}
        for name, text, prepared in asked.answers:
            used = [known[statistic].mechanism for statistic in prepared.statistics]
            width, ranks = _width(prepared, used, confidence, n)
            width = float("nan") if any(depends(question, each) for each in prepared.statistics) else width
            share = float(sum(known[statistic].measured.share for statistic in prepared.statistics))
            noise = ", ".join(dict.fromkeys(each.name for each in used))
            for column, value in zip(lines, (name, text, noise, share, width, ranks), strict=True):
                lines[column].append(value)
    types = dict.fromkeys(("share", "half_width", "ranks"), pa.float64())
    return pa.table({column: pa.array(values, types.get(column)) for column, values in lines.items()})


def _width(
    prepared: Prepared, mechanisms: list[Mechanism], confidence: float, rows: int | None
) -> tuple[float, float | None]:
    """Half of an answer's interval, NaN where it depends on the rows of a group; of a quantile, also ranks."""
    (first, *_), alpha = prepared.statistics, (1 - confidence) / len(prepared.statistics)
    if isinstance(first, Quantile):
        (choice,) = mechanisms
        assert isinstance(choice, RankChoice)
        ranks = choice.typical(alpha)
        spread = float(first.line.high) - float(first.line.low)
        return (float("nan") if rows is None or first.line.powers else min(ranks / rows, 1.0) * spread), ranks
    if rows is None and len(prepared.statistics) > 1:
        return float("nan"), None
    widths = [mechanism.accuracy(alpha) for mechanism in mechanisms]
    answer = prepared.finish(
        [
            Noisy(np.array([_typical(statistic, rows or 0)]), width)
            for statistic, width in zip(prepared.statistics, widths, strict=True)
        ]
    )
    assert answer.low is not None and answer.high is not None
    return float(answer.high[0] - answer.low[0]) / 2, None


def _typical(statistic: Statistic, rows: int) -> int:
    """A statistic of so many rows whose values lie evenly between the bounds."""
    if isinstance(statistic, Sum | Squares):
        low, high, center = (float(end) for end in (statistic.low, statistic.high, statistic.center))
        if isinstance(statistic, Sum):
            return round(rows * ((low + high) / 2 - center) / statistic.grid)
        return round(rows * ((high - low) ** 2 / 12 / statistic.grid - statistic.shift))
    return rows
