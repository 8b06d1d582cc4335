"""A long run by another method: the mixture of two normals on Old Faithful, sampled by Gibbs and slice steps in plain numpy.

The model is GaussianMixture(num_components=2, like=x) with its default settings, written down again from its definition:

    weights       ~ Dirichlet(2, 2)
    loc_kj        ~ Normal(m_j, 2 s_j)                          m, s: mean and standard deviation (divisor N) of column j
    scale_kj      ~ LogNormal(log(s_j / 2), 0.75)
    correlation_k ~ LKJ(2):  density proportional to 1 - r_k^2  for two features
    assignment_n  ~ Categorical(weights)
    x_n           ~ Normal(loc, covariance) of assignment_n,    covariance = [[a^2, r a b], [r a b, b^2]],  (a, b) = scale

One sweep draws assignments, weights and loc from their exact conditionals and each log scale and atanh r by one slice step
(stepping out and shrinkage). Nothing here imports torch, Pyro or ppgen. All arrays have chains in front: (C, K, ...).

Remake the stored result, 20 seconds on one core, from the root of the repository:

    python -m tests.tools.gibbs_mixture ppgen/datasets/old-faithful.csv tests/reference/old_faithful_gibbs.json

Sources: Diebolt & Robert, JRSS-B 56(2), 1994; Neal, Slice sampling, Annals of Statistics 31(3), 2003.
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

K = 2  # components
CONCENTRATION, LOC_SPREAD, LOG_SCALE_SPREAD, LKJ = 2.0, 2.0, 0.75, 2.0
SETTINGS = {"seed": 20240229, "chains": 32, "warmup": 500, "sweeps": 4000}
PROBABILITIES = (0.05, 0.25, 0.5, 0.75, 0.95)


class Values(NamedTuple):
    """One draw per chain."""

    weights: Array  # (C, K)
    loc: Array  # (C, K, 2)
    shape: Array  # (C, K, 3): log scale of both features, atanh of their correlation

    @property
    def scale(self) -> Array:
        return np.exp(self.shape[..., :2])

    @property
    def correlation(self) -> Array:
        return np.tanh(self.shape[..., 2])


# The density, up to a constant


def log_normal_pdf(deviation: Array, shape: Array) -> Array:
    """Log density of a deviation (..., 2) from the mean under log scales and atanh r (..., 3)."""
    r = np.tanh(shape[..., 2])
    a, b = deviation[..., 0] / np.exp(shape[..., 0]), deviation[..., 1] / np.exp(shape[..., 1])
    squares = (a * a - 2 * r * a * b + b * b) / (1 - r * r)
    return -np.log(2 * np.pi) - shape[..., 0] - shape[..., 1] - 0.5 * np.log1p(-r * r) - 0.5 * squares


def log_shape_prior(shape: Array, spread: Array) -> Array:
    """Log prior density of (log scale, atanh r) (..., 3) by those numbers themselves: a Jacobian 1 - r^2 is in it."""
    z = (shape[..., :2] - np.log(spread / K)) / LOG_SCALE_SPREAD
    r = np.tanh(shape[..., 2])
    return -0.5 * (z * z).sum(-1) + (LKJ - 1 + 1) * np.log1p(-r * r)


def log_prior(values: Values, x: Array) -> Array:
    """Log prior density (C,) of weights (by all but the last), loc, log scale and atanh r."""
    centre, spread = x.mean(0), x.std(0)
    z = (values.loc - centre) / (LOC_SPREAD * spread)
    weights = (CONCENTRATION - 1) * np.log(values.weights).sum(-1)
    return weights - 0.5 * (z * z).sum((-2, -1)) + log_shape_prior(values.shape, spread).sum(-1)


def log_joint(values: Values, x: Array) -> Array:
    """Log density of each datum and each assignment (C, N, K) given the rest."""
    deviation = x[None, :, None, :] - values.loc[:, None]  # (C, N, K, 2)
    return np.log(values.weights)[:, None] + log_normal_pdf(deviation, values.shape[:, None])


def log_posterior(values: Values, x: Array) -> Array:
    """Log prior plus log likelihood with assignments summed out, (C,)."""
    return log_prior(values, x) + np.logaddexp.reduce(log_joint(values, x), -1).sum(-1)


# One sweep


def draw_assignments(values: Values, x: Array, rng: np.random.Generator) -> NDArray[np.bool_]:
    """(C, N, K), one true entry per datum."""
    log_p = log_joint(values, x)
    second = 1 / (1 + np.exp(log_p[..., 0] - log_p[..., 1]))  # probability of component 1
    one = rng.random(second.shape) < second
    return np.stack([~one, one], -1)


def draw_weights(member: NDArray[np.bool_], rng: np.random.Generator) -> Array:
    gamma = rng.standard_gamma(CONCENTRATION + member.sum(1))  # (C, K)
    return gamma / gamma.sum(-1, keepdims=True)


def loc_conditional(member: NDArray[np.bool_], shape: Array, x: Array) -> tuple[Array, Array]:
    """Mean (C, K, 2) and covariance (C, K, 2, 2) of loc given assignments, scales and correlations."""
    precision = np.linalg.inv(covariance(shape))
    prior = np.diag((LOC_SPREAD * x.std(0)) ** -2.0)
    count = member.sum(1)[..., None, None]
    total = np.einsum("cnk,nd->ckd", member.astype(float), x)
    spread = np.linalg.inv(prior + count * precision)
    return np.einsum("ckde,cke->ckd", spread, prior @ x.mean(0) + np.einsum("ckde,cke->ckd", precision, total)), spread


def covariance(shape: Array) -> Array:
    """(..., 3) -> (..., 2, 2)"""
    scale, r = np.exp(shape[..., :2]), np.tanh(shape[..., 2])
    off = r * scale.prod(-1)
    return np.stack([np.stack([scale[..., 0] ** 2, off], -1), np.stack([off, scale[..., 1] ** 2], -1)], -2)


def draw_loc(member: NDArray[np.bool_], shape: Array, x: Array, rng: np.random.Generator) -> Array:
    mean, spread = loc_conditional(member, shape, x)
    return mean + np.einsum("ckde,cke->ckd", np.linalg.cholesky(spread), rng.standard_normal(mean.shape))


def log_shape_conditional(member: NDArray[np.bool_], loc: Array, x: Array) -> Callable[[Array], Array]:
    """Of shape (C, K, 3) -> (C, K), given assignments and loc; from counts and sums of squares, the data are read once."""
    deviation = (x[None, :, None, :] - loc[:, None]) * member[..., None]  # (C, N, K, 2)
    count, squares, cross = member.sum(1), (deviation**2).sum(1), deviation.prod(-1).sum(1)
    spread = x.std(0)

    def log_density(shape: Array) -> Array:
        r, scale = np.tanh(shape[..., 2]), np.exp(shape[..., :2])
        form = (squares / scale**2).sum(-1) - 2 * r * cross / scale.prod(-1)
        fit = -count * (shape[..., 0] + shape[..., 1] + 0.5 * np.log1p(-r * r)) - 0.5 * form / (1 - r * r)
        return fit + log_shape_prior(shape, spread)

    return log_density


def slice_step(log_density: Callable[[Array], Array], at: Array, width: float, rng: np.random.Generator) -> Array:
    """One univariate slice step from every entry of `at` on its own; `log_density` maps entry by entry."""
    level = log_density(at) - rng.standard_exponential(at.shape)
    low = at - width * rng.random(at.shape)
    high = low + width
    for end, step in ((low, -width), (high, width)):  # step out; `end` is moved in place
        while (inside := log_density(end) > level).any():
            end[inside] += step
    new, wrong = at.copy(), np.ones(at.shape, dtype=bool)
    while wrong.any():
        trial = low + rng.random(at.shape) * (high - low)
        new = np.where(wrong, trial, new)
        wrong = wrong & ~(log_density(new) > level)
        low, high = np.where(wrong & (new < at), new, low), np.where(wrong & (new >= at), new, high)
    return new


def sweep(values: Values, x: Array, rng: np.random.Generator) -> Values:
    member = draw_assignments(values, x, rng)
    weights, loc = draw_weights(member, rng), draw_loc(member, values.shape, x, rng)
    conditional, shape = log_shape_conditional(member, loc, x), values.shape
    for i in range(3):

        def along(u: Array, i: int = i, shape: Array = shape) -> Array:
            moved = shape.copy()
            moved[..., i] = u
            return conditional(moved)

        shape = shape.copy()
        shape[..., i] = slice_step(along, shape[..., i].copy(), 0.3, rng)
    return Values(weights, loc, shape)


# A run


def start(x: Array, chains: int, rng: np.random.Generator) -> Values:
    """Means at random data, spherical components of the data's own spread: nothing known of the clusters."""
    loc = x[rng.integers(len(x), size=(chains, K))]
    shape = np.stack([*np.log(x.std(0)), 0.0]) + 0.3 * rng.standard_normal((chains, K, 3))
    return Values(np.full((chains, K), 1 / K), loc, shape)


def sample(x: Array, *, seed: int, chains: int, warmup: int, sweeps: int) -> dict[str, Array]:
    """Draws (C, sweeps) by parameter name, components in the order of their first loc in every draw."""
    rng = np.random.default_rng(seed)
    values = start(x, chains, rng)
    kept = []
    for i in range(warmup + sweeps):
        values = sweep(values, x, rng)
        if i >= warmup:
            kept.append(ordered(values))
    return {name: np.stack([k[name] for k in kept], 1) for name in kept[0]}


def ordered(values: Values) -> dict[str, Array]:
    """(C,) by parameter name."""
    order = values.loc[..., 0].argsort(-1)  # (C, K)
    by = {"weights": values.weights, "loc": values.loc, "scale": values.scale, "correlation": values.correlation}
    out = {}
    for name, unordered in by.items():
        v = np.take_along_axis(unordered, order.reshape(*order.shape, *[1] * (unordered.ndim - 2)), 1)
        element = "[{},1,0]" if name == "correlation" else "[{}]"
        for index in np.ndindex(v.shape[1:]):
            out[name + element.format(",".join(map(str, index)))] = v[(slice(None), *index)]
    return out


def summary(draws: dict[str, Array]) -> dict[str, dict[str, object]]:
    """Per parameter: mean and sd with their Monte Carlo standard errors, quantiles, ESS and R-hat (by ArviZ)."""
    import arviz

    out: dict[str, dict[str, object]] = {}
    for name, v in draws.items():
        squares = (v - v.mean()) ** 2
        ess = {"mean": arviz.ess(v, method="mean"), "squares": arviz.ess(squares, method="mean")}
        sd = v.std(ddof=1)
        out[name] = {
            "mean": float(v.mean()),
            "sd": float(sd),
            "mcse_mean": float(sd / np.sqrt(ess["mean"])),
            "mcse_sd": float(squares.std(ddof=1) / np.sqrt(ess["squares"]) / (2 * sd)),  # delta method
            "q": [float(q) for q in np.quantile(v, PROBABILITIES)],
            "ess_bulk": float(arviz.ess(v, method="bulk")),
            "ess_tail": float(arviz.ess(v, method="tail")),
            "rhat": float(arviz.rhat(v)),
        }
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("data", type=Path, help="CSV with a header line and two columns")
    parser.add_argument("out", type=Path, help="JSON to write")
    arguments = parser.parse_args()
    x = np.loadtxt(arguments.data, delimiter=",", skiprows=1)
    parameters = summary(sample(x, **SETTINGS))
    result = {
        "what": "posterior of GaussianMixture(num_components=2, like=x) with default settings, components ordered by loc[k,0]",
        "method": "Gibbs for assignments, weights and loc; slice steps for log scale and atanh correlation",
        "command": "python -m tests.tools.gibbs_mixture ppgen/datasets/old-faithful.csv tests/reference/old_faithful_gibbs.json",
        "data": {"name": "old-faithful", "rows": len(x), "mean": x.mean(0).tolist(), "sd": x.std(0).tolist()},
        "versions": {"numpy": np.__version__},
        "settings": SETTINGS,
        "quantile_probs": PROBABILITIES,
        "parameters": parameters,
    }
    arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
