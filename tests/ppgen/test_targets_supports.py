"""constrain and unconstrain for every support that has a bijection, against torch's transforms and autograd."""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.distributions import constraints
from torch import Tensor
from torch.distributions import biject_to

from ppgen.bijections import bijection_to, unconstrained_shape
from ppgen.errors import ProgramError
from ppgen.keys import Key
from ppgen.program import Program
from ppgen.targets import LogDensity


def flat(support: constraints.Constraint, *event: int, batch: tuple[int, ...] = ()) -> Callable[[Tensor], None]:
    """An improper flat prior on a support, with a likelihood that reads every number of the site."""

    def model(y: Tensor) -> None:
        z = pyro.sample("z", dist.ImproperUniform(support, batch, event).to_event(len(batch)))
        weights = torch.linspace(0.5, 1.5, z.numel()).to(z).reshape(z.shape)
        pyro.sample("y", dist.Normal((weights * z).sum(), y.new_tensor(3.0)), obs=y)

    return model


def stacked() -> constraints.Constraint:
    return constraints.stack([constraints.positive, constraints.real, constraints.interval(-1.0, 4.0)], 0)


def concatenated() -> constraints.Constraint:
    return constraints.cat([constraints.positive, constraints.unit_interval], 0, [2, 3])


# name -> support, event shape, dimension of the position
SUPPORTS = {
    "real": (constraints.real, (), 1),
    "real_vector": (constraints.real_vector, (4,), 4),
    "positive": (constraints.positive, (), 1),
    "nonnegative": (constraints.nonnegative, (), 1),
    "softplus_positive": (constraints.softplus_positive, (), 1),
    "unit_interval": (constraints.unit_interval, (), 1),
    "interval": (constraints.interval(-2.0, 7.0), (), 1),
    "half_open_interval": (constraints.half_open_interval(3.0, 7.0), (), 1),
    "greater_than": (constraints.greater_than(5.0), (), 1),
    "greater_than_eq": (constraints.greater_than_eq(-5.0), (), 1),
    "less_than": (constraints.less_than(-3.0), (), 1),
    "simplex": (constraints.simplex, (5,), 4),
    "ordered": (constraints.ordered_vector, (4,), 4),
    "positive_ordered": (constraints.positive_ordered_vector, (4,), 4),
    "corr_cholesky": (constraints.corr_cholesky, (4, 4), 6),
    "corr_matrix": (constraints.corr_matrix, (4, 4), 6),
    "lower_cholesky": (constraints.lower_cholesky, (3, 3), 6),
    "positive_definite": (constraints.positive_definite, (3, 3), 6),
    "batches of positive_definite": (constraints.independent(constraints.positive_definite, 1), (2, 3, 3), 12),
    "independent": (constraints.independent(constraints.positive, 2), (2, 3), 6),
    "stack": (stacked(), (3,), 3),
    "cat": (concatenated(), (5,), 5),
}


@pytest.fixture(params=[torch.float64, torch.float32], ids=["float64", "float32"])
def dtype(request: pytest.FixtureRequest) -> torch.dtype:
    return request.param


@pytest.mark.parametrize("lowering", ["recorded", "eager"])
@pytest.mark.parametrize("name", SUPPORTS)
def test_support(name: str, lowering: str, dtype: torch.dtype) -> None:
    support, event, dim = SUPPORTS[name]
    program = Program(flat(support, *event), torch.tensor(2.0, dtype=dtype))
    density = LogDensity(program, dtype=dtype, lowering=lowering)
    assert density.dim == dim
    position = torch.linspace(-1.2, 1.3, 6 * dim, dtype=dtype).reshape(2, 3, dim).roll(3, -1)
    z = density.constrain(position)["z"]
    assert z.shape == (2, 3, *event)
    assert z.dtype == dtype
    assert all(support.check(one).all() for one in z.reshape(6, *event))
    back = density.unconstrain({"z": z})  # eager: in the program's own dtype, float32
    assert back.shape == position.shape
    assert torch.allclose(back, position, atol=1e-10 if dtype == torch.float64 and lowering == "recorded" else 2e-3)


def free(support_name: str, z: Tensor) -> Tensor:
    """The coordinates in which a density on a support is stated, as many as its position has."""
    if support_name == "simplex":
        return z[..., :-1]
    if support_name in ("lower_cholesky", "positive_definite", "batches of positive_definite"):
        rows, columns = torch.tril_indices(z.shape[-1], z.shape[-1])
        return z[..., rows, columns]
    if support_name in ("corr_cholesky", "corr_matrix"):
        rows, columns = torch.tril_indices(z.shape[-1], z.shape[-1], -1)
        return z[..., rows, columns]
    return z.reshape(-1)


@pytest.mark.parametrize("name", SUPPORTS)
def test_log_jacobian_is_that_of_the_map(name: str) -> None:
    """Value less log likelihood is log |det d(free coordinates)/d(position)|, by autograd through torch's transform."""
    support, event, dim = SUPPORTS[name]
    y = torch.tensor(2.0, dtype=torch.float64)
    model = flat(support, *event)
    density = LogDensity(Program(model, y), lowering="recorded")
    transform = bijection_to(support)
    shape = unconstrained_shape(transform, torch.Size(event))

    def coordinates(u: Tensor) -> Tensor:
        return free(name, transform(u.reshape(shape))).reshape(-1)

    for i in range(3):
        u = torch.linspace(-0.9, 1.1, dim, dtype=torch.float64).roll(i)
        jacobian = torch.autograd.functional.jacobian(coordinates, u)
        z = density.constrain(u)["z"]
        weights = torch.linspace(0.5, 1.5, z.numel()).to(z).reshape(z.shape)
        likelihood = dist.Normal((weights * z).sum(), y.new_tensor(3.0)).log_prob(y)
        value, _ = density.value_and_grad(u[None])
        assert torch.allclose(value[0] - likelihood, torch.linalg.slogdet(jacobian).logabsdet, atol=1e-8), name


def test_every_bijection_is_among_them() -> None:
    """A support that Pyro or torch learns to map to the real numbers has to be tested here."""
    assert {kind.__name__ for kind in biject_to._registry} <= {type(s).__name__ for s, _, _ in SUPPORTS.values()}


def test_a_support_without_a_bijection_is_refused_by_name() -> None:
    with pytest.raises(ProgramError, match=r"site 'z' .* has the support .*, to which there is no bijection here"):
        LogDensity(Program(flat(constraints.sphere, 3), torch.tensor(2.0)))


def test_batches_of_a_vector_support_and_of_a_scalar_one() -> None:
    def model(y: Tensor) -> None:
        with pyro.plate("rows", 2, dim=-1):
            p = pyro.sample("p", dist.Dirichlet(torch.tensor([2.0, 3.0, 4.0])))
            s = pyro.sample("s", dist.Gamma(3.0, 2.0))
            pyro.sample("y", dist.Normal((p * torch.tensor([10.0, 20.0, 30.0])).sum(-1), s), obs=y)

    density = LogDensity(Program(model, torch.tensor([15.0, 22.0])))
    assert density.dim == 2 * 2 + 2
    assert [(s.name, s.shape, s.slice) for s in density.sites] == [("p", (2, 3), slice(0, 4)), ("s", (2,), slice(4, 6))]
    position = torch.randn(5, 1, 7, 6, dtype=torch.float64)
    values = density.constrain(position)
    assert values["p"].shape == (5, 1, 7, 2, 3)
    assert torch.allclose(values["p"].sum(-1), torch.ones(5, 1, 7, 2, dtype=torch.float64))
    assert torch.allclose(density.unconstrain(values), position, atol=1e-11)


@pytest.mark.parametrize("size", [2, 4])
def test_lkj_is_normalised(size: int) -> None:
    """exp(value) over all unconstrained space integrates to 1: by importance sampling for D = 4, by quadrature for D = 2."""

    def model() -> None:
        pyro.sample("L", dist.LKJCholesky(size, torch.tensor(1.7)))

    density = LogDensity(Program(model).bind())
    if size == 2:
        u = torch.linspace(-12, 12, 4001, dtype=torch.float64)[:, None]
        total = torch.trapezoid(density.log_density(u).exp(), u[:, 0])
        assert abs(float(total) - 1) < 1e-6
        return
    q = dist.StudentT(5.0, 0.0, torch.tensor(0.8, dtype=torch.float64)).expand([6]).to_event(1)
    u = q.sample((40000,))
    weights = (density.log_density(u) - q.log_prob(u)).exp()
    assert abs(float(weights.mean()) - 1) < 4 * float(weights.std()) / 200


def mean_of(density: LogDensity, site: str, grid: Tensor) -> float:
    """E[site] by the rectangle rule over a two-dimensional position."""
    u = torch.cartesian_prod(grid, grid)
    weights = torch.softmax(density.log_density(u), 0)
    return float((weights * density.constrain(u)[site]).sum())


@pytest.mark.parametrize("lowering", ["recorded", "eager"])
def test_a_support_that_depends_on_another_site(lowering: str) -> None:
    """a ~ Beta(2, 3), b ~ Uniform(0, 1 - a), and (a, b) flat on the triangle: means by one-dimensional integrals."""

    def model(y: Tensor) -> None:
        a = pyro.sample("a", dist.Beta(2.0, 3.0))
        b = pyro.sample("b", dist.Uniform(0.0, 1 - a))
        pyro.sample("y", dist.Normal(b, 0.25), obs=y)

    y = torch.tensor(0.4, dtype=torch.float64)
    density = LogDensity(Program(model, y), lowering=lowering)
    a = torch.linspace(1e-7, 1 - 1e-7, 200_001, dtype=torch.float64)
    normal = torch.distributions.Normal(y, 0.25)
    evidence = (normal.cdf(1 - a) - normal.cdf(torch.zeros_like(a))) / (1 - a)  # of y given a
    weights = (torch.distributions.Beta(2.0, 3.0).log_prob(a)).exp() * evidence
    expected = float((weights * a).sum() / weights.sum())
    grid = torch.linspace(-9, 9, 241 if lowering == "recorded" else 31, dtype=torch.float64)
    assert abs(mean_of(density, "a", grid) - expected) < (1e-5 if lowering == "recorded" else 0.01)
    values = {"a": torch.tensor([0.2, 0.9]), "b": torch.tensor([0.79, 0.05])}  # 0.79 lies outside of the support at a = 0.9
    back = density.constrain(density.unconstrain(values))
    assert torch.allclose(back["b"], values["b"].double(), atol=1e-6)


def test_a_flat_triangle() -> None:
    """An improper prior with a dependent support is flat: E[a] = E[b] = 1/3 on the triangle a + b < 1."""

    def model() -> None:
        a = pyro.sample("a", dist.Uniform(0.0, 1.0))
        pyro.sample("b", dist.ImproperUniform(constraints.interval(torch.zeros(()), 1 - a), (), ()))

    density = LogDensity(Program(model).bind())
    grid = torch.linspace(-14, 14, 281, dtype=torch.float64)
    assert abs(mean_of(density, "a", grid) - 1 / 3) < 1e-6
    assert abs(mean_of(density, "b", grid) - 1 / 3) < 1e-6


def test_rows_that_obs_mask_observes_leave_the_position() -> None:
    """Missing rows alone are latent: their posterior is the prior predictive, and the density is that of the rest."""

    def model(y: Tensor, seen: Tensor) -> None:
        mu = pyro.sample("mu", dist.Normal(0.0, 10.0))
        with pyro.plate("data", len(y)):
            pyro.sample("y", dist.Normal(mu, 2.0), obs=y, obs_mask=seen)

    y, seen = torch.tensor([3.0, 100.0, 5.0, 100.0]), torch.tensor([True, False, True, False])
    density = LogDensity(Program(model, y, seen))
    assert density.dim == 1 + 2
    position = torch.tensor([[4.0, 1.5, -2.5], [1.0, 0.0, 7.0]], dtype=torch.float64)
    mu, missing = position[:, 0], position[:, 1:]
    expected = torch.distributions.Normal(0.0, 10.0).log_prob(mu)
    for row in (3.0, 5.0):
        expected = expected + torch.distributions.Normal(mu, 2.0).log_prob(torch.tensor(row))
    expected = expected + torch.distributions.Normal(mu[:, None], 2.0).log_prob(missing).sum(-1)
    assert torch.allclose(density.log_density(position), expected)
    draws = density.latents(position[None], Key(0))
    assert torch.equal(draws["y_unobserved"][0, :, [1, 3]], missing)
    assert torch.allclose(draws["y"][0, 0], torch.tensor([3.0, 1.5, 5.0, -2.5], dtype=torch.float64))
    assert torch.allclose(density.unconstrain({"mu": mu, "y_unobserved": draws["y_unobserved"][0]}), position)


@pytest.mark.parametrize("lowering", ["recorded", "eager"])
def test_a_program_without_latent_sites(lowering: str) -> None:
    def model(y: Tensor) -> None:
        with pyro.plate("data", 3):
            pyro.sample("y", dist.Normal(1.0, 2.0), obs=y)

    y = torch.tensor([1.0, 5.0, -2.0], dtype=torch.float64)
    density = LogDensity(Program(model, y), lowering=lowering)
    assert density.dim == 0
    assert density.sites == ()
    start = density.initial(Key(0, 0, (0, 1)))
    assert start.shape == (2, 0)
    value, gradient = density.value_and_grad(start)
    assert torch.allclose(value, torch.distributions.Normal(1.0, 2.0).log_prob(y).sum().expand(2))
    assert gradient.shape == (2, 0)
    assert density.constrain(start) == {}
    assert density.latents(start.reshape(2, 1, 0), Key(0, 0, (0, 1))) == {}
