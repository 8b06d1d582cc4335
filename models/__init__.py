"""Families: one file each, one model/guide pair each."""

from .mixture import GaussianMixture, MixtureOf

__all__ = ["GaussianMixture", "MixtureOf"]
