"""Spins of a triangle and a pair for the contract suites."""

import networkx as nx
import torch

from ppgen.models import Ising
from tests.contracts.cases import Case

GRAPH = nx.Graph([("a", "b"), ("b", "c"), ("c", "a"), ("d", "e")])
SPINS = 2.0 * torch.randint(2, (8, 5), generator=torch.Generator().manual_seed(0)) - 1.0

CASES = {
    "five spins": Case(
        Ising(GRAPH, coupling=torch.tensor([0.5, -1.0, 0.8, 1.5]), field=0.3, inverse_temperature=0.7),
        SPINS,
        edges="x -> energy",
        plates={"data": "x energy"},
    )
}
