r"""The natural logarithm of a tail probability, with a proved error bound.

``neglog(v)`` computes L(v) = −ln(v·2⁻⁶³) for 2²⁰ ≤ v < 2⁶³ by the argument reduction and the polynomial of
fdlibm's ``e_log.c`` (Sun Microsystems, 1993), without branches so that it vectorises.

Bound
-----
**|neglog(v) − L(v)| ≤ 2⁻⁵¹·L(v) + 2⁻⁵¹**, with or without fused multiply-add, for 2²⁰ ≤ v < 2⁶³.

*Proof.* Write ε = 2⁻⁵³ and y = RN(v) = v(1+δ), |δ| ≤ ε. Replacing v by y moves L by at most 1.01ε. Let
y·2⁻⁶³ = m·2⁻ᵈ with √½ ≤ m < √2 up to the last bits of the constant, so |f| ≤ 0.4143 for f = m − 1, which
is exact (Sterbenz). With s = f/(2+f), |s| ≤ 0.1716, z = s² ≤ 0.02945 and
R∞ = 2/3·z + 2/5·z² + 2/7·z³ + …, exactly ln m = f − s·(f − R∞).

1. Polynomial: |R(z) − R∞(z)| ≤ 2⁻⁵⁸ on [0, 0.02945] for the double coefficients (certified in the tests),
   entering multiplied by |s|: ≤ 0.0055ε.
2. x = RN(2 + f) has a relative error of ε. With a residual e = 1 − x·r, the step to r·(1 + e + e²) leaves e³ in real
   numbers. The first r has \|e\| ≤ 0.015 (checked in the tests), so that the next has at most 3.4·10⁻⁶ and a few ε,
   and the last 0.36ε; the rounding of its e ≈ 0 adds at most ε without fused multiply-add, that of the last sum ε,
   others 10⁻⁵ε. With the product by f, ŝ carries a relative 4.4ε (by division, 2ε), and ẑ 9.9ε; R ≤ 0.0203 has
   positive terms whose high powers weigh under 2 %, so R̂ is off by at most 21ε·R ≤ 0.43ε; f − R̂ rounds by ≤ 0.435ε;
   hence s·(f − R) is off by at most 0.1716·0.865ε + 0.0746·5.4ε ≤ 0.56ε; the subtraction from f rounds by ≤ 0.35ε.
   Together |computed ln m − ln m| ≤ 0.92ε.
3. The constant RN(ln 2) is off by 0.21ε and its product with d rounds by ≤ 0.70·d·ε: ≤ 0.91·d·ε. Since
   L ≥ d·ln 2 − 0.3466, this is ≤ 1.32ε·L + 0.46ε.
4. The last sum rounds by ε·(1+ε)·L at most, plus a second-order term.

The total is below 2.4ε·L + 2.5ε < 4ε·L + 4ε. A fused multiply-add drops a rounding of this list, adds none. ∎
"""

from __future__ import annotations

from typing import Any

import numpy as np

from dpframe.kernels.jit import bits_float, float_bits, inlined
from dpframe.kernels.lanes import WIDTH

LOWEST = np.int64(1 << 20)
"""Tail words below this (probability 2⁻⁴³) always go to exact refinement, so that no tail is cut off."""

_ONE = np.int64(0x3FF0000000000000)
_SQRT_HALF = np.int64(0x3FE6A09E00000000)
_MANTISSA = np.int64(0x000FFFFFFFFFFFFF)
_INTEGERS = np.int64(0x4330000000000000)
"""The bits of 2⁵²: with a number below 2⁵² put into them, they make that number more."""
_ROUND_63 = 2.0**52 + 1023 + 63


@inlined
def _reciprocal(x: Any) -> Any:
    """1/x for 1.7069 ≤ x ≤ 2.4144, to a relative 2.4ε (step 2 of the proof): quicker than AVX-512's division."""
    r = 0.98505 - 0.239 * x
    e = 1.0 - x * r
    r += r * (e + e * e)
    e = 1.0 - x * r
    return r + r * (e + e * e)


@inlined
def neglog(v: Any) -> Any:
    """−ln(v·2⁻⁶³); for v < 2**20 some finite number below 800. See the module's docstring for the bound."""
    bits = float_bits(np.float64(v)) + (_ONE - _SQRT_HALF)
    octaves = _ROUND_63 - bits_float((bits >> 52) | _INTEGERS)
    f = bits_float((bits & _MANTISSA) + _SQRT_HALF) - 1.0
    s = f * _reciprocal(2.0 + f) if WIDTH == 16 else f / (2.0 + f)
    z = s * s
    r = 1.531383769920937332e-01 + z * 1.479819860511658591e-01
    r = 1.818357216161805012e-01 + z * r
    r = 2.222219843214978396e-01 + z * r
    r = 2.857142874366239149e-01 + z * r
    r = 3.999999999940941908e-01 + z * r
    r = z * (6.666666666666735130e-01 + z * r)
    return octaves * 0.6931471805599453 - (f - s * (f - r))
