"""Energy models: a density known up to its constant, by any network."""

import math
from collections.abc import Sequence
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn

from ..errors import ProgramError
from ..family import Family, check_finite, check_rows, count_rows
from ._networks import encoder_for
from ._quadrature import Grid, box
from ._units import shape_of, units_of

__all__ = ["Confined", "EnergyModel", "Quadratic"]


class EnergyModel(Family):
    """Data lie where an energy is low: log p(x) = -E(x) - log Z, with Z unknown.

        x_n ~ base                     n = 1..N; a law that can be drawn from, and that covers the data
        factor: exp(-E(x_n)) / base(x_n)

    so that the base divides out, and E is the whole energy: the base is where annealing begins, and its support bounds x.

    features   D, or the shape of a datum, (channels, height, width); None is that of `like`
    like       data (N, *shape) whose mean and sds, number by number, are taken once (buffers): units of the default base and energy
    energy     a module x (N, *shape) -> (N,), nats; None: a network (dense, convolutional for images) of x in units of the data, and
               half its squared distance from their mean, which holds it down far out
    base       a distribution over one datum; None: independent normals at the data's mean, twice as wide as they are
    hidden     widths of the network's dense layers

    Drawing forward gives the base's draws; `sample` runs an engine. Learned by ContrastiveDivergence and ScoreMatching; log Z, with
    both bounds where there are exact draws, by AIS. Exact: a Quadratic energy in closed form, others of one or two numbers by
    quadrature.
    Sources: LeCun et al., A tutorial on energy-based learning, 2006; Song & Kingma, arXiv 2101.03288, 2021.
    """

    normalised = False
    centre: Tensor  # (*shape)
    spread: Tensor  # (*shape)

    def __init__(
        self,
        features: int | Sequence[int] | None = None,
        energy: nn.Module | None = None,
        *,
        like: Tensor | None = None,
        base: TorchDistributionMixin | None = None,
        hidden: Sequence[int] | None = None,
    ):
        super().__init__()
        self.event_shape = shape_of(features, like)
        centre, spread = units_of(self.event_shape, like, alike=False)
        self.register_buffer("centre", centre)
        self.register_buffer("spread", spread)
        if base is not None and (base.event_shape != self.event_shape or base.batch_shape):
            raise ProgramError(
                f"the base is a law of {tuple(base.batch_shape)} times {tuple(base.event_shape)} numbers, and a datum has the shape "
                f"{tuple(self.event_shape)}; use .to_event"
            )
        self.given_base = base
        self.network = Confined(encoder_for(self.event_shape, 1, 0, hidden), centre, spread) if energy is None else energy

    @property
    def base(self) -> TorchDistributionMixin:
        """The law over one datum at which annealing begins."""
        return self.given_base or dist.Normal(self.centre, 2 * self.spread).to_event(len(self.event_shape))

    def model(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> Tensor:
        """Observes x (N, *shape), or draws `size` data from the base, weighted."""
        if x is not None:
            check_rows(x, self.event_shape)
        count, base = count_rows(x, size), self.base
        with pyro.plate("data", count):
            x = pyro.sample("x", base.expand((count,)), obs=x)
            pyro.factor("energy", -self._energy(x) - base.log_prob(x))
        return x

    def guide(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        """Nothing is hidden behind a datum. Of data that are not observed, the base."""
        if x is None:
            with pyro.plate("data", count_rows(x, size)):
                pyro.sample("x", self.base.expand((count_rows(x, size),)))

    def _energy(self, x: Tensor) -> Tensor:
        """(N, *shape) -> (N,)"""
        energy: Tensor = self.network(x)
        if energy.shape == (len(x), 1):
            energy = energy[:, 0]
        if energy.shape != (len(x),):
            raise ProgramError(
                f"the energy gives {tuple(energy.shape)} for x of shape {tuple(x.shape)}; it must be one number a datum, ({len(x)},)"
            )
        return energy

    # What is known

    def exact(self, x: Tensor, context: Tensor | None = None) -> dict[str, Any]:
        """log_evidence: what the program's factors sum to, -E(x) over all data, nats: the log likelihood up to N log Z.

        Of a Quadratic energy, or of at most two numbers a datum, also log_partition, log Z, a function without arguments, and
        log_prob, (N,), one of x: by quadrature over 10 sds of the base to each side, or its support.
        """
        check_rows(x, self.event_shape)
        check_finite(x)
        known: dict[str, Any] = {"log_evidence": -self._energy(x).detach().double().sum()}
        partition = self.log_partition if self._has_partition else None
        if partition is not None:
            known["log_partition"] = partition
            known["log_prob"] = lambda x: -self._energy(x).detach().double() - partition()
        return known

    @property
    def _has_partition(self) -> bool:
        return isinstance(self.network, Quadratic) or self.event_shape.numel() <= 2

    @torch.no_grad()
    def log_partition(self) -> Tensor:
        """log Z, (), nats, where it can be had exactly. Raises ProgramError."""
        if isinstance(self.network, Quadratic) and self.given_base is None:
            return self.network.log_partition()
        if not self._has_partition:
            raise ProgramError(
                f"log Z of {self.event_shape.numel()} numbers has no closed form here; AIS().evidence(model, size=1) has bounds"
            )
        grid = self.grid()
        return grid.log_integral(-self._energy(grid.points.to(self.centre)).double())

    def grid(self, points: int = 401) -> Grid:
        """Where a density of one or two numbers is looked at."""
        return box(self.base, self.event_shape, points)


class Confined(nn.Module):
    """E(x) = network((x - centre) / spread) + |(x - centre) / spread|^2 / 2"""

    centre: Tensor
    spread: Tensor

    def __init__(self, network: nn.Module, centre: Tensor, spread: Tensor):
        super().__init__()
        self.network = network
        self.register_buffer("centre", centre.clone())
        self.register_buffer("spread", spread.clone())

    def forward(self, x: Tensor) -> Tensor:
        u = (x - self.centre) / self.spread
        out: Tensor = self.network(u).squeeze(-1) + 0.5 * u.square().flatten(1).sum(1)
        return out


class Quadratic(nn.Module):
    """E(x) = |A^T (x - loc)|^2 / 2 of vectors: the normal with precision A A^T, A lower triangular.

    Learned: loc (D,), and factor (D, D), whose diagonal is the log of A's.
    """

    def __init__(self, loc: Tensor, precision: Tensor | None = None):
        super().__init__()
        start = torch.eye(len(loc), dtype=loc.dtype) if precision is None else torch.linalg.cholesky(precision)
        self.loc = nn.Parameter(loc.clone())
        self.factor = nn.Parameter(start.tril(-1) + start.diagonal().log().diag())

    @property
    def root(self) -> Tensor:
        """A (D, D)"""
        return self.factor.tril(-1) + self.factor.diagonal().exp().diag()

    @property
    def precision(self) -> Tensor:
        """(D, D)"""
        return self.root @ self.root.mT

    def forward(self, x: Tensor) -> Tensor:
        return 0.5 * ((x - self.loc) @ self.root).square().sum(-1)

    def log_partition(self) -> Tensor:
        """log of the integral of exp(-E), (), nats."""
        return 0.5 * len(self.loc) * math.log(2 * math.pi) - self.factor.detach().double().diagonal().sum()
