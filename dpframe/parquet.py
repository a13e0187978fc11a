"""Parquet files as a private frame that is never in memory at once."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dpframe.accessor import Accessor
from dpframe.errors import FrameError

if TYPE_CHECKING:
    import pyarrow.dataset as ds


@dataclass(frozen=True, eq=False)
class Scan:
    """Parquet files of one schema, with ``.dp``. Nothing of them is read before a release."""

    dataset: ds.FileSystemDataset

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.dataset.schema.names)

    @property
    def dp(self) -> Accessor:
        """The door to a private chain, as on any other frame; releases are pandas frames."""
        return Accessor(self)

    def __repr__(self) -> str:
        return f"<scan of {len(self.dataset.files)} Parquet files: {', '.join(self.columns)}>"


def scan(path: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> Scan:
    """Parquet files as a frame with ``.dp``, however large: a release streams them, a million rows at a time.

    Only the columns that a query names are read, and row groups that its filters exclude are skipped. Under a
    contribution bound, the rows that count are dealt out, by a keyed hash of their id, into files of a temporary
    directory (``TMPDIR``), at most 8 bytes a row and number column and removed after use; about eight million rows
    are in memory at once. A single id with far more rows than that needs memory for all of them. Rows are dealt out
    likewise before a private join, ``flat_map_by_id`` and a partition of ids, by the key or the id.

    Parameters
    ----------
    path
        A file, a directory of files, a pattern such as ``"log/*.parquet"``, or several files. All of one schema, which
        is taken as public, as is their number.

    Raises
    ------
    FrameError
        When there is no such file, or it is not Parquet.

    Examples
    --------
    >>> import pandas as pd, dpframe as dp, tempfile, os
    >>> home = tempfile.mkdtemp()
    >>> pd.DataFrame({"user": [1, 1, 2], "page": ["a", "b", "a"]}).to_parquet(os.path.join(home, "log.parquet"))
    >>> log = dp.scan(os.path.join(home, "*.parquet"))
    >>> log
    <scan of 1 Parquet files: user, page>
    >>> query = log.dp.protect(id="user").bound(groups=1, rows_per_group=1).groupby("page", keys=["a", "b"]).count()
    >>> with dp.Budget(epsilon=1):
    ...     len(query.release(epsilon=1))
    2
    """
    import pyarrow as pa
    import pyarrow.dataset as ds

    given = [path] if isinstance(path, str | os.PathLike) else list(path)
    files: list[str] = []
    for each in (os.fspath(one) for one in given):
        found = sorted(glob.glob(each, recursive=True)) if glob.has_magic(each) and not os.path.exists(each) else [each]
        for name in found:
            inside = sorted(glob.glob(os.path.join(glob.escape(name), "**", "*.parquet"), recursive=True))
            files += inside if os.path.isdir(name) else [name]
    missing = [name for name in files if not os.path.isfile(name)]
    if missing or not files:
        raise FrameError(f"There is no Parquet file {missing[0] if missing else path!r}: see that the path is right.")
    try:
        return Scan(ds.dataset([os.path.abspath(name) for name in files], format="parquet"))
    except (pa.ArrowInvalid, pa.ArrowTypeError, OSError) as error:
        raise FrameError(f"The files of {path!r} cannot be read as Parquet of one schema: {error}") from None
