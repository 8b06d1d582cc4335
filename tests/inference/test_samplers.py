"""The compiled samplers against batched torch (tests/tools/nuts_batched.py): the same draws from the same keys, position, step size
and metric; and what draws do not depend on."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from ppgen.inference import HMC, MALA, NUTS
from ppgen.inference._blocks import Averaging, Drawn, State, Workshop, evaluate
from ppgen.inference._hamiltonian import HamiltonianEngine, crossing
from ppgen.inference._metric import Metric
from ppgen.keys import Key
from tests.tools import nuts_batched as oracle
from tests.tools.machine import HandWritten, eight_schools, normal

CHAINS = 4
SCALES = np.geomspace(0.01, 100.0, 7)
RUNG = pytest.mark.parametrize("native", [False, True], ids=["batched", "native"])
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


def by_oracle(density: HandWritten, engine: HamiltonianEngine, state: State, inverse: Tensor, count: int) -> tuple[Tensor, dict[str, Tensor]]:
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
@pytest.mark.parametrize("engine", [NUTS(max_tree_depth=7), HMC(), HMC(trajectory_length=3.0, max_num_steps=4), MALA()], ids=repr)
@pytest.mark.parametrize("target", list(TARGETS))
def test_fifty_draws_are_those_of_batched_torch(target: str, engine: HamiltonianEngine, kind: str, native: bool) -> None:
    density = TARGETS[target](native)
    state, inverse = start(density), matrix(density, kind)
    drawn = block(density, engine, state, metric(inverse, kind), 50)
    positions, stats = by_oracle(density, engine, state, inverse, 50)
    unit = torch.from_numpy(SCALES) if target == "normal" else 1.0
    assert float(((drawn.positions - positions) / unit).abs().max()) < 1e-8
    for name, expected in stats.items():
        assert torch.allclose(drawn.stats[name].double(), expected.double(), rtol=0, atol=1e-8), name
    assert (drawn.stats["n_steps"].double().mean() > 2) or isinstance(engine, MALA)
    assert torch.equal(drawn.state.position, drawn.positions[:, -1])
    value, gradient = density.value_and_grad(drawn.state.position)
    assert torch.allclose(drawn.state.log_density, value, atol=1e-9)
    assert torch.allclose(drawn.state.gradient, gradient, rtol=1e-9, atol=1e-9)
