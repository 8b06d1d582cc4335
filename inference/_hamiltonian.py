"""What Hamiltonian engines share: the leapfrog step, the metric, and a warm-up that finds step size and metric.

    H(q, p) = -log p(q) + p' M^-1 p / 2,    p ~ Normal(0, M)

The inverse mass matrix M^-1 estimates the posterior's covariance. Warm-up is Stan's: a fast phase, windows that double and
end with a new metric, a last phase for the step size, which is found by dual averaging.

Sources: Hoffman & Gelman, JMLR 15, 2014 (dual averaging, algorithm 5); Stan Reference Manual, "Automatic parameter tuning"
(phases, regularisation); Welford, Technometrics 4(3), 1962 (moments).
"""

import math
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from ..errors import EngineError
from ..keys import Key
from ..targets import LogDensity
from ._chains import ChainEngine

__all__ = ["HamiltonianEngine", "Metric", "Phase", "State", "Tuning", "leapfrog"]

MOMENTUM, SEARCH, FIRST = 0, 1, 2  # streams of the key; the engines' own begin at 3
SEARCHES = 60  # doublings or halvings of a step size, at most
DIVERGENCE = 1000.0  # nats of energy error


class State(NamedTuple):
    position: Tensor  # (chains, dim), unconstrained
    log_density: Tensor  # (chains,), nats, up to a constant
    gradient: Tensor  # (chains, dim)


class Metric(NamedTuple):
    """The inverse mass matrix of each chain and its root L, M^-1 = L L': (chains, dim) where it is diagonal, else
    (chains, dim, dim) with L lower triangular."""

    inverse_mass_matrix: Tensor
    root: Tensor

    @classmethod
    def of(cls, inverse_mass_matrix: Tensor) -> "Metric":
        dense = inverse_mass_matrix.dim() == 3
        return cls(inverse_mass_matrix, torch.linalg.cholesky(inverse_mass_matrix) if dense else inverse_mass_matrix.sqrt())

    def momentum(self, normal: Tensor) -> Tensor:
        """Standard normals (chains, dim) as momenta: L'^-1 z has covariance M."""
        if self.root.dim() == 2:
            return normal / self.root
        return torch.linalg.solve_triangular(self.root.mT, normal[..., None], upper=True)[..., 0]

    def velocity(self, momentum: Tensor) -> Tensor:
        """M^-1 p, (chains, dim)."""
        if self.root.dim() == 2:
            return self.inverse_mass_matrix * momentum
        return (self.inverse_mass_matrix @ momentum[..., None])[..., 0]


class Phase(NamedTuple):
    """A point of phase space, for each chain; log_joint is -H (chains,)."""

    position: Tensor
    momentum: Tensor
    gradient: Tensor
    log_density: Tensor
    log_joint: Tensor


class DualAveraging(NamedTuple):
    """Of the log step size, (chains,) each; `target` is what it is drawn towards."""

    target: Tensor
    error: Tensor
    average: Tensor
    draws: Tensor


class Moments(NamedTuple):
    """Of the positions in the window so far: how many (chains,), mean (chains, dim), sum of squared or of crossed deviations."""

    draws: Tensor
    mean: Tensor
    squares: Tensor


class Tuning(NamedTuple):
    step_size: Tensor  # (chains,)
    metric: Metric
    averaging: DualAveraging
    moments: Moments


def phase(state: State, momentum: Tensor, metric: Metric) -> Phase:
    log_joint = state.log_density - 0.5 * (momentum * metric.velocity(momentum)).sum(-1)
    return Phase(state.position, momentum, state.gradient, state.log_density, log_joint)


def leapfrog(density: LogDensity, here: Phase, step: Tensor, metric: Metric) -> Phase:
    """One step of size `step` (chains, 1), which may be negative; energy error O(step^2) over a fixed time."""
    half = here.momentum + 0.5 * step * here.gradient
    position = here.position + step * metric.velocity(half)
    log_density, gradient = density.value_and_grad(position)
    return phase(State(position, log_density, gradient), half + 0.5 * step * gradient, metric)


def energy_change(there: Phase, log_joint: Tensor) -> Tensor:
    """log joint of `there` above that of the start, (chains,); -inf where it is not a number."""
    return (there.log_joint - log_joint).nan_to_num(nan=-math.inf, posinf=-math.inf, neginf=-math.inf)


@dataclass(frozen=True, kw_only=True)
class HamiltonianEngine(ChainEngine):
    """Settings of warm-up.

    target_accept_prob   acceptance rate that the step size is adapted to
    step_size            at the start of warm-up; None searches for one whose acceptance crosses 0.8
    metric               diagonal, or dense: learns correlations, dim^2 numbers and products a step
    pooled               one metric from all chains together: it is learned sooner, but chains depend on each other
    """

    target_accept_prob: float = 0.8
    step_size: float | None = None
    metric: Literal["diagonal", "dense"] = "diagonal"
    pooled: bool = False

    SHRINKAGE: ClassVar[float] = 5.0  # draws' worth of a metric of 1e-3 that a window's estimate is mixed with

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.target_accept_prob < 1:
            raise EngineError(f"target_accept_prob must lie between 0 and 1, got {self.target_accept_prob}")
        if self.metric not in ("diagonal", "dense"):
            raise EngineError(f"metric must be diagonal or dense, got {self.metric!r}")
        if self.step_size is not None and not self.step_size > 0:
            raise EngineError(f"step_size must be positive, got {self.step_size}")

    def init(self, density: LogDensity, key: Key) -> tuple[State, Tuning]:
        position = density.initial(key, at=self.start)
        state = State(position, *density.value_and_grad(position))
        metric = Metric.of(self._unit(position))
        step_size = torch.full_like(state.log_density, 1.0 if self.step_size is None else self.step_size)
        if self.step_size is None:
            step_size = crossing(density, state, step_size, metric, key, FIRST)
        return state, Tuning(step_size, metric, _begin(step_size), self._no_moments(position))

    def launch(self, here: State, tuning: Tuning, key: Key) -> Phase:
        """A fresh momentum at each chain's position."""
        normal = key.normal(MOMENTUM, here.position.shape).to(here.position)
        return phase(here, tuning.metric.momentum(normal), tuning.metric)

    def _unit(self, position: Tensor) -> Tensor:
        ones = torch.ones_like(position)
        return torch.diag_embed(ones) if self.metric == "dense" else ones

    def _no_moments(self, position: Tensor) -> Moments:
        return Moments(position.new_zeros(len(position)), torch.zeros_like(position), torch.zeros_like(self._unit(position)))

    def adapt(self, density: LogDensity, state: State, info: Any, tuning: Tuning, key: Key) -> Tuning:
        window, ends = schedule(self.num_warmup)
        averaging = self._averaged(tuning.averaging, info.acceptance_rate)
        step_size, metric, moments = _current(averaging), tuning.metric, tuning.moments
        if key.draw in window:
            moments = _with(moments, state.position)
        if key.draw in ends:
            metric = Metric.of(self._estimate(moments))
            moments = self._no_moments(state.position)
            step_size = crossing(density, state, step_size, metric, key, SEARCH)
            averaging = _begin(step_size)
        if key.draw == self.num_warmup - 1:
            step_size = averaging.average.exp()
        return Tuning(step_size, metric, averaging, moments)

    def _averaged(self, before: DualAveraging, acceptance_rate: Tensor) -> DualAveraging:
        """Nesterov's dual averaging with gamma = 0.05, t0 = 10, kappa = 0.75."""
        count = before.draws + 1
        eta = 1 / (count + 10)
        error = (1 - eta) * before.error + eta * (self.target_accept_prob - acceptance_rate)
        log_step = before.target - count.sqrt() / 0.05 * error
        weight = count**-0.75
        return DualAveraging(before.target, error, weight * log_step + (1 - weight) * before.average, count)

    def _estimate(self, moments: Moments) -> Tensor:
        """The inverse mass matrix from a window, shrunk towards 1e-3 as Stan does."""
        if self.pooled:
            moments = _pool(moments)
        dense = self.metric == "dense"
        n = moments.draws.reshape(-1, *[1] * (moments.squares.dim() - 1))
        unit = torch.eye(moments.mean.shape[-1]).to(moments.mean) if dense else 1.0
        return (n / (n + self.SHRINKAGE)) * moments.squares / (n - 1) + 1e-3 * self.SHRINKAGE / (n + self.SHRINKAGE) * unit

    def note(self, stats: Any) -> str:
        diverging = int(stats["diverging"].sum())
        text = f"step size {float(stats['step_size'][:, -1].median()):.2g}, {float(stats['n_steps'].double().mean()):.0f} steps a draw"
        return f"{text}, {diverging} diverging" if diverging else text


def crossing(density: LogDensity, state: State, step_size: Tensor, metric: Metric, key: Key, stream: int) -> Tensor:
    """Each chain's step size, doubled or halved until the acceptance of one leapfrog step crosses 0.8."""
    direction, going = torch.zeros_like(step_size), torch.ones_like(step_size, dtype=torch.bool)
    for attempt in range(SEARCHES):
        normal = key.normal(stream, state.position.shape, start=attempt * state.position.shape[1]).to(state.position)
        begin = phase(state, metric.momentum(normal), metric)
        end = leapfrog(density, begin, step_size[:, None], metric)
        sign = torch.where(energy_change(end, begin.log_joint) > math.log(0.8), 1.0, -1.0).to(step_size)
        direction = torch.where(direction == 0, sign, direction)
        going = going & (sign == direction)
        if not going.any():
            break
        step_size = torch.where(going, step_size * 2.0**direction, step_size)
    return step_size


@cache
def schedule(num_warmup: int) -> tuple[range, frozenset[int]]:
    """The draws from which a metric is estimated, and those that end a window: Stan's phases of 75, 25, 50, 100, ..., 50,
    and 15, 75 and 10 % of a warm-up of less than 150 draws. Of less than 20 only the step size is adapted."""
    if num_warmup < 20:
        return range(0), frozenset()
    first, last, size = 75, num_warmup - 50, 25
    if num_warmup < 150:
        first, last = int(0.15 * num_warmup), num_warmup - int(0.1 * num_warmup)
        size = last - first
    ends, end = [], first + size
    while end + 2 * size <= last:  # where the window after would not fit, this one goes on to the end
        ends.append(end)
        size *= 2
        end += size
    return range(first, last), frozenset(e - 1 for e in [*ends, last])


def _begin(step_size: Tensor) -> DualAveraging:
    zero = torch.zeros_like(step_size)
    return DualAveraging((10 * step_size).log(), zero, zero, zero)


def _current(averaging: DualAveraging) -> Tensor:
    return (averaging.target - averaging.draws.sqrt() / 0.05 * averaging.error).exp()


def _with(moments: Moments, position: Tensor) -> Moments:
    """One draw more (Welford)."""
    count = moments.draws + 1
    gap = position - moments.mean
    mean = moments.mean + gap / count[:, None]
    rest = position - mean
    cross = gap[..., :, None] * rest[..., None, :] if moments.squares.dim() == 3 else gap * rest
    return Moments(count, mean, moments.squares + cross)


def _pool(moments: Moments) -> Moments:
    """Of all chains together, the same for each (Chan, Golub & LeVeque, 1979)."""
    n = moments.draws[:, None]
    mean = (n * moments.mean).sum(0) / n.sum()
    gap = moments.mean - mean
    between = gap[..., :, None] * gap[..., None, :] if moments.squares.dim() == 3 else gap * gap
    squares = (moments.squares + n.reshape(-1, *[1] * (between.dim() - 1)) * between).sum(0)
    return Moments(moments.draws.sum().expand_as(moments.draws), mean.expand_as(moments.mean), squares.expand_as(moments.squares))
