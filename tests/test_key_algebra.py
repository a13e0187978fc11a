"""The algebra of key sets: what it gives is what sets of tuples give, and products stay products."""

from __future__ import annotations

import datetime
import itertools
import math
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import dpframe as dp
from dpframe.errors import ColumnTypeError, ExpressionError, KeysError, UnknownColumnError
from dpframe.keys import Keys

DOMAINS: dict[str, list[Any]] = {
    "a": [None, 1, 2, 3],
    "b": [None, "x", "y", "é"],
    "c": [False, True, None],
    "d": [datetime.date(2024, 2, 29), datetime.date(1, 1, 1), None],
}


def plain(keys: Keys, order: tuple[str, ...] | None = None) -> set[tuple[Any, ...]]:
    """The keys as a set of tuples, which their own iteration gives, with the columns in some order."""
    names = keys.columns
    rows = [dict(zip(names, row, strict=True)) for row in keys]
    assert len(rows) == len(keys) == keys.size
    return {tuple(row[name] for name in order or sorted(names)) for row in rows}


@st.composite
def sets(draw: st.DrawFn, names: tuple[str, ...] = ("a", "b", "c", "d")) -> Keys:
    """Key sets over some of the columns, factored in some way."""
    left = list(draw(st.permutations(names)))
    made: list[Keys] = []
    while left:
        count = draw(st.integers(1, len(left)))
        mine, left = left[:count], left[count:]
        row = st.tuples(*(st.sampled_from(DOMAINS[name]) for name in mine))
        made.append(dp.keys(draw(st.lists(row, min_size=1, max_size=9)), columns=mine))
    return math.prod(made, start=Keys(()))


def subset(names: str = "abcd") -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(st.sampled_from(list(names)), min_size=1, unique=True).map(tuple)


@settings(max_examples=150, deadline=None)
@given(sets(), subset())
def test_a_projection_has_the_distinct_parts(keys: Keys, names: tuple[str, ...]) -> None:
    every = sorted(keys.columns)
    part = keys[names]
    assert set(part.columns) == set(names)
    assert plain(part, names) == {tuple(row[every.index(name)] for name in names) for row in plain(keys)}


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_what_is_taken_away_is_gone(data: st.DataObject) -> None:
    keys, names = data.draw(sets()), data.draw(subset())
    other = data.draw(sets(names))
    every, gone = sorted(keys.columns), plain(other, names)
    left = {row for row in plain(keys) if tuple(row[every.index(name)] for name in names) not in gone}
    assert plain(keys - other) == left
    assert set((keys - other).columns) == set(keys.columns)


@settings(max_examples=200, deadline=None)
@given(sets(), sets())
def test_unions_intersections_and_equality_are_those_of_sets(one: Keys, other: Keys) -> None:
    ours, theirs = plain(one), plain(other)
    assert plain(one | other) == ours | theirs
    assert plain(one & other) == ours & theirs
    assert (one == other) is (ours == theirs)
    assert ((one | other) - other == one - other) is True
    assert one == (one & other) | (one - other)
    rebuilt = dp.keys(sorted(ours, key=str), columns=sorted(one.columns))
    assert rebuilt == one
    assert hash(rebuilt) == hash(one)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_join_is_that_of_relations(data: st.DataObject) -> None:
    left, right = data.draw(subset()), data.draw(subset())
    shared = sorted(set(left) & set(right))
    ours, theirs = data.draw(sets(left)), data.draw(sets(right))
    if not shared:
        with pytest.raises(KeysError, match=r"Every key with every key is `\*`"):
            ours & theirs
        return
    joined = ours & theirs
    every = (*left, *(name for name in right if name not in left))
    wanted = set()
    for one, other in itertools.product(plain(ours, left), plain(theirs, right)):
        both = dict(zip(right, other, strict=True)) | dict(zip(left, one, strict=True))
        if all(both[name] == other[right.index(name)] for name in shared):
            wanted.add(tuple(both[name] for name in every))
    assert plain(joined, every) == wanted


CONDITIONS: dict[str, Callable[[Any, Any, Any, Any], Any]] = {
    "a >= 2": lambda a, b, c, d: a is not None and a >= 2,
    "a is null or b = 'x'": lambda a, b, c, d: a is None or b == "x",
    "a >= 2 and (b <> 'x' and c)": lambda a, b, c, d: None not in (a, b, c) and a >= 2 and b != "x" and c,
    "not (a = 1 and c)": lambda a, b, c, d: (a is not None and a != 1) or c is False,
    "d > '2000-01-01' and coalesce(a, 3) = 3": lambda a, b, c, d: d is not None and d.year > 2000 and a in (3, None),
    "1 = 2": lambda a, b, c, d: False,
    "1 = 1 and c <=> null": lambda a, b, c, d: c is None,
    "length(b) = a and true": lambda a, b, c, d: None not in (a, b) and a == len(b),
}


@settings(max_examples=80, deadline=None)
@given(sets(), st.sampled_from(sorted(CONDITIONS)))
def test_a_filter_means_what_it_means_in_a_chain(keys: Keys, condition: str) -> None:
    # A column of null alone has no type, and no condition can compare it.
    keys = keys | dp.keys({name: [DOMAINS[name][1]] for name in DOMAINS})
    true = CONDITIONS[condition]
    assert plain(keys.filter(condition)) == {row for row in plain(keys) if true(*row)}


@settings(max_examples=60, deadline=None)
@given(sets(), sets())
def test_what_comes_out_can_be_grouped_by(one: Keys, other: Keys) -> None:
    left = one - other
    by = sorted(one.columns)
    kinds = {"a": "Int64", "b": "object", "c": "boolean", "d": "date32[pyarrow]"}
    frame = pd.DataFrame({name: pd.array(DOMAINS[name][:3], dtype=kind) for name, kind in kinds.items()})
    grouped = frame.dp.protect().groupby
    if not len(left):
        with pytest.raises(KeysError, match="no keys left"):
            grouped(*by, keys=left)
        return
    answer = grouped(*by, keys=left).count().release(budget=dp.Budget.unlimited())
    key = [tuple(None if pd.isna(v) else v for v in row) for row in answer[by].itertuples(index=False, name=None)]
    assert set(key) == plain(left)
    assert len(key) == len(left)


def test_great_products_answer_at_once() -> None:
    twenty = dp.keys({f"k{at}": [1, 2, None] for at in range(20)})
    square = dp.keys({"page": range(65536)}) * dp.keys({"user": range(65536)})
    assert len(twenty) == 3**20
    assert len(square) == 65536**2
    assert len(twenty.filter("k3 > 1 and k7 is null")) == 3**18
    assert len(twenty[[f"k{at}" for at in range(0, 20, 2)]]) == 3**10
    assert len(twenty.rename({"k0": "first"}) - dp.keys({"first": [2]})) == 2 * 3**19
    assert len(twenty - dp.keys({f"k{at}": [1, 2, None] for at in range(19)} | {"k19": [1]})) == 2 * 3**19
    assert twenty == dp.keys({f"k{at}": [None, 2, 1] for at in reversed(range(20))})
    assert twenty != twenty.filter("k19 is not null")
    assert len(square - dp.keys({"user": range(100, 10**6)})) == 65536 * 100
    assert len(square | dp.keys({"user": range(65536, 65540), "page": range(65536)})) == 65536 * 65540
    assert len(square | dp.keys([(5, 5), (7, 7)], columns=["user", "page"])) == 65536**2
    assert len(square & dp.keys([(5, 5), (7, 7), (1, 70000)], columns=["user", "page"])) == 2
    assert len(square & dp.keys({"user": [3, -1]})) == 65536
    assert square - dp.keys([(-1, 1)], columns=["user", "page"]) == square
    assert not len(square - square)
    assert len(square.filter("page < 10 and user + 0 >= 65530")["user"]) == 6


def test_what_is_no_product_any_more_is_refused_when_it_is_too_much() -> None:
    square = dp.keys({"page": range(65536)}) * dp.keys({"user": range(65536)})
    corner = dp.keys([(5, 5)], columns=["page", "user"])
    too_many = r"4,294,967,296 keys are too many to multiply out: at most 50,000,000 may be, of the columns page, user"
    for attempt in (
        lambda: square - corner,
        lambda: square.filter("page < user"),
        lambda: square | dp.keys([(-5, 5)], columns=["page", "user"]),
    ):
        with pytest.raises(KeysError, match=too_many):
            attempt()
    # With what only these columns need, and no more.
    wide = dp.keys({"page": range(300), "user": range(300)}) * dp.keys({f"k{at}": [1, 2, 3] for at in range(20)})
    assert len(wide - corner) == (300**2 - 1) * 3**20
    assert len(wide.filter("page < user")) == 300 * 299 // 2 * 3**20
    pairs = dp.keys(pd.DataFrame({"a": range(10_000), "b": [0] * 9_999 + [1]}))
    with pytest.raises(KeysError, match="99,980,002 keys would come of this join"):
        pairs & pairs.rename({"a": "c"})


def test_a_listed_product_is_seen_to_be_one() -> None:
    listed = dp.keys(list(itertools.product([1, 2], ["x", "y"])), columns=["a", "b"])
    assert len(listed.factors) == 2
    corners = listed - dp.keys([(1, "x")], columns=["a", "b"])
    assert len(corners.factors) == 1
    assert corners | dp.keys([(1, "x")], columns=["a", "b"]) == listed
    # Two ways to pair four columns, of one and the same product.
    four = dp.keys({name: [1, 2, 3] for name in "abcd"})
    ab = dp.keys({"a": [1, 2, 3], "b": [1, 2, 3]}).arranged(["b", "a"])
    assert ab * dp.keys({"c": [3, 2, 1]}) * dp.keys({"d": [1, 2, 3]}) == four
    one = dp.keys([(1, 1), (2, 2)], columns=["a", "b"]) * dp.keys([(1, 1), (2, 2)], columns=["c", "d"])
    other = dp.keys([(1, 1), (2, 2)], columns=["a", "c"]) * dp.keys([(1, 1), (2, 2)], columns=["b", "d"])
    assert len(one) == len(other) == 4 and one != other


def test_equal_is_of_values_and_their_types() -> None:
    assert dp.keys({"a": [1]}) != dp.keys({"a": [True]})
    assert dp.keys({"a": [None]}) == dp.keys({"a": [None, "x"]}) - dp.keys({"a": ["x"]})
    assert dp.keys({"a": [1]}) != dp.keys({"b": [1]})
    assert dp.keys({"a": [1]}) != 1
    assert (dp.keys({"a": [1, None]}) == dp.keys({"a": [None, 1]})) is True
    nothing = dp.keys({"a": [1], "b": [1, 2]}) - dp.keys({"a": [1]})
    assert nothing == dp.keys({"b": [5], "a": [2]}).filter("b > 5") and nothing.columns == ("a", "b")
    assert nothing["b"].columns == ("b",) and not list(nothing) and len(nothing * dp.keys({"c": [1]})) == 0


def test_tuples() -> None:
    keys = dp.keys([("b", 2), ("a", None), ("b", 2)], columns=["level", "year"])
    assert list(keys) == [("a", None), ("b", 2)]
    frame = pd.DataFrame({"level": ["b", "b", "a"], "year": [2, 2, 3]})
    grouped = frame.dp.protect().groupby("level", "year", keys=[("b", 2), ("c", 9)])
    assert grouped.count().release(budget=dp.Budget.unlimited())["count"].tolist() == [2, 0]
    assert dp.keys(frame, columns=["year"]) == dp.keys({"year": [2, 3]})
    assert list(dp.keys([(np.int8(1), np.True_)], columns=("a", "b"))) == [(1, True)]
    for source, columns in [
        ([], ["a"]),
        ([(1, 2)], ["a"]),
        ([1, 2], ["a"]),
        (["ab"], ["a", "b"]),
        ([(1, 2)], ["a", "a"]),
        ([(1,)], "a"),
        ([(1,)], []),
        ([(1,)], [3]),
        ([(1.5,)], ["a"]),
        ([(1,), (True,)], ["a"]),
        ({"a": [1]}, ["a"]),
        (5, ["a"]),
    ]:
        with pytest.raises(KeysError):
            dp.keys(source, columns=columns)


def test_what_no_algebra_can_do_is_refused() -> None:
    keys = dp.keys({"a": [1, 2], "b": ["x", None]})
    with pytest.raises(KeysError, match="the column 'c', which these keys of a, b do not have"):
        keys - dp.keys({"a": [1], "c": [1]})
    with pytest.raises(KeysError, match="A union needs the same columns"):
        keys | dp.keys({"a": [1]})
    for attempt in (
        lambda: keys - dp.keys({"a": ["1"]}),
        lambda: keys | dp.keys({"a": [1], "b": [2]}),
        lambda: keys & dp.keys({"b": [True]}),
        lambda: keys.filter("a = 'x'"),
    ):
        with pytest.raises(ColumnTypeError):
            attempt()
    for attempt in (lambda: keys["c"], lambda: keys.rename({"c": "d"}), lambda: keys.filter("c = 1")):
        with pytest.raises(UnknownColumnError):
            attempt()
    for attempt in (
        lambda: keys[[]],
        lambda: keys["a", "a"],
        lambda: keys.rename({"a": "b"}),
        lambda: keys.rename({"a": 3}),  # type: ignore[dict-item]
        lambda: keys.rename({"a": None}),  # type: ignore[dict-item]
        lambda: keys.rename("a"),  # type: ignore[arg-type]
    ):
        with pytest.raises(KeysError):
            attempt()
    for text in ("sum(a) > 1", "a", "rand() > 0.5", ""):
        with pytest.raises(ExpressionError):
            keys.filter(text)
    for other in (3, {"a": [1]}):
        for operate in ("__sub__", "__or__", "__and__", "__mul__"):
            assert getattr(keys, operate)(other) is NotImplemented
    assert list(keys.rename({"a": "b", "b": "a"})["a"]) == [(None,), ("x",)]


def test_bins_keep_their_order_through_the_algebra() -> None:
    private = pd.DataFrame({"age": [5, 95]}).dp.protect().assign(band=dp.cut("age", [0, 9, 10, 100]))
    bins = private.groupby("band").keys
    some = bins - dp.keys({"band": ["(9, 10]"]})
    assert [label for (label,) in some] == ["[0, 9]", "(10, 100]"]
    assert [label for (label,) in some | dp.keys({"band": ["[0, 9]"]})] == ["[0, 9]", "(10, 100]"]
    assert private.groupby("band", keys=some).count().release(budget=dp.Budget.unlimited())["count"].tolist() == [1, 1]


def test_multiplying_out_is_limited_where_factors_interleave(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(import_module("dpframe.keys.factor"), "MOST_CELLS", 100)
    keys = dp.keys({"a": range(20), "b": range(20)})
    with pytest.raises(KeysError, match="The condition compares columns of several factors, a, b, and 400 keys"):
        keys.filter("a < b and a < 5 or b < 3")
    assert len(keys.filter("a < 5 and b < 7 and a < b")) == 20
