"""Block models with weights and blocks integrated out: at labels, in the mean over independent ones, and over all labelings."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyro.distributions as dist
import torch
from scipy.sparse import csr_array
from torch import Tensor

from ..errors import CostError
from ._block_graph import Pairs, placement

__all__ = ["Collapsed", "best_start", "enumerated"]

MOST = 2**22  # labelings to go through
CHUNK = 2**22  # numbers of one batch of them
DRAWN, SHORT, LONG, PROMISING = 9, 6, 30, 4  # sweeps of the search for a start, and of how many guesses one is improved in full
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
        return self.of_counts(self.pairs.edges(labels, edges, torch.float64), member) + self._rest(edges)

    def in_mean(self, member: Tensor, edges: Tensor) -> Tensor:
        """member (N, K) -> the mean of log p(graph, communities, weights, blocks) - log q(weights, blocks) where nodes are in
        communities by themselves and weights and blocks have their best laws (): the formula for labels, at expected counts."""
        return self.of_counts(self.pairs.expected_edges(member, edges), member) + self._rest(edges)

    def of_counts(self, found: Tensor, member: Tensor) -> Tensor:
        """From the number of edges (*batch, P) and member (*batch, N, K), but for what does not depend on them: (*batch,)."""
        return self.evidence(found, self.pairs.exposure(member)).sum(-1) + self.labels(member.sum(-2))

    def _rest(self, edges: Tensor) -> Tensor | float:
        return placement(self.pairs, edges, torch.float64) if self.multiple else 0.0


def _log_beta(a: Tensor, b: Tensor) -> Tensor:
    return torch.lgamma(a) + torch.lgamma(b) - torch.lgamma(a + b)


# Starts


class Start(NamedTuple):
    """member (N, K), the evidence lower bound there, and what it tells of the community of a node, both in nats."""

    member: Tensor
    bound: float
    told: float


def best_start(collapsed: Collapsed, edges: Tensor, guesses: Iterable[Tensor], anywhere: Iterable[Tensor], seed: int) -> Tensor:
    """Logits (N, K) where learning begins, on the CPU: all guesses (N,) are improved a little, the most promising in full, and the best is
    taken. Each goes through sweeps at random first, which get out of many a place where sweeps in expectation stay; those that looked at
    the graph also without, for such sweeps lose communities that hardly show. No node begins surer than TILT.

    Where a graph hardly shows its communities the bound is highest with all nodes alike. Who asks for K communities wants them told
    apart, so what tells less than half as much as another start is not taken.
    """
    k, search = collapsed.pairs.num_communities, _Search(collapsed, edges, seed)
    near, far = ([(TILT * torch.nn.functional.one_hot(labels, k).double()).softmax(-1) for labels in some] for some in (guesses, anywhere))
    tried = [search.improved(member, SHORT) for member in [*near, *(search.drawn(m, DRAWN) for m in [*near, *far])]]
    finished = [search.improved(s.member, LONG) for s in _best(tried, math.ceil(len(tried) / PROMISING))]
    return _best(finished, 1)[0].member.log().clamp(min=-TILT)


def _best(starts: Sequence[Start], count: int) -> list[Start]:
    most = max(s.told for s in starts)
    return sorted((s for s in starts if s.told >= most / 2), key=lambda s: -s.bound)[:count]


class _Search:
    """Sweeps q_i <- softmax of the bound's gradient by q_i, which is where the bound is highest with the others held; half of the
    nodes at a time, as all at once may swing. Source: Latouche et al. (2012), section 3.

    The gradient goes by sums over neighbours, products of a sparse matrix, where autograd would add edge by edge.
    """

    def __init__(self, collapsed: Collapsed, edges: Tensor, seed: int):
        self.collapsed, self.pairs = collapsed, collapsed.pairs
        self.generator = torch.Generator().manual_seed(seed)  # other halves for each guess: what two guesses lead to is two chances
        a, b = edges.cpu().numpy().T
        n = len(self.pairs.outward)
        self.out = csr_array((np.ones(len(a)), (a, b)), shape=(n, n))
        self.into = csr_array(self.out.T)

    def drawn(self, member: Tensor, sweeps: int) -> Tensor:
        """Each node in one community, drawn with what a sweep would make its probabilities. Source: Celeux & Diebolt, Computational
        Statistics Quarterly 2, 1985 (stochastic EM)."""
        for _ in range(sweeps):
            for half in self._halves(len(member)):
                label = torch.multinomial(self._value_and_slope(member)[1].softmax(-1), 1, generator=self.generator)[:, 0]
                member = torch.where(half[:, None], torch.nn.functional.one_hot(label, member.shape[1]).to(member), member)
        return member

    def _halves(self, count: int) -> tuple[Tensor, Tensor]:
        first = torch.rand(count, generator=self.generator) < 0.5
        return first, ~first

    def improved(self, member: Tensor, sweeps: int) -> Start:
        for _ in range(sweeps):
            for half in self._halves(len(member)):
                member = torch.where(half[:, None], self._value_and_slope(member)[1].softmax(-1), member)
        entropy = -torch.special.xlogy(member, member).sum()
        mean = member.mean(0)
        told = -torch.special.xlogy(mean, mean).sum() - entropy / len(member)
        return Start(member, float(self._value_and_slope(member)[0] + entropy), float(told))

    def _value_and_slope(self, member: Tensor) -> tuple[Tensor, Tensor]:
        """The bound but for the entropy and what does not depend on labels, and its gradient by member (N, K)."""
        after, before = (torch.from_numpy(m @ member.numpy()) for m in (self.out, self.into))  # (N, K) of neighbours
        found = self.pairs.folded(member.T @ after).requires_grad_()
        at = member.requires_grad_()
        value = self.collapsed.of_counts(found, at)
        by_found, slope = torch.autograd.grad(value, (found, at))
        member.requires_grad_(False)
        weight = self.pairs.unfolded(by_found)
        return value.detach(), slope + after @ weight.T + before @ weight


# All labelings


def enumerated(collapsed: Collapsed, edges: Tensor) -> dict[str, Any]:
    """log_evidence and marginals of a small graph, see StochasticBlockModel.exact. Raises CostError."""
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
    return {"log_evidence": log_evidence, "marginals": {"community": marginals, "together": together}}


def _labelings(n: int, k: int, size: int, device: torch.device) -> Iterator[Tensor]:
    """All of them, (<= size, N) at a time."""
    place = k ** torch.arange(n, device=device)
    for start in range(0, k**n, size):
        yield torch.arange(start, min(start + size, k**n), device=device)[:, None] // place % k
