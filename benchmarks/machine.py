"""What the benchmarks run on: figures mean little without it."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from shutil import which
from typing import Any

import llvmlite.binding as llvm


def llvm_cpu() -> str:
    """What LLVM takes this CPU for."""
    features = llvm.get_host_cpu_features()
    width = next((name for name in ("avx512f", "avx2", "sse2") if features.get(name)), "?")
    return f"{llvm.get_host_cpu_name()} ({width})"


def machine() -> dict[str, Any]:
    """CPU, processors, Python, memory, the day, the code's revision, and the load of the last five minutes."""
    git = ("git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD")
    return {
        "cpu": llvm_cpu(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "memory": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"),
        "day": datetime.now(UTC).date().isoformat(),
        "revision": subprocess.run(git, capture_output=True, text=True).stdout.strip() if which("git") else "",
        "load": os.getloadavg()[1],
    }
