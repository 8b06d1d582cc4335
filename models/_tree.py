"""The tree of Chow and Liu."""

import itertools
from collections.abc import Mapping

import networkx as nx
import numpy as np

__all__ = ["chow_liu", "pair_counts"]


def chow_liu(x: Mapping[str, np.ndarray], sizes: Mapping[str, int], smoothing: float) -> nx.DiGraph:
    """Rows (N,) of whole numbers by variable -> the tree of highest sum of mutual informations, its edges away from the first variable."""
    names = list(x)
    counts = pair_counts([x[n] for n in names], [sizes[n] for n in names]) + smoothing
    begin = np.cumsum([0, *(sizes[n] for n in names)])
    graph = nx.Graph()
    graph.add_nodes_from(names)
    for i, j in itertools.combinations(range(len(names)), 2):
        joint = counts[begin[i] : begin[i + 1], begin[j] : begin[j + 1]]
        graph.add_edge(names[i], names[j], weight=_mutual_information(joint / joint.sum()))
    tree = nx.maximum_spanning_tree(graph)
    directed = nx.DiGraph()
    directed.add_nodes_from(names)
    directed.add_edges_from(nx.bfs_edges(tree, names[0]))
    return directed


def pair_counts(columns: list[np.ndarray], sizes: list[int]) -> np.ndarray:
    """(total of sizes, total of sizes): how many rows have each state of one variable with each of another."""
    hot = np.concatenate([np.eye(k)[c] for c, k in zip(columns, sizes, strict=True)], 1)
    return np.asarray(hot.T @ hot)


def _mutual_information(joint: np.ndarray) -> float:
    """nats"""
    apart = joint.sum(1, keepdims=True) * joint.sum(0, keepdims=True)
    some = joint > 0
    return float((joint[some] * np.log(joint[some] / apart[some])).sum())
