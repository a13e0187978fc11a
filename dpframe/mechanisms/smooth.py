"""Noise that follows each cell's own sensitivity, as far as that is smooth: no more than a factor between neighbours.

A cell's own sensitivity tells of private data, so plain noise in proportion to it protects nobody. It does if that
sensitivity moves little between neighbours and the noise has tails heavy enough to hide the move (Nissim,
Raskhodnikova and Smith, *Smooth sensitivity and sampling in private data analysis*, STOC 2007). Two ways to name it:

*By largest contribution*, ``alpha=``: the column holds x, the largest single contribution to the cell, such as
``MAX(employees)`` beside ``SUM(employees)``; neighbours differ in one contribution, which moves from n to at most
max((1 + alpha)·n, n + 1), or back; and the sensitivity is S = max(alpha·x, 1), which moves by a factor of at most
1 + alpha (Haney, Machanavajjhala, Abowd, Graham, Kutzbach and Vilhuber, *Utility cost of formal privacy for releasing
national employer-employee statistics*, SIGMOD 2017). A missing x counts as 0: a cell without contributions.

*By smooth sensitivity*, ``smoothing=``: the column already holds S, which is at least as much as the cell can move from
this table to any neighbour, with S ≤ e^smoothing·S′ for neighbours. A missing S is unknown: it counts as the ceiling.

Either way S is held between a public floor (1, or ``floor=``) and 2⁴⁰ floors, which keeps it smooth; the caller vouches
that no cell needs more. Group keys that depend on private data void all this.

=======================  ===================  ==========  ============================================================
mechanism                names S by           guarantee   noise for small smoothing
=======================  ===================  ==========  ============================================================
``SmoothLaplace``        ``alpha=``           (ε, δ)      S/ε·Laplace: the least, if a δ will do
``SmoothGamma``          ``alpha=``           ε           2.28·S/ε·Z, Z of density ∝ 1/(1 + z⁴) and variance 1
``SmoothStudentT``       ``smoothing=``       ε           1.15·S/ε·t for 3 degrees of freedom, of variance 3
``SmoothCauchy``         ``smoothing=``       ε           S/ε·Cauchy: no mean, but any ε above the smoothing
``SmoothArsinhNormal``   ``smoothing=``       ρ-zCDP      0.87·S/√(2ρ)·Z, Z = sinh(σN)/σ, σ = 2/√3, of variance 5.02
=======================  ===================  ==========  ============================================================

Two more of ρ-zCDP are in :mod:`dpframe.mechanisms.smooth_lognormal`. For a smoothing up to a third of √(2ρ)
``SmoothUniformLogNormal`` has the least noise of the three: down to a standard deviation of 1.04·S/√(2ρ).

The conditions and scales are proved in :mod:`dpframe.mechanisms.smooth_bounds`. For the three of pure ε they are exact
up to ε = 20, over all moves of a cell and its sensitivity that the above allows; ``SmoothLaplace`` never goes below
S/ε, even where δ has room for it; ``SmoothArsinhNormal`` is next to exact for little smoothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from dpframe.accounting import ApproximateDP, PureDP, ZeroConcentratedDP
from dpframe.errors import InvalidCostError, MechanismError
from dpframe.kernels.exponential_tails import laplace
from dpframe.kernels.heavy import arsinh_normal, cauchy, gamma4, student_t
from dpframe.kernels.heavy_laws import ARSINH_SIGMA, ArsinhNormal, Quartic, StudentT
from dpframe.kernels.laws import EXPONENTIAL
from dpframe.mechanisms import smooth_bounds as bounds
from dpframe.mechanisms.table import Floats, Noise, Parameter, number, parameter, quantile, up

CEILING = 2.0**40
"""The largest sensitivity of any cell, in floors."""


@dataclass(frozen=True)
class _PerCell(Noise):
    """A scale for each cell: its sensitivity, within public limits, times a factor."""

    factor: float = field(init=False, repr=False)
    """The noise scale for a sensitivity of 1: 1/η, rounded up."""

    limits: tuple[float, float] = field(init=False, repr=False)
    """The least and the largest S of any cell: public."""

    missing: ClassVar[float]
    """What a missing entry counts as."""
    example: ClassVar[str]
    """A call that works, for messages; ``{column!r}`` stands for the sensitivity."""

    def scale(self, sensitivity: Floats) -> Floats:
        """The noise scale of each cell: its sensitivity between floor and ceiling, times the factor, rounded up.

        Parameters
        ----------
        sensitivity
            What the column holds, of any shape; missing entries are NaN, and none of any value raises.
        """
        given = np.asarray(sensitivity, np.float64)
        known = np.where(np.isnan(given), self.missing, given)
        held = np.clip(self._sensitivities(known), *self.limits)
        scales: Floats = np.nextafter(held * self.factor, np.inf)
        return scales

    def _sensitivities(self, known: Floats) -> Floats:
        """S, before it is held to its limits."""
        return known

    def _settle(self, eta: float, floor: float, refusal: Callable[[], str], **read: object) -> None:
        """Check that there is an η, and the sensitivity; set what has been read.

        Raises
        ------
        MechanismError
            With the text of ``refusal``, and a call that works, when there is no η.
        """
        if not eta:
            raise MechanismError(f"{refusal()}; try {self._call}.")
        if isinstance(self.sensitivity, str):
            if not self.sensitivity:
                raise MechanismError(f"sensitivity must be a number or the name of a column, not ''; try {self._call}.")
        else:
            read["sensitivity"] = number(self.sensitivity, "sensitivity", self._call)
        factor = up(1 / Fraction(eta), "the noise scale for a sensitivity of 1", self._call)
        up(Fraction(floor) * Fraction(factor), "the least noise scale", self._call)
        self.settle(factor=factor, limits=(floor, floor * CEILING), **read)

    @property
    def _call(self) -> str:
        """A call that works."""
        given = self.sensitivity if isinstance(self.sensitivity, str) else ""
        return self.example.format(column=given or "largest")


@dataclass(frozen=True)
class _ByContribution(_PerCell):
    """The column holds the largest contribution x to the cell; S = max(alpha·x, 1)."""

    alpha: Parameter
    missing = 0.0
    floor: ClassVar[float] = 1.0
    """The least S."""

    def _sensitivities(self, known: Floats) -> Floats:
        scaled: Floats = np.nextafter(known * math.nextafter(float(parameter(self.alpha, "alpha")), math.inf), np.inf)
        return scaled


def _alpha(value: Parameter, call: str) -> tuple[Fraction, Fraction]:
    """``alpha`` as it was typed, and ln(1 + alpha) as the bounds take it.

    Raises
    ------
    MechanismError
        When it is not a positive number, or so large that no ε could do.
    """
    number(value, "alpha", call)
    alpha = parameter(value, "alpha")
    return alpha, bounds.padded(bounds.smoothing_of(alpha))


def read_smoothing(value: Parameter, call: str) -> tuple[Fraction, Fraction]:
    """``smoothing`` as it was typed, and as the bounds take it.

    Examples
    --------
    >>> read_smoothing(0.25, "")[0]
    0.25
    """
    number(value, "smoothing", call)
    smoothing = parameter(value, "smoothing")
    return smoothing, bounds.padded(smoothing)


@dataclass(frozen=True)
class SmoothLaplace(_ByContribution):
    """Laplace noise of scale S/η, S = max(alpha·x, 1): (ε, δ)-DP.

    η is the largest number up to ε for which the exact δ of the worst pair of neighbours is at most ``delta``
    (:mod:`dpframe.mechanisms.smooth_bounds`). The usual η = ε/2, under the condition 2·ln(1/δ)·ln(1 + alpha) ≤ ε, is
    too much noise for small ε and too little for large ones: at ε = 8 and alpha = 2.8 its δ is .058, not .05.

    Parameters
    ----------
    sensitivity
        The column of the largest contribution x to each cell, or a public bound on it.
    alpha
        How much of itself a contribution may change by, between neighbours.
    epsilon, delta
        The cost.

    Raises
    ------
    MechanismError
        When ``alpha`` is more than this cost can hide.
    InvalidCostError
        When ε or δ is not a positive number, or δ not below 1.

    Examples
    --------
    >>> noise = SmoothLaplace(sensitivity="ssmax", alpha=0.05, epsilon=0.4, delta=0.05)
    >>> noise.scale(np.array([200.0, 3.0, np.nan])).round(9)  # S = 10, 1 and 1
    array([25. ,  2.5,  2.5])
    >>> print(noise.event)
    epsilon=0.4, delta=0.05
    """

    epsilon: Parameter
    delta: Parameter
    name = "smooth Laplace"
    example = "SmoothLaplace({column!r}, alpha=0.05, epsilon=0.4, delta=0.05)"
    law = EXPONENTIAL
    sampler = laplace

    def __post_init__(self) -> None:
        epsilon, delta = parameter(self.epsilon, "epsilon"), parameter(self.delta, "delta")
        if delta >= 1:
            raise InvalidCostError(f"delta must be below 1, not {delta}; try {self._call}.")
        alpha, b = _alpha(self.alpha, self._call)

        def refusal() -> str:
            least = float(bounds.laplace_delta(epsilon, 0.0, b))
            return f"alpha={alpha} needs delta above {least:.2g} at epsilon={epsilon}, whatever the noise, not {delta}"

        eta = bounds.laplace_eta(epsilon, delta, b)
        self._settle(eta, self.floor, refusal, alpha=alpha, epsilon=epsilon, delta=delta)

    @property
    def event(self) -> ApproximateDP:
        """(ε, δ)-DP."""
        return ApproximateDP(parameter(self.epsilon, "epsilon"), parameter(self.delta, "delta"))


@dataclass(frozen=True)
class SmoothGamma(_ByContribution):
    """Noise of density ∝ 1/(1 + z⁴) and scale S/η, S = max(alpha·x, 1): ε-DP.

    η is the largest number for which no pair of neighbours loses more than ε: about (ε − 3·ln(1 + alpha))/2.28, where
    the Census engine takes (ε − 5·ln(1 + alpha))/5. The standard deviation is the scale.

    Parameters
    ----------
    sensitivity
        The column of the largest contribution x to each cell, or a public bound on it.
    alpha
        How much of itself a contribution may change by, between neighbours: (1 + alpha)³ < e^ε.
    epsilon
        The cost.

    Raises
    ------
    MechanismError
        When ``alpha`` is more than this cost can hide.
    InvalidCostError
        When ε is not a positive number.

    Examples
    --------
    >>> noise = SmoothGamma(sensitivity="ssmax", alpha=0.05, epsilon=1)
    >>> noise.scale(np.array([200.0, 3.0])).round(3)
    array([24.411,  2.441])
    """

    epsilon: Parameter
    name = "smooth gamma"
    example = "SmoothGamma({column!r}, alpha=0.05, epsilon=1)"
    law = Quartic()
    sampler = gamma4

    def __post_init__(self) -> None:
        epsilon = parameter(self.epsilon, "epsilon")
        alpha, b = _alpha(self.alpha, self._call)
        eta = bounds.quartic_eta(epsilon, b)
        self._settle(eta, self.floor, lambda: _too_rough("alpha", alpha, epsilon, 3), alpha=alpha, epsilon=epsilon)

    @property
    def event(self) -> PureDP:
        """ε-DP."""
        return PureDP(parameter(self.epsilon, "epsilon"))


@dataclass(frozen=True)
class BySmoothness(_PerCell):
    """The column holds S itself, smooth by a factor of e^smoothing."""

    smoothing: Parameter
    missing = math.inf


@dataclass(frozen=True)
class SmoothStudentT(BySmoothness):
    """Student's t noise of scale S/η: ε-DP.

    η is the largest number for which no pair of neighbours loses more than ε, in closed form: √d times the root of
    the lesser of (2·sinh(ε/(d + 1)))² and (e^(l + b) − 1)·(1 − e^(b − l)), where b is the smoothing and
    l = (2ε − (d − 1)·b)/(d + 1).

    Parameters
    ----------
    sensitivity
        The column of the smooth sensitivities, or a public number.
    smoothing
        b: neighbours' sensitivities differ by a factor of at most e^b; df·b < ε.
    epsilon
        The cost.
    df
        d, degrees of freedom, from 1 to 64. The tables for 1 and 3 come with the package, others take some seconds.
    floor
        The least sensitivity of any cell: public.

    Raises
    ------
    MechanismError
        When the smoothing is more than this cost can hide, or ``df`` or ``floor`` out of range.
    InvalidCostError
        When ε is not a positive number.

    Examples
    --------
    >>> noise = SmoothStudentT(sensitivity="smooth", smoothing=0.05, epsilon=1)
    >>> noise.scale(np.array([10.0, 0.0])).round(3)
    array([11.808,  1.181])
    """

    epsilon: Parameter
    df: float = 3.0
    floor: float = 1.0
    name = "smooth Student's t"
    example = "SmoothStudentT({column!r}, smoothing=0.05, epsilon=1)"

    def __post_init__(self) -> None:
        epsilon = parameter(self.epsilon, "epsilon")
        smoothing, b = read_smoothing(self.smoothing, self._call)
        df, floor = number(self.df, "df", self._call), number(self.floor, "floor", self._call)
        if not 1 <= df <= 64:
            raise MechanismError(f"df must be a number from 1 to 64, not {df!r}; try {self._call}.")
        self.settle(floor=floor, df=df)
        self._settle(
            bounds.student_eta(epsilon, b, df),
            floor,
            lambda: _too_rough("smoothing", smoothing, epsilon, df),
            smoothing=smoothing,
            epsilon=epsilon,
        )

    @property
    def event(self) -> PureDP:
        """ε-DP."""
        return PureDP(parameter(self.epsilon, "epsilon"))

    def accuracy(self, alpha: float) -> float:
        """The least ``w`` with P(|noise| ≤ w·scale) ≥ 1 − alpha, before rounding to the grid."""
        return quantile(StudentT(self.df), alpha)

    def add(
        self, values: Floats, scale: Floats | float, grid: float, *, key: bytes, stream: int, start: int
    ) -> NDArray[np.int64]:
        """Noisy values in grid steps; as for every mechanism."""
        n = values.size
        return student_t(n, scale, df=self.df, grid=grid, values=values, key=key, stream=stream, start=start)


@dataclass(frozen=True)
class SmoothCauchy(BySmoothness):
    """Cauchy noise of scale S/η: ε-DP.

    With smoothing b < ε, η² is the lesser of 2·(cosh ε − 1) and 2e^b·(cosh ε − cosh b): no pair of neighbours loses
    more than ε, and some lose just that. (The laws of location and scale are points of the hyperbolic half-plane, and
    the loss is their distance.) The noise has no mean: its median is the value.

    Parameters
    ----------
    sensitivity
        The column of the smooth sensitivities, or a public number.
    smoothing
        b: neighbours' sensitivities differ by a factor of at most e^b; b < ε.
    epsilon
        The cost.
    floor
        The least sensitivity of any cell: public.

    Raises
    ------
    MechanismError
        When the smoothing is more than this cost can hide, or ``floor`` out of range.
    InvalidCostError
        When ε is not a positive number.

    Examples
    --------
    >>> SmoothCauchy(sensitivity="smooth", smoothing=0.05, epsilon=1).scale(np.array([10.0])).round(3)
    array([9.595])
    """

    epsilon: Parameter
    floor: float = 1.0
    name = "smooth Cauchy"
    example = "SmoothCauchy({column!r}, smoothing=0.05, epsilon=1)"
    law = StudentT(1.0)
    sampler = cauchy

    def __post_init__(self) -> None:
        epsilon = parameter(self.epsilon, "epsilon")
        smoothing, b = read_smoothing(self.smoothing, self._call)
        floor = number(self.floor, "floor", self._call)
        self.settle(floor=floor)
        self._settle(
            bounds.student_eta(epsilon, b, 1.0),
            floor,
            lambda: _too_rough("smoothing", smoothing, epsilon, 1),
            smoothing=smoothing,
            epsilon=epsilon,
        )

    @property
    def event(self) -> PureDP:
        """ε-DP."""
        return PureDP(parameter(self.epsilon, "epsilon"))


@dataclass(frozen=True)
class SmoothArsinhNormal(BySmoothness):
    """Noise S/η·sinh(σN)/σ, N standard normal and σ = 2/√3: ρ-zCDP.

    η is the lesser of √(2ρ) and e^b·(√(2ρ) − 0.95·b), over 0.87. The law is that of Bun and Steinke (*Average-case
    averages*, NeurIPS 2019); the proof is our own, and its loss is linear in the smoothing b.

    Parameters
    ----------
    sensitivity
        The column of the smooth sensitivities, or a public number.
    smoothing
        b: neighbours' sensitivities differ by a factor of at most e^b; 0.95·b < √(2ρ).
    rho
        The cost.
    floor
        The least sensitivity of any cell: public.

    Raises
    ------
    MechanismError
        When the smoothing is more than this cost can hide, or ``floor`` out of range.
    InvalidCostError
        When ρ is not a positive number.

    Examples
    --------
    >>> SmoothArsinhNormal(sensitivity="smooth", smoothing=0.05, rho=0.5).scale(np.array([10.0])).round(3)
    array([8.7])
    """

    rho: Parameter
    floor: float = 1.0
    name = "smooth arsinh-normal"
    example = "SmoothArsinhNormal({column!r}, smoothing=0.05, rho=0.5)"
    law = ArsinhNormal(ARSINH_SIGMA)
    sampler = arsinh_normal

    def __post_init__(self) -> None:
        rho = parameter(self.rho, "rho")
        smoothing, b = read_smoothing(self.smoothing, self._call)
        floor = number(self.floor, "floor", self._call)
        self.settle(floor=floor)

        def refusal() -> str:
            most = math.sqrt(2 * rho) / bounds.ARSINH_DILATION
            return f"smoothing={smoothing} is too much for rho={rho}, which hides up to about {most:.3g}"

        self._settle(bounds.arsinh_eta(rho, b), floor, refusal, smoothing=smoothing, rho=rho)

    @property
    def event(self) -> ZeroConcentratedDP:
        """ρ-zCDP."""
        return ZeroConcentratedDP(parameter(self.rho, "rho"))


def _too_rough(name: str, value: Fraction, epsilon: Fraction, power: float) -> str:
    """Why tails of that power cannot hide a move of the sensitivity at ε."""
    most = max(0.0, min(float(epsilon), bounds.ENOUGH) / power - float(bounds.padded(Fraction(0))))
    told = f"{most:.3g}" if name == "smoothing" else f"exp(epsilon/3) - 1 = {math.expm1(most):.3g}"
    return f"{name}={value} is too much for epsilon={epsilon}, which hides {name} below about {told}"


__all__ = ["SmoothArsinhNormal", "SmoothCauchy", "SmoothGamma", "SmoothLaplace", "SmoothStudentT"]
