"""Four laws in the plane that tell density models apart, and what became of their modes."""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

__all__ = ["TOYS", "modes_held"]

SPREAD = 0.1  # sd around rings, moons and centres


def rings(size: int, generator: Generator) -> Tensor:
    """Three circles of radius 1, 2, 3, equally likely."""
    radius = 1.0 + torch.randint(3, (size,), generator=generator)
    angle = 2 * math.pi * torch.rand(size, generator=generator)
    return _around(torch.stack([radius * angle.cos(), radius * angle.sin()], -1), generator)


def moons(size: int, generator: Generator) -> Tensor:
    """Two half circles of radius 1 that reach into each other."""
    which = torch.randint(2, (size,), generator=generator)
    angle = math.pi * torch.rand(size, generator=generator)
    x = torch.where(which == 0, angle.cos(), 1 - angle.cos())
    y = torch.where(which == 0, angle.sin(), 0.5 - angle.sin())
    return _around(torch.stack([x, y], -1), generator)


def checkerboard(size: int, generator: Generator) -> Tensor:
    """The eight black squares of a board of 4 x 4 on [-4, 4]."""
    column, row = torch.randint(4, (size,), generator=generator), torch.randint(2, (size,), generator=generator)
    corner = torch.stack([column, 2 * row + column % 2], -1) * 2.0 - 4.0
    return corner + 2.0 * torch.rand(size, 2, generator=generator)


def eight_gaussians(size: int, generator: Generator) -> Tensor:
    """Eight normals on a circle of radius 2."""
    angle = math.pi / 4 * torch.randint(8, (size,), generator=generator)
    return _around(2 * torch.stack([angle.cos(), angle.sin()], -1), generator)


def _around(centre: Tensor, generator: Generator) -> Tensor:
    return centre + SPREAD * torch.randn(centre.shape, generator=generator)


TOYS: dict[str, Callable[[int, Generator], Tensor]] = {
    "rings": rings,
    "moons": moons,
    "checkerboard": checkerboard,
    "eight Gaussians": eight_gaussians,
}


def _mode(name: str, x: Tensor) -> tuple[Tensor, int]:
    """The mode nearest to each point, and how many there are: a ring, a moon, a square, a normal."""
    if name == "rings":
        return (x.norm(dim=-1).round().clamp(1, 3) - 1).long(), 3
    if name == "moons":
        upper = ((x - torch.tensor([0.0, 0.0])).norm(dim=-1) - 1).abs() + 10.0 * (x[:, 1] < -0.3)
        lower = ((x - torch.tensor([1.0, 0.5])).norm(dim=-1) - 1).abs() + 10.0 * (x[:, 1] > 0.8)
        return (lower < upper).long(), 2
    if name == "checkerboard":
        cell = ((x + 4) / 2).floor().clamp(0, 3).long()
        return cell[:, 0] * 2 + cell[:, 1] // 2, 8
    angle = torch.atan2(x[:, 1], x[:, 0]) / (math.pi / 4)
    return angle.round().long() % 8, 8


def modes_held(name: str, x: Tensor) -> float:
    """The share of its due that the poorest mode gets from points (n, 2): 1 is all of it, 0 is a mode dropped."""
    mode, count = _mode(name, x)
    return float(torch.bincount(mode, minlength=count).min()) * count / len(x)
