"""What answers say of their own error: columns with ci=, the table of query.error(), and shares that are asked for."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from engines import Engine, exactly

import dpframe as dp
from dpframe.privacy import analyse

LEVELS = ["a", "b", "z"]


def frame(engine: Engine) -> pd.DataFrame:
    draw = np.random.default_rng(4)
    table = pd.DataFrame(
        {"level": ["a"] * 300 + ["b"] * 2, "x": draw.uniform(0, 10, 302), "n": draw.integers(0, 9, 302)}
    )
    return engine.frame(table)


def test_an_answer_within_its_noise_is_not_reliable(engine: Engine) -> None:
    answers = {"rows": dp.count(), "total": dp.sum("x", 0, 10), "x": dp.mean("x", 0, 10), "v": dp.var("x", 0, 10)}
    answers |= {"s": dp.std("n", 0, 9), "d": dp.count_distinct("n"), "m": dp.median("n", 0, 9)}
    query = frame(engine).dp.protect().groupby("level", keys=LEVELS).agg(**answers)
    noised = engine.rows(query.release(epsilon=3, ci=0.999999, budget=dp.Budget(epsilon=3)))
    ends = ("", "_low", "_high", "_reliable")
    barred = [name + end for name in answers for end in (ends if name != "m" else ("",))]
    assert list(noised.columns) == ["level", *barred]
    for name in ("rows", "total", "x", "v"):
        assert noised[f"{name}_reliable"].dtype == bool
        # In the large group the noise is too small for it, and of 2 and 0 rows noise goes further.
        assert noised[f"{name}_reliable"].tolist() == [True, False, False]
    count = noised["rows"]
    assert (noised["rows_reliable"] == (count.abs() > (noised["rows_high"] - noised["rows_low"]) / 2)).all()
    exact = engine.rows(exactly(query, ci=0.9))
    assert exact.filter(like="_reliable").all(axis=None)
    assert list(query.release(budget=dp.Budget.unlimited()).columns) == ["level", *answers]


def test_the_table_of_errors_is_that_of_the_intervals(engine: Engine) -> None:
    answers = {"rows": dp.count(), "total": dp.sum("x", 0, 10), "x": dp.mean("x", 0, 10), "m": dp.median("x", 0, 10)}
    query = frame(engine).dp.protect().groupby("level", keys=LEVELS).agg(**answers)
    for cost in ({"epsilon": 1}, {"rho": 0.1}, {"epsilon": 1, "delta": 1e-6}):
        table = query.error(**cost, ci=0.9).set_index("answer")
        assert list(table.columns) == ["aggregate", "noise", "share", "half_width", "ranks"]
        assert list(table.index) == list(answers)
        budget = dp.Budget(rho=9) if "rho" in cost else dp.Budget(epsilon=1, delta=1e-5)
        noised = engine.rows(query.release(**cost, ci=0.9, budget=budget))
        for name in ("rows", "total"):
            assert table["half_width"][name] * 2 == pytest.approx((noised[f"{name}_high"] - noised[f"{name}_low"])[0])
        assert table["half_width"].isna().tolist() == [False, False, True, True]
        assert table["ranks"].isna().tolist() == [True, True, True, False]
        many = query.error(**cost, ci=0.9, rows=300).set_index("answer")
        found = (noised["x_high"] - noised["x_low"])[0] / 2
        assert many["half_width"]["x"] == pytest.approx(found, rel=0.5) and many["half_width"].notna().all()
        fewer = query.error(**cost, ci=0.9, rows=100).set_index("answer")["half_width"]
        assert (fewer[["x", "m"]] > many["half_width"][["x", "m"]]).all()
    with pytest.raises(dp.errors.InvalidCostError):
        query.error()
    for rows in (0, -1, 2.5, "many"):
        with pytest.raises(dp.errors.PlanError, match="rows"):
            query.error(epsilon=1, rows=rows)


def test_an_answer_has_so_many_times_the_share_of_another(engine: Engine) -> None:
    private = frame(engine).dp.protect()

    def shares(**options: object) -> list[Fraction]:
        query = private.agg(rows=dp.count(), x=dp.sum("x", 0, 10), p=dp.quantile("n", [0.2, 0.4], 0, 9), **options)
        return [each.share for each in analyse(query.question)]

    assert shares() == [Fraction(1, 3), Fraction(1, 3), Fraction(1, 6), Fraction(1, 6)]
    assert shares(share={"x": 2}) == [Fraction(1, 4), Fraction(1, 2), Fraction(1, 8), Fraction(1, 8)]
    assert shares(share={"p": 2, "rows": "1/2"}) == [Fraction(1, 7), Fraction(2, 7), Fraction(2, 7), Fraction(2, 7)]
    weighted = private.agg(rows=dp.count(), x=dp.sum("x", 0, 10), share={"x": 2})
    assert "sum(x, 0, 10) at share 2" in str(weighted.question)
    named = private.agg(rows=dp.count(), share=dp.sum("x", 0, 10))
    assert list(engine.rows(exactly(named)).columns) == ["rows", "share"]
    for share in ({"y": 2}, ["x"], 2):
        with pytest.raises(dp.errors.PlanError, match="share"):
            private.agg(x=dp.count(), share=share)
    for weight in (0, -1, "much", True, float("inf")):
        with pytest.raises(dp.errors.InvalidCostError):
            private.agg(x=dp.count(), share={"x": weight})
