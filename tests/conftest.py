"""Fixtures that several rooms share: the engines, one Spark session each for the whole run."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest


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
