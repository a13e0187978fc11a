"""Contribution bounding: which rows of each unit are kept, by keyed hashes of the rows alone.

The choice for a unit depends on that unit's rows and on nothing else, not on their order, so a unit that is
added or removed moves no other unit's rows, and every engine and every retry keeps the same rows. Equal rows
are told apart by their number among equals, so each row of a unit is as likely to be kept as any other.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from dpframe.kernels.jit import kernel
from dpframe.kernels.siphash import sip_pair

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]


@kernel
def by_unit(unit: Ints, units: int) -> tuple[Ints, Ints]:
    """Rows in the order of their units, by a counting sort.

    Parameters
    ----------
    unit
        (n,) codes in [0, units).

    Returns
    -------
    start, order
        Unit ``u`` has the rows ``order[start[u]:start[u + 1]]``.
    """
    start = np.zeros(units + 1, np.int64)
    for code in unit:
        start[code + 1] += 1
    for u in range(units):
        start[u + 1] += start[u]
    at = start[:-1].copy()
    order = np.empty(unit.size, np.int64)
    for row in range(unit.size):
        order[at[unit[row]]] = row
        at[unit[row]] += 1
    return start, order


@kernel
def _keep_least(rows: Ints, row_hash: Words, most: int, keep: Mask) -> None:
    """Mark the ``most`` rows with the least hash of (row hash, number among equals); drop the others."""
    if rows.size <= most:
        for row in rows:
            keep[row] = True
        return
    hashes = np.empty(rows.size, np.uint64)
    for i in range(rows.size):
        hashes[i] = row_hash[rows[i]]
    order = np.argsort(hashes, kind="mergesort")
    rank = np.empty(rows.size, np.uint64)
    twin = np.uint64(0)
    for i in range(rows.size):
        here = hashes[order[i]]
        twin = twin + np.uint64(1) if i > 0 and here == hashes[order[i - 1]] else np.uint64(0)
        # The row hash is keyed and secret, so it serves as the key that spreads its twins.
        rank[i] = sip_pair(here, ~here, here, twin)
    for i in np.argsort(rank, kind="mergesort")[:most]:
        keep[rows[order[i]]] = True


@kernel
def keep_rows(start: Ints, order: Ints, row_hash: Words, rows: int) -> Mask:
    """Keep at most ``rows`` rows of each unit (an L1 bound).

    Parameters
    ----------
    start, order
        Rows by unit, from :func:`by_unit`.
    row_hash
        (n,) keyed hash of everything that tells the rows of a unit apart.

    Returns
    -------
    numpy.ndarray
        (n,) bool, True for the rows that stay.
    """
    keep = np.zeros(order.size, np.bool_)
    for u in range(start.size - 1):
        _keep_least(order[start[u] : start[u + 1]], row_hash, rows, keep)
    return keep


@kernel
def keep_groups(
    start: Ints, order: Ints, group: Ints, group_hash: Words, row_hash: Words, groups: int, rows: int
) -> Mask:
    """Keep at most ``groups`` groups of each unit and ``rows`` rows in each (L0 and L∞ bounds).

    Parameters
    ----------
    start, order
        Rows by unit, from :func:`by_unit`.
    group
        (n,) codes, equal exactly where the group is.
    group_hash
        (n,) keyed hash of unit and group, equal within a group of a unit.
    row_hash
        (n,) keyed hash of everything that tells the rows of a group of a unit apart.

    Returns
    -------
    numpy.ndarray
        (n,) bool, True for the rows that stay.
    """
    keep = np.zeros(order.size, np.bool_)
    for u in range(start.size - 1):
        mine = order[start[u] : start[u + 1]]
        codes = np.empty(mine.size, np.int64)
        for i in range(mine.size):
            codes[i] = group[mine[i]]
        mine = mine[np.argsort(codes, kind="mergesort")]
        first = np.empty(mine.size + 1, np.int64)
        runs = 0
        for i in range(mine.size):
            if i == 0 or group[mine[i]] != group[mine[i - 1]]:
                first[runs] = i
                runs += 1
        first[runs] = mine.size
        hashes = np.empty(runs, np.uint64)
        for r in range(runs):
            hashes[r] = group_hash[mine[first[r]]]
        for r in np.argsort(hashes, kind="mergesort")[:groups]:
            _keep_least(mine[first[r] : first[r + 1]], row_hash, rows, keep)
    return keep


@kernel
def add_up(cell: Ints, value: Ints, cells: int) -> Ints:
    """The sum of ``value`` in each cell, in 64-bit integers: (cells,) from (n,) codes and values."""
    total = np.zeros(cells, np.int64)
    for i in range(cell.size):
        total[cell[i]] += value[i]
    return total
