"""Restricted Boltzmann machines against sums over all assignments."""

import pytest
import torch

from ppgen import sample, score
from ppgen.errors import CostError, PpgenError, ProgramError
from ppgen.inference import AIS, Enumeration, Gibbs
from ppgen.models import BoltzmannMachine


def machine(visible: int = 6, hidden: int = 4) -> BoltzmannMachine:
    torch.manual_seed(0)
    made = BoltzmannMachine(visible, hidden)
    with torch.no_grad():
        made.weight.mul_(100.0)
        made.visible_bias.copy_(torch.linspace(-1, 1, visible))
        made.hidden_bias.copy_(torch.linspace(0.5, -0.5, hidden))
    return made


def every(bits: int) -> torch.Tensor:
    return torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * bits)


@pytest.mark.parametrize(("visible", "hidden"), [(6, 4), (4, 6)])
def test_the_constant_is_the_sum_over_both_layers(visible: int, hidden: int) -> None:
    made = machine(visible, hidden)
    x, h = every(visible), every(hidden)
    joint = (x @ made.visible_bias)[:, None] + h @ made.hidden_bias + x @ made.weight @ h.mT
    assert float(made.log_partition().detach()) == pytest.approx(float(joint.flatten().logsumexp(0).detach()), abs=1e-4)
    assert made.free_energy(x).detach() == pytest.approx(-joint.logsumexp(1).detach(), abs=1e-4)
    assert float(made.log_prob(x).exp().sum().detach()) == pytest.approx(1.0, abs=1e-4)


def test_the_program_sums_the_hidden_layer_out() -> None:
    made = machine()
    x = every(6)[::5]
    scored = score(made, x)
    assert scored.kind == "up to a constant"
    assert scored.value == pytest.approx(-made.free_energy(x).detach().double(), abs=1e-4)


def test_hidden_units_given_data() -> None:
    made = machine()
    x = every(6)[10:14]
    drawn = Enumeration(num_samples=4000, progress=False).run(made, x).draws["h"][0].double().mean(0)
    expected = torch.sigmoid((x @ made.weight + made.hidden_bias).mT).detach()
    assert made.exact(x)["posterior"]["h"].mean == pytest.approx(expected, abs=1e-5)
    assert (drawn - expected).abs().max() < 5 * 0.5 / 4000**0.5


@pytest.mark.parametrize(("visible", "hidden"), [(6, 4), (4, 6)])
def test_exact_draws_and_gibbs_have_the_exact_means(visible: int, hidden: int) -> None:
    made = machine(visible, hidden)
    x = every(visible)
    expected = (made.log_prob(x).exp()[:, None] * x).sum(0).detach()
    exact = made.draws(5000, torch.Generator().manual_seed(1))
    assert exact["h"].shape == (5000, hidden, 1)
    assert (exact["x"][:, 0].mean(0) - expected).abs().max() < 5 * 0.5 / 5000**0.5
    chains = sample(made, 2000, engine=Gibbs(num_warmup=50, progress=False))["x"]
    assert (chains.float().mean(0) - expected).abs().max() < 5 * 0.5 / 2000**0.5


def test_annealing_has_the_constant_between_its_bounds() -> None:
    made = machine()
    exact = made.draws(200, torch.Generator().manual_seed(1))
    found = AIS(num_temperatures=100, num_particles=200).evidence(made, size=1, exact=exact)
    truth = float(made.log_partition().detach())
    assert found.lower < truth < found.upper
    assert found.upper - found.lower < 0.3


def test_biases_begin_at_the_datas_log_odds() -> None:
    x = (torch.rand(400, 5, generator=torch.Generator().manual_seed(0)) < torch.tensor([0.1, 0.3, 0.5, 0.7, 0.9])).float()
    start = BoltzmannMachine(like=x, num_hidden=2)
    with torch.no_grad():
        start.weight.zero_()
    means = start.draws(20000, torch.Generator().manual_seed(1))["x"][:, 0].mean(0)
    assert (means - x.mean(0)).abs().max() < 0.02


def test_mistakes_are_named() -> None:
    x = every(6)
    x[3, 2] = 0.5
    with pytest.raises(PpgenError, match=r"'x'.*row 3"):
        score(machine(), x)
    with pytest.raises(ProgramError, match="at least one unit"):
        BoltzmannMachine(4, 0)
    with pytest.raises(CostError, match=r"2\^30.*AIS"):
        BoltzmannMachine(40, 30).log_partition()
