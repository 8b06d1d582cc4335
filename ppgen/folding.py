"""Repeated slices of a graph as one: `z_0, z_1, ...` of a loop over time becomes `z` with an edge to the next."""

import re
from collections import defaultdict
from collections.abc import Mapping
from itertools import product
from typing import Any, NamedTuple

import networkx as nx

__all__ = ["Chain", "chains_of", "fold", "unrolled"]

SHORTEST = 3  # slices; two of a kind are no pattern
NUMBERED = re.compile(r"(?P<stem>.*?)[_\[(]?(?P<number>\d+)[\])]?")


class Chain(NamedTuple):
    """One repeated site: its names by number, and how it depends on others.

    parents   (name or stem, lag): what every slice but the first `order` depends on; lag is None outside of the slices
    order     the largest lag
    """

    stem: str
    names: dict[int, str]
    parents: frozenset[tuple[str, int | None]]
    order: int


def chains_of(graph: nx.DiGraph) -> list[Chain]:
    """Sites that a loop made: numbered without a gap, of one kind, every slice depending on the same things."""
    numbered: dict[str, dict[int, str]] = defaultdict(dict)
    for name, node in graph.nodes.items():
        match = NUMBERED.fullmatch(str(name))
        if match and match["stem"] and node["kind"] not in ("constant", "parameter"):
            numbered[match["stem"]][int(match["number"])] = name
    groups = {stem: names for stem, names in numbered.items() if stem not in graph and _regular(graph, names)}
    while True:  # a site that does not repeat takes along those whose slices depend on its numbers
        found = {stem: _chain(graph, stem, groups) for stem in groups}
        if all(found.values()):
            return [chain for chain in found.values() if chain is not None]
        groups = {stem: names for stem, names in groups.items() if found[stem] is not None}


def _regular(graph: nx.DiGraph, names: Mapping[int, str]) -> bool:
    first = min(names)
    looks = {(graph.nodes[n]["kind"], graph.nodes[n]["plates"], graph.nodes[n]["shape"]) for n in names.values()}
    return len(names) >= SHORTEST and sorted(names) == list(range(first, first + len(names))) and len(looks) == 1


def _chain(graph: nx.DiGraph, stem: str, groups: Mapping[str, Mapping[int, str]]) -> Chain | None:
    """None where slices depend on different things."""
    number_of = {name: (s, i) for s, names in groups.items() for i, name in names.items()}
    names = dict(groups[stem])
    patterns: dict[int, frozenset[tuple[str, int | None]]] = {}
    for i, name in names.items():
        parents: set[tuple[str, int | None]] = set()
        for p in graph.predecessors(name):
            if p in number_of:
                other, j = number_of[p]
                parents.add((other, i - j))
            elif not _own(graph, p):
                parents.add((p, None))
        patterns[i] = frozenset(parents)
    last = patterns[max(names)]
    order = max((lag for _, lag in last if lag is not None), default=0)
    settled = [patterns[i] for i in sorted(names)[order:]]
    if len(settled) < 2 or any(p != last for p in settled) or any(lag is not None and lag < 0 for _, lag in last):
        return None
    return Chain(stem, names, last, order)


def _own(graph: nx.DiGraph, name: str) -> bool:
    """A fixed number of one distribution, which has no name of its own."""
    return "value" in graph.nodes[name]


def fold(graph: Any) -> Any:
    """The graph with every chain as one node in a plate of its slices; an edge to a later slice has its `lag`.

    `graph["slices"]` of the result maps each folded node to the names that it stands for, `graph["unrolled"]` is the graph before.
    """
    chains = {c.stem: c for c in chains_of(graph)}
    folded = graph.copy()
    folded.graph.update(unrolled=graph, slices={c.stem: list(c.names.values()) for c in chains.values()})
    folded.graph["plates"] = dict(graph.graph["plates"])
    gone = {n for c in chains.values() for n in c.names.values()}
    plates = _plates_of(chains, folded.graph["plates"])
    for chain in chains.values():
        typical = graph.nodes[chain.names[max(chain.names)]]
        around = (plates[chain.stem], *typical["plates"])
        folded.add_node(chain.stem, **{**typical, "plates": around, "arguments": _as_slices(typical["arguments"], chain, chains)})
    for chain in chains.values():
        for parent, lag in chain.parents:
            folded.add_edge(parent, chain.stem, **({"lag": lag, "over": plates[chain.stem]} if lag else {}))
        for name in chain.names.values():
            folded.add_edges_from((chain.stem, child) for child in graph.successors(name) if child not in gone)
    orphans = {p for n in gone for p in graph.predecessors(n) if _own(graph, p) and set(graph.successors(p)) <= gone}
    folded.remove_nodes_from(gone | orphans)
    return folded


def unrolled(graph: Any) -> tuple[nx.DiGraph, dict[str, list[Any]]]:
    """A graph without cycles in which nodes inside of a plate that some edge goes along stand once for each of SHORTEST indices (or as
    many as there are), and these by the name of the node: enough to see what depends on what."""
    times = {d["over"] for _, _, d in graph.edges(data=True) if d.get("lag")}
    if not times:
        return graph, {}
    plates = graph.graph["plates"]

    def places(name: str) -> list[dict[str, int]]:
        own = [p for p in graph.nodes[name]["plates"] if p in times]
        return [dict(zip(own, at, strict=True)) for at in product(*[range(min(plates[p]["size"], SHORTEST)) for p in own])]

    def copy(name: str, at: Mapping[str, int]) -> Any:
        return (name, *at.values()) if at else name

    flat = nx.DiGraph()
    flat.add_nodes_from(copy(n, at) for n in graph for at in places(n))
    for start, end, data in graph.edges(data=True):
        for a, b in product(places(start), places(end)):
            lag = {data["over"]: data["lag"]} if data.get("lag") else {}
            if all(b[p] - a[p] == lag.get(p, 0) for p in a.keys() & b.keys()):
                flat.add_edge(copy(start, a), copy(end, b))
    return flat, {n: [copy(n, at) for at in places(n)] for n in graph}


def _plates_of(chains: Mapping[str, Chain], plates: dict[str, Any]) -> dict[str, str]:
    """Each chain's plate of slices, added to the plates that there are. Chains that depend on each other are of one loop."""
    linked = nx.Graph((c.stem, parent) for c in chains.values() for parent, _ in c.parents if parent in chains)
    linked.add_nodes_from(chains)
    found: dict[str, str] = {}
    for loop in nx.connected_components(linked):
        name = next(n for n in ("t", "s", *(f"t{i}" for i in range(len(chains) + 1))) if n not in plates)
        size = max(len(chains[stem].names) for stem in loop)
        plates[name] = {"size": size, "subsample_size": size, "dim": 0}
        found |= dict.fromkeys(loop, name)
    return found


def _as_slices(arguments: Mapping[str, str], chain: Chain, chains: Mapping[str, Chain]) -> dict[str, str]:
    """Formulas of the last slice with `z_7` as z[t], `z_6` as z[t-1]."""
    last = max(chain.names)
    lags = {name: (c.stem, last - i) for c in chains.values() for i, name in c.names.items()}
    numbered = re.compile("|".join(rf"\b{re.escape(n)}\b" for n in sorted(lags, key=len, reverse=True)))

    def slice_of(match: re.Match[str]) -> str:
        stem, lag = lags[match[0]]
        return f"{stem}[t-{lag}]" if lag else f"{stem}[t]"

    return {k: numbered.sub(slice_of, text) for k, text in arguments.items()}
