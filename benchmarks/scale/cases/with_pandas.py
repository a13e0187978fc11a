"""dpframe on pandas frames and on files, and plain pandas."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

import dpframe as dp
from benchmarks.scale import data
from benchmarks.scale.stage import Prepared, main
from dpframe import kernels, release

MUCH = 10**9
"""A budget that never ends, so that rounds can be repeated."""


def read(path: str, *columns: str) -> pd.DataFrame:
    """Columns of a Parquet file, with no other copy left behind."""
    return pq.read_table(path, columns=list(columns)).to_pandas(split_blocks=True, self_destruct=True)


def size(frame: pd.DataFrame) -> int:
    """Bytes of its columns; of text, the eight bytes that a row takes, not the words, which rows share."""
    return int(frame.memory_usage(index=False, deep=False).sum())


def keys(country: str) -> dp.Keys:
    """Public pages × countries: 300,000 keys, in two factors."""
    values = data.COUNTRIES if country == "country" else data.CODES
    return dp.keys({"page": data.PAGES}) * dp.keys({country: values})


def aggregates(agg: str) -> dict[str, Any]:
    """The answers: ``count``, or ``all`` three of one column."""
    count = {"n": dp.count()}
    return (
        count
        if agg == "count"
        else count
        | {
            "total": dp.sum("seconds", *data.SECONDS),
            "average": dp.mean("seconds", *data.SECONDS),
        }
    )


def query(frame: Any, country: str, agg: str) -> Any:
    """The log's query: at most ten groups of each user, one row in each."""
    private = frame.dp.protect(id="user").bound(groups=10, rows_per_group=1)
    return private.groupby("page", country, keys=keys(country)).agg(**aggregates(agg))


def release_log(path: str, country: str, agg: str) -> Prepared:
    """dpframe on the log."""
    measures = [] if agg == "count" else ["seconds"]
    frame = read(path, "user", "page", country, *measures)
    budget = dp.Budget(epsilon=MUCH)
    return Prepared(lambda: query(frame, country, agg).release(epsilon=1, budget=budget), size(frame))


def plain_log(path: str, country: str, agg: str) -> Prepared:
    """The same groups in plain pandas, with neither bounds nor noise."""
    measures = [] if agg == "count" else ["seconds"]
    frame = read(path, "page", country, *measures)
    if agg == "count":
        return Prepared(lambda: frame.groupby(["page", country]).size(), size(frame))
    wanted = {"n": ("seconds", "size"), "total": ("seconds", "sum"), "average": ("seconds", "mean")}
    return Prepared(lambda: frame.groupby(["page", country]).agg(**wanted), size(frame))


def bounded_log(path: str, country: str, agg: str) -> Prepared:
    """The count with the same bounds, as one writes it in plain pandas by hand; no noise."""
    frame = read(path, "user", "page", country)

    def bounded() -> pd.Series:
        pairs = frame.drop_duplicates()
        order = pd.util.hash_pandas_object(pairs, index=False, hash_key="0123456789abcdef")
        kept = pairs.assign(order=order).sort_values(["user", "order"])
        kept = kept[kept.groupby("user", sort=False).cumcount() < 10]
        return kept.groupby(["page", country]).size()

    return Prepared(bounded, size(frame))


def scan_log(path: str, country: str, agg: str) -> Prepared:
    """dpframe on the log's files, without ever holding them."""
    files = f"{path}/*.parquet" if Path(path).is_dir() else path
    budget = dp.Budget(epsilon=MUCH)
    return Prepared(lambda: query(dp.scan(files), country, agg).release(epsilon=1, budget=budget))


def release_views(path: str, pages: int) -> Prepared:
    """dpframe on the page views, zero-concentrated."""
    frame = read(path, "actor", "project", "pageid", "country")
    budget = dp.Budget(rho=MUCH)
    public = dp.keys(pd.DataFrame(data.view_pages()[:pages], columns=["project", "pageid"]))
    places = public * dp.keys({"country": data.COUNTRIES})
    private = frame.dp.protect(id="actor").bound(groups=10, rows_per_group=1)
    count = private.groupby("project", "pageid", "country", keys=places).count()
    return Prepared(lambda: count.release(rho="0.43", budget=budget), size(frame))


def plain_views(path: str) -> Prepared:
    """The same groups in plain pandas."""
    frame = read(path, "project", "pageid", "country")
    return Prepared(lambda: frame.groupby(["project", "pageid", "country"]).size(), size(frame))


def release_sparse(path: str, cells: int, at_least: int | None) -> Prepared:
    """dpframe on a key set that is mostly empty, with a least answer, or None for a row of every cell."""
    frame = read(path, "item", "region")
    budget = dp.Budget(epsilon=MUCH)
    side = int(cells**0.5)
    public = dp.keys({"item": range(side)}) * dp.keys({"region": range(side)})
    count = frame.dp.protect().groupby("item", "region", keys=public).count()
    if at_least is None:
        release.MOST_CELLS = cells  # more than the product allows: what at_least is there to avoid
        return Prepared(lambda: count.release(epsilon=1, budget=budget), size(frame))
    return Prepared(lambda: count.release(epsilon=1, at_least=at_least, budget=budget), size(frame))


def dense_sparse(path: str, cells: int, at_least: int) -> Prepared:
    """Noise on every cell of that key set by dpframe's kernels, and the cells that reach the least answer."""
    frame = read(path, "item", "region")
    side = int(cells**0.5)

    def dense() -> pd.DataFrame:
        cell = frame["item"].to_numpy() * side + frame["region"].to_numpy()
        counts = np.bincount(cell, minlength=cells)
        noisy = kernels.discrete_laplace(cells, 1.0)
        noisy += counts
        kept = np.flatnonzero(noisy >= at_least)
        return pd.DataFrame({"item": kept // side, "region": kept % side, "count": noisy[kept]})

    return Prepared(dense, size(frame))


if __name__ == "__main__":
    main(
        {
            each.__name__: each
            for each in (
                *(release_log, plain_log, bounded_log, scan_log, release_views, plain_views),
                *(release_sparse, dense_sparse),
            )
        }
    )
