"""Newton's method for many functions at once: blocks, saddles, flat directions, far starts."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from ppgen.completion import Expected
from ppgen.errors import EngineError
from ppgen.inference._newton import Blocks, maximise

GENERATOR = torch.Generator().manual_seed(0)


def curved(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Expected]:
    """Values, gradients and products by torch, point by point."""

    def one(point: Tensor, directions: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        point = point.detach().requires_grad_()
        value = function(point)
        (gradient,) = torch.autograd.grad(value, point, create_graph=True)
        rows = [torch.autograd.grad(g, point, retain_graph=True)[0] if g.requires_grad else torch.zeros_like(point) for g in gradient]
        return value.detach(), gradient.detach(), directions @ torch.stack(rows)

    return lambda points, directions: Expected(*map(torch.stack, zip(*[one(p, directions) for p in points], strict=True)))


def solve(function: Callable[[Tensor], Tensor], points: Tensor) -> tuple[Tensor, Blocks]:
    evaluate = curved(function)
    blocks = Blocks.of(evaluate, torch.randn(2, points.shape[1], generator=GENERATOR).double(), GENERATOR)
    found, slope = maximise(evaluate, points, blocks, torch.zeros(points.shape[1], dtype=torch.bool), enough=0.0)
    assert (evaluate(found, blocks.directions).value >= evaluate(points, blocks.directions).value).all()
    assert torch.allclose(slope, evaluate(found, blocks.directions).gradient)
    return found, blocks


def test_blocks_are_what_second_derivatives_couple() -> None:
    def function(u: Tensor) -> Tensor:
        return -((u[0] - u[3]) ** 2) - u[3] ** 2 - u[1].exp() + u[1] - (u[2] * u[4]).cosh() - u[4] ** 2

    _, blocks = solve(function, torch.zeros(1, 5).double())
    assert [g.tolist() for g in blocks.groups] == [[[1]], [[0, 3], [2, 4]]]
    assert blocks.directions.tolist() == [[1, 1, 1, 0, 0], [0, 0, 0, 1, 1]]


def test_a_quadratic_takes_one_step_whatever_its_units() -> None:
    unit = torch.tensor([1e-6, 1.0, 1e6]).double()
    root = torch.randn(3, 3, generator=GENERATOR).double()
    matrix = (root @ root.mT + torch.eye(3)) / unit / unit[:, None]
    target = unit * torch.tensor([3.0, -1.0, 2.0])
    evaluate = curved(lambda u: -0.5 * (u - target) @ matrix @ (u - target))
    blocks = Blocks.of(evaluate, torch.zeros(1, 3).double(), GENERATOR)
    at = evaluate(torch.zeros(1, 3).double(), blocks.directions)
    assert torch.allclose(blocks.steps(at)[0] / unit, target / unit, rtol=1e-6)
    noise = torch.randn(100_000, 3, generator=GENERATOR).double()
    many = Expected(at.value, at.gradient.expand(100_000, 3), at.products.expand(100_000, -1, 3))
    spread = blocks.spread(many, noise) / unit
    assert torch.allclose(spread.mT.cov(), torch.linalg.inv(root @ root.mT + torch.eye(3)), atol=0.02)


def test_saddles_and_far_starts_and_points_of_no_value() -> None:
    def function(u: Tensor) -> Tensor:  # maxima at (1, 0) and (-1, 0), a saddle between them
        return 2 * u[0] ** 2 - u[0] ** 4 - u[1] ** 2 - 0.1 * (u[0] - u[1]) ** 2 + torch.where(u[1] > 50.0, torch.nan, 0.0)

    found, _ = solve(function, torch.tensor([[1e-3, 0.0], [-1e-3, -0.3], [30.0, 49.0], [-20.0, 0.0]]).double())
    assert torch.allclose(found[:, 0].abs(), torch.full((4,), 0.9988).double(), atol=0.05)
    assert (found[:, 0].sign() == torch.tensor([1, -1, 1, -1])).all()


def test_where_curvature_vanishes_far_from_the_maximum() -> None:
    """Logistic regression from weights so large that every probability is 0 or 1 to the last bit."""
    x = torch.tensor([-3.0, -1.0, 0.5, 2.0, 4.0]).double()
    y = torch.tensor([0.0, 1.0, 0.0, 1.0, 1.0]).double()

    def function(u: Tensor) -> Tensor:
        logits = u[0] + u[1] * x
        return (y * logits - torch.nn.functional.softplus(logits)).sum()

    found, _ = solve(function, torch.tensor([[0.0, 0.0], [60.0, -80.0], [-200.0, 5.0]]).double())
    assert torch.allclose(found, found[:1].expand(3, 2), atol=1e-5)


def test_flat_directions_do_no_harm() -> None:
    counts = torch.tensor([3.0, 5.0, 2.0]).double()
    found, blocks = solve(lambda u: counts @ u.log_softmax(0), torch.tensor([[1.0, -2.0, 7.0]]).double())
    assert torch.allclose(found[0].softmax(0), counts / 10, atol=1e-7)
    assert found.abs().max() < 100
    at = curved(lambda u: counts @ u.log_softmax(0))(found, blocks.directions)
    assert blocks.spread(at, torch.ones(1, 3).double()).abs().max() < 10


def test_points_that_are_left_alone() -> None:
    evaluate = curved(lambda u: -((u - 3.0) ** 2).sum())
    points = torch.zeros(2, 1).double()
    blocks = Blocks.of(evaluate, points, GENERATOR)
    found, _ = maximise(evaluate, points, blocks, torch.zeros(1, dtype=torch.bool), torch.tensor([True, False]))
    assert found[:, 0].tolist() == pytest.approx([3.0, 0.0])


def test_steps_of_bounded_coordinates_have_a_limit() -> None:
    evaluate = curved(lambda u: 0.5 * u.sum() - 1e-6 * u.exp().sum())
    blocks = Blocks.of(evaluate, torch.zeros(1, 2).double(), GENERATOR)
    at, bounded = torch.zeros(1, 2).double(), torch.tensor([True, True])
    path = []

    def watched(points: Tensor, directions: Tensor) -> Expected:
        path.append(points.clone())
        return evaluate(points, directions)

    maximise(watched, at, blocks, bounded, enough=0.0)
    assert max(float((b - a).abs().max()) for a, b in pairwise(path)) <= 4.0
    assert path[-1][0, 0] == pytest.approx(torch.tensor(5e5).log().item(), abs=1e-3)


def test_too_many_coupled_coordinates_are_refused() -> None:
    def evaluate(points: Tensor, directions: Tensor) -> Expected:
        total = directions.sum(1)[None, :, None].expand(len(points), -1, points.shape[1])
        return Expected(points.sum(1), points, total)

    with pytest.raises(EngineError, match="here they are 2,500"):
        Blocks.of(evaluate, torch.zeros(1, 2500).double(), GENERATOR)
