"""Families: one file each, one model/guide pair each."""

from .coin import CoinTosses
from .heights import Heights
from .mixture import GaussianMixture, MixtureOf

__all__ = ["CoinTosses", "GaussianMixture", "Heights", "MixtureOf"]
