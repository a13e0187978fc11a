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
    from dpframe.kernels.chacha import cell_key, fresh_key, words, words_at
    from dpframe.kernels.exponential_tails import discrete_laplace, exponential, geometric, laplace
    from dpframe.kernels.gaussian_integers import discrete_gaussian
    from dpframe.kernels.heavy import arsinh_normal, cauchy, gamma4, student_t
    from dpframe.kernels.lognormal import laplace_lognormal, uniform_lognormal
    from dpframe.kernels.normal import gaussian
    from dpframe.kernels.siphash import hash_int64, hash_utf8

__all__ = [
    "arsinh_normal",
    "cauchy",
    "cell_key",
    "discrete_gaussian",
    "discrete_laplace",
    "exponential",
    "fresh_key",
    "gamma4",
    "gaussian",
    "geometric",
    "hash_int64",
    "hash_utf8",
    "laplace",
    "laplace_lognormal",
    "student_t",
    "uniform_lognormal",
    "words",
    "words_at",
]

_HOME = {
    "arsinh_normal": "heavy",
    "cauchy": "heavy",
    "cell_key": "chacha",
    "discrete_gaussian": "gaussian_integers",
    "discrete_laplace": "exponential_tails",
    "exponential": "exponential_tails",
    "fresh_key": "chacha",
    "gamma4": "heavy",
    "gaussian": "normal",
    "geometric": "exponential_tails",
    "hash_int64": "siphash",
    "hash_utf8": "siphash",
    "laplace": "exponential_tails",
    "laplace_lognormal": "lognormal",
    "student_t": "heavy",
    "uniform_lognormal": "lognormal",
    "words": "chacha",
    "words_at": "chacha",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
