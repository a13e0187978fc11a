"""The ``.dp`` accessor, and the hook that attaches it to frame libraries whenever they are imported.

The accessor holds nothing but the frame it was taken from. A library that is never imported stays so: the
hook only watches for its module.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import sys
import threading
from collections.abc import Iterable, Mapping, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dpframe.accounting import Budget
    from dpframe.frame import PrivateFrame
    from dpframe.keys import Keys
    from dpframe.mechanisms.table import TableMechanism
    from dpframe.plan import Number
    from dpframe.result import ReleaseInfo


class Accessor:
    """``frame.dp``: the door from an ordinary frame to a private chain.

    The same on pandas, PySpark (classic and Connect) and pandas-on-Spark frames. A column called ``dp`` stays
    reachable as ``frame["dp"]``.
    """

    def __init__(self, frame: Any) -> None:
        self._frame = frame

    def protect(
        self,
        id: str | None = None,
        *,
        rows: int = 1,
        groups: int | None = None,
        grouping: str | None = None,
        space: str = "default",
        bounds: Mapping[str, tuple[Number, Number]] | None = None,
        keys: Mapping[str, Iterable[object]] | None = None,
    ) -> PrivateFrame:
        """Say what is protected, and begin a private chain. Reads no data.

        Parameters
        ----------
        id
            The column whose value names a person: all rows of one id are protected together. Rows without
            an id are dropped. None protects rows.
        rows
            Without ``id``: how many rows one person may have, protected together.
        groups, grouping
            With both, ``rows`` counts the rows in each group of the column ``grouping``, of which one person has
            at most ``groups``; null is one group. Like ``rows`` it is a promise about the data: nothing is cut off.
        space
            With ``id``: what the ids are of. Ids of one space are the same people in every table, and only their
            tables can be joined.
        bounds
            Clipping bounds of columns, ``{"books": (0, 22)}``, for aggregates that name none.
        keys
            Public values of columns, ``{"level": ["a", "b"]}``, for group-bys that name none.

        Raises
        ------
        UnknownColumnError, ColumnTypeError, BoundsError, KeysError, PlanError
            For a column that is missing or of the wrong type, and for bounds and keys that are not valid.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> pd.DataFrame({"user": ["u", "v"], "books": [1, 2]}).dp.protect(id="user")
        PrivateFrame(user string, books integer)
          unit    all rows of one user
        """
        from dpframe.backends import backend_of
        from dpframe.frame import PrivateFrame
        from dpframe.steps import begin

        frame, backend = self._frame, backend_of(self._frame)
        backend.check(frame)
        schema = backend.schema(frame)
        # What the caller does to the frame's columns from here on must not move what is protected; shares the data.
        frame = frame.copy(deep=False) if hasattr(type(frame), "copy") else frame
        return PrivateFrame(frame, begin(schema, id, rows, groups, grouping, space, bounds or {}, keys or {}))

    def keys(self, *columns: str) -> Keys:
        """The distinct rows of some columns of this frame as group keys. Only for a *public* frame.

        Raises
        ------
        UnknownColumnError
            For a column that the frame does not have.
        KeysError
            As for :func:`dpframe.keys`.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> pages = pd.DataFrame({"project": ["en", "en"], "page": [1, 2]})
        >>> pages.dp.keys("project", "page") * dp.keys({"country": ["CH", "DE"]})
        Keys(project, page, country: 4 keys)
        """
        from dpframe.backends import backend_of
        from dpframe.keys import keys

        schema = backend_of(self._frame).schema(self._frame)
        names = [schema[name].name for name in columns] or list(self._frame.columns)
        return keys(self._frame[names] if hasattr(type(self._frame), "__getitem__") else self._frame)

    def noise(
        self,
        columns: Mapping[str, TableMechanism] | None = None,
        /,
        *,
        keep: Iterable[str] = (),
        budget: Budget | None = None,
        label: str = "",
        **named: TableMechanism,
    ) -> Any:
        """Add noise to columns of a table that is already aggregated. The caller vouches for the sensitivity.

        Every other column comes out as it is: see to it that those are public. A column that a mechanism takes its
        sensitivity from does not come out unless ``keep`` names it.

        Parameters
        ----------
        columns, **named
            The mechanism of each column: ``empcy=dp.SmoothLaplace("ssmax", alpha=0.05, epsilon=0.4, delta=0.05)``.
        keep
            Sensitivity columns to leave in the answer.
        budget
            The budget to charge with every mechanism's cost; None is the innermost open one.
        label
            What the budget's history is to call it.

        Returns
        -------
        frame
            A frame of the same kind that never changes: int64 for integer columns, else float64 multiples of a
            public power of two. A missing value counts as 0.

        Raises
        ------
        BudgetError
            When there is no budget, or it has too little left. Nothing is charged.
        PlanError, ColumnTypeError, UnknownColumnError
            For what is not a mechanism, or not a number column.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> table = pd.DataFrame({"state": ["CA", "NY"], "jobs": [283, 2905]})
        >>> with dp.Budget(epsilon=1) as budget:
        ...     noisy = table.dp.noise(jobs=dp.LaplaceNoise(sensitivity=1, epsilon=0.4))
        ...     budget.remaining
        0.6
        >>> noisy.dtypes["jobs"], list(noisy["state"])
        (dtype('int64'), ['CA', 'NY'])
        """
        from dpframe.noise import add_noise

        return add_noise(self._frame, {**(columns or {}), **named}, keep=keep, budget=budget, label=label)

    def release_info(self) -> ReleaseInfo:
        """What a released frame says of itself: mechanisms, scales, cost, unit and bounds.

        Raises
        ------
        FrameError
            For a frame that no release made, or whose metadata a later step dropped.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> with dp.Budget(epsilon=1):
        ...     released = pd.DataFrame({"x": [1, 2]}).dp.protect().count().release(epsilon=0.5)
        >>> print(released.dp.release_info())
        A differentially private release
          cost    epsilon=0.5
          unit    one row
          groups  1
          count = count()
            count of rows: discrete Laplace, scale 2, ±6 at 95%
        """
        from dpframe.backends import backend_of
        from dpframe.errors import FrameError
        from dpframe.result import loads

        text = backend_of(self._frame).info(self._frame)
        if text is None:
            raise FrameError("This frame carries no release: read it from what .release() returned.")
        return loads(text)

    def __repr__(self) -> str:
        return f"<.dp of a {type(self._frame).__qualname__}: .protect() begins a private chain>"


class _Attribute:
    """Gives every frame its accessor, anew each time: nothing is stored on the frame."""

    def __get__(self, frame: Any, owner: type | None = None) -> Any:
        return Accessor if frame is None else Accessor(frame)


def _attach(module: ModuleType) -> None:
    frame_class: Any = module.DataFrame
    frame_class.dp = _Attribute()
    if hasattr(frame_class, "_accessors"):  # what pandas lists in dir() and completes
        frame_class._accessors = frame_class._accessors | {"dp"}


HOMES = ("pandas", "pyspark.sql.dataframe", "pyspark.pandas.frame")
"""The modules whose import brings a DataFrame class. Classic and Connect frames share the second's."""


class _AttachingLoader(importlib.abc.Loader):
    """Loads a module as its own loader would, then attaches ``.dp``."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType | None:
        created: ModuleType | None = self._inner.create_module(spec)
        return created

    def exec_module(self, module: ModuleType) -> None:
        # Hand the module its own loader back, so that inspect, pkgutil and pickle see nothing unusual.
        module.__loader__ = self._inner
        if module.__spec__ is not None:
            module.__spec__.loader = self._inner
        self._inner.exec_module(module)
        _attach(module)


class _Finder(importlib.abc.MetaPathFinder):
    """Watches for the modules of ``HOMES`` and leaves every other import alone."""

    def __init__(self) -> None:
        self._searching = threading.local()

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in HOMES or getattr(self._searching, "on", False):
            return None
        self._searching.on = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._searching.on = False
        if spec is not None and spec.loader is not None and hasattr(spec.loader, "exec_module"):
            spec.loader = _AttachingLoader(spec.loader)
        return spec


def attach() -> None:
    """Attach ``.dp`` to every frame library that is imported, now or later."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
    for name in HOMES:
        if name in sys.modules:
            # Another thread may be half way through this import, past our finder: importing again waits for it.
            with contextlib.suppress(ImportError):
                module = importlib.import_module(name)
                if hasattr(module, "DataFrame"):
                    _attach(module)
