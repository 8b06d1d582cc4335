"""Diffusions: normal data, where all is known in closed form; the bound term by term; mistakes by name."""

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor, nn

from ppgen import learn, sample, score
from ppgen.errors import CostError, DataError, NameNotFoundError, PpgenError, ProgramError
from ppgen.inference import SVI, Langevin
from ppgen.inference.langevin import Walkers
from ppgen.keys import Key
from ppgen.models import DDIM, Ancestral, Diffusion, GaussianScore, PredictorCorrector, ProbabilityFlow
from ppgen.models._denoisers import UNet
from ppgen.models._samplers import Sampler
from ppgen.models._schedules import Schedule
from ppgen.objective import Objective
from ppgen.program import Program
from tests.tools.toys import TOYS, modes_held
from tests.tools.two_samples import accuracy, mmd, mmd_floor

LOC = torch.tensor([30.0, -2.0, 500.0], dtype=torch.float64)
ROOT = torch.tensor([[6.0, 0.0, 0.0], [1.2, 0.9, 0.0], [-20.0, 50.0, 30.0]], dtype=torch.float64)
COVARIANCE = ROOT @ ROOT.mT  # correlations 0.8, -0.32 and 0.52
LAW = stats.multivariate_normal(LOC.numpy(), COVARIANCE.numpy())
X = torch.from_numpy(LAW.rvs(7, random_state=0)).float()
STEPS = 8
PREDICTS = ("noise", "data", "velocity")


def normal(**settings: Any) -> Diffusion:
    return Diffusion.of_normal(LOC.float(), COVARIANCE.float(), **settings)


def seeded(*args: Any, **settings: Any) -> Diffusion:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return Diffusion(*args, **settings)


def noisy(alpha2: float) -> Any:
    """The law of sqrt(alpha2) (x - centre) / spread + sqrt(1 - alpha2) noise, in units of the data, by scipy."""
    variance = COVARIANCE.diagonal().numpy()
    return stats.multivariate_normal(LOC.numpy(), alpha2 * COVARIANCE.numpy() + (1 - alpha2) * np.diag(variance))


# Schedules


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_tables_are_those_of_the_chain(name: Any) -> None:
    """Against products of 1 - beta, and against Bayes' rule for u_{t-1} given u_t and u_0."""
    s = Schedule(1000, name)
    beta = s.beta.double()
    kept = torch.cumprod(1 - beta, 0)
    assert s.alpha.double().square() == pytest.approx(kept.numpy(), rel=2e-3)
    assert (s.alpha.square() + s.sigma.square()).double() == pytest.approx(np.ones(1000), abs=1e-6)
    t = 400
    precision = (1 - beta[t]) / beta[t] + 1 / (1 - kept[t - 1])
    assert float(s.sd[t]) ** 2 == pytest.approx(float(1 / precision), rel=1e-4)
    assert float(s.of_here[t]) == pytest.approx(float((1 - beta[t]).sqrt() / beta[t] / precision), rel=1e-4)
    assert float(s.of_data[t]) == pytest.approx(float(kept[t - 1].sqrt() / (1 - kept[t - 1]) / precision), rel=1e-4)


def test_published_schedules() -> None:
    """Ho et al.: beta from 0.0001 to 0.02 in 1000 steps. Nichol & Dhariwal: alpha^2 is half gone in the middle."""
    linear, cosine = Schedule(1000), Schedule(1000, "cosine")
    assert float(linear.beta[0]) == pytest.approx(1e-4, rel=0.15)
    assert float(linear.beta[-1]) == pytest.approx(0.02, rel=0.02)
    assert linear.beta.diff().diff().abs().max() < 1e-6
    assert float(cosine.alpha[499]) ** 2 == pytest.approx(0.5, abs=0.02)
    assert float(cosine.beta.max()) == pytest.approx(0.999, abs=1e-6)
    assert float(Schedule(8).alpha[-1]) == pytest.approx(float(linear.alpha[-1]), rel=1e-4)  # the same path, cut otherwise


# The bound is the pair's, term by term


def terms_of_the_pair(family: Diffusion, u: Tensor, count: int) -> Tensor:
    """log p - log q of each step by draws of the path, (count, T + 1): steps 1..T, and the prior. By hand, in numpy's terms."""
    s, generator = family.schedule, torch.Generator().manual_seed(1)
    path = [u.expand(count, -1)]
    for t in range(s.steps):
        kept, added = (1 - s.beta[t]).sqrt(), s.beta[t].sqrt()
        path.append(kept * path[-1] + added * torch.randn(path[-1].shape, generator=generator))

    def normal(x: Tensor, mean: Tensor, sd: Tensor) -> Tensor:
        return torch.distributions.Normal(mean, sd).log_prob(x).sum(-1).double()

    out = []
    for t in range(s.steps):
        here, before = path[t + 1], path[t]
        step = torch.full((count,), t)
        log_p = normal(before, family._mean(None, 1)(here, step), s.sd[t])
        if t:  # q(u_{t-1} | u_t, u_0), by Bayes' rule from the chain
            precision = (1 - s.beta[t]) / s.beta[t] + 1 / s.sigma[t - 1] ** 2
            mean = ((1 - s.beta[t]).sqrt() / s.beta[t] * here + s.alpha[t - 1] / s.sigma[t - 1] ** 2 * path[0]) / precision
            log_p = log_p - normal(before, mean, precision**-0.5)
        out.append(log_p)
    last = normal(path[-1], torch.zeros(()), torch.ones(())) - normal(path[-1], s.alpha[-1] * path[0], s.sigma[-1])
    return torch.stack([*out, last], 1)


@pytest.mark.parametrize(("predict", "variance"), list(product(PREDICTS, ("posterior", "forward"))))
@torch.no_grad()
def test_every_term_of_the_bound_is_that_of_the_pair(predict: Any, variance: Any) -> None:
    """T = 8: closed forms, of which the bound takes one at a time, against draws of the whole path."""
    family = seeded(like=X, num_steps=STEPS, hidden=(16,), predict=predict, variance=variance, schedule="cosine")
    u, s, count = family._in_units(X[:1]), family.schedule, 40_000
    drawn = terms_of_the_pair(family, u, count)
    numbers, many = u.numel(), u.expand(count, -1)
    generator = torch.Generator().manual_seed(2)
    for t in range(STEPS):
        term = family._term(many, torch.full((count,), t), torch.randn(many.shape, generator=generator), None).double()
        closed = term - numbers * s.surplus[t]
        spread = math.hypot(float(drawn[:, t].std()), float(closed.std())) / count**0.5
        assert float(closed.mean()) == pytest.approx(float(drawn[:, t].mean()), abs=5 * spread + 1e-4)
    known = family._known(u).double() + numbers * s.surplus.sum() + family._log_units
    assert float(known) == pytest.approx(float(drawn[:, -1].mean()), abs=5 * float(drawn[:, -1].std()) / count**0.5)


def test_the_three_predictions_are_one_model() -> None:
    """With the best network each, bound and pair are the same whatever it is that the network gives."""
    noise = torch.randn(5, STEPS, 3, generator=torch.Generator().manual_seed(0))
    densities, elbos = [], []
    for predict in PREDICTS:
        family = normal(num_steps=STEPS, predict=predict)
        program = Program(family, X)
        with torch.no_grad():
            run = program.fn.exact(X[:5])["log_likelihood"]({"path": noise})
        densities.append(run.double().numpy())
        elbos.append(family.elbo(X, num_particles=500).value.numpy())
    assert densities[1] == pytest.approx(densities[0], rel=1e-3)
    assert densities[2] == pytest.approx(densities[0], rel=1e-3)
    assert elbos[1] == pytest.approx(elbos[0], abs=2e-2)
    assert elbos[2] == pytest.approx(elbos[0], abs=2e-2)


def test_the_elbo_approaches_the_evidence_with_more_steps() -> None:
    """The gap between the pair's bound and log p of the data falls as 1 / T, for the best network."""
    gaps = []
    for steps in (50, 200, 800):
        found = normal(num_steps=steps, variance="forward").elbo(X, num_particles=40_000)
        gaps.append(float(LAW.logpdf(X.numpy()).mean() - found.value.mean()))
        assert found.kind == "lower bound"
        assert float(found.standard_error.mean()) < 0.06
    assert gaps[1] < gaps[0] / 2
    assert 0 < gaps[2] < gaps[1] / 2


def test_importance_over_paths_is_the_pairs_evidence() -> None:
    """`score` of the plain pair, T = 8, against the normal law of the chain's end."""
    family = normal(num_steps=STEPS, variance="forward")
    exact = float(family.exact(X)["log_evidence"])
    posterior = score(family, X, method="iwae", num_particles=4000)
    assert posterior.total < exact + 4 * float(posterior.standard_error.norm())
    assert posterior.total == pytest.approx(exact, abs=2.5)


def test_the_simple_loss_is_the_bound_reweighted() -> None:
    """Half the squared error of the noise, of all steps alike."""
    family = seeded(like=X, num_steps=STEPS, hidden=(16,), weighting="simple")
    target = Objective(Program(family, X), None, key=Key(0), num_particles=4000, bound=True)
    loss, _ = target.value_and_grad(target.params, target.inputs(Key(0, 1)))
    u, generator = family._in_units(X), torch.Generator().manual_seed(0)
    with torch.no_grad():
        many = u.repeat(8000, 1)
        step = torch.randint(STEPS, (len(many),), generator=generator)
        error = family._error(many, step, torch.randn(many.shape, generator=generator), None)
    assert float(loss) == pytest.approx(0.5 * float(error.mean()) * len(X), rel=0.02)


# Normal data


@pytest.mark.parametrize("predict", PREDICTS)
@pytest.mark.parametrize("step", [1, 30, 300, 1000])
def test_the_best_network_has_the_score_at_every_level(predict: Any, step: int) -> None:
    """Against the inverse of the covariance with its noise, and the closed form of `exact`."""
    family = normal(predict=predict)
    known = family.exact(X)
    law = noisy(float(family.schedule.alpha[step - 1].double() ** 2))
    right = -np.linalg.solve(law.cov, (X.numpy() - LOC.numpy()).T).T
    size = np.abs(right).max(0)
    assert family.score_at(X, step).numpy() / size == pytest.approx(right / size, abs=2e-3)
    assert known["score"](X, step).numpy() / size == pytest.approx(right / size, abs=1e-4)
    assert known["marginal"](step).log_prob(X.double()) == pytest.approx(law.logpdf(X.numpy()), abs=1e-3)


def test_the_likelihood_along_the_flow_is_the_normals() -> None:
    """Within 1e-3 nats, at a level with next to no noise; and its error falls as the fourth power of the steps."""
    family, right = normal(), LAW.logpdf(X.numpy())
    found = family.log_likelihood(X, log_snr=18.0)
    assert found.kind == "estimate"
    assert found.value == pytest.approx(right, abs=1e-3)
    with_noise = noisy(float(family.schedule.alpha[0].double() ** 2))
    assert family.log_likelihood(X).value == pytest.approx(with_noise.logpdf(X.numpy()), abs=1e-3)
    many = family.double().log_likelihood(X, log_snr=18.0, num_steps=200).value
    coarse, finer = (float((family.log_likelihood(X, log_snr=18.0, num_steps=n).value - many).abs().max()) for n in (25, 50))
    assert finer < coarse / 8


def test_traces_by_probes() -> None:
    """20 numbers, above what is taken whole: the estimate and its standard error."""
    generator = torch.Generator().manual_seed(0)
    root = torch.randn(20, 20, generator=generator) + 3 * torch.eye(20)
    covariance = root @ root.mT
    family = Diffusion.of_normal(torch.zeros(20), covariance)
    law = stats.multivariate_normal(np.zeros(20), covariance.double().numpy())
    x = torch.from_numpy(law.rvs(30, random_state=0)).float()
    found = family.log_likelihood(x, log_snr=18.0, num_probes=40)
    z = (found.value.numpy() - law.logpdf(x.numpy())) / found.standard_error.numpy()
    assert (found.standard_error > 0).all()
    assert 0.6 < np.sqrt((z**2).mean()) < 1.5


COUNT = 20_000
SAMPLERS: dict[str, tuple[Sampler, float]] = {  # and how far a variance may be off, relative, by its steps
    "ancestral": (Ancestral(), 0.03),
    "ddim": (DDIM(None), 0.01),
    "ddim with noise": (DDIM(None, eta=1.0), 0.03),
    "flow": (ProbabilityFlow(), 0.005),
    "corrected": (PredictorCorrector(Langevin()), 0.03),
}


@pytest.mark.parametrize("name", list(SAMPLERS))
def test_draws_have_the_targets_mean_and_covariance(name: str) -> None:
    """Along the target's own axes, in Monte Carlo standard errors and what the steps may do."""
    sampler, allowed = SAMPLERS[name]
    draws = normal(variance="posterior").draw(COUNT, sampler, seed=1).double()
    z = torch.linalg.solve(ROOT, (draws - LOC).mT).mT  # standard normal for the target
    assert z.mean(0) == pytest.approx(np.zeros(3), abs=4 / COUNT**0.5)
    error = 4 * math.sqrt(2 / COUNT) + allowed
    assert z.mT.cov().numpy() == pytest.approx(np.eye(3), abs=error)


def test_ddims_error_falls_with_its_steps() -> None:
    family = normal()
    u = torch.randn(4000, 3, generator=torch.Generator().manual_seed(0))
    denoised, key = family._denoised(None, 1.0), Key(0)
    with torch.no_grad():
        best = ProbabilityFlow(200)(denoised, family.schedule, u, key)
        errors = [float((DDIM(n)(denoised, family.schedule, u, key) - best).std()) for n in (10, 40, 160)]
    assert errors[1] < errors[0] / 2.5
    assert errors[2] < errors[1] / 2.5


def test_running_the_model_is_the_ancestral_sampler() -> None:
    family = normal(num_steps=40, variance="forward")
    drawn = sample(family, 5000)
    other = family.draw(5000, seed=3)
    assert drawn["path"].shape == (5000, 40, 3)
    for a, b in ((drawn["x"].mean(0), other.mean(0)), (drawn["x"].std(0), other.std(0))):
        assert a / COVARIANCE.diagonal().sqrt().float() == pytest.approx((b / COVARIANCE.diagonal().sqrt()).float().numpy(), abs=0.1)


def test_langevin_runs_on_the_score() -> None:
    """At one level, from far away: the law of the noisy data."""
    family, step = normal(), 300
    law = noisy(float(family.schedule.alpha[step - 1].double() ** 2))
    sd = torch.from_numpy(np.sqrt(np.diag(law.cov))).float()

    def score(u: Tensor) -> Tensor:
        return sd * family.score_at(LOC.float() + sd * u, step)

    engine = Langevin(kind="underdamped", step_size=0.2, progress=False)
    walked = engine.transition(score, Walkers(torch.full((4000, 3), 3.0)), Key(0, chains=tuple(range(4000))), 200)
    u = walked.position.double()
    assert u.mean(0) == pytest.approx(np.zeros(3), abs=4 / 4000**0.5)
    assert u.mT.cov().numpy() == pytest.approx(law.cov / np.outer(sd, sd), abs=0.1)


# Learning


LEVELS = (1, 10, 50, 100, 200, 400, 700, 1000)


def errors_of_score(family: Diffusion, exact: Diffusion) -> list[tuple[float, float]]:
    """Root mean square over noisy data, level by level: relative to the score, and as an error of the noise, whose sd is 1."""
    out = []
    for step in LEVELS:
        law = exact.exact(X)["marginal"](step)
        with torch.random.fork_rng():
            torch.manual_seed(step)
            x = law.sample((4000,))
        found, right = (f * exact.spread for f in (family.score_at(x.float(), step), exact.exact(X)["score"](x, step)))
        miss = (found - right).square().mean().sqrt()
        out.append((float(miss / right.square().mean().sqrt()), float(miss * exact.schedule.sigma[step - 1])))
    return out


@pytest.mark.slow
def test_the_score_of_normal_data_is_learned_at_every_level() -> None:
    """Within 0.05 of the noise's sd everywhere; relative to the score, which next to no noise is small beside 1 / sigma, within 0.2 from
    step 10 on and 0.1 from step 50 on."""
    generator = torch.Generator().manual_seed(0)
    data = (LOC + torch.randn(20_000, 3, generator=generator, dtype=torch.float64) @ ROOT.mT).float()
    family = seeded(like=data, weighting="simple", predict="velocity")
    engine = SVI(num_steps=4000, num_particles=1, batch_size=256, learning_rate=0.003, ema_decay=0.99, keep=(), progress=False)
    learned = learn(family, data, engine=engine).fn
    exact = Diffusion.of_normal(data.mean(0), data.mT.cov())
    for level, (relative, of_noise) in zip(LEVELS, errors_of_score(learned, exact), strict=True):
        assert of_noise < 0.05, level
        assert level < 10 or relative < (0.2 if level < 50 else 0.1), level


@pytest.mark.slow
@pytest.mark.parametrize("toy", list(TOYS))
def test_two_sample_tests_are_passed(toy: str) -> None:
    generator = torch.Generator().manual_seed(0)
    train, test = TOYS[toy](10_000, generator), TOYS[toy](2000, generator)
    family = seeded(like=train, weighting="simple", predict="velocity")
    engine = SVI(num_steps=5000, num_particles=1, batch_size=256, learning_rate=0.003, ema_decay=0.99, keep=(), progress=False)
    drawn = learn(family, train, engine=engine).fn.draw(2000, ProbabilityFlow())
    assert accuracy(drawn, test).z < 4
    assert mmd(drawn, test) < mmd_floor(test)
    assert modes_held(toy, drawn) > 0.6


def test_contexts_are_learned_and_guided() -> None:
    """x | c ~ Normal(50 + 20 c, 3) for c = -1 and 1: with its context, without one, and guided away from the other."""
    generator = torch.Generator().manual_seed(0)
    c = torch.randint(0, 2, (2000, 1), generator=generator) * 2.0 - 1.0
    x = 50.0 + 20.0 * c + 3.0 * torch.randn(2000, 1, generator=generator)
    settings: dict[str, Any] = {"hidden": (64, 64), "context": 1, "unconditional": 0.2, "weighting": "simple", "predict": "velocity"}
    family = seeded(like=x, num_steps=50, schedule="cosine", **settings)
    engine = SVI(num_steps=800, num_particles=1, batch_size=200, learning_rate=0.01, ema_decay=0.99, keep=(), progress=False)
    learned = learn(family, x, c, engine=engine).fn
    given = torch.tensor([[-1.0], [1.0]]).repeat_interleave(500, 0)

    def spread(x: Tensor) -> Tensor:
        """By quartiles: a draw now and then ends at the other context."""
        return (x.quantile(0.75, 1) - x.quantile(0.25, 1)) / 1.349

    drawn = learned.draw(context=given, sampler=DDIM(None)).reshape(2, 500)
    assert drawn.median(1).values == pytest.approx([30.0, 70.0], abs=1.5)
    assert spread(drawn) == pytest.approx([3.0, 3.0], abs=0.6)
    guided = learned.draw(context=given, sampler=DDIM(None), guidance=3.0).reshape(2, 500)
    assert guided[1].median() > drawn[1].median()
    assert guided[0].median() < drawn[0].median()
    assert float(learned.hidden_context.detach().abs().max()) > 1e-3
    assert sample(learned, 2, context=torch.tensor([[-1.0], [1.0]]))["x"].shape == (2, 1)


def test_a_unet_for_images() -> None:
    """Any size, also odd ones; the level and the context matter; what is drawn has the images' shape."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = UNet((2, 7, 5), context=3, channels=(8, 16))
        x, c = torch.randn(4, 2, 7, 5), torch.randn(4, 3)
        out = network(x, torch.zeros(4), c)
        assert out.shape == x.shape
        assert not torch.allclose(out, network(x, torch.ones(4), c))
        assert not torch.allclose(out, network(x, torch.zeros(4), 2 * c))
        images = 8 + 4 * torch.randn(30, 1, 4, 4)
    family = seeded(like=images, network=UNet((1, 4, 4), channels=(8, 8)), num_steps=20)
    learned = learn(family, images, engine=SVI(num_steps=5, num_particles=1, batch_size=10, keep=(), progress=False)).fn
    assert learned.draw(3, DDIM(5)).shape == (3, 1, 4, 4)
    found = learned.log_likelihood(images[:2], num_steps=4, num_probes=2)
    assert found.value.isfinite().all()
    assert family.spread.unique().numel() == 1


def test_a_thousand_steps_cost_no_more_than_one_to_find() -> None:
    """The network is not asked about every part of a path before learning begins."""

    class Counting(nn.Module):
        rows = 0

        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(2, 2)

        def forward(self, x: Tensor, log_snr: Tensor) -> Tensor:
            Counting.rows += len(x)
            out: Tensor = self.body(x)
            return out

    x = 5.0 + torch.randn(400, 2, generator=torch.Generator().manual_seed(0))
    posterior = SVI(num_steps=3, num_particles=1, batch_size=50, keep=(), progress=False).run(Diffusion(like=x, network=Counting()), x)
    assert Counting.rows < 40 * len(x)
    assert posterior.draws == {}
    with pytest.raises(CostError, match=r"'path'.*keep"):
        SVI(num_steps=3, num_samples=1000, progress=False).run(Diffusion(like=x), x)


# Mistakes


def test_bad_input_is_named() -> None:
    family, conditional = normal(num_steps=STEPS), seeded(3, num_steps=STEPS, context=2, unconditional=0.1)
    holed = X.clone()
    holed[4, 1] = torch.nan
    for call in (family.elbo, family.log_likelihood):
        with pytest.raises(DataError, match="row 4"):
            call(holed)
    with pytest.raises(DataError, match=r"'x'.*\[4, 1\]|row 4"):
        SVI(num_steps=1, progress=False).run(family, holed)
    with pytest.raises(DataError, match="like has a value that is not finite in row 4"):
        Diffusion(like=holed)
    images = torch.zeros(6, 1, 4, 4)
    images[5, 0, 2, 3] = torch.nan
    with pytest.raises(DataError, match=r"like has a value that is not finite in row 5: nan at \[0, 2, 3\]; drop"):
        Diffusion(like=images)
    with pytest.raises(DataError, match=r"shape \(N, 3\)"):
        SVI(num_steps=1, progress=False).run(family, torch.ones(5, 2))
    with pytest.raises(ProgramError, match=r"needs a context of shape \(7, 2\)"):
        SVI(num_steps=1, progress=False).run(conditional, X)
    with pytest.raises(DataError, match="context has 4 rows for 7 data"):
        conditional.elbo(X, torch.ones(4, 2))
    with pytest.raises(ProgramError, match="takes no context"):
        family.draw(context=torch.ones(4, 2))
    with pytest.raises(ProgramError, match="size"):
        family.draw()
    with pytest.raises(ProgramError, match=r"guidance 2.0 needs"):
        family.draw(4, guidance=2.0)
    with pytest.raises(ProgramError, match="levels of noise are 1 to 8; got 0"):
        family.score_at(X, 0)


def test_a_network_of_the_wrong_shape_is_named() -> None:
    for outputs in (2, 4):
        network = nn.Module()
        network.forward = lambda x, log_snr, o=outputs: x.new_zeros(len(x), o)  # type: ignore[method-assign, assignment]
        with pytest.raises(ProgramError, match=rf"the network gives \(\d+, {outputs}\) for data of shape \(\d+, 3\)"):
            SVI(num_steps=1, progress=False).run(Diffusion(3, network, num_steps=STEPS), X)


@pytest.mark.parametrize(
    ("settings", "pattern"),
    [
        ({"num_steps": 0}, "num_steps.*at least 1; got 0"),
        ({"num_steps": 2.5}, "whole number.*2.5"),
        ({"schedule": "sigmoid"}, "'sigmoid'.*linear"),
        ({"predict": "score"}, "'score'.*velocity"),
        ({"weighting": "vlb"}, "'vlb'.*elbo"),
        ({"variance": "learned"}, "'learned'.*posterior"),
        ({"unconditional": 0.1}, "unconditional"),
        ({"features": None}, "features"),
        ({"features": 0}, "at least one number"),
    ],
)
def test_bad_settings_are_named(settings: dict[str, Any], pattern: str) -> None:
    with pytest.raises(PpgenError, match=pattern) as raised:
        Diffusion(**{"features": 2, **settings})
    assert isinstance(raised.value, ProgramError | NameNotFoundError)


def test_bad_samplers_and_normals_are_named() -> None:
    with pytest.raises(ProgramError, match=r"num_steps.*0"):
        DDIM(0)
    with pytest.raises(ProgramError, match=r"eta.*1.5"):
        DDIM(eta=1.5)
    with pytest.raises(ProgramError, match="corrector_steps"):
        PredictorCorrector(Langevin(), corrector_steps=0)
    with pytest.raises(ProgramError, match="not positive definite"):
        GaussianScore(torch.zeros(2), torch.tensor([[1.0, 2.0], [2.0, 1.0]]))
    with pytest.raises(ProgramError, match="num_probes"):
        normal().log_likelihood(X, num_probes=1)
