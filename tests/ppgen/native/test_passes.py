"""Passes over loops: the interpreter gives the same bits before and after, on programs drawn at random and on those written here."""

import random
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppgen.native import algebra
from ppgen.native.ir import Array, Body, For, Index, Let, Load, Program, Store, Update, Variable, View, run, walk
from ppgen.native.passes import forwarded, jammed, merged, optimised, registered, strips, swept, unrolled
from ppgen.native.writer import Writer, shifted

PASSES: dict[str, Callable[[Program], Program]] = {
    "unrolled": unrolled,
    "registered": registered,
    "registered after unrolling": lambda p: registered(unrolled(p)),
    "unrolled a little": lambda p: unrolled(p, most=3, limit=60),
    "merged": merged,
    "strips": lambda p: strips(p, cache=0, strip=1, least=2),
    "jammed": lambda p: jammed(p, range(1, 10), by=2),
    "jammed after strips": lambda p: jammed(strips(p, cache=0, strip=1, least=2), range(1, 10), by=2),
    "forwarded": forwarded,
    "swept": swept,
    "optimised": optimised,
    "all with strips": lambda p: unrolled(swept(forwarded(merged(strips(p, cache=0, strip=1, least=2))))),
}
SIZES = {"x": 100, "w": 160, "m": 12, "out": 160}


def vector(buffer: str, size: int, offset: int = 0) -> View:
    return View(buffer, (size,), (1,), offset)


class Author:
    """Writes a program at random: loops that share ranges, touch the same places and update locals from outside."""

    def __init__(self, rng: random.Random):
        self.rng, self.w = rng, Writer(sizes=dict(SIZES))
        self.known: dict[str, tuple[int, int]] = {}  # loop variables and their values
        self.reals: list[str] = []
        self.variables: list[str] = []
        self.wholes: list[str] = []

    def program(self) -> Program:
        with self.w.loop(SIZES["w"]) as i:  # so that reads see numbers
            self.w.store(vector("w", SIZES["w"]), (i,), self.w.real("real", i))
        with self.w.loop(SIZES["m"]) as i:
            self.w.store(vector("m", SIZES["m"]), (i,), self.w.whole("mod", self.w.whole("mul", i, 7), SIZES["m"]))
        self.body(8, 2)
        with self.w.loop(SIZES["w"] // 2) as i:  # so that most of what was written is seen
            self.w.store(vector("out", SIZES["out"]), (i,), self.w.load(vector("w", SIZES["w"]), i), "add")
        return Program(self.w.body, self.w.sizes)

    def place(self, buffer: str) -> Index:
        """Affine in the variables, within the buffer: often the same as another, or beside it."""
        if self.wholes and self.rng.random() < 0.1:
            return Index(self.rng.randrange(8), ((self.rng.choice(self.wholes), 1),))
        strides = [(), (1, 1, 1, 2, 0), ((7, 1), (7, 1), (7, 1), (1, 7), (1, 1), (0, 1), (1, 0), (-1, 2))][len(self.known)]
        chosen = self.rng.choice(strides) if self.known else ()
        terms = tuple((v, s) for v, s in zip(self.known, chosen if isinstance(chosen, tuple) else (chosen,), strict=True) if s)
        least = sum(min(s * a for a in self.known[v]) for v, s in terms)
        most = sum(max(s * a for a in self.known[v]) for v, s in terms)
        return Index(-least + min(self.rng.choice((0, 0, 0, 1, 2, 20, 40)), SIZES[buffer] - 1 - most + least), terms)

    def body(self, statements: int, depth: int) -> None:
        marks = len(self.reals), len(self.variables), len(self.wholes)
        write = [self.load, self.load, self.let, self.store, self.store, self.local]
        if depth:
            write += [lambda: self.loop(depth)] * (12 if depth == 2 else 2)
        for _ in range(self.rng.randint(2, statements)):
            self.rng.choice(write)()
        del self.reals[marks[0] :], self.variables[marks[1] :], self.wholes[marks[2] :]

    def load(self) -> None:
        if self.rng.random() < 0.15:
            name = self.w.names()
            self.w.body.append(Load(name, "m", Index(self.rng.randrange(12))))
            self.wholes.append(name)
            return
        name, buffer = self.w.names(), self.rng.choice("xwww")
        self.w.body.append(Load(name, buffer, self.place(buffer)))
        self.reals.append(name)

    def value(self) -> str | float:
        return self.rng.choice([*self.reals[-3:], *self.variables, 0.5, -3.0])

    def let(self) -> None:
        self.reals.append(self.w.real(self.rng.choice(("add", "mul", "max")), self.value(), self.value()))

    def store(self) -> None:
        buffer = self.rng.choice(("w", "w", "out"))
        self.w.body.append(Store(buffer, self.place(buffer), self.value(), self.rng.choice(("set", "set", "add", "max"))))

    def local(self) -> None:
        if self.variables and self.rng.random() < 0.6:
            self.w.update(self.rng.choice(self.variables), self.value(), self.rng.choice(("set", "add", "max")))
        else:
            self.variables.append(self.w.variable(self.value()))

    def loop(self, depth: int) -> None:
        start, stop = self.rng.choice([(0, 6), (0, 6), (0, 6), (0, 6), (0, 3), (1, 4), (2, 2)])
        bounds: tuple[Index, Index] = (Index(stop), Index(start))
        for outer, (low, high) in self.known.items():
            if low == 0 and self.rng.random() < 0.2:  # a triangle
                start, stop, bounds = 0, high + 1, (shifted(outer, 1), Index())
        with self.w.loop(*bounds, reverse=self.rng.random() < 0.1) as variable:
            self.known[str(variable)] = (start, max(stop - 1, start))
            self.body(4, depth - 1)
            del self.known[str(variable)]


@pytest.mark.parametrize("name", PASSES)
@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 10**6))
def test_programs_at_random_compute_the_same(name: str, seed: int) -> None:
    program = Author(random.Random(seed)).program()  # noqa: S311
    x = {"x": np.random.default_rng(seed).normal(size=SIZES["x"]) * 10}
    np.testing.assert_array_equal(run(PASSES[name](program), x), run(program, x))


def loops(body: Body, at_least: int = 0) -> list[For]:
    return [s for s in walk(body) if isinstance(s, For) and s.stop.offset - s.start.offset >= at_least]


def same(program: Program, changed: Program, **buffers: Array) -> None:
    expected = run(program, buffers)
    assert np.isfinite(expected).all()
    assert expected.any()
    np.testing.assert_array_equal(run(changed, buffers), expected)


# Unrolling


def test_a_small_triangular_solve_has_no_loops_left() -> None:
    w = Writer()
    a, b, out = w.new((2, 3, 3), "c"), w.new((2, 3, 1), "x"), w.new((2, 3, 1), "out")
    algebra.triangular_solve(w, a, b, out, upper=False)
    program = Program(w.body, w.sizes)
    changed = unrolled(program)
    assert loops(program.body)
    assert not loops(changed.body)
    rng = np.random.default_rng(0)
    same(program, changed, c=rng.normal(size=18), x=rng.normal(size=6))


def test_a_loop_around_a_long_one_stays() -> None:
    w = Writer()
    with w.loop(3) as i, w.loop(100) as j:
        w.store(View("out", (3, 100), (100, 1)), (i, j), w.load(vector("x", 100), j))
    program = Program(w.body, {"out": 300, "x": 100})
    assert unrolled(program).body == program.body


def test_what_is_written_out_has_names_of_its_own_and_stays_within_the_limit() -> None:
    w = Writer()
    for _ in range(50):
        with w.loop(4) as i:
            w.store(vector("out", 4), (i,), w.real("mul", w.load(vector("x", 4), i), 3.0), "add")
    program = Program(w.body, {"out": 4, "x": 4})
    changed = unrolled(program, limit=300)
    names = [s.name for s in walk(changed.body) if isinstance(s, Load | Let | Variable)]
    assert len(names) == len(set(names))
    assert 250 < sum(1 for _ in walk(changed.body)) <= 300
    same(program, changed, x=np.arange(1.0, 5))


# Merging


def test_two_loops_become_one_where_each_iteration_reads_its_own() -> None:
    w = Writer()
    half = w.new((20,))
    with w.loop(20) as i:
        w.store(half, (i,), w.real("mul", w.load(vector("x", 20), i), 0.5))
    scale = w.load(vector("x", 1), 0)
    total = w.variable(0.0)
    with w.loop(20) as i:
        w.update(total, w.real("mul", scale, w.load(half, i)), "add")
    w.store(vector("out", 1), (0,), total)
    program = Program(w.body, {**w.sizes, "x": 20, "out": 1})
    changed = merged(program)
    assert len(loops(changed.body)) == 1
    same(program, changed, x=np.arange(3.0, 23))
    assert not any(isinstance(s, Store) and s.buffer == "w" for s in walk(swept(forwarded(changed)).body))


@pytest.mark.parametrize(("reads", "count"), [(0, 1), (-1, 1), (1, 2)], ids=["its own", "one before", "one after"])
@pytest.mark.parametrize("reverse", [False, True])
def test_neighbours_that_are_read_decide(reads: int, count: int, reverse: bool) -> None:
    w = Writer()
    with w.loop(22) as i:
        w.store(vector("w", 22), (i,), w.load(vector("x", 22), i))
    with w.loop(21, 1, reverse=reverse) as i:
        w.store(vector("w", 22), (i,), w.real("mul", w.load(vector("x", 22), i), 2.0))
    with w.loop(21, 1, reverse=reverse) as i:
        w.store(vector("out", 22), (i,), w.load(vector("w", 22, reads), i))
    program = Program(w.body, {"x": 22, "w": 22, "out": 22})
    changed = merged(program)
    same(program, changed, x=np.arange(3.0, 25))
    expected = {-1: 1, 1: 2}.get(reads * (-1 if reverse else 1), 1)
    assert len(loops(changed.body)) == 1 + expected
    assert reverse or expected == count


def test_a_sum_that_the_next_loop_needs_keeps_them_apart() -> None:
    w = Writer()
    total = w.variable(0.0)
    with w.loop(9) as i:
        w.update(total, w.load(vector("x", 9), i), "add")
    with w.loop(9) as i:
        w.store(vector("out", 9), (i,), w.real("div", w.load(vector("x", 9), i), total))
    program = Program(w.body, {"x": 9, "out": 9})
    assert len(loops(merged(program).body)) == 2
    same(program, merged(program), x=np.arange(1.0, 10))


def test_a_recursion_is_not_put_into_a_loop_for_vectors() -> None:
    w = Writer()
    with w.loop(9) as i:
        w.store(vector("w", 10), (i,), w.real("exp", w.load(vector("x", 9), i)))
    state = w.variable(1.0)
    with w.loop(9) as i:
        w.update(state, w.real("mul", state, w.load(vector("w", 9), i)))
        w.store(vector("out", 9), (i,), state)
    program = Program(w.body, {"x": 9, "w": 10, "out": 9})
    assert len(loops(merged(program).body)) == 2


def test_perfect_nests_become_one() -> None:
    w = Writer()
    a, b = w.new((6, 7)), View("x", (6, 7), (7, 1))
    with w.loops((6, 7)) as at:
        w.store(a, at, w.real("exp", w.load(b, *at)))
    with w.loops((6, 7)) as at:
        w.store(View("out", (6, 7), (1, 6)), at, w.load(a, *at))
    program = Program(w.body, {**w.sizes, "x": 42, "out": 42})
    changed = merged(program)
    assert len(loops(changed.body)) == 2
    same(program, changed, x=np.linspace(-1, 1, 42))


# Strips


def regression(rows: int, columns: int) -> Program:
    """Log likelihood and gradient of a linear regression; the squares stay apart from the products."""
    w = Writer()
    x, y, b = w.new((rows, columns), "c"), w.new((rows,), "c"), w.new((columns,), "x")
    eta, r, g, out = w.new((rows,)), w.new((rows,)), w.new((columns,)), w.new((1 + columns,), "out")
    algebra.matmul(w, x, b, eta)
    total = w.variable(0.0)
    with w.loop(rows) as i:
        residual = w.real("sub", w.load(y, i), w.load(eta, i))
        w.store(r, (i,), residual)
        w.update(total, w.real("mul", residual, residual), "add")
    algebra.matmul(w, algebra.transposed(x), r, g)
    w.store(out, (0,), total)
    algebra.copy(w, g, out._replace(shape=(columns,), offset=1))
    return Program(w.body, w.sizes)


def test_one_pass_over_the_rows_of_a_large_matrix() -> None:
    program = regression(1000, 20)
    changed = strips(program, cache=100_000, strip=16_000)
    assert len(loops(program.body, at_least=1000)) == 3
    assert not loops(changed.body, at_least=1000)
    (strip,) = (s for s in changed.body if isinstance(s, For) and any(isinstance(t, For) for t in s.body))
    assert sum(isinstance(s, For) for s in strip.body) == 3
    assert not any(isinstance(s, For) for s in [t for t in strip.body if isinstance(t, For)][1].body)  # elementwise, without a loop inside
    rng = np.random.default_rng(1)
    given_, b = rng.normal(size=21_000) * 7, rng.normal(size=20)
    same(program, changed, c=given_, x=b)
    x, y = given_[:20_000].reshape(1000, 20), given_[20_000:]
    np.testing.assert_allclose(run(changed, {"c": given_, "x": b})[1:], x.T @ (y - x @ b), rtol=1e-9)


def test_a_matrix_that_fits_in_the_cache_is_left_alone() -> None:
    program = regression(1000, 20)
    assert strips(program).body == program.body
    assert strips(regression(10_000, 20)).body != regression(10_000, 20).body


def test_rows_that_need_all_of_the_first_pass_are_not_taken_in_strips() -> None:
    w = Writer()
    x, b, eta = w.new((500, 4), "c"), w.new((4,), "x"), w.new((500,))
    algebra.matmul(w, x, b, eta)
    largest = w.variable(-np.inf)
    with w.loop(500) as i:
        w.update(largest, w.load(eta, i), "max")
    with w.loop(500) as i:
        w.store(eta, (i,), w.real("sub", w.load(eta, i), largest))
    algebra.matmul(w, algebra.transposed(x), eta, w.new((4,), "out"))
    program = Program(w.body, w.sizes)
    changed = strips(program, cache=0, strip=1000)
    rng = np.random.default_rng(2)
    same(program, changed, c=rng.normal(size=2000), x=rng.normal(size=4))
    shared = [
        [t for t in s.body if isinstance(t, For)] for s in changed.body if isinstance(s, For) and s.stop.offset < 500 and s.stop.offset > 4
    ]
    assert [len(inside) for inside in shared] == [2, 2]  # the largest is known only after the first two


# Several iterations at a time


@pytest.mark.parametrize("rows", [16, 19, 40])
def test_eight_rows_at_a_time(rows: int) -> None:
    program = regression(rows, 13)
    changed = jammed(program)
    nests = [s for s in changed.body if isinstance(s, For) and any(isinstance(t, For) for t in s.body)]
    whole = [s for s in nests if s.stop.offset == rows // 8]
    assert len(whole) == 2  # X b and X' r
    assert all(sum(isinstance(t, For) for t in s.body) == 1 for s in whole)
    assert len(nests) == (2 if rows % 8 == 0 else 4)
    rng = np.random.default_rng(3)
    same(program, changed, c=rng.normal(size=14 * rows) * 5, x=rng.normal(size=13))


def test_eight_rows_at_a_time_within_strips() -> None:
    program = regression(1003, 13)
    changed = jammed(strips(program, cache=0, strip=20_000))
    (strip,) = (s for s in changed.body if isinstance(s, For) and any(isinstance(t, For) for t in s.body))
    assert sum(isinstance(s, For) for s in strip.body) == 5  # the elementwise loop stays as it is, the two others have a rest
    rng = np.random.default_rng(4)
    same(program, changed, c=rng.normal(size=14 * 1003) * 5, x=rng.normal(size=13))


def test_rows_that_depend_on_the_row_before_come_one_at_a_time() -> None:
    w = Writer()
    a = w.new((40, 13))
    with w.loop(13) as j:
        w.store(a, (0, j), w.load(vector("x", 13), j))
    with w.loop(39) as i:
        share = w.load(a, i, 12)
        with w.loop(13) as j:
            w.store(a._replace(offset=13), (i, j), w.real("mul", share, w.load(a, i, j)))
    algebra.copy(w, a, View("out", (40, 13), (13, 1)))
    program = Program(w.body, {**w.sizes, "x": 13, "out": 520})
    assert [s for s in jammed(program).body if s in program.body] == program.body[:2]  # but for the copy
    same(program, jammed(program), x=np.linspace(0.5, 1.0, 13))


def test_the_number_of_a_row_may_be_an_operand() -> None:
    w = Writer()
    with w.loop(37, 3) as i:
        share = w.real("mul", w.load(vector("x", 40), i), w.real("real", i))
        with w.loop(13) as j:
            w.store(vector("out", 13), (j,), share, "add")
    program = Program(w.body, {"x": 40, "out": 13})
    assert jammed(program).body != program.body
    same(program, jammed(program), x=np.arange(1.0, 41))


# Forwarding and sweeping


def test_a_value_read_back_is_the_local_until_something_may_write_there() -> None:
    w = Writer()
    a = vector("w", 10)
    first = w.real("mul", w.load(vector("x", 9), 0), 2.0)
    w.store(a, (3,), first)
    w.store(vector("out", 3), (0,), w.load(a, 3))
    with w.loop(2) as i:
        w.store(a, (w.whole("add", i, 2),), 5.0)
    w.store(vector("out", 3), (1,), w.load(a, 3))
    program = Program(w.body, {"x": 9, "w": 10, "out": 3})
    changed = forwarded(program)
    assert [s.place.offset for s in walk(changed.body) if isinstance(s, Load) and s.buffer == "w"] == [3]
    same(program, changed, x=np.arange(1.0, 10))


def test_what_nobody_reads_is_gone() -> None:
    w = Writer()
    unread, read = w.new((5,)), w.new((5,))
    with w.loop(5) as i:
        w.store(unread, (i,), w.real("exp", w.load(vector("x", 5), i)))
    unused = w.variable(0.0)
    with w.loop(5) as i:
        w.store(read, (i,), w.load(vector("x", 5), i))
        w.update(unused, 1.0, "add")
    algebra.copy(w, read, vector("out", 5))
    program = Program(w.body, {**w.sizes, "x": 5, "out": 5})
    changed = swept(program)
    assert len(loops(changed.body)) == 2
    assert not any(isinstance(s, Let | Update | Variable) for s in walk(changed.body))
    same(program, changed, x=np.arange(1.0, 6))


# Everything on what algebra.py makes


@pytest.mark.parametrize("n", [1, 2, 3, 4, 6])
def test_factors_and_solutions_after_all_passes(n: int) -> None:
    w = Writer()
    a, b, out = w.new((2, n, n), "c"), w.new((2, n, 2), "x"), w.new((2, n, 2), "out")
    factor = w.new((2, n, n))
    algebra.cholesky(w, a, factor)
    algebra.cholesky_solve(w, b, factor, out)
    inverse = w.new((2, n, n), "out")
    algebra.inverse(w, a, inverse)
    program = Program(w.body, w.sizes)
    root = np.random.default_rng(n).normal(size=(2, n, n + 1)) * 4
    same(program, PASSES["all with strips"](program), c=(root @ root.transpose(0, 2, 1)).reshape(-1), x=np.arange(1.0, 4 * n + 1))


# What a loop keeps in locals


def test_sums_and_fixed_loads_leave_the_loop() -> None:
    """w[0] is read and w[1] collected while w[2 i + 2] is written: none of them is the same element."""
    w = Writer()
    data, table = w.new((50,), "x"), w.new((102,), "w")
    w.store(View("w", (1,), (1,), table.offset), (0,), 3.0)
    w.store(View("w", (1,), (1,), table.offset + 1), (0,), 0.5)
    with w.loop(50) as i:
        value = w.real("mul", w.load(data, i), w.load(View("w", (1,), (1,), table.offset), 0))
        w.store(View("w", (50,), (2,), table.offset + 2), (i,), value)
        w.store(View("w", (1,), (1,), table.offset + 1), (0,), value, "add")
    out = w.new((52,), "out")
    w.store(out, (51,), w.load(table, 1))
    with w.loop(51) as i:
        w.store(out, (i,), w.load(View("w", (51,), (2,), table.offset), i))
    program = Program(w.body, w.sizes)
    changed = registered(program)
    first = loops(changed.body)[0]
    assert [s.place.terms != () for s in first.body if isinstance(s, Load | Store)] == [True, True]
    assert sum(isinstance(s, Update) for s in first.body) == 1
    same(program, changed, x=np.linspace(-2.0, 3.0, 50))


def test_an_element_that_something_else_may_touch_stays_in_memory() -> None:
    """w[7] is read, and w[i] for i = 0..9 is written: one of them is the same element."""
    w = Writer()
    table = w.new((10,), "w")
    with w.loop(10) as i:
        w.store(table, (i,), w.real("real", i))
    with w.loop(10) as i:
        w.store(table, (i,), w.real("add", w.load(table, 7), 1.0))
    out = w.new((10,), "out")
    with w.loop(10) as i:
        w.store(out, (i,), w.load(table, i))
    program = Program(w.body, w.sizes)
    assert registered(program).body == program.body
