"""Random numbers without hidden state: Philox4x32-10, key = seed, counter = (block, stream, draw, chain).

Number i of a stream stands in block i // 2: in words 0 and 1 where i is even, in words 2 and 3 where it is odd. So any number
can be had alone, in any order, by any thread, and chain 0's numbers do not depend on how many chains there are. A uniform
is 53 bits of two words; a normal is one half of a Box-Muller pair.

Source: Salmon, Moraes, Dror & Shaw, Parallel random numbers: as easy as 1, 2, 3, SC'11.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numba import float64, int64, njit, uint64
from torch import Tensor

from .errors import EngineError
from .native import calling
from .native.calling import doubles, integers
from .native.entry import entry

__all__ = ["BATCHES", "DRAW_BACK", "NOISE", "PREDICT", "ROWS", "START", "Key", "nth", "philox", "philox_torch"]

# A stream for each purpose. Those below 16 belong to the engines, each of which numbers its own.
START, DRAW_BACK, NOISE, ROWS, PREDICT, BATCHES = range(16, 22)
MANY = 1024  # purposes at most, of which `nth` makes as many streams as are needed

M0, M1, W0, W1 = 0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85
LOW = 0xFFFFFFFF
ULP = 2.0**-53


def nth(stream: int, i: int) -> int:
    """The i-th stream of one purpose: one for each site, say."""
    return stream + MANY * i


@njit(cache=True, nogil=True)
def philox(seed, block, stream, draw, chain):  # type: ignore[no-untyped-def]
    """Four 32-bit words, each in a uint64. Every operand is cast: uint64 with int64 would silently become float64."""
    a, b, c, d = uint64(block) & uint64(LOW), uint64(stream) & uint64(LOW), uint64(draw) & uint64(LOW), uint64(chain) & uint64(LOW)
    k0, k1 = uint64(seed) & uint64(LOW), uint64(seed) >> uint64(32)
    for _ in range(10):
        x, y = uint64(M0) * a, uint64(M1) * c
        a, b, c, d = (y >> uint64(32)) ^ b ^ k0, y & uint64(LOW), (x >> uint64(32)) ^ d ^ k1, x & uint64(LOW)
        k0, k1 = (k0 + uint64(W0)) & uint64(LOW), (k1 + uint64(W1)) & uint64(LOW)
    return a, b, c, d


@njit(cache=True, nogil=True)
def _unit(high, low):  # type: ignore[no-untyped-def]
    return float64(int64((high << uint64(21)) | (low >> uint64(11)))) * ULP


@njit(cache=True, nogil=True)
def uniform(seed, stream, draw, chain, i):  # type: ignore[no-untyped-def]
    """Number i of a stream, in [0, 1)."""
    a, b, c, d = philox(seed, i >> 1, stream, draw, chain)
    return _unit(c, d) if i & 1 else _unit(a, b)


@njit(cache=True, nogil=True)
def normal(seed, stream, draw, chain, i):  # type: ignore[no-untyped-def]
    """Standard normal number i of a stream."""
    a, b, c, d = philox(seed, i >> 1, stream, draw, chain)
    radius, angle = math.sqrt(-2.0 * math.log(1.0 - _unit(a, b))), 2.0 * math.pi * _unit(c, d)
    return radius * (math.sin(angle) if i & 1 else math.cos(angle))


@entry(*[int] * 9, sources=(calling,))
def _fill(out, rows, columns, gaussian, seed, stream, draw, chains, start):  # type: ignore[no-untyped-def]
    """out (rows, columns), float64, and chains (rows,), int64, by their addresses."""
    numbers, chain = doubles(out), integers(chains)
    for j in range(rows):
        for i in range(columns):
            if gaussian != 0:
                numbers[j * columns + i] = normal(uint64(seed), stream, draw, chain[j], start + i)
            else:
                numbers[j * columns + i] = uniform(uint64(seed), stream, draw, chain[j], start + i)


def philox_torch(seed: int, block: Tensor, stream: int, draw: int, chain: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The same words by torch, for other devices. int64 products wrap, which leaves the 64 bits right; the mask undoes the
    sign that >> carries along."""
    block, chain = torch.broadcast_tensors(block, chain)
    a, b, c, d = block, torch.full_like(block, stream), torch.full_like(block, draw), chain
    k0, k1 = seed & LOW, seed >> 32
    for _ in range(10):
        x, y = a * M0, c * M1
        a, b, c, d = ((y >> 32) & LOW) ^ b ^ k0, y & LOW, ((x >> 32) & LOW) ^ d ^ k1, x & LOW
        k0, k1 = (k0 + W0) & LOW, (k1 + W1) & LOW
    return a, b, c, d


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
        return replace(self, draw=draw)

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

    def _first(self) -> "Key":
        return replace(self, chains=(0,))

    def _numbers(self, gaussian: bool, stream: int, shape: Sequence[int], start: int) -> Tensor:
        shape = tuple(shape)
        count = math.prod(shape[1:])
        if self.device.type == "cpu":
            out, rows = np.empty((len(self.chains), count)), np.array(self.chains, np.int64)
            _fill(out.ctypes.data, *out.shape, gaussian, self.seed, stream, self.draw, rows.ctypes.data, start)
            return torch.from_numpy(out).reshape(shape)
        i = torch.arange(start, start + count, device=self.device)[None]
        chains = torch.tensor(self.chains, device=self.device)[:, None]
        a, b, c, d = philox_torch(self.seed, i >> 1, stream, self.draw, chains)
        first, second = ((a << 21) | (b >> 11)).double() * ULP, ((c << 21) | (d >> 11)).double() * ULP
        odd = (i & 1).bool()
        if not gaussian:
            return torch.where(odd, second, first).reshape(shape)
        angle = 2.0 * math.pi * second
        return ((-2.0 * (1.0 - first).log()).sqrt() * torch.where(odd, angle.sin(), angle.cos())).reshape(shape)
