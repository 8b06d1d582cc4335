"""The steps of an elimination, a class for each kind. Each can be taken in three ways, and back again.

    sum      logarithms of sums; differentiable, and recordable: no decision depends on a value
    max      logarithms of the largest terms
    scaled   sums of products themselves, `value * exp(shift)`; as exact as logarithms (every product that is not 0 is a number of full
             precision, sums have no cancellation: the two agree to 1e-12), or refused (LostWeightError)
    assign   backwards: values of the sites that the step removed, given those of the sites that were removed later

Tables are tensors whose last dimensions have names; any batch dimension may stand before them.
"""

import math
import string
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, reduce
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor

from .errors import EliminationError
from .paths import best_path, best_path_value, draw_paths, path_log_sum

__all__ = [
    "Assignment", "Chain", "LostWeightError", "Noise", "Product", "Scaled", "Step", "Sum", "Table", "align", "before", "gather",
    "log_sum_exp", "previous", "scaled_of", "squeeze",
]  # fmt: skip

Assignment: TypeAlias = tuple[Tensor, list[str]]  # indices (n, *plates), and the names of the plates
Noise: TypeAlias = Callable[[str, Sequence[int]], Tensor]  # (site, shape) -> standard Gumbel numbers


class LostWeightError(Exception):
    """A weight that is not 0 may be below the smallest number that there is: logarithms are needed."""


class Table(NamedTuple):
    """Where a step finds one of its tables, the names of its dimensions, and which of these are sites (counted from the right)."""

    slot: int
    dims: tuple[str, ...]
    sites: tuple[int, ...]


# Scaled tables


class Scaled(NamedTuple):
    """A table that is value * exp(shift), value (n or 1, *dims). The shift has a number for each index of the batch and of plates, size 1
    for sites; None is 0. Logs of the entries that are not 0 lie between low and high."""

    value: Tensor
    shift: Tensor | None
    low: float
    high: float

    def log(self) -> Tensor:
        """Its gradient where the value is 0 is 0."""
        none = self.value == 0
        log = torch.where(none, -torch.inf, torch.where(none, 1.0, self.value).log())
        return log if self.shift is None else log + self.shift


def room(dtype: torch.dtype) -> float:
    """How many nats lie between 1 and the smallest number of full precision."""
    return -math.log(torch.finfo(dtype).tiny)


def scaled_of(log: Tensor, sites: Sequence[int]) -> Scaled:
    """From logarithms (n or 1, *dims). Raises LostWeightError."""
    low, high = _range(log)
    limit = room(log.dtype) / 4
    if -limit < low and high < limit:
        return Scaled(log.exp(), None, low, high)
    top = log.detach()
    top = top.amax(tuple(sites), keepdim=True) if sites else top
    top = torch.where(top.isinf(), 0.0, top)
    low, high = _range((log - top).detach())
    if not (low > -2 * limit and high < limit):
        raise LostWeightError
    return Scaled((log - top).exp(), top, low, high)


def _range(log: Tensor) -> tuple[float, float]:
    """Of 0 and the entries that are not -inf."""
    log = log.detach()
    if not log.numel():
        return 0.0, 0.0
    low, high = torch.where(log == -torch.inf, 0.0, log).aminmax()
    return min(float(low), 0.0), max(float(high), 0.0)


def _tamed(table: Scaled, sites: Sequence[int]) -> Scaled:
    """The same with its largest entries at 1, where its bounds have come near the limits."""
    limit = room(table.value.dtype) / 4
    if -limit < table.low and table.high < limit:
        return table
    top = table.value.detach()
    top = top.amax(tuple(sites), keepdim=True) if sites else top
    top = torch.where(top == 0, 1.0, top)
    value, shift = table.value / top, top.log()
    low, high = _range(value.detach().log())
    return Scaled(value, shift if table.shift is None else table.shift + shift, low, high)


# Steps


class Step(Protocol):
    """dims: of its result, which takes the next slot."""

    @property
    def dims(self) -> tuple[str, ...]: ...

    def sum(self, slots: Sequence[Tensor]) -> Tensor: ...

    def max(self, slots: Sequence[Tensor]) -> Tensor: ...

    def scaled(self, slots: Sequence[Scaled]) -> Scaled: ...

    def assign(self, slots: Sequence[Tensor], drawn: Mapping[str, Assignment], count: int, noise: Noise | None) -> dict[str, Assignment]:
        """slots: of `sum`, with `noise` that makes draws of argmax; of `max` and None: the most probable values."""


class Sum:
    """Multiply tables, sum one site out of the product."""

    def __init__(self, site: str, tables: Sequence[Table], plates: Sequence[str], sizes: Mapping[str, int]):
        self.site, self.tables, self.plates = site, list(tables), list(plates)
        self.sizes = sizes
        self.product = tuple(dict.fromkeys(d for t in tables for d in t.dims))
        self.dims = tuple(d for d in self.product if d != site)
        self.axis = self.product.index(site) - len(self.product)

    @cached_property
    def _contractions(self) -> list[tuple[int, str]]:
        """Tables one after the other, small ones first, each with the equation that multiplies it into those before; the last one
        also sums."""
        letter = dict(zip(self.product, string.ascii_letters, strict=False))
        order = sorted(range(len(self.tables)), key=lambda i: math.prod(self.sizes[d] for d in self.tables[i].dims))
        before: tuple[str, ...] = ()
        out = []
        for i in order:
            dims = self.tables[i].dims
            after = self.dims if i == order[-1] else tuple(dict.fromkeys((*before, *dims)))
            spelt = ["...{}".format("".join(letter[d] for d in names)) for names in (before, dims, after)]
            out.append((i, f"{spelt[0]},{spelt[1]}->{spelt[2]}" if before else f"{spelt[1]}->{spelt[2]}"))
            before = after
        return out

    @property
    def cells(self) -> int:
        """Of the product."""
        return math.prod(self.sizes[d] for d in self.product)

    def _multiplied(self, slots: Sequence[Tensor]) -> Tensor:
        return reduce(torch.add, (align(slots[t.slot], t.dims, self.product) for t in self.tables))

    def sum(self, slots: Sequence[Tensor]) -> Tensor:
        return log_sum_exp(self._multiplied(slots), self.axis)

    def max(self, slots: Sequence[Tensor]) -> Tensor:
        return self._multiplied(slots).amax(self.axis)

    def scaled(self, slots: Sequence[Scaled]) -> Scaled:
        given = [_tamed(slots[t.slot], t.sites) for t in self.tables]
        low, high = sum(t.low for t in given), sum(t.high for t in given)
        value = given[self._contractions[0][0]].value
        limit = 0.9 * room(value.dtype)
        if not (low > -limit and high + math.log(self.sizes[self.site]) < limit):
            raise LostWeightError
        if len(given) == 1:
            value = value.sum(self.axis)
        for i, equation in self._contractions[1:]:
            value = torch.einsum(equation, value, given[i].value)
        shifts = [
            align(g.shift, t.dims, self.product).squeeze(self.axis) for g, t in zip(given, self.tables, strict=True) if g.shift is not None
        ]
        shift = reduce(torch.add, shifts) if shifts else None
        return Scaled(value, shift, low, high + math.log(self.sizes[self.site]))

    def assign(self, slots: Sequence[Tensor], drawn: Mapping[str, Assignment], count: int, noise: Noise | None) -> dict[str, Assignment]:
        """By Gumbel-max: all draws and all of a plate at once."""
        logits: Tensor | float = 0.0
        for t in self.tables:
            i = t.dims.index(self.site)  # goes last; the others are read at what was drawn already
            rest = [d for d in t.dims if d != self.site]
            logits = logits + gather(slots[t.slot].movedim(i - len(t.dims), -1), rest, drawn, self.plates)
        assert isinstance(logits, Tensor)  # noqa: S101  there is always a table
        logits = logits.expand(count, *[self.sizes[p] for p in self.plates], -1)
        return {self.site: ((logits if noise is None else logits + noise(self.site, logits.shape)).argmax(-1), self.plates)}


class Product:
    """Reduce a table over plates: its log is summed, or counted where the plate is no dimension of it."""

    def __init__(self, table: Table, over: Sequence[str], times: int):
        self.table, self.times = table, times
        self.over = tuple(table.dims.index(d) - len(table.dims) for d in over)
        self.dims = tuple(d for d in table.dims if d not in over)
        self._sites = tuple(i for i in range(-len(self.dims), 0) if self.dims[i] in {table.dims[j] for j in table.sites})

    def sum(self, slots: Sequence[Tensor]) -> Tensor:
        t = slots[self.table.slot]
        if self.over:
            t = t.sum(self.over)
        return t * self.times if self.times != 1 else t

    def max(self, slots: Sequence[Tensor]) -> Tensor:
        return self.sum(slots)

    def scaled(self, slots: Sequence[Scaled]) -> Scaled:
        t = slots[self.table.slot]
        if not self.over and self.times == 1:
            return t
        log = t.log()
        log = log.sum(self.over) if self.over else log
        return scaled_of(log * self.times, self._sites)

    def assign(self, slots: Sequence[Tensor], drawn: Mapping[str, Assignment], count: int, noise: Noise | None) -> dict[str, Assignment]:
        return {}


class Chain:
    """Multiply tables, sum out the paths of chains that hang together over their plate of time: forwards, and backwards again."""

    def __init__(self, sites: Sequence[str], time: str, tables: Sequence[Table], plates: Sequence[str], sizes: Mapping[str, int]):
        self.sites, self.time, self.tables = list(sites), time, list(tables)
        self.plates = [p for p in plates if p != time]
        self.sizes = sizes
        mine = {*sites, *map(previous, sites), time}
        self.dims = tuple(dict.fromkeys(d for t in tables for d in t.dims if d not in mine))
        self._free = tuple(i for i in range(-len(self.dims), 0) if any(self.dims[i] == t.dims[j] for t in tables for j in t.sites))

    @property
    def cells(self) -> int:
        """Of all pairs, or of the weights of all states."""
        states, length = math.prod(self.sizes[n] for n in self.sites), self.sizes[self.time]
        before = set(map(previous, self.sites))
        steps = length if any(self.time in t.dims and before & set(t.dims) for t in self.tables) else 1
        return max(length * states, steps * states**2) * math.prod(self.sizes[d] for d in self.dims)

    def weights(self, slots: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Log weights as paths.py has them: pairs (*batch, *dims, T - 1 or 1, K, K) and local (*batch, *dims, T, K); K counts joint states
        of several chains."""
        m, sizes, length = len(self.sites), [self.sizes[n] for n in self.sites], self.sizes[self.time]
        states = math.prod(sizes)
        last: tuple[Any, ...] = (..., *sizes, *[slice(None)] * m)
        others: tuple[Any, ...] = (..., *(slice(n) for n in sizes), *[slice(None)] * m)
        earlier = [previous(n) for n in self.sites]
        joined = [t for t in self.tables if set(earlier) & set(t.dims)]
        alone = [t for t in self.tables if t not in joined]
        pairs = self._multiplied(slots, joined, earlier)
        # Before the first state there is none, for which the last row stands
        first = pairs.narrow(-2 * m - 1, 0, 1)[last]
        first = first.expand(*first.shape[:-m], *sizes).flatten(-m)
        steps = pairs.narrow(-2 * m - 1, 1, length - 1) if pairs.shape[-2 * m - 1] > 1 else pairs
        steps = steps[others]
        steps = steps.expand(*steps.shape[: -2 * m], *sizes, *sizes).flatten(-2 * m, -m - 1).flatten(-m)
        if alone:
            local = self._multiplied(slots, alone, [])
            local = local.expand(*local.shape[:-m], *sizes).flatten(-m)
        else:
            local = first.new_zeros([1] * (len(self.dims) + 1) + [states])
        batch = np.broadcast_shapes(local.shape[:-2], first.shape[:-2], steps.shape[:-3])
        local = local.expand(*batch, length, states)
        return steps, torch.cat([local[..., :1, :] + first, local[..., 1:, :]], -2)

    def _multiplied(self, slots: Sequence[Tensor], tables: Sequence[Table], earlier: Sequence[str]) -> Tensor:
        target = [*self.dims, self.time, *earlier, *self.sites]
        return reduce(torch.add, (align(slots[t.slot], t.dims, target) for t in tables))

    def sum(self, slots: Sequence[Tensor]) -> Tensor:
        return path_log_sum(*self.weights(slots))

    def max(self, slots: Sequence[Tensor]) -> Tensor:
        return best_path_value(*self.weights(slots))

    def scaled(self, slots: Sequence[Scaled]) -> Scaled:
        used = {t.slot for t in self.tables}
        return scaled_of(self.sum([t.log() if i in used else t.value for i, t in enumerate(slots)]), self._free)

    def assign(self, slots: Sequence[Tensor], drawn: Mapping[str, Assignment], count: int, noise: Noise | None) -> dict[str, Assignment]:
        pairs, local = (gather(t, self.dims, drawn, self.plates) for t in self.weights(slots))
        local = local.expand(count, *[self.sizes[p] for p in self.plates], *local.shape[-2:])
        if noise is None:
            path = best_path(pairs, local)[0]
        else:
            uniforms = (-(-noise(self.sites[0], local.shape[:-1])).exp()).exp()  # of which the Gumbel numbers are made
            path = draw_paths(pairs, local, uniforms[None])[0]
        out: dict[str, Assignment] = {}
        for site in reversed(self.sites):  # the last one's states are next to each other
            index, path = path % self.sizes[site], path // self.sizes[site]
            out[site] = index, [*self.plates, self.time]
            out[previous(site)] = before(index, self.sizes[site], -1), out[site][1]
        return out


def previous(name: str) -> str:
    """The dimension of a chain's state before."""
    return f"{name}@previous"


def before(index: Tensor, size: int, dim: int) -> Tensor:
    """Indices of the states before, along a dimension of time: the number of states before the first."""
    first = torch.full_like(index.narrow(dim, 0, 1), size)
    return torch.cat([first, index.narrow(dim, 0, index.shape[dim] - 1)], dim)


# Tables


def log_sum_exp(t: Tensor, dim: int) -> Tensor:
    """logsumexp whose gradient at all -inf is 0 and not nan."""
    top = t.amax(dim, keepdim=True).detach()
    top = torch.where(torch.isinf(top), torch.zeros_like(top), top)
    total = (t - top).exp().sum(dim)
    safe = torch.where(total == 0, torch.ones_like(total), total)
    return torch.where(total == 0, total.new_full((), -torch.inf), safe.log()) + top.squeeze(dim)


def squeeze(t: Tensor, dims: Sequence[str | None]) -> Tensor:
    """Drop the dimensions without a name."""
    unnamed = [i - len(dims) for i, d in enumerate(dims) if d is None]
    return t.squeeze(unnamed) if unnamed else t


def align(t: Tensor, dims: Sequence[str], target: Sequence[str]) -> Tensor:
    """t with its dimensions in the order of target, size 1 where it has none; batch dimensions stay in front."""
    lead = t.dim() - len(dims)
    t = t.permute([*range(lead), *(lead + dims.index(d) for d in target if d in dims)])
    return t[(*[slice(None)] * lead, *(slice(None) if d in dims else None for d in target))]


def gather(t: Tensor, dims: Sequence[str], indices: Mapping[str, tuple[Tensor, Sequence[str]]], plates: Sequence[str]) -> Tensor:
    """Read t at assignments of enumerated sites.

    t         (draws or 1, *dims, *more)
    indices   site -> (index (draws, *its plates), its plates)
    Returns (draws, *plates, *more): size 1 where neither t nor an index has the dimension.
    """
    n = len(plates)
    index: list[Tensor] = [torch.arange(t.shape[0], device=t.device).reshape((-1,) + (1,) * n)]
    for i, d in enumerate(dims):
        if d in indices:
            value, own = indices[d]
            order = [0, *(1 + list(own).index(p) for p in plates if p in own)]
            shape = [value.shape[0], *(value.shape[1 + list(own).index(p)] if p in own else 1 for p in plates)]
            index.append(value.permute(order).reshape(shape))
        elif d in plates:
            shape = [1, *(-1 if p == d else 1 for p in plates)]
            index.append(torch.arange(t.shape[i + 1], device=t.device).reshape(shape))
        else:
            raise EliminationError(f"dimension {d!r} is neither a plate nor an assigned site")
    return t[tuple(index)]
