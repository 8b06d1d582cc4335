"""The reading of EM: weights by brute force, Q's derivatives by differences, and what is told of points."""

import itertools
import math
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from torch import Tensor
from torch.distributions import constraints

from ppgen.completion import Completion
from ppgen.errors import EngineError
from ppgen.program import Program
from tests.tools.flat import flat, hidden, normals, table

POINTS = 3


def completion(program: Any, *args: Any, lowering: str = "auto", priors: bool = True) -> tuple[Completion, Tensor]:
    """Of 3 random points, and those."""
    made = Completion(Program(program, *args), points=POINTS, priors=priors, lowering=lowering)
    return made, 0.5 * torch.randn(POINTS, made.dim, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def values(made: Completion, points: Tensor) -> dict[str, Tensor]:
    return made.density.constrain(torch.stack([made.position(p) for p in points]))


DATA = torch.tensor([1.5, -0.3, 2.2, 0.4, 3.1], dtype=torch.float64)
COUNTS = torch.tensor([3.0, 1.0, 0.0, 4.0], dtype=torch.float64)
TABLE = tuple(torch.tensor(v, dtype=torch.float64) for v in ([1, 0, 1, 0], [0, 0, 1, 1], [1, 1, 0, 0]))
SEEN = torch.tensor([[1, 1, 1], [0, 1, 1], [0, 0, 1], [1, 0, 0]]).bool()


@pytest.mark.parametrize("lowering", ["native", "recorded"])
def test_weights_of_a_mixture_are_its_responsibilities(lowering: str) -> None:
    made, points = completion(normals(3), DATA, lowering=lowering)
    value, weights = made.evidence(points)
    at = values(made, points)
    log_p = torch.distributions.Normal(at["loc"][:, None], at["scale"][:, None]).log_prob(DATA[:, None]) + at["weights"].log()[:, None]
    assert torch.allclose(value, log_p.logsumexp(-1).sum(-1))
    for cells in weights.values():
        assert torch.allclose(cells.reshape(POINTS, 3, 5), log_p.softmax(-1).mT)


def test_weights_of_a_chain_are_those_of_all_its_paths() -> None:
    made, points = completion(hidden(2), COUNTS)
    value, weights = made.evidence(points)
    at = values(made, points)
    for i in range(POINTS):
        initial, transition, rate = (at[n][i] for n in ("initial", "transition", "rate"))
        emission = torch.distributions.Poisson(rate).log_prob(COUNTS[:, None])
        paths = list(itertools.product(range(2), repeat=4))
        logs = torch.stack([
            initial[z[0]].log() + sum(transition[a, b].log() for a, b in itertools.pairwise(z)) + sum(emission[t, z[t]] for t in range(4))
            for z in paths
        ])  # fmt: skip
        assert value[i] == pytest.approx(float(logs.logsumexp(0)))
        here = torch.tensor(paths)  # (paths, T)
        state = torch.stack([(logs.softmax(0)[:, None] * (here == k)).sum(0) for k in range(2)])  # (state, T)
        assert torch.allclose(weights["x"][i].reshape(2, 4), state)


@pytest.mark.parametrize("priors", [True, False])
def test_the_gradient_of_q_is_that_of_the_evidence(priors: bool) -> None:
    """Fisher's identity, at the point at which the weights were made; second derivatives of Q by differences of its gradient."""
    for program, args in ((normals(2), (DATA,)), (hidden(2), (COUNTS,)), (table, (*TABLE, SEEN)), (with_prior, (DATA,))):
        made, points = completion(program, *args, priors=priors)
        _, weights = made.evidence(points)
        eye = torch.eye(made.dim, dtype=torch.float64)
        found = made.expected(points, eye, weights)
        step = 1e-5
        for j, along in enumerate(eye):
            up, down = (made.evidence(points + sign * step * along)[0] for sign in (1, -1))
            assert torch.allclose(found.gradient[:, j], (up - down) / (2 * step), rtol=1e-5, atol=1e-6)
            above, below = (made.expected(points + sign * step * along, eye[:1], weights).gradient for sign in (1, -1))
            assert torch.allclose(found.products[:, j], (above - below) / (2 * step), rtol=1e-4, atol=1e-5)


def with_prior(x: Tensor) -> None:
    loc = pyro.sample("loc", dist.Normal(x.new_tensor(3.0), 0.5))
    with pyro.plate("data", len(x)):
        z = pyro.sample("z", dist.Bernoulli(x.new_tensor(0.3)))
        pyro.sample("x", dist.Normal(loc + z, 1.0), obs=x)


def test_priors_count_without_jacobians_or_not_at_all() -> None:
    with_, points = completion(with_prior, DATA)
    without, _ = completion(with_prior, DATA, priors=False)
    prior = torch.distributions.Normal(3.0, 0.5).log_prob(points[:, 0])
    assert torch.allclose(with_.evidence(points)[0] - without.evidence(points)[0], prior)


def test_what_nothing_depends_on_integrates_to_one() -> None:
    def model(x: Tensor, mask: Tensor) -> None:
        loc = flat("loc", constraints.real)
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(loc, 2.0), obs=x, obs_mask=mask)

    mask = torch.tensor([True, False, True, True, False])
    made, points = completion(model, DATA, mask)
    assert made.dim == 1
    assert made.integrated == {"x_unobserved"}
    expected = torch.distributions.Normal(points, 2.0).log_prob(DATA[mask]).sum(1)
    assert torch.allclose(made.evidence(points)[0], expected)


def test_flat_weights_know_only_what_is_impossible() -> None:
    def model(x: Tensor) -> None:
        loc = flat("loc", constraints.real)
        with pyro.plate("data", len(x)):
            z = pyro.sample("z", dist.Categorical(x.new_tensor([0.7, 0.2, 0.1])))
            pyro.factor("not the last", torch.where(z == 2, -math.inf, 0.0))
            pyro.sample("x", dist.Normal(loc + z, 1.0), obs=x)

    made, points = completion(model, DATA)
    assert torch.allclose(made.flat_weights(points)["x"][0].reshape(3, 5), torch.tensor([0.5, 0.5, 0.0]).double()[:, None].expand(3, 5))
    weights = made.evidence(points)[1]
    found = made.expected(points, torch.ones(1, 1, dtype=torch.float64), weights)
    assert all(t.isfinite().all() for t in found)  # 0 times the log of 0


def test_a_table_of_many_columns_is_a_graph_of_few_operations() -> None:
    """torch's own second derivative of a cumulative product has as many operations as the square of the columns."""
    made, points = completion(hidden(12), COUNTS, lowering="recorded")
    _, weights = made.evidence(points)
    found = made.expected(points, torch.eye(made.dim, dtype=torch.float64), weights)
    assert torch.allclose(found.products, found.products.mT, atol=1e-9)


def test_refusals() -> None:
    def nothing(x: Tensor) -> None:
        with pyro.plate("data", len(x)):
            pyro.sample("x", dist.Normal(0.0, 1.0), obs=x)

    with pytest.raises(EngineError, match="'nothing' has neither parameters nor continuous latent sites"):
        completion(nothing, DATA)
    with pytest.raises(EngineError, match="no eager form"):
        completion(with_prior, DATA, lowering="eager")
