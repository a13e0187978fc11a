"""The peers, each in a virtual environment of its own, made at the first run: their requirements clash.

An environment is made anew when its requirements below change. What cannot be made raises :class:`Unavailable`,
with a reason that the tables repeat.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

HOME = Path(tempfile.gettempdir()) / "dpframe-peers"
"""Where the environments are unless ``--peers`` says otherwise."""


class Unavailable(Exception):
    """A peer cannot be installed or run here; the message says why, in a line."""


@dataclass(frozen=True)
class Peer:
    """What a peer needs: pinned requirements, and the Pythons it runs on (all, when empty)."""

    requirements: tuple[str, ...]
    pythons: tuple[str, ...] = ()


PEERS = {
    "opendp": Peer(("opendp[polars]==0.16.0", "numpy", "pyarrow")),
    # It does not import beside a later scikit-learn.
    "diffprivlib": Peer(("diffprivlib==0.6.6", "scikit-learn==1.5.2", "numpy", "pandas<3", "pyarrow")),
    "pipelinedp": Peer(("pipeline-dp==0.3.1", "numpy", "pandas", "pyarrow")),
    "polars": Peer(("polars==2.1.0", "numpy")),
    "duckdb": Peer(("duckdb==2.0.0", "numpy", "pyarrow")),
    # Its pandas < 2 and numpy < 2 have no wheels for later Pythons; on 3.12 it needs Spark 4.
    "tumult": Peer(("tmlt.analytics==0.21.0", "numpy<2"), ("3.11", "3.10")),
}


def interpreter(name: str, directory: Path = HOME) -> Path:
    """The Python of a peer's environment, which is made first where need be."""
    peer, home = PEERS[name], directory / name
    python, stamp = home / "bin" / "python", home / "requirements.txt"
    wanted = "\n".join(peer.requirements) + "\n"
    if python.exists() and stamp.exists() and stamp.read_text() == wanted:
        return python
    base = _base(peer)
    print(f"Making the environment of {name} in {home} ...", file=sys.stderr, flush=True)
    shutil.rmtree(home, ignore_errors=True)
    _run(base, "-m", "venv", str(home))
    _run(str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check", *peer.requirements)
    stamp.write_text(wanted)
    return python


def _base(peer: Peer) -> str:
    """A Python on this machine that the peer runs on."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    if not peer.pythons or here in peer.pythons:
        return sys.executable
    for version in peer.pythons:
        found = shutil.which(f"python{version}")
        # A version manager's shim may stand for a Python that is not there.
        if found and subprocess.run([found, "--version"], capture_output=True).returncode == 0:
            return found
    raise Unavailable(f"needs Python {' or '.join(peer.pythons)}, and here is {here} only")


def _run(*command: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run(command, env=clean, capture_output=True, text=True)
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if re.match(r"(?i)\s*error", line)]
        raise Unavailable(f"cannot be installed: {(errors or done.stderr.splitlines() or ['?'])[-1].strip()[:200]}")
