"""Plain Pyro programs with flat priors, whose maximum likelihood other people computed: mixtures, chains, tables with missing values."""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints

from ppgen import DiscreteChain

__all__ = ["EARTHQUAKES", "bernoullis", "blood_groups", "hidden", "linkage", "multivariate", "normals", "poissons", "table"]

# Earthquakes of magnitude 7 and more a year, 1900-2006 (US Geological Survey, public domain)
EARTHQUAKES = torch.tensor(
    [13, 14, 8, 10, 16, 26, 32, 27, 18, 32, 36, 24, 22, 23, 22, 18, 25, 21, 21, 14, 8, 11, 14, 23, 18, 17, 19, 20, 22, 19, 13, 26, 13, 14,
     22, 24, 21, 22, 26, 21, 23, 24, 27, 41, 31, 27, 35, 26, 28, 36, 39, 21, 17, 22, 17, 19, 15, 34, 10, 15, 22, 18, 15, 20, 15, 22, 19, 16,
     30, 27, 29, 23, 20, 16, 21, 21, 25, 16, 18, 15, 18, 14, 10, 15, 8, 15, 6, 11, 8, 7, 18, 16, 13, 12, 13, 20, 15, 16, 12, 18, 15, 16, 13,
     15, 16, 11, 11],
    dtype=torch.float64,
)  # fmt: skip

Program = Callable[..., None]


def flat(name: str, support: constraints.Constraint, *shape: int) -> Tensor:
    return pyro.sample(name, dist.ImproperUniform(support, torch.Size(), torch.Size(shape)))


def normals(k: int, *, equal: bool = False) -> Program:
    """x (N,)"""

    def model(x: Tensor) -> None:
        weights = flat("weights", constraints.simplex, k)
        common = flat("scale", constraints.positive) if equal else None
        with pyro.plate("components", k):
            loc = flat("loc", constraints.real)
            scale = flat("scale", constraints.positive) if common is None else common.expand(k)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Categorical(weights))
            pyro.sample("x", dist.Normal(loc[z], scale[z]), obs=x)

    return model


def multivariate(k: int, *, tied: bool = False) -> Program:
    """x (N, D); standard deviations and correlations of each component, or of all."""

    def root(d: int) -> Tensor:
        scale = flat("scale", constraints.independent(constraints.positive, 1), d)
        return scale[..., None] * flat("correlation", constraints.corr_cholesky, d, d)

    def model(x: Tensor) -> None:
        d = x.shape[1]
        weights = flat("weights", constraints.simplex, k)
        common = root(d) if tied else None
        with pyro.plate("components", k):
            loc = flat("loc", constraints.real_vector, d)
            own = root(d) if common is None else common.expand(k, d, d)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Categorical(weights))
            pyro.sample("x", dist.MultivariateNormal(loc[z], scale_tril=own[z]), obs=x)

    return model


def poissons(k: int) -> Program:
    """x (N,) counts"""

    def model(x: Tensor) -> None:
        weights = flat("weights", constraints.simplex, k)
        with pyro.plate("components", k):
            rate = flat("rate", constraints.positive)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Categorical(weights))
            pyro.sample("x", dist.Poisson(rate[z]), obs=x)

    return model


def bernoullis(k: int) -> Program:
    """x (N, D) of 0 and 1"""

    def model(x: Tensor) -> None:
        weights = flat("weights", constraints.simplex, k)
        with pyro.plate("components", k):
            probs = flat("probs", constraints.independent(constraints.unit_interval, 1), *x.shape[1:])
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Categorical(weights))
            pyro.sample("x", dist.Bernoulli(probs[z]).to_event(1), obs=x)

    return model


def hidden(k: int, *, stationary: bool = False) -> Program:
    """x (T,) counts, Poisson given the state; the first state has a law of its own or the chain's stationary one."""

    def model(x: Tensor) -> None:
        with pyro.plate("states", k):
            transition = flat("transition", constraints.simplex, k)
            rate = flat("rate", constraints.positive)
        if stationary:
            ones = torch.ones(k, dtype=x.dtype)
            initial = torch.linalg.solve(torch.eye(k, dtype=x.dtype) - transition.mT + 1.0, ones)
        else:
            initial = flat("initial", constraints.simplex, k)
        with pyro.plate("time", len(x)):
            z = pyro.sample("z", DiscreteChain(initial, transition))
            pyro.sample("x", dist.Poisson(rate[z]), obs=x)

    return model


def table(a: Tensor, b: Tensor, c: Tensor, seen: Tensor) -> None:
    """a -> b, a -> c, (N,) each of 0 and 1; seen (N, 3) says which values are known."""
    p_a = flat("p_a", constraints.unit_interval)
    with pyro.plate("values of a", 2):
        p_b, p_c = flat("p_b", constraints.unit_interval), flat("p_c", constraints.unit_interval)
    with pyro.plate("data", len(a)):
        at = pyro.sample("a", dist.Bernoulli(p_a), obs=a, obs_mask=seen[:, 0]).long()
        pyro.sample("b", dist.Bernoulli(p_b[at]), obs=b, obs_mask=seen[:, 1])
        pyro.sample("c", dist.Bernoulli(p_c[at]), obs=c, obs_mask=seen[:, 2])


def linkage(counts: Tensor) -> None:
    """Rao's 197 animals in four classes (125, 18, 20, 34), of which the first is two that cannot be told apart."""
    pi = flat("pi", constraints.unit_interval)
    with pyro.plate("animals", int(counts.sum())):
        cell = pyro.sample("cell", dist.Categorical(torch.stack([0 * pi + 0.5, pi / 4, (1 - pi) / 4, (1 - pi) / 4, pi / 4])))
        seen = torch.tensor([0, 0, 1, 2, 3])[cell]  # class in which a cell is seen
        classes = torch.arange(4).repeat_interleave(counts.long())
        pyro.factor("class", torch.where(seen == classes, 0.0, -torch.inf))


def blood_groups(groups: Tensor) -> None:
    """Groups (N,): 0 is A, 1 B, 2 AB, 3 O; two alleles A, B, O each, in the frequencies of Hardy and Weinberg."""
    frequencies = flat("frequencies", constraints.simplex, 3)
    shown = torch.tensor([[0, 2, 0], [2, 1, 1], [0, 1, 3]])
    with pyro.plate("people", len(groups)):
        mother = pyro.sample("mother", dist.Categorical(frequencies))
        father = pyro.sample("father", dist.Categorical(frequencies))
        group = shown[mother, father]
        certain = torch.nn.functional.one_hot(group, 4).to(frequencies)
        pyro.sample("group", dist.Categorical(certain), obs=groups)
