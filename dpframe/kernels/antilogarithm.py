r"""The natural exponential, with a proved error bound.

``antilog(a)`` computes e^a for \|a\| ≤ 64, without branches so that it vectorises: with k the integer nearest to
a/ln 2 and r = a − k·ln 2, it is 2^k times the Taylor polynomial of degree 12 at r. ln 2 is taken in two parts, the
first of so few bits that its product with k is exact (as in fdlibm's ``e_exp.c``, Sun Microsystems, 1993).

Bound
-----
**\|antilog(a)/e^a − 1\| ≤ 9ε**, ε = 2⁻⁵³, with or without fused multiply-add, for \|a\| ≤ 64.

*Proof.* \|k\| ≤ 93, and k is nearest to a·RN(1/ln 2) as rounded, so \|r\| ≤ ln 2/2 + 200ε < 0.3467.

1. The argument: the difference a − k·h, h the first part, rounds by at most ε/4, its size being below ½; the second
   part is below 2⁻³², so that its own error and that of its product with k, of size at most 2⁻²⁵, are below 10⁻⁶ε; the
   last difference rounds by ε/4. An error of 0.51ε in r is a relative error of 0.51ε in e^r.
2. What the polynomial leaves out: 1.03·0.3467¹³/13! ≤ 1.6ε, and e^r ≥ 0.707, so relatively 2.3ε.
3. Rounding of the coefficients and of Horner's rule: at most 1.001·Σⱼ (2j + 2)·ε·\|r\|ʲ/j!, which is at most
   2.002·1.3467·e^0.3467·ε ≤ 3.82ε, relatively 5.41ε.
4. The product with 2^k is exact.

Together 8.3ε. A fused multiply-add leaves out a rounding of this list, and adds none. ∎
"""

from __future__ import annotations

import math
from typing import Any

from dpframe.kernels.jit import bits_float, float_bits, inlined

_ROUNDER = 1.5 * 2.0**52
_ROUNDER_BITS = 0x4338000000000000
_LN2_FIRST = 6.93147180369123816490e-01
_LN2_REST = 1.90821492927058770002e-10
_PER_LN2 = 1.4426950408889634
_C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11, _C12 = (1 / math.factorial(j) for j in range(2, 13))


@inlined
def antilog(a: Any) -> Any:
    """e^a for |a| ≤ 64; see the module's docstring for the bound."""
    raised = a * _PER_LN2 + _ROUNDER
    k = raised - _ROUNDER
    r = (a - k * _LN2_FIRST) - k * _LN2_REST
    p = _C10 + r * (_C11 + r * _C12)
    p = _C7 + r * (_C8 + r * (_C9 + r * p))
    p = _C4 + r * (_C5 + r * (_C6 + r * p))
    p = 1.0 + r * (1.0 + r * (_C2 + r * (_C3 + r * p)))
    return bits_float(float_bits(p) + ((float_bits(raised) - _ROUNDER_BITS) << 52))
