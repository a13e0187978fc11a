"""Mechanisms: calibrated integer noise. Each knows its scale, its accuracy and how to add itself."""

from dpframe.mechanisms.integer import Exact, Gaussian, Laplace

Mechanism = Laplace | Gaussian | Exact

__all__ = ["Exact", "Gaussian", "Laplace", "Mechanism"]
