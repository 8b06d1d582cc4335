"""Held discrete sites: their values are inputs of a recording, which change at every call, and are never summed out.

A held site is a row of elements, each of which is a whole number: the place of its value in a finite support, or, where that
has no end, how far the value lies above the smallest one. The numbers of all held sites, one after the other, are one vector.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .errors import DataError, EngineError, NameNotFoundError, SupportError
from .program import FromUniform, Program
from .sites import Latent, distribution_name

__all__ = ["HeldSite", "Holding"]


@dataclass(frozen=True, eq=False)
class HeldSite:
    """shape     of the value, as the program sees it; event: that of one element's value
    values    (K, *event), what an element may be; None where that has no end
    lowest    the smallest value, where there is no end
    slice     where its elements stand in the vector
    """

    name: str
    shape: torch.Size
    event: torch.Size
    values: Tensor | None
    lowest: int
    dtype: torch.dtype
    slice: slice

    @property
    def size(self) -> int:
        """How many values an element may have; 0: no end."""
        return 0 if self.values is None else len(self.values)

    @property
    def counts(self) -> bool:
        """Whether values are the whole numbers from 0 themselves, as most are."""
        return self.values is None or (not self.event and torch.equal(self.values, torch.arange(self.size).to(self.values)))

    def value(self, index: Tensor) -> Tensor:
        """(*batch, elements) whole numbers -> (*batch, *shape)."""
        batch = index.shape[:-1]
        value = index.to(self.dtype) if self.counts else self.values[index]  # type: ignore[index]
        if self.lowest:
            value = value + self.lowest
        return value.reshape((*batch, *self.shape))

    def index(self, value: Tensor) -> Tensor:
        """(*batch, *shape) -> (*batch, elements). Raises SupportError."""
        batch = value.shape[: value.dim() - len(self.shape)]
        if self.values is None:
            index = value.reshape(*batch, -1).to(torch.int64) - self.lowest
            wrong = (index < 0) | (index + self.lowest != value.reshape(index.shape))
        else:
            rows = value.reshape(*batch, -1, 1, max(math.prod(self.event), 1))
            same = (rows == self.values.to(value).reshape(self.size, -1)).all(-1)  # (*batch, elements, K)
            index, wrong = same.to(torch.int8).argmax(-1), ~same.any(-1)
        if wrong.any():
            row = int(wrong.nonzero()[0][-1])
            raise SupportError(
                f"site {self.name!r}, element {row}: {value.reshape(-1)[row].item()} is not among the values that it may have"
            )
        return index


class Holding:
    """The held sites of a program, in its order.

    elements   length of the vector of whole numbers
    """

    def __init__(self, program: Program, names: Iterable[str]):
        asked = set(names)
        if unknown := sorted(asked - set(program.discrete)):
            raise NameNotFoundError(
                f"no discrete latent site named {', '.join(unknown)}; there are {', '.join(program.discrete) or 'none'}"
            )
        laws = program.run(_Laws, generator=torch.Generator().manual_seed(0)).laws if asked else {}
        self.program, self.nesting = program, program.nesting
        self.sites: dict[str, HeldSite] = {}
        self.elements = 0
        for name in (n for n in program.discrete if n in asked):
            site = _held(name, laws[name], program.sites[name].value, self.elements)
            self.sites[name], self.elements = site, site.slice.stop

    @property
    def sizes(self) -> list[int]:
        """Of every element: how many values it may have; 0: no end."""
        return [s.size for s in self.sites.values() for _ in range(s.slice.stop - s.slice.start)]

    def values(self, index: Tensor) -> dict[str, Tensor]:
        """(*batch, elements) -> site -> (*batch, *shape), in the dtype that the program gives it."""
        return {n: s.value(index[..., s.slice]) for n, s in self.sites.items()}

    def inside(self, index: Tensor) -> dict[str, Tensor]:
        """(elements,) -> values as a run is given them. A number without dimensions that is used as an index would be read into
        Python, so it has some to the left of all plates, as if it were enumerated."""
        values = self.values(index)
        return {n: v if v.dim() else v.reshape((1,) * (self.nesting + 1)) for n, v in values.items()}

    def index(self, values: Mapping[str, Tensor]) -> Tensor:
        """Site -> (*batch, *shape), to (*batch, elements). Raises NameNotFoundError, DataError (a shape), SupportError."""
        parts = []
        for name, site in self.sites.items():
            if name not in values:
                raise NameNotFoundError(f"no value for the held site {name!r}; given are {', '.join(sorted(values)) or 'none'}")
            value = torch.as_tensor(values[name])
            if value.shape[max(value.dim() - len(site.shape), 0) :] != site.shape:
                raise DataError(f"held site {name!r} has shape {tuple(site.shape)}; got {tuple(value.shape)}")
            parts.append(site.index(value))
        return torch.cat(parts, -1) if parts else torch.zeros(0, dtype=torch.int64)


class _Laws(FromUniform):
    """Finds the distributions of the discrete sites."""

    def __init__(self, **settings: Any):
        super().__init__(**settings)
        self.laws: dict[str, Any] = {}

    def latent_value(self, msg: Any) -> tuple[Any, Latent | None]:
        if msg["fn"].support.is_discrete:
            self.laws[msg["name"]] = msg["fn"]
        return super().latent_value(msg)


def _held(name: str, fn: Any, value: Tensor, start: int) -> HeldSite:
    """Elements are the entries of what stands inside of `to_event`. Raises EngineError: a support that varies."""
    base = fn
    while isinstance(base, torch.distributions.Independent) or hasattr(base, "base_dist"):
        base = base.base_dist
    event = base.event_shape
    elements = value.numel() // max(event.numel(), 1)
    values, lowest = _support_of(name, base, value)
    return HeldSite(name, value.shape, event, values, lowest, value.dtype, slice(start, start + elements))


def _support_of(name: str, base: Any, value: Tensor) -> tuple[Tensor | None, int]:
    """What one element may be, (K, *event), and the smallest value of a support without end."""
    if base.has_enumerate_support:
        try:
            values: Tensor = base.enumerate_support(expand=False)
        except NotImplementedError as error:
            raise EngineError(f"site {name!r} ({distribution_name(base)}) has another support in each of its elements") from error
        return values.reshape(len(values), -1, *base.event_shape)[:, 0].to(value.dtype), 0
    low, high = (getattr(base.support, end, None) for end in ("lower_bound", "upper_bound"))
    if base.event_shape or low is None or not _is_number(low) or not _is_number(high if high is not None else 0):
        raise EngineError(
            f"site {name!r} ({distribution_name(base)}) is discrete and its elements cannot be taken one at a time: its support is "
            f"{base.support}; observe it, condition on it, or write it as sites whose elements can"
        )
    if high is None:
        return None, int(low)
    return torch.arange(int(low), int(high) + 1, device=value.device).to(value.dtype), 0


def _is_number(x: Any) -> bool:
    return isinstance(x, (int, float)) or (isinstance(x, Tensor) and x.numel() == 1)


def labels(holding: Holding) -> Sequence[str]:
    """A name for every element, as messages have it."""
    return [
        s.name if s.slice.stop - s.slice.start == 1 else f"{s.name}[{i}]"
        for s in holding.sites.values()
        for i in range(s.slice.stop - s.slice.start)
    ]
