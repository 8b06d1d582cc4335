"""Engines: one file each; every one works on every program, or says why it does not."""

from .hmc import HMC
from .importance import ImportanceSampling
from .nuts import NUTS
from .svi import SVI

__all__ = ["HMC", "NUTS", "SVI", "ImportanceSampling"]
