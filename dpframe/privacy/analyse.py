"""Contribution, sensitivity, split and calibration of every statistic that a question needs.

**Stability** is how far one privacy unit can move the vector of all groups' row counts.

A filter and a definition are row-wise and have stability 1. A join with a public table makes at most ``m`` rows of one,
the largest multiplicity of a key in that table, and so does a function that may return ``m`` rows: whoever has k rows
before has at most k·m after, and in each group of a column of ours, which stays as it is, at most r·m where r were.
A join of two private tables moves 2·(k·n + j·m) rows when k and j rows of the tables come or go and at most m and n
rows of a key stay of them, and less where only unique keys do (:func:`dpframe.joins._moved`). Bounds of an id are
enforced on the rows after all steps, so what steps do to their number is of no account. So only the unit, joins,
functions and bounds matter.
With ``c_g`` the rows that one unit has in group ``g``:

====================================  ==================  =========================
unit, bound                           L1 = max Σ c_g      L2² = max Σ c_g²
====================================  ==================  =========================
k rows                                k                   k²
g groups × r rows, of a column that   g·r                 g·r²
the query groups by
g groups × r rows, of another         g·r                 (g·r)²
an id, at most k rows                 k                   k²
an id, g groups × r rows, of a        g·r                 g·r²
grouping that the query refines
an id, g groups × r rows, of          g·r                 (g·r)²
another grouping
====================================  ==================  =========================

The k² is reached by k rows in one group. Where g·r² stands, each of the ``g`` groups of the bound holds at
most ``r`` rows, all in one group of the query or not, so its part of Σ c² is at most r². When several bounds
hold, each is a valid limit and so is the least of each column; and when every ``c_g ≤ r`` and Σ c_g ≤ k, then
Σ c_g² ≤ r·k.
"""

from __future__ import annotations

import math
from collections.abc import Sequence, Set
from dataclasses import dataclass, field, replace
from fractions import Fraction

from dpframe.accounting import ApproximateDP, Declared, Event, GaussianDP, Joint, PureDP, ZeroConcentratedDP
from dpframe.accounting import Exact as Rational
from dpframe.accounting.conversions import gaussian_within, pure_within_gaussian, root_down
from dpframe.accounting.events import DiscreteLaplace, Exponential
from dpframe.aggregates import BoundOf
from dpframe.errors import MechanismError, MissingBoundError
from dpframe.kernels.arguments import SMALLEST_SCALE
from dpframe.keys import Keys
from dpframe.lines import Quantile
from dpframe.mechanisms import Exact, ExactRank, Gaussian, Laplace, Mechanism, RankChoice
from dpframe.mechanisms.recursion import divided, slopes_of_range, slopes_within, squares
from dpframe.plan import Bound, Distinct, GroupBound, RowBound, Statistic, Unit
from dpframe.query import Question

FOR_BOUNDS = Fraction(1, 5)
"""Of a release's cost, what finds the clipping bounds that its aggregates leave out, in equal parts for each column."""


@dataclass(frozen=True)
class Contribution:
    """The most rows of one unit over all groups (``l1``), and the most of their squared L2 norm.

    ``cells`` is how many groups they lie in at most, where that is known with no more than l1/cells rows in each.
    """

    l1: int
    l2_squared: int
    cells: int | None = field(default=None, compare=False)


def contribution(unit: Unit, bounds: Sequence[Bound], by: Set[str], groups: int) -> Contribution:
    """The contribution of one unit to a query that groups by the refs ``by`` into ``groups`` public groups.

    Raises
    ------
    MissingBoundError
        When the unit is an id and no bound limits its rows.

    Examples
    --------
    >>> from dpframe.plan import Column, Type
    >>> user = Column("user", "c0", Type.STRING)
    >>> contribution(Unit(id=user), [GroupBound(groups=4, rows_per_group=2)], {"c1"}, groups=100)
    Contribution(l1=8, l2_squared=16, cells=4)
    """
    if unit.id is None and unit.groups is not None and unit.grouping is not None:
        # What a bound would enforce is promised here: the same limit holds.
        return _one(GroupBound(unit.groups, unit.rows, (unit.grouping,)), by, groups)
    if unit.id is None:
        return Contribution(unit.rows, unit.rows**2, 1 if unit.rows == 1 else None)
    if not bounds:
        raise MissingBoundError(
            f"One {unit.id.name} may have any number of rows, so no noise would be enough. Bound it first: "
            ".bound(groups=10, rows_per_group=1) or .bound(rows=10)."
        )
    limits = [_one(bound, by, groups) for bound in bounds]
    l1 = min(limit.l1 for limit in limits)
    per_group = [b.rows_per_group for b in bounds if isinstance(b, GroupBound) and _refined(b, by)]
    squares = [limit.l2_squared for limit in limits] + [rows * l1 for rows in per_group]
    cells = [limit.cells for limit in limits if limit.l1 == l1 and limit.cells is not None]
    return Contribution(l1, min(squares), min(cells, default=None))


def touched(unit: Unit, bounds: Sequence[Bound], by: Set[str], groups: int) -> Contribution:
    """The contribution of one unit that counts once in each group where it has any row.

    No bound is needed: there are only so many groups. A bound limits how many of them hold the unit's rows.

    Examples
    --------
    >>> from dpframe.plan import Column, Type
    >>> user = Unit(Column("user", "c0", Type.STRING))
    >>> touched(user, [], set(), groups=1), touched(user, [GroupBound(4, 2)], {"c1"}, groups=100)
    (Contribution(l1=1, l2_squared=1, cells=1), Contribution(l1=4, l2_squared=4, cells=4))
    """
    limits = [groups]
    for bound in bounds:
        if isinstance(bound, RowBound):
            limits.append(bound.rows)
        else:
            # A group of the bound lies in one group of the query, unless the query tells its rows apart.
            whole = bound.by is None or by <= {column.ref for column in bound.by}
            limits.append(bound.groups if whole else bound.groups * bound.rows_per_group)
    return Contribution(min(limits), min(limits), min(limits))


def _one(bound: Bound, by: Set[str], groups: int) -> Contribution:
    if isinstance(bound, RowBound) or not _refined(bound, by):
        rows = bound.rows if isinstance(bound, RowBound) else bound.groups * bound.rows_per_group
        return Contribution(rows, rows**2, 1 if rows == 1 else None)
    # A bound's group holds at least one public group of the query, so no more of them than those count.
    most = min(bound.groups, groups)
    return Contribution(most * bound.rows_per_group, most * bound.rows_per_group**2, most)


def _refined(bound: GroupBound, by: Set[str]) -> bool:
    """Whether rows in one group of the query are always in one group of the bound."""
    return bound.by is None or {column.ref for column in bound.by} <= by


@dataclass(frozen=True)
class Measured:
    """A statistic with its share of the cost and its sensitivities, in grid steps.

    ``l1`` and ``l2_squared`` bound how far the vector of all groups' values moves between neighbours; ``cells`` how
    many of them move, none by more than l1/cells, where that is known.
    """

    statistic: Statistic
    share: Fraction
    l1: int
    l2_squared: int
    cells: int | None = None


@dataclass(frozen=True)
class Calibrated:
    """A statistic, the noise it gets, and what the accountant must know of that."""

    measured: Measured
    mechanism: Mechanism
    event: Event | None = None


def analyse(question: Question) -> tuple[Measured, ...]:
    """The statistics of a question, each once, with exact sensitivities. Reads no data.

    Those that find bounds, where it leaves any open, come first, and the others are measured at the widest bounds.

    A row moves a statistic of its group by at most ``reach`` steps, so ``c_g`` rows of one unit move it by at
    most ``reach · c_g``: L1 ≤ reach · Σ c_g and L2² ≤ reach² · Σ c_g².

    Raises
    ------
    MissingBoundError
        For an id without a contribution bound.
    """
    plan = question.plan
    by = {plan.schema[name].ref for name in question.by}
    measured = []
    for statistic, share in split(question).items():
        of = touched if plan.unit.id is not None and statistic == Distinct((plan.unit.id.ref,)) else contribution
        unit = of(plan.moves, plan.bounds, by, question.groups)
        reach = statistic.reach
        measured.append(Measured(statistic, share, reach * unit.l1, reach**2 * unit.l2_squared, unit.cells))
    if question.open:
        return (*in_part(analyse(bounding(question)), FOR_BOUNDS), *in_part(measured, 1 - FOR_BOUNDS))
    return tuple(measured)


def bounding(question: Question) -> Question:
    """The question for the bounds that a release must find: two for each column, over all rows as one group."""
    parts = [part for column in question.open for part in (BoundOf(column, 0), BoundOf(column, 1))]
    answers = tuple((part.label, str(part), part.prepare(question.plan.schema)) for part in parts)
    return Question(question.plan, (), Keys(()), answers)


def in_part(measured: Sequence[Measured], part: Fraction) -> tuple[Measured, ...]:
    """The statistics of a question that has only a part of the cost."""
    return tuple(replace(each, share=each.share * part) for each in measured)


def split(question: Question) -> dict[Statistic, Fraction]:
    """The share of each statistic: equal parts per answer, each divided by its weights, shared ones added."""
    shares: dict[Statistic, Fraction] = {}
    whole = sum(prepared.part for _, _, prepared in question.answers)
    for _, _, prepared in question.answers:
        for statistic, weight in zip(prepared.statistics, prepared.weights, strict=True):
            part = prepared.part / whole * Fraction(weight, sum(prepared.weights))
            shares[statistic] = shares.get(statistic, Fraction(0)) + part
    return shares


def calibrate(
    measured: Sequence[Measured],
    cost: Declared | None,
    mechanism: str = "auto",
    *,
    pure: bool = True,
    by_level: bool = False,
) -> tuple[Calibrated, ...]:
    """The least noise that the cost allows each statistic; ``None`` is no noise and no privacy.

    Discrete Laplace noise at L1 sensitivity takes of ε, rounded Gaussian noise at L2 sensitivity of μ². The shares of
    one release sum to 1, and both add up over its statistics.

    Parameters
    ----------
    mechanism
        ``laplace``, ``gaussian``, or ``auto``: Laplace noise for pure ε; Gaussian noise for ρ and μ; and for (ε, δ)
        whichever has less variance, in the geometric mean over the statistics.
    pure
        False where ε is dear, in budgets of another measure: ``auto`` is then Gaussian noise wherever that can be.
    by_level
        Whether all choices of one level of quantiles have one range; see :func:`chosen_pure`.

    Raises
    ------
    MechanismError
        For a mechanism that is none, for Gaussian noise of pure ε, and for noise beyond the samplers.
    """
    if mechanism not in ("auto", "laplace", "gaussian"):
        raise MechanismError(f"mechanism is 'auto', 'laplace' or 'gaussian', not {mechanism!r}.")
    if cost is None:
        return tuple(
            Calibrated(each, found(each.statistic) if isinstance(each.statistic, Quantile) else Exact())
            for each in measured
        )
    if mechanism == "gaussian" or (mechanism == "auto" and not isinstance(cost, PureDP)):
        squared = mu_squared(cost)
        if mechanism == "gaussian" or not pure or _gaussian_is_less(measured, cost, squared):
            return tuple(
                chosen_gaussian(each, cost, squared)
                if isinstance(each.statistic, Quantile)
                else Calibrated(
                    each,
                    Gaussian.calibrate(each.l2_squared, squared * each.share / 2),
                    GaussianDP(Rational(squared * each.share)),
                )
                for each in measured
            )
    epsilon = cost.epsilon if isinstance(cost, PureDP) else pure_epsilon(cost)
    done = []
    for each in measured:
        if isinstance(each.statistic, Quantile):
            done.append(chosen_pure(each, epsilon, by_level=by_level))
            continue
        noise = Laplace.calibrate(each.l1, epsilon * each.share)
        event = DiscreteLaplace(each.l1, noise.scale, each.l1 // (each.cells or 1), each.cells)
        done.append(Calibrated(each, noise, event))
    return tuple(done)


def mu_squared(cost: Declared) -> Rational:
    """The most μ² that Gaussian noise of such a cost may have.

    Raises
    ------
    MechanismError
        For pure ε, which no Gaussian noise has.
    """
    if isinstance(cost, PureDP):
        raise MechanismError(
            "Gaussian noise has no pure epsilon: give it a delta, as in release(epsilon=1, delta=1e-6, "
            "mechanism='gaussian'), or ask in rho= or mu=."
        )
    if isinstance(cost, ApproximateDP):
        return gaussian_within(cost.epsilon, cost.delta)
    return cost.mu_squared if isinstance(cost, GaussianDP) else Rational(2 * cost.rho)


def pure_epsilon(cost: Declared) -> Rational:
    """The most ε that Laplace noise of such a cost may have."""
    if isinstance(cost, PureDP | ApproximateDP):
        return cost.epsilon
    if isinstance(cost, GaussianDP):
        return pure_within_gaussian(cost.mu_squared)
    return root_down(2 * cost.rho)


def _gaussian_is_less(measured: Sequence[Measured], cost: Declared, squared: Rational) -> bool:
    if not isinstance(cost, ApproximateDP):
        return True  # a Laplace law of ε has twice the variance of a Gaussian of ρ = ε²/2, and L1 is at least L2
    gained = 0.0
    for each in measured:
        if isinstance(each.statistic, Quantile):
            one, other = chosen_pure(each, cost.epsilon).mechanism, chosen_gaussian(each, cost, squared).mechanism
        else:
            one = Laplace(max(float(each.l1 / (cost.epsilon * each.share)), SMALLEST_SCALE))
            other = Gaussian(max(math.sqrt(each.l2_squared / (squared * each.share)), SMALLEST_SCALE))
        gained += spread([Calibrated(each, one)]) - spread([Calibrated(each, other)])
    return gained > 0


def spread(calibrated: Sequence[Calibrated]) -> float:
    """The logarithm of the product of all variances; of quantiles that are chosen together, of their geometric mean."""
    total = 0.0
    for each in calibrated:
        several = len(each.measured.statistic.parts) if isinstance(each.measured.statistic, Quantile) else 1
        total += math.log(max(each.mechanism.variance, 1e-300)) / several
    return total


def joint(cost: Declared, calibrated: Sequence[Calibrated]) -> Joint:
    """What the accountant must know of a release of this cost: the cost, and the noises. Laplace noise spends no δ."""
    noises = tuple(each.event for each in calibrated if each.event is not None)
    if isinstance(cost, PureDP) or not all(each.mechanism.pure for each in calibrated):
        return Joint(cost, noises)
    together = Joint(PureDP(pure_epsilon(cost)), noises)
    return together if isinstance(cost, ApproximateDP) else Joint(cost, (together,))


def found(statistic: Quantile) -> ExactRank:
    """The quantile without noise."""
    return ExactRank(statistic.line, statistic.parts, statistic.at)


def chosen_pure(each: Measured, epsilon: Fraction, *, by_level: bool = False) -> Calibrated:
    """A quantile of ε: all that are chosen with it have as much.

    That is divided over the choices by :func:`dpframe.mechanisms.recursion.divided`; or in equal parts, each the range
    of all choices of one level, where the accountant must know every range before anything is drawn.
    """
    statistic = each.statistic
    assert isinstance(statistic, Quantile)
    parts, whole = statistic.parts, epsilon * each.share * len(statistic.parts)
    if by_level:
        level = whole / statistic.levels
        slopes, of_level = slopes_of_range(parts, level / each.l1), Exponential(Rational(level))
        event = of_level if statistic.at < statistic.levels else None
    else:
        slopes, event = slopes_within(parts, whole / each.l1), None
        if statistic.at == 0:  # one event for all of them
            squared = None if len(parts) == 1 else Rational(squares(parts, divided(parts)) * whole**2)
            event = Exponential(Rational(whole), squared)
    return Calibrated(each, RankChoice(statistic.line, parts, statistic.at, slopes, True), event)


def chosen_gaussian(each: Measured, cost: Declared, squared: Fraction) -> Calibrated:
    """A quantile of μ² or ρ. Of ρ, a level costs η²·L2²/8: see :mod:`dpframe.mechanisms.ranks`.

    Of μ², a group in which one unit has at most r rows is as Gaussian as any η·r/2-DP mechanism, and so many groups are
    as many times μ².
    """
    statistic = each.statistic
    assert isinstance(statistic, Quantile)
    whole = squared * each.share * len(statistic.parts)
    level = whole / statistic.levels
    event: Event
    if isinstance(cost, ZeroConcentratedDP):
        event = ZeroConcentratedDP(Rational(whole / 2))
        eta = root_down(4 * level / each.l2_squared)
    else:
        event, cells = GaussianDP(Rational(whole)), each.cells or 1
        eta = Rational(2 * pure_within_gaussian(level / cells) / (each.l1 // cells))
    slopes = slopes_of_range(statistic.parts, eta)
    choice = RankChoice(statistic.line, statistic.parts, statistic.at, slopes, False)
    return Calibrated(each, choice, event if statistic.at == 0 else None)
