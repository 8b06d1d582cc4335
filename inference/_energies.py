"""What engines that learn unnormalised densities have in common: steps of an optimiser on a loss of the data's density."""

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor

from ..engine import Nothing, SteppingEngine, drive, require_positive
from ..epochs import Epochs
from ..errors import DataError, EngineError
from ..keys import Key
from ..posterior import Posterior, require_memory
from ..program import Program
from ..provenance import provenance
from ..targets import LogDensity
from ..unobserved import Point, Unobserved

__all__ = ["EnergyEngine", "EnergyTarget", "Info", "State"]


class State(NamedTuple):
    params: dict[str, Tensor]  # unconstrained leaves, by name; the optimiser writes to them in place
    optimizer: torch.optim.Optimizer
    average: dict[str, Tensor]  # of the parameters, where ema_decay asks for it
    chains: dict[str, Tensor]  # of the negative phase


class Info(NamedTuple):
    losses: Tensor  # (1,)


class EnergyTarget(Unobserved):
    """The density of one datum with a loss of it, its gradient by the parameters, and the rows of each step.

    unit    (dim,): sds of the data's coordinates, in which losses and steps are counted
    """

    def __init__(self, program: Program, engine: "EnergyEngine"):
        super().__init__(program, dtype=engine.dtype, lowering=engine.lowering)
        self.epochs = None if engine.batch_size is None else Epochs(program.minibatch(engine.batch_size), program)
        sd = self.rows.double().std(0, correction=0) if not self.discrete else torch.ones(self.dim, dtype=torch.float64)
        self.unit = torch.where(sd > 0, sd, sd[sd > 0].mean() if (sd > 0).any() else 1.0).to(self.device, self.dtype)
        self._loss = engine.loss
        self._runs: dict[str, Callable[[Sequence[Tensor]], Sequence[Tensor]]] = {}

    def batch(self, key: Key) -> Tensor:
        """The rows of the step that is the key's draw."""
        return self.rows if self.epochs is None else self.rows[next(iter(self.epochs.rows(key, key.draw).values()))]

    def run(self, name: str, function: Callable[..., Sequence[Tensor]], params: Point, *inputs: Tensor) -> Sequence[Tensor]:
        """A function of parameters and inputs, recorded at its first call."""
        if name not in self._runs:
            self._runs[name] = self.graph(function, params, *inputs)
        return self._runs[name]([*params.values(), *inputs])

    def descent(self, params: Point, *inputs: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss () and its gradient by name."""
        self.evaluations += sum(len(t) for t in inputs[:1])
        loss, *gradient = self.run("loss", self._descent, params, *inputs)
        return loss, dict(zip(params, gradient, strict=True))

    def _descent(self, params: Point, *inputs: Tensor) -> list[Tensor]:
        loss = self._loss(self, params, *inputs)
        found: Any = torch.autograd.grad(loss, list(params.values()), allow_unused=True)
        return [loss, *(torch.zeros_like(p) if g is None else g for p, g in zip(params.values(), found, strict=True))]


@dataclass(frozen=True, kw_only=True)
class EnergyEngine(SteppingEngine):
    """Settings of learning.

    num_steps      gradient steps; batch_size: rows per step, in epochs without replacement; None takes all
    optimizer      the name of a torch optimiser, or a callable of the parameters that makes one
    learning_rate  of the first half of the steps; over the second it falls geometrically to `final_learning_rate` of it (a callable
                   optimiser keeps its own)
    num_samples    draws of the data's discrete latent sites, where there are any, at what was learned
    clip_norm      longest gradient; ema_decay: what is learned is the running mean of the parameters, of which a step keeps so much
    """

    num_steps: int = 2000
    num_samples: int = 1
    optimizer: str | Callable[[list[Tensor]], torch.optim.Optimizer] = "Adam"
    learning_rate: float = 0.003
    final_learning_rate: float = 0.01
    batch_size: int | None = None
    clip_norm: float | None = None
    ema_decay: float | None = None

    def __post_init__(self) -> None:
        require_positive(self, "num_steps", "num_samples", *(["batch_size"] if self.batch_size is not None else []))
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
    def warmup(self) -> int:
        return 0

    @property
    def total(self) -> int:
        return self.num_steps

    @abstractmethod
    def loss(self, target: EnergyTarget, params: Point, *inputs: Tensor) -> Tensor:
        """Of a step, (): what is recorded."""

    def run(self, program: Callable[..., Any] | Program, *args: Any, **kwargs: Any) -> Posterior:
        begin = time.perf_counter()
        program = Program.of(program, *args, **kwargs).copy()
        require_memory(program, 1, self.num_samples, self.keep)
        target = self.target(program)
        target.seconds["record"] += max(time.perf_counter() - begin - sum(target.seconds.values()), 0.0)  # whatever else came before
        run = drive(self, target)
        collecting = time.perf_counter()
        state: State = run.state
        learned = {n: p.detach() for n, p in (state.average or state.params).items()}
        program.set_params(learned)
        draws = self._draws(program)
        end = time.perf_counter()
        return Posterior(
            draws=draws,
            program=program,
            params=learned,
            losses=run.stats["losses"][0],
            provenance=provenance(self, target, {**run.seconds, "collect": end - collecting, "total": end - begin}, run.interrupted),
        )

    def _draws(self, program: Program) -> dict[str, Tensor]:
        """Of the discrete latent sites of the data, exact given the parameters."""
        names = [s.name for s in program.latent if self.keep is None or s.name in self.keep]
        if not names:
            return {}
        density = LogDensity(program, lowering="recorded")
        nowhere = torch.zeros(1, self.num_samples, 0, dtype=density.dtype, device=density.device)
        draws = density.latents(nowhere, Key(self.seed, self.num_steps, device=density.device))
        return {n: draws[n] for n in names}

    def target(self, program: Program) -> EnergyTarget:
        return EnergyTarget(program, self)

    def init(self, target: EnergyTarget, key: Key) -> tuple[State, Nothing]:
        params = {n: p.clone().requires_grad_() for n, p in target.params.items()}
        average = {} if self.ema_decay is None else {n: p.clone() for n, p in target.params.items()}
        return State(params, self._optimizer(list(params.values())), average, {}), Nothing()

    def _optimizer(self, leaves: list[Tensor]) -> torch.optim.Optimizer:
        if callable(self.optimizer):
            return self.optimizer(leaves)
        kind = getattr(torch.optim, self.optimizer, None)
        if not (isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)):
            raise EngineError(f"no optimiser named {self.optimizer!r} in torch.optim; give its name or a callable of the parameters")
        return kind(leaves, lr=self.learning_rate)  # type: ignore[call-arg]

    def descend(self, target: EnergyTarget, state: State, key: Key, rows: Tensor, *inputs: Tensor) -> tuple[State, Info]:
        """One step of the optimiser."""
        if not callable(self.optimizer):
            for group in state.optimizer.param_groups:
                group["lr"] = self.learning_rate * self.final_learning_rate ** max(0.0, 2 * (key.draw + 1) / self.num_steps - 1)

        def closure() -> Tensor:  # LBFGS calls it several times, at several parameters
            loss, gradient = target.descent({n: p.detach() for n, p in state.params.items()}, rows, *inputs)
            for n, p in state.params.items():
                p.grad = gradient[n]
            if self.clip_norm is not None:
                torch.nn.utils.clip_grad_norm_(state.params.values(), self.clip_norm)
            return loss

        loss: Tensor = cast("Any", state.optimizer).step(closure)
        if not loss.isfinite():
            raise DataError(f"the loss is {float(loss)} at step {key.draw}: {target.fault(rows, _detached(state.params))}")
        if self.ema_decay is not None:
            for n, p in state.params.items():
                state.average[n].lerp_(p.detach(), 1 - self.ema_decay)
        return state, Info(loss[None])

    def note(self, stats: Mapping[str, Tensor]) -> str:
        return f"loss {float(stats['losses'].mean()):,.3f}"


def _detached(params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n: p.detach() for n, p in params.items()}
