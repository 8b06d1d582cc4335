"""Linear algebra: products as nests where these are small or have a vector in them, everything else as loops of algebra.py."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from . import algebra, scans
from .nest import Value
from .placement import Nests, Ref, broadcast, kind_of
from .pointwise import exp
from .reductions import Lazy, Rule, reduce

__all__ = ["RULES"]

SMALL = 64  # multiplications of a matrix product that is a nest


# Products


def product(nests: Nests, a: Ref, b: Ref) -> Ref:
    """(..., m, k) times (..., k, n)."""
    m, k, n = a.shape[-2], a.shape[-1], b.shape[-1]
    batch = broadcast(a.shape[:-2], b.shape[:-2])
    shape = (*batch, m, n)
    if 0 in shape or k == 0 or 0 in (a.number, b.number):
        return nests.literal(0.0, shape)
    if k == 1:
        return nests.pointwise(_mul, a, b)
    if not batch and n == 1:
        return matrix_vector(nests, a, _column(b)).unsqueeze(1)
    if not batch and m == 1:
        return matrix_vector(nests, _transposed(b), _column(_transposed(a))).unsqueeze(0)
    if m * k * n <= SMALL or 1 in (m, n):
        each = nests.pointwise(_mul, a.unsqueeze(len(a.shape) - 1), _transposed(b).unsqueeze(len(b.shape) - 2))  # (..., m, n, k)
        return reduce(nests, "add", each, [len(shape)])
    out = nests.memory(shape, "f")
    nests.computed(algebra.matmul, [a.spread((*batch, m, k)), b.spread((*batch, k, n))], [out])
    return out


def matrix_vector(nests: Nests, a: Ref, v: Ref) -> Ref:
    """(m, k) times (k,), in loops that walk the matrix as it stands in memory: by rows, each a sum of its own, or by columns."""
    if 0 in a.shape:
        return nests.literal(0.0, a.shape[:1])
    if abs(a.strides[0]) >= abs(a.strides[1]):
        return reduce(nests, "add", nests.pointwise(_mul, a, v), [1])
    return reduce(nests, "add", nests.pointwise(_mul, _transposed(a), v.unsqueeze(1)), [0])


def _mul(x: Value, y: Value) -> Value:
    return x * y


def _transposed(x: Ref) -> Ref:
    rank = len(x.shape)
    return x.permute([*range(rank - 2), rank - 1, rank - 2])


def _column(x: Ref) -> Ref:
    """The only column."""
    return x._replace(shape=x.shape[:-1], strides=x.strides[:-1])


def _mm(nests: Nests, like: Tensor, a: Ref, b: Ref) -> Ref:
    return product(nests, a, b)


def _mv(nests: Nests, like: Tensor, a: Ref, v: Ref) -> Ref:
    return matrix_vector(nests, a, v)


def _dot(nests: Nests, like: Tensor, a: Ref, b: Ref) -> Ref:
    return reduce(nests, "add", nests.pointwise(_mul, a, b), range(1))


def _outer(nests: Nests, like: Tensor, a: Ref, b: Ref) -> Ref:
    return nests.pointwise(_mul, a.unsqueeze(1), b)


def _plus(multiply: Rule) -> Rule:
    """beta c + alpha (a times b)."""

    def rule(nests: Nests, like: Tensor, c: Ref, a: Ref, b: Ref, *, beta: float = 1, alpha: float = 1) -> Ref:
        return nests.pointwise(lambda x, p, s, t: x * s + p * t, c, multiply(nests, like, a, b), float(beta), float(alpha))

    return rule


# Factorisations and solves


def _run(nests: Nests, write: Any, operands: Sequence[Ref], out: Ref) -> Ref:
    """Loops into one result; an empty one has none."""
    if out.size == 0:
        return nests.literal(0.0, out.shape)
    nests.computed(write, operands, [out])
    return out


def _matrix_of(nests: Nests, shape: Sequence[int]) -> Ref:
    """Memory for matrices, column after column."""
    return nests.memory(shape, "f", algebra.column_major(shape))


def _cholesky_ex(nests: Nests, like: Any, a: Ref, *, upper: bool = False, check_errors: bool = False) -> tuple[Lazy, Lazy]:
    return lambda: _cholesky(nests, like, a, upper), lambda: nests.literal(0, a.shape[:-2])


def _cholesky(nests: Nests, like: Any, a: Ref, upper: bool = False) -> Ref:
    return _run(nests, lambda w, a, out: algebra.cholesky(w, a, out, upper=upper), [a], _matrix_of(nests, a.shape))


def _spread_batch(a: Ref, b: Ref) -> tuple[Ref, Ref]:
    batch = broadcast(a.shape[:-2], b.shape[:-2])
    return a.spread((*batch, *a.shape[-2:])), b.spread((*batch, *b.shape[-2:]))


def _solve_triangular(nests: Nests, like: Tensor, a: Ref, b: Ref, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Ref:
    a, b = _spread_batch(a, b)

    def write(w: Any, a: Any, b: Any, out: Any) -> None:
        algebra.triangular_solve(w, a, b, out, upper=upper, left=left, unit=unitriangular)

    return _run(nests, write, [a, b], nests.memory(b.shape, "f"))


def _triangular_solve(
    nests: Nests, like: Any, b: Ref, a: Ref, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> tuple[Lazy, Lazy]:
    matrix, up = (_transposed(a), not upper) if transpose else (a, upper)
    return lambda: _solve_triangular(nests, like, matrix, b, upper=up, unitriangular=unitriangular), lambda: a


def _cholesky_solve(nests: Nests, like: Tensor, b: Ref, factor: Ref, upper: bool = False) -> Ref:
    factor, b = _spread_batch(factor, b)
    return _run(nests, lambda w, b, f, out: algebra.cholesky_solve(w, b, f, out, upper), [b, factor], nests.memory(b.shape, "f"))


def _cholesky_inverse(nests: Nests, like: Tensor, factor: Ref, upper: bool = False) -> Ref:
    return _run(nests, lambda w, f, out: algebra.cholesky_inverse(w, f, out, upper), [factor], nests.memory(factor.shape, "f"))


def _inv_ex(nests: Nests, like: Any, a: Ref, *, check_errors: bool = False) -> tuple[Lazy, Lazy]:
    return lambda: _run(nests, algebra.inverse, [a], nests.memory(a.shape, "f")), lambda: nests.literal(0, a.shape[:-2])


def _lu(nests: Nests, a: Ref) -> tuple[Ref, Ref]:
    """Factors and pivots."""
    if a.size == 0:
        return nests.literal(0.0, a.shape), nests.literal(0, a.shape[:-1])
    factors, pivots = nests.memory(a.shape, "f"), nests.memory(a.shape[:-1], "i")
    nests.computed(algebra.lu, [a], [factors, pivots])
    return factors, pivots


def _lu_factor_ex(nests: Nests, like: Any, a: Ref, *, pivot: bool = True, check_errors: bool = False) -> tuple[Ref, Ref, Lazy]:
    return *_lu(nests, a), lambda: nests.literal(0, a.shape[:-2])


def _lu_solve(nests: Nests, like: Tensor, factors: Ref, pivots: Ref, b: Ref, *, left: bool = True, adjoint: bool = False) -> Ref:
    factors, b = _spread_batch(factors, b)
    pivots = pivots.spread(factors.shape[:-1])

    def write(w: Any, f: Any, p: Any, b: Any, out: Any) -> None:
        algebra.lu_solve(w, f, p, b, out, left=left, adjoint=adjoint)

    return _run(nests, write, [factors, pivots, b], nests.memory(b.shape, "f"))


def _solve_ex(nests: Nests, like: Any, a: Ref, b: Ref, *, left: bool = True, check_errors: bool = False) -> tuple[Lazy, Ref, Ref, Lazy]:
    factors, pivots = _lu(nests, a)
    column = len(b.shape) == 1 or (len(b.shape) == len(a.shape) - 1 and b.shape == a.shape[:-1])

    def solution() -> Ref:
        x = _lu_solve(nests, like, factors, pivots, b.unsqueeze(len(b.shape)) if column else b, left=left)
        return _column(x) if column else x

    return solution, factors, pivots, lambda: nests.literal(0, a.shape[:-2])


def _slogdet(nests: Nests, like: Any, a: Ref) -> tuple[Ref, Ref, Ref, Ref]:
    factors, pivots = _lu(nests, a)
    sign, size = nests.memory(a.shape[:-2], "f"), nests.memory(a.shape[:-2], "f")
    nests.computed(algebra.determinant, [factors, pivots], [sign, size])
    return sign, size, factors, pivots


def _det(nests: Nests, like: Any, a: Ref) -> tuple[Lazy, Ref, Ref]:
    sign, size, factors, pivots = _slogdet(nests, like, a)
    return lambda: nests.pointwise(lambda s, v: s * exp(v), sign, size), factors, pivots


# Scans


def _scan(write: Any) -> Rule:
    def rule(nests: Nests, like: Tensor, x: Ref, dim: int, *, dtype: Any = None) -> Ref:
        if x.size == 0 or not x.shape:
            return x
        kind = kind_of(like.dtype)
        reals = nests.pointwise(lambda v: v.to("f"), x)
        out = nests.memory(x.shape, "f")
        nests.computed(lambda w, a, out: write(w, a, out, dim), [reals], [out])
        return out if kind == "f" else nests.pointwise(lambda v: v.to(kind), out)

    return rule


def _extremes(write: Any) -> Rule:
    def rule(nests: Nests, like: Any, x: Ref, dim: int) -> tuple[Ref, Ref]:
        if x.size == 0 or not x.shape:
            return x, nests.literal(0, x.shape)
        values, indices = nests.memory(x.shape, "f"), nests.memory(x.shape, "i")
        indices.base.below = x.shape[dim]
        nests.computed(lambda w, a, v, i: write(w, a, v, i, dim), [x], [values, indices])
        return values, indices

    return rule


RULES: Mapping[str, Rule] = {
    "mm": _mm, "bmm": _mm, "mv": _mv, "dot": _dot, "vdot": _dot, "outer": _outer, "ger": _outer, "addmm": _plus(_mm),
    "baddbmm": _plus(_mm), "addmv": _plus(_mv), "linalg_cholesky_ex": _cholesky_ex, "cholesky": _cholesky,
    "linalg_solve_triangular": _solve_triangular, "triangular_solve": _triangular_solve, "cholesky_solve": _cholesky_solve,
    "cholesky_inverse": _cholesky_inverse, "linalg_inv_ex": _inv_ex, "linalg_lu_factor_ex": _lu_factor_ex, "linalg_lu_solve": _lu_solve,
    "_linalg_solve_ex": _solve_ex, "_linalg_slogdet": _slogdet, "_linalg_det": _det, "cumsum": _scan(scans.cumsum),
    "cumprod": _scan(scans.cumprod), "logcumsumexp": _scan(scans.logcumsumexp), "cummax": _extremes(scans.cummax),
    "cummin": _extremes(scans.cummin),
}  # fmt: skip
