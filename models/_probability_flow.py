"""The ordinary differential equation whose solutions have the law of noisy data at every level of noise.

With s the log of signal to noise, alpha^2 = 1 / (1 + e^-s) and sigma^2 = 1 - alpha^2,

    du / ds = (sigma^2 u - sigma noise(u, s)) / 2        d log p / ds = -trace of its slope by u

Solved by torchdiffeq's Runge-Kutta of order 4 in equal steps of s; the error falls as steps^-4.
Sources: Song et al., ICLR 2021; Hutchinson, Communications in Statistics 18, 1989 (traces).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.func import vjp, vmap

from ..errors import ProgramError
from ..keys import PREDICT, Key, nth
from ._schedules import Schedule

__all__ = ["Denoised", "Level", "carried", "log_density"]

EXACT_UP_TO = 16  # numbers of a datum whose slope is taken whole
PROBES = nth(PREDICT, 4)  # stream of the key


class Level(NamedTuple):
    """A level of noise: scalars ()."""

    alpha: Tensor
    sigma: Tensor
    log_snr: Tensor

    @classmethod
    def at(cls, log_snr: Tensor) -> "Level":
        return cls(log_snr.sigmoid().sqrt(), (-log_snr).sigmoid().sqrt(), log_snr)

    @classmethod
    def of(cls, schedule: Schedule, step: int) -> "Level":
        return cls(schedule.alpha[step], schedule.sigma[step], schedule.log_snr[step])


Denoised = Callable[[Tensor, Level], tuple[Tensor, Tensor]]  # u (N, *shape) at a level -> the data and the noise in it


def _velocity(denoised: Denoised, s: Tensor, u: Tensor) -> Tensor:
    level = Level.at(s)
    return 0.5 * level.sigma * (level.sigma * u - denoised(u, level)[1])


def carried(denoised: Denoised, u: Tensor, ends: Tensor, num_steps: int) -> Tensor:
    """u (N, *shape) from one level to another; ends (2,), in log of signal to noise."""
    from torchdiffeq import odeint

    options = {"step_size": float((ends[1] - ends[0]).abs()) / num_steps}
    out: Tensor = odeint(lambda s, u: _velocity(denoised, s, u), u, ends, method="rk4", options=options)[-1]
    return out


def log_density(denoised: Denoised, u: Tensor, ends: Tensor, num_steps: int, num_probes: int, key: Key) -> tuple[Tensor, Tensor]:
    """log p of u (N, *shape) at the first level, if it is normal at the second, and its standard error: (N,), nats, in double.

    The trace is exact up to EXACT_UP_TO numbers a datum, else a mean over probes of signs, of which each is kept all the way.
    """
    from torchdiffeq import odeint

    numbers = u[0].numel()
    exact = numbers <= EXACT_UP_TO
    if num_steps < 1 or num_probes < 2:
        raise ProgramError(f"num_steps must be at least 1 and num_probes 2; got {num_steps} and {num_probes}")
    if exact:
        probes = torch.eye(numbers).to(u).reshape(numbers, 1, *u.shape[1:]).expand(-1, len(u), *u.shape[1:])
    else:
        signs = (key.uniform(PROBES, (len(u), num_probes, *u.shape[1:])) < 0.5).to(u)
        probes = (2 * signs - 1).transpose(0, 1)  # (probes, N, *shape)

    def slope(s: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        v, pull = cast("Any", vjp(lambda u: _velocity(denoised, s, u), state[0]))
        traces = vmap(lambda p: (pull(p)[0] * p).flatten(1).sum(1))(probes)  # (probes, N)
        return v, traces

    options = {"step_size": float((ends[1] - ends[0]).abs()) / num_steps}
    start = u, torch.zeros(len(probes), len(u), dtype=u.dtype, device=u.device)
    there, traces = (t[-1] for t in odeint(slope, start, ends, method="rk4", options=options))
    end = -0.5 * (there.double().flatten(1).square().sum(1) + numbers * math.log(2 * math.pi))
    traces = traces.double()
    if exact:
        return end + traces.sum(0), torch.zeros_like(end)
    return end + traces.mean(0), traces.std(0) / math.sqrt(num_probes)
