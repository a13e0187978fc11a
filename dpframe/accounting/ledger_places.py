"""Where a ledger may be kept: on a local disk of one host, or in PostgreSQL for several."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dpframe.errors import LedgerError

MOUNTS = Path("/proc/self/mountinfo")
"""What is mounted where, on Linux."""

REMOTE = re.compile(
    r"nfs\d?|cifs|smb\w*|9p|afs|ceph|lustre|gpfs|beegfs\w*|glusterfs|ocfs2|gfs2|davfs\d?|fuse(\..*)?|fsx\w*"
)
"""File systems whose locks or whose writes are not those of a local disk. ``fuse`` is how DBFS, S3, GCS and the like
are mounted; ``fuseblk``, a local disk, is not among them."""

FOR_MANY = "For several hosts use PostgreSQL, as in ledger='postgresql+psycopg://user@host/database'."


def local_path(database: str | None) -> Path:
    """The file of a SQLite ledger, absolute.

    Raises
    ------
    LedgerError
        For a database in memory, and for a path on NFS, DBFS, an object store or a network share.
    """
    if not database or database == ":memory:" or database.startswith("file:"):
        raise LedgerError(
            "A ledger outlives the process, which a database in memory does not: name a file, as in "
            "ledger='sqlite:///privacy.db'."
        )
    if re.match(r"[a-z][a-z0-9+.-]+:/", database, re.I) or database.startswith(("\\\\", "//")):
        raise LedgerError(
            f"{database!r} is no file on a local disk. An object store or a share has no locks that hold two writers "
            f"apart, and no append that is either whole or absent. {FOR_MANY}"
        )
    path = Path(os.path.realpath(database))
    kind = mounted(path)
    if kind is not None and REMOTE.fullmatch(kind):
        raise LedgerError(
            f"{path} is on a file system of type {kind}, where SQLite's locks cannot be relied on: two processes could "
            f"spend the same budget. Keep the ledger on a local disk. {FOR_MANY}"
        )
    if path.parts[1:2] == ("dbfs",):
        raise LedgerError(
            f"{path} is on DBFS, an object store that looks like a directory and has no locks. Keep the ledger on the "
            f"driver's own disk, or better in PostgreSQL, which outlives the cluster. {FOR_MANY}"
        )
    if not path.parent.is_dir():
        raise LedgerError(f"There is no directory {path.parent} for the ledger: make it first.")
    return path


def mounted(path: Path) -> str | None:
    """The type of the file system that a path is on; None where the system does not tell.

    A line of the list is ``id parent major:minor root mount-point options... - type source options``, with blanks in
    names as ``\\040``.
    """
    try:
        lines = MOUNTS.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    best, kind = -1, None
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, types = before.split(" "), after.split(" ")
        if len(fields) < 5:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields[4])
        # Of two mounts on one point the later one covers the other.
        if len(point) >= best and path.is_relative_to(point):
            best, kind = len(point), types[0]
    return kind
