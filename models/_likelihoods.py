"""What a decoder's numbers say of a datum: modules from decoder output (*lead, *event) to a distribution of data with batch shape lead.

Means and spreads are learned in units of the data's own, `centre` and `spread`, where those are known.
"""

from collections.abc import Callable, Sequence
from typing import Literal, get_args

import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn
from torch.distributions import constraints
from torch.nn.functional import logsigmoid

from ..errors import NameNotFoundError, ProgramError
from ._mixture import positive

__all__ = ["DiscretisedLogistic", "Gaussian", "Likelihood", "likelihood_by_name"]

Likelihood = Literal["gaussian", "bernoulli", "categorical", "logistic"]
Scale = Literal["shared", "each"]


class Gaussian(nn.Module):
    """x ~ Normal(centre + spread * output, spread * scale), the scale learned (`scale` () or (*event)) or given in the data's units."""

    centre: Tensor  # (*event)
    spread: Tensor  # ()

    def __init__(self, centre: Tensor, spread: Tensor, scale: Scale | float):
        super().__init__()
        self.register_buffer("centre", centre)
        self.register_buffer("spread", spread)
        if scale not in get_args(Scale) and isinstance(scale, str):
            raise NameNotFoundError(f"no scale {scale!r}; there are {', '.join(get_args(Scale))}, or give a number")
        if isinstance(scale, str):
            self.log_scale = nn.Parameter(torch.zeros_like(spread if scale == "shared" else centre))
        else:
            self.register_buffer("log_scale", torch.full_like(spread, positive("scale", scale)).log() - spread.log())

    @property
    def scale(self) -> Tensor:
        return self.spread * self.log_scale.exp()

    def forward(self, output: Tensor) -> TorchDistributionMixin:
        loc = self.centre + self.spread * output
        return dist.Normal(loc, self.scale.expand_as(loc)).to_event(self.centre.dim())


class Logistic(Gaussian):
    """The same with a logistic law in place of the normal, summed over bins of grey levels k / (levels - 1)."""

    def __init__(self, centre: Tensor, spread: Tensor, scale: Scale | float, levels: int):
        super().__init__(centre, spread, scale)
        self.levels = levels

    def forward(self, output: Tensor) -> TorchDistributionMixin:
        loc = self.centre + self.spread * output
        return DiscretisedLogistic(loc, self.scale.expand_as(loc), self.levels).to_event(self.centre.dim())


class BernoulliOf(nn.Module):
    """x ~ Bernoulli(logits = output), each number by itself."""

    def __init__(self, event_dim: int):
        super().__init__()
        self.event_dim = event_dim

    def forward(self, output: Tensor) -> TorchDistributionMixin:
        return GreyBernoulli(logits=output).to_event(self.event_dim)


class CategoricalOf(BernoulliOf):
    """x ~ Categorical(logits = output (*lead, *event, K)), each number by itself."""

    def forward(self, output: Tensor) -> TorchDistributionMixin:
        return Levels(logits=output).to_event(self.event_dim)


def likelihood_by_name(
    name: Likelihood, centre: Tensor, spread: Tensor, scale: Scale | float, levels: int | None
) -> tuple[nn.Module, Callable[[torch.Size], torch.Size]]:
    """The module, and the shape of a decoder's output for a datum of a shape. Raises NameNotFoundError, ProgramError."""
    if name not in get_args(Likelihood):
        raise NameNotFoundError(f"no likelihood {name!r}; there are {', '.join(get_args(Likelihood))}, or give a module")
    if (name in ("categorical", "logistic")) != (levels is not None) or (levels or 2) < 2:
        raise ProgramError(f"levels, 2 or more, belong to the likelihoods categorical and logistic alone; got levels={levels} with {name}")
    made: dict[str, Callable[[], nn.Module]] = {
        "gaussian": lambda: Gaussian(centre, spread, scale),
        "logistic": lambda: Logistic(centre, spread, scale, levels or 0),
        "bernoulli": lambda: BernoulliOf(centre.dim()),
        "categorical": lambda: CategoricalOf(centre.dim()),
    }
    return made[name](), lambda shape: torch.Size((*shape, levels or 0)) if name == "categorical" else shape


class GreyBernoulli(dist.Bernoulli):
    """A value between 0 and 1 counts as the mean over binary values that are 1 with that probability."""

    support = constraints.unit_interval


class Levels(dist.Categorical):
    """Whose numbers are more and less, not only different: they have a mean."""

    @property
    def mean(self) -> Tensor:
        return self.probs @ torch.arange(self.probs.shape[-1], device=self.probs.device).to(self.probs)


class DiscretisedLogistic(TorchDistribution):
    """A logistic law rounded to the nearest of the grey levels k / (levels - 1); what lies beyond 0 and 1 belongs to these.

        P(x) = F((x + half - loc) / scale) - F((x - half - loc) / scale),   half = 1 / (2 (levels - 1)),   F(a) = 1 / (1 + exp -a)

    loc, scale   of the same shape, in units of [0, 1]
    Source: Kingma et al., Improving variational inference with inverse autoregressive flow, NeurIPS 2016; Salimans et al., ICLR 2017.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}  # noqa: RUF012  torch's own is a plain dict

    def __init__(self, loc: Tensor, scale: Tensor, levels: int, validate_args: bool | None = None):
        self.loc, self.scale, self.levels = loc, scale, levels
        super().__init__(loc.shape, validate_args=validate_args)

    @property
    def support(self) -> constraints.Constraint:
        return OnGrid(self.levels)

    @property
    def mean(self) -> Tensor:
        """The sum over levels."""
        levels = torch.arange(self.levels, device=self.loc.device).to(self.loc) / (self.levels - 1)
        at = levels.reshape(-1, *[1] * self.loc.dim())
        return (at * self.log_prob(at).exp()).sum(0)

    def expand(self, batch_shape: Sequence[int], _instance: object = None) -> "DiscretisedLogistic":
        shape = torch.Size(batch_shape)
        return DiscretisedLogistic(self.loc.expand(shape), self.scale.expand(shape), self.levels, validate_args=False)

    def log_prob(self, x: Tensor) -> Tensor:
        half = 0.5 / (self.levels - 1)
        above, below = (x + half - self.loc) / self.scale, (x - half - self.loc) / self.scale
        # F(a) - F(b) = F(a) F(-b) (1 - exp(b - a)), each of whose factors has a logarithm without cancellation
        between = torch.log(-torch.expm1(-2 * half / self.scale))
        zero = torch.zeros_like(above)
        lowest, highest = x < half, x > 1 - half
        out = torch.where(highest, zero, logsigmoid(above)) + torch.where(lowest, zero, logsigmoid(-below))
        return out + torch.where(lowest | highest, zero, between)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with torch.no_grad():
            u = torch.rand(torch.Size(sample_shape) + self.batch_shape, dtype=self.loc.dtype, device=self.loc.device)
            y = self.loc + self.scale * torch.logit(u, eps=torch.finfo(u.dtype).eps)
            return (y * (self.levels - 1)).round().clamp(0, self.levels - 1) / (self.levels - 1)


class OnGrid(constraints.Constraint):
    """Grey levels in [0, 1]."""

    is_discrete = True

    def __init__(self, levels: int):
        self.levels = levels
        super().__init__()

    def check(self, value: Tensor) -> Tensor:
        k = value * (self.levels - 1)
        return (value >= 0) & (value <= 1) & ((k - k.round()).abs() < 1e-2)

    def __repr__(self) -> str:
        return f"k / {self.levels - 1} for k = 0..{self.levels - 1}"
