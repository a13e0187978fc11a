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
from laws import each_grid_sampler, each_sampler

from dpframe.errors import MechanismError
from dpframe.kernels import arsinh_normal, fresh_key, student_t
from dpframe.kernels.heavy_laws import StudentT
from dpframe.kernels.jit import kernel
from dpframe.kernels.laws import Rounded
from dpframe.kernels.sampler import Place, Shared, exact_cell

KEY = bytes(range(32))


@each_sampler
@pytest.mark.parametrize(("start", "n"), [(0, 0), (0, 1), (1, 255), (255, 2), (256, 256), (700, 900), (999, 1)])
def test_slices_equal_the_whole(case, start, n):
    whole = case.draw(2000, 7.5, key=KEY, stream=4)
    assert (case.draw(n, 7.5, key=KEY, stream=4, start=start) == whole[start : start + n]).all()


@each_sampler
def test_place_and_key_matter(case):
    base = case.draw(64, 100.0, key=KEY)
    assert (base == case.draw(64, 100.0, key=KEY)).all()
    assert (base != case.draw(64, 100.0, key=KEY, stream=1)).any()
    assert (base != case.draw(64, 100.0, key=bytes(32))).any()
    assert (base != case.draw(64, 100.0, key=KEY, start=64)).any()


@each_sampler
def test_without_a_key_every_call_is_new_whatever_the_seeds(case):
    draws = set()
    for _ in range(4):
        random.seed(1)
        np.random.seed(1)
        draws.add(case.draw(64, 1000.0).tobytes())
    assert len(draws) == 4


@each_sampler
def test_writes_into_out(case):
    out = np.zeros(300, np.int64)
    assert case.draw(300, 50.0, key=KEY, out=out) is out
    assert (out == case.draw(300, 50.0, key=KEY)).all()


@each_sampler
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


@each_sampler
@pytest.mark.parametrize(
    "scale",
    [
        0,
        -1.0,
        0.0,
        float("nan"),
        float("inf"),
        -float("inf"),
        5e-324,
        2.0**-11,
        2.0**51,
        pytest.param(10**400, id="10**400"),
    ],
)
def test_refuses_scales_out_of_range(case, scale):
    with pytest.raises(MechanismError, match=r"between 2\*\*-10 and 2\*\*50.*Choose a grid"):
        case.draw(3, scale)


@each_sampler
@pytest.mark.parametrize("scale", [True, np.True_, None, "1", 1j])
def test_refuses_what_is_no_number(case, scale):
    with pytest.raises(MechanismError, match=r"must be a number.*=1\.0"):
        case.draw(3, scale)


@each_sampler
def test_takes_numbers_of_any_kind(case):
    for scale in (3, np.float64(3), np.int32(3), np.float32(3)):
        assert (case.draw(50, scale, key=KEY) == case.draw(50, 3.0, key=KEY)).all()


@each_sampler
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


@each_grid_sampler
def test_one_scale_for_all_or_each_its_own_is_the_same(case):
    shared = case.draw(700, 3.25, grid=0.25, key=KEY, start=5)
    assert (shared == case.draw(700, 13.0, key=KEY, start=5)).all()
    assert (shared == case.draw(700, np.full(700, 3.25), grid=0.25, key=KEY, start=5)).all()
    assert (shared == case.draw(700, 3.25, grid=0.25, values=np.zeros(700), key=KEY, start=5)).all()
    whole = case.draw(700, 3.25, grid=0.25, values=np.full(700, -4.5), key=KEY, start=5)
    assert (whole == shared - 18).all()


@each_grid_sampler
def test_slices_of_cells_equal_the_whole(case):
    scales, values = np.linspace(1, 90, 900), np.linspace(-50, 50, 900)
    whole = case.draw(900, scales, values=values, key=KEY)
    part = case.draw(300, scales[301:601], values=values[301:601], key=KEY, start=301)
    assert (part == whole[301:601]).all()


@each_grid_sampler
def test_entries_that_may_be_private_never_raise(case):
    """Scales are held to the range, NaN to its upper end; values to ±2**62, NaN to 0."""
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -1.0, 5e-324, 1e300, 1.0])
    held = np.array([2.0**50, 2.0**50, 2.0**-10, 2.0**-10, 2.0**-10, 2.0**-10, 2.0**50, 1.0])
    assert (case.draw(8, odd, key=KEY) == case.draw(8, held, key=KEY)).all()
    held = np.array([0.0, 2.0**62, -(2.0**62), 0.0, -1.0, 0.0, 2.0**62, 1.0])
    assert (case.draw(8, 2.0, values=odd, key=KEY) == case.draw(8, 2.0, values=held, key=KEY)).all()


@each_grid_sampler
@pytest.mark.parametrize("grid", [0, -1.0, 3.0, 0.1, float("nan"), float("inf"), 2.0**201, 2.0**-201, True, "1", None])
def test_refuses_grids(case, grid):
    with pytest.raises(MechanismError, match=r"grid must be a power of two.*try grid="):
        case.draw(3, 1.0, grid=grid)


@pytest.mark.slow
def test_student_t_of_other_degrees():
    """A table made on the spot, certified row by row, for a number that is not whole."""
    law = Rounded(StudentT(4.5), 30.0)
    fast = student_t(60, 30.0, df=4.5, key=KEY)
    assert fast.tolist() == [exact_cell(Shared(law), Place(KEY, 0, 0), i) for i in range(60)]


@pytest.mark.parametrize("df", [0.5, 65, float("nan"), True, "3"])
def test_refuses_degrees(df):
    with pytest.raises(MechanismError, match=r"df must be a number from 1 to 64.*try df=3"):
        student_t(3, 1.0, df=df)


@pytest.mark.parametrize("sigma", [0.0, 2.5, float("nan"), True, "1"])
def test_refuses_sigmas(sigma):
    with pytest.raises(MechanismError, match=r"sigma must be a number from 1/8 to 2.*try sigma="):
        arsinh_normal(3, 1.0, sigma=sigma)


@each_sampler
@pytest.mark.parametrize("scale", [9.0, 2.0**45])
def test_cells_named_by_hash_keep_their_noise_in_any_order(case, scale):
    cells = np.random.default_rng(3).integers(0, 1 << 64, (90, 2), dtype=np.uint64)
    whole = case.draw(90, scale, key=KEY, stream=2, cells=cells)
    order = np.random.default_rng(4).permutation(90)
    assert (case.draw(90, scale, key=KEY, stream=2, cells=cells[order]) == whole[order]).all()
    assert (case.draw(7, scale, key=KEY, stream=2, cells=cells[40:47]) == whole[40:47]).all()
    assert (case.draw(90, scale, key=KEY, stream=3, cells=cells) != whole).any()
    if scale > case.inverts_above:
        assert whole.tolist() == case.exact(scale, case.places(KEY, 2, 0, 90, cells), 90)


def _key_in_child(_):
    return fresh_key()


def test_forked_and_spawned_children_share_no_key():
    with multiprocessing.get_context("fork").Pool(4) as pool:
        keys = pool.map(_key_in_child, range(16), chunksize=1)
    assert len({*keys, fresh_key()}) == 17


def test_kernels_work_where_nothing_can_be_cached(monkeypatch):
    monkeypatch.setattr("numba.core.caching.CompileResultCacheImpl._locator_classes", [])

    def twice(x):
        return 2 * x

    assert kernel(twice)(21) == 42


PORTABLE = """
import hashlib, sys
import numpy as np
sys.path[:0] = {path!r}
from laws import BY_CELL, SAMPLERS
digest = hashlib.sha256()
for case in SAMPLERS + BY_CELL:
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
