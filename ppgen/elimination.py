"""Discrete sites: summed out of recorded factors exactly, and drawn back over the same order.

Tensor variable elimination, plate by plate from the inside (Obermeyer et al., Tensor variable elimination for plated factor
graphs, ICML 2019). Factors are log probabilities whose dimensions have names: plates, enumerated sites, or bare batch
dimensions (`dim-1:3`, by place and size). The order is planned once, from names and sizes alone, with its cost in bytes known
before any work.
"""

import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .errors import CostError, EliminationError

__all__ = ["Elimination", "Factor", "draw_back", "gather"]

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
    ):
        self.factors, self.inside, self.sizes = list(factors), dict(inside), dict(sizes)
        self.keep = frozenset(keep)
        self.steps: list[Sum | Product] = []
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
            for slot in here:
                self._leave(at, slot, level)

    def _slot(self, dims: tuple[str, ...]) -> int:
        self._dims.append(dims)
        return len(self._dims) - 1

    def _sum_sites(self, at: frozenset[str], here: list[int]) -> list[int]:
        """Sum out the sites that live exactly in these plates, the cheapest first."""
        local = {d for s in here for d in self._dims[s] if self.inside.get(d) == at}
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

    def run(
        self, tensors: Sequence[Tensor], reduce: Callable[[Tensor, int], Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """-> what is left: () or, with kept plates, one dimension per kept plate (sorted by name); and each Sum's product,
        which drawing back needs."""
        slots = [squeeze(t, f.dims) for t, f in zip(tensors, self.factors, strict=True)]
        products: list[Tensor] = []
        for step in self.steps:
            if isinstance(step, Sum):
                joint = functools.reduce(torch.add, (align(slots[s], self._dims[s], step.dims) for s in step.slots))
                products.append(joint)
                slots.append((reduce or log_sum_exp)(joint, step.dims.index(step.site)))
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

    @property
    def sums(self) -> list[Sum]:
        return [s for s in self.steps if isinstance(s, Sum)]


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
    plan: Elimination, products: Sequence[Tensor], count: int, gumbel: Callable[[str, Sequence[int]], Tensor]
) -> dict[str, tuple[Tensor, list[str]]]:
    """Exact draws of every summed site, backwards over the plan, by Gumbel-max: all draws and all of a plate at once.

    products   of `plan.run`, each with a leading dimension of draws
    gumbel     (site, shape) -> standard Gumbel numbers
    Returns site -> (indices (count, *plates), plates).
    """
    drawn: dict[str, tuple[Tensor, list[str]]] = {}
    for step, t in reversed(list(zip(plan.sums, products, strict=True))):
        plates = sorted(plan.inside[step.site])
        rest = [d for d in step.dims if d != step.site]
        # the site's own dimension goes last, the others are read at what was drawn already
        logits = gather(t.movedim(1 + step.dims.index(step.site), -1), rest, drawn, plates)
        logits = logits.expand((count, *[plan.sizes[p] for p in plates], logits.shape[-1]))
        drawn[step.site] = ((logits + gumbel(step.site, logits.shape)).argmax(-1), plates)
    return drawn
