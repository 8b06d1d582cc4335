"""Continuous sites drawn from their laws given the discrete ones: against scipy's laws, enumeration, and trajectories."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import scipy.stats
import torch
from torch import Tensor

from ppgen.diagnostics import ess_and_rhat
from ppgen.errors import EngineError
from ppgen.inference import Gibbs
from ppgen.posterior import Posterior
from ppgen.program import Program

QUIET = {"progress": False, "num_warmup": 0}
COUNTS = torch.tensor([21.0, 14.0, 18.0, 9.0, 11.0, 20.0, 12.0])


def doubles(*numbers: float) -> Tensor:
    return torch.tensor(numbers, dtype=torch.float64)


def independent() -> None:
    """One coordinate or more of every kind, in scales that differ, and coins that they have nothing to do with."""
    with pyro.plate("coins", 2):
        pyro.sample("coin", dist.Bernoulli(0.5))
    pyro.sample("beta", dist.Beta(doubles(0.3, 2.0, 50.0), doubles(0.7, 9.0, 200.0)).to_event(1))
    pyro.sample("gamma", dist.Gamma(doubles(0.2, 3.0, 40.0), doubles(1e-3, 2.0, 1e3)).to_event(1))
    pyro.sample("exponential", dist.Exponential(doubles(3.0)[0]))
    pyro.sample("uniform", dist.Uniform(doubles(0.0)[0], doubles(1.0)[0]))
    pyro.sample("normal", dist.Normal(doubles(100.0, -3.0), doubles(20.0, 0.1)).to_event(1))
    pyro.sample("dirichlet", dist.Dirichlet(doubles(0.3, 4.0, 7.0, 1.0)))


LAWS = {
    "beta": [scipy.stats.beta(0.3, 0.7), scipy.stats.beta(2, 9), scipy.stats.beta(50, 200)],
    "gamma": [scipy.stats.gamma(0.2, scale=1e3), scipy.stats.gamma(3, scale=0.5), scipy.stats.gamma(40, scale=1e-3)],
    "exponential": [scipy.stats.expon(scale=1 / 3)],
    "uniform": [scipy.stats.uniform()],
    "normal": [scipy.stats.norm(100, 20), scipy.stats.norm(-3, 0.1)],
    "dirichlet": [scipy.stats.beta(a, 12.3 - a) for a in (0.3, 4.0, 7.0, 1.0)],
}


def test_draws_have_their_laws_and_nothing_to_do_with_each_other() -> None:
    posterior = Gibbs(num_samples=20_000, **QUIET).run(independent)
    assert "n_steps" not in posterior.stats
    columns = []
    for site, laws in LAWS.items():
        draws = posterior.draws[site].double().reshape(4, 20_000, -1)
        columns.append(draws.log() if site == "gamma" else draws[..., :3])
        for i, law in enumerate(laws):
            assert scipy.stats.kstest(draws[..., i].flatten().numpy(), law.cdf).pvalue > 1e-3, (site, i)
    together = torch.cat(columns, -1)
    assert (torch.as_tensor(ess_and_rhat(together.numpy())[0]) > 70_000).all()
    correlation = torch.corrcoef(together.flatten(0, 1)[:, :-3].T)  # a Dirichlet's entries depend on each other
    assert ((correlation - torch.eye(len(correlation))).abs() * 80_000**0.5).max() < 4.5


def two_rates(x: Tensor) -> None:
    weights = pyro.sample("weights", dist.Dirichlet(torch.tensor([1.0, 2.0])))
    with pyro.plate("components", 2):
        rate = pyro.sample("rate", dist.Gamma(torch.tensor([2.0, 9.0]), torch.tensor([0.5, 0.4])))
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Categorical(weights))
        pyro.sample("x", dist.Poisson(rate[z]), obs=x)


def exact_rates() -> tuple[Tensor, Tensor]:
    """Means of weights and rates, over all 128 assignments."""
    a, b, c = doubles(2.0, 9.0), doubles(0.5, 0.4), doubles(1.0, 2.0)
    z = torch.tensor(list(itertools.product([0, 1], repeat=len(COUNTS))))
    member = torch.nn.functional.one_hot(z, 2).double()  # (assignments, data, 2)
    size, total = member.sum(1), (member * COUNTS[:, None].double()).sum(1)
    log_p = torch.lgamma(a + total) - (a + total) * (b + size).log() - torch.lgamma(a) + a * b.log() + torch.lgamma(c + size)
    p = log_p.sum(-1).softmax(0)
    return p @ ((c + size) / (c + size).sum(-1, keepdim=True)), p @ ((a + total) / (b + size))


@pytest.mark.parametrize("how", ["joint", "sweep"])
def test_a_mixture_against_all_its_assignments(how: str) -> None:
    posterior = Gibbs(num_samples=6000, discrete=how, **QUIET).run(two_rates, COUNTS)
    assert "n_steps" not in posterior.stats
    for site, mean in zip(("weights", "rate"), exact_rates(), strict=True):
        draws = posterior.draws[site].double()
        ess = torch.as_tensor(ess_and_rhat(draws.numpy())[0])
        assert (ess > 1000).all()
        assert ((draws.mean((0, 1)) - mean).abs() < 4.5 * draws.flatten(0, 1).std(0) / ess.sqrt()).all()


def coins() -> Tensor:
    with pyro.plate("coins", 3):
        return pyro.sample("coin", dist.Bernoulli(0.5))


def log_normal() -> None:
    pyro.sample("scale", dist.LogNormal(0.3, 0.5 + coins().sum()))


def unknown_scale() -> None:
    loc = pyro.sample("loc", dist.Normal(coins().sum(), 2.0))
    precision = pyro.sample("precision", dist.Gamma(2.0, 3.0))
    pyro.sample("x", dist.Normal(loc, precision**-0.5), obs=torch.tensor(1.5))


def bounded() -> None:
    pyro.sample("share", dist.Uniform(0.0, 10.0))
    coins()


def product() -> None:
    p, q = (pyro.sample(n, dist.Beta(2.0, 3.0)) for n in "pq")
    with pyro.plate("coins", 3):
        pyro.sample("coin", dist.Bernoulli(p * q))


def improper() -> None:
    loc = pyro.sample("loc", dist.Normal(0.0, 1.0))
    pyro.factor("flat", 0.5 * loc**2 * (1 + coins().sum()))


@pytest.mark.parametrize("program", [log_normal, unknown_scale, bounded, product, improper])
def test_other_sites_make_trajectories(program: Callable[..., Any]) -> None:
    assert Gibbs().target(Program(program), torch.float64).laws is None


def test_single_precision_and_who_asks_for_it_make_trajectories() -> None:
    program = Program(two_rates, COUNTS)
    assert Gibbs().target(program, torch.float64).laws is not None
    assert Gibbs().target(program, torch.float32).laws is None
    assert Gibbs(continuous="trajectory").target(program, torch.float64).laws is None
    with pytest.raises(EngineError, match="continuous must be auto or trajectory; got 'direct'"):
        Gibbs(continuous="direct")


def treacherous() -> None:
    """Conjugate but where all twenty coins show heads, which hardly ever is among assignments that are tried, and yet likely."""
    with pyro.plate("coins", 20):
        coin = pyro.sample("coin", dist.Bernoulli(0.97))
    rate = pyro.sample("rate", dist.Gamma(3.0, 2.0))
    pyro.factor("trap", -(coin.prod() * rate**2))


def test_a_law_that_does_not_hold_at_a_draw_is_told_of() -> None:
    assert Gibbs().target(Program(treacherous), torch.float64).laws is not None
    with pytest.raises(EngineError, match='continuous="trajectory"'):
        Gibbs(num_samples=200, **QUIET).run(treacherous)
    draws = Gibbs(num_samples=200, continuous="trajectory", progress=False).run(treacherous).draws["rate"]
    assert draws.isfinite().all()


def same(a: Posterior, b: Posterior) -> bool:
    return all(torch.equal(a.draws[n], b.draws[n]) for n in a.draws)


def test_a_run_goes_on_to_the_bit(tmp_path: Path) -> None:
    settings = {"num_warmup": 20, "progress": False}
    whole = Gibbs(num_samples=60, **settings).run(two_rates, COUNTS)
    Gibbs(num_samples=25, checkpoint=tmp_path / "run", **settings).run(two_rates, COUNTS)
    assert same(whole, Gibbs(num_samples=60, checkpoint=tmp_path / "run", **settings).run(two_rates, COUNTS))
    assert same(whole, Gibbs(num_samples=20, **settings).run(two_rates, COUNTS).continue_(40))


def test_native_and_recorded_draw_the_same() -> None:
    native, recorded = (Gibbs(num_samples=50, lowering=low, **QUIET).run(two_rates, COUNTS).draws for low in ("native", "recorded"))
    assert torch.equal(native["z"], recorded["z"])
    for site in ("weights", "rate"):
        np.testing.assert_allclose(native[site].numpy(), recorded[site].numpy(), rtol=1e-9)
