"""Mechanisms: calibrated integer noise. Each knows its scale, its accuracy and how to add itself."""

from dpframe.mechanisms.exact import Exact
from dpframe.mechanisms.gaussian import Gaussian
from dpframe.mechanisms.laplace import Laplace

Mechanism = Laplace | Gaussian | Exact

__all__ = ["Exact", "Gaussian", "Laplace", "Mechanism"]
