"""Newton's method for many functions at once, each from its own point, uphill at every step.

    step = |H|^-1 gradient,   cut to 1/2, 1/8, 1/64, ... until the value does not fall

|H| has the absolute eigenvalues of the second derivatives, so a step goes uphill from a saddle too. Coordinates that second
derivatives do not couple are found once, by random products; each group of coupled ones is a block with a matrix of its own. So a
table of K x K probabilities in stick-breaking coordinates costs one product with a direction, not K^2.

Sources: Curtis, Powell & Reid, J. Inst. Maths Applics 13, 1974 (sparse derivatives from few products); Dauphin et al., NIPS 2014
(absolute eigenvalues).
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from ..completion import Expected
from ..errors import EngineError

__all__ = ["ALONE", "LARGEST", "Blocks", "maximise"]

LARGEST = 2000  # coordinates that second derivatives couple, where something is summed out
ALONE = 50  # the same where nothing is: a network's weights, say, which gradients find for less
SPARSE = 1e-8  # of a derivative's own scale: rounding
STEPS = 60  # tried, of one maximisation
SHORTEST = 2.0**-300  # part of a step that is tried
PLAUSIBLE = 10.0  # times the size of a value: a step that is expected to gain more is cut, as curvature vanishes far from a maximum
FARTHEST = 4.0  # step of a coordinate whose values are bounded; they vary by a factor of 50
ENOUGH = 1e-6


Evaluate = Callable[[Tensor, Tensor], Expected]  # points (points, dim), directions (directions, dim)


class Blocks(NamedTuple):
    """Groups of coordinates, one tensor (blocks, size) for each size. directions: one for each place in a block, (largest, dim)."""

    groups: list[Tensor]
    directions: Tensor

    @classmethod
    def of(cls, evaluate: Evaluate, points: Tensor, generator: torch.Generator, largest: int = LARGEST) -> "Blocks":
        """From products at example points. Raises EngineError: more than `largest` coordinates are coupled."""
        dim = points.shape[1]
        random = torch.randn(dim, generator=generator, dtype=torch.float64).to(points)
        ones, mixed = evaluate(points, torch.stack([torch.ones_like(random), random])).products.unbind(1)
        alone = ones * random  # what the second product is where a coordinate is coupled to none
        apart = ((mixed - alone).abs() <= SPARSE * (mixed.abs() + alone.abs())).all(0)
        coupled = (~apart).nonzero()[:, 0]
        if len(coupled) > largest:
            raise EngineError(
                f"EM's M step solves for coordinates that depend on one another together, and here they are {len(coupled):,} (at most "
                f"{largest:,}{' where no discrete site is summed out' if largest < LARGEST else ''}); use SVI(guide='delta')"
            )
        eye = torch.eye(dim, dtype=points.dtype, device=points.device)
        joined = torch.zeros(dim, dim, dtype=torch.bool)
        if len(coupled):
            products = evaluate(points, eye[coupled]).products  # (points, coupled, dim)
            own = products.take_along_dim(coupled[None, :, None], 2).abs()  # (points, coupled, 1)
            scale = (own * own.transpose(1, 2)).sqrt()
            linked = (products[:, :, coupled].abs() > SPARSE * scale).any(0)
            joined[coupled[:, None].cpu(), coupled[None].cpu()] = linked.cpu()
        count, label = connected_components(joined.numpy(), directed=False)
        members: dict[int, list[list[int]]] = {}
        for block in [torch.from_numpy(label == b).nonzero()[:, 0].tolist() for b in range(count)]:
            members.setdefault(len(block), []).append(block)
        groups = [torch.tensor(blocks, device=points.device) for _, blocks in sorted(members.items())]
        directions = torch.zeros(groups[-1].shape[1], dim, dtype=points.dtype, device=points.device)
        for group in groups:
            for place, coordinates in enumerate(group.unbind(1)):
                directions[place, coordinates] = 1.0
        return cls(groups, directions)

    def steps(self, at: Expected) -> Tensor:
        """|H|^-1 gradient, (points, dim)"""
        return self._solved(at, at.gradient, -1.0)

    def spread(self, at: Expected, noise: Tensor) -> Tensor:
        """|H|^-1/2 noise, (points, dim)"""
        return self._solved(at, noise, -0.5)

    def diagonal(self, at: Expected) -> Tensor:
        """Each coordinate's own second derivative, (points, dim)"""
        return (at.products * self.directions).sum(1)

    def _solved(self, at: Expected, given: Tensor, power: float) -> Tensor:
        """|H|^power given. Each coordinate is measured in units of its own curvature, so that its own units do not matter. Directions
        without curvature take the least that rounding lets one see, for a step, and are left alone by a spread."""
        out = torch.zeros_like(given)
        own = self.diagonal(at).abs()
        unit = torch.where(own > torch.finfo(own.dtype).tiny, own.rsqrt(), 0.0).nan_to_num(posinf=0.0)  # (points, dim)
        for group in self.groups:
            size, scale = group.shape[1], unit[:, group]  # (points, blocks, size)
            along = given[:, group] * scale if power == -1.0 else given[:, group]
            if size > 1:
                matrix = at.products[:, :size, group].permute(0, 2, 3, 1)  # (points, blocks, size, size)
                values, vectors = torch.linalg.eigh((matrix * scale[..., None] * scale[..., None, :]).nan_to_num())
                values = values.abs()
                least = torch.finfo(own.dtype).eps ** 0.75
                factor = values.clamp(min=least) ** power if power == -1.0 else torch.where(values <= least, 0.0, values**power)
                along = (vectors @ ((vectors.mT @ along[..., None]) * factor[..., None]))[..., 0]
            out[:, group] = along * scale
        return out


def maximise(
    evaluate: Evaluate, points: Tensor, blocks: Blocks, bounded: Tensor, which: Tensor | None = None, enough: float = ENOUGH
) -> tuple[Tensor, Tensor]:
    """Points (points, dim) near maxima, and the gradients there (points, dim); no value is below the one at the start.

    bounded   (dim,) coordinates of values with an end, which take steps of FARTHEST at most
    which     (points,) those to move; None is all
    enough    a step that is expected to gain less than this part of what was gained is not made
    """
    at = evaluate(points, blocks.directions)
    start, step = at.value, _limited(blocks.steps(at), at, bounded)
    part, cut = torch.ones_like(at.value), torch.full_like(at.value, 0.5)
    movable = at.value.isfinite() if which is None else which & at.value.isfinite()
    for _ in range(STEPS):
        expected = 0.5 * (step * at.gradient).sum(1)
        rounding = 4 * torch.finfo(points.dtype).eps * at.value.abs()
        active = (expected > torch.maximum(enough * (at.value - start), rounding)) & (part > SHORTEST) & movable
        if not active.any():
            break
        there = torch.where(active[:, None], points + part[:, None] * step, points)
        new = evaluate(there, blocks.directions)
        better = active & (new.value >= at.value) & new.gradient.isfinite().all(1)
        points = torch.where(better[:, None], there, points)
        at = _chosen(better, new, at)
        step = torch.where(better[:, None], _limited(blocks.steps(at), at, bounded), step)
        part, cut = torch.where(better, 1.0, part * cut), torch.where(better, 0.5, cut / 2)
    return points, at.gradient


def _limited(steps: Tensor, at: Expected, bounded: Tensor) -> Tensor:
    steps = torch.where(bounded, steps.clamp(-FARTHEST, FARTHEST), steps)
    most = PLAUSIBLE * (1 + at.value.abs()) / (steps * at.gradient).sum(1)
    return steps * torch.where(most < 1, most, 1.0)[:, None]


def _chosen(which: Tensor, new: Expected, old: Expected) -> Expected:
    """Point by point: the new one where `which` says so."""
    return Expected(*[torch.where(which.reshape(-1, *[1] * (a.dim() - 1)), a, b) for a, b in zip(new, old, strict=True)])
