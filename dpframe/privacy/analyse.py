"""Sensitivity, split and calibration of every statistic that a question needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from dpframe.accounting.events import Cost, PureDP
from dpframe.mechanisms import Exact, Gaussian, Laplace, Mechanism
from dpframe.plan import Statistic
from dpframe.privacy.contribution import contribution
from dpframe.query import Question


@dataclass(frozen=True)
class Measured:
    """A statistic with its share of the cost and its sensitivities, in grid steps.

    ``l1`` and ``l2_squared`` bound how far the vector of all groups' values moves between neighbours.
    """

    statistic: Statistic
    share: Fraction
    l1: int
    l2_squared: int


@dataclass(frozen=True)
class Calibrated:
    """A statistic and the noise it gets."""

    measured: Measured
    mechanism: Mechanism


def analyse(question: Question) -> tuple[Measured, ...]:
    """The statistics of a question, each once, with exact sensitivities. Reads no data.

    A row moves a statistic of its group by at most ``reach`` steps, so ``c_g`` rows of one unit move it by at
    most ``reach · c_g``: L1 ≤ reach · Σ c_g and L2² ≤ reach² · Σ c_g².

    Raises
    ------
    MissingBoundError
        For an id without a contribution bound.
    """
    plan = question.plan
    by = {plan.schema[name].ref for name in question.by}
    unit = contribution(plan.unit, plan.bounds, by, len(question.keys))
    return tuple(
        Measured(statistic, share, statistic.reach * unit.l1, statistic.reach**2 * unit.l2_squared)
        for statistic, share in split(question).items()
    )


def split(question: Question) -> dict[Statistic, Fraction]:
    """The share of each statistic: equal parts per answer, each divided by its weights, shared ones added."""
    shares: dict[Statistic, Fraction] = {}
    for _, _, prepared in question.answers:
        for statistic, weight in zip(prepared.statistics, prepared.weights, strict=True):
            part = Fraction(weight, sum(prepared.weights) * len(question.answers))
            shares[statistic] = shares.get(statistic, Fraction(0)) + part
    return shares


def calibrate(measured: Sequence[Measured], cost: Cost | None) -> tuple[Calibrated, ...]:
    """The least noise that the cost allows each statistic; ``None`` is no noise and no privacy.

    Pure ε: discrete Laplace at L1 sensitivity. zCDP: rounded Gaussian at L2 sensitivity. The shares of one
    release sum to 1, and both guarantees add up over its statistics.
    """
    return tuple(Calibrated(each, _mechanism(each, cost)) for each in measured)


def _mechanism(measured: Measured, cost: Cost | None) -> Mechanism:
    if cost is None:
        return Exact()
    if isinstance(cost, PureDP):
        return Laplace.calibrate(measured.l1, cost.epsilon * measured.share)
    return Gaussian.calibrate(measured.l2_squared, cost.rho * measured.share)
