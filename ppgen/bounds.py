"""One particle of the evidence lower bound: a guide's values placed in a model.

A model gives its log joint density at values or at a position, by its graphs (`RecordedModel`) or by running Pyro
(`EagerModel`); a pair (`OnSites`, `OnPosition`) puts a guide on top. Inputs are tensors by name: data:*, param:*, rows:*.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from .elimination import align, squeeze
from .errors import GuideError, RecordingError
from .guides import Companion, Drawn, FlatGuide, GuideProgram, Noise, RecordedGuide, scale_of
from .lowering import WHY, Lowering, check_lowering
from .mode import Start
from .program import FromValues, Program
from .recording import Joint, Recording, device_of, read_eagerly, support_of
from .sites import Site
from .targets import LogDensity

__all__ = ["EagerModel", "Model", "OnFactors", "OnPosition", "OnSites", "Pair", "RecordedModel", "Unread", "inputs_of", "model_of"]

Inputs = Mapping[str, Tensor]
Discrete = Mapping[str, tuple[Tensor, Tensor]]
NONE: Discrete = MappingProxyType({})


class Model(Protocol):
    """What a pair asks of a model."""

    def density(self, position: Tensor, inputs: Inputs) -> Tensor:
        """(dim,) -> log density of the unconstrained position (), nats; enumerated sites summed out."""

    def joint(self, values: Inputs, inputs: Inputs, discrete: Discrete = NONE) -> Tensor:
        """Log joint density at constrained values (), nats. Discrete sites are summed out, except those whose probabilities
        are given: of these the expectation, with their entropy."""

    def likelihood(self, values: Inputs, inputs: Inputs) -> Tensor:
        """The log joint less the log prior of the continuous latent sites, discrete sites summed out of both."""

    def constrain(self, position: Tensor, inputs: Inputs) -> dict[str, Tensor]: ...

    def unconstrain(self, values: Inputs, inputs: Inputs) -> Tensor: ...


class RecordedModel:
    """The recorded model. guide: the discrete sites of a guide's run, to which it gives probabilities."""

    def __init__(self, density: LogDensity, guide: Mapping[str, Site] | None = None):
        recording: Recording | None = density.recording
        if recording is None:
            raise RecordingError(density.lowering.reason)
        self.recording, self.names = recording, list(recording.sites)
        self.sites = [s.name for s in density.sites]
        self.graphs = {w: getattr(recording, f"{w}_graph")(density.dtype) for w in ("density", "values", "constrain", "unconstrain")}
        self.fixed = {f"param:{n}": p.detach() for n, p in density.program.params.items() if not p.is_floating_point()}
        self.expectation = Expectation(recording, guide) if guide else None

    def _run(self, which: str, given: Sequence[Tensor], inputs: Inputs) -> tuple[Tensor, ...]:
        others = [inputs[n] if n in inputs else self.fixed[n] for n in self.recording.others]
        return self.graphs[which](*given, *others)

    def _split(self, outputs: Sequence[Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        n = len(self.names)
        return dict(zip(self.names, outputs[:n], strict=True)), dict(zip(self.names, outputs[n : 2 * n], strict=True))

    def density(self, position: Tensor, inputs: Inputs) -> Tensor:
        outputs = self._run("density", [position], inputs)
        return sum(outputs[2 * len(self.names) :], self.recording.joint(*self._split(outputs)))

    def _factors(self, values: Inputs, inputs: Inputs) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        return self._split(self._run("values", [values[n] for n in self.sites], inputs))

    def likelihood(self, values: Inputs, inputs: Inputs) -> Tensor:
        factors, joint = self._factors(values, inputs), self.recording.joint
        return joint(*factors) - _prior(joint)(*factors)

    def joint(self, values: Inputs, inputs: Inputs, discrete: Discrete = NONE) -> Tensor:
        log_probs, scales = self._factors(values, inputs)
        if discrete and self.expectation is not None:
            return self.expectation(log_probs, scales, discrete)
        return self.recording.joint(log_probs, scales)

    def constrain(self, position: Tensor, inputs: Inputs) -> dict[str, Tensor]:
        return dict(zip(self.sites, self._run("constrain", [position], inputs), strict=True))

    def unconstrain(self, values: Inputs, inputs: Inputs) -> Tensor:
        parts = self._run("unconstrain", [values[n] for n in self.sites], inputs)
        return torch.cat(parts) if parts else torch.zeros(0)


class EagerModel:
    """Pyro itself: for programs that cannot be recorded, and what a recording is checked against.

    Parameters that are a module's are read from the module; others, and rows, from the inputs.
    """

    def __init__(self, density: LogDensity, guide: Mapping[str, Site] | None = None):
        self.target, self.program = density, density.program
        self.expected = dict(guide or {})

    def _settings(self, inputs: Inputs) -> dict[str, Any]:
        own: Program = self.program
        params = {n: inputs.get(f"param:{n}", p) for n, p in own.params.items()}
        params |= {n: p for n, p in own.params.items() if isinstance(p, torch.nn.Parameter)}
        return {"params": params, "rows": {n: inputs[f"rows:{n}"] for n in own.rows}, "grad": torch.is_grad_enabled()}

    def density(self, position: Tensor, inputs: Inputs) -> Tensor:
        return read_eagerly(self.program, position, **self._settings(inputs))[0]

    def _factors(self, values: Inputs, inputs: Inputs) -> tuple[Joint, dict[str, Tensor], dict[str, Tensor]]:
        run = self.program.run(FromValues, values=values, enumerate_dim=-1 - self.program.nesting, **self._settings(inputs))
        joint = Joint(run.sites, {q.name: q.subsample_size for q in run.plates.values()})
        log_probs = {n: torch.as_tensor(s.log_prob) for n, s in run.sites.items()}
        return joint, log_probs, {n: scale_of(s) for n, s in run.sites.items()}

    def joint(self, values: Inputs, inputs: Inputs, discrete: Discrete = NONE) -> Tensor:
        joint, log_probs, scales = self._factors(values, inputs)
        if discrete:
            return Expectation.of(joint, self.expected)(log_probs, scales, discrete)
        return joint(log_probs, scales)

    def likelihood(self, values: Inputs, inputs: Inputs) -> Tensor:
        joint, log_probs, scales = self._factors(values, inputs)
        return joint(log_probs, scales) - _prior(joint)(log_probs, scales)

    def constrain(self, position: Tensor, inputs: Inputs) -> dict[str, Tensor]:
        run = read_eagerly(self.program, position, **self._settings(inputs))[1]
        return {s.name: s.value for s in run.sites.values() if s.continuous}

    def unconstrain(self, values: Inputs, inputs: Inputs) -> Tensor:
        return self.target.unconstrain(values)


def _prior(joint: Joint) -> Joint:
    """The latent sites alone."""
    return Joint({n: s for n, s in joint.sites.items() if s.kind == "latent"}, joint.sizes)


def model_of(density: LogDensity) -> Model:
    return RecordedModel(density) if density.recording is not None else EagerModel(density)


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


class Pair(Protocol):
    """A guide placed in a model.

    params   where learning starts: unconstrained, by name
    noises   its noise inputs, by name; random: it draws other random numbers itself
    point    a point estimate, which has no importance weights
    """

    params: dict[str, Tensor]
    noises: dict[str, Noise]
    random: bool
    point: bool

    def elbo(self, noise: Inputs, inputs: Inputs) -> Tensor:
        """log p - log q of one particle (), nats."""

    def draw(self, noise: Inputs, inputs: Inputs) -> tuple[Tensor, Tensor]:
        """-> a position (dim,), and its log weight (): log p - log q with every discrete site summed out."""


class OnPosition:
    """A FlatGuide: it needs no program. It moves in units of the start, about its centre."""

    random = False

    def __init__(self, guide: FlatGuide, model: Model, start: Start):
        self.guide, self.model, self.point, self.start = guide, model, guide.point, start
        self.params = guide.initial(torch.zeros_like(start.centre))
        self.noises = {f"noise:{i}": q for i, q in enumerate(guide.noise(len(start.centre), start.centre.dtype))}

    def _draw(self, noise: Inputs, inputs: Inputs) -> tuple[Tensor, Tensor]:
        params = {n: inputs[f"param:{n}"] for n in self.params}
        units, log_q = self.guide(params, [noise[n] for n in self.noises])
        return self.start.centre + self.start.unit * units, log_q - self.start.unit.log().sum()

    def elbo(self, noise: Inputs, inputs: Inputs) -> Tensor:
        position, log_q = self._draw(noise, inputs)
        if self.point:
            return self.model.joint(self.model.constrain(position, inputs), inputs) - log_q
        return self.model.density(position, inputs) - log_q

    def draw(self, noise: Inputs, inputs: Inputs) -> tuple[Tensor, Tensor]:
        position, log_q = self._draw(noise, inputs)
        return position, self.model.density(position, inputs) - log_q


class Run:
    """A guide program or a bound, by its graph or by running it."""

    def __init__(self, companion: Companion, graph: RecordedGuide | None):
        self.companion, self.graph = companion, graph
        self.params = dict(companion.params)
        self.noises = graph.noises if graph is not None else {}
        self.random = graph is None or graph.random

    def _draw(self, noise: Inputs, inputs: Inputs) -> Drawn:
        if self.graph is not None:
            return self.graph(noise, inputs)
        c = self.companion
        params = {n: p if isinstance(p, torch.nn.Parameter) else inputs[f"param:{n}"] for n, p in c.params.items()}
        rows = {n: inputs[f"rows:{n}"] for n in c.program.rows}
        return c.replayed(noise, params, rows)


class OnFactors(Run):
    """A family's own bound, which needs no model."""

    point = False

    def elbo(self, noise: Inputs, inputs: Inputs) -> Tensor:
        return self._draw(noise, inputs).log_q

    def draw(self, noise: Inputs, inputs: Inputs) -> tuple[Tensor, Tensor]:
        raise GuideError("a bound draws nothing; draws come from the guide")


class OnSites(Run):
    """A guide program in a model."""

    def __init__(self, guide: GuideProgram, graph: RecordedGuide | None, model: Model):
        super().__init__(guide, graph)
        self.model, self.point = model, guide.point

    def elbo(self, noise: Inputs, inputs: Inputs) -> Tensor:
        drawn = self._draw(noise, inputs)
        return self.model.joint(drawn.values, inputs, drawn.discrete) - drawn.log_q

    def draw(self, noise: Inputs, inputs: Inputs) -> tuple[Tensor, Tensor]:
        drawn = self._draw(noise, inputs)
        position = self.model.unconstrain(drawn.values, inputs)
        return position, self.model.joint(drawn.values, inputs) - drawn.log_q
