"""The log likelihood of each datum at draws of the latent sites."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from .assignments import Assignment, Assignments
from .drawing_back import CHUNK
from .errors import ProgramError
from .program import Program
from .readings import DensityReading

__all__ = ["PointwiseLogLikelihood", "log_likelihood_at"]


class PointwiseLogLikelihood(NamedTuple):
    """Log likelihood of each datum at each draw.

    values   site -> (chains, draws, *batch), nats; with a data plate one entry named by it, (chains, draws, N)
    plate    the data plate, None where the observed sites have none in common
    kind     conditional: latent sites inside the data plate, continuous ones or discrete ones that cannot be summed out, are held at
             their draws; joint: and the density of the continuous ones is counted; marginal: there are none
    """

    values: dict[str, Tensor]
    plate: str | None
    kind: str


def log_likelihood_at(
    program: Program, reading: DensityReading, values: Mapping[str, Tensor], lead: torch.Size, joint: bool
) -> PointwiseLogLikelihood:
    """values: latent site -> (*lead, *shape). Raises ProgramError, SupportError."""
    plate = program.data_plate
    local = any(plate in s.plates and (s.continuous or s.name in reading.holding.sites) for s in program.latent)
    kind = ("joint" if joint else "conditional") if local else "marginal"
    pointwise = Pointwise(program, reading, joint)
    count = math.prod(lead)
    flat = {n: v.reshape(count, *v.shape[len(lead) :]) for n, v in values.items()}
    size = max(1, CHUNK // max([1, *map(pointwise.assignments.largest, reading.sites)]))
    parts = [pointwise({n: v[i : i + size] for n, v in flat.items()}, min(size, count - i)) for i in range(0, count, size)]
    out = {n: torch.cat([p[n] for p in parts]) for n in parts[0]}
    return PointwiseLogLikelihood({n: v.reshape((*lead, *v.shape[1:])) for n, v in out.items()}, plate, kind)


class Pointwise:
    """(n, ...) values of the latent sites -> (n, N) by the data plate, or (n, *batch) by observed site without one.

    Local discrete sites are summed out, global discrete ones held at the draw.
    """

    def __init__(self, program: Program, reading: DensityReading, joint: bool):
        self.program, self.reading, self.count_local = program, reading, joint
        self.joint = reading.joint
        self.assignments = Assignments(program, reading.joint, reading.support)
        self.plate = program.data_plate
        self.summed = {n for n in self.joint.inside if self.plate is not None and self.plate in self.joint.inside[n]}
        self.observed = [n for n, s in reading.sites.items() if s.kind == "observed"]

    def __call__(self, values: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
        held = {n: self.assignments.index(n, values[n]) for n in self.joint.inside if n not in self.summed and n in values}
        if missing := [n for n in self.joint.inside if n not in self.summed and n not in values]:
            raise ProgramError(f"discrete sites {', '.join(missing)} lie outside the data plate and have no draws; give them values")
        factors = self.reading.factors(values, count)
        factors = {n: self.assignments.held(n, t, held) for n, t in factors.items()}
        if self.plate is None:
            return {n: self._batch(n, factors[n]) for n in self.observed}
        total = self._summed(self._counted(), factors, held, count)
        if self._hanging and not self.count_local:  # a mixture of local continuous sites: the likelihood is a ratio
            total = total - self._summed(self._hanging | self.summed, factors, held, count)
        return {self.plate: total}

    def _batch(self, name: str, factor: Tensor) -> Tensor:
        """Without the dimensions of held sites, in the batch shape that the program gives the site."""
        return factor.reshape(len(factor), *getattr(self.program.sites[name].log_prob, "shape", ()))

    def _counted(self) -> set[str]:
        local = {n: s for n, s in self.reading.sites.items() if self.plate in s.plates}
        own = {n for n, s in local.items() if s.kind == "factor" or (self.count_local and s.continuous)}
        return {*self.observed, *self.summed, *own, *self._hanging}

    @property
    def _hanging(self) -> set[str]:
        """Local continuous sites whose factor a summed discrete site enters."""
        return {n for n, s in self.reading.sites.items() if s.continuous and self.summed & set(s.dims)}

    def _summed(self, names: set[str], factors: Mapping[str, Tensor], held: Mapping[str, Assignment], count: int) -> Tensor:
        """Product over the named sites with the local discrete ones summed out, (n, N)."""
        ordered = [n for n in self.reading.sites if n in names]
        plan = self.joint.plan(ordered, keep=[self.plate], held=held, copies=count)  # type: ignore[list-item]
        return plan.run([factors[n] for n in ordered]).expand(count, -1)
