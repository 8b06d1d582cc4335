"""Block models for the contract suites: graphs of a few nodes, whose labelings can all be gone through."""

import networkx as nx
import torch

from ppgen.models import StochasticBlockModel
from tests.contracts.cases import Case

__all__ = ["CASES", "TWO_TRIANGLES", "TWO_WAYS"]

TWO_TRIANGLES = nx.Graph([("a", "b"), ("b", "c"), ("a", "c"), ("c", "d"), ("d", "e"), ("e", "f"), ("d", "f"), ("f", "g"), ("g", "h")])
TWO_WAYS = nx.DiGraph([(0, 1), (1, 0), (0, 2), (1, 2), (3, 0), (3, 4), (4, 3), (2, 4), (1, 3), (4, 5), (5, 6), (6, 5)])
EDGES = "weights -> community -> graph, blocks -> graph"
PLATES = {"nodes": "community", "pairs": "blocks"}


def _bad() -> list[tuple[object, str]]:
    loop, stranger, weighted, none = (TWO_TRIANGLES.copy() for _ in range(4))
    loop.add_edge("c", "c")
    stranger.add_edge("a", "Zoe")
    weighted.add_edge("a", "b", weight=3)
    none.clear_edges()
    rows = torch.tensor([[0, 1], [2, 2], [3, 4]])
    return [
        (loop, "'c' has an edge to itself"),
        (none, "8 nodes and no edge"),
        (stranger, "'Zoe' is not one of the 8 nodes"),
        (weighted, r"\('a', 'b'\) has weight 3.*poisson"),
        (nx.DiGraph(TWO_TRIANGLES), "directed"),
        (rows, "'c' has an edge to itself"),
        (torch.tensor([[0, 1], [1, 2], [1, 0]]), r"\('a', 'b'\) comes more than once"),
        (torch.tensor([[0, 1], [1, 8]]), "row 1.*8 nodes"),
        (torch.tensor([[0.0, 1.0], [1.5, 2.0]]), r"row 1.*numbered"),
        (torch.tensor([[0.0, torch.nan]]), r"row 0.*numbered"),
        (torch.tensor([0, 1, 2]), r"\(E, 2\)"),
        ([[0, 1]], "networkx graph or a tensor"),
    ]


CASES = {
    "bernoulli": Case(StochasticBlockModel(2, like=TWO_TRIANGLES), TWO_TRIANGLES, edges=EDGES, plates=PLATES, bad=_bad()),
    "degree-corrected": Case(StochasticBlockModel(2, like=TWO_TRIANGLES, degree_corrected=True), TWO_TRIANGLES, bad=_bad()[:3]),
    "directed": Case(StochasticBlockModel(2, like=TWO_WAYS, directed=True), TWO_WAYS, bad=[(TWO_WAYS.to_undirected(), "undirected")]),
}
