"""The reading of expectation-maximisation: the log evidence with the posterior probabilities of the discrete sites, and the
expected complete-data log density that they make, with its gradient and second derivatives.

    log p(x | theta)                                                    every discrete site summed out
    Q(theta; w) = sum over factors and cells of w log factor(theta)     w: posterior probability of the cell

The probability of a cell is the derivative of the log evidence by the cell's log factor, so whatever sums the discrete sites
out also gives the weights. theta is a flat point: unconstrained values of continuous sites, then of parameters. No Jacobian is
counted, so a maximum is one in constrained space.

Sources: Dempster, Laird & Rubin, JRSS-B 39(1), 1977; Darwiche, J. ACM 50(3), 2003 (probabilities as derivatives).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.func import vmap

from .bounds import inputs_of
from .conditionals import Conditionals
from .errors import EngineError
from .lowering import NO_BATCHING_RULE, Run, choose, lower
from .program import Program
from .simplify import simplify
from .straightline import Graph, above, cut
from .tape import Tape
from .targets import digest

if TYPE_CHECKING:
    from .recording import Recording

__all__ = ["Completion", "Expected", "Place"]


class Place(NamedTuple):
    """Where a continuous site or a parameter stands in the flat point. bounded: its unconstrained values are not the values."""

    name: str
    slice: slice
    shape: torch.Size
    bounded: bool


class Expected(NamedTuple):
    """Q at some points, nats."""

    value: Tensor  # (points,)
    gradient: Tensor  # (points, dim)
    products: Tensor  # (points, directions, dim): the matrix of second derivatives times each direction


class Completion:
    """Of a program at `points` flat points at once.

    priors   whether the factors of continuous latent sites count
    places   what a flat point of `dim` coordinates is made of
    density  the LogDensity of the same recording; free: which of its coordinates the point has

    A continuous site inside the data plate on which nothing else depends (a missing value) integrates to 1 and leaves. Raises
    EngineError for one that something depends on, for minibatches, and where there is nothing to maximise; and what LogDensity
    raises.
    """

    def __init__(self, program: Program, *, points: int, priors: bool, dtype: torch.dtype | None = None, lowering: str = "auto"):
        if lowering == "eager":
            raise EngineError("EM works on a recorded graph and has no eager form; leave lowering out, or use SVI(guide='delta')")
        if program.rows:
            raise EngineError(f"EM needs all rows at every step, and plate {', '.join(program.rows)} shows but some; use SVI")
        self.program, self.points, self.asked, self.evaluations = program, points, lowering, 0
        self._conditionals = Conditionals(program, dtype=dtype, lowering="recorded")
        self.density = self._conditionals.density
        self.dtype, self.device, self.seconds = self.density.dtype, self.density.device, self.density.seconds
        self.recording: Recording = self.density.recording  # type: ignore[assignment]  # asked for
        self.joint = self.recording.joint
        self.lowering = self.density.lowering
        begin = time.perf_counter()
        self.integrated = self._integrated()
        self.dropped = self.integrated | {n for n, s in self.recording.sites.items() if s.continuous and not priors}
        self._place()
        self.weighted = [n for names, _ in self.joint.components for n in names if n not in self.dropped]
        self._graph = _twice_differentiable(self.recording.density_graph(self.dtype))
        self._data = [inputs_of(self.density)[n] for n in self._fixed]
        self.seconds["record"] += time.perf_counter() - begin
        self._lower()

    # What is maximised over

    def _integrated(self) -> set[str]:
        """Continuous sites inside the data plate, which integrate to 1. Raises EngineError for others there."""
        program, outputs = self.program, self.recording.outputs
        local = [s.name for s in program.latent if s.continuous and program.data_plate in s.plates]
        for name in local:
            readers = [
                n for n, out in outputs.items() if n != name and any(node.mark == name for node in above([out.log_prob]))
            ]  # fmt: skip
            if readers:
                raise EngineError(
                    f"EM sums discrete sites out exactly; {name!r} is continuous and inside the data plate {program.data_plate!r}, and "
                    f"{readers[0]!r} depends on it. Use SVI or NUTS, or integrate it out by hand"
                )
        return set(local)

    def _place(self) -> None:
        rec, program = self.recording, self.program
        nodes = {id(n) for n in above([o.log_prob for o in rec.outputs.values()])}
        used = {n.removeprefix("param:") for n in rec.others if id(rec.tape.inputs[n]) in nodes and n.startswith("param:")}
        self.params = {n: p for n, p in program.params.items() if n in used and p.is_floating_point()}
        self._fixed = [n for n in rec.others if n.removeprefix("param:") not in self.params]
        places: list[Place] = []
        free: list[int] = []
        at = 0
        for site in self.density.sites:
            if site.name not in self.integrated:
                size = site.slice.stop - site.slice.start
                bounded = site.support is not None and not _is_real(site.support)
                places.append(Place(site.name, slice(at, at + size), site.unconstrained_shape, bounded))
                free += range(site.slice.start, site.slice.stop)
                at += size
        self.sites = at  # coordinates of sites, before those of parameters
        for name, p in self.params.items():
            places.append(Place(name, slice(at, at + p.numel()), p.shape, False))
            at += p.numel()
        self.places, self.dim = tuple(places), at
        self.free = torch.tensor(free, dtype=torch.int64, device=self.device)
        if not at:
            raise EngineError(
                f"EM has nothing to maximise over: program {program.name!r} has neither parameters nor continuous latent sites outside "
                "its data plate; Enumeration gives the posterior of its discrete sites"
            )

    def position(self, point: Tensor) -> Tensor:
        """(dim,) -> the density's flat position, 0 at sites that are integrated out."""
        whole = point.new_zeros(self.density.dim)
        return point[: self.sites] if len(self.free) == len(whole) else whole.index_put((self.free,), point[: self.sites])

    def param(self, point: Tensor) -> dict[str, Tensor]:
        """(dim,) -> learned parameters, unconstrained, by name."""
        return {p.name: point[p.slice].reshape(p.shape) for p in self.places if p.name in self.params}

    def conditionals(self, params: Mapping[str, Tensor]) -> Conditionals:
        """Of the program at other parameters, which it has taken over."""
        return Conditionals(self.program, dtype=self.dtype, lowering="recorded") if params else self._conditionals

    # Functions of points, as torch runs them

    def _factors(self, point: Tensor, *data: Tensor) -> tuple[Tensor, ...]:
        """(dim,) -> the log factor of every site, 0 where it does not count; then every scale."""
        given = dict(zip(self._fixed, data, strict=True)) | {f"param:{n}": v for n, v in self.param(point).items()}
        outputs = self._graph(self.position(point), *[given[n] for n in self.recording.others])
        names = list(self.recording.sites)
        factors = [torch.zeros_like(t) if n in self.dropped else t for n, t in zip(names, outputs, strict=False)]
        return (*factors, *outputs[len(names) : 2 * len(names)])

    def _named(self, outputs: Sequence[Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        names = list(self.recording.sites)
        return dict(zip(names, outputs, strict=False)), dict(zip(names, outputs[len(names) :], strict=True))

    def evidence_of(self, points: Tensor, *data: Tensor, flat: bool = False) -> tuple[Tensor, ...]:
        """(points, dim) -> log evidence (points,), nats; and the weights of each weighted site (points, *dims).

        flat   as if nothing were known of the discrete sites: every assignment that is possible is as likely as another
        """
        factors, scales = self._named(_over(self._factors, points, data))
        if flat:
            factors |= {n: torch.where(factors[n].isneginf(), factors[n], 0.0) for n in self.weighted}
        leaves = {n: factors[n].detach().requires_grad_() for n in self.weighted}
        names = list(factors)

        def total(*tensors: Tensor) -> tuple[Tensor]:
            n = len(names)
            return (self.joint(dict(zip(names, tensors, strict=False)), dict(zip(names, tensors[n:], strict=True))),)

        (value,) = _each(total, [*{**factors, **leaves}.values(), *scales.values()])
        if not leaves:
            return (value.detach(),)
        slopes = torch.autograd.grad(value.sum(), list(leaves.values()), allow_unused=True)
        weights = [torch.zeros_like(t) if s is None else s for s, t in zip(slopes, leaves.values(), strict=True)]  # type: ignore[redundant-expr]
        return (value.detach(), *weights)

    def expected_of(self, points: Tensor, along: Tensor, *rest: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(points, dim), a direction for each (points, dim), weights, data -> Q (points,), nats; its gradient (points, dim); and
        its second derivatives times the direction (points, dim)."""
        weights, data = rest[: len(self.weighted)], rest[len(self.weighted) :]
        points = points.detach().requires_grad_()

        def total(point: Tensor, *cells: Tensor) -> tuple[Tensor]:
            factors, scales = self._named(self._factors(point, *data))
            value = point.new_zeros(())
            for name, w in zip(self.weighted, cells, strict=True):
                value = value + torch.where(w > 0, w * factors[name], 0.0).sum()  # 0 log 0 is 0
            for name in (n for n in self.joint.plain if n not in self.dropped):
                value = value + (factors[name] * scales[name]).sum()
            return (value,)

        (value,) = _each(total, [points, *weights])
        gradient = _slope(value.sum(), points)
        return value.detach(), gradient.detach(), _slope((gradient * along).sum(), points).detach()

    # The same, lowered

    def evidence(self, points: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """(points, dim) -> log evidence (points,), nats, and site -> weights (points, *dims)."""
        value, *weights = self._evidence([points])
        return value, dict(zip(self.weighted, weights, strict=True))

    def expected(self, points: Tensor, directions: Tensor, weights: Mapping[str, Tensor]) -> Expected:
        """(points, dim), (directions, dim) -> Q; a pass over the data for each direction."""
        self.evaluations += len(points)
        cells = [weights[n] for n in self.weighted]
        values, gradients, products = zip(*[self._expected([points, d.expand_as(points), *cells]) for d in directions], strict=True)
        return Expected(values[0], gradients[0], torch.stack(products, 1))

    def flat_weights(self, points: Tensor) -> dict[str, Tensor]:
        """Weights as if nothing were known of the discrete sites."""
        with torch.enable_grad():
            return dict(zip(self.weighted, self.evidence_of(points, *self._data, flat=True)[1:], strict=True))

    def _lower(self) -> None:
        points = torch.zeros(self.points, self.dim, dtype=self.dtype, device=self.device)
        self._evidence = self._lowered(self.evidence_of, [points])
        weights = self.flat_weights(points).values()
        self._expected = self._lowered(self.expected_of, [points, points, *weights])

    def _lowered(self, function: Callable[..., Sequence[Tensor]], fast: Sequence[Tensor]) -> Run:
        """A function of fast inputs and data, recorded at examples."""
        begin = time.perf_counter()
        tape = Tape(differentiated=True)
        copies = [t.detach().clone() for t in (*fast, *self._data)]
        given = [tape.input(t, f"input {i}") for i, t in enumerate(copies)]
        with torch.enable_grad(), tape:
            outputs = function(*copies)
        graph = simplify(cut(tape, given, [tape.node(t) for t in outputs], slow=range(len(fast), len(copies))))
        run, self.lowering = choose(
            self.asked, self.device, lambda name: lower(name, graph, self.dtype, self.asked).prepare(copies[len(fast) :])
        )
        self.seconds["compile"] += time.perf_counter() - begin
        return run

    @property
    def fingerprint(self) -> str:
        return digest(f"{sorted(self.dropped)} {self.density.fingerprint}", ())


def _twice_differentiable(graph: Graph) -> Graph:
    """The graph, ours alone, with every cumulative product (the simplex has one) by `_products`."""
    for node in graph.nodes:
        if node.target is torch.ops.aten.cumprod.default:
            node.target = _products
    return graph


def _products(x: Tensor, dim: int, dtype: torch.dtype | None = None) -> Tensor:
    """cumprod with second derivatives in few operations: torch's take the square of the length, 4,000 for a table of 20 columns."""
    logs = x.abs().clamp(min=torch.finfo(x.dtype).tiny).log().cumsum(dim)
    return logs.exp() * x.detach().sign().cumprod(dim)


def _slope(value: Tensor, at: Tensor) -> Tensor:
    if not value.requires_grad:
        return torch.zeros_like(at)
    (slope,) = torch.autograd.grad(value, at, create_graph=True, allow_unused=True)
    return torch.zeros_like(at) if slope is None else slope  # type: ignore[redundant-expr]


def _over(one: Callable[..., tuple[Tensor, ...]], points: Tensor, data: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """A function of one point and data over many points."""
    return _each(lambda p: one(p, *data), [points])


def _each(one: Callable[..., tuple[Tensor, ...]], given: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """By vmap, or one after the other where an operation has no batching rule; differentiable."""
    try:
        return vmap(one)(*given)
    except NO_BATCHING_RULE:
        rows = [one(*(g[i] for g in given)) for i in range(len(given[0]))]
        return tuple(torch.stack(o) for o in zip(*rows, strict=True))


def _is_real(support: torch.distributions.constraints.Constraint) -> bool:
    while hasattr(support, "base_constraint"):
        support = support.base_constraint
    return support is torch.distributions.constraints.real
