"""On a real cluster: whatever is lost, a release reads as the same bits or its reading fails; it is never redrawn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

AFTER = ("clear", "drop", "kill")


def outcomes(kind: str, folder: Path) -> dict[str, str]:
    """What the program found, by case."""
    pytest.importorskip("pyspark")
    here = Path(__file__).parent
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(here), str(here.parents[1])])}
    command = [sys.executable, "-W", "ignore", str(here / "faults.py"), kind, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=1500)
    assert done.returncode == 0, done.stderr[-4000:]
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.fixture(scope="module")
def local_cluster(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return outcomes("local-cluster", tmp_path_factory.mktemp("faults"))


@pytest.fixture(scope="module")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return outcomes("standalone", tmp_path_factory.mktemp("copies"))


@pytest.mark.parametrize("case", AFTER)
def test_a_release_on_the_driver_outlives_every_loss(local_cluster: dict[str, str], case: str) -> None:
    assert local_cluster[f"driver after {case}"] == "same"


@pytest.mark.parametrize("path", ["executors", "noise"])
def test_a_release_on_executors_is_the_same_or_an_error(local_cluster: dict[str, str], path: str) -> None:
    found = [local_cluster[f"{path} after {case}"] for case in AFTER]
    # Clearing the cache is no loss; a killed executor may have held no block.
    assert found[:2] == ["same", "error"]
    assert found[2] in ("same", "error")


def test_the_naive_frame_is_redrawn(local_cluster: dict[str, str]) -> None:
    """The treatments have teeth: each of them changes noise that is only persisted."""
    assert [local_cluster[f"naive after {case}"] for case in AFTER] == ["redrawn"] * 3


@pytest.mark.parametrize("path", ["driver", "executors"])
def test_an_executor_killed_while_rows_are_read_changes_no_bit(local_cluster: dict[str, str], path: str) -> None:
    assert local_cluster[f"{path} while reading"] == "same"


@pytest.mark.parametrize("path", ["executors", "noise"])
@pytest.mark.parametrize("how", ["kill", "fail"])
def test_a_task_that_draws_again_draws_the_same(local_cluster: dict[str, str], path: str, how: str) -> None:
    """Several draws of the same cells were seen, and one value. Where what they draw from was lost too, nothing is."""
    outcome, draws = local_cluster[f"{path} {how} while drawing"].rsplit(", ", 1)
    assert (outcome == "same" and draws == "1 of several") or (
        (path, how) == ("noise", "kill") and outcome.startswith("error") and draws.startswith("1 of")
    )


@pytest.mark.parametrize("path", ["executors", "noise"])
def test_a_speculative_copy_draws_the_same(standalone: dict[str, str], path: str) -> None:
    assert standalone[f"{path} copy while drawing"] == "same, 1 of several"
