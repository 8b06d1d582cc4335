"""Programs run forward: the laws of what is drawn, by closed forms; what is held; what is refused."""

import math
import warnings

import pyro
import pyro.distributions as dist
import pytest
import torch
from scipy import special
from torch import Tensor

from ppgen.errors import ProgramError
from ppgen.models import GaussianMixture
from ppgen.program import Program
from ppgen.simulation import predict, prior_draws, simulate

COUNT = 4000


def z_of_mean(values: Tensor, mean: Tensor | float) -> float:
    """The largest distance of a sample mean from the true one, in standard errors; values (n, ...), independent."""
    values = values.double()
    error = values.std(0) / math.sqrt(len(values))
    return float(((values.mean(0) - mean) / error).abs().max())


def z_of_variance(values: Tensor, variance: Tensor | float, mean: Tensor | float) -> float:
    return z_of_mean((values.double() - mean).square(), variance)


# The law of one site, whatever way vmap takes with its sampler


RATE = torch.tensor([0.7, 4.0])
PROBS = torch.tensor([0.2, 0.55, 0.25])
SCALE_TRIL = torch.tensor([[3.0, 0.0], [-2.0, 0.5]])
SITES = {
    "Normal": lambda one: dist.Normal(30.0 * one, 7.0),
    "Gamma": lambda one: dist.Gamma(3.0 * one, RATE),
    "Poisson": lambda one: dist.Poisson(RATE * one),
    "Binomial": lambda one: dist.Binomial(12, 0.3 * one),
    "NegativeBinomial": lambda one: dist.NegativeBinomial(5.0, 0.3 * one),
    "Bernoulli": lambda one: dist.Bernoulli(0.2 * one),
    "Geometric": lambda one: dist.Geometric(0.2 * one),
    "Exponential": lambda one: dist.Exponential(RATE * one),
    "StudentT": lambda one: dist.StudentT(9.0 * one, -4.0, 3.0),
    "Laplace": lambda one: dist.Laplace(2.0 * one, 5.0),
    "Beta": lambda one: dist.Beta(2.0 * one, 5.0),
    "Dirichlet": lambda one: dist.Dirichlet(4 * PROBS * one),
    "OneHotCategorical": lambda one: dist.OneHotCategorical(PROBS * one),
    "Multinomial": lambda one: dist.Multinomial(9, PROBS * one),
    "MultivariateNormal": lambda one: dist.MultivariateNormal(RATE * one, scale_tril=SCALE_TRIL),
    "LogNormal": lambda one: dist.LogNormal(torch.zeros(2), 0.4 * one).to_event(1),
    "Uniform": lambda one: dist.Uniform(-3.0 * one, 8.0),
    "Gumbel": lambda one: dist.Gumbel(2.0 * one, 3.0),
    "BetaBinomial": lambda one: dist.BetaBinomial(2.0 * one, 3.0, 10),
    "Weibull": lambda one: dist.Weibull(2.0 * one, 1.5),
    "MaskedExpanded": lambda one: dist.Gamma(2.0 * one, 0.1).expand([3]).to_event(1).mask(False),
}


@pytest.mark.parametrize("name", SITES)
@pytest.mark.parametrize("constant", [True, False], ids=["constant", "varying"])
def test_each_site_is_drawn_by_its_own_law_and_anew_in_every_run(name: str, constant: bool) -> None:
    """Moments of the distribution itself; `varying` makes its parameter differ in form from run to run, not in value."""
    make = SITES[name]

    def program() -> None:
        one = pyro.sample("one", dist.Uniform(1.0, 2.0))
        pyro.sample("y", make(torch.tensor(1.0) if constant else one))

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        draws = simulate(Program(program), {"one": torch.ones(COUNT)}, COUNT, seed=1)["y"]
    truth = make(torch.tensor(1.0))
    assert draws.shape == (COUNT, *truth.shape())
    assert z_of_mean(draws, truth.mean) < 4
    assert z_of_variance(draws, truth.variance, truth.mean) < 4


def test_a_sampler_with_rejections_is_drawn_by_its_own_law() -> None:
    """Von Mises: E cos(x - loc) = I1(k) / I0(k)."""

    def program() -> None:
        k = pyro.sample("k", dist.Uniform(1.0, 9.0))
        pyro.sample("x", dist.VonMises(2.0, k))

    draws = simulate(Program(program), {"k": torch.full((COUNT,), 4.0)}, COUNT, seed=1)["x"]
    assert z_of_mean((draws - 2.0).cos(), special.i1(4.0) / special.i0(4.0)) < 4


def test_sites_whose_parameters_differ_from_run_to_run_follow_them() -> None:
    """x | rate ~ Gamma(3, rate) and y | p ~ Multinomial: residuals from the conditional means do not depend on the parameters."""

    def program() -> None:
        rate = pyro.sample("rate", dist.Uniform(0.5, 50.0))
        probs = pyro.sample("probs", dist.Dirichlet(torch.ones(3)))
        pyro.sample("x", dist.Gamma(3.0, rate))
        pyro.sample("y", dist.Multinomial(20, probs))

    draws = simulate(Program(program), {}, COUNT, seed=2)
    assert z_of_mean(draws["x"] * draws["rate"], 3.0) < 4
    assert z_of_variance(draws["x"] * draws["rate"], 3.0, 3.0) < 4
    assert z_of_mean(draws["y"] - 20 * draws["probs"], 0.0) < 4
    assert z_of_mean((draws["y"] - 20 * draws["probs"]) * draws["probs"], 0.0) < 4


# Predictive laws in closed form


def normal_normal(x: Tensor) -> None:
    """mu ~ N(50, 9^2); x_n ~ N(mu, 4^2)."""
    mu = pyro.sample("mu", dist.Normal(50.0, 9.0))
    with pyro.plate("data", len(x)):
        pyro.deterministic("twice", pyro.sample("x", dist.Normal(mu, 4.0), obs=x) * 2)


def test_prior_predictive_of_a_normal_mean_has_the_sum_of_both_variances() -> None:
    """What is predicted from prior draws is independent of them, though seed and shapes are the same."""
    program = Program(normal_normal, torch.full((1,), 47.0))
    prior = prior_draws(program, COUNT, seed=0)
    assert set(prior) == {"mu", "twice"}
    assert prior["mu"].shape == (1, COUNT)
    predicted = predict(program, prior, seed=0)
    assert set(predicted) == {"x", "twice"}
    assert predicted["x"].shape == (1, COUNT, 1)
    x, mu = predicted["x"][0], prior["mu"][0, :, None]
    assert z_of_mean(x, 50.0) < 4
    assert z_of_variance(x, 81.0 + 16.0, 50.0) < 4
    assert z_of_mean((x - mu) * (mu - 50.0), 0.0) < 4
    torch.testing.assert_close(predicted["twice"], 2 * predicted["x"])


def test_posterior_predictive_of_beta_binomial() -> None:
    """Draws of the exact posterior Beta(2 + 7, 3 + 5) give Beta-binomial predictions: mean and variance."""

    def program(k: Tensor) -> None:
        p = pyro.sample("p", dist.Beta(2.0, 3.0))
        with pyro.plate("data", len(k)):
            pyro.sample("k", dist.Binomial(12, p), obs=k)

    exact = torch.distributions.Beta(9.0, 8.0)
    torch.manual_seed(5)
    draws = {"p": exact.sample((2, COUNT))}
    k = predict(Program(program, torch.tensor([7.0])), draws, seed=3)["k"]
    assert k.shape == (2, COUNT, 1)
    n, a, b = 12, 9.0, 8.0
    variance = n * a * b * (a + b + n) / ((a + b) ** 2 * (a + b + 1))
    assert z_of_mean(k.flatten(), n * a / (a + b)) < 4
    assert z_of_variance(k.flatten(), variance, n * a / (a + b)) < 4


def test_a_mixture_is_drawn_forward_by_its_weights() -> None:
    mixture = GaussianMixture(2, num_features=2)
    shape = (1, 500)
    draws = {
        "weights": torch.tensor([0.25, 0.75]).expand(*shape, 2),
        "loc": torch.tensor([[-30.0, 4.0], [10.0, -8.0]]).expand(*shape, 2, 2),
        "scale": torch.tensor([[2.0, 0.5], [1.0, 3.0]]).expand(*shape, 2, 2),
        "correlation": torch.linalg.cholesky(torch.tensor([[1.0, 0.8], [0.8, 1.0]])).expand(*shape, 2, 2, 2),
    }
    fitted = Program(mixture, torch.zeros(20, 2))
    made = predict(fitted.bind(size=20), {**draws, "assignment": torch.zeros(*shape, 20)}, seed=0, fitted=fitted)
    assert made["x"].shape == (1, 500, 20, 2)
    first = made["assignment"] == 0
    assert z_of_mean(first.flatten(), 0.25) < 4
    for k, chosen in enumerate([made["x"][first], made["x"][~first]]):
        assert z_of_mean(chosen, draws["loc"][0, 0, k]) < 4
        residual = (chosen - draws["loc"][0, 0, k]) / draws["scale"][0, 0, k]
        assert z_of_variance(residual, 1.0, 0.0) < 4
        assert z_of_mean(residual.prod(-1), 0.8) < 4


def test_groups_of_a_hierarchy_that_was_fitted_on_others_are_drawn_anew() -> None:
    """effect ~ N(mean, 2^2) in a plate of 3 groups at the fit and 5 at the prediction."""

    def program(groups: int, x: Tensor | None = None) -> None:
        mean = pyro.sample("mean", dist.Normal(0.0, 100.0))
        with pyro.plate("groups", groups):
            effect = pyro.sample("effect", dist.Normal(mean, 2.0))
            pyro.sample("x", dist.Normal(effect, 1.5), obs=x)

    draws = {"mean": torch.full((1, COUNT), 20.0), "effect": torch.full((1, COUNT, 3), -7.0)}
    made = predict(Program(program, 5, torch.zeros(5)), draws, seed=0)
    assert made["x"].shape == (1, COUNT, 5)
    assert z_of_mean(made["x"][0], 20.0) < 4
    assert z_of_variance(made["x"][0], 4.0 + 2.25, 20.0) < 4
    same = predict(Program(program, 3, torch.zeros(3)), draws, seed=0)
    assert "effect" not in same
    assert z_of_mean(same["x"][0], -7.0) < 4


# What is held


def test_conditioned_and_intervened_sites_stay_held() -> None:
    def program(y: Tensor) -> None:
        a = pyro.sample("a", dist.Normal(0.0, 1.0))
        b = pyro.sample("b", dist.Normal(a, 1.0))
        pyro.sample("y", dist.Normal(a + 100.0 * b, 0.001), obs=y)

    held = pyro.poutine.condition(program, data={"a": torch.tensor(3.0)})
    held = pyro.poutine.do(held, data={"b": torch.tensor(5.0)})
    made = simulate(Program(held, torch.tensor(0.0)), {}, 50, seed=0)
    torch.testing.assert_close(made["y"], torch.full((50,), 503.0), atol=0.01, rtol=0)
    assert "a" not in predict(Program(held, torch.tensor(0.0)), {"b": made["b"][None]}, seed=0)


def test_learned_parameters_are_used() -> None:
    def program() -> None:
        pyro.sample("x", dist.Normal(pyro.param("centre", torch.tensor(3.0)), 0.001))

    learned = Program(program)
    learned.set_params({"centre": torch.tensor(-40.0)})
    torch.testing.assert_close(simulate(learned, {}, 5, seed=0)["x"], torch.full((5,), -40.0), atol=0.01, rtol=0)


def test_observed_rows_that_are_missing_are_drawn_from_their_own_site() -> None:
    """obs_mask: x is put together from observed rows, which are replicated, and missing ones, which keep their draws."""

    def program(x: Tensor, seen: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(60.0, 2.0), obs=x, obs_mask=seen)

    seen = torch.tensor([True, False, True])
    made = predict(Program(program, torch.zeros(3), seen), {"x_unobserved": torch.full((1, COUNT, 3), 7.0)}, seed=0)
    assert torch.equal(made["x"][..., 1], torch.full((1, COUNT), 7.0))
    assert z_of_mean(made["x"][0][:, seen], 60.0) < 4


# Ways of running


def branching(y: Tensor) -> None:
    up = pyro.sample("up", dist.Bernoulli(0.25))
    pyro.sample("y", dist.Normal(40.0 if up else -10.0, 1.0), obs=y)


def test_a_program_that_branches_on_a_draw_runs_once_per_draw() -> None:
    made = simulate(Program(branching, torch.tensor(0.0)), {}, 1000, seed=0)
    assert torch.equal(made["y"] > 15, made["up"] == 1)
    assert z_of_mean(made["up"], 0.25) < 4


def test_sites_that_come_and_go_are_refused_by_name() -> None:
    def program() -> None:
        if pyro.sample("up", dist.Bernoulli(0.5)):
            pyro.sample("late", dist.Normal(0.0, 1.0))

    with pytest.raises(ProgramError, match=r"site 'late' is missing from some runs"):
        simulate(Program(program), {}, 50, seed=0)


@pytest.mark.parametrize("program", [normal_normal, branching])
def test_the_seed_decides_and_the_global_state_does_not(program) -> None:
    bound = Program(program, torch.zeros(3) if program is normal_normal else torch.tensor(0.0))
    before = torch.get_rng_state()
    first = simulate(bound, {}, 20, seed=4)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(99)
    again, other = simulate(bound, {}, 20, seed=4), simulate(bound, {}, 20, seed=5)
    assert all(torch.equal(first[n], again[n]) for n in first)
    assert not torch.equal(first["x" if program is normal_normal else "y"], other["x" if program is normal_normal else "y"])


def test_many_draws_are_made_in_parts_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ppgen.simulation.CHUNK", 70)
    mu = simulate(Program(normal_normal, torch.zeros(3)), {}, 205, seed=0)["mu"]
    assert mu.unique().numel() == 205


def test_draws_in_double_precision_serve_a_program_in_single() -> None:
    def program(x: Tensor, y: Tensor) -> None:
        beta = pyro.sample("beta", dist.Normal(torch.zeros(2), 10.0).to_event(1))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(x @ beta, 0.001), obs=y)

    x = torch.tensor([[1.0, 20.0], [3.0, -4.0]])
    beta = torch.tensor([[[2.0, 0.5], [1.0, 1.0]]], dtype=torch.float64)
    y = predict(Program(program, x, torch.zeros(2)), {"beta": beta}, seed=0)["y"]
    assert y.dtype == torch.float32
    torch.testing.assert_close(y, beta.float() @ x.T, atol=0.02, rtol=0)


# What is refused


def test_what_cannot_be_drawn_is_named() -> None:
    def improper(y: Tensor) -> None:
        slope = pyro.sample("slope", dist.ImproperUniform(dist.constraints.real, (), ()))
        pyro.sample("y", dist.Normal(slope, 1.0), obs=y)

    bound = Program(improper, torch.tensor(1.0))
    with pytest.raises(ProgramError, match=r"site 'slope' has an improper prior, so it cannot be drawn"):
        prior_draws(bound, 5, seed=0)
    assert predict(bound, {"slope": torch.zeros(1, 6)}, seed=0)["y"].shape == (1, 6)


def test_missing_draws_and_other_shapes_are_named() -> None:
    program = Program(normal_normal, torch.zeros(3))
    with pytest.raises(ProgramError, match=r"no draws of the latent site 'mu'"):
        predict(program, {"tau": torch.zeros(1, 4)}, seed=0)
    with pytest.raises(ProgramError, match=r"site 'mu' has draws of shape \(2,\); the program has \(\)"):
        predict(program, {"mu": torch.zeros(1, 4, 2)}, seed=0)


def test_a_global_discrete_site_without_draws_is_not_drawn_from_its_prior() -> None:
    def program(x: Tensor) -> None:
        which = pyro.sample("which", dist.Bernoulli(0.5))
        with pyro.plate("data", len(x)):
            part = pyro.sample("part", dist.Bernoulli(0.5))
            pyro.sample("x", dist.Normal(which + part, 1.0), obs=x)

    bound = Program(program, torch.zeros(3))
    with pytest.raises(ProgramError, match=r"no draws of the latent site 'which'"):
        predict(bound, {"part": torch.zeros(1, 4, 3)}, seed=0)
    assert set(predict(bound, {"which": torch.zeros(1, 4)}, seed=0)) == {"part", "x"}
