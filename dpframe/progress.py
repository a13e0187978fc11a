"""Progress of long work, for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")

DELAY = 2.0
"""Seconds of work before a bar is shown."""


def progress(each: Iterable[T], total: int, what: str) -> Iterator[T]:
    """The same items, with a bar on the error output once they take a while; none where that is no terminal.

    Examples
    --------
    >>> list(progress([1, 2], 2, "adding up"))
    [1, 2]
    """
    from tqdm import tqdm

    yield from tqdm(each, what, total, delay=DELAY, disable=None, leave=False)
