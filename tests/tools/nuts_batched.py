"""NUTS and HMC once more, in batched torch and in terms of momenta p ~ Normal(0, M): the oracle of the compiled samplers.

All chains go at once, each with its own tree; the numbers come from the same streams of the key. Written before the samplers
that it checks, and apart from them: no whitening, log weights, velocities M^-1 p.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import torch
from torch import Tensor

from ppgen.keys import Key

__all__ = ["Metric", "Point", "hmc_draw", "nuts_draw"]

MOMENTUM = 0  # streams of the key
DIRECTION, LEAF, SWAP = 3, 4, 5  # NUTS
LENGTH, ACCEPT = 3, 4  # HMC
DIVERGENCE = 1000.0  # nats of energy error
Density = Callable[[Tensor], tuple[Tensor, Tensor]]
Tensors = TypeVar("Tensors", bound=tuple[Tensor, ...])


class Point(NamedTuple):
    position: Tensor  # (chains, dim)
    log_density: Tensor  # (chains,)
    gradient: Tensor  # (chains, dim)


class Metric(NamedTuple):
    """M^-1 and its lower triangular root, (chains, dim, dim)."""

    inverse: Tensor
    root: Tensor

    @classmethod
    def of(cls, inverse: Tensor) -> "Metric":
        return cls(inverse, torch.linalg.cholesky(inverse))

    def momentum(self, normal: Tensor) -> Tensor:
        return torch.linalg.solve_triangular(self.root.mT, normal[..., None], upper=True)[..., 0]

    def velocity(self, momentum: Tensor) -> Tensor:
        return (self.inverse @ momentum[..., None])[..., 0]


class Phase(NamedTuple):
    position: Tensor
    momentum: Tensor
    gradient: Tensor
    log_density: Tensor
    log_joint: Tensor


class Part(NamedTuple):
    """A stretch of trajectory and the point that was drawn from it; its weight is relative to the start's."""

    chosen: Phase
    log_weight: Tensor
    momenta: Tensor
    acceptance: Tensor
    leaves: Tensor
    diverging: Tensor


def select(mask: Tensor, yes: Tensors, no: Tensors) -> Tensors:
    column = mask[:, None]
    fields = [torch.where(mask if a.dim() == 1 else column, a, b) for a, b in zip(yes, no, strict=True)]
    return cast("Any", type(yes))._make(fields)


def phase(at: Point, momentum: Tensor, metric: Metric) -> Phase:
    log_joint = at.log_density - 0.5 * (momentum * metric.velocity(momentum)).sum(-1)
    return Phase(at.position, momentum, at.gradient, at.log_density, log_joint)


def launch(at: Point, metric: Metric, key: Key) -> Phase:
    return phase(at, metric.momentum(key.normal(MOMENTUM, at.position.shape)), metric)


def leapfrog(density: Density, here: Phase, step: Tensor, metric: Metric) -> Phase:
    half = here.momentum + 0.5 * step * here.gradient
    position = here.position + step * metric.velocity(half)
    log_density, gradient = density(position)
    return phase(Point(position, log_density, gradient), half + 0.5 * step * gradient, metric)


def energy_change(there: Phase, log_joint: Tensor) -> Tensor:
    return (there.log_joint - log_joint).nan_to_num(nan=-math.inf, posinf=-math.inf, neginf=-math.inf)


def nuts_draw(
    density: Density, at: Point, step_size: Tensor, metric: Metric, key: Key, max_tree_depth: int
) -> tuple[Point, dict[str, Tensor]]:
    chains = len(at.position)
    left = right = start = launch(at, metric, key)
    whole = _empty(start)._replace(log_weight=torch.zeros_like(at.log_density), momenta=start.momentum)
    depth_of = torch.zeros_like(at.log_density)
    going = torch.ones_like(depth_of, dtype=torch.bool)
    ways, swaps = (key.uniform(stream, (chains, max_tree_depth)) for stream in (DIRECTION, SWAP))
    for depth in range(max_tree_depth):
        forward = ways[:, depth] < 0.5
        step = torch.where(forward, step_size, -step_size)[:, None]
        edge, half, complete = _grow(density, select(forward, right, left), step, start, metric, key, depth, going)
        left, right = select(complete & ~forward, edge, left), select(complete & forward, edge, right)
        whole = _joined(whole, half, complete, swaps[:, depth])
        depth_of = depth_of + going
        going = complete & ~_turning(metric, left.momentum, right.momentum, whole.momenta)
        if not going.any():
            break
    chosen = whole.chosen
    stats = {
        "acceptance_rate": whole.acceptance / whole.leaves,
        "n_steps": whole.leaves,
        "tree_depth": depth_of,
        "diverging": whole.diverging,
        "energy": -chosen.log_joint,
        "lp": chosen.log_density,
    }
    return Point(chosen.position, chosen.log_density, chosen.gradient), stats


def hmc_draw(
    density: Density, at: Point, step_size: Tensor, metric: Metric, key: Key, trajectory_length: float, jitter: float, max_num_steps: int
) -> tuple[Point, dict[str, Tensor]]:
    start = there = launch(at, metric, key)
    uniform = key.uniform(LENGTH, (len(at.position), 1))[:, 0]
    length = trajectory_length * (1 + jitter * (2 * uniform - 1))
    count = (length / step_size + 0.5).floor().clamp(1, max_num_steps)
    for i in range(int(count.max())):
        there = select(i < count, leapfrog(density, there, step_size[:, None], metric), there)
    change = energy_change(there, start.log_joint)
    rate = change.clamp(max=0.0).exp()
    chosen = select(key.uniform(ACCEPT, (len(rate), 1))[:, 0] < rate, there, start)
    stats = {
        "acceptance_rate": rate,
        "n_steps": count,
        "diverging": change < -DIVERGENCE,
        "energy": -chosen.log_joint,
        "lp": chosen.log_density,
    }
    return Point(chosen.position, chosen.log_density, chosen.gradient), stats


def _empty(start: Phase) -> Part:
    zero = torch.zeros_like(start.log_joint)
    return Part(start, zero - math.inf, torch.zeros_like(start.momentum), zero, zero, zero > 0)


def _grow(
    density: Density, edge: Phase, step: Tensor, start: Phase, metric: Metric, key: Key, depth: int, going: Tensor
) -> tuple[Phase, Part, Tensor]:
    """2^depth leaves beyond an edge, for the chains that are going: the new edge, what was drawn from the leaves, and which
    chains have them all, neither turning back nor diverging."""
    count = 1 << depth
    uniform = key.uniform(LEAF, (len(going), count), start=count - 1)
    half = _empty(start)
    firsts: dict[int, tuple[Tensor, Tensor]] = {}  # level -> momentum at the first leaf, and sum of momenta before it
    for i in range(count):
        edge = select(going, leapfrog(density, edge, step, metric), edge)
        before = half.momenta
        half = _added(half, edge, start, uniform[:, i], going)
        going = going & ~half.diverging
        level = (i >> 1).bit_count()
        if i % 2 == 0:
            firsts[level] = edge.momentum, before
        else:
            for j in range(level, level - (~i & (i + 1)).bit_length() + 1, -1):
                first, earlier = firsts[j]
                going = going & ~_turning(metric, first, edge.momentum, half.momenta - earlier)
        if not going.any():
            break
    return edge, half, going


def _added(part: Part, leaf: Phase, start: Phase, uniform: Tensor, going: Tensor) -> Part:
    change = energy_change(leaf, start.log_joint)
    log_weight = torch.where(going, torch.logaddexp(part.log_weight, change), part.log_weight)
    taken = going & (uniform < (change - log_weight).exp())
    return Part(
        select(taken, leaf, part.chosen),
        log_weight,
        torch.where(going[:, None], part.momenta + leaf.momentum, part.momenta),
        part.acceptance + torch.where(going, change.clamp(max=0.0).exp(), 0.0),
        part.leaves + going,
        part.diverging | (going & (change < -DIVERGENCE)),
    )


def _joined(whole: Part, half: Part, complete: Tensor, uniform: Tensor) -> Part:
    taken = complete & (uniform < (half.log_weight - whole.log_weight).clamp(max=0.0).exp())
    return Part(
        select(taken, half.chosen, whole.chosen),
        torch.where(complete, torch.logaddexp(whole.log_weight, half.log_weight), whole.log_weight),
        torch.where(complete[:, None], whole.momenta + half.momenta, whole.momenta),
        whole.acceptance + half.acceptance,
        whole.leaves + half.leaves,
        whole.diverging | half.diverging,
    )


def _turning(metric: Metric, first: Tensor, last: Tensor, total: Tensor) -> Tensor:
    along = metric.velocity(total - 0.5 * (first + last))
    return ((first * along).sum(-1) <= 0) | ((last * along).sum(-1) <= 0)
