"""Engines: one file each; every one works on every program, or says why it does not."""

from .ais import AIS
from .contrastive_divergence import ContrastiveDivergence
from .em import EM
from .enumeration import Enumeration
from .gibbs import Gibbs
from .hmc import HMC
from .importance import ImportanceSampling
from .langevin import Langevin
from .mala import MALA
from .nuts import NUTS
from .score_matching import ScoreMatching
from .svi import SVI

__all__ = [
    "AIS",
    "EM",
    "HMC",
    "MALA",
    "NUTS",
    "SVI",
    "ContrastiveDivergence",
    "Enumeration",
    "Gibbs",
    "ImportanceSampling",
    "Langevin",
    "ScoreMatching",
]
