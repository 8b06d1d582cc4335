"""Modules that are being learned run in training mode; what they write to their buffers is state of the engine.

Dropout is drawn, batch norm normalises by the batch and keeps a running mean: only while an objective learns them. Sampling, scoring
and all else see them in evaluation mode. A module in which that makes no difference is left as it is.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from .handler import Evaluation
from .program import Program
from .recording import seeded
from .straightline import leaves, mapped

__all__ = ["Training", "in_training"]

aten = torch.ops.aten
NORMALISED = {aten.native_batch_norm.default, aten.cudnn_batch_norm.default, aten.miopen_batch_norm.default}
RUNNING = (3, 4)  # places of their running mean and variance, which they write without saying so


class Training(NamedTuple):
    """How modules run while they learn, in training mode besides. autocast: what networks compute in (mixed_precision.py)."""

    autocast: torch.dtype | None = None


class Operations(TorchDispatchMode):
    """What a run does, tensors left out, and the memory to which it writes."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:  # otherwise the first use imports torch._dynamo (1 s)
        return False

    def __init__(self) -> None:
        super().__init__()
        self.done: list[Any] = []
        self.written: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        kwargs = dict(kwargs or {})
        plain = {k: v for k, v in kwargs.items() if k != "generator"}
        self.done.append((func, mapped((args, plain), Tensor, lambda t: t.shape)))
        places = [a.name for a in func._schema.arguments if a.alias_info is not None and a.alias_info.is_write]
        if places:
            named = {**dict(zip((a.name for a in func._schema.arguments), args, strict=False)), **kwargs}
            self._writes([named.get(n) for n in places])
        if func in NORMALISED and args[5]:
            self._writes([args[i] for i in RUNNING])
        return func(*args, **kwargs)

    def _writes(self, to: list[Any]) -> None:
        self.written |= {t.untyped_storage()._cdata for t in leaves(to, Tensor)}


def in_training(program: Program, run: Callable[[Program], Evaluation], training: Training) -> Program:
    """The program with its module in training mode while it runs, and with the buffers that it then writes as its `state`; or the
    program itself, where its module does the same in both modes. `run` runs it."""
    if training.autocast is not None:
        program = copy.copy(program)
        program.autocast = training.autocast
    if program.module is None:
        return program
    other = copy.copy(program)
    other.trained = True
    other.state = frozenset(n for n, _ in program.module.named_buffers())
    before, after = Operations(), Operations()
    with seeded(0), before:
        run(program)
    with seeded(0), after:
        buffers = run(other).buffers
    if before.done == after.done:
        return program
    other.state = frozenset(n for n, (old, new) in buffers.items() if new is not old or new.untyped_storage()._cdata in after.written)
    return other
