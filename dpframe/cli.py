"""The command line: ``dpframe demo``, ``dpframe ledger`` and ``dpframe --version``."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import dpframe as dp
from dpframe.accounting import Exact
from dpframe.demo_data import members

if TYPE_CHECKING:
    import pandas as pd

    from dpframe.accounting.ledger import Ledger
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
    ledger = commands.add_parser("ledger", help="look at the budgets of a ledger; changes nothing")
    ledger.add_argument("verb", choices=VERBS, help="; ".join(f"{verb}: {text}" for verb, text in VERBS.items()))
    ledger.add_argument("address", help="the ledger's address, such as sqlite:///privacy.db")
    ledger.add_argument("--name", help="the budget of this name only")
    ledger.add_argument("--anchor", type=Path, help="a file that says how far the ledger had come")
    asked = parser.parse_args(arguments)
    if asked.command == "demo":
        demo()
        return 0
    try:
        for line in look(asked.verb, asked.address, asked.name, asked.anchor):
            print(line)
    except dp.errors.LedgerError as error:
        print(f"dpframe ledger: {error}", file=sys.stderr)
        return 1
    return 0


VERBS = {
    "show": "each budget, what was spent of it and what is left",
    "verify": "read everything again and check it, stored answers and anchor too",
    "history": "each charge, oldest first",
    "export": "every record as a line of JSON, to be kept elsewhere",
}


def look(verb: str, address: str, name: str | None, anchor: Path | None) -> Iterator[str]:
    """What there is to say of a ledger, line by line.

    Raises
    ------
    LedgerError
        When there is no such ledger or budget, and when the ledger is not what was written.
    """
    from dpframe.accounting.ledger import Ledger

    ledger = Ledger(address, anchor, create=False)
    if verb == "verify":
        ledger.verify()
        kept = f", at least as far as {anchor}" if anchor else ""
        yield f"sound: {ledger.chain.length} records, each as it was written{kept}"
        yield f"head {ledger.chain.head}"
        return
    names = list(ledger.chain.names) if name is None else [name]
    missing = [each for each in names if each not in ledger.chain.names]
    if missing:
        raise dp.errors.LedgerError(f"There is no budget {missing[0]!r} in the ledger.")
    roots = {ledger.chain.names[each] for each in names}
    if verb == "show":
        yield from shown(ledger, names)
    for record in ledger.records() if verb != "show" else ():
        root = ledger.chain.accounts[record.account].root
        if root in roots and verb == "export":
            yield json.dumps(asdict(record))
        elif root in roots and record.kind == "charge":
            about = [ledger.chain.accounts[root].name, record.label, record.query, record.mechanism, record.cost]
            yield "  ".join([record.time[:19], *filter(None, about), *([f"once={record.key!r}"] if record.key else [])])


def shown(ledger: Ledger, names: list[str]) -> Iterator[str]:
    """Each budget in a few words. Amounts are in the measure in which they add up."""
    yield f"{ledger.chain.length} records, head {ledger.chain.head}"
    for each in names:
        held = ledger.account(ledger.chain.names[each])
        charges = len(ledger.history(ledger.chain.names[each]))
        counted = slice(2 if held.total[1] else 1)
        left, total = (" and ".join(str(Exact(one)) for one in part[counted]) for part in (held.left, held.total))
        yield f"{each}: {held.opened}, counted by {held.unit!r}; {left} of {total} left after {charges} charges"


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
    for group, value, low, high, *_ in released.itertuples(index=False):
        bar = max(value - low, high - value)
        rows.append((str(group), f"{value:.2f}", f"{bar:.2f}", f"{low:.2f} and {high:.2f}"))
    widest = max(len(row[0]) for row in rows)
    return "\n".join(f"   {row[0]:<{widest}}  {row[1]:>8}  {row[2]:>8}   {row[3]}" for row in rows)


if __name__ == "__main__":
    raise SystemExit(main())
