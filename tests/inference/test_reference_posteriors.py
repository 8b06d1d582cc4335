"""NUTS on posteriors whose moments and quantiles others have computed, from their mathematical statements."""

import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path

import pyro
import pyro.distributions as dist
import pytest
import torch

from ppgen import datasets
from ppgen.diagnostics import ess_and_rhat
from ppgen.errors import PpgenWarning
from ppgen.inference import HMC, NUTS
from ppgen.models import GaussianMixture
from ppgen.posterior import Posterior
from tests.posteriors import PosteriorCase, load
from tests.tools.acceptance import disagreements, worst_ess

ENOUGH, MOST = 1000, 5000  # bulk ESS of every parameter; draws a chain


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def run_until_enough(engine: NUTS | HMC, case: PosteriorCase) -> Posterior:
    """Until the least bulk ESS is ENOUGH, or 4 x MOST draws are made."""
    posterior = engine.run(case.model, **case.kwargs)
    while worst_ess(case.parameters(posterior.draws)) < ENOUGH:
        made = posterior.stats["lp"].shape[1]
        assert made < MOST, f"bulk ESS is {worst_ess(case.parameters(posterior.draws)):.0f} after 4 x {made} draws"
        posterior = posterior.continue_(min(made, MOST - made))
    return posterior


HEAVY_TAILS = {"eight_schools-eight_schools_noncentered": ["tau"]}
TARGET = {"eight_schools-eight_schools_noncentered": 0.95}  # a divergence is a warning, and a warning an error


@pytest.mark.parametrize(
    "name",
    [
        "eight_schools-eight_schools_noncentered",
        "low_dim_gauss_mix-low_dim_gauss_mix",
        "kidiq-kidscore_momhsiq",
        "arK-arK",
        "sblri-blr",
        "nes_logit_data-nes_logit_model",
        "GLM_Poisson_Data-GLM_Poisson_model",
        "wells_data-wells_dae_inter_model",
        pytest.param("garch-garch11", marks=pytest.mark.slow),
    ],
)
def test_nuts(name: str) -> None:
    case = load(name)
    posterior = run_until_enough(NUTS(seed=1, num_warmup=500, num_samples=500, target_accept_prob=TARGET.get(name, 0.8)), case)
    assert disagreements(case.parameters(posterior.draws), case.reference, heavy_tails=HEAVY_TAILS.get(name, ())) == []


def test_a_dense_metric_needs_fewer_steps() -> None:
    """A normal with correlation 0.99 and sds from 0.1 to 10: as right, for a fifth of the gradients at most."""
    sds = torch.tensor([0.1, 1.0, 10.0])
    covariance = (0.99 + 0.01 * torch.eye(3)) * sds * sds[:, None]

    def correlated() -> None:
        pyro.sample("z", dist.MultivariateNormal(torch.tensor([5.0, -3.0, 40.0]), covariance))

    cost = {}
    for metric in ("diagonal", "dense"):
        posterior = NUTS(seed=2, num_warmup=500, num_samples=500, metric=metric).run(correlated)
        z = posterior.draws["z"]
        ess = torch.as_tensor(ess_and_rhat(z.numpy())[0])
        shift = (z.mean((0, 1)) - torch.tensor([5.0, -3.0, 40.0])) / sds
        assert (ess > 100).all()
        assert (shift.abs() < 4 / ess.sqrt()).all()
        assert torch.corrcoef(z.reshape(-1, 3).T)[0, 1] == pytest.approx(0.99, abs=0.005)
        cost[metric] = float(posterior.stats["n_steps"].sum() / ess.min())
    assert cost["dense"] < cost["diagonal"] / 5


def test_old_faithful_agrees_with_gibbs() -> None:
    """The family's posterior by another method, another program and another density: tests/tools/gibbs_mixture.py."""
    x = datasets.load("old-faithful").x
    mixture = GaussianMixture(num_components=2, like=x)
    posterior = NUTS(num_warmup=500, num_samples=500, seed=0).run(mixture, x).identified()
    truth = json.loads((Path(__file__).parent.parent / "reference" / "old_faithful_gibbs.json").read_text())["parameters"]
    checked = 0
    for site in ("weights", "loc", "scale", "correlation"):
        draws = posterior.draws[site].double()
        for at in itertools.product(*map(range, draws.shape[2:])):
            name = f"{site}[{','.join(map(str, at))}]"
            if name not in truth:
                continue
            values = draws[(..., *at)]
            ess, rhat = (float(v[0]) for v in ess_and_rhat(values[..., None].numpy()))
            expected = truth[name]
            error = math.hypot(float(values.std()) / math.sqrt(ess), expected["mcse_mean"])
            assert ess > 400
            assert rhat < 1.01
            assert abs(float(values.mean()) - expected["mean"]) < 4 * error, name
            assert 0.9 < float(values.std()) / expected["sd"] < 1.1, name
            checked += 1
    assert checked >= 12


@pytest.mark.parametrize("pooled", [False, True])
def test_hmc(pooled: bool) -> None:
    case = load("nes_logit_data-nes_logit_model")
    posterior = run_until_enough(HMC(seed=1, num_warmup=500, num_samples=500, metric="dense", pooled=pooled), case)
    assert disagreements(case.parameters(posterior.draws), case.reference) == []


def test_centred_eight_schools_reports_its_divergences() -> None:
    """The funnel's neck is too narrow for one step size: the run says so, and how often."""
    case = load("eight_schools-eight_schools_centered")
    with pytest.warns(PpgenWarning, match=r"of 2,000 draws diverged"):
        posterior = NUTS(seed=1, num_warmup=500, num_samples=500).run(case.model, **case.kwargs)
    diverging = posterior.stats["diverging"]
    assert diverging.any()
    assert posterior.draws["tau"][diverging].median() < posterior.draws["tau"].median()  # where they diverge
