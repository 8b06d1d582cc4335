"""Programs of the literature with their graphs as the textbooks draw them: written down from the mathematics.

Each case: a program, its arguments, the parents of every variable (fixed numbers without a name left out), the plates of those
that are in any, and the sizes of the plates.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro.nn import PyroModule
from torch import Tensor, nn

__all__ = ["CASES", "Case"]


@dataclass(frozen=True)
class Case:
    program: Callable[..., Any]
    args: tuple[Any, ...]
    parents: Mapping[str, str]  # names separated by blanks
    plates: Mapping[str, str]
    sizes: Mapping[str, int]
    kinds: Mapping[str, str] = field(default_factory=dict)  # of what is no latent variable


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)) * 3 + 1


def labels(count: int, *shape: int, seed: int = 0) -> Tensor:
    return torch.randint(count, shape, generator=torch.Generator().manual_seed(seed))


def binary(*shape: int) -> Tensor:
    return labels(2, *shape).float()


def mixture_of_bernoullis(x: Tensor, alpha: Tensor, a: Tensor, b: Tensor) -> None:
    pi = pyro.sample("pi", dist.Dirichlet(alpha))
    with pyro.plate("components", 3):
        mu = pyro.sample("mu", dist.Beta(a, b).expand([x.shape[1]]).to_event(1))
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Categorical(pi))
        pyro.sample("x", dist.Bernoulli(mu[z]).to_event(1), obs=x)


def gaussian_mixture(x: Tensor) -> None:
    w = pyro.sample("w", dist.Dirichlet(torch.ones(2)))
    with pyro.plate("components", 2):
        loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
        scale = pyro.sample("scale", dist.LogNormal(0.0, 1.0))
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Categorical(w))
        pyro.sample("x", dist.Normal(loc[z], scale[z]), obs=x)


def lda(words: Tensor, alpha: Tensor, beta: Tensor) -> None:
    """Blei, Ng & Jordan, 2003, with topics that have a prior (the smoothed model). words: (places, documents)."""
    with pyro.plate("topics", 3):
        phi = pyro.sample("phi", dist.Dirichlet(beta))
    with pyro.plate("documents", words.shape[1]):
        theta = pyro.sample("theta", dist.Dirichlet(alpha))
        with pyro.plate("places", words.shape[0]):
            z = pyro.sample("z", dist.Categorical(theta))
            pyro.sample("w", dist.Categorical(phi[z]), obs=words)


def matrix_factorisation(r: Tensor) -> None:
    """Salakhutdinov & Mnih, 2007."""
    rows, columns = pyro.plate("rows", r.shape[0], dim=-2), pyro.plate("columns", r.shape[1], dim=-1)
    with rows:
        u = pyro.sample("u", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    with columns:
        v = pyro.sample("v", dist.Normal(torch.zeros(2), 1.0).to_event(1))
    with rows, columns:
        pyro.sample("r", dist.Normal((u * v).sum(-1), 1.0), obs=r)


def hidden_markov(x: Tensor) -> None:
    with pyro.plate("states", 2):
        row = pyro.sample("row", dist.Dirichlet(torch.ones(2)))
        loc = pyro.sample("loc", dist.Normal(0.0, 5.0))
    z = torch.tensor(0)
    for t in range(len(x)):
        z = pyro.sample(f"z_{t}", dist.Categorical(row[z]))
        pyro.sample(f"x_{t}", dist.Normal(loc[z], 1.0), obs=x[t])


def factorial_hidden_markov(x: Tensor) -> None:
    """Ghahramani & Jordan, 1997: two chains that meet in what is seen."""
    with pyro.plate("states", 2):
        p = pyro.sample("p", dist.Dirichlet(torch.ones(2)))
        q = pyro.sample("q", dist.Dirichlet(torch.ones(2)))
    a = b = torch.tensor(0)
    for t in range(len(x)):
        a = pyro.sample(f"a_{t}", dist.Categorical(p[a]))
        b = pyro.sample(f"b_{t}", dist.Categorical(q[b]))
        pyro.sample(f"x_{t}", dist.Normal(a + 2.0 * b, 1.0), obs=x[t])


def state_space(x: Tensor) -> None:
    a = pyro.sample("a", dist.Normal(0.0, 1.0))
    q = pyro.sample("q", dist.HalfNormal(1.0))
    r = pyro.sample("r", dist.HalfNormal(1.0))
    z = pyro.sample("z_0", dist.Normal(0.0, 5.0))
    for t in range(1, len(x) + 1):
        z = pyro.sample(f"z_{t}", dist.Normal(a * z, q))
        pyro.sample(f"x_{t}", dist.Normal(z, r), obs=x[t - 1])


def hierarchical_regression(X: Tensor, g: Tensor, y: Tensor) -> None:
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = pyro.sample("tau", dist.HalfCauchy(2.0))
    beta = pyro.sample("beta", dist.Normal(torch.zeros(X.shape[1]), 1.0).to_event(1))
    with pyro.plate("groups", 4):
        alpha = pyro.sample("alpha", dist.Normal(mu, tau))
    sigma = pyro.sample("sigma", dist.HalfNormal(1.0))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(alpha[g] + X @ beta, sigma), obs=y)


def eight_schools_centred(sigma: Tensor, y: Tensor) -> None:
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = pyro.sample("tau", dist.HalfCauchy(5.0))
    with pyro.plate("schools", 8):
        theta = pyro.sample("theta", dist.Normal(mu, tau))
        pyro.sample("y", dist.Normal(theta, sigma), obs=y)


def eight_schools_noncentred(sigma: Tensor, y: Tensor) -> None:
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    tau = pyro.sample("tau", dist.HalfCauchy(5.0))
    with pyro.plate("schools", 8):
        eta = pyro.sample("eta", dist.Normal(0.0, 1.0))
        theta = pyro.deterministic("theta", mu + tau * eta)
        pyro.sample("y", dist.Normal(theta, sigma), obs=y)


def item_response(y: Tensor) -> None:
    """Two parameters per item. y: (people, items)."""
    people, items = pyro.plate("people", y.shape[0], dim=-2), pyro.plate("items", y.shape[1], dim=-1)
    with people:
        ability = pyro.sample("ability", dist.Normal(0.0, 1.0))
    with items:
        difficulty = pyro.sample("difficulty", dist.Normal(0.0, 1.0))
        slope = pyro.sample("slope", dist.LogNormal(0.0, 0.5))
    with people, items:
        pyro.sample("y", dist.Bernoulli(logits=slope * (ability - difficulty)), obs=y)


class DeepMarkov(PyroModule):
    """Krishnan, Shalit & Sontag, 2017: networks for the step and for what is seen."""

    def __init__(self) -> None:
        super().__init__()
        self.step = nn.Sequential(nn.Linear(2, 4), nn.Tanh(), nn.Linear(4, 2))
        self.emission = nn.Linear(2, 3)

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", x.shape[1]):
            z = torch.zeros(x.shape[1], 2)
            for t in range(len(x)):
                z = pyro.sample(f"z_{t}", dist.Normal(self.step(z), 1.0).to_event(1))
                pyro.sample(f"x_{t}", dist.Bernoulli(logits=self.emission(z)).to_event(1), obs=x[t])


class Autoencoder(PyroModule):
    def __init__(self) -> None:
        super().__init__()
        self.decoder = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 4))

    def forward(self, x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(torch.zeros(len(x), 2), 1.0).to_event(1))
            pyro.sample("x", dist.Bernoulli(logits=self.decoder(z)).to_event(1), obs=x)


def block_model(a: Tensor) -> None:
    """Holland, Laskey & Leinhardt, 1983; nodes once as senders and once as receivers."""
    n = len(a)
    pi = pyro.sample("pi", dist.Dirichlet(torch.ones(2)))
    eta = pyro.sample("eta", dist.Beta(torch.ones(2, 2), 1.0).to_event(2))
    with pyro.plate("nodes", n, dim=-1):
        z = pyro.sample("z", dist.Categorical(pi))
    with pyro.plate("senders", n, dim=-2), pyro.plate("receivers", n, dim=-1):
        pyro.sample("a", dist.Bernoulli(eta[z[:, None], z]), obs=a)


def factor_analysis(x: Tensor) -> None:
    w = pyro.sample("w", dist.Normal(torch.zeros(2, x.shape[1]), 1.0).to_event(2))
    psi = pyro.sample("psi", dist.HalfNormal(torch.ones(x.shape[1])).to_event(1))
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Normal(torch.zeros(2), 1.0).to_event(1))
        pyro.sample("x", dist.Normal(z @ w, psi).to_event(1), obs=x)


def horseshoe(X: Tensor, y: Tensor) -> None:
    tau = pyro.sample("tau", dist.HalfCauchy(1.0))
    with pyro.plate("columns", X.shape[1]):
        lam = pyro.sample("lam", dist.HalfCauchy(1.0))
        beta = pyro.sample("beta", dist.Normal(0.0, tau * lam))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(X @ beta, 1.0), obs=y)


def stochastic_volatility(y: Tensor) -> None:
    phi = pyro.sample("phi", dist.Uniform(-1.0, 1.0))
    sigma = pyro.sample("sigma", dist.HalfCauchy(2.0))
    h = pyro.sample("h_0", dist.Normal(0.0, 1.0))
    pyro.sample("y_0", dist.Normal(0.0, (h / 2).exp()), obs=y[0])
    for t in range(1, len(y)):
        h = pyro.sample(f"h_{t}", dist.Normal(phi * h, sigma))
        pyro.sample(f"y_{t}", dist.Normal(0.0, (h / 2).exp()), obs=y[t])


def sprinkler() -> None:
    """Russell & Norvig: cloudy, sprinkler, rain, wet grass."""
    cloudy = pyro.sample("cloudy", dist.Bernoulli(0.5))
    on = pyro.sample("sprinkler", dist.Bernoulli(torch.tensor([0.5, 0.1])[cloudy.long()]))
    rain = pyro.sample("rain", dist.Bernoulli(torch.tensor([0.2, 0.8])[cloudy.long()]))
    pyro.sample("wet", dist.Bernoulli(torch.tensor([[0.0, 0.9], [0.9, 0.99]])[on.long(), rain.long()]))


def change_point(y: Tensor) -> None:
    s = pyro.sample("s", dist.Uniform(0.0, float(len(y))))
    early, late = pyro.sample("early", dist.Exponential(1.0)), pyro.sample("late", dist.Exponential(1.0))
    with pyro.plate("years", len(y)):
        rate = pyro.deterministic("rate", torch.where(torch.arange(len(y)) < s, early, late))
        pyro.sample("y", dist.Poisson(rate), obs=y)


def dependent_support(y: Tensor) -> None:
    a = pyro.sample("a", dist.Uniform(0.0, 1.0))
    b = pyro.sample("b", dist.Uniform(0.0, 1.0 - a))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(0.0, a + b), obs=y)


def written_in_place(y: Tensor) -> None:
    a, b = pyro.sample("a", dist.Normal(0.0, 1.0)), pyro.sample("b", dist.Normal(0.0, 1.0))
    loc = torch.zeros(len(y))
    loc[:2] = a
    torch.add(loc, b, out=loc)
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(loc, 1.0), obs=y)


def false_edges(y: Tensor) -> None:
    a, b, c = (pyro.sample(n, dist.Normal(0.0, 1.0)) for n in "abc")
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(torch.stack([a, b])[0] + 0 * c + torch.zeros_like(b), 1.0), obs=y)


def energy() -> None:
    x = pyro.sample("x", dist.Normal(torch.zeros(2), 2.0).to_event(1))
    pyro.factor("energy", -((x**2).sum() ** 2))


def slices(pattern: Mapping[str, str], first: int, last: int) -> dict[str, str]:
    """Parents of repeated slices: {t} is the number of the slice and {s} the one before."""
    return {k.format(t=t): v.format(t=t, s=t - 1) for t in range(first, last + 1) for k, v in pattern.items()}


Y, X = numbers(6), numbers(6, 3)
CASES: dict[str, Case] = {
    "mixture of Bernoullis": Case(
        mixture_of_bernoullis,
        (binary(6, 4), torch.ones(3), torch.tensor(2.0), torch.tensor(3.0)),
        {"pi": "alpha", "mu": "a b", "z": "pi", "x": "mu z"},
        {"mu": "components", "z": "data", "x": "data"},
        {"components": 3, "data": 6},
        {"x": "observed", "alpha": "constant", "a": "constant", "b": "constant"},
    ),
    "Gaussian mixture": Case(
        gaussian_mixture, (Y,), {"w": "", "loc": "", "scale": "", "z": "w", "x": "loc scale z"},
        {"loc": "components", "scale": "components", "z": "data", "x": "data"}, {"components": 2, "data": 6}, {"x": "observed"},
    ),
    "latent Dirichlet allocation": Case(
        lda, (labels(5, 4, 3), torch.ones(3), torch.ones(5)),
        {"phi": "beta", "theta": "alpha", "z": "theta", "w": "phi z"},
        {"phi": "topics", "theta": "documents", "z": "places documents", "w": "places documents"},
        {"topics": 3, "documents": 3, "places": 4}, {"w": "observed", "alpha": "constant", "beta": "constant"},
    ),
    "matrix factorisation": Case(
        matrix_factorisation, (numbers(5, 4),), {"u": "", "v": "", "r": "u v"},
        {"u": "rows", "v": "columns", "r": "rows columns"}, {"rows": 5, "columns": 4}, {"r": "observed"},
    ),
    "hidden Markov model": Case(
        hidden_markov, (numbers(4),),
        {"row": "", "loc": "", "z_0": "row", **slices({"z_{t}": "row z_{s}"}, 1, 3), **slices({"x_{t}": "loc z_{t}"}, 0, 3)},
        {"row": "states", "loc": "states"}, {"states": 2}, {f"x_{t}": "observed" for t in range(4)},
    ),
    "factorial hidden Markov model": Case(
        factorial_hidden_markov, (numbers(4),),
        {
            "p": "", "q": "", "a_0": "p", "b_0": "q",
            **slices({"a_{t}": "p a_{s}", "b_{t}": "q b_{s}"}, 1, 3), **slices({"x_{t}": "a_{t} b_{t}"}, 0, 3),
        },
        {"p": "states", "q": "states"}, {"states": 2}, {f"x_{t}": "observed" for t in range(4)},
    ),
    "linear-Gaussian state space": Case(
        state_space, (numbers(4),),
        {"a": "", "q": "", "r": "", "z_0": "", **slices({"z_{t}": "a q z_{s}", "x_{t}": "r z_{t}"}, 1, 4)},
        {}, {}, {f"x_{t}": "observed" for t in range(1, 5)},
    ),
    "hierarchical regression": Case(
        hierarchical_regression, (numbers(12, 3), labels(4, 12), numbers(12)),
        {"mu": "", "tau": "", "beta": "", "alpha": "mu tau", "sigma": "", "y": "alpha beta sigma X g"},
        {"alpha": "groups", "y": "data"}, {"groups": 4, "data": 12}, {"y": "observed", "X": "constant", "g": "constant"},
    ),
    "eight schools, centred": Case(
        eight_schools_centred, (numbers(8).abs() + 1, numbers(8)), {"mu": "", "tau": "", "theta": "mu tau", "y": "theta sigma"},
        {"theta": "schools", "y": "schools"}, {"schools": 8}, {"y": "observed", "sigma": "constant"},
    ),
    "eight schools, non-centred": Case(
        eight_schools_noncentred, (numbers(8).abs() + 1, numbers(8)),
        {"mu": "", "tau": "", "eta": "", "theta": "mu tau eta", "y": "theta sigma"},
        {"eta": "schools", "theta": "schools", "y": "schools"}, {"schools": 8},
        {"y": "observed", "theta": "deterministic", "sigma": "constant"},
    ),
    "item response": Case(
        item_response, (binary(5, 4),), {"ability": "", "difficulty": "", "slope": "", "y": "ability difficulty slope"},
        {"ability": "people", "difficulty": "items", "slope": "items", "y": "people items"}, {"people": 5, "items": 4}, {"y": "observed"},
    ),
    "deep Markov model": Case(
        DeepMarkov(), (binary(4, 5, 3),),
        {"z_0": "step", **slices({"z_{t}": "step z_{s}"}, 1, 3), **slices({"x_{t}": "emission z_{t}"}, 0, 3)},
        {f"{v}_{t}": "data" for v in "zx" for t in range(4)}, {"data": 5},
        {**{f"x_{t}": "observed" for t in range(4)}, "step": "parameter", "emission": "parameter"},
    ),
    "variational autoencoder": Case(
        Autoencoder(), (binary(6, 4),), {"z": "", "x": "decoder z"}, {"z": "data", "x": "data"}, {"data": 6},
        {"x": "observed", "decoder": "parameter"},
    ),
    "stochastic block model": Case(
        block_model, (binary(5, 5),), {"pi": "", "eta": "", "z": "pi", "a": "eta z"},
        {"z": "nodes", "a": "senders receivers"}, {"nodes": 5, "senders": 5, "receivers": 5}, {"a": "observed"},
    ),
    "factor analysis": Case(
        factor_analysis, (X,), {"w": "", "psi": "", "z": "", "x": "w psi z"},
        {"z": "data", "x": "data"}, {"data": 6}, {"x": "observed"},
    ),
    "horseshoe": Case(
        horseshoe, (X, Y), {"tau": "", "lam": "", "beta": "tau lam", "y": "beta X"},
        {"lam": "columns", "beta": "columns", "y": "data"}, {"columns": 3, "data": 6}, {"y": "observed", "X": "constant"},
    ),
    "stochastic volatility": Case(
        stochastic_volatility, (numbers(4),),
        {"phi": "", "sigma": "", "h_0": "", "y_0": "h_0", **slices({"h_{t}": "phi sigma h_{s}", "y_{t}": "h_{t}"}, 1, 3)},
        {}, {}, {f"y_{t}": "observed" for t in range(4)},
    ),
    "sprinkler": Case(sprinkler, (), {"cloudy": "", "sprinkler": "cloudy", "rain": "cloudy", "wet": "sprinkler rain"}, {}, {}),
    "change point": Case(
        change_point, (labels(9, 8).float(),), {"s": "", "early": "", "late": "", "rate": "s early late", "y": "rate"},
        {"rate": "years", "y": "years"}, {"years": 8}, {"y": "observed", "rate": "deterministic"},
    ),
    "a support that depends": Case(dependent_support, (Y,), {"a": "", "b": "a", "y": "a b"}, {"y": "data"}, {"data": 6}, {"y": "observed"}),
    "written in place": Case(written_in_place, (Y,), {"a": "", "b": "", "y": "a b"}, {"y": "data"}, {"data": 6}, {"y": "observed"}),
    "false edges": Case(false_edges, (Y,), {"a": "", "b": "", "c": "", "y": "a"}, {"y": "data"}, {"data": 6}, {"y": "observed"}),
    "energy": Case(energy, (), {"x": "", "energy": "x"}, {}, {}, {"energy": "factor"}),
}  # fmt: skip
