"""Exact statistics of an Arrow table: the one piece of arithmetic that every engine runs.

pandas runs it over the whole table, Spark over the Arrow batches of its tasks, so both give the same integers.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dpframe.backends.base import Request
from dpframe.kernels.bounding import add_up, by_unit, keep_groups, keep_rows
from dpframe.kernels.siphash import hash_int64, hash_utf8
from dpframe.keys import ARROW
from dpframe.plan import Count, GroupBound, RowBound, Statistic

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]


def locate(table: pa.Table, request: Request) -> tuple[pa.Table, Ints]:
    """The rows that count, those with an id and a public key, and the cell of each."""
    columns = {name: table[name].combine_chunks() for name in table.column_names}
    cell = request.keys.locate(columns, table.num_rows)
    counts = cell >= 0
    if request.id is not None:
        counts &= columns[request.id].is_valid().to_numpy(zero_copy_only=False)
    if counts.all():
        return table, cell
    return table.filter(pa.array(counts)), cell[counts]


def bound(table: pa.Table, cell: Ints, request: Request) -> tuple[pa.Table, Ints]:
    """The rows that stay when every unit keeps to its bounds. All rows of a unit must be in the table."""
    for limit in request.bounds:
        codes, units, unit_hash = _units(table[request.id].combine_chunks(), request.salt)
        start, order = by_unit(codes, units)
        row_hash = _chain(unit_hash, _ints_hash(cell, request.salt, b"cell"), request.salt)
        for ref in _apart(request):
            row_hash = _chain(row_hash, _hash(table[ref].combine_chunks(), request.salt, ref), request.salt)
        if isinstance(limit, RowBound):
            keep = keep_rows(start, order, row_hash, limit.rows)
        else:
            group, group_hash = _groups(table, cell, limit, request.salt)
            group_hash = _chain(unit_hash, group_hash, request.salt)
            keep = keep_groups(start, order, group, group_hash, row_hash, limit.groups, limit.rows_per_group)
        if not keep.all():
            table, cell = table.filter(pa.array(keep)), cell[keep]
    return table, cell


def _apart(request: Request) -> list[str]:
    """The columns by which rows of one unit and cell can differ for the request: equal ones are twins."""
    refs = {column.ref for limit in request.bounds if isinstance(limit, GroupBound) for column in limit.by or ()}
    refs |= {statistic.ref for statistic in request.statistics if statistic.ref is not None}
    return sorted(refs, key=lambda ref: int(ref[1:]))


def statistics(table: pa.Table, cell: Ints, request: Request, cells: int) -> Ints:
    """Every statistic in every cell, (statistics, cells): integer sums, so in no order."""
    out = np.empty((len(request.statistics), cells), np.int64)
    for row, statistic in zip(out, request.statistics, strict=True):
        row[:] = add_up(cell, steps(table, statistic), cells)
    return out


def steps(table: pa.Table, statistic: Statistic) -> Ints:
    """What each row adds to a statistic, (n,) int64 in grid steps; a missing value adds 0."""
    if statistic.ref is None:
        return np.ones(table.num_rows, np.int64)
    column = table[statistic.ref].combine_chunks()
    present = _present(column)
    if isinstance(statistic, Count):
        return present.astype(np.int64)
    if statistic.integer:
        clipped = np.clip(column.fill_null(0).to_numpy(), int(statistic.low), int(statistic.high))
        return np.where(present, clipped - int(statistic.center), 0)
    # The same three roundings (difference, quotient by a power of two, rint) as Sum.reach takes a bound through, each
    # monotone, so no row goes past the bounds' own steps.
    clipped = np.clip(column.fill_null(0.0).to_numpy(), float(statistic.low), float(statistic.high))
    with np.errstate(invalid="ignore"):
        rounded = np.rint((clipped - float(statistic.center)) / statistic.grid)
    return np.where(present, rounded, 0).astype(np.int64)


def canonical(table: pa.Table, request: Request) -> pa.Table:
    """The columns of a request in the physical form of their types; ``rows`` only gives the table its length."""
    forms = {ref: ARROW[type_] for ref, type_ in request.types.items()} | {"rows": pa.int8()}
    return pa.table({ref: table[ref].cast(form) for ref, form in forms.items()})


def _present(column: pa.Array) -> npt.NDArray[np.bool_]:
    """Which values are neither null nor NaN."""
    present: npt.NDArray[np.bool_] = column.is_valid().to_numpy(zero_copy_only=False)
    if pa.types.is_floating(column.type):
        present &= ~np.isnan(column.fill_null(0.0).to_numpy())
    return present


def _units(ids: pa.Array, salt: bytes) -> tuple[Ints, int, Words]:
    """A code of every row's unit, the number of units, and the keyed hash of each row's unit."""
    encoded = ids.dictionary_encode()
    codes = encoded.indices.to_numpy().astype(np.int64)
    return codes, len(encoded.dictionary), _hash(encoded.dictionary, salt, "unit")[codes]


def _groups(table: pa.Table, cell: Ints, limit: GroupBound, salt: bytes) -> tuple[Ints, Words]:
    """A code and a keyed hash of each row's group in the bound's grouping."""
    if limit.by is None:
        return cell, _ints_hash(cell, salt, b"group")
    code = np.zeros(table.num_rows, np.int64)
    hashes = np.zeros(table.num_rows, np.uint64)
    for column in limit.by:
        encoded = table[column.ref].combine_chunks().dictionary_encode(null_encoding="encode")
        index = encoded.indices.to_numpy().astype(np.int64)
        hashes = _chain(hashes, _hash(encoded.dictionary, salt, column.ref)[index], salt)
        code = np.unique(code * len(encoded.dictionary) + index, return_inverse=True)[1].astype(np.int64)
    return code, hashes


def _hash(column: pa.Array, salt: bytes, role: str) -> Words:
    """A keyed 64-bit hash of each value; null has one of its own, and NaN shares it."""
    key = _subkey(salt, role.encode())
    if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
        text = column.cast(pa.large_string()).fill_null("")
        buffers = text.buffers()
        offsets = np.frombuffer(buffers[1], np.int64)[text.offset : text.offset + len(text) + 1]
        data = np.frombuffer(buffers[2] or b"", np.uint8)
        hashes = hash_utf8(offsets, data, key)
    elif pa.types.is_floating(column.type):
        # One value for -0.0 and 0.0, as for every other pair of equal values.
        with np.errstate(invalid="ignore"):
            hashes = hash_int64((column.fill_null(0.0).to_numpy() + 0.0).view(np.int64), key)
    else:
        width = pa.int32() if pa.types.is_date32(column.type) else column.type
        ints = column.cast(width).cast(pa.int64()) if width != pa.int64() else column
        hashes = hash_int64(ints.fill_null(0).to_numpy(), key)
    # Engines write NaN in bits of their own.
    hashes[~_present(column)] = int.from_bytes(_subkey(salt, b"null")[:8])
    return hashes


def _ints_hash(values: Ints, salt: bytes, role: bytes) -> Words:
    return hash_int64(values, _subkey(salt, role))


def _chain(left: Words, right: Words, salt: bytes) -> Words:
    """The keyed hash of pairs of hashes."""
    mixed = hash_int64(left.view(np.int64), _subkey(salt, b"chain"))
    return hash_int64((mixed ^ right).view(np.int64), _subkey(salt, b"link"))


def _subkey(salt: bytes, role: bytes) -> bytes:
    return hashlib.blake2b(role, key=salt, digest_size=16).digest()
