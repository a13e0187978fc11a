"""A catalogue of values that break things, by the dtype of the column that holds them, and ordinary ones beside."""

from __future__ import annotations

import datetime
import struct
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

CANARY = "canary-7f3a"
"""No message and no text may hold it."""

MIN, MAX = -(2**63), 2**63 - 1


@dataclass(frozen=True)
class Family:
    """Values of one dtype: how a column is made of them, ordinary ones, and hostile ones."""

    name: str
    kind: str
    column: Callable[[list[Any]], Any]
    plain: list[Any]
    hostile: list[Any]
    spark: bool = True

    def frame(self, values: list[Any]) -> pd.DataFrame:
        """The column ``c`` of those values beside others that are ordinary."""
        n = len(values)
        return pd.DataFrame(
            {
                "user": pd.Series([f"u{at % 5}" for at in range(n)], dtype=object),
                "level": pd.Series(["ab"[at % 2] for at in range(n)], dtype=object),
                "x": np.arange(n, dtype=np.float64),
                "c": pd.Series(self.column(values), index=range(n)),
            }
        )


def bits(pattern: int) -> float:
    return float(struct.unpack("<d", struct.pack("<Q", pattern))[0])


FLOATS = [
    *(0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308),
    *(-1.7976931348623157e308, 2.0**63, -(2.0**63), 2.0**53 + 1),
    *(1e-300, -1e300, 0.1, 1 / 3, 0.5, 1.5, 2.5, -2.5, 1e16),
    *(bits(0x7FF8000000000001), bits(0xFFF8000000000BAD), bits(0x7FF0000000000001), bits(0x7FFFFFFFFFFFFFFF)),
    *(bits(0xFFF0000000000001), bits(0x000FFFFFFFFFFFFF), bits(0x3FEFFFFFFFFFFFFF), bits(0x3FF0000000000001)),
]
TEXTS = [
    *(
        "",
        " ",
        "  ",
        "\t",
        "\n",
        "\r\n",
        "\x00",
        "a\x00b",
        "\x7f",
        "\u0085",
        "\u00a0",
        "\u200b",
        "\u202e",
        "\ufeff",
        "\uffff",
    ),
    *(
        "'",
        '"',
        "`",
        "\\",
        "\\'",
        "';--",
        "' OR 1=1 --",
        "); DROP TABLE source; --",
        "${x}",
        "%s",
        "%",
        "_",
        "{0}",
        "{{",
        "$1",
    ),
    *(
        "null",
        "NULL",
        "None",
        "nan",
        "NaN",
        "inf",
        "-inf",
        "true",
        "0",
        "-0",
        "1e400",
        "9" * 400,
        "0x10",
        "1_000",
        "٣",
        "１２",
    ),
    *("2024-02-30", "0000-00-00", "9999-12-31", "10000-01-01", "1582-10-10", "infinity", "now", "epoch", "today"),
    *(
        "é",
        "e\u0301",
        "ß",
        "ẞ",
        "İ",
        "ı",
        "ſ",
        "ǅ",
        "ﬁ",
        "👍🏽",
        "👨\u200d👩\u200d👧",
        "\U0010ffff",
        "\U0001f600" * 50,
        "中",
        "\u0600",
    ),
    *(
        "a" * 1_000_000,
        CANARY,
        "user",
        "c0",
        "cell",
        "rows",
        "source",
        "__dpframe_row",
        "s0",
        "/etc/passwd",
        "\x1b[31m",
    ),
    *(
        "=1+1",
        "@x",
        "<script>",
        "a,b",
        "a;b",
        "[0, 10]",
        "(10, 20]",
        "-",
        "+",
        ".",
        "\\N",
        "\\u0000",
        "%00",
        "Ａ",
        "K",
        "Å",
    ),
]
SURROGATES = ["\ud800", "a\udfffb", "\udc80\ud800"]
INTEGERS = [
    *(0, 1, -1, 2, 127, 128, -128, -129, 255, 256, 32767, 32768, -32768, 65535, 65536, 2**31 - 1, 2**31, -(2**31)),
    *(2**32, 2**53, 2**53 + 1, -(2**53) - 1, 2**62, -(2**62), MAX, MAX - 1, MIN, MIN + 1, 10**18, -(10**18)),
]
OBJECTS: list[Any] = [
    *(
        1,
        1.5,
        True,
        b"bytes",
        b"\xff\xfe",
        [],
        [1, 2],
        {},
        {"a": 1},
        (1,),
        {1},
        object(),
        Decimal("1.1"),
        Decimal("sNaN"),
    ),
    *(datetime.date(2024, 1, 1), datetime.datetime(2024, 1, 1), datetime.timedelta(1), pd.NaT, pd.NA, np.nan, None),
    *(
        np.int64(5),
        np.float32(1.5),
        np.array([1]),
        10**400,
        -(10**400),
        complex(1, 2),
        int,
        len,
        pd.Timestamp.max,
        "plain",
    ),
]
DATES = [
    *map(datetime.date.fromisoformat, "0001-01-01 0004-02-29 1582-10-04 1582-10-15 1900-03-01 1969-12-31".split()),
    *map(datetime.date.fromisoformat, "1970-01-01 2000-02-29 2024-02-29 2038-01-19 9999-12-31".split()),
    None,
]
STAMPS = [
    *(
        "1677-09-21 00:12:44",
        "1900-01-01",
        "1969-12-31 23:59:59.999999",
        "1970-01-01",
        "2024-03-31 02:30",
        "2024-10-27 02:30",
    ),
    *("2262-04-11 23:47:16", "2000-02-29 12:00:00.000001", None),
]
DECIMALS = [
    Decimal(0),
    Decimal("-0"),
    Decimal("0.01"),
    Decimal("9" * 16 + ".99"),
    Decimal("-" + "9" * 16 + ".99"),
    None,
]


def objects(values: list[Any]) -> Any:
    column = np.empty(len(values), object)
    for at, value in enumerate(values):
        column[at] = value
    # Named, or pandas 3 would look at the values and make text of them, which surrogates cannot be.
    return pd.Series(column, dtype=object)


def arrow(type_: pa.DataType) -> Callable[[list[Any]], Any]:
    return lambda values: pd.arrays.ArrowExtensionArray(pa.chunked_array([pa.array(values, type_)]))


def stamps(values: list[Any]) -> Any:
    return pd.Series([pd.NaT if value is None else pd.Timestamp(value) for value in values], dtype="datetime64[ns]")


def fits(dtype: str) -> list[Any]:
    limits = np.iinfo(dtype)
    ends = [limits.min, limits.max, limits.min + 1, limits.max - 1]
    return [*ends, *(value for value in INTEGERS if limits.min <= value <= limits.max)]


FAMILIES = [
    Family("float64", "number", lambda v: np.array(v, np.float64), [1.0, 2.5, 4.0], FLOATS),
    Family("float32", "number", lambda v: np.array(v, np.float64).astype(np.float32), [1.0, 2.5, 4.0], FLOATS[:24]),
    Family("Float64", "number", lambda v: pd.array(v, dtype="Float64"), [1.0, 2.5], [*FLOATS[3:12], None, pd.NA]),
    Family("int64", "number", lambda v: np.array(v, np.int64), [1, 2, 7], INTEGERS),
    Family("int8", "number", lambda v: np.array(v, np.int8), [1, 2, 7], fits("int8")),
    Family("uint8", "number", lambda v: np.array(v, np.uint8), [1, 2, 7], fits("uint8"), spark=False),
    Family("uint64", "number", lambda v: np.array(v, np.uint64), [1, 2, 7], [*fits("uint64"), 2**63], spark=False),
    Family("Int64", "number", lambda v: pd.array(v, dtype="Int64"), [1, 2, 7], [None, *INTEGERS[-8:]], spark=False),
    Family("bool", "boolean", lambda v: np.array(v, bool), [True, False], [True, False]),
    Family("boolean", "boolean", lambda v: pd.array(v, dtype="boolean"), [True, False], [True, None], spark=False),
    Family("object text", "text", objects, ["p", "q", "r"], [*TEXTS, None]),
    Family("str", "text", lambda v: pd.Series(v, dtype="str"), ["p", "q", "r"], [*TEXTS, None], spark=False),
    Family("surrogates", "text", objects, ["p", "q", "r"], SURROGATES, spark=False),
    Family("object", "text", objects, ["p", "q", "r"], OBJECTS, spark=False),
    Family("arrow text", "text", arrow(pa.string()), ["p", "q"], [*TEXTS[:40], None], spark=False),
    Family("category", "text", lambda v: pd.Categorical(v), ["p", "q"], [*TEXTS[15:40], None], spark=False),
    Family("dictionary", "text", arrow(pa.dictionary(pa.int8(), pa.string())), ["p"], [*TEXTS[:9], None], spark=False),
    Family("date", "date", arrow(pa.date32()), [datetime.date(2024, 1, 2)], DATES, spark=False),
    Family("datetime64", "stamp", lambda v: stamps(v), ["2024-01-02"], STAMPS),
    Family("zoned", "stamp", lambda v: stamps(v).dt.tz_localize("UTC"), ["2024-01-02"], STAMPS),
    Family("decimal", "number", arrow(pa.decimal128(18, 2)), [Decimal("1.50")], DECIMALS, spark=False),
    Family("nested", "other", arrow(pa.list_(pa.int64())), [[1], [2]], [[], [1] * 1000, [None], None], spark=False),
    Family("nothing", "other", lambda v: pd.array([None] * len(v), dtype=object), [None], [None], spark=False),
]
"""Families that ``createDataFrame`` cannot take, or takes as another of these types, are for pandas alone."""
