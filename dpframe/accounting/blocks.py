"""Which budgets' ``with`` blocks are open here: in this thread, this task."""

from __future__ import annotations

import threading
from contextvars import ContextVar
from typing import Any

from dpframe.errors import NoBudgetError

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
    """The budget of the innermost block.

    Raises
    ------
    NoBudgetError
        Outside every block.
    """
    if stack := _open.get():
        return stack[-1]
    threads = threading.current_thread() is not threading.main_thread()
    raise NoBudgetError(
        "A release needs a budget: put it inside `with dp.Budget(epsilon=1):`, or pass one as release(..., budget=b)."
        + (" A new thread begins outside every block: `with b:` in it." if threads else "")
    )
