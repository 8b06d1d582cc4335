"""A bridge for every datum at once: each one's latent values are led from a base to their posterior by trajectories of their own.

The log density of all data is a sum over the data plate, so its gradient is each datum's; what is accepted, and weighted, goes datum by
datum.
"""

import math
from typing import Protocol

import torch
from torch import Tensor

from .annealing import anneal, inverse_temperatures
from .bijections import bijection_to
from .errors import ScoreError
from .keys import PREDICT, Key, nth
from .program import Program, Site
from .simulation import simulate
from .targets import LogDensity
from .tempering import Between, HamiltonianBridge, Place

__all__ = ["DatumBridge"]

TEMPERATURES = 100
STEPS = 5  # leapfrog steps at each
CHUNK = 2**22  # numbers that the particles of one batch may hold
BEGIN = 11  # stream of the key
PROPOSAL = 2**18  # stream of PREDICT from which particles begin


class Data(Protocol):
    """The data of a program, as scoring has them: log p of each datum at values (1, particles, *shape) of its sites."""

    program: Program
    density: LogDensity
    plate: str

    def log_likelihood(self, values: dict[str, Tensor], *, joint: bool = False) -> Tensor: ...


class DatumBridge:
    """From a base over the latent sites inside the data plate to the model. Raises ScoreError: sites outside of it."""

    def __init__(self, data: Data, base: Data):
        self.data, self.base = data, base
        target = data.density
        self.sites = {s.name: data.program.sites[s.name] for s in target.sites}
        if apart := [n for n, s in self.sites.items() if data.plate not in s.plates or s.rows is not None]:
            raise ScoreError(
                f"{', '.join(map(repr, apart))} belong to no datum each, so data cannot be annealed one by one; use importance"
            )
        self.count = data.program.plates[data.plate].size
        self.groups = torch.cat([self._datum(self.sites[s.name], s.unconstrained_shape).reshape(-1) for s in target.sites]).to(
            target.device
        )
        place = torch.arange(target.dim, device=target.device)
        at = {s.name: place[s.slice] for s in target.sites}
        self.order = torch.cat([at[s.name] for s in base.density.sites])

    def log_weights(self, num_particles: int, seed: int) -> Tensor:
        """(num_particles, data)"""
        levels = inverse_temperatures(TEMPERATURES)
        bridge = HamiltonianBridge(Between(self._draw, self._at, self.groups, self.count), STEPS)
        bridge.tune(levels, Key(seed, device=self.data.density.device))
        each = sum(math.prod(s.shape) for s in self.data.program.sites.values())
        size = max(1, CHUNK // max(1, each))
        parts = []
        for start in range(0, num_particles, size):
            count = min(size, num_particles - start)
            key = Key(seed, 0, tuple(range(start, start + count)), self.data.density.device)
            parts.append(anneal(bridge, levels, count, key).log_weights)
        return torch.cat(parts)

    def _draw(self, count: int, key: Key) -> tuple[Tensor, Tensor]:
        seed = int(key.uniform(BEGIN, (len(key.chains), 1))[0] * 2.0**53)
        drawn = simulate(self.base.program, {}, count, seed=seed, stream=nth(PREDICT, PROPOSAL))
        position = self.data.density.unconstrain({n: drawn[n] for n in self.sites})
        return position, torch.zeros(count, 0, dtype=torch.int64, device=position.device)

    def _at(self, position: Tensor, held: Tensor) -> Place:
        values = {n: v[None] for n, v in self.data.density.constrain(position).items()}
        low, high = (d.log_likelihood(values, joint=True)[0] for d in (self.base, self.data))
        slope = torch.empty_like(position)
        slope[:, self.order] = self.base.density.value_and_grad(position[:, self.order])[1]
        upper = self.data.density.value_and_grad(position)[1]
        return Place(position, held, low + self._log_jacobian(position, values), high - low, slope, upper - slope)

    def _log_jacobian(self, position: Tensor, values: dict[str, Tensor]) -> Tensor:
        """(count, data)"""
        total = position.new_zeros(len(position), self.count)
        for s in self.data.density.sites:
            there = position[:, s.slice].reshape(-1, *s.unconstrained_shape)
            change = bijection_to(s.support).log_abs_det_jacobian(there, values[s.name][0])
            datum = self._datum(self.sites[s.name], change.shape[1:]).to(position.device)
            total = total.index_add(1, datum.reshape(-1), change.reshape(len(position), -1))
        return total

    def _datum(self, site: Site, shape: torch.Size) -> Tensor:
        """Which datum each number of a site belongs to, for numbers of this shape: the site's batch dimensions, and any after them."""
        batch = len(site.shape) - site.event_dim
        sizes = [1] * len(shape)
        sizes[batch + self.data.program.plates[self.data.plate].dim] = self.count
        return torch.arange(self.count).reshape(sizes).expand(shape)
