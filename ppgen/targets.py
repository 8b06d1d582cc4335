"""What samplers see: `LogDensity`, from a flat unconstrained position to its log density and gradient, and back to sites."""

import copy
import hashlib
import inspect
import math
import time
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.distributions.constraints import Constraint

from .drawing_back import drawn_back
from .errors import DataError, NameNotFoundError, RecordingError, StartError, SupportError
from .holding import Holding
from .keys import START, Key
from .lowering import Lowering, check_lowering, choose
from .pointwise import PointwiseLogLikelihood, log_likelihood_at
from .program import Program
from .readings import EagerReading, RecordedReading
from .recording import Recording, agree, device_of
from .straightline import collector_paused

if TYPE_CHECKING:
    from .native.kernel import BoundKernel

__all__ = ["Coordinate", "LogDensity", "PointwiseLogLikelihood"]

POINTS = 4  # dispersed points at which a recording is checked, as many as there are chains by default
TRIES = 100  # starting points tried per chain
WIDE = 20  # tries before the starting points come nearer


class Coordinate(NamedTuple):
    """A continuous latent site's place in the flat position."""

    name: str
    shape: torch.Size
    support: Constraint | None
    slice: slice
    unconstrained_shape: torch.Size


class LogDensity:
    """The log density of a program's continuous latent sites, discrete ones summed out.

    dtype      of positions, values and gradients (float64); the program is recorded in its own dtype and retyped
    held       discrete sites that are not summed out: their values are given with every position. `given` is the density at some
    lowering   auto: machine code (native) on the CPU, torch.compile (inductor) on other devices, else the recorded graph run by
               torch, and eager where the program cannot be recorded; any other: that one or an error

    dim        size of the flat position; sites: where each continuous latent site stands in it
    recording  None where the program runs eagerly; `lowering` says why
    evaluations counts gradients, one per chain; seconds: record, check, compile

    Non-centred eight schools in float64: 0.1 ms for the values and gradients of 4 chains, 0.05 s to record, check and compile.
    Raises RecordingError, EliminationError, CostError, and what Program raises.
    """

    recording: Recording | None
    lowering: Lowering
    reading: RecordedReading | EagerReading
    at: Tensor | None  # (chains, elements) whole numbers of held sites

    def __init__(
        self,
        program: Program,
        *,
        dtype: torch.dtype | None = torch.float64,
        lowering: str = "auto",
        held: Collection[str] = (),
        recording: Recording | None = None,
        compiled: bool = True,
        points: int = POINTS,
    ):
        """recording: one of this program that there is already. compiled: False where few evaluations follow, which torch then runs,
        whatever the lowering. points: at how many the recording is checked."""
        check_lowering(lowering)
        self.points = points
        self.held, self.at = tuple(held), None
        self.program, self.asked = program, lowering
        self.dtype = dtype if dtype is not None else torch.get_default_dtype()
        self.device = device_of(program)
        self.seconds = {"record": 0.0, "check": 0.0, "compile": 0.0}
        self.evaluations = 0
        self.sites = tuple(
            Coordinate(s.name, s.shape, s.support, s.place, s.unconstrained_shape) for s in program.latent if s.place is not None
        )
        self.dim = program.dim
        if lowering == "eager":
            self._run_eagerly("asked for")
            return
        try:
            self._record(recording, compiled)
        except RecordingError as error:
            if lowering != "auto":
                raise
            self._run_eagerly(f"cannot be recorded: {error}")

    def _run_eagerly(self, reason: str) -> None:
        self.recording, self.lowering = None, Lowering("eager", reason)
        self.reading = EagerReading(self.program, self.held)

    @collector_paused()  # else it looks at all of torch's objects once, which takes twice as long as a small program's recording
    def _record(self, known: Recording | None, compiled: bool) -> None:
        begin = time.perf_counter()
        self.recording = recording = known or Recording(self.program, self.held)
        self.seconds["record"] += time.perf_counter() - begin
        begin = time.perf_counter()
        asked = self.asked if compiled else "recorded"
        self.reading, self.lowering = choose(asked, self.device, lambda name: self._lowered(recording, name))
        self.seconds["compile"] += time.perf_counter() - begin
        self._check(self.recording)

    def _lowered(self, recording: Recording, name: str) -> RecordedReading:
        reading = RecordedReading(self.program, recording, self.dtype, name, self.asked)
        reading.compile(self.points)
        return reading

    def _check(self, recording: Recording) -> None:
        """The compiled density at dispersed points against the program itself."""
        generator = torch.Generator().manual_seed(4)
        positions = (torch.rand(self.points, self.dim, generator=generator, dtype=torch.float64) * 3 - 1.5).to(self.device, self.dtype)
        held = self._dispersed(generator)
        value, gradient = self._evaluate(positions, held)
        begin = time.perf_counter()
        agree(recording, self._factors, positions, value, gradient, held)
        self.seconds["check"] += time.perf_counter() - begin

    def _dispersed(self, generator: torch.Generator) -> Tensor | None:
        """Whole numbers of held sites at which a recording is checked: any, and small ones where there is no end."""
        sizes = torch.tensor(self.holding.sizes)
        if not len(sizes):
            return None
        u = torch.rand(self.points, len(sizes), generator=generator, dtype=torch.float64)
        return (u * torch.where(sizes > 0, sizes, 4)).long().to(self.device)

    @property
    def holding(self) -> Holding:
        """The held sites."""
        return self.reading.holding

    def given(self, values: Mapping[str, Tensor] | Tensor) -> "LogDensity":
        """The density at values of the held sites, (chains, *shape) each, or at their whole numbers (chains, elements).

        Raises NameNotFoundError, DataError (a shape), SupportError.
        """
        other = copy.copy(self)
        other.at = values if isinstance(values, Tensor) else self.holding.index(values).to(self.device)
        return other

    def bind(self, params: Mapping[str, Tensor] | None = None, data: Mapping[str, Tensor] | None = None) -> "LogDensity":
        """Another target on the same compiled graph: other parameters (unconstrained, by name), other data of equal shape
        and dtype (by the argument's name). Checked against eager Pyro again.

        Raises NameNotFoundError, DataError (another shape), RecordingError (the graph does not hold for these data).
        """
        program = _with_data(self.program, data or {})
        if params:
            if unknown := sorted(set(params) - set(program.params)):
                raise NameNotFoundError(f"no parameter named {', '.join(unknown)}; there are {', '.join(sorted(program.params))}")
            program = program.copy()
            program.set_params(params)
        if self.recording is None or (data and self.recording.constant):  # such data steer Python: another recording
            return LogDensity(program, dtype=self.dtype, lowering=self.asked, held=self.held)
        other = copy.copy(self)
        other.program, other.evaluations, other.seconds = program, 0, dict.fromkeys(self.seconds, 0.0)
        other.reading = self.reading.bound(program)
        other.recording = copy.copy(self.recording)
        other.recording.program = program
        other._check(other.recording)
        return other

    def shown(self, rows: Mapping[str, Tensor]) -> "LogDensity":
        """The density at other rows of subsampled plates, by name (batch,) each, on the same compiled graph; machine code prepares itself
        for them anew."""
        other = copy.copy(self)
        other.reading = self.reading.shown(rows)
        return other

    def problems(self, data: Mapping[str, Tensor], params: Mapping[str, Tensor] | None = None) -> "list[LogDensity]":
        """Independent targets on the one compiled graph: as `bind`, with a leading dimension of problems before each shape. Each is
        checked at one point. Raises what `bind` does, and DataError where their numbers differ."""
        sizes = {n: len(t) if t.dim() else 0 for n, t in [*data.items(), *(params or {}).items()]}
        if len(set(sizes.values())) != 1:
            raise DataError(f"problems are counted by the leading dimension of what differs among them; got {sizes}")
        one = copy.copy(self)
        one.points = 1
        own = params or {}
        return [one.bind({n: t[i] for n, t in own.items()}, {n: t[i] for n, t in data.items()}) for i in range(next(iter(sizes.values())))]

    # Density

    @property
    def native(self) -> "BoundKernel | None":
        """Value and gradient as machine code, for samplers that call it by its address; None in other lowerings."""
        return self.reading.native if isinstance(self.reading, RecordedReading) else None

    def value_and_grad(self, position: Tensor, held: Mapping[str, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """(chains, dim) -> log density (chains,), nats, up to the program's own constants; its gradient (chains, dim). held: site ->
        (chains, *shape), where sites are held and this is not the density at values `given`.

        Never raises for a bad point: its value is -inf or nan.
        """
        self.evaluations += len(position)
        return self._evaluate(position, self.at if held is None else self.holding.index(held).to(self.device))

    def log_density(self, position: Tensor, held: Mapping[str, Tensor] | None = None) -> Tensor:
        """(chains, dim) -> (chains,)"""
        return self.value_and_grad(position, held)[0]

    def _evaluate(self, position: Tensor, held: Tensor | None) -> tuple[Tensor, Tensor]:
        if held is None and self.holding.elements:
            raise NameNotFoundError(f"no values for the held sites {', '.join(self.holding.sites)}")
        if isinstance(self.reading, RecordedReading):
            begin = time.perf_counter()
            if self.reading.compile(len(position)):
                self.seconds["compile"] += time.perf_counter() - begin
        return self.reading.value_and_grad(position, held)

    # Sites

    def constrain(self, position: Tensor) -> dict[str, Tensor]:
        """(*batch, dim) -> continuous latent site -> (*batch, *shape)."""
        batch = position.shape[:-1]
        values = self.reading.constrain(position.reshape(-1, self.dim) if self.dim else position.new_zeros(math.prod(batch), 0))
        return {n: v.reshape((*batch, *v.shape[1:])) for n, v in values.items()}

    def unconstrain(self, values: Mapping[str, Tensor]) -> Tensor:
        """Continuous latent site -> (*batch, *shape), to (*batch, dim): nan where a value lies outside its support.

        Raises NameNotFoundError, DataError (a shape).
        """
        batch = self._batch_of(values)
        if not self.sites:
            return torch.zeros(*batch, 0, dtype=self.dtype, device=self.device)
        flat = {s.name: values[s.name].to(self.device, self.dtype).reshape(-1, *s.shape) for s in self.sites}
        return self.reading.unconstrain(flat).reshape(*batch, self.dim)

    def _batch_of(self, values: Mapping[str, Tensor]) -> torch.Size:
        """The leading dimensions that values of the continuous latent sites share."""
        batch: torch.Size | None = None
        for s in self.sites:
            if s.name not in values:
                raise NameNotFoundError(f"no value for site {s.name!r}; given are {', '.join(sorted(values)) or 'none'}")
            shape = values[s.name].shape
            cut = max(len(shape) - len(s.shape), 0)
            if shape[cut:] != s.shape or (batch is not None and shape[:cut] != batch):
                before = "" if not batch else f" after {tuple(batch)}"
                raise DataError(f"site {s.name!r} has shape {tuple(s.shape)}{before}; got {tuple(shape)}")
            batch = shape[:cut]
        return batch if batch is not None else torch.Size()

    # Starting points

    def initial(self, key: Key, *, radius: float = 2.0, at: Mapping[str, Tensor] | None = None) -> Tensor:
        """(chains, dim): finite starting points, one for each chain of the key: at the values `at` of some continuous latent
        sites, the others uniform within `radius` of 0 in unconstrained space; no prior is sampled.

        Raises StartError, naming the site and row at fault; NameNotFoundError, DataError, SupportError for `at`.
        """
        shape = (len(key.chains), self.dim)
        centre, free = self.centre(at or {})
        position, good = centre.expand(shape), torch.zeros(shape[0], dtype=torch.bool, device=self.device)
        for attempt in range(TRIES):
            u = key.uniform(START, shape, start=attempt * self.dim).to(self.device, self.dtype)
            position = torch.where(good[:, None], position, centre + free * (2 * u - 1) * radius)
            value, gradient = self.value_and_grad(position)
            good = value.isfinite() & gradient.isfinite().all(-1)
            if good.all():
                return position
            if attempt >= WIDE:  # far out the density may overflow
                radius = max(radius * 0.9, 1e-3)
        raise StartError(self.fault(position[~good][:1], None if self.at is None else self.at[~good][:1]))

    def centre(self, given: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Where to begin, (dim,), and 1 for the coordinates that may move from there, 0 for those of given sites."""
        centre = torch.zeros(self.dim, dtype=self.dtype, device=self.device)
        free = torch.ones_like(centre)
        if not given:
            return centre, free
        if unknown := sorted(set(given) - {s.name for s in self.sites}):
            raise NameNotFoundError(
                f"no continuous latent site named {', '.join(unknown)}; there are {', '.join(s.name for s in self.sites)}"
            )
        values = {**self.constrain(centre), **{n: torch.as_tensor(v) for n, v in given.items()}}
        centre = self.unconstrain(values)
        for s in self.sites:
            if not centre[s.slice].isfinite().all():
                raise SupportError(f"site {s.name!r}: the starting value {values[s.name].tolist()} lies outside its support, {s.support}")
            if s.name in given:
                free[s.slice] = 0.0
        return centre, free

    def _factors(self, position: Tensor, held: Tensor | None = None) -> dict[str, Tensor]:
        """(dim,), (elements,) -> site -> its factor."""
        values = self.constrain(position[None]) | ({} if held is None else self.holding.values(held[None]))
        factors = self.reading.factors(values, 1)
        return {n: t[0] for n, t in factors.items()}

    def fault(self, position: Tensor, held: Tensor | None = None) -> str:
        """Which site, and which row of it, has no finite density or gradient at a point, (1, dim) and (1, elements)."""
        tried = f"no starting point with a finite {{}} in {TRIES} tries: "
        help_ = "; start at values that fit (start=), or change the prior or the scale of the data"
        for name, t in self._factors(position[0], None if held is None else held[0]).items():
            if (bad := ~t.isfinite()).any():
                where = bad.nonzero()[0].tolist()
                row = f", row {where[-1]}," if where else ""
                return tried.format("density") + f"site {name!r}{row} has log probability {float(t[tuple(where)])}{help_}"
        gradient = self._evaluate(position, held)[1][0]
        for s in self.sites:
            if not gradient[s.slice].isfinite().all():
                return tried.format("gradient") + f"that by site {s.name!r} is not, though every density is{help_}"
        return tried.format("density") + f"each site has one, but their sum or a Jacobian has not{help_}"

    # Draws

    def latents(self, position: Tensor, key: Key, held: Tensor | None = None) -> dict[str, Tensor]:
        """(chains, draws, dim) -> every latent site and every deterministic one, (chains, draws, *shape): continuous ones
        constrained, held ones by their whole numbers (chains, draws, elements), other discrete ones drawn back exactly. Draw d of
        chain c reads its own numbers of the key."""
        given = self.constrain(position) | ({} if held is None else self.holding.values(held))
        others = drawn_back(self.program, self.reading, given, key, *position.shape[:2])
        everything = {**given, **others}
        return {n: everything[n] for n in self.program.sites if n in everything}

    def log_likelihood(self, values: Mapping[str, Tensor], *, joint: bool = False) -> PointwiseLogLikelihood:
        """Log likelihood of each datum at constrained draws, site -> (chains, draws, *shape), discrete sites included.

        Local discrete sites are summed out, global discrete ones held at the draw, local continuous ones conditioned; with
        `joint` the density of the local continuous ones is counted too.
        Raises NameNotFoundError, DataError, SupportError, ProgramError (a global discrete site without draws).
        """
        lead = self._batch_of(values) if self.sites else self._lead_of(values)
        known = {n: v for n, v in values.items() if n in self.program.sites}
        placed = {n: v.to(self.device, self.dtype if self.program.sites[n].continuous else v.dtype) for n, v in known.items()}
        return log_likelihood_at(self.program, self.reading, placed, lead, joint)

    def _lead_of(self, values: Mapping[str, Tensor]) -> torch.Size:
        """The leading dimensions where no continuous latent site says what they are."""
        known = [(v, self.program.sites[n].shape) for n, v in values.items() if n in self.program.sites]
        return next((v.shape[: v.dim() - len(shape)] for v, shape in known), torch.Size((1, 1)))

    # Identity

    @property
    def fingerprint(self) -> str:
        """Of the graph with its constants, the data and the parameters: another one is another run."""
        text, tensors = self.reading.identity()
        return digest(f"{self.dtype}\n{text}", tensors)


def _with_data(program: Program, data: Mapping[str, Tensor]) -> Program:
    """The program with some of its tensor arguments replaced, by name."""
    if not data:
        return program
    arguments = program.arguments
    if unknown := sorted(set(data) - set(arguments)):
        raise NameNotFoundError(f"no argument named {', '.join(unknown)}; there are {', '.join(arguments)}")
    for name, new in data.items():
        old = arguments[name]
        if not isinstance(old, Tensor) or new.shape != old.shape or new.dtype != old.dtype:
            expected = f"{tuple(old.shape)} of {old.dtype}" if isinstance(old, Tensor) else type(old).__name__
            raise DataError(f"argument {name!r}: bind keeps shapes, expected {expected}, got {tuple(new.shape)} of {new.dtype}")
    call = program.fn if program.module is None else program.module.forward
    bound: Any = inspect.signature(call).bind(*program.args, **program.kwargs)
    bound.arguments.update(data)
    return program.bind(*bound.args, **bound.kwargs)


def digest(text: str, tensors: Iterable[Tensor]) -> str:
    """Of a text and of tensors to the bit."""
    out = hashlib.sha256(text.encode())
    for t in tensors:
        plain = t.detach().cpu().clone(memory_format=torch.contiguous_format)
        out.update(plain.reshape(-1).view(torch.uint8).numpy().tobytes())
    return out.hexdigest()
