"""The tasks: scores against closed forms and enumeration, what is learned, what is sampled, what is refused."""

import itertools
import math
from collections.abc import Callable

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro.nn import PyroParam
from sklearn.mixture import GaussianMixture as ReferenceMixture
from torch import Tensor, nn

from ppgen import datasets
from ppgen.errors import EngineError, GuideError, NameNotFoundError, PpgenWarning, ProgramError, ScoreError
from ppgen.family import Family
from ppgen.inference import NUTS, SVI
from ppgen.models import GaussianMixture
from ppgen.posterior import Posterior
from ppgen.program import Program
from ppgen.tasks import Score, infer, learn, predict, sample, score

X = torch.tensor([41.0, 55.0, 47.5, 62.0, 50.0])
MU, TAU, SIGMA = 50.0, 9.0, 4.0


def normal_normal(x: Tensor) -> None:
    """mu ~ N(50, 9^2); x_n ~ N(mu, 4^2)."""
    mu = pyro.sample("mu", dist.Normal(MU, TAU))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(mu, SIGMA), obs=x)


def posterior_of_mean(x: Tensor) -> torch.distributions.Normal:
    precision = 1 / TAU**2 + len(x) / SIGMA**2
    return torch.distributions.Normal((MU / TAU**2 + x.sum() / SIGMA**2) / precision, precision**-0.5)


def fitted(draws: int = 2000) -> Posterior:
    """The posterior of `normal_normal` by independent draws from the exact one."""
    torch.manual_seed(3)
    return Posterior({"mu": posterior_of_mean(X).sample((2, draws))}, Program(normal_normal, X))


class Encoded(Family):
    """z_n ~ N(0, 3^2); x_n ~ N(2 z_n + 10, 0.5^2), so x_n ~ N(10, 36.25); the guide is linear in x."""

    def __init__(self, gain: float, spread: float):
        super().__init__()
        self.gain, self.log_spread = nn.Parameter(torch.tensor(gain)), nn.Parameter(torch.tensor(spread).log())

    @classmethod
    def exact_guide(cls) -> "Encoded":
        precision = 1 / 9 + 4 / 0.25
        return cls(2 / 0.25 / precision, precision**-0.5)

    def model(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> Tensor:
        with pyro.plate("data", len(x) if x is not None else size):
            z = pyro.sample("z", dist.Normal(0.0, 3.0))
            return pyro.sample("x", dist.Normal(2 * z + 10, 0.5), obs=x)

    def guide(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", dist.Normal(self.gain * (x - 10), self.log_spread.exp()))


EVIDENCE = dist.Normal(10.0, math.sqrt(36.25))
FEATURES = torch.tensor([10.0, 4.0, 22.0, 13.0])


# Exact scores


def test_em_parameters_of_old_faithful_score_the_known_log_likelihood() -> None:
    """-1130.264 by mclust and scikit-learn (full covariance, raw scale); the priors of held sites are not counted."""
    x = torch.as_tensor(datasets.load("old-faithful").x).float()
    reference = ReferenceMixture(2, covariance_type="full", tol=1e-10, max_iter=1000, n_init=3, random_state=0).fit(x.double().numpy())
    covariance = torch.tensor(reference.covariances_).float()
    scale = covariance.diagonal(dim1=-2, dim2=-1).sqrt()
    held = {
        "weights": torch.tensor(reference.weights_).float(),
        "loc": torch.tensor(reference.means_).float(),
        "scale": scale,
        "correlation": torch.linalg.cholesky(covariance / (scale[:, :, None] * scale[:, None, :])),
    }
    found = score(pyro.poutine.condition(GaussianMixture(2, like=x), data=held), x)
    assert found.kind == "exact"
    assert found.total == pytest.approx(-1130.264, abs=1e-3)
    torch.testing.assert_close(found.value, torch.tensor(reference.score_samples(x.double().numpy())), atol=2e-4, rtol=0)
    assert not found.standard_error.any()


def test_local_discrete_sites_are_summed_out_datum_by_datum() -> None:
    """Two of them and two observed sites, against the sum over all four assignments of each datum."""
    a, b = torch.tensor([0.3, 0.7]), torch.tensor([0.9, 0.1])
    rate, centre = torch.tensor([[2.0, 40.0], [9.0, 15.0]]), torch.tensor([-30.0, 12.0])

    def program(k: Tensor, y: Tensor) -> None:
        with pyro.plate("data", len(k)):
            first = pyro.sample("first", dist.Categorical(a))
            second = pyro.sample("second", dist.Categorical(torch.stack([b, b.flip(0)])[first]))
            pyro.sample("k", dist.Poisson(rate[first, second]), obs=k)
            pyro.sample("y", dist.Normal(centre[second], 8.0), obs=y)

    k, y = torch.tensor([3.0, 38.0, 12.0]), torch.tensor([-25.0, 9.0, 0.0])
    terms = [
        a[i].log() + (b if i == 0 else b.flip(0))[j].log() + dist.Poisson(rate[i, j]).log_prob(k) + dist.Normal(centre[j], 8.0).log_prob(y)
        for i, j in itertools.product(range(2), range(2))
    ]
    found = score(program, k, y)
    assert found.kind == "exact"
    torch.testing.assert_close(found.value.float(), torch.stack(terms).logsumexp(0), atol=1e-5, rtol=1e-5)


def test_what_the_data_do_not_depend_on_needs_no_value() -> None:
    """`do` leaves the site that it cut off; obs_mask makes a latent site of the missing rows. Neither enters a datum."""
    held = pyro.poutine.do(normal_normal, data={"mu": torch.tensor(45.0)})
    found = score(held, X)
    assert found.kind == "exact"
    torch.testing.assert_close(found.value.float(), dist.Normal(45.0, SIGMA).log_prob(X))

    def with_gaps(x: Tensor, seen: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(45.0, SIGMA), obs=x, obs_mask=seen)

    seen = torch.tensor([True, False, True, True, False])
    expected = torch.where(seen, dist.Normal(45.0, SIGMA).log_prob(X), torch.zeros(5))
    torch.testing.assert_close(score(with_gaps, X, seen).value.float(), expected)


def test_a_factor_leaves_a_constant_unknown() -> None:
    def program(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(50.0, 4.0), obs=x)
            pyro.factor("taste", -x / 100)

    found = score(program, X)
    assert found.kind == "up to a constant"
    torch.testing.assert_close(found.value.float(), dist.Normal(50.0, 4.0).log_prob(X) - X / 100)
    with pytest.raises(ScoreError, match="the constants of two programs differ"):
        found - found


# Scores by draws of a posterior


@pytest.mark.parametrize("x", [X, torch.tensor([40.0, 52.0])], ids=["fitted", "new"])
def test_a_posterior_scores_by_its_predictive_density(x: Tensor) -> None:
    """N(m, s^2 + 4^2), where m and s^2 are the exact posterior's."""
    found = score(fitted(), *([] if x is X else [x]))
    exact = posterior_of_mean(X)
    truth = dist.Normal(exact.mean, (exact.variance + SIGMA**2).sqrt()).log_prob(x)
    assert found.kind == "estimate"
    assert (found.standard_error > 0).all()
    assert (found.standard_error < 0.05).all()
    assert ((found.value - truth).abs() / found.standard_error).max() < 4


def test_the_standard_error_counts_repeated_draws_once() -> None:
    few, many = fitted(250), fitted(250)
    many.draws = {"mu": few.draws["mu"].repeat_interleave(20, 1)}
    ratio = score(many).standard_error / score(few).standard_error
    assert ((ratio > 0.7) & (ratio < 1.4)).all()


def test_a_mean_over_draws_cannot_be_had_by_another_method_or_shape() -> None:
    with pytest.raises(ScoreError, match=r"not scored by elbo: 'mu' are drawn"):
        score(fitted(), method="elbo")

    def regression(x: Tensor, y: Tensor) -> None:
        beta = pyro.sample("beta", dist.Normal(torch.zeros(x.shape[1]), 10.0).to_event(1))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(x @ beta, 2.0), obs=y)

    posterior = Posterior({"beta": torch.zeros(1, 8, 2)}, Program(regression, torch.ones(5, 2), X))
    with pytest.raises(ScoreError, match=r"site 'beta' has draws of shape \(2,\); with these arguments it has \(3,\)"):
        score(posterior, torch.ones(5, 3), X)


# Scores by a guide


def elbo_of(family: Encoded, x: Tensor) -> Tensor:
    """log p(x) - KL(q || p(z | x)), closed form."""
    exact = Encoded.exact_guide()
    q, p = (torch.distributions.Normal(f.gain.detach() * (x - 10), f.log_spread.detach().exp()) for f in (family, exact))
    return EVIDENCE.log_prob(x) - torch.distributions.kl_divergence(q, p)


@pytest.mark.parametrize("method", ["elbo", "iwae", "importance"])
def test_the_exact_guide_scores_the_evidence_without_error(method: str) -> None:
    found = score(Encoded.exact_guide(), FEATURES, method=method, num_particles=40)
    torch.testing.assert_close(found.value.float(), EVIDENCE.log_prob(FEATURES), atol=1e-4, rtol=0)
    assert found.standard_error.max() < 1e-4


def test_bounds_and_estimates_of_a_guide_that_is_not_exact() -> None:
    family = Encoded(gain=0.47, spread=0.4)
    evidence, bound = EVIDENCE.log_prob(FEATURES), elbo_of(family, FEATURES)
    elbo, iwae, importance = (score(family, FEATURES, method=m, num_particles=4000) for m in ("elbo", "iwae", "importance"))
    assert [s.kind for s in (elbo, iwae, importance)] == ["lower bound", "lower bound", "estimate"]
    assert ((elbo.value - bound).abs() / elbo.standard_error).max() < 4
    assert ((importance.value - evidence).abs() / importance.standard_error).max() < 4
    assert (iwae.value > bound).all()
    assert (iwae.value < evidence + 4 * iwae.standard_error).all()
    assert (elbo.standard_error > 1e-3).all()


def test_importance_is_what_is_done_unasked_and_depends_on_the_seed_alone() -> None:
    family = Encoded(gain=0.47, spread=0.4)
    unasked, asked = score(family, FEATURES), score(family, FEATURES, method="importance")
    assert torch.equal(unasked.value, asked.value)
    assert not torch.equal(unasked.value, score(family, FEATURES, seed=1).value)


def test_particles_in_several_batches_are_all_different(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ppgen.scoring.CHUNK", 800)  # 100 particles of 2 sites of 4
    found = score(Encoded(gain=0.47, spread=0.4), FEATURES, method="elbo", num_particles=4000)
    assert ((found.value - elbo_of(Encoded(gain=0.47, spread=0.4), FEATURES)).abs() / found.standard_error).max() < 4
    few = score(Encoded(gain=0.47, spread=0.4), FEATURES, method="elbo", num_particles=100)
    assert not torch.allclose(found.value, few.value)


class Switched(Family):
    """c_n ~ Bernoulli(0.3), z_n | c_n ~ N(-5 or 20, 2^2), x_n ~ N(z_n, 3^2): of x a mixture of two normals. The guide draws
    c as well, which it and the model sum out."""

    def model(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        with pyro.plate("data", len(x) if x is not None else size):
            c = pyro.sample("c", dist.Bernoulli(0.3))
            z = pyro.sample("z", dist.Normal(25.0 * c - 5.0, 2.0))
            pyro.sample("x", dist.Normal(z, 3.0), obs=x)

    def guide(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        with pyro.plate("data", len(x)):
            c = pyro.sample("c", dist.Bernoulli(0.6))
            pyro.sample("z", dist.Normal(24.0 * c - 5.0, 3.0))


@pytest.mark.parametrize("program", [Switched(), Switched().model], ids=["guide", "model"])
def test_discrete_sites_on_the_way_to_a_particle_are_summed_out_of_its_density(program: Callable) -> None:
    x = torch.tensor([-4.0, 18.0, 7.0])
    spread = math.sqrt(13.0)
    parts = [math.log(0.7) + dist.Normal(-5.0, spread).log_prob(x), math.log(0.3) + dist.Normal(20.0, spread).log_prob(x)]
    found = score(program, x, num_particles=20_000)
    assert found.kind == "estimate"
    assert ((found.value - torch.stack(parts).logsumexp(0)).abs() / found.standard_error).max() < 4
    assert found.standard_error.max() < 0.1


def test_an_estimate_from_few_effective_particles_warns_and_names_the_row() -> None:
    """The guide's means are off by 0, 1.8, 3.6 and 0.9 of its standard deviations d: about exp(-d^2) of the particles count."""
    with pytest.warns(PpgenWarning, match=r"1 of 4 data rest on fewer than 10 effective particles, the datum in row 2 on"):
        score(Encoded(gain=0.42, spread=0.25), FEATURES, num_particles=1000)


def test_a_guide_over_all_data_at_once_has_no_density_of_a_datum() -> None:
    class Together(Encoded):
        def guide(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
            pyro.sample("z", dist.Normal(self.gain * (x - 10), self.log_spread.exp()).to_event(1))

    with pytest.raises(GuideError, match=r"the guide's site 'z' is not inside plate 'data'"):
        score(Together(0.4, 0.3), FEATURES)


# What cannot be scored


def test_latent_sites_outside_the_plate_need_a_posterior_or_values() -> None:
    with pytest.raises(ScoreError, match=r"depends on 'mu', latent outside the data plate 'data'; give score a posterior"):
        score(normal_normal, X)


def test_latent_sites_on_both_sides_of_the_plate_are_refused() -> None:
    def program(x: Tensor) -> None:
        mu = pyro.sample("mu", dist.Normal(50.0, 9.0))
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(mu, 2.0))
            pyro.sample("x", dist.Normal(z, 4.0), obs=x)

    posterior = Posterior({"mu": torch.full((1, 9), 50.0), "z": torch.full((1, 9, 5), 50.0)}, Program(program, X))
    with pytest.raises(ScoreError, match=r"depends on 'z', latent inside the data plate, and on 'mu' outside it; hold the latter"):
        score(posterior)
    held = pyro.poutine.condition(program, data={"mu": torch.tensor(50.0)})
    found = score(held, X, num_particles=20_000)
    assert ((found.value - dist.Normal(50.0, math.sqrt(20.0)).log_prob(X)).abs() / found.standard_error).max() < 4


def no_plate(x: Tensor) -> None:
    mu = pyro.sample("mu", dist.Normal(50.0, 9.0))
    pyro.sample("x", dist.Normal(mu, 4.0).expand([len(x)]).to_event(1), obs=x)


def nothing_observed(x: Tensor) -> None:
    pyro.sample("mu", dist.Normal(x.mean(), 9.0))


def half_shown(x: Tensor) -> None:
    with pyro.plate("data", len(x), subsample_size=2) as rows:
        pyro.sample("x", dist.Normal(50.0, 4.0), obs=x[rows])


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (no_plate, r"program 'no_plate' has no data plate, so all that it observes is one datum, and no guide.*inside one plate"),
        (nothing_observed, r"'nothing_observed' observes nothing by obs=, so there is no datum to score"),
        (half_shown, r"plate 'data' shows 2 of its 5 rows at a time"),
    ],
)
def test_programs_without_whole_data_are_refused(program: Callable, words: str) -> None:
    with pytest.raises(ScoreError, match=words):
        score(program, X)


@pytest.mark.parametrize("method", ["elbo", "iwae", "importance"])
def test_bounds_of_what_is_exact_are_refused(method: str) -> None:
    held = pyro.poutine.condition(normal_normal, data={"mu": torch.tensor(45.0)})
    with pytest.raises(ScoreError, match=f"not scored by {method}: every latent site is held or summed out"):
        score(held, X, method=method)


def test_methods_that_do_not_exist_or_do_not_apply() -> None:
    with pytest.raises(ScoreError, match="no engine scores by smc yet"):
        score(Encoded(0.4, 0.3), FEATURES, method="smc")
    with pytest.raises(NameNotFoundError, match="no method 'loo'; there are exact, elbo, iwae, importance"):
        score(Encoded(0.4, 0.3), FEATURES, method="loo")
    with pytest.raises(ScoreError, match="not scored by exact: 'z' cannot be summed out"):
        score(Encoded(0.4, 0.3), FEATURES, method="exact")
    with pytest.raises(ScoreError, match="num_particles must be at least 20, got 5"):
        score(Encoded(0.4, 0.3), FEATURES, num_particles=5)


# One datum: programs without a data plate


class Shared(Family):
    """z ~ N(0, 3^2); x ~ N(2 z + 10, 0.5^2), all of x at once: a normal whose entries have one z. The guide is normal."""

    def __init__(self, off: float = 0.0):
        super().__init__()
        self.off = nn.Parameter(torch.tensor(off))  # sds from the exact mean

    def model(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> Tensor:
        z = pyro.sample("z", dist.Normal(0.0, 3.0))
        return pyro.sample("x", dist.Normal(2 * z + 10, 0.5).expand([4 if x is None else len(x)]).to_event(1), obs=x)

    def guide(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        precision = 1 / 9 + len(x) * 4 / 0.25
        pyro.sample("z", dist.Normal((2 * (x - 10) / 0.25).sum() / precision + self.off * precision**-0.5, precision**-0.5))


class Known(Shared):
    def exact(self, x: Tensor, context: Tensor | None = None) -> dict:
        return {"log_evidence": shared_evidence(x)}


def shared_evidence(x: Tensor) -> Tensor:
    covariance = 36.0 * torch.ones(len(x), len(x)) + 0.25 * torch.eye(len(x))
    return dist.MultivariateNormal(torch.full((len(x),), 10.0).double(), covariance.double()).log_prob(x.double())


TOGETHER = torch.tensor([14.2, 13.7, 14.9, 13.4])


def test_the_evidence_of_one_datum_is_bounded_by_the_guide() -> None:
    evidence = float(shared_evidence(TOGETHER))
    for method in ("elbo", "iwae", "importance"):
        exact = score(Shared(), TOGETHER, method=method, num_particles=40)
        assert exact.value.shape == (1,)
        assert exact.total == pytest.approx(evidence, abs=1e-4)
    off = {m: score(Shared(0.5), TOGETHER, method=m, num_particles=4000) for m in (None, "elbo", "iwae", "importance")}
    assert [s.kind for s in off.values()] == ["lower bound", "lower bound", "lower bound", "estimate"]
    assert torch.equal(off[None].value, off["elbo"].value)
    divergence = 0.125  # half the square of 0.5 sds
    assert abs(off["elbo"].total - (evidence - divergence)) < 4 * float(off["elbo"].standard_error)
    assert abs(off["importance"].total - evidence) < 4 * float(off["importance"].standard_error)
    assert evidence - divergence < off["iwae"].total < evidence + 4 * float(off["iwae"].standard_error)


def test_the_evidence_of_one_datum_that_a_family_knows_is_exact() -> None:
    for method in (None, "exact"):
        found = score(Known(0.5), TOGETHER, method=method)
        assert (found.kind, found.total, float(found.standard_error)) == ("exact", pytest.approx(float(shared_evidence(TOGETHER))), 0.0)
    assert score(Known(0.5), TOGETHER, method="elbo").kind == "lower bound"
    with pytest.raises(ScoreError, match="'Shared' is not known in closed form; leave method out"):
        score(Shared(), TOGETHER, method="exact")
    with pytest.raises(ScoreError, match="run the engine AIS"):
        score(Shared(), TOGETHER, method="ais")
    with pytest.raises(ScoreError, match="at least 20, got 5"):
        score(Shared(), TOGETHER, num_particles=5)


def test_a_posterior_of_one_datum_is_scored_by_what_was_learned() -> None:
    posterior = SVI(num_steps=300, num_samples=10, learning_rate=0.05, progress=False).run(Shared(3.0), TOGETHER)
    assert score(Shared(3.0), TOGETHER).total == pytest.approx(float(shared_evidence(TOGETHER)) - 4.5, abs=0.3)
    assert score(posterior).total == pytest.approx(float(shared_evidence(TOGETHER)), abs=0.02)
    another = TOGETHER - 5.0
    assert score(posterior, another).total == pytest.approx(float(shared_evidence(another)), abs=0.02)


def weather(x: Tensor, prior: float = 0.2) -> None:
    """Two states a day, seen through an instrument; neither days nor data in a plate."""
    wet: Tensor | float = pyro.sample("wet_0", dist.Bernoulli(prior))
    for t in range(len(x)):
        pyro.sample(f"x_{t}", dist.Normal(20.0 - 6.0 * wet, 3.0), obs=x[t])
        wet = pyro.sample(f"wet_{t + 1}", dist.Bernoulli(0.2 + 0.5 * wet))


def test_one_datum_of_discrete_sites_is_summed_out() -> None:
    x = torch.tensor([21.0, 13.5, 15.0])
    total = 0.0
    for days in itertools.product([0.0, 1.0], repeat=4):
        p = 0.2 if days[0] else 0.8
        for t in range(3):
            p *= float(dist.Normal(20.0 - 6.0 * days[t], 3.0).log_prob(x[t]).exp())
            p *= (0.2 + 0.5 * days[t]) if days[t + 1] else 1 - (0.2 + 0.5 * days[t])
        total += p
    found = score(weather, x)
    assert found.kind == "exact"
    assert found.total == pytest.approx(math.log(total), abs=1e-5)
    with pytest.raises(ScoreError, match=r"'wet_1' are held by condition.*pyro\.poutine\.do"):
        score(pyro.poutine.condition(weather, {"wet_1": torch.tensor(1.0)}), x)
    held = {f"wet_{t}": torch.tensor(float(t % 2)) for t in range(4)}
    expected = sum(float(dist.Normal(20.0 - 6.0 * (t % 2), 3.0).log_prob(x[t])) for t in range(3))
    assert score(pyro.poutine.condition(weather, held), x).total == pytest.approx(expected, abs=1e-5)


# Comparing scores


def test_scores_of_one_kind_are_compared_datum_by_datum() -> None:
    a, b = (Score(torch.tensor(v), "exact", torch.zeros(2)) for v in ([-3.0, -8.0], [-4.0, -9.5]))
    assert (a - b).tolist() == [1.0, 1.5]
    assert a > b
    assert b < a
    assert not a < b
    assert a.total == -11.0
    with pytest.raises(ScoreError, match="one score has 2 data and the other 1"):
        a - Score(torch.tensor([-3.0]), "exact", torch.zeros(1))


def test_scores_of_different_kinds_are_not_compared() -> None:
    exact, bound = (Score(torch.tensor([-3.0]), kind, torch.zeros(1)) for kind in ("exact", "lower bound"))
    for compare in (lambda: exact - bound, lambda: exact > bound, lambda: exact < bound):
        with pytest.raises(ScoreError, match=r"kind '(exact|lower bound)' says nothing against one of kind"):
            compare()


# Learning and inferring


def test_a_program_of_priors_alone_learns_its_maximum_a_posteriori() -> None:
    """Of a normal mean the MAP is the posterior mean; the copy holds it, so it can be scored."""
    learned = learn(normal_normal, X, engine=SVI(guide="delta", num_steps=800, learning_rate=1.0, num_samples=5, progress=False))
    mean = float(posterior_of_mean(X).mean)
    assert learned.sites["mu"].kind == "conditioned"
    assert float(learned.sites["mu"].value) == pytest.approx(mean, abs=0.02)
    found = score(learned, torch.tensor([30.0, 60.0]))
    assert found.kind == "exact"
    torch.testing.assert_close(found.value.float(), dist.Normal(mean, SIGMA).log_prob(torch.tensor([30.0, 60.0])), atol=0.05, rtol=0)


def test_learning_by_an_engine_that_finds_no_point_is_refused() -> None:
    engine = SVI(guide="normal", num_steps=5, num_samples=5, progress=False)
    with pytest.raises(EngineError, match=r"gives many draws of 'mu' and no point"):
        learn(normal_normal, X, engine=engine)


def test_parameters_are_learned_in_a_copy() -> None:
    """Maximum likelihood of a normal: mean and standard deviation."""

    class Bell(pyro.nn.PyroModule):
        def __init__(self) -> None:
            super().__init__()
            self.loc = nn.Parameter(torch.tensor(48.0))
            self.scale = PyroParam(torch.tensor(5.0), dist.constraints.positive)

        def forward(self, x: Tensor) -> None:
            with pyro.plate("data", len(x)):
                pyro.sample("x", dist.Normal(self.loc, self.scale), obs=x)

    mine = Bell()
    learned = learn(mine, X, engine=SVI(num_steps=800, learning_rate=0.5, num_samples=1, num_particles=1, progress=False))
    assert float(learned.fn.loc.detach()) == pytest.approx(float(X.mean()), abs=0.05)
    assert float(learned.fn.scale.detach()) == pytest.approx(float(X.std(correction=0)), abs=0.05)
    assert float(mine.loc.detach()) == 48.0
    assert float(score(learned, X).value.sum()) == pytest.approx(
        float(dist.Normal(X.mean(), X.std(correction=0)).log_prob(X).sum()), abs=0.01
    )


def test_infer_reaches_the_exact_posterior() -> None:
    posterior = infer(normal_normal, X, engine=NUTS(num_warmup=200, num_samples=500, num_chains=2, progress=False))
    exact = posterior_of_mean(X)
    mu = posterior.draws["mu"]
    assert abs(float(mu.mean()) - float(exact.mean)) < 0.15 * float(exact.stddev)
    assert abs(float(mu.std()) / float(exact.stddev) - 1) < 0.15


# Sampling


def test_a_family_draws_its_story_once_with_that_many_data() -> None:
    drawn = sample(Encoded(0.4, 0.3), 4000)
    assert {n: tuple(v.shape) for n, v in drawn.items()} == {"z": (4000,), "x": (4000,)}
    x = drawn["x"]
    assert abs(float(x.mean()) - 10) < 4 * math.sqrt(36.25 / 4000)
    assert abs(float(x.var()) / 36.25 - 1) < 4 * math.sqrt(2 / 4000)
    again = sample(Program(Encoded(0.4, 0.3), FEATURES), 4000)
    assert torch.equal(again["x"], x)
    assert not torch.equal(sample(Encoded(0.4, 0.3), 4000, seed=1)["x"], x)


def test_a_function_is_run_that_often() -> None:
    drawn = sample(normal_normal, 2000, torch.zeros(3))
    assert {n: tuple(v.shape) for n, v in drawn.items()} == {"mu": (2000,), "x": (2000, 3)}
    assert abs(float(drawn["mu"].mean()) - MU) < 4 * TAU / math.sqrt(2000)


def test_predicting_without_a_fit_has_the_shape_of_predicting_with_one() -> None:
    drawn = predict(normal_normal, torch.zeros(3), num_samples=2000)
    assert {n: tuple(v.shape) for n, v in drawn.items()} == {"mu": (1, 2000), "x": (1, 2000, 3)}
    variance = TAU**2 + SIGMA**2
    assert abs(float(drawn["x"][0, :, 0].var()) / variance - 1) < 4 * math.sqrt(2 / 2000)
    assert predict(fitted(50))["x"].shape == (2, 50, 5)


def test_a_fitted_family_gives_one_datum_a_draw() -> None:
    """Posterior predictive of a mixture whose draws have two places for its mean: both show, each with its spread."""
    mixture = GaussianMixture(1, like=X)
    draws = {
        "weights": torch.ones(1, 600, 1),
        "loc": torch.tensor([-500.0, 300.0]).repeat(300).reshape(1, 600, 1),
        "scale": torch.full((1, 600, 1), 4.0),
        "assignment": torch.zeros(1, 600, 5),
    }
    drawn = sample(Posterior(draws, Program(mixture, X)), 2000)
    assert {n: tuple(v.shape) for n, v in drawn.items()} == {
        "weights": (2000, 1),
        "loc": (2000, 1),
        "scale": (2000, 1),
        "assignment": (2000,),
        "x": (2000,),
    }
    residual = drawn["x"] - drawn["loc"][:, 0]
    assert abs(float(residual.mean())) < 4 * 4.0 / math.sqrt(2000)
    assert abs(float(residual.std()) / 4.0 - 1) < 4 / math.sqrt(4000)
    assert abs(float((drawn["loc"] > 0).float().mean()) - 0.5) < 4 * 0.5 / math.sqrt(2000)


def test_a_fitted_function_gives_one_data_set_a_draw() -> None:
    drawn = sample(fitted(), 1500)
    assert {n: tuple(v.shape) for n, v in drawn.items()} == {"mu": (1500,), "x": (1500, 5)}
    assert sample(fitted(), 30, torch.zeros(2))["x"].shape == (30, 2)
    assert not torch.equal(sample(fitted(), 1500, seed=1)["mu"], drawn["mu"])
    residual = (drawn["x"] - drawn["mu"][:, None]).flatten()
    assert abs(float(residual.std()) / SIGMA - 1) < 4 / math.sqrt(2 * 7500)


class Well(Family):
    """p(x) proportional to N(x; 0, 10^2) exp(-(x - 30)^2 / 50): normal with mean 24 and variance 20. An energy."""

    normalised = False

    def model(self, x: Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> Tensor:
        with pyro.plate("data", len(x) if x is not None else size):
            drawn = pyro.sample("x", dist.Normal(0.0, 10.0), obs=x)
            pyro.factor("energy", -((drawn - 30.0) ** 2) / 50)
            return drawn


def test_a_program_that_is_not_normalised_is_sampled_by_chains() -> None:
    drawn = sample(Well(), 400, engine=NUTS(num_warmup=100, progress=False))["x"]
    assert drawn.shape == (400,)
    assert abs(float(drawn.mean()) - 24.0) < 4 * math.sqrt(20.0 / 400)
    assert abs(float(drawn.var()) / 20.0 - 1) < 4 * math.sqrt(2 / 400)
    assert score(Well(), X).kind == "up to a constant"


def test_what_cannot_be_sampled_is_refused() -> None:
    with pytest.raises(ProgramError, match="size must be at least 1, got 0"):
        sample(normal_normal, 0, X)
    with pytest.raises(EngineError, match="sample takes one draw from each of 7 chains, and SVI makes none"):
        sample(Well(), 7, engine=SVI())
    posterior = fitted(5)
    posterior.program = None
    with pytest.raises(ProgramError, match="loaded without its program"):
        sample(posterior, 3)
