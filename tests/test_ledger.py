"""The ledger by itself: its chain, its places, its anchor, and what damage does to it."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

from dpframe.accounting import ledger_places, ledger_store
from dpframe.accounting.ledger import Ledger
from dpframe.accounting.ledger_chain import Account, Amounts, Chain, Once, Reckoned, Record, read, write
from dpframe.errors import BudgetExceededError, LedgerError, OnceError

TOTAL: Amounts = (Fraction(10), Fraction(1, 10**6))


def asking(amount: object, delta: object = 0) -> object:
    """What a budget would do at its turn: refuse what does not fit."""
    asked = (Fraction(str(amount)), Fraction(str(delta)))

    def reckon(held: Account) -> Reckoned:
        if any(a > b for a, b in zip(asked, held.left, strict=True)):
            raise BudgetExceededError("too much")
        return Reckoned(held.unit, held.total, asked)

    return reckon


def charge(
    ledger: Ledger, account: int, amount: object = "0.1", once: Once | None = None, **texts: str
) -> bytes | None:
    return ledger.charge(account, asking(amount), once, time="now", **texts)  # type: ignore[arg-type]


def opened(path: Path, anchor: Path | None = None, total: Amounts = TOTAL) -> tuple[Ledger, int]:
    ledger = Ledger(f"sqlite:///{path}", anchor)
    return ledger, ledger.budget("members", f"epsilon={total[0]}", "sum", total, "now")


def copies(path: Path) -> dict[str, bytes]:
    return {each.name: each.read_bytes() for each in path.parent.iterdir() if each.name.startswith(path.name)}


def spent(ledger: Ledger, account: int) -> Fraction:
    held = ledger.account(account)
    return held.total[0] - held.left[0]


def test_charges_outlive_the_process_exactly(tmp_path: Path) -> None:
    ledger, account = opened(tmp_path / "p.db")
    for _ in range(3):
        charge(ledger, account, label="nightly", query="count()")
    again, same = opened(tmp_path / "p.db")
    assert same == account
    assert again.account(account).left == (Fraction(97, 10), TOTAL[1])
    assert [record.label for record in again.history(account)] == ["nightly"] * 3
    # Two that are open at once see each other's charges at every turn.
    charge(again, account, "9.7")
    with pytest.raises(BudgetExceededError):
        charge(ledger, account, "1e-9")
    assert spent(ledger, account) == 10


def test_another_total_under_the_same_name_is_refused(tmp_path: Path) -> None:
    opened(tmp_path / "p.db")
    with pytest.raises(LedgerError, match=r"'members' has a total of epsilon=10, not of epsilon=11"):
        opened(tmp_path / "p.db", total=(Fraction(11), Fraction(0)))


def test_two_budgets_of_one_ledger_are_apart(tmp_path: Path) -> None:
    ledger, members = opened(tmp_path / "p.db")
    visitors = ledger.budget("visitors", "rho=1", "rho", (Fraction(1), Fraction(0)), "now")
    charge(ledger, members, 10)
    charge(ledger, visitors, "0.5")
    assert (spent(ledger, members), spent(ledger, visitors)) == (10, Fraction(1, 2))
    assert len(ledger.history(members)) == len(ledger.history(visitors)) == 1


def test_an_answer_is_stored_once_and_comes_back_bit_for_bit(tmp_path: Path) -> None:
    ledger, account = opened(tmp_path / "p.db")
    once = Once("2026-11-22", "plan")
    assert charge(ledger, account, once=once) is None
    # A crash here leaves the charge. The next attempt pays again, and the first answer that is stored is the answer.
    other, _ = opened(tmp_path / "p.db")
    assert charge(other, account, once=once) is None
    assert other.keep(account, once, b"the answer", "now") == b"the answer"
    assert ledger.keep(account, once, b"too late", "now") == b"the answer"
    assert charge(ledger, account, once=once) == b"the answer"
    assert spent(ledger, account) == Fraction(2, 10)
    with pytest.raises(OnceError, match="2026-11-22"):
        charge(ledger, account, once=Once("2026-11-22", "another plan"))
    with pytest.raises(OnceError):
        ledger.keep(account, Once("2026-11-22", "another plan"), b"x", "now")


def test_the_unspent_rest_of_a_part_returns(tmp_path: Path) -> None:
    ledger, account = opened(tmp_path / "p.db")
    part, _ = ledger.part(account, asking(3), "epsilon=3", "now")  # type: ignore[arg-type]
    inner, _ = ledger.part(part, asking(2), "epsilon=2", "now")  # type: ignore[arg-type]
    charge(ledger, inner, "0.5")
    charge(ledger, part, "0.25")
    with pytest.raises(BudgetExceededError):
        charge(ledger, part, 1)
    assert spent(ledger, account) == 3
    ledger.close(inner, "now")
    ledger.close(part, "now")
    ledger.close(part, "now")
    assert spent(ledger, account) == Fraction(3, 4)
    with pytest.raises(LedgerError, match="not open"):
        charge(ledger, part, "0.1")
    assert len(ledger.history(account)) == 2 and len(ledger.history(inner)) == 1
    assert Ledger(f"sqlite:///{tmp_path / 'p.db'}").account(account).left[0] == Fraction(37, 4)


def test_a_budget_is_settled_before_it_is_touched_or_never(tmp_path: Path) -> None:
    ledger, account = opened(tmp_path / "p.db")
    settle = lambda held: Reckoned("gaussian", (Fraction(7), Fraction(0)), (Fraction(2), Fraction(0)))  # noqa: E731
    ledger.charge(account, settle, None, time="now")
    held = ledger.account(account)
    assert (held.unit, held.total[0], held.left[0]) == ("gaussian", 7, 5)
    with pytest.raises(LedgerError, match="cannot be here"):
        ledger.charge(account, lambda held: Reckoned("sum", TOTAL, (Fraction(1), Fraction(0))), None, time="now")
    assert spent(ledger, account) == 2


def test_random_charges_against_fractions(tmp_path: Path) -> None:
    draw = random.Random(3)
    ledger, account = opened(tmp_path / "p.db")
    left, refused = Fraction(10), 0
    for _ in range(120):
        amount = Fraction(draw.randint(1, 99), draw.randint(50, 700))
        if amount > left:
            refused += 1
            with pytest.raises(BudgetExceededError):
                charge(ledger, account, amount)
        else:
            charge(ledger, account, amount)
            left -= amount
        assert ledger.account(account).left[0] == left
    assert 10 < refused < 110
    ledger.verify()


def changed(record: Record, field: str) -> Record:
    value = getattr(record, field)
    if isinstance(value, int):
        return replace(record, **{field: value + 1})
    if field in ("amount", "left"):
        return replace(record, **{field: write(tuple(each / 2 for each in read(value)))})
    return replace(record, **{field: "part" if field == "kind" else value + "x"})


def test_a_record_that_was_changed_dropped_or_doubled_is_found(tmp_path: Path) -> None:
    ledger, account = opened(tmp_path / "p.db")
    for at in range(6):
        charge(ledger, account, "0.1", Once(f"k{at}", "p") if at % 2 else None, query="q", label="l")
    records = ledger.records()
    chain = Chain()
    for record in records:
        chain.add(record)
    assert chain.accounts[account].left == ledger.account(account).left

    def refused(forged: list[Record]) -> None:
        chain = Chain()
        with pytest.raises((LedgerError, ValueError)):
            for record in forged:
                chain.add(record)
            if chain.head != records[-1].digest:
                raise LedgerError("the head is another")

    for at in range(len(records)):
        refused(records[:at] + records[at + 1 :])
        refused(records[: at + 1] + records[at:])
        for field in Record.__dataclass_fields__:
            refused([*records[:at], changed(records[at], field), *records[at + 1 :]])


@pytest.mark.parametrize("statement", [
    "DELETE FROM dpframe_records WHERE number = 3",
    "DELETE FROM dpframe_records WHERE number > 2",
    "UPDATE dpframe_records SET amount = '1/100 0' WHERE number = 2",
    "UPDATE dpframe_records SET key = 'others' WHERE number = 0",
    "UPDATE dpframe_head SET records = 3",
    "DELETE FROM dpframe_head",
    "DELETE FROM dpframe_records",
    "DROP TABLE dpframe_records",
    "UPDATE dpframe_records SET amount = x'ff' WHERE number = 2",
    "UPDATE dpframe_records SET amount = 'NaN 0' WHERE number = 2",
    "UPDATE dpframe_records SET left = '1/0 0' WHERE number = 2",
])  # fmt: skip
def test_a_ledger_edited_by_hand_is_refused(tmp_path: Path, statement: str) -> None:
    ledger, account = opened(tmp_path / "p.db")
    for _ in range(4):
        charge(ledger, account)
    with sqlite3.connect(tmp_path / "p.db") as by_hand:
        by_hand.execute(statement)
    by_hand.close()
    with pytest.raises(LedgerError):
        opened(tmp_path / "p.db")
    with pytest.raises(LedgerError):  # and by a process that has it open, where it shows in what it has not read yet
        ledger.verify()


def test_a_stored_answer_that_was_changed_is_refused(tmp_path: Path) -> None:
    ledger, account = opened(tmp_path / "p.db")
    charge(ledger, account, once=Once("k", "p"))
    ledger.keep(account, Once("k", "p"), b"answer", "now")
    with sqlite3.connect(tmp_path / "p.db") as by_hand:
        by_hand.execute("UPDATE dpframe_answers SET answer = x'00'")
    by_hand.close()
    with pytest.raises(LedgerError, match="stored answer"):
        charge(ledger, account, once=Once("k", "p"))
    with pytest.raises(LedgerError, match="stored answer"):
        ledger.verify()


def test_a_ledger_put_back_under_a_running_process_is_refused(tmp_path: Path) -> None:
    ledger, account = opened(tmp_path / "p.db")
    charge(ledger, account)
    old = tmp_path / "old.db"
    shutil.copy(tmp_path / "p.db", old)
    charge(ledger, account)
    with sqlite3.connect(old) as source, sqlite3.connect(tmp_path / "p.db") as target:
        source.backup(target)
    for look in (lambda: charge(ledger, account), ledger.verify, lambda: charge(ledger, account)):
        with pytest.raises(LedgerError, match="older"):
            look()
    for _ in range(3):  # and when somebody went on from there
        charge(*opened(tmp_path / "p.db"), "0.2")
    for look in (lambda: charge(ledger, account), ledger.verify, lambda: charge(ledger, account)):
        with pytest.raises(LedgerError, match=r"another history|not what was written"):
            look()


def test_the_anchor_refuses_an_old_copy(tmp_path: Path) -> None:
    path, anchor = tmp_path / "p.db", tmp_path / "elsewhere" / "anchor"
    anchor.parent.mkdir()
    ledger, account = opened(path, anchor)
    charge(ledger, account)
    yesterday = copies(path)
    charge(ledger, account, 5)
    del ledger
    for name, held in yesterday.items():
        (tmp_path / name).write_bytes(held)
    # Nothing in the file itself can tell. This is what the anchor is for.
    assert spent(*opened(path)) == Fraction(1, 10)
    with pytest.raises(LedgerError, match="behind its anchor"):
        opened(path, anchor)
    # Nor does it help to go on from there without it.
    without, account = opened(path)
    for _ in range(5):
        charge(without, account)
    with pytest.raises(LedgerError, match="another history"):
        opened(path, anchor)
    path.unlink()
    with pytest.raises(LedgerError, match="behind its anchor"):
        opened(path, anchor)


def test_an_anchor_that_is_lost_or_damaged_is_refused(tmp_path: Path) -> None:
    path, anchor = tmp_path / "p.db", tmp_path / "anchor"
    ledger, account = opened(path, anchor)
    charge(ledger, account)
    written = anchor.read_text()
    assert len(written.splitlines()) == 2
    anchor.unlink()
    with pytest.raises(LedgerError, match="missing"):
        opened(path, anchor)
    for damaged in (written[:-20], written.replace(" ", ""), "x" + written, written + "\n"):
        anchor.write_text(damaged)
        with pytest.raises(LedgerError, match="Line"):
            opened(path, anchor)
    anchor.write_text(written + written.splitlines()[1].translate(str.maketrans("0123456789", "1234567890"))[1:])
    with pytest.raises(LedgerError):
        opened(path, anchor)
    anchor.write_text("")  # begun anew, knowingly
    assert spent(*opened(path, anchor)) == Fraction(1, 10)


def test_an_anchor_is_there_before_the_first_record(tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match="cannot be made"):
        Ledger(f"sqlite:///{tmp_path / 'p.db'}", tmp_path / "nowhere" / "anchor")
    Ledger(f"sqlite:///{tmp_path / 'p.db'}", tmp_path / "anchor")  # and the process dies here
    assert (tmp_path / "anchor").read_text() == ""
    charge(*opened(tmp_path / "p.db", tmp_path / "anchor"))
    assert len((tmp_path / "anchor").read_text().splitlines()) == 2


def test_an_anchor_that_cannot_be_written_lets_nothing_out_and_keeps_the_charge(tmp_path: Path) -> None:
    ledger, account = opened(tmp_path / "p.db", tmp_path / "anchor")
    (tmp_path / "anchor").unlink()
    (tmp_path / "anchor").mkdir()
    with pytest.raises(LedgerError, match="charge stands"):
        charge(ledger, account)
    assert spent(ledger, account) == Fraction(1, 10)


@pytest.mark.parametrize("size", [0, 1, 100, 4096, 5000, 8192])
def test_a_file_cut_short_is_refused(tmp_path: Path, size: int) -> None:
    ledger, account = opened(tmp_path / "p.db")
    for _ in range(10):
        charge(ledger, account)
    del ledger
    os.truncate(tmp_path / "p.db", size)
    with pytest.raises(LedgerError):
        opened(tmp_path / "p.db")


def test_what_is_no_ledger_is_left_as_it_is(tmp_path: Path) -> None:
    for name, content in (("text.db", b"not a database at all, but long enough to look at" * 30), ("empty.db", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LedgerError):
            opened(tmp_path / name)
        assert (tmp_path / name).read_bytes() == content
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("CREATE TABLE t(a)")
    other.close()
    with pytest.raises(LedgerError, match="no ledger"):
        opened(tmp_path / "other.db")


def test_a_locked_ledger_gives_up_uncharged_and_recovers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_store, "WAIT", 0.2)
    ledger, account = opened(tmp_path / "p.db")
    holder = sqlite3.connect(tmp_path / "p.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerError, match="another process has held"):
        charge(ledger, account)
    holder.execute("ROLLBACK")
    charge(ledger, account)
    assert spent(ledger, account) == Fraction(1, 10)


def test_threads_fill_a_ledger_to_the_unit(tmp_path: Path) -> None:
    ledger, account = opened(tmp_path / "p.db", total=(Fraction(40), Fraction(0)))
    start = threading.Barrier(8)

    def work(at: int) -> int:
        mine = ledger if at % 2 else Ledger(f"sqlite:///{tmp_path / 'p.db'}")
        start.wait()
        done = 0
        for _ in range(10):
            try:
                charge(mine, account, 1)
                done += 1
            except BudgetExceededError:
                pass
        return done

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(work, range(8))) == 40
    ledger.verify()
    assert spent(ledger, account) == 40


@pytest.mark.parametrize("address", [
    "sqlite://", "sqlite:///:memory:", "sqlite:///file:p.db?uri=true", "sqlite:///p.db?mode=ro", "privacy.db",
    "s3://bucket/p.db", "dbfs:/p.db", "mysql://host/db", "sqlite:///s3://bucket/p.db", "sqlite:///abfss://c@a/p.db",
    "sqlite:///dbfs:/p.db", "sqlite:////dbfs/p.db", "sqlite:///\\\\host\\share\\p.db", "sqlite:///missing/p.db",
    "gs://bucket/p.db", 7, None, "", Path("p.db"),
])  # fmt: skip
def test_places_that_cannot_hold_a_ledger(address: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LedgerError, match="ledger"):
        Ledger(address)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.s3fs", "fuse.gcsfuse", "fuse", "lustre"])
def test_network_mounts_are_refused_with_the_reason(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts, share = tmp_path / "mountinfo", tmp_path / "my share"
    share.mkdir()
    point = str(share).replace(" ", "\\040")
    mounts.write_text(
        "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
        f"23 22 0:40 / {point} rw,relatime shared:2 - {kind} host:/export rw\n"
    )
    monkeypatch.setattr(ledger_places, "MOUNTS", mounts)
    with pytest.raises(LedgerError, match=rf"type {kind}.*(?s:.)*PostgreSQL"):
        Ledger(f"sqlite:///{share}/p.db")
    Ledger(f"sqlite:///{tmp_path}/p.db")  # beside it the disk is local
    (tmp_path / "link").symlink_to(share)
    with pytest.raises(LedgerError, match=kind):
        Ledger(f"sqlite:///{tmp_path}/link/p.db")


def test_a_path_is_fixed_when_it_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ledger = Ledger("sqlite:///p.db")
    account = ledger.budget("members", "epsilon=10", "sum", TOTAL, "now")
    (tmp_path / "other").mkdir()
    monkeypatch.chdir(tmp_path / "other")
    charge(ledger, account)
    assert not list((tmp_path / "other").iterdir())
    assert spent(*opened(tmp_path / "p.db")) == Fraction(1, 10)


def test_nothing_unfinished_is_left_beside_the_ledger(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(lambda _: opened(tmp_path / "p.db")[1], range(8)))) == 1
    assert {each.name for each in tmp_path.iterdir()} <= {"p.db", "p.db-journal"}
