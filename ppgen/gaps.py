"""How far a family's guide is from the evidence, and why: it tells the latent values of all data by one function, and of each it can only
say what its form allows.

    approximation gap   log p(x) - bound of the best independent normals for this datum
    amortisation gap    that bound - bound of the guide

An engine (NUTS) draws the latent values of each datum. From its draws begin the best normals, which SVI finds with the model held as it is,
and they give the proposal, a Student law of their means and covariances, by which the evidence is estimated.
Source: Cremer, Li & Duvenaud, Inference suboptimality in variational autoencoders, ICML 2018.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor, nn
from torch.distributions import constraints

from .errors import ScoreError
from .keys import PREDICT, Key, nth
from .posterior import Posterior
from .program import Program
from .recording import seeded
from .scoring import Score, score_with_draws, weighted
from .targets import LogDensity

if TYPE_CHECKING:
    from .engine import Engine

__all__ = ["Gaps", "inference_gaps"]

FREEDOM = 10.0  # degrees of, of the proposal, whose tails are then heavier than those of most posteriors
STREAM = nth(PREDICT, 1000)  # of the key, from which normals and proposals are drawn
CHUNK = 2**24  # numbers that one batch of draws may hold


@dataclass(frozen=True, eq=False)
class Gaps:
    """Of each datum, nats; the scores carry their standard errors.

    evidence   log p(x): an estimate
    best       lower bound of the best independent normals
    guide      lower bound of the family's guide
    """

    evidence: Score
    best: Score
    guide: Score

    @property
    def approximation(self) -> Tensor:
        """(N,)"""
        return self.evidence.value - self.best.value

    @property
    def amortisation(self) -> Tensor:
        """(N,)"""
        return self.best.value - self.guide.value

    def __repr__(self) -> str:
        means = f"approximation {float(self.approximation.mean()):.3f}, amortisation {float(self.amortisation.mean()):.3f}"
        return f"Gaps({means}: nats a datum, means over {len(self.evidence.value)} data)"


def inference_gaps(
    program: Callable[..., Any] | Program | Posterior,
    *args: Any,
    engine: "Engine | None" = None,
    num_particles: int = 1000,
    num_steps: int = 1000,
    seed: int = 0,
    **kwargs: Any,
) -> Gaps:
    """The gaps of a Family all of whose latent sites are continuous, unbounded and inside the data plate, at its parameters.

    engine          draws the latent values of the data, NUTS unless told otherwise
    num_particles   draws for each score of a datum; num_steps: of SVI, for the best normals

    Raises ScoreError (a program of another kind), and what the engine and SVI raise.
    """
    from .inference import NUTS

    if isinstance(program, Posterior):
        if program.program is None:
            raise ScoreError("this posterior was loaded without its program; Posterior.load(path, program=Program(fn, *args)) has it")
        program = program.program
    data = _Local(Program.of(program, *args, **kwargs))
    guide = score_with_draws(data.program, {}, method="elbo", num_particles=num_particles, seed=seed)
    posterior = (engine or NUTS(seed=seed, progress=False)).run(data.program)
    drawn = data.values.flat(posterior.draws).to(data.density.device, data.density.dtype)  # (draws, N, D)
    best = _best_normals(data, drawn, num_steps, seed)
    return Gaps(data.score("importance", _proposal(drawn), num_particles, seed), data.score("elbo", best, num_particles, seed), guide)


class _Values(NamedTuple):
    """The latent values of data, all sites of a datum in a row: (N, D) of them. shapes: of one datum, by site."""

    plate: str
    size: int
    shapes: dict[str, torch.Size]

    def flat(self, draws: Mapping[str, Tensor]) -> Tensor:
        """(chains, draws, N, *shape) by site -> (chains * draws, N, D)"""
        return torch.cat([draws[n].flatten(0, 1).reshape(-1, self.size, shape.numel()) for n, shape in self.shapes.items()], -1)

    def sites(self, flat: Tensor) -> dict[str, Tensor]:
        """(*lead, N, D) -> by site (*lead, N, *shape)"""
        parts = flat.split([shape.numel() for shape in self.shapes.values()], -1)
        return {n: p.reshape(*p.shape[:-1], *shape) for (n, shape), p in zip(self.shapes.items(), parts, strict=True)}


class _Local:
    """A program whose latent values are those of its data. Raises ScoreError where they are not."""

    def __init__(self, program: Program):
        plate = program.data_plate
        for s in program.latent:
            if program.family is None or s.discrete or s.plates != (plate,):
                raise ScoreError(
                    f"site {s.name!r} of {program.name!r}: gaps are those of a Family whose latent sites are continuous and in its "
                    f"data plate alone, {plate!r}"
                )
            if s.shape != s.unconstrained_shape or getattr(s.support, "base_constraint", s.support) is not constraints.real:
                raise ScoreError(f"site {s.name!r} has support {s.support}; the best normals are for real numbers")
        if not program.latent or plate is None:
            raise ScoreError(f"program {program.name!r} has no latent sites, so that its score is exact")
        self.program, self.density = program, LogDensity(program)
        self.values = _Values(plate, program.plates[plate].size, {s.name: s.shape[1:] for s in program.latent})

    def score(self, method: str, law: TorchDistributionMixin, count: int, seed: int) -> Score:
        """By draws of a law with batch shape (N,) and event shape (D,)."""
        each = sum(math.prod(s.shape) for s in self.program.sites.values())
        part = max(1, CHUNK // each)
        log_weights = []
        with torch.random.fork_rng(), seeded(Key(seed).generator(STREAM).initial_seed() % 2**32):
            for start in range(0, count, part):
                z = law.sample(torch.Size([min(part, count - start)]))  # (draws, N, D)
                joint = self.density.log_likelihood(self.values.sites(z[None]), joint=True).values[self.values.plate][0]
                log_weights.append(joint - law.log_prob(z))
        value, error = weighted(method, torch.cat(log_weights))
        return Score(value, "lower bound" if method == "elbo" else "estimate", error)


def _proposal(drawn: Tensor) -> TorchDistributionMixin:
    """Student laws with the means and covariances of draws (draws, N, D)."""
    loc, scale = drawn.mean(0), drawn.std(0)
    units = ((drawn - loc) / scale).movedim(1, 0)  # (N, draws, D)
    correlation = units.mT @ units / len(drawn)
    keep = len(drawn) / (len(drawn) + 1.0)  # so that few draws of many numbers have a factor too
    own = torch.eye(drawn.shape[-1]).to(drawn)
    tril = scale[..., None] * torch.linalg.cholesky(keep * correlation + (1 - keep) * own)
    return dist.MultivariateStudentT(torch.tensor(FREEDOM).to(loc), loc, tril)


class _Normals(nn.Module):
    """A guide: independent normals, (N, D) of them."""

    def __init__(self, values: _Values, drawn: Tensor, dtype: torch.dtype):
        super().__init__()
        self.values = values
        self.loc = nn.Parameter(drawn.mean(0).to(dtype))
        self.log_scale = nn.Parameter(drawn.std(0).log().to(dtype))

    def forward(self, *args: Any, **kwargs: Any) -> None:
        loc, scale = self.values.sites(self.loc), self.values.sites(self.log_scale.exp())
        with pyro.plate(self.values.plate, self.values.size):
            for name, at in loc.items():
                pyro.sample(name, dist.Normal(at, scale[name]).to_event(at.dim() - 1))


def _best_normals(data: _Local, drawn: Tensor, num_steps: int, seed: int) -> TorchDistributionMixin:
    """Learned with nothing else: the model's parameters are constants."""
    from .inference import SVI

    held = data.program.copy()
    module: Any = held.module
    for p in module.parameters():
        p.requires_grad_(False)
    program = Program(module.__call__, data_plate=data.values.plate).bind(*held.args, **held.kwargs)  # no module, no parameters
    engine = SVI(guide=_Normals(data.values, drawn, held.dtype), num_steps=num_steps, num_samples=1, keep=[], seed=seed, progress=False)
    learned = engine.run(program).params
    return dist.Normal(learned["loc"].to(drawn), learned["log_scale"].to(drawn).exp()).to_event(1)
