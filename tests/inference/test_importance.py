"""Importance sampling: evidences and posteriors in closed form or by quadrature, and what it refuses."""

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import special, stats
from torch import Tensor
from torch.distributions import constraints

from ppgen.errors import DataError, EngineError, GuideError, NameNotFoundError, PpgenWarning, ProgramError, ZeroProbabilityError
from ppgen.inference import NUTS, SVI, ImportanceSampling
from ppgen.inference._autoguide import Normal
from ppgen.models import GaussianMixture
from ppgen.posterior import Posterior
from tests.posteriors.hierarchies import eight_schools_noncentered

X = 40.0 + 5.0 * torch.tensor([0.3, -1.2, 0.8, 2.1, -0.4, 0.9], dtype=torch.float64)
PRECISION = 1 / 20.0**2 + len(X) / 5.0**2
MEAN, SD = float((X.sum() / 25.0 + 30.0 / 400.0) / PRECISION), PRECISION**-0.5
SCHOOLS = Path(__file__).parents[1] / "reference" / "posteriordb" / "eight_schools-eight_schools_noncentered.json"


def run(program: Any, *args: Any, **settings: Any) -> Posterior:
    return ImportanceSampling(**{"progress": False, **settings}).run(program, *args)


def normal(x: Tensor) -> None:
    loc = pyro.sample("loc", dist.Normal(x.new_tensor(30.0), 20.0))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(loc, 5.0), obs=x)


def evidence(x: Tensor) -> float:
    return float(stats.multivariate_normal(np.full(len(x), 30.0), 25.0 * np.eye(len(x)) + 400.0).logpdf(x.numpy()))


def exact_guide(x: Tensor) -> None:
    pyro.sample("loc", dist.Normal(x.new_tensor(MEAN), SD))


def wide_guide(x: Tensor) -> None:
    pyro.sample("loc", dist.Normal(x.new_tensor(MEAN + 1.0), 2 * SD))


def error_of_evidence(posterior: Posterior) -> float:
    """Standard error of the log of a mean weight."""
    weights = (posterior.log_weights - posterior.log_weights.max()).exp()
    return float(weights.std() / weights.mean()) / math.sqrt(weights.numel())


# Evidence


@pytest.mark.parametrize("lowering", ["recorded", "eager"])
def test_evidence_with_the_prior_as_proposal(lowering: str) -> None:
    posterior = run(normal, X, lowering=lowering, num_proposals=20_000 if lowering == "recorded" else 1500)
    assert posterior.provenance["lowering"]["name"] == lowering
    assert posterior.log_evidence == pytest.approx(evidence(X), abs=4 * error_of_evidence(posterior))
    assert error_of_evidence(posterior) < 0.1
    assert posterior.khat < 0.7


def test_a_rate_with_the_prior_as_proposal() -> None:
    """Gamma and Poisson: 3 exposures, log evidence in closed form."""
    counts, hours = torch.tensor([3.0, 5.0, 2.0], dtype=torch.float64), torch.tensor([10.0, 25.0, 5.0], dtype=torch.float64)

    def rate(x: Tensor, hours: Tensor) -> None:
        r = pyro.sample("rate", dist.Gamma(x.new_tensor(2.0), 8.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Poisson(r * hours), obs=x)

    posterior = run(rate, counts, hours, num_proposals=20_000, num_samples=4000)
    a, b = 2 + float(counts.sum()), 8 + float(hours.sum())
    exact = 2 * math.log(8.0) - special.gammaln(2) + special.gammaln(a) - a * math.log(b)
    exact += float((counts * hours.log() - torch.lgamma(counts + 1)).sum())
    assert posterior.log_evidence == pytest.approx(exact, abs=4 * error_of_evidence(posterior))
    draws = posterior.draws["rate"]
    assert float(draws.mean()) == pytest.approx(a / b, rel=0.02)
    assert float(draws.std()) == pytest.approx(math.sqrt(a) / b, rel=0.05)


def test_discrete_sites_are_summed_out_and_drawn_back() -> None:
    """Each row far (scale 15) with probability 0.2, or near (5): the sum over rows is exact, the place by a grid."""
    x = torch.tensor([37.0, 41.0, 44.0, 70.0], dtype=torch.float64)

    def model(x: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(x.new_tensor(30.0), 20.0))
        with pyro.plate("data", len(x)):
            far = pyro.sample("far", dist.Bernoulli(x.new_tensor(0.2)))
            pyro.sample("x", dist.Normal(loc, 5.0 + 10.0 * far), obs=x)

    posterior = run(model, x, num_proposals=20_000, num_samples=4000)
    grid = np.linspace(-70.0, 130.0, 4001)[:, None]
    near, far = 0.8 * stats.norm(grid, 5.0).pdf(x.numpy()), 0.2 * stats.norm(grid, 15.0).pdf(x.numpy())
    joint = stats.norm(30.0, 20.0).pdf(grid[:, 0]) * (near + far).prod(-1)
    assert posterior.log_evidence == pytest.approx(math.log(joint.sum() * 0.05), abs=4 * error_of_evidence(posterior))
    weights = joint / joint.sum()
    mean = (weights * grid[:, 0]).sum()
    sd = math.sqrt((weights * (grid[:, 0] - mean) ** 2).sum())
    assert abs(float(posterior.draws["loc"].mean()) - mean) < 0.1 * sd
    assert float(posterior.draws["loc"].std()) == pytest.approx(sd, rel=0.08)
    exact = (weights[:, None] * far / (near + far)).sum(0)
    assert posterior.draws["far"].double().mean((0, 1)).tolist() == pytest.approx(exact.tolist(), abs=0.04)


def test_eight_schools_against_quadrature() -> None:
    """Ten dimensions, the prior as proposal: log evidence -31.31135, and the means of the same quadrature."""
    known = json.loads(SCHOOLS.read_text(encoding="utf-8"))
    y, sigma = (torch.tensor(known["data"][n], dtype=torch.float64) for n in ("y", "sigma"))
    posterior = run(eight_schools_noncentered, y, sigma, num_proposals=50_000, num_samples=4000)
    assert error_of_evidence(posterior) < 0.01
    assert posterior.log_evidence == pytest.approx(known["exact_log_evidence"], abs=4 * error_of_evidence(posterior))
    assert posterior.khat < 0.7
    for name in ("mu", "tau"):
        draws, truth = posterior.draws[name], known["exact"][name]
        assert abs(float(draws.mean()) - truth["mean"]) < 0.1 * truth["sd"]
        assert float(draws.std()) == pytest.approx(truth["sd"], rel=0.1)


# Proposals


def test_an_exact_guide_gives_the_evidence_with_every_draw() -> None:
    posterior = run(normal, X, proposal=exact_guide, num_proposals=50)
    torch.testing.assert_close(posterior.log_weights, torch.full((1, 50), evidence(X), dtype=torch.float64), rtol=0, atol=1e-9)


def test_a_guide_of_ones_own_and_its_draws_of_equal_weight() -> None:
    posterior = run(normal, X, proposal=wide_guide, num_proposals=20_000, num_samples=4000)
    assert posterior.log_weights.shape == (1, 20_000)
    assert posterior.log_evidence == pytest.approx(evidence(X), abs=4 * error_of_evidence(posterior))
    draws = posterior.draws["loc"][0]
    assert draws.shape == (4000,)
    assert float(draws.mean()) == pytest.approx(MEAN, abs=0.08 * SD)
    assert float(draws.std()) == pytest.approx(SD, rel=0.06)
    assert stats.kstest(draws[::20].numpy(), stats.norm(MEAN, SD).cdf).pvalue > 0.01
    half = len(draws) // 2  # in random order: the halves agree
    assert float(draws[:half].mean() - draws[half:].mean()) == pytest.approx(0.0, abs=0.12 * SD)


def test_a_familys_own_guide() -> None:
    x = torch.cat([40.0 + 2.0 * torch.randn(20), 70.0 + 5.0 * torch.randn(30)])
    family = GaussianMixture(2, like=x)
    learned = SVI(progress=False, num_steps=500).run(family, x)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PpgenWarning)
        posterior = run(learned.program, proposal="guide", num_proposals=4000)
    assert posterior.log_evidence == pytest.approx(learned.log_evidence, abs=0.3)
    assert posterior.identified().draws["loc"].mean((0, 1)).tolist() == pytest.approx([40.0, 70.0], abs=2.0)


def test_a_posterior_of_svi_as_proposal() -> None:
    """Its draws are the proposals. On other data its weights are corrected for that."""
    learned = SVI(progress=False, guide="normal", num_steps=500, num_samples=4000).run(normal, X)
    posterior = run(normal, X, proposal=learned, num_samples=2000)
    torch.testing.assert_close(posterior.log_weights, learned.log_weights.double(), rtol=0, atol=1e-6)
    assert posterior.log_evidence == pytest.approx(evidence(X), abs=0.02)
    assert set(posterior.draws["loc"].flatten().tolist()) <= set(learned.draws["loc"].flatten().tolist())
    fewer = X[:4]
    other = run(normal, fewer, proposal=learned)
    assert other.log_evidence == pytest.approx(evidence(fewer), abs=0.1)
    precision = 1 / 400.0 + 4 / 25.0
    assert float(other.draws["loc"].mean()) == pytest.approx(float((fewer.sum() / 25 + 30 / 400) / precision), abs=0.15 * precision**-0.5)


def test_each_proposal_is_drawn_as_often_as_its_weight_says_to_within_one() -> None:
    """Systematic resampling: floor or ceiling of num_samples times the weight; in random order, so that the same proposal
    seldom follows itself."""
    posterior = run(normal, X, proposal=wide_guide, num_proposals=200, num_samples=1000)
    draws, expected = posterior.draws["loc"][0], 1000 * posterior.smoothed_log_weights.exp()
    counts = draws.unique(return_counts=True)[1]
    assert counts.sum() == 1000
    assert len(counts) >= (expected >= 1).sum()
    assert set(counts.tolist()) <= {n for e in expected.tolist() for n in (math.floor(e), math.ceil(e))}
    again = float((counts / 1000).square().sum())
    assert float((draws[1:] == draws[:-1]).double().mean()) == pytest.approx(again, abs=4 * math.sqrt(again / 1000))


def test_draws_do_not_depend_on_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(normal, X, num_proposals=100, num_samples=50)
    monkeypatch.setattr("ppgen.inference.importance.CHUNK", 6 * 7)
    parts = run(normal, X, num_proposals=100, num_samples=50, keep=["loc"])
    torch.testing.assert_close(parts.log_weights, whole.log_weights, rtol=1e-12, atol=1e-12)
    assert torch.equal(parts.draws["loc"], whole.draws["loc"])


def test_the_seed_decides() -> None:
    one, again, other = (run(normal, X, seed=s, num_proposals=500, num_samples=50).draws["loc"] for s in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)


# Refusals and warnings


def flat(x: Tensor) -> None:
    loc = pyro.sample("loc", dist.ImproperUniform(constraints.real, (), ()))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(loc, 5.0), obs=x)


def test_an_improper_prior_is_no_proposal() -> None:
    with pytest.raises(ProgramError, match=r"'loc'.*improper"):
        run(flat, X)
    posterior = run(flat, X, proposal=lambda x: pyro.sample("loc", dist.Normal(x.mean(), 4.0)))  # a guide will do
    assert float(posterior.draws["loc"].mean()) == pytest.approx(float(X.mean()), abs=0.15 * 5 / math.sqrt(6))
    # the integral of the likelihood over the real line, in closed form
    spread = float((X - X.mean()).square().sum())
    exact = -2.5 * math.log(2 * math.pi * 25.0) - 0.5 * math.log(6) - spread / 50.0
    assert posterior.log_evidence == pytest.approx(exact, abs=4 * error_of_evidence(posterior))


def test_few_proposals_with_all_the_weight_are_told() -> None:
    def narrow(x: Tensor) -> None:
        pyro.sample("loc", dist.Normal(x.new_tensor(MEAN + 2 * SD), 0.3 * SD))

    with pytest.warns(PpgenWarning, match="k-hat is .* above 0.7"):
        posterior = run(normal, X, proposal=narrow, num_proposals=2000)
    assert posterior.khat > 0.7


def impossible(x: Tensor) -> None:
    loc = pyro.sample("loc", dist.Normal(x.new_tensor(30.0), 20.0))
    pyro.factor("never", loc * 0.0 - torch.inf)


def undefined(x: Tensor) -> None:
    loc = pyro.sample("loc", dist.Normal(x.new_tensor(0.0), 20.0))
    pyro.factor("root", loc.sqrt())


def no_latent(x: Tensor) -> None:
    pyro.sample("x", dist.Normal(x.new_tensor(40.0), 5.0).expand([6]).to_event(1), obs=x)


def test_refusals_name_the_culprit(tmp_path: Path) -> None:
    with pytest.raises(ZeroProbabilityError, match="none of 100 proposals"):
        run(impossible, X, num_proposals=100)
    with pytest.raises(DataError, match=r"\d+ of 100 proposals have a log weight that is no number"):
        run(undefined, X, num_proposals=100)
    with pytest.raises(EngineError, match=r"no_latent.*no latent site"):
        run(no_latent, X)
    with pytest.raises(NameNotFoundError, match="'priors'"):
        ImportanceSampling(proposal="priors")
    with pytest.raises(GuideError, match="no guide of its own"):
        run(normal, X, proposal="guide")
    with pytest.raises(EngineError, match="a point"):
        run(normal, X, proposal=lambda x: pyro.sample("loc", dist.Delta(x.new_tensor(40.0))))
    with pytest.raises(EngineError, match="num_proposals"):
        ImportanceSampling(num_proposals=0)
    with pytest.raises(EngineError, match="checkpoint"):
        ImportanceSampling(checkpoint=tmp_path)


def test_posteriors_that_cannot_be_proposals() -> None:
    chains = NUTS(num_warmup=50, num_samples=50, num_chains=1, progress=False).run(normal, X)
    point = SVI(guide="delta", num_steps=20, num_samples=10, progress=False).run(normal, X)
    for posterior in (chains, point):
        with pytest.raises(EngineError, match="log weights"):
            run(normal, X, proposal=posterior)
    learned = SVI(guide=Normal(), num_steps=20, num_samples=10, progress=False).run(flat, X)
    with pytest.raises(ProgramError, match="'mu', 'tau'"):
        run(eight_schools_noncentered, X, torch.full_like(X, 5.0), proposal=learned)
