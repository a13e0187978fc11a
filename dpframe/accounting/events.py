"""Events: what the accountant must know of one application of a mechanism, and nothing of data.

*Declared* events name a guarantee and no mechanism (:mod:`dpframe.accounting.costs`). *Noises* name a mechanism; each
has a ``guarantee``, the declared event that it implies, and perhaps a Rényi divergence smaller than that one's. A
:class:`Joint` is a release: what was asked of it, and the noises that keep to it.

An event is one application. Counting is not its business: :func:`dpframe.accounting.filters.compose` counts, for every
event and every filter alike. (A library whose accountants each counted for themselves once forgot to in one of them.)
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from dpframe.accounting.conversions import context, gaussian_of_pure, precision, up
from dpframe.accounting.costs import Declared, Exact, GaussianDP, PureDP, ZeroConcentratedDP


@dataclass(frozen=True)
class DiscreteLaplace:
    """Independent noise of probability ∝ e^(−|k|/scale) on every entry of a vector of integers.

    Parameters
    ----------
    l1
        How far the vector moves between neighbours, in L1.
    scale
        b, in the same steps.
    most
        How far any one entry moves; ``l1`` where no less is known.
    cells
        How many entries move at most; None where no limit is known.
    """

    l1: int
    scale: float
    most: int
    cells: int | None = None

    @property
    def guarantee(self) -> PureDP:
        """ε = l1/scale."""
        return PureDP(Exact(Fraction(self.l1) / Fraction(self.scale)))

    def renyi(self, order: Fraction) -> Exact:
        """The Rényi divergence of this order between neighbours, at most; rounded up.

        With q = e^(−1/b), β = order − 1 and r = q^(1 + 2β), noise that is shifted by d has

            E e^(β·loss) = [e^(βd/b) + q^d·e^(−βd/b) + (1 − q)·Σ_{0<y<d} q^y·e^(β(d − 2y)/b)] / (1 + q)
                         = A·e^(βd/b) + B·e^(−(β + 1)d/b),    A = (1 − q·r)/((1 − r)(1 + q)),    B = 1 − A,

        with A and B above 0. Its logarithm is convex in d and 0 at d = 0, so a move of l1 in steps of at most ``most``
        costs at most l1/most times what one of ``most`` costs.
        """
        mp, scale = context(), Fraction(self.scale)
        mp.prec = precision(scale, order, Fraction(self.most))
        a, beta = mp.mpf(scale.denominator) / scale.numerator, mp.mpf(order.numerator) / order.denominator - 1
        q, r = mp.exp(-a), mp.exp(-(1 + 2 * beta) * a)
        outer = (1 - q * r) / ((1 - r) * (1 + q))
        moment = outer * mp.exp(beta * self.most * a) + (1 - outer) * mp.exp(-(beta + 1) * self.most * a)
        return up(mp.log(moment) / beta * self.l1 / self.most)


@dataclass(frozen=True)
class Laplace:
    """Independent noise of density ∝ e^(−|z|/scale) on a vector that moves by ``l1`` between neighbours."""

    l1: Exact
    scale: float

    @property
    def guarantee(self) -> PureDP:
        """ε = l1/scale."""
        return PureDP(Exact(Fraction(self.l1) / Fraction(self.scale)))

    def renyi(self, order: Fraction) -> Exact:
        """The Rényi divergence of this order between neighbours, at most; rounded up.

        Mironov, *Rényi differential privacy*, CSF 2017, Proposition 6. Its exponential is a sum of two exponentials of
        the shift, so it is largest where one entry makes all of the move; see :meth:`DiscreteLaplace.renyi`.
        """
        mp, shift = context(), Fraction(self.l1) / Fraction(self.scale)
        mp.prec = precision(shift, order)
        a, beta = mp.mpf(shift.numerator) / shift.denominator, mp.mpf(order.numerator) / order.denominator - 1
        moment = ((beta + 1) * mp.exp(beta * a) + beta * mp.exp(-(beta + 1) * a)) / (2 * beta + 1)
        return up(mp.log(moment) / beta)


@dataclass(frozen=True)
class RoundedGaussian:
    """round(N(0, σ²)), independent on every entry of a vector of integers, whose squared L2 move is ``l2_squared``.

    x + round(Z) = round(x + Z): post-processing of Gaussian noise, so exactly as private (docs/decisions/0003).
    """

    l2_squared: int
    sigma: float

    @property
    def guarantee(self) -> GaussianDP:
        """μ² = l2_squared/σ², rounded up."""
        return GaussianDP(up(Fraction(self.l2_squared) / Fraction(self.sigma) ** 2))


@dataclass(frozen=True)
class DiscreteGaussian:
    """Noise of probability ∝ e^(−k²/2σ²) on every entry of a vector of integers: zCDP, and only nearly Gaussian-DP."""

    l2_squared: int
    sigma: float

    @property
    def guarantee(self) -> ZeroConcentratedDP:
        """ρ = l2_squared/(2σ²), rounded up (Canonne, Kamath and Steinke, NeurIPS 2020, Theorem 4)."""
        return ZeroConcentratedDP(up(Fraction(self.l2_squared) / (2 * Fraction(self.sigma) ** 2)))


@dataclass(frozen=True)
class PermuteAndFlip:
    """A choice by permute-and-flip, :class:`dpframe.ExponentialChoice`: ε-DP, and no more is claimed of it."""

    epsilon: Exact

    @property
    def guarantee(self) -> PureDP:
        """ε."""
        return PureDP(self.epsilon)


@dataclass(frozen=True)
class Exponential:
    """A choice of probability ∝ e^(ε·utility/(2Δ)): ε-DP, and of a loss that lies in an interval of length ε.

    That range is more than ε-DP alone has (Durfee and Rogers, NeurIPS 2019). With K(s) the logarithm of E e^(s·loss)
    under the second law, K(0) = K(1) = 0, and K″ is the variance of a number within an interval of length ε, at most
    ε²/4: so K(α) ≤ α(α − 1)·ε²/8, and ρ = ε²/8, a quarter of what ε-DP has (Cesar and Rogers, ALT 2021).

    *Its profile.* Given the mean of e^(−loss), which is 1, laws on an interval [t − ε, t] of the losses are furthest
    apart on its ends, and the worst t, (ε + x)/2 for δ at x, gives

        δ(x) ≤ (e^(ε/2) − e^(x/2))²/(e^ε − 1),    −ε ≤ x ≤ ε

    (Dong, Durfee and Rogers, *Optimal differential privacy composition for exponential mechanisms*, ICML 2020). That is
    the profile of losses l in [−ε, ε] of density e^(l/2)/(4·sinh(ε/2)).

    *It is as Gaussian as ε/2-DP*: μ-GDP with Φ(μ/2) = 1/(1 + e^(−ε/2)), for which the two profiles are equal at x = 0.
    Let D(x) = e^(−x/2)·(δ_μ(x) − δ(x)), and h the difference of the densities of the losses, each times e^(−l/2): for
    the Gaussian a multiple of e^(−l²/(2μ²)), for the choice a constant on [−ε, ε]. Then D″ = D/4 + h, D is even,
    D(0) = D′(0) = 0, and D > 0 from ε on. Were h(0) < 0, then h < 0 up to ε, so D would fall below 0 and, before it
    rises again, have a least value D < 0 with D″ = D/4 + h < 0, which no minimum has. So h(0) ≥ 0, and h has one sign
    change before ε: where h ≥ 0, D rises from 0; where h < 0, a least value below 0 is impossible as before. So D ≥ 0.

    Parameters
    ----------
    epsilon
        ε of the choice, or of several together, one after another, where what a unit takes part in depends on what was
        chosen before.
    squares
        Of several, what the squares of their own ε add up to, at most; None of one.
    """

    epsilon: Exact
    squares: Exact | None = None

    @property
    def guarantee(self) -> PureDP:
        """ε."""
        return PureDP(self.epsilon)

    @property
    def rho(self) -> Exact:
        """ε²/8, or Σ ε²/8."""
        return Exact((self.epsilon**2 if self.squares is None else self.squares) / 8)

    @property
    def mu_squared(self) -> Exact:
        """μ² of a choice; of several at most π/8·Σ ε², which that of each is near when it is small, and never above."""
        if self.squares is None:
            return gaussian_of_pure(self.epsilon / 2)
        return min(up(self.squares * Fraction(355, 113) / 8), gaussian_of_pure(self.epsilon))

    def renyi(self, order: Fraction) -> Exact:
        """At most order·ρ, and at most ε."""
        return Exact(min(order * self.rho, self.epsilon))


Noise = DiscreteLaplace | Laplace | RoundedGaussian | DiscreteGaussian | PermuteAndFlip | Exponential


@dataclass(frozen=True)
class Joint:
    """A release: the guarantee that was asked, and the noises that together keep to it. Both hold of it.

    A filter counts whichever it can: an (ε, δ) budget that adds up takes what was asked, one of μ the noises.
    """

    asked: Declared
    noises: tuple[Event, ...]

    def __str__(self) -> str:
        return str(self.asked)


Event = Declared | Noise | Joint


def promised(event: Declared | Noise) -> Declared:
    """The guarantee that an event is, or that its noise implies.

    Examples
    --------
    >>> print(promised(Laplace(Exact(1), 2.0)))
    epsilon=0.5
    """
    return event.guarantee if isinstance(event, Noise) else event


def is_gaussian(event: Event) -> bool:
    """Whether all of its noise is Gaussian, so that μ² says everything of it.

    Examples
    --------
    >>> is_gaussian(RoundedGaussian(4, 8.0)), is_gaussian(PureDP(Exact(1)))
    (True, False)
    """
    if isinstance(event, Joint):
        return all(map(is_gaussian, event.noises))
    return isinstance(event, GaussianDP | RoundedGaussian)
