"""In which order to sum out sites so that the tables in between stay small.

Finding the best order is NP-hard; greedy rules come near it on the graphs that people draw. Several are tried, and the order with the
least work is taken: planning happens once, elimination many times.

Source: Kjaerulff, Triangulation of graphs, algorithms giving small total state space, Aalborg University R-90-09, 1990.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

__all__ = ["cheapest_order"]

Graph = dict[str, set[str]]
Rule = Callable[[Graph, Mapping[str, float], str], float]


def cheapest_order(tables: Sequence[Collection[str]], sites: Collection[str], sizes: Mapping[str, int]) -> list[str]:
    """Sites in the order in which to sum them out of the product of tables, each given by the names of its dimensions.

    Names that are no sites stay: their sizes count, too. The order depends on names and sizes alone.
    """
    if len(sites) < 2:
        return list(sites)
    logs = {d: math.log(sizes[d]) for t in tables for d in t}
    graph: Graph = {d: set() for d in logs}
    for t in tables:
        for d in t:
            graph[d].update(t)
    for d, near in graph.items():
        near.discard(d)
    tried = [_greedy({d: set(near) for d, near in graph.items()}, set(sites), logs, rule) for rule in (_weight, _fill, _gain)]
    return min(tried, key=lambda order: order[1])[0]


def _greedy(graph: Graph, left: set[str], logs: Mapping[str, float], rule: Rule) -> tuple[list[str], float]:
    """An order, and the log of the number of cells in all its products."""
    cost = {v: (rule(graph, logs, v), _weight(graph, logs, v), v) for v in left}
    order, work = [], -math.inf
    while cost:
        best = min(cost.values())
        site = best[2]
        order.append(site)
        work = _log_add(work, best[1])
        for v in _remove(graph, site):
            if v in cost:
                cost[v] = (rule(graph, logs, v), _weight(graph, logs, v), v)
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


def _weight(graph: Graph, logs: Mapping[str, float], v: str) -> float:
    """Log of the number of cells of the product that summing v out takes."""
    return logs[v] + sum(logs[u] for u in graph[v])


def _missing(graph: Graph, v: str) -> Iterator[tuple[str, str]]:
    near = sorted(graph[v])
    for i, a in enumerate(near):
        known = graph[a]
        for b in near[i + 1 :]:
            if b not in known:
                yield a, b


def _fill(graph: Graph, logs: Mapping[str, float], v: str) -> float:
    """Edges that summing v out adds, each by its number of cells."""
    return sum(math.exp(logs[a] + logs[b]) for a, b in _missing(graph, v))


def _gain(graph: Graph, logs: Mapping[str, float], v: str) -> float:
    """Cells of the product per value of v, against those that the tables which meet there have anyway."""
    return _weight(graph, logs, v) - math.log1p(sum(math.exp(logs[a] + logs[v]) for a in graph[v]))


def _log_add(a: float, b: float) -> float:
    top = max(a, b)
    return top + math.log(math.exp(a - top) + math.exp(b - top))
