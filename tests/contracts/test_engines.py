"""What every engine promises, on every family: the oracle or a reason, and the promises of "to the bit"."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import fields
from functools import cache
from pathlib import Path

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from ppgen.diagnostics import ess_and_rhat
from ppgen.discovery import engines
from ppgen.engine import SteppingEngine
from ppgen.errors import DataError, PpgenError, SupportError
from ppgen.posterior import Posterior
from ppgen.program import Program

from .cases import cases, quick, settled

EVERY = pytest.mark.parametrize("engine", list(engines()))
DATA = 40.0 + 5.0 * torch.tensor([0.3, -1.2, 0.8, 2.1, -0.4, 0.9, -0.1, 1.7])
SHORT = {
    "num_warmup": 60,
    "num_samples": 40,
    "num_steps": 60,
    "num_proposals": 4000,
    "max_tree_depth": 5,
    "max_num_steps": 32,
    "num_temperatures": 20,
}
PRECISION = 1 / 20.0**2 + len(DATA) / 5.0**2
LEVELS = torch.tensor([38.0, 42.0, 44.0])
SHARES = torch.tensor([0.5, 0.2, 0.3])


def normal(x: Tensor, *, scale: float = 5.0) -> None:
    """loc | x ~ Normal(sum x / 25 + 30 / 400 over PRECISION, PRECISION^-1/2)."""
    loc = pyro.sample("loc", dist.Normal(30.0, 20.0))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(loc, scale), obs=x)


def urn(x: Tensor, *, scale: float = 5.0) -> None:
    """Everything that is unknown is discrete: level | x by Bayes's rule, and of each datum whether it was shifted."""
    level = pyro.sample("level", dist.Categorical(SHARES))
    with pyro.plate("data", len(x)):
        shifted = pyro.sample("shifted", dist.Bernoulli(0.3))
        pyro.sample("x", dist.Normal(LEVELS[level] + 4.0 * shifted, scale), obs=x)


def mixed(x: Tensor, *, scale: float = 5.0) -> None:
    """Both kinds of unknowns."""
    loc = pyro.sample("loc", dist.Normal(30.0, 20.0))
    with pyro.plate("data", len(x)):
        shifted = pyro.sample("shifted", dist.Bernoulli(0.3))
        pyro.sample("x", dist.Normal(loc + 4.0 * shifted, scale), obs=x)


def learnable(x: Tensor, *, scale: float = 5.0) -> None:
    """The same with something to learn: engines that only learn have something to do."""
    shift = pyro.param("shift", torch.tensor(0.0))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(shift, scale), obs=x)


@cache
def home(engine: str) -> Callable[..., None]:
    """The first of four small programs that an engine settles: on it the engine is held to its other promises."""
    return next(program for program in (normal, urn, mixed, learnable) if isinstance(settled(engine, program, DATA), Posterior))


def a_point(posterior: Posterior) -> bool:
    """Whether every continuous site has one value only: an estimate of a mode."""
    sites = [posterior.draws[s.name] for s in posterior.program.latent if s.continuous]
    return bool(sites) and all((draws == draws[:1, :1]).all() for draws in sites)


def assert_close(posterior: Posterior, site: str, mean: Tensor, sd: Tensor) -> None:
    """Chains within 5 Monte Carlo standard errors and 15 % of the sd; approximations, which carry weights, within a third; a
    mode within 2 sd."""
    draws = posterior.draws[site].double()
    values = draws.reshape(*draws.shape[:2], -1)
    shift = (values.mean((0, 1)) - mean.double().reshape(-1)).abs() / sd.double().reshape(-1)
    if a_point(posterior):
        assert (shift < 2).all(), f"{site}: {shift} sd off"
        return
    ess = torch.as_tensor(ess_and_rhat(values.numpy())[0])
    ratio = values.reshape(-1, values.shape[-1]).std(0) / sd.double().reshape(-1)
    if posterior.log_weights is None:
        assert (ess > 150).all()
        assert (shift < 5 / ess.sqrt()).all(), f"{site}: {shift} sd off with ESS {ess}"
        assert ((ratio - 1).abs() < 5 / (2 * ess).sqrt() + 0.05).all(), f"{site}: sd ratio {ratio}"
    else:
        by_chance = 3 / len(values[0]) ** 0.5  # of independent draws
        assert (shift < 0.33 + by_chance).all(), f"{site}: {shift} sd off"
        assert ((ratio > 0.7 - by_chance / 2**0.5) & (ratio < 1.4 + by_chance)).all(), f"{site}: sd ratio {ratio}"


def moments(weights: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    mean = (weights * values).sum()
    return mean[None], (weights * (values - mean) ** 2).sum().sqrt()[None]


def test_every_engine_has_something_that_it_can_do() -> None:
    for engine in engines():
        assert home(engine)


@EVERY
def test_a_conjugate_posterior(engine: str) -> None:
    posterior = settled(engine, normal, DATA)
    if home(engine) is not normal:
        assert len(str(posterior)) > 20
        return
    mean = (DATA.sum() / 25 + 30 / 400) / PRECISION
    assert_close(posterior, "loc", mean[None], torch.tensor([PRECISION**-0.5]))
    if posterior.log_weights is not None:
        marginal = torch.distributions.MultivariateNormal(torch.full((8,), 30.0), 25.0 * torch.eye(8) + 400.0)
        assert posterior.log_evidence == pytest.approx(float(marginal.log_prob(DATA)), abs=0.1)


@EVERY
def test_a_discrete_posterior(engine: str) -> None:
    """Bayes's rule by hand; draws of what is discrete are exact or a chain's, from whichever engine they come."""
    posterior = settled(engine, urn, DATA)
    if not isinstance(posterior, Posterior):
        assert len(str(posterior)) > 20
        return
    shifts = torch.tensor([0.0, 4.0])
    log_p = torch.distributions.Normal(LEVELS[:, None, None] + shifts, 5.0).log_prob(DATA[:, None])  # (level, datum, shifted)
    joint = (log_p + torch.tensor([0.7, 0.3]).log()).softmax(-1)
    level = ((log_p + torch.tensor([0.7, 0.3]).log()).logsumexp(-1).sum(-1) + SHARES.log()).softmax(0)
    shifted = (level[:, None, None] * joint).sum(0)[:, 1]  # (datum,)
    assert_close(posterior, "level", *moments(level, torch.arange(3.0)))
    assert_close(posterior, "shifted", shifted, (shifted * (1 - shifted)).sqrt())


@EVERY
@pytest.mark.parametrize("name", list(cases()))
def test_every_engine_on_every_family(engine: str, name: str, tmp_path: Path) -> None:
    """The oracle where there is one, draws of every latent site that ArviZ and the folder take; or a reason."""
    case, begin = cases()[name], time.perf_counter()
    posterior = settled(engine, case.family, case.x, settings={} if case.posterior else SHORT)
    took = time.perf_counter() - begin
    if not isinstance(posterior, Posterior):
        assert len(str(posterior)) > 20
        return
    program = posterior.program
    assert program is not None
    for site in program.latent:
        if site.name not in posterior.draws:  # an engine that only learns
            assert posterior.params
            continue
        draws = posterior.draws[site.name]
        assert draws.shape[2:] == site.shape
        assert site.support.check(draws.to(site.value)).all()
    for site, (mean, sd) in case.posterior.items():
        assert_close(posterior, site, mean, sd)
    converted = posterior.to_arviz()
    assert not posterior.draws or set(converted["posterior"].data_vars) == set(posterior.draws)
    loaded = Posterior.load(posterior.save(tmp_path / "fit"))
    assert all(torch.equal(loaded.draws[n], v) for n, v in posterior.draws.items())
    assert json.loads(json.dumps(posterior.provenance)) == loaded.provenance
    *parts, total = posterior.provenance["seconds"].values()
    assert list(posterior.provenance["seconds"]) == ["record", "check", "compile", "start", "sample", "collect", "total"]
    assert min(parts) > -1e-6  # a moment that two parts count makes a third one negative
    assert 0 < total == sum(parts) <= took


def test_some_engine_settles_every_family() -> None:
    """A reason is not enough from all of them."""
    for case in cases().values():
        settings = {} if case.posterior else SHORT
        assert any(isinstance(settled(engine, case.family, case.x, settings=settings), Posterior) for engine in engines())


def same(a: Posterior, b: Posterior) -> bool:
    pairs = [(a.draws[n], b.draws[n]) for n in a.draws]
    pairs += [(x, y) for x, y in ((a.log_weights, b.log_weights), (a.losses, b.losses)) if x is not None]
    return all(torch.equal(x, y) for x, y in pairs) and list(a.draws) == list(b.draws)


@EVERY
def test_to_the_bit(engine: str, tmp_path: Path) -> None:
    """The same seed gives the same draws: again, by keyword, with a bar, from a checkpoint; another seed gives others, unless
    there is but one answer."""
    program = home(engine)
    run = quick(engine, **SHORT).run(program, DATA)
    assert same(run, quick(engine, **SHORT).run(program, DATA))
    assert same(run, quick(engine, **SHORT).run(program, x=DATA, scale=5.0))
    assert same(run, quick(engine, **SHORT, progress=True).run(program, DATA))
    if isinstance(quick(engine), SteppingEngine):
        for _ in range(2):
            assert same(run, quick(engine, **SHORT, checkpoint=tmp_path / "run").run(program, DATA))
    else:
        with pytest.raises(PpgenError, match="nothing to resume"):
            quick(engine, **SHORT, checkpoint=tmp_path / "run").run(program, DATA)
    assert a_point(run) or not same(run, quick(engine, **SHORT, seed=1).run(program, DATA))


@EVERY
def test_the_global_generators_have_no_say(engine: str) -> None:
    program = home(engine)
    run = quick(engine, **SHORT).run(program, DATA)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert same(run, quick(engine, **SHORT).run(program, DATA))
    assert torch.equal(torch.get_rng_state(), before)


@EVERY
def test_chain_0_does_not_depend_on_how_many_chains_there_are(engine: str) -> None:
    program = home(engine)
    if "num_chains" not in {f.name for f in fields(engines()[engine])}:
        assert {len(draws) for draws in quick(engine, **SHORT).run(program, DATA).draws.values()} <= {1}
        return
    one, three = (quick(engine, **SHORT, num_chains=n, lowering="eager").run(program, DATA).draws for n in (1, 3))
    assert all(torch.equal(one[n], three[n][:1]) for n in one)


@EVERY
def test_wrong_data_raise_with_site_and_row(engine: str) -> None:
    wrong = DATA.clone()
    wrong[5] = math.nan
    with pytest.raises(DataError, match=r"'x'.*row 5"):
        quick(engine).run(normal, wrong)

    def positive(x: Tensor) -> None:
        rate = pyro.sample("rate", dist.Gamma(2.0, 0.1))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Exponential(rate), obs=x)

    with pytest.raises(SupportError, match=r"'x'.*row 2"):
        quick(engine).run(positive, torch.tensor([1.0, 2.0, -3.0, 4.0]))


@EVERY
def test_all_rows_count(engine: str) -> None:
    """A program that shows some of its rows has the posterior of all of them, or the engine says that it must see all."""

    def in_part(x: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(30.0, 20.0))
        with pyro.plate("data", len(x), subsample_size=4) as rows:
            pyro.sample("x", dist.Normal(loc, 5.0), obs=x[rows])

    found = settled(engine, in_part, torch.tensor([31.0, 33.0, 30.0, 34.0, 49.0, 47.0, 50.0, 46.0]))
    if isinstance(found, Posterior):
        assert float(found.draws["loc"].mean()) == pytest.approx(40.0, abs=3.0)  # and 32 of the first four rows
    else:
        assert isinstance(found, PpgenError)


@EVERY
def test_a_program_without_latent_sites(engine: str) -> None:
    """Its parameters are learned, or the engine says that there is nothing for it to do."""
    result = settled(engine, learnable, DATA, settings={"learning_rate": 0.5})
    if isinstance(result, Posterior):
        assert float(result.params["shift"]) == pytest.approx(float(DATA.mean()), abs=2.0)
        with pytest.raises(PpgenError, match="no latent site"):
            result.summary()
    else:
        assert isinstance(result, PpgenError)


@EVERY
def test_the_users_objects_stay_as_they_were(engine: str) -> None:
    x = DATA.clone()
    program = Program(home(engine), x)
    quick(engine, **SHORT).run(program)
    assert torch.equal(x, DATA)
    assert program.args[0] is x
    assert not pyro.get_param_store().keys()


@EVERY
def test_keep_chooses(engine: str) -> None:
    case = cases()["mixture/poisson, one component"]
    found = [(p, x) for p, x in ((case.family, case.x), (urn, DATA)) if isinstance(settled(engine, p, x), Posterior)]
    if not found:  # it only learns
        with pytest.raises(PpgenError, match="nowhere"):
            quick(engine, keep=["nowhere"]).run(learnable, DATA)
        return
    program, x = found[0]
    posterior = quick(engine).run(program, x)
    one = list(posterior.draws)[-1]
    kept = quick(engine, keep=[one]).run(program, x)
    assert list(kept.draws) == [one]
    assert torch.equal(kept.draws[one], posterior.draws[one])
    with pytest.raises(PpgenError, match="nowhere"):
        quick(engine, keep=["nowhere"]).run(program, x)
