"""Which machinery runs a recorded graph. Falls back aloud: what runs and why is in every Posterior's provenance.

native     the graph as machine code (ppgen/native), a point at a time; on the CPU
inductor   the graph, batched over points, compiled by torch.compile; seconds to compile, so for the GPU and for long runs
recorded   the graph, batched over points, run by torch as straight-line code
eager      Pyro itself, one point after the other: for programs that cannot be recorded
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor
from torch.func import vmap

from .errors import EngineError, LoweringError
from .simplify import simplify
from .straightline import Graph, Node, cut
from .tape import Tape

if TYPE_CHECKING:
    from .native.kernel import BoundKernel

__all__ = [
    "LOWERINGS",
    "NO_BATCHING_RULE",
    "Lowered",
    "Lowering",
    "Run",
    "check_lowering",
    "choose",
    "differentiated",
    "lower",
    "over_batch",
    "over_rows",
]

LOWERINGS = ("auto", "native", "inductor", "recorded", "eager")
NO_BATCHING_RULE = (RuntimeError, NotImplementedError)  # what functorch raises where an operation has none
PRODUCTS = {"mm", "bmm", "addmm", "baddbmm"}
# Multiplications of one product of matrices, from which torch's library is faster than loops: from 2 to 4 million in a
# network of three layers
LARGE = 3 * 2**20
WIDE = 8  # columns, and rows, from which a product is one of matrices

Built = TypeVar("Built")
Run = Callable[[Sequence[Tensor]], Sequence[Tensor]]  # fast inputs -> outputs


class Lowering(NamedTuple):
    """What runs, and why."""

    name: str
    reason: str


WHY = {
    "native": "the graph as machine code",
    "inductor": "the graph, batched over chains, compiled by torch",
    "recorded": "the graph, batched over chains, run by torch",
}


def check_lowering(name: str) -> None:
    if name not in LOWERINGS:
        raise EngineError(f"lowering must be one of {', '.join(LOWERINGS)}; got {name!r}")


def choose(asked: str, device: torch.device, build: Callable[[str], Built]) -> tuple[Built, Lowering]:
    """The first lowering that `build` can do: the one asked for, or, for auto, what is fastest on the device, then the next.

    Raises LoweringError: what was asked for cannot be.
    """
    if asked != "auto":
        return build(asked), Lowering(asked, "asked for")
    reasons: list[str] = []
    for name in ("native", "recorded") if device.type == "cpu" else ("inductor", "recorded"):
        try:
            return build(name), Lowering(name, "; ".join([*reasons, WHY[name]]))
        except LoweringError as error:
            reasons.append(f"not {name}: {error}")
    raise LoweringError("; ".join(reasons))


# What runs a graph of (*slow; *fast) inputs


class Lowered(Protocol):
    """A graph in some lowering."""

    def prepare(self, slow: Sequence[Tensor]) -> Run:
        """What depends on slow inputs alone is computed, once."""


class Recorded:
    """By torch, as straight-line code."""

    def __init__(self, graph: Graph):
        self.graph = graph

    def prepare(self, slow: Sequence[Tensor]) -> Run:
        with torch.no_grad():
            return partial(self._run, self.graph.prepare(slow))

    def _run(self, prepared: tuple[Any, ...], fast: Sequence[Tensor]) -> Sequence[Tensor]:
        with torch.no_grad():
            return self.graph.run(prepared, fast)


class Native:
    """As machine code."""

    def __init__(self, graph: Graph, dtype: torch.dtype):
        from .native.kernel import Kernel  # LLVM is loaded where it is used

        self.graph, self.kernel = graph, Kernel(graph, dtype)

    def prepare(self, slow: Sequence[Tensor]) -> "BoundKernel":
        with torch.no_grad():
            return self.kernel.bind(self.graph.prepare(slow))


def lower(name: str, graph: Graph, dtype: torch.dtype, asked: str) -> Lowered:
    """A graph as a lowering runs it; asked: that lowering, or auto. Raises LoweringError for a graph that it cannot run, and, where
    it was not asked for, for one that the next runs faster."""
    if name == "native":
        if asked == "auto" and (count := max(map(_multiplications, graph.body), default=0)) > LARGE:
            raise LoweringError(f"torch is faster at a matrix product of {count:,} multiplications")
        return Native(graph, dtype)
    if name == "inductor":
        from .inductor import Inductor  # and torch._dynamo with it, a second

        return Inductor(graph)
    return Recorded(graph)


def _multiplications(node: Node) -> int:
    """Of a product of matrices; 0 of everything else, products with a vector among it, for which memory sets the pace."""
    if getattr(node.target, "_opname", "") not in PRODUCTS or min(node.value.shape[-2:]) < WIDE:
        return 0
    return int(node.value.numel() * node.args[-2].value.shape[-1])


def over_batch(f: Callable[..., Sequence[Tensor]], given: Sequence[Tensor], count: int) -> tuple[Tensor, ...]:
    """f over the leading dimension of every tensor: by vmap, or one after the other where an operation has no batching rule."""
    with torch.no_grad():
        if not given:
            return tuple(o.expand(count, *o.shape) for o in f())
        try:
            return tuple(vmap(f, randomness="different")(*given))
        except NO_BATCHING_RULE:
            rows = [f(*(g[i] for g in given)) for i in range(count)]
            return tuple(torch.stack(o) for o in zip(*rows, strict=True))


def over_rows(f: Callable[..., Sequence[Tensor]], mapped: Sequence[Tensor], fixed: Sequence[Tensor]) -> list[Tensor]:
    """The same of mapped inputs while it is recorded, with others that are the same for all."""
    try:
        return list(vmap(f, in_dims=(*[0] * len(mapped), *[None] * len(fixed)))(*mapped, *fixed))
    except NO_BATCHING_RULE:
        rows = [f(*(m[i] for m in mapped), *fixed) for i in range(len(mapped[0]))]
        return [torch.stack(column) for column in zip(*rows, strict=True)]


def differentiated(
    density: Callable[..., Tensor],
    position: Tensor,
    slow: Mapping[str, Tensor],
    fast: Mapping[str, Tensor],
    held: Tensor | None = None,
) -> Graph:
    """Value (chains,) and gradient (chains, dim) of `density(position (dim,), held, *slow, *fast) -> ()` as one graph of
    (*slow; position, held, *fast).

    position   (chains, dim): any points near which the density is defined; or one, (dim,), for a value () and a gradient (dim,)
    held       (chains, elements) or (elements,): a second input of that kind, if there is one, that is not differentiated by

    First vmap over the factor graph, then autograd over the batched one: vmap over a recorded gradient fails on slices of
    the position. Where vmap has no rule for an operation, chains run one after the other inside the graph.
    """
    if position.dim() == 1:
        return simplify(_record_gradient(density, position, slow, fast, held))
    points = 1 if held is None else 2
    batched = vmap(density, in_dims=(*[0] * points, *[None] * (len(slow) + len(fast))))

    def looped(*inputs: Tensor) -> Tensor:
        return torch.stack([density(*at, *inputs[points:]) for at in zip(*inputs[:points], strict=True)])

    try:
        graph = _record_gradient(batched, position, slow, fast, held)
    except NO_BATCHING_RULE:
        graph = _record_gradient(looped, position, slow, fast, held)
    return simplify(graph)


def _record_gradient(
    density: Callable[..., Tensor], position: Tensor, slow: Mapping[str, Tensor], fast: Mapping[str, Tensor], held: Tensor | None
) -> Graph:
    tape = Tape(differentiated=True)
    position = position.detach().clone()
    named = {**({} if held is None else {"held": held}), **slow, **fast}
    others = [t.detach().clone() for t in named.values()]
    given = [tape.input(position, "position")]
    given += [tape.input(t, name) for name, t in zip(named, others, strict=True)]
    with torch.enable_grad(), tape:
        q = position.detach().requires_grad_()
        value = density(q, *others)
        gradient = None
        if value.requires_grad:
            (gradient,) = torch.autograd.grad(value.sum(), q, allow_unused=True)
        if gradient is None:
            gradient = torch.zeros_like(q)
        value = value.detach()
    stop = len(named) + 1 - len(fast)
    return cut(tape, given, [tape.node(value), tape.node(gradient)], slow=range(stop - len(slow), stop))
