"""Indices that are tensors: gathers, and scatters into a copy.

An index that is constant and regular makes a view. Otherwise the place of an element is offset + sum of stride * coordinate, where
a coordinate is the number of a loop's iteration or a whole number that is read. Negative ones wrap. Constant ones are known to be
in range, those of data are checked when they are bound; those that are computed are clamped, and what was out of range is nan.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor

from ..errors import LoweringError
from .ir import How, Index
from .movement import TABLE, places, regular, taken
from .nest import Nest, Value
from .placement import Checked, Nests, Operand, Ref, broadcast
from .pointwise import larger, smaller, where
from .reductions import Rule

__all__ = ["RULES"]

Coordinate: TypeAlias = int | Ref  # an axis of the result, or whole numbers over it


class Place(NamedTuple):
    """Where an iteration of a nest finds its element, known `depth` loops deep; inside: is it in range? None where that is known."""

    at: Index
    depth: int
    inside: Value | None


def _place(nests: Nests, g: int, x: Ref, coordinates: Sequence[Coordinate], shape: Sequence[int]) -> Place:
    """The place in its base of x's element at coordinates, one for each of its dimensions, in a nest over a shape."""
    nest, offset, terms, depth, inside = nests[g], x.offset, [], 0, None
    axes = [d for d, n in enumerate(shape) if n != 1]
    for c, stride, length in zip(coordinates, x.strides, x.shape, strict=True):
        if isinstance(c, int):
            if c in axes and stride:
                terms.append((nest.variables[axes.index(c)], stride))
                depth = max(depth, axes.index(c) + 1)
            continue
        i, ok = _whole(nests, nest, nests.read(c, g, shape), c, length)
        inside = ok if inside is None else inside if ok is None else inside & ok
        if i.number is not None:
            offset += int(i.number) * stride
        elif stride:
            terms.append((str(i.scalar), stride))
            depth = max(depth, i.depth)
    return Place(Index(offset, tuple(terms)), depth, inside)


def _whole(nests: Nests, nest: Nest, i: Value, of: Ref, length: int) -> tuple[Value, Value | None]:
    """An index of a dimension of this length as a coordinate in range; and whether it was, None where it must have been."""
    base = of.base
    if i.number is not None:
        return Value(nest, int(i.number) % length, "i"), None
    if base.below is not None and base.below <= length:
        return i, None
    if isinstance(base.source, Tensor):
        return (i if int(base.source.min()) >= 0 else where(i < 0, i + length, i)), None
    wrapped = where(i < 0, i + length, i)
    if base.source is not None:
        nests.checked[Checked(base.source, length)] = None
        return wrapped, None
    safe = smaller(larger(wrapped, _literal(nest, 0)), _literal(nest, length - 1))
    return safe, (wrapped >= 0) & (wrapped < length)


def _literal(nest: Nest, i: int) -> Value:
    return Value(nest, i, "i")


def _marked(value: Value, inside: Value | None) -> Value:
    """nan in the place of what was out of range."""
    return value if inside is None or value.kind != "f" else where(inside, value, math.nan)


def gathered(nests: Nests, x: Ref, coordinates: Sequence[Coordinate], shape: tuple[int, ...]) -> Ref:
    """The tensor of a shape whose elements are those of x at coordinates."""
    if x.number is not None or 0 in shape:
        return nests.literal(x.number or 0, shape, x.kind)
    x = nests.standing(x)
    indices = [c for c in coordinates if isinstance(c, Ref)]
    g = nests.nest(indices, shape, x.base.made)
    index, depth, inside = _place(nests, g, x, coordinates, shape)
    return nests.keep(_marked(nests.load(nests[g], x.base, index, depth), inside), g, shape)


def scattered(nests: Nests, out: Ref, coordinates: Sequence[Coordinate], x: Ref, shape: tuple[int, ...], how: How) -> Ref:
    """x, broadcast to a shape, written to (or added to) memory just made, at coordinates."""
    if 0 in shape:
        return out
    indices = [c for c in coordinates if isinstance(c, Ref)]
    g = nests.nest([x, *indices], shape, out.base.made)
    index, _, inside = _place(nests, g, out, coordinates, shape)
    nests.save(nests[g], out.base, index, _marked(nests.read(x, g, shape).to(out.kind), inside), how)
    out.base.made = g
    return out


# torch's advanced indexing


class Advanced(NamedTuple):
    """x[i, :, j]: the shape of the result and where each dimension of x gets its coordinate from."""

    shape: tuple[int, ...]
    coordinates: list[Coordinate]


def _advanced(x: Ref, indices: Sequence[Ref | None]) -> Advanced:
    """Index tensors broadcast together; their dimensions stand where they stood if side by side, in front otherwise."""
    indices = [*indices, *[None] * (len(x.shape) - len(indices))]
    at = [d for d, i in enumerate(indices) if i is not None]
    together = broadcast(*(i.shape for i in indices if i is not None))
    lead = at[0] if at[-1] - at[0] == len(at) - 1 else 0
    rest = [n for n, i in zip(x.shape, indices, strict=True) if i is None]
    shape = (*rest[:lead], *together, *rest[lead:])
    free = iter([*range(lead), *range(lead + len(together), len(shape))])
    trailing = len(shape) - lead - len(together)
    placed = [i if i is None else _before(i, trailing) for i in indices]
    return Advanced(shape, [next(free) if i is None else i for i in placed])


def _before(i: Ref, trailing: int) -> Ref:
    """With dimensions of size 1 after its own."""
    return i._replace(shape=(*i.shape, *[1] * trailing), strides=(*i.strides, *[0] * trailing))


def _whole_indices(nests: Nests, indices: Sequence[Ref | None]) -> list[Ref | None]:
    """Masks that are constant as the whole numbers that they stand for."""
    out: list[Ref | None] = []
    for i in indices:
        if i is None or i.kind != "b":
            out.append(i)
            continue
        mask = _constant(i)
        if mask is None:
            raise LoweringError("an index by a mask that is computed")
        out += [nests.laid(t, t) for t in mask.nonzero(as_tuple=True)]
    return out


def _constant(x: Ref) -> Tensor | None:
    """The tensor that x is, where that is known now."""
    if x.number is not None:
        return torch.full(x.shape, x.number)
    if not isinstance(x.base.source, Tensor):
        return None
    flat = x.base.source.reshape(-1).contiguous()
    return flat.as_strided(x.shape, x.strides, flat.storage_offset() + x.offset) if all(s >= 0 for s in x.strides) else None


def _known(indices: Sequence[Ref | None], size: int) -> list[Tensor | None] | None:
    """Constant indices as tensors, if all are and the table of places is small enough to be looked at."""
    if size > TABLE:
        return None
    tensors = [None if i is None else _constant(i) for i in indices]
    return None if any(t is None and i is not None for t, i in zip(tensors, indices, strict=True)) else tensors


def _index(nests: Nests, like: Tensor, x: Ref, indices: Sequence[Ref | None]) -> Ref:
    indices = _whole_indices(nests, indices)
    known = _known(indices, like.numel())
    if known is not None:
        few = sum(i is not None for i in indices) == len(x.shape)
        table = taken_regularly(nests, x, lambda t: torch.ops.aten.index(t, known), always=few and x.number is None and len(x.shape) > 1)
        if table is not None:
            return table
    shape, coordinates = _advanced(x, indices)
    return gathered(nests, x, coordinates, shape)


def taken_regularly(nests: Nests, x: Ref, operation: Callable[[Tensor], Tensor], always: bool = False) -> Ref | None:
    """Elements of x at known places, where these are regular (or `always`, by a table of them)."""
    if x.number is not None or always:
        return taken(nests, x, operation)
    table = operation(places(x))
    found = regular(table) if table.numel() else (0, (0,) * table.dim())
    return None if found is None else Ref(x.base, tuple(table.shape), found[1], found[0])


def _gather(nests: Nests, like: Tensor, x: Ref, dim: int, index: Ref, *, sparse_grad: bool = False) -> Ref:
    if not x.shape:
        return x.spread(index.shape)
    dim %= len(x.shape)
    known = _known([index], like.numel())
    if known is not None and (there := taken_regularly(nests, x, lambda t: torch.gather(t, dim, known[0]))) is not None:  # type: ignore[arg-type]
        return there
    return gathered(nests, x, [index if d == dim else d for d in range(len(x.shape))], index.shape)


def _index_select(nests: Nests, like: Tensor, x: Ref, dim: int, index: Ref) -> Ref:
    if not x.shape:
        return x
    dim %= len(x.shape)
    index = index if index.shape else index.unsqueeze(0)
    return _index(nests, like, x, [*[None] * dim, index])


def _embedding(nests: Nests, like: Tensor, weight: Ref, index: Ref, *settings: Any) -> Ref:
    return _index(nests, like, weight, [index])


# Scatters: into a copy


def _index_put(nests: Nests, like: Tensor, x: Ref, indices: Sequence[Ref | None], values: Ref, accumulate: bool = False) -> Ref:
    if len(indices) == 1 and indices[0] is not None and indices[0].kind == "b" and values.size == 1 and not accumulate:
        mask = indices[0]._replace(shape=(*indices[0].shape, *[1] * (len(x.shape) - len(indices[0].shape))))
        mask = mask._replace(strides=(*mask.strides, *[0] * (len(mask.shape) - len(mask.strides))))
        return nests.pointwise(lambda m, v, old: where(m, v.to(old.kind), old), mask, values.reshape(()), x)
    indices = _whole_indices(nests, indices)
    if not accumulate or x.number == 0:
        known = _known(indices, math.prod(broadcast(*(i.shape for i in indices if i is not None))))
        there = None if known is None else _written(nests, x, known, values)
        if there is not None:
            return there
    shape, coordinates = _advanced(x, indices)
    return scattered(nests, nests.copied(x), coordinates, values, shape, "add" if accumulate else "set")


def _written(nests: Nests, x: Ref, indices: Sequence[Tensor | None], values: Ref) -> Ref | None:
    """Values written over regular places of x, known now; where these are all of them, in order, the values themselves."""
    table = torch.ops.aten.index(torch.arange(x.size).reshape(x.shape), indices)
    found = regular(table) if table.numel() else None
    if found is None or len(table.unique()) < table.numel():  # some place is written twice
        return None
    offset, strides = found
    values = values.spread(tuple(table.shape))
    if (
        values.kind == x.kind
        and values.shape == x.shape
        and table.numel() == x.size
        and torch.equal(table.reshape(-1), torch.arange(x.size))
    ):
        return values
    out = nests.copied(x)
    nests.write(values, Ref(out.base, tuple(table.shape), strides, offset), after=out.base.made)
    return out


def _scatter(how: How) -> Rule:
    def rule(nests: Nests, like: Tensor, x: Ref, dim: int, index: Ref, source: Operand, *, reduce: str | None = None) -> Ref:
        if reduce not in (None, "add"):
            raise LoweringError(f"scatter that reduces by {reduce}")
        if not x.shape:
            x, index = x.unsqueeze(0), index if index.shape else index.unsqueeze(0)
        dim %= len(x.shape)
        values = nests.ref(source)
        values = values.spread(index.shape) if not values.shape else values._replace(shape=index.shape)
        coordinates = [index if d == dim else d for d in range(len(x.shape))]
        out = scattered(nests, nests.copied(x), coordinates, values, index.shape, "add" if reduce else how)
        return out.reshape(tuple(like.shape))

    return rule


def _scatter_reduce(
    nests: Nests, like: Tensor, x: Ref, dim: int, index: Ref, source: Ref, reduce: str, *, include_self: bool = True
) -> Ref:
    how: How | None = {"sum": "add", "amax": "max"}.get(reduce)  # type: ignore[assignment]
    if how is None or not include_self:
        raise LoweringError(f"scatter_reduce by {reduce}, include_self={include_self}")
    return _scatter(how)(nests, like, x, dim, index, source)


def _index_add(nests: Nests, like: Tensor, x: Ref, dim: int, index: Ref, source: Ref, *, alpha: float = 1) -> Ref:
    if alpha != 1:
        source = nests.pointwise(lambda v, a: v * a, source, alpha)
    return _along(nests, x, dim, index, source, "add")


def _index_copy(nests: Nests, like: Tensor, x: Ref, dim: int, index: Ref, source: Ref) -> Ref:
    return _along(nests, x, dim, index, source, "set")


def _index_fill(nests: Nests, like: Tensor, x: Ref, dim: int, index: Ref, value: Operand) -> Ref:
    return _along(nests, x, dim, index, nests.ref(value), "set")


def _along(nests: Nests, x: Ref, dim: int, index: Ref, source: Ref, how: How) -> Ref:
    """Slices of a tensor put (added) where an index along one dimension says."""
    if not x.shape:
        raise LoweringError("an index along a tensor without dimensions")
    dim %= len(x.shape)
    shape, coordinates = _advanced(x, [*[None] * dim, index if index.shape else index.unsqueeze(0)])
    return scattered(nests, nests.copied(x), coordinates, source, shape, how)


def _embedding_backward(nests: Nests, like: Tensor, grad: Ref, index: Ref, count: int, padding: int, scale: bool) -> Ref:
    if padding >= 0 or scale:
        raise LoweringError("embeddings with padding or with gradients scaled by frequency")
    zeros = nests.literal(0.0, (count, grad.shape[-1]))
    shape, coordinates = _advanced(zeros, [index])
    return scattered(nests, nests.copied(zeros), coordinates, grad, shape, "add")


RULES: Mapping[str, Rule] = {
    "index": _index, "_unsafe_index": _index, "gather": _gather, "index_select": _index_select, "embedding": _embedding,
    "index_put": _index_put, "_unsafe_index_put": _index_put, "scatter": _scatter("set"), "scatter_add": _scatter("add"),
    "scatter_reduce": _scatter_reduce, "index_add": _index_add, "index_copy": _index_copy, "index_fill": _index_fill,
    "embedding_dense_backward": _embedding_backward,
}  # fmt: skip
