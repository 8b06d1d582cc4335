"""One particle of a lower bound: a guide's values placed in a model (`OnSites`, `OnPosition`), or a family's own bound
(`OnFactors`). Inputs are tensors by name, as in factors.py; `beta` among them is the weight of the divergence."""

import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from .errors import GuideError
from .factors import MODEL, Factors, Model, by_datum
from .guides import Companion, Drawn, FlatGuide, GuideProgram, Noise, RecordedGuide
from .lowering import WHY, Lowering, check_lowering
from .mode import Start
from .program import Program
from .recording import device_of
from .targets import LogDensity

__all__ = ["Estimate", "OnFactors", "OnPosition", "OnSites", "Pair", "Unread", "inputs_of"]

Inputs = Mapping[str, Tensor]


class Unread:
    """In place of a LogDensity, where a bound is all that is read of a family."""

    recording = None

    def __init__(self, program: Program, dtype: torch.dtype, lowering: str):
        check_lowering(lowering)
        self.program, self.dtype, self.device = program, dtype, device_of(program)
        self.lowering = Lowering(lowering, "asked for") if lowering != "auto" else Lowering("recorded", WHY["recorded"])
        self.seconds = {"record": 0.0, "check": 0.0, "compile": 0.0}

    @property
    def fingerprint(self) -> str:
        """Of the sites; the bound's graph holds the rest."""
        return repr([(s.name, s.kind, s.distribution, tuple(s.shape)) for s in self.program.sites.values()])


def inputs_of(density: LogDensity | Unread) -> dict[str, Tensor]:
    """Data, parameters and rows of a program, in the dtype of the computation where they were in the program's own."""
    p, own = density.program, density.program.dtype
    inputs = {n: p.leaves[int(n.removeprefix("data:"))] for n in p.data}
    inputs |= {f"param:{n}": t for n, t in p.params.items()} | {f"rows:{n}": t for n, t in p.rows.items()}
    return {n: t.detach().to(density.dtype) if t.dtype == own else t.detach() for n, t in inputs.items()}


class Estimate(NamedTuple):
    """One particle: its share of the bound (), nats, or that of every datum (rows,), and buffers as it leaves them."""

    value: Tensor
    buffers: Inputs


class Term(NamedTuple):
    """One site's log density, and what its dimensions are."""

    log_prob: Tensor
    dims: Sequence[str | None]


class Pair(Protocol):
    """A guide placed in a model.

    params    where learning starts: unconstrained, by name; transforms: of those with constraints
    buffers   those that are written while it learns
    noises    its noise inputs, by name; random: it draws other random numbers itself
    point     a point estimate, which has no importance weights
    learning  its modules run as they do only while they learn: draws are another pair's
    """

    params: dict[str, Tensor]
    transforms: Mapping[str, Any]
    noises: dict[str, Noise]
    random: bool
    point: bool
    learning: bool

    @property
    def buffers(self) -> dict[str, Tensor]: ...

    def elbo(self, noise: Inputs, inputs: Inputs) -> Estimate:
        """log p - log q of one particle."""

    def terms(self, noise: Inputs, inputs: Inputs) -> dict[str, Term]:
        """What it is made of, by what messages call it."""

    def draw(self, noise: Inputs, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """-> a position (dim,), and its log weight (): log p - log q with every discrete site summed out."""


class OnPosition:
    """A FlatGuide: it needs no program. It moves in units of the start, about its centre."""

    def __init__(self, guide: FlatGuide, model: Model, start: Start):
        self.guide, self.model, self.point, self.start = guide, model, guide.point, start
        self.params = guide.initial(torch.zeros_like(start.centre))
        self.transforms: Mapping[str, Any] = {}
        self.own = {f"noise:{i}": q for i, q in enumerate(guide.noise(len(start.centre), start.centre.dtype))}
        self.noises = {**self.own, **model.noises}
        self.random, self.learning, self.buffers = model.random, model.trained.learning, model.trained.buffers

    def _draw(self, noise: Inputs, inputs: Inputs) -> tuple[Tensor, Tensor]:
        params = {n: inputs[f"param:{n}"] for n in self.params}
        return self.start.place(*self.guide(params, [noise[n] for n in self.own]))

    def _factors(self, position: Tensor, inputs: Inputs) -> Factors:
        if self.point:
            return self.model.factors(self.model.constrain(position, inputs), inputs)
        return self.model.factors_at(position, inputs)

    def elbo(self, noise: Inputs, inputs: Inputs) -> Estimate:
        position, log_q = self._draw(noise, inputs)
        factors = self._factors(position, {**inputs, **noise})
        return Estimate(_weighed(factors, factors.log_joint() - log_q, inputs), factors.buffers)

    def terms(self, noise: Inputs, inputs: Inputs) -> dict[str, Term]:
        return _terms(self._factors(self._draw(noise, inputs)[0], {**inputs, **noise}))

    def draw(self, noise: Inputs, inputs: Inputs) -> tuple[Tensor, Tensor]:
        position, log_q = self._draw(noise, inputs)
        return position, self.model.density(position, inputs) - log_q


class Run:
    """A guide program or a bound, by its graph or by running it."""

    def __init__(self, companion: Companion, graph: RecordedGuide | None):
        self.companion, self.graph = companion, graph
        self.params, self.learning = dict(companion.params), companion.program.learning
        self.transforms: Mapping[str, Any] = companion.transforms
        self.noises = dict(graph.noises) if graph is not None else {}
        self.random = graph is None or graph.random

    @property
    def buffers(self) -> dict[str, Tensor]:
        return self.companion.buffers

    def _draw(self, noise: Inputs, inputs: Inputs, values: Inputs | None = None) -> Drawn:
        if self.graph is not None:
            return self.graph(noise, inputs) if values is None else self.graph.at(values, noise, inputs)
        c = self.companion
        params = {n: p if isinstance(p, torch.nn.Parameter) else inputs[f"param:{n}"] for n, p in c.params.items()}
        rows = {n: inputs[f"rows:{n}"] for n in c.program.rows}
        buffers = {n: inputs[f"buffer:{n}"] for n in c.buffers}
        own = {n: t for n, t in noise.items() if not n.startswith(MODEL)}
        return c.replayed(own, c.program.leaves_with(inputs), params, rows, buffers, values)

    def _terms(self, drawn: Drawn) -> dict[str, Term]:
        factors = {**drawn.factors, **drawn.discrete}
        return {f"{n!r} of the {self.companion.what}": Term(f, self.companion.dims[n]) for n, (f, _) in factors.items()}


class OnFactors(Run):
    """A family's own bound, which needs no model."""

    point = False

    def elbo(self, noise: Inputs, inputs: Inputs) -> Estimate:
        drawn = self._draw(noise, inputs)
        return Estimate(drawn.log_q, drawn.buffers)

    def terms(self, noise: Inputs, inputs: Inputs) -> dict[str, Term]:
        return self._terms(self._draw(noise, inputs))

    def draw(self, noise: Inputs, inputs: Inputs) -> tuple[Tensor, Tensor]:
        raise GuideError("a bound draws nothing; draws come from the guide")


class OnSites(Run):
    """A guide program in a model, which runs after it: what both write to buffers is the model's.

    datum   a plate that holds every site: importance weights are each index's own. Otherwise the gradient of log q is that by the
            values alone where that is possible (`GuideProgram.placeable`): the rest of it has mean 0, and is noise that does not
            go away where the guide is exact. Source: Roeder, Wu & Duvenaud, NeurIPS 2017.
    """

    def __init__(self, guide: GuideProgram, graph: RecordedGuide | None, model: Model, datum: str | None, by_values: bool):
        super().__init__(guide, graph)
        self.model, self.point, self.datum = model, guide.point, datum
        self.by_values = by_values and guide.placeable
        self.noises |= model.noises
        self.random, self.learning = self.random or model.random, self.learning or model.trained.learning

    @property
    def buffers(self) -> dict[str, Tensor]:
        return {**self.companion.buffers, **self.model.trained.buffers}

    def _factors(self, drawn: Drawn, noise: Inputs, inputs: Inputs) -> Factors:
        return self.model.factors(drawn.values, {**inputs, **noise, **{f"buffer:{n}": b for n, b in drawn.buffers.items()}})

    def elbo(self, noise: Inputs, inputs: Inputs) -> Estimate:
        drawn = self._draw(noise, inputs)
        factors = self._factors(drawn, noise, inputs)
        buffers = {**drawn.buffers, **factors.buffers}
        if self.datum is not None:
            return Estimate(factors.by_datum(self.datum) - by_datum(drawn.factors, self.companion.dims, self.datum), buffers)
        log_q = self._by_values(drawn, noise, inputs) if self.by_values else drawn.log_q
        return Estimate(_weighed(factors, factors.log_joint(drawn.discrete) - log_q, inputs), buffers)

    def _by_values(self, drawn: Drawn, noise: Inputs, inputs: Inputs) -> Tensor:
        """log q with the parameters held."""
        fixed = {n: t.detach() for n, t in inputs.items()}
        with _held(self.params.values()) if self.graph is None else nullcontext():
            return self._draw(noise, fixed, drawn.values).log_q

    def terms(self, noise: Inputs, inputs: Inputs) -> dict[str, Term]:
        drawn = self._draw(noise, inputs)
        return {**_terms(self._factors(drawn, noise, inputs)), **self._terms(drawn)}

    def draw(self, noise: Inputs, inputs: Inputs) -> tuple[Tensor, Tensor]:
        drawn = self._draw(noise, inputs)
        position = self.model.unconstrain(drawn.values, inputs)
        return position, self.model.joint(drawn.values, inputs) - drawn.log_q


def _weighed(factors: Factors, value: Tensor, inputs: Inputs) -> Tensor:
    """log p - log q with the weight beta on all of it but the log likelihood."""
    if "beta" not in inputs:
        return value
    return inputs["beta"] * value + (1 - inputs["beta"]) * factors.log_likelihood()


def _terms(factors: Factors) -> dict[str, Term]:
    return {repr(n): Term(f, factors.joint.sites[n].dims) for n, f in factors.log_probs.items()}


@contextmanager
def _held(params: Iterable[Tensor]) -> Iterator[None]:
    """Parameters that a module uses as they are do not ask for a gradient."""
    asking = [p for p in params if isinstance(p, torch.nn.Parameter) and p.requires_grad]
    for p in asking:
        p.requires_grad_(False)
    try:
        with warnings.catch_warnings():  # Pyro tells what it does not register, which is what is wanted here
            warnings.filterwarnings("ignore", ".* was not registered in the param store", UserWarning)
            yield
    finally:
        for p in asking:
            p.requires_grad_()
