"""Newton's method for many functions at once, each from its own point, uphill at every step.

    step = |H|^-1 gradient,   halved until the value does not fall

|H| has the absolute eigenvalues of the second derivatives, so a step goes uphill from a saddle too. Coordinates that second
derivatives do not couple are found once, by random products; each group of coupled ones is a block with a matrix of its own. So a
table of K x K probabilities in stick-breaking coordinates costs one product with a direction, not K^2.

Sources: Curtis, Powell & Reid, J. Inst. Maths Applics 13, 1974 (sparse derivatives from few products); Dauphin et al., NIPS 2014
(absolute eigenvalues).
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import torch
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from ..errors import EngineError

__all__ = ["Blocks", "Curved", "maximise"]

LARGEST = 2000  # coordinates that second derivatives couple
SPARSE = 1e-8  # of a derivative's own scale: rounding
STEPS = 60  # tried, of one maximisation
SHORTEST = 2.0**-40  # part of a step that is tried
FARTHEST = 4.0  # step of a coordinate whose values are bounded; they vary by a factor of 50
ENOUGH = 1e-3


class Curved(Protocol):
    """Values (points,), gradients (points, dim), and products (points, directions, dim) of second derivatives with directions."""

    value: Tensor
    gradient: Tensor
    products: Tensor


Evaluate = Callable[[Tensor, Tensor], Curved]  # points (points, dim), directions (directions, dim)


class Blocks(NamedTuple):
    """Groups of coordinates, one tensor (blocks, size) for each size. directions: one for each place in a block, (largest, dim)."""

    groups: list[Tensor]
    directions: Tensor

    @classmethod
    def of(cls, evaluate: Evaluate, points: Tensor, generator: torch.Generator) -> "Blocks":
        """From products at example points. Raises EngineError: more than LARGEST coordinates are coupled."""
        dim = points.shape[1]
        random = torch.randn(dim, generator=generator, dtype=torch.float64).to(points)
        ones, mixed = evaluate(points, torch.stack([torch.ones_like(random), random])).products.unbind(1)
        alone = ones * random  # what the second product is where a coordinate is coupled to none
        apart = ((mixed - alone).abs() <= SPARSE * (mixed.abs() + alone.abs())).all(0)
        coupled = (~apart).nonzero()[:, 0]
        if len(coupled) > LARGEST:
            raise EngineError(
                f"EM's M step solves for coordinates that depend on one another together, and here they are {len(coupled):,} (at most "
                f"{LARGEST:,}); use SVI(guide='delta')"
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

    def steps(self, at: Curved) -> Tensor:
        """|H|^-1 gradient, (points, dim)"""
        return self._solved(at, at.gradient, -1.0)

    def spread(self, at: Curved, noise: Tensor) -> Tensor:
        """|H|^-1/2 noise, (points, dim)"""
        return self._solved(at, noise, -0.5)

    def _solved(self, at: Curved, given: Tensor, power: float) -> Tensor:
        out = torch.zeros_like(given)
        limits = torch.finfo(out.dtype)
        for group in self.groups:
            size = group.shape[1]
            along = given[:, group]  # (points, blocks, size)
            matrix = at.products[:, :size, group].permute(0, 2, 3, 1).nan_to_num()  # (points, blocks, size, size)
            if size == 1:
                out[:, group] = along * matrix[..., 0].abs().clamp(min=limits.tiny) ** power
                continue
            values, vectors = torch.linalg.eigh(matrix)
            values = values.abs()
            values = values.maximum(limits.eps * values.amax(-1, keepdim=True)).clamp(min=limits.tiny)
            out[:, group] = (vectors @ ((vectors.mT @ along[..., None]) * values[..., None] ** power))[..., 0]
        return out


def maximise(evaluate: Evaluate, points: Tensor, blocks: Blocks, bounded: Tensor, enough: float = ENOUGH) -> Tensor:
    """Points (points, dim) near maxima; no value is below the one at the start.

    bounded   (dim,) coordinates of values with an end, which take steps of FARTHEST at most
    enough    a step that is expected to gain less than this part of what was gained is not made
    """
    at = evaluate(points, blocks.directions)
    start, step = at.value, _limited(blocks.steps(at), bounded)
    part = torch.ones_like(at.value)
    for _ in range(STEPS):
        expected = 0.5 * (step * at.gradient).sum(1)
        rounding = 4 * torch.finfo(points.dtype).eps * at.value.abs()
        active = (expected > torch.maximum(enough * (at.value - start), rounding)) & (part > SHORTEST) & at.value.isfinite()
        if not active.any():
            break
        there = torch.where(active[:, None], points + part[:, None] * step, points)
        new = evaluate(there, blocks.directions)
        better = active & (new.value >= at.value) & new.gradient.isfinite().all(1)
        points = torch.where(better[:, None], there, points)
        at = _chosen(better, new, at)
        step = torch.where(better[:, None], _limited(blocks.steps(at), bounded), step)
        part = torch.where(better, 1.0, torch.where(active, part / 2, part))
    return points


def _limited(steps: Tensor, bounded: Tensor) -> Tensor:
    return torch.where(bounded, steps.clamp(-FARTHEST, FARTHEST), steps)


def _chosen(which: Tensor, new: Curved, old: Curved) -> Curved:
    pairs = zip(new, old, strict=True)  # type: ignore[call-overload]
    return type(new)(*[torch.where(which.reshape(-1, *[1] * (a.dim() - 1)), a, b) for a, b in pairs])  # type: ignore[call-arg]
