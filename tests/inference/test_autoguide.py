"""Guides by name: what they contain, they find; what they cannot, is seen."""

import math
from collections.abc import Callable

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.infer.reparam import LocScaleReparam
from pyro.poutine import condition, reparam
from scipy import optimize, stats
from torch import Tensor
from torch.distributions import constraints

from ppgen.errors import NameNotFoundError
from ppgen.inference import SVI
from ppgen.inference._autoguide import Delta, MultivariateNormal, Normal, by_name

LOC = torch.tensor([40.0, -3.0, 0.7], dtype=torch.float64)
ROOT = torch.tensor([[5.0, 0.0, 0.0], [2.0, 0.4, 0.0], [-0.3, 0.1, 0.05]], dtype=torch.float64)
LEARN = {"num_steps": 1500, "num_samples": 2000, "progress": False, "dtype": torch.float64}


def correlated() -> None:
    """A posterior that is N(LOC, ROOT ROOT'), of three scales."""
    pyro.sample("u", dist.MultivariateNormal(LOC, scale_tril=ROOT))


def start(guide: object, position: Tensor) -> dict[str, Tensor]:
    return guide.initial(position)  # type: ignore[attr-defined]


@pytest.mark.parametrize("guide", [Normal(), MultivariateNormal()])
def test_log_q_is_the_density_of_the_position(guide: Normal) -> None:
    """Against torch's own densities, at parameters that are none of the first ones."""
    generator = torch.Generator().manual_seed(3)
    params = {
        n: p + 0.3 * torch.randn(p.shape, generator=generator).double() for n, p in start(guide, torch.zeros(4).double() + 40.0).items()
    }
    noise = torch.randn(4, generator=generator).double()
    position, log_q = guide(params, [noise])
    scale = params["guide.log_scale"].exp()
    unit = torch.eye(4).double()
    if "guide.tril" in params:
        rows, columns = torch.tril_indices(4, 4, -1)
        unit[rows, columns] = params["guide.tril"]
    law = torch.distributions.MultivariateNormal(params["guide.loc"], scale_tril=scale[:, None] * unit)
    torch.testing.assert_close(log_q, law.log_prob(position), rtol=1e-12, atol=1e-12)


def test_multivariate_finds_a_normal_and_its_evidence() -> None:
    """Correlations up to 0.98; a standard error of 2000 draws is 2.2 % of an sd."""
    posterior = SVI(guide="multivariate", learning_rate=0.1, **{**LEARN, "num_steps": 3000}).run(correlated)
    assert posterior.log_evidence == pytest.approx(0.0, abs=2e-3)
    assert posterior.log_weights.std() < 0.05
    assert posterior.khat < 0.5
    sd = (ROOT @ ROOT.mT).diagonal().sqrt()
    draws = posterior.draws["u"][0]
    assert ((draws.mean(0) - LOC).abs() < 0.1 * sd).all()
    torch.testing.assert_close(draws.std(0), sd, rtol=0.06, atol=0)
    torch.testing.assert_close(torch.corrcoef(draws.T), ROOT @ ROOT.mT / torch.outer(sd, sd), rtol=0, atol=0.02)


def test_normal_is_too_narrow_where_coordinates_are_correlated() -> None:
    """The best independent normal has the precision matrix's diagonal: its variances are 1 / diag(precision), here a fifth of
    the posterior's sds or less, and the weights say so."""
    posterior = SVI(guide="normal", learning_rate=0.1, **{**LEARN, "num_steps": 3000}).run(correlated)
    narrow = torch.linalg.inv(ROOT @ ROOT.mT).diagonal().rsqrt()
    sd = (ROOT @ ROOT.mT).diagonal().sqrt()
    draws = posterior.draws["u"][0]
    torch.testing.assert_close(draws.std(0), narrow, rtol=0.08, atol=0)  # 2000 draws: a standard error of 1.6 %
    assert ((draws.mean(0) - LOC).abs() < 0.1 * sd).all()
    assert (draws.std(0) < 0.2 * sd).all()
    assert posterior.khat > 0.7


@pytest.mark.parametrize("guide", ["normal", "multivariate"])
def test_posteriors_far_out_and_narrow(guide: str) -> None:
    """Mean 4000 and sd 0.01, with default settings: an optimiser's steps have to have the posterior's units."""
    y = 4000.0 + 0.03 * torch.tensor([0.4, -1.1, 0.9, 1.6, -0.2, 0.3, -0.8, 0.5, 1.0], dtype=torch.float64)

    def model(y: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(y.new_tensor(3990.0), 20.0))
        with pyro.plate("data", len(y)):
            pyro.sample("y", dist.Normal(loc, 0.03), obs=y)

    posterior = SVI(guide=guide, progress=False, num_samples=2000).run(model, y)
    precision = 1 / 20.0**2 + len(y) / 0.03**2
    mean = float((3990.0 / 20.0**2 + y.sum() / 0.03**2) / precision)
    draws = posterior.draws["loc"]
    assert abs(float(draws.mean()) - mean) < 0.1 * precision**-0.5
    assert float(draws.std()) == pytest.approx(precision**-0.5, rel=0.06)
    marginal = stats.multivariate_normal(np.full(9, 3990.0), 0.03**2 * np.eye(9) + 400.0)
    assert posterior.log_evidence == pytest.approx(marginal.logpdf(y.numpy()), abs=1e-6)


def waiting(x: Tensor) -> None:
    scale = pyro.sample("scale", dist.LogNormal(torch.tensor(1.0).double(), 0.8))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(40.0, scale), obs=x)


EFFECTS, ERRORS = torch.tensor([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0]), torch.tensor([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def schools(effect: Tensor, error: Tensor) -> None:
    """Centred: the joint density has no bound as tau goes to 0, where all schools are alike."""
    mu, tau = pyro.sample("mu", dist.Normal(0.0, 5.0)), pyro.sample("tau", dist.HalfCauchy(5.0))
    with pyro.plate("schools", len(effect)):
        theta = pyro.sample("theta", dist.Normal(mu, tau))
        pyro.sample("effect", dist.Normal(theta, error), obs=effect)


@pytest.mark.parametrize(("program", "short"), [(schools, 6.0), (reparam(schools, config={"theta": LocScaleReparam()}), 0.6)])
def test_where_there_is_no_mode_to_begin_at(program: Callable[..., None], short: float) -> None:
    """Nats by which the bound is below the evidence, which is a sum over a grid of mu and tau, effects integrated out."""
    tau = (torch.arange(4000, dtype=torch.float64) + 0.5) / 40
    mu = torch.linspace(-30.0, 30.0, 601, dtype=torch.float64)[:, None]
    prior = dist.Normal(0.0, 5.0).log_prob(mu) + dist.HalfCauchy(5.0).log_prob(tau)
    rows = [dist.Normal(mu, (tau.square() + e.double().square()).sqrt()).log_prob(y.double()) for y, e in zip(EFFECTS, ERRORS, strict=True)]
    evidence = float((prior + sum(rows)).flatten().logsumexp(0)) + math.log(0.1 / 40)
    posterior = SVI(guide="multivariate", num_steps=1500, progress=False).run(program, EFFECTS, ERRORS)
    elbo = -float(posterior.losses[-300:].mean())
    assert evidence - short < elbo < evidence + 0.05


def test_delta_is_the_mode_of_the_constrained_values() -> None:
    """The maximum over the scale itself, not over its logarithm (which lies higher): by a one-dimensional search."""
    x = 40.0 + 5.0 * torch.tensor([0.3, -1.2, 0.8, 2.1], dtype=torch.float64)
    posterior = SVI(guide="delta", learning_rate=0.1, **LEARN).run(waiting, x)

    def minus(s: float) -> float:
        return -stats.lognorm(0.8, scale=torch.e).logpdf(s) - stats.norm(40.0, s).logpdf(x.numpy()).sum()

    mode = optimize.minimize_scalar(minus, bounds=(0.1, 50.0), method="bounded").x
    over_log = optimize.minimize_scalar(lambda u: minus(torch.tensor(u).exp().item()) - u, bounds=(-2.0, 4.0), method="bounded").x
    found = float(posterior.draws["scale"][0, 0])
    assert found == pytest.approx(mode, rel=1e-4)
    assert abs(torch.tensor(over_log).exp().item() - mode) > 0.1
    assert posterior.log_weights is None
    assert posterior.khat is None
    assert (posterior.draws["scale"] == found).all()


def test_supports_that_move_and_improper_priors() -> None:
    """b < 1 - a is re-read at each draw; a flat prior needs no sampler. The truth by a grid."""

    def triangle(x: Tensor) -> None:
        loc = pyro.sample("loc", dist.ImproperUniform(constraints.real, (), ()))
        a = pyro.sample("a", dist.Uniform(torch.tensor(0.0).double(), 1.0))
        b = pyro.sample("b", dist.Uniform(torch.zeros_like(a), 1 - a))
        pyro.sample("x", dist.Normal(torch.stack([a, a + b, loc]), 0.1).to_event(1), obs=x)

    x = torch.tensor([0.7, 0.95, 40.0], dtype=torch.float64)
    posterior = SVI(guide="multivariate", learning_rate=0.05, **LEARN).run(triangle, x)
    a, b = posterior.draws["a"][0], posterior.draws["b"][0]
    assert (a + b < 1).all()
    grid = (torch.arange(2000) + 0.5).double() / 2000
    ga, gb = torch.meshgrid(grid, grid, indexing="ij")
    log_p = torch.where(ga + gb < 1, -(1 - ga).log() - 50 * ((x[0] - ga) ** 2 + (x[1] - ga - gb) ** 2), -torch.inf)
    p = (log_p - log_p.max()).exp()
    for draws, over in ((a, ga), (b, gb)):
        mean = (p * over).sum() / p.sum()
        sd = ((p * (over - mean) ** 2).sum() / p.sum()).sqrt()
        assert abs(float(draws.mean() - mean)) < 0.15 * sd
        assert 0.8 < float(draws.std() / sd) < 1.2
    assert float(posterior.draws["loc"].mean()) == pytest.approx(40.0, abs=0.02)


def test_handlers_compose_with_guides_by_name() -> None:
    """a | b = 1 is N(2, 2): both variances are 4."""
    posterior = SVI(guide="normal", learning_rate=0.1, **LEARN).run(condition(two, {"b": torch.tensor(1.0).double()}))
    assert set(posterior.draws) == {"a"}
    assert float(posterior.draws["a"].mean()) == pytest.approx(2.0, abs=5 * (2 / 2000) ** 0.5)
    assert float(posterior.draws["a"].std()) == pytest.approx(2**0.5, rel=0.08)


def two() -> None:
    a = pyro.sample("a", dist.Normal(torch.tensor(3.0).double(), 2.0))
    pyro.sample("b", dist.Normal(a, 2.0))


def test_names() -> None:
    assert isinstance(by_name("delta"), Delta)
    assert isinstance(by_name("Multivariate"), MultivariateNormal)
    with pytest.raises(NameNotFoundError, match="did you mean 'normal'"):
        by_name("normall")
