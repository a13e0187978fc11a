"""Random expressions: no engine raises, both agree to the bit, and what the plan claims of the value holds."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from nasty import NAN, SCHEMA, TABLE, bits, on_duckdb, on_spark
from trees import any_tree, trees

from dpframe.errors import ExpressionError
from dpframe.plan import Type
from dpframe.sql import predicate, proves_present, scalar

ONCE = settings(
    derandomize=True,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)


def planned(texts: list[str]) -> list[str]:
    """Those that are not refused, which may only be for their size or for a literal that is no date."""
    kept = []
    for text in texts:
        try:
            scalar(text, SCHEMA)
            kept.append(text)
        except ExpressionError as error:
            assert re.search("too large|too deep|is not a date", str(error)), (text, error)
    return kept


@settings(ONCE, max_examples=5)
@given(st.lists(any_tree(), min_size=40, max_size=40))
def test_random_expressions_agree(spark_classic: Any, texts: list[str]) -> None:
    texts = planned(texts)
    expressions = [scalar(text, SCHEMA) for text in texts]
    for text, spark, duckdb in zip(texts, on_spark(spark_classic, expressions), on_duckdb(expressions), strict=True):
        assert spark == duckdb, text


@settings(ONCE, max_examples=20)
@given(st.lists(any_tree(), min_size=20, max_size=20))
def test_the_plan_says_what_is_read_and_what_may_be_missing(texts: list[str]) -> None:
    texts = planned(texts)
    expressions = [scalar(text, SCHEMA) for text in texts]
    for expression, answer in zip(expressions, on_duckdb(expressions), strict=True):
        for rendered in (expression.spark, expression.duckdb):
            assert set(re.findall(r"\bc\d+\b", re.sub(r"'(?:[^']|'')*'", "", rendered))) == expression.reads
        assert expression.nullable or not {None, NAN} & set(answer), expression.text


@settings(ONCE, max_examples=20)
@given(st.lists(trees(Type.BOOLEAN, 4), min_size=30, max_size=30))
def test_what_a_condition_proves_is_so(texts: list[str]) -> None:
    texts = planned(texts)
    missing = {
        column.ref: [bits(value) in (None, NAN) for value in TABLE.column(column.ref).to_pylist()] for column in SCHEMA
    }
    for text, answer in zip(texts, on_duckdb([predicate(text, SCHEMA) for text in texts]), strict=True):
        for ref in proves_present(text, SCHEMA):
            assert not any(kept and gone for kept, gone in zip(answer, missing[ref], strict=True)), (text, ref)
