"""The engines that every contract test runs on, and the canonical tables."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from engines import Engine

import dpframe.release

ENGINES = {"local": ["pandas", "classic"], "connect": ["connect"]}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", ENGINES[metafunc.config.getoption("--engine")], indirect=True)


@pytest.fixture(scope="session")
def engine(request: pytest.FixtureRequest) -> Engine:
    if request.param == "pandas":
        return Engine("pandas", lambda frame, schema=None: frame, lambda frame: frame)
    session = request.getfixturevalue(f"spark_{request.param}")
    return Engine(request.param, session.createDataFrame, lambda frame: frame.toPandas())


@pytest.fixture
def members() -> pd.DataFrame:
    """Sixty rows with every nuisance: nulls, NaN, infinities, −0.0 and ids with many rows."""
    draw = np.random.default_rng(5)
    n = 60
    return pd.DataFrame(
        {
            "user": draw.choice(["ann", "bob", "cho", "dee", None], n),
            "level": draw.choice(["a", "b", "c", None], n),
            "age": draw.integers(0, 100, n),
            "income": draw.choice([0.1, -0.0, 1e9, 7.25, np.nan, np.inf, -np.inf, 3.3], n),
        }
    )


@pytest.fixture
def fixed_key(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """One release key for every release of the test: the seam that tests have and users have not."""
    key = bytes(range(32))
    monkeypatch.setattr(dpframe.release, "fresh_key", lambda size: key[:size])
    return key
