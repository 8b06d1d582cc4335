"""Long sequences with parameters for them, and what hmmlearn makes of these. Imports numpy alone; hmmlearn where it is run:

python tests/tools/long_chains.py > tests/reference/hmmlearn.json       in an environment with hmmlearn
"""

import json
import sys
from typing import Any

import numpy as np

__all__ = ["KINDS", "problem"]

KINDS = {"normal": (8000, 6), "multivariate_normal": (5000, 4), "poisson": (10_000, 8), "categorical": (20_000, 5)}  # steps, states


def problem(kind: str) -> dict[str, np.ndarray]:
    """initial (K,), transition (K, K), the parameters of emissions, and x (T, ...): drawn by a model that is not quite this one."""
    steps, states = KINDS[kind]
    draw = np.random.default_rng(sorted(KINDS).index(kind))
    rows = draw.dirichlet(np.ones(states), states + 1)
    transition = 0.8 * np.eye(states) + 0.2 * rows[1:]
    out = {"initial": rows[0], "transition": transition}
    z = [0]
    running = transition.cumsum(1)
    for u in draw.random(steps - 1):
        z.append(min(int((u >= running[z[-1]]).sum()), states - 1))
    if kind == "normal":
        out |= {"loc": draw.normal(40, 10, states), "scale": draw.uniform(1, 4, states)}
        return out | {"x": out["loc"][z] + 1.2 * out["scale"][z] * draw.normal(size=steps)}
    if kind == "poisson":
        out |= {"rate": draw.gamma(4, 5, states)}
        return out | {"x": draw.poisson(1.1 * out["rate"][z]).astype(float)}
    if kind == "categorical":
        out |= {"probs": draw.dirichlet(np.full(12, 0.7), states)}
        return out | {"x": (draw.random((steps, 1)) >= out["probs"].cumsum(1)[z]).sum(1).clip(max=11).astype(float)}
    root = np.tril(draw.normal(size=(states, 3, 3)), -1) + np.eye(3) * draw.uniform(1, 3, (states, 3, 1))
    out |= {"loc": draw.normal(0, 6, (states, 3)), "covariance": root @ root.transpose(0, 2, 1)}
    return out | {"x": out["loc"][z] + (root[z] @ draw.normal(size=(steps, 3, 1)))[..., 0] * 1.1}


def _peer(kind: str, p: dict[str, np.ndarray]) -> tuple[Any, np.ndarray]:
    from hmmlearn import hmm

    k = len(p["initial"])
    x = p["x"] if p["x"].ndim == 2 else p["x"][:, None]
    if kind == "poisson":
        model = hmm.PoissonHMM(k, n_iter=1, tol=-np.inf, init_params="")
        model.lambdas_ = p["rate"][:, None]
        x = x.astype(int)
    elif kind == "categorical":
        model = hmm.CategoricalHMM(k, n_iter=1, tol=-np.inf, init_params="")
        model.emissionprob_ = p["probs"]
        x = x.astype(int)
    else:
        full = kind == "multivariate_normal"
        model = hmm.GaussianHMM(k, "full" if full else "diag", n_iter=1, tol=-np.inf, init_params="", covars_prior=0.0, min_covar=0.0)
        model.means_ = p["loc"] if full else p["loc"][:, None]
        model.covars_ = p["covariance"] if full else p["scale"][:, None] ** 2
    model.startprob_, model.transmat_ = p["initial"], p["transition"]
    return model, x


def _figures(kind: str) -> dict[str, Any]:
    model, x = _peer(kind, problem(kind))
    log_likelihood, smoothed = model.score_samples(x)
    best, path = model.decode(x)
    at = np.linspace(0, len(x) - 1, 7).astype(int)
    found = {
        "log_likelihood": float(log_likelihood),
        "smoothed_sum": smoothed.sum(0).tolist(),
        "smoothed_at": {int(t): smoothed[t].tolist() for t in at},
        "viterbi_log_probability": float(best),
        "viterbi_counts": np.bincount(path, minlength=smoothed.shape[1]).tolist(),
    }
    model.fit(x)
    return found | {"log_likelihood_after_one_step_of_em": float(model.score(x)), "transition_after": model.transmat_.tolist()}


if __name__ == "__main__":
    import hmmlearn

    source = {
        "source": f"hmmlearn {hmmlearn.__version__} with numpy {np.__version__}, run by tests/tools/long_chains.py",
        "licence": "hmmlearn is BSD-3-Clause; these are figures that it computed on data of that file",
    }
    json.dump({**source, "figures": {kind: _figures(kind) for kind in KINDS}}, sys.stdout, indent=1)
