"""Mixtures: each datum comes from one of a few components, and which one is not observed."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any, Literal

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor
from torch.distributions import MixtureSameFamily, biject_to

from ..errors import DataError, NameNotFoundError, ProgramError
from ..family import Family, check_finite, check_rows, count_rows
from ._joint_normal import JointNormal

__all__ = ["GaussianMixture", "MixtureOf"]

PRIOR_DRAWS = 500  # from which the guide reads the scale of each prior


class _Mixture(Family):
    """What mixtures have in common. A subclass says what the priors of a component's parameters are and what a component is.

    shared   names of the parameters that all components have in common
    """

    def __init__(self, num_components: int, concentration: float, shared: Collection[str]):
        super().__init__()
        if num_components < 1:
            raise ProgramError(f"num_components must be at least 1, got {num_components}")
        if not concentration > 0:
            raise ProgramError(f"concentration must be positive, got {concentration}")
        self.num_components, self.shared = num_components, tuple(shared)
        self.register_buffer("concentration", torch.full((num_components,), float(concentration)))

    def priors(self) -> dict[str, TorchDistributionMixin]:
        """Of the parameters of one component, in the order of sampling; batch shapes ()."""
        raise NotImplementedError

    def component(self, **parameters: Tensor) -> TorchDistributionMixin:
        """The distribution of a datum given parameters (*batch, *shape): its batch shape is batch."""
        raise NotImplementedError

    # The pair

    def model(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> Tensor:
        """Observes data x (N, *event), or draws `size` of them."""
        if context is not None:
            raise ProgramError(f"{type(self).__name__} takes no context")
        if x is not None:
            check_rows(x, self.event_shape)
        priors = self.priors()
        weights = pyro.sample("weights", dist.Dirichlet(self.concentration))  # (K,)
        common = {n: pyro.sample(n, priors[n]) for n in self.shared}  # (*shape)
        with pyro.plate("components", self.num_components):
            own = {n: pyro.sample(n, p) for n, p in priors.items() if n not in self.shared}  # (K, *shape)
        with pyro.plate("data", count_rows(x, size)):
            assignment = pyro.sample("assignment", dist.Categorical(weights))  # (N,)
            each = self.component(**common, **{n: v[assignment] for n, v in own.items()})
            return pyro.sample("x", each, obs=x)

    def guide(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        """A normal over the unconstrained values of all continuous sites, with any covariance (up to 100 numbers; above,
        independent ones): one of the equal modes, correlations, no skew. Assignments are left to be summed out exactly."""
        self.q.sample({"weights": dist.constraints.simplex, **{n: p.support for n, p in self.priors().items()}})

    def _begin(self, start: Mapping[str, Tensor]) -> None:
        """Make the guide: it begins at `start`, or at draws from the priors, and its units are the priors' own scales."""
        priors = {"weights": dist.Dirichlet(self.concentration), **self.priors()}
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(0)
            draws = {n: p.expand([PRIOR_DRAWS]).sample() for n, p in priors.items()}
        self.event_shape = self.component(**{n: draws[n][0] for n in self.priors()}).event_shape
        values = {n: v[0] if n in self.shared else v[: self.num_components] for n, v in draws.items()}
        values |= {"weights": self.concentration / self.concentration.sum(), **start}
        centre, unit = {}, {}
        for name, prior in priors.items():
            to_site = biject_to(prior.support)
            centre[name] = to_site.inv(values[name])
            u = to_site.inv(draws[name]).sort(0).values
            low, high = u[round(0.16 * PRIOR_DRAWS)], u[round(0.84 * PRIOR_DRAWS)]  # one sd to each side of a normal
            unit[name] = ((high - low) / 2).expand(centre[name].shape)
        self.q = JointNormal(centre, unit)

    # What is known in closed form, given the parameters

    def components(self, values: Mapping[str, Tensor]) -> MixtureSameFamily | None:
        """The distribution of a datum given values (*lead, *shape) by site, batch shape lead; None if one has no value."""
        names = list(self.priors())
        if not {"weights", *names} <= set(values):
            return None
        lead = values["weights"].dim() - 1
        each = self.component(**{n: values[n].unsqueeze(lead) if n in self.shared else values[n] for n in names})
        return MixtureSameFamily(torch.distributions.Categorical(values["weights"]), each)

    def responsibilities(self, x: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """p(assignment | x, parameters): x (N, *event), values (*lead, *shape) by site -> (*lead, N, K)."""
        return self._log_joint(x, values).softmax(-1)

    def log_likelihood(self, x: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """log p(x | parameters), nats: x (N, *event), values (*lead, *shape) by site -> (*lead, N)."""
        return self._log_joint(x, values).logsumexp(-1)

    def exact(self, x: Tensor, context: Tensor | None = None) -> dict[str, Any]:
        """Functions of values by site: `log_likelihood` and `responsibilities` of x."""
        return {"log_likelihood": partial(self.log_likelihood, x), "responsibilities": partial(self.responsibilities, x)}

    def _log_joint(self, x: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """log p(x, assignment | parameters): (*lead, N, K)."""
        check_rows(x, self.event_shape)
        mixture = self.components(values)
        if mixture is None:
            missing = sorted({"weights", *self.priors()} - set(values))
            raise NameNotFoundError(f"no value for {', '.join(missing)}; given are {', '.join(sorted(values))}")
        lead, event = mixture.batch_shape, mixture.event_shape
        each = mixture.component_distribution.expand((*lead, self.num_components))
        rows = x.reshape(len(x), *[1] * (len(lead) + 1), *event)
        log_probs = each.log_prob(rows) + mixture.mixture_distribution.logits  # (N, *lead, K)
        return log_probs.movedim(0, -2)

    # Label switching

    def relabel(self, draws: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Components in the order of the first number of their first parameter, in every draw (*lead, K, *shape).

        Draws stay as they are where a site of the components has none: with one held fixed the labels have a meaning.
        """
        events = {"weights": 0, **{n: p.event_dim for n, p in self.priors().items() if n not in self.shared}}
        if not set(events) <= set(draws):
            return dict(draws)
        first = list(events)[1]
        at = draws[first].dim() - 1 - events[first]  # the dimension of the components
        order = draws[first].flatten(at + 1).select(-1, 0) if events[first] else draws[first]
        order = order.argsort(-1)  # (*lead, K)
        out = {n: v.take_along_dim(order[(..., *[None] * events[n])], at) if n in events else v for n, v in draws.items()}
        if "assignment" in draws:
            out["assignment"] = order.argsort(-1).take_along_dim(draws["assignment"].long(), -1).to(draws["assignment"])
        return out


class MixtureOf(_Mixture):
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
        if unknown := sorted({*shared, *(start or {})} - set(priors)):
            raise NameNotFoundError(f"no prior for {', '.join(unknown)}; there are {', '.join(priors)}")
        self._component, self._priors = component, dict(priors)
        self._begin(start or {})

    def priors(self) -> dict[str, TorchDistributionMixin]:
        return self._priors

    def component(self, **parameters: Tensor) -> TorchDistributionMixin:
        return self._component(**parameters)


class GaussianMixture(_Mixture):
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

    Sources: McLachlan & Peel, Finite Mixture Models (2000); Lewandowski, Kurowicka & Joe, J. Multivariate Analysis 100, 2009.
    """

    def __init__(
        self,
        num_components: int,
        num_features: int | None = None,
        *,
        covariance: Literal["full", "diagonal", "tied"] = "full",
        like: Tensor | None = None,
        concentration: float = 2.0,
        loc_spread: float = 2.0,
        log_scale_spread: float = 0.75,
        correlation_concentration: float = 2.0,
    ):
        if covariance not in ("full", "diagonal", "tied"):
            raise NameNotFoundError(f"no covariance {covariance!r}; there are full, diagonal and tied")
        event_shape = torch.Size() if num_features is None else torch.Size([num_features])
        if like is not None:
            if num_features is None and isinstance(like, Tensor) and like.dim() == 2:
                event_shape = like.shape[1:]
            check_rows(like, event_shape, "like")
            check_finite(like, "like")
        correlated = covariance != "diagonal" and event_shape.numel() > 1
        parameters = ["loc", "scale", "correlation"][: 2 + correlated]
        super().__init__(num_components, concentration, shared=parameters[1:] if covariance == "tied" else ())
        self.correlated, self.correlation_concentration = correlated, correlation_concentration
        self.loc_spread, self.log_scale_spread = loc_spread, log_scale_spread
        rows = None if like is None else like.detach().to(torch.get_default_dtype())
        self.register_buffer("centre", torch.zeros(event_shape) if rows is None else rows.mean(0))
        self.register_buffer("spread", torch.ones(event_shape) if rows is None else rows.std(0, correction=0))
        self._begin(self._even_start() if rows is None else self._start_from(rows))

    def priors(self) -> dict[str, TorchDistributionMixin]:
        event_dim = self.spread.dim()
        out = {
            "loc": dist.Normal(self.centre, self.loc_spread * self.spread).to_event(event_dim),
            "scale": dist.LogNormal((self.spread / self.num_components).log(), self.log_scale_spread).to_event(event_dim),
        }
        if self.correlated:
            out["correlation"] = dist.LKJCholesky(len(self.spread), self.spread.new_tensor(self.correlation_concentration))
        return out

    def component(self, loc: Tensor, scale: Tensor, correlation: Tensor | None = None) -> TorchDistributionMixin:
        """loc and scale (*batch, *event), correlation (*batch, D, D)."""
        if correlation is None:
            return dist.Normal(loc, scale).to_event(self.spread.dim())
        return dist.MultivariateNormal(loc, scale_tril=scale.unsqueeze(-1) * correlation)

    def _even_start(self) -> dict[str, Tensor]:
        k = self.num_components
        along = (2 * torch.arange(k) + 1) / k - 1  # (K,) evenly in (-1, 1)
        loc = along.reshape(k, *[1] * self.spread.dim()).expand(k, *self.spread.shape)
        return {"loc": loc, **self._spherical(torch.full_like(loc, 1 / k))}

    def _start_from(self, rows: Tensor) -> dict[str, Tensor]:
        """The clusters of k-means, begun from an even cut along the first principal axis: equal data give equal clusters."""
        from scipy.cluster.vq import kmeans2

        k, n = self.num_components, len(rows)
        if n < k:
            raise DataError(f"like has {n} rows, fewer than the {k} components")
        if not (self.spread > 0).all():
            column = f"column {int((self.spread <= 0).nonzero()[0, 0])} of like" if self.spread.dim() else "like"
            raise DataError(f"{column} is constant and gives the priors no scale; leave it out")
        z = ((rows - self.centre) / self.spread).reshape(n, -1).double().cpu()
        axis = torch.linalg.eigh(z.T @ z).eigenvectors[:, -1]
        axis = axis * axis[axis.abs().argmax()].sign()
        cut = (z @ axis).argsort().argsort() * k // n  # (N,) in 0..K-1
        means = torch.stack([z[cut == i].mean(0) for i in range(k)])
        means, cut = map(torch.as_tensor, kmeans2(z.numpy(), means.numpy(), iter=50, minit="matrix"))
        member = torch.nn.functional.one_hot(cut.long(), k).to(z)  # (N, K)
        within = (member.T @ (z - means[cut]).square() / member.sum(0).clamp(min=1)[:, None]).sqrt()  # (K, D)
        units = lambda t: t.to(rows).reshape(k, *self.spread.shape) * self.spread  # noqa: E731
        return {"loc": units(means) + self.centre, **self._spherical(units(within.clamp(min=0.1)))}

    def _spherical(self, scale: Tensor) -> dict[str, Tensor]:
        """Scales (K, *event) and no correlation, in the shapes of the sites."""
        identity = torch.eye(self.spread.numel()).to(scale)
        if "scale" in self.shared:
            return {"scale": scale.mean(0), "correlation": identity}
        return {"scale": scale, "correlation": identity.expand(self.num_components, *identity.shape)}
