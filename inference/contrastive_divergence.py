"""Contrastive divergence: energies are pushed down at the data and up where short chains are, which a model that has learned leaves alone.

    gradient = mean of dE/dparams over the data - mean of dE/dparams over the chains

With chains that have reached the model's own law this is the likelihood's gradient. Chains of k steps from the data (CD-k) are not there:
its fixed points are near the likelihood's, not on them, and low energies far from all data are never found out. Persistent chains go on
from step to step, and follow the model as long as it changes slowly beside their mixing: take a small learning rate.

Continuous data are moved in unconstrained coordinates, in units of their sds; discrete elements a layer at a time (_layers.py). Cost of
a step: k gradients by position for every chain, and one by the parameters.
Sources: Hinton, Neural Computation 14(8), 2002; Tieleman, ICML 2008 (persistent).
"""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from ..batches import Batches
from ..engine import Interrupt, Nothing, require_positive
from ..errors import EngineError
from ..keys import Key
from ..program import Program
from ..targets import LogDensity
from ..unobserved import Point
from . import _blocks
from ._chains import ChainEngine
from ._energies import EnergyEngine, EnergyTarget, Info, State
from ._hamiltonian import HamiltonianEngine
from ._layers import Layers, drawn, layers_of
from .gibbs import Gibbs
from .langevin import Langevin, Walkers

__all__ = ["ContrastiveDivergence"]

CHOICE = 13  # stream of the key: which data chains begin at
MOST_LAYERS = 64


@dataclass(frozen=True, kw_only=True)
class ContrastiveDivergence(EnergyEngine):
    """Learn the parameters of a program that observes data, whose density need not be normalised.

    k              steps of the chains between two steps of the optimiser: of Langevin, draws of any other engine, sweeps of Gibbs
    persistent     chains go on; else each begins at a datum of the step's rows
    num_chains     persistent chains, which begin at data
    negative       the engine that moves the chains: Langevin, by None with step_size=0.01, in units of the data's sds; HMC, NUTS or MALA
                   with a step_size, in the same units; for discrete data Gibbs
    energy_decay   weight of the mean square of the energies, which keeps networks from running away

    Losses are mean energy of the data less that of the chains, nats: around 0 when all is learned, and no measure of it. Modules run in
    evaluation mode. Discrete latent sites of a datum are summed out of its energy, and drawn by the chains.
    Errors: EngineError (latent sites that are not discrete or not in the data plate, nothing to learn), DataError (an energy that is not
    finite, by its row).
    """

    k: int = 10
    persistent: bool = True
    num_chains: int = 256
    negative: ChainEngine | None = None
    energy_decay: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "k", "num_chains")
        if self.energy_decay < 0:
            raise EngineError(f"energy_decay must be at least 0, got {self.energy_decay}")

    def target(self, program: Program, batches: Batches | None) -> "Contrasted":
        target = Contrasted(program, self, batches)
        target.moves = self._discrete(target) if target.discrete else self._continuous(target)
        return target

    def _discrete(self, target: EnergyTarget) -> "ByLayers":
        if not isinstance(self.negative, Gibbs | None):
            raise EngineError(f"{type(self.negative).__name__} does not move discrete data; leave negative out, or take Gibbs")
        held = LogDensity(target.one, dtype=target.dtype, lowering="recorded", held=target.one.discrete)
        names = held.reading.recording.others  # type: ignore[union-attr]
        layers = layers_of(held.reading, held.holding, names, MOST_LAYERS)  # type: ignore[arg-type]
        if layers is None:
            raise EngineError(
                f"{', '.join(target.one.discrete)} cannot be drawn in layers: contrastive divergence needs elements of two values, in each "
                f"of which the log density is affine, in at most {MOST_LAYERS} layers of elements that do not meet"
            )
        return ByLayers(target, layers, names)

    def _continuous(self, target: EnergyTarget) -> "ByLangevin | ByEngine":
        negative = self.negative if self.negative is not None else Langevin(step_size=0.01)
        if isinstance(negative, Langevin):
            if negative.step_size is None or negative.batch_size is not None:
                raise EngineError(
                    "chains of the negative phase have no warm-up and see no rows: give Langevin a step_size, and no batch_size"
                )
            return ByLangevin(target, negative)
        if not isinstance(negative, HamiltonianEngine) or negative.step_size is None:
            raise EngineError(f"chains of the negative phase have no warm-up; give {type(negative).__name__} a step_size")
        return ByEngine(target, negative)

    def init(self, target: "Contrasted", key: Key) -> tuple[State, Nothing]:  # type: ignore[override]
        state, tuning = super().init(target, key)
        if not self.persistent:
            return state, tuning
        count = len(target.rows)
        orders = [key.at(i).permutation(CHOICE, count) for i in range(-(-self.num_chains // count))]
        chosen = torch.cat(orders)[: self.num_chains].to(target.device)
        return state._replace(chains=target.moves.begin(target.rows[chosen])), tuning

    def _key(self, key: Key, chains: int) -> Key:
        return Key(self.seed, key.draw, tuple(range(chains)), key.device)

    def step(self, target: "Contrasted", state: State, tuning: Nothing, key: Key) -> tuple[State, Info]:
        rows, moves = target.batch(key), target.moves
        own = self._key(key, self.num_chains if self.persistent else len(rows))
        params = {n: p.detach() for n, p in state.descent.params.items()}
        chains = moves.move(state.chains if self.persistent else moves.begin(rows), params, own, self.k)
        target.evaluations += self.k * len(own.chains)
        state, info = self.descended(target, state, key, rows, moves.places(chains))
        return state._replace(chains=chains if self.persistent else {}), info

    def loss(self, target: EnergyTarget, params: Point, *inputs: Tensor) -> Tensor:
        data, chains = (-target.log_density(at, params) for at in inputs)
        loss = data.mean() - chains.mean()
        return loss + self.energy_decay * (data.square().mean() + chains.square().mean()) if self.energy_decay else loss


Chains = Mapping[str, Tensor]


class Moves(Protocol):
    """What moves the chains of the negative phase."""

    def begin(self, rows: Tensor) -> dict[str, Tensor]:
        """Chains at data."""

    def move(self, chains: Chains, params: Point, key: Key, steps: int) -> dict[str, Tensor]: ...

    def places(self, chains: Chains) -> Tensor:
        """Where they are, as rows of the target are."""


class Contrasted(EnergyTarget):
    """With what moves the chains."""

    moves: Moves


class ByLangevin:
    """All chains at once, along the recorded gradient."""

    def __init__(self, target: EnergyTarget, engine: Langevin):
        self.target, self.engine = target, engine

    def begin(self, rows: Tensor) -> dict[str, Tensor]:
        return {"position": rows / self.target.unit}

    def move(self, chains: Chains, params: Point, key: Key, steps: int) -> dict[str, Tensor]:
        def score(position: Tensor) -> Tensor:
            return self.target.run("score", self._score, params, position)[0]

        end = self.engine.transition(score, Walkers(chains["position"], chains.get("momentum")), key, steps)
        return {n: t for n, t in end._asdict().items() if t is not None}

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

    def places(self, chains: Chains) -> Tensor:
        return chains["position"]


class ByLayers:
    """All elements of the sites that are drawn; those that are observed in the data come first among them or not."""

    def __init__(self, target: EnergyTarget, layers: Layers, names: list[str]):
        self.target, self.names = target, names
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
        return {"values": drawn(lambda given: self._run(params, *given), [], chains["values"], key, steps)[0]}

    def _run(self, params: Point, values: Tensor, uniforms: Tensor) -> Any:
        return self.target.run(f"sweep of {len(values)}", self._sweep, params, values, uniforms)

    def _sweep(self, params: Point, values: Tensor, uniforms: Tensor) -> list[Tensor]:
        given = {f"param:{self.target.prefix}{n}": p for n, p in params.items()}
        slow = {**self.layers.reading._slow, **self.layers.reading._fast}
        return [self.layers.sweep(values, uniforms, [given.get(n, slow[n]) for n in self.names])[0]]

    def places(self, chains: Chains) -> Tensor:
        return self.layers.held(chains["values"])[:, self.places_of.to(chains["values"].device)]
