"""A chain's trajectories, compiled: memory, leapfrog steps, adaptation of the step size. What every Hamiltonian engine is made of.

An engine is a *generator* for one chain: it makes the draws of a block, and yields whenever it needs the log density and its
gradient at its position. It is the only definition of the engine. A compiled loop runs it against machine code, one chain a
thread; or Python runs all chains' generators against one batched density (_blocks.py).

Positions move in the coordinates z that the metric whitens, M^-1 = L L' (_metric.py):

    p += step / 2 L' g(q),    q += step L p,    p += step / 2 L' g(q),    p ~ Normal(0, I)

All numbers are double, whatever the precision of the density. A chain's memory is one stretch of numbers: a head of single
numbers, the last of which is the log density, then rows of dim numbers, the first of which is its gradient.
"""

import math
import sys
from functools import partial

import numpy as np
from numba import int64, njit

from .. import normals as _normals
from .. import philox
from ..native import calling
from ..native.calling import HOW, call, compiled, doubles, floats, integers, matrix, record, vector
from ..native.entry import entry
from ..normals import normals
from ..philox import uniform
from . import _metric
from ._metric import to_position, to_whitened

__all__ = [
    "DIVERGENCE",
    "FORCE",
    "GRADIENT",
    "JOB",
    "MOMENTUM",
    "POSITION",
    "ROWS",
    "STATS",
    "STEP",
    "VALUE",
    "arrive",
    "chain_code",
    "chain_entry",
    "copy",
    "drift",
    "energy_change",
    "evaluate",
    "finish",
    "head",
    "job_at",
    "launch",
    "move",
    "row",
    "stats",
    "stopped",
]  # fmt: skip

FLOAT = 8  # bytes
HEAD = 16
STEP, LP, TARGET, ERROR, AVERAGE, DRAWS, MADE, VALUE = 0, 1, 2, 3, 4, 5, 6, HEAD - 1  # in the head
GRADIENT, HERE, SLOPE, POSITION, MOMENTUM, FORCE, SCRATCH, ROWS = range(8)  # rows; an engine's own begin at ROWS
MOMENTA = 0  # stream of the key
DIVERGENCE = 1000.0  # nats of energy error
STATS = ("acceptance_rate", "n_steps", "diverging", "energy", "step_size", "lp")  # of every draw, by ArviZ's names

part = njit(**HOW)  # of a chain's code
CALLED = (calling, philox, _normals, _metric, sys.modules[__name__])
chain_code = compiled(*CALLED)  # a generator for Python
chain_entry = partial(entry, sources=CALLED)  # the whole, on machine code; it is given the address of a job


# A block of draws of one chain. Compiled code has it by reference; addresses are of what others keep alive.
JOB = np.dtype(
    [
        ("memory", "i8"),  # an address
        ("dim", "i8"),
        ("scale", "i8"), ("vectors", "i8"), ("values", "i8"), ("triangle", "i8"),  # addresses: the metric, as _metric.Metric
        ("rank", "i8"), ("triangular", "i8"),  # how many vectors it has, and rows of the triangle
        ("seed", "u8"), ("chain", "i8"), ("first", "i8"),  # the key; index of the first draw
        ("count", "i8"),
        ("aim", "f8"), ("gamma", "f8"),  # acceptance rate that the step size is adapted to, or 0; how firmly
        ("draws", "i8"),  # address: (count, dim)
        ("gradients", "i8"),  # address: (count, dim), not there where aim is 0
        ("stats", "i8"), ("columns", "i8"),  # address: (count, columns)
        ("stop", "i8"),  # address of a flag
        ("code", "i8"), ("n", "i8"), ("c", "i8"), ("k", "i8"), ("w", "i8"), ("m", "i8"),  # addresses: machine code, what it is given
        ("single", "i8"),  # address: dim + 1 + dim float32 to copy to and from, where the code is of single precision; else 0
    ],
    align=True,
)  # fmt: skip


job_at = record(JOB)


# Numba compiles a function once for each literal among its arguments, so those that take some are inlined.


@njit(inline="always")
def head(job):  # type: ignore[no-untyped-def]
    return doubles(job.memory)


@njit(inline="always")
def place(job, i):  # type: ignore[no-untyped-def]
    """The address of row i."""
    return job.memory + FLOAT * (HEAD + i * job.dim)


@njit(inline="always")
def row(job, i):  # type: ignore[no-untyped-def]
    return doubles(job.memory + FLOAT * (HEAD + i * job.dim))


@njit(inline="always")
def chance(job, draw, stream, i):  # type: ignore[no-untyped-def]
    """Number i of a stream, uniform in [0, 1)."""
    return uniform(job.seed, int64(stream), draw, job.chain, int64(i))


@part
def copy(count, start, end):  # type: ignore[no-untyped-def]
    for i in range(count):
        end[i] = start[i]


@njit(inline="always")
def stopped(job):  # type: ignore[no-untyped-def]
    return integers(job.stop)[0] != 0


# The metric; where it is diagonal, as most are, it costs no loop of its own


@njit(inline="always")
def diagonal(job):  # type: ignore[no-untyped-def]
    return job.rank == 0 and job.triangular == 0


@part
def along(job, momentum, out):  # type: ignore[no-untyped-def]
    """out = L p, by addresses."""
    vectors, values = matrix(job.vectors, (job.rank, job.dim)), vector(job.values, (job.rank,))
    triangle = matrix(job.triangle, (job.triangular, job.dim))
    to_position(vector(job.scale, (job.dim,)), vectors, values, triangle, vector(momentum, (job.dim,)), vector(out, (job.dim,)))


@part
def whiten(job, gradient, out):  # type: ignore[no-untyped-def]
    """out = L' g, by addresses."""
    if diagonal(job):
        scale, g, force = doubles(job.scale), doubles(gradient), doubles(out)
        for i in range(job.dim):
            force[i] = scale[i] * g[i]
        return
    vectors, values = matrix(job.vectors, (job.rank, job.dim)), vector(job.values, (job.rank,))
    triangle = matrix(job.triangle, (job.triangular, job.dim))
    to_whitened(vector(job.scale, (job.dim,)), vectors, values, triangle, vector(gradient, (job.dim,)), vector(out, (job.dim,)))


# Trajectories


@part
def launch(job, draw):  # type: ignore[no-untyped-def]
    """A fresh momentum where the chain is. Returns the log joint density of both, -H."""
    normals(place(job, MOMENTUM), job.dim, job.seed, int64(MOMENTA), draw, job.chain)  # nothing beyond is needed any more
    whiten(job, place(job, SLOPE), place(job, FORCE))
    copy(job.dim, row(job, HERE), row(job, POSITION))
    return head(job)[LP] - kinetic(job)


@part
def kinetic(job):  # type: ignore[no-untyped-def]
    p, total = row(job, MOMENTUM), 0.0
    for i in range(job.dim):
        total += p[i] * p[i]
    return 0.5 * total


@part
def drift(job, step):  # type: ignore[no-untyped-def]
    """The first half of a leapfrog step, to the position at which the gradient is wanted; a negative step goes back in time."""
    q, p, force = row(job, POSITION), row(job, MOMENTUM), row(job, FORCE)
    if diagonal(job):
        scale = doubles(job.scale)
        for i in range(job.dim):
            p[i] += 0.5 * step * force[i]
            q[i] += step * scale[i] * p[i]
        return
    for i in range(job.dim):
        p[i] += 0.5 * step * force[i]
    along(job, place(job, MOMENTUM), place(job, SCRATCH))
    velocity = row(job, SCRATCH)
    for i in range(job.dim):
        q[i] += step * velocity[i]


@part
def arrive(job, step):  # type: ignore[no-untyped-def]
    """The second half, once the gradient is there. Returns the log joint density."""
    p, force, total = row(job, MOMENTUM), row(job, FORCE), 0.0
    if diagonal(job):
        scale, gradient = doubles(job.scale), row(job, GRADIENT)
        for i in range(job.dim):
            force[i] = scale[i] * gradient[i]
            moved = p[i] + 0.5 * step * force[i]
            p[i] = moved
            total += moved * moved
    else:
        whiten(job, place(job, GRADIENT), place(job, FORCE))
        for i in range(job.dim):
            p[i] += 0.5 * step * force[i]
            total += p[i] * p[i]
    return head(job)[VALUE] - 0.5 * total


@njit(inline="always")
def energy_change(log_joint, start):  # type: ignore[no-untyped-def]
    """How far the log joint density is above the start's; -inf where that is not a number."""
    change = log_joint - start
    return change if -math.inf < change < math.inf else -math.inf


# What comes of a draw


@part
def move(job, position, gradient, log_density):  # type: ignore[no-untyped-def]
    """The chain goes to a position."""
    copy(job.dim, position, row(job, HERE))
    copy(job.dim, gradient, row(job, SLOPE))
    head(job)[LP] = log_density


@part
def finish(job, i, acceptance_rate, steps, diverging, energy):  # type: ignore[no-untyped-def]
    """Draw i of the block is made: note it, and adapt the step size."""
    h, out = head(job), stats(job, i)
    out[0], out[1], out[2], out[3], out[4], out[5] = acceptance_rate, steps, diverging, energy, h[STEP], h[LP]
    copy(job.dim, row(job, HERE), doubles(job.draws + FLOAT * i * job.dim))
    if job.aim > 0.0:
        copy(job.dim, row(job, SLOPE), doubles(job.gradients + FLOAT * i * job.dim))
        adapt(job, acceptance_rate)
    h[MADE] = i + 1.0


@njit(inline="always")
def stats(job, i):  # type: ignore[no-untyped-def]
    """Of draw i of the block, by STATS; what is left is the engine's own."""
    return doubles(job.stats + FLOAT * i * job.columns)


@part
def adapt(job, acceptance_rate):  # type: ignore[no-untyped-def]
    """Nesterov's dual averaging of the log step size, with t0 = 10, kappa = 0.75. A large gamma makes for small swings."""
    h = head(job)
    h[DRAWS] += 1.0
    eta = 1.0 / (h[DRAWS] + 10.0)
    h[ERROR] = (1.0 - eta) * h[ERROR] + eta * (job.aim - acceptance_rate)
    log_step = h[TARGET] - math.sqrt(h[DRAWS]) / job.gamma * h[ERROR]
    weight = h[DRAWS] ** -0.75
    h[AVERAGE] = weight * log_step + (1.0 - weight) * h[AVERAGE]
    h[STEP] = math.exp(log_step)


@part
def evaluate(job):  # type: ignore[no-untyped-def]
    """Density and gradient where the chain's trajectory is, by machine code."""
    x, out = place(job, POSITION), job.memory + FLOAT * VALUE
    if job.single == 0:
        call(job.code, x, job.n, job.c, job.k, job.w, job.m, out)
        return
    position, narrow, wide = doubles(x), floats(job.single), doubles(out)
    for i in range(job.dim):
        narrow[i] = position[i]
    call(job.code, job.single, job.n, job.c, job.k, job.w, job.m, job.single + 4 * job.dim)
    for i in range(job.dim + 1):
        wide[i] = narrow[job.dim + i]
