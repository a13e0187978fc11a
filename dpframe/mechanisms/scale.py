"""From an exact scale to the one the samplers take."""

from __future__ import annotations

import math
from fractions import Fraction

from dpframe.errors import MechanismError
from dpframe.kernels.arguments import LARGEST_SCALE, SMALLEST_SCALE


def safe_scale(scale: Fraction | float, cost: str) -> float:
    """The least double that is not below the scale, within the samplers' range.

    Noise may be larger than asked, never smaller: rounding is upwards, and a scale below the least one
    becomes that.

    Raises
    ------
    MechanismError
        For a scale that could leave 64 bits: the bounds are too wide for so small a cost.
    """
    if scale > LARGEST_SCALE:
        raise MechanismError(
            f"The noise would not fit 64 bits: the clipping and contribution bounds are too wide for {cost}. "
            "Tighten the bounds or spend more on this release."
        )
    rounded = float(scale)
    if Fraction(rounded) < scale:
        rounded = math.nextafter(rounded, math.inf)
    return max(rounded, SMALLEST_SCALE)
