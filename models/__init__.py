"""Families: one file each, one model/guide pair each."""

from .block_model import StochasticBlockModel
from .coin import CoinTosses
from .heights import Heights
from .mixture import GaussianMixture, MixtureOf

__all__ = ["CoinTosses", "GaussianMixture", "Heights", "MixtureOf", "StochasticBlockModel"]
