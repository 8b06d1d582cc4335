"""Gaussian classifiers: each class is a normal, and its label is known for some data or for all."""

import math
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Self, get_args

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from ..errors import DataError, NameNotFoundError, PpgenWarning, ProgramError
from ..family import Family, check_finite, check_rows, count_rows
from ._labels import Labels, labelled, labels_of, masked, observe
from ._mixture import positive

if TYPE_CHECKING:
    from ..datasets import Dataset

__all__ = ["GaussianClassifier"]

Covariance = Literal["tied", "full", "diagonal"]
BEGIN = 50.0  # data that the guide begins as if it had seen, per class


class _Normals(NamedTuple):
    """The conjugate law of loc and precision: G is K classes, or 1 where they share their covariance.

    weight    (K,) data behind each loc; loc (K, D)
    df        (G,) degrees of freedom of the Wishart law of the precision
    root      (G, D, D) Cholesky factor of its inverse scale; diagonal where features are independent
    """

    weight: Tensor
    loc: Tensor
    df: Tensor
    root: Tensor


class GaussianClassifier(Family):
    """Discriminant analysis told as a story: linear (tied), quadratic (full), or Gaussian naive Bayes (diagonal).

        weights         ~ Dirichlet(concentration, ..., concentration)
        precision_kj    ~ Gamma((strength + j + 1) / 2, strength spread_j^2 / 2)     j = 1..D, of feature j given those before it
        slope_kji       ~ Normal(0, (precision_kj strength)^-1/2 / spread_i)         i < j, the regression of feature j on them
        loc_k           ~ Normal(centre, covariance_k / weight)
        label_n         ~ Categorical(weights)                                       n = 1..N, not known for every n
        x_n             ~ Normal(loc, covariance) of label_n

    num_classes     K
    num_features    D; None is that of `like`
    covariance      tied: one for all classes; full: one each; diagonal: one each, without slopes, precision_kj ~
                    Gamma((strength + 2) / 2, ...)
    like            data (N, D) from which centre and spread are taken once, as mean and standard deviation in the data's units
    concentration   pseudo-data per class; weight: behind each loc; strength: behind each covariance, whose mean is spread^2

    Precision and slopes are a Wishart law of the inverse covariance in its triangular factors, so everything is conjugate.
    Data are a dict of x (N, D) and label (N,), numbers from 0, with a mask (N,) where not every label is known: True is known. x
    alone is data without labels.
    Exact: posterior and evidence where every label is known, and the probabilities of a new datum's classes.
    Sources: Fisher, Annals of Eugenics 7, 1936; Geisser, JRSS-B 26, 1964 (the predictive law); Pourahmadi, Biometrika 86, 1999.
    """

    concentration: Tensor  # (K,)
    centre: Tensor  # (D,)
    spread: Tensor  # (D,)

    def __init__(
        self,
        num_classes: int = 2,
        num_features: int | None = None,
        *,
        covariance: Covariance = "tied",
        like: Tensor | None = None,
        concentration: float = 1.0,
        weight: float = 0.01,
        strength: float = 1.0,
    ):
        super().__init__()
        if covariance not in get_args(Covariance):
            raise NameNotFoundError(f"no covariance {covariance!r}; there are {', '.join(get_args(Covariance))}")
        if num_classes < 2:
            raise ProgramError(f"num_classes must be at least 2, got {num_classes}")
        rows = None if like is None else like
        if rows is not None:
            check_rows(rows, torch.Size([num_features or rows.shape[-1]]), "like")
            check_finite(rows, "like")
            if (constant := (rows == rows[0]).all(0)).any():
                which = int(constant.nonzero()[0, 0])
                raise DataError(f"column {which} of like is constant and gives the priors no scale; leave it out")
        elif not num_features or num_features < 1:
            raise ProgramError(f"num_features must be at least 1, got {num_features}; or give data as like=")
        self.num_classes, self.covariance = num_classes, covariance
        self.weight, self.strength = positive("weight", weight), positive("strength", strength)
        default = torch.get_default_dtype()
        self.register_buffer("concentration", torch.full((num_classes,), positive("concentration", concentration)))
        self.register_buffer("centre", (torch.zeros(num_features or 0) if rows is None else rows.mean(0)).to(default))
        self.register_buffer("spread", (torch.ones(num_features or 0) if rows is None else rows.std(0, correction=0)).to(default))
        self._begin()

    @property
    def num_features(self) -> int:
        return len(self.spread)

    @property
    def correlated(self) -> bool:
        return self.covariance != "diagonal" and self.num_features > 1

    @classmethod
    def for_data(cls, data: "Dataset", settings: Mapping[str, Any]) -> tuple[Self, Any]:
        """Of a table with a label: its columns of numbers are the features. Rows that lack one are left out, with a warning."""
        table, (name, label, states) = data.table, labelled(data)
        numbers = [column for column in table if column not in data.states and column != name]
        if not numbers:
            raise DataError(f"{data.name} has no column of numbers beside {name!r}, and a Gaussian classifier needs one")
        rows = torch.stack([table[column] for column in numbers], 1)
        whole = rows.isfinite().all(1)
        if not whole.all():
            left = int((~whole).sum())
            warnings.warn(f"{left} of {len(rows)} rows of {data.name} lack a number and are left out", PpgenWarning, stacklevel=2)
        rows = rows[whole]
        return cls(**{"num_classes": states, "like": rows, **settings}), {"x": rows, **masked(label[whole])}

    # The pair

    def model(self, x: Any = None, context: Tensor | None = None, *, size: int | None = None) -> Tensor:
        """Observes x (N, D) with label (N,), or draws `size` of them."""
        if context is not None:
            raise ProgramError("GaussianClassifier takes no context")
        rows, labels = self._data(x)
        weights = pyro.sample("weights", dist.Dirichlet(self.concentration))  # (K,)
        loc, root = self._normals(self._prior())
        with pyro.plate("data", count_rows(rows, size)):
            label = observe(weights, labels)  # (N,)
            each = dist.MultivariateNormal(loc[label], scale_tril=root if root.dim() == 2 else root[label])
            return pyro.sample("x", each, obs=rows)

    def guide(self, x: Any = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        """The law of the model's parameters with other numbers. It contains the exact posterior where all labels are known: any
        error left is then the optimiser's."""
        pyro.sample("weights", dist.Dirichlet(self.log_counts.exp()))
        self._normals(self._learned())

    def _data(self, x: Any) -> tuple[Any, Labels]:
        """Rows (N, D) and labels; neither where x is None. Raises DataError."""
        if x is None:
            return None, Labels(None, None)
        rows = x.get("x") if isinstance(x, dict) else x
        labels = labels_of(x, len(rows) if isinstance(rows, Tensor) else 0, ["x"]) if isinstance(x, dict) else Labels(None, None)
        check_rows(rows, self.spread.shape)
        return rows, labels

    def posterior_guide(self, x: Any) -> Callable[..., None]:
        """The exact posterior as a guide. Raises DataError where a label is not known."""
        counts, after = self._counts(x), self._after(x)

        def guide(x: Any = None, context: Tensor | None = None, *, size: int | None = None) -> None:
            pyro.sample("weights", dist.Dirichlet(counts))
            self._normals(after)

        return guide

    def _normals(self, law: _Normals) -> tuple[Tensor, Tensor]:
        """Samples loc (K, D) and the Cholesky factor of the covariance, (D, D) or (K, D, D)."""
        tied = self.covariance == "tied"
        root = self._covariance_root(law) if tied else law.root
        with pyro.plate("classes", self.num_classes):
            root = root if tied else self._covariance_root(law)
            loc = pyro.sample("loc", dist.MultivariateNormal(law.loc, scale_tril=root * law.weight.rsqrt()[:, None, None]))
        return loc, root

    def _covariance_root(self, law: _Normals) -> Tensor:
        """Samples precision and slope: of a tied covariance once, of others inside the plate of classes."""
        shape, rate = self._gamma(law)
        shape, rate = self._once(shape, rate)
        precision = pyro.sample("precision", dist.Gamma(shape, rate).to_event(1))  # (*plate, D)
        deviation = torch.diag_embed(precision.rsqrt())
        if not self.correlated:
            return deviation
        slope = pyro.sample("slope", self._slopes(law, precision))  # (*plate, D (D - 1) / 2)
        return torch.linalg.solve_triangular(self._unit(slope), deviation, upper=False)

    def _gamma(self, law: _Normals) -> tuple[Tensor, Tensor]:
        """Shape and rate of each feature's precision given the features before it, (G, D)."""
        d = self.num_features
        before = torch.arange(1 - d, 1, device=law.df.device) if self.covariance != "diagonal" else torch.zeros(d, device=law.df.device)
        return (law.df[:, None] + before) / 2, torch.diagonal(law.root, dim1=-2, dim2=-1).square() / 2

    def _slopes(self, law: _Normals, precision: Tensor) -> Any:
        """Of features on those before them: rows j have mean -(C_jj C^-1)_j,<j and covariance (precision_j C_<j C_<j')^-1."""
        row, column = self._below
        scatter = law.root @ law.root.mT
        (mean,) = self._once(self._regressions(law.root)[:, row, column])
        (among,) = self._once(scatter[:, column[:, None], column])
        return dist.MultivariateNormal(mean, precision_matrix=among * (row[:, None] == row) * precision[..., row, None])

    def _once(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """(G, ...) without the first dimension where there is but one covariance."""
        return tuple(t[0] for t in tensors) if self.covariance == "tied" else tensors

    @property
    def _below(self) -> tuple[Tensor, Tensor]:
        row, column = torch.tril_indices(self.num_features, self.num_features, -1, device=self.spread.device)
        return row, column

    def _unit(self, slope: Tensor) -> Tensor:
        """(*batch, D, D), which makes the features independent: 1 on the diagonal, minus the slopes below it."""
        d = self.num_features
        row, column = self._below
        place = torch.zeros(d, d, dtype=torch.long, device=slope.device)
        place[row, column] = torch.arange(len(row), device=slope.device)
        below = torch.ones(d, d, device=slope.device).tril(-1).bool()
        return torch.eye(d).to(slope) - torch.where(below, slope[..., place], slope.new_zeros(()))

    @staticmethod
    def _regressions(root: Tensor) -> Tensor:
        """Below the diagonal the regression of each feature on those before it, from the Cholesky factor of their covariance."""
        identity = torch.eye(root.shape[-1]).to(root)
        inverse = torch.linalg.solve_triangular(root, identity.expand_as(root), upper=False)
        return identity - torch.diagonal(root, dim1=-2, dim2=-1)[..., None] * inverse

    # The conjugate laws

    def _prior(self) -> _Normals:
        groups = 1 if self.covariance == "tied" else self.num_classes
        df = self.strength + 1 + (self.num_features if self.covariance != "diagonal" else 1)
        root = torch.diag_embed(math.sqrt(self.strength) * self.spread)
        return _Normals(
            self.spread.new_full((self.num_classes,), self.weight),
            self.centre.expand(self.num_classes, -1),
            self.spread.new_full((groups,), df),
            root.expand(groups, -1, -1),
        )

    def _begin(self) -> None:
        """The guide begins as if BEGIN data of each class had been seen, all alike."""
        prior, d = self._prior(), self.num_features
        df = prior.df + BEGIN * (self.num_classes if self.covariance == "tied" else 1)
        self.log_counts = nn.Parameter((self.concentration + BEGIN).log())
        self.log_weight = nn.Parameter((prior.weight + BEGIN).log())
        self.q_loc = nn.Parameter(torch.zeros(self.num_classes, d))  # from centre, in spreads
        self.log_df = nn.Parameter((df - d + 1).log())  # what is above the least that there may be
        self.log_scale = nn.Parameter((df / 2)[:, None].log().expand(-1, d).clone())  # of the scatter, over spread^2; halved below
        self.coupling = nn.Parameter(torch.zeros(len(df), d, d)) if self.correlated else None  # below its diagonal

    def _learned(self) -> _Normals:
        d = self.num_features
        scale = torch.diag_embed((0.5 * self.log_scale).exp())
        unit = torch.eye(d).to(scale) if self.coupling is None else torch.eye(d).to(scale) + self.coupling.tril(-1)
        root = self.spread[:, None] * (unit @ scale)
        return _Normals(self.log_weight.exp(), self.centre + self.spread * self.q_loc, self.log_df.exp() + d - 1, root)

    def _after(self, x: Any) -> _Normals:
        """The posterior, float64. Raises DataError where a label is not known."""
        rows, labels = self._known(x)
        prior = _Normals(*(t.double() for t in self._prior()))
        member = torch.nn.functional.one_hot(labels, self.num_classes).to(rows)  # (N, K)
        count = member.sum(0)
        mean = (member.T @ rows) / count.clamp(min=1)[:, None]
        apart = rows - mean[labels]
        within = torch.einsum("nk,ni,nj->kij", member, apart, apart)
        weight = prior.weight + count
        shift = mean - prior.loc
        between = (prior.weight * count / weight)[:, None, None] * shift[:, :, None] * shift[:, None, :]
        gained = within + between
        if self.covariance == "tied":
            gained, count = gained.sum(0, keepdim=True), count.sum(0, keepdim=True)
        scatter = prior.root @ prior.root.mT + gained
        if self.covariance == "diagonal":
            scatter = torch.diag_embed(torch.diagonal(scatter, dim1=-2, dim2=-1))
        loc = (prior.weight[:, None] * prior.loc + (member.T @ rows)) / weight[:, None]
        return _Normals(weight, loc, prior.df + count, torch.linalg.cholesky(scatter))

    def _counts(self, x: Any) -> Tensor:
        return self.concentration.double() + torch.bincount(self._known(x)[1], minlength=self.num_classes)

    def _known(self, x: Any) -> tuple[Tensor, Tensor]:
        rows, labels = self._data(x)
        return rows.double(), labels.whole()

    def _log_normaliser(self, law: _Normals) -> Tensor:
        """Of the unnormalised density of loc, precision and slope, without what depends on K and D alone."""
        shape, rate = self._gamma(law)
        out = (shape.lgamma() - shape * rate.log()).sum() - 0.5 * self.num_features * law.weight.log().sum()
        if self.correlated:
            logs = torch.diagonal(law.root, dim1=-2, dim2=-1).log()  # (G, D)
            out = out - (logs * torch.arange(self.num_features - 1, -1, -1).to(logs)).sum()
        return out

    # What is known in closed form

    def exact(self, x: Any, context: Tensor | None = None) -> dict[str, Any]:
        """log_likelihood of each datum and probabilities of its classes, functions of values by site; where every label is known
        also log_evidence, nats, and the posterior of weights, precision and loc, one by one."""
        rows, labels = self._data(x)
        found: dict[str, Any] = {
            "log_likelihood": partial(self.log_likelihood, x),
            "probabilities": partial(self.probabilities, rows),
        }
        if not labels.complete:
            return found
        counts, after, prior = self._counts(x), self._after(x), _Normals(*(t.double() for t in self._prior()))
        start = self.concentration.double()
        evidence = (
            (counts.lgamma() - start.lgamma()).sum() - counts.sum().lgamma() + start.sum().lgamma()
            + self._log_normaliser(after) - self._log_normaliser(prior) - 0.5 * rows.numel() * math.log(2 * math.pi)
        )  # fmt: skip
        shape, rate = self._once(*self._gamma(after))
        posterior = {
            "weights": dist.Dirichlet(counts),
            "precision": dist.Gamma(shape, rate),
            "loc": self._student(after, 1 / after.weight),
        }
        return {"log_evidence": evidence, "posterior": posterior, **found}

    def log_likelihood(self, x: Any, values: Mapping[str, Tensor]) -> Tensor:
        """log p(x, label | parameters), nats, and log p(x | parameters) where the label is not known: (*lead, N)."""
        rows, labels = self._data(x)
        return labels.chosen(self._log_joint(rows, values))

    def probabilities(self, rows: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """p(label | x, parameters): rows (N, D), values (*lead, *shape) by site -> (*lead, N, K)."""
        return self._log_joint(rows, values).softmax(-1)

    def predictive(self, rows: Tensor, x: Any) -> Tensor:
        """p(label | x, data) of new rows (M, D), parameters integrated out, given data with all labels known: (M, K)."""
        check_rows(rows, self.spread.shape, "rows")
        after = self._after(x)
        law = self._student(after, 1 + 1 / after.weight)
        log_p = law.log_prob(rows.double()[:, None])  # (M, K) or, one by one, (M, K, D)
        return (self._counts(x).log() + (log_p.sum(-1) if log_p.dim() == 3 else log_p)).softmax(-1)

    def _student(self, law: _Normals, factor: Tensor) -> Any:
        """loc + (factor covariance)^1/2 noise with the covariance integrated out: its law, (K,), of features one by one (K, D)."""
        df = law.df if self.covariance == "diagonal" else law.df - self.num_features + 1
        root = law.root * (factor / df).sqrt()[:, None, None]
        if self.covariance == "diagonal":
            return dist.StudentT(df[:, None], law.loc, torch.diagonal(root, dim1=-2, dim2=-1))
        return dist.MultivariateStudentT(df.expand(self.num_classes), law.loc, root)

    def _log_joint(self, rows: Tensor, values: Mapping[str, Tensor]) -> Tensor:
        """log p(x, label | parameters): (*lead, N, K)."""
        check_rows(rows, self.spread.shape)
        root = torch.diag_embed(values["precision"].rsqrt())
        if self.correlated:
            root = torch.linalg.solve_triangular(self._unit(values["slope"]), root, upper=False)
        if self.covariance == "tied":
            root = root.unsqueeze(-3)
        each = dist.MultivariateNormal(values["loc"].unsqueeze(-3), scale_tril=root.unsqueeze(-4))  # (*lead, 1, K)
        return each.log_prob(rows[:, None].to(values["loc"])) + values["weights"].log().unsqueeze(-2)
