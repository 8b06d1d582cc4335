"""What a graph says of dependence is so: added or removed, it is seen, however it is written; independence that it reads off holds in
samples of random programs."""

import itertools
from collections.abc import Callable

import networkx as nx
import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import stats
from torch import Tensor

from ppgen import diagram, sample, structure
from ppgen.graph import Structure

Y = 40.0 + torch.arange(5.0)
DRAWS = 4000


# One dependence more, or less


def plain(a: Tensor, b: Tensor, more: bool) -> Tensor:
    return a + b if more else a + 1.0


def in_place(a: Tensor, b: Tensor, more: bool) -> Tensor:
    mean = a.clone()
    return mean.add_(b) if more else mean.add_(1.0)


def into_a_buffer(a: Tensor, b: Tensor, more: bool) -> Tensor:
    mean = torch.empty(())
    return torch.add(a, b if more else torch.tensor(1.0), out=mean)


def by_vmap(a: Tensor, b: Tensor, more: bool) -> Tensor:
    return torch.vmap(lambda shift: a + (b * shift if more else shift))(torch.arange(1.0, 6.0))


def by_control_flow(a: Tensor, b: Tensor, more: bool) -> Tensor:
    return a + 1.0 if more and b > 0 else a - 1.0


def between_sites(graph: Structure) -> set[tuple[str, str]]:
    """Edges, without those of fixed numbers."""
    return {(u, v) for u, v in graph.edges if graph.nodes[u]["kind"] != "constant"}


WAYS = [plain, in_place, into_a_buffer, by_vmap, by_control_flow]


def told(way: Callable[[Tensor, Tensor, bool], Tensor], more: bool, kind: str) -> Callable[[], None]:
    """A program in which `b` enters `y`, or does not: two sites, sites of two levels, or a chain."""

    def two() -> None:
        a, b = pyro.sample("a", dist.Normal(40.0, 5.0)), pyro.sample("b", dist.Normal(2.0, 1.0))
        with pyro.plate("data", 5):
            pyro.sample("y", dist.Normal(way(a, b, more), 3.0), obs=Y)

    def levels() -> None:
        top = pyro.sample("top", dist.Normal(40.0, 5.0))
        a, b = pyro.sample("a", dist.Normal(top, 5.0)), pyro.sample("b", dist.Normal(2.0, 1.0))
        scale = pyro.sample("scale", dist.HalfNormal(5.0))
        with pyro.plate("data", 5):
            pyro.sample("y", dist.Normal(way(a, b, more), scale), obs=Y)

    def chain() -> None:
        b = pyro.sample("b", dist.Normal(2.0, 1.0))
        a = pyro.sample("a", dist.Normal(10.0 * b, 5.0))
        with pyro.plate("data", 5):
            pyro.sample("y", dist.Normal(way(a, b, more), 3.0), obs=Y)

    return {"two": two, "levels": levels, "chain": chain}[kind]


@pytest.mark.parametrize("kind", ["two", "levels", "chain"])
@pytest.mark.parametrize("way", WAYS)
def test_one_dependence_more_or_less_is_seen(way: Callable[[Tensor, Tensor, bool], Tensor], kind: str) -> None:
    with_it, without = (structure(told(way, more, kind)) for more in (True, False))
    assert between_sites(with_it) - between_sites(without) == {("b", "y")}
    assert between_sites(without) < between_sites(with_it)
    arrows = [diagram(graph).dot.count('"b" -> "y"') for graph in (with_it, without)]
    assert arrows == [1, 0]


def test_names_of_variables_have_no_say() -> None:
    def one() -> None:
        loc = pyro.sample("loc", dist.Normal(40.0, 5.0))
        spread = 2.0 * loc.abs()
        with pyro.plate("data", 5) as rows:
            pyro.sample("y", dist.Normal(loc, spread), obs=Y[rows])

    def other() -> None:
        middle = pyro.sample("loc", dist.Normal(40.0, 5.0))
        width = 2.0 * middle.abs()
        with pyro.plate("data", 5) as i:
            pyro.sample("y", dist.Normal(middle, width), obs=Y[i])

    assert diagram(one).json == diagram(other).json
    assert diagram(one).svg == diagram(other).svg


# Independence in numbers


def random_graph(rng: np.random.Generator, size: int = 5) -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_nodes_from(range(size))
    graph.add_edges_from((i, j) for i, j in itertools.combinations(range(size), 2) if rng.random() < 0.45)
    return graph


def linear(graph: nx.DiGraph, rng: np.random.Generator) -> Callable[[], None]:
    weights = {edge: float(rng.choice([-1, 1]) * rng.uniform(0.6, 1.5)) for edge in graph.edges}

    def program() -> None:
        values: dict[int, Tensor] = {}
        for n in graph:
            mean = sum((weights[p, n] * values[p] for p in graph.predecessors(n)), torch.zeros(()))
            values[n] = pyro.sample(f"x{n}", dist.Normal(mean, 1.0))

    return program


def discrete(graph: nx.DiGraph, rng: np.random.Generator) -> Callable[[], None]:
    tables = {n: torch.tensor(rng.uniform(0.1, 0.9, [2] * graph.in_degree(n)), dtype=torch.float32) for n in graph}

    def program() -> None:
        values: dict[int, Tensor] = {}
        for n in graph:
            probability = tables[n][tuple(values[p].long() for p in graph.predecessors(n))] if graph.in_degree(n) else tables[n]
            values[n] = pyro.sample(f"x{n}", dist.Bernoulli(probability))

    return program


def partial_correlation(x: np.ndarray, a: int, b: int, given: list[int]) -> float:
    """p-value of none, by Fisher's z."""
    precision = np.linalg.inv(np.cov(x[:, [a, b, *given]].T))
    r = -precision[0, 1] / np.sqrt(precision[0, 0] * precision[1, 1])
    return float(2 * stats.norm.sf(abs(np.arctanh(r)) * np.sqrt(len(x) - len(given) - 3)))


def within_strata(x: np.ndarray, a: int, b: int, given: list[int]) -> float:
    """p-value of no association inside any stratum: squared correlations are chi-square."""
    total, strata = 0.0, 0
    for values in itertools.product((0, 1), repeat=len(given)):
        some = x[(x[:, given] == values).all(1)]
        if len(some) > 30 and 0 < some[:, a].mean() < 1 and 0 < some[:, b].mean() < 1:
            total += len(some) * np.corrcoef(some[:, a], some[:, b])[0, 1] ** 2
            strata += 1
    return float(stats.chi2.sf(total, strata)) if strata else 1.0


@pytest.mark.parametrize(("law", "p_value"), [(linear, partial_correlation), (discrete, within_strata)])
def test_what_d_separation_says_holds_in_samples(law: Callable[..., Callable[[], None]], p_value: Callable[..., float]) -> None:
    """Of 25 random programs each: no independence is refuted, and most dependence that is possible is found."""
    rng = np.random.default_rng(0)
    independent, dependent = [], []
    for seed in range(25):
        graph = random_graph(rng)
        program = law(graph, rng)
        read = structure(program)
        assert between_sites(read) == {(f"x{a}", f"x{b}") for a, b in graph.edges}
        drawn = sample(program, DRAWS, seed=seed)
        x = np.stack([drawn[f"x{n}"].double().numpy() for n in graph], 1)
        for a, b in itertools.combinations(graph, 2):
            rest = [n for n in graph if n not in (a, b)]
            given = sorted(rng.choice(rest, size=int(rng.integers(0, 3)), replace=False).tolist())
            separated = read.d_separated(f"x{a}", f"x{b}", [f"x{n}" for n in given])
            (independent if separated else dependent).append(p_value(x, a, b, given))
    assert len(independent) > 40
    assert len(dependent) > 40
    assert min(independent) > 1e-5
    assert np.mean(np.array(dependent) < 1e-3) > 0.75
