"""What Hamiltonian engines share: a warm-up that finds step size and metric.

    H(q, p) = -log p(q) + p' M^-1 p / 2,    p ~ Normal(0, M)

Warm-up is a row of windows, each of which ends with a new metric (_metric.py) and a search for the step size that goes with
it; in between, the step size is found by dual averaging, draw by draw (_trajectory.py).

Source: Hoffman & Gelman, JMLR 15, 2014 (dual averaging, algorithm 5).
"""

import math
import time
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ..engine import Advance, Block, Interrupt, require_positive
from ..errors import EngineError
from ..keys import Key
from ..progress import said_if_slow
from ..targets import LogDensity
from ._blocks import GAMMA, Averaging, Drawn, Sampler, State, Workshop, evaluate
from ._chains import ChainEngine
from ._metric import METRICS, Metric

__all__ = ["HamiltonianEngine", "Tuning", "crossing", "schedule"]

SEARCH, FIRST = 1, 2  # streams of the key
LAST_GAMMA = 0.2  # of dual averaging, where the metric has come to rest
AMBITION = 10.0  # times the step size that a search found is what dual averaging is drawn towards
GROWTH = 1.5  # of warm-up from one metric to the next
SEARCHES = 60  # doublings or halvings of a step size, at most


class Window(NamedTuple):
    """Draws of warm-up that a metric is still to come of, and gradients there, (chains, draws, dim)."""

    positions: Tensor
    gradients: Tensor

    def newest(self, count: int) -> "Window":
        return Window(*(x[:, x.shape[1] - count :] for x in self))


class Tuning(NamedTuple):
    step_size: Tensor  # (chains,)
    metric: Metric
    averaging: Averaging
    window: Window


@dataclass(frozen=True, kw_only=True)
class HamiltonianEngine(ChainEngine):
    """Settings of warm-up.

    num_warmup           draws per chain that adapt and are not kept
    target_accept_prob   acceptance rate that the step size is adapted to
    step_size            at the start of warm-up; None searches for one whose acceptance crosses 0.8
    metric               low_rank, diagonal or dense, by draws and gradients; variance or covariance, by draws alone (_metric.py)
    pooled               one metric from all chains together: it is learned sooner, but chains depend on each other
    threads              that run chains, where the density is machine code; None is as many as there are processors
    """

    num_warmup: int = 400
    target_accept_prob: float = 0.8
    step_size: float | None = None
    metric: str = "low_rank"
    pooled: bool = False
    threads: int | None = None

    FREE: ClassVar[frozenset[str]] = ChainEngine.FREE | {"threads"}

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.target_accept_prob < 1:
            raise EngineError(f"target_accept_prob must lie between 0 and 1, got {self.target_accept_prob}")
        if self.metric not in METRICS:
            raise EngineError(f"metric must be one of {', '.join(METRICS)}; got {self.metric!r}")
        if self.step_size is not None and not self.step_size > 0:
            raise EngineError(f"step_size must be positive, got {self.step_size}")
        if self.threads is not None:
            require_positive(self, "threads")

    @property
    @abstractmethod
    def sampler(self) -> Sampler: ...

    def init(self, density: LogDensity, key: Key) -> tuple[State, Tuning]:
        position = density.initial(key, at=self.start).to("cpu", torch.float64)
        state = State(position, *evaluate(density, position))
        return state, self.first_tuning(density, state, key)

    def first_tuning(self, density: LogDensity, state: State, key: Key) -> Tuning:
        metric = METRICS[self.metric].unit(state.position)
        step_size = torch.full_like(state.log_density, 1.0 if self.step_size is None else self.step_size)
        if self.step_size is None and density.dim:
            step_size = crossing(density, state, step_size, metric, key, FIRST)
        return Tuning(step_size, metric, _begin(step_size), _empty(state.position))

    def block(self, density: LogDensity, stop: Interrupt) -> Advance:
        begin = time.perf_counter()
        workshop = self.workshop(density, stop)
        with said_if_slow(f"compiling {type(self).__name__}, once on this machine", self.progress):
            workshop.compile()
        density.seconds["compile"] += time.perf_counter() - begin

        def advance(density: LogDensity, state: State, tuning: Tuning, key: Key, count: int, adapting: bool) -> Block:
            count = min(count, self._ahead(key.draw)) if adapting else count
            aim = self.target_accept_prob if adapting else 0.0
            gamma = LAST_GAMMA if adapting and self._last(key.draw) else GAMMA
            drawn = workshop.draw(state, tuning.step_size, tuning.averaging, tuning.metric, key, count, aim, gamma)
            made = drawn.positions.shape[1]
            if adapting and made:
                tuning = self._tuned(density, drawn, tuning, key, made)
            draws = {"position": drawn.positions.to(density.dtype), **drawn.others}
            return Block(drawn.state, tuning, draws, drawn.stats, made, False)

        return advance

    def workshop(self, density: LogDensity, stop: Interrupt) -> Workshop:
        return Workshop(density, self.sampler, stop.flag, self.threads)

    @property
    def windows(self) -> tuple[range, ...]:
        """Of warm-up: the draws that each new metric is estimated from. They may overlap; neither starts nor ends go back."""
        return schedule(self.num_warmup)

    def _ahead(self, draw: int) -> int:
        """Draws from here to where a window ends, or warm-up does."""
        return min((w.stop for w in self.windows if w.stop > draw), default=self.num_warmup) - draw

    def _last(self, draw: int) -> bool:
        """Is the step size alone left to adapt? Its swings are small then: the acceptance rate at the mean of wide swings is
        above the mean of their rates, 0.88 where 0.8 is asked for."""
        return bool(self.windows) and draw >= self.windows[-1].stop

    def _tuned(self, density: LogDensity, drawn: Drawn, tuning: Tuning, key: Key, made: int) -> Tuning:
        """After a block of warm-up, which may be the last of a window."""
        end = key.draw + made
        step_size, averaging, metric = drawn.step_size, drawn.averaging, tuning.metric
        window = Window(*(torch.cat(pair, 1) for pair in zip(tuning.window, (drawn.positions, drawn.gradients), strict=True)))
        ending = next((w for w in self.windows if w.stop == end), None)
        if ending is not None:
            metric = METRICS[self.metric].estimate(*window.newest(len(ending)), pooled=self.pooled)
            step_size = crossing(density, drawn.state, step_size, metric, key.at(end - 1), SEARCH)
            averaging = _begin(step_size, 1.0 if self._last(end) else AMBITION)
        elif end == self.num_warmup:
            step_size = averaging.average.exp()
        needed = max((end - w.start for w in self.windows if w.stop > end), default=0)
        return Tuning(step_size, metric, averaging, window.newest(max(needed, 0)))

    def note(self, stats: Mapping[str, Tensor]) -> str:
        if not stats["n_steps"].numel():
            return ""
        diverging = int(stats["diverging"].sum())
        text = f"step size {float(stats['step_size'][:, -1].median()):.2g}, {float(stats['n_steps'].double().mean()):.0f} steps a draw"
        return f"{text}, {diverging} diverging" if diverging else text


def crossing(density: LogDensity, state: State, step_size: Tensor, metric: Metric, key: Key, stream: int) -> Tensor:
    """Each chain's step size, doubled or halved until the acceptance of one leapfrog step crosses 0.8."""
    direction, going = torch.zeros_like(step_size), torch.ones_like(step_size, dtype=torch.bool)
    force = metric.to_whitened(state.gradient)
    for attempt in range(SEARCHES):
        momentum = key.normal(stream, state.position.shape, start=attempt * state.position.shape[1]).to(state.position)
        step = step_size[:, None]
        half = momentum + 0.5 * step * force
        value, gradient = evaluate(density, state.position + step * metric.to_position(half))
        end = half + 0.5 * step * metric.to_whitened(gradient)
        change = value - state.log_density - 0.5 * (end.square() - momentum.square()).sum(-1)
        sign = torch.where(change.nan_to_num(-math.inf, -math.inf) > math.log(0.8), 1.0, -1.0).to(step_size)
        direction = torch.where(direction == 0, sign, direction)
        going = going & (sign == direction)
        if not going.any():
            break
        step_size = torch.where(going, step_size * 2.0**direction, step_size)
    return step_size


@cache
def schedule(num_warmup: int) -> tuple[range, ...]:
    """A new metric after 10, 15, 22, 33, ... draws, each from the newer half of all draws so far; of the last fifth of warm-up,
    or its last 80 draws, the step size alone is adapted. Of a warm-up of less than 20 draws that is all."""
    if num_warmup < 20:
        return ()
    last = num_warmup - min(80, num_warmup // 5)
    ends, end = [], 10.0
    while end * GROWTH**0.5 < last:
        ends.append(int(end))
        end *= GROWTH
    return tuple(range(e - (e + 1) // 2, e) for e in (*ends, last))


def _begin(step_size: Tensor, ambition: float = AMBITION) -> Averaging:
    zero = torch.zeros_like(step_size)
    return Averaging((ambition * step_size).log(), zero, zero, zero)


def _empty(position: Tensor) -> Window:
    chains, dim = position.shape
    return Window(position.new_empty(chains, 0, dim), position.new_empty(chains, 0, dim))
