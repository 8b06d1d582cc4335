"""Philox4x32-10: random numbers that are a function of a key and a counter, by Numba and by torch.

Source: Salmon, Moraes, Dror & Shaw, Parallel random numbers: as easy as 1, 2, 3, SC'11.
"""

import torch
from numba import float64, int64, njit, uint64
from torch import Tensor

__all__ = ["ULP", "inlined_philox", "philox", "philox_torch", "uniform", "unit"]

M0, M1, W0, W1 = 0xD2511F53, 0xCD9E8D57, 0x9E3779B9, 0xBB67AE85
LOW = 0xFFFFFFFF
ULP = 2.0**-53


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


inlined_philox = njit(inline="always")(philox.py_func)  # as a call, it would keep a loop from becoming one of vectors


@njit(cache=True, nogil=True)
def unit(high, low):  # type: ignore[no-untyped-def]
    return float64(int64((high << uint64(21)) | (low >> uint64(11)))) * ULP


@njit(cache=True, nogil=True)
def uniform(seed, stream, draw, chain, i):  # type: ignore[no-untyped-def]
    """Number i of a stream, in [0, 1)."""
    a, b, c, d = philox(seed, i >> 1, stream, draw, chain)
    return unit(c, d) if i & 1 else unit(a, b)


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
