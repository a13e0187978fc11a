"""Samples per second of one peer library: ``python peers.py opendp|diffprivlib ROUNDS``, in its own environment."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from statistics import median


def opendp() -> dict[str, tuple[int, Callable[[], object]]]:
    """Vector mechanisms, lists in and out, as its users call them."""
    import opendp.prelude as dp

    dp.enable_features("contrib")
    n = 20_000
    integers = dp.vector_domain(dp.atom_domain(T=int))
    floats = dp.vector_domain(dp.atom_domain(T=float, nan=False))
    l1 = {int: dp.l1_distance(T=int), float: dp.l1_distance(T=float)}
    l2 = {int: dp.l2_distance(T=int), float: dp.l2_distance(T=float)}
    zeros, points = [0] * n, [0.0] * n
    laplace = dp.m.make_laplace(integers, l1[int], 10.0)
    gaussian = dp.m.make_gaussian(integers, l2[int], 10.0)
    laplace_float = dp.m.make_laplace(floats, l1[float], 10.0)
    gaussian_float = dp.m.make_gaussian(floats, l2[float], 10.0)
    return {
        "laplace int": (n, lambda: laplace(zeros)),
        "gaussian int": (n, lambda: gaussian(zeros)),
        "laplace float": (n, lambda: laplace_float(points)),
        "gaussian float": (n, lambda: gaussian_float(points)),
    }


def diffprivlib() -> dict[str, tuple[int, Callable[[], object]]]:
    """One value a call: it has no other."""
    from diffprivlib.mechanisms import Gaussian, GaussianDiscrete, Geometric, Laplace

    n = 500
    made = {
        "laplace int": (Geometric(epsilon=0.1, sensitivity=1), 0),
        "gaussian int": (GaussianDiscrete(epsilon=0.5, delta=1e-5, sensitivity=1), 0),
        "laplace float": (Laplace(epsilon=0.1, sensitivity=1.0), 0.0),
        "gaussian float": (Gaussian(epsilon=0.5, delta=1e-5, sensitivity=1.0), 0.0),
    }
    return {
        name: (n, lambda m=mechanism, v=value: [m.randomise(v) for _ in range(n)])
        for name, (mechanism, value) in made.items()
    }


def main() -> None:
    """Print millions of samples a second of each mechanism as JSON."""
    name, rounds = sys.argv[1], int(sys.argv[2])
    rates = {}
    for label, (n, task) in {"opendp": opendp, "diffprivlib": diffprivlib}[name]().items():
        task()
        seconds = []
        for _ in range(rounds):
            begin = time.perf_counter()
            task()
            seconds.append(time.perf_counter() - begin)
        rates[label] = n / median(seconds) / 1e6
    print(json.dumps(rates))


if __name__ == "__main__":
    main()
