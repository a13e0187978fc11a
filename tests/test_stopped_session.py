"""A frame of a stopped Spark session is refused before anything is charged."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

PROGRAM = """
import sys
import dpframe as dp
from pyspark.sql import SparkSession

kind = sys.argv[1]
builder = SparkSession.builder
session = (builder.master("local[1]") if kind == "master" else builder.remote("local[1]")).getOrCreate()
frame = session.range(3)
query = frame.dp.protect().count()
session.stop()
with dp.Budget(epsilon=1) as budget:
    for use in (lambda: query.release(epsilon=0.5), lambda: frame.dp.protect()):
        try:
            use()
        except dp.errors.StoppedSessionError as refusal:
            print("refused", budget.spent, "running session" in str(refusal))
"""


@pytest.mark.parametrize("kind", ["master", "remote"])
def test_a_stopped_session_is_refused_and_costs_nothing(kind: str) -> None:
    pytest.importorskip("pyspark")
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, kind],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
        check=False,
    )
    assert done.stdout.split("\n")[:2] == ["refused 0 True"] * 2, done.stderr[-2000:]
