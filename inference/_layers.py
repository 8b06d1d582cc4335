"""Discrete elements of two values drawn a layer at a time: all those at once that do not meet.

Where the log density f is affine in the value z of every element, as energies of spins and of units that are on or off are, the log odds
of an element given all others are (high - low) df/dz, and one gradient has them for all elements. Elements whose mixed second
derivative is zero are independent given the others. Both are found from the recorded program, not declared: which elements meet by
second derivatives at points anywhere, with parameters anywhere; that f is affine in a layer by comparing it where a layer changes.
Layers are a colouring of the graph of those that meet: two for a restricted Boltzmann machine, or a lattice of even sides.

Cost: a gradient for each layer, of all chains at once.
Source: Besag, JRSS-B 36(2), 1974 (codings).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.func import grad, jacrev, vmap

from ..engine import Advance, Block, Interrupt
from ..errors import PpgenError
from ..holding import Holding
from ..keys import Key, nth
from ..lowering import Run, choose, lower
from ..readings import RecordedReading
from ..simplify import simplify
from ..straightline import Graph, cut
from ..tape import Tape
from ..targets import LogDensity

__all__ = ["Layers", "advance_in_layers", "drawn", "layers_of"]

LAYER = 12  # stream of the key
MOST = 2048  # elements, of which all pairs are looked at
POINTS = 2  # at which second derivatives are taken
CHECKS = 4  # changes of each layer, by which it is seen that the density is affine in it


class Layers:
    """How the elements of a program without continuous sites are drawn.

    layers     elements of each; low, high: (elements,) their two values
    """

    def __init__(self, reading: RecordedReading, holding: Holding, layers: Sequence[Tensor], low: Tensor, high: Tensor):
        self.reading, self.holding, self.layers, self.low, self.high = reading, holding, layers, low, high
        order = torch.cat(list(layers))
        self._back = None if torch.equal(order, torch.arange(len(order)).to(order)) else order.argsort()

    def values(self, held: Tensor) -> Tensor:
        """(chains, elements), whole numbers to values."""
        return torch.where(held.to(self.low.device) > 0, self.high, self.low)

    def held(self, values: Tensor) -> Tensor:
        """And back."""
        return (values == self.high).long()

    def sweep(self, values: Tensor, uniforms: Tensor, others: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Values after a sweep, and their log density (chains,)."""
        whole = self.swept(values, uniforms, others)
        return whole, self.log_density(whole, others)

    def swept(self, values: Tensor, uniforms: Tensor, others: Sequence[Tensor], inverse: Tensor | float = 1.0) -> Tensor:
        """Each layer once, all chains, each at its inverse temperature (chains, 1): values (chains, elements). A function of torch, to
        be recorded."""
        pieces = [values[:, _slice(c)] for c in self.layers]
        for i, c in enumerate(self.layers):
            pieces[i] = leaf = pieces[i].detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.log_density(self._whole(pieces), others).sum(), leaf)
            span, low = (self.high - self.low)[c], self.low[c]
            pieces[i] = low + span * (uniforms[:, _slice(c)] < (inverse * span * slope).sigmoid())
        return self._whole(pieces).detach()

    def log_density(self, values: Tensor, others: Sequence[Tensor]) -> Tensor:
        """(chains, elements) -> (chains,)"""
        found: Tensor = vmap(lambda row: log_density(self.reading, self.holding, row, others))(values)
        return found

    def _whole(self, pieces: Sequence[Tensor]) -> Tensor:
        joined = torch.cat(list(pieces), 1)
        return joined if self._back is None else joined[:, self._back]

    def graph(self, chains: int, others: Mapping[str, Tensor], slow: bool) -> Graph:
        """The sweep of so many chains as a graph of (others; values, uniforms); slow: others are prepared once."""
        tape = Tape(differentiated=True)
        copies = [t.detach().clone() for t in others.values()]
        values = self.low.expand(chains, -1).clone()
        uniforms = torch.full_like(values, 0.5)
        given = [tape.input(t, n) for n, t in zip((*others, "values", "uniforms"), (*copies, values, uniforms), strict=True)]
        with torch.enable_grad(), tape:
            outputs = [t.detach() for t in self.sweep(values, uniforms, copies)]
        return simplify(cut(tape, given, [tape.node(t) for t in outputs], slow=range(len(copies) if slow else 0)))


def drawn(
    run: Callable[[Sequence[Tensor]], Sequence[Tensor]], given: Sequence[Tensor], values: Tensor, key: Key, sweeps: int
) -> Sequence[Tensor]:
    """After some sweeps by a graph that runs: values, log density."""
    out: Sequence[Tensor] = (values,)
    for s in range(sweeps):
        uniforms = key.uniform(nth(LAYER, s), values.shape).to(values)
        out = run([*given, out[0], uniforms])
    return out


def advance_in_layers(density: LogDensity, layers: Layers, sweeps: int, stop: Interrupt) -> Advance:
    """The block of an engine whose state has `held` and `log_density`: so many sweeps a draw, of all chains at once."""
    others = dict(zip(layers.reading.recording.others, layers.reading._others, strict=True))
    runs: dict[int, Run] = {}  # by the number of chains

    def advance(target: Any, state: Any, tuning: Any, key: Key, count: int, adapting: bool) -> Block:
        chains = len(key.chains)
        if chains not in runs:
            begin = time.perf_counter()
            graph = layers.graph(chains, others, slow=True)
            build = lambda name: lower(name, graph, density.dtype, density.asked).prepare(list(others.values()))  # noqa: E731
            runs[chains], density.lowering = choose(density.asked, density.device, build)
            density.seconds["compile"] += time.perf_counter() - begin
        values, draws, values_of = layers.values(state.held), [], []
        for i in range(count):
            values, log_density_ = drawn(runs[chains], [], values, key.at(key.draw + i), sweeps)
            draws.append(layers.held(values).cpu())
            values_of.append(log_density_.to("cpu", torch.float64))
            if stop:
                break
        density.evaluations += chains * len(draws) * sweeps * len(layers.layers)
        state = state._replace(held=draws[-1], log_density=values_of[-1])
        none = state.position.new_zeros(chains, len(draws), 0).to(density.dtype)
        return Block(state, tuning, {"position": none, "held": torch.stack(draws, 1)}, {"lp": torch.stack(values_of, 1)}, len(draws), False)

    return advance


def layers_of(reading: RecordedReading, holding: Holding, names: Sequence[str], most: int) -> Layers | None:
    """At most so many layers; None where there are more, or the density is not of that kind. names: of the inputs that reading's graph
    takes besides, of which those of parameters are taken anywhere."""
    sites = list(holding.sites.values())
    if not 0 < holding.elements <= MOST or any(s.size != 2 or s.event or not s.dtype.is_floating_point for s in sites):
        return None
    generator = torch.Generator().manual_seed(7)
    device = reading._others[0].device if reading._others else torch.device("cpu")
    others = [_anywhere(t, n, generator) for n, t in zip(names, reading._others, strict=True)]
    ends = [torch.cat([s.values[i].expand(s.slice.stop - s.slice.start) for s in sites]).to(device, reading.dtype) for i in (0, 1)]  # type: ignore[index]

    def f(row: Tensor) -> Tensor:
        return log_density(reading, holding, row, others)

    try:
        meets = torch.zeros(holding.elements, holding.elements, dtype=torch.bool, device=device)
        for _ in range(POINTS):
            point = ends[0] + (ends[1] - ends[0]) * torch.rand(ends[0].shape, generator=generator).to(ends[0])
            meets |= jacrev(grad(f))(point) != 0
    except (RuntimeError, NotImplementedError, PpgenError):  # what has no slope by an element: its value is an index, say
        return None
    if meets.diagonal().any():
        return None
    found = _coloured(meets | meets.mT)
    if len(found) > most or not _affine(f, found, ends, generator):
        return None
    return Layers(reading, holding, [c.to(device) for c in found], *ends)


def log_density(reading: RecordedReading, holding: Holding, row: Tensor, others: Sequence[Tensor]) -> Tensor:
    """Of values of all elements, (elements,) -> ()."""
    recording = reading.recording
    given = [row[holding.sites[n].slice].reshape(recording.marks[n].value.shape) for n in recording.given]
    outputs = reading._graph("values")(*given, *others)
    names, n = list(reading.sites), len(reading.sites)
    return reading.joint(dict(zip(names, outputs[:n], strict=True)), dict(zip(names, outputs[n : 2 * n], strict=True))).to(reading.dtype)


def _anywhere(t: Tensor, name: str, generator: torch.Generator) -> Tensor:
    if not name.startswith("param:") or not t.is_floating_point():
        return t
    return t + 0.3 * torch.randn(t.shape, generator=generator).to(t)


def _coloured(meets: Tensor) -> list[Tensor]:
    """Each element in turn joins the first layer with none that it meets."""
    met, colour = meets.cpu().numpy(), np.zeros(len(meets), np.int64)
    for i in range(1, len(met)):
        taken = np.unique(colour[:i][met[i, :i]])
        free = np.flatnonzero(taken != np.arange(len(taken)))  # where the colours that are taken have their first gap
        colour[i] = free[0] if len(free) else len(taken)
    return [torch.from_numpy(np.flatnonzero(colour == c)) for c in range(int(colour.max()) + 1)]


def _affine(f: Callable[[Tensor], Tensor], layers: Sequence[Tensor], ends: Sequence[Tensor], generator: torch.Generator) -> bool:
    """Whether a layer's change changes f by the slope times the change."""
    low, high = ends
    tolerance = 1e-9 if low.dtype == torch.float64 else 1e-4
    slope = grad(f)
    for _ in range(CHECKS):
        a, b = (torch.where((torch.rand(low.shape, generator=generator) < 0.5).to(low.device), low, high) for _ in range(2))
        for layer in layers:
            c = a.clone()
            c[layer] = b[layer]
            here, there, expected = f(a), f(c), (slope(a) * (c - a)).sum()
            if not (there - here - expected).abs() <= tolerance * (1 + here.abs() + there.abs() + expected.abs()):
                return False
    return True


def _slice(places: Tensor) -> slice | Tensor:
    """Places that follow each other as a slice, which moves nothing."""
    first = int(places[0])
    return slice(first, first + len(places)) if torch.equal(places, torch.arange(first, first + len(places)).to(places)) else places
