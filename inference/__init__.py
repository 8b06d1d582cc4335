"""Engines: one file each; every one works on every program, or says why it does not."""

from typing import TYPE_CHECKING

from ..exports import on_demand

# name -> the file that defines it
_HOMES = {
    "AIS": "ais",
    "ContrastiveDivergence": "contrastive_divergence",
    "EM": "em",
    "Enumeration": "enumeration",
    "Gibbs": "gibbs",
    "HMC": "hmc",
    "ImportanceSampling": "importance",
    "Langevin": "langevin",
    "MALA": "mala",
    "NUTS": "nuts",
    "SVI": "svi",
    "ScoreMatching": "score_matching",
}

__all__ = list(_HOMES)

if TYPE_CHECKING:
    from .ais import AIS as AIS
    from .contrastive_divergence import ContrastiveDivergence as ContrastiveDivergence
    from .em import EM as EM
    from .enumeration import Enumeration as Enumeration
    from .gibbs import Gibbs as Gibbs
    from .hmc import HMC as HMC
    from .importance import ImportanceSampling as ImportanceSampling
    from .langevin import Langevin as Langevin
    from .mala import MALA as MALA
    from .nuts import NUTS as NUTS
    from .score_matching import ScoreMatching as ScoreMatching
    from .svi import SVI as SVI

__getattr__ = on_demand(__name__, _HOMES)
