"""Gibbs sampling: discrete sites given the continuous ones, then continuous sites given the discrete ones, in turn.

    z ~ p(z | theta, x)                         elements of all discrete sites
    theta ~ p(theta | z, x)                     where each coordinate's law is a Normal, Gamma, Beta or a Dirichlet's, whatever z is
    theta' = one NUTS trajectory from theta     elsewhere, under log p(theta, z, x) with z held

What each element meets is read off the recorded program (ppgen/scopes.py). Where the elements can be summed out one after the other at
a price that is worth it, all are drawn jointly and exactly: labels of a mixture, paths of a chain, a network of small width. Elsewhere
(labels that meet within one plate, grids, large loopy networks) sweeps draw one element after the other given all others, in the
program's order, or layer by layer of elements that do not meet, where the density is of that kind (_layers.py). Of the two usual orders
the systematic one, which touches every element once, needs about half the draws of elements picked at random where these depend on each
other little. An element whose values have no end (Poisson) makes a Metropolis step, to either side, of a length from 1 to 128 whose
scale is drawn.

Leaves the posterior invariant; a mean of the draws has Monte Carlo error sd / sqrt(ESS). Sweeps do not leave a mode that only many
elements together can leave: chains that disagree are told of. There are no moves that merge and split groups: on the karate club, with 2
to 4 communities, eight chains of 10,000 draws from anywhere agree on who shares one with whom (R-hat 1.04 at most, in 1 to 3 s).

Sources: Geman & Geman, IEEE PAMI 6(6), 1984; Liu, Wong & Kong, JRSS-B 57(1), 1995 (scans); Chib, J. Econometrics 75, 1996 (paths).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..engine import Advance, Interrupt, require_all_rows, require_positive
from ..errors import EngineError, StartError
from ..keys import START, Key, nth
from ..program import Program
from ..targets import TRIES
from ._blocks import Averaging, Drawn, Sampler
from ._elements import ElementWorkshop, HeldState
from ._hamiltonian import HamiltonianEngine, Tuning
from ._held import HeldDensity
from ._joint_draws import Order
from ._layers import advance_in_layers
from ._metric import Metric
from ._sweep import resumable, run
from ._trajectory import STATS
from .nuts import FIRSTS

__all__ = ["Gibbs"]

HOW = ("auto", "joint", "sweep", "layers")
STARTS = 20  # assignments of the discrete sites that are tried at the start
BEFORE = 2**32 - 1  # a draw's index that no draw has: of what is drawn before the first
RADIUS = 2.0  # of where continuous sites begin, unconstrained
SMALL = 4  # values from 0 at which an element without end begins


@dataclass(frozen=True, kw_only=True)
class Gibbs(HamiltonianEngine):
    """For programs with discrete sites that cannot be summed out, and for draws of those that can be.

    discrete         joint: all discrete elements in one exact draw; sweep: one after the other; layers: a sweep of those that do not meet
                     at once, all chains together; auto: joint where it is worth its price, layers where everything meets in few terms
    continuous       trajectory: of all continuous sites; auto: they are drawn from their laws given the discrete ones, where these are
                     conjugate and the sites do not depend on each other otherwise (_laws.py finds out)
    num_sweeps       sweeps in each draw
    max_tree_depth   a trajectory of the continuous sites has at most 2^max_tree_depth - 1 leapfrog steps

    The other settings are those of NUTS; `start` takes discrete sites too. A program without discrete sites is refused: NUTS is what
    Gibbs would be there. Where discrete sites can be summed out, NUTS without them mixes better than any engine that draws them.
    """

    discrete: str = "auto"
    continuous: str = "auto"
    num_sweeps: int = 1
    max_tree_depth: int = 10

    ADVICE: ClassVar[str] = (
        "make num_warmup and num_samples longer, or look for several modes: sweeps leave none that only many elements together can leave; "
        'discrete="joint" draws all at once where that fits, and sites that can be summed out are better summed out (NUTS, Enumeration)'
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        require_positive(self, "num_sweeps", "max_tree_depth")
        if self.discrete not in HOW:
            raise EngineError(f"discrete must be one of {', '.join(HOW)}; got {self.discrete!r}")
        if self.continuous not in ("auto", "trajectory"):
            raise EngineError(f"continuous must be auto or trajectory; got {self.continuous!r}")

    @property
    def sampler(self) -> Sampler:
        return self._sampler(True)

    def _sampler(self, moves: bool) -> Sampler:
        stats = (*STATS, "tree_depth") if moves else ("lp",)
        return Sampler(resumable, run, stats, FIRSTS + 2 * self.max_tree_depth, (self.max_tree_depth,))

    def check(self, program: Program) -> None:
        if not program.discrete:
            raise EngineError(
                f"Gibbs draws discrete and continuous sites in turn, and program {program.name!r} has no discrete one; use NUTS"
            )

    def target(self, program: Program, dtype: torch.dtype) -> HeldDensity:
        require_all_rows(self, program)
        density = HeldDensity(program, dtype=dtype, lowering=self.lowering)
        density.plan(self.discrete, trajectories=self.continuous == "trajectory")
        if self.discrete == "joint" and density.order is None:
            raise EngineError(
                f"{', '.join(program.discrete)} cannot be drawn jointly: too many elements meet, or a support has no end, or the program "
                'cannot be recorded; use discrete="sweep"'
            )
        if self.discrete == "layers" and density.layers is None:
            raise EngineError(
                f"{', '.join(program.discrete)} cannot be drawn in layers: there are continuous sites too, or elements of more than two "
                'values, or the log density is not affine in each, or too many meet each other; use discrete="sweep"'
            )
        return density

    def moved(self, program: Program) -> list[str]:
        return [s.name for s in program.latent]

    def workshop(self, density: Any, stop: Interrupt) -> ElementWorkshop:
        return ElementWorkshop(density, self._sampler(_moves(density)), stop.flag, self.threads, density.order, self.num_sweeps)

    def block(self, density: Any, stop: Interrupt) -> Advance:
        if density.layers is not None:
            return advance_in_layers(density, density.layers, self.num_sweeps, stop)
        return super().block(density, stop)

    def init(self, density: Any, key: Key) -> tuple[Any, Tuning]:
        order = density.order
        anywhere = order is not None and not set(self.start or {}) & set(density.holding.sites)
        state = self._drawn(density, order, key) if anywhere else self._found(density, key)
        return state, self.first_tuning(density.given(state.held.to(density.device)), state, key)  # type: ignore[arg-type]

    def _drawn(self, density: HeldDensity, order: Order | None, key: Key) -> HeldState:
        """Continuous sites at values of `start` or anywhere, discrete ones drawn given these."""
        chains = len(key.chains)
        centre, free = density.centre(self.start or {})
        one, none = torch.ones(chains), torch.zeros(chains)
        shop = ElementWorkshop(density, self._sampler(_moves(density)), np.zeros(1, np.int64), self.threads, order, 1, still=True)
        state = HeldState(
            centre.expand(chains, -1).cpu().double(), none, torch.zeros(chains, density.dim), torch.zeros(chains, density.holding.elements)
        )
        metric, averaging = Metric.diagonal(torch.ones_like(state.position)), Averaging(none, none, none, none)
        good, radius = torch.zeros(chains, dtype=torch.bool), RADIUS
        for attempt in range(TRIES):
            u = key.uniform(START, (chains, density.dim), start=attempt * density.dim).to(density.device, density.dtype)
            position = (centre + free * (2 * u - 1) * radius).cpu().double()
            tried = state._replace(position=torch.where(good[:, None], state.position, position))
            drawn: Any = shop.draw(tried, one, averaging, metric, key.at(BEFORE - attempt), 1).state
            state = HeldState(*(torch.where(_wide(good, new), old.to(new), new) for old, new in zip(state, drawn, strict=True)))
            good = state.log_density.isfinite() & state.gradient.isfinite().all(-1)
            if good.all():
                return state
            radius = max(radius * 0.95, 1e-3)
        raise StartError(density.fault(*(t[~good][:1].to(density.device) for t in (state.position.to(density.dtype), state.held))))

    def _found(self, density: HeldDensity, key: Key) -> HeldState:
        """Sites of `start` at their values, all others anywhere."""
        given = dict(self.start or {})
        discrete = {n: torch.as_tensor(given.pop(n)) for n in list(given) if n in density.holding.sites}
        chains = len(key.chains)
        sizes = torch.tensor(density.holding.sizes)
        fault = ""
        for attempt in range(STARTS):
            u = key.uniform(nth(START, 1), (chains, len(sizes)), start=attempt * len(sizes)).cpu()
            held = (u * torch.where(sizes > 0, sizes, SMALL)).long()
            for name, value in discrete.items():
                site = density.holding.sites[name]
                held[:, site.slice] = site.index(value.cpu())
            at = density.given(held.to(density.device))
            try:
                position = at.initial(key.at(attempt), at=given)
            except StartError as error:
                fault = str(error)
                if attempt == STARTS - 1 or len(discrete) == len(density.holding.sites):
                    raise
                continue
            value, gradient = at.value_and_grad(position)
            position, value, gradient = (t.to("cpu", torch.float64) for t in (position, value, gradient))
            return HeldState(position, value, gradient, held)
        raise StartError(fault)

    def note(self, stats: Mapping[str, Tensor]) -> str:
        return super().note(stats) if "n_steps" in stats else ""

    def _tuned(self, density: Any, drawn: Drawn, tuning: Tuning, key: Key, made: int) -> Tuning:
        if not _moves(density):
            return tuning
        return super()._tuned(density.given(drawn.state.held.to(density.device)), drawn, tuning, key, made)  # type: ignore[attr-defined]


def _moves(density: HeldDensity) -> bool:
    """Whether continuous sites make trajectories."""
    return density.dim > 0 and density.laws is None


def _wide(chains: Tensor, like: Tensor) -> Tensor:
    """(chains,) with dimensions of size 1 for the others of `like`."""
    return chains.reshape(-1, *[1] * (like.dim() - 1))
