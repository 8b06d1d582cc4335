"""Flows as distributions: a chain of invertible maps from data to a base, by one adapter over three libraries.

    log p(x) = log base(f(x)) + log |det df/dx|

A step is a module whose call with a context (None where there is none) gives a torch Transform from data towards the base: zuko's
lazy transforms are, Pyro's transforms (which go from the base to the data) are taken backwards, and the steps below are what neither
has. zuko and torchdiffeq are imported when a flow is made.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor, nn
from torch.distributions import (
    AffineTransform,
    ComposeTransform,
    Distribution,
    Independent,
    Normal,
    ReshapeTransform,
    SigmoidTransform,
    Transform,
    constraints,
)

from ..errors import DataError, ProgramError

__all__ = ["KINDS", "Affine", "Flat", "Flow", "FlowDistribution", "Logit", "Size", "StandardNormal", "Whitening", "at_rest", "libraries"]

CLOSE = 1e-6  # float32 rounds what lies nearer to a border


def libraries() -> Any:
    """zuko. Importing it switches off the checks of every distribution of torch; they are as they were afterwards."""
    before = Distribution._validate_args
    import zuko

    Distribution._validate_args = before
    return zuko


# The distribution


class FlowDistribution(TorchDistribution):
    """x = f^-1(z), z ~ base: exact density, differentiable draws.

    transform   f, from x to z, a torch Transform (zuko has given it `call_and_ladj`); base: batch shape () or that of the context
    """

    arg_constraints: dict[str, constraints.Constraint] = {}  # noqa: RUF012  torch's own is a plain dict
    has_rsample = True

    def __init__(self, transform: Any, base: Distribution, support: constraints.Constraint, batch_shape: torch.Size):
        self.transform, self.base_dist, self._support = transform, base, support
        self._drawn: tuple[Tensor, Tensor] | None = None  # the last draw and its log density
        event = transform.inverse_shape(base.event_shape)
        super().__init__(batch_shape, event, validate_args=False)

    @property
    def support(self) -> constraints.Constraint:
        return self._support

    def expand(self, batch_shape: Sequence[int], _instance: Any = None) -> "FlowDistribution":
        return FlowDistribution(self.transform, self.base_dist, self._support, torch.Size(batch_shape))

    def _base_draw(self, sample_shape: Sequence[int]) -> Tensor:
        shape = torch.Size(sample_shape) + self.batch_shape
        return self.base_dist.expand(shape).rsample()

    def sample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        with torch.no_grad():
            x: Tensor = self.transform.inv(self._base_draw(sample_shape))
            return x

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        """The draw's density comes with it, so that asking for it afterwards needs no way back."""
        z = self._base_draw(sample_shape)
        x, log_det = self.transform.inv.call_and_ladj(z)
        self._drawn = x, self.base_dist.log_prob(z) - log_det
        return x

    def log_prob(self, x: Tensor) -> Tensor:
        if self._drawn is not None and x is self._drawn[0]:
            return self._drawn[1]
        batch = torch.broadcast_shapes(x.shape[: x.dim() - len(self.event_shape)], self.batch_shape)
        z, log_det = self.transform.call_and_ladj(x.expand(batch + self.event_shape))
        return self.base_dist.log_prob(z) + log_det

    def code(self, x: Tensor) -> Tensor:
        """z of x."""
        z: Tensor = self.transform(x)
        return z


class StandardNormal(nn.Module):
    """z ~ Normal(0, I), whose tensors move with the module."""

    loc: Tensor  # (D,)

    def __init__(self, features: int):
        super().__init__()
        self.register_buffer("loc", torch.zeros(features), persistent=False)

    def forward(self, context: Tensor | None = None) -> Distribution:
        return Independent(Normal(self.loc, torch.ones_like(self.loc), validate_args=False), 1, validate_args=False)


class Flow(nn.Module):
    """A chain of steps from data to a base: called with a context (*batch, C), it gives the distribution of data.

    outer     steps that come first, whichever way the others go: what prepares data
    base      a module that gives the distribution of z given a context
    support   of the data
    backward  the steps are taken from the base to the data: drawing is what they do at once, and a density goes their way back
    """

    def __init__(
        self,
        steps: Sequence[nn.Module],
        base: nn.Module,
        outer: Sequence[nn.Module] = (),
        support: constraints.Constraint = constraints.real_vector,
        *,
        backward: bool = False,
    ):
        super().__init__()
        self.outer, self.steps = nn.ModuleList(outer), nn.ModuleList(steps)
        self.base, self.support, self.backward = base, support, backward

    def transform(self, context: Tensor | None = None) -> Transform:
        compose = libraries().transforms.ComposedTransform
        outer = [_at(step, context) for step in self.outer]
        steps = [_at(step, context) for step in self.steps]
        if self.backward:
            steps = [step.inv for step in reversed(steps)]
        out: Transform = compose(*outer, *steps)
        return out

    def forward(self, context: Tensor | None = None) -> FlowDistribution:
        batch = torch.Size() if context is None else context.shape[:-1]
        return FlowDistribution(self.transform(context), self.base(context), self.support, batch)

    @torch.no_grad()
    def begin(self, x: Tensor, context: Tensor | None = None) -> None:
        """Make what leaves each affine or whitening step standard for data x (N, *event)."""
        for step in (*self.outer, *self.steps):
            if isinstance(step, Affine | Whitening):
                step.standardise(x)
            x = _at(step, context)(x)


def _at(step: Any, context: Tensor | None) -> Transform:
    """A step given a context, from data towards the base."""
    from pyro.distributions.conditional import ConditionalTransformModule

    if isinstance(step, ConditionalTransformModule):
        return step.condition(context).inv
    if isinstance(step, Transform):  # Pyro's modules are transforms themselves
        return step.inv
    out: Transform = step(context)
    return out


# Steps that the libraries have not


class Flat(nn.Module):
    """A datum of any shape as D numbers."""

    def __init__(self, shape: torch.Size):
        super().__init__()
        self.shape = shape

    def forward(self, context: Tensor | None = None) -> Transform:
        return ReshapeTransform(self.shape, torch.Size([self.shape.numel()]))


class Logit(nn.Module):
    """logit(share + (1 - 2 share) x): from a little more than [0, 1] to all numbers."""

    def __init__(self, share: float):
        super().__init__()
        self.share = share

    def forward(self, context: Tensor | None = None) -> Transform:
        return ComposeTransform([AffineTransform(self.share, 1 - 2 * self.share), SigmoidTransform().inv])


class Affine(nn.Module):
    """(x - loc) / scale, feature by feature; learned: actnorm. Source: Kingma & Dhariwal, Glow, NeurIPS 2018."""

    loc: Tensor  # (D,)
    log_scale: Tensor  # (D,)

    def __init__(self, features: int, *, learned: bool = True):
        super().__init__()
        self.learned = learned
        for name in ("loc", "log_scale"):
            zeros = torch.zeros(features)
            if learned:
                self.register_parameter(name, nn.Parameter(zeros))
            else:
                self.register_buffer(name, zeros)

    def forward(self, context: Tensor | None = None) -> Transform:
        scale = (-self.log_scale).exp()
        return AffineTransform(-self.loc * scale, scale, event_dim=1)

    @torch.no_grad()
    def standardise(self, x: Tensor) -> None:
        """Take the mean and standard deviation of x (N, D); a constant feature keeps its scale."""
        spread = x.std(0, correction=0)
        self.loc.copy_(x.mean(0))
        self.log_scale.copy_(torch.where(spread > CLOSE * (1 + x.abs().amax(0)), spread, torch.ones_like(spread)).log())


class Whitening(nn.Module):
    """L^-1 (x - loc), L L' a covariance: what leaves it is uncorrelated."""

    loc: Tensor  # (D,)
    inverse: Tensor  # (D, D), L^-1

    def __init__(self, features: int):
        super().__init__()
        self.register_buffer("loc", torch.zeros(features))
        self.register_buffer("inverse", torch.eye(features))

    def forward(self, context: Tensor | None = None) -> Transform:
        centred = AffineTransform(-self.loc, torch.ones_like(self.loc), event_dim=1)
        return ComposeTransform([centred, libraries().transforms.LULinearTransform(self.inverse)])

    @torch.no_grad()
    def standardise(self, x: Tensor) -> None:
        """Take mean and covariance of x (N, D). Raises DataError where a covariance has no inverse."""
        factor, failed = torch.linalg.cholesky_ex((x - x.mean(0)).mT @ (x - x.mean(0)) / len(x))
        if failed:
            raise DataError(f"feature {int(failed) - 1} of like is a linear function of those before it; drop it, or leave whiten out")
        self.loc.copy_(x.mean(0))
        self.inverse.copy_(torch.linalg.solve_triangular(factor, torch.eye(len(factor)).to(factor), upper=False))


class Mixing(nn.Module):
    """An invertible linear map, L U with a positive diagonal: Glow's for vectors. It begins as the identity."""

    def __init__(self, features: int):
        super().__init__()
        self.log_diagonal = nn.Parameter(torch.zeros(features))
        self.off_diagonal = nn.Parameter(torch.zeros(features, features))

    def forward(self, context: Tensor | None = None) -> Transform:
        off = self.off_diagonal
        packed = off.tril(-1) + off.triu(1) + self.log_diagonal.exp().diag()
        out: Transform = libraries().transforms.LULinearTransform(packed)
        return out


class Continuous(nn.Module):
    """The flow of an ordinary differential equation, from data at time 0 to the base at time 1.

        dx/dt = v(x, t, context) = C tanh(B tanh(A (x, t, context) + a) + b) + c
        d log p / dt = -trace dv/dx

    With two hidden layers the trace is a bilinear form in their slopes, exact and at the price of one more layer, whatever D.
    Integrated by torchdiffeq's Runge-Kutta of order 4 in equal steps, whose number does not depend on x, so that the whole is one
    graph; the error of map and log determinant falls as steps^-4.
    Sources: Chen et al., Neural ODEs, NeurIPS 2018; Grathwohl et al., FFJORD, ICLR 2019.
    """

    def __init__(self, features: int, context: int, hidden: Sequence[int], steps: int):
        super().__init__()
        if len(hidden) != 2:
            raise ProgramError(f"the continuous kind has two hidden layers, for the sake of its trace; got hidden={tuple(hidden)}")
        self.features, self.steps = features, steps
        self.first = nn.Linear(features + 1 + context, hidden[0])
        self.second = nn.Linear(hidden[0], hidden[1])
        self.last = nn.Linear(hidden[1], features)

    def velocity(self, t: Tensor, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """x (*batch, D) -> v (*batch, D) and the trace of its Jacobian (*batch,)."""
        others = [t.to(x).expand(*x.shape[:-1], 1)] + ([] if context is None else [context.expand(*x.shape[:-1], -1)])
        a = self.first(torch.cat([x, *others], -1)).tanh()
        b = self.second(a).tanh()
        around = self.first.weight[:, : self.features] @ self.last.weight  # (width of a, width of b)
        trace = ((1 - b * b) * ((1 - a * a) @ (self.second.weight.mT * around))).sum(-1)
        return self.last(b), trace

    def forward(self, context: Tensor | None = None) -> Transform:
        return ContinuousTransform(self, context)


class ContinuousTransform(Transform):
    """Of `Continuous` given a context."""

    domain = constraints.real_vector
    codomain = constraints.real_vector
    bijective = True

    def __init__(self, step: Continuous, context: Tensor | None):
        super().__init__()
        self.step, self.context = step, context

    def _solve(self, x: Tensor, begin: float, end: float) -> tuple[Tensor, Tensor]:
        from torchdiffeq import odeint

        def slope(t: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
            return self.step.velocity(t, state[0], self.context)

        times = torch.tensor([begin, end], dtype=x.dtype, device=x.device)
        options = {"step_size": 1.0 / self.step.steps}
        there, log_det = odeint(slope, (x, torch.zeros_like(x[..., 0])), times, method="rk4", options=options)
        return there[-1], log_det[-1]

    def _call(self, x: Tensor) -> Tensor:
        return self._solve(x, 0.0, 1.0)[0]

    def _inverse(self, y: Tensor) -> Tensor:
        return self._solve(y, 1.0, 0.0)[0]

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        return self._solve(x, 0.0, 1.0)[1]

    def call_and_ladj(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self._solve(x, 0.0, 1.0)


# Kinds


class Size:
    """What a kind is built for.

    features, context   D, C; count: transforms; hidden: widths of their networks; bins, passes, steps: see NormalizingFlow
    """

    def __init__(self, features: int, context: int, count: int, hidden: Sequence[int], bins: int, passes: int | None, steps: int):
        self.features, self.context, self.count, self.hidden = features, context, count, tuple(hidden)
        self.bins, self.passes, self.steps = bins, passes, steps

    @property
    def network(self) -> dict[str, Any]:
        """Of a transform. It is bounded, so that far from data the transform is no steeper than among them: with ReLUs single precision
        did not find back from 100 sds out, and gave log determinants that were 0.01 off."""
        return {"hidden_features": self.hidden, "activation": nn.Tanh}

    @property
    def affine(self) -> dict[str, Any]:
        return {"univariate": libraries().transforms.MonotonicAffineTransform, "shapes": [(), ()], **self.network}

    @property
    def spline(self) -> dict[str, Any]:
        shapes = [(self.bins,), (self.bins,), (self.bins - 1,)]
        return {"univariate": libraries().transforms.MonotonicRQSTransform, "shapes": shapes, **self.network}

    @property
    def additive(self) -> dict[str, Any]:
        return {"univariate": libraries().transforms.AdditiveTransform, "shapes": [()], **self.network}


def _coupling(size: Size, i: int, law: dict[str, Any]) -> nn.Module:
    """Every other feature given the rest, which are the ones that the next step changes."""
    mask = torch.arange(size.features) % 2 == i % 2
    step: nn.Module = libraries().flows.coupling.GeneralCouplingTransform(size.features, size.context, mask=mask, **law)
    return step


def _autoregressive(size: Size, i: int, law: dict[str, Any]) -> nn.Module:
    """Each feature given those before it, in turns from the first and from the last."""
    order = torch.arange(size.features)
    order = order if i % 2 == 0 else order.flip(0)
    kind = libraries().flows.autoregressive.MaskedAutoregressiveTransform
    step: nn.Module = kind(size.features, size.context, passes=size.passes, order=order, **law)
    return step


def _nice(size: Size) -> list[nn.Module]:
    return [*(_coupling(size, i, size.additive) for i in range(size.count)), Affine(size.features)]


def _realnvp(size: Size) -> list[nn.Module]:
    return [_coupling(size, i, size.affine) for i in range(size.count)]


def _glow(size: Size) -> list[nn.Module]:
    steps = [(Affine(size.features), Mixing(size.features), _coupling(size, i, size.affine)) for i in range(size.count)]
    return [part for step in steps for part in step]


def _maf(size: Size) -> list[nn.Module]:
    return [_autoregressive(size, i, size.affine) for i in range(size.count)]


def _spline(size: Size) -> list[nn.Module]:
    return [_autoregressive(size, i, size.spline) for i in range(size.count)]


def _continuous(size: Size) -> list[nn.Module]:
    return [Continuous(size.features, size.context, size.hidden, size.steps) for _ in range(size.count)]


def at_rest(steps: Sequence[nn.Module]) -> None:
    """Make steps the identity: nothing comes from the last layers of their networks."""
    for step in steps:
        last = getattr(step, "last", None) or getattr(step, "hyper", [None])[-1]
        for p in last.parameters() if last is not None else getattr(step, "phi", ()):  # of one feature there is no network
            nn.init.zeros_(p)


KINDS: dict[str, Callable[[Size], list[nn.Module]]] = {
    "spline": _spline,
    "nice": _nice,
    "realnvp": _realnvp,
    "glow": _glow,
    "maf": _maf,
    "iaf": _maf,  # the same, from the base to the data
    "continuous": _continuous,
}
