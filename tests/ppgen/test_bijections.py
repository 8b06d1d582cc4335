"""Latent sites of supports that torch has no bijection to: a Wishart prior on a normal's precision, whose posterior and evidence are known;
angles."""

import math

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.distributions import constraints
from torch import Tensor

from ppgen.inference import NUTS, SVI, ImportanceSampling
from ppgen.program import Program
from ppgen.targets import LogDensity

DF, SIZE = 6.0, 60
ROOT = torch.tensor([[5.0, 0.0, 0.0], [2.0, 3.0, 0.0], [-1.0, 0.5, 0.2]], dtype=torch.float64)
X = torch.randn(SIZE, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ ROOT.mT
GUESS = torch.diag(torch.tensor([30.0, 20.0, 0.1], dtype=torch.float64))  # of the covariance
PRIOR = torch.linalg.inv(DF * GUESS)
POSTERIOR = torch.linalg.inv(DF * GUESS + X.mT @ X)  # scale matrix, with DF + SIZE degrees of freedom


def model(x: Tensor) -> None:
    precision = pyro.sample("precision", dist.Wishart(torch.tensor(DF).to(x), covariance_matrix=PRIOR.to(x)))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.MultivariateNormal(x.new_zeros(3), precision_matrix=precision), obs=x)


def conjugate() -> None:
    """The posterior."""
    pyro.sample("precision", dist.Wishart(torch.tensor(DF + SIZE, dtype=torch.float64), covariance_matrix=POSTERIOR))


def exact_guide(x: Tensor) -> None:
    df = pyro.param("df", torch.tensor(DF + SIZE).to(x), constraint=constraints.greater_than(2.0))
    scale = pyro.param("scale", POSTERIOR, constraint=constraints.positive_definite)
    pyro.sample("precision", dist.Wishart(df, covariance_matrix=scale))


def log_evidence() -> float:
    """Of normal data under a Wishart prior: Bernardo & Smith, Bayesian Theory, 1994, appendix A."""

    def log_constant(df: float, scale: Tensor) -> float:
        return df / 2 * (3 * math.log(2) + float(scale.logdet())) + float(torch.mvlgamma(torch.tensor(df / 2, dtype=torch.float64), 3))

    return log_constant(DF + SIZE, POSTERIOR) - log_constant(DF, PRIOR) - 1.5 * SIZE * math.log(2 * math.pi)


@pytest.mark.parametrize("lowering", ["native", "recorded", "eager"])
def test_density_less_the_posterior_is_the_evidence(lowering: str) -> None:
    """At places far from each other, of a density by position: the Jacobian is in both."""
    density = LogDensity(Program(model, X), lowering=lowering)
    exact = LogDensity(Program(conjugate), lowering="eager")
    position = torch.randn(6, 6, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 1.5
    assert density.value_and_grad(position)[0] - exact.value_and_grad(position)[0] == pytest.approx(log_evidence(), abs=1e-7)


@pytest.mark.filterwarnings("ignore:Singular sample")  # torch 2.13 says so of every sample of a Wishart that is not
def test_the_posterior_as_guide_has_the_evidence_on_every_draw() -> None:
    """Ten draws at once, before anything is learned."""
    posterior = SVI(guide=exact_guide, num_steps=1, num_particles=10, progress=False).run(model, X)
    assert -float(posterior.losses[0]) == pytest.approx(log_evidence(), abs=1e-6)


def test_nuts_finds_the_posterior() -> None:
    """Means df V_ij, sds sqrt(df (V_ij^2 + V_ii V_jj)), in standard errors; entries differ by a factor of 25."""
    posterior = NUTS(num_samples=1000, progress=False).run(model, X)
    table = posterior.summary()
    df, variance = DF + SIZE, POSTERIOR.diagonal()
    mean, sd = df * POSTERIOR, (df * (POSTERIOR.square() + variance[:, None] * variance)).sqrt()
    assert table["ess_bulk"].min() > 1000
    assert ((torch.tensor(table["mean"].to_numpy()) - mean.flatten()).abs() < 4 * torch.tensor(table["mcse_mean"].to_numpy())).all()
    assert torch.tensor(table["sd"].to_numpy()) == pytest.approx(sd.flatten(), rel=0.08)


def test_a_guide_in_these_coordinates() -> None:
    """A normal of all six numbers is nearly the posterior, and below the evidence."""
    posterior = SVI(guide="multivariate", num_steps=1500, progress=False).run(model, X)
    elbo = -float(posterior.losses[-200:].mean())
    assert log_evidence() - 0.2 < elbo < log_evidence() + 0.01
    assert posterior.draws["precision"].double().flatten(0, 1).mean(0) == pytest.approx((DF + SIZE) * POSTERIOR, rel=0.05)


# Angles


def bearing(x: Tensor) -> None:
    angle = pyro.sample("angle", dist.VonMises(x.new_tensor(0.5), 1.5))
    pyro.sample("pair", dist.VonMises(x.new_zeros(2), 0.7).to_event(1))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.VonMises(angle, 2.0), obs=x)


ANGLES = torch.tensor([1.9, 2.6, 0.4, -2.8, 1.2], dtype=torch.float64)


def test_angles_lie_on_the_circle_once() -> None:
    """The posterior of a direction is a von Mises law again: its mean direction by adding vectors, and its evidence, closed forms."""
    x, y = (1.5 * f(0.5) + 2.0 * sum(map(f, ANGLES.tolist())) for f in (math.cos, math.sin))
    kappa, mean = math.hypot(x, y), math.atan2(y, x)
    posterior = NUTS(num_samples=1000, progress=False).run(bearing, ANGLES)
    angle = posterior.draws["angle"]
    assert angle.abs().max() <= math.pi
    assert posterior.draws["pair"].abs().max() <= math.pi
    resultant = float(torch.special.i1e(torch.tensor(kappa)) / torch.special.i0e(torch.tensor(kappa)))
    found = torch.stack([(angle - mean).cos().mean(), (angle - mean).sin().mean()])
    assert found.tolist() == pytest.approx([resultant, 0.0], abs=0.03)

    def log_bessel(k: float) -> float:
        return math.log(float(torch.special.i0e(torch.tensor(k, dtype=torch.float64)))) + k

    expected = log_bessel(kappa) - log_bessel(1.5) - 5 * (log_bessel(2.0) + math.log(2 * math.pi))
    estimate = ImportanceSampling(num_samples=20_000, progress=False).run(bearing, ANGLES)
    assert estimate.log_evidence == pytest.approx(expected, abs=0.03)
    fine, coarse = torch.linspace(-14.0, 14.0, 281, dtype=torch.float64), torch.linspace(-14.0, 14.0, 29, dtype=torch.float64)
    values, _ = LogDensity(Program(bearing, ANGLES)).value_and_grad(torch.cartesian_prod(fine, coarse, coarse))
    assert float((0.1 * values.exp()).sum().log()) == pytest.approx(expected, abs=0.01)
