"""Random numbers without hidden state: Philox4x32-10, key = seed, counter = (block, stream, draw, chain).

Number i of a stream stands in block i // 2: in words 0 and 1 where i is even, in words 2 and 3 where it is odd. So any number
can be had alone, in any order, by any thread, and chain 0's numbers do not depend on how many chains there are. A uniform
is 53 bits of two words; a normal is one half of a Box-Muller pair.
"""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from numba import uint64
from torch import Tensor

from . import normals, philox
from .errors import EngineError
from .native import calling
from .native.calling import doubles, integers
from .native.entry import entry
from .normals import pair_of_normals
from .philox import ULP, inlined_philox, philox_torch, unit

__all__ = ["BATCHES", "DRAW_BACK", "NOISE", "PREDICT", "ROWS", "START", "Key", "nth"]

# A stream for each purpose. Those below 16 belong to the engines, each of which numbers its own.
START, DRAW_BACK, NOISE, ROWS, PREDICT, BATCHES = range(16, 22)
MANY = 1024  # purposes at most, of which `nth` makes as many streams as are needed
VECTOR, TILE = 8, 1024  # pairs that are made at once, and in one go


def nth(stream: int, i: int) -> int:
    """The i-th stream of one purpose: one for each site, say."""
    return stream + MANY * i


@entry(*[int] * 9, sources=(calling, normals, philox))
def _fill(out, begin, pairs, chains, rows, gaussian, seed, stream, draw):  # type: ignore[no-untyped-def]
    """out (rows, 2 * pairs), float64, from block `begin` on, each row with its chain, and as many numbers more as whole vectors have;
    behind it 2 * TILE places to work in. chains (rows,), int64; both by their addresses."""
    size = -(-rows * pairs // VECTOR) * VECTOR
    blocks, chain, of, key = integers(out + 16 * size), integers(out + 16 * size + 8 * TILE), integers(chains), uint64(seed)
    row = pair = 0
    for first in range(0, size, TILE):
        count, numbers = min(TILE, size - first), doubles(out + 16 * first)
        for i in range(count):
            blocks[i], chain[i] = begin + pair, of[min(row, rows - 1)]
            pair += 1
            if pair == pairs:
                row, pair = row + 1, 0
        if gaussian != 0:
            for i in range(count):
                numbers[2 * i], numbers[2 * i + 1] = pair_of_normals(key, blocks[i], stream, draw, chain[i])
        else:
            for i in range(count):
                a, b, c, d = inlined_philox(key, blocks[i], stream, draw, chain[i])
                numbers[2 * i], numbers[2 * i + 1] = unit(a, b), unit(c, d)


@dataclass(frozen=True)
class Key:
    """The numbers of one draw of some chains.

    seed     0 <= seed < 2^64
    draw     its index, warm-up counted
    chains   absolute indices, so that several processes can share a run
    device   where the numbers are made: by Numba on the CPU, by torch elsewhere, equal in their bits
    """

    seed: int
    draw: int = 0
    chains: tuple[int, ...] = (0,)
    device: torch.device = torch.device("cpu")

    def __post_init__(self) -> None:
        if type(self.seed) is not int or not 0 <= self.seed < 2**64:
            raise EngineError(f"a seed is a whole number from 0 to 2^64 - 1, got {self.seed!r}")

    def at(self, draw: int) -> "Key":
        other = copy.copy(self)  # with the chains' numbers, where they are an array already
        object.__setattr__(other, "draw", draw)
        return other

    def uniform(self, stream: int, shape: Sequence[int], start: int = 0) -> Tensor:
        """(chains, ...) float64 in [0, 1): numbers start, start + 1, ... of a stream, for each chain."""
        return self._numbers(False, stream, shape, start)

    def normal(self, stream: int, shape: Sequence[int], start: int = 0) -> Tensor:
        """(chains, ...) float64, standard normal."""
        return self._numbers(True, stream, shape, start)

    def gumbel(self, stream: int, shape: Sequence[int], start: int = 0) -> Tensor:
        """(chains, ...) float64, standard Gumbel; from uniforms that are neither 0 nor 1."""
        inside = ((self.uniform(stream, shape, start) * 2.0**52).floor() + 0.5) * 2.0**-52
        return -(-inside.log()).log()

    def permutation(self, stream: int, count: int) -> Tensor:
        """(count,) int64: the numbers 0..count-1 in random order, the same for all chains."""
        return self._first().uniform(stream, (1, count))[0].argsort(stable=True)

    def generator(self, stream: int) -> torch.Generator:
        """A generator of torch seeded from here, for laws that have no sampler of their own (gamma, Poisson)."""
        a, b, _, _ = philox_torch(self.seed, torch.tensor(0), stream, self.draw, torch.tensor(self.chains[0]))
        return torch.Generator(self.device).manual_seed((int(a) << 32 | int(b)) >> 1)

    @cached_property
    def _chains(self) -> Tensor:
        return torch.tensor(self.chains, dtype=torch.int64)

    def _first(self) -> "Key":
        return replace(self, chains=(0,))

    def _numbers(self, gaussian: bool, stream: int, shape: Sequence[int], start: int) -> Tensor:
        shape = tuple(shape)
        count = math.prod(shape[1:])
        if self.device.type == "cpu":
            begin, rows = start >> 1, len(self.chains)
            pairs = ((start + count + 1) >> 1) - begin
            out = torch.empty(2 * (rows * pairs + VECTOR + TILE), dtype=torch.float64)
            _fill(out.data_ptr(), begin, pairs, self._chains.data_ptr(), rows, gaussian, self.seed, stream, self.draw)
            return out.as_strided((rows, count), (2 * pairs, 1), start & 1).reshape(shape)
        i = torch.arange(start, start + count, device=self.device)[None]
        chains = torch.tensor(self.chains, device=self.device)[:, None]
        a, b, c, d = philox_torch(self.seed, i >> 1, stream, self.draw, chains)
        first, second = ((a << 21) | (b >> 11)).double() * ULP, ((c << 21) | (d >> 11)).double() * ULP
        odd = (i & 1).bool()
        if not gaussian:
            return torch.where(odd, second, first).reshape(shape)
        angle = 2.0 * math.pi * second
        return ((-2.0 * (1.0 - first).log()).sqrt() * torch.where(odd, angle.sin(), angle.cos())).reshape(shape)
