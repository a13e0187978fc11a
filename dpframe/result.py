"""What a released frame says of itself, and the text form in which it travels with the frame."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class StatisticInfo:
    """One noisy statistic behind an answer.

    Parameters
    ----------
    statistic
        ``count``, or ``sum of (column − center)`` in words.
    mechanism, scale
        The noise and its scale, in the column's units.
    half_width
        The noise is at most this large with the release's confidence, in the column's units; of a quantile, so many
        rows is its rank off at most, whatever the rows are.
    share
        The part of the release's cost that it took, as a fraction.
    typical
        Of a quantile: so many rows is its rank off at most with that confidence, where no two rows are much further
        apart than others and few are equal. Not proven of any rows, and near to what happens. None of anything else.
    """

    statistic: str
    mechanism: str
    scale: float
    half_width: float
    share: str
    typical: float | None = None


@dataclass(frozen=True)
class ColumnInfo:
    """One answer column: its aggregate, and the noisy statistics that it is made of."""

    name: str
    aggregate: str
    statistics: tuple[StatisticInfo, ...]


@dataclass(frozen=True)
class AtLeast:
    """Which cells came out: those whose noisy ``answer`` was at least ``value``.

    Parameters
    ----------
    by_noise
        How many of them noise alone lifted so far, in expectation and at most: were all cells empty. The intervals
        of such cells miss, so the fewer of all they are, the better the confidence is kept among what came out.
    """

    answer: str
    value: float
    by_noise: float

    def __str__(self) -> str:
        return f"{self.answer} of at least {self.value:,}; about {self.by_noise:,.3g} of them by noise alone"


@dataclass(frozen=True)
class ReleaseInfo:
    """The metadata of a release.

    Parameters
    ----------
    private
        False for the exact answers of an unlimited budget, which must not be published.
    cost
        What was charged, exactly, as ``epsilon=0.4`` or ``rho=0.1``; ``nothing`` when not private.
    unit, bounds
        The privacy unit and the contribution bounds on it.
    by, groups
        The grouping columns and the number of public groups; None for noise on a table as it was.
    confidence
        The confidence of every half-width and interval.
    columns
        One entry per answer column.
    at_least
        Which cells came out; None when all of them did.
    selection
        Which groups came out, in words, where they were found among the rows; None where they were public.
    found
        The clipping bounds that the release found, in words, where none were given.
    """

    private: bool
    cost: str
    unit: str
    bounds: tuple[str, ...]
    by: tuple[str, ...]
    groups: int | None
    confidence: float
    columns: tuple[ColumnInfo, ...]
    at_least: AtLeast | None = None
    selection: str | None = None
    found: tuple[str, ...] = ()

    def __getitem__(self, name: str) -> ColumnInfo:
        """The entry of one answer column."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def json(self) -> str:
        """As JSON text, which :func:`loads` reads."""
        return json.dumps(asdict(self), ensure_ascii=False)

    def __str__(self) -> str:
        lines = [
            "A differentially private release" if self.private else "EXACT answers: NOT PRIVATE, do not publish",
            f"  cost    {self.cost}",
            f"  unit    {self.unit}{''.join(f', {bound}' for bound in self.bounds)}",
        ]
        if self.groups is not None:
            lines.append(f"  groups  {self.groups:,}{' by ' + ', '.join(self.by) if self.by else ''}")
        if self.selection is not None:
            lines.append(f"  groups  {self.selection}, by {', '.join(self.by)}")
        if self.at_least is not None:
            lines.append(f"  shown   {self.at_least}")
        lines += [f"  clips   {found}" for found in self.found]
        for column in self.columns:
            lines.append(f"  {column.name} = {column.aggregate}")
            lines += [
                f"    {part.statistic}: {part.mechanism}, scale {part.scale:.6g}, "
                f"±{part.half_width:.6g} at {self.confidence:.0%}"
                + ("" if part.typical is None else f" whatever the rows are, typically ±{part.typical:.6g}")
                for part in column.statistics
            ]
        return "\n".join(lines)


def loads(text: str) -> ReleaseInfo:
    """The metadata from its JSON text.

    Examples
    --------
    >>> info = ReleaseInfo(True, "epsilon=1", "one row", (), ("level",), 5, 0.95, ())
    >>> loads(info.json) == info
    True
    """
    fields = json.loads(text)
    columns = tuple(
        ColumnInfo(
            column["name"],
            column["aggregate"],
            tuple(StatisticInfo(**part) for part in column["statistics"]),
        )
        for column in fields.pop("columns")
    )
    shown = fields.pop("at_least", None)
    return ReleaseInfo(
        **{**fields, **{name: tuple(fields.get(name, ())) for name in ("bounds", "by", "found")}},
        columns=columns,
        at_least=None if shown is None else AtLeast(**shown),
    )
