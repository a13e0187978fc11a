"""Noise for several releases at once: the least that keeps all of them together to (ε, δ).

Each release is first calibrated to its own part. Then every scale is multiplied by one factor t, at most 1, as small as
the total allows. With t = 1 it is always kept, by basic composition.

*All Gaussian*: μ² adds up, and (ε, δ) has a largest one, exactly. *Otherwise* by privacy loss distributions: a release
is no easier to tell from its neighbour's than a known pair of laws, and several releases no easier than the products of
these (Zhu, Dong and Wang, *Optimal accounting of differential privacy via characteristic function*, AISTATS 2022), here

* of Gaussian noise, N(0, 1) and N(μ, 1);
* of discrete Laplace noise on n entries, none of which moves by more than d: n times the law and the law shifted by d;
* of discrete Laplace noise on a vector of which no more is known: randomised response with odds e^(l1/b);
* of choices of one level of quantiles, of the range η: losses in [−η, η] of density e^(l/2)/(4·sinh(η/2)), or, among
  Gaussian noise, Gaussians (:class:`dpframe.accounting.events.Exponential`).

All laws are fixed before the first is drawn, as that theorem asks; a filter could not use it (docs/decisions/0011). The
distributions are dp-accounting's, with its pessimistic rounding, and a margin of a millionth for its floating point.
They are composed here and not by its accountant, which forgets to count randomised response (version 0.6.0).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np

from dpframe.accounting import ApproximateDP, Declared, Event, Exact, GaussianDP, PureDP
from dpframe.accounting.conversions import gaussian_within, root_up
from dpframe.accounting.events import DiscreteLaplace, Exponential
from dpframe.errors import MechanismError
from dpframe.privacy.analyse import Calibrated, Measured, calibrate, mu_squared, pure_epsilon, spread

LEAST_DELTA = Fraction(1, 10**10)
"""Below this, the rounding of floats in a composed distribution is no longer small beside δ."""

MOST_STEPS = 2000
"""Of a move of a discrete Laplace law: more are hardly told from a continuous one, and take time."""


@dataclass(frozen=True)
class Part:
    """One release of several: its statistics, the cost it would have alone, and the mechanism that it names."""

    measured: tuple[Measured, ...]
    cost: ApproximateDP
    mechanism: str


Noised = tuple[tuple[Calibrated, ...], ...]


def together(parts: Sequence[Part], total: ApproximateDP, *, pure: bool = True) -> Noised:
    """The noise of each part: all keep to ``total`` together, in proportion to what each would have alone.

    Parts that leave the mechanism open all have Gaussian noise, or all Laplace noise, whichever is less: in the
    geometric mean of the variances.

    Parameters
    ----------
    pure
        False where ε is dear; see :func:`dpframe.privacy.calibrate`.

    Raises
    ------
    MechanismError
        For what :func:`dpframe.privacy.calibrate` refuses; for Laplace noise without dp-accounting, or with a δ below
        1e-10.
    """
    wanted = [_kinds(part, pure) for part in parts]
    choices = [tuple(kinds[at % len(kinds)] for kinds in wanted) for at in range(max(map(len, wanted)))]
    return min((_least(parts, kinds, total) for kinds in choices), key=lambda noised: sum(map(spread, noised)))


def _kinds(part: Part, pure: bool) -> list[str]:
    if part.mechanism != "auto":
        calibrate(part.measured, part.cost, part.mechanism)  # refuses what is none
        return [part.mechanism]
    return ["gaussian", "laplace"] if pure else ["gaussian"]


def _least(parts: Sequence[Part], kinds: Sequence[str], total: ApproximateDP) -> Noised:
    """The noise at the smallest factor t that keeps to the total."""

    def noised(t: Fraction) -> Noised:
        return tuple(
            calibrate(part.measured, _scaled(part.cost, kind, t), kind, by_level=True)
            for part, kind in zip(parts, kinds, strict=True)
        )

    def keeps(t: Fraction) -> bool:
        return pld_delta(events(noised(t)), float(total.epsilon) * (1 - 1e-6)) <= float(total.delta) * (1 - 1e-6)

    if set(kinds) == {"gaussian"}:
        squares = sum((mu_squared(part.cost) for part in parts), Fraction(0))
        return noised(root_up(squares / gaussian_within(total.epsilon, total.delta)))
    if total.delta < LEAST_DELTA:
        raise MechanismError("A batch with Laplace noise needs a delta of 1e-10 or more; or name 'gaussian'.")
    if not keeps(Fraction(1)):
        return noised(Fraction(1))  # basic composition knows better than a pessimistic distribution
    low = high = Fraction(1)
    while keeps(low):
        low, high = low / 2, low
    while high - low > low / 5000:
        middle = Fraction(round(2**40 * (low + high) / 2), 2**40)
        low, high = (low, middle) if keeps(middle) else (middle, high)
    return noised(high)


def _scaled(cost: ApproximateDP, kind: str, t: Fraction) -> Declared:
    if kind == "gaussian":
        return GaussianDP(Exact(mu_squared(cost) / t**2))
    return PureDP(Exact(pure_epsilon(cost) / t))


def events(noised: Noised) -> tuple[Event, ...]:
    """What the accountant must know of all noises."""
    return tuple(each.event for part in noised for each in part if each.event is not None)


def pld_delta(noises: Sequence[Event], epsilon: float) -> float:
    """δ(ε) of all noises together, by privacy loss distributions; never too small.

    Raises
    ------
    MechanismError
        Without dp-accounting.
    """
    pld, step = distributions(), 2e-4 * max(epsilon, 0.1)
    laws: Counter[tuple[float, int]] = Counter()
    ranges: Counter[float] = Counter()
    squared = Fraction(0)
    for each in noises:
        if isinstance(each, GaussianDP):
            squared += each.mu_squared
        elif isinstance(each, DiscreteLaplace):
            loss, moves, times = _law(each)
            laws[loss, moves] += times
        elif isinstance(each, Exponential) and each.squares is None:
            ranges[math.nextafter(float(each.epsilon), math.inf)] += 1
        else:
            raise MechanismError(f"A batch knows no law of {each!r}: release it outside.")
    composed = []
    if squared:
        mu = math.nextafter(math.sqrt(squared), math.inf)
        composed.append(pld.from_gaussian_mechanism(1.0, sensitivity=mu, value_discretization_interval=step))
    for (loss, moves), times in laws.items():
        one = pld.from_discrete_laplace_mechanism(
            loss, sensitivity=moves, value_discretization_interval=step, use_connect_dots=True
        )
        composed.append(one.self_compose(times))
    composed += [_of_range(eta, step, pld).self_compose(times) for eta, times in ranges.items()]
    return float(reduce(lambda one, other: one.compose(other), composed).get_delta_for_epsilon(epsilon))


def _of_range(eta: float, step: float, pld: Any) -> Any:
    """The distribution of a choice of that range: each loss counts as the next multiple of a step.

    Of losses up to x there are (e^(x/2) − e^(−η/2))/(2·sinh(η/2)).
    """
    least, most = math.floor(-eta / step), math.ceil(eta / step)
    ends = np.clip(np.arange(least, most + 1) * step, -eta, eta)
    upto = (np.exp((ends - eta) / 2) - math.exp(-eta)) / -math.expm1(-eta)
    mass = dict(zip(range(least + 1, most + 1), np.diff(upto).tolist(), strict=True))
    return pld.PrivacyLossDistribution.create_from_rounded_probability(mass, 0.0, step)


def _law(event: DiscreteLaplace) -> tuple[float, int, int]:
    """The loss of a step, the steps, and how many entries move as far, of laws no easier to tell apart.

    Randomised response is the discrete Laplace law and itself moved by one step. A move of many steps is taken in fewer
    and larger ones: a geometric variate is s times another and an independent rest below s, so noise in single steps is
    that in steps of s and something added.
    """
    if event.cells is None or event.most * event.cells != event.l1:
        return math.nextafter(event.l1 / event.scale, math.inf), 1, 1
    size = -(-event.most // MOST_STEPS)
    return math.nextafter(size / event.scale, math.inf), -(-event.most // size), event.cells


def distributions() -> Any:
    """The privacy loss distributions of dp-accounting.

    Raises
    ------
    MechanismError
        Where it is not installed.
    """
    try:
        from dp_accounting.pld import privacy_loss_distribution
    except ImportError:
        raise MechanismError(
            "A batch with Laplace noise needs dp-accounting: pip install 'dpframe[pld]', or name mechanism='gaussian' "
            "in every release of the batch."
        ) from None
    return privacy_loss_distribution
