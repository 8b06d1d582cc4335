"""What a program is: its sites, plates and data plate, its arguments and settings, and that it leaves the user's things alone."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine
from pyro.nn import PyroModule, PyroParam
from torch import Tensor
from torch.distributions import constraints

from ppgen.agreement import read_eagerly
from ppgen.errors import DataError, ProgramError, SupportError
from ppgen.family import Family
from ppgen.program import ARGUMENTS, Program
from ppgen.sources import FromPosition

X = torch.tensor([[1.0, 2], [3, -1], [0, 4], [2, 2], [-3, 1], [5, 0]], dtype=torch.float64)
Y = torch.tensor([12.0, 3, 8, 9, -4, 14], dtype=torch.float64)


@pytest.fixture(autouse=True)
def double() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def regression(x: Tensor, y: Tensor, *, prior_scale: float = 2.0) -> None:
    b = pyro.sample("b", dist.Normal(torch.zeros(2), prior_scale).to_event(1))
    s = pyro.sample("s", dist.HalfNormal(3.0))
    with pyro.plate("rows", len(x)):
        pyro.sample("y", dist.Normal(x @ b, s), obs=y)


def log_density(program: Program, position: Tensor, **settings: Any) -> Tensor:
    return read_eagerly(program, position, **settings)[0]


# Sites and plates


def hierarchy(y: Tensor) -> None:
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    corr = pyro.sample("corr", dist.LKJCholesky(3, torch.tensor(1.0)))
    with pyro.plate("groups", 2, dim=-2):
        w = pyro.sample("w", dist.Dirichlet(torch.ones(4)))
        with pyro.plate("items", 3, dim=-1):
            z = pyro.sample("z", dist.Bernoulli(0.3))
            loc = pyro.deterministic("loc", mu + z + w[..., 0] + corr[1, 0])
            pyro.sample("y", dist.Normal(loc, 1.0), obs=y)
    pyro.factor("penalty", -(mu**2))


def test_sites_as_they_are_found() -> None:
    program = Program(hierarchy, torch.arange(6.0).reshape(2, 3))
    kinds = {n: s.kind for n, s in program.sites.items()}
    assert kinds == {
        "mu": "latent", "corr": "latent", "w": "latent", "z": "latent", "loc": "deterministic", "y": "observed", "penalty": "factor",
    }  # fmt: skip
    assert {n: tuple(s.shape) for n, s in program.sites.items() if s.kind != "factor"} == {
        "mu": (), "corr": (3, 3), "w": (2, 1, 4), "z": (2, 3), "loc": (2, 3), "y": (2, 3),
    }  # fmt: skip
    assert {s.name: tuple(s.unconstrained_shape) for s in program.latent if s.continuous} == {"mu": (), "corr": (3,), "w": (2, 1, 3)}
    assert {s.name: s.place for s in program.latent} == {"mu": slice(0, 1), "corr": slice(1, 4), "w": slice(4, 10), "z": None}
    assert program.dim == 10
    assert program.sites["y"].plates == ("groups", "items")
    assert program.plates["groups"] == ("groups", -2, 2, 2)
    assert program.discrete == ["z"]
    assert program.sites["w"].distribution == "Dirichlet"


@pytest.mark.parametrize(
    ("wrap", "plate"),
    [
        (lambda f: f, "groups"),
        (lambda f: poutine.condition(f, data={"z": torch.ones(2, 3)}), "groups"),  # what is conditioned does not count
        (poutine.uncondition, None),
    ],
)
def test_data_plate_is_the_outermost_one_around_what_the_program_observes(wrap: Any, plate: str | None) -> None:
    assert Program(wrap(hierarchy), torch.zeros(2, 3)).data_plate == plate


def test_data_plate_is_common_to_all_observed_sites() -> None:
    def two(y: Tensor) -> None:
        with pyro.plate("n", 6):
            pyro.sample("y", dist.Normal(0.0, 1.0), obs=y)
        pyro.sample("total", dist.Normal(0.0, 1.0), obs=y.sum())

    assert Program(two, Y).data_plate is None


def test_a_given_data_plate() -> None:
    y = torch.zeros(2, 3)
    assert Program(hierarchy, y, data_plate="items").data_plate == "items"
    with pytest.raises(ProgramError, match=r"'rows' is no plate of program 'hierarchy'; it has \['groups', 'items'\]"):
        Program(hierarchy, y, data_plate="rows")


def test_missing_rows_alone_are_latent() -> None:
    mask = torch.tensor([True, False, True, True, False, True])

    def holes(y: Tensor) -> None:
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        with pyro.plate("n", len(y)):
            pyro.sample("y", dist.LogNormal(a, 2.0), obs=y, obs_mask=mask)

    program = Program(holes, torch.where(mask, Y.abs() + 1, torch.nan))
    assert program.sites["y_unobserved"].rows.tolist() == [1, 4]
    assert program.dim == 3
    run = read_eagerly(program, torch.tensor([0.3, -1.0, 2.0]))[1]
    full = run.sites["y"].value
    torch.testing.assert_close(full[~mask], torch.tensor([-1.0, 2.0]).exp())
    torch.testing.assert_close(full[mask], Y.abs()[mask] + 1)


# Arguments and settings


def test_a_wrapper_is_bound_many_times() -> None:
    wrapper = Program(regression, data_plate="rows", coords={"rows": list("abcdef")}, dims={"b": ["column"]})
    first, second = wrapper.bind(X, Y), Program.of(wrapper, X[:3], y=Y[:3], prior_scale=7.0)
    assert (first.plates["rows"].size, second.plates["rows"].size) == (6, 3)
    assert first.coords == second.coords == {"rows": list("abcdef")}
    assert first.dims == {"b": ["column"]}
    assert second.arguments["prior_scale"] == 7.0
    assert Program.of(first) is first
    assert Program.of(regression, X, Y).coords == {}


def test_arguments_named_like_settings_are_the_users() -> None:
    def model(y: Tensor, *, dims: int, coords: float = 1.0, data_plate: float = 0.0) -> None:
        pyro.sample("b", dist.Normal(torch.full((dims,), data_plate), coords).to_event(1))
        pyro.sample("y", dist.Normal(0.0, 1.0), obs=y[0])

    program = Program(model).bind(Y, dims=4, coords=2.5, data_plate=3.0)
    assert program.dim == 4
    assert program.kwargs == {"dims": 4, "coords": 2.5, "data_plate": 3.0}
    assert program.dims == {}
    want = dist.Normal(torch.full((4,), 3.0), 2.5).log_prob(torch.zeros(4)).sum() + dist.Normal(0.0, 1.0).log_prob(Y[0])
    torch.testing.assert_close(log_density(program, torch.zeros(4)), want)
    assert Program.of(model, Y, dims=2).dim == 2


def test_a_program_without_arguments_runs_when_it_is_asked() -> None:
    runs = []

    def prior() -> None:
        runs.append(1)
        pyro.sample("a", dist.Normal(0.0, 1.0))

    program = Program(prior)
    assert not runs
    assert list(program.sites) == ["a"]
    assert len(runs) == 1


def test_what_is_no_program() -> None:
    with pytest.raises(ProgramError, match="a program is a callable"):
        Program(3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'y'"):  # the user's own mistake, as Python tells it
        Program(regression, X)
    with pytest.raises(AttributeError, match="no attribute 'colour'"):
        _ = Program(regression, X, Y).colour


def test_nan_in_an_argument_is_named() -> None:
    x = X.clone()
    x[2, 1] = math.nan
    with pytest.raises(DataError, match=r"argument 'x' of program 'regression' holds NaN, first at \[2, 1\]"):
        Program(regression, x, Y)


def test_observed_values_are_checked_by_site_and_row() -> None:
    def counts(y: Tensor) -> None:
        rate = pyro.sample("rate", dist.Gamma(2.0, 1.0))
        with pyro.plate("n", len(y)):
            pyro.sample("y", dist.Poisson(rate), obs=y)

    with pytest.raises(SupportError, match=r"'y': the value -4\.0 at row 4 lies outside its support"):
        Program(counts, Y)
    masked = poutine.mask(counts, mask=Y >= 0)
    assert Program(masked, Y).dim == 1


# Parameters, modules and what is the user's


class Learned(PyroModule):
    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Linear(2, 1)
        self.scale = PyroParam(torch.tensor(2.0), constraints.positive)
        self.register_buffer("runs", torch.tensor(0.0))

    def forward(self, x: Tensor, y: Tensor) -> None:
        self.runs += 1
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        with pyro.plate("rows", len(x)):
            pyro.sample("y", dist.Normal(self.net(x).squeeze(-1) + a, self.scale), obs=y)


def state(module: torch.nn.Module) -> dict[str, Tensor]:
    return {n: t.clone() for n, t in module.state_dict().items()}


def same(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> bool:
    return list(a) == list(b) and all(torch.equal(a[n], b[n]) for n in a)


def test_a_module_is_copied_and_never_changed() -> None:
    module = Learned()
    before = state(module)
    program = Program(module, X, Y)
    copy = program.copy()
    copy.set_params({n: torch.full_like(p, 0.25) for n, p in copy.params.items()})
    assert sorted(copy.params) == ["net.bias", "net.weight", "scale_unconstrained"]
    q = torch.tensor([0.4])
    loc = X @ torch.full((2,), 0.25) + 0.25 + 0.4
    want = dist.Normal(0.0, 1.0).log_prob(q).sum() + dist.Normal(loc, math.exp(0.25)).log_prob(Y).sum()
    torch.testing.assert_close(log_density(copy, q), want)
    assert log_density(program, q) != log_density(copy, q)
    assert same(state(module), before)
    assert module.training
    assert not program.fn.training  # type: ignore[attr-defined]
    assert float(copy.fn.runs) == float(program.fn.runs) == 0.0  # type: ignore[attr-defined]
    assert not list(pyro.get_param_store().keys())


def test_a_module_learned_by_a_function_is_never_changed() -> None:
    """`pyro.module` of a net that belongs to the user: the run's own parameters take its place, also in a copy."""
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh(), torch.nn.Linear(3, 1))
    before = state(net)

    def model(x: Tensor, y: Tensor) -> None:
        pyro.module("net", net)
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        with pyro.plate("rows", len(x)):
            pyro.sample("y", dist.Normal(net(x).squeeze(-1) * a, 1.0), obs=y)

    program = Program(model, X, Y)
    copy = program.copy()
    copy.set_params({n: torch.full_like(p, 0.5) for n, p in copy.params.items()})
    q = torch.tensor([2.0])
    h = (X @ torch.full((2, 3), 0.5) + 0.5).tanh() @ torch.full((3,), 0.5) + 0.5
    want = dist.Normal(0.0, 1.0).log_prob(q).sum() + dist.Normal(h * 2, 1.0).log_prob(Y).sum()
    torch.testing.assert_close(log_density(copy, q), want)
    assert log_density(program, q) != log_density(copy, q)
    with program.with_params({"net$$$0.weight": torch.zeros(3, 2)}):
        changed = log_density(program, q)
    assert changed != log_density(program, q)
    assert same(state(net), before)


def test_param_statements_live_in_the_program() -> None:
    start = torch.tensor([1.0, 2.0])
    pyro.param("scale", torch.tensor([9.0, 9.0]), constraint=constraints.positive)  # of somebody else

    def model() -> None:
        pyro.param("scale", start, constraint=constraints.positive)
        again = pyro.param("scale")
        pyro.sample("a", dist.Normal(torch.zeros(2), again).to_event(1))

    program = Program(model).bind()
    torch.testing.assert_close(program.params["scale"], start.log())
    program.set_params({"scale": torch.tensor([0.0, 0.0])})
    torch.testing.assert_close(log_density(program, torch.zeros(2)), 2 * dist.Normal(0.0, 1.0).log_prob(torch.tensor(0.0)))
    assert start.tolist() == [1.0, 2.0]
    assert pyro.param("scale").tolist() == pytest.approx([9.0, 9.0])
    assert program.bind().params["scale"].tolist() == [0.0, 0.0]  # other arguments keep what was learned


def test_arguments_are_never_written_to() -> None:
    def doubling(y: Tensor) -> None:
        y *= 2
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        with pyro.plate("n", len(y)):
            pyro.sample("y", dist.Normal(a, 1.0), obs=y)

    y = Y.clone()
    program = Program(doubling, y)
    want = dist.Normal(0.0, 1.0).log_prob(torch.tensor(0.0)) + dist.Normal(0.0, 1.0).log_prob(2 * Y).sum()
    for _ in range(2):
        torch.testing.assert_close(log_density(program, torch.zeros(1)), want)
    assert torch.equal(y, Y)


def test_chance_outside_is_left_as_it_was() -> None:
    torch.manual_seed(5)
    want = torch.rand(3)
    torch.manual_seed(5)
    Program(regression, X, Y)
    assert torch.equal(torch.rand(3), want)


class Pair(Family):
    def model(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        loc = pyro.sample("loc", dist.Normal(0.0, 3.0))
        with pyro.plate("n", size if x is None else len(x)):
            pyro.sample("x", dist.Normal(loc, 1.0), obs=x)

    def guide(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        pyro.sample("loc", dist.Normal(pyro.param("q", torch.tensor(0.5)), 1.0))


def test_a_family_and_its_methods() -> None:
    program = Program(Pair(), Y)
    assert program.family is not None
    assert program.name == "Pair"
    assert program.arguments == {"x": Y}
    assert Program(regression, X, Y).family is None
    guide = program.run(FromPosition, method="guide", position=torch.tensor([0.2]), layout=program.sites)
    assert list(guide.sites) == ["loc"]
    assert float(guide.params["q"]) == 0.5
    free = Program(Pair()).bind(size=5)
    assert free.sites["x"].kind == "latent"
    assert free.dim == 6


# Rows


def test_rows_of_a_minibatch_are_scaled_to_the_whole() -> None:
    """The mean over all batches of an epoch is the density itself."""
    program = Program(regression, X, Y)
    batch = program.minibatch(2)
    assert batch.plates["rows"].size == 2
    q = torch.tensor([0.3, -0.2, 0.5])
    parts = [log_density(batch, q, rows={ARGUMENTS: torch.tensor(r)}) for r in ([0, 3], [1, 5], [4, 2])]
    torch.testing.assert_close(torch.stack(parts).mean(), log_density(program, q))
    assert program.minibatch(6).dim == program.dim


def test_arguments_in_the_plate_are_named_where_lengths_coincide() -> None:
    def model(y: Tensor, prior: Tensor) -> None:
        b = pyro.sample("b", dist.Normal(prior, 1.0).to_event(1))
        with pyro.plate("n", len(y)):
            pyro.sample("y", dist.Normal(b.sum(), 1.0), obs=y)

    prior = torch.arange(6.0)
    q = torch.zeros(6)
    named = Program(model, Y, prior, args_in_plate=["y"])
    batches = [log_density(named.minibatch(3), q, rows={ARGUMENTS: torch.tensor(r)}) for r in ([0, 1, 2], [3, 4, 5])]
    torch.testing.assert_close(torch.stack(batches).mean(), log_density(named, q))
    with pytest.raises(ProgramError, match=r"args_in_plate names \['z'\], which are no arguments of the program \(\['y', 'prior'\]\)"):
        Program(model, Y, prior, args_in_plate=["z"]).minibatch(3)


def test_refused_minibatches() -> None:
    program = Program(regression, X, Y)
    with pytest.raises(ProgramError, match="batch_size must be between 1 and 6, the size of plate 'rows'; got 7"):
        program.minibatch(7)

    def fixed(y: Tensor) -> None:
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        with pyro.plate("n", 6):
            pyro.sample("y", dist.Normal(a, 1.0), obs=y[:1].expand(6))

    with pytest.raises(ProgramError, match="plate 'n' keeps its size when 2 rows"):
        Program(fixed, Y).minibatch(2)

    def nowhere(y: list[float]) -> None:
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        with pyro.plate("n", 6):
            pyro.sample("y", dist.Normal(a, 1.0), obs=torch.tensor(y))

    with pytest.raises(ProgramError, match="no tensor argument has 6 rows"):
        Program(nowhere, Y.tolist()).minibatch(2)

    def loose(y: Tensor) -> None:
        pyro.sample("y", dist.Normal(pyro.sample("a", dist.Normal(0.0, 1.0)), 1.0).expand([6]).to_event(1), obs=y)

    with pytest.raises(ProgramError, match="minibatches need a data plate"):
        Program(loose, Y).minibatch(2)


def test_rows_of_a_subsampled_plate_are_inputs() -> None:
    def model(x: Tensor, y: Tensor) -> None:
        b = pyro.sample("b", dist.Normal(torch.zeros(2), 1.0).to_event(1))
        with pyro.plate("rows", len(x), subsample_size=2) as i:
            pyro.sample("y", dist.Normal(x[i] @ b, 1.0), obs=y[i])

    program = Program(model, X, Y)
    assert program.minibatch(3) is program
    assert program.plates["rows"] == ("rows", -1, 6, 2)
    q, rows = torch.tensor([0.5, 1.0]), torch.tensor([5, 1])
    want = dist.Normal(0.0, 1.0).log_prob(q).sum() + 3 * dist.Normal(X[rows] @ q, 1.0).log_prob(Y[rows]).sum()
    torch.testing.assert_close(log_density(program, q, rows={"rows": rows}), want)


# Precision


def test_dtype_is_that_of_the_sites() -> None:
    assert Program(regression, X, Y).dtype == torch.float64
    torch.set_default_dtype(torch.float32)

    def model(y: Tensor) -> None:
        a = pyro.sample("a", dist.Normal(torch.zeros((), dtype=y.dtype), 1.0))
        pyro.sample("y", dist.Normal(a, 1.0).expand([6]).to_event(1), obs=y)

    assert Program(model, Y).dtype == torch.float64  # though torch's default is float32
    assert Program(model, Y.float()).dtype == torch.float32
    torch.set_default_dtype(torch.float64)
