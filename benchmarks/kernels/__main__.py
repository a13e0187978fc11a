"""Samples per second of every law, beside numpy, OpenDP and diffprivlib: ``python -m benchmarks.kernels``.

Writes ``benchmarks/results/kernels.json``, ``kernels.md`` (tables) and ``kernels.svg`` (plot). One core; arrays of 10⁶
cells; compile time excluded; all sources of a comparison take turns in the same rounds, and the median round counts, so
that another program on the machine slows both sides. numpy's generators are fast and not secure: they are the yardstick
of speed only. The peers get virtual environments of their own (``--peers DIR``), made at the first run.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import environments, pages
from benchmarks.kernels.measure import measure
from benchmarks.kernels.report import markdown, plot
from benchmarks.machine import machine

HERE = Path(__file__).parent
PEERS = ("opendp", "diffprivlib")
COLD = """
import time
begin = time.perf_counter()
import dpframe
imported = time.perf_counter()
dpframe.kernels.discrete_laplace(1000, 10.0)
print(imported - begin, time.perf_counter() - imported)
"""


def python(*arguments: str, interpreter: str = sys.executable, **environment: str) -> str:
    """The output of another process."""
    run = subprocess.run(
        [interpreter, *arguments], env={**os.environ, **environment}, capture_output=True, text=True, check=True
    )
    return run.stdout


def peer(name: str, directory: Path, rounds: int) -> dict[str, Any]:
    """Samples per second of one peer, in an environment with nothing else."""
    found = environments.interpreter(name, directory)
    return json.loads(python(str(HERE / "peers.py"), name, str(rounds), interpreter=str(found)))


def narrow(cpu: str, rounds: int) -> dict[str, Any]:
    """The short comparison with numpy in a build for a lesser CPU."""
    with tempfile.TemporaryDirectory() as cache:
        return json.loads(
            python(
                "-m",
                "benchmarks.kernels.measure",
                "--short",
                str(rounds),
                NUMBA_CPU_NAME=cpu,
                NUMBA_CPU_FEATURES="",
                NUMBA_CACHE_DIR=cache,
            )
        )


def main() -> None:
    """Run everything and write the three files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", type=Path, default=environments.HOME)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found: dict[str, Any] = {
        "machine": machine(),
        "here": measure(options.rounds, short=False),
        "peers": {name: peer(name, options.peers, options.rounds) for name in PEERS},
        "narrow": {cpu: narrow(cpu, options.rounds) for cpu in ("x86-64-v3", "x86-64")},
        "cold": sorted([float(x) for x in python("-c", COLD).split()] for _ in range(options.rounds))[
            options.rounds // 2
        ],
    }
    text = markdown(found)
    pages.write("kernels", found, text)
    (pages.RESULTS / "kernels.svg").write_text(plot(found))
    print(text)


if __name__ == "__main__":
    main()
