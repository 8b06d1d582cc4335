"""Distributions of latent numbers, as modules that are called with what they depend on."""

from typing import cast

import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn
from torch.distributions import Distribution
from torch.nn.functional import softplus

__all__ = ["DiagonalNormal", "Given", "StandardNormal"]


class StandardNormal(nn.Module):
    """z (k,) ~ Normal(0, I), whatever the context."""

    zero: Tensor  # (k,)

    def __init__(self, latent: int):
        super().__init__()
        self.register_buffer("zero", torch.zeros(latent), persistent=False)

    def forward(self, context: Tensor | None = None) -> TorchDistributionMixin:
        return dist.Normal(self.zero, torch.ones_like(self.zero)).to_event(1)


class DiagonalNormal(nn.Module):
    """z (k,) ~ Normal(loc, softplus(raw)) for an encoder's output (N, 2 k): loc, raw."""

    def __init__(self, latent: int):
        super().__init__()
        self.inputs: int | None = 2 * latent

    def forward(self, output: Tensor) -> TorchDistributionMixin:
        loc, raw = output.chunk(2, -1)
        return dist.Normal(loc, softplus(raw)).to_event(1)


class Given(nn.Module):
    """One of the user's: a distribution, or a module that gives one, by its `distribution` where it has that (a NormalizingFlow).

    context   how many numbers it may be called with; one that says by its own `context` that it takes none is called with None
    inputs    how many numbers it must be called with, None where it does not say
    """

    def __init__(self, law: Distribution | nn.Module, context: int | None = None):
        super().__init__()
        self.law = law
        self.inputs: int | None = getattr(law, "context", context)

    def forward(self, given: Tensor | None = None) -> TorchDistributionMixin:
        if isinstance(self.law, Distribution):
            return cast("TorchDistributionMixin", self.law)
        call = getattr(self.law, "distribution", self.law)
        out: TorchDistributionMixin = call(given if self.inputs != 0 else None)
        return out
