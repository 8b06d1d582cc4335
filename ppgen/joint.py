"""The log joint density of a program from the factors of its sites, with every enumerated site summed out."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .elimination import Assignment, Elimination, Factor, previous, with_previous
from .errors import EliminationError
from .sites import Site

__all__ = ["Joint", "plates_of"]

NORMALISED = 1e-3  # nats from 1 of a sum of probabilities, in any dtype


class Joint:
    """The log joint density from its factors, with every enumerated site summed out.

    Built once from the sites of an enumerated run; called with tensors, recorded or eager.
    """

    def __init__(self, sites: Mapping[str, Site], plate_sizes: Mapping[str, int], itemsize: int = 8, copies: int = 1):
        self.sites = dict(sites)
        self.inside = {n: plates_of(s) for n, s in sites.items() if s.discrete}
        self.chains = {n: s.time for n, s in sites.items() if s.time is not None}
        self.sizes = dict(plate_sizes)
        for s in sites.values():
            for d, k in zip(s.dims, getattr(s.log_prob, "shape", ()), strict=False):
                if d is not None:
                    self.sizes.setdefault(d, k)
        self.plain = [n for n, s in sites.items() if not self._hooks(s)]
        self.components = [(names, self.plan(names, itemsize=itemsize, copies=copies)) for names in self._components()]

    def _hooks(self, site: Site) -> set[str]:
        return {d for d in site.dims if d in self.inside}

    def _components(self) -> Iterator[list[str]]:
        """Sites that hang together through enumerated ones; each group must be scaled alike."""
        groups: list[tuple[set[str], list[str]]] = []
        for name, site in self.sites.items():
            hooks = self._hooks(site)
            if not hooks:
                continue
            touched = [g for g in groups if g[0] & hooks]
            merged = (hooks.union(*[g[0] for g in touched]), [n for g in touched for n in g[1]] + [name])
            groups = [g for g in groups if g not in touched] + [merged]
        for _, names in groups:
            scales = {n: _scale_key(self.sites[n].scale) for n in names}
            if len(set(scales.values())) > 1:
                raise EliminationError(
                    f"sites {', '.join(names)} hang together by enumerated sites and have different scales {scales}: a global "
                    "enumerated site cannot be combined with minibatches"
                )
            yield names

    def plan(
        self,
        names: Sequence[str],
        keep: Iterable[str] = (),
        held: Iterable[str] = (),
        probes: Iterable[str] = (),
        pruned: bool = False,
        **cost: int,
    ) -> Elimination:
        """An elimination over the factors of some sites.

        held     enumerated sites that are read at values and not summed
        probes   sites that get one more factor each, `probe(site)`, in this order behind the others
        pruned   enumerated sites that nothing else depends on are left out, as they sum to 1: not for maxima, nor for derivatives by
                 their factors
        """
        held = set(held)
        factors = [Factor(self.held_dims(n, held), plates_of(self.sites[n])) for n in names]
        factors += [Factor(self.probe_dims(n), self.inside[n]) for n in probes]
        inside = {n: p for n, p in self.inside.items() if n not in held}
        chains = {n: t for n, t in self.chains.items() if n not in held}
        laws = {n: i for i, n in enumerate(names) if n in inside and self.sums_to_one(n)} if pruned else {}
        return Elimination(factors, inside, self.sizes, keep, chains=chains, laws=laws, **cost)

    def probe_dims(self, name: str) -> tuple[str, ...]:
        """Of a factor that an enumerated site alone enters: by whose log the log sum has the site's probabilities as derivatives."""
        return (name, *sorted(self.inside[name]))

    def sums_to_one(self, name: str) -> bool:
        """Whether the factor of an enumerated site is normalised over its values, as no mask hides it."""
        site = self.sites[name]
        dims = site.dims
        if name not in dims or not self.inside[name] <= plates_of(site):
            return False
        log = site.log_prob.detach()
        total = torch.where(log.isnan(), -torch.inf, log).logsumexp(dims.index(name) - len(dims))
        return bool((total.abs() < NORMALISED).all())

    def held_dims(self, name: str, held: Iterable[str]) -> tuple[str | None, ...]:
        """Of a site's factor read at the values of held enumerated sites. That of a held chain has all of its plates."""
        gone = {*held, *map(previous, held)}
        dims = tuple(None if d in gone else d for d in self.sites[name].dims)
        lost = sorted(self.inside[name] - set(dims)) if name in self.chains and name in gone else []
        return *dims, *lost

    def with_previous(self, assignment: Mapping[str, Assignment]) -> dict[str, Assignment]:
        """Indices of sites, and for each chain among them also those of the states before."""
        return with_previous(assignment, self.chains, self.sizes)

    def __call__(self, log_probs: Mapping[str, Any], scales: Mapping[str, Any]) -> Tensor:
        """The log joint ()."""
        total: Any = 0.0
        for n in self.plain:
            total = total + (log_probs[n] * scales[n]).sum()
        for names, plan in self.components:
            total = total + plan.run([log_probs[n] for n in names]) * scales[names[0]].reshape(())
        return total


def plates_of(site: Site) -> frozenset[str]:
    """The plates of a site, and its bare batch dimensions, which behave like plates."""
    return frozenset(site.plates) | {d for d in site.dims if d is not None and d.startswith("dim-")}


def _scale_key(scale: Any) -> float:
    if isinstance(scale, Tensor):
        if scale.numel() != 1:
            return float("nan")  # equal to nothing: refused
        return float(scale)
    return float(scale)
