"""Programs with factors, parameters and modules."""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import constraints
from pyro.nn import PyroModule, PyroParam, PyroSample
from torch import Tensor

from .data import tensor, zeros


def factors(y: Tensor) -> None:
    a = pyro.sample("a", dist.Normal(tensor(0.0), 1.0))
    d = pyro.deterministic("d", a.exp())
    pyro.factor("f", -0.5 * (d - 2) ** 2)
    with pyro.plate("n", len(y)):
        pyro.factor("g", -0.1 * (y - d).abs())


def parameters(y: Tensor) -> None:
    loc = pyro.param("loc", tensor(0.3))
    scales = pyro.param("scales", lambda: tensor([1.5, 2.0]), constraint=constraints.positive)
    m = pyro.sample("m", dist.Normal(loc, scales[0]))
    with pyro.plate("n", len(y)):
        pyro.sample("y", dist.Normal(m, pyro.param("scales")[1]), obs=y)


def parameter_in_a_support(y: Tensor) -> None:
    c = pyro.param("c", tensor(2.0), constraint=constraints.positive)
    b = pyro.sample("b", dist.Uniform(-c, c))
    pyro.sample("y", dist.Normal(b, 1.0), obs=y[0])


NET = torch.nn.Linear(1, 1).double()


def plain_module(y: Tensor) -> None:
    net = pyro.module("net", NET)
    a = pyro.sample("a", dist.Normal(tensor(0.0), 1.0))
    with pyro.plate("n", len(y)):
        pyro.sample("y", dist.Normal(net(y[:, None]).squeeze(-1) * a, 1.0), obs=y)


class Linear(PyroModule):
    """PyroSample, PyroParam, a PyroModule of torch's and a plain module of torch's."""

    def __init__(self) -> None:
        super().__init__()
        self.first = PyroModule[torch.nn.Linear](3, 2)
        self.second = torch.nn.Linear(2, 1)
        self.scale = PyroParam(torch.tensor(1.5), constraints.positive)
        self.shift = PyroSample(lambda self: dist.Normal(tensor(0.0), 1.0))
        self.slope = PyroSample(lambda self: dist.Normal(self.shift, 2.0))
        self.double()

    def forward(self, xs: Tensor, y: Tensor | None = None) -> Tensor:
        shift, slope = self.shift, self.slope
        with pyro.plate("n", len(xs)):
            loc = self.second(self.first(xs).tanh()).squeeze(-1) * slope + shift
            return pyro.sample("y", dist.Normal(loc, self.scale), obs=y)


class BayesianNet(PyroModule):
    """Every weight of a layer is a site."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = PyroModule[torch.nn.Linear](3, 2)
        self.layer.weight = PyroSample(dist.Normal(zeros(2, 3), 1.0).to_event(2))
        self.layer.bias = PyroSample(dist.Normal(zeros(2), 1.0).to_event(1))

    def forward(self, xs: Tensor, y: Tensor) -> None:
        h = self.layer(xs)
        with pyro.plate("n", len(xs)):
            pyro.sample("y", dist.Normal(h.relu().sum(-1), 1.0), obs=y)


class Normed(PyroModule):
    """Batch norm and dropout, in evaluation mode unless asked; a buffer that each run counts up."""

    def __init__(self, training: bool = False) -> None:
        super().__init__()
        layers = torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Dropout(0.4), torch.nn.Linear(4, 1)
        self.body = torch.nn.Sequential(*layers).double()
        self.training_stats = training
        self.register_buffer("runs", tensor(0.0))

    def forward(self, xs: Tensor, y: Tensor) -> None:
        a = pyro.sample("a", dist.Normal(tensor(0.0), 1.0))
        self.body[1].train(self.training_stats)
        self.runs += 1
        h = self.body(xs).squeeze(-1) * a / self.runs
        with pyro.plate("n", len(xs)):
            pyro.sample("y", dist.Normal(h, 1.0), obs=y)
