"""Attacks on what is released: no event, down to the last bit of an answer, tells neighbours apart better than claimed.

An attack draws many answers for each of two neighbours. Half of them choose the event that tells the two apart best,
among thresholds, single values, and events of low bits such as "near zero and no multiple of 2^-g" (Mironov, *On
significance of the least significant bits for differential privacy*, CCS 2012). The other half certify, by Clopper and
Pearson's confidence limits, how much privacy is lost at least. As the event was chosen before they are looked at, a
mechanism that keeps its claim fails with a chance of at most ``ALPHA`` an attack: three hundred attacks in each of a
thousand runs a year raise a false alarm every 3,000 years. A pass is no certificate: rare events stay unseen.

Each group of one release is a run of its own, because neighbours move one group alone here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

import dpframe as dp

ALPHA = 1e-9
N = 100_000
"""Draws a side: enough to certify .93 of a true ε of 1, and to see a scale that is a sixth too small."""
MANY = 1_000_000
FEW = 20_000

Draws = np.ndarray
Event = Callable[[Draws], np.ndarray]
Score = Callable[[np.ndarray, np.ndarray], np.ndarray]


def lowest_bit(y: Draws) -> np.ndarray:
    """The largest e for which y is a multiple of 2^e; 2000 for zero, a multiple of everything."""
    mantissa, exponent = np.frexp(y)
    whole = (mantissa * 2.0**53).astype(np.int64)
    bit = np.frexp((whole & -whole).astype(float))[1] - 1
    return np.where(y == 0, 2000, exponent - 53 + bit)


def events(pool: Draws) -> Iterator[Event]:
    """Events that may tell two samples apart, from the half of the draws that choose."""
    # Tails as far out as a handful of draws: a law cut off far out shows nowhere else.
    levels = np.concatenate([np.linspace(0.02, 0.98, 97), tails := np.geomspace(20 / pool.size, 0.02, 30), 1 - tails])
    for threshold in np.unique(np.quantile(pool, levels, method="nearest")):
        yield lambda y, t=threshold: y >= t
        yield lambda y, t=threshold: y <= t
    values, counts = np.unique(pool, return_counts=True)
    for value in values[np.argsort(-counts)[:40]]:
        yield lambda y, v=value: y == v
    unit = np.median(np.abs(pool))
    for bit in np.unique(lowest_bit(pool)):
        for width in (unit / 4, unit, np.inf):
            yield lambda y, e=bit, w=width: (np.abs(y) < w) & (lowest_bit(y) < e)
            yield lambda y, e=bit, w=width: (np.abs(y) < w) & (lowest_bit(y) >= e)


def epsilon_at(delta: float) -> Score:
    """The ε that an (ε, δ) guarantee must have at least, if an event has probabilities p and q."""
    return lambda p, q: np.log(np.maximum(p - delta, 1e-300) / q)


def gaussian_mu(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The μ at least: N(0, 1) against N(μ, 1) is no easier to tell apart (Dong, Roth and Su, JRSS B 2022)."""
    return stats.norm.ppf(p) - stats.norm.ppf(q)


def certified(one: Draws, other: Draws, score: Score) -> float:
    """What is lost at least, except with probability ``ALPHA``."""
    one, other = one.astype(float), other.astype(float)
    half = one.size // 2
    kinds = list(events(np.concatenate([one[:half], other[:half]])))
    seen = np.array([[event(side).sum() for side in (one[:half], other[:half])] for event in kinds])
    best = _score(np.concatenate([seen, seen[:, ::-1]]), half, score).argmax()
    event = kinds[best % len(kinds)]
    pair = (one[half:], other[half:]) if best < len(kinds) else (other[half:], one[half:])
    return float(_score(np.array([[event(side).sum() for side in pair]]), one.size - half, score)[0])


def _score(seen: np.ndarray, n: int, score: Score) -> np.ndarray:
    """The score at the least p and the greatest q that the counts allow, each wrong with a chance of ALPHA/2."""
    p = np.nan_to_num(stats.beta.ppf(ALPHA / 2, seen[:, 0], n - seen[:, 0] + 1), nan=0.0)
    q = np.nan_to_num(stats.beta.isf(ALPHA / 2, seen[:, 1] + 1, n - seen[:, 1]), nan=1.0)
    return score(p, q)


def columns(n: int, rows: int) -> dict[str, np.ndarray]:
    """One row in each of the first ``rows`` of n groups."""
    return {"k": np.arange(rows), "x": np.ones(rows), "i": np.ones(rows, np.int64)}


def answers(frame: Any, n: int, statistics: dict[str, Any], **cost: object) -> pd.DataFrame:
    """One noisy answer for each of n groups: n independent runs of one and the same mechanism."""
    grouped = frame.dp.protect().groupby("k", keys=dp.keys({"k": range(n)}))
    released = grouped.agg(**statistics).release(budget=dp.Budget(**dict.fromkeys(cost, 1)), **cost)
    return released if isinstance(released, pd.DataFrame) else released.toPandas()


COSTS: dict[str, dict[str, object]] = {"epsilon": {"epsilon": 1}, "rho": {"rho": "0.5"}}  # ρ = μ²/2
SCORES = {"epsilon": epsilon_at(0), "rho": gaussian_mu}
