"""Operations that move elements and compute nothing: other strides, other places, constants.

A view is found by asking torch: the operation is applied to a tensor without storage that has the strides, and the result's are
read back. What moves elements by a rule that is known (flip, roll, an index that is constant) is applied to the places of the
elements; where the result is again at regular distances it is a view, else its places are a table of whole numbers. What puts a
tensor into another (slice_scatter, the derivative of a slice, cat) is a write through a view of the result.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..errors import LoweringError
from .ir import Index, contiguous
from .placement import Nests, Ref, kind_of
from .pointwise import where
from .reductions import Lazy, Rule

__all__ = ["LAYOUT", "RULES", "TABLE", "VIEWS", "laid_out", "places", "put", "regular", "strided", "taken"]

aten = torch.ops.aten
LAYOUT = frozenset(("as_strided", "as_strided_scatter"))  # they go over memory as torch laid their first argument
NOWHERE = torch.empty(2**48, dtype=torch.uint8, device="meta")
SPLITS = ("unbind", "split", "split_with_sizes", "unsafe_split", "unsafe_split_with_sizes", "chunk", "unsafe_chunk")
TABLE = 2**20  # places of a result that are looked at one by one


# Views


def view(operation: Callable[..., Tensor]) -> Rule:
    """An operation that gives a view of its first argument, or a copy where there is none."""

    def rule(nests: Nests, like: Tensor, x: Ref, *args: Any, **settings: Any) -> Ref:
        return viewed(nests, x, tuple(like.shape), lambda t: operation(t, *args, **settings))

    return rule


def viewed(nests: Nests, x: Ref, shape: tuple[int, ...], operation: Callable[[Tensor], Tensor]) -> Ref:
    if x.number is not None:
        return nests.literal(x.number, shape)
    if x.shape == shape == ():
        return x
    if any(s < 0 for s in x.strides):
        x = nests.copied(x)
    found = strided(x, operation)
    if found is None:  # no view of these strides has this shape
        x = nests.copied(x)
        found = strided(x, operation)
    if found is None:
        raise LoweringError(f"no view of shape {shape} of a contiguous tensor of shape {x.shape}")
    return found


def strided(x: Ref, operation: Callable[[Tensor], Tensor]) -> Ref | None:
    """A view of x; None where torch would copy."""
    try:
        t = operation(NOWHERE.as_strided(x.shape, x.strides, x.offset))
    except RuntimeError:
        return None
    return None if t._base is None else Ref(x.base, tuple(t.shape), t.stride(), int(t.storage_offset()))


def _same(nests: Nests, like: Tensor, x: Ref, *args: Any, **settings: Any) -> Ref:
    return x


def _cast(nests: Nests, like: Tensor, x: Ref, *args: Any, **settings: Any) -> Ref:
    """To another dtype; whole numbers are all alike, and so are reals."""
    kind = kind_of(like.dtype)
    return x if x.kind == kind else nests.pointwise(lambda v: v.to(kind), x)


def _copy(nests: Nests, like: Tensor, x: Ref, source: Ref, non_blocking: bool = False) -> Ref:
    return _cast(nests, like, source).spread(like.shape)


def laid_out(nests: Nests, x: Ref, like: Tensor) -> Ref:
    """x in memory of its own, with the strides that torch gave it."""
    if not like.numel():
        return nests.literal(0.0, x.shape, x.kind)
    if like.storage_offset() or sum((n - 1) * s for n, s in zip(like.shape, like.stride(), strict=True)) + 1 != like.numel():
        raise LoweringError("strides over memory in which a tensor is only a part")
    out = nests.memory(x.shape, x.kind, like.stride())
    nests.write(x, out)
    return out


def _as_strided(nests: Nests, like: Tensor, x: Ref, size: Sequence[int], stride: Sequence[int], offset: int | None = None) -> Ref:
    """x as `laid_out` gives it."""
    return Ref(x.base, tuple(size), tuple(stride), offset or 0)


def _as_strided_scatter(
    nests: Nests, like: Tensor, x: Ref, source: Ref, size: Sequence[int], stride: Sequence[int], offset: int | None = None
) -> Ref:
    return put(nests, x, lambda t: t.as_strided(size, stride, offset or 0), source)


def _many(operation: Callable[..., Sequence[Tensor]]) -> Rule:
    """Several views of one tensor, each made where it is read."""

    def rule(nests: Nests, like: Any, x: Ref, *args: Any, **settings: Any) -> list[Lazy]:
        parts = operation(torch.empty(x.shape, device="meta"), *args, **settings)

        def lazy(i: int, shape: tuple[int, ...]) -> Lazy:
            return lambda: viewed(nests, x, shape, lambda t: operation(t, *args, **settings)[i])

        return [lazy(i, tuple(p.shape)) for i, p in enumerate(parts)]

    return rule


# Elements elsewhere


def places(x: Ref) -> Tensor:
    """Where each element of a tensor stands in its base."""
    out = torch.tensor(x.offset)
    for d, (n, s) in enumerate(zip(x.shape, x.strides, strict=True)):
        out = out + (torch.arange(n) * s).reshape(-1, *[1] * (len(x.shape) - d - 1))
    return out.expand(x.shape)


def regular(table: Tensor) -> tuple[int, tuple[int, ...]] | None:
    """Offset and strides that give a table of places, where there are such."""
    offset = int(table[(0,) * table.dim()])
    strides = tuple(int(table.select(d, 1)[(0,) * (table.dim() - 1)]) - offset if n > 1 else 0 for d, n in enumerate(table.shape))
    if table.dim() == 0 or torch.equal(places(Ref(None, tuple(table.shape), strides, offset)), table):  # type: ignore[arg-type]
        return offset, strides
    return None


def moved(operation: Callable[..., Tensor]) -> Rule:
    """An operation that puts elements of its first argument elsewhere, by a rule that is known now."""

    def rule(nests: Nests, like: Tensor, x: Ref, *args: Any, **settings: Any) -> Ref:
        return taken(nests, x, lambda t: operation(t, *args, **settings))

    return rule


def taken(nests: Nests, x: Ref, operation: Callable[[Tensor], Tensor]) -> Ref:
    """The elements of x that `operation` would take, from their places."""
    table = operation(places(x))
    shape = tuple(table.shape)
    if x.number is not None or 0 in shape:
        return nests.literal(x.number or 0.0, shape, x.kind)
    if (found := regular(table)) is not None:
        return Ref(x.base, shape, found[1], found[0])
    x = nests.standing(x) if x.base.number is None else x
    at = nests.laid(table.contiguous(), table)
    g = nests.nest([x._replace(shape=(), strides=()), at], shape, x.base.made)
    nest = nests[g]
    i = nests.read(at, g, shape)
    return nests.keep(nests.load(nest, x.base, Index(0, ((str(i.scalar), 1),)), i.depth), g, shape)


# Tensors put into others


def part(out: Ref, into: Callable[[Tensor], Tensor]) -> Ref:
    """The part of memory just made that a view of it shows."""
    t = into(NOWHERE.as_strided(out.shape, out.strides, out.offset))
    return Ref(out.base, tuple(t.shape), t.stride(), int(t.storage_offset()))


def put(nests: Nests, out: Ref, into: Callable[[Tensor], Tensor], x: Ref) -> Ref:
    """x written over that part of `out`."""
    nests.write(x, part(out, into), after=out.base.made)
    return out


def replaced(nests: Nests, whole: Ref, into: Callable[[Tensor], Tensor], x: Ref) -> Ref:
    """A copy of `whole` with x over that part of it; x itself where that is all of it."""
    t = into(NOWHERE.as_strided(whole.shape, contiguous(whole.shape), 0))
    if tuple(t.shape) == whole.shape and t.stride() == contiguous(whole.shape) and x.kind == whole.kind:
        return x.spread(whole.shape)
    return put(nests, nests.copied(whole), into, x)


def scattered(view_of: Callable[..., Tensor]) -> Rule:
    """x with another tensor written over a view of it (slice_scatter and its kin)."""

    def rule(nests: Nests, like: Tensor, x: Ref, source: Ref, *args: Any, **settings: Any) -> Ref:
        return replaced(nests, x, lambda t: view_of(t, *args, **settings), source)

    return rule


def backward(view_of: Callable[..., Tensor]) -> Rule:
    """The derivative of a view: zeros, with the gradient written over the view of them."""

    def rule(nests: Nests, like: Tensor, grad: Ref, sizes: Sequence[int], *args: Any) -> Ref:
        return replaced(nests, nests.literal(0.0, sizes, grad.kind), lambda t: view_of(t, *args), grad)

    return rule


def _cat(nests: Nests, like: Tensor, tensors: Sequence[Ref], dim: int = 0) -> Ref:
    parts = [t for t in tensors if t.shape != (0,) or len(like.shape) == 1]
    return _joined(nests, like, parts, dim % len(like.shape))


def _stack(nests: Nests, like: Tensor, tensors: Sequence[Ref], dim: int = 0) -> Ref:
    dim %= len(like.shape)
    return _joined(nests, like, [t.unsqueeze(dim) for t in tensors], dim)


def _joined(nests: Nests, like: Tensor, parts: Sequence[Ref], dim: int) -> Ref:
    """Tensors side by side: they do not overlap, so no write waits for another."""
    shape, kind = tuple(like.shape), kind_of(like.dtype)
    if 0 in shape:
        return nests.literal(0.0, shape, kind)
    parts = [p for p in parts if p.shape[dim]]
    if len(parts) == 1:
        return _cast(nests, like, parts[0])
    if all(p.number is not None and p.number == parts[0].number for p in parts):
        return nests.literal(parts[0].number, shape, kind)  # type: ignore[arg-type]
    out, start = nests.joined(shape, kind), 0
    for p in parts:
        nests.write(p, Ref(out.base, p.shape, out.strides, start * out.strides[dim]))
        start += p.shape[dim]
    return out


def _pad(nests: Nests, like: Tensor, x: Ref, pad: Sequence[int], value: float = 0.0) -> Ref:
    """Numbers around a tensor; where there are fewer than none, it loses elements."""
    last = len(x.shape) - 1
    sides = [(last - i, low, high) for i, (low, high) in enumerate(zip(pad[::2], pad[1::2], strict=True))]

    def inner(sign: int) -> Callable[[Tensor], Tensor]:
        def narrowed(t: Tensor) -> Tensor:
            for d, low, high in sides:
                before, after = max(sign * low, 0), max(sign * high, 0)
                t = t.narrow(d, before, t.shape[d] - before - after)
            return t

        return narrowed

    smaller = tuple(inner(-1)(torch.empty(x.shape, device="meta")).shape)
    rest = viewed(nests, x, smaller, inner(-1))
    return replaced(nests, nests.literal(value, like.shape, x.kind), inner(1), rest)


def _diag_embed(nests: Nests, like: Tensor, x: Ref, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Ref:
    return replaced(nests, nests.literal(0.0, like.shape, x.kind), lambda t: t.diagonal(offset, dim1, dim2), x)


def triangle(lower: bool) -> Rule:
    def rule(nests: Nests, like: Tensor, x: Ref, diagonal: int = 0) -> Ref:
        """Zeros above (tril) or below (triu) a diagonal, by the numbers of row and column."""
        shape = x.shape
        if 0 in shape:
            return x
        g = nests.nest([x], shape)
        axes = [d for d, n in enumerate(shape) if n != 1]
        row, column = (nests[g].coordinate(axes.index(d)) if d in axes else 0 for d in (len(shape) - 2, len(shape) - 1))
        inside = (column <= row + diagonal) if lower else (column >= row + diagonal)
        if isinstance(inside, bool):
            return x if inside else nests.literal(0.0, shape, x.kind)
        return nests.keep(where(inside, nests.read(x, g, shape), 0.0).to(x.kind), g, shape)

    return rule


# Tensors of one number, and numbers that depend on the dtype


def _full_of(number: float | None, position: int = -1) -> Rule:
    """Of the shape and dtype that torch gave; the number is an argument where it is not always the same."""

    def rule(nests: Nests, like: Tensor, *args: Any, **settings: Any) -> Ref:
        x = nests.ref(args[position] if number is None else number)
        return _cast(nests, like, x).spread(like.shape)

    return rule


def _nan_to_num(
    nests: Nests, like: Tensor, x: Ref, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Ref:
    most = torch.finfo(like.dtype).max
    high, low = (most if posinf is None else posinf), (-most if neginf is None else neginf)
    return nests.pointwise(lambda v, n, h, w: where(v > most, h, where(v < -most, w, where(v <= most, v, n))), x, nan or 0.0, high, low)


VIEWS = (
    "view", "reshape", "expand", "squeeze", "unsqueeze", "permute", "t", "transpose", "select", "slice",
    "diagonal", "unfold",
)  # fmt: skip

RULES: Mapping[str, Rule] = {
    **{name: view(getattr(aten, name)) for name in VIEWS},
    **{f"{name}_copy": view(getattr(aten, name)) for name in VIEWS if name != "reshape"},
    "_unsafe_view": view(aten.view),
    **dict.fromkeys(("clone", "alias", "detach", "contiguous", "lift_fresh", "lift_fresh_copy", "positive"), _same),
    **dict.fromkeys(("_to_copy", "to", "type_as"), _cast),
    **{name: _many(getattr(aten, name.removeprefix("unsafe_"))) for name in SPLITS},
    **{name: moved(getattr(aten, name)) for name in ("flip", "roll", "repeat", "rot90")},
    **{name: _full_of(0.0) for name in ("zeros_like", "new_zeros", "zeros", "empty_like", "new_empty", "empty", "new_empty_strided")},
    **{name: _full_of(1.0) for name in ("ones_like", "new_ones", "ones")},
    "full_like": _full_of(None, 1), "new_full": _full_of(None, 2), "full": _full_of(None, 1), "fill": _full_of(None, 1),
    "scalar_tensor": _full_of(None, 0), "copy": _copy, "as_strided": _as_strided, "as_strided_scatter": _as_strided_scatter,
    "cat": _cat, "stack": _stack, "constant_pad_nd": _pad, "diag_embed": _diag_embed, "tril": triangle(lower=True),
    "triu": triangle(lower=False), "slice_scatter": scattered(aten.slice), "select_scatter": scattered(aten.select),
    "diagonal_scatter": scattered(aten.diagonal), "slice_backward": backward(aten.slice), "select_backward": backward(aten.select),
    "diagonal_backward": backward(aten.diagonal), "nan_to_num": _nan_to_num,
}  # fmt: skip
