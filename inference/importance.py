"""Importance sampling: draws from a proposal, weighted by what the model thinks of them.

    z ~ q,   w = p(x, z) / q(z),   E[f] ~ sum w f / sum w,   log p(x) ~ log mean w

Discrete sites are summed out in the weight and drawn back after, or are proposed like the others (likelihood weighting). The error of
a mean is about its sd / sqrt(importance ESS); where k-hat, the shape of the weights' tail, is above 0.7 no number of draws helps. Cost:
one density a proposal.
Sources: Kahn & Marshall, J. Operations Research Society of America 1(5), 1953; Pareto smoothing and k-hat: Vehtari, Simpson,
Gelman, Yao & Gabry, JMLR 25(72), 2024; likelihood weighting: Fung & Chang, UAI 1989; systematic resampling: Kitagawa, JCGS 5(1), 1996.
"""

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..bounds import inputs_of
from ..diagnostics import smooth
from ..engine import Engine, require_all_rows, require_positive
from ..errors import (
    CostError,
    DataError,
    EliminationError,
    EngineError,
    NameNotFoundError,
    PpgenWarning,
    ProgramError,
    ZeroProbabilityError,
)
from ..factors import model_of
from ..guides import FlatGuide
from ..keys import Key
from ..lowering import over_batch
from ..objective import Objective
from ..posterior import Posterior, require_memory
from ..program import Program
from ..provenance import provenance
from ..simulation import prior_draws
from ..stopwatch import Stopwatch
from ..targets import LogDensity
from ._ancestral import Proposals, ancestral

__all__ = ["ImportanceSampling", "equal_weights", "warn_of_few"]

UNIFORM, SHUFFLE = 0, 1  # streams of the key
FEW = 20  # effective proposals, below which draws of discrete sites are worth little
TRUSTED = 0.7  # k-hat above it: Vehtari et al. (2024)
CHUNK = 2**25  # elements of the largest factor that one batch of proposals may hold


@dataclass(frozen=True, kw_only=True)
class ImportanceSampling(Engine):
    """One step: proposals, their weights, and draws of equal weight from among them.

    proposal        prior; guide, the family's own with its parameters as they are; a guide program or FlatGuide of yours; or a
                    posterior of SVI, whose draws are then the proposals (num_proposals has no say)
    discrete        sum: discrete sites are summed out of the weights and drawn back exactly; sample: they are proposed like the others,
                    by the program run forward with observed sites at their values, or by a guide program that samples them (those that
                    it leaves out, of either kind, by the program after it). auto sums where there are continuous sites and it can be
                    done, and samples otherwise
    num_proposals   draws of the proposal, whose log weights the posterior keeps
    num_samples     draws of equal weight, by systematic resampling with Pareto-smoothed weights: one chain in random order,
                    in which a proposal of large weight comes more than once

    Warns where k-hat is above 0.7, as where what was observed is rare and no site before it was chosen to suit it. The provenance says
    how discrete sites went. Errors: ProgramError (a prior that cannot be drawn from), GuideError, EngineError (settings),
    ZeroProbabilityError (no proposal is possible), DataError (a weight that is nan).
    """

    proposal: str | Posterior | FlatGuide | Callable[..., Any] = "prior"
    discrete: str = "auto"
    num_proposals: int = 10_000
    num_samples: int = 1000

    def __post_init__(self) -> None:
        require_positive(self, "num_proposals", "num_samples")
        if self.checkpoint is not None:
            raise EngineError("ImportanceSampling takes one step, so there is nothing to resume; leave checkpoint out")
        if isinstance(self.proposal, str) and self.proposal not in ("prior", "guide"):
            raise NameNotFoundError(f"no proposal {self.proposal!r}; there are prior and guide, or give a guide or a posterior of SVI")
        if self.discrete not in ("auto", "sum", "sample"):
            raise EngineError(f"ImportanceSampling: discrete is auto, sum or sample; got {self.discrete!r}")

    def run(self, program: Callable[..., Any] | Program, *args: Any, **kwargs: Any) -> Posterior:
        watch = Stopwatch()
        program = Program.of(program, *args, **kwargs).copy()
        if not program.latent:
            raise EngineError(f"ImportanceSampling has nothing to sample: program {program.name!r} has no latent site")
        require_all_rows(self, program)
        require_memory(program, 1, self.num_samples, self.keep)
        density = self._density(program)
        watch.lap("record", density)
        proposals = self._proposals(density)
        watch.lap("sample", density)
        draws = self._resampled(density, proposals)
        watch.lap("collect", density)
        posterior = Posterior(
            draws=draws if self.keep is None else {n: draws[n] for n in self.keep},
            program=program,
            params={n: p.detach() for n, p in program.params.items()},
            log_weights=proposals.log_weights[None],
            provenance={**provenance(self, density, watch), "discrete": "sample" if density.held else "sum"},
        )
        nearer = "(a guide program that samples its discrete sites too)" if density.held else "(a guide learned by SVI)"
        advice = f"take a proposal nearer to the posterior {nearer}"
        warn_of_few(posterior.khat or 0.0, advice)
        if density.held and not (posterior.khat or 0.0) > TRUSTED:
            _warn_of_equals(proposals.log_weights, advice)
        return posterior

    def _density(self, program: Program) -> LogDensity:
        """With discrete sites summed out, or all of them held."""
        how = self.discrete if program.dim or self.discrete != "auto" else "sample"
        if how == "sum" and not program.dim:
            names = ", ".join(map(repr, program.discrete))
            raise EngineError(
                f"ImportanceSampling has nothing to sample where {names}, all that is latent, are summed out; leave out discrete, or use "
                "Enumeration, whose draws are exact"
            )
        settings: dict[str, Any] = {"dtype": self.dtype or torch.float64, "lowering": self.lowering}
        if how != "sample":
            try:
                return LogDensity(program, **settings)
            except (EliminationError, CostError):
                if how == "sum":
                    raise
        return LogDensity(program, held=program.discrete, **settings)

    # Proposals

    def _proposals(self, density: LogDensity) -> Proposals:
        if density.held:
            return ancestral(density, self._guide(), self.num_proposals, self.seed)
        if isinstance(self.proposal, Posterior):
            return _of_posterior(self.proposal, density)
        if self.proposal == "prior":
            drawn = prior_draws(density.program, self.num_proposals, seed=self.seed)
            values = {s.name: drawn[s.name][0].to(density.device, density.dtype) for s in density.sites}
            return Proposals(values, _mapped(density, values, "likelihood"))
        guide = None if isinstance(self.proposal, str) else self.proposal
        key = Key(self.seed, device=density.device)
        objective = Objective(density.program, guide, key=key, dtype=density.dtype, lowering=self.lowering)
        position, log_weights = objective.draws(objective.params, key.at(1), self.num_proposals)
        if log_weights is None:
            raise EngineError("this guide is a point or sees only some rows, so its draws have no weights; give another proposal")
        return Proposals(density.constrain(position), log_weights)

    def _guide(self) -> str | Callable[..., Any] | None:
        """What proposes discrete sites; None: the program itself."""
        if isinstance(self.proposal, (Posterior, FlatGuide)):
            what = (
                "a posterior of SVI" if isinstance(self.proposal, Posterior) else f"a {type(self.proposal).__name__} over the flat position"
            )
            raise EngineError(
                f"{what} proposes continuous sites alone, with discrete ones summed out; give a guide program that samples all"
            )
        return None if self.proposal == "prior" else self.proposal

    # Draws of equal weight

    def _resampled(self, density: LogDensity, proposals: Proposals) -> dict[str, Tensor]:
        key = Key(self.seed, device=density.device)
        chosen = equal_weights(proposals.log_weights, self.num_samples, key)
        values = {n: v[chosen][None] for n, v in proposals.values.items()}
        position = density.unconstrain(values) if density.dim else torch.zeros(1, self.num_samples, 0, dtype=density.dtype)
        held = density.holding.index(values) if density.held else None
        draws = density.latents(position.to(density.device), key, held)
        return {n: values.get(n, v) for n, v in draws.items()}  # as they were drawn: the way back may round


def equal_weights(log_weights: Tensor, count: int, key: Key) -> Tensor:
    """(count,) indices of weighted draws, in random order, each as often as its smoothed weight says, to within 1. Raises DataError (a
    weight that is nan), ZeroProbabilityError (all are 0)."""
    smoothed = torch.as_tensor(smooth(_usable(log_weights).cpu().numpy())[0]).to(log_weights.device)
    edges = smoothed.exp().cumsum(0)
    at = (torch.arange(count, device=edges.device) + key.uniform(UNIFORM, (1, 1))[0]) / count * edges[-1]
    chosen = torch.searchsorted(edges, at, right=True).clamp(max=len(edges) - 1)
    return chosen[key.permutation(SHUFFLE, count)]


def warn_of_few(khat: float, advice: str) -> None:
    """Of a k-hat that says that the draws cannot be trusted."""
    if khat > TRUSTED:
        warnings.warn(
            f"k-hat is {khat:.2f}, above {TRUSTED}: few proposals carry all the weight, and the draws cannot be trusted; {advice}",
            PpgenWarning,
            stacklevel=3,
        )


def _warn_of_equals(log_weights: Tensor, advice: str) -> None:
    """Weights of discrete sites may be but a few numbers, and a tail of equal ones has a good k-hat however short it is."""
    logs = log_weights.double().log_softmax(0)
    number = float((2 * logs).exp().sum().reciprocal())
    if number < FEW:
        warnings.warn(
            f"the effective number of {len(logs):,} proposals is {number:.1f}, below {FEW}: the draws cannot be trusted; {advice}",
            PpgenWarning,
            stacklevel=3,
        )


def _usable(log_weights: Tensor) -> Tensor:
    logs = log_weights.detach().double()
    if (wrong := ~(logs < torch.inf)).any():
        at = int(wrong.nonzero()[0])
        raise DataError(
            f"{int(wrong.sum())} of {len(logs)} proposals have a log weight that is no number below infinity, the first is {at}"
        )
    if (logs == -torch.inf).all():
        raise ZeroProbabilityError(f"none of {len(logs)} proposals is possible under the program: all weights are 0")
    return logs


def _of_posterior(posterior: Posterior, density: LogDensity) -> Proposals:
    """Draws of a posterior; where its program is another one, or has other data, its weights are corrected for that."""
    sites = [s.name for s in density.sites]
    if missing := [n for n in sites if n not in posterior.draws]:
        raise ProgramError(f"the posterior has no draws of {', '.join(map(repr, missing))}, which the program samples")
    count = math.prod(posterior.draws[sites[0]].shape[:2]) if sites else 0
    if posterior.log_weights is None or posterior.log_weights.numel() != count:
        raise EngineError("a posterior whose draws have log weights is needed as proposal: one of SVI, with a guide that has a spread")
    values = {n: posterior.draws[n].flatten(0, 1).to(density.device, density.dtype) for n in sites}
    before = LogDensity(posterior.density.program, dtype=density.dtype)
    correction = _mapped(density, values, "joint") - _mapped(before, values, "joint")
    return Proposals(values, posterior.log_weights.reshape(-1).to(correction) + correction)


def _mapped(density: LogDensity, values: Mapping[str, Tensor], which: str) -> Tensor:
    """The log joint, or the log likelihood, at each of n values (n, *shape): (n,), nats."""
    model, inputs = model_of(density), inputs_of(density)
    read = getattr(model, which)
    names, given = list(values), list(values.values())
    count = len(given[0])
    if density.recording is None:
        return torch.stack([read(dict(zip(names, at, strict=True)), inputs) for at in zip(*given, strict=True)])
    widest = max(math.prod(getattr(s.log_prob, "shape", ())) for s in density.recording.sites.values())
    size = max(1, CHUNK // max(1, widest))
    one = lambda *at: (read(dict(zip(names, at, strict=True)), inputs),)  # noqa: E731
    parts = [[v[i : i + size] for v in given] for i in range(0, count, size)]
    return torch.cat([over_batch(one, part, len(part[0]))[0] for part in parts])
