"""Whether frameworks mean the same model: log joint densities at points drawn from the prior."""

import numpy as np
import pyro
import torch
from peers import ppgen as ours
from peers.pyro_models import MODELS
from pyro.poutine.util import site_is_subsample

__all__ = ["difference", "prior_points"]

POINTS = 4


def prior_points(model: str, data: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Site -> (points, *shape), and the log joint density at each, (points,), nats."""
    torch.set_default_dtype(torch.float64)
    points = []
    for seed in range(POINTS):
        pyro.set_rng_seed(seed)
        trace = pyro.poutine.trace(MODELS[model]).get_trace(**ours.tensors(data))
        latent = [n for n in trace.stochastic_nodes if not site_is_subsample(trace.nodes[n])]
        points.append({n: trace.nodes[n]["value"].numpy() for n in latent})
    densities = np.array([ours.density(model, data, p) for p in points])
    return {n: np.stack([p[n] for p in points]) for n in points[0]}, densities


def difference(one: np.ndarray, other: np.ndarray) -> float:
    """The largest relative difference, each less its value at the first point: constants do not count."""
    a, b = one - one[0], other - other[0]
    return float(np.max(np.abs(a - b)[1:] / np.abs(a)[1:]))
