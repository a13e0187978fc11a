"""Noise on a table that is already aggregated: the caller vouches for the sensitivity, the rest is as in a release."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from dpframe.accounting import Budget, ambient
from dpframe.backends import NoiseTask, backend_of
from dpframe.errors import ColumnTypeError, FrameError, MechanismError, PlanError
from dpframe.kernels.arguments import LARGEST_SCALE
from dpframe.mechanisms.table import TableMechanism
from dpframe.plan import Schema, Type
from dpframe.release import CONFIDENCE, fresh_key, guarded
from dpframe.result import ColumnInfo, ReleaseInfo, StatisticInfo

FINENESS = 2.0**-10
"""The grid of a float column, in parts of the least noise scale: fine beside the noise, and public; and coarse enough
that a cell of 2**40 times the least scale is still within the samplers' range."""


def add_noise(
    frame: Any,
    columns: Mapping[str, TableMechanism],
    *,
    keep: Iterable[str] = (),
    budget: Budget | None = None,
    label: str = "",
) -> Any:
    """Noise on columns of an aggregated table; see :meth:`dpframe.accessor.Accessor.noise`."""
    budget = ambient(budget)
    backend = backend_of(frame)
    if not hasattr(backend, "noise"):
        raise FrameError(".dp.noise() is for aggregated tables: read this one as a frame, pandas.read_parquet(path).")
    backend.check(frame)
    schema = backend.schema(frame)
    if not columns:
        raise PlanError("Name at least one column and its mechanism, as in .dp.noise(jobs=dp.LaplaceNoise(1, 0.5)).")
    key = fresh_key(32)
    tasks = [
        task(schema, name, mechanism, key if budget.private else None, stream)
        for stream, (name, mechanism) in enumerate(columns.items())
    ]
    kept = {keep} if isinstance(keep, str) else set(keep)
    sensitivities = {mechanism.sensitivity for mechanism in columns.values() if isinstance(mechanism.sensitivity, str)}
    drop = sorted(sensitivities - kept)
    if not sensitivities >= kept:
        raise PlanError(f"keep= names columns of sensitivities, which {min(kept - sensitivities)!r} is not.")
    if sensitivities & set(columns):
        raise PlanError(f"{min(sensitivities & set(columns))!r} cannot be both noised and a sensitivity.")
    info = describe(columns, tasks, budget)
    names = ", ".join(mechanism.name for mechanism in columns.values())
    budget.charge(
        [mechanism.event for mechanism in columns.values()], f"noise({', '.join(columns)})", names, label=label
    )
    return guarded(lambda: backend.noise(frame, tasks, drop, info.json))


def task(schema: Schema, name: str, mechanism: TableMechanism, key: bytes | None, stream: int) -> NoiseTask:
    """What an engine must know to noise one column.

    Raises
    ------
    ColumnTypeError
        When the column or its sensitivities are not numbers.
    PlanError
        When what is given is no mechanism for tables.
    MechanismError
        When the mechanism does not serve such a column, as geometric noise does not serve floats, and when a scale
        that it could need is beyond the samplers.
    """
    if not hasattr(mechanism, "add") or not hasattr(mechanism, "sensitivity"):
        raise PlanError(f".dp.noise({name}=...) takes a mechanism such as dp.LaplaceNoise(1, 0.5), not {mechanism!r}.")
    wanted = [name, mechanism.sensitivity] if isinstance(mechanism.sensitivity, str) else [name]
    for column in wanted:
        if schema[column].type not in (Type.INTEGER, Type.FLOAT):
            raise ColumnTypeError(f"{column!r} is a {schema[column].type.value} column; noise is for numbers.")
    integer = schema[name].type is Type.INTEGER
    least, most = mechanism.scale(np.array([0.0, np.inf]))
    grid = 1.0 if integer else 2.0 ** np.ceil(np.log2(least)) * FINENESS
    if most > LARGEST_SCALE * grid:
        # The samplers would hold the scale of such a cell to what they can draw: less noise than is owed.
        raise MechanismError(
            f"The noise of {name!r} may need a scale of {most:.3g}; "
            f"for this column at most {LARGEST_SCALE * grid:.3g} is drawn. "
            + ("Make it a float column, " if integer else "Lower the sensitivity, ")
            + "or spend more on it."
        )
    # A dry run on no cell: what the mechanism refuses, it refuses now, and not after the charge.
    mechanism.add(np.zeros(0), np.zeros(0), float(grid), key=bytes(32), stream=stream, start=0)
    return NoiseTask(name, mechanism, float(grid), integer, key, stream)


def describe(columns: Mapping[str, TableMechanism], tasks: list[NoiseTask], budget: Budget) -> ReleaseInfo:
    """The metadata: what was asked, and what the caller vouches for."""
    events = " and ".join(str(mechanism.event) for mechanism in columns.values())
    return ReleaseInfo(
        private=budget.private,
        cost=events if budget.private else "nothing",
        unit="as the caller vouches",
        bounds=(),
        by=(),
        groups=None,
        confidence=CONFIDENCE,
        columns=tuple(
            ColumnInfo(name, f"{name} + {mechanism.name}", (_statistic(mechanism, budget.private),))
            for name, mechanism in columns.items()
        ),
    )


def _statistic(mechanism: TableMechanism, private: bool) -> StatisticInfo:
    by_cell = isinstance(mechanism.sensitivity, str)
    scale = float(mechanism.scale(np.zeros(1))[0])
    return StatisticInfo(
        statistic=f"sensitivity in {mechanism.sensitivity}, at its least" if by_cell else "sensitivity as given",
        mechanism=mechanism.name if private else "none",
        scale=scale if private else 0.0,
        half_width=scale * mechanism.accuracy(1 - CONFIDENCE) if private else 0.0,
        share="1",
    )
