"""Importance sampling of discrete sites: against sums over all assignments."""

import itertools
import math
import warnings
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch import Tensor

import ppgen
from ppgen import datasets
from ppgen.errors import EngineError, GuideError, PpgenWarning, SupportError, ZeroProbabilityError
from ppgen.inference import SVI, Enumeration, ImportanceSampling
from ppgen.models import BayesianNetwork
from ppgen.posterior import Posterior

SEEN = {"xray": "yes", "dysp": "yes"}
COUNTS = torch.tensor([52.0, 38.0, 61.0], dtype=torch.float64)


def run(program: Any, *args: Any, **settings: Any) -> Posterior:
    return ImportanceSampling(**{"progress": False, **settings}).run(program, *args)


def error_of_evidence(posterior: Posterior) -> float:
    weights = (posterior.log_weights - posterior.log_weights.max()).exp()
    return float(weights.std() / weights.mean()) / math.sqrt(weights.numel())


def asia() -> BayesianNetwork:
    return BayesianNetwork.from_bif(datasets.load("asia").x)


def row(net: BayesianNetwork, seen: dict[str, str]) -> dict[str, Tensor]:
    return {n: torch.tensor([net.states[n].index(v)]) for n, v in seen.items()}


# Networks


def test_asia_against_its_queries() -> None:
    """Weighted means of all proposals, within 4 standard errors of the exact probabilities; so are the draws."""
    net = asia()
    posterior = run(net, row(net, SEEN), num_proposals=20_000, num_samples=4000)
    assert posterior.provenance["discrete"] == "sample"
    assert posterior.log_evidence == pytest.approx(Enumeration().log_evidence(net, row(net, SEEN)), abs=4 * error_of_evidence(posterior))
    assert error_of_evidence(posterior) < 0.02
    ess = float(posterior.log_weights.exp().sum() ** 2 / posterior.log_weights.exp().square().sum())
    for name in ("lung", "tub", "bronc", "smoke", "asia", "either"):
        exact = net.query([name], SEEN)[name]["yes"]
        share = float((posterior.draws[name] == 0).double().mean())
        assert abs(share - exact) < 4 * math.sqrt(exact * (1 - exact) * (1 / ess + 1 / 4000)), name


def test_evidence_that_is_rare_is_told() -> None:
    """A pair of signs that only a fault explains, which 1 in 2,000 has: of 5,000 proposals two or three."""

    def signs(x: Tensor) -> None:
        fault = pyro.sample("fault", dist.Bernoulli(torch.tensor(5e-4, dtype=torch.float64)))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(40.0 + 30.0 * fault, 5.0), obs=x)

    x = torch.tensor([68.0, 73.0, 71.0], dtype=torch.float64)
    with pytest.warns(PpgenWarning, match=r"k-hat is inf, above 0.7.*guide program that samples its discrete sites"):
        run(signs, x, num_proposals=5000, seed=3)

    def guide(x: Tensor) -> None:
        pyro.sample("fault", dist.Bernoulli(torch.tensor(0.5, dtype=torch.float64)))

    with pytest.warns(PpgenWarning, match=r"effective number.*is 5.0"):  # equal ones, so that k-hat sees no tail
        run(signs, x, num_proposals=5000, seed=1)
    posterior = run(signs, x, num_proposals=5000, proposal=guide)
    assert posterior.log_evidence == pytest.approx(Enumeration().log_evidence(signs, x), abs=4 * error_of_evidence(posterior))
    assert float(posterior.draws["fault"].double().mean()) == 1.0


def test_the_estimate_of_the_evidence_has_no_bias() -> None:
    """The mean over 200 runs of 50 proposals, each by its own seed, is the evidence to 3 of its standard errors."""
    net = asia()
    exact = math.exp(Enumeration().log_evidence(net, row(net, SEEN)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PpgenWarning)
        whole = run(net, row(net, SEEN), num_proposals=10_000, num_samples=10)
    estimates = whole.log_weights.exp().reshape(200, 50).mean(1)
    assert float(estimates.mean()) == pytest.approx(exact, abs=3 * float(estimates.std()) / math.sqrt(200))
    assert float(estimates.std()) < exact


def test_a_site_that_depends_on_what_is_observed_is_drawn_given_it() -> None:
    """dysp is below either and bronc, and a later site below dysp and xray: four binary sites by hand."""

    def after(x: Tensor) -> None:
        first = pyro.sample("first", dist.Bernoulli(torch.tensor(0.3, dtype=torch.float64)))
        with pyro.plate("data", len(x)):
            level = pyro.sample("x", dist.Poisson(40.0 + 20.0 * first), obs=x)
        later = pyro.sample("later", dist.Bernoulli(torch.where(level.sum() > 140, 0.9, 0.1).double()))
        pyro.factor("more", 0.7 * later)

    posterior = run(after, COUNTS, num_proposals=20_000, num_samples=4000)
    table = {}
    for first, later in itertools.product((0, 1), repeat=2):
        p = (0.7, 0.3)[first] * math.prod(stats.poisson.pmf(COUNTS.numpy(), 40.0 + 20.0 * first))
        table[first, later] = p * (0.1, 0.9)[later] * math.exp(0.7 * later)
    total = sum(table.values())
    assert posterior.log_evidence == pytest.approx(math.log(total), abs=4 * error_of_evidence(posterior))
    share = sum(p for (_, later), p in table.items() if later) / total
    assert float(posterior.draws["later"].double().mean()) == pytest.approx(share, abs=4 * 0.5 / math.sqrt(2000))


# Supports without end, chains, both kinds of sites


def arrivals(x: Tensor) -> None:
    """Poisson arrivals of which each is noticed with probability 0.4: noticed | 30 ~ Poisson(12) apart from what is hidden."""
    with pyro.plate("data", len(x)):
        arrived = pyro.sample("arrived", dist.Poisson(x.new_tensor(30.0)))
        pyro.sample("x", dist.Normal(0.4 * arrived, 2.0), obs=x)


def test_a_support_without_end() -> None:
    """Each datum by a sum over 0..199."""
    x = torch.tensor([9.0, 14.0], dtype=torch.float64)
    posterior = run(arrivals, x, num_proposals=20_000, num_samples=4000)
    k = torch.arange(200.0, dtype=torch.float64)
    joint = torch.from_numpy(stats.poisson.pmf(k.numpy(), 30.0))[:, None] * torch.from_numpy(
        stats.norm.pdf(x.numpy(), 0.4 * k.numpy()[:, None], 2.0)
    )
    assert posterior.log_evidence == pytest.approx(float(joint.sum(0).log().sum()), abs=4 * error_of_evidence(posterior))
    mean = (k[:, None] * joint).sum(0) / joint.sum(0)
    assert posterior.draws["arrived"].double().mean((0, 1)).tolist() == pytest.approx(mean.tolist(), abs=0.3)


def test_a_chain() -> None:
    """Against the forward recursion."""
    x = torch.tensor([41.0, 38.0, 59.0, 62.0, 40.0], dtype=torch.float64)

    def chain(x: Tensor) -> None:
        initial = torch.tensor([0.6, 0.4], dtype=torch.float64)
        transition = torch.tensor([[0.7, 0.3], [0.4, 0.6]], dtype=torch.float64)
        with pyro.plate("time", len(x), dim=-1):
            state = pyro.sample("state", ppgen.DiscreteChain(initial, transition))
            pyro.sample("x", dist.Normal(40.0 + 20.0 * state, 8.0), obs=x)

    posterior = run(chain, x, num_proposals=20_000, num_samples=4000)
    assert posterior.provenance["discrete"] == "sample"
    assert posterior.log_evidence == pytest.approx(Enumeration().log_evidence(chain, x), abs=4 * error_of_evidence(posterior))
    exact = Enumeration().marginals(chain, x)["state"][:, 1]
    assert posterior.draws["state"].double().mean((0, 1)).tolist() == pytest.approx(exact.tolist(), abs=0.05)


def mixed(x: Tensor) -> None:
    loc = pyro.sample("loc", dist.Normal(x.new_tensor(30.0), 20.0))
    with pyro.plate("data", len(x)):
        far = pyro.sample("far", dist.Bernoulli(x.new_tensor(0.2)))
        pyro.sample("x", dist.Normal(loc, 5.0 + 10.0 * far), obs=x)


X = torch.tensor([37.0, 41.0, 70.0], dtype=torch.float64)


@pytest.mark.parametrize("lowering", ["recorded", "eager"])
def test_summing_out_and_sampling_agree(lowering: str) -> None:
    many, few = (40_000, 2000) if lowering == "recorded" else (300, 50)
    settings: dict[str, Any] = {"num_proposals": many, "num_samples": few, "lowering": lowering}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PpgenWarning)  # 300 are few
        summed, sampled = (run(mixed, X, discrete=how, **settings) for how in ("sum", "sample"))
    assert (summed.provenance["discrete"], sampled.provenance["discrete"]) == ("sum", "sample")
    errors = [error_of_evidence(p) for p in (summed, sampled)]
    assert errors[0] < errors[1]  # Rao and Blackwell
    assert sampled.log_evidence == pytest.approx(summed.log_evidence, abs=4 * math.hypot(*errors))
    far = [float(p.draws["far"][..., 2].double().mean()) for p in (summed, sampled)]
    assert far[1] == pytest.approx(far[0], abs=4 * 0.5 / math.sqrt(10 if lowering == "eager" else 500))


def test_auto_sums_where_it_can() -> None:
    def uncountable(x: Tensor) -> None:
        rate = pyro.sample("rate", dist.Gamma(x.new_tensor(30.0), 1.0))
        with pyro.plate("data", len(x)):
            arrived = pyro.sample("arrived", dist.Poisson(rate))
            pyro.sample("x", dist.Normal(0.4 * arrived, 2.0), obs=x)

    assert run(mixed, X, num_proposals=1000).provenance["discrete"] == "sum"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PpgenWarning)
        assert run(uncountable, 0.4 * X, num_proposals=5000).provenance["discrete"] == "sample"


def test_a_guide_may_leave_sites_to_the_program() -> None:
    """Of both kinds: loc from the guide, far from the program given loc."""

    def guide(x: Tensor) -> None:
        pyro.sample("loc", dist.Normal(x.new_tensor(42.0), 8.0))

    summed = run(mixed, X, num_proposals=20_000)
    guided = run(mixed, X, num_proposals=20_000, proposal=guide, discrete="sample")
    apart = abs(guided.log_evidence - summed.log_evidence)
    assert apart < 4 * math.hypot(error_of_evidence(guided), error_of_evidence(summed))


def test_the_weight_counts_scales() -> None:
    """A weighted prior: p(level)^3 up to its constant, by hand."""

    def scaled(x: Tensor) -> None:
        with pyro.poutine.scale(scale=3.0):
            level = pyro.sample("level", dist.Categorical(torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(40.0 + 5.0 * level, 8.0), obs=x)

    posterior = run(scaled, X[:2], num_proposals=20_000, num_samples=4000)
    weights = [p**3 * math.prod(stats.norm(40.0 + 5.0 * i, 8.0).pdf(X[:2].numpy())) for i, p in enumerate((0.5, 0.3, 0.2))]
    assert posterior.log_evidence == pytest.approx(math.log(sum(weights)), abs=4 * error_of_evidence(posterior))


# Refusals


def test_refusals_name_the_culprit() -> None:
    net = asia()
    with pytest.raises(ZeroProbabilityError, match="none of 200 proposals"):
        run(net, {"tub": torch.tensor([0]), "either": torch.tensor([1])}, num_proposals=200)
    with pytest.raises(EngineError, match=r"'tub'.*Enumeration"):
        run(net, row(net, SEEN), discrete="sum")
    with pytest.raises(EngineError, match="'summed'"):
        ImportanceSampling(discrete="summed")
    learned = SVI(guide="normal", num_steps=20, num_samples=50, progress=False).run(mixed, X)
    with pytest.raises(EngineError, match="guide program"):
        run(mixed, X, discrete="sample", proposal=learned)

    def wrong(x: Tensor, name: str = "loc", shape: tuple[int, ...] = ()) -> None:
        pyro.sample(name, dist.Normal(x.new_tensor(0.0), 1.0).expand(shape).to_event(len(shape)))

    settings: dict[str, Any] = {"discrete": "sample", "num_proposals": 20}
    with pytest.raises(GuideError, match="'place'"):
        run(mixed, X, proposal=lambda x: wrong(x, "place"), **settings)
    with pytest.raises(GuideError, match=r"'loc' has shape \(\) in the model and \(2,\)"):
        run(mixed, X, proposal=lambda x: wrong(x, shape=(2,)), **settings)
    with pytest.raises(GuideError, match=r"'loc'.*point"):
        run(mixed, X, proposal=lambda x: pyro.sample("loc", dist.Delta(x.new_tensor(40.0))), **settings)

    def outside(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("far", dist.Categorical(torch.ones(5).double()))

    with pytest.raises(SupportError, match="'far'"):
        run(mixed, X, proposal=outside, **settings)
