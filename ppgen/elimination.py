"""Discrete sites: summed out of recorded factors exactly, maximised over, and drawn back over the same order.

Tensor variable elimination, plate by plate from the inside (Obermeyer et al., Tensor variable elimination for plated factor
graphs, ICML 2019). Factors are log probabilities whose dimensions have names: plates, enumerated sites, or bare batch
dimensions (`dim-1:3`, by place and size). The order is planned once, from names and sizes alone, with its cost in bytes known
before any work.

A chain is a site with one value for each index of a plate of time and a factor that joins it to the value before, whose dimension is
named `state@previous`. Its plate's indices are not independent, so it leaves that plate by a step of its own, which sums over all
paths at once (paths.py).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from torch import Tensor

from .errors import CostError, EliminationError
from .ordering import cheapest_order
from .steps import (
    Assignment,
    Chain,
    LostWeightError,
    Noise,
    Product,
    Scaled,
    Step,
    Sum,
    Table,
    align,
    before,
    gather,
    previous,
    scaled_of,
    squeeze,
)

__all__ = ["Assignment", "Elimination", "Factor", "Noise", "align", "gather", "previous", "squeeze", "with_previous"]

LARGEST = 2 * 2**30  # bytes; a single intermediate factor above this is refused: several are alive at a time
SHOWN = 8  # names in a message


class Factor(NamedTuple):
    """The names of a log factor's dimensions (None: size 1) and the plates it stands in."""

    dims: tuple[str | None, ...]
    plates: frozenset[str]


class Elimination:
    """The plan for one set of factors.

    inside   enumerated site -> its plates; sizes: of plates, sites and bare dimensions
    keep     plates that are not reduced: a pointwise result per index of them
    chains   enumerated site -> its plate of time
    laws     enumerated site -> the index of its own factor, where that sums to 1 over the site whatever the others are: a site that
             nothing else holds any more costs nothing, as nobody observes what hangs on it

    Tensors may have one batch dimension in front, of size n or 1. Raises EliminationError (by name, with the reason) and CostError
    (with the figure).
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
        laws: Mapping[str, int] = {},
    ):
        self.factors, self.inside, self.sizes = list(factors), dict(inside), dict(sizes)
        self.keep = frozenset(keep)
        self.chains = {n: t for n, t in chains.items() if any(previous(n) in f.dims for f in self.factors)}
        if held := sorted(n for n, t in self.chains.items() if t in self.keep):
            raise EliminationError(
                f"the steps of chain {', '.join(held)} depend on each other: no result for each index of its plate of time"
            )
        self.steps: list[Step] = []
        self.alone: list[Step] = []  # of sites that sum to 1: only for the way back
        self.results: list[Table] = []  # what is left
        self._dims = [tuple(d for d in f.dims if d is not None) for f in self.factors]
        self._plan(self._pruned(laws))
        self._check_cost(itemsize * copies)

    @property
    def largest(self) -> int:
        """Cells of the largest table."""
        return max((s.cells for s in self.steps if isinstance(s, (Sum, Chain))), default=0)

    def _check_cost(self, each: int) -> None:
        self.bytes = self.largest * each
        if self.bytes <= LARGEST:
            return
        step = max((s for s in self.steps if isinstance(s, (Sum, Chain))), key=lambda s: s.cells)
        sites = [step.site] if isinstance(step, Sum) else step.sites
        meet = [d for d in (*sites, *step.dims) if d in self.inside]
        shown = ", ".join(sorted(meet)[:SHOWN]) + (f" and {len(meet) - SHOWN} more" if len(meet) > SHOWN else "")
        raise CostError(
            f"summing out {', '.join(sites)} exactly needs a table over {shown} of {self.bytes / 2**30:.1f} GiB, more than "
            f"{LARGEST / 2**30:.0f} GiB; condition on some of them, or sample them instead",
            self.bytes,
        )

    # The plan

    def _pruned(self, laws: Mapping[str, int]) -> list[int]:
        """Factors that are left when sites that only their own law holds are gone."""
        left = set(range(len(self.factors)))
        holders: dict[str, set[int]] = {n: set() for n in self.inside}
        for i, dims in enumerate(self._dims):
            for d in dims:
                name = d.removesuffix(previous(""))
                if name in holders:
                    holders[name].add(i)
        waiting = [n for n in laws if n in holders and holders[n] == {laws[n]}]
        while waiting:
            site = waiting.pop()
            if holders[site] != {laws[site]} or laws[site] not in left:
                continue
            i, plates = laws[site], sorted(self.inside[site])
            table = [self._table(i)]
            own = (
                Chain([site], self.chains[site], table, plates, self.sizes) if site in self.chains else Sum(site, table, plates, self.sizes)
            )
            self.alone.append(own)
            left.discard(i)
            for d in self._dims[i]:
                if d in holders:
                    holders[d].discard(i)
                    waiting.append(d) if d in laws else None
        return sorted(left)

    def _table(self, slot: int) -> Table:
        dims = self._dims[slot]
        return Table(slot, dims, tuple(i - len(dims) for i, d in enumerate(dims) if d.removesuffix(previous("")) in self.inside))

    def _plan(self, factors: Iterable[int]) -> None:
        level: dict[frozenset[str], list[int]] = {}
        for i in factors:
            plates = self.factors[i].plates
            for d in self._dims[i]:
                if d in self.inside and not self.inside[d] <= plates:
                    outside = ", ".join(sorted(self.inside[d] - plates))
                    raise EliminationError(
                        f"a factor outside plate {outside} uses the enumerated site {d!r} inside it: summing it out would need every "
                        "assignment of the plate at once"
                    )
            level.setdefault(plates, []).append(i)
        while level:
            at = max(level, key=lambda plates: (len(plates), sorted(plates)))
            here = self._sum_sites(at, level.pop(at))
            here = self._sum_chains(at, here, level)
            for slot in here:
                self._leave(at, slot, level)

    def _add(self, step: Step) -> int:
        """-> the slot of its result."""
        self.steps.append(step)
        self._dims.append(step.dims)
        return len(self._dims) - 1

    def _sum_sites(self, at: frozenset[str], here: list[int]) -> list[int]:
        """Sum out the sites that live exactly in these plates."""
        local = {d for s in here for d in self._dims[s] if self.inside.get(d) == at} - set(self.chains)
        for site in cheapest_order([self._dims[s] for s in here], local, self.sizes):
            slots = [s for s in here if site in self._dims[s]]
            made = self._add(Sum(site, [self._table(s) for s in slots], sorted(at), self.sizes))
            here = [s for s in here if s not in slots] + [made]
        return here

    def _sum_chains(self, at: frozenset[str], here: list[int], level: dict[frozenset[str], list[int]]) -> list[int]:
        """Sum out the chains that live exactly in these plates; what is left of each stands outside of its plate of time."""
        own = {name: n for n in self.chains if self.inside[n] == at for name in (n, previous(n))}
        while joined := [s for s in here if own.keys() & set(self._dims[s])]:
            sites, slots = {own[d] for d in self._dims[joined[0]] if d in own}, set[int]()
            while found := {s for s in joined if any(own.get(d) in sites for d in self._dims[s])} - slots:
                slots |= found
                sites |= {own[d] for s in found for d in self._dims[s] if d in own}
            self._sum_paths(at, sorted(sites), sorted(slots), level)
            here = [s for s in here if s not in slots]
        return here

    def _sum_paths(self, at: frozenset[str], sites: Sequence[str], slots: Sequence[int], level: dict[frozenset[str], list[int]]) -> None:
        times = {self.chains[n] for n in sites}
        time = times.pop()
        step = Chain(sites, time, [self._table(s) for s in slots], sorted(at), self.sizes)
        inside = sorted(d for d in step.dims if time in self.inside.get(d, ()))
        if times or inside:
            raise EliminationError(
                f"chains {', '.join(sites)} meet {', '.join(inside) or 'over other plates of time'}: no order sums them out exactly"
            )
        level.setdefault(at - {time}, []).append(self._add(step))

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
        over = [d for d in dims if d in at - to]
        times = math.prod(self.sizes[p] for p in at - to if p not in dims)
        made = self._add(Product(self._table(slot), over, times)) if over or times != 1 else slot
        if outer:
            level.setdefault(to, []).append(made)
        else:
            self.results.append(self._table(made))

    # What it is carried out with

    def run(self, tensors: Sequence[Tensor]) -> Tensor:
        """The log of the sum: () or, with kept plates, one dimension per kept plate (sorted by name). Differentiable and recordable."""
        return self.total(self.sums(tensors))

    def sums(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The factors and the result of each step, logs: for `total`, and for `assign` to draw from."""
        slots = [squeeze(t, f.dims) for t, f in zip(tensors, self.factors, strict=True)]
        for step in self.steps:
            slots.append(step.sum(slots))
        return slots

    def maxima(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The same with the largest term in place of each sum; not for a plan with laws, of which only the sum is 1."""
        slots = [squeeze(t, f.dims) for t, f in zip(tensors, self.factors, strict=True)]
        for step in self.steps:
            slots.append(step.max(slots))
        return slots

    def run_scaled(self, tensors: Sequence[Tensor]) -> Tensor:
        """What `run` gives, for tensors that all have a batch dimension: by products of the probabilities themselves where no
        weight can be lost, which takes a fraction of the time. Differentiable."""
        slots: list[Scaled] = []
        try:
            for i, (t, f) in enumerate(zip(tensors, self.factors, strict=True)):
                slots.append(scaled_of(squeeze(t, f.dims), self._table(i).sites))
            for step in self.steps:
                slots.append(step.scaled(slots))
        except LostWeightError:
            return self.run(tensors)
        logs = {t.slot: slots[t.slot].log() for t in self.results}
        return self.total(logs, tensors)

    def total(self, slots: Sequence[Tensor] | Mapping[int, Tensor], like: Sequence[Tensor] = ()) -> Tensor:
        kept = sorted(self.keep)
        total: Tensor | None = None
        for t in self.results:
            bare = [i - len(t.dims) for i, d in enumerate(t.dims) if d not in self.keep]
            left = slots[t.slot].sum(bare) if bare else slots[t.slot]
            left = align(left, tuple(d for d in t.dims if d in self.keep), kept)
            total = left if total is None else total + left
        if total is None:
            first, dims = (like or slots)[0], self.factors[0].dims if like else self._dims[0]
            total = first.new_zeros([*first.shape[: first.dim() - len(dims)], *[1] * len(kept)])
        lead = total.dim() - len(kept)
        return total.expand([*total.shape[:lead], *[self.sizes[p] for p in kept]])

    def assign(self, slots: Sequence[Tensor], count: int, noise: Noise | None = None) -> dict[str, Assignment]:
        """Site -> (indices (count, *plates), plates), backwards over the plan: exact draws, from `sums` and noise; without noise the most
        probable assignment, from `maxima`. slots have a batch dimension, of size count or 1."""
        drawn: dict[str, Assignment] = {}
        for step in (*reversed(self.steps), *reversed(self.alone)):
            drawn |= step.assign(slots, drawn, count, noise)
        return {n: drawn[n] for n in self.inside if n in drawn}


def with_previous(assignment: Mapping[str, Assignment], chains: Mapping[str, str], sizes: Mapping[str, int]) -> dict[str, Assignment]:
    """Indices of sites, and for each chain among them also those of the states before."""
    out = dict(assignment)
    for name in chains.keys() & assignment.keys():
        index, plates = assignment[name]
        out[previous(name)] = before(index, sizes[name], 1 + list(plates).index(chains[name])), plates
    return out
