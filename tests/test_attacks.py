"""Attacks on what is released: no event, down to the last bit of an answer, tells neighbours apart better than claimed.

An attack draws many answers for each of two neighbours. Half of them choose the event that tells the two apart best,
among thresholds, single values, and events of low bits such as "near zero and no multiple of 2^-g" (Mironov, *On
significance of the least significant bits for differential privacy*, CCS 2012). The other half certify, by Clopper and
Pearson's confidence limits, how much privacy is lost at least. As the event was chosen before they are looked at, a
mechanism that keeps its claim fails with a chance of at most ``ALPHA`` an attack: three hundred attacks in each of a
thousand runs a year raise a false alarm every 3,000 years. A pass is no certificate: rare events stay unseen.

Each group of one release is a run of its own, because neighbours move one group alone here.
"""

from __future__ import annotations

import ast
import multiprocessing
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pandas as pd
import pytest
from scipy import stats

import dpframe as dp
from dpframe.kernels.sampler import Place

ALPHA = 1e-9
N = 100_000
"""Draws a side: enough to certify .93 of a true ε of 1, and to see a scale that is a sixth too small."""
MANY = 1_000_000
FEW = 20_000

Draws = np.ndarray
Event = Callable[[Draws], np.ndarray]
Score = Callable[[np.ndarray, np.ndarray], np.ndarray]


# -- the attack ------------------------------------------------------------------------------------------------------


def lowest_bit(y: Draws) -> np.ndarray:
    """The largest e for which y is a multiple of 2^e; 2000 for zero, a multiple of everything."""
    mantissa, exponent = np.frexp(y)
    whole = (mantissa * 2.0**53).astype(np.int64)
    bit = np.frexp((whole & -whole).astype(float))[1] - 1
    return np.where(y == 0, 2000, exponent - 53 + bit)


def events(pool: Draws) -> Iterator[Event]:
    """Events that may tell two samples apart, from the half of the draws that choose."""
    # Tails as far out as a handful of draws: a law cut off far out shows nowhere else.
    levels = np.concatenate([np.linspace(0.02, 0.98, 97), tails := np.geomspace(20 / pool.size, 0.02, 30), 1 - tails])
    for threshold in np.unique(np.quantile(pool, levels, method="nearest")):
        yield lambda y, t=threshold: y >= t
        yield lambda y, t=threshold: y <= t
    values, counts = np.unique(pool, return_counts=True)
    for value in values[np.argsort(-counts)[:40]]:
        yield lambda y, v=value: y == v
    unit = np.median(np.abs(pool))
    for bit in np.unique(lowest_bit(pool)):
        for width in (unit / 4, unit, np.inf):
            yield lambda y, e=bit, w=width: (np.abs(y) < w) & (lowest_bit(y) < e)
            yield lambda y, e=bit, w=width: (np.abs(y) < w) & (lowest_bit(y) >= e)


def epsilon_at(delta: float) -> Score:
    """The ε that an (ε, δ) guarantee must have at least, if an event has probabilities p and q."""
    return lambda p, q: np.log(np.maximum(p - delta, 1e-300) / q)


def gaussian_mu(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """The μ at least: N(0, 1) against N(μ, 1) is no easier to tell apart (Dong, Roth and Su, JRSS B 2022)."""
    return stats.norm.ppf(p) - stats.norm.ppf(q)


def certified(one: Draws, other: Draws, score: Score) -> float:
    """What is lost at least, except with probability ``ALPHA``."""
    one, other = one.astype(float), other.astype(float)
    half = one.size // 2
    kinds = list(events(np.concatenate([one[:half], other[:half]])))
    seen = np.array([[event(side).sum() for side in (one[:half], other[:half])] for event in kinds])
    best = _score(np.concatenate([seen, seen[:, ::-1]]), half, score).argmax()
    event = kinds[best % len(kinds)]
    pair = (one[half:], other[half:]) if best < len(kinds) else (other[half:], one[half:])
    return float(_score(np.array([[event(side).sum() for side in pair]]), one.size - half, score)[0])


def _score(seen: np.ndarray, n: int, score: Score) -> np.ndarray:
    """The score at the least p and the greatest q that the counts allow, each wrong with a chance of ALPHA/2."""
    p = np.nan_to_num(stats.beta.ppf(ALPHA / 2, seen[:, 0], n - seen[:, 0] + 1), nan=0.0)
    q = np.nan_to_num(stats.beta.isf(ALPHA / 2, seen[:, 1] + 1, n - seen[:, 1]), nan=1.0)
    return score(p, q)


# -- the attack has teeth --------------------------------------------------------------------------------------------

rng = np.random.default_rng(20)
"""For floating-point noise that is to be broken, and for planted faults. Nothing of dpframe draws from it."""


def whole() -> Draws:
    """Discrete Laplace noise of scale 1."""
    up, down = rng.geometric(1 - np.exp(-1), (2, N))
    return (up - down).astype(float)


def fine(scale: float = 1.0) -> Draws:
    """Laplace noise without the flaw of floats: on a grid of 2^-20."""
    return np.rint(rng.laplace(scale=scale, size=N) * 2**20) / 2**20


FAULTS: dict[str, tuple[Callable[[float], Draws], float]] = {
    "float Laplace": (lambda x: x + rng.laplace(size=N), 4.0),
    "scale a sixth too small": (lambda x: x + fine(5 / 6), 1.02),
    "cut off at four scales": (lambda x: x + np.clip(fine(), -4, 4), 3.0),
    "zero goes out as it is": (lambda x: x + whole() if x else np.zeros(N), 5.0),
    "one-sided": (lambda x: x + np.abs(whole()), 5.0),
    "even noise": (lambda x: x + 2 * whole(), 5.0),
}
"""What is wrong, draws for a true value, and what must be certified at least: the claim would be ε = 1.

The scale comes out at about 1.1 of 1.2, five standard errors above its limit, the others far above theirs.
"""


@pytest.mark.parametrize("fault", FAULTS)
def test_the_attack_finds_planted_faults(fault: str) -> None:
    draw, least = FAULTS[fault]
    assert certified(draw(0.0), draw(1.0), epsilon_at(0)) > least


def test_the_attack_breaks_float_gaussian_noise() -> None:
    one, other = (x + rng.normal(size=N) for x in (0.0, 1.0))
    assert certified(one, other, gaussian_mu) > 2  # the claim would be μ = 1


def test_lowest_bits() -> None:
    y = np.array([1.0, -0.75, 96.0, 2.0**-30 + 1, 0.0, 5e-324])
    assert lowest_bit(y).tolist() == [0, -2, 5, -30, 2000, -1074]


# -- releases --------------------------------------------------------------------------------------------------------

STATISTICS: dict[str, Any] = {
    "count": dp.count(),
    "sum": dp.sum("x", 0, 1),
    "sum of integers": dp.sum("i", 0, 1),
    "mean": dp.mean("x", 0, 1),
}


def columns(n: int, rows: int) -> dict[str, np.ndarray]:
    """One row in each of the first ``rows`` of n groups."""
    return {"k": np.arange(rows), "x": np.ones(rows), "i": np.ones(rows, np.int64)}


def answers(frame: Any, n: int, statistics: dict[str, Any], **cost: object) -> pd.DataFrame:
    """One noisy answer for each of n groups: n independent runs of one and the same mechanism."""
    grouped = frame.dp.protect().groupby("k", keys=dp.keys({"k": range(n)}))
    released = grouped.agg(**statistics).release(budget=dp.Budget(**dict.fromkeys(cost, 1)), **cost)
    return released if isinstance(released, pd.DataFrame) else released.toPandas()


def attack_release(make: Callable[[pd.DataFrame], Any], n: int, statistic: str, cost: str) -> float:
    """D has no row in a group, D′ has one. ε and μ are claimed to be 1."""
    one, other = (
        answers(make(pd.DataFrame(columns(n, rows))), n, {"a": STATISTICS[statistic]}, **COSTS[cost])["a"].to_numpy()
        for rows in (0, n)
    )
    return certified(one, other, SCORES[cost])


COSTS: dict[str, dict[str, object]] = {"epsilon": {"epsilon": 1}, "rho": {"rho": "0.5"}}  # ρ = μ²/2
SCORES = {"epsilon": epsilon_at(0), "rho": gaussian_mu}
# A mean hides some of what it is made of, so less can be certified; the others spend all of the claim.
LEAST = {"count": 0.85, "sum": 0.85, "sum of integers": 0.85, "mean": 0.2}

each_statistic = pytest.mark.parametrize("statistic", STATISTICS)
each_cost = pytest.mark.parametrize("cost", COSTS)


@each_cost
@each_statistic
def test_releases_keep_their_claim(statistic: str, cost: str) -> None:
    assert LEAST[statistic] < attack_release(lambda frame: frame, N, statistic, cost) <= 1


@each_cost
@each_statistic
@pytest.mark.slow
def test_releases_keep_their_claim_at_a_million(statistic: str, cost: str) -> None:
    assert LEAST[statistic] < attack_release(lambda frame: frame, MANY, statistic, cost) <= 1


@pytest.mark.parametrize(("statistic", "cost"), [("count", "epsilon"), ("sum", "rho"), ("mean", "epsilon")])
def test_releases_keep_their_claim_on_spark(spark_classic: Any, statistic: str, cost: str) -> None:
    def make(frame: pd.DataFrame) -> Any:
        return spark_classic.createDataFrame(frame, "k bigint, x double, i bigint")

    # So few draws certify .84 of what plain noise loses.
    assert LEAST[statistic] - 0.15 < attack_release(make, FEW, statistic, cost) <= 1


@each_cost
def test_answers_together_keep_the_claim_of_the_release(cost: str) -> None:
    """A count and a sum of one release, seen together: both large is the event that a row makes likelier."""
    parts = {"n": dp.count(), "s": dp.sum("x", 0, 1)}
    tables = [answers(pd.DataFrame(columns(N, rows)), N, parts, **COSTS[cost]) for rows in (0, N)]
    for joined in (np.minimum, np.add):
        one, other = (joined(table["n"], table["s"]).to_numpy() for table in tables)
        assert 0.3 < certified(one, other, SCORES[cost]) <= 1


# -- noise on aggregated tables --------------------------------------------------------------------------------------


def zcdp(rho: float, delta: float) -> float:
    """The ε of ρ-zCDP at δ: Canonne, Kamath and Steinke, *The discrete Gaussian*, NeurIPS 2020, Proposition 12."""
    a = 1 + np.geomspace(1e-3, 1e3, 20_001)
    return float((a * rho + np.log(1 / (a * delta)) / (a - 1) + np.log1p(-1 / a)).min())


ONE_OFF = {"zero and one": (0.0, 1.0), "off the grid": (1 / 3, 4 / 3), "beyond 53 bits": (2.0**40, 2.0**40 + 1)}
# The largest contribution goes from 200 to 220, so S from 20 to 22; the total moves by no more than the lesser S.
CONTRIBUTIONS = {"outwards": ((0.0, 200.0), (20.0, 220.0)), "inwards": ((20.0, 200.0), (0.0, 220.0))}
SMOOTH = {"outwards": ((0.0, 20.0), (20.0, 20.0 * np.exp(0.1))), "inwards": ((20.0, 20.0), (0.0, 20.0 * np.exp(0.1)))}
DELTA = 1e-2

Pairs = dict[str, tuple[Any, Any]]
NOISES: dict[str, tuple[Callable[[], Any], Pairs, Score, float, float]] = {
    "Laplace": (lambda: dp.LaplaceNoise(1, 1), ONE_OFF, epsilon_at(0), 1, 0.85),
    "Gaussian": (lambda: dp.GaussianNoise(1, "0.5"), ONE_OFF, gaussian_mu, 1, 0.85),
    "smooth Laplace": (
        lambda: dp.SmoothLaplace("s", alpha=0.1, epsilon=1, delta=DELTA),
        CONTRIBUTIONS,
        epsilon_at(DELTA),
        1,
        0.5,
    ),
    "smooth gamma": (lambda: dp.SmoothGamma("s", alpha=0.1, epsilon=1), CONTRIBUTIONS, epsilon_at(0), 1, 0.5),
    "smooth Student's t": (
        lambda: dp.SmoothStudentT("s", smoothing=0.1, epsilon=1),
        SMOOTH,
        epsilon_at(0),
        1,
        0.5,
    ),
    "smooth Cauchy": (lambda: dp.SmoothCauchy("s", smoothing=0.1, epsilon=1), SMOOTH, epsilon_at(0), 1, 0.5),
    "smooth sinh of a normal": (
        lambda: dp.SmoothArsinhNormal("s", smoothing=0.1, rho="0.5"),
        SMOOTH,
        epsilon_at(DELTA),
        zcdp(0.5, DELTA),
        0.5,
    ),
}
"""The mechanism, pairs of neighbours, the score, what is claimed of it, and what must be certified at least.

That is some six standard errors below what is certified on average, here and in the other tables.
"""

PAIRS = [(noise, pair) for noise, (_, pairs, *_) in NOISES.items() for pair in pairs]
each_pair = pytest.mark.parametrize(("noise", "pair"), PAIRS)


def budget_for(mechanism: Any) -> dp.Budget:
    return dp.Budget(rho=1) if "rho" in str(mechanism.event) else dp.Budget(epsilon=9, delta=0.5)


def noised(cell: Any, n: int, mechanism: Any, kind: type = np.float64) -> Draws:
    """n runs of a mechanism on one cell: a true value, or that and what stands in the sensitivity column."""
    value, sensitivity = cell if isinstance(cell, tuple) else (cell, 1.0)
    frame = pd.DataFrame({"y": np.full(n, value, kind), "s": np.full(n, sensitivity)})
    return frame.dp.noise(y=mechanism, budget=budget_for(mechanism))["y"].to_numpy()


def attack_noise(noise: str, pair: str, n: int) -> None:
    mechanism, pairs, score, claim, least = NOISES[noise]
    one, other = (noised(cell, n, mechanism()) for cell in pairs[pair])
    assert least < certified(one, other, score) <= claim


@each_pair
def test_noise_keeps_its_claim(noise: str, pair: str) -> None:
    attack_noise(noise, pair, N)


@each_pair
@pytest.mark.slow
def test_noise_keeps_its_claim_at_a_million(noise: str, pair: str) -> None:
    attack_noise(noise, pair, MANY)


@each_cost
def test_noise_keeps_its_claim_on_spark(spark_classic: Any, cost: str) -> None:
    """Every mechanism has a column and, where it takes its sensitivity from one, that has its own."""
    made = {noise: make() for noise, (make, *_) in NOISES.items()}
    made = {noise: mechanism for noise, mechanism in made.items() if ("rho" in str(mechanism.event)) == (cost == "rho")}
    sides: list[pd.DataFrame] = []
    for side in (0, 1):
        given, mechanisms = {}, {}
        for at, (noise, mechanism) in enumerate(made.items()):
            cell = next(iter(NOISES[noise][1].values()))[side]
            value, sensitivity = cell if isinstance(cell, tuple) else (cell, None)
            given[f"y{at}"] = np.full(FEW, value)
            if sensitivity is not None:
                given[f"s{at}"] = np.full(FEW, sensitivity)
                mechanism = replace(mechanism, sensitivity=f"s{at}")
            mechanisms[f"y{at}"] = mechanism
        frame = spark_classic.createDataFrame(pd.DataFrame(given))
        sides.append(frame.dp.noise(mechanisms, budget=budget_for(mechanism)).toPandas())
    for at, noise in enumerate(made):
        _, _, score, claim, least = NOISES[noise]
        one, other = (table[f"y{at}"].to_numpy() for table in sides)
        assert least - 0.2 < certified(one, other, score) <= claim, noise


WHOLE: dict[str, tuple[Callable[[], Any], Score, float, float]] = {
    "geometric": (lambda: dp.GeometricNoise(1, 1), epsilon_at(0), 1, 0.85),
    "discrete Gaussian": (lambda: dp.DiscreteGaussianNoise(1, "0.5"), epsilon_at(DELTA), zcdp(0.5, DELTA), 1.5),
    "Laplace": (lambda: dp.LaplaceNoise(1, 1), epsilon_at(0), 1, 0.8),
    "Gaussian": (lambda: dp.GaussianNoise(1, "0.5"), gaussian_mu, 1, 0.85),
}
"""The mechanism, the score, what is claimed of it, and what must be certified at least."""


@pytest.mark.parametrize("base", [0, 2**53, -(2**61)])
@pytest.mark.parametrize("noise", WHOLE)
def test_noise_on_whole_numbers_keeps_its_claim(noise: str, base: int) -> None:
    mechanism, score, claim, least = WHOLE[noise]
    one, other = (noised(base + step, N, mechanism(), np.int64) - base for step in (0, 1))
    assert least < certified(one, other, score) <= claim


LARGE: dict[str, tuple[Callable[[], Any], type, float]] = {
    "Laplace, whole numbers": (lambda: dp.LaplaceNoise(2**60, 1), np.int64, 0.0),
    "Gaussian, whole numbers": (lambda: dp.GaussianNoise(2**60, "0.5"), np.int64, 0.0),
    "by cell, whole numbers": (
        lambda: dp.SmoothLaplace("s", alpha="1e-6", epsilon="1e-4", delta="0.05"),
        np.int64,
        2.0**39 * 1e6,
    ),
    # The least scale is just below a power of two, the largest 2**40 times that.
    "by cell": (lambda: dp.SmoothLaplace("s", alpha="0.1", epsilon="0.51", delta="0.05"), np.float64, 2.0**44),
}
"""The mechanism, the column's type, and the entry of the sensitivity column where the mechanism reads one."""


@pytest.mark.parametrize("which", LARGE)
def test_noise_of_a_large_scale_is_as_large_as_claimed_or_refused(which: str) -> None:
    make, kind, sensitivity = LARGE[which]
    try:
        mechanism = make()
        noise = noised((0, sensitivity), 2000, mechanism, kind)
    except dp.errors.MechanismError:
        return
    scale = mechanism.scale(np.array([sensitivity]))[0]
    # The median of so many draws is within a fifth of that of the law: six standard errors.
    assert np.median(np.abs(noise.astype(float))) > 0.8 * float(mechanism.law.quantile(mpmath.mp, 0.5)) * scale


# -- grids -----------------------------------------------------------------------------------------------------------


def test_the_grid_of_a_sum_depends_on_the_plan_alone() -> None:
    plain = pd.DataFrame({"k": np.arange(500), "x": np.zeros(500)})
    wild = pd.DataFrame({"k": np.arange(500) % 7, "x": [0.1, np.nan, np.inf, -1e300, 5e-324] * 100})
    for bounds in ((0, 1), (-3, 1000), (0.1, 0.3)):
        grids = set()
        for frame in (plain, wild):
            query = frame.dp.protect().groupby("k", keys=dp.keys({"k": range(500)})).agg(s=dp.sum("x", *bounds))
            grid = query.question.answers[0][2].statistics[0].grid
            table = query.release(epsilon=1, ci=0.95, budget=dp.Budget(epsilon=1))
            for column in ("s", "s_low", "s_high"):
                steps = table[column].to_numpy() / grid  # exact: the grid is a power of two
                assert (steps == np.rint(steps)).all()
                assert (np.abs(steps) < 2.0**53).all()  # so turning the integer into a double lost nothing
            # Of 500 noisy numbers of steps all but surely one is odd: the grid shows, and no finer one.
            grids.add((grid, 2.0 ** lowest_bit(table["s"].to_numpy()).min()))
        assert grids == {(grid, grid)}


def test_a_mean_is_a_function_of_noisy_whole_numbers() -> None:
    frame = pd.DataFrame({"k": np.arange(200_000) % 100, "i": 10})
    query = frame.dp.protect().groupby("k", keys=dp.keys({"k": range(100)})).agg(n=dp.count(), m=dp.mean("i", 0, 100))
    table = query.release(epsilon=1, budget=dp.Budget(epsilon=1))
    deviations = (table["m"] - 50) * table["n"]
    assert (table["m"] != 10).sum() > 50
    assert table["m"].between(1, 99).all()  # not held at a bound, which would be no quotient
    assert (deviations - deviations.round()).abs().max() < 1e-6


@pytest.mark.parametrize("noise", NOISES)
def test_the_grid_of_noise_depends_on_the_mechanism_alone(noise: str) -> None:
    plain = pd.DataFrame({"y": np.zeros(500), "s": np.full(500, 100.0)})
    wild = pd.DataFrame({"y": [0.1, np.nan, 1e5 * np.pi, -5e-324, 7.0] * 100, "s": [0.0, np.nan, 1.0, 7.3, 0.1] * 100})
    mechanism = NOISES[noise][0]()
    least = mechanism.scale(np.array([mechanism.floor]))[0]
    # A missing smooth sensitivity counts as a very large one, beside which the last bits may be zero.
    rows = wild["s"].notna() & wild["y"].notna()
    finest = set()
    for frame, kept in ((plain, slice(None)), (wild, rows)):
        answer = frame.dp.noise(y=mechanism, budget=budget_for(mechanism))["y"][kept].to_numpy()
        assert (np.abs(answer) < 2.0**53 * 2.0 ** lowest_bit(answer).min()).all()
        finest.add(2.0 ** lowest_bit(answer).min())
    assert len(finest) == 1
    assert least / 2**30 < finest.pop() < least / 2**6


# -- the source of randomness ----------------------------------------------------------------------------------------

WIDE = {"epsilon": "1e-14"}
"""Noise of scale 10^14: among the draws below, two are equal by chance with a probability under 1e-5."""


def wide_counts(n: int = 500) -> list[int]:
    """The noise of one release, for all purposes: the count is 0."""
    return answers(pd.DataFrame(columns(n, 0)), n, {"a": dp.count()}, **WIDE)["a"].tolist()


def _child(pipe: Any) -> None:
    pipe.send((os.getpid(), wide_counts()))
    pipe.close()


def children(method: str, count: int) -> list[tuple[int, list[int]]]:
    """What so many children of this process release, one release each, all alive at once."""
    context = multiprocessing.get_context(method)
    ends = []
    for _ in range(count):
        here, there = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(there,))
        child.start()
        there.close()
        ends.append((child, here))
    try:
        assert all(here.poll(120) for _, here in ends)
        return [here.recv() for _, here in ends]
    finally:
        for child, _ in ends:
            child.join(10)
            child.kill()


def test_children_share_no_noise_with_each_other_or_their_parent() -> None:
    mine = wide_counts()  # before the fork: whatever is kept in memory would go to every child
    drawn = children("fork", 16) + children("spawn", 4)
    assert len({process for process, _ in drawn} | {os.getpid()}) == 21
    noise = [*mine, *(value for _, values in drawn for value in values), *wide_counts()]
    assert len(noise) == 22 * 500
    assert len(set(noise)) == len(noise)


def test_seeds_change_nothing() -> None:
    state, numbers = random.getstate(), np.random.get_state()
    drawn: list[int] = []
    try:
        for _ in range(2):
            random.seed(7)
            np.random.seed(7)
            drawn += wide_counts()
            assert random.random() == 0.32383276483316237  # and nothing of that generator was used
            frame = pd.DataFrame({"y": np.zeros(500, np.int64)})
            drawn += frame.dp.noise(y=dp.LaplaceNoise(1, "1e-14"), budget=dp.Budget(1))["y"].tolist()
    finally:
        random.setstate(state)
        np.random.set_state(numbers)
    assert len(set(drawn)) == 2000


def generators(source: str) -> list[int]:
    """The lines of a program that name a generator which is not for cryptography."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [node.lineno for name in node.names if "random" in name.name.split(".")]
        elif isinstance(node, ast.ImportFrom):
            parts = [*(node.module or "").split("."), *(name.name for name in node.names)]
            found += [node.lineno] * (not node.level and "random" in parts)
        elif isinstance(node, ast.Attribute) and node.attr in ("random", "default_rng", "RandomState", "rand", "randn"):
            found.append(node.lineno)
    return found


def test_the_package_uses_no_other_generator() -> None:
    home = Path(dp.__file__).parent
    sources = {path.relative_to(home).as_posix(): path.read_text(encoding="utf-8") for path in home.rglob("*.py")}
    assert len(sources) > 40
    used = {name: lines for name, source in sources.items() if (lines := generators(source))}
    assert set(used) == {"demo_data.py"}  # a made-up table, and the proof that the scan sees


@pytest.mark.parametrize(
    "line",
    [
        "import random",
        "import numpy.random as r",
        "from numpy import random",
        "from numpy.random import laplace",
        "from random import gauss",
        "x = np.random.laplace()",
        "x = numpy.random.default_rng()",
        "x = generator.random()",
    ],
)
def test_the_scan_finds(line: str) -> None:
    assert generators(line)


# -- words are used once ---------------------------------------------------------------------------------------------


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, int, int]]:
    """Key, stream and position of every word that is asked for from now on."""
    asked: list[tuple[bytes, int, int]] = []
    really = Place.of

    def of(key: bytes, stream: int, start: int, n: int, cells: Any = None) -> Any:
        assert key is not None
        assert cells is None
        asked.extend((key, stream, position) for position in range(start, start + n))
        return really(key, stream, start, n, cells)

    monkeypatch.setattr(Place, "of", staticmethod(of))
    return asked


def test_no_word_serves_twice(places: list[tuple[bytes, int, int]]) -> None:
    frame = pd.DataFrame({"k": range(50), "x": 1.0, "i": 1})
    query = frame.dp.protect().groupby("k", keys=dp.keys({"k": range(50)})).agg(**{f"a{at}": each for at, each in FOUR})
    for _ in range(2):
        query.release(epsilon=1, budget=dp.Budget(1))
        query.release(rho=1, budget=dp.Budget(rho=1))
        frame.dp.noise(x=dp.LaplaceNoise(1, 1), i=dp.GeometricNoise(1, 1), budget=dp.Budget(2))
    # Two statistics of the mean, the sum of x, that of i, and the count of all rows.
    assert len(places) == 2 * 50 * (5 + 5 + 2)
    assert len(set(places)) == len(places)
    assert len({key for key, _, _ in places}) == 6


FOUR = list(enumerate([dp.mean("x", 0, 1), dp.sum("x", 0, 1), dp.sum("i", 0, 1), dp.count()]))


def test_answers_and_releases_share_no_noise() -> None:
    """Two sums of the same scale: one word in both would be the same noise in both."""
    frame = pd.DataFrame({"k": np.zeros(0, np.int64), "a": np.zeros(0, np.int64), "b": np.zeros(0, np.int64)})
    noise: list[int] = []
    for _ in range(2):
        table = answers(frame, 500, {"a": dp.sum("a", 0, 1), "b": dp.sum("b", 0, 1)}, **WIDE)
        noise += [*table["a"], *table["b"]]
    assert len(set(noise)) == 2000


def test_tasks_and_columns_share_no_noise_on_spark(spark_classic: Any) -> None:
    frame = spark_classic.range(2000, numPartitions=4).selectExpr("0L AS a", "0L AS b")
    noise: list[int] = []
    for _ in range(2):
        mechanisms = {name: dp.LaplaceNoise(1, "1e-14") for name in "ab"}
        table = frame.dp.noise(mechanisms, budget=dp.Budget(1)).toPandas()
        noise += [*table["a"], *table["b"]]
    assert len(noise) == 8000
    assert len(set(noise)) == 8000
