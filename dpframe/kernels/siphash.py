"""SipHash-2-4: a keyed 64-bit hash of identifiers and of key columns.

Source: J.-P. Aumasson and D. J. Bernstein, *SipHash: a fast short-input PRF*, INDOCRYPT 2012.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dpframe.errors import MechanismError
from dpframe.kernels.jit import inlined, kernel, pasted, wide_vectors

SIP_KEY_BYTES = 16


@inlined
def _rotate(x: Any, count: Any) -> Any:
    return (x << np.uint64(count)) | (x >> np.uint64(64 - count))


@inlined
def _round(v0: Any, v1: Any, v2: Any, v3: Any) -> Any:
    v0 += v1
    v2 += v3
    v1 = _rotate(v1, 13) ^ v0
    v3 = _rotate(v3, 16) ^ v2
    v0 = _rotate(v0, 32)
    v2 += v1
    v0 += v3
    v1 = _rotate(v1, 17) ^ v2
    v3 = _rotate(v3, 21) ^ v0
    v2 = _rotate(v2, 32)
    return v0, v1, v2, v3


@inlined
def _begin(k0: Any, k1: Any) -> Any:
    return (
        k0 ^ np.uint64(0x736F6D6570736575),
        k1 ^ np.uint64(0x646F72616E646F6D),
        k0 ^ np.uint64(0x6C7967656E657261),
        k1 ^ np.uint64(0x7465646279746573),
    )


@inlined
def _absorb(v0: Any, v1: Any, v2: Any, v3: Any, m: Any) -> Any:
    v0, v1, v2, v3 = _round(v0, v1, v2, v3 ^ m)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ m, v1, v2, v3


@inlined
def _finish(v0: Any, v1: Any, v2: Any, v3: Any) -> Any:
    v0, v1, v2, v3 = _round(v0, v1, v2 ^ np.uint64(0xFF), v3)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3


@pasted
def sip_word(k0: Any, k1: Any, a: Any) -> Any:
    """SipHash-2-4 of the 8-byte message ``a``, little endian, in uint64. For other kernels to call.

    Examples
    --------
    >>> key = np.frombuffer(bytes(range(16)), np.uint64)
    >>> hex(sip_word(key[0], key[1], np.uint64(0x0706050403020100)))
    '0x93f5f5799a932462'
    """
    v0, v1, v2, v3 = _begin(k0, k1)
    v0, v1, v2, v3 = _absorb(v0, v1, v2, v3, a)
    v0, v1, v2, v3 = _absorb(v0, v1, v2, v3, np.uint64(8 << 56))
    return _finish(v0, v1, v2, v3)


@pasted
def sip_pair(k0: Any, k1: Any, a: Any, b: Any) -> Any:
    """SipHash-2-4 of the 16-byte message ``a`` then ``b``, little endian; uint64. For other kernels to call.

    Examples
    --------
    >>> key = np.frombuffer(bytes(range(16)), np.uint64)
    >>> hex(sip_pair(key[0], key[1], np.uint64(0x0706050403020100), np.uint64(0x0F0E0D0C0B0A0908)))
    '0x3f2acc7f57c29bdb'
    """
    v0, v1, v2, v3 = _begin(k0, k1)
    v0, v1, v2, v3 = _absorb(v0, v1, v2, v3, a)
    v0, v1, v2, v3 = _absorb(v0, v1, v2, v3, b)
    v0, v1, v2, v3 = _absorb(v0, v1, v2, v3, np.uint64(16 << 56))
    return _finish(v0, v1, v2, v3)


@kernel
def _int64(values: Any, k0: Any, k1: Any, out: Any) -> None:
    wide_vectors()
    for i in range(values.size):
        out[i] = sip_word(k0, k1, np.uint64(values[i]))


@kernel
def _utf8(offsets: Any, data: Any, k0: Any, k1: Any, out: Any) -> None:
    for i in range(out.size):
        begin = np.int64(offsets[i])
        length = np.int64(offsets[i + 1]) - begin
        v0, v1, v2, v3 = _begin(k0, k1)
        for block in range(length >> 3):
            m = np.uint64(0)
            for j in range(8):
                m |= np.uint64(data[begin + 8 * block + j]) << np.uint64(8 * j)
            v0, v1, v2, v3 = _absorb(v0, v1, v2, v3, m)
        m = np.uint64(length & 0xFF) << np.uint64(56)
        rest = begin + ((length >> 3) << 3)
        for j in range(length & 7):
            m |= np.uint64(data[rest + j]) << np.uint64(8 * j)
        v0, v1, v2, v3 = _absorb(v0, v1, v2, v3, m)
        out[i] = _finish(v0, v1, v2, v3)


def sip_key(key: bytes) -> tuple[np.uint64, np.uint64]:
    """The two words of a 16-byte key; raises :class:`MechanismError` for any other.

    Examples
    --------
    >>> sip_key(bytes(range(16)))[0] == 0x0706050403020100
    np.True_
    """
    if not isinstance(key, bytes) or len(key) != SIP_KEY_BYTES:
        found = f"{len(key)} bytes" if isinstance(key, bytes) else type(key).__name__
        raise MechanismError(f"A hash key is {SIP_KEY_BYTES} bytes, not {found}; os.urandom(16) draws one.")
    k0, k1 = np.frombuffer(key, np.uint64)
    return k0, k1


def hash_int64(values: NDArray[np.int64], key: bytes) -> NDArray[np.uint64]:
    """SipHash-2-4 of each value's eight little-endian bytes.

    Parameters
    ----------
    values
        Shape (n,), int64.
    key
        16 bytes.

    Returns
    -------
    ndarray of uint64, shape (n,)

    Raises
    ------
    MechanismError
        If the key is not 16 bytes or ``values`` is not a vector of int64.

    Examples
    --------
    >>> [hex(h) for h in hash_int64(np.array([0x0706050403020100]), bytes(range(16)))]
    ['0x93f5f5799a932462']
    """
    k0, k1 = sip_key(key)
    if not isinstance(values, np.ndarray) or values.dtype != np.int64 or values.ndim != 1:
        raise MechanismError("values must be a vector of int64; try np.asarray(values, np.int64).")
    out = np.empty(values.size, np.uint64)
    _int64(np.ascontiguousarray(values), k0, k1, out)
    return out


def hash_utf8(
    offsets: NDArray[np.int32] | NDArray[np.int64], data: NDArray[np.uint8], key: bytes
) -> NDArray[np.uint64]:
    """SipHash-2-4 of each text, laid out as in Arrow: text i is ``data[offsets[i]:offsets[i + 1]]``.

    Parameters
    ----------
    offsets
        Shape (n + 1,), int32 or int64, not decreasing, within ``data``.
    data
        The bytes, uint8.
    key
        16 bytes.

    Returns
    -------
    ndarray of uint64, shape (n,)

    Raises
    ------
    MechanismError
        If the key is not 16 bytes, a dtype is wrong, or the offsets leave ``data`` or decrease.

    Examples
    --------
    >>> data = np.arange(15, dtype=np.uint8)
    >>> [hex(h) for h in hash_utf8(np.array([0, 15]), data, bytes(range(16)))]
    ['0xa129ca6149be45e5']
    """
    k0, k1 = sip_key(key)
    if offsets.dtype not in (np.dtype(np.int32), np.dtype(np.int64)) or offsets.ndim != 1 or not offsets.size:
        raise MechanismError("offsets must be a vector of int32 or int64 with one entry more than there are texts.")
    if data.dtype != np.uint8 or data.ndim != 1:
        raise MechanismError("data must be a vector of uint8; try np.frombuffer(buffer, np.uint8).")
    if offsets[0] < 0 or offsets[-1] > data.size or (offsets[1:] < offsets[:-1]).any():
        raise MechanismError("offsets must not decrease and must stay within data; pass an Arrow array's own buffers.")
    out = np.empty(offsets.size - 1, np.uint64)
    _utf8(np.ascontiguousarray(offsets), np.ascontiguousarray(data), k0, k1, out)
    return out
