"""One particle of the evidence lower bound: a guide's values placed in a model.

A model gives its log joint density at values or at a position, by its graphs (`RecordedModel`) or by running Pyro
(`EagerModel`); a pair (`OnSites`, `OnPosition`) puts a guide on top. Inputs are tensors by name: data:*, param:*, rows:*.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from .elimination import align, squeeze
from .errors import GuideError
from .guides import Companion, Drawn, FlatGuide, GuideProgram, Noise, RecordedGuide, Replay, noise_of, scale_of
from .lowering import WHY, Lowering, check_lowering
from .mode import Start
from .program import Evaluation, FromPosition, FromValues, Program
from .recording import Joint, Recording, device_of, support_of
from .sites import Site
from .targets import LogDensity

__all__ = [
    "EagerModel",
    "Estimate",
    "Factors",
    "Model",
    "OnFactors",
    "OnPosition",
    "OnSites",
    "Pair",
    "RecordedModel",
    "Unread",
    "inputs_of",
    "model_of",
]

Inputs = Mapping[str, Tensor]
Discrete = Mapping[str, tuple[Tensor, Tensor]]
NONE: Discrete = MappingProxyType({})
MODEL = "model."  # before the names of the model's noise inputs, as the guide's come first


class Factors(NamedTuple):
    """What a model gives at one point.

    joint          the elimination of its enumerated sites; log_probs, scales: of each site, as its dims say
    log_jacobian   of the way from a position, where it was read at one
    buffers        what a model in training leaves in its buffers
    expectation    over the discrete sites that a guide gives probabilities to
    """

    joint: Joint
    log_probs: Inputs
    scales: Inputs
    log_jacobian: Tensor | float = 0.0
    buffers: Inputs = MappingProxyType({})
    expectation: "Expectation | None" = None

    def log_joint(self, discrete: Discrete = NONE) -> Tensor:
        """(), nats. Discrete sites are summed out, except those whose probabilities are given: of these the expectation, with
        their entropy."""
        if discrete and self.expectation is not None:
            return self.expectation(self.log_probs, self.scales, discrete)
        return self.joint(self.log_probs, self.scales) + self.log_jacobian

    def log_likelihood(self) -> Tensor:
        """The log joint less the log prior of the continuous latent sites, discrete sites summed out of both."""
        return self.joint(self.log_probs, self.scales) - _prior(self.joint)(self.log_probs, self.scales)


class Model(ABC):
    """What a pair asks of a model.

    trained   the program in training where it learns (training.py); noises: noise inputs of its module, by name
    random    it draws random numbers itself
    """

    trained: Program
    noises: Mapping[str, Noise] = MappingProxyType({})
    random = False

    @abstractmethod
    def factors(self, values: Inputs, inputs: Inputs) -> Factors:
        """At constrained values of the continuous latent sites."""

    @abstractmethod
    def factors_at(self, position: Tensor, inputs: Inputs) -> Factors:
        """At an unconstrained position (dim,)."""

    @abstractmethod
    def constrain(self, position: Tensor, inputs: Inputs) -> dict[str, Tensor]: ...

    @abstractmethod
    def unconstrain(self, values: Inputs, inputs: Inputs) -> Tensor: ...

    def density(self, position: Tensor, inputs: Inputs) -> Tensor:
        """(dim,) -> log density of the unconstrained position (), nats; enumerated sites summed out."""
        return self.factors_at(position, inputs).log_joint()

    def joint(self, values: Inputs, inputs: Inputs) -> Tensor:
        """Log joint density at constrained values (), nats."""
        return self.factors(values, inputs).log_joint()

    def likelihood(self, values: Inputs, inputs: Inputs) -> Tensor:
        return self.factors(values, inputs).log_likelihood()


class RecordedModel(Model):
    """The recorded model. guide: the discrete sites of a guide's run, to which it gives probabilities."""

    def __init__(self, recording: Recording, dtype: torch.dtype, guide: Mapping[str, Site] | None = None):
        self.recording, self.names, self.trained = recording, list(recording.sites), recording.program
        self.sites = [s.name for s in recording.continuous]
        self.graphs = {w: getattr(recording, f"{w}_graph")(dtype) for w in ("density", "values", "constrain", "unconstrain")}
        self.fixed = {f"param:{n}": p.detach() for n, p in self.trained.params.items() if not p.is_floating_point()}
        self.expectation = Expectation(recording, guide) if guide else None
        self.noises = {MODEL + n: noise_of(recording.tape, n, recording.dtype, dtype) for n in recording.noises}
        self.random = self.graphs["values"].random

    def _run(self, which: str, given: Sequence[Tensor], inputs: Inputs) -> tuple[Tensor, ...]:
        return self.graphs[which](*given, *[self._input(n, inputs) for n in self.recording.others])

    def _input(self, name: str, inputs: Inputs) -> Tensor:
        if name in self.recording.noises:
            return inputs[MODEL + name]
        return inputs[name] if name in inputs else self.fixed[name]

    def _read(self, which: str, given: Sequence[Tensor], inputs: Inputs) -> Factors:
        outputs, names, n = self._run(which, given, inputs), self.names, len(self.names)
        jacobians, buffers = outputs[2 * n : len(outputs) - len(self.recording.buffers)], self.recording.buffers
        return Factors(
            self.recording.joint,
            dict(zip(names, outputs[:n], strict=True)),
            dict(zip(names, outputs[n : 2 * n], strict=True)),
            sum(jacobians),
            dict(zip(buffers, outputs[len(outputs) - len(buffers) :], strict=True)),
            self.expectation,
        )

    def factors(self, values: Inputs, inputs: Inputs) -> Factors:
        return self._read("values", [values[n] for n in self.sites], inputs)

    def factors_at(self, position: Tensor, inputs: Inputs) -> Factors:
        return self._read("density", [position], inputs)

    def constrain(self, position: Tensor, inputs: Inputs) -> dict[str, Tensor]:
        return dict(zip(self.sites, self._run("constrain", [position], inputs), strict=True))

    def unconstrain(self, values: Inputs, inputs: Inputs) -> Tensor:
        parts = self._run("unconstrain", [values[n] for n in self.sites], inputs)
        return torch.cat(parts) if parts else torch.zeros(0)


class EagerModel(Model):
    """Pyro itself: for programs that cannot be recorded, and what a recording is checked against.

    Parameters that are a module's are read from the module; others, and rows, from the inputs.
    """

    def __init__(self, density: LogDensity, guide: Mapping[str, Site] | None = None, trained: Program | None = None):
        self.target, self.trained = density, trained or density.program
        self.expected = dict(guide or {})
        self.random = self.trained.trained

    def _run(self, source: type[Evaluation], inputs: Inputs, **settings: Any) -> Evaluation:
        own = self.trained
        params = {n: inputs.get(f"param:{n}", p) for n, p in own.params.items()}
        params |= {n: p for n, p in own.params.items() if isinstance(p, torch.nn.Parameter)}
        settings |= {"params": params, "rows": {n: inputs[f"rows:{n}"] for n in own.rows}, "grad": torch.is_grad_enabled()}
        settings |= {"buffers": {n: inputs[f"buffer:{n}"] for n in own.buffers}, "enumerate_dim": -1 - own.nesting}
        noise = {n.removeprefix(MODEL): t for n, t in inputs.items() if n.startswith(MODEL)}
        with Replay(noise, device_of(own)) if noise else nullcontext():
            return own.run(source, **settings)

    def _read(self, run: Evaluation) -> Factors:
        joint = Joint(run.sites, {q.name: q.subsample_size for q in run.plates.values()})
        return Factors(
            joint,
            {n: torch.as_tensor(s.log_prob) for n, s in run.sites.items()},
            {n: scale_of(s) for n, s in run.sites.items()},
            sum(s.log_jacobian for s in run.sites.values() if s.log_jacobian is not None),
            {n: after for n, (_, after) in run.buffers.items()},
            Expectation.of(joint, self.expected) if self.expected else None,
        )

    def _at(self, position: Tensor, inputs: Inputs) -> Evaluation:
        return self._run(FromPosition, inputs, position=position, layout=self.trained.sites)

    def factors(self, values: Inputs, inputs: Inputs) -> Factors:
        return self._read(self._run(FromValues, inputs, values=values))

    def factors_at(self, position: Tensor, inputs: Inputs) -> Factors:
        return self._read(self._at(position, inputs))

    def constrain(self, position: Tensor, inputs: Inputs) -> dict[str, Tensor]:
        return {s.name: s.value for s in self._at(position, inputs).sites.values() if s.continuous}

    def unconstrain(self, values: Inputs, inputs: Inputs) -> Tensor:
        return self.target.unconstrain(values)


def _prior(joint: Joint) -> Joint:
    """The latent sites alone."""
    return Joint({n: s for n, s in joint.sites.items() if s.kind == "latent"}, joint.sizes)


def model_of(density: LogDensity) -> Model:
    return RecordedModel(density.recording, density.dtype) if density.recording is not None else EagerModel(density)


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


class Term(NamedTuple):
    """A factor whose discrete sites the guide gives probabilities to: its own dimensions, those of the product with the
    probabilities, and the size of the plates that neither has."""

    sites: tuple[str, ...]
    dims: tuple[str, ...]
    times: int


class Expectation:
    """The log joint density's expectation under independent discrete sites, plus their entropy: exact, by summation.

    Raises GuideError where a factor joins such a site with one that is to be summed out.
    """

    def __init__(self, recording: Recording, guide: Mapping[str, Site]):
        for n, site in guide.items():
            if not torch.equal(support_of(site), recording.support[n]):
                raise GuideError(f"site {n!r} takes other values in the guide than in the model")
        self._plan(recording.joint, guide)

    @classmethod
    def of(cls, joint: Joint, guide: Mapping[str, Site]) -> "Expectation":
        out = object.__new__(cls)
        out._plan(joint, guide)
        return out

    def _plan(self, joint: Joint, guide: Mapping[str, Site]) -> None:
        self.joint, self.guide = joint, dict(guide)
        if chains := sorted(guide.keys() & joint.chains.keys()):
            raise GuideError(f"the guide samples the chain {', '.join(chains)}; leave it out: its paths are summed out exactly")
        self.rest = [(names, plan) for names, plan in joint.components if not self._held(names)]
        self.terms: dict[str, Term] = {}
        for names, _ in joint.components:
            if held := self._held(names):
                if others := {d for n in names for d in joint.sites[n].dims if d in joint.inside} - held:
                    raise GuideError(
                        f"the guide samples {', '.join(sorted(held))} but not {', '.join(sorted(others))}, and factors join them; sample "
                        "all of them in the guide or none"
                    )
                self.terms |= {n: self._term(joint.sites[n]) for n in names}
        self.entropies = {n: self._term(s) for n, s in guide.items()}

    def _held(self, names: Sequence[str]) -> set[str]:
        return {str(d) for n in names for d in self.joint.sites[n].dims if d in self.guide}

    def _term(self, site: Site) -> Term:
        dims = [d for d in site.dims if d is not None]
        sites = tuple(d for d in dims if d in self.guide)
        wide = {p for n in sites for p in self.guide[n].dims if p is not None and p not in self.guide}
        dims += sorted(wide - set(dims))
        times = torch.Size([self.joint.sizes[p] for p in site.plates if p not in dims]).numel()
        return Term(sites, tuple(dims), times)

    def __call__(self, log_probs: Inputs, scales: Inputs, discrete: Discrete) -> Tensor:
        total: Any = 0.0
        for n in self.joint.plain:
            total = total + (log_probs[n] * scales[n]).sum()
        for names, plan in self.rest:
            total = total + plan.run([log_probs[n] for n in names]) * scales[names[0]].reshape(())
        for n, term in self.terms.items():
            total = total + self._mean(term, log_probs[n], self.joint.sites[n], discrete) * scales[n].reshape(())
        for n, term in self.entropies.items():
            log_q, scale = discrete[n]
            total = total - self._mean(term, log_q, self.guide[n], discrete) * scale.reshape(())
        return total

    def _mean(self, term: Term, factor: Tensor, site: Site, discrete: Discrete) -> Tensor:
        """The expectation of one factor, summed over its plates (); values of probability 0 count nothing."""
        product = align(squeeze(factor, site.dims), [d for d in site.dims if d is not None], term.dims)
        log_q: Any = 0.0
        for n in term.sites:
            own = self.guide[n].dims
            log_q = log_q + align(squeeze(discrete[n][0], own), [d for d in own if d is not None], term.dims)
        possible = log_q > -torch.inf
        weight = torch.where(possible, log_q, 0.0).exp()
        return torch.where(possible, weight * product, 0.0).sum() * term.times


class Estimate(NamedTuple):
    """One particle: its share of the bound (), nats, or that of every datum (rows,), and buffers as it leaves them."""

    value: Tensor
    buffers: Inputs


class Pair(Protocol):
    """A guide placed in a model.

    params    where learning starts: unconstrained, by name; buffers: those that are written while it learns
    noises    its noise inputs, by name; random: it draws other random numbers itself
    point     a point estimate, which has no importance weights
    trained   its modules run in training mode: draws are another pair's
    """

    params: dict[str, Tensor]
    noises: dict[str, Noise]
    random: bool
    point: bool
    trained: bool

    @property
    def buffers(self) -> dict[str, Tensor]: ...

    def elbo(self, noise: Inputs, inputs: Inputs) -> Estimate:
        """log p - log q of one particle."""

    def draw(self, noise: Inputs, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """-> a position (dim,), and its log weight (): log p - log q with every discrete site summed out."""


class OnPosition:
    """A FlatGuide: it needs no program. It moves in units of the start, about its centre."""

    def __init__(self, guide: FlatGuide, model: Model, start: Start):
        self.guide, self.model, self.point, self.start = guide, model, guide.point, start
        self.params = guide.initial(torch.zeros_like(start.centre))
        self.own = {f"noise:{i}": q for i, q in enumerate(guide.noise(len(start.centre), start.centre.dtype))}
        self.noises = {**self.own, **model.noises}
        self.random, self.trained, self.buffers = model.random, model.trained.trained, model.trained.buffers

    def _draw(self, noise: Inputs, inputs: Inputs) -> tuple[Tensor, Tensor]:
        params = {n: inputs[f"param:{n}"] for n in self.params}
        units, log_q = self.guide(params, [noise[n] for n in self.own])
        return self.start.centre + self.start.unit * units, log_q - self.start.unit.log().sum()

    def elbo(self, noise: Inputs, inputs: Inputs) -> Estimate:
        position, log_q = self._draw(noise, inputs)
        inputs = {**inputs, **noise}
        if self.point:
            factors = self.model.factors(self.model.constrain(position, inputs), inputs)
        else:
            factors = self.model.factors_at(position, inputs)
        return Estimate(factors.log_joint() - log_q, factors.buffers)

    def draw(self, noise: Inputs, inputs: Inputs) -> tuple[Tensor, Tensor]:
        position, log_q = self._draw(noise, inputs)
        return position, self.model.density(position, inputs) - log_q


class Run:
    """A guide program or a bound, by its graph or by running it."""

    def __init__(self, companion: Companion, graph: RecordedGuide | None):
        self.companion, self.graph = companion, graph
        self.params, self.trained = dict(companion.params), companion.program.trained
        self.noises = dict(graph.noises) if graph is not None else {}
        self.random = graph is None or graph.random

    @property
    def buffers(self) -> dict[str, Tensor]:
        return self.companion.buffers

    def _draw(self, noise: Inputs, inputs: Inputs) -> Drawn:
        if self.graph is not None:
            return self.graph(noise, inputs)
        c = self.companion
        params = {n: p if isinstance(p, torch.nn.Parameter) else inputs[f"param:{n}"] for n, p in c.params.items()}
        rows = {n: inputs[f"rows:{n}"] for n in c.program.rows}
        buffers = {n: inputs[f"buffer:{n}"] for n in c.buffers}
        return c.replayed({n: t for n, t in noise.items() if not n.startswith(MODEL)}, params, rows, buffers)


class OnFactors(Run):
    """A family's own bound, which needs no model."""

    point = False

    def elbo(self, noise: Inputs, inputs: Inputs) -> Estimate:
        drawn = self._draw(noise, inputs)
        return Estimate(drawn.log_q, drawn.buffers)

    def draw(self, noise: Inputs, inputs: Inputs) -> tuple[Tensor, Tensor]:
        raise GuideError("a bound draws nothing; draws come from the guide")


class OnSites(Run):
    """A guide program in a model, which runs after it: what both write to buffers is the model's."""

    def __init__(self, guide: GuideProgram, graph: RecordedGuide | None, model: Model):
        super().__init__(guide, graph)
        self.model, self.point = model, guide.point
        self.noises |= model.noises
        self.random, self.trained = self.random or model.random, self.trained or model.trained.trained

    @property
    def buffers(self) -> dict[str, Tensor]:
        return {**self.companion.buffers, **self.model.trained.buffers}

    def elbo(self, noise: Inputs, inputs: Inputs) -> Estimate:
        drawn = self._draw(noise, inputs)
        inputs = {**inputs, **noise, **{f"buffer:{n}": b for n, b in drawn.buffers.items()}}
        factors = self.model.factors(drawn.values, inputs)
        return Estimate(factors.log_joint(drawn.discrete) - drawn.log_q, {**drawn.buffers, **factors.buffers})

    def draw(self, noise: Inputs, inputs: Inputs) -> tuple[Tensor, Tensor]:
        drawn = self._draw(noise, inputs)
        position = self.model.unconstrain(drawn.values, inputs)
        return position, self.model.joint(drawn.values, inputs) - drawn.log_q
