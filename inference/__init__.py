"""Engines: one file each; every one works on every program, or says why it does not."""

from .ais import AIS
from .em import EM
from .enumeration import Enumeration
from .gibbs import Gibbs
from .hmc import HMC
from .importance import ImportanceSampling
from .langevin import Langevin
from .mala import MALA
from .nuts import NUTS
from .svi import SVI

__all__ = ["AIS", "EM", "HMC", "MALA", "NUTS", "SVI", "Enumeration", "Gibbs", "ImportanceSampling", "Langevin"]
