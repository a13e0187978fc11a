"""Keys that stand for a release, and the labels of charges."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pandas as pd
import pytest
from budgets import COUNT, TABLE, charge

import dpframe as dp
from dpframe.errors import OnceError, PlanError


def test_once_returns_the_stored_answer_and_costs_nothing(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(1)
    first = COUNT.release(epsilon=0.25, once="monday", label="nightly", budget=budget)
    charge(budget, epsilon=0.75)
    with budget:
        again = COUNT.release(epsilon="1/4", once="monday")
    pd.testing.assert_frame_equal(first, again)
    assert again.dp.release_info() == first.dp.release_info()
    assert budget.remaining == 0 and budget.history()["label"].tolist() == ["nightly", ""]
    # Other data under the same key are not read.
    other = pd.DataFrame({"user": ["u"] * 1000, "x": [0.0] * 1000}).dp.protect().count()
    pd.testing.assert_frame_equal(other.release(epsilon=0.25, once="monday", budget=budget), first)


def test_a_changed_release_under_a_key_is_refused_and_costs_nothing(opened: Callable[..., dp.Budget]) -> None:
    budget, frame = opened(1), TABLE.dp.protect()
    grouped = frame.groupby("user", keys=["u", "v"])
    cut = frame.assign(band=dp.cut("x", [0, 1, 2]))
    original = grouped.agg(n=dp.count(), s=dp.sum("x", 0, 1))
    original.release(epsilon=0.1, once="k", budget=budget)
    same = frame.groupby("user", keys=["v", "u"]).agg(n=dp.count(), s=dp.sum("x", 0, 1))  # keys are a set
    same.release(epsilon="0.10", once="k", budget=budget)
    changed: list[Callable[[], object]] = [
        lambda: original.release(epsilon=0.2, once="k", budget=budget),
        lambda: original.release(epsilon=0.1, once="k", budget=budget, ci=0.95),
        lambda: original.release(epsilon=0.1, once="k", budget=budget, at_least={"n": 3}),
        lambda: frame.groupby("user", keys=["u", "w"]).agg(n=dp.count(), s=dp.sum("x", 0, 1)).release(
            epsilon=0.1, once="k", budget=budget
        ),
        lambda: grouped.agg(n=dp.count(), s=dp.sum("x", 0, 2)).release(epsilon=0.1, once="k", budget=budget),
        lambda: grouped.agg(m=dp.count(), s=dp.sum("x", 0, 1)).release(epsilon=0.1, once="k", budget=budget),
        lambda: frame.filter("x > 1").groupby("user", keys=["u", "v"]).agg(n=dp.count(), s=dp.sum("x", 0, 1)).release(
            epsilon=0.1, once="k", budget=budget
        ),
        lambda: frame.count().release(epsilon=0.1, once="k", budget=budget),
    ]  # fmt: skip
    for attempt in changed:
        with pytest.raises(OnceError, match="'k'"):
            attempt()
    assert budget.spent == 0.1
    cut.groupby("band").count().release(epsilon=0.1, once="cut", budget=budget)
    other = frame.assign(band=dp.cut("x", [0, 1.5, 2], labels=["[0, 1]", "(1, 2]"])).groupby("band").count()
    with pytest.raises(OnceError):
        other.release(epsilon=0.1, once="cut", budget=budget)


def test_how_a_condition_is_spaced_makes_no_difference_and_what_it_says_does() -> None:
    budget, frame = dp.Budget(1), TABLE.dp.protect()
    frame.filter("x>1").count().release(epsilon=0.1, once="k", budget=budget)
    frame.filter("x  >  1").count().release(epsilon=0.1, once="k", budget=budget)
    with pytest.raises(OnceError):
        frame.filter("x >= 1").count().release(epsilon=0.1, once="k", budget=budget)
    assert budget.spent == 0.1


def test_public_tables_and_key_frames_are_part_of_the_plan() -> None:
    budget = dp.Budget(1)
    log = pd.DataFrame({"zip": [1, 1, 2]}).dp.protect()
    towns = pd.DataFrame({"zip": [1, 2], "land": ["CH", "LI"]})
    count = lambda table: log.join_public(table).groupby("land").count()  # noqa: E731
    count(towns).release(epsilon=0.1, once="k", budget=budget)
    count(towns.copy()).release(epsilon=0.1, once="k", budget=budget)
    with pytest.raises(OnceError):
        count(towns.assign(zip=[2, 1])).release(epsilon=0.1, once="k", budget=budget)
    assert budget.spent == 0.1


PROGRAM = """
import datetime, sys
import pandas as pd
import dpframe as dp
from dpframe import once

members = pd.DataFrame({"user": ["u", "v"], "x": [1, 2], "day": ["a", "b"]})
other = pd.DataFrame({"user": ["u", "v"], "z": [float(sys.argv[1]), 2.0]}).dp.protect(id="user").bound(rows=3)
towns = pd.DataFrame({"x": [1, 2], "land": ["CH", None]})
keys = dp.keys({"day": ["a", "b"]}) * dp.keys(towns[["land"]])
private = members.dp.protect(id="user").bound(groups=2, rows_per_group=3).join_public(towns, "x")
grouped = private.filter("x > 0 and day in ('a', 'b')").groupby("day", "land", keys=keys)
part = members.dp.protect().partition("day", ["a", "b"])["b"]
joined = members.dp.protect(id="user").join(other, "user").bound(rows=2)
queries = [
    grouped.agg(n=dp.count(), m=dp.mean("x", 0, 9)), grouped.count(), part.count(), joined.count(),
]
budget = dp.Budget(9)
part.count().release(epsilon=int(sys.argv[1]), budget=budget)
for query in queries:
    print(once.only("k", query.question, stored=True, cost=1).plan)
"""


def test_two_processes_take_a_plan_for_the_same_whatever_the_data_and_what_was_charged() -> None:
    runs = [
        subprocess.run([sys.executable, "-c", PROGRAM, data], capture_output=True, text=True, timeout=300)
        for data in ("1", "7")
    ]
    assert all(run.returncode == 0 for run in runs), runs[0].stderr
    assert runs[0].stdout == runs[1].stdout
    assert len(set(runs[0].stdout.split())) == 4


def test_a_release_that_failed_stays_charged_and_the_next_attempt_pays_again(
    opened: Callable[..., dp.Budget], monkeypatch: pytest.MonkeyPatch
) -> None:
    from dpframe.backends import pandas as backend

    budget = opened(1)
    with monkeypatch.context() as broken:
        broken.setattr(backend, "aggregate", lambda *arguments: 1 / 0)
        with pytest.raises(dp.errors.DataPlaneError):
            COUNT.release(epsilon=0.25, once="k", budget=budget)
    assert budget.spent == 0.25
    with pytest.raises(OnceError):
        COUNT.release(epsilon=0.5, once="k", budget=budget)
    COUNT.release(epsilon=0.25, once="k", budget=budget)
    COUNT.release(epsilon=0.25, once="k", budget=budget)
    assert budget.spent == 0.5


@pytest.mark.parametrize("bad", ["", 7, "a\nb", "k" * 201, b"k", True])
def test_keys_and_labels_are_short_texts(bad: Any) -> None:
    budget = dp.Budget(1)
    with pytest.raises(PlanError, match="once="):
        COUNT.release(epsilon=0.1, once=bad, budget=budget)
    if bad not in ("", "k" * 201):
        with pytest.raises(PlanError, match="label="):
            COUNT.release(epsilon=0.1, label=bad, budget=budget)
        with pytest.raises(PlanError, match="label="):
            TABLE[["x"]].dp.noise({"x": dp.LaplaceNoise(1, 0.5)}, label=bad, budget=budget)
    assert budget.spent == 0


def test_noise_on_a_table_has_a_label() -> None:
    budget = dp.Budget(1)
    TABLE[["x"]].dp.noise({"x": dp.LaplaceNoise(1, 0.5)}, label="by hand", budget=budget)
    assert budget.history()["label"].tolist() == ["by hand"]


def test_a_batch_is_one_charge_under_its_labels(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(1, 1e-6)
    with dp.batch(epsilon=0.5, delta=1e-7, budget=budget):
        first = COUNT.release(mechanism="gaussian", label="monday")
        COUNT.release(mechanism="gaussian", label="tuesday")
        COUNT.release(mechanism="gaussian", label="monday")
    assert len(first.value) == 1
    assert budget.history()["label"].tolist() == ["monday; tuesday"]
    assert budget.spent > 0
