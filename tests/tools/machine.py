"""Densities written by hand, as machine code: what samplers ask of a native density, without the compiler that makes one.

Each is C-like Python over pointers, compiled by Numba, and the same in torch.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numba import cfunc, types
from torch import Tensor

from ppgen.lowering import Lowering

__all__ = ["EFFECT", "ERROR", "HandWritten", "curved", "eight_schools", "normal"]

EFFECT = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
ERROR = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


RECORDED = Lowering("recorded", "for the test")


class Kernel:
    """Machine code with its constants, as ppgen.native's."""

    def __init__(self, body: Callable[..., None], constants: np.ndarray, work: int, single: bool = False):
        real, whole = (types.CPointer(t) for t in (types.float32 if single else types.float64, types.int64))
        self._code = cfunc(types.void(real, whole, real, whole, real, whole, real), nopython=True, error_model="numpy")(body)
        self._kind = np.float32 if single else np.float64
        self._constants, self._work = constants.astype(self._kind), work
        self.address = self._code.address
        self.pointers = (0, self._constants.ctypes.data, 0)

    def workspace(self) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros(self._work, self._kind), np.zeros(0, np.int64)


@dataclass
class HandWritten:
    """A density as samplers see it. `native` None: what is not machine code, all points in one call."""

    dim: int
    batched: Callable[[Tensor], tuple[Tensor, Tensor]]
    native: Kernel | None = None
    dtype: torch.dtype = torch.float64
    device: torch.device = torch.device("cpu")
    lowering: Lowering = RECORDED
    seconds: dict[str, float] = field(default_factory=lambda: {"record": 0.0, "compile": 0.0})
    evaluations: int = 0
    fingerprint: str = "written by hand"

    def value_and_grad(self, position: Tensor) -> tuple[Tensor, Tensor]:
        self.evaluations += len(position)
        return self.batched(position)

    def initial(self, key: Any, at: Any = None) -> Tensor:
        return key.uniform(16, (len(key.chains), self.dim)).to(self.dtype) * 4 - 2


def normal(scales: np.ndarray, native: bool, dtype: torch.dtype = torch.float64) -> HandWritten:
    """x_i ~ Normal(0, scales_i)."""
    dim = len(scales)

    def body(x, n, c, k, w, m, out):  # type: ignore[no-untyped-def]
        total = 0.0
        for i in range(dim):
            out[i + 1] = -x[i] * c[i]
            total -= 0.5 * x[i] * x[i] * c[i]
        out[0] = total

    precision = torch.from_numpy(scales**-2.0).to(dtype)

    def batched(x: Tensor) -> tuple[Tensor, Tensor]:
        return -0.5 * (x.square() * precision).sum(-1), -x * precision

    return HandWritten(dim, batched, Kernel(body, scales**-2.0, 0, dtype == torch.float32) if native else None, dtype)


def eight_schools(native: bool) -> HandWritten:
    """mu ~ Normal(0, 5), exp(t) ~ HalfCauchy(5), e_j ~ Normal(0, 1), y_j ~ Normal(mu + exp(t) e_j, s_j)."""

    def body(x, n, c, k, w, m, out):  # type: ignore[no-untyped-def]
        mu, tau = x[0], math.exp(x[1])
        ratio = tau * tau / 25.0
        total = -0.5 * mu * mu / 25.0 - math.log1p(ratio) + x[1]
        by_mu, by_t = -mu / 25.0, 1.0 - 2.0 * ratio / (1.0 + ratio)
        for j in range(8):
            z = (c[j] - mu - tau * x[j + 2]) / c[j + 8]
            total -= 0.5 * (z * z + x[j + 2] * x[j + 2])
            by_mu += z / c[j + 8]
            by_t += z / c[j + 8] * tau * x[j + 2]
            out[j + 3] = z / c[j + 8] * tau - x[j + 2]
        out[0], out[1], out[2] = total, by_mu, by_t

    y, s = torch.from_numpy(EFFECT), torch.from_numpy(ERROR)

    def batched(x: Tensor) -> tuple[Tensor, Tensor]:
        mu, tau, e = x[:, 0], x[:, 1].exp(), x[:, 2:]
        z = (y - mu[:, None] - tau[:, None] * e) / s
        ratio = tau**2 / 25
        value = -0.5 * mu**2 / 25 - ratio.log1p() + x[:, 1] - 0.5 * (z**2 + e**2).sum(1)
        by_t = 1 - 2 * ratio / (1 + ratio) + (z / s * e).sum(1) * tau
        return value, torch.cat([(-mu / 25 + (z / s).sum(1))[:, None], by_t[:, None], z / s * tau[:, None] - e], 1)

    return HandWritten(10, batched, Kernel(body, np.concatenate([EFFECT, ERROR]), 0) if native else None)


def curved(native: bool) -> HandWritten:
    """x ~ Normal(0, 30), y | x ~ Normal(0.01 x^2, 1), exp(z) ~ Gamma(3, 1); nan where x is above 500."""

    def body(x, n, c, k, w, m, out):  # type: ignore[no-untyped-def]
        rest, z = x[1] - 0.01 * x[0] * x[0], math.exp(x[2])
        out[0] = -0.5 * (x[0] / 30) ** 2 - 0.5 * rest**2 + 3 * x[2] - z if x[0] < 500 else math.nan
        out[1], out[2], out[3] = -x[0] / 900 + 0.02 * rest * x[0], -rest, 3 - z

    def batched(position: Tensor) -> tuple[Tensor, Tensor]:
        x, y, z = position.unbind(1)
        rest = y - 0.01 * x * x
        value = -0.5 * (x / 30) ** 2 - 0.5 * rest**2 + 3 * z - z.exp()
        return torch.where(x < 500, value, math.nan), torch.stack([-x / 900 + 0.02 * rest * x, -rest, 3 - z.exp()], 1)

    return HandWritten(3, batched, Kernel(body, np.zeros(0), 0) if native else None)
