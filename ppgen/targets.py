"""What engines see: readings of one recording.

`LogDensity` is the reading of samplers: a flat unconstrained position to its log density and gradient, and back to sites.
"""

import hashlib
import inspect
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions.constraints import Constraint
from torch.func import vmap

from .elimination import draw_back, gather
from .errors import DataError, NameNotFoundError, PpgenError, ProgramError, RecordingError, StartError
from .keys import DRAW_BACK, START, Key
from .lowering import Compiled, Lowering, check_lowering, compile_batched
from .program import ARGUMENTS, FromValues, Program
from .recording import Recording, agree, device_of, difference, read_eagerly
from .tape import Graph

__all__ = ["Coordinate", "LogDensity", "PointwiseLogLikelihood"]

POINTS = 4  # dispersed points at which a recording is checked, as many as there are chains by default
TRIES = 100  # starting points tried per chain
CHUNK = 2**25  # elements of the largest factor that one batch of draws may hold


class Coordinate(NamedTuple):
    """A continuous latent site's place in the flat position."""

    name: str
    shape: torch.Size
    support: Constraint | None
    slice: slice
    unconstrained_shape: torch.Size


class PointwiseLogLikelihood(NamedTuple):
    """Log likelihood of each datum at each draw.

    values   site -> (chains, draws, *batch); with a data plate one entry named by it, (chains, draws, N)
    plate    the data plate, None where the observed sites have none in common
    kind     conditional: continuous latent sites inside the data plate are held at their draws; marginal: there are none
    """

    values: dict[str, Tensor]
    plate: str | None
    kind: str


class LogDensity:
    """The log density of a program's continuous latent sites, discrete ones summed out.

    dtype      of positions, values and gradients (float64); the program is recorded in its own dtype and retyped
    lowering   auto: recorded, else eager where the program cannot be recorded; recorded or eager: that one or an error

    dim        size of the flat position; sites: where each continuous latent site stands in it
    evaluations counts gradients, one per chain; seconds: record, check, compile

    Raises RecordingError, EliminationError, CostError, and what Program raises.
    """

    def __init__(self, program: Program, *, dtype: torch.dtype | None = torch.float64, lowering: str = "auto"):
        check_lowering(lowering)
        self.program = program
        self.dtype = dtype if dtype is not None else torch.get_default_dtype()
        self.device = device_of(program)
        self.seconds = {"record": 0.0, "check": 0.0, "compile": 0.0}
        self.evaluations = 0
        self.sites = tuple(
            Coordinate(s.name, s.shape, s.support, s.place, s.unconstrained_shape) for s in program.latent if s.place is not None
        )
        self.dim = program.dim
        self._compiled: dict[int, Compiled] = {}
        self._graphs: dict[str, Any] = {}
        self.recording: Recording | None = None
        if lowering == "eager":
            self.lowering = Lowering("eager", "asked for")
            return
        try:
            self._record()
            self.lowering = Lowering("recorded", "asked for" if lowering == "recorded" else "the graph, batched over chains, run by torch")
        except RecordingError as error:
            if lowering == "recorded":
                raise
            self.recording = None
            self.lowering = Lowering("eager", f"cannot be recorded: {error}")

    def _record(self) -> None:
        start = time.perf_counter()
        self.recording = Recording(self.program)
        self.seconds["record"] += time.perf_counter() - start
        self._bind_inputs()
        self._check()

    def _check(self) -> None:
        """The compiled density at dispersed points against the program itself."""
        recording = self._recorded()
        generator = torch.Generator().manual_seed(4)
        positions = (torch.rand(POINTS, self.dim, generator=generator, dtype=torch.float64) * 3 - 1.5).to(self.device, self.dtype)
        value, gradient = self._evaluate(positions)
        start = time.perf_counter()
        agree(recording, lambda q: self._factors(q)[0], positions, value, gradient)
        self.seconds["check"] += time.perf_counter() - start

    def _recorded(self) -> Recording:
        if self.recording is None:
            raise RecordingError(f"this needs the recorded graph; the program runs {self.lowering.name}: {self.lowering.reason}")
        return self.recording

    # Inputs

    def _bind_inputs(self) -> None:
        """The values of the graph's inputs, in the density's dtype where the program's own was recorded."""
        recording, p = self._recorded(), self.program
        sources: dict[str, Tensor] = {**{n: p.leaves[int(n.removeprefix("data:"))] for n in p.data}}
        sources |= {f"param:{n}": v for n, v in p.params.items()} | {f"rows:{n}": v for n, v in p.rows.items()}
        self._slow = {n: self._typed(sources[n]) for n in recording.others if not n.startswith("rows:")}
        self._fast = {n: sources[n] for n in recording.others if n.startswith("rows:")}

    def _typed(self, t: Tensor) -> Tensor:
        recording = self._recorded()
        return t.detach().to(self.dtype) if t.dtype == recording.dtype else t.detach()

    @property
    def _others(self) -> list[Tensor]:
        return [*self._slow.values(), *self._fast.values()]

    def bind(self, params: Mapping[str, Tensor] | None = None, data: Mapping[str, Tensor] | None = None) -> "LogDensity":
        """Another target on the same compiled graph: other parameters (unconstrained, by name), other data of equal
        shapes (by the argument's name). Checked against eager Pyro again.

        Raises NameNotFoundError, DataError (another shape).
        """
        p = self.program
        args, kwargs = p.args, dict(p.kwargs)
        if data:
            args, kwargs = _replaced(p, data)
        other = object.__new__(LogDensity)
        other.__dict__.update(self.__dict__)
        other.program = p.bind(*args, **kwargs) if data else p.copy()
        if params:
            unknown = set(params) - set(p.params)
            if unknown:
                raise NameNotFoundError(f"no parameter named {sorted(unknown)}; there are {sorted(p.params)}")
            other.program = other.program.copy()
            other.program.set_params(params)
        for name in p.data:
            old, new = p.data[name], other.program.data.get(name)
            if new is None or new.shape != old.shape:
                raise DataError(f"bind keeps shapes: expected {tuple(old.shape)}, got {None if new is None else tuple(new.shape)}")
        if self.recording is None or self.recording.constant:
            return LogDensity(other.program, dtype=self.dtype, lowering=self.lowering.name)
        other.evaluations = 0
        other._compiled = {}
        for chains, compiled in self._compiled.items():
            other._compiled[chains] = Compiled(compiled.graph)
        other._bind_inputs()
        for compiled in other._compiled.values():
            compiled.prepare(list(other._slow.values()))
        other.recording = _rebound(self._recorded(), other.program)
        other._check()
        return other

    # Density

    def value_and_grad(self, position: Tensor) -> tuple[Tensor, Tensor]:
        """(chains, dim) -> log density (chains,), nats, up to the program's own constants; its gradient (chains, dim).

        Never raises for a bad point: its value is -inf or nan.
        """
        self.evaluations += len(position)
        return self._evaluate(position)

    def _evaluate(self, position: Tensor) -> tuple[Tensor, Tensor]:
        if self.recording is None:
            return self._eager(position)
        compiled = self._compiled.get(len(position))
        if compiled is None:
            start = time.perf_counter()
            compiled = compile_batched(self._density, len(position), self.dim, self._slow, self._fast, position)
            self._compiled[len(position)] = compiled
            self.seconds["compile"] += time.perf_counter() - start
        return compiled.run((position, *self._fast.values()))

    def log_density(self, position: Tensor) -> Tensor:
        """(chains, dim) -> (chains,)"""
        return self._evaluate(position)[0]

    def _density(self, position: Tensor, *others: Tensor) -> Tensor:
        """(dim,) -> (): the recorded factors, enumerated sites summed out, Jacobians added."""
        factors, log_jacobian = self._split(self._graph("density")(position, *others))
        log_probs = {n: a for n, (a, _) in factors.items()}
        total, _ = self._recorded().joint(log_probs, {n: b for n, (_, b) in factors.items()})
        return total + log_jacobian

    def _graph(self, which: str) -> Graph:
        if which not in self._graphs:
            self._graphs[which] = getattr(self._recorded(), f"{which}_graph")(self.dtype)
        return self._graphs[which]

    def _split(self, outputs: Sequence[Tensor]) -> tuple[dict[str, tuple[Tensor, Tensor]], Any]:
        """The density graph's outputs: site -> (factor, scale), and the log Jacobian."""
        names = list(self._recorded().sites)
        n = len(names)
        jacobians = outputs[2 * n :]
        return dict(zip(names, zip(outputs[:n], outputs[n : 2 * n], strict=True), strict=True)), sum(jacobians)

    def _factors(self, position: Tensor) -> tuple[dict[str, Tensor], Any]:
        """(dim,) -> site -> factor, and the log Jacobian."""
        with torch.no_grad():
            factors, log_jacobian = self._split(self._graph("density")(position, *self._others))
        return {n: a for n, (a, _) in factors.items()}, log_jacobian

    def _eager(self, position: Tensor) -> tuple[Tensor, Tensor]:
        """Pyro itself, one chain after the other: the fallback."""
        values, gradients = [], []
        for q in position:
            at = q.to(torch.get_default_dtype()).detach().clone().requires_grad_()
            total, _ = read_eagerly(self.program, at, grad=True)
            (gradient,) = torch.autograd.grad(total, at, allow_unused=True) if total.requires_grad else (None,)
            values.append(total.detach())
            gradients.append(torch.zeros_like(at) if gradient is None else gradient)
        return torch.stack(values).to(position), torch.stack(gradients).to(position)

    # Sites

    def constrain(self, position: Tensor) -> dict[str, Tensor]:
        """(*batch, dim) -> continuous latent site -> (*batch, *shape)."""
        if self.recording is None:
            return self._eager_values(position, lambda s: s.continuous)
        names = [s.name for s in self.sites]
        return dict(zip(names, self._map(self._graph("constrain"), [position], position.shape[:-1]), strict=True))

    def unconstrain(self, values: Mapping[str, Tensor]) -> Tensor:
        """Continuous latent site -> (*batch, *shape), to (*batch, dim). Raises NameNotFoundError, DataError (a shape)."""
        batch = self._batch_of(values)
        if not self.sites:
            return torch.zeros(*batch, 0, dtype=self.dtype, device=self.device)
        given = [values[s.name].to(self.device, self.dtype) for s in self.sites]
        if self.recording is None:
            run = [self._eager_unconstrain([g.reshape(-1, *s.shape)[i] for g, s in zip(given, self.sites, strict=True)])
                   for i in range(math.prod(batch))]
            return torch.stack(run).reshape(*batch, self.dim)
        return torch.cat(self._map(self._graph("unconstrain"), given, batch), -1)

    def _batch_of(self, values: Mapping[str, Tensor]) -> torch.Size:
        batch = torch.Size()
        for s in self.sites:
            if s.name not in values:
                raise NameNotFoundError(f"no value for site {s.name!r}; given are {sorted(values)}")
            shape = values[s.name].shape
            if shape[len(shape) - len(s.shape) :] != s.shape:
                raise DataError(f"site {s.name!r} has shape {tuple(s.shape)}; got {tuple(shape)}")
            batch = shape[: len(shape) - len(s.shape)]
        return batch

    def _map(self, graph: Graph, given: Sequence[Tensor], batch: Sequence[int]) -> list[Tensor]:
        """Run a reading over a leading batch of any shape."""
        count = math.prod(batch)
        if not batch:
            with torch.no_grad():
                return list(graph(*given, *self._others))
        n = len(batch)
        flat = [g.reshape(count, *g.shape[n:]) for g in given]
        outputs = over_batch(lambda *a: graph(*a, *self._others), flat, count)
        return [o.reshape(*batch, *o.shape[1:]) for o in outputs]

    def _eager_values(self, position: Tensor, wanted: Callable) -> dict[str, Tensor]:
        flat = position.reshape(-1, self.dim).to(torch.get_default_dtype())
        runs = [read_eagerly(self.program, q)[1].sites for q in flat]
        names = [n for n, s in runs[0].items() if wanted(s)]
        return {n: torch.stack([r[n].value for r in runs]).reshape(*position.shape[:-1], *runs[0][n].value.shape) for n in names}

    def _eager_unconstrain(self, given: Sequence[Tensor]) -> Tensor:
        """One point: each site's transform at the values of the others."""
        values = dict(zip([s.name for s in self.sites], given, strict=True))
        parts: list[Tensor] = []

        class Inverse(FromValues):
            def latent_value(self, msg: Any) -> Any:
                value, latent = super().latent_value(msg)
                if latent is not None:
                    parts.append(torch.distributions.biject_to(msg["fn"].support).inv(value).reshape(-1))
                return value, latent

        discrete = {n: self.program.sites[n].value for n in self.program.discrete}
        self.program.run(Inverse, values={**discrete, **values})
        return torch.cat(parts).to(self.dtype)

    # Starting points

    def initial(self, key: Key, radius: float = 2.0, near: Mapping[str, Tensor] | None = None) -> Tensor:
        """(chains, dim): each chain's first finite point, uniform within `radius` of 0 (or of the values `near`) in
        unconstrained space; no prior is sampled. Raises StartError, naming the site and row at fault."""
        shape = (len(key.chains), self.dim)
        centre = torch.zeros(self.dim, dtype=self.dtype, device=self.device)
        if near is not None:
            centre = self.unconstrain({**{n: v[0] for n, v in self.constrain(centre[None]).items()}, **near})
        good = torch.zeros(shape[0], dtype=torch.bool, device=self.device)
        position = centre.expand(shape)
        for attempt in range(TRIES):
            u = key.uniform(START, shape, start=attempt * self.dim).to(self.device, self.dtype)
            trial = torch.where(good[:, None], position, centre + (2 * u - 1) * radius)
            value, gradient = self._evaluate(trial)
            position, good = trial, value.isfinite() & gradient.isfinite().all(-1)
            if good.all():
                return position
            if attempt >= 20:  # far out the density may overflow: come nearer
                radius = max(radius * 0.9, 1e-3)
        raise StartError(self._fault(position[~good][0]))

    def _fault(self, position: Tensor) -> str:
        """Which site, and which row of it, has no finite density or gradient at a position."""
        if self.recording is not None:
            factors = self._factors(position)[0]
        else:
            factors = {n: s.log_prob for n, s in read_eagerly(self.program, position.to(torch.get_default_dtype()))[1].sites.items()}
        for name, t in factors.items():
            bad = ~torch.as_tensor(t).isfinite()
            if bad.any():
                where = bad.nonzero()[0].tolist()
                at = f", row {where[-1]}" if where else ""
                value = float(torch.as_tensor(t)[tuple(where)])
                return f"no starting point with a finite density in {TRIES} tries: site {name!r}{at} has log probability {value}"
        return f"no starting point with a finite gradient in {TRIES} tries; the density itself is finite"

    # Draws

    def latents(self, position: Tensor, key: Key) -> dict[str, Tensor]:
        """(chains, draws, dim) -> every latent site and every deterministic one, (chains, draws, *shape): continuous ones
        constrained, discrete ones drawn back exactly. Draw d of chain c reads its own numbers of the key."""
        chains, draws = position.shape[:2]
        if self.recording is None:
            if self.program.discrete:
                raise RecordingError(f"discrete sites {self.program.discrete} are drawn back from the recorded graph; {self.lowering.reason}")
            return self._eager_values(position, lambda s: s.continuous or s.kind == "deterministic")
        continuous = self.constrain(position)
        count = draws
        if self._recorded().support:
            count = max(1, CHUNK // max(1, chains * self._largest()))
        parts = []
        for start in range(0, draws, count):
            stop = min(start + count, draws)
            some = {n: v[:, start:stop].reshape(-1, *v.shape[2:]) for n, v in continuous.items()}
            drawn = self._discrete_and_deterministic(some, key, chains, start, stop)
            parts.append({n: v.reshape(chains, stop - start, *v.shape[1:]) for n, v in drawn.items()})
        rest = {n: torch.cat([p[n] for p in parts], 1) for n in (parts[0] if parts else {})}
        everything = {**continuous, **rest}
        return {n: everything[n] for n in self.program.sites if n in everything}

    def _largest(self) -> int:
        return max([plan.largest for _, plan in self._recorded().joint.components], default=1)

    def _discrete_and_deterministic(
        self, values: Mapping[str, Tensor], key: Key, chains: int, start: int, stop: int
    ) -> dict[str, Tensor]:
        """For draws start..stop of every chain, flattened: discrete sites at their exact conditional, deterministic ones."""
        recording = self._recorded()
        count = chains * (stop - start)
        given = [values[s.name] for s in self.sites]
        log_probs = self._factors_of(given, count)
        assignment: dict[str, tuple[Tensor, list[str]]] = {}
        streams = {n: DRAW_BACK + 1000 * i for i, n in enumerate(recording.support)}

        def gumbel(site: str, shape: Sequence[int]) -> Tensor:
            each = math.prod(shape[1:])
            numbers = key.gumbel(streams[site], (chains, (stop - start) * each), start=start * each)
            return numbers.reshape(tuple(shape)).to(self.device, self.dtype)

        for names, plan in recording.joint.components:
            products = over_batch(lambda *t, plan=plan: tuple(plan.run(t)[1]), [log_probs[n] for n in names], count)
            assignment |= draw_back(plan, products, count, gumbel)
        out = {n: self._site_value(n, *assignment[n]) for n in assignment}
        return out | self._deterministic(given, assignment, count)

    def _site_value(self, name: str, index: Tensor, plates: list[str]) -> Tensor:
        """Indices (draws, *plates) of an enumerated site to its values in the program's own layout."""
        recording, site = self._recorded(), self.program.sites[name]
        dims = self.program.plates
        order = sorted(plates, key=lambda x: dims[x].dim if x in dims else int(x.removeprefix("dim").split(":")[0]))
        index = index.permute([0] + [1 + plates.index(x) for x in order])
        return recording.support[name][index].reshape(index.shape[0], *site.shape)

    def _factors_of(self, given: Sequence[Tensor], count: int) -> dict[str, Tensor]:
        """Per-site factors (draws, *) at values of the continuous latent sites."""
        recording = self._recorded()
        names = list(recording.sites)
        graph = self._graph("values")
        outputs = over_batch(lambda *a: graph(*a, *self._others), list(given), count)
        return dict(zip(names, outputs[: len(names)], strict=True))

    def _deterministic(
        self, given: Sequence[Tensor], assignment: Mapping[str, tuple[Tensor, list[str]]], count: int
    ) -> dict[str, Tensor]:
        recording = self._recorded()
        names = [n for n, s in recording.sites.items() if s.kind == "deterministic"]
        if not names:
            return {}
        plain, graph = self._graph("deterministic")
        outputs = over_batch(lambda *a: graph(*a, *self._others), list(given), count)
        values = dict(zip(names, outputs, strict=True))
        for n in names:
            if n not in plain:
                values[n] = self._at_assignment(n, values[n], assignment)
        return {n: v.reshape(count, *self.program.sites[n].shape) for n, v in values.items()}

    def _at_assignment(self, name: str, value: Tensor, assignment: Mapping[str, tuple[Tensor, list[str]]]) -> Tensor:
        """A deterministic value that enumerated sites enter, (draws, *enumerated, *plates, *event), read at the drawn ones."""
        recording = self._recorded()
        site = recording.sites[name]
        batch = value.dim() - 1 - site.event_dim
        dims = site.dims[len(site.dims) - batch :] if batch else ()
        named = [d for d in dims if d is not None]
        event = value.shape[1 + batch :]
        t = value.reshape(value.shape[0], *[k for k, d in zip(value.shape[1:], dims, strict=False) if d is not None], -1)
        plates = [d for d in named if d not in recording.support]
        used = [d for d in named if d in recording.support]
        plates += sorted(set().union(*[recording.joint.inside[d] for d in used]) - set(plates)) if used else []
        place = self.program.plates
        plates.sort(key=lambda x: place[x].dim if x in place else int(x.removeprefix("dim").split(":")[0]))
        out = gather(t, [*named, "event"], assignment, [*plates, "event"])
        return out.reshape(*out.shape[:-1], *event)

    # Pointwise log likelihood

    def log_likelihood(self, values: Mapping[str, Tensor]) -> PointwiseLogLikelihood:
        """Log likelihood of each datum at constrained draws, site -> (chains, draws, *shape), discrete sites included.

        Local discrete sites are summed out, global discrete ones held at the draw, local continuous ones conditioned.
        """
        p, recording = self.program, self._recorded()
        plate = p.data_plate
        local_continuous = any(s.continuous and plate is not None and plate in s.plates for s in p.latent)
        kind = "conditional" if local_continuous else "marginal"
        lead = _leading(values, p)
        count = math.prod(lead)
        flat = {n: v.reshape(count, *v.shape[len(lead) :]).to(self.device) for n, v in values.items()}
        size = max(1, CHUNK // max(1, max(math.prod(getattr(s.log_prob, "shape", ())) for s in recording.sites.values())))
        parts = [self._pointwise({n: v[i : i + size] for n, v in flat.items()}, min(size, count - i), plate) for i in range(0, count, size)]
        out = {n: torch.cat([q[n] for q in parts]).reshape(*lead, *parts[0][n].shape[1:]) for n in parts[0]}
        return PointwiseLogLikelihood(out, plate, kind)

    def _pointwise(self, values: Mapping[str, Tensor], count: int, plate: str | None) -> dict[str, Tensor]:
        recording, joint = self._recorded(), self._recorded().joint
        log_probs = self._factors_of([values[s.name].to(self.dtype) for s in self.sites], count)
        local = {n for n in joint.inside if plate is not None and plate in joint.inside[n]}
        held = {n: self._index_of(n, values) for n in joint.inside if n not in local and n in values}
        observed = [n for n, s in recording.sites.items() if s.kind == "observed"]
        if plate is None:
            summed = [n for n in joint.inside if n not in held]
            if summed:
                raise ProgramError(f"discrete sites {summed} have no draws and there is no data plate: no pointwise log likelihood")
            return {n: recording.gather(n, log_probs[n], held) for n in observed}
        names = [n for n, s in recording.sites.items() if n in observed or n in local or (s.kind == "factor" and plate in s.plates)]
        held = {n: v for n, v in held.items()}
        tensors = [self._held(n, log_probs[n], held) for n in names]
        plan = joint.plan(names, keep=[plate], held=held, copies=count)
        (out,) = over_batch(lambda *t: (plan.run(t)[0],), tensors, count)
        return {plate: out}

    def _held(self, name: str, t: Tensor, held: Mapping[str, tuple[Tensor, list[str]]]) -> Tensor:
        """A factor (draws, *dims) with the held enumerated dimensions read at their draws, size 1 where they were."""
        site = self._recorded().sites[name]
        used = [d for d in site.dims if d in held]
        if not used:
            return t
        rest = [d for d in site.dims if d is not None and d not in held]
        named = [d for d in site.dims if d is not None]
        squeezed = t.reshape(t.shape[0], *[k for k, d in zip(t.shape[1:], site.dims, strict=True) if d is not None])
        own = {d: held[d] for d in used}
        got = gather(squeezed, named, own, rest)
        shape = [t.shape[0]] + [1 if d is None or d in held else k for k, d in zip(t.shape[1:], site.dims, strict=True)]
        return got.reshape(shape)

    def _index_of(self, name: str, values: Mapping[str, Tensor]) -> tuple[Tensor, list[str]]:
        """Draws of an enumerated site (draws, *shape) as indices into its support (draws, *plates)."""
        recording, site = self._recorded(), self.program.sites[name]
        support = recording.support[name]
        t = values[name]
        batch = t.shape[: t.dim() - site.event_dim]
        same = (t.reshape(*batch, 1, -1) == support.reshape(len(support), -1).to(t.dtype)).all(-1)
        index = same.to(torch.int8).argmax(-1)
        place = self.program.plates
        plates = sorted(recording.joint.inside[name], key=lambda x: place[x].dim if x in place else int(x.removeprefix("dim").split(":")[0]))
        return index.reshape(t.shape[0], *[recording.joint.sizes[x] for x in plates]), plates

    # Identity

    @property
    def fingerprint(self) -> str:
        """Of the graph with its constants, the data and the parameters: another one is another run."""
        digest = hashlib.sha256()
        if self.recording is None:
            digest.update(repr([(s.name, tuple(s.shape)) for s in self.program.sites.values()]).encode())
            tensors = [*self.program.data.values(), *self.program.params.values()]
        else:
            graph = self._graph("density")
            digest.update(graph.text().encode())
            tensors = [*graph.constants(), *self._others]
        for t in tensors:
            digest.update(t.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        digest.update(str(self.dtype).encode())
        return digest.hexdigest()


def _leading(values: Mapping[str, Tensor], program: Program) -> torch.Size:
    """The leading dimensions (chains, draws) that draws have before the shape of their site."""
    for name, v in values.items():
        if name in program.sites:
            return v.shape[: v.dim() - len(program.sites[name].shape)]
    return torch.Size((1, 1))


def _rebound(recording: Recording, program: Program) -> Recording:
    other = object.__new__(Recording)
    other.__dict__.update(recording.__dict__)
    other.program = program
    return other


def _replaced(program: Program, data: Mapping[str, Tensor]) -> tuple[tuple, dict]:
    """The program's arguments with some replaced, by name."""
    bound = inspect.signature(program.fn).bind(*program.args, **program.kwargs)
    unknown = set(data) - set(bound.arguments)
    if unknown:
        raise NameNotFoundError(f"no argument named {sorted(unknown)}; there are {list(bound.arguments)}")
    bound.arguments.update(data)
    return bound.args, bound.kwargs


def over_batch(f: Callable, given: Sequence[Tensor], count: int) -> tuple[Tensor, ...]:
    """f over the leading dimension of every tensor: by vmap, or one after the other where an operation has no batching rule."""
    with torch.no_grad():
        if not given:
            return tuple(o.expand(count, *o.shape) for o in f())
        try:
            return tuple(vmap(f, randomness="different")(*given))
        except (RuntimeError, NotImplementedError):
            rows = [f(*(g[i] for g in given)) for i in range(count)]
            return tuple(torch.stack(o) for o in zip(*rows, strict=True))
