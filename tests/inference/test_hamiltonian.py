"""NUTS and HMC leave a density invariant: begun at exact draws of a curved, skewed target, they end at exact draws.

100 times cheaper than long chains, and sharper: every chain is independent, so a moment's standard error is known.
"""

import math
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from ppgen.inference import HMC, NUTS
from ppgen.inference._hamiltonian import (
    HamiltonianEngine,
    Metric,
    Moments,
    State,
    Tuning,
    _pool,
    _with,
    crossing,
    leapfrog,
    phase,
    schedule,
)
from ppgen.keys import Key

COUNT = 40_000


@dataclass
class Curved:
    """x ~ Normal(0, 30), y | x ~ Normal(0.01 x^2, 1), exp(z) ~ Gamma(3, 1)."""

    evaluations: int = 0

    def value_and_grad(self, position: Tensor) -> tuple[Tensor, Tensor]:
        self.evaluations += 1
        x, y, z = position.unbind(1)
        rest = y - 0.01 * x * x
        value = -0.5 * (x / 30) ** 2 - 0.5 * rest**2 + 3 * z - z.exp()
        return value, torch.stack([-x / 900 + 0.02 * rest * x, -rest, 3 - z.exp()], 1)


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


def metric(count: int, dense: bool) -> Metric:
    matrix = torch.tensor([[9.0, 0.8, 0.0], [0.8, 1.0, 0.3], [0.0, 0.3, 0.5]], dtype=torch.float64)
    matrix = matrix if dense else matrix.diagonal()
    return Metric.of(matrix.expand(count, *matrix.shape).contiguous())


@pytest.mark.parametrize("step_size", [0.1, 0.7, 1.4])
@pytest.mark.parametrize(
    ("engine", "dense"),
    [
        (NUTS(max_tree_depth=6), False),
        (NUTS(max_tree_depth=3), True),
        (HMC(trajectory_length=5.0), False),
        (HMC(trajectory_length=2.0), True),
    ],
    ids=["nuts deep", "nuts shallow dense", "hmc long", "hmc short dense"],
)
def test_the_density_is_invariant(engine: HamiltonianEngine, dense: bool, step_size: float) -> None:
    density, key = Curved(), Key(11, 0, tuple(range(COUNT)))
    position = exact(COUNT)
    state = State(position, *density.value_and_grad(position))
    tuning = Tuning(torch.full((COUNT,), step_size, dtype=torch.float64), metric(COUNT, dense), None, None)
    for draw in range(3):
        state, info = engine.step(density, state, tuning, key.at(draw))
    assert (state.position != position).any(1).double().mean() > 0.2
    for name, (values, mean) in moments(state.position).items():
        z = (values.mean() - mean) / (values.std() / math.sqrt(COUNT))
        assert abs(z) < 4, f"{name}: {float(z):.1f} standard errors off"
    value, gradient = density.value_and_grad(state.position)
    assert torch.equal(value, state.log_density)
    assert torch.equal(gradient, state.gradient)
    assert (info.n_steps >= 1).all()


def test_leapfrog_returns_and_its_energy_error_is_of_second_order() -> None:
    density, position = Curved(), exact(500)
    state = State(position, *density.value_and_grad(position))
    at = metric(500, True)
    start = phase(state, at.momentum(Key(3, 0, tuple(range(500))).normal(0, (500, 3))), at)
    errors = []
    for step in (0.04, 0.02, 0.01):
        there = start
        for _ in range(round(0.4 / step)):
            there = leapfrog(density, there, torch.full((500, 1), step, dtype=torch.float64), at)
        errors.append((there.log_joint - start.log_joint).abs().median().log2())
        back = there._replace(momentum=-there.momentum)
        for _ in range(round(0.4 / step)):
            back = leapfrog(density, back, torch.full((500, 1), step, dtype=torch.float64), at)
        assert torch.allclose(back.position, start.position, atol=1e-9)
    assert 1.8 < errors[0] - errors[1] < 2.2
    assert 1.8 < errors[1] - errors[2] < 2.2


@pytest.mark.parametrize("dense", [False, True])
def test_momenta_have_the_mass_matrix_as_covariance(dense: bool) -> None:
    at = metric(COUNT, dense)
    momenta = at.momentum(Key(2, 0, tuple(range(COUNT))).normal(0, (COUNT, 3)))
    inverse = at.inverse_mass_matrix[0] if dense else at.inverse_mass_matrix[0].diag()
    product = torch.cov(momenta.T) @ inverse
    assert torch.allclose(product, torch.eye(3, dtype=torch.float64), atol=0.05)
    assert torch.allclose(at.velocity(momenta), momenta @ inverse, atol=1e-12)


@pytest.mark.parametrize(
    ("num_warmup", "first", "ends"),
    [  # Stan's, by its own rules: 75, then 25, 50, 100, ... as long as the next one fits, then 50
        (1000, 75, [100, 150, 250, 450, 950]),
        (500, 75, [100, 150, 250, 450]),
        (150, 75, [100]),
        (100, 15, [90]),
        (20, 3, [18]),
        (19, 0, []),
        (0, 0, []),
    ],
)
def test_windows(num_warmup: int, first: int, ends: list[int]) -> None:
    window, last_draws = schedule(num_warmup)
    assert window.start == first
    assert sorted(d + 1 for d in last_draws) == ends
    assert window.stop == (ends[-1] if ends else 0)


@pytest.mark.parametrize("dense", [False, True])
def test_moments_of_a_window(dense: bool) -> None:
    """Welford's sums and those pooled over chains are the sample covariances; far from 0, where naive sums would fail."""
    draws = 1e6 + torch.randn(50, 4, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * torch.tensor([1.0, 5.0, 0.1])
    zeros = torch.zeros(4, 3, 3) if dense else torch.zeros(4, 3)
    so_far = Moments(torch.zeros(4), torch.zeros(4, 3, dtype=torch.float64), zeros.double())
    for draw in draws:
        so_far = _with(so_far, draw)
    pooled = _pool(so_far)
    for chain in range(4):
        for got, rows in ((so_far, draws[:, chain]), (pooled, draws.reshape(-1, 3))):
            covariance = torch.cov(rows.T)
            expected = covariance if dense else covariance.diagonal()
            assert torch.allclose(got.squares[chain] / (got.draws[chain] - 1), expected, rtol=1e-5, atol=1e-9)
            assert torch.allclose(got.mean[chain], rows.mean(0))


def test_the_first_step_size_is_neither_hopeless_nor_timid() -> None:
    """Doubled or halved until one step's acceptance crosses 0.8: a normal of scale 1e-3 and one of 1e3 get steps of theirs."""
    for scale in (1e-3, 1e3):

        class Normal:
            def value_and_grad(self, position: Tensor, scale: float = scale) -> tuple[Tensor, Tensor]:
                return -0.5 * (position / scale).square().sum(1), -position / scale**2

        position = scale * torch.ones(8, 5, dtype=torch.float64)
        state = State(position, *Normal().value_and_grad(position))
        unit, one = Metric.of(torch.ones_like(position)), torch.ones(8, dtype=torch.float64)
        step = crossing(Normal(), state, one, unit, Key(0, 0, tuple(range(8))), 0)
        assert ((step / scale > 0.1) & (step / scale < 4)).all()
