"""ChaCha20 in counter mode: the only source of randomness, addressable at any word.

The state is that of D. J. Bernstein's *ChaCha, a variant of Salsa20* (2008) with a 64-bit block counter and a
64-bit nonce, here called the stream::

    state words  0..3  "expand 32-byte k"      4..11  the 256-bit key
                12, 13 block counter, low half first      14, 15 stream, low half first

RFC 8439 splits the same sixteen words as a 32-bit counter and a 96-bit nonce (n0, n1, n2): its block is ours
for block counter ``c + (n0 << 32)`` and stream ``n1 + (n2 << 32)``. OpenSSL's 16-byte ChaCha20 nonce is the
words 12..15 as they stand.

Word order
----------
Blocks are made 32 at a time, so that the lanes of a vector register hold the same state word of neighbouring
blocks, and are left in that order. *Superblock* s consists of the blocks 32·s … 32·s + 31; with ``B[b][i]``
for the i-th output word (32 bits, little endian) of its b-th block, the 64-bit word at 256·s + j is ::

    B[2·(j mod 16)][j div 16]  +  2**32 · B[2·(j mod 16) + 1][j div 16],        j = 0 … 255

that is, position p reads block 32·(p div 256) + 2·(p mod 16) and the next, at word (p mod 256) div 16.
Every position is distinct and all of a block is used, so the words are the key stream, permuted.
"""

from __future__ import annotations

import hashlib
import os
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpframe.errors import MechanismError
from dpframe.kernels.jit import inlined, kernel, wide_vectors
from dpframe.kernels.lanes import WIDTH, blocks, first_words

if sys.byteorder != "little":
    raise ImportError("dpframe.kernels reads the key stream as little-endian words; this CPU is big-endian")

LANES = 32
"""Blocks made side by side."""
SUPERBLOCK = 8 * LANES
"""64-bit words in a superblock."""
KEY_BYTES = 32
CHUNK = 4 * SUPERBLOCK
"""Words that the kernels make at a time: they and what is made of them stay in the level-1 cache."""
END = 1 << 63
"""Positions run from 0 to END - 1."""

_C0 = np.uint32(0x61707865)
_C1 = np.uint32(0x3320646E)
_C2 = np.uint32(0x79622D32)
_C3 = np.uint32(0x6B206574)
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


@kernel
def superblock(key: NDArray[np.uint32], stream: np.uint64, index: np.uint64, o: NDArray[np.uint32]) -> None:
    """Write superblock ``index`` of a stream into ``o`` (512 words of 32 bits) in the module's word order.

    Parameters
    ----------
    key
        Shape (8,): the key's 32-bit words.
    stream, index
        The stream and the superblock's number, below 2**59.
    o
        Shape (512,). As 64-bit words, ``o.view(np.uint64)[j]`` is the word at position ``256 * index + j``.
    """
    wide_vectors()
    first = np.uint64(index) * np.uint64(32)
    secret = (key[0], key[1], key[2], key[3], key[4], key[5], key[6], key[7])
    counter = (np.uint32(first & _LOW), np.uint32(first >> _HALF))
    state = (_C0, _C1, _C2, _C3, *secret, *counter, np.uint32(stream & _LOW), np.uint32(stream >> _HALF))
    for at in range(0, 32, WIDTH):
        blocks(state, o, at)


@inlined
def stretch(key: Any, stream: Any, position: Any, count: Any, lanes: Any) -> None:
    """The superblocks that hold the words from ``position`` on, one after another.

    ``lanes``, 32-bit words, holds at least ``2 * (position % 256 + count)`` rounded up to a multiple of 512.
    """
    first = position >> 8
    for index in range(first, ((position + count - 1) >> 8) + 1):
        at = (index - first) * 512
        superblock(key, stream, np.uint64(index), lanes[at : at + 512])


@kernel
def _fill(key: Any, stream: Any, start: Any, out: Any) -> None:
    buffer = np.empty(256, np.uint64)
    lanes = buffer.view(np.uint32)
    direct = out.view(np.uint32)
    done = 0
    while done < out.size:
        offset = (start + done) & 255
        count = min(256 - offset, out.size - done)
        index = np.uint64((start + done) >> 8)
        if count == 256:
            superblock(key, stream, index, direct[2 * done : 2 * done + 512])
        else:
            superblock(key, stream, index, lanes)
            out[done : done + count] = buffer[offset : offset + count]
        done += count


def fresh_key() -> bytes:
    """A new 256-bit key from the operating system, which is safe across forks and threads.

    Examples
    --------
    >>> len(fresh_key())
    32
    """
    return os.urandom(KEY_BYTES)


def key_words(key: bytes) -> NDArray[np.uint32]:
    """The eight 32-bit words of a key; raises :class:`MechanismError` unless it is 32 bytes.

    Examples
    --------
    >>> key_words(bytes(range(32)))[0] == 0x03020100
    np.True_
    """
    if not isinstance(key, bytes) or len(key) != KEY_BYTES:
        found = f"{len(key)} bytes" if isinstance(key, bytes) else type(key).__name__
        raise MechanismError(f"A key is {KEY_BYTES} bytes, not {found}; draw one with kernels.fresh_key().")
    return np.frombuffer(key, np.uint32)


def words(key: bytes, stream: int, start: int, n: int) -> NDArray[np.uint64]:
    """The words at positions ``start`` … ``start + n - 1`` of a stream.

    Parameters
    ----------
    key
        32 bytes.
    stream
        A 64-bit number; streams of one key are independent.
    start, n
        First position and how many; ``start + n`` ≤ 2**63.

    Returns
    -------
    ndarray of uint64, shape (n,)
        Independent uniform 64-bit words. A slice equals the same slice of the whole.

    Raises
    ------
    MechanismError
        If the key is not 32 bytes or a number is out of range.

    Notes
    -----
    Source: RFC 8439 and the layout in the module's docstring.

    Examples
    --------
    >>> key = bytes(32)
    >>> (words(key, 7, 1000, 5) == words(key, 7, 0, 1005)[1000:]).all()
    np.True_
    """
    state = key_words(key)
    check_position(stream, start, n)
    out = np.empty(n, np.uint64)
    _fill(state, np.uint64(stream), np.int64(start), out)
    return out


@kernel
def _fill_at(key: Any, named: Any, out: Any) -> None:
    """Words of the hashes whose four 32-bit words are ``named[4 * i :]``; ``out`` has two for each, of 32 bits."""
    wide_vectors()
    secret = (key[0], key[1], key[2], key[3], key[4], key[5], key[6], key[7])
    for at in range(0, out.size >> 1, WIDTH):
        first_words(secret, named, out, at)


def words_at(key: bytes, cells: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A word for each cell that is named by a 128-bit hash instead of a position.

    The hash fills the state words 12 … 15, where :func:`words` has counter and stream, so the two must never
    be used with one key: see :func:`cell_key`. The word is the first of the block.

    Parameters
    ----------
    key
        32 bytes.
    cells
        Shape (n, 2), uint64: the low and the high half of each hash.

    Returns
    -------
    ndarray of uint64, shape (n,)
        Independent uniform words for different hashes, equal ones for equal hashes, in any order of cells.

    Raises
    ------
    MechanismError
        If the key is not 32 bytes or ``cells`` is not of that shape and type.

    Examples
    --------
    >>> cells = np.array([[1, 0], [2, 0], [1, 0]], np.uint64)
    >>> a, b, c = words_at(bytes(32), cells)
    >>> bool(a == c), bool(a == b)
    (True, False)
    """
    state = key_words(key)
    if not isinstance(cells, np.ndarray) or cells.dtype != np.uint64 or cells.ndim != 2 or cells.shape[1] != 2:
        raise MechanismError("cells must be a uint64 array of shape (n, 2), the halves of 128-bit hashes.")
    n = len(cells)
    whole = n - n % LANES
    named = np.ascontiguousarray(cells).view(np.uint32).ravel()
    last = np.zeros(4 * LANES, np.uint32)
    last[: 4 * (n - whole)] = named[4 * whole :]
    out = np.empty(whole + LANES, np.uint64)
    halves = out.view(np.uint32)
    _fill_at(state, named[: 4 * whole], halves[: 2 * whole])
    _fill_at(state, last, halves[2 * whole :])
    return out[:n]


def cell_key(key: bytes, stream: int) -> bytes:
    """The key under which the cells of a stream are addressed by hash: BLAKE2b (RFC 7693) of the stream, keyed.

    Examples
    --------
    >>> cell_key(bytes(32), 0) == cell_key(bytes(32), 1)
    False
    """
    return hashlib.blake2b(
        stream.to_bytes(8, "little"), key=key, digest_size=KEY_BYTES, person=b"dpframe-cells"
    ).digest()


def second_key(key: bytes) -> bytes:
    """The key of second words, for cells that need two: BLAKE2b (RFC 7693) of nothing, keyed.

    Examples
    --------
    >>> second_key(bytes(32)) == bytes(32)
    False
    """
    key_words(key)
    return hashlib.blake2b(key=key, digest_size=KEY_BYTES, person=b"dpframe-second").digest()


def check_position(stream: int, start: int, n: int) -> None:
    """Raise :class:`MechanismError` unless these name words of a stream.

    Examples
    --------
    >>> check_position(stream=0, start=0, n=10)
    """
    _check_number("stream", stream, 1 << 64, "2**64 - 1")
    _check_number("start", start, END, "2**63 - 1")
    _check_number("n", n, END + 1 - start, "2**63 - start")


def _check_number(name: str, value: object, end: int, limit: str) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not 0 <= value < end:
        raise MechanismError(f"{name} must be a whole number from 0 to {limit}, not {value!r}.")
