"""Variational autoencoders: affine ones against principal components in closed form, likelihoods against sums, mistakes by name."""

import math
import warnings
from typing import Any

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from sklearn.decomposition import PCA, FactorAnalysis
from torch import Tensor, nn

from ppgen import LogDensity, PpgenWarning, datasets, inference_gaps, learn, sample, score
from ppgen.errors import DataError, NameNotFoundError, ProgramError, SupportError
from ppgen.inference import AIS, NUTS, SVI, ImportanceSampling
from ppgen.keys import Key
from ppgen.models import NormalizingFlow, VariationalAutoencoder
from ppgen.models._likelihoods import DiscretisedLogistic
from ppgen.objective import Objective
from ppgen.program import Program
from tests.models.cases_autoencoder import exact_guide
from tests.tools.mnist import FILE, binary_images

DIGITS = datasets.load("digits").x.flatten(1)  # grey levels 0 to 16
TRAIN, TEST = DIGITS[:1437], DIGITS[1437:]
# Mean log-likelihood of train and test rows under probabilistic principal components, nats, and the noise variance: scikit-learn
PUBLISHED = {
    2: (-177.5225, -177.3084, 13.9053),
    5: (-168.4397, -169.4276, 9.2373),
    10: (-159.9014, -161.2599, 5.8081),
    20: (-150.0076, -152.3387, 2.8717),
}


def made(*args: Any, **settings: Any) -> VariationalAutoencoder:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return VariationalAutoencoder(*args, **settings)


def weights(family: VariationalAutoencoder, x: Tensor, guide: Any = None, count: int = 16, dtype: torch.dtype = torch.float64) -> Tensor:
    """log p(x, z) - log q(z) of all data at draws of the guide, (count,)."""
    objective = Objective(Program(family, x).copy(), guide, key=Key(0), dtype=dtype)
    _, found = objective.draws(objective.params, Key(0), count)
    assert found is not None
    return found


# Affine networks are principal components


def put(layer: nn.Module, weight: Tensor, bias: Tensor) -> None:
    """Into a network of one affine map."""
    (linear,) = (part for part in layer.modules() if isinstance(part, nn.Linear))
    with torch.no_grad():
        linear.weight.copy_(weight)
        linear.bias.copy_(bias)


def principal(x: Tensor, k: int) -> VariationalAutoencoder:
    """At the maximum of the likelihood, with the posterior there in its encoder."""
    family = made(like=x, latent=k, hidden=()).double()
    best = family.exact(x)["maximum_likelihood"]()
    put(family.decoder, best.weight / family.spread, (best.offset - family.centre) / family.spread)
    with torch.no_grad():
        family.likelihood.log_scale.copy_((best.scale / family.spread).log())
    posterior = family.exact(x)["posterior"]["z"]
    scale = posterior.variance[0].sqrt()  # directions are orthogonal, so numbers are independent
    to_loc = scale.square()[:, None] * best.weight.mT / best.scale.square()  # of x - offset, in the data's units
    zero = torch.zeros(k, x.shape[1])
    put(
        family.encoder,
        torch.cat([to_loc * family.spread, zero]),
        torch.cat([to_loc @ (family.centre - best.offset), scale.expm1().log()]),
    )
    return family


@pytest.mark.parametrize("k", PUBLISHED)
def test_the_maximum_of_the_likelihood_is_scikit_learns(k: int) -> None:
    family = made(like=TRAIN, latent=k, hidden=()).double()
    best = family.exact(TRAIN)["maximum_likelihood"]()
    train, test, noise = PUBLISHED[k]
    assert float(best.log_likelihood) / len(TRAIN) == pytest.approx(train, abs=6e-5)
    by = len(TRAIN) / (len(TRAIN) - 1)  # scikit-learn's variances are over n - 1, which lies a little off the maximum
    assert by * float(best.scale) ** 2 == pytest.approx(noise, abs=6e-5)
    covariance = best.weight @ best.weight.mT + best.scale**2 * torch.eye(64).double()
    np.testing.assert_allclose(by * covariance, PCA(k).fit(TRAIN.numpy()).get_covariance(), rtol=1e-8, atol=1e-8)
    assert float(principal(TRAIN, k).exact(TEST)["log_evidence"]) / len(TEST) == pytest.approx(test, abs=2e-3)


def test_an_encoder_that_is_the_posterior_makes_the_bound_the_evidence_at_every_draw() -> None:
    x = TEST[:50]
    family = principal(TRAIN, 3)
    assert weights(family, x).tolist() == pytest.approx([float(family.exact(x)["log_evidence"])] * 16, rel=1e-9)
    posterior, encoded = family.exact(x)["posterior"]["z"], family.encode(x)
    torch.testing.assert_close(encoded.mean, posterior.mean)
    torch.testing.assert_close(encoded.variance, posterior.variance)


def test_each_number_with_its_own_scale_is_factor_analysis() -> None:
    """At scikit-learn's solution the evidence is scikit-learn's, data in units of their own and the posterior not diagonal."""
    x = datasets.load("old-faithful").x
    x = torch.cat(
        [x, x @ torch.tensor([[3.0, 0.1], [-1.0, 2.0]]).double() + 5 * torch.randn(272, 2, generator=torch.Generator().manual_seed(0))], 1
    )
    theirs = FactorAnalysis(2, tol=1e-3).fit(x.numpy())
    family = made(like=x, latent=2, hidden=(), scale="each").double()
    put(family.decoder, torch.as_tensor(theirs.components_.T.copy()) / family.spread, torch.zeros(4))
    with torch.no_grad():
        family.likelihood.log_scale.copy_(torch.as_tensor(theirs.noise_variance_).sqrt().log() - family.spread.log())
    exact = family.exact(x)
    assert "maximum_likelihood" not in exact
    assert float(exact["log_evidence"]) / 272 == pytest.approx(theirs.score(x.numpy()), rel=1e-6)
    np.testing.assert_allclose(exact["posterior"]["z"].mean, theirs.transform(x.numpy()), rtol=1e-5, atol=1e-6)
    assert weights(family, x, exact_guide(family, x)).tolist() == pytest.approx([float(exact["log_evidence"])] * 16, rel=1e-9)


def test_contexts_move_what_is_known_in_closed_form() -> None:
    x, given = TEST[:20, 18:24].float(), torch.eye(4)[torch.arange(20) % 4]
    family = made(like=x, hidden=(), context=4)
    exact = family.exact(x, given)
    assert "maximum_likelihood" not in exact
    objective = Objective(Program(family, x, given).copy(), exact_guide_given(exact), key=Key(0), dtype=torch.float64)
    _, found = objective.draws(objective.params, Key(0), 8)
    assert found is not None
    assert found.tolist() == pytest.approx([float(exact["log_evidence"])] * 8, rel=1e-5)
    assert float(family.exact(x, given.flip(0))["log_evidence"]) != pytest.approx(float(exact["log_evidence"]), abs=0.1)


def exact_guide_given(exact: dict[str, Any]) -> Any:
    def guide(x: Tensor, context: Tensor | None = None, *, size: int | None = None) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("z", exact["posterior"]["z"])

    return guide


@pytest.mark.parametrize("k", [2, 10])
def test_affine_networks_learn_the_maximum_of_the_likelihood(k: int) -> None:
    """Within 0.05 nats a row of what scikit-learn reaches; importance sampling and its bound lie about the evidence."""
    train, test, _ = PUBLISHED[k]
    engine = SVI(num_steps=2000, num_particles=1, learning_rate=0.02, num_samples=2, progress=False)
    learned = learn(made(like=TRAIN, latent=k, hidden=()), TRAIN, engine=engine)
    assert float(learned.fn.exact(TRAIN)["log_evidence"]) / len(TRAIN) == pytest.approx(train, abs=0.05)
    evidence = float(learned.fn.exact(TEST)["log_evidence"]) / len(TEST)
    assert evidence == pytest.approx(test, abs=0.2)
    elbo, iwae, importance = (score(learned.fn, TEST, method=m, num_particles=100) for m in ("elbo", "iwae", "importance"))
    error = float(elbo.standard_error.square().sum().sqrt()) / len(TEST) + 1e-4
    assert elbo.total / len(TEST) < evidence + 5 * error
    assert elbo.total < iwae.total + len(TEST) * 5 * error
    assert iwae.total / len(TEST) < evidence + 5 * error
    assert importance.total / len(TEST) == pytest.approx(evidence, abs=0.02)
    assert elbo.total / len(TEST) > evidence - 0.1


def test_annealing_brackets_the_evidence() -> None:
    """From the prior up and from exact draws of the posterior down, of parameters that nobody has learned."""
    x = TEST[:4, 18:26].float()
    family = made(like=TRAIN[:, 18:26].float(), hidden=())
    exact = family.exact(x)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        draws = exact["posterior"]["z"].sample((50,))
    found = AIS(num_particles=50, num_temperatures=40, progress=False).evidence(family, x, exact={"z": draws})
    truth = float(exact["log_evidence"])
    assert found.lower - 3 * found.standard_error < truth
    assert found.upper is not None
    assert truth < found.upper + 3 * found.standard_error
    assert found.upper - found.lower < 0.5
    annealed = score(family, x, method="ais", num_particles=50)
    assert annealed.total == pytest.approx(truth, abs=4 * float(annealed.standard_error.square().sum().sqrt()) + 0.01)


def test_settings_of_svi_are_those_of_autoencoders() -> None:
    """A heavy divergence makes codes tell less; importance weights learn principal components as well."""
    x = TRAIN[:300, 18:26].float()
    family = made(like=x, hidden=())
    told = []
    for beta in (0.2, 1.0, 5.0):
        engine = SVI(num_steps=500, num_particles=1, beta=beta, beta_warmup=100, learning_rate=0.02, num_samples=2, progress=False)
        encoded = learn(family, x, engine=engine).fn.encode(x)
        prior = dist.Normal(torch.zeros(2), 1.0).to_event(1)
        told.append(float(torch.distributions.kl_divergence(encoded, prior).mean().detach()))
    assert told[0] > told[1] + 0.5
    assert told[1] > told[2] + 0.5
    engine = SVI(num_steps=800, num_particles=5, objective="iwae", learning_rate=0.02, num_samples=2, progress=False)
    learned = learn(family, x, engine=engine).fn.exact(x)
    assert float(learned["log_evidence"]) / 300 == pytest.approx(float(learned["maximum_likelihood"]().log_likelihood) / 300, abs=0.05)


def test_networks_with_layers_that_differ_while_they_learn() -> None:
    """Dropout and batch norm: learned statistics come back with the network, and scores are the same at every call."""
    x = TRAIN[:256, 18:26].float()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        encoder = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4))
        decoder = nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 8))
    family = made(like=x, encoder=encoder, decoder=decoder)
    engine = SVI(num_steps=300, num_particles=1, batch_size=64, learning_rate=0.01, num_samples=2, progress=False)
    learned = learn(family, x, engine=engine).fn
    assert int(learned.encoder[1].num_batches_tracked) == 300
    assert float((learned.encoder[1].running_var - 1).abs().max()) > 0.05
    assert int(encoder[1].num_batches_tracked) == 0
    first, second = (score(learned, x, method="elbo", num_particles=20) for _ in range(2))
    assert torch.equal(first.value, second.value)
    assert first.total > score(family, x, method="elbo", num_particles=20).total + 256


def test_engines_refine_a_bad_encoder() -> None:
    """Of parameters that nobody has learned: NUTS and importance sampling find the posterior, which the encoder does not tell."""
    x = TEST[:5, 18:26].float()
    family = made(like=TRAIN[:, 18:26].float(), hidden=())
    exact = family.exact(x)["posterior"]["z"]
    assert float((family.encode(x).mean - exact.mean).detach().abs().max()) > 0.1
    draws = NUTS(num_warmup=300, num_samples=500, progress=False).run(family, x).draws["z"]  # (4, 500, 5, 2)
    flat = draws.flatten(0, 1)
    assert float(((flat.mean(0) - exact.mean).abs() / exact.variance.sqrt()).max()) < 0.15
    assert float((flat.std(0) / exact.variance.sqrt() - 1).abs().max()) < 0.12
    found = ImportanceSampling(num_proposals=20_000, progress=False).run(family, x[:1])
    assert found.log_evidence == pytest.approx(float(family.exact(x[:1])["log_evidence"]), abs=0.05)


# Likelihoods


def test_a_discretised_logistic_is_the_logistics_mass_in_each_bin() -> None:
    loc = torch.tensor([-0.3, 0.2, 0.5, 1.4]).double()
    scale = torch.tensor([0.02, 0.1, 0.5, 0.3]).double()
    law = DiscretisedLogistic(loc, scale, 6)
    levels = (torch.arange(6).double() / 5)[:, None]
    log_p = law.log_prob(levels)
    edges = torch.cat([torch.tensor([-math.inf]), torch.arange(5) / 5 + 0.1, torch.tensor([math.inf])]).double()[:, None]
    mass = ((edges - loc) / scale).sigmoid().diff(dim=0)
    torch.testing.assert_close(log_p.exp(), mass)
    torch.testing.assert_close(log_p.exp().sum(0), torch.ones(4).double())
    torch.testing.assert_close(law.mean, (levels * mass).sum(0))
    far = DiscretisedLogistic(torch.tensor([30.0]), torch.tensor([0.1]), 256).log_prob(torch.tensor([0.5]))
    assert float(far) == pytest.approx(-295 + math.log(2 * math.sinh(5 / 255)), rel=1e-3)  # of which nothing is left but the tail
    torch.manual_seed(0)
    drawn = law.sample((20_000,))
    share = (drawn[None] == levels[:, None].to(drawn)).double().mean(1)
    assert float(((share - mass).abs() / (mass * (1 - mass) / 20_000).sqrt().clamp(min=1e-4)).max()) < 5


def test_grey_counts_as_the_mean_over_black_and_white() -> None:
    family = made(3, likelihood="bernoulli", hidden=(4,))
    z, grey = torch.tensor([[0.3, -2.0]]), torch.tensor([0.2, 0.9, 1.0])
    with torch.no_grad():
        law = family.decode(z)
    every = torch.cartesian_prod(*[torch.tensor([0.0, 1.0])] * 3)
    chance = torch.where(every == 1, grey, 1 - grey).prod(1)
    assert float(law.log_prob(grey)) == pytest.approx(float((chance * law.log_prob(every)).sum()), rel=1e-5)


@pytest.mark.parametrize("likelihood", ["bernoulli", "categorical", "logistic", "gaussian"])
def test_likelihoods_learn_and_draw_what_they_have_seen(likelihood: str) -> None:
    """Two kinds of rows that a mean alone cannot tell: what is drawn from the prior after learning has the data's correlations."""
    kinds = torch.tensor([[0.0, 0.0, 3.0, 3.0], [3.0, 3.0, 0.0, 0.0]])
    generator = torch.Generator().manual_seed(3)
    x = kinds[torch.randint(2, (300,), generator=generator)]
    x = torch.where(torch.rand(x.shape, generator=generator) < 0.1, 3 - x, x)
    x = x / {"bernoulli": 3.0, "logistic": 3.0}.get(likelihood, 1.0)
    levels = {"categorical": 4, "logistic": 4}.get(likelihood)
    family = made(like=x, latent=1, hidden=(16,), likelihood=likelihood, levels=levels)
    before = score(family, x, method="elbo", num_particles=20).total
    engine = SVI(num_steps=600, num_particles=1, learning_rate=0.01, num_samples=2, progress=False)
    learned = learn(family, x, engine=engine).fn
    assert score(learned, x, method="elbo", num_particles=20).total > before + 50
    drawn = sample(learned, 4000)["x"]
    assert drawn.shape == (4000, 4)
    expected, got = torch.corrcoef(x.T), torch.corrcoef(drawn.T)
    assert float((expected - got).abs().max()) < 0.2
    back = learned.reconstruct(x)
    assert torch.equal(back, learned.reconstruct(x))
    assert not torch.equal(back, learned.reconstruct(x, seed=1))
    assert float((back - x).square().mean()) < float((x.mean(0) - x).square().mean())


def test_a_likelihood_may_be_any_function() -> None:
    counts = torch.poisson(torch.full((40, 3), 20.0), generator=torch.Generator().manual_seed(0))
    family = made(3, likelihood=lambda output: dist.Poisson(output.exp()).to_event(1), hidden=(4,))
    z = torch.tensor([0.5, -1.0])
    value = family.exact(counts)["log_likelihood"]({"z": z.expand(7, 40, 2)})
    assert value.shape == (7, 40)
    rate = family.decoder(z[None]).exp()
    torch.testing.assert_close(value[3], torch.distributions.Poisson(rate).log_prob(counts).sum(-1))


# Images, contexts, other priors and posteriors


def test_images_have_convolutions_and_any_shape() -> None:
    x = torch.rand(6, 3, 7, 5, generator=torch.Generator().manual_seed(0))
    family = made(like=x, latent=3)
    assert any(isinstance(part, nn.Conv2d) for part in family.encoder.modules())
    assert family.decode(torch.zeros(2, 3)).mean.shape == (2, 3, 7, 5)
    assert sample(family, 4)["x"].shape == (4, 3, 7, 5)
    wide = made((1, 4, 4), likelihood="categorical", levels=5, hidden=(8,))
    assert wide.decode(torch.zeros(2, 2)).event_shape == (1, 4, 4)


def test_drawn_given_a_context() -> None:
    """Rows whose mean the context says: learned with contexts, draws follow the context that they are given."""
    given = torch.eye(2)[torch.arange(200) % 2]
    x = 40 * given @ torch.tensor([[1.0, 2.0], [-1.0, 3.0]]) + torch.randn(200, 2, generator=torch.Generator().manual_seed(1))
    engine = SVI(num_steps=800, num_particles=1, learning_rate=0.02, num_samples=2, progress=False)
    learned = learn(made(like=x, latent=1, context=2, hidden=()), x, given, engine=engine).fn
    drawn = sample(learned, 300, context=torch.eye(2)[1:].expand(300, 2))["x"]
    assert drawn.mean(0).tolist() == pytest.approx([-40, 120], abs=3)


def test_a_minibatch_sees_its_own_rows() -> None:
    """Rows of x and of contexts go together, and the bound of a batch is scaled to all data."""
    x, given = TRAIN[:64, 18:26].float(), torch.eye(4)[torch.arange(64) % 4]
    engine = SVI(num_steps=400, num_particles=1, batch_size=16, learning_rate=0.01, num_samples=2, progress=False)
    posterior = engine.run(made(like=x, context=4, hidden=(8,)), x, given)
    assert posterior.losses is not None
    assert float(posterior.losses[-20:].mean()) < float(posterior.losses[:20].mean())
    full = score(posterior.program.fn, x, given, method="elbo", num_particles=100).total
    assert float(posterior.losses[-50:].mean()) == pytest.approx(-full, rel=0.05)


def test_another_distribution_as_prior() -> None:
    prior = dist.Normal(torch.tensor([5.0, -5.0]), torch.tensor([0.1, 0.2])).to_event(1)
    family = made(like=TRAIN[:, :8] + torch.arange(8), prior=prior, hidden=(4,))
    drawn = sample(family, 2000)["z"]
    assert drawn.mean(0).tolist() == pytest.approx([5, -5], abs=0.02)
    assert set(family.exact(TRAIN[:3, :8])) == {"log_likelihood"}


def test_flows_as_prior_and_posterior() -> None:
    """Both are learned with the rest; a posterior that sees correlations comes nearer to the evidence than one that does not."""
    x = TRAIN[:200, 18:26].float()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        prior = NormalizingFlow(2, kind="realnvp", transforms=2, hidden=(8,))
        posterior = NormalizingFlow(2, kind="iaf", transforms=2, hidden=(8,), context=6)
    family = made(like=x, hidden=(8,), prior=prior, posterior=posterior)
    engine = SVI(num_steps=300, num_particles=1, learning_rate=0.01, num_samples=2, progress=False)
    run = engine.run(family, x)
    moved = {n.split(".")[0] for n, p in run.program.fn.named_parameters() if not torch.equal(p, dict(family.named_parameters())[n])}
    assert moved == {"prior", "posterior", "encoder", "decoder", "likelihood"}
    assert float(run.losses[-20:].mean()) < float(run.losses[:20].mean()) - 100
    assert score(run.program.fn, x, method="iwae", num_particles=100).total > -float(run.losses[-20:].mean())


# Mistakes


def test_bad_data_are_named_by_row() -> None:
    family = made(like=TRAIN[:50] / 16, likelihood="bernoulli", hidden=(4,))
    x = TRAIN[:10].float() / 16
    x[7, 30] = 1.5
    with pytest.raises(SupportError, match=r"'x': the value of shape \(64,\), with numbers from 0 to 1.5, at row 7"):
        Program(family, x)
    x[7, 30] = torch.nan
    with pytest.raises(DataError, match=r"NaN.*row 7"):
        Program(family, x)
    with pytest.raises(SupportError, match=r"row 0"):
        Program(made(3, likelihood="logistic", levels=4, hidden=(4,)), torch.full((2, 3), 0.4))
    with pytest.raises(SupportError, match=r"row 1"):
        Program(made(3, likelihood="categorical", levels=4, hidden=(4,)), torch.tensor([[0.0, 1, 3], [0, 4, 1]]))


def test_networks_of_the_wrong_shape_are_refused_with_both() -> None:
    x = torch.zeros(5, 8)
    with pytest.raises(ProgramError, match=r"decoder gives \(5, 7\) for z of shape \(5, 2\).*need \(5, 8\)"):
        Program(made(8, decoder=nn.Linear(2, 7)), x)
    with pytest.raises(ProgramError, match=r"decoder gives \(5, 8\).*need \(5, 8, 4\)"):
        Program(made(8, decoder=nn.Linear(2, 8), likelihood="categorical", levels=4), x)
    with pytest.raises(ProgramError, match=r"encoder gives \(5, 6\) for 5 data; 2 latent numbers .* need \(5, 4\)"):
        learn(made(8, encoder=nn.Linear(8, 6)), x, engine=SVI(num_steps=1, progress=False))
    with pytest.raises(ProgramError, match=r"prior is one of \(3,\) numbers a datum, and latent is 2"):
        Program(made(8, prior=NormalizingFlow(3)), x)


def test_contexts_and_settings_that_do_not_fit() -> None:
    x = torch.zeros(5, 8)
    with pytest.raises(ProgramError, match="takes no context"):
        Program(made(8), x, torch.zeros(5, 2))
    with pytest.raises(ProgramError, match=r"needs a context of shape \(5, 2\)"):
        Program(made(8, context=2), x)
    with pytest.raises(DataError, match=r"4 rows for 5 data"):
        Program(made(8, context=2), x, torch.zeros(4, 2))
    for settings, error in (
        ({"likelihood": "normal"}, NameNotFoundError),
        ({"likelihood": "logistic"}, ProgramError),
        ({"levels": 3}, ProgramError),
        ({"scale": "pixel"}, NameNotFoundError),
        ({"scale": -1.0}, ProgramError),
        ({"latent": 0}, ProgramError),
        ({"posterior": nn.Identity()}, ProgramError),
        ({"posterior": NormalizingFlow(2)}, ProgramError),
        ({"features": (0,)}, ProgramError),
    ):
        with pytest.raises(error):
            VariationalAutoencoder(**{"features": 8, **settings})
    with pytest.raises(ProgramError, match="give features"):
        VariationalAutoencoder()
    with pytest.raises(ProgramError, match="same datum"):
        VariationalAutoencoder(like=torch.ones(4, 3))
    with pytest.raises(DataError, match="no noise"):
        made(like=TRAIN[:5, :10], latent=5, hidden=()).exact(TRAIN[:5, :10])["maximum_likelihood"]()


# Data at their size


@pytest.mark.slow
@pytest.mark.skipif(not FILE.exists(), reason=f"the MNIST test file is not here; PPGEN_REFERENCE names the folder of it, {FILE.name}")
def test_mnist_is_told_better_than_by_a_tree() -> None:
    """The best tree of binary variables (Chow & Liu) gives -127.18 nats an image."""
    train, _, test = binary_images()
    engine = SVI(num_steps=1600, batch_size=100, num_particles=1, learning_rate=2e-3, num_samples=2, keep=[], progress=False)
    learned = learn(made(784, latent=20, hidden=(256,), likelihood="bernoulli"), train, engine=engine).fn
    elbo = score(learned, test, method="elbo", num_particles=20)
    assert elbo.total / len(test) > -127.18
    with warnings.catch_warnings():  # some digits rest on few particles, so that their estimates are low, but above the bound
        warnings.simplefilter("ignore", PpgenWarning)
        importance = score(learned, test[:100], method="importance", num_particles=500)
    assert importance.total > float(elbo.value[:100].sum())
    engine = NUTS(num_chains=2, num_warmup=200, num_samples=200, dtype=torch.float32, progress=False)
    gaps = inference_gaps(learned, test[:10], engine=engine)
    assert gaps.evidence.total > float(importance.value[:10].sum()) - 1
    assert 0 < float(gaps.approximation.mean()) < 20
    assert 0 < float(gaps.amortisation.mean()) < 20


def test_float64_and_the_density_agree_with_the_story() -> None:
    """The log density of z is its prior's and the likelihood's, in either precision."""
    x = TRAIN[:4, 18:26]
    family = made(like=x, hidden=(5,))
    z = torch.randn(3, 4, 2, generator=torch.Generator().manual_seed(2)).double()
    expected = torch.distributions.Normal(0.0, 1.0).log_prob(z).sum((-1, -2)) + family.exact(x)["log_likelihood"]({"z": z}).sum(-1)
    for precise in (family, made(like=x, hidden=(5,)).double()):
        got = LogDensity(Program(precise, x)).log_density(z.flatten(1))
        torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-4, check_dtype=False)
