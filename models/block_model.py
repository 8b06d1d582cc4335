"""Stochastic block models: nodes are in communities, and who is tied to whom depends on the communities alone."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

import networkx as nx
import numpy as np
import pyro
import pyro.distributions as dist
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from ..errors import DataError, NameNotFoundError, ProgramError
from ..family import Family
from ._block_evidence import Collapsed, best_start, enumerated
from ._block_graph import BlockGraph, Pairs
from ._communities import anywhere, guesses
from ._mixture import positive
from ._network import Network, read_network

__all__ = ["StochasticBlockModel"]

Kind = Literal["bernoulli", "poisson"]
RANDOM, EFFORT = (4, 32), 50_000  # guesses without looking at the graph, from which a start is searched: so many edges' worth of them


class StochasticBlockModel(Family):
    """
        weights      ~ Dirichlet(concentration, ..., concentration)
        blocks_kl    ~ Beta(*edge_prior)                        k <= l: the probability of an edge between communities k and l
        community_i  ~ Categorical(weights)                     i = 1..N
        graph_ij     ~ Bernoulli(blocks of community_i and community_j)      i < j

    kind              bernoulli: an edge or none. poisson: any number of edges, blocks_kl ~ Gamma(*edge_prior) their expected number
    degree_corrected  poisson, with the expected number times d_i d_j / 2m: d the nodes' degrees in `like` and m its edges, as given.
                      Communities are then no longer sorted by degree, and blocks are about 1. A graph that is drawn with more or
                      fewer nodes has these degrees over and over
    directed          i != j, blocks_kl for every k and l; degrees are out- and in-degrees, over m
    like              the graph: of networkx, or (E, 2) node numbers. Says which nodes there are and where the guide begins
    num_nodes         their number, where there is no `like`
    weight            networkx's edge attribute that is a number of edges; None leaves weights aside
    edge_prior        None is (1, 1) for a probability or with degrees corrected, else (1, 1 / mean number of edges of a node pair)

    `blocks` is (P,), by rows of the upper triangle (directed: all rows) of a K x K matrix, which `matrix` gives back. Non-edges enter
    by group sizes: time and memory are O(E K^2 + N K), never O(N^2). Data of other nodes than those of `like` are refused.
    i and j run over one plate of nodes, which no nesting of plates can draw: in the diagram the graph is one observed node outside
    of the plate, and the arrow to it means the communities of all nodes.
    Exact: everything, for graphs of a few nodes, by going through all labelings; `collapsed` for any.
    Sources: Holland, Laskey & Leinhardt, Social Networks 5, 1983; Karrer & Newman, Physical Review E 83, 2011; the guide: Daudin,
    Picard & Robin, Statistics and Computing 18, 2008, with weights and blocks at their conjugate laws as in Latouche, Birmele &
    Ambroise, Statistical Modelling 12, 2012.
    """

    concentration: Tensor  # (K,)
    edge_prior: Tensor  # (2,)
    outward: Tensor  # (N,) propensities
    inward: Tensor  # (N,)
    logits: Tensor  # (N, K) of the guide

    def __init__(
        self,
        num_communities: int = 2,
        *,
        like: nx.Graph | Tensor | None = None,
        num_nodes: int | None = None,
        kind: Kind | None = None,
        degree_corrected: bool = False,
        directed: bool = False,
        weight: str | None = "weight",
        concentration: float = 1.0,
        edge_prior: tuple[float, float] | None = None,
        seed: int = 0,
    ):
        super().__init__()
        if kind is None:
            kind = "poisson" if degree_corrected else "bernoulli"
        if kind not in get_args(Kind):
            raise NameNotFoundError(f"no kind {kind!r}; there are {', '.join(get_args(Kind))}")
        if degree_corrected and kind == "bernoulli":
            raise ProgramError("degree_corrected goes with kind='poisson': a degree times a probability may exceed 1")
        if degree_corrected and like is None:
            raise ProgramError("degree_corrected takes the degrees of `like`; give the graph")
        self.num_communities, self.kind, self.directed, self.weight = _whole(num_communities), kind, directed, weight
        self.degree_corrected = degree_corrected
        self.nodes: tuple[Any, ...] = ()
        known = None if like is None else self._read(like, num_nodes)
        if known is not None and num_nodes not in (None, len(known.nodes)):
            raise DataError(f"num_nodes is {num_nodes}, and the graph has {len(known.nodes)} nodes; leave one of them out")
        self.nodes = known.nodes if known is not None else tuple(range(num_nodes or 0))
        if not self.nodes:
            raise ProgramError("give the graph (like=) or num_nodes: the guide has probabilities for each node")
        if num_communities > len(self.nodes):
            raise DataError(f"num_communities is {num_communities}, more than the {len(self.nodes)} nodes of the graph")
        default = torch.get_default_dtype()
        self.register_buffer("concentration", torch.full((num_communities,), positive("concentration", concentration)))
        for name, propensity in zip(("outward", "inward"), self._propensities(known), strict=True):
            self.register_buffer(name, propensity.to(default))
        self.register_buffer("edge_prior", torch.tensor(self._edge_prior(edge_prior, known), dtype=default))
        self.logits = torch.nn.Parameter(self._start(known, seed).to(default))  # (N, K)

    # Data

    def _read(self, x: Any, num_nodes: int | None = None) -> Network:
        nodes = self.nodes or None
        return read_network(
            x, directed=self.directed, multiple=self.kind == "poisson", weight=self.weight, nodes=nodes, num_nodes=num_nodes
        )

    def _edges(self, x: Any, context: Any = None) -> Tensor:
        """(E, 2) on the family's device."""
        if context is not None:
            raise ProgramError("StochasticBlockModel takes no context")
        return self._read(x).edges.to(self.logits.device)

    def _propensities(self, known: Network | None) -> tuple[Tensor, Tensor]:
        """(N,) and (N,): 1, or degrees over the root of what they sum to."""
        n = len(self.nodes)
        if known is None or not self.degree_corrected:
            return torch.ones(n), torch.ones(n)
        out, into = (torch.bincount(known.edges[:, i], minlength=n).double() for i in (0, 1))
        if not self.directed:
            out = into = out + into
        return out / out.sum().sqrt(), into / into.sum().sqrt()

    def _edge_prior(self, given: tuple[float, float] | None, known: Network | None) -> tuple[float, float]:
        if given is not None:
            if len(given) != 2:
                raise ProgramError(f"edge_prior must be two numbers, of the Beta or Gamma law of `blocks`; got {given}")
            return positive("edge_prior", given[0]), positive("edge_prior", given[1])
        if self.kind == "bernoulli" or self.degree_corrected or known is None:
            return 1.0, 1.0
        n = len(self.nodes)
        return 1.0, n * (n - 1) / (1 if self.directed else 2) / len(known.edges)

    def _pairs(self, size: int | None = None) -> Pairs:
        """Of the nodes of the data: those of the guide, or `size` new ones, with the same propensities over and over."""
        n = len(self.nodes)
        if size is None or size == n:
            return Pairs(self.num_communities, self.directed, self.outward, self.inward)
        if size < 1:
            raise ProgramError(f"size must be at least 1, got {size}")
        repeated = torch.arange(size, device=self.outward.device) % n
        out, into = self.outward[repeated], self.inward[repeated]
        if self.degree_corrected:  # degrees over the root of what they sum to
            out, into = (t * (of.sum() / t.sum()).sqrt() for t, of in ((out, self.outward), (into, self.inward)))
        return Pairs(self.num_communities, self.directed, out, into)

    # The pair

    def model(self, x: nx.Graph | Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> Tensor:
        """Observes the graph x, or draws one of `size` nodes, as edges (E, 2)."""
        if x is None and size is None:
            raise ProgramError("give a graph x to observe, or size, the number of nodes of one to draw")
        edges = None if x is None else self._edges(x, context)
        pairs = self._pairs(None if x is not None else size)
        weights = pyro.sample("weights", dist.Dirichlet(self.concentration))  # (K,)
        with pyro.plate("pairs", len(pairs)):
            law = dist.Beta if self.kind == "bernoulli" else dist.Gamma
            blocks = pyro.sample("blocks", law(*self.edge_prior))  # (P,)
        with pyro.plate("nodes", len(pairs.outward)):
            community = pyro.sample("community", dist.Categorical(weights))  # (N,)
        return pyro.sample("graph", BlockGraph(community, blocks, pairs, multiple=self.kind == "poisson"), obs=edges)

    def guide(self, x: nx.Graph | Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        """Each node in a community by itself, with learned probabilities; weights and blocks at the best laws given these, which are
        of their priors' kinds. What it cannot hold: that two nodes are uncertain together."""
        if x is None:
            raise ProgramError("the guide of a block model needs the graph x")
        pairs, edges, member = self._pairs(), self._edges(x, context), self.logits.softmax(-1)
        pyro.sample("weights", dist.Dirichlet(self.concentration + member.sum(0)))
        with pyro.plate("pairs", len(pairs)):
            pyro.sample("blocks", self._collapsed().posterior(pairs.expected_edges(member, edges), pairs.exposure(member)))
        with pyro.plate("nodes", len(self.nodes)):
            pyro.sample("community", dist.Categorical(logits=self.logits))

    def bound(self, x: nx.Graph | Tensor | None = None, context: Tensor | None = None, *, size: int | None = None) -> None:
        """The evidence lower bound of the pair in closed form, without noise. In double precision: it is a difference of log gamma
        functions of counts."""
        edges, log_member = self._edges(x, context), self.logits.double().log_softmax(-1)
        pyro.factor("collapsed", self._collapsed().in_mean(log_member.exp(), edges), has_rsample=True)
        pyro.factor("entropy", -(log_member.exp() * log_member).sum(), has_rsample=True)

    # What is known in closed form

    def _collapsed(self) -> Collapsed:
        return Collapsed(self._pairs(), self.concentration, self.edge_prior, self.kind == "poisson")

    def collapsed(self, x: nx.Graph | Tensor, labels: Tensor) -> Tensor:
        """log p(graph, communities), weights and blocks integrated out: labels (*batch, N) -> (*batch,), nats. At the best labels
        it is the criterion ICL by which numbers of communities are compared (Come & Latouche, Statistical Modelling 15, 2015)."""
        return self._collapsed().at(self._labels(labels), self._edges(x))

    def profile(self, x: nx.Graph | Tensor, labels: Tensor) -> Tensor:
        """The profile log likelihood of labels (*batch, N) -> (*batch,), nats, constants dropped:

            sum over r, s of m_rs log(m_rs / (x_r x_s))      m_rr twice the edges within r; x sizes, or with degrees corrected
                                                             sums of degrees; directed: m_rs from r to s, out- and in-degrees

        Source: Karrer & Newman (2011), equations 9 and 18.
        """
        labels, edges = self._labels(labels), self._edges(x)
        pairs = self._pairs()
        count = pairs.edges(labels, edges, torch.float64)[..., pairs.table]  # (*batch, K, K)
        if not self.directed:
            count = count + torch.diag_embed(count.diagonal(dim1=-2, dim2=-1))
        member = torch.nn.functional.one_hot(labels, self.num_communities).double()  # (*batch, N, K)
        out, into = member.sum(-2), member.sum(-2)
        if self.degree_corrected:
            out, into = count.sum(-1), count.sum(-2)
        return (torch.special.xlogy(count, count) - torch.special.xlogy(count, out[..., :, None] * into[..., None, :])).sum((-2, -1))

    def exact(self, x: nx.Graph | Tensor, context: Tensor | None = None) -> dict[str, Any]:
        """By going through all K^N labelings: log_evidence, nats, and marginals: `community` (N, K), which are all alike, as nothing
        tells the communities' names, and `together` (N, N), the probability that two nodes are in one community.

        Raises CostError for more than 2^22 labelings.
        """
        return enumerated(self._collapsed(), self._edges(x, context))

    # Labels

    def _labels(self, labels: Any) -> Tensor:
        labels = torch.as_tensor(labels, device=self.logits.device).long()
        if labels.shape[-1:] != self.logits.shape[:1]:
            raise DataError(f"labels must be (*batch, {len(self.nodes)}), one for each node; got {tuple(labels.shape)}")
        if ((labels < 0) | (labels >= self.num_communities)).any():
            raise DataError(f"labels must be 0 to {self.num_communities - 1}; got {int(labels.min())} to {int(labels.max())}")
        return labels

    @property
    def communities(self) -> Tensor:
        """(N,) the guide's most probable community of each node, in the order of `nodes`."""
        return self.logits.detach().argmax(-1)

    def matrix(self, blocks: Tensor) -> Tensor:
        """blocks (*lead, P) -> (*lead, K, K)"""
        return blocks[..., self._pairs().table]

    def relabel(self, draws: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Each draw's communities renamed so that they agree best with the guide's."""
        out = dict(draws)
        if "community" not in draws or draws["community"].shape[-1] != len(self.nodes):
            return out
        k, pairs = self.num_communities, self._pairs()
        reference = self.logits.detach().softmax(-1)  # (N, K)
        overlap = torch.nn.functional.one_hot(draws["community"].long(), k).to(reference).mT @ reference  # (*lead, K, K)
        flat = overlap.reshape(-1, k, k).double().cpu().numpy()
        found = np.array([linear_sum_assignment(o, maximize=True)[1] for o in flat])  # a microsecond a draw at K = 4
        name = torch.from_numpy(found).reshape(*overlap.shape[:-2], k).to(overlap.device)  # (*lead, K) new name of each
        old = name.argsort(-1)
        out["community"] = name.gather(-1, draws["community"].long()).to(draws["community"].dtype)
        if "weights" in draws:
            out["weights"] = draws["weights"].gather(-1, old)
        if "blocks" in draws:
            out["blocks"] = draws["blocks"].gather(-1, pairs.table[old[..., pairs.rows], old[..., pairs.columns]])
        return out

    def _start(self, known: Network | None, seed: int) -> Tensor:
        """(N, K) logits: the best of a few guesses, each improved by sweeps; near even ones where there is no graph."""
        n, k = len(self.nodes), self.num_communities
        if known is None or k == 1:
            return 0.1 * torch.randn(n, k, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        fewest, most = RANDOM
        count = min(most, max(fewest, EFFORT // len(known.edges)))
        return best_start(self._collapsed(), known.edges, guesses(known.edges, n, k, seed), anywhere(n, k, seed, count), seed)


def _whole(number: Any) -> int:
    if not isinstance(number, int | np.integer) or number < 1:
        raise ProgramError(f"num_communities must be a whole number, at least 1; got {number}")
    return int(number)
