"""The command line: what ``dpframe demo`` shows a person who has just installed it."""

from __future__ import annotations

import contextlib
import io
import re

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


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["demo", "--fast"]])
def test_a_wrong_call_says_how(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        cli.main(arguments)
    assert left.value.code == 2
    assert "usage: dpframe" in capsys.readouterr().err
