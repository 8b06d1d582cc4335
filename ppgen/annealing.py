"""Annealed importance sampling: weights of particles that are led from a base, which can be drawn from, to a target.

    log f_b = log base + b log_ratio,   0 = b_0 < ... < b_T = 1
    z_0 ~ base;   log w += (b_t - b_{t-1}) log_ratio(z_{t-1}),   z_t from z_{t-1} by moves that leave f_{b_t} invariant

The mean of w is the target's normalising constant Z without bias, however badly the moves mix; so the mean of log w lies below log Z. From
exact draws of the target the same way is gone back, and the mean of log w then lies above it.

Sources: Neal, Statistics and Computing 11, 2001; Grosse, Ghahramani & Adams, arXiv 1511.02543, 2015 (both bounds).
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from .errors import EngineError
from .keys import Key

__all__ = ["Annealed", "Bridge", "Evidence", "anneal", "anneal_back", "inverse_temperatures"]

STEEPNESS = 4.0  # of the sigmoid


class Bridge(Protocol):
    """The way from a base to a target. A state is whatever it likes, its tensors with a leading dimension of particles."""

    def begin(self, count: int, key: Key) -> Any:
        """Particles drawn from the base, exactly."""

    def log_ratio(self, state: Any) -> Tensor:
        """(count, ...): log target, up to its unknown constant, less the normalised log base."""

    def move(self, state: Any, inverse_temperature: float, key: Key, back: bool = False) -> Any:
        """Moves that leave f at this inverse temperature invariant; the key's draw is another one at every call. back: the same moves in
        the reverse order, each of which is reversible."""


class Annealed(NamedTuple):
    """Particles at the target, and their log weights (count, ...), nats."""

    state: Any
    log_weights: Tensor


class Evidence(NamedTuple):
    """log Z, nats.

    log_evidence      log of the mean weight
    standard_error    of it, from the spread of the weights: too small where few particles carry all the weight
    lower             mean log weight: below log Z, on average; upper: above it, None without exact draws of the target
    """

    log_evidence: float
    standard_error: float
    lower: float
    upper: float | None = None

    @classmethod
    def of(cls, log_weights: Tensor, back: Tensor | None = None) -> "Evidence":
        """From log weights (count,) of particles that were led forth, and of such that were led back."""
        logs, count = log_weights.double(), len(log_weights)
        value = logs.logsumexp(0) - math.log(count)
        error = (logs - value).exp().std() / math.sqrt(count)
        upper = None if back is None else float(back.double().mean())
        return cls(float(value), float(error), float(logs.mean()), upper)


def anneal(bridge: Bridge, levels: Sequence[float], count: int, key: Key) -> Annealed:
    """`count` particles from the base to the target through inverse temperatures from 0 to 1; the key's chains are the particles."""
    state = bridge.begin(count, key)
    log_weights = torch.zeros_like(bridge.log_ratio(state))
    for t, (before, level) in enumerate(pairwise(levels), start=1):
        log_weights = log_weights + (level - before) * bridge.log_ratio(state)
        state = bridge.move(state, level, key.at(t))
    return Annealed(state, log_weights)


def anneal_back(bridge: Bridge, levels: Sequence[float], state: Any, key: Key) -> Tensor:
    """Log weights of particles that are drawn from the target, led back to the base: the mean of 1 / w is 1 / Z."""
    log_weights = torch.zeros_like(bridge.log_ratio(state))
    steps = list(enumerate(pairwise(levels), start=1))
    for t, (before, level) in reversed(steps):
        state = bridge.move(state, level, key.at(t), back=True)
        log_weights = log_weights + (level - before) * bridge.log_ratio(state)
    return log_weights


def inverse_temperatures(count: int, schedule: str | Sequence[float] = "sigmoid") -> list[float]:
    """`count` steps from 0 to 1: sigmoid (fine at both ends), linear, or one's own, which rise from 0 to 1. Raises EngineError."""
    if isinstance(schedule, str):
        if schedule not in ("sigmoid", "linear"):
            raise EngineError(f"schedule must be sigmoid, linear or inverse temperatures from 0 to 1; got {schedule!r}")
        even = torch.linspace(0.0, 1.0, count + 1, dtype=torch.float64)
        if schedule == "linear":
            return even.tolist()
        curve = torch.sigmoid(STEEPNESS * (2 * even - 1))
        return ((curve - curve[0]) / (curve[-1] - curve[0])).tolist()
    levels = [float(level) for level in schedule]
    if len(levels) < 2 or levels[0] != 0.0 or levels[-1] != 1.0 or any(a >= b for a, b in pairwise(levels)):
        raise EngineError(f"inverse temperatures must rise from 0 to 1; got {levels[:4]} ... {levels[-1:]}")
    return levels
