"""Scans as loops: cumulative sums, products, maxima along one dimension.

As in algebra.py, views have any strides. `out` may be the argument itself.
"""

import math
from collections.abc import Callable, Sequence

from .ir import View
from .writer import Coordinate, Writer

__all__ = ["cummax", "cummin", "cumprod", "cumsum", "logcumsumexp"]


def cumsum(w: Writer, a: View, out: View, dim: int, *, reverse: bool = False) -> None:
    """Sums of what stands up to here along `dim`; reverse: from here on."""
    _scan(w, a, out, dim, reverse, 0.0, lambda total, x: w.real("add", total, x))


def cumprod(w: Writer, a: View, out: View, dim: int, *, reverse: bool = False) -> None:
    _scan(w, a, out, dim, reverse, 1.0, lambda total, x: w.real("mul", total, x))


def logcumsumexp(w: Writer, a: View, out: View, dim: int, *, reverse: bool = False) -> None:
    """log of the sums of exp(a); -inf stands for an empty sum."""
    _scan(w, a, out, dim, reverse, -math.inf, lambda total, x: _logaddexp(w, total, x))


def _logaddexp(w: Writer, a: str, b: str) -> str:
    high, low = w.real("max", a, b), w.real("min", a, b)
    gap = w.real("where", w.truth("eq", high, low), 0.0, w.real("sub", low, high))  # infinities of one sign have no difference
    return w.real("add", high, w.real("log1p", w.real("exp", gap)))


def _scan(w: Writer, a: View, out: View, dim: int, reverse: bool, start: float, step: Callable[[str, str], str]) -> None:
    dim %= len(out.shape)
    with w.loops(_without(out.shape, dim)) as at:
        total = w.variable(start)
        with w.loop(out.shape[dim], reverse=reverse) as k:
            place = (*at[:dim], k, *at[dim:])
            w.update(total, step(total, w.load(a, *place)))
            w.store(out, place, total)


def _without(shape: Sequence[int], dim: int) -> tuple[int, ...]:
    return (*shape[:dim], *shape[dim + 1 :])


def cummax(w: Writer, a: View, values: View, indices: View, dim: int) -> None:
    """The largest so far along `dim`, and where it stands (the last of equals); a nan stays."""
    _extreme(w, a, values, indices, dim, "ge")


def cummin(w: Writer, a: View, values: View, indices: View, dim: int) -> None:
    _extreme(w, a, values, indices, dim, "le")


def _extreme(w: Writer, a: View, values: View, indices: View, dim: int, comparison: str) -> None:
    dim %= len(values.shape)
    with w.loops(_without(values.shape, dim)) as at:
        best = w.variable(-math.inf if comparison == "ge" else math.inf)
        best_index = w.variable(0, "i")
        with w.loop(values.shape[dim]) as k:
            place: tuple[Coordinate, ...] = (*at[:dim], k, *at[dim:])
            x = w.load(a, *place)
            better = w.truth("or", w.truth("isnan", x), w.truth(comparison, x, best))
            w.update(best, w.real("where", better, x, best))
            w.update(best_index, w.whole("where", better, k, best_index))
            w.store(values, place, best)
            w.store(indices, place, best_index)
