"""SipHash-2-4 against the vectors of its authors and against an independent implementation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpframe.errors import MechanismError
from dpframe.kernels import siphash
from dpframe.kernels.jit import kernel

KEY = bytes(range(16))
MASK = 2**64 - 1


def reference(key: bytes, message: bytes) -> int:
    """SipHash-2-4 in plain integers, from the paper."""
    k0, k1 = int.from_bytes(key[:8], "little"), int.from_bytes(key[8:], "little")
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def turn(x: int, n: int) -> int:
        return (x << n | x >> (64 - n)) & MASK

    def rounds(count: int) -> None:
        for _ in range(count):
            v[0] = (v[0] + v[1]) & MASK
            v[1] = turn(v[1], 13) ^ v[0]
            v[0] = turn(v[0], 32)
            v[2] = (v[2] + v[3]) & MASK
            v[3] = turn(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & MASK
            v[3] = turn(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & MASK
            v[1] = turn(v[1], 17) ^ v[2]
            v[2] = turn(v[2], 32)

    padded = message + bytes(7 - len(message) % 8) + bytes([len(message) & 255])
    for i in range(0, len(padded), 8):
        m = int.from_bytes(padded[i : i + 8], "little")
        v[3] ^= m
        rounds(2)
        v[0] ^= m
    v[2] ^= 0xFF
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


def texts(messages: list[bytes], width: type = np.int32) -> tuple[np.ndarray, np.ndarray]:
    offsets = np.cumsum([0, *map(len, messages)]).astype(width)
    return offsets, np.frombuffer(b"".join(messages), np.uint8)


def test_vectors():
    # vectors.h of the reference implementation: message 00 01 … of length 0, 1, 8, 15, 63
    expected = {
        0: 0x726FDB47DD0E0E31,
        1: 0x74F839C593DC67FD,
        8: 0x93F5F5799A932462,
        15: 0xA129CA6149BE45E5,
        63: 0x958A324CEB064572,
    }
    hashes = siphash.hash_utf8(*texts([bytes(range(n)) for n in expected]), KEY)
    assert hashes.tolist() == list(expected.values())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=20), st.binary(min_size=16, max_size=16))
def test_texts_equal_the_reference(messages, key):
    expected = [reference(key, message) for message in messages]
    assert siphash.hash_utf8(*texts(messages), key).tolist() == expected
    assert siphash.hash_utf8(*texts(messages, np.int64), key).tolist() == expected


def test_long_text_keeps_only_the_low_byte_of_its_length():
    message = bytes(300)
    assert siphash.hash_utf8(*texts([message]), KEY)[0] == reference(KEY, message)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-(2**63), 2**63 - 1), max_size=30), st.binary(min_size=16, max_size=16))
def test_integers_equal_the_reference(values, key):
    expected = [reference(key, value.to_bytes(8, "little", signed=True)) for value in values]
    assert siphash.hash_int64(np.array(values, np.int64), key).tolist() == expected


def test_integers_in_strides():
    values = np.arange(20)
    assert (siphash.hash_int64(values[::2], KEY) == siphash.hash_int64(values, KEY)[::2]).all()


def test_pairs_inside_a_kernel():
    @kernel
    def pairs(k0, k1, a, b, out):
        for i in range(a.size):
            out[i] = siphash.sip_pair(k0, k1, a[i], b[i])

    a, b = np.arange(5, dtype=np.uint64) << np.uint64(60), np.arange(5, dtype=np.uint64)
    out = np.empty(5, np.uint64)
    pairs(*siphash.sip_key(KEY), a, b, out)
    assert out.tolist() == [reference(KEY, x.tobytes() + y.tobytes()) for x, y in zip(a, b, strict=True)]


@pytest.mark.parametrize("key", [bytes(15), bytes(32), "k" * 16])
def test_refuses_keys(key):
    with pytest.raises(MechanismError, match="A hash key is 16 bytes"):
        siphash.hash_int64(np.zeros(1, np.int64), key)


def test_refuses_arrays():
    data = np.zeros(4, np.uint8)
    for values in (np.zeros(3), np.zeros(3, np.int32), np.zeros((2, 2), np.int64), [1, 2]):
        with pytest.raises(MechanismError, match="vector of int64"):
            siphash.hash_int64(values, KEY)
    for offsets in ([0, 5], [-1, 2], [3, 1]):
        with pytest.raises(MechanismError, match="offsets must not decrease"):
            siphash.hash_utf8(np.array(offsets), data, KEY)
    with pytest.raises(MechanismError, match="vector of int32 or int64"):
        siphash.hash_utf8(np.array([0.0, 1.0]), data, KEY)
    with pytest.raises(MechanismError, match="vector of uint8"):
        siphash.hash_utf8(np.array([0, 1]), np.zeros(4, np.int8), KEY)
