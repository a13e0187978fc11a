"""Bounds of a column that are found privately: powers of two, chosen by rank."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from dpframe.aggregates.base import Answer, Noisy, Prepared
from dpframe.errors import ColumnTypeError, PlanError
from dpframe.lines import BILLION, Line, Quantile, read
from dpframe.plan import Schema, Type


@dataclass(frozen=True)
class BoundOf:
    """The lower or the upper one of two bounds, each chosen for half of the cost."""

    column: str
    at: int

    @property
    def label(self) -> str:
        return f"{self.column}_{('low', 'high')[self.at]}"

    def prepare(self, schema: Schema) -> Prepared:
        column = schema[self.column]
        if column.type not in (Type.INTEGER, Type.FLOAT):
            raise ColumnTypeError(f"{self.column!r} is a {column.type.value} column; only numbers have bounds.")
        line = Line(column.ref, -(2.0**64), 2.0**64, 1.0, integer=False, powers=True)
        statistic = Quantile(line, ((0, BILLION)[self.at],), 0)  # for two, a recursion saves nothing
        return Prepared((statistic,), (1,), lambda parts: finish(line, self.at, parts), part=Fraction(1, 2))

    def __str__(self) -> str:
        return f"{('low', 'high')[self.at]} of bounds({self.column})"


@dataclass(frozen=True)
class Bounds:
    """Both bounds of a column, each an answer of its own."""

    column: str

    @property
    def label(self) -> str:
        return self.column

    def prepare(self, schema: Schema) -> Prepared:
        raise PlanError(f"{self} is two answers: hand it to .agg(), which makes a column of each.")

    def each(self, name: str) -> list[tuple[str, BoundOf]]:
        """The answers one by one."""
        return [(f"{name}_low", BoundOf(self.column, 0)), (f"{name}_high", BoundOf(self.column, 1))]

    def __str__(self) -> str:
        return f"bounds({self.column})"


def finish(line: Line, at: int, parts: Sequence[Noisy]) -> Answer:
    """The outer edges of the powers of two."""
    (chosen,) = parts
    return Answer(line.edges(read(chosen.values), upper=at == 1), None, None)


def bounds(column: str) -> Bounds:
    """Bounds that hold all but a few rows of ``column`` in each group: ``<name>_low`` and ``<name>_high``.

    Parameters
    ----------
    column
        A number column. Rows where it is null, NaN or infinite do not count.

    Returns
    -------
    Bounds
        For ``.agg()``; two float64 columns. Each is 0 or a power of two between 2⁻⁶⁴ and 2⁶⁴, of either sign: ages
        from 18 to 90 have the bounds 16 and 128. Some ``37/epsilon`` rows on either side may be outside, by design, so
        that noise seldom takes a bound beyond all rows: about once in 50 times. In a group of hardly more rows they
        say little, and the lower one may even be above the other.

    Examples
    --------
    >>> print(bounds("age"))
    bounds(age)
    >>> import pandas as pd, dpframe as dp
    >>> private = pd.DataFrame({"age": [18, 44, 90], "loss": [-5.0, 0.0, 0.3]}).dp.protect()
    >>> private.agg(dp.bounds("age"), dp.bounds("loss")).release(budget=dp.Budget.unlimited())
       age_low  age_high  loss_low  loss_high
    0     16.0     128.0      -8.0        0.5
    """
    return Bounds(column)
