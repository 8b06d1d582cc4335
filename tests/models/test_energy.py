"""Energy models: densities of one and two numbers by quadrature, constants by annealing, and four laws in the plane."""

from typing import Any

import pyro.distributions as dist
import pytest
import torch
from scipy import integrate
from torch import Tensor, nn

from ppgen import sample, score
from ppgen.diagnostics import ess_and_rhat
from ppgen.errors import ProgramError, ScoreError
from ppgen.inference import AIS, HMC, NUTS, ContrastiveDivergence, Langevin
from ppgen.models import EnergyModel, Quadratic
from tests.tools.toys import TOYS, modes_held
from tests.tools.two_samples import accuracy, mmd, mmd_floor

PRECISION = torch.tensor([[2.0, 0.5], [0.5, 1.0]])
LOC = torch.tensor([30.0, -4.0])


class Wells(nn.Module):
    """Two wells at -3 and 3, in units of 5, the left one deeper, and a wall of some nats between them."""

    def __init__(self, wall: float = 8.1):
        super().__init__()
        self.wall = wall

    def forward(self, x: Tensor) -> Tensor:
        u = x[:, 0] / 5.0
        return self.wall * (u.square() / 9.0 - 1.0).square() + 0.2 * u


def quadratic() -> EnergyModel:
    return EnergyModel(2, Quadratic(LOC, PRECISION), like=LOC + torch.randn(50, 2, generator=torch.Generator().manual_seed(0)))


def wells(wall: float = 8.1) -> EnergyModel:
    return EnergyModel(1, Wells(wall), like=15.0 * torch.randn(100, 1, generator=torch.Generator().manual_seed(0)))


def test_the_constant_of_a_quadratic_energy() -> None:
    model = quadratic()
    expected = float(torch.distributions.MultivariateNormal(LOC, precision_matrix=PRECISION).log_prob(LOC))
    assert float(model.log_partition()) == pytest.approx(-expected, abs=1e-5)
    grid = model.grid()
    assert float(grid.log_integral(-model._energy(grid.points.float()).detach())) == pytest.approx(-expected, abs=1e-3)


def test_the_constant_of_wells_is_scipys() -> None:
    energy = lambda u: float(torch.exp(-Wells()(torch.tensor([[u]]))))  # noqa: E731
    expected, _ = integrate.quad(energy, -40, 40, points=[-15.0, 15.0], limit=200)
    assert float(wells().log_partition().exp()) == pytest.approx(expected, rel=1e-4)


def test_bounded_data() -> None:
    """On a box, E = x: the constant in closed form; draws stay inside."""
    base = dist.Uniform(torch.zeros(1), 2.0 * torch.ones(1)).to_event(1)
    model = EnergyModel(1, nn.Flatten(0), base=base)
    assert float(model.log_partition().exp()) == pytest.approx(1 - float(torch.tensor(-2.0).exp()), rel=1e-4)
    x = sample(model, 50, engine=NUTS(num_warmup=50, progress=False))["x"]
    assert ((x > 0) & (x < 2)).all()


def test_scores_are_up_to_a_constant_and_compared_with_none() -> None:
    model = quadratic()
    x = LOC + torch.randn(5, 2, generator=torch.Generator().manual_seed(1))
    scored = score(model, x)
    assert scored.kind == "up to a constant"
    exact = torch.distributions.MultivariateNormal(LOC, precision_matrix=PRECISION).log_prob(x)
    assert (scored.value - model.log_partition()).float() == pytest.approx(exact, abs=1e-3)
    assert model.exact(x)["log_prob"](x).float() == pytest.approx(exact, abs=1e-3)
    with pytest.raises(ScoreError, match="constant"):
        _ = scored - scored


@pytest.mark.parametrize("model", [quadratic, wells])
def test_annealing_has_the_constant_between_its_bounds(model: Any) -> None:
    """Exact draws: from the grid, points by their weights."""
    made = model()
    grid = made.grid(801)
    weights = (grid.log_weights - made._energy(grid.points.float()).detach()).softmax(0)
    chosen = torch.multinomial(weights, 200, replacement=True, generator=torch.Generator().manual_seed(0))
    found = AIS(num_temperatures=500, num_particles=200).evidence(made, size=1, exact={"x": grid.points[chosen][:, None].float()})
    truth = float(made.log_partition())
    assert found.lower < truth < found.upper
    assert found.upper - found.lower < 0.4
    assert found.log_evidence == pytest.approx(truth, abs=5 * found.standard_error)


@pytest.mark.parametrize("engine", [NUTS(num_warmup=300, num_samples=1000), HMC(num_warmup=300, num_samples=1500)], ids=["NUTS", "HMC"])
def test_draws_of_any_engine_have_the_exact_moments(engine: Any) -> None:
    posterior = engine.run(quadratic(), size=1)
    draws = posterior.draws["x"][:, :, 0].double()
    ess = torch.as_tensor(ess_and_rhat(draws.numpy())[0])
    covariance = torch.linalg.inv(PRECISION).double()
    assert (ess > 200).all()
    assert ((draws.mean((0, 1)) - LOC).abs() / covariance.diagonal().sqrt() < 5 / ess.sqrt()).all()
    assert (torch.cov(draws.flatten(0, 1).mT) - covariance).abs().max() < 0.15


def test_langevin_reaches_both_wells() -> None:
    """Chains from anywhere: the share of the left one, against quadrature, up to the bias of a step."""
    model = wells(wall=1.0)
    grid = model.grid(801)
    weights = (grid.log_weights - model._energy(grid.points.float()).detach()).softmax(0)
    expected = float(weights[grid.points[:, 0] < 0].sum())
    engine = Langevin(step_size=2.0, num_warmup=0, num_samples=400, steps_per_draw=20, num_chains=40, progress=False)
    draws = engine.run(model, size=1).draws["x"][:, 200:]
    assert float((draws < 0).double().mean()) == pytest.approx(expected, abs=0.08)


# Laws in the plane


@pytest.mark.slow
@pytest.mark.parametrize("name", ["rings", "eight Gaussians"])
def test_a_law_in_the_plane_is_learned(name: str) -> None:
    """Draws by the weights of a grid, told from data hardly better than by guessing; no mode dropped, far apart as they are."""
    generator = torch.Generator().manual_seed(0)
    x, fresh = (TOYS[name](n, generator) for n in (5000, 2000))
    torch.manual_seed(0)
    model = EnergyModel(like=x, hidden=(128, 128))
    engine = ContrastiveDivergence(
        k=10,
        num_chains=200,
        inverse_temperatures=[0.05 ** (i / 4) for i in range(5)],
        batch_size=1000,
        num_steps=3000,
        learning_rate=1e-2,
        ema_decay=0.998,
        negative=Langevin(kind="underdamped", step_size=0.05),
        progress=False,
    )
    learned = engine.run(model, x).program.fn
    grid = learned.grid(401)
    weights = (grid.log_weights - learned._energy(grid.points.float()).detach()).softmax(0)
    drawn = grid.points[torch.multinomial(weights, 2000, replacement=True, generator=generator)].float()
    assert mmd(drawn, fresh) < 1.5 * mmd_floor(fresh)
    assert accuracy(drawn, fresh).value < 0.55
    assert modes_held(name, drawn) > 0.7


# Mistakes


def test_an_energy_of_the_wrong_shape_is_named() -> None:
    with pytest.raises(ProgramError, match=r"\(3, 2\).*one number a datum"):
        score(EnergyModel(2, nn.Linear(2, 2)), torch.ones(3, 2))


def test_a_base_of_another_shape_is_named() -> None:
    with pytest.raises(ProgramError, match="to_event"):
        EnergyModel(2, base=dist.Normal(torch.zeros(2), 1.0))


def test_what_is_not_known_is_said() -> None:
    with pytest.raises(ProgramError, match="AIS"):
        EnergyModel(5).log_partition()
    with pytest.raises(ProgramError, match="features"):
        EnergyModel()
