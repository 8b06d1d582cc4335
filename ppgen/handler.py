"""The one handler of Pyro's messages: every latent site gets its value from a source, every parameter and every subsampled
plate's rows from outside.

The same handler finds the sites of a program, records them and runs them eagerly for the checks; only where a latent value
comes from differs (sources.py). Nothing else in ppgen touches Pyro's private parts.
"""

import weakref
from collections.abc import Mapping
from typing import Any

import pyro.distributions as dist
import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin
from pyro.distributions.util import scale_and_mask
from pyro.poutine.enum_messenger import EnumMessenger
from pyro.poutine.runtime import _ENUM_ALLOCATOR
from pyro.poutine.subsample_messenger import _Subsample
from torch import Tensor
from torch.distributions import transform_to
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map_only

from .bijections import support_of_law
from .chains import chain_of
from .elimination import previous
from .errors import EliminationError, ProgramError
from .observing import check_observed, count_once, hide_masked, mask_of
from .sites import Latent, Plate, Site, as_validation_is, distribution_name, kind_of

__all__ = ["Evaluation", "Swap"]


class Evaluation(EnumMessenger):
    """One run of a program, as the outermost handler.

    params          unconstrained leaves of `pyro.param` statements; a run adds those that it meets first
    own             ids of the Parameters of the program's own module, which are used as they are
    rows            indices of subsampled plates; a run adds those that it meets first
    enumerate_dim   first dimension free for enumeration; None: discrete sites get a value like any other
    tape            marks the value of each site while recording
    boost           (plate, factor): sites inside the data plate are scaled by it where the arguments' rows are gathered
    check           observed values are checked: NaN and the support
    held            discrete sites that have these values and are neither summed out nor counted as latent
    """

    def __init__(
        self,
        *,
        params: dict[str, Tensor] | None = None,
        own: frozenset[int] = frozenset(),
        rows: dict[str, Tensor] | None = None,
        enumerate_dim: int | None = None,
        tape: Any = None,
        boost: tuple[str, float] | None = None,
        check: bool = False,
        held: Mapping[str, Tensor] | None = None,
    ):
        super().__init__(enumerate_dim)
        self.enumerate_dim, self.tape, self.boost, self.check, self.own = enumerate_dim, tape, boost, check, own
        self.held = held or {}
        self.params = {} if params is None else params
        self.rows = {} if rows is None else rows
        self.buffers: dict[str, tuple[Tensor, Tensor]] = {}  # of the program's state: the run's own copy, and what there is at its end
        self.sites: dict[str, Site] = {}
        self.plates: dict[str, Plate] = {}
        self.enumerated: dict[int, str] = {}  # Pyro's id of an enumeration dimension -> its site
        self.single: set[str] = set()  # enumerated sites of one value: dimensions of size 1 are theirs all the same
        self.foreign: dict[int, tuple[Tensor, Tensor]] = {}  # id of somebody else's Parameter -> it and the run's own
        self.transforms: dict[str, Any] = {}  # from unconstrained numbers, by parameter

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
        self._must_be_a_site(msg)
        kind = kind_of(msg)
        if kind in ("observed", "conditioned"):
            if self.check:
                check_observed(msg)
            msg["value"] = hide_masked(msg)
        given = msg["is_observed"] or msg["done"]
        held = kind == "latent" and not given and msg["name"] in self.held
        if kind == "latent" and not (given or held) and fn.support.is_discrete and self.enumerate_dim is not None:
            self._must_be_finite(msg)
            msg["infer"].update(enumerate="parallel", expand=False)
        if held:
            msg["infer"]["enumerate"] = None
        if self.enumerate_dim is not None:
            self._enumerate(msg)
        if given or msg["done"]:
            return
        if held:
            msg["value"], msg["done"], msg["infer"]["_ppgen_held"] = self.held[msg["name"]], True, True
            return
        value, latent = self.latent_value(msg) if kind == "latent" else (fn.rsample(), None)  # a Delta
        msg["infer"]["_ppgen"] = latent
        msg["value"], msg["done"] = value, True

    def _must_be_a_site(self, msg: Any) -> None:
        fn = msg["fn"]
        if msg["name"] in self.sites:
            raise ProgramError(f"site {msg['name']!r} appears twice in one run of the program; give each site its own name")
        if not isinstance(fn, TorchDistributionMixin):
            raise ProgramError(f"site {msg['name']!r} has a {type(fn).__module__}.{type(fn).__name__}; take it from pyro.distributions")
        if msg["name"].endswith("_unobserved") and isinstance(msg["mask"], Tensor) and chain_of(fn) is not None:
            name = msg["name"].removesuffix("_unobserved")
            raise ProgramError(
                f"site {name!r}: obs_mask would take a DiscreteChain apart; sample the whole chain, and say which states are known by "
                f'pyro.factor("known", torch.where(mask & ({name} != value), -torch.inf, 0.0)) in the same plates'
            )

    def _must_be_finite(self, msg: Any) -> None:
        if not msg["fn"].has_enumerate_support and chain_of(msg["fn"]) is None:
            raise EliminationError(
                f"latent site {msg['name']!r} is discrete ({distribution_name(msg['fn'])}) and has no finite support to sum over; "
                "observe it, condition on it, or give the program a distribution with finite support"
            )

    def _enumerate(self, msg: Any) -> None:
        """Gives a site that is to be enumerated its support, or notes which enumeration dimensions are in scope. A chain's support are
        its states at one time, in a dimension of their own; those at the time before have another one."""
        fn, name = msg["fn"], msg["name"]
        chain = chain_of(fn)
        if chain is None or msg["is_observed"] or msg["done"] or msg["infer"].get("enumerate") != "parallel":
            super()._pyro_sample(msg)
            return
        frames = [f for f in msg["cond_indep_stack"] if f.vectorized and f.dim == -1]
        if fn.event_dim or not frames:
            raise EliminationError(
                f"site {name!r} is a DiscreteChain outside of a plate over time: sample it as it is, without to_event, inside "
                f'pyro.plate("time", {fn.shape()[-1]}, dim=-1)'
            )
        if frames[0].full_size not in (None, frames[0].size):
            raise EliminationError(f"site {name!r}: plate {frames[0].name!r}, the time of a DiscreteChain, cannot be subsampled")
        msg["fn"] = chain.states()
        super()._pyro_sample(msg)
        msg["fn"] = fn
        dim, id_ = _ENUM_ALLOCATOR.allocate(None)
        self.enumerated[id_] = previous(name)
        msg["infer"]["_dim_to_id"][dim] = id_
        msg["infer"]["_ppgen_before"] = dim

    def _log_prob(self, msg: Any, unknown: bool) -> tuple[Any, bool]:
        """Of a site, and whether it is that of the pairs of a chain."""
        fn, value = msg["fn"], msg["value"]
        chain = chain_of(fn) if unknown else None
        if chain is None or fn.event_dim:
            return scale_and_mask(fn.log_prob(value), 1.0, msg["mask"]), False
        dim = msg["infer"].pop("_ppgen_before", None)
        mask = mask_of(msg)
        mask = None if mask is True else mask  # nothing rests: the steps stay the same at all times
        if dim is None:
            log_prob = chain.log_prob(value)
            return log_prob if mask is None else chain.resting(log_prob, value, torch.as_tensor(mask)), False
        pairs = chain.pairs if mask is None else chain.resting_pairs(torch.as_tensor(mask))
        return _in_dimensions(pairs, dim, msg["infer"]["_enumerate_dim"]), True

    def _subsample(self, msg: Any) -> None:
        """The index of a subsampled plate is an input, never a draw."""
        fn, name = msg["fn"], msg["name"]
        if msg["value"] is None and fn.subsample_size not in (None, -1) and fn.subsample_size < fn.size:
            if name not in self.rows:
                self.rows[name] = torch.arange(fn.subsample_size, device=fn.device)
            msg["value"] = self.rows[name]

    def _pyro_post_sample(self, msg: Any) -> None:
        if isinstance(msg["fn"], _Subsample):
            return
        if self.enumerate_dim is not None:
            super()._pyro_post_sample(msg)
        latent: Latent | None = msg["infer"].pop("_ppgen", None)
        kind = "held" if msg["infer"].pop("_ppgen_held", False) else kind_of(msg)
        raw = msg["value"] if latent is None else latent.raw
        if latent is None and kind != "factor":
            msg["value"] = self.mark(raw, msg["name"] if kind in ("latent", "held", "deterministic") else "observed:" + msg["name"])
        self.sites[msg["name"]] = self._site(msg, kind, raw, latent)

    def _site(self, msg: Any, kind: str, raw: Any, latent: Latent | None) -> Site:
        name, fn, value = msg["name"], msg["fn"], msg["value"]
        discrete = kind == "latent" and latent is None
        with as_validation_is(fn):
            log_prob, in_pairs = self._log_prob(msg, discrete or kind == "held")
        if (discrete or kind == "held") and name.endswith("_unobserved") and isinstance(msg["mask"], Tensor):
            log_prob = count_once(log_prob, value, fn, msg["mask"])
        frames = sorted((f for f in msg["cond_indep_stack"] if f.vectorized), key=lambda f: f.dim)
        for f in frames:
            self.plates[f.name] = Plate(f.name, f.dim, f.full_size or f.size, f.size)
        boosted = self.boost is not None and any(f.name == self.boost[0] for f in frames)
        return Site(
            name=name,
            kind=kind,
            plates=tuple(f.name for f in frames),
            shape=torch.Size(getattr(value, "shape", ())),
            event_dim=fn.event_dim,
            unconstrained_shape=latent.shape if latent is not None else torch.Size(),
            support=support_of_law(fn) if kind != "factor" else None,
            discrete=discrete,
            distribution=distribution_name(fn),
            value=value,
            rows=latent.rows if latent is not None else None,
            time=frames[-1].name if discrete and frames and frames[-1].dim == -1 and chain_of(fn) is not None else None,
            log_prob=log_prob,
            scale=msg["scale"] * self.boost[1] if boosted else msg["scale"],  # type: ignore[index]
            raw=raw,
            log_jacobian=latent.log_jacobian if latent is not None else None,
            unconstrained=latent.unconstrained if latent is not None else None,
            dims=self._dims(name, log_prob, msg["infer"], {f.dim: f.name for f in frames}, in_pairs),
        )

    def _dims(self, name: str, log_prob: Any, infer: Mapping[str, Any], plates: Mapping[int, str], chain: bool) -> tuple[str | None, ...]:
        """A name for each dimension of a factor: its plate, its enumerated site, or a bare batch dimension. The pairs of a chain
        lack the plates in which they are all the same."""
        names: list[str | None] = []
        ids = infer.get("_dim_to_id", {})
        if self.enumerate_dim is not None and "_enumerate_dim" in infer:
            self.enumerated[ids[infer["_enumerate_dim"]]] = name
            if log_prob.shape[infer["_enumerate_dim"]] == 1:
                self.single.add(name)
        for d in range(-getattr(log_prob, "ndim", 0), 0):
            wide = log_prob.shape[d] > 1
            if self.enumerate_dim is not None and d <= self.enumerate_dim:
                site = self.enumerated.get(ids.get(d, -1))
                if wide and site is None:
                    theirs = ", ".join(map(repr, self.enumerated.values()))
                    raise EliminationError(
                        f"site {name!r}: its log density has shape {tuple(log_prob.shape)} where discrete sites are enumerated, and "
                        f"dimension {d} is none of theirs ({theirs}). Discrete values have dimensions of their own, left of all plates: "
                        "index and compare with them as they are, without unsqueeze or reshape"
                    )
                names.append(site if wide or site in self.single else None)
            elif chain and not wide:
                names.append(None)
            else:
                names.append(plates.get(d, f"dim{d}:{log_prob.shape[d]}" if wide else None))
        return tuple(names)

    # Parameters

    def _pyro_param(self, msg: Any) -> None:
        """`pyro.param(name, initial)`: the unconstrained leaf of `params` is the parameter. The param statement of a
        module's own PyroParam has no initial value and reads the run's private store."""
        name = msg["args"][0]
        initial = msg["args"][1] if len(msg["args"]) > 1 else msg["kwargs"].get("init_tensor")
        if initial is None and name not in self.transforms:
            return
        if id(initial) in self.own:
            msg["value"], msg["done"] = initial, True
            return
        if name not in self.transforms:
            self.transforms[name] = transform_to(msg["kwargs"].get("constraint", dist.constraints.real))
            self._meet(name, initial)
        leaf = self.params[name]
        if isinstance(initial, torch.nn.Parameter):  # pyro.module: `Swap` puts the run's own in its place
            self.foreign[id(initial)] = initial, leaf
        value: Any = leaf if isinstance(leaf, torch.nn.Parameter) else self.transforms[name](leaf)
        if value is leaf and not isinstance(leaf, torch.nn.Parameter):
            value = leaf.view_as(leaf)
        value.unconstrained = weakref.ref(leaf)  # a subsampled plate asks for it
        msg["value"], msg["done"] = value, True

    def _meet(self, name: str, initial: Any) -> None:
        """A parameter that this run meets first gets a leaf of its own: the user's tensors are never written to."""
        if name in self.params:
            return
        if isinstance(initial, torch.nn.Parameter):
            self.params[name] = torch.nn.Parameter(initial.detach().clone())
        else:
            value = initial() if callable(initial) and not isinstance(initial, Tensor) else initial
            self.params[name] = self.transforms[name].inv(torch.as_tensor(value)).detach().clone()


def _in_dimensions(pairs: Tensor, before: int, now: int) -> Tensor:
    """Pairs (*batch, K + 1, K) of a chain with its states at two enumeration dimensions, counted from the right of the batch."""
    rank = max(-before, -now, pairs.dim() - 2)
    wide = pairs.reshape((1,) * (rank + 2 - pairs.dim()) + pairs.shape)
    return wide.transpose(before - 2, -2).transpose(now - 2, -1)[..., 0, 0]


class Swap(TorchFunctionMode):
    """Puts the run's own parameters in the place of those of a module that a plain function learns by `pyro.module`: such a
    module belongs to the user, and a run never changes it."""

    def __init__(self, evaluation: Evaluation):
        super().__init__()
        self.foreign = evaluation.foreign

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        kwargs = dict(kwargs or {})
        if self.foreign:
            args, kwargs = tree_map_only(torch.nn.Parameter, lambda p: self.foreign.get(id(p), (p, p))[1], (args, kwargs))
        return func(*args, **kwargs)
