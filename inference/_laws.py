"""Coordinates whose law given all else is a Normal, Gamma or Beta: they are drawn from it, where others make a trajectory.

In unconstrained coordinates u, whose value is v, the log density of each of these laws has a slope that is affine in the value:

    u itself         v = u            slope p - q v      Normal(p / q, variance 1 / q)
    log              v = exp(u)       slope p - q v      Gamma(p, rate q)
    logit            v = sigmoid(u)   slope p - q v      Beta(p, q - p)

and a Dirichlet's sticks are Betas, each with an offset. So conjugacy is read off slopes, whatever a program calls its distributions: they
are affine, and each moves with its own coordinate alone, whatever is held. Two gradients then give p and q of all coordinates.

Source: Diaconis & Ylvisaker, Annals of Statistics 7(2), 1979.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.distributions import transforms

from ..bijections import bijection_to

if TYPE_CHECKING:
    from ..targets import Coordinate
    from ._held import HeldDensity

__all__ = ["EXP", "IDENTITY", "LOGIT", "Laws", "laws_of"]

IDENTITY, EXP, LOGIT = 0, 1, 2
ELSEWHERE = 4  # positions at which slopes are compared with the affine ones, for each of the assignments tried
FAR = 1.5  # sds of these positions from the centre
CLOSE = 1e-8  # of slopes, relative to their two terms
CENTRED = 3  # rounds in which the centres are found


@dataclass(frozen=True)
class Laws:
    """Of every coordinate (dim,): link, which of the three; offset, u - offset is what the link takes; centre, about where u is: slopes
    are taken 1 to its left and 1 to its right."""

    link: NDArray[np.int64]
    offset: NDArray[np.float64]
    centre: NDArray[np.float64]


def laws_of(density: "HeldDensity") -> Laws | None:
    """None where a coordinate has no such law at some assignment that is tried, or the density is of single precision, in which the
    difference of two slopes says too little."""
    links = [_links(site) for site in density.sites]
    if density.dtype != torch.float64 or any(link is None for link in links):
        return None
    link, offset = (torch.cat(part) for part in zip(*links, strict=True))
    generator = torch.Generator().manual_seed(6)
    held, centre = density._dispersed(generator), offset.clone()
    if held is None:
        return None
    for _ in range(CENTRED):
        p, q = _fitted(density, held[:1], link, offset, centre)
        centre = _mean(p, q, link, offset)[0]
        if not centre.isfinite().all():
            return None
    p, q = _fitted(density, held, link, offset, centre)  # (assignments, dim)
    proper = (q > 0) & ((link == IDENTITY) | (p > 0)) & ((link != LOGIT) | (q > p))
    if not proper.all():
        return None
    for _ in range(ELSEWHERE):
        u = centre + FAR * torch.randn(p.shape, generator=generator, dtype=torch.float64)
        v = _value(u - offset, link)
        gap = (_slope(density, held, u) - (p - q * v)).abs()
        if not (gap <= CLOSE * (p.abs() + q * v.abs())).all():
            return None
    return Laws(link.numpy(), offset.numpy(), centre.numpy())


def _links(site: "Coordinate") -> tuple[Tensor, Tensor] | None:
    """Link and offset of each of a site's coordinates; None where it is held in other coordinates."""
    steps = list(_steps(bijection_to(site.support)))
    shape, zeros = site.unconstrained_shape, torch.zeros(site.unconstrained_shape.numel(), dtype=torch.float64)
    if [type(t) for t in steps] == [transforms.StickBreakingTransform]:  # stick k of the n that are left is 1 / (n - k) of it at u = 0
        left = torch.arange(shape[-1], 0, -1, dtype=torch.float64).log()
        return torch.full_like(zeros, LOGIT).long(), left.expand(shape).reshape(-1)
    link = {(): IDENTITY, (transforms.ExpTransform,): EXP, (transforms.SigmoidTransform,): LOGIT}.get(tuple(type(t) for t in steps))
    return None if link is None else (torch.full_like(zeros, link).long(), zeros)


def _steps(transform: Any) -> Iterator[Any]:
    """What a transform is made of, without what changes nothing."""
    if isinstance(transform, transforms.IndependentTransform):
        yield from _steps(transform.base_transform)
    elif isinstance(transform, transforms.ComposeTransform):
        for part in transform.parts:
            yield from _steps(part)
    elif not (isinstance(transform, transforms.AffineTransform) and _all(transform.loc, 0) and _all(transform.scale, 1)):
        yield transform


def _all(x: Tensor | float, number: float) -> bool:
    return bool((torch.as_tensor(x) == number).all())


def _value(u: Tensor, link: Tensor) -> Tensor:
    return torch.where(link == IDENTITY, u, torch.where(link == EXP, u.exp(), u.sigmoid()))


def _slope(density: "HeldDensity", held: Tensor, u: Tensor) -> Tensor:
    return density.given(held).value_and_grad(u.to(density.device))[1].to("cpu", torch.float64)


def _fitted(density: "HeldDensity", held: Tensor, link: Tensor, offset: Tensor, centre: Tensor) -> tuple[Tensor, Tensor]:
    """p and q at assignments, (assignments, dim) each."""
    (low, left), (high, right) = (
        (_slope(density, held, (centre + side).expand(len(held), -1)), _value(centre + side - offset, link)) for side in (-1.0, 1.0)
    )
    q = (low - high) / (right - left)
    return low + q * left, q


def _mean(p: Tensor, q: Tensor, link: Tensor, offset: Tensor) -> Tensor:
    """About where u is."""
    v = p / q
    return offset + torch.where(link == IDENTITY, v, torch.where(link == EXP, v.log(), v.logit()).clamp(-math.log(1e6), math.log(1e6)))
