"""Where a run's latent values come from: a uniform start, a flat position, given values, or a guide's own samplers."""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor
from torch.distributions import Transform

from .bijections import bijection_of, unconstrained_shape
from .errors import EliminationError, GuideError, ProgramError, RecordingError
from .handler import Evaluation
from .observing import missing_rows
from .sites import Latent, Site, device_of_distribution, distribution_name, dtype_of

__all__ = ["FromGuide", "FromPosition", "FromUniform", "FromValues", "Outline"]


def bijection(name: str, fn: Any) -> Transform:
    """From unconstrained space to the support of a site."""
    try:
        return bijection_of(fn)
    except NotImplementedError as error:
        raise ProgramError(
            f"site {name!r} ({distribution_name(fn)}) has the support {fn.support}, to which there is no bijection here; write it as a "
            "function of sites that have one"
        ) from error


class FromUniform(Evaluation):
    """Finds the sites: latent values uniform within `radius` of 0 in unconstrained space, so that no prior is ever sampled: an
    ImproperUniform is like any other site. Discrete ones get the first value of their support."""

    def __init__(self, *, generator: torch.Generator, radius: float = 2.0, **settings: Any):
        super().__init__(**settings)
        self.generator, self.radius = generator, radius

    def latent_value(self, msg: Any) -> tuple[Any, Latent | None]:
        fn = msg["fn"]
        if fn.support.is_discrete:
            # a plain draw where there is no finite support; the caller pins the generators
            return (fn.enumerate_support(expand=True)[0] if fn.has_enumerate_support else fn.sample()), None
        transform = bijection(msg["name"], fn)
        shape = torch.Size(unconstrained_shape(transform, fn.batch_shape + fn.event_shape))
        u = (torch.rand(shape, generator=self.generator, dtype=torch.float64) * 2 - 1) * self.radius
        value = transform(u.to(device_of_distribution(fn), dtype_of(fn)))
        return value, Latent(shape, value, None, None, missing_rows(msg))


class Outline(FromUniform):
    """The same without the price of laws that say `costly = True`, because their density asks a network about every part of a value:
    their values are zeros that take no memory, and their densities are not asked for."""

    def latent_value(self, msg: Any) -> tuple[Any, Latent | None]:
        fn = msg["fn"]
        if not getattr(fn, "costly", False):
            return super().latent_value(msg)
        shape = fn.batch_shape + fn.event_shape
        value = torch.zeros((), dtype=dtype_of(fn), device=device_of_distribution(fn)).expand(shape)
        return value, Latent(unconstrained_shape(bijection(msg["name"], fn), shape), value, None, None, None)

    def _log_prob(self, msg: Any, unknown: bool) -> tuple[Any, bool]:
        if msg["is_observed"] or not getattr(msg["fn"], "costly", False):
            return super()._log_prob(msg, unknown)
        return torch.zeros((), device=device_of_distribution(msg["fn"])).expand(msg["fn"].batch_shape), False


class FromPosition(Evaluation):
    """Latent values from the flat position. Each support is re-read here: it may hold other sites' values."""

    def __init__(self, *, position: Tensor, layout: Mapping[str, Site], **settings: Any):
        super().__init__(**settings)
        self.position, self.layout = position, layout

    def latent_value(self, msg: Any) -> tuple[Any, Latent | None]:
        name, fn = msg["name"], msg["fn"]
        if name not in self.layout:
            raise RecordingError(f"site {name!r} appears in this run but not in the first one: the sites depend on values")
        at = self.layout[name]
        if at.rows is not None and not torch.equal(cast("Tensor", missing_rows(msg)), at.rows):
            raise RecordingError(f"site {name!r} has other missing rows in this run than in the first one")
        if fn.support.is_discrete:
            return at.value, None
        transform = bijection(name, fn)
        part = self.position[at.place].to(at.value.dtype)
        u = part.reshape(at.unconstrained_shape) if at.rows is None else _spread(part, at)
        raw = transform(u)
        if raw.shape != at.shape:
            raise EliminationError(
                f"the support of site {name!r} depends on an enumerated site; write it with a fixed support and a mask or factor"
            )
        value = self.mark(raw, name)
        log_jacobian, back = transform.log_abs_det_jacobian(u, raw), transform.inv(value)
        if at.rows is not None:
            log_jacobian, back = _gathered(log_jacobian, at), _gathered(back, at)
        return value, Latent(at.unconstrained_shape, raw, log_jacobian.sum(), back.reshape(-1), at.rows)


def _batch(at: Site) -> int:
    return max(at.shape[: len(at.shape) - at.event_dim].numel(), 1)


def _spread(part: Tensor, at: Site) -> Tensor:
    """The coordinates of the missing rows among zeros for the observed ones, in the site's unconstrained shape."""
    rows: Any = at.rows
    batch = _batch(at)
    wide = part.new_zeros(batch, at.unconstrained_shape.numel() // batch)
    return wide.index_put((rows,), part.reshape(len(rows), -1)).reshape(at.unconstrained_shape)


def _gathered(t: Tensor, at: Site) -> Tensor:
    return t.reshape(_batch(at), -1)[at.rows]


class FromValues(Evaluation):
    """Latent values as given, constrained."""

    def __init__(self, *, values: Mapping[str, Tensor], **settings: Any):
        super().__init__(**settings)
        self.values = values

    def latent_value(self, msg: Any) -> tuple[Any, Latent | None]:
        value = self.values[msg["name"]]
        if msg["fn"].support.is_discrete:
            return value, None
        return value, Latent(torch.Size(), value, None, None, None)


class FromGuide(Evaluation):
    """A guide's latent values: drawn by its own reparameterised samplers. None is marked, as no reading cuts at them."""

    def latent_value(self, msg: Any) -> tuple[Any, Latent | None]:
        name, fn = msg["name"], msg["fn"]
        if fn.support.is_discrete:
            raise GuideError(f"the guide's discrete site {name!r} cannot be enumerated here")
        if not fn.has_rsample:
            raise GuideError(
                f"the guide's site {name!r} ({distribution_name(fn)}) has no reparameterised sampler, so no gradient reaches its "
                "parameters; use a distribution with rsample"
            )
        raw = fn.rsample()
        return raw, Latent(torch.Size(), raw, None, None, None)
