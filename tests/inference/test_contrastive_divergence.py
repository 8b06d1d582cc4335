"""Contrastive divergence against closed forms and exact gradients; its chains go on to the bit."""

import copy
import itertools
import math
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import networkx as nx
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor
from torch.optim.lr_scheduler import ExponentialLR

from ppgen import datasets
from ppgen.errors import DataError, EngineError, PpgenWarning
from ppgen.inference import HMC, MALA, NUTS, ContrastiveDivergence, Gibbs, Langevin
from ppgen.inference._chains import ChainEngine
from ppgen.inference._ladder import Ladder
from ppgen.keys import Key
from ppgen.models import BoltzmannMachine, EnergyModel, Ising, Quadratic
from ppgen.posterior import Posterior

ROOT = torch.tensor([[5.0, 0.0], [2.0, 3.0]])
X = torch.tensor([40.0, -3.0]) + torch.randn(300, 2, generator=torch.Generator().manual_seed(0)) @ ROOT.mT
COVARIANCE = torch.cov(X.mT, correction=0)
PIXELS = (datasets.load("digits").x[::6].float().flatten(1)[:, 18:30] > 8).float()  # (300, 12): a row and a half


def begun() -> EnergyModel:
    return EnergyModel(2, Quadratic(X.mean(0) + 1.0, (1 / X.var(0)).diag()), like=X)


def off(posterior: Posterior) -> float:
    """Of the covariance that was learned, in units of the data's."""
    precision = posterior.program.fn.network.precision.detach()
    return float((precision @ COVARIANCE - torch.eye(2)).abs().max())


@pytest.mark.parametrize(
    ("negative", "k", "within"),
    [
        (None, 10, 0.15),
        (Langevin(kind="underdamped", step_size=0.3), 10, 0.15),
        (HMC(step_size=0.4), 1, 0.25),
        (MALA(step_size=0.8), 4, 0.25),
        (NUTS(step_size=0.5), 1, 0.25),
    ],
    ids=["ULA", "BAOAB", "HMC", "MALA", "NUTS"],
)
def test_a_quadratic_energy_by_any_engine(negative: ChainEngine | None, k: int, within: float) -> None:
    """The precision is the inverse of the sample covariance, up to the noise of the chains at the last learning rate."""
    steps = 300 if negative is None or isinstance(negative, Langevin) else 100
    engine = ContrastiveDivergence(k=k, negative=negative, num_steps=steps, learning_rate=10.0 / steps, progress=False)
    posterior = engine.run(begun(), X)
    assert off(posterior) < within
    assert ((posterior.program.fn.network.loc.detach() - X.mean(0)) / X.std(0)).abs().max() < within


def test_chains_from_the_data_learn_it_too() -> None:
    """CD-k of the same: its fixed point is the likelihood's where energies are quadratic (Carreira-Perpinan & Hinton, 2005)."""
    engine = ContrastiveDivergence(k=10, persistent=False, num_steps=300, learning_rate=0.03, progress=False)
    assert off(engine.run(begun(), X)) < 0.2


def ascended(machine: BoltzmannMachine, steps: int, rate: float) -> float:
    """The mean log likelihood after so many exact gradients."""
    exact = copy.deepcopy(machine)
    optimizer = torch.optim.SGD(exact.parameters(), lr=rate)
    for _ in range(steps):
        optimizer.zero_grad()
        (-exact.log_prob(PIXELS).mean()).backward()
        optimizer.step()
    return likelihood(exact)


def likelihood(machine: BoltzmannMachine) -> float:
    return float(machine.log_prob(PIXELS).mean().detach())


def machine() -> BoltzmannMachine:
    torch.manual_seed(0)
    return BoltzmannMachine(num_hidden=5, like=PIXELS)


@pytest.mark.parametrize("persistent", [True, False])
def test_a_boltzmann_machine_climbs_as_under_exact_gradients(persistent: bool) -> None:
    """Exact log likelihood on the way, by enumeration, nats."""
    rate, settings = 0.2, {"optimizer": "SGD", "final_learning_rate": 1.0, "progress": False}
    for steps in (150, 300, 600):
        expected = ascended(machine(), steps, rate)
        engine = ContrastiveDivergence(k=5, persistent=persistent, num_chains=2000, num_steps=steps, learning_rate=rate, **settings)
        reached = likelihood(engine.run(machine(), PIXELS).program.fn)
        assert reached == pytest.approx(expected, abs=0.06)
    assert expected > likelihood(machine()) + 0.5


def test_couplings_of_spins_are_found() -> None:
    """Of 2000 exact draws of a ring, whose couplings have an error of about 0.025."""
    ring = Ising(nx.cycle_graph(6), coupling=torch.tensor([0.8, -0.5, 0.3, 0.6, -0.2, 0.4]), field=0.2)
    x = ring.draws(2000, torch.Generator().manual_seed(3))["x"][:, 0]
    blank = Ising(nx.cycle_graph(6), coupling=torch.zeros(6), field=0.0)
    engine = ContrastiveDivergence(k=1, num_chains=2000, num_steps=200, learning_rate=0.05, progress=False)
    learned = engine.run(blank, x).program.fn
    assert learned.coupling.detach() == pytest.approx(ring.coupling.detach(), abs=0.1)
    assert float(learned.field.detach()) == pytest.approx(0.2, abs=0.05)


class Halting(ContrastiveDivergence):
    """Interrupted by Ctrl-C in step 20."""

    @property
    def name(self) -> str:
        return "contrastive-divergence"

    def step(self, target: Any, state: Any, tuning: Any, key: Any) -> Any:
        if key.draw == 20:
            signal.raise_signal(signal.SIGINT)
        return super().step(target, state, tuning, key)


def test_to_the_bit_from_a_checkpoint(tmp_path: Path) -> None:
    """Interrupted half way, chains and optimiser go on from where they stood."""
    settings: dict[str, Any] = {"num_steps": 40, "batch_size": 50, "num_chains": 30, "ema_decay": 0.9, "progress": False}
    settings["inverse_temperatures"] = (1.0, 0.5)
    for model, x in ((begun(), X), (machine(), PIXELS)):
        whole = ContrastiveDivergence(**settings).run(model, x)
        folder = tmp_path / type(model).__name__

        with pytest.warns(PpgenWarning, match="interrupted"):
            Halting(**settings, checkpoint=folder).run(model, x)
        resumed = ContrastiveDivergence(**settings, checkpoint=folder).run(model, x)
        assert torch.equal(whole.losses, resumed.losses)
        assert all(torch.equal(p, resumed.params[n]) for n, p in whole.params.items())


def test_the_mean_of_parameters_is_learned() -> None:
    """Of all steps, with a decay that grows, as the runs of 1, 2, ... 5 steps have them."""

    def after(steps: int, decay: float | None) -> Tensor:
        engine = ContrastiveDivergence(num_steps=steps, ema_decay=decay, final_learning_rate=1.0, progress=False)
        return engine.run(begun(), X).params["network.loc"]

    mean = begun().network.loc.detach()
    for step in range(5):
        decay = min(0.3, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * after(step + 1, None)
    torch.testing.assert_close(after(5, 0.3), mean)
    assert torch.equal(after(5, 0.0), after(5, None))


def test_a_scheduler_sets_the_rates() -> None:
    """One that falls to 0 at once leaves what the first step learned."""
    falling = ContrastiveDivergence(num_steps=5, scheduler=lambda o: ExponentialLR(o, 0.0), progress=False).run(begun(), X)
    first = ContrastiveDivergence(num_steps=1, scheduler=lambda o: ExponentialLR(o, 0.0), progress=False).run(begun(), X)
    assert all(torch.equal(p, first.params[n]) for n, p in falling.params.items())
    assert not torch.equal(first.params["network.loc"], begun().network.loc)


def test_energies_are_held_down() -> None:
    free, held = (
        ContrastiveDivergence(num_steps=100, energy_decay=w, learning_rate=0.01, progress=False).run(EnergyModel(like=X, hidden=(8,)), X)
        for w in (0.0, 1.0)
    )
    sizes = [float(run.program.fn._energy(X).square().mean().detach()) for run in (free, held)]
    assert sizes[1] < 0.5 * sizes[0]


# Chains at several inverse temperatures

COLD_AND_HOT = (1.0, 0.3, 0.1)


class Wells(torch.nn.Module):
    """Normals of sd 1 at -6 and 6 up to a constant, and how much the right one holds as log odds, the only parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.odds = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        wells = torch.stack([-0.5 * (x[:, 0] + 6.0).square(), self.odds - 0.5 * (x[:, 0] - 6.0).square()])
        return -wells.logsumexp(0)


@pytest.mark.parametrize("kind", ["overdamped", "underdamped"])
def test_how_much_each_mode_holds_is_learned(kind: str) -> None:
    """From 400 data of which 320 lie right, at 6: log odds of log 4 (modes have the same width), and an sd of 0.08 by the chains."""
    x = torch.randn(400, 1, generator=torch.Generator().manual_seed(1)) + torch.where(torch.arange(400) < 320, 6.0, -6.0)[:, None]
    settings: dict[str, Any] = {"num_steps": 600, "num_chains": 200, "learning_rate": 0.05, "ema_decay": 0.99, "progress": False}
    negative = Langevin(kind=kind, step_size=0.01 if kind == "overdamped" else 0.1)
    model = EnergyModel(energy=Wells(), like=x)
    posterior = ContrastiveDivergence(negative=negative, inverse_temperatures=COLD_AND_HOT, **settings).run(model, x)
    assert float(posterior.params["network.odds"]) == pytest.approx(math.log(4.0), abs=0.25)
    assert all(0.2 < rate < 0.9 for rate in posterior.provenance["exchange_rates"])
    alone = ContrastiveDivergence(negative=negative, **settings).run(model, x)  # its chains never leave the mode that they began in
    assert abs(float(alone.params["network.odds"])) > 5.0


def test_spins_that_all_turn_together() -> None:
    """A ring coupled by 1.2 stands up or down, and sweeps of single spins hardly turn it. Of 1000 exact draws under a field: the exact log
    likelihood that is reached, nats a datum, against that of exact gradients."""
    ring = nx.cycle_graph(6)
    x = Ising(ring, 1.2, field=0.12).draws(1000, torch.Generator().manual_seed(5))["x"][:, 0]
    every = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=6)))

    def mean_log_prob(model: Ising) -> Tensor:
        return -model.energy(x).mean() - (-model.energy(every)).logsumexp(0)

    def begun() -> Ising:
        return Ising(ring, coupling=torch.full((6,), 0.8), field=torch.tensor(0.0))

    best = begun()
    optimizer = torch.optim.Adam(best.parameters(), lr=0.02)
    for _ in range(500):
        optimizer.zero_grad()
        (-mean_log_prob(best)).backward()
        optimizer.step()
    settings: dict[str, Any] = {"k": 2, "num_chains": 300, "num_steps": 500, "learning_rate": 0.02, "progress": False}
    learned = ContrastiveDivergence(inverse_temperatures=(1.0, 0.6, 0.3), **settings).run(begun(), x).program.fn
    assert float(learned.field.detach()) == pytest.approx(float(best.field.detach()), abs=0.05)
    assert float(mean_log_prob(learned).detach()) == pytest.approx(float(mean_log_prob(best).detach()), abs=0.02)


def test_exchanges_leave_each_law_alone() -> None:
    """Normals of precision b, told by their mean square; the rate is 4 / pi arctan(sqrt(b' / b)), by integrating over the angle."""
    ladder, chains = Ladder(COLD_AND_HOT), 100_000
    inverse = torch.tensor(COLD_AND_HOT, dtype=torch.float64)
    x = torch.randn(3, chains, generator=torch.Generator().manual_seed(0), dtype=torch.float64) / inverse.sqrt()[:, None]
    place = {"x": x.flatten(), "number": torch.arange(3 * chains)}
    for turn in range(2):
        before = place["number"]
        place, rates = ladder.exchanged(place, -0.5 * place["x"].square(), Key(3, turn, tuple(range(3 * chains))))
        expected = 4 / math.pi * (inverse[1:] / inverse[:-1]).sqrt().atan()
        assert rates == pytest.approx(expected, abs=5e-3)
        moved = (place["number"] != before).reshape(3, chains).double().mean(1)
        assert moved[turn : turn + 2] == pytest.approx(expected[turn].expand(2), abs=1e-2)
        assert moved[2 - 2 * turn] == 0  # the level that has no neighbour in this turn
        assert place["x"].reshape(3, chains).square().mean(1) * inverse == pytest.approx(torch.ones(3), abs=5 * math.sqrt(2 / chains))
    assert place["number"].sort().values.equal(torch.arange(3 * chains))


def test_levels_too_far_apart_are_named() -> None:
    with pytest.warns(PpgenWarning, match=r"1 and 1e-06 change places in .* %"):
        ContrastiveDivergence(num_steps=20, inverse_temperatures=(1.0, 1e-6), progress=False).run(begun(), X)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"inverse_temperatures": ()}, "fall from 1"),
        ({"inverse_temperatures": (0.9, 0.5)}, "fall from 1"),
        ({"inverse_temperatures": (1.0, 0.5, 0.5)}, "fall from 1"),
        ({"inverse_temperatures": (1.0, 0.0)}, "above 0"),
        ({"inverse_temperatures": (1.0, math.nan)}, "above 0"),
        ({"inverse_temperatures": (1.0, 0.5), "persistent": False}, "persistent"),
        ({"inverse_temperatures": (1.0, 0.5), "negative": HMC(step_size=0.1)}, "not by HMC"),
    ],
)
def test_ladders_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(EngineError, match=message):
        ContrastiveDivergence(num_steps=2, progress=False, **settings).run(begun(), X)


# Mistakes


class Broken(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.scale * torch.where(x[:, 0] == 7.0, torch.nan, x.square().sum(-1))


def with_row(value: float) -> Tensor:
    x = X.clone()
    x[11, 0] = value
    return x


def bits(x: Tensor) -> None:
    """Labels that index a table: no density that is affine in them."""
    table = pyro.param("table", torch.zeros(3))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Categorical(logits=table), obs=x)


@pytest.mark.parametrize(
    ("program", "x", "settings", "message", "error"),
    [
        (EnergyModel(2, Broken()), with_row(7.0), {}, "row 11", DataError),
        (bits, torch.tensor([0, 1, 2, 2]), {}, "layers", EngineError),
        (EnergyModel(2), X, {"negative": HMC()}, "step_size", EngineError),
        (EnergyModel(2), X, {"negative": Langevin()}, "step_size", EngineError),
        (BoltzmannMachine(12, 2), PIXELS, {"negative": Langevin(step_size=0.1)}, "discrete", EngineError),
    ],
)
def test_what_cannot_be_learned_is_named(
    program: Callable[..., Any], x: Tensor, settings: dict[str, Any], message: str, error: type[Exception]
) -> None:
    with pytest.raises(error, match=message):
        ContrastiveDivergence(num_steps=3, progress=False, **settings).run(program, x)


@pytest.mark.parametrize("wrong", [{"k": 0}, {"num_chains": 0}, {"energy_decay": -1.0}, {"learning_rate": 0.0}, {"batch_size": 0}])
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(EngineError, match=next(iter(wrong)).replace("learning_rate", "learning rates")):
        ContrastiveDivergence(**wrong)


def test_gibbs_may_be_named_for_discrete_data() -> None:
    posterior = ContrastiveDivergence(num_steps=2, negative=Gibbs(), progress=False).run(machine(), PIXELS)
    assert math.isfinite(float(posterior.losses[-1]))
