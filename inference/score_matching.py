"""Score matching: parameters for which the slope of the log density is that of the data's, whatever its constant.

With s(x) the slope of log p by x, in units of the data's sds,

    implicit    mean of  |s(x)|^2 / 2 + trace of ds/dx                          exactly: a second derivative for each number of a datum
    sliced      mean of  |s(x)|^2 / 2 + v^T (ds/dx) v,  v ~ Normal(0, I)        the same in expectation, of random directions
    denoising   mean of  |noise_scale s(y) + n|^2 / 2,  y = x + noise_scale n   learns the density of data blurred by that noise

Implicit and sliced minimise the Fisher divergence of the data from the model: consistent where the density is positive throughout and
smooth. Denoising does so for blurred data, whose variance is larger by noise_scale^2; it is the one that scales. Bounded sites are
learned in unconstrained coordinates. No chain is run, and no constant is needed. Of one mode's share against another's the slope tells
little where the density between them is next to nothing: contrastive divergence sees that.

Sources: Hyvarinen, JMLR 6, 2005; Vincent, Neural Computation 23(7), 2011; Song, Garg, Shi & Ermon, UAI 2019.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..batches import Batches
from ..engine import Nothing, require_positive
from ..errors import EngineError
from ..keys import NOISE, Key
from ..program import Program
from ..unobserved import Point
from ._energies import EnergyEngine, EnergyTarget, Info, State

__all__ = ["ScoreMatching"]

KINDS = ("implicit", "sliced", "denoising")
MOST = 64  # numbers of a datum of which an exact trace is taken


@dataclass(frozen=True, kw_only=True)
class ScoreMatching(EnergyEngine):
    """Learn the parameters of a program that observes continuous data, whose density need not be normalised.

    kind           implicit, sliced or denoising
    num_slices     directions for each datum and step, of sliced
    noise_scale    of denoising, in units of the data's sds, number by number

    Losses are without a unit, and of sliced and implicit below 0. Modules run in evaluation mode. Errors: EngineError (discrete data,
    latent sites that each datum's density would have to be integrated over, nothing to learn), DataError (a loss that is not finite).
    """

    kind: str = "sliced"
    num_slices: int = 1
    noise_scale: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "num_slices")
        if self.kind not in KINDS:
            raise EngineError(f"kind must be one of {', '.join(KINDS)}; got {self.kind!r}")
        if not self.noise_scale > 0:
            raise EngineError(f"noise_scale must be positive, got {self.noise_scale}")

    def target(self, program: Program, batches: Batches | None) -> EnergyTarget:
        target = super().target(program, batches)
        if target.discrete:
            names = ", ".join(repr(s.name) for s in program.observed)
            raise EngineError(f"a score is a slope, and {names} is discrete; take ContrastiveDivergence")
        if self.kind == "implicit" and target.dim > MOST:
            raise EngineError(f"an exact trace over {target.dim} numbers takes too long; take kind='sliced' or 'denoising'")
        return target

    def step(self, target: EnergyTarget, state: State, tuning: Nothing, key: Key) -> tuple[State, Info]:
        rows = target.batch(key)
        return self.descended(target, state, key, rows, *self._noise(target, rows, key))

    def _noise(self, target: EnergyTarget, rows: Tensor, key: Key) -> list[Tensor]:
        """Directions, (n, slices, dim), or blur, (n, 1, dim)."""
        if self.kind == "implicit":
            return []
        count = self.num_slices if self.kind == "sliced" else 1
        shape = (len(rows), count, target.dim)
        return [key.normal(NOISE, (1, len(rows) * count * target.dim)).reshape(shape).to(rows)]

    def loss(self, target: EnergyTarget, params: Point, *inputs: Tensor) -> Tensor:
        rows, *noise = inputs
        if self.kind == "denoising":
            blur = noise[0][:, 0]
            score = _score(target, params, (rows + self.noise_scale * target.unit * blur).requires_grad_())
            return 0.5 * (self.noise_scale * score + blur).square().sum(1).mean()
        directions = torch.eye(target.dim).to(rows).expand(len(rows), -1, -1) if self.kind == "implicit" else noise[0]
        count = directions.shape[1]  # each is taken at a copy of its row
        at = rows.repeat_interleave(count, 0).requires_grad_()
        score = _score(target, params, at)
        curvature = _along(score, at, directions.reshape(-1, target.dim), target.unit)
        share = target.dim if self.kind == "implicit" else 1.0
        return (0.5 * score.square().sum(1) + share * curvature).mean()

    def note(self, stats: Mapping[str, Tensor]) -> str:
        return f"loss {float(stats['losses'].mean()):,.4f}"


def _score(target: EnergyTarget, params: Point, at: Tensor) -> Tensor:
    """(n, dim), in units of the data's sds: to be differentiated again."""
    (slope,) = torch.autograd.grad(target.log_density(at, params).sum(), at, create_graph=True)
    return slope * target.unit


def _along(score: Tensor, at: Tensor, v: Tensor, unit: Tensor) -> Tensor:
    """v^T (ds/dx) v, (n,)."""
    if not score.requires_grad:
        return torch.zeros_like(score[:, 0])
    found: Any = torch.autograd.grad((score * v).sum(), at, create_graph=True, allow_unused=True)
    return torch.zeros_like(score[:, 0]) if found[0] is None else (found[0] * unit * v).sum(1)
