"""A chain in the three views: an edge from each slice to the next, drawn once."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from ppgen import DiscreteChain, Structure, diagram, formula, structure

X = torch.linspace(-2.0, 3.0, 10).reshape(2, 5)


def hidden(x: Tensor) -> None:
    initial = pyro.sample("initial", dist.Dirichlet(torch.ones(3)))
    with pyro.plate("states", 3, dim=-1):
        transition = pyro.sample("transition", dist.Dirichlet(torch.ones(3)))
        loc = pyro.sample("loc", dist.Normal(0.0, 2.0))
    with pyro.plate("sequences", x.shape[0], dim=-2), pyro.plate("time", x.shape[1], dim=-1):
        state = pyro.sample("state", DiscreteChain(initial, transition))
        pyro.sample("x", dist.Normal(loc[state], 1.0), obs=x)


@pytest.fixture
def graph() -> Structure:
    return structure(hidden, X)


def test_an_edge_to_the_next_slice(graph: Structure) -> None:
    between = {(u, v) for u, v in graph.edges if "value" not in graph.nodes[u]}
    assert between == {("initial", "state"), ("transition", "state"), ("loc", "x"), ("state", "state"), ("state", "x")}
    assert graph.edges["state", "state"] == {"lag": 1, "over": "time"}
    assert graph.nodes["state"]["plates"] == ("sequences", "time")
    assert ("state", "state") not in structure(hidden, X[:, :1]).edges


def test_formula(graph: Structure) -> None:
    text = formula(graph).text
    assert text.endswith("prod_{s, t} p(state_s,t | initial, transition, state_s,t-1) p(x_s,t | loc, state_s,t)")
    assert r"\mathrm{state}_{s,t-1}" in formula(graph).latex


def test_the_slice_is_drawn_once(graph: Structure) -> None:
    dot = diagram(graph).dot
    assert dot.count('"state" -> "state" [') == 1
    assert 'label="  t-1"' in dot
    assert "<svg" in diagram(graph).svg


def test_independence_is_that_of_the_unrolled_graph(graph: Structure) -> None:
    assert graph.d_separated("x", "initial", "state")
    assert not graph.d_separated("x", "initial")
    assert graph.d_separated("initial", "transition")
    assert not graph.d_separated("initial", "transition", "x")
    assert graph.do("state").d_separated("x", "initial")
    assert graph.ancestors("x") >= {"state", "transition", "loc"}


def test_do_on_a_folded_loop() -> None:
    def loop(x: Tensor) -> None:
        stay = pyro.sample("stay", dist.Beta(1.0, 1.0))
        z = torch.zeros(())
        for t in range(4):
            z = pyro.sample(f"z_{t}", dist.Normal(stay * z, 1.0))
            pyro.sample(f"x_{t}", dist.Normal(z, 1.0), obs=x[t])

    folded = structure(loop, X[0]).folded()
    assert not folded.d_separated("x", "stay")
    assert folded.do("z").d_separated("x", "stay")
