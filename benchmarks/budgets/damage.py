"""Figures of a ledger whose files are damaged: flipped bits, lost tails, old copies, read-only and locked files."""

from __future__ import annotations

import os
import random
import shutil
import sqlite3
import tempfile
import time
from fractions import Fraction
from pathlib import Path
from typing import Any

from benchmarks.budgets.ledger import UNIT, forked, opened
from dpframe.accounting import Once
from dpframe.errors import LedgerError

UNITS = 10**4


def filled(home: Path, charges: int = 60, anchor: bool = False) -> Fraction:
    """A ledger with some charges, answers and a part; what is spent of it."""
    budget = opened(home, UNITS, anchor)
    for at in range(charges):
        once = Once(f"k{at}", "plan") if at % 7 == 0 else None
        budget.charge(UNIT, "count()", "discrete Laplace", label=f"c{at}", once=once)
        if once is not None:
            budget.keep(once, bytes(range(256)))
    with budget.part(epsilon=30) as part:
        part.charge(UNIT, "count()", "discrete Laplace")
    return Fraction(budget.spent)


def outcome(home: Path, true: Fraction, anchor: bool = False) -> str:
    """What becomes of a ledger: it is refused, or opens with the true total, or, never, with another."""
    try:
        budget = opened(home, UNITS, anchor)
        spent = Fraction(budget.spent)
        if spent == true:
            budget.charge(UNIT, "count()", "m")  # and goes on from there
            return "opens, with the true total" if budget.spent == true + 1 else "WRONG TOTAL"
        return "WRONG TOTAL"
    except LedgerError:
        return "refused"


def counted(outcomes: list[str]) -> dict[str, Any]:
    """How many of each."""
    return {each: outcomes.count(each) for each in ("refused", "opens, with the true total", "WRONG TOTAL")}


def flips(home: Path, flips: int = 1000) -> dict[str, Any]:
    """One flipped bit each time, anywhere in the file or in its journal."""
    draw, source = random.Random(17), home / "source"
    source.mkdir()
    true, outcomes = filled(source), list[str]()
    for at in range(flips):
        place = home / "flipped"
        shutil.copytree(source, place)
        file = place / ("privacy.db-journal" if at % 10 == 9 else "privacy.db")
        damaged = bytearray(file.read_bytes())
        where = draw.randrange(len(damaged) * 8)
        damaged[where // 8] ^= 1 << where % 8
        file.write_bytes(damaged)
        outcomes.append(outcome(place, true))
        shutil.rmtree(place)
    return {"flipped bits": flips, **counted(outcomes)}


def cuts(home: Path, cuts: int = 50) -> dict[str, Any]:
    """Files cut short at random lengths, and an empty one."""
    draw, source = random.Random(19), home / "source"
    source.mkdir()
    true, outcomes = filled(source), list[str]()
    size = (source / "privacy.db").stat().st_size
    for at in range(cuts):
        place = home / "cut"
        shutil.copytree(source, place)
        os.truncate(place / "privacy.db", 0 if at == 0 else draw.randrange(size))
        outcomes.append(outcome(place, true))
        shutil.rmtree(place)
    return {"truncations": cuts, **counted(outcomes)}


def old_copies(home: Path, copies: int = 20) -> dict[str, Any]:
    """The files of an earlier day put back, all of them but the anchor."""
    budget = opened(home, UNITS, anchor=True)
    kept: list[dict[str, bytes]] = []
    for _ in range(copies):
        kept.append({each.name: each.read_bytes() for each in home.glob("privacy.db*")})
        budget.charge(UNIT, "count()", "m")
    refused = 0
    for files in kept:
        for name, content in files.items():
            (home / name).write_bytes(content)
        refused += outcome(home, Fraction(copies), anchor=True) == "refused"
    return {"old copies": copies, "refused": refused}


def read_only(_: Path) -> dict[str, Any]:
    """A file that may be read and not written, by a user who is not root: looked at, and never charged."""
    with tempfile.TemporaryDirectory(prefix="dpframe-") as place:
        home = Path(place)
        true = filled(home)
        (home / "privacy.db").chmod(0o444)
        for each in (home, home / "privacy.db-journal"):
            each.chmod(0o555)

        def attempt() -> None:
            if os.getuid() == 0:
                os.setgid(65534)
                os.setuid(65534)
            os._exit(3 if outcome(home, true) == "refused" else 4)

        _, status = os.waitpid(forked(attempt), 0)
        home.chmod(0o755)
        again = outcome(home, true)
    return {"read-only": "refused" if os.WEXITSTATUS(status) == 3 else "CHARGED", "afterwards": again}


def locked(home: Path, seconds: float = 60) -> dict[str, Any]:
    """Another process holds the file for a minute: what is asked meanwhile is refused, uncharged."""
    true = filled(home)
    budget = opened(home, UNITS)
    holder = sqlite3.connect(home / "privacy.db", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    began, refused = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        try:
            budget.charge(UNIT, "count()", "m")
        except LedgerError:
            refused += 1
        else:
            raise AssertionError("a charge went through a lock")
    holder.execute("ROLLBACK")
    holder.close()
    return {"seconds": seconds, "refused": refused, "afterwards": outcome(home, true)}


def with_a_log(home: Path, flips: int = 200) -> dict[str, Any]:
    """The same bits in a write-ahead log, to show why there is none: committed rows are gone without an error."""
    draw, source = random.Random(23), home / "source"
    source.mkdir()
    writer = sqlite3.connect(source / "wal.db", isolation_level=None)
    writer.execute("PRAGMA journal_mode=WAL")
    writer.execute("PRAGMA synchronous=FULL")
    writer.execute("CREATE TABLE spent(number INTEGER PRIMARY KEY, amount TEXT)")
    for at in range(60):
        writer.execute("INSERT INTO spent VALUES (?, '1')", (at,))
    silent = found = 0
    for _ in range(flips):
        place = home / "flipped"
        place.mkdir()
        for name in ("wal.db", "wal.db-wal"):  # as a killed process leaves them
            shutil.copy(source / name, place)
        damaged = bytearray((place / "wal.db-wal").read_bytes())
        where = draw.randrange(len(damaged) * 8)
        damaged[where // 8] ^= 1 << where % 8
        (place / "wal.db-wal").write_bytes(damaged)
        reader = sqlite3.connect(place / "wal.db")
        try:
            sound = reader.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
            rows = reader.execute("SELECT count(*) FROM spent").fetchone()[0]
            silent += sound and rows < 60
        except sqlite3.Error:
            found += 1
        reader.close()
        shutil.rmtree(place)
    writer.close()
    return {"flipped bits in a write-ahead log": flips, "committed rows lost without an error": silent}


FIGURES = {
    "flips": flips,
    "cuts": cuts,
    "old copies": old_copies,
    "read-only": read_only,
    "locked": locked,
    "with a log": with_a_log,
}
