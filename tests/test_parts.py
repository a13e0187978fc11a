"""Parts of a budget, blocks and threads; keys that stand for a release; and that no handle can be cloned."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import multiprocessing
import os
import pickle
import random
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import dpframe as dp
from dpframe.accounting import ambient, cost
from dpframe.errors import BudgetExceededError, InvalidCostError, LedgerError, NoBudgetError, OnceError, PlanError

TABLE = pd.DataFrame({"user": ["u", "v"], "x": [1.0, 2.0]})
COUNT = TABLE.dp.protect().count()


def charge(budget: dp.Budget, **named: object) -> None:
    budget.charge([cost(**named)], "query", "mechanism")


@pytest.fixture(params=["memory", "ledger"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., dp.Budget]:
    """Opens a budget in memory, or one in a ledger: the same things must hold of both."""
    if request.param == "memory":
        return dp.Budget
    pytest.importorskip("sqlalchemy")
    return lambda *total, **named: dp.Budget(*total, **named, ledger=f"sqlite:///{tmp_path}/p.db", name="members")


def test_what_a_part_does_not_spend_returns(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(1)
    with budget.part(epsilon=0.3) as part:
        assert (part.total, part.spent, part.remaining) == (0.3, 0, 0.3)
        assert (budget.spent, budget.remaining) == (0.3, 0.7)
        COUNT.release(epsilon=0.1)  # the innermost block is the part's
        assert (part.spent, part.remaining, budget.remaining) == (0.1, 0.2, 0.7)
        with pytest.raises(BudgetExceededError, match=r"0\.2"):
            COUNT.release(epsilon=0.21)
        with pytest.raises(BudgetExceededError):
            COUNT.release(epsilon=0.71, budget=budget)
        COUNT.release(epsilon=0.7, budget=budget)
    assert (budget.spent, budget.remaining) == (0.8, 0.2)
    assert budget.history()["cost"].tolist() == ["epsilon=0.1", "epsilon=0.7"]
    assert part.history()["cost"].tolist() == ["epsilon=0.1"]


def test_a_part_is_set_aside_with_its_block_and_refused_when_it_does_not_fit(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(1)
    part = budget.part(epsilon=0.9)
    assert budget.remaining == 1
    with budget.part(epsilon=0.2), pytest.raises(BudgetExceededError), part:
        pytest.fail("more was set aside than there was")
    assert budget.remaining == 1
    with part:
        assert budget.remaining == 0.1


def test_a_part_outside_its_block_refuses(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(1)
    part = budget.part(epsilon=0.3)
    with pytest.raises(NoBudgetError, match="has not begun"):
        COUNT.release(epsilon=0.1, budget=part)
    with part:
        with part, part:  # held already: the same part, once more
            assert ambient() is part and budget.remaining == 0.7
        COUNT.release(epsilon=0.1, budget=part)
    for attempt in (lambda: COUNT.release(epsilon=0.1, budget=part), part.__enter__):
        with pytest.raises(NoBudgetError, match="has ended"):
            attempt()
    assert budget.spent == 0.1 and len(budget.history()) == 1
    # A whole budget has no such end.
    with budget:
        pass
    COUNT.release(epsilon=0.1, budget=budget)


def test_an_exception_returns_what_was_not_spent_and_no_more(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(1)
    with pytest.raises(ZeroDivisionError), budget.part(epsilon=0.5):
        COUNT.release(epsilon=0.2)
        raise ZeroDivisionError
    assert budget.spent == 0.2
    with pytest.raises(NoBudgetError):
        ambient()


def test_parts_of_parts(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(1)
    with budget.part(epsilon=0.6) as half:
        with half.part(epsilon=0.4) as inner, inner.split(4) as (_, second, *_):
            charge(second, epsilon=0.1)
            with pytest.raises(BudgetExceededError):
                charge(second, epsilon="1e-9")
            assert (budget.remaining, half.remaining, inner.remaining) == (0.4, 0.2, 0)
        assert (budget.remaining, half.remaining) == (0.4, 0.5)
        with pytest.raises(NoBudgetError):
            charge(inner, epsilon=0.01)
    assert budget.spent == 0.1
    assert len(budget.history()) == len(half.history()) == len(inner.history()) == 1


def test_a_split_is_equal_parts_of_what_is_left(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(1)
    charge(budget, epsilon=0.1)
    with budget.split(3) as parts:
        assert [part.remaining for part in parts] == [Fraction(3, 10)] * 3
        assert budget.remaining == 0
        with pytest.raises(NoBudgetError):
            ambient()  # no one of the parts is the innermost
        with parts[1]:
            COUNT.release(epsilon=0.3)
        charge(parts[0], epsilon=0.2)
    assert (budget.spent, budget.remaining) == (0.6, 0.4)
    for bad in (0, -1, True, 2.0, "2", 1001):
        with pytest.raises(InvalidCostError):
            budget.split(bad)  # type: ignore[arg-type]


def test_a_split_that_cannot_be_set_aside_leaves_nothing_aside(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(1)
    with budget.part(epsilon=1) as part:
        split = part.split(2)
    with pytest.raises(NoBudgetError), split:
        pytest.fail("a part that has ended was split")
    assert budget.remaining == 1


@pytest.mark.parametrize(("total", "asked", "left"), [
    ({"rho": 1}, {"rho": 0.25}, 0.75),
    ({"rho": 1}, {"epsilon": 1}, 0.5),
    ({"epsilon": 1, "delta": 1e-6}, {"epsilon": 0.25, "delta": "1e-7"}, 0.75),
    ({"epsilon": 1, "delta": 1e-6}, {"epsilon": 0.25}, 0.75),
    ({"mu": 5}, {"mu": 4}, 3),
])  # fmt: skip
def test_parts_of_every_kind_of_budget(
    opened: Callable[..., dp.Budget], total: dict[str, Any], asked: dict[str, Any], left: float
) -> None:
    budget = opened(**total)
    with budget.part(**asked) as part:
        charge(part, **asked)
        assert (float(part.remaining), float(budget.remaining)) == (0, left)
    assert float(budget.remaining) == left
    with budget.split(2) as (a, b):
        assert a.remaining == b.remaining > 0
    assert float(budget.remaining) == left


def test_a_renyi_budget_has_parts_too(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(epsilon=1, delta=1e-6, filter="renyi")
    with budget.split(2) as (a, b):
        charge(a, rho="0.001")
        assert 0 < a.remaining < b.remaining and a.spent > 0 == b.spent
    with pytest.raises(BudgetExceededError), budget.part(rho=1):
        pass


def test_random_parts_against_fractions() -> None:
    draw = random.Random(11)
    budget, spent = dp.Budget(1000), Fraction(0)
    for _ in range(300):
        aside, takes = Fraction(draw.randint(1, 90), draw.randint(7, 60)), Fraction(0)
        with budget.part(epsilon=aside) as part:
            for _ in range(draw.randint(0, 4)):
                amount = Fraction(draw.randint(1, 30), draw.randint(7, 60))
                if takes + amount <= aside:
                    charge(part, epsilon=amount)
                    takes += amount
                else:
                    with pytest.raises(BudgetExceededError):
                        charge(part, epsilon=amount)
            assert Fraction(budget.remaining) == 1000 - spent - aside
        spent += takes
        assert Fraction(budget.spent) == spent
    assert spent > 100


def test_an_unlimited_budget_has_parts_that_are_unlimited() -> None:
    with dp.Budget.unlimited() as budget, budget.part(epsilon=1) as part, budget.split(2) as (a, _):
        assert not part.private and not a.private
        assert COUNT.release(budget=a)["count"].tolist() == [2]
        assert COUNT.release(epsilon=9, once="k")["count"].tolist() == [2]


def test_threads_within_a_part_fill_it_to_the_unit(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(100)
    with budget.part(epsilon=20) as part:

        def work(_: int) -> int:
            with part:  # a new thread begins outside every block
                done = 0
                for _ in range(6):
                    try:
                        charge(ambient(), epsilon=1)
                        done += 1
                    except BudgetExceededError:
                        pass
                return done

        with ThreadPoolExecutor(5) as pool:
            assert sum(pool.map(work, range(5))) == 20
        assert part.remaining == 0 and budget.remaining == 80
    assert budget.spent == 20


def test_a_batch_is_one_charge_under_its_labels(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(1, 1e-6)
    with dp.batch(epsilon=0.5, delta=1e-7, budget=budget):
        first = COUNT.release(mechanism="gaussian", label="monday")
        COUNT.release(mechanism="gaussian", label="tuesday")
        COUNT.release(mechanism="gaussian", label="monday")
    assert len(first.value) == 1
    assert budget.history()["label"].tolist() == ["monday; tuesday"]
    assert budget.spent > 0


def test_a_process_sees_how_another_settled_the_budget(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    ours, theirs = (dp.Budget(1, 1e-6, ledger=f"sqlite:///{tmp_path}/p.db", name="m") for _ in "ab")
    assert ours.filter == theirs.filter == "unsettled"
    COUNT.release(epsilon=0.4, delta=1e-7, mechanism="gaussian", budget=ours)
    chosen = COUNT.release(
        epsilon=0.1, delta=1e-7, budget=theirs
    )  # by what the budget counts, and not as it was opened
    assert "Gaussian" in chosen.dp.release_info()["count"].statistics[0].mechanism
    assert ours.filter == theirs.filter
    assert ours.remaining == theirs.remaining < 1
    COUNT.release(epsilon=0.1, delta=1e-7, mechanism="gaussian", budget=theirs)
    assert ours.remaining == theirs.remaining
    again = dp.Budget(1, 1e-6, ledger=f"sqlite:///{tmp_path}/p.db", name="m")
    assert (again.filter, again.remaining) == (ours.filter, ours.remaining)
    with pytest.raises(LedgerError, match="has a total of"):
        dp.Budget(1, 1e-6, filter="sum", ledger=f"sqlite:///{tmp_path}/p.db", name="m")


def test_what_a_new_thread_sees_and_how_to_give_it_a_budget() -> None:
    with dp.Budget(1) as budget:
        with ThreadPoolExecutor(1) as pool, pytest.raises(NoBudgetError, match="new thread begins outside every block"):
            pool.submit(COUNT.release, epsilon=0.1).result()
        for pool in (ThreadPoolExecutor(1, initializer=budget.__enter__), ThreadPoolExecutor(1)):
            context = contextvars.copy_context()
            run = context.run if pool._initializer is None else lambda work, **named: work(**named)
            with pool:
                pool.submit(run, COUNT.release, epsilon=0.1).result()

        async def main() -> None:
            await asyncio.to_thread(COUNT.release, epsilon=0.1)
            await asyncio.gather(*(asyncio.create_task(asyncio.to_thread(COUNT.release, epsilon=0.1)) for _ in "ab"))

        asyncio.run(main())
    assert budget.spent == 0.5


def test_a_task_that_outlives_a_part_is_refused() -> None:
    budget = dp.Budget(1)

    async def late() -> None:
        await asyncio.sleep(0.01)
        charge(ambient(), epsilon=0.1)

    async def main() -> None:
        with budget.part(epsilon=0.5):
            task = asyncio.create_task(late())
        with pytest.raises(NoBudgetError, match="has ended"):
            await task

    asyncio.run(main())
    assert budget.spent == 0


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


def test_names_and_anchors_go_with_a_ledger(tmp_path: Path) -> None:
    for named in ({"name": "members"}, {"anchor": "x"}):
        with pytest.raises(LedgerError, match="go with ledger="):
            dp.Budget(1, **named)
    for bad in (None, "", 7, "a\nb", "n" * 201):
        with pytest.raises(LedgerError, match="name="):
            dp.Budget(1, ledger=f"sqlite:///{tmp_path}/p.db", name=bad)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


# Handles. What is given is given as whole; what comes back must be refused or the budget itself.


def spend(budget: dp.Budget) -> str:
    """What another process makes of a budget: at module level, so that it can be sent there."""
    try:
        charge(budget, epsilon=1)
    except NoBudgetError:
        return "refused"
    return "spent"


def forked(budget: dp.Budget) -> str:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writer, spend(budget).encode())
        finally:
            os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as told:
        return told.read()


def by_pool(budget: dp.Budget, method: str) -> str:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        return pool.submit(spend, budget).result()


def by_forking_process(budget: dp.Budget) -> str:
    """Not pickled: inherited, as the arguments of a process that is forked."""
    context = multiprocessing.get_context("fork")
    answers = context.SimpleQueue()
    process = context.Process(target=lambda: answers.put(spend(budget)))
    process.start()
    process.join(60)
    return str(answers.get())


def cloudpickled(budget: dp.Budget) -> str:
    cloudpickle = pytest.importorskip("pyspark.cloudpickle")
    return spend(cloudpickle.loads(cloudpickle.dumps(lambda: budget))())


CLONES: dict[str, Callable[[dp.Budget], object]] = {
    "copy": copy.copy,
    "deepcopy": lambda budget: copy.deepcopy({"b": [budget]})["b"][0],
    "pickle": lambda budget: pickle.loads(pickle.dumps(budget)),
    "pickle, protocol 0": lambda budget: pickle.loads(pickle.dumps([budget], protocol=0))[0],
    "cloudpickle": cloudpickled,
    "fork": forked,
    "multiprocessing, fork": by_forking_process,
    "multiprocessing, spawn": lambda budget: by_pool(budget, "spawn"),
    "multiprocessing, forkserver": lambda budget: by_pool(budget, "forkserver"),
}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("way", CLONES)
@pytest.mark.parametrize("kind", ["whole", "part"])
def test_no_clone_has_a_budget_of_its_own(way: str, kind: str, opened: Callable[..., dp.Budget]) -> None:
    budget = opened(1)
    with budget.part(epsilon=1) as part:
        given = part if kind == "part" else budget
        try:
            clone = CLONES[way](given)
        except TypeError as refused:
            assert "cannot be pickled" in str(refused)
        else:
            assert clone is given or clone == "refused"
    # Nothing was spent anywhere, and the budget is as good as before, to the unit.
    assert budget.spent == 0
    charge(budget, epsilon=1)
    with pytest.raises(BudgetExceededError):
        charge(budget, epsilon="1e-9")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_that_ends_in_a_block_gives_nothing_back(opened: Callable[..., dp.Budget]) -> None:
    budget = opened(1)
    with budget.part(epsilon=0.5) as part:
        charge(part, epsilon=0.1)
        child = os.fork()
        if child == 0:
            part.__exit__(None, None, None)
            os._exit(0)
        os.waitpid(child, 0)
        assert (part.remaining, budget.remaining) == (0.4, 0.5)
        charge(part, epsilon=0.4)
    assert budget.spent == 0.5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_during_charges_neither_hangs_nor_disturbs_them(opened: Callable[..., dp.Budget]) -> None:
    budget, stop = opened(10**6), threading.Event()
    done = [0, 0]

    def work(at: int) -> None:
        while not stop.is_set():
            charge(budget, epsilon=1)
            done[at] += 1

    threads = [threading.Thread(target=work, args=(at,)) for at in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        assert forked(budget) == "refused"
    stop.set()
    for thread in threads:
        thread.join(60)
    assert budget.spent == sum(done) > 0


def test_without_sqlalchemy_a_ledger_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "import dpframe as dp\n"
        "dp.Budget(1)\n"
        "try:\n    dp.Budget(1, ledger='sqlite:///p.db', name='m')\n"
        "except dp.errors.LedgerError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert 'pip install "dpframe[ledger]"' in run.stdout, run.stderr
