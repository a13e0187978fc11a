"""From exact sums to rows of the answer: noise, post-processing, key columns. Runs wherever the sums are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dpframe.aggregates import Answer, Noisy, Prepared
from dpframe.keys import Keys
from dpframe.mechanisms import Mechanism
from dpframe.plan import Statistic


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

    def rows(self, exact: npt.NDArray[np.int64], start: int = 0) -> pa.Table:
        """The answer's rows of the cells ``start``, ``start + 1``, …, in that order, which is the keys' own.

        Parameters
        ----------
        exact
            (statistics, n) exact sums.
        """
        noisy = {
            statistic: mechanism.add(row, self.key, stream, start)
            for stream, (row, (statistic, mechanism)) in enumerate(zip(exact, self.mechanisms.items(), strict=True))
        }
        values = self.keys.rows(np.arange(start, start + exact.shape[1])).values()
        columns = dict(zip(self.by, values, strict=True))
        for name, prepared in self.answers:
            # An interval holds when every part's noise is within its half-width: a union bound over the parts.
            alpha = (1 - self.confidence) / len(prepared.statistics)
            answer: Answer = prepared.finish(
                [Noisy(noisy[s], self.mechanisms[s].accuracy(alpha)) for s in prepared.statistics]
            )
            columns[name] = pa.array(answer.values)
            if self.intervals:
                columns |= {f"{name}_low": pa.array(answer.low), f"{name}_high": pa.array(answer.high)}
        return pa.table(columns)
