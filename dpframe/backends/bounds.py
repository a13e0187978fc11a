"""Contribution bounding of an Arrow table: which rows stay, decided by keyed hashes of the rows alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dpframe.backends.base import Request
from dpframe.backends.exact import absent, at_once, decoded, missing, numbers
from dpframe.kernels.bounding import DROPPED, by_run, by_unit, count_parts, deal, keep_groups, keep_rows, settle
from dpframe.kernels.codes import ABSENT, Table
from dpframe.kernels.siphash import hash_int64, hash_utf8, sip_key
from dpframe.plan import Bound, Column, GroupBound, RowBound
from dpframe.progress import progress

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]
Rows = npt.NDArray[np.signedinteger[Any]]
Parts = npt.NDArray[np.unsignedinteger[Any]]
Piece = tuple[Rows, Ints, Ints]

PART = 1 << 19
"""Units are bounded in parts of about this many rows, which a processor's caches hold."""


@dataclass(frozen=True, eq=False)
class Coded:
    """Codes of rows, equal exactly where the value is, and a keyed word of the value of each code.

    Parameters
    ----------
    codes
        (n,) int64.
    words
        (values,) uint64.
    """

    codes: Ints
    words: Words


def bound(table: pa.Table, cell: Ints, request: Request, threads: int = 1) -> None:
    """Take the cell from every row that goes when units keep to their bounds, and from rows without a unit.

    Parameters
    ----------
    table
        The columns of the request in canonical form. All rows of a unit must be in it.
    cell
        (n,) the cell of each row, or −1; changed in place.
    threads
        How many may work at once, each on some of the units.
    """
    ids = table[request.id].chunk(0)
    gone = missing(ids)
    groupings = [_grouping(table, limit, request.salt) for limit in request.bounds]
    dealt = _deal(integers(ids), gone, cell, threads)
    work = [partial(_bound_part, table, cell, request, ids, groupings, part) for part in dealt]
    list(progress(at_once(threads, work), len(work), "bounding"))
    if gone.size:
        cell[gone] = DROPPED


def thin(table: pa.Table, cell: Ints, request: Request) -> Mask:
    """Which rows may stay when :func:`bound` sees all rows of their units, as far as these rows alone tell; (n,) bool.

    A unit's first groups by hash are among its first in every part of its rows, so the rows of others can go at once.
    Rows of one group can go early only where they are all alike: otherwise equal ones are told apart by their number
    among equals, which no part knows.
    """
    first, cell = request.bounds[0], cell.copy()
    if isinstance(first, GroupBound):
        most = first.rows_per_group if _alike(first, request) else table.num_rows
        bound(table, cell, replace(request, bounds=(replace(first, rows_per_group=most),)))
    return cell >= 0


def _alike(limit: GroupBound, request: Request) -> bool:
    """Whether rows of a unit and a group of the bound cannot be told apart."""
    return limit.by is None and not apart(request)


def _deal(ids: Ints, gone: Mask, cell: Ints, threads: int) -> list[list[Piece]]:
    """The rows that count, their ids and their cells, in parts that have all rows of their units, each in pieces."""
    shares = list(pairwise(np.linspace(0, len(ids), threads + 1).astype(np.int64)))
    counts = np.zeros((threads, max(threads, -(-len(ids) // PART))), np.int64)
    list(at_once(threads, [partial(count_parts, ids, a, b, own) for (a, b), own in zip(shares, counts, strict=True)]))
    # Part by part, and in a part thread by thread: each writes where no other does.
    begin = (np.cumsum(counts.T) - counts.T.ravel()).reshape(counts.T.shape).T
    end = begin.copy()
    rows: Rows = np.empty(len(ids), np.int32 if len(ids) < 2**31 else np.int64)
    own_ids, own_cells = np.empty(len(ids), np.int64), np.empty(len(ids), np.int64)
    dealt = rows, own_ids, own_cells
    work = [partial(deal, ids, gone, cell, a, b, at, *dealt) for (a, b), at in zip(shares, end, strict=True)]
    list(at_once(threads, work))
    return [
        [(rows[a:b], own_ids[a:b], own_cells[a:b]) for a, b in zip(begin[:, part], end[:, part], strict=True)]
        for part in range(counts.shape[1])
    ]


def _bound_part(
    table: pa.Table,
    cell: Ints,
    request: Request,
    ids: pa.Array,
    groupings: Sequence[Coded | None],
    pieces: Sequence[Piece],
) -> None:
    """Bound the units of one part."""
    rows, own_ids, cells = (np.concatenate(each) for each in zip(*pieces, strict=True))
    found, unit = Table.of(own_ids)
    words = _unit_words(ids, found.known, request.salt)
    key = sip_key(_subkey(request.salt, b"group"))
    for limit, grouping in zip(request.bounds, groupings, strict=True):
        start, order, at = by_unit(unit, len(words), rows, cells)
        if isinstance(limit, RowBound):
            most = limit.rows
            run, run_unit = keep_rows(start, order, at, limit.rows, cell)
        else:
            most, limits = limit.rows_per_group, (limit.groups, limit.rows_per_group, _alike(limit, request))
            group = at if grouping is None else grouping.codes[order]
            group_words = np.empty(0, np.uint64) if grouping is None else grouping.words
            distinct = int(group.max()) + 1 if len(group) else 1
            rows_of = start, order, at, group, group_words, words, key
            run, run_unit = keep_groups(*rows_of, *limits, distinct, cell)
        if run_unit.size:
            begin, open_rows, open_cells, unit_words = by_run(run, run_unit, order, at, words)
            settle(begin, open_rows, _row_words(table, request, open_rows, open_cells, unit_words), most, cell)
        if len(request.bounds) > 1:
            stays = cell[rows] >= 0
            rows, unit, cells = rows[stays], unit[stays], cells[stays]


def _row_words(table: pa.Table, request: Request, rows: Ints, cells: Ints, unit_words: Words) -> Words:
    """A keyed word of all that tells rows apart, given the words of their units."""
    # Groups that were found have numbers that rest on other units' rows: their values, which are apart, stand for them.
    cells = np.zeros_like(cells) if request.by else cells
    words = _chain(unit_words, hash_int64(cells, _subkey(request.salt, b"cell")), request.salt)
    return row_words(words, taken(table, apart(request), rows), request.salt)


def row_words(words: Words, columns: Iterable[tuple[str, pa.Array]], salt: bytes) -> Words:
    """A keyed word of each row of some columns, chained to one that it has: equal for equal values, on all engines."""
    for ref, column in columns:
        words = _chain(words, _hash(column, salt, ref), salt)
    return words


def taken(table: pa.Table, refs: Iterable[str], rows: Ints) -> Iterator[tuple[str, pa.Array]]:
    """Some columns of some rows, one at a time."""
    return ((ref, table[ref].chunk(0).take(pa.array(rows))) for ref in refs)


def needed(request: Request) -> list[str]:
    """The columns that bounding and adding up still read of rows that have their cells."""
    unit = [] if request.id is None else [request.id]
    return list(dict.fromkeys([*unit, *apart(request)]))


def apart(request: Request) -> list[str]:
    """The columns by which rows of one unit and cell can differ for the request: equal ones are twins."""
    refs = {column.ref for limit in request.bounds if isinstance(limit, GroupBound) for column in limit.by or ()}
    refs |= {ref for statistic in request.statistics for ref in statistic.refs} | set(request.by)
    return sorted(refs, key=lambda ref: int(ref[1:]))


def id_words(ids: pa.Array, salt: bytes) -> Words:
    """A keyed word of each row's id, which must not be missing: equal for equal ids, on all engines."""
    if pa.types.is_large_string(ids.type):
        return _hash_text(ids, _subkey(salt, b"unit"))
    return hash_int64(integers(ids), _subkey(salt, b"unit"))


def part_of(words: Words, parts: int) -> Parts:
    """The part to which each keyed word falls, about equal ones."""
    return (words % np.uint64(parts)).astype(np.min_scalar_type(parts))


def by_part(part: Parts, parts: int) -> tuple[Ints, list[tuple[int, int]]]:
    """Rows in the order of their parts, and where among them each part begins and ends."""
    ends = np.cumsum(np.bincount(part, minlength=parts)).tolist()
    return np.argsort(part, kind="stable"), list(pairwise([0, *ends]))


def _unit_words(ids: pa.Array, values: Ints, salt: bytes) -> Words:
    """The keyed word of each unit, from its id as :func:`integers` gives it."""
    known = ids.dictionary.take(pa.array(values)) if pa.types.is_dictionary(ids.type) else pa.array(values)
    return id_words(known, salt)


def _grouping(table: pa.Table, limit: Bound, salt: bytes) -> Coded | None:
    """The group of each row in the bound's own grouping; None when that is the query's, whose groups are cells."""
    return None if isinstance(limit, RowBound) or limit.by is None else coded(table, limit.by, salt)


def coded(table: pa.Table, columns: Sequence[Column], salt: bytes) -> Coded:
    """Codes and words of the values of several columns together; nulls are equal."""
    codes, words = np.zeros(table.num_rows, np.int64), np.zeros(1, np.uint64)
    for column in columns:
        values, key = table[column.ref].chunk(0), _subkey(salt, column.ref.encode())
        if pa.types.is_dictionary(values.type):
            known = _hash_text(values.dictionary, key)
            index = values.indices.cast(pa.int64()).fill_null(ABSENT).to_numpy()
        else:
            found, index = Table.of(integers(values), absent(values))
            known = hash_int64(found.known, key)
        hashes = np.append(known, _null(salt))
        index = np.where(index < 0, len(known), index)
        pairs, codes = Table.of(codes * len(hashes) + index)
        before, here = np.divmod(pairs.known, len(hashes))
        words = _chain(words[before], hashes[here], salt)
    return Coded(codes, words)


def integers(column: pa.Array) -> Ints:
    """The values of a column, or the codes of texts, as 64-bit integers, equal exactly where the values are."""
    values = numbers(column.indices if pa.types.is_dictionary(column.type) else column)
    if values.dtype.kind == "f":
        # One value for -0.0 and 0.0, as for every other pair of equal values.
        with np.errstate(invalid="ignore"):
            return (values + 0.0).view(np.int64)
    return values.astype(np.int64, copy=False)


def _hash(column: pa.Array, salt: bytes, role: str) -> Words:
    """A keyed 64-bit hash of each value; null has one of its own, and NaN shares it."""
    key = _subkey(salt, role.encode())
    column = decoded(column)
    hashes = _hash_text(column, key) if pa.types.is_large_string(column.type) else hash_int64(integers(column), key)
    # Engines write NaN in bits of their own.
    hashes[absent(column)] = _null(salt)
    return hashes


def _hash_text(text: pa.Array, key: bytes) -> Words:
    text = text.cast(pa.large_string()).fill_null("")
    buffers = text.buffers()
    offsets = np.frombuffer(buffers[1], np.int64)[text.offset : text.offset + len(text) + 1]
    return hash_utf8(offsets, np.frombuffer(buffers[2] or b"", np.uint8), key)


def _null(salt: bytes) -> np.uint64:
    return np.uint64(int.from_bytes(_subkey(salt, b"null")[:8]))


def _chain(left: Words, right: Words, salt: bytes) -> Words:
    """The keyed hash of pairs of hashes."""
    mixed = hash_int64(left.view(np.int64), _subkey(salt, b"chain"))
    return hash_int64((mixed ^ right).view(np.int64), _subkey(salt, b"link"))


def _subkey(salt: bytes, role: bytes) -> bytes:
    return hashlib.blake2b(role, key=salt, digest_size=16).digest()
