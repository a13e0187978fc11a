"""Spark clusters of several processes on the loopback interface, and the means to hurt them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyspark

HOME = Path(pyspark.__file__).parent
PORT = 17177

SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "3",
    "spark.driver.host": "127.0.0.1",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.locality.wait": "0s",
    "spark.task.maxFailures": "8",
}
SPECULATION = {
    "spark.speculation": "true",
    "spark.speculation.interval": "200ms",
    "spark.speculation.multiplier": "1.5",
    "spark.speculation.quantile": "0.3",
    "spark.speculation.minTaskRuntime": "500ms",
}


def children(process: int) -> list[tuple[int, str]]:
    """All descendants of a process, and their command lines."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:  # gone in the meantime
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [process]
    while todo:
        for child in parents.get(todo.pop(), []):
            todo.append(child)
            try:
                found.append((child, (Path("/proc") / str(child) / "cmdline").read_text().replace("\0", " ")))
            except OSError:
                continue
    return found


def executors() -> list[int]:
    """The process ids of the executors that this process or one of its children started."""
    return sorted(pid for pid, line in children(os.getpid()) if "CoarseGrainedExecutorBackend --" in line)


def until(condition: Callable[[], bool], seconds: float = 90) -> None:
    """Wait for something that must happen."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("what was waited for did not happen")
        time.sleep(0.1)


def registered(session: Any) -> int:
    """The number of executors that the driver knows."""
    return int(session.sparkContext._jsc.sc().getExecutorMemoryStatus().size()) - 1


def kill_executor(session: Any, pid: int | None = None) -> None:
    """Kill one executor, and wait until the driver knows and another one is there."""
    before = executors()
    os.kill(before[0] if pid is None else pid, signal.SIGKILL)
    until(lambda: len(set(executors()) - set(before)) >= 1)
    until(lambda: registered(session) == len(before))


def drop_blocks(session: Any) -> None:
    """Drop every cached and every checkpointed block, below the frames that they belong to."""
    for rdd in session.sparkContext._jsc.getPersistentRDDs().values():
        rdd.unpersist(True)


@contextmanager
def cluster(kind: str) -> Iterator[Any]:
    """A session on two executors: ``local-cluster``, or ``standalone`` with two hosts, so that tasks may be copied."""
    from pyspark.sql import SparkSession

    os.environ |= {"PYSPARK_PYTHON": sys.executable, "SPARK_HOME": str(HOME), "SPARK_SCALA_VERSION": "2.13"}
    with tempfile.TemporaryDirectory() as folder:
        daemons: list[subprocess.Popen[bytes]] = []
        builder = SparkSession.builder
        for name, value in (SETTINGS | (SPECULATION if kind == "standalone" else {})).items():
            builder = builder.config(name, value)
        builder = builder.config("spark.local.dir", folder).config("spark.executorEnv.PYTHONPATH", ":".join(sys.path))
        try:
            if kind == "standalone":
                daemons = standalone(Path(folder))
                builder = builder.master(f"spark://127.0.0.1:{PORT}").config("spark.executor.memory", "512m")
            else:
                builder = builder.master("local-cluster[2,1,1024]")
            session = builder.getOrCreate()
            session.sparkContext.setLogLevel("OFF")
            until(lambda: registered(session) == 2, 180)
            yield session
            session.stop()
        finally:
            for pid, _ in [part for daemon in daemons for part in children(daemon.pid)]:
                _kill(pid)
            for daemon in daemons:
                _kill(daemon.pid)
                daemon.wait()


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def standalone(folder: Path) -> list[subprocess.Popen[bytes]]:
    """A master and two workers, each worker on a host of its own as far as Spark can tell."""
    environment = {name: value for name, value in os.environ.items() if name != "SPARK_LOCAL_IP"}
    daemons = []

    def start(name: str, *arguments: str) -> None:
        command = [str(HOME / "bin" / "spark-class"), f"org.apache.spark.deploy.{name}", *arguments]
        log = (folder / f"{len(daemons)}.log").open("wb")
        daemons.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment))

    def said(number: int, what: str) -> bool:
        return what in (folder / f"{number}.log").read_text()

    start("master.Master", "--host", "127.0.0.1", "--port", str(PORT), "--webui-port", "0")
    until(lambda: said(0, "New state: ALIVE"))
    for number in (1, 2):
        place = ["--host", f"127.0.0.{number}", "--webui-port", "0", "--work-dir", str(folder / f"work{number}")]
        start("worker.Worker", *place, "--cores", "1", "--memory", "1g", f"spark://127.0.0.1:{PORT}")
        until(lambda number=number: said(number, "Successfully registered with master"))  # type: ignore[misc]
    return daemons
