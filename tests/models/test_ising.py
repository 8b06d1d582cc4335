"""Ising models against published figures of the torus, and sums over all configurations of other graphs."""

import itertools
import math

import networkx as nx
import pytest
import torch

from ppgen.diagnostics import mcse_mean
from ppgen.errors import CostError, PpgenError, ProgramError
from ppgen.inference import AIS, Gibbs
from ppgen.models import Ising

CRITICAL = math.log(1 + math.sqrt(2)) / 2
# ln Z of periodic L x L lattices, J = 1, by transfer matrix in extended precision; L = 3, 4 also by enumeration
PARTITIONS = [(4, 0.3, 12.78552333), (6, 0.3, 28.50406714), (8, 0.3, 50.6093305), (3, CRITICAL, 9.0202134)]
PARTITIONS += [(4, CRITICAL, 15.52191546), (6, CRITICAL, 34.11154105), (8, CRITICAL, 60.14178079)]
ENERGIES = [(3, -1.611246), (4, -1.565624), (6, -1.516873), (8, -1.491589)]  # per spin, at the critical point
ODD = nx.Graph([("a", "b"), ("b", "c"), ("c", "a"), ("c", "d"), ("e", "e"), ("e", "f")])


def torus(side: int, beta: float) -> Ising:
    return Ising(nx.grid_2d_graph(side, side, periodic=True), inverse_temperature=beta)


@pytest.mark.parametrize(("side", "beta", "expected"), PARTITIONS)
def test_the_constant_of_a_torus(side: int, beta: float, expected: float) -> None:
    model = torus(side, beta).double()
    model.inverse_temperature.fill_(beta)
    assert float(model.log_partition()) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(("side", "expected"), ENERGIES)
def test_the_mean_energy_of_a_torus(side: int, expected: float) -> None:
    assert float(torus(side, CRITICAL).mean_energy()) / side**2 == pytest.approx(expected, abs=1e-5)


def odd() -> Ising:
    return Ising(ODD, coupling=torch.tensor([1.0, -0.5, 0.7, 0.2, -1.2]), field=torch.linspace(-0.5, 0.5, 6), inverse_temperature=0.8)


def test_any_graph_against_all_configurations() -> None:
    model = odd()
    place = {n: i for i, n in enumerate(ODD.nodes)}
    edges = [(place[a], place[b]) for a, b in ODD.edges if a != b]
    weights = {}
    for s in itertools.product((-1, 1), repeat=6):
        pairs = sum(float(j) * s[a] * s[b] for j, (a, b) in zip([1.0, -0.5, 0.7, 0.2, -1.2], edges, strict=True))
        weights[s] = 0.8 * (pairs + sum(h * v for h, v in zip(torch.linspace(-0.5, 0.5, 6).tolist(), s, strict=True)))
    log_z = math.log(sum(map(math.exp, weights.values())))
    assert float(model.log_partition()) == pytest.approx(log_z, abs=1e-5)
    x = torch.tensor(list(weights), dtype=torch.float32)
    assert model.exact(x)["log_prob"](x) == pytest.approx(torch.tensor(list(weights.values())).double() - log_z, abs=1e-5)
    mean = sum(math.exp(w - log_z) * -w / 0.8 for w in weights.values())
    assert float(model.mean_energy()) == pytest.approx(mean, abs=1e-5)


def test_couplings_from_the_graph() -> None:
    graph = nx.Graph()
    graph.add_edge(0, 1, strength=2.0)
    graph.add_edge(1, 2, strength=-1.0)
    assert Ising(graph, coupling="strength").coupling.tolist() == [2.0, -1.0]


@pytest.mark.parametrize("how", ["sweep", "layers"])
def test_gibbs_has_the_energy_of_the_torus(how: str) -> None:
    """4 x 4 at the critical point, within 5 Monte Carlo standard errors."""
    model = torus(4, CRITICAL)
    draws = Gibbs(discrete=how, num_warmup=100, num_samples=3000, progress=False).run(model, size=1).draws["x"]
    energy = model.energy(draws[:, :, 0].float()).detach().double() / 16  # (chains, draws)
    error = float(mcse_mean(energy[..., None].numpy())[0])
    assert error < 0.02
    assert float(energy.mean()) == pytest.approx(-1.565624, abs=5 * error)


@pytest.mark.slow
def test_gibbs_has_the_energy_of_the_larger_torus() -> None:
    model = torus(8, CRITICAL)
    draws = Gibbs(discrete="sweep", num_warmup=1000, num_samples=20000, progress=False).run(model, size=1).draws["x"]
    energy = model.energy(draws[:, :, 0].float()).detach().double() / 64
    error = float(mcse_mean(energy[..., None].numpy())[0])
    assert error < 0.01
    assert float(energy.mean()) == pytest.approx(-1.491589, abs=5 * error)


def test_annealing_has_the_constant_between_its_bounds() -> None:
    model = torus(4, CRITICAL)
    exact = model.draws(100, torch.Generator().manual_seed(0))
    found = AIS(num_temperatures=100, num_particles=100).evidence(model, size=1, exact=exact)
    assert found.lower < 15.52191546 < found.upper
    assert found.upper - found.lower < 0.6


def test_exact_draws_have_the_exact_energy() -> None:
    model = torus(4, CRITICAL)
    energy = model.energy(model.draws(4000, torch.Generator().manual_seed(0))["x"][:, 0]).detach() / 16
    assert float(energy.mean()) == pytest.approx(-1.565624, abs=5 * float(energy.std()) / 4000**0.5)


def test_mistakes_are_named() -> None:
    with pytest.raises(ProgramError, match="no edge"):
        Ising(nx.empty_graph(3))
    with pytest.raises(ProgramError, match="one for each of 2 edges"):
        Ising(nx.path_graph(3), coupling=torch.ones(3))
    with pytest.raises(ProgramError, match="'strength'"):
        Ising(nx.path_graph(3), coupling="strength")
    x = torch.ones(4, 3)
    x[2, 1] = 0.0
    with pytest.raises(PpgenError, match=r"'x'.*row 2"):
        Gibbs(progress=False).run(Ising(nx.path_graph(3)), x)
    with pytest.raises(CostError, match="AIS"):
        Ising(nx.complete_graph(40)).log_partition()
