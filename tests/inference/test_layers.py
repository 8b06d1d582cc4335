"""Layers: found from the density alone, and drawn from as one element after the other would be."""

from collections.abc import Callable
from typing import Any

import networkx as nx
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from ppgen.errors import EngineError
from ppgen.inference import Gibbs
from ppgen.inference._layers import Layers, layers_of
from ppgen.models import BoltzmannMachine, Ising
from ppgen.program import Program
from ppgen.targets import LogDensity


def found(program: Callable[..., Any], *args: Any, most: int = 8, **kwargs: Any) -> Layers | None:
    bound = Program(program).bind(*args, **kwargs)
    density = LogDensity(bound, lowering="recorded", held=bound.discrete)
    return layers_of(density.reading, density.holding, density.recording.others, most)


def machine() -> BoltzmannMachine:
    torch.manual_seed(1)
    made = BoltzmannMachine(5, 3)
    with torch.no_grad():
        made.weight.mul_(100.0)
        made.visible_bias.copy_(torch.linspace(-1, 1, 5))
    return made


def test_of_a_boltzmann_machine_they_are_its_two() -> None:
    layers = found(machine(), size=1)
    assert [c.tolist() for c in layers.layers] == [[0, 1, 2, 3, 4], [5, 6, 7]]


def test_weights_of_zero_part_nothing() -> None:
    """Parameters may move later: what meets is told from others than those that there are."""
    blank = machine()
    with torch.no_grad():
        blank.weight.zero_()
    assert len(found(blank, size=1).layers) == 2


@pytest.mark.parametrize(("side", "count"), [(4, 2), (6, 2), (3, 4), (5, 4)])
def test_of_a_torus_they_are_a_colouring(side: int, count: int) -> None:
    graph = nx.grid_2d_graph(side, side, periodic=True)
    layers = found(Ising(graph), size=1)
    assert len(layers.layers) <= count
    assert sorted(torch.cat(list(layers.layers)).tolist()) == list(range(side**2))
    place = {n: i for i, n in enumerate(graph.nodes)}
    for layer in layers.layers:
        inside = set(layer.tolist())
        assert not any(place[a] in inside and place[b] in inside for a, b in graph.edges)


def triple(weight: float = 1.5) -> None:
    """Affine in each, of three at once."""
    with pyro.plate("elements", 4):
        z = pyro.sample("z", dist.Bernoulli(0.3))
    pyro.factor("all", weight * z[0] * z[1] * z[2] - z[3])


def squared() -> None:
    with pyro.plate("elements", 3):
        z = pyro.sample("z", dist.Bernoulli(0.3))
    pyro.factor("all", (z.sum() - 1.0).square())


def steep() -> None:
    """No second derivative anywhere, and yet not affine."""
    with pyro.plate("elements", 3):
        z = pyro.sample("z", dist.Bernoulli(0.3))
    pyro.factor("all", (z - 0.7).abs().sum())


def of_three() -> None:
    with pyro.plate("elements", 3):
        pyro.sample("z", dist.Categorical(torch.ones(3) / 3))


def test_three_that_meet_are_three_layers() -> None:
    assert [c.tolist() for c in found(triple).layers] == [[0, 3], [1], [2]]
    assert found(triple, most=2) is None


@pytest.mark.parametrize("program", [squared, steep, of_three])
def test_where_the_density_is_of_another_kind_there_are_none(program: Callable[[], None]) -> None:
    assert found(program) is None
    with pytest.raises(EngineError, match=r"'sweep'|layers"):
        Gibbs(discrete="layers", progress=False).run(program)


def exact(made: BoltzmannMachine) -> Tensor:
    """E[x], by enumeration."""
    every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 5)
    return (made.log_prob(every).exp()[:, None] * every).sum(0).detach()


@pytest.mark.parametrize("how", ["layers", "sweep", "auto"])
def test_draws_have_the_exact_means(how: str) -> None:
    made = machine()
    posterior = Gibbs(discrete=how, num_chains=8, num_warmup=50, num_samples=1500, progress=False).run(made, size=1)
    draws = posterior.draws["x"].double()[:, :, 0]
    error = draws.mean(1).std(0) / 8**0.5
    assert ((draws.mean((0, 1)) - exact(made)).abs() < 5 * error + 0.005).all()
    assert posterior.draws["h"].shape == (8, 1500, 3, 1)


def test_the_density_that_is_kept_is_that_of_the_draw() -> None:
    made = machine()
    posterior = Gibbs(discrete="layers", num_warmup=0, num_samples=5, progress=False).run(made, size=1)
    x, h = (posterior.draws[n].double().flatten(0, 1) for n in ("x", "h"))
    x, h = x[:, 0], h[..., 0]
    weight, visible, hidden = (p.detach().double() for p in (made.weight, made.visible_bias, made.hidden_bias))
    expected = x @ visible + h @ hidden + ((x @ weight) * h).sum(1)
    assert posterior.stats["lp"].flatten() == pytest.approx(expected, abs=1e-4)


def test_chain_0_is_the_same_among_more() -> None:
    one, three = (
        Gibbs(discrete="layers", num_chains=n, num_warmup=3, num_samples=20, progress=False).run(machine(), size=1) for n in (1, 3)
    )
    assert all(torch.equal(one.draws[n], three.draws[n][:1]) for n in one.draws)
