"""Every exception of dpframe, as a tree::

    DPFrameError
    ├── PlanError (ValueError)        the chain asks for something that cannot be analysed
    │   ├── UnknownColumnError        a column that the frame does not have
    │   ├── ColumnTypeError           a column, key or bound of the wrong type
    │   ├── ExpressionError           SQL text that is not scalar, deterministic and known
    │   ├── BoundsError               low ≥ high, or bounds whose sum could overflow
    │   ├── KeysError                 missing, duplicate or float group keys
    │   └── MissingBoundError         a query over an id without a contribution bound
    ├── BudgetError
    │   ├── InvalidCostError (ValueError)   NaN, negative, boolean or mismatched ε, δ, ρ
    │   ├── BudgetExceededError             asked / left / total
    │   ├── NoBudgetError                   a release outside every ``with dp.Budget(...)``
    │   ├── LedgerError                     a ledger that cannot be used, or is not what was written
    │   └── OnceError (ValueError)          a ``once=`` key that stands for another release
    ├── MechanismError (ValueError)   noise parameters outside what the exact samplers cover
    ├── FrameError (TypeError)        a frame that dpframe cannot serve
    │   └── StoppedSessionError       a Spark frame whose session has ended
    └── DataPlaneError                the engine failed after the charge; details are withheld

All but :class:`DataPlaneError` are raised before anything is charged (a :class:`LedgerError` says when that is not
sure) and before any data is read, and their text holds only what the caller wrote and what the plan knows. A
:class:`DataPlaneError` carries the *kind* of the engine's failure and never its message, which may quote a private
value.
"""


class DPFrameError(Exception):
    """Base of every exception that dpframe raises on purpose."""


class PlanError(DPFrameError, ValueError):
    """The chain asks for something that cannot be analysed."""


class UnknownColumnError(PlanError):
    """A named column is not in the frame."""


class ColumnTypeError(PlanError):
    """A column, key or bound has a type that the step cannot use."""


class ExpressionError(PlanError):
    """SQL text is not a scalar, deterministic expression over known columns."""


class BoundsError(PlanError):
    """Clipping bounds are missing, reversed, not finite, or could overflow an exact sum."""


class KeysError(PlanError):
    """Group keys are missing, duplicated, too many or of a type that cannot be a key."""


class MissingBoundError(PlanError):
    """A query over an id needs a contribution bound."""


class BudgetError(DPFrameError):
    """Base of everything the accountant refuses."""


class InvalidCostError(BudgetError, ValueError):
    """A privacy parameter is not a positive finite number of the budget's kind."""


class BudgetExceededError(BudgetError):
    """The release asks for more than the budget has left; nothing was charged."""


class NoBudgetError(BudgetError):
    """A release was asked for outside every budget."""


class LedgerError(BudgetError):
    """A ledger cannot be kept there, cannot be written now, or is not what was written; nothing was released."""


class OnceError(BudgetError, ValueError):
    """A ``once=`` key stands for another release; nothing was charged."""


class MechanismError(DPFrameError, ValueError):
    """Noise parameters lie outside what the exact samplers cover."""


class FrameError(DPFrameError, TypeError):
    """The object is not a frame that dpframe can serve."""


class StoppedSessionError(FrameError):
    """The frame's Spark session has ended."""


class DataPlaneError(DPFrameError):
    """The engine failed while it read private data; the charge stands and the details are withheld."""
