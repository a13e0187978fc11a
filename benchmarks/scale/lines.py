"""What is measured: the lines of the table, who takes part in each, and what is asked of dpframe there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.scale import data

GROUPS = ("pandas", "spark", "peers", "keys", "scan")
"""What ``--only`` takes."""

DPFRAME, PANDAS, SPARK = "dpframe", "plain pandas", "plain Spark"
TUMULT = "Tumult Analytics"


@dataclass(frozen=True)
class Contender:
    """One case: a function of a module of ``cases``, in this environment or a peer's."""

    who: str
    module: str
    case: str
    options: Mapping[str, object] = field(default_factory=dict)
    peer: str | None = None


@dataclass(frozen=True)
class Bar:
    """At most so much of a measure: ``time`` and ``cpu`` against another contender, of this line or of another.

    ``columns`` is the memory that a release takes, with the columns it reads, in units of those columns; ``peak`` is
    all resident memory in GiB.
    """

    measure: str
    at_most: float
    against: str = ""
    line: str = ""


@dataclass(frozen=True)
class Line:
    """One piece of work, done by several. Ratios are to ``base``; the first two take turns, round by round."""

    name: str
    title: str
    groups: frozenset[str]
    table: Callable[[Path], Path]
    base: str
    contenders: tuple[Contender, ...]
    bars: tuple[Bar, ...] = ()
    rows: int = 0
    """Rows of the log, for the plot; 0 is another query."""

    big: bool = False


@dataclass(frozen=True)
class Sizes:
    """How much of everything."""

    log: int = 5_000_000
    big_log: int = 50_000_000
    scan: int = 200_000_000
    small_logs: tuple[int, ...] = (50_000, 500_000)
    views: int = 250_000
    pages: int = len(data.PAGES)
    """Public ones of the page views; times 200 countries."""

    cells: int = 100_000_000
    filled: int = 1_000_000
    at_least: int = 10
    """Of 99 million empty cells, about 3,300 get discrete Laplace noise of scale 1 that is as large."""

    crowded: int = 10_000_000


FULL = Sizes()
QUICK = Sizes(20_000, 40_000, 60_000, (5_000,), 5_000, 10, 1_000_000, 10_000, 10, 50_000)
"""Enough to see that every case runs, and no more."""


def lines(sizes: Sizes) -> list[Line]:
    """Every line of the table, in its order."""
    return [*_pandas(sizes), *_scan(sizes), *_spark(sizes), *_keys(sizes), *_peers(sizes), *_small(sizes)]


def _million(rows: int) -> str:
    return f"{rows / 1e6:g}M rows" if rows >= 1_000_000 else f"{rows:,} rows"


def _log(
    name: str,
    title: str,
    rows: int,
    *bars: Bar,
    skew: bool = False,
    country: str = "country",
    agg: str = "count",
    big: bool = False,
) -> Line:
    options = {"country": country, "agg": agg}
    return Line(
        name,
        f"pandas, {_million(rows)}, {title}",
        frozenset({"pandas"}),
        partial(data.log, rows=rows, skew=skew),
        PANDAS,
        (
            Contender(DPFRAME, "with_pandas", "release_log", options),
            Contender(PANDAS, "with_pandas", "plain_log", options),
        ),
        bars,
        rows if name in ("pandas", "pandas-big") else 0,
        big,
    )


def _pandas(sizes: Sizes) -> list[Line]:
    time = Bar("time", 1.5, PANDAS)
    big = (
        Bar("time", 1.2, PANDAS),
        Bar("time", 11, DPFRAME, "pandas"),
        Bar("columns", 3),
    )
    return [
        _log("pandas", "count", sizes.log, time),
        _log("pandas-skew", "count, one user has 10 %", sizes.log, time, skew=True),
        _log("pandas-integers", "count, country as a number", sizes.log, time, country="code"),
        _log("pandas-all", "count, sum and mean", sizes.log, time, agg="all"),
        _log("pandas-big", "count", sizes.big_log, *big, big=True),
        _log("pandas-big-skew", "count, one user has 10 %", sizes.big_log, *big[::2], skew=True, big=True),
    ]


def _scan(sizes: Sizes) -> list[Line]:
    options = {"country": "country", "agg": "count"}
    scanning = (
        Contender(DPFRAME, "with_pandas", "scan_log", options),
        Contender("plain DuckDB", "with_duckdb", "scan", peer="duckdb"),
    )
    return [
        Line(
            name,
            f"dp.scan, {_million(rows)}, count",
            frozenset({"scan"}),
            partial(data.log, rows=rows),
            "plain DuckDB",
            scanning,
            (Bar("peak", 4),),
            0,
            big,
        )
        for name, rows, big in (("scan", sizes.log, False), ("scan-big", sizes.scan, True))
    ]


def _spark(sizes: Sizes) -> list[Line]:
    log = (Contender(DPFRAME, "with_spark", "release_log"), Contender(SPARK, "with_spark", "plain_log"))
    found = [
        Line(
            f"spark{'-big' * big}{'-skew' * skew}",
            f"Spark, {_million(rows)}, count{', one user has 10 %' * skew}",
            frozenset({"spark"}),
            partial(data.log, rows=rows, skew=skew),
            SPARK,
            log,
            (Bar("time", most, SPARK),),
            0 if skew else rows,
            big,
        )
        for rows, most, big in ((sizes.log, 1.8, False), (sizes.big_log, 1.5, True))
        for skew in (False, True)
    ]
    crowded = {"cells": sizes.crowded}
    members = Line(
        "members",
        "Spark, members, mean by age band",
        frozenset({"spark", "peers"}),
        data.members,
        SPARK,
        (
            Contender(DPFRAME, "with_spark", "release_members"),
            Contender(SPARK, "with_spark", "plain_members"),
            Contender(TUMULT, "with_tumult", "members", peer="tumult"),
        ),
        (Bar("time", 2, SPARK), Bar("time", 1 / 15, TUMULT)),
    )
    many = Line(
        "crowded",
        f"Spark, {sizes.crowded:,} released groups; the plain ones are written",
        frozenset({"spark"}),
        partial(data.crowded, cells=sizes.crowded),
        SPARK,
        (
            Contender(DPFRAME, "with_spark", "release_crowded", crowded | {"written": False}),
            Contender(SPARK, "with_spark", "plain_crowded"),
            Contender("dpframe, and written", "with_spark", "release_crowded", crowded | {"written": True}),
        ),
        (Bar("time", 2.5, SPARK),),
    )
    return [*found, members, many]


def _keys(sizes: Sizes) -> list[Line]:
    options = {"cells": sizes.cells, "at_least": sizes.at_least}
    title = f"{sizes.cells:,} keys, {sizes.filled:,} not empty, at_least={sizes.at_least}"
    noise = "noise on every cell, by hand"
    every = "dpframe, every cell"
    all_cells = options | {"at_least": None}

    def line(engine: str, name: str, dense: str, *more: Contender) -> Line:
        return Line(
            f"keys-{engine}",
            f"{name}, {title}",
            frozenset({"keys"}),
            partial(data.sparse, cells=sizes.cells, filled=sizes.filled),
            dense,
            (
                Contender(DPFRAME, f"with_{engine}", "release_sparse", options),
                Contender(noise, f"with_{engine}", "dense_sparse", options),
                *more,
            ),
            (Bar("time", 1 / 25, dense),),
        )

    return [
        line("pandas", "pandas", every, Contender(every, "with_pandas", "release_sparse", all_cells)),
        line("spark", "Spark", noise),
    ]


def _peers(sizes: Sizes) -> list[Line]:
    pages = {"pages": sizes.pages}
    pure = pages | {"epsilon": 2}
    views = Line(
        "views",
        f"page views, {_million(sizes.views)}, {sizes.pages * len(data.COUNTRIES):,} keys, count",
        frozenset({"spark", "peers"}),
        partial(data.views, rows=sizes.views),
        SPARK,
        (
            Contender("dpframe on Spark", "with_spark", "release_views", pages),
            Contender(SPARK, "with_spark", "plain_views"),
            Contender("dpframe on pandas", "with_pandas", "release_views", pages),
            Contender(PANDAS, "with_pandas", "plain_views"),
            Contender(TUMULT, "with_tumult", "views", pages, peer="tumult"),
            Contender("OpenDP with Polars", "with_polars", "opendp", {"of": "views", "rho": 0.43} | pages, "opendp"),
            Contender("PipelineDP, ε=2", "with_pipelinedp", "views", pure, "pipelinedp"),
            Contender("diffprivlib, ε=2", "with_diffprivlib", "views", pure, "diffprivlib"),
            Contender("plain Polars", "with_polars", "plain", {"of": "views"}, "polars"),
            Contender("plain DuckDB", "with_duckdb", "plain", {"of": "views"}, "duckdb"),
        ),
        (Bar("cpu", 1 / 20, TUMULT),),
    )
    return [views, _everybody("peers", sizes.log, frozenset({"peers"}))]


def _small(sizes: Sizes) -> list[Line]:
    """Smaller logs, for the plot."""
    found = []
    for rows in sizes.small_logs:
        line = _everybody(f"peers-{rows}", rows, frozenset({"peers"}))
        spark = (
            Contender("dpframe on Spark", "with_spark", "release_log"),
            Contender(SPARK, "with_spark", "plain_log"),
        )
        found.append(Line(line.name, line.title, line.groups, line.table, PANDAS, line.contenders + spark, (), rows))
    return found


def _everybody(name: str, rows: int, groups: frozenset[str]) -> Line:
    options = {"country": "country", "agg": "count"}
    return Line(
        name,
        f"the log, {_million(rows)}, count, beside others",
        groups,
        partial(data.log, rows=rows),
        PANDAS,
        (
            Contender(DPFRAME, "with_pandas", "release_log", options),
            Contender(PANDAS, "with_pandas", "plain_log", options),
            Contender("pandas, bounded by hand", "with_pandas", "bounded_log", options),
            Contender("plain Polars", "with_polars", "plain", {"of": "log"}, "polars"),
            Contender("Polars, bounded by hand", "with_polars", "bounded", {"of": "log"}, "polars"),
            Contender("plain DuckDB", "with_duckdb", "plain", {"of": "log"}, "duckdb"),
            Contender("DuckDB, bounded by hand", "with_duckdb", "bounded", {"of": "log"}, "duckdb"),
            Contender("OpenDP with Polars", "with_polars", "opendp", {"of": "log", "epsilon": 1}, "opendp"),
        ),
        (),
        rows,
    )
