"""Normalizing flows: data are a smooth invertible function of something simple, so that their density is known exactly."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn
from torch.distributions import constraints

from ..errors import DataError, GuideError, NameNotFoundError, ProgramError, SupportError
from ..family import Family, check_finite, check_rows, count_rows
from ._flow_guide import FlowGuide
from ._flows import KINDS, Affine, Flat, Flow, FlowDistribution, Logit, Size, StandardNormal, Whitening, at_rest

__all__ = ["NormalizingFlow"]

Kind = Literal["spline", "nice", "realnvp", "glow", "maf", "iaf", "continuous"]


class NormalizingFlow(Family):
    """An invertible network between data and independent normals, whose density is exact.

        z_n     ~ base                                 n = 1..N
        x_n     = f(z_n)                               so that log p(x) = log base(f^-1(x)) + log |det df^-1 / dx|

    and for grey levels, which have a density once they are spread over their bins,

        noise_n ~ Uniform(0, 1)                        for each number of x_n
        x_n     = floor(levels y_n) / (levels - 1)     where y_n = f(z_n) stands noise_n of the way through the bin of x_n

    features     D, or the shape of a datum, (channels, height, width); None is that of `like`
    like         data (N, *shape): location and scale of each feature are taken from them once (buffers). A flow begins as independent
                 normals of that location and scale
    kind         spline: rational-quadratic splines, autoregressive. nice: additive couplings. realnvp: affine couplings. glow: actnorm,
                 an invertible linear map and an affine coupling. maf: affine autoregressive, a density in one pass and a draw in D.
                 iaf: the other way about. continuous: an ordinary differential equation
    transforms   how many (3; continuous 1); or the steps themselves, zuko's lazy transforms (from data to base) and Pyro's modules
                 (from base to data)
    hidden       widths of each transform's network
    context      C: data are conditioned on contexts (N, C); 0 takes none
    base         a module that gives the distribution of z (D,) when it is called with a context; None is independent normals
    whiten       correlations of features are taken from `like` as well: it begins as the normal with the mean and covariance of like
    bins         of a spline on [-5, 5] in standardised units, which is the identity outside
    passes       in how many spline, maf and iaf are inverted: 2 is a coupling, None is D. steps: of the integrator, for continuous
    logit        data in [0, 1] are spread over all numbers by a logit, with this share left free at both ends; None: they are not
    levels       data are one of so many grey levels, k / (levels - 1); needs logit

    The score is exact (continuous: up to the integrator's error); with levels it is a lower bound, or an estimate.
    Sources: Papamakarios et al., JMLR 22, 2021; Durkan et al., NeurIPS 2019 (splines); Dinh et al., 2014 and 2017 (NICE; RealNVP and
    the logit); Papamakarios et al., 2017 (MAF); Kingma et al., 2016 (IAF) and 2018 (Glow); Theis et al., 2016 (grey levels).
    """

    def __init__(
        self,
        features: int | Sequence[int] | None = None,
        *,
        like: Tensor | None = None,
        kind: Kind = "spline",
        transforms: int | Sequence[nn.Module] | None = None,
        hidden: Sequence[int] = (64, 64),
        context: int = 0,
        base: nn.Module | None = None,
        whiten: bool = False,
        bins: int = 8,
        passes: int | None = None,
        steps: int = 12,
        logit: float | None = None,
        levels: int | None = None,
    ):
        super().__init__()
        if kind not in get_args(Kind):
            raise NameNotFoundError(f"no kind of flow {kind!r}; there are {', '.join(get_args(Kind))}")
        if context < 0 or bins < 2 or steps < 1:
            raise ProgramError(f"context must be at least 0, bins 2 and steps 1; got {context}, {bins} and {steps}")
        self.event_shape = _shape_of(features, like)
        self.context, self.logit, self.levels = context, _share(logit, levels), levels
        total = self.event_shape.numel()
        outer: list[nn.Module] = [] if logit is None else [Logit(logit)]
        outer += [] if self.event_shape == (total,) else [Flat(self.event_shape)]
        outer += [Whitening(total) if whiten else Affine(total, learned=False)]
        core = _core(kind, transforms, Size(total, context, 1, hidden, bins, passes, steps))
        support = _support(self.event_shape, self.logit)
        self.flow = Flow(core, StandardNormal(total) if base is None else base, outer, support, backward=kind == "iaf")
        if like is not None:
            self._begin(like)

    def _begin(self, like: Tensor) -> None:
        rows = self._rows(like.detach(), "like")
        self.flow.to(rows.device)
        check_finite(rows, "like")
        law: Any = self._observed(rows, torch.full_like(rows, 0.5))
        if not (inside := law.support.check(rows)).all():
            row = int((~inside).nonzero()[0, 0])
            raise SupportError(f"like has a value outside the support of the data, {law.support}, in row {row}: {rows[row].tolist()}")
        spread = law.spread(rows) if isinstance(law, GreyLevels) else rows
        self.flow.begin(spread, rows.new_zeros(len(rows), self.context) if self.context else None)

    # The pair

    def model(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> Tensor:
        """Observes x (N, *shape), or draws `size` data; given contexts (N, C), one datum for each."""
        rows = None if x is None else self._rows(x)
        count = _count(rows, context, size)
        law = self.distribution(self._contexts(context, count))
        with pyro.plate("data", count):
            if self.levels is None:
                return pyro.sample("x", law, obs=rows)
            noise = pyro.sample("noise", self._noise())  # (N, *shape)
            return pyro.sample("x", GreyLevels(law, noise, self.levels), obs=rows)

    def guide(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        """Nothing is latent but, with levels, the noise: drawn as the model draws it, which makes the lower bound that of uniform
        dequantisation."""
        if self.levels is not None:
            with pyro.plate("data", _count(x, context, size)):
                pyro.sample("noise", self._noise())

    def _noise(self) -> TorchDistribution:
        zero = self._like.new_zeros(())
        return dist.Uniform(zero, zero + 1).expand(self.event_shape).to_event(len(self.event_shape))

    # What is known

    def distribution(self, context: Tensor | None = None) -> FlowDistribution:
        """Of a datum, given contexts (*batch, C) of each datum in a batch; where there are levels, of one spread over (0, 1). It may
        stand in any program."""
        law: FlowDistribution = self.flow(context)
        return law

    def as_guide(self) -> FlowGuide:
        """This flow over the unconstrained position of a program of as many coordinates: SVI begins there. Raises GuideError."""
        if self.context or self.logit is not None or len(self.event_shape) != 1 or not isinstance(self.flow.base, StandardNormal):
            raise GuideError("only a flow over all numbers, without context and with a standard normal base, can be a guide")
        return FlowGuide(flow=self.flow)

    def exact(self, x: Tensor, context: Tensor | None = None) -> dict[str, Any]:
        """log_evidence, the log density of all x, nats; functions `log_density` -> (N,) and `code` -> z (N, D). With levels, where
        none of these is known, `log_likelihood` of values of noise (*lead, N, *shape) -> (*lead, N)."""
        rows = self._rows(x)
        law = self.distribution(self._contexts(context, len(rows)))
        if self.levels is not None:
            return {"log_likelihood": partial(self._log_likelihood, rows, law)}
        return {
            "log_evidence": self._known(law.log_prob, rows).sum(),
            "log_density": partial(self._known, law.log_prob, rows),
            "code": partial(self._known, law.code, rows),
        }

    @torch.no_grad()
    def _known(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        return function(x)

    @torch.no_grad()
    def _log_likelihood(self, x: Tensor, law: FlowDistribution, values: Mapping[str, Tensor]) -> Tensor:
        noise = values["noise"].to(self._like)
        return GreyLevels(law, noise, self.levels or 1).log_prob(x)

    def bits_per_dimension(self, log_p: Tensor) -> Tensor:
        """Log probabilities of data, nats, as bits for each of their numbers."""
        return -log_p / (self.event_shape.numel() * math.log(2))

    # What comes in

    @property
    def _like(self) -> Tensor:
        """A tensor of the flow's dtype and device."""
        return next(iter(self.flow.outer[-1].buffers()))

    def _observed(self, rows: Tensor, noise: Tensor) -> TorchDistribution:
        law = self.distribution(rows.new_zeros(len(rows), self.context) if self.context else None)
        return law if self.levels is None else GreyLevels(law, noise, self.levels)

    def _rows(self, x: Tensor, name: str = "x") -> Tensor:
        """Data in the flow's own dtype. Raises DataError."""
        check_rows(x, self.event_shape, name)
        return x.to(self._like.dtype)

    def _contexts(self, context: Tensor | None, count: int) -> Tensor | None:
        """(N, C) in the flow's own dtype. Raises ProgramError, DataError."""
        if not self.context:
            if context is not None:
                raise ProgramError("this flow takes no context; make it with context=, the numbers that each datum is given")
            return None
        if context is None:
            raise ProgramError(f"this flow needs a context of shape ({count}, {self.context}), a row for each datum")
        check_rows(context, torch.Size((self.context,)), "context")
        if len(context) != count:
            raise DataError(f"context has {len(context)} rows for {count} data; give each datum one")
        return context.to(self._like.dtype)


class GreyLevels(TorchDistribution):
    """A datum of grey levels k / (levels - 1), given where in their bins it stands.

        log p(x | noise) = log flow((x (levels - 1) + noise) / levels) - D log(levels)

    whose mean over uniform noise is a lower bound of log P(x). Drawn, it is the flow's own draw rounded down, whatever the noise.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012  torch's own is a plain dict

    def __init__(self, flow: FlowDistribution, noise: Tensor, levels: int):
        self.flow, self.noise, self.levels = flow, noise, levels
        batch = noise.shape[: noise.dim() - len(flow.event_shape)]
        super().__init__(batch, flow.event_shape, validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        return constraints.independent(OnGrid(self.levels), len(self.event_shape))

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> "GreyLevels":
        return GreyLevels(self.flow, self.noise.expand(torch.Size(batch_shape) + self.event_shape), self.levels)

    def spread(self, x: Tensor) -> Tensor:
        return (x * (self.levels - 1) + self.noise) / self.levels

    def log_prob(self, x: Tensor) -> Tensor:
        return self.flow.log_prob(self.spread(x)) - self.event_shape.numel() * math.log(self.levels)

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        y = self.flow.expand(self.batch_shape).sample(sample_shape)
        return (y * self.levels).floor().clamp(0, self.levels - 1) / (self.levels - 1)


class OnGrid(constraints.Constraint):
    """Grey levels in [0, 1]."""

    is_discrete = True

    def __init__(self, levels: int):
        self.levels = levels

    def check(self, value: Tensor) -> Tensor:
        k = value * (self.levels - 1)
        return (value >= 0) & (value <= 1) & ((k - k.round()).abs() < 1e-2)

    def __repr__(self) -> str:
        return f"k / {self.levels - 1} for k = 0..{self.levels - 1}"


# Settings and sizes


def _count(x: Tensor | None, context: Tensor | None, size: int | None) -> int:
    """How many data there are; contexts say so where neither data nor size do."""
    return count_rows(x, len(context) if x is None and size is None and isinstance(context, Tensor) else size)


def _shape_of(features: int | Sequence[int] | None, like: Tensor | None) -> torch.Size:
    """Of a datum. Raises ProgramError."""
    if features is None:
        if not isinstance(like, Tensor) or not like.dim():
            raise ProgramError("give features, the numbers of a datum, or like, data (N, D) to take them from")
        shape = like.shape[1:]
    else:
        shape = torch.Size([features] if isinstance(features, int) else features)
    if not shape.numel():
        raise ProgramError(f"a datum must have at least one number; its shape is {tuple(shape)}")
    return shape


def _share(logit: float | None, levels: int | None) -> float | None:
    if logit is not None and not 0 < logit < 0.5:
        raise ProgramError(f"logit must lie between 0 and 0.5, got {logit}: the share of [0, 1] left free at both ends")
    if levels is not None and (levels < 2 or logit is None):
        raise ProgramError(f"levels must be at least 2 and needs logit, 0.01 say; got levels={levels} and logit={logit}")
    return logit


def _core(kind: Kind, transforms: int | Sequence[nn.Module] | None, size: Size) -> list[nn.Module]:
    if not isinstance(transforms, int | None):
        if not len(transforms):
            raise ProgramError("transforms must hold at least one step")
        return list(transforms)
    size.count = (1 if kind == "continuous" else 3) if transforms is None else transforms
    if size.count < 1:
        raise ProgramError(f"transforms must be at least 1, got {transforms}")
    steps = KINDS[kind](size)
    at_rest(steps)
    return steps


def _support(shape: torch.Size, logit: float | None) -> constraints.Constraint:
    if logit is None:
        return constraints.independent(constraints.real, len(shape))
    beyond = logit / (1 - 2 * logit)  # what is left free at both ends belongs to the flow
    return constraints.independent(constraints.interval(-beyond, 1 + beyond), len(shape))
