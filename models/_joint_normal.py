"""A guide part that families share: one normal over the unconstrained values of several sites.

Each site is given the ones before it,

    u_i = centre_i + unit_i v_i
    v_i | v_<i ~ Normal(loc_i + scale_i T_i,< d_<, L_i L_i'),   d_j = (v_j - loc_j) / scale_j,   L_i = diag(scale_i) (I + T_ii)

with T strictly lower triangular: together a normal with any covariance, in the form of ordinary sample sites. All numbers
that are learned are of order one, whatever the units of the data.
Source: Kucukelbir et al., Automatic differentiation variational inference, JMLR 18, 2017 (the family of distributions).
"""

from collections.abc import Mapping

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from pyro.nn import PyroModule
from torch import Tensor, nn
from torch.distributions.constraints import Constraint
from torch.distributions.transforms import AffineTransform, ComposeTransform, ReshapeTransform, Transform

from ..bijections import bijection_to

__all__ = ["FULL_UP_TO", "JointNormal"]

FULL_UP_TO = 100  # numbers; above, every coordinate is independent, as a full covariance grows by the square


class JointNormal(PyroModule):
    """Contains every normal in unconstrained space of up to FULL_UP_TO numbers, above that those with a diagonal covariance.

    centre   site -> unconstrained values at which it begins; their shape is the site's unconstrained shape
    unit     site -> scale of one step in those values, the same shape
    scale    standard deviation at which it begins, in units
    """

    centre: Tensor  # (dim,)
    unit: Tensor  # (dim,)

    def __init__(self, centre: Mapping[str, Tensor], unit: Mapping[str, Tensor], scale: float = 0.1):
        super().__init__()
        self.shapes = {name: u.shape for name, u in centre.items()}
        self.register_buffer("centre", torch.cat([u.reshape(-1) for u in centre.values()]))
        self.register_buffer("unit", torch.cat([unit[name].reshape(-1) for name in centre]))
        dim = len(self.centre)
        self.loc = nn.Parameter(torch.zeros_like(self.centre))  # in units
        self.log_scale = nn.Parameter(torch.full_like(self.centre, scale).log())
        # T; what stands on and above its diagonal is not used
        self.coupling = nn.Parameter(self.centre.new_zeros(dim, dim)) if dim <= FULL_UP_TO else None

    @classmethod
    def about(cls, values: Mapping[str, Tensor], draws: Mapping[str, Tensor], supports: Mapping[str, Constraint]) -> "JointNormal":
        """One that begins at values of the sites in `supports`, in units of draws of them: (draws, *shape), or of one of several
        that stand side by side in the values. Half the distance between 16 % and 84 % of the draws is a unit."""
        centre, unit = {}, {}
        for name, support in supports.items():
            to_site = bijection_to(support)
            centre[name] = to_site.inv(values[name])
            u = to_site.inv(draws[name]).sort(0).values
            low, high = u[round(0.16 * len(u))], u[round(0.84 * len(u))]  # one sd to each side of a normal
            unit[name] = ((high - low) / 2).expand(centre[name].shape)
        return cls(centre, unit)

    def sample(self, supports: Mapping[str, Constraint]) -> None:
        """One sample site for each of `supports`, with the whole of its value as one event."""
        deviation = self.loc.new_zeros(0)  # d of the sites so far
        start = 0
        for name, support in supports.items():
            part = slice(start, start + self.shapes[name].numel())
            start = part.stop
            to_site = self._transform(name, part, support)
            value = pyro.sample(name, dist.TransformedDistribution(self._conditional(part, deviation), [to_site]))
            deviation = torch.cat([deviation, (to_site.inv(value) - self.loc[part]) / self.log_scale[part].exp()])

    def _conditional(self, part: slice, deviation: Tensor) -> TorchDistributionMixin:
        """Of v (d,) given the deviations before it."""
        loc, scale = self.loc[part], self.log_scale[part].exp()
        if self.coupling is None or not len(loc):
            return dist.Normal(loc, scale).to_event(1)
        mean = loc + scale * (self.coupling[part, : part.start] @ deviation)
        within = torch.eye(len(loc)).to(loc) + self.coupling[part, part].tril(-1)
        return dist.MultivariateNormal(mean, scale_tril=scale[:, None] * within)

    def _transform(self, name: str, part: slice, support: Constraint) -> Transform:
        """v (d,) -> the site's value, with the plates of the model as leftmost dimensions."""
        shape = self.shapes[name]
        into_units = AffineTransform(self.centre[part], self.unit[part], event_dim=1)
        return ComposeTransform([into_units, ReshapeTransform(torch.Size([shape.numel()]), shape), bijection_to(support)], cache_size=1)
