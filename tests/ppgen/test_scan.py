"""`ppgen.scan`: a Python loop to Pyro, one step to a recording; and the operation behind it, its batches and its derivatives."""

from collections.abc import Callable, Iterator
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

from ppgen import scan
from ppgen.errors import ProgramError
from ppgen.loops import Scan, graph_of
from ppgen.lowering import differentiated
from ppgen.native.kernel import Kernel
from ppgen.program import Program
from ppgen.readings import RecordedReading
from ppgen.recording import Recording
from ppgen.straightline import Graph
from ppgen.targets import LogDensity
from tests.tools.recursions import CASES, data, loops_of, numbers

T = 12


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def density(model: Callable[..., Any], *args: Any, lowering: str = "recorded") -> LogDensity:
    return LogDensity(Program(model, *args), lowering=lowering)


def graph_in(found: LogDensity) -> Graph:
    assert isinstance(found.reading, RecordedReading)
    return found.reading._graph("density")


def observed(value: Tensor) -> None:
    pyro.sample("y", dist.Normal(value, 2.0).to_event(value.dim()), obs=torch.full(value.shape, 3.0))


# Without a recording


def test_it_is_a_loop() -> None:
    y = numbers(T)
    carry, path = scan(lambda c, x: (0.5 * c + x, c * x), 2.0, y)
    c, expected = torch.tensor(2.0), []
    for x in y:
        expected.append(c * x)
        c = 0.5 * c + x
    assert torch.equal(carry, c)
    assert torch.equal(path, torch.stack(expected))


def test_backwards_ys_belong_to_their_xs() -> None:
    y = numbers(T)
    carry, path = scan(lambda c, x: (c + x, c + x), 0.0, y, reverse=True)
    torch.testing.assert_close(path, y.flip(0).cumsum(0).flip(0))
    assert torch.equal(carry, path[0])


def test_trees() -> None:
    """Fibonacci numbers, and a carry that is a dict."""
    (_, last), (path, _) = scan(lambda c, _: ((c[1], c[0] + c[1]), (c[0], None)), (torch.tensor(0), torch.tensor(1)), length=10)
    assert path.tolist() == [0, 1, 1, 2, 3, 5, 8, 13, 21, 34]
    assert int(last) == 89
    carry, ys = scan(lambda c, x: ({"n": c["n"] + x["a"][0] * x["a"][1]}, None), {"n": 0.0}, {"a": [numbers(T), numbers(T, seed=1)]})
    torch.testing.assert_close(carry["n"], numbers(T) @ numbers(T, seed=1))
    assert ys is None


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda y: scan(lambda c, x: (c, x), 0.0), "neither xs nor length"),
        (lambda y: scan(lambda c, x: (c, x), 0.0, (y, y[1:])), "11, 12"),
        (lambda y: scan(lambda c, x: (c, x), 0.0, y, length=5), "5, 12"),
        (lambda y: scan(lambda c, x: (c, x), 0.0, y[:0]), "at least one step"),
        (lambda y: scan(lambda c, x: (c, x), 0.0, y[0]), "leading dimension"),
        (lambda y: scan(lambda c, x: c + x, 0.0, y), "returns \\(carry, y\\)"),
        (lambda y: scan(lambda c, x: ((c, c), x), 0.0, y), "another structure"),
        (lambda y: scan(lambda c, x: (torch.cat([c, c]), x), torch.ones(1), y), "from \\(2,\\) of torch.float64 to \\(4,\\)"),
        (lambda y: scan(lambda c, x: (c.float(), x), 0.0, y), "torch.float32"),
    ],
)
def test_what_is_refused(call: Callable[[Tensor], Any], said: str) -> None:
    with pytest.raises(ProgramError, match=said):
        call(numbers(T))


def test_sites_in_a_step_are_refused_by_name() -> None:
    def model(y: Tensor) -> None:
        def step(c: Tensor, x: Tensor) -> tuple[Tensor, None]:
            return pyro.sample("state", dist.Normal(c, 1.0)), None

        scan(step, 0.0, y)

    with pytest.raises(ProgramError, match="'state' stands inside a step of scan"):
        Program(model, numbers(T))


# Recorded


@pytest.mark.parametrize("lowering", ["recorded", "native"])
@pytest.mark.parametrize("name", CASES)
def test_scans_are_loops_written_otherwise(name: str, lowering: str) -> None:
    """Values and gradients of both, by a graph and by Pyro; that of the loop is tested against numpy with the loops."""
    case, y = CASES[name], data(30)
    found, eager = density(case.scan, y, lowering=lowering), density(case.loop, y, lowering="eager")
    position = torch.rand(3, found.dim, generator=torch.Generator().manual_seed(0)) - 0.5
    value, gradient = found.value_and_grad(position)
    expected, slope = eager.value_and_grad(position)
    torch.testing.assert_close(value, expected, rtol=1e-11, atol=1e-11)
    torch.testing.assert_close(gradient, slope, rtol=1e-9, atol=1e-9)
    assert loops_of(graph_in(found))


@pytest.mark.parametrize("name", CASES)
def test_recordings_do_not_grow(name: str) -> None:
    sizes = {len(Recording(Program(CASES[name].scan, data(length))).tape.nodes) for length in (30, 60)}
    assert len(sizes) == 1


@pytest.mark.parametrize("name", ["garch", "network"])
def test_single_precision(name: str) -> None:
    torch.set_default_dtype(torch.float32)
    y = data(30).float()
    program = Program(CASES[name].scan, y)
    wide, narrow = LogDensity(program, lowering="recorded"), LogDensity(program, lowering="recorded", dtype=torch.float32)
    assert loops_of(graph_in(wide))
    position = torch.rand(2, wide.dim, dtype=torch.float64) - 0.5
    for a, b in zip(wide.value_and_grad(position), narrow.value_and_grad(position.float()), strict=True):
        assert (a.dtype, b.dtype) == (torch.float64, torch.float32)
        torch.testing.assert_close(a.float(), b, rtol=1e-3, atol=1e-3)


def test_lags_need_no_loop() -> None:
    """Values of data, late: slices."""

    def model(y: Tensor) -> None:
        beta = pyro.sample("beta", dist.Normal(torch.zeros(3), 1.0).to_event(1))
        _, means = scan(lambda lags, now: ((now, *lags[:2]), beta @ torch.stack(lags)), (y[2], y[1], y[0]), y[3:])
        pyro.sample("y", dist.Normal(means, 2.0).to_event(1), obs=y[3:])

    y = data(30)
    found = density(model, y)
    reading = found.reading
    assert isinstance(reading, RecordedReading)
    assert loops_of(graph_in(found))
    assert not loops_of(differentiated(reading._density, torch.zeros(3), reading._slow, reading._fast))
    beta = torch.tensor([[0.3, -0.2, 0.5]])
    means = torch.stack([y[2:-1], y[1:-2], y[:-3]], -1) @ beta[0]
    expected = dist.Normal(means, 2.0).log_prob(y[3:]).sum() + dist.Normal(0.0, 1.0).log_prob(beta).sum()
    torch.testing.assert_close(found.log_density(beta)[0], expected)


def test_the_step_may_use_parameters_modules_and_what_stands_around() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRUCell(2, 3)

        def forward(self, x: Tensor) -> None:
            weight = pyro.sample("weight", dist.Normal(torch.zeros(3), 1.0).to_event(1))
            shift = pyro.param("shift", torch.tensor(0.3))

            def step(h: Tensor, now: Tensor) -> tuple[Tensor, Tensor]:
                h = self.cell(now[None], h[None])[0]
                return h, weight @ h + shift

            observed(scan(step, torch.zeros(3), x)[1])

    torch.manual_seed(0)
    found = density(Model(), numbers(T, 2))
    assert len(loops_of(graph_in(found))) == 1
    eager = LogDensity(found.program, lowering="eager")
    position = torch.randn(2, 3)
    torch.testing.assert_close(found.value_and_grad(position), eager.value_and_grad(position))
    moved = found.bind(params={"shift": torch.tensor(-1.0)})
    assert (moved.log_density(position) != found.log_density(position)).all()


def test_a_step_that_grows_its_carry() -> None:
    """A number that the first step broadcasts."""

    def model(y: Tensor) -> None:
        a = pyro.sample("a", dist.Normal(torch.zeros(3), 1.0).to_event(1))
        observed(scan(lambda c, x: (torch.tanh(c * a) + x, None), 0.5, y)[0])

    found = density(model, numbers(T))
    assert len(loops_of(graph_in(found))) == 1


def test_an_enumerated_state_in_a_carry() -> None:
    """A label for the whole sequence: the sum over its values is two sequences."""

    def model(y: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(torch.zeros(2), 1.0).to_event(1))
        label = pyro.sample("label", dist.Categorical(torch.tensor([0.3, 0.7])))
        last, _ = scan(lambda c, x: (torch.tanh(c * loc[label]) + x, None), 0.5, y)
        pyro.sample("y", dist.Normal(last, 2.0), obs=torch.tensor(3.0))

    def given(label: int) -> Tensor:
        def only(y: Tensor) -> None:
            loc = pyro.sample("loc", dist.Normal(torch.zeros(2), 1.0).to_event(1))
            last, _ = scan(lambda c, x: (torch.tanh(c * loc[label]) + x, None), 0.5, y)
            pyro.sample("y", dist.Normal(last, 2.0), obs=torch.tensor(3.0))

        return density(only, numbers(T), lowering="eager").log_density(position)

    position = torch.randn(2, 2)
    found = density(model, numbers(T))
    assert len(loops_of(graph_in(found))) == 1
    expected = torch.logsumexp(torch.stack([given(0) + torch.tensor(0.3).log(), given(1) + torch.tensor(0.7).log()]), 0)
    torch.testing.assert_close(found.log_density(position), expected)


def test_one_scan_within_another() -> None:
    """Euler's method with several small steps between observations."""

    def model(y: Tensor) -> None:
        rate = pyro.sample("rate", dist.HalfNormal(torch.tensor(1.0)))

        def between(c: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            c, _ = scan(lambda z, _: (z + 0.1 * (rate * z - z**2) * x, None), c, length=5)
            return c, c

        observed(scan(between, 0.5, y)[1])

    found, eager = density(model, numbers(T)), density(model, numbers(T), lowering="eager")
    position = torch.randn(3, 1)
    torch.testing.assert_close(found.value_and_grad(position), eager.value_and_grad(position))
    (loop,) = loops_of(graph_in(found))
    assert len(loops_of(loop.step)) == 1


def test_what_is_no_step_is_unrolled() -> None:
    """A branch on data."""

    def model(y: Tensor) -> None:
        a = pyro.sample("a", dist.Normal(torch.zeros(()), 1.0))

        def step(c: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
            c = torch.tanh(c * a) + x if x > 1.5 else c - x
            return c, c

        observed(scan(step, 0.5, y)[1])

    found, eager = density(model, numbers(T)), density(model, numbers(T), lowering="eager")
    position = torch.randn(3, 1)
    torch.testing.assert_close(found.value_and_grad(position), eager.value_and_grad(position))
    assert not loops_of(graph_in(found))


def test_a_step_that_counts_runs_eagerly() -> None:
    """It is not what its recording says, and that is found out."""

    def model(y: Tensor) -> None:
        a = pyro.sample("a", dist.Normal(torch.zeros(()), 1.0))
        calls = []

        def step(c: Tensor, x: Tensor) -> tuple[Tensor, None]:
            calls.append(1)
            return c * a + len(calls) * x, None

        observed(scan(step, 0.5, y)[0])

    found = density(model, numbers(T), lowering="auto")
    assert found.lowering.name == "eager"
    assert "disagrees" in found.lowering.reason


def test_writes_inside_a_step() -> None:
    def model(y: Tensor) -> None:
        a = pyro.sample("a", dist.Normal(torch.zeros(()), 1.0))

        def step(c: Tensor, x: Tensor) -> tuple[Tensor, None]:
            new = torch.zeros(2)
            new[0] = c[1] * a
            new[1] = c[0] + x
            return new, None

        observed(scan(step, torch.ones(2), y)[0])

    found, eager = density(model, numbers(T)), density(model, numbers(T), lowering="eager")
    position = torch.randn(3, 1)
    torch.testing.assert_close(found.value_and_grad(position), eager.value_and_grad(position))
    assert loops_of(graph_in(found))


# The operation


def operation(step: Callable[..., list[Tensor]], carries: int, elements: int, *examples: Tensor, reverse: bool = False) -> Scan:
    return Scan(graph_of(step, examples), carries, elements, T, reverse)


def check_scan(loop: Scan, initial: list[Tensor], xs: list[Tensor], fixed: list[Tensor]) -> Graph:
    """Values and gradients by every argument, one point and several, against autograd through the plain loop."""
    given = [*initial, *xs, *fixed]
    sizes = [t.numel() for t in given]
    c, e = loop.carries, loop.carries + loop.elements

    def total(run: Callable[..., list[Tensor]], flat: Tensor) -> Tensor:
        parts = [p.reshape(t.shape) for p, t in zip(flat.split(sizes), given, strict=True)]
        results = run(parts[:c], parts[c:e], parts[e:])
        return torch.stack([(r * torch.linspace(0.5, 2.0, r.numel()).reshape(r.shape)).sum() for r in results]).sum()

    flat = torch.cat([t.reshape(-1) for t in given])
    points = torch.stack([flat, flat - 0.2, 0.8 * flat])
    graph = differentiated(lambda q: total(loop, q), points[0], {}, {})
    many = differentiated(lambda q: total(loop, q), points.flip(0), {}, {})(points)
    kernel = Kernel(graph, torch.float64).bind(graph.prepare(()))
    for i, q in enumerate(points):
        leaf = q.clone().requires_grad_()
        expected = total(loop.run, leaf)
        (slope,) = torch.autograd.grad(expected, leaf)
        for value, gradient in (graph(q), (many[0][i], many[1][i]), kernel([q])):
            torch.testing.assert_close(value, expected.detach(), rtol=1e-11, atol=1e-11)
            torch.testing.assert_close(gradient, slope, rtol=1e-9, atol=1e-9)
    return graph


@pytest.mark.parametrize("reverse", [False, True])
def test_every_kind_of_carry(reverse: bool) -> None:
    """One that recurs, one that sums, one that is late, a pair that depend on each other, and a sum of a sum."""

    def step(a: Tensor, s: Tensor, late: Tensor, p: Tensor, q: Tensor, u: Tensor, x: Tensor, z: Tensor, k: Tensor) -> list[Tensor]:
        a = torch.tanh(k[0] * a + x)
        return [a, s - a * k[1] + x, x * k[2], q + late, torch.sin(p) * k[0], u + s, a * late + u, z @ k]

    one = [numbers(seed=i) for i in range(6)]
    loop = operation(step, 6, 2, *one, numbers(), numbers(3), numbers(3), reverse=reverse)
    graph = check_scan(loop, one, [numbers(T, seed=7), numbers(T, 3, seed=8)], [numbers(3, seed=9)])
    kinds = [s.carries for s in loops_of(graph)]
    assert sorted(kinds) == [1, 1, 2, 2]  # forward and back: what recurs, and the pair


def test_matrices_and_what_is_not_a_scalar() -> None:
    def step(h: Tensor, x: Tensor, w: Tensor) -> list[Tensor]:
        h = torch.tanh(w @ h + x[:, None])
        return [h, torch.linalg.cholesky(h @ h.mT + 3 * torch.eye(2)).diagonal().log().sum()]

    loop = operation(step, 1, 1, numbers(2, 3), numbers(2), numbers(2, 2))
    check_scan(loop, [numbers(2, 3)], [numbers(T, 2)], [numbers(2, 2)])


def test_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where one value for each step would be too much, everything stays in the loop, and gradients of fixed values are added up."""
    monkeypatch.setattr("ppgen.loops.LARGEST", 20)

    def step(h: Tensor, x: Tensor, w: Tensor, k: Tensor) -> list[Tensor]:
        h = torch.tanh(w @ h + x * k)
        return [h, h.sum() * k]

    loop = operation(step, 1, 1, numbers(2), numbers(), numbers(2, 2), numbers())
    graph = check_scan(loop, [numbers(2)], [numbers(T)], [numbers(2, 2), numbers()])
    forward, back = loops_of(graph)
    assert (forward.ys, forward.sums) == (1, 0)
    assert (back.ys, back.sums) == (2, 1)


def test_sums_and_late_values_leave_no_loop() -> None:
    def step(s: Tensor, late: Tensor, x: Tensor) -> list[Tensor]:
        return [s + x * late, x.exp(), s]

    loop = operation(step, 2, 1, numbers(), numbers(), numbers())
    assert not loops_of(check_scan(loop, [numbers(), numbers()], [numbers(T)], []))


def test_only_what_recurs_stays_in_the_loop() -> None:
    def step(v: Tensor, y: Tensor, k: Tensor) -> list[Tensor]:
        v = k[0] + k[1] * (y - k[2]) ** 2 + k[3] * v
        return [v, -((y - k[2]) ** 2) / v - v.abs().log()]

    loop = operation(step, 1, 1, numbers(), numbers(), numbers(4))
    graph = check_scan(loop, [numbers()], [numbers(T)], [numbers(4)])
    forward, back = loops_of(graph)
    operations = [[str(n.target) for n in s.step.nodes if n.target is not None] for s in (forward, back)]
    assert operations == [["aten.mul.Tensor", "aten.add.Tensor"]] * 2
    assert (forward.reverse, back.reverse) == (False, True)


def test_whole_numbers_and_truth_values_are_carried() -> None:
    def step(n: Tensor, up: Tensor, x: Tensor, k: Tensor) -> list[Tensor]:
        n = torch.where(up, n + 1, n - 2)
        return [n, ~up & (x > 0), k * x * n]

    examples = (torch.tensor(3), torch.tensor(True), numbers(), numbers())
    loop = operation(step, 2, 1, *examples)
    y = numbers(T) - 1.5

    def total(k: Tensor) -> Tensor:
        return loop([examples[0], examples[1]], [y], [k[0]])[2].sum()

    n, up, expected = 3, True, torch.zeros(())
    for x in y:
        n, up = (n + 1 if up else n - 2), (not up and bool(x > 0))
        expected = expected + x * n
    for shape in ((), (2,)):
        value, slope = differentiated(total, torch.full((*shape, 1), 0.5), {}, {})(torch.full((*shape, 1), 1.7))
        torch.testing.assert_close(slope[..., 0], expected.expand(shape))
        torch.testing.assert_close(value, (1.7 * expected).expand(shape))


def test_text_and_constants_tell_one_scan_from_another() -> None:
    table = numbers(3)
    sines = graph_of(lambda c, x: [torch.sin(c) + x * table], [numbers(3), numbers()])
    cosines = graph_of(lambda c, x: [torch.cos(c) + x * table], [numbers(3), numbers()])
    one = Scan(sines, 1, 1, T)
    others = [Scan(cosines, 1, 1, T), Scan(sines, 1, 1, T + 1), Scan(sines, 1, 1, T, reverse=True)]
    assert len({str(s) for s in (one, *others)}) == 4
    assert any(torch.equal(t, table) for t in one.constants())
    assert one.retyped(torch.float64, torch.float32).constants()[0].dtype == torch.float32


def test_no_second_import() -> None:
    """torch's own ways import sympy, two seconds."""
    import subprocess
    import sys

    code = (
        "import sys, torch; from ppgen.program import Program; from ppgen.targets import LogDensity; "
        "from tests.tools.recursions import CASES, data; torch.set_default_dtype(torch.float64); "
        "LogDensity(Program(CASES['garch'].scan, data(30)), lowering='recorded'); "
        "sys.exit('sympy' in sys.modules or 'torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
