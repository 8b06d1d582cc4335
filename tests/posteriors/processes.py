"""Models of sequences and curves: autoregression, GARCH, hidden Markov, Gaussian process, an ODE; and a mixture."""

import math

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from torch import Tensor

from ._priors import flat_positive, restricted

__all__ = ["ar", "garch11", "gp_regr", "hmm_drive_0", "hmm_example", "lotka_volterra", "low_dim_gauss_mix"]


def ar(y: Tensor, K: int) -> None:
    """Conditioned on the first K values."""
    alpha = pyro.sample("alpha", dist.Normal(0.0, 10.0))
    beta = pyro.sample("beta", dist.Normal(torch.zeros(K), 10.0).to_event(1))
    sigma = pyro.sample("sigma", dist.HalfCauchy(2.5))
    lagged = y.unfold(0, K, 1)[:-1].flip(-1)  # (T - K, K), the last value first
    with pyro.plate("times", len(y) - K):
        pyro.sample("y", dist.Normal(alpha + lagged @ beta, sigma), obs=y[K:])


def garch11(y: Tensor, sigma1: float) -> None:
    """Uniform on the triangle alpha1 + beta1 < 1: the support of beta1 depends on alpha1. The recursion
    s_t^2 = alpha0 + alpha1 (y_{t-1} - mu)^2 + beta1 s_{t-1}^2 is solved as one bidiagonal system."""
    mu = pyro.sample("mu", dist.ImproperUniform(constraints.real, (), ()))
    alpha0 = flat_positive("alpha0")
    alpha1 = pyro.sample("alpha1", dist.Uniform(0.0, 1.0))
    beta1 = pyro.sample("beta1", dist.ImproperUniform(constraints.interval(torch.zeros(()), 1 - alpha1), (), ()))
    before = torch.diag(torch.ones(len(y) - 1), -1)  # (T, T): takes the value of the time before
    added = torch.cat([torch.full((1,), sigma1**2), alpha0 + alpha1 * (y[:-1] - mu) ** 2])
    variance = torch.linalg.solve_triangular(torch.eye(len(y)) - beta1 * before, added[:, None], upper=False)[:, 0]
    with pyro.plate("times", len(y)):
        pyro.sample("y", dist.Normal(mu, variance.sqrt()), obs=y)


def two_states(theta1: Tensor, theta2: Tensor, emission: dist.TorchDistribution, y: Tensor) -> None:
    """A hidden Markov chain y (T, *event) whose first state is uniform. DiscreteHMM has one transition before the first datum, so
    that one forgets where it came from."""
    start = y.new_full((2,), -math.log(2.0))
    step = torch.stack([theta1, theta2]).log()
    steps = torch.cat([start.expand(1, 2, 2), step.expand(len(y) - 1, 2, 2)])
    pyro.sample("y", dist.DiscreteHMM(start, steps, emission, duration=len(y)), obs=y)


def hmm_example(y: Tensor) -> None:
    theta1 = pyro.sample("theta1", dist.Dirichlet(torch.ones(2)))
    theta2 = pyro.sample("theta2", dist.Dirichlet(torch.ones(2)))
    prior = dist.Normal(torch.tensor([3.0, 10.0]), 1.0).to_event(1)
    mu = restricted("mu", prior, constraints.positive_ordered_vector)
    two_states(theta1, theta2, dist.Normal(mu, 1.0), y)


def hmm_drive_0(u: Tensor, v: Tensor, alpha: Tensor) -> None:
    """Two exponential outputs, independent given the state; alpha (2, 2) holds the Dirichlet priors of the rows."""
    theta1, theta2 = pyro.sample("theta1", dist.Dirichlet(alpha[0])), pyro.sample("theta2", dist.Dirichlet(alpha[1]))
    prior = dist.Normal(torch.tensor([0.0, 3.0]), 1.0).to_event(1)
    phi = restricted("phi", prior, constraints.positive_ordered_vector)
    rate = restricted("lambda", prior, constraints.positive_ordered_vector)
    emission = dist.Exponential(torch.stack([phi, rate], -1)).to_event(1)  # (state, output)
    two_states(theta1, theta2, emission, torch.stack([u, v], -1))


def low_dim_gauss_mix(y: Tensor) -> None:
    mu = restricted("mu", dist.Normal(torch.zeros(2), 2.0).to_event(1), constraints.ordered_vector)
    sigma = pyro.sample("sigma", dist.HalfNormal(2.0 * torch.ones(2)).to_event(1))
    theta = pyro.sample("theta", dist.Beta(5.0, 5.0))  # the weight of the first component
    weights = dist.Categorical(torch.stack([theta, 1 - theta]))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.MixtureSameFamily(weights, dist.Normal(mu, sigma)), obs=y)


def gp_regr(x: Tensor, y: Tensor) -> None:
    """sigma itself, not its square, is added to the diagonal: it is a variance."""
    rho = pyro.sample("rho", dist.Gamma(25.0, 4.0))
    alpha, sigma = pyro.sample("alpha", dist.HalfNormal(2.0)), pyro.sample("sigma", dist.HalfNormal(1.0))
    kernel = alpha**2 * (-((x[:, None] - x) ** 2) / (2 * rho**2)).exp()
    pyro.sample("y", dist.MultivariateNormal(torch.zeros(len(x)), kernel + sigma * torch.eye(len(x))), obs=y)


# Dormand & Prince, J. Comput. Appl. Math. 6(1), 1980: stages and the step of order 5
STAGES = (
    (1 / 5,),
    (3 / 40, 9 / 40),
    (44 / 45, -56 / 15, 32 / 9),
    (19372 / 6561, -25360 / 2187, 64448 / 6561, -212 / 729),
    (9017 / 3168, -355 / 33, 46732 / 5247, 49 / 176, -5103 / 18656),
)
STEP = (35 / 384, 0.0, 500 / 1113, 125 / 192, -2187 / 6784, 11 / 84)


def lotka_volterra(y_init: Tensor, y: Tensor) -> None:
    """Pelts of hare and lynx, y (20, 2), one row a year from 1901; y_init is 1900.

    Solved in logarithms with 10 steps of order 5 a year; log-density differences then err by less than 1e-6.
    """
    positive = constraints.independent(constraints.positive, 1)
    prior = dist.Normal(torch.tensor([1.0, 0.05, 1.0, 0.05]), torch.tensor([0.5, 0.05, 0.5, 0.05]))
    theta = restricted("theta", prior.to_event(1), positive)
    sigma = pyro.sample("sigma", dist.LogNormal(-torch.ones(2), 1.0).to_event(1))
    z_init = pyro.sample("z_init", dist.LogNormal(math.log(10.0) * torch.ones(2), 1.0).to_event(1))
    growth, meeting = torch.stack([theta[0], -theta[2]]), torch.stack([-theta[1], theta[3]])

    def slope(x: Tensor) -> Tensor:
        return torch.addcmul(growth, meeting, x.flip(0).exp())  # d log(hare), d log(lynx)

    def moved(x: Tensor, weights: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
        for w, k in zip(weights, slopes, strict=True):
            x = x.add(k, alpha=0.1 * w) if w else x
        return x

    x, years = z_init.log(), []
    for _ in range(len(y)):
        for _ in range(10):
            slopes = [slope(x)]
            for weights in STAGES:
                slopes.append(slope(moved(x, weights, slopes)))
            x = moved(x, STEP, slopes)
        years.append(x)
    with pyro.plate("species", 2, dim=-1):
        pyro.sample("y_init", dist.LogNormal(z_init.log(), sigma), obs=y_init)
        with pyro.plate("years", len(y), dim=-2):
            pyro.sample("y", dist.LogNormal(torch.stack(years), sigma), obs=y)
