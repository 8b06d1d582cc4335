"""Ways from noise to data once a network tells what is noise: by steps of a chain, by an equation without noise, by both and Langevin."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from ..errors import ProgramError
from ..keys import PREDICT, Key, nth
from ._probability_flow import Denoised, Level, carried
from ._schedules import Schedule

__all__ = ["DDIM", "Ancestral", "Corrector", "Denoised", "Level", "PredictorCorrector", "ProbabilityFlow", "Sampler"]

STEPS = nth(PREDICT, 3)  # stream of the key: the noise of a chain's steps


class Sampler(Protocol):
    """u_T (N, *shape), standard normal, to data u_0 (N, *shape), both in the diffusion's units."""

    def __call__(self, denoised: Denoised, schedule: Schedule, u: Tensor, key: Key) -> Tensor: ...


@dataclass(frozen=True)
class Ancestral:
    """The model itself: all of its T steps, each with its noise. Source: Ho, Jain & Abbeel, NeurIPS 2020."""

    def __call__(self, denoised: Denoised, schedule: Schedule, u: Tensor, key: Key) -> Tensor:
        noise, s = _noise(key, u), schedule
        for step in range(s.steps - 1, -1, -1):
            data, _ = denoised(u, Level.of(s, step))
            u = s.of_data[step] * data + s.of_here[step] * u + s.sd[step] * noise()
        return u


@dataclass(frozen=True)
class DDIM:
    """Few steps, all to one estimate of the data.

    num_steps   of the T, evenly apart; None takes all. eta: how much noise, of that of the chain that has these steps alone: 0 none

    The error falls as 1 / num_steps. Source: Song, Meng & Ermon, ICLR 2021.
    """

    num_steps: int | None = 50
    eta: float = 0.0

    def __post_init__(self) -> None:
        _check_steps(self.num_steps)
        if not 0 <= self.eta <= 1:
            raise ProgramError(f"eta must lie between 0, no noise, and 1, a chain's; got {self.eta}")

    def __call__(self, denoised: Denoised, schedule: Schedule, u: Tensor, key: Key) -> Tensor:
        noise, levels = _noise(key, u), _levels(schedule, self.num_steps)
        for here, there in pairwise(levels):
            u = self.step(denoised, here, there, u, noise)
        return denoised(u, levels[-1])[0]

    def step(self, denoised: Denoised, here: Level, there: Level, u: Tensor, noise: Callable[[], Tensor]) -> Tensor:
        """From one level to another with less noise."""
        data, found = denoised(u, here)
        if not self.eta:
            return there.alpha * data + there.sigma * found
        fresh = self.eta * there.sigma / here.sigma * (1 - (here.alpha / there.alpha).square()).sqrt()
        return there.alpha * data + (there.sigma.square() - fresh.square()).sqrt() * found + fresh * noise()


@dataclass(frozen=True)
class ProbabilityFlow:
    """The equation without noise whose solutions have the same law at every level.

    num_steps   of Runge-Kutta's method of order 4, evenly apart in log of signal to noise, with four calls of the network each
    log_snr     where it ends; None: at step 1, since a network knows nothing of levels with less noise

    What noise is left at the end is taken off at once. Source: Song et al., ICLR 2021.
    """

    num_steps: int = 25
    log_snr: float | None = None

    def __post_init__(self) -> None:
        _check_steps(self.num_steps)

    def __call__(self, denoised: Denoised, schedule: Schedule, u: Tensor, key: Key) -> Tensor:
        end = schedule.log_snr[0] if self.log_snr is None else torch.as_tensor(self.log_snr).to(u)
        u = carried(denoised, u, torch.stack([schedule.log_snr[-1], end]), self.num_steps)
        return denoised(u, Level.at(end))[0]


class Walkers(NamedTuple):
    position: Tensor
    momentum: Tensor | None = None


class Corrector(Protocol):
    """What moves walkers by Langevin steps along a score, such as the engine `Langevin`."""

    def transition(self, score: Callable[[Tensor], Tensor], walkers: Any, key: Key, steps: int = 1, *, step_size: Any = None) -> Any: ...


@dataclass(frozen=True)
class PredictorCorrector:
    """Steps of the chain, and at every level Langevin steps along the score there, which correct the law of the draws.

    corrector         the engine: Langevin()
    num_steps         of the T, evenly apart; None takes all
    corrector_steps   at each level; step_size: theirs, in units of the noise's variance there. The variance of a level is too large by
                      a share of at most step_size / 2, which the data's own share makes smaller

    Source: Song et al., ICLR 2021.
    """

    corrector: Corrector
    num_steps: int | None = None
    corrector_steps: int = 1
    step_size: float = 0.1

    def __post_init__(self) -> None:
        _check_steps(self.num_steps)
        if self.corrector_steps < 1 or not self.step_size > 0:
            raise ProgramError(
                f"corrector_steps must be at least 1 and step_size positive; got {self.corrector_steps} and {self.step_size}"
            )

    def __call__(self, denoised: Denoised, schedule: Schedule, u: Tensor, key: Key) -> Tensor:
        predict, noise = DDIM(eta=1.0), _noise(key, u)
        levels = _levels(schedule, self.num_steps)
        for i, (here, there) in enumerate(pairwise(levels)):
            u = predict.step(denoised, here, there, u, noise)
            u = self._corrected(denoised, there, u, key.at(i))
        return denoised(u, levels[-1])[0]

    def _corrected(self, denoised: Denoised, level: Level, u: Tensor, key: Key) -> Tensor:
        def score(u: Tensor) -> Tensor:
            return -denoised(u, level)[1] / level.sigma

        step_size = self.step_size * float(level.sigma) ** 2
        out: Tensor = self.corrector.transition(score, Walkers(u), key, self.corrector_steps, step_size=step_size).position
        return out


def _levels(schedule: Schedule, num_steps: int | None) -> list[Level]:
    """From step T to step 1."""
    last, count = schedule.steps - 1, schedule.steps if num_steps is None else min(num_steps, schedule.steps)
    steps = sorted({round(last * i / max(count - 1, 1)) for i in range(count)} | {last}, reverse=True)
    return [Level.of(schedule, step) for step in steps]


def _noise(key: Key, u: Tensor) -> Callable[[], Tensor]:
    generator = key.generator(STEPS)
    return lambda: torch.randn(u.shape, dtype=u.dtype, device=u.device, generator=generator)


def _check_steps(num_steps: int | None) -> None:
    if num_steps is not None and num_steps < 1:
        raise ProgramError(f"num_steps must be at least 1, got {num_steps}")
