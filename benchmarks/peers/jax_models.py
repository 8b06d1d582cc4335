"""The ten models as NumPyro programs, for NumPyro and BlackJAX. Letters are the formulas'."""

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jax import Array

__all__ = ["MODELS"]


def small(x: Array) -> None:
    """None of the ten: what an environment is tried with before the ten come."""
    m = numpyro.sample("m", dist.Normal(0.0, 1.0))
    with numpyro.plate("data", len(x)):
        numpyro.sample("x", dist.Normal(m, 1.0), obs=x)


def eight_schools(y: Array, sigma: Array) -> None:
    mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = numpyro.sample("tau", dist.HalfCauchy(5.0))
    with numpyro.plate("schools", len(y)):
        effect = numpyro.sample("effect", dist.Normal(0.0, 1.0))
        numpyro.sample("y", dist.Normal(mu + tau * effect, sigma), obs=y)


def logistic(x: Array, y: Array) -> None:
    a = numpyro.sample("a", dist.Normal(0.0, 5.0))
    b = numpyro.sample("b", dist.Normal(0.0, 1.0).expand([x.shape[1]]).to_event(1))
    with numpyro.plate("data", len(y)):
        numpyro.sample("y", dist.Bernoulli(logits=a + x @ b), obs=y)


def mixture(x: Array) -> None:
    w = numpyro.sample("w", dist.Beta(5.0, 5.0))
    m = numpyro.sample("m", dist.Normal(0.0, 2.0).expand([2]).to_event(1))  # the lower mean, and the log of the distance between both
    sd = numpyro.sample("sd", dist.HalfNormal(2.0).expand([2]).to_event(1))
    means = jnp.stack([m[0], m[0] + jnp.exp(m[1])])
    with numpyro.plate("data", len(x)):
        which = dist.Categorical(probs=jnp.stack([w, 1 - w]))
        numpyro.sample("x", dist.MixtureSameFamily(which, dist.Normal(means, sd)), obs=x)


def radon(county: Array, floor: Array, y: Array) -> None:
    mu = numpyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = numpyro.sample("tau", dist.HalfNormal(1.0))
    b = numpyro.sample("b", dist.Normal(0.0, 5.0))
    s = numpyro.sample("s", dist.HalfNormal(1.0))
    effect = numpyro.sample("effect", dist.Normal(0.0, 1.0).expand([40]).to_event(1))
    with numpyro.plate("data", len(y)):
        numpyro.sample("y", dist.Normal((mu + tau * effect)[county] + b * floor, s), obs=y)


def gaussian_process(x: Array, y: Array) -> None:
    r = numpyro.sample("r", dist.LogNormal(0.0, 1.0))
    a = numpyro.sample("a", dist.HalfNormal(1.0))
    s = numpyro.sample("s", dist.HalfNormal(1.0))
    gaps = (x[:, None] - x) ** 2
    covariance = a**2 * jnp.exp(-0.5 * gaps / r**2) + (s**2 + 1e-6) * jnp.eye(len(x))
    numpyro.sample("y", dist.MultivariateNormal(jnp.zeros(len(x)), covariance), obs=y)


def negative_binomial(x: Array, y: Array) -> None:
    a = numpyro.sample("a", dist.Normal(0.0, 5.0))
    b = numpyro.sample("b", dist.Normal(0.0, 1.0).expand([x.shape[1]]).to_event(1))
    phi = numpyro.sample("phi", dist.Exponential(0.2))
    with numpyro.plate("data", len(y)):  # mean exp(eta), variance mean + mean^2 / phi
        numpyro.sample("y", dist.NegativeBinomial(phi, logits=a + x @ b - jnp.log(phi)), obs=y)


def autoregression(y: Array) -> None:
    c = numpyro.sample("c", dist.Normal(0.0, 1.0))
    b = numpyro.sample("b", dist.Normal(0.0, 0.5).expand([5]).to_event(1))
    s = numpyro.sample("s", dist.HalfNormal(1.0))
    lagged = jnp.stack([y[4 - k : len(y) - 1 - k] for k in range(5)], axis=-1)
    with numpyro.plate("steps", len(y) - 5):
        numpyro.sample("y", dist.Normal(c + lagged @ b, s), obs=y[5:])


def horseshoe(x: Array, y: Array) -> None:
    overall = numpyro.sample("overall", dist.HalfCauchy(1.0))
    local = numpyro.sample("local", dist.HalfCauchy(1.0).expand([x.shape[1]]).to_event(1))
    z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([x.shape[1]]).to_event(1))
    s = numpyro.sample("s", dist.HalfNormal(2.0))
    with numpyro.plate("data", len(y)):
        numpyro.sample("y", dist.Normal(x @ (overall * local * z), s), obs=y)


def ordinal(x: Array, y: Array) -> None:
    b = numpyro.sample("b", dist.Normal(0.0, 1.0).expand([x.shape[1]]).to_event(1))
    first = numpyro.sample("first", dist.Normal(0.0, 3.0))  # the lowest cut point, and the gaps between the others
    gaps = numpyro.sample("gaps", dist.Exponential(1.0).expand([3]).to_event(1))
    cuts = jnp.concatenate([first[None], first + gaps.cumsum()])
    with numpyro.plate("data", len(y)):
        numpyro.sample("y", dist.OrderedLogistic(x @ b, cuts), obs=y)


def stochastic_volatility(y: Array) -> None:
    mu = numpyro.sample("mu", dist.Normal(0.0, 2.0))
    step = numpyro.sample("step", dist.Exponential(10.0))
    nu = numpyro.sample("nu", dist.Exponential(0.1))
    z = numpyro.sample("z", dist.Normal(0.0, 1.0).expand([len(y)]).to_event(1))
    log_variance = mu + step * z.cumsum()
    with numpyro.plate("steps", len(y)):
        numpyro.sample("y", dist.StudentT(nu, 0.0, jnp.exp(log_variance / 2)), obs=y)


MODELS = {
    f.__name__.replace("_", "-"): f
    for f in (
        small, eight_schools, logistic, mixture, radon, gaussian_process,
        negative_binomial, autoregression, horseshoe, ordinal, stochastic_volatility,
    )
}  # fmt: skip
