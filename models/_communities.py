"""Where a search for communities begins: a few guesses at who belongs together, from the graph alone.

Sources: regularised Laplacian: Amini, Chen, Bickel & Levina, Annals of Statistics 41(4), 2013, Rohe, Qin & Yu, PNAS 113(45), 2016;
Bethe Hessian, which sees communities as long as any method can: Saade, Krzakala & Zdeborova, NIPS 2014.
"""

from collections.abc import Iterator

import numpy as np
import torch
from scipy.cluster.vq import kmeans2
from scipy.sparse import csr_array, diags_array, eye_array
from scipy.sparse.linalg import ArpackError, eigsh
from torch import Tensor

__all__ = ["anywhere", "guesses"]

SMALL = 200  # nodes, up to which all eigenvectors are computed


def guesses(edges: Tensor, num_nodes: int, num_communities: int, seed: int) -> Iterator[Tensor]:
    """Labels (N,) 0..K-1 of the nodes of a graph with edges (E, 2), whose direction and number between two nodes count nothing here
    and as weight: by eigenvectors of three matrices, and by degree."""
    k, generator = num_communities, np.random.default_rng(seed)
    ends = edges.cpu().numpy()
    both = np.concatenate([ends, ends[:, ::-1]]).T
    adjacency = csr_array((np.ones(both.shape[1]), (both[0], both[1])), shape=(num_nodes, num_nodes))
    degree = adjacency.sum(1)
    for matrix, scaled in _matrices(adjacency, degree):
        vectors = _lowest(matrix, k, generator)
        if scaled:  # by row: nodes of one community lie on a ray, whatever their degrees
            vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
        yield _clustered(vectors, k, generator)
    yield torch.from_numpy(degree.argsort(kind="stable").argsort() * k // num_nodes)
    yield _clustered(np.log(degree + 1.0)[:, None], k, generator)


def anywhere(num_nodes: int, num_communities: int, seed: int, count: int) -> Iterator[Tensor]:
    """`count` times labels (N,) of nodes in communities of one size, without a look at the graph."""
    generator = np.random.default_rng(seed)
    for _ in range(count):
        yield torch.from_numpy(generator.permutation(num_nodes) % num_communities)


def _matrices(adjacency: csr_array, degree: np.ndarray) -> Iterator[tuple[csr_array, bool]]:
    """Symmetric matrices whose lowest eigenvectors tell communities; and whether rows are to be scaled to one length."""
    mean = degree.mean()
    inverse = diags_array(1 / np.sqrt(degree + mean))
    laplacian = -(inverse @ adjacency @ inverse)
    yield laplacian, True
    r = np.sqrt(max(mean, 1.0 + 1e-6))
    for sign in (1.0, -1.0):  # more edges within communities, or fewer
        yield (r * r - 1) * eye_array(len(degree)) - sign * r * adjacency + diags_array(degree), False


def _lowest(matrix: csr_array, k: int, generator: np.random.Generator) -> np.ndarray:
    n = matrix.shape[0]
    if n > max(SMALL, 2 * k):
        try:
            return np.asarray(eigsh(matrix, k, which="SA", v0=generator.normal(size=n), tol=1e-4)[1])
        except ArpackError as error:  # no convergence: what has converged is a guess as good as any
            found = getattr(error, "eigenvectors", np.zeros((n, 0)))
            return np.concatenate([found, generator.normal(size=(n, k - found.shape[1]))], 1)
    return np.linalg.eigh(matrix.toarray())[1][:, :k]


def _clustered(points: np.ndarray, k: int, generator: np.random.Generator) -> Tensor:
    """k-means from well-spread centres; the best of a few."""
    distinct, which = np.unique(points, axis=0, return_inverse=True)
    if len(distinct) <= k:  # as on a ring, where every node has as many edges; there are no further centres to spread
        return torch.from_numpy(which.reshape(-1).astype(np.int64))
    best, least = np.zeros(len(points), dtype=np.int64), np.inf
    for _ in range(5):
        centres, labels = kmeans2(points, k, minit="++", seed=generator, missing="warn")
        spread = float(((points - centres[labels]) ** 2).sum())
        if spread < least:
            best, least = labels.astype(np.int64), spread
    return torch.from_numpy(best)
