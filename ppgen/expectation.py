"""The expectation of a log joint density under the probabilities that a guide gives to discrete sites: exact, by summation."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .elimination import align, squeeze
from .errors import GuideError
from .joint import Joint
from .recording import Recording, support_of
from .sites import Site

__all__ = ["Discrete", "Expectation"]

Inputs = Mapping[str, Tensor]
Discrete = Mapping[str, tuple[Tensor, Tensor]]  # (log probabilities of each value, scale) of discrete sites


class Term(NamedTuple):
    """A factor whose discrete sites the guide gives probabilities to: its own dimensions, those of the product with the
    probabilities, and the size of the plates that neither has."""

    sites: tuple[str, ...]
    dims: tuple[str, ...]
    times: int


class Expectation:
    """The log joint density's expectation under independent discrete sites, plus their entropy: exact, by summation.

    Raises GuideError where a factor joins such a site with one that is to be summed out.
    """

    def __init__(self, recording: Recording, guide: Mapping[str, Site]):
        for n, site in guide.items():
            if not torch.equal(support_of(site), recording.support[n]):
                raise GuideError(f"site {n!r} takes other values in the guide than in the model")
        self._plan(recording.joint, guide)

    @classmethod
    def of(cls, joint: Joint, guide: Mapping[str, Site]) -> "Expectation":
        out = object.__new__(cls)
        out._plan(joint, guide)
        return out

    def _plan(self, joint: Joint, guide: Mapping[str, Site]) -> None:
        self.joint, self.guide = joint, dict(guide)
        if chains := sorted(guide.keys() & joint.chains.keys()):
            raise GuideError(f"the guide samples the chain {', '.join(chains)}; leave it out: its paths are summed out exactly")
        self.rest = [(names, plan) for names, plan in joint.components if not self._held(names)]
        self.terms: dict[str, Term] = {}
        for names, _ in joint.components:
            if held := self._held(names):
                if others := {d for n in names for d in joint.sites[n].dims if d in joint.inside} - held:
                    raise GuideError(
                        f"the guide samples {', '.join(sorted(held))} but not {', '.join(sorted(others))}, and factors join them; sample "
                        "all of them in the guide or none"
                    )
                self.terms |= {n: self._term(joint.sites[n]) for n in names}
        self.entropies = {n: self._term(s) for n, s in guide.items()}

    def _held(self, names: Sequence[str]) -> set[str]:
        return {str(d) for n in names for d in self.joint.sites[n].dims if d in self.guide}

    def _term(self, site: Site) -> Term:
        dims = [d for d in site.dims if d is not None]
        sites = tuple(d for d in dims if d in self.guide)
        wide = {p for n in sites for p in self.guide[n].dims if p is not None and p not in self.guide}
        dims += sorted(wide - set(dims))
        times = torch.Size([self.joint.sizes[p] for p in site.plates if p not in dims]).numel()
        return Term(sites, tuple(dims), times)

    def __call__(self, log_probs: Inputs, scales: Inputs, discrete: Discrete) -> Tensor:
        total: Any = 0.0
        for n in self.joint.plain:
            total = total + (log_probs[n] * scales[n]).sum()
        for names, plan in self.rest:
            total = total + plan.run([log_probs[n] for n in names]) * scales[names[0]].reshape(())
        for n, term in self.terms.items():
            total = total + self._mean(term, log_probs[n], self.joint.sites[n], discrete) * scales[n].reshape(())
        for n, term in self.entropies.items():
            log_q, scale = discrete[n]
            total = total - self._mean(term, log_q, self.guide[n], discrete) * scale.reshape(())
        return total

    def _mean(self, term: Term, factor: Tensor, site: Site, discrete: Discrete) -> Tensor:
        """The expectation of one factor, summed over its plates (); values of probability 0 count nothing."""
        product = align(squeeze(factor, site.dims), [d for d in site.dims if d is not None], term.dims)
        log_q: Any = 0.0
        for n in term.sites:
            own = self.guide[n].dims
            log_q = log_q + align(squeeze(discrete[n][0], own), [d for d in own if d is not None], term.dims)
        possible = log_q > -torch.inf
        weight = torch.where(possible, log_q, 0.0).exp()
        return torch.where(possible, weight * product, 0.0).sum() * term.times
