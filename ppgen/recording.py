"""Program -> one graph of log-probability factors without Python in it, and the checks that let it be used.

The node that holds each site's value is marked. A reading chooses its cuts: the density cuts nothing, factors of values
and `unconstrain` cut the continuous latent sites.
"""

import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .elimination import Elimination, Factor, gather
from .errors import EliminationError, PpgenError, RecordingError
from .program import Evaluation, FromPosition, FromValues, Program, Site
from .tape import Graph, Node, Steered, Tape, Watch, cut

__all__ = ["Joint", "Recording", "agree", "read_eagerly"]


class Outputs(NamedTuple):
    """The nodes of one site."""

    log_prob: Node
    scale: Node
    raw: Node | None
    log_jacobian: Node | None
    unconstrained: Node | None


class Joint:
    """The log joint density from its factors, with every enumerated site summed out.

    Built once from the sites of an enumerated run; called with tensors, recorded or eager.
    """

    def __init__(self, sites: Mapping[str, Site], plate_sizes: Mapping[str, int], itemsize: int = 8, copies: int = 1):
        self.sites = dict(sites)
        self.inside = {n: _plates_of(s) for n, s in sites.items() if s.discrete}
        self.sizes = dict(plate_sizes)
        for s in sites.values():
            for d, k in zip(s.dims, getattr(s.log_prob, "shape", ()), strict=False):
                if d is not None:
                    self.sizes.setdefault(d, k)
        self.plain = [n for n, s in sites.items() if not self._hooks(s)]
        self.components = [(names, self.plan(names, itemsize=itemsize, copies=copies)) for names in self._components()]

    def _hooks(self, site: Site) -> set[str]:
        return {d for d in site.dims if d in self.inside}

    def _components(self) -> Iterator[list[str]]:
        """Sites that hang together through enumerated ones; each group must be scaled alike."""
        groups: list[tuple[set[str], list[str]]] = []
        for name, site in self.sites.items():
            hooks = self._hooks(site)
            if not hooks:
                continue
            touched = [g for g in groups if g[0] & hooks]
            merged = (hooks.union(*[g[0] for g in touched]), [n for g in touched for n in g[1]] + [name])
            groups = [g for g in groups if g not in touched] + [merged]
        for _, names in groups:
            scales = {n: _scale_key(self.sites[n].scale) for n in names}
            if len(set(scales.values())) > 1:
                raise EliminationError(
                    f"sites {', '.join(names)} hang together by enumerated sites and have different scales {scales}: a global "
                    "enumerated site cannot be combined with minibatches"
                )
            yield names

    def plan(self, names: Sequence[str], keep: Iterable[str] = (), held: Iterable[str] = (), **cost: int) -> Elimination:
        """An elimination over the factors of some sites; `held` enumerated sites are read at values and not summed."""
        held = set(held)
        factors = []
        for n in names:
            site = self.sites[n]
            dims = tuple(None if d in held else d for d in site.dims)
            factors.append(Factor(dims, _plates_of(site)))
        inside = {n: p for n, p in self.inside.items() if n not in held}
        return Elimination(factors, inside, self.sizes, keep, **cost)

    def __call__(self, log_probs: Mapping[str, Any], scales: Mapping[str, Any]) -> tuple[Tensor, list[list[Tensor]]]:
        """-> log joint (), and each component's products, which drawing back needs."""
        total: Any = 0.0
        for n in self.plain:
            total = total + (log_probs[n] * scales[n]).sum()
        products = []
        for names, plan in self.components:
            value, steps = plan.run([log_probs[n] for n in names])
            total = total + value * scales[names[0]].reshape(())
            products.append(steps)
        return total, products


def _plates_of(site: Site) -> frozenset[str]:
    """The plates of a site, and its bare batch dimensions, which behave like plates."""
    return frozenset(site.plates) | {d for d in site.dims if d is not None and d.startswith("dim-")}


def _scale_key(scale: Any) -> float:
    if isinstance(scale, Tensor):
        if scale.numel() != 1:
            return float("nan")  # equal to nothing: refused
        return float(scale)
    return float(scale)


class Recording:
    """One recording of a program at one point, from which every reading is cut.

    inputs     names in order: position, data:*, param:*, rows:*
    constant   data that steer Python and are therefore constants of this recording

    Raises RecordingError (names the operation and the user's line) and EliminationError.
    """

    def __init__(self, program: Program):
        self.program = program
        self.constant: frozenset[str] = frozenset()
        self.dtype = torch.get_default_dtype()
        while True:
            try:
                self._record()
                return
            except Steered as steered:
                if steered.names <= self.constant:
                    raise RecordingError(f"data {sorted(steered.names)} steer the program in a way that cannot be recorded") from steered
                self.constant |= steered.names

    def _record(self) -> None:
        p = self.program
        self.tape = tape = Tape()
        generator = torch.Generator().manual_seed(1)
        position = torch.rand(p.dim, generator=generator, dtype=self.dtype).to(device_of(p)) * 2 - 1
        tape.input(position, "position")
        leaves = list(p.leaves)
        for name in p.data:
            if name not in self.constant:
                i = int(name.removeprefix("data:"))
                leaves[i] = leaves[i].detach().clone()
                tape.input(leaves[i], name)
        params = {n: (v if isinstance(v, torch.nn.Parameter) else v.detach().clone()) for n, v in p.params.items()}
        for n, v in params.items():
            tape.input(v, f"param:{n}")
        rows = {n: v.clone() for n, v in p.rows.items()}
        for n, v in rows.items():
            tape.input(v, f"rows:{n}")
        settings = dict(leaves=leaves, params=params, rows=rows, enumerate_dim=-1 - p.nesting, tape=tape)
        run = self._guarded(lambda: p.run(FromPosition, position=position, layout=p.sites, **settings))
        missing = set(p.sites) ^ set(run.sites)
        if missing:
            raise RecordingError(f"the sites of the program differ from run to run: {', '.join(sorted(missing))}")
        self.sites: dict[str, Site] = run.sites
        self.inputs = list(tape.inputs)
        self.marks = {n.mark: n for n in tape.nodes if n.mark is not None}
        self.outputs = {n: self._outputs(s) for n, s in run.sites.items()}
        self.joint = Joint(run.sites, {q.name: q.subsample_size for q in run.plates.values()})
        self.support = {n: _support_of(s) for n, s in run.sites.items() if s.discrete}

    def _guarded(self, run: Callable[[], Evaluation]) -> Evaluation:
        """Run under the tape. A program that fails only where discrete sites are enumerated is refused by their names."""
        try:
            with Watch(self.tape), self.tape:
                return run()
        except (PpgenError, Steered):
            raise
        except Exception as error:
            if not self.program.discrete:
                raise RecordingError(f"the program fails while it is recorded: {type(error).__name__}: {error}") from error
            names = ", ".join(self.program.discrete)
            raise EliminationError(
                f"the program fails where {names} is enumerated ({type(error).__name__}: {str(error).splitlines()[0]}); does a "
                "site mix it across its plate, or a branch read it?"
            ) from error

    def _outputs(self, site: Site) -> Outputs:
        def node(x: Any) -> Node | None:
            if x is None:
                return None
            return self.tape.node(x if isinstance(x, Tensor) else torch.as_tensor(float(x), dtype=self.dtype))

        raw = node(site.raw) if isinstance(site.raw, Tensor) else None
        return Outputs(node(site.log_prob), node(site.scale), raw, node(site.log_jacobian), node(site.unconstrained))  # type: ignore[arg-type]

    @property
    def continuous(self) -> list[Site]:
        return [s for s in self.sites.values() if s.continuous]

    @property
    def others(self) -> list[str]:
        """Inputs other than the position."""
        return self.inputs[1:]

    def cut(self, given: Sequence[Node], outputs: Sequence[Node], dtype: torch.dtype) -> Graph:
        """A reading: given nodes, then every input but the position -> outputs, in `dtype`."""
        retype = None if dtype == self.dtype else (self.dtype, dtype)
        rest = [self.tape.inputs[n] for n in self.others]
        return cut(self.tape, [*given, *rest], outputs, retype=retype)

    def density_graph(self, dtype: torch.dtype) -> Graph:
        """position -> per-site factors, scales, log Jacobians."""
        names = list(self.sites)
        outs = [self.outputs[n].log_prob for n in names] + [self.outputs[n].scale for n in names]
        jacobians = [self.outputs[s.name].log_jacobian for s in self.continuous]
        return self.cut([self.tape.inputs["position"]], [*outs, *jacobians], dtype)  # type: ignore[list-item]

    def values_graph(self, dtype: torch.dtype) -> Graph:
        """Values of the continuous latent sites -> per-site factors, scales."""
        names = list(self.sites)
        outs = [self.outputs[n].log_prob for n in names] + [self.outputs[n].scale for n in names]
        return self.cut([self.marks[s.name] for s in self.continuous], outs, dtype)

    def constrain_graph(self, dtype: torch.dtype) -> Graph:
        """position -> values of the continuous latent sites."""
        outs = [self.outputs[s.name].raw for s in self.continuous]
        return self.cut([self.tape.inputs["position"]], outs, dtype)  # type: ignore[arg-type]

    def unconstrain_graph(self, dtype: torch.dtype) -> Graph:
        """Values of the continuous latent sites -> their unconstrained values, flat, one output per site."""
        outs = [self.outputs[s.name].unconstrained for s in self.continuous]
        return self.cut([self.marks[s.name] for s in self.continuous], outs, dtype)  # type: ignore[arg-type]

    def deterministic_graph(self, dtype: torch.dtype) -> tuple[list[str], Graph]:
        """Values of the continuous latent sites -> values of the deterministic ones (those that no enumerated site enters)."""
        names = [n for n, s in self.sites.items() if s.kind == "deterministic" and not self.enumerated_above(n)]
        outs = [self.outputs[n].raw for n in names]
        return names, self.cut([self.marks[s.name] for s in self.continuous], outs, dtype)  # type: ignore[arg-type]

    def enumerated_above(self, name: str) -> set[str]:
        """Enumerated sites that a site's value or factor depends on, by the graph."""
        out = self.outputs[name]
        found, seen, todo = set(), set(), [n for n in (out.raw, out.log_prob) if n is not None]
        while todo:
            node = todo.pop()
            if id(node) in seen:
                continue
            seen.add(id(node))
            if node.mark in self.support and node.mark != name:
                found.add(node.mark)
            todo += node.parents
        return found

    def gather(self, name: str, log_prob: Tensor, assignment: Mapping[str, tuple[Tensor, list[str]]]) -> Tensor:
        """A site's factor (draws, *its dims) read at an assignment of the enumerated sites: (draws, *plates)."""
        dims = self.sites[name].dims
        named = [d for d in dims if d is not None]
        t = log_prob.reshape(log_prob.shape[0], *[k for k, d in zip(log_prob.shape[1:], dims, strict=True) if d is not None])
        used = [d for d in named if d in self.support]
        plates = [d for d in named if d not in self.support]
        plates += sorted(set().union(*[self.joint.inside[d] for d in used]) - set(plates)) if used else []
        return gather(t, named, assignment, plates)


def _support_of(site: Site) -> Tensor:
    """(K, *event): the values of an enumerated site, in order."""
    value = site.value
    event = value.shape[value.dim() - site.event_dim :]
    return value.reshape(value.shape[0], -1, *event)[:, 0]


def device_of(program: Program) -> torch.device:
    """Where a program's tensors live: its data, then its parameters."""
    for t in (*program.data.values(), *program.params.values()):
        return t.device
    buffers = program.fn.buffers() if isinstance(program.fn, torch.nn.Module) else ()
    return next((b.device for b in buffers), torch.empty(0).device)


# The checks: a recording that disagrees with eager Pyro is never used


def read_eagerly(program: Program, position: Tensor, joint: Joint | None = None, **settings: Any) -> tuple[Tensor, Evaluation]:
    """Log density of a flat position () by running the program itself, and the run."""
    run = program.run(FromPosition, position=position, layout=program.sites, enumerate_dim=-1 - program.nesting, **settings)
    if list(run.sites) != list(program.sites):
        raise RecordingError(f"other sites than in the first run: {sorted(set(run.sites) ^ set(program.sites))}")
    if joint is None:
        joint = Joint(run.sites, {q.name: q.subsample_size for q in run.plates.values()})
    log_probs = {n: s.log_prob for n, s in run.sites.items()}
    scales = {n: torch.as_tensor(s.scale, device=position.device) for n, s in run.sites.items()}
    total, _ = joint(log_probs, scales)
    for s in run.sites.values():
        if s.log_jacobian is not None:
            total = total + s.log_jacobian
    return total, run


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """The global generators of torch, numpy and random at a seed; they come back as they were."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)


def difference(a: Tensor, b: Tensor) -> float:
    """Largest |a - b| / (1 + |b|); equal infinities and shared nan count as equal."""
    if a.shape != b.shape:
        try:
            a, b = torch.broadcast_tensors(a, b)
        except RuntimeError:
            return float("inf")
    if not b.numel():
        return 0.0
    a, b = a.detach().double(), b.detach().double()
    same = (a == b) | (a.isnan() & b.isnan())
    gap = torch.where(same, torch.zeros_like(a), (a - b).abs() / (1 + b.abs()))
    return float(gap.nan_to_num(float("inf")).max())


def agree(recording: Recording, factors: Callable[[Tensor], Mapping[str, Tensor]], positions: Tensor, value: Tensor, gradient: Tensor) -> None:
    """Raise unless a recording agrees with eager Pyro at every one of dispersed points.

    factors     position (dim,) -> site -> its factor, read from the recording
    positions   (points, dim); value (points,) and gradient (points, dim) as the compiled density gives them
    """
    p = recording.program
    double = recording.dtype == torch.float64
    tolerance, gradient_tolerance = (1e-9, 1e-6) if double else (1e-4, 1e-3)
    generator = torch.Generator().manual_seed(2)
    for i, point in enumerate(positions):
        at = point.to(recording.dtype).clone().requires_grad_()
        with seeded(100 + i):
            total, run = read_eagerly(p, at, grad=True)
        if i == 0:
            with seeded(200):
                again, _ = read_eagerly(p, at.detach())
            if difference(again, total) > tolerance:
                raise RecordingError("the program's density differs from run to run: it uses random numbers outside its sample sites")
        recorded = factors(point)
        for n, s in run.sites.items():
            gap = difference(recorded[n], torch.as_tensor(s.log_prob))
            if gap > tolerance:
                raise RecordingError(
                    f"the recorded factor of site {n!r} disagrees with the program by {gap:.2g} (relative) at another point: it holds a "
                    "value that should vary"
                )
        _agree_in_gradient(total, at, value[i], gradient[i], tolerance, gradient_tolerance)
        if recording.support:
            _agree_at_assignment(recording, recorded, run, tolerance, generator)


def _agree_in_gradient(total: Tensor, at: Tensor, value: Tensor, gradient: Tensor, tolerance: float, gradient_tolerance: float) -> None:
    gap = difference(value, total)
    if gap > tolerance:
        raise RecordingError(f"the recorded density disagrees with the program by {gap:.2g} (relative)")
    if not at.numel() or not total.requires_grad or not torch.isfinite(total):
        return
    (eager,) = torch.autograd.grad(total, at, allow_unused=True)
    eager = torch.zeros_like(at) if eager is None else eager
    if not torch.isfinite(eager).all():
        return
    gap = float((gradient - eager).abs().max() / (1 + eager.abs().max()))
    if not gap <= gradient_tolerance:
        raise RecordingError(f"the recorded gradient disagrees with the program by {gap:.2g} (relative)")


def _agree_at_assignment(
    recording: Recording, recorded: Mapping[str, Tensor], run: Evaluation, tolerance: float, generator: torch.Generator
) -> None:
    """Factors gathered at a random assignment against an eager run with that assignment.

    This finds what agrees under enumeration and is wrong all the same: a site that mixes an enumerated one across its plate.
    """
    p, joint = recording.program, recording.joint
    values = {n: s.value.detach() for n, s in run.sites.items() if s.continuous}
    assignment: dict[str, tuple[Tensor, list[str]]] = {}
    for n, support in recording.support.items():
        plates = sorted(joint.inside[n])
        shape = [joint.sizes[x] for x in plates]
        index = torch.randint(len(support), shape, generator=generator)
        if index.numel() > 1 and bool((index == index.reshape(-1)[0]).all()):  # constant within the plate, mixing would pass
            index = (torch.arange(index.numel()) % len(support)).reshape(shape)
        assignment[n] = index[None].to(support.device), plates
        values[n] = _in_place(recording, n, assignment[n])
    assigned = p.run(FromValues, values=values)
    for n, site in assigned.sites.items():
        uses = [d for d in recording.sites[n].dims if d in recording.support]
        for x in uses:
            outside = joint.inside[x] - _plates_of(recording.sites[n])
            if outside:
                raise EliminationError(f"site {n!r} mixes the enumerated site {x!r} across its plate {', '.join(sorted(outside))}")
        got = recording.gather(n, recorded[n][None], assignment)[0]
        want = torch.as_tensor(site.log_prob)
        order = [d for d in recording.sites[n].dims if d is not None and d not in recording.support]
        plates = order + (sorted(set().union(*[joint.inside[d] for d in uses]) - set(order)) if uses else [])
        gap = _difference_in(got, plates, want, recording, n)
        if gap > tolerance:
            through = sorted(recording.enumerated_above(n))
            why = f"it mixes the enumerated {', '.join(through)} across a plate" if through else "it holds a value that should vary"
            raise EliminationError(f"site {n!r}: its factor at an assignment of the discrete sites is off by {gap:.2g}: {why}")


def _place(recording: Recording, dim: str) -> int:
    """The dimension, counted from the right, of a plate or of a bare dimension `dim-1:3`."""
    plates = recording.program.plates
    return plates[dim].dim if dim in plates else int(dim.removeprefix("dim").split(":")[0])


def _in_place(recording: Recording, name: str, assigned: tuple[Tensor, list[str]]) -> Tensor:
    """An assignment in the shape in which the program expects the site's value."""
    index, plates = assigned
    order = sorted(plates, key=lambda x: _place(recording, x))
    flat = index[0].permute([plates.index(x) for x in order])
    return recording.support[name][flat].reshape(recording.program.sites[name].shape)


def _difference_in(got: Tensor, plates: list[str], want: Tensor, recording: Recording, name: str) -> float:
    """Compare a gathered factor with an eager one, each in its own layout."""
    order = sorted(range(len(plates)), key=lambda i: _place(recording, plates[i]))
    got = got.permute(order)
    if got.numel() == want.numel():
        return difference(got.reshape(want.shape), want)
    return difference(got, want)
