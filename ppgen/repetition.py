"""Repetition in a sequence of operations: where one step, some operations long, stands many times in a row.

The operations of a graph are a sequence of kinds (target, settings, shape). A stretch that repeats with some period is a loop where
the arguments of every repetition come from the same places: its own values, those of a repetition before, or from outside. Elements
that are read out of a tensor one by one are no operations of the sequence: they are arguments that may advance by a stride.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .loops import Scan
from .straightline import Graph, Node, item

__all__ = ["LEAST", "NUMBERED", "SAVED", "Columns", "Operations", "Read", "Run", "read_of", "repetitions"]

aten = torch.ops.aten
LEAST = 8  # repetitions that make a loop
SAVED = 40  # operations that a loop must save
LONGEST = 2000  # operations of the longest step that is looked for
TRIED = 8  # periods, at most, that are looked at closely before a graph is left as it is
NUMBERED = {aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor}  # a number among the arguments may be a tensor


class Read(NamedTuple):
    """One element, or a window of constant width, of a dimension of another node."""

    base: Node
    dim: int
    place: int
    width: int | None  # of a window

    @property
    def kind(self) -> tuple[int, int, int | None]:
        return id(self.base), self.dim, self.width


def read_of(node: Node) -> Read | None:
    """What a node reads, where it does nothing else."""
    match node.target:
        case aten.select.int:
            base, dim, index = node.args
            dim, width, size = dim % base.value.dim(), None, base.value.shape[dim]
        case aten.slice.Tensor if len(node.args) == 4:
            base, dim, index, _ = node.args
            dim %= base.value.dim()
            width, size = node.value.shape[dim], base.value.shape[dim]
            if width == size or not width:
                return None
        case _ if node.target is item and node.args[0].target is aten.unbind.int:
            base, *dims = node.args[0].args
            dim, index, width, size = (dims[0] if dims else 0) % base.value.dim(), node.args[1], None, 0
        case _:
            return None
    return Read(base, dim, index + size if index < 0 else index, width)


class Run(NamedTuple):
    """Operations start, start + 1, ... of a sequence are `repeats` repetitions of `period` operations."""

    start: int
    period: int
    repeats: int

    @property
    def stop(self) -> int:
        return self.start + self.period * self.repeats


class Operations:
    """The operations of a graph, some of which a loop has taken the place of.

    sequence   all but reads, in order
    reads      by the id of their node
    """

    def __init__(self, graph: Graph):
        operations = [n for n in graph.nodes if n.constant is None]
        candidates = {id(n): r for n in operations if (r := read_of(n)) is not None}
        often = Counter(r.kind for r in candidates.values())
        self.reads = {k: r for k, r in candidates.items() if often[r.kind] >= LEAST}
        self.sequence = [n for n in operations if id(n) not in self.reads]
        self._now: dict[int, Node] = {}  # id of a node inside a loop -> what stands for it outside
        self._kinds: dict[Any, int] = {}
        self._place: dict[int, int] = {}

    def index(self) -> NDArray[Any]:
        """The kind of each operation; to be asked again when the sequence has changed."""
        self._place = {id(n): i for i, n in enumerate(self.sequence)}
        return np.array([self._kind(n) for n in self.sequence])

    def _kind(self, n: Node) -> int:
        """Operations of one kind may be one operation of a loop. Numbers that a tensor may replace are no part of it."""
        if n.random or isinstance(n.target, Scan):
            return self._kinds.setdefault(id(n), len(self._kinds))
        like = (n.value.shape, n.value.dtype) if isinstance(n.value, Tensor) else None
        key = (n.target, like, _form(n.args, n.target in NUMBERED), _form(dict(n.kwargs), False))
        return self._kinds.setdefault(key, len(self._kinds))

    def now(self, n: Node) -> Node:
        return self._now.get(id(n), n)

    def read(self, x: Any) -> Read | None:
        read = self.reads.get(id(x))
        return None if read is None else read._replace(base=self.now(read.base))

    def origin(self, x: Any) -> int:
        """Where in the sequence an argument is, or what it is read from; -1 for inputs, constants and numbers."""
        read = self.read(x)
        return self._place.get(id(x if read is None else read.base), -1)

    def arguments(self, n: Node) -> list[Any]:
        """Nodes, and numbers that may differ from repetition to repetition."""
        if n.target in NUMBERED:
            return [self.now(a) if isinstance(a, Node) else a for a in n.args[:2]]
        return [self.now(p) for p in n.parents]

    def replace(self, run: Run, made: list[Node], selects: dict[int, Node]) -> None:
        """Put other operations in the place of a run. selects: by the id of a node of the run, what reads its value now."""
        self.reads |= {id(n): read for n in selects.values() if (read := read_of(n)) is not None}
        self._now |= selects
        self.sequence[run.start : run.stop] = made


def _form(x: Any, numbers: bool) -> Any:
    """Arguments but for nodes and, where they do not count, numbers; can be compared and hashed."""
    if isinstance(x, Node):
        return None
    if isinstance(x, (tuple, list)):
        return tuple([_form(i, numbers) for i in x])
    if isinstance(x, dict):
        return tuple((k, _form(v, numbers)) for k, v in x.items())
    return type(x) if numbers and type(x) in (int, float) else (type(x), repr(x))


def _stretches(kinds: NDArray[Any]) -> list[tuple[int, int, int]]:
    """(start, period, length): stretches in which a sequence repeats itself, those first that save most."""
    found = []
    for period in range(1, min(LONGEST, len(kinds) // LEAST) + 1):
        breaks = np.flatnonzero(kinds[period:] != kinds[:-period])
        edges = np.concatenate([[-1], breaks, [len(kinds) - period]])
        longest = int(np.argmax(np.diff(edges)))
        start, length = int(edges[longest]) + 1, int(edges[longest + 1] - edges[longest]) - 1 + period
        saved = length - length % period - period
        if length >= LEAST * period and saved >= SAVED:
            found.append((-saved, period, start, length))
    return [(start, period, length) for _, period, start, length in sorted(found)[:TRIED]]


def repetitions(operations: Operations) -> Iterator["tuple[Columns, NDArray[Any]]"]:
    """Loops, those first that save most: their arguments, and which of those move with the repetitions."""
    for start, period, length in _stretches(operations.index()):
        phase = _phase(operations, start, period, length)
        found = Columns(operations, Run(start + phase, period, (length - phase) // period)).regular()
        if found is not None:
            yield found


def _phase(operations: Operations, start: int, period: int, length: int) -> int:
    """Where in a stretch a step begins, so that as little as possible goes from one to the next."""
    middle = start + length // period // 2 * period
    edges = []
    for q in range(period):
        here, before = (operations.arguments(operations.sequence[middle + q - d]) for d in (0, period))
        for x, y in zip(here, before, strict=True):
            origin = operations.origin(x)
            if origin >= 0 and origin - operations.origin(y) == period:
                edges.append((q, origin - middle))
    if not edges:
        return 0
    user, made = np.array(edges).T
    most = min(period, length - LEAST * period + 1)
    crossing = [len(np.unique(made[(user - r) // period != (made - r) // period] % period)) for r in range(most)]
    return int(np.argmin(crossing))


class Columns:
    """The arguments of all repetitions: a row for each repetition, a column for each argument of each operation.

    own      (arguments,): which operation of the step has the argument
    origins  (repetitions, arguments): where in the sequence the argument is from, -1 where it is from nowhere
    """

    def __init__(self, operations: Operations, run: Run):
        self.operations, self.run = operations, run
        self.rows = [[x for n in self.repetition(k) for x in operations.arguments(n)] for k in range(run.repeats)]
        self.own = np.repeat(np.arange(run.period), [len(operations.arguments(n)) for n in self.repetition(0)])
        self.origins = np.array([[operations.origin(x) for x in row] for row in self.rows]).reshape(run.repeats, len(self.own))

    def repetition(self, k: int) -> list[Node]:
        start = self.run.start + k * self.run.period
        return self.operations.sequence[start : start + self.run.period]

    def distances(self) -> NDArray[Any]:
        """(repetitions, arguments): how far back in the sequence; 0 where there is no such place."""
        at = self.run.start + np.arange(self.run.repeats)[:, None] * self.run.period + self.own
        return np.where(self.origins >= 0, at - self.origins, 0)

    def _moving(self) -> NDArray[Any]:
        """(repetitions - 1, arguments): is the argument as far back in the next repetition?"""
        distances = self.distances()
        same = (distances[1:] == distances[:-1]) & (distances[1:] > 0)
        for k, j in zip(*np.nonzero(same), strict=True):
            one, other = self.operations.read(self.rows[k][j]), self.operations.read(self.rows[k + 1][j])
            if (one and one[1:]) != (other and other[1:]):
                same[k, j] = False  # two elements of something in the loop
        return same

    def regular(self) -> "tuple[Columns, NDArray[Any]] | None":
        """The longest stretch of repetitions in which every argument either moves along or is always from before the loop; and
        which are the former."""
        moving = self._moving()
        if not len(self.own):
            return None
        changes = np.flatnonzero((moving[1:] != moving[:-1]).any(1)) + 1
        edges = np.concatenate([[0], changes, [len(moving)]])
        longest = int(np.argmax(np.diff(edges)))
        first, last = int(edges[longest]), int(edges[longest + 1])
        pattern = moving[first]
        late = int(np.where(pattern, -1, self.origins[first : last + 1]).max())  # what is outside must stand before the loop
        first = max(first, (late - self.run.start) // self.run.period + 1)
        if first and self._begins(first - 1, pattern):
            first -= 1
        if last + 1 - first < LEAST or (last - first) * self.run.period < SAVED:
            return None
        run = Run(self.run.start + first * self.run.period, self.run.period, last + 1 - first)
        return (self if run == self.run else Columns(self.operations, run)), pattern

    def _begins(self, k: int, pattern: NDArray[Any]) -> bool:
        """May a repetition be the first although what it takes from the one before is from elsewhere?"""
        start = self.run.start + k * self.run.period
        here, later = self.distances()[k : k + 2]
        inner = pattern & (later <= self.own)
        initial: dict[int, set[Any]] = {}
        for j in np.flatnonzero(pattern & ~inner):
            back, made = divmod(int(self.own[j] - later[j]), self.run.period)
            x, read, later_read = self.rows[k][j], self.operations.read(self.rows[k][j]), self.operations.read(self.rows[k + 1][j])
            if later_read is not None:
                x = read.base if read is not None and read[1:] == later_read[1:] else None
            if back < -1 or not isinstance(x, Node):
                return False
            initial.setdefault(made, set()).add(id(x))
        outside = self.origins[k][~inner]
        return bool((here == later)[inner].all() and (outside < start).all()) and all(len(i) == 1 for i in initial.values())
