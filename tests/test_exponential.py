"""Choosing one of many: the law is permute-and-flip to the last bit, ties and all, and loses ε and no more."""

import itertools
import math
import pickle

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import dpframe as dp
from dpframe.accounting import PureDP
from dpframe.errors import InvalidCostError, MechanismError, PlanError
from dpframe.kernels import words
from dpframe.mechanisms import exponential

KEY = bytes(range(32))


def permute_and_flip(utilities, b: float) -> np.ndarray:
    """Algorithm 1 of McKenna and Sheldon, NeurIPS 2020, over all orders."""
    yes = np.exp((np.array(utilities) - max(utilities)) / b)
    chances = np.zeros(len(utilities))
    orders = list(itertools.permutations(range(len(utilities))))
    for order in orders:
        left = 1.0
        for i in order:
            chances[i] += left * yes[i] / len(orders)
            left *= 1 - yes[i]
    return chances


def noisy_maximum(utilities, b: float, ties: str = "equal") -> np.ndarray:
    """Which is largest after adding geometric noise, by summing over the largest value; ties equal, or to the first."""
    u, m = np.array(utilities), len(utilities)
    chances = np.zeros(m)
    for top in range(max(u), max(u) + 60 * math.ceil(b)):
        at = np.where(top >= u, np.exp(-(top - u) / b) * -math.expm1(-1 / b), 0.0)
        under = -np.expm1(-np.maximum(top - u, 0) / b)
        for tied in itertools.product((False, True), repeat=m):
            chance = np.where(tied, at, under).prod()
            if any(tied):
                which = np.flatnonzero(tied)
                if ties == "equal":
                    chances[which] += chance / which.size
                else:
                    chances[which[0]] += chance
    return chances


@pytest.mark.parametrize("b", [0.4, 1.0, 3.0])
@pytest.mark.parametrize("utilities", [(0, 0, 0), (0, 1, 3), (5, 2, 5, 4), (7,)])
def test_geometric_noise_and_equal_ties_are_permute_and_flip(utilities, b):
    assert noisy_maximum(utilities, b) == pytest.approx(permute_and_flip(utilities, b), abs=1e-12)


@pytest.mark.parametrize("ties", ["equal", "first"])
@pytest.mark.parametrize("monotonic", [False, True])
def test_no_pair_of_neighbours_loses_more_than_epsilon(monotonic, ties):
    """All utilities of three candidates from 0 to 3, all moves by at most Δ = 1: some lose just ε, none more."""
    epsilon = 1.0
    b = dp.ExponentialChoice(1, epsilon, monotonic=monotonic).scale
    chances = {u: noisy_maximum(u, b, ties) for u in itertools.product(range(-1, 5), repeat=3)}
    moves = list(itertools.product((0, 1) if monotonic else (-1, 0, 1), repeat=3))
    losses = [
        np.abs(np.log(chances[u] / chances[tuple(np.add(u, move))])).max()
        for u in itertools.product(range(4), repeat=3)
        for move in moves
    ]
    assert max(losses) <= epsilon * (1 + 1e-9)
    assert max(losses) > 0.9 * epsilon
    if not monotonic:  # with half the noise, moves in both directions lose more
        assert np.abs(np.log(noisy_maximum((0, 3, 3), b / 2) / noisy_maximum((1, 2, 2), b / 2))).max() > 1.5 * epsilon


def never_worse(utilities, b: float) -> bool:
    shares = np.exp((np.array(utilities) - max(utilities)) / b)
    return permute_and_flip(utilities, b) @ utilities >= shares / shares.sum() @ utilities - 1e-12


def test_it_is_never_worse_than_the_exponential_mechanism():
    assert all(never_worse(u, b) for u in itertools.product(range(4), repeat=3) for b in (0.5, 1.0, 4.0))


@pytest.mark.parametrize(("utilities", "grid"), [([0, 2, 3, 3], 1.0), ([0.0, 0.5, 0.75, 0.75], 0.25)])
def test_choices_follow_the_law_and_no_other(utilities, grid):
    n, choice = 20_000, dp.ExponentialChoice(grid, 1, grid=grid)
    seen = np.bincount([choice.choose(utilities, KEY, 5, start=8 * i) for i in range(n)], minlength=4)

    def p_value(b: float) -> float:
        return float(stats.chisquare(seen, n * permute_and_flip([0, 2, 3, 3], b)).pvalue)

    assert p_value(2) > 1e-9
    assert p_value(0.7 * 2) < 1e-9 and p_value(1.3 * 2) < 1e-9


def test_ties_are_won_by_more_bits_where_words_are_equal():
    tied = np.array([1, 4, 6])
    words_of = np.array([7, 9, 9], np.uint64)
    won = [exponential._lot(tied, words_of, KEY, 0, start) for start in range(400)]
    assert set(won) == {4, 6} and abs(won.count(4) - 200) < 100
    assert exponential._lot(tied, np.array([9, 3, 2], np.uint64), KEY, 0, 0) == 1


def test_a_choice_is_a_function_of_key_stream_and_place():
    choice, u = dp.ExponentialChoice(1, "0.001"), np.zeros(50, np.int64)
    first = choice.choose(u, KEY, 0)
    assert choice.choose(u, KEY, 0) == first == choice.choose(u.astype(float), KEY, 0) == choice.choose(u + 7, KEY, 0)
    others = {choice.choose(u, *place) for place in [(KEY, 1), (KEY[::-1], 0), (KEY, 0, 100), (KEY, 2), (KEY, 3)]}
    assert len(others | {first}) > 2
    assert words(KEY, 0, 50, 1).size == 1  # of the second fifty words, ties take theirs


def test_any_entries_and_none_raises():
    choice = dp.ExponentialChoice(1, 50)
    odd = np.array([np.nan, -np.inf, np.inf, 5e-324, -1e300, 1e300])
    assert choice.choose(odd, KEY, 0) in (2, 5)
    assert choice.choose(np.array([2**64 - 1, 0], np.uint64), KEY, 0) == 0
    assert choice.choose(np.array([-(2**63), 2**63 - 1]), KEY, 0) == 1
    assert choice.choose(np.array([1, 5], np.int8)[::-1], KEY, 0) == 0
    frozen = np.array([1.0, 5.0])
    frozen.flags.writeable = False
    assert choice.choose(frozen, KEY, 0) == 1
    assert dp.ExponentialChoice(1, 50, grid=2.0**-20).choose(odd, KEY, 0) in (2, 5)
    fine = dp.ExponentialChoice(1, 50, grid=0.5)
    assert fine.choose(np.array([2**62, 2**63 - 1, 0]), KEY, 0) in (0, 1)


@pytest.mark.parametrize("utilities", [[], 3, [[1, 2]], ["a"], [True, False], [1j], None, np.ones(2, np.longdouble)])
def test_refuses_utilities(utilities):
    with pytest.raises(MechanismError, match="vector of at least one number"):
        dp.ExponentialChoice(1, 1).choose(utilities, KEY, 0)


def test_refuses_places():
    choice = dp.ExponentialChoice(1, 1)
    with pytest.raises(MechanismError, match="A key is 32 bytes"):
        choice.choose([1, 2], bytes(31), 0)
    with pytest.raises(MechanismError, match="A key is 32 bytes"):
        choice.choose([1, 2**40], None, 0)  # whether or not there is a tie
    with pytest.raises(MechanismError, match="n must be"):
        choice.choose([1, 2**40], KEY, 0, start=2**63 - 3)
    with pytest.raises(MechanismError, match="stream"):
        choice.choose([1, 2], KEY, -1)
    with pytest.raises(MechanismError, match="start"):
        choice.choose([1, 2], KEY, 0, start=-1)


@pytest.mark.parametrize(
    ("arguments", "error", "text"),
    [
        ({"sensitivity": 0, "epsilon": 1}, MechanismError, "sensitivity"),
        ({"sensitivity": "count", "epsilon": 1}, MechanismError, "sensitivity"),
        ({"sensitivity": 1, "epsilon": 0}, InvalidCostError, "epsilon"),
        ({"sensitivity": 1, "epsilon": True}, InvalidCostError, "epsilon"),
        ({"sensitivity": 0.5, "epsilon": 1}, MechanismError, "whole number of grid steps"),
        ({"sensitivity": 0.1, "epsilon": 1, "grid": 2.0**-10}, MechanismError, "whole number of grid steps"),
        ({"sensitivity": 1, "epsilon": 1, "grid": 3.0}, MechanismError, "power of two"),
        ({"sensitivity": 1, "epsilon": "1e-20"}, MechanismError, "coarser grid"),
        ({"sensitivity": 1, "epsilon": 1, "monotonic": 1}, MechanismError, "monotonic"),
    ],
)
def test_refusals(arguments, error, text):
    with pytest.raises(error, match=text):
        dp.ExponentialChoice(**arguments)


def test_it_is_no_noise_for_a_column():
    with pytest.raises(PlanError, match="takes a mechanism"):
        pd.DataFrame({"y": [1]}).dp.noise(y=dp.ExponentialChoice(1, 1), budget=dp.Budget(1))


def test_what_it_says_of_itself():
    choice = dp.ExponentialChoice("0.5", 0.1, grid=0.5)
    assert (choice.scale, choice.event) == (10.0, PureDP(choice.epsilon))
    assert dp.ExponentialChoice(1, 0.1, monotonic=True).scale == 10.0
    assert pickle.loads(pickle.dumps(choice)) == choice and hash(choice) == hash(pickle.loads(pickle.dumps(choice)))
    assert dp.ExponentialChoice(1, "1e90").scale == 2.0**-10
    assert dp.ExponentialChoice(1, 3).scale * 3 >= 2


@pytest.mark.parametrize("m", [2, 3, 6])
@pytest.mark.parametrize("alpha", [0.4, 0.05, 1e-4])
def test_the_stated_loss_is_that_of_the_worst_case(m, alpha):
    """All others lose just w: the chance that one of them is chosen, by permute and flip over all orders."""
    choice = dp.ExponentialChoice(1, 1)
    w = choice.accuracy(alpha, candidates=m)
    assert 1 - permute_and_flip([0.0] + [-w] * (m - 1), 2.0)[0] == pytest.approx(alpha, rel=1e-9)
    rng = np.random.default_rng(m)
    for _ in range(20):  # and no other utilities have more
        utilities = -np.append(0.0, rng.exponential(2 * w, m - 1))
        assert permute_and_flip(utilities, 2.0)[utilities <= -w].sum() <= alpha * (1 + 1e-9)


def test_the_stated_loss_at_its_ends():
    choice = dp.ExponentialChoice(1, 1)
    assert choice.accuracy(0.5, candidates=2) == choice.accuracy(1e-9, candidates=1) == choice.accuracy(1, 10) == 0
    widths = [choice.accuracy(alpha, 10**6) for alpha in (0.5, 1e-3, 1e-30, 1e-300)]
    assert widths == sorted(widths) and widths[-1] < math.inf
    assert choice.accuracy(1e-300, 10**6) == pytest.approx(2 * math.log(1e6 / 2e-300), rel=1e-6)
    for wrong in (0, True, 2.5, -1):
        with pytest.raises(MechanismError, match="candidates"):
            choice.accuracy(0.1, wrong)
    with pytest.raises(MechanismError, match="alpha"):
        choice.accuracy(0, 3)
