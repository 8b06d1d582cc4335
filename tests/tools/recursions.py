"""Programs that repeat a step, each written as a Python loop and with `ppgen.scan`, and their log likelihoods by numpy.

A program is f(y); data have neither mean 0 nor scale 1.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from numpy.typing import NDArray
from scipy import special, stats
from torch import Tensor, zeros

from ppgen import scan
from ppgen.loops import Scan
from ppgen.straightline import Graph

__all__ = ["CASES", "Case", "data", "garch_likelihood", "garch_sites", "loops_of", "numbers"]

Values = Mapping[str, NDArray[Any]]
FIRST = 2.5  # variance at time 0


def data(length: int, seed: int = 0) -> Tensor:
    return 3 + 2 * torch.randn(length, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return 1.5 + 0.7 * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def loops_of(graph: Graph) -> list[Scan]:
    return [n.target for n in graph.nodes if isinstance(n.target, Scan)]


class Case(NamedTuple):
    """likelihood: of the data at values of the latent sites, everything but the priors."""

    loop: Callable[[Tensor], None]
    scan: Callable[[Tensor], None]
    likelihood: Callable[[NDArray[Any], Values], float]


def normal(y: NDArray[Any], loc: Any, scale: Any) -> float:
    return float(stats.norm.logpdf(y, loc, scale).sum())


# GARCH(1, 1)


def garch_sampled() -> tuple[Tensor, ...]:
    mu, alpha0 = pyro.sample("mu", dist.Normal(zeros(()), 5.0)), pyro.sample("alpha0", dist.HalfNormal(zeros(()) + 3.0))
    alpha1 = pyro.sample("alpha1", dist.Uniform(zeros(()), 1.0))
    return mu, alpha0, alpha1, pyro.sample("beta1", dist.Uniform(zeros(()), 1 - alpha1))


def garch_loop(y: Tensor) -> None:
    mu, alpha0, alpha1, beta1 = garch_sampled()
    variances = [torch.full((), FIRST)]
    for t in range(1, len(y)):
        variances.append(alpha0 + alpha1 * (y[t - 1] - mu) ** 2 + beta1 * variances[-1])
    with pyro.plate("times", len(y)):
        pyro.sample("y", dist.Normal(mu, torch.stack(variances).sqrt()), obs=y)


def garch_scan(y: Tensor) -> None:
    mu, alpha0, alpha1, beta1 = garch_sampled()

    def step(variance: Tensor, shock: Tensor) -> tuple[Tensor, Tensor]:
        variance = alpha0 + alpha1 * shock**2 + beta1 * variance
        return variance, variance

    _, variances = scan(step, FIRST, y[:-1] - mu)
    with pyro.plate("times", len(y)):
        pyro.sample("y", dist.Normal(mu, torch.cat([torch.full((1,), FIRST), variances]).sqrt()), obs=y)


def garch_sites(y: Tensor) -> None:
    """With a site for each time."""
    mu, alpha0, alpha1, beta1 = garch_sampled()
    variance = torch.full((), FIRST)
    for t in range(len(y)):
        if t:
            variance = alpha0 + alpha1 * (y[t - 1] - mu) ** 2 + beta1 * variance
        pyro.sample(f"y{t}", dist.Normal(mu, variance.sqrt()), obs=y[t])


def garch_likelihood(y: NDArray[Any], v: Values) -> float:
    variances = [FIRST]
    for shock in y[:-1] - v["mu"]:
        variances.append(v["alpha0"] + v["alpha1"] * shock**2 + v["beta1"] * variances[-1])
    return normal(y, v["mu"], np.sqrt(variances))


# Autoregression of order 5


def ar_sampled() -> tuple[Tensor, ...]:
    alpha, beta = pyro.sample("alpha", dist.Normal(zeros(()), 5.0)), pyro.sample("beta", dist.Normal(zeros(5), 0.5).to_event(1))
    return alpha, beta, pyro.sample("sigma", dist.HalfNormal(zeros(()) + 2.0))


def ar_loop(y: Tensor) -> None:
    alpha, beta, sigma = ar_sampled()
    means = []
    for t in range(5, len(y)):
        mean = alpha
        for k in range(5):
            mean = mean + beta[k] * y[t - 1 - k]
        means.append(mean)
    with pyro.plate("times", len(y) - 5):
        pyro.sample("y", dist.Normal(torch.stack(means), sigma), obs=y[5:])


def ar_scan(y: Tensor) -> None:
    alpha, beta, sigma = ar_sampled()
    _, means = scan(lambda lags, now: (torch.cat([now[None], lags[:-1]]), alpha + beta @ lags), y[:5].flip(0), y[5:])
    with pyro.plate("times", len(y) - 5):
        pyro.sample("y", dist.Normal(means, sigma), obs=y[5:])


def ar_likelihood(y: NDArray[Any], v: Values) -> float:
    lagged = np.stack([y[4 - k : len(y) - 1 - k] for k in range(5)], -1)
    return normal(y[5:], v["alpha"] + lagged @ v["beta"], v["sigma"])


# Stochastic volatility from its innovations


def volatility_sampled(y: Tensor) -> tuple[Tensor, ...]:
    mu, phi = pyro.sample("mu", dist.Normal(zeros(()), 2.0)), pyro.sample("phi", dist.Uniform(zeros(()) - 1, 1.0))
    sigma = pyro.sample("sigma", dist.HalfNormal(zeros(()) + 0.5))
    return mu, phi, sigma, pyro.sample("e", dist.Normal(zeros(len(y)), 1.0).to_event(1))


def volatility_loop(y: Tensor) -> None:
    mu, phi, sigma, e = volatility_sampled(y)
    h = mu + sigma * e[0] / (1 - phi**2).sqrt()
    path = [h]
    for t in range(1, len(y)):
        h = mu + phi * (h - mu) + sigma * e[t]
        path.append(h)
    with pyro.plate("times", len(y)):
        pyro.sample("y", dist.Normal(3.0, (torch.stack(path) / 2).exp()), obs=y)


def volatility_scan(y: Tensor) -> None:
    mu, phi, sigma, e = volatility_sampled(y)

    def step(h: Tensor, e: Tensor) -> tuple[Tensor, Tensor]:
        h = mu + phi * (h - mu) + sigma * e
        return h, h

    first = mu + sigma * e[0] / (1 - phi**2).sqrt()
    _, path = scan(step, first, e[1:])
    with pyro.plate("times", len(y)):
        pyro.sample("y", dist.Normal(3.0, (torch.cat([first[None], path]) / 2).exp()), obs=y)


def volatility_likelihood(y: NDArray[Any], v: Values) -> float:
    h = [v["mu"] + v["sigma"] * v["e"][0] / np.sqrt(1 - v["phi"] ** 2)]
    for e in v["e"][1:]:
        h.append(v["mu"] + v["phi"] * (h[-1] - v["mu"]) + v["sigma"] * e)
    return normal(y, 3.0, np.exp(np.array(h) / 2))


# A recurrent network of three units


def network_sampled() -> tuple[Tensor, ...]:
    inner = pyro.sample("inner", dist.Normal(zeros(3, 3), 0.5).to_event(2))
    return inner, pyro.sample("into", dist.Normal(zeros(3), 0.5).to_event(1)), pyro.sample("out", dist.Normal(zeros(3), 1.0).to_event(1))


def network_loop(y: Tensor) -> None:
    inner, into, out = network_sampled()
    h, means = torch.zeros(3, dtype=y.dtype), []
    for t in range(len(y)):
        means.append(out @ h)
        h = torch.tanh(inner @ h + into * y[t])
    with pyro.plate("times", len(y)):
        pyro.sample("y", dist.Normal(torch.stack(means), 1.5), obs=y)


def network_scan(y: Tensor) -> None:
    inner, into, out = network_sampled()
    _, means = scan(lambda h, now: (torch.tanh(inner @ h + into * now), out @ h), torch.zeros(3, dtype=y.dtype), y)
    with pyro.plate("times", len(y)):
        pyro.sample("y", dist.Normal(means, 1.5), obs=y)


def network_likelihood(y: NDArray[Any], v: Values) -> float:
    h, means = np.zeros(3), []
    for now in y:
        means.append(v["out"] @ h)
        h = np.tanh(v["inner"] @ h + v["into"] * now)
    return normal(y, np.array(means), 1.5)


# The forward algorithm of a hidden Markov model with three states


def markov_sampled(y: Tensor) -> tuple[Tensor, Tensor]:
    transition = pyro.sample("transition", dist.Dirichlet(torch.ones(3, 3)).to_event(1))
    loc = pyro.sample("loc", dist.Normal(zeros(3), 4.0).to_event(1))
    return transition.log(), dist.Normal(loc, 1.5).log_prob(y[:, None])


def markov_loop(y: Tensor) -> None:
    transition, emission = markov_sampled(y)
    forward = emission[0] - math.log(3)
    for t in range(1, len(y)):
        forward = torch.logsumexp(forward[:, None] + transition, 0) + emission[t]
    pyro.factor("y", torch.logsumexp(forward, 0))


def markov_scan(y: Tensor) -> None:
    transition, emission = markov_sampled(y)
    forward, _ = scan(
        lambda before, now: (torch.logsumexp(before[:, None] + transition, 0) + now, None), emission[0] - math.log(3), emission[1:]
    )
    pyro.factor("y", torch.logsumexp(forward, 0))


def markov_likelihood(y: NDArray[Any], v: Values) -> float:
    emission = stats.norm.logpdf(y[:, None], v["loc"], 1.5)
    forward = emission[0] - math.log(3)
    for now in emission[1:]:
        forward = special.logsumexp(forward[:, None] + np.log(v["transition"]), 0) + now
    return float(special.logsumexp(forward))


CASES = {
    "garch": Case(garch_loop, garch_scan, garch_likelihood),
    "ar": Case(ar_loop, ar_scan, ar_likelihood),
    "volatility": Case(volatility_loop, volatility_scan, volatility_likelihood),
    "network": Case(network_loop, network_scan, network_likelihood),
    "markov": Case(markov_loop, markov_scan, markov_likelihood),
}
