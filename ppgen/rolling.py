"""Loops found again in a graph: a program that repeats a step in Python leaves its operations one after the other, as many times.

The operations of a graph are a sequence of kinds (target, settings, shape). Where it repeats with some period, and the arguments of
every repetition come from the same places (its own values, those of a repetition before, or from outside), the repetitions become one
`Scan`. Elements that are read out of a tensor one by one are no operations of the sequence; as arguments they are found to advance by
a constant stride. So a step repeated 1000 times is differentiated and compiled once.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .loops import Scan
from .straightline import Graph, Node, collector_paused, cut, item, leaves, mapped

__all__ = ["rolled"]

aten = torch.ops.aten
LEAST = 8  # repetitions that make a loop
SAVED = 40  # operations that a loop must save
LONGEST = 2000  # operations of the longest step that is looked for
TRIED = 8  # periods, at most, that are looked at closely before a graph is left as it is
NUMBERED = {aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor, aten.div.Tensor}  # a number among the arguments may be a tensor


@collector_paused()
def rolled(graph: Graph) -> Graph:
    """The same values with every repeated step as a loop; the graph itself where there is none."""
    if len(graph.nodes) < SAVED + LEAST:
        return graph
    rolling = _Rolling(graph)
    while rolling.next_loop():
        pass
    return rolling.graph() if rolling.loops else graph


class Read(NamedTuple):
    """One element, or a window of constant width, of a dimension of another node."""

    base: Node
    dim: int
    index: int
    width: int | None  # of a window

    @property
    def place(self) -> tuple[int, int, int | None]:
        return id(self.base), self.dim, self.width


def _read(node: Node) -> Read | None:
    """What a node is, where it does nothing but read."""
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
    """Operations start, start + 1, ... of a sequence are `count` repetitions of `period` operations."""

    start: int
    period: int
    count: int

    @property
    def stop(self) -> int:
        return self.start + self.period * self.count


class _Rolling:
    """A graph, in which one loop after the other is found.

    sequence   its operations, in order, but for reads
    reads      by the id of their node
    """

    def __init__(self, graph: Graph):
        self.old, self.loops = graph, 0
        operations = [n for n in graph.nodes if n.constant is None]
        candidates = {id(n): r for n in operations if (r := _read(n)) is not None}
        often = Counter(r.place for r in candidates.values())
        self.reads = {k: r for k, r in candidates.items() if often[r.place] >= LEAST}
        self.sequence = [n for n in operations if id(n) not in self.reads]
        self.outer_reads = [n for n in operations if id(n) in self.reads]
        self._now: dict[int, Node] = {}  # a node inside a loop -> what stands for it outside
        self._kinds: dict[Any, int] = {}
        self._kept: list[Node] = []  # alive, so that their ids stay theirs

    def next_loop(self) -> bool:
        """Roll the loop that saves most; False where there is none."""
        self.place = {id(n): i for i, n in enumerate(self.sequence)}
        kinds = np.array([self._kind(n) for n in self.sequence])
        for span in _repetitions(kinds):
            loop = found_loop(self, span)
            if loop is not None:
                self._replace(loop)
                return True
        return False

    def _kind(self, n: Node) -> int:
        """Operations of one kind may be one operation of a loop. Numbers that a tensor may replace are no part of it."""
        if n.random or isinstance(n.target, Scan):
            return self._kinds.setdefault(id(n), len(self._kinds))
        like = (n.value.shape, n.value.dtype) if isinstance(n.value, Tensor) else None
        key = (n.target, like, _form(n.args, n.target in NUMBERED), _form(n.kwargs, False))
        return self._kinds.setdefault(key, len(self._kinds))

    # What a node is now

    def now(self, n: Node) -> Node:
        return self._now.get(id(n), n)

    def read(self, n: Node) -> Read | None:
        read = self.reads.get(id(n))
        return None if read is None else read._replace(base=self.now(read.base))

    def origin(self, x: Any) -> int:
        """Where in the sequence an argument is, or what it is read from; -1 for inputs, constants and numbers."""
        read = self.read(x) if isinstance(x, Node) else None
        return self.place.get(id(x if read is None else read.base), -1)

    def arguments(self, n: Node) -> list[Any]:
        """Nodes, and numbers that may differ from repetition to repetition."""
        if n.target in NUMBERED:
            return [self.now(a) if isinstance(a, Node) else a for a in n.args[:2]]
        return [self.now(p) for p in n.parents]

    # A loop in the place of its repetitions

    def _replace(self, loop: "_Loop") -> None:
        run = loop.run
        outside = [*self.sequence[: run.start], *self.sequence[run.stop :]]
        used = {id(p) for n in outside for p in n.parents} | {id(r.base) for r in self.reads.values()} | {id(o) for o in self.outputs}
        read = {q for q in range(run.period) for k in range(run.count) if id(self.sequence[run.start + k * run.period + q]) in used}
        scan, results = loop.scan(sorted(read))
        for q, (column, shift) in results.items():
            self._kept.append(column)
            for k in range(run.count):
                n = self.sequence[run.start + k * run.period + q]
                if id(n) in used:
                    select = Node(aten.select.int, (column, 0, k + shift), {}, n.value)
                    self.reads[id(select)] = Read(column, 0, k + shift, None)
                    self._now[id(n)] = select
        self.sequence[run.start : run.stop] = [*loop.made, scan, *{id(c): c for c, _ in results.values()}.values()]
        self.loops += 1

    @property
    def outputs(self) -> list[Node]:
        return self.old.outputs

    def graph(self) -> Graph:
        return _Rebuilding(self).graph()


def _form(x: Any, numbers: bool) -> Any:
    """Arguments but for nodes and, where they do not count, numbers; can be compared and hashed."""
    if isinstance(x, Node):
        return None
    if isinstance(x, (tuple, list)):
        return tuple([_form(i, numbers) for i in x])
    if isinstance(x, dict):
        return tuple((k, _form(v, numbers)) for k, v in x.items())
    return type(x) if numbers and type(x) in (int, float) else (type(x), repr(x))


def _repetitions(kinds: NDArray[Any]) -> Iterator[tuple[int, int, int]]:
    """(start, period, length): stretches in which a sequence repeats itself, those first that save most."""
    found = []
    for period in range(1, min(LONGEST, len(kinds) // LEAST) + 1):
        breaks = np.flatnonzero(kinds[period:] != kinds[:-period])
        edges = np.concatenate([[-1], breaks, [len(kinds) - period]])
        longest = int(np.argmax(np.diff(edges)))
        start, length = int(edges[longest]) + 1, int(edges[longest + 1] - edges[longest]) - 1 + period
        if length >= LEAST * period and (saved := length - length % period - period) >= SAVED:
            found.append((-saved, period, start, length))
    for _, period, start, length in sorted(found)[:TRIED]:
        yield start, period, length


# Which repetitions are one loop


class _Columns:
    """The arguments of all repetitions: one row each, a column for each argument of each operation.

    own      (period's arguments,): the operation that has the argument, counted from the start of the repetition
    origins  (repetitions, arguments): where in the sequence the argument is from, -1 where it is from nowhere
    """

    def __init__(self, rolling: _Rolling, run: Run):
        self.rolling, self.run = rolling, run
        self.rows = [self._row(k) for k in range(run.count)]
        widths = [len(rolling.arguments(n)) for n in self._repetition(0)]
        self.own = np.repeat(np.arange(run.period), widths)
        self.origins = np.array([[rolling.origin(x) for x in row] for row in self.rows]).reshape(run.count, len(self.own))

    def _repetition(self, k: int) -> list[Node]:
        start = self.run.start + k * self.run.period
        return self.rolling.sequence[start : start + self.run.period]

    def _row(self, k: int) -> list[Any]:
        return [x for n in self._repetition(k) for x in self.rolling.arguments(n)]

    def distances(self) -> NDArray[Any]:
        """(repetitions, arguments): how far back in the sequence; 0 where there is no such place."""
        at = self.run.start + np.arange(self.run.count)[:, None] * self.run.period + self.own
        return np.where(self.origins >= 0, at - self.origins, 0)

    def moving(self) -> NDArray[Any]:
        """(repetitions - 1, arguments): is the argument as far back in the next repetition?"""
        distances = self.distances()
        same = (distances[1:] == distances[:-1]) & (distances[1:] > 0)
        for k, j in zip(*np.nonzero(same), strict=True):
            one, other = (self.rolling.read(self.rows[k + d][j]) if isinstance(self.rows[k + d][j], Node) else None for d in (0, 1))
            if (one and one[1:]) != (other and other[1:]):
                same[k, j] = False  # two elements of something in the loop
        return same

    def regular(self) -> "tuple[_Columns, NDArray[Any]] | None":
        """The longest stretch of repetitions in which every argument is either always as far back, or always from before the loop;
        and which are the former."""
        moving = self.moving()
        changes = np.flatnonzero((moving[1:] != moving[:-1]).any(1))
        edges = np.concatenate([[0], changes + 1, [len(moving)]])
        longest = int(np.argmax(np.diff(edges)))
        first, last = int(edges[longest]), int(edges[longest + 1])
        pattern = moving[first]
        outside = np.where(pattern, -1, self.origins[first : last + 1])
        start = self.run.start + first * self.run.period
        late = int(outside.max(initial=-1))  # the last place outside, which must stand before the loop
        if late >= start:
            skipped = (late - start) // self.run.period + 1
            first += skipped
        if last + 1 - first < LEAST or (last - first) * self.run.period < SAVED:
            return None
        run = Run(self.run.start + first * self.run.period, self.run.period, last + 1 - first)
        return (self if run == self.run else _Columns(self.rolling, run)), pattern


def _phase(rolling: _Rolling, start: int, period: int, length: int) -> int:
    """Where in a stretch a step begins, so that as little as possible goes from one to the next."""
    middle = start + length // period // 2 * period
    edges = []
    for q in range(period):
        here, next_ = (rolling.arguments(rolling.sequence[middle + q + d]) for d in (0, -period))
        for x, y in zip(here, next_, strict=True):
            origin = rolling.origin(x)
            if origin >= 0 and origin - rolling.origin(y) == period:
                edges.append((q, origin - middle))
    if not edges:
        return 0
    user, made = np.array(edges).T
    most = length - LEAST * period
    crossing = [len(np.unique(made[(user - r) // period != (made - r) // period] % period)) for r in range(min(period, most + 1))]
    return int(np.argmin(crossing))


def found_loop(rolling: _Rolling, span: tuple[int, int, int]) -> "_Loop | None":
    start, period, length = span
    phase = _phase(rolling, start, period, length)
    found = _Columns(rolling, Run(start + phase, period, (length - phase) // period)).regular()
    if found is None:
        return None
    try:
        return _Loop(*found)
    except _Irregular:
        return None


class _Irregular(Exception):  # noqa: N818  a signal, never an error that a user sees
    """What looked like a loop is none."""


class _Loop:
    """Repetitions as a Scan.

    made    nodes that prepare its arguments
    """

    def __init__(self, columns: _Columns, moving: NDArray[Any]):
        self.rolling, self.run = columns.rolling, columns.run
        self.last = self.rolling.sequence[self.run.stop - self.run.period : self.run.stop]  # the repetition that becomes the step
        self.made: list[Node] = []
        self.elements: dict[int, tuple[Node, Node]] = {}  # id of an input of the step -> it and what it is an element of
        self.fixed: dict[int, tuple[Node, Node]] = {}
        self.carries: dict[tuple[int, int], tuple[Node, Node]] = {}  # (operation, repetitions back) -> input of the step, initial value
        self._inputs: dict[Any, Any] = {}
        self._step: dict[int, Node] = {}  # id of a node of the last repetition -> its twin in the step
        self._build(columns, moving)

    def _build(self, columns: _Columns, moving: NDArray[Any]) -> None:
        slots = iter(range(len(columns.own)))
        distances = columns.distances()[-1]
        for q, n in enumerate(self.last):
            arguments = []
            for x in self.rolling.arguments(n):
                j = next(slots)
                if moving[j]:
                    arguments.append(self._inner(x, q, int(distances[j])))
                else:
                    arguments.append(self._outer([row[j] for row in columns.rows], n))
            self._step[id(n)] = _with_arguments(n, arguments)

    def _inner(self, x: Node, q: int, distance: int) -> Node:
        """A value of this repetition or of one before."""
        back, made = divmod(q - distance, self.run.period)
        read = self.rolling.read(x)
        value = self._step[id(self.last[made])] if not back else self._carry(made, -back)
        if read is None:
            return value
        return self._once(("read", id(value), read[1:]), lambda: Node(x.target, (value, *x.args[1:]), {}, x.value))

    def _once(self, key: Any, make: Callable[[], Any]) -> Any:
        if key not in self._inputs:
            self._inputs[key] = make()
        return self._inputs[key]

    def _carry(self, made: int, back: int) -> Node:
        if (made, back) not in self.carries:
            for b in range(1, back):
                self._carry(made, b)
            initial = self.rolling.now(self.rolling.sequence[self.run.start + made - back * self.run.period])
            like = self.last[made].value
            if not isinstance(initial.value, Tensor) or (initial.value.shape, initial.value.dtype) != (like.shape, like.dtype):
                raise _Irregular
            self.carries[made, back] = Node(value=like), initial
        return self.carries[made, back][0]

    def _outer(self, column: Sequence[Any], user: Node) -> Any:
        """What comes from outside: the same in every repetition, or an element of something."""
        first = column[0]
        if all(x is first or (not isinstance(x, Node) and x == first and type(x) is type(first)) for x in column):
            if not isinstance(first, Node) or first.constant is not None:
                return first
            return self._once(id(first), lambda: self._input(self.fixed, first, first.value))
        return self._once(tuple(map(_identity, column)), lambda: self._element(column, user))

    def _element(self, column: Sequence[Any], user: Node) -> Node:
        if not all(isinstance(x, Node) for x in column):
            column = [x if isinstance(x, Node) else _number(x, user.value) for x in column]
        if len({(x.value.shape, x.value.dtype) if isinstance(x.value, Tensor) else None for x in column}) != 1 or column[0].value is None:
            raise _Irregular
        reads = [self.rolling.read(x) for x in column]
        whole = self._slices(reads) or self._made(aten.stack.default, list(column))
        return self._input(self.elements, whole, column[-1].value)

    def _slices(self, reads: Sequence[Read | None]) -> Node | None:
        """What is read with a constant stride, with the repetitions as dimension 0."""
        first, second = reads[:2]
        if first is None or second is None or any(r is None or r.place != first.place for r in reads):
            return None
        strides = np.diff([r.index for r in reads])  # type: ignore[union-attr]
        stride = int(strides[0])
        if not stride or (strides != stride).any():
            return None
        base, count = first.base, self.run.count
        low, high = sorted((first.index, first.index + stride * (count - 1)))
        width = first.width or 1
        if (low, high + width) != (0, base.value.shape[first.dim]):
            base = self._made(aten.slice.Tensor, base, first.dim, low, high + width)
        if first.width is None:
            if abs(stride) > 1:
                base = self._made(aten.slice.Tensor, base, first.dim, 0, high - low + 1, abs(stride))
        else:
            base = self._made(aten.unfold.default, base, first.dim, width, abs(stride))
        if stride < 0:
            base = self._made(aten.flip.default, base, [first.dim])
        order = list(range(base.value.dim()))
        order.insert(0, order.pop(first.dim))
        if first.width is not None:
            order.insert(1 + first.dim, order.pop())
        return base if order == sorted(order) else self._made(aten.permute.default, base, order)

    def _made(self, target: Any, *args: Any) -> Node:
        self.made.append(_applied(target, args))
        return self.made[-1]

    def _input(self, group: dict[int, tuple[Node, Node]], outside: Node, value: Tensor) -> Node:
        node = Node(value=value)
        group[id(node)] = node, outside
        return node

    def scan(self, read: Sequence[int]) -> tuple[Node, dict[int, tuple[Node, int]]]:
        """The loop, and where the values of the operations `read` stand: the column, and the place of the first repetition in it."""
        carried = [made for made, back in self.carries if back == 1]
        ys = [q for q in read if q not in carried]
        ends = [self._step[id(self.last[made])] if back == 1 else self.carries[made, back - 1][0] for made, back in self.carries]
        inputs = [[i for i, _ in group.values()] for group in (self.carries, self.elements, self.fixed)]
        nodes = [*(n for n in self._inputs.values() if n.target is not None), *self._step.values()]
        outputs = [*ends, *(self._step[id(self.last[q])] for q in ys)]
        step = cut(_Nodes(_in_order(nodes)), [i for group in inputs for i in group], outputs)
        target = Scan(step, len(inputs[0]), len(inputs[1]), self.run.count)
        node = Node(target, tuple([o for _, o in group.values()] for group in (self.carries, self.elements, self.fixed)))
        columns = [Node(item, (node, i), {}, _column(o.value, self.run.count + (i < len(ends)))) for i, o in enumerate(outputs)]
        of_carries = {made: (columns[i], 1) for i, (made, back) in enumerate(self.carries) if back == 1}
        of_ys = {q: (column, 0) for q, column in zip(ys, columns[len(ends) :], strict=True)}
        return node, {q: {**of_carries, **of_ys}[q] for q in read}


def _column(value: Tensor, length: int) -> Tensor:
    return value.detach().new_zeros(1).expand(length, *value.shape)


def _identity(x: Any) -> Any:
    return id(x) if isinstance(x, Node) else (type(x), x)


def _number(x: float, like: Tensor) -> Node:
    node = Node(value=torch.tensor(x, dtype=like.dtype, device=like.device))
    node.constant = node.value
    return node


def _with_arguments(n: Node, arguments: Sequence[Any]) -> Node:
    """A node with other arguments, in the order of `_Rolling.arguments`."""
    given = iter(arguments)
    if n.target in NUMBERED:
        return Node(n.target, (*(next(given) for _ in n.args[:2]), *n.args[2:]), n.kwargs, n.value)
    return Node(n.target, mapped(n.args, Node, lambda _: next(given)), mapped(dict(n.kwargs), Node, lambda _: next(given)), n.value)


class _Nodes(NamedTuple):
    """What a graph is cut from."""

    nodes: list[Node]


def _in_order(nodes: Sequence[Node]) -> list[Node]:
    """Nodes with everything that they are computed from, each after its arguments."""
    done: set[int] = set()
    ordered: list[Node] = []
    for node in nodes:
        todo = [node]
        while todo:
            n = todo[-1]
            missing = [p for p in n.parents if id(p) not in done]
            if id(n) not in done and not missing:
                done.add(id(n))
                ordered.append(n)
            todo = [*todo, *missing] if missing else todo[:-1]
    return ordered


# The new graph


class _Rebuilding:
    """Nodes with their arguments as they are now, each after its arguments, in the order of the sequence."""

    def __init__(self, rolling: _Rolling):
        self.rolling = rolling
        self.twin: dict[int, Node] = {id(n): n for n in rolling.old.inputs}
        self.nodes: list[Node] = []

    def graph(self) -> Graph:
        old = self.rolling.old
        for n in self.rolling.sequence:
            self._emit(n)
        outputs = [self._emit(self.rolling.now(o)) for o in old.outputs]
        return cut(_Nodes(self.nodes), old.inputs, outputs, slow=old.slow)

    def _emit(self, node: Node) -> Node:
        todo = [node]
        while todo:
            n = todo[-1]
            missing = [p for p in map(self.rolling.now, n.parents) if id(p) not in self.twin]
            if id(n) in self.twin:
                todo.pop()
            elif missing:
                todo += missing
            else:
                self.twin[id(n)] = self._rebuilt(n)
        return self.twin[id(node)]

    def _rebuilt(self, n: Node) -> Node:
        if n.constant is not None:
            self.nodes.append(n)
            return n
        args, kwargs = mapped((n.args, dict(n.kwargs)), Node, lambda p: self.twin[id(self.rolling.now(p))])
        if n.target is aten.stack.default and (pieces := _pieces(args[0])) is not None:
            return self._stacked(pieces, (args[1] if len(args) > 1 else 0) % n.value.dim())
        twin = Node(n.target, args, kwargs, n.value)
        twin.random = n.random
        self.nodes.append(twin)
        return twin

    def _stacked(self, pieces: Sequence["Node | _Piece"], dim: int) -> Node:
        """A stack of which parts are read out of one tensor in order."""
        parts = []
        for p in pieces:
            if isinstance(p, Node):
                parts.append(self._made(aten.unsqueeze.default, p, dim))
                continue
            part = p.base
            if (p.start, p.stop) != (0, part.value.shape[0]):
                part = self._made(aten.slice.Tensor, part, 0, p.start, p.stop)
            order = list(range(1, part.value.dim()))
            order.insert(dim, 0)
            parts.append(self._made(aten.permute.default, part, order) if dim else part)
        return parts[0] if len(parts) == 1 else self._made(aten.cat.default, parts, dim)

    def _made(self, target: Any, *args: Any) -> Node:
        self.nodes.append(_applied(target, args))
        return self.nodes[-1]


class _Piece(NamedTuple):
    """start, ..., stop - 1 of dimension 0."""

    base: Node
    start: int
    stop: int


def _pieces(nodes: Sequence[Node]) -> list[Node | _Piece] | None:
    """Nodes, with those that are read in order out of one as one; None where there are none."""
    pieces: list[Node | _Piece] = []
    for n in nodes:
        read = _read(n)
        if read is None or read.dim or read.width is not None:
            pieces.append(n)
        elif pieces and isinstance(last := pieces[-1], _Piece) and last.base is read.base and last.stop == read.index:
            pieces[-1] = last._replace(stop=read.index + 1)
        else:
            pieces.append(_Piece(read.base, read.index, read.index + 1))
    return pieces if LEAST * len(pieces) <= len(nodes) or len(pieces) + LEAST <= len(nodes) else None


def _applied(target: Any, args: tuple[Any, ...]) -> Node:
    """An operation on nodes that have values."""
    return Node(target, args, {}, target(*mapped(args, Node, lambda n: n.value)))
