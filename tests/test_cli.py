"""The command line: what ``dpframe demo`` shows a person who has just installed it."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sqlite3
from pathlib import Path

import pandas as pd
import pytest

import dpframe as dp
from dpframe import cli

BANDS = ["[0, 10]", *(f"({low}, {low + 10}]" for low in range(10, 100, 10))]


def tables(shown: str) -> dict[str, list[tuple[str, float, float, float, float]]]:
    """The demo's tables by their questions: key, answer, error bar, low and high end of each row."""
    row = re.compile(r"^   (.*?) +(-?[\d.]+) +(-?[\d.]+)   (-?[\d.]+) and (-?[\d.]+)$")
    found: dict[str, list[tuple[str, float, float, float, float]]] = {}
    for line in shown.splitlines():
        if re.match(r"\d\. ", line):
            found[line] = []
        elif match := row.match(line):
            key, *numbers = match.groups()
            value, bar, low, high = map(float, numbers)
            found[list(found)[-1]].append((key, value, bar, low, high))
    return found


@pytest.fixture(scope="module")
def shown() -> str:
    with contextlib.redirect_stdout(io.StringIO()) as screen:
        cli.demo()
    return screen.getvalue()


def test_three_questions_are_answered_and_the_fourth_refused(shown: str) -> None:
    found = tables(shown)
    assert [title[:2] for title in found] == ["1.", "2.", "3.", "4."]
    assert [len(rows) for rows in found.values()] == [5, 10, 10, 0]
    assert [title.rpartition("=")[2] for title in found] == ["0.6", "0.4", "0.1", "0.1"]
    assert shown.count("refused") == 1 and "asks for epsilon=0.1, but 0 of 1.1 is left" in shown
    assert re.findall(r"left of the budget: (\S+)", shown) == ["0.5", "0.1", "0"]


def test_every_public_key_has_its_row(shown: str) -> None:
    levels, graduates, everyone, _ = ([row[0] for row in rows] for rows in tables(shown).values())
    assert levels == sorted(cli.LEVELS)
    assert graduates == everyone == BANDS


def test_means_and_their_intervals_are_within_the_bounds(shown: str) -> None:
    for rows, most in zip(tables(shown).values(), (100, 22, 22, 0), strict=True):
        for _, value, bar, low, high in rows:
            assert 0 <= low <= value <= high <= most
            assert bar == pytest.approx(max(value - low, high - value), abs=0.011)


def test_a_large_group_has_a_narrow_interval(shown: str) -> None:
    # Thousands of rows at epsilon=0.6: an error bar that said nothing would be a defect.
    assert max(bar for _, _, bar, _, _ in next(iter(tables(shown).values()))) < 2


def test_the_table_is_named_as_invented(shown: str) -> None:
    assert "54,217 rows, SYNTHETIC" in shown.splitlines()[0]


def test_the_command_runs_the_demo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    table = cli.members().head(200)
    monkeypatch.setattr(cli, "members", lambda: table)
    assert cli.main(["demo"]) == 0
    assert [len(rows) for rows in tables(capsys.readouterr().out).values()] == [5, 10, 10, 0]


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(["--version"])
    assert left.value.code == 0
    assert capsys.readouterr().out == f"dpframe {dp.__version__}\n"


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    """A ledger of two budgets with three charges, one of them for a key, and an anchor beside it."""
    pytest.importorskip("sqlalchemy")
    address, anchor = f"sqlite:///{tmp_path}/p.db", tmp_path / "anchor"
    count = pd.DataFrame({"x": [1]}).dp.protect().count()
    members = dp.Budget(epsilon=10, delta=1e-6, ledger=address, name="members", anchor=anchor)
    count.release(epsilon=0.5, budget=members, label="nightly", once="monday")
    with members.part(epsilon=1) as part:
        count.release(epsilon=0.25, budget=part)
    count.release(rho="1/3", budget=dp.Budget(rho=1, ledger=address, name="visitors", anchor=anchor))
    return address


def lines(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert cli.main(["ledger", *arguments]) == 0
    return capsys.readouterr().out.splitlines()


def test_ledger_show(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    head, members, visitors = lines(capsys, "show", ledger)
    assert re.fullmatch(r"\d+ records, head [0-9a-f]{64}", head)
    assert members.startswith("members: epsilon=10, delta=0.000001, counted by 'sum'")
    assert "9.25 and 0.000001 of 10 and 0.000001 left after 2 charges" in members
    assert visitors == "visitors: rho=1, counted by 'rho'; 2/3 of 1 left after 1 charges"
    assert lines(capsys, "show", ledger, "--name", "visitors")[1:] == [visitors]


def test_ledger_history_and_export(ledger: str, capsys: pytest.CaptureFixture[str]) -> None:
    first, second, third = lines(capsys, "history", ledger)
    assert "members  nightly  count=count()  discrete Laplace  epsilon=0.5  once='monday'" in first
    assert "members  count=count()" in second and "visitors" in third and "rho=1/3" in third
    assert lines(capsys, "history", ledger, "--name", "members") == [first, second]
    records = [json.loads(line) for line in lines(capsys, "export", ledger)]
    kinds = [record["kind"] for record in records]
    assert kinds == ["open", "settle", "charge", "answer", "part", "charge", "close", "open", "charge"]
    assert [record["number"] for record in records] == list(range(9))
    assert len(lines(capsys, "export", ledger, "--name", "visitors")) == 2


def test_ledger_verify(ledger: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    anchor = str(tmp_path / "anchor")
    assert lines(capsys, "verify", ledger, "--anchor", anchor)[0].startswith("sound: 9 records")
    with sqlite3.connect(tmp_path / "p.db") as by_hand:
        by_hand.execute("UPDATE dpframe_answers SET answer = x'00'")
    by_hand.close()
    assert cli.main(["ledger", "verify", ledger]) == 1
    assert "damaged" in capsys.readouterr().err
    (tmp_path / "anchor").write_text(f"99 {'0' * 64}\n")
    assert cli.main(["ledger", "show", ledger, "--anchor", anchor]) == 1
    assert "behind its anchor" in capsys.readouterr().err


def test_looking_makes_no_ledger_and_names_what_is_missing(
    ledger: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (tmp_path / "p.db").read_bytes()
    assert cli.main(["ledger", "show", f"sqlite:///{tmp_path}/q.db"]) == 1
    assert "There is no ledger" in capsys.readouterr().err and not (tmp_path / "q.db").exists()
    assert cli.main(["ledger", "history", ledger, "--name", "others"]) == 1
    assert "no budget 'others'" in capsys.readouterr().err
    lines(capsys, "export", ledger)
    assert (tmp_path / "p.db").read_bytes() == before


@pytest.mark.parametrize(
    "arguments", [[], ["nonsense"], ["demo", "--fast"], ["ledger"], ["ledger", "spend", "sqlite:///p.db"]]
)
def test_a_wrong_call_says_how(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2
    assert "usage: dpframe" in capsys.readouterr().err
