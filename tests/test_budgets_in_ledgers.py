"""A budget that is kept in a ledger: its name, its anchor, and what another process sees of it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from budgets import COUNT

import dpframe as dp
from dpframe.errors import LedgerError


def test_a_process_sees_how_another_settled_the_budget(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    ours, theirs = (dp.Budget(1, 1e-6, ledger=f"sqlite:///{tmp_path}/p.db", name="m") for _ in "ab")
    assert ours.filter == theirs.filter == "unsettled"
    COUNT.release(epsilon=0.4, delta=1e-7, mechanism="gaussian", budget=ours)
    chosen = COUNT.release(epsilon=0.1, delta=1e-7, budget=theirs)  # by what the budget counts, not as it was opened
    assert "Gaussian" in chosen.dp.release_info()["count"].statistics[0].mechanism
    assert ours.filter == theirs.filter
    assert ours.remaining == theirs.remaining < 1
    COUNT.release(epsilon=0.1, delta=1e-7, mechanism="gaussian", budget=theirs)
    assert ours.remaining == theirs.remaining
    again = dp.Budget(1, 1e-6, ledger=f"sqlite:///{tmp_path}/p.db", name="m")
    assert (again.filter, again.remaining) == (ours.filter, ours.remaining)
    with pytest.raises(LedgerError, match="has a total of"):
        dp.Budget(1, 1e-6, filter="sum", ledger=f"sqlite:///{tmp_path}/p.db", name="m")


def test_names_and_anchors_go_with_a_ledger(tmp_path: Path) -> None:
    for named in ({"name": "members"}, {"anchor": "x"}):
        with pytest.raises(LedgerError, match="go with ledger="):
            dp.Budget(1, **named)
    for bad in (None, "", 7, "a\nb", "n" * 201):
        with pytest.raises(LedgerError, match="name="):
            dp.Budget(1, ledger=f"sqlite:///{tmp_path}/p.db", name=bad)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_without_sqlalchemy_a_ledger_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['sqlalchemy'] = None\n"
        "import dpframe as dp\n"
        "dp.Budget(1)\n"
        "try:\n    dp.Budget(1, ledger='sqlite:///p.db', name='m')\n"
        "except dp.errors.LedgerError as error:\n    print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert 'pip install "dpframe[ledger]"' in run.stdout, run.stderr
