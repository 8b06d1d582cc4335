"""Draws of a guide in a model whose discrete sites cannot be summed out: they are drawn from the guide like all others.

    z ~ q,   log weight = log p(x, z) - log q(z)        z with the discrete sites in it; the mean of it is the pair's lower bound

Where the guide says nothing of a discrete site there is no draw of it, and no weight.
"""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from .guides import scale_of
from .keys import NOISE
from .lowering import over_batch
from .program import FromValues, Program, Site
from .simulation import simulate

__all__ = ["held_draws"]

CHUNK = 2**22  # numbers that the sites of one batch of draws may hold


def held_draws(program: Program, count: int, seed: int) -> tuple[dict[str, Tensor], Tensor | None]:
    """-> latent and deterministic site -> (count, *shape), and log weights (count,), nats, at the program's parameters."""
    latent = [s.name for s in program.latent]
    drawn = simulate(program, {}, count, seed=seed, stream=NOISE, method="guide")
    values = {n: drawn[n] for n in latent if n in drawn}
    if len(values) < len(latent):
        return values, None
    determined = [s.name for s in program.sites.values() if s.kind == "deterministic"]

    def one(*at: Tensor) -> list[Tensor]:
        given = dict(zip(values, at, strict=True))
        model = program.run(FromValues, values=given)
        guide = program.run(FromValues, values=given, method="guide")
        weight = _log_joint(model.sites) - _log_joint({n: guide.sites[n] for n in latent})
        return [weight, *(model.sites[n].value for n in determined)]

    size = max(1, CHUNK // max(1, sum(math.prod(s.shape) for s in program.sites.values())))
    parts = [over_batch(one, [v[i : i + size] for v in values.values()], min(size, count - i)) for i in range(0, count, size)]
    weights, *others = (torch.cat(p) for p in zip(*parts, strict=True))
    everything = {**values, **dict(zip(determined, others, strict=True))}
    return {n: everything[n] for n in program.sites if n in everything}, weights


def _log_joint(sites: Mapping[str, Site]) -> Tensor:
    return torch.stack([(torch.as_tensor(s.log_prob) * scale_of(s)).sum().double() for s in sites.values()]).sum()
