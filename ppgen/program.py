"""A program: a callable with its arguments. Running it finds its sites, plates, parameters and data plate."""

import contextlib
import copy
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

import pyro
import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten, tree_unflatten
from torch.utils.data import DataLoader

from .errors import DataError, ProgramError
from .family import Family
from .handler import Evaluation, Swap
from .mixed_precision import networks_in
from .sites import Plate, Site
from .sources import FromGuide, FromPosition, FromUniform, FromValues, Outline

__all__ = ["ARGUMENTS", "Evaluation", "FromGuide", "FromPosition", "FromUniform", "FromValues", "Plate", "Program", "Site"]

ARGUMENTS = "arguments"  # the rows of a program whose arguments are gathered (batch_size)
E = TypeVar("E", bound=Evaluation)
FOUND = frozenset(("sites", "plates", "dim", "nesting", "data_plate", "params", "transforms", "rows", "gathered"))


class Program:
    """A callable with its arguments: a function, a module or a Family.

    args, kwargs    the user's own. Without any, the program is run when it is first asked about, so that one wrapper can be
                    bound many times; `bind` takes any argument, also one that is named like a setting below
    data_plate      its name, where the outermost plate common to all observed sites is not the one
    args_in_plate   names of the arguments that minibatches gather, where others have the plate's length by accident
    coords, dims    labels for reports: of a dimension's entries, and of a site's dimensions

    sites           by name, in program order; plates by name
    dim             size of the flat position of the continuous latent sites
    params          unconstrained leaves of everything that can be learned, by name; rows: of subsampled plates

    Modules are copied, so that what is learned or changed later outside does not reach into the program, and put into
    evaluation mode; `trained` says that they run in training mode, `state` which buffers they then write (training.py), and
    `autocast` in what networks compute.
    Raises DataError (NaN in observed data), SupportError (a value outside its support), ProgramError.
    """

    sites: dict[str, Site]
    plates: dict[str, Plate]
    dim: int
    nesting: int
    data_plate: str | None
    params: dict[str, Tensor]
    rows: dict[str, Tensor]
    gathered: frozenset[int]
    trained: bool = False
    state: frozenset[str] = frozenset()
    autocast: torch.dtype | None = None

    def __init__(
        self,
        fn: Callable[..., Any],
        *args: Any,
        data_plate: str | None = None,
        args_in_plate: Sequence[str] | None = None,
        coords: Mapping[str, Sequence[Any]] | None = None,
        dims: Mapping[str, Sequence[str]] | None = None,
        **kwargs: Any,
    ):
        if not callable(fn):
            raise ProgramError(f"a program is a callable (a function, a module or a Family); {type(fn).__name__} is none")
        self.fn = copy.deepcopy(fn) if isinstance(fn, torch.nn.Module) else fn
        if isinstance(self.fn, torch.nn.Module):
            self.fn.eval()
        self._data_plate, self._args_in_plate = data_plate, args_in_plate
        self.coords, self.dims = dict(coords or {}), dict(dims or {})
        self._take(args, kwargs)
        if args or kwargs:
            self._find()

    @classmethod
    def of(cls, program: "Callable[..., Any] | Program", *args: Any, **kwargs: Any) -> "Program":
        """A Program as it is (bound to other arguments where any are given); anything else becomes one."""
        if not isinstance(program, Program):
            program = cls(program)
            return program.bind(*args, **kwargs)
        if args or kwargs:
            return program.bind(*args, **kwargs)
        program.sites  # noqa: B018  an error shows here, before any work
        return program

    def bind(self, *args: Any, **kwargs: Any) -> "Program":
        """The same callable, settings and parameters with other arguments."""
        other = copy.copy(self)
        known = self.__dict__.get("params", {})
        for name in FOUND:
            other.__dict__.pop(name, None)
        other._take(args, kwargs)
        other._find(known)
        return other

    def __getattr__(self, name: str) -> Any:
        """What a run finds, where none was made yet."""
        if name not in FOUND or "leaves" not in self.__dict__:
            raise AttributeError(f"a Program has no attribute {name!r}")
        self._find()
        return self.__dict__[name]

    def _take(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.args, self.kwargs = args, kwargs
        self.leaves, self.tree = tree_flatten((args, kwargs))
        if any(isinstance(x, DataLoader) for x in self.leaves):
            raise ProgramError(
                f"program {self.name!r} is given a DataLoader, which engines that learn step by step take (SVI); others need all rows"
            )
        self.data = {f"data:{i}": x for i, x in enumerate(self.leaves) if isinstance(x, Tensor)}
        self.batch_size: int | None = None
        self._boost: tuple[str, float] | None = None

    @property
    def module(self) -> torch.nn.Module | None:
        return self.fn if isinstance(self.fn, torch.nn.Module) else None

    @property
    def learning(self) -> bool:
        """Whether it runs as it does only while it learns."""
        return self.trained or self.autocast is not None

    @property
    def buffers(self) -> dict[str, Tensor]:
        """Those of `state`, by name."""
        return {} if self.module is None else {n: b for n, b in self.module.named_buffers() if n in self.state}

    def missing_rows(self, observed: str) -> Tensor | None:
        """Of a site observed with `obs_mask`: the rows that it lacks, as flat indices; None where it lacks none."""
        twin = self.sites.get(observed.removesuffix("_observed") + "_unobserved")
        return None if twin is None or len(self.sites[observed].plates) > 1 else twin.rows

    @property
    def family(self) -> Family | None:
        """The callable itself where it is a Family, a model/guide pair; else None."""
        return self.fn if isinstance(self.fn, Family) else None

    @property
    def name(self) -> str:
        """The callable's name, as reports print it."""
        return getattr(self.fn, "__name__", None) or type(self.fn).__name__

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments by name. Raises ProgramError where they do not fit."""
        try:
            call = self.fn if self.module is None else self.module.forward
            return dict(inspect.signature(call).bind(*self.args, **self.kwargs).arguments)
        except TypeError as error:
            raise ProgramError(f"program {self.name!r}: {error}") from error

    @property
    def dtype(self) -> torch.dtype:
        """The dtype in which the program computes: that of its continuous latent sites where they agree, else torch's default."""
        found = {s.value.dtype for s in self.latent if s.continuous}
        return found.pop() if len(found) == 1 else torch.get_default_dtype()

    @property
    def latent(self) -> list[Site]:
        return [s for s in self.sites.values() if s.kind == "latent"]

    @property
    def observed(self) -> list[Site]:
        return [s for s in self.sites.values() if s.kind == "observed"]

    @property
    def discrete(self) -> list[str]:
        return [s.name for s in self.latent if s.discrete]

    # Finding

    def _find(self, params: Mapping[str, Tensor] | None = None) -> None:
        self.params, self.rows, self.gathered = dict(params or {}), {}, frozenset()
        self.transforms: dict[str, Any] = {}
        self._changed: frozenset[int] = frozenset()  # arguments that the program writes to
        self._buffers: frozenset[str] = frozenset()  # and buffers
        try:
            run = self._first_run()
            self._read(run)
            self.rows, self.params, self.transforms = run.rows, self._all_params(run), run.transforms
            self.data_plate = self._find_data_plate()
        except BaseException:
            for name in FOUND:
                self.__dict__.pop(name, None)
            raise

    def _first_run(self) -> Evaluation:
        """Once with Pyro's own checks on: they read values back, so recording runs without them. A program may be invalid
        far out (a rate that overflows), so a smaller neighbourhood of the origin is tried too."""
        for radius in (2.0, 0.1):
            leaves = [x.detach().clone() if isinstance(x, Tensor) else x for x in self.leaves]
            source: dict[str, Any] = {"generator": torch.Generator().manual_seed(0), "radius": radius}
            own = dict(self.module.named_buffers()) if self.module is not None else {}
            try:
                with torch.random.fork_rng(devices=[]), _put_back(self.module, own, {}) as copies:
                    run = self.run(Outline, leaves=leaves, validate=True, check=True, **source)
                    now = _buffers_of(self.module, own)
                    self._buffers = frozenset(
                        n for n, b in own.items() if now[n] is not copies[n] or copies[n]._version or not torch.equal(now[n], b)
                    )
            except (ValueError, torch.linalg.LinAlgError) as error:  # what Pyro's validation raises, and torch's factorisations
                failure = error
                continue
            self._changed = frozenset(i for i, x in enumerate(leaves) if isinstance(x, Tensor) and x._version)
            return run
        self._refuse_nan()
        if "log_factor" in str(failure):
            self._refuse_factor()
        raise ProgramError(f"program {self.name!r} fails Pyro's validation: {str(failure).splitlines()[0]}") from failure

    def _refuse_nan(self) -> None:
        """The likeliest reason why a program is invalid everywhere."""
        for name, argument in self.arguments.items():
            for leaf in tree_flatten(argument)[0]:
                if isinstance(leaf, Tensor) and leaf.isnan().any():
                    row = leaf.isnan().nonzero()[0].tolist()
                    raise DataError(f"argument {name!r} of program {self.name!r} holds NaN, first at {row}; drop such rows or fill them")

    def _refuse_factor(self) -> None:
        """A factor that is no number stops Pyro before the site is there."""
        with torch.random.fork_rng(devices=[]):
            run = self.run(FromUniform, generator=torch.Generator().manual_seed(0), radius=0.1)
        for name, site in run.sites.items():
            if site.kind == "factor" and (bad := torch.as_tensor(site.log_prob).isnan()).any():
                row = f" in row {int(bad.nonzero()[0, -1])}" if bad.dim() else ""
                raise DataError(f"factor {name!r} of program {self.name!r} is not a number{row}; look at what it computes there")

    def _all_params(self, run: Evaluation) -> dict[str, Tensor]:
        """Every parameter that can be learned: the module's own and those of param statements."""
        params = dict(self.module.named_parameters()) if self.module is not None else {}
        known = {id(p) for p in params.values()}
        return {**params, **{n: p for n, p in run.params.items() if id(p) not in known}}

    def _read(self, run: Evaluation) -> None:
        if not run.sites:
            raise ProgramError(f"program {self.name!r} has no sample site; call pyro.sample in it")
        start, sites = 0, {}
        for name, site in run.sites.items():
            size = site.free_size if site.continuous else 0
            sites[name] = replace(site, place=slice(start, start + size)) if site.continuous else site
            start += size
        self.sites, self.plates, self.dim = sites, run.plates, start
        self.nesting = max(getattr(s.log_prob, "ndim", 0) for s in sites.values())

    def _find_data_plate(self) -> str | None:
        """The outermost plate common to all observed sites, unless it was given. Time is none over which a latent chain runs: its
        indices hang together."""
        if self._data_plate is not None:
            if self._data_plate not in self.plates:
                raise ProgramError(f"data_plate {self._data_plate!r} is no plate of program {self.name!r}; it has {sorted(self.plates)}")
            return self._data_plate
        common = set.intersection(*[set(s.plates) for s in self.observed]) if self.observed else set()
        common -= {s.time for s in self.latent}
        return min(common, key=lambda p: self.plates[p].dim, default=None)

    # Other programs from this one

    def copy(self) -> "Program":
        """A program of its own modules and parameters: what learning works on."""
        self.sites  # noqa: B018  found once, for both
        other = copy.copy(self)
        own: dict[str, Tensor] = {}
        if self.module is not None:
            other.fn = copy.deepcopy(self.module)
            own = dict(other.fn.named_parameters())
        other.params = {n: own[n] if n in own else _twin(p) for n, p in self.params.items()}
        return other

    def minibatch(self, batch_size: int) -> "Program":
        """The same program on `batch_size` rows at a time. Where the data plate is subsampled by the program itself
        nothing changes; otherwise dimension 0 of every tensor argument of the data plate's length (or of `args_in_plate`) is
        gathered and all sites inside the plate are scaled by N / batch_size. Raises ProgramError.
        """
        plate = self._rows_of_data()
        if plate.subsample_size < plate.size:
            return self
        if not 0 < batch_size <= plate.size:
            raise ProgramError(f"batch_size must be between 1 and {plate.size}, the size of plate {plate.name!r}; got {batch_size}")
        other = copy.copy(self)
        other.batch_size, other.gathered = batch_size, self._gathered(plate.size)
        if not other.gathered:
            raise ProgramError(f"no tensor argument has {plate.size} rows, the size of the data plate {plate.name!r}")
        other._boost = (plate.name, plate.size / batch_size)
        other.rows = {ARGUMENTS: torch.arange(batch_size)}
        other._read(other.run(Outline, generator=torch.Generator().manual_seed(0)))
        if plate.name not in other.plates or other.plates[plate.name].size != batch_size:
            raise ProgramError(
                f"plate {plate.name!r} keeps its size when {batch_size} rows of the arguments are given; take its size from the data, "
                "or name the arguments to gather: Program(fn, args_in_plate=[...])"
            )
        return other

    def streamed(self, size: int) -> "Program":
        """The same program, whose arguments are some of the `size` rows of its data plate: its sites are scaled by size / rows.
        Raises ProgramError."""
        plate = self._rows_of_data()
        if plate.subsample_size < plate.size:
            raise ProgramError(f"plate {plate.name!r} subsamples by itself, and its data come in batches already; leave subsample_size out")
        other = copy.copy(self)
        other._boost = (plate.name, size / plate.size)
        other._read(other.run(Outline, generator=torch.Generator().manual_seed(0)))
        other.plates = {**other.plates, plate.name: plate._replace(size=size)}
        return other

    def _rows_of_data(self) -> Plate:
        if self.data_plate is None:
            raise ProgramError("minibatches need a data plate: one plate around all observed sites")
        return self.plates[self.data_plate]

    def leaves_with(self, inputs: Mapping[str, Tensor]) -> list[Any]:
        """The arguments, flattened, with the data that inputs name (data:i) in place of their own."""
        return [inputs[n].to(x) if (n := f"data:{i}") in inputs else x for i, x in enumerate(self.leaves)]

    def _gathered(self, size: int) -> frozenset[int]:
        """Which leaves of the arguments are rows of the data plate."""
        wanted = {i for i, x in enumerate(self.leaves) if isinstance(x, Tensor) and x.dim() and x.shape[0] == size}
        if self._args_in_plate is None:
            return frozenset(wanted)
        arguments = self.arguments
        if unknown := set(self._args_in_plate) - set(arguments):
            raise ProgramError(f"args_in_plate names {sorted(unknown)}, which are no arguments of the program ({list(arguments)})")
        chosen = {id(leaf) for n in self._args_in_plate for leaf in tree_flatten(arguments[n])[0]}
        return frozenset(i for i in wanted if id(self.leaves[i]) in chosen)

    # Running

    def run(
        self,
        evaluation: type[E],
        *,
        leaves: list[Any] | None = None,
        params: dict[str, Tensor] | None = None,
        validate: bool = False,
        method: str | None = None,
        grad: bool = False,
        buffers: Mapping[str, Tensor] | None = None,
        **settings: Any,
    ) -> E:
        """One run of the callable under a handler, in a private scope: neither Pyro's store, nor a module, nor an argument is
        written to.

        leaves    the tensors of the arguments, flattened; method: of a Family ("guide"), None calls it
        buffers   the program's `state`, where it is not that of the module; the handler gets it as the run leaves it
        """
        settings.setdefault("rows", dict(self.rows))
        own = frozenset(id(p) for p in self.module.parameters()) if self.module is not None else frozenset()
        handler = evaluation(params=dict(self.params) if params is None else params, own=own, boost=self._boost, **settings)
        args, kwargs = tree_unflatten(self._leaves(self.leaves if leaves is None else leaves, handler.rows), self.tree)
        call = self.fn if method is None else getattr(self.fn, method)
        context: Any = cast("Any", self.fn)._pyro_context if method is not None else contextlib.nullcontext()
        with (
            pyro.validation_enabled(validate),
            pyro.get_param_store().scope(),
            torch.set_grad_enabled(grad),
            _put_back(self.module, self._buffers | self.state, buffers or {}) as copies,
            _mode(self.module, self.trained),
            networks_in(self.autocast, self.module),
            handler,
            context,
            Swap(handler),
        ):
            call(*args, **kwargs)
            handler.buffers = {n: (copies[n], now) for n, now in _buffers_of(self.module, self.state).items()}
        return handler

    def _leaves(self, leaves: list[Any], rows: Mapping[str, Tensor]) -> list[Any]:
        """The arguments of one run: rows gathered, and copies of those that the program writes to."""
        if ARGUMENTS in rows:
            leaves = [x[rows[ARGUMENTS]] if i in self.gathered else x for i, x in enumerate(leaves)]
        return [x.clone() if i in self._changed else x for i, x in enumerate(leaves)]

    @contextlib.contextmanager
    def with_params(self, values: Mapping[str, Tensor]) -> Iterator[None]:
        """Run with other values of the parameters; the old ones come back."""
        before = {n: self.params[n].detach().clone() for n in values}
        self.set_params(values)
        try:
            yield
        finally:
            self.set_params(before)

    def constrained(self) -> dict[str, Tensor]:
        """Parameters as the program has them: what `pyro.param` gives, within its constraint."""
        return constrained(self.params, self.transforms)

    def set_params(self, values: Mapping[str, Tensor]) -> None:
        """Write values (unconstrained) into the parameters, in place."""
        with torch.no_grad():
            for name, value in values.items():
                self.params[name].copy_(value)

    def set_buffers(self, values: Mapping[str, Tensor]) -> None:
        """Write values into those of the module's buffers that have their names, in place."""
        own = dict(self.module.named_buffers()) if self.module is not None else {}
        for name in own.keys() & values.keys():
            own[name].copy_(values[name])


def constrained(params: Mapping[str, Tensor], transforms: Mapping[str, Any]) -> dict[str, Tensor]:
    """Unconstrained parameters within their constraints; those of modules are what they are."""
    free = {n for n, p in params.items() if n not in transforms or isinstance(p, torch.nn.Parameter)}
    with torch.no_grad():
        return {n: p.detach() if n in free else transforms[n](p) for n, p in params.items()}


def _twin(p: Tensor) -> Tensor:
    twin = p.detach().clone()
    return torch.nn.Parameter(twin) if isinstance(p, torch.nn.Parameter) else twin


def _buffers_of(module: torch.nn.Module | None, names: Iterable[str]) -> dict[str, Tensor]:
    """Buffers of a module by name, as they are now."""
    return {} if module is None else {n: module.get_buffer(n) for n in names}


@contextlib.contextmanager
def _put_back(module: torch.nn.Module | None, names: Iterable[str], given: Mapping[str, Tensor]) -> Iterator[dict[str, Tensor]]:
    """A run works on copies of a module's buffers, or of what is given in their place. Yields the copies."""
    own = _buffers_of(module, names)
    copies = {n: given.get(n, b).clone() for n, b in own.items()}
    _install(module, copies)
    try:
        yield copies
    finally:
        _install(module, own)


def _install(module: torch.nn.Module | None, buffers: Mapping[str, Tensor]) -> None:
    for n, b in buffers.items():
        owner, _, leaf = n.rpartition(".")
        module.get_submodule(owner)._buffers[leaf] = b  # type: ignore[union-attr]


@contextlib.contextmanager
def _mode(module: torch.nn.Module | None, trained: bool) -> Iterator[None]:
    """Training mode while a program that is trained runs."""
    if module is None or not trained:
        yield
        return
    module.train()
    try:
        yield
    finally:
        module.eval()
