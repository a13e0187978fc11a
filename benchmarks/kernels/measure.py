"""Timings in this process: every law, the key stream, numpy. All take turns, so that load falls on all alike."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import numpy as np

from benchmarks.kernels.stages import stages
from dpframe import kernels
from dpframe.kernels import chacha, siphash

N = 1_000_000
SCALES = (0.5, 1.0, 10.0, 1e3, 1e6)
KEY = bytes(range(32))
Task = Callable[[], object]


def take_turns(tasks: dict[str, Task], rounds: int) -> dict[str, float]:
    """Median seconds of each task over some rounds, each round running all of them."""
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for task in tasks.values():
        task()
    for _ in range(rounds):
        for name, task in tasks.items():
            begin = time.perf_counter()
            task()
            seconds[name].append(time.perf_counter() - begin)
    return {name: median(times) for name, times in seconds.items()}


def laws(out: np.ndarray) -> dict[str, Callable[[float], object]]:
    """A draw of N samples at a scale, for every law."""
    light = ("discrete_laplace", "geometric", "laplace", "exponential", "discrete_gaussian", "gaussian")
    heavy = ("student_t", "cauchy", "gamma4", "arsinh_normal")

    products = {"laplace_lognormal": {"sigma": 0.25}, "uniform_lognormal": {"sigma": 0.6}}

    def drawing(name: str, **shape: float) -> Callable[[float], object]:
        draw = getattr(kernels, name)
        return lambda scale: draw(N, scale, **shape, key=KEY, out=out)

    return {name: drawing(name, **products.get(name, {})) for name in (*light, *heavy, *products)}


def comparisons(out: np.ndarray, short: bool) -> dict[str, Task]:
    """The two sides of every ratio with numpy, and the key stream."""
    g = np.random.default_rng(1)
    x, s = g.normal(0, 1000, N), np.exp(g.normal(3, 1, N))
    p = -np.expm1(-0.1)
    tasks: dict[str, Task] = {
        "discrete_laplace": lambda: kernels.discrete_laplace(N, 10.0, key=KEY, out=out),
        "discrete_gaussian 10": lambda: kernels.discrete_gaussian(N, 10.0, key=KEY, out=out),
        "discrete_gaussian 1000": lambda: kernels.discrete_gaussian(N, 1000.0, key=KEY, out=out),
        "numpy laplace": lambda: g.laplace(0, 10.0, N),
        "numpy normal": lambda: g.normal(0, 10.0, N),
    }
    if short:
        return tasks
    return tasks | {
        "discrete_laplace 1": lambda: kernels.discrete_laplace(N, 1.0, key=KEY, out=out),
        "discrete_laplace 1e6": lambda: kernels.discrete_laplace(N, 1e6, key=KEY, out=out),
        "discrete_gaussian 64": lambda: kernels.discrete_gaussian(N, 64.0, key=KEY, out=out),
        "laplace per cell": lambda: kernels.laplace(N, s, values=x, grid=2.0**-10, key=KEY, out=out),
        "gaussian per cell": lambda: kernels.gaussian(N, s, values=x, grid=2.0**-10, key=KEY, out=out),
        "student_t per cell": lambda: kernels.student_t(N, s, values=x, grid=2.0**-10, key=KEY, out=out),
        "gamma4 per cell": lambda: kernels.gamma4(N, s, values=x, grid=2.0**-10, key=KEY, out=out),
        "cauchy per cell": lambda: kernels.cauchy(N, s, values=x, grid=2.0**-10, key=KEY, out=out),
        "numpy geometric - geometric": lambda: g.geometric(p, N) - g.geometric(p, N),
        "numpy x + laplace(vector)": lambda: x + g.laplace(0, s),
        "numpy x + normal(vector)": lambda: x + g.normal(0, s),
        "numpy x + s * standard_t(3)": lambda: x + s * g.standard_t(3, N),
    }


def streams() -> dict[str, Task]:
    """The key stream alone and OpenSSL's, sixteen times into a reused buffer of 1 MiB."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

    words, zeros, text = np.empty(1 << 17, np.uint64), bytes(1 << 20), bytearray(1 << 20)
    state = chacha.key_words(KEY)
    encryptor = Cipher(algorithms.ChaCha20(KEY, bytes(16)), None).encryptor()

    def ours() -> None:
        for i in range(16):
            chacha._fill(state, np.uint64(0), np.int64(i << 17), words)

    def openssl() -> None:
        for _ in range(16):
            encryptor.update_into(zeros, text)

    return {"key stream": ours, "OpenSSL ChaCha20": openssl}


def two_threads(rounds: int) -> float:
    """How much more two threads draw than one in the same time."""
    outs = [np.empty(4 * N, np.int64) for _ in range(2)]

    def draw(out: np.ndarray) -> None:
        kernels.discrete_laplace(4 * N, 10.0, key=KEY, out=out)

    def both() -> None:
        threads = [threading.Thread(target=draw, args=(out,)) for out in outs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    seconds = take_turns({"one": lambda: draw(outs[0]), "two": both}, rounds)
    return 2 * seconds["one"] / seconds["two"]


def small_calls(rounds: int) -> dict[str, float]:
    """Microseconds of one call for few cells, with a fresh key each time."""

    def many(name: str, n: int) -> Task:
        draw = getattr(kernels, name)

        def calls() -> None:
            for _ in range(1000):
                draw(n, 10.0)

        return calls

    names = ("discrete_laplace", "gaussian", "discrete_gaussian")
    tasks = {f"{name} {n}": many(name, n) for name in names for n in (1, 10, 100)}
    return {name: seconds * 1e3 for name, seconds in take_turns(tasks, rounds).items()}


def measure(rounds: int, short: bool) -> dict[str, Any]:
    """Everything this process can time. Rates in millions of samples a second."""
    out = np.empty(N, np.int64)
    compared = take_turns(comparisons(out, short), rounds)
    found: dict[str, Any] = {"compared": {name: N / seconds / 1e6 for name, seconds in compared.items()}}
    if short:
        return found
    tasks = {f"{name} {scale:g}": lambda d=draw, s=scale: d(s) for name, draw in laws(out).items() for scale in SCALES}
    found["laws"] = {name: N / seconds / 1e6 for name, seconds in take_turns(tasks, rounds).items()}
    found["streams"] = {name: 16 * 2**20 / seconds / 1e6 for name, seconds in take_turns(streams(), rounds).items()}
    ids = np.arange(N)
    cells = np.random.default_rng(2).integers(0, 1 << 64, (N, 2), dtype=np.uint64)
    hashed: dict[str, Task] = {
        "SipHash-2-4 of 64-bit ids": lambda: siphash.hash_int64(ids, KEY[:16]),
        "words by 128-bit hash": lambda: chacha.words_at(KEY, cells),
        "discrete_laplace by 128-bit hash": lambda: kernels.discrete_laplace(N, 10.0, key=KEY, cells=cells, out=out),
    }
    found["hashed"] = {name: N / seconds / 1e6 for name, seconds in take_turns(hashed, rounds).items()}
    steps = stages(out)
    alone = take_turns({name: task for name, (task, _) in steps.items()}, rounds)
    found["stages"] = {name: seconds / steps[name][1] * 1e9 for name, seconds in alone.items()}
    found["two_threads"] = two_threads(rounds)
    found["small"] = small_calls(rounds)
    return found


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[2]), short=True)))
