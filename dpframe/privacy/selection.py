r"""Private partition selection: which groups may come out where no keys are public.

A release over found groups draws noise for every group that holds rows, and shows those whose noisy count is at least
a threshold T; all answers of those come out, and of the others nothing. Let one unit be added to a table. Groups that
other rows are in too are A, and those that only its rows are in are B.

*On A* both tables draw noise, and what is shown is a post-processing of all noisy statistics, and of quantiles that are
chosen: the guarantee is that of public keys, say (ε, δ₁).

*On B* the smaller table shows nothing at all, and the larger one nothing with chance s, the chance that all of the
unit's own noisy counts stay below T. Noise of different groups is independent, so for any set S of releases, with q
the chance of S on A alone and nothing on B in the larger table::

    P(larger ∈ S) ≤ s·q + (1 − s),           P(smaller ∈ S) = p
    q ≤ e^ε·p + δ₁   gives   P(larger ∈ S) ≤ e^ε·p + δ₁ + (1 − s)
    p ≤ min(1, e^ε·q + δ₁) ≤ s·(e^ε·q + δ₁) + (1 − s)   gives   P(smaller ∈ S) ≤ e^ε·P(larger ∈ S) + δ₁ + (1 − s)

So the release is (ε, δ₁ + δ₂)-DP when 1 − s ≤ δ₂ for every unit; and δ₂-approximately ρ-zCDP (Bun and Steinke,
*Concentrated Differential Privacy*, TCC 2016, Definition 8.1) when the noise on A is ρ-zCDP. With δ₂ = 1 − s for one
group this is the threshold of Korolova, Kenthapadi, Mishra and Ntoulas (*Releasing search queries and clicks
privately*, WWW 2009).

*Rows that go.* Before a private join of rows, one unit's rows may also push others' out, so that each table has groups
of its own, all of whose rows are among those that the unit moves. With s and s' the chances that neither table shows
any of these, the same steps give 1 − s·s' in the place of 1 − s: the sum of f over the moved rows of both, which
``total`` counts.

*The threshold.* A unit has v₁, v₂, … rows in the groups of B: at most ``groups`` of them, each at most ``rows``, at
most ``total`` together. With f(v) = −ln(1 − P(X ≥ T − v)) the condition 1 − s ≤ δ₂ is Σ f(vᵢ) ≤ −ln(1 − δ₂). As f
increases, Σ f(vᵢ) ≤ groups·f(rows). For T > rows the tail P(X ≥ k), k ≥ 1, of both laws is convex in k, so f is
convex, so f(v)/v is greatest at v = 1 or at v = rows; and Σ f(vᵢ) ≤ total·max f(v)/v. The least T for which the lesser
of both bounds holds is taken, by tails of 128 bits that are rounded up.

*Addresses.* A group's noise is found by a keyed 128-bit hash of its key's values, so that it does not depend on which
other groups there are. Two groups with one address would share their noise, which no proof above covers. Each half of
the address is a chain of SipHashes of the values under keys of its own, three for each of at most 16 columns: two
groups meet in both with chance at most (48·2⁻⁶⁴)², and any two of 2³² groups with chance below 2⁶³·48²·2⁻¹²⁸ < 2⁻⁵³.
That is part of δ₂.

*Keys alone.* Where only the groups are asked for, no count is published, and a choice of its own needs fewer rows:
:mod:`dpframe.mechanisms.selection`.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import Any

from dpframe.accounting import ApproximateDP, Declared, GaussianDP, PureDP
from dpframe.accounting.conversions import gaussian_within
from dpframe.errors import MechanismError
from dpframe.kernels.exceeding import GaussianTail, LaplaceTail, Tail
from dpframe.kernels.refine import context
from dpframe.mechanisms.selection import TruncatedGeometric
from dpframe.plan import Bound, Count, Distinct, GroupBound, RowBound, Statistic, Unit
from dpframe.privacy.analyse import Calibrated, Measured, analyse, calibrate, contribution, in_part, touched
from dpframe.query import Question

SAME_ADDRESS = Fraction(1, 2**53)
"""The chance that any two of 2³² groups have one address, at most."""

LARGEST = 2**62
"""No count is as large."""


@dataclass(frozen=True)
class Selection:
    """How groups are chosen: those with rows whose noisy ``statistic`` is at least ``least``.

    Parameters
    ----------
    calibrated
        All statistics and their noise.
    statistic
        What decides: a number of rows, or of units.
    law
        Where no count is published: the chances by which groups are shown, instead of noise and a threshold.
    """

    calibrated: tuple[Calibrated, ...]
    statistic: Statistic
    least: int
    law: TruncatedGeometric | None = None

    @property
    def even(self) -> int:
        """The count with which a group comes out about half of the time."""
        return self.least if self.law is None else self.law.even


def select(question: Question, cost: ApproximateDP | None, mechanism: str = "auto") -> Selection:
    """The choice that shows the smallest groups for a cost; None is no noise and no privacy.

    A count of rows that is asked for decides and is published, or one of units; where neither is asked for, a count of
    rows gets an equal share of the cost and is not shown. Laplace noise spends ε on the counts and all of δ on the
    threshold, Gaussian noise half of δ on each; whichever has the lower threshold is taken, by the plan alone.

    Raises
    ------
    MissingBoundError
        For an id without a contribution bound.
    MechanismError
        For a δ, or a cost, that no group could be large enough for.
    """
    plan = question.plan
    by = {plan.schema[name].ref for name in question.by}
    contribution(plan.moves, plan.bounds, by, question.groups)  # refuses a unit without limits
    decides, measured, unit = deciding(question), analyse(question), reach(plan.moves, plan.bounds, by)
    counted = touched if isinstance(decides, Distinct) else contribution
    unit = unit.once if isinstance(decides, Distinct) else unit
    if decides not in (each.statistic for each in measured):
        own = counted(plan.moves, plan.bounds, by, question.groups)
        part = 1 / (1 + sum((prepared.part for _, _, prepared in question.answers), Fraction(0)))
        measured = (*in_part(measured, 1 - part), Measured(decides, part, own.l1, own.l2_squared, own.cells))
    if cost is None or mechanism not in ("auto", "laplace", "gaussian"):
        return Selection(calibrate(measured, None, mechanism), decides, 1)
    half = cost.delta / 2
    laplace = partial(_threshold, measured, PureDP(cost.epsilon), decides, unit, cost.delta)
    gaussian = partial(_threshold, measured, GaussianDP(gaussian_within(cost.epsilon, half)), decides, unit, half)
    if mechanism != "auto":
        return laplace() if mechanism == "laplace" else gaussian()
    one = laplace() if question.answers else _alone(measured, cost, decides, unit)
    return lowest(one, gaussian())


def _threshold(
    measured: Sequence[Measured], cost: Declared, decides: Statistic, unit: Reach, delta: Fraction
) -> Selection:
    """Noise of that cost, and the threshold that the rest of δ allows."""
    calibrated = calibrate(measured, cost)
    noise = next(each.mechanism for each in calibrated if each.measured.statistic == decides)
    tail = GaussianTail(noise.scale) if isinstance(cost, GaussianDP) else LaplaceTail(noise.scale)
    return Selection(calibrated, decides, least_count(tail, unit, delta))


def _alone(measured: Sequence[Measured], cost: ApproximateDP, decides: Statistic, unit: Reach) -> Selection:
    """No count, and the best chances."""
    law = TruncatedGeometric.calibrate(cost.epsilon, sound(cost.delta), unit.groups, unit.rows, unit.total)
    return Selection(calibrate(measured, None), decides, law.even, law)


def lowest(one: Selection, other: Selection) -> Selection:
    """The choice that shows the smaller groups."""
    return one if one.least <= other.least else other


def deciding(question: Question) -> Statistic:
    """The count that decides which groups come out."""
    asked = [statistic for _, _, prepared in question.answers for statistic in prepared.statistics]
    units = [] if question.plan.unit.id is None else [Distinct((question.plan.unit.id.ref,))]
    counts: list[Statistic] = [Count(), *units] if asked else [*units, Count()]
    return next((count for count in counts if count in asked), counts[0])


def sound(delta: Fraction) -> Fraction:
    """What is left of δ for a choice of groups beside the chance of equal addresses.

    Raises
    ------
    MechanismError
        When that is nothing.
    """
    if delta <= 2 * SAME_ADDRESS:
        raise MechanismError(
            f"A delta of {float(delta):.3g} is too small to select groups by: it must be above 2.3e-16."
        )
    return delta - SAME_ADDRESS


@dataclass(frozen=True)
class Reach:
    """How far the rows of one unit reach: in at most ``groups`` groups, ``rows`` in each and ``total`` in all."""

    groups: int
    rows: int
    total: int

    def __and__(self, other: Reach) -> Reach:
        """Both limits hold."""
        return Reach(min(self.groups, other.groups), min(self.rows, other.rows), min(self.total, other.total))

    @property
    def once(self) -> Reach:
        """The reach of a unit that counts once in each of its groups."""
        return Reach(self.groups, 1, self.groups)


def reach(unit: Unit, bounds: Sequence[Bound], by: Set[str]) -> Reach:
    """The reach of one unit in groups by the refs ``by``.

    Parameters
    ----------
    unit, bounds
        An id's bounds, of which there is one at least.

    Examples
    --------
    >>> from dpframe.plan import Column, Type
    >>> user = Unit(Column("user", "c0", Type.STRING))
    >>> reach(user, [GroupBound(4, 2), RowBound(6)], {"c1"})
    Reach(groups=4, rows=2, total=6)
    """
    if unit.id is None and unit.groups is not None and unit.grouping is not None:
        return _reach(GroupBound(unit.groups, unit.rows, (unit.grouping,)), by)
    if unit.id is None:
        return Reach(unit.rows, unit.rows, unit.rows)
    limits = [_reach(bound, by) for bound in bounds]
    least = limits[0]
    for limit in limits[1:]:
        least &= limit
    return least


def _reach(bound: Bound, by: Set[str]) -> Reach:
    if isinstance(bound, RowBound):
        return Reach(bound.rows, bound.rows, bound.rows)
    total = bound.groups * bound.rows_per_group
    theirs = None if bound.by is None else {column.ref for column in bound.by}
    # A group of the query lies in one of the bound's where it is finer, and holds whole ones where it is coarser.
    finer, coarser = theirs is None or theirs <= by, theirs is None or by <= theirs
    return Reach(bound.groups if coarser else total, bound.rows_per_group if finer else total, total)


def least_count(tail: Tail, unit: Reach, delta: Fraction) -> int:
    """The least threshold at which the groups of one unit alone are all below it, but with chance ``delta``.

    Parameters
    ----------
    tail
        The law of the noise of a count.
    delta
        What is left of δ for the choice, the chance of equal addresses included.

    Raises
    ------
    MechanismError
        When δ is too small to be told from that chance, or no count is large enough.

    Examples
    --------
    >>> from dpframe.kernels.exceeding import LaplaceTail
    >>> least_count(LaplaceTail(1.0), Reach(1, 1, 1), Fraction(1, 100_000))
    13
    """
    left, mp = sound(delta), context()
    mp.prec = 128
    allowed = -mp.log1p(-mp.mpf(left.numerator) / left.denominator) * (1 - mp.ldexp(1, -100))
    low, high = unit.rows, unit.rows + 1
    while _exposure(mp, tail, unit, high) > allowed:
        low, high = high, unit.rows + 2 * (high - unit.rows)
        if high > LARGEST:
            raise MechanismError(
                "No group could be large enough to be shown: tighten the contribution bounds or spend more."
            )
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _exposure(mp, tail, unit, middle) > allowed else (low, middle)
    return high


def _exposure(mp: Any, tail: Tail, unit: Reach, least: int) -> Any:
    """A bound of Σ f(vᵢ)."""
    one, most = (-mp.log1p(-tail.beyond(mp, least - v) * (1 + mp.ldexp(1, -100))) for v in (1, unit.rows))
    return min(unit.groups * most, unit.total * max(one, most / unit.rows))
