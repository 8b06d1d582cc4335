"""Kernels: a graph as machine code, its data, calls from Python, threads, memory."""

import gc
import resource
import weakref
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from numba import njit
from torch import Tensor

from ppgen.errors import DataError, LoweringError
from ppgen.lowering import differentiated
from ppgen.native import cache, llvm, machine
from ppgen.native.calling import call
from ppgen.native.ir import For, Index, Load, Program, Store, Update, Variable
from ppgen.native.kernel import BoundKernel, Kernel
from ppgen.straightline import Graph

POINT = torch.tensor([0.3, -1.2, 2.5], dtype=torch.float64)


def regression(q: Tensor, x: Tensor, y: Tensor, group: Tensor) -> Tensor:
    """Counts with a slope and two groups: (3,), (n,), (n,), (n,) -> ()."""
    rate = q[0] * x + q[1:][group]
    return (y * rate - rate.exp()).sum() - q.square().sum() / 50


def data(seed: int = 0, n: int = 37, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, generator=g, dtype=torch.float64) * 0.7
    y, group = torch.randint(0, 40, (n,), generator=g), torch.randint(0, 2, (n,), generator=g)
    return {"x": x.to(dtype), "y": y.to(dtype), "group": group}


def graph_of(given: Mapping[str, Tensor], fast: Mapping[str, Tensor] = {}, dtype: torch.dtype = torch.float64) -> Graph:
    return differentiated(regression, POINT.to(dtype), given, fast)


def bound_to(kernel: Kernel, graph: Graph, given: Mapping[str, Tensor]) -> BoundKernel:
    return kernel.bind(graph.prepare(list(given.values())))


def exact(q: Tensor, given: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    q = q.detach().clone().requires_grad_()
    value = regression(q, **given)
    return value.detach(), torch.autograd.grad(value, q)[0]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_a_density_and_its_gradient(dtype: torch.dtype) -> None:
    given = data(dtype=dtype)
    graph = graph_of(given, dtype=dtype)
    kernel = Kernel(graph, dtype)
    value, gradient = bound_to(kernel, graph, given)([POINT.to(dtype)])
    truth = exact(POINT, {k: v.double() if v.is_floating_point() else v for k, v in given.items()})
    tolerance = {"rtol": 1e-12, "atol": 0} if dtype == torch.float64 else {"rtol": 2e-6, "atol": 1e-4}
    torch.testing.assert_close(value, truth[0].to(dtype), **tolerance)
    torch.testing.assert_close(gradient, truth[1].to(dtype), **tolerance)
    assert list(kernel.seconds) == ["translate", "passes", "emit", "compile", "load"]
    assert kernel.text.startswith("def program(x, n, c, k, w, m, out):")


def test_compiled_once() -> None:
    graph = graph_of(data())
    assert [Kernel(graph, torch.float64).cached for _ in range(2)] == [False, True]


def test_bindings_hold_their_own_data() -> None:
    sets = [data(seed) for seed in range(3)]
    graph = graph_of(sets[0])
    kernel = Kernel(graph, torch.float64)
    bound = [bound_to(kernel, graph, given) for given in sets]
    for b, given in zip(bound, sets, strict=True):
        torch.testing.assert_close(b([POINT]), exact(POINT, given), rtol=1e-12, atol=0)


def test_given_data_are_copied() -> None:
    given = data()
    graph = graph_of(given)
    bound = bound_to(Kernel(graph, torch.float64), graph, given)
    before, truth = bound([POINT]), exact(POINT, given)
    given["x"].zero_()
    torch.testing.assert_close(bound([POINT]), before, rtol=0, atol=0)
    torch.testing.assert_close(before, truth, rtol=1e-12, atol=0)


def test_constants_are_shared() -> None:
    given = data()
    graph = differentiated(lambda q: regression(q, **given), POINT, {}, {})
    kernel = Kernel(graph, torch.float64)
    first, second = (kernel.bind(graph.prepare([])) for _ in range(2))
    assert first.pointers == second.pointers
    torch.testing.assert_close(first([POINT]), exact(POINT, given), rtol=1e-12, atol=0)


@pytest.mark.parametrize("wrong", [2, -3])
def test_an_index_out_of_range_is_named(wrong: int) -> None:
    given = data()
    graph = graph_of(given)
    kernel = Kernel(graph, torch.float64)
    group = given["group"].clone()
    group[[5, 9]] = wrong
    with pytest.raises(DataError, match=rf"group\[5\] is {wrong}, but it indexes 2 elements"):
        bound_to(kernel, graph, {**given, "group": group})


def test_an_index_from_the_end() -> None:
    given = data()
    graph = graph_of(given)
    given["group"] -= 2
    torch.testing.assert_close(bound_to(Kernel(graph, torch.float64), graph, given)([POINT]), exact(POINT, given), rtol=1e-12, atol=0)


def test_several_inputs_whole_numbers_among_them() -> None:
    """Rows of a minibatch and weights, new at every call."""
    given, rows, weights = data(), torch.tensor([3, 1, 30, 3]), torch.tensor([0.5, 2.0, 1.0, 4.0], dtype=torch.float64)

    def density(q: Tensor, x: Tensor, y: Tensor, group: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
        rate = q[0] * x[rows] + q[1:][group[rows]]
        return (weights * (y[rows] * rate - rate.exp())).sum()

    graph = differentiated(density, POINT, given, {"rows": rows, "weights": weights})
    bound = bound_to(Kernel(graph, torch.float64), graph, given)
    for shift in (0, 4):
        q = POINT.clone().requires_grad_()
        value = density(q, **given, rows=rows + shift, weights=weights * 3)
        (gradient,) = torch.autograd.grad(value, q)
        torch.testing.assert_close(bound([POINT, rows + shift, weights * 3]), (value.detach(), gradient), rtol=1e-12, atol=1e-12)
    with pytest.raises(DataError, match=r"weights must be \(4,\), got \(3,\)"):
        bound([POINT, rows, weights[1:]])


def test_many_points_in_one_call() -> None:
    given = data()
    graph = graph_of(given)
    bound = bound_to(Kernel(graph, torch.float64), graph, given)
    wide = torch.randn(5, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for positions in (wide[:, :3], wide[:, 1::2], wide[:1, :3].expand(4, 3), wide[:0, :3]):  # none of them contiguous
        values, gradients = bound.over(positions)
        assert values.shape == (len(positions),)
        assert gradients.shape == (len(positions), 3)
        for i, q in enumerate(positions):
            torch.testing.assert_close((values[i], gradients[i]), bound([q]), rtol=0, atol=0)
    with pytest.raises(DataError, match=r"positions must be \(chains, 3\), got \(5, 4\)"):
        bound.over(wide[:, :4])


def test_nan_at_one_point_leaves_the_others_alone() -> None:
    given = data()
    graph = graph_of(given)
    bound = bound_to(Kernel(graph, torch.float64), graph, given)
    positions = POINT.repeat(3, 1)
    positions[1, 0] = torch.nan
    values, gradients = bound.over(positions)
    assert values.isnan().tolist() == [False, True, False]
    assert gradients[1].isnan().any()
    torch.testing.assert_close((values[2], gradients[2]), bound([POINT]), rtol=0, atol=0)


def test_threads_do_not_disturb_each_other() -> None:
    given = data(n=400)
    graph = graph_of(given)
    bound = bound_to(Kernel(graph, torch.float64), graph, given)
    positions = torch.randn(64, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    alone = bound.over(positions)
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            together = list(pool.map(lambda q: bound([q]), positions))
            torch.testing.assert_close(torch.stack([v for v, _ in together]), alone[0], rtol=0, atol=0)
            torch.testing.assert_close(torch.stack([g for _, g in together]), alone[1], rtol=0, atol=0)


def test_threads_compile_side_by_side() -> None:
    def compile_one(n: int) -> tuple[Tensor, ...]:
        given = data(n=n)
        graph = graph_of(given)
        return bound_to(Kernel(graph, torch.float64), graph, given)([POINT])

    graph_of(data())  # what torch imports on first use
    sizes = [11, 12, 13, 14]
    with ThreadPoolExecutor(4) as pool:
        for n, result in zip(sizes, pool.map(compile_one, sizes), strict=True):
            torch.testing.assert_close(result, exact(POINT, data(n=n)), rtol=1e-12, atol=0)


def test_compiled_python_calls_it_by_its_address() -> None:
    given = data()
    graph = graph_of(given)
    bound = bound_to(Kernel(graph, torch.float64), graph, given)
    w, m = bound.workspace()

    @njit
    def through(code, x, n, c, k, w, m, out):  # type: ignore[no-untyped-def]
        call(code, x, n, c, k, w, m, out)

    out, q = np.empty(4), POINT.numpy()
    through(bound.address, q.ctypes.data, *bound.pointers, w.ctypes.data, m.ctypes.data, out.ctypes.data)
    value, gradient = bound([POINT])
    assert out.tolist() == [float(value), *gradient.tolist()]


def test_buffers_begin_at_a_cache_line() -> None:
    given = data()
    graph = graph_of(given)
    bound = bound_to(Kernel(graph, torch.float64), graph, given)
    places = [*bound.pointers, *(a.ctypes.data for _ in range(5) for a in bound.workspace() if a.size)]
    assert [p % 64 for p in places] == [0] * len(places)


def test_an_operation_without_a_rule_is_named() -> None:
    graph = differentiated(lambda q: torch.linalg.eigvalsh(q.outer(q)).sum(), POINT, {}, {})
    with pytest.raises(LoweringError, match="eigh"):
        Kernel(graph, torch.float64)


# Memory


def resident() -> int:
    """Bytes of this process in memory now, or, where that is not to be had, at most so far."""
    try:
        with open("/proc/self/statm") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * resource.getpagesize()
    except FileNotFoundError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_code_lives_as_long_as_what_is_bound() -> None:
    given = data()
    graph = graph_of(given)
    bound = bound_to(Kernel(graph, torch.float64), graph, given)
    code = weakref.ref(bound.kernel.code)
    gc.collect()
    bound([POINT])
    assert code() is not None
    del bound
    gc.collect()
    assert code() is None


def test_kernels_leave_nothing_behind() -> None:
    """Compiled, loaded, bound, called and dropped: what 200 of them leave is less than a page each."""
    given = data()
    graph = graph_of(given)

    def once() -> None:
        bound_to(Kernel(graph, torch.float64), graph, given)([POINT])

    def compiled_anew(i: int) -> None:
        body = [Variable("s", "f", float(i)), For("i", Index(), Index(9), [Load("t", "x", Index(0, (("i", 1),))), Update("s", "t", "add")])]
        text = llvm.function(Program([*body, Store("out", Index(), "s")], {"x": 9, "out": 1}))
        machine.Code(machine.compiled(text), ("program",))

    for i in range(20):
        once()
        compiled_anew(-i)
    gc.collect()
    before = resident()
    for i in range(100):
        once()
        compiled_anew(i)
    gc.collect()
    assert resident() - before < 200 * 4096
    assert cache.object_code(Kernel(graph, torch.float64).llvm)[1]
