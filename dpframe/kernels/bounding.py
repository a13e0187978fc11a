"""Contribution bounding: which rows of each unit are kept, by keyed hashes of the rows alone.

The choice for a unit depends on that unit's rows and on nothing else, not on their order, so a unit that is
added or removed moves no other unit's rows, and every engine and every retry keeps the same rows. Equal rows
are told apart by their number among equals, so each row of a unit is as likely to be kept as any other.

A row is dropped by taking its cell away: ``cell[row]`` becomes −1. A row whose fate its own hash decides, because too
many of its unit share its group, is *contested*, ``cell[row]`` being −2 − cell, until :func:`settle` has seen the
hashes: few rows are, and hashes of whole rows cost more than all the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dpframe.kernels.jit import inlined, kernel
from dpframe.kernels.siphash import sip_pair

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]

DROPPED = -1

GONE, OPEN = 0, -1
"""What is left of a group that is not chosen, and of one whose rows are contested."""

FEW = 64
"""Up to this many least hashes are kept sorted as they come; for more, all are sorted."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2⁶⁴ over the golden ratio, as in Fibonacci hashing (Knuth, volume 3, section 6.4)."""


@inlined
def contested(cell: Any) -> Any:
    """A cell, marked as contested; and back again."""
    return -2 - cell


@inlined
def _part(identity: Any, parts: Any) -> Any:
    mixed = (np.uint64(identity) * _GOLDEN) >> np.uint64(32)
    return np.int64((mixed * np.uint64(parts)) >> np.uint64(32))


@kernel
def count_parts(ids: Ints, first: int, last: int, counts: Ints) -> None:
    """How many of the rows from ``first`` to ``last`` fall to each part of the units, about equal ones."""
    for row in range(first, last):
        counts[_part(ids[row], counts.size)] += 1


@kernel
def deal(
    ids: Ints, skip: Any, cell: Ints, first: int, last: int, at: Ints, rows: Ints, own_ids: Ints, own_cells: Ints
) -> None:
    """Deal the rows from ``first`` to ``last`` out to the parts of the units.

    What follows then works on a part at a time, which the caches hold, and on several at once.

    Parameters
    ----------
    ids
        (n,) integers, equal exactly where the unit is.
    skip
        (n,) bool, rows without a unit; or nothing. Neither they nor rows without a cell are dealt.
    cell
        (n,) the cell of each row, or −1.
    at
        (parts,) where the rows of each part go; on return, where they end.
    rows, own_ids, own_cells
        (n,) to write the rows to, part by part, their ids and cells.
    """
    for row in range(first, last):
        part = _part(ids[row], at.size)
        place = at[part]
        rows[place] = row
        own_ids[place] = ids[row]
        own_cells[place] = cell[row]
        # Without a branch: which rows stay is nothing that a processor could foresee.
        at[part] += np.int64((cell[row] >= 0) & (skip.size == 0 or not skip[row]))


@kernel
def by_unit(unit: Ints, units: int, rows: Ints, cells: Ints) -> tuple[Ints, Ints, Ints]:
    """Rows in the order of their units, by a counting sort.

    Parameters
    ----------
    unit
        (m,) codes below ``units``, of these rows.
    rows, cells
        (m,) the rows and their cells.

    Returns
    -------
    start, order, at
        Unit ``u`` has the rows ``order[start[u]:start[u + 1]]``, in the cells ``at[start[u]:start[u + 1]]``.
    """
    start = np.zeros(units + 2, np.int64)
    for code in unit:
        start[code + 2] += 1
    for u in range(2, units + 2):
        start[u] += start[u - 1]
    order = np.empty(unit.size, np.int64)
    at = np.empty(unit.size, np.int64)
    for i in range(unit.size):
        place = start[unit[i] + 1]
        start[unit[i] + 1] += 1
        order[place] = rows[i]
        at[place] = cells[i]
    return start[: units + 1], order, at


@inlined
def _bits(size: Any) -> Any:
    """The least number of bits for so many."""
    bits = 0
    while (1 << bits) < size:
        bits += 1
    return bits


@kernel
def _threshold(hashes: Words, count: int, most: int, least: Words) -> tuple[Any, int]:
    """The ``most``-th least of the first hashes, and how many of those equal to it are among the ``most`` least."""
    if most > least.size:
        ranked = np.sort(hashes[:count])
    else:
        ranked = least
        for i in range(count):
            h = hashes[i]
            if i < most or h < ranked[most - 1]:
                j = min(i, most - 1)
                while j > 0 and ranked[j - 1] > h:
                    ranked[j] = ranked[j - 1]
                    j -= 1
                ranked[j] = h
    limit = ranked[most - 1]
    equal = 1
    while equal < most and ranked[most - 1 - equal] == limit:
        equal += 1
    return limit, equal


@kernel
def keep_rows(start: Ints, order: Ints, at: Ints, rows: int, cell: Ints) -> tuple[Ints, Ints]:
    """Contest the rows of every unit that has more than ``rows`` (an L1 bound).

    Parameters
    ----------
    start, order, at
        Rows by unit, from :func:`by_unit`.
    cell
        (n,) the cell of each row; changed in place.

    Returns
    -------
    run
        (m,) the run of contested rows in which each row of ``order`` is, or −1.
    run_unit
        (runs,) the unit of each run.
    """
    run, run_unit = np.full(order.size, -1), np.empty(order.size, np.int64)
    runs = 0
    for u in range(start.size - 1):
        if start[u + 1] - start[u] > rows:
            for j in range(start[u], start[u + 1]):
                cell[order[j]] = contested(at[j])
                run[j] = runs
            run_unit[runs] = u
            runs += 1
    return run, run_unit[:runs]


@kernel
def keep_groups(
    start: Ints,
    order: Ints,
    at: Ints,
    group: Ints,
    group_word: Words,
    unit_word: Words,
    key: tuple[Any, Any],
    groups: int,
    rows: int,
    alike: bool,
    distinct: int,
    cell: Ints,
) -> tuple[Ints, Ints]:
    """Keep at most ``groups`` groups of each unit (L0); contest the rows of one that has more than ``rows`` (L∞).

    Parameters
    ----------
    start, order, at, cell
        As for :func:`keep_rows`.
    group
        (m,) codes, in the order of ``order``, equal exactly where the group is.
    group_word, unit_word
        A word for each group and unit that all engines give it; no group words when a group's word is its code.
    key
        The key of the hash of a unit's word and a group's, by which the groups are chosen: the least.
    alike
        Whether rows of a unit and group cannot be told apart, so that any of them may stay.
    distinct
        No more groups than this have rows: a unit of many rows in few groups needs little memory.

    Returns
    -------
    run, run_unit
        As of :func:`keep_rows`.
    """
    widest = 1
    for u in range(start.size - 1):
        widest = max(widest, start[u + 1] - start[u])
    # A hash table of the unit's groups, of twice as many places: small, so near; the stamp says whose an entry is.
    most_groups = min(widest, distinct)
    entries = np.empty((2 << _bits(most_groups), 3), np.int64)
    entries[:, 0] = -1
    own = np.empty(widest, np.int64)
    code = np.empty(most_groups, np.int64)
    left = np.empty(most_groups, np.int64)
    hashes = np.empty(most_groups, np.uint64)
    number = np.empty(most_groups, np.int64)
    least = np.empty(FEW, np.uint64)
    run, run_unit = np.full(order.size, -1), np.empty(order.size, np.int64)
    runs = 0
    for u in range(start.size - 1):
        begin, end = start[u], start[u + 1]
        if end - begin <= 1:
            continue
        bits = _bits(min(end - begin, distinct)) + 1
        mask, shift = (1 << bits) - 1, np.uint64(64 - bits)
        known, most = 0, 1
        for j in range(begin, end):
            slot = np.int64((np.uint64(group[j]) * _GOLDEN) >> shift)
            while entries[slot, 0] == u and entries[slot, 1] != group[j]:
                slot = (slot + 1) & mask
            if entries[slot, 0] != u:
                entries[slot, 0], entries[slot, 1], entries[slot, 2] = u, group[j], known
                code[known], left[known] = group[j], 0
                known += 1
            g = entries[slot, 2]
            own[j - begin] = g
            left[g] += 1
            most = max(most, left[g])
        if known <= groups and most <= rows:
            continue
        if known > groups:
            for g in range(known):
                word = group_word[code[g]] if group_word.size else np.uint64(code[g])
                hashes[g] = sip_pair(key[0], key[1], unit_word[u], word)
            limit, equal = _threshold(hashes, known, groups, least)
            for g in range(known):
                if hashes[g] > limit or (hashes[g] == limit and equal == 0):
                    left[g] = GONE
                elif hashes[g] == limit:
                    equal -= 1
        for g in range(known):
            if left[g] > rows and alike:
                left[g] = rows
            elif left[g] > rows:
                left[g], number[g], run_unit[runs] = OPEN, runs, u
                runs += 1
        for j in range(begin, end):
            g = own[j - begin]
            if left[g] == OPEN:
                cell[order[j]] = contested(at[j])
                run[j] = number[g]
            elif left[g] <= 0:
                cell[order[j]] = DROPPED
            else:
                left[g] -= 1
    return run, run_unit[:runs]


def by_run(run: Ints, run_unit: Ints, order: Ints, at: Ints, unit_word: Words) -> tuple[Ints, Ints, Ints, Words]:
    """The contested rows, run by run.

    Parameters
    ----------
    run, run_unit
        The runs, from :func:`keep_rows` or :func:`keep_groups`.
    order, at, unit_word
        As they had them.

    Returns
    -------
    begin, rows, cells, words
        Run ``r`` has the rows ``rows[begin[r]:begin[r + 1]]``, in as many cells, of units with those words.
    """
    places = np.flatnonzero(run >= 0)
    begin, rows, cells = by_unit(run[places], len(run_unit), order[places], at[places])
    return begin, rows, cells, np.repeat(unit_word[run_unit], np.diff(begin))


@inlined
def _rank(row_hash: Any, twin: Any) -> Any:
    """The row hash is keyed and secret, so it serves as the key that spreads its twins."""
    return sip_pair(row_hash, ~row_hash, row_hash, twin)


@kernel
def _settle_many(rows: Ints, row_hash: Words, most: int, cell: Ints) -> None:
    order = np.argsort(row_hash, kind="mergesort")
    rank = np.empty(rows.size, np.uint64)
    twin = np.uint64(0)
    for i in range(rows.size):
        here = row_hash[order[i]]
        twin = twin + np.uint64(1) if i > 0 and here == row_hash[order[i - 1]] else np.uint64(0)
        rank[i] = _rank(here, twin)
    ranked = np.argsort(rank, kind="mergesort")
    for i in range(rows.size):
        row = rows[order[ranked[i]]]
        cell[row] = contested(cell[row]) if i < most else DROPPED


@kernel
def settle(run: Ints, rows: Ints, row_hash: Words, most: int, cell: Ints) -> None:
    """Keep the ``most`` rows of each run with the least hash of (row hash, number among equals); drop the others.

    Parameters
    ----------
    run
        (runs + 1,) where each run of rows begins, and the end.
    rows
        (m,) the contested rows, run by run.
    row_hash
        (m,) keyed hash of everything that tells the rows of a run apart.
    cell
        (n,) the cell of each row; changed in place.
    """
    few = np.empty(FEW, np.uint64)
    for r in range(run.size - 1):
        begin, size = run[r], run[r + 1] - run[r]
        if size > FEW:
            _settle_many(rows[begin : begin + size], row_hash[begin : begin + size], most, cell)
            continue
        for i in range(size):
            here, twin = row_hash[begin + i], np.uint64(0)
            for j in range(i):
                twin += np.uint64(row_hash[begin + j] == here)
            few[i] = _rank(here, twin)
        for i in range(size):
            before = 0
            for j in range(size):
                before += (few[j] < few[i]) | ((few[j] == few[i]) & (j < i))
            row = rows[begin + i]
            cell[row] = contested(cell[row]) if before < most else DROPPED


@kernel
def add_rows(cell: Ints, skip: Any, out: Ints) -> None:
    """Count the rows of each cell into ``out``; those without a cell, or skipped, are not counted."""
    for row in range(cell.size):
        if cell[row] >= 0 and not (skip.size and skip[row]):
            out[cell[row]] += 1


@kernel
def add_integers(cell: Ints, values: Any, skip: Any, low: int, high: int, center: int, out: Ints) -> None:
    """Add ``clip(value, low, high) − center`` of each row to its cell."""
    for row in range(cell.size):
        if cell[row] >= 0 and not (skip.size and skip[row]):
            out[cell[row]] += min(max(values[row], low), high) - center


@kernel
def add_floats(
    cell: Ints, values: Any, skip: Any, low: float, high: float, center: float, grid: float, out: Ints
) -> None:
    """Add ``rint((clip(value, low, high) − center)/grid)`` of each row to its cell; NaN adds nothing.

    A difference, a quotient by a power of two and a rounding to integers, each monotone: no row goes past the bounds'
    own steps. There is no product with a sum for a compiler to fuse.
    """
    for row in range(cell.size):
        value = values[row]
        if cell[row] >= 0 and value == value and not (skip.size and skip[row]):
            out[cell[row]] += np.int64(np.rint((min(max(value, low), high) - center) / grid))


@kernel
def add_integer_squares(
    cell: Ints, values: Any, skip: Any, low: int, high: int, center: int, bits: int, shift: int, out: Ints
) -> None:
    """Add ``(clip(value, low, high) − center)² / 2**bits``, halves rounded up, less ``shift``, of each row to its cell.

    No deviation is beyond 2**30, so no square leaves 64 bits.
    """
    half = np.int64(1) << bits >> 1
    for row in range(cell.size):
        if cell[row] >= 0 and not (skip.size and skip[row]):
            deviation = np.int64(min(max(values[row], low), high) - center)
            out[cell[row]] += ((deviation * deviation + half) >> bits) - shift


@kernel
def add_float_squares(
    cell: Ints, values: Any, skip: Any, low: float, high: float, center: float, grid: float, shift: int, out: Ints
) -> None:
    """Add ``rint((clip(value, low, high) − center)²/grid) − shift`` of each row to its cell; NaN adds nothing.

    Monotone in the deviation's size, as :func:`add_floats`; again no product meets a sum before it is rounded.
    """
    for row in range(cell.size):
        value = values[row]
        if cell[row] >= 0 and value == value and not (skip.size and skip[row]):
            deviation = min(max(value, low), high) - center
            out[cell[row]] += np.int64(np.rint(deviation * deviation / grid)) - shift
