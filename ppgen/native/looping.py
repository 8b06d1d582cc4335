"""Loops that a graph holds (`Scan`): the step is translated once, into the body of a loop over time.

Paths and ys stand in memory, one row for each time; a step reads its rows and writes the next, so nothing is handed on but
memory. What a step computes on the way has workspace of its own, the same at every time.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeAlias

from ..loops import Scan
from .ir import For, Index
from .placement import Nests, Ref, kind_of

__all__ = ["Step", "repeated"]

Step: TypeAlias = Callable[[Nests, Sequence[Ref]], Sequence[Ref]]  # (nests in the loop, inputs of the step) -> its outputs


def repeated(nests: Nests, scan: Scan, step: Step, initial: Sequence[Ref], xs: Sequence[Ref], fixed: Sequence[Ref]) -> list[Ref]:
    """The paths, (length + 1, *shape), then the ys, (length, *shape), then the sums, (*shape)."""
    before, after = (1, 0) if scan.reverse else (0, 1)  # the rows of a path that a step at time 0 reads and writes
    results = [n.value for n in scan.step.outputs]
    paths = [nests.memory((scan.length + 1, *t.shape), kind_of(t.dtype)) for t in results[: scan.carries]]
    ys = [nests.memory((scan.length, *t.shape), kind_of(t.dtype)) for t in results[scan.carries : scan.carries + scan.ys]]
    sums = [nests.copied(nests.literal(0.0, t.shape)) for t in results[scan.carries + scan.ys :]]
    for path, first in zip(paths, initial, strict=True):
        nests.write(first, _row(path, scan.length if scan.reverse else 0))
    elements, given = [nests.lent(x) for x in xs], [nests.lent(x) for x in fixed]
    g = nests.alone(())
    inside, time = Nests(nests), nests.names("i")
    carries = [_at(nests.lent(p), time, before) for p in paths]
    outputs = step(inside, [*carries, *(_at(x, time) for x in elements), *given])
    for place, shift, out in zip([*paths, *ys], [after] * len(paths) + [0] * len(ys), outputs, strict=False):
        inside.write(out, _at(nests.lent(place), time, shift))
    for place, out in zip(sums, outputs[scan.carries + scan.ys :], strict=True):
        inside.write(out, nests.lent(place), "add")
    nests[g].heads[0].append(For(time, Index(), Index(scan.length), inside.body(), scan.reverse))
    for place in (*paths, *ys, *sums):
        place.base.made = g
    return [*paths, *ys, *sums]


def _row(x: Ref, number: int) -> Ref:
    return Ref(x.base, x.shape[1:], x.strides[1:], x.offset + number * x.strides[0])


def _at(x: Ref, time: str, shift: int = 0) -> Ref:
    """The row at a time of the loop, moved on by `shift`."""
    if x.number is not None:
        return x._replace(shape=x.shape[1:], strides=x.strides[1:])
    base = replace(x.base, terms=((time, x.strides[0]), *x.base.terms)) if x.strides[0] else x.base
    return _row(x, shift)._replace(base=base)
