"""The private chain: every step returns a new object, none reads data, and nothing shows rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dpframe import aggregates, steps
from dpframe.accounting import Budget
from dpframe.aggregates import Aggregate, Bounds, Histogram, Prepared, QuantileOf, Quantiles
from dpframe.beyond import Beyond
from dpframe.direct import Direct
from dpframe.errors import BoundsError, ColumnTypeError, KeysError, PlanError
from dpframe.expected import errors
from dpframe.explain import Shown, explanation
from dpframe.keys import Keys, for_columns, grouping
from dpframe.openbounds import release_open, widest
from dpframe.plan import Bound, Cut, GroupBound, Number, RowBound, Schema, Type, at_least_one, misnamed
from dpframe.query import Plan, Question
from dpframe.release import release
from dpframe.selection import release_found

Clipped = aggregates.SumOf | aggregates.Mean | aggregates.Variance | QuantileOf


@dataclass(frozen=True, repr=False, eq=False)
class PrivateFrame(Direct, Beyond, Shown):
    """A private table at some point of the chain: its schema, steps, unit and bounds; never its rows.

    Every method returns a new object. Begin with ``frame.dp.protect()``; end with ``.release(...)``.
    """

    source: Any = field(repr=False)
    plan: Plan

    @property
    def columns(self) -> list[str]:
        """The column names."""
        return [column.name for column in self.plan.schema]

    def filter(self, condition: str) -> PrivateFrame:
        """Keep the rows for which a SQL condition is true.

        Parameters
        ----------
        condition
            A scalar boolean expression in Spark's SQL dialect over the columns. It is total: what fails
            (a cast, a division by zero, an overflow) is null, and null is not true.

        Raises
        ------
        ExpressionError
            For aggregates, windows, sub-queries, ``rand()`` and whatever else is not scalar and deterministic.
        UnknownColumnError
            For a column that the frame does not have.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> private = pd.DataFrame({"age": [31, 45], "level": ["a", "b"]}).dp.protect()
        >>> private.filter("age >= 40 and level in ('a', 'b')").columns
        ['age', 'level']
        """
        return PrivateFrame(self.source, steps.keep(self.plan, condition))

    def assign(self, **columns: str | Cut) -> PrivateFrame:
        """Add or redefine columns, one after the other; a redefined one loses all that was known of it.

        Parameters
        ----------
        **columns
            Scalar SQL text in Spark's dialect, or :func:`dpframe.cut`, whose bins become default keys.

        Raises
        ------
        ExpressionError, UnknownColumnError
            As :meth:`filter`.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> private = pd.DataFrame({"age": [31, 45]}).dp.protect()
        >>> private.assign(band=dp.cut("age", [0, 40, 80]), months="age * 12").columns
        ['age', 'band', 'months']
        """
        plan = self.plan
        for name, value in columns.items():
            plan = steps.define(plan, name, value)
        return PrivateFrame(self.source, plan)

    def drop_null(self, *columns: str) -> PrivateFrame:
        """Keep the rows that have a value, neither null nor NaN, in every one of the columns; of none named, in all.

        Raises
        ------
        UnknownColumnError
            For a column that the frame does not have.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> pd.DataFrame({"age": [31.0, None]}).dp.protect().drop_null("age")
        PrivateFrame(age float)
          unit    one row
          filter  age is not null
        """
        return PrivateFrame(self.source, steps.drop_null(self.plan, steps.names("drop_null", columns)))

    def fill_null(self, **values: object) -> PrivateFrame:
        """Put values in the place of null and NaN; what is declared of the column stays where the value fits it.

        Parameters
        ----------
        **values
            A value of each column's own type. With none at all, every column but the id gets 0, ``False``, ``""`` or
            1970-01-01, a timestamp its midnight.

        Raises
        ------
        ColumnTypeError, UnknownColumnError
            For a value of another type, and for a column that the frame does not have.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> private = pd.DataFrame({"books": [3.0, None]}).dp.protect(bounds={"books": (0, 22)})
        >>> with dp.Budget.unlimited():
        ...     float(private.fill_null(books=0).mean("books").release()["books_mean"].iloc[0])
        1.5
        """
        return PrivateFrame(self.source, steps.fill_null(self.plan, values))

    def drop_inf(self, *columns: str) -> PrivateFrame:
        """Drop the rows with an infinity in any of the columns; of none named, in any float column. Missing stays.

        Raises
        ------
        ColumnTypeError, UnknownColumnError
            For a column that holds no numbers, or that the frame does not have.
        """
        return PrivateFrame(self.source, steps.drop_inf(self.plan, steps.names("drop_inf", columns)))

    def fill_inf(self, **pairs: tuple[Number, Number]) -> PrivateFrame:
        """Put finite numbers in the place of -inf and inf; what is declared of the column stays where they fit it.

        Parameters
        ----------
        **pairs
            Of each column, ``x=(0, 100)``. With none at all, the declared bounds of every float column that has them.

        Raises
        ------
        BoundsError, ColumnTypeError, UnknownColumnError
            For what is not two finite numbers in order, for a column without numbers, and for one that is not there.
        """
        return PrivateFrame(self.source, steps.fill_inf(self.plan, pairs))

    def select(self, *columns: str) -> PrivateFrame:
        """Keep the named columns, in that order. The privacy unit stays what it was.

        Raises
        ------
        UnknownColumnError
            For a column that the frame does not have.
        """
        return self._with(schema=self.plan.schema.keep(dict.fromkeys(steps.names("select", columns))))

    def rename(self, columns: Mapping[str, str]) -> PrivateFrame:
        """Rename columns; what is known of them stays.

        Raises
        ------
        UnknownColumnError
            For a column that the frame does not have.
        PlanError
            When two columns would share a name.
        """
        schema = self.plan.schema
        steps.mappings(columns=columns)
        for old in columns:
            schema[old]
        renamed = tuple(replace(column, name=columns.get(column.name, column.name)) for column in schema)
        bad = misnamed([column.name for column in renamed])
        if bad is not None:
            raise PlanError(f"After the rename {bad} would not be one column's name: choose another.")
        return self._with(schema=Schema(renamed, schema.width))

    def bound(
        self,
        groups: int | None = None,
        rows_per_group: int | None = None,
        *,
        rows: int | None = None,
        by: str | Iterable[str] | None = None,
    ) -> PrivateFrame:
        """Limit what one id contributes; the rows that stay are a keyed random choice among the id's rows.

        Parameters
        ----------
        groups, rows_per_group
            At most so many groups per id, and rows in each (L0 and L∞).
        rows
            At most so many rows per id in all (L1).
        by
            The columns whose groups are meant; None means the grouping of the query.

        Raises
        ------
        PlanError
            For numbers below 1, a mix of the two forms, or a frame whose unit is not an id.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> log = pd.DataFrame({"user": ["u", "v"], "page": ["a", "b"]})
        >>> log.dp.protect(id="user").bound(groups=10, rows_per_group=1)
        PrivateFrame(user string, page string)
          unit    all rows of one user
          bounds  at most 10 groups per id, 1 row per group
        """
        if self.plan.unit.id is None:
            raise PlanError("Bounds limit what one id contributes: protect(id=...) first. The unit here is rows.")
        if (rows is None) == (groups is None and rows_per_group is None):
            raise PlanError("Give .bound(groups=, rows_per_group=) or .bound(rows=): one of the two forms.")
        if rows is not None:
            if by is not None:
                raise PlanError("by= goes with groups= and rows_per_group=; rows= counts all rows of an id.")
            limit: Bound = RowBound(at_least_one(rows, "rows"))
        else:
            if groups is None or rows_per_group is None:
                raise PlanError("Give both groups= and rows_per_group=: either alone does not limit an id's rows.")
            names = None if by is None else steps.names("bound", (by,) if isinstance(by, str) else by)
            columns = None if names is None else tuple(self.plan.schema[name] for name in names)
            for column in columns or ():
                if column.type in (Type.TIMESTAMP, Type.OTHER, Type.FLOAT):
                    raise ColumnTypeError(f"{column.name!r} is {column.type.value} and cannot be grouped by.")
            limit = GroupBound(
                at_least_one(groups, "groups"), at_least_one(rows_per_group, "rows_per_group"), by=columns
            )
        return self._with(bounds=(*self.plan.bounds, limit))

    def groupby(self, *columns: str, keys: Any = None) -> GroupedFrame:
        """Group by text, integer, boolean or date columns.

        Parameters
        ----------
        keys
            :func:`dpframe.keys`, or what it takes: for a single column also a list of values, for several one of
            tuples. Columns that it leaves out use their declared keys: those of :func:`dpframe.cut` or of
            ``protect(keys=)``. Where a column has none, a release shows the groups that are large enough, for a delta.

        Raises
        ------
        KeysError
            For duplicate or float keys, and too many keys.
        ColumnTypeError
            For keys of another type than their column.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> private = pd.DataFrame({"level": ["a", "b", "a"]}).dp.protect()
        >>> with dp.Budget.unlimited():
        ...     private.groupby("level", keys=["a", "b", "c"]).count().release()
          level  count
        0     a      2
        1     b      1
        2     c      0
        """
        if not columns:
            raise PlanError("Name at least one column to group by, or aggregate the frame itself.")
        if len(set(steps.names("groupby", columns))) != len(columns):
            raise PlanError("A column is grouped by twice: name each once.")
        given = None if keys is None else for_columns(columns, keys)
        return GroupedFrame(self, columns, grouping(self.plan.schema, columns, given))

    def agg(self, *unnamed: Aggregate, share: Any = None, **named: Aggregate) -> Query:
        """Aggregates of all rows as one group; see :meth:`GroupedFrame.agg`."""
        return GroupedFrame(self, (), Keys(())).agg(*unnamed, share=share, **named)

    def _with(self, **changes: Any) -> PrivateFrame:
        return PrivateFrame(self.source, replace(self.plan, **changes))

    def __repr__(self) -> str:
        return str(self.plan)


@dataclass(frozen=True, repr=False, eq=False)
class GroupedFrame(Direct, Shown):
    """A private table grouped by columns with public keys."""

    frame: PrivateFrame
    by: tuple[str, ...]
    keys: Keys

    def agg(self, *unnamed: Aggregate, share: Any = None, **named: Aggregate) -> Query:
        """Several aggregates of each group in one release, sharing the statistics they have in common.

        Parameters
        ----------
        *unnamed, **named
            :func:`dpframe.count`, :func:`dpframe.mean` and others; the names are the answer's columns.
        share
            ``{"books": 2}``: of the release's cost, an answer's part is so many times that of one not named.

        Raises
        ------
        PlanError
            For no aggregate, two columns of one name, and whatever an aggregate asks that cannot be analysed.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> private = pd.DataFrame({"level": ["a", "b"], "books": [3, 5]}).dp.protect()
        >>> query = private.groupby("level", keys=["a", "b"]).agg(
        ...     readers=dp.count(), books=dp.mean("books", 0, 22)
        ... )
        >>> with dp.Budget(epsilon=1):
        ...     list(query.release(epsilon=1).columns)
        ['level', 'readers', 'books']
        """
        several: list[tuple[str, Any]] = [(getattr(a, "label", ""), a) for a in unnamed] + list(named.items())
        if hasattr(share, "prepare"):  # an answer of that name
            several, share = [*several, ("share", share)], None
        weights = {} if share is None else steps.shares(share, [name for name, _ in several])
        apart = [(name, a.each(name) if isinstance(a, Quantiles | Bounds) else [(name, a)]) for name, a in several]
        wanted = [(*one, weights.get(name)) for name, each in apart for one in each]
        if not wanted:
            raise PlanError("Name at least one aggregate, as in .agg(readers=dp.count()).")
        if len(wanted) == 1 and isinstance(histogram := wanted[0][1], Histogram):
            return self._binned(histogram).agg(**{wanted[0][0]: aggregates.count()})
        schema = self.frame.plan.schema
        bare = [each.column for _, each, _ in wanted if isinstance(each, Clipped) and each.low is each.high is None]
        sought = tuple(dict.fromkeys(name for name in bare if schema[name].bounds is None))
        schema = widest(schema, sought) if sought else schema
        answers: list[tuple[str, str, Prepared]] = []
        for name, aggregate, weight in wanted:
            if not hasattr(aggregate, "prepare"):
                raise PlanError(f".agg() takes aggregates such as dp.count(), not {aggregate!r} for {name!r}.")
            if name in self.by or name in (other for other, _, _ in answers):
                raise PlanError(f"Two columns of the answer would be called {name!r}: name one otherwise.")
            text, prepared = str(aggregate), aggregate.prepare(schema)
            if weight is not None:
                text, prepared = f"{text} at share {weight}", replace(prepared, part=prepared.part * weight)
            answers.append((name, text, prepared))
        asked = tuple(each for _, each, _ in wanted) if sought else ()
        question = Question(self.frame.plan, self.by, self.keys, tuple(answers), sought, asked)
        if question.finds and sought:
            raise BoundsError(f"A release that finds its groups finds no bounds: give {sought[0]!r} low and high.")
        return Query(self.frame.source, question)

    def groups(self) -> Query:
        """The keys of the groups alone, where none are public: a release is a frame of keys for :func:`dpframe.keys`.

        It shows smaller groups than one with counts, by a chance that grows with the units, or rows, in each.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> towns = pd.DataFrame({"town": ["Bern"] * 90 + ["Chur"]}).dp.protect().groupby("town").groups()
        >>> with dp.Budget(epsilon=1, delta=1e-6):
        ...     list(dp.keys(towns.release(epsilon=1, delta=1e-6)))
        [('Bern',)]
        """
        if len(self.keys.columns) == len(self.by):
            raise KeysError("These groups are public: nothing needs to be released to know them.")
        return Query(self.frame.source, Question(self.frame.plan, self.by, self.keys, ()))

    def _binned(self, histogram: Histogram) -> GroupedFrame:
        """The same groups, each by the bins of a histogram."""
        if histogram.bins in self.by:
            raise PlanError(f"There is a grouping column {histogram.bins!r}: name the bins, as in bins='interval'.")
        frame = self.frame.assign(**{histogram.bins: histogram.cut})
        return frame.groupby(*self.by, histogram.bins, keys=self.keys)

    def __repr__(self) -> str:
        keys = f"{len(self.keys):,} public keys" if len(self.keys.columns) == len(self.by) else "found in a release"
        return f"{self.frame!r}\n  groupby {', '.join(self.by)}: {keys}"


@dataclass(frozen=True, repr=False, eq=False)
class Query(Shown):
    """A question that can be explained and released. Reads nothing until :meth:`release`."""

    source: Any = field(repr=False)
    question: Question

    def explain(self, *, mechanism: str = "auto", at_least: object = None, **cost: object) -> None:
        """Print the plan, the sensitivities and the noise that a cost would give; reads no data, costs nothing.

        Cost and options are those of :meth:`release`. With ``at_least``, also how many cells noise would lift so far.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> private = pd.DataFrame({"level": ["a", "b"]}).dp.protect()
        >>> private.groupby("level", keys=["a", "b"]).count().explain(epsilon=0.5)
        count = count()
          unit    one row
          groups  2 public keys of level; rows of other groups are dropped
          noise of epsilon=0.5
            count of rows: discrete Laplace of scale 2, within ±6 at 95%; L1 sensitivity 1, share 1
        """
        print(explanation(self.question, at_least, mechanism, **cost))

    def error(self, *, mechanism: str = "auto", ci: float | None = None, rows: int | None = None, **cost: Any) -> Any:
        """What error to expect of each answer at a cost: a pandas frame, a row for each. Reads no data, is free.

        ``half_width`` is half of the interval that ``ci=`` gives, by default 0.95. That of a mean, variance or quantile
        depends on a group's rows: NaN, or with ``rows=`` that of so many, spread evenly over the bounds. ``ranks`` is
        by how many rows the rank of a quantile is typically off at most; metadata also have what is proven of any rows.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> private = pd.DataFrame({"books": [3, 5]}).dp.protect()
        >>> private.agg(n=dp.count(), b=dp.mean("books", 0, 22)).error(epsilon=1, rows=500)[["answer", "half_width"]]
          answer  half_width
        0      n    5.000000
        1      b    0.204453
        """
        return errors(self.question, mechanism, ci, rows, **cost).to_pandas()

    def release(
        self,
        *,
        epsilon: object = None,
        delta: object = None,
        rho: object = None,
        mu: object = None,
        mechanism: str = "auto",
        budget: Budget | None = None,
        ci: float | None = None,
        at_least: object = None,
        label: str = "",
        once: str | None = None,
    ) -> Any:
        """Charge the budget, read the data (twice, to find bounds first), add noise, and freeze the answer.

        Parameters
        ----------
        epsilon, delta, rho, mu
            The cost of this release, and so its noise: ε (discrete Laplace); ε and δ (whichever is less); ρ of
            zero-concentrated or μ of Gaussian differential privacy (rounded Gaussian). None with an unlimited budget.
        mechanism
            ``"laplace"`` or ``"gaussian"`` for that noise at this cost; ``"auto"`` is what stands beside each above.
        budget
            The budget to charge; None is the innermost ``with dp.Budget(...)`` block's.
        ci
            A confidence such as 0.95: every answer ``x`` but quantiles then comes with the ends of its interval, by
            the exact law of the noise, and ``x_reliable``: False if its rows, or a sum, are within their noise.
        at_least
            A positive number T in the answer's units: only cells whose *noisy* answer is at least T come out, at the
            cost of those alone, from any number of keys below 2**62. Among several answers ``{"readers": 40}`` names
            the count or sum that decides. None shows all cells, at most 50,000,000.
        label
            What the budget's history is to call it.
        once
            A key that stands for this release in the budget: asked again, the stored answer comes back bit for bit and
            costs nothing, whatever the data are by then. Any other release under the key is an :class:`OnceError`.

        Returns
        -------
        frame
            A frame of the source's kind: key columns, answers, one row per public key (with ``at_least``: per key that
            reaches it; without keys: per group that is shown), sorted by key. It never changes and carries its
            :class:`dpframe.ReleaseInfo` (``.dp.release_info()``).

        Raises
        ------
        BudgetError, MissingBoundError, KeysError, PlanError
            For a cost that is not valid, no budget or too little left of it; an id without a contribution bound; more
            than 50,000,000 cells, or groups without keys and no delta; an ``at_least`` that is no positive number, or
            an answer that cannot decide. Nothing is charged.
        DataPlaneError
            When the engine fails while reading. The charge stands.

        Examples
        --------
        >>> import pandas as pd, dpframe as dp
        >>> with dp.Budget(epsilon=1) as budget:
        ...     answer = pd.DataFrame({"books": [3, 5]}).dp.protect().mean("books", 0, 22).release(epsilon=0.3, ci=0.95)
        ...     budget.remaining
        0.7
        >>> list(answer.columns), answer.shape
        (['books_mean', 'books_mean_low', 'books_mean_high', 'books_mean_reliable'], (1, 4))
        """
        cost = {"epsilon": epsilon, "delta": delta, "rho": rho, "mu": mu}
        answer = release_found if self.question.finds else release_open if self.question.open else release
        options: dict[str, Any] = {"ci": ci, "at_least": at_least, "label": label, "once": once}
        return answer(self.source, self.question, cost, mechanism, budget=budget, **options)

    def __repr__(self) -> str:
        return explanation(self.question)
