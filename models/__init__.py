"""Families: one file each, one model/guide pair each."""

from .autoencoder import VariationalAutoencoder
from .bayesian_network import BayesianNetwork, LinearGaussian
from .block_model import StochasticBlockModel
from .classifier import GaussianClassifier
from .coin import CoinTosses
from .flow import NormalizingFlow
from .flow_guide import FlowGuide
from .heights import Heights
from .hidden_markov import HiddenMarkov
from .markov_chain import MarkovChain
from .mixture import GaussianMixture, MixtureOf
from .naive_bayes import NaiveBayes
from .ngram import NGram

__all__ = [
    "BayesianNetwork",
    "CoinTosses",
    "FlowGuide",
    "GaussianClassifier",
    "GaussianMixture",
    "Heights",
    "HiddenMarkov",
    "LinearGaussian",
    "MarkovChain",
    "MixtureOf",
    "NGram",
    "NaiveBayes",
    "NormalizingFlow",
    "StochasticBlockModel",
    "VariationalAutoencoder",
]
