"""What the samplers accept, checked before a word is drawn."""

from __future__ import annotations

import math
from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpframe.errors import MechanismError

SMALLEST_SCALE = 2.0**-10
"""In grid steps. Below this a light-tailed law is zero always: the chance of more is under 2**-1000."""
LARGEST_SCALE = 2.0**50
"""In grid steps. Up to here a light-tailed law stays within 64 bits, but for a chance under 2**-1000."""


def check_scale(name: str, value: object, steps: float = 1.0) -> float:
    """``value * steps`` as a float within the samplers' range; raises :class:`MechanismError` otherwise.

    Parameters
    ----------
    name
        The parameter's name, for the message.
    value
        A real number; not a boolean.
    steps
        Grid steps in a unit of ``value``: a power of two.

    Examples
    --------
    >>> check_scale("scale", 3, steps=2.0)
    6.0
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise MechanismError(f"{name} must be a number, not {value!r}; try {name}=1.0.")
    size = _float(value)
    if not SMALLEST_SCALE <= size * steps <= LARGEST_SCALE:
        raise MechanismError(
            f"{name} must lie between 2**-10 and 2**50 grid steps, not {value!r}: below, the noise is always zero; "
            "above, it may leave 64 bits. Choose a grid of which the scale is a moderate number of steps."
        )
    return size * steps


def _float(value: Real) -> float:
    """The number as a float; infinite if it is an integer beyond all floats."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def check_grid(grid: object) -> float:
    """``grid`` as a float; raises :class:`MechanismError` unless it is a power of two from 2**-200 to 2**200.

    Examples
    --------
    >>> check_grid(0.25)
    0.25
    """
    if isinstance(grid, bool | np.bool_) or not isinstance(grid, Real):
        raise MechanismError(f"grid must be a power of two, not {grid!r}; try grid=1.0.")
    size = _float(grid)
    if not 2.0**-200 <= size <= 2.0**200 or math.frexp(size)[0] != 0.5:
        raise MechanismError(f"grid must be a power of two from 2**-200 to 2**200, not {grid!r}; try grid=2.0**-10.")
    return size


def check_scales(name: str, scale: ArrayLike, n: int, steps: float) -> NDArray[np.float64]:
    """A scale for each cell as contiguous float64: shape (n,), or (1,) if one number is given for all.

    Entries are not looked at, as they may depend on private data: the kernels hold each to the range of 2**-10 to
    2**50 grid steps, NaN to the upper end. One number is public, and checked.

    Examples
    --------
    >>> check_scales("scale", [1.0, float("nan")], 2, 1.0)
    array([ 1., nan])
    """
    if np.ndim(scale) == 0:
        return np.array([check_scale(name, scale, steps) / steps])
    return _cells(name, scale, n)


def check_values(values: ArrayLike | None, n: int) -> NDArray[np.float64]:
    """The values to add noise to as contiguous float64, shape (n,); shape (0,) stands for zeros.

    Entries are not looked at: the kernels count NaN as 0 and hold the rest to ±2**62 grid steps.

    Examples
    --------
    >>> check_values(None, 5).shape
    (0,)
    """
    return np.empty(0) if values is None else _cells("values", values, n)


def _cells(name: str, given: ArrayLike, n: int) -> NDArray[np.float64]:
    array = np.asarray(given)
    if array.dtype.kind not in "iuf" or array.shape != (n,):
        raise MechanismError(
            f"{name} must be a vector of {n} numbers, one for each cell, not {array.dtype} of shape {array.shape}; "
            f"try {name}=np.asarray(..., np.float64)."
        )
    return np.ascontiguousarray(array, np.float64)


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
