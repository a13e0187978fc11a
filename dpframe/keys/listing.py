"""Where public keys come from: listed values, rows, public frames, and what columns have declared."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from dpframe.errors import KeysError
from dpframe.keys.factor import Factor, listed, places, sort
from dpframe.keys.keyset import Keys, domain_of
from dpframe.plan import Value


def keys(source: Any, columns: Sequence[str] | None = None) -> Keys:
    """Public group keys from a mapping of column to values, from rows, or from the rows of a public frame.

    Parameters
    ----------
    source
        A mapping ``{column: values}``, of which every combination is a key; a list of tuples, each a key; or a
        *public* frame (pandas, Arrow or Spark), whose distinct rows are the keys. The values must be known without
        looking at private data: documentation, a code list, a published table, an earlier release.
    columns
        The names of the columns, for a list of tuples; of a frame, those to take.

    Raises
    ------
    KeysError
        For no values, a value listed twice, floats and nested values, and tuples that are not as long as ``columns``.

    Examples
    --------
    >>> keys({"level": ["a", "b", None]})
    Keys(level: 3 keys)
    >>> keys([("a", 2024), ("b", None)], columns=["level", "year"])
    Keys(level, year: 2 keys)
    """
    if columns is not None:
        known = hasattr(source, "columns")
        return keys(source)[list(columns)] if known else Keys(_tuples(source, columns).apart())
    if isinstance(source, Keys):
        return source
    if isinstance(source, Mapping):
        return Keys(tuple(_column(str(name), values) for name, values in source.items()))
    return Keys(_rows(_as_arrow(source)).apart())


def for_columns(by: tuple[str, ...], given: Any) -> Keys:
    """The keys that a caller gives for some of the grouping columns, in any form: of a single one also a list."""
    if isinstance(given, list | tuple | range | set | frozenset) or getattr(given, "ndim", 0) == 1 or _arrow(given):
        values = given.to_pylist() if _arrow(given) else given
        return keys({by[0]: values}) if len(by) == 1 else keys(values, by)
    return keys(given)


def _arrow(values: object) -> bool:
    """Whether it is one column of Arrow."""
    return isinstance(values, pa.Array | pa.ChunkedArray)


def _column(name: str, values: Iterable[object]) -> Factor:
    """One column's listed values, sorted, nulls first."""
    return Factor({name: sort(domain_of(listed_values(name, values)))})


def _tuples(source: Any, columns: Sequence[str]) -> Factor:
    """The distinct ones of listed rows."""
    names = [] if isinstance(columns, str) or not isinstance(columns, Iterable) else list(columns)
    if not names or len(set(names)) < len(names) or not all(isinstance(name, str) for name in names):
        raise KeysError(f"columns= takes distinct names, one for each value of a tuple, not {columns!r}.")
    example = f"as in dp.keys([{'(' + ', '.join(['...'] * len(names)) + ')'}, ...], columns={names!r})"
    if isinstance(source, str | Mapping) or not isinstance(source, Iterable):
        raise KeysError(f"With columns=, dp.keys takes a list of tuples, {example}, not {source!r}.")
    rows = list(source)
    for row in rows:
        if isinstance(row, str) or not isinstance(row, Sequence) or len(row) != len(names):
            raise KeysError(f"{row!r} is no tuple of {len(names)} values, one for each column: {example}.")
    if not rows:
        raise KeysError(f"There are no tuples: list at least one key, {example}.")
    values = {name: [_plain(name, row[at]) for row in rows] for at, name in enumerate(names)}
    # Without hashing equal numbers and booleans into one: first the values are seen to be of one kind.
    domains = {name: sort(domain_of(list(dict.fromkeys(_of_one_kind(name, each))))) for name, each in values.items()}
    return listed(domains, {name: places(domain_of(each), domains[name]) for name, each in values.items()})


def listed_values(name: str, values: Iterable[object]) -> list[Value]:
    """The values of one key column, checked: text, integers, booleans, dates or null, of one kind, once each.

    Raises
    ------
    KeysError
        For no values, duplicates, floats, and values of different kinds.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise KeysError(f"The keys of {name!r} must be a list of values, not {values!r}.")
    plain = [_plain(name, value) for value in values]
    if not plain:
        raise KeysError(f"The keys of {name!r} are empty: list at least one value.")
    _of_one_kind(name, plain)
    seen: set[Value] = set()
    for value in plain:
        if value in seen:
            raise KeysError(f"The key {value!r} of {name!r} is listed twice: list every key once.")
        seen.add(value)
    return plain


def _of_one_kind(name: str, values: list[Value]) -> list[Value]:
    """The values, unless they are of several types."""
    if len({type(value) for value in values if value is not None}) > 1:
        raise KeysError(f"The keys of {name!r} mix types: give text, integers, booleans or dates, not several.")
    return values


def _plain(name: str, value: object) -> Value:
    """A Python value that can be a key."""
    # numpy gives an instant in nanoseconds as a bare integer.
    value = value.astype("datetime64[us]") if isinstance(value, np.datetime64) else value
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, datetime.datetime):
        if type(value).__name__ == "NaTType":
            return None
        if value.tzinfo is None and value.time() == datetime.time():
            return value.date()
        raise KeysError(f"The key {value!s} of {name!r} has a time of day: keys may be dates, not timestamps.")
    if value is None or isinstance(value, str | bool | int | datetime.date):
        if isinstance(value, int) and not -(2**63) <= value < 2**63:
            raise KeysError(f"The key {value} of {name!r} does not fit 64 bits.")
        if isinstance(value, str) and not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
            raise KeysError(f"The key {value!r} of {name!r} holds half a surrogate pair, which is not a character.")
        return value
    raise KeysError(
        f"The key {value!r} of {name!r} is a {type(value).__name__}: keys may be text, integers, booleans, dates "
        "or None. Group a number by dp.cut(column, edges)."
    )


def _as_arrow(frame: Any) -> pa.Table:
    """The rows of a public frame of any kind."""
    if isinstance(frame, pa.Table):
        return frame
    home = type(frame).__module__
    if home.startswith("pyspark.pandas"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the pandas-like index is not kept: keys have none
            frame, home = frame.to_spark(), "pyspark.sql"
    if home.startswith("pyspark.sql"):
        return frame.distinct().toArrow()
    if home.startswith("pandas") and hasattr(frame, "columns"):
        try:
            return pa.Table.from_pandas(frame, preserve_index=False)
        except (ValueError, TypeError) as error:
            raise KeysError(
                f"The key frame cannot be read, {error}: give columns of one type and distinct names."
            ) from error
    raise KeysError(f"dp.keys takes a mapping of column to values or a public frame, not {type(frame).__name__}.")


def _rows(table: pa.Table) -> Factor:
    """The distinct rows of a public table."""
    if not table.num_columns or not table.num_rows:
        raise KeysError("The key frame is empty: it needs at least one column and one row.")
    if len(set(table.column_names)) < table.num_columns:
        raise KeysError("Two columns of the key frame share a name: rename one.")
    domains, positions = {}, {}
    for name in table.column_names:
        column = table[name].combine_chunks()
        column = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
        try:
            distinct = sort(column.unique())
        except pa.ArrowNotImplementedError:
            raise KeysError(f"The keys of {name!r} are of type {column.type}, which has no order.") from None
        domains[name] = domain = domain_of(listed_values(name, distinct.to_pylist()))
        positions[name] = places(column if pa.types.is_null(domain.type) else column.cast(domain.type), domain)
    return listed(domains, positions)
