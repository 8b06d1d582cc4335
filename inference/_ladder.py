"""Chains of one law at several inverse temperatures, which exchange places (parallel tempering, replica exchange).

Level l has the law p^b_l, and b_0 = 1. Where levels are low, chains cross what keeps the modes of p apart. Chain i of level l and chain i
of the next one change places with probability

    min(1, exp((b_l - b_l+1) (log p(x_l+1) - log p(x_l))))

which leaves the law of every level alone. Pairs that begin at an even level and at an odd one take turns.

Sources: Swendsen & Wang, Physical Review Letters 57, 1986; Geyer, Computing Science and Statistics 23, 1991; turns: Syed, Bouchard-Cote,
Deligiannidis & Doucet, JRSS-B 84(2), 2022.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from ..errors import EngineError
from ..keys import Key

__all__ = ["Ladder"]

EXCHANGE = 14  # stream of the key


class Ladder:
    """levels: inverse temperatures, from 1 down. Of chains in a row, all those of one level come before all those of the next."""

    def __init__(self, levels: Sequence[float]):
        self.levels = tuple(map(float, levels))
        if not self.levels or self.levels[0] != 1.0 or any(not 0.0 < b < a for a, b in pairwise(self.levels)):
            raise EngineError(f"inverse_temperatures must fall from 1 and stay above 0, got {list(self.levels)}")

    def __len__(self) -> int:
        return len(self.levels)

    def of(self, chains: Tensor) -> Tensor:
        """(chains, 1): the inverse temperature of each; chains (chains, ...)."""
        levels = torch.tensor(self.levels, dtype=chains.dtype, device=chains.device)
        return levels.repeat_interleave(len(chains) // len(self))[:, None]

    def exchanged(self, chains: Mapping[str, Tensor], log_density: Tensor, key: Key) -> tuple[dict[str, Tensor], Tensor]:
        """Chains after a turn, and how probable an exchange was (levels - 1,).

        chains        name -> (chains, ...); log_density (chains,), untempered; one that is no number stays where it is
        key           of all chains; its draw is the number of the turn
        """
        values = log_density.reshape(len(self), -1)
        inverse = self.of(log_density).reshape(values.shape)
        chance = ((inverse[:-1] - inverse[1:]) * (values[1:] - values[:-1])).exp().clamp(max=1.0).nan_to_num(0.0)
        changes = key.uniform(EXCHANGE, log_density.shape).to(chance).reshape(values.shape)[:-1] < chance
        changes[1 - key.draw % 2 :: 2] = False
        source = torch.arange(len(log_density), device=log_density.device).reshape(values.shape)
        source[:-1] += values.shape[1] * changes
        source[1:] -= values.shape[1] * changes
        return {n: t[source.flatten()] for n, t in chains.items()}, chance.mean(1)
