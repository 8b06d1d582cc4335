"""LogDensity: starting points, binding, fingerprints, lowerings."""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.distributions import constraints
from torch import Tensor

from ppgen.errors import DataError, EngineError, NameNotFoundError, RecordingError, StartError, SupportError
from ppgen.keys import Key
from ppgen.program import Program
from ppgen.targets import LogDensity
from tests.tools.targets import FOUR, Y, mixture, schools


def branching(y: Tensor) -> None:
    """A branch on a latent value cannot be recorded."""
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    scale = 3.0 if mu > 0 else 2.0
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(mu, scale), obs=y)


# Starting points


def test_starting_points_are_finite_and_each_chain_has_its_own() -> None:
    density = LogDensity(Program(schools, Y, Y.abs()))
    start = density.initial(FOUR)
    assert start.shape == (4, 7)
    assert (start.abs() <= 2).all()
    assert len(start.unique(dim=0)) == 4
    assert torch.equal(density.initial(Key(7, 0, (2,))), start[2:3])
    assert torch.equal(density.initial(FOUR), start)
    assert not torch.equal(density.initial(Key(8, 0, (0, 1, 2, 3))), start)


def test_starting_at_given_values() -> None:
    density = LogDensity(Program(schools, Y, Y.abs()))
    start = density.initial(FOUR, radius=0.01, at={"tau": torch.tensor(40.0)})
    assert torch.allclose(density.constrain(start)["tau"], torch.full((4,), 40.0, dtype=torch.float64))
    assert (density.constrain(start)["mu"].abs() <= 0.01).all()
    with pytest.raises(NameNotFoundError, match=r"no continuous latent site named sigma; there are mu, tau, e"):
        density.initial(FOUR, at={"sigma": torch.tensor(1.0)})
    with pytest.raises(DataError, match=r"site 'e' has shape \(5,\); got \(4,\)"):
        density.initial(FOUR, at={"e": torch.zeros(4)})
    with pytest.raises(SupportError, match=r"site 'tau': the starting value -1.0 lies outside its support"):
        density.initial(FOUR, at={"tau": torch.tensor(-1.0)})


def test_a_start_that_only_some_chains_reach_at_first() -> None:
    """Half of the first points have density 0; each chain keeps the first of its own that has not."""

    def model() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 1.0))
        pyro.factor("positive", torch.where(x > 0, 0.0, -torch.inf))

    start = LogDensity(Program(model).bind()).initial(Key(1, 0, tuple(range(16))))
    assert (start > 0).all()


@pytest.mark.parametrize("lowering", ["recorded", "eager"])
def test_no_starting_point_names_the_site_and_the_row(lowering: str) -> None:
    def model(y: Tensor) -> None:
        mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
        with pyro.plate("data", len(y)):
            pyro.sample("y", dist.Normal(mu, 1.0), obs=y)
            pyro.factor("limit", torch.where(y > 32.0, -torch.inf, 0.0))

    density = LogDensity(Program(model, Y), lowering=lowering)
    with pytest.raises(StartError, match=r"no starting point with a finite density in 100 tries: site 'limit', row 3, has log prob"):
        density.initial(FOUR)


def test_no_finite_gradient_names_the_site() -> None:
    def model() -> None:
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        b = pyro.sample("b", dist.Normal(a, 1.0))
        pyro.factor("edge", (b - b).sqrt())  # 0, with an infinite slope by b

    with pytest.raises(StartError, match=r"finite gradient in 100 tries: that by site 'b'"):
        LogDensity(Program(model).bind()).initial(Key(0))


def test_improper_priors_start_like_any_other() -> None:
    def model(y: Tensor) -> None:
        loc = pyro.sample("loc", dist.ImproperUniform(constraints.real, (), ()))
        scale = pyro.sample("scale", dist.ImproperUniform(constraints.positive, (), ()))
        with pyro.plate("data", len(y)):
            pyro.sample("y", dist.Normal(loc, scale), obs=y)

    density = LogDensity(Program(model, Y))
    position = density.initial(FOUR)
    values = density.constrain(position)
    expected = torch.distributions.Normal(values["loc"][:, None], values["scale"][:, None]).log_prob(Y).sum(-1) + position[:, 1]
    assert torch.allclose(density.log_density(position), expected)


# Binding


def test_bind_shares_the_graph_and_changes_the_data() -> None:
    density = LogDensity(Program(schools, Y, Y.abs()))
    position = density.initial(FOUR)
    new = Y.flip(0) * 2 + 1
    other = density.bind(data={"y": new})
    fresh = LogDensity(Program(schools, new, Y.abs()))
    for found, expected in zip(other.value_and_grad(position), fresh.value_and_grad(position), strict=True):
        assert torch.allclose(found, expected, rtol=1e-12)
    assert not torch.allclose(other.log_density(position), density.log_density(position))
    assert other.seconds["record"] == 0
    assert other.seconds["compile"] < 0.2 * fresh.seconds["compile"]
    assert other.program.args[0] is new
    assert density.program.args[0] is Y


def test_bind_other_parameters() -> None:
    def model(y: Tensor) -> None:
        scale = pyro.param("scale", torch.tensor(2.0), constraint=constraints.positive)
        mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
        with pyro.plate("data", len(y)):
            pyro.sample("y", dist.Normal(mu, scale), obs=y)

    density = LogDensity(Program(model, Y))
    other = density.bind(params={"scale": torch.tensor(30.0).log()})
    position = torch.tensor([[4.0]], dtype=torch.float64)
    for target, scale in ((density, 2.0), (other, 30.0)):
        expected = torch.distributions.Normal(0.0, 5.0).log_prob(position[:, 0]) + torch.distributions.Normal(4.0, scale).log_prob(Y).sum()
        assert torch.allclose(target.log_density(position), expected, rtol=1e-6)
    with pytest.raises(NameNotFoundError, match="no parameter named rate; there are scale"):
        density.bind(params={"rate": torch.tensor(1.0)})


def test_bind_refuses_other_shapes_and_names() -> None:
    density = LogDensity(Program(schools, Y, Y.abs()))
    with pytest.raises(DataError, match=r"argument 'y': bind keeps shapes, expected \(5,\) of torch.float64, got \(4,\)"):
        density.bind(data={"y": Y[:4]})
    with pytest.raises(NameNotFoundError, match="no argument named x; there are y, sigma"):
        density.bind(data={"x": Y})


def test_bind_is_checked_again() -> None:
    """A program that looks at its data behind the recorder's back: the graph holds for the recorded data only."""

    def model(y: Tensor, flag: Tensor) -> None:
        mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
        shift = float(flag.untyped_storage()[0])  # raw memory: the recorder cannot see it
        with pyro.plate("data", len(y)):
            pyro.sample("y", dist.Normal(mu + shift, 10.0), obs=y)

    flag = torch.zeros(1, dtype=torch.uint8)
    density = LogDensity(Program(model, Y, flag), lowering="recorded")
    with pytest.raises(RecordingError, match="site 'y'"):
        density.bind(data={"flag": torch.full_like(flag, 9)})


def test_bind_data_that_steer_the_program_are_recorded_anew() -> None:
    def model(g: Tensor, y: Tensor) -> None:
        groups = int(g.max()) + 1
        with pyro.plate("groups", groups):
            loc = pyro.sample("loc", dist.Normal(0.0, 20.0))
        with pyro.plate("data", len(y)):
            pyro.sample("y", dist.Normal(loc[g], 10.0), obs=y)

    g = torch.tensor([0, 0, 1, 1, 1])
    density = LogDensity(Program(model, g, Y), lowering="recorded")
    other = density.bind(data={"g": torch.tensor([0, 1, 2, 2, 0])})
    assert (density.dim, other.dim) == (2, 3)


def test_values_of_a_wrong_shape_or_name() -> None:
    density = LogDensity(Program(schools, Y, Y.abs()))
    with pytest.raises(NameNotFoundError, match="no value for site 'tau'; given are e, mu"):
        density.unconstrain({"mu": torch.zeros(3), "e": torch.zeros(3, 5)})
    with pytest.raises(DataError, match=r"site 'e' has shape \(5,\) after \(3,\); got \(2, 5\)"):
        density.unconstrain({"mu": torch.zeros(3), "tau": torch.ones(3), "e": torch.zeros(2, 5)})


# Identity and lowering


def test_fingerprint_is_that_of_graph_data_parameters_and_dtype() -> None:
    def model(y: Tensor, scale: float) -> None:
        rate = pyro.param("rate", torch.tensor(1.0))
        mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
        pyro.sample("y", dist.Normal(mu + rate, scale).expand(y.shape).to_event(1), obs=y)

    density = LogDensity(Program(model, Y, 3.0))
    same = LogDensity(Program(model, Y.clone(), 3.0))
    assert same.fingerprint == density.fingerprint == density.fingerprint
    other = [
        LogDensity(Program(model, Y, 4.0)),
        LogDensity(Program(model, Y + 1e-9, 3.0)),
        LogDensity(Program(model, Y, 3.0), dtype=torch.float32),
        density.bind(params={"rate": torch.tensor(1.5)}),
        density.bind(data={"y": Y.flip(0)}),
    ]
    assert len({density.fingerprint, *[d.fingerprint for d in other]}) == 6
    eager = LogDensity(Program(model, Y, 3.0), lowering="eager")
    assert eager.fingerprint != LogDensity(Program(model, Y.flip(0), 3.0), lowering="eager").fingerprint


@pytest.mark.parametrize("model", [mixture, schools], ids=["mixture", "schools"])
def test_lowerings_agree(model: Callable[..., None]) -> None:
    args = (Y,) if model is mixture else (Y, Y.abs())
    recorded, eager = (LogDensity(Program(model, *args), lowering=name) for name in ("recorded", "eager"))
    auto = LogDensity(Program(model, *args))
    assert (recorded.lowering.name, eager.lowering.name, auto.lowering.name) == ("recorded", "eager", "native")
    position = recorded.initial(FOUR)
    assert torch.equal(position, eager.initial(FOUR))
    for target in (eager, auto):
        for a, b in zip(target.value_and_grad(position), recorded.value_and_grad(position), strict=True):
            assert torch.allclose(a, b, rtol=1e-5, atol=1e-4)  # eager computes in the program's own float32
    assert torch.allclose(eager.unconstrain(eager.constrain(position)), position, atol=1e-5)


def test_lowerings_agree_to_rounding_in_double() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        recorded, eager = (LogDensity(Program(schools, Y, Y.abs()), lowering=name) for name in ("recorded", "eager"))
        position = recorded.initial(FOUR)
        for a, b in zip(recorded.value_and_grad(position), eager.value_and_grad(position), strict=True):
            assert torch.allclose(a, b, rtol=1e-13)
    finally:
        torch.set_default_dtype(torch.float32)


def test_what_cannot_be_recorded_runs_eagerly_and_says_why() -> None:
    density = LogDensity(Program(branching, Y))
    assert density.lowering.name == "eager"
    assert "cannot be recorded" in density.lowering.reason
    assert "mu" in density.lowering.reason
    position = torch.tensor([[4.0], [-4.0]], dtype=torch.float64)
    for q, value in zip((4.0, -4.0), density.log_density(position), strict=True):
        expected = torch.distributions.Normal(0.0, 5.0).log_prob(torch.tensor(q))
        expected = expected + torch.distributions.Normal(q, 3.0 if q > 0 else 2.0).log_prob(Y).sum()
        assert torch.allclose(value, expected, rtol=1e-6)
    assert density.log_likelihood(density.latents(position[None], Key(0))).values["data"].shape == (1, 2, 5)
    other = density.bind(data={"y": Y.flip(0)})
    assert other.lowering.name == "eager"
    with pytest.raises(RecordingError, match="mu"):
        LogDensity(Program(branching, Y), lowering="recorded")
    with pytest.raises(EngineError, match="lowering must be one of auto, native, inductor, recorded, eager; got 'fast'"):
        LogDensity(Program(branching, Y), lowering="fast")


def test_a_chain_is_the_same_alone_and_among_others() -> None:
    density = LogDensity(Program(mixture, Y))
    position = torch.randn(5, 3, dtype=torch.float64)
    value, gradient = density.value_and_grad(position)
    for i in range(5):
        one, slope = density.value_and_grad(position[i : i + 1])
        assert torch.allclose(one, value[i : i + 1], rtol=1e-13)
        assert torch.allclose(slope, gradient[i : i + 1], rtol=1e-12)
    assert density.evaluations == 10


@pytest.mark.parametrize("lowering", ["recorded", "eager"])
@pytest.mark.parametrize("width", [2.0, 3.0, 4.0, 6.0])
def test_a_bad_point_is_a_bad_value_for_its_chain_alone(width: float, lowering: str) -> None:
    """A Cholesky factor that does not exist is nan for one chain and no error for the others."""

    def model(y: Tensor) -> None:
        r = pyro.sample("r", dist.Uniform(-width, width))
        matrix = torch.eye(2) + r * (1 - torch.eye(2))
        pyro.sample("y", dist.MultivariateNormal(torch.zeros(2), covariance_matrix=400 * matrix), obs=y)

    density = LogDensity(Program(model, Y[:2]), lowering=lowering)
    r = torch.tensor([0.5, 1.5, -0.5], dtype=torch.float64)
    value = density.log_density(torch.logit((r + width) / (2 * width))[:, None])
    assert value.isfinite().tolist() == [True, False, True]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtype_of_positions_values_and_draws(dtype: torch.dtype) -> None:
    density = LogDensity(Program(mixture, Y.to(dtype)), dtype=dtype)
    position = density.initial(FOUR)
    value, gradient = density.value_and_grad(position)
    assert {t.dtype for t in (position, value, gradient, *density.constrain(position).values())} == {dtype}
    assert density.latents(position[:, None], FOUR)["loc"].dtype == dtype


def test_single_data_in_a_double_density_are_used_in_double() -> None:
    """What depends on data alone is computed in the density's dtype too."""

    def model(y: Tensor) -> None:
        mu = pyro.sample("mu", dist.Normal(0.0, 1.0))
        pyro.factor("fit", -((y - y.mean()).square() * mu).sum())

    y = torch.linspace(1000.0, 1001.0, 101)
    density = LogDensity(Program(model, y))
    slope = density.value_and_grad(torch.zeros(1, 1, dtype=torch.float64))[1]
    exact = -(y.double() - y.double().mean()).square().sum()
    assert torch.allclose(slope, exact, rtol=1e-12)


def test_double_data_in_a_single_density() -> None:
    density = LogDensity(Program(mixture, Y), dtype=torch.float32)
    value, gradient = density.value_and_grad(density.initial(FOUR))
    assert value.dtype == gradient.dtype == torch.float32
