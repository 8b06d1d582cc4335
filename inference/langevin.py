"""Langevin dynamics, unadjusted: drift uphill and add noise, and accept whatever comes.

    overdamped    q' = q + step_size M^-1 grad log p(q) + sqrt(2 step_size) Normal(0, M^-1)             (ULA)
    underdamped   a kick, half a drift, friction and noise, half a drift, a kick; a momentum is kept    (BAOAB)

Nothing is rejected, so the law of the draws is not p: means under it are off by c step_size for overdamped steps and by c step_size^2 for
underdamped ones, however many draws there are; MALA has no such bias, at the price of a test. Of a normal density the overdamped variance
is 1 / (1 - step_size / 2) times too large, in units of the metric, and the underdamped one is right. One gradient a step, of a minibatch
where `batch_size` says so (SGLD): its noise makes the variance 1 + step_size V / 2 times as large at most, for gradients of covariance V in
units of the posterior's precision; less as rows come in epochs, in which it adds up to nothing.

Sources: Rossky, Doll & Friedman, J. Chemical Physics 69, 1978; Roberts & Tweedie, Bernoulli 2(4), 1996 (ULA); Leimkuhler & Matthews,
Applied Mathematics Research eXpress 2013(1) (BAOAB); Welling & Teh, ICML 2011 (SGLD).
"""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ..engine import Advance, Block, Interrupt, require_positive
from ..epochs import Epochs
from ..errors import EngineError
from ..keys import Key
from ..program import Program
from ..targets import LogDensity
from . import _langevin, hmc
from ._blocks import Sampler, processors
from ._hamiltonian import HamiltonianEngine, Tuning
from ._langevin import Field, Law, State, Walked, native_walk, torch_walk

__all__ = ["Langevin", "Score", "Walkers"]

Score = Callable[[Tensor], Tensor]  # position (chains, *event) -> gradient of a log density there, the same shape
KINDS = ("overdamped", "underdamped")
DIAGONAL = ("diagonal", "variance")
MOMENTUM = 6  # stream of the key
LARGEST_STEP = 0.1  # that warm-up finds, of overdamped chains
LARGEST = 2**24  # numbers that the draws of one block may hold


class Walkers(NamedTuple):
    """Chains that `Langevin.transition` moves.

    position   (chains, *event)
    momentum   the same, of underdamped chains
    """

    position: Tensor
    momentum: Tensor | None = None


@dataclass(frozen=True, kw_only=True)
class Langevin(HamiltonianEngine):
    """For very many chains, for gradients that no density is known of (`transition`), and for more rows than fit into a gradient.

    kind                 overdamped or underdamped
    step_size            of every step, in units of the sites (unconstrained). None: warm-up, which then is MALA's, finds a diagonal metric
                         and the step at which MALA accepts target_accept_prob of its proposals, of which half is taken, and of an
                         overdamped one no more than makes a normal's sd 2.6 % too large. That rate is what there is to adapt to: what MALA
                         rejects is what these steps do wrong
    friction             of underdamped steps, in units of the inverse of time (step_size is a time)
    steps_per_draw       steps from one draw to the next
    decay                draw t after warm-up has step_size (1 + t)^-decay: above 0.5 and up to 1 the bias goes, slowly. The stats hold each
                         draw's step size, in proportion to which means over such draws are to be weighted
    batch_size           rows that a step sees, scaled up; the same rows for all chains, in epochs. It needs a step_size
    """

    kind: str = "overdamped"
    metric: str = "diagonal"
    friction: float = 1.0
    steps_per_draw: int = 20
    decay: float = 0.0
    batch_size: int | None = None

    ADVICE: ClassVar[str] = "make num_warmup, num_samples or steps_per_draw longer, or look for several modes"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "steps_per_draw")
        if self.kind not in KINDS:
            raise EngineError(f"kind must be one of {', '.join(KINDS)}; got {self.kind!r}")
        if self.metric not in DIAGONAL:
            raise EngineError(f"Langevin: metric must be one of {', '.join(DIAGONAL)}; got {self.metric!r}")
        if not self.friction > 0:
            raise EngineError(f"friction must be positive, got {self.friction}")
        if not 0 <= self.decay <= 1:
            raise EngineError(f"decay must lie between 0 and 1, got {self.decay}")
        if self.batch_size is not None:
            require_positive(self, "batch_size")
            if self.step_size is None:
                raise EngineError("with batch_size, Langevin needs a step_size: no acceptance rate can be had from some of the rows")

    @property
    def sampler(self) -> Sampler:
        """Of warm-up: MALA."""
        return hmc.sampler(trajectory_length=1.0, jitter=0.0, max_num_steps=1)

    @property
    def windows(self) -> tuple[range, ...]:
        return super().windows if self.step_size is None else ()

    @property
    def _friction(self) -> float | None:
        return self.friction if self.kind == "underdamped" else None

    def check(self, program: Program) -> None:
        super().check(program)
        if self.step_size is None and not self.num_warmup:
            raise EngineError("Langevin finds its step size in warm-up; give step_size, or num_warmup of at least 1")

    def target(self, program: Program, dtype: torch.dtype) -> LogDensity:
        if self.batch_size is None:
            return super().target(program, dtype)
        return MinibatchDensity(program, self.batch_size, self.seed, dtype, self.lowering)

    def init(self, density: LogDensity, key: Key) -> tuple[State, Tuning]:  # type: ignore[override]
        start, tuning = super().init(density, key)
        momentum = key.normal(MOMENTUM, start.position.shape).to(start.position)
        return State(start.position, start.log_density, start.gradient, momentum), tuning

    def block(self, density: LogDensity, stop: Interrupt) -> Advance:
        adapted = super().block(density, stop) if self.step_size is None else None
        walk = self._walk(density)

        def advance(density: LogDensity, state: State, tuning: Tuning, key: Key, count: int, adapting: bool) -> Block:
            if adapting and adapted is not None:
                block = adapted(density, state, tuning, key, count, adapting)
                return block._replace(state=state._replace(**block.state._asdict()))
            count = min(count, max(1, LARGEST // max(1, state.position.numel())))
            law = Law(self._friction, self._step_size(tuning), tuning.metric.scale, self.decay, self.num_warmup)
            made = walk(state, law, key, count)
            density.evaluations += count * self.steps_per_draw * self.num_chains
            draws = {"position": made.positions.to(density.dtype)}
            return Block(made.state, tuning, draws, self._stats(made, law, key), count, False)

        return advance

    def _step_size(self, tuning: Tuning) -> Tensor:
        """(chains,): MALA's is a leapfrog's, whose half square is the overdamped one."""
        if self.step_size is not None:
            return tuning.step_size
        half = tuning.step_size / 2
        return half if self.kind == "underdamped" else (half.square() / 2).clamp(max=LARGEST_STEP)

    def _walk(self, density: LogDensity) -> Callable[[State, Law, Key, int], Walked]:
        steps, kernel = self.steps_per_draw, density.native
        if kernel is not None:
            begin = time.perf_counter()
            _langevin.run.load()
            density.seconds["compile"] += time.perf_counter() - begin
            pool = self.pool()
            return lambda state, law, key, count: native_walk(kernel, pool, density.dtype, state, law, key, count, steps)

        def batched(state: State, law: Law, key: Key, count: int) -> Walked:
            """On the density's device, in its precision."""
            there = State(*(t.to(density.device, density.dtype) for t in state))
            law = law._replace(**{n: getattr(law, n).to(there.position) for n in ("step_size", "scale")})
            made = torch_walk(_field(density), there, law, key, count, steps)
            state = State(*(t.to("cpu", torch.float64) for t in made.state))
            return Walked(state, *(t.cpu() for t in made[1:]))

        return batched

    def pool(self) -> ThreadPoolExecutor:
        """Threads that chains are shared among."""
        return ThreadPoolExecutor(self.threads or processors(), "chain")

    def _stats(self, made: Walked, law: Law, key: Key) -> dict[str, Tensor]:
        chains, draws = made.log_densities.shape
        sizes = [law.size(key.draw + d) for d in range(draws)]
        steps = torch.full((chains, draws), self.steps_per_draw)
        return {"diverging": made.diverging, "n_steps": steps, "step_size": torch.stack(sizes, 1).cpu(), "lp": made.log_densities}

    def whole(self, density: LogDensity) -> LogDensity:
        return density.full if isinstance(density, MinibatchDensity) else density

    # Steps on any gradient

    def transition(self, score: Score, walkers: Walkers, key: Key, steps: int = 1, *, step_size: float | Tensor | None = None) -> Walkers:
        """Chains after some steps along a score, which needs no density: the gradient of an energy, a learned score.

        score       (chains, *event) -> (chains, *event); a value that is no number keeps its chain where it is
        key         its chains are the walkers'; another draw of it gives other noise
        step_size   a number or (chains,), in place of the engine's

        Underdamped walkers without a momentum get one. Takes steps + 1 gradients. Raises EngineError: no step size.
        """
        step = self.step_size if step_size is None else step_size
        if step is None:
            raise EngineError("a transition has no warm-up that finds a step size; give step_size")
        position = walkers.position
        momentum = walkers.momentum
        if momentum is None:
            momentum = torch.zeros_like(position) if self._friction is None else key.normal(MOMENTUM, position.shape).to(position)
        zeros = position.new_zeros(len(position))

        def field(q: Tensor, step: int) -> tuple[Tensor, Tensor]:
            return zeros, score(q)

        law = Law(self._friction, torch.as_tensor(step).to(position).expand(len(position)), torch.ones_like(position))
        start = State(position, *field(position, 0), momentum)
        end = torch_walk(field, start, law, key, 1, steps).state
        return Walkers(end.position, None if self._friction is None else end.momentum)


class MinibatchDensity(LogDensity):
    """The log density of a program that shows but some of its rows, others at every step.

    full   the density with all rows, on whose sites draws are read
    """

    def __init__(self, program: Program, batch_size: int, seed: int, dtype: torch.dtype, lowering: str):
        self.full = LogDensity(program, dtype=dtype, lowering="recorded" if lowering == "auto" else lowering)
        super().__init__(program.minibatch(batch_size), dtype=dtype, lowering=self.full.lowering.name)
        self.epochs = Epochs(self.program, program)
        if local := [s.name for s in self.program.latent if self.epochs.plates & set(s.plates)]:
            raise EngineError(
                f"{', '.join(map(repr, local))} belongs to the rows of a minibatch, other ones at every step; leave batch_size out, or "
                "learn a guide by SVI"
            )
        self.key = Key(seed, device=self.device)


def _field(density: LogDensity) -> Field:
    if not isinstance(density, MinibatchDensity):
        return lambda position, step: density.value_and_grad(position)
    return lambda position, step: density.shown(density.epochs.rows(density.key, step)).value_and_grad(position)
