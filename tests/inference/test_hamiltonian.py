"""NUTS, HMC and MALA leave a density invariant: begun at exact draws of a curved, skewed target, they end at exact draws.

100 times cheaper than long chains, and sharper: every chain is independent, so a moment's standard error is known.
"""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from ppgen.engine import drive
from ppgen.inference import HMC, MALA, NUTS
from ppgen.inference._blocks import Averaging, State, Workshop
from ppgen.inference._hamiltonian import HamiltonianEngine, crossing, schedule
from ppgen.inference._metric import METRICS, Metric
from ppgen.keys import Key
from tests.tools.machine import curved, eight_schools, normal

COUNT = 10_000


def exact(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    normals = torch.randn(2, count, generator=generator, dtype=torch.float64)
    thirds = torch.rand(3, count, generator=generator, dtype=torch.float64).log().sum(0).neg().log()  # Gamma(3) by exponentials
    x = 30 * normals[0]
    return torch.stack([x, 0.01 * x * x + normals[1], thirds], 1)


def moments(position: Tensor) -> dict[str, tuple[Tensor, float]]:
    """Functions of draws and their exact means."""
    x, rest, z = position[:, 0] / 30, position[:, 1] - 0.01 * position[:, 0] ** 2, position[:, 2]
    euler = 0.57721566490153286
    return {
        "x": (x, 0.0),
        "x^2": (x**2, 1.0),
        "rest": (rest, 0.0),
        "rest^2": (rest**2, 1.0),
        "x rest": (x * rest, 0.0),
        "x^2 rest^2": (x**2 * rest**2, 1.0),
        "z": (z, 1.5 - euler),  # digamma(3)
        "exp z": (z.exp(), 3.0),
        "exp 2z": ((2 * z).exp(), 12.0),
    }


def metric(count: int, kind: str) -> Metric:
    scale = torch.tensor([3.0, 1.0, 0.7], dtype=torch.float64)
    if kind == "dense":
        matrix = torch.tensor([[1.0, 0.3, 0.0], [0.3, 1.0, 0.4], [0.0, 0.4, 1.0]], dtype=torch.float64)
        return Metric.dense(scale[None], torch.linalg.cholesky(matrix)[None]).shared(count)
    if kind == "low rank":
        at = Metric.diagonal(scale[None], 2)
        at.vectors[0, 0] = torch.tensor([0.6, 0.8, 0.0], dtype=torch.float64)
        at.values[0, 0] = 4.0
        return at.shared(count)
    return Metric.diagonal(scale[None]).shared(count)


@pytest.mark.parametrize("step_size", [0.1, 0.7, 1.4])
@pytest.mark.parametrize(
    ("engine", "kind", "native"),
    [
        (NUTS(max_tree_depth=6), "diagonal", True),
        (NUTS(max_tree_depth=3), "dense", False),
        (NUTS(max_tree_depth=4), "low rank", True),
        (HMC(trajectory_length=5.0), "diagonal", False),
        (HMC(trajectory_length=2.0), "dense", True),
        (MALA(), "low rank", False),
    ],
    ids=["nuts deep", "nuts shallow dense", "nuts low rank", "hmc long", "hmc short dense", "mala low rank"],
)
def test_the_density_is_invariant(engine: HamiltonianEngine, kind: str, native: bool, step_size: float) -> None:
    density, key = curved(native), Key(11, 0, tuple(range(COUNT)))
    position = exact(COUNT)
    state = State(position, *density.value_and_grad(position))
    step = torch.full((COUNT,), step_size, dtype=torch.float64)
    workshop = Workshop(density, engine.sampler, np.zeros(1, np.int64))
    drawn = workshop.draw(state, step, Averaging(*[torch.zeros_like(step)] * 4), metric(COUNT, kind), key, 3, 0.0)
    state = drawn.state
    assert (state.position != position).any(1).double().mean() > 0.2
    for name, (values, mean) in moments(state.position).items():
        z = (values.mean() - mean) / (values.std() / math.sqrt(COUNT))
        assert abs(z) < 4, f"{name}: {float(z):.1f} standard errors off"
    value, gradient = density.value_and_grad(state.position)
    assert torch.allclose(value, state.log_density, rtol=1e-12, atol=1e-9)
    assert torch.allclose(gradient, state.gradient, rtol=1e-12, atol=1e-9)
    assert (drawn.stats["n_steps"] >= 1).all()


def test_the_energy_error_is_of_second_order_in_the_step_size() -> None:
    """HMC over a fixed time: half the step, a quarter of the error."""
    density, position = curved(False), exact(500)
    state = State(position, *density.value_and_grad(position))
    errors = []
    for step in (0.04, 0.02, 0.01):
        engine = HMC(trajectory_length=0.4, jitter=0.0)
        sizes = torch.full((500,), step, dtype=torch.float64)
        drawn = Workshop(density, engine.sampler, np.zeros(1, np.int64)).draw(
            state, sizes, Averaging(*[torch.zeros_like(sizes)] * 4), metric(500, "dense"), Key(3, 0, tuple(range(500))), 1, 0.0
        )
        assert (drawn.stats["n_steps"] == round(0.4 / step)).all()
        errors.append((1 - drawn.stats["acceptance_rate"]).mean().log2())
    assert 1.8 < errors[0] - errors[1] < 2.2
    assert 1.8 < errors[1] - errors[2] < 2.2


@pytest.mark.parametrize("num_warmup", [20, 21, 60, 150, 400, 1000, 2500])
def test_windows(num_warmup: int) -> None:
    """Each holds the newer half of what was drawn, they grow by half, and the last ends where the step size alone is left."""
    windows = schedule(num_warmup)
    assert [len(w) for w in windows] == [(w.stop + 1) // 2 for w in windows]
    assert windows[0].stop <= max(10, num_warmup * 4 // 5)
    assert num_warmup - windows[-1].stop == min(80, num_warmup // 5)
    for before, after in itertools.pairwise(windows):
        assert before.start < after.start
        assert 1.2 < after.stop / before.stop < 2
    assert all(len(w) >= 5 for w in windows)


def test_a_short_warmup_has_no_windows() -> None:
    assert schedule(19) == schedule(0) == ()


def test_a_metric_is_estimated_from_its_windows_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draw by draw and in long blocks; draws and gradients are those that were made."""
    seen: list[tuple[Tensor, Tensor]] = []
    estimate = METRICS["diagonal"].estimate

    def watched(self: object, draws: Tensor, gradients: Tensor, pooled: bool = False) -> Metric:
        seen.append((draws, gradients))
        return estimate(draws, gradients, pooled)

    monkeypatch.setattr(type(METRICS["diagonal"]), "estimate", watched)
    density, engine = (
        normal(np.array([0.1, 3.0]), True),
        NUTS(num_warmup=60, num_samples=1, num_chains=2, metric="diagonal", progress=False),
    )
    drive(engine, density)
    assert [d.shape[1] for d, _ in seen] == [len(w) for w in schedule(60)]
    for draws, gradients in seen:
        assert torch.allclose(gradients, -draws / torch.tensor([0.01, 9.0], dtype=torch.float64))
    for (before, _), (after, _), w, v in zip(seen, seen[1:], schedule(60), schedule(60)[1:], strict=False):
        assert torch.equal(before[:, v.start - w.start :], after[:, : w.stop - v.start])  # where they overlap


def test_the_first_step_size_is_neither_hopeless_nor_timid() -> None:
    """Doubled or halved until one step's acceptance crosses 0.8: a normal of scale 1e-3 and one of 1e3 get steps of theirs."""
    for scale in (1e-3, 1e3):
        density = normal(np.full(5, scale), False)
        position = scale * torch.ones(8, 5, dtype=torch.float64)
        state = State(position, *density.value_and_grad(position))
        unit, one = Metric.diagonal(torch.ones_like(position)), torch.ones(8, dtype=torch.float64)
        step = crossing(density, state, one, unit, Key(0, 0, tuple(range(8))), 0)
        assert ((step / scale > 0.1) & (step / scale < 4)).all()


@pytest.mark.parametrize("aim", [0.7, 0.8, 0.9])
@pytest.mark.parametrize("engine", [NUTS, HMC])
def test_the_acceptance_rate_is_what_is_asked_for(engine: type[HamiltonianEngine], aim: float) -> None:
    """Mean over six seeds and two targets."""
    for target in (normal(np.geomspace(0.1, 30.0, 40), native=True), eight_schools(native=True)):
        rates = [drive(engine(seed=s, target_accept_prob=aim, num_samples=300, progress=False), target).stats for s in range(6)]
        assert float(torch.stack([r["acceptance_rate"].mean() for r in rates]).mean()) == pytest.approx(aim, abs=0.04)
