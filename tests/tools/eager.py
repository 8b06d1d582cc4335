"""The log joint density of a program by Pyro alone: its own trace, and a sum over every assignment of its discrete sites."""

import copy
import itertools
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyro
import torch
from pyro.poutine.messenger import Messenger
from torch import Tensor
from torch.distributions import biject_to, constraints
from torch.utils._pytree import tree_map_only

__all__ = ["log_joint"]


class Put(Messenger):
    """Gives latent sites their values: continuous ones from unconstrained numbers, discrete ones as they stand."""

    def __init__(self, unconstrained: Mapping[str, Tensor], discrete: Mapping[str, Tensor], missing: Mapping[str, Tensor]):
        super().__init__()
        self.unconstrained, self.discrete, self.missing = unconstrained, discrete, missing
        self.log_jacobian: Any = 0.0

    def _pyro_sample(self, msg: Any) -> None:
        name = msg["name"]
        if msg["is_observed"] or (name not in self.unconstrained and name not in self.discrete):
            return
        if name in self.discrete:
            msg["value"] = self.discrete[name]
        else:
            # an angle is drawn from -pi to pi, whatever Pyro says of its support
            angle = isinstance(msg["fn"], torch.distributions.VonMises)
            support = constraints.interval(-math.pi, math.pi) if angle else msg["fn"].support
            transform, u = biject_to(support), self.unconstrained[name]
            msg["value"] = transform(u)
            jacobian = transform.log_abs_det_jacobian(u, msg["value"])
            if name in self.missing:
                jacobian = jacobian.reshape(-1)[self.missing[name]]
            self.log_jacobian = self.log_jacobian + jacobian.sum()
        msg["done"] = True


def log_joint(
    fn: Callable, args: tuple, kwargs: Mapping, position: Tensor, layout: Mapping[str, Any], rows: Mapping[str, Tensor] | None = None
) -> Tensor:
    """Log density () at a flat position, in nats, log Jacobians added, with its gradient.

    layout   site -> a ppgen Site, of which only the place, shapes and support are read
    rows     plate -> the indices that it subsamples
    """
    unconstrained, missing, finite = {}, {}, {}
    for name, site in layout.items():
        if site.kind == "latent" and not site.discrete:
            part = position[site.place]
            if site.rows is not None:
                missing[name] = site.rows
                part = position.new_zeros(site.unconstrained_shape).reshape(-1).index_put((site.rows,), part)
            unconstrained[name] = part.reshape(site.unconstrained_shape)
        elif site.kind == "latent":
            finite[name] = site
    plates = dict(rows or {})
    terms = [_one(fn, args, kwargs, unconstrained, {**given, **plates}, missing) for given in _assignments(finite)]
    return torch.stack(terms).logsumexp(0)


def _assignments(finite: Mapping[str, Any]) -> Iterator[dict[str, Tensor]]:
    """Every assignment of the discrete sites; `value` of a site is its support along the leftmost dimension that is wide."""
    each = []
    for site in finite.values():
        batch = site.shape[: len(site.shape) - site.event_dim]
        support = _SUPPORTS[site.distribution](site)
        index = itertools.product(range(len(support)), repeat=batch.numel())
        each.append([support[list(i)].reshape(site.shape) for i in index])
    for values in itertools.product(*each):
        yield dict(zip(finite, values, strict=True))


# The support of one entry, (K, *event), in values and dtype of the site's own
_SUPPORTS: dict[str, Callable[[Any], Tensor]] = {
    "Bernoulli": lambda s: torch.tensor([0.0, 1.0], dtype=s.value.dtype),
    "Categorical": lambda s: torch.arange(int(s.support.upper_bound) + 1),
    "Binomial": lambda s: torch.arange(int(s.support.upper_bound.max()) + 1).to(s.value.dtype),
    "OneHotCategorical": lambda s: torch.eye(s.shape[-1], dtype=s.value.dtype),
}


def _one(fn: Callable, args: tuple, kwargs: Mapping, unconstrained: Mapping, discrete: Mapping, missing: Mapping) -> Tensor:
    args = tree_map_only(Tensor, Tensor.clone, args)  # a program may write to them
    fn = copy.deepcopy(fn).eval() if isinstance(fn, torch.nn.Module) else fn
    put = Put(unconstrained, discrete, missing)
    with pyro.get_param_store().scope(), pyro.validation_enabled(False):
        trace = pyro.poutine.trace(put(fn)).get_trace(*args, **kwargs)
        total = torch.as_tensor(trace.log_prob_sum())
    return total + put.log_jacobian
