"""Values of enumerated sites in two forms: as the program sees them, and as indices into a support with named plates, which
is what elimination works on."""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from .elimination import Assignment, gather
from .errors import SupportError
from .joint import Joint
from .program import Program

__all__ = ["Assignment", "Assignments", "once"]


def once(t: Tensor) -> Tensor:
    """(n, ...) that holds the same numbers n times over, as (1, ...)."""
    return t[:1] if len(t) > 1 and t.stride(0) == 0 else t


class Assignments:
    """Of one program's enumerated sites.

    support   site -> its values (K, *event)
    """

    def __init__(self, program: Program, joint: Joint, support: Mapping[str, Tensor]):
        self.program, self.joint, self.support = program, joint, support

    def _dim(self, name: str) -> int:
        """The dimension, counted from the right, of a plate or of a bare dimension `dim-1:3`."""
        plates = self.program.plates
        return plates[name].dim if name in plates else int(name.removeprefix("dim").split(":")[0])

    def outermost_first(self, plates: Iterable[str]) -> list[str]:
        """Plates and bare dimensions in the order in which a tensor has them."""
        return sorted(plates, key=self._dim)

    def values(self, name: str, assignment: Assignment) -> Tensor:
        """Indices to the values that the program sees, (n, *shape)."""
        index, plates = assignment
        index = index.permute(0, *[1 + plates.index(x) for x in self.outermost_first(plates)])
        return self.support[name][index].reshape(len(index), *self.program.sites[name].shape)

    def index(self, name: str, values: Tensor) -> Assignment:
        """Values (n, *shape) to indices. Raises SupportError."""
        support, event_dim = self.support[name], self.program.sites[name].event_dim
        batch = values.shape[: values.dim() - event_dim]
        same = (values.reshape(*batch, 1, -1) == support.reshape(len(support), -1).to(values.dtype)).all(-1)  # (*batch, K)
        if not same.any(-1).all():
            wrong = tuple((~same.any(-1)).nonzero()[0].tolist())
            raise SupportError(f"site {name!r} has the value {values[wrong].tolist()} at draw {wrong[0]}, which its support lacks")
        plates = self.outermost_first(self.joint.inside[name])
        return same.to(torch.int8).argmax(-1).reshape(len(values), *[self.joint.sizes[x] for x in plates]), plates

    def held(self, name: str, factor: Tensor, held: Mapping[str, Assignment]) -> Tensor:
        """A site's factor (n, *dims) with the held enumerated dimensions read at their values, size 1 where they were."""
        dims, at = self.joint.sites[name].dims, self.joint.with_previous(held)
        used = {d: at[d] for d in dims if d is not None and d in at}
        if not used:
            return factor
        named = factor.reshape(len(factor), *[k for k, d in zip(factor.shape[1:], dims, strict=True) if d is not None])
        left = self.joint.held_dims(name, held)
        read = gather(named, [d for d in dims if d is not None], used, [d for d in left if d is not None])
        sizes = iter(read.shape[1:])
        return read.reshape(len(factor), *[1 if d is None else next(sizes) for d in left])

    def largest(self, name: str) -> int:
        """Elements of a site's factor at one point."""
        return math.prod(getattr(self.joint.sites[name].log_prob, "shape", ()))
