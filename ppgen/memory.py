"""What is read out of memory that a program has written element by element is what it has written.

    v = torch.zeros(T)
    for t in range(1, T):
        v[t] = f(v[t - 1])

Recorded, every write makes a new state of all the memory (index_put) and every read goes over one. Followed element by element, the
read of v[t - 1] is the value written the step before, and the whole v is all of them, stacked.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .straightline import Graph, Node, Nodes, collector_paused, cut, mapped

__all__ = ["followed"]

aten = torch.ops.aten
PLACES = 2**40  # more than any tensor has elements: a cell is source * PLACES + place in it
MOVES = {
    aten.select.int, aten.slice.Tensor, aten.view.default, aten.reshape.default, aten.permute.default, aten.transpose.int,
    aten.t.default, aten.unsqueeze.default, aten.squeeze.dim, aten.expand.default, aten.clone.default, aten.index.Tensor,
    aten.alias.default, aten.detach.default,
}  # fmt: skip
LEAST = 8  # writes
FEW = 8  # pieces


@collector_paused()
def followed(graph: Graph) -> Graph:
    """The same values without the memory that they went through; the graph itself where little is written."""
    if sum(n.target is aten.index_put.default for n in graph.nodes) < LEAST:
        return graph
    return _Following(graph).graph()


class _Following:
    """One pass over a graph in order.

    cells   of nodes whose elements are known to be elements of others, by id: integers of the node's shape
    """

    def __init__(self, old: Graph):
        self.old = old
        self.nodes: list[Node] = []
        self.twin: dict[int, Node] = {id(n): n for n in old.inputs}
        self.cells: dict[int, Tensor] = {}
        self.sources: list[Node] = []  # twins
        self._number: dict[int, int] = {}
        self._read: dict[int, Node] = {}
        self._budget = 4 * len(old.nodes)  # pieces of which reads may be made

    def graph(self) -> Graph:
        for n in self.old.nodes:
            if n.constant is not None:
                self.twin[id(n)] = n
                self.nodes.append(n)
            else:
                self._follow(n)
                of = (lambda p: self.twin[id(p)]) if id(n) in self.cells else self._value
                args, kwargs = mapped((n.args, dict(n.kwargs)), Node, of)
                twin = Node(n.target, args, kwargs, n.value)
                twin.random = n.random
                self.twin[id(n)] = self._add(twin)
        return cut(Nodes(self.nodes), self.old.inputs, [self._value(o) for o in self.old.outputs], slow=self.old.slow)

    def _add(self, n: Node) -> Node:
        self.nodes.append(n)
        return n

    def _follow(self, n: Node) -> None:
        """The cells of a write, or of what moves elements of written memory."""
        if n.target is aten.index_put.default and len(n.args) == 3 and _fixed(n.args[1]):
            memory, places, value = n.args
            written = self._cells(value).expand(memory.value[places[0].constant].shape)
            self.cells[id(n)] = self._cells(memory).index_put((places[0].constant,), written)
        elif n.target in MOVES and id(n.args[0]) in self.cells and (n.target is not aten.index.Tensor or _fixed(n.args[1])):
            args = mapped(n.args[1:], Node, lambda p: p.constant)
            self.cells[id(n)] = n.target(self.cells[id(n.args[0])], *args)

    def _cells(self, n: Node) -> Tensor:
        if id(n) in self.cells:
            return self.cells[id(n)]
        number = self._number.setdefault(id(n), len(self.sources))
        if number == len(self.sources):
            self.sources.append(self.twin[id(n)])
        return torch.arange(n.value.numel()).reshape(n.value.shape) + number * PLACES

    def _value(self, n: Node) -> Node:
        """The twin of a node, or what it is made of."""
        if id(n) not in self.cells or n.target is aten.index_put.default:
            return self.twin[id(n)]
        if id(n) not in self._read:
            self._read[id(n)] = self._gathered(n) or self.twin[id(n)]
        return self._read[id(n)]

    def _moved(self, n: Node) -> Node:
        """A part of something that is read whole anyhow."""
        args, kwargs = mapped((n.args, dict(n.kwargs)), Node, self._value)
        return self._add(Node(n.target, args, kwargs, n.value))

    def _gathered(self, n: Node) -> Node | None:
        """Elements from their sources; None where those are too many pieces in all."""
        cells = self.cells[id(n)].reshape(-1)
        if not len(cells):
            return None
        breaks = (cells[1:] != cells[:-1] + 1).nonzero().flatten() + 1
        of = n.args[0]
        if len(breaks) >= FEW and id(of) in self.cells and of.target is not aten.index_put.default:
            return self._moved(n)
        self._budget -= len(breaks) + 1
        if self._budget < 0:
            return None
        edges = [0, *breaks.tolist(), len(cells)]
        firsts = cells[edges[:-1]].tolist()
        pieces = [(self.sources[c // PLACES], c % PLACES, b - a) for c, a, b in zip(firsts, edges, edges[1:], strict=False)]
        whole = [s for s, start, size in pieces if start == 0 and size == s.value.numel() and s.value.shape == pieces[0][0].value.shape]
        if len(whole) < len(pieces):
            joined = self._made(aten.cat.default, [self._piece(*p) for p in pieces], 0)
        else:
            joined = whole[0] if len(whole) == 1 else self._made(aten.stack.default, whole)
        if joined.value.dtype != n.value.dtype:
            return None
        shape = list(n.value.shape)
        return joined if list(joined.value.shape) == shape else self._made(aten.reshape.default, joined, shape)

    def _piece(self, source: Node, start: int, size: int) -> Node:
        flat = self._made(aten.reshape.default, source, [-1])
        return flat if size == flat.value.numel() else self._made(aten.slice.Tensor, flat, 0, start, start + size)

    def _made(self, target: Any, *args: Any) -> Node:
        return self._add(Node(target, args, {}, target(*mapped(args, Node, lambda n: n.value))))


def _fixed(places: Sequence[Any]) -> bool:
    """One index, whole numbers that are constant."""
    first = places[0]
    return len(places) == 1 and isinstance(first, Node) and first.constant is not None and not first.constant.dtype.is_floating_point
