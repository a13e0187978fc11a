"""What an argument of a function may be: of a type, or written out."""

from __future__ import annotations

from dpframe.errors import ColumnTypeError, ExpressionError
from dpframe.plan import Type
from dpframe.sql.terms import Term, article, converts, day_of, kind, remedy, typed, usable


def argument(term: Term, type: Type, where: str) -> Term:
    """The term as the ``type`` that ``where`` takes."""
    usable(term, where)
    if term.type is Type.TIMESTAMP and type is Type.DATE:
        return day_of(term)
    if term.type not in (type, None) and not converts(term, type):
        raise ColumnTypeError(f"{where} takes {article(type)}, and {term.shown} is {kind(term)}. {remedy(term, type)}")
    return typed(term, type)


def literal_integer(term: Term, where: str, least: int, example: str) -> int:
    """The value of an argument that must be written out as a number."""
    value = term.literal
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ExpressionError(
            f"{where} needs a whole number of at least {least} there, not {term.shown}. Write {example}."
        )
    return value


def literal_text(term: Term, where: str, example: str) -> str:
    """The value of an argument that must be written out as text."""
    if not isinstance(term.literal, str):
        raise ExpressionError(f"{where} needs a text literal there, not {term.shown}. Write {example}.")
    return term.literal
