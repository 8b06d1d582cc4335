"""The Metropolis-adjusted Langevin algorithm (MALA): drift uphill, add noise, accept or stay.

    proposal = q + step^2 / 2 M^-1 grad log p(q) + step Normal(0, M^-1)

This is Hamiltonian Monte Carlo of a single leapfrog step: the proposal is the same, and so is the ratio that it is accepted
by. Leaves the density invariant for any step size; a mean of the draws has Monte Carlo error sd / sqrt(ESS). One gradient a
draw. Acceptance near 0.57 is efficient, with step sizes that shrink as dim^(-1/6).

Sources: Roberts & Tweedie, Bernoulli 2(4), 1996; Roberts & Rosenthal, JRSS-B 60(1), 1998.
"""

from dataclasses import dataclass

from . import hmc
from ._blocks import Sampler
from ._hamiltonian import HamiltonianEngine

__all__ = ["MALA"]


@dataclass(frozen=True, kw_only=True)
class MALA(HamiltonianEngine):
    """For cheap steps and many of them: densities of moderate dimension whose gradient costs little."""

    target_accept_prob: float = 0.57

    @property
    def sampler(self) -> Sampler:
        return hmc.sampler(trajectory_length=1.0, jitter=0.0, max_num_steps=1)
