"""From a kernel that decides most cells to samples that are all exact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpframe.kernels.chacha import check_position, fresh_key, key_words, words
from dpframe.kernels.refine import WORD_BITS, Law, clamp, keyed_bits, refine

_FEW = 64


@dataclass(frozen=True)
class Place:
    """Which words the cells of a call read: those from position ``start`` of one stream of one key.

    Examples
    --------
    >>> Place.of(bytes(32), stream=7, start=100, n=10).start
    100
    """

    key: bytes
    stream: int
    start: int

    @staticmethod
    def of(key: bytes | None, stream: int, start: int, n: int) -> Place:
        """The checked place of ``n`` cells; a fresh key from the operating system if ``key`` is None."""
        check_position(stream, start, n)
        return Place(fresh_key() if key is None else key, int(stream), int(start))


def sample(
    fill: Callable[..., int], law: Law, place: Place, out: NDArray[np.int64], *parameters: Any
) -> NDArray[np.int64]:
    """Run ``fill`` over ``out`` and replace every doubtful cell by its exact value.

    Parameters
    ----------
    fill
        ``fill(key_words, stream, start, out, doubtful, *parameters)`` writes signed values, lists the indices
        of doubtful cells in ``doubtful`` as far as they fit, and returns how many there are.
    law
        The law of the magnitude.
    place
        The words to read.
    out
        Shape (n,).

    Examples
    --------
    >>> from dpframe.kernels.laplace import discrete_laplace  # which is this function over its own kernel
    >>> discrete_laplace(3, 1.0).shape
    (3,)
    """
    head = (key_words(place.key), np.uint64(place.stream), np.int64(place.start), out)
    doubtful = np.empty(_FEW, np.int64)
    found = fill(*head, doubtful, *parameters)
    if found > _FEW:
        doubtful = np.empty(found, np.int64)
        found = fill(*head, doubtful, *parameters)
    for i in doubtful[:found].tolist():
        out[i] = exact_cell(law, place.key, place.stream, place.start + i)
    return out


def exact_cell(law: Law, key: bytes, stream: int, cell: int, *, shown: int = WORD_BITS) -> int:
    """The signed value of one cell by exact inversion: what the float kernels must agree with.

    Parameters
    ----------
    law
        The law of the magnitude.
    key, stream, cell
        Which word, and which further bits.
    shown
        How many bits of the word to look at first; the value does not depend on it.

    Examples
    --------
    >>> from dpframe.kernels.laplace import DiscreteLaplace, discrete_laplace
    >>> exact_cell(DiscreteLaplace(10.0), bytes(32), 0, 3) == discrete_laplace(4, 10.0, key=bytes(32))[3]
    np.True_
    """
    word = int(words(key, stream, cell, 1)[0])
    size = refine(law, word >> 1, lambda turn: keyed_bits(key, stream, cell, turn), shown=shown)
    return clamp(-size if word & 1 else size)
