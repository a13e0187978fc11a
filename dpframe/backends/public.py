"""A public table of any kind, read whole into the canonical form of its columns."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pyarrow as pa

from dpframe.backends import pandas
from dpframe.backends.spark_rows import plain
from dpframe.errors import FrameError, PlanError
from dpframe.keys import ARROW
from dpframe.plan import Type


def public(frame: Any) -> tuple[dict[str, Type], pa.Table]:
    """The types of a public table's columns, and the table, under its own names and with null for NaN.

    Parameters
    ----------
    frame
        A pandas, PySpark, pandas-on-Spark or Arrow table.

    Raises
    ------
    FrameError
        For anything else.
    PlanError
        For column names that are not text or not distinct, and values that are not of one type.
    """
    home = type(frame).__module__
    if home.startswith(("pyspark.sql", "pyspark.pandas")) and hasattr(frame, "columns"):
        frame = plain(frame).toArrow()
    if isinstance(frame, pa.Table):
        if len(set(frame.column_names)) < frame.num_columns:
            raise PlanError("Two columns of the public table share a name: rename one.")
        series = {name: pd.Series(pd.arrays.ArrowExtensionArray(frame[name])) for name in frame.column_names}
        types = {field.name: pandas.arrow_type(field.type) for field in frame.schema}
    elif isinstance(frame, pd.DataFrame):
        types = {column.name: column.type for column in pandas.schema(frame)}
        series = {name: frame.iloc[:, at] for at, name in enumerate(types)}
    else:
        raise FrameError(f"A public table is a pandas, PySpark or Arrow table, not {type(frame).__qualname__}.")
    try:
        columns = {name: pandas.canonical(series[name], type_) for name, type_ in types.items()}
        # Text is plain here, for Spark takes no dictionaries.
        return types, pa.table(
            {name: array.cast(ARROW.get(types[name], pa.bool_())) for name, array in columns.items()}
        )
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise PlanError(f"The public table cannot be read: {error}.") from error
