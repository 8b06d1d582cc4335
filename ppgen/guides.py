"""Guides: what an objective draws the latent values of a model from.

A guide is either a program over the model's sites (`GuideProgram`: a family's own or the user's) or a distribution over the
flat position (`FlatGuide`: what autoguides are). Recorded, its noise is an input, and so are parameters, data and rows.
"""

import copy
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar, NamedTuple, cast

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import Transform
from torch.utils._python_dispatch import _disable_current_modes

from .errors import GuideError, PpgenError, ProgramError, RecordingError
from .keys import Key
from .mode import Start, at_mode
from .program import Evaluation, FromGuide, Program, Site
from .recording import device_of, name_buffers, name_inputs, seeded
from .sites import Latent
from .straightline import Graph, Node, cut
from .tape import Steered, Tape, Watch
from .training import Training, in_training

__all__ = ["BoundProgram", "Companion", "Drawn", "FlatGuide", "GuideProgram", "Noise", "RecordedGuide"]


class Noise(NamedTuple):
    """One noise input of a guide: its kind (normal, uniform or permutation), shape and dtype."""

    kind: str
    shape: tuple[int, ...]
    dtype: torch.dtype


class Drawn(NamedTuple):
    """What a guide program gives for one set of noise.

    values     of the continuous latent sites, constrained
    factors    (log density, scale) of them, as their sites' dims say, and of its factors
    discrete   (log probabilities of each value, scale) of every discrete site that the guide samples
    buffers    what a guide in training leaves in its buffers
    """

    values: dict[str, Tensor]
    factors: dict[str, tuple[Tensor, Tensor]]
    discrete: dict[str, tuple[Tensor, Tensor]]
    buffers: dict[str, Tensor]

    @property
    def log_q(self) -> Tensor:
        """Their log density (), nats."""
        total: Any = 0.0
        for log_prob, scale in self.factors.values():
            total = total + (log_prob * scale).sum()
        return torch.as_tensor(total)


class FlatGuide(ABC):
    """A distribution over the flat position, for any program.

    point   True: a point estimate, of the constrained values: no Jacobian, no importance weights
    """

    point: ClassVar[bool] = False

    def start(self, program: Program, key: Key) -> Start:
        """Where it begins, and the units it moves in."""
        return at_mode(program, key)

    @abstractmethod
    def initial(self, position: Tensor) -> dict[str, Tensor]:
        """Its parameters at the start, near a position (dim,), in units of about one sd."""

    @abstractmethod
    def noise(self, dim: int, dtype: torch.dtype) -> list[Noise]: ...

    @abstractmethod
    def __call__(self, params: Mapping[str, Tensor], noise: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """-> position (dim,), log q (), nats"""


class FromSampler(FromGuide):
    """A guide's values, drawn so that a graph of the draw has the right gradient; or those given, in their place.

    placeable   sites whose density is a function of the value alone
    """

    def __init__(self, *, values: Mapping[str, Tensor] | None = None, **settings: Any):
        super().__init__(**settings)
        self.values, self.placeable = values, set[str]()

    def latent_value(self, msg: Any) -> tuple[Any, Latent | None]:
        remembers = _remembers(msg["fn"])
        msg["fn"] = _differentiable(msg["fn"])
        raw, latent = super().latent_value(msg)
        if remembers:
            return raw, latent
        self.placeable.add(msg["name"])
        return self.mark(raw, msg["name"]) if self.values is None else self.values[msg["name"]], latent


class Gamma(dist.Gamma):
    """torch's own keeps its draws above 0 behind autograd's back, by a write through `detach`: recorded, that cuts the gradient."""

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        shape = self._extended_shape(torch.Size(sample_shape))
        draw = torch._standard_gamma(self.concentration.expand(shape)) / self.rate.expand(shape)
        return draw.clamp(min=torch.finfo(draw.dtype).tiny)


class Dirichlet(dist.Dirichlet):
    """Gammas over their sum: torch's own sampler has its gradient outside of the operation, where a graph has none."""

    def rsample(self, sample_shape: Sequence[int] = ()) -> Tensor:
        draw = torch._standard_gamma(self.concentration.expand(self._extended_shape(torch.Size(sample_shape))))
        draw = draw.clamp(min=torch.finfo(draw.dtype).tiny)
        return draw / draw.sum(-1, keepdim=True)


PLAIN = {torch.distributions.Gamma: Gamma, torch.distributions.Dirichlet: Dirichlet}


def _differentiable(fn: Any) -> Any:
    """The distribution, and those that it is made of, with the samplers above. A transformed one remembers what its draw was
    made of, so that its density needs no way back."""
    new = copy.copy(fn)
    for name, part in vars(fn).items():
        if isinstance(part, torch.distributions.Distribution):
            new.__dict__[name] = _differentiable(part)
    if isinstance(fn, torch.distributions.TransformedDistribution):
        new.transforms = [_remembering(t) for t in fn.transforms]
    for kind, plain in PLAIN.items():
        if isinstance(fn, kind):
            new.__class__ = plain
    return new


def _remembers(fn: Any) -> bool:
    """Whether a density may need what the draw was made of: that of a transformed distribution, of one made of such, and of any
    that is neither torch's nor Pyro's."""
    own = type(fn).__module__.startswith(("torch.distributions.", "pyro.distributions."))
    if not own or isinstance(fn, torch.distributions.TransformedDistribution):
        return True
    return any(_remembers(part) for part in vars(fn).values() if isinstance(part, torch.distributions.Distribution))


def _remembering(transform: Transform) -> Transform:
    try:
        return transform.with_cache()
    except NotImplementedError:  # one that does not know how; its density goes the way back
        return transform


class Companion(ABC):
    """A program that runs beside a model with the model's arguments: a method of the family, or one of the user's.

    params     unconstrained, by name: the model's, and its own. Statements `pyro.param` of one name are one parameter; a
               parameter of its module that has the name of one of the model's gets the prefix `guide.`.
    transforms of them, within the constraints of `pyro.param` statements
    sites      the continuous latent sites that it draws; discrete: those that it gives probabilities to
    buffers    those that it writes while it learns (training.py), by name; of a module of the user's with the prefix `guide.`

    Raises GuideError: arguments that do not fit.
    """

    method: str | None  # of the family; None is a callable of the user's
    dims: dict[str, tuple[str | None, ...]]  # of each factor's dimensions: a plate, an enumerated site or none
    evaluation: ClassVar[type[Evaluation]] = FromSampler
    placeable: bool = False
    sites: list[str]
    discrete: dict[str, Site]

    def __init__(self, model: Program, fn: Callable[..., Any] | None, method: str, seed: int, training: Training | None = None):
        """fn: None is the family's own `method`. seed: of the values at which `pyro.param` statements begin. training: how it
        runs while it learns."""
        self.model, self.program, self.what = model, copy.copy(model), method
        self.method = method if fn is None else None
        self.prefix = "" if fn is None else "guide."
        own: dict[str, Tensor] = {}
        if fn is not None:
            self.program.fn = copy.deepcopy(fn).eval() if isinstance(fn, torch.nn.Module) else fn
            own = dict(self.program.fn.named_parameters()) if isinstance(self.program.fn, torch.nn.Module) else {}
        self.program.params = {**model.params, **{f"guide.{n}" if n in model.params else n: p for n, p in own.items()}}
        self._takes_arguments()
        self.enumerate_dim = -1 - max([model.nesting, *[len(s.shape) for s in model.latent]])
        run = self._first_run(seed)
        self.program.params = {**self.program.params, **run.params}
        self._match(run)
        self.dims = {n: s.dims for n, s in run.sites.items()}
        self.transforms = run.transforms
        if training is not None:
            self.program = in_training(self.program, self._found, training)

    @abstractmethod
    def _match(self, run: Evaluation) -> None:
        """Find `sites` and `discrete` in a run, or raise what is wrong with it."""

    @property
    def params(self) -> dict[str, Tensor]:
        return self.program.params

    @property
    def buffers(self) -> dict[str, Tensor]:
        return {self.prefix + n: b for n, b in self.program.buffers.items()}

    def _takes_arguments(self) -> None:
        call = self.program.fn if self.method is None else getattr(self.program.fn, self.method)
        try:
            inspect.signature(getattr(call, "forward", call)).bind(*self.model.args, **self.model.kwargs)
        except TypeError as error:
            raise GuideError(f"the {self.what} is called with the model's arguments, and they do not fit it: {error}") from error

    def _first_run(self, seed: int) -> Evaluation:
        """Once with Pyro's own checks on, which also makes the parameters of `pyro.param` statements."""
        try:
            with seeded(seed):
                return self._found(self.program, validate=True)
        except PpgenError:
            raise
        except Exception as error:
            raise GuideError(f"the {self.what} fails: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}") from error

    def _found(self, program: Program, **settings: Any) -> Evaluation:
        return program.run(self.evaluation, method=self.method, enumerate_dim=self.enumerate_dim, **settings)

    def run(self, leaves: Sequence[Any], params: Mapping[str, Tensor], rows: Mapping[str, Tensor], **settings: Any) -> Evaluation:
        """The program itself, once."""
        return self._found(self.program, leaves=list(leaves), params=dict(params), rows=dict(rows), **settings)

    def drawn(self, run: Evaluation) -> Drawn:
        """What one run gives."""
        factors = {n: (torch.as_tensor(s.log_prob), scale_of(s)) for n, s in run.sites.items()}
        buffers = {self.prefix + n: after for n, (_, after) in run.buffers.items()}
        return self.sorted({n: run.sites[n].value for n in self.sites}, factors, buffers)

    def sorted(self, values: dict[str, Tensor], factors: dict[str, tuple[Tensor, Tensor]], buffers: dict[str, Tensor]) -> Drawn:
        """The factors of all sites as those of continuous and of discrete ones."""
        discrete = {n: factors[n] for n in self.discrete}
        return Drawn(values, {n: f for n, f in factors.items() if n not in discrete}, discrete, buffers)

    def replayed(
        self,
        noise: Mapping[str, Tensor],
        leaves: Sequence[Any],
        params: Mapping[str, Tensor],
        rows: Mapping[str, Tensor],
        buffers: Mapping[str, Tensor],
        values: Mapping[str, Tensor] | None = None,
    ) -> Drawn:
        """The program itself, once, its noise as given (none: its own random numbers), and its sites at their values, if given."""
        settings: dict[str, Any] = {"buffers": {n.removeprefix(self.prefix): b for n, b in buffers.items()}}
        settings |= {"grad": torch.is_grad_enabled()} | ({} if values is None else {"values": values})
        with Replay(noise, device_of(self.program)) if noise else nullcontext():
            return self.drawn(self.run(leaves, params, rows, **settings))


class GuideProgram(Companion):
    """A guide that is a program over the model's sites.

    point       some site is a Delta: a point estimate
    placeable   its density is one of sites at given values: none is transformed, and there is no factor beside them

    Raises GuideError: arguments or sites that model and guide do not share, other shapes, no reparameterised sampler.
    """

    def __init__(self, model: Program, guide: Callable[..., Any] | None = None, seed: int = 0, training: Training | None = None):
        """guide: None is the family's own."""
        if guide is None and model.family is None:
            raise GuideError(f"program {model.name!r} has no guide of its own; name one (normal, multivariate, delta) or give a program")
        super().__init__(model, guide, "guide", seed, training)

    def _match(self, run: Evaluation) -> None:
        """Every continuous latent site of the model is in the guide, and nothing else, in the same shape."""
        model = {s.name: s for s in self.model.latent}
        drawn = {n: s for n, s in run.sites.items() if s.kind == "latent" or (s.kind == "deterministic" and n in model)}
        self.discrete = {n: s for n, s in drawn.items() if s.discrete}
        self.sites = [n for n in drawn if n not in self.discrete]
        self.point = any(drawn[n].kind == "deterministic" for n in self.sites)
        continuous = {n for n, s in run.sites.items() if s.kind != "deterministic"} - self.discrete.keys()
        self.placeable = bool(self.sites) and continuous == set(self.sites) == cast("FromSampler", run).placeable
        if missing := [n for n, s in model.items() if not s.discrete and n not in drawn]:
            raise GuideError(f"the guide does not sample {_list(missing)}, which the model does; add it to the guide")
        if extra := [n for n in drawn if n not in model]:
            raise GuideError(f"the guide samples {_list(extra)}, which the model does not; the model's latent sites are {_list(model)}")
        if unknown := set(run.rows) - set(self.program.rows):
            raise GuideError(f"the guide subsamples plate {_list(unknown)}, which the model does not")
        for n in self.sites:
            if drawn[n].shape != model[n].shape:
                raise GuideError(f"site {n!r} has shape {tuple(model[n].shape)} in the model and {tuple(drawn[n].shape)} in the guide")
        for n, site in self.discrete.items():
            _check_discrete(site, model[n])


class FactorsAlone(FromGuide):
    """A bound has no sites to draw."""

    def latent_value(self, msg: Any) -> tuple[Any, Latent | None]:
        raise ProgramError(f"bound samples {msg['name']!r}; it may hold pyro.factor alone, its noise from torch.randn, rand or randint")


class BoundProgram(Companion):
    """A family's `bound`: a program of factors, whose sum is what `drawn` calls log_q. Raises ProgramError: any other site."""

    evaluation = FactorsAlone

    def __init__(self, model: Program, training: Training | None = None):
        super().__init__(model, None, "bound", 0, training)

    def _match(self, run: Evaluation) -> None:
        self.sites, self.discrete = [], {}
        if others := [n for n, s in run.sites.items() if s.kind not in ("factor", "deterministic")]:
            raise ProgramError(f"bound observes {_list(others)}; it may hold pyro.factor alone, whose sum estimates the lower bound")
        if not run.sites:
            raise ProgramError(f"the bound of {self.model.name!r} has no factor; call pyro.factor in it")


class Replay(Tape):
    """Noise inputs that hold what is given; numbers on which nothing depends are any."""

    def __init__(self, noise: Mapping[str, Tensor], device: torch.device):
        super().__init__(noise=torch.Generator(device=device))
        self.given = noise

    def draw(self, kind: str, like: Tensor) -> Tensor:
        t = super().draw(kind, like)
        name = f"noise:{len(self.noises) - 1}"
        if name in self.given:
            with _disable_current_modes():
                t.copy_(self.given[name])
        return t


def noise_of(tape: Tape, name: str, own: torch.dtype, dtype: torch.dtype) -> Noise:
    """A noise input of a tape, in the dtype of the computation where it was in the program's own."""
    t = tape.inputs[name].value
    return Noise(tape.noises[name], tuple(t.shape), dtype if t.dtype == own else t.dtype)


def scale_of(site: Site) -> Tensor:
    """In the dtype of the site's factor: float32 would round 8 / 3."""
    factor = torch.as_tensor(site.log_prob)
    return torch.as_tensor(site.scale, dtype=factor.dtype, device=factor.device)


def _list(names: Iterable[str]) -> str:
    return ", ".join(repr(n) for n in sorted(names))


def _check_discrete(guide: Site, model: Site) -> None:
    """A discrete site that the guide samples is independent of its others given the continuous ones."""
    if not model.discrete:
        raise GuideError(f"site {guide.name!r} is discrete in the guide and continuous in the model")
    if guide.plates != model.plates:
        raise GuideError(f"site {guide.name!r} is in plates {list(model.plates)} of the model and {list(guide.plates)} of the guide")
    own = {None, guide.name, *guide.plates}
    if others := [d for d in guide.dims if d not in own and not str(d).startswith("dim-")]:
        raise GuideError(
            f"the guide's discrete site {guide.name!r} depends on {_list(map(str, others))}; leave it to be summed out exactly"
        )


class RecordedGuide:
    """The graph of a guide, or of a bound: noise and other inputs -> Drawn.

    noises   its noise inputs; others: its other inputs (data:*, param:*, rows:*); random: it draws gammas and the like itself

    Raises RecordingError.
    """

    def __init__(self, guide: Companion, dtype: torch.dtype):
        self.guide = guide
        self.constant: frozenset[str] = frozenset()  # data that steer the guide
        self.tape, self.run = self._record()
        tape, run = self.tape, self.run
        sites = run.sites.values()
        self.discrete = {n: run.sites[n] for n in guide.discrete}
        self.buffers = [guide.prefix + n for n in run.buffers]
        factors = [tape.node(torch.as_tensor(s.log_prob)) for s in sites] + [tape.node(scale_of(s)) for s in sites]
        buffers = [tape.node(after) for _, after in run.buffers.values()]
        own = guide.model.dtype
        self.retype = None if dtype == own else (own, dtype)
        self.graph, self.inputs = self._cut([], [*[tape.node(run.sites[n].raw) for n in guide.sites], *factors, *buffers])
        self.random = self.graph.random
        self.noises = {n: noise_of(tape, n, own, dtype) for n in self.inputs if n in tape.noises}
        self.placed: tuple[Graph, list[str]] | None = None
        if guide.placeable:
            marks = {n.mark: n for n in tape.nodes if n.mark is not None}
            self.placed = self._cut([marks[n] for n in guide.sites], factors)

    def _cut(self, given: list[Node], outputs: list[Node]) -> tuple[Graph, list[str]]:
        """The graph from given nodes and those of the inputs that it uses, and their names."""
        whole = cut(self.tape, [*given, *self.tape.inputs.values()], outputs)
        used = {id(p) for n in whole.nodes for p in n.parents} | {id(n) for n in whole.outputs}
        names = [n for n, node in zip(self.tape.inputs, whole.inputs[len(given) :], strict=True) if id(node) in used]
        return cut(self.tape, [*given, *[self.tape.inputs[n] for n in names]], outputs, retype=self.retype), names

    def _record(self) -> tuple[Tape, Evaluation]:
        while True:
            try:
                return self.taped(0)
            except Steered as steered:
                if steered.names <= self.constant:
                    raise RecordingError(f"data {sorted(steered.names)} steer the guide in a way that cannot be recorded") from steered
                self.constant |= steered.names

    def taped(self, seed: int, **settings: Any) -> tuple[Tape, Evaluation]:
        """Run the guide under a tape. `seed` is that of its noise, which the tape's inputs then hold."""
        p = self.guide.program
        tape = Tape(noise=torch.Generator(device=device_of(p)).manual_seed(seed))
        leaves, params, rows = name_inputs(tape, p, self.constant)
        buffers = name_buffers(tape, p)
        with seeded(seed), Watch(tape), tape:
            return tape, self.guide.run(leaves, params, rows, buffers=buffers, tape=tape, **settings)

    def _given(self, names: Sequence[str], noise: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> list[Tensor]:
        kinds = {n: f"buffer:{self.guide.prefix}{n.removeprefix('buffer:')}" if n.startswith("buffer:") else n for n in names}
        return [noise[n] if n in noise else inputs[kinds[n]] for n in names]

    def _factors(self, outputs: Sequence[Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        names = list(self.run.sites)
        return dict(zip(names, zip(outputs[: len(names)], outputs[len(names) :], strict=True), strict=True))

    def __call__(self, noise: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> Drawn:
        outputs = self.graph(*self._given(self.inputs, noise, inputs))
        k, end = len(self.guide.sites), len(outputs) - len(self.buffers)
        values = dict(zip(self.guide.sites, outputs[:k], strict=True))
        return self.guide.sorted(values, self._factors(outputs[k:end]), dict(zip(self.buffers, outputs[end:], strict=True)))

    def at(self, values: Mapping[str, Tensor], noise: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> Drawn:
        """Its sites at their values, where they are placeable."""
        graph, names = cast("tuple[Graph, list[str]]", self.placed)
        outputs = graph(*[values[n] for n in self.guide.sites], *self._given(names, noise, inputs))
        return self.guide.sorted(dict(values), self._factors(outputs), {})
