"""Fixtures that several rooms share: the engines, one Spark session each for the whole run; and budgets."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest


def _drop_stale_kernels() -> None:
    """Drop compiled kernels that are older than any source of theirs.

    Numba's disk cache looks at a kernel's own file only, and not at those of the helpers that are pasted into it. Each
    overload has a file of its own; one that is gone is compiled anew.
    """
    (package,) = find_spec("dpframe").submodule_search_locations
    home = Path(package) / "kernels"
    newest = max(source.stat().st_mtime for source in home.glob("*.py"))
    for cached in (home / "__pycache__").glob("*.nb[ic]"):
        if cached.stat().st_mtime < newest:
            cached.unlink(missing_ok=True)


_drop_stale_kernels()  # before any test can load one


def pytest_addoption(parser: pytest.Parser) -> None:
    # A process can hold a classic session or a Connect one, never both.
    parser.addoption("--engine", default="local", choices=["local", "connect"], help="local: pandas and Spark classic")


@pytest.fixture(scope="session")
def spark_classic() -> Iterator[Any]:
    """A classic local Spark session, one for the whole run."""
    pytest.importorskip("pyspark")
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    session = builder.config("spark.sql.shuffle.partitions", "2").getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    yield session
    session.stop()


@pytest.fixture(scope="session")
def spark_connect() -> Iterator[Any]:
    """A Spark Connect session to a server of its own, one for the whole run."""
    pytest.importorskip("pyspark")
    from pyspark.sql import SparkSession

    os.environ["PYSPARK_PYTHON"] = sys.executable
    session = SparkSession.builder.remote("local[2]").config("spark.sql.shuffle.partitions", "2").getOrCreate()
    yield session
    session.stop()


@pytest.fixture(params=["memory", "ledger"])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Any]:
    """Opens a budget in memory, or one in a ledger: the same things must hold of both."""
    import dpframe as dp

    if request.param == "memory":
        return dp.Budget
    pytest.importorskip("sqlalchemy")
    return lambda *total, **named: dp.Budget(*total, **named, ledger=f"sqlite:///{tmp_path}/p.db", name="members")
