"""The source of randomness: fresh in every release and process, no seed matters, no word serves twice."""

from __future__ import annotations

import ast
import multiprocessing
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from attack import answers, columns

import dpframe as dp
from dpframe.kernels.sampler import Place

WIDE = {"epsilon": "1e-14"}
"""Noise of scale 10^14: among the draws below, two are equal by chance with a probability under 1e-5."""


def wide_counts(n: int = 500) -> list[int]:
    """The noise of one release, for all purposes: the count is 0."""
    return answers(pd.DataFrame(columns(n, 0)), n, {"a": dp.count()}, **WIDE)["a"].tolist()


def _child(pipe: Any) -> None:
    pipe.send((os.getpid(), wide_counts()))
    pipe.close()


def children(method: str, count: int) -> list[tuple[int, list[int]]]:
    """What so many children of this process release, one release each, all alive at once."""
    context = multiprocessing.get_context(method)
    ends = []
    for _ in range(count):
        here, there = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(there,))
        child.start()
        there.close()
        ends.append((child, here))
    try:
        assert all(here.poll(120) for _, here in ends)
        return [here.recv() for _, here in ends]
    finally:
        for child, _ in ends:
            child.join(10)
            child.kill()


def test_children_share_no_noise_with_each_other_or_their_parent() -> None:
    mine = wide_counts()  # before the fork: whatever is kept in memory would go to every child
    drawn = children("fork", 16) + children("spawn", 4)
    assert len({process for process, _ in drawn} | {os.getpid()}) == 21
    noise = [*mine, *(value for _, values in drawn for value in values), *wide_counts()]
    assert len(noise) == 22 * 500
    assert len(set(noise)) == len(noise)


def test_seeds_change_nothing() -> None:
    state, numbers = random.getstate(), np.random.get_state()
    drawn: list[int] = []
    try:
        for _ in range(2):
            random.seed(7)
            np.random.seed(7)
            drawn += wide_counts()
            assert random.random() == 0.32383276483316237  # and nothing of that generator was used
            frame = pd.DataFrame({"y": np.zeros(500, np.int64)})
            drawn += frame.dp.noise(y=dp.LaplaceNoise(1, "1e-14"), budget=dp.Budget(1))["y"].tolist()
    finally:
        random.setstate(state)
        np.random.set_state(numbers)
    assert len(set(drawn)) == 2000


def generators(source: str) -> list[int]:
    """The lines of a program that name a generator which is not for cryptography."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [node.lineno for name in node.names if "random" in name.name.split(".")]
        elif isinstance(node, ast.ImportFrom):
            parts = [*(node.module or "").split("."), *(name.name for name in node.names)]
            found += [node.lineno] * (not node.level and "random" in parts)
        elif isinstance(node, ast.Attribute) and node.attr in ("random", "default_rng", "RandomState", "rand", "randn"):
            found.append(node.lineno)
    return found


def test_the_package_uses_no_other_generator() -> None:
    home = Path(dp.__file__).parent
    sources = {path.relative_to(home).as_posix(): path.read_text(encoding="utf-8") for path in home.rglob("*.py")}
    assert len(sources) > 40
    used = {name: lines for name, source in sources.items() if (lines := generators(source))}
    assert set(used) == {"demo_data.py"}  # a made-up table, and the proof that the scan sees


@pytest.mark.parametrize(
    "line",
    [
        "import random",
        "import numpy.random as r",
        "from numpy import random",
        "from numpy.random import laplace",
        "from random import gauss",
        "x = np.random.laplace()",
        "x = numpy.random.default_rng()",
        "x = generator.random()",
    ],
)
def test_the_scan_finds(line: str) -> None:
    assert generators(line)


# -- words are used once ---------------------------------------------------------------------------------------------


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, int, int]]:
    """Key, stream and position of every word that is asked for from now on."""
    asked: list[tuple[bytes, int, int]] = []
    really = Place.of

    def of(key: bytes, stream: int, start: int, n: int, cells: Any = None) -> Any:
        assert key is not None
        assert cells is None
        asked.extend((key, stream, position) for position in range(start, start + n))
        return really(key, stream, start, n, cells)

    monkeypatch.setattr(Place, "of", staticmethod(of))
    return asked


def test_no_word_serves_twice(places: list[tuple[bytes, int, int]]) -> None:
    frame = pd.DataFrame({"k": range(50), "x": 1.0, "i": 1})
    query = frame.dp.protect().groupby("k", keys=dp.keys({"k": range(50)})).agg(**{f"a{at}": each for at, each in FOUR})
    for _ in range(2):
        query.release(epsilon=1, budget=dp.Budget(1))
        query.release(rho=1, budget=dp.Budget(rho=1))
        frame.dp.noise(x=dp.LaplaceNoise(1, 1), i=dp.GeometricNoise(1, 1), budget=dp.Budget(2))
    # Two statistics of the mean, the sum of x, that of i, and the count of all rows.
    assert len(places) == 2 * 50 * (5 + 5 + 2)
    assert len(set(places)) == len(places)
    assert len({key for key, _, _ in places}) == 6


FOUR = list(enumerate([dp.mean("x", 0, 1), dp.sum("x", 0, 1), dp.sum("i", 0, 1), dp.count()]))


def test_answers_and_releases_share_no_noise() -> None:
    """Two sums of the same scale: one word in both would be the same noise in both."""
    frame = pd.DataFrame({"k": np.zeros(0, np.int64), "a": np.zeros(0, np.int64), "b": np.zeros(0, np.int64)})
    noise: list[int] = []
    for _ in range(2):
        table = answers(frame, 500, {"a": dp.sum("a", 0, 1), "b": dp.sum("b", 0, 1)}, **WIDE)
        noise += [*table["a"], *table["b"]]
    assert len(set(noise)) == 2000


def test_tasks_and_columns_share_no_noise_on_spark(spark_classic: Any) -> None:
    frame = spark_classic.range(2000, numPartitions=4).selectExpr("0L AS a", "0L AS b")
    noise: list[int] = []
    for _ in range(2):
        mechanisms = {name: dp.LaplaceNoise(1, "1e-14") for name in "ab"}
        table = frame.dp.noise(mechanisms, budget=dp.Budget(1)).toPandas()
        noise += [*table["a"], *table["b"]]
    assert len(noise) == 8000
    assert len(set(noise)) == 8000
