"""The ten models as Pyro programs, for ppgen and for Pyro's own sampler. Letters are the formulas'."""

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

__all__ = ["MODELS"]


def small(x: Tensor) -> None:
    """None of the ten: what an environment is tried with before the ten come."""
    m = pyro.sample("m", dist.Normal(0.0, 1.0))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(m, 1.0), obs=x)


def eight_schools(y: Tensor, sigma: Tensor) -> None:
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = pyro.sample("tau", dist.HalfCauchy(5.0))
    with pyro.plate("schools", len(y)):
        effect = pyro.sample("effect", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(mu + tau * effect, sigma), obs=y)


def logistic(x: Tensor, y: Tensor) -> None:
    a = pyro.sample("a", dist.Normal(0.0, 5.0))
    b = pyro.sample("b", dist.Normal(0.0, 1.0).expand([x.shape[1]]).to_event(1))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Bernoulli(logits=a + x @ b), obs=y)


def mixture(x: Tensor) -> None:
    w = pyro.sample("w", dist.Beta(5.0, 5.0))
    m = pyro.sample("m", dist.Normal(0.0, 2.0).expand([2]).to_event(1))  # the lower mean, and the log of the distance between both
    sd = pyro.sample("sd", dist.HalfNormal(2.0).expand([2]).to_event(1))
    means = torch.stack([m[0], m[0] + m[1].exp()])
    with pyro.plate("data", len(x)):
        which = dist.Categorical(probs=torch.stack([w, 1 - w]))
        pyro.sample("x", dist.MixtureSameFamily(which, dist.Normal(means, sd)), obs=x)


def radon(county: Tensor, floor: Tensor, y: Tensor) -> None:
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = pyro.sample("tau", dist.HalfNormal(1.0))
    b = pyro.sample("b", dist.Normal(0.0, 5.0))
    s = pyro.sample("s", dist.HalfNormal(1.0))
    effect = pyro.sample("effect", dist.Normal(0.0, 1.0).expand([40]).to_event(1))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal((mu + tau * effect)[county] + b * floor, s), obs=y)


def gaussian_process(x: Tensor, y: Tensor) -> None:
    r = pyro.sample("r", dist.LogNormal(0.0, 1.0))
    a = pyro.sample("a", dist.HalfNormal(1.0))
    s = pyro.sample("s", dist.HalfNormal(1.0))
    gaps = (x[:, None] - x) ** 2
    covariance = a**2 * torch.exp(-0.5 * gaps / r**2) + (s**2 + 1e-6) * torch.eye(len(x))
    pyro.sample("y", dist.MultivariateNormal(torch.zeros(len(x)), covariance), obs=y)


def negative_binomial(x: Tensor, y: Tensor) -> None:
    a = pyro.sample("a", dist.Normal(0.0, 5.0))
    b = pyro.sample("b", dist.Normal(0.0, 1.0).expand([x.shape[1]]).to_event(1))
    phi = pyro.sample("phi", dist.Exponential(0.2))
    with pyro.plate("data", len(y)):  # mean exp(eta), variance mean + mean^2 / phi
        pyro.sample("y", dist.NegativeBinomial(phi, logits=a + x @ b - phi.log()), obs=y)


def autoregression(y: Tensor) -> None:
    c = pyro.sample("c", dist.Normal(0.0, 1.0))
    b = pyro.sample("b", dist.Normal(0.0, 0.5).expand([5]).to_event(1))
    s = pyro.sample("s", dist.HalfNormal(1.0))
    lagged = torch.stack([y[4 - k : len(y) - 1 - k] for k in range(5)], -1)
    with pyro.plate("steps", len(y) - 5):
        pyro.sample("y", dist.Normal(c + lagged @ b, s), obs=y[5:])


def horseshoe(x: Tensor, y: Tensor) -> None:
    overall = pyro.sample("overall", dist.HalfCauchy(1.0))
    local = pyro.sample("local", dist.HalfCauchy(1.0).expand([x.shape[1]]).to_event(1))
    z = pyro.sample("z", dist.Normal(0.0, 1.0).expand([x.shape[1]]).to_event(1))
    s = pyro.sample("s", dist.HalfNormal(2.0))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(x @ (overall * local * z), s), obs=y)


def ordinal(x: Tensor, y: Tensor) -> None:
    b = pyro.sample("b", dist.Normal(0.0, 1.0).expand([x.shape[1]]).to_event(1))
    first = pyro.sample("first", dist.Normal(0.0, 3.0))  # the lowest cut point, and the gaps between the others
    gaps = pyro.sample("gaps", dist.Exponential(1.0).expand([3]).to_event(1))
    cuts = torch.cat([first[None], first + gaps.cumsum(0)])
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.OrderedLogistic(x @ b, cuts), obs=y)


def stochastic_volatility(y: Tensor) -> None:
    mu = pyro.sample("mu", dist.Normal(0.0, 2.0))
    step = pyro.sample("step", dist.Exponential(10.0))
    nu = pyro.sample("nu", dist.Exponential(0.1))
    z = pyro.sample("z", dist.Normal(0.0, 1.0).expand([len(y)]).to_event(1))
    log_variance = mu + step * z.cumsum(0)
    with pyro.plate("steps", len(y)):
        pyro.sample("y", dist.StudentT(nu, 0.0, torch.exp(log_variance / 2)), obs=y)


MODELS = {
    f.__name__.replace("_", "-"): f
    for f in (
        small, eight_schools, logistic, mixture, radon, gaussian_process,
        negative_binomial, autoregression, horseshoe, ordinal, stochastic_volatility,
    )
}  # fmt: skip
