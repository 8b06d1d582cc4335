"""Noise schedules: how fast data become noise, and all that a chain of steps needs of it, as tables by step."""

import math
from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from ..errors import NameNotFoundError, ProgramError

__all__ = ["Predict", "Schedule", "ScheduleName", "Variance"]

ScheduleName = Literal["linear", "cosine"]
Predict = Literal["noise", "data", "velocity"]
Variance = Literal["posterior", "forward"]

SLOWEST, FASTEST = 0.1, 20.0  # rates of the linear schedule at its ends
LARGEST = 0.999  # share of a step that may be noise
OFFSET = 0.008  # of the cosine, so that the first steps are not too small


class Schedule(nn.Module):
    """u_t = sqrt(1 - beta_t) u_{t-1} + sqrt(beta_t) noise for t = 1..T, so that u_t = alpha_t u_0 + sigma_t noise.

    linear   beta of 1000 steps rises evenly from 0.0001 to 0.02; other numbers of steps cut the same path of time
    cosine   alpha_t is the cosine of a quarter of a turn

    Tables (T,), entry t - 1 for step t; alpha_t^2 + sigma_t^2 = 1:

        beta, alpha, sigma, log_snr    the last is log alpha_t^2 / sigma_t^2, which is what networks are told of t
        of_data, of_here, sd           u_{t-1} given u_t and u_0 has the mean of_data u_0 + of_here u_t; sd is the model's, of the
                                       posterior variance or of beta_t; at t = 1 it is sqrt(beta_1)
        weight, surplus                step t of the evidence lower bound is -(weight / 2 |error of u_0|^2 + surplus D) nats

    Sources: Ho, Jain & Abbeel, NeurIPS 2020 (linear); Nichol & Dhariwal, ICML 2021 (cosine); Song et al., ICLR 2021 (its time).
    """

    beta: Tensor
    alpha: Tensor
    sigma: Tensor
    log_snr: Tensor
    of_data: Tensor
    of_here: Tensor
    sd: Tensor
    weight: Tensor
    surplus: Tensor

    def __init__(self, steps: int, name: ScheduleName = "linear", variance: Variance = "posterior"):
        super().__init__()
        if type(steps) is not int or steps < 1:
            raise ProgramError(f"num_steps, the number of levels of noise, must be a whole number of at least 1; got {steps!r}")
        if name not in NAMES:
            raise NameNotFoundError(f"no schedule {name!r}; there are {', '.join(NAMES)}")
        if variance not in get_args(Variance):
            raise NameNotFoundError(f"no variance {variance!r}; there are {', '.join(get_args(Variance))}")
        self.steps = steps
        for key, table in _tables(NAMES[name](steps), variance).items():
            self.register_buffer(key, table.to(torch.get_default_dtype()), persistent=False)

    def weight_of(self, predict: Predict) -> Tensor:
        """`weight` for the error of what a network predicts, (T,)."""
        return self.weight * self.slope(predict).square()

    def slope(self, predict: Predict) -> Tensor:
        """By how much an error of what a network predicts is one of u_0, (T,)."""
        return {"noise": self.sigma / self.alpha, "data": torch.ones_like(self.sigma), "velocity": self.sigma}[predict]


def _linear(steps: int) -> Tensor:
    s = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    return -torch.expm1(-(SLOWEST * s + 0.5 * (FASTEST - SLOWEST) * s * s).diff())


def _cosine(steps: int) -> Tensor:
    s = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    alpha = ((s + OFFSET) / (1 + OFFSET) * math.pi / 2).cos()
    return (1 - (alpha[1:] / alpha[:-1]).square()).clamp(max=LARGEST)


NAMES: dict[str, Callable[[int], Tensor]] = {"linear": _linear, "cosine": _cosine}


def _tables(beta: Tensor, variance: Variance) -> dict[str, Tensor]:
    """All in double: differences of numbers near 1 are taken here, once."""
    log_kept = torch.log1p(-beta).cumsum(0)  # log alpha_t^2
    before = torch.cat([log_kept.new_zeros(1), log_kept[:-1]])
    noise, noise_before = -torch.expm1(log_kept), -torch.expm1(before)  # sigma_t^2, sigma_{t-1}^2
    posterior = beta * noise_before / noise  # 0 at t = 1, where u_{t-1} is u_0
    own = posterior.clone() if variance == "posterior" else beta.clone()
    own[0] = beta[0]
    of_data = (0.5 * before).exp() * beta / noise
    surplus = 0.5 * ((own / posterior).log() + posterior / own - 1)
    surplus[0] = 0.5 * (2 * math.pi * own[0]).log()
    return {
        "beta": beta,
        "alpha": (0.5 * log_kept).exp(),
        "sigma": noise.sqrt(),
        "log_snr": log_kept - noise.log(),
        "of_data": of_data,
        "of_here": (1 - beta).sqrt() * noise_before / noise,
        "sd": own.sqrt(),
        "weight": of_data.square() / own,
        "surplus": surplus,
    }
