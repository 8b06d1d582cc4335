"""The translator: what becomes of programs, and what it refuses. Truths are torch's."""

from collections.abc import Callable, Iterator, Mapping

import pytest
import torch
from torch import Tensor

from ppgen.errors import LoweringError
from ppgen.lowering import differentiated
from ppgen.native import ir
from ppgen.native.translate import Translation, translate
from ppgen.program import Program
from tests.posteriors import NAMES, load
from tests.tools.recorded import CASES
from tests.tools.zoo import Density, Interpreted, density_of, difference, float64, points

UNREAD = {"masked_write"}  # its derivative selects by a mask that is data, which cannot be recorded
REFUSED = {"singular": "aten.linalg_qr", "spectrum": "complex"}  # of the recorded programs, and what is named


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    with float64():
        yield


def density(f: Callable[..., Tensor], dim: int, dtype: torch.dtype = torch.float64, **data: Tensor) -> Density:
    """f(position (dim,), *data) -> (), with its gradient."""
    position = next(points(dim, 1, seed=3)).to(dtype)
    return Density(differentiated(f, position, data, {}), list(data.values()), dim, dtype)


def translated(d: Density) -> Translation:
    return translate(d.graph, d.dtype)


def check(d: Density, within: float = 1e-12) -> None:
    run = d.by(Interpreted(d.graph, d.dtype))
    for q in points(d.dim, 4):
        assert difference(run(q.to(d.dtype)), d.by_torch(q.to(d.dtype))) < within


def statements(t: Translation, kind: type) -> list[ir.Statement]:
    return [s for s in ir.walk(t.program.body) if isinstance(s, kind)]


def outer_loops(t: Translation) -> list[int]:
    """Iterations of the loops that stand in no other."""
    return [s.stop.offset for s in t.program.body if isinstance(s, ir.For)]


# Whole programs


@pytest.mark.parametrize("name", [n for n, c in CASES.items() if not c.rows and n not in UNREAD])
def test_recorded_programs(name: str) -> None:
    case = CASES[name]
    d = density_of(Program(case.fn, *case.args, **case.kwargs))
    if name in REFUSED:
        with pytest.raises(LoweringError, match=REFUSED[name]):
            translated(d)
        return
    check(d, 1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_posteriors(name: str) -> None:
    case = load(name)
    d = density_of(Program(case.model, **case.kwargs))
    q = next(points(d.dim, 1))
    assert difference(d.by(Interpreted(d.graph, torch.float64))(q), d.by_torch(q)) < 1e-9


def test_eight_schools_is_one_loop_over_schools() -> None:
    case = CASES["eight_schools"]
    t = translated(density_of(Program(case.fn, *case.args)))
    assert outer_loops(t) == [8]
    assert t.program.sizes["w"] == 0


# What is where


def test_constants_that_are_uniform_are_literals() -> None:
    ones = torch.full((3,), 2.5, dtype=torch.float64)
    t = translated(density(lambda q: (q * ones).sum(), 3))
    assert not t.pieces
    check(density(lambda q: (q * ones).exp().sum(), 3))


def test_a_matrix_and_its_transpose_are_laid_once() -> None:
    x = torch.arange(12, dtype=torch.float64).reshape(4, 3) / 7
    for d in (density(lambda q, x: (x @ q).sin().sum(), 3, x=x), density(lambda q: (x @ q).sin().sum(), 3)):
        assert [p.size for p in translated(d).pieces] == [12]
        check(d)


def test_whole_numbers_of_data_are_laid_as_reals_where_they_are_computed_with() -> None:
    counts = torch.tensor([3, 0, 7])
    d = density(lambda q, n: (q * n).sum(), 3, n=counts)
    assert {p.buffer for p in translated(d).pieces} == {"c"}
    assert not [s for s in statements(translated(d), ir.Let) if isinstance(s, ir.Let) and s.operation == "real"]
    check(d)


def test_outputs_lie_one_after_the_other_and_a_concatenated_gradient_is_made_in_place() -> None:
    t = translated(density(lambda q: q[0].sin() + q[1:].square().sum(), 4))
    assert [(o.view.offset, o.view.shape) for o in t.outputs] == [(0, ()), (1, (4,))]
    assert t.program.sizes["out"] == 5
    assert t.program.sizes["w"] == 0


def test_dimensions_of_size_one_are_no_loops() -> None:
    t = translated(density(lambda q: q.reshape(1, 5, 1).exp().sum(1).sum(), 5))
    assert outer_loops(t) == [5]


def test_the_result_of_a_row_goes_through_a_local() -> None:
    x = torch.arange(60, dtype=torch.float64).reshape(20, 3) / 30
    t = translated(density(lambda q, x: (x @ q).exp().sum(), 3, x=x))
    assert set(outer_loops(t)) == {20, 3}
    assert [s for s in statements(t, ir.Update) if isinstance(s, ir.Update) and s.how == "add"]


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2)])
def test_empty_tensors(shape: tuple[int, ...]) -> None:
    data = torch.zeros(shape, dtype=torch.float64)

    def f(q: Tensor, x: Tensor) -> Tensor:
        y = x + q[0]
        return y.exp().sum() + q.sum().sin() + torch.cat([y.reshape(-1), q]).cumsum(0).sum() + y.prod() + (y > 0).any()

    check(density(f, 2, x=data))


def test_no_parameters_at_all() -> None:
    d = density(lambda q, x: x.sum() + q.sum(), 0, x=torch.tensor([1.0, 2.5], dtype=torch.float64))
    assert d.by(Interpreted(d.graph, d.dtype))(torch.zeros(0, dtype=torch.float64))[0] == 3.5


def test_single_precision() -> None:
    d = density(
        lambda q, x: torch.nn.functional.softplus(x * q).logsumexp(0) + q.sigmoid().log().sum(),
        3,
        torch.float32,
        x=torch.ones(3, dtype=torch.float32),
    )
    assert translated(d).program.single
    check(d, 1e-5)


def test_logsumexp_and_its_gradient_share_their_exponentials() -> None:
    """One exponential for each number, and one logarithm."""

    def f(q: Tensor, x: Tensor) -> Tensor:
        return (x + q).logsumexp(-1).sum()

    d = density(f, 3, x=torch.linspace(-2.0, 2.0, 21, dtype=torch.float64).reshape(7, 3))
    made = [s.operation for s in statements(translated(d), ir.Let)]
    assert (made.count("exp"), made.count("log")) == (1, 1)
    check(d)


def test_other_precisions_inside_are_refused_but_for_truth_values() -> None:
    with pytest.raises(LoweringError, match=r"computes in torch\.float32 inside of a program in torch\.float64"):
        translated(density(lambda q: q.float().exp().double().sum(), 3))
    check(density(lambda q: ((q > 0).float() * q).sum(), 3))
    with pytest.raises(LoweringError, match="float16"):
        translate(density(lambda q: q.sum(), 3).graph, torch.float16)


# Indices


def test_an_index_of_data_is_checked_when_it_is_bound() -> None:
    index = torch.tensor([2, -1, 0, 0])
    d = density(lambda q, i: q[i].sin().sum(), 3, i=index)
    t = translated(d)
    assert [c.length for c in t.indices] == [3]
    assert d.graph.handed[t.indices[0].source].name == "i"
    check(d)


def test_an_index_that_is_constant_and_regular_is_a_view() -> None:
    index = torch.tensor([4, 2, 0])
    t = translated(density(lambda q: q[index].sin().sum(), 6))
    assert t.program.sizes["k"] == 0
    assert not t.indices


def test_an_index_by_rows_keeps_one_whole_number_for_each() -> None:
    group = torch.tensor([1, 0, 1, 1])
    d = density(lambda q, i: q.reshape(2, 3)[i].square().sum(), 6, i=group)
    assert translated(d).program.sizes["k"] == 4
    check(d)


def test_a_computed_index_that_is_out_of_range_is_nan_and_reads_nothing_else() -> None:
    table = torch.arange(3, dtype=torch.float64)
    d = density(lambda q, t: t[(q * 2).long()].sum() + q.sum() * 0, 1, t=table)
    run = d.by(Interpreted(d.graph, torch.float64))
    inside = torch.tensor([1.2])
    assert run(inside)[0] == 2.0
    assert run(-inside)[0] == 1.0  # -2 counts from the end
    for outside in (2.5, -4.0, float("nan"), 1e300, -1e300):
        assert run(torch.tensor([outside]))[0].isnan()


# Operations that are found nowhere else


UNARY: Mapping[str, Callable[[Tensor], Tensor]] = {
    "gelu": torch.nn.functional.gelu,
    "gelu, tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    "silu": torch.nn.functional.silu,
    "elu": torch.nn.functional.elu,
    "celu": lambda x: torch.nn.functional.celu(x, 0.7),
    "leaky_relu": torch.nn.functional.leaky_relu,
    "hardtanh": torch.nn.functional.hardtanh,
    "threshold": lambda x: torch.nn.functional.threshold(x, 0.1, 20.0),
    "sign": lambda x: x.sign() * x,
    "frac": torch.frac,
    "remainder": lambda x: x.remainder(0.7) + x.fmod(-0.7),
    "atan2": lambda x: torch.atan2(x, x.flip(0) + 0.1),
    "asinh": torch.asinh,
    "acosh": lambda x: torch.acosh(1.1 + x.abs()),
    "atanh": lambda x: torch.atanh(x.tanh() * 0.9),
    "exp2": torch.exp2,
    "logs": lambda x: (2 + x).log10() + (2 + x).log2(),
    "logit": lambda x: torch.logit(x.sigmoid(), eps=0.3),
    "ndtr": torch.special.ndtr,
    "log_ndtr": lambda x: torch.special.log_ndtr(8 * x),
    "erfcx": torch.special.erfcx,
    "erfinv": lambda x: torch.erfinv(x.tanh()),
    "entr": lambda x: torch.special.entr(x.sigmoid()),
    "bessel": lambda x: torch.special.i0(x) + torch.special.i1(x) + torch.special.i1e(x),
    "sinc": torch.sinc,
    "digamma": lambda x: torch.digamma(2 + x),
    "hypot": lambda x: torch.hypot(x, x + 1),
    "lerp": lambda x: torch.lerp(x, x.flip(0), x.sigmoid()),
    "addcdiv": lambda x: torch.addcdiv(x, x, 3 + x, value=0.3),
    "nan_to_num": lambda x: (x.abs() + x).log().nan_to_num(nan=0.5, neginf=-3.0),
    "std": lambda x: x.std() + x.var(correction=0),
    "amin": lambda x: x.amin() + x.max() + x.aminmax().max,
    "norms": lambda x: x.norm(1) + x.norm(torch.inf) + x.norm(3),
    "logcumsumexp": lambda x: x.logcumsumexp(0),
    "cummax": lambda x: x.cummax(0).values,
    "topk": lambda x: x.topk(2).values * x.argmax() + x.argsort().sum(),
    "bce": lambda x: torch.nn.functional.binary_cross_entropy_with_logits(x, x.sigmoid().detach(), pos_weight=torch.full((), 2.0).double()),
    "unfold": lambda x: x.unfold(0, 3, 2),
    "det": lambda x: torch.outer(x, x).add(torch.eye(5).double()).det(),
    "solve": lambda x: torch.linalg.solve(torch.outer(x, x) + torch.eye(5).double(), x),
    "cholesky_solve": lambda x: torch.cholesky_solve(x[:, None], torch.linalg.cholesky(torch.outer(x, x) + torch.eye(5).double())),
    "cholesky_inverse": lambda x: torch.cholesky_inverse(torch.linalg.cholesky(torch.outer(x, x) + torch.eye(5).double())),
    "index_add": lambda x: torch.zeros(2).double().index_add(0, torch.tensor([0, 1, 1, 0, 1]), x, alpha=2.0),
    "scatter": lambda x: x.scatter(0, torch.tensor([3, 1]), x[:2] * 2).scatter_reduce(0, torch.tensor([0]), x[:1], "sum"),
    "repeat": lambda x: x.repeat(2, 3),
    "all": lambda x: x * (x > -5).all() + x * (x > 0).count_nonzero(),
}


@pytest.mark.parametrize("name", UNARY)
def test_operations(name: str) -> None:
    check(density(lambda q: UNARY[name](q).sum() + q.sum(), 5), 1e-9)


def test_an_operation_without_a_rule_is_named() -> None:
    with pytest.raises(LoweringError, match=r"aten\.linalg_qr\.default: this operation has no rule"):
        translated(density(lambda q: torch.linalg.qr(q.reshape(2, 2))[1].abs().sum(), 4))
    with pytest.raises(LoweringError, match="polygamma of order 2"):
        translated(density(lambda q: torch.polygamma(1, q.exp()).sum(), 2))
