"""Draws of the sites that the flat position does not hold: discrete ones, which were summed out, and deterministic ones."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from .assignments import Assignments, once
from .deterministic import deterministic_at
from .keys import DRAW_BACK, Key, nth
from .program import Program
from .readings import DensityReading

__all__ = ["CHUNK", "drawn_back"]

CHUNK = 2**25  # elements of the largest factor that one batch of draws may hold


def drawn_back(
    program: Program, reading: DensityReading, continuous: Mapping[str, Tensor], key: Key, chains: int, draws: int
) -> dict[str, Tensor]:
    """Continuous latent site -> (chains, draws, *shape), to every other latent site and every deterministic one in the same form.

    Discrete sites are drawn from their exact conditional. Draw d of chain c reads its own numbers of the key, so neither the
    number of chains nor the size of a batch changes it.
    """
    return Drawing(program, reading, key).all(continuous, chains, draws)


class Drawing:
    def __init__(self, program: Program, reading: DensityReading, key: Key):
        self.program, self.reading, self.key = program, reading, key
        self.assignments = Assignments(program, reading.joint, reading.support)
        self.streams = {n: nth(DRAW_BACK, i) for i, n in enumerate(reading.support)}

    def all(self, continuous: Mapping[str, Tensor], chains: int, draws: int) -> dict[str, Tensor]:
        size = draws
        if self.reading.support:
            largest = max(plan.largest for _, plan in self.reading.joint.components)
            size = max(1, CHUNK // max(1, chains * largest))
        parts = []
        for start in range(0, draws, size):
            stop = min(start + size, draws)
            flat = {n: v[:, start:stop].flatten(0, 1) for n, v in continuous.items()}
            some = self._some(flat, chains, start, stop)
            parts.append({n: v.reshape(chains, stop - start, *self.program.sites[n].shape) for n, v in some.items()})
        return {n: torch.cat([p[n] for p in parts], 1) for n in (parts[0] if parts else {})}

    def _some(self, values: Mapping[str, Tensor], chains: int, start: int, stop: int) -> dict[str, Tensor]:
        """For draws start..stop of every chain, flattened."""
        count = chains * (stop - start)
        drawn = self.discrete(values, chains, start, count) if self.reading.support else {}
        deterministic = self.reading.deterministic(values, count)
        rest = [n for n, s in self.program.sites.items() if s.kind == "deterministic" and n not in deterministic]
        return drawn | deterministic | deterministic_at(self.program, rest, {**values, **drawn}, count)

    def discrete(self, values: Mapping[str, Tensor], chains: int, start: int, count: int) -> dict[str, Tensor]:
        """Draws start.. of every chain, chain by chain, (count, *shape)."""
        factors = self.reading.factors(values, count)

        def gumbel(site: str, shape: Sequence[int]) -> Tensor:
            each = math.prod(shape[1:])
            numbers = self.key.gumbel(self.streams[site], (chains, count // chains * each), start=start * each)
            return numbers.reshape(tuple(shape)).to(like)

        out: dict[str, Tensor] = {}
        for names, plan in self.reading.joint.components:
            like = factors[names[0]]
            assigned = plan.assign(plan.sums([once(factors[n]) for n in names]), count, gumbel)
            out |= {n: self.assignments.values(n, a) for n, a in assigned.items()}
        return out
