"""The chain of a ledger: append-only records, each sealed by the one before, and the accounts that they add up to.

Pure: no database, no clock, no file. :meth:`Chain.next` holds every rule of what may be written; :meth:`Chain.add`
checks a record by deriving it again from its own inputs, so what was read is held to the rules of what is written.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from fractions import Fraction

from dpframe.errors import LedgerError, OnceError

Amounts = tuple[Fraction, ...]
"""What is charged or left: one number for each name of the budget's unit, such as ε and δ."""


@dataclass(frozen=True)
class Once:
    """A release that is to be made once: its caller's key, and a digest of its whole plan."""

    key: str
    plan: str


@dataclass(frozen=True)
class Reckoned:
    """What a charge takes, in the measure that an account is counted in from now on.

    Parameters
    ----------
    unit, total
        The name of the filter, and what it allows in all: those of the account, unless this charge settles them.
    amounts
        What is taken.
    """

    unit: str
    total: Amounts
    amounts: Amounts


@dataclass(frozen=True)
class Record:
    """One line of the ledger. Amounts are exact rationals as text, one for each name of the unit.

    Parameters
    ----------
    number
        Its place in the ledger, from 0.
    kind
        ``open`` a budget; ``settle`` how an untouched one counts; set a ``part`` aside; ``charge``; store an
        ``answer``; ``close`` a part.
    account
        The number of the record that opened what is charged: a budget, or a part of one.
    of
        The charge that is answered, or the part that is closed; else the record itself.
    amount, left
        The total that is opened or settled; what is charged, set aside or given back. And what is left after it.
    key
        The budget's name when one is opened; the caller's ``once=`` for a charge.
    plan
        Where a budget is opened or settled, or a part set aside, the name of its filter; of a charge with a key the
        digest of its plan; of an answer the digest of its bytes.
    label, query, mechanism, cost
        What is charged, in words. The cost of a budget that is opened is what its user asked for.
    time
        For people to read. Nothing is decided by it.
    digest
        SHA-256 of everything above and of the digest of the record before.
    """

    number: int
    kind: str
    account: int
    of: int
    amount: str
    left: str
    key: str
    plan: str
    label: str
    query: str
    mechanism: str
    cost: str
    time: str
    digest: str


TEXTS = ("key", "plan", "label", "query", "mechanism", "cost", "time")
"""The fields of a record that are as the caller has them."""


@dataclass
class Account:
    """A budget, or a part of one, as far as the records went."""

    root: int
    parent: int
    name: str
    opened: str
    unit: str
    total: Amounts
    left: Amounts
    closed: bool = False


@dataclass
class Kept:
    """What is known of a ``once=`` key: its plan, and the record of its answer."""

    charge: Record
    answer: Record | None = None


@dataclass
class Chain:
    """The state that the records so far add up to. Every number in it was recomputed from them."""

    length: int = 0
    head: str = ""
    accounts: dict[int, Account] = field(default_factory=dict)
    names: dict[str, int] = field(default_factory=dict)
    kept: dict[tuple[int, str], Kept] = field(default_factory=dict)

    def next(self, kind: str, account: int, amount: Amounts, of: int | None = None, **texts: str) -> Record:
        """The record that would follow.

        Raises
        ------
        LedgerError
            When the record would break a rule.
        """
        if kind == "open" and texts["key"] in self.names:
            raise self._broken("opens what is open")
        left = self._left_after(kind, account, amount, of)
        own = self.length if of is None else of
        fields = {"amount": write(amount), "left": write(left), **{name: texts.get(name, "") for name in TEXTS}}
        sealed = [self.head, self.length, kind, account, own, *fields.values()]
        digest = hashlib.sha256(json.dumps(sealed, separators=(",", ":")).encode()).hexdigest()
        return Record(self.length, kind, account, own, **fields, digest=digest)

    def _left_after(self, kind: str, account: int, amount: Amounts, of: int | None) -> Amounts:
        """What is left of an account after a record; every rule is here."""
        if kind == "open" and account == self.length:
            return amount
        held = self.accounts.get(account)
        if held is None or held.closed or len(amount) != len(held.total) or min(amount) < 0:
            raise self._broken("charges what is not open")
        if kind == "settle" and held.left == held.total and held.root == account:
            return amount
        if kind == "answer" and of is not None and not any(amount):
            return held.left
        if kind == "close" and of in self.accounts and of != account:
            part = self.accounts[of]
            if part.closed or part.parent != account or part.left != amount:
                raise self._broken("closes what is not open, or gives back too much")
            return tuple(a + b for a, b in zip(held.left, amount, strict=True))
        if kind not in ("charge", "part"):
            raise self._broken("is of a kind that cannot be here")
        if any(asked > left for asked, left in zip(amount, held.left, strict=True)):
            raise self._broken("charges more than was left")
        return tuple(a - b for a, b in zip(held.left, amount, strict=True))

    def _broken(self, how: str) -> LedgerError:
        return LedgerError(f"Record {self.length} of the ledger {how}: the ledger is damaged. Restore it from a copy.")

    def add(self, record: Record) -> None:
        """Take a record in.

        Raises
        ------
        LedgerError
            When it is not what :meth:`next` makes of its own inputs: changed, missing, doubled or overspent.
        """
        texts = {name: getattr(record, name) for name in TEXTS}
        of = None if record.of == record.number else record.of
        if self.next(record.kind, record.account, read(record.amount), of=of, **texts) != record:
            raise self._broken("is not what was written")
        self._take(record)

    def _take(self, record: Record) -> None:
        number, amount, left = record.number, read(record.amount), read(record.left)
        if record.kind == "open":
            self.accounts[number] = Account(number, number, record.key, record.cost, record.plan, amount, amount)
            self.names[record.key] = number
        else:
            held = self.accounts[record.account]
            held.left = left
            if record.kind == "settle":
                held.unit, held.total = record.plan, amount
            elif record.kind == "part":
                part = Account(held.root, record.account, held.name, record.cost, held.unit, amount, amount)
                self.accounts[number] = part
            elif record.kind == "close":
                self.accounts[record.of].closed = True
            elif record.kind == "charge" and record.key:
                self.kept[held.root, record.key] = Kept(record)
            elif record.kind == "answer":
                self.kept[held.root, record.key].answer = record
        self.length, self.head = number + 1, record.digest

    def known(self, account: int, once: Once) -> Kept | None:
        """What the ledger knows of a key.

        Raises
        ------
        OnceError
            When it was charged for another plan.
        """
        kept = self.kept.get((self.accounts[account].root, once.key))
        if kept is not None and kept.charge.plan != once.plan:
            raise other_plan(once.key, kept.charge.query, kept.charge.cost)
        return kept


def write(amounts: Amounts) -> str:
    """Amounts as text.

    >>> write((Fraction(3, 10), Fraction(0)))
    '3/10 0'
    """
    return " ".join(str(Fraction(each)) for each in amounts)


def read(text: str) -> Amounts:
    """Amounts from their text.

    >>> read("3/10 0") == (Fraction(3, 10), Fraction(0))
    True
    """
    return tuple(map(Fraction, text.split(" ")))


def other_plan(key: str, query: str, cost: str) -> OnceError:
    """The refusal of a key that stands for another release."""
    return OnceError(
        f"once={key!r} stands for another release of this budget: {query} at {cost}. The same chain, "
        "cost and options give its stored answer; for a new release take a new key."
    )
