"""Filters, calibration and batches beside dp-accounting's numbers: the benchmark's figures, of fewer workloads."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("dp_accounting")

from benchmarks.budgets import filters as figures
from benchmarks.budgets.bars import MOST

HERE = Path()


def test_no_filter_says_less_than_the_truth() -> None:
    found = figures.mixed(HERE, workloads=6)
    assert found["below the truth"] == 0
    said = {name.partition(":")[0]: text for name, text in found.items() if ":" in name}
    assert set(said) == {"gaussian", "renyi", "rho", "sum"}
    assert all(float(text.split()[0]) >= 1 for text in said.values())
    # One order is close to the truth for most workloads; nothing but the truth itself is for all.
    assert float(said["renyi"].split()[1]) < 1.15


def test_gaussian_noise_is_counted_exactly() -> None:
    found = figures.gaussian(HERE, workloads=4)
    assert found["below the truth"] == 0
    assert 0.99999 < found["least"] <= found["most"] < 1.00001


def test_one_order_counts_as_theirs_does() -> None:
    found = figures.orders(HERE, workloads=40)
    assert 1 - 1e-12 <= found["least"] <= found["most"] <= 1 + 1e-12


def test_calibration_is_theirs() -> None:
    found = figures.calibration(HERE)
    for epsilon, most in MOST.items():
        ours = found[f"σ at ε = {epsilon}"]
        assert ours <= most and ours == pytest.approx(found[f"dp-accounting's at ε = {epsilon}"], rel=1e-5)


def test_batches_spend_what_they_may() -> None:
    found = figures.batches(HERE, count=3)
    assert 0.99 < found["least"] <= found["most"] <= 1


def test_forty_bad_budgets_are_refused() -> None:
    found = figures.bad(HERE)
    assert found["bad values"] >= 40 and found["attempts"] > 300
    assert found["let through"] == found["charged"] == 0
