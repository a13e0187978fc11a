r"""The order in which several quantiles are chosen, and how their cost is divided over the choices.

A *node* chooses the middle one of some quantiles; what is left of it and what is right are tables of their own, and
two nodes more (:mod:`dpframe.mechanisms.ranks`). A row takes part in the nodes of one path, from the first down.

What a row costs at a node
--------------------------
With the target T = q·n, one row more moves the distance of a position p by at most q if it stands above p, by at most
1 − q if it stands below, and by no more than M = max(q, 1 − q) if it stands there. Weights are e^(−c·d), and the sum of
all weights is multiplied by something between e^(−c·M) and e^(c·M). So the logarithm of the chance of p moves

* by at most c·(1 − q + M) if the row is below p: it then is in the table on the left,
* by at most c·(q + M) if it is above, in the table on the right,
* by at most 2c·M if it stands at p. Rows at p go to the side for which as much is paid: to the left for q < ½.

The one is c and the other 2c·M ≥ c: the side of the smaller part costs more. What one row moves the logarithm of the
chance of all choices is at most the sum along its path. So ε is kept if it is kept along every path, whatever the
choices are: a path with few nodes, or on cheap sides, leaves more to each of its nodes. (For q = 0 and q = 1 the target
moves by at most ½, or by ½ to 1, for each row: 1 and ½ stand in the place of 1 − q and q, or ½ and 1.)

By bounded ranges instead, a node costs 2c·M on either side, and the squares of those add up along a path.

What an error costs
-------------------
If the ends of a node's stretch are off by e₀ and e₁ rows, its target, at the part f between them, is off by
(1 − f)·e₀ + f·e₁: each of its own errors counts in full for itself and in proportion for all quantiles up to the next
that were chosen before. With w the sum of the squares of these proportions, the sum of all squared errors is some
Σ w/c². :func:`divided` makes that least: of a budget of 1, a node takes the c that minimises
w/c² + V₀/(1 − k₀·c)² + V₁/(1 − k₁·c)², with V₀ and V₁ the same least sums of what comes below it, and k its two costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

from dpframe.errors import MechanismError
from dpframe.lines import BILLION

SMALLEST, LARGEST = Fraction(1, 2**51), Fraction(2**20)
"""The range of a slope; more than the upper end is as good as exact."""

GRID = 2**40
"""Parts of 1 in which slopes and costs are counted."""


@dataclass(frozen=True)
class Node:
    """The choice of the quantile ``at`` among those from ``begin`` to ``end``, which have those before it chosen.

    Parameters
    ----------
    at, begin, end
        Numbers of quantiles; ``end`` is not among them.
    part
        Which part of the rows of its stretch is below the target.
    weight
        The sum of the squares of what its error does to all quantiles.
    """

    at: int
    begin: int
    end: int
    part: Fraction
    weight: float

    @property
    def edge(self) -> bool:
        """Whether it is the least or the largest."""
        return self.part in (0, 1)

    @property
    def costs(self) -> tuple[Fraction, Fraction]:
        """What a slope of 1 costs a row that goes to the left, and one that goes to the right; rounded up to 2⁻⁴⁰."""
        above = {Fraction(0): Fraction(1, 2), Fraction(1): Fraction(1)}.get(self.part, self.part)
        below = {Fraction(0): Fraction(1), Fraction(1): Fraction(1, 2)}.get(self.part, 1 - self.part)
        return _up(below + max(below, above)), _up(above + max(below, above))

    @property
    def range(self) -> Fraction:
        """The range of a choice of slope 1, for one row."""
        return max(self.costs)

    @property
    def sides(self) -> tuple[tuple[int, int], tuple[int, int]]:
        """The quantiles on its left and on its right."""
        return (self.begin, self.at), (self.at + 1, self.end)


def _up(value: Fraction) -> Fraction:
    """On a grid, so that sums along a path stay short."""
    return Fraction(math.ceil(value * GRID), GRID)


@lru_cache(maxsize=256)
def tree(parts: tuple[int, ...]) -> tuple[Node, ...]:
    """The nodes, each after those on whose choices it rests."""
    nodes, todo = [], [(0, len(parts))]
    while todo:
        begin, end = todo.pop()
        if begin < end:
            at = (begin + end) // 2
            low, high = (parts[begin - 1] if begin else 0), (parts[end] if end < len(parts) else BILLION)
            left = [(parts[i] - low) / (parts[at] - low) for i in range(begin, at)]
            right = [(high - parts[i]) / (high - parts[at]) for i in range(at + 1, end)]
            weight = 1 + math.fsum(each**2 for each in (*left, *right))
            nodes.append(Node(at, begin, end, Fraction(parts[at] - low, high - low), weight))
            todo += [(at + 1, end), (begin, at)]
    return tuple(nodes)


@lru_cache(maxsize=256)
def divided(parts: tuple[int, ...]) -> tuple[Fraction, ...]:
    """The slope of each node for which all choices together are 1-DP for a row, and errors are small.

    Whatever the search in floats finds is made to cost exactly 1 on the dearest path.

    Examples
    --------
    >>> [str(each) for each in divided((BILLION // 2,))]
    ['1']
    """
    nodes = tree(parts)
    least: dict[tuple[int, int], float] = {}
    own: dict[int, float] = {}
    for node in reversed(nodes):
        sides = [(float(k), least.get(side, 0.0)) for k, side in zip(node.costs, node.sides, strict=True)]
        c = own[node.at] = _slope(node.weight, sides)
        rest = math.fsum(v / (1 - k * c) ** 2 for k, v in sides if v)
        least[node.begin, node.end] = node.weight / c**2 + rest
    left = {(0, len(parts)): 1.0}
    slopes = []
    for node in nodes:
        budget = left[node.begin, node.end]
        c = own[node.at] * budget
        slopes.append(Fraction(max(1, round(c * GRID)), GRID))
        for k, side in zip(node.costs, node.sides, strict=True):
            left[side] = budget - float(k) * c
    dearest = epsilon(parts, slopes)
    return tuple(each / dearest for each in slopes)


def _slope(weight: float, sides: Sequence[tuple[float, float]]) -> float:
    """Where w/c² + Σ v/(1 − k·c)² is least: its derivative increases."""
    low, high = 0.0, 1 / max(k for k, _ in sides)
    for _ in range(50):
        c = (low + high) / 2
        if weight / c**3 > math.fsum(k * v / (1 - k * c) ** 3 for k, v in sides if v):
            low = c
        else:
            high = c
    return low


def epsilon(parts: tuple[int, ...], slopes: Sequence[Fraction]) -> Fraction:
    """How far one row moves the logarithm of the chance of all choices at most: the sum along the dearest path."""
    found: dict[tuple[int, int], Fraction] = {}
    for node, c in reversed(list(zip(tree(parts), slopes, strict=True))):
        paths = [c * k + found.get(side, 0) for k, side in zip(node.costs, node.sides, strict=True)]
        found[node.begin, node.end] = max(paths)
    return found[0, len(parts)]


def squares(parts: tuple[int, ...], slopes: Sequence[Fraction]) -> Fraction:
    """The largest sum of the squares of ranges along a path."""
    found: dict[tuple[int, int], Fraction] = {}
    for node, c in reversed(list(zip(tree(parts), slopes, strict=True))):
        found[node.begin, node.end] = (c * node.range) ** 2 + max(found.get(side, Fraction(0)) for side in node.sides)
    return found[0, len(parts)]


@lru_cache(maxsize=256)
def slopes_within(parts: tuple[int, ...], epsilon: Fraction) -> tuple[float, ...]:
    """The slopes with which all choices together are ε-DP for one row; rounded down.

    Raises
    ------
    MechanismError
        For an ε that no number of rows could make up for.
    """
    return tuple(_down(each * epsilon) for each in divided(parts))


@lru_cache(maxsize=256)
def slopes_of_range(parts: tuple[int, ...], eta: Fraction) -> tuple[float, ...]:
    """The slopes with which every choice has the range η for one row, and so every level of them; rounded down.

    Raises
    ------
    MechanismError
        For an η that no number of rows could make up for.
    """
    return tuple(_down(eta / node.range) for node in tree(parts))


def _down(slope: Fraction) -> float:
    if slope < SMALLEST:
        raise MechanismError(
            "A quantile of so small a cost would be the same whatever the rows are. Tighten the contribution "
            "bounds or spend more on this release."
        )
    rounded = float(min(slope, LARGEST))
    return rounded if Fraction(rounded) <= slope else math.nextafter(rounded, 0)


def variances(parts: tuple[int, ...], slopes: tuple[float, ...]) -> tuple[float, ...]:
    """The variance of each quantile's rank, where rows stand about as far apart from each other.

    A choice then is off by a Laplace variate of scale 1/c, of variance 2/c².
    """
    return tuple(2 * squared for squared in _errors(parts, slopes, 2))


def furthest(parts: tuple[int, ...], slopes: tuple[float, ...]) -> tuple[float, ...]:
    """How far off the rank of each quantile is if every choice is off by the logarithm of 1/e, in its own scale."""
    return _errors(parts, slopes, 1)


@lru_cache(maxsize=256)
def _errors(parts: tuple[int, ...], slopes: tuple[float, ...], power: int) -> tuple[float, ...]:
    """What each quantile's rank is off by, 1/c of its own choice and, in proportion, what the ends of its stretch are
    off by: errors to a power, added up."""
    found: dict[int, float] = {}
    for node, c in zip(tree(parts), slopes, strict=True):
        part = float(node.part)
        before, after = found.get(node.begin - 1, 0.0), found.get(node.end, 0.0)
        found[node.at] = 1 / c**power + ((1 - part) ** power * before + part**power * after)
    return tuple(found[at] for at in range(len(parts)))
