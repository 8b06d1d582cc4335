"""Exact enumeration: what is unknown is discrete, so sums give everything.

    p(z | x) = p(x, z) / p(x),   p(x) = sum over z of p(x, z)

by elimination, plate by plate, never assignment by assignment. Draws are independent and exact; so are the log evidence, marginals and
the most probable assignment, to rounding. Cost: the largest table in between, which is known before any work and refused where it
does not fit.
Sources: Zhang & Poole, JAIR 5, 1996 (elimination); Obermeyer et al., ICML 2019 (plates); Darwiche, J. ACM 50(3), 2003 (marginals as
derivatives).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..conditionals import Conditionals
from ..drawing_back import Drawing
from ..engine import Engine, require_all_rows, require_positive
from ..errors import CostError, EngineError, ZeroProbabilityError
from ..keys import Key
from ..posterior import Posterior, require_memory
from ..program import Program
from ..provenance import provenance
from ..stopwatch import Stopwatch

__all__ = ["Enumeration"]

Runnable = Callable[..., Any] | Program


@dataclass(frozen=True, kw_only=True)
class Enumeration(Engine):
    """For programs whose latent sites are all discrete, with finite supports; continuous ones may be held by `pyro.poutine.condition`.

    num_samples   independent draws from the exact posterior, one chain. All have the weight p(x, z) / p(z | x) = p(x), so
                  `Posterior.log_evidence` is exact

    Besides `run` there are, with the same arguments, `marginals`, `mode`, `log_evidence` and `cost`.
    Errors: EngineError (a continuous latent site), EliminationError (plates that cannot be summed out), CostError,
    ZeroProbabilityError (what was observed cannot be; the message says which of it).
    """

    num_samples: int = 1000

    def __post_init__(self) -> None:
        require_positive(self, "num_samples")
        if self.checkpoint is not None:
            raise EngineError("Enumeration takes one step, so there is nothing to resume; leave checkpoint out")

    def run(self, program: Runnable, *args: Any, **kwargs: Any) -> Posterior:
        watch = Stopwatch()
        program = self._program(program, *args, **kwargs).copy()
        if not program.latent:
            raise EngineError(f"Enumeration has nothing to draw: program {program.name!r} has no latent site")
        require_memory(program, 1, self.num_samples, self.keep)
        conditionals = self._conditionals(program)
        watch.lap("record", conditionals)
        log_evidence = self._evidence(conditionals)
        draws = Drawing(program, conditionals.density.reading, Key(self.seed, device=conditionals.device), conditionals.pruned)
        everything = draws.all({}, 1, self.num_samples)
        watch.lap("sample", conditionals)
        return Posterior(
            draws={n: everything[n] for n in (program.sites if self.keep is None else self.keep) if n in everything},
            program=program,
            params={n: p.detach() for n, p in program.params.items()},
            log_weights=log_evidence.expand(1, self.num_samples).clone(),
            provenance=provenance(self, conditionals, watch),
        )

    def marginals(self, program: Runnable, *args: Any, **kwargs: Any) -> dict[str, Tensor]:
        """Discrete latent site -> the posterior probabilities of the values of its support, (*batch, K)."""
        conditionals = self._conditionals(self._program(program, *args, **kwargs))
        self._evidence(conditionals)
        return {n: p[0] for n, p in conditionals.marginals({}, 1).items()}

    def mode(self, program: Runnable, *args: Any, **kwargs: Any) -> tuple[dict[str, Tensor], float]:
        """The most probable values of all discrete latent sites together, site -> (*shape), and log p(observed, these), nats."""
        conditionals = self._conditionals(self._program(program, *args, **kwargs))
        values, log_p = conditionals.mode({}, 1)
        if float(log_p[0]) == -torch.inf:
            self._evidence(conditionals)
        return {n: v[0] for n, v in values.items()}, float(log_p[0])

    def log_evidence(self, program: Runnable, *args: Any, **kwargs: Any) -> float:
        """log p(observed), nats; -inf where it cannot be."""
        return float(self._conditionals(self._program(program, *args, **kwargs)).log_evidence({}, 1)[0])

    def cost(self, program: Runnable, *args: Any, **kwargs: Any) -> int:
        """Bytes of the largest table in between, also where it is too large to be had."""
        try:
            joint = self._conditionals(self._program(program, *args, **kwargs)).joint
        except CostError as error:
            if error.needed is None:  # not even a factor of the program fits
                raise
            return error.needed
        return max((plan.bytes for _, plan in joint.components), default=0)

    def _program(self, program: Runnable, *args: Any, **kwargs: Any) -> Program:
        program = Program.of(program, *args, **kwargs)
        if continuous := [s.name for s in program.latent if s.continuous]:
            raise EngineError(
                f"Enumeration sums over discrete sites, and {', '.join(map(repr, continuous))} of program {program.name!r} are continuous; "
                "hold them at values by pyro.poutine.condition, or use NUTS, which sums the discrete ones out and draws them back"
            )
        require_all_rows(self, program)
        return program

    def _conditionals(self, program: Program) -> Conditionals:
        return Conditionals(program, dtype=self.dtype, lowering=self.lowering)

    def _evidence(self, conditionals: Conditionals) -> Tensor:
        """log p(observed), (1,). Raises ZeroProbabilityError."""
        value = conditionals.log_evidence({}, 1)
        if float(value[0]) == -torch.inf:
            raise ZeroProbabilityError(_impossible(conditionals))
        return value


# What cannot be


def _impossible(conditionals: Conditionals) -> str:
    """Which observed site, and which row of it, is the first to have probability zero given those before."""
    factors = conditionals.factors({}, 1)
    observed = [n for n, s in conditionals.sites.items() if s.kind in ("observed", "conditioned", "factor")]

    def possible(known: Mapping[str, Tensor]) -> bool:
        """With the others of the observed sites left unsaid."""
        others = {n: torch.zeros_like(factors[n]) for n in observed if n not in known}
        return float(conditionals.log_evidence_of({**factors, **others, **known}, 1)[0]) > -torch.inf

    known: dict[str, Tensor] = {}
    for name in observed:
        if possible(known | {name: factors[name]}):
            known[name] = factors[name]
            continue
        row = _first_row(factors[name], partial(_with, possible, known, name))
        where = "" if row is None else f", row {row},"
        given = f" given {', '.join(map(repr, known))}" if known else ""
        return (
            f"what was observed has probability zero: site {name!r}{where} cannot have its value{given}; mend the data, or give what "
            "never happens a small probability"
        )
    return f"what was observed has probability zero: {', '.join(map(repr, observed))}"


def _with(possible: Callable[[Mapping[str, Tensor]], bool], known: Mapping[str, Tensor], name: str, factor: Tensor) -> bool:
    return possible({**known, name: factor})


def _first_row(factor: Tensor, possible: Callable[[Tensor], bool]) -> int | None:
    """The first index along the last dimension, that of the innermost plate, up to which a factor is impossible."""
    size = factor.shape[-1] if factor.dim() > 1 else 1
    if size == 1:
        return None
    rows = torch.arange(size, device=factor.device)
    low, high = 0, size - 1
    while low < high:
        middle = (low + high) // 2
        if possible(torch.where(rows <= middle, factor, 0.0)):
            low = middle + 1
        else:
            high = middle
    return low
