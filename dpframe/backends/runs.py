"""Where rows stand on the lines of quantiles: how many at each position, by cell. Private, and exact.

In one table a sort finds it; of several tables what each has is put together. On Spark, rows become pairs of a line and
a position beside their sums, equal pairs of a cell are counted in the shuffle that adds up the sums, and those of a
cell then meet in one task, which chooses there and hands on positions only (:mod:`dpframe.backends.spark_runs`).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from dpframe.backends.base import Ints, Request, Sums
from dpframe.backends.exact import absent, numbers
from dpframe.kernels.codes import Table
from dpframe.lines import Line
from dpframe.mechanisms.ranks import Runs

BATCH = 1 << 20
"""Runs that are kept apart before they are put together."""


def standing(line: Line, table: pa.Table, cell: Ints) -> tuple[Ints, Ints]:
    """The cell and the position of each row that has both; by the operations of Spark's expression, in its order."""
    column = table[line.ref].chunk(0)
    rows = np.flatnonzero((cell >= 0) & ~absent(column))
    values = numbers(column)[rows]
    if line.powers:
        finite = np.isfinite(values)
        off = values[finite].astype(np.float64)
        size = np.where(off == 0, 0, np.clip(np.frexp(off)[1].astype(np.int64) + 64, 0, 128))
        return cell[rows[finite]], 128 + np.where(off < 0, -size, size)
    if line.integer:
        held = np.clip(values.astype(np.int64, copy=False), int(line.low), int(line.high))
        return cell[rows], held - int(line.low) >> line.bits
    off = np.clip(values, float(line.low), float(line.high)) - float(line.low)
    return cell[rows], np.rint(off / line.step).astype(np.int64)


def counted(cells: Ints, positions: Ints, counts: Ints | None = None) -> tuple[Ints, Ints, Ints]:
    """Distinct pairs of a cell and a position, in order, and how many rows each has."""
    table, codes = Table.of(cells)
    rank = np.argsort(table.known)
    place = np.empty_like(rank)
    place[rank] = np.arange(len(rank))
    codes = place[codes]
    bits = int(positions.max(initial=0)).bit_length()
    if bits + len(rank).bit_length() < 63:
        pairs = codes << bits | positions
        order = None if counts is None else np.argsort(pairs, kind="stable")
        pairs = np.sort(pairs) if order is None else pairs[order]
        new = np.flatnonzero(np.append(True, pairs[1:] != pairs[:-1])) if len(pairs) else np.empty(0, np.int64)
        codes, positions = pairs[new] >> bits, pairs[new] & ((1 << bits) - 1)
    else:
        order = np.lexsort((positions, codes))
        codes, positions = codes[order], positions[order]
        new = np.flatnonzero(np.append(True, (codes[1:] != codes[:-1]) | (positions[1:] != positions[:-1])))
        codes, positions = codes[new], positions[new]
    if counts is None:
        return table.known[rank][codes], positions, np.diff(np.append(new, len(cells)))
    assert order is not None
    return table.known[rank][codes], positions, np.add.reduceat(counts[order], new) if len(new) else counts


def runs_of(cells: Ints, positions: Ints, counts: Ints) -> Runs:
    """Runs by cell, of distinct pairs in order."""
    begin = np.flatnonzero(np.append(True, cells[1:] != cells[:-1])) if len(cells) else np.empty(0, np.int64)
    return Runs(cells[begin], np.append(begin, len(cells)), positions, counts)


class Standing:
    """The runs of a line, over several tables."""

    def __init__(self, line: Line) -> None:
        nothing = np.empty(0, np.int64)
        self.line, self.parts, self.known = line, [(nothing, nothing, nothing)], 0

    def add(self, table: pa.Table, cell: Ints) -> None:
        """Take in a table."""
        self.parts.append(counted(*standing(self.line, table, cell)))
        if sum(len(cells) for cells, _, _ in self.parts) > 2 * self.known + BATCH:
            self._put_together()

    def runs(self) -> Runs:
        """All runs so far."""
        self._put_together()
        return runs_of(*self.parts[0])

    def _put_together(self) -> None:
        held = [part for part in self.parts if len(part[0])] or self.parts[:1]
        if len(held) > 1:
            cells, positions, counts = (np.concatenate(each) for each in zip(*held, strict=True))
            held = [counted(cells, positions, counts)]
        self.parts, self.known = held, len(held[0][0])


def choices(runs: Mapping[Line, Runs], request: Request, groups: pa.Table | None = None) -> list[Sums]:
    """What is chosen on each line, as sums of its cells.

    Parameters
    ----------
    groups
        Of groups that are found: the key columns, of which a cell is a row.
    """
    done = []
    for line, of in runs.items():
        assert request.ranking is not None
        keys = None if groups is None else groups.take(pa.array(of.cells))
        sums = np.zeros((len(request.statistics), len(of.cells)), np.int64)
        for at, positions in request.ranking(line, of, keys).items():
            sums[at] = positions
        done.append(Sums(of.cells, sums))
    return done
