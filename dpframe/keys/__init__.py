"""Public group keys: listed, combined by an algebra that leaves products apart, and numbered by cells."""

from dpframe.keys.factor import ARROW, MOST_CELLS, MOST_KEYS, Cells, Factor
from dpframe.keys.keyset import Keys, declared, grouping
from dpframe.keys.listing import for_columns, keys, listed_values

__all__ = [
    "ARROW",
    "MOST_CELLS",
    "MOST_KEYS",
    "Cells",
    "Factor",
    "Keys",
    "declared",
    "for_columns",
    "grouping",
    "keys",
    "listed_values",
]
