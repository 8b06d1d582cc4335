"""What engines that learn unnormalised densities have in common: steps of an optimiser on a loss of the data's density."""

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..batches import Batches
from ..engine import Nothing, drive, require_positive
from ..epochs import Epochs
from ..errors import DataError
from ..keys import Key
from ..posterior import Posterior, require_memory
from ..program import Program
from ..provenance import provenance
from ..stopwatch import Stopwatch
from ..targets import LogDensity
from ..unobserved import Point, Unobserved
from ._descent import Descent, DescentEngine

__all__ = ["EnergyEngine", "EnergyTarget", "Info", "State"]


class State(NamedTuple):
    descent: Descent
    chains: dict[str, Tensor]  # of the negative phase


class Info(NamedTuple):
    losses: Tensor  # (1,)


class EnergyTarget(Unobserved):
    """The density of one datum with a loss of it, its gradient by the parameters, and the rows of each step.

    unit    (dim,): sds of the data's coordinates, in which losses and steps are counted
    """

    def __init__(self, program: Program, engine: "EnergyEngine", batches: Batches | None):
        super().__init__(program, dtype=engine.dtype, lowering=engine.lowering)
        self.batches = batches
        self.epochs = None if engine.batch_size is None else Epochs(program.minibatch(engine.batch_size), program)
        sd = self.rows.double().std(0, correction=0) if not self.discrete else torch.ones(self.dim, dtype=torch.float64)
        self.unit = torch.where(sd > 0, sd, sd[sd > 0].mean() if (sd > 0).any() else 1.0).to(self.device, self.dtype)
        self._loss = engine.loss
        self._runs: dict[str, Callable[[Sequence[Tensor]], Sequence[Tensor]]] = {}

    def batch(self, key: Key) -> Tensor:
        """The rows of the step that is the key's draw."""
        if self.batches is not None:
            return self.positions(self.batches.bound(key.draw))
        return self.rows if self.epochs is None else self.rows[next(iter(self.epochs.rows(key, key.draw).values()))]

    def run(self, name: str, function: Callable[..., Sequence[Tensor]], params: Point, *inputs: Tensor) -> Sequence[Tensor]:
        """A function of parameters and inputs, recorded at its first call."""
        if name not in self._runs:
            self._runs[name] = self.graph(function, params, *inputs)
        return self._runs[name]([*params.values(), *inputs])

    def log_densities(self, at: Tensor, params: Point) -> Tensor:
        """(n, dim) -> (n,), nats."""
        return self.run("log density", lambda params, at: [self.log_density(at, params)], params, at)[0]

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
class EnergyEngine(DescentEngine):
    """num_samples: draws of the data's discrete latent sites, where there are any, at what was learned. For the rest: DescentEngine."""

    num_samples: int = 1

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "num_samples")

    @abstractmethod
    def loss(self, target: EnergyTarget, params: Point, *inputs: Tensor) -> Tensor:
        """Of a step, (): what is recorded."""

    def run(self, program: Callable[..., Any] | Program, *args: Any, **kwargs: Any) -> Posterior:
        watch = Stopwatch()
        program, batches = self.fed(program, args, kwargs)
        require_memory(program, 1, self.num_samples, self.keep)
        target = self.target(program, batches)
        watch.lap("record", target)
        run = drive(self, target, watch=watch)
        descent: Descent = run.state.descent
        learned = {n: p.detach() for n, p in (descent.average or descent.params).items()}
        program.set_params(learned)
        draws = self._draws(program)
        watch.lap("collect", target)
        return Posterior(
            draws=draws,
            program=program,
            params=learned,
            losses=run.stats["losses"][0],
            provenance={**provenance(self, target, watch, run.interrupted), **self.outcome(run.stats)},
        )

    def outcome(self, stats: Mapping[str, Tensor]) -> dict[str, Any]:
        """What the provenance says besides, of the stats (1, steps, ...) of all steps. Warns of what went wrong."""
        return {}

    def _draws(self, program: Program) -> dict[str, Tensor]:
        """Of the discrete latent sites of the data, exact given the parameters."""
        names = [s.name for s in program.latent if self.keep is None or s.name in self.keep]
        if not names:
            return {}
        density = LogDensity(program, lowering="recorded")
        nowhere = torch.zeros(1, self.num_samples, 0, dtype=density.dtype, device=density.device)
        draws = density.latents(nowhere, Key(self.seed, self.num_steps, device=density.device))
        return {n: draws[n] for n in names}

    def target(self, program: Program, batches: Batches | None) -> EnergyTarget:
        return EnergyTarget(program, self, batches)

    def init(self, target: EnergyTarget, key: Key) -> tuple[State, Nothing]:
        return State(self.begun(target.params, target.params), {}), Nothing()

    def descended(self, target: EnergyTarget, state: State, key: Key, rows: Tensor, *inputs: Tensor) -> tuple[State, Info]:
        """One step of the optimiser."""
        at = state.descent
        self.rate(at, key.draw)
        loss = self.descend(at, lambda: target.descent(_detached(at.params), rows, *inputs))
        if not loss.isfinite():
            raise DataError(f"the loss is {float(loss)} at step {key.draw}: {target.fault(rows, _detached(at.params))}")
        self.average(at, at.params, key.draw)
        return state, Info(loss[None])

    def note(self, stats: Mapping[str, Tensor]) -> str:
        return f"loss {float(stats['losses'].mean()):,.3f}"


def _detached(params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {n: p.detach() for n, p in params.items()}
