"""Filters: what events take of a budget, in a measure that adds up however the next event is chosen.

========================  ==========  =============================================  ==============================
filter                    adds up     pays for                                       why it may be adaptive
========================  ==========  =============================================  ==============================
:class:`Sums`             ε and δ     pure ε, (ε, δ), and what was asked as these    Rogers et al., NeurIPS 2016
:class:`Concentrated`     ρ           ρ, ε as ε²/2, μ as μ²/2                        Feldman and Zrnic, NeurIPS 2021
:class:`Gaussians`        μ²          μ, ρ and (ε, δ) of Gaussian noise, and ε       Smith and Thakurta, 2022
:class:`Renyi`            τ at one α  all but (ε, δ) that nothing else is known of   Feldman and Zrnic, NeurIPS 2021
========================  ==========  =============================================  ==============================

All four follow from Whitehouse, Ramdas, Rogers and Wu, *Fully adaptive composition in differential privacy*, ICML 2023,
too. What may be chosen adaptively is every release and its noise; what may not is the filter and its totals. An (ε, δ)
budget, which three of them could serve, is :class:`Unsettled` until its first charge: why that is sound, and why no
filter here rests on privacy loss distributions, says ``docs/decisions/0011-filters-of-a-budget.md``.

A filter is frozen and knows nothing of what was spent. Amounts are pairs of exact rationals, its own measure and δ;
what is irrational is rounded up to 15 digits, once for each event. So a charge takes as long whatever came before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from typing import Protocol

from dpframe.accounting import conversions
from dpframe.accounting.costs import ApproximateDP, Declared, Exact, GaussianDP, PureDP, ZeroConcentratedDP
from dpframe.accounting.events import Event, Exponential, Joint, Noise, is_gaussian, promised
from dpframe.errors import BudgetExceededError, InvalidCostError

Amounts = tuple[Fraction, Fraction]
"""What is taken or left: of the filter's measure, and of δ. Exact."""

NOTHING: Amounts = (Fraction(0), Fraction(0))


class Filter(Protocol):
    """What a budget must know of its measure. A charge is admitted while the sums of amounts keep to ``totals``."""

    def __hash__(self) -> int: ...

    @property
    def name(self) -> str:
        """``sum``, ``gaussian``, ``renyi``, ``rho``: what a caller and a ledger call it; see :func:`filter_of`."""

    @property
    def measure(self) -> str:
        """Of the first amount: ``epsilon``, ``mu^2``, ``renyi``, ``rho``."""

    @property
    def thorough(self) -> bool:
        """Whether a release is looked at noise by noise even where what was asked could be paid for."""

    @property
    def opened(self) -> Declared:
        """What the caller allowed in all."""

    @property
    def totals(self) -> Amounts:
        """The same in the filter's measure."""

    def amounts(self, event: Declared | Noise) -> Amounts | None:
        """What one application takes; None where the filter cannot pay for it."""

    def used(self, spent: Amounts) -> Amounts:
        """What has been spent, in the terms in which the budget was opened."""

    def left(self, spent: Amounts) -> Amounts:
        """What one more release could ask for, in the terms in which the budget was opened."""


@lru_cache(maxsize=1024)
def price(filter: Filter, event: Event) -> Amounts:
    """What one application of an event takes. A release is priced as it was asked, or else as the sum of its noises.

    What a Rényi divergence is takes a hundred times as long as all else of a charge, and the same releases come again.

    Raises
    ------
    InvalidCostError
        When the filter cannot pay for it; the text names a budget that could.
    """
    asked = event.asked if isinstance(event, Joint) else event
    found = filter.amounts(asked)
    if isinstance(event, Joint) and (found is None or filter.thorough):
        found = _by_noises(filter, event, found)
    if found is None:
        raise InvalidCostError(_refusal(filter, asked))
    main, delta = found
    return Fraction(main), Fraction(delta)  # no Exact: Python takes twice as long to add one of a subclass


def _by_noises(filter: Filter, event: Joint, asked: Amounts | None) -> Amounts | None:
    if not event.noises:  # nothing is known of them, which is not that they cost nothing
        return asked
    try:
        summed = total(price(filter, noise) for noise in event.noises)
    except InvalidCostError:
        return asked
    return summed if asked is None else min(asked, summed)


def compose(filter: Filter, event: Event, times: int = 1) -> Amounts:
    """What so many applications take: the one place that counts.

    Examples
    --------
    >>> compose(Concentrated(ZeroConcentratedDP(Exact(1))), PureDP(Exact(1, 10)), times=3)
    (Fraction(3, 200), Fraction(0, 1))
    """
    main, delta = price(filter, event)
    return times * main, times * delta


def total(amounts: Iterable[Amounts]) -> Amounts:
    """Their sums."""
    main, delta = NOTHING
    for each in amounts:
        main, delta = main + each[0], delta + each[1]
    return main, delta


@dataclass(frozen=True)
class Sums:
    """Basic composition: ε and δ add up."""

    opened: PureDP | ApproximateDP
    name = "sum"
    measure = "epsilon"
    thorough = False

    @cached_property
    def totals(self) -> Amounts:
        """ε and δ."""
        opened = self.opened
        return Fraction(opened.epsilon), Fraction(opened.delta if isinstance(opened, ApproximateDP) else 0)

    def amounts(self, event: Declared | Noise) -> Amounts | None:
        """Its ε and its δ."""
        declared = promised(event)
        if isinstance(declared, PureDP):
            return declared.epsilon, NOTHING[1]
        return (declared.epsilon, declared.delta) if isinstance(declared, ApproximateDP) else None

    def used(self, spent: Amounts) -> Amounts:
        """The sums themselves."""
        return spent

    def left(self, spent: Amounts) -> Amounts:
        """The rest of the totals."""
        return self.totals[0] - spent[0], self.totals[1] - spent[1]


@dataclass(frozen=True)
class Concentrated:
    """ρ adds up. ε-DP is ε²/2-zCDP (Bun and Steinke, TCC 2016, Proposition 1.4), μ-Gaussian DP is μ²/2-zCDP."""

    opened: ZeroConcentratedDP
    name = "rho"
    measure = "rho"
    thorough = False

    @cached_property
    def totals(self) -> Amounts:
        """ρ."""
        return Fraction(self.opened.rho), NOTHING[1]

    def amounts(self, event: Declared | Noise) -> Amounts | None:
        """Its ρ."""
        if isinstance(event, Exponential):
            return event.rho, NOTHING[1]
        declared = promised(event)
        if isinstance(declared, ZeroConcentratedDP):
            return declared.rho, NOTHING[1]
        if isinstance(declared, PureDP):
            return declared.epsilon**2 / 2, NOTHING[1]
        return (declared.mu_squared / 2, NOTHING[1]) if isinstance(declared, GaussianDP) else None

    def used(self, spent: Amounts) -> Amounts:
        """The sum itself."""
        return spent

    def left(self, spent: Amounts) -> Amounts:
        """The rest of the total."""
        return self.totals[0] - spent[0], NOTHING[1]


@dataclass(frozen=True)
class Gaussians:
    """μ² adds up. A budget of (ε, δ) has the largest μ² whose exact profile keeps to it."""

    opened: GaussianDP | ApproximateDP
    name = "gaussian"
    measure = "mu^2"
    thorough = False

    @cached_property
    def totals(self) -> Amounts:
        """μ²."""
        if isinstance(self.opened, GaussianDP):
            return Fraction(self.opened.mu_squared), NOTHING[1]
        return Fraction(conversions.gaussian_within(self.opened.epsilon, self.opened.delta)), NOTHING[1]

    def amounts(self, event: Declared | Noise) -> Amounts | None:
        """Its μ². ε-DP is told apart no more easily than the Gaussian that randomised response is."""
        if isinstance(event, Exponential):
            return event.mu_squared, NOTHING[1]
        declared = promised(event)
        if isinstance(declared, GaussianDP):
            return declared.mu_squared, NOTHING[1]
        if isinstance(declared, PureDP):
            return conversions.gaussian_of_pure(declared.epsilon), NOTHING[1]
        return None

    def used(self, spent: Amounts) -> Amounts:
        """μ of everything so far, or its ε at the budget's δ; rounded up."""
        if isinstance(self.opened, GaussianDP):
            return conversions.root_up(spent[0]), NOTHING[1]
        return _as_gaussian(spent[0], self.opened.delta)

    def left(self, spent: Amounts) -> Amounts:
        """μ, or the ε at the budget's δ, that one more Gaussian release could have; rounded down."""
        rest = self.totals[0] - spent[0]
        if isinstance(self.opened, GaussianDP):
            return conversions.root_down(rest), NOTHING[1]
        return _for_gaussian(rest, self.opened)


@dataclass(frozen=True)
class Renyi:
    """The Rényi divergence of one order adds up. The order follows from the budget's ε and δ alone."""

    opened: ApproximateDP
    name = "renyi"
    measure = "renyi"
    thorough = True

    @cached_property
    def order(self) -> Exact:
        """α."""
        return conversions.best_order(self.opened.epsilon, self.opened.delta)

    @cached_property
    def totals(self) -> Amounts:
        """The largest divergence that implies (ε, δ)."""
        return Fraction(conversions.renyi_within(self.order, self.opened.epsilon, self.opened.delta)), NOTHING[1]

    def amounts(self, event: Declared | Noise) -> Amounts | None:
        """Its divergence: its own where it has one, else that of what it implies."""
        if hasattr(event, "renyi"):
            return event.renyi(self.order), NOTHING[1]
        declared = promised(event)
        if isinstance(declared, PureDP):
            return conversions.renyi_of_pure(self.order, declared.epsilon), NOTHING[1]
        if isinstance(declared, ZeroConcentratedDP):
            return self.order * declared.rho, NOTHING[1]
        return (self.order * declared.mu_squared / 2, NOTHING[1]) if isinstance(declared, GaussianDP) else None

    def used(self, spent: Amounts) -> Amounts:
        """The ε, at the budget's δ, of Gaussian noise that would have cost as much; rounded up."""
        return _as_gaussian(2 * spent[0] / self.order, self.opened.delta)

    def left(self, spent: Amounts) -> Amounts:
        """The ε, at the budget's δ, that one more Gaussian release could have; rounded down."""
        return _for_gaussian(2 * (self.totals[0] - spent[0]) / self.order, self.opened)


@dataclass(frozen=True)
class Unsettled:
    """A budget of (ε, δ) before its first charge."""

    opened: ApproximateDP
    name = "unsettled"
    measure = "epsilon"
    thorough = False

    @property
    def totals(self) -> Amounts:
        """ε and δ."""
        return Fraction(self.opened.epsilon), Fraction(self.opened.delta)

    def amounts(self, event: Declared | Noise) -> Amounts | None:
        """Nothing is paid for before it is settled."""
        return None

    def settled(self, events: Sequence[Event]) -> Filter:
        """What counts these events and all that follow: what was asked where that adds up, μ² where all noise is
        Gaussian, and otherwise the Rényi divergence of one order.
        """
        if all(map(is_gaussian, events)):
            return Gaussians(self.opened)
        adds_up = Sums(self.opened)
        asked = (event.asked if isinstance(event, Joint) else event for event in events)
        return Renyi(self.opened) if any(adds_up.amounts(each) is None for each in asked) else adds_up

    def used(self, spent: Amounts) -> Amounts:
        """Nothing."""
        return NOTHING

    def left(self, spent: Amounts) -> Amounts:
        """Everything."""
        return self.totals


BY_NAME: dict[str, type[Sums | Gaussians | Renyi]] = {each.name: each for each in (Sums, Gaussians, Renyi)}
"""The filters that a budget of (ε, δ) may name."""


def filter_of(opened: Declared, name: object = None) -> Filter:
    """The filter of a budget that was opened with so much; of several that would do, the one that is named.

    Raises
    ------
    InvalidCostError
        For a name that is none, and for one that such a budget cannot have.

    Examples
    --------
    >>> filter_of(PureDP(Exact(1))).name, filter_of(ApproximateDP(Exact(1), Exact(1, 100))).name
    ('sum', 'unsettled')
    """
    if isinstance(opened, ApproximateDP):
        if name is None or name == Unsettled.name:
            return Unsettled(opened)
        if isinstance(name, str) and name in BY_NAME:
            return BY_NAME[name](opened)
        raise InvalidCostError(f"filter= is one of {', '.join(map(repr, BY_NAME))}, or left out, not {name!r}.")
    filter: Filter
    if isinstance(opened, PureDP):
        filter = Sums(opened)
    else:
        filter = Concentrated(opened) if isinstance(opened, ZeroConcentratedDP) else Gaussians(opened)
    if name not in (None, filter.name):
        raise InvalidCostError(f"A dp.Budget({opened}) counts in one way only: filter= goes with epsilon= and delta=.")
    return filter


def first(opened: Declared) -> Exact:
    """The number that a budget was opened with: its ε, ρ or μ.

    Examples
    --------
    >>> first(GaussianDP(Exact(9, 4)))
    1.5
    """
    if isinstance(opened, GaussianDP):
        return conversions.root_down(opened.mu_squared)
    return opened.rho if isinstance(opened, ZeroConcentratedDP) else opened.epsilon


def excess(filter: Filter, asked: Amounts, spent: Amounts) -> str:
    """Why a charge is refused: what it asks for, and how much is left of what."""
    opened, own = filter.opened, filter.measure
    names = (own, "delta")
    which = 0 if spent[0] + asked[0] > filter.totals[0] else 1
    name, wanted, whole = names[which], Exact(asked[which]), Exact(filter.totals[which])
    left = Exact(whole - spent[which])
    if not whole:
        return (
            f"This release asks for delta={wanted}, and a dp.Budget({opened}) has none. Leave delta= out where the "
            "groups are public, or open the budget with dp.Budget(epsilon=..., delta=...)."
        )
    text = f"This release asks for {name}={wanted}, but {left} of {whole} is left. "
    if left <= 0:
        return text + "Nothing more can be released: open a larger budget."
    lower = f"{name}={left}"
    if isinstance(filter, Gaussians | Renyi):
        text += f"This dp.Budget({opened}) counts {own}. "
        rest = filter.left(spent)
        delta = f", delta={Exact(rest[1])}" if rest[1] else ""
        lower = f"release({'epsilon' if delta else 'mu'}={Exact(rest[0])}{delta})"
    return text + f"Lower it to {lower} or less, or open a larger budget."


def take(
    filter: Filter, spent: Amounts, events: Sequence[Event], due: Callable[[Amounts], Amounts] | None = None
) -> tuple[Filter, Amounts, Amounts]:
    """Of a budget of which so much is spent: the filter that counts these and all later events, what they take, and
    what is spent after them.

    With ``due``, what that makes of it is taken.

    Raises
    ------
    BudgetExceededError
        When they do not fit, all together.
    InvalidCostError
        When the filter cannot pay for one of them.
    """
    if isinstance(filter, Unsettled):
        filter = filter.settled(events)
    main, delta = price(filter, events[0]) if len(events) == 1 else total(price(filter, event) for event in events)
    main, delta = (main, delta) if due is None else due((main, delta))
    # Sums of fractions are most of what a charge costs, so none is made of a δ that is 0.
    after = spent[0] + main, spent[1] + delta if delta else spent[1]
    if after[0] > filter.totals[0] or (delta and after[1] > filter.totals[1]):
        raise BudgetExceededError(excess(filter, (main, delta), spent))
    return filter, (main, delta), after


def share(filter: Filter, spent: Amounts, parts: int) -> tuple[Filter, Amounts, Amounts]:
    """One of so many equal shares of what is left, as :func:`take`; what is unsettled adds up from now on."""
    filter = Sums(filter.opened) if isinstance(filter, Unsettled) else filter
    main, delta = (filter.totals[0] - spent[0]) / parts, (filter.totals[1] - spent[1]) / parts
    return filter, (main, delta), (spent[0] + main, spent[1] + delta)


def _as_gaussian(mu_squared: Fraction, delta: Exact) -> Amounts:
    """The (ε, δ) of so much Gaussian noise, rounded up."""
    return (conversions.gaussian_epsilon(mu_squared, delta), delta) if mu_squared else NOTHING


def _for_gaussian(mu_squared: Fraction, opened: ApproximateDP) -> Amounts:
    """The (ε, δ) that a Gaussian release can ask for when so much is left, in six digits; never more than it could."""
    if mu_squared >= conversions.gaussian_within(opened.epsilon, opened.delta):
        return opened.epsilon, opened.delta
    if mu_squared <= 0:
        return NOTHING
    found = conversions.down(Fraction(conversions.gaussian_epsilon(mu_squared, opened.delta)), 6)
    while found and conversions.gaussian_within(found, opened.delta) > mu_squared:
        found = conversions.down(found * (1 - Fraction(1, 10**6)), 6)
    return (found, opened.delta) if found else NOTHING


def _refusal(filter: Filter, event: Declared | Noise) -> str:
    declared = promised(event)
    if isinstance(filter, Sums):
        return (
            f"A release({declared}) has no pure epsilon, so a dp.Budget({filter.opened}) cannot pay for it. "
            "Use release(epsilon=...), or open the budget with dp.Budget(rho=...)."
        )
    if isinstance(declared, ZeroConcentratedDP):
        return f"A release({declared}) without Gaussian noise has no mu. Open the budget with dp.Budget(rho=...)."
    counts = f"counts {filter.measure} for all of its delta" if isinstance(filter.opened, ApproximateDP) else "has none"
    return (
        f"A release of {declared} spends delta, and a dp.Budget({filter.opened}) {counts}. Release it from a budget of "
        f"its own, release(..., budget=dp.Budget({declared})): what the two allow adds up. Or open one for both with "
        "dp.Budget(epsilon=..., delta=..., filter='sum')."
    )
