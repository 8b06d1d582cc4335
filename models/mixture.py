"""Mixtures: each datum comes from one of a few components, and which one is not observed."""

from collections.abc import Callable, Collection, Mapping
from typing import Literal, get_args

from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor

from ..errors import NameNotFoundError
from ._mixture import Mixture, positive
from ._normal_laws import moments, normal_event, normal_law, normal_priors, normal_start
from ._priors import checked

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
        self._component, self._priors = component, checked(priors, shared, start or {})
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
        event_shape = normal_event(num_features, like)
        correlated = covariance != "diagonal" and event_shape.numel() > 1
        parameters = ["loc", "scale", "correlation"][: 2 + correlated]
        super().__init__(num_components, concentration, shared=parameters[1:] if covariance == "tied" else ())
        self.correlated = correlated
        self.loc_spread = positive("loc_spread", loc_spread)
        self.log_scale_spread = positive("log_scale_spread", log_scale_spread)
        self.correlation_concentration = positive("correlation_concentration", correlation_concentration)
        rows = None if like is None else like.detach().double()  # (N, *event)
        centre, spread = moments(rows, event_shape)
        self.register_buffer("centre", centre)
        self.register_buffer("spread", spread)
        self._begin({} if rows is None else self._start_from(rows))

    def priors(self) -> dict[str, TorchDistributionMixin]:
        return normal_priors(
            self.centre,
            self.spread,
            self.num_components,
            loc_spread=self.loc_spread,
            log_scale_spread=self.log_scale_spread,
            correlation_concentration=self.correlation_concentration if self.correlated else None,
        )

    def component(self, **parameters: Tensor) -> TorchDistributionMixin:
        """loc and scale (*batch, *event), correlation (*batch, D, D)."""
        return normal_law(self.spread.dim(), **parameters)

    def _start_from(self, rows: Tensor) -> dict[str, Tensor]:
        """Where the guide begins: the clusters of rows (N, *event), without correlations."""
        start = normal_start(rows, self.centre, self.spread, self.num_components, self.correlated)
        return {n: v.mean(0) if n in self.shared else v for n, v in start.items()}
