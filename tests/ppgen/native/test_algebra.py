"""Linear algebra as loops, run by the interpreter, against LAPACK (numpy, scipy)."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import scipy.linalg

from ppgen.native import algebra
from ppgen.native.ir import Array, For, Program, View, run, walk
from ppgen.native.writer import Writer

SIZES = (0, 1, 2, 5)
Layouts = tuple[str, str]  # of arguments, of the result
RNG = np.random.default_rng


class Bench:
    """Arguments laid into buffer c in some layout, results read from out."""

    def __init__(self, single: bool = False):
        self.w, self.single, self.given = Writer(), single, [np.zeros(3)]  # nothing begins at 0
        self.w.sizes["c"] = 3

    def argument(self, value: Array, layout: str = "rows") -> View:
        """rows: contiguous; columns: last two dimensions exchanged in memory; gaps: every third element of something longer."""
        value = np.asarray(value, float)
        if layout == "columns" and value.ndim > 1:
            return algebra.transposed(self.argument(np.swapaxes(value, -1, -2)))
        if layout == "gaps":
            inside = self.argument(np.stack([value, value + 7.0, value - 7.0], -1))
            return View(inside.buffer, value.shape, inside.strides[:-1], inside.offset)
        view = self.w.new(value.shape, "c")
        self.given.append(value.reshape(-1))
        return view

    def result(self, shape: tuple[int, ...], layout: str = "rows") -> View:
        if layout == "columns" and len(shape) > 1:
            return self.w.new(shape, "out", algebra.column_major(shape))
        return self.w.new(shape, "out")

    def __call__(self, *views: View) -> list[Array]:
        program = Program(self.w.body, self.w.sizes, self.single)
        out = run(program, {"c": np.concatenate(self.given)})
        assert out.dtype == (np.float32 if self.single else np.float64)
        return [seen(out, v) for v in views]


def seen(buffer: Array, view: View) -> Array:
    return np.lib.stride_tricks.as_strided(buffer[view.offset :], view.shape, [s * buffer.itemsize for s in view.strides]).copy()


def computed(
    write: Callable[..., None],
    arguments: list[Array],
    shape: tuple[int, ...],
    layouts: Layouts = ("rows", "rows"),
    single: bool = False,
) -> Array:
    bench = Bench(single)
    views = [bench.argument(a, layouts[0]) for a in arguments]
    out = bench.result(shape, layouts[1])
    write(bench.w, *views, out)
    return bench(out)[0]


def definite(n: int, batch: tuple[int, ...] = (), seed: int = 0) -> Array:
    """Positive definite, its scale far from 1."""
    root = RNG(seed).normal(size=(*batch, n, n + 2)) * 30
    return root @ np.swapaxes(root, -1, -2) + 5 * np.eye(n)


LAYOUTS = [(a, b) for a in ("rows", "columns", "gaps") for b in ("rows", "columns")]
each_layout = pytest.mark.parametrize("layouts", LAYOUTS, ids="-".join)


# Products


@each_layout
@pytest.mark.parametrize("batch", [(), (3,), (2, 0), (2, 3)], ids=str)
def test_products_of_every_size(layouts: Layouts, batch: tuple[int, ...]) -> None:
    rng = RNG(1)
    for m in SIZES:
        for k in SIZES:
            for n in SIZES:
                a, b = rng.normal(size=(*batch, m, k)), 20 * rng.normal(size=(*batch, k, n))
                np.testing.assert_allclose(computed(algebra.matmul, [a, b], (*batch, m, n), layouts), a @ b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("left", ["rows", "columns", "gaps"])
@pytest.mark.parametrize("right", ["rows", "columns", "gaps"])
def test_products_of_matrices_stored_differently(left: str, right: str) -> None:
    a, b = RNG(2).normal(size=(2, 7, 4)), RNG(3).normal(size=(2, 4, 6))
    bench = Bench()
    x, y, out = bench.argument(a, left), bench.argument(b, right), bench.result((2, 7, 6))
    algebra.matmul(bench.w, x, y, out)
    np.testing.assert_allclose(bench(out)[0], a @ b, rtol=1e-12)


def test_rows_and_columns() -> None:
    rng = RNG(4)
    a, r, c = rng.normal(size=(5, 3)), rng.normal(size=5), rng.normal(size=3)
    np.testing.assert_allclose(computed(algebra.matmul, [a, c], (5,)), a @ c)
    np.testing.assert_allclose(computed(algebra.matmul, [r, a], (3,)), r @ a)
    np.testing.assert_allclose(computed(algebra.matmul, [c, 2 * c], ()), c @ (2 * c))


def test_a_broadcast_batch_and_a_broadcast_row() -> None:
    a, b = RNG(5).normal(size=(1, 4, 3)), RNG(6).normal(size=(6, 3, 2))
    bench = Bench()
    one, row, many = bench.argument(a), bench.argument(a[0, :1]), bench.argument(b)
    out, rows = bench.result((6, 4, 2)), bench.result((5, 2))
    algebra.matmul(bench.w, one._replace(shape=(6, 4, 3), strides=(0, 3, 1)), many, out)
    algebra.matmul(bench.w, row._replace(shape=(5, 3), strides=(0, 1)), many._replace(shape=(3, 2), strides=(2, 1)), rows)
    products, repeated = bench(out, rows)
    np.testing.assert_allclose(products, a @ b, rtol=1e-12)
    np.testing.assert_allclose(repeated, np.repeat(a[0, :1] @ b[0], 5, 0), rtol=1e-12)


def test_a_long_matrix_is_read_row_after_row_both_ways() -> None:
    """X b has the columns inside and X' r too, so that the two can share one pass over the rows."""
    w = Writer()
    x, b, r = w.new((500, 20), "c"), w.new((20,), "c"), w.new((500,), "c")
    algebra.matmul(w, x, b, w.new((500,)))
    algebra.matmul(w, algebra.transposed(x), r, w.new((20,)))
    nests = [[s for s in walk([loop]) if isinstance(s, For)] for loop in w.body if isinstance(loop, For)]
    assert [[loop.stop.offset for loop in nest] for nest in nests] == [[500, 20], [20], [500, 20]]


# Positive definite matrices


@each_layout
@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("batch", [(), (2, 2)], ids=str)
def test_cholesky(layouts: Layouts, upper: bool, batch: tuple[int, ...]) -> None:
    for n in (*SIZES, 9):
        a = definite(n, batch)
        other = np.tril(np.full((n, n), np.nan), -1)
        given = a + (other if upper else other.T)  # the other triangle is not read
        factor = computed(partial(algebra.cholesky, upper=upper), [given], a.shape, layouts)
        expected = np.linalg.cholesky(a)
        np.testing.assert_allclose(factor, np.swapaxes(expected, -1, -2) if upper else expected, rtol=1e-10)


@pytest.mark.parametrize("layout", ["rows", "columns"])
@pytest.mark.parametrize("bad", [-1.0, 0.0, np.nan, -1e-300], ids=str)
def test_cholesky_of_what_is_not_positive_definite_is_nan_for_that_matrix_alone(layout: str, bad: float) -> None:
    a = definite(4, (5,))
    a[3, 0, 0] = bad
    a[1, 3, 3] = -1.0 if np.isnan(bad) else bad
    a[2] = 4.0  # of rank one, its root exact
    factor = computed(algebra.cholesky, [a], a.shape, ("rows", layout))
    assert np.isnan(factor[1:4]).all()
    np.testing.assert_allclose(factor[[0, 4]], np.linalg.cholesky(a[[0, 4]]), rtol=1e-10)


def test_cholesky_of_a_matrix_near_singular_is_backward_stable() -> None:
    a = scipy.linalg.hilbert(10) * 1e6
    factor = computed(algebra.cholesky, [a], a.shape, ("rows", "columns"))
    np.testing.assert_allclose(factor @ factor.T, a, rtol=1e-14)


@each_layout
@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("left", [False, True])
@pytest.mark.parametrize("unit", [False, True])
def test_triangular_solve(layouts: Layouts, upper: bool, left: bool, unit: bool) -> None:
    for n in SIZES:
        for m in SIZES:
            a = RNG(n).normal(size=(3, n, n)) + 4 * np.eye(n)
            b = 50 * RNG(m).normal(size=(3, n, m) if left else (3, m, n))
            solution = computed(partial(algebra.triangular_solve, upper=upper, left=left, unit=unit), [a, b], b.shape, layouts)
            triangle = np.triu(a, unit) if upper else np.tril(a, -int(unit))
            triangle = triangle + unit * np.eye(n)
            product = triangle @ solution if left else solution @ triangle
            np.testing.assert_allclose(product, b, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("upper", [False, True])
def test_triangular_solve_in_place_reads_one_triangle(upper: bool) -> None:
    n = 6
    a = np.where(np.tril(np.ones((n, n))).T if upper else np.tril(np.ones((n, n))), RNG(7).normal(size=(n, n)) + 4 * np.eye(n), np.nan)
    bench = Bench()
    view, out = bench.argument(a), bench.result((n, 1))
    algebra.copy(bench.w, bench.argument(np.arange(1.0, n + 1)[:, None]), out)
    algebra.triangular_solve(bench.w, view, out, out, upper=upper)
    expected = scipy.linalg.solve_triangular(np.nan_to_num(a), np.arange(1.0, n + 1)[:, None], lower=not upper)
    np.testing.assert_allclose(bench(out)[0], expected, rtol=1e-10)


@each_layout
@pytest.mark.parametrize("upper", [False, True])
def test_solutions_and_inverses_from_cholesky_factors(layouts: Layouts, upper: bool) -> None:
    for n in SIZES:
        a, b = definite(n, (2,)), RNG(8).normal(size=(2, n, 3))
        factor = np.linalg.cholesky(a)
        factor = np.swapaxes(factor, -1, -2) if upper else factor
        x = computed(partial(algebra.cholesky_solve, upper=upper), [b, factor], b.shape, layouts)
        np.testing.assert_allclose(x, np.linalg.solve(a, b), rtol=1e-9)
        inverse = computed(partial(algebra.cholesky_inverse, upper=upper), [factor], a.shape, layouts)
        np.testing.assert_allclose(inverse, np.linalg.inv(a), rtol=1e-9, atol=1e-14)


# General matrices


@each_layout
@pytest.mark.parametrize("left", [False, True])
def test_solve_and_inverse(layouts: Layouts, left: bool) -> None:
    for n in SIZES:
        a, b = 30 * RNG(n).normal(size=(3, n, n)), RNG(9).normal(size=(3, n, 2))
        expected = np.linalg.solve(a if left else np.swapaxes(a, -1, -2), b)
        b, expected = (b, expected) if left else (np.swapaxes(b, -1, -2), np.swapaxes(expected, -1, -2))
        x = computed(partial(algebra.solve, left=left), [a, b], b.shape, layouts)
        np.testing.assert_allclose(x, expected, rtol=1e-8)
        np.testing.assert_allclose(computed(algebra.inverse, [a], a.shape, layouts), np.linalg.inv(a), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("layout", ["rows", "columns"])
def test_lu_is_that_of_lapack(layout: str) -> None:
    a = RNG(10).normal(size=(6, 6))
    a[0, 0] = 0.0
    bench = Bench()
    view, factors, pivots = bench.argument(a), bench.result((6, 6), layout), bench.w.new((6,), "m")
    algebra.lu(bench.w, view, factors, pivots)
    order = bench.result((6,))
    with bench.w.loop(6) as i:
        bench.w.store(order, (i,), bench.w.real("real", bench.w.load(pivots, i)))
    expected, rows = scipy.linalg.lu_factor(a)
    found, found_rows = bench(factors, order)
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    np.testing.assert_array_equal(found_rows - 1, rows)


@pytest.mark.parametrize("adjoint", [False, True])
@pytest.mark.parametrize("left", [False, True])
def test_factors_solve_both_ways(adjoint: bool, left: bool) -> None:
    a = RNG(11).normal(size=(2, 5, 5))
    b = RNG(12).normal(size=(2, 5, 3) if left else (2, 3, 5))
    bench = Bench()
    view, right = bench.argument(a), bench.argument(b)
    factors, pivots, out = bench.w.new(a.shape), bench.w.new((2, 5), "m"), bench.result(b.shape)
    algebra.lu(bench.w, view, factors, pivots)
    algebra.lu_solve(bench.w, factors, pivots, right, out, left=left, adjoint=adjoint)
    matrix, x = np.swapaxes(a, -1, -2) if adjoint else a, bench(out)[0]
    np.testing.assert_allclose(matrix @ x if left else x @ matrix, b, rtol=1e-9, atol=1e-12)


@each_layout
def test_determinants(layouts: Layouts) -> None:
    for n in SIZES:
        a = 20 * RNG(n).normal(size=(6, n, n))
        bench = Bench()
        view, sign, logabs = bench.argument(a, layouts[0]), bench.result((6,)), bench.result((6,))
        algebra.slogdet(bench.w, view, sign, logabs)
        expected = np.linalg.slogdet(a)
        for found, true in zip(bench(sign, logabs), expected, strict=True):
            np.testing.assert_allclose(found, true, rtol=1e-10, atol=1e-12)


def test_a_singular_matrix_has_determinant_zero_and_one_with_nan_has_nan() -> None:
    a = np.stack([np.ones((3, 3)), np.diag([2.0, 0.0, 3.0]), np.zeros((3, 3)), np.full((3, 3), np.nan)])
    bench = Bench()
    view, sign, logabs = bench.argument(a), bench.result((4,)), bench.result((4,))
    algebra.slogdet(bench.w, view, sign, logabs)
    signs, logs = bench(sign, logabs)
    np.testing.assert_array_equal(signs, [0, 0, 0, np.nan])
    np.testing.assert_array_equal(logs, [-np.inf, -np.inf, -np.inf, np.nan])


def test_pivoting_saves_what_elimination_without_it_would_lose() -> None:
    a, b = np.array([[1e-20, 1.0], [1.0, 1.0]]), np.array([[1.0], [2.0]])
    np.testing.assert_allclose(computed(algebra.solve, [a, b], (2, 1)), [[1.0], [1.0]], rtol=1e-15)


@pytest.mark.parametrize("write", [algebra.matmul, algebra.solve, algebra.cholesky_solve], ids=lambda f: f.__name__)
def test_single_precision(write: Callable[..., None]) -> None:
    a, b = np.linalg.cholesky(definite(6) / 1000), RNG(13).normal(size=(6, 6))
    order = [b, a] if write is algebra.cholesky_solve else [a, b]
    expected = {algebra.matmul: a @ b, algebra.solve: np.linalg.solve(a, b), algebra.cholesky_solve: np.linalg.solve(a @ a.T, b)}[write]
    np.testing.assert_allclose(computed(write, order, (6, 6), single=True), expected, rtol=2e-4, atol=1e-4)
