"""Plain DuckDB, on a table in memory and on Parquet files."""

from __future__ import annotations

from pathlib import Path

import duckdb

from benchmarks.scale.stage import Prepared, main

COLUMNS = {"log": ("user", ["page", "country"]), "views": ("actor", ["project", "pageid", "country"])}


def _loaded(path: str, of: str) -> duckdb.DuckDBPyConnection:
    user, by = COLUMNS[of]
    engine = duckdb.connect(":memory:")
    engine.execute(f"CREATE TABLE rows AS SELECT {', '.join([user, *by])} FROM '{path}'")
    return engine


def plain(path: str, of: str) -> Prepared:
    """The groups' rows, with neither bounds nor noise."""
    by = ", ".join(COLUMNS[of][1])
    engine = _loaded(path, of)
    return Prepared(lambda: engine.execute(f"SELECT {by}, count(*) FROM rows GROUP BY {by}").to_arrow_table())


def bounded(path: str, of: str) -> Prepared:
    """The count with at most ten groups of each user, one row in each; no noise."""
    user, by = COLUMNS[of][0], ", ".join(COLUMNS[of][1])
    engine = _loaded(path, of)
    query = f"""
        SELECT {by}, count(*) FROM (
            SELECT {by} FROM (SELECT DISTINCT {user}, {by} FROM rows)
            QUALIFY row_number() OVER (PARTITION BY {user} ORDER BY hash({user}, {by})) <= 10
        ) GROUP BY {by}
    """
    return Prepared(lambda: engine.execute(query).to_arrow_table())


def scan(path: str) -> Prepared:
    """The groups' rows of files, with neither bounds nor noise."""
    engine = duckdb.connect(":memory:")
    files = f"{path}/*.parquet" if Path(path).is_dir() else path
    query = f"SELECT page, country, count(*) FROM '{files}' GROUP BY page, country"
    return Prepared(lambda: engine.execute(query).to_arrow_table())


if __name__ == "__main__":
    main({each.__name__: each for each in (plain, bounded, scan)})
