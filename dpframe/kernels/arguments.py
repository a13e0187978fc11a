"""What the samplers accept, checked before a word is drawn."""

from __future__ import annotations

from numbers import Real
from typing import cast

import numpy as np
from numpy.typing import NDArray

from dpframe.errors import MechanismError

SMALLEST_SCALE = 2.0**-10
"""Below this a sampler would return zero always: the chance of anything else is under 2**-1000."""
LARGEST_SCALE = 2.0**50
"""Up to here no value leaves 64 bits, but with probability under 2**-1000 (then it is clamped)."""


def check_scale(name: str, value: object) -> float:
    """``value`` as a float within the samplers' range; raises :class:`MechanismError` otherwise.

    Parameters
    ----------
    name
        The parameter's name, for the message.
    value
        A real number from 2**-10 to 2**50; not a boolean.

    Examples
    --------
    >>> check_scale("scale", 3)
    3.0
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise MechanismError(f"{name} must be a number, not {value!r}; try {name}=1.0.")
    if not SMALLEST_SCALE <= cast(float, value) <= LARGEST_SCALE:
        raise MechanismError(
            f"{name} must lie between 2**-10 and 2**50, not {value!r}: below, the noise is always zero; "
            "above, it may leave 64 bits. Choose a grid of which the scale is a moderate number of steps."
        )
    return float(value)


def check_out(out: NDArray[np.int64] | None, n: int) -> NDArray[np.int64]:
    """``out`` itself, or a new int64 array of shape (n,); raises :class:`MechanismError` if it does not fit.

    Examples
    --------
    >>> check_out(None, 3).shape
    (3,)
    """
    if out is None:
        return np.empty(n, np.int64)
    if not isinstance(out, np.ndarray) or out.dtype != np.int64 or out.shape != (n,):
        raise MechanismError(f"out must be an int64 array of shape ({n},); try out=np.empty({n}, np.int64).")
    if not (out.flags.c_contiguous and out.flags.writeable and out.flags.aligned):
        raise MechanismError(f"out must be contiguous and writeable; try out=np.empty({n}, np.int64).")
    return out
