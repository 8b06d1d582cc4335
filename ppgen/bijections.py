"""Bijections from unconstrained space to supports: torch's and Pyro's, and those to matrices with a Cholesky factor.

To these torch maps from square matrices, of which half the numbers would do nothing. Here are as many as a matrix has that are free:
the logs of the diagonal, then what stands below it.
"""

import math
from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from torch import Tensor
from torch.distributions import Transform, biject_to
from torch.distributions.transforms import AffineTransform, ComposeTransform, IndependentTransform

__all__ = ["bijection_of", "bijection_to", "support_of_law", "unconstrained_shape"]

WRAPPED = (dist.Independent, dist.MaskedDistribution, dist.ExpandedDistribution)
OF_ANGLES = (torch.distributions.VonMises, dist.SineBivariateVonMises, dist.SineSkewed)


def support_of_law(law: Any) -> Any:
    """A distribution's support. Pyro says of angles that they are all the real numbers, over which their densities go round and round and
    have no integral; here they are the numbers from -pi to pi, of which draws are made."""
    inside = law
    while isinstance(inside, WRAPPED):
        inside = inside.base_dist
    if not isinstance(inside, OF_ANGLES):
        return law.support
    angles = constraints.interval(-math.pi, math.pi)
    return constraints.independent(angles, law.event_dim) if law.event_dim else angles


def bijection_of(law: Any) -> Transform:
    """To the support of a distribution. Raises what `bijection_to` raises."""
    return bijection_to(support_of_law(law))


def bijection_to(support: Any) -> Transform:
    """Raises NotImplementedError where there is none."""
    if isinstance(support, constraints.independent):
        return IndependentTransform(bijection_to(support.base_constraint), support.reinterpreted_batch_ndims)
    if isinstance(support, type(constraints.lower_cholesky)):
        return LowerCholesky()
    if isinstance(support, type(constraints.positive_definite)):
        return ComposeTransform([LowerCholesky(), Gram()])
    return biject_to(support)


def unconstrained_shape(transform: Transform, shape: torch.Size) -> torch.Size:
    """What `transform.inverse_shape` says. Of shifts and scales torch would ask it with the help of sympy, which takes 0.4 s to
    import; they have the shape of the values, as the ends of a support do."""
    if isinstance(transform, ComposeTransform):
        for part in reversed(transform.parts):
            shape = unconstrained_shape(part, shape)
        return shape
    if isinstance(transform, IndependentTransform):
        return unconstrained_shape(transform.base_transform, shape)
    return shape if isinstance(transform, AffineTransform) else torch.Size(transform.inverse_shape(shape))


class LowerCholesky(Transform):
    """(..., n (n + 1) / 2) -> (..., n, n), lower triangular, its diagonal positive."""

    domain = constraints.real_vector
    codomain = constraints.lower_cholesky
    bijective = True

    def forward_shape(self, shape: torch.Size) -> torch.Size:
        n = _side(shape[-1])
        return torch.Size((*shape[:-1], n, n))

    def inverse_shape(self, shape: torch.Size) -> torch.Size:
        n = shape[-1]
        return torch.Size((*shape[:-2], n * (n + 1) // 2))

    def _call(self, x: Tensor) -> Tensor:
        n = _side(x.shape[-1])
        place = torch.full((n, n), x.shape[-1])  # of the zero
        place[torch.arange(n), torch.arange(n)] = torch.arange(n)
        place[_below(n)] = torch.arange(n, x.shape[-1])
        numbers = torch.cat([x[..., :n].exp(), x[..., n:], torch.zeros_like(x[..., :1])], -1)
        return numbers[..., place.to(x.device)]

    def _inverse(self, y: Tensor) -> Tensor:
        n = y.shape[-1]
        return torch.cat([y.diagonal(dim1=-2, dim2=-1).log(), y[(..., *_below(n))]], -1)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return x[..., : y.shape[-1]].sum(-1)


class Gram(Transform):
    """L -> L L^T, of the numbers on and below the diagonal of both; its Jacobian is 2^n prod_i L_ii^(n - i), i from 0.

    Source: Muirhead, Aspects of Multivariate Statistical Theory, 1982, theorem 2.1.9.
    """

    domain = constraints.lower_cholesky
    codomain = constraints.positive_definite
    bijective = True

    def _call(self, x: Tensor) -> Tensor:
        return x @ x.mT

    def _inverse(self, y: Tensor) -> Tensor:
        return torch.linalg.cholesky(y)

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        n = x.shape[-1]
        powers = torch.arange(n, 0, -1, dtype=x.dtype, device=x.device)
        return n * math.log(2.0) + (powers * x.diagonal(dim1=-2, dim2=-1).log()).sum(-1)


def _side(numbers: int) -> int:
    return (math.isqrt(8 * numbers + 1) - 1) // 2


def _below(n: int) -> tuple[Tensor, Tensor]:
    rows, columns = torch.tril_indices(n, n, -1)
    return rows, columns
