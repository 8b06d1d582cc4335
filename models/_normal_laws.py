"""Normal components: their priors in the units of data, their law, and where to begin: at clusters."""

import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor

from ..errors import DataError, ProgramError
from ..family import check_finite, check_rows

__all__ = ["moments", "normal_event", "normal_law", "normal_priors", "normal_start"]


def normal_event(num_features: int | None, like: Tensor | None) -> torch.Size:
    """The shape of one datum, from either or both. Raises DataError where `like` does not fit or is not finite."""
    if num_features is not None and num_features < 1:
        raise ProgramError(f"num_features must be at least 1, got {num_features}; leave it out for plain numbers")
    event_shape = torch.Size() if num_features is None else torch.Size([num_features])
    if like is not None:
        if num_features is None and getattr(like, "ndim", 1) == 2:  # what is no tensor is refused below
            event_shape = torch.Size(like.shape[1:])
        check_rows(like, event_shape, "like")
        check_finite(like, "like")
    return event_shape


def moments(rows: Tensor | None, event_shape: torch.Size) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of rows (N, *event), or 0 and 1 without any, in torch's default dtype."""
    default = torch.get_default_dtype()
    if rows is None:
        return torch.zeros(event_shape).to(default), torch.ones(event_shape).to(default)
    return rows.mean(0).to(default), rows.std(0, correction=0).to(default)


def normal_priors(
    centre: Tensor, spread: Tensor, count: int, *, loc_spread: float, log_scale_spread: float, correlation_concentration: float | None
) -> dict[str, TorchDistributionMixin]:
    """Of one of `count` components: loc about the centre, scale below the spread, and correlations unless None."""
    event_dim = spread.dim()
    out = {
        "loc": dist.Normal(centre, loc_spread * spread).to_event(event_dim),
        "scale": dist.LogNormal((spread / count).log(), log_scale_spread).to_event(event_dim),
    }
    if correlation_concentration is not None:
        out["correlation"] = dist.LKJCholesky(len(spread), spread.new_tensor(correlation_concentration))
    return out


def normal_law(event_dim: int, loc: Tensor, scale: Tensor, correlation: Tensor | None = None) -> TorchDistributionMixin:
    """loc and scale (*batch, *event), correlation, a Cholesky factor, (*batch, D, D)."""
    if correlation is None:
        return dist.Normal(loc, scale).to_event(event_dim)
    return dist.MultivariateNormal(loc, scale_tril=scale.unsqueeze(-1) * correlation)


def normal_start(rows: Tensor, centre: Tensor, spread: Tensor, count: int, correlated: bool) -> dict[str, Tensor]:
    """Parameters (count, *shape) of the clusters of rows (N, *event), without correlations. Raises DataError."""
    event_shape = spread.shape
    if len(rows) < count:
        raise DataError(f"like has {len(rows)} rows, fewer than the {count} components")
    constant = (rows == rows[0]).all(0)  # (*event)
    if constant.any():
        which = f"column {int(constant.nonzero()[0, 0])} of like" if event_shape else "like"
        raise DataError(f"{which} is constant and gives the priors no scale; leave it out")
    z = (rows - centre) / spread
    means, within = (t.reshape(count, *event_shape).to(spread) for t in _clusters(z.reshape(len(rows), -1), count))
    start = {"loc": centre + spread * means, "scale": spread * within.clamp(min=0.1)}
    if correlated:
        start["correlation"] = torch.eye(len(spread)).to(spread).expand(count, -1, -1)
    return start


def _clusters(z: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Means and standard deviations (k, D) of the clusters of k-means on rows (N, D), begun from an even cut along the first
    principal axis: equal data give equal clusters. Source: Lloyd, IEEE Trans. Information Theory 28(2), 1982."""
    axis = torch.linalg.eigh(z.T @ z).eigenvectors[:, -1]
    axis = axis * axis[axis.abs().argmax()].sign()  # an eigenvector's sign is arbitrary
    cluster = (z @ axis).argsort().argsort() * k // len(z)  # (N,) in 0..k-1
    for _ in range(50):
        member = torch.nn.functional.one_hot(cluster, k).to(z)  # (N, k)
        size = member.sum(0).clamp(min=1)[:, None]  # an empty cluster rests at the centre of the data
        means = member.T @ z / size
        within = (member.T @ (z - means[cluster]).square() / size).sqrt()
        cluster, before = torch.cdist(z, means).argmin(-1), cluster
        if torch.equal(cluster, before):
            break
    return means, within
