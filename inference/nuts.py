"""The no-U-turn sampler: Hamiltonian trajectories that double until they turn back, one point of which is the next draw.

Multinomial weights over the trajectory, biased towards its newer half; the tree is built leaf by leaf, with O(log) memory.
Leaves the density invariant for any step size; a mean of the draws has Monte Carlo error sd / sqrt(ESS). One gradient a leaf.

Sources: Hoffman & Gelman, JMLR 15, 2014; Betancourt, arXiv 1701.02434, 2017 (multinomial weights, generalised U-turn); Phan,
Pradhan & Jankowiak, arXiv 1912.11554, 2019 (iterative tree).
"""

import math
from dataclasses import dataclass

from ..engine import require_positive
from ._blocks import Sampler
from ._hamiltonian import HamiltonianEngine
from ._trajectory import (
    DIVERGENCE,
    GRADIENT,
    MOMENTUM,
    POSITION,
    ROWS,
    STATS,
    STEP,
    VALUE,
    arrive,
    chain_code,
    chain_entry,
    chance,
    copy,
    drift,
    energy_change,
    evaluate,
    finish,
    head,
    job_at,
    launch,
    move,
    part,
    row,
    stats,
    stopped,
)

__all__ = ["NUTS"]

DIRECTION, LEAF, SWAP = 3, 4, 5  # streams of the key
# Rows of memory: the trajectory's two ends (position, momentum, force), what was drawn from the newer half (position, gradient),
# sums of momenta of the newer half and of the tree, and for each level the momentum at a subtree's first leaf and the sum before it
LEFT, RIGHT, CANDIDATE, HALF, TREE, FIRSTS = ROWS, ROWS + 3, ROWS + 6, ROWS + 8, ROWS + 9, ROWS + 10
STEEP = 600.0  # nats above the start from which weights would overflow


@dataclass(frozen=True, kw_only=True)
class NUTS(HamiltonianEngine):
    """The sampler to begin with, for continuous sites of any program.

    max_tree_depth   a trajectory has at most 2^max_tree_depth - 1 leapfrog steps
    """

    max_tree_depth: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "max_tree_depth")

    @property
    def sampler(self) -> Sampler:
        return Sampler(resumable, run, (*STATS, "tree_depth"), FIRSTS + 2 * self.max_tree_depth, (self.max_tree_depth,))


@chain_entry(int, int)
def run(address, max_tree_depth):  # type: ignore[no-untyped-def]
    """A block of a chain on machine code."""
    job = job_at(address)
    for _ in chain(job, max_tree_depth):
        evaluate(job)


@part
def chain(job, max_tree_depth):  # type: ignore[no-untyped-def]
    """A block of a chain. It yields wherever it needs the density at POSITION."""
    h = head(job)
    for i in range(job.count):
        if stopped(job):
            break
        draw, start = job.first + i, launch(job, job.first + i)
        plant(job)
        energy, acceptance, leaves, depth = -start, 0.0, 0, 0
        weight, ceiling = 1.0, 0.0  # of the tree's points, relative to the start's; logarithm of what weights are divided by
        going, diverging = True, False
        while going and depth < max_tree_depth:
            forward = chance(job, draw, DIRECTION, depth) < 0.5
            end, step = row(job, RIGHT if forward else LEFT), h[STEP] if forward else -h[STEP]
            load(job, end)
            half, log_joint, log_density = 0.0, 0.0, 0.0  # weight of the newer half, and of the point drawn from it
            for leaf in range(1 << depth):
                drift(job, step)
                yield 0
                change = energy_change(arrive(job, step), start)
                leaves += 1
                if change > ceiling + STEEP:
                    shrink = math.exp(ceiling - change)
                    weight, half, ceiling = weight * shrink, half * shrink, change
                new = math.exp(change - ceiling)
                acceptance += min(1.0, new if ceiling == 0.0 else math.exp(change))
                half += new
                if chance(job, draw, LEAF, (1 << depth) - 1 + leaf) * half < new:
                    keep(job)
                    log_joint, log_density = start + change, h[VALUE]
                diverging = change < -DIVERGENCE
                going = not diverging and not turns(job, leaf)
                if not going:
                    break
            if going:
                store(job, end)
                if chance(job, draw, SWAP, depth) * weight < half:
                    move(job, row(job, CANDIDATE), row(job, CANDIDATE + 1), log_density)
                    energy = -log_joint
                weight += half
                going = grow(job)
            depth += 1
        finish(job, i, acceptance / leaves, leaves, diverging, energy)
        stats(job, i)[len(STATS)] = depth


resumable = chain_code(chain.py_func)  # of its own: Numba compiles no caller of a generator that it has read from disk


@part
def plant(job):  # type: ignore[no-untyped-def]
    """A tree of one point."""
    store(job, row(job, LEFT))
    store(job, row(job, RIGHT))
    copy(job.dim, row(job, MOMENTUM), row(job, TREE))


# POSITION, MOMENTUM and FORCE are rows that follow each other, as are those of an end


@part
def load(job, end):  # type: ignore[no-untyped-def]
    """Go on from an end of the trajectory, with a half that has no leaf."""
    copy(3 * job.dim, end, row(job, POSITION))
    total = row(job, HALF)
    for i in range(job.dim):
        total[i] = 0.0


@part
def store(job, end):  # type: ignore[no-untyped-def]
    copy(3 * job.dim, row(job, POSITION), end)


@part
def keep(job):  # type: ignore[no-untyped-def]
    copy(job.dim, row(job, POSITION), row(job, CANDIDATE))
    copy(job.dim, row(job, GRADIENT), row(job, CANDIDATE + 1))


@part
def turns(job, leaf):  # type: ignore[no-untyped-def]
    """Add a leaf's momentum to the half. Whether a subtree that ends with this leaf turns back.

    Asked when a subtree's last leaf is there, from what was kept at its first: at most one leaf a level.
    """
    level, rest = 0, leaf >> 1
    while rest:
        level, rest = level + (rest & 1), rest >> 1
    p, total = row(job, MOMENTUM), row(job, HALF)
    if leaf & 1 == 0:
        first, before = row(job, FIRSTS + 2 * level), row(job, FIRSTS + 2 * level + 1)
        for i in range(job.dim):
            first[i], before[i] = p[i], total[i]
            total[i] += p[i]
        return False
    for i in range(job.dim):
        total[i] += p[i]
    while leaf & 1:
        if turning(job.dim, row(job, FIRSTS + 2 * level), p, total, row(job, FIRSTS + 2 * level + 1)):
            return True
        level, leaf = level - 1, leaf >> 1
    return False


@part
def turning(count, first, last, total, before):  # type: ignore[no-untyped-def]
    """Whether a stretch from momentum `first` to `last` turns back: either end against the sum of momenta, `total` less
    `before`, of which the ends count half."""
    a = b = 0.0
    for i in range(count):
        along = total[i] - before[i] - 0.5 * (first[i] + last[i])
        a += first[i] * along
        b += last[i] * along
    return a <= 0.0 or b <= 0.0


@part
def grow(job):  # type: ignore[no-untyped-def]
    """The half becomes part of the tree. Whether the tree may go on, not turning back."""
    total, half, first, last = row(job, TREE), row(job, HALF), row(job, LEFT + 1), row(job, RIGHT + 1)
    a = b = 0.0
    for i in range(job.dim):
        total[i] += half[i]
        along = total[i] - 0.5 * (first[i] + last[i])
        a += first[i] * along
        b += last[i] * along
    return not (a <= 0.0 or b <= 0.0)
