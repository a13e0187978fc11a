"""What a backend must know, and which one serves a frame."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import Any, Protocol, cast

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dpframe.errors import FrameError
from dpframe.keys import MOST_KEYS, Keys
from dpframe.lines import Line, Quantile
from dpframe.mechanisms.ranks import Runs
from dpframe.plan import Bound, Distinct, Schema, Statistic, Step, Type
from dpframe.stages import Stage

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

KNOWN = {
    "pandas": "dpframe.backends.pandas",
    "pyspark": "dpframe.backends.spark",
    "dpframe": "dpframe.backends.scan",
}
"""The backend of a frame, by the library that its class comes from."""


Ranking = Callable[[Line, Runs, pa.Table | None], Mapping[int, Ints]]
"""From how many rows of some cells stand where on a line to the positions that are chosen there, of each statistic by
its place among all; on any machine and any number of times the same."""


@dataclass(frozen=True)
class Request:
    """All that an engine must know to compute exact statistics; all that travels to a worker. Names are refs.

    Parameters
    ----------
    sources
        The columns of the frame to read and their types; ``c3`` is the fourth.
    steps
        The row-wise steps on them.
    types
        The columns to hand over after the steps, and their types.
    id
        The column of the privacy unit, when it is one; rows without an id are dropped.
    bounds
        Contribution bounds to enforce, in order.
    keys
        The public groups. Rows of any other group are dropped before bounds are enforced, so that they
        use up none of a unit's groups.
    statistics
        What to compute.
    salt
        (16 bytes) key of the hashes that choose rows within bounds; never the key of the noise.
    by
        Of groups that are found among the rows: the columns that tell them apart. ``keys`` then are public values of
        some of them, or of none.
    ranking
        What quantiles are chosen by, where there are any.
    """

    sources: Mapping[str, Type]
    steps: tuple[Step | Stage, ...]
    types: Mapping[str, Type]
    id: str | None
    bounds: tuple[Bound, ...]
    keys: Keys
    statistics: tuple[Statistic, ...]
    salt: bytes
    by: tuple[str, ...] = ()
    ranking: Ranking | None = None

    @property
    def cells(self) -> int:
        """The number of groups; of those that are found, the most that there may be."""
        return MOST_KEYS if self.by else self.keys.size

    def of(self, **parts: Any) -> Request:
        """What an engine must know of a part of the work only: no steps, keys, bounds or statistics but those named."""
        nothing: dict[str, Any] = {"steps": (), "id": None, "bounds": (), "keys": Keys(()), "statistics": (), "by": ()}
        return replace(self, **{**nothing, **parts})

    @property
    def distinct(self) -> dict[int, Distinct]:
        """The statistics that are no sums over rows, by their place among all."""
        return {at: each for at, each in enumerate(self.statistics) if isinstance(each, Distinct)}

    @property
    def lines(self) -> list[Line]:
        """The lines on which quantiles are chosen, each once."""
        return list(dict.fromkeys(each.line for each in self.statistics if isinstance(each, Quantile)))


@dataclass(frozen=True)
class Sums:
    """Exact statistics of the cells in which rows fell; those of every other cell are 0.

    Parameters
    ----------
    cells
        (n,) int64, distinct and increasing.
    values
        (statistics, n) int64.
    """

    cells: Ints
    values: Ints

    def dense(self, cells: int) -> Ints:
        """The statistics of all cells, (statistics, cells)."""
        if len(self.cells) == cells:
            return self.values
        every = np.zeros((len(self.values), cells), np.int64)
        every[:, self.cells] = self.values
        return every


Rows = Callable[[Ints, int], pa.Table]
"""From the exact statistics of the cells ``start``, ``start + 1``, …, (statistics, n), to their rows of the answer, on
any machine and any number of times the same."""


Choose = Callable[[pa.Table, Ints], pa.Table]
"""From groups that were found, their key columns by ref, and their exact statistics, (statistics, n), to the rows of
the answer of those that may be shown; on any machine and any number of times the same."""

Keep = Callable[[Sums], Sums]
"""Of the exact statistics of some cells, those of cells that may come out; on any machine and any number of times the
same."""


class CellNoise(Protocol):
    """What a table mechanism does, as far as an engine is concerned."""

    @property
    def sensitivity(self) -> float | str: ...

    def scale(self, sensitivity: Floats) -> Floats: ...

    def add(
        self, values: Floats, scale: Floats, grid: float, *, key: bytes, stream: int, start: int
    ) -> npt.NDArray[np.int64]: ...


@dataclass(frozen=True)
class NoiseTask:
    """All that an engine must know to noise one column of a table; all that travels to a worker.

    Parameters
    ----------
    column, mechanism
        What to noise, and how.
    grid, integer
        The power of two that the answer is a multiple of; 1 for an integer column.
    key, stream
        The release's key and this column's stream; no key is no noise, for unlimited budgets.
    """

    column: str
    mechanism: CellNoise
    grid: float
    integer: bool
    key: bytes | None
    stream: int


class Backend(Protocol):
    """The verbs of an engine, each a function of the backend's module."""

    def sends(self, function: Callable[..., Any]) -> None:
        """Raise a :class:`PlanError` when a function cannot be sent to where the rows are."""

    def schema(self, frame: Any) -> Schema:
        """The columns of a frame, from its metadata: reads no data."""

    def check(self, frame: Any) -> None:
        """Raise a :class:`FrameError` when the frame can no longer be read."""

    def aggregate(self, frame: Any, request: Request, keep: Keep | None = None) -> Sums:
        """The exact statistics. The first and only time that rows are read.

        Those that ``keep`` leaves out may be missing: an engine whose sums are far away need not send them.
        """

    spreads: Callable[[Any, int], bool] | None
    """Whether the answer for a frame with so many cells is finished where the rows are: by the engine and the number
    alone. None: never."""

    def spread(self, frame: Any, request: Request, rows: Rows, info: str) -> Any:
        """Where it ``spreads``: the exact statistics, the rows of the answer and their freezing, all in one."""

    def find(self, frame: Any, request: Request, choose: Choose) -> pa.Table:
        """The rows of the answer of groups that no public key names, in no order; no other group is seen outside."""

    def noise(self, frame: Any, tasks: Sequence[NoiseTask], drop: Sequence[str], info: str) -> Any:
        """The frame with noise on some columns and without others, fixed, carrying ``info``."""

    def freeze(self, table: pa.Table, info: str, like: Any) -> Any:
        """A frame of the kind of ``like`` that never changes and carries ``info``."""

    def info(self, frame: Any) -> str | None:
        """What :meth:`freeze` attached to a frame, if anything."""


def backend_of(frame: Any) -> Backend:
    """The backend that serves a frame.

    Raises
    ------
    FrameError
        For anything but a pandas, PySpark or pandas-on-Spark frame.
    """
    libraries = [base.__module__.partition(".")[0] for base in type(frame).__mro__]
    library = next((library for library in libraries if library in KNOWN), None)
    if library is None or not hasattr(frame, "columns"):
        raise FrameError(f"dpframe serves pandas, PySpark and pandas-on-Spark frames, not {type(frame).__qualname__}.")
    return cast(Backend, import_module(KNOWN[library]))
