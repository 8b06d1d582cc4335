"""Data and constants of the programs; their scale is not 1."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor


@dataclass
class Case:
    """A program with its arguments; rows: what its subsampled plates show."""

    fn: Callable
    args: tuple = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    rows: Mapping[str, Tensor] = field(default_factory=dict)


def numbers(*shape: int, seed: int = 0, scale: float = 3.0, shift: float = 1.0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale + shift


X3, Y9, Y3, Y5, Y2 = numbers(9, 3, seed=1, scale=1.5), numbers(9, seed=2), numbers(3, seed=3), numbers(5, seed=4), numbers(2, seed=5)
COUNTS = torch.tensor([0.0, 3, 1, 7, 2])
GROUP = torch.tensor([0, 2, 1, 1, 0])
EFFECTS = torch.tensor([28.0, 8, -3, 7, -1, 1, 18, 12], dtype=torch.float64)
ERRORS = torch.tensor([15.0, 10, 16, 11, 9, 11, 10, 18], dtype=torch.float64)
EDGES = torch.tensor([[0.0, 1, 0], [1, 0, 1], [0, 1, 0]], dtype=torch.float64)


DTYPE = torch.float64  # of the constants that the programs make


def zeros(*shape: int) -> Tensor:
    return torch.zeros(shape, dtype=DTYPE)


def ones(*shape: int) -> Tensor:
    return torch.ones(shape, dtype=DTYPE)


def tensor(x: Any) -> Tensor:
    return torch.tensor(x, dtype=DTYPE)


def normal(name: str, *shape: int, scale: float = 2.0) -> Tensor:
    """A latent site of independent normals, one event."""
    return pyro.sample(name, dist.Normal(zeros(*shape), scale).to_event(len(shape)))


MASK5 = torch.tensor([True, False, True, True, False])
HOLES = torch.where(MASK5, Y5, torch.nan)
SCHOOLS = (EFFECTS, ERRORS)
LABELS = torch.tensor([0, 2, 1, 1, 0, 2, 2, 1, 0])
