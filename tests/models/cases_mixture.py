"""Mixtures for the contract suites. With one component, posteriors are known: by conjugacy, and by quadrature in two dimensions."""

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor

from ppgen import datasets
from ppgen.models import GaussianMixture, MixtureOf
from tests.contracts.cases import Case

COUNTS = torch.tensor([31.0, 28, 40, 35, 22, 37, 30, 44, 29, 33, 36, 27])
GALAXIES = datasets.load("galaxies").x


def _poisson() -> Case:
    """rate ~ Gamma(2, 1/10), so rate | x ~ Gamma(2 + sum x, 1/10 + n)."""
    family = MixtureOf(1, dist.Poisson, {"rate": dist.Gamma(2.0, 0.1)})
    shape, rate = 2 + COUNTS.sum(), 0.1 + len(COUNTS)
    return Case(family, COUNTS, {"rate": ((shape / rate)[None], (shape.sqrt() / rate)[None])}, **_diagram("rate"))


def _normal() -> Case:
    """loc ~ Normal(centre, 2 spread), scale ~ LogNormal(log spread, 0.75): moments on a grid of 400 x 400."""
    x = GALAXIES[:40]
    family = GaussianMixture(1, like=x)
    centre, spread = x.mean(), x.std(correction=0)
    loc = (centre + spread * torch.linspace(-1.2, 1.2, 400, dtype=x.dtype))[:, None, None]
    scale = (spread * torch.linspace(0.5, 1.9, 400, dtype=x.dtype))[None, :, None]
    log_p = torch.distributions.Normal(loc, scale).log_prob(x).sum(-1, keepdim=True)
    log_p = log_p + torch.distributions.Normal(centre, 2 * spread).log_prob(loc)
    log_p = log_p + torch.distributions.LogNormal(spread.log(), 0.75).log_prob(scale)
    weights = (log_p - log_p.max()).exp()[..., 0]
    weights = weights / weights.sum()
    return Case(family, x, {"loc": _moments(weights.sum(1), loc[:, 0, 0]), "scale": _moments(weights.sum(0), scale[0, :, 0])})


def _moments(weights: Tensor, at: Tensor) -> tuple[Tensor, Tensor]:
    mean = (weights * at).sum()
    return mean[None], (weights * (at - mean) ** 2).sum().sqrt()[None]


def _diagram(*own: str, shared: tuple[str, ...] = ()) -> dict[str, Any]:
    """With these parameters of a component, and these that all components share."""
    edges = ["weights -> assignment -> x", *(f"{n} -> x" for n in (*own, *shared))]
    return {"edges": ", ".join(edges), "plates": {"components": " ".join(own), "data": "assignment x"}}


def _two(covariance: str, **diagram: Any) -> Case:
    x = datasets.load("old-faithful").x[::4].float()
    return Case(GaussianMixture(2, like=x, covariance=covariance), x, **diagram)


def _bernoulli() -> Case:
    rows = (torch.rand(30, 5, generator=torch.Generator().manual_seed(0)) < torch.tensor([0.9, 0.1, 0.6, 0.5, 0.2])).float()
    family = MixtureOf(2, lambda probs: dist.Bernoulli(probs).to_event(1), {"probs": dist.Beta(2.0, 2.0).expand([5]).to_event(1)})
    return Case(family, rows, **_diagram("probs"))


CASES = {
    "poisson, one component": _poisson(),
    "normal, one component": _normal(),
    "full": _two("full", **_diagram("loc", "scale", "correlation")),
    "diagonal": _two("diagonal", **_diagram("loc", "scale")),
    "tied": _two("tied", **_diagram("loc", shared=("scale", "correlation"))),
    "bernoulli": _bernoulli(),
}
