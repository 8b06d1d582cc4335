"""Two small programs on five numbers, for the tests of LogDensity."""

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from ppgen.keys import Key

__all__ = ["FOUR", "Y", "mixture", "schools"]

Y = torch.tensor([-21.0, -18.5, 30.0, 33.5, 27.0], dtype=torch.float64)
FOUR = Key(7, 0, (0, 1, 2, 3))


def mixture(y: Tensor) -> None:
    """Two components; `centre` is deterministic and an enumerated site enters it."""
    weight = pyro.sample("weight", dist.Beta(2.0, 3.0))
    loc = pyro.sample("loc", dist.Normal(torch.tensor([-10.0, 10.0]), 20.0).to_event(1))
    pyro.deterministic("gap", loc[1] - loc[0])
    with pyro.plate("data", len(y)):
        z = pyro.sample("z", dist.Bernoulli(weight))
        centre = pyro.deterministic("centre", loc[z.long()])
        pyro.sample("y", dist.Normal(centre, 12.0), obs=y)


def schools(y: Tensor, sigma: Tensor) -> None:
    mu, tau = pyro.sample("mu", dist.Normal(0.0, 5.0)), pyro.sample("tau", dist.HalfCauchy(5.0))
    with pyro.plate("schools", len(y)):
        e = pyro.sample("e", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(mu + tau * e, sigma), obs=y)
