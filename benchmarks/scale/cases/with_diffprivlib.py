"""diffprivlib: bounds and counts by hand in pandas, noise on one value a call. Nothing accounts for the bounds."""

from __future__ import annotations

import pandas as pd
import pyarrow.parquet as pq
from diffprivlib.mechanisms import Geometric

from benchmarks.scale import data
from benchmarks.scale.stage import Prepared, main


def views(path: str, pages: int, epsilon: float) -> Prepared:
    """Count by project, page and country, ten groups of each user, one row in each."""
    by = ["project", "pageid", "country"]
    frame = pq.read_table(path, columns=["actor", *by]).to_pandas()
    public = pd.DataFrame(data.view_pages()[:pages], columns=["project", "pageid"])
    keys = pd.MultiIndex.from_frame(public.merge(pd.DataFrame({"country": data.COUNTRIES}), how="cross"))

    def count() -> pd.Series:
        pairs = frame.drop_duplicates().sample(frac=1)
        kept = pairs[pairs.groupby("actor", sort=False).cumcount() < 10]
        counts = kept.groupby(by).size().reindex(keys, fill_value=0)
        mechanism = Geometric(epsilon=epsilon, sensitivity=10)
        return pd.Series([mechanism.randomise(int(value)) for value in counts.to_numpy()], index=keys)

    return Prepared(count)


if __name__ == "__main__":
    main({"views": views})
