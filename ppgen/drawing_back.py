"""Draws of the sites that the flat position does not hold: discrete ones, which were summed out, and deterministic ones."""

import math
from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
from torch import Tensor

from .assignments import Assignments, once
from .deterministic import deterministic_at
from .elimination import Elimination
from .keys import DRAW_BACK, Key, nth
from .program import Program
from .readings import DensityReading

__all__ = ["CHUNK", "Drawing", "drawn_back"]

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
    """Draws that read their numbers from one key.

    plans   names of sites and the elimination over their factors; None: those of the density
    """

    def __init__(
        self, program: Program, reading: DensityReading, key: Key, plans: Sequence[tuple[Sequence[str], Elimination]] | None = None
    ):
        self.program, self.reading, self.key = program, reading, key
        self.plans = reading.joint.components if plans is None else plans
        self.assignments = Assignments(program, reading.joint, reading.support)
        self.streams = {n: nth(DRAW_BACK, i) for i, n in enumerate(reading.support)}

    def all(self, continuous: Mapping[str, Tensor], chains: int, draws: int) -> dict[str, Tensor]:
        size = max(1, CHUNK // max(1, chains * self._largest(bool(continuous)))) if self.reading.support else draws
        parts = []
        for start in range(0, draws, size):
            stop = min(start + size, draws)
            flat = {n: v[:, start:stop].flatten(0, 1) for n, v in continuous.items()}
            some = self._some(flat, chains, start, stop)
            parts.append({n: v.reshape(chains, stop - start, *self.program.sites[n].shape) for n, v in some.items()})
        return {n: torch.cat([p[n] for p in parts], 1) for n in (parts[0] if parts else {})}

    def _largest(self, varies: bool) -> int:
        """Elements that one draw needs: a table of its own, where tables vary from draw to draw."""
        joint = self.reading.joint
        chosen = [joint.sizes[n] * math.prod(joint.sizes[p] for p in plates) for n, plates in joint.inside.items()]
        return max([*chosen, *(plan.largest for _, plan in self.plans if varies)])

    def _some(self, values: Mapping[str, Tensor], chains: int, start: int, stop: int) -> dict[str, Tensor]:
        """For draws start..stop of every chain, flattened."""
        count = chains * (stop - start)
        drawn = self.discrete(values, chains, start, count) if self.reading.support else {}
        deterministic = self.reading.deterministic(values, count)
        rest = [n for n, s in self.program.sites.items() if s.kind == "deterministic" and n not in deterministic]
        return drawn | deterministic | deterministic_at(self.program, rest, {**values, **drawn}, count)

    def discrete(self, values: Mapping[str, Tensor], chains: int, start: int, count: int) -> dict[str, Tensor]:
        """Draws start.. of every chain, chain by chain, (count, *shape)."""
        out: dict[str, Tensor] = {}
        for (_, plan), slots in zip(self.plans, self._sums(values, count) if values else self._fixed, strict=True):
            like = slots[0]

            def gumbel(site: str, shape: Sequence[int], like: Tensor = like) -> Tensor:
                each = math.prod(shape[1:])
                numbers = self.key.gumbel(self.streams[site], (chains, count // chains * each), start=start * each)
                return numbers.reshape(tuple(shape)).to(like)

            out |= {n: self.assignments.values(n, a) for n, a in plan.assign(slots, count, gumbel).items()}
        return out

    @cached_property
    def _fixed(self) -> list[list[Tensor]]:
        """What is the same for all draws where no continuous site is latent."""
        return self._sums({}, 1)

    def _sums(self, values: Mapping[str, Tensor], count: int) -> list[list[Tensor]]:
        factors = self.reading.factors(values, count)
        return [plan.sums([once(factors[n]) for n in names]) for names, plan in self.plans]
