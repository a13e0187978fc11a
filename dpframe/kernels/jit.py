"""How every kernel is compiled, and the small helpers that the samplers share."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic

F = TypeVar("F", bound=Callable[..., Any])

_OPTIONS: dict[str, Any] = {
    "nogil": True,
    "boundscheck": False,
    "error_model": "numpy",
    "fastmath": {"contract"},
}


def kernel(function: F) -> F:
    """Compile a kernel: no GIL, cached on disk, fused multiply-add allowed.

    Letting LLVM fuse a product with a sum means that floats may differ between CPUs in the last bits. Only
    kernels whose *integer* output is certified against every such rounding may be built on it.

    Where neither the package's directory nor the user's cache directory can be written, kernels are compiled anew
    in each process (set ``NUMBA_CACHE_DIR`` to a place that can be).
    """
    try:
        return cast(F, njit(cache=True, **_OPTIONS)(function))
    except RuntimeError:  # "no locator available"
        return cast(F, njit(**_OPTIONS)(function))


def inlined(function: F) -> F:
    """Compile a helper that other kernels call and LLVM pastes into them.

    Numba's cache does not notice when a helper in another file changes: it looks at the calling kernel's own
    file only. Whoever edits a helper clears ``__pycache__/*.nb?``; the tests do it by themselves.
    """
    return cast(F, njit(**_OPTIONS)(function))


def pasted(function: F) -> F:
    """Compile a helper that numba itself pastes into its callers: for bodies too long for LLVM to take in.

    It makes the caller's loop vectorise, and its compilation slower.
    """
    return cast(F, njit(inline="always", **_OPTIONS)(function))


@cast(Any, intrinsic)  # type: ignore[untyped-decorator]
def float_bits(_context: Any, _x: Any) -> tuple[Any, Callable[..., Any]]:
    """The IEEE bits of a double as a signed integer."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.IntType(64))

    return types.int64(types.float64), generate


@cast(Any, intrinsic)  # type: ignore[untyped-decorator]
def bits_float(_context: Any, _x: Any) -> tuple[Any, Callable[..., Any]]:
    """The double with these IEEE bits."""

    def generate(_target: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return builder.bitcast(arguments[0], ir.DoubleType())

    return types.float64(types.int64), generate


_TWICE_BIAS = np.int64(2046 << 52)
_EXPONENT = np.int64(0x7FF << 52)


@inlined
def relative_width(v: Any) -> Any:
    """``2**-floor(log2(y))`` for ``y = float(v)``, v ≥ 1, from the exponent: at least ``(1 - 2**-52) / v``.

    A word that shows v says that v·2⁻⁶³ ≤ u < (v+1)·2⁻⁶³, an interval of relative width 1/v.
    """
    return bits_float(_TWICE_BIAS - (float_bits(np.float64(v)) & _EXPONENT))


_ROUNDER = 1.5 * 2.0**52
_ROUNDER_BITS = np.int64(0x4338000000000000)


@inlined
def nearest(y: Any) -> Any:
    """The integer nearest to y and its distance, both exact for |y| < 2**51; some numbers, not NaN, beyond.

    The sum with 3·2⁵¹ lies in [2⁵², 2⁵³), where doubles are the integers, so it is rounded to one of them, and the
    difference of its bits from those of 3·2⁵¹ is that of the numbers. What is left of y needs no rounding.
    """
    raised = y + _ROUNDER
    return float_bits(raised) - _ROUNDER_BITS, abs(y - (raised - _ROUNDER))


@inlined
def noted(cell: Any, doubtful: Any, found: Any) -> Any:
    """Lists a cell among the doubtful ones, as far as there is room, and returns how many there are by now."""
    if found < doubtful.size:
        doubtful[found] = cell
    return found + 1


@cast(Any, intrinsic)  # type: ignore[untyped-decorator]
def wide_vectors(_context: Any) -> tuple[Any, Callable[..., Any]]:
    """Let LLVM use the CPU's full vector width in the function that calls this (half as fast again).

    LLVM halves the width on Intel servers to spare mixed programs a lower clock; these loops run for long enough.
    llvmlite has no name for the attribute, so it goes in as text; where that is refused, nothing is lost but speed.
    """

    def generate(target: Any, builder: Any, _signature: Any, _arguments: Any) -> Any:
        with contextlib.suppress(TypeError, AttributeError):
            set.add(builder.function.attributes, '"prefer-vector-width"="512"')
        return target.get_dummy_value()

    return types.none(), generate
