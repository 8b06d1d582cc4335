"""Graphs as families take them: of networkx, or a tensor of edges. What does not fit is refused by node, edge or row."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import networkx as nx
import numpy as np
import torch
from torch import Tensor

from ..errors import DataError

__all__ = ["ABSENT", "Network", "read_network"]

ABSENT = -1  # in both columns of a row that stands for no edge: graphs of unequal size fill one tensor


class Network(NamedTuple):
    """A graph without self-loops, of at least one edge.

    edges   (E, 2) node numbers, from and to; undirected: the smaller number first. A pair with several edges comes several times
    nodes   labels in the order of their numbers
    """

    edges: Tensor
    nodes: tuple[Any, ...]


def read_network(
    x: Any, *, directed: bool, multiple: bool, weight: str | None, nodes: Sequence[Any] | None = None, num_nodes: int | None = None
) -> Network:
    """x: a networkx graph, or whole numbers (E, 2) from 0 on.

    multiple   a pair may have several edges; weight: the edge attribute of networkx that says how many, None is one each
    nodes      the labels that there are; otherwise those of the graph, or `num_nodes` numbers (None: up to the largest)

    Raises DataError, naming the culprit.
    """
    if isinstance(x, nx.Graph):
        _check_directed(x, directed)
        pairs, known = _of_networkx(x, multiple, weight, nodes)
    elif isinstance(x, Tensor):
        pairs, known = _of_tensor(x, nodes, num_nodes)
    else:
        raise DataError(f"x must be a networkx graph or a tensor of edges, (E, 2) node numbers; got {type(x).__name__}")
    if not len(pairs):
        raise DataError(f"the graph has {len(known)} nodes and no edge; a block model needs at least one")
    if len(loops := (pairs[:, 0] == pairs[:, 1]).nonzero()):
        raise DataError(f"node {known[int(pairs[loops[0, 0], 0])]!r} has an edge to itself; drop self-loops: this model has none")
    edges = pairs if directed else pairs.sort(1).values
    if not multiple:
        _check_simple(edges, known)
    return Network(edges, known)


def _check_directed(graph: nx.Graph, directed: bool) -> None:
    if graph.is_directed() and not directed:
        raise DataError("the graph is directed and the model is not; give the model directed=True, or the graph as to_undirected()")
    if directed and not graph.is_directed():
        raise DataError("the graph is undirected and the model has directed=True; leave that out, or give the graph as to_directed()")


def _of_networkx(graph: nx.Graph, multiple: bool, weight: str | None, nodes: Sequence[Any] | None) -> tuple[Tensor, tuple[Any, ...]]:
    known = tuple(graph) if nodes is None else tuple(nodes)
    number = {n: i for i, n in enumerate(known)}
    if strangers := [n for n in graph if n not in number]:
        raise DataError(f"node {strangers[0]!r} is not one of the {len(known)} nodes that the model was made for (like=)")
    pairs = [(number[a], number[b]) for a, b in graph.edges()]
    edges = torch.tensor(pairs, dtype=torch.long).reshape(-1, 2)
    if weight is None or not any(weight in d for _, _, d in graph.edges(data=True)):
        return edges, known
    counts = [_count(a, b, c, multiple, weight) for a, b, c in graph.edges(data=weight, default=1)]
    return edges.repeat_interleave(torch.tensor(counts), 0), known


def _count(a: Any, b: Any, weight: Any, multiple: bool, name: str) -> int:
    """How many edges an edge of some weight stands for."""
    if not multiple and weight != 1:
        raise DataError(
            f"edge ({a!r}, {b!r}) has {name} {weight!r}: with kind='bernoulli' two nodes have one edge or none; take kind='poisson', or "
            f"weight=None to leave weights aside"
        )
    if not (isinstance(weight, int | float | np.number) and 0 <= weight < math.inf and weight == int(weight)):
        raise DataError(f"edge ({a!r}, {b!r}) has {name} {weight!r}, which is no number of edges; weight=None leaves weights aside")
    return int(weight)


def _of_tensor(x: Tensor, nodes: Sequence[Any] | None, num_nodes: int | None) -> tuple[Tensor, tuple[Any, ...]]:
    if x.dim() != 2 or x.shape[1] != 2:
        raise DataError(f"a tensor of edges has shape (E, 2), from and to; got {tuple(x.shape)}")
    if x.dtype in (torch.bool, torch.complex64, torch.complex128):
        raise DataError(f"a tensor of edges holds the numbers of nodes, got {x.dtype}")
    x = x[~(x == ABSENT).all(1)]
    if len(wrong := (~(x.isfinite() & (x >= 0) & (x == x.trunc())).all(1)).nonzero()):
        row = int(wrong[0, 0])
        raise DataError(f"row {row} of the edges is {x[row].tolist()}; nodes are numbered 0, 1, 2, ...")
    edges = x.long()
    known = tuple(nodes) if nodes is not None else tuple(range(num_nodes or (int(edges.max()) + 1 if len(edges) else 0)))
    if len(wrong := (edges >= len(known)).any(1).nonzero()):
        row = int(wrong[0, 0])
        raise DataError(f"row {row} of the edges is {edges[row].tolist()}; there are {len(known)} nodes, numbered from 0")
    return edges, known


def _check_simple(edges: Tensor, known: Sequence[Any]) -> None:
    keys = (edges[:, 0] * len(known) + edges[:, 1]).sort().values
    if len(twice := (keys[1:] == keys[:-1]).nonzero()):
        a, b = divmod(int(keys[twice[0, 0]]), len(known))
        raise DataError(
            f"edge ({known[a]!r}, {known[b]!r}) comes more than once: with kind='bernoulli' two nodes have one edge or none; take "
            "kind='poisson', or drop repeats (an undirected edge is one row, not one for each direction)"
        )
