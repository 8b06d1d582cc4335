"""Stochastic variational inference: a guide's parameters by gradient steps on the evidence lower bound.

    params <- optimiser(params, gradient of -ELBO),   ELBO = E_q[log p(x, z) - log q(z)]

Each step's noise and rows are read from the key, so a step can be taken again from a checkpoint. The gradient is unbiased
(reparameterised); enumerated sites are summed out exactly. Cost: one gradient of `num_particles` draws a step.
Sources: Hoffman et al., JMLR 14, 2013; Kingma & Welling, ICLR 2014; k-hat: Vehtari et al., JMLR 25, 2024.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..engine import Engine, Nothing, Run, drive, provenance
from ..errors import DataError, EngineError, GuideError
from ..keys import PROPOSAL, Key
from ..objective import Objective
from ..posterior import Posterior
from ..program import Program
from ..targets import LogDensity
from ._autoguide import by_name

__all__ = ["SVI", "Info", "State"]


class State(NamedTuple):
    params: dict[str, Tensor]  # unconstrained leaves, by name; the optimiser writes to them in place
    optimizer: torch.optim.Optimizer


class Info(NamedTuple):
    losses: Tensor  # (1,) negative ELBO of the step, nats


@dataclass(frozen=True, kw_only=True)
class SVI(Engine):
    """Fit a guide to a program, and the program's own learned parameters with it.

    guide          a program over the same sites; or normal, multivariate, delta (over the flat position); None is the
                   family's own guide, or multivariate for other programs of up to 100 dimensions and normal above
    num_steps      gradient steps; num_samples: draws from the fitted guide, as one chain with log weights
    num_particles  draws of the guide per step
    optimizer      the name of a torch optimiser, or a callable of the parameters
    learning_rate  at the first step, falling geometrically to `final_learning_rate` of it at the last (a callable
                   optimiser keeps its own)
    batch_size     rows per step; None takes all

    Errors: GuideError (sites that do not match), EngineError (settings), DataError (a loss that is not finite).
    """

    guide: str | Callable | None = None
    num_steps: int = 2000
    num_samples: int = 1000
    num_particles: int = 8
    optimizer: str | Callable = "Adam"
    learning_rate: float = 0.02
    final_learning_rate: float = 0.01
    batch_size: int | None = None

    @property
    def chains(self) -> tuple[int, ...]:
        return (0,)

    @property
    def warmup(self) -> int:
        return 0

    @property
    def total(self) -> int:
        return self.num_steps

    def run(self, program: Callable | Program, *args: Any, **kwargs: Any) -> Posterior:
        start = time.perf_counter()
        program = Program.of(program, *args, **kwargs).copy()
        target = self._objective(program, self.batch_size)
        run = drive(self, target)
        return self._posterior(program, target, run, start)

    def _objective(self, program: Program, batch_size: int | None) -> Objective:
        guide = self.guide
        if guide is None and program.family is None:
            guide = "multivariate" if program.dim <= 100 else "normal"
        flat = isinstance(guide, str)
        return Objective(
            program,
            by_name(guide) if isinstance(guide, str) else guide,
            flat=flat,
            key=Key(self.seed),
            num_particles=self.num_particles,
            batch_size=batch_size,
            dtype=self.dtype,
        )

    def init(self, target: Objective, key: Key) -> tuple[State, Nothing]:
        if not target.params:
            raise GuideError("nothing to learn: neither the model nor the guide has parameters")
        params = {n: p.clone().requires_grad_() for n, p in target.params.items()}
        return State(params, self._optimizer(list(params.values()))), Nothing()

    def _optimizer(self, leaves: list[Tensor]) -> torch.optim.Optimizer:
        if callable(self.optimizer):
            return self.optimizer(leaves)
        kind = getattr(torch.optim, self.optimizer, None)
        if not (isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)):
            raise EngineError(f"no optimiser named {self.optimizer!r} in torch.optim; give its name or a callable of the parameters")
        return kind(leaves, lr=self.learning_rate)

    def step(self, target: Objective, state: State, tuning: Nothing, key: Key) -> tuple[State, Info]:
        leaves = {n: p.detach() for n, p in state.params.items()}
        loss, gradient = target.value_and_grad(leaves, target.noise(key), target.rows(key))
        if not torch.isfinite(loss):
            raise DataError(
                f"the loss is {float(loss)} at step {key.draw}; a smaller learning_rate or a guide that starts nearer may help"
            )
        for n, p in state.params.items():
            p.grad = gradient[n]
        if not callable(self.optimizer):
            for group in state.optimizer.param_groups:
                group["lr"] = self.learning_rate * self.final_learning_rate ** (key.draw / max(self.num_steps - 1, 1))
        state.optimizer.step()
        return state, Info(loss[None])

    def adapt(self, target: Objective, state: State, info: Info, tuning: Nothing, key: Key) -> Nothing:
        return tuning

    def collect(self, state: State) -> dict[str, Tensor]:
        return {}

    def _posterior(self, program: Program, target: Objective, run: Run, start: float) -> Posterior:
        """Draws from the guide with their log weights on all rows, discrete sites drawn back."""
        begin = time.perf_counter()
        params = {n: p.detach() for n, p in run.state.params.items()}
        own = {n: p for n, p in params.items() if n in program.params}
        program.set_params(own)
        whole = target if self.batch_size is None else self._objective(program, None)
        key = Key(self.seed, self.num_steps)
        position, log_weights = whole.draws(params, key.at(PROPOSAL * 2**20), self.num_samples)
        density = LogDensity(program, dtype=torch.float64)
        draws = density.latents(position[None].to(torch.float64), key)
        point = whole.guide is not None and not whole.guide.jacobian
        seconds = {**target.seconds, **run.seconds, "collect": time.perf_counter() - begin, "total": time.perf_counter() - start}
        return Posterior(
            draws=draws,
            program=program,
            params=params,
            log_weights=None if point else log_weights[None],
            losses=run.stats["losses"][0],
            stats={},
            provenance=provenance(self, target, seconds, gradients=target.evaluations),
        )
