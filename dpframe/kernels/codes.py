"""Codes for values: a hash table of 64-bit integers, and the folding of codes into cells.

The table is open addressing with linear probing over pairs (value, code) side by side, so that a probe is one cache
line, and multiply-shift hashing (Dietzfelbinger and others, *A reliable randomized algorithm for the closest-pair
problem*, 1997) under a multiplier that is drawn anew for each table: no input is slow twice. The multiplier decides
where a value lies, never which code it has: codes count first appearances.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dpframe.kernels.jit import inlined, kernel

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

ABSENT = -1
"""The code of a value that has none."""

SMALLEST = 10
"""The binary logarithm of the slots that a table starts with."""


@inlined
def _slot(value: Any, multiplier: Any, shift: Any) -> Any:
    return np.int64((np.uint64(value) * multiplier) >> shift)


@kernel
def _insert(
    values: Ints, skip: Mask, begin: int, slots: Ints, known: Ints, count: int, multiplier: Any, shift: Any, codes: Ints
) -> tuple[int, int]:
    """Give codes from row ``begin`` on, until the rows end or half of the slots are taken; (row, count)."""
    mask = slots.size // 2 - 1
    for row in range(begin, values.size):
        if skip.size and skip[row]:
            codes[row] = ABSENT
            continue
        value = values[row]
        at = _slot(value, multiplier, shift)
        while slots[2 * at + 1] >= 0 and slots[2 * at] != value:
            at = (at + 1) & mask
        code = slots[2 * at + 1]
        if code < 0:
            if count == known.size:
                return row, count
            code = count
            count += 1
            known[code] = value
            slots[2 * at] = value
            slots[2 * at + 1] = code
        codes[row] = code
    return values.size, count


@kernel
def _look_up(values: Ints, skip: Mask, slots: Ints, multiplier: Any, shift: Any, codes: Ints) -> None:
    mask = slots.size // 2 - 1
    for row in range(values.size):
        codes[row] = ABSENT
        if not (skip.size and skip[row]):
            at = _slot(values[row], multiplier, shift)
            while slots[2 * at + 1] >= 0 and slots[2 * at] != values[row]:
                at = (at + 1) & mask
            codes[row] = slots[2 * at + 1]


NONE = np.empty(0, np.bool_)
NONE.flags.writeable = False


@dataclass(frozen=True, eq=False)
class Table:
    """A hash table from 64-bit integers to codes 0, 1, …; ``known`` has the value of each code.

    Examples
    --------
    >>> table, codes = Table.of(np.array([7, 5, 7]))
    >>> codes, table.known
    (array([0, 1, 0]), array([7, 5]))
    >>> table.look_up(np.array([5, 6]))
    array([ 1, -1])
    """

    slots: Ints
    known: Ints
    multiplier: np.uint64

    @staticmethod
    def of(values: Ints, skip: Mask = NONE) -> tuple[Table, Ints]:
        """A table of the values, and the code of each.

        Parameters
        ----------
        values
            (n,) int64.
        skip
            (n,) bool: rows without a value, which get no code. Or nothing.
        """
        codes = np.empty(values.size, np.int64)
        multiplier = np.uint64(int.from_bytes(os.urandom(8)) | 1)
        bits, row, known = SMALLEST, 0, np.empty(0, np.int64)
        while True:
            slots, shift, before = _empty(bits), np.uint64(64 - bits), known
            known = np.empty(1 << bits - 1, np.int64)
            _, count = _insert(before, NONE, 0, slots, known, 0, multiplier, shift, np.empty(before.size, np.int64))
            row, count = _insert(values, skip, row, slots, known, count, multiplier, shift, codes)
            if row == values.size:
                return Table(slots, known[:count], multiplier), codes
            bits += 2

    def look_up(self, values: Ints, skip: Mask = NONE) -> Ints:
        """The code of each value, (n,) int64; −1 for one that is not in the table or skipped."""
        codes = np.empty(values.size, np.int64)
        shift = np.uint64(66 - self.slots.size.bit_length())
        _look_up(values, skip, self.slots, self.multiplier, shift, codes)
        return codes


def _empty(bits: int) -> Ints:
    return np.full(2 << bits, ABSENT, np.int64)


@kernel
def fold(cell: Ints, values: Ints, skip: Mask, least: int, index: Ints, null: int, width: int) -> None:
    """Fold one key column into cells, in place: ``cell·width + index[value − least]``, −1 for no key.

    Parameters
    ----------
    cell
        (n,) cells so far; −1 stays −1.
    values
        (n,) integers, of any width; those outside ``least … least + len(index) − 1`` are no key.
    skip
        (n,) bool, rows of null; or nothing.
    index
        The position among the keys of each value from ``least`` on, or −1.
    null
        The position of null among the keys, or −1.
    """
    for row in range(cell.size):
        if cell[row] < 0:
            continue
        if skip.size and skip[row]:
            position = null
        else:
            # In unsigned arithmetic the difference cannot overflow, and a value below the least is far above.
            at = np.uint64(np.int64(values[row])) - np.uint64(least)
            position = index[at] if at < np.uint64(index.size) else ABSENT
        cell[row] = cell[row] * width + position if position >= 0 else ABSENT


@kernel
def span(values: Ints, skip: Mask) -> tuple[Any, Any]:
    """The least and the largest value; (0, −1) when there is none."""
    found = False
    least, largest = np.int64(0), np.int64(-1)
    for row in range(values.size):
        if skip.size and skip[row]:
            continue
        value = np.int64(values[row])
        least = min(least, value) if found else value
        largest = max(largest, value) if found else value
        found = True
    return least, largest
