"""Programs of discrete sites, summed out."""

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.ops.indexing import Vindex
from torch import Tensor
from torch.nn import functional

from .data import normal, ones, tensor, zeros


def mixture(x: Tensor) -> None:
    w = pyro.sample("w", dist.Dirichlet(ones(2)))
    with pyro.plate("components", 2):
        loc = pyro.sample("loc", dist.Normal(tensor(0.0), 3.0))
    with pyro.plate("n", len(x)):
        z = pyro.sample("z", dist.Categorical(w))
        pyro.sample("x", dist.Normal(loc[z], 2.0), obs=x)


def read_twice(x: Tensor, c: Tensor) -> None:
    loc = normal("loc", 3)
    p = pyro.sample("p", dist.Beta(ones(3), 2.0).to_event(1))
    with pyro.plate("n", len(x)):
        z = pyro.sample("z", dist.Categorical(tensor([0.2, 0.3, 0.5])))
        pyro.sample("x", dist.Normal(loc[z], 2.0), obs=x)
        pyro.sample("c", dist.Bernoulli(p[z]), obs=c)


def hidden_markov(x: Tensor) -> None:
    transition = pyro.sample("transition", dist.Dirichlet(ones(2, 2)).to_event(1))
    loc = normal("loc", 2)
    z: Any = 0
    for t in pyro.markov(range(len(x))):
        z = pyro.sample(f"z{t}", dist.Categorical(Vindex(transition)[z]))
        pyro.sample(f"x{t}", dist.Normal(loc[z], 1.0), obs=x[t])


def second_order(x: Tensor) -> None:
    transition = pyro.sample("transition", dist.Dirichlet(ones(2, 2, 2)).to_event(2))
    loc = normal("loc", 2)
    a: Any = 0
    b: Any = 0
    for t in pyro.markov(range(len(x)), history=2):
        z = pyro.sample(f"z{t}", dist.Categorical(Vindex(transition)[a, b]))
        a, b = b, z
        pyro.sample(f"x{t}", dist.Normal(loc[z], 1.0), obs=x[t])


def hidden_markov_in_plates(x: Tensor) -> None:
    transition = pyro.sample("transition", dist.Dirichlet(ones(2, 2)).to_event(1))
    loc = normal("loc", 2)
    z: Any = 0
    features = pyro.plate("features", x.shape[2], dim=-1)
    with pyro.plate("sequences", x.shape[0], dim=-2):
        for t in pyro.markov(range(x.shape[1])):
            z = pyro.sample(f"z{t}", dist.Categorical(Vindex(transition)[z]))
            with features:
                pyro.sample(f"x{t}", dist.Normal(loc[z], 1.0), obs=x[:, t])


def block_model(edges: Tensor) -> None:
    w = pyro.sample("w", dist.Dirichlet(ones(2)))
    rate = pyro.sample("rate", dist.Beta(ones(2, 2), 2.0).to_event(2))
    z = [pyro.sample(f"z{i}", dist.Categorical(w)) for i in range(3)]
    for i in range(3):
        for j in range(i):
            pyro.sample(f"e{i}{j}", dist.Bernoulli(Vindex(rate)[z[i], z[j]]), obs=edges[i, j])


def global_and_local(x: Tensor) -> None:
    k = pyro.sample("k", dist.Categorical(tensor([0.3, 0.7])))
    loc = normal("loc", 2)
    w = pyro.sample("w", dist.Beta(tensor(2.0), 2.0))
    with pyro.plate("n", len(x)):
        z = pyro.sample("z", dist.Bernoulli(w)).long()
        pyro.sample("x", dist.Normal(loc[z] + k, 1.0), obs=x)


def nested_discrete() -> None:
    p = pyro.sample("p", dist.Dirichlet(ones(2, 2)).to_event(1))
    q = pyro.sample("q", dist.Beta(ones(2, 2), 2.0).to_event(2))
    with pyro.plate("groups", 2, dim=-2):
        c = pyro.sample("c", dist.Categorical(tensor([0.4, 0.6])))
        with pyro.plate("items", 3, dim=-1):
            z = pyro.sample("z", dist.Categorical(Vindex(p)[c]))
            pyro.sample("y", dist.Bernoulli(Vindex(q)[c, z]), obs=tensor([[1.0, 0, 1], [0, 0, 1]]))


def local_continuous(x: Tensor) -> None:
    loc = normal("loc", 2)
    with pyro.plate("n", len(x)):
        z = pyro.sample("z", dist.Bernoulli(tensor(0.3))).long()
        u = pyro.sample("u", dist.Normal(loc[z], 1.0))
        pyro.sample("x", dist.Normal(u, 1.0), obs=x)


def one_hot(x: Tensor) -> None:
    loc = normal("loc", 3)
    with pyro.plate("n", len(x)):
        z = pyro.sample("z", dist.OneHotCategorical(tensor([0.2, 0.3, 0.5])))
        pyro.sample("x", dist.Normal((z * loc).sum(-1), 1.0), obs=x)


def one_hot_of_a_label(x: Tensor) -> None:
    loc = normal("loc", 3)
    with pyro.plate("n", len(x)):
        z = pyro.sample("z", dist.Categorical(tensor([0.2, 0.3, 0.5])))
        pyro.sample("x", dist.Normal((functional.one_hot(z, 3).to(loc) * loc).sum(-1), 1.0), obs=x)


def thinned(x: Tensor) -> None:
    p = pyro.sample("p", dist.Beta(tensor(2.0), 2.0))
    with pyro.plate("n", len(x)):
        count = pyro.sample("count", dist.Binomial(3, p))
        pyro.sample("x", dist.Normal(count, 1.0), obs=x)


def batch_without_a_plate(x: Tensor) -> None:
    loc = normal("loc", 2)
    z = pyro.sample("z", dist.Categorical(tensor([[0.2, 0.8], [0.5, 0.5], [0.6, 0.4]])))
    pyro.sample("x", dist.Normal(loc[z], 1.0), obs=x)


def masked_mixture(x: Tensor, mask: Tensor) -> None:
    loc = normal("loc", 2)
    with pyro.plate("n", len(x)):
        z = pyro.sample("z", dist.Categorical(tensor([0.4, 0.6])))
        with poutine.mask(mask=mask):
            pyro.sample("x", dist.Normal(loc[z], 1.0), obs=x)


def chosen_by_where(x: Tensor) -> None:
    a = pyro.sample("a", dist.Normal(tensor(0.0), 1.0))
    z = pyro.sample("z", dist.Bernoulli(tensor(0.3)))
    pyro.sample("x", dist.Normal(torch.where(z == 1, a, 2 * a), 1.0), obs=x[0])
    pyro.deterministic("chosen", z * a)


def impossible_states(x: Tensor) -> None:
    forward = torch.where(torch.ones(2, 2).triu() > 0, zeros(), tensor(-torch.inf))
    a = normal("a", 2, 2)
    loc = normal("loc", 2)
    z: Any = 0
    for t in pyro.markov(range(len(x))):
        z = pyro.sample(f"z{t}", dist.Categorical(logits=Vindex(forward + a)[z]))
        pyro.sample(f"x{t}", dist.Normal(loc[z], 1.0), obs=x[t])


def scaled_evenly(x: Tensor) -> None:
    loc = normal("loc", 2)
    with poutine.scale(scale=tensor(3.0)):
        z = pyro.sample("z", dist.Categorical(tensor([0.4, 0.6])))
        pyro.sample("x", dist.Normal(loc[z], 1.0), obs=x[0])
