"""Each step of a kernel alone, over one chunk of cells in the level-1 cache: what the time of a sample is made of."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from dpframe.kernels.chacha import CHUNK, key_words, stretch, words
from dpframe.kernels.inversion import (
    LOGARITHM,
    glance_logarithms,
    glance_logarithms_cells,
    glance_quantiles,
    glance_quantiles_cells,
    quantiles,
)
from dpframe.kernels.jit import kernel
from dpframe.kernels.laws import EXPONENTIAL, NORMAL
from dpframe.kernels.quantile_table import table

TIMES = 1000
E, K, SIGNS = EXPONENTIAL.e, EXPONENTIAL.k, np.uint64(1)


@kernel
def _stream(key: Any, times: Any, lanes: Any) -> None:
    for i in range(times):
        stretch(key, np.uint64(0), i * CHUNK, CHUNK, lanes)


@kernel
def _logarithms(given: Any, q: Any, rows: Any, times: Any) -> None:
    for _ in range(times):
        quantiles(given, LOGARITHM, rows, q)


@kernel
def _look_up(given: Any, q: Any, rows: Any, values: Any, times: Any) -> None:
    for _ in range(times):
        quantiles(given, values, rows, q)


@kernel
def _decide(given: Any, q: Any, out: Any, logarithm: Any, times: Any) -> Any:
    sure = True
    for _ in range(times):
        if logarithm:
            sure &= glance_logarithms(given, q, 10.0, 0.5, E, K, SIGNS, out)
        else:
            sure &= glance_quantiles(given, q, 10.0, 0.5, E, K, SIGNS, out)
    return sure


@kernel
def _decide_cells(given: Any, q: Any, cells: Any, out: Any, logarithm: Any, times: Any) -> Any:
    sure = True
    for _ in range(times):
        if logarithm:
            sure &= glance_logarithms_cells(given, q, cells, cells, cells, 4.0, E, K, SIGNS, out)
        else:
            sure &= glance_quantiles_cells(given, q, cells, cells, cells, 4.0, E, K, SIGNS, out)
    return sure


def stages(big: np.ndarray) -> dict[str, tuple[Callable[[], object], int]]:
    """Each step, and how many cells it serves. ``big`` is an output that no cache holds."""
    key, given = key_words(bytes(32)), words(bytes(32), 0, 0, CHUNK)
    lanes, rows = np.empty(2 * CHUNK, np.uint32), np.empty(CHUNK, np.int64)
    q, out = np.full(CHUNK, 0.7), np.empty(CHUNK, np.int64)
    cells, normal = np.full(CHUNK, 0.5), table(NORMAL)
    many = TIMES * CHUNK
    return {
        "key stream": (lambda: _stream(key, TIMES, lanes), many),
        "logarithm, alone": (lambda: _logarithms(given, q, rows, TIMES), many),
        "logarithm and decision in one loop": (lambda: _decide(given, q, out, True, TIMES), many),
        "the same, scale and value per cell": (lambda: _decide_cells(given, q, cells, out, True, TIMES), many),
        "tabled quantile": (lambda: _look_up(given, q, rows, normal, TIMES), many),
        "decision on a tabled quantile": (lambda: _decide(given, q, out, False, TIMES), many),
        "the same, scale and value per cell, tabled": (lambda: _decide_cells(given, q, cells, out, False, TIMES), many),
        "store of 8 bytes past the caches": (lambda: big.fill(1), big.size),
    }
