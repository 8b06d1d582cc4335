"""Discrete sites: summed out of recorded factors exactly, and drawn back over the same order.

Tensor variable elimination, plate by plate from the inside (Obermeyer et al., Tensor variable elimination for plated factor
graphs, ICML 2019). Factors are log probabilities whose dimensions have names: plates, enumerated sites, or bare batch
dimensions (`dim-1:3`, by place and size). The order is planned once, from names and sizes alone, with its cost in bytes known
before any work.

A chain is a site with one value for each index of a plate of time and a factor that joins it to the value before, whose dimension is
named `state@previous`. Its plate's indices are not independent, so it leaves that plate by a step of its own, which sums over all
paths at once (paths.py).
"""

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from .errors import CostError, EliminationError
from .paths import best_path, best_path_value, draw_paths, path_log_sum

__all__ = ["Elimination", "Factor", "draw_back", "gather", "previous", "with_previous"]

Assignment: TypeAlias = tuple[Tensor, Sequence[str]]  # indices (n, *plates), and the names of the plates
LARGEST = 2 * 2**30  # bytes; a single intermediate factor above this is refused: several are alive at a time


class Factor(NamedTuple):
    """The names of a log factor's dimensions (None: size 1) and the plates it stands in."""

    dims: tuple[str | None, ...]
    plates: frozenset[str]


class Sum(NamedTuple):
    """One step: multiply factors (by slot), sum `site` out of the product, put the result into a new slot."""

    site: str
    slots: tuple[int, ...]
    dims: tuple[str, ...]  # of the product


class Chain(NamedTuple):
    """One step: multiply factors (by slot), sum out the paths of chains that hang together, over their plate of time."""

    sites: tuple[str, ...]
    time: str
    slots: tuple[int, ...]
    dims: tuple[str, ...]  # of the result


class Product(NamedTuple):
    """One step: reduce a factor over plates (its log is summed, or counted where the plate is not a dimension of it)."""

    slot: int
    sum_dims: tuple[str, ...]
    times: int
    dims: tuple[str, ...]  # of the result


class Elimination:
    """The plan for one set of factors.

    inside   enumerated site -> its plates; sizes: of plates, sites and bare dimensions
    keep     plates that are not reduced: a pointwise result per index of them
    chains   enumerated site -> its plate of time

    Raises EliminationError (by name, with the reason) and CostError (with the figure).
    """

    def __init__(
        self,
        factors: Sequence[Factor],
        inside: Mapping[str, frozenset[str]],
        sizes: Mapping[str, int],
        keep: Iterable[str] = (),
        itemsize: int = 8,
        copies: int = 1,
        chains: Mapping[str, str] = {},
    ):
        self.factors, self.inside, self.sizes = list(factors), dict(inside), dict(sizes)
        self.keep = frozenset(keep)
        self.chains = {n: t for n, t in chains.items() if any(previous(n) in f.dims for f in self.factors)}
        if held := sorted(n for n, t in self.chains.items() if t in self.keep):
            raise EliminationError(f"the steps of chain {', '.join(held)} depend on each other: no result for each index of its plate of time")
        self.steps: list[Sum | Chain | Product] = []
        self.results: list[tuple[int, tuple[str, ...]]] = []  # slots that hold what is left, and their dims
        self.largest = 0
        self._dims: list[tuple[str, ...]] = []
        self._plan()
        self.bytes = self.largest * itemsize * copies
        if self.bytes > LARGEST:
            raise CostError(
                f"summing out {', '.join(sorted(inside))} exactly needs a table of {self.bytes / 2**30:.1f} GiB, more than "
                f"{LARGEST / 2**30:.0f} GiB; condition on some of them, or sample them instead"
            )

    def _plan(self) -> None:
        level: dict[frozenset[str], list[int]] = {}
        for factor in self.factors:
            dims = tuple(d for d in factor.dims if d is not None)
            for d in dims:
                if d in self.inside and not self.inside[d] <= factor.plates:
                    outside = ", ".join(sorted(self.inside[d] - factor.plates))
                    raise EliminationError(
                        f"a factor outside plate {outside} uses the enumerated site {d!r} inside it: summing it out would need every "
                        "assignment of the plate at once"
                    )
            level.setdefault(factor.plates, []).append(self._slot(dims))
        while level:
            at = max(level, key=len)
            here = self._sum_sites(at, level.pop(at))
            here = self._sum_chains(at, here, level)
            for slot in here:
                self._leave(at, slot, level)

    def _slot(self, dims: tuple[str, ...]) -> int:
        self._dims.append(dims)
        return len(self._dims) - 1

    def _sum_sites(self, at: frozenset[str], here: list[int]) -> list[int]:
        """Sum out the sites that live exactly in these plates, the cheapest first."""
        local = {d for s in here for d in self._dims[s] if self.inside.get(d) == at} - set(self.chains)
        while local:
            joint = {v: {d for s in here if v in self._dims[s] for d in self._dims[s]} for v in local}
            cost = {v: math.prod(self.sizes[d] for d in dims) for v, dims in joint.items()}
            site = min(cost, key=lambda v: (cost[v], v))
            self.largest = max(self.largest, cost[site])
            slots = tuple(s for s in here if site in self._dims[s])
            dims = tuple(dict.fromkeys(d for s in slots for d in self._dims[s]))
            self.steps.append(Sum(site, slots, dims))
            here = [s for s in here if s not in slots] + [self._slot(tuple(d for d in dims if d != site))]
            local.discard(site)
        return here

    def _sum_chains(self, at: frozenset[str], here: list[int], level: dict[frozenset[str], list[int]]) -> list[int]:
        """Sum out the chains that live exactly in these plates; what is left of each stands outside of its plate of time."""
        own = {name: n for n in self.chains if self.inside[n] == at for name in (n, previous(n))}
        while any(joined := [s for s in here if own.keys() & set(self._dims[s])]):
            sites, slots = {own[d] for d in self._dims[joined[0]] if d in own}, set()
            while found := {s for s in joined if any(own.get(d) in sites for d in self._dims[s])} - slots:
                slots |= found
                sites |= {own[d] for s in found for d in self._dims[s] if d in own}
            self._sum_paths(at, sorted(sites), sorted(slots), level)
            here = [s for s in here if s not in slots]
        return here

    def _sum_paths(self, at: frozenset[str], sites: Sequence[str], slots: Sequence[int], level: dict[frozenset[str], list[int]]) -> None:
        times = {self.chains[n] for n in sites}
        time = times.pop()
        mine = {*sites, *map(previous, sites), time}
        rest = tuple(dict.fromkeys(d for s in slots for d in self._dims[s] if d not in mine))
        inside = sorted(d for d in rest if time in self.inside.get(d, ()))
        if times or inside:
            raise EliminationError(f"chains {', '.join(sites)} meet {', '.join(inside) or 'over other plates of time'}: no order sums them out exactly")
        states, length = math.prod(self.sizes[n] for n in sites), self.sizes[time]
        wide = any(time in self._dims[s] and any(previous(n) in self._dims[s] for n in sites) for s in slots)
        each = max(length * states, (length if wide else 1) * states**2)
        self.largest = max(self.largest, each * math.prod(self.sizes[d] for d in rest))
        self.steps.append(Chain(tuple(sites), time, tuple(slots), rest))
        level.setdefault(at - {time}, []).append(self._slot(rest))

    def _leave(self, at: frozenset[str], slot: int, level: dict[frozenset[str], list[int]]) -> None:
        """A factor whose own sites are summed moves outwards to the plates of what it still depends on."""
        dims = self._dims[slot]
        outer = [d for d in dims if d in self.inside]
        to = frozenset().union(*[self.inside[d] for d in outer]) | (at & self.keep)
        if outer and to == at:
            raise EliminationError(
                f"enumerated sites {', '.join(sorted(outer))} of different plates meet inside {', '.join(sorted(at))}: no order over "
                "plates sums them out exactly"
            )
        gone = tuple(d for d in dims if d in at - to)
        times = math.prod(self.sizes[p] for p in at - to if p not in dims)
        left = tuple(d for d in dims if d not in gone)
        self.steps.append(Product(slot, gone, times, left))
        made = self._slot(left)
        if outer:
            level.setdefault(to, []).append(made)
        else:
            self.results.append((made, left))

    def run(self, tensors: Sequence[Tensor], best: bool = False) -> tuple[Tensor, list[Tensor]]:
        """-> what is left: () or, with kept plates, one dimension per kept plate (sorted by name); and what drawing back needs: each
        Sum's product, each Chain's pairs and local weights.

        best   the largest term in place of the sum over all
        """
        slots = [squeeze(t, f.dims) for t, f in zip(tensors, self.factors, strict=True)]
        products: list[Tensor] = []
        for step in self.steps:
            if isinstance(step, Sum):
                joint = functools.reduce(torch.add, (align(slots[s], self._dims[s], step.dims) for s in step.slots))
                products.append(joint)
                i = step.dims.index(step.site)
                slots.append(joint.amax(i) if best else log_sum_exp(joint, i))
            elif isinstance(step, Chain):
                pairs, local = self._path_weights(step, slots)
                products += [pairs, local]
                slots.append(best_path_value(pairs, local) if best else path_log_sum(pairs, local))
            else:
                t = slots[step.slot]
                if step.sum_dims:
                    t = t.sum([self._dims[step.slot].index(d) for d in step.sum_dims])
                slots.append(t * step.times if step.times != 1 else t)
        kept = sorted(self.keep)
        total = None
        for slot, dims in self.results:
            bare = [d for d in dims if d not in self.keep]
            t = slots[slot].sum([dims.index(d) for d in bare]) if bare else slots[slot]
            t = align(t, tuple(d for d in dims if d in self.keep), kept)
            total = t if total is None else total + t
        if total is None:
            total = tensors[0].new_zeros(())
        return total.expand([self.sizes[p] for p in kept]), products

    def _path_weights(self, step: Chain, slots: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """pairs (*dims of the result, T - 1 or 1, K, K) and local (*dims, T, K) of a chain; K counts joint states of several."""
        before = [previous(n) for n in step.sites]
        sizes, length = [self.sizes[n] for n in step.sites], self.sizes[step.time]
        K = math.prod(sizes)
        pairs: Tensor | None = None
        local: Tensor | None = None
        for s in step.slots:
            if set(before) & set(self._dims[s]):
                t = align(slots[s], self._dims[s], [*step.dims, step.time, *before, *step.sites])
                pairs = t if pairs is None else pairs + t
            else:
                t = align(slots[s], self._dims[s], [*step.dims, step.time, *step.sites])
                local = t if local is None else local + t
        assert pairs is not None  # noqa: S101  a chain without a factor that joins it to its past is none
        rank, m = len(step.dims), len(sizes)
        first = pairs[(*[slice(None)] * rank, slice(0, 1), *sizes)]  # before the first state there is none, which has the last row
        steps = pairs[(*[slice(None)] * rank, slice(1 if pairs.shape[rank] > 1 else 0, None), *(slice(n) for n in sizes))]
        steps = steps.expand(*[-1] * (rank + 1), *sizes, *sizes).flatten(rank + 1, rank + m).flatten(rank + 2, rank + 1 + m)
        begin = first.expand(*[-1] * (rank + 1), *sizes).flatten(rank + 1)
        weights = begin.new_zeros([1] * (rank + 1) + [K]) if local is None else local.expand(*[-1] * (rank + 1), *sizes).flatten(rank + 1)
        weights = weights.expand(*np.broadcast_shapes(weights.shape[:rank], begin.shape[:rank], steps.shape[:rank]), length, K)
        return steps, torch.cat([weights[..., :1, :] + begin, weights[..., 1:, :]], -2)


def previous(name: str) -> str:
    """The dimension of a chain's state before."""
    return f"{name}@previous"


def with_previous(assignment: Mapping[str, Assignment], chains: Mapping[str, str], sizes: Mapping[str, int]) -> dict[str, Assignment]:
    """Indices of sites, and for each chain among them also those of the states before: the number of states before the first."""
    out = dict(assignment)
    for name in chains.keys() & assignment.keys():
        index, plates = assignment[name]
        dim = 1 + list(plates).index(chains[name])
        first = torch.full_like(index.narrow(dim, 0, 1), sizes[name])
        out[previous(name)] = torch.cat([first, index.narrow(dim, 0, index.shape[dim] - 1)], dim), plates
    return out


def log_sum_exp(t: Tensor, dim: int) -> Tensor:
    """logsumexp whose gradient at all -inf is 0 and not nan."""
    top = t.amax(dim, keepdim=True).detach()
    top = torch.where(torch.isinf(top), torch.zeros_like(top), top)
    total = (t - top).exp().sum(dim)
    safe = torch.where(total == 0, torch.ones_like(total), total)
    return torch.where(total == 0, total.new_full((), -torch.inf), safe.log()) + top.squeeze(dim)


def squeeze(t: Tensor, dims: Sequence[str | None]) -> Tensor:
    """Drop the dimensions without a name."""
    unnamed = [i for i, d in enumerate(dims) if d is None]
    return t.squeeze(unnamed) if unnamed else t


def align(t: Tensor, dims: Sequence[str], target: Sequence[str]) -> Tensor:
    """t with its dimensions in the order of target, size 1 where it has none."""
    t = t.permute([dims.index(d) for d in target if d in dims])
    return t[tuple(slice(None) if d in dims else None for d in target)]


def gather(t: Tensor, dims: Sequence[str], indices: Mapping[str, tuple[Tensor, Sequence[str]]], plates: Sequence[str]) -> Tensor:
    """Read t at assignments of enumerated sites.

    t         (draws, *dims)
    indices   site -> (index (draws, *its plates), its plates)
    Returns (draws, *plates), with any dimension of t that is neither left behind them.
    """
    draws, n = t.shape[0], len(plates)
    index: list[Tensor] = [torch.arange(draws, device=t.device).reshape((draws,) + (1,) * n)]
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


def draw_back(
    plan: Elimination, products: Sequence[Tensor], count: int, gumbel: Callable[[str, Sequence[int]], Tensor] | None
) -> dict[str, tuple[Tensor, list[str]]]:
    """Exact draws of every summed site, backwards over the plan, by Gumbel-max: all draws and all of a plate at once.

    products   of `plan.run`, each with a leading dimension of draws
    gumbel     (site, shape) -> standard Gumbel numbers; None: the most probable values, from the products of `run(..., best=True)`
    Returns site -> (indices (count, *plates), plates).
    """
    drawn: dict[str, tuple[Tensor, list[str]]] = {}
    left = list(products)
    for step in reversed(plan.steps):
        if isinstance(step, Sum):
            drawn[step.site] = _draw_site(plan, step, left.pop(), count, gumbel, drawn)
        elif isinstance(step, Chain):
            local, pairs = left.pop(), left.pop()
            drawn |= _draw_paths(plan, step, pairs, local, count, gumbel, drawn)
    return drawn


def _draw_site(
    plan: Elimination, step: Sum, t: Tensor, count: int, gumbel: Callable[..., Tensor] | None, drawn: Mapping[str, Assignment]
) -> tuple[Tensor, list[str]]:
    plates = sorted(plan.inside[step.site])
    rest = [d for d in step.dims if d != step.site]
    # the site's own dimension goes last, the others are read at what was drawn already
    logits = gather(t.movedim(1 + step.dims.index(step.site), -1), rest, with_previous(drawn, plan.chains, plan.sizes), plates)
    logits = logits.expand((count, *[plan.sizes[p] for p in plates], logits.shape[-1]))
    return (logits if gumbel is None else logits + gumbel(step.site, logits.shape)).argmax(-1), plates


def _draw_paths(
    plan: Elimination,
    step: Chain,
    pairs: Tensor,
    local: Tensor,
    count: int,
    gumbel: Callable[..., Tensor] | None,
    drawn: Mapping[str, Assignment],
) -> dict[str, tuple[Tensor, list[str]]]:
    plates = sorted(plan.inside[step.sites[0]] - {step.time})
    batch = [count, *[plan.sizes[p] for p in plates]]
    pairs, local = gather(pairs, step.dims, drawn, plates), gather(local, step.dims, drawn, plates)
    local = local.expand(*batch, *local.shape[-2:])
    if gumbel is None:
        path = best_path(pairs, local)[0]
    else:
        numbers = gumbel(step.sites[0], local.shape[:-1])
        path = draw_paths(pairs, local, (-(-numbers).exp()).exp()[None])[0]  # of a Gumbel number: its uniform
    out: dict[str, tuple[Tensor, list[str]]] = {}
    for site in reversed(step.sites):  # the last one's states are next to each other
        size = plan.sizes[site]
        out[site], path = (path % size, [*plates, step.time]), path // size
    return out
