"""Hamiltonian Monte Carlo: a trajectory of fixed length whose end is accepted or not.

    q', p' = leapfrog of random length from q, p;   accept with min(1, exp(H(q, p) - H(q', p')))

Leaves the density invariant for any step size; a mean of the draws has Monte Carlo error sd / sqrt(ESS). The length is drawn
anew for each draw: a fixed one can be a period of the trajectory, which then returns to where it began.

Sources: Duane, Kennedy, Pendleton & Roweth, Physics Letters B 195, 1987; Neal, Handbook of Markov Chain Monte Carlo, ch. 5, 2011.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ..engine import require_positive
from ..errors import EngineError
from ..keys import Key
from ..targets import LogDensity
from ._chains import select
from ._hamiltonian import DIVERGENCE, HamiltonianEngine, State, Tuning, energy_change, leapfrog

__all__ = ["HMC", "Info"]

LENGTH, ACCEPT = 3, 4  # streams of the key


class Info(NamedTuple):
    """(chains,) each, by ArviZ's names."""

    acceptance_rate: Tensor
    n_steps: Tensor
    diverging: Tensor
    energy: Tensor
    step_size: Tensor
    lp: Tensor


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

    def step(self, density: LogDensity, here: State, tuning: Tuning, key: Key) -> tuple[State, Info]:
        start = there = self.launch(here, tuning, key)
        uniform = key.uniform(LENGTH, (len(here.position), 1))[:, 0].to(here.log_density)
        length = self.trajectory_length * (1 + self.jitter * (2 * uniform - 1))
        count = (length / tuning.step_size).ceil().clamp(1, self.max_num_steps)
        for i in range(int(count.max())):
            there = select(i < count, leapfrog(density, there, tuning.step_size[:, None], tuning.metric), there)
        change = energy_change(there, start.log_joint)
        rate = change.clamp(max=0.0).exp()
        accepted = key.uniform(ACCEPT, (len(rate), 1))[:, 0] < rate
        at = select(accepted, there, start)
        info = Info(rate, count, change < -DIVERGENCE, -at.log_joint, tuning.step_size, at.log_density)
        return State(at.position, at.log_density, at.gradient), info
