"""The reading of variational inference: the negative evidence lower bound and its gradient as one graph.

    ELBO = E_q[log p(x, z) - log q(z)], enumerated sites of the model summed out exactly

A guide is either a program over the model's sites (`ProgramGuide`: a family's own or the user's) or a distribution over the
flat position (`FlatGuide`: what autoguides are). Its noise is an input of the graph, and so are rows and parameters.
Sources: Hoffman et al., JMLR 14, 2013; Kingma & Welling, ICLR 2014; Kucukelbir et al., JMLR 18, 2017.
"""

import copy
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor
from torch.func import vmap

from .errors import GuideError, RecordingError
from .keys import NOISE, ROWS, Key
from .program import ARGUMENTS, Evaluation, FromGuide, Program
from .recording import Recording, device_of, difference
from .tape import Graph, Tape, Watch, cut
from .targets import LogDensity, over_batch

__all__ = ["FlatGuide", "Guided", "Noise", "Objective", "ProgramGuide"]


class Noise(NamedTuple):
    """One noise input of a guide: its kind (normal, uniform or permutation), shape and dtype."""

    kind: str
    shape: tuple[int, ...]
    dtype: torch.dtype


class Guided(NamedTuple):
    """What a guide gives for one set of noise: a flat position, or values of the continuous latent sites; and log q ()."""

    position: Tensor | None
    values: dict[str, Tensor] | None
    log_q: Tensor


class FlatGuide(Protocol):
    """A distribution over the flat position. `jacobian` False: a point estimate of the constrained values."""

    jacobian: bool

    def initial(self, density: LogDensity, position: Tensor) -> dict[str, Tensor]:
        """Its parameters at the start, near a position (dim,)."""

    def noise(self, dim: int, dtype: torch.dtype) -> list[Noise]: ...

    def __call__(self, params: Mapping[str, Tensor], noise: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """-> position (dim,), log q ()"""


class ProgramGuide:
    """A guide that is a program, recorded: (noise, params, data, rows) -> values of its latent sites and log q.

    Raises GuideError: sites that model and guide do not share, other shapes, no reparameterised sampler.
    """

    def __init__(self, model: Program, guide: Callable | None, dtype: torch.dtype):
        """guide: None is the family's own."""
        self.model, self.dtype = model, dtype
        self.program = model
        self.method: str | None = "guide"
        if guide is not None:
            self.program = copy.copy(model)
            self.program.fn = copy.deepcopy(guide) if isinstance(guide, torch.nn.Module) else guide
            self.method = None
            own = dict(self.program.fn.named_parameters()) if isinstance(self.program.fn, torch.nn.Module) else {}
            self.program.params = {**model.params, **own}
        self.tape, self.run = self._record(0)
        self.params = {n: p for n, p in self.run.params.items() if f"param:{n}" in self.tape.inputs} | self._statements()
        if self._statements():  # parameters that the first run made are inputs of the second
            self.program.params = self.program.params | self._statements()
            self.tape, self.run = self._record(0)
        self.sites = {n: s for n, s in self.run.sites.items() if s.kind == "latent"}
        self._match()
        self.noises = [
            Noise(kind, tuple(self.tape.inputs[n].value.shape), self.tape.inputs[n].value.dtype) for n, kind in self.tape.noises.items()
        ]
        self.others = [n for n in self.tape.inputs if n not in self.tape.noises]
        self.graph = self._cut()
        self._check()

    def _statements(self) -> dict[str, Tensor]:
        """Parameters that `pyro.param` statements of the guide made in its first run."""
        return {n: p for n, p in self.run.params.items() if n not in self.program.params}

    def _record(self, seed: int, scale: float = 0.0) -> tuple[Tape, Evaluation]:
        """Run the guide under a tape, at its parameters moved by `scale` times a random direction."""
        p = self.program
        tape = Tape(noise=torch.Generator(device=device_of(p)).manual_seed(seed))
        generator = torch.Generator().manual_seed(seed)
        leaves = list(p.leaves)
        for name in p.data:
            i = int(name.removeprefix("data:"))
            leaves[i] = leaves[i].detach().clone()
            tape.input(leaves[i], name)
        moved = {n: v + scale * torch.randn(v.shape, generator=generator).to(v) for n, v in p.params.items() if v.is_floating_point()}
        with p.with_params(moved if scale else {}):
            params = {n: (v if isinstance(v, torch.nn.Parameter) else v.detach().clone()) for n, v in p.params.items()}
            for n, v in params.items():
                tape.input(v, f"param:{n}")
            rows = {n: v.clone() for n, v in p.rows.items()}
            for n, v in rows.items():
                tape.input(v, f"rows:{n}")
            with Watch(tape), tape:
                run = p.run(FromGuide, leaves=leaves, params=params, rows=rows, tape=tape, method=self.method)
            if scale:
                self._moved = {n: t.detach().clone() for n, t in params.items()}
        return tape, run

    def _match(self) -> None:
        """Every continuous latent site of the model is in the guide, and nothing else, in the same shape."""
        model = {s.name: s for s in self.model.latent}
        missing = [n for n, s in model.items() if not s.discrete and n not in self.sites]
        if missing:
            raise GuideError(f"the guide does not sample {', '.join(map(repr, missing))}, which the model does; add it to the guide")
        extra = [n for n in self.sites if n not in model]
        if extra:
            raise GuideError(f"the guide samples {', '.join(map(repr, extra))}, which the model does not; the model has {sorted(model)}")
        for n, s in self.sites.items():
            if s.shape != model[n].shape:
                raise GuideError(f"site {n!r} has shape {tuple(model[n].shape)} in the model and {tuple(s.shape)} in the guide")

    def _cut(self) -> Graph:
        outs = [self.tape.node(s.raw) for s in self.sites.values()]
        factors = [self.tape.node(s.log_prob) for s in self.run.sites.values()]
        scales = [self.tape.node(torch.as_tensor(s.scale, dtype=torch.get_default_dtype())) for s in self.run.sites.values()]
        given = [self.tape.inputs[n] for n in (*self.tape.noises, *self.others)]
        default = torch.get_default_dtype()
        retype = None if self.dtype == default else (default, self.dtype)
        return cut(self.tape, given, [*outs, *factors, *scales], retype=retype)

    def __call__(self, noise: Sequence[Tensor], others: Mapping[str, Tensor]) -> Guided:
        outputs = self.graph(*noise, *[others[n] for n in self.others])
        k, n = len(self.sites), len(self.run.sites)
        values = dict(zip(self.sites, outputs[:k], strict=True))
        log_q: Any = 0.0
        for f, s in zip(outputs[k : k + n], outputs[k + n :], strict=True):
            log_q = log_q + (f * s).sum()
        return Guided(None, values, log_q)

    def _check(self) -> None:
        """The graph at other parameters and other noise, against the guide itself run there with that noise."""
        double = torch.get_default_dtype() == torch.float64
        tape, run = self._record(1, scale=0.1)
        others = {n: tape.inputs[n].value for n in self.others}
        others |= {f"param:{n}": v for n, v in self._moved.items()}
        noise = [tape.inputs[n].value for n in tape.noises]
        if list(run.sites) != list(self.run.sites) or len(noise) != len(self.noises):
            raise RecordingError("the guide's sites or its random numbers differ from run to run")
        if self.graph.random:
            return  # gamma and the like are drawn anew: values cannot be compared number by number
        with torch.no_grad():
            typed = {n: v.to(self.dtype) if v.is_floating_point() else v for n, v in others.items()}
            guided = self([v.to(self.dtype) if v.is_floating_point() else v for v in noise], typed)
        for n, value in (guided.values or {}).items():
            gap = difference(value, run.sites[n].raw)
            if gap > (1e-9 if double else 1e-4):
                raise RecordingError(f"the recorded guide's site {n!r} disagrees with the guide itself by {gap:.2g} (relative)")


class Objective:
    """Negative ELBO and its gradient by the parameters, mean over particles.

    params   the trainable parameters (unconstrained) by name: of the model and of the guide; leaves of any optimiser
    Raises GuideError, RecordingError, EliminationError.
    """

    def __init__(
        self,
        program: Program,
        guide: FlatGuide | Callable | None,
        *,
        flat: bool,
        key: Key,
        num_particles: int = 1,
        batch_size: int | None = None,
        dtype: torch.dtype | None = None,
    ):
        """flat: `guide` is a FlatGuide; otherwise a program, None for the family's own."""
        self.full, self.num_particles = program, num_particles
        self.program = program if batch_size is None else program.minibatch(batch_size)
        self.dtype = dtype if dtype is not None else torch.get_default_dtype()
        self.seconds = {"record": 0.0, "check": 0.0, "compile": 0.0}
        self.evaluations = 0
        start = time.perf_counter()
        self.density = LogDensity(self.program, dtype=self.dtype, lowering="recorded")
        self.recording: Recording = self.density._recorded()
        self.device = self.density.device
        self.guide: FlatGuide | None = guide if flat else None  # type: ignore[assignment]
        self.recorded_guide: ProgramGuide | None = None
        self.seconds["record"] += time.perf_counter() - start
        used = {n.removeprefix("param:") for n in self.recording.others if n.startswith("param:")}
        params = {n: p for n, p in self.program.params.items() if n in used}
        if flat:
            position = self.density.initial(key, radius=0.1)[0]
            params |= guide.initial(self.density, position)  # type: ignore[union-attr]
            self.noises = guide.noise(self.density.dim, self.dtype)  # type: ignore[union-attr]
        else:
            self.recorded_guide = ProgramGuide(self.program, guide, self.dtype)  # type: ignore[arg-type]
            params |= self.recorded_guide.program.params
            self.noises = [q._replace(dtype=self.dtype) if q.dtype.is_floating_point else q for q in self.recorded_guide.noises]
        self.params = {n: p.detach().clone().to(self.dtype) for n, p in params.items() if p.is_floating_point()}
        self._graphs: dict[int, Graph] = {}

    # Inputs of one step

    def noise(self, key: Key, count: int | None = None) -> list[Tensor]:
        """The noise of one step: (particles, *shape) each, read from the key."""
        count = self.num_particles if count is None else count
        out, start = [], 0
        for q in self.noises:
            each = torch.Size(q.shape).numel()
            if q.kind == "permutation":
                t = torch.stack([key.at(key.draw).permutation(NOISE + 1000 + i, q.shape[0]) for i in range(count)])
            else:
                draw = key.normal if q.kind == "normal" else key.uniform
                t = draw(NOISE, (1, count * each), start=start).reshape(count, *q.shape).to(q.dtype)
                start += count * each
            out.append(t.to(self.device))
        return out

    def rows(self, key: Key) -> dict[str, Tensor]:
        """The rows of one step: every epoch is a permutation without replacement; model and guide see the same ones."""
        out = {}
        for i, (name, template) in enumerate(self.program.rows.items()):
            plate = self.program.plates[self.program.data_plate if name == ARGUMENTS else name]  # type: ignore[index]
            size = plate.size if name != ARGUMENTS else len_of(self.full, plate.name)
            batch = len(template)
            per_epoch = size // batch
            epoch, step = divmod(key.draw, per_epoch)
            order = key.at(epoch).permutation(ROWS + 1000 * i, size)
            out[name] = order[step * batch : (step + 1) * batch].to(self.device)
        return out

    # Loss

    def value_and_grad(
        self, params: Mapping[str, Tensor], noise: Sequence[Tensor], rows: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Parameters, noise (particles, *shape) and rows -> loss (), nats, and its gradient by name."""
        count = self.num_particles
        self.evaluations += count
        if count not in self._graphs:
            start = time.perf_counter()
            self._graphs[count] = self._compile(params, noise, rows or self.program.rows)
            self._prepared = self._graphs[count].prepare(list(self._data.values()))
            self.seconds["compile"] += time.perf_counter() - start
        rows = rows or self.program.rows
        fast = [*params.values(), *noise, *rows.values()]
        with torch.no_grad():
            loss, *gradients = self._graphs[count].run(self._prepared, fast)
        return loss, dict(zip(params, gradients, strict=True))

    @property
    def _data(self) -> dict[str, Tensor]:
        """Data inputs of the model's and of the guide's recording."""
        p = self.program
        return {n: self._typed(p.leaves[int(n.removeprefix("data:"))]) for n in p.data}

    def _typed(self, t: Tensor) -> Tensor:
        return t.detach().to(self.dtype) if t.dtype == self.recording.dtype else t.detach()

    def _compile(self, params: Mapping[str, Tensor], noise: Sequence[Tensor], rows: Mapping[str, Tensor]) -> Graph:
        """Loss and gradient of all particles as one graph: vmap over the noise, then autograd over the batched one."""
        tape = Tape(differentiated=True, noise=torch.Generator(device=self.device).manual_seed(0))
        groups = {
            "data": {n: t.clone() for n, t in self._data.items()},
            "param": {n: t.detach().clone() for n, t in params.items()},
            "noise": {f"noise:{i}": t.clone() for i, t in enumerate(noise)},
            "rows": {n: t.clone() for n, t in rows.items()},
        }
        names = []
        for kind, tensors in groups.items():
            for n, t in tensors.items():
                names.append(f"{kind}/{n}")
                tape.input(t, names[-1])
        with torch.enable_grad(), tape:
            leaves = {n: t.detach().requires_grad_() for n, t in groups["param"].items()}
            particles = list(groups["noise"].values())
            one = lambda *e: self.elbo(leaves, e, groups["data"], groups["rows"])  # noqa: E731
            if particles:
                elbo = vmap(one, randomness="different")(*particles).mean()
            else:
                elbo = one()
            gradients = torch.autograd.grad(-elbo, list(leaves.values()), allow_unused=True)
            loss = -elbo.detach()
            gradients = tuple(torch.zeros_like(p) if g is None else g for g, p in zip(gradients, leaves.values(), strict=True))
        return cut(
            tape, [tape.inputs[n] for n in names], [tape.node(t) for t in (loss, *gradients)], slow=range(len(groups["data"]))
        )

    def elbo(
        self, params: Mapping[str, Tensor], noise: Sequence[Tensor], data: Mapping[str, Tensor], rows: Mapping[str, Tensor]
    ) -> Tensor:
        """log p - log q of one particle ()."""
        inputs = {**data, **{f"param:{n}": t for n, t in params.items()}, **{f"rows:{n}": t for n, t in rows.items()}}
        others = [inputs[n] if n in inputs else self._fixed(n) for n in self.recording.others]
        if self.guide is not None:
            position, log_q = self.guide(params, noise)
            if self.guide.jacobian:
                return self.density._density(position, *others) - log_q
            values = dict(zip([s.name for s in self.density.sites], self.density._graph("constrain")(position, *others), strict=True))
        else:
            guided = self.recorded_guide(noise, {n: inputs.get(n, None) for n in self.recorded_guide.others})  # type: ignore
            values, log_q = guided.values, guided.log_q  # type: ignore[assignment]
        return self._log_joint(values, others) - log_q

    def _fixed(self, name: str) -> Tensor:
        """A parameter that cannot be trained (an integer tensor)."""
        return self.program.params[name.removeprefix("param:")]

    def _log_joint(self, values: Mapping[str, Tensor], others: Sequence[Tensor]) -> Tensor:
        outputs = self.density._graph("values")(*[values[s.name] for s in self.density.sites], *others)
        names = list(self.recording.sites)
        n = len(names)
        log_probs, scales = dict(zip(names, outputs[:n], strict=True)), dict(zip(names, outputs[n:], strict=True))
        return self.recording.joint(log_probs, scales)[0]

    # After learning

    def draws(self, params: Mapping[str, Tensor], key: Key, count: int) -> tuple[Tensor, Tensor]:
        """`count` independent draws from the guide: position (count, dim) and log p - log q (count,), all rows in."""
        noise = self.noise(key, count)
        data = self._data
        rows = self.program.rows

        def one(*e: Tensor) -> tuple[Tensor, Tensor]:
            inputs = {**data, **{f"param:{n}": t for n, t in params.items()}, **{f"rows:{n}": t for n, t in rows.items()}}
            weight = self.elbo(params, e, data, rows)
            if self.guide is not None:
                return self.guide(params, e)[0], weight
            guided = self.recorded_guide(e, {n: inputs.get(n) for n in self.recorded_guide.others})  # type: ignore
            others = [inputs[n] if n in inputs else self._fixed(n) for n in self.recording.others]
            graph = self.density._graph("unconstrain")
            parts = graph(*[guided.values[s.name] for s in self.density.sites], *others)  # type: ignore[index]
            return torch.cat(parts) if parts else weight.new_zeros(0), weight

        return over_batch(one, noise, count)  # type: ignore[return-value]

    @property
    def fingerprint(self) -> str:
        """Of the model's graph with its data, and of the guide's."""
        digest = hashlib.sha256(self.density.fingerprint.encode())
        digest.update((self.recorded_guide.graph.text() if self.recorded_guide is not None else repr(self.guide)).encode())
        for n, t in self.params.items():
            digest.update(n.encode() + t.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()


def len_of(program: Program, plate: str) -> int:
    return program.plates[plate].size
