"""What is refused, with which error, and that the message says what to write instead."""

from __future__ import annotations

from typing import Any

import pytest
from nasty import SCHEMA, on_duckdb, on_spark

from dpframe.errors import ColumnTypeError, ExpressionError, PlanError, UnknownColumnError
from dpframe.plan import Column, Schema, Type
from dpframe.sql import predicate, proves_present, scalar
from dpframe.sql.refusals import AGGREGATES, REASONS, UNSTEADY, WINDOWS

EXPRESSION = {
    # not scalar
    "sum(i)": "sum(i) is an aggregate",
    "count(*)": ".agg(n=dp.count()",
    "sum(distinct i)": "aggregate",
    "i + avg(j)": "aggregate",
    "sum(i) over (partition by j)": "window",
    "row_number() over (order by i)": "window",
    "rank()": "sees one row at a time",
    "sum(i) filter (where p)": ".filter(",
    "(select 1)": "sub-query",
    "i in (select 1)": ".join_public(",
    "exists(select 1)": "sub-query",
    "*": "Name the columns",
    "(i, j)": "after `in`",
    "i[0]": "before .dp",
    "f(y -> y)": "The function f is not known",
    "transform(i, y -> y)": ".map(...)",
    "array(1)": ".flat_map(...)",
    # not deterministic
    "rand()": "another value each time",
    "uuid()": "another value each time",
    "now()": "date '2024-02-29'",
    "current_date": "another value each time",
    "current_timestamp()": "another value each time",
    "current_user": "another value each time",
    # not one expression
    "": "is empty",
    "  ": "is empty",
    "-- only a comment": "is empty",
    "i; j": "more than one statement",
    "drop table x": "not a statement",
    "select i from t": "not a statement",
    "i as k": ".assign(",
    "i k": "near 'k'",
    "i +": "cannot be read",
    "'abc": "cannot be read",
    "`abc": "cannot be read",
    "case when p then": "cannot be read",
    "t.i": "Write the bare name",
    "a.b.c": "Write the bare name",
    "foo.year(d)": "bare name",
    "`year`(d)": "bare name",
    # not the same on both engines
    "lower(s)": "outside ASCII",
    "upper(s)": "translate(",
    "exp(x)": "last bit",
    "pow(x, 2)": "last bit",
    "rlike(s, 'a')": "regular expressions",
    "s rlike 'a'": "regular expression",
    "s ilike 'a'": "Use like",
    "s like t": "written out as text",
    "s like 5": "written out as text",
    "s like any ('a', 'b')": "written out as text",
    "s like 'a' escape '!'": "Escape with a backslash",
    "s like 'a\\\\b\\\\'": "backslash",
    "s like '%\\\\d'": "backslash",
    "s collate utf8_lcase = 'a'": "cannot be read",
    "date_format(`when`, 'y')": "time zone",
    "to_date(s, 'yyyy')": "cast(x as date)",
    "interval 1 day": "date_add(d, 7)",
    "d + interval 1 day": "date_add(d, 7)",
    "i & j": "bitwise",
    "~i": "bitwise",
    # not a literal of ours
    "9223372036854775808": "64-bit",
    "-9223372036854775809": "64-bit",
    "1e400": "too large",
    "1.5BD": "cast",
    "10Y": "cast(10 as bigint)",
    "x'61'": "hexadecimal",
    "r'a'": "plain quotes",
    "'a' 'b'": "side by side",
    "'\\x41'": "escape",
    "'a\0b'": "NUL",
    "'a\ud800'": "surrogate",
    "date '2023-02-29'": "is not a date",
    "cast('tomorrow' as date)": "is not a date",
    "d > 'tomorrow'": "is not a date",
    ":p": "parameter",
    "?": "parameter",
    "${v}": "parameter",
    # not a call of ours
    "nosuch(i)": "The functions are: abs",
    "yeer(d)": "Did you mean year?",
    "year()": "Write year(x)",
    "year(d, d)": "2 arguments",
    "if(p, 1)": "Write if(",
    "greatest(i)": "Write greatest(x, y)",
    "round(x, 2)": "Write round(x)",
    "substring(s, 0)": "right(x, 3)",
    "substring(s, -1)": "at least 1",
    "substring(s, i)": "not i",
    "left(s, -1)": "Write left(x, 3)",
    "left(s, true)": "whole number",
    "trunc(d, 'day')": "'month'",
    "trunc(d, s)": "text literal",
    "translate(s, 'aa', 'bc')": "without repetition",
    "translate(s, 'ab', 'c')": "same length",
    "cast(i as decimal(10, 2))": "bigint",
    "cast(i as float)": "cast(i as double)",
    "cast(s as string collate utf8_lcase)": "string",
    "cast(i as interval day)": "interval",
    "cast(i as array<int>)": "bigint",
    "cast(s as date format 'yyyy')": "year-month-day",
    "date_trunc('decade', `when`)": "'month'",
    "timestamp '2024-02-30 10:00'": "not a timestamp",
    "timestamp '2024-02-29 25:00'": "not a timestamp",
    "timestamp '0001-01-01 00:00+05:00'": "not a timestamp",
    "`when` > 'noon'": "not a timestamp",
    "i in ()": "a list of values",
    "i is s": " s'",
    "s like '%👍%'": "contains",
    "p = q = p": "in brackets",
    "p = q in (true)": "in brackets",
    "p is null is null": "in brackets",
    "s like 'a' = p": "in brackets",
    "i between 1 and 2 = p": "in brackets",
    # not of any type
    "null": "cast(null as bigint)",
    "coalesce(null, null)": "cast(null as bigint)",
    "case when p then null end": "cast(null as bigint)",
    "null = null": "is null",
    "nullif(null, null)": "cast(null as bigint)",
}
TYPES = {
    "i = 'a'": "cast('a' as bigint)",
    "i = '18'": "Write 18 without quotes",
    "s = 1": "Write '1'",
    "p > 1": "mixes p, a boolean, with 1, an integer",
    "d = s": "cast(s as date)",
    "d = 5": "a date",
    "s + 1": "cast(s as double)",
    "d + 7": "date_add(d, 7)",
    "d - e": "datediff(d, ",
    "p + 1": "cast(p as bigint)",
    "- s": "takes numbers",
    "i || s": "cast(i as string)",
    "concat(x, s)": "dp.cut(",
    "i and p": "i <> 0",
    "not s": "s = 'yes'",
    "d or p": "d >= date",
    "if(i, 1, 2)": "i <> 0",
    "if(p, i, s)": "mixes i, an integer, with s, text",
    "case i when 'a' then 1 end": "cast('a' as bigint)",
    "year(s)": "cast(s as date)",
    "year(i)": "before .dp",
    "length(i)": "cast(i as string)",
    "date_add(d, x)": "floor(x)",
    "x div y": "floor(x / y)",
    "cast(x as string)": "dp.cut(",
    "cast(d as int)": "datediff(d, ",
    "cast(s as boolean)": "s in (",
    "cast(i as date)": "cannot be cast",
    "`when` = 1": "mixes",
    "cast(s as timestamp)": "cast(s as date)",
    "cast(`when` as bigint)": "unix_seconds(",
    "cast(`when` as string)": "as date",
    "cast(i as timestamp)": "timestamp_seconds(",
    "`when` + 1": "unix_seconds(",
    "not `when`": "timestamp '2020-01-01",
    "length(`when`)": "as string",
    "hour(i)": "timestamp_seconds(",
    "hour(s)": "before .dp",
    "isnan(s)": "takes numbers",
}


@pytest.mark.parametrize("text", EXPRESSION)
def test_refused_expressions(text: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        scalar(text, SCHEMA)
    assert EXPRESSION[text] in str(caught.value)


@pytest.mark.parametrize("text", TYPES)
def test_refused_types(text: str) -> None:
    with pytest.raises(ColumnTypeError) as caught:
        scalar(text, SCHEMA)
    assert TYPES[text] in str(caught.value)


@pytest.mark.parametrize("name", sorted({*AGGREGATES, *WINDOWS, *UNSTEADY, *" ".join(REASONS).split()}))
def test_every_name_that_is_refused_is_refused_with_its_reason(name: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        scalar(f"{name.upper()}(i)", SCHEMA)
    assert "is not known" not in str(caught.value)


@pytest.mark.parametrize("text", ["nope", "I", "c0", "i + nope", "`i `", "`when ` is null", "row"])
def test_a_column_is_found_by_its_exact_name(text: str) -> None:
    with pytest.raises(UnknownColumnError, match="There is no column"):
        scalar(text, SCHEMA)


@pytest.mark.parametrize("text", [None, 5, b"i", ["i"]])
def test_what_is_no_text_is_refused(text: Any) -> None:
    with pytest.raises(ExpressionError, match="SQL text"):
        scalar(text, SCHEMA)


@pytest.mark.parametrize(("text", "says"), [("i + 1", "> 0"), ("s", "= 'yes'"), ("d", ">= date"), ("x", "> 0")])
def test_a_condition_is_a_truth_value(text: str, says: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        predicate(text, SCHEMA)
    assert "must be true or false" in str(caught.value) and says in str(caught.value)
    with pytest.raises(ExpressionError):
        proves_present(text, SCHEMA)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 500 + "i" + ")" * 500,
        "(" * 20_000 + "i" + ")" * 20_000,
        " + ".join(["i"] * 1000),
        " || ".join(["(s"] * 300) + ")" * 300,
        "not " * 500 + "p",
        "- " * 5000 + "i",
        "abs(" * 400 + "i" + ")" * 400,
        "case when p then " * 200 + "i" + " end" * 200,
        "1 / (1 + " * 30 + "x" + ")" * 30,
        "div(" * 3 + "i",
    ],
    ids=range(10),
)
def test_what_is_too_deep_or_too_large_is_refused_in_time(text: str) -> None:
    with pytest.raises(PlanError) as caught:
        scalar(text, SCHEMA)
    assert len(str(caught.value)) < 500


def test_what_is_long_and_flat_is_not_refused(spark_classic: Any) -> None:
    texts = [
        " or ".join(f"i = {n}" for n in range(1000)),
        " and ".join(f"i <> {n}" for n in range(1000)),
        " || ".join(["s", "'a'"] * 500),
        f"i in ({', '.join(map(str, range(5000)))})",
        "case " + " ".join(f"when i = {n} then {n}" for n in range(200)) + " end",
        "greatest(" + ", ".join(["i", "j"] * 200) + ")",
        " + ".join(["i"] * 60),
        "(" * 20 + "i" + ")" * 20,
    ]
    expressions = [scalar(text, SCHEMA) for text in texts]
    assert on_spark(spark_classic, expressions) == on_duckdb(expressions)


@pytest.mark.parametrize(
    ("text", "proved"),
    [
        ("x is not null", "x"),
        ("not isnan(x)", "x"),
        ("not (x is null)", "x"),
        ("isnotnull(x) and s is not null", "x s"),
        ("x is not null or s is not null", ""),
        ("x > 0 or x < 0 and s = 'a'", "x"),
        ("not (x is null or s is null)", "x s"),
        ("i between j and 10", "i j"),
        ("i not between j and 10", "i"),
        ("i not in (1, 2)", "i"),
        ("i + j * 2 > 5 and p", "i j p"),
        ("not p", "p"),
        ("p is not true", ""),
        ("p is true", "p"),
        ("(i > 0) is false", "i"),
        ("x is null", ""),
        ("i <=> j", ""),
        ("coalesce(i, 0) > 0", ""),
        ("if(p, i, j) > 0", ""),
        ("nullif(i, 1) > j", "j"),
        ("year(d) = 2024 and s like 'a%'", "d s"),
        ("`when` is not null", "when"),
        ("true", ""),
    ],
)
def test_what_a_condition_proves(text: str, proved: str) -> None:
    assert proves_present(text, SCHEMA) == {SCHEMA[name].ref for name in proved.split()}


def test_a_name_may_hold_anything() -> None:
    names = ["a b", "a.b", "a`b", 'a"b', "select", "c7", "année", "--", "'", "${x}", "x\ny", "CASE", ""]
    schema = Schema(tuple(Column(name, f"c{n}", Type.INTEGER) for n, name in enumerate(names)), len(names))
    for column in schema:
        if column.name:
            quoted = "`" + column.name.replace("`", "``") + "`"
            assert scalar(f"{quoted} + 1", schema).spark == f"try_add({column.ref}, 1L)"


def test_no_character_of_a_literal_is_lost(spark_classic: Any) -> None:
    points = [*range(1, 0x300), 0x2028, 0x2029, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF, 0x1F44D, 0x10FFFF]
    text = "".join(map(chr, points))
    quoted = "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
    pattern = quoted.replace("\U0001f44d\U0010ffff", "__").replace("\\\\", "\\\\\\\\")
    expressions = [scalar(quoted, SCHEMA), scalar(f"{quoted} like {pattern}", SCHEMA)]
    for answers in (on_duckdb(expressions), on_spark(spark_classic, expressions)):
        assert set(answers[0]) == {text} and set(answers[1]) == {True}
    spark_classic.conf.set("spark.sql.parser.escapedStringLiterals", "true")
    try:
        assert set(on_spark(spark_classic, expressions)[0]) == {text}
    finally:
        spark_classic.conf.unset("spark.sql.parser.escapedStringLiterals")


def test_a_column_that_is_never_missing_is_read_as_it_is() -> None:
    schema = Schema((Column("x", "c0", Type.FLOAT, nullable=False), Column("y", "c1", Type.FLOAT)), 2)
    assert predicate("x > 0", schema).spark == "(c0 > 0.0D)"
    assert predicate("y > 0", schema).spark == "(nanvl(c1, CAST(NULL AS DOUBLE)) > 0.0D)"
    assert not scalar("coalesce(y, 0.0)", schema).nullable
    assert scalar("x - x", schema).nullable
