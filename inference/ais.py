"""Annealed importance sampling (AIS): particles led from the prior to the posterior, weighted by what they met on the way.

    log f_b(z) = (1 - b) log base(z) + b log p(x, z),   b from 0 to 1 in small steps, a trajectory of HMC at each

The mean weight is p(x) without bias, so its log is low on average, by about half the weights' relative variance over the number of
particles; both fall as there are more temperatures. From exact draws of the posterior, back: an upper bound. Discrete sites are summed out;
where that cannot be, or they are all that there is, their elements are drawn one after the other (Gibbs). Cost: two gradients for each
particle, temperature and leapfrog step.

Sources: Neal, Statistics and Computing 11, 2001; Grosse, Ghahramani & Adams, arXiv 1511.02543, 2015 (both bounds).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..annealing import Annealed, Bridge, Evidence, anneal, anneal_back, inverse_temperatures
from ..engine import Engine, require_all_rows, require_positive
from ..errors import EngineError, NameNotFoundError
from ..keys import Key
from ..posterior import Posterior, require_memory
from ..program import Program
from ..provenance import provenance
from ..stopwatch import Stopwatch
from ..targets import LogDensity
from ..tempering import HamiltonianBridge
from ._bridges import at_held, bridge_to, density_of, flat
from .importance import equal_weights, warn_of_few

__all__ = ["AIS", "Evidence"]

BACK = 2**30  # the first of the particles that are led back, whose numbers are nobody else's


@dataclass(frozen=True, kw_only=True)
class AIS(Engine):
    """One pass through all temperatures, by all particles at once.

    base               prior; guide, the family's own with its parameters as they are; normal, at the mode, as wide as the curvature there
                       says (for improper priors); or a program over the same continuous sites
    num_particles      whose log weights the posterior keeps
    num_temperatures   steps from the base to the posterior
    schedule           sigmoid, linear, or inverse temperatures from 0 to 1
    trajectory_steps   leapfrog steps at each temperature
    num_samples        draws of equal weight, by systematic resampling with Pareto-smoothed weights: one chain in random order

    Warns where k-hat is above 0.7. Errors: EngineError (a base that cannot be drawn from, settings), GuideError, ZeroProbabilityError.
    """

    base: str | Callable[..., Any] = "prior"
    num_particles: int = 200
    num_temperatures: int = 200
    schedule: str | Sequence[float] = "sigmoid"
    trajectory_steps: int = 5
    num_samples: int = 1000

    def __post_init__(self) -> None:
        require_positive(self, "num_particles", "num_temperatures", "trajectory_steps", "num_samples")
        if self.num_particles < 2:
            raise EngineError("AIS tells its error from the spread of the weights; num_particles must be at least 2")
        if self.checkpoint is not None:
            raise EngineError("AIS goes from base to posterior in one pass, so there is nothing to resume; leave checkpoint out")
        if isinstance(self.base, str) and self.base not in ("prior", "guide", "normal"):
            raise NameNotFoundError(f"no base {self.base!r}; there are prior, guide and normal, or give a program")
        inverse_temperatures(self.num_temperatures, self.schedule)

    def run(self, program: Callable[..., Any] | Program, *args: Any, **kwargs: Any) -> Posterior:
        watch = Stopwatch()
        program = self._program(program, args, kwargs)
        require_memory(program, 1, self.num_samples, self.keep)
        density, bridge = self._bridge(program)
        watch.lap("start", density)
        made = self.through(bridge)
        watch.lap("sample", density)
        draws = self._resampled(density, made)
        watch.lap("collect", density)
        posterior = Posterior(
            draws=draws if self.keep is None else {n: draws[n] for n in self.keep},
            program=program,
            params={n: p.detach() for n, p in program.params.items()},
            log_weights=made.log_weights[None],
            provenance={**provenance(self, density, watch), "evidence": Evidence.of(made.log_weights)._asdict()},
        )
        warn_of_few(posterior.khat or 0.0, "take more temperatures, or a base nearer to the posterior (base=)")
        return posterior

    def evidence(
        self, program: Callable[..., Any] | Program, *args: Any, exact: Mapping[str, Tensor] | None = None, **kwargs: Any
    ) -> Evidence:
        """log p(x) of a program given its arguments, or log Z of one with factors.

        exact   latent site -> (n, *shape): exact draws of the posterior, for the upper bound. Those that data were simulated from are
                such, one draw for each set of data
        """
        bound = self._program(program, args, kwargs)
        density, bridge = self._bridge(bound)
        forth = self.through(bridge).log_weights
        if exact is None:
            return Evidence.of(forth)
        count = len(exact[bound.latent[0].name])
        return Evidence.of(forth, self.back(bridge, bridge.between.at(*flat(density, exact, count))))

    def through(self, bridge: Bridge) -> Annealed:
        """Particles led over a bridge of one's own, and their log weights."""
        return anneal(bridge, self._levels, self.num_particles, self._key(0, self.num_particles))

    def back(self, bridge: Bridge, state: Any) -> Tensor:
        """Log weights of exact draws of the target, led back over a bridge."""
        return anneal_back(bridge, self._levels, state, self._key(BACK, len(bridge.log_ratio(state))))

    @property
    def _levels(self) -> list[float]:
        return inverse_temperatures(self.num_temperatures, self.schedule)

    def _key(self, first: int, count: int) -> Key:
        return Key(self.seed, 0, tuple(range(first, first + count)))

    def _program(self, program: Callable[..., Any] | Program, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Program:
        program = Program.of(program, *args, **kwargs).copy()
        if not program.latent:
            raise EngineError(f"AIS has nothing to sample: program {program.name!r} has no latent site")
        require_all_rows(self, program)
        return program

    def _bridge(self, program: Program) -> tuple[LogDensity, HamiltonianBridge]:
        """Tuned for this engine's temperatures."""
        density = density_of(program, self.dtype or torch.float64, self.lowering)
        bridge = bridge_to(density, self.base, self.trajectory_steps, self.seed)
        bridge.tune(self._levels, self._key(0, 1))
        return density, bridge

    def _resampled(self, density: LogDensity, made: Annealed) -> dict[str, Tensor]:
        key = Key(self.seed, device=density.device)
        chosen = equal_weights(made.log_weights, self.num_samples, key)
        position, held = made.state.position[chosen][None], made.state.held[chosen]
        return at_held(density, held).latents(position, key, held[None] if density.held else None)
