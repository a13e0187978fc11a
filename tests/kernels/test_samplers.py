"""What a call promises: addressing, keys, determinism, arguments and their refusal."""

import multiprocessing
import os
import random
import subprocess
import sys
import threading

import mpmath
import numpy as np
import pytest
from laws import CASES

from dpframe.errors import MechanismError
from dpframe.kernels import fresh_key

KEY = bytes(range(32))
each_law = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@each_law
@pytest.mark.parametrize(("start", "n"), [(0, 0), (0, 1), (1, 255), (255, 2), (256, 256), (700, 900), (999, 1)])
def test_slices_equal_the_whole(case, start, n):
    whole = case.draw(2000, 7.5, key=KEY, stream=4)
    assert (case.draw(n, 7.5, key=KEY, stream=4, start=start) == whole[start : start + n]).all()


@each_law
def test_place_and_key_matter(case):
    base = case.draw(64, 100.0, key=KEY)
    assert (base == case.draw(64, 100.0, key=KEY)).all()
    assert (base != case.draw(64, 100.0, key=KEY, stream=1)).any()
    assert (base != case.draw(64, 100.0, key=bytes(32))).any()
    assert (base != case.draw(64, 100.0, key=KEY, start=64)).any()


@each_law
def test_without_a_key_every_call_is_new_whatever_the_seeds(case):
    draws = set()
    for _ in range(4):
        random.seed(1)
        np.random.seed(1)
        draws.add(case.draw(64, 1000.0).tobytes())
    assert len(draws) == 4


@each_law
def test_writes_into_out(case):
    out = np.zeros(300, np.int64)
    assert case.draw(300, 50.0, key=KEY, out=out) is out
    assert (out == case.draw(300, 50.0, key=KEY)).all()


@each_law
@pytest.mark.parametrize(
    "out",
    [
        np.zeros(3),
        np.zeros(3, np.int32),
        np.zeros(4, np.int64),
        np.zeros((3, 1), np.int64),
        np.zeros(6, np.int64)[::2],
        np.frombuffer(bytes(24), np.int64),
        [0, 0, 0],
    ],
    ids=["float", "int32", "long", "matrix", "strided", "read-only", "list"],
)
def test_refuses_out(case, out):
    with pytest.raises(MechanismError, match=r"try out=np\.empty\(3, np\.int64\)"):
        case.draw(3, 1.0, out=out)


@each_law
@pytest.mark.parametrize(
    "scale",
    [0, -1.0, 0.0, float("nan"), float("inf"), -float("inf"), 5e-324, 2.0**-11, 2.0**51, 10**400],
)
def test_refuses_scales_out_of_range(case, scale):
    with pytest.raises(MechanismError, match=r"between 2\*\*-10 and 2\*\*50.*Choose a grid"):
        case.draw(3, scale)


@each_law
@pytest.mark.parametrize("scale", [True, np.True_, None, "1", 1j])
def test_refuses_what_is_no_number(case, scale):
    with pytest.raises(MechanismError, match=r"must be a number.*=1\.0"):
        case.draw(3, scale)


@each_law
def test_takes_numbers_of_any_kind(case):
    for scale in (3, np.float64(3), np.int32(3), np.float32(3)):
        assert (case.draw(50, scale, key=KEY) == case.draw(50, 3.0, key=KEY)).all()


@each_law
def test_refuses_keys_and_places(case):
    with pytest.raises(MechanismError, match="A key is 32 bytes"):
        case.draw(1, 1.0, key=b"short")
    with pytest.raises(MechanismError, match="start must be a whole number"):
        case.draw(1, 1.0, start=-1)
    with pytest.raises(MechanismError, match="stream must be a whole number"):
        case.draw(1, 1.0, stream=2**64)
    with pytest.raises(MechanismError, match="n must be a whole number"):
        case.draw(-1, 1.0)


@each_law
def test_precision_is_each_threads_own(case):
    """Refinement while other threads refine and while someone turns mpmath's global precision down."""
    expected = case.draw(300, 2.0**50, key=KEY)
    seen = []

    def work():
        mpmath.mp.prec = 20
        seen.append(case.draw(300, 2.0**50, key=KEY))

    threads = [threading.Thread(target=work) for _ in range(4)]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
        mpmath.mp.prec = 53
    assert len(seen) == 4
    assert all((draw == expected).all() for draw in seen)


def _key_in_child(_):
    return fresh_key()


def test_forked_and_spawned_children_share_no_key():
    with multiprocessing.get_context("fork").Pool(4) as pool:
        keys = pool.map(_key_in_child, range(16), chunksize=1)
    assert len({*keys, fresh_key()}) == 17


PORTABLE = """
import hashlib, sys
import numpy as np
sys.path[:0] = {path!r}
from laws import CASES
digest = hashlib.sha256()
for case in CASES:
    for scale in (0.5, 10.0, 1e6):
        digest.update(case.draw(1 << 15, scale, key=bytes(range(32)), stream=3, start=77).tobytes())
print(digest.hexdigest())
"""


@pytest.mark.slow
def test_the_same_values_on_every_cpu(tmp_path):
    """AVX-512 (where there is one), AVX2 and plain SSE2 builds give the same bits."""
    script = PORTABLE.format(path=[os.path.dirname(__file__)])
    digests = set()
    for cpu in (None, "x86-64-v3", "x86-64"):
        environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / str(cpu))}
        if cpu is not None:
            environment["NUMBA_CPU_NAME"] = cpu
            environment["NUMBA_CPU_FEATURES"] = ""
        run = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
        )
        digests.add(run.stdout)
    assert len(digests) == 1
