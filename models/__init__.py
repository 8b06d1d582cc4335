"""Families: one file each, one model/guide pair each."""

from typing import TYPE_CHECKING

from ..exports import on_demand

# name -> the file that defines it
_HOMES = {
    "Ancestral": "diffusion",
    "BayesianNetwork": "bayesian_network",
    "BoltzmannMachine": "boltzmann",
    "CoinTosses": "coin",
    "DDIM": "diffusion",
    "Diffusion": "diffusion",
    "EnergyModel": "energy",
    "FlowGuide": "_flow_guide",
    "GaussianClassifier": "classifier",
    "GaussianMixture": "mixture",
    "GaussianScore": "diffusion",
    "Heights": "heights",
    "HiddenMarkov": "hidden_markov",
    "Ising": "ising",
    "LinearGaussian": "bayesian_network",
    "MarkovChain": "markov_chain",
    "MixtureOf": "mixture",
    "NGram": "ngram",
    "NaiveBayes": "naive_bayes",
    "NormalizingFlow": "flow",
    "PredictorCorrector": "diffusion",
    "ProbabilityFlow": "diffusion",
    "Quadratic": "energy",
    "StochasticBlockModel": "block_model",
    "VariationalAutoencoder": "autoencoder",
}

__all__ = list(_HOMES)

if TYPE_CHECKING:
    from ._flow_guide import FlowGuide as FlowGuide
    from .autoencoder import VariationalAutoencoder as VariationalAutoencoder
    from .bayesian_network import BayesianNetwork as BayesianNetwork
    from .bayesian_network import LinearGaussian as LinearGaussian
    from .block_model import StochasticBlockModel as StochasticBlockModel
    from .boltzmann import BoltzmannMachine as BoltzmannMachine
    from .classifier import GaussianClassifier as GaussianClassifier
    from .coin import CoinTosses as CoinTosses
    from .diffusion import DDIM as DDIM
    from .diffusion import Ancestral as Ancestral
    from .diffusion import Diffusion as Diffusion
    from .diffusion import GaussianScore as GaussianScore
    from .diffusion import PredictorCorrector as PredictorCorrector
    from .diffusion import ProbabilityFlow as ProbabilityFlow
    from .energy import EnergyModel as EnergyModel
    from .energy import Quadratic as Quadratic
    from .flow import NormalizingFlow as NormalizingFlow
    from .heights import Heights as Heights
    from .hidden_markov import HiddenMarkov as HiddenMarkov
    from .ising import Ising as Ising
    from .markov_chain import MarkovChain as MarkovChain
    from .mixture import GaussianMixture as GaussianMixture
    from .mixture import MixtureOf as MixtureOf
    from .naive_bayes import NaiveBayes as NaiveBayes
    from .ngram import NGram as NGram

__getattr__ = on_demand(__name__, _HOMES)
