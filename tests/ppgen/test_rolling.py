"""Steps that a program repeats become loops: the same values and gradients, in a graph that does not grow with the repetitions."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

from ppgen.loops import graph_of
from ppgen.lowering import differentiated
from ppgen.native.kernel import Kernel
from ppgen.program import Program
from ppgen.readings import RecordedReading
from ppgen.recording import Recording
from ppgen.rolling import rolled
from ppgen.straightline import Graph
from ppgen.targets import LogDensity
from tests.tools.recursions import CASES, Case, data, garch_likelihood, garch_sites, loops_of, numbers

T = 40


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def roll(f: Callable[..., Any], *examples: Tensor, reference: Callable[..., Any] | None = None, machine: bool = True) -> Graph:
    """The graph of a function, rolled; it and its gradient agree with the function (or a reference) at other places."""
    graph = rolled(graph_of(lambda *inputs: [f(*inputs)], examples))
    others = [t + 0.1 * torch.randn(t.shape, generator=torch.Generator().manual_seed(1)) for t in examples]
    leaves = [t.clone().requires_grad_() for t in others]
    expected = (reference or f)(*leaves)
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(2))
    (got,) = graph(*others)
    torch.testing.assert_close(got, expected.detach(), rtol=1e-12, atol=1e-12)
    slopes = torch.autograd.grad((expected * weights).sum(), leaves, allow_unused=True)
    flat = torch.cat([t.reshape(-1) for t in others])

    def density(q: Tensor) -> Tensor:
        parts = q.split([t.numel() for t in others])
        return (graph(*(p.reshape(t.shape) for p, t in zip(parts, others, strict=True)))[0] * weights).sum()

    slope = torch.cat([torch.zeros(t.numel()) if g is None else g.reshape(-1) for g, t in zip(slopes, others, strict=True)])
    single = differentiated(density, flat, {}, {})
    one = single(flat)
    torch.testing.assert_close(one[1], slope, rtol=1e-10, atol=1e-10)
    many = differentiated(density, torch.stack([flat, flat + 0.1]), {}, {})(torch.stack([flat + 0.1, flat]))
    torch.testing.assert_close(many[1][1], slope, rtol=1e-10, atol=1e-10)
    if machine:
        torch.testing.assert_close(Kernel(single, torch.float64).bind(single.prepare(()))([flat])[1], slope, rtol=1e-10, atol=1e-10)
    return graph


# Programs


@pytest.mark.parametrize("name", CASES)
def test_programs_against_numpy(name: str) -> None:
    check_program(CASES[name], CASES[name].loop)


def test_a_site_for_each_time_against_numpy() -> None:
    check_program(CASES["garch"]._replace(likelihood=garch_likelihood), garch_sites)


def check_program(case: Case, model: Callable[[Tensor], None]) -> None:
    """The factors of the observed sites at two points."""
    y = data(T)
    density = LogDensity(Program(model, y), lowering="recorded")
    assert isinstance(density.reading, RecordedReading)
    assert loops_of(density.reading._graph("density"))
    position = torch.rand(2, density.dim, generator=torch.Generator().manual_seed(0)) - 0.5
    values = density.constrain(position)
    found = density.reading.factors(values, 2)
    observed = [n for n, s in density.reading.sites.items() if s.kind in ("observed", "factor")]
    for i in range(2):
        expected = case.likelihood(y.numpy(), {n: v[i].numpy() for n, v in values.items()})
        assert float(sum(found[n][i].sum() for n in observed)) == pytest.approx(expected, rel=1e-11)


@pytest.mark.parametrize("name", CASES)
def test_graphs_do_not_grow(name: str) -> None:
    sizes = []
    for length in (60, 180):
        recording = Recording(Program(CASES[name].loop, data(length)))
        sizes.append((len(recording.tape.nodes), len(recording.density_graph(torch.float64).nodes)))
    (short, one), (long, other) = sizes
    assert long > 2 * short
    assert one == other < short / 2


# What repeats, and how


def test_a_recurrence() -> None:
    def f(a: Tensor, y: Tensor) -> Tensor:
        (p, q, r), x = a.unbind(), y[0]
        for t in range(1, T):
            x = torch.tanh(p * x + q * y[t]) - r * y[t - 1]
        return x

    (loop,) = loops_of(roll(f, numbers(3), numbers(T)))
    assert loop.length == T - 1  # the first step too, which begins elsewhere


def test_values_of_every_step_are_used() -> None:
    def f(a: Tensor, y: Tensor) -> Tensor:
        x, path = a[0], []
        for t in range(T):
            x = a[1] * x.sin() + y[t]
            path.append(x)
        return torch.stack(path) + torch.stack(path[::-1]) * path[7] + torch.stack([x[None] for x in path], 1).sum()

    assert len(loops_of(roll(f, numbers(2), numbers(T)))) == 1


def test_two_steps_back() -> None:
    def f(a: Tensor, y: Tensor) -> Tensor:
        x = [y[0], y[1], y[2]]
        for t in range(3, T):
            x.append(torch.tanh(a[0] * x[-1] - a[1] * x[-3]) + a[2] * y[t])
        return torch.stack(x)

    (loop,) = loops_of(roll(f, numbers(3), numbers(T)))
    assert loop.carries == 3


@pytest.mark.parametrize("shape", [(3, T), (T, 3), (2, T, 2)])
def test_elements_of_any_dimension(shape: tuple[int, ...]) -> None:
    dim = shape.index(T)

    def f(a: Tensor, y: Tensor) -> Tensor:
        x = a
        for t in range(T):
            x = torch.cos(x + y.select(dim, t).sum())
        return x

    assert len(loops_of(roll(f, numbers(2), numbers(*shape)))) == 1


def test_elements_backwards_and_every_other() -> None:
    def f(a: Tensor, y: Tensor) -> Tensor:
        x = a[0]
        for t in range(T):
            x = torch.cos(x + y[2 * t]) * y[-1 - t] + y[2 * t + 1]
        return x

    assert len(loops_of(roll(f, numbers(1), numbers(2 * T)))) == 1


def test_windows() -> None:
    def f(a: Tensor, y: Tensor) -> Tensor:
        x, path = a[0], []
        for t in range(3, T):
            x = torch.sin(x + a @ y[t - 3 : t])
            path.append(x)
        return torch.stack(path)

    assert len(loops_of(roll(f, numbers(3), numbers(T)))) == 1


def test_windows_of_columns() -> None:
    def f(a: Tensor, y: Tensor) -> Tensor:
        x = a
        for t in range(0, 2 * T, 2):
            x = torch.sin(x + y[:, t : t + 2].sum(1))
        return x

    assert len(loops_of(roll(f, numbers(3), numbers(3, 2 * T)))) == 1


def test_numbers_and_constants_that_change() -> None:
    shifts = numbers(T, seed=5)

    def f(a: Tensor) -> Tensor:
        x = a[0]
        for t in range(T):
            x = torch.sin(x * (1 + 0.1 * t) + a[1] - shifts[t] * 2) / (t + 1.0)
        return x

    assert len(loops_of(roll(f, numbers(2)))) == 1


def test_a_list_that_was_computed_one_by_one() -> None:
    def f(a: Tensor) -> Tensor:
        scales = [(a[t % 7] * t).exp() if t % 3 else a[0] - t for t in range(T)]  # three kinds: no loop of their own
        x = a[1]
        for s in scales:
            x = torch.sin(x + s * 0.01)
        return x

    assert len(loops_of(roll(f, numbers(7) / 40))) >= 1


def test_one_loop_after_another_and_one_within_another() -> None:
    def f(a: Tensor, y: Tensor) -> Tensor:
        x, path = a[0], []
        for t in range(T):
            for k in range(3):
                x = torch.sin(x + a[k] * y[t])
            path.append(x)
        total = a[1]
        for p in reversed(path):
            total = total * 0.5 + p.exp()
        return total

    assert len(loops_of(roll(f, numbers(3), numbers(T)))) == 2


def test_a_loop_in_each_step() -> None:
    def f(a: Tensor, y: Tensor) -> Tensor:
        x, path = a[0], []
        for t in range(12):
            for k in range(14):
                x = torch.sin(x * a[k + 1] + y[t]) - 0.1 * (k + 1)
            x = x.exp()
            path.append(x)
        return torch.stack(path)

    (outer,) = loops_of(roll(f, numbers(15), numbers(12)))
    (inner,) = loops_of(outer.step)
    assert (outer.length, inner.length) == (12, 14)


def test_elements_in_any_order() -> None:
    order = torch.randperm(T, generator=torch.Generator().manual_seed(0)).tolist()

    def f(a: Tensor, y: Tensor) -> Tensor:
        x = a[0]
        for t in range(T):
            x = torch.sin(x * y[order[t]] + a[t % 9 + 1])
        return x

    graph = roll(f, numbers(10), numbers(T))
    assert len(loops_of(graph)) == 1
    assert len(graph.nodes) < 15


def test_elements_of_the_state() -> None:
    """Ten coordinates read one by one are no elements in time."""

    def f(a: Tensor, y: Tensor) -> Tensor:
        x = a
        for t in range(T):
            x = torch.stack([torch.sin(x[(k + 1) % 10] + y[t]) for k in range(10)])
        return x

    roll(f, numbers(10), numbers(T))


Write = Callable[[Tensor, Any, Tensor], Tensor]


def in_place(x: Tensor, at: Any, value: Tensor) -> Tensor:
    x[at] = value
    return x


def anew(x: Tensor, at: Any, value: Tensor) -> Tensor:
    """What autograd can follow."""
    return in_place(x.clone(), at, value)


def path_of_numbers(write: Write, a: Tensor, y: Tensor) -> Tensor:
    x = write(torch.zeros(T), 0, a[0])
    for t in range(1, T):
        x = write(x, t, torch.sin(x[t - 1] * a[1]) + y[t])
    return x.exp() + x[3]


def path_of_rows(write: Write, a: Tensor, y: Tensor) -> Tensor:
    x = write(torch.zeros(T, 2), 0, a)
    for t in range(1, T):
        x = write(x, t, torch.sin(x[t - 1] * y[t]) + 0.3 * a * x[t - 1, 1])
    return x * x[:, :1]


def tangled(write: Write, a: Tensor, y: Tensor) -> Tensor:
    """Written twice, and read in between."""
    x = write(torch.ones(3, 20), 1, y[:20])
    before = x.clone()
    for t in range(1, 19):
        x = write(x, (0, t), a[0] * x[1, t + 1] + before[2, t])
        x = write(x, (1, t), torch.sin(x[0, t - 1] + x[0, t] * 2))
        x = write(x, (2, slice(None, 2)), x[2, :2] + x[1, t - 1 : t + 1])
    return x.T.reshape(-1) * before[1].sum()


@pytest.mark.parametrize(("f", "most"), [(path_of_numbers, 20), (path_of_rows, 30), (tangled, 200)])
def test_memory_that_is_written_step_by_step(f: Callable[..., Tensor], most: int) -> None:
    graph = roll(partial(f, in_place), numbers(2), numbers(T), reference=partial(f, anew))
    assert len(loops_of(graph)) == 1
    assert len(graph.nodes) < most


def test_a_value_from_an_early_step() -> None:
    def f(a: Tensor, y: Tensor) -> Tensor:
        x, kept = a[0], a[0]
        for t in range(T):
            x = torch.sin(x * y[t] + kept)
            if t == 4:
                kept = x
        return x

    (loop,) = loops_of(roll(f, numbers(1), numbers(T)))
    assert loop.length >= T - 6


def test_steps_that_differ_stay() -> None:
    def f(a: Tensor) -> Tensor:
        x = a[0]
        for t in range(T):
            x = (torch.sin, torch.cos, torch.tanh, torch.sigmoid, torch.exp)[(t * t + t // 3) % 5](x - a[1])
        return x

    assert not loops_of(roll(f, numbers(2)))


def test_short_loops_stay() -> None:
    def f(a: Tensor) -> Tensor:
        x = a[0]
        for _ in range(6):
            x = torch.sin(x * a[1])
        return x

    graph = graph_of(lambda a: [f(a)], [numbers(2)])
    assert rolled(graph) is graph


def test_random_steps_stay() -> None:
    def f(a: Tensor) -> list[Tensor]:
        x = a
        for _ in range(T):
            x = torch.sin(x) * a
        return [x]

    graph = graph_of(f, [numbers(2)])
    for n in graph.nodes:
        n.random = n.target is not None
    assert not loops_of(rolled(graph))


def test_slow_inputs_stay_slow() -> None:
    def f(a: Tensor, y: Tensor) -> list[Tensor]:
        x = a[0]
        for t in range(T):
            x = torch.sin(x * y[t].exp())
        return [x]

    graph = graph_of(f, [numbers(1), numbers(T)])
    graph = Graph(graph.inputs, graph.nodes, graph.outputs, slow=[1])
    assert loops_of(rolled(graph))
    assert rolled(graph).slow == [1]
    torch.testing.assert_close(rolled(graph)(numbers(1), data(T)), graph(numbers(1), data(T)))


# Any recurrence

UNARY = (torch.sin, torch.tanh, torch.sigmoid, lambda x: x * 0.5, lambda x: x - 1.5)
BINARY = (torch.add, torch.sub, torch.mul, torch.maximum)


@st.composite
def steps(draw: st.DrawFn) -> list[tuple[int, int, int]]:
    """Operations of a step: (which, first argument, second argument); arguments are picked among what is there."""
    count = draw(st.integers(2, 7))
    return [(draw(st.integers(0, 8)), draw(st.integers(0, 30)), draw(st.integers(0, 30))) for _ in range(count)]


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps(), st.integers(1, 3), st.integers(0, 2))
def test_random_recurrences(step: list[tuple[int, int, int]], carries: int, lag: int) -> None:
    def f(a: Tensor, y: Tensor) -> Tensor:
        state, used = [a[i] for i in range(carries)], []
        for t in range(lag, 24):
            there = [*state, y[t], y[t - lag], a[3]]
            for which, i, j in step:
                x, z = there[-1 - i % len(there)], there[j % len(there)]
                there.append(UNARY[which](x) if which < 5 else BINARY[which - 5](x, z).clamp(-2.0, 2.0))
            state = there[-carries:]
            used.append(there[len(there) // 2])
        return torch.stack([*state, torch.stack(used).sum(), used[3]])

    roll(f, numbers(4), numbers(24), machine=False)  # machine code of random steps is tested with the translator
