"""Budgets while other threads end their blocks, while processes fork, and while a ledger fails at the wrong moment."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dpframe as dp
from dpframe.accounting import Child, Children, cost
from dpframe.accounting.split import Split
from dpframe.errors import LedgerError, NoBudgetError

FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def charge(budget: dp.Budget, epsilon: object) -> None:
    budget.charge([cost(epsilon=epsilon)], "query", "mechanism")


@pytest.fixture
def kept(tmp_path: Path) -> dp.Budget:
    """A budget of 1 in a ledger."""
    pytest.importorskip("sqlalchemy")
    return dp.Budget(1, ledger=f"sqlite:///{tmp_path}/p.db", name="members")


class Late:
    """A lock that is had only after something else has happened, as another thread might have done it."""

    def __init__(self, lock: Any, before: Callable[[], object]) -> None:
        self._lock, self._before = lock, [before]

    def __enter__(self) -> None:
        while self._before:
            self._before.pop()()
        self._lock.acquire()

    def __exit__(self, *error: object) -> None:
        self._lock.release()


def test_a_charge_that_waits_while_its_part_ends_is_refused() -> None:
    budget = dp.Budget(1)
    part = budget.part(epsilon=0.5)
    part.hold()
    part._lock = Late(part._lock, part.release)  # type: ignore[assignment]
    with pytest.raises(NoBudgetError, match="has ended"):
        charge(part, 0.5)
    charge(budget, 1)  # the part went back whole, and can be spent once
    assert len(budget.history()) == 1  # type: ignore[arg-type]


def test_a_part_that_waits_while_its_whole_ends_is_refused() -> None:
    budget = dp.Budget(1)
    outer = budget.part(epsilon=0.6)
    outer.hold()
    inner = outer.part(epsilon=0.4)
    inner._lock = Late(inner._lock, outer.release)  # type: ignore[assignment]
    with pytest.raises(NoBudgetError):
        inner.hold()
    charge(budget, 1)


def test_a_charge_to_a_part_that_ends_in_the_meantime_is_no_damage_of_the_ledger(
    kept: dp.Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = kept.part(epsilon=0.5)
    part.hold()
    ledger = part._ledger
    assert ledger is not None
    then = ledger.charge

    def late(*arguments: Any, **named: Any) -> bytes | None:
        part.release()
        return then(*arguments, **named)

    monkeypatch.setattr(ledger, "charge", late)
    with pytest.raises(NoBudgetError, match="has ended"):
        charge(part, 0.5)
    monkeypatch.undo()
    charge(kept, 1)


def test_a_ledger_that_fails_after_a_part_was_set_aside_takes_nothing_for_ever(
    kept: dp.Budget, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(number: int) -> None:
        raise LedgerError("locked")

    monkeypatch.setattr(kept._ledger, "account", fail)
    part = kept.part(epsilon=0.5)
    part.hold()
    part.release()
    monkeypatch.undo()
    assert kept.remaining == 1


class Counted:
    """A part that counts how often it is held, and fails to go back if it is told to."""

    def __init__(self, *, fails: bool = False) -> None:
        self.held, self._fails = 0, fails

    def hold(self) -> None:
        self.held += 1

    def release(self) -> None:
        self.held -= 1
        if self._fails:
            raise LedgerError("locked")


def test_all_parts_of_a_split_go_back_even_if_one_fails() -> None:
    parts = [Counted(), Counted(fails=True), Counted()]
    with pytest.raises(LedgerError, match="locked"), Split(parts) as held:
        assert [each.held for each in held] == [1, 1, 1]
    assert [each.held for each in parts] == [0, 0, 0]


def test_a_split_that_is_entered_again_holds_its_parts_until_the_outer_end() -> None:
    parts = [Counted(), Counted()]
    split = Split(parts)
    with split:
        with split:
            assert [each.held for each in parts] == [2, 2]
        assert [each.held for each in parts] == [1, 1]
    assert [each.held for each in parts] == [0, 0]


def in_child(work: Callable[[], object]) -> int:
    """What a forked child ends with: 0 when the work was done, 1 for an error, the signal when it hung."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(10)
            work()
            code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


def while_held(lock: Any, work: Callable[[], object]) -> int:
    """What a child ends with that was forked while another thread held a lock."""
    holds, done = threading.Event(), threading.Event()

    def hold() -> None:
        with lock:
            holds.set()
            done.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    holds.wait(60)
    try:
        return in_child(work)
    finally:
        done.set()
        thread.join()


def expect_refusal(attempt: Callable[[], object]) -> Callable[[], None]:
    def work() -> None:
        with pytest.raises(NoBudgetError):
            attempt()

    return work


@FORKS
def test_a_forked_child_waits_for_no_lock_that_its_parents_threads_held() -> None:
    family, budget = Children(1, True), dp.Budget(1)
    child, nested = Child(family, 0, "a"), Children(1, True, within=Child(family, 1, "b"))
    within = Child(nested, 0, "c")

    def release_from_ones_own() -> None:
        opened = dp.Budget(1)
        for each, spent in ((child, 0.5), (within, 0.5), (within, 1)):
            each.charge(opened, [cost(epsilon=0.5)], "", "")
            assert opened.spent == spent

    assert while_held(family.turn(), release_from_ones_own) == 0
    part = budget.part(epsilon=0.5)
    part.hold()
    assert while_held(part._entering, part.release) == 0
    assert while_held(part._entering, expect_refusal(part.hold)) == 0
    assert while_held(part._lock, expect_refusal(lambda: charge(part, 0.1))) == 0
    part.release()
    assert budget.remaining == 1


@FORKS
def test_a_forked_child_reads_a_ledger_by_a_connection_of_its_own(kept: dp.Budget) -> None:
    ledger = kept._ledger
    assert ledger is not None

    def connection() -> object:
        with ledger._engine.connect() as one:
            return one.connection.dbapi_connection

    ours = connection()
    assert connection() is ours

    def look() -> None:
        assert kept.remaining == 1
        assert connection() is not ours

    assert in_child(look) == 0
    assert connection() is ours
    charge(kept, 1)


@FORKS
def test_a_ledger_that_is_opened_while_the_process_forks_is_not_let_go_by_mistake(
    kept: dp.Budget, tmp_path: Path
) -> None:
    from dpframe.accounting import ledger

    opened: list[dp.Budget] = []
    thread = threading.Thread(
        target=lambda: opened.append(dp.Budget(1, ledger=f"sqlite:///{tmp_path}/other.db", name="m"))
    )
    ledger._pause()
    try:
        thread.start()
        thread.join(0.3)
        assert not opened  # it waits, for a fork in the middle of this would hand its transaction on
    finally:
        ledger._resume()
    thread.join(60)
    for budget in (kept, *opened):
        charge(budget, 1)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.apply(os.getppid) == os.getpid()
    assert len(opened) == 1 and opened[0].remaining == kept.remaining == 0
