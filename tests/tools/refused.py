"""Programs that must be refused: what they would give is wrong at other points, or for other assignments."""

import ctypes
import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from torch import Tensor
from torch.nn import functional

from ppgen.errors import CostError, DataError, EliminationError, ProgramError, RecordingError, SupportError
from tests.tools.recorded.data import Case, normal, ones, tensor, zeros

__all__ = ["REFUSED"]


def observe(loc: Tensor) -> None:
    pyro.sample("y", dist.Normal(loc, 1.0), obs=tensor(0.7))


def with_a(read: Callable[[Tensor], Any]) -> Case:
    """A program of three numbers `a`, whose observed site has the mean `read(a)`."""

    def program() -> None:
        observe(read(normal("a", 3)))

    return Case(program)


def with_z(read: Callable[[Tensor], Any]) -> Case:
    """A program of five enumerated labels `z` in a plate, whose observed site outside of it has the mean `read(z)`."""

    def program() -> None:
        with pyro.plate("words", 5):
            z = pyro.sample("z", dist.Categorical(tensor([0.4, 0.6])))
        observe(read(z))

    return Case(program)


class Rounded(torch.autograd.Function):
    """Straight through: its gradient is not that of its values."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.round()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient


def without_gradient(a: Tensor) -> Tensor:
    with torch.no_grad():
        b = a * 2
    return (a + b).sum()


def detached_in_place(a: Tensor) -> Tensor:
    b = a * 2
    b.detach_()
    return (a + b).sum()


def replaced_data(a: Tensor) -> Tensor:
    b = zeros(3)
    b.data = a.data
    return (a + b).sum()


def foreign_memory(a: Tensor) -> Tensor:
    shared = np.zeros(3)
    b = torch.from_numpy(shared)
    first = a * b
    shared[0] = 5.0
    return (first + a * b).sum()


def resized(a: Tensor) -> Tensor:
    b = a * 2
    b.resize_(1, 3)
    return b.sum()


def several_writes(a: Tensor) -> Tensor:
    parts = [a * 1, a * 2]
    torch._foreach_add_(parts, 1.0)
    return parts[1].sum()


def names_from_values() -> None:
    a = pyro.sample("a", dist.Normal(tensor(0.0), 1.0))
    observe(pyro.sample(f"b{a:.4f}", dist.Normal(a, 1.0)))


def counting() -> Callable:
    runs = []

    def program() -> None:
        runs.append(1)
        observe(normal("a", 3).sum() * len(runs))

    return program


def branch_on_a_label() -> None:
    z = pyro.sample("z", dist.Bernoulli(tensor(0.3)))
    observe(tensor(1.0) if z else tensor(2.0))


def support_of_a_label() -> None:
    z = pyro.sample("z", dist.Categorical(tensor([0.5, 0.5])))
    observe(pyro.sample("b", dist.Uniform(tensor(0.0), 1.0 + z)))


def sibling_plates() -> None:
    weight = normal("weight", 2, 3)
    rows, columns = pyro.plate("rows", 2, dim=-2), pyro.plate("columns", 3, dim=-1)
    with columns:
        v = pyro.sample("v", dist.Bernoulli(tensor(0.5)))
    with rows:
        h = pyro.sample("h", dist.Bernoulli(tensor(0.4)))
    with rows, columns:
        pyro.factor("energy", weight * v * h)


def outer_product() -> None:
    with pyro.plate("nodes", 3, dim=-1):
        z = pyro.sample("z", dist.Categorical(tensor([0.4, 0.6])))
    with pyro.plate("to", 3, dim=-1), pyro.plate("from", 3, dim=-2):
        pyro.sample("e", dist.Bernoulli(0.3 + 0.2 * (z.unsqueeze(-1) == z).double()), obs=torch.eye(3, dtype=torch.float64))


def picked_from_a_plate() -> None:
    with pyro.plate("nodes", 3):
        z = pyro.sample("z", dist.Categorical(tensor([0.4, 0.6])))
    observe(ones(2)[z[..., 1]] + z[..., 0])


def shifted_along_its_plate() -> None:
    loc = normal("loc", 2)
    with pyro.plate("n", 4):
        z = pyro.sample("z", dist.Categorical(tensor([0.4, 0.6])), infer={"expand": True})
        pyro.sample("x", dist.Normal(loc[z] + loc[z.roll(1, -1)], 1.0), obs=tensor([1.0, 2, 0, 3]))


def event_over_a_batch() -> None:
    loc = normal("loc", 2)
    z = pyro.sample("z", dist.Categorical(tensor([[0.2, 0.8], [0.5, 0.5], [0.6, 0.4]])))
    pyro.sample("x", dist.Normal(loc[z], 1.0).to_event(1), obs=tensor([1.0, 2, 0]))


def a_label_with_a_dimension_more() -> None:
    change = pyro.sample("change", dist.Categorical(ones(4) / 4))
    rate = torch.where(torch.arange(4) < change.unsqueeze(-1), 5.0, 2.0)
    with pyro.plate("times", 4):
        pyro.sample("x", dist.Poisson(rate), obs=tensor([6.0, 4.0, 1.0, 2.0]))


def uneven_scales() -> None:
    k = pyro.sample("k", dist.Categorical(tensor([0.3, 0.7])))
    with pyro.plate("n", 10, subsample_size=2):
        pyro.sample("x", dist.Normal(k.double(), 1.0), obs=tensor([1.0, 2]))


def no_finite_support() -> None:
    k = pyro.sample("k", dist.Poisson(tensor(3.0)))
    observe(k)


def too_many_meet() -> None:
    a, b, c = (pyro.sample(f"z{i}", dist.Categorical(ones(1000) / 1000)) for i in range(3))
    observe(a + b * c)


def dropped(a: Tensor) -> Tensor:
    return functional.dropout(a, 0.5, training=True).sum()


def twice_the_same() -> None:
    pyro.sample("a", dist.Normal(tensor(0.0), 1.0))
    observe(pyro.sample("a", dist.Normal(tensor(0.0), 1.0)))


def nothing() -> None:
    pass


def with_data(law: Callable[[], Any]) -> Callable:
    def program(x: Any) -> None:
        a = pyro.sample("a", dist.Normal(tensor(0.0), 1.0))
        with pyro.plate("n", 4):
            pyro.sample("x", law(), obs=x)
        observe(a)

    return program


def no_bijection() -> None:
    observe(pyro.sample("a", dist.ProjectedNormal(ones(3)))[0])


def from_torch() -> None:
    observe(pyro.sample("a", torch.distributions.Normal(tensor(0.0), 1.0)))


def shapes_that_clash() -> None:
    observe(normal("a", 3).sum())
    pyro.sample("x", dist.Normal(zeros(3), 1.0).to_event(1), obs=zeros(4))


COUNTS = with_data(lambda: dist.Poisson(2 * ones(4)))
REALS = with_data(lambda: dist.Normal(zeros(4), 1.0))

# name -> the program, the class of its error, and what the message must name
REFUSED: dict[str, tuple[Case, type[Exception], str]] = {
    # Values read into Python
    "tensor_of_latents": (with_a(lambda a: torch.tensor([a[0], a[1]]).sum() + a.sum()), RecordingError, r"depends on a: refused.py, line"),
    "as_tensor": (with_a(lambda a: torch.as_tensor([a[0], a[1]]).sum() + a.sum()), RecordingError, r"depends on a: refused.py, line"),
    "tolist": (with_a(lambda a: a.sum() + a.tolist()[0]), RecordingError, r"tolist .*depends on a: refused.py, line"),
    "numpy": (with_a(lambda a: a.sum() + torch.from_numpy(a.detach().numpy()).sum()), RecordingError, r"numpy .*depends on a: refused.py"),
    "array": (with_a(lambda a: a.sum() + float(np.asarray(a.detach())[0])), RecordingError, r"__array__ .*depends on a: refused.py"),
    "dlpack": (with_a(lambda a: a.sum() + float(np.from_dlpack(a)[0])), RecordingError, r"__dlpack__ .*depends on a: refused.py"),
    "item": (with_a(lambda a: a.sum() + a[0].item()), RecordingError, r"item .*depends on a: refused.py"),
    "math": (with_a(lambda a: a.sum() + math.exp(a[0])), RecordingError, r"__float__ .*depends on a: refused.py"),
    "branch": (with_a(lambda a: a.sum() if a[0] > 0 else -a.sum()), RecordingError, r"__bool__ .*depends on a: refused.py"),
    "maximum": (with_a(lambda a: max(a[0], a[1])), RecordingError, r"__bool__ .*depends on a: refused.py"),
    "equality": (with_a(lambda a: a.sum() * (1 if torch.equal(a, a.abs()) else 2)), RecordingError, r"depends on a: refused.py"),
    "closeness": (with_a(lambda a: a.sum() * (1 if torch.allclose(a, a.abs()) else 2)), RecordingError, r"depends on a: refused.py"),
    "filled": (with_a(lambda a: torch.full((2,), a[0]).sum() + a.sum()), RecordingError, r"depends on a: refused.py"),
    "applied": (with_a(lambda a: a.apply_(lambda v: v + 1).sum()), RecordingError, r"apply_ .*depends on a: refused.py"),
    "selected": (with_a(lambda a: a[a > 0].sum()), RecordingError, r"shape of the result of aten.index.*depends on a: refused.py"),
    "nonzero": (
        with_a(lambda a: a.nonzero().sum() + a.sum()),
        RecordingError,
        r"shape of the result of aten.nonzero.* depends on a: refused.py",
    ),
    # What no mode sees, and the comparison with Pyro does
    "raw_memory": (with_a(lambda a: a.sum() + ctypes.c_double.from_address(a.data_ptr()).value), RecordingError, r"site 'y' disagrees"),
    "replaced_data": (with_a(replaced_data), RecordingError, r"site 'y' disagrees"),
    "foreign_memory": (with_a(foreign_memory), RecordingError, r"site 'y' disagrees"),
    "straight_through": (with_a(lambda a: Rounded.apply(3 * a).sum()), RecordingError, r"gradient disagrees"),
    "without_gradient": (with_a(without_gradient), RecordingError, r"gradient disagrees"),
    "detached_in_place": (with_a(detached_in_place), RecordingError, r"gradient disagrees"),
    "branch_on_grad": (with_a(lambda a: a.sum() * (3 if a.requires_grad else 1)), RecordingError, r"disagrees with the program"),
    "resized": (with_a(resized), RecordingError, r"resize_.* cannot be recorded: refused.py"),
    "several_writes": (with_a(several_writes), RecordingError, r"foreach_add_.* cannot be recorded: refused.py"),
    "sparse": (with_a(lambda a: torch.sparse.mm(torch.eye(3).double().to_sparse(), a[:, None]).sum()), RecordingError, r"refused.py, line"),
    "names_from_values": (Case(names_from_values), RecordingError, r"site 'b.*not in the first"),
    # Chance and state
    "random_numbers": (with_a(lambda a: a.sum() + torch.randn(())), ProgramError, r"random numbers .*randn.*refused.py"),
    "dropout_in_training": (with_a(dropped), ProgramError, r"random numbers .*bernoulli.*refused.py.*evaluation mode"),
    "numpys_generator": (with_a(lambda a: a.sum() * np.random.rand()), ProgramError, r"differs from run to run"),  # noqa: NPY002
    "counting": (Case(counting()), ProgramError, r"differs from run to run"),
    "blocked_latent": (
        Case(poutine.block(with_a(torch.sum).fn, hide=["a"])),
        ProgramError,
        r"random numbers .*normal.*data.py",
    ),
    # Enumerated sites
    "branch_on_a_label": (Case(branch_on_a_label), EliminationError, r"depends on z: refused.py.* torch.where"),
    "mean_of_labels": (with_z(lambda z: functional.one_hot(z, 2).double().mean(-2)[..., 1]), EliminationError, r"'y'.* mixes .*z"),
    "sum_of_labels": (with_z(lambda z: z.sum(-1)), EliminationError, r"'y'.* mixes .*z"),
    "shifted_along_its_plate": (Case(shifted_along_its_plate), EliminationError, r"'x'.* mixes .*z"),
    "event_over_a_batch": (Case(event_over_a_batch), EliminationError, r"'x'.* mixes .*z"),
    "outer_product": (Case(outer_product), EliminationError, r"'z'"),
    "picked_from_a_plate": (Case(picked_from_a_plate), EliminationError, r"z is enumerated.*IndexError.*refused.py.* mix"),
    "support_of_a_label": (Case(support_of_a_label), EliminationError, r"support of site 'b' depends on an enumerated"),
    "sibling_plates": (Case(sibling_plates), EliminationError, r"h, v of different plates meet inside columns, rows"),
    "a_label_with_a_dimension_more": (
        Case(a_label_with_a_dimension_more),
        EliminationError,
        r"'x': .*shape \(4, 1, 4\).*dimension -3 is none of theirs \('change'\).*unsqueeze",
    ),
    "uneven_scales": (Case(uneven_scales), EliminationError, r"k, x .*different scales"),
    "no_finite_support": (Case(no_finite_support), EliminationError, r"'k' is discrete \(Poisson\)"),
    "too_many_meet": (Case(too_many_meet), CostError, r"z0.* needs .* GiB.*refused.py"),
    # Data and programs
    "nan": (Case(REALS, (tensor([0.0, 1, math.nan, math.nan]),)), DataError, r"'x': NaN .*row 2 \(and 1 more\).*obs_mask"),
    "negative_count": (Case(COUNTS, (tensor([0.0, 1, 2, -1]),)), SupportError, r"'x': the value -1.0 at row 3 .*support"),
    "half_a_count": (Case(COUNTS, (tensor([0.5, 1, 2, 1]),)), SupportError, r"'x': the value 0.5 at row 0 .*support"),
    "no_tensor": (Case(REALS, ([1.0, 2.0],)), DataError, r"'x' is observed at a list"),
    "shapes_that_clash": (Case(shapes_that_clash), DataError, r"'x' expects values of shape \(3,\).*\(4,\)"),
    "twice_the_same": (Case(twice_the_same), ProgramError, r"'a' appears twice"),
    "nothing": (Case(nothing), ProgramError, r"no sample site"),
    "no_bijection": (Case(no_bijection), ProgramError, r"'a' \(ProjectedNormal\)"),
    "from_torch": (Case(from_torch), ProgramError, r"'a' has a torch.distributions.*pyro.distributions"),
}
