"""The command line: ``dpframe demo`` and ``dpframe --version``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import dpframe as dp
from dpframe.demo_data import members

if TYPE_CHECKING:
    import pandas as pd

    from dpframe.frame import Query

LEVELS = [
    "up-to-high-school",
    "high-school-diploma",
    "bachelors-associate",
    "masters-degree",
    "doctorate-professional",
]
"""The library's documented education levels: public, so the groups of an answer need no look at the data."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; returns the process's exit code."""
    parser = argparse.ArgumentParser(prog="dpframe", description="Differential privacy for the frames you have.")
    parser.add_argument("--version", action="version", version=f"dpframe {dp.__version__}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("demo", help="ask a library's members table three questions, and be refused the fourth")
    parser.parse_args(arguments)
    demo()
    return 0


def questions(table: pd.DataFrame) -> list[tuple[str, str, Query]]:
    """The demo's questions of a members table: what is asked, the cost, the query."""
    private = table.dp.protect()
    banded = private.assign(age_band=dp.cut("age", range(0, 101, 10)))
    graduates = banded.filter("education_level in ('masters-degree', 'doctorate-professional')")
    by_level = private.groupby("education_level", keys=LEVELS)
    return [
        ("books borrowed by education level", "0.6", by_level.agg(books=dp.mean("books_borrowed", 0, 100))),
        (
            "books borrowed by age band, masters and doctorates only",
            "0.4",
            graduates.groupby("age_band").agg(books=dp.mean("books_borrowed", 0, 22)),
        ),
        (
            "books borrowed by age band",
            "0.1",
            banded.groupby("age_band").agg(books=dp.mean("books_borrowed", 0, 22)),
        ),
        ("members by age band", "0.1", banded.groupby("age_band").count()),
    ]


def demo() -> None:
    """Ask four questions of a synthetic table under a budget that pays for three."""
    table = members()
    print(f"A library's members: {len(table):,} rows, SYNTHETIC (invented, with a fixed seed).")
    with dp.Budget(epsilon=1.1) as budget:
        print(f"{budget}; the privacy unit is one row.\n")
        for number, (title, epsilon, query) in enumerate(questions(table), start=1):
            print(f"{number}. {title}, epsilon={epsilon}")
            try:
                released = query.release(epsilon=epsilon, ci=0.95)
            except dp.errors.BudgetExceededError as refusal:
                print(f"   refused: {refusal}")
            else:
                print(f"{readable(released)}\n   left of the budget: {budget.remaining}\n")


def readable(released: pd.DataFrame) -> str:
    """A released table with one answer and its interval, as text: key, answer, error bar, interval."""
    key, answer = released.columns[:2]
    rows = [(key, answer, "± (95%)", "between")]
    for group, value, low, high in released.itertuples(index=False):
        bar = max(value - low, high - value)
        rows.append((str(group), f"{value:.2f}", f"{bar:.2f}", f"{low:.2f} and {high:.2f}"))
    widest = max(len(row[0]) for row in rows)
    return "\n".join(f"   {row[0]:<{widest}}  {row[1]:>8}  {row[2]:>8}   {row[3]}" for row in rows)


if __name__ == "__main__":
    raise SystemExit(main())
