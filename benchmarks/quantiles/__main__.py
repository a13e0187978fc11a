"""Prints the rank error of several quantiles, of one list and one by one, and the time that releases take.

python -m benchmarks.quantiles
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pandas as pd

import dpframe as dp

ROUNDS = 100


def rank_error(rows: int, several: int, *, together: bool, epsilon: float = 1.0) -> float:
    """The mean error in per cent of the rows, the median over releases of log-normal values within 0 and 1000."""
    draw = np.random.default_rng(rows + several)
    parts = [(i + 1) / (several + 1) for i in range(several)]
    errors = []
    for _ in range(ROUNDS):
        values = np.sort(np.clip(draw.lognormal(3, 0.8, rows), 0, 1000))
        private = pd.DataFrame({"x": values}).dp.protect()
        if together:
            query = private.quantile("x", parts, 0, 1000)
        else:
            query = private.agg(**{f"q{at}": dp.quantile("x", part, 0, 1000) for at, part in enumerate(parts)})
        answer = query.release(epsilon=epsilon, budget=dp.Budget(epsilon=epsilon)).iloc[0].to_numpy()
        errors.append(np.abs(np.searchsorted(values, answer) / rows - parts).mean())
    return 100 * float(np.median(errors))


def seconds(query: Any) -> float:
    """The least time of three releases."""
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        query.release(epsilon=1, budget=dp.Budget(epsilon=1))
        times.append(time.perf_counter() - begin)
    return min(times)


def main() -> None:
    """Print both tables."""
    print("rows    quantiles  one list  one by one   (mean rank error in % of rows, epsilon=1)")
    for rows, several in [(300, 9), (1000, 3), (1000, 9), (1000, 19), (10_000, 9)]:
        pair = (rank_error(rows, several, together=together) for together in (True, False))
        print(f"{rows:<8}{several:<11}" + "".join(f"{error:<10.2f}" for error in pair))
    draw = np.random.default_rng(0)
    n = 1_000_000
    frame = pd.DataFrame({"x": draw.lognormal(3, 0.8, n), "n": draw.integers(0, 23, n), "g": draw.integers(0, 1000, n)})
    grouped = frame.dp.protect().groupby("g", keys=list(range(1000)))
    print("\nseconds of a release of 1,000,000 rows on pandas, 9 quantiles")
    parts = [at / 10 for at in range(1, 10)]
    print(f"all rows, all different      {seconds(frame.dp.protect().quantile('x', parts, 0, 1000)):.2f}")
    print(f"all rows, 23 integers        {seconds(frame.dp.protect().quantile('n', parts, 0, 22)):.2f}")
    print(f"1000 groups, all different   {seconds(grouped.quantile('x', parts, 0, 1000)):.2f}")


if __name__ == "__main__":
    main()
