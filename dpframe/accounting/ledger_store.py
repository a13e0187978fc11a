"""The tables of a ledger in a database, and transactions on them. The only place that imports SQLAlchemy.

SQLite keeps a rollback journal (``journal_mode=PERSIST``, ``synchronous=FULL``) and no write-ahead log: a charge that
returned is in the file itself, and the journal is void again. Of a write-ahead log that a killed process left behind,
SQLite drops without a word whatever follows the first damaged frame: committed charges would be gone, and the ledger
would look sound. See ``docs/decisions/0012-a-ledger-is-a-chain.md``.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from dpframe.accounting.ledger_chain import Record
from dpframe.accounting.ledger_places import local_path
from dpframe.errors import LedgerError

WAIT = 30.0
"""Seconds to wait for other writers. How long one waits decides nothing but when to give up, uncharged."""

TABLES = sa.MetaData()
RECORDS = sa.Table(
    "dpframe_records",
    TABLES,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.Text, nullable=False),
    sa.Column("account", sa.Integer, nullable=False),
    sa.Column("of", sa.Integer, nullable=False),
    *(
        sa.Column(name, sa.Text, nullable=False)
        for name in "amount left key plan label query mechanism cost time digest".split()
    ),
)
HEAD = sa.Table(
    "dpframe_head",
    TABLES,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("records", sa.Integer, nullable=False),
    sa.Column("digest", sa.Text, nullable=False),
)
ANSWERS = sa.Table(
    "dpframe_answers",
    TABLES,
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("answer", sa.LargeBinary, nullable=False),
)


def engine_of(ledger: object, *, create: bool) -> sa.Engine:
    """The engine of a ledger's database; its tables exist.

    Raises
    ------
    LedgerError
        For what is no address of a SQLite file or a PostgreSQL database, and for a database that cannot be used.
    """
    try:
        address = sa.make_url(ledger)  # type: ignore[arg-type]
        kind = address.get_backend_name()
    except (ArgumentError, SQLAlchemyError, AttributeError, TypeError, ValueError):
        raise LedgerError(
            "ledger= is a database's address, such as 'sqlite:///privacy.db' or "
            "'postgresql+psycopg://user@host/database'."
        ) from None
    if kind == "sqlite":
        if address.query:
            raise LedgerError("A SQLite ledger takes no options after '?': name the file alone.")
        return _sqlite(local_path(address.database), create=create)
    if kind == "postgresql":
        with clear("PostgreSQL"):
            return _postgresql(address, create=create)
    raise LedgerError(
        f"A ledger is kept by SQLite or PostgreSQL, not by {kind}: object stores and other file systems have no "
        "locks that hold two writers apart, and other databases have not been tried. Write ledger='sqlite:///privacy.db'."
    )


def _sqlite(path: Path, *, create: bool) -> sa.Engine:
    if not path.exists():
        if not create:
            raise LedgerError(f"There is no ledger {path}.")
        with clear(str(path)):
            _begin(path)
    if path.stat().st_size == 0:
        raise LedgerError(f"{path} is empty, and no ledger ever is: what it held is lost. Restore it from a copy.")
    engine = _engine(path)
    with clear(str(path)), engine.connect() as connection:
        if not sa.inspect(connection).has_table(HEAD.name):
            raise LedgerError(f"{path} is no ledger of dpframe: name another file.")
    return engine


def _begin(path: Path) -> None:
    """A new ledger, under its name only when it is whole: a name that exists is a ledger, whenever a process dies."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
    try:
        engine = _engine(unfinished)
        with engine.execution_options(writes=True).begin() as connection:
            TABLES.create_all(connection)
            connection.execute(HEAD.insert().values(id=1, records=0, digest=""))
        engine.dispose()
        try:
            os.link(unfinished, path)  # unlike a rename, it fails when another process was quicker
        except FileExistsError:
            pass
        except OSError as error:
            raise LedgerError(f"A ledger cannot be kept in {path.parent}: {error.strerror}.") from error
        if os.name == "posix":
            directory = os.open(path.parent, os.O_RDONLY)
            os.fsync(directory)
            os.close(directory)
    finally:
        for each in (unfinished, unfinished.with_name(f"{unfinished.name}-journal")):
            each.unlink(missing_ok=True)


def _engine(path: Path) -> sa.Engine:
    """One connection, kept: to set one up takes as long as a charge does beside its flushes."""
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        pool_size=1,
        max_overflow=0,
        connect_args={"timeout": WAIT, "check_same_thread": False},
    )

    @sa.event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, record: object) -> None:
        connection.isolation_level = None  # the transactions are begun below
        mode = connection.execute("PRAGMA journal_mode=PERSIST").fetchone()[0]
        connection.execute("PRAGMA synchronous=FULL")
        if mode != "persist":
            raise LedgerError(f"{path} is in SQLite's journal mode {mode!r}, and cannot be brought to 'persist'.")

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        # A transaction that will write takes its turn before it reads what it decides on.
        connection.exec_driver_sql("BEGIN IMMEDIATE" if connection.get_execution_options().get("writes") else "BEGIN")

    return engine


def _postgresql(address: sa.URL, *, create: bool) -> sa.Engine:
    try:
        engine = sa.create_engine(address, isolation_level="READ COMMITTED", pool_size=1, pool_pre_ping=True)
    except ImportError as error:
        raise LedgerError(f"The driver of {address.drivername} is missing: pip install {error.name}.") from error

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        connection.exec_driver_sql("SET LOCAL synchronous_commit TO on")

    with engine.connect() as connection:
        known = sa.inspect(connection).has_table(HEAD.name)
    if not known:
        if not create:
            raise LedgerError(f"There is no ledger in the database {address.database!r}.")
        try:
            with engine.begin() as connection:
                TABLES.create_all(connection)
                connection.execute(HEAD.insert().values(id=1, records=0, digest=""))
        except SQLAlchemyError:  # another process made the same tables at the same time, or it will fail again below
            with engine.connect() as connection:
                connection.execute(sa.select(HEAD))
    return engine


@contextmanager
def clear(place: str) -> Iterator[None]:
    """What a database refuses, as one kind of error that says what it means for the budget."""
    try:
        yield
    except (SQLAlchemyError, sqlite3.Error, UnicodeError, OSError) as error:
        text = str(getattr(error, "orig", None) or error).splitlines()[0]
        if "locked" in text:
            text += f": another process has held the ledger for {WAIT:g} seconds"
        raise LedgerError(
            f"The ledger {place} cannot be used: {text}. Nothing was released. If this was a charge, it may stand; "
            "it is never lost after a release."
        ) from error


@contextmanager
def transaction(engine: sa.Engine, *, writes: bool) -> Iterator[sa.Connection]:
    """One transaction, whole or not at all; of those that write, one at a time.

    Raises
    ------
    LedgerError
        When the database refuses.
    """
    place = str(engine.url.database)
    with clear(place), engine.execution_options(writes=writes).begin() as connection:
        yield connection


def check(connection: sa.Connection) -> None:
    """Let the database look at its own file, where it can.

    Raises
    ------
    LedgerError
        When it finds damage.
    """
    if connection.dialect.name == "sqlite":
        found = connection.exec_driver_sql("PRAGMA integrity_check(1)").scalar_one()
        if found != "ok":
            raise LedgerError(f"The ledger's file is damaged: {found}. Restore it from a copy.")


def head(connection: sa.Connection) -> tuple[int, str]:
    """The number of records and the digest of the last, locked: the one row that all take turns at.

    PostgreSQL shows each statement the database as it then is, so who reads on from here needs the lock too. (In SQLite
    the transaction is the lock.)
    """
    query = sa.select(HEAD.c.records, HEAD.c.digest).where(HEAD.c.id == 1).with_for_update()
    row = connection.execute(query).one_or_none()
    if row is None:
        raise LedgerError("The ledger has lost its head row: it is damaged. Restore it from a copy.")
    return row.records, row.digest


def records(connection: sa.Connection, start: int) -> Iterator[Record]:
    """The records from one number on, in order."""
    for row in connection.execute(sa.select(RECORDS).where(RECORDS.c.number >= start).order_by(RECORDS.c.number)):
        yield Record(**row._mapping)


def append(connection: sa.Connection, record: Record) -> None:
    """Write a record, and move the head."""
    connection.execute(RECORDS.insert(), asdict(record))
    connection.execute(HEAD.update().values(records=record.number + 1, digest=record.digest))


def put(connection: sa.Connection, number: int, answer: bytes) -> None:
    """Store the bytes of an answer."""
    connection.execute(ANSWERS.insert().values(number=number, answer=answer))


def get(connection: sa.Connection, number: int) -> bytes:
    """The bytes of an answer; nothing, when they are gone."""
    found = connection.execute(sa.select(ANSWERS.c.answer).where(ANSWERS.c.number == number)).scalar_one_or_none()
    return b"" if found is None else bytes(found)
