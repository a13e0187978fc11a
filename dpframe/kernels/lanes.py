"""What LLVM does not vectorise by itself, written in its vector types: ChaCha20's rounds, and looking up in a table.

ChaCha20 has neighbouring blocks in the lanes of a register and all sixteen state words in registers. LLVM's own
vectoriser takes only innermost loops, and so would have to bring the state back to memory after every double round;
here the twenty rounds touch none. The types are portable: where a CPU's registers are narrower than a vector here,
LLVM splits it. The key stream does not depend on the width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import llvmlite.binding as llvm
from llvmlite import ir
from numba import config, types
from numba.core import cgutils
from numba.extending import intrinsic

_I32, _I64 = ir.IntType(32), ir.IntType(64)
_COLUMNS = ((0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15))
_DIAGONALS = ((0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14))
_CONSTANTS = (0x61707865, 0x3320646E, 0x79622D32, 0x6B206574)


def _width() -> int:
    """32-bit lanes of a vector register on the CPU compiled for; 8 is a fair choice for most."""
    if config.CPU_NAME is None and llvm.get_host_cpu_features().get("avx512f"):
        return 16
    return 8


WIDTH = _width()
"""Blocks side by side in a register."""
_VECTOR = ir.VectorType(_I32, WIDTH)


def _splat(builder: Any, x: Any) -> Any:
    """A vector of this number in every lane."""
    first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), x, ir.Constant(_I32, 0))
    return _pick(builder, first, first, [0] * WIDTH)


def _pick(builder: Any, first: Any, second: Any, lanes: list[int]) -> Any:
    """These lanes of two vectors laid end to end."""
    return builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(_I32, len(lanes)), lanes))


def _quarters(builder: Any, x: list[Any], places: Sequence[tuple[int, int, int, int]]) -> None:
    """Quarter rounds (RFC 8439 §2.1) on state words of numbers or of vectors, step by step side by side."""
    kind = x[places[0][0]].type
    name = "llvm.fshl.i32" if kind == _I32 else f"llvm.fshl.v{WIDTH}i32"
    rotate = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind] * 3), name)

    def step(a: int, b: int, d: int, count: int) -> None:
        x[a] = builder.add(x[a], x[b])
        mixed = builder.xor(x[d], x[a])
        by = ir.Constant(_I32, count) if kind == _I32 else ir.Constant(kind, [count] * WIDTH)
        x[d] = builder.call(rotate, [mixed, mixed, by])

    for first, second in ((16, 12), (8, 7)):
        for a, b, _, d in places:
            step(a, b, d, first)
        for _, b, c, d in places:
            step(c, d, b, second)


def _double_rounds(builder: Any, x: list[Any], count: int) -> list[Any]:
    """Some double rounds, in a loop whose variables are the state."""
    before = builder.block
    body = builder.append_basic_block("rounds")
    builder.branch(body)
    builder.position_at_end(body)
    turn = builder.phi(_I32)
    turn.add_incoming(ir.Constant(_I32, 0), before)
    state = [builder.phi(_VECTOR) for _ in x]
    for phi, word in zip(state, x, strict=True):
        phi.add_incoming(word, before)
    after = list(state)
    _quarters(builder, after, _COLUMNS)
    _quarters(builder, after, _DIAGONALS)
    following = builder.add(turn, ir.Constant(_I32, 1))
    turn.add_incoming(following, body)
    for phi, word in zip(state, after, strict=True):
        phi.add_incoming(word, body)
    done = builder.append_basic_block("done")
    builder.cbranch(builder.icmp_unsigned("<", following, ir.Constant(_I32, count)), body, done)
    builder.position_at_end(done)
    return after


def _place(context: Any, builder: Any, kind: Any, array: Any, at: Any, vectors: int = 1) -> Any:
    """A pointer to some vectors, as one, at this index of an array of 32-bit words."""
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [at]), ir.VectorType(_I32, vectors * WIDTH).as_pointer())


@cast(Any, intrinsic)  # type: ignore[untyped-decorator]
def blocks(_context: Any, _state: Any, _o: Any, _at: Any) -> tuple[Any, Callable[..., Any]]:
    """``blocks(state, o, at)`` writes blocks ``at`` … ``at + WIDTH - 1`` of a superblock into ``o``.

    ``state`` is the tuple of the first block's sixteen words; those of the others differ in word 12 alone, the counter,
    which must not overflow among them. Word i of block b goes to ``o[32 * i + b]``. In the first round, three of
    the four columns do not see that word, so they are worked out once for all lanes.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        given, o, at = arguments
        start = [builder.extract_value(given, i) for i in range(16)]
        once = list(start)
        _quarters(builder, once, _COLUMNS[1:])
        x = [_splat(builder, word) for word in once]
        low = builder.trunc(at, _I32)
        steps = builder.add(_splat(builder, low), ir.Constant(_VECTOR, list(range(WIDTH))))
        counter = x[12] = builder.add(x[12], steps)
        _quarters(builder, x, _COLUMNS[:1])
        _quarters(builder, x, _DIAGONALS)
        x = _double_rounds(builder, x, 9)
        for i, word in enumerate(x):
            first = counter if i == 12 else _splat(builder, start[i])
            target = builder.add(at, ir.Constant(_I64, 32 * i))
            builder.store(builder.add(word, first), _place(context, builder, signature.args[1], o, target), align=4)
        return context.get_dummy_value()

    return types.none(_state, _o, _at), generate


@cast(Any, intrinsic)  # type: ignore[untyped-decorator]
def first_words(_context: Any, _key: Any, _named: Any, _out: Any, _at: Any) -> tuple[Any, Callable[..., Any]]:
    """``first_words(key, named, out, at)``: words 0 and 1 of ``WIDTH`` blocks, whose words 12 … 15 are all their own.

    ``key`` is the tuple of its eight words. Word 12 + i of block b is ``named[4 * (at + b) + i]``, and word i goes to
    ``out[2 * (at + b) + i]``. The last double round stands apart, so that LLVM leaves out of it what no one reads.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        key, named, out, at = arguments
        fixed = [ir.Constant(_I32, word) for word in _CONSTANTS] + [builder.extract_value(key, i) for i in range(8)]
        x = [_splat(builder, word) for word in fixed]
        place = _place(context, builder, signature.args[1], named, builder.mul(at, ir.Constant(_I64, 4)), 4)
        together = builder.load(place, align=4)
        x += [_pick(builder, together, together, [4 * b + i for b in range(WIDTH)]) for i in range(4)]
        x = _double_rounds(builder, x, 9)
        _quarters(builder, x, _COLUMNS)
        _quarters(builder, x, _DIAGONALS)
        low, high = (builder.add(x[i], _splat(builder, fixed[i])) for i in range(2))
        pairs = _pick(builder, low, high, [half + b for b in range(WIDTH) for half in (0, WIDTH)])
        place = _place(context, builder, signature.args[2], out, builder.mul(at, ir.Constant(_I64, 2)), 2)
        builder.store(pairs, place, align=4)
        return context.get_dummy_value()

    return types.none(_key, _named, _out, _at), generate


_FLOAT = ir.DoubleType()


def _columns(builder: Any, table: Any, rows: list[Any]) -> list[Any]:
    """The six coefficients of eight rows, a vector for each: whole rows are loaded, and transposed in registers.

    That takes sixteen loads and some twenty shuffles, and was quicker than six gathering loads where it was measured.
    """

    def load(row: Any, first: int, count: int) -> Any:
        place = builder.gep(table, [builder.add(row, ir.Constant(_I64, first))])
        return builder.load(builder.bitcast(place, ir.VectorType(_FLOAT, count).as_pointer()), align=8)

    left = [load(row, 0, 4) for row in rows]
    pairs = [_pick(builder, left[i], left[i + 4], list(range(8))) for i in range(4)]
    columns = []
    for even, odd in ((0, 2), (1, 3)):  # of coefficients 0 and 2, then 1 and 3, those of neighbouring rows
        lanes = [even, even + 8, odd, odd + 8, even + 4, even + 12, odd + 4, odd + 12]
        low, high = (_pick(builder, pairs[i], pairs[i + 1], lanes) for i in (0, 2))
        columns += [_pick(builder, low, high, [i, i + 1, i + 8, i + 9, i + 4, i + 5, i + 12, i + 13]) for i in (0, 2)]
    right = [load(row, 4, 2) for row in rows]
    twos = [_pick(builder, right[i], right[i + 1], [0, 2, 1, 3]) for i in (0, 2, 4, 6)]
    fours = [_pick(builder, twos[i], twos[i + 1], [0, 1, 4, 5, 2, 3, 6, 7]) for i in (0, 2)]
    ends = [_pick(builder, fours[0], fours[1], [i, i + 1, i + 2, i + 3, *range(i + 8, i + 12)]) for i in (0, 4)]
    return [columns[0], columns[2], columns[1], columns[3], *ends]


@cast(Any, intrinsic)  # type: ignore[untyped-decorator]
def quintics(_context: Any, _table: Any, _rows: Any, _q: Any, _at: Any) -> tuple[Any, Callable[..., Any]]:
    """``quintics(table, rows, q, at)``: for eight j from ``at`` on, a table row's quintic at ``q[j]`` goes to ``q[j]``.

    Its six coefficients begin at ``table[rows[j]]``, lowest first. Horner's rule.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        table, rows, q = (
            context.make_array(kind)(context, builder, array).data
            for kind, array in zip(signature.args[:3], arguments[:3], strict=True)
        )
        places = [builder.add(arguments[3], ir.Constant(_I64, i)) for i in range(8)]
        columns = _columns(builder, table, [builder.load(builder.gep(rows, [place])) for place in places])
        home = builder.bitcast(builder.gep(q, [arguments[3]]), ir.VectorType(_FLOAT, 8).as_pointer())
        r = builder.load(home, align=8)
        value = columns[5]
        for column in reversed(columns[:5]):
            value = builder.fadd(builder.fmul(value, r, flags=("contract",)), column, flags=("contract",))
        builder.store(value, home, align=8)
        return context.get_dummy_value()

    return types.none(_table, _rows, _q, _at), generate
