"""Rows go through Spark's shuffle in packets: a few large values instead of many small rows.

A task packs the rows that belong to one part, as one Arrow record batch, into a binary value beside the part's number.
Spark then sorts, compresses and copies thousands of values where it had millions of rows, and the task that receives
them reads columns. Which part a row belongs to depends on the row alone, so a retry packs the same rows for every part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dpframe.backends.base import Request
from dpframe.backends.bounds import Parts, by_part, needed
from dpframe.backends.spark_tasks import Run, tasks
from dpframe.keys import ARROW, Keys

CHUNK = 1 << 17
"""Rows that are packed at a time."""

PACKET = 1 << 14
"""Rows of one packet, at most: Spark hands 10,000 values to Python at a time, which should fit memory."""

Deal = Callable[[pa.Table, int], tuple[pa.Table, Parts]]


@dataclass(frozen=True)
class Packing:
    """What a task needs to pack rows; all that travels to a worker.

    Parameters
    ----------
    deal
        From the rows of a chunk, and the number of parts, to what of them goes on, with columns of the types of
        ``schema``, and the part of each.
    schema
        The columns of a packet.
    places
        For each part the integer that Spark's hash partitioning sends to a partition of its own.
    first
        What is done with the batches of a task before they are dealt.
    """

    deal: Deal
    schema: pa.Schema
    places: tuple[int, ...]
    first: Run = iter

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for chunk in chunks(self.first(batches)):
            table, part = self.deal(chunk, len(self.places))
            order, ends = by_part(part, len(self.places))
            columns = [pc.take(table[name], pa.array(order)).combine_chunks() for name in self.schema.names]
            sorted_ = pa.RecordBatch.from_arrays(columns, schema=self.schema)
            places, packets = [], []
            for place, (begin, end) in zip(self.places, ends, strict=True):
                for at in range(begin, end, PACKET):
                    places.append(place)
                    packets.append(sorted_.slice(at, min(PACKET, end - at)).serialize().to_pybytes())
            yield pa.RecordBatch.from_arrays(
                [pa.array(places, pa.int32()), pa.array(packets, pa.binary())], ["place", "packet"]
            )


def packed(rows: Any, deal: Deal, schema: pa.Schema, first: Run = iter) -> Any:
    """Packets of the rows, those of each part in a partition of its own; lazy. See :class:`Packing`."""
    packing = Packing(deal, schema, places(int(rows.sparkSession.conf.get("spark.sql.shuffle.partitions"))), first)
    return tasks(rows, packing, "place int, packet binary").repartition("place")


def narrowed(request: Request) -> tuple[Request, pa.Schema]:
    """What tasks must know of a request whose rows have their cells, and the columns of these rows."""
    # Keys and steps stay behind: rows carry their cells, and tasks need only know how many there are.
    types = {ref: request.types[ref] for ref in needed(request)}
    schema = pa.schema({"cell": pa.int64(), **{ref: ARROW[type_] for ref, type_ in types.items()}})
    return replace(request, steps=(), types=types, keys=Keys(()), ranking=None), schema


def chunks(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    """The rows in tables of about ``CHUNK``."""
    waiting, rows = list[pa.RecordBatch](), 0
    for batch in batches:
        waiting.append(batch)
        rows += batch.num_rows
        if rows >= CHUNK:
            yield pa.Table.from_batches(waiting)
            waiting, rows = [], 0
    if rows:
        yield pa.Table.from_batches(waiting)


def unpacked(batches: Iterable[pa.RecordBatch], schema: pa.Schema) -> pa.Table:
    """The rows of all packets that one task receives."""
    packets = (value.as_buffer() for batch in batches for value in batch["packet"])
    return pa.Table.from_batches([pa.ipc.read_record_batch(_aligned(packet), schema) for packet in packets], schema)


def _aligned(packet: pa.Buffer) -> pa.Buffer:
    """The packet where processors can read words; it lies there, unless something else was packed before it."""
    return packet if packet.address % 8 == 0 else pa.py_buffer(packet.to_pybytes())


def places(partitions: int) -> tuple[int, ...]:
    """For each of so many partitions an integer that Spark's hash partitioning sends there.

    ``repartition(n, x)`` puts a row in the partition ``hash(x) mod n``, so part *p* becomes partition *p* when its rows
    carry the *p*-th of these numbers. Were Spark to hash otherwise, parts would come in another order, and several to a
    task, and nothing else would change.
    """
    found: dict[int, int] = {}
    number = 0
    while len(found) < partitions:
        found.setdefault(murmur3(number) % partitions, number)
        number += 1
    return tuple(found[partition] for partition in range(partitions))


def murmur3(number: int) -> int:
    """Spark's hash of an ``int``: Murmur3 (x86, 32 bits) of its four bytes with seed 42, as a signed integer."""
    word = 0xFFFFFFFF
    k = number * 0xCC9E2D51 & word
    k = (k << 15 | k >> 17) * 0x1B873593 & word
    h = 42 ^ k
    h = (h << 13 | h >> 19) * 5 + 0xE6546B64 & word
    h ^= 4
    h = (h ^ h >> 16) * 0x85EBCA6B & word
    h = (h ^ h >> 13) * 0xC2B2AE35 & word
    h ^= h >> 16
    return h - (1 << 32) if h >> 31 else h
