"""Steps of Langevin's equations: one chain after the other on machine code, or many chains at once by torch.

In coordinates that a diagonal metric whitens, M^-1 = diag(scale^2):

    overdamped    q += h scale^2 g(q) + sqrt(2 h) scale n
    underdamped   p += h/2 scale g(q);  q += h/2 scale p;  p = a p + sqrt(1 - a^2) n;  q += h/2 scale p;  p += h/2 scale g(q)

with n ~ Normal(0, I) and a = exp(-friction h): each takes one gradient. A step to where the density or its gradient is no number is not
taken, and a momentum turns back; it is counted as diverging. Both ways take the same numbers from a key: step s of a draw has those
from s dim on, of which a stream holds as many as `chunk` says.
"""

import math
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numba import njit
from torch import Tensor

from .. import normals as _normals
from .. import philox
from ..keys import MANY, Key, nth
from ..native import calling
from ..native.calling import HOW, call, doubles, floats, integers, record
from ..native.entry import entry
from ..normals import SPILL, normals

if TYPE_CHECKING:
    from ..native.kernel import BoundKernel

__all__ = ["Field", "Law", "State", "Walked", "native_walk", "torch_walk"]

NOISE = 5  # stream of the key
FLOAT = 8  # bytes
TOGETHER = 256  # random numbers that one stream holds, or those of one step

Field = Callable[[Tensor, int], tuple[Tensor, Tensor]]  # position (chains, *event), step -> log density (chains,), its gradient


class State(NamedTuple):
    """Of each chain."""

    position: Tensor  # (chains, *event)
    log_density: Tensor  # (chains,), nats, up to a constant
    gradient: Tensor  # (chains, *event)
    momentum: Tensor  # the same, in whitened coordinates; overdamped steps leave it alone


class Law(NamedTuple):
    """What a step is.

    friction    of underdamped steps, over the unit of time; None: the steps are overdamped
    step_size   (chains,); scale: (chains, *event)
    decay       draw t after the first has step_size (1 + t - first)^-decay
    """

    friction: float | None
    step_size: Tensor
    scale: Tensor
    decay: float = 0.0
    first: int = 0

    def size(self, draw: int) -> Tensor:
        """(chains,): of the steps of a draw."""
        return self.step_size * (1.0 + max(draw - self.first, 0)) ** -self.decay


class Walked(NamedTuple):
    state: State
    positions: Tensor  # (chains, draws, *event)
    log_densities: Tensor  # (chains, draws)
    diverging: Tensor  # (chains, draws), whether a step was not taken


def chunk(dim: int, steps: int) -> int:
    """How many steps one stream has the numbers of."""
    return max(1, min(steps, TOGETHER // max(dim, 1)))


# By torch


def torch_walk(field: Field, state: State, law: Law, key: Key, draws: int, steps: int) -> Walked:
    """Draws of `steps` steps each, from where field(position, step) gave the state's value and gradient; the key's draw is the first.
    Steps are counted from draw 0 on."""
    positions, values, stuck = [], [], []
    for draw in range(key.draw, key.draw + draws):
        state, diverging = _drawn(field, state, law, key.at(draw), steps)
        positions.append(state.position)
        values.append(state.log_density)
        stuck.append(diverging)
    return Walked(state, torch.stack(positions, 1), torch.stack(values, 1), torch.stack(stuck, 1))


class _Step(NamedTuple):
    """One step of the law at the step size of a draw: what multiplies gradients, kept momentum and noise, each (chains, *event)."""

    drift: Tensor
    spread: Tensor
    kept: Tensor | None  # of underdamped steps

    @classmethod
    def of(cls, law: Law, draw: int, like: Tensor) -> "_Step":
        h, scale = _wide(law.size(draw).to(like), like), law.scale
        if law.friction is None:
            return cls(h * scale.square(), (2 * h).sqrt() * scale, None)
        kept = (-law.friction * h).exp()
        return cls(0.5 * h * scale, (1 - kept.square()).sqrt(), kept)

    def __call__(self, field: Field, here: State, noise: Tensor, number: int) -> State:
        position, momentum = here.position, here.momentum
        if self.kept is None:
            position = torch.addcmul(position, self.drift, here.gradient).addcmul_(self.spread, noise)
            return State(position, *field(position, number), momentum)
        before = torch.addcmul(momentum, self.drift, here.gradient)
        after = (self.kept * before).addcmul_(self.spread, noise)
        position = torch.addcmul(position, self.drift, before + after)
        value, gradient = field(position, number)
        return State(position, value, gradient, torch.addcmul(after, self.drift, gradient))


def _drawn(field: Field, here: State, law: Law, key: Key, steps: int) -> tuple[State, Tensor]:
    chains, *event = here.position.shape
    together = chunk(math.prod(event), steps)
    step = _Step.of(law, key.draw, here.position)
    diverging = torch.zeros(chains, dtype=torch.bool, device=here.position.device)
    noise = here.position
    for s in range(steps):
        if s % together == 0:
            noise = key.normal(nth(NOISE, s // together), (chains, min(together, steps - s), *event)).to(here.position)
        there = step(field, here, noise[:, s % together], key.draw * steps + s)
        if not (there.log_density.sum() + there.gradient.sum()).isfinite():  # some chain's is not, or the sum alone is too large
            good = there.log_density.isfinite() & there.gradient.flatten(1).isfinite().all(1)
            diverging |= ~good
            back = here._replace(momentum=-here.momentum)
            there = State(*(torch.where(_wide(good, a), a, b) for a, b in zip(there, back, strict=True)))
        here = there
    return here, diverging


def _wide(chains: Tensor, like: Tensor) -> Tensor:
    """(chains,) with dimensions of size 1 for the others of `like`."""
    return chains.reshape(-1, *[1] * (like.dim() - 1))


# On machine code

WALK = np.dtype(
    [
        ("dim", "i8"), ("draws", "i8"), ("steps", "i8"), ("chunk", "i8"),
        ("underdamped", "i8"), ("friction", "f8"), ("decay", "f8"), ("first", "i8"),  # the law; its first draw
        ("seed", "u8"), ("draw", "i8"), ("chains", "i8"),  # the key; an address of whole numbers
        ("position", "i8"), ("log_density", "i8"), ("gradient", "i8"), ("momentum", "i8"),  # addresses: the state, which is written to
        ("step_size", "i8"), ("scale", "i8"),  # addresses
        ("positions", "i8"), ("log_densities", "i8"), ("diverging", "i8"),  # addresses: (chains, draws, ...)
        ("there", "i8"), ("pushed", "i8"), ("noise", "i8"), ("answer", "i8"),  # addresses: memory of one chain
        ("code", "i8"), ("n", "i8"), ("c", "i8"), ("k", "i8"), ("w", "i8"), ("m", "i8"),  # addresses: machine code, what it is given
        ("single", "i8"),  # address: dim + 1 + dim float32 to copy to and from, where the code is of single precision; else 0
    ],
    align=True,
)  # fmt: skip

job_at = record(WALK)
part = njit(**HOW)


@part
def answered(job):  # type: ignore[no-untyped-def]
    """Value and gradient at `there`, laid at `answer`; whether all are numbers."""
    there, answer, good = doubles(job.there), doubles(job.answer), True
    if job.single == 0:
        call(job.code, job.there, job.n, job.c, job.k, job.w, job.m, job.answer)
    else:
        narrow = floats(job.single)
        for i in range(job.dim):
            narrow[i] = there[i]
        call(job.code, job.single, job.n, job.c, job.k, job.w, job.m, job.single + 4 * job.dim)
        for i in range(job.dim + 1):
            answer[i] = narrow[job.dim + i]
    for i in range(job.dim + 1):
        if not -math.inf < answer[i] < math.inf:
            good = False
    return good


@part
def stepped(job, chain, h, kept, noise):  # type: ignore[no-untyped-def]
    """One step of a chain; whether it was taken."""
    row = FLOAT * chain * job.dim
    q, g, p, scale = doubles(job.position + row), doubles(job.gradient + row), doubles(job.momentum + row), doubles(job.scale + row)
    there, pushed, answer, n = doubles(job.there), doubles(job.pushed), doubles(job.answer), doubles(noise)
    if job.underdamped != 0:
        spread = math.sqrt(1.0 - kept * kept)
        for i in range(job.dim):
            before = p[i] + 0.5 * h * scale[i] * g[i]
            pushed[i] = kept * before + spread * n[i]
            there[i] = q[i] + 0.5 * h * scale[i] * (before + pushed[i])
    else:
        spread = math.sqrt(2.0 * h)
        for i in range(job.dim):
            there[i] = q[i] + h * scale[i] * scale[i] * g[i] + spread * scale[i] * n[i]
    if not answered(job):
        for i in range(job.dim):
            p[i] = -p[i]
        return False
    doubles(job.log_density)[chain] = answer[0]
    for i in range(job.dim):
        q[i], g[i] = there[i], answer[i + 1]
    if job.underdamped != 0:
        for i in range(job.dim):
            p[i] = pushed[i] + 0.5 * h * scale[i] * answer[i + 1]
    return True


@entry(int, int, int, sources=(philox, calling, _normals, sys.modules[__name__]))
def run(address, begin, end):  # type: ignore[no-untyped-def]
    """A job's chains from `begin` to `end`, one after the other."""
    job = job_at(address)
    for chain in range(begin, end):
        number = integers(job.chains)[chain]
        for d in range(job.draws):
            draw = job.draw + d
            h = doubles(job.step_size)[chain] * (1.0 + max(draw - job.first, 0)) ** -job.decay
            kept, lost = math.exp(-job.friction * h), 0.0
            for s in range(job.steps):
                at = s % job.chunk
                if at == 0:
                    count = min(job.chunk, job.steps - s) * job.dim
                    normals(job.noise, count, job.seed, NOISE + MANY * (s // job.chunk), draw, number)
                if not stepped(job, chain, h, kept, job.noise + FLOAT * at * job.dim):
                    lost = 1.0
            place = chain * job.draws + d
            q, out = doubles(job.position + FLOAT * chain * job.dim), doubles(job.positions + FLOAT * place * job.dim)
            for i in range(job.dim):
                out[i] = q[i]
            doubles(job.log_densities)[place] = doubles(job.log_density)[chain]
            doubles(job.diverging)[place] = lost


def native_walk(
    kernel: "BoundKernel", pool: ThreadPoolExecutor, dtype: torch.dtype, state: State, law: Law, key: Key, draws: int, steps: int
) -> Walked:
    """What torch_walk does, of a density that is machine code, chains shared among threads."""
    chains, dim = state.position.shape
    arrays = {n: np.array(t.numpy(), np.float64, order="C") for n, t in state._asdict().items()}
    arrays |= {
        n: np.ascontiguousarray(t.expand(s).numpy())
        for n, t, s in (("step_size", law.step_size, (chains,)), ("scale", law.scale, (chains, dim)))
    }
    arrays |= {
        "positions": np.empty((chains, draws, dim)),
        "log_densities": np.empty((chains, draws)),
        "diverging": np.empty((chains, draws)),
    }
    numbers = np.array(key.chains, np.int64)
    job = np.zeros(1, WALK)
    job["dim"], job["draws"], job["steps"], job["chunk"] = dim, draws, steps, chunk(dim, steps)
    job["underdamped"], job["friction"] = law.friction is not None, law.friction or 0.0
    job["decay"], job["first"] = law.decay, law.first
    job["seed"], job["draw"], job["chains"] = key.seed, key.draw, numbers.ctypes.data
    for name, array in arrays.items():
        job[name] = array.ctypes.data
    workers = min(chains, pool._max_workers)
    edges = np.linspace(0, chains, workers + 1).astype(int).tolist()
    benches = [_Bench(kernel, job, dtype) for _ in range(workers)]
    for future in [pool.submit(b.walk, *at) for b, *at in zip(benches, edges[:-1], edges[1:], strict=True)]:
        future.result()
    made = {n: torch.from_numpy(a) for n, a in arrays.items()}
    end = State(*(made[n] for n in State._fields))
    return Walked(end, made["positions"], made["log_densities"], made["diverging"].bool())


class _Bench:
    """A thread's job and the memory that it works in, one chain at a time."""

    def __init__(self, kernel: "BoundKernel", job: np.ndarray, dtype: torch.dtype):
        self.job, dim = job.copy(), int(job["dim"][0])
        self.kernel, (self.w, self.m) = kernel, kernel.workspace()
        self.memory = np.zeros(3 * dim + 1 + int(job["chunk"][0]) * dim + SPILL)
        self.single = np.zeros(2 * dim + 1 if dtype == torch.float32 else 0, np.float32)
        at = self.memory.ctypes.data
        for name, width in (("there", dim), ("pushed", dim), ("answer", dim + 1), ("noise", 0)):
            self.job[name] = at
            at += FLOAT * width
        self.job["code"] = kernel.address
        self.job["n"], self.job["c"], self.job["k"] = kernel.pointers
        self.job["w"], self.job["m"] = self.w.ctypes.data, self.m.ctypes.data
        self.job["single"] = self.single.ctypes.data if len(self.single) else 0

    def walk(self, begin: int, end: int) -> None:
        run(self.job.ctypes.data, begin, end)
