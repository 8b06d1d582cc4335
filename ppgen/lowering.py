"""Which machinery runs a recorded graph. Falls back aloud: what runs and why is in every Posterior's provenance.

    recorded   the graph, batched over chains and differentiated, run by torch as straight-line code
    eager      Pyro itself, one chain after the other: for programs that cannot be recorded
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import vmap

from .errors import EngineError
from .tape import Graph, Tape, cut

__all__ = ["LOWERINGS", "Compiled", "Lowering", "check_lowering", "compile_batched"]

LOWERINGS = ("auto", "recorded", "eager")


class Lowering(NamedTuple):
    """What runs, and why."""

    name: str
    reason: str


def check_lowering(name: str) -> None:
    if name not in LOWERINGS:
        raise EngineError(f"lowering must be one of {', '.join(LOWERINGS)}; got {name!r}")


class Compiled:
    """Value and gradient of a batch of chains as one graph of torch operations.

    `run(position)` with the data and parameters that `prepare` was given last.
    """

    def __init__(self, graph: Graph):
        self.graph = graph
        self.prepared: tuple = ()

    def prepare(self, slow: Sequence[Tensor]) -> None:
        """New data or parameters: what depends on them alone is computed here, once."""
        with torch.no_grad():
            self.prepared = self.graph.prepare(slow)

    def run(self, fast: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            return self.graph.run(self.prepared, fast)  # type: ignore[return-value]


def compile_batched(
    density: Callable[..., Tensor], chains: int, dim: int, slow: Mapping[str, Tensor], fast: Mapping[str, Tensor], like: Tensor
) -> Compiled:
    """Record value and gradient of `density(position (dim,), *slow, *fast) -> ()` for a number of chains.

    First vmap over the factor graph, then autograd over the batched one: vmap over a recorded gradient fails on slices of
    the position. Where vmap has no rule for an operation, chains run one after the other inside the graph.
    """
    generator = torch.Generator().manual_seed(3)
    position = (torch.rand(chains, dim, generator=generator, dtype=torch.float64) * 2 - 1).to(like)
    others = (*slow.values(), *fast.values())
    batched = vmap(density, in_dims=(0, *[None] * len(others)))

    def looped(q: Tensor, *rest: Tensor) -> Tensor:
        return torch.stack([density(x, *rest) for x in q])

    try:
        graph = _record_gradient(batched, position, slow, fast)
    except (RuntimeError, NotImplementedError):  # what functorch raises where an operation has no batching rule
        graph = _record_gradient(looped, position, slow, fast)
    compiled = Compiled(graph)
    compiled.prepare(list(slow.values()))
    return compiled


def _record_gradient(
    density: Callable[..., Tensor], position: Tensor, slow: Mapping[str, Tensor], fast: Mapping[str, Tensor]
) -> Graph:
    tape = Tape(differentiated=True)
    position = position.detach().clone()
    others = [t.detach().clone() for t in (*slow.values(), *fast.values())]
    tape.input(position, "position")
    for name, t in zip((*slow, *fast), others, strict=True):
        tape.input(t, name)
    with torch.enable_grad(), tape:
        q = position.detach().requires_grad_()
        value = density(q, *others)
        if value.requires_grad:
            (gradient,) = torch.autograd.grad(value.sum(), q, allow_unused=True)
        else:
            gradient = None
        if gradient is None:
            gradient = torch.zeros_like(q)
        value = value.detach()
    names = ["position", *slow, *fast]
    given = [tape.inputs[n] for n in names]
    outputs = [tape.node(value), tape.node(gradient)]
    return cut(tape, given, outputs, slow=range(1, 1 + len(slow)))
