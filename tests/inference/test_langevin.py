"""Langevin: machine code against torch, biases against quadrature, minibatches against conjugate regression."""

import math
from dataclasses import replace

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from ppgen.diagnostics import ess_and_rhat
from ppgen.engine import drive
from ppgen.epochs import Epochs
from ppgen.errors import EngineError
from ppgen.inference import MALA, Langevin
from ppgen.inference._langevin import Law, State, native_walk, torch_walk
from ppgen.inference.langevin import Walkers
from ppgen.keys import Key
from ppgen.program import Program
from ppgen.targets import LogDensity
from tests.tools.machine import HandWritten, curved, eight_schools, normal

KIND = pytest.mark.parametrize("kind", ["overdamped", "underdamped"])
UNIT = 30.0  # of the anharmonic density's site


def anharmonic() -> None:
    """u = x / UNIT has the density exp(-u^2 / 2 - 1.5 sin u), up to a constant: far out steps pull back as they do for a normal."""
    x = pyro.sample("x", dist.Normal(0.0, UNIT))
    pyro.factor("waves", -1.5 * torch.sin(x / UNIT))


def mean() -> float:
    """Of x / UNIT, by quadrature."""
    u = np.linspace(-9, 9, 20001)
    p = np.exp(-(u**2) / 2 - 1.5 * np.sin(u))
    return float((u * p).sum() / p.sum())


# One law, two ways


@KIND
@pytest.mark.parametrize("steps", [1, 7, 70])
@pytest.mark.parametrize("single", [False, True], ids=["double", "single"])
def test_machine_code_and_torch_take_the_same_steps(kind: str, steps: int, single: bool) -> None:
    """From one key; 70 steps of 7 numbers need more than one stream of them."""
    scales = np.geomspace(0.01, 100.0, 7)
    dtype = torch.float32 if single else torch.float64
    native, batched = normal(scales, True, dtype), normal(scales, False, dtype)
    key = Key(2**63 + 7, 11, (0, 1, 5))
    position = key.normal(9, (3, 7)) * torch.from_numpy(scales)
    value, gradient = batched.value_and_grad(position.to(dtype))
    state = State(position.to(dtype).double(), value.double(), gradient.double(), key.normal(8, (3, 7)))
    law = Law(
        0.7 if kind == "underdamped" else None, torch.tensor([0.1, 0.2, 0.3]).double(), torch.from_numpy(scales).expand(3, -1), 0.6, 10
    )
    with Langevin().pool() as pool:
        made = native_walk(native.native, pool, dtype, state, law, key, 4, steps)
    typed = State(*(t.to(dtype) for t in state))
    other = torch_walk(lambda q, step: batched.value_and_grad(q), typed, law._replace(scale=law.scale.to(dtype)), key, 4, steps)
    tolerance = 2e-4 if single else 1e-9
    for a, b in zip((*made.state[:1], made.positions), (*other.state[:1], other.positions), strict=True):
        assert float(((a - b.double()) / torch.from_numpy(scales)).abs().max()) < tolerance
    assert torch.allclose(made.log_densities, other.log_densities.double(), atol=20 * tolerance)
    assert made.positions.shape == (3, 4, 7)
    assert torch.equal(made.positions[:, -1], made.state.position)


def test_one_overdamped_step_by_its_formula() -> None:
    density, key = eight_schools(False), Key(3, 5, tuple(range(50)))
    here = key.normal(9, (50, 10))
    gradient = density.value_and_grad(here)[1]
    there = Langevin(step_size=0.02).transition(lambda q: density.value_and_grad(q)[1], Walkers(here), key).position
    noise = (there - here - 0.02 * gradient) / math.sqrt(0.04)
    assert abs(float(noise.mean())) < 4 / math.sqrt(500)
    assert abs(float(noise.var()) - 1) < 4 * math.sqrt(2 / 500)


@KIND
def test_a_chain_that_would_leave_stays_and_is_counted(kind: str) -> None:
    """Beyond 500 the density is nan: a chain at the edge, whose gradient pushes it out, does not become nan."""
    for native in (True, False):
        density = curved(native)
        density.initial = lambda key, at=None: torch.tensor([[499.0, 2490.0, 0.5], [1.0, 0.0, 0.5]], dtype=torch.float64)
        run = drive(Langevin(kind=kind, step_size=0.8, num_warmup=0, num_samples=50, num_chains=2, progress=False), density)
        assert run.draws["position"].isfinite().all()
        assert run.stats["diverging"][0].any()


# Bias


def bias(engine: Langevin | MALA) -> tuple[float, float]:
    """Of the mean of x / UNIT, and its Monte Carlo error, from many chains that begin anywhere."""
    each = engine.run(anharmonic).draws["x"].double().mean(1) / UNIT
    return float(each.mean()) - mean(), float(each.std()) / math.sqrt(len(each))


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "order", "sizes"), [("overdamped", 1, (0.3, 0.2, 0.1)), ("underdamped", 2, (1.0, 0.7, 0.5))])
def test_the_bias_falls_with_the_step_at_the_order_that_is_claimed(kind: str, order: int, sizes: tuple[float, ...]) -> None:
    found, errors = [], []
    for h in sizes:
        unit = UNIT**2 if kind == "overdamped" else UNIT  # of the step: that of the site, squared for a diffusion's time
        settings = {"num_chains": 20_000, "num_warmup": 20, "num_samples": 400, "steps_per_draw": 10, "progress": False}
        value, error = bias(Langevin(kind=kind, step_size=h * unit, friction=1 / UNIT, **settings))
        found.append(abs(value))
        errors.append(error)
    assert all(value > 4 * error for value, error in zip(found, errors, strict=True)), (found, errors)
    slope = np.polyfit(np.log(sizes), np.log(found), 1)[0]
    assert abs(slope - order) < 0.35, (slope, found, errors)


def test_mala_has_no_bias() -> None:
    value, error = bias(MALA(num_chains=100, num_warmup=200, num_samples=1500, progress=False))
    assert abs(value) < 4 * error
    assert error < 0.006  # a tenth of the bias of overdamped steps of 0.3


@KIND
def test_the_variance_of_a_normal(kind: str) -> None:
    """Overdamped 1 / (1 - h / 2), underdamped 1, in units of the site."""
    h, scale = 0.5, 40.0
    size = h * (scale**2 if kind == "overdamped" else scale)
    settings = {"num_warmup": 20, "num_samples": 100, "num_chains": 2000, "progress": False}
    engine = Langevin(kind=kind, step_size=size, friction=1 / scale, **settings)
    x = engine.run(lambda: pyro.sample("x", dist.Normal(500.0, scale))).draws["x"].double()
    each = ((x - 500.0) / scale).square().mean(1)
    expected = 1 / (1 - h / 2) if kind == "overdamped" else 1.0
    assert abs(float(each.mean()) - expected) < 4 * float(each.std()) / math.sqrt(len(each))


@KIND
def test_warm_up_finds_units_and_steps(kind: str) -> None:
    """Of sites whose scales are 10^5 apart: means within Monte Carlo error, sds within the bias that the docstring says."""

    def program() -> None:
        pyro.sample("wide", dist.Normal(700.0, 300.0))
        pyro.sample("narrow", dist.Normal(-0.5, 0.003))

    posterior = Langevin(kind=kind, num_warmup=400, num_samples=1000, progress=False).run(program)
    for name, mean, sd in (("wide", 700.0, 300.0), ("narrow", -0.5, 0.003)):
        x = posterior.draws[name].double()
        ess = float(ess_and_rhat(x[..., None].numpy())[0][0])
        assert ess > 500
        assert abs(float(x.mean()) - mean) < 4 * sd / math.sqrt(ess)
        assert 0.93 < float(x.std()) / sd < 1.1


# Minibatches


def test_stochastic_gradients_on_a_conjugate_regression() -> None:
    """10^4 rows, 200 at a time. In a posterior of precision P, gradient noise of covariance V that is new at every step makes the
    variance (1 + h V / 2) / (1 - h P / 2) times P^-1; that of an epoch adds up to nothing, so there is less of it, but some."""
    generator = torch.Generator().manual_seed(2)
    rows, batch, noise, h = 10_000, 200, 3.0, 0.02
    x = torch.randn(rows, 2, generator=generator, dtype=torch.float64)
    y = x @ torch.tensor([4.0, -7.0], dtype=torch.float64) + noise * torch.randn(rows, generator=generator, dtype=torch.float64)

    def regression(x: Tensor, y: Tensor) -> None:
        slopes = pyro.sample("slopes", dist.Normal(torch.zeros(2, dtype=torch.float64), 10.0).to_event(1))
        with pyro.plate("data", len(x)):
            pyro.sample("y", dist.Normal(x @ slopes, noise), obs=y)

    precision = x.mT @ x / noise**2 + torch.eye(2) / 100
    mean, covariance = torch.linalg.solve(precision, x.mT @ y / noise**2), torch.linalg.inv(precision)
    most = (1 + h * (rows / batch - 1) / 2) / (1 - h / 2)
    settings = {"num_warmup": 30, "num_samples": 300, "num_chains": 8, "steps_per_draw": 10, "progress": False, "start": {"slopes": mean}}
    size = h / float(precision.diagonal().mean())
    draws = Langevin(step_size=size, batch_size=batch, **settings).run(regression, x, y).draws["slopes"].double()
    ess = torch.as_tensor(ess_and_rhat(draws.numpy())[0]) / 8  # rows are shared by the chains
    sd = covariance.diagonal().sqrt()
    assert (ess > 20).all()
    assert ((draws.mean((0, 1)) - mean).abs() < 4 * sd * (most / ess) ** 0.5).all()
    ratio = draws.var((0, 1)) / sd**2
    assert ((ratio > 1) & (ratio < most)).all(), (ratio, most)


def test_a_minibatch_run_goes_on_with_minibatches() -> None:
    """As one that was never cut, and its gradients are counted: one before the first step, and one for each."""

    def program(x: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(0.0, 50.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(loc, 4.0), obs=x)

    data = torch.randn(40, generator=torch.Generator().manual_seed(2)) * 4.0 + 10.0
    engine = Langevin(step_size=0.02, batch_size=10, num_warmup=20, num_samples=80, num_chains=3, progress=False)
    whole = engine.run(program, data)
    parts = replace(engine, num_samples=30).run(program, data).resume(50)
    assert torch.equal(parts.draws["loc"], whole.draws["loc"])
    assert whole.provenance["gradients"] >= 100 * 3
    assert parts.provenance["gradients"] == whole.provenance["gradients"]


def test_decreasing_steps_are_in_the_stats() -> None:
    posterior = Langevin(step_size=2.0, decay=0.6, num_warmup=5, num_samples=20, num_chains=2, progress=False).run(anharmonic)
    expected = 2.0 * (1 + torch.arange(20.0, dtype=torch.float64)) ** -0.6
    assert torch.allclose(posterior.stats["step_size"], expected.expand(2, -1))


def test_an_epoch_sees_every_row_once() -> None:
    def program(x: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(0.0, 50.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(loc, 4.0), obs=x)

    full = Program(program, torch.arange(20.0))
    epochs = Epochs(full.minibatch(6), full)
    seen = torch.cat([epochs.rows(Key(4), step)["arguments"] for step in range(10)])
    for epoch in seen.split(20):
        assert epoch.sort().values.tolist() == list(range(20))
    assert not torch.equal(seen[:20], seen[20:40])


def test_rows_reach_the_graph() -> None:
    """A density shown other rows is the program's own on those rows, scaled up."""
    x = 40 + torch.arange(12.0, dtype=torch.float64)

    def program(x: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(torch.tensor(0.0, dtype=torch.float64), 50.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(loc, 4.0), obs=x)

    rows, at = torch.tensor([7, 2, 9]), torch.tensor([[44.0]], dtype=torch.float64)
    prior, each = dist.Normal(torch.zeros_like(at[0, 0]), 50.0), dist.Normal(at[0, 0], 4.0)
    expected = prior.log_prob(at[0, 0]) + 4 * each.log_prob(x[rows]).sum()
    for lowering in ("native", "recorded", "eager"):
        density = LogDensity(Program(program, x).minibatch(3), lowering=lowering)
        for _ in range(2):
            assert float(density.shown({"arguments": rows}).value_and_grad(at)[0]) == pytest.approx(float(expected), rel=1e-9)


# Many chains, any gradient


@KIND
def test_a_transition_needs_a_gradient_alone(kind: str) -> None:
    """10^4 chains of images 2 x 3, along the score of a normal: their law after a long time is its."""
    key = Key(1, 0, tuple(range(10_000)))
    scale = torch.tensor([[1.0, 2.0, 1.5], [0.5, 1.0, 2.0]])
    walkers = Walkers(torch.full((10_000, 2, 3), 6.0))
    engine = Langevin(kind=kind, step_size=0.02 if kind == "overdamped" else 0.3)
    for draw in range(10):
        walkers = engine.transition(lambda q: (7.0 - q) / scale**2, walkers, key.at(draw), 100)
    x = walkers.position
    assert x.shape == (10_000, 2, 3)
    assert x.dtype == torch.float32
    assert ((x.mean(0) - 7).abs() < 4 * scale / 100 + 0.01).all()
    allowed = 0.05 if kind == "overdamped" else 0.03  # h / 2 over the smallest variance is 0.04; and 4 errors of 0.7 %
    assert ((x.std(0) / scale - 1).abs() < allowed).all()
    again = Langevin(kind=kind, step_size=0.02).transition(lambda q: -q, Walkers(x[:3]), Key(1, 0, (0, 1, 2)), 5)
    three = Langevin(kind=kind, step_size=0.02).transition(lambda q: -q, Walkers(x), key, 5)
    assert torch.equal(again.position, three.position[:3])


def test_ten_thousand_chains_are_one_call() -> None:
    def ring() -> None:
        x = pyro.sample("x", dist.Normal(0.0, 10.0).expand([2]).to_event(1))
        pyro.factor("energy", -((x.square().sum().sqrt() - 2) ** 2) / 0.1)

    engine = Langevin(step_size=0.002, num_chains=10_000, num_warmup=0, num_samples=1, steps_per_draw=500, progress=False)
    x = engine.run(ring).draws["x"]
    assert x.shape == (10_000, 1, 2)
    radius = np.linspace(1e-4, 6, 20001)
    p = radius * np.exp(-(radius**2) / 200 - (radius - 2) ** 2 / 0.1)
    expected = float((radius * p).sum() / p.sum())
    assert float(x.norm(dim=-1).mean()) == pytest.approx(expected, abs=0.02)


# Bad input


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kind": "brownian"}, "kind must be one of overdamped, underdamped; got 'brownian'"),
        ({"metric": "dense"}, "metric must be one of diagonal, variance; got 'dense'"),
        ({"friction": 0.0}, "friction must be positive"),
        ({"decay": 1.5}, "decay must lie between 0 and 1"),
        ({"batch_size": 5}, "with batch_size, Langevin needs a step_size"),
        ({"step_size": -1.0}, "step_size must be positive"),
        ({"steps_per_draw": 0}, "steps_per_draw must be a whole number of at least 1"),
    ],
)
def test_settings_that_make_no_sense(settings: dict[str, object], words: str) -> None:
    with pytest.raises(EngineError, match=words):
        Langevin(**settings)


def test_a_run_without_a_step_size() -> None:
    with pytest.raises(EngineError, match="finds its step size in warm-up"):
        Langevin(num_warmup=0).run(anharmonic)
    with pytest.raises(EngineError, match="has no warm-up that finds a step size"):
        Langevin().transition(lambda q: -q, Walkers(torch.zeros(2, 1)), Key(0, 0, (0, 1)))


def test_latent_sites_of_a_minibatch_are_refused() -> None:
    def program(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Normal(0.0, 30.0))
            pyro.sample("x", dist.Normal(z, 4.0), obs=x)

    with pytest.raises(EngineError, match="'z' belongs to the rows of a minibatch"):
        Langevin(step_size=0.1, batch_size=2).run(program, torch.arange(6.0))


def test_draws_do_not_depend_on_threads_or_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"num_warmup": 40, "num_samples": 30, "num_chains": 3, "progress": False}

    def drawn(density: HandWritten, **more: object) -> Tensor:
        return drive(Langevin(kind="underdamped", **settings, **more), density).draws["position"]

    whole = drawn(eight_schools(True))
    assert torch.equal(whole, drawn(eight_schools(True), threads=1))
    monkeypatch.setattr("ppgen.engine.BLOCK", 1e-9)
    assert torch.equal(whole, drawn(eight_schools(True)))
