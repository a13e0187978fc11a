"""Every construct of the whitelist gives the same bits on Spark and on DuckDB, over values made to trip it."""

from __future__ import annotations

from typing import Any

import pytest
from nasty import NAN, SCHEMA, on_duckdb, on_spark

from dpframe.plan import Type
from dpframe.sql import functions, scalar

ARITHMETIC = [
    *(f"{a} {op} {b}" for op in ("+", "-", "*", "/", "%") for a, b in [("i", "j"), ("x", "y"), ("i", "y"), ("x", "j")]),
    *(f"i {op} {n}" for op in ("+", "-", "*", "/", "%", "div") for n in (0, 1, -1, 7, -7, 9223372036854775807)),
    *(f"x {op} {n}" for op in ("+", "-", "*", "/", "%") for n in ("0", "0.0", "-0.5", "1e308", "3")),
    *("i div j", "mod(i, j)", "- i", "- x", "-(-9223372036854775808)", "- - i", "-9223372036854775808 div -1"),
    *("(i + j) - j", "i * j + 1", "(x + y) / (x - y)", "1 / 0", "1 % 0", "1 div 0", "9223372036854775807 + 1"),
    *("i + null", "null / x", "1.0 / 3", "0.1 + 0.2", "1.7e308 * 10", "i - 0.5"),
    *("try_add(i, j)", "try_subtract(i, j)", "try_multiply(i, j)", "try_divide(i, j)", "try_mod(i, j)"),
    *("abs(i)", "abs(x)", "floor(i)", "floor(x)", "ceil(x)", "ceiling(x)", "ceil(i)", "round(x)", "round(i)"),
    *("sqrt(x)", "sqrt(i)", "sign(i)", "sign(x)", "signum(x)", "sqrt(0.1)", "floor(-0.5)", "ceil(-0.5)", "abs(-0.0)"),
]
COMPARISON = [
    *(
        f"{a} {op} {b}"
        for op in ("=", "==", "<>", "!=", "<", "<=", ">", ">=", "<=>", "is distinct from", "is not distinct from")
        for a, b in [("i", "j"), ("x", "y"), ("i", "y"), ("s", "t"), ("d", "e"), ("p", "q")]
    ),
    *(
        "i > 9007199254740992.0",
        "x = 9223372036854775807",
        "d >= '2000-02-29'",
        "'1970-01-01' = d",
        "x = 0",
        "x <= -0.0",
    ),
    *(
        "i in (1, 2, -7)",
        "i in (1, null)",
        "i not in (1, null)",
        "x in (0.0, 0.5)",
        "x in (0, -0.4, i)",
        "s in ('a', '', t)",
    ),
    *("d in ('2024-02-29', date '1970-01-01')", "p in (true)", "i in (0.5, 1, 9007199254740993)", "x in (null, y)"),
    "x in (0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18)",
    "s in ('a','b','c','d','e','f','g','h','i','j','k','l','m','n','')",
    *(
        "i between j and 10",
        "x between y and 2.5",
        "s between 'A' and t",
        "d between e and '2024-01-01'",
        "i not between 0 and j",
    ),
    *("i between 0.5 and x", "x between null and 1", "p between false and q"),
    *(
        "i is null",
        "x is null",
        "x is not null",
        "s is null",
        "d is not null",
        "p is null",
        "`when` is null",
        "`when` is not null",
    ),
    *("x + y is null", "i + j is null", "null is null", "p is true", "p is false", "p is not true", "p is not false"),
    *("isnull(x)", "isnotnull(x)", "isnan(x)", "not isnan(x / y)", "isnan(i)", "(i > j) is true", "null is true"),
    *('`odd ``name``, c1."x"` > 0',),
]
LOGIC = [
    *("p and q", "p or q", "not p", "! p", "p and null", "p or null", "not null", "p and q or not p and not q"),
    *("not (p or q) = (not p and not q)", "i > 0 and x > 0 and s <> ''", "p = q", "p = (i > j)", "true", "false and p"),
    *(
        "case when i > 0 then 'pos' when i < 0 then 'neg' else 'zero' end",
        "case when p then i end",
        "case when p then 1 else x end",
    ),
    *(
        "case i when 1 then 'one' when null then 'never' when -7 then 'seven' end",
        "case x when 0 then 'zero' when 0.5 then 'half' else 'no' end",
    ),
    *(
        "case s when t then true else p end",
        "case d when '1970-01-01' then d else '2024-02-29' end",
        "case when null then 1 else 2 end",
    ),
    *("if(p, i, j)", "if(p, x, i)", "if(i > j, s, t)", "if(x > y, d, null)", "nvl2(x, 1, 2)", "nvl2(`when`, 'a', 'b')"),
    *(
        "coalesce(i, j)",
        "coalesce(x, y)",
        "coalesce(x, i, 0)",
        "coalesce(s, t, '')",
        "coalesce(null, d)",
        "coalesce(x)",
    ),
    *("nvl(x, 0)", "ifnull(i, 0)", "nullif(i, j)", "nullif(x, y)", "nullif(s, t)", "nullif(i, 1.0)", "nullif(d, e)"),
    *(
        "greatest(i, j)",
        "least(i, j)",
        "greatest(x, y)",
        "least(x, y)",
        "greatest(i, x, 0)",
        "least(s, t)",
        "greatest(d, e, '2000-01-01')",
    ),
    *("greatest(p, q)", "least(x, null, y)", "greatest(s, 'b')", "nullif(p, q)"),
]
TEXT = [
    *(
        "s || t",
        "concat(s, '-', t)",
        "s || null",
        "concat(s)",
        "length(s)",
        "char_length(s || t)",
        "len(s)",
        "character_length(t)",
    ),
    *(f"substring(s, {a}, {b})" for a in (1, 2, 3, 99999999999) for b in (0, 1, 2, 99999999999)),
    *(
        "substr(s, 1)",
        "substring(s, 3)",
        *(f"{f}(s, {n})" for f in ("left", "right") for n in (0, 1, 2, 50, 99999999999)),
    ),
    *("trim(s)", "ltrim(s)", "rtrim(s)", "trim(s || ' ')", "startswith(s, t)", "endswith(s, t)", "contains(s, t)"),
    *(
        "startswith(s, '')",
        "contains(s, 'a')",
        "replace(s, t, 'zz')",
        "replace(s, 'a', '')",
        "replace(s, '', 'x')",
        "replace(s, 'abc', t)",
    ),
    *(
        "translate(s, 'abc', 'ABC')",
        "translate(s, 'é👍ß', '123')",
        "translate(s, '', '')",
        "translate(s, '\\\\$''', 'xyz')",
    ),
    *(
        f"s like {pattern}"
        for pattern in (
            *(
                "''",
                "'%'",
                "'_'",
                "'a%'",
                "'%a'",
                "'%b%'",
                "'a_'",
                "'50\\\\%\\\\_x'",
                "'50\\%\\_x'",
                "'%\\\\\\\\%'",
                "'%^%'",
                "'__'",
            ),
            *("'%$%'", "'%\\'%'", "'___a_'", "'l%f%'", "'%\\n%'", "'e_é'", "'%''s%'", "'^%'"),
        )
    ),
    *("s not like 'a%'", "s = 'it\\'s \"q\" \\\\ $x ${y}'", 's = "it\'s ""q"" \\\\ $x ${y}"', "s = 'line\\nfeed\\r'"),
    *(
        "'it''s'",
        '"a\\"b"',
        "'\\\\'",
        "'\\t\\r\\n'",
        "'${x} $ :p ? {}'",
        "'👍\u0301é'",
        "'\u200b\u00a0\x07'",
        "'-- no comment'",
    ),
    *("'/* x */ ; drop'", "'\ufeff\ufffe\U0010ffff'", "'%s {0} {}'", "'^%_'"),
]
DATES = [
    *(
        f"{f}(d)"
        for f in "year quarter month day dayofmonth dayofyear dayofweek weekday weekofyear last_day unix_date".split()
    ),
    *(f"trunc(d, '{unit}')" for unit in ("year", "yyyy", "quarter", "month", "MM", "week")),
    *(
        "datediff(d, e)",
        "date_diff(d, '2000-01-01')",
        "date_add(d, 1)",
        "date_sub(d, 1)",
        "date_add(d, i)",
        "date_sub(d, i)",
    ),
    *("date_add(d, 3652058)", "date_add(d, -3652058)", "dateadd(d, 0)", "date '2024-02-29'", "year('2024-02-29')"),
    *("date_sub(d, -9223372036854775808)", "date_add(null, 1)", "year(null)"),
]
CASTS = [
    *(
        "cast(number as bigint)",
        "cast(number as double)",
        "cast(calendar as date)",
        "number::int",
        "int(number)",
        "try_cast(number as double)",
    ),
    *(
        "date(calendar)",
        "double(number)",
        "cast(s as int)",
        "cast(s as double)",
        "cast(s as date)",
        "bigint(x)",
        "cast(x as int)",
    ),
    *(
        "cast(x * 2 as bigint)",
        "cast(i as double)",
        "cast(i as string)",
        "string(d)",
        "cast(d as string)",
        "cast(p as string)",
    ),
    *(
        "cast(p as int)",
        "cast(p as double)",
        "cast(i as boolean)",
        "boolean(i)",
        "cast(null as date)",
        "cast(null as string)",
    ),
    *(
        "cast(i as bigint)",
        "cast(s as string)",
        "cast(d as date)",
        "cast(x as double)",
        "cast(1.9 as int)",
        "cast('12' as int)",
    ),
    *(
        "cast(cast(number as double) as bigint)",
        "1L",
        "2D",
        "cast(cast(i as string) as bigint) = i",
        "cast('2024-02-29' as date)",
    ),
    *(
        "cast(cast(d as string) as date) = d",
        "cast(i as text)",
        "5e-324",
        "1.7976931348623157e308",
        "-9223372036854775808",
    ),
]
TIMES = [
    *(f"`when` {op} `until`" for op in ("=", "<>", "<", "<=", ">", ">=", "<=>", "is distinct from")),
    *(f"{f}(`when`)" for f in "year quarter month day dayofyear dayofweek weekday weekofyear last_day".split()),
    *(f"{f}(`when`)" for f in "hour minute second unix_seconds unix_millis unix_micros unix_date date".split()),
    *(
        f"date_trunc('{unit}', `when`)"
        for unit in ("second", "minute", "hour", "day", "week", "month", "quarter", "year", "MM")
    ),
    *(f"unix_micros(timestamp_{unit}(i))" for unit in ("seconds", "millis", "micros")),
    *("`when` >= '2024-02-29'", "`when` < timestamp '2024-03-01 00:00:00.000001'", "`when` >= d", "d < `when`"),
    *("`when` = timestamp '2024-03-01T01:30:00+01:30'", "`when` between '1970-01-01' and `until`", "timestamp(d)"),
    *("`when` in ('1970-01-01 00:00', date '2024-03-01')", "coalesce(`when`, `until`)", "coalesce(`when`, d)"),
    *(
        "greatest(`when`, `until`)",
        "least(`when`, `until`, '2000-01-01')",
        "if(p, `when`, `until`)",
        "nullif(`when`, d)",
    ),
    *(
        "cast(`when` as date)",
        "cast(d as timestamp)",
        "cast(cast(`when` as date) as timestamp)",
        "trunc(`when`, 'month')",
    ),
    *(
        "datediff(`when`, `until`)",
        "date_add(`when`, 1)",
        "case when p then `when` end",
        "`when`",
        "cast(null as timestamp)",
    ),
    *(
        "cast('2024-02-29 10:00:59.5' as timestamp)",
        "hour('2024-02-29 10:00')",
        "timestamp_seconds(1)",
        "year(`when`) = i",
    ),
    *("timestamp '0001-01-01 00:00'", "timestamp '9999-12-31 23:59:59.999999'", "hour(null)", "hour(d)"),
]
EVERYTHING = [*ARITHMETIC, *COMPARISON, *LOGIC, *TEXT, *DATES, *TIMES, *CASTS]


@pytest.fixture(scope="module")
def answers_of_duckdb() -> list[list[Any]]:
    return on_duckdb([scalar(text, SCHEMA) for text in EVERYTHING])


@pytest.mark.parametrize("ansi", ["true", "false"])
def test_both_engines_give_the_same_bits(spark_classic: Any, answers_of_duckdb: list[list[Any]], ansi: str) -> None:
    names = ("spark.sql.ansi.enabled", "spark.sql.session.timeZone")
    before = [spark_classic.conf.get(name) for name in names]
    spark_classic.conf.set("spark.sql.ansi.enabled", ansi)
    # No answer depends on the session's time zone.
    spark_classic.conf.set("spark.sql.session.timeZone", "America/New_York" if ansi == "true" else "Asia/Kathmandu")
    try:
        answers = [
            answer
            for batch in (EVERYTHING[i : i + 60] for i in range(0, len(EVERYTHING), 60))
            for answer in on_spark(spark_classic, [scalar(text, SCHEMA) for text in batch])
        ]
    finally:
        for name, value in zip(names, before, strict=True):
            spark_classic.conf.set(name, value)
    wrong = {
        text: next((row, a, b) for row, (a, b) in enumerate(zip(spark, duckdb, strict=True)) if a != b)
        for text, spark, duckdb in zip(EVERYTHING, answers, answers_of_duckdb, strict=True)
        if spark != duckdb
    }
    assert not wrong


def test_what_is_promised_not_to_be_missing_is_not(answers_of_duckdb: list[list[Any]]) -> None:
    for text, answer in zip(EVERYTHING, answers_of_duckdb, strict=True):
        if not scalar(text, SCHEMA).nullable:
            assert None not in answer and NAN not in answer, text


def test_the_type_is_the_one_that_comes_out(answers_of_duckdb: list[list[Any]]) -> None:
    kinds = {
        Type.TIMESTAMP: "datetime",
        Type.INTEGER: "int",
        Type.FLOAT: "str tuple",
        Type.BOOLEAN: "bool",
        Type.STRING: "str",
        Type.DATE: "date",
    }
    for text, answer in zip(EVERYTHING, answers_of_duckdb, strict=True):
        assert {type(value).__name__ for value in answer} <= {*kinds[scalar(text, SCHEMA).type].split(), "NoneType"}, (
            text
        )


def test_the_table_covers_the_whole_whitelist() -> None:
    text = " ".join(EVERYTHING)
    missing = [name for name in [*functions.RULES, *functions.TEMPLATES] if f"{name}(" not in text]
    assert not missing
