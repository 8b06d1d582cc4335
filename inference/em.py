"""Expectation-maximisation: parameters and continuous sites of highest probability, discrete sites summed out.

    w <- p(cell of a factor | x, theta)                                    E step, exact
    theta <- argmax  sum over factors and cells of  w log factor(theta)    M step

The objective, log p(x | theta) or log p(x, theta), never falls. Near a maximum its distance shrinks by a constant factor a step, the
share of information that is missing. Nothing is assumed of factors but that they have derivatives: the M step is Newton's method, one
step where a factor is quadratic, three or four where it is not. Densities are those of constrained values: no Jacobian counts.

Sources: Dempster, Laird & Rubin, JRSS-B 39(1), 1977; an M step that only climbs: Neal & Hinton, in Learning in Graphical Models,
1998; several starts: Biernacki, Celeux & Govaert, CSDA 41, 2003; the stopping rule: Boehning et al., Ann. Inst. Stat. Math. 46, 1994.
"""

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from ..completion import Completion
from ..deterministic import deterministic_at
from ..engine import Run, SteppingEngine, drive, require_positive
from ..errors import EngineError, PpgenWarning
from ..keys import Key
from ..posterior import Posterior, require_memory
from ..program import Program
from ..provenance import provenance
from ..simulation import simulate
from ..stopwatch import Stopwatch
from ._newton import ALONE, FARTHEST, LARGEST, Blocks, maximise

__all__ = ["EM", "Info", "State"]

SCATTER = 0  # stream of the key
RUNNING, CONVERGED, LOST = 0, 1, 2
FAR = 18.0  # a coordinate whose values have an end moved by more: a scale shrank to 1e-8 of what it was,
STILL = 0.1  # and gains more than this a step with a derivative above it, where at an end with a maximum both vanish: it is lost
EMPTY = 1e-6  # data that a value of a discrete site accounts for


class State(NamedTuple):
    point: Tensor  # (starts, dim)
    value: Tensor  # (starts,) the objective, nats
    weights: dict[str, Tensor]  # site -> posterior probability of each cell of its factor (starts, *dims)
    gain: Tensor  # (starts,) of the last step
    origin: Tensor  # (starts, dim) where the run began
    status: Tensor  # (starts,)
    away: Tensor  # (starts,) the coordinate that took a lost start along


class Tuning(NamedTuple):
    """What is found once, at the start."""

    blocks: Blocks
    unit: Tensor  # (starts, dim) root of each coordinate's information: what differences are measured in


class Info(NamedTuple):
    losses: Tensor  # (starts,) minus the objective, nats


@dataclass(frozen=True, kw_only=True)
class EM(SteppingEngine):
    """The point estimate of a program's parameters and of its continuous sites outside the data plate.

    priors      True: priors of continuous sites count (maximum a posteriori); False: maximum likelihood
    num_starts  runs side by side; the best is kept. Each begins near the fit in which discrete sites are ignored, apart from it by
                as much as single data are. Parameters begin the first run at their own values
    start       site -> value at which every run begins
    accelerate  a step is two of EM's and a leap along them, taken where it is no worse; False: E, M and no more
    num_steps   at most; a run ends where the objective is expected to grow by less than `tolerance` of its size in all steps to come

    The posterior has one draw: the estimate, and the discrete sites' most probable joint values given it. losses: minus the
    objective after each step; stats: lp, converged, and start_losses, of every start at its end; provenance says why it stopped.

    A normal mixture's likelihood has no maximum (a component on one datum): a run that goes there is stopped, told of by the site's
    name, and kept only if all do. Errors: EngineError (a continuous site inside the data plate on which others depend, minibatches,
    nothing to maximise over, too many coordinates that depend on one another), and what LogDensity raises. 272 x 2 data, two components
    of any covariance, one start: 0.5 ms for a step without leaps on one core (scikit-learn's: 0.5 ms), after 2 s of compiling when such
    a program is first seen.
    """

    priors: bool = True
    num_starts: int = 10
    num_steps: int = 2000
    tolerance: float = 1e-9
    accelerate: bool = True
    start: Mapping[str, Tensor] | None = None

    FREE: ClassVar[frozenset[str]] = SteppingEngine.FREE | {"num_steps"}

    def __post_init__(self) -> None:
        require_positive(self, "num_starts", "num_steps")
        if not self.tolerance >= 0:
            raise EngineError(f"EM: tolerance must be at least 0, got {self.tolerance}")

    @property
    def chains(self) -> tuple[int, ...]:
        return tuple(range(self.num_starts))

    @property
    def total(self) -> int:
        return self.num_steps

    def run(self, program: Callable[..., Any] | Program, *args: Any, **kwargs: Any) -> Posterior:
        watch = Stopwatch()
        program = Program.of(program, *args, **kwargs).copy()
        require_memory(program, 1, 1, self.keep)
        target = Completion(program, points=self.num_starts, priors=self.priors, dtype=self.dtype, lowering=self.lowering)
        watch.lap("record", target)
        return self._posterior(target, drive(self, target, watch=watch))

    # Steps

    def init(self, target: Completion, key: Key) -> tuple[State, Tuning]:
        position = target.density.initial(key, at=self.start)
        own = [p.detach().reshape(1, -1).to(position).expand(self.num_starts, -1) for p in target.params.values()]
        begin = torch.cat([position[:, target.free], *own], 1)
        flat = target.flat_weights(begin)
        generator, largest = torch.Generator().manual_seed(self.seed), LARGEST if target.weighted else ALONE
        blocks = Blocks.of(lambda q, d: target.expected(q, d, flat), begin, generator, largest)
        point = self._scattered(target, blocks, begin, flat, key)
        value, weights = target.evidence(point)
        unit = blocks.diagonal(target.expected(point, blocks.directions, weights)).abs().sqrt()
        zero = torch.zeros_like(value, dtype=torch.int64)
        return State(point, value, weights, torch.zeros_like(value), point, zero, zero), Tuning(blocks, unit)

    def _scattered(self, target: Completion, blocks: Blocks, begin: Tensor, flat: Mapping[str, Tensor], key: Key) -> Tensor:
        """Starting points: the fit without discrete sites, and from there as far as the information of one datum reaches."""
        bounded = _bounded(target)
        pooled, _ = maximise(lambda q, d: target.expected(q, d, flat), begin, blocks, bounded, enough=0.0)
        every = {n: (w > 0).to(w) for n, w in flat.items()}
        noise = key.normal(SCATTER, begin.shape).to(begin)
        away = blocks.spread(target.expected(pooled, blocks.directions, every), noise) * _data(target.program) ** 0.5
        away = torch.where(bounded, away.clamp(-FARTHEST, FARTHEST), away) * bool(flat)
        held = torch.zeros_like(begin, dtype=torch.bool)
        for place in target.places:
            held[: 1 if place.name in target.params else None, place.slice] |= place.name in target.params or place.name in (
                self.start or {}
            )
        for _ in range(30):  # nearer, where there is no density
            point = torch.where(held, begin, pooled + away)
            good = target.evidence(point)[0].isfinite()
            if good.all():
                break
            away = torch.where(good[:, None], away, away / 2)
        return point

    def step(self, target: Completion, state: State, tuning: Tuning, key: Key) -> tuple[State, Info]:
        new = self._climbed(target, state, tuning)
        if self.accelerate:
            new = self._leapt(target, state, new, self._climbed(target, new, tuning), tuning)
        return new, Info(-new.value)

    def _climbed(self, target: Completion, state: State, tuning: Tuning) -> State:
        """After one M step and the E step that follows."""
        bounded = _bounded(target)
        running = state.status == RUNNING
        there, slope = maximise(lambda q, d: target.expected(q, d, state.weights), state.point, tuning.blocks, bounded, running)
        value, weights = target.evidence(there)
        risen = running & (value >= state.value)
        gain = torch.where(risen, value - state.value, 0.0)
        moved = there - state.origin
        pull, away = (slope * moved.sign()).where(bounded & (moved.abs() > FAR), 0.0).max(1)
        status = torch.where(self._settled(gain, state), CONVERGED, RUNNING)
        status = torch.where((pull > STILL) & (gain > STILL) | ~value.isfinite(), LOST, status)
        return _chosen(risen, state._replace(point=there, value=value, weights=weights), state)._replace(
            gain=torch.where(running, gain, state.gain),
            status=torch.where(running, status, state.status),
            away=torch.where(running, away, state.away),
        )

    def _settled(self, gain: Tensor, before: State) -> Tensor:
        """Whether all gains to come are below the tolerance together: they form a geometric series."""
        ratio = gain / before.gain
        rest = torch.where(ratio < 1, gain * ratio / (1 - ratio), torch.inf)
        return (gain == 0) | (rest <= self.tolerance * (1 + before.value.abs()))

    def _leapt(self, target: Completion, zero: State, one: State, two: State, tuning: Tuning) -> State:
        """As far as two steps promise, where that is no worse than the second of them: squared extrapolation."""
        first, second = one.point - zero.point, two.point - one.point
        change = second - first
        length = (tuning.unit * first).norm(dim=1) / (tuning.unit * change).norm(dim=1)
        length = length.nan_to_num(1.0, posinf=1.0).clamp(min=1.0)[:, None]
        there = zero.point + 2 * length * first + length.square() * change
        value, weights = target.evidence(there)
        better = (two.status == RUNNING) & value.isfinite() & (value >= two.value)
        return _chosen(better, two._replace(point=there, value=value, weights=weights, gain=torch.zeros_like(two.gain)), two)

    def done(self, state: State, info: Info) -> bool:
        return not bool((state.status == RUNNING).any())

    def note(self, stats: Mapping[str, Tensor]) -> str:
        return f"loss {float(stats['losses'][:, -1].min()):,.4f}"

    # Result

    def _posterior(self, target: Completion, run: Run) -> Posterior:
        state: State = run.state
        standing = torch.where(state.status == LOST, -torch.inf, state.value) if (state.status != LOST).any() else state.value
        best = int(standing.argmax())
        params = {n: p.detach() for n, p in target.param(state.point[best]).items()}
        target.program.set_params(params)
        draws = self._draws(target, state.point[best], params)
        converged = (state.status[best] == CONVERGED).reshape(1, 1)
        stats = {"lp": state.value[best].reshape(1, 1), "converged": converged, "start_losses": -state.value[None, None]}
        reason = self._reason(state, best, run)
        for message in _remarks(target, state, best, reason):
            warnings.warn(message, PpgenWarning, stacklevel=3)
        run.watch.lap("collect", target)
        return Posterior(
            draws=draws if self.keep is None else {n: draws[n] for n in self.keep},
            program=target.program,
            params=params,
            losses=run.stats["losses"][best],
            stats=stats,
            provenance={**provenance(self, target, run.watch, run.interrupted), "stopped": reason},
        )

    def _reason(self, state: State, best: int, run: Run) -> str:
        what = {RUNNING: "num_steps", CONVERGED: "tolerance", LOST: "no maximum"}[int(state.status[best])]
        return f"{'interrupted' if run.interrupted else what} after {run.at} steps"

    def _draws(self, target: Completion, point: Tensor, params: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """(1, 1, *shape) of every latent and deterministic site."""
        program, conditionals = target.program, target.conditionals(params)
        values = conditionals.density.constrain(target.position(point)[None])
        values |= conditionals.mode(values, 1)[0] if conditionals.support else {}
        if missing := target.integrated:
            known = {n: v for n, v in values.items() if n not in missing}
            values |= {n: v for n, v in simulate(program, known, 1, seed=self.seed).items() if n in missing}
        rest = [n for n, s in program.sites.items() if s.kind == "deterministic"]
        values |= deterministic_at(program, rest, values, 1)
        return {n: values[n][None] for n in program.sites if n in values}


def _chosen(which: Tensor, new: State, old: State) -> State:
    """Start by start: the new one where `which` says so."""

    def pick(a: Tensor, b: Tensor) -> Tensor:
        return torch.where(which.reshape(-1, *[1] * (a.dim() - 1)), a, b)

    weights = {n: pick(w, old.weights[n]) for n, w in new.weights.items()}
    return new._replace(point=pick(new.point, old.point), value=pick(new.value, old.value), weights=weights, gain=pick(new.gain, old.gain))


def _bounded(target: Completion) -> Tensor:
    """(dim,)"""
    return torch.cat([torch.full((p.slice.stop - p.slice.start,), p.bounded, device=target.device) for p in target.places])


def _data(program: Program) -> int:
    """How many data there are."""
    if program.data_plate is not None:
        return program.plates[program.data_plate].size
    return max([1, *(s.log_prob.numel() for s in program.observed if isinstance(s.log_prob, Tensor))])


# What a result must be read with


def _remarks(target: Completion, state: State, best: int, reason: str) -> list[str]:
    found = []
    lost = (state.status == LOST).nonzero()[:, 0]
    if len(lost):
        where = _coordinate(target, int(state.away[lost[0]]))
        found.append(
            f"{len(lost)} of {len(state.status)} starts ran away: {where} goes to the end of its support and the objective grows "
            "without a maximum; give it a prior that ends this (priors=True), tie it, or take fewer components"
        )
    if int(state.status[best]) == RUNNING:
        found.append(f"EM ended by {reason} before it converged; its last step gained {float(state.gain[best]):.3g} nats")
    found += [
        f"value {k} of site {n!r} is empty: it accounts for {count:.2g} data, and what belongs to it alone is not found from data; take "
        "fewer values, or other starts"
        for n, k, count in _empty(target, state, best)
    ]
    return found


def _coordinate(target: Completion, at: int) -> str:
    """The site or parameter that a coordinate belongs to, with its index there."""
    place = next(p for p in target.places if p.slice.start <= at < p.slice.stop)
    index = torch.unravel_index(torch.tensor(at - place.slice.start), place.shape) if place.shape else ()
    return f"site {place.name!r}{[int(i) for i in index] or ''}"


def _empty(target: Completion, state: State, best: int) -> list[tuple[str, int, float]]:
    """Values of discrete sites inside plates that have no share of the data, and what they have."""
    found = []
    for name, support in target.recording.support.items():
        site = target.recording.sites[name]
        if not site.plates or name not in state.weights:
            continue
        weight = state.weights[name][best]
        counts = weight.movedim(site.dims.index(name), 0).flatten(1).sum(1)
        if len(counts) < weight.numel() and float(counts.sum()) > len(support):
            found += [(name, k, float(c)) for k, c in enumerate(counts) if float(c) < EMPTY]
    return found
