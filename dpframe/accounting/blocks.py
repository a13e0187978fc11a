"""Which budgets' ``with`` blocks are open here: in this thread, this task."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

_open: ContextVar[tuple[Any, ...]] = ContextVar("dpframe_budgets", default=())


def begin(budget: Any) -> None:
    """A block of the budget begins."""
    _open.set((*_open.get(), budget))


def end(budget: Any) -> None:
    """A block of the budget ends: the last of this very one, for it may be entered twice, and blocks of tasks may
    interleave."""
    stack = list(_open.get())
    for at in reversed(range(len(stack))):
        if stack[at] is budget:
            del stack[at]
            break
    _open.set(tuple(stack))


def innermost() -> Any:
    """The budget of the innermost block; None outside every block."""
    stack = _open.get()
    return stack[-1] if stack else None
