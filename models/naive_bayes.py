"""Naive Bayes: features of any kind that are independent of each other within a class."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Self

import pyro
import pyro.distributions as dist
import torch
from pyro.nn import PyroModule
from torch import Tensor, nn

from ..errors import DataError, NameNotFoundError, ProgramError
from ..family import Family, count_rows
from ._features import BEGIN, Bernoulli, Categorical, Feature, Law, Normal
from ._labels import Labels, labelled, labels_of, masked, observe
from ._mixture import positive

if TYPE_CHECKING:
    from ..datasets import Dataset

__all__ = ["NaiveBayes"]


class NaiveBayes(Family):
    """
        weights          ~ Dirichlet(concentration, ..., concentration)
        feature_probs_k      ~ Dirichlet(concentration, ...)          of a feature with states, k = 1..K
        feature_prob_k       ~ Beta(concentration, concentration)     of one that is 0 or 1
        feature_precision_k  ~ Gamma(shape, shape spread^2)           of a number
        feature_loc_k        ~ Normal(centre, (weight precision_k)^-1/2)
        label_n          ~ Categorical(weights)                       n = 1..N, not known for every n
        feature_n        ~ Categorical, Bernoulli or Normal, with the parameters of label_n; each feature by itself

    num_classes    K
    features       name -> "normal", "bernoulli" or the number of its states
    like           data as below, from which the centre and spread of numbers are taken once (otherwise 0 and 1)
    concentration  pseudo-data per class, and per state; weight, shape: of numbers, behind loc and half as many behind precision

    Data are a dict of each feature (N,), NaN where its value is missing, and label (N,), numbers from 0, with a mask (N,) where not
    every label is known: True is known.
    Exact: posterior and evidence where every label is known, and the probabilities of a new datum's classes.
    Sources: Maron, Journal of the ACM 8, 1961; Domingos & Pazzani, Machine Learning 29, 1997.
    """

    concentration: Tensor  # (K,)

    def __init__(
        self,
        num_classes: int,
        features: Mapping[str, str | int],
        *,
        like: Mapping[str, Tensor] | None = None,
        concentration: float = 1.0,
        weight: float = 0.01,
        shape: float = 1.0,
    ):
        super().__init__()
        if num_classes < 2:
            raise ProgramError(f"num_classes must be at least 2, got {num_classes}")
        if not features:
            raise ProgramError("features must name at least one, as {'height': 'normal'}; there is none")
        if taken := sorted({"label", "mask", "weights"} & set(features)):
            raise ProgramError(f"a feature cannot be named {', '.join(map(repr, taken))}; give it another name")
        self.num_classes = num_classes
        self.register_buffer("concentration", torch.full((num_classes,), positive("concentration", concentration)))
        self.log_counts = nn.Parameter((self.concentration + BEGIN).log())
        found: dict[str, Feature] = {}
        for name, kind in features.items():
            if kind == "normal":
                centre, spread = _moments(name, like)
                found[name] = Normal(num_classes, centre, spread, positive("weight", weight), positive("shape", shape))
            elif kind == "bernoulli":
                found[name] = Bernoulli(num_classes, concentration)
            elif isinstance(kind, int) and not isinstance(kind, bool) and kind >= 2:
                found[name] = Categorical(num_classes, kind, concentration)
            else:
                raise NameNotFoundError(f"feature {name!r} is {kind!r}; there are 'normal', 'bernoulli', or a number of states, 2 or more")
        self.features: Any = PyroModule[nn.ModuleDict](found)  # type: ignore[arg-type]

    @classmethod
    def for_data(cls, data: "Dataset", settings: Mapping[str, Any]) -> tuple[Self, Any]:
        """Of a table with a label: every other column is a feature, normal where it holds numbers other than 0 and 1."""
        table, (name, label, states) = data.table, labelled(data)
        values = {column: value for column, value in table.items() if column != name}
        features: dict[str, str | int] = {}
        for column, value in values.items():
            many = len(data.states.get(column, ()))
            bits = bool(((value == 0) | (value == 1) | value.isnan()).all())
            features[column] = many if many > 2 else "bernoulli" if bits else "normal"
        return cls(**{"num_classes": states, "features": features, "like": values, **settings}), {**values, **masked(label)}

    # The pair

    def model(self, x: Any = None, context: Tensor | None = None, *, size: int | None = None) -> dict[str, Tensor]:
        """Observes features with labels, or draws `size` of them. Returns them by name."""
        if context is not None:
            raise ProgramError("NaiveBayes takes no context")
        values, labels = self._data(x)
        weights, parameters = self._parameters_of(self.concentration, {n: f.prior() for n, f in self.features.items()})
        out = {}
        with pyro.plate("data", count_rows(next(iter(values.values()), None), size)):
            out["label"] = label = observe(weights, labels)  # (N,)
            for name, feature in self.features.items():
                value = values.get(name)
                known: Any = True if value is None else ~value.isnan()
                with pyro.poutine.mask(mask=known):
                    out[name] = pyro.sample(name, feature.emission(*(p[label] for p in parameters[name])), obs=value)
        return out

    def guide(self, x: Any = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        """The law of the model's parameters with other numbers. It contains the exact posterior where all labels are known: any
        error left is then the optimiser's."""
        self._parameters_of(self.log_counts.exp(), {n: f.learned() for n, f in self.features.items()})

    def posterior_guide(self, x: Any) -> Callable[..., None]:
        """The exact posterior as a guide. Raises DataError where a label is not known."""
        counts, after = self._after(x)

        def guide(x: Any = None, context: Tensor | None = None, *, size: int | None = None) -> None:
            self._parameters_of(counts, after)

        return guide

    def _parameters_of(self, counts: Tensor, laws: Mapping[str, Law]) -> tuple[Tensor, dict[str, tuple[Tensor, ...]]]:
        weights = pyro.sample("weights", dist.Dirichlet(counts))  # (K,)
        with pyro.plate("classes", self.num_classes):
            return weights, {n: f.sampled(n, laws[n]) for n, f in self.features.items()}

    def _data(self, x: Any) -> tuple[dict[str, Tensor], Labels]:
        """Features and labels; none where x is None. Raises DataError."""
        if x is None:
            return {}, Labels(None, None)
        if not isinstance(x, Mapping):
            raise DataError(f"x must be a dict of {', '.join(self.features)}, and label where it is known; got {type(x).__name__}")
        first = next((x[name] for name in self.features if name in x), None)
        count = len(first) if isinstance(first, Tensor) and first.dim() else 0
        labels = labels_of(x, count, self.features)
        for name in self.features:
            value = x[name]
            if not (isinstance(value, Tensor) and value.is_floating_point()):
                kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
                raise DataError(f"feature {name!r} must hold floating-point numbers, NaN where missing, got {kind}; use .double()")
            if value.shape != (count,) or not count:
                raise DataError(f"feature {name!r} must have shape ({count or 'N'},), one value for each datum; got {tuple(value.shape)}")
        return {name: x[name] for name in self.features}, labels

    # What is known in closed form

    def _after(self, x: Any) -> tuple[Tensor, dict[str, Law]]:
        """The posterior, float64."""
        values, labels = self._data(x)
        member = torch.nn.functional.one_hot(labels.whole(), self.num_classes).double()
        laws = {n: f.after(values[n], member * ~values[n].isnan()[:, None]) for n, f in self.features.items()}
        return self.concentration.double() + member.sum(0), laws

    def exact(self, x: Any, context: Tensor | None = None) -> dict[str, Any]:
        """log_likelihood of each datum and probabilities of its classes, functions of values by site; where every label is known
        also log_evidence, nats, and the posterior by site."""
        values, labels = self._data(x)
        found: dict[str, Any] = {
            "log_likelihood": partial(self.log_likelihood, x),
            "probabilities": partial(self.probabilities, x),
        }
        if not labels.complete:
            return found
        counts, after = self._after(x)
        start = self.concentration.double()
        evidence = (counts.lgamma() - start.lgamma()).sum() - counts.sum().lgamma() + start.sum().lgamma()
        posterior = {"weights": dist.Dirichlet(counts)}
        member = torch.nn.functional.one_hot(labels.whole(), self.num_classes).double()
        for name, feature in self.features.items():
            evidence = evidence + feature.log_evidence(feature.prior(), after[name], member * ~values[name].isnan()[:, None])
            posterior |= feature.marginals(name, after[name])
        return {"log_evidence": evidence, "posterior": posterior, **found}

    def log_likelihood(self, x: Any, values: Mapping[str, Tensor]) -> Tensor:
        """log p(features, label | parameters), nats, and log p(features | parameters) where the label is unknown: (*lead, N)."""
        rows, labels = self._data(x)
        laws = {n: f.emitted(n, values) for n, f in self.features.items()}
        return labels.chosen(self._log_joint(rows, values["weights"].unsqueeze(-2), laws))

    def probabilities(self, x: Any, values: Mapping[str, Tensor]) -> Tensor:
        """p(label | features, parameters), values (*lead, *shape) by site; labels in x are not used: (*lead, N, K)."""
        laws = {n: f.emitted(n, values) for n, f in self.features.items()}
        return self._log_joint(self._data(x)[0], values["weights"].unsqueeze(-2), laws).softmax(-1)

    def predictive(self, new: Any, x: Any) -> Tensor:
        """p(label | features, data) of new data, parameters integrated out, given data with all labels known: (M, K)."""
        counts, after = self._after(x)
        laws = {n: f.predictive(after[n]) for n, f in self.features.items()}
        return self._log_joint(self._data(new)[0], counts, laws).softmax(-1)

    def _log_joint(self, rows: Mapping[str, Tensor], weights: Tensor, laws: Mapping[str, Any]) -> Tensor:
        """log p(features, label) from laws of batch shape (*lead, 1, K), missing features left out: (*lead, N, K)."""
        total = weights.log()
        for name, law in laws.items():
            value, missing = rows[name][:, None], rows[name].isnan()[:, None]
            inside = torch.where(missing, value.new_zeros(()), value).to(weights)
            total = total + torch.where(missing, weights.new_zeros(()), law.log_prob(inside))
        return total


def _moments(name: str, like: Mapping[str, Tensor] | None) -> tuple[float, float]:
    """Mean and standard deviation of what is known of a feature. Raises DataError."""
    if like is None:
        return 0.0, 1.0
    if name not in like:
        raise DataError(f"like has no feature {name!r}; it has {', '.join(like)}")
    known = like[name].double()
    known = known[known.isfinite()]
    spread = float(known.std(correction=0)) if len(known) else 0.0
    if not spread > 0:
        raise DataError(f"feature {name!r} of like is constant and gives the priors no scale; leave it out")
    return float(known.mean()), spread
