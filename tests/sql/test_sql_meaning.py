"""An expression means what Spark itself makes of the text, wherever Spark's own answer does not depend on a setting."""

from __future__ import annotations

import datetime
import itertools
from decimal import Decimal
from typing import Any

import nasty
import pyarrow as pa
from nasty import NAN, SCHEMA, bits, on_duckdb
from test_sql_contract import EVERYTHING

from dpframe.plan import Type
from dpframe.sql import scalar

ELSEWHERE = {
    "overflow is null, not an error nor a wrapped number": [
        *("i + 9223372036854775807", "i - 9223372036854775807", "i * 9223372036854775807", "9223372036854775807 + 1"),
        *("-(-9223372036854775808)", "-9223372036854775808 div -1"),
    ],
    "0.1 is a double, not a decimal": [
        "1.0 / 3",
        "0.1 + 0.2",
        "floor(-0.5)",
        "ceil(-0.5)",
        "abs(-0.0)",
        "cast(1.9 as int)",
    ],
    "a sign is an integer": ["sign(i)", "sign(x)", "signum(x)"],
    "NaN is missing, and null is": ["isnan(x)", "isnan(i)", "not isnan(x / y)"],
    "a text literal beside a date is a date": [
        *("case d when '1970-01-01' then d else '2024-02-29' end", "greatest(d, e, '2000-01-01')"),
    ],
    "days are counted in 64 bits, and end with year 9999": [
        *("date_add(d, i)", "date_sub(d, i)", "date_sub(d, -9223372036854775808)", "date_add(d, 3652058)"),
        *("date_add(d, -3652058)",),
    ],
    "casts from text have one strict grammar": [
        *("cast(number as bigint)", "cast(number as double)", "cast(calendar as date)", "number::int", "int(number)"),
        *("try_cast(number as double)", "date(calendar)", "double(number)", "cast(cast(number as double) as bigint)"),
    ],
    "Spark substitutes variables before it reads": ["'${x} $ :p ? {}'", "s = 'it\\'s \"q\" \\\\ $x ${y}'"],
    "a doubled quote stands for one, as in every Spark but the first of its line": [
        *("'it''s'", "s like '%''s%'", 's = "it\'s ""q"" \\\\ $x ${y}"', "translate(s, '\\\\$''', 'xyz')"),
    ],
    "Spark does not take it": ["case when null then 1 else 2 end", "cast(i as text)", "unix_date(`when`)"],
}
OPERATORS = ["+", "-", "*", "/", "%", "div"]
PRECEDENCE = [
    *(
        f"{sign}i {a} j {b} {sign}3"
        for a in OPERATORS
        for b in OPERATORS
        for sign in ("", "- ")
        if (a, b) != ("/", "div")
    ),
    *(
        "i + j * 2 - 1",
        "- i % 2",
        "- i * - j",
        "i - j - 1",
        "i / 2 * 3",
        "i * 3 % 4 div 2",
        "i + j < i * j",
        "not i = j",
        "not p and q",
    ),
    *(
        "not p or q and p",
        "p or q and not p",
        "(i = j) is null",
        "i in (1, 2) and p",
        "i not in (1) or not p",
        "i between 1 and 2 and p",
    ),
    *(
        "i not between j and 2 or q",
        "s || t = 'ab'",
        "s || t like 'a%'",
        "not s like 'a%'",
        "not i is null",
        "(p = q) = p",
        "(i < j) = p",
    ),
    *(
        "i between j and j + 2",
        "p is not null and q is true",
        "case when p then i else j end + 1",
        "p and q is null",
        "i = 1 or i = 2 and j = 1",
    ),
    *(
        "s is null or s = '' and p",
        "i <=> j and p",
        "! p and q",
        "! (p and q)",
        "- - i",
        "i - -1",
        "i is not distinct from j or p",
    ),
    *(
        "(i > 1) is true",
        "if(p, 1, 2) * 2 = 2",
        "i div 2 * 2",
        "2 - 1 - i",
        "not p = q",
        "not (p) = (q)",
        "p <> q and p",
    ),
]


def tame() -> list[tuple[Any, ...]]:
    """Rows on which nothing overflows, is NaN or leaves the calendar."""
    pairs = list(itertools.product([None, 0, 1, 2, -7, 1000], repeat=2))
    reals = list(itertools.product([None, 0.0, 0.5, 2.5, -3.7, 1e6], repeat=2))
    texts = list(itertools.product([None, "", "a", "ab", " a'b ", "中👍e\u0301"], repeat=2))
    days = [
        None,
        *map(datetime.date, (1600, 1970, 2000, 2021, 2023, 2024), (2, 1, 2, 1, 12, 12), (28, 1, 29, 3, 31, 30)),
    ]
    dates = list(itertools.product(days, repeat=2))
    moments = [datetime.datetime.combine(day, datetime.time(13, 59, 7, 250_000)) if day else None for day in days]
    times = list(itertools.product(moments, repeat=2))
    truths = list(itertools.product([None, True, False], repeat=2))
    return [
        (*pairs[n], *reals[n], *texts[n], *dates[n + 9], *truths[n % 9], "7", "2024-02-29", n, *times[n + 9])
        for n in range(36)
    ]


def test_expressions_mean_what_spark_means(spark_classic: Any, monkeypatch: Any) -> None:
    rows = tame()
    arrays = [
        pa.array([row[place] for row in rows], nasty.TABLE.column(column.ref).type)
        for place, column in enumerate(SCHEMA)
    ]
    refs = [column.ref for column in SCHEMA]
    monkeypatch.setattr(nasty, "TABLE", pa.table([pa.array(range(len(rows))), *arrays], ["row", *refs]))
    skipped = {text for texts in ELSEWHERE.values() for text in texts}
    texts = [text for text in [*EVERYTHING, *PRECEDENCE] if text not in skipped and "c1." not in text]
    # A timestamp comes out of Spark in the zone of the machine; what can be told of it does not.
    texts = [text for text in texts if scalar(text, SCHEMA).type is not Type.TIMESTAMP]
    ours = on_duckdb([scalar(text, SCHEMA) for text in texts])
    zoned = [f.with_type(pa.timestamp("us", "UTC")) if pa.types.is_timestamp(f.type) else f for f in nasty.TABLE.schema]
    table = nasty.TABLE.cast(pa.schema(zoned))
    frame = spark_classic.createDataFrame(table).toDF("row", *(column.name for column in SCHEMA)).coalesce(1)
    before = spark_classic.conf.get("spark.sql.ansi.enabled")
    zone = spark_classic.conf.get("spark.sql.session.timeZone")
    spark_classic.conf.set("spark.sql.ansi.enabled", "false")
    spark_classic.conf.set("spark.sql.session.timeZone", "UTC")
    try:
        for start in range(0, len(texts), 60):
            batch = texts[start : start + 60]
            answer = (
                frame.selectExpr("row", *(f"{text} AS v{n}" for n, text in enumerate(batch))).orderBy("row").collect()
            )
            for n, text in enumerate(batch):
                theirs = [plain(row[n + 1], mine) for row, mine in zip(answer, ours[start + n], strict=True)]
                assert ours[start + n] == theirs, text
    finally:
        spark_classic.conf.set("spark.sql.ansi.enabled", before)
        spark_classic.conf.set("spark.sql.session.timeZone", zone)


def plain(value: Any, like: Any) -> Any:
    """Spark's value in our types: its decimals are doubles here."""
    if isinstance(value, Decimal):
        value = int(value) if isinstance(like, int) else float(value)
    if isinstance(value, int) and not isinstance(value, bool) and isinstance(like, str):
        value = float(value)
    value = bits(value)
    return None if value == NAN and like is None else value
