"""Contrastive divergence: energies are pushed down at the data and up where short chains are, which a model that has learned leaves alone.

    gradient = mean of dE/dparams over the data - mean of dE/dparams over the chains

With chains that have reached the model's own law this is the likelihood's gradient. Chains of k steps from the data (CD-k) are not there:
its fixed points are near the likelihood's, not on them, and low energies far from all data are never found out. Persistent chains go on
from step to step, and follow the model as long as it changes slowly beside their mixing: take a small learning rate.

Chains that begin at data and never leave their mode say nothing of how much each mode holds: where modes lie apart, let them exchange
places with chains at lower inverse temperatures, which do (_ladder.py).

Continuous data are moved in unconstrained coordinates, in units of their sds; discrete elements a layer at a time (_layers.py). Cost of
a step: k gradients by position for every chain, and one by the parameters.
Sources: Hinton, Neural Computation 14(8), 2002; Tieleman, ICML 2008 (persistent); Desjardins, Courville, Bengio, Vincent & Delalleau,
AISTATS 2010 (tempered).
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..batches import Batches
from ..engine import Nothing, require_positive
from ..errors import EngineError, PpgenWarning
from ..keys import Key
from ..program import Program
from ..targets import LogDensity
from ..unobserved import Point
from ._chains import ChainEngine
from ._energies import EnergyEngine, EnergyTarget, State
from ._hamiltonian import HamiltonianEngine
from ._ladder import Ladder
from ._layers import layers_of
from ._negative import ByEngine, ByLangevin, ByLayers, Moves
from .gibbs import Gibbs
from .langevin import Langevin

__all__ = ["ContrastiveDivergence"]

CHOICE = 13  # stream of the key: which data chains begin at
MOST_LAYERS = 64
SELDOM = 0.05  # a rate of exchanges below which levels are as good as apart


class Contrast(NamedTuple):
    losses: Tensor  # (1,)
    exchange_rate: Tensor  # (1, levels - 1)


@dataclass(frozen=True, kw_only=True)
class ContrastiveDivergence(EnergyEngine):
    """Learn the parameters of a program that observes data, whose density need not be normalised.

    k              steps of the chains between two steps of the optimiser: of Langevin, draws of any other engine, sweeps of Gibbs
    persistent     chains go on; else each begins at a datum of the step's rows
    num_chains     persistent chains, which begin at data
    negative       the engine that moves the chains: Langevin, by None with step_size=0.01, in units of the data's sds; HMC, NUTS or MALA
                   with a step_size, in the same units; for discrete data Gibbs
    energy_decay   weight of the mean square of the energies, which keeps networks from running away
    inverse_temperatures  from 1 down: persistent chains, num_chains at each, of which those at 1 are learned from, and all exchange
                   places with their neighbours after each step. The law at the last has to be one that chains get about in, and that
                   still can be normalised. provenance["exchange_rates"]: of neighbours, in the second half of the steps; a warning comes
                   where one is low

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
    inverse_temperatures: Sequence[float] = (1.0,)

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "k", "num_chains")
        if self.energy_decay < 0:
            raise EngineError(f"energy_decay must be at least 0, got {self.energy_decay}")
        if len(self._ladder) > 1 and not self.persistent:
            raise EngineError("inverse_temperatures are of persistent chains; CD-k's begin anew at every step")

    @property
    def _ladder(self) -> Ladder:
        return Ladder(self.inverse_temperatures)

    def outcome(self, stats: Mapping[str, Tensor]) -> dict[str, Any]:
        if len(self._ladder) == 1:
            return {}
        last = stats["exchange_rate"][0, stats["exchange_rate"].shape[1] // 2 :]
        rates = last.mean(0).tolist()
        for (cold, hot), rate in zip(pairwise(self.inverse_temperatures), rates, strict=True):
            if rate < SELDOM:
                warnings.warn(
                    f"chains at the inverse temperatures {cold:g} and {hot:g} change places in {100 * rate:.1f} % of turns, so that they "
                    "hardly mix: put another between them",
                    PpgenWarning,
                    stacklevel=4,
                )
        return {"exchange_rates": rates}

    def target(self, program: Program, batches: Batches | None) -> "Contrasted":
        target = Contrasted(program, self, batches)
        target.ladder = self._ladder
        target.moves = self._discrete(target) if target.discrete else self._continuous(target)
        return target

    def _discrete(self, target: "Contrasted") -> ByLayers:
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
        return ByLayers(target, layers, names, target.ladder)

    def _continuous(self, target: "Contrasted") -> ByLangevin | ByEngine:
        negative = self.negative if self.negative is not None else Langevin(step_size=0.01)
        if isinstance(negative, Langevin):
            if negative.step_size is None or negative.batch_size is not None:
                raise EngineError(
                    "chains of the negative phase have no warm-up and see no rows: give Langevin a step_size, and no batch_size"
                )
            return ByLangevin(target, negative, target.ladder)
        if not isinstance(negative, HamiltonianEngine) or negative.step_size is None:
            raise EngineError(f"chains of the negative phase have no warm-up; give {type(negative).__name__} a step_size")
        if len(target.ladder) > 1:
            raise EngineError(f"chains at several inverse temperatures are moved by Langevin, not by {type(negative).__name__}")
        return ByEngine(target, negative)

    def init(self, target: "Contrasted", key: Key) -> tuple[State, Nothing]:  # type: ignore[override]
        state, tuning = super().init(target, key)
        if not self.persistent:
            return state, tuning
        count, chains = len(target.rows), len(target.ladder) * self.num_chains
        orders = [key.at(i).permutation(CHOICE, count) for i in range(-(-chains // count))]
        chosen = torch.cat(orders)[:chains].to(target.device)
        return state._replace(chains=target.moves.begin(target.rows[chosen])), tuning

    def step(self, target: "Contrasted", state: State, tuning: Nothing, key: Key) -> tuple[State, Contrast]:
        rows, moves, ladder = target.batch(key), target.moves, target.ladder
        count = self.num_chains if self.persistent else len(rows)
        own = Key(self.seed, key.draw, tuple(range(len(ladder) * count)), key.device)
        params = {n: p.detach() for n, p in state.descent.params.items()}
        chains = moves.move(state.chains if self.persistent else moves.begin(rows), params, own, self.k)
        rates = torch.zeros(0)
        if len(ladder) > 1:
            chains, rates = ladder.exchanged(chains, moves.log_density(chains, params), own)
        target.evaluations += self.k * len(own.chains)
        state, info = self.descended(target, state, key, rows, moves.places(chains)[:count])
        return state._replace(chains=chains if self.persistent else {}), Contrast(*info, exchange_rate=rates[None])

    def loss(self, target: EnergyTarget, params: Point, *inputs: Tensor) -> Tensor:
        data, chains = (-target.log_density(at, params) for at in inputs)
        loss = data.mean() - chains.mean()
        return loss + self.energy_decay * (data.square().mean() + chains.square().mean()) if self.energy_decay else loss


class Contrasted(EnergyTarget):
    """With what moves the chains, and their levels."""

    moves: Moves
    ladder: Ladder
