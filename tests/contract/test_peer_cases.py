"""What Tumult Analytics, the peer, does, as tables of cases; and what dpframe does instead where it differs.

Most cases are exact answers under an unlimited budget; the scales of noise are those of the plan. Where an answer is
not the peer's, the case says what the peer's is, and docs/coming-from-tumult.md says why. What looks at no data, keys,
noise, refusals and charges, is in tests/test_peer_plans.py.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from engines import Engine, exactly

import dpframe as dp
from dpframe import errors

NAN, INF = math.nan, math.inf
DAY, NEXT = datetime.date(2024, 2, 29), datetime.date(2024, 3, 1)
NOON = datetime.datetime(2024, 2, 29, 12)

SCHEMA = "id string, g string, n bigint, x double, p boolean, d date, t timestamp"
ROWS = [
    ("ann", "a", 1, 0.5, True, DAY, NOON),
    ("ann", "a", 2, NAN, False, NEXT, NOON),
    ("bob", "b", None, INF, None, None, None),
    ("cho", None, 4, -INF, True, DAY, NOON.replace(hour=13)),
    ("dee", "a", 5, -0.0, False, DAY, NOON),
    (None, "b", 6, None, True, NEXT, NOON),
]
KINDS = {"id": "object", "g": "object", "n": "Int64", "x": "float64", "p": "boolean"}
KINDS |= {"d": "date32[pyarrow]", "t": "datetime64[us]"}


def table(engine: Engine, rows: list[Any], schema: str) -> Any:
    """A frame of the engine; on pandas of columns that can hold what the rows do."""
    if engine.name != "pandas":
        return engine.frame(rows, schema)
    columns = dict(zip([field.split()[0] for field in schema.split(", ")], zip(*rows, strict=True), strict=True))
    return pd.DataFrame({name: pd.Series(list(each), dtype=KINDS[name]) for name, each in columns.items()})


@pytest.fixture(scope="module")
def frame(engine: Engine) -> Any:
    zoned = [(*row[:6], row[6] and row[6].replace(tzinfo=datetime.UTC)) for row in ROWS]
    return table(engine, ROWS if engine.name == "pandas" else zoned, SCHEMA)


def answers(engine: Engine, query: Any) -> list[Any]:
    """The answers of all groups; of several aggregates, row by row."""
    rows = engine.rows(exactly(query)).drop(columns=list(query.question.by))
    return [value.item() if hasattr(value, "item") else value for row in rows.itertuples(index=False) for value in row]


Steps = Callable[[Any], Any]
"""From a private frame to another, or to its groups."""

GROUPS = [None, "a", "b", "z"]


def check(engine: Engine, private: Any, asked: dict[str, tuple[Any, Any]]) -> None:
    """That the aggregates give what is expected of each, of all groups, in one release."""
    names = {f"answer {at}": case for at, case in enumerate(asked)}
    query = private.agg(**{name: asked[case][0] for name, case in names.items()})
    found = engine.rows(exactly(query))
    for name, case in names.items():
        expected = asked[case][1]
        assert list(found[name]) == pytest.approx(
            expected if isinstance(expected, list) else [expected], abs=1e-6, nan_ok=True
        ), case


MISSING: dict[str, tuple[Steps, dict[str, tuple[Any, Any]]]] = {
    "all rows": (
        lambda f: f,
        {
            "every row counts": (dp.count(), 6),
            "NaN adds nothing to a sum, infinities are clamped": (dp.sum("x", -1, 2), 1.5),
            "nor to a mean": (dp.mean("x", -1, 2), 0.375),
            "nor to quantiles": (dp.max("x", -1, 2), 2.0),
            "the least is clamped": (dp.min("x", -1, 2), -1.0),
            "null is a distinct value": (dp.count_distinct("n"), 6),
            "and part of distinct rows": (dp.count_distinct("g", "p"), 5),
            # 6 for the peer: null and NaN are one and the same here.
            "null and NaN are one distinct value": (dp.count_distinct("x"), 5),
            "no columns are all columns": (dp.count_distinct(), 6),
        },
    ),
    "groups": (
        lambda f: f.groupby("g", keys=GROUPS),
        {
            "null is a key, a key without rows is 0": (dp.count(), [1, 3, 2, 0]),
            "a null measure adds nothing, others are clamped": (dp.sum("n", 0, 5), [4, 8, 5, 0]),
            # The peer's mean of no rows is the midpoint, 11 here.
            "a mean of no values": (dp.mean("n", 0, 22), [4, 8 / 3, 6, NAN]),
        },
    ),
    "some keys": (
        lambda f: f.groupby("g", keys=["b", "z"]),
        {"rows of other keys are dropped": (dp.count(), [2, 0])},
    ),
    "only null": (
        lambda f: f.filter("n is null"),
        {
            "a count": (dp.count(), 1),
            "a sum": (dp.sum("n", 0, 9), 0),
            "a variance": (dp.var("n", 0, 9), NAN),
            "a distinct value": (dp.count_distinct("n"), 1),
        },
    ),
    "drop_null": (lambda f: f.drop_null("n"), {"rows": (dp.count(), 5), "sum": (dp.sum("n", 0, 9), 18)}),
    "drop_null of doubles": (lambda f: f.drop_null("x"), {"NaN goes too": (dp.count(), 4)}),
    "drop_null of every column": (lambda f: f.drop_null(), {"rows": (dp.count(), 2)}),
    "drop_inf": (lambda f: f.drop_inf("x"), {"null and NaN stay": (dp.count(), 4)}),
    "drop_inf of every column": (lambda f: f.drop_inf(), {"rows": (dp.count(), 4)}),
    "fill_null": (
        lambda f: f.fill_null(n=10, x=1),
        {"null": (dp.sum("n", 0, 10), 28), "NaN too": (dp.sum("x", 0, 2), 4.5)},
    ),
    # The default is 1970-01-01 in every time zone; the peer's is what the driver's clock shows then.
    "fill_null of every column": (
        lambda f: f.fill_null().filter(
            "g = '' or n = 0 or x = 0 or d = '1970-01-01' or t = timestamp '1970-01-01' or not p"
        ),
        {"rows": (dp.count(), 5), "ids of rows are filled": (dp.count_distinct("id"), 5)},
    ),
    "fill_inf": (lambda f: f.fill_inf(x=(-2, 3)), {"sum": (dp.sum("x", -9, 9), 1.5)}),
    # The peer refuses a null key after these two; here it is a key without rows.
    "a null key after fill_null": (
        lambda f: f.fill_null(g="z").groupby("g", keys=GROUPS),
        {"rows": (dp.count(), [0, 3, 2, 1])},
    ),
    "a null key after drop_null": (
        lambda f: f.drop_null("g").groupby("g", keys=GROUPS),
        {"rows": (dp.count(), [0, 3, 2, 0])},
    ),
    "a condition on null is not true": (lambda f: f.filter("g <> 'a'"), {"rows": (dp.count(), 2)}),
    "null is null, and <=> null": (lambda f: f.filter("g is null or n <=> null"), {"rows": (dp.count(), 2)}),
    "dates are keys": (lambda f: f.groupby("d", keys=[None, DAY, NEXT]), {"rows": (dp.count(), [1, 3, 2])}),
    # The peer's keys are text, integers and dates.
    "booleans are keys": (lambda f: f.groupby("p", keys=[None, False, True]), {"rows": (dp.count(), [1, 2, 3])}),
    "integers are keys": (lambda f: f.groupby("n", keys=[None, 1, 7]), {"rows": (dp.count(), [1, 1, 0])}),
}


@pytest.mark.parametrize("case", MISSING)
def test_null_nan_and_infinity(engine: Engine, frame: Any, case: str) -> None:
    steps, asked = MISSING[case]
    check(engine, steps(frame.dp.protect()), asked)


EXACT: dict[str, tuple[Steps, dict[str, tuple[Any, Any]]]] = {
    "{0, 10}": (
        lambda f: f.filter("n in (1, 6)"),
        {
            # The peer: 25 and 5, clamped to (high - low)²/4 as if the sample were everything.
            "variance": (dp.var("y", 0, 10), 50),
            "deviation": (dp.std("y", 0, 10), 50**0.5),
            # The peer draws within an interval, also without noise: 2.44, 4.09 and 9.62.
            "median": (dp.median("y", 0, 10), 5),
            "min": (dp.min("y", 0, 10), 0),
            "max": (dp.max("y", 0, 10), 10),
            "min beyond the bounds": (dp.min("y", 3, 5), 3),
            "max beyond the bounds": (dp.max("y", 3, 5), 5),
        },
    ),
    "{5}": (lambda f: f.filter("n = 1"), {"variance": (dp.var("n", 0, 9), NAN), "median": (dp.median("n", 0, 9), 1)}),
    # The peer: 5.0 as the mean on [0, 10], and any number as the median.
    "no rows": (
        lambda f: f.filter("n > 99"),
        {
            "count": (dp.count(), 0),
            "sum": (dp.sum("n", 0, 9), 0),
            "mean": (dp.mean("n", 0, 9), NAN),
            "median": (dp.median("n", 0, 9), NAN),
            "min": (dp.min("n", 0, 9), NAN),
            "variance": (dp.var("n", 0, 9), NAN),
        },
    ),
    "{0, 2, 6, 8, 10}": (
        lambda f: f.drop_null("n"),
        {
            "quantile 0": (dp.quantile("y", 0, 0, 10), 0),
            "quantile 0.25": (dp.quantile("y", 0.25, 0, 10), 2),
            "quantile 1": (dp.quantile("y", 1, 0, 10), 10),
            "sum": (dp.sum("n", -5, 9), 18),
            "bounds between integers go inwards": (dp.sum("n", 1.5, 4.5), 2 + 2 + 4 + 4 + 4),
        },
    ),
    "large integers": (
        lambda f: f.assign(n="n + 9007199254740992").filter("n % 2 = 1"),
        {"2^53 + 1 is odd": (dp.count(), 2)},
    ),
}


@pytest.mark.parametrize("case", EXACT)
def test_exact_answers(engine: Engine, frame: Any, case: str) -> None:
    steps, asked = EXACT[case]
    check(engine, steps(frame.dp.protect().assign(y="(n - 1) * 2.0")), asked)


def test_bounds_are_those_of_finite_values(engine: Engine, frame: Any) -> None:
    """The peer's are symmetric, (-1, 1) and (-8, 8)."""
    private = frame.dp.protect()
    assert answers(engine, private.agg(dp.bounds("x"), dp.bounds("n"))) == [0.0, 1.0, 1.0, 8.0]


def test_the_answers_types_are_the_plans(engine: Engine, frame: Any) -> None:
    """Counts and sums of integers are integers, all else is double."""
    query = frame.dp.protect().agg(
        c=dp.count(),
        u=dp.count_distinct("g"),
        i=dp.sum("n", 0, 9),
        f=dp.sum("x", 0, 9),
        m=dp.mean("n", 0, 9),
        v=dp.var("n", 0, 9),
        q=dp.median("n", 0, 9),
    )
    types = [str(type_) for type_ in engine.rows(exactly(query)).dtypes]
    assert types == ["int64"] * 3 + ["float64"] * 4


def test_the_names_of_answers() -> None:
    private = pd.DataFrame({"x": [1.0]}).dp.protect()
    # The peer: count, count_distinct, x_sum, x_average, x_variance, x_stdev, x_quantile(0.25), x_median, x_min, x_max.
    asked = [
        *(private.count(), private.count_distinct("x"), private.sum("x", 0, 1), private.mean("x", 0, 1)),
        *(private.var("x", 0, 1), private.std("x", 0, 1), private.quantile("x", 0.25, 0, 1), private.median("x", 0, 1)),
        *(private.min("x", 0, 1), private.max("x", 0, 1)),
    ]
    assert [list(exactly(query).columns) for query in asked] == [
        *(["count"], ["count_distinct"], ["x_sum"], ["x_mean"], ["x_var"], ["x_std"], ["x_quantile_0.25"]),
        *(["x_median"], ["x_min"], ["x_max"]),
    ]


BINS: dict[str, tuple[dict[str, Any], list[str | None], list[int]]] = {
    "closed on the right, the first on both ends": (
        {"column": "n", "edges": [1, 2, 5]},
        ["[1, 2]", "(2, 5]"],
        [2, 2],
    ),
    "not the first": ({"column": "n", "edges": [1, 2, 5], "include_both": False}, ["(1, 2]", "(2, 5]"], [1, 2]),
    "closed on the left, the last on both ends": (
        {"column": "n", "edges": [1, 2, 5], "right": False},
        ["[1, 2)", "[2, 5]"],
        [1, 3],
    ),
    "not the last": (
        {"column": "n", "edges": [1, 2, 5], "right": False, "include_both": False},
        ["[1, 2)", "[2, 5)"],
        [1, 2],
    ),
    "names": ({"column": "n", "edges": [0, 2, 9], "labels": ["low", "high"]}, ["low", "high"], [2, 3]),
    "one name, one bin": (
        {"column": "n", "edges": [0, 1, 4, 6], "labels": ["end", "mid", "end"]},
        ["end", "mid"],
        [3, 2],
    ),
    # The peer's bin is NaN's alone; null, which is the same here, stays in none there.
    "a bin for NaN": ({"column": "x", "edges": [0, 1], "nan": "none"}, ["[0, 1]", "none"], [2, 2]),
    # The peer writes doubles with two digits or more.
    "doubles": ({"column": "x", "edges": [-1.0, 0.0, 0.5]}, ["[-1.0, 0.0]", "(0.0, 0.5]"], [1, 1]),
    "dates": (
        {"column": "d", "edges": [DAY, "2024-03-01", "2024-03-02"], "right": False},
        ["[2024-02-29, 2024-03-01)", "[2024-03-01, 2024-03-02]"],
        [3, 2],
    ),
    "text": ({"column": "g", "edges": ["a", "b", "c"], "right": False}, ["['a', 'b')", "['b', 'c']"], [3, 2]),
    "times": (
        {"column": "t", "edges": ["2024-02-29 12:00", "2024-02-29 13:00", "2024-02-29 14:00"], "right": False},
        ["[2024-02-29 12:00, 2024-02-29 13:00)", "[2024-02-29 13:00, 2024-02-29 14:00]"],
        [4, 1],
    ),
    "days of times": ({"column": "t", "edges": [DAY, NEXT]}, ["[2024-02-29, 2024-03-01]"], [5]),
}


ON_SPARK = ["closed on the right, the first on both ends", "a bin for NaN", "times"]
"""tests/sql/test_cut.py has all the others there."""


def test_bins(engine: Engine, frame: Any) -> None:
    for case in BINS if engine.name == "pandas" else ON_SPARK:
        how, labels, counts = BINS[case]
        found = engine.rows(exactly(frame.dp.protect().histogram(**how)))
        assert (list(found[f"{how['column']}_binned"]), list(found["count"])) == (labels, counts), case


def test_what_is_in_no_bin_is_null_and_can_be_counted(engine: Engine, frame: Any) -> None:
    """As ``spec.bins(include_null=True)`` does; out of range, null and NaN are one group then."""
    private = frame.dp.protect().assign(band=dp.cut("x", [0, 0.25, 1]))
    assert answers(engine, private.groupby("band").count()) == [1, 1]
    keys = dp.keys({"band": [None, "[0, 0.25]", "(0.25, 1]"]})
    assert sorted(answers(engine, private.groupby("band", keys=keys).count())) == [1, 1, 4]


LOG = [("u", g) for g in "aaabbc"] + [("v", "a"), ("v", "b"), ("w", "c"), (None, "a")]
KEYS = ["a", "b", "c"]

TRUNCATED: dict[str, tuple[list[dict[str, Any]], list[str], int]] = {
    "MaxRowsPerID(1)": ([{"rows": 1}], KEYS, 3),
    "MaxRowsPerID(2)": ([{"rows": 2}], KEYS, 5),
    "MaxRowsPerID(99)": ([{"rows": 99}], KEYS, 9),
    "the least of two": ([{"rows": 99}, {"rows": 2}], KEYS, 5),
    "MaxGroups(g, 1), MaxRowsPerGroup(g, 1)": ([{"groups": 1, "rows_per_group": 1}], KEYS, 3),
    "MaxGroups(g, 2), MaxRowsPerGroup(g, 1)": ([{"groups": 2, "rows_per_group": 1}], KEYS, 5),
    "MaxGroups(g, 3), MaxRowsPerGroup(g, 2)": ([{"groups": 3, "rows_per_group": 2}], KEYS, 8),
    "MaxGroups(g, 99), MaxRowsPerGroup(g, 99)": ([{"groups": 99, "rows_per_group": 99}], KEYS, 9),
    "groups and rows": ([{"groups": 3, "rows_per_group": 2}, {"rows": 3}], KEYS, 6),
    # The peer bounds first and may keep a row of b or c, so that nothing is left to count.
    "rows of other keys use up no bound": ([{"rows": 1}], ["a"], 2),
    "groups of other keys use up no bound": ([{"groups": 1, "rows_per_group": 9}], ["a"], 4),
    "of other columns": ([{"groups": 1, "rows_per_group": 9, "by": ["id"]}], KEYS, 9),
}


@pytest.fixture(scope="module")
def log(engine: Engine) -> Any:
    return table(engine, LOG, "id string, g string")


def test_truncation(engine: Engine, log: Any) -> None:
    for case in list(TRUNCATED)[:: 1 if engine.name == "pandas" else 4]:
        bounds, keys, rows = TRUNCATED[case]
        private = log.dp.protect(id="id")
        for bound in bounds:
            private = private.bound(**bound)
        assert sum(answers(engine, private.groupby("g", keys=keys).count())) == rows, case


def test_distinct_ids(engine: Engine, log: Any) -> None:
    private = log.dp.protect(id="id")
    assert answers(engine, private.count_distinct("id")) == [3]
    assert answers(engine, private.bound(groups=3, rows_per_group=9).groupby("g", keys=KEYS).count_distinct("id")) == [
        *(2, 2, 2)
    ]
    one = private.bound(groups=1, rows_per_group=9).groupby("g", keys=KEYS).count_distinct("id")
    assert sum(answers(engine, one)) == 3


BOOKS = [("a", 1), ("a", 2), ("b", 3), (None, 4)]
LOANS = [("a", 10), ("a", 20), ("a", 30), ("b", 40), ("c", 50), (None, 60)]

MATCHED: dict[str, tuple[dict[str, Any], int]] = {
    "DropExcess(9), DropExcess(9)": ({"max_matches": (9, 9)}, 3 * 2 + 1 + 1),
    "DropExcess(2), DropExcess(1)": ({"max_matches": (2, 1)}, 2 * 1 + 1 + 1),
    "DropExcess(1), DropExcess(1)": ({"max_matches": (1, 1)}, 3),
    "DropNonUnique(), DropNonUnique()": ({"unique": True}, 2),
    "DropExcess(9), DropNonUnique()": ({"max_matches": (9, "unique")}, 2),
    "DropNonUnique(), DropExcess(9)": ({"max_matches": ("unique", 9)}, 2),
}


def test_private_joins(engine: Engine) -> None:
    loans, books = table(engine, LOANS, "g string, n bigint"), table(engine, BOOKS, "g string, n bigint")
    for how, rows in list(MATCHED.values())[:: 1 if engine.name == "pandas" else 4]:
        joined = loans.dp.protect().join(books.dp.protect(), "g", **how)
        assert joined.columns == ["g", "n_left", "n_right"]
        assert answers(engine, joined.count()) == [rows], how
    some = loans.dp.protect().filter("n <> 10 and n <> 20").join(books.dp.protect(), "g", max_matches=("unique", 9))
    assert answers(engine, some.count()) == [2 + 1 + 1]


def test_public_joins(engine: Engine, frame: Any) -> None:
    public = pd.DataFrame({"g": ["a", "b", "b", None], "x": [1.0, 2.0, 3.0, 4.0]}).astype({"g": object})
    private = frame.dp.protect().drop_null("n")
    inner, left = (private.join_public(public, "g", how).select("x_right", "x_left", "n") for how in ("inner", "left"))
    assert answers(engine, inner.agg(dp.count(), dp.sum("x_right", 0, 9))) == [3 + 2 + 1, 3 + 5 + 4]
    few = private.join_public(public[:1], "g", "left")
    assert answers(engine, few.agg(dp.count(), dp.sum("x_right", 0, 9), dp.count_distinct("x_right"))) == [5, 3, 2]
    assert answers(engine, left.count()) == [6]


def test_row_functions(engine: Engine, frame: Any) -> None:
    def later(row: Any) -> Any:
        return {"t": row["t"] + datetime.timedelta(hours=1), "n": row["n"]}  # fails where t is null

    private = frame.dp.protect()
    mapped = private.map(later, {"t": (datetime.datetime, NOON.replace(hour=0)), "n": int})
    assert mapped.columns == ["t", "n"]
    hours = mapped.assign(h="hour(t)").groupby("h", keys=[0, 12, 13, 14]).agg(dp.count(), dp.sum("n", 0, 9))
    assert answers(engine, hours) == [1, 0, 0, 0, 4, 14, 1, 4]
    flat = private.flat_map(lambda row: [{"k": k} for k in range(row["n"])], {"k": (int, -1)}, 5, augment=True)
    # A row without n, and the one whose call gives more than five, have one row of the constants each.
    assert answers(engine, flat.agg(dp.count(), dp.sum("k", -1, 9))) == [1 + 2 + 4 + 5 + 1 + 1, 0 + 1 + 6 + 10 - 1 - 1]
    by_id = frame.dp.protect(id="id").flat_map_by_id(lambda rows: [{"t": max(r["t"] for r in rows)}], {"t": "datetime"})
    assert answers(engine, by_id.bound(rows=1).filter("hour(t) = 12").count()) == [2]


def test_at_least_serves_counts_and_sums(engine: Engine, frame: Any) -> None:
    """As .suppress(threshold) does, which the peer has for grouped counts alone."""
    query = frame.dp.protect().groupby("g", keys=GROUPS).agg(dp.count(), dp.sum("n", 0, 9))
    assert engine.rows(exactly(query, at_least={"count": 2}))["g"].tolist() == ["a", "b"]
    assert engine.rows(exactly(query, at_least={"n_sum": 7}))["g"].tolist() == ["a"]


def test_averages_stay_within_their_bounds(engine: Engine, frame: Any) -> None:
    """The peer's mean of an empty group is 11 + noise on [0, 22]: -24.0 and 243.0 were seen."""
    query = frame.dp.protect().groupby("g", keys=[f"empty {i}" for i in range(300)]).mean("n", 0, 22)
    means = engine.rows(query.release(epsilon=0.1, ci=0.95, budget=dp.Budget(epsilon=1)))
    assert means["n_mean"].between(0, 22).all() and means["n_mean"].nunique() > 9
    assert means["n_mean_reliable"].mean() < 0.2


def test_groups_are_found_for_a_delta(engine: Engine) -> None:
    """Every kind of aggregate; the peer's count_distinct over found groups crashes."""
    large = table(engine, [("u", "a")] * 150 + [("v", "b")] * 2, "id string, g string")
    query = large.dp.protect().groupby("g").agg(dp.count(), d=dp.count_distinct("id"))
    found = engine.rows(query.release(epsilon=1, delta=1e-6, budget=dp.Budget(epsilon=1, delta=1e-6)))
    assert found["g"].tolist() == ["a"]
    for other in ({"rho": 1}, {"mu": 1}, {"epsilon": 1}):
        with pytest.raises(errors.DPFrameError, match="delta"):
            query.release(epsilon=0.5, delta=1e-6, budget=dp.Budget(**other))
