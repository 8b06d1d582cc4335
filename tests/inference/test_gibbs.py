"""Gibbs against sums over all assignments, closed forms, NUTS and its own promises."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import scipy.stats
import torch
from torch import Tensor

import ppgen
from ppgen.diagnostics import ess_and_rhat
from ppgen.errors import EliminationError, EngineError, PpgenWarning, SupportError
from ppgen.inference import NUTS, Gibbs
from ppgen.posterior import Posterior
from ppgen.program import Program
from ppgen.targets import LogDensity

QUIET = {"progress": False, "num_warmup": 0}
HOW = pytest.mark.parametrize("how", ["joint", "sweep"])


def enumerated(program: Callable[..., Any], *args: Any) -> tuple[Tensor, Tensor]:
    """All assignments of a program's one discrete site, as rows of numbers from 0, and their posterior probabilities."""
    site = Program(program, *args).latent[0]
    most = int(getattr(site.support, "upper_bound", 1))  # a Bernoulli's support has none
    rows = torch.tensor(list(itertools.product(range(most + 1), repeat=math.prod(site.shape))))
    log_joint = []
    for row in rows:
        trace = pyro.poutine.trace(pyro.condition(program, {site.name: row.reshape(site.shape).to(site.value)})).get_trace(*args)
        log_joint.append(trace.log_prob_sum().double())
    return rows, torch.stack(log_joint).softmax(0)


def assert_marginals(posterior: Posterior, site: str, rows: Tensor, probability: Tensor) -> None:
    """Means of elements and of products of two, in Monte Carlo standard errors by their own ESS."""
    draws = posterior.draws[site].double()
    draws = draws.reshape(*draws.shape[:2], -1)
    count = draws.shape[-1]
    pairs = [(i, j) for i in range(count) for j in range(i, count)]
    seen = torch.stack([(draws[..., i] == draws[..., j]).double() if i != j else draws[..., i] for i, j in pairs], -1)
    each = torch.stack([(rows[:, i] == rows[:, j]).double() if i != j else rows[:, i].double() for i, j in pairs], -1)
    mean = probability @ each
    sd = (probability @ (each - mean) ** 2).sqrt()
    ess = torch.as_tensor(ess_and_rhat(seen.numpy())[0])
    moving = sd > 1e-3
    assert (ess[moving] > 200).all()
    assert (((seen.mean((0, 1)) - mean).abs() / (sd / ess.sqrt()))[moving] < 5).all()


def ising(coupling: float) -> None:
    with pyro.plate("sites", 9):
        s = pyro.sample("s", dist.Bernoulli(0.45))
    spin = (2 * s - 1).reshape(3, 3)
    pyro.factor("energy", coupling * ((spin[1:] * spin[:-1]).sum() + (spin[:, 1:] * spin[:, :-1]).sum()))


def quadratic(coupling: float) -> None:
    """The same energy as one product of matrices: one term that everything enters."""
    with pyro.plate("sites", 9):
        s = pyro.sample("s", dist.Bernoulli(0.45))
    grid = torch.zeros(9, 9)
    for i, j in [(i, i + 1) for i in range(9) if i % 3 < 2] + [(i, i + 3) for i in range(6)]:
        grid[i, j] = 1.0
    spin = 2 * s - 1
    pyro.factor("energy", coupling * (spin @ grid @ spin))


@HOW
@pytest.mark.parametrize("program", [ising, quadratic])
def test_an_ising_model_against_its_512_states(program: Callable[..., None], how: str) -> None:
    posterior = Gibbs(num_samples=8000, discrete=how, **QUIET).run(program, 0.3)
    assert_marginals(posterior, "s", *enumerated(program, 0.3))


def test_strong_coupling_is_told_of() -> None:
    """At a coupling of 1.2 a sweep hardly ever turns all nine spins; joint draws do not mind."""
    exact = enumerated(ising, 1.2)
    with pytest.warns(PpgenWarning, match="chains disagree"):
        stuck = Gibbs(num_samples=300, num_chains=6, discrete="sweep", **QUIET).run(ising, 1.2)
    assert float(ess_and_rhat(stuck.draws["s"].double().numpy())[0].max()) < 300
    assert_marginals(Gibbs(num_samples=4000, discrete="joint", **QUIET).run(ising, 1.2), "s", *exact)


EDGES = torch.tensor([[0, 1], [0, 2], [1, 2], [2, 3], [3, 4], [4, 5], [4, 6], [5, 6], [6, 7], [5, 7]])
PAIRS = torch.triu_indices(8, 8, 1)
LINKED = torch.zeros(8, 8).index_put((EDGES[:, 0], EDGES[:, 1]), torch.tensor(1.0))[PAIRS[0], PAIRS[1]]
RATES = torch.tensor([[0.6, 0.2], [0.2, 0.4]])


def blocks(linked: Tensor) -> None:
    with pyro.plate("nodes", 8):
        z = pyro.sample("z", dist.Categorical(torch.tensor([0.4, 0.6])))
    with pyro.plate("pairs", len(linked)):
        pyro.sample("linked", dist.Bernoulli(RATES[z[PAIRS[0]], z[PAIRS[1]]]), obs=linked)


def collapsed(linked: Tensor) -> None:
    """Rates within and between blocks integrated out, uniform before: a term that every label enters."""
    with pyro.plate("nodes", 8):
        z = pyro.sample("z", dist.Bernoulli(0.5))
    same = (z[PAIRS[0]] == z[PAIRS[1]]).to(linked)
    for name, inside in (("within", same), ("between", 1 - same)):
        edges, pairs = (inside * linked).sum(), inside.sum()
        pyro.factor(name, torch.lgamma(edges + 1) + torch.lgamma(pairs - edges + 1) - torch.lgamma(pairs + 2))


@HOW
def test_a_block_model_of_8_nodes_against_its_256_labellings(how: str) -> None:
    assert_marginals(Gibbs(num_samples=8000, discrete=how, **QUIET).run(blocks, LINKED), "z", *enumerated(blocks, LINKED))


@pytest.mark.parametrize("how", ["auto", "sweep"])
def test_rates_integrated_out(how: str) -> None:
    """The labels' symmetry makes every mean 1/2; what pairs of labels share tells them apart."""
    posterior = Gibbs(num_samples=12_000, discrete=how, num_sweeps=2, **QUIET).run(collapsed, LINKED)
    assert_marginals(posterior, "z", *enumerated(collapsed, LINKED))


def chain(x: Tensor) -> None:
    transition = torch.tensor([[0.9, 0.1, 0.0], [0.1, 0.8, 0.1], [0.0, 0.2, 0.8]])
    with pyro.plate("time", len(x)):
        state = pyro.sample("state", ppgen.DiscreteChain(torch.tensor([0.5, 0.3, 0.2]), transition))
        pyro.sample("x", dist.Normal(10.0 * state, 6.0), obs=x)


def test_paths_of_a_chain_against_all_729() -> None:
    """Steps that cannot be are among them: a start at any path would have probability 0."""
    x = torch.tensor([2.0, 9.0, 14.0, 22.0, 11.0, 18.0])
    posterior = Gibbs(num_samples=4000, **QUIET).run(chain, x)
    assert_marginals(posterior, "state", *enumerated(chain, x))


DATA = 40.0 + 5.0 * torch.tensor([0.3, -1.2, 0.8, 2.1, -0.4, 0.9, -0.1, 1.7])


def shifts(x: Tensor) -> None:
    loc = pyro.sample("loc", dist.Normal(30.0, 20.0))
    scale = pyro.sample("scale", dist.LogNormal(1.6, 0.3))
    with pyro.plate("data", len(x)):
        shifted = pyro.sample("shifted", dist.Bernoulli(0.3))
        pyro.sample("x", dist.Normal(loc + 8.0 * shifted, scale), obs=x)


@HOW
def test_a_mixture_against_nuts_with_its_labels_summed_out(how: str) -> None:
    ours = Gibbs(num_samples=6000, num_warmup=300, discrete=how, progress=False).run(shifts, DATA)
    nuts = NUTS(num_samples=4000, progress=False).run(shifts, DATA)
    for site in ("loc", "scale", "shifted"):
        a, b = (p.draws[site].double().reshape(4, len(p.draws[site][0]), -1) for p in (ours, nuts))
        mean = b.mean((0, 1))
        for f in (lambda t: t, lambda t, mean=mean: (t - mean) ** 2):
            ess = [torch.as_tensor(ess_and_rhat(f(t).numpy())[0]) for t in (a, b)]
            assert min(e.min() for e in ess) > 300
            error = sum(f(t).reshape(-1, t.shape[-1]).var(0) / e for t, e in zip((a, b), ess, strict=True)).sqrt()
            assert ((f(a).mean((0, 1)) - f(b).mean((0, 1))).abs() / error < 5).all(), site


def counted(x: Tensor) -> None:
    rate = pyro.sample("rate", dist.Gamma(4.0, 0.1))
    with pyro.plate("data", len(x)):
        arrived = pyro.sample("arrived", dist.Poisson(rate))
        pyro.sample("x", dist.Binomial(1000, logits=arrived / 10 - 6.0), obs=x)


def test_counts_without_end_against_sums_on_a_grid() -> None:
    x = torch.tensor([30.0, 55.0, 21.0])
    k, rate = torch.arange(400.0).double(), torch.linspace(1.0, 150.0, 3000).double()
    like = dist.Binomial(1000, logits=k / 10 - 6.0).log_prob(x[:, None].double())  # (3, k)
    joint = dist.Poisson(rate[:, None, None]).log_prob(k) + like  # (rate, 3, k)
    weight = (joint.logsumexp(-1).sum(-1) + dist.Gamma(4.0, 0.1).log_prob(rate)).softmax(0)
    mean_k = (weight[:, None] * (joint.softmax(-1) @ k)).sum(0)
    posterior = Gibbs(num_samples=8000, num_warmup=300, num_sweeps=3, progress=False).run(counted, x)
    for site, exact in (("rate", (weight @ rate)[None]), ("arrived", mean_k)):
        draws = posterior.draws[site].double().reshape(4, 8000, -1)
        ess = torch.as_tensor(ess_and_rhat(draws.numpy())[0])
        assert (ess > 200).all()
        assert ((draws.mean((0, 1)) - exact).abs() / (draws.reshape(32_000, -1).std(0) / ess.sqrt()) < 5).all()
    assert (posterior.draws["arrived"] >= 0).all()


def test_draws_from_the_prior_stay_draws_from_the_prior() -> None:
    """Geweke's test: sites are drawn from the prior, data given them, and a few draws of the posterior from there are of the prior
    again, in 300 replicas at once."""
    i, j = torch.triu_indices(4, 4, 1)

    def program(x: Tensor) -> None:
        with pyro.plate("replicas", 300, dim=-2):
            p = pyro.sample("p", dist.Beta(2.0, 3.0))
            with pyro.plate("nodes", 4, dim=-1):
                z = pyro.sample("z", dist.Bernoulli(p))
            with pyro.plate("pairs", 6, dim=-1):
                pyro.sample("x", dist.Normal(5.0 * z[:, i] * z[:, j] + z[:, i], 4.0), obs=x)

    torch.manual_seed(0)
    p = dist.Beta(2.0, 3.0).sample((300, 1))
    z = dist.Bernoulli(p.expand(300, 4)).sample()
    x = 5.0 * z[:, i] * z[:, j] + z[:, i] + 4.0 * torch.randn(300, 6)
    settings = {"num_warmup": 0, "step_size": 0.3, "num_chains": 1, "num_samples": 12, "start": {"p": p, "z": z}}
    draws = Gibbs(discrete="sweep", progress=False, **settings).run(program, x).draws
    end, labels = draws["p"][0, -1].flatten().double(), draws["z"][0, -1].double()
    assert float((end - p.flatten()).abs().mean()) > 0.05  # they moved
    for seen, mean, sd in ((end, 0.4, 0.2), (end**2, 0.2, 0.1767), (labels.mean(1), 0.4, 0.3), (end * labels.mean(1), 0.2, 0.2138)):
        assert abs(float(seen.mean()) - mean) < 4 * sd / 300**0.5


# Promises


@HOW
def test_native_and_recorded_draw_the_same(how: str) -> None:
    """From equal keys, where no adaptation has happened: the same elements, and positions but for rounding."""
    start = {"loc": torch.tensor(40.0), "scale": torch.tensor(5.0)}
    native, recorded = (
        Gibbs(num_samples=40, num_warmup=0, step_size=0.3, start=start, discrete=how, lowering=low, progress=False).run(shifts, DATA).draws
        for low in ("native", "recorded")
    )
    assert torch.equal(native["shifted"], recorded["shifted"])
    assert torch.allclose(native["loc"], recorded["loc"], rtol=1e-8)


def test_eager_and_single_precision_sample_the_same_law() -> None:
    x = torch.tensor([2.0, 9.0, 14.0])
    rows, probability = enumerated(chain, x)
    assert_marginals(Gibbs(num_samples=3000, dtype=torch.float32, **QUIET).run(chain, x), "state", rows, probability)
    exact = enumerated(ising, 0.2)[1] @ enumerated(ising, 0.2)[0].double()
    eager = Gibbs(num_samples=60, num_chains=3, lowering="eager", **QUIET).run(ising, 0.2).draws["s"].double()
    assert ((eager.mean((0, 1)) - exact).abs() < 5 * 0.5 / 40**0.5).all()


def test_a_run_goes_on_to_the_bit(tmp_path: Any) -> None:
    settings = {"num_warmup": 50, "progress": False, "discrete": "sweep"}
    whole = Gibbs(num_samples=60, **settings).run(shifts, DATA)
    more = Gibbs(num_samples=20, **settings).run(shifts, DATA).continue_(40)
    Gibbs(num_samples=25, checkpoint=tmp_path / "run", **settings).run(shifts, DATA)
    resumed = Gibbs(num_samples=60, checkpoint=tmp_path / "run", **settings).run(shifts, DATA)
    for other in (more, resumed):
        assert all(torch.equal(whole.draws[n], other.draws[n]) for n in whole.draws)


def test_refusals_name_the_reason() -> None:
    def continuous() -> None:
        pyro.sample("loc", dist.Normal(0.0, 1.0))

    def table() -> None:
        pyro.sample("counts", dist.Multinomial(5, torch.ones(3) / 3))

    with pytest.raises(EngineError, match=r"no discrete one.*NUTS"):
        Gibbs(progress=False).run(continuous)
    with pytest.raises(EngineError, match=r"'counts' \(Multinomial\).*one at a time"):
        Gibbs(progress=False).run(table)
    with pytest.raises(EngineError, match=r"arrived cannot be drawn jointly"):
        Gibbs(discrete="joint", progress=False).run(counted, torch.tensor([30.0]))
    with pytest.raises(EngineError, match="auto, joint, sweep"):
        Gibbs(discrete="both")
    with pytest.raises(SupportError, match="'shifted', element 0"):
        Gibbs(start={"shifted": torch.full((8,), 2.0)}, progress=False).run(shifts, DATA)


# Held sites


def free_rates(linked: Tensor) -> None:
    rate = pyro.sample("rate", dist.Beta(1.0, 2.0).expand([2]).to_event(1))
    with pyro.plate("nodes", 8):
        z = pyro.sample("z", dist.Bernoulli(0.4))
    with pyro.plate("pairs", len(linked)):
        pyro.sample("linked", dist.Bernoulli(rate[(z[PAIRS[0]] != z[PAIRS[1]]).long()]), obs=linked)


def blurred(x: Tensor) -> None:
    with pyro.plate("data", len(x)):
        s = pyro.sample("s", dist.Bernoulli(0.45))
        pyro.sample("x", dist.Normal(30.0 + 12.0 * s, 5.0), obs=x)
    pyro.factor("energy", 0.3 * (s[1:] * s[:-1]).sum())


def test_log_likelihoods_where_discrete_sites_cannot_be_summed_out() -> None:
    """They are held at their draws: those outside of the data plate as any site there, those inside of it said to be."""
    settings = {"num_samples": 50, "num_chains": 2, "num_warmup": 50, "progress": False}
    links = Gibbs(**settings).run(free_rates, LINKED)
    found, draws = links.log_likelihood(), links.draws
    between = draws["z"][..., PAIRS[0]] != draws["z"][..., PAIRS[1]]
    p = torch.where(between, draws["rate"][..., 1:], draws["rate"][..., :1])
    assert (found.kind, found.plate) == ("marginal", "pairs")
    assert torch.allclose(found.values["pairs"], torch.where(LINKED > 0, p, 1 - p).log(), atol=1e-5)
    x = torch.tensor([30.0, 55.0, 21.0])
    counts = Gibbs(**settings).run(counted, x)
    found = counts.log_likelihood()
    p = (counts.draws["arrived"].double() / 10 - 6.0).sigmoid()
    expected = scipy.stats.binom.logpmf(x.numpy(), 1000, p.numpy())
    assert (found.kind, found.plate) == ("conditional", "data")
    np.testing.assert_allclose(found.values["data"].numpy(), expected, rtol=1e-4, atol=1e-3)
    blur = Gibbs(**{**settings, "num_warmup": 0}).run(blurred, x)
    found = blur.log_likelihood()
    expected = scipy.stats.norm.logpdf(x.numpy(), 30.0 + 12.0 * blur.draws["s"].numpy(), 5.0)
    assert (found.kind, found.plate) == ("conditional", "data")
    np.testing.assert_allclose(found.values["data"].numpy(), expected, rtol=1e-5)
    with pytest.raises(EliminationError, match="'arrived' is discrete"):
        Gibbs(keep=("rate",), **settings).run(counted, x).log_likelihood()


def test_held_values_are_inputs() -> None:
    """One recording, any assignment: against eager Pyro at dispersed points and random labels."""
    program = Program(shifts, DATA)
    density = LogDensity(program, held=["shifted"])
    generator = torch.Generator().manual_seed(3)
    position = torch.randn(5, 2, generator=generator, dtype=torch.float64)
    shifted = torch.randint(2, (5, 8), generator=generator).float()
    value, gradient = density.value_and_grad(position, {"shifted": shifted})
    assert density.recording is not None
    for q, z, v, g in zip(position, shifted, value, gradient, strict=True):
        at = q.clone().requires_grad_()
        scale = at[1].exp()
        want = dist.Normal(30.0, 20.0).log_prob(at[0]) + dist.LogNormal(1.6, 0.3).log_prob(scale) + at[1]
        want = want + dist.Bernoulli(0.3).log_prob(z).sum() + dist.Normal(at[0] + 8.0 * z, scale).log_prob(DATA).sum()
        want.backward()
        np.testing.assert_allclose(float(v), float(want.detach()), rtol=1e-6)
        np.testing.assert_allclose(g.numpy(), at.grad, rtol=1e-5, atol=1e-6)
    again, _ = density.given({"shifted": shifted}).value_and_grad(position)
    assert torch.equal(again, value)
