"""A release of groups that no public key names: those whose noisy count says that enough of the rows are in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from dpframe import release
from dpframe.accounting import ApproximateDP, Budget, ambient
from dpframe.accounting import cost as read_cost
from dpframe.answer import Finish
from dpframe.backends import backend_of
from dpframe.backends.base import Ints
from dpframe.backends.found import names
from dpframe.errors import KeysError, PlanError
from dpframe.keys.factor import places, sort
from dpframe.mechanisms.selection import TruncatedGeometric
from dpframe.once import only, packed, unpacked
from dpframe.plan import Statistic
from dpframe.privacy.selection import Selection, select
from dpframe.query import Question
from dpframe.release import CONFIDENCE, confidence_of, describe, guarded, pay, presentable, request, words
from dpframe.threshold import Threshold, threshold

CHOICES = 1 << 33
"""The stream of the words that choose groups where no count is published; see :data:`dpframe.answer.STREAMS`."""


@dataclass(frozen=True)
class Choice:
    """All that is needed to choose among groups and to write down the answer of those that come out; may travel.

    Parameters
    ----------
    finish
        How rows of the answer are made; the order of its mechanisms is that of the statistics.
    decides, least
        The statistic by which groups come out, and from which noisy value on.
    law
        Instead, the chances by which they come out, where no count is published.
    shown
        What else their noisy answers must reach.
    nullable
        Of each key column, whether it may hold null.
    """

    finish: Finish
    decides: Statistic
    least: int
    law: TruncatedGeometric | None
    shown: Threshold | None
    nullable: tuple[bool, ...]

    def __call__(self, groups: pa.Table, exact: Ints) -> pa.Table:
        """The rows of the answer of the groups that come out, in the order in which they are given.

        A group that holds no row never does: a threshold alone could let noise show it, and then whoever made rows of
        it known, only to have them cut off by a bound, would be seen.

        Parameters
        ----------
        groups
            The key columns, by ref.
        exact
            (statistics, n) their exact statistics.
        """
        mechanisms, key = self.finish.mechanisms, self.finish.key
        order = list(mechanisms)
        some = exact[order.index(self.decides)] >= 1
        exact, groups = exact[:, some], groups.filter(pa.array(some))
        address = names(groups, key)
        drawn = {
            statistic: mechanisms[statistic].add(exact[order.index(statistic)], key, order.index(statistic), 0, address)
            for statistic in {self.decides, *([] if self.shown is None else [self.shown.statistic])}
        }
        if self.law is None:
            out = drawn[self.decides] >= self.least
        else:
            out = self.law.shows(exact[order.index(self.decides)], key, CHOICES, address)
        if self.shown is not None:
            out &= drawn[self.shown.statistic] >= self.shown.steps
        plain = pa.schema(
            pa.field(field.name, pa.large_string() if pa.types.is_string(field.type) else field.type, null)
            for field, null in zip(groups.schema, self.nullable, strict=True)
        )
        return self.finish.rows(
            exact[:, out],
            cells=address[out],
            drawn={statistic: values[out] for statistic, values in drawn.items()},
            groups=groups.filter(pa.array(out)).cast(plain),
        )


def release_found(
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
    """Answer a question about groups that are found among the rows, once; see ``Query.release``."""
    if release.collecting.get() is not None:
        raise PlanError("A release that finds its groups has a threshold of its own: make it outside of the batch.")
    budget = ambient(budget)
    named = {name: value for name, value in parameters.items() if value is not None}
    cost = price(question, named) if budget.private or named else None
    confidence = CONFIDENCE if ci is None else confidence_of(ci)
    chosen = select(question, cost if budget.private else None, mechanism)
    presentable(question, intervals=ci is not None, all_cells=False)
    shown = None if at_least is None else threshold(question, at_least)
    key = release.fresh_key(32)
    asked = request(question, chosen.calibrated, key)
    backend = backend_of(frame)
    backend.check(frame)
    options = {"cost": cost, "noise": mechanism, "ci": ci, "at_least": shown}
    single = None if once is None else only(once, question, stored=True, **options)
    if cost is not None:
        noises = [chosen.law.name] if chosen.law else [each.mechanism.name for each in chosen.calibrated]
        stored = pay(budget, question, cost, str(question), noises, label=label, once=single)
        if stored is not None:
            return backend.freeze(*unpacked(stored), frame)
    choice = Choice(
        finish=Finish(
            by=question.by,
            keys=asked.keys,
            answers=tuple((name, prepared) for name, _, prepared in question.answers),
            mechanisms={each.measured.statistic: each.mechanism for each in chosen.calibrated},
            key=key,
            confidence=confidence,
            intervals=ci is not None,
        ),
        decides=chosen.statistic,
        least=chosen.least,
        law=chosen.law,
        shown=shown,
        nullable=tuple(question.plan.schema[name].nullable for name in question.by),
    )
    spent = str(cost) if budget.private else "nothing"
    info = describe(question, chosen.calibrated, spent, budget.private, confidence, None)
    text = replace(info, groups=None, selection=in_words(question, chosen, shown)).json
    rows = in_order(guarded(lambda: backend.find(frame, asked, choice)), question)
    if single is not None and budget.private:
        rows, text = unpacked(budget.keep(single, packed(rows, text)))
    return backend.freeze(rows, text, frame)


def price(question: Question, named: Mapping[str, object]) -> ApproximateDP:
    """The cost of a release that finds its groups.

    Raises
    ------
    InvalidCostError
        For what is no cost.
    KeysError
        When no δ is given: the text says how to do without.
    """
    cost = read_cost(**named)
    if isinstance(cost, ApproximateDP):
        return cost
    name = next(name for name in question.by if name not in question.keys.columns)
    raise KeysError(
        f"{name!r} has no public keys. List them, as in .groupby({name!r}, keys={{{name!r}: [...]}}), "
        f"declare them with protect(keys={{{name!r}: [...]}}), or make bins with dp.cut. Or let the release show the "
        "groups that are large enough, for a delta: .release(epsilon=1, delta=1e-6)."
    )


def in_words(question: Question, chosen: Selection, shown: Threshold | None = None) -> str:
    """Which groups come out."""
    columns = {column.ref: column.name for column in question.plan.schema}
    of = words(chosen.statistic, columns)
    if chosen.law is not None:
        text = (
            f"those with rows, by truncated geometric chances of their {of}: {chosen.law.chance(chosen.even):.0%} at "
        )
        text += f"{chosen.even:,}, 100% from {chosen.law.certain:,} on"
    else:
        text = f"those with rows whose noisy {of} is at least {chosen.least:,}"
    return text if shown is None else f"{text}, and {shown}"


def in_order(rows: pa.Table, question: Question) -> pa.Table:
    """The rows sorted by key, null first; bins of a cut in their own order."""
    public = {name: domain for factor in question.keys.factors for name, domain in factor.domains.items()}
    columns = {name: rows[name].combine_chunks() for name in question.by}
    ranks = [
        places(column, public[name] if name in public else sort(column.unique())) for name, column in columns.items()
    ]
    return rows.take(pa.array(np.lexsort(ranks[::-1])))
