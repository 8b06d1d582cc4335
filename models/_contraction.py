"""A plan of elimination as one call of machine code: for each row of evidence, sums of products forwards, and probabilities backwards.

Tables hold probabilities, not their logarithms. The result of every step is divided by its largest entry, whose logarithm is kept.
A row in which a step's largest entry falls below TINY is left to logarithms, so that no weight that counts is ever lost.

Cost of a row: two multiplications for every cell and table of the plan's products, three with probabilities.
Sources: Darwiche, J. ACM 50(3), 2003 (all probabilities in one pass back).
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba import njit

from ..elimination import Elimination
from ..native.calling import HOW
from ..steps import Sum

__all__ = ["Contracted", "Contraction", "Load"]

TINY = 1e-150
WIDE = 8  # tables of one product; more are multiplied in several steps, each scaled by itself


class Load(NamedTuple):
    """Where a table stands in the vector of all numbers: cell -> place (cells,), plus strides times columns of the evidence."""

    place: np.ndarray
    columns: Sequence[int]
    strides: Sequence[int]


class Contracted(NamedTuple):
    log_value: np.ndarray  # (n,) or, with kept dimensions, (n, *kept): nats
    marginals: np.ndarray  # (n, sum of K) of the summed sites, as `slices` says
    lost: np.ndarray | None  # (n,) rows that need logarithms, of which there are some


class Step(NamedTuple):
    """A product over dims, of which the last is summed (or none: `site` has one value)."""

    slots: tuple[int, ...]
    dims: tuple[str, ...]
    sums: bool


class Contraction:
    """plan    of Sum steps alone
    loads   of its factors, in their order
    kept    dimensions of the result, in their order
    slices  summed site -> where its marginals stand
    """

    def __init__(self, plan: Elimination, loads: Sequence[Load], kept: Sequence[str] = ()):
        sizes = plan.sizes
        dims = [tuple(d for d in f.dims if d is not None) for f in plan.factors]
        steps: list[Step] = []
        place = {i: i for i in range(len(dims))}  # slot of the plan -> ours
        for at, step in enumerate(plan.steps, len(dims)):
            assert isinstance(step, Sum)  # noqa: S101  there are neither plates nor chains
            slots = self._narrow([place[t.slot] for t in step.tables], dims, steps)
            own = tuple(dict.fromkeys(d for s in slots for d in dims[s] if d != step.site))
            steps.append(Step(slots, (*own, step.site), sums=True))
            place[at] = len(dims)
            dims.append(own)
        slots = self._narrow([place[t.slot] for t in plan.results], dims, steps)
        steps.append(Step(slots, tuple(kept), sums=False))
        dims.append(tuple(kept))
        summed = [step.dims[-1] for step in steps if step.sums]
        self.shape = tuple(sizes[d] for d in kept)
        ends = np.cumsum([0, *(sizes[n] for n in summed)]).tolist()
        self.slices = {n: slice(*ends[i : i + 2]) for i, n in enumerate(summed)}
        self._width = ends[-1]
        self._encode(steps, dims, sizes, loads)

    def _narrow(self, slots: list[int], dims: list[tuple[str, ...]], steps: list[Step]) -> tuple[int, ...]:
        """At most WIDE tables, after multiplying some of them."""
        slots = sorted(slots, key=lambda s: len(dims[s]))
        while len(slots) > WIDE:
            some, slots = slots[:WIDE], slots[WIDE:]
            own = tuple(dict.fromkeys(d for s in some for d in dims[s]))
            steps.append(Step(tuple(some), own, sums=False))
            slots.append(len(dims))
            dims.append(own)
        return tuple(slots)

    def _encode(self, steps: Sequence[Step], dims: Sequence[tuple[str, ...]], sizes: dict[str, int], loads: Sequence[Load]) -> None:
        """Everything as vectors of whole numbers, which is what machine code walks along."""
        cells = [math.prod(sizes[d] for d in own) for own in dims]
        strides = [_strides(own, sizes) for own in dims]
        shapes: list[int] = []
        tables: list[int] = []
        walks: list[int] = []
        starts = [(0, 0, 0)]
        for step in steps:
            axes = step.dims if step.sums else (*step.dims, None)
            shapes += [1 if d is None else sizes[d] for d in axes]
            tables += step.slots
            walks += [strides[s].get(d, 0) for s in step.slots for d in axes]
            starts.append((len(shapes), len(tables), len(walks)))
        terms = [(c, s) for load in loads for c, s in zip(load.columns, load.strides, strict=True)]
        self._plan = (
            np.concatenate([[0], np.cumsum(cells)]).astype(np.int64),  # where each slot begins
            np.concatenate([load.place for load in loads]).astype(np.int64) if loads else np.zeros(0, np.int64),
            np.cumsum([0, *(len(load.columns) for load in loads)]).astype(np.int64),
            np.array(terms, dtype=np.int64).reshape(-1, 2),
            np.array(starts, dtype=np.int64),
            np.array(shapes, dtype=np.int64),
            np.array(tables, dtype=np.int64),
            np.array(walks, dtype=np.int64),
        )
        summed = np.array([s.sums for s in steps])
        where = np.cumsum([0, *(sizes[s.dims[-1]] if s.sums else 0 for s in steps)])
        self._columns = np.where(summed, where[:-1], -1).astype(np.int64)  # of a step's marginal

    @property
    def bytes(self) -> int:
        """Of the tables of one row."""
        return 16 * int(self._plan[0][-1])

    def __call__(self, numbers: np.ndarray, evidence: np.ndarray, *, marginals: bool) -> Contracted:
        """numbers (cells,) of all tables, float64; evidence (n, columns), whole numbers."""
        n = len(evidence)
        value = np.empty((n, math.prod(self.shape)))
        found = np.zeros((n, self._width if marginals else 0))
        lost = np.zeros(n, dtype=np.bool_)
        some = _contract(numbers, evidence, *self._plan, self._columns, value, found, lost)
        return Contracted(value.reshape(n, *self.shape), found, lost if some else None)


def _strides(own: Sequence[str], sizes: dict[str, int]) -> dict[str | None, int]:
    """Of a table whose last dimension moves fastest."""
    out: dict[str | None, int] = {}
    step = 1
    for d in reversed(own):
        out[d] = step
        step *= sizes[d]
    return out


@njit(cache=True, **HOW)
def _contract(numbers, evidence, begin, place, load, terms, starts, shapes, tables, walks, columns, value, found, lost):  # type: ignore[no-untyped-def]
    """value: log values; how many rows are lost."""
    steps, made = starts.shape[0] - 1, load.shape[0] - 1  # the first slot that a step makes
    last = begin[made + steps - 1]
    arena, slopes, scales = np.empty(begin[-1]), np.empty(begin[-1]), np.empty(steps)
    some = 0
    for row in range(evidence.shape[0]):
        _read(arena, numbers, evidence[row], begin, place, load, terms, row == 0)
        total = 0.0
        for t in range(steps):
            out = begin[made + t]
            top = _forward(arena, out, t, begin, starts, shapes, tables, walks)
            if not top >= TINY:
                lost[row] = True
                some += 1
                break
            scales[t] = top
            total += math.log(top)
            for c in range(out, begin[made + t + 1]):
                arena[c] /= top
        if lost[row]:
            continue
        for c in range(value.shape[1]):
            value[row, c] = total + math.log(arena[last + c])
        if found.shape[1]:
            slopes[begin[made] :] = 0.0
            slopes[last] = 1.0  # the derivative of log(value) at value 1
            for t in range(steps - 1, -1, -1):
                out = begin[made + t]
                _backward(arena, slopes, out, scales[t], found[row], columns[t], begin[made], t, begin, starts, shapes, tables, walks)
    return some


@njit(cache=True, **HOW)
def _read(arena, numbers, seen, begin, place, load, terms, first):  # type: ignore[no-untyped-def]
    """Tables at the evidence; those that no evidence enters only once."""
    for i in range(load.shape[0] - 1):
        shift = 0
        for t in range(load[i], load[i + 1]):
            shift += terms[t, 1] * seen[terms[t, 0]]
        if first or load[i] < load[i + 1]:
            for c in range(begin[i], begin[i + 1]):
                arena[c] = numbers[place[c] + shift]


@njit(cache=True, **HOW)
def _forward(arena, out, t, begin, starts, shapes, tables, walks):  # type: ignore[no-untyped-def]
    """Step t: products, summed over the last dimension, from `out` on; returns the largest."""
    first, rank = starts[t, 0], starts[t + 1, 0] - starts[t, 0]
    many = starts[t + 1, 1] - starts[t, 1]
    states = shapes[first + rank - 1]
    walk = walks[starts[t, 2] : starts[t + 1, 2]].reshape(many, rank)
    at = np.empty(many, np.int64)
    for j in range(many):
        at[j] = begin[tables[starts[t, 1] + j]]
    count = np.zeros(rank, np.int64)
    cells = 1
    for d in range(rank - 1):
        cells *= shapes[first + d]
    top = 0.0
    for o in range(cells):
        total = 0.0
        if many == 2:
            a, b, sa, sb = at[0], at[1], walk[0, rank - 1], walk[1, rank - 1]
            for k in range(states):
                total += arena[a + k * sa] * arena[b + k * sb]
        else:
            for k in range(states):
                product = 1.0
                for j in range(many):
                    product *= arena[at[j] + k * walk[j, rank - 1]]
                total += product
        arena[out + o] = total
        top = max(top, total)
        _next(at, count, walk, shapes, first, rank)
    return top


@njit(cache=True, **HOW)
def _next(at, count, walk, shapes, first, rank):  # type: ignore[no-untyped-def]
    """On to the next cell of all dimensions but the last."""
    for d in range(rank - 2, -1, -1):
        count[d] += 1
        for j in range(at.shape[0]):
            at[j] += walk[j, d]
        if count[d] < shapes[first + d]:
            return
        for j in range(at.shape[0]):
            at[j] -= walk[j, d] * shapes[first + d]
        count[d] = 0


@njit(cache=True, **HOW)
def _backward(arena, slopes, out, scale, found, column, made, t, begin, starts, shapes, tables, walks):  # type: ignore[no-untyped-def]
    """Step t: from the slopes of its result those of the tables that steps made (from `made` on), and the site's probabilities."""
    first, rank = starts[t, 0], starts[t + 1, 0] - starts[t, 0]
    many = starts[t + 1, 1] - starts[t, 1]
    states = shapes[first + rank - 1]
    walk = walks[starts[t, 2] : starts[t + 1, 2]].reshape(many, rank)
    at = np.empty(many, np.int64)
    for j in range(many):
        at[j] = begin[tables[starts[t, 1] + j]]
    count = np.zeros(rank, np.int64)
    cells = 1
    for d in range(rank - 1):
        cells *= shapes[first + d]
    after = np.empty(many + 1)  # products of the tables from j on
    after[many] = 1.0
    for o in range(cells):
        slope = slopes[out + o] / scale
        if slope != 0.0:
            for k in range(states):
                for j in range(many - 1, -1, -1):
                    after[j] = after[j + 1] * arena[at[j] + k * walk[j, rank - 1]]
                if column >= 0:
                    found[column + k] += slope * after[0]
                before = slope
                for j in range(many):
                    c = at[j] + k * walk[j, rank - 1]
                    if c >= made:
                        slopes[c] += before * after[j + 1]
                    before *= arena[c]
        _next(at, count, walk, shapes, first, rank)
