"""Several parts of a budget for one block, all of them or none."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Generic, Protocol, TypeVar


class Held(Protocol):
    """What can be set aside and given back."""

    def hold(self) -> None: ...

    def release(self) -> None: ...


Each = TypeVar("Each", bound=Held)


class Split(Generic[Each]):
    """The parts of a budget for one block; see :meth:`dpframe.Budget.split`."""

    def __init__(self, parts: Sequence[Each]) -> None:
        self._parts = tuple(parts)

    def __enter__(self) -> tuple[Each, ...]:
        with ExitStack() as held:
            for part in self._parts:
                part.hold()
                held.callback(part.release)
            held.pop_all()  # they stay held
        return self._parts

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with ExitStack() as each:  # all of them, also when the ledger fails at one
            for part in self._parts:
                each.callback(part.release)
