"""A chain's discrete elements, compiled: joint draws by tables, sweeps over one element after the other, and a trajectory of the
continuous sites in between. It is to Gibbs what _trajectory.py is to Hamiltonian engines.

The generator `chain` makes a block of one chain's draws and yields what it needs: TABLES, the values of all narrow terms where the
chain is; WIDE, the sum of the wide terms there; GRADIENT, the density with its gradient at POSITION. JOB is that of the trajectory,
of one draw at a time; SWEEP is what is new.
"""

import math
import sys

import numpy as np
from numba import float64, int64

from .. import normals, philox
from ..native import calling
from ..native.calling import call, compiled, doubles, floats, integers, record
from ..native.entry import entry
from . import _direct, _laws, _metric, _trajectory, nuts
from ._direct import compare, draw_directly, probe
from ._trajectory import (
    FLOAT,
    HERE,
    LP,
    MADE,
    POSITION,
    SCRATCH,
    VALUE,
    chance,
    copy,
    evaluate,
    head,
    job_at,
    move,
    part,
    place,
    row,
)
from ._trajectory import GRADIENT as SLOPE_THERE

__all__ = ["GRADIENT", "SWEEP", "TABLES", "WIDE", "resumable", "run"]

GRADIENT, TABLES, WIDE = 0, 1, 2  # requests
PICK, SIDE, LENGTH, ACCEPT = range(8, 12)  # streams of the key
SCALES = 8  # jumps of 1 to 2^j, j below this

CALLED = (calling, philox, normals, _direct, _laws, _metric, _trajectory, nuts, sys.modules[__name__])

# What a block of one chain works on. Fields without a comment are addresses of what Tables and Order call so
SWEEP = np.dtype(
    [
        ("z", "i8"), ("elements", "i8"),  # address: (elements,) where the chain is
        ("sizes", "i8"), ("touched", "i8"),
        ("values", "i8"), ("cells", "i8"), ("logits", "i8"), ("digits", "i8"),  # addresses: to work in
        ("out", "i8"), ("known", "i8"), ("pick", "i8"),  # address: values of narrow terms; how many cells tables have
        ("met_first", "i8"), ("met", "i8"), ("met_stride", "i8"),  # addresses: of each element, the entries that it enters
        ("offset", "i8"), ("first", "i8"), ("scope", "i8"), ("stride", "i8"),
        ("steps", "i8"),  # of a joint draw; 0: sweeps
        ("element", "i8"), ("other_first", "i8"), ("others", "i8"), ("cell", "i8"), ("message", "i8"),
        ("input_first", "i8"), ("base", "i8"), ("at", "i8"), ("input_stride", "i8"),
        ("sweeps", "i8"), ("most", "i8"),  # how many; values that an element may have
        ("wide", "i8"), ("answer", "i8"),  # whether there are wide terms; address: their sum
        ("still", "i8"),  # whether continuous sites stay where they are
        ("direct", "i8"),  # whether they are drawn from their laws, of which the next three addresses tell
        ("link", "i8"), ("shift", "i8"), ("centre", "i8"),
        ("apart", "i8"),  # draws at which the slope is not that of the laws
        ("fixed", "i8"), ("ready", "i8"),  # whether tables are the same wherever the chain is; whether they are there
        ("count", "i8"), ("made", "i8"), ("draws", "i8"), ("stop", "i8"),  # addresses: (count, elements), a flag
        ("table_code", "i8"), ("table_c", "i8"), ("table_k", "i8"), ("table_w", "i8"), ("table_m", "i8"),  # addresses
        ("wide_code", "i8"), ("wide_c", "i8"), ("wide_k", "i8"), ("wide_w", "i8"), ("wide_m", "i8"),
    ],
    align=True,
)  # fmt: skip


sweep_at = record(SWEEP)


@entry(int, int, int, sources=CALLED)
def run(job_address, sweep_address, max_tree_depth):  # type: ignore[no-untyped-def]
    """A block of a chain on machine code."""
    for request in chain(job_address, sweep_address, max_tree_depth):
        if request == GRADIENT:
            evaluate(job_at(job_address))
        else:
            ask(job_at(job_address), sweep_at(sweep_address), request)


@part
def ask(job, sweep, request):  # type: ignore[no-untyped-def]
    """Values of terms where the chain is, by machine code."""
    x = place(job, HERE)
    if job.single != 0:
        position, narrow = doubles(x), floats(job.single)
        for i in range(job.dim):
            narrow[i] = position[i]
        x = job.single
    if request == TABLES:
        call(sweep.table_code, x, sweep.z, sweep.table_c, sweep.table_k, sweep.table_w, sweep.table_m, sweep.out)
    else:
        call(sweep.wide_code, x, sweep.z, sweep.wide_c, sweep.wide_k, sweep.wide_w, sweep.wide_m, sweep.answer)


# A generator keeps a record by value: whoever changes it, or goes on after a yield, looks it up anew by its address


@part
def chain(job_address, sweep_address, max_tree_depth):  # type: ignore[no-untyped-def]
    """A block of a chain."""
    for _ in range(sweep_at(sweep_address).count):
        if integers(sweep_at(sweep_address).stop)[0] != 0:
            break
        if needs_tables(sweep_at(sweep_address)):
            yield TABLES
            load(job_at(job_address), sweep_at(sweep_address))
        if sweep_at(sweep_address).steps > 0:
            draw_jointly(job_at(job_address), sweep_at(sweep_address))
        else:
            for request in visit(job_address, sweep_address):  # noqa: UP028  Numba has no `yield from`
                yield request
        if sweep_at(sweep_address).direct != 0:
            for side in (-1.0, 1.0):
                copy(job_at(job_address).dim, row(job_at(job_address), SLOPE_THERE), row(job_at(job_address), SCRATCH))
                probe(job_at(job_address), sweep_at(sweep_address), side)
                yield GRADIENT
            draw_directly(job_at(job_address), sweep_at(sweep_address))
            yield GRADIENT
            compare(job_at(job_address), sweep_at(sweep_address))
            arrive(job_at(job_address))
        else:
            begin(job_at(job_address))
            yield GRADIENT
            arrive(job_at(job_address))
            if sweep_at(sweep_address).still == 0:
                for _ in nuts.chain(job_at(job_address), max_tree_depth):
                    yield GRADIENT
        finish(job_at(job_address), sweep_at(sweep_address))


resumable = compiled(*CALLED)(chain.py_func)  # for Python


@part
def needs_tables(sweep):  # type: ignore[no-untyped-def]
    return sweep.known > 0 and sweep.ready == 0


@part
def begin(job):  # type: ignore[no-untyped-def]
    """The density is another one, as other elements are held: it is asked for where the chain is."""
    copy(job.dim, row(job, HERE), row(job, POSITION))


@part
def arrive(job):  # type: ignore[no-untyped-def]
    move(job, row(job, POSITION), row(job, SLOPE_THERE), head(job)[VALUE])


@part
def finish(job, sweep):  # type: ignore[no-untyped-def]
    """A draw is made: note the elements, and turn to the next."""
    z, out = integers(sweep.z), integers(sweep.draws + FLOAT * sweep.made * sweep.elements)
    for e in range(sweep.elements):
        out[e] = z[e]
    sweep.made += 1
    head(job)[MADE] = sweep.made
    if job.columns == 1:  # no trajectory was made, which would have written these
        doubles(job.stats)[0] = head(job)[LP]
        copy(job.dim, row(job, HERE), doubles(job.draws))
    job.first += 1
    job.draws += FLOAT * job.dim
    job.gradients += FLOAT * job.dim
    job.stats += FLOAT * job.columns


@part
def load(job, sweep):  # type: ignore[no-untyped-def]
    """Lay the terms' values out as tables, and sum elements out where they are drawn jointly."""
    values, pick, out, narrow = doubles(sweep.values), integers(sweep.pick), doubles(sweep.out), floats(sweep.out)
    if job.single != 0:
        for i in range(sweep.known):
            values[i] = narrow[pick[i]]
    else:
        for i in range(sweep.known):
            values[i] = out[pick[i]]
    if sweep.steps > 0:
        sum_out(sweep)
    sweep.ready = sweep.fixed


@part
def chosen(count, weights, total, u):  # type: ignore[no-untyped-def]
    """The value that a uniform number falls on."""
    left, last = u * total, -1
    for k in range(count):
        if weights[k] > 0.0:
            last = k
            left -= weights[k]
            if left < 0.0:
                break
    return last


# Joint draws


@part
def sum_out(sweep):  # type: ignore[no-untyped-def]  # noqa: C901
    """One element after the other, in order; what is left of each step are the weights of its values given the others."""
    values, sizes, digits = doubles(sweep.values), integers(sweep.sizes), integers(sweep.digits)
    element, other_first, others = integers(sweep.element), integers(sweep.other_first), integers(sweep.others)
    first, base, at, stride = integers(sweep.input_first), integers(sweep.base), integers(sweep.at), integers(sweep.input_stride)
    for i in range(sweep.steps):
        size, begin, met = sizes[element[i]], other_first[i], other_first[i + 1] - other_first[i]
        outer = int64(1)
        for d in range(met):
            digits[d] = 0
            outer *= sizes[others[begin + d]]
        message = integers(sweep.message)[i]
        for o in range(outer):
            cells = doubles(sweep.cells + FLOAT * (integers(sweep.cell)[i] + o * size))
            for k in range(size):
                cells[k] = 0.0
            for a in range(first[i], first[i + 1]):
                start, along = base[a], stride[at[a]]
                for d in range(met):
                    start += stride[at[a] + 1 + d] * digits[d]
                for k in range(size):
                    cells[k] += values[start + along * k]
            log_total = weigh(size, cells)
            if met > 0:
                values[message + o] = log_total
            for d in range(met - 1, -1, -1):
                digits[d] += 1
                if digits[d] < sizes[others[begin + d]]:
                    break
                digits[d] = 0


@part
def weigh(count, logits):  # type: ignore[no-untyped-def]
    """Logarithms of weights become weights, the largest 1. Returns the logarithm of their sum; where all are -inf, weights are 0."""
    top, total = -math.inf, 0.0
    for k in range(count):
        top = max(top, logits[k])
    if not top > -math.inf:
        for k in range(count):
            logits[k] = 0.0
        return -math.inf
    for k in range(count):
        logits[k] = math.exp(logits[k] - top)
        total += max(0.0, logits[k])
    return top + math.log(total)


@part
def draw_jointly(job, sweep):  # type: ignore[no-untyped-def]
    z, sizes, element = integers(sweep.z), integers(sweep.sizes), integers(sweep.element)
    other_first, others = integers(sweep.other_first), integers(sweep.others)
    for i in range(sweep.steps - 1, -1, -1):
        e, o = element[i], int64(0)
        for d in range(other_first[i], other_first[i + 1]):
            o = o * sizes[others[d]] + z[others[d]]
        weights = doubles(sweep.cells + FLOAT * (integers(sweep.cell)[i] + o * sizes[e]))
        set_element(job, z, e, sizes[e], weights, e)


@part
def set_element(job, z, e, size, weights, number):  # type: ignore[no-untyped-def]
    """Draw an element's value; it stays where all weights are 0."""
    total = 0.0
    for k in range(size):
        total += max(0.0, weights[k])
    value = chosen(size, weights, total, chance(job, job.first, PICK, number))
    if value >= 0:
        z[e] = value


# Sweeps


@part
def visit(job_address, sweep_address):  # type: ignore[no-untyped-def]
    """Sweeps over all elements, in the program's order: each is drawn given all others, or, where its values have no end, moved by a
    Metropolis step. `here` is the sum of the wide terms where the chain is."""
    sweep = sweep_at(sweep_address)
    elements, sweeps, here = sweep.elements, sweep.sweeps, 0.0
    z, sizes, touched, logits = integers(sweep.z), integers(sweep.sizes), integers(sweep.touched), doubles(sweep.logits)
    wide = doubles(sweep.logits + FLOAT * sweep.most)
    if sweep.wide > 0:
        yield WIDE
        here = answered(job_at(job_address), sweep_at(sweep_address))
    for i in range(sweeps * elements):
        e = i % elements
        before = z[e]
        if sizes[e] == 0:
            z[e] += jump(job_at(job_address), i)
            if z[e] >= 0:
                yield WIDE
                there = answered(job_at(job_address), sweep_at(sweep_address))
                if accepted(job_at(job_address), i, there - here):
                    here = there
                else:
                    z[e] = before
            else:
                z[e] = before
            continue
        conditional(sweep_at(sweep_address), e)
        if touched[e] != 0:
            for k in range(sizes[e]):
                wide[k] = here
                if k != before:
                    z[e] = k
                    yield WIDE
                    wide[k] = answered(job_at(job_address), sweep_at(sweep_address))
                logits[k] += wide[k]
            z[e] = before
        weigh(sizes[e], logits)
        set_element(job_at(job_address), z, e, sizes[e], logits, i)
        if touched[e] != 0:
            here = wide[z[e]]


@part
def answered(job, sweep):  # type: ignore[no-untyped-def]
    """The sum of the wide terms."""
    return doubles(sweep.answer)[0] if job.single == 0 else float64(floats(sweep.answer)[0])


@part
def accepted(job, number, change):  # type: ignore[no-untyped-def]
    return math.log(chance(job, job.first, ACCEPT, number)) < change


@part
def conditional(sweep, e):  # type: ignore[no-untyped-def]
    """Of each value of an element, the sum of the table entries that it enters, into `logits`."""
    z, size, logits, values = integers(sweep.z), integers(sweep.sizes)[e], doubles(sweep.logits), doubles(sweep.values)
    met_first, met, met_stride = integers(sweep.met_first), integers(sweep.met), integers(sweep.met_stride)
    offset, first, scope, stride = integers(sweep.offset), integers(sweep.first), integers(sweep.scope), integers(sweep.stride)
    for k in range(size):
        logits[k] = 0.0
    for a in range(met_first[e], met_first[e + 1]):
        i, along = met[a], met_stride[a]
        at = offset[i] - along * z[e]
        for d in range(first[i], first[i + 1]):
            at += stride[d] * z[scope[d]]
        for k in range(size):
            logits[k] += values[at + along * k]


@part
def jump(job, number):  # type: ignore[no-untyped-def]
    """Of 1 to 2^j, j anything below SCALES, to either side: as likely back as forth, and short or long where no scale is known."""
    scale = 1 << int64(chance(job, job.first, LENGTH, 2 * number) * SCALES)
    length = 1 + int64(chance(job, job.first, LENGTH, 2 * number + 1) * scale)
    return length if chance(job, job.first, SIDE, number) < 0.5 else -length
