"""Exact noise on arrays: keyed, counter-addressed, compiled. No data frames and no privacy words here.

Names are loaded on first use, because numba takes a moment to import.

Examples
--------
>>> from dpframe import kernels
>>> kernels.discrete_laplace(4, 10.0).dtype
dtype('int64')
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dpframe.kernels.chacha import fresh_key, words
    from dpframe.kernels.gaussian import rounded_gaussian
    from dpframe.kernels.laplace import discrete_laplace
    from dpframe.kernels.siphash import hash_int64, hash_utf8

__all__ = ["discrete_laplace", "fresh_key", "hash_int64", "hash_utf8", "rounded_gaussian", "words"]

_HOME = {
    "discrete_laplace": "laplace",
    "fresh_key": "chacha",
    "hash_int64": "siphash",
    "hash_utf8": "siphash",
    "rounded_gaussian": "gaussian",
    "words": "chacha",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
