"""Observed values: their checks, by site and row, and what becomes of those that a mask hides."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from .bijections import bijection_of, unconstrained_shape
from .chains import chain_of
from .errors import DataError, SupportError

__all__ = ["check_observed", "count_once", "hide_masked", "missing_rows"]

MANY = 20  # numbers of a value, above which a message does not list them


def mask_of(msg: Any) -> Tensor | bool | None:
    """Of a sample message: by `poutine.mask` and by `distribution.mask`, both; None where there is neither."""
    inner = getattr(msg["fn"], "_mask", None)
    outer = msg["mask"]
    if inner is None or outer is None:
        return outer if inner is None else inner
    return inner & outer if isinstance(inner, (Tensor, bool)) else outer


def hide_masked(msg: Any) -> Any:
    """The observed value with what its mask hides replaced by a value inside the support. A NaN there would not count,
    but its gradient is nan: 0 * nan."""
    value, fn, mask = msg["value"], msg["fn"], mask_of(msg)
    if not isinstance(mask, Tensor) or not isinstance(value, Tensor) or chain_of(fn) is not None:
        return value  # what is masked in an observed chain is still what the next state comes from
    batch = value.shape[: value.dim() - fn.event_dim]
    if np.broadcast_shapes(mask.shape, batch) != batch:
        return value
    inside = _inside(fn)
    if inside is None:
        return value
    return torch.where(mask.reshape(mask.shape + (1,) * fn.event_dim), value, inside.to(value.dtype))


def _inside(fn: Any) -> Tensor | None:
    """Some value in the support of a distribution, None where there is no telling."""
    if not fn.support.is_discrete:
        try:
            transform = bijection_of(fn)
        except NotImplementedError:
            return None
        shape = unconstrained_shape(transform, fn.batch_shape + fn.event_shape)
        return transform(torch.zeros(shape))
    if fn.has_enumerate_support:
        return fn.enumerate_support(expand=False)[0]
    lowest = getattr(fn.support, "lower_bound", None)
    return None if lowest is None else torch.as_tensor(lowest)


def count_once(log_prob: Tensor, value: Tensor, fn: Any, mask: Tensor) -> Tensor:
    """A missing-data site's factor is masked to 0 at observed rows; summing it over K values would count each row K
    times. There it keeps the first value of its support only."""
    first = fn.enumerate_support(expand=False)[0]
    same = (value == first).reshape(*value.shape[: value.dim() - fn.event_dim], -1).all(-1)
    return torch.where(mask | same, log_prob, -torch.inf)


def missing_rows(msg: Any) -> Tensor | None:
    """Of the site that `obs_mask` makes for the missing rows: their flat indices. At observed rows no factor holds such
    a site, an improper flat direction, so those coordinates leave the position."""
    mask = msg["mask"]
    if not msg["name"].endswith("_unobserved") or not isinstance(mask, Tensor):
        return None
    return mask.expand(msg["fn"].batch_shape).reshape(-1).nonzero()[:, 0]


def check_observed(msg: Any) -> None:
    """NaN and values outside the support raise, by site and row: DataError, SupportError."""
    name, fn, value, mask = msg["name"], msg["fn"], msg["value"], mask_of(msg)
    if not isinstance(value, Tensor):
        raise DataError(f"site {name!r} is observed at a {type(value).__name__}; give it a torch tensor: torch.as_tensor(...)")
    if mask is False:
        return
    try:
        shape = torch.Size(np.broadcast_shapes(fn.batch_shape + fn.event_shape, value.shape))  # torch's own imports sympy, 0.4 s
    except ValueError as error:
        expected = tuple(fn.batch_shape + fn.event_shape)
        raise DataError(f"site {name!r} expects values of shape {expected}; the observed value has {tuple(value.shape)}") from error
    full = value.expand(shape)
    batch = shape[: len(shape) - fn.event_dim]
    counted = torch.ones(batch, dtype=torch.bool, device=value.device)
    if isinstance(mask, Tensor):
        counted = counted & mask
    nan = torch.isnan(full).reshape(*batch, -1).any(-1) & counted
    if nan.any():
        raise DataError(f"site {name!r}: NaN in the data at {_row(nan)}; mark missing values with obs_mask or drop them")
    inside = fn.support.check(full)
    if inside.shape != batch:
        inside = inside.reshape(*batch, -1).all(-1)
    outside = ~inside & counted
    if outside.any():
        at = tuple(outside.nonzero()[0].tolist())
        raise SupportError(
            f"site {name!r}: the value {_shown(full[at])} at {_row(outside)} lies outside its support, {fn.support}; mend the data or "
            "take a distribution that allows it"
        )


def _shown(value: Tensor) -> str:
    if value.numel() > MANY:
        return f"of shape {tuple(value.shape)}, with numbers from {float(value.min()):g} to {float(value.max()):g},"
    return str(value.tolist())


def _row(wrong: Tensor) -> str:
    """Where the first of the wrong entries stands, and how many there are."""
    if wrong.dim() == 0:
        return "its only entry"
    first = wrong.nonzero()[0].tolist()
    where = f"row {first[0]}" if len(first) == 1 else f"entry {tuple(first)}"
    count = int(wrong.sum())
    return where + (f" (and {count - 1} more)" if count > 1 else "")
