"""Proposals of every latent site, discrete ones too: the program run forward with what is observed in its place, or a guide and then
the program for what the guide leaves out. A site drawn from its own law given those before it cancels in the weight.

Sources: Fung & Chang, UAI 1989; Shachter & Peot, UAI 1989 (likelihood weighting).
"""

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from pyro.distributions.util import scale_and_mask
from torch import Tensor

from ..errors import GuideError
from ..program import Program
from ..simulation import Ancestral, Forward, prior_draws, simulate
from ..sites import kind_of
from ..targets import LogDensity

__all__ = ["Proposals", "ancestral"]

CHUNK = 2**22  # numbers that the factors of one batch of proposals may hold together
LOG_Q = "log q"  # among the values of a guide's run


class Proposals(NamedTuple):
    """values of the latent sites that were not summed out, (n, *shape) each, and log weights (n,), nats."""

    values: dict[str, Tensor]
    log_weights: Tensor


class _Guide(Forward):
    """A guide run forward, its log density among the values."""

    def __init__(self, **settings: Any):
        super().__init__(**settings)
        self.values[LOG_Q] = torch.zeros((), dtype=torch.float64)

    def _pyro_post_sample(self, msg: Any) -> None:
        if kind_of(msg) == "deterministic" and not msg["fn"].support.is_discrete:
            raise GuideError(f"site {msg['name']!r} of the guide is a point, so its draws have no weights; give it a spread")
        log_q = scale_and_mask(msg["fn"].log_prob(msg["value"]), msg["scale"], msg["mask"])
        self.values[LOG_Q] = self.values[LOG_Q] + log_q.double().sum()


def ancestral(density: LogDensity, guide: str | Callable[..., Any] | None, count: int, seed: int) -> Proposals:
    """`count` proposals of a density all of whose discrete sites are held. guide: "guide" is the family's own; None leaves all to the
    program.

    Raises ProgramError (a site that cannot be drawn), GuideError, SupportError (a guide's value that the site cannot have).
    """
    program, given, log_q = density.program, dict[str, Tensor](), torch.zeros((), dtype=torch.float64)
    if guide is not None:
        given = _drawn(program, guide, count, seed)
        log_q = given.pop(LOG_Q)
    made = prior_draws(program, count, seed=seed, given=given, evaluation=Ancestral)
    typed = {s.name: density.dtype if s.continuous else s.value.dtype for s in program.latent}
    values = {n: made[n][0].to(density.device, dtype) for n, dtype in typed.items()}
    return Proposals(values, _weights(density, values, given, count) - log_q.to(density.device))


def _drawn(program: Program, guide: str | Callable[..., Any], count: int, seed: int) -> dict[str, Tensor]:
    """What a guide draws, and its log density, (count, *shape) each."""
    own = isinstance(guide, str)
    if own and program.family is None:
        raise GuideError(f"program {program.name!r} has no guide of its own; give a program")
    other = copy.copy(program)
    if not isinstance(guide, str):
        other.fn = copy.deepcopy(guide).eval() if isinstance(guide, torch.nn.Module) else guide
    drawn = simulate(other, {}, count, seed=seed, method="guide" if own else None, evaluation=_Guide)
    latent = {s.name: s for s in program.latent}
    for name in (n for n in drawn if n != LOG_Q):
        if name not in latent:
            raise GuideError(f"the guide samples {name!r}, which the model does not; the model's latent sites are {', '.join(latent)}")
        if drawn[name].shape[1:] != latent[name].shape:
            raise GuideError(
                f"site {name!r} has shape {tuple(latent[name].shape)} in the model and {tuple(drawn[name].shape[1:])} in the guide"
            )
    return drawn


def _weights(density: LogDensity, values: Mapping[str, Tensor], given: Mapping[str, Tensor], count: int) -> Tensor:
    """(count,): log p(observed, `given` sites | the sites that the program drew itself), nats."""
    widest = sum(math.prod(getattr(s.log_prob, "shape", ())) for s in density.reading.sites.values())
    size = max(1, CHUNK // max(1, widest))
    parts = []
    for start in range(0, count, size):
        some = {n: v[start : start + size] for n, v in values.items()}
        points = min(size, count - start)
        total = torch.zeros(points, dtype=torch.float64, device=density.device)
        for name, log_p in density.reading.factors(some, points).items():
            scale = density.reading.sites[name].scale - (1.0 if name in values and name not in given else 0.0)
            if isinstance(scale, Tensor) or scale:
                total = total + (log_p * scale).reshape(points, -1).sum(1)
        parts.append(total)
    return torch.cat(parts)
