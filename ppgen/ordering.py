"""In which order to sum out sites so that the tables in between stay small.

Finding the best order is NP-hard; greedy rules come near it on the graphs that people draw. Several are tried, and the order with the
least work is taken: planning happens once, elimination many times.

Source: Kjaerulff, Triangulation of graphs, algorithms giving small total state space, Aalborg University R-90-09, 1990.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

__all__ = ["cheapest_order"]

SMALL, HOPELESS = 2**12, 2**42  # cells in all, below and above which no other rule is tried

Graph = dict[str, set[str]]
Rule = Callable[[Graph, Mapping[str, int], str], float]


def cheapest_order(tables: Sequence[Collection[str]], sites: Collection[str], sizes: Mapping[str, int]) -> list[str]:
    """Sites in the order in which to sum them out of the product of tables, each given by the names of its dimensions.

    Names that are no sites stay: their sizes count, too. The order depends on names and sizes alone.
    """
    if len(sites) < 2:
        return list(sites)
    graph: Graph = {d: set() for t in tables for d in t}
    for t in tables:
        for d in t:
            graph[d].update(t)
    for d, near in graph.items():
        near.discard(d)
    order, work = _greedy(graph, sites, sizes, _weight)
    for rule in (_fill, _gain):
        if SMALL < work < HOPELESS:
            order, work = min((order, work), _greedy(graph, sites, sizes, rule), key=lambda tried: tried[1])
    return order


def _greedy(graph: Graph, sites: Collection[str], sizes: Mapping[str, int], rule: Rule) -> tuple[list[str], int]:
    """An order, and the number of cells in all its products."""
    graph = {d: set(near) for d, near in graph.items()}
    cost = {v: (rule(graph, sizes, v), _weight(graph, sizes, v), v) for v in sites}
    order, work = [], 0
    while cost:
        best = min(cost.values())
        site = best[2]
        order.append(site)
        work += best[1]
        for v in _remove(graph, site):
            if v in cost:
                cost[v] = (rule(graph, sizes, v), _weight(graph, sizes, v), v)
        del cost[site]
    return order, work


def _remove(graph: Graph, site: str) -> set[str]:
    """Sum a site out: its neighbours now meet in one table. -> those whose neighbourhood, or the edges within, changed."""
    near = graph.pop(site)
    changed = set(near)
    for v in near:
        new = near - graph[v]
        new.discard(v)
        graph[v].discard(site)
        for u in new:
            changed |= graph[v] & graph[u]  # who sees both ends of a new edge
        graph[v] |= new
    return changed


def _weight(graph: Graph, sizes: Mapping[str, int], v: str) -> int:
    """Cells of the product that summing v out takes. Whole numbers: sums over sets must not depend on their order."""
    return sizes[v] * math.prod(sizes[u] for u in graph[v])


def _missing(graph: Graph, v: str) -> Iterator[tuple[str, str]]:
    near = sorted(graph[v])
    for i, a in enumerate(near):
        known = graph[a]
        for b in near[i + 1 :]:
            if b not in known:
                yield a, b


def _fill(graph: Graph, sizes: Mapping[str, int], v: str) -> int:
    """Edges that summing v out adds, each by its number of cells."""
    return sum(sizes[a] * sizes[b] for a, b in _missing(graph, v))


def _gain(graph: Graph, sizes: Mapping[str, int], v: str) -> float:
    """Cells of the product against those of the edges that meet there anyway, as a logarithm."""
    return math.log(_weight(graph, sizes, v)) - math.log(1 + sizes[v] * sum(sizes[a] for a in graph[v]))
