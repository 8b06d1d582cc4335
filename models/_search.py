"""Graphs from data: the tree of Chow and Liu, and hill climbing by a library."""

import itertools
import warnings
from collections.abc import Mapping

import networkx as nx
import numpy as np

from ..errors import NameNotFoundError, ProgramError

__all__ = ["SCORES", "chow_liu", "hill_climbing"]

SCORES = ("aic", "bd", "bdeu", "bic", "k2")


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


def hill_climbing(x: Mapping[str, np.ndarray], sizes: Mapping[str, int], score: str) -> nx.DiGraph:
    """By pyAgrum: arcs are added, removed and turned round while the score grows."""
    if score not in SCORES:
        raise NameNotFoundError(f"no score {score!r}; there are {', '.join(SCORES)}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # its binding crashes where its own warning becomes an error
            import pyagrum  # type: ignore[import-not-found]
    except ImportError as error:
        raise ProgramError("hill climbing needs pyAgrum: pip install pyagrum; chow_liu needs nothing") from error
    import pandas as pd

    blank = pyagrum.BayesNet()
    for name, size in sizes.items():
        blank.add(pyagrum.LabelizedVariable(name, "", [str(i) for i in range(size)]))
    learner = pyagrum.BNLearner(pd.DataFrame({n: v.astype(str) for n, v in x.items()}), blank)
    learner.useGreedyHillClimbing()
    getattr(learner, {"aic": "useScoreAIC", "bd": "useScoreBD", "bdeu": "useScoreBDeu", "bic": "useScoreBIC", "k2": "useScoreK2"}[score])()
    found, names = learner.learnDAG(), learner.names()
    graph = nx.DiGraph()
    graph.add_nodes_from(x)
    graph.add_edges_from(sorted((names[a], names[b]) for a, b in found.arcs()))
    return graph
