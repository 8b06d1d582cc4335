"""A model's log joint density site by site: by its graphs (`RecordedModel`) or by running Pyro (`EagerModel`).

Inputs are tensors by name: data:*, param:*, rows:*, buffer:*, and noise of modules in training, model.noise:*.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from types import MappingProxyType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .expectation import Discrete, Expectation
from .guides import Noise, Replay, noise_of, scale_of
from .program import Evaluation, FromPosition, FromValues, Program
from .recording import Joint, Recording, device_of
from .sites import Site
from .targets import LogDensity

__all__ = ["MODEL", "EagerModel", "Factors", "Model", "RecordedModel", "by_datum", "model_of"]

Inputs = Mapping[str, Tensor]
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

    def by_datum(self, plate: str) -> Tensor:
        """The log joint of each index of a plate that holds every site, none of them discrete."""
        return by_datum(
            {n: (f, self.scales[n]) for n, f in self.log_probs.items()}, {n: s.dims for n, s in self.joint.sites.items()}, plate
        )

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
            return own.run(source, leaves=own.leaves_with(inputs), **settings)

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


def by_datum(factors: Mapping[str, tuple[Tensor, Tensor]], dims: Mapping[str, Sequence[str | None]], plate: str) -> Tensor:
    """(log density, scale) of sites in a plate, summed over all of their other dimensions: (plate's size,)."""
    total: Any = 0.0
    for n, (log_prob, scale) in factors.items():
        if plate in dims[n]:
            others = [d for d, name in enumerate(dims[n]) if name != plate]
            total = total + ((log_prob * scale).sum(others) if others else log_prob * scale)
    return torch.as_tensor(total)


def model_of(density: LogDensity) -> Model:
    return RecordedModel(density.recording, density.dtype) if density.recording is not None else EagerModel(density)
