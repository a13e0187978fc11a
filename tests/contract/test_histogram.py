"""A histogram is a cut, a grouping and a count; and every aggregate has its direct form."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from engines import Engine, exactly

import dpframe as dp

AGES = [0, 25, 50, 99]


def test_a_histogram_is_a_cut_a_grouping_and_a_count(engine: Engine, members: pd.DataFrame, fixed_key: bytes) -> None:
    private = engine.frame(members).dp.protect(id="user").bound(groups=2, rows_per_group=3)
    levels = dp.keys({"level": ["a", None]})
    cut = private.assign(age_binned=dp.cut("age", AGES))
    pairs = [
        (private.histogram("age", AGES), cut.groupby("age_binned").count()),
        (
            private.groupby("level", keys=levels).agg(dp.histogram("age", AGES)),
            cut.groupby("level", "age_binned", keys=levels).count(),
        ),
    ]
    for short, long in pairs:
        found, expected = (engine.rows(each.release(epsilon=1, budget=dp.Budget(epsilon=1))) for each in (short, long))
        pd.testing.assert_frame_equal(found, expected)
    expected = pd.cut(members["age"], AGES, include_lowest=True).value_counts(sort=False)
    whole = engine.frame(members).dp.protect().agg(n=dp.histogram("age", AGES, bins="band", labels=["x", "y", "z"]))
    answer = engine.rows(exactly(whole))
    assert list(answer.columns) == ["band", "n"] and list(answer["band"]) == ["x", "y", "z"]
    assert list(answer["n"]) == list(expected)


def test_a_histogram_stands_alone(engine: Engine) -> None:
    private = engine.frame(pd.DataFrame({"age": [3], "band": ["a"]})).dp.protect(keys={"band": ["a"]})
    with pytest.raises(dp.errors.PlanError, match="only aggregate"):
        private.agg(dp.histogram("age", AGES), n=dp.count())
    with pytest.raises(dp.errors.PlanError, match="grouping column 'band'"):
        private.groupby("band").histogram("age", AGES, bins="band")
    with pytest.raises(dp.errors.PlanError, match="bins="):
        private.histogram("age", AGES, bins=3)
    with pytest.raises(dp.errors.UnknownColumnError):
        private.histogram("aeg", AGES)


FORMS: dict[str, tuple[Any, str]] = {
    "count": (lambda asked: asked.count(), "count"),
    "count_distinct": (lambda asked: asked.count_distinct("age", "user"), "count_distinct"),
    "sum": (lambda asked: asked.sum("age", 0, 9), "age_sum"),
    "mean": (lambda asked: asked.mean("age", 0, 9), "age_mean"),
    "var": (lambda asked: asked.var("age", 0, 9), "age_var"),
    "std": (lambda asked: asked.std("age", 0, 9), "age_std"),
}


@pytest.mark.parametrize("form", FORMS)
def test_direct_forms_name_their_answers(engine: Engine, members: pd.DataFrame, form: str) -> None:
    ask, name = FORMS[form]
    private = engine.frame(members).dp.protect()
    assert [each[0] for each in ask(private).question.answers] == [name]
    grouped = ask(private.groupby("level", keys=["a"]))
    assert [each[0] for each in grouped.question.answers] == [name] and grouped.question.by == ("level",)
