"""What all mixtures have in common: the pair, and what is known in closed form given the parameters."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor
from torch.distributions import MixtureSameFamily

from ..errors import NameNotFoundError, ProgramError
from ..family import Family, check_rows, count_rows
from ._joint_normal import JointNormal
from ._label_switching import order_of, ordered, renamed
from ._priors import prior_draws

__all__ = ["Mixture", "positive"]


class Mixture(Family):
    """What mixtures have in common. A subclass says what the priors of a component's parameters are and what a component is.

    shared   names of the parameters that all components have in common
    """

    concentration: Tensor  # (K,)

    def __init__(self, num_components: int, concentration: float, shared: Collection[str]):
        super().__init__()
        if num_components < 1:
            raise ProgramError(f"num_components must be at least 1, got {num_components}")
        self.num_components, self.shared = num_components, tuple(shared)
        self.register_buffer("concentration", torch.full((num_components,), positive("concentration", concentration)))

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
        self.q.sample({n: p.support for n, p in self._continuous().items()})

    def _continuous(self) -> dict[str, TorchDistributionMixin]:
        """The priors of all continuous sites."""
        return {"weights": dist.Dirichlet(self.concentration), **self.priors()}

    def _begin(self, start: Mapping[str, Tensor]) -> None:
        """Make the guide: it begins at `start`, or at draws from the priors, and its units are the priors' own scales."""
        draws = prior_draws({**self.priors(), "weights": dist.Dirichlet(self.concentration)})
        device = next(iter(draws.values())).device
        self.concentration, draws["weights"] = self.concentration.to(device), draws["weights"].to(device)
        self.event_shape = self.component(**{n: draws[n][0] for n in self.priors()}).event_shape
        values = {n: v[0] if n in self.shared else v[: self.num_components] for n, v in draws.items()}
        values |= {"weights": self.concentration / self.concentration.sum(), **start}
        self.q = JointNormal.about(values, draws, {n: p.support for n, p in self._continuous().items()})

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
        rows = x.reshape(len(x), *[1] * (len(mixture.batch_shape) + 1), *mixture.event_shape)
        log_probs = mixture.component_distribution.log_prob(rows) + mixture.mixture_distribution.logits  # (N, *lead, K)
        return log_probs.movedim(0, -2)

    # Label switching

    def relabel(self, draws: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Components in the order of the first number of their first parameter, in every draw (*lead, K, *shape).

        Draws stay as they are where a site of the components has none: with one held fixed the labels have a meaning.
        """
        own = {n: p.event_dim for n, p in self.priors().items() if n not in self.shared}
        events = {**own, "weights": 0}
        if not set(events) <= set(draws):
            return dict(draws)
        first = next(iter(own))
        order = order_of(draws[first], own[first], draws["weights"].dim() - 1)  # (*lead, K)
        out = {**draws, **ordered(draws, events, order)}
        if "assignment" in draws:
            out["assignment"] = renamed(draws["assignment"], order)
        return out


def positive(name: str, value: float) -> float:
    """A setting as a float. Raises ProgramError."""
    if not value > 0:
        raise ProgramError(f"{name} must be positive, got {value}")
    return float(value)
