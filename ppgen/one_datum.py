"""What a program without a data plate observes is one datum: a graph, one sequence. All latent sites are its own, so its log probability
is the program's log evidence.

    log p(x) >= E_q[log p(x, z) - log q(z)],      z ~ q every latent site, q the family's guide

It is exact where nothing is latent, where all that is latent is discrete and can be summed out, and where the family knows it.
"""

import torch
from torch import Tensor

from .errors import CostError, EliminationError, ScoreError
from .guides import scale_of
from .held_draws import held_draws
from .keys import Key
from .objective import Objective
from .program import Program
from .sites import Plate
from .targets import LogDensity

__all__ = ["OneDatum", "require_all_shown"]


def require_all_shown(plate: Plate) -> None:
    """Raise ScoreError for a plate that shows some of its rows."""
    if plate.subsample_size < plate.size:
        raise ScoreError(
            f"plate {plate.name!r} shows {plate.subsample_size} of its {plate.size} rows at a time; score the program without subsampling"
        )


class OneDatum:
    """unnormalised   a factor among the program's sites, or the family, has an unknown constant. Raises ScoreError: nothing observed"""

    def __init__(self, program: Program):
        if not program.observed:
            raise ScoreError(f"program {program.name!r} observes nothing by obs=, so there is no datum to score")
        for plate in program.plates.values():
            require_all_shown(plate)
        self.program = program
        factors = any(s.kind == "factor" for s in program.sites.values())
        self.unnormalised = factors or not getattr(program.fn, "normalised", True)

    def exact(self) -> Tensor | None:
        """(1,) nats, or None where nobody knows it. Raises CostError, EliminationError: it is known, but not to be had."""
        if not self.program.latent:
            return self._observed()
        return self._in_closed_form() if self.program.dim else self._summed_out()

    def _observed(self) -> Tensor:
        sites = [s for s in self.program.sites.values() if s.kind in ("observed", "factor")]
        return torch.stack([(torch.as_tensor(s.log_prob).detach() * scale_of(s)).sum() for s in sites]).sum()[None]

    def _summed_out(self) -> Tensor:
        if held := [s.name for s in self.program.sites.values() if s.kind == "conditioned"]:
            raise ScoreError(
                f"{', '.join(map(repr, held))} are held by condition, whose density enters the sum over "
                f"{', '.join(map(repr, self.program.discrete))}; hold them by pyro.poutine.do, which leaves it out"
            )
        density = LogDensity(self.program)
        return density.log_density(torch.zeros(1, 0, dtype=density.dtype, device=density.device))

    def _in_closed_form(self) -> Tensor | None:
        known = getattr(self.program.family, "exact", None)
        value = None if known is None else known(*self.program.args, **self.program.kwargs).get("log_evidence")
        return None if value is None else torch.as_tensor(value).detach().reshape(1)

    def log_weights(self, num_particles: int, seed: int) -> Tensor:
        """log p(x, z) - log q(z) of draws from the family's guide, (num_particles, 1). Discrete sites are summed out where they can
        be, and drawn from the guide elsewhere. Raises ScoreError (no guide, or one of points), GuideError."""
        if self.program.family is None:
            raise ScoreError(
                f"program {self.program.name!r} has no data plate, so all that it observes is one datum, and no guide by which the "
                "evidence of that could be bounded; put all sites that it observes by obs= (a site held by condition is no datum) inside "
                "one plate, or ask ImportanceSampling or AIS for the log evidence"
            )
        found = self._weights(num_particles, seed)
        if found is None:
            raise ScoreError("this guide has points, or leaves out discrete sites that cannot be summed out, so its draws have no weights")
        return found[:, None]

    def _weights(self, num_particles: int, seed: int) -> Tensor | None:
        try:
            target = Objective(self.program.copy(), None, key=Key(seed), dtype=torch.float64, drawing=True)
        except (CostError, EliminationError):
            return held_draws(self.program, num_particles, seed)[1]
        return target.draws(target.params, Key(seed, 1), num_particles)[1]
