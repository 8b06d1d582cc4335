"""The law of a graph whose nodes are in communities, and the counts that it depends on.

A pair of communities has a number: its place among the P pairs that there are, K(K + 1)/2 of an undirected and K^2 of a directed
graph. All that the graph tells of a pair of communities is its number of edges and its exposure: the number of node pairs or,
degree-corrected, the sum of their propensities' products. Pairs without an edge enter by the exposure alone.
"""

from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from pyro.distributions import TorchDistribution
from torch import Size, Tensor
from torch.distributions import constraints

from ..errors import DataError, EliminationError
from ._network import ABSENT

__all__ = ["BlockGraph", "Pairs", "placement"]


class Pairs:
    """The pairs of communities of a graph with given propensities.

    table       (K, K) the number of each pair; rows, columns: (P,) its communities
    outward, inward   (N,) propensities of the nodes, as ends of an edge; equal in an undirected graph
    """

    def __init__(self, num_communities: int, directed: bool, outward: Tensor, inward: Tensor):
        self.num_communities, self.directed, self.outward, self.inward = num_communities, directed, outward, inward
        k, device = num_communities, outward.device
        corner = torch.ones(k, k, device=device) if directed else torch.ones(k, k, device=device).triu()
        self.rows, self.columns = corner.nonzero(as_tuple=True)
        self.table = torch.zeros(k, k, dtype=torch.long, device=device)
        self.table[self.rows, self.columns] = torch.arange(len(self.rows), device=device)
        if not directed:
            self.table[self.columns, self.rows] = self.table[self.rows, self.columns]
        # of a pair of one community with itself, an undirected graph has every node pair twice
        self.share = torch.where((self.rows == self.columns) & (not directed), 0.5, 1.0).to(outward)

    def __len__(self) -> int:
        return len(self.rows)

    def exposure(self, member: Tensor) -> Tensor:
        """member (*batch, N, K), how far each node is in each community -> (*batch, P): over pairs of nodes that are not the same."""
        outward, inward = self.outward.to(member), self.inward.to(member)
        out, into = outward @ member, inward @ member  # (*batch, K)
        own = (member * (outward * inward)[:, None]).mT @ member  # (*batch, K, K): nodes with themselves
        both = out[..., self.rows] * into[..., self.columns] - own[..., self.rows, self.columns]
        return both * self.share.to(member)

    def edges(self, community: Tensor, edges: Tensor, dtype: torch.dtype) -> Tensor:
        """community (*batch, N), edges (E, 2) -> (*batch, P) how many edges: O(E + P). Absent edges count nothing."""
        counted = (edges[:, 0] >= 0).to(dtype)
        at = self.table[community[..., edges[:, 0]], community[..., edges[:, 1]]]  # (*batch, E)
        zeros = torch.zeros(*at.shape[:-1], len(self), dtype=dtype, device=at.device)
        return zeros.scatter_add(-1, at, counted.expand(at.shape))

    def expected_edges(self, member: Tensor, edges: Tensor) -> Tensor:
        """member (N, K) -> (P,) expected number of edges where each node is in its community by itself: O(E K^2)."""
        return self.folded(member.index_select(0, edges[:, 0]).T @ member.index_select(0, edges[:, 1]))

    def folded(self, between: Tensor) -> Tensor:
        """(K, K) edges from community to community -> (P,)"""
        both = between if self.directed else between + between.T
        return both[self.rows, self.columns] * self.share.to(between)

    def unfolded(self, slope: Tensor) -> Tensor:
        """A slope by what `folded` gives (P,) -> by what it takes (K, K)."""
        return slope[self.table]


class _Edges(constraints.Constraint):
    """Rows (from, to) of different nodes, the smaller first where the graph is undirected; or absent."""

    is_discrete = True
    event_dim = 2

    def __init__(self, num_nodes: int, directed: bool, multiple: bool):
        self.num_nodes, self.directed, self.multiple = num_nodes, directed, multiple

    def __repr__(self) -> str:
        return f"edges among {self.num_nodes} nodes"

    def check(self, value: Tensor) -> Tensor:
        a, b = value[..., 0], value[..., 1]
        gone = (a == ABSENT) & (b == ABSENT)
        inside = (a >= 0) & (b < self.num_nodes) & ((a != b) & (b >= 0) & (a < self.num_nodes) if self.directed else a < b)
        fine = (gone | inside).all(-1)
        if self.multiple:
            return fine
        keys = torch.where(gone, -1 - torch.arange(value.shape[-2], device=value.device), a * self.num_nodes + b).sort(-1).values
        return fine & (keys[..., 1:] != keys[..., :-1]).all(-1)


class BlockGraph(TorchDistribution):
    """A graph given the communities of its nodes: edges between i and j are

        Bernoulli(blocks[pair of i and j])                                    one or none
        Poisson(outward_i * inward_j * blocks[pair of i and j])               multiple: any number

    community   (*batch, N); blocks (*batch, P): probabilities or rates by pair of communities

    A value is (E, 2) node numbers, an edge a row, of any number of rows. log_prob takes O(E + N K + P), a draw O(its edges + N + P).
    """

    arg_constraints: ClassVar[dict[str, Any]] = {"community": constraints.nonnegative_integer, "blocks": constraints.nonnegative}
    padding = ABSENT  # draws have more or fewer rows

    def __init__(self, community: Tensor, blocks: Tensor, pairs: Pairs, *, multiple: bool, validate_args: bool | None = None):
        n = len(pairs.outward)
        if community.shape[-1] != n:
            raise EliminationError(
                f"the graph depends on the communities of all {n} nodes at once, so they cannot be summed out one by one; hold them "
                "(condition), sample them (Gibbs), or fit the family's guide (SVI)"
            )
        self.community, self.blocks, self.pairs, self.multiple = community, blocks, pairs, multiple
        batch = torch.broadcast_shapes(community.shape[:-1], blocks.shape[:-1]) if community.dim() > 1 or blocks.dim() > 1 else Size()
        super().__init__(Size(batch), Size((1, 2)), validate_args=validate_args)

    @property
    def support(self) -> Any:
        return _Edges(len(self.pairs.outward), self.pairs.directed, self.multiple)

    def log_prob(self, value: Tensor) -> Tensor:
        """value (E, 2) -> (*batch,)"""
        k = self.pairs.num_communities
        member = (self.community[..., None] == torch.arange(k, device=self.community.device)).to(self.blocks)  # (*batch, N, K)
        edges = self.pairs.edges(self.community, value, self.blocks.dtype)
        exposure = self.pairs.exposure(member)
        if not self.multiple:
            own = torch.special.xlogy(edges, self.blocks) + torch.special.xlog1py(exposure - edges, -self.blocks)
            return own.sum(-1)
        return (torch.special.xlogy(edges, self.blocks) - exposure * self.blocks).sum(-1) + placement(self.pairs, value, self.blocks.dtype)

    # Draws

    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:
        """(*sample_shape, E, 2); draws of fewer edges than the largest end in absent ones."""
        if self.batch_shape:
            raise DataError(f"a graph is drawn for one set of communities at a time; there are {tuple(self.batch_shape)}")
        draws = [self._one() for _ in range(Size(sample_shape).numel())]
        if not sample_shape:
            return draws[0]
        return torch.nn.utils.rnn.pad_sequence(draws, batch_first=True, padding_value=float(ABSENT)).reshape(*sample_shape, -1, 2)

    def _one(self) -> Tensor:
        member = [(self.community == k).nonzero()[:, 0] for k in range(self.pairs.num_communities)]
        drawn = [self._between(member[int(a)], member[int(b)], rate, bool(a == b)) for a, b, rate in self._each()]
        edges = torch.cat(drawn)
        edges = edges if self.pairs.directed else edges.sort(1).values
        return edges[(edges[:, 0] * len(self.pairs.outward) + edges[:, 1]).argsort()]

    def _each(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        return zip(self.pairs.rows, self.pairs.columns, self.blocks, strict=True)

    def _between(self, a: Tensor, b: Tensor, rate: Tensor, same: bool) -> Tensor:
        """The edges (M, 2) between the nodes a and the nodes b, which are the same ones or have none in common."""
        if self.multiple:
            return self._poisson(a, b, rate, same)
        n, m = len(a), len(b) - same
        total = n * m // 2 if same and not self.pairs.directed else n * m
        count = int(torch.binomial(rate.new_tensor(float(total)).double(), rate.double())) if total else 0
        at = _distinct(total, count, a.device)
        if not same:
            return torch.stack([a[at // max(m, 1)], b[at % max(m, 1)]], 1)
        if self.pairs.directed:
            i, j = at // max(m, 1), at % max(m, 1)
            return torch.stack([a[i], a[j + (j >= i)]], 1)
        j = ((1 + (1 + 8 * at.double()).sqrt()) / 2).floor().long()  # at = j (j - 1) / 2 + i, 0 <= i < j
        j = j - (j * (j - 1) // 2 > at).long() + (j * (j + 1) // 2 <= at).long()  # the root may be off by rounding
        return torch.stack([a[at - j * (j - 1) // 2], a[j]], 1)

    def _poisson(self, a: Tensor, b: Tensor, rate: Tensor, same: bool) -> Tensor:
        outward, inward = self.pairs.outward[a].double(), self.pairs.inward[b].double()
        exposure = outward.sum() * inward.sum() - ((outward * inward).sum() if same else 0.0)
        if same and not self.pairs.directed:
            exposure = exposure / 2
        left = int(torch.poisson(exposure.clamp(min=0.0) * rate.double()))
        found = [a.new_zeros(0, 2)]
        while left:  # ends by their propensities; an edge of a node to itself is none
            ends = torch.stack([a[_chosen(outward, left)], b[_chosen(inward, left)]], 1)
            found.append(ends[ends[:, 0] != ends[:, 1]])
            left -= len(found[-1])
        return torch.cat(found)


def placement(pairs: Pairs, value: Tensor, dtype: torch.dtype) -> Tensor:
    """(): of edges (E, 2) drawn by Poisson laws, what does not depend on communities: the log propensities of their ends, less the
    log of the orders in which the edges of one pair of nodes could have come."""
    counted = (value[:, 0] >= 0).to(dtype)
    ends = pairs.outward[value[:, 0]].to(dtype) * pairs.inward[value[:, 1]].to(dtype)
    keys = (value[:, 0] * len(pairs.outward) + value[:, 1]).sort().values
    place = torch.arange(1, len(keys) + 1, device=keys.device) - torch.searchsorted(keys, keys)  # 1, 2, ... among equal ones
    return torch.special.xlogy(counted, ends).sum() - torch.where(keys >= 0, place.to(dtype).log(), 0.0).sum()


def _chosen(weights: Tensor, count: int) -> Tensor:
    """(count,) indices, each by its weight, with replacement; by the weights' cumulative sum, as multinomial takes 2^24 at most."""
    edges = weights.cumsum(0)
    return torch.searchsorted(edges, torch.rand(count, dtype=weights.dtype, device=weights.device) * edges[-1], right=True).clamp(
        max=len(weights) - 1
    )


def _distinct(total: int, count: int, device: torch.device) -> Tensor:
    """(count,) different numbers below `total`, every set of them equally likely, in O(count)."""
    if 3 * count >= total:
        return torch.randperm(total, device=device)[:count]
    found = torch.zeros(0, dtype=torch.long, device=device)
    while len(found) < count:
        more = torch.randint(total, (count - len(found) + count // 8 + 8,), device=device)
        found = torch.cat([found, more]).unique()
    return found[torch.randperm(len(found), device=device)[:count]]
