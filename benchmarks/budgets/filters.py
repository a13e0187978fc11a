"""Figures of filters, calibration and batches, beside dp-accounting's; and what is refused as no budget.

dp-accounting's privacy loss distributions round losses up, for a bound that is never too small, or down, for one that
is never too large: the truth lies between.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from dp_accounting import dp_event
from dp_accounting.gaussian_mechanism import get_sigma_gaussian
from dp_accounting.pld import privacy_loss_distribution
from dp_accounting.rdp import RdpAccountant

import dpframe as dp
from dpframe.accounting import ApproximateDP, Exact, GaussianDP, cost
from dpframe.accounting import conversions as to
from dpframe.accounting.events import DiscreteGaussian, DiscreteLaplace, Event, Laplace, RoundedGaussian
from dpframe.accounting.filters import Concentrated, Filter, Gaussians, Renyi, Sums, compose, total
from dpframe.errors import InvalidCostError
from dpframe.privacy import analyse, calibrate
from dpframe.privacy.together import Part, together

DELTA = Fraction(1, 10**5)
Workload = list[tuple[Event, int]]


def rounded(l2_squared: int, sigma: float) -> RoundedGaussian:
    return RoundedGaussian(l2_squared, sigma)


KNOWN: dict[str, Workload] = {
    "10 Gaussian of 8": [(rounded(1, 8.0), 10)],
    "10 Laplace of 5": [(DiscreteLaplace(1, 5.0, 1, 1), 10)],
    "5 Gaussian of 8, 5 Laplace of 5, 5 discrete Gaussian of 8": [
        (rounded(1, 8.0), 5), (DiscreteLaplace(1, 5.0, 1, 1), 5), (DiscreteGaussian(1, 8.0), 5),
    ],
    "2 Gaussian of 6, 1 Laplace of 1": [(rounded(1, 6.0), 2), (DiscreteLaplace(1, 1.0, 1, 1), 1)],
    "1 Gaussian of 4, 20 Laplace of 10, 20 discrete Gaussian of 20": [
        (rounded(1, 4.0), 1), (DiscreteLaplace(1, 10.0, 1, 1), 20), (DiscreteGaussian(1, 20.0), 20),
    ],
    "50 Gaussian of 40, 50 Laplace of 40": [(rounded(1, 40.0), 50), (DiscreteLaplace(1, 40.0, 1, 1), 50)],
}  # fmt: skip
"""By how much one unit moves a count, and how often each is released."""


def drawn(draw: random.Random, kinds: int, *, gaussian: bool = False) -> Workload:
    """A workload of so many kinds of noise."""

    def event() -> Event:
        moves, cells = draw.randint(1, 4), draw.randint(1, 4)
        kind = 0 if gaussian else draw.randrange(3)
        if kind == 1:
            return DiscreteLaplace(moves * cells, moves * math.exp(draw.uniform(0.5, 3.5)), moves, cells)
        sigma = moves * math.sqrt(cells) * math.exp(draw.uniform(0.8, 3.5))
        return (RoundedGaussian if kind == 0 else DiscreteGaussian)(moves**2 * cells, sigma)

    return [(event(), draw.randint(1, 8)) for _ in range(kinds)]


def distribution(event: Event, *, above: bool, step: float) -> Any:
    """A privacy loss distribution of one application, at least or at most its own."""
    named: dict[str, Any] = {"pessimistic_estimate": above, "value_discretization_interval": step}
    if isinstance(event, DiscreteLaplace):
        one = privacy_loss_distribution.from_discrete_laplace_mechanism(
            1 / event.scale, sensitivity=event.most, use_connect_dots=above, **named
        )
        return one.self_compose(event.cells)
    if isinstance(event, RoundedGaussian):  # as the Gaussian that it rounds
        mu = math.sqrt(event.l2_squared) / event.sigma
        return privacy_loss_distribution.from_gaussian_mechanism(1.0, sensitivity=mu, use_connect_dots=above, **named)
    assert isinstance(event, DiscreteGaussian)
    # Whole numbers move by whole numbers: as many entries as the squared move has ones.
    return privacy_loss_distribution.from_discrete_gaussian_mechanism(
        event.sigma, sensitivity=1, use_connect_dots=above, **named
    ).self_compose(event.l2_squared)


def true_epsilon(workload: Workload, *, above: bool) -> float:
    """The ε of a workload at δ, as dp-accounting's distributions have it."""
    composed = None
    for event, times in workload:
        each = distribution(event, above=above, step=1e-4).self_compose(times)
        composed = each if composed is None else composed.compose(each)
    return float(composed.get_epsilon_for_delta(float(DELTA)))


def counted(workload: Workload, filter: Filter) -> float | None:
    """The ε at δ that a filter says of what a workload takes of it; None where it cannot pay."""
    try:
        main, _ = total(compose(filter, event, times) for event, times in workload)
    except InvalidCostError:
        return None
    if isinstance(filter, Gaussians):
        return float(to.gaussian_epsilon(main, DELTA))
    if isinstance(filter, Renyi):
        return float(to.renyi_epsilon(filter.order, main, DELTA))
    return float(to.rho_epsilon(main, DELTA)) if isinstance(filter, Concentrated) else float(main)


def filters_of(epsilon: float) -> list[Filter]:
    """One of each, in budgets of about so much."""
    opened = ApproximateDP(Exact(Fraction(str(round(epsilon, 2) or 0.01))), Exact(DELTA))
    return [Sums(opened), Gaussians(GaussianDP(Exact(1))), Renyi(opened), Concentrated(cost(rho=1))]  # type: ignore[arg-type]


def mixed(_: Path, workloads: int = 100) -> dict[str, Any]:
    """Every filter's ε over the truth, for workloads of the research and for random ones."""
    draw = random.Random(11)
    tried = [*KNOWN.values(), *(drawn(draw, draw.randint(1, 5)) for _ in range(workloads))]
    least: dict[str, list[float]] = {}
    for workload in tried:
        below = true_epsilon(workload, above=False)
        for filter in filters_of(below):
            epsilon = counted(workload, filter)
            if epsilon is not None:
                least.setdefault(filter.name, []).append(epsilon / below)
    found: dict[str, Any] = {"workloads": len(tried)}
    for name, ratios in sorted(least.items()):
        found[f"{name}: ε over the truth, least, median and most, of {len(ratios)}"] = " ".join(
            f"{value:.5f}" for value in (min(ratios), sorted(ratios)[len(ratios) // 2], max(ratios))
        )
    found["below the truth"] = sum(ratio < 1 - 1e-9 for ratios in least.values() for ratio in ratios)
    return found


def gaussian(_: Path, workloads: int = 30) -> dict[str, Any]:
    """The ε of all-Gaussian workloads over that of dp-accounting's distributions, which is never too small."""
    draw = random.Random(12)
    ratios, below = [], 0
    for _ in range(workloads):
        workload = drawn(draw, draw.randint(1, 5), gaussian=True)
        epsilon = counted(workload, Gaussians(GaussianDP(Exact(1))))
        assert epsilon is not None
        ratios.append(epsilon / true_epsilon(workload, above=True))
        below += epsilon < true_epsilon(workload, above=False) * (1 - 1e-9)
    return {"workloads": workloads, "least": min(ratios), "most": max(ratios), "below the truth": below}


def orders(_: Path, workloads: int = 200) -> dict[str, Any]:
    """The Rényi filter's amounts over those of dp-accounting's accountant at the same order."""
    draw = random.Random(13)
    ratios = []
    for _ in range(workloads):
        filter = Renyi(ApproximateDP(Exact(draw.randint(1, 40), 10), Exact(DELTA)))
        accountant = RdpAccountant([float(filter.order)])
        spent = Fraction(0)
        for _ in range(draw.randint(1, 5)):
            scale, times = math.exp(draw.uniform(0, 3)), draw.randint(1, 9)
            event, theirs = draw.choice(
                [
                    (RoundedGaussian(1, scale), dp_event.GaussianDpEvent(scale)),
                    (DiscreteGaussian(1, scale), dp_event.GaussianDpEvent(scale)),
                    (Laplace(Exact(1), scale), dp_event.LaplaceDpEvent(scale)),
                ]
            )
            accountant.compose(theirs, times)
            spent += compose(filter, event, times)[0]
        (divergence,) = accountant._rdp  # what its ε rests on
        ratios.append(float(spent) / float(divergence))
    return {"workloads": workloads, "least": min(ratios), "most": max(ratios)}


def calibration(_: Path) -> dict[str, Any]:
    """σ of a count over ten groups for each id at δ = 1e-5, and dp-accounting's."""
    log = pd.DataFrame({"user": ["u"], "page": ["a"]}).dp.protect(id="user").bound(groups=10, rows_per_group=1)
    query = log.groupby("page", keys=[str(page) for page in range(100)]).count()
    found: dict[str, Any] = {}
    for epsilon in (1, 2, 5):
        (each,) = calibrate(analyse(query.question), cost(epsilon, delta=DELTA), "gaussian")
        found[f"σ at ε = {epsilon}"] = each.mechanism.scale
        found[f"dp-accounting's at ε = {epsilon}"] = get_sigma_gaussian(float(epsilon), float(DELTA)) * math.sqrt(10)
    return found


def batches(_: Path, count: int = 20) -> dict[str, Any]:
    """Of random batches, the ε that dp-accounting's distributions say of the noise, over the ε asked."""
    draw, ratios, saved = random.Random(14), [], []
    while len(ratios) < count:
        total_ = ApproximateDP(Exact(draw.randint(5, 40), 10), Exact(DELTA))
        own = [draw.randint(1, 3) for _ in range(draw.randint(2, 12))]
        parts = [part(draw, total_, Fraction(each, sum(own))) for each in own]
        if all(each.mechanism == "gaussian" for each in parts):
            continue
        noised = together(parts, total_)
        events = [each.event for part in noised for each in part]
        squared = sum((each.mu_squared for each in events if isinstance(each, GaussianDP)), Fraction(0))
        workload: Workload = [(each, 1) for each in events if isinstance(each, DiscreteLaplace)]
        if squared:
            workload.append((RoundedGaussian(1, 1 / math.sqrt(squared)), 1))
        ratios.append(true_epsilon(workload, above=True) / float(total_.epsilon))
        alone = [calibrate(each.measured, each.cost, each.mechanism) for each in parts]
        saved.append(deviation(noised) / deviation(alone))
    return {
        "batches": count,
        "least": min(ratios),
        "most": max(ratios),
        "noise over that of the releases one by one, least and most": f"{min(saved):.3f} {max(saved):.3f}",
    }


def part(draw: random.Random, total_: ApproximateDP, share: Fraction) -> Part:
    """A release of a batch: a sum over a few groups for each id, with one noise or the other."""
    log = pd.DataFrame({"user": ["u"], "page": ["a"], "n": [1]}).dp.protect(id="user")
    bounded = log.bound(groups=draw.choice([1, 1, 2, 3, 10]), rows_per_group=draw.randint(1, 3))
    query = bounded.groupby("page", keys=list("abcdefghijkl")).sum("n", 0, draw.choice([3, 40]))
    own = ApproximateDP(Exact(total_.epsilon * share), Exact(total_.delta * share))
    return Part(analyse(query.question), own, draw.choice(["laplace", "laplace", "gaussian"]))


def deviation(noised: Any) -> float:
    """The geometric mean of the standard deviations."""
    variances = [each.mechanism.variance for part in noised for each in part]
    return math.exp(sum(map(math.log, variances)) / len(variances) / 2)


BAD: list[Any] = [
    math.nan, math.inf, -math.inf, 0, 0.0, -0.0, -1, -0.1, True, False, np.True_, "1e", "", "  ", "a lot", "nan", "inf",
    "Infinity", "1e400", "1e101", "1e-101", "1_0", "0x1p3", "1.2.3", "1/0", "-1/2", "١", 5e-324, Decimal("NaN"),
    Decimal("sNaN"), Decimal("Infinity"), Decimal("-0"), np.float64("nan"), np.float32("inf"), np.int64(0), 1 + 0j,
    np.complex128(1), b"1", [1], (1,), {}, np.array([1.0]), object(), 10**5000, Fraction(1, 10**5000), float,
]  # fmt: skip


def bad(_: Path) -> dict[str, Any]:
    """What is no ε, δ, ρ or μ, of a budget and of a release: how often it is not refused, or something charged."""
    table = pd.DataFrame({"x": [1.0]})
    query = table.dp.protect().count()
    budget = dp.Budget(epsilon=9, delta=0.1)
    attempts: list[Callable[[Any], object]] = [
        lambda value: dp.Budget(value),
        lambda value: dp.Budget(rho=value),
        lambda value: dp.Budget(mu=value),
        lambda value: query.release(epsilon=value, budget=budget),
        lambda value: query.release(rho=value, budget=budget),
        lambda value: query.release(mu=value, budget=budget),
    ]
    # A δ of 0 is none; all else that is no ε is no δ either, and neither is 1.
    delta: list[Callable[[Any], object]] = [
        lambda value: dp.Budget(1, value),
        lambda value: query.release(epsilon=1, delta=value, budget=budget),
    ]
    tried = let_through = 0
    for value in BAD:
        for attempt in [*attempts, *([] if zero(value) else delta)]:
            tried, let_through = tried + 1, let_through + (not refused(attempt, value))
    return {"bad values": len(BAD), "attempts": tried, "let through": let_through, "charged": len(budget.history())}


def zero(value: Any) -> bool:
    """Whether it is the number 0, which as a δ is none."""
    real = isinstance(value, int | float | Decimal | np.floating | np.integer) and not isinstance(value, bool)
    return real and not value


def refused(attempt: Callable[[Any], object], value: Any) -> bool:
    """Whether it is, with the error of a cost."""
    try:
        attempt(value)
    except InvalidCostError:
        return True
    return False


FIGURES = {
    "mixed": mixed,
    "gaussian": gaussian,
    "orders": orders,
    "calibration": calibration,
    "batches": batches,
    "bad": bad,
}
