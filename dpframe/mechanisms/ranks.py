r"""Quantiles of many groups by the exponential mechanism, several of one column by one recursion.

The law
-------
A position p of a public line, with A of a group's n rows before it and B at it or before, is at the distance
d(p) = max(0, A − T, T − B) from the target T = q·n: 0 where p is a q-quantile of the rows. It is chosen with a chance
∝ e^(−c·d(p)) (McSherry and Talwar, *Mechanism design via differential privacy*, FOCS 2007). One row more moves A and B
by 0 or 1 each and T by q, hence d up or down by at most max(q, 1 − q). So log P(p) moves within an interval of length
η = 2c·max(q, 1 − q), in which 0 lies: a choice has the bounded range η per row, is η-DP, has ρ = η²/8 (Cesar and
Rogers, *Bounding, concentrating, and truncating*, ALT 2021), and is as Gaussian as any η/2-DP mechanism
(:class:`dpframe.accounting.events.Exponential`). k rows of one unit move it k times as far, and the groups' choices are
independent: η·Σ k_g in ε and η²·Σ k_g²/8 in ρ.

Several at once
---------------
The middle one of m quantiles is chosen first. The rows below it and the rest then are tables of their own, and the
others are chosen from these (Kaplan, Schnapps and Stemmer, *Differentially private approximate quantiles*, ICML 2022).
A row is in one of the tables of each level, so a level costs as much as one choice, and there are ⌊log₂ m⌋ + 1 of them.
Of ε, the choices that a row takes part in together cost less than that: see :mod:`dpframe.mechanisms.recursion`. Rows
at the chosen position go to the left where q < ½, and otherwise to the right.

Rows that are equal would all go to one side, and quantiles of the rest would be off by as many. So for m > 1 the line
is made 2¹⁰ times as fine, and the rows of a value are spread over its parts: the i-th at the i-th number of the van der
Corput sequence. One row more at a value is one more at one place, and no other moves.

Least and largest
-----------------
For q = 0 every position below the least row is at the distance 0, and most of the line may be. So the target is T = s
for q = 0 and n − s for q = 1, but at most half of the rows, with a public s for which e^(−c·s) is 1/10,000. Its slope
in n is then between 0 and ½, or ½ and 1, and d moves by at most 1 = max(q, 1 − q), as before.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import numpy as np
import numpy.typing as npt

from dpframe.kernels.chacha import cell_key, words_at
from dpframe.kernels.ranks import choose
from dpframe.kernels.refine import context, keyed_bits
from dpframe.lines import BILLION, Line, written
from dpframe.mechanisms.integer import Cells
from dpframe.mechanisms.recursion import furthest, tree, variances

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

FINE = 1 << 10
"""Parts of a position, over which equal rows are spread."""

OUTSIDE = 10_000
"""A least row is aimed at so far inside that a position beyond all rows has this fraction of the weight."""

UNSET = 0
"""What stands where nothing was chosen yet, because no row fell there. Positions are written from 1 on."""


@dataclass(frozen=True)
class Runs:
    """How many rows stand at each position of a line, for some cells.

    Parameters
    ----------
    cells
        (n,) distinct cells.
    begin
        (n + 1,) where the runs of each begin.
    positions, counts
        (runs,) positions, increasing in a cell, and how many rows stand there, at least 1.
    """

    cells: Ints
    begin: Ints
    positions: Ints
    counts: Ints

    @staticmethod
    def none(cells: Ints) -> Runs:
        """No rows at all in those cells."""
        nothing = np.empty(0, np.int64)
        return Runs(cells, np.zeros(len(cells) + 1, np.int64), nothing, nothing)


@dataclass(frozen=True)
class RankChoice:
    """One of several quantiles of a line that are chosen together.

    Parameters
    ----------
    line, parts, at
        Which, as in :class:`dpframe.lines.Quantile`.
    slopes
        c of each choice, in the order of :func:`dpframe.mechanisms.recursion.tree`.
    pure
        Whether it was calibrated to ε.
    """

    line: Line
    parts: tuple[int, ...]
    at: int
    slopes: tuple[float, ...]
    pure: bool
    name = "exponential mechanism"

    @property
    def slope(self) -> float:
        """c of its own choice."""
        return next(c for node, c in zip(tree(self.parts), self.slopes, strict=True) if node.at == self.at)

    @property
    def scale(self) -> float:
        """Rows of distance for which the chance falls by a factor e."""
        return 1 / self.slope

    @property
    def variance(self) -> float:
        """Of its rank, where rows stand about as far apart from each other."""
        return variances(self.parts, self.slopes)[self.at]

    @property
    def fine(self) -> int:
        """Parts of a position: equal rows need telling apart only to be divided."""
        return 1 if len(self.parts) == 1 else FINE

    def accuracy(self, alpha: float) -> int:
        """The least ``w`` for which ranks are shown to be off by at most ``w`` rows, whatever the rows are.

        One choice is off by w or more with a chance of at most N·e^(−c·w), N positions, and it inherits a part of the
        errors of those before it, one of each level. Real rows, which do not all stand in one place, fare far better:
        see :meth:`typical`.
        """
        if alpha >= 1:
            return 0
        choices = (self.line.last + 1) * self.fine * len(self.parts).bit_length()
        return math.ceil(furthest(self.parts, self.slopes)[self.at] * math.log(choices / alpha)) + self._inside

    def typical(self, alpha: float) -> float:
        """How far off ranks are with a chance of ``alpha``, where rows stand about as far apart from each other.

        As of one Laplace variate with the variance of all errors; the sum of several has less of a tail.
        """
        return math.sqrt(self.variance / 2) * math.log(1 / alpha) + self._inside

    @property
    def _inside(self) -> int:
        """How many rows further inside the target of a least or largest one is."""
        return math.ceil(_shift(self.slope) / 2) if self.parts[self.at] in (0, BILLION) else 0

    def choose(self, runs: Runs, key: bytes, stream: int, cells: Cells | None = None) -> list[Ints]:
        """The chosen positions of all ``parts``, (cells,) each, as :func:`dpframe.lines.written`.

        A cell takes the words that its number and the quantile name, under a key of the stream's own: so its choice
        does not depend on where it is made, and a retry makes the same. Instead of numbers, ``cells`` may be (cells, 2)
        uint64, addresses of 128 bits.
        """
        m, n = len(self.parts), len(runs.cells)
        named = runs.cells if cells is None else cells
        positions, begin, counts = _spread(runs, self.fine)
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
        last = (self.line.last + 1) * self.fine - 1
        nodes, gamma = _nodes(self.parts, self.slopes)
        words = _words(m, named, key, stream)
        out, cut, sure = np.zeros((n, m), np.int64), np.zeros((n, m), np.int64), np.ones(n, np.bool_)
        choose(begin, positions, before, last, nodes, gamma, words, out, cut, sure)
        for c in np.flatnonzero(~sure).tolist():
            mine = slice(int(begin[c]), int(begin[c + 1]))
            more = partial(_further, np.atleast_1d(named[c]).tolist(), key, stream)
            out[c] = exactly(positions[mine], counts[mine], last, (nodes, gamma), words[c], more)
        return [written((out[:, at] // self.fine).astype(np.float64)) for at in range(m)]

    def add(self, exact: Ints, key: bytes, stream: int, start: int = 0, cells: Cells | None = None) -> Ints:
        """What was chosen where the rows are, and a choice without rows wherever there were none."""
        return _completed(self, exact, key, stream - self.at, start, cells)


@dataclass(frozen=True)
class ExactRank:
    """The quantile as it is, between two rows where it falls between them. Not private."""

    line: Line
    parts: tuple[int, ...]
    at: int
    name = "none"
    scale = 0.0
    variance = 0.0
    pure = False

    def accuracy(self, alpha: float) -> int:
        """It is exact."""
        return 0

    def choose(self, runs: Runs, key: bytes, stream: int, cells: Cells | None = None) -> list[Ints]:
        """Of n sorted rows the one at q·(n − 1), counted from 0, or the straight line between its neighbours, as in
        pandas; NaN of no rows."""
        before = np.concatenate([np.zeros(1, np.int64), np.cumsum(runs.counts)])
        first, end = before[runs.begin[:-1]], before[runs.begin[1:]]
        found = []
        for part in self.parts:
            whole, rest = np.divmod(part * np.maximum(end - first - 1, 0), BILLION)
            ends = []
            for step in (0, 1):
                at = np.searchsorted(before, np.minimum(first + whole + step, end - 1), "right") - 1
                ends.append(np.append(runs.positions, 0)[np.clip(at, 0, len(runs.positions))].astype(np.float64))
            place = ends[0] + (ends[1] - ends[0]) * (rest / BILLION)
            found.append(written(np.where(end > first, place, np.nan)))
        return found

    def add(self, exact: Ints, key: bytes, stream: int, start: int = 0, cells: Cells | None = None) -> Ints:
        """What was found, and NaN wherever there are no rows."""
        return _completed(self, exact, key, stream - self.at, start, cells)


def _completed(
    choice: RankChoice | ExactRank, exact: Ints, key: bytes, stream: int, start: int, cells: Cells | None
) -> Ints:
    empty = np.flatnonzero(exact == UNSET)
    if not empty.size:
        return exact
    done = exact.copy()
    named = start + empty if cells is None else cells[empty]
    # Numbers name the words of their cells, and addresses do so beside numbers that are none.
    numbers, addresses = (named.astype(np.int64), None) if named.ndim == 1 else (np.arange(len(empty)), named)
    done[empty] = choice.choose(Runs.none(numbers), key, stream, addresses)[choice.at]
    return done


def _words(m: int, cells: Cells, key: bytes, stream: int) -> npt.NDArray[np.uint64]:
    """Two words for each cell and quantile, (cells, m, 2): of a number by a name, of an address by a key."""
    own = cell_key(key, stream)
    if cells.ndim == 1:
        names = np.zeros((len(cells), m, 2, 2), np.uint64)
        names[..., 0] = cells[:, None, None]
        names[..., 1] = np.arange(2 * m, dtype=np.uint64).reshape(m, 2)
        return words_at(own, names.reshape(-1, 2)).reshape(-1, m, 2)
    words = [words_at(cell_key(own, place), cells.astype(np.uint64, copy=False)) for place in range(2 * m)]
    return np.stack(words, axis=1).reshape(-1, m, 2)


def _further(cell: list[int], key: bytes, stream: int, place: int, turn: int) -> int:
    """64 further bits of a variate: as the words, those of an address by a key."""
    if len(cell) == 1:
        return keyed_bits(key, stream, cell[0] | place << 64, turn)
    return keyed_bits(cell_key(cell_key(key, stream), place), stream, cell[0] | cell[1] << 64, turn)


@lru_cache(maxsize=64)
def _turned(fine: int) -> Ints:
    """The van der Corput sequence of so many numbers, a power of two: each one's bits in reverse."""
    bits = fine.bit_length() - 1
    numbers = np.arange(fine)
    turned = np.zeros(fine, np.int64)
    for bit in range(bits):
        turned |= (numbers >> bit & 1) << bits - 1 - bit
    return turned


def _spread(runs: Runs, fine: int) -> tuple[Ints, Ints, Ints]:
    """Positions, beginnings and counts of the runs on the finer line."""
    if fine == 1:
        return runs.positions, runs.begin, runs.counts
    places = np.minimum(runs.counts, fine)
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(places)])
    run = np.repeat(np.arange(len(places)), places)
    number = np.arange(ends[-1]) - ends[run]
    counts = runs.counts[run] // fine + (number < runs.counts[run] % fine)
    order = np.argsort(run * fine + _turned(fine)[number], kind="stable")
    return (runs.positions[run] * fine + _turned(fine)[number])[order], ends[runs.begin], counts[order]


def _shift(slope: float) -> int:
    """How far inside the least row's target is, in half rows."""
    return min(math.ceil(2 * math.log(OUTSIDE) / slope), 2**61)


@lru_cache(maxsize=256)
def _nodes(parts: tuple[int, ...], slopes: tuple[float, ...]) -> tuple[Ints, Floats]:
    """The choices in their order, and the γ of each; as :func:`dpframe.kernels.ranks.choose` takes them."""
    nodes, gamma = [], []
    for node, slope in zip(tree(parts), slopes, strict=True):
        num, den = (2 * int(node.part), 2) if node.edge else (node.part.numerator, node.part.denominator)
        right = node.end if node.end < len(parts) else -1
        nodes.append((node.at, node.begin - 1, right, num, den, _shift(slope) if node.edge else 0))
        gamma.append(math.nextafter(slope / den, 0))
    return np.array(nodes, np.int64), np.array(gamma)


def exactly(
    positions: Ints,
    counts: Ints,
    last: int,
    nodes: tuple[Ints, Floats],
    words: npt.NDArray[np.uint64],
    more: Callable[[int, int], int],
) -> list[int]:
    """The chosen positions of one cell in arbitrary precision: the law itself, for which a filter may stand.

    Parameters
    ----------
    positions, counts
        (runs,) of the cell.
    last, nodes
        As for :func:`dpframe.kernels.ranks.choose`.
    words
        (m, 2): of each quantile the first 63 bits of one variate, above the lowest bit, and the first 64 of another.
    more
        ``more(place, turn)``: 64 further bits of the variate 2·quantile or 2·quantile + 1.
    """
    at_, before = positions.tolist(), [0, *np.cumsum(counts).tolist()]
    chosen: dict[int, tuple[int, int]] = {}
    for (at, left, right, num, den, shift), gamma in zip(nodes[0].tolist(), nodes[1].tolist(), strict=True):
        lo, ra = chosen.get(left, (0, 0))
        hi, rb = chosen[right] if right >= 0 else (last, len(at_))
        rows = before[rb] - before[ra]
        inwards = min(shift, den * rows // 2)
        target = num * rows + (inwards if num == 0 else -inwards)
        buckets = []
        for r in range(ra, rb + 1):
            below, upto = (den * (before[min(i, rb)] - before[ra]) for i in (r, r + 1))
            first, end = lo if r == ra else at_[r - 1] + 1, hi + 1 if r == rb else at_[r]
            buckets.append((first, max(0, end - first), abs(below - target), r, 0))
            if r < rb:
                buckets.append((at_[r], 1, max(0, below - target, target - upto), r, 1))
        first, size, _, run, held = _bucket(buckets, gamma, int(words[at, 0]) >> 1, partial(more, 2 * at))
        v, bits, turn = int(words[at, 1]), 64, 0
        while v * size >> bits != (v * size + size - 1) >> bits:
            v, bits, turn = v << 64 | more(2 * at + 1, turn), bits + 64, turn + 1
        chosen[at] = first + (v * size >> bits), run + (held if 2 * num < den else 0)
    return [chosen[at][0] for at in range(len(chosen))]


def _bucket(buckets: list[tuple[int, int, int, int, int]], gamma: float, v: int, more: Callable[[int], int]) -> Any:
    """The bucket in which a variate falls whose first 63 bits are ``v``."""
    mp, bits, turn = context(), 63, 0
    present = [bucket for bucket in buckets if bucket[1]]
    while True:
        mp.prec = bits + 128
        ends = [mp.mpf(0)]
        for _, size, distance, *_ in present:
            ends.append(ends[-1] + size * mp.exp(-mp.mpf(gamma) * distance))
        guard = mp.ldexp(ends[-1], -bits - 64)
        low, high = (mp.ldexp(v + i, -bits) * ends[-1] for i in (0, 1))
        for i, bucket in enumerate(present):
            above = i == 0 or low > ends[i] + guard
            under = i == len(present) - 1 or high < ends[i + 1] - guard
            if above and under:
                return bucket
        v, bits, turn = v << 64 | more(turn), bits + 64, turn + 1
