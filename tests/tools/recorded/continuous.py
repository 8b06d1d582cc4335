"""Programs of continuous sites; missing data; what handlers are put around."""

from collections.abc import Callable
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.distributions import constraints
from torch import Tensor

from .data import normal, ones, tensor, zeros


def eight_schools(y: Tensor, error: Tensor) -> None:
    mu = pyro.sample("mu", dist.Normal(tensor(0.0), 5.0))
    tau = pyro.sample("tau", dist.HalfCauchy(tensor(5.0)))
    with pyro.plate("schools", len(y)):
        theta = pyro.sample("theta", dist.Normal(mu, tau))
        pyro.sample("y", dist.Normal(theta, error), obs=y)


def non_centred(y: Tensor, error: Tensor) -> None:
    mu = pyro.sample("mu", dist.Normal(tensor(0.0), 5.0))
    tau = pyro.sample("tau", dist.HalfCauchy(tensor(5.0)))
    with pyro.plate("schools", len(y)):
        e = pyro.sample("e", dist.Normal(tensor(0.0), 1.0))
        theta = pyro.deterministic("theta", mu + tau * e)
        pyro.sample("y", dist.Normal(theta, error), obs=y)


def support_of_another(y: Tensor) -> None:
    a = pyro.sample("a", dist.Uniform(tensor(0.0), 1.0))
    b = pyro.sample("b", dist.Uniform(tensor(0.0), 1 - a))
    pyro.sample("y", dist.Normal(a + b, 0.3).expand([len(y)]).to_event(1), obs=y)


def improper(y: Tensor) -> None:
    m = pyro.sample("m", dist.ImproperUniform(constraints.real, (), ()))
    s = pyro.sample("s", dist.ImproperUniform(constraints.positive, (), ()))
    c = pyro.sample("c", dist.ImproperUniform(constraints.ordered_vector, (), (3,)))
    with pyro.plate("n", len(y)):
        pyro.sample("y", dist.Normal(m + c.sum(), s), obs=y)


def improper_in_a_plate(y: Tensor) -> None:
    with pyro.plate("k", 3):
        c = pyro.sample("c", dist.ImproperUniform(constraints.simplex, (), (2,)))
    pyro.sample("y", dist.Normal(c[:, 0].sum(), 1.0), obs=y[0])


def regression(xs: Tensor, y: Tensor, *, prior_scale: float = 2.0) -> None:
    b = normal("b", xs.shape[1], scale=prior_scale)
    s = pyro.sample("s", dist.HalfNormal(tensor(2.0)))
    with pyro.plate("n", len(xs)):
        pyro.sample("y", dist.Normal(xs @ b, s), obs=y)


def standardised(xs: Tensor, y: Tensor) -> None:
    b = normal("b", xs.shape[1])
    xs = (xs - xs.mean(0)) / xs.std(0)
    with pyro.plate("n", len(xs)):
        pyro.sample("y", dist.Poisson((0.3 * xs @ b).exp()), obs=y)


def a_dict_of_data(data: dict[str, Tensor]) -> None:
    b = normal("b", 3)
    with pyro.plate("n", len(data["y"])):
        pyro.sample("y", dist.StudentT(4.0, data["X"] @ b, 2.0), obs=data["y"])


def subsampled(xs: Tensor, y: Tensor) -> None:
    b = normal("b", 3)
    with pyro.plate("n", len(xs), subsample_size=4) as rows:
        pyro.sample("y", dist.Normal(xs[rows] @ b, 2.0), obs=y[rows])


def correlated(xs: Tensor) -> None:
    sd = pyro.sample("sd", dist.HalfNormal(2 * ones(3)).to_event(1))
    chol = pyro.sample("chol", dist.LKJCholesky(3, tensor(2.0)))
    with pyro.plate("n", len(xs)):
        pyro.sample("x", dist.MultivariateNormal(zeros(3), scale_tril=sd[:, None] * chol), obs=xs)


def correlation_matrix(xs: Tensor) -> None:
    corr = pyro.sample("corr", dist.LKJ(3, tensor(2.0)))
    with pyro.plate("n", len(xs)):
        pyro.sample("x", dist.MultivariateNormal(zeros(3), covariance_matrix=4 * corr), obs=xs)


def gaussian_process(xs: Tensor, y: Tensor) -> None:
    length = pyro.sample("length", dist.LogNormal(tensor(0.0), 0.5))
    noise = pyro.sample("noise", dist.LogNormal(tensor(0.0), 0.5))
    gap = (xs[:, None, 0] - xs[None, :, 0]) / length
    kernel = 4 * torch.exp(-0.5 * gap**2)
    kernel.view(-1)[:: len(xs) + 1] += noise + 1e-3
    pyro.sample("y", dist.MultivariateNormal(zeros(len(xs)), kernel), obs=y)


def latent_process(y: Tensor) -> None:
    scale = pyro.sample("scale", dist.HalfNormal(tensor(1.0)))
    steps = pyro.sample("steps", dist.Normal(zeros(5), 1.0).to_event(1))
    path = torch.cumsum(scale * steps, -1)
    pyro.sample("y", dist.Poisson(path.clamp(max=5.0).exp()).to_event(1), obs=y)


def garch(y: Tensor) -> None:
    mu = pyro.sample("mu", dist.ImproperUniform(constraints.real, (), ()))
    a0 = pyro.sample("a0", dist.ImproperUniform(constraints.positive, (), ()))
    a1 = pyro.sample("a1", dist.Uniform(tensor(0.0), 1.0))
    b1 = pyro.sample("b1", dist.Uniform(tensor(0.0), 1.0 - a1))
    sigma = tensor(0.5)
    for t in range(len(y)):
        shock = (y[t - 1] - mu) ** 2 if t else 0.0
        sigma = (a0 + a1 * shock + b1 * sigma**2).sqrt()
        pyro.sample(f"y{t}", dist.Normal(mu, sigma), obs=y[t])


def random_walk(y: Tensor) -> None:
    drift = pyro.sample("drift", dist.Normal(tensor(0.0), 1.0))
    x: Any = 0.0
    for t in pyro.markov(range(len(y))):
        x = pyro.sample(f"x{t}", dist.Normal(x + drift, 1.0))
        pyro.sample(f"y{t}", dist.Normal(x, 2.0), obs=y[t])


def a_sequential_plate(y: Tensor) -> None:
    m = pyro.sample("m", dist.Normal(tensor(0.0), 3.0))
    for i in pyro.plate("n", len(y)):
        pyro.sample(f"y{i}", dist.Normal(m, 1.0 + i), obs=y[i])


def nested_plates(y: Tensor) -> None:
    m = pyro.sample("m", dist.Normal(tensor(0.0), 3.0))
    outer, inner = pyro.plate("outer", y.shape[0], dim=-2), pyro.plate("inner", y.shape[1], dim=-1)
    with outer:
        u = pyro.sample("u", dist.Normal(m, 1.0))
    with inner:
        v = pyro.sample("v", dist.Normal(m, 2.0))
    with outer, inner:
        pyro.sample("y", dist.Laplace(u + v, 1.0), obs=y)


def ordered_mixture(x: Tensor) -> None:
    loc = pyro.sample("loc", dist.TransformedDistribution(dist.Normal(zeros(3), 3.0).to_event(1), dist.transforms.OrderedTransform()))
    w = pyro.sample("w", dist.Dirichlet(2 * ones(3)))
    with pyro.plate("n", len(x)):
        pyro.sample("x", dist.MixtureSameFamily(dist.Categorical(w), dist.Normal(loc, 1.0)), obs=x)


def ordinal(xs: Tensor, y: Tensor) -> None:
    b = normal("b", 3)
    cut = pyro.sample("cut", dist.ImproperUniform(constraints.ordered_vector, (), (2,)))
    with pyro.plate("n", len(xs)):
        pyro.sample("y", dist.OrderedLogistic(xs @ b, cut), obs=y)


def zero_inflated(y: Tensor) -> None:
    rate = pyro.sample("rate", dist.Gamma(tensor(2.0), 0.5))
    gate = pyro.sample("gate", dist.Beta(tensor(1.0), 3.0))
    with pyro.plate("n", len(y)):
        pyro.sample("y", dist.ZeroInflatedPoisson(rate, gate=gate), obs=y)


def binomials(y: Tensor) -> None:
    total = tensor([5.0, 9, 4, 8, 6])
    p = pyro.sample("p", dist.Beta(2 * ones(5), 3.0).to_event(1))
    pyro.sample("y", dist.Binomial(total, p).to_event(1), obs=y)
    pyro.sample("c", dist.Multinomial(12, p / p.sum()), obs=tensor([2.0, 3, 1, 4, 2]))


def positive_laws(y: Tensor) -> None:
    a = pyro.sample("a", dist.InverseGamma(tensor(3.0), 2.0))
    b = pyro.sample("b", dist.Weibull(tensor(2.0), 1.5))
    c = pyro.sample("c", dist.VonMises(tensor(0.5), 2.0))
    with pyro.plate("n", len(y)):
        pyro.sample("y", dist.NegativeBinomial(total_count=a + b, logits=0.2 * c), obs=y)


def masked(y: Tensor, mask: Tensor) -> None:
    a = pyro.sample("a", dist.Normal(tensor(0.0), 1.0))
    with pyro.plate("n", len(y)), poutine.mask(mask=mask):
        pyro.sample("y", dist.Normal(a, 2.0), obs=y)


def missing(y: Tensor, mask: Tensor) -> None:
    a = pyro.sample("a", dist.LogNormal(tensor(0.0), 1.0))
    with pyro.plate("n", len(y)):
        full = pyro.sample("y", dist.LogNormal(a, 2.0), obs=y, obs_mask=mask)
        pyro.sample("w", dist.Normal(full.log(), 1.0), obs=zeros(len(y)))


def conditioned_value() -> Callable:
    return poutine.condition(eight_schools, data={"tau": tensor(3.0)})


def weighted(y: Tensor, weights: Tensor) -> None:
    a = pyro.sample("a", dist.Normal(tensor(0.0), 1.0))
    with pyro.plate("n", len(y)), poutine.scale(scale=weights):
        pyro.sample("y", dist.Normal(a, 2.0), obs=y)


def dependent_prior(y: Tensor) -> None:
    with poutine.block(hide=["hidden"]):
        pyro.sample("hidden", dist.Normal(tensor(0.0), 1.0), obs=tensor(0.3))
    a = pyro.sample("a", dist.Delta(tensor(2.0)))
    b = pyro.sample("b", dist.Normal(a, 1.0))
    pyro.sample("y", dist.Normal(b, 1.0).expand([5]).to_event(1), obs=y)


def log_normal_prior(y: Tensor) -> None:
    s = pyro.sample("s", dist.LogNormal(tensor(0.5), 2.0))
    pyro.sample("y", dist.Normal(tensor(0.0), s).expand([5]).to_event(1), obs=y)
