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
from .simplify import simplify
from .straightline import Graph, cut
from .tape import Tape

__all__ = ["LOWERINGS", "NO_BATCHING_RULE", "Lowering", "check_lowering", "differentiated", "over_batch"]

LOWERINGS = ("auto", "recorded", "eager")
NO_BATCHING_RULE = (RuntimeError, NotImplementedError)  # what functorch raises where an operation has none


class Lowering(NamedTuple):
    """What runs, and why."""

    name: str
    reason: str


def check_lowering(name: str) -> None:
    if name not in LOWERINGS:
        raise EngineError(f"lowering must be one of {', '.join(LOWERINGS)}; got {name!r}")


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


def differentiated(density: Callable[..., Tensor], position: Tensor, slow: Mapping[str, Tensor], fast: Mapping[str, Tensor]) -> Graph:
    """Value (chains,) and gradient (chains, dim) of `density(position (dim,), *slow, *fast) -> ()` as one graph of
    (*slow; position, *fast).

    position   (chains, dim): any point near which the density is defined

    First vmap over the factor graph, then autograd over the batched one: vmap over a recorded gradient fails on slices of
    the position. Where vmap has no rule for an operation, chains run one after the other inside the graph.
    """
    batched = vmap(density, in_dims=(0, *[None] * (len(slow) + len(fast))))

    def looped(q: Tensor, *rest: Tensor) -> Tensor:
        return torch.stack([density(x, *rest) for x in q])

    try:
        graph = _record_gradient(batched, position, slow, fast)
    except NO_BATCHING_RULE:
        graph = _record_gradient(looped, position, slow, fast)
    return simplify(graph)


def _record_gradient(density: Callable[..., Tensor], position: Tensor, slow: Mapping[str, Tensor], fast: Mapping[str, Tensor]) -> Graph:
    tape = Tape(differentiated=True)
    position = position.detach().clone()
    others = [t.detach().clone() for t in (*slow.values(), *fast.values())]
    given = [tape.input(position, "position")]
    given += [tape.input(t, name) for name, t in zip((*slow, *fast), others, strict=True)]
    with torch.enable_grad(), tape:
        q = position.detach().requires_grad_()
        value = density(q, *others)
        gradient = None
        if value.requires_grad:
            (gradient,) = torch.autograd.grad(value.sum(), q, allow_unused=True)
        if gradient is None:
            gradient = torch.zeros_like(q)
        value = value.detach()
    return cut(tape, given, [tape.node(value), tape.node(gradient)], slow=range(1, 1 + len(slow)))
