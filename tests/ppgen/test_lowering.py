"""What runs a graph: value and gradient batched over chains, and the rewriting that leaves values as they are."""

import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from ppgen.lowering import differentiated, over_batch
from ppgen.program import Program
from ppgen.simplify import simplify
from ppgen.straightline import Graph, cut
from ppgen.tape import Tape
from ppgen.targets import LogDensity
from tests.posteriors import load

aten = torch.ops.aten
X = torch.linspace(-1.5, 2.0, 12, dtype=torch.float64).reshape(3, 4)


def recorded(f: Callable[..., Tensor | tuple[Tensor, ...]], *given: Tensor) -> Graph:
    tape = Tape(differentiated=True)
    given = tuple(t.clone() for t in given)
    nodes = [tape.input(t, f"x{i}") for i, t in enumerate(given)]
    with tape:
        out = f(*given)
    return cut(tape, nodes, [tape.node(t) for t in (out if isinstance(out, tuple) else (out,))])


def operations(graph: Graph) -> list[object]:
    return [n.target for n in graph.nodes if n.constant is None]


# Each: a function whose graph shrinks to the operations named
REWRITTEN: dict[str, tuple[Callable[[Tensor], Tensor], list[object]]] = {
    "times one": (lambda x: (x * torch.ones(3, 4, dtype=x.dtype)) * 1.0, []),
    "times ones that widen": (lambda x: x[:, :1] * torch.ones(3, 4, dtype=x.dtype), [aten.slice.Tensor, aten.expand.default]),
    "plus zero": (lambda x: x + torch.zeros_like(x) - 0.0 + torch.zeros(4, dtype=x.dtype), []),
    "over one": (lambda x: x / 1.0, []),
    "views there and back": (lambda x: x.reshape(12).unsqueeze(-1).squeeze(-1).reshape(3, 4), []),
    "views in a row": (lambda x: x.reshape(2, 6).unsqueeze(0).reshape(4, 3), [aten.reshape.default]),
    "expand to the same": (lambda x: x.expand(3, 4), []),
    "sum of one": (lambda x: x.unsqueeze(0).sum(0), []),
    "negative twice": (lambda x: x.neg().neg(), []),
    "to the first": (lambda x: x**1.0, []),
    "to the second": (lambda x: x**2, [aten.mul.Tensor]),
    "copies": (lambda x: x.clone().clone(), []),
    "equal after rewriting": (lambda x: (x * 1.0).exp() + (x + 0.0).exp(), [aten.exp.default, aten.add.Tensor]),
    "constant after rewriting": (lambda x: x.exp() * (torch.zeros_like(x) + 1), [aten.exp.default]),
    "dead": (lambda x: x.exp() + 0.0 * 1.0 * torch.zeros_like(x.log()), [aten.exp.default]),
}


@pytest.mark.parametrize("name", REWRITTEN)
def test_rewriting(name: str) -> None:
    f, left = REWRITTEN[name]
    graph = recorded(f, X)
    small = simplify(graph)
    assert operations(small) == left
    assert operations(graph) != left
    assert torch.equal(small(X)[0], f(X))


# Each: a function in which nothing may be dropped
KEPT: dict[str, Callable[[Tensor], Tensor]] = {
    "times zero": lambda x: x * 0.0,  # nan where x is
    "times one of another dtype": lambda x: x.float() * torch.ones(3, 4, dtype=torch.float64),
    "scaled addition": lambda x: torch.add(torch.zeros_like(x), x, alpha=2.0),
    "sum over one row of several": lambda x: x.sum(0),
    "zeros of another size": lambda x: x.sum() + torch.zeros(2, 2, dtype=x.dtype),
    "another dtype": lambda x: x.to(torch.float32),
    "integer powers": lambda x: (x > 0).long() ** 2,
}


@pytest.mark.parametrize("name", KEPT)
def test_what_is_no_identity_stays(name: str) -> None:
    f = KEPT[name]
    bad = X.clone()
    bad[1, 2] = torch.nan
    small = simplify(recorded(f, X))
    for x in (X, bad):
        found, expected = small(x)[0], f(x)
        assert found.shape == expected.shape
        assert found.dtype == expected.dtype
        assert torch.equal(found.nan_to_num(7.0), expected.nan_to_num(7.0))


def test_random_nodes_are_neither_merged_nor_folded() -> None:
    tape = Tape(noise=torch.Generator().manual_seed(0))
    rate = torch.ones(1000, dtype=torch.float64)
    node = tape.input(rate, "rate")
    with tape:
        a, b = torch.poisson(rate), torch.poisson(rate)
    graph = simplify(cut(tape, [node], [tape.node(a), tape.node(b)]))
    found = graph(rate)
    assert not torch.equal(*found)
    assert not torch.equal(graph(rate)[0], found[0])


def gradient_of(f: Callable[[Tensor], Tensor]) -> tuple[Graph, Callable[[Tensor], Tensor]]:
    """The graph of a gradient by autograd, and the gradient itself."""
    tape = Tape(differentiated=True)
    x = torch.linspace(0.5, 1.5, 10, dtype=torch.float64)
    node = tape.input(x, "x")
    with torch.enable_grad(), tape:
        leaf = x.detach().requires_grad_()
        (g,) = torch.autograd.grad(f(leaf), leaf)

    def exact(at: Tensor) -> Tensor:
        leaf = at.clone().requires_grad_()
        return torch.autograd.grad(f(leaf), leaf)[0]

    return cut(tape, [node], [tape.node(g)]), exact


SLICED: dict[str, tuple[Callable[[Tensor], Tensor], bool]] = {
    "whole": (lambda q: q[:3].exp().sum() + q[3:].square().sum(), True),
    "one part never read": (lambda q: q[1:3].exp().sum() + q[6:9].square().sum(), True),
    "a part read twice": (lambda q: q[:3].exp().sum() + q[:3].sin().sum() + q[3:].square().sum(), True),
    "numbers and slices": (lambda q: q[0].exp() * q[1] + q[2:9].square().sum() + q[-1].sin(), True),
    "overlapping": (lambda q: q[:5].exp().sum() + q[3:].square().sum(), False),
    "strided": (lambda q: q[::2].exp().sum() + q[1::2].square().sum(), False),
    "with the whole": (lambda q: q[:3].exp().sum() + q[3:].sin().sum() + q.square().sum(), False),
}


@pytest.mark.parametrize("name", SLICED)
def test_gradients_of_slices_are_concatenated(name: str) -> None:
    f, joined = SLICED[name]
    graph, exact = gradient_of(f)
    small = simplify(graph)
    x = torch.linspace(-1.0, 2.0, 10, dtype=torch.float64)
    assert torch.allclose(small(x)[0], exact(x), rtol=1e-15, atol=0)
    assert (aten.cat.default in operations(small)) == joined
    assert (aten.slice_backward.default in operations(small)) != joined


# Each: a function of 10 numbers, and whether its gradient takes a softmax
LOGS: dict[str, tuple[Callable[[Tensor], Tensor], bool]] = {
    "rows": (lambda q: q.reshape(2, 5).logsumexp(-1).sum(), True),
    "columns, kept": (lambda q: (q.reshape(2, 5).logsumexp(0, keepdim=True) * torch.arange(5.0)).sum(), True),
    "all": (lambda q: q.logsumexp(0), True),
    "both dimensions": (lambda q: q.reshape(2, 5).logsumexp((0, 1)), False),
    "of others": (lambda q: (q - (2 * q).logsumexp(0)).exp().sum(), True),  # the gradient's own, and not the function's
}


@pytest.mark.parametrize("name", LOGS)
def test_the_gradient_of_logsumexp_is_softmax(name: str) -> None:
    f, softmax = LOGS[name]
    graph, exact = gradient_of(f)
    small = simplify(graph)
    assert (aten._softmax.default in operations(small)) == softmax
    x = torch.linspace(-1.0, 2.0, 10, dtype=torch.float64)
    for at in (x, 300 * x, torch.where(x < 0, -torch.inf, x)):
        assert torch.allclose(small(at)[0], exact(at), rtol=1e-13, atol=0, equal_nan=True)


def test_a_graph_that_reads_memory_by_strides_is_left_alone() -> None:
    graph = recorded(lambda x: torch.as_strided(x * 1.0, (2, 2), (4, 1), 0), X)
    assert simplify(graph) is graph


def test_value_and_gradient_of_a_batch() -> None:
    """Data enter the prelude: new data change the result without a new graph."""

    def density(q: Tensor, y: Tensor, rows: Tensor) -> Tensor:
        return -((y[rows] - q[0] * q[1].exp()).square() / (2 * y.std() ** 2)).sum()

    y, rows = torch.linspace(10.0, 30.0, 8, dtype=torch.float64), torch.tensor([0, 3, 5])
    position = torch.randn(3, 2, dtype=torch.float64)
    graph = differentiated(density, torch.rand(3, 2, dtype=torch.float64), {"y": y}, {"rows": rows})
    for data, index in ((y, rows), (y * 3 + 1, torch.tensor([7, 1, 1]))):
        value, gradient = graph.run(graph.prepare([data]), (position, index))
        for i in range(3):
            leaf = position[i].clone().requires_grad_()
            exact = density(leaf, data, index)
            assert torch.allclose(value[i], exact, rtol=1e-14)
            assert torch.allclose(gradient[i], torch.autograd.grad(exact, leaf)[0], rtol=1e-13)


def test_a_density_that_does_not_depend_on_the_position() -> None:
    graph = differentiated(lambda q, y: y.sum(), torch.zeros(2, 3), {"y": torch.ones(4)}, {})
    value, gradient = graph.run(graph.prepare([torch.full((4,), 2.0)]), (torch.ones(2, 3),))
    assert value.tolist() == [8.0, 8.0]
    assert torch.equal(gradient, torch.zeros(2, 3))


class Unbatched(torch.autograd.Function):
    """An operation without a batching rule."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, x: Tensor) -> Tensor:
        return x.square()

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *slope: Tensor) -> Tensor:
        return slope[0]


def test_over_batch_goes_row_by_row_where_vmap_refuses() -> None:
    x = torch.arange(6.0).reshape(3, 2)
    (found,) = over_batch(lambda r: (Unbatched.apply(r),), [x], 3)
    assert torch.equal(found, x.square())
    (found,) = over_batch(lambda: (torch.tensor([1.0, 2.0]),), [], 3)
    assert torch.equal(found, torch.tensor([1.0, 2.0]).expand(3, 2))


def test_a_density_whose_operations_have_no_batching_rule_runs_chain_by_chain() -> None:
    def density(q: Tensor) -> Tensor:
        if torch._C._functorch.is_batchedtensor(q):
            raise NotImplementedError("no batching rule")
        return -(q.square() * torch.arange(1.0, 4.0)).sum()

    graph = differentiated(density, torch.rand(4, 3), {}, {})
    position = torch.randn(4, 3)
    value, gradient = graph.run(graph.prepare([]), (position,))
    assert torch.allclose(value, -(position.square() * torch.arange(1.0, 4.0)).sum(-1))
    assert torch.allclose(gradient, -2 * position * torch.arange(1.0, 4.0))


def test_eight_schools_cost_few_operations() -> None:
    """70 operations a gradient where vmap and autograd leave 132."""
    case = load("eight_schools-eight_schools_noncentered")
    density = LogDensity(Program(case.model, **case.kwargs), lowering="recorded")
    position = torch.randn(4, density.dim, dtype=torch.float64) * 0.3
    density.value_and_grad(position)
    assert len(operations(density.reading._lowered[4].graph)) <= 75
    times = []
    for _ in range(50):
        begin = time.perf_counter()
        density.value_and_grad(position)
        times.append(time.perf_counter() - begin)
    assert min(times) < 500e-6  # 100 us on an idle core
