"""What one run of a program finds: its sites and plates, and what a distribution tells without being sampled."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pyro.distributions as dist
import torch
from pyro.poutine.condition_messenger import ConditionMessenger
from pyro.poutine.runtime import _PYRO_STACK
from torch import Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint

__all__ = ["Latent", "Plate", "Site", "as_validation_is"]


class Plate(NamedTuple):
    """A plate of a program: its dimension counts from the right, -1 is the rightmost."""

    name: str
    dim: int
    size: int
    subsample_size: int


class Latent(NamedTuple):
    """What a run knows of a continuous latent site besides its value."""

    shape: torch.Size  # unconstrained
    raw: Tensor
    log_jacobian: Tensor | None
    unconstrained: Tensor | None
    rows: Tensor | None


@dataclass(frozen=True, eq=False)
class Site:
    """One site of a program as one run found it.

    kind                 latent, observed, conditioned (by `poutine.condition`), deterministic or factor; in a run that is given values
                         of discrete latent sites, those are held
    plates               outermost first
    shape, event_dim     of the constrained value; batch dimensions first
    unconstrained_shape  of a continuous latent site; () otherwise
    place                where it stands in the flat position; None if it does not
    rows                 of a site made by `obs_mask`: the flat indices of its missing rows, which alone are latent
    time                 of a latent DiscreteChain: its plate of time
    """

    name: str
    kind: str
    plates: tuple[str, ...] = ()
    shape: torch.Size = torch.Size()
    event_dim: int = 0
    unconstrained_shape: torch.Size = torch.Size()
    support: Constraint | None = None
    discrete: bool = False
    distribution: str = ""
    value: Any = None
    place: slice | None = None
    rows: Tensor | None = None
    time: str | None = None
    # What the run computed, for recording and checks
    log_prob: Any = field(default=None, repr=False)
    scale: Any = field(default=1.0, repr=False)
    raw: Any = field(default=None, repr=False)  # the value above its mark
    log_jacobian: Any = field(default=None, repr=False)
    unconstrained: Any = field(default=None, repr=False)  # flat, computed from the marked value
    dims: tuple[str | None, ...] = field(default=(), repr=False)  # a name for each dimension of log_prob

    @property
    def continuous(self) -> bool:
        return self.kind == "latent" and not self.discrete

    @property
    def free_size(self) -> int:
        """How many coordinates a continuous latent site takes in the flat position."""
        size = self.unconstrained_shape.numel()
        if self.rows is None:
            return size
        batch = self.shape[: len(self.shape) - self.event_dim].numel()
        return size // max(batch, 1) * len(self.rows)


def bases(fn: Any) -> Iterator[Any]:
    """A distribution and what it wraps, from the outside in."""
    yield fn
    while hasattr(fn, "base_dist"):
        fn = fn.base_dist
        yield fn


@contextmanager
def as_validation_is(fn: Any) -> Iterator[None]:
    """A distribution that was made outside of a run may have set out to validate whatever becomes of the global setting; here the
    global one counts. Its checks read values back, which no recording can have."""
    parts = [] if Distribution._validate_args else [p for p in _parts(fn) if p.__dict__.get("_validate_args")]
    for p in parts:
        p._validate_args = False
    try:
        yield
    finally:
        for p in parts:
            p._validate_args = True


def _parts(fn: Any) -> Iterator[Any]:
    """A distribution and all that it is made of."""
    yield fn
    for value in list(vars(fn).values()):
        if isinstance(value, Distribution):
            yield from _parts(value)


def is_a(fn: Any, kind: type | tuple[type, ...]) -> bool:
    return any(isinstance(b, kind) for b in bases(fn))


def kind_of(msg: Any) -> str:
    """The kind of a sample message, see `Site.kind`. A site that is not observed and whose law is a Delta is determined."""
    fn = msg["fn"]
    if is_a(fn, dist.Unit):
        return "factor"
    if msg["infer"].get("_deterministic") or (not msg["is_observed"] and is_a(fn, dist.Delta)):
        return "deterministic"
    if not msg["is_observed"]:
        return "latent"
    given = any(isinstance(h, ConditionMessenger) and msg["name"] in h.data for h in _PYRO_STACK)
    return "conditioned" if given else "observed"


def distribution_name(fn: Any) -> str:
    while isinstance(fn, (dist.Independent, dist.MaskedDistribution, dist.ExpandedDistribution)):
        fn = fn.base_dist
    return type(fn).__name__


def _parameters(fn: Any) -> Iterator[Tensor]:
    """The tensors that a distribution was made with."""
    for base in bases(fn):
        for name in getattr(base, "arg_constraints", {}):
            value = base.__dict__.get(name)
            if isinstance(value, Tensor):
                yield value


def dtype_of(fn: Any) -> torch.dtype:
    """The dtype of a distribution's parameters, as far as they tell."""
    floating = (t.dtype for t in _parameters(fn) if t.dtype.is_floating_point)
    return next(floating, torch.get_default_dtype())


def device_of_distribution(fn: Any) -> torch.device:
    return next((t.device for t in _parameters(fn)), torch.empty(0).device)
