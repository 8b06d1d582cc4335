"""Gaussian data that are an affine function of Gaussian latents, which is known in closed form.

    z ~ Normal(0, I),   x ~ Normal(weight z + offset, diag(scale)^2)

Sources: Tipping & Bishop, JRSS-B 61(3), 1999 (probabilistic principal components; scale the same for all numbers); Rubin & Thayer,
Psychometrika 47, 1982 (factor analysis).
"""

from typing import NamedTuple

import torch
from pyro.distributions import LowRankMultivariateNormal, MultivariateNormal
from torch import Tensor, nn

from ..errors import DataError
from ._networks import Dense

__all__ = ["LinearGaussianLatents", "Principal", "affine", "principal_components"]

AFFINE = (nn.Linear, nn.Identity, nn.Flatten, nn.Unflatten, nn.Conv2d, nn.ConvTranspose2d, nn.Sequential, Dense)


def affine(network: nn.Module) -> bool:
    """Whether a network is known to be an affine map of all that it is given."""
    return all(isinstance(part, AFFINE) for part in network.modules())


class LinearGaussianLatents(NamedTuple):
    """weight (D, k), offset (N, D) or (D,), scale (D,)."""

    weight: Tensor
    offset: Tensor
    scale: Tensor

    def log_density(self, x: Tensor) -> Tensor:
        """x (N, D) -> (N,), nats."""
        return LowRankMultivariateNormal(self.offset, self.weight, self.scale.square()).log_prob(x)

    def posterior(self, x: Tensor) -> MultivariateNormal:
        """Of z given x (N, D): batch shape (N,)."""
        scaled = self.weight / self.scale[:, None]  # (D, k)
        precision = scaled.mT @ scaled + torch.eye(scaled.shape[1]).to(scaled)
        loc = torch.linalg.solve(precision, scaled.mT @ ((x - self.offset) / self.scale).mT).mT  # (N, k)
        return MultivariateNormal(loc, precision_matrix=precision)


class Principal(NamedTuple):
    """Where the likelihood of data is highest: weight (D, k) with orthogonal columns, offset (D,), scale (), and the log likelihood of
    all data, nats."""

    weight: Tensor
    offset: Tensor
    scale: Tensor
    log_likelihood: Tensor


def principal_components(x: Tensor, k: int) -> Principal:
    """Maximum likelihood for x (N, D), one scale for all numbers. Raises DataError: too few numbers or rows for k."""
    n, d = x.shape
    if not k < min(n, d):
        raise DataError(f"{n} rows of {d} numbers have fewer than {k + 1} directions, so that {k} latent numbers leave no noise to learn")
    offset = x.mean(0)
    variances, directions = torch.linalg.eigh((x - offset).mT @ (x - offset) / n)
    largest, rest = variances.flip(0)[:k], variances.flip(0)[k:]
    noise = rest.clamp(min=0.0).mean()
    weight = directions.flip(1)[:, :k] * (largest - noise).clamp(min=0.0).sqrt()
    law = LinearGaussianLatents(weight, offset, noise.sqrt().expand(d))
    return Principal(weight, offset, noise.sqrt(), law.log_density(x).sum())
