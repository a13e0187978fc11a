"""The key stream against RFC 8439 and OpenSSL, and its addressing."""

import random

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from hypothesis import given, settings
from hypothesis import strategies as st

from dpframe.errors import MechanismError
from dpframe.kernels import chacha

KEY = bytes(range(32))


def in_block_order(words: np.ndarray) -> bytes:
    """Whole superblocks of words, put back into the order of the cipher's output, as the docstring says."""
    out = np.empty((words.size // 256, 32, 16), np.uint32)
    for p, word in enumerate(words.tolist()):
        block, index = 2 * (p % 16), p % 256 // 16
        out[p // 256, block, index] = word & 0xFFFFFFFF
        out[p // 256, block + 1, index] = word >> 32
    return out.tobytes()


def openssl(key: bytes, stream: int, block: int, size: int) -> bytes:
    """Block by block, because ``cryptography`` will not carry from the low half of the counter to the high one."""
    text = b""
    for counter in range(block, block + -(-size // 64)):
        nonce = counter.to_bytes(8, "little") + stream.to_bytes(8, "little")
        text += Cipher(algorithms.ChaCha20(key, nonce), None).encryptor().update(bytes(64))
    return text[:size]


def test_rfc_8439_block_function():
    # §2.3.2: counter 1, nonce 00:00:00:09:00:00:00:4a:00:00:00:00
    n0, n1, n2 = 0x09000000, 0x4A000000, 0
    block = 1 + (n0 << 32)
    stream = n1 + (n2 << 32)
    start = block // 32 * 256
    stream_bytes = in_block_order(chacha.words(KEY, stream, start, 256))
    assert stream_bytes[64 * (block % 32) :][:64].hex() == (
        "10f1e7e4d13b5915500fdd1fa32071c4c7d1f4c733c068030422aa9ac3d46c4e"
        "d2826446079faa0914c2d705d98b02a2b5129cd1de164eb9cbd083e8a2503c4e"
    )


def test_rfc_8439_zero_key():
    # Appendix A.1, test vector 1
    assert in_block_order(chacha.words(bytes(32), 0, 0, 256))[:64].hex() == (
        "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
        "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"
    )


@settings(max_examples=25, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.integers(0, 2**64 - 1), st.integers(0, 2**55 - 4))
def test_equals_openssl(key, stream, superblock):
    ours = in_block_order(chacha.words(key, stream, 256 * superblock, 768))
    assert ours == openssl(key, stream, 32 * superblock, 768 * 8)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 1500), st.integers(0, 700))
def test_slices_equal_the_whole(start, n):
    whole = chacha.words(KEY, 3, 0, 2200)
    assert (chacha.words(KEY, 3, start, n) == whole[start : start + n]).all()


def test_the_counter_carries_into_its_high_half():
    superblock = 2**27 - 1  # its last block is number 2**32 - 1
    ours = in_block_order(chacha.words(KEY, 5, 256 * superblock, 512))
    assert ours == openssl(KEY, 5, 32 * superblock, 512 * 8)


def test_the_last_word_and_none():
    assert chacha.words(KEY, 2**64 - 1, 2**63 - 1, 1).shape == (1,)
    assert chacha.words(KEY, 0, 5, 0).shape == (0,)


def test_words_of_different_places_differ():
    a = chacha.words(KEY, 0, 0, 4096)
    b = chacha.words(KEY, 1, 0, 4096)
    c = chacha.words(bytes(32), 0, 0, 4096)
    assert np.unique(np.concatenate([a, b, c])).size == 3 * 4096


def test_fresh_keys_ignore_seeds():
    keys = set()
    for _ in range(4):
        random.seed(1)
        np.random.seed(1)
        keys.add(chacha.fresh_key())
    assert len(keys) == 4


@pytest.mark.parametrize("key", [bytes(31), bytes(33), b"", "x" * 32, None, bytearray(32)])
def test_refuses_keys(key):
    with pytest.raises(MechanismError, match=r"A key is 32 bytes.*kernels\.fresh_key\(\)"):
        chacha.words(key, 0, 0, 1)


@pytest.mark.parametrize(
    ("name", "place"),
    [
        ("stream", (-1, 0, 1)),
        ("stream", (2**64, 0, 1)),
        ("stream", (True, 0, 1)),
        ("start", (0, -1, 1)),
        ("start", (0, 2**63, 0)),
        ("start", (0, 0.5, 1)),
        ("n", (0, 0, -1)),
        ("n", (0, 2**63 - 1, 2)),
        ("n", (0, 0, 3.0)),
    ],
)
def test_refuses_places(name, place):
    with pytest.raises(MechanismError, match=f"^{name} must be a whole number"):
        chacha.words(KEY, *place)


@settings(max_examples=15, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.integers(0, 70), st.integers(0, 2**64 - 1))
def test_words_by_hash_equal_openssl(key, n, seed):
    cells = np.random.default_rng(seed).integers(0, 1 << 64, (n, 2), dtype=np.uint64)
    expected = [int.from_bytes(openssl(key, int(high), int(low), 8), "little") for low, high in cells.tolist()]
    assert chacha.words_at(key, cells).tolist() == expected


def test_keys_of_streams_addressed_by_hash_are_their_own():
    keys = {chacha.cell_key(key, stream) for key in (KEY, bytes(32)) for stream in (0, 1, 2**64 - 1)}
    assert len(keys | {KEY, bytes(32)}) == 8


@pytest.mark.parametrize(
    "cells", [np.zeros((3, 2), np.int64), np.zeros(6, np.uint64), np.zeros((3, 3), np.uint64), [[0, 0]]]
)
def test_refuses_cells(cells):
    with pytest.raises(MechanismError, match=r"shape \(n, 2\)"):
        chacha.words_at(KEY, cells)
