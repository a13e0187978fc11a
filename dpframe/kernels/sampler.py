"""From a float filter that decides most cells to samples that are all exact."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dpframe.errors import MechanismError
from dpframe.kernels.arguments import check_grid, check_out, check_scale, check_scales, check_values
from dpframe.kernels.chacha import cell_key, check_position, fresh_key, key_words, words, words_at
from dpframe.kernels.inversion import LARGEST, LOGARITHM, SMALLEST, fill_cells, fill_shared
from dpframe.kernels.laws import Continuous, Exponential, Rounded, Tabled
from dpframe.kernels.quantile_table import table
from dpframe.kernels.refine import WORD_BITS, Law, clamp, keyed_bits, refine

_FEW = 64
_FARTHER = 2.0**62


@dataclass(frozen=True)
class Place:
    """Which words the cells of a call read: those from position ``start`` of one stream of one key.

    Examples
    --------
    >>> place = Place.of(bytes(32), stream=7, start=100, n=10)
    >>> place.start, len(place.given)
    (100, 0)
    """

    key: bytes
    stream: int
    start: int

    @staticmethod
    def of(
        key: bytes | None, stream: int, start: int, n: int, cells: NDArray[np.uint64] | None = None
    ) -> Place | Hashed:
        """The checked place of ``n`` cells; a fresh key from the operating system if ``key`` is None."""
        check_position(stream, start, n)
        key = fresh_key() if key is None else key
        key_words(key)
        if cells is None:
            return Place(key, int(stream), int(start))
        own = cell_key(key, int(stream))
        given = words_at(own, cells)
        if start or len(given) != n:
            raise MechanismError(f"cells must have shape ({n}, 2), and takes the place of start=; leave that out.")
        return Hashed(own, int(stream), cells, given)

    @property
    def given(self) -> NDArray[np.uint64]:
        """No words: the kernels make them."""
        return np.empty(0, np.uint64)

    def word(self, i: int) -> int:
        """The word of cell i."""
        return int(words(self.key, self.stream, self.start + i, 1)[0])

    def more(self, i: int, turn: int) -> int:
        """Further bits of cell i."""
        return keyed_bits(self.key, self.stream, self.start + i, turn)


@dataclass(frozen=True, eq=False)
class Hashed:
    """Which words the cells of a call read: those that their 128-bit hashes name, whatever the order of cells.

    Examples
    --------
    >>> cells = np.array([[1, 0], [2, 0]], np.uint64)
    >>> Place.of(bytes(32), 0, 0, 2, cells).given.shape
    (2,)
    """

    key: bytes
    stream: int
    cells: NDArray[np.uint64]
    given: NDArray[np.uint64]
    start: int = 0

    def word(self, i: int) -> int:
        """The word of cell i."""
        return int(self.given[i])

    def more(self, i: int, turn: int) -> int:
        """Further bits of cell i."""
        low, high = self.cells[i].tolist()
        return keyed_bits(self.key, self.stream, low | high << 64, turn)


class Cells(Protocol):
    """What each cell of a call draws from."""

    def law(self, i: int, negative: bool) -> tuple[Law, int]:
        """The law of cell i's magnitude, given its sign, and the integer to add to the signed magnitude."""
        ...


@dataclass(frozen=True)
class Shared:
    """The same law in every cell.

    Examples
    --------
    >>> from dpframe.kernels.laws import Geometric
    >>> Shared(Geometric(2.0)).law(5, negative=False)
    (Geometric(scale=2.0), 0)
    """

    one: Law

    def law(self, i: int, negative: bool) -> tuple[Law, int]:
        """The law, whatever the cell."""
        return self.one, 0


def held(scale: float) -> float:
    """A scale in grid steps, held to the float kernels' range.

    Examples
    --------
    >>> held(math.nan) == 2.0**50
    True
    """
    return max(scale, SMALLEST) if scale <= LARGEST else LARGEST


@dataclass(frozen=True)
class Scaled:
    """A law of integers with a scale per cell.

    Examples
    --------
    >>> from dpframe.kernels.laws import Geometric
    >>> Scaled(Geometric, np.array([2.0, 3.0])).law(1, negative=False)
    (Geometric(scale=3.0), 0)
    """

    of: Callable[[float], Law]
    scales: NDArray[np.float64]

    def law(self, i: int, negative: bool) -> tuple[Law, int]:
        """The law at the cell's scale."""
        return self.of(held(float(self.scales[i]))), 0


@dataclass(frozen=True)
class PerCell:
    """Rounded noise of a scale per cell around a value per cell, both in grid steps once multiplied by ``steps``.

    Examples
    --------
    >>> from dpframe.kernels.laws import EXPONENTIAL
    >>> law, base = PerCell(EXPONENTIAL, 1.0, np.array([2.0]), np.array([7.25])).law(0, negative=True)
    >>> law.scale, law.x, base
    (2.0, 7.25, 7)
    """

    noise: Continuous
    steps: float
    scales: NDArray[np.float64]
    values: NDArray[np.float64]

    def law(self, i: int, negative: bool) -> tuple[Rounded, int]:
        """Noise held to the same limits as in the float kernels."""
        scale = held(float(self.scales[i if self.scales.size > 1 else 0]) * self.steps)
        x = float(self.values[i]) * self.steps if self.values.size else 0.0
        x = 0.0 if math.isnan(x) else min(max(x, -_FARTHER), _FARTHER)
        base = math.floor(x)
        return Rounded(self.noise, scale, x, base, negative), base


def sample(
    fill: Callable[..., int],
    exact: Callable[[int], int],
    place: Place | Hashed,
    out: NDArray[np.int64],
    *parameters: Any,
) -> NDArray[np.int64]:
    """Run ``fill`` over ``out`` and replace every doubtful cell by its exact value.

    Parameters
    ----------
    fill
        ``fill(key_words, stream, start, given, out, doubtful, *parameters)`` writes values, lists the indices of
        doubtful cells in ``doubtful`` as far as they fit, and returns how many there are.
    exact
        ``exact(i)`` is the exact value of cell i.
    place
        The words to read.
    out
        Shape (n,).

    Examples
    --------
    >>> from dpframe.kernels.exponential_tails import discrete_laplace  # which is this function over its own parameters
    >>> discrete_laplace(3, 1.0).shape
    (3,)
    """
    if not out.size:
        return out
    head = (key_words(place.key), np.uint64(place.stream), np.int64(place.start), place.given, out)
    doubtful = np.empty(_FEW, np.int64)
    found = fill(*head, doubtful, *parameters)
    if found > _FEW:
        doubtful = np.empty(found, np.int64)
        found = fill(*head, doubtful, *parameters)
    for i in doubtful[:found].tolist():
        out[i] = exact(i)
    return out


def exact_cell(cells: Cells, place: Place | Hashed, i: int, *, signs: int = 1, shown: int = WORD_BITS) -> int:
    """The value of cell i by exact inversion: what the float kernels must agree with.

    Parameters
    ----------
    cells, place, i
        What the cell draws from and where it reads.
    signs
        1 if the lowest bit of a word is a sign.
    shown
        How many bits of the word to look at first; the value does not depend on it.

    Examples
    --------
    >>> from dpframe.kernels.exponential_tails import discrete_laplace
    >>> from dpframe.kernels.laws import DiscreteLaplace
    >>> place = Place(bytes(32), stream=0, start=0)
    >>> exact_cell(Shared(DiscreteLaplace(10.0)), place, 3) == discrete_laplace(4, 10.0, key=bytes(32))[3]
    np.True_
    """
    word = place.word(i)
    negative = bool(word & signs)
    law, base = cells.law(i, negative)
    size = refine(law, word >> 1, lambda turn: place.more(i, turn), shown=shown)
    return clamp((-size if negative else size) + base)


def rounded(
    noise: Continuous,
    n: int,
    scale: float | ArrayLike,
    grid: float,
    values: ArrayLike | None,
    place: Place | Hashed,
    out: NDArray[np.int64] | None,
    *,
    signs: int = 1,
) -> NDArray[np.int64]:
    """round((values + scale·Z)/grid) for a continuous law Z: what all samplers on a grid have in common.

    Examples
    --------
    >>> from dpframe.kernels.laws import EXPONENTIAL
    >>> rounded(EXPONENTIAL, 2, 5.0, 1.0, None, Place(bytes(32), 0, 0), None).shape
    (2,)
    """
    steps = 1.0 / check_grid(grid)
    out = check_out(out, n)
    source = LOGARITHM if isinstance(noise, Exponential) else table(cast(Tabled, noise))
    common = (source, noise.e, noise.k, np.uint64(signs))
    if values is None and np.ndim(scale) == 0:
        parameters: tuple[Any, ...]
        size = check_scale("scale", scale, steps)
        cells: Cells = Shared(Rounded(noise, size))
        parameters = (*common, size, 0.5)
        return sample(fill_shared, lambda i: exact_cell(cells, place, i, signs=signs), place, out, *parameters)
    scales = check_scales("scale", scale, n, steps)
    around = check_values(values, n)
    cells = PerCell(noise, steps, scales, around)
    parameters = (*common, steps, scales, _HALF, around)
    return sample(fill_cells, lambda i: exact_cell(cells, place, i, signs=signs), place, out, *parameters)


_HALF = np.array([0.5])
_HALF.flags.writeable = False
