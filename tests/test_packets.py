"""Packets of rows between Spark's tasks, without Spark: each row arrives once, with its unit; heavy units are light."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest

import dpframe as dp
from dpframe.backends import Request, spark_packets, spark_rows
from dpframe.backends.base import Sums
from dpframe.backends.bounds import bound
from dpframe.backends.exact import add_up, canonical
from dpframe.keys import ARROW
from dpframe.plan import Count, GroupBound, Statistic, Sum, Type

CELLS, PARTS = 50, 8
X = Sum("c1", low=-9.0, high=9.0, center=0.0, grid=2**-20, integer=False)
TYPES = {"c0": Type.STRING, "c1": Type.FLOAT}


def request(statistics: tuple[Statistic, ...], kind: Type = Type.STRING) -> Request:
    types = {"c0": kind} | ({"c1": Type.FLOAT} if len(statistics) > 1 else {})
    return Request(types, (), types, "c0", (GroupBound(3, 2),), dp.keys({"c9": range(CELLS)}), statistics, bytes(16))


def rows(asked: Request, units: npt.NDArray[np.int64]) -> pa.Table:
    draw = np.random.default_rng(5)
    ids = [f"user {unit}" for unit in units] if asked.types["c0"] is Type.STRING else units
    table = {"cell": draw.integers(0, CELLS, len(units)), "c0": ids}
    if "c1" in asked.types:
        table["c1"] = pa.array(draw.normal(size=len(units)), mask=draw.random(len(units)) < 0.1)
    return pa.table(table)


def packing(asked: Request) -> spark_packets.Packing:
    schema = pa.schema({"cell": pa.int64(), **{ref: ARROW[type_] for ref, type_ in asked.types.items()}})
    deal = partial(spark_rows._deal, asked, schema)
    return spark_packets.Packing(deal, schema, spark_packets.places(PARTS))


def received(packed: spark_packets.Packing, table: pa.Table) -> list[list[pa.RecordBatch]]:
    """What the task of each part is handed."""
    sent = list(packed(table.to_batches(max_chunksize=10_000)))
    return [[batch.filter(pa.array(np.asarray(batch["place"]) == place)) for batch in sent] for place in packed.places]


def through_tasks(asked: Request, table: pa.Table) -> dict[int, list[int]]:
    packed, found = packing(asked), dict[int, Any]()
    for part in received(packed, table):
        for batch in spark_rows._task(asked, packed.schema, CELLS, part):
            for cell, *values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                found[cell] = [a + b for a, b in zip(found.get(cell, [0] * len(values)), values, strict=True)]
    return found


def at_one_place(asked: Request, table: pa.Table) -> Sums:
    cell = table["cell"].to_numpy().copy()
    table = canonical(table, asked)
    bound(table, cell, asked)
    return add_up(table, cell, asked, n=CELLS)


@pytest.mark.parametrize("kind", [Type.STRING, Type.INTEGER])
@pytest.mark.parametrize("statistics", [(Count(),), (Count(), X)])
def test_sums_are_those_of_one_place(statistics: tuple[Statistic, ...], kind: Type) -> None:
    asked = request(statistics, kind)
    units = np.random.default_rng(1).integers(0, 60_000, 280_000)
    units[np.random.default_rng(2).random(280_000) < 0.4] = 7
    table = rows(asked, units)
    expected = at_one_place(asked, table)
    found = through_tasks(asked, table)
    assert found == {int(cell): values for cell, values in zip(expected.cells, expected.values.T.tolist(), strict=True)}


def test_each_row_is_in_the_part_of_its_unit_and_most_of_a_heavy_unit_stay_where_they_are() -> None:
    asked = request((Count(),))
    units = np.random.default_rng(1).integers(0, 60_000, 280_000)
    even = packing(asked)
    parts = [spark_packets.unpacked(part, even.schema) for part in received(even, rows(asked, units))]
    assert sum(map(len, parts)) == len(units)
    seen = [set(part["c0"].to_pylist()) for part in parts]
    assert sum(map(len, seen)) == len(set.union(*seen)) == len(set(units))
    units[np.arange(len(units)) % 5 < 2] = 7
    parts = [spark_packets.unpacked(part, even.schema) for part in received(even, rows(asked, units))]
    chunks = -(-len(units) // spark_packets.CHUNK)
    assert sum(part["c0"].to_pylist().count("user 7") for part in parts) <= 6 * chunks
    assert sum(map(len, parts)) < 0.7 * len(units)


def test_a_packet_is_of_few_rows() -> None:
    asked = request((Count(),))
    sent = list(packing(asked)(rows(asked, np.full(40_000, 3)).to_batches()))
    schema, places = pa.schema({"x": pa.int64()}), spark_packets.places(3)
    many = spark_packets.Packing(lambda table, _: (table, np.zeros(len(table), np.uint8)), schema, places)
    (batch,) = many(pa.table({"x": np.arange(40_000)}).to_batches())
    assert sum(batch.num_rows for batch in sent) == 1 and batch.num_rows == 3
    assert spark_packets.unpacked([batch], schema)["x"].to_pylist() == list(range(40_000))


def test_a_packet_that_lies_askew_is_read_too() -> None:
    schema = pa.schema({"x": pa.int64()})
    packet = pa.RecordBatch.from_arrays([pa.array([1, 2, 3])], schema=schema).serialize().to_pybytes()
    askew = pa.RecordBatch.from_arrays([pa.array([b"one", packet])], ["packet"]).slice(1)
    values = spark_packets.unpacked([askew], schema)["x"].chunk(0).to_numpy()
    assert values.tolist() == [1, 2, 3] and values.flags.aligned


def test_no_rows() -> None:
    asked = request((Count(),))
    packed = packing(asked)
    assert list(packed([])) == []
    assert list(spark_rows._task(asked, packed.schema, CELLS, [])) == []
