"""What engines that make Markov chains have in common: their settings, and how draws become a posterior."""

import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..engine import Run, SteppingEngine, drive, require_positive
from ..errors import EngineError, PpgenWarning
from ..keys import Key
from ..posterior import Posterior, require_memory
from ..program import Program
from ..provenance import provenance
from ..targets import LogDensity

__all__ = ["ChainEngine"]


@dataclass(frozen=True, kw_only=True)
class ChainEngine(SteppingEngine):
    """Markov chains over the flat unconstrained position, made in blocks whose draws are `position` (chains, draws, dim).

    num_warmup    draws per chain that adapt and are not kept
    num_samples   draws kept per chain
    num_chains    chain 0 draws the same numbers however many there are
    thinning      every so manieth draw is kept
    start         site -> value at which every chain begins; other sites begin anywhere in (-2, 2), unconstrained
    """

    num_warmup: int = 1000
    num_samples: int = 1000
    num_chains: int = 4
    thinning: int = 1
    start: Mapping[str, Tensor] | None = None

    FREE: ClassVar[frozenset[str]] = SteppingEngine.FREE | {"num_samples"}

    def __post_init__(self) -> None:
        require_positive(self, "num_samples", "num_chains", "thinning")
        if self.num_warmup < 0:
            raise EngineError(f"{type(self).__name__}: num_warmup must be a whole number of at least 0, got {self.num_warmup!r}")

    @property
    def chains(self) -> tuple[int, ...]:
        return tuple(range(self.num_chains))

    @property
    def warmup(self) -> int:
        return self.num_warmup

    @property
    def total(self) -> int:
        return self.num_warmup + self.num_samples * self.thinning

    def kept(self, at: int) -> slice:
        return slice((self.num_warmup - at - 1) % self.thinning, None, self.thinning)

    def run(self, program: Callable[..., Any] | Program, *args: Any, **kwargs: Any) -> Posterior:
        begin = time.perf_counter()
        program = Program.of(program, *args, **kwargs)
        if not program.latent:
            raise EngineError(f"{type(self).__name__} has nothing to sample: program {program.name!r} has no latent site")
        require_memory(program, self.num_chains, self.num_samples, self.keep)
        density = LogDensity(program, dtype=self.dtype or torch.float64, lowering=self.lowering)
        return self._posterior(density, drive(self, density), begin)

    def _posterior(self, density: LogDensity, run: Run, begin: float) -> Posterior:
        collecting = time.perf_counter()
        program = density.program
        draws = density.latents(run.draws["position"].to(density.device), Key(self.seed, 0, self.chains, density.device))
        if self.keep is not None:
            draws = {n: draws[n] for n in self.keep}
        end = time.perf_counter()
        seconds = {**run.seconds, "collect": end - collecting, "total": end - begin}
        self._warn(run.stats)
        return Posterior(
            draws=draws,
            program=program,
            params={n: p.detach() for n, p in program.params.items()},
            stats=run.stats,
            provenance=provenance(self, density, seconds, run.interrupted),
            resume=lambda more: self._continued(density, run, more),
        )

    def _continued(self, density: LogDensity, run: Run, more: int) -> Posterior:
        begin = time.perf_counter()
        longer = replace(self, num_samples=self.num_samples + more, checkpoint=None)
        return longer._posterior(density, drive(longer, density, run), begin)

    def _warn(self, stats: Mapping[str, Tensor]) -> None:
        diverging = int(stats["diverging"].sum()) if "diverging" in stats else 0
        if diverging:
            warnings.warn(
                f"{diverging:,} of {stats['diverging'].numel():,} draws diverged: parts of the posterior may be missing; raise "
                "target_accept_prob or write the program in other coordinates",
                PpgenWarning,
                stacklevel=4,
            )
