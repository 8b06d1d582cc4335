"""What moves the chains of a negative phase, at parameters that change from step to step: Langevin, any engine by its blocks, or layers."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from ..engine import Interrupt
from ..keys import Key
from ..unobserved import Point
from . import _blocks
from ._energies import EnergyTarget
from ._hamiltonian import HamiltonianEngine
from ._ladder import Ladder
from ._layers import Layers, drawn
from .langevin import Langevin, Walkers

__all__ = ["ByEngine", "ByLangevin", "ByLayers", "Chains", "Moves"]

Chains = Mapping[str, Tensor]


class Moves(Protocol):
    """What moves chains, those of each level of a ladder at its inverse temperature."""

    def begin(self, rows: Tensor) -> dict[str, Tensor]:
        """Chains at data."""

    def move(self, chains: Chains, params: Point, key: Key, steps: int) -> dict[str, Tensor]: ...

    def log_density(self, chains: Chains, params: Point) -> Tensor:
        """(chains,), nats, untempered."""

    def places(self, chains: Chains) -> Tensor:
        """Where they are, as rows of the target are."""


class ByLangevin:
    """All chains at once, along the recorded gradient. Where it is less steep, steps are longer, as the law is wider."""

    def __init__(self, target: EnergyTarget, engine: Langevin, ladder: Ladder):
        self.target, self.engine, self.ladder = target, engine, ladder

    def begin(self, rows: Tensor) -> dict[str, Tensor]:
        return {"position": rows / self.target.unit}

    def move(self, chains: Chains, params: Point, key: Key, steps: int) -> dict[str, Tensor]:
        inverse = self.ladder.of(chains["position"])
        longer = inverse if self.engine.kind == "overdamped" else inverse.sqrt()  # a step is a square of a time, or a time

        def score(position: Tensor) -> Tensor:
            return inverse * self.target.run("score", self._score, params, position)[0]

        step_size = torch.as_tensor(self.engine.step_size).to(longer) / longer[:, 0]
        end = self.engine.transition(score, Walkers(chains["position"], chains.get("momentum")), key, steps, step_size=step_size)
        return {n: t for n, t in end._asdict().items() if t is not None}

    def log_density(self, chains: Chains, params: Point) -> Tensor:
        return self.target.log_densities(self.places(chains), params)

    def _score(self, params: Point, position: Tensor) -> list[Tensor]:
        at = position.detach().requires_grad_()
        return list(torch.autograd.grad(self.target.log_density(at * self.target.unit, params).sum(), at))

    def places(self, chains: Chains) -> Tensor:
        return chains["position"] * self.target.unit


class ByEngine:
    """By the blocks of any engine that moves continuous sites, at parameters that change from block to block."""

    def __init__(self, target: EnergyTarget, engine: HamiltonianEngine):
        self.target, self.engine = target, engine

    def begin(self, rows: Tensor) -> dict[str, Tensor]:
        return {"position": rows}

    def move(self, chains: Chains, params: Point, key: Key, steps: int) -> dict[str, Tensor]:
        target, where = self.target, chains["position"]
        density = copy.copy(target.density)
        density.reading = target.reading.bound(target.program_at(params))
        here = _blocks.State(*(t.to("cpu", torch.float64) for t in (where, *density.value_and_grad(where))))
        tuning = self.engine.first_tuning(density, here, key)
        units = tuning.metric.diagonal(target.unit.to(here.position).expand_as(here.position).contiguous())
        advance: Any = self.engine.block(density, Interrupt())
        block = advance(density, here, tuning._replace(metric=units), key, steps, False)
        return {"position": block.state.position.to(where)}

    def log_density(self, chains: Chains, params: Point) -> Tensor:
        return self.target.log_densities(self.places(chains), params)

    def places(self, chains: Chains) -> Tensor:
        return chains["position"]


class ByLayers:
    """All elements of the sites that are drawn; those that are observed in the data come first among them or not."""

    def __init__(self, target: EnergyTarget, layers: Layers, names: list[str], ladder: Ladder):
        self.target, self.names, self.ladder = target, names, ladder
        held = layers.holding.sites
        self.places_of = torch.cat([torch.arange(held[n].slice.start, held[n].slice.stop) for n in target.density.holding.sites])
        observed = set(self.places_of.tolist())
        hidden_first = sorted(layers.layers, key=lambda c: len(observed & set(c.tolist())) / len(c))  # given the data at which chains begin
        self.layers = Layers(layers.reading, layers.holding, hidden_first, layers.low, layers.high)

    def begin(self, rows: Tensor) -> dict[str, Tensor]:
        """The observed elements at the data; the others low, as layer by layer they are drawn anew."""
        everything = rows.new_zeros(len(rows), self.layers.holding.elements)
        everything[:, self.places_of.to(rows.device)] = rows
        return {"values": self.layers.values(everything)}

    def move(self, chains: Chains, params: Point, key: Key, steps: int) -> dict[str, Tensor]:
        inverse = self.ladder.of(chains["values"])

        def run(given: Sequence[Tensor]) -> Sequence[Tensor]:
            return self.target.run(f"sweep of {len(inverse)}", self._sweep, params, *given, inverse)

        return {"values": drawn(run, [], chains["values"], key, steps)[0]}

    def log_density(self, chains: Chains, params: Point) -> Tensor:
        return self.target.run("log density", self._log_density, params, chains["values"])[0]

    def _sweep(self, params: Point, values: Tensor, uniforms: Tensor, inverse: Tensor) -> list[Tensor]:
        return [self.layers.swept(values, uniforms, self._others(params), inverse)]

    def _log_density(self, params: Point, values: Tensor) -> list[Tensor]:
        return [self.layers.log_density(values, self._others(params))]

    def _others(self, params: Point) -> list[Tensor]:
        given = {f"param:{self.target.prefix}{n}": p for n, p in params.items()}
        slow = {**self.layers.reading._slow, **self.layers.reading._fast}
        return [given.get(n, slow[n]) for n in self.names]

    def places(self, chains: Chains) -> Tensor:
        return self.layers.held(chains["values"])[:, self.places_of.to(chains["values"].device)]
