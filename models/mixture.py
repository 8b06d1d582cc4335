"""Mixtures: each datum comes from one of a few components, and which one is not observed."""

from collections.abc import Callable, Collection, Mapping
from typing import Literal, get_args

import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor

from ..errors import DataError, NameNotFoundError, ProgramError
from ..family import check_finite, check_rows
from ._mixture import Mixture, positive

__all__ = ["GaussianMixture", "MixtureOf"]

Covariance = Literal["full", "diagonal", "tied"]


class MixtureOf(Mixture):
    """A mixture of any distribution.

        weights       ~ Dirichlet(concentration, ..., concentration)
        parameter_k   ~ priors[parameter]                             k = 1..K, in the order of `priors`
        assignment_n  ~ Categorical(weights)                          n = 1..N
        x_n           ~ component(parameters of assignment_n)

    num_components   K
    component        parameters by name, each (*batch, *shape) -> the distribution of a datum with that batch shape
    priors           parameter -> prior for one component: proper, continuous, batch shape ()
    shared           parameters that all components have in common
    concentration    pseudo-data per component
    start            parameter -> values (K, *shape) near which the guide begins; otherwise draws from the prior

        MixtureOf(3, dist.Poisson, {"rate": dist.Gamma(2.0, 0.1)})
        MixtureOf(2, lambda probs: dist.Bernoulli(probs).to_event(1), {"probs": dist.Beta(1.0, 1.0).expand([8]).to_event(1)})

    Source: McLachlan & Peel, Finite Mixture Models (2000).
    """

    def __init__(
        self,
        num_components: int,
        component: Callable[..., TorchDistributionMixin],
        priors: Mapping[str, TorchDistributionMixin],
        *,
        shared: Collection[str] = (),
        concentration: float = 2.0,
        start: Mapping[str, Tensor] | None = None,
    ):
        super().__init__(num_components, concentration, shared)
        for name, prior in priors.items():
            if prior.batch_shape:
                raise ProgramError(f"the prior of {name!r} has batch shape {tuple(prior.batch_shape)}; make it one event by to_event")
            if prior.support.is_discrete:
                raise ProgramError(f"the prior of {name!r} is discrete ({type(prior).__name__}); give a continuous one")
        if unknown := sorted({*shared, *(start or {})} - set(priors)):
            raise NameNotFoundError(f"no prior for {', '.join(unknown)}; there are {', '.join(priors)}")
        if not set(priors) - set(shared):
            raise ProgramError("components need at least one parameter of their own, in priors and not in shared; there is none")
        self._component, self._priors = component, dict(priors)
        self._begin(start or {})

    def priors(self) -> dict[str, TorchDistributionMixin]:
        return self._priors

    def component(self, **parameters: Tensor) -> TorchDistributionMixin:
        return self._component(**parameters)


class GaussianMixture(Mixture):
    """A mixture of normals, with D features or plain numbers.

        weights         ~ Dirichlet(concentration, ..., concentration)
        loc_k           ~ Normal(centre, loc_spread * spread)               k = 1..K
        scale_k         ~ LogNormal(log(spread / K), log_scale_spread)
        correlation_k   ~ LKJCholesky(D, correlation_concentration)         full, tied: the Cholesky factor of a correlation
        assignment_n    ~ Categorical(weights)                              n = 1..N
        x_n             ~ Normal(loc, scale correlation correlation' scale) of assignment_n

    num_components   K
    num_features     D; None is that of `like`. Without either, data are plain numbers: x is (N,), loc and scale are (K,).
                     With D features x is (N, D), loc and scale are (K, D), correlation is (K, D, D).
    covariance       full; diagonal: features are independent within a component; tied: one scale (D,) and correlation (D, D)
                     for all components. Correlations exist from two features on.
    like             data (N, D) or (N,) from which centre and spread are taken once, as mean and standard deviation in the
                     data's units (otherwise 0 and 1), and from whose clusters the guide begins
    concentration    pseudo-data per component
    loc_spread       prior standard deviation of loc, in spreads
    log_scale_spread prior standard deviation of log scale. The likelihood of a normal mixture has no maximum (a component
                     can shrink onto one datum); this prior falls faster than it rises.
    correlation_concentration   1 is uniform over correlations; above, smaller ones are likelier

    Buffers are in torch's default dtype, on the device of `like`.
    Sources: McLachlan & Peel, Finite Mixture Models (2000); Lewandowski, Kurowicka & Joe, J. Multivariate Analysis 100, 2009.
    """

    centre: Tensor  # (*event)
    spread: Tensor  # (*event)

    def __init__(
        self,
        num_components: int = 2,
        num_features: int | None = None,
        *,
        covariance: Covariance = "full",
        like: Tensor | None = None,
        concentration: float = 2.0,
        loc_spread: float = 2.0,
        log_scale_spread: float = 0.75,
        correlation_concentration: float = 2.0,
    ):
        if covariance not in get_args(Covariance):
            raise NameNotFoundError(f"no covariance {covariance!r}; there are {', '.join(get_args(Covariance))}")
        event_shape = _event_shape(num_features, like)
        correlated = covariance != "diagonal" and event_shape.numel() > 1
        parameters = ["loc", "scale", "correlation"][: 2 + correlated]
        super().__init__(num_components, concentration, shared=parameters[1:] if covariance == "tied" else ())
        self.correlated = correlated
        self.loc_spread = positive("loc_spread", loc_spread)
        self.log_scale_spread = positive("log_scale_spread", log_scale_spread)
        self.correlation_concentration = positive("correlation_concentration", correlation_concentration)
        rows = None if like is None else like.detach().double()  # (N, *event)
        default = torch.get_default_dtype()
        self.register_buffer("centre", (torch.zeros(event_shape) if rows is None else rows.mean(0)).to(default))
        self.register_buffer("spread", (torch.ones(event_shape) if rows is None else rows.std(0, correction=0)).to(default))
        self._begin({} if rows is None else self._start_from(rows))

    def priors(self) -> dict[str, TorchDistributionMixin]:
        event_dim = self.spread.dim()
        out = {
            "loc": dist.Normal(self.centre, self.loc_spread * self.spread).to_event(event_dim),
            "scale": dist.LogNormal((self.spread / self.num_components).log(), self.log_scale_spread).to_event(event_dim),
        }
        if self.correlated:
            out["correlation"] = dist.LKJCholesky(len(self.spread), self.spread.new_tensor(self.correlation_concentration))
        return out

    def component(self, **parameters: Tensor) -> TorchDistributionMixin:
        """loc and scale (*batch, *event), correlation (*batch, D, D)."""
        loc, scale = parameters["loc"], parameters["scale"]
        if not self.correlated:
            return dist.Normal(loc, scale).to_event(self.spread.dim())
        return dist.MultivariateNormal(loc, scale_tril=scale.unsqueeze(-1) * parameters["correlation"])

    def _start_from(self, rows: Tensor) -> dict[str, Tensor]:
        """Where the guide begins: the clusters of rows (N, *event), without correlations."""
        k, event_shape = self.num_components, self.spread.shape
        if len(rows) < k:
            raise DataError(f"like has {len(rows)} rows, fewer than the {k} components")
        constant = (rows == rows[0]).all(0)  # (*event)
        if constant.any():
            which = f"column {int(constant.nonzero()[0, 0])} of like" if event_shape else "like"
            raise DataError(f"{which} is constant and gives the priors no scale; leave it out")
        z = (rows - self.centre) / self.spread
        means, within = (t.reshape(k, *event_shape).to(self.spread) for t in _clusters(z.reshape(len(rows), -1), k))
        start = {"loc": self.centre + self.spread * means, "scale": self.spread * within.clamp(min=0.1)}
        if self.correlated:
            start["correlation"] = torch.eye(len(self.spread)).to(self.spread).expand(k, -1, -1)
        return {n: v.mean(0) if n in self.shared else v for n, v in start.items()}


def _event_shape(num_features: int | None, like: Tensor | None) -> torch.Size:
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
