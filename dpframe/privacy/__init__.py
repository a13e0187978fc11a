"""From a question to calibrated noise: stability, sensitivity, split, mechanisms. Never sees data."""

from dpframe.privacy.analyse import Calibrated, Contribution, Measured, analyse, calibrate, contribution, joint

__all__ = ["Calibrated", "Contribution", "Measured", "analyse", "calibrate", "contribution", "joint"]
