"""Intervals: from edges to labels, and from a column to the label of the interval that holds its value."""

from __future__ import annotations

import datetime
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

from dpframe.errors import BoundsError, ColumnTypeError, ExpressionError
from dpframe.plan import Column, Expression, Type, in_utc
from dpframe.sql.functions import is_missing
from dpframe.sql.terms import (
    ISO_DATE,
    MAX_INTEGER,
    MIN_INTEGER,
    Term,
    article,
    column_term,
    literal_term,
    timestamp_literal,
)

Edge = int | float | datetime.date | str

FEW = 16
"""Up to so many intervals a tree of comparisons is the quicker form on Spark."""


def cut_labels(
    edges: Iterable[object],
    labels: Sequence[str] | None = None,
    right: bool = True,
    include_both: bool = True,
    nan: str | None = None,
    type: Type | None = None,
) -> tuple[str, ...]:
    """The labels of the intervals between ``edges``, in order and without repetition.

    Parameters
    ----------
    edges
        At least two numbers, or dates, or texts that are ISO dates; strictly increasing. Of text: texts. Of timestamps:
        times, dates for their midnights, or ISO texts of either; in UTC where they have a zone.
    labels
        One text per interval, instead of the intervals themselves. Intervals of one label are merged.
    right
        Whether an interval holds its upper edge rather than its lower one.
    include_both
        Whether the outermost edge that ``right`` leaves out belongs to its interval all the same.
    nan
        The label of null and NaN, after those of the intervals.
    type
        What the column holds, where that is text or timestamps.

    Raises
    ------
    BoundsError
        The edges are fewer than two, not finite, or not strictly increasing.
    ColumnTypeError
        The edges are neither numbers nor dates nor, of text, texts.
    ExpressionError
        ``labels`` is not one text per interval, or an edge is text that is no time.

    Examples
    --------
    >>> cut_labels([0, 10, 20])
    ('[0, 10]', '(10, 20]')
    >>> cut_labels([0, 10, 20], right=False)
    ('[0, 10)', '[10, 20]')
    >>> cut_labels([0, 0.5, 1], include_both=False)
    ('(0, 0.5]', '(0.5, 1]')
    >>> cut_labels(["a", "n", "z"], type=Type.STRING)
    ("['a', 'n']", "('n', 'z']")
    >>> cut_labels(["2024-03-01", "2024-03-01 12:00"], type=Type.TIMESTAMP)
    ('[2024-03-01 00:00, 2024-03-01 12:00]',)
    """
    names = _labels(_edges(edges, type), labels, right, include_both)
    return tuple(dict.fromkeys([*names, *([] if nan is None else [nan])]))


def cut_expression(
    column: Column,
    edges: Iterable[object],
    labels: Sequence[str] | None = None,
    right: bool = True,
    include_both: bool = True,
    nan: str | None = None,
) -> Expression:
    """The label of the interval that holds the column's value; ``nan`` where it is missing, null where in no interval.

    The intervals are found by bisection, so a value meets about log2(n) of n edges. ``column`` holds
    integers, floats, dates, timestamps or text, in the order of its code points; the rest is as for
    :func:`cut_labels`.

    Raises
    ------
    BoundsError, ExpressionError
        As for :func:`cut_labels`.
    ColumnTypeError
        The column is of another type than the edges.

    Examples
    --------
    >>> from dpframe.plan import Column, Type
    >>> band = cut_expression(Column("age", "c0", Type.INTEGER), [0, 18, 99], ["minor", "adult"])
    >>> band.spark
    "(CASE WHEN c0 >= 0L AND c0 <= 99L THEN (CASE WHEN c0 <= 18L THEN 'minor' ELSE 'adult' END) END)"
    """
    points = _edges(edges, column.type)
    names = _labels(points, labels, right, include_both)
    _check(column, points)
    value = column_term(column)
    limits = [_point(column, point) for point in points]
    texts = [literal_term(name) for name in names]
    up_to, above = ("<=", ">") if right else ("<", ">=")
    inner = [edge.duckdb for edge in limits[1:-1]]
    duckdb = _tree(value.duckdb, up_to, inner, [text.duckdb for text in texts])
    inner, labels = [edge.spark for edge in limits[1:-1]], [text.spark for text in texts]
    few = len(names) <= FEW
    spark = _tree(value.spark, up_to, inner, labels) if few else _search(value.spark, above, inner, labels)
    lower = ">=" if include_both or not right else ">"
    upper = "<=" if include_both or right else "<"
    # NaN is above every number on both engines, so it falls outside, as null does.
    inside = f"{{0}} {lower} {{1}} AND {{0}} {upper} {{2}}"
    missing = is_missing(value)
    first = ("", "")
    if nan is not None:
        first = (
            f"WHEN {missing.spark} THEN {literal_term(nan).spark} ",
            f"WHEN {missing.duckdb} THEN {literal_term(nan).duckdb} ",
        )
    return Expression(
        f"cut({column.name}, {points[0]} to {points[-1]}, {len(names)} intervals)",
        Type.STRING,
        True,
        frozenset([column.ref]),
        f"(CASE {first[0]}WHEN {inside.format(value.spark, limits[0].spark, limits[-1].spark)} THEN {spark} END)",
        f"(CASE {first[1]}WHEN {inside.format(value.duckdb, limits[0].duckdb, limits[-1].duckdb)} THEN {duckdb} END)",
    )


def _tree(value: str, up_to: str, limits: Sequence[str], labels: Sequence[str]) -> str:
    """A balanced tree of comparisons; ``limits`` are the edges between neighbouring ``labels``."""
    if len(set(labels)) == 1:
        return labels[0]
    middle = len(labels) // 2
    lower = _tree(value, up_to, limits[: middle - 1], labels[:middle])
    upper = _tree(value, up_to, limits[middle:], labels[middle:])
    return f"(CASE WHEN {value} {up_to} {limits[middle - 1]} THEN {lower} ELSE {upper} END)"


def _search(value: str, above: str, limits: Sequence[str], labels: Sequence[str]) -> str:
    """Bisection as a loop, for Spark, whose compiler chokes on a tree of a thousand branches.

    ``k`` counts the limits that the value is above, in steps that halve; ``get`` past the end is null, which
    is not above.
    """
    steps = [str(1 << bit) for bit in reversed(range(len(limits).bit_length()))]
    test = f"{value} {above} get(array({', '.join(limits)}), k + s - 1)"
    count = f"aggregate(array({', '.join(steps)}), 0, (k, s) -> CASE WHEN {test} THEN k + s ELSE k END)"
    return f"get(array({', '.join(labels)}), {count})"


def _edges(edges: Iterable[object], type: Type | None) -> list[Edge]:
    if isinstance(edges, str) or not isinstance(edges, Iterable):
        raise ColumnTypeError(f"cut needs a list of edges, not {edges!r}. Write [0, 10, 20].")
    edges = [_plain(edge) for edge in edges]
    texts = [edge for edge in edges if isinstance(edge, str)]
    read = _moment if type is Type.TIMESTAMP else _edge
    points: list[Edge] = [*texts] if type is Type.STRING and len(texts) == len(edges) else [read(e) for e in edges]
    if len(points) < 2:
        raise BoundsError(f"cut needs at least two edges, not {len(points)}. Write [0, 10, 20].")
    if len({isinstance(point, datetime.date) for point in points}) > 1:
        raise ColumnTypeError("The edges of cut mix numbers and dates. Give it one kind.")
    for before, after in pairwise(points):
        if not before < after:  # type: ignore[operator]
            raise BoundsError(
                f"The edges of cut must increase: {after} follows {before}. Sort them, without repetition."
            )
    return points


def _plain(edge: object) -> object:
    """numpy's times as Python's, and NaT, which is no time, as null."""
    edge = edge.astype("datetime64[us]").item() if type(edge).__name__ == "datetime64" else edge  # type: ignore[attr-defined]
    return None if type(edge).__name__ == "NaTType" else edge


def _moment(edge: object) -> Edge:
    """An edge of timestamps: a time, or a date for its midnight, as it stands or written down."""
    if isinstance(edge, str):
        edge = timestamp_literal(edge).literal
    if not isinstance(edge, datetime.date):
        return _edge(edge)
    try:
        midnight = datetime.time()
        return in_utc(edge if isinstance(edge, datetime.datetime) else datetime.datetime.combine(edge, midnight))
    except OverflowError as error:
        raise BoundsError(f"The edge {edge} is not within years 1 to 9999 in UTC.") from error


def _edge(edge: object) -> Edge:
    if isinstance(edge, str):
        match = ISO_DATE.fullmatch(edge)
        try:
            if match is None:
                raise ValueError(edge)
            return datetime.date.fromisoformat(match[1])
        except ValueError as error:
            raise ColumnTypeError(
                f"The edge {edge!r} is neither a number nor a date. Write 10, 0.5 or '2024-02-29'."
            ) from error
    if isinstance(edge, datetime.datetime):
        if edge.tzinfo is None and edge.time() == datetime.time():
            return edge.date()
        raise ColumnTypeError(f"The edge {edge} has a time of day. Write its date: {edge.date().isoformat()!r}.")
    if isinstance(edge, datetime.date):
        return edge
    if isinstance(edge, bool) or type(edge).__name__ in ("bool_", "bool"):
        raise ColumnTypeError(f"The edge {edge} is a boolean. Write a number.")
    if hasattr(edge, "__index__"):
        return int(edge.__index__())
    if not hasattr(edge, "__float__"):
        raise ColumnTypeError(f"The edge {edge!r} is neither a number nor a date. Write 10, 0.5 or '2024-02-29'.")
    value = float(edge.__float__())
    if not math.isfinite(value):
        raise BoundsError(f"The edge {value} is not finite. Write the largest value that you expect.")
    return value + 0.0  # -0.0 becomes 0.0


def _check(column: Column, points: Sequence[Edge]) -> None:
    if column.type is Type.STRING and isinstance(points[0], str):
        return
    dates = isinstance(points[0], datetime.date)
    wanted = (Type.DATE, Type.TIMESTAMP) if dates else (Type.INTEGER, Type.FLOAT)
    if column.type not in wanted:
        number = "write unix_seconds(...)" if column.type is Type.TIMESTAMP else "cast it to bigint or double"
        fix = "cast it to a date" if dates else number
        raise ColumnTypeError(
            f"cut has {'dates' if dates else 'numbers'} as edges, and {column.name!r} is "
            f"{article(column.type)}. Give it edges of the column's type, or {fix} in .assign(...) first."
        )


def _point(column: Column, edge: Edge) -> Term:
    """The edge as a literal that compares with the column as the number itself would."""
    if isinstance(edge, datetime.date | str):
        return literal_term(edge)
    if column.type is Type.FLOAT:
        try:
            value = float(edge)
        except OverflowError as error:
            raise BoundsError("An edge is too large for a double, whose largest is about 1.8e308.") from error
        if value != edge:
            raise BoundsError(f"The edge {edge} is no double. Write {value!r}.")
        return literal_term(value)
    if not MIN_INTEGER <= edge <= MAX_INTEGER:
        raise BoundsError(f"The edge {edge} does not fit a 64-bit integer. Write {MAX_INTEGER} or less.")
    return literal_term(int(edge)) if edge == int(edge) else literal_term(float(edge))


def _labels(points: Sequence[Edge], labels: Sequence[str] | None, right: bool, include_both: bool) -> list[str]:
    if labels is not None:
        if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
            raise ExpressionError("The labels of cut must be a list of texts: labels=['low', 'high'].")
        if len(labels) != len(points) - 1:
            raise ExpressionError(
                f"cut has {len(points) - 1} intervals between {len(points)} edges, and {len(labels)} labels. "
                "Give it one label per interval."
            )
        return list(labels)
    names = _written(points)
    opening, closing = ("(", "]") if right else ("[", ")")
    intervals = [f"{opening}{a}, {b}{closing}" for a, b in pairwise(names)]
    if include_both and right:
        intervals[0] = "[" + intervals[0][1:]
    elif include_both:
        intervals[-1] = intervals[-1][:-1] + "]"
    return intervals


def _written(points: Sequence[Edge]) -> list[str]:
    """The edges as Python writes them; times as short as all of them allow."""
    times = [point for point in points if isinstance(point, datetime.datetime)]
    if any(time.microsecond for time in times):
        return [time.isoformat(" ", "microseconds") for time in times]
    if any(time.time() != datetime.time() for time in times):
        return [time.isoformat(" ", "seconds" if any(t.second for t in times) else "minutes") for time in times]
    days = [time.date() for time in times]
    return [p.isoformat() if isinstance(p, datetime.date) else repr(p) for p in days or points]
