"""NUTS on posteriors whose moments and quantiles others have computed, from their mathematical statements."""

from collections.abc import Iterator

import pytest
import torch

from ppgen.errors import PpgenWarning
from ppgen.inference import HMC, NUTS
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
    """Correlated coefficients: as right, in less than half the gradients for an effective draw."""
    case = load("sblri-blr")
    diagonal = NUTS(seed=2, num_warmup=400, num_samples=400).run(case.model, **case.kwargs)
    dense = run_until_enough(NUTS(seed=2, num_warmup=400, num_samples=800, metric="dense"), case)
    assert disagreements(case.parameters(dense.draws), case.reference) == []
    cost = [p.stats["n_steps"].sum() / worst_ess(case.parameters(p.draws)) for p in (diagonal, dense)]
    assert cost[1] < 0.5 * cost[0]


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
