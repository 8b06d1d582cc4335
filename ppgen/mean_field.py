"""Where a wide guide begins: the independent normals that fit a density best, found with fixed random numbers.

    loc, scale = argmin of -mean_m log p(loc + scale z_m) - sum log scale,   z_m ~ Normal(0, I) drawn once

so that the objective is a plain function, and L-BFGS finds its minimum. A mode says nothing of a density that is highest where it has no
mass (a funnel's neck); this does.

Source: Giordano, Ingram & Broderick, Black box variational inference with a deterministic objective, JMLR 25, 2024.
"""

import numpy as np
import torch
from torch import Tensor

from .keys import START, Key, nth
from .mode import FAR, STEPS, Start
from .program import Program
from .targets import LogDensity

__all__ = ["at_mean_field"]

DRAWS = 64  # of the fixed normals, with as many of opposite sign


def at_mean_field(program: Program, key: Key) -> Start:
    """Means and sds of the normals. Raises StartError."""
    density = LogDensity(program)
    begin = density.initial(key, radius=0.1)[0]
    if not len(begin):
        return Start(begin, begin)
    half = key.normal(nth(START, 1), (1, DRAWS * len(begin))).reshape(DRAWS, -1).to(begin)
    found = _minimum(density, begin, torch.cat([half, -half]))
    loc, log_scale = found.chunk(2)
    return Start(loc, log_scale.exp())


def _minimum(density: LogDensity, begin: Tensor, normals: Tensor) -> Tensor:
    from scipy.optimize import minimize

    def loss(x: np.ndarray) -> tuple[float, np.ndarray]:
        loc, log_scale = torch.from_numpy(x).to(begin).chunk(2)
        move = log_scale.exp() * normals
        value, gradient = density.value_and_grad(loc + move)
        if not (value.isfinite().all() and gradient.isfinite().all()):
            return FAR, np.zeros_like(x)
        slope = torch.cat([gradient.mean(0), (gradient * move).mean(0) + 1])
        return float(-value.mean() - log_scale.sum()), -slope.double().cpu().numpy()

    start = torch.cat([begin, torch.full_like(begin, -1.0)]).double().cpu().numpy()
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS, "maxcor": 20})
    return torch.from_numpy(found.x).to(begin)
