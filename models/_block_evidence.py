"""Block models with weights and blocks integrated out: at labels, in the mean over independent ones, and over all labelings."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyro.distributions as dist
import torch
from torch import Tensor

from ..errors import CostError
from ._block_graph import Pairs, placement

__all__ = ["Collapsed", "best_start", "enumerated"]

MOST = 2**22  # labelings to go through
CHUNK = 2**22  # numbers of one batch of them
SHORT, LONG, PROMISING = 6, 30, 3  # sweeps of the search for a start, and how many guesses are improved in full
TILT = 3.0  # logit of a guess, and of the surest node where learning starts


@dataclass(frozen=True)
class Collapsed:
    """Priors and propensities; counts are double, as evidence is a difference of log gamma functions of them."""

    pairs: Pairs
    concentration: Tensor  # (K,)
    edge_prior: Tensor  # (2,)
    multiple: bool

    def posterior(self, edges: Tensor, exposure: Tensor) -> Any:
        """The conjugate laws of blocks given counts (*batch, P)."""
        a, b = self.edge_prior.to(edges)
        return dist.Gamma(a + edges, b + exposure) if self.multiple else dist.Beta(a + edges, b + exposure - edges)

    def evidence(self, edges: Tensor, exposure: Tensor) -> Tensor:
        """log p(edges | communities) of each pair of communities, blocks integrated out: (*batch, P)."""
        a, b = self.edge_prior.to(edges)
        if not self.multiple:
            return _log_beta(a + edges, b + exposure - edges) - _log_beta(a, b)
        return torch.lgamma(a + edges) - torch.lgamma(a) + a * b.log() - (a + edges) * (b + exposure).log()

    def labels(self, sizes: Tensor) -> Tensor:
        """log p(communities), weights integrated out, from their sizes (*batch, K)."""
        a = self.concentration.to(sizes)
        own = (torch.lgamma(a + sizes) - torch.lgamma(a)).sum(-1)
        return own + torch.lgamma(a.sum()) - torch.lgamma(a.sum() + sizes.sum(-1))

    def at(self, labels: Tensor, edges: Tensor) -> Tensor:
        """labels (*batch, N), edges (E, 2) -> log p(graph, communities) (*batch,), nats."""
        member = torch.nn.functional.one_hot(labels, self.pairs.num_communities).double()
        found = self.pairs.edges(labels, edges, torch.float64)
        return self._sum(found, member, edges)

    def in_mean(self, member: Tensor, edges: Tensor) -> Tensor:
        """member (N, K) -> the mean of log p(graph, communities, weights, blocks) - log q(weights, blocks) where nodes are in
        communities by themselves and weights and blocks have their best laws (): the formula for labels, at expected counts."""
        return self._sum(self.pairs.expected_edges(member, edges), member, edges)

    def _sum(self, found: Tensor, member: Tensor, edges: Tensor) -> Tensor:
        total = self.evidence(found, self.pairs.exposure(member)).sum(-1) + self.labels(member.sum(-2))
        return total + placement(self.pairs, edges, member.dtype) if self.multiple else total


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)


# Starts


class Start(NamedTuple):
    """member (N, K), and the evidence lower bound there, nats."""

    member: Tensor
    bound: float


def best_start(collapsed: Collapsed, edges: Tensor, guesses: Iterable[Tensor], seed: int) -> Tensor:
    """Logits (N, K) where learning begins: all guesses (N,) are improved a little, the most promising in full, and the best is
    taken. No node begins surer than TILT."""
    k = collapsed.pairs.num_communities
    tilted = [(TILT * torch.nn.functional.one_hot(labels, k).double()).softmax(-1).to(edges.device) for labels in guesses]
    tried = [_improved(collapsed, edges, member, SHORT, seed) for member in tilted]
    promising = sorted(tried, key=lambda s: -s.bound)[:PROMISING]
    best = max((_improved(collapsed, edges, s.member, LONG, seed) for s in promising), key=lambda s: s.bound)
    return best.member.log().clamp(min=-TILT)


def _improved(collapsed: Collapsed, edges: Tensor, member: Tensor, sweeps: int, seed: int) -> Start:
    """By sweeps q_i <- softmax of the bound's gradient by q_i, which is where the bound is highest with the others held; half of
    the nodes at a time, as all at once may swing. Source: Latouche et al. (2012), section 3."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(sweeps):
        first = (torch.rand(len(member), generator=generator) < 0.5).to(edges.device)
        for half in (first, ~first):
            at = member.requires_grad_()
            (slope,) = torch.autograd.grad(collapsed.in_mean(at, edges), at)
            member = torch.where(half[:, None], slope.softmax(-1), at.detach())
    entropy = -torch.special.xlogy(member, member).sum()
    return Start(member, float(collapsed.in_mean(member, edges) + entropy))


# All labelings


def enumerated(collapsed: Collapsed, edges: Tensor) -> dict[str, Any]:
    """log_evidence, marginals and `together` of a small graph, see StochasticBlockModel.exact. Raises CostError."""
    n, k = len(collapsed.pairs.outward), collapsed.pairs.num_communities
    if k**n > MOST:
        raise CostError(f"{k}^{n} = {float(k) ** n:.3g} labelings of {n} nodes are more than {MOST:,}; exact is for small graphs")
    size = max(1, CHUNK // (len(edges) + n * k))
    log_joint = torch.cat([collapsed.at(labels, edges) for labels in _labelings(n, k, size, edges.device)])
    log_evidence = log_joint.logsumexp(0)
    weights = (log_joint - log_evidence).exp()
    marginals, together = edges.new_zeros(n, k).double(), edges.new_zeros(n, n).double()
    for labels, weight in zip(_labelings(n, k, size, edges.device), weights.split(size), strict=True):
        member = torch.nn.functional.one_hot(labels, k).double()  # (labelings, N, K)
        marginals += torch.einsum("l,lnk->nk", weight, member)
        together += torch.einsum("l,lnk,lmk->nm", weight, member, member)
    return {"log_evidence": log_evidence, "marginals": {"community": marginals}, "together": together}


def _labelings(n: int, k: int, size: int, device: torch.device) -> Iterator[Tensor]:
    """All of them, (<= size, N) at a time."""
    place = k ** torch.arange(n, device=device)
    for start in range(0, k**n, size):
        yield torch.arange(start, min(start + size, k**n), device=device)[:, None] // place % k
