"""What a budget remembers of its charges."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from dpframe.accounting.events import Event
from dpframe.accounting.ledger_chain import Record, read

if TYPE_CHECKING:
    import pyarrow as pa


class Charge(NamedTuple):
    """One line of the history: when, for what, at which cost. ``amount`` is in what adds up.

    A tuple, because it is made within the lock of every charge, and costs a third of what a frozen dataclass does.
    """

    time: datetime.datetime
    label: str
    query: str
    mechanism: str
    asked: tuple[Event, ...] | str
    amount: Fraction

    @property
    def cost(self) -> str:
        """What was asked, in words."""
        return self.asked if isinstance(self.asked, str) else said(self.asked)


@dataclass
class Kept:
    """What was charged under a ``once=`` key, and the answer as soon as there is one."""

    plan: str
    charge: Charge
    answer: bytes | None = None


def said(events: Sequence[Event]) -> str:
    """What was asked, in words."""
    return " and ".join(map(str, events))


def charged(record: Record) -> Charge:
    """A charge as a ledger has it."""
    time = datetime.datetime.fromisoformat(record.time)
    return Charge(time, record.label, record.query, record.mechanism, record.cost, read(record.amount)[0])


def table(charges: Sequence[Charge]) -> pa.Table:
    """Charges as a table, with their running total."""
    import pyarrow as pa

    running = [float(spent) for spent in accumulate(charge.amount for charge in charges)]
    texts = {name: [getattr(charge, name) for charge in charges] for name in ("label", "query", "mechanism", "cost")}
    return pa.table(
        {
            "time": pa.array([charge.time for charge in charges], pa.timestamp("us", "UTC")),
            **{name: pa.array(text, pa.string()) for name, text in texts.items()},
            "spent": pa.array(running, pa.float64()),
        }
    )
