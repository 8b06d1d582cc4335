"""Score matching against closed forms: a quadratic energy has the sample covariance, of blurred data that plus the blur."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

from ppgen.errors import DataError, EngineError, PpgenError
from ppgen.inference import ScoreMatching
from ppgen.models import BoltzmannMachine, EnergyModel, Quadratic

ROOT = torch.tensor([[5.0, 0.0, 0.0], [2.0, 3.0, 0.0], [0.1, 0.2, 0.5]], dtype=torch.float64)
X = torch.tensor([40.0, -3.0, 100.0]) + torch.randn(300, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ ROOT.mT
COVARIANCE = torch.cov(X.mT, correction=0)


@pytest.fixture(autouse=True)
def _double() -> Any:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def climbing(parameters: list[Tensor]) -> torch.optim.Optimizer:
    return torch.optim.LBFGS(parameters, max_iter=20, line_search_fn="strong_wolfe")


def begun() -> EnergyModel:
    return EnergyModel(3, Quadratic(X.mean(0) + 1.0, (1 / X.var(0)).diag()), like=X)


def learned(**settings: Any) -> Quadratic:
    posterior = ScoreMatching(progress=False, **settings).run(begun(), X)
    return posterior.program.fn.network


def off(precision: Tensor, covariance: Tensor) -> float:
    return float((precision.detach() @ covariance - torch.eye(len(covariance))).abs().max())


def test_a_quadratic_energy_has_the_inverse_of_the_sample_covariance() -> None:
    """Hyvarinen (2005), section 3.1: the estimate is that of maximum likelihood."""
    network = learned(kind="implicit", num_steps=20, optimizer=climbing)
    assert off(network.precision, COVARIANCE) < 1e-4
    assert network.loc.detach() == pytest.approx(X.mean(0), abs=1e-4)


def test_the_loss_at_the_optimum_is_half_the_negative_trace() -> None:
    posterior = ScoreMatching(kind="implicit", num_steps=20, optimizer=climbing, progress=False).run(begun(), X)
    unit = COVARIANCE.diagonal().sqrt().diag()
    expected = -0.5 * float((unit @ torch.linalg.inv(COVARIANCE) @ unit).trace())
    assert float(posterior.losses[-1]) == pytest.approx(expected, abs=1e-6)


def test_slices_find_the_same_with_noise() -> None:
    network = learned(kind="sliced", num_slices=4, num_steps=800, learning_rate=0.05)
    assert off(network.precision, COVARIANCE) < 0.1


def test_denoising_finds_the_density_of_blurred_data() -> None:
    """Of data blurred by noise of 0.5 sd the covariance is larger by a quarter of each variance; and not that of the data."""
    network = learned(kind="denoising", noise_scale=0.5, num_steps=1500, learning_rate=0.05)
    blurred = COVARIANCE + 0.25 * COVARIANCE.diagonal().diag()
    assert off(network.precision, blurred) < 0.1
    assert off(network.precision, COVARIANCE) > 0.3


def test_slices_are_the_trace_on_average() -> None:
    """The loss of many directions, against the exact one, at the start."""
    exact, many = (
        float(ScoreMatching(kind=kind, num_slices=2000, num_steps=1, progress=False).run(begun(), X[:50]).losses[0])
        for kind in ("implicit", "sliced")
    )
    assert many == pytest.approx(exact, abs=0.05)


def test_bounded_data_are_learned_in_unconstrained_coordinates() -> None:
    """Of a gamma law with known scale, by u = log x: the slope is shape - e^u, so the loss, |shape - e^u|^2 / 2 - e^u in units of the sd
    of u, is least where shape is the mean of e^u."""

    def waiting(x: Tensor) -> None:
        shape = pyro.param("shape", torch.tensor(1.0), constraint=dist.constraints.positive)
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Gamma(shape, 1.0), obs=x)

    x = torch.distributions.Gamma(3.0, 1.0).sample((200,))
    posterior = ScoreMatching(kind="implicit", num_steps=20, optimizer=climbing, progress=False).run(waiting, x)
    assert float(posterior.params["shape"].exp()) == pytest.approx(float(x.mean()), rel=1e-6)


def test_a_network_learns_two_heaps(tmp_path: Path) -> None:
    """The density along the line, against the mixture that data came from, blurred as they were; to the bit from a checkpoint."""
    generator = torch.Generator().manual_seed(2)
    x = (torch.where(torch.rand(2000, generator=generator) < 0.5, 30.0, 36.0) + torch.randn(2000, generator=generator))[:, None]
    torch.manual_seed(0)
    model = EnergyModel(like=x, hidden=(32, 32))
    engine = ScoreMatching(
        kind="denoising", noise_scale=0.15, num_steps=1500, batch_size=500, learning_rate=0.01, progress=False, checkpoint=tmp_path
    )
    posterior = engine.run(model, x)
    again = engine.run(model, x)
    assert all(torch.equal(posterior.params[n], again.params[n]) for n in posterior.params)
    fitted = posterior.program.fn
    grid = fitted.grid()
    with torch.no_grad():
        density = (-fitted._energy(grid.points) - fitted.log_partition()).exp()
    sd = math.sqrt(1 + (0.15 * float(x.std())) ** 2)
    truth = 0.5 * sum(torch.distributions.Normal(m, sd).log_prob(grid.points[:, 0]).exp() for m in (30.0, 36.0))
    distance = 0.5 * float(((density - truth).abs() * grid.log_weights.exp()).sum())
    assert distance < 0.06  # total variation


# Mistakes


class Spiked(nn.Module):
    """No number at the datum in one row."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * x.square().sum(-1) + 0.0 / (x[:, 0] - 7.0)


def hierarchy(x: Tensor) -> None:
    loc = pyro.sample("loc", dist.Normal(pyro.param("centre", torch.tensor(0.0)), 1.0))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(loc, 1.0), obs=x)


def fixed(x: Tensor) -> None:
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(0.0, 1.0), obs=x)


def regression(u: Tensor, y: Tensor) -> None:
    slope = pyro.param("slope", torch.tensor(1.0))
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(slope * u, 1.0), obs=y)


def with_row(value: float) -> Tensor:
    x = X.clone()
    x[11, 0] = value
    return x


@pytest.mark.parametrize(
    ("program", "arguments", "message", "error"),
    [
        (hierarchy, (X[:, 0],), "'loc'", EngineError),
        (fixed, (X[:, 0],), "no parameter", EngineError),
        (regression, (X[:, 0], X[:, 1]), "context", EngineError),
        (EnergyModel(3, Spiked()), (with_row(7.0),), "'energy'.*row 11", DataError),
        (EnergyModel(3), (with_row(math.nan),), "NaN", PpgenError),
        (EnergyModel(3).double(), (with_row(math.inf),), "row 11", PpgenError),
        (BoltzmannMachine(6, 2).double(), ((X.repeat(1, 2) > 0).double(),), "discrete", EngineError),
    ],
)
def test_what_cannot_be_learned_is_named(program: Callable[..., Any], arguments: tuple[Tensor, ...], message: str, error: type) -> None:
    with pytest.raises(error, match=message):
        ScoreMatching(num_steps=3, progress=False).run(program, *arguments)


@pytest.mark.parametrize("wrong", [{"kind": "explicit"}, {"noise_scale": 0.0}, {"num_slices": 0}, {"clip_norm": -1.0}, {"ema_decay": 1.0}])
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match=next(iter(wrong))):
        ScoreMatching(**wrong)
