"""Bounds that are left out: found in the release itself, for a stated share of the one charge."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from engines import Engine, exactly

import dpframe as dp
from dpframe import errors, openbounds
from dpframe.accounting import cost as read_cost
from dpframe.aggregates import Mean, SumOf, Variance
from dpframe.backends import backend_of
from dpframe.plan import Column, Schema, Type
from dpframe.privacy import analyse, calibrate
from dpframe.privacy.analyse import FOR_BOUNDS, in_part, mu_squared

COSTS: list[dict[str, Any]] = [{"epsilon": 2}, {"rho": "1/2"}, {"mu": 1}, {"epsilon": 2, "delta": 1e-6}]


def table() -> pd.DataFrame:
    draw = np.random.default_rng(3)
    return pd.DataFrame(
        {
            "user": np.arange(3000) // 2,
            "g": draw.choice(["a", "b"], 3000),
            "age": draw.integers(18, 91, 3000),
            "loss": draw.normal(-40, 5, 3000),
        }
    )


def opened(cost: dict[str, Any]) -> dp.Budget:
    return dp.Budget(**{**cost, "epsilon": 5} if "epsilon" in cost else dict.fromkeys(cost, 5))


def asked(private: Any) -> Any:
    several = dp.count(), dp.sum("age"), dp.mean("loss"), dp.std("loss"), dp.median("age"), dp.max("loss")
    return private.groupby("g", keys=["a", "b", "nobody"]).agg(*several)


def test_without_noise_nothing_is_clipped(engine: Engine) -> None:
    frame = table()
    found = engine.rows(exactly(asked(engine.frame(frame).dp.protect()))).set_index("g")
    groups = frame.groupby("g")
    assert found["age_sum"].dtype == np.int64
    assert found["age_sum"].tolist() == [*groups["age"].sum(), 0]
    for name, of in (("loss_mean", groups["loss"].mean()), ("loss_std", groups["loss"].std())):
        assert found[name].tolist()[:2] == pytest.approx(of.tolist(), rel=1e-7)
        assert np.isnan(found[name].iloc[2])
    assert found["age_median"].tolist()[:2] == groups["age"].median().tolist()
    assert found["loss_max"].tolist()[:2] == pytest.approx(groups["loss"].max().tolist())
    empty = engine.frame(frame.head(0), "user long, g string, age long, loss double").dp.protect()
    assert engine.rows(exactly(asked(empty))).dtypes.tolist() == found.reset_index().dtypes.tolist()


@pytest.mark.parametrize("cost", COSTS)
def test_one_charge_of_exactly_the_cost(engine: Engine, cost: dict[str, Any], fixed_key: bytes) -> None:
    budget, given = opened(cost), opened(cost)
    answer = asked(engine.frame(table()).dp.protect()).release(**cost, budget=budget, ci=0.9)
    told = read_cost(**cost)
    assert len(budget.history()) == 1
    assert budget.history()["cost"].tolist() == [str(told)]
    asked(engine.frame(table()).dp.protect(bounds={"age": (16, 128), "loss": (-64, -16)})).release(**cost, budget=given)
    assert budget.spent == given.spent
    info = answer.dp.release_info()
    assert info.cost == str(told)
    assert info.found == (
        "age to (16, 128), found for 1/10 of the cost",
        f"loss to (-64, {'-16' if 'clip(loss, -64, -16)' in str(info) else '-32'}), found for 1/10 of the cost",
    )
    assert "clip(age, 16, 128)" in str(info)
    assert sum(
        {part.statistic: Fraction(part.share) for name in info.columns for part in name.statistics}.values()
    ) == (1 - FOR_BOUNDS)
    # The same bits wherever the rows are, and the same columns as with bounds that were given.
    here = asked(table().dp.protect()).release(**cost, budget=opened(cost), ci=0.9)
    pd.testing.assert_frame_equal(engine.rows(answer), here, check_dtype=engine.name == "pandas")
    assert engine.rows(answer)["age_sum"].dtype == np.int64


def test_the_scale_is_that_of_the_rest_at_the_bounds_found(engine: Engine, fixed_key: bytes) -> None:
    private = engine.frame(table()).dp.protect()
    budget = dp.Budget(epsilon=2)
    info = private.sum("age").release(epsilon=2, budget=budget).dp.release_info()
    (part,) = info["age_sum"].statistics
    assert (part.share, part.statistic) == ("4/5", "sum of clip(age, 16, 128)")
    assert part.scale == pytest.approx(128 / (2 * 4 / 5))


def test_parts_of_a_partition_and_ids(engine: Engine) -> None:
    budget = dp.Budget(epsilon=3)
    parts = engine.frame(table()).dp.protect(id="user").bound(rows=2).partition("g", ["a", "b"])
    for part in parts.values():
        part.mean("age").release(epsilon=1, budget=budget)
    assert budget.spent == 2  # two rows of an id may lie in both
    rows = engine.frame(table()).dp.protect().partition("g", ["a", "b"])
    budget = dp.Budget(epsilon=3)
    for part in rows.values():
        part.mean("age").release(epsilon=1, budget=budget)
    assert budget.spent == 1


def test_what_cannot_be_is_refused_before_the_charge(engine: Engine) -> None:
    private, budget = engine.frame(table()).dp.protect(), dp.Budget(epsilon=5, delta=1e-3)
    grouped = private.groupby("g", keys=["a", "b"])
    both = grouped.agg(dp.count(), dp.sum("age"))
    refused = [
        (lambda: both.release(epsilon=1, once="today", budget=budget), errors.PlanError, "once="),
        (lambda: both.release(epsilon=1, at_least={"age_sum": 9}, budget=budget), errors.PlanError, "cannot decide"),
        (lambda: both.release(budget=budget), errors.InvalidCostError, "cost"),
        (lambda: both.release(epsilon=1, ci=2, budget=budget), errors.PlanError, "ci"),
        (lambda: both.release(epsilon=1, mechanism="gaussian", budget=budget), errors.MechanismError, "delta"),
        (lambda: both.release(epsilon=6, budget=budget), errors.BudgetExceededError, "left"),
        (lambda: both.release(epsilon=1e-40, budget=budget), errors.MechanismError, "spend more"),
        (lambda: private.groupby("g").sum("age"), errors.BoundsError, "low and high"),
        (lambda: grouped.sum("age", 0), errors.BoundsError, "clipping bounds"),
        (lambda: grouped.mean("g"), errors.ColumnTypeError, "string"),
        (lambda: grouped.mean("nothing"), errors.UnknownColumnError, "nothing"),
    ]
    for work, kind, text in refused:
        with pytest.raises(kind, match=text):
            work()
    with pytest.raises(errors.PlanError, match="batch"), dp.batch(epsilon=1, delta=1e-6, budget=budget):
        both.release(budget=None)
    assert budget.spent == 0
    shown = both.release(epsilon=2, at_least={"count": 900}, budget=budget)
    assert len(engine.rows(shown)) == 2


def test_a_failure_after_the_charge_keeps_it(monkeypatch: pytest.MonkeyPatch, engine: Engine) -> None:
    frame, budget = engine.frame(table()), dp.Budget(epsilon=1)

    class Failing:
        def __getattr__(self, name: str) -> Any:
            return getattr(backend_of(frame), name)

        def aggregate(self, *asked: Any) -> Any:
            raise ValueError("a value")

    monkeypatch.setattr(openbounds, "backend_of", lambda frame: Failing())
    with pytest.raises(errors.DataPlaneError) as caught:
        frame.dp.protect().mean("age").release(epsilon=0.5, budget=budget)
    assert "a value" not in str(caught.value)
    assert budget.spent == Fraction(1, 2)


def test_what_is_said_before(capsys: pytest.CaptureFixture[str]) -> None:
    query = asked(table().dp.protect())
    query.explain(epsilon=1)
    text = capsys.readouterr().out
    assert "bounds  of age, loss are found for 1/5 of the cost; scales follow" in text
    assert "sum of age, clipped to the bounds found: discrete Laplace of scale" in text
    with pytest.raises(errors.PlanError, match="cannot decide"):
        query.explain(epsilon=1, at_least={"age_sum": 9})
    told = query.error(epsilon=1, rows=500).set_index("answer")
    assert told["share"][["age_low", "age_high", "loss_low", "loss_high"]].tolist() == [0.05] * 4
    assert told["half_width"].isna().tolist() == [False] + [True] * 9
    assert table().dp.protect(bounds={"age": (0, 99)}).mean("age").question.open == ()


EDGES = sorted({0.0, *(sign * 2.0**power for power in (-65, -64, -1, 0, 3, 29, 30, 31, 63, 64) for sign in (-1, 1))})


@pytest.mark.parametrize("kind", [Type.INTEGER, Type.FLOAT])
def test_any_bounds_that_are_found_will_do(kind: Type) -> None:
    """Every aggregate takes them, none moves further than at the widest; so nothing is refused after the charge."""
    column = Column("x", "c0", kind)
    schema = Schema((column,), 1)
    wide = openbounds.widest(schema, ["x"])
    for aggregate in (SumOf("x"), Mean("x"), Variance("x"), dp.quantile("x", 0.5)):
        most = [each.reach for each in aggregate.prepare(wide).statistics]
        for low in (*EDGES, np.nan):
            for high in EDGES:
                pair = openbounds.usable(column, low, high)
                bounded = Schema((Column("x", "c0", kind, bounds=pair),), 1)
                reached = [each.reach for each in aggregate.prepare(bounded).statistics]
                assert all(one <= other for one, other in zip(reached, most, strict=True)), (low, high)


@pytest.mark.parametrize("cost", COSTS)
@pytest.mark.parametrize("mechanism", ["auto", "laplace", "gaussian"])
def test_the_parts_compose_to_the_whole(cost: dict[str, Any], mechanism: str) -> None:
    """Shares are rational and sum to 1; at any bounds, no noise is less than the accountant was told."""
    told, question = read_cost(**cost), asked(table().dp.protect()).question
    if mechanism == "gaussian" and set(cost) == {"epsilon"}:
        return
    whole = analyse(question)
    assert sum(each.share for each in whole) == 1
    assert sum(each.share for each in whole[:4]) == FOR_BOUNDS
    noised = calibrate(whole, told, mechanism)
    promised = openbounds.promised(question, noised, told)
    kind = "laplace" if all(each.mechanism.pure for each in noised) else "gaussian"
    for pair in ((0, 1), (16, 128), (-(2**30), 2**30)):
        closed = openbounds.closed(question, {"age": pair, "loss": (float(pair[0]), float(pair[1]))})
        rest = calibrate(in_part(analyse(closed), 1 - FOR_BOUNDS), told, kind)
        assert [each.measured.share for each in rest] == [each.share for each in whole[4:]]
        for one, before in zip(rest, promised[4:], strict=True):
            ours, theirs = (getattr(each.event, "guarantee", each.event) for each in (one, before))
            assert type(ours) is type(theirs)
            assert _size(ours) <= _size(theirs)
        if kind == "gaussian" and "rho" not in cost:
            assert sum(_size(each.event) for each in promised) <= mu_squared(told)
        if kind == "laplace" and "epsilon" in cost:
            assert sum(_size(getattr(each.event, "guarantee", each.event)) for each in promised) <= told.epsilon


def _size(event: Any) -> Fraction:
    (size,) = vars(event).values()
    return Fraction(size)
