"""Families: one file each, one model/guide pair each."""

from .block_model import StochasticBlockModel
from .classifier import GaussianClassifier
from .coin import CoinTosses
from .heights import Heights
from .mixture import GaussianMixture, MixtureOf
from .naive_bayes import NaiveBayes

__all__ = ["CoinTosses", "GaussianClassifier", "GaussianMixture", "Heights", "MixtureOf", "NaiveBayes", "StochasticBlockModel"]
