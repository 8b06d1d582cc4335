"""Blocks of draws: the compiled generators of several chains, run against machine code in threads, or against one batched density.

A block works on copies of State and Tuning, so that it is all or nothing. No chain touches another's memory, and the key
names the draw: draws depend neither on threads, nor on other chains, nor on where blocks end.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..keys import Key
from ..targets import LogDensity
from ._metric import Metric
from ._normals import SPILL
from ._trajectory import AVERAGE, DRAWS, ERROR, FLOAT, HEAD, HERE, JOB, LP, MADE, POSITION, SLOPE, STEP, TARGET, VALUE

__all__ = ["Averaging", "Drawn", "Sampler", "State", "Workshop", "evaluate"]

DONE = object()
COUNTS, TRUTHS = ("n_steps", "tree_depth"), ("diverging",)  # stats that are no reals


class State(NamedTuple):
    """Of each chain, in double."""

    position: Tensor  # (chains, dim), unconstrained
    log_density: Tensor  # (chains,), nats, up to a constant
    gradient: Tensor  # (chains, dim)


class Averaging(NamedTuple):
    """Dual averaging of the log step size, (chains,) each; `target` is what it is drawn towards."""

    target: Tensor
    error: Tensor
    average: Tensor
    draws: Tensor


class Sampler(NamedTuple):
    """An algorithm, compiled.

    chain      (job, *settings) -> generator of one chain's block
    run        (job, *settings): the same on machine code
    stats      what it notes of each draw
    rows       of memory that a chain needs
    """

    chain: Callable[..., Any]
    run: Callable[..., None]
    stats: tuple[str, ...]
    rows: int
    settings: tuple[float, ...]


class Drawn(NamedTuple):
    """What a block made."""

    state: State
    step_size: Tensor  # (chains,)
    averaging: Averaging
    positions: Tensor  # (chains, made, dim)
    gradients: Tensor  # the same while adapting, else (chains, 0, dim)
    stats: dict[str, Tensor]  # (chains, made)


def evaluate(density: LogDensity, position: Tensor) -> tuple[Tensor, Tensor]:
    """Value and gradient in double on the CPU, at positions that are."""
    value, gradient = density.value_and_grad(position.to(density.device, density.dtype))
    return value.to("cpu", torch.float64), gradient.to("cpu", torch.float64)


class Workshop:
    """Where the chains of one run make their draws.

    flag      int64, (1,): chains stop at their next draw where it is set
    threads   at most, for machine code; None is as many as there are processors
    """

    def __init__(self, density: LogDensity, sampler: Sampler, flag: NDArray[np.int64], threads: int | None = None):
        self.density, self.sampler, self.flag = density, sampler, flag
        self.own = np.zeros(1, np.int64)  # a flag for chains that catch up
        self.benches: list[_Bench] = []
        if density.native is not None:
            self.pool = ThreadPoolExecutor(threads or processors(), "chain")

    def draw(self, state: State, step_size: Tensor, averaging: Averaging, metric: Metric, key: Key, count: int, aim: float) -> Drawn:
        """A block of `count` draws, or fewer where the flag is set; `aim`: acceptance rate to adapt the step size to, or 0."""
        chains, dim = state.position.shape
        memory = np.zeros((chains, HEAD + self.sampler.rows * dim + SPILL))
        _fill(memory, state, step_size, averaging)
        positions, stats = np.empty((chains, count, dim)), np.empty((chains, count, len(self.sampler.stats)))
        gradients = np.empty((chains, count if aim else 0, dim))
        owners = {"memory": memory, "draws": positions, "gradients": gradients, "stats": stats}
        owners |= {name: field.contiguous().numpy() for name, field in metric._asdict().items()}
        jobs = np.zeros(chains, JOB)
        for name, array in owners.items():
            jobs[name] = array.ctypes.data + np.arange(chains) * array[0].nbytes
        jobs["dim"], jobs["columns"], jobs["count"], jobs["aim"] = dim, stats.shape[2], count, aim
        jobs["rank"], jobs["triangular"] = metric.values.shape[1], metric.triangle.shape[1]
        jobs["seed"], jobs["chain"], jobs["first"] = key.seed, key.chains, key.draw
        jobs["stop"] = self.flag.ctypes.data
        before = self.density.evaluations
        made = self._made(jobs, memory, owners)
        named = {name: _typed(name, stats[:, :made, j]) for j, name in enumerate(self.sampler.stats)}
        self.density.evaluations = before + int(named["n_steps"].sum())  # not those of chains that were carried along
        tensors = (torch.from_numpy(x[:, :made]) for x in (positions, gradients))
        return Drawn(*_read(memory, dim), *tensors, named)

    def _made(self, jobs: NDArray[np.void], memory: NDArray[np.float64], owners: Any) -> int:
        """How many draws every chain made: where they were told to stop, those behind catch up with the first."""
        run = self._batched if self.density.native is None else self._native
        everyone = list(range(len(jobs)))
        run(jobs, everyone, memory, owners)
        done = memory[:, MADE].astype(np.int64)
        most = int(done.max())
        if (done < most).any():
            jobs["first"] += done
            jobs["count"] = most - done
            for name in ("draws", "gradients"):
                jobs[name] += FLOAT * done * jobs["dim"]
            jobs["stats"] += FLOAT * done * jobs["columns"]
            jobs["stop"] = self.own.ctypes.data
            run(jobs, [i for i in everyone if done[i] < most], memory, owners)
        return most

    def _native(self, jobs: NDArray[np.void], chains: Sequence[int], memory: NDArray[np.float64], owners: Any) -> None:
        """On machine code, in threads. The main thread only waits, so that it hears Ctrl-C."""
        while len(self.benches) < len(jobs):
            self.benches.append(_Bench(self.density))
        for job, bench in zip(jobs, self.benches, strict=False):
            bench.furnish(job)

        def work(i: int, *alive: Any) -> None:  # while a thread runs, what it writes to is alive
            self.sampler.run(jobs[i], *self.sampler.settings)

        try:
            for future in [self.pool.submit(work, i, owners) for i in chains]:
                future.result()
        except BaseException:
            self.flag[0] = self.own[0] = 1
            raise

    def _batched(self, jobs: NDArray[np.void], chains: Sequence[int], memory: NDArray[np.float64], owners: Any) -> None:
        """By one call for all chains a round, as each goes from gradient to gradient; those that are done are carried along,
        since a density is compiled for a number of chains. Eagerly, where it is not, they are left out."""
        dim, numbers = self.density.dim, torch.from_numpy(memory)
        positions = _row(numbers, POSITION, dim)
        going = {i: self.sampler.chain(jobs[i], *self.sampler.settings) for i in chains}
        going = {i: chain for i, chain in going.items() if next(chain, DONE) is not DONE}
        while going:
            rows = list(going) if self.density.lowering.name == "eager" else list(range(len(memory)))
            value, gradient = evaluate(self.density, positions[rows])
            numbers[rows, VALUE : HEAD + dim] = torch.cat([value[:, None], gradient], 1)
            going = {i: chain for i, chain in going.items() if next(chain, DONE) is not DONE}


class _Bench:
    """Machine code with memory of its own to work in, for one chain."""

    def __init__(self, density: LogDensity):
        self.kernel = density.native
        self.w, self.m = self.kernel.workspace()
        self.single = np.zeros(2 * density.dim + 1 if density.dtype == torch.float32 else 0, np.float32)

    def furnish(self, job: np.void) -> None:
        job["code"] = self.kernel.address
        job["n"], job["c"], job["k"] = self.kernel.pointers
        job["w"], job["m"] = self.w.ctypes.data, self.m.ctypes.data
        job["single"] = self.single.ctypes.data if len(self.single) else 0


def processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _fill(memory: NDArray[np.float64], state: State, step_size: Tensor, averaging: Averaging) -> None:
    numbers, dim = torch.from_numpy(memory), state.position.shape[1]
    numbers[:, STEP], numbers[:, LP] = step_size, state.log_density
    for place, field in zip((TARGET, ERROR, AVERAGE, DRAWS), averaging, strict=True):
        numbers[:, place] = field
    _row(numbers, HERE, dim)[:] = state.position
    _row(numbers, SLOPE, dim)[:] = state.gradient


def _read(memory: NDArray[np.float64], dim: int) -> tuple[State, Tensor, Averaging]:
    numbers = torch.from_numpy(memory)
    state = State(_row(numbers, HERE, dim).clone(), numbers[:, LP].clone(), _row(numbers, SLOPE, dim).clone())
    averaging = Averaging(*(numbers[:, place].clone() for place in (TARGET, ERROR, AVERAGE, DRAWS)))
    return state, numbers[:, STEP].clone(), averaging


def _row(numbers: Tensor, i: int, dim: int) -> Tensor:
    return numbers[:, HEAD + i * dim :][:, :dim]


def _typed(name: str, column: NDArray[np.float64]) -> Tensor:
    kind = np.int64 if name in COUNTS else np.bool_ if name in TRUTHS else np.float64
    return torch.from_numpy(column.astype(kind))
