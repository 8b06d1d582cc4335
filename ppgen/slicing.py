"""What each site of a program depends on: read off a recording, slice by slice, or found by running the program again.

From a site's log probability, or from a deterministic value, a slice goes back to the values, parameters and arguments that enter
it, no further than to values that are sites themselves. Every edge found so is then tried: the value at its start is changed, all
others are held, and an edge along which nothing ever changes is struck.
"""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import networkx as nx
import torch
from torch import Tensor
from torch.distributions import Dirichlet, Distribution
from torch.utils._pytree import tree_flatten

from .bijections import bijection_of, unconstrained_shape
from .chains import chain_of
from .errors import RecordingError
from .expressions import Expressions, module_of
from .handler import Evaluation
from .program import Program
from .recording import name_inputs, seeded
from .sites import Latent, Site, bases, distribution_name
from .sources import FromUniform
from .straightline import Graph, Node, above, cut
from .tape import Steered, Tape, Watch

__all__ = ["ByRunning", "Slicing"]

HALVES = {"concentration1": 0, "concentration0": 1}
TRIED = 3  # other values of each node that an edge is tried with


class _Held(FromUniform):
    """Every latent site holds a value, discrete ones too, and keeps its distribution.

    held      values of sites; the others are uniform in unconstrained space, or, for a guide, which can always be sampled, drawn
    width     dimensions that a discrete value has, at least: one of its own to the left of all plates, as if it were enumerated.
              A number without dimensions that is used as an index would be read into Python
    """

    def __init__(self, *, held: Mapping[str, Any] | None = None, draw: bool = False, width: int = 0, **settings: Any):
        super().__init__(**settings)
        self.given, self.draw, self.width = held or {}, draw, width
        self.laws: dict[str, Any] = {}

    def latent_value(self, msg: Any) -> tuple[Any, Latent | None]:
        name = msg["name"]
        if name in self.given:
            value = self.given[name]
            discrete = msg["fn"].support.is_discrete
            latent = None if discrete else Latent(torch.Size(), value, None, None, None)
            if discrete:
                value = value.reshape((1,) * (self.width + msg["fn"].event_dim - value.dim()) + value.shape)
        elif self.draw and not msg["fn"].support.is_discrete:
            value = msg["fn"].sample()
            latent = Latent(torch.Size(), value, None, None, None)
        else:
            value, latent = super().latent_value(msg)
        return (value if latent is None else self.mark(value, name)), latent

    def _site(self, msg: Any, kind: str, raw: Any, latent: Latent | None) -> Site:
        self.laws[msg["name"]] = msg["fn"]
        return super()._site(msg, kind, raw, latent)


class _Graphing:
    """What both ways to a graph share: the nodes.

    result   the graph that is filled; method: of a module, None calls it
    """

    def __init__(self, program: Program, method: str | None, result: nx.DiGraph):
        self.program, self.method, self.result = program, method, result

    def run(self, **settings: Any) -> _Held:
        generator = torch.Generator().manual_seed(6)
        with seeded(6):
            return self.program.run(_Held, generator=generator, radius=1.0, method=self.method, draw=self.method is not None, **settings)

    def add_sites(self, run: Evaluation, laws: Mapping[str, Any]) -> None:
        self.result.graph["plates"] = {
            q.name: {"size": q.size, "subsample_size": q.subsample_size, "dim": q.dim}
            for q in sorted(run.plates.values(), key=lambda q: q.dim)
        }
        for site in run.sites.values():
            self.result.add_node(
                site.name,
                kind=site.kind,
                plates=site.plates,
                shape=tuple(site.shape),
                distribution=distribution_name(laws[site.name]) if site.kind != "deterministic" else "",
                arguments={},
                support=_text_of(site.support) if site.kind in ("latent", "observed", "conditioned") else "",
                discrete=bool(site.support is not None and site.support.is_discrete),
                local=site.kind == "latent" and self.program.data_plate in site.plates,
            )
            if chain_of(laws[site.name]) is not None and site.plates and run.plates[site.plates[-1]].size > 1:
                self.result.add_edge(site.name, site.name, lag=1, over=site.plates[-1])

    @property
    def arguments(self) -> dict[str, str]:
        """data:i -> the name of the argument that it is (part of); of a dict, its key there."""
        names = {}
        for name, argument in self.program.arguments.items():
            for key, value in (argument if isinstance(argument, Mapping) else {name: argument}).items():
                parts = tree_flatten(value)[0]
                for i, leaf in enumerate(self.program.leaves):
                    if isinstance(leaf, Tensor) and any(leaf is part for part in parts):
                        names[f"data:{i}"] = str(key)
        return names

    def add_source(self, name: str, value: Tensor | None, kind: str, count: int = 0) -> None:
        """A parameter or constant, unless it is there."""
        if name not in self.result:
            shape = () if value is None else tuple(value.shape)
            self.result.add_node(name, kind=kind, plates=(), shape=shape, **({"count": count} if count else {}))


class Slicing(_Graphing):
    """The graph from a recording. Raises RecordingError.

    wide   discrete values have a dimension of their own, as if they were enumerated
    """

    def __init__(self, program: Program, method: str | None, result: nx.DiGraph, wide: bool):
        super().__init__(program, method, result)
        self.wide = wide

    def fill(self) -> None:
        first = self.run()
        self._record({n: q.value for n, q in first.sites.items() if q.kind == "latent"})  # drawn before there is a tape
        self.result.graph["recorded"], self.result.graph["reason"] = True, ""
        self.add_sites(first, first.laws)
        self._name_nodes()
        self.slices: dict[str, _Slice] = {}
        for name in self.run_.sites:
            self._connect(name)
        self._strike()

    def _record(self, held: Mapping[str, Any]) -> None:
        width = self.program.nesting + 1 if self.wide else 0
        constant: frozenset[str] = frozenset()
        while True:
            self.tape = tape = Tape()
            leaves, params, rows = name_inputs(tape, self.program, constant)
            try:
                with Watch(tape), tape:
                    self.run_ = self.run(leaves=leaves, params=params, rows=rows, tape=tape, held=held, width=width)
                return
            except Steered as steered:
                if steered.names <= constant:
                    raise RecordingError(f"data {sorted(steered.names)} steer the program") from steered
                constant |= steered.names
            except (RuntimeError, ValueError, IndexError) as error:  # of the program, where values are wider than it expects
                raise RecordingError(f"the program fails while it is recorded: {str(error).splitlines()[0]}") from error

    def _name_nodes(self) -> None:
        """Names of marks, inputs and constants, as formulas show them."""
        names = self.arguments
        self.names: dict[int, str] = {}
        for node in self.tape.nodes:
            if node.mark is not None:
                self.names[id(node)] = node.mark.removeprefix("observed:")
            elif node.is_input and node.name is not None:
                kind, _, name = node.name.partition(":")
                self.names[id(node)] = names.get(node.name, node.name) if kind == "data" else name
        module = self.program.module
        self.buffers = {b.untyped_storage()._cdata: n for n, b in module.named_buffers() if b.numel()} if module is not None else {}
        self.formulas = Expressions(self.names, self._constant_name)
        # Parameters and arguments are moved before edges are tried: a weight that begins at 0 would hide what it multiplies
        generator = torch.Generator().manual_seed(8)
        named = [n for n in self.tape.nodes if id(n) in self.names]
        self.values = {id(n): n.value.detach() if n.mark is not None else _other_value(n.value.detach(), None, generator) for n in named}

    def _constant_name(self, t: Tensor) -> str | None:
        return self.buffers.get(t.untyped_storage()._cdata)

    def _connect(self, name: str) -> None:
        """Edges into a site from what its slice of the recording begins with, and the formulas of its arguments."""
        part = self._slice(name)
        if part is not None:
            self.slices[name] = part
            for node in part.given:
                if self.names[id(node)] != name:
                    self.result.add_edge(self._node_of(node), name)
        site = self.run_.sites[name]
        if site.kind == "deterministic":
            self.result.nodes[name]["arguments"] = {} if part is None else {"value": self.formulas.of(part.output)}
            return
        if site.kind == "factor":
            return
        for argument, node in _arguments_of(self.run_.laws[name], self.tape):
            self.result.nodes[name]["arguments"][argument] = self.formulas.of(node)
            if node.constant is not None:
                known = self._constant_name(node.constant)
                constant = known or f"{name}.{argument}"
                self.add_source(constant, node.constant, "constant")
                if known is None:
                    self.result.nodes[constant]["value"] = self.formulas.of(node)
                self.result.add_edge(constant, name)

    def _slice(self, name: str) -> "_Slice | None":
        """What a site computes, back to the named nodes that are reached first; None where it computes no tensor."""
        site = self.run_.sites[name]
        out = site.raw if site.kind == "deterministic" else site.log_prob
        if not isinstance(out, Tensor):
            return None
        output = self.tape.node(out)
        nodes = list(above([output], lambda n: id(n) in self.names))
        return _Slice(nodes, [n for n in nodes if id(n) in self.names], output)

    def _node_of(self, node: Node) -> str:
        """The name of a source as a node of the graph, which is added where it is no site."""
        name = self.names[id(node)]
        if node.mark is not None:
            return name
        kind, _, full = str(node.name).partition(":")
        if kind == "param":
            owner = module_of(full)
            if owner is None:
                self.add_source(full, node.value, "parameter", node.value.numel())
                return full
            members = [p for n, p in self.program.params.items() if module_of(n) == owner]
            self.add_source(owner, None, "parameter", sum(p.numel() for p in members))
            return owner
        self.add_source(name, node.value, "constant")
        return name

    # Trying the edges

    def _strike(self) -> None:
        """Removes the edges along which nothing changes, whatever the value at their start."""
        for name, part in self.slices.items():
            graph = cut(part, part.given, [part.output])
            values = [self.values[id(n)] for n in part.given]
            for source in {self._graph_name(n) for n in part.given} - {name}:
                if not self._moves(source, part, values, graph):
                    self.result.remove_edge(source, name)
        alone = [n for n, d in self.result.nodes.items() if d["kind"] in ("parameter", "constant") and not self.result.degree(n)]
        self.result.remove_nodes_from(alone)

    def _graph_name(self, node: Node) -> str:
        name = self.names[id(node)]
        return name if node.mark is not None else module_of(name) or name

    def _moves(self, source: str, part: "_Slice", values: list[Tensor], graph: Graph) -> bool:
        """Whether another value of the source changes the output; taken for granted where no other value is to be had."""
        mine = [i for i, n in enumerate(part.given) if self._graph_name(n) == source]
        generator = torch.Generator().manual_seed(7)
        hiding = [i for i, n in enumerate(part.given) if i not in mine and self._discrete(n)]
        with torch.no_grad():
            for attempt in range(TRIED):
                values = list(values)
                for i in hiding if attempt else ():  # a unit that is off would hide what it multiplies
                    values[i] = _other_value(values[i], self.run_.laws[self.names[id(part.given[i])]], generator)
                (before,) = graph(*values)
                others = list(values)
                for i in mine:
                    law = self.run_.laws.get(source) if part.given[i].mark is not None else None
                    others[i] = law.sample() if law is not None and self.method else _other_value(values[i], law, generator)
                if all(torch.equal(others[i], values[i]) for i in mine):
                    return True
                (after,) = graph(*others)
                if not _same(after, before):
                    return True
        return False

    def _discrete(self, node: Node) -> bool:
        """Whether a node holds the value of a discrete latent site."""
        site = self.run_.sites.get(str(node.mark))
        return (
            site is not None
            and site.kind in ("latent", "held")
            and str(node.mark) in self.run_.laws
            and self.run_.laws[str(node.mark)].support.is_discrete
        )


class _Slice(NamedTuple):
    """A part of a recording.

    nodes   in order; given: those with a name, where it begins, the site's own value among them; output: what the site computes
    """

    nodes: list[Node]
    given: list[Node]
    output: Node


class ByRunning(_Graphing):
    """The graph of a program that cannot be recorded: run again with one value changed and all others held."""

    def __init__(self, program: Program, method: str | None, result: nx.DiGraph, reason: str):
        super().__init__(program, method, result)
        self.reason = reason

    def fill(self) -> None:
        first = self.run()
        self.result.graph["recorded"], self.result.graph["reason"] = False, self.reason
        self.add_sites(first, first.laws)
        held = {n: s.value for n, s in first.sites.items() if s.kind == "latent"}
        generator = torch.Generator().manual_seed(7)
        for source, value in held.items():
            for _ in range(TRIED):
                after = self.run(held={**held, source: _other_value(value, first.laws[source], generator)})
                self._compare(source, first, after)
        for argument in self.arguments:
            for _ in range(TRIED):
                leaves = list(self.program.leaves)
                i = int(argument.removeprefix("data:"))
                leaves[i] = _other_value(leaves[i], None, generator)
                self._compare(self.arguments[argument], first, self.run(held=held, leaves=leaves), argument=leaves[i])

    def _compare(self, source: str, first: Evaluation, after: Evaluation, argument: Tensor | None = None) -> None:
        """Edges to the sites whose outcome is another one. A site that comes or goes with a value is reached by control flow."""
        for name in {**first.sites, **after.sites}:
            if name == source or name not in self.result:
                continue
            a, b = first.sites.get(name), after.sites.get(name)
            if a is not None and b is not None and _same(*[torch.as_tensor(_outcome(s)) for s in (a, b)]):
                continue
            if argument is not None and b is not None and b.kind == "observed" and torch.is_tensor(b.value) and b.value is argument:
                continue  # its own data
            if argument is not None:
                self.add_source(source, argument, "constant")
            self.result.add_edge(source, name, control=a is None or b is None)


def _outcome(site: Site) -> Any:
    return site.raw if site.kind == "deterministic" else site.log_prob


def _same(a: Tensor, b: Tensor) -> bool:
    return a.shape == b.shape and bool(((a == b) | (a.isnan() & b.isnan()) if a.is_floating_point() else a == b).all())


def _other_value(value: Tensor, law: Any, generator: torch.Generator) -> Tensor:
    """Another value of the same shape and, where the law is known, inside its support."""
    if law is not None and law.support.is_discrete:
        if law.has_enumerate_support and not law.event_dim:
            support = law.enumerate_support(expand=False)
            return support[int(torch.randint(len(support), (), generator=generator))].reshape(()).expand(value.shape).clone()
        drawn = law.sample()
        return drawn.reshape(value.shape) if drawn.numel() == value.numel() else drawn.expand(value.shape).clone()
    if law is not None and value.is_floating_point():  # a Delta may be at whole numbers and say that its support is the reals
        transform = bijection_of(law)
        shape = unconstrained_shape(transform, value.shape)
        return transform(torch.rand(shape, generator=generator, dtype=value.dtype) * 2 - 1)
    if value.dtype == torch.bool:
        return ~value
    if not value.is_floating_point() or bool((value == value.round()).all() and (value != value.flatten()[:1]).any()):
        # whole numbers may be indices, in whatever type: the same ones in another order
        return value.flatten()[torch.randperm(value.numel(), generator=generator)].reshape(value.shape)
    return value * (1 + 0.1 * torch.rand(value.shape, generator=generator, dtype=value.dtype)) + 0.01


def _arguments_of(law: Any, tape: Tape) -> list[tuple[str, Node]]:
    """What a distribution was made of, by name and in the order of its signature, as the user gave it."""
    wrapped = list(bases(law))
    for i, base in enumerate(wrapped):
        names = dict.fromkeys([*inspect.signature(type(base).__init__).parameters, *getattr(base, "arg_constraints", {})])
        if found := [(name, node) for name in names for node in _kept(name, [base, *_parts_of(base), *wrapped[i + 1 :]], tape)]:
            return found
    return []


def _kept(name: str, places: Sequence[Any], tape: Tape) -> list[Node]:
    """The value of one argument, where a distribution or one that it is made of has kept it."""
    for place in places:
        value, given = place.__dict__.get(name), place.__dict__.get("_param")
        made = name in ("probs", "logits") and given is not None and value is not given  # of each other, on first use
        if isinstance(value, Tensor) and not made:
            return [tape.node(value)]
        if isinstance(place, Dirichlet) and name in HALVES:  # a beta law is a law of two shares
            whole = tape.node(place.concentration)
            while whole.target is torch.ops.aten.expand.default:
                whole = whole.args[0]
            if whole.constant is not None:
                return [tape.node(whole.constant[..., HALVES[name]])]
            if whole.target is torch.ops.aten.stack.default:
                return [whole.args[0][HALVES[name]]]
    return []


def _parts_of(law: Any) -> list[Any]:
    parts = [v for v in law.__dict__.values() if isinstance(v, Distribution)]
    return [*parts, *(inner for part in parts for inner in _parts_of(part))]


def _text_of(support: Any) -> str:
    text = str(support)
    return text.removesuffix("()").replace("IndependentConstraint", "").strip("()").split(",")[0] if support is not None else ""
