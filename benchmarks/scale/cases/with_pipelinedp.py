"""PipelineDP on its local engine: rows are Python tuples, partitions a list."""

from __future__ import annotations

import operator
from itertools import product

import pipeline_dp
import pyarrow.parquet as pq

from benchmarks.scale import data
from benchmarks.scale.stage import Prepared, main


def views(path: str, pages: int, epsilon: float) -> Prepared:
    """Count by project, page and country, ten partitions of each user, one row in each."""
    columns = pq.read_table(path, columns=["actor", "project", "pageid", "country"]).to_pydict()
    places = zip(columns["project"], columns["pageid"], columns["country"], strict=True)
    rows = list(zip(columns["actor"], places, strict=True))
    public = [(*page, country) for page, country in product(data.view_pages()[:pages], data.COUNTRIES)]
    return Prepared(lambda: _count(rows, public, epsilon))


def _count(rows: list[tuple[int, tuple[str, int, str]]], public: list[tuple[str, int, str]], epsilon: float) -> object:
    accountant = pipeline_dp.NaiveBudgetAccountant(total_epsilon=epsilon, total_delta=0)
    engine = pipeline_dp.DPEngine(accountant, pipeline_dp.LocalBackend())
    parameters = pipeline_dp.AggregateParams(
        noise_kind=pipeline_dp.NoiseKind.LAPLACE,
        metrics=[pipeline_dp.Metrics.COUNT],
        max_partitions_contributed=10,
        max_contributions_per_partition=1,
    )
    extractors = pipeline_dp.DataExtractors(
        privacy_id_extractor=operator.itemgetter(0),
        partition_extractor=operator.itemgetter(1),
        value_extractor=lambda row: 0,
    )
    answers = engine.aggregate(rows, parameters, extractors, public_partitions=public)
    accountant.compute_budgets()
    return list(answers)


if __name__ == "__main__":
    main({"views": views})
