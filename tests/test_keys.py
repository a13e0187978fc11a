"""Public keys: products that stay factored, one order, one cell for each key, and refusals."""

from __future__ import annotations

import datetime
import itertools
import math
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dpframe as dp
from dpframe.backends.exact import locate
from dpframe.errors import ColumnTypeError, KeysError
from dpframe.keys import MOST_CELLS, Keys
from dpframe.plan import Column, Schema, Type

DAY = datetime.date(2024, 2, 29)

SCHEMA = Schema(
    tuple(
        Column(name, f"c{at}", type_)
        for at, (name, type_) in enumerate(
            {
                "text": Type.STRING,
                "int": Type.INTEGER,
                "bool": Type.BOOLEAN,
                "day": Type.DATE,
                "float": Type.FLOAT,
                "when": Type.TIMESTAMP,
                "other": Type.OTHER,
            }.items()
        )
    ),
    width=7,
)


def rows(keys: Keys, order: list[str] | None = None) -> list[tuple[Any, ...]]:
    keys = keys.arranged(order or keys.columns)
    return list(zip(*(values.to_pylist() for values in keys.rows(np.arange(len(keys))).values()), strict=True))


def test_a_product_has_every_combination_in_order() -> None:
    keys = dp.keys({"b": ["y", None, "x"]}) * dp.keys({"a": [2, 1]})
    assert keys.columns == ("b", "a") and len(keys) == 6
    assert rows(keys) == [(None, 1), (None, 2), ("x", 1), ("x", 2), ("y", 1), ("y", 2)]
    # In another order of columns it is sorted, and numbered, anew.
    assert rows(keys, ["a", "b"]) == [(1, None), (1, "x"), (1, "y"), (2, None), (2, "x"), (2, "y")]


def test_factors_whose_columns_interleave_are_multiplied_out(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = dp.keys(pd.DataFrame({"a": [1, 1, 2], "c": [1, 2, 1]}))
    keys = (pairs * dp.keys({"b": ["x", "y"], "d": [0, 1]})).arranged(["a", "b", "c", "d"])
    assert [list(factor.domains) for factor in keys.factors] == [["a", "b", "c"], ["d"]]
    assert rows(keys)[:5] == [(1, "x", 1, 0), (1, "x", 1, 1), (1, "x", 2, 0), (1, "x", 2, 1), (1, "y", 1, 0)]
    monkeypatch.setattr(import_module("dpframe.keys.factor"), "MOST_CELLS", 100)
    many = dp.keys({"b": range(40)}) * pairs
    with pytest.raises(KeysError, match="120 keys are too many to multiply out"):
        many.arranged(["a", "b", "c"])


def test_a_great_product_is_counted_without_being_listed() -> None:
    twenty = dp.keys({f"k{at}": [1, 2, 3] for at in range(20)})
    assert len(twenty) == 3**20 == 3_486_784_401
    assert repr(twenty).endswith("3,486,784,401 keys)")
    assert sum(len(factor.domains) for factor in twenty.factors) == 20
    # Python's own len() ends at 2**63 - 1; what is beyond is still counted, and refused as too many.
    beyond = twenty * dp.keys({f"l{at}": [1, 2, 3] for at in range(21)})
    assert f"{3**41:,} keys" in repr(beyond)
    schema = Schema(tuple(Column(name, f"c{at}", Type.INTEGER) for at, name in enumerate(beyond.columns)), 41)
    with pytest.raises(KeysError, match="too many"):
        beyond.fit(schema)


def test_too_many_keys_are_refused() -> None:
    side = 7072
    assert side**2 > MOST_CELLS
    private = pd.DataFrame({"a": [1], "b": [1]}).dp.protect()
    query = private.groupby("a", "b", keys={"a": range(side), "b": range(side)}).count()
    with dp.Budget(epsilon=1) as budget:
        with pytest.raises(KeysError, match="50,013,184 keys are too many for a row each"):
            query.release(epsilon=1)
        assert budget.spent == 0


def canonical(values: pa.Array) -> pa.Array:
    return values.dictionary_encode() if pa.types.is_large_string(values.type) else values


VALUES = {
    "text": st.text(st.characters(exclude_categories=["Cs"]), max_size=3),
    "int": st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
    "day": st.dates(),
}


@st.composite
def factored(draw: st.DrawFn) -> Keys:
    """A product of up to three factors, listed ones and frames, over columns of every kind."""
    sets = []
    for at in range(draw(st.integers(1, 3))):
        kinds = draw(st.lists(st.sampled_from(sorted(VALUES)), min_size=1, max_size=2))
        names = [f"{kind}{at}{place}" for place, kind in enumerate(kinds)]
        if len(kinds) == 1:
            values = draw(st.lists(st.none() | VALUES[kinds[0]], min_size=1, max_size=4, unique=True))
            sets.append(dp.keys({names[0]: values}))
        else:
            row = st.tuples(*(st.none() | VALUES[kind] for kind in kinds))
            listed = draw(st.lists(row, min_size=1, max_size=6))
            types = {"text": pa.string(), "int": pa.int64(), "bool": pa.bool_(), "day": pa.date32()}
            columns = zip(*listed, strict=True)
            sets.append(
                dp.keys(pa.table({n: pa.array(c, types[k]) for n, k, c in zip(names, kinds, columns, strict=True)}))
            )
    return math.prod(sets, start=Keys(()))


@settings(max_examples=150, deadline=None)
@given(factored(), st.randoms(use_true_random=False))
def test_every_key_is_found_in_its_own_cell(keys: Keys, random: Any) -> None:
    order = list(keys.columns)
    random.shuffle(order)
    listed = rows(keys, order)
    keys = keys.arranged(order)
    cells = np.arange(len(keys))
    columns = {name: canonical(values) for name, values in keys.rows(cells).items()}
    assert len(set(listed)) == len(listed) == len(keys)
    # Sorted by the columns in that order, nulls first, text by code point.
    assert listed == sorted(listed, key=lambda row: [(value is not None, value) for value in row])
    fitted = [name for name in order if not pa.types.is_null(columns[name].type)]
    if fitted == order:
        assert locate(keys, pa.table(columns)).tolist() == cells.tolist()


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1),
    st.lists(st.tuples(st.none() | st.integers(0, 4), st.none() | st.integers(0, 4), st.integers(0, 4)), min_size=1),
)
def test_a_row_of_no_key_is_nowhere(pairs: list[tuple[int, int]], data: list[tuple[Any, ...]]) -> None:
    keys = dp.keys(pd.DataFrame(pairs, columns=["a", "b"])) * dp.keys({"c": [1, 3]})
    wanted = sorted({(a, b, c) for a, b in pairs for c in (1, 3)})
    columns = {name: pa.array([row[at] for row in data], pa.int64()) for at, name in enumerate("abc")}
    found = locate(keys, pa.table(columns)).tolist()
    assert found == [wanted.index(row) if row in wanted else -1 for row in data]


BAD: dict[str, Any] = {
    "duplicates": ["a", "b", "a"],
    "two nulls": [None, None],
    "floats": [1.5],
    "whole floats": [1.0, 2.0],
    "NaN": [float("nan")],
    "integers and text": [1, "a"],
    "integers and booleans": [1, True],
    "dates and text": [DAY, "2024-02-29"],
    "nothing": [],
    "one text": "abc",
    "one number": 5,
    "bytes": [b"a"],
    "lists": [[1]],
    "a time of day": [datetime.datetime(2024, 1, 1, 12)],
    "66 bits": [2**65],
    "half a surrogate pair": ["\ud800"],
}


@pytest.mark.parametrize("bad", BAD.values(), ids=list(BAD))
def test_what_is_no_key_is_refused(bad: Any) -> None:
    private = pd.DataFrame({"text": ["a"]}).dp.protect()
    for attempt in (
        lambda: dp.keys({"k": bad}),
        lambda: private.groupby("text", keys={"text": bad}),
        lambda: pd.DataFrame({"text": ["a"]}).dp.protect(keys={"text": bad}),
    ):
        with pytest.raises(KeysError):
            attempt()


def test_keys_of_a_frame_are_its_distinct_rows() -> None:
    frame = pd.DataFrame({"a": ["x", "y", "x", "y"], "b": pd.array([2, None, 2, 1], dtype="Int64")})
    assert rows(dp.keys(frame)) == [("x", 2), ("y", None), ("y", 1)]
    assert rows(frame.dp.keys("a")) == [("x",), ("y",)]
    assert rows(frame.dp.keys("b", "a")) == [(None, "y"), (1, "y"), (2, "x")]
    assert rows(dp.keys(pd.DataFrame({"c": pd.Categorical(["q", "p", "q"])}))) == [("p",), ("q",)]
    assert rows(dp.keys(pa.table({"d": pa.array([None, None], pa.string())}))) == [(None,)]
    days = pd.DataFrame({"day": pd.to_datetime(["2024-02-29", "2023-01-01"])})
    assert rows(dp.keys(days)) == [(datetime.date(2023, 1, 1),), (DAY,)]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame({"a": []}),
        pd.DataFrame({"a": [0.5]}),
        pd.DataFrame({"a": [[1], [2]]}),
        pd.DataFrame([[1, 2]], columns=["a", "a"]),
        pd.DataFrame({"a": [b"x"]}),
        pd.DataFrame(index=[1, 2]),
        pd.Series([1]),
        3,
    ],
    ids=["no rows", "floats", "lists", "a name twice", "bytes", "no columns", "a series", "a number"],
)
def test_a_frame_without_keys_is_refused(frame: Any) -> None:
    with pytest.raises(KeysError):
        dp.keys(frame)


def test_numpy_and_pandas_values_are_plain_keys() -> None:
    assert rows(dp.keys({"k": np.array([3, 1], np.int16)})) == [(1,), (3,)]
    assert rows(dp.keys({"k": pd.Series(["b", "a"])})) == [("a",), ("b",)]
    assert rows(dp.keys({"k": pd.to_datetime(["2024-02-29"])})) == [(DAY,)]
    assert rows(dp.keys({"k": np.array(["2024-02-29"], "datetime64[ns]")})) == [(DAY,)]
    assert rows(dp.keys({"k": [DAY, pd.NaT]})) == [(None,), (DAY,)]
    assert rows(dp.keys({"k": [np.True_, False, None]})) == [(None,), (False,), (True,)]


def test_a_product_needs_distinct_columns() -> None:
    with pytest.raises(KeysError, match="'b'"):
        dp.keys({"a": [1], "b": [1]}) * dp.keys({"b": [2]})
    with pytest.raises(TypeError):
        dp.keys({"a": [1]}) * 3  # type: ignore[operator]


GOOD = {"text": ["a", None], "int": [1, None], "bool": [True, None], "day": [DAY, None]}


@pytest.mark.parametrize(("name", "kind"), list(itertools.product([column.name for column in SCHEMA], GOOD)))
def test_keys_fit_a_column_of_their_own_type_only(name: str, kind: str) -> None:
    keys = dp.keys({name: GOOD[kind]})
    if name == kind:
        fitted = keys.fit(SCHEMA)
        assert fitted.columns == (SCHEMA[name].ref,) and rows(fitted) == rows(keys)
    else:
        with pytest.raises(ColumnTypeError, match=name):
            keys.fit(SCHEMA)


def test_keys_must_be_of_exactly_the_grouping_columns() -> None:
    private = pd.DataFrame({"a": [1], "b": ["x"]}).dp.protect(keys={"b": ["x", "y"]})
    for by, keys in ((["a"], {"b": ["x"]}), (["a"], {"a": [1], "b": ["x"]})):
        with pytest.raises(KeysError):
            private.groupby(*by, keys=keys)
    # Where a column has none, groups are found by a release, which needs a delta.
    with pytest.raises(KeysError, match="'a' has no public keys"):
        query = private.groupby("a", "b", keys={"b": ["x"]}).count()
        query.release(epsilon=1, budget=dp.Budget(epsilon=1))
    # Declared keys fill in what is left out, and given ones go before declared ones.
    assert len(private.groupby("a", "b", keys={"a": [1, 2, 3]}).keys) == 6
    assert len(private.groupby("b", keys=["x"]).keys) == 1
