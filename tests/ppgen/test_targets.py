"""LogDensity: starting points, binding, draws of every site, the pointwise log likelihood, fingerprints, lowerings."""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.distributions import constraints
from torch import Tensor

from ppgen import drawing_back, pointwise
from ppgen.errors import DataError, EngineError, NameNotFoundError, ProgramError, RecordingError, StartError, SupportError
from ppgen.keys import Key
from ppgen.program import Program
from ppgen.targets import LogDensity

Y = torch.tensor([-21.0, -18.5, 30.0, 33.5, 27.0], dtype=torch.float64)
FOUR = Key(7, 0, (0, 1, 2, 3))


def mixture(y: Tensor) -> None:
    """Two components; `centre` is deterministic and an enumerated site enters it."""
    weight = pyro.sample("weight", dist.Beta(2.0, 3.0))
    loc = pyro.sample("loc", dist.Normal(torch.tensor([-10.0, 10.0]), 20.0).to_event(1))
    pyro.deterministic("gap", loc[1] - loc[0])
    with pyro.plate("data", len(y)):
        z = pyro.sample("z", dist.Bernoulli(weight))
        centre = pyro.deterministic("centre", loc[z.long()])
        pyro.sample("y", dist.Normal(centre, 12.0), obs=y)


def schools(y: Tensor, sigma: Tensor) -> None:
    mu, tau = pyro.sample("mu", dist.Normal(0.0, 5.0)), pyro.sample("tau", dist.HalfCauchy(5.0))
    with pyro.plate("schools", len(y)):
        e = pyro.sample("e", dist.Normal(0.0, 1.0))
        pyro.sample("y", dist.Normal(mu + tau * e, sigma), obs=y)


def branching(y: Tensor) -> None:
    """A branch on a latent value cannot be recorded."""
    mu = pyro.sample("mu", dist.Normal(0.0, 5.0))
    scale = 3.0 if mu > 0 else 2.0
    with pyro.plate("data", len(y)):
        pyro.sample("y", dist.Normal(mu, scale), obs=y)


def responsibility(values: dict[str, Tensor]) -> Tensor:
    """P(z = 1 | y, the rest), (*batch, N), by Bayes' rule."""
    weight, loc = values["weight"].unsqueeze(-1), values["loc"].unsqueeze(-2)
    each = torch.distributions.Normal(loc, 12.0).log_prob(Y.unsqueeze(-1))  # (*batch, N, 2)
    return torch.sigmoid(weight.log() + each[..., 1] - (1 - weight).log() - each[..., 0])


# Draws


@pytest.mark.parametrize("lowering", ["recorded", "eager"])
def test_discrete_sites_have_their_exact_conditional(lowering: str) -> None:
    density = LogDensity(Program(mixture, Y), lowering=lowering)
    draws = 20_000 if lowering == "recorded" else 500
    position = torch.tensor([0.3, 4.0, 16.0], dtype=torch.float64).expand(1, draws, 3)
    out = density.latents(position, Key(3))
    assert list(out) == ["weight", "loc", "gap", "z", "centre"]
    p = responsibility({n: v[0, 0] for n, v in out.items() if n in ("weight", "loc")})
    assert ((p > 0.02) & (p < 0.98)).sum() >= 2
    error = (p * (1 - p) / draws).sqrt()
    assert ((out["z"][0].double().mean(0) - p).abs() <= 4 * error + 1e-12).all()
    pairs = (out["z"][0, :, 2] * out["z"][0, :, 4]).double().mean()  # data are independent given the parameters
    both = p[2] * p[4]
    assert abs(pairs - both) <= 4 * (both * (1 - both) / draws).sqrt() + 1e-12


@pytest.mark.parametrize("lowering", ["recorded", "eager"])
def test_deterministic_sites_with_and_without_an_enumerated_one_above(lowering: str) -> None:
    density = LogDensity(Program(mixture, Y), lowering=lowering)
    out = density.latents(torch.randn(2, 25, 3, dtype=torch.float64), Key(5, 0, (0, 1)))
    assert out["gap"].shape == (2, 25)
    assert out["centre"].shape == out["z"].shape == (2, 25, 5)
    tolerance = {"rtol": 1e-6, "atol": 1e-5}  # the program itself computes in float32
    assert torch.allclose(out["gap"].double(), out["loc"][..., 1] - out["loc"][..., 0], **tolerance)
    assert torch.allclose(out["centre"].double(), out["loc"].gather(-1, out["z"].long()), **tolerance)
    assert 0 < out["z"].mean() < 1


def test_draws_depend_neither_on_the_number_of_chains_nor_on_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    density = LogDensity(Program(mixture, Y))
    position = torch.randn(3, 40, 3, dtype=torch.float64)
    whole = density.latents(position, Key(11, 0, (0, 1, 2)))["z"]
    assert torch.equal(density.latents(position[:1], Key(11, 0, (0,)))["z"], whole[:1])
    assert torch.equal(density.latents(position[1:], Key(11, 0, (1, 2)))["z"], whole[1:])
    monkeypatch.setattr(drawing_back, "CHUNK", 3 * 10 * 7)
    assert torch.equal(density.latents(position, Key(11, 0, (0, 1, 2)))["z"], whole)
    assert not torch.equal(whole[0], whole[1])


def test_two_discrete_sites_are_drawn_jointly() -> None:
    """A chain a -> b -> y with dependent a and b: the joint law of the draws by enumeration."""

    def model(y: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
        a = pyro.sample("a", dist.Categorical(torch.tensor([0.2, 0.3, 0.5])))
        b = pyro.sample("b", dist.Categorical(torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.1, 0.9]])[a]))
        pyro.sample("y", dist.Normal(loc + torch.tensor([0.0, 30.0])[b], 20.0), obs=y)

    y = torch.tensor(12.0, dtype=torch.float64)
    density = LogDensity(Program(model, y))
    out = density.latents(torch.full((1, 20_000, 1), 2.0, dtype=torch.float64), Key(0))
    table = torch.tensor([0.2, 0.3, 0.5])[:, None] * torch.tensor([[0.9, 0.1], [0.4, 0.6], [0.1, 0.9]])
    table = table * torch.distributions.Normal(torch.tensor([2.0, 32.0]), 20.0).log_prob(y).exp()
    table = table / table.sum()
    found = torch.bincount((out["a"] * 2 + out["b"]).long().reshape(-1), minlength=6).reshape(3, 2) / 20_000
    assert ((found - table).abs() <= 4 * (table * (1 - table) / 20_000).sqrt()).all()


def test_a_discrete_site_in_two_plates_whose_names_are_not_in_their_order() -> None:
    y = torch.tensor([[-21.0, 18.5, 3.0], [33.5, -27.0, 1.0]], dtype=torch.float64)

    def model(y: Tensor) -> None:
        shift = pyro.sample("shift", dist.Normal(0.0, 10.0))
        rows, columns = pyro.plate("z_rows", 2, dim=-2), pyro.plate("a_columns", 3, dim=-1)
        with rows, columns:
            z = pyro.sample("z", dist.Bernoulli(0.4))
            pyro.deterministic("signed", (2 * z - 1) * shift)
            pyro.sample("y", dist.Normal(shift + 30.0 * z, 15.0), obs=y)

    density = LogDensity(Program(model, y))
    out = density.latents(torch.full((1, 4000, 1), -8.0, dtype=torch.float64), Key(2))
    one, zero = (torch.distributions.Normal(m, 15.0).log_prob(y).exp() for m in (22.0, -8.0))
    p = 0.4 * one / (0.4 * one + 0.6 * zero)  # (2, 3)
    found = out["z"][0].double().mean(0)
    assert ((found - p).abs() <= 4 * (p * (1 - p) / 4000).sqrt() + 1e-9).all()
    assert torch.allclose(out["signed"].double(), (2 * out["z"] - 1).double() * -8.0)


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


def test_starting_near_given_values() -> None:
    density = LogDensity(Program(schools, Y, Y.abs()))
    start = density.initial(FOUR, radius=0.01, near={"tau": torch.tensor(40.0)})
    assert torch.allclose(density.constrain(start)["tau"], torch.full((4,), 40.0, dtype=torch.float64), rtol=0.011)
    assert (density.constrain(start)["mu"].abs() <= 0.01).all()
    with pytest.raises(NameNotFoundError, match=r"no continuous latent site named sigma; there are mu, tau, e"):
        density.initial(FOUR, near={"sigma": torch.tensor(1.0)})
    with pytest.raises(DataError, match=r"site 'e' has shape \(5,\); got \(4,\)"):
        density.initial(FOUR, near={"e": torch.zeros(4)})
    with pytest.raises(SupportError, match=r"site 'tau': the starting value -1.0 lies outside its support"):
        density.initial(FOUR, near={"tau": torch.tensor(-1.0)})


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


# Pointwise log likelihood


@pytest.mark.parametrize("lowering", ["recorded", "eager"])
def test_local_discrete_sites_are_summed_out(lowering: str) -> None:
    density = LogDensity(Program(mixture, Y), lowering=lowering)
    draws = density.latents(torch.randn(2, 6, 3, dtype=torch.float64), Key(0, 0, (0, 1)))
    found = density.log_likelihood(draws)
    assert (found.plate, found.kind, list(found.values)) == ("data", "marginal", ["data"])
    each = torch.distributions.Normal(draws["loc"].unsqueeze(-2), 12.0).log_prob(Y[:, None])  # (2, 6, 5, 2)
    weights = torch.stack([1 - draws["weight"], draws["weight"]], -1).log().unsqueeze(-2)
    expected = (each + weights).logsumexp(-1)
    assert torch.allclose(found.values["data"], expected, rtol=1e-5 if lowering == "eager" else 1e-6)


def test_pointwise_in_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    density = LogDensity(Program(mixture, Y))
    draws = density.latents(torch.randn(2, 9, 3, dtype=torch.float64), Key(0, 0, (0, 1)))
    whole = density.log_likelihood(draws).values["data"]
    monkeypatch.setattr(pointwise, "CHUNK", 40)
    assert torch.allclose(density.log_likelihood(draws).values["data"], whole, rtol=1e-12)


@pytest.mark.parametrize("lowering", ["recorded", "eager"])
def test_local_continuous_sites_are_held_or_counted(lowering: str) -> None:
    density = LogDensity(Program(schools, Y, Y.abs()), lowering=lowering)
    draws = density.latents(torch.randn(2, 3, 7, dtype=torch.float64), Key(0, 0, (0, 1)))
    mean = draws["mu"][..., None] + draws["tau"][..., None] * draws["e"]
    held = torch.distributions.Normal(mean, Y.abs()).log_prob(Y)
    conditional, joint = density.log_likelihood(draws), density.log_likelihood(draws, joint=True)
    assert (conditional.kind, joint.kind) == ("conditional", "joint")
    tolerance = 1e-4 if lowering == "eager" else 1e-6
    assert torch.allclose(conditional.values["schools"], held, rtol=tolerance)
    prior = torch.distributions.Normal(0.0, 1.0).log_prob(draws["e"])
    assert torch.allclose(joint.values["schools"], held + prior, rtol=tolerance)


def test_a_local_continuous_site_below_a_summed_one() -> None:
    """x_n ~ Normal(z_n), y_n ~ Normal(x_n + z_n): p(y_n | x_n) sums z_n out of its law given x_n, not of its prior."""

    def model(y: Tensor) -> None:
        weight = pyro.sample("weight", dist.Beta(2.0, 3.0))
        with pyro.plate("data", len(y)):
            z = pyro.sample("z", dist.Bernoulli(weight))
            x = pyro.sample("x", dist.Normal(10.0 * z, 7.0))
            pyro.sample("y", dist.Normal(x + 5.0 * z, 20.0), obs=y)

    density = LogDensity(Program(model, Y))
    draws = density.latents(torch.randn(1, 4, 6, dtype=torch.float64) * 3, Key(0))
    z = torch.tensor([0.0, 1.0], dtype=torch.float64)
    weight, x = draws["weight"][..., None, None], draws["x"][..., None]
    of_x = torch.log(z * weight + (1 - z) * (1 - weight)) + torch.distributions.Normal(10 * z, 7.0).log_prob(x)
    of_both = of_x + torch.distributions.Normal(x + 5 * z, 20.0).log_prob(Y[:, None])
    found = density.log_likelihood(draws)
    assert found.kind == "conditional"
    assert torch.allclose(found.values["data"], of_both.logsumexp(-1) - of_x.logsumexp(-1), rtol=1e-6)
    assert torch.allclose(density.log_likelihood(draws, joint=True).values["data"], of_both.logsumexp(-1), rtol=1e-6)


def test_global_discrete_sites_are_held_at_their_draws() -> None:
    def model(y: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
        k = pyro.sample("k", dist.Categorical(torch.tensor([0.5, 0.3, 0.2])))
        with pyro.plate("data", len(y)):
            pyro.sample("y", dist.Normal(loc, torch.tensor([5.0, 20.0, 80.0])[k]), obs=y)

    density = LogDensity(Program(model, Y))
    draws = density.latents(torch.randn(1, 50, 1, dtype=torch.float64), Key(0))
    scale = torch.tensor([5.0, 20.0, 80.0], dtype=torch.float64)[draws["k"].long()]
    expected = torch.distributions.Normal(draws["loc"][..., None], scale[..., None]).log_prob(Y)
    found = density.log_likelihood(draws)
    assert len(draws["k"].unique()) > 1
    assert torch.allclose(found.values["data"], expected, rtol=1e-6)
    with pytest.raises(ProgramError, match="discrete sites k lie outside the data plate and have no draws"):
        density.log_likelihood({"loc": draws["loc"]})
    with pytest.raises(SupportError, match="site 'k' has the value 5 at draw 0"):
        density.log_likelihood({"loc": draws["loc"], "k": torch.full((1, 50), 5)})


def test_a_held_site_in_two_plates() -> None:
    """Discrete sites outside of the data plate are read at their draws, in the order of their dimensions."""

    def model(y: Tensor) -> None:
        with pyro.plate("z_rows", 2, dim=-3), pyro.plate("a_columns", 3, dim=-2):
            k = pyro.sample("k", dist.Categorical(torch.tensor([0.5, 0.3, 0.2])))
            with pyro.plate("data", y.shape[-1], dim=-1):
                pyro.sample("y", dist.Normal(0.0, torch.tensor([5.0, 20.0, 80.0])[k]), obs=y)

    def outer(y: Tensor) -> None:
        pyro.sample("loc", dist.Normal(0.0, 10.0))
        model(y)

    y = torch.linspace(-90, 90, 30, dtype=torch.float64).reshape(2, 3, 5)
    program = Program(outer, data_plate="data").bind(y)
    density = LogDensity(program)
    draws = density.latents(torch.zeros(1, 40, 1, dtype=torch.float64), Key(0))
    assert draws["k"].shape == (1, 40, 2, 3, 1)
    scale = torch.tensor([5.0, 20.0, 80.0], dtype=torch.float64)[draws["k"].long()]
    expected = torch.distributions.Normal(0.0, scale).log_prob(y).sum((2, 3))
    assert torch.allclose(density.log_likelihood(draws).values["data"], expected, rtol=1e-6)


def test_without_a_data_plate_by_site_in_its_batch_shape() -> None:
    def model(u: Tensor, v: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(0.0, 10.0))
        with pyro.plate("u_rows", len(u)):
            pyro.sample("u", dist.Normal(loc, 3.0), obs=u)
        pyro.sample("v", dist.Normal(2 * loc, 5.0), obs=v)

    v = torch.tensor(7.0, dtype=torch.float64)
    density = LogDensity(Program(model, Y, v))
    draws = {"loc": torch.randn(2, 3, dtype=torch.float64)}
    found = density.log_likelihood(draws)
    assert (found.plate, list(found.values)) == (None, ["u", "v"])
    assert torch.allclose(found.values["u"], torch.distributions.Normal(draws["loc"][..., None], 3.0).log_prob(Y), rtol=1e-6)
    assert torch.allclose(found.values["v"], torch.distributions.Normal(2 * draws["loc"], 5.0).log_prob(v), rtol=1e-6)


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
    assert (recorded.lowering.name, eager.lowering.name, auto.lowering.name) == ("recorded", "eager", "recorded")
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
    with pytest.raises(EngineError, match="lowering must be one of auto, recorded, eager; got 'fast'"):
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
