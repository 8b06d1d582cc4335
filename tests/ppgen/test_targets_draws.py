"""LogDensity: draws of the sites that the flat position does not hold, and the pointwise log likelihood."""

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from ppgen import drawing_back, pointwise
from ppgen.errors import ProgramError, SupportError
from ppgen.keys import Key
from ppgen.program import Program
from ppgen.targets import LogDensity
from tests.tools.targets import Y, mixture, schools


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
