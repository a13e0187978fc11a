"""No handle of a budget can be cloned: what comes back from where it was given is refused, or the budget itself."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import threading
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import pytest
from budgets import charge

import dpframe as dp
from dpframe.errors import BudgetExceededError, NoBudgetError


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
