"""Sums and their kin, inside the nest that computes what is summed, and what is made of them.

Where the reduced dimensions are the innermost loops, a local collects them and nothing but the result is stored; where a kept
dimension is further inside, memory collects. A rule takes the nests, the tensor that torch made (for its shape and dtype), and
the operation's arguments.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

from torch import Tensor

from ..errors import LoweringError
from .ir import contiguous
from .nest import Number, Value
from .placement import Nests, Operand, Ref, core, kind_of
from .pointwise import absolute, exp, isinf, isnan, larger, log, log_sigmoid, powers, smaller, sqrt, where

__all__ = ["RULES", "Lazy", "Rule", "argreduce", "dims_of", "reduce"]

Rule: TypeAlias = Callable[..., Any]
Lazy: TypeAlias = Callable[[], Ref]  # one of several results, computed where it is read
STARTS: Mapping[str, Mapping[str, Number]] = {
    "add": {"f": 0.0, "i": 0},
    "max": {"f": -math.inf, "i": -(2**63)},
    "mul": {"f": 1.0, "i": 1},
}


def dims_of(dim: int | Sequence[int] | None, rank: int) -> list[int]:
    """Dimensions as torch names them: none is all."""
    dims = [dim] if isinstance(dim, int) else list(dim or range(rank))
    return sorted(d % max(rank, 1) for d in dims) if rank else []


def without(shape: Sequence[int], dims: Sequence[int], keepdim: bool = False) -> tuple[int, ...]:
    return tuple(1 if d in dims else n for d, n in enumerate(shape) if keepdim or d not in dims)


def reduce(nests: Nests, operation: str, x: Ref, dims: Sequence[int], keepdim: bool = False) -> Ref:
    """The sum (`add`), product (`mul`) or maximum (`max`) over some dimensions."""
    if x.kind == "b":
        x = nests.pointwise(lambda v: v.to("i"), x)
    shape = without(x.shape, dims, keepdim)
    if x.size == 0 or 0 in shape:
        return nests.literal(STARTS[operation][x.kind], shape)
    if x.number is not None and operation == "add":
        return nests.literal(x.number * (x.size // math.prod(shape)), shape)
    if (once := tuple(1 if s == 0 and d not in dims else n for d, (n, s) in enumerate(zip(x.shape, x.strides, strict=True)))) != x.shape:
        alike = reduce(nests, operation, x._replace(shape=once), dims, keepdim=True)  # all elements along a dimension are one
        return alike.spread(without(x.shape, dims, keepdim=True)).reshape(shape)
    live = [d for d, n in enumerate(x.shape) if n != 1]
    kept = [d for d in live if d not in dims]
    if len(kept) == len(live):
        return x.reshape(shape)
    inner = next(k for k in range(len(live), -1, -1) if k == 0 or live[k - 1] in kept)  # loops outside of the reduced innermost ones
    if inner == len(kept):
        return _collected(nests, operation, x, inner).reshape(shape)
    if operation == "mul":
        order = [*kept, *(d for d in range(len(x.shape)) if d not in kept)]
        return _collected(nests, operation, x.permute(order), len(kept)).reshape(shape)
    return _scattered(nests, operation, x, kept, inner).reshape(shape)


def _collected(nests: Nests, operation: str, x: Ref, depth: int) -> Ref:
    """Over all loops but the `depth` outermost, in a local."""
    g = nests.nest([x], x.shape)
    nest, value = nests[g], nests.read(x, g, x.shape)
    total = nest.variable(STARTS[operation][x.kind], depth)
    nest.update(total, operation, value)
    return nests.keep(total, g, core(x.shape)[:depth], depth=depth)


def _scattered(nests: Nests, operation: Any, x: Ref, kept: Sequence[int], inner: int) -> Ref:
    """In memory, over loops that stand around kept ones; a local collects the innermost loops where they are reduced."""
    shape = tuple(x.shape[d] for d in kept)
    out = nests.memory(shape, x.kind)
    start = STARTS[operation][x.kind]
    g = nests.nest([x], x.shape)
    nest, value = nests[g], nests.read(x, g, x.shape)
    nest.fill(str(out.base.buffer), out.base.offset, out.size, start)
    strides = dict(zip(kept, contiguous(shape), strict=True))
    loops = [d for d, n in enumerate(x.shape) if n != 1]
    place = nest.place(0, [strides.get(d, 0) for d in loops])
    if inner < len(loops):
        total = nest.variable(start, inner)
        nest.update(total, operation, value)
        nests.save(nest, out.base, place, total, operation, tail=inner)
    else:
        nests.save(nest, out.base, place, value, operation)
    out.base.made = g
    return out


def argreduce(nests: Nests, operation: str, x: Ref, dim: int, keepdim: bool) -> Ref:
    """Where the largest (`max`) or smallest (`min`) stands along a dimension: the first one, or the first nan."""
    order = [d for d in range(len(x.shape)) if d != dim] + [dim]
    shape, x = without(x.shape, [dim], keepdim), x.permute(order)
    if x.size == 0 or x.shape[-1] == 1:
        return nests.literal(0, shape)
    g = nests.nest([x], x.shape)
    nest, value = nests[g], nests.read(x, g, x.shape)
    depth = nest.rank - 1
    if value.kind == "b":
        value = value.to("i")
    worst = STARTS["max"][value.kind] if operation == "max" else {"f": math.inf, "i": 2**63 - 1}[value.kind]
    best, at = nest.variable(worst, depth), nest.variable(0, depth)
    better = value > best if operation == "max" else value < best
    if value.kind == "f":
        better = better | (isnan(value) & ~isnan(best))
    nest.update(at, "set", where(better, nest.coordinate(depth), at))
    nest.update(best, "set", where(better, value, best))
    out = nests.keep(at, g, x.shape[:-1], depth=depth)
    out.base.below = x.shape[-1]
    return out.reshape(shape)


# Rules


def _sum(nests: Nests, like: Tensor, x: Operand, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Ref:
    x = nests.ref(x)
    x = nests.pointwise(lambda v: v.to(kind_of(like.dtype)), x) if x.kind != kind_of(like.dtype) else x
    return reduce(nests, "add", x, dims_of(dim, len(x.shape)), keepdim)


def _mean(nests: Nests, like: Tensor, x: Ref, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Ref:
    dims = dims_of(dim, len(x.shape))
    count = math.prod(x.shape[d] for d in dims)
    return nests.pointwise(lambda s, n: s / n, reduce(nests, "add", x, dims, keepdim), float(count) if count else math.nan)


def _prod(nests: Nests, like: Tensor, x: Ref, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Ref:
    x = nests.pointwise(lambda v: v.to(kind_of(like.dtype)), x) if x.kind != kind_of(like.dtype) else x
    return reduce(nests, "mul", x, dims_of(dim, len(x.shape)), keepdim)


def _amax(nests: Nests, like: Tensor, x: Ref, dim: Any = None, keepdim: bool = False) -> Ref:
    out = reduce(nests, "max", x, dims_of(dim, len(x.shape)), keepdim)
    return nests.pointwise(lambda v: v.to("b"), out) if x.kind == "b" else out


def _amin(nests: Nests, like: Tensor, x: Ref, dim: Any = None, keepdim: bool = False) -> Ref:
    negative = nests.pointwise(lambda v: -v, x)
    out = nests.pointwise(lambda v: -v, reduce(nests, "max", negative, dims_of(dim, len(x.shape)), keepdim))
    return nests.pointwise(lambda v: v.to("b"), out) if x.kind == "b" else out


def _max(nests: Nests, like: Any, x: Ref, dim: Any = None, keepdim: bool = False) -> Any:
    return _extreme(nests, _amax, "max", x, dim, keepdim)


def _min(nests: Nests, like: Any, x: Ref, dim: Any = None, keepdim: bool = False) -> Any:
    return _extreme(nests, _amin, "min", x, dim, keepdim)


def _aminmax(nests: Nests, like: Any, x: Ref, *, dim: int | None = None, keepdim: bool = False) -> tuple[Lazy, Lazy]:
    return lambda: _amin(nests, like, x, dim, keepdim), lambda: _amax(nests, like, x, dim, keepdim)


def _extreme(nests: Nests, rule: Rule, operation: str, x: Ref, dim: Any, keepdim: bool) -> Any:
    """max(x); max(x, dim) with its place; max(x, y), elementwise."""
    if isinstance(dim, Ref):
        return nests.pointwise(larger if operation == "max" else smaller, x, dim)
    if dim is None:
        return rule(nests, None, x)
    at = dims_of(dim, len(x.shape))
    lazy: tuple[Lazy, Lazy] = (lambda: rule(nests, None, x, at, keepdim), lambda: argreduce(nests, operation, x, at[0], keepdim))
    return lazy if at else (lambda: x, lambda: nests.literal(0))


def _arg(operation: str) -> Rule:
    def rule(nests: Nests, like: Tensor, x: Ref, dim: int | None = None, keepdim: bool = False) -> Ref:
        if dim is not None and x.shape:
            return argreduce(nests, operation, x, dim % len(x.shape), keepdim)
        flat = x if len(x.shape) == 1 else nests.copied(x)
        flat = flat._replace(shape=(x.size,), strides=(1,)) if len(x.shape) != 1 else flat
        return argreduce(nests, operation, flat, 0, False).reshape(tuple(like.shape))

    return rule


def _any(nests: Nests, like: Tensor, x: Ref, dim: Any = None, keepdim: bool = False) -> Ref:
    count = reduce(nests, "add", nests.pointwise(lambda v: v.to("b"), x), dims_of(dim, len(x.shape)), keepdim)
    return nests.pointwise(lambda v: v.to("b"), count)


def _all(nests: Nests, like: Tensor, x: Ref, dim: Any = None, keepdim: bool = False) -> Ref:
    none = _any(nests, like, nests.pointwise(lambda v: ~v, x), dim, keepdim)
    return nests.pointwise(lambda v: ~v, none)


def _count_nonzero(nests: Nests, like: Tensor, x: Ref, dim: Any = None) -> Ref:
    return reduce(nests, "add", nests.pointwise(lambda v: v.to("b").to("i"), x), dims_of(dim, len(x.shape)))


def _deviations(nests: Nests, x: Ref, dims: Sequence[int]) -> tuple[Ref, Ref, int]:
    """Mean, sum of squared deviations from it, both with their dimensions kept; how many."""
    count = math.prod(x.shape[d] for d in dims)
    mean = nests.pointwise(lambda s, n: s / n, reduce(nests, "add", x, dims, keepdim=True), float(count))
    return mean, reduce(nests, "add", nests.pointwise(lambda v, m: (v - m) * (v - m), x, mean), dims, keepdim=True), count


def _var(nests: Nests, like: Tensor, x: Ref, dim: Any = None, *, correction: float | None = None, keepdim: bool = False) -> Ref:
    dims = dims_of(dim, len(x.shape))
    _, squares, count = _deviations(nests, x, dims)
    left = max(count - (1 if correction is None else correction), 0)
    out = nests.pointwise(lambda s, n: s / n, squares, float(left))
    return out.reshape(without(x.shape, dims, keepdim))


def _std(nests: Nests, like: Tensor, x: Ref, dim: Any = None, *, correction: float | None = None, keepdim: bool = False) -> Ref:
    return nests.pointwise(sqrt, _var(nests, like, x, dim, correction=correction, keepdim=keepdim))


def _norm(nests: Nests, like: Tensor, x: Ref, order: float = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Ref:
    dims, size = dims_of(dim, len(x.shape)), nests.pointwise(absolute, x)
    if order in (math.inf, -math.inf):
        return (_amax if order > 0 else _amin)(nests, like, size, dims, keepdim)
    if order == 0:
        raise LoweringError("linalg_vector_norm of order 0 has no machine code")
    total = reduce(nests, "add", nests.pointwise(powers, size, float(order)), dims, keepdim)
    return nests.pointwise(powers, total, 1.0 / order)


# Softmax and what goes with it


class _Exponentials(NamedTuple):
    """Of some logs: exp(x - shift), and the total; logsumexp and softmax of the same logs share them."""

    shift: Ref
    weights: Ref
    total: Ref


def _exponentials(nests: Nests, x: Ref, dims: Sequence[int]) -> _Exponentials:
    key = ("exponentials", x, tuple(dims))
    if key not in nests.shared:
        most = reduce(nests, "max", x, dims, keepdim=True)
        shift = nests.pointwise(lambda m: where(isinf(m), 0.0, m), most)  # all -inf, or one inf: nothing to shift by
        weights = nests.pointwise(lambda v, m: exp(v - m), x, shift)
        nests.shared[key] = _Exponentials(shift, weights, reduce(nests, "add", weights, dims, keepdim=True))
    found: _Exponentials = nests.shared[key]
    return found


def _logsumexp(nests: Nests, like: Tensor, x: Ref, dim: Any, keepdim: bool = False) -> Ref:
    dims = dims_of(dim, len(x.shape))
    shift, _, total = _exponentials(nests, x, dims)
    return nests.pointwise(lambda s, m: log(s) + m, total, shift).reshape(without(x.shape, dims, keepdim))


def _softmax(nests: Nests, like: Tensor, x: Ref, dim: int, half_to_float: bool = False) -> Ref:
    _, weights, total = _exponentials(nests, x, dims_of(dim, len(x.shape)))
    return nests.pointwise(lambda w, s: w / s, weights, total)


def _log_softmax(nests: Nests, like: Tensor, x: Ref, dim: int, half_to_float: bool = False) -> Ref:
    dims = dims_of(dim, len(x.shape))
    most = reduce(nests, "max", x, dims, keepdim=True)
    total = reduce(nests, "add", nests.pointwise(lambda v, m: exp(v - m), x, most), dims, keepdim=True)
    return nests.pointwise(lambda v, m, s: (v - m) - log(s), x, most, total)


def _softmax_backward(nests: Nests, like: Tensor, grad: Ref, y: Ref, dim: int, dtype: Any) -> Ref:
    total = reduce(nests, "add", nests.pointwise(lambda g, p: g * p, grad, y), dims_of(dim, len(y.shape)), keepdim=True)
    return nests.pointwise(lambda g, p, s: (g - s) * p, grad, y, total)


def _log_softmax_backward(nests: Nests, like: Tensor, grad: Ref, y: Ref, dim: int, dtype: Any) -> Ref:
    total = reduce(nests, "add", grad, dims_of(dim, len(y.shape)), keepdim=True)
    return nests.pointwise(lambda g, p, s: g - exp(p) * s, grad, y, total)


# Losses of torch that distributions use


def _over(nests: Nests, losses: Ref, reduction: int) -> Ref:
    """Losses as they are (0), their mean (1), their sum (2)."""
    if reduction == 0:
        return losses
    total = reduce(nests, "add", losses, range(len(losses.shape)))
    return nests.pointwise(lambda s, n: s / n, total, float(losses.size)) if reduction == 1 else total


def _cross_entropy(
    nests: Nests, like: Tensor, logits: Ref, target: Ref, weight: Ref | None = None, pos_weight: Ref | None = None, reduction: int = 1
) -> Ref:
    def formula(x: Value, y: Value, w: Value | None, p: Value | None) -> Value:
        certain = log_sigmoid(x)
        loss = (1.0 - y) * x - (certain if p is None else ((p - 1.0) * y + 1.0) * certain)
        return loss if w is None else loss * w

    return _over(nests, nests.pointwise(formula, logits, target, weight, pos_weight), reduction)


def _log_sigmoid(nests: Nests, like: Any, x: Ref) -> tuple[Lazy, Ref]:
    """With what torch keeps for the derivative, which has no use here."""
    return lambda: nests.pointwise(log_sigmoid, x), x


RULES: Mapping[str, Rule] = {
    "sum": _sum, "mean": _mean, "prod": _prod, "amax": _amax, "amin": _amin, "aminmax": _aminmax, "max": _max, "min": _min,
    "argmax": _arg("max"), "argmin": _arg("min"), "any": _any, "all": _all, "count_nonzero": _count_nonzero, "var": _var, "std": _std,
    "linalg_vector_norm": _norm, "logsumexp": _logsumexp, "_softmax": _softmax, "_log_softmax": _log_softmax,
    "_softmax_backward_data": _softmax_backward, "_log_softmax_backward_data": _log_softmax_backward,
    "binary_cross_entropy_with_logits": _cross_entropy, "log_sigmoid_forward": _log_sigmoid,
}  # fmt: skip
