"""One datum of a program as its unknown: the log density of what the program observes, by where it lies and by the parameters.

What learns an energy asks for the density at the data and elsewhere, and for its derivatives by both. Here is that density: one row of
the program's arguments, what it observed there a latent site, every other discrete site summed out. It need not be normalised.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor
from torch.func import vmap

from .errors import DataError, EngineError, RecordingError, SupportError
from .lowering import NO_BATCHING_RULE, Lowering, Run, choose, lower
from .program import Program, Site
from .readings import RecordedReading
from .simplify import simplify
from .straightline import above, cut
from .tape import Tape
from .targets import LogDensity, digest

__all__ = ["Unobserved"]

Point = Mapping[str, Tensor]  # parameters by name


class Free(Messenger):
    """What these sites observe is forgotten."""

    def __init__(self, names: frozenset[str]):
        super().__init__()
        self.names = names

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] in self.names:
            msg["value"], msg["is_observed"] = None, False


class _Freed(torch.nn.Module):
    """A module whose observed sites are latent."""

    def __init__(self, module: torch.nn.Module, names: frozenset[str]):
        super().__init__()
        self.module, self.names = module, names

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        with Free(self.names):
            return self.module(*args, **kwargs)


class Unobserved:
    """The log density of one datum.

    program   with its data; the parameters at the start are its own
    one       the program of one datum, which it does not observe; density: its LogDensity, discrete observed sites held
    rows      (N, dim), unconstrained positions of the data; or (N, elements), whole numbers, where what is observed is discrete
    params    those that the density depends on, unconstrained, by name

    Raises EngineError (what is no density of data by themselves), SupportError, RecordingError.
    """

    def __init__(self, program: Program, *, dtype: torch.dtype | None, lowering: str):
        self.program, self.asked = program, lowering
        _check(program)
        names = frozenset(s.name for s in program.observed)
        self.one = _one_datum(program, names)
        discrete = [n for n in self.one.discrete if n in names]
        if discrete and self.one.dim:
            raise EngineError(f"{', '.join(sorted(names))} are continuous and discrete together, which is not learned as an energy here")
        density = LogDensity(self.one, dtype=dtype or self.one.dtype, lowering="recorded", held=discrete)
        assert isinstance(density.reading, RecordedReading)  # noqa: S101  for mypy: "recorded" gives no other
        self.density, self.reading, self.recording = density, density.reading, density.reading.recording
        self.dtype, self.device, self.seconds, self.lowering = density.dtype, density.device, density.seconds, density.lowering
        if lowering == "eager":
            self.lowering = Lowering("eager", "asked for; the factors of a datum are recorded all the same")
        self.discrete, self.evaluations = bool(discrete), 0
        self.prefix = "" if program.module is None else "module."
        self.params = self._params()
        self.names = names
        self.rows = self.positions(program)
        self._texts: list[str] = []

    def _params(self) -> dict[str, Tensor]:
        outputs = [o.log_prob for o in self.recording.outputs.values()]
        used = {n.name for n in above(outputs) if n.name is not None}
        if own := [n for n in used if n.startswith(("data:", "rows:")) and int(n.partition(":")[2] or 0) in self._gathered]:
            names = ", ".join(sorted(own))
            raise EngineError(
                f"a datum's density depends on the rows of an argument ({names}) otherwise than by what its site observes; use the value "
                "that pyro.sample returns; a density given a context is not learned as an energy here"
            )
        found = {n: p for n, p in self.program.params.items() if f"param:{self.prefix}{n}" in used and p.is_floating_point()}
        if not found:
            raise EngineError(f"nothing to learn: the density of program {self.program.name!r} depends on no parameter")
        return {n: self._typed(p).clone() for n, p in found.items()}

    @property
    def _gathered(self) -> frozenset[int]:
        plate = self.program.plates[self.program.data_plate]  # type: ignore[index]
        return self.program._gathered(plate.size)

    def _typed(self, t: Tensor) -> Tensor:
        return t.detach().to(self.dtype) if t.dtype == self.program.dtype else t.detach()

    def positions(self, program: Program) -> Tensor:
        """What `rows` is, of this program with other data. Raises DataError, SupportError."""
        plate = program.plates[program.data_plate]  # type: ignore[index]
        values = {n: _by_datum(program.sites[n], plate.dim, self.one.sites[n]) for n in self.names}
        if self.discrete:
            return self.density.holding.index(values).to(self.device)
        for n, v in values.items():
            bad = ~v.isfinite().reshape(len(v), -1).all(1)
            if bad.any():
                raise DataError(f"site {n!r} observes a number that is not finite in row {int(bad.nonzero()[0, 0])}")
        position = self.density.unconstrain({n: v.to(self.device, self.dtype) for n, v in values.items()})
        if (bad := ~position.isfinite().all(1)).any():
            row = int(bad.nonzero()[0, 0])
            raise SupportError(f"row {row} of the data lies on the edge of the support, or outside, where no density is learned")
        return position

    @property
    def dim(self) -> int:
        """Of a position, or how many discrete elements there are."""
        return self.rows.shape[1]

    # The density

    def log_density(self, at: Tensor, params: Point) -> Tensor:
        """(n, dim) -> (n,), nats: a function of torch, to be recorded."""

        def one(row: Tensor) -> Tensor:
            none = row.new_zeros(0, dtype=self.dtype)
            return self.reading._density(*((none, row) if self.discrete else (row,)), *self._others(params))

        try:
            return vmap(one)(at)
        except NO_BATCHING_RULE:
            return torch.stack([one(row) for row in at])

    def at(self, row: Tensor, params: Point) -> Tensor:
        """(dim,) -> (): of one continuous datum."""
        return self.reading._density(row, *self._others(params))

    def _others(self, params: Point) -> list[Tensor]:
        given = {f"param:{self.prefix}{n}": p for n, p in params.items()}
        slow = {**self.reading._slow, **self.reading._fast}
        return [given.get(n, slow[n]) for n in self.recording.others]

    def graph(self, function: Callable[..., Sequence[Tensor]], params: Point, *examples: Tensor) -> Run:
        """function(params, *tensors) -> tensors, which may differentiate, as what runs it on (*params, *tensors)."""
        if self.asked == "eager":
            return lambda given: self._eagerly(function, list(params), given)
        begin = time.perf_counter()
        tape = Tape(differentiated=True)
        copies = [t.detach().clone() for t in (*params.values(), *examples)]
        names = [*params, *[f"input {i}" for i in range(len(examples))]]
        given = [tape.input(t, name) for t, name in zip(copies, names, strict=True)]
        with torch.enable_grad(), tape:
            leaves = dict(zip(params, (t.detach().requires_grad_() for t in copies), strict=False))
            outputs = [t.detach() for t in function(leaves, *copies[len(params) :])]
        graph = simplify(cut(tape, given, [tape.node(t) for t in outputs], slow=range(0)))
        run, self.lowering = choose(self.asked, self.device, lambda name: lower(name, graph, self.dtype, self.asked).prepare([]))
        self._texts.append(graph.text())
        self.seconds["compile"] += time.perf_counter() - begin
        return run

    def _eagerly(self, function: Callable[..., Sequence[Tensor]], names: Sequence[str], given: Sequence[Tensor]) -> Sequence[Tensor]:
        """One operation after the other, differentiated anew at every call."""
        copies = [t.detach().clone() for t in given]
        leaves = {n: t.requires_grad_() for n, t in zip(names, copies, strict=False)}
        with torch.enable_grad():
            return [t.detach() for t in function(leaves, *copies[len(names) :])]

    def program_at(self, params: Point) -> Program:
        """The program of one datum with other parameters."""
        self.one.set_params({self.prefix + n: p for n, p in params.items()})
        return self.one

    def fault(self, rows: Tensor, params: Point) -> str:
        """Which row of the data has no finite density."""
        value = self.log_density(rows, params)
        bad = (~value.isfinite()).nonzero()[:, 0].tolist()
        if not bad:
            return "the density is finite at the data, and not where the chains are: a smaller step_size may help"
        return (
            f"the log density is {float(value[bad[0]])} in row {', '.join(map(str, bad[:8]))}{', ...' if len(bad) > 8 else ''} of the data"
        )

    @property
    def fingerprint(self) -> str:
        return digest("\n".join([self.density.fingerprint, *self._texts]), [self.rows, *self.params.values()])


def _check(program: Program) -> None:
    if not program.observed or program.data_plate is None:
        raise EngineError(
            f"program {program.name!r} observes nothing inside a data plate, so there are no data whose energy could be learned"
        )
    plate = program.plates[program.data_plate]
    if plate.subsample_size < plate.size:
        raise EngineError(f"plate {plate.name!r} subsamples by itself; leave that out, and give batch_size")
    if latent := [s.name for s in program.latent if s.continuous]:
        raise EngineError(
            f"{', '.join(map(repr, latent))} would have to be integrated out of each datum's density; hold it by pyro.poutine.condition, "
            "make it a parameter, or use SVI"
        )
    if outside := [s.name for s in program.latent if program.data_plate not in s.plates]:
        raise EngineError(f"{', '.join(map(repr, outside))} is outside of plate {plate.name!r}, so no datum has a density of its own")


def _one_datum(program: Program, names: frozenset[str]) -> Program:
    """The program of the first row of its arguments, without what it observes."""
    plate = program.plates[program.data_plate]  # type: ignore[index]
    gathered = program._gathered(plate.size)
    if not gathered:
        raise EngineError(f"no tensor argument has {plate.size} rows, the size of the data plate {plate.name!r}")
    leaves = [x[:1] if i in gathered else x for i, x in enumerate(program.leaves)]
    args, kwargs = torch.utils._pytree.tree_unflatten(leaves, program.tree)

    def freed(*args: Any, **kwargs: Any) -> Any:
        with Free(names):
            return program.fn(*args, **kwargs)

    fn = freed if program.module is None else _Freed(program.module, names)
    one = Program(fn).bind(*args, **kwargs)
    found = {s.name for s in one.latent}
    if missing := names - found:
        raise RecordingError(f"{', '.join(sorted(missing))} cannot be freed of what it observes")
    return one


def _by_datum(site: Site, dim: int, one: Site) -> Tensor:
    """The value that a site observes, (N, *shape of one datum)."""
    value: Tensor = site.value
    axis = value.dim() - site.event_dim + dim
    rows = value.movedim(axis, 0)
    return rows.reshape(len(rows), *one.shape)
