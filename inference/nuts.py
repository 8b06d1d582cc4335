"""The no-U-turn sampler: Hamiltonian trajectories that double until they turn back, one point of which is the next draw.

Multinomial weights over the trajectory, biased towards its newer half; the tree is built leaf by leaf, with O(log) memory;
all chains in one batch, each with its own tree. Leaves the density invariant for any step size; a mean of the draws has
Monte Carlo error sd / sqrt(ESS). One gradient a leaf.

Sources: Hoffman & Gelman, JMLR 15, 2014; Betancourt, arXiv 1701.02434, 2017 (multinomial weights, generalised U-turn); Phan,
Pradhan & Jankowiak, arXiv 1912.11554, 2019 (iterative tree).
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from ..engine import require_positive
from ..keys import Key
from ..targets import LogDensity
from ._chains import select
from ._hamiltonian import DIVERGENCE, HamiltonianEngine, Metric, Phase, State, Tuning, energy_change, leapfrog

__all__ = ["NUTS", "Info"]

DIRECTION, LEAF, SWAP = 3, 4, 5  # streams of the key


class Info(NamedTuple):
    """(chains,) each, by ArviZ's names."""

    acceptance_rate: Tensor
    n_steps: Tensor
    tree_depth: Tensor
    diverging: Tensor
    energy: Tensor
    step_size: Tensor
    lp: Tensor


class Part(NamedTuple):
    """A stretch of trajectory and the point that was drawn from it; its weight is relative to the start's."""

    chosen: Phase
    log_weight: Tensor  # (chains,)
    momenta: Tensor  # (chains, dim), their sum
    acceptance: Tensor  # (chains,), summed over leaves
    leaves: Tensor
    diverging: Tensor


@dataclass(frozen=True, kw_only=True)
class NUTS(HamiltonianEngine):
    """The sampler to begin with, for continuous sites of any program.

    max_tree_depth   a trajectory has at most 2^max_tree_depth - 1 leapfrog steps
    """

    max_tree_depth: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "max_tree_depth")

    def step(self, density: LogDensity, here: State, tuning: Tuning, key: Key) -> tuple[State, Info]:
        chains = len(here.position)
        start = self.launch(here, tuning, key)
        left = right = start
        whole = _empty(start)._replace(log_weight=torch.zeros_like(here.log_density), momenta=start.momentum)
        depth_of = torch.zeros_like(here.log_density)
        going = torch.ones_like(depth_of, dtype=torch.bool)  # chains whose tree still doubles
        ways, swaps = (key.uniform(stream, (chains, self.max_tree_depth)) for stream in (DIRECTION, SWAP))
        for depth in range(self.max_tree_depth):
            forward = ways[:, depth] < 0.5
            step = torch.where(forward, tuning.step_size, -tuning.step_size)[:, None]
            edge, half, complete = _grow(density, select(forward, right, left), step, start, tuning.metric, key, depth, going)
            left, right = select(complete & ~forward, edge, left), select(complete & forward, edge, right)
            whole = _joined(whole, half, complete, swaps[:, depth])
            depth_of = depth_of + going
            going = complete & ~_turning(tuning.metric, left.momentum, right.momentum, whole.momenta)
            if not going.any():
                break
        at = whole.chosen
        rate = whole.acceptance / whole.leaves
        info = Info(rate, whole.leaves, depth_of, whole.diverging, -at.log_joint, tuning.step_size, at.log_density)
        return State(at.position, at.log_density, at.gradient), info


def _empty(start: Phase) -> Part:
    zero = torch.zeros_like(start.log_joint)
    return Part(start, zero - math.inf, torch.zeros_like(start.momentum), zero, zero, zero > 0)


def _grow(
    density: LogDensity, edge: Phase, step: Tensor, start: Phase, metric: Metric, key: Key, depth: int, going: Tensor
) -> tuple[Phase, Part, Tensor]:
    """2^depth leaves beyond an edge, for the chains that are going: the new edge, what was drawn from the leaves, and which
    chains have them all, neither turning back nor diverging.

    Whether a subtree turns is asked when its last leaf is there, from what was kept at its first: at most one leaf a level.
    """
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
    """One leaf more where a chain is going; it is drawn with probability its weight over the part's."""
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
    """The tree with its newer half where that is complete, from which the draw is taken with probability min(1, new / old)."""
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
    """Whether a stretch from momentum `first` to `last` turns back: velocity at an end against the sum of momenta, of which
    the ends count half; (chains,)."""
    along = metric.velocity(total - 0.5 * (first + last))
    return ((first * along).sum(-1) <= 0) | ((last * along).sum(-1) <= 0)
