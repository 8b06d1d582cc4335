"""Integrals over the line or the plane by the trapezoidal rule: exact to rounding for smooth functions that vanish at the edges."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

__all__ = ["Grid", "box"]

WIDE = 10.0  # sds to each side where a support has no end


class Grid(NamedTuple):
    """points (n, *shape), float64, and the log weight of each (n,)."""

    points: Tensor
    log_weights: Tensor

    def log_integral(self, log_values: Tensor) -> Tensor:
        """Of exp(log_values), (n,) -> ()."""
        return (log_values + self.log_weights.to(log_values)).logsumexp(0)


def box(law: Any, shape: torch.Size, points: int) -> Grid:
    """Over the support of a law, or 10 of its sds around its mean where that has no end; `points` along each side."""
    dim = shape.numel()
    mean, sd = (t.double().reshape(dim).cpu() for t in (law.mean, law.variance.sqrt()))
    low, high = (_end(law, name, fallback) for name, fallback in (("lower_bound", mean - WIDE * sd), ("upper_bound", mean + WIDE * sd)))
    sides = [torch.linspace(float(a), float(b), points, dtype=torch.float64) for a, b in zip(low, high, strict=True)]
    weights = []
    for side in sides:
        w = torch.full((points,), float(side[1] - side[0]), dtype=torch.float64)
        w[[0, -1]] /= 2
        weights.append(w.log())
    mesh = torch.cartesian_prod(*sides).reshape(-1, *shape)
    return Grid(mesh, torch.cartesian_prod(*weights).reshape(len(mesh), -1).sum(1))


def _end(law: Any, name: str, fallback: Tensor) -> Tensor:
    support = law.support
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    bound = getattr(support, name, None)
    return fallback if bound is None else torch.as_tensor(bound).double().expand(fallback.shape)
