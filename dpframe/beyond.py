"""Beyond SQL: joins, Python functions and parts of a private table, as methods of the chain."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from dpframe import functions, joins, parts
from dpframe.backends import backend_of
from dpframe.errors import FrameError
from dpframe.plan import Value, at_least_one
from dpframe.query import Plan

Frame = TypeVar("Frame", bound="Beyond")

Schema = Mapping[str, Any]
"""The columns that a function returns: a type each, or a type and what stands where the function fails."""


class Beyond:
    """Steps that bring in a second table or a function, and the parts of a table."""

    source: Any
    plan: Plan

    def join_public(self: Frame, table: Any, on: str | Iterable[str] | None = None, how: str = "inner") -> Frame:
        """Put the columns of a public table beside every row. A row is repeated for each row of the table that matches.

        Parameters
        ----------
        table
            A *public* pandas, Spark or Arrow table, small enough to be held in memory.
        on
            The columns that must be equal, nulls too; None is every name that both have. Other names that both have
            get ``_left`` and ``_right``.
        how
            ``inner``, or ``left``: rows without a match stay, with null in the new columns.

        Notes
        -----
        Where rows are protected, the noise grows with the largest multiplicity of a key in the table; where ids are, it
        does not, for their bounds count the rows that come out of all steps. The table's values are public keys of its
        columns, unless there are more than 100,000.

        Raises
        ------
        FrameError, UnknownColumnError, ColumnTypeError, PlanError
            For what is no table, for keys that are missing or of other types, and for names that would be twice.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> visits, towns = pd.DataFrame({"zip": [1, 1, 2]}), pd.DataFrame({"zip": [1, 2], "land": ["CH", "LI"]})
        >>> visits.dp.protect().join_public(towns)
        PrivateFrame(zip integer, land string)
          unit    one row
          join    inner, 1 public columns by zip; one row becomes at most 1
        """
        return self._then(joins.join_public(self.plan, table, on, how))

    def join(
        self: Frame,
        other: Frame,
        on: str | Iterable[str] | None = None,
        how: str = "inner",
        *,
        max_matches: tuple[int | str, int | str] | None = None,
        unique: bool = False,
    ) -> Frame:
        """Every row with every row of another private table that has the same key.

        Parameters
        ----------
        other
            A private table on the same engine, protected by the same kind of unit: rows both, or ids of one space both.
        on
            The columns that must be equal, nulls too; None is every name that both have. Of ids, the id is one of them.
            Other names that both have get ``_left`` and ``_right``.
        how
            ``inner``, and nothing else: private joins keep the rows that match.
        max_matches
            How many rows of a key stay of this table and of the other, before they meet: needed where rows are
            protected, and where ids are a limit to the work. Which ones, a keyed hash of each row decides, drawn anew
            for every release. ``"unique"`` on a side: only keys with a single row there stay, which moves fewer rows
            than 1.
        unique
            Instead: ``"unique"`` on both sides, at half the noise of ``max_matches=(1, 1)``.

        Notes
        -----
        The unit is then one row of each table (k and j rows where units are larger): with ``max_matches=(m, n)`` it
        moves 2·(k·n + j·m) rows, with ``(m, "unique")`` 2·k + j·m, with ``unique`` k + j. Of ids, whatever stays is one
        id's, and ``.bound()`` limits what one id has after the join; bounds of both tables hold then.

        Raises
        ------
        FrameError, UnknownColumnError, ColumnTypeError, PlanError
            For what is no private table of the same engine and unit, and for keys that cannot be joined on.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> loans = pd.DataFrame({"book": [1, 1, 2]}).dp.protect()
        >>> books = pd.DataFrame({"book": [1, 2], "author": ["a", "b"]}).dp.protect()
        >>> joined = loans.join(books, max_matches=(3, 1))
        >>> joined.columns, joined.plan.moves.rows
        (['book', 'author'], 8)
        """
        if not isinstance(other, Beyond):
            raise FrameError(
                f".join() takes another private table, as from other.dp.protect(), not {type(other).__qualname__}; "
                "a public one goes to .join_public()."
            )
        if backend_of(self.source) is not backend_of(other.source) or _session(self.source) != _session(other.source):
            raise FrameError(".join() takes a table of the same engine and session: make one frame like the other.")
        return self._then(joins.join(self.plan, other.plan, other.source, on, how, max_matches, unique))

    def map(self: Frame, function: Callable[[dict[str, Any]], Any], schema: Schema, *, augment: bool = False) -> Frame:
        """Call a Python function on every row, and go on with the row that it returns.

        Parameters
        ----------
        function
            From a dict of a row's values (``None`` for what is missing) to a dict with every column of ``schema``. It
            must be deterministic and look at nothing but its argument.
        schema
            The columns that it returns: ``int``, ``float``, ``bool``, ``str``, ``datetime.date`` or
            ``datetime.datetime``, or such a type with a default, as in ``{"words": (int, 0)}``.
        augment
            Whether all columns stay beside those of ``schema``; else only an id does.

        Notes
        -----
        A function that raises, leaves out a column or returns a value of another type gives the defaults for that row,
        or null where there are none: never an error, a message or a log. Timestamps have no zone: they are in UTC where
        the column, or the value that is returned, has one.

        Raises
        ------
        PlanError, ColumnTypeError
            For what is no function or schema, and for a function that Spark cannot send to its executors.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> private = pd.DataFrame({"title": ["The Waves", None]}).dp.protect()
        >>> words = private.map(lambda row: {"words": len(row["title"].split())}, {"words": (int, 0)})
        >>> with dp.Budget.unlimited():
        ...     int(words.sum("words", 0, 9).release()["words_sum"].iloc[0])
        2
        """
        return self._call(function, schema, call="map", most=1, augment=augment)

    def flat_map(
        self: Frame,
        function: Callable[[dict[str, Any]], Iterable[Any]],
        schema: Schema,
        max_rows: int,
        *,
        augment: bool = False,
    ) -> Frame:
        """Call a Python function on every row, and go on with the rows that it returns.

        Parameters
        ----------
        function, schema, augment
            As for :meth:`map`, but the function returns a list of dicts, or yields them.
        max_rows
            How many at most. A call that returns more gives one row of the defaults, as any other failure does. Where
            rows are protected, the noise grows with it.

        Raises
        ------
        PlanError, ColumnTypeError
            As :meth:`map`.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> private = pd.DataFrame({"title": ["The Waves"]}).dp.protect()
        >>> words = private.flat_map(lambda row: [{"word": w} for w in row["title"].split()], {"word": str}, max_rows=8)
        >>> words
        PrivateFrame(word string)
          unit    one row
          map     flat_map(<lambda>), 1 columns; one row becomes at most 8
        """
        return self._call(function, schema, call="flat_map", most=at_least_one(max_rows, "max_rows"), augment=augment)

    def flat_map_by_id(self: Frame, function: Callable[[list[dict[str, Any]]], Iterable[Any]], schema: Schema) -> Frame:
        """Call a Python function on all rows of each id together, and go on with the rows that it returns.

        Parameters
        ----------
        function, schema
            As for :meth:`flat_map`, but the function takes a list of dicts, sorted by their values, and may return any
            number of them: ``.bound()`` limits what one id has afterwards. The id stays beside what it returns.

        Raises
        ------
        PlanError, ColumnTypeError
            As :meth:`map`, and where rows are protected.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> log = pd.DataFrame({"user": ["u", "u", "v"], "page": ["a", "b", "a"]}).dp.protect(id="user")
        >>> visits = log.flat_map_by_id(lambda rows: [{"pages": len({row["page"] for row in rows})}], {"pages": int})
        >>> with dp.Budget.unlimited():
        ...     int(visits.bound(rows=1).sum("pages", 0, 9).release()["pages_sum"].iloc[0])
        3
        """
        return self._call(function, schema, call="flat_map_by_id", most=1)

    def partition(self: Frame, column: str, values: Iterable[object] | None = None) -> dict[Value, Frame]:
        """Parts of the table that together cost what the dearest of them does, not their sum.

        Parameters
        ----------
        column
            A text, integer, boolean or date column.
        values
            Its public values, one part for each; rows of any other are in no part. None is the declared ones.

        Returns
        -------
        dict
            From value to private table. Releases of the parts, of each any number and in any order, are charged to the
            ambient budget as far as they raise the largest sum of any part.

        Notes
        -----
        An id may have rows in several parts. Its bounds say of how many: with ``.bound(groups=2, rows_per_group=5,
        by="region")`` rows of two regions of each id stay, chosen once, and the two dearest parts are charged.

        Raises
        ------
        UnknownColumnError, ColumnTypeError, KeysError
            For a column that is missing or cannot be grouped by, and for values that are not public keys of it.
        MissingBoundError
            For an id without a bound.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> private = pd.DataFrame({"region": ["a", "b", "a"]}).dp.protect()
        >>> with dp.Budget(epsilon=1) as budget:
        ...     parts = private.partition("region", ["a", "b"])
        ...     counts = {region: part.count().release(epsilon=0.5) for region, part in parts.items()}
        ...     budget.spent
        0.5
        """
        found = parts.partition(self.plan, column, values)
        return {value: self._then(plan) for value, plan in found.items()}

    def _call(self: Frame, function: Callable[[Any], Any], schema: Schema, **how: Any) -> Frame:
        plan = functions.called(self.plan, function, schema, **how)
        backend_of(self.source).sends(function)
        return self._then(plan)

    def _then(self: Frame, plan: Plan) -> Frame:
        return replace(self, plan=plan)  # type: ignore[type-var]


def _session(frame: Any) -> Any:
    """The Spark session of a frame, if it has one."""
    return getattr(frame, "sparkSession", None) if type(frame).__module__.startswith("pyspark") else None
