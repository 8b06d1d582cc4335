"""`structure`: from a program to the directed graph of its sites, by recording it once.

A program that cannot be recorded is run instead, once for every value that is changed; slicing.py says how edges are found.
"""

from collections.abc import Callable, Iterable
from typing import Any, cast

import networkx as nx
import torch

from .errors import NameNotFoundError, RecordingError
from .folding import fold, unrolled
from .program import Program
from .slicing import ByRunning, Slicing

__all__ = ["Structure", "structure"]


class Structure(nx.DiGraph):
    """The graph of a program: one node per sample site, per parameter (a network counts as one), per argument and per fixed number
    that enters a distribution; an edge where a distribution, or a deterministic value, depends directly on a value.

    Every node has
    kind           latent, observed, conditioned, deterministic, factor, parameter or constant
    plates         names, outermost first
    shape          of the value, batch dimensions first
    and sample sites also
    distribution   its name; arguments: name -> formula; support: as text
    local          inside the data plate; discrete: a discrete law
    and fixed numbers without a name of their own
    value          as text

    An edge from one index of a plate to a later one has a `lag`, and `over` names the plate: a DiscreteChain depends on itself so.

    `graph["plates"]` maps a plate's name to its size, subsample_size and dim (from the right). `graph["recorded"]` is False where
    the program was run instead, and `graph["reason"]` says why.
    """

    @property
    def plates(self) -> dict[str, dict[str, int]]:
        return self.graph["plates"]

    def of_kind(self, *kinds: str) -> list[str]:
        """Names of the nodes of some kinds, in program order."""
        return [n for n, d in self.nodes.items() if d["kind"] in kinds]

    def parents(self, name: str) -> set[str]:
        return set(self.predecessors(self._known(name)))

    def ancestors(self, name: str) -> set[str]:
        """All nodes that it depends on, directly or not; of a folded node, in other slices too."""
        return nx.ancestors(self, self._known(name))

    def markov_blanket(self, name: str) -> set[str]:
        """Parents, children and the children's other parents: given these, a node is independent of all others."""
        children = set(self.successors(self._known(name)))
        return (self.parents(name) | children | {p for c in children for p in self.predecessors(c)}) - {name}

    def d_separated(self, a: str | Iterable[str], b: str | Iterable[str], given: str | Iterable[str] = ()) -> bool:
        """Whether two sets of nodes are independent given a third in every distribution with this graph; a node that stands for several
        slices, of a loop or of a chain, stands for all of them."""
        sets = [self._slices([x] if isinstance(x, str) else x) for x in (a, b, given)]
        graph, copies = unrolled(self.graph.get("unrolled", self))
        return nx.is_d_separator(graph, *[{m for n in names for m in copies.get(n, [n])} for names in sets])

    def _slices(self, names: Iterable[str]) -> set[str]:
        slices = self.graph.get("slices", {})
        return {m for n in names for m in slices.get(self._known(n), [n])}

    def do(self, *names: str) -> "Structure":
        """The graph after these nodes were set from outside: what pointed to them does so no longer, and formulas have do(name) where
        they stand."""
        other = self.copy()
        for name in names:
            other.remove_edges_from(list(self.in_edges(self._known(name))))
            other.nodes[name]["done"] = True
        if "unrolled" in self.graph:
            other.graph["unrolled"] = self.graph["unrolled"].do(*self._slices(names))
        return other

    def folded(self) -> "Structure":
        """Repeated slices (`z_0, z_1, ...` of a loop) as one: a node in a plate of the slices, whose edges to later slices have a
        `lag`. `graph["slices"]` says which names a node stands for."""
        return cast("Structure", fold(self))

    def _known(self, name: str) -> str:
        if name not in self:
            raise NameNotFoundError(f"no node named {name!r}; there are {', '.join(map(str, self))}")
        return name


def structure(program: Callable[..., Any] | Program, *args: Any, **kwargs: Any) -> Structure:
    """The graph of a program (a function, a module, a Family, a Family's `guide`) given its arguments.

    Raises what Program raises.
    """
    method: str | None = None
    owner = getattr(program, "__self__", None)
    if isinstance(owner, torch.nn.Module):  # `family.guide`
        method, program = program.__name__, owner
    p = Program.of(program, *args, **kwargs)
    for wide in (True, False):
        try:
            Slicing(p, method, graph := Structure(), wide).fill()
        except RecordingError as error:
            reason = str(error)
        else:
            return graph
    ByRunning(p, method, graph := Structure(), reason).fill()
    return graph
