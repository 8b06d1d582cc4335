"""What every engine promises, on every family: the oracle or a reason, and the promises of "to the bit"."""

import json
import math
import warnings
from dataclasses import fields
from pathlib import Path

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from ppgen.diagnostics import ess_and_rhat
from ppgen.discovery import engines
from ppgen.engine import SteppingEngine
from ppgen.errors import DataError, PpgenError, PpgenWarning, SupportError
from ppgen.posterior import Posterior
from ppgen.program import Program

from .cases import cases, quick

EVERY = pytest.mark.parametrize("engine", list(engines()))
DATA = 40.0 + 5.0 * torch.tensor([0.3, -1.2, 0.8, 2.1, -0.4, 0.9, -0.1, 1.7])
SHORT = {"num_warmup": 60, "num_samples": 40, "num_steps": 60, "num_proposals": 4000, "max_tree_depth": 5, "max_num_steps": 32}
PRECISION = 1 / 20.0**2 + len(DATA) / 5.0**2


def normal(x: Tensor, *, scale: float = 5.0) -> None:
    """loc | x ~ Normal(sum x / 25 + 30 / 400 over PRECISION, PRECISION^-1/2)."""
    loc = pyro.sample("loc", dist.Normal(30.0, 20.0))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(loc, scale), obs=x)


def learnable(x: Tensor, *, scale: float = 5.0) -> None:
    """The same with something to learn: engines that only learn have something to do."""
    shift = pyro.param("shift", torch.tensor(0.0))
    with pyro.plate("data", len(x)):
        pyro.sample("x", dist.Normal(shift, scale), obs=x)


def settled(engine: str, program, *args, settings=None) -> Posterior | PpgenError | PpgenWarning:
    """What comes of a run: a posterior, or the reason why there is none that can be relied on."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", PpgenWarning)
            return quick(engine, **(settings or {})).run(program, *args)
    except (PpgenError, PpgenWarning) as reason:
        return reason


def assert_close(posterior: Posterior, site: str, mean: Tensor, sd: Tensor) -> None:
    """Chains within 5 Monte Carlo standard errors and 15 % of the sd; approximations, which carry weights, within a third."""
    draws = posterior.draws[site].double()
    values = draws.reshape(*draws.shape[:2], -1)
    ess = torch.as_tensor(ess_and_rhat(values.numpy())[0])
    shift = (values.mean((0, 1)) - mean.double()).abs() / sd.double()
    ratio = values.reshape(-1, values.shape[-1]).std(0) / sd.double()
    if posterior.log_weights is None:
        assert (ess > 150).all()
        assert (shift < 5 / ess.sqrt()).all(), f"{site}: {shift} sd off with ESS {ess}"
        assert ((ratio - 1).abs() < 5 / (2 * ess).sqrt() + 0.05).all(), f"{site}: sd ratio {ratio}"
    else:
        assert (shift < 0.33).all(), f"{site}: {shift} sd off"
        assert ((ratio > 0.7) & (ratio < 1.4)).all(), f"{site}: sd ratio {ratio}"


@EVERY
def test_a_conjugate_posterior(engine: str) -> None:
    posterior = settled(engine, normal, DATA)
    assert isinstance(posterior, Posterior), posterior
    mean = (DATA.sum() / 25 + 30 / 400) / PRECISION
    assert_close(posterior, "loc", mean[None], torch.tensor([PRECISION**-0.5]))
    if posterior.log_weights is not None:
        marginal = torch.distributions.MultivariateNormal(torch.full((8,), 30.0), 25.0 * torch.eye(8) + 400.0)
        assert posterior.log_evidence == pytest.approx(float(marginal.log_prob(DATA)), abs=0.1)


@EVERY
@pytest.mark.parametrize("name", list(cases()))
def test_every_engine_on_every_family(engine: str, name: str, tmp_path: Path) -> None:
    """The oracle where there is one, draws of every latent site that ArviZ and the folder take; or a reason."""
    case = cases()[name]
    posterior = settled(engine, case.family, case.x, settings={} if case.posterior else SHORT)
    if not isinstance(posterior, Posterior):
        assert len(str(posterior)) > 20
        return
    program = posterior.program
    assert program is not None
    for site in program.latent:
        draws = posterior.draws[site.name]
        assert draws.shape[2:] == site.shape
        assert site.support.check(draws.to(site.value)).all()
    for site, (mean, sd) in case.posterior.items():
        assert_close(posterior, site, mean, sd)
    converted = posterior.to_arviz()
    assert set(converted["posterior"].data_vars) == set(posterior.draws)
    loaded = Posterior.load(posterior.save(tmp_path / "fit"))
    assert all(torch.equal(loaded.draws[n], v) for n, v in posterior.draws.items())
    assert json.loads(json.dumps(posterior.provenance)) == loaded.provenance
    seconds = posterior.provenance["seconds"]
    assert {"record", "check", "compile", "start", "sample", "collect", "total"} <= set(seconds)
    parts = sum(v for k, v in seconds.items() if k != "total")
    assert parts == pytest.approx(seconds["total"], rel=0.1, abs=0.3)


def test_some_engine_settles_every_oracle() -> None:
    """A reason is not enough from all of them."""
    for case in cases().values():
        if case.posterior:
            assert any(isinstance(settled(engine, case.family, case.x), Posterior) for engine in engines())


def same(a: Posterior, b: Posterior) -> bool:
    pairs = [(a.draws[n], b.draws[n]) for n in a.draws]
    pairs += [(x, y) for x, y in ((a.log_weights, b.log_weights), (a.losses, b.losses)) if x is not None]
    return all(torch.equal(x, y) for x, y in pairs) and list(a.draws) == list(b.draws)


@EVERY
def test_to_the_bit(engine: str, tmp_path: Path) -> None:
    """The same seed gives the same draws: again, by keyword, with a bar, from a checkpoint; another seed gives others."""
    run = quick(engine, **SHORT).run(normal, DATA)
    assert same(run, quick(engine, **SHORT).run(normal, DATA))
    assert same(run, quick(engine, **SHORT).run(normal, x=DATA, scale=5.0))
    assert same(run, quick(engine, **SHORT, progress=True).run(normal, DATA))
    if isinstance(quick(engine), SteppingEngine):
        for _ in range(2):
            assert same(run, quick(engine, **SHORT, checkpoint=tmp_path / "run").run(normal, DATA))
    else:
        with pytest.raises(PpgenError, match="nothing to resume"):
            quick(engine, **SHORT, checkpoint=tmp_path / "run").run(normal, DATA)
    assert not same(run, quick(engine, **SHORT, seed=1).run(normal, DATA))


@EVERY
def test_the_global_generators_have_no_say(engine: str) -> None:
    run = quick(engine, **SHORT).run(normal, DATA)
    torch.manual_seed(99)
    before = torch.get_rng_state()
    assert same(run, quick(engine, **SHORT).run(normal, DATA))
    assert torch.equal(torch.get_rng_state(), before)


@EVERY
def test_chain_0_does_not_depend_on_how_many_chains_there_are(engine: str) -> None:
    if "num_chains" not in {f.name for f in fields(engines()[engine])}:
        assert quick(engine, **SHORT).run(normal, DATA).draws["loc"].shape[0] == 1
        return
    one, three = (quick(engine, **SHORT, num_chains=n, lowering="eager").run(normal, DATA).draws["loc"] for n in (1, 3))
    assert torch.equal(one, three[:1])


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
    program = Program(normal, x)
    quick(engine, **SHORT).run(program)
    assert torch.equal(x, DATA)
    assert program.args[0] is x
    assert not pyro.get_param_store().keys()


@EVERY
def test_keep_chooses(engine: str) -> None:
    case = cases()["mixture/poisson, one component"]
    posterior = settled(engine, case.family, case.x)
    assert isinstance(posterior, Posterior), posterior
    kept = quick(engine, keep=["rate"]).run(case.family, case.x)
    assert list(kept.draws) == ["rate"]
    assert torch.equal(kept.draws["rate"], posterior.draws["rate"])
    with pytest.raises(PpgenError, match="nowhere"):
        quick(engine, keep=["nowhere"]).run(case.family, case.x)
