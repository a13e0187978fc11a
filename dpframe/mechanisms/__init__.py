"""Mechanisms: calibrated integer noise. Each knows its scale, its accuracy and how to add itself."""

from dpframe.mechanisms.integer import Exact, Gaussian, Laplace
from dpframe.mechanisms.ranks import ExactRank, RankChoice

Mechanism = Laplace | Gaussian | Exact | RankChoice | ExactRank

__all__ = ["Exact", "ExactRank", "Gaussian", "Laplace", "Mechanism", "RankChoice"]
