"""The program that the fault tests run: ``python faults.py KIND``, one line of JSON for every case.

A process of its own, because a process has one Spark session, and because what is hurt here should be nobody else's.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from clusters import cluster, drop_blocks, executors, kill_executor, until

import dpframe as dp
import dpframe.release
from dpframe.backends import spark, spark_spread
from dpframe.backends.table import noisy

KEY = bytes(range(32))
LEVELS = list(range(40))
SLOW = 45
"""Seconds that a task which is to be killed or copied stands still."""


def table() -> pd.DataFrame:
    """Rows of thirty people."""
    return pd.DataFrame({"user": [n % 30 for n in range(400)], "level": [n * n % 53 for n in range(400)], "x": 2})


def ask(frame: Any) -> Any:
    private = frame.dp.protect(id="user").bound(groups=5, rows_per_group=2)
    query = private.groupby("level", keys=LEVELS).agg(n=dp.count(), x=dp.sum("x", 0, 3))
    return query.release(epsilon=1, budget=dp.Budget(epsilon=1))


def noised(frame: Any) -> Any:
    return frame.dp.noise(x=dp.LaplaceNoise(1, 0.01), budget=dp.Budget(epsilon=1))


def naive(frame: Any) -> Any:
    """What a careful analyst would write without dpframe: noise in a UDF, persisted and counted."""
    from pyspark.sql.functions import pandas_udf

    @pandas_udf("double")
    def noise(x: pd.Series) -> pd.Series:
        return x + np.random.default_rng().laplace(0, 100, len(x))

    noise = noise.asNondeterministic()
    answer = frame.withColumn("x", noise("x")).persist()
    answer.count()
    return answer


def read(answer: Any) -> str:
    rows = answer.toPandas()
    return rows.sort_values(list(rows.columns)).to_csv(index=False)


def outcome(again: Callable[[], str], before: str) -> str:
    try:
        return "same" if again() == before else "redrawn"
    except Exception as error:
        return "error" if "BLOCK" in str(error) or "checkpoint" in str(error).lower() else f"error: {error!s:.300}"


def first(marker: str) -> bool:
    """Whether no task has been here; if so, the marker says which one is now."""
    try:
        with Path(marker).open("x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        return False
    return True


def slowly(marker: str, watched: Callable[..., Any], *arguments: Any) -> Any:
    """Do it; the first to do so for the first cells then says so and stands still."""
    answer = watched(*arguments)
    if arguments[-1] != 0 or not len(answer):  # the driver asks with no cells for the columns
        return answer
    digest = hashlib.sha256(repr(answer.tolist() if hasattr(answer, "tolist") else answer.to_pydict()).encode())
    with Path(f"{marker}.draws").open("a") as log:
        log.write(f"{digest.hexdigest()}\n")
    if not first(marker):
        return answer
    if "fail" in marker:
        raise RuntimeError("a task fails after it has drawn")
    time.sleep(SLOW)
    return answer


def standing(marker: str, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Rows that pass through; the first batch of the first task waits to be killed."""
    for batch in batches:
        if batch.num_rows and first(marker):
            time.sleep(SLOW)
        yield batch


def executor_of(worker: int) -> int:
    """The executor that a Python worker belongs to."""
    mine = executors()
    while worker not in mine:
        worker = int(Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()[1])
    return worker


def killing(session: Any, marker: str) -> threading.Thread:
    """Kill the executor whose task stands still, as soon as one does."""

    def wait_and_kill() -> None:
        until(lambda: Path(marker).exists() and Path(marker).read_text() != "")
        kill_executor(session, executor_of(int(Path(marker).read_text())))

    thread = threading.Thread(target=wait_and_kill)
    thread.start()
    return thread


def afterwards(session: Any, release: Callable[[Any], Any]) -> Iterator[tuple[str, str]]:
    """What becomes of a release when things are lost after it."""
    hurts = {"clear": lambda: session.catalog.clearCache(), "drop": lambda: drop_blocks(session)}
    for name, hurt in (hurts | {"kill": lambda: kill_executor(session)}).items():
        answer = release(session.createDataFrame(table()).repartition(3))
        before = read(answer)
        hurt()
        yield f"after {name}", outcome(lambda answer=answer: read(answer), before)  # type: ignore[misc]


def meanwhile(session: Any, release: Callable[[Any], Any], folder: Path, expected: str) -> Iterator[tuple[str, str]]:
    """What becomes of it when an executor is killed while it reads."""
    marker = str(folder / "reading")
    frame = session.createDataFrame(table()).repartition(3)
    frame = frame.mapInArrow(partial(standing, marker), frame.schema)
    thread = killing(session, marker)
    yield "while reading", outcome(lambda: read(release(frame)), expected)
    thread.join()


def drawing(session: Any, patch: Callable[[str], None], release: Callable[[Any], Any], folder: Path, how: str) -> str:
    """What becomes of it when the task that draws is killed, fails or is copied; every draw is seen."""
    marker = str(folder / how)
    patch(marker)
    frame = session.createDataFrame(table()).repartition(3)
    thread = killing(session, marker) if how == "kill" else None
    try:
        answer = release(frame)
        found = outcome(lambda: read(answer), read(answer))
    except dp.errors.DataPlaneError as error:
        found = f"error: {error}"
    if thread is not None:
        thread.join()
    draws = Path(f"{marker}.draws").read_text().split()
    return f"{found}, {len(set(draws))} of {'several' if len(draws) > 1 else 'one'}"


def main(kind: str, folder: Path) -> Iterator[tuple[str, str]]:
    spread, noise = spark.spread, spark.noisy

    def patch_spread(marker: str) -> None:
        spark.spread = lambda frame, request, rows, info: spread(frame, request, partial(slowly, marker, rows), info)

    def patch_noise(marker: str) -> None:
        spark.noisy = partial(slowly, marker, noisy)

    dpframe.release.fresh_key = lambda size: KEY[:size]
    expected = ask(table()).sort_values(["level", "n", "x"]).to_csv(index=False)
    with cluster(kind) as session:
        for path, few in (("driver", 1_000), ("executors", 0)):
            spark.FEW, spark_spread.RUN = few, 9
            if kind == "local-cluster":
                yield from ((f"{path} {case}", found) for case, found in afterwards(session, ask))
                (folder / path).mkdir()
                yield from (
                    (f"{path} {case}", found) for case, found in meanwhile(session, ask, folder / path, expected)
                )
        for path, patch, release in (("executors", patch_spread, ask), ("noise", patch_noise, noised)):
            (folder / f"{path} draws").mkdir()
            for how in ("kill", "fail") if kind == "local-cluster" else ("copy",):
                yield f"{path} {how} while drawing", drawing(session, patch, release, folder / f"{path} draws", how)
            spark.spread, spark.noisy = spread, noise
            if kind == "local-cluster" and path == "noise":
                yield from ((f"noise {case}", found) for case, found in afterwards(session, noised))
        if kind == "local-cluster":
            yield from ((f"naive {case}", found) for case, found in afterwards(session, naive))


if __name__ == "__main__":
    for case, found in main(sys.argv[1], Path(sys.argv[2])):
        print(json.dumps([case, found]), flush=True)
