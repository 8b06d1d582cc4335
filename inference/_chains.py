"""What engines that make Markov chains have in common: their settings, and how draws become a posterior."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from ..engine import Run, SteppingEngine, drive, require_all_rows, require_positive
from ..errors import EngineError, PpgenWarning
from ..keys import Key
from ..posterior import Posterior, require_memory
from ..program import Program
from ..provenance import provenance
from ..stopwatch import Stopwatch
from ..targets import LogDensity
from ._blocks import processors

__all__ = ["ChainEngine"]

APART = 1.1  # split R-hat above which chains disagree
FEWEST = 50  # draws of half a chain from which that can be told


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
    ADVICE: ClassVar[str] = (  # where chains disagree
        'make num_warmup and num_samples longer, take metric="variance" with num_warmup=1000 where scales vary from place to place '
        "(horseshoes, funnels), or look for several modes"
    )

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
        watch = Stopwatch()
        program = Program.of(program, *args, **kwargs)
        if not program.latent:
            raise EngineError(f"{type(self).__name__} has nothing to sample: program {program.name!r} has no latent site")
        self.check(program)
        require_memory(program, self.num_chains, self.num_samples, self.keep)
        density = self.target(program, self.dtype or torch.float64)
        watch.lap("record", density)
        return self._posterior(density, drive(self, density, watch=watch))

    def run_each(
        self,
        program: Callable[..., Any] | Program,
        *args: Any,
        problems: Mapping[str, Tensor],
        params: Mapping[str, Tensor] | None = None,
        **kwargs: Any,
    ) -> list[Posterior]:
        """Independent posteriors of one program for other data: one for each index of a leading dimension that arguments in `problems`
        have before their shape (params: unconstrained parameters, the same). The graph is compiled once and each problem has its own
        adaptation; where it is machine code, all chains of all problems share the processors.

            NUTS(num_chains=1).run_each(model, x[0], problems={"x": x})       x (problems, *shape of x)

        Problem i draws with seed + i, as its own `run` would, from its folder checkpoint/i. Raises what `run` and
        `LogDensity.problems` do.
        """
        program = Program.of(program, *args, **kwargs)
        self.check(program)
        count = max((len(t) for t in problems.values() if t.dim()), default=0)
        require_memory(program, count * self.num_chains, self.num_samples, self.keep)
        targets = self.target(program, self.dtype or torch.float64).problems(problems, params)
        engines = [replace(self, seed=self.seed + i, progress=False, checkpoint=_folder(self.checkpoint, i)) for i in range(len(targets))]
        workers = processors() if all(t.native is not None for t in targets) else 1  # Pyro itself runs in one thread only
        with ThreadPoolExecutor(workers, "problem") as pool:
            runs = list(pool.map(drive, engines, targets))
        return [e._posterior(t, run) for e, t, run in zip(engines, targets, runs, strict=True)]

    def check(self, program: Program) -> None:
        """Raise EngineError for a program that this engine can do nothing with."""
        if not program.dim:
            names = ", ".join(map(repr, program.discrete))
            raise EngineError(f"{type(self).__name__} moves continuous sites, and {names} are discrete; Enumeration draws them exactly")

    def target(self, program: Program, dtype: torch.dtype) -> LogDensity:
        require_all_rows(self, program)
        return LogDensity(program, dtype=dtype, lowering=self.lowering)

    def whole(self, density: LogDensity) -> LogDensity:
        """The target that sites are read from: one of all rows."""
        return density

    def moved(self, program: Program) -> list[str]:
        """Sites whose draws are the chains' own, and not drawn back from them."""
        return [s.name for s in program.latent if s.continuous]

    def _posterior(self, density: LogDensity, run: Run) -> Posterior:
        whole = self.whole(density)
        program = whole.program
        raw = {n: t.to(density.device) for n, t in run.draws.items()}
        draws = whole.latents(raw["position"], Key(self.seed, 0, self.chains, density.device), raw.get("held"))
        if self.keep is not None:
            draws = {n: draws[n] for n in self.keep}
        self._warn(run.stats, _furthest_apart(program, self.moved(program), draws))
        run.watch.lap("collect", density)
        return Posterior(
            draws=draws,
            program=program,
            params={n: p.detach() for n, p in program.params.items()},
            stats=run.stats,
            provenance=provenance(self, density, run.watch, run.interrupted),
            resume=lambda more: self._continued(density, run, more),
        )

    def _continued(self, density: LogDensity, run: Run, more: int) -> Posterior:
        longer = replace(self, num_samples=self.num_samples + more, checkpoint=None)
        return longer._posterior(density, drive(longer, density, run))

    def _warn(self, stats: Mapping[str, Tensor], apart: tuple[str, float] | None) -> None:
        diverging = int(stats["diverging"].sum()) if "diverging" in stats else 0
        if diverging:
            warnings.warn(
                f"{diverging:,} of {stats['diverging'].numel():,} draws diverged: parts of the posterior may be missing; raise "
                "target_accept_prob or write the program in other coordinates",
                PpgenWarning,
                stacklevel=4,
            )
        if apart is not None:
            warnings.warn(
                f"the chains disagree: R-hat of site {apart[0]!r} is {apart[1]:.2f}, so no figure of this posterior can be trusted yet; "
                f"{self.ADVICE}",
                PpgenWarning,
                stacklevel=4,
            )


def _folder(checkpoint: str | Path | None, i: int) -> Path | None:
    return None if checkpoint is None else Path(checkpoint) / str(i)


def _furthest_apart(program: Program, sites: Sequence[str], draws: Mapping[str, Tensor]) -> tuple[str, float] | None:
    """The site with the largest split R-hat and that R-hat, where it is above APART; labels that switch are in order first.
    Source: Gelman et al., Bayesian Data Analysis, 3rd ed. (2013), section 11.4."""
    found = program.family.relabel(draws) if program.family is not None else draws
    worst: tuple[str, float] | None = None
    for name in (n for n in sites if n in found):
        x = found[name].double()
        chains, count = x.shape[0], x.shape[1] // 2
        if chains < 2 or count < FEWEST:
            continue
        halves = x[:, : 2 * count].reshape(2 * chains, count, -1)
        within, between = halves.var(1).mean(0), halves.mean(1).var(0)
        rhat = ((count - 1) / count + between / within).sqrt()[(within > 0) | (between > 0)]  # inf where each stays at one value
        most = float(rhat.max()) if rhat.numel() else 0.0
        if most > max(APART, worst[1] if worst else 0.0):
            worst = name, most
    return worst
