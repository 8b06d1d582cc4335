"""Hierarchical models: units that share a law."""

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from ._priors import flat_positive

__all__ = ["eight_schools_centered", "eight_schools_noncentered", "radon_noncentered", "rats", "surgical"]


def eight_schools_centered(y: Tensor, sigma: Tensor) -> None:
    mu, tau = pyro.sample("mu", dist.Normal(0.0, 5.0)), pyro.sample("tau", dist.HalfCauchy(5.0))
    with pyro.plate("schools", len(y)):
        theta = pyro.sample("theta", dist.Normal(mu, tau))
        pyro.sample("y", dist.Normal(theta, sigma), obs=y)


def eight_schools_noncentered(y: Tensor, sigma: Tensor) -> None:
    mu, tau = pyro.sample("mu", dist.Normal(0.0, 5.0)), pyro.sample("tau", dist.HalfCauchy(5.0))
    with pyro.plate("schools", len(y)):
        e = pyro.sample("e", dist.Normal(0.0, 1.0))
        theta = pyro.deterministic("theta", mu + tau * e)
        pyro.sample("y", dist.Normal(theta, sigma), obs=y)


def rats(rat: Tensor, x: Tensor, y: Tensor, xbar: float) -> None:
    """Weights y (N,) of 30 rats, numbered from 1, at ages x: a line for each rat."""
    mu_alpha, mu_beta = pyro.sample("mu_alpha", dist.Normal(0.0, 100.0)), pyro.sample("mu_beta", dist.Normal(0.0, 100.0))
    sigma_y, sigma_alpha, sigma_beta = flat_positive("sigma_y"), flat_positive("sigma_alpha"), flat_positive("sigma_beta")
    with pyro.plate("rats", 30):
        alpha = pyro.sample("alpha", dist.Normal(mu_alpha, sigma_alpha))
        beta = pyro.sample("beta", dist.Normal(mu_beta, sigma_beta))
    at = rat.long() - 1
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(alpha[at] + beta[at] * (x - xbar), sigma_y), obs=y)


def radon_noncentered(J: int, county_idx: Tensor, log_uppm: Tensor, floor_measure: Tensor, log_radon: Tensor) -> None:
    """Log radon in 919 houses of J counties, numbered from 1."""
    sigma_alpha, sigma_y = pyro.sample("sigma_alpha", dist.HalfNormal(1.0)), pyro.sample("sigma_y", dist.HalfNormal(1.0))
    mu_alpha = pyro.sample("mu_alpha", dist.Normal(0.0, 10.0))
    beta = pyro.sample("beta", dist.Normal(torch.zeros(2), 10.0).to_event(1))
    with pyro.plate("counties", J):
        e = pyro.sample("e", dist.Normal(0.0, 1.0))
        alpha = pyro.deterministic("alpha", mu_alpha + sigma_alpha * e)
    mean = alpha[county_idx.long() - 1] + beta[0] * log_uppm + beta[1] * floor_measure
    with pyro.plate("data", len(log_radon)):
        pyro.sample("y", dist.Normal(mean, sigma_y), obs=log_radon)


def surgical(n: Tensor, r: Tensor) -> None:
    """Deaths r among n operations in each of 12 hospitals."""
    mu = pyro.sample("mu", dist.Normal(0.0, 1000.0))
    sigmasq = pyro.sample("sigmasq", dist.InverseGamma(0.001, 0.001))
    with pyro.plate("hospitals", len(n)):
        b = pyro.sample("b", dist.Normal(mu, sigmasq.sqrt()))
        pyro.sample("r", dist.Binomial(n, logits=b), obs=r)
