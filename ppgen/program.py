"""A program: a callable with its arguments, and the one handler that gives every site its value.

The same handler finds the sites, records them and runs them eagerly for the checks; only where a latent site's value comes
from differs (`FromUniform`, `FromPosition`, `FromValues`, `FromGuide`).
"""

import contextlib
import copy
import inspect
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.util import scale_and_mask
from pyro.poutine.condition_messenger import ConditionMessenger
from pyro.poutine.enum_messenger import EnumMessenger
from pyro.poutine.runtime import _PYRO_STACK
from pyro.poutine.subsample_messenger import _Subsample
from torch import Tensor
from torch.distributions import biject_to, transform_to
from torch.distributions.constraints import Constraint
from torch.utils._pytree import tree_flatten, tree_unflatten

from .errors import DataError, EliminationError, GuideError, ProgramError, RecordingError, SupportError

__all__ = ["Evaluation", "FromGuide", "FromPosition", "FromUniform", "FromValues", "Plate", "Program", "Site"]

ARGUMENTS = "arguments"  # the rows of a program whose arguments are gathered (batch_size)


class Plate(NamedTuple):
    """A plate of a program: its dimension counts from the right, -1 is the rightmost."""

    name: str
    dim: int
    size: int
    subsample_size: int


@dataclass(frozen=True, eq=False)
class Site:
    """One site of a program as one run found it.

    kind                 latent, observed, conditioned (by `poutine.condition`), deterministic or factor
    plates               outermost first
    shape, event_dim     of the constrained value; batch dimensions first
    unconstrained_shape  of a continuous latent site; () otherwise
    place                where it stands in the flat position; None if it does not
    rows                 of a site made by `obs_mask`: the flat indices of its missing rows, which alone are latent
    """

    name: str
    kind: str
    plates: tuple[str, ...] = ()
    shape: torch.Size = torch.Size()
    event_dim: int = 0
    unconstrained_shape: torch.Size = torch.Size()
    support: Constraint | None = None
    discrete: bool = False
    distribution: str = ""
    value: Any = None
    place: slice | None = None
    rows: Tensor | None = None
    # What the run computed, for recording and checks
    log_prob: Any = field(default=None, repr=False)
    scale: Any = field(default=1.0, repr=False)
    raw: Any = field(default=None, repr=False)  # the value above its mark
    log_jacobian: Any = field(default=None, repr=False)
    unconstrained: Any = field(default=None, repr=False)  # flat, computed from the marked value
    dims: tuple[str | None, ...] = field(default=(), repr=False)  # a name for each dimension of log_prob

    @property
    def continuous(self) -> bool:
        return self.kind == "latent" and not self.discrete


def is_delta(fn: Any) -> bool:
    while hasattr(fn, "base_dist"):
        fn = fn.base_dist
    return isinstance(fn, dist.Delta)


def is_unit(fn: Any) -> bool:
    while hasattr(fn, "base_dist"):
        fn = fn.base_dist
    return isinstance(fn, dist.Unit)


class Latent(NamedTuple):
    """What a run knows of a continuous latent site besides its value."""

    shape: torch.Size  # unconstrained
    raw: Tensor
    log_jacobian: Tensor | None
    unconstrained: Tensor | None
    rows: Tensor | None


class Evaluation(EnumMessenger):
    """One run of a program, as the outermost handler: every latent site gets its value from `latent_value`, every
    parameter from `params`, every subsampled plate its rows from `rows`.

    enumerate_dim   first dimension free for enumeration; None: discrete sites get a value like any other
    tape            marks the value of each site while recording
    boost           (plate, factor): sites inside the data plate are scaled by it where the arguments' rows are gathered
    """

    def __init__(
        self,
        *,
        params: dict[str, Tensor] | None = None,
        rows: dict[str, Tensor] | None = None,
        enumerate_dim: int | None = None,
        tape: Any = None,
        boost: tuple[str, float] | None = None,
        check: bool = False,
    ):
        super().__init__(enumerate_dim)
        self.enumerate_dim, self.tape, self.boost, self.check = enumerate_dim, tape, boost, check
        self.params = {} if params is None else params
        self.rows = {} if rows is None else rows
        self.sites: dict[str, Site] = {}
        self.plates: dict[str, Plate] = {}
        self.enumerated: dict[int, str] = {}  # Pyro's id of an enumeration dimension -> its site

    def latent_value(self, msg: Any) -> tuple[Any, Latent | None]:
        """The value of a latent site that is not enumerated."""
        raise NotImplementedError

    def mark(self, value: Any, name: str) -> Any:
        if self.tape is None or not isinstance(value, Tensor) or not value.numel():
            return value
        return self.tape.mark(value, name)

    # Samples

    def _pyro_sample(self, msg: Any) -> None:
        fn = msg["fn"]
        if isinstance(fn, _Subsample):
            self._subsample(msg)
            return
        if msg["name"] in self.sites:
            raise ProgramError(f"site {msg['name']!r} appears twice in one run of the program; give each site its own name")
        if msg["is_observed"] or msg["done"]:
            if self.enumerate_dim is not None:
                super()._pyro_sample(msg)
            return
        discrete = fn.support.is_discrete
        if discrete and self.enumerate_dim is not None and self.enumerable(msg):
            msg["infer"].update(enumerate="parallel", expand=False)
            super()._pyro_sample(msg)
            return
        if self.enumerate_dim is not None:
            super()._pyro_sample(msg)  # notes which enumeration dimensions are in scope
        value, latent = self.latent_value(msg)
        msg["infer"]["_ppgen"] = latent
        msg["value"], msg["done"] = value, True

    def enumerable(self, msg: Any) -> bool:
        if not msg["fn"].has_enumerate_support:
            kind = type(msg["fn"]).__name__
            raise EliminationError(
                f"latent site {msg['name']!r} is discrete ({kind}) and has no finite support to sum over; observe it, condition "
                "on it, or give the program a distribution with finite support"
            )
        return True

    def _subsample(self, msg: Any) -> None:
        """The index of a subsampled plate is an input, never a draw."""
        fn, name = msg["fn"], msg["name"]
        if msg["value"] is None and fn.subsample_size not in (None, -1) and fn.subsample_size < fn.size:
            if name not in self.rows:
                self.rows[name] = torch.arange(fn.subsample_size, device=fn.device)
            msg["value"] = self.rows[name]

    def _pyro_post_sample(self, msg: Any) -> None:
        name, fn = msg["name"], msg["fn"]
        if isinstance(fn, _Subsample):
            return
        if self.enumerate_dim is not None:
            super()._pyro_post_sample(msg)
        infer = msg["infer"]
        latent: Latent | None = infer.pop("_ppgen", None)
        kind = _kind(msg)
        if self.check and kind == "observed":
            _check_observed(name, fn, msg["value"], msg["mask"])
        discrete = kind == "latent" and latent is None and fn.support.is_discrete
        if latent is None and kind != "factor":
            label = name if kind in ("latent", "deterministic") else "observed:" + name
            raw = msg["value"]
            msg["value"] = self.mark(raw, label)
        else:
            raw = latent.raw if latent is not None else msg["value"]
        value = msg["value"]
        log_prob = scale_and_mask(fn.log_prob(value), 1.0, msg["mask"])
        if discrete and name.endswith("_unobserved") and isinstance(msg["mask"], Tensor):
            log_prob = _count_once(log_prob, value, fn, msg["mask"])
        frames = sorted((f for f in msg["cond_indep_stack"] if f.vectorized), key=lambda f: f.dim)
        for f in frames:
            self.plates[f.name] = Plate(f.name, f.dim, f.full_size or f.size, f.size)
        scale = msg["scale"]
        if self.boost is not None and any(f.name == self.boost[0] for f in frames):
            scale = scale * self.boost[1]
        self.sites[name] = Site(
            name=name,
            kind=kind,
            plates=tuple(f.name for f in frames),
            shape=torch.Size(getattr(value, "shape", ())),
            event_dim=fn.event_dim,
            unconstrained_shape=latent.shape if latent is not None else torch.Size(),
            support=fn.support if kind != "factor" else None,
            discrete=discrete,
            distribution=_distribution_name(fn),
            value=value,
            rows=latent.rows if latent is not None else None,
            log_prob=log_prob,
            scale=scale,
            raw=raw,
            log_jacobian=latent.log_jacobian if latent is not None else None,
            unconstrained=latent.unconstrained if latent is not None else None,
            dims=self._dims(name, log_prob, infer, {f.dim: f.name for f in frames}),
        )

    def _dims(self, name: str, log_prob: Any, infer: Mapping, plates: Mapping[int, str]) -> tuple[str | None, ...]:
        """A name for each dimension of a factor: its plate, its enumerated site, or a bare batch dimension."""
        names: list[str | None] = []
        ids = infer.get("_dim_to_id", {})
        if self.enumerate_dim is not None and "_enumerate_dim" in infer:
            self.enumerated[ids[infer["_enumerate_dim"]]] = name
        for d in range(-getattr(log_prob, "ndim", 0), 0):
            wide = log_prob.shape[d] > 1
            if self.enumerate_dim is not None and d <= self.enumerate_dim:
                names.append(self.enumerated.get(ids.get(d, -1)) if wide else None)
            else:
                names.append(plates.get(d, f"dim{d}:{log_prob.shape[d]}" if wide else None))
        return tuple(names)

    # Parameters

    def _pyro_param(self, msg: Any) -> None:
        """`pyro.param(name, initial)`: the unconstrained leaf of `params` is the parameter. The param statement of a
        module's own PyroParam has no initial value and reads the run's private store."""
        if len(msg["args"]) < 2:
            return
        name, initial = msg["name"], msg["args"][1]
        transform = transform_to(msg["kwargs"].get("constraint", dist.constraints.real))
        if name not in self.params:
            if callable(initial) and not isinstance(initial, Tensor):
                initial = initial()
            if isinstance(initial, torch.nn.Parameter):  # pyro.module: the object that the program touches
                self.params[name] = initial
            else:
                self.params[name] = transform.inv(torch.as_tensor(initial)).detach().clone()
        leaf = self.params[name]
        value = leaf if isinstance(leaf, torch.nn.Parameter) else transform(leaf)
        if value is leaf and not isinstance(leaf, torch.nn.Parameter):
            value = leaf.view_as(leaf)
        value.unconstrained = weakref.ref(leaf)  # a subsampled plate asks for it
        msg["value"], msg["done"] = value, True


def _kind(msg: Any) -> str:
    fn, infer = msg["fn"], msg["infer"]
    if is_unit(fn):
        return "factor"
    if infer.get("_deterministic") or is_delta(fn):
        return "deterministic"
    if not msg["is_observed"]:
        return "latent"
    given = any(isinstance(h, ConditionMessenger) and msg["name"] in h.data for h in _PYRO_STACK)
    return "conditioned" if given else "observed"


def _distribution_name(fn: Any) -> str:
    while isinstance(fn, (dist.Independent, dist.MaskedDistribution, dist.ExpandedDistribution)):
        fn = fn.base_dist
    return type(fn).__name__


def _count_once(log_prob: Tensor, value: Tensor, fn: Any, mask: Tensor) -> Tensor:
    """A missing-data site's factor is masked to 0 at observed rows; summing it over K values would count each row K
    times. There it keeps the first value of its support only."""
    first = fn.enumerate_support(expand=False)[0]
    same = (value == first).reshape(*value.shape[: value.dim() - fn.event_dim], -1).all(-1)
    return torch.where(mask | same, log_prob, -torch.inf)


def _check_observed(name: str, fn: Any, value: Any, mask: Any) -> None:
    """NaN and values outside the support raise early, by site and row."""
    if not isinstance(value, Tensor):
        return
    shape = torch.broadcast_shapes(fn.batch_shape + fn.event_shape, value.shape)
    full = value.expand(shape)
    batch = shape[: len(shape) - fn.event_dim]
    counted = torch.ones(batch, dtype=torch.bool, device=value.device)
    if isinstance(mask, Tensor):
        counted = counted & mask
    elif mask is False:
        return
    nan = torch.isnan(full).reshape(*batch, -1).any(-1) & counted
    if nan.any():
        raise DataError(f"site {name!r}: NaN in the data at {_row(nan)}; mark missing values with obs_mask or drop them")
    inside = fn.support.check(full)
    if inside.shape != batch:
        inside = inside.reshape(*batch, -1).all(-1)
    outside = ~inside & counted
    if outside.any():
        at = tuple(outside.nonzero()[0].tolist())
        expected = str(fn.support)
        raise SupportError(f"site {name!r}: the value {full[at].tolist()} at {_row(outside)} lies outside its support, {expected}")


def _row(wrong: Tensor) -> str:
    """Where the first of the wrong entries stands, and how many there are."""
    if wrong.dim() == 0:
        return "its only entry"
    first = wrong.nonzero()[0].tolist()
    where = f"row {first[0]}" if len(first) == 1 else f"entry {tuple(first)}"
    count = int(wrong.sum())
    return where + (f" (and {count - 1} more)" if count > 1 else "")


def missing_rows(msg: Any) -> Tensor | None:
    """Of the site that `obs_mask` makes for the missing rows: their flat indices. At observed rows no factor holds such
    a site, an improper flat direction, so those coordinates leave the position."""
    mask = msg["mask"]
    if not msg["name"].endswith("_unobserved") or not isinstance(mask, Tensor):
        return None
    return mask.expand(msg["fn"].batch_shape).reshape(-1).nonzero()[:, 0]


class FromUniform(Evaluation):
    """Finds the sites: latent values uniform in (-2, 2) of unconstrained space, so that no prior is ever sampled: an
    ImproperUniform is like any other site. `near` holds a place for these values instead of 0."""

    def __init__(self, *, generator: torch.Generator, radius: float = 2.0, **settings: Any):
        super().__init__(**settings)
        self.generator, self.radius = generator, radius

    def latent_value(self, msg: Any) -> tuple[Any, Latent | None]:
        fn = msg["fn"]
        if fn.support.is_discrete:
            return self._discrete(msg), None
        transform = biject_to(fn.support)
        shape = torch.Size(transform.inverse_shape(fn.batch_shape + fn.event_shape))
        u = (torch.rand(shape, generator=self.generator, dtype=torch.float64) * 2 - 1) * self.radius
        u = u.to(_dtype(fn), copy=False).to(_device(fn))
        value = transform(u)
        return value, Latent(shape, value, None, None, missing_rows(msg))

    def _discrete(self, msg: Any) -> Any:
        """A plain draw; the program's other randomness is pinned by the caller."""
        if msg["fn"].has_enumerate_support:
            support = msg["fn"].enumerate_support(expand=True)
            return support[0]
        return msg["fn"].sample()


def _dtype(fn: Any) -> torch.dtype:
    """The dtype of a distribution's parameters, as far as they tell."""
    while hasattr(fn, "base_dist"):
        fn = fn.base_dist
    for name in getattr(fn, "arg_constraints", {}):
        value = fn.__dict__.get(name)
        if isinstance(value, Tensor) and value.dtype.is_floating_point:
            return value.dtype
    return torch.get_default_dtype()


def _device(fn: Any) -> torch.device:
    while hasattr(fn, "base_dist"):
        fn = fn.base_dist
    for name in getattr(fn, "arg_constraints", {}):
        value = fn.__dict__.get(name)
        if isinstance(value, Tensor):
            return value.device
    return torch.empty(0).device


class FromPosition(Evaluation):
    """Latent values from the flat position. Each support is re-read here: it may hold other sites' values."""

    def __init__(self, *, position: Tensor, layout: Mapping[str, Site], **settings: Any):
        super().__init__(**settings)
        self.position, self.layout = position, layout

    def latent_value(self, msg: Any) -> tuple[Any, Latent | None]:
        name, fn = msg["name"], msg["fn"]
        if fn.support.is_discrete:
            return self.layout[name].value, None
        if name not in self.layout:
            raise RecordingError(f"site {name!r} appears in this run but not in the first one: the sites depend on values")
        at = self.layout[name]
        transform = biject_to(fn.support)
        part = self.position[at.place]
        shape = at.unconstrained_shape
        if at.rows is None:
            u = part.reshape(shape)
        else:
            batch = torch.Size(fn.batch_shape).numel()
            u = part.new_zeros(batch, shape.numel() // max(batch, 1)).index_put((at.rows,), part.reshape(len(at.rows), -1))
            u = u.reshape(shape)
        raw = transform(u)
        if raw.shape != at.shape:
            raise EliminationError(
                f"the support of site {name!r} depends on an enumerated site; write it with a fixed support and a mask or factor"
            )
        log_jacobian = transform.log_abs_det_jacobian(u, raw)
        if at.rows is not None:
            log_jacobian = log_jacobian.reshape(batch, -1)[at.rows]
        value = self.mark(raw, name)
        back = transform.inv(value)
        if at.rows is not None:
            back = back.reshape(batch, -1)[at.rows]
        return value, Latent(shape, raw, log_jacobian.sum(), back.reshape(-1), at.rows)


class FromValues(Evaluation):
    """Latent values as given, constrained; with `tape`, marked like those of a recording."""

    def __init__(self, *, values: Mapping[str, Tensor], **settings: Any):
        super().__init__(**settings)
        self.values = values

    def latent_value(self, msg: Any) -> tuple[Any, Latent | None]:
        value = self.values[msg["name"]]
        if msg["fn"].support.is_discrete:
            return value, None
        return value, Latent(torch.Size(), value, None, None, None)


class FromGuide(Evaluation):
    """A guide's latent values: drawn by its own reparameterised samplers."""

    def latent_value(self, msg: Any) -> tuple[Any, Latent | None]:
        name, fn = msg["name"], msg["fn"]
        if fn.support.is_discrete:
            raise GuideError(f"the guide's discrete site {name!r} cannot be enumerated here")
        if not fn.has_rsample:
            raise GuideError(
                f"the guide's site {name!r} ({_distribution_name(fn)}) has no reparameterised sampler, so no gradient reaches its "
                "parameters; use a distribution with rsample"
            )
        raw = fn.rsample()
        return self.mark(raw, name), Latent(torch.Size(), raw, None, None, None)


class Program:
    """A callable with its arguments: a function, a module or a Family.

    Modules are copied, so that what is learned or changed later outside does not reach into the program. Running it
    finds its sites, in program order. `args` and `kwargs` are the user's own.

    Raises DataError (NaN in observed data), SupportError (a value outside its support), ProgramError.
    """

    def __init__(self, fn: Callable, *args: Any, **kwargs: Any):
        if not callable(fn):
            raise ProgramError(f"a program is a callable (a function, a module or a Family); {type(fn).__name__} is none")
        self.fn = copy.deepcopy(fn) if isinstance(fn, torch.nn.Module) else fn
        if isinstance(self.fn, torch.nn.Module):
            self.fn.eval()
        self.args, self.kwargs = args, kwargs
        self.params: dict[str, Tensor] = {}
        self.rows: dict[str, Tensor] = {}
        self.batch_size: int | None = None
        self._find()

    @classmethod
    def of(cls, program: "Callable | Program", *args: Any, **kwargs: Any) -> "Program":
        """A Program as it is (bound to other arguments where any are given); anything else becomes one."""
        if isinstance(program, Program):
            return program.bind(*args, **kwargs) if args or kwargs else program
        return cls(program, *args, **kwargs)

    @property
    def family(self) -> Any:
        """The callable itself where it is a model/guide pair, else None."""
        return self.fn if isinstance(self.fn, torch.nn.Module) and hasattr(self.fn, "guide") else None

    @property
    def name(self) -> str:
        """The callable's name, as reports print it."""
        fn = self.fn
        return getattr(fn, "__name__", None) or type(fn).__name__

    def bind(self, *args: Any, **kwargs: Any) -> "Program":
        """The same callable and parameters with other arguments."""
        other = copy.copy(self)
        other.args, other.kwargs, other.batch_size = args, kwargs, None
        other.rows = {}
        other.params = dict(self.params)
        other._find()
        return other

    def copy(self) -> "Program":
        """A program of its own modules and parameters: what learning works on."""
        other = copy.copy(self)
        if isinstance(self.fn, torch.nn.Module):
            other.fn = copy.deepcopy(self.fn)
            modules = dict(other.fn.named_parameters())
            other.params = {n: modules.get(n, p.detach().clone()) for n, p in self.params.items()}
        else:
            other.params = {
                n: torch.nn.Parameter(p.detach().clone()) if isinstance(p, torch.nn.Parameter) else p.clone()
                for n, p in self.params.items()
            }
        return other

    def minibatch(self, batch_size: int, args_in_plate: tuple[str, ...] | None = None) -> "Program":
        """The same program on `batch_size` rows at a time. Where the data plate is subsampled by the program itself
        nothing changes; otherwise dimension 0 of every tensor argument of the data plate's length is gathered and all
        sites inside the plate are scaled by N / batch_size.

        args_in_plate   names of the arguments to gather, where lengths coincide by accident
        """
        if self.data_plate is None:
            raise ProgramError("minibatches need a data plate: one plate around all observed sites")
        plate = self.plates[self.data_plate]
        if plate.subsample_size < plate.size:
            return self
        if not 0 < batch_size <= plate.size:
            raise ProgramError(f"batch_size must be between 1 and {plate.size}, the size of plate {plate.name!r}; got {batch_size}")
        other = copy.copy(self)
        other.batch_size, other.gathered = batch_size, self._gathered(plate.size, args_in_plate)
        if not other.gathered:
            raise ProgramError(f"no tensor argument has {plate.size} rows, the size of the data plate {plate.name!r}")
        other._boost = (plate.name, plate.size / batch_size)
        other.rows = {ARGUMENTS: torch.arange(batch_size)}
        other._read(other.run(FromUniform, generator=_generator()))
        other.data_plate = plate.name
        return other

    def _gathered(self, size: int, names: tuple[str, ...] | None) -> frozenset[int]:
        """Which leaves of the arguments are rows of the data plate."""
        wanted = [i for i, x in enumerate(self.leaves) if isinstance(x, Tensor) and x.dim() and x.shape[0] == size]
        if names is None:
            return frozenset(wanted)
        bound = inspect.signature(self.fn).bind(*self.args, **self.kwargs).arguments
        unknown = set(names) - set(bound)
        if unknown:
            raise ProgramError(f"args_in_plate names {sorted(unknown)}, which are no arguments of the program ({list(bound)})")
        chosen = [id(leaf) for n in names for leaf in tree_flatten(bound[n])[0]]
        return frozenset(i for i in wanted if id(self.leaves[i]) in chosen)

    # Finding

    def _find(self) -> None:
        self.leaves, self.tree = tree_flatten((self.args, self.kwargs))
        self.data = {f"data:{i}": x for i, x in enumerate(self.leaves) if isinstance(x, Tensor)}
        self.gathered: frozenset[int] = frozenset()
        self._boost: tuple[str, float] | None = None
        run = self._first_run()
        self.rows, self.params = run.rows, self._all_params(run)
        self._read(run)
        observed = [s for s in self.sites.values() if s.kind == "observed"]
        common = set.intersection(*[set(s.plates) for s in observed]) if observed else set()
        self.data_plate: str | None = min(common, key=lambda p: self.plates[p].dim, default=None)

    def _first_run(self) -> Evaluation:
        """Once with Pyro's own checks on: they read values back, so recording runs without them. A program may be invalid
        far out (a rate that overflows), so a smaller neighbourhood of the origin is tried too."""
        for radius in (2.0, 0.1):
            try:
                with torch.random.fork_rng(devices=[]):
                    return self.run(FromUniform, generator=_generator(), radius=radius, validate=True, check=True)
            except ValueError as error:  # what Pyro's validation raises
                failure = error
        raise ProgramError(f"program {self.name!r} fails Pyro's validation: {str(failure).splitlines()[0]}") from failure

    def _all_params(self, run: Evaluation) -> dict[str, Tensor]:
        """Every parameter that can be learned: the module's own and those of param statements."""
        params = dict(self.fn.named_parameters()) if isinstance(self.fn, torch.nn.Module) else {}
        known = {id(p) for p in params.values()}
        return {**params, **{n: p for n, p in run.params.items() if id(p) not in known}}

    def _read(self, run: Evaluation) -> None:
        if not run.sites:
            raise ProgramError(f"program {self.name!r} has no sample site; call pyro.sample in it")
        start, sites = 0, {}
        for name, site in run.sites.items():
            if site.continuous:
                each = site.unconstrained_shape.numel()
                if site.rows is not None:
                    batch = site.shape[: len(site.shape) - site.event_dim].numel()
                    each = each // max(batch, 1) * len(site.rows)
                site = replace(site, place=slice(start, start + each))
                start += each
            sites[name] = site
        self.sites: dict[str, Site] = sites
        self.dim = start
        self.plates: dict[str, Plate] = run.plates
        self.nesting = max(getattr(s.log_prob, "ndim", 0) for s in sites.values())

    @property
    def latent(self) -> list[Site]:
        return [s for s in self.sites.values() if s.kind == "latent"]

    @property
    def observed(self) -> list[Site]:
        return [s for s in self.sites.values() if s.kind == "observed"]

    @property
    def discrete(self) -> list[str]:
        return [s.name for s in self.latent if s.discrete]

    # Running

    def run(
        self,
        evaluation: type[Evaluation],
        *,
        leaves: list | None = None,
        params: dict[str, Tensor] | None = None,
        validate: bool = False,
        method: str | None = None,
        grad: bool = False,
        **settings: Any,
    ) -> Evaluation:
        """One run of the callable under a handler, in a private scope: neither Pyro's store nor a module is written to.

        leaves   the tensors of the arguments, flattened; method: of a Family ("guide"), None calls it
        """
        leaves = self.leaves if leaves is None else leaves
        settings.setdefault("rows", dict(self.rows))
        handler = evaluation(params=dict(self.params) if params is None else params, boost=self._boost, **settings)
        if ARGUMENTS in handler.rows:
            rows = handler.rows[ARGUMENTS]
            leaves = [x[rows] if i in self.gathered else x for i, x in enumerate(leaves)]
        args, kwargs = tree_unflatten(leaves, self.tree)
        call = self.fn if method is None else getattr(self.fn, method)
        context = self.fn._pyro_context if method is not None else contextlib.nullcontext()  # type: ignore[union-attr]
        with (
            pyro.validation_enabled(validate),
            pyro.get_param_store().scope(),
            torch.set_grad_enabled(grad),
            handler,
            context,
        ):
            call(*args, **kwargs)
        return handler

    @contextlib.contextmanager
    def with_params(self, values: Mapping[str, Tensor]) -> Iterator[None]:
        """Run with other values of the parameters; the old ones come back."""
        before = {n: self.params[n].detach().clone() for n in values}
        self.set_params(values)
        try:
            yield
        finally:
            self.set_params(before)

    def set_params(self, values: Mapping[str, Tensor]) -> None:
        """Write values (unconstrained) into the parameters, in place."""
        with torch.no_grad():
            for name, value in values.items():
                self.params[name].copy_(value)


def _generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)
