"""What a state gives off: the law of an observation given the state's parameters, with priors for these."""

from collections.abc import Callable, Mapping
from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from pyro.nn import PyroModule
from torch import Tensor

from ..errors import DataError, NameNotFoundError, ProgramError
from ._normal_laws import moments, normal_event, normal_law, normal_priors, normal_start
from ._sequences import observed_rows

__all__ = ["EMISSIONS", "Emission", "emission_of"]

EMISSIONS = ("normal", "multivariate_normal", "poisson", "categorical")
LOC_SPREAD, LOG_SCALE_SPREAD, CORRELATION_CONCENTRATION = 2.0, 0.75, 2.0  # as GaussianMixture has them
PSEUDO_COUNTS = 2.0  # shape of the prior of a rate


class Emission(PyroModule):
    """Of any law, with priors that the user gives.

    start   parameter -> values (K, *shape) near which a guide begins, where they are known
    """

    def __init__(self, law: Callable[..., TorchDistributionMixin] | None = None):
        super().__init__()
        self._law = law
        self.start: Mapping[str, Tensor] = {}

    def priors(self) -> dict[str, TorchDistributionMixin]:
        """Of the parameters of one state, in the order of sampling; batch shapes ()."""
        return {}

    def law(self, **parameters: Tensor) -> TorchDistributionMixin:
        """Of an observation given parameters (*batch, *shape): its batch shape is batch."""
        if self._law is None:
            raise NotImplementedError
        return self._law(**parameters)


class Normal(Emission):
    """loc, scale, and with `full` and more than one feature the Cholesky factor of a correlation, in the units of data."""

    centre: Tensor  # (*event)
    spread: Tensor  # (*event)

    def __init__(self, num_states: int, num_features: int | None, like: Any, *, full: bool):
        super().__init__()
        event_shape = normal_event(_features(num_features, like), None)
        rows = None if like is None else observed_rows(like, event_shape).detach().double()
        self.num_states, self.full = num_states, full and event_shape.numel() > 1
        centre, spread = moments(rows, event_shape)
        self.register_buffer("centre", centre)
        self.register_buffer("spread", spread)
        if rows is not None:
            self.start = normal_start(rows, self.centre, self.spread, num_states, self.full)

    def priors(self) -> dict[str, TorchDistributionMixin]:
        return normal_priors(
            self.centre,
            self.spread,
            self.num_states,
            loc_spread=LOC_SPREAD,
            log_scale_spread=LOG_SCALE_SPREAD,
            correlation_concentration=CORRELATION_CONCENTRATION if self.full else None,
        )

    def law(self, **parameters: Tensor) -> TorchDistributionMixin:
        return normal_law(self.spread.dim(), **parameters)


class Poisson(Emission):
    """rate, about the mean of the data."""

    mean: Tensor  # ()

    def __init__(self, num_states: int, like: Any):
        super().__init__()
        mean = torch.tensor(1.0)
        if like is not None:
            rows = observed_rows(like, torch.Size()).detach().to(mean.dtype)
            if not rows.mean() > 0:
                raise DataError("like has no count above 0 and gives the prior of the rate no scale; leave it out")
            mean = rows.mean()
            parts = rows.sort().values.tensor_split(num_states)
            self.start = {"rate": torch.stack([p.mean() if len(p) else mean for p in parts]).clamp(min=0.1 * float(mean))}
        self.register_buffer("mean", mean)

    def priors(self) -> dict[str, TorchDistributionMixin]:
        return {"rate": dist.Gamma(torch.full_like(self.mean, PSEUDO_COUNTS), PSEUDO_COUNTS / self.mean)}

    def law(self, **parameters: Tensor) -> TorchDistributionMixin:
        return dist.Poisson(parameters["rate"])


class Categorical(Emission):
    """probs of values 0, ..., V - 1; a priori uniform over all that sum to 1."""

    even: Tensor  # (V,)

    def __init__(self, num_values: int | None, like: Any):
        super().__init__()
        if num_values is None and like is None:
            raise ProgramError("categorical emissions need num_values, the number of values that there are, or data as like")
        top = observed_rows(like, torch.Size()).max() if like is not None else torch.zeros(())
        count = int(top) + 1 if num_values is None else num_values
        if count < 2 or top >= count:
            raise ProgramError(f"num_values must be at least 2 and above every value, got {count}; the largest of like is {float(top):g}")
        self.register_buffer("even", torch.ones(count, device=top.device))

    def priors(self) -> dict[str, TorchDistributionMixin]:
        return {"probs": dist.Dirichlet(self.even)}

    def law(self, **parameters: Tensor) -> TorchDistributionMixin:
        return dist.Categorical(parameters["probs"])


def emission_of(
    emission: str | Callable[..., TorchDistributionMixin], num_states: int, num_features: int | None, num_values: int | None, like: Any
) -> Emission:
    """By name, or of a law of one's own. Raises NameNotFoundError."""
    if callable(emission):
        return Emission(emission)
    if emission not in EMISSIONS:
        raise NameNotFoundError(f"no emission {emission!r}; there are {', '.join(EMISSIONS)}, or any callable that returns a distribution")
    if emission == "poisson":
        return Poisson(num_states, like)
    if emission == "categorical":
        return Categorical(num_values, like)
    return Normal(num_states, num_features, like, full=emission == "multivariate_normal")


def _features(num_features: int | None, like: Any) -> int | None:
    """D where it is given, or told by data (N, T, D)."""
    x = like.get("x") if isinstance(like, Mapping) else like
    return int(x.shape[2]) if num_features is None and isinstance(x, Tensor) and x.dim() == 3 else num_features
