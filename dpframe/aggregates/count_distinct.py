"""The number of distinct values."""

from __future__ import annotations

from dataclasses import dataclass

from dpframe.aggregates.base import Prepared
from dpframe.aggregates.count import finish
from dpframe.errors import ColumnTypeError, PlanError
from dpframe.plan import Distinct, Schema, Type


@dataclass(frozen=True)
class CountDistinct:
    """The number of distinct values of some columns taken together; of all columns when none is named."""

    columns: tuple[str, ...] = ()
    label = "count_distinct"

    def prepare(self, schema: Schema) -> Prepared:
        columns = [schema[name] for name in self.columns] or list(schema)
        for column in columns:
            if column.type is Type.OTHER:
                raise ColumnTypeError(
                    f"{column.name!r} holds values that cannot be compared: count distinct values of other columns, "
                    "as in dp.count_distinct('a', 'b')."
                )
        refs = sorted({column.ref for column in columns}, key=lambda ref: int(ref[1:]))
        return Prepared((Distinct(tuple(refs)),), (1,), finish, decides=True)

    def __str__(self) -> str:
        return f"count_distinct({', '.join(self.columns)})"


def count_distinct(*columns: str) -> CountDistinct:
    """The number of distinct values of the columns in each group, as int64; of several, of their combinations.

    Parameters
    ----------
    *columns
        Columns of any type that can be compared; none means all columns. A missing value (null, NaN) is one value,
        and so are −0.0 and 0.0.

    Returns
    -------
    CountDistinct
        For ``.agg()``. A unit moves the answers as it moves row counts. Of the id of the privacy unit alone, it moves
        each by at most 1, whatever its rows, and needs no bound: ``.bound(groups=g, rows_per_group=r)`` then gives
        noise for g groups.

    Raises
    ------
    PlanError
        For what is no column name.

    Examples
    --------
    >>> print(count_distinct("author", "title"))
    count_distinct(author, title)
    >>> import pandas as pd, dpframe as dp
    >>> loans = pd.DataFrame({"reader": ["u", "u", "v"], "title": ["a", "b", None]}).dp.protect(id="reader")
    >>> loans.agg(readers=dp.count_distinct("reader")).explain(epsilon=1)
    readers = count_distinct(reader)
      unit    all rows of one reader
      policy  rows without reader are dropped
      policy  missing (null, NaN) is one distinct value
      noise of epsilon=1
        distinct values of reader: discrete Laplace of scale 1, within ±3 at 95%; L1 sensitivity 1, share 1
    """
    for name in columns:
        if not isinstance(name, str):
            raise PlanError(f"dp.count_distinct() takes column names as text, one by one, not {name!r}.")
    return CountDistinct(columns)
