"""Graphs of tensor operations as straight-line code: nodes, cuts of a recording, and what runs them.

`cut` takes the part of a recording between given nodes and outputs; a `Graph` runs such a part without Python's decisions
in it. The tape makes the nodes.
"""

import gc
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeVar

import torch
from torch import Tensor

from .errors import RecordingError

__all__ = ["Composite", "Graph", "Node", "Nodes", "above", "collector_paused", "cut", "identity", "item", "leaves", "mapped"]

Leaf = TypeVar("Leaf")


@contextmanager
def collector_paused() -> Iterator[None]:
    """While thousands of nodes are made, none of them garbage, Python's cyclic collector would look at all of them again and again: a
    graph of 21,000 nodes is cut in 0.2 s in place of 1.1."""
    running = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if running:
            gc.enable()


def mapped(x: Any, kind: type[Leaf], f: Callable[[Leaf], Any]) -> Any:
    """The arguments of an operation with f applied to every leaf of a kind. They are tuples, lists and dicts; torch's pytrees took
    most of the time of a recording."""
    if isinstance(x, kind):
        return f(x)
    if type(x) in (tuple, list):
        return type(x)([mapped(i, kind, f) for i in x])
    return {k: mapped(v, kind, f) for k, v in x.items()} if type(x) is dict else x


def leaves(x: Any, kind: type[Leaf]) -> list[Leaf]:
    """The leaves of a kind among the arguments of an operation, in order."""
    found: list[Leaf] = []
    _gather(x, kind, found)
    return found


def _gather(x: Any, kind: type[Leaf], found: list[Leaf]) -> None:
    if isinstance(x, kind):
        found.append(x)
    elif type(x) in (tuple, list):
        for i in x:
            _gather(i, kind, found)
    elif type(x) is dict:
        _gather(list(x.values()), kind, found)


class Node:
    """One value of a recording: an input, a constant, or an operation on other nodes.

    target   the operation (None for inputs and constants)
    value    the tensor that was there while recording; for shape and dtype (None for an operation with several outputs)
    name     of an input; mark: the site whose value this node holds
    """

    __slots__ = ("args", "constant", "kwargs", "mark", "name", "parents", "random", "target", "value")

    def __init__(self, target: Any = None, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] = {}, value: Any = None):
        self.target, self.args, self.kwargs, self.value = target, args, kwargs, value
        self.parents: list[Node] = leaves(args, Node)
        if kwargs:
            self.parents += leaves(dict(kwargs), Node)
        self.name: str | None = None
        self.mark: str | None = None
        self.constant: Tensor | None = None
        self.random = False

    @property
    def is_input(self) -> bool:
        return self.target is None and self.constant is None


def identity(x: Tensor) -> Tensor:
    """The operation of a mark: the node that holds a site's value, where the graph can be cut."""
    return x


def item(sequence: Sequence[Any], i: int) -> Any:
    """Output number i of an operation that returns several."""
    return sequence[i]


class Composite(ABC):
    """An operation that is made of graphs: a loop over a step."""

    @abstractmethod
    def __call__(self, *args: Any) -> Any: ...

    @abstractmethod
    def retyped(self, old: torch.dtype, new: torch.dtype) -> "Composite":
        """The same with constants and dtype arguments of dtype `old` in `new`."""

    @abstractmethod
    def __str__(self) -> str:
        """Everything but the constants, as text: what a fingerprint is made of."""

    @abstractmethod
    def constants(self) -> "list[Tensor]": ...


class Graph:
    """A part of a recording: inputs, operations in order, outputs. Run by torch as straight-line code.

    `slow` inputs change rarely (data, parameters): what depends on them alone is computed once per `prepare`.

    fast     the other inputs
    handed   what `prepare` hands over to `run`: nodes that depend on slow inputs alone
    early    what `prepare` computes, in order, and body what `run` does; constants are neither here nor there
    """

    def __init__(self, inputs: list[Node], nodes: list[Node], outputs: list[Node], slow: Iterable[int] = ()):
        self.inputs, self.nodes, self.outputs = inputs, nodes, outputs
        self.slow = sorted(slow)
        self.random = any(n.random for n in nodes)
        self._divide()

    def _divide(self) -> None:
        """What is prepared, what is handed over, what runs."""
        self.fast = [n for i, n in enumerate(self.inputs) if i not in self.slow]
        slow_inputs = self._slow_inputs
        known = {id(n) for n in slow_inputs} | {id(n) for n in self.nodes if n.constant is not None}
        early: list[Node] = []
        late: list[Node] = []
        for node in self.nodes:
            if node.constant is not None:
                continue
            if not node.random and node.parents and all(id(p) in known for p in node.parents):
                known.add(id(node))
                early.append(node)
            else:
                late.append(node)
        used = {id(p) for n in late for p in n.parents} | {id(n) for n in self.outputs}
        self.handed, self.early, self.body = [n for n in (*slow_inputs, *early) if id(n) in used], early, late

    @property
    def _slow_inputs(self) -> list[Node]:
        return [self.inputs[i] for i in self.slow]

    @cached_property
    def _prelude(self) -> Callable[..., Any]:
        return _function("prelude", [self._slow_inputs], self.early, self.handed)

    @cached_property
    def _run(self) -> Callable[..., Any]:
        return _function("body", [self.handed, self.fast], self.body, self.outputs)

    @cached_property
    def _prepared(self) -> tuple[Any, ...]:
        """Where no input is slow: computed once for all runs."""
        return self._prelude(())

    def prepare(self, slow: Sequence[Tensor]) -> tuple[Any, ...]:
        """What depends on the slow inputs alone, for `run`."""
        return self._prelude(tuple(slow))

    def run(self, prepared: tuple[Any, ...], fast: Sequence[Tensor]) -> tuple[Any, ...]:
        return self._run(prepared, fast)

    def __call__(self, *inputs: Tensor) -> tuple[Any, ...]:
        """Run with all inputs, in the order of `self.inputs`."""
        if not self.slow:
            return self._run(self._prepared, inputs)
        slow = set(self.slow)
        return self.run(self.prepare([inputs[i] for i in self.slow]), [x for i, x in enumerate(inputs) if i not in slow])

    def text(self) -> str:
        """The graph as text with its shapes: what a fingerprint is made of, and what a reader can read."""
        names = {id(n): f"v{i}" for i, n in enumerate((*self.inputs, *self.nodes))}
        lines = []
        for n in (*self.inputs, *self.nodes):
            shape = f"{tuple(n.value.shape)} {n.value.dtype}" if isinstance(n.value, Tensor) else ""
            if n.target is None:
                lines.append(f"{names[id(n)]} = {'input' if n.is_input else 'constant'} {shape}")
            else:
                args, kwargs = mapped((n.args, dict(n.kwargs)), Node, lambda m: names[id(m)])
                lines.append(f"{names[id(n)]} = {n.target}({args}, {kwargs}) {shape}")
        return "\n".join([*lines, "return " + ", ".join(names[id(o)] for o in self.outputs)])

    def constants(self) -> list[Tensor]:
        own = [n.constant for n in self.nodes if n.constant is not None]
        return own + [t for n in self.nodes if isinstance(n.target, Composite) for t in n.target.constants()]


class Source:
    """Writes nodes as Python: gives every value a name, and keeps what the text refers to in `scope`."""

    def __init__(self) -> None:
        self.scope: dict[str, Any] = {}
        self.names: dict[int, str] = {}
        self._counter = itertools.count()

    def bound(self, x: Any, prefix: str) -> str:
        key = f"{prefix}{next(self._counter)}"
        self.scope[key] = x
        return key

    def of(self, x: Any) -> str:
        """An argument as text."""
        if isinstance(x, Node):
            if id(x) not in self.names:
                self.names[id(x)] = self.bound(x.constant, "c")
            return self.names[id(x)]
        if isinstance(x, list):
            return f"[{', '.join(map(self.of, x))}]"
        if isinstance(x, tuple):
            return f"({''.join(self.of(i) + ', ' for i in x)})"
        return repr(x) if x is None or type(x) in (bool, int, str) else self.bound(x, "k")

    def call(self, n: Node) -> str:
        arguments = [self.of(a) for a in n.args] + [f"{key}={self.of(v)}" for key, v in n.kwargs.items()]
        if n.target is item:
            return f"{arguments[0]}[{arguments[1]}]"
        if n.target is identity:
            return arguments[0]
        target = getattr(n.target, "_op", n.target)  # the builtin itself: one Python call less per operation
        return f"{self.bound(target, 'f')}({', '.join(arguments)})"


def _function(name: str, groups: list[list[Node]], nodes: list[Node], outputs: list[Node]) -> Callable[..., Any]:
    """Straight-line Python for nodes; a value is dropped after its last use."""
    source, lines = Source(), []
    for i, group in enumerate(groups):
        source.names |= {id(n): f"x{i}_{j}" for j, n in enumerate(group)}
        if group:
            lines.append(", ".join(source.names[id(n)] for n in group) + f", = x{i}")
    last = {id(p): k for k, n in enumerate(nodes) for p in n.parents}
    kept = {id(o) for o in outputs}
    for k, n in enumerate(nodes):
        lines.append(f"v{k} = {source.call(n)}")
        source.names[id(n)] = f"v{k}"
        dead = {source.names[id(p)] for p in n.parents if last[id(p)] == k and id(p) not in kept and p.constant is None}
        if dead:
            lines.append("del " + ", ".join(sorted(dead)))
    lines.append(f"return {source.of(tuple(outputs))}")
    head = f"def {name}({', '.join(f'x{i}' for i in range(len(groups)))}):"
    exec(compile("\n    ".join([head, *lines]) + "\n", f"<ppgen {name}>", "exec"), source.scope)  # noqa: S102  text of our own
    return source.scope[name]


class Recorded(Protocol):
    """What a graph is cut from: every node of a recording (or of as much of it as matters), in order."""

    @property
    def nodes(self) -> list[Node]: ...


@dataclass
class Nodes:
    """Nodes that no tape has recorded, each after those that it depends on."""

    nodes: list[Node]


@collector_paused()
def cut(
    tape: Recorded,
    given: Sequence[Node],
    outputs: Sequence[Node],
    *,
    slow: Iterable[int] = (),
    retype: tuple[torch.dtype, torch.dtype] | None = None,
) -> Graph:
    """The part of a recording from `given` nodes to `outputs`: what depends on none of the given is folded, equal
    operations are merged (random ones never).

    slow     positions in `given` that change rarely
    retype   (from, to): constants and dtype arguments of dtype `from` become `to`

    Folding is needed although constants fold by themselves: a mark over an enumerated support is live while recording and
    constant wherever that mark is not cut.
    """
    needed = _needed(given, outputs)
    new: dict[int, Node] = {}
    inputs = []
    for g in given:
        copy = Node(value=_retyped(g.value, retype))
        copy.name = g.name or g.mark
        new[id(g)] = copy
        inputs.append(copy)
    nodes: list[Node] = []
    seen: dict[Any, Node] = {}
    for node in tape.nodes:
        if id(node) not in needed or id(node) in new:
            continue
        made = _rebuild(node, new, seen, retype)
        if made is not None:
            nodes.append(made)
    outs = [new[id(o)] for o in outputs]
    used = [p for m in nodes for p in m.parents] + outs
    constants = {id(n): n for n in used if n.constant is not None}
    return Graph(inputs, [*constants.values(), *nodes], outs, slow)


def above(nodes: Iterable[Node], stop: Callable[[Node], bool] = lambda _: False) -> Iterator[Node]:
    """Nodes and all that they are computed from, each once and after its parents; no further up than where `stop` holds."""
    seen: set[int] = set()
    todo = [(n, False) for n in nodes][::-1]
    while todo:
        node, parents_done = todo.pop()
        if parents_done:
            yield node
        elif id(node) not in seen:
            seen.add(id(node))
            todo.append((node, True))
            if not stop(node):
                todo += [(p, False) for p in reversed(node.parents)]


def _needed(given: Sequence[Node], outputs: Sequence[Node]) -> set[int]:
    """Ids of the nodes that the outputs depend on, no further up than the given ones."""
    ends = {id(n) for n in given}
    needed: set[int] = set()
    for node in above(outputs, lambda n: id(n) in ends):
        if node.is_input and id(node) not in ends:
            raise RecordingError(f"this reading also needs {node.name}")
        needed.add(id(node))
    return needed


def _rebuild(node: Node, new: dict[int, Node], seen: dict[Any, Node], retype: tuple[torch.dtype, torch.dtype] | None) -> Node | None:
    """The twin of a recorded node in a cut graph; None where an equal one is there already or a mark is passed through."""
    if node.constant is not None:
        copy = Node(value=_retyped(node.value, retype))
        copy.constant = _retyped(node.constant, retype)
        new[id(node)] = copy
        return None
    args, kwargs = mapped((node.args, dict(node.kwargs)), Node, lambda m: new[id(m)])
    if node.target is identity:
        new[id(node)] = args[0]
        return None
    if retype is not None:
        args, kwargs = mapped((args, kwargs), torch.dtype, lambda d: retype[1] if d == retype[0] else d)
    target = node.target.retyped(*retype) if retype is not None and isinstance(node.target, Composite) else node.target
    made = Node(target, args, kwargs, _retyped(node.value, retype))
    if not node.random and all(p.constant is not None for p in made.parents):
        plain_args, plain_kwargs = mapped((args, kwargs), Node, lambda m: m.constant)
        result = target(*plain_args, **plain_kwargs)
        folded = Node(value=made.value)
        folded.constant = result
        new[id(node)] = folded
        return None
    key = None if node.random else (node.target, _key_of(args), _key_of(kwargs))
    if key is not None and key in seen:
        new[id(node)] = seen[key]
        return None
    made.random = node.random
    new[id(node)] = made
    if key is not None:
        seen[key] = made
    return made


def _retyped(t: Any, retype: tuple[torch.dtype, torch.dtype] | None) -> Any:
    return t.to(retype[1]) if retype is not None and isinstance(t, Tensor) and t.dtype == retype[0] else t


def _key_of(x: Any) -> Any:
    """Arguments as something that can be compared and hashed: nodes by identity, numbers with their type."""
    if isinstance(x, Node):
        return ("node", id(x))
    if isinstance(x, (list, tuple)):
        return tuple(_key_of(i) for i in x)
    if isinstance(x, dict):
        return tuple((k, _key_of(v)) for k, v in x.items())
    return (type(x).__name__, repr(x))
