"""The ledger: budgets that outlive the process, and that several processes share.

A charge is one durable transaction, made before any data is read: take the turn, read what others wrote since, hold the
charge against what is left, append its record. It stands from then on, whatever happens to the process. The answer of a
release with a key is a second transaction, made before the answer is handed out.
"""

from __future__ import annotations

import hashlib
import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dpframe.accounting import ledger_anchor
from dpframe.accounting.ledger_chain import Account, Amounts, Chain, Once, Reckoned, Record
from dpframe.errors import LedgerError

if TYPE_CHECKING:
    from sqlalchemy import Connection

try:
    from dpframe.accounting import ledger_store as store
except ImportError as error:
    raise LedgerError('A ledger needs SQLAlchemy: pip install "dpframe[ledger]".') from error


_ledgers: weakref.WeakSet[Ledger] = weakref.WeakSet()
"""Those of this process. None is in the middle of a transaction while the process forks: the child would inherit it,
and undo it in the file when it lets go of the connection. (A child cannot charge: the budget is its parent's.)"""

_forking = threading.Lock()
"""Held while the process forks, and while a ledger is opened."""

_paused: list[Ledger] = []
"""Those that wait until the process has forked."""


@dataclass
class Turn:
    """A transaction that may append records: the chain as it is with them, and how many there are."""

    chain: Chain
    connection: Connection
    appended: int = 0

    def append(self, record: Record) -> int:
        """Write a record; its number. What could not be read again is not written."""
        self.appended += 1
        self.chain.add(record)
        store.append(self.connection, record)
        return record.number


class Ledger:
    """The budgets of one database.

    Parameters
    ----------
    address
        Of a SQLite file or a PostgreSQL database, as SQLAlchemy writes it.
    anchor
        A file kept elsewhere that says how far the ledger had come.
    create
        Whether to begin a ledger that does not exist.

    Raises
    ------
    LedgerError
        When the place cannot hold a ledger, when any record is not what was written, and when the ledger is behind its
        anchor.
    """

    def __init__(self, address: object, anchor: Path | None = None, *, create: bool = True) -> None:
        self._anchor = anchor
        self._lock = threading.Lock()
        self._chain = Chain()
        self._seen = (0, "")
        with _forking:
            self._engine = store.engine_of(address, create=create)
            _ledgers.add(self)
        with self._lock, self._reading() as connection:
            store.check(connection)
            self._check_anchor(connection)

    def budget(self, name: str, opened: str, unit: str, total: Amounts, time: str) -> int:
        """The account of a budget, opened when there is none of that name.

        Parameters
        ----------
        opened
            What its user asked for, as in ``epsilon=10, delta=0.000001``.
        unit, total
            The name of its filter, and what that allows in all.

        Raises
        ------
        LedgerError
            When there is one of that name that was opened as another.
        """
        with self._turn() as turn:
            if name not in turn.chain.names:
                opening = turn.chain.next("open", turn.chain.length, total, key=name, cost=opened, plan=unit, time=time)
                return turn.append(opening)
            number = turn.chain.names[name]
            known = turn.chain.accounts[number].opened
        if known != opened:
            raise LedgerError(
                f"The ledger's budget {name!r} has a total of {known}, not of {opened}: open it as it is. Another "
                "total is another budget, with another name."
            )
        return number

    def charge(
        self, account: int, reckon: Callable[[Account], Reckoned], once: Once | None, **texts: str
    ) -> bytes | None:
        """Charge an account, durably; or nothing, when the key has its answer already.

        Parameters
        ----------
        reckon
            What the charge takes, by the account as it is at its turn; raises what refuses it.
        **texts
            ``label``, ``query``, ``mechanism``, ``cost``, ``time``.

        Returns
        -------
        bytes or None
            The stored answer. None when the charge was made.
        """
        with self._turn() as turn:
            kept = None if once is None else turn.chain.known(account, once)
            if kept is not None and kept.answer is not None:
                return self._stored(turn.connection, kept.answer)
            if once is not None:
                texts |= {"key": once.key, "plan": once.plan}
            amounts = self._settle(turn, account, reckon, texts["time"])
            turn.append(turn.chain.next("charge", account, amounts, None, **texts))
        return None

    def keep(self, account: int, once: Once, answer: bytes, time: str) -> bytes:
        """Store the answer of a key, durably. The first one stored is the answer; it is what comes back."""
        with self._turn() as turn:
            kept = turn.chain.known(account, once)
            if kept is None:
                raise LedgerError(f"The key {once.key!r} was never charged.")
            if kept.answer is not None:
                return self._stored(turn.connection, kept.answer)
            root = turn.chain.accounts[account].root
            nothing = tuple(0 * each for each in turn.chain.accounts[root].total)
            digest = hashlib.sha256(answer).hexdigest()
            record = turn.chain.next("answer", root, nothing, kept.charge.number, key=once.key, plan=digest, time=time)
            store.put(turn.connection, record.number, answer)
            turn.append(record)
        return answer

    def part(self, account: int, reckon: Callable[[Account], Reckoned], cost: str, time: str) -> tuple[int, Account]:
        """Set a part of an account aside; the number of the part, and its account."""
        with self._turn() as turn:
            amounts = self._settle(turn, account, reckon, time)
            unit = turn.chain.accounts[account].unit
            number = turn.append(turn.chain.next("part", account, amounts, plan=unit, cost=cost, time=time))
            part = replace(turn.chain.accounts[number])
        return number, part

    def close(self, part: int, time: str) -> None:
        """Give back what is left of a part. What is left of one whose own whole is closed stays spent."""
        with self._turn() as turn:
            held = turn.chain.accounts[part]
            if not held.closed and not turn.chain.accounts[held.parent].closed:
                turn.append(turn.chain.next("close", held.parent, held.left, part, time=time))

    @staticmethod
    def _settle(turn: Turn, account: int, reckon: Callable[[Account], Reckoned], time: str) -> Amounts:
        """What is taken of an account, which is counted in the reckoned measure from now on."""
        held = turn.chain.accounts[account]
        reckoned = reckon(held)
        if (reckoned.unit, reckoned.total) != (held.unit, held.total):
            turn.append(turn.chain.next("settle", account, reckoned.total, plan=reckoned.unit, time=time))
        return reckoned.amounts

    def account(self, number: int) -> Account:
        """An account as it is now."""
        with self._lock, self._reading():
            return replace(self._chain.accounts[number])

    def history(self, account: int) -> list[Record]:
        """The charges to an account and to the parts of it, oldest first."""
        with self._lock, self._reading() as connection:
            every = store.records(connection, 0)
            return [each for each in every if each.kind == "charge" and self._within(each.account, account)]

    def records(self) -> list[Record]:
        """Every record, oldest first."""
        with self._lock, self._reading() as connection:
            return list(store.records(connection, 0))

    @property
    def chain(self) -> Chain:
        """The state that the records add up to, as it was last read."""
        return self._chain

    def verify(self) -> None:
        """Read everything again: the file, the records, the anchor and the stored answers.

        Raises
        ------
        LedgerError
            When anything is not what was written.
        """
        with self._lock:
            self._chain = Chain()
            with self._reading() as connection:
                store.check(connection)
                self._check_anchor(connection)
                for kept in self._chain.kept.values():
                    if kept.answer is not None:
                        self._stored(connection, kept.answer)

    def _within(self, account: int, whole: int) -> bool:
        while account != whole and self._chain.accounts[account].parent != account:
            account = self._chain.accounts[account].parent
        return account == whole

    @contextmanager
    def _turn(self) -> Iterator[Turn]:
        """The turn to write: nobody else writes until it ends, and what it appends is durable when it has ended."""
        with self._lock:
            turn: Turn | None = None
            try:
                with store.transaction(self._engine, writes=True) as connection:
                    self._catch_up(connection)
                    turn = Turn(self._chain, connection)
                    yield turn
            except BaseException:
                if turn is not None and turn.appended:
                    self._chain = Chain()  # it may or may not stand: read everything again at the next turn
                raise
            self._seen = self._chain.length, self._chain.head
            if turn.appended and self._anchor is not None:
                ledger_anchor.append(self._anchor, self._chain.length, self._chain.head)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with store.transaction(self._engine, writes=False) as connection:
            self._catch_up(connection)
            yield connection

    def _catch_up(self, connection: Connection) -> None:
        """Take in what other processes wrote since, every record of it checked.

        Raises
        ------
        LedgerError
            When a record does not follow from those before, or the ledger has gone back behind what was seen of it.
        """
        length, digest = store.head(connection)
        try:
            for record in store.records(connection, self._chain.length):
                if record.number + 1 == self._seen[0] and record.digest != self._seen[1]:
                    raise LedgerError(
                        "The ledger has another history than this process saw of it: it was put back to an older "
                        "state, and written to since. Restore it from a newer copy."
                    )
                self._chain.add(record)
        except (TypeError, ValueError, AttributeError, ArithmeticError) as error:
            raise LedgerError(f"Record {self._chain.length} of the ledger cannot be read: it is damaged.") from error
        if (length, digest) != (self._chain.length, self._chain.head) or length < self._seen[0]:
            read = max(self._chain.length, self._seen[0])
            raise LedgerError(
                f"The ledger ends at record {length}, where {read} records were read: it was put back to an older "
                "state, or is damaged. Restore it from a newer copy."
            )
        self._seen = length, digest

    def _check_anchor(self, connection: Connection) -> None:
        if self._anchor is None:
            return
        if not self._anchor.exists():
            if self._chain.length:
                raise LedgerError(
                    f"The anchor {self._anchor} is missing, but the ledger has {self._chain.length} records. If it "
                    "never had an anchor, make an empty file there; otherwise restore the anchor."
                )
            ledger_anchor.begin(self._anchor)  # before the first record, so that no kill leaves one without the other
            return
        known = ledger_anchor.furthest(self._anchor)
        if known is None:
            return
        length, digest = known
        here = next((each.digest for each in store.records(connection, length - 1)), "")
        if here != digest:
            raise LedgerError(
                f"The ledger is behind its anchor {self._anchor}, or has another history: the anchor knows {length} "
                f"records, the ledger has {self._chain.length}. It was put back to an older copy. Restore a newer one."
            )

    @staticmethod
    def _stored(connection: Connection, record: Record) -> bytes:
        answer = store.get(connection, record.number)
        if hashlib.sha256(answer).hexdigest() != record.plan:
            raise LedgerError(f"The stored answer of once={record.key!r} is damaged. Restore the ledger from a copy.")
        return answer

    def pause(self) -> None:
        """Begin no transaction, after the one that is under way."""
        self._lock.acquire()

    def resume(self) -> None:
        """Go on."""
        self._lock.release()

    def reconnect(self) -> None:
        """Leave the connection to the process that made it, and make another when there is need of one."""
        self._engine.dispose(close=False)


def _pause() -> None:
    _forking.acquire()
    for ledger in list(_ledgers):
        ledger.pause()
        _paused.append(ledger)


def _resume() -> None:
    while _paused:
        _paused.pop().resume()
    _forking.release()


def _resume_in_child() -> None:
    for ledger in _paused:
        ledger.reconnect()
    _resume()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_pause, after_in_parent=_resume, after_in_child=_resume_in_child)
