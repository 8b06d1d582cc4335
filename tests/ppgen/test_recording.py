"""Every program in the table is recorded right, at points far from the recorded one: Pyro's own trace is the truth."""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_map_only, tree_unflatten

from ppgen.program import Program
from ppgen.recording import Recording, agree, read_eagerly
from ppgen.targets import LogDensity
from tests.tools.eager import log_joint
from tests.tools.recorded import CASES, data
from tests.tools.refused import REFUSED


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def inputs(recording: Recording, program: Program, dtype: torch.dtype) -> list[Tensor]:
    """The values of a recording's inputs other than the position, in the order in which its graphs take them."""
    sources = {n: program.leaves[int(n.removeprefix("data:"))] for n in program.data}
    sources |= {f"param:{n}": v for n, v in program.params.items()} | {f"rows:{n}": v for n, v in program.rows.items()}
    given = [sources[n].detach() for n in recording.others]
    return [t.to(dtype) if t.dtype == recording.dtype else t for t in given]


class Density:
    """The density graph with its sites summed out, as torch differentiates it."""

    def __init__(self, program: Program, dtype: torch.dtype = torch.float64):
        self.program, self.recording = program, Recording(program)
        self.graph = self.recording.density_graph(dtype)
        self.others = inputs(self.recording, program, dtype)

    def factors(self, position: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        outputs = self.graph(position, *self.others)
        names = list(self.recording.sites)
        n = len(names)
        log_probs = dict(zip(names, outputs[:n], strict=True))
        total = self.recording.joint(log_probs, dict(zip(names, outputs[n : 2 * n], strict=True)))
        return log_probs, torch.as_tensor(total + sum(outputs[2 * n :]))

    def value_and_grad(self, position: Tensor) -> tuple[Tensor, Tensor]:
        return differentiate(lambda q: self.factors(q)[1], position)

    def check(self) -> None:
        """As engines do: raises where the recording disagrees with the program."""
        positions = points(self.program.dim, seed=7)
        both = [self.value_and_grad(q) for q in positions]
        agree(self.recording, lambda q: self.factors(q)[0], positions, *map(torch.stack, zip(*both, strict=True)))


def differentiate(f: Callable[[Tensor], Tensor], position: Tensor) -> tuple[Tensor, Tensor]:
    at = position.clone().requires_grad_()
    value = f(at)
    if not (value.requires_grad and at.numel()):
        return value.detach(), torch.zeros_like(at)
    (gradient,) = torch.autograd.grad(value, at, allow_unused=True)
    return value.detach(), torch.zeros_like(at) if gradient is None else gradient


def points(dim: int, seed: int, count: int = 4) -> Tensor:
    return torch.rand(count, dim, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 4 - 2


def differences(f: Callable[[Tensor], Tensor], position: Tensor, step: float = 1e-5) -> tuple[Tensor, Tensor]:
    """Value and gradient where autograd refuses the program."""
    shifts = torch.eye(len(position)) * step
    return f(position), torch.stack([(f(position + s) - f(position - s)) / (2 * step) for s in shifts])


REFUSED_BY_AUTOGRAD = ("out_argument", "constant_rewritten")


@pytest.mark.parametrize("name", CASES)
def test_density_and_gradient_are_pyros(name: str) -> None:
    case = CASES[name]
    density = Density(Program(case.fn).bind(*case.args, **case.kwargs))
    density.check()
    args = tree_map_only(Tensor, torch.nan_to_num, case.args)  # Pyro itself has nan gradients where a mask hides a NaN
    for q in points(density.program.dim, seed=11, count=3):
        derive, tolerance = (differences, 1e-5) if name in REFUSED_BY_AUTOGRAD else (differentiate, 1e-7)
        want = derive(lambda u: log_joint(case.fn, args, case.kwargs, u, density.program.sites, case.rows), q)
        got = density.value_and_grad(q)
        torch.testing.assert_close(got[0], want[0], rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(got[1], want[1], rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", CASES)
def test_constrain_and_unconstrain_are_inverse(name: str) -> None:
    case = CASES[name]
    program = Program(case.fn).bind(*case.args, **case.kwargs)
    recording = Recording(program)
    others = inputs(recording, program, torch.float64)
    for q in points(program.dim, seed=3, count=2):
        values = recording.constrain_graph(torch.float64)(q, *others)
        for site, value in zip(recording.continuous, values, strict=True):
            assert value.shape == site.shape
        back = recording.unconstrain_graph(torch.float64)(*values, *others)
        torch.testing.assert_close(torch.cat([*back, q[:0]]), q, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", REFUSED)
def test_refused_loudly(name: str) -> None:
    case, error, message = REFUSED[name]
    with pytest.raises(error, match=f"(?s){message}"):
        Density(Program(case.fn).bind(*case.args, **case.kwargs)).check()


SINGLE = ("regression", "mixture", "hidden_markov", "correlated", "garch", "missing", "strided_write", "PyroModule", "improper")


@pytest.mark.parametrize("name", SINGLE)
def test_single_precision_program_in_double_positions(name: str) -> None:
    """A program in torch's default float32 is recorded in it and read in float64: as near to its own density in float64 as the
    rounding of its constants allows."""
    case = CASES[name]
    module = isinstance(case.fn, torch.nn.Module)
    torch.set_default_dtype(torch.float64)
    double = Density(Program(case.fn).bind(*case.args, **case.kwargs))
    torch.set_default_dtype(torch.float32)
    try:
        fn = copy.deepcopy(case.fn).float() if module else case.fn
        args, kwargs = tree_map_only(Tensor, single, (case.args, dict(case.kwargs)))
        with all_in_single():
            density = Density(Program(fn).bind(*args, **kwargs))
            density.check()
            for q in points(density.program.dim, seed=13, count=2):
                got, want = density.value_and_grad(q), double.value_and_grad(q)
                assert got[0].dtype == torch.float64
                torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-3)
    finally:
        torch.set_default_dtype(torch.float64)


def single(t: Tensor) -> Tensor:
    return t.float() if t.is_floating_point() else t


@contextmanager
def all_in_single() -> Iterator[None]:
    """The programs of the table make float64 constants; here they make float32 ones."""
    before = data.DTYPE
    data.DTYPE = torch.float32
    try:
        yield
    finally:
        data.DTYPE = before


# The other inputs of a graph: nothing of them is frozen into it


def value_with(density: Density, position: Tensor, program: Program, rows: dict[str, Tensor] | None = None) -> Tensor:
    """The recorded graph of one program at the data, parameters and rows of another."""
    twin = program if rows is None else copy.copy(program)
    if rows is not None:
        twin.rows = rows
    density.others = inputs(density.recording, twin, torch.float64)
    return density.factors(position)[1]


@pytest.mark.parametrize("name", CASES)
def test_other_data_enter_the_graph(name: str) -> None:
    """Rows in another order: the graph of the first data at the second ones is the program bound to these."""
    case = CASES[name]
    program = Program(case.fn).bind(*case.args, **case.kwargs)
    density = Density(program)
    fixed = {int(n.removeprefix("data:")) for n in density.recording.constant}
    leaves, tree = tree_flatten((case.args, dict(case.kwargs)))
    turned = [x.flip(0) if isinstance(x, Tensor) and x.dim() and i not in fixed else x for i, x in enumerate(leaves)]
    args, kwargs = tree_unflatten(turned, tree)
    other = program.bind(*args, **kwargs)
    for q in points(program.dim, seed=17, count=2):
        want = read_eagerly(other, q)[0]
        torch.testing.assert_close(value_with(density, q, other), want, rtol=1e-9, atol=1e-9)


LEARNED = ("parameters", "parameter_in_a_support", "plain_module", "PyroModule", "batch_norm", "recurrent")


@pytest.mark.parametrize("name", LEARNED)
def test_other_parameters_enter_the_graph(name: str) -> None:
    case = CASES[name]
    program = Program(case.fn).bind(*case.args, **case.kwargs)
    density = Density(program)
    other = program.copy()
    other.set_params({n: p + 0.3 * torch.randn(p.shape, generator=torch.Generator().manual_seed(1)) for n, p in other.params.items()})
    for q in points(program.dim, seed=19, count=2):
        want = read_eagerly(other, q)[0]
        assert abs(want - read_eagerly(program, q)[0]) > 1e-3
        torch.testing.assert_close(value_with(density, q, other), want, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["subsampled", "local_and_subsampled"])
def test_other_rows_enter_the_graph(name: str) -> None:
    case = CASES[name]
    program = Program(case.fn).bind(*case.args, **case.kwargs)
    density = Density(program)
    (shown,) = case.rows.values()
    rows = {"n": torch.tensor([4, 0, 2, 1])[: len(shown)]}
    for q in points(program.dim, seed=23, count=2):
        want = log_joint(case.fn, case.args, case.kwargs, q, program.sites, rows)
        torch.testing.assert_close(value_with(density, q, program, rows), want, rtol=1e-9, atol=1e-9)


def test_missing_labels_are_summed_out_and_observed_ones_counted_once() -> None:
    """obs_mask makes a label for every row; at observed rows it must not add a log 2 each."""
    mask = torch.tensor([True, False, True, False])
    label, x = torch.tensor([1.0, 0.0, 0.0, 1.0]), torch.tensor([3.0, 1.5, -2.0, 0.5])

    def model(label: Tensor, x: Tensor) -> None:
        p = pyro.sample("p", dist.Beta(2.0, 3.0))
        with pyro.plate("n", len(x)):
            c = pyro.sample("c", dist.Bernoulli(p), obs=label, obs_mask=mask)
            pyro.sample("x", dist.Normal(2 * c, 1.5), obs=x)

    density = Density(Program(model, label, x))
    density.check()
    q = torch.tensor([0.4])
    p = q.sigmoid()
    each = torch.stack(
        [dist.Bernoulli(p).log_prob(c) + dist.Normal(2 * c, 1.5).log_prob(x) for c in (torch.tensor(0.0), torch.tensor(1.0))]
    )
    known = each[label[mask].long(), mask.nonzero()[:, 0]].sum()
    want = dist.Beta(2.0, 3.0).log_prob(p) + (p * (1 - p)).log() + known + each[:, ~mask].logsumexp(0).sum()
    torch.testing.assert_close(density.factors(q)[1], want.squeeze())


@pytest.mark.parametrize("values", [1, 3])
def test_a_mask_of_data_writes(values: int) -> None:
    """One number is written wherever the mask says, so the mask may change; how many of several are taken depends on the mask."""

    def model(y: Tensor, mask: Tensor) -> None:
        a = pyro.sample("a", dist.Normal(torch.zeros(values), 1.0).to_event(1))
        loc = torch.full((len(y),), 0.5)
        loc[mask] = a[0] if values == 1 else a
        with pyro.plate("data", len(y)):
            pyro.sample("y", dist.Normal(loc, 2.0), obs=y)

    y, mask = torch.tensor([4.0, -1.0, 2.5, 3.0]), torch.tensor([True, False, True, True])
    density = LogDensity(Program(model, y, mask))
    assert density.recording is not None
    assert density.recording.constant == (frozenset() if values == 1 else {"data:1"})
    for other in (mask, mask.roll(1)):
        at = torch.linspace(-1, 2, 2 * values, dtype=torch.float64).reshape(2, values)
        got = density.bind(data={"mask": other}).value_and_grad(at)
        expected = LogDensity(Program(model, y, other), lowering="eager").value_and_grad(at)
        assert all(torch.allclose(g, e, atol=1e-5) for g, e in zip(got, expected, strict=True))


def test_distributions_made_outside_of_the_program_are_recorded_too() -> None:
    """They validate what they are given, which reads values; a recording leaves that out and leaves them as they were."""
    prior = dist.Beta(2.0, 3.0).expand([3]).to_event(1)
    noise = dist.MixtureSameFamily(dist.Categorical(torch.tensor([0.3, 0.7])), dist.Normal(torch.tensor([0.0, 20.0]), 5.0))

    def program(x: Tensor) -> None:
        p = pyro.sample("p", prior)
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.TransformedDistribution(noise, [dist.transforms.AffineTransform(p.sum(), 2.0)]), obs=x)

    before = prior.base_dist._validate_args
    density = LogDensity(Program(program, torch.tensor([12.0, -7.0, 31.0])), lowering="recorded")
    assert density.recording is not None
    assert prior.base_dist._validate_args == before
    with pytest.raises(ValueError, match="support"):
        prior.log_prob(torch.tensor([0.2, 0.4, 1.5]))
