"""Program -> one graph of log-probability factors without Python in it.

The node that holds each site's value is marked. A reading chooses its cuts: the density cuts nothing, factors of values
and `unconstrain` cut the continuous latent sites. agreement.py decides whether a recording may be used.
"""

import math
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import zip_longest
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .agreement import agree, difference, read_eagerly, seeded
from .elimination import LARGEST, gather
from .errors import CostError, EliminationError, PpgenError, RecordingError
from .handler import Evaluation
from .holding import Holding
from .joint import Joint
from .program import Program
from .rolling import rolled
from .sites import Site
from .sources import FromPosition
from .straightline import Graph, Node, above, cut
from .tape import Steered, Tape, ValueRead, Watch, users_line

__all__ = ["Joint", "Recording", "agree", "device_of", "difference", "name_buffers", "name_inputs", "read_eagerly", "seeded", "support_of"]


class Outputs(NamedTuple):
    """The nodes of one site."""

    log_prob: Node
    scale: Node
    raw: Node | None
    log_jacobian: Node | None
    unconstrained: Node | None


class Recording:
    """One recording of a program at one point, from which every reading is cut.

    inputs     names in order: position, data:*, param:*, rows:*, buffer:*; held, the whole numbers of held sites; noise:* last
    constant   data that steer Python and are therefore constants of this recording
    buffers    what a program in training leaves in its buffers, by name; its random numbers are inputs, `noises` their kinds

    Raises RecordingError (names the operation and the user's line) and EliminationError.
    """

    def __init__(self, program: Program, held: Collection[str] = ()):
        self.program, self.holding = program, Holding(program, held)
        self.constant: frozenset[str] = frozenset()
        self.dtype = program.dtype
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
        noise = torch.Generator(device=device_of(p)).manual_seed(0) if p.trained else None
        self.tape = tape = Tape(guard=self._affordable if self.enumerated else None, noise=noise)
        generator = torch.Generator().manual_seed(1)
        position = torch.rand(p.dim, generator=generator, dtype=self.dtype).to(device_of(p)) * 2 - 1
        tape.input(position, "position")
        leaves, params, rows = name_inputs(tape, p, self.constant)
        buffers = name_buffers(tape, p)
        index = torch.zeros(self.holding.elements, dtype=torch.int64, device=position.device)
        if len(index):
            tape.input(index, "held")
        settings: dict[str, Any] = {"leaves": leaves, "params": params, "rows": rows, "buffers": buffers, "enumerate_dim": -1 - p.nesting}
        run = self._guarded(
            lambda: p.run(FromPosition, position=position, layout=p.sites, held=self.holding.inside(index), tape=tape, **settings)
        )
        missing = set(p.sites) ^ set(run.sites)
        if missing:
            raise RecordingError(f"the sites of the program differ from run to run: {', '.join(sorted(missing))}")
        self.sites: dict[str, Site] = run.sites
        self.inputs, self.noises = list(tape.inputs), tape.noises
        self.buffers = {n: tape.node(after) for n, (_, after) in run.buffers.items()}
        self.marks = {n.mark: n for n in tape.nodes if n.mark is not None}
        self._numbers: dict[float, Tensor] = {}
        self.outputs = {n: self._outputs(s) for n, s in run.sites.items()}
        self.joint = Joint(run.sites, {q.name: q.subsample_size for q in run.plates.values()})
        self.support = {n: support_of(s) for n, s in run.sites.items() if s.discrete}

    def _guarded(self, run: Callable[[], Evaluation]) -> Evaluation:
        """Run under the tape. A program that fails only where discrete sites are enumerated is refused by their names."""
        try:
            with Watch(self.tape), self.tape:
                return run()
        except ValueRead as error:
            if enumerated := error.names & set(self.enumerated):
                raise EliminationError(
                    f"{error}. {', '.join(sorted(enumerated))} is summed out, so all of its values are there at once: use torch.where, or "
                    "index with it, in place of a branch"
                ) from error
            raise
        except (PpgenError, Steered):
            raise
        except Exception as error:
            said = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            if not self.enumerated:
                raise RecordingError(f"the program fails while it is recorded ({said}): {_line_of(error)}") from error
            raise EliminationError(
                f"the program fails where {', '.join(self.enumerated)} is enumerated ({said}): {_line_of(error)}. Does a site mix "
                "it across its plate?"
            ) from error

    def _affordable(self, tensors: Sequence[Tensor]) -> None:
        """Raise before an operation makes a table over more enumerated sites than fit."""
        wide = [t for t in tensors if t.dim() > self.program.nesting]
        if len(wide) < 2:
            return
        sizes = [max(at) for at in zip_longest(*[reversed(t.shape) for t in wide], fillvalue=1)]
        needed = math.prod(sizes) * max(t.element_size() for t in wide)
        if needed > LARGEST:
            raise CostError(
                f"a table over the values of {', '.join(self.enumerated[:8])} needs {needed / 2**30:.3g} GiB, more than "
                f"{LARGEST / 2**30:.0f} GiB: {users_line()}; condition on some of them, or write the program so that fewer of them meet"
            )

    def _outputs(self, site: Site) -> Outputs:
        def node(x: Any) -> Node | None:
            if x is None:
                return None
            return self.tape.node(x if isinstance(x, Tensor) else self._number(float(x)))

        raw = node(site.raw) if isinstance(site.raw, Tensor) else None
        return Outputs(node(site.log_prob), node(site.scale), raw, node(site.log_jacobian), node(site.unconstrained))  # type: ignore[arg-type]

    def _number(self, x: float) -> Tensor:
        """One tensor for each number: a thousand sites have the scale 1."""
        if x not in self._numbers:
            self._numbers[x] = torch.as_tensor(x, dtype=self.dtype)
        return self._numbers[x]

    @property
    def continuous(self) -> list[Site]:
        return [s for s in self.sites.values() if s.continuous]

    @property
    def enumerated(self) -> list[str]:
        return [n for n in self.program.discrete if n not in self.holding.sites]

    @property
    def others(self) -> list[str]:
        """Inputs other than the position and held values."""
        return [n for n in self.inputs[1:] if n != "held"]

    @property
    def point(self) -> list[Node]:
        """Where the density is asked for: the position, and the whole numbers of held sites where there are any."""
        return [self.tape.inputs[n] for n in ("position", "held") if n in self.inputs]

    @property
    def given(self) -> list[str]:
        """Sites at whose values factors are read: continuous latent ones, and held ones."""
        return [s.name for s in self.continuous] + list(self.holding.sites)

    def cut(self, given: Sequence[Node], outputs: Sequence[Node], dtype: torch.dtype) -> Graph:
        """A reading: given nodes, then all other inputs -> outputs, in `dtype`; steps that the program repeats are loops."""
        retype = None if dtype == self.dtype else (self.dtype, dtype)
        rest = [self.tape.inputs[n] for n in self.others]
        return rolled(cut(self.tape, [*given, *rest], outputs, retype=retype))

    def density_graph(self, dtype: torch.dtype) -> Graph:
        """position, held numbers where there are any -> per-site factors, scales, log Jacobians, buffers."""
        names = list(self.sites)
        outs = [self.outputs[n].log_prob for n in names] + [self.outputs[n].scale for n in names]
        jacobians = [self.outputs[s.name].log_jacobian for s in self.continuous]
        return self.cut(self.point, [*outs, *jacobians, *self.buffers.values()], dtype)  # type: ignore[list-item]

    def values_graph(self, dtype: torch.dtype) -> Graph:
        """Values of the `given` sites -> per-site factors, scales, buffers."""
        names = list(self.sites)
        outs = [self.outputs[n].log_prob for n in names] + [self.outputs[n].scale for n in names]
        return self.cut([self.marks[n] for n in self.given], [*outs, *self.buffers.values()], dtype)

    def constrain_graph(self, dtype: torch.dtype) -> Graph:
        """position -> values of the continuous latent sites."""
        outs = [self.outputs[s.name].raw for s in self.continuous]
        return self.cut([self.tape.inputs["position"]], outs, dtype)  # type: ignore[arg-type]

    def unconstrain_graph(self, dtype: torch.dtype) -> Graph:
        """Values of the continuous latent sites -> their unconstrained values, flat, one output per site."""
        outs = [self.outputs[s.name].unconstrained for s in self.continuous]
        return self.cut([self.marks[s.name] for s in self.continuous], outs, dtype)  # type: ignore[arg-type]

    def deterministic_graph(self, dtype: torch.dtype) -> tuple[list[str], Graph]:
        """Values of the continuous latent sites -> values of the deterministic ones (those that no discrete site enters)."""
        names = [n for n, s in self.sites.items() if s.kind == "deterministic" and not self.enumerated_above(n)]
        outs = [self.outputs[n].raw for n in names]
        return names, self.cut([self.marks[s.name] for s in self.continuous], outs, dtype)  # type: ignore[arg-type]

    def enumerated_above(self, name: str) -> set[str]:
        """Enumerated and held sites that a site's value or factor depends on, by the graph."""
        out = self.outputs[name]
        nodes = above([n for n in (out.raw, out.log_prob) if n is not None])
        discrete = {*self.support, *self.holding.sites}
        return {n.mark for n in nodes if n.mark in discrete and n.mark != name}

    def gather(self, name: str, log_prob: Tensor, assignment: Mapping[str, tuple[Tensor, list[str]]]) -> Tensor:
        """A site's factor (draws, *its dims) read at an assignment of the enumerated sites: (draws, *plates)."""
        dims = self.sites[name].dims
        named = [d for d in dims if d is not None]
        t = log_prob.reshape(log_prob.shape[0], *[k for k, d in zip(log_prob.shape[1:], dims, strict=True) if d is not None])
        given = self.joint.with_previous(assignment)
        plates = [d for d in named if d not in given]
        plates += sorted(set().union(*[given[d][1] for d in named if d in given]) - set(plates))
        return gather(t, named, given, plates)


def _line_of(error: Exception) -> str:
    """The user's line at which an error was raised."""
    return users_line(traceback.extract_tb(error.__traceback__))


def support_of(site: Site) -> Tensor:
    """(K, *event): the values of an enumerated site, in order."""
    value = site.value
    event = value.shape[value.dim() - site.event_dim :]
    return value.reshape(value.shape[0], -1, *event)[:, 0]


def name_inputs(tape: Tape, program: Program, constant: Collection[str]) -> tuple[list[Any], dict[str, Tensor], dict[str, Tensor]]:
    """Names a program's data (but the constant ones), parameters and rows as inputs of a tape: the very objects, in that
    order, with which to run it. Parameters are named by identity, so a module's own stay what they are."""
    leaves = list(program.leaves)
    for name in program.data:
        if name not in constant:
            i = int(name.removeprefix("data:"))
            leaves[i] = leaves[i].detach().clone()
            tape.input(leaves[i], name)
    params = {n: (v if isinstance(v, torch.nn.Parameter) else v.detach().clone()) for n, v in program.params.items()}
    rows = {n: v.clone() for n, v in program.rows.items()}
    for kind, group in (("param", params), ("rows", rows)):
        for n, v in group.items():
            tape.input(v, f"{kind}:{n}")
    return leaves, params, rows


def name_buffers(tape: Tape, program: Program) -> dict[str, Tensor]:
    """The same of the buffers that are a program's state."""
    buffers = {n: b.detach().clone() for n, b in program.buffers.items()}
    for n, b in buffers.items():
        tape.input(b, f"buffer:{n}")
    return buffers


def device_of(program: Program) -> torch.device:
    """Where a program's tensors live: its data, then its parameters."""
    for t in (*program.data.values(), *program.params.values()):
        return t.device
    buffers = program.fn.buffers() if isinstance(program.fn, torch.nn.Module) else ()
    return next((b.device for b in buffers), torch.empty(0).device)
