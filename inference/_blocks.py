"""Blocks of draws: the compiled generators of several chains, run against machine code in threads, or against one batched density.

A block works on copies of State and Tuning, so that it is all or nothing. No chain touches another's memory, and the key
names the draw: draws depend neither on threads, nor on other chains, nor on where blocks end.
"""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..keys import Key
from ..native.entry import Entry
from ..normals import SPILL
from ..targets import LogDensity
from ._metric import Metric
from ._trajectory import AVERAGE, DRAWS, ERROR, FLOAT, HEAD, HERE, JOB, LP, MADE, POSITION, SLOPE, STEP, TARGET, VALUE

if TYPE_CHECKING:
    from ..native.kernel import BoundKernel

__all__ = ["GAMMA", "Averaging", "Drawn", "Sampler", "State", "Workshop", "evaluate"]

DONE = object()
GAMMA = 0.05  # of dual averaging
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
    run        (address of a job, *settings): the same on machine code
    stats      what it notes of each draw
    rows       of memory that a chain needs
    """

    chain: Callable[..., Any]
    run: Entry
    stats: tuple[str, ...]
    rows: int
    settings: tuple[float, ...]

    def compile(self, native: bool) -> None:
        """Compile what runs it, or load it from disk."""
        if native:
            self.run.load()
        else:
            next(self.chain(np.zeros(1, JOB)[0], *self.settings), None)


class Drawn(NamedTuple):
    """What a block made."""

    state: State
    step_size: Tensor  # (chains,)
    averaging: Averaging
    positions: Tensor  # (chains, made, dim)
    gradients: Tensor  # the same while adapting, else (chains, 0, dim)
    stats: dict[str, Tensor]  # (chains, made)
    others: Mapping[str, Tensor] = {}  # (chains, made, ...): draws of other things than positions


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
        self.kernel = density.native
        self.pool = ThreadPoolExecutor(threads or processors(), "chain")  # its threads start when they are needed, and end with it
        self.benches: list[_Bench] = []

    def compile(self) -> None:
        self.sampler.compile(self.kernel is not None)

    def draw(
        self,
        state: State,
        step_size: Tensor,
        averaging: Averaging,
        metric: Metric,
        key: Key,
        count: int,
        aim: float = 0.0,
        gamma: float = GAMMA,
    ) -> Drawn:
        """A block of `count` draws, or fewer where the flag is set; `aim`: acceptance rate to adapt the step size to, or 0;
        `gamma`: of dual averaging."""
        work = _Work(self.sampler, metric, key, count, aim, gamma)
        work.fill(state, step_size, averaging)
        work.jobs["stop"] = self.flag.ctypes.data
        before, everyone = self.density.evaluations, list(range(len(key.chains)))
        self._run(work, everyone)
        done = work.memory[:, MADE].astype(np.int64)
        made = int(done.max())
        if (done < made).any():  # told to stop: those behind catch up with the first
            work.go_on(done, made)
            work.jobs["stop"] = self.own.ctypes.data
            self._run(work, [i for i in everyone if done[i] < made])
        drawn = work.read(made)
        self.density.evaluations = before + int(drawn.stats["n_steps"].sum())  # not those of chains that were carried along
        return drawn

    def _run(self, work: "_Work", chains: list[int]) -> None:
        if self.kernel is None:
            self._batched(work, chains)
        else:
            self._native(self.kernel, work, chains)

    def _native(self, kernel: "BoundKernel", work: "_Work", chains: list[int]) -> None:
        """On machine code, in threads. The main thread only waits, so that it hears Ctrl-C."""
        while len(self.benches) < len(work.jobs):
            self.benches.append(_Bench(kernel, self.density.dim, self.density.dtype))
        for i in chains:
            self.benches[i].furnish(work.jobs[i])

        def one(i: int) -> None:  # it holds `work`: as long as a thread runs, what it writes to is alive
            self.call(work, i)

        try:
            for future in [self.pool.submit(one, i) for i in chains]:
                future.result()
        except BaseException:
            self.flag[0] = self.own[0] = 1
            raise

    def call(self, work: "_Work", i: int) -> None:
        self.sampler.run(work.jobs.ctypes.data + i * JOB.itemsize, *self.sampler.settings)

    def _batched(self, work: "_Work", chains: list[int]) -> None:
        """By one call for all chains a round, as each goes from gradient to gradient; those that are done are carried along,
        since a density is compiled for a number of chains. Eagerly, where it is not, they are left out."""
        eager, numbers = self.density.lowering.name == "eager", torch.from_numpy(work.memory)
        positions, answers = _row(numbers, POSITION, work.dim), numbers[:, VALUE : HEAD + work.dim]
        going = {i: self.sampler.chain(work.jobs[i], *self.sampler.settings) for i in chains}
        going = {i: chain for i, chain in going.items() if next(chain, DONE) is not DONE}
        while going:
            rows = list(going) if eager else slice(None)
            value, gradient = evaluate(self.density, positions[rows].clone())
            answers[rows] = torch.cat([value[:, None], gradient], 1)
            going = {i: chain for i, chain in going.items() if next(chain, DONE) is not DONE}


class _Work:
    """The memory of a block: a job for each chain, and what the jobs point to."""

    def __init__(self, sampler: Sampler, metric: Metric, key: Key, count: int, aim: float, gamma: float):
        (chains, self.dim), self.names = metric.scale.shape, sampler.stats
        self.memory = np.zeros((chains, HEAD + sampler.rows * self.dim + SPILL))
        self.draws, self.stats = np.empty((chains, count, self.dim)), np.empty((chains, count, len(sampler.stats)))
        self.gradients = np.empty((chains, count if aim else 0, self.dim))
        self.metric = {name: field.contiguous().numpy() for name, field in metric._asdict().items()}
        self.jobs = jobs = np.zeros(chains, JOB)
        pointed = {"memory": self.memory, "draws": self.draws, "gradients": self.gradients, "stats": self.stats, **self.metric}
        for name, array in pointed.items():
            jobs[name] = array.ctypes.data + np.arange(chains) * array[0].nbytes
        jobs["dim"], jobs["columns"], jobs["count"] = self.dim, len(sampler.stats), count
        jobs["aim"], jobs["gamma"] = aim, gamma
        jobs["rank"], jobs["triangular"] = metric.values.shape[1], metric.triangle.shape[1]
        jobs["seed"], jobs["chain"], jobs["first"] = key.seed, key.chains, key.draw

    def fill(self, state: State, step_size: Tensor, averaging: Averaging) -> None:
        numbers = torch.from_numpy(self.memory)
        numbers[:, STEP], numbers[:, LP] = step_size, state.log_density
        for place, field in zip((TARGET, ERROR, AVERAGE, DRAWS), averaging, strict=True):
            numbers[:, place] = field
        _row(numbers, HERE, self.dim)[:] = state.position
        _row(numbers, SLOPE, self.dim)[:] = state.gradient

    def go_on(self, done: NDArray[np.int64], count: int) -> None:
        """The jobs become those of the draws after the first `done` of each chain, up to `count`."""
        self.jobs["first"] += done
        self.jobs["count"] = count - done
        for name, width in (("draws", self.dim), ("gradients", self.dim), ("stats", len(self.names))):
            self.jobs[name] += FLOAT * width * done

    def read(self, made: int) -> Drawn:
        numbers = torch.from_numpy(self.memory)
        state = State(_row(numbers, HERE, self.dim).clone(), numbers[:, LP].clone(), _row(numbers, SLOPE, self.dim).clone())
        averaging = Averaging(*(numbers[:, place].clone() for place in (TARGET, ERROR, AVERAGE, DRAWS)))
        positions, gradients = (torch.from_numpy(x[:, :made]) for x in (self.draws, self.gradients))
        stats = {name: _typed(name, self.stats[:, :made, i]) for i, name in enumerate(self.names)}
        return Drawn(state, numbers[:, STEP].clone(), averaging, positions, gradients, stats)


class _Bench:
    """Memory for machine code to work in, of one chain at a time."""

    def __init__(self, kernel: "BoundKernel", dim: int, dtype: torch.dtype):
        self.kernel, (self.w, self.m) = kernel, kernel.workspace()
        self.single = np.zeros(2 * dim + 1 if dtype == torch.float32 else 0, np.float32)

    def furnish(self, job: Any) -> None:
        job["code"] = self.kernel.address
        job["n"], job["c"], job["k"] = self.kernel.pointers
        job["w"], job["m"] = self.w.ctypes.data, self.m.ctypes.data
        job["single"] = self.single.ctypes.data if len(self.single) else 0


def processors() -> int:
    """Those that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _row(numbers: Tensor, i: int, dim: int) -> Tensor:
    return numbers[:, HEAD + i * dim :][:, :dim]


def _typed(name: str, column: NDArray[np.float64]) -> Tensor:
    kind = np.int64 if name in COUNTS else np.bool_ if name in TRUTHS else np.float64
    return torch.from_numpy(column.astype(kind))
