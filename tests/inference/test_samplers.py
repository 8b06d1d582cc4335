"""The compiled samplers against batched torch (tests/tools/nuts_batched.py): the same draws from the same keys, position, step size
and metric; and what draws do not depend on."""

import gc
import math
import os
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from ppgen import engine as engine_module
from ppgen.engine import drive
from ppgen.errors import PpgenWarning
from ppgen.inference import HMC, MALA, NUTS
from ppgen.inference._blocks import Averaging, Drawn, State, Workshop
from ppgen.inference._hamiltonian import HamiltonianEngine
from ppgen.inference._metric import Metric
from ppgen.keys import Key
from ppgen.normals import SPILL, normals
from tests.tools import nuts_batched as oracle
from tests.tools.machine import HandWritten, curved, eight_schools, normal

CHAINS = 4
SCALES = np.geomspace(0.01, 100.0, 7)
RUNG = pytest.mark.parametrize("native", [False, True], ids=["batched", "native"])
ENGINES = {"nuts": NUTS(max_tree_depth=7), "hmc": HMC(), "hmc cut": HMC(trajectory_length=3.0, max_num_steps=4), "mala": MALA()}
TARGETS: dict[str, Callable[[bool], HandWritten]] = {"normal": lambda native: normal(SCALES, native), "eight schools": eight_schools}


def start(density: HandWritten, chains: int = CHAINS) -> State:
    position = Key(5, 0, tuple(range(chains))).normal(9, (chains, density.dim))
    if density.dim == len(SCALES):
        position = position * torch.from_numpy(SCALES)
    return State(position, *density.value_and_grad(position.to(density.dtype)))


def matrix(density: HandWritten, kind: str) -> Tensor:
    """An inverse mass matrix (chains, dim, dim) that is nearly the right one, another for each chain."""
    dim = density.dim
    scale = torch.from_numpy(SCALES) if dim == len(SCALES) else torch.linspace(0.7, 2.0, dim, dtype=torch.float64)
    noise = torch.randn(CHAINS, dim, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    inner = torch.eye(dim) + 0.2 * noise @ noise.mT if kind == "dense" else torch.diag_embed(0.5 + noise[..., 0].sigmoid())
    return scale[:, None] * inner * scale


def metric(inverse: Tensor, kind: str) -> Metric:
    scale = inverse.diagonal(dim1=1, dim2=2).sqrt()
    return Metric.dense(scale, torch.linalg.cholesky(inverse) / scale[..., None]) if kind == "dense" else Metric.diagonal(scale)


def block(density: HandWritten, engine: HamiltonianEngine, state: State, at: Metric, count: int, **given: object) -> Drawn:
    chains = len(state.position)
    step = torch.full((chains,), 0.4, dtype=torch.float64) * (1 + torch.arange(chains) / 10)
    averaging = Averaging(*(torch.zeros(chains, dtype=torch.float64) for _ in range(4)))
    key = Key(2**63 + 7, given.pop("draw", 11), tuple(range(chains)))
    workshop = Workshop(density, engine.sampler, np.zeros(1, np.int64), given.pop("threads", None))
    return workshop.draw(state, given.pop("step", step), averaging, at, key, count, given.pop("aim", 0.0))


def by_oracle(
    density: HandWritten, engine: HamiltonianEngine, state: State, inverse: Tensor, count: int
) -> tuple[Tensor, dict[str, Tensor]]:
    at, positions, stats = oracle.Point(*state), [], []
    step = torch.full((CHAINS,), 0.4, dtype=torch.float64) * (1 + torch.arange(CHAINS) / 10)
    for draw in range(11, 11 + count):
        key = Key(2**63 + 7, draw, tuple(range(CHAINS)))
        given = (density.value_and_grad, at, step, oracle.Metric.of(inverse), key)
        if isinstance(engine, NUTS):
            at, info = oracle.nuts_draw(*given, engine.max_tree_depth)
        else:
            at, info = oracle.hmc_draw(*given, *engine.sampler.settings)
        positions.append(at.position)
        stats.append(info)
    return torch.stack(positions, 1), {k: torch.stack([s[k] for s in stats], 1) for k in stats[0]}


@RUNG
@pytest.mark.parametrize("kind", ["diagonal", "dense"])
@pytest.mark.parametrize("name", ENGINES, ids=list(ENGINES))
@pytest.mark.parametrize("target", list(TARGETS))
def test_fifty_draws_are_those_of_batched_torch(target: str, name: str, kind: str, native: bool) -> None:
    density, engine = TARGETS[target](native), ENGINES[name]
    state, inverse = start(density), matrix(density, kind)
    drawn = block(density, engine, state, metric(inverse, kind), 50)
    positions, stats = by_oracle(density, engine, state, inverse, 50)
    unit = torch.from_numpy(SCALES) if target == "normal" else 1.0
    assert float(((drawn.positions - positions) / unit).abs().max()) < 1e-8
    for stat, expected in stats.items():
        assert torch.allclose(drawn.stats[stat].double(), expected.double(), rtol=0, atol=1e-8), stat
    assert (drawn.stats["n_steps"].double().mean() > 2) or isinstance(engine, MALA)
    assert torch.equal(drawn.state.position, drawn.positions[:, -1])
    value, gradient = density.value_and_grad(drawn.state.position)
    assert torch.allclose(drawn.state.log_density, value, atol=1e-9)
    assert torch.allclose(drawn.state.gradient, gradient, rtol=1e-9, atol=1e-9)


def test_mala_by_its_own_formula() -> None:
    """Proposal and acceptance as Langevin's: drift by half the step squared, densities of the way there and of the way back."""
    density, chains = eight_schools(True), 200
    state = start(density, chains)
    scale = torch.linspace(0.5, 1.5, density.dim, dtype=torch.float64)
    step = torch.full((chains,), 0.9, dtype=torch.float64)
    drawn = block(density, MALA(), state, Metric.diagonal(scale.expand(chains, -1).contiguous()), 1, step=step)
    key = Key(2**63 + 7, 11, tuple(range(chains)))
    eps, covariance = 0.9, scale**2
    there = state.position + eps**2 / 2 * covariance * state.gradient + eps * scale * key.normal(0, (chains, density.dim))
    value, gradient = density.value_and_grad(there)

    def log_q(to: Tensor, start: Tensor, slope: Tensor) -> Tensor:
        return -0.5 * ((to - start - eps**2 / 2 * covariance * slope).square() / (eps**2 * covariance)).sum(1)

    ratio = value - state.log_density + log_q(state.position, there, gradient) - log_q(there, state.position, state.gradient)
    rate = ratio.clamp(max=0.0).exp()
    assert torch.allclose(drawn.stats["acceptance_rate"][:, 0], rate, atol=1e-10)
    moved = (drawn.positions[:, 0] != state.position).any(1)
    assert 20 < int(moved.sum()) < 180
    assert torch.allclose(drawn.positions[moved, 0], there[moved], atol=1e-12)
    assert (moved == (key.uniform(4, (chains, 1))[:, 0] < rate)).all()


def same(a: Drawn, b: Drawn, chains: slice = slice(None)) -> bool:
    pairs = [(a.positions[chains], b.positions), (a.gradients[chains], b.gradients), (a.step_size[chains], b.step_size)]
    pairs += [(a.stats[n][chains], b.stats[n]) for n in a.stats] + [(x[chains], y) for x, y in zip(a.state, b.state, strict=True)]
    return all(torch.equal(x, y) for x, y in pairs)


@pytest.mark.parametrize("engine", [NUTS(), HMC(), MALA()], ids=["nuts", "hmc", "mala"])
def test_draws_depend_neither_on_threads_nor_on_other_chains(engine: HamiltonianEngine) -> None:
    density = eight_schools(True)
    state, at = start(density), metric(matrix(density, "dense"), "dense")
    four = block(density, engine, state, at, 200, aim=0.8, threads=4)
    assert same(four, block(density, engine, state, at, 200, aim=0.8, threads=1))
    one = block(density, engine, State(*(x[:1] for x in state)), Metric(*(x[:1] for x in at)), 200, aim=0.8)
    assert same(four, one, slice(0, 1))


@RUNG
def test_a_chain_of_nan_leaves_the_others_alone(native: bool) -> None:
    density = curved(native)
    position = torch.tensor([[3.0, 1.0, 0.5], [600.0, 1.0, 0.5], [-20.0, 4.0, 1.0]], dtype=torch.float64)
    state = State(position, *density.value_and_grad(position))
    assert state.log_density[1].isnan()
    unit = Metric.diagonal(torch.ones(3, 3, dtype=torch.float64))
    drawn = block(density, NUTS(), state, unit, 30, aim=0.8)
    state.position[1] = torch.tensor([5.0, 0.0, 0.0])
    sound = block(density, NUTS(), State(state.position, *density.value_and_grad(state.position)), unit, 30, aim=0.8)
    for chain in (0, 2):
        assert torch.equal(drawn.positions[chain], sound.positions[chain])
    assert (drawn.positions[1] == torch.tensor([600.0, 1.0, 0.5])).all()
    assert drawn.stats["diverging"][1].all()
    assert (drawn.stats["n_steps"][1] == 1).all()


@RUNG
def test_chains_told_to_stop_end_at_one_draw(native: bool) -> None:
    """Those behind catch up with the first, and every draw is that of an unbroken run."""
    density, flag = eight_schools(native), np.zeros(1, np.int64)
    state, at = start(density), metric(matrix(density, "diagonal"), "diagonal")
    step = torch.tensor([0.05, 0.2, 0.4, 0.8], dtype=torch.float64)  # trees of all sizes
    count = 2_000_000 if native else 300
    begun = density.batched

    def told(position: Tensor) -> tuple[Tensor, Tensor]:
        flag[0] = density.evaluations > 400
        return begun(position)

    density.batched = told
    workshop = Workshop(density, NUTS().sampler, flag, 4)
    none = Averaging(*[torch.zeros(CHAINS, dtype=torch.float64)] * 4)
    if native:
        NUTS().sampler.compile(native)
        threading.Timer(0.5, lambda: flag.__setitem__(0, 1)).start()
    cut = workshop.draw(state, step, none, at, Key(3, 0, (0, 1, 2, 3)), count, 0.0)
    made = cut.positions.shape[1]
    assert 0 < made < count
    flag[0] = 0
    density.batched = begun
    whole = workshop.draw(state, step, none, at, Key(3, 0, (0, 1, 2, 3)), made, 0.0)
    assert same(whole, cut)


@RUNG
def test_single_precision(native: bool) -> None:
    """The density's numbers are of single precision, the sampler's own are not: the first draws are nearly those in double."""
    engine, double = NUTS(max_tree_depth=6), normal(SCALES, native)
    single = normal(SCALES, native, torch.float32)
    state, at = start(double), metric(matrix(double, "diagonal"), "diagonal")
    expected, drawn = (block(density, engine, state, at, 2) for density in (double, single))
    assert ((drawn.positions - expected.positions).abs() < 1e-4 * torch.from_numpy(SCALES)).all()
    assert not torch.equal(drawn.positions, expected.positions)
    assert drawn.positions.dtype == torch.float64


def test_dual_averaging() -> None:
    """The step size after each draw by the published recursion from the acceptance rates."""
    density = eight_schools(True)
    state, at = start(density, 1), Metric.diagonal(torch.ones(1, density.dim, dtype=torch.float64))
    first = torch.tensor([0.4], dtype=torch.float64)
    zero = torch.zeros(1, dtype=torch.float64)
    averaging = Averaging((10 * first).log(), zero, zero, zero)
    workshop = Workshop(density, NUTS().sampler, np.zeros(1, np.int64))
    drawn = workshop.draw(state, first, averaging, at, Key(0, 0, (0,)), 40, 0.8)
    error, log_average, sizes = 0.0, 0.0, [0.4]
    for t, rate in enumerate(drawn.stats["acceptance_rate"][0].tolist(), start=1):
        error += (0.8 - rate - error) / (t + 10)
        log_step = math.log(4.0) - math.sqrt(t) / 0.05 * error
        log_average += t**-0.75 * (log_step - log_average)
        sizes.append(math.exp(log_step))
    assert drawn.stats["step_size"][0].tolist() == pytest.approx(sizes[:-1], rel=1e-12)
    assert float(drawn.step_size) == pytest.approx(sizes[-1], rel=1e-12)
    assert float(drawn.averaging.average) == pytest.approx(log_average, rel=1e-12)


@pytest.mark.parametrize("count", [1, 2, 7, 16, 333])
def test_normals_are_those_of_the_key(count: int) -> None:
    out = np.full(count + SPILL, math.nan)
    for draw in range(20):
        normals(out.ctypes.data, count, np.uint64(2**63 + 5), 2, draw, 3)
        expected = Key(2**63 + 5, draw, (3,)).normal(2, (1, count))[0].numpy()
        assert np.abs(out[:count] - expected).max() < 1e-14


@RUNG
@pytest.mark.parametrize("engine", [NUTS, HMC, MALA])
def test_draws_do_not_depend_on_where_blocks_end(engine: type[HamiltonianEngine], native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Through all of warm-up, its windows and metrics, to the bit."""
    settings = {"num_warmup": 60, "num_samples": 30, "num_chains": 2, "progress": False, "seed": 3}
    whole = drive(engine(**settings), eight_schools(native))
    assert whole.draws["position"].shape == (2, 30, 10)
    assert (whole.stats["step_size"] == whole.stats["step_size"][:, :1]).all()
    for seconds in (1e-9, 3e-4):
        monkeypatch.setattr(engine_module, "BLOCK", seconds)
        parts = drive(engine(**settings), eight_schools(native))
        assert torch.equal(parts.draws["position"], whole.draws["position"])
        assert all(torch.equal(parts.stats[n], whole.stats[n]) for n in whole.stats)


def test_native_and_batched_runs_are_of_one_law() -> None:
    """Adapted runs differ by rounding that grows, not by their moments: eight schools, whose posterior mean of mu is 4.4."""
    for native in (True, False):
        run = drive(NUTS(num_warmup=300, num_samples=1000, progress=False), eight_schools(native))
        mu, tau = run.draws["position"][..., 0], run.draws["position"][..., 1].exp()
        assert float(mu.mean()) == pytest.approx(4.4, abs=0.4)
        assert float(mu.std()) == pytest.approx(3.3, abs=0.3)
        assert float(tau.mean()) == pytest.approx(3.6, abs=0.4)


@RUNG
def test_gradients_are_counted_once(native: bool) -> None:
    density = eight_schools(native)
    state, at = start(density), metric(matrix(density, "diagonal"), "diagonal")
    before = density.evaluations
    drawn = block(density, NUTS(), state, at, 30)
    assert density.evaluations - before == int(drawn.stats["n_steps"].sum())


def test_ctrl_c_ends_a_native_run_between_two_draws() -> None:
    """While threads run machine code: what was drawn is kept, and is what an unbroken run draws."""
    engine = NUTS(num_warmup=20, num_samples=4_000_000, num_chains=3, progress=False)
    drive(replace(engine, num_samples=1), eight_schools(True))  # compiled
    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, 1.5)
    begin = time.perf_counter()
    with pytest.warns(PpgenWarning, match="interrupted after"):
        cut = drive(engine, eight_schools(True))
    assert time.perf_counter() - begin < 10
    assert cut.interrupted
    kept = cut.draws["position"].shape[1]
    assert 10 < kept < 4_000_000
    whole = drive(replace(engine, num_samples=kept), eight_schools(True))
    assert torch.equal(whole.draws["position"], cut.draws["position"])


def test_runs_leave_no_threads_behind() -> None:
    engine = NUTS(num_warmup=20, num_samples=5, progress=False)
    drive(engine, eight_schools(True))
    gc.collect()
    gc.disable()
    try:
        before = threading.active_count()
        for _ in range(20):
            drive(engine, eight_schools(True))
        time.sleep(0.2)
        assert threading.active_count() <= before
    finally:
        gc.enable()


def resident() -> float:
    """Mebibytes of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.mark.slow
def test_a_thousand_runs_leave_no_memory_behind() -> None:
    """Each of a program on data of its own: recorded, compiled, sampled."""

    def program(x: Tensor) -> None:
        loc = pyro.sample("loc", dist.Normal(0.0, 50.0))
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(loc, 5.0), obs=x)

    x = 40.0 + 5.0 * torch.randn(20, generator=torch.Generator().manual_seed(0))
    engine = NUTS(num_warmup=50, num_samples=50, num_chains=2, progress=False)
    before = 0.0
    for run in range(1000):
        engine.run(program, x + 0.01 * run)
        if run == 200:
            gc.collect()
            before = resident()
    gc.collect()
    assert resident() - before < 10.0
