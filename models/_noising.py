"""The two laws of a noisy path, (T, *shape) for each datum: noise that is added step by step, and its removal by a network."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import constraints

from ._schedules import Schedule

__all__ = ["Denoising", "Mean", "Noising", "log_normal", "wide"]

Mean = Callable[[Tensor, Tensor], Tensor]  # u_t (M, *shape) and t - 1 (M,) -> the model's mean of u_{t-1} (M, *shape)


class Noising(TorchDistribution):
    """u_t ~ Normal(sqrt(1 - beta_t) u_{t-1}, sqrt(beta_t)), t = 1..T, from data u_0 (N, *shape). Drawn at once, as a sum."""

    arg_constraints = {"data": constraints.real}  # noqa: RUF012  torch's own is a plain dict
    has_rsample = True

    def __init__(self, data: Tensor, schedule: Schedule):
        self.data, self.schedule = data, schedule
        super().__init__(data.shape[:1], torch.Size((schedule.steps, *data.shape[1:])), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        return constraints.independent(constraints.real, len(self.event_shape))

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> "Noising":
        return Noising(self.data.expand(torch.Size(batch_shape) + self.data.shape[1:]), self.schedule)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        s, dims = self.schedule, self.data.dim() - 1
        noise = torch.randn(self._extended_shape(torch.Size(sample_shape)), dtype=self.data.dtype, device=self.data.device)
        added = (wide(s.beta.sqrt() / s.alpha, dims) * noise).cumsum(-1 - dims)
        return wide(s.alpha, dims) * (self.data.unsqueeze(1) + added)

    def log_prob(self, path: Tensor) -> Tensor:
        dims = self.data.dim() - 1
        before = torch.cat([self.data.unsqueeze(1).to(path), path[:, :-1]], 1)
        beta = wide(self.schedule.beta, dims)
        return log_normal(path, (1 - beta).sqrt() * before, beta.sqrt()).flatten(1).sum(1)


class Denoising(TorchDistribution):
    """u_T ~ Normal(0, 1) and u_{t-1} ~ Normal(mean(u_t, t), sd_t), t = T..2, for N data. A density takes one call of the network, on
    N (T - 1) rows; a draw T - 1 calls, on N rows."""

    arg_constraints = {"sd": constraints.positive}  # noqa: RUF012  torch's own is a plain dict
    costly = True

    def __init__(self, mean: Callable[[int], Mean], schedule: Schedule, count: int, shape: torch.Size):
        """mean: what makes the mean of a step, for so many rows of each datum."""
        self.mean_for, self.schedule, self.shape_of_datum = mean, schedule, shape
        self.sd = schedule.sd
        super().__init__(torch.Size((count,)), torch.Size((schedule.steps, *shape)), validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        return constraints.independent(constraints.real, len(self.event_shape))

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> "Denoising":
        (count,) = batch_shape
        return Denoising(self.mean_for, self.schedule, count, self.shape_of_datum)

    def log_prob(self, path: Tensor) -> Tensor:
        path = path.to(self.schedule.beta.dtype)
        last, steps = path[:, -1], self.schedule.steps - 1
        log_prob = log_normal(last, torch.zeros_like(last), torch.ones_like(last)).flatten(1).sum(1)
        if not steps:
            return log_prob
        here = path[:, 1:].flatten(0, 1)
        step = torch.arange(1, steps + 1, device=path.device).repeat(len(path))
        mean = self.mean_for(steps)(here, step).reshape(path[:, 1:].shape)
        sd = wide(self.schedule.sd[1:], len(self.shape_of_datum))
        return log_prob + log_normal(path[:, :-1], mean, sd).flatten(1).sum(1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        if tuple(sample_shape):
            raise NotImplementedError("paths are drawn once for each datum")
        (count,), s = self.batch_shape, self.schedule
        mean, shape = self.mean_for(1), (count, *self.shape_of_datum)
        with torch.no_grad():
            path = [torch.randn(shape, dtype=s.beta.dtype, device=s.beta.device)]
            for step in range(s.steps - 1, 0, -1):
                at = torch.full((count,), step, device=s.beta.device)
                path.append(mean(path[-1], at) + s.sd[step] * torch.randn_like(path[-1]))
            return torch.stack(path[::-1], 1)


def log_normal(value: Tensor, mean: Tensor, sd: Tensor) -> Tensor:
    """Number by number, nats."""
    return -0.5 * ((value - mean) / sd).square() - sd.log() - 0.5 * math.log(2 * math.pi)


def wide(table: Tensor, dims: int) -> Tensor:
    """A table with so many dimensions of size 1 behind it."""
    return table.reshape(*table.shape, *(1,) * dims)
