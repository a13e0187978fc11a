"""A made-up table for ``dpframe demo`` and the tests to have something to protect."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Final

import numpy as np
import pandas as pd

EDUCATION_LEVELS: Final = (
    "up-to-high-school",
    "high-school-diploma",
    "bachelors-associate",
    "masters-degree",
    "doctorate-professional",
)
"""The values of ``education_level``, lowest first: they are public, so group keys may be made of them."""

# For each level: the age from which someone may hold it, and its share among those old enough for all.
_YOUNGEST = np.array([0, 17, 20, 23, 26])
_SHARE = np.array([0.10, 0.32, 0.36, 0.15, 0.07])

_GENDERS = ("female", "male", "non-binary", "undisclosed")
_GENRES = ("biography", "comics", "crime", "fantasy", "history", "poetry", "romance", "science", "travel")
_TASTES = _GENRES + tuple(";".join(pair) for pair in combinations(_GENRES, 2))

# Names of many scripts and lengths: text that is not ASCII must pass through every engine unharmed.
_FIRST_NAMES = (
    *("Aisha", "Amélie", "Björn", "Chloé", "Dmitri", "Emily", "Fatima", "George", "Hiroshi", "Ines", "José"),
    *("Katarzyna", "Łukasz", "Mary-Jane", "Nguyễn", "Ольга", "Priya", "Søren", "Zoë", "Νίκος", "محمد", "芳"),
)
_LAST_NAMES = (
    *("Andersson", "Brown", "Çelik", "Dvořák", "Evans", "García", "Haddad", "Ito", "Jansen", "Kowalska"),
    *("Müller", "Núñez", "O'Brien", "Πέτρου", "Okafor", "Silva", "Smith", "Tran", "Иванова", "王"),
)

# Loans are negative binomial: a few people borrow very much. These two numbers make the mean 19.4 when no
# more than 100 books of anyone count, and 11.4 when no more than 22 do.
_LOANS_SHAPE = 0.58649
_LOANS_MEAN = 20.0733

Integers = np.ndarray[tuple[int], np.dtype[np.int64]]
Objects = np.ndarray[tuple[int], np.dtype[np.object_]]
Dates = np.ndarray[tuple[int], np.dtype[np.datetime64]]

_TODAY = np.datetime64("2024-01-01")
_OLDEST_MEMBERSHIP = 18  # years


def members(rows: int = 54_217, seed: int = 7) -> pd.DataFrame:
    """Return SYNTHETIC members of a library: nobody in this table exists.

    Parameters
    ----------
    rows
        How many members.
    seed
        The same seed gives the same table.

    Returns
    -------
    pandas.DataFrame
        ``id`` (from 1), ``name``, ``age`` (5 to 99), ``gender``, ``education_level``, ``zip_code`` (text;
        about one in fifty is null), ``books_borrowed`` (never null), ``favorite_genres`` (joined by ``;``)
        and ``date_joined``.

    Examples
    --------
    >>> table = members()
    >>> len(table)
    54217
    >>> print(f"{table['books_borrowed'].clip(0, 22).mean():.1f}")
    11.4
    """
    # A seeded generator, because it invents the data and the same table must come out each time. Noise that
    # protects people is never drawn from one: that is the business of dpframe.kernels.
    generator = np.random.default_rng(seed)
    ages = _ages(generator, rows)
    return pd.DataFrame(
        {
            "id": np.arange(1, rows + 1, dtype=np.int64),
            "name": _pick(generator, _FIRST_NAMES, rows) + " " + _pick(generator, _LAST_NAMES, rows),
            "age": ages,
            "gender": _pick(generator, _GENDERS, rows, shares=(0.50, 0.46, 0.02, 0.02)),
            "education_level": _education(generator, ages),
            "zip_code": _zip_codes(generator, rows),
            "books_borrowed": _loans(generator, rows),
            "favorite_genres": _pick(generator, _TASTES, rows),
            "date_joined": _joining_dates(generator, ages),
        }
    )


def _pick(
    generator: np.random.Generator, values: Sequence[str], rows: int, shares: Sequence[float] | None = None
) -> Objects:
    """Choose one of ``values`` for each row, all equally likely unless ``shares`` are given."""
    return np.array(values, dtype=object)[generator.choice(len(values), size=rows, p=shares)]


def _ages(generator: np.random.Generator, rows: int) -> Integers:
    """Mostly adults, thinning out towards 99: the last decade is meant to be too small to say much about."""
    return (5 + 95 * generator.beta(1.9, 3.4, size=rows)).astype(np.int64)


def _education(generator: np.random.Generator, ages: Integers) -> Objects:
    """The level each would reach in the end, or the highest that their age allows if that is lower."""
    reached = generator.choice(len(EDUCATION_LEVELS), size=len(ages), p=_SHARE)
    allowed = np.searchsorted(_YOUNGEST, ages, side="right") - 1
    return np.array(EDUCATION_LEVELS, dtype=object)[np.minimum(reached, allowed)]


def _zip_codes(generator: np.random.Generator, rows: int) -> Objects:
    """Five digits, some with zeros in front, from some two hundred places; one in fifty unknown."""
    places = np.array([f"{place:05d}" for place in range(1001, 90_000, 450)], dtype=object)
    codes = places[generator.integers(len(places), size=rows)]
    codes[generator.random(rows) < 0.02] = None
    return codes


def _loans(generator: np.random.Generator, rows: int) -> Integers:
    """Independent of everything else, so that differences between groups are chance or noise."""
    return generator.negative_binomial(_LOANS_SHAPE, _LOANS_SHAPE / (_LOANS_SHAPE + _LOANS_MEAN), size=rows)


def _joining_dates(generator: np.random.Generator, ages: Integers) -> Dates:
    """Any day since the library opened or the member turned four, whichever is later."""
    days = 365 * np.minimum(_OLDEST_MEMBERSHIP, ages - 4)
    return (_TODAY - (days * generator.random(len(ages))).astype("timedelta64[D]")).astype("datetime64[us]")
