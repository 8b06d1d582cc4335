"""Two ways to read a program's density: from its recording, and by running the program itself where it has none.

Both give the same things, so what stands on them (starting points, discrete sites drawn back, the pointwise log likelihood)
is written once. A leading dimension n is any number of points.
"""

import copy
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

import torch
from torch import Tensor

from .bijections import bijection_of
from .errors import RecordingError
from .holding import Holding
from .joint import Joint
from .loops import graph_of
from .lowering import Lowered, differentiated, lower, over_batch, over_rows
from .program import Evaluation, FromPosition, FromValues, Program
from .recording import Recording, device_of, read_eagerly, support_of
from .rolling import rolled
from .simplify import simplify
from .sites import Latent, Site
from .straightline import Graph, cut
from .tape import Tape

if TYPE_CHECKING:
    from .native.kernel import BoundKernel

__all__ = ["DensityReading", "EagerReading", "RecordedReading"]


MANY = 24  # sites, from which a loop among them is looked for


class DensityReading(Protocol):
    """What a LogDensity is made of.

    sites     of a run in which discrete sites are enumerated, in program order
    joint     the elimination of its enumerated sites; support: their values (K, *event)
    holding   its held sites
    """

    sites: Mapping[str, Site]
    joint: Joint
    support: Mapping[str, Tensor]
    holding: Holding

    def value_and_grad(self, position: Tensor, held: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(n, dim), whole numbers of held sites (n, elements) -> (n,), (n, dim)"""

    def shown(self, rows: Mapping[str, Tensor]) -> Self:
        """The same at other rows of subsampled plates, by name."""

    def constrain(self, position: Tensor) -> dict[str, Tensor]:
        """(n, dim) -> continuous latent site -> (n, *shape)"""

    def unconstrain(self, values: Mapping[str, Tensor]) -> Tensor:
        """Continuous latent site -> (n, *shape), to (n, dim)"""

    def factors(self, values: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
        """Continuous latent and held site -> (n, *shape), to site -> log probabilities (n, *its dims), unscaled"""

    def deterministic(self, values: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
        """Deterministic sites (n, *shape), those that this reading has a graph for."""

    def identity(self) -> tuple[str, list[Tensor]]:
        """What a fingerprint is made of."""


class RecordedReading:
    """From the graphs of one recording. Bindings to other data or parameters share the graphs.

    lowering   of the density with its gradient: native, inductor or recorded; all else is run by torch; asked: that, or auto.
               Raises LoweringError
    """

    def __init__(self, program: Program, recording: Recording, dtype: torch.dtype, lowering: str = "recorded", asked: str | None = None):
        self.recording, self.dtype, self.lowering, self.asked = recording, dtype, lowering, asked or lowering
        self.sites: Mapping[str, Site] = recording.sites
        self.joint = recording.joint
        self.support: Mapping[str, Tensor] = recording.support
        self.holding = recording.holding
        self.continuous = [s.name for s in recording.continuous]
        self._graphs: dict[str, Any] = {}
        self._lowered: dict[int | None, Lowered] = {}  # by the number of points; None is machine code, which goes from point to point
        self._bind(program)

    def bound(self, program: Program) -> "RecordedReading":
        """The same graphs on another program's data, parameters and rows."""
        other = object.__new__(RecordedReading)
        other.__dict__.update(self.__dict__)
        other._bind(program)
        return other

    def _bind(self, program: Program) -> None:
        sources = {n: program.leaves[int(n.removeprefix("data:"))] for n in program.data}
        sources |= {f"param:{n}": v for n, v in program.params.items()} | {f"rows:{n}": v for n, v in program.rows.items()}
        others = self.recording.others
        self._slow = {n: self._typed(sources[n]) for n in others if not n.startswith("rows:")}
        self._fast = {n: sources[n] for n in others if n.startswith("rows:")}
        self._others = (*self._slow.values(), *self._fast.values())
        self._runs: dict[int | None, Any] = {}

    def shown(self, rows: Mapping[str, Tensor]) -> "RecordedReading":
        """The same graphs at other rows of subsampled plates."""
        other = object.__new__(RecordedReading)
        other.__dict__.update(self.__dict__)
        other._fast = {n: rows[n.removeprefix("rows:")] for n in self._fast}
        other._others = (*self._slow.values(), *other._fast.values())
        if self.lowering == "native":  # machine code has them among what is prepared
            other._runs = {}
        return other

    def _typed(self, t: Tensor) -> Tensor:
        """In the density's dtype, where it was in the program's own."""
        return t.detach().to(self.dtype) if t.dtype == self.recording.dtype else t.detach()

    def _graph(self, which: str) -> Any:
        if which not in self._graphs:
            self._graphs[which] = getattr(self.recording, f"{which}_graph")(self.dtype)
        return self._graphs[which]

    def _total(self) -> Graph:
        """The factors of many sites, summed in a loop where the sites were in one."""
        if "total" not in self._graphs:
            place, *held = (n.value for n in self.recording.point)
            inputs = [place.to(self.dtype), *held, *self._others]
            self._graphs["total"] = rolled(graph_of(lambda *inputs: [self._sum(*inputs)], inputs))
        return self._graphs["total"]

    def compile(self, points: int) -> bool:
        """Lower the density for a number of points, and compute what depends on data and parameters alone; False where that is
        done."""
        many = None if self.lowering == "native" else points
        if many in self._runs:
            return False
        slow, fast = (self._slow, self._fast) if many is not None else ({**self._slow, **self._fast}, {})
        if many not in self._lowered:
            generator = torch.Generator().manual_seed(3)
            place = self.recording.tape.inputs["position"].value
            position = torch.rand(points, len(place), generator=generator, dtype=torch.float64) * 2 - 1
            position = position.to(place.device, self.dtype)
            held = self._example(len(position))
            if many is None:
                position, held = position[0], None if held is None else held[0]
            graph = differentiated(self._density, position, slow, fast, held)
            self._lowered[many] = lower(self.lowering, graph, self.dtype, self.asked)
        self._runs[many] = self._lowered[many].prepare(list(slow.values()))
        return True

    @property
    def native(self) -> "BoundKernel | None":
        """The density with its gradient as machine code, where it is."""
        return self._runs[None] if self.lowering == "native" else None

    def _example(self, points: int) -> Tensor | None:
        """Whole numbers of held sites with which a graph may be recorded."""
        held = [n.value for n in self.recording.point[1:]]
        return held[0].expand(points, -1) if held else None

    def value_and_grad(self, position: Tensor, held: Tensor | None = None) -> tuple[Tensor, Tensor]:
        self.compile(len(position))
        if self.native is not None and held is not None:
            rows = [self.native([q, h]) for q, h in zip(position, held, strict=True)]
            return torch.stack([value for value, _ in rows]), torch.stack([gradient for _, gradient in rows])
        if self.native is not None:
            return self.native.over(position)
        points = [position] if held is None else [position, held]
        value, gradient = self._runs[len(position)]((*points, *self._fast.values()))
        return value, gradient

    def _density(self, *inputs: Tensor) -> Tensor:
        """position (dim,), held numbers, others -> (): the recorded factors, enumerated sites summed out, Jacobians added."""
        return self._total()(*inputs)[0] if len(self.sites) >= MANY else self._sum(*inputs)

    def _sum(self, *inputs: Tensor) -> Tensor:
        outputs = self._graph("density")(*inputs)
        names, n = list(self.sites), len(self.sites)
        total = self.joint(dict(zip(names, outputs[:n], strict=True)), dict(zip(names, outputs[n : 2 * n], strict=True)))
        return sum(outputs[2 * n :], total).to(self.dtype)

    def _over(self, graph: Graph, given: Sequence[Tensor], count: int) -> tuple[Tensor, ...]:
        if count == 1 and given:
            with torch.no_grad():  # long graphs take several times as long under vmap
                return tuple(o[None] for o in graph(*(g[0] for g in given), *self._others))
        return over_batch(lambda *a: graph(*a, *self._others), given, count)

    def lowered(self, function: Callable[..., Sequence[Tensor]], points: Sequence[Tensor]) -> Any:
        """A function of (*points, *others), without a gradient, lowered as the density is: machine code goes from point to point, all else
        has a leading dimension of points. points: examples. Called with points alone. Raises LoweringError."""
        if self.lowering == "native":
            return self._built(function, [p[0] for p in points])
        runs: dict[int, Any] = {}  # by the number of points

        def run(given: Sequence[Tensor]) -> Sequence[Tensor]:
            count = len(given[0])
            if count not in runs:
                runs[count] = self._built(lambda *a: over_rows(function, a[: len(given)], a[len(given) :]), given)
            return runs[count](given)

        return run

    def _built(self, function: Callable[..., Sequence[Tensor]], given: Sequence[Tensor]) -> Any:
        tape, count = Tape(), len(given)
        copies = [t.detach().clone() for t in (*given, *self._others)]
        inputs = [tape.input(t, f"input {i}") for i, t in enumerate(copies)]
        with torch.no_grad(), tape:
            outputs = function(*copies)
        graph = simplify(cut(tape, inputs, [tape.node(t) for t in outputs], slow=range(count, len(copies))))
        return lower(self.lowering, graph, self.dtype, self.asked).prepare(self._others)

    def constrain(self, position: Tensor) -> dict[str, Tensor]:
        return dict(zip(self.continuous, self._over(self._graph("constrain"), [position], len(position)), strict=True))

    def unconstrain(self, values: Mapping[str, Tensor]) -> Tensor:
        given = [values[n] for n in self.continuous]
        return torch.cat(self._over(self._graph("unconstrain"), given, len(given[0])), -1)

    def factors(self, values: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
        given = [self._typed(values[n]).reshape(count, *self.recording.marks[n].value.shape) for n in self.recording.given]
        outputs = self._over(self._graph("values"), given, count)
        return dict(zip(self.sites, outputs[: len(self.sites)], strict=True))

    def deterministic(self, values: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
        names, graph = self._graph("deterministic")
        if not names:
            return {}
        return dict(zip(names, self._over(graph, [values[n] for n in self.continuous], count), strict=True))

    def identity(self) -> tuple[str, list[Tensor]]:
        graph = self._graph("density")
        return graph.text(), [*graph.constants(), *self._others]


class EagerReading:
    """By Pyro itself, one point after the other."""

    def __init__(self, program: Program, held: Collection[str] = ()):
        self.program, self.holding = program, Holding(program, held)
        at = torch.zeros(program.dim, dtype=program.dtype, device=device_of(program))
        self._none = torch.zeros(self.holding.elements, dtype=torch.int64, device=at.device)
        run = read_eagerly(program, at, held=self.holding.inside(self._none))[1]
        self.sites: Mapping[str, Site] = run.sites
        self.joint = Joint(run.sites, {q.name: q.subsample_size for q in run.plates.values()})
        self.support: Mapping[str, Tensor] = {n: support_of(s) for n, s in run.sites.items() if s.discrete}

    def bound(self, program: Program) -> "EagerReading":
        return EagerReading(program, list(self.holding.sites))

    def shown(self, rows: Mapping[str, Tensor]) -> "EagerReading":
        other = copy.copy(self)
        other.program = copy.copy(self.program)
        other.program.rows = dict(rows)
        return other

    def _enumerate(self) -> int:
        return -1 - self.program.nesting

    def value_and_grad(self, position: Tensor, held: Tensor | None = None) -> tuple[Tensor, Tensor]:
        values, gradients = [], []
        for q, h in zip(position, [self._none] * len(position) if held is None else held, strict=True):
            value, gradient = self._one(q.detach().to(self.program.dtype).clone().requires_grad_(), h)
            values.append(value)
            gradients.append(gradient)
        return torch.stack(values).to(position), torch.stack(gradients).to(position)

    def _one(self, at: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
        try:
            total, _ = read_eagerly(self.program, at, self.joint, grad=True, held=self.holding.inside(held))
        except torch.linalg.LinAlgError:  # a factorisation that does not exist here
            return at.new_full((), torch.nan), torch.full_like(at, torch.nan)
        (gradient,) = torch.autograd.grad(total, at, allow_unused=True) if total.requires_grad else (None,)
        return total.detach(), torch.zeros_like(at) if gradient is None else gradient

    def constrain(self, position: Tensor) -> dict[str, Tensor]:
        p = self.program
        at = self._enumerate()
        held = self.holding.inside(self._none)
        runs = [p.run(FromPosition, position=q.to(p.dtype), layout=p.sites, enumerate_dim=at, held=held).sites for q in position]
        return {n: torch.stack([r[n].value for r in runs]).to(position.dtype) for n, s in p.sites.items() if s.continuous}

    def unconstrain(self, values: Mapping[str, Tensor]) -> Tensor:
        runs = self._runs(values, len(next(iter(values.values()))))
        flat = [torch.cat([s.unconstrained for s in r.sites.values() if s.continuous]) for r in runs]
        return torch.stack(flat).to(next(iter(values.values())).dtype)

    def _runs(self, values: Mapping[str, Tensor], count: int) -> list[Evaluation]:
        p = self.program
        names = [n for n, s in p.sites.items() if s.continuous]
        points = [{n: values[n][i].to(p.dtype) for n in names} for i in range(count)]
        known = self.holding.sites.keys() <= values.keys()
        index = self.holding.index(values) if known and self.holding.sites else self._none.expand(count, -1)
        held = [self.holding.inside(row) for row in index]
        return [
            p.run(AtValues, values=v, layout=p.sites, enumerate_dim=self._enumerate(), held=h) for v, h in zip(points, held, strict=True)
        ]

    def factors(self, values: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
        runs = self._runs(values, count)
        return {n: torch.stack([torch.as_tensor(r.sites[n].log_prob) for r in runs]) for n in self.sites}

    def deterministic(self, values: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
        return {}

    def identity(self) -> tuple[str, list[Tensor]]:
        p = self.program
        return repr([(s.name, s.kind, s.distribution, tuple(s.shape)) for s in p.sites.values()]), [*p.data.values(), *p.params.values()]


class AtValues(FromValues):
    """Given values, and each one's place in unconstrained space by its support at the values of the others."""

    def __init__(self, *, layout: Mapping[str, Site], **settings: Any):
        super().__init__(**settings)
        self.layout = layout

    def latent_value(self, msg: Any) -> tuple[Any, Latent | None]:
        value, latent = super().latent_value(msg)
        if latent is None:
            raise RecordingError(f"site {msg['name']!r} is discrete and was not enumerated")
        back = bijection_of(msg["fn"]).inv(value)
        at = self.layout[msg["name"]]
        if at.rows is not None:
            back = back.reshape(max(at.shape[: len(at.shape) - at.event_dim].numel(), 1), -1)[at.rows]
        return value, latent._replace(unconstrained=back.reshape(-1))
