"""Hamiltonian Monte Carlo: a trajectory of fixed length whose end is accepted or not.

    q', p' = leapfrog of random length from q, p;   accept with min(1, exp(H(q, p) - H(q', p')))

Leaves the density invariant for any step size; a mean of the draws has Monte Carlo error sd / sqrt(ESS). The length is drawn
anew for each draw: a fixed one can be a period of the trajectory, which then returns to where it began.

Sources: Duane, Kennedy, Pendleton & Roweth, Physics Letters B 195, 1987; Neal, Handbook of Markov Chain Monte Carlo, ch. 5, 2011.
"""

import math
from dataclasses import dataclass

from ..engine import require_positive
from ..errors import EngineError
from ._blocks import Sampler
from ._hamiltonian import HamiltonianEngine
from ._trajectory import (
    DIVERGENCE,
    GRADIENT,
    POSITION,
    ROWS,
    STATS,
    STEP,
    VALUE,
    arrive,
    chain_code,
    chain_entry,
    chance,
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
    stopped,
)

__all__ = ["HMC"]

LENGTH, ACCEPT = 3, 4  # streams of the key


@dataclass(frozen=True, kw_only=True)
class HMC(HamiltonianEngine):
    """Hamiltonian Monte Carlo with trajectories of a given length.

    trajectory_length   mean time of a trajectory, in units where the posterior's standard deviations are about 1
    jitter              lengths are uniform within this share of the mean, to both sides
    max_num_steps       leapfrog steps of a trajectory, at most
    """

    trajectory_length: float = math.pi / 2
    jitter: float = 0.5
    max_num_steps: int = 1024

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "max_num_steps")
        if not self.trajectory_length > 0:
            raise EngineError(f"trajectory_length must be positive, got {self.trajectory_length}")
        if not 0 <= self.jitter < 1:
            raise EngineError(f"jitter must be at least 0 and less than 1, got {self.jitter}")

    @property
    def sampler(self) -> Sampler:
        return sampler(self.trajectory_length, self.jitter, self.max_num_steps)


def sampler(trajectory_length: float, jitter: float, max_num_steps: int) -> Sampler:
    return Sampler(resumable, run, STATS, ROWS, (float(trajectory_length), float(jitter), max_num_steps))


@chain_entry(int, float, float, int)
def run(address, trajectory_length, jitter, max_num_steps):  # type: ignore[no-untyped-def]
    """A block of a chain on machine code."""
    job = job_at(address)
    for _ in chain(job, trajectory_length, jitter, max_num_steps):
        evaluate(job)


@part
def chain(job, trajectory_length, jitter, max_num_steps):  # type: ignore[no-untyped-def]
    """A block of a chain. It yields wherever it needs the density at POSITION."""
    h = head(job)
    for i in range(job.count):
        if stopped(job):
            break
        draw, step = job.first + i, h[STEP]
        start = launch(job, draw)
        length = trajectory_length * (1.0 + jitter * (2.0 * chance(job, draw, LENGTH, 0) - 1.0))
        count = int(min(max(math.floor(length / step + 0.5), 1.0), float(max_num_steps)))
        log_joint = start
        for _ in range(count):
            drift(job, step)
            yield 0
            log_joint = arrive(job, step)
        change, energy = energy_change(log_joint, start), -start
        rate = math.exp(min(change, 0.0))
        if chance(job, draw, ACCEPT, 0) < rate:
            move(job, row(job, POSITION), row(job, GRADIENT), h[VALUE])
            energy = -log_joint
        finish(job, i, rate, count, change < -DIVERGENCE, energy)


resumable = chain_code(chain.py_func)  # of its own: Numba compiles no caller of a generator that it has read from disk
