"""Every type of column that engines have: read alike, whatever its width, zone or encoding."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from engines import Engine, exactly

import dpframe as dp

UTC = datetime.UTC

SMALL = [3, 0, 100, None, 3]
PANDAS_INTEGERS = [f"{sign}nt{bits}" for sign in ("I", "UI") for bits in (8, 16, 32, 64)]
ARROW_INTEGERS = [
    pd.ArrowDtype(pa.type_for_alias(f"{sign}int{bits}")) for sign in ("", "u") for bits in (8, 16, 32, 64)
]
ENCODED = [
    "category",
    pd.ArrowDtype(pa.dictionary(pa.int8(), pa.int32())),
    pd.ArrowDtype(pa.dictionary(pa.int16(), pa.uint64())),
]


def integers(engine: Engine) -> dict[str, Any]:
    if engine.name != "pandas":
        kinds = ("tinyint", "smallint", "int", "bigint")
        return {kind: engine.frame([(value,) for value in SMALL], f"x {kind}") for kind in kinds}
    columns = {str(kind): pd.array(SMALL, dtype=kind) for kind in [*PANDAS_INTEGERS, *ARROW_INTEGERS]}
    columns |= {f"encoded {kind}": pd.Series(pd.array(SMALL, dtype="Int32")).astype(kind) for kind in ENCODED[:1]}
    columns |= {
        str(kind): pd.Series(pd.arrays.ArrowExtensionArray(pa.array(SMALL, kind.pyarrow_dtype))) for kind in ENCODED[1:]
    }
    return {name: pd.DataFrame({"x": column}) for name, column in columns.items()}


def test_integers_of_every_width(engine: Engine) -> None:
    for name, frame in integers(engine).items():
        private = frame.dp.protect()
        assert private.plan.schema["x"].type.value == "integer", name
        assert engine.rows(exactly(private.sum("x", 0, 50)))["x_sum"].tolist() == [56], name
        keys = exactly(private.groupby("x", keys=[None, 0, 3, 7]).count())
        assert engine.rows(keys)["count"].tolist() == [1, 1, 2, 0], name
        assert engine.rows(exactly(private.filter("x % 2 = 1").assign(y="x * x").sum("y", 0, 100)))["y_sum"][0] == 18


DECIMALS = [Decimal("0.3"), Decimal("-2.675"), None, Decimal("123456789012345678.123456789012345678"), Decimal("1.1")]


def test_decimals_are_the_nearest_doubles(engine: Engine) -> None:
    """On every engine the same ones: 0.3 is 0.3, and not the double above it."""
    type_ = pa.decimal128(38, 18)
    if engine.name == "pandas":
        frame: Any = pd.DataFrame({"x": pd.Series(DECIMALS, dtype=pd.ArrowDtype(type_))})
    else:
        frame = engine.frame([(value,) for value in DECIMALS], "x decimal(38, 18)")
    private = frame.dp.protect()
    assert private.plan.schema["x"].type.value == "float"
    for value in DECIMALS:
        if value is not None:
            near = private.filter(f"x = {float(value)!r}").count()
            assert engine.rows(exactly(near))["count"].tolist() == [1], value
    assert engine.rows(exactly(private.filter("x is null").count()))["count"].tolist() == [1]
    total = engine.rows(exactly(private.sum("x", -4, 4)))["x_sum"][0]
    assert abs(total - (0.3 - 2.675 + 4 + 1.1)) < 4 * 2.0**-27


@pytest.mark.parametrize("kind", ["float32", "float64", "Float32", "Float64", "float[pyarrow]", "double[pyarrow]"])
def test_floats_of_every_width(engine: Engine, kind: str) -> None:
    values = [0.5, np.nan, -0.0, 7.25, np.inf]
    if engine.name == "pandas":
        frame: Any = pd.DataFrame({"x": pd.array(values, dtype=kind)})
    else:
        frame = engine.frame([(value,) for value in values], "x float" if "32" in kind else "x double")
    private = frame.dp.protect()
    answer = exactly(private.agg(s=dp.sum("x", 0, 8), n=dp.count(), d=dp.count_distinct("x")))
    assert engine.rows(answer).iloc[0].tolist() == [15.75, 5, 5]
    assert engine.rows(exactly(private.filter("x is null").count()))["count"].tolist() == [1]


MOMENTS = [
    datetime.datetime(2024, 2, 29, 23, 59, 59, 999_999),
    datetime.datetime(2024, 3, 1),
    datetime.datetime(2024, 3, 10, 2, 30),  # an hour that New York has not
    datetime.datetime(2024, 11, 3, 1, 30),  # one that it has twice
    datetime.datetime(1969, 12, 31, 23, 0, 0, 1),
    datetime.datetime(1, 1, 1),
    datetime.datetime(9999, 12, 31, 23, 59, 59, 999_999),
    None,
]


@pytest.fixture
def abroad(engine: Engine) -> Any:
    """The engine, its session in a time zone that is not UTC."""
    if engine.name == "pandas":
        yield engine
        return
    session = engine.frame([(1,)], "x int").sparkSession
    before = session.conf.get("spark.sql.session.timeZone")
    session.conf.set("spark.sql.session.timeZone", "America/New_York")
    yield engine
    session.conf.set("spark.sql.session.timeZone", before)


def moments(engine: Engine) -> dict[str, Any]:
    """The same times, as instants and as they stand on a clock."""
    if engine.name != "pandas":
        zoned = [(None if t is None else t.replace(tzinfo=UTC),) for t in MOMENTS]
        return {
            "timestamp": engine.frame(zoned, "t timestamp"),
            "timestamp_ntz": engine.frame([(t,) for t in MOMENTS], "t timestamp_ntz"),
        }
    plain, seconds = (
        pa.array(MOMENTS, pa.timestamp("us")),
        pa.array(MOMENTS, pa.timestamp("us")).cast("timestamp[ms]", False),
    )
    zoned = plain.view(pa.timestamp("us", "Asia/Kathmandu"))
    arrays = {"naive": plain, "milliseconds": seconds, "zoned": zoned, "dictionary": plain.dictionary_encode()}
    columns = {name: pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([a]))) for name, a in arrays.items()}
    columns["datetime64"] = pd.Series(np.array(MOMENTS, "datetime64[us]"))
    columns["datetime64 with a zone"] = (
        columns["datetime64"].iloc[:5].dt.tz_localize("UTC").dt.tz_convert("Europe/Rome")
    )
    return {name: pd.DataFrame({"t": column}) for name, column in columns.items()}


def test_timestamps_mean_the_same_whatever_the_time_zone(abroad: Engine) -> None:
    """Instants are read in UTC, times without a zone as they stand."""
    engine = abroad
    conditions = {
        "t >= '2024-03-01'": lambda t: t >= datetime.datetime(2024, 3, 1),
        "t < timestamp '2024-03-10 02:30:00.000001'": lambda t: t <= datetime.datetime(2024, 3, 10, 2, 30),
        "t = timestamp '2024-03-10 04:30+02:00'": lambda t: t == datetime.datetime(2024, 3, 10, 2, 30),
        "hour(t) = 23": lambda t: t.hour == 23,
        "minute(t) = 30 and second(t) = 0": lambda t: t.minute == 30,
        "cast(t as date) = date '2024-02-29'": lambda t: t.date() == datetime.date(2024, 2, 29),
        "year(t) = 2024 and month(t) >= 3": lambda t: t.year == 2024 and t.month >= 3,
        "t = date_trunc('day', t)": lambda t: t.time() == datetime.time(),
        "unix_micros(t) < 0": lambda t: t.year < 1970,
        "date_trunc('month', t) = date '2024-03-01'": lambda t: (t.year, t.month) == (2024, 3),
    }
    for name, frame in moments(engine).items():
        private, rows = frame.dp.protect(), [t for t in MOMENTS if t is not None]
        if name == "milliseconds":
            rows = [t.replace(microsecond=t.microsecond // 1000 * 1000) for t in rows]
        rows = rows[:4] + rows[4:5] if name == "datetime64 with a zone" else rows
        for text, true in conditions.items():
            answer = engine.rows(exactly(private.filter(text).count()))["count"].tolist()
            assert answer == [sum(map(true, rows))], (name, text)
        by_day = private.assign(day="cast(t as date)").groupby("day", keys=[datetime.date(2024, 3, 10), None])
        nulls = len(frame.index) - len(rows) if engine.name == "pandas" else 1
        assert engine.rows(exactly(by_day.count()))["count"].tolist() == [nulls, 1], name
        assert private.assign(h="hour(t)", t="date_trunc('hour', t)").plan.schema["t"].type.value == "timestamp"
        hours = private.assign(t="date_trunc('hour', t)").assign(h="hour(t)", n="unix_seconds(t)")
        assert engine.rows(exactly(hours.filter("n % 3600 = 0").sum("h", 0, 23)))["h_sum"][0] == sum(
            t.hour for t in rows
        )
        months = private.histogram("t", [datetime.date(2024, 2, 1), "2024-03-01", "2024-04-01 00:00Z"], right=False)
        assert engine.rows(exactly(months))["count"].tolist() == [
            sum((t.year, t.month) == (2024, month) for t in rows) for month in (2, 3)
        ], name
        seen = private.map(
            lambda row: {"u": row["t"], "s": row["t"].isoformat(" ", "minutes")},
            {"u": datetime.datetime, "s": str},
            augment=True,
        )
        texts = seen.filter("u <=> t").groupby("s", keys=[None, *(t.isoformat(" ", "minutes") for t in rows)]).count()
        assert engine.rows(exactly(texts))["count"].tolist() == [nulls, *[1] * len(rows)], name
        filled = private.fill_null(t=datetime.datetime(2024, 3, 1)).filter("t = '2024-03-01'")
        assert engine.rows(exactly(filled.count()))["count"].tolist() == [nulls + 1], name


def test_timestamps_of_a_public_table(abroad: Engine) -> None:
    engine = abroad
    public = pd.DataFrame({"k": [1, 2], "since": [datetime.datetime(2024, 3, 10, 2, 30), pd.NaT]})
    frame = engine.frame(pd.DataFrame({"k": [1, 1, 2, 3]}))
    private = frame.dp.protect().join_public(public, "k", "left").filter("hour(since) = 2")
    assert engine.rows(exactly(private.count()))["count"].tolist() == [2]


def test_categories_and_dictionaries(engine: Engine) -> None:
    if engine.name != "pandas":
        pytest.skip("Spark has neither")
    day = datetime.date(2024, 2, 29)
    arrays = {
        "text": (pa.array(["a", None, "b", "a"]), "a", "string"),
        "days": (pa.array([day, None, datetime.date(1, 1, 1), day]), day, "date"),
        "truth": (pa.array([True, None, False, True]), True, "boolean"),
        "number": (pa.array([7, None, 1, 7], pa.uint16()), 7, "integer"),
    }
    for array, key, type_ in arrays.values():
        dictionary = pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([array.dictionary_encode()])))
        plain = pd.Series(pd.arrays.ArrowExtensionArray(pa.chunked_array([array])))
        for column in (dictionary, plain, plain.astype("category")):
            private = pd.DataFrame({"k": column}).dp.protect()
            assert private.plan.schema["k"].type.value == type_
            assert exactly(private.groupby("k", keys=[key, None]).count())["count"].tolist() == [1, 2]


def test_what_an_object_column_holds_is_written_as_text() -> None:
    day = datetime.date(2024, 2, 29)
    values = ["x", day, Decimal("1.50"), 7, True, 2.5, None, np.nan, pd.NaT, np.int8(3), [1], b"x", object(), 10**5000]
    values += [
        datetime.datetime(2024, 2, 29, 10),
        pd.Timestamp("2024-02-29 11:00"),
        Decimal("NaN"),
        np.inf,
        "\ud800",
        1,
    ]
    written = ["x", "2024-02-29", "1.50", "7", "true", "2.5", *[None] * 3, "3", *[None] * 4]
    written += ["2024-02-29 10:00:00", "2024-02-29 11:00:00", None, None, None, "1"]
    for order in (1, -1):  # 1 and True are equal, and one does not become the other
        private = pd.DataFrame({"o": pd.Series(values[::order], dtype=object)}).dp.protect()
        assert private.plan.schema["o"].type.value == "string"
        known = sorted({text for text in written if text is not None})
        counts = exactly(private.groupby("o", keys=[None, *known]).count())["count"].tolist()
        assert counts == [written.count(text) for text in [None, *known]]
    days = pd.DataFrame({"o": pd.Series([day, None, day], dtype=object)}).dp.protect().assign(o="cast(o as date)")
    assert exactly(days.groupby("o", keys=[day]).count())["count"].tolist() == [2]
    price = pd.DataFrame({"o": [Decimal("0.1"), Decimal("2.25")]}).dp.protect().assign(o="cast(o as double)")
    assert exactly(price.filter("o = 0.1").count())["count"].tolist() == [1]
