"""The nightly job of ``docs/a_years_budget.md``, taken from the page and run on every engine."""

from __future__ import annotations

import doctest
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from engines import Engine

PAGE = Path(__file__).parents[2] / "docs" / "a_years_budget.md"


@pytest.fixture
def job() -> dict[str, Any]:
    """What the page defines: the year's budget, and the job."""
    pytest.importorskip("sqlalchemy")
    names: dict[str, Any] = {}
    for example in doctest.DocTestParser().get_examples(PAGE.read_text(encoding="utf-8")):
        if example.source.startswith(("import", "home", "LEDGER", "ANCHOR", "def ")):
            exec(example.source, names)
    return names


def test_the_nightly_job_is_paid_once(engine: Engine, job: dict[str, Any]) -> None:
    log = pd.DataFrame({"user": range(300), "page": ["home", "search", "about"] * 100, "day": ["2026-01-05"] * 300})
    frame = engine.frame(log)
    first, again = (engine.rows(job["nightly"](frame, "2026-01-05")) for _ in range(2))
    pd.testing.assert_frame_equal(first, again)
    assert first["page"].tolist() == ["about", "home", "search"]
    engine.rows(job["nightly"](frame, "2026-01-06"))
    year = job["year"]()
    assert year.spent == 0.04 and year.history()["label"].tolist() == ["nightly", "nightly"]


def test_the_answers_are_of_the_day(engine: Engine, job: dict[str, Any]) -> None:
    log = pd.DataFrame({"user": range(40_000), "page": ["home"] * 40_000, "day": ["2026-01-05", "2026-01-06"] * 20_000})
    found = engine.rows(job["nightly"](engine.frame(log), "2026-01-05"))
    # Within ±3,000 but once in 10⁸ times: noise of scale 150.
    assert abs(found["visitors"].tolist()[1] - 20_000) < 3_000
