"""Repeated steps in straight-line code become loops: the same bits, few statements."""

import random

import numpy as np
import pytest

from ppgen.native.ir import For, Load, Program, Store, Variable, View, run, walk
from ppgen.native.passes import optimised, rolled
from ppgen.native.rewriting import size
from ppgen.native.writer import Writer

STEPS = 60


def vector(buffer: str, length: int) -> View:
    return View(buffer, (length,), (1,))


def same(program: Program, changed: Program, seed: int = 0) -> None:
    rng = np.random.default_rng(seed)
    given = {"x": rng.uniform(0.1, 0.6, program.sizes["x"]), "c": 3 * rng.normal(size=program.sizes["c"])}
    expected = run(program, given)
    assert np.isfinite(expected).all()
    assert expected.any()
    np.testing.assert_array_equal(run(changed, given), expected)


def garch(steps: int, written: bool) -> Program:
    """h' = a + b (y^2 + h); the sum of h y and, backwards, its derivative by a and b."""
    w = Writer()
    y, parameters, out = w.new((steps,), "c"), w.new((2,), "x"), w.new((3,), "out")
    kept = w.new((steps,))
    a, b = w.load(parameters, 0), w.load(parameters, 1)
    h, total = w.real("mul", a, 1.0), w.real("mul", a, 0.0)
    states, squares = [], []
    for t in range(steps):
        value = w.load(y, t)
        squares.append(w.real("mul", value, value))
        states.append(h)
        if written:
            w.store(kept, (t,), h)
        total = w.real("add", total, w.real("mul", h, value))
        h = w.real("add", a, w.real("mul", b, w.real("add", squares[-1], h)))
    w.store(out, (0,), total)
    by_h, by_a, by_b = w.real("mul", a, 0.0), w.real("mul", a, 0.0), w.real("mul", a, 0.0)
    for t in reversed(range(steps)):
        by_a = w.real("add", by_a, by_h)
        by_b = w.real("add", by_b, w.real("mul", by_h, w.real("add", squares[t], states[t])))
        by_h = w.real("add", w.real("mul", by_h, b), w.load(y, t))
    w.store(out, (1,), w.real("add", by_a, by_h))
    w.store(out, (2,), w.real("add", by_b, w.load(kept, 3) if written else 0.0))
    return Program(w.body, w.sizes)


@pytest.mark.parametrize("written", [False, True], ids=["kept in locals", "written as it goes"])
def test_a_recursion_and_its_derivative_are_two_loops(written: bool) -> None:
    program = garch(STEPS, written)
    changed = rolled(program, long=0)
    assert sum(isinstance(s, For) for s in changed.body) == 2
    assert size(changed.body) < size(program.body) / 8
    assert sum(isinstance(s, Variable) for s in changed.body) == 5  # h and the total; three derivatives
    same(program, changed)
    same(program, optimised(changed))


def test_the_derivative_is_that_of_the_sum() -> None:
    program = rolled(garch(STEPS, False), long=0)
    y, at, step = np.random.default_rng(1).normal(size=STEPS), np.array([0.4, 0.3]), 1e-6
    for i in range(2):
        ahead, behind = (run(program, {"c": y, "x": at + s * step * np.eye(2)[i]})[0] for s in (1, -1))
        np.testing.assert_allclose(run(program, {"c": y, "x": at})[1 + i], (ahead - behind) / (2 * step), rtol=1e-6)


def test_a_short_program_and_one_without_repetition_are_left_alone() -> None:
    assert rolled(garch(STEPS, False)).body == garch(STEPS, False).body
    w = Writer()
    x, rng = [w.load(vector("x", 5), i) for i in range(5)], random.Random(0)  # noqa: S311
    for _ in range(300):
        x.append(w.real(rng.choice(("add", "mul", "sub", "max")), rng.choice(x), rng.choice(x)))
    program = Program(w.body, {"x": 5})
    assert rolled(program, long=0).body == program.body


def test_a_thousand_steps_are_as_many_statements_as_sixty() -> None:
    assert size(rolled(garch(1000, True)).body) == size(rolled(garch(60, True), long=0).body)


def test_values_of_two_steps_ago_whole_numbers_and_truths_cross_the_loops() -> None:
    w = Writer()
    y, out = w.new((STEPS,), "c"), w.new((STEPS + 1,), "out")
    w.new((1,), "x")
    one, two, count = w.load(y, 0), w.load(y, 1), w.whole("add", 0, 0)
    positive, counts = [], []
    for t in range(STEPS):
        new = w.real("sub", w.real("mul", one, 0.5), w.real("mul", two, 0.25))
        new = w.real("add", new, w.load(y, t))
        positive.append(w.truth("gt", new, 0.0))
        count = w.whole("add", count, w.whole("where", positive[-1], 2, 1))
        counts.append(count)
        one, two = new, one
    for t in reversed(range(STEPS)):
        w.store(out, (t,), w.real("where", positive[t], w.real("real", counts[t]), -1.0))
    w.store(out, (STEPS,), one)
    program = Program(w.body, w.sizes)
    changed = rolled(program, long=0)
    assert sum(isinstance(s, For) for s in changed.body) == 2
    assert {s.buffer for s in walk(changed.body) if isinstance(s, Load | Store)} == {"c", "w", "m", "out"}
    same(program, changed)


@pytest.mark.parametrize("seed", range(60))
def test_steps_at_random(seed: int) -> None:
    """A step of random operations on its own values, on values of steps before, on what stands outside, on advancing places; then another
    that reads them forwards or backwards; both with some steps spoilt."""
    rng = random.Random(seed)  # noqa: S311
    w = Writer()
    y, x, kept, out = w.new((400,), "c"), w.new((4,), "x"), w.new((400,)), w.new((30,), "out")
    constants = [w.load(x, i) for i in range(4)]
    steps = rng.randint(12, 30)
    before: list[list[str]] = [constants[:]] * 4
    history: list[list[str]] = []
    for backwards in (False, rng.random() < 0.5):
        plan = [
            (rng.choice(("add", "mul", "max", "load", "store", "min")), rng.random(), rng.random(), rng.randint(1, 3))
            for _ in range(rng.randint(4, 9))
        ]
        stride, spoilt = rng.choice((-2, -1, 0, 1, 3)), rng.choice((-1, 0, 5, steps - 1))
        earlier = history[::-1] if backwards else history
        recent, history = list(before), []
        for t in range(steps):
            values: list[str] = []
            for position, (operation, p, q, back) in enumerate(plan):
                pools = [constants, values or constants, recent[-back], earlier[t] if earlier else constants]
                pool_a, pool_b = pools[int(4 * p)], pools[int(4 * q)]
                a, b = pool_a[position % len(pool_a)], pool_b[(position + 1) % len(pool_b)]
                if operation == "load":
                    values.append(w.load(y, 120 + stride * t))
                elif operation == "store":
                    w.store(kept, (200 + stride * t,), a, "set")
                else:
                    values.append(w.real("mul" if operation == "add" and t == spoilt else operation, a, b))
            values = values or constants[:]
            recent.append(values)
            history.append(values)
        before = recent[-4:]
    for i in range(30):
        w.store(out, (i,), rng.choice([*constants, *rng.choice(history)]), "add")
    program = Program(w.body, w.sizes)
    changed = rolled(program, long=0, gain=30)
    given = {"x": np.linspace(0.1, 0.9, 4), "c": np.random.default_rng(seed).normal(size=400)}
    np.testing.assert_array_equal(run(changed, given), run(program, given))
    np.testing.assert_array_equal(run(optimised(changed), given), run(program, given))
    if size(program.body) > 300:
        assert size(changed.body) < 0.8 * size(program.body)
