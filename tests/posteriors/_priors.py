"""Priors that Stan writes as a declaration: flat ones, and laws cut down to the declared support."""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from torch import Tensor
from torch.distributions.constraints import Constraint

__all__ = ["flat", "flat_positive", "restricted"]


def flat(name: str, size: int) -> Tensor:
    """An improper flat prior over (size,) real numbers."""
    return pyro.sample(name, dist.ImproperUniform(constraints.real_vector, (), (size,)))


def flat_positive(name: str) -> Tensor:
    """An improper flat prior over a positive number, constant in the number itself."""
    return pyro.sample(name, dist.ImproperUniform(constraints.positive, (), ()))


def restricted(name: str, law: dist.TorchDistribution, support: Constraint) -> Tensor:
    """A law (event shape (n,)) restricted to a part of its support, its constant left out."""
    value = pyro.sample(name, dist.ImproperUniform(support, torch.Size(), law.event_shape))
    pyro.factor(name + "_prior", law.log_prob(value))
    return value
