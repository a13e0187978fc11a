"""Plain Polars, and OpenDP on Polars frames."""

from __future__ import annotations

import polars as pl

from benchmarks.scale import data
from benchmarks.scale.stage import Prepared, main

LOG = {"by": ["page", "country"], "user": "user"}
VIEWS = {"by": ["project", "pageid", "country"], "user": "actor"}


def _query(of: str) -> tuple[list[str], str]:
    query = LOG if of == "log" else VIEWS
    return list(query["by"]), str(query["user"])


def public(of: str, pages: int) -> pl.DataFrame:
    """The public keys: 300,000, or fewer of the page views."""
    countries = pl.DataFrame({"country": data.COUNTRIES})
    if of == "log":
        return pl.DataFrame({"page": data.PAGES}, schema={"page": pl.Int32}).join(countries, how="cross")
    schema = {"project": pl.String, "pageid": pl.Int64}
    return pl.DataFrame(data.view_pages()[:pages], schema=schema, orient="row").join(countries, how="cross")


def plain(path: str, of: str) -> Prepared:
    """The groups' rows, with neither bounds nor noise."""
    by, _ = _query(of)
    frame = pl.read_parquet(path, columns=by)
    return Prepared(lambda: frame.group_by(by).len(), frame.estimated_size())


def bounded(path: str, of: str) -> Prepared:
    """The count with at most ten groups of each user, one row in each; no noise."""
    by, user = _query(of)
    frame = pl.read_parquet(path, columns=[user, *by])

    def count() -> pl.DataFrame:
        pairs = frame.lazy().unique([user, *by]).with_columns(order=pl.struct(user, *by).hash(17))
        kept = pairs.filter(pl.col("order").rank("ordinal").over(user) <= 10)
        return kept.group_by(by).len().collect()

    return Prepared(count, frame.estimated_size())


def opendp(path: str, of: str, epsilon: float | None = None, rho: float | None = None, pages: int = 0) -> Prepared:
    """OpenDP. Its default way to bound groups fails, so it keeps the first ones: nine of each user, not ten.

    Keys come from a file: its search for the scale copies the plan at every step, and keys in memory with it, which
    makes minutes of seconds.
    """
    import opendp.prelude as dp

    dp.enable_features("contrib")
    by, user = _query(of)
    frame = pl.read_parquet(path, columns=[user, *by])
    public(of, pages).write_parquet("keys.parquet")
    keys = pl.scan_parquet("keys.parquet")
    loss = dp.loss_of(epsilon=epsilon) if rho is None else dp.loss_of(rho=rho)

    def release() -> pl.DataFrame:
        context = dp.Context.compositor(
            data=frame.lazy(),
            privacy_unit=dp.unit_of(contributions=1, identifier=pl.col(user)),
            privacy_loss=loss,
            split_evenly_over=1,
            margins=[dp.polars.Margin(max_length=len(frame))],
        )
        rows = context.query().truncate_per_group(1, by=by).truncate_num_groups(10, by=by, keep="first")
        return rows.group_by(by).agg(dp.len()).with_keys(keys).release().collect()

    return Prepared(release, frame.estimated_size())


if __name__ == "__main__":
    main({each.__name__: each for each in (plain, bounded, opendp)})
