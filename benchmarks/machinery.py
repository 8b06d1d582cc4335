"""Timing of machine code, ppgen's and C's, by one loop in C. Needs gcc, or the compiler that CC names."""

import ctypes
import os
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

import ppgen
from ppgen.native.kernel import BoundKernel

__all__ = ["COMPILER", "FLAGS", "Hand", "evaluate", "nanoseconds", "native"]

HERE = Path(__file__).parent / "c"
COMPILER = os.environ.get("CC", "gcc")
FLAGS = ("-O3", "-march=native", "-ffast-math", "-shared", "-fPIC")
LEAST = 0.002  # seconds that a measurement lasts: less than a turn of the scheduler, so that some of the rounds are not interrupted
ROUNDS = 25  # of which the fastest counts: what disturbs only ever slows down


@cache
def library() -> Any:
    """All of c/ as one shared object."""
    folder = Path(tempfile.mkdtemp(prefix="benchmark-c-"))
    out, sources = folder / "densities.so", sorted(map(str, HERE.glob("*.c")))
    subprocess.run([COMPILER, *FLAGS, "-o", str(out), *sources, "-lmvec", "-lm"], check=True)  # noqa: S603
    loaded = ctypes.CDLL(str(out))
    loaded.spin.restype = ctypes.c_double
    return loaded


class Hand:
    """A density of c/, with its data."""

    def __init__(self, name: str, data: np.ndarray):
        self.address = ctypes.cast(getattr(library(), name), ctypes.c_void_p).value or 0
        self.data = aligned(data.size)
        self.data[:] = data
        self.pointers = (0, self.data.ctypes.data, 0)

    def workspace(self) -> tuple[np.ndarray, np.ndarray]:
        return np.empty(0), np.empty(0, np.int64)


def aligned(size: int) -> np.ndarray:
    """Doubles that begin at a cache line."""
    memory = np.empty(size + 8)
    start = -(memory.ctypes.data // 8) % 8
    return memory[start : start + size]


def native(model: Callable[..., Any], data: dict[str, torch.Tensor]) -> tuple[BoundKernel, ppgen.LogDensity]:
    density = ppgen.LogDensity(ppgen.Program(model, **data), lowering="native")
    if density.native is None:
        raise RuntimeError(density.lowering.reason)
    return density.native, density


def evaluate(code: BoundKernel | Hand, position: np.ndarray) -> tuple[float, np.ndarray]:
    """Value and gradient."""
    x, out = aligned(position.size), aligned(position.size + 1)
    x[:] = position
    _spin(code, 1, x, out)
    return float(out[0]), out[1:].copy()


def nanoseconds(code: BoundKernel | Hand, position: np.ndarray) -> float:
    """Of one gradient, one thread."""
    x, out = aligned(position.size), aligned(position.size + 1)
    x[:] = position
    times = 1
    while (took := _spin(code, times, x, out)) * times < LEAST * 1e9:
        times = max(2 * times, int(LEAST * 1e9 / max(took, 1.0)))
    return min(_spin(code, times, x, out) for _ in range(ROUNDS))


def _spin(code: BoundKernel | Hand, times: int, x: np.ndarray, out: np.ndarray) -> float:
    w, m = code.workspace()
    pointers: Sequence[int] = (x.ctypes.data, *code.pointers, w.ctypes.data, m.ctypes.data, out.ctypes.data)
    return float(library().spin(ctypes.c_void_p(code.address), ctypes.c_int64(times), *map(ctypes.c_void_p, pointers)))
