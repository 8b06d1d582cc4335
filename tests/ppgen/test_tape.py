"""What a tape makes of operations: graphs that merge, fold, retype and prepare, and noise that comes from outside."""

import gc
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from scipy import stats
from torch import Tensor

from ppgen.errors import ProgramError, RecordingError
from ppgen.straightline import Graph, cut, leaves, mapped
from ppgen.tape import Steered, Tape, ValueRead, Watch, draw_noise

COUNT = 4000


def record(f: Callable, inputs: dict[str, Tensor], *, noise: bool = False) -> tuple[Tape, Any]:
    tape = Tape(noise=torch.Generator().manual_seed(0) if noise else None)
    for name, t in inputs.items():
        tape.input(t, name)
    with torch.no_grad(), Watch(tape), tape:
        out = f(*inputs.values())
    return tape, out


def graph_of(f: Callable, *inputs: Tensor, **settings: Any) -> Graph:
    tape, out = record(f, {f"x{i}": t.clone() for i, t in enumerate(inputs)})
    outputs = [tape.node(t) for t in (out if isinstance(out, tuple) else (out,))]
    return cut(tape, list(tape.inputs.values()), outputs, **settings)


def targets(graph: Graph) -> list[str]:
    return [str(n.target) for n in graph.nodes if n.target is not None]


# Graphs


def test_equal_operations_are_merged_and_constants_folded() -> None:
    fixed = torch.arange(3.0)
    graph = graph_of(lambda x: (x.exp() + x.exp()) * (fixed * 2).sum(), torch.ones(3))
    assert sorted(targets(graph)) == ["aten.add.Tensor", "aten.exp.default", "aten.mul.Tensor"]
    x = torch.tensor([0.5, -1.0, 2.0])
    torch.testing.assert_close(graph(x)[0], 12 * x.exp())


def test_what_no_output_needs_is_dropped() -> None:
    def f(x: Tensor) -> Tensor:
        x.sin()
        return x.cos()

    assert targets(graph_of(f, torch.ones(3))) == ["aten.cos.default"]


def test_whole_numbers_and_fractions_are_not_merged() -> None:
    """x ** 2 and x ** 2.0, or 1 and True, compare equal in Python and are other operations in torch."""
    whole = torch.tensor([3])
    graph = graph_of(lambda x: (x * 2, x * 2.0, x + True, x + 1), whole)
    assert [t.dtype for t in graph(whole)] == [torch.int64, torch.float32, torch.int64, torch.int64]
    assert len(targets(graph)) == 4


def test_slow_inputs_are_prepared_once() -> None:
    runs = []

    def counting(t: Tensor) -> Tensor:
        runs.append(1)
        return t.exp()

    graph = graph_of(lambda x, y: x * y.exp().sum(), torch.ones(2), torch.ones(3), slow=[1])
    node = next(n for n in graph.nodes if str(n.target) == "aten.exp.default")
    node.target = counting
    prepared = graph.prepare([torch.zeros(3)])
    for scale in (1.0, 2.0):
        torch.testing.assert_close(graph.run(prepared, [torch.full((2,), scale)])[0], torch.full((2,), 3 * scale))
    assert len(runs) == 1
    torch.testing.assert_close(graph(torch.ones(2), torch.zeros(3))[0], torch.full((2,), 3.0))


def test_retyped_graphs_compute_in_the_other_type() -> None:
    fixed = torch.tensor([0.1, 0.2])
    graph = graph_of(lambda x: x * fixed + torch.zeros(2).to(x) + x.to(torch.float32), torch.ones(2), retype=(torch.float32, torch.float64))
    x = torch.tensor([1 / 3, 2 / 3], dtype=torch.float64)
    got = graph(x)[0]
    assert got.dtype == torch.float64
    torch.testing.assert_close(got, x * fixed.double() + x, rtol=1e-15, atol=0)


def test_text_tells_graphs_apart() -> None:
    one, same = (graph_of(lambda x: x.exp() * 2, torch.ones(3)) for _ in range(2))
    assert one.text() == same.text()
    for other in (lambda x: x.exp() * 3, lambda x: x.sin() * 2, lambda x: x[:2].exp() * 2):
        assert graph_of(other, torch.ones(3)).text() != one.text()


def test_a_cut_needs_its_inputs() -> None:
    tape, out = record(lambda x, y: x * y, {"x": torch.ones(2), "y": torch.ones(2)})
    with pytest.raises(RecordingError, match="this reading also needs y"):
        cut(tape, [tape.inputs["x"]], [tape.node(out)])


def test_data_that_are_read_steer_and_others_are_refused() -> None:
    with pytest.raises(Steered) as steered:
        record(lambda x: x * int(x.max()), {"data:0": torch.ones(2)})
    assert steered.value.names == {"data:0"}
    with pytest.raises(ValueRead, match=r"depends on param:w|depends on w: test_tape.py, line \d+"):
        record(lambda x, w: x * float(w * x.sum()), {"data:0": torch.ones(2), "param:w": torch.ones(())})


# Noise


def drawn(f: Callable[[], Tensor]) -> Tensor:
    """COUNT results of a recorded f, its noise drawn anew for each."""
    tape, out = record(f, {}, noise=True)
    assert tape.noises, "nothing was drawn"
    graph = cut(tape, [tape.inputs[n] for n in tape.noises], [tape.node(out)])
    generator = torch.Generator().manual_seed(1)
    results = []
    for _ in range(COUNT // max(out.numel(), 1)):
        given = [
            draw_noise(kind, tape.inputs[n].value.shape, tape.inputs[n].value.dtype, "cpu", generator) for n, kind in tape.noises.items()
        ]
        results.append(graph(*given)[0])
    return torch.stack(results).flatten()


SHAPE = (40,)
CONTINUOUS: dict[str, tuple[Callable[[], Tensor], Any]] = {
    "randn": (lambda: torch.randn(SHAPE), stats.norm),
    "randn_like": (lambda: torch.randn_like(torch.zeros(SHAPE)), stats.norm),
    "normal of floats": (lambda: torch.normal(2.0, 3.0, SHAPE), stats.norm(2, 3)),
    "normal of tensors": (lambda: torch.normal(torch.full(SHAPE, 2.0), torch.full(SHAPE, 3.0)), stats.norm(2, 3)),
    "normal of a mean": (lambda: torch.normal(torch.full(SHAPE, 2.0)), stats.norm(2, 1)),
    "normal of a scale": (lambda: torch.normal(1.0, torch.full(SHAPE, 3.0)), stats.norm(1, 3)),
    "normal in place": (lambda: torch.empty(SHAPE).normal_(2.0, 3.0), stats.norm(2, 3)),
    "rand": (lambda: torch.rand(SHAPE), stats.uniform),
    "rand_like": (lambda: torch.rand_like(torch.zeros(SHAPE)), stats.uniform),
    "rand into": (lambda: torch.rand(SHAPE, out=torch.zeros(SHAPE)), stats.uniform),
    "uniform in place": (lambda: torch.empty(SHAPE).uniform_(2.0, 5.0), stats.uniform(2, 3)),
    "exponential in place": (lambda: torch.empty(SHAPE).exponential_(4.0), stats.expon(scale=1 / 4)),
    "Cauchy in place": (lambda: torch.empty(SHAPE).cauchy_(1.0, 2.0), stats.cauchy(1, 2)),
    "log-normal in place": (lambda: torch.empty(SHAPE).log_normal_(0.5, 2.0), stats.lognorm(2.0, scale=2.718281828459045**0.5)),
}


@pytest.mark.parametrize("name", CONTINUOUS)
def test_noise_has_the_law_of_the_operation(name: str) -> None:
    f, law = CONTINUOUS[name]
    assert stats.kstest(drawn(f).numpy(), law.cdf).pvalue > 1e-3


PROBABILITIES: dict[str, tuple[Callable[[], Tensor], Sequence[float]]] = {
    "bernoulli of a tensor": (lambda: torch.bernoulli(torch.full(SHAPE, 0.2)), [0.8, 0.2]),
    "bernoulli of a number": (lambda: torch.bernoulli(torch.full(SHAPE, 0.9), 0.2), [0.8, 0.2]),
    "bernoulli in place": (lambda: torch.full(SHAPE, 0.9).bernoulli_(0.2), [0.8, 0.2]),
    "bernoulli in place of a tensor": (lambda: torch.full(SHAPE, 0.9).bernoulli_(torch.full(SHAPE, 0.2)), [0.8, 0.2]),
    "dropout": (lambda: torch.nn.functional.dropout(torch.full(SHAPE, 0.8), 0.2), [0.2, 0.8]),
    "integers": (lambda: torch.randint(4, SHAPE), [0.25] * 4),
    "integers from": (lambda: torch.randint(1, 4, SHAPE), [0.0, 1 / 3, 1 / 3, 1 / 3]),
    "integers like": (lambda: torch.randint_like(torch.zeros(SHAPE), 1, 4), [0.0, 1 / 3, 1 / 3, 1 / 3]),
    "permutation": (lambda: torch.randperm(4)[0], [0.25] * 4),
}


@pytest.mark.parametrize("name", PROBABILITIES)
def test_discrete_noise_has_the_law_of_the_operation(name: str) -> None:
    f, probabilities = PROBABILITIES[name]
    results = drawn(f)
    observed = torch.bincount(results.long(), minlength=len(probabilities))
    assert len(observed) == len(probabilities)
    possible = [(int(o), p * len(results)) for o, p in zip(observed, probabilities, strict=True) if p]
    assert sum(o for o, _ in possible) == len(results)
    assert stats.chisquare(*map(list, zip(*possible, strict=True))).pvalue > 1e-3


@pytest.mark.parametrize(
    "f",
    [torch._standard_gamma, torch.poisson, lambda a: torch.zeros(50).geometric_(0.1) + a],
    ids=["gamma", "Poisson", "geometric"],
)
def test_what_has_no_recipe_is_drawn_anew_at_every_run(f: Callable[[Tensor], Tensor]) -> None:
    tape, out = record(lambda a: torch.stack([f(a), f(a)]), {"a": torch.full((50,), 3.0)}, noise=True)
    graph = cut(tape, [tape.inputs["a"]], [tape.node(out)])
    assert graph.random
    a = torch.full((50,), 3.0)
    first, second = graph(a)[0], graph(a)[0]
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])  # two draws are never merged
    torch.manual_seed(3)
    one = graph(a)[0]
    torch.manual_seed(3)
    assert torch.equal(graph(a)[0], one)


def test_random_numbers_without_noise_are_refused() -> None:
    with pytest.raises(ProgramError, match=r"random numbers inside the program .*test_tape\.py"):
        record(lambda x: x + torch.rand(2), {"x": torch.ones(2)})


def test_arguments_are_nested_tuples_lists_and_dicts() -> None:
    arguments = (1, [2.0, (3, None)], {"a": 4, "b": [True]}, torch.Size((5,)))
    assert leaves(arguments, int) == [1, 3, 4, True]
    assert mapped(arguments, float, lambda x: -x) == (1, [-2.0, (3, None)], {"a": 4, "b": [True]}, torch.Size((5,)))
    assert type(mapped(arguments, float, str)[1][1]) is tuple


def test_the_collector_runs_again_after_a_recording() -> None:
    tape = Tape()
    with tape, Tape():
        assert not gc.isenabled()
    assert gc.isenabled()
    with pytest.raises(RecordingError), tape:
        raise RecordingError("within")
    assert gc.isenabled()
    gc.disable()
    try:
        with tape:
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_recording_is_linear_and_cheap() -> None:
    """Seconds per operation, of the fastest of three: about 20 us, however many there are."""

    def seconds(count: int) -> float:
        def repeated(x: Tensor) -> Tensor:
            for _ in range(count):
                x = x * 1.5 + 1.0
            return x

        best = float("inf")
        for _ in range(3):
            begin = time.process_time()
            graph_of(repeated, torch.ones(()))
            best = min(best, time.process_time() - begin)
        return best / (2 * count)

    few, many = seconds(500), seconds(5000)
    assert many < 4 * few
    assert many < 200e-6
