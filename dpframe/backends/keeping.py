"""Which rows of an Arrow table stay before a join or a partition: keyed hashes of the rows alone decide.

The same hashes and kernels as for contribution bounds, on every engine, so every engine keeps the same rows.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dpframe.backends.base import Request
from dpframe.backends.bounds import bound, coded, row_words, taken
from dpframe.backends.exact import locate
from dpframe.kernels.bounding import by_run, by_unit, keep_rows, settle
from dpframe.plan import GroupBound
from dpframe.stages import KeepGroups, KeepRows

Mask = npt.NDArray[np.bool_]

ANY = 2**62
"""More rows than there are."""


def staying(step: KeepRows | KeepGroups, table: pa.Table, request: Request) -> Mask:
    """Which rows stay, (n,) bool.

    Parameters
    ----------
    table
        The columns that the step keeps, in canonical form. All rows of a key, or of an id, must be in it.
    request
        For the release's salt.
    """
    if isinstance(step, KeepRows):
        return _few(step, table, hashlib.blake2b(step.role.encode(), key=request.salt, digest_size=16).digest())
    cell = np.where(locate(step.keys, table) >= 0, 0, -1)
    limit = GroupBound(step.groups, ANY, by=(step.column,))
    bound(table, cell, request.of(id=step.id.ref, bounds=(limit,), salt=step.salt))
    stays: Mask = cell >= 0
    return stays


def _few(step: KeepRows, table: pa.Table, salt: bytes) -> Mask:
    """At most so many rows of each key, those of the least hashes; or the only one."""
    keys = coded(table, step.by, salt)
    cell = np.zeros(table.num_rows, np.int64)
    start, order, at = by_unit(keys.codes, len(keys.words), np.arange(table.num_rows), cell)
    if step.rows is None:
        alone: Mask = np.diff(start)[keys.codes] == 1
        return alone
    run, run_key = keep_rows(start, order, at, step.rows, cell)
    if run_key.size:
        begin, rows, _, words = by_run(run, run_key, order, at, keys.words)
        settle(begin, rows, row_words(words, taken(table, sorted(step.keeps), rows), salt), step.rows, cell)
    stays: Mask = cell >= 0
    return stays
