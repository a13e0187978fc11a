r"""Choosing one of m candidates by how useful each is: the exponential mechanism, in its better form.

McSherry and Talwar's exponential mechanism (*Mechanism design via differential privacy*, FOCS 2007) takes candidate i
with probability ∝ e^(u_i/b), b = 2Δ/ε. *Permute and flip* (McKenna and Sheldon, NeurIPS 2020) goes through the
candidates in random order and takes the first whose coin, of probability e^((u_i − max u)/b), says yes: also ε-DP,
never worse in expected utility, up to twice as good. It is the same as reporting the largest u_i + E_i, with
exponential noise E_i of scale b (Ding, Kifer, Saghaian, Steinke, Wang, Xiao and Zhang, *The permute-and-flip mechanism
is identical to report-noisy-max with exponential noise*, 2021). That is what is done here, and on whole numbers.

Why whole numbers change nothing
--------------------------------
Let utilities be whole. An exponential variate E of scale b has a whole part N = ⌊E⌋, P(N ≥ n) = e^(−n/b), geometric,
and a fractional part that is independent of N, as E has no memory. So the largest u_i + E_i is one of those with the
largest u_i + N_i, and among these each as likely as any other. Geometric noise and an equal chance for ties is
permute-and-flip to the last bit.

Why it is private, ties or not
------------------------------
Fix the noise of all others and the order in which ties are won. Then i is chosen exactly if N_i ≥ m_i, where
m_i = max over j ≠ i of u_j + N_j + [j wins ties with i], less u_i, is a whole number. Between neighbours, every
utility moves by at most Δ, so m_i by at most 2Δ, and P(N ≥ m + 2Δ) ≥ e^(−2Δ/b)·P(N ≥ m) for every whole m. So no
candidate's chance moves by more than e^ε if b ≥ 2Δ/ε. If between neighbours all utilities move the same way
(*monotonic*, as counts do when a row is added), m_i moves by at most Δ, and b = Δ/ε is enough.

How much utility is lost
------------------------
The chance of losing w or more, max u − u_i ≥ w, is largest where all others lose just w: raising one of them above that
takes from the others, lowering one leaves it less. There it is, with p = e^(−w/b) and s = e^(−x/b) for the best one's
noise x, which is uniform,

    1 − ∫₀¹ (1 − p·s)^(m − 1) ds  =  1 − (1 − (1 − p)^m)/(m·p).

Under zCDP the older mechanism has something to say for itself: see ``docs/decisions/0007-permute-and-flip.md``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpframe.accounting import PureDP
from dpframe.errors import MechanismError
from dpframe.kernels.arguments import LARGEST_SCALE, SMALLEST_SCALE, check_grid
from dpframe.kernels.chacha import check_position, key_words, words
from dpframe.kernels.exponential_tails import geometric
from dpframe.kernels.refine import context, keyed_bits
from dpframe.mechanisms.table import Parameter, check_alpha, number, parameter, up
from dpframe.mechanisms.whole import whole_numbers

_CALL = "ExponentialChoice(sensitivity=1, epsilon=0.5)"


@dataclass(frozen=True)
class ExponentialChoice:
    """One of m candidates, a useful one more likely: ε-DP. See the module's docstring for the law and its proof.

    It adds nothing to anything, so it has a verb of its own, :meth:`choose`, where others have ``add``.

    Parameters
    ----------
    sensitivity
        Δ: how far any one utility can move between neighbours. A whole number of grid steps.
    epsilon
        ε.
    grid
        Utilities are rounded to multiples of this power of two first, halves upwards, which moves no two of them
        further apart than Δ. Public.
    monotonic
        Whether between neighbours all utilities move the same way, as counts do: half the noise is enough.

    Raises
    ------
    MechanismError, InvalidCostError
        When a parameter is not a positive number, the sensitivity is no multiple of the grid, or the noise would not
        fit 64 bits.

    Examples
    --------
    >>> choice = ExponentialChoice(sensitivity=1, epsilon=0.5)
    >>> choice.scale, choice.choose([0, 500, 20], key=bytes(32), stream=0)
    (4.0, 1)
    >>> print(choice.event)
    epsilon=0.5
    """

    sensitivity: Parameter
    epsilon: Parameter
    grid: float = 1.0
    monotonic: bool = False
    scale: float = field(init=False, repr=False)
    """b: the scale of the noise on each utility."""
    name = "permute and flip"

    def __post_init__(self) -> None:
        epsilon, grid = parameter(self.epsilon, "epsilon"), check_grid(self.grid)
        if not isinstance(self.monotonic, bool):
            raise MechanismError(f"monotonic must be True or False, not {self.monotonic!r}; try {_CALL}.")
        number(self.sensitivity, "sensitivity", _CALL)
        sensitivity = parameter(self.sensitivity, "sensitivity")
        if (Fraction(sensitivity) / Fraction(grid)).denominator != 1:
            raise MechanismError(
                f"sensitivity must be a whole number of grid steps, and {sensitivity} is none of {grid!r}: "
                f"rounding to the grid could move utilities further. Try {_CALL}."
            )
        steps = (1 if self.monotonic else 2) * Fraction(sensitivity) / epsilon / Fraction(grid)
        if steps > LARGEST_SCALE:
            raise MechanismError(
                f"The noise would have a scale of more than 2**50 grid steps; take a coarser grid, or try {_CALL}."
            )
        scale = up(max(steps, Fraction(SMALLEST_SCALE)), "the noise scale", _CALL) * grid
        for name, value in (("epsilon", epsilon), ("sensitivity", sensitivity), ("grid", grid), ("scale", scale)):
            object.__setattr__(self, name, value)

    @property
    def event(self) -> PureDP:
        """ε-DP."""
        return PureDP(parameter(self.epsilon, "epsilon"))

    def choose(self, utilities: ArrayLike, key: bytes, stream: int, start: int = 0) -> int:
        """The position of the chosen candidate.

        Parameters
        ----------
        utilities
            (m,) exact numbers, which may be private: NaN counts as 0, and they are held to ±2**62 grid steps, or whole
            numbers on another grid than 1 to ±2**53.
        key
            32 bytes, used for this release only.
        stream, start
            The choice reads the 2·m words from ``start`` on of this stream, so a retry chooses the same.

        Raises
        ------
        MechanismError
            When there is no candidate, utilities are no vector of numbers, or the place is out of range.

        Examples
        --------
        >>> ExponentialChoice(1, 20).choose(np.array([3, 9, 4]), key=bytes(32), stream=7)
        1
        """
        given = np.asarray(utilities)
        if given.ndim != 1 or not given.size or given.dtype.kind not in "iuf" or given.itemsize > 8:
            raise MechanismError(
                f"utilities must be a vector of at least one number, not {given.dtype} of shape {given.shape}."
            )
        whole = _in_steps(given, self.grid)
        m = whole.size
        key_words(key)  # all that could be refused is refused now: whether there are ties is private
        check_position(stream, start, 2 * m)
        noise = geometric(m, self.scale / self.grid, key=key, stream=stream, start=start)
        # Noise of 62 bits at a scale of at most 50 has a chance under 2**-1000, where the sampler clamps as well.
        noisy = whole + np.minimum(noise, 2**62 - 1)
        tied = np.flatnonzero(noisy == noisy.max())
        if tied.size == 1:
            return int(tied[0])
        return _lot(tied, words(key, stream, start + m, m)[tied], key, stream, start + m)

    def accuracy(self, alpha: float, candidates: int) -> float:
        """The least ``w`` with P(utility lost ≥ w) ≤ alpha, whatever the utilities of so many candidates; rounded up.

        Of utilities as rounded to the grid. 0 where ``alpha`` allows any choice.

        Raises
        ------
        MechanismError
            Unless ``alpha`` is a positive number and ``candidates`` a whole number from 1.

        Examples
        --------
        >>> round(ExponentialChoice(1, 0.5).accuracy(0.05, candidates=100), 3)
        27.455
        """
        check_alpha(alpha)
        if isinstance(candidates, bool) or not isinstance(candidates, int | np.integer) or candidates < 1:
            raise MechanismError(f"candidates must be a whole number from 1, not {candidates!r}; try candidates=10.")
        m = int(candidates)
        if alpha >= 1 - 1 / m:
            return 0.0
        mp = context()
        mp.prec = 200 + 3 * (m.bit_length() + max(0, -math.frexp(alpha)[1]))  # the differences below cancel
        low, high = 2 * mp.mpf(alpha) / (m - 1), mp.mpf(1)  # of p: the chance is at most p·(m − 1)/2
        for _ in range(100):
            middle = mp.sqrt(low * high)
            small = 1 - (1 - (1 - middle) ** m) / (m * middle) <= alpha
            low, high = (middle, high) if small else (low, middle)
        return math.nextafter(float(-mp.log(low) * self.scale), math.inf)


def _in_steps(given: NDArray[Any], grid: float) -> NDArray[np.int64]:
    """Utilities as whole grid steps. Where doubles could round them, they are held to what doubles hold exactly."""
    if grid == 1:
        return whole_numbers(given)
    exact = given if given.dtype.kind == "f" else np.clip(given, *_within_doubles(given.dtype))
    with np.errstate(over="ignore"):
        return whole_numbers(exact.astype(np.float64) / grid)


def _within_doubles(kind: np.dtype[Any]) -> tuple[int, int]:
    """The range of an integer type, as far as every whole number in it is a double."""
    return max(int(np.iinfo(kind).min), -(2**53)), min(int(np.iinfo(kind).max), 2**53)


def _lot(tied: NDArray[np.int64], lots: NDArray[np.uint64], key: bytes, stream: int, start: int) -> int:
    """One of the tied by the largest of their words, with more keyed bits while these are equal."""
    turn = 0
    best = [int(i) for i in tied[lots == lots.max()]]
    while len(best) > 1:
        further = [keyed_bits(key, stream, start + i, turn) for i in best]
        best = [i for i, bits in zip(best, further, strict=True) if bits == max(further)]
        turn += 1
    return best[0]


__all__ = ["ExponentialChoice"]
