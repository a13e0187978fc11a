"""From exact sums to rows of the answer: noise, post-processing, key columns. Runs wherever the sums are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dpframe.aggregates import Answer, Noisy, Prepared
from dpframe.backends import Sums
from dpframe.backends.found import names
from dpframe.keys import Keys
from dpframe.lines import Line, Quantile
from dpframe.mechanisms import ExactRank, Mechanism, RankChoice
from dpframe.mechanisms.integer import Cells
from dpframe.mechanisms.ranks import Runs
from dpframe.plan import Statistic
from dpframe.threshold import Threshold

Ints = npt.NDArray[np.int64]

STREAMS = (1 << 32, (1 << 32) + 1)
"""Of the gaps between empty cells that noise alone lifts, and of their values. Statistics have the streams 0, 1, …"""

LIGHT = 1_000_000
"""Cells that noise alone lifts are sent to tasks up to so many."""


@dataclass(frozen=True, eq=False)
class Reach:
    """Which cells may come out when a noisy statistic has to reach a threshold; may travel to a worker.

    Parameters
    ----------
    mechanism, stream, key
        What noises that statistic, and its words.
    steps
        The threshold, in grid steps.
    lifted, noise
        (n,) the cells that noise alone lifts, were they empty, and that noise.
    """

    mechanism: Mechanism
    stream: int
    key: bytes
    steps: int
    lifted: Ints
    noise: Ints

    @property
    def light(self) -> bool:
        """Whether it is small enough to be sent to every task."""
        return len(self.lifted) <= LIGHT

    def noisy(self, sums: Sums) -> Ints:
        """The statistic with its noise, (n,)."""
        return self.mechanism.add(sums.values[self.stream], self.key, self.stream, cells=sums.cells)

    def __call__(self, sums: Sums) -> Sums:
        """Without cells that no row of the answer can come from: those that stay low, unless noise lifts empty ones."""
        held = _held(sums)
        stays = (self.noisy(held) >= self.steps) | np.isin(held.cells, self.lifted)
        return Sums(held.cells[stays], held.values[:, stays])


def _held(sums: Sums) -> Sums:
    """Without empty cells: those whose statistics are all 0."""
    held = sums.values.any(axis=0)
    return Sums(sums.cells[held], sums.values[:, held])


@dataclass(frozen=True)
class Finish:
    """All that is needed to turn the exact sums of some cells into their rows of the answer; may travel to a worker.

    Parameters
    ----------
    by
        The names of the key columns.
    keys
        The public groups, arranged by those columns.
    answers
        Output names and prepared aggregates.
    mechanisms
        What noises each statistic; the order is that of the streams of words.
    key
        The release's secret key.
    confidence, intervals
        Of the intervals, and whether they are in the answer.
    """

    by: tuple[str, ...]
    keys: Keys
    answers: tuple[tuple[str, Prepared], ...]
    mechanisms: Mapping[Statistic, Mechanism]
    key: bytes
    confidence: float
    intervals: bool

    def rows(
        self,
        exact: Ints,
        start: int = 0,
        cells: Cells | None = None,
        drawn: Mapping[Statistic, Ints] = MappingProxyType({}),
        groups: pa.Table | None = None,
    ) -> pa.Table:
        """The answer's rows of the cells ``start``, ``start + 1``, …, in that order, which is the keys' own.

        Parameters
        ----------
        exact
            (statistics, n) exact sums.
        cells
            (n,) the cells, where they are scattered.
        drawn
            Noisy statistics, (n,), of those that have their noise already.
        groups
            The key columns, of groups that were found; ``cells`` are their addresses, (n, 2).
        """
        noisy = {
            statistic: drawn[statistic] if statistic in drawn else mechanism.add(row, self.key, stream, start, cells)
            for stream, (row, (statistic, mechanism)) in enumerate(zip(exact, self.mechanisms.items(), strict=True))
        }
        if groups is None:
            at = np.arange(start, start + exact.shape[1]) if cells is None else cells.astype(np.int64, copy=False)
            keys = self.keys.rows(at)
            columns, nulls = dict(zip(self.by, keys.values(), strict=True)), self.keys.nullable
        else:
            columns = {name: column.combine_chunks() for name, column in zip(self.by, groups.columns, strict=True)}
            nulls = tuple(field.nullable for field in groups.schema)
        for name, prepared in self.answers:
            # An interval holds when every part's noise is within its half-width: a union bound over the parts.
            alpha = (1 - self.confidence) / len(prepared.statistics)
            answer: Answer = prepared.finish(
                [Noisy(noisy[s], self.mechanisms[s].accuracy(alpha)) for s in prepared.statistics]
            )
            columns[name] = pa.array(answer.values)
            if self.intervals and answer.low is not None:
                columns |= {f"{name}_low": pa.array(answer.low), f"{name}_high": pa.array(answer.high)}
                columns[f"{name}_reliable"] = pa.array(answer.reliable)
        # Not what is null in these rows, but what may be: the types of a release depend on the plan alone.
        null = dict(zip(self.by, nulls, strict=True))
        fields = [pa.field(name, column.type, null.get(name, False)) for name, column in columns.items()]
        return pa.Table.from_arrays(list(columns.values()), schema=pa.schema(fields))

    def reach(self, at_least: Threshold) -> Reach:
        """The cells that may come out: those that noise alone lifts, and how others are told."""
        mechanism, stream = self.mechanisms[at_least.statistic], list(self.mechanisms).index(at_least.statistic)
        assert not isinstance(mechanism, RankChoice | ExactRank)  # only a count or a sum decides
        lifted, noise = mechanism.exceeding(len(self.keys), at_least.steps, self.key, STREAMS)
        return Reach(mechanism, stream, self.key, at_least.steps, lifted, noise)

    def reaching(self, sums: Sums, reach: Reach) -> pa.Table:
        """The answer's rows of the cells that reach a threshold, in the keys' order; costs what they and ``sums`` are.

        Parameters
        ----------
        sums
            Of all cells that have rows, or of those that ``reach`` keeps.

        The law is that of noising every cell and leaving out the others, but empty cells are found by skipping
        (:mod:`dpframe.kernels.exceeding`). A cell whose exact statistics are all 0 is an empty one, whether rows fell
        in it or not and whether or not the engine lists it: so every engine gives the same bits.

        No word is used twice. Statistics take words that the cells' numbers name, under a key for each statistic
        (:func:`dpframe.kernels.chacha.cell_key`); gaps and values of empty cells take words by position, under the
        release's own key, from two streams of their own; refinement takes its bits from keyed hashes over key, stream
        and word. A cell is either one of ``sums`` or an empty one: of its two noises for the statistic that decides,
        the other is never looked at.
        """
        kept = _held(sums)
        noisy = reach.noisy(kept)
        high = noisy >= reach.steps
        empty = ~np.isin(reach.lifted, kept.cells, assume_unique=True)
        shown = np.concatenate([kept.cells[high], reach.lifted[empty]])
        order = np.argsort(shown)
        zeros = np.zeros((len(kept.values), np.count_nonzero(empty)), np.int64)
        return self.rows(
            np.concatenate([kept.values[:, high], zeros], axis=1)[:, order],
            cells=shown[order],
            drawn={list(self.mechanisms)[reach.stream]: np.concatenate([noisy[high], reach.noise[empty]])[order]},
        )


@dataclass(frozen=True)
class Ranks:
    """How quantiles are chosen where the rows are: all that an engine needs for it; may travel to a worker.

    Parameters
    ----------
    mechanisms
        As those of :class:`Finish`.
    key
        The release's secret key.
    """

    mechanisms: Mapping[Statistic, Mechanism]
    key: bytes

    def __call__(self, line: Line, runs: Runs, groups: pa.Table | None = None) -> dict[int, Ints]:
        """What stands in the cells of ``runs``, (cells,), for each statistic on the line, by its place among all.

        ``groups`` are the key columns of the cells, where they were found among the rows and have no numbers.
        """
        done: dict[int, Ints] = {}
        cells = None if groups is None else names(groups, self.key)
        for stream, (statistic, mechanism) in enumerate(self.mechanisms.items()):
            if isinstance(statistic, Quantile) and statistic.line == line and statistic.at == 0:
                assert isinstance(mechanism, RankChoice | ExactRank)
                done |= {stream + at: each for at, each in enumerate(mechanism.choose(runs, self.key, stream, cells))}
        return done
