"""The tables that the benchmarks read, made by fixed generators and kept as Parquet.

The same call gives the same rows everywhere: numpy's generator is seeded, because it invents the data. Nobody in
these tables exists. Rows are made in chunks, so that a table of any length needs little memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import pyarrow as pa

EDITION = 1
"""Counted up whenever a generator changes: tables of another edition are not read."""

CHUNK = 1_000_000
"""Rows of one chunk, and of one Parquet row group."""

PER_FILE = 5_000_000
ROWS_PER_USER = 10

ALL_PAGES = [7919 * page % 1_000_003 for page in range(1, 2_001)]
PAGES = [page for rank, page in enumerate(ALL_PAGES) if rank % 4 != 3]
"""The public ones, 1,500 of 2,000: the rows of every fourth page belong to no public group."""

COUNTRIES = [f"{chr(65 + code // 26)}{chr(65 + code % 26)}" for code in range(0, 600, 3)]
"""200 of them, so that public pages and countries make 300,000 groups."""

CODES = list(range(100, 100 + len(COUNTRIES)))
"""The countries as numbers, in the same order."""

SECONDS = (0, 600)
"""The bounds to which the time on a page is clipped."""

PROJECTS = [f"{language}.wikipedia" for language in ("en", "de", "fr", "es", "ja", "it", "pt", "pl")]
AGE_EDGES = list(range(0, 101, 10))

Integers = npt.NDArray[np.int64]


def scrambled(numbers: Integers) -> Integers:
    """Distinct numbers below 2⁴⁴ for distinct numbers below 2⁴⁴: ids are seldom 0, 1, 2, …"""
    return (numbers * 11_400_714_819_323 + 41) & ((1 << 44) - 1)


def zipf(generator: np.random.Generator, values: int, exponent: float, rows: int) -> Integers:
    """Ranks from 0, the r-th with a share ∝ r^-exponent."""
    shares = np.arange(1, values + 1) ** -exponent
    edges = np.cumsum(shares / shares.sum())
    return np.minimum(np.searchsorted(edges, generator.random(rows)), values - 1)


def log_chunk(rows: int, chunk: int, *, skew: bool) -> dict[str, npt.NDArray[np.generic]]:
    """Chunk number ``chunk`` of the log of ``rows`` rows: who looked at which page, from where, for how long.

    Ten rows a user on average, and some 1,000 for the busiest; most rows of a user are from one country. With
    ``skew`` a tenth of the rows belong to one user more, who wanders through all pages and countries.
    """
    n = min(CHUNK, rows - chunk * CHUNK)
    generator = np.random.default_rng((rows, chunk))
    users = max(1, rows // ROWS_PER_USER)
    user = (users * generator.random(n) ** 1.5).astype(np.int64)
    page = zipf(generator, len(ALL_PAGES), 1.05, n)
    home = zipf(np.random.default_rng(rows), len(COUNTRIES), 1.1, 65_536)
    country = home[(user * 40_503) & 65_535]
    away = generator.random(n) < 0.1
    country[away] = zipf(generator, len(COUNTRIES), 1.1, int(away.sum()))
    seconds = np.minimum(generator.lognormal(3.5, 1.2, n), 86_400).astype(np.int64)
    user = scrambled(user)
    if skew:
        one = generator.random(n) < 0.1
        user[one] = scrambled(np.array([users], np.int64))[0]
        country[one] = generator.integers(len(COUNTRIES), size=int(one.sum()))
        page[one] = generator.integers(len(ALL_PAGES), size=int(one.sum()))
    return {
        "user": user,
        "page": np.array(ALL_PAGES, np.int32)[page],
        "country": country,
        "code": np.array(CODES, np.int32)[country],
        "seconds": seconds,
    }


def views_chunk(rows: int) -> dict[str, npt.NDArray[np.generic]]:
    """Page views like Wikimedia's: project, page and country of everyone who looked, nine views a head."""
    generator = np.random.default_rng((rows, 9))
    views = np.maximum(1, np.round(generator.lognormal(np.log(9) - 0.6, 1.1, rows))).astype(np.int64)
    user = np.repeat(np.arange(rows), views)[:rows]
    home = zipf(generator, len(COUNTRIES), 1.1, rows)[user]
    country = np.where(generator.random(rows) < 0.9, home, zipf(generator, len(COUNTRIES), 1.1, rows))
    return {
        "actor": scrambled(user),
        "project": zipf(generator, len(ALL_PAGES), 1.05, rows),
        "country": country,
    }


def view_pages() -> list[tuple[str, int]]:
    """The (project, page) pairs of the page views; the first 1,500 are public."""
    return [(PROJECTS[rank * 5 % len(PROJECTS)], page) for rank, page in enumerate(ALL_PAGES)]


def sparse_chunk(cells: int, filled: int) -> dict[str, npt.NDArray[np.generic]]:
    """Rows in ``filled`` of ``cells`` cells: one each, and as many again that crowd into some of them."""
    generator = np.random.default_rng((cells, filled))
    rank = np.concatenate([np.arange(filled), (filled * generator.random(filled) ** 3).astype(np.int64)])
    cell = rank * 786_433 % cells  # a prime: another cell for every rank, as long as it does not divide `cells`
    side = int(cells**0.5)
    return {"item": cell // side, "region": cell % side}


def crowded_chunk(cells: int, chunk: int) -> dict[str, npt.NDArray[np.generic]]:
    """A chunk of rows that fill every one of ``cells`` cells: one row each."""
    n = min(CHUNK, cells - chunk * CHUNK)
    cell = (chunk * CHUNK + np.arange(n)) * 786_433 % cells
    return {"item": cell // 1_000, "region": cell % 1_000}


def log(directory: Path, rows: int, *, skew: bool = False) -> Path:
    """The log, as one file, or as a folder of files from 100 million rows on."""
    import pyarrow as pa

    countries = pa.array(COUNTRIES)

    def table(chunk: int) -> pa.Table:
        columns = log_chunk(rows, chunk, skew=skew)
        text = pa.DictionaryArray.from_arrays(pa.array(columns["country"].astype(np.int32)), countries).cast("string")
        return pa.table({**columns, "country": text})

    chunks = range(-(-rows // CHUNK))
    home = _home(directory) / f"log-{rows}{'-skew' if skew else ''}"
    if rows < 100_000_000:
        return _once(home.with_suffix(".parquet"), lambda: (table(chunk) for chunk in chunks))
    for first in range(0, len(chunks), PER_FILE // CHUNK):
        part = chunks[first : first + PER_FILE // CHUNK]
        _once(home / f"part-{first:05d}.parquet", lambda part=part: (table(chunk) for chunk in part))
    return home


def views(directory: Path, rows: int) -> Path:
    """The page views; ``place`` names project, page and country in one text, for peers that bound one column only."""
    import pyarrow as pa

    def table() -> pa.Table:
        columns, pages = views_chunk(rows), view_pages()
        project = [pages[page][0] for page in columns["project"]]
        pageid = [pages[page][1] for page in columns["project"]]
        country = [COUNTRIES[at] for at in columns["country"]]
        place = [f"{a} {b} {c}" for a, b, c in zip(project, pageid, country, strict=True)]
        return pa.table(
            {
                "actor": columns["actor"],
                "project": project,
                "pageid": pa.array(pageid, pa.int64()),
                "country": country,
                "place": place,
            }
        )

    return _once(_home(directory) / f"views-{rows}.parquet", lambda: iter([table()]))


def members(directory: Path) -> Path:
    """The library's members of ``dpframe demo``, in the columns that the query reads."""
    import pyarrow as pa

    from dpframe.demo_data import members

    def table() -> pa.Table:
        return pa.Table.from_pandas(members()[["id", "age", "education_level", "books_borrowed"]], preserve_index=False)

    return _once(_home(directory) / "members.parquet", lambda: iter([table()]))


def sparse(directory: Path, cells: int, filled: int) -> Path:
    """Rows that fill few cells of a large key set."""
    import pyarrow as pa

    return _once(
        _home(directory) / f"sparse-{cells}-{filled}.parquet", lambda: iter([pa.table(sparse_chunk(cells, filled))])
    )


def crowded(directory: Path, cells: int) -> Path:
    """Rows that fill every cell of a large key set."""
    import pyarrow as pa

    chunks = range(-(-cells // CHUNK))
    return _once(
        _home(directory) / f"crowded-{cells}.parquet",
        lambda: (pa.table(crowded_chunk(cells, chunk)) for chunk in chunks),
    )


def _home(directory: Path) -> Path:
    return directory / f"edition-{EDITION}"


def _once(path: Path, tables: Callable[[], Iterator[pa.Table]]) -> Path:
    """Write the tables as row groups of a file, unless it is there."""
    import pyarrow.parquet as pq

    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    writer = None
    for table in tables():
        writer = writer or pq.ParquetWriter(unfinished, table.schema)
        writer.write_table(table, row_group_size=CHUNK)
    assert writer is not None
    writer.close()
    unfinished.rename(path)
    return path
