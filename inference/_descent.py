"""What engines that learn by gradient steps have in common: their settings, optimisers, rates, and the average of what was learned."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler, ReduceLROnPlateau

from ..batches import Batches, loader_among
from ..engine import SteppingEngine, require_positive
from ..errors import EngineError
from ..program import Program

__all__ = ["Descent", "DescentEngine"]


class Descent(NamedTuple):
    """Where learning stands. The optimiser writes to params in place, unconstrained leaves by name."""

    params: dict[str, Tensor]
    optimizer: torch.optim.Optimizer
    scheduler: LRScheduler | None
    average: dict[str, Tensor]  # of parameters, and of buffers where they are learned; empty without ema_decay


@dataclass(frozen=True, kw_only=True)
class DescentEngine(SteppingEngine):
    """Settings of learning.

    num_steps      gradient steps; batch_size: rows per step, in epochs without replacement; None takes all, or
                   what a DataLoader among the program's arguments gives
    optimizer      the name of a torch optimiser, or a callable of the parameters that makes one
    learning_rate  of the first half of the steps; over the second it falls geometrically to `final_learning_rate` of it (a
                   callable optimiser, and one with a scheduler, keeps its own)
    scheduler      a callable of the optimiser that makes a torch scheduler of learning rates, stepped after every step
    clip_norm      gradients whose norm (over all parameters) is larger are scaled down to it
    ema_decay      d of the average p <- d' p + (1 - d') parameters after each step, d' = min(d, (1 + t) / (10 + t)): what is learned is
                   the average; None learns the last ones
    """

    num_steps: int = 2000
    optimizer: str | Callable[[list[Tensor]], torch.optim.Optimizer] = "Adam"
    learning_rate: float = 0.003
    final_learning_rate: float = 0.01
    scheduler: Callable[[torch.optim.Optimizer], LRScheduler] | None = None
    batch_size: int | None = None
    clip_norm: float | None = None
    ema_decay: float | None = None

    def __post_init__(self) -> None:
        require_positive(self, "num_steps", *(["batch_size"] if self.batch_size is not None else []))
        name = type(self).__name__
        if not (self.learning_rate > 0 and self.final_learning_rate > 0):
            raise EngineError(f"{name}: learning rates must be positive, got {self.learning_rate} and {self.final_learning_rate}")
        if self.clip_norm is not None and not self.clip_norm > 0:
            raise EngineError(f"{name}: clip_norm must be positive, got {self.clip_norm}")
        if self.ema_decay is not None and not 0 <= self.ema_decay < 1:
            raise EngineError(f"{name}: ema_decay must lie between 0 and 1, got {self.ema_decay}")

    @property
    def chains(self) -> tuple[int, ...]:
        return (0,)

    @property
    def total(self) -> int:
        return self.num_steps

    def fed(self, program: Callable[..., Any] | Program, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Program, Batches | None]:
        """A program of its own given its arguments; where one is a DataLoader, given its first batch, and the batches."""
        loader = loader_among(args, kwargs)
        if loader is None:
            return Program.of(program, *args, **kwargs).copy(), None
        if self.batch_size is not None:
            raise EngineError("batch_size is the loader's own; leave it out of the engine")
        batches = Batches(program, loader, args, kwargs, self.seed)
        return batches.program.copy(), batches

    def begun(self, params: Mapping[str, Tensor], averaged: Mapping[str, Tensor]) -> Descent:
        """At these parameters; averaged: what ema_decay averages."""
        leaves = {n: p.clone(memory_format=torch.contiguous_format).requires_grad_() for n, p in params.items()}
        optimizer = self._optimizer(list(leaves.values()))
        average = {} if self.ema_decay is None else {n: p.clone() for n, p in averaged.items()}
        return Descent(leaves, optimizer, None if self.scheduler is None else self.scheduler(optimizer), average)

    def _optimizer(self, leaves: list[Tensor]) -> torch.optim.Optimizer:
        if callable(self.optimizer):
            return self.optimizer(leaves)
        kind = getattr(torch.optim, self.optimizer, None)
        if not (isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)):
            raise EngineError(f"no optimiser named {self.optimizer!r} in torch.optim; give its name or a callable of the parameters")
        # Two to ten times as fast; it takes every gradient for a contiguous one, and says nothing where one is not
        fused: dict[str, Any] = {"fused": True} if "fused" in inspect.signature(kind).parameters and all(map(_can_be_fused, leaves)) else {}
        return kind(leaves, lr=self.learning_rate, **fused)  # type: ignore[call-arg]

    def rate(self, at: Descent, step: int) -> float:
        """The learning rate of a step, which the optimiser has from now on."""
        if self.scheduler is None and not callable(self.optimizer):
            for group in at.optimizer.param_groups:
                group["lr"] = self.learning_rate * self.final_learning_rate ** max(0.0, 2 * (step + 1) / self.num_steps - 1)
        return float(at.optimizer.param_groups[0]["lr"])

    def descend(self, at: Descent, slope: Callable[[], tuple[Tensor, Mapping[str, Tensor]]]) -> Tensor:
        """One step of the optimiser, in place. slope: the loss and its gradient where the parameters are; LBFGS asks for it several
        times. Returns the loss, ()."""

        def closure() -> Tensor:
            loss, gradient = slope()
            for n, p in at.params.items():
                p.grad = gradient[n].contiguous()
            if self.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(at.params.values(), self.clip_norm)
            return loss

        loss: Tensor = cast("Any", at.optimizer).step(closure)
        if isinstance(at.scheduler, ReduceLROnPlateau):
            at.scheduler.step(loss)
        elif at.scheduler is not None:
            at.scheduler.step()
        return loss

    def average(self, at: Descent, now: Mapping[str, Tensor], step: int) -> None:
        """In place; the decay grows, so that where learning began is forgotten."""
        if self.ema_decay is not None:
            decay = min(self.ema_decay, (1 + step) / (10 + step))
            for n, p in at.average.items():
                p.lerp_(now[n].detach(), 1 - decay)


def _can_be_fused(p: Tensor) -> bool:
    return p.dtype in (torch.float32, torch.float64) and p.device.type in ("cpu", "cuda")
