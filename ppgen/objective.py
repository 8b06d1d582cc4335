"""The reading of variational inference: the negative evidence lower bound and its gradient as one graph.

    ELBO = E_q[log p(x, z) - log q(z)], enumerated sites summed out exactly; or a family's own estimate of it, its `bound`

The guide's noise is an input of the graph, and so are rows and parameters.
Sources: Hoffman et al., JMLR 14, 2013; Kingma & Welling, ICLR 2014; Kucukelbir et al., JMLR 18, 2017.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import vmap

from .batches import Batches
from .bounds import OnPosition, Pair, Unread, inputs_of
from .errors import RecordingError
from .guides import FlatGuide
from .keys import Key
from .lowering import NO_BATCHING_RULE, Lowering, Run, choose, lower, over_batch
from .mode import Start
from .pairing import Pairing, subsampled
from .preconditioning import PlacedGuide
from .program import Program
from .recording import difference
from .simplify import simplify
from .straightline import Graph, collector_paused, cut
from .supply import Inputs, Supply, first_fault
from .tape import Tape
from .targets import POINTS, LogDensity, digest
from .training import Training

__all__ = ["Evaluated", "Inputs", "Objective"]

CHECKED = 8  # particles, at most, that a recording is checked at
CHUNK = 2**25  # elements of the largest factor that one batch of draws may hold

Particle = Callable[..., Any]


class Evaluated(NamedTuple):
    """Of one step: the loss (), nats, its gradient by name, and buffers as the step leaves them: the mean over particles, each of
    which begins with those that there were."""

    loss: Tensor
    gradient: dict[str, Tensor]
    buffers: dict[str, Tensor]


class Objective:
    """Negative ELBO and its gradient by the parameters, mean over particles.

    guide    a FlatGuide, or a program over the model's sites; None is the family's own
    kind     elbo; or iwae, the bound of `num_particles` importance samples, of each datum where all sites are in the data plate, else
             of all data at once; its gradient is the plain one, by everything
    by_values  of an ELBO: the gradient of log q is that by the values drawn, where it can be (bounds.py); else by the parameters too
    weighted  beta, an input of each step, weighs the divergence: log prior - log q; what is not 1 is no bound on the evidence
    bound    the family's own `bound` in place of the ELBO of one draw; nothing is then read of the model, and there are no draws
    params   the trainable parameters (unconstrained) by name, of the model and of the guide: where learning starts
    buffers  those that modules write while they learn, at the start; learning: modules run otherwise than later: draws are to be
             taken from another objective
    density  the model's LogDensity; evaluations counts gradients, one per particle

    Checked before it is used: loss and gradient at moved parameters, other rows and other noise agree with Pyro itself.
    Raises GuideError, RecordingError, EliminationError, and what Program raises.
    """

    @collector_paused()
    def __init__(
        self,
        program: Program,
        guide: FlatGuide | Callable[..., Any] | None,
        *,
        key: Key,
        num_particles: int = 1,
        batch_size: int | None = None,
        dtype: torch.dtype | None = None,
        lowering: str = "auto",
        start: Start | None = None,
        bound: bool = False,
        training: Training | None = None,
        buffers: Mapping[str, Tensor] | None = None,
        kind: str = "elbo",
        weighted: bool = False,
        by_values: bool = True,
        drawing: bool = False,
        batches: Batches | None = None,
    ):
        """start: where a FlatGuide begins and its units, of which its parameters are numbers; None finds them. training: how modules run
        while they learn; None where nothing does. buffers: of the guide, where it is a module that has learned them. drawing: nothing is
        learned, so that draws are compared with Pyro in place of loss and gradient. batches: whose first one the program is given,
        streamed."""
        self.batches, self.streamed = batches, frozenset[str]() if batches is None else batches.names
        self.full, self.num_particles, self.asked = program, num_particles, lowering
        self.program = program if batch_size is None else program.minibatch(batch_size)
        self.evaluations, self.training, self.kind, self.weighted, self.bounded = 0, training, kind, weighted, bound
        self.density: LogDensity | Unread
        if bound:
            self.density = Unread(self.program, dtype or program.dtype, lowering)
        else:
            points = 1 if drawing else POINTS
            self.density = LogDensity(self.program, dtype=dtype or program.dtype, lowering=lowering, compiled=False, points=points)
        self.dtype, self.device, self.seconds = self.density.dtype, self.density.device, self.density.seconds
        self.lowering = self.density.lowering
        pairing = Pairing(
            self.density,
            guide,
            importance=kind == "iwae",
            by_values=by_values and kind == "elbo",
            key=key,
            start=start,
            training=training,
            buffers=buffers or {},
            streamed=self.streamed,
        )
        self.start, self.datum, pair = pairing.start, pairing.datum, pairing.pair
        if self.lowering.name != "eager":
            try:
                begin = time.perf_counter()
                self.pair = pair(True)
                self.seconds["record"] += time.perf_counter() - begin
                self._prepare()
                self._check_draw(pair(False), key) if drawing else self._check(pair(False), key)
            except RecordingError as error:
                if lowering != "auto":
                    raise
                self.lowering = Lowering("eager", f"cannot be recorded: {error}")
        if self.lowering.name == "eager":
            self.pair = pair(False)
            self._prepare()

    @property
    def meaning(self) -> str:
        """What the losses are."""
        if self.bounded:
            return "negative bound of the family's own, nats"
        if self.kind == "iwae":
            of = "each datum, summed" if self.datum is not None else "all data at once"
            return f"negative bound of {self.num_particles} importance samples for {of}, nats"
        return "negative ELBO with its divergence weighed by beta, nats" if self.weighted else "negative ELBO, nats"

    def _prepare(self) -> None:
        """Parameters at the start: the guide's, and those of the model that its density depends on."""
        recording = self.density.recording
        used = None if recording is None or self.lowering.name == "eager" else set(recording.others)
        model = {n: p for n, p in self.program.params.items() if used is None or f"param:{n}" in used}
        self.leaves = {n: p for n, p in {**model, **self.pair.params}.items() if p.is_floating_point()}
        self.params = {n: self._typed(p).clone() for n, p in self.leaves.items()}
        self.buffers = {n: self._typed(b).clone() for n, b in self.pair.buffers.items()}
        self._compiled: dict[int, tuple[Graph, Run]] = {}  # by the number of particles
        self.supply = Supply(self.program, self.full, self.pair.noises, self.pair.random, self.device, self.batches, self._typed)

    def _typed(self, t: Tensor) -> Tensor:
        """In the dtype of the computation, where it was in the program's own."""
        return t.detach().to(self.dtype) if t.dtype == self.program.dtype else t.detach()

    # Inputs of one step

    def inputs(self, key: Key, beta: float = 1.0) -> Inputs:
        """What the step sees that is the key's draw."""
        return self.supply.inputs(key, self.num_particles, beta)

    def _beta(self, inputs: Inputs) -> dict[str, Tensor]:
        return {"beta": torch.tensor(inputs.beta, dtype=self.dtype, device=self.device)} if self.weighted else {}

    # Loss

    def value_and_grad(self, params: Mapping[str, Tensor], inputs: Inputs) -> tuple[Tensor, dict[str, Tensor]]:
        """-> loss (), nats, and its gradient by name, with the buffers of the start."""
        loss, gradient, _ = self.evaluate(params, self.buffers, inputs)
        return loss, gradient

    def evaluate(self, params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], inputs: Inputs) -> Evaluated:
        self.evaluations += self.num_particles
        if self.lowering.name == "eager":
            return self._run(self.pair, params, buffers, inputs, self.num_particles)
        return self._evaluate(params, buffers, inputs, self.num_particles)

    def _evaluate(self, params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], inputs: Inputs, count: int) -> Evaluated:
        if count not in self._compiled:
            begin = time.perf_counter()
            self._compiled[count] = self._lowered(self._compile(params, buffers, inputs, count))
            self.seconds["compile"] += time.perf_counter() - begin
        graph, run = self._compiled[count]
        groups = (params, inputs.data, inputs.noise, inputs.rows, buffers, self._beta(inputs))
        fast = [t for group in groups for t in group.values()]
        if not graph.random:
            loss, *others = run(fast)
        else:
            with self._seeded(inputs.seed):
                loss, *others = run(fast)
        gradient, after = others[: len(params)], others[len(params) :]
        return Evaluated(loss, dict(zip(params, gradient, strict=True)), dict(zip(buffers, after, strict=True)))

    def _lowered(self, graph: Graph) -> tuple[Graph, Run]:
        data = list(self._constant.values())
        run, self.lowering = choose(self.asked, self.device, lambda name: lower(name, graph, self.dtype, self.asked).prepare(data))
        return graph, run

    @contextmanager
    def _seeded(self, seed: int) -> Iterator[None]:
        """torch's own random numbers begin there, and go on afterwards as if nothing had been."""
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield

    def _run(self, pair: Pair, params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], inputs: Inputs, count: int) -> Evaluated:
        """The same by Pyro itself, one particle after the other."""
        leaves = {}
        with torch.no_grad():
            for n, t in params.items():
                own = self.leaves[n]
                leaves[n] = own.copy_(t) if isinstance(own, torch.nn.Parameter) else t.detach().to(own.dtype).clone()
                leaves[n].requires_grad_()
        before = {n: b.to(pair.buffers[n].dtype) for n, b in buffers.items()}
        given = {**inputs.shown, **_prefixed("param:", leaves), **_prefixed("buffer:", before), **self._beta(inputs)}
        with torch.enable_grad(), self._seeded(inputs.seed):
            each = [pair.elbo({n: v[i] for n, v in inputs.noise.items()}, given) for i in range(count)]
            loss = self._loss(torch.stack([e.value for e in each]))
            after = {n: _mean(torch.stack([e.buffers[n].detach().to(b) for e in each])) for n, b in buffers.items()}
            return Evaluated(loss.detach(), _slopes(loss, leaves), after)

    def _loss(self, values: Tensor) -> Tensor:
        """Of particles (count,), or (count, rows) where each datum has weights of its own."""
        if self.kind == "elbo":
            return -values.mean()
        if self.datum is None:
            return math.log(len(values)) - values.logsumexp(0)
        scale = self.full.plates[self.datum].size / values.shape[1]  # that of a minibatch, outside of the logarithm
        return -scale * ((values / scale).logsumexp(0) - math.log(len(values))).sum()

    @cached_property
    def _data(self) -> dict[str, Tensor]:
        return {n: t for n, t in inputs_of(self.density).items() if n.startswith("data:")}

    @property
    def _constant(self) -> dict[str, Tensor]:
        """Data that are the same at every step."""
        return {n: t for n, t in self._data.items() if n not in self.streamed}

    def _compile(self, params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], inputs: Inputs, count: int) -> Graph:
        """Loss and gradient of all particles as one graph: vmap over the noise, then autograd over the batched one."""

        def batched(one: Particle) -> Particle:
            return vmap(one, randomness="different")

        def looped(one: Particle) -> Particle:
            def each(i: Tensor, *noise: Tensor) -> list[Tensor]:
                rows = [one(i[k], *[t[k] for t in noise]) for k in range(count)]
                return [torch.stack(r) for r in zip(*rows, strict=True)]

            return each

        if count == 1:
            return self._record_loss(params, buffers, inputs, count, looped)
        try:
            return self._record_loss(params, buffers, inputs, count, batched)
        except NO_BATCHING_RULE:
            return self._record_loss(params, buffers, inputs, count, looped)

    def _record_loss(
        self,
        params: Mapping[str, Tensor],
        buffers: Mapping[str, Tensor],
        inputs: Inputs,
        count: int,
        over_particles: Callable[[Particle], Particle],
    ) -> Graph:
        tape = Tape(differentiated=True, noise=torch.Generator(device=self.device).manual_seed(0))
        groups = {"data": self._constant, "param": params, "batch": inputs.data, "noise": inputs.noise, "rows": inputs.rows}
        groups |= {"buffer": buffers, "setting": self._beta(inputs)}
        copies = {kind: {n: t.detach().clone() for n, t in group.items()} for kind, group in groups.items()}
        given = [tape.input(t, f"{kind}/{n}") for kind, group in copies.items() for n, t in group.items()]
        with torch.enable_grad(), tape:
            leaves = {n: t.detach().requires_grad_() for n, t in copies["param"].items()}
            others = {**copies["data"], **copies["batch"], **copies["setting"], **_prefixed("param:", leaves)}
            others |= {**_prefixed("rows:", copies["rows"]), **_prefixed("buffer:", copies["buffer"])}

            def one(i: Tensor, *noise: Tensor) -> tuple[Tensor, ...]:
                value, after = self.pair.elbo(dict(zip(inputs.noise, noise, strict=True)), others)
                return value, *[after[n].detach().to(b) for n, b in buffers.items()]

            values, *after = over_particles(one)(torch.arange(count), *copies["noise"].values())
            loss = self._loss(values)
            outputs = [loss.detach(), *_slopes(loss, leaves).values(), *[_mean(b) for b in after]]
        return simplify(cut(tape, given, [tape.node(t) for t in outputs], slow=range(len(copies["data"]))))

    @property
    def _tolerances(self) -> tuple[float, float]:
        """Of values and of gradients."""
        if self.training is not None and self.training.autocast is not None:
            return 1e-2, 1e-1
        return (1e-9, 1e-6) if self.dtype == self.program.dtype == torch.float64 else (1e-4, 1e-3)

    def _check(self, eager: Pair, key: Key) -> None:
        """The graph at other parameters, rows and noise, against Pyro itself run there with that noise."""
        if self.pair.random and self.pair.noises:
            return  # its other numbers come in another order where the graph runs: nothing to compare one by one
        generator = torch.Generator().manual_seed(5)
        count = 1 if self.pair.random else self.num_particles
        few = count if count <= CHECKED else math.gcd(count, CHECKED)
        key = key.at(1)
        inputs = self.supply.inputs(key, few, beta=0.7)
        every = inputs._replace(noise={n: t.repeat(count // few, *[1] * (t.dim() - 1)) for n, t in inputs.noise.items()})
        moved = {n: t + 0.1 * torch.randn(t.shape, generator=generator).to(t) for n, t in self.params.items()}
        loss, gradient, after = self._evaluate(moved, self.buffers, every, count)
        begin = time.perf_counter()
        expected, slope, written = self._run(eager, moved, self.buffers, inputs, few)
        self._restore()
        tolerance, gradient_tolerance = self._tolerances
        if (gap := difference(loss, expected)) > tolerance:
            raise RecordingError(f"the recorded objective disagrees with the program by {gap:.2g} (relative)")
        for n, b in written.items():
            if (gap := difference(after[n], b)) > gradient_tolerance:
                raise RecordingError(f"the recorded objective leaves buffer {n!r} otherwise than the program, by {gap:.2g} (relative)")
        top = max((float(g.abs().max()) for g in slope.values() if g.numel()), default=0.0)
        for n, g in slope.items():
            gap = float((gradient[n] - g).abs().max()) / (1 + top) if g.numel() and math.isfinite(top) else 0.0
            if not gap <= gradient_tolerance:
                raise RecordingError(f"the recorded objective's gradient by {n!r} disagrees with the program by {gap:.2g} (relative)")
        self.seconds["check"] += time.perf_counter() - begin

    def _check_draw(self, eager: Pair, key: Key) -> None:
        """One draw and its weight, against Pyro itself with that noise."""
        if self.pair.random:
            return
        begin = time.perf_counter()
        step = self.supply.inputs(key, 1)
        inputs = {**self._data, **step.shown, **_prefixed("param:", self.params)}
        noise = {n: t[0] for n, t in step.noise.items()}
        tolerance, _ = self._tolerances
        with torch.no_grad():
            for mine, own in zip(self.pair.draw(noise, inputs), eager.draw(noise, inputs), strict=True):
                if (gap := difference(mine, own)) > tolerance:
                    raise RecordingError(f"recorded draws disagree with the program by {gap:.2g} (relative)")
        self.seconds["check"] += time.perf_counter() - begin

    def _restore(self) -> None:
        with torch.no_grad():
            for n, p in self.leaves.items():
                p.copy_(self.params[n])

    def fault(self, params: Mapping[str, Tensor], buffers: Mapping[str, Tensor], inputs: Inputs) -> str:
        """What is not finite at a step whose loss is not: a parameter, or a site and rows of the data."""
        if wrong := next((n for n, p in params.items() if not p.isfinite().all()), None):
            return f"parameter {wrong!r} is not finite"
        given = {**self._data, **inputs.shown, **_prefixed("param:", params), **_prefixed("buffer:", buffers)}
        with torch.no_grad(), self._seeded(inputs.seed):
            for i in range(self.num_particles):
                terms = self.pair.terms({n: v[i] for n, v in inputs.noise.items()}, given)
                if found := first_fault(terms, self.program.data_plate, inputs):
                    return found
        return "each site's density is finite, but not their sum"

    # After learning

    def placed(self, params: Mapping[str, Tensor]) -> PlacedGuide | None:
        """The guide at parameters, where it is a distribution over the flat position."""
        if not isinstance(self.pair, OnPosition):
            return None
        return PlacedGuide(self.pair.guide, self.pair.start, {n: params[n] for n in self.pair.params})

    def draws(self, params: Mapping[str, Tensor], key: Key, count: int) -> tuple[Tensor, Tensor | None]:
        """`count` independent draws from the guide: position (count, dim) and log p - log q (count,), nats, all rows in.

        The weights are None for a point estimate, and where sites belong to rows of which the program shows but some.
        """
        sizes = [math.prod(getattr(s.log_prob, "shape", ())) for s in self.program.sites.values()]
        size = max(1, CHUNK // max([1, *sizes]))
        parts = [self._some_draws(params, key, start, min(start + size, count), count) for start in range(0, count, size)]
        position, weights = torch.cat([p for p, _ in parts]), torch.cat([w for _, w in parts])
        return position, None if self._weightless else weights

    @property
    def _weightless(self) -> bool:
        some = subsampled(self.program)
        return self.pair.point or any(s.continuous and some & set(s.plates) for s in self.program.latent)

    def _some_draws(self, params: Mapping[str, Tensor], key: Key, start: int, stop: int, count: int) -> tuple[Tensor, Tensor]:
        """Draws start..stop of `count`, whose weights are the mean over sets of rows that hold every row equally often."""
        noise = {n: t[start:stop] for n, t in self.supply.noise(key, count).items()}
        total, sets = torch.zeros(()), 0
        for shown in itertools.islice(self.supply.every(), 1 if self._weightless else None):
            inputs = {**self._data, **shown, **_prefixed("param:", params)}
            with torch.no_grad(), self._seeded(self.supply.seed(key) + start):
                position, weight = self._placed(noise, inputs, stop - start)
            total, sets = total + weight, sets + 1
        return position, total / sets

    def _placed(self, noise: Mapping[str, Tensor], inputs: Mapping[str, Tensor], count: int) -> tuple[Tensor, Tensor]:
        if self.lowering.name == "eager":
            each = [self.pair.draw({n: t[i] for n, t in noise.items()}, inputs) for i in range(count)]
            return torch.stack([p for p, _ in each]), torch.stack([w for _, w in each])
        one = lambda i, *numbers: self.pair.draw(dict(zip(noise, numbers, strict=True)), inputs)  # noqa: E731
        position, weight = over_batch(one, [torch.arange(count), *noise.values()], count)
        return position, weight

    @property
    def fingerprint(self) -> str:
        """Of the graph with its constants, the data and the parameters at the start."""
        graphs = [graph for graph, _ in self._compiled.values()]
        text = "\n".join([self.density.fingerprint, *[g.text() for g in graphs]])
        return digest(text, [*self._data.values(), *self.params.values(), *[t for g in graphs for t in g.constants()]])


def _slopes(loss: Tensor, leaves: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The loss's gradient by each leaf; 0 for those on which it does not depend."""
    found: Any = [None] * len(leaves)
    if loss.requires_grad:
        found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
    return {n: torch.zeros_like(t) if g is None else g for (n, t), g in zip(leaves.items(), found, strict=True)}


def _mean(particles: Tensor) -> Tensor:
    """Over particles; of whole numbers those of the first."""
    return particles.mean(0) if particles.is_floating_point() else particles[0]


def _prefixed(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {prefix + n: t for n, t in tensors.items()}
