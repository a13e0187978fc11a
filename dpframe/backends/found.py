"""Groups that no public key names: those that rows are in, told apart by their values and addressed by a hash of them.

Within one table groups have numbers, in the order in which they appear, as public groups have cells. A number means
nothing outside of its table, so nothing that is drawn may look at it: which rows a bound keeps follows from hashes of
the values, and so does a group's :func:`names`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dpframe.backends import exact
from dpframe.backends.base import Ints, Request
from dpframe.backends.bounds import row_words
from dpframe.backends.distinct import combinations
from dpframe.kernels.codes import ABSENT
from dpframe.keys import ARROW

Words = npt.NDArray[np.uint64]


def numbered(table: pa.Table, cell: Ints, request: Request) -> tuple[pa.Table, Ints]:
    """The groups of the rows that have a cell, and the number of each row's group, or −1.

    Parameters
    ----------
    table
        The key columns in canonical form, and others.
    cell
        (n,) what public values of the key columns make of each row, or −1 for rows that are in no group.

    Returns
    -------
    groups : pyarrow.Table
        The key columns of the groups, plain; row *i* is group *i*.
    group : ndarray of int64, shape (n,)
    """
    number, first = combinations([table[ref].chunk(0) for ref in request.by], cell)
    rows = pa.array(first)
    return pa.table({ref: exact.decoded(table[ref].chunk(0).take(rows)) for ref in request.by}), number


class Known:
    """The groups of several tables, each with one number in all of them."""

    def __init__(self, request: Request) -> None:
        self.request, self.groups = request, empty(request)

    def numbers(self, table: pa.Table, cell: Ints) -> Ints:
        """The number of each row's group, or −1; new groups get the next numbers."""
        groups, group = numbered(table, cell, self.request)
        if not len(self.groups):  # the numbers of one table are those of all
            self.groups = groups
            return group
        together = pa.concat_tables([self.groups, groups])
        coded = exact.canonical(together, self.request)
        # Those that are known are the first to appear, in order, and so keep their numbers.
        self.groups, number = numbered(coded, np.zeros(len(together), np.int64), self.request)
        own = number[len(together) - len(groups) :]
        return np.where(group < 0, ABSENT, own[group]) if len(groups) else group


def names(groups: pa.Table, key: bytes) -> Words:
    """The address of each group, (n, 2) uint64: two keyed hashes of its values, whatever other groups there are.

    Parameters
    ----------
    groups
        The key columns, as :func:`numbered` gives them or Spark does.
    key
        The release's secret key.
    """
    out = np.empty((groups.num_rows, 2), np.uint64)
    if not groups.num_rows:
        return out
    for half in range(2):
        salt = hashlib.blake2b(b"address %d" % half, key=key, digest_size=16).digest()
        out[:, half] = row_words(np.zeros(len(out), np.uint64), plain(groups).items(), salt)
    return out


def plain(groups: pa.Table) -> Mapping[str, pa.Array]:
    """The key columns, each one array of the form that its type has in every engine."""
    forms = {pa.string(): pa.large_string()}
    columns = {name: groups[name].combine_chunks() for name in groups.column_names}
    return {name: column.cast(forms.get(column.type, column.type)) for name, column in columns.items()}


def empty(request: Request) -> pa.Table:
    """No groups."""
    return pa.table({ref: pa.array([], ARROW[request.types[ref]]) for ref in request.by})
