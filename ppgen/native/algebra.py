"""Linear algebra and scans as loops.

Every function appends the loops that compute its results from views of any strides. Leading dimensions are a batch, the same
in all views (broadcast by stride 0), and are the outer loops. Results must not overlap arguments unless the docstring allows
it. Loops are ordered by the strides so that the innermost walks memory one element after the other wherever an order does.
Nothing raises: what does not exist is nan.
"""

from collections.abc import Sequence

from .ir import View, contiguous
from .writer import Coordinate, Writer, shifted

__all__ = [
    "cholesky", "cholesky_inverse", "cholesky_solve", "column_major", "copy", "determinant", "fill", "inverse", "lu", "lu_solve", "matmul",
    "slogdet", "solve", "transposed", "triangular_solve",
]  # fmt: skip

At = tuple[Coordinate, ...]
SMALL = 4096  # elements of a result that stays in the first-level cache while the arguments stream past


def transposed(view: View) -> View:
    """The last two dimensions exchanged."""
    (*batch, m, n), (*outer, s, t) = view.shape, view.strides
    return view._replace(shape=(*batch, n, m), strides=(*outer, t, s))


def column_major(shape: Sequence[int]) -> tuple[int, ...]:
    """Strides of matrices stored column after column: the layout in which factors are found and used fastest."""
    *batch, m, n = shape
    *outer, s, t = contiguous((*batch, n, m))
    return (*outer, t, s)


def fill(w: Writer, out: View, value: float) -> None:
    with w.loops(out.shape) as at:
        w.store(out, at, value)


def copy(w: Writer, a: View, out: View) -> None:
    with w.loops(out.shape) as at:
        w.store(out, at, w.load(a, *at))


# Products


def matmul(w: Writer, a: View, b: View, out: View) -> None:
    """(..., m, k) times (..., k, n) into (..., m, n).

    Where there is no batch, a view of one dimension is a row on the left and a column on the right, and `out` lacks that
    dimension.
    """
    if len(a.shape) == 1:
        a, out = _with_dimension(a, 0), _with_dimension(out, len(out.shape) - (len(b.shape) > 1))
    if len(b.shape) == 1:
        b, out = _with_dimension(b, 1), _with_dimension(out, len(out.shape))
    order = _order(a, b, out)
    if order[-1] != "k":
        fill(w, out, 0.0)
    *batch, m, n = out.shape
    extents = {"i": m, "j": n, "k": a.shape[-1]}
    with w.loops(batch) as at, w.loops([extents[v] for v in order[:-1]]) as outer:
        where = dict(zip(order, outer, strict=False))
        if order[-1] == "k":
            _inner_product(w, a, b, out, at, where["i"], where["j"])
        else:
            _inner_update(w, a, b, out, at, order[-1], where)


def _inner_product(w: Writer, a: View, b: View, out: View, at: At, i: Coordinate, j: Coordinate) -> None:
    """out[i, j] = the sum over k of a[i, k] b[k, j]."""
    total = w.variable(0.0)
    with w.loop(a.shape[-1]) as k:
        w.update(total, w.real("mul", w.load(a, *at, i, k), w.load(b, *at, k, j)), "add")
    w.store(out, (*at, i, j), total)


def _inner_update(w: Writer, a: View, b: View, out: View, at: At, inner: str, where: dict[str, Coordinate]) -> None:
    """out[i, j] += a[i, k] b[k, j] for all i or all j; the factor that is the same for all is loaded once."""
    k = where["k"]
    if inner == "j":
        factor = w.load(a, *at, where["i"], k)
        with w.loop(out.shape[-1]) as j:
            w.store(out, (*at, where["i"], j), w.real("mul", factor, w.load(b, *at, k, j)), "add")
    else:
        factor = w.load(b, *at, k, where["j"])
        with w.loop(out.shape[-2]) as i:
            w.store(out, (*at, i, where["j"]), w.real("mul", w.load(a, *at, i, k), factor), "add")


def _with_dimension(view: View, dim: int) -> View:
    return view._replace(shape=(*view.shape[:dim], 1, *view.shape[dim:]), strides=(*view.strides[:dim], 0, *view.strides[dim:]))


def _order(a: View, b: View, out: View) -> str:
    """Order of the loops over rows i, columns j and the contraction k, outermost first.

    The innermost has the fewest strides that are neither 0 nor 1. k is outermost where both arguments are stored one k after
    the other and the result is small: they are then read once and in order.
    """
    (m, n), k = out.shape[-2:], a.shape[-1]
    extents = {"i": m, "j": n, "k": k}
    strides = {"i": (a.strides[-2], out.strides[-2]), "j": (b.strides[-1], out.strides[-1]), "k": (a.strides[-1], b.strides[-2])}
    inner = min("kji", key=lambda v: (extents[v] == 1, sum(s not in (0, 1) for s in strides[v]), -extents[v]))
    if inner == "k":
        return "ijk"
    other = "i" if inner == "j" else "j"
    streams = (m == 1 or a.strides[-1] > a.strides[-2]) and (n == 1 or b.strides[-2] > b.strides[-1])
    return f"k{other}{inner}" if streams and m * n <= SMALL else f"{other}k{inner}"


# Positive definite matrices


def cholesky(w: Writer, a: View, out: View, upper: bool = False) -> None:
    """The factor L with L L' = a (or U with U' U = a), of which only that triangle is read; zero in the other triangle.

    A matrix that is not positive definite has the factor nan, in both triangles. n^3 / 3 operations. Fastest where a lower
    factor is stored column after column: 3.3 us for n = 40, 80 us for 150 (LAPACK on the same machine 4.4 and 330, one thread).
    """
    if upper:
        a, out = transposed(a), transposed(out)
    *batch, n, _ = a.shape
    by_columns = out.strides[-2] == 1 or out.strides[-1] != 1
    with w.loops(batch) as at:
        faults = w.variable(0, "i")
        with w.loop(n) as j:
            (_cholesky_column if by_columns else _cholesky_row)(w, a, out, at, n, j, faults)
        faulty = w.whole("min", faults, 1)
        with w.loop(faulty), w.loops((n, n)) as place:  # never entered where all is well
            w.store(out, (*at, *place), float("nan"))


def _pivot(w: Writer, square: str, faults: str) -> str:
    """The root of a diagonal element; counted among the faults if that element is not positive."""
    w.update(faults, w.whole("where", w.truth("gt", square, 0.0), 0, 1), "add")
    return w.real("sqrt", square)


def _cholesky_column(w: Writer, a: View, out: View, at: At, n: int, j: Coordinate, faults: str) -> None:
    """Column j of a lower factor, from the columns before it."""
    with w.loop(j) as i:
        w.store(out, (*at, i, j), 0.0)
    with w.loop(n, j) as i:
        w.store(out, (*at, i, j), w.load(a, *at, i, j))
    with w.loop(j) as k:
        factor = w.real("neg", w.load(out, *at, j, k))
        with w.loop(n, j) as i:
            w.store(out, (*at, i, j), w.real("mul", factor, w.load(out, *at, i, k)), "add")
    root = _pivot(w, w.load(out, *at, j, j), faults)
    w.store(out, (*at, j, j), root)
    scale = w.real("div", 1.0, root)
    with w.loop(n, shifted(j, 1)) as i:
        w.store(out, (*at, i, j), w.real("mul", scale, w.load(out, *at, i, j)))


def _cholesky_row(w: Writer, a: View, out: View, at: At, n: int, i: Coordinate, faults: str) -> None:
    """Row i of a lower factor, from the rows above it."""
    with w.loop(i) as j:
        rest = _rest(w, w.load(a, *at, i, j), out, out, at, i, j, j)
        w.store(out, (*at, i, j), w.real("div", rest, w.load(out, *at, j, j)))
    w.store(out, (*at, i, i), _pivot(w, _rest(w, w.load(a, *at, i, i), out, out, at, i, i, i), faults))
    with w.loop(n, shifted(i, 1)) as j:
        w.store(out, (*at, i, j), 0.0)


def _rest(w: Writer, start: str, a: View, b: View, at: At, i: Coordinate, j: Coordinate, stop: Coordinate) -> str:
    """start - the sum over k < stop of a[i, k] b[j, k]."""
    total = w.variable(0.0)
    with w.loop(stop) as k:
        w.update(total, w.real("mul", w.load(a, *at, i, k), w.load(b, *at, j, k)), "add")
    return w.real("sub", start, total)


def triangular_solve(w: Writer, a: View, b: View, out: View, *, upper: bool, left: bool = True, unit: bool = False) -> None:
    """X with a X = b, or X a = b where not `left`, for triangular a whose other triangle is not read; unit: its diagonal is 1.

    b and out (..., n, m), or (..., m, n) where not `left`; `out` may be b.
    """
    if not left:
        a, b, out, upper = transposed(a), transposed(b), transposed(out), not upper
    if out != b:
        copy(w, b, out)
    *batch, _, m = out.shape
    with w.loops(batch) as at:
        if m > 1 and out.strides[-1] == 1:
            _substitute_rows(w, a, out, at, upper, unit)
        else:
            with w.loop(m) as c:
                (_substitute_inner if a.strides[-1] == 1 else _substitute_outer)(w, a, out, at, c, upper, unit)


def _substitute_rows(w: Writer, a: View, x: View, at: At, upper: bool, unit: bool) -> None:
    """Row by row, all right-hand sides at once."""
    n, m = x.shape[-2:]
    with w.loop(n, reverse=upper) as i:
        with w.loop(*((n, shifted(i, 1)) if upper else (i, 0))) as k:
            factor = w.real("neg", w.load(a, *at, i, k))
            with w.loop(m) as c:
                w.store(x, (*at, i, c), w.real("mul", factor, w.load(x, *at, k, c)), "add")
        if not unit:
            scale = w.real("div", 1.0, w.load(a, *at, i, i))
            with w.loop(m) as c:
                w.store(x, (*at, i, c), w.real("mul", scale, w.load(x, *at, i, c)))


def _substitute_inner(w: Writer, a: View, x: View, at: At, c: Coordinate, upper: bool, unit: bool) -> None:
    """One right-hand side: each element less an inner product with those before it; reads a by rows."""
    n = x.shape[-2]
    with w.loop(n, reverse=upper) as i:
        total = w.variable(0.0)
        with w.loop(*((n, shifted(i, 1)) if upper else (i, 0))) as k:
            w.update(total, w.real("mul", w.load(a, *at, i, k), w.load(x, *at, k, c)), "add")
        rest = w.real("sub", w.load(x, *at, i, c), total)
        w.store(x, (*at, i, c), rest if unit else w.real("div", rest, w.load(a, *at, i, i)))


def _substitute_outer(w: Writer, a: View, x: View, at: At, c: Coordinate, upper: bool, unit: bool) -> None:
    """One right-hand side: each element is taken out of those after it; reads a by columns."""
    n = x.shape[-2]
    with w.loop(n, reverse=upper) as k:
        value = w.load(x, *at, k, c)
        if not unit:
            value = w.real("div", value, w.load(a, *at, k, k))
            w.store(x, (*at, k, c), value)
        factor = w.real("neg", value)
        with w.loop(*((k, 0) if upper else (n, shifted(k, 1)))) as i:
            w.store(x, (*at, i, c), w.real("mul", factor, w.load(a, *at, i, k)), "add")


def cholesky_solve(w: Writer, b: View, factor: View, out: View, upper: bool = False) -> None:
    """X with L L' X = b, or U' U X = b; b and out (..., n, m); `out` may be b."""
    lower = transposed(factor) if upper else factor
    triangular_solve(w, lower, b, out, upper=False)
    triangular_solve(w, transposed(lower), out, out, upper=True)


def cholesky_inverse(w: Writer, factor: View, out: View, upper: bool = False) -> None:
    """The inverse of L L', or of U' U."""
    _identity(w, out)
    cholesky_solve(w, out, factor, out, upper)


def _identity(w: Writer, out: View) -> None:
    fill(w, out, 0.0)
    with w.loops(out.shape[:-1]) as at:
        w.store(out, (*at, at[-1]), 1.0)


# General square matrices, by elimination with partial pivoting


def lu(w: Writer, a: View, out: View, pivots: View) -> None:
    """P a = L U: U in the upper triangle of `out`, L below it (its diagonal is 1); `out` may be a.

    pivots (..., n), whole numbers: row k was exchanged with row pivots[k] - 1, as in LAPACK. Columns without a pivot are left
    as they are, so that a singular matrix has a determinant. 2 n^3 / 3 operations.
    """
    if out != a:
        copy(w, a, out)
    *batch, n, _ = out.shape
    with w.loops(batch) as at, w.loop(n) as k:
        row = _largest(w, out, at, k)
        w.store(pivots, (*at, k), w.whole("add", row, 1))
        _exchange(w, out, at, k, row)
        pivot = w.load(out, *at, k, k)
        none = w.truth("eq", pivot, 0.0)
        with w.loop(n, shifted(k, 1)) as i:
            w.store(out, (*at, i, k), w.real("where", none, 0.0, w.real("div", w.load(out, *at, i, k), pivot)))
        by_rows = out.strides[-1] == 1
        with w.loop(n, shifted(k, 1)) as p, w.loop(n, shifted(k, 1)) as q:
            i, j = (p, q) if by_rows else (q, p)
            product = w.real("mul", w.load(out, *at, i, k), w.load(out, *at, k, j))
            w.store(out, (*at, i, j), w.real("neg", product), "add")


def _largest(w: Writer, a: View, at: At, k: Coordinate) -> str:
    """The row, from k on, of the element of column k that is largest in size."""
    row = w.variable(k, "i")
    largest = w.variable(w.real("abs", w.load(a, *at, k, k)))
    with w.loop(a.shape[-2], shifted(k, 1)) as i:
        size = w.real("abs", w.load(a, *at, i, k))
        better = w.truth("gt", size, largest)
        w.update(row, w.whole("where", better, i, row))
        w.update(largest, w.real("where", better, size, largest))
    return row


def _exchange(w: Writer, a: View, at: At, i: Coordinate, j: Coordinate) -> None:
    with w.loop(a.shape[-1]) as c:
        one, other = w.load(a, *at, i, c), w.load(a, *at, j, c)
        w.store(a, (*at, i, c), other)
        w.store(a, (*at, j, c), one)


def lu_solve(w: Writer, factors: View, pivots: View, b: View, out: View, *, left: bool = True, adjoint: bool = False) -> None:
    """X with A X = b, or X A = b where not `left`, from what `lu` made of A; adjoint: for A' in place of A; `out` may be b."""
    if not left:
        b, out, adjoint = transposed(b), transposed(out), not adjoint
    if out != b:
        copy(w, b, out)
    if adjoint:
        across = transposed(factors)
        triangular_solve(w, across, out, out, upper=False)
        triangular_solve(w, across, out, out, upper=True, unit=True)
    *batch, n, _ = out.shape
    with w.loops(batch) as at, w.loop(n, reverse=adjoint) as k:
        _exchange(w, out, at, k, w.whole("sub", w.load(pivots, *at, k), 1))
    if not adjoint:
        triangular_solve(w, factors, out, out, upper=False, unit=True)
        triangular_solve(w, factors, out, out, upper=True)


def determinant(w: Writer, factors: View, pivots: View, sign: View, logabs: View) -> None:
    """det A = sign * exp(logabs), each (...), from what `lu` made of A."""
    *batch, n, _ = factors.shape
    with w.loops(batch) as at:
        negative, total = w.variable(1.0), w.variable(0.0)
        with w.loop(n) as k:
            value = w.load(factors, *at, k, k)
            exchanged = w.truth("ne", w.load(pivots, *at, k), w.whole("add", k, 1))
            one = w.real("where", w.truth("lt", value, 0.0), -1.0, w.real("where", w.truth("gt", value, 0.0), 1.0, value))
            w.update(negative, w.real("mul", negative, w.real("where", exchanged, w.real("neg", one), one)))
            w.update(total, w.real("log", w.real("abs", value)), "add")
        w.store(sign, at, negative)
        w.store(logabs, at, total)


def slogdet(w: Writer, a: View, sign: View, logabs: View) -> None:
    """det a = sign * exp(logabs), each (...); of a singular matrix 0 and -inf."""
    factors, pivots = _factors(w, a)
    determinant(w, factors, pivots, sign, logabs)


def solve(w: Writer, a: View, b: View, out: View, *, left: bool = True) -> None:
    """X with a X = b, or X a = b where not `left`; `out` may be b."""
    factors, pivots = _factors(w, a)
    lu_solve(w, factors, pivots, b, out, left=left)


def inverse(w: Writer, a: View, out: View) -> None:
    """inf or nan somewhere in the inverse of a singular matrix."""
    _identity(w, out)
    solve(w, a, out, out)


def _factors(w: Writer, a: View) -> tuple[View, View]:
    factors, pivots = w.new(a.shape), w.new(a.shape[:-1], "m")
    lu(w, a, factors, pivots)
    return factors, pivots
