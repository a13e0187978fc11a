"""The benchmarks' machinery: the same tables each time, a meter that sees what it should, and honest tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks import environments, pages
from benchmarks.scale import data, meter
from benchmarks.scale.chart import plot, series
from benchmarks.scale.lines import FULL, GROUPS, QUICK, lines
from benchmarks.scale.report import markdown

LINUX = pytest.mark.skipif(not meter.LINUX, reason="the meter reads /proc")


@pytest.mark.parametrize("skew", [False, True])
def test_the_log_is_the_same_each_time_and_as_described(skew: bool) -> None:
    chunk = data.log_chunk(100_000, 0, skew=skew)
    again = data.log_chunk(100_000, 0, skew=skew)
    assert all((chunk[name] == again[name]).all() for name in chunk)
    users, rows = np.unique(chunk["user"], return_counts=True)
    assert 5_000 < len(users) <= 10_001
    assert (0.09 < rows.max() / 100_000 < 0.11) == skew
    assert set(chunk["page"]) <= set(data.ALL_PAGES)
    assert 0.1 < np.isin(chunk["page"], data.PAGES, invert=True).mean() < 0.3
    assert len({*data.PAGES}) * len({*data.COUNTRIES}) == len({*data.PAGES}) * len({*data.CODES}) == 300_000


def test_chunks_of_a_log_are_other_rows_and_the_last_one_ends_it() -> None:
    rows = data.CHUNK + 1_000
    first, last = (data.log_chunk(rows, chunk, skew=False) for chunk in (0, 1))
    assert len(last["user"]) == 1_000
    assert (first["seconds"][:1_000] != last["seconds"]).any()


def test_a_table_is_written_once_and_holds_the_rows(tmp_path: Path) -> None:
    path = data.log(tmp_path, 2_000)
    written = path.stat().st_mtime_ns
    assert data.log(tmp_path, 2_000) == path and path.stat().st_mtime_ns == written
    table, chunk = pq.read_table(path), data.log_chunk(2_000, 0, skew=False)
    assert (table["user"].to_numpy() == chunk["user"]).all()
    assert table["country"].to_pylist() == [data.COUNTRIES[at] for at in chunk["country"]]
    assert not list(path.parent.glob("*.unfinished"))


def test_few_cells_of_the_sparse_table_are_filled_and_all_of_the_crowded_one() -> None:
    rows = data.sparse_chunk(1_000_000, 10_000)
    assert len(set(zip(rows["item"].tolist(), rows["region"].tolist(), strict=True))) == 10_000
    rows = data.crowded_chunk(50_000, 0)
    assert len(set(zip(rows["item"].tolist(), rows["region"].tolist(), strict=True))) == 50_000


@LINUX
def test_the_meter_sees_memory_and_cpu_seconds_of_children() -> None:
    pids = meter.tree(os.getpid())
    before, cpu = meter.resident(pids), meter.cpu_seconds(pids)
    block = np.ones(8_000_000)
    assert meter.resident(pids) - before > 0.9 * block.nbytes
    begin = time.process_time()
    while time.process_time() < begin + 0.2:
        pass
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    subprocess.run([sys.executable, "-c", busy], check=True)
    assert meter.cpu_seconds(pids) - cpu > 0.45


@LINUX
def test_the_meter_sees_cpu_seconds_of_children_that_nobody_waited_for() -> None:
    # As under Spark's daemon of Python workers: the system forgets what such a child has used.
    busy = "import time\nwhile time.process_time() < 0.5: pass"
    forgetful = f"""
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
if not os.fork():
    os.execv(sys.executable, [sys.executable, "-c", {busy!r}])
try:
    os.wait()
except ChildProcessError:
    print("gone", flush=True)
sys.stdin.read()
"""
    command = [sys.executable, "-c", forgetful]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        with meter.watching(parent.pid) as watch:
            assert parent.stdout.readline() == b"gone\n"
        assert meter.cpu_seconds(meter.tree(parent.pid)) < 0.4
        assert 0.4 < watch.spent() < 0.8


def test_a_case_runs_in_its_own_process_and_says_why_it_failed(tmp_path: Path) -> None:
    table, log = str(data.log(tmp_path, 1_000)), tmp_path / "case.log"
    case = meter.Case(sys.executable, "with_duckdb", "plain", {"path": table, "of": "log"}, 60, log)
    try:
        rounds = [case.run() for _ in range(2)]
    finally:
        case.close()
    assert case.rows == len(pq.read_table(table).group_by(["page", "country"]).aggregate([]))
    assert "duckdb" in case.versions and all(each.seconds > 0 for each in rounds)
    assert not meter.LINUX or all(each.peak >= each.before > 2**20 for each in rounds)
    with pytest.raises(meter.CaseFailed, match=r"No files found|does not exist"):
        meter.Case(sys.executable, "with_duckdb", "plain", {"path": "nowhere.parquet", "of": "log"}, 60, log)
    with pytest.raises(meter.CaseFailed, match=r"exit code 1\. .*No module named benchmarks.scale.cases.with_abacus"):
        meter.Case(sys.executable, "with_abacus", "plain", {}, 60, log)


def test_a_peer_that_no_python_here_runs_is_unavailable_with_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(environments.PEERS, "old", environments.Peer(("old==1",), ("2.3",)))
    with pytest.raises(environments.Unavailable, match=r"needs Python 2\.3"):
        environments.interpreter("old", tmp_path)


def outcome(seconds: float = 0.0, reason: str | None = None) -> dict[str, Any]:
    rounds = [meter.Round(seconds, 2 * seconds, 2**30, 2**31)] if reason is None else []
    return meter.Outcome(rounds, 2**30, 7, {"numpy": "2"}, reason).as_json()


def measured(**seconds: float | str) -> dict[str, Any]:
    stamp = {"cpu": "some", "cores": 2, "python": "3", "day": "2026-01-01", "load": 0.1}
    contenders = {
        who.replace("_", " "): outcome(got) if isinstance(got, float) else outcome(0, got)
        for who, got in seconds.items()
    }
    line = {"base": "plain pandas", "load": [0.1, 0.2], "machine": stamp, "contenders": contenders}
    return json.loads(json.dumps(line))


def test_the_tables_say_met_missed_failed_and_not_measured() -> None:
    found = {
        "pandas": measured(dpframe=1.4, plain_pandas=1.0) | {"title": "five", "rows": 5},
        "pandas-all": measured(dpframe=1.6, plain_pandas=1.0) | {"title": "all", "rows": 0},
        "pandas-big": measured(dpframe=15.0, plain_pandas=20.0) | {"title": "fifty", "rows": 50},
        "scan": measured(dpframe="no disk", plain_pandas=1.0) | {"title": "scanned", "rows": 0},
        "members": measured(dpframe=1.0, OpenDP="gone", Tumult_Analytics="no Java") | {"title": "books", "rows": 0},
    }
    text = markdown(lines(FULL), found)
    assert "| pandas, 5M rows, count | plain pandas | 1.40 × | 1.5 × | met |" in text
    assert "| plain pandas | 1.60 × | 1.5 × | **missed** |" in text
    assert "| pandas, 50M rows, count | dpframe, five | 10.71 × | 11 × | met |" in text
    assert "| pandas, 50M rows, count |  | 2.00 × the columns | 3 × the columns | met |" in text
    assert "| dp.scan, 5M rows, count |  | | 4 GiB | dpframe did not run: no disk |" in text
    assert "| Tumult Analytics | | 1/15 × | Tumult Analytics did not run: no Java |" in text
    assert "| Spark, 5M rows, count | plain Spark | | 1.8 × | not measured |" in text
    assert series(found)["dpframe on pandas"] == {5: 1.4, 50: 15.0}
    assert plot(found).count("<polyline") == 2


def test_a_page_says_met_missed_skipped_and_not_measured_and_one_figure_updates_its_own_lines(tmp_path: Path) -> None:
    speed = iter([90, 120])
    page = pages.Page(
        name="cars",
        title="Cars",
        figures={"speed": lambda: {"km/h": next(speed)}, "colour": lambda: {"skipped": "it is dark"}, "price": dict},
        bars=[
            pages.Bar("speed", "on the road", "at least 100", lambda found: f"{found['km/h']} km/h", _fast),
            pages.Bar(
                "colour", "of the roof", "red", lambda found: found["roof"], lambda found: found["roof"] == "red"
            ),
            pages.Bar("price", "new", "little", str, bool),
        ],
        packages=["numpy", "no-such-package"],
    )
    pages.run(page, ["speed", "colour"], tmp_path)
    first = (tmp_path / "cars.md").read_text()
    assert "| on the road | at least 100 | 90 km/h | **missed** | 20" in first
    assert "| of the roof | red |  | not measured: it is dark | 20" in first
    assert "| new | little |  | not measured |" in first and "* km/h: 90" in first
    before = pages.read("cars", tmp_path)
    assert list(before["speed"]["versions"]) == ["numpy"]
    pages.run(page, ["speed"], tmp_path)
    after = pages.read("cars", tmp_path)
    assert after["colour"] == before["colour"] and after["speed"]["found"] == {"km/h": 120}
    assert "| 120 km/h | met | 20" in (tmp_path / "cars.md").read_text()


def _fast(found: pages.Found) -> bool:
    return bool(found["km/h"] >= 100)


@pytest.mark.parametrize("sizes", [FULL, QUICK])
def test_every_line_can_be_selected_and_has_the_contenders_that_its_bars_name(sizes: Any) -> None:
    found = lines(sizes)
    names = {line.name: line for line in found}
    assert len(names) == len(found)
    for line in found:
        who = [each.who for each in line.contenders]
        assert len(set(who)) == len(who) and line.base in who
        assert line.groups and line.groups <= set(GROUPS)
        for bar in line.bars:
            there = names[bar.line] if bar.line else line
            assert not bar.against or bar.against in [each.who for each in there.contenders]
