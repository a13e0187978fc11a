r"""Heavy-tailed laws with a tabled quantile: Student's t, 1/(1 + z⁴), and the hyperbolic sine of a normal variate.

Why their quantiles have no negative derivative in −u: let g(Q) = −dQ/du = 1/density. The n-th derivative in −u is
Dₙ(Q) with D₁ = g and Dₙ₊₁ = g·Dₙ′. For Student's t with d ≥ 1, g = c·W^((d+1)/2), W = 1 + Q²/d, and every Dₙ is a
sum of terms a·Qⁱ·Wʲ with a ≥ 0 and j ≥ 1, because a derivative lowers j by at most one while g raises it by
(d + 1)/2 ≥ 1. For 1/(1 + z⁴), g is a polynomial without negative coefficients. For sinh(σN)/σ, Q is sinh, whose
derivatives are all ≥ 0 at arguments ≥ 0, of a function with that property, and Faà di Bruno's formula has no minus.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dpframe.kernels.laws import NORMAL, Tabled

_E = 2.0**-45
_K = 4.0


def log_newton(mp: Any, law: Any, u: Any, first: Any) -> Any:
    """Solve T(y) = u by Newton's method in ln T over ln y.

    That function is decreasing and concave for the laws here, so from a first value above the root the steps
    go down to it without ever passing it, and from one below, the first step passes it.

    Examples
    --------
    >>> from dpframe.kernels.refine import context
    >>> mp = context()
    >>> round(float(log_newton(mp, Quartic(), mp.mpf("0.2"), mp.mpf(2))), 9)
    1.045219197
    """
    y = first
    enough = mp.ldexp(1, -(mp.prec * 2 // 3))
    for _ in range(400):
        tail = law.tail(mp, y)
        step = tail * mp.log(tail / u) / (y * law.density(mp, y))
        y *= mp.exp(step)
        if abs(step) < enough:
            break
    return y


@dataclass(frozen=True)
class StudentT:
    """The magnitude of Student's t with ``df`` ≥ 1 degrees of freedom; ``df=1`` is the Cauchy law.

    Examples
    --------
    >>> from dpframe.kernels.refine import context
    >>> round(float(StudentT(3.0).quantile(context(), context().mpf("0.05"))), 9)
    3.182446305
    """

    df: float
    e = _E
    k = _K

    def _constant(self, mp: Any) -> Any:
        """The density at 0."""
        d = mp.mpf(self.df)
        return 2 * mp.gamma((d + 1) / 2) / (mp.sqrt(d * mp.pi) * mp.gamma(d / 2))

    def density(self, mp: Any, y: Any) -> Any:
        """c·(1 + y²/d)^(−(d+1)/2)."""
        d = mp.mpf(self.df)
        return self._constant(mp) * (1 + y * y / d) ** (-(d + 1) / 2)

    def tail(self, mp: Any, y: Any) -> Any:
        """The regularised incomplete beta function I_w(d/2, 1/2) at w = d/(d + y²); a finite sum for whole d."""
        if self.df == 1:
            return 2 / mp.pi * mp.atan(1 / y)
        if self.df.is_integer():
            precision = mp.prec
            mp.prec = precision + int(self.df) * max(0, int(mp.mag(y))) + 32  # the difference cancels down to y^-d
            tail = self._finite(mp, mp.mpf(y), int(self.df))
            mp.prec = precision
            return +tail
        d = mp.mpf(self.df)
        return mp.betainc(d / 2, mp.mpf(0.5), 0, d / (d + y * y), regularized=True)

    @staticmethod
    def _finite(mp: Any, y: Any, d: int) -> Any:
        """Abramowitz and Stegun, *Handbook of Mathematical Functions* (1964), 26.7.3 and 26.7.4."""
        odd = d % 2
        square = d / (d + y * y)  # cos²θ, θ = atan(y/√d)
        sine, cosine = mp.sqrt(1 - square), mp.sqrt(square)
        term = cosine if odd else mp.mpf(1)
        total = mp.mpf(0)
        for j in range(2 + odd, d + 1, 2):
            total += term
            term *= square * (j - 1) / j
        return 2 / mp.pi * (mp.atan(mp.sqrt(d) / y) - sine * total) if odd else 1 - sine * total

    def quantile(self, mp: Any, u: Any) -> Any:
        """Newton's method from a value beyond the root: T(y) ≤ c·d^((d−1)/2)·y^(−d)."""
        if u >= 1:
            return mp.mpf(0)
        if self.df == 1:
            return mp.cot(mp.pi * u / 2)
        d = mp.mpf(self.df)
        if u > 0.9:
            return log_newton(mp, self, u, (1 - u) / self._constant(mp))
        return log_newton(mp, self, u, (self._constant(mp) * d ** ((d - 1) / 2) / u) ** (1 / d))

    def series(self, mp: Any, u: Any, step: Any, terms: int) -> list[Any]:
        """From Q′ = −g and W·g′ = (d+1)/2·W′·g, W = 1 + Q²/d."""
        d = mp.mpf(self.df)
        power = (d + 1) / 2
        q = [self.quantile(mp, u)]
        w = [1 + q[0] ** 2 / d]
        g = [step / self._constant(mp) * w[0] ** power]
        for n in range(terms - 1):
            q.append(-g[n] / (n + 1))
            w.append(sum(q[i] * q[n + 1 - i] for i in range(n + 2)) / d)
            rise = sum((power * (i + 1) - (n - i)) * w[i + 1] * g[n - i] for i in range(n + 1))
            g.append(rise / ((n + 1) * w[0]))
        return q


@dataclass(frozen=True)
class Quartic:
    """The magnitude of the law with density √2/π/(1 + z⁴): mean 0, variance 1.

    Examples
    --------
    >>> from dpframe.kernels.refine import context
    >>> round(float(Quartic().quantile(context(), context().mpf("0.2"))), 9)  # Z(.1) of the Census engine
    1.045219197
    """

    e = _E
    k = _K

    def density(self, mp: Any, y: Any) -> Any:
        """2√2/π/(1 + y⁴)."""
        return 2 * mp.sqrt(2) / mp.pi / (1 + y**4)

    def tail(self, mp: Any, y: Any) -> Any:
        """∫ from 0 to 1/y of 2√2/π·w²/(1 + w⁴), in closed form."""
        precision = mp.prec
        mp.prec = precision + 3 * max(0, int(mp.mag(y))) + 16  # the terms below cancel for small w
        root = mp.sqrt(2)
        w = 1 / y
        angles = mp.atan(root * w + 1) + mp.atan(root * w - 1)
        tail = (angles - mp.log((w * w + root * w + 1) / (w * w - root * w + 1)) / 2) / mp.pi
        mp.prec = precision
        return +tail

    def quantile(self, mp: Any, u: Any) -> Any:
        """Newton's method from a value beyond the root: T(y) ≤ 2√2/(3π)·y⁻³."""
        if u >= 1:
            return mp.mpf(0)
        height = 2 * mp.sqrt(2) / mp.pi
        return log_newton(mp, self, u, (1 - u) / height if u > 0.9 else mp.cbrt(height / 3 / u))

    def series(self, mp: Any, u: Any, step: Any, terms: int) -> list[Any]:
        """From Q′ = −π/(2√2)·(1 + Q⁴)."""
        rate = step * mp.pi / (2 * mp.sqrt(2))
        q = [self.quantile(mp, u)]
        squares: list[Any] = []
        for n in range(terms - 1):
            squares.append(sum(q[i] * q[n - i] for i in range(n + 1)))
            fourth = sum(squares[i] * squares[n - i] for i in range(n + 1))
            q.append(-rate * (fourth + (1 if n == 0 else 0)) / (n + 1))
        return q


@dataclass(frozen=True)
class ArsinhNormal:
    """The magnitude of sinh(σN)/σ, N standard normal, 1/8 ≤ σ ≤ 4.

    Examples
    --------
    >>> from dpframe.kernels.refine import context
    >>> round(float(ArsinhNormal(1.0).quantile(context(), context().mpf("0.05"))), 9)
    3.479103945
    """

    sigma: float
    e = _E
    k = _K

    def tail(self, mp: Any, y: Any) -> Any:
        """erfc(arsinh(σy)/(σ√2))."""
        sigma = mp.mpf(self.sigma)
        return NORMAL.tail(mp, mp.asinh(sigma * y) / sigma)

    def quantile(self, mp: Any, u: Any) -> Any:
        """sinh(σz)/σ at the normal quantile z."""
        sigma = mp.mpf(self.sigma)
        return mp.sinh(sigma * NORMAL.quantile(mp, u)) / sigma

    def series(self, mp: Any, u: Any, step: Any, terms: int) -> list[Any]:
        """From S′ = σz′·C and C′ = σz′·S, S and C the hyperbolic sine and cosine of σz."""
        sigma = mp.mpf(self.sigma)
        z = NORMAL.series(mp, u, step, terms)
        s, c = [mp.sinh(sigma * z[0])], [mp.cosh(sigma * z[0])]
        for n in range(terms - 1):
            rise = [sigma * (i + 1) * z[i + 1] for i in range(n + 1)]
            s.append(sum(rise[i] * c[n - i] for i in range(n + 1)) / (n + 1))
            c.append(sum(rise[i] * s[n - i] for i in range(n + 1)) / (n + 1))
        return [term / sigma for term in s]


ARSINH_SIGMA = 2 / 3**0.5
SHIPPED: dict[Tabled, str] = {
    NORMAL: "normal",
    StudentT(1.0): "cauchy",
    StudentT(3.0): "student_t3",
    Quartic(): "quartic",
    ArsinhNormal(ARSINH_SIGMA): "arsinh_normal",
}
"""Laws whose tables come with the package, and the files' names."""
