"""Bridges from a base to a program's posterior: the base is its prior, another program over the same sites, or a normal at its mode."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.func import vmap

from ..errors import CostError, EliminationError, EngineError, GuideError, ProgramError
from ..holding import Holding
from ..keys import Key
from ..lowering import Run, lower
from ..mode import at_mode
from ..program import Program
from ..readings import RecordedReading
from ..scoring import guide_of
from ..simplify import simplify
from ..simulation import simulate
from ..straightline import cut
from ..tape import Tape
from ..targets import LogDensity
from ..tempering import Between, HamiltonianBridge, Place, prior_of
from ._layers import layers_of, log_density

__all__ = ["Base", "at_held", "bridge_to", "density_of", "flat"]

BEGIN = 11  # streams of the key
ELEMENTS = 12
MOST = 12  # discrete elements that are drawn one after the other, or layers of them


class Base(ABC):
    """A normalised density over the flat position, and held elements, of a target."""

    @abstractmethod
    def draw(self, count: int, key: Key) -> tuple[Tensor, Tensor]:
        """Positions (count, dim) and held elements (count, elements)."""

    @abstractmethod
    def value_and_grad(self, position: Tensor, held: Tensor) -> tuple[Tensor, Tensor]: ...


class OfProgram(Base):
    """What a program draws forward. Raises EngineError: its continuous sites, or their supports, are others than the target's."""

    def __init__(self, program: Program, target: LogDensity, runs: Program):
        """runs: what is run forward for its draws."""
        self.runs, self.target = runs, target
        self.density = LogDensity(program, dtype=target.dtype, lowering=target.asked, held=target.held)
        mine, theirs = ({s.name: s.unconstrained_shape for s in d.sites} for d in (self.density, target))
        if mine != theirs:
            raise EngineError(f"the base has continuous sites {dict(mine)}, and the program {dict(theirs)}")
        place = torch.arange(target.dim, device=target.device)
        at = {s.name: place[s.slice] for s in target.sites}
        self.order = torch.cat([place[:0], *(at[s.name] for s in self.density.sites)])
        point = torch.linspace(-1, 1, target.dim, dtype=target.dtype, device=target.device)[None]
        here, there = self.density.constrain(point[:, self.order]), target.constrain(point)
        if wrong := [n for n in there if not torch.allclose(here[n], there[n])]:
            raise EngineError(f"sites {', '.join(wrong)} have other supports in the base than in the program")

    def draw(self, count: int, key: Key) -> tuple[Tensor, Tensor]:
        seed = int(key.uniform(BEGIN, (len(key.chains), 1))[0] * 2.0**53)
        try:
            drawn = simulate(self.runs, {}, count, seed=seed)
        except ProgramError as error:
            raise EngineError(f'{error}; or begin at the mode: base="normal"') from error
        return flat(self.target, drawn, count)

    def value_and_grad(self, position: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
        value, gradient = at_held(self.density, held).value_and_grad(position[:, self.order])
        out = torch.empty_like(position)
        out[:, self.order] = gradient
        return value, out


class NormalBase(Base):
    """A normal of independent coordinates, at the mode and as wide as the curvature there says."""

    def __init__(self, target: LogDensity, key: Key):
        start = at_mode(target.program, key)
        self.centre, self.unit = (t.to(target.device, target.dtype) for t in start)

    def draw(self, count: int, key: Key) -> tuple[Tensor, Tensor]:
        noise = key.normal(BEGIN, (count, len(self.centre))).to(self.centre)
        return self.centre + self.unit * noise, torch.zeros(count, 0, dtype=torch.int64, device=noise.device)

    def value_and_grad(self, position: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
        normal = torch.distributions.Normal(self.centre, self.unit)
        return normal.log_prob(position).sum(1), (self.centre - position) / self.unit.square()


def bridge_to(target: LogDensity, base: str | Callable[..., Any], num_steps: int, seed: int) -> HamiltonianBridge:
    """base: prior, guide, normal, or a guide program of the user's. Raises EngineError, GuideError, ProgramError, StartError."""
    start = _base(target, base, Key(seed, device=target.device))

    def at(position: Tensor, held: Tensor) -> Place:
        low, low_slope = start.value_and_grad(position, held)
        high, high_slope = at_held(target, held).value_and_grad(position)
        return Place(position, held, low[:, None], (high - low)[:, None], low_slope, high_slope - low_slope)

    groups = torch.zeros(target.dim, dtype=torch.int64, device=target.device)
    sweep = by_layers(start, target) if target.held and isinstance(start, OfProgram) else None
    if sweep is None and target.holding.elements > MOST:
        raise EngineError(
            f"AIS draws discrete elements one after the other, each by the density of all, and {', '.join(target.held)} have "
            f"{target.holding.elements:,} (at most {MOST}); take Gibbs for draws, or give AIS().through a bridge that moves them together"
        )
    return HamiltonianBridge(Between(start.draw, at, groups, 1, target.holding.sizes, sweep), num_steps)


def by_layers(base: OfProgram, target: LogDensity) -> Callable[[Place, float, Key, bool], Tensor] | None:
    """A sweep that draws all elements at once that do not meet; None where there are other than those of two values, in which both
    log densities are affine, or continuous sites beside them."""
    readings = [r for r in (base.density.reading, target.reading) if isinstance(r, RecordedReading)]
    if target.dim or len(readings) < 2:
        return None
    names = [r.recording.others for r in readings]
    free, met = (layers_of(r, target.holding, n, most) for r, n, most in zip(readings, names, (1, MOST), strict=True))
    if free is None or met is None:
        return None
    low, high = (vmap(lambda row, r=r: log_density(r, target.holding, row, r._others)) for r in readings)
    span, graphs = met.high - met.low, {}

    def swept(values: Tensor, uniforms: Tensor, level: Tensor, back: bool) -> Tensor:
        for c in reversed(met.layers) if back else met.layers:
            leaf = values.detach().requires_grad_()
            (slope,) = torch.autograd.grad(((1 - level) * low(leaf) + level * high(leaf)).sum(), leaf)
            drawn = met.low[c] + span[c] * (uniforms[:, c] < (span[c] * slope[:, c]).sigmoid())
            values = values.detach().index_copy(1, c, drawn)
        return values

    def sweep(place: Place, level: float, key: Key, back: bool) -> Tensor:
        values = met.values(place.held)
        given = values, key.uniform(ELEMENTS, values.shape).to(values), torch.as_tensor(level).to(values)
        if (len(values), back) not in graphs:
            graphs[len(values), back] = _recorded(partial(swept, back=back), given)
        return met.held(graphs[len(values), back](given)[0])

    return sweep


def _recorded(function: Callable[..., Tensor], given: Sequence[Tensor]) -> Run:
    """A function of tensors, which takes derivatives inside, as a graph that torch runs."""
    tape = Tape(differentiated=True)
    inputs = [t.detach().clone() for t in given]
    nodes = [tape.input(t, f"input {i}") for i, t in enumerate(inputs)]
    with torch.enable_grad(), tape:
        output = function(*inputs).detach()
    graph = simplify(cut(tape, nodes, [tape.node(output)], slow=range(0)))
    return lower("recorded", graph, output.dtype, "recorded").prepare([])


def _base(target: LogDensity, base: str | Callable[..., Any], key: Key) -> Base:
    program = target.program
    if base == "normal":
        if target.held:
            raise EngineError('base="normal" is of continuous sites alone, and this program holds discrete ones; take the prior')
        return NormalBase(target, key)
    if base == "prior":
        return OfProgram(prior_of(program), target, program)
    if base == "guide" and program.family is None:
        raise GuideError(f"program {program.name!r} has no guide of its own; give a guide program as base")
    guide = guide_of(program) if isinstance(base, str) else Program(base).bind(*program.args, **program.kwargs)
    return OfProgram(guide, target, guide)


def density_of(program: Program, dtype: torch.dtype, lowering: str) -> LogDensity:
    """Discrete sites are summed out where that leaves something to move and fits; else they are held, and drawn."""
    if program.dim:
        try:
            return LogDensity(program, dtype=dtype, lowering=lowering)
        except (EliminationError, CostError):
            pass
    if not all(Holding(program, program.discrete).sizes):
        raise EngineError("AIS draws elements of discrete sites from all of their values, and one here has no end of them")
    batched = "recorded" if lowering == "auto" else lowering  # machine code goes from point to point where elements are held
    return LogDensity(program, dtype=dtype, lowering=batched, held=program.discrete)


def flat(density: LogDensity, values: Mapping[str, Tensor], count: int) -> tuple[Tensor, Tensor]:
    """Latent site -> (count, *shape), to positions (count, dim) and held elements (count, elements)."""
    position, held = torch.zeros(count, 0, dtype=density.dtype), torch.zeros(count, 0, dtype=torch.int64)
    position = density.unconstrain(values) if density.dim else position
    return position.to(density.device), (density.holding.index(values) if density.held else held).to(density.device)


def at_held(density: LogDensity, held: Tensor) -> LogDensity:
    return density.given(held) if density.held else density
