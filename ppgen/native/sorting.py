"""Order by counting: an element stands where as many stand before it as are smaller.

n^2 comparisons and no branch; programs sort few numbers. A nan is larger than any number, and equal ones keep their order.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ..errors import LoweringError
from .indexing import scattered
from .nest import Value
from .placement import Nests, Ref
from .pointwise import eq, isnan
from .reductions import Lazy, Rule, reduce

__all__ = ["RULES"]

LONGEST = 1024


def _sort(
    nests: Nests, like: Any, x: Ref, dim: int = -1, descending: bool = False, *, stable: bool | None = None
) -> tuple[Lazy, Lazy] | tuple[Ref, Ref]:
    """Values in order, and where they stood."""
    if not x.shape or x.shape[dim] < 2:
        return x, nests.literal(0, x.shape)
    rank, dim = len(x.shape), dim % len(x.shape)
    places, back = _places(nests, x.permute([*(d for d in range(rank) if d != dim), dim]), descending), [*range(rank - 1)]
    back.insert(dim, rank - 1)

    def placed(y: Ref) -> Ref:
        out = nests.memory(places.shape, y.kind)
        return scattered(nests, out, [*range(rank - 1), places], y.spread(places.shape), places.shape, "set").permute(back)

    def values() -> Ref:
        return placed(x.permute([*(d for d in range(rank) if d != dim), dim]))

    def indices() -> Ref:
        out = placed(nests.laid(torch.arange(places.shape[-1]), torch.arange(places.shape[-1])))
        out.base.below = places.shape[-1]
        return out

    return values, indices


def _places(nests: Nests, x: Ref, descending: bool) -> Ref:
    """Of each element, its place in the order along the last dimension."""
    count = x.shape[-1]
    if count > LONGEST:
        raise LoweringError(f"{count} numbers to be put in order: machine code does so up to {LONGEST}")
    at = nests.laid(torch.arange(count), torch.arange(count))

    def before(a: Value, b: Value, i: Value, j: Value) -> Value:
        """Does b at j stand before a at i?"""
        low, high = (a, b) if descending else (b, a)
        if a.kind != "f":
            return ((low < high) | (eq(a, b) & (j < i))).to("i")
        first = (low < high) | (isnan(high) & ~isnan(low))
        same = eq(a, b) | (isnan(a) & isnan(b))
        return (first | (same & (j < i))).to("i")

    table = nests.pointwise(before, x.unsqueeze(len(x.shape)), x.unsqueeze(len(x.shape) - 1), at.unsqueeze(1), at, kind="i")
    places = reduce(nests, "add", table, [len(x.shape)])
    places.base.below = count
    return places


def _topk(nests: Nests, like: Any, x: Ref, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Sequence[Lazy]:  # noqa: A002
    def first(which: int) -> Lazy:
        def lazy() -> Ref:
            if not x.shape:
                return (x, nests.literal(0))[which]
            out = _sort(nests, like, x, dim, descending=largest)[which]
            whole = out if isinstance(out, Ref) else out()
            return whole._replace(shape=tuple(k if d == dim % len(x.shape) else n for d, n in enumerate(whole.shape)))

        return lazy

    return first(0), first(1)


def _argsort(nests: Nests, like: Any, x: Ref, *args: Any, **settings: Any) -> Ref:
    out = _sort(nests, like, x, *args, **settings)[1]
    return out if isinstance(out, Ref) else out()


RULES: Mapping[str, Rule] = {"sort": _sort, "topk": _topk, "argsort": _argsort}
