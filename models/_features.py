"""Features of a naive Bayes classifier: the law of one given the class, with its conjugate prior.

A law of parameters is a tuple of tensors whose first dimension is the class; the prior, the posterior and the guide are such laws.
"""

import math
from collections.abc import Mapping
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro.nn import PyroModule
from torch import Tensor, nn

__all__ = ["Bernoulli", "Categorical", "Feature", "Normal"]

BEGIN = 50.0  # data that the guide begins as if it had seen, per class

Law = tuple[Tensor, ...]


class Feature(PyroModule):
    """One feature. `sites` are the names of its parameters behind the feature's own."""

    sites: tuple[str, ...]

    def prior(self) -> Law:
        raise NotImplementedError

    def learned(self) -> Law:
        """The guide's."""
        raise NotImplementedError

    def after(self, x: Tensor, member: Tensor) -> Law:
        """The posterior given values (N,), and for each of them the class that it counts for, one hot or all 0: (N, K). float64."""
        raise NotImplementedError

    def sampled(self, name: str, law: Law) -> tuple[Tensor, ...]:
        """Samples the sites, inside the plate of classes."""
        raise NotImplementedError

    def emission(self, *parameters: Tensor) -> Any:
        """The law of a value given the parameters of its class."""
        raise NotImplementedError

    def marginals(self, name: str, law: Law) -> dict[str, Any]:
        """Each site's own law."""
        raise NotImplementedError

    def predictive(self, law: Law) -> Any:
        """Of a value, parameters integrated out: batch shape (K,)."""
        raise NotImplementedError

    def log_evidence(self, prior: Law, after: Law, member: Tensor) -> Tensor:
        """log p(values | labels), nats."""
        raise NotImplementedError

    def emitted(self, name: str, values: Mapping[str, Tensor]) -> Any:
        """The law of a value, parameters by site: batch shape (*lead, 1, K)."""
        return self.emission(*(values[f"{name}_{site}"].unsqueeze(values["weights"].dim() - 1) for site in self.sites))


class Categorical(Feature):
    """probs_k ~ Dirichlet(concentration, ...), S states; x ~ Categorical(probs of the label)."""

    counts: Tensor  # (K, S)
    sites: tuple[str, ...] = ("probs",)

    def __init__(self, num_classes: int, num_states: int, concentration: float):
        super().__init__()
        self.register_buffer("counts", torch.full((num_classes, num_states), concentration))
        self.log_q = nn.Parameter((self.counts + BEGIN / num_states).log())

    def prior(self) -> Law:
        return (self.counts,)

    def learned(self) -> Law:
        return (self.log_q.exp(),)

    def after(self, x: Tensor, member: Tensor) -> Law:
        states = torch.nn.functional.one_hot(x.nan_to_num().long(), self.counts.shape[1]).double()
        return (self.counts.double() + member.T @ states,)

    def sampled(self, name: str, law: Law) -> tuple[Tensor, ...]:
        return (pyro.sample(f"{name}_probs", dist.Dirichlet(law[0])),)

    def emission(self, *parameters: Tensor) -> Any:
        return dist.Categorical(parameters[0])

    def marginals(self, name: str, law: Law) -> dict[str, Any]:
        return {f"{name}_probs": dist.Dirichlet(law[0])}

    def predictive(self, law: Law) -> Any:
        return dist.Categorical(law[0] / law[0].sum(-1, keepdim=True))

    def log_evidence(self, prior: Law, after: Law, member: Tensor) -> Tensor:
        return (_log_beta(after[0]) - _log_beta(prior[0].double())).sum()


class Bernoulli(Categorical):
    """prob_k ~ Beta(concentration, concentration); x ~ Bernoulli(prob of the label). Counts are of 0 and of 1."""

    sites: tuple[str, ...] = ("prob",)

    def __init__(self, num_classes: int, concentration: float):
        super().__init__(num_classes, 2, concentration)

    def sampled(self, name: str, law: Law) -> tuple[Tensor, ...]:
        return (pyro.sample(f"{name}_prob", dist.Beta(law[0][:, 1], law[0][:, 0])),)

    def emission(self, *parameters: Tensor) -> Any:
        return dist.Bernoulli(parameters[0])

    def marginals(self, name: str, law: Law) -> dict[str, Any]:
        return {f"{name}_prob": dist.Beta(law[0][:, 1], law[0][:, 0])}

    def predictive(self, law: Law) -> Any:
        return dist.Bernoulli(law[0][:, 1] / law[0].sum(-1))


class Normal(Feature):
    """precision_k ~ Gamma(shape, shape spread^2), loc_k ~ Normal(centre, (weight precision_k)^-1/2); x ~ Normal(loc, precision^-1/2).

    A law is of weight, loc, shape and rate, (K,) each.
    """

    centre: Tensor  # ()
    spread: Tensor  # ()
    sites: tuple[str, ...] = ("precision", "loc")

    def __init__(self, num_classes: int, centre: float, spread: float, weight: float, shape: float):
        super().__init__()
        self.num_classes, self.weight, self.shape = num_classes, weight, shape
        self.register_buffer("centre", torch.tensor(centre))
        self.register_buffer("spread", torch.tensor(spread))
        self.q_loc = nn.Parameter(torch.zeros(num_classes))  # from centre, in spreads
        begin = torch.tensor([weight + BEGIN, shape + BEGIN / 2, shape + BEGIN / 2])  # weight, shape, rate in spreads squared
        self.log_q = nn.Parameter(begin.log().expand(num_classes, 3).clone())

    def prior(self) -> Law:
        one = torch.ones(self.num_classes).to(self.spread)
        return self.weight * one, self.centre * one, self.shape * one, self.shape * self.spread**2 * one

    def learned(self) -> Law:
        weight, shape, rate = self.log_q.exp().unbind(-1)
        return weight, self.centre + self.spread * self.q_loc, shape, rate * self.spread**2

    def after(self, x: Tensor, member: Tensor) -> Law:
        weight, loc, shape, rate = (t.double() for t in self.prior())
        x, n = x.double().nan_to_num(), member.sum(0)
        mean = (member.T @ x) / n.clamp(min=1)
        within = (member * (x[:, None] - mean).square()).sum(0)
        between = weight * n / (weight + n) * (mean - loc).square()
        return weight + n, (weight * loc + n * mean) / (weight + n), shape + n / 2, rate + 0.5 * (within + between)

    def sampled(self, name: str, law: Law) -> tuple[Tensor, ...]:
        weight, loc, shape, rate = law
        precision = pyro.sample(f"{name}_precision", dist.Gamma(shape, rate))
        return precision, pyro.sample(f"{name}_loc", dist.Normal(loc, (weight * precision).rsqrt()))

    def emission(self, *parameters: Tensor) -> Any:
        precision, loc = parameters
        return dist.Normal(loc, precision.rsqrt())

    def marginals(self, name: str, law: Law) -> dict[str, Any]:
        weight, loc, shape, rate = law
        return {
            f"{name}_precision": dist.Gamma(shape, rate),
            f"{name}_loc": dist.StudentT(2 * shape, loc, (rate / (shape * weight)).sqrt()),
        }

    def predictive(self, law: Law) -> Any:
        weight, loc, shape, rate = law
        return dist.StudentT(2 * shape, loc, (rate / shape * (1 + 1 / weight)).sqrt())

    def log_evidence(self, prior: Law, after: Law, member: Tensor) -> Tensor:
        def normaliser(law: Law) -> Tensor:
            weight, _, shape, rate = (t.double() for t in law)
            return (shape.lgamma() - shape * rate.log() - 0.5 * weight.log()).sum()

        return normaliser(after) - normaliser(prior) - 0.5 * member.sum() * math.log(2 * math.pi)


def _log_beta(counts: Tensor) -> Tensor:
    """(K, S) -> (K,)"""
    return counts.lgamma().sum(-1) - counts.sum(-1).lgamma()
