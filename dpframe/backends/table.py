"""Noise on one column's cells: the one piece of arithmetic that every engine runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from dpframe.backends.base import Floats, NoiseTask

LARGEST = 2**62
"""Integers are held to ±2**62, so that noise can be added in 64 bits."""


def noisy(task: NoiseTask, values: npt.NDArray[Any], sensitivity: Floats | None, start: int) -> npt.NDArray[Any]:
    """The noisy cells ``start``, ``start + 1``, … of a column.

    Parameters
    ----------
    values
        (n,) int64 or float64; a missing one counts as 0, for a hole would tell something of the data.
    sensitivity
        (n,) float64 where the mechanism takes it from a column.
    start
        The first cell's number: its word of the column's stream.

    Returns
    -------
    numpy.ndarray
        (n,) int64 for an integer column, else float64 multiples of the task's grid.
    """
    if task.key is None:
        return values
    fixed = np.full(len(values), task.mechanism.sensitivity) if sensitivity is None else sensitivity
    scale = task.mechanism.scale(fixed.astype(np.float64))
    if task.integer:
        # Exact in 64 bits, where a double would round what is beyond 2**53.
        zeros = np.zeros(len(values))
        noise = task.mechanism.add(zeros, scale, 1.0, key=task.key, stream=task.stream, start=start)
        held: npt.NDArray[np.int64] = np.clip(values, -LARGEST, LARGEST) + np.clip(noise, -LARGEST, LARGEST)
        return held
    present = np.where(np.isnan(values), 0.0, values)
    steps = task.mechanism.add(present, scale, task.grid, key=task.key, stream=task.stream, start=start)
    return steps * task.grid
