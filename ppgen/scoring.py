"""Scores: log p of each datum, nats, and what kind of number that is.

A datum is one index of the data plate. What its log probability depends on besides parameters and data decides how it is had:

    nothing, or discrete sites inside the data plate     exact, by summing out
    latent sites outside the data plate, with draws      log of the mean over draws, an estimate
    all latent sites, where there is no data plate       what is observed is one datum, and its score the log evidence: exact in closed
                                                         form, else a bound by the guide, as in the next line
    continuous latent sites inside the data plate        drawn from the guide z ~ q, with weights w = p(x, z) / q(z):
        elbo          E[log w]                           lower bound
        iwae          E[log of the mean of a group]      lower bound, rising with the group's size
        importance    log of the mean of all weights     estimate, low for heavy-tailed weights
        ais           the same, of particles led from the guide to the posterior (annealing.py)

Sources: Kingma & Welling, ICLR 2014 (elbo); Burda, Grosse & Salakhutdinov, ICLR 2016 (iwae); Wu, Burda, Salakhutdinov & Grosse, ICLR
2017 (ais).
"""

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .datum_bridge import DatumBridge
from .diagnostics import mcse_mean
from .errors import CostError, EliminationError, GuideError, NameNotFoundError, PpgenWarning, ScoreError
from .keys import PREDICT, nth
from .one_datum import OneDatum, require_all_shown
from .program import Program, Site
from .recording import Recording
from .simulation import simulate
from .straightline import above
from .targets import LogDensity
from .tempering import prior_of

__all__ = ["Score", "guide_of", "score_with_draws", "weighted"]

KINDS = ("exact", "lower bound", "upper bound", "estimate", "up to a constant")
WEIGHTED = {"elbo": "lower bound", "iwae": "lower bound", "importance": "estimate", "ais": "estimate"}
TO_COME = ("smc",)
GROUPS = 10  # of particles for iwae, whose spread is its standard error
PROPOSAL = 3  # first of the streams of PREDICT from which particles come; simulation and tasks have those below
CHUNK = 2**24  # numbers that the particles of one batch may hold
FEWEST = 10  # effective particles of a datum, below which its estimate is not to be trusted


@dataclass(frozen=True, eq=False)
class Score:
    """log p of each datum.

    value            (N,) nats
    kind             exact, lower bound, upper bound, estimate, or up to a constant
    standard_error   (N,) of value, by Monte Carlo: 0 where it is exact, nan where there are too few draws to tell

    a - b is the difference datum by datum, (N,); a > b compares totals. Scores of different kinds, and scores up to constants
    that need not be the same, raise ScoreError; compare their values where that is what you mean.
    """

    value: Tensor
    kind: str
    standard_error: Tensor

    @property
    def total(self) -> float:
        """Sum over data, nats."""
        return float(self.value.sum())

    def __repr__(self) -> str:
        return f"Score({self.kind}, total {self.total:.4g} nats over {len(self.value)} data)"

    def __sub__(self, other: "Score") -> Tensor:
        self._require_same_kind(other)
        if self.value.shape != other.value.shape:
            raise ScoreError(f"one score has {len(self.value)} data and the other {len(other.value)}; score the same data")
        return self.value - other.value

    def __gt__(self, other: "Score") -> bool:
        return float((self - other).sum()) > 0

    def __lt__(self, other: "Score") -> bool:
        return other > self

    def _require_same_kind(self, other: "Score") -> None:
        if self.kind != other.kind:
            raise ScoreError(f"a score of kind {self.kind!r} says nothing against one of kind {other.kind!r}; score both by one method")
        if self.kind == "up to a constant":
            raise ScoreError("scores up to a constant cannot be compared: the constants of two programs differ")


def score_with_draws(program: Program, draws: Mapping[str, Tensor], *, method: str | None, num_particles: int, seed: int) -> Score:
    """The score of a program's data; `draws` of the latent sites outside its data plate, (chains, draws, *shape), where there are any.

    Raises ScoreError (what cannot be scored, or not by this method), NameNotFoundError (no such method), GuideError.
    """
    _check_method(method)
    if program.data_plate is None:
        return _of_one_datum(OneDatum(program), method, num_particles, seed)
    data = _Data(program)
    by = _method(data, draws, method)
    if by in WEIGHTED:
        draw = _annealed if by == "ais" else _log_weights
        value, error = weighted(by, draw(data, num_particles, seed))
    else:
        value, error = _averaged(data.log_likelihood({s.name: data.fitting(s, draws[s.name]) for s in data.outside}))
    kind = "exact" if by == "exact" else WEIGHTED.get(by, "estimate")
    return Score(value, "up to a constant" if data.unnormalised else kind, error)


def _of_one_datum(data: OneDatum, method: str | None, num_particles: int, seed: int) -> Score:
    """Unasked by its bound, for its weights are those of all that is latent at once, and a mean of them rests on few."""
    by, exact = method or "elbo", _exact(data, method)
    if exact is not None:
        value, error, kind = exact, torch.zeros_like(exact), "exact"
    elif by == "ais":
        raise ScoreError(f"what {data.program.name!r} observes is one datum, as it has no data plate; run the engine AIS for its evidence")
    else:
        _check_particles(num_particles)
        (value, error), kind = weighted(by, data.log_weights(num_particles, seed)), WEIGHTED[by]
    return Score(value, "up to a constant" if data.unnormalised else kind, error)


def _exact(data: OneDatum, method: str | None) -> Tensor | None:
    """Where it is asked for, or unasked where it is to be had."""
    if method not in (None, "exact"):
        return None
    try:
        value = data.exact()
    except (CostError, EliminationError):
        if method == "exact":
            raise
        return None
    if value is None and method == "exact":
        raise ScoreError(f"the evidence of {data.program.name!r} is not known in closed form; leave method out")
    return value


def _check_method(method: str | None) -> None:
    if method in TO_COME:
        raise ScoreError(f"no engine scores by {method} yet; methods are exact, {', '.join(WEIGHTED)}")
    if method is not None and method not in ("exact", *WEIGHTED):
        raise NameNotFoundError(f"no method {method!r}; there are exact, {', '.join(WEIGHTED)}, and None for the best that applies")


def _method(data: "_Data", draws: Mapping[str, Tensor], method: str | None) -> str:
    """How these data are scored: exact, average (over draws), or one of WEIGHTED. Raises ScoreError where nothing applies."""
    apart = [s.name for s in data.outside if s.name not in draws]
    if apart:
        raise ScoreError(
            f"each datum depends on {_list(apart)}, latent outside the data plate {data.plate!r}; give score a posterior (of which "
            "these sites were kept), or hold them at values by pyro.poutine.condition"
        )
    inside = [s.name for s in data.inside]
    if inside and data.outside:
        raise ScoreError(
            f"each datum depends on {_list(inside)}, latent inside the data plate, and on {_list(s.name for s in data.outside)} outside "
            "it; hold the latter at values by pyro.poutine.condition, or learn them as parameters"
        )
    found = "importance" if inside else "average" if data.outside else "exact"
    if method is None or method == found:
        return found
    if found == "importance" and method in WEIGHTED:
        return method
    why = {
        "importance": f"{_list(inside)} cannot be summed out; methods are {', '.join(WEIGHTED)}",
        "average": f"{_list(s.name for s in data.outside)} are drawn, so the score is the log of a mean over draws; leave method out",
        "exact": "every latent site is held or summed out; leave method out",
    }[found]
    raise ScoreError(f"this program is not scored by {method}: {why}")


def _list(names: Iterable[str]) -> str:
    return ", ".join(map(repr, names))


# What the data depend on


class _Data:
    """The data of a program: their plate, and the latent sites that their log probability depends on.

    inside         continuous ones inside the data plate (discrete ones there are summed out); outside: all others
    unnormalised   a factor among them, or the family, has an unknown constant
    """

    def __init__(self, program: Program):
        plate = program.plates[str(program.data_plate)]
        require_all_shown(plate)
        self.program, self.plate = program, plate.name
        self.density = LogDensity(program)
        kinds, needed = self._needed()
        self.inside = [s for s in needed if s.continuous and self.plate in s.plates]
        self.outside = [s for s in needed if self.plate not in s.plates]
        self.unnormalised = "factor" in kinds or not getattr(program.fn, "normalised", True)

    def _needed(self) -> tuple[set[str], list[Site]]:
        """The kinds of the sites that make up a datum, and the latent sites that they depend on: of a continuous one inside
        the plate also what its own density depends on."""
        sites, recording = self.density.reading.sites, self.density.recording
        local = {n: s for n, s in sites.items() if self.plate in s.plates}
        own = {n for n, s in local.items() if s.kind in ("observed", "factor") or s.discrete}
        while True:
            above = set(sites) if recording is None else _above(recording, own)
            more = {n for n in above if n in local and local[n].continuous}
            if more <= own:
                return {sites[n].kind for n in own}, [s for s in self.program.latent if s.name in above]
            own |= more

    def log_likelihood(self, values: Mapping[str, Tensor], *, joint: bool = False) -> Tensor:
        """(chains, draws, N) at values (chains, draws, *shape) of the sites that the data depend on."""
        lead = next((v.shape[:2] for v in values.values()), torch.Size((1, 1)))
        density = self.density
        idle = density.constrain(torch.zeros(*lead, density.dim, dtype=density.dtype, device=density.device))
        idle |= {s.name: s.value.expand(*lead, *s.shape) for s in self.program.latent if s.discrete and self.plate not in s.plates}
        return density.log_likelihood({**idle, **values}, joint=joint).values[self.plate]

    def fitting(self, site: Site, values: Tensor) -> Tensor:
        """The values, if they have the site's shape."""
        shape = tuple(values.shape[2:])
        if shape != site.shape:
            raise ScoreError(f"site {site.name!r} has draws of shape {shape}; with these arguments it has {tuple(site.shape)}")
        return values


def _above(recording: Recording, names: Iterable[str]) -> set[str]:
    """Sites whose values enter the factors of these sites, by the recorded graph."""
    return {n.mark for n in above([recording.outputs[n].log_prob for n in names]) if n.mark is not None}


# Estimates


def _averaged(log_probs: Tensor) -> tuple[Tensor, Tensor]:
    """log of the mean over draws (chains, draws, N), and its standard error, which counts autocorrelation."""
    count = log_probs.shape[:2].numel()
    value = log_probs.flatten(0, 1).logsumexp(0) - math.log(count)
    if count == 1:
        return value, torch.zeros_like(value)
    relative = (log_probs - value).exp()  # mean 1, so that an error of it is one of its log
    error = torch.as_tensor(mcse_mean(relative.cpu().numpy())).to(value)
    return value, torch.where((relative == relative[:1, :1]).all(0).all(0), torch.zeros_like(error), error)


def weighted(method: str, log_weights: Tensor) -> tuple[Tensor, Tensor]:
    """Value and standard error from independent log weights (particles, N)."""
    count = len(log_weights)
    if method == "elbo":
        return log_weights.mean(0), log_weights.std(0) / math.sqrt(count)
    if method == "iwae":
        groups = log_weights[: count - count % GROUPS].reshape(GROUPS, -1, log_weights.shape[1])
        bounds = groups.logsumexp(1) - math.log(groups.shape[1])  # (GROUPS, N)
        return bounds.mean(0), bounds.std(0) / math.sqrt(GROUPS)
    _warn_of_few(log_weights)
    value = log_weights.logsumexp(0) - math.log(count)
    return value, (log_weights - value).exp().std(0) / math.sqrt(count)


def _warn_of_few(log_weights: Tensor) -> None:
    effective = (2 * log_weights.logsumexp(0) - (2 * log_weights).logsumexp(0)).exp()  # (N,)
    few = effective < FEWEST
    if few.any():
        row = int(effective.argmin())
        warnings.warn(
            f"{int(few.sum())} of {len(few)} data rest on fewer than {FEWEST} effective particles, the datum in row {row} on "
            f"{float(effective[row]):.1f} of {len(log_weights)}: their estimates are too low and their standard errors too small; "
            "raise num_particles, or learn a guide that fits better",
            PpgenWarning,
            stacklevel=5,
        )


def _log_weights(data: "_Data", num_particles: int, seed: int) -> Tensor:
    """log p(x, z) - log q(z) datum by datum, (num_particles, N)."""
    _check_particles(num_particles)
    guide = _guide_of(data)
    proposal = data if guide is None else guide
    sites = [s.name for s in proposal.program.latent if s.continuous and data.plate in s.plates]
    each = sum(math.prod(s.shape) for s in data.program.sites.values())
    size = max(1, CHUNK // max(1, each))
    parts = []
    for i, start in enumerate(range(0, num_particles, size)):
        count, stream = min(size, num_particles - start), nth(PREDICT, PROPOSAL + i)
        drawn = simulate(proposal.program, {}, count, seed=seed, stream=stream)
        values = {n: drawn[n][None] for n in sites}
        if guide is None:  # z from the model itself: the weight is p(x | z)
            parts.append(data.log_likelihood(values)[0])
        else:
            parts.append(data.log_likelihood(values, joint=True)[0] - guide.log_likelihood(values, joint=True)[0])
    return torch.cat(parts)


def _annealed(data: "_Data", num_particles: int, seed: int) -> Tensor:
    """The same by annealing, from the guide, or the model's own conditionals where there is none."""
    _check_particles(num_particles)
    base = _guide_of(data) or _Data(prior_of(data.program, data.plate))
    return DatumBridge(data, base).log_weights(num_particles, seed)


def _check_particles(num_particles: int) -> None:
    if num_particles < 2 * GROUPS:
        raise ScoreError(f"num_particles must be at least {2 * GROUPS}, got {num_particles}")


class _Guide(nn.Module):
    """A family's guide as a program of its own. No PyroModule: such a one takes in no module that has run."""

    def __init__(self, family: Any):
        super().__init__()
        self.family = family

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        with self.family._pyro_context:
            return self.family.guide(*args, **kwargs)


def guide_of(model: Program) -> Program:
    """The guide of a program that is a Family, with the same arguments."""
    return Program(_Guide(model.family)).bind(*model.args, **model.kwargs)


def _guide_of(data: "_Data") -> "_Data | None":
    """The family's guide of the same data; None where there is no family. Raises GuideError where they do not fit."""
    model = data.program
    if model.family is None:
        return None
    guide = guide_of(model)
    wanted = {s.name for s in model.latent if s.continuous}
    found = {s.name: s for s in guide.latent if s.continuous}
    if missing := wanted - set(found):
        raise GuideError(f"the guide does not sample {_list(sorted(missing))}, which the model does; add it to the guide")
    for name, site in found.items():
        if data.plate not in site.plates:
            raise GuideError(f"the guide's site {name!r} is not inside plate {data.plate!r}, so no datum has a density of its own")
    return _Data(Program(guide.fn, data_plate=data.plate).bind(*model.args, **model.kwargs))
