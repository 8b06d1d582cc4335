"""Families: one file each, one model/guide pair each."""

from .autoencoder import VariationalAutoencoder
from .bayesian_network import BayesianNetwork, LinearGaussian
from .block_model import StochasticBlockModel
from .boltzmann import BoltzmannMachine
from .classifier import GaussianClassifier
from .coin import CoinTosses
from .diffusion import DDIM, Ancestral, Diffusion, GaussianScore, PredictorCorrector, ProbabilityFlow
from .energy import EnergyModel, Quadratic
from .flow import NormalizingFlow
from .flow_guide import FlowGuide
from .heights import Heights
from .hidden_markov import HiddenMarkov
from .ising import Ising
from .markov_chain import MarkovChain
from .mixture import GaussianMixture, MixtureOf
from .naive_bayes import NaiveBayes
from .ngram import NGram

__all__ = [
    "DDIM",
    "Ancestral",
    "BayesianNetwork",
    "BoltzmannMachine",
    "CoinTosses",
    "Diffusion",
    "EnergyModel",
    "FlowGuide",
    "GaussianClassifier",
    "GaussianMixture",
    "GaussianScore",
    "Heights",
    "HiddenMarkov",
    "Ising",
    "LinearGaussian",
    "MarkovChain",
    "MixtureOf",
    "NGram",
    "NaiveBayes",
    "NormalizingFlow",
    "PredictorCorrector",
    "ProbabilityFlow",
    "Quadratic",
    "StochasticBlockModel",
    "VariationalAutoencoder",
]
