"""The anchor: how far a ledger had come, kept in another place, so that an old copy is not mistaken for the ledger.

No file can tell that it was put back to yesterday's state. An anchor is a text file, best on another disk or host, to
which every write of the ledger appends one line: the number of records and the digest of the last. Lines are only ever
appended, so that processes need not agree on an order.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from dpframe.errors import LedgerError

LINE = re.compile(r"(\d{1,18}) ([0-9a-f]{64})")


def furthest(anchor: Path) -> tuple[int, str] | None:
    """The number of records and the digest of the last, where the ledger is known to have been; None when not known.

    Raises
    ------
    LedgerError
        When a line is not one that was written here, or two lines contradict each other.
    """
    found: dict[int, str] = {}
    try:
        lines = anchor.read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LedgerError(f"The anchor {anchor} cannot be read: {type(error).__name__}.") from error
    for at, line in enumerate(lines, start=1):
        match = LINE.fullmatch(line)
        if match is None:
            raise LedgerError(
                f"Line {at} of the anchor {anchor} is damaged. If it is the last one and power was lost, remove it; "
                "otherwise find out who wrote it before anything is released."
            )
        if found.setdefault(int(match[1]), match[2]) != match[2]:
            raise LedgerError(f"The anchor {anchor} knows two histories that part before record {match[1]}.")
    return max(found.items()) if found else None


def begin(anchor: Path) -> None:
    """An anchor that knows nothing yet.

    Raises
    ------
    LedgerError
        When it cannot be made.
    """
    try:
        os.close(os.open(anchor, os.O_WRONLY | os.O_CREAT, 0o644))
    except OSError as error:
        raise LedgerError(f"The anchor {anchor} cannot be made: {error.strerror}.") from error


def append(anchor: Path, length: int, head: str) -> None:
    """Write down how far the ledger has come, durably.

    Raises
    ------
    LedgerError
        When that fails. The ledger was written before: the charge stands.
    """
    line = f"{length} {head}\n".encode()
    try:
        file = os.open(anchor, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            if os.write(file, line) != len(line):
                raise OSError("only a part of the line was written")
            os.fsync(file)
        finally:
            os.close(file)
    except OSError as error:
        raise LedgerError(
            f"The charge is in the ledger, but its anchor {anchor} could not be written ({error}), so nothing was "
            "released. The charge stands."
        ) from error
